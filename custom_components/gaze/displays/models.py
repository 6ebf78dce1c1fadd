"""The settings of a display, and its stored state."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final, Self

from ..gallery import Selection
from ..subentries import Subentry
from .palettes import Colors
from .rendering import DEFAULT_QUALITY, MAX_PIXELS, MIN_SIDE, Dithering, Fit, Format, Rendering

BRAND_SIZE: Final = (512, 512)


class Source(StrEnum):
    """Which images a display shows."""

    LATEST = "latest"
    FAVORITES = "favorites"
    RECIPE = "recipe"
    PRESET = "preset"
    TAG = "tag"

    @property
    def needs_value(self) -> bool:
        """Return whether the source names a recipe, a preset, or a tag."""
        return self in {Source.RECIPE, Source.PRESET, Source.TAG}


class Order(StrEnum):
    """In which order a display shows its images."""

    NEWEST = "newest"
    SHUFFLE = "shuffle"


class Advance(StrEnum):
    """What makes a display show another image."""

    ON_NEW_IMAGE = "on_new_image"
    INTERVAL = "interval"
    ON_FETCH = "on_fetch"
    NEVER = "never"


DEFAULTS: dict[str, Any] = {
    "source": Source.LATEST,
    "address": False,
    "rotation": "0",
    "fit": Fit.COVER,
    "background": [0, 0, 0],
    "format": Format.JPEG,
    "quality": DEFAULT_QUALITY,
    "colors": Colors.FULL,
    "dithering": Dithering.FLOYD_STEINBERG,
    "order": Order.NEWEST,
    "advance": Advance.ON_NEW_IMAGE,
    "advance_minutes": 60,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Display:
    """A screen that shows images.

    width, height: pixels, or None if the screen sends its size with a fetch. source_value: a
    recipe, the slug or name of a preset, or a tag. address: whether the screen may fetch without a
    login. advance_minutes: the interval.
    """

    display_id: str
    name: str
    source: Source
    source_value: str | None
    width: int | None
    height: int | None
    address: bool
    rendering: Rendering
    order: Order
    advance: Advance
    advance_minutes: float

    @classmethod
    def from_subentry(cls, subentry: Subentry) -> Self:
        """Return the display that a subentry describes; what it lacks has its default."""
        data: Mapping[str, Any] = {**DEFAULTS, **subentry.data}
        width, height = _side(data, "width"), _side(data, "height")
        red, green, blue = data["background"]
        return cls(
            display_id=subentry.subentry_id,
            name=subentry.title,
            source=Source(data["source"]),
            source_value=data.get("source_value"),
            width=width,
            height=height,
            address=data["address"],
            rendering=Rendering(
                width=width or 0,
                height=height or 0,
                rotation=int(data["rotation"]),
                fit=Fit(data["fit"]),
                background=(red, green, blue),
                format=Format(data["format"]),
                quality=int(data["quality"]),
                colors=Colors(data["colors"]),
                dithering=Dithering(data["dithering"]),
            ),
            order=Order(data["order"]),
            advance=Advance(data["advance"]),
            advance_minutes=float(data["advance_minutes"]),
        )

    @property
    def has_size(self) -> bool:
        """Return whether the user entered the size."""
        return self.width is not None and self.height is not None

    @property
    def selection(self) -> Selection:
        """Return the selection of images of the source."""
        match self.source:
            case Source.PRESET:
                return Selection(preset=self.source_value)
            case Source.TAG:
                return Selection(tag=self.source_value)
            case Source.RECIPE:
                return Selection(recipe=self.source_value)
            case Source.FAVORITES:
                return Selection(favorite=True)
            case Source.LATEST:
                return Selection()

    def size_for(self, width: int, height: int) -> tuple[int, int]:
        """Return the size of a rendering if the user entered none, for an image of this size.

        The brand image has no width and height.
        """
        if not width or not height:
            return BRAND_SIZE
        if self.rendering.rotation % 180:
            width, height = height, width
        scale = min((MAX_PIXELS / (width * height)) ** 0.5, 1.0)
        return max(int(width * scale), MIN_SIDE), max(int(height * scale), MIN_SIDE)

    def rendering_for(self, size: tuple[int, int]) -> Rendering:
        """Return how to render in the chosen size, or else in this one."""
        if self.has_size:
            return self.rendering
        return replace(self.rendering, width=size[0], height=size[1])


def _side(data: Mapping[str, Any], key: str) -> int | None:
    """Return a side in pixels. Forms return numbers as floats."""
    value = data.get(key)
    return int(value) if value else None


@dataclass(kw_only=True, slots=True)
class DisplayState:
    """The stored state of a display. Times are in seconds since the epoch.

    token: the secret part of the address.
    hold: whether the image stays until the user turns this off.
    shown: the job ID of the current image.
    shown_at: when the display began to show it.
    shown_number: its number.
    shown_width, shown_height: its size in pixels.
    copy: the name of the file with a copy of it.
    newest: the job ID of the newest image of the source that the display noted.
    newest_number: its number. Unlike a time, it doesn't depend on the clock.
    history: the job IDs of earlier images, the last one at the end.
    seen: the job IDs of the images that were shown in this round.
    last_fetched: when the screen last fetched its image.
    """

    token: str
    hold: bool = False
    shown: str | None = None
    shown_at: float | None = None
    shown_number: int = 0
    shown_width: int = 0
    shown_height: int = 0
    copy: str | None = None
    newest: str | None = None
    newest_number: int = 0
    history: list[str]
    seen: list[str]
    last_fetched: float | None = None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the stored state; unknown keys of later versions are ignored."""
        known = {name: data[name] for name in cls.__slots__ if name in data}
        return cls(**{"history": [], "seen": [], **known})

    def as_dict(self) -> dict[str, Any]:
        """Return what is stored."""
        return {name: getattr(self, name) for name in self.__slots__}
