"""Saved images, and how they are selected."""

from dataclasses import dataclass

from ..const import DEFAULT_KEEP_IMAGES


@dataclass(frozen=True, slots=True)
class Image:
    """A finished image, identified by its job ID.

    `made_at` is in seconds since the epoch. `requested_width` and `requested_height` are those
    of the request, `width` and `height` those of the file, in pixels. `size` is in bytes.

    `path` is the file, relative to the folder of the gallery whose ID is `root`. An image that is
    not `saved` is outside the media folder, and is removed when its preset has a newer batch.

    Images are ordered by `number`, in microseconds since the epoch. If an image was finished later,
    it has a higher number, regardless of the order of downloads. An image without a number gets
    that of `made_at`.
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
    requested_width: int | None = None
    requested_height: int | None = None
    recipe: str | None = None
    recipe_name: str | None = None
    title: str | None = None
    path: str = ""
    content_type: str = ""
    width: int = 0
    height: int = 0
    size: int = 0
    saved: bool = True
    root: str = ""
    favorite: bool = False
    hidden: bool = False
    number: int = 0

    def __post_init__(self) -> None:
        """Convert the integers of the index."""
        for name in ("saved", "favorite", "hidden"):
            object.__setattr__(self, name, bool(getattr(self, name)))


@dataclass(frozen=True, kw_only=True, slots=True)
class GalleryOptions:
    """The options of the user. keep_images: the maximum number of images, 0 for no limit."""

    save_images: bool = True
    strip_metadata: bool = False
    keep_images: int = DEFAULT_KEEP_IMAGES


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """Which images to select. Fields that are `None` select any image.

    preset: a slug. recipe: an ID or a name. month: `2026-08`, in Home Assistant's time zone.
    search: words that all occur in the names, prompts, seed, checkpoint, title, or tag, in any
    case. since and until: seconds since the epoch, `until` itself excluded. below: images with a
    lower `number`.
    Hidden images are selected only on request.
    """

    preset: str | None = None
    recipe: str | None = None
    month: str | None = None
    tag: str | None = None
    search: str | None = None
    since: float | None = None
    until: float | None = None
    below: int | None = None
    favorite: bool | None = None
    hidden: bool | None = False


@dataclass(frozen=True, slots=True)
class ListedImage:
    """An image in a listing, with as much as a listing shows."""

    number: int
    job_id: str
    preset_name: str
    recipe_name: str | None
    made_at: float
    content_type: str
    title: str | None


@dataclass(frozen=True, slots=True)
class Folder:
    """The images that have something in common: how many, and the newest."""

    key: str
    name: str
    count: int
    newest_job_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Overview:
    """What there is: presets, recipes, and tags by name, months with the last one first.

    `all`, `favorites`, and `hidden` are `None` without images.
    """

    all: Folder | None
    favorites: Folder | None
    hidden: Folder | None
    presets: tuple[Folder, ...]
    recipes: tuple[Folder, ...]
    tags: tuple[Folder, ...]
    months: tuple[Folder, ...]
    newest: tuple[ListedImage, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """The bytes of an image. They are `None` if the ETag says that the caller has them."""

    data: bytes | None
    etag: str
    content_type: str
