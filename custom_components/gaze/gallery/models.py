"""Kept images, and how they are chosen."""

from dataclasses import dataclass

from ..const import DEFAULT_KEEP_IMAGES


@dataclass(frozen=True, slots=True)
class Image:
    """A finished picture that Home Assistant keeps, known by its job id.

    `path` is the file, relative to the gallery's folder; `made_at` is in seconds since the
    epoch; `width` and `height` are those of the picture in pixels; `size` is in bytes. An
    image that is not `saved` lies outside the media folder and goes with the next one of its
    preset.
    """

    job_id: str
    preset: str
    preset_name: str
    batch_id: str
    tag: str | None
    seed: str | None
    checkpoint: str | None
    extra_positive: str | None
    extra_negative: str | None
    made_at: float
    path: str = ""
    content_type: str = ""
    width: int = 0
    height: int = 0
    size: int = 0
    saved: bool = True

    def __post_init__(self) -> None:
        """Take the index's number for a truth."""
        object.__setattr__(self, "saved", bool(self.saved))


@dataclass(frozen=True, kw_only=True, slots=True)
class GalleryOptions:
    """What people choose: `keep_images` is how many images stay, 0 for all of them."""

    save_images: bool = True
    strip_metadata: bool = False
    keep_images: int = DEFAULT_KEEP_IMAGES


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """Which images are meant; what is `None` does not matter.

    preset: a slug; month: `2026-08`, in Home Assistant's time zone; search: words that all
    stand in preset, prompts, seed, checkpoint or tag, in any case of letters; since and until:
    seconds since the epoch, `until` left out; below: numbers (see `ListedImage`) lower than this.
    """

    preset: str | None = None
    month: str | None = None
    tag: str | None = None
    search: str | None = None
    since: float | None = None
    until: float | None = None
    below: int | None = None


@dataclass(frozen=True, slots=True)
class ListedImage:
    """An image in a listing, with as much as a listing shows. A later image has a higher number."""

    number: int
    job_id: str
    preset_name: str
    made_at: float
    content_type: str


@dataclass(frozen=True, slots=True)
class Folder:
    """The images of one preset or of one month: how many, and the newest."""

    key: str
    name: str
    count: int
    newest_job_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Overview:
    """What there is: presets by name, months with the last one first, and the newest images."""

    presets: tuple[Folder, ...]
    months: tuple[Folder, ...]
    newest: tuple[ListedImage, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """The bytes of a picture; `None` where the asker has them already, which the ETag tells."""

    data: bytes | None
    etag: str
    content_type: str
