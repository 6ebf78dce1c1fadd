"""Renders an image for a screen: size, fit, rotation, colors, and format.

Pillow does the work, so call `render` in the executor. Nothing of the image's metadata
reaches the result.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from io import BytesIO
from typing import Final

from PIL import ExifTags, Image as Pillow, ImageChops, ImageOps

from ..gallery.decoding import in_8_bits, load_pixels, open_image
from .palettes import BLACK, PALETTES, WHITE, Colors, Palette, Rgb

MIN_SIDE: Final = 16
MAX_SIDE: Final = 8192
MAX_PIXELS: Final = 2**24  # 16 million: more than any screen for pictures has
DEFAULT_QUALITY: Final = 90

# The thresholds of ordered dithering (Bayer, 1973), 8x8, spread evenly around zero.
_BAYER_SIDE: Final = 8
_STRIP: Final = 64  # rows, a multiple of that
_LOOKUP_STEP: Final = 4  # Pillow looks up the nearest color for boxes of so many levels


class Fit(StrEnum):
    """How an image fills a screen of another shape."""

    COVER = "cover"
    CONTAIN = "contain"
    STRETCH = "stretch"


class Format(StrEnum):
    """The format of the file."""

    JPEG = "jpeg"
    PNG = "png"
    BMP = "bmp"

    @property
    def content_type(self) -> str:
        """Return the media type."""
        return f"image/{self.value}"

    @property
    def extension(self) -> str:
        """Return the usual suffix of a file name, without the period."""
        return "jpg" if self is Format.JPEG else self.value


class Dithering(StrEnum):
    """How colors that a panel lacks are mixed from those that it has."""

    NONE = "none"
    FLOYD_STEINBERG = "floyd_steinberg"
    ORDERED = "ordered"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rendering:
    """What a screen needs.

    width, height: pixels of the file. rotation: clockwise degrees, for a screen that hangs
    rotated: 0, 90, 180, or 270. background: behind transparent parts and beside an image that
    does not fill the screen. quality: of a JPEG, 1 to 95.
    """

    width: int
    height: int
    rotation: int = 0
    fit: Fit = Fit.COVER
    background: Rgb = BLACK
    format: Format = Format.JPEG
    quality: int = DEFAULT_QUALITY
    colors: Colors = Colors.FULL
    dithering: Dithering = Dithering.FLOYD_STEINBERG


def render(content: bytes, rendering: Rendering) -> bytes:
    """Return an image in the size, colors, and format of a screen.

    Raises ImageContentError if `content` is not a whole PNG, JPEG, or WebP image.
    """
    upright = rendering.rotation % 180 == 0
    size = (rendering.width, rendering.height)
    frame = size if upright else (rendering.height, rendering.width)
    with open_image(content) as source:
        _read_smaller(source, frame)
        image = in_8_bits(ImageOps.exif_transpose(load_pixels(source, content)))
        image = _fitted(image, frame, rendering)
        image = _flat(image, rendering.background)
    image = _placed(image, frame, rendering.background)
    if rendering.rotation:
        image = image.transpose(_TURNS[rendering.rotation])
    if rendering.colors is not Colors.FULL:
        image = _quantized(image, PALETTES[rendering.colors], rendering.dithering)
    return _encoded(image, rendering)


_TURNS: Final = {  # Pillow turns counterclockwise
    90: Pillow.Transpose.ROTATE_270,
    180: Pillow.Transpose.ROTATE_180,
    270: Pillow.Transpose.ROTATE_90,
}
_SIDEWAYS: Final = range(5, 9)  # values of the EXIF orientation that swap width and height


def _read_smaller(source: Pillow.Image, frame: tuple[int, int]) -> None:
    """Read a JPEG at a fraction of its size if that is still twice the size of the frame."""
    width, height = frame[0] * 2, frame[1] * 2
    is_on_its_side = source.getexif().get(ExifTags.Base.Orientation, 1) in _SIDEWAYS
    source.draft("RGB", (height, width) if is_on_its_side else (width, height))


def _fitted(image: Pillow.Image, frame: tuple[int, int], rendering: Rendering) -> Pillow.Image:
    """Return the image scaled to the frame, still with its transparency and color profile."""
    profile = image.info.get("icc_profile")
    if image.mode not in {"L", "RGB", "RGBA", "CMYK"} or "transparency" in image.info:
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    match rendering.fit:
        case Fit.COVER:
            image = ImageOps.fit(image, frame, Pillow.Resampling.LANCZOS)
        case Fit.CONTAIN:
            image = image.resize(_largest_size(image.size, frame), Pillow.Resampling.LANCZOS)
        case Fit.STRETCH:
            image = image.resize(frame, Pillow.Resampling.LANCZOS, reducing_gap=2.0)
    image.info = {} if profile is None else {"icc_profile": profile}
    return image


def _largest_size(size: tuple[int, int], frame: tuple[int, int]) -> tuple[int, int]:
    """Return the largest size of the same shape in a frame, at least one pixel wide and high."""
    width, height = size
    if width * frame[1] > height * frame[0]:
        return frame[0], max(round(height * frame[0] / width), 1)
    return max(round(width * frame[1] / height), 1), frame[1]


def _flat(image: Pillow.Image, background: Rgb) -> Pillow.Image:
    """Return the image in sRGB without transparency."""
    profile = image.info.get("icc_profile")
    is_transparent = image.mode == "RGBA"
    flat = image.convert("RGB") if is_transparent else image
    if profile is not None:
        flat = _in_srgb(flat, profile)
    flat = flat.convert("RGB")
    if not is_transparent:
        return flat
    result = Pillow.new("RGB", flat.size, background)
    result.paste(flat, mask=image)
    return result


def _in_srgb(image: Pillow.Image, profile: bytes) -> Pillow.Image:
    """Return the image converted from its color profile, or as it is if that is unusable."""
    # Few images have a profile, and the module would take memory in every home.
    from PIL import ImageCms  # noqa: PLC0415

    try:
        converted = ImageCms.profileToProfile(
            image,
            ImageCms.ImageCmsProfile(BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            outputMode="RGB",
        )
    except ImageCms.PyCMSError, OSError, ValueError:
        return image
    return image if converted is None else converted


def _placed(image: Pillow.Image, frame: tuple[int, int], background: Rgb) -> Pillow.Image:
    """Return the image in the middle of the frame."""
    if image.size == frame:
        return image
    result = Pillow.new("RGB", frame, background)
    result.paste(image, ((frame[0] - image.width) // 2, (frame[1] - image.height) // 2))
    return result


def _quantized(image: Pillow.Image, palette: Palette, dithering: Dithering) -> Pillow.Image:
    """Return the image in the pure colors of a palette."""
    if palette.gray:
        image = image.convert("L").convert("RGB")
    image = _within_range(image, palette)
    if dithering is Dithering.ORDERED:
        image = _with_thresholds(image, palette)
    quantized = image.quantize(
        palette=_palette_image(palette.measured),
        dither=Pillow.Dither.FLOYDSTEINBERG
        if dithering is Dithering.FLOYD_STEINBERG
        else Pillow.Dither.NONE,
    )
    quantized.putpalette(_flattened(palette.pure))
    return quantized


def _within_range(image: Pillow.Image, palette: Palette) -> Pillow.Image:
    """Return the image with black and white as the panel shows them.

    Without it every white area would be dithered, because paper is never as white as a file.
    """
    black, white = palette.measured[:2]
    if (black, white) == (BLACK, WHITE):
        return image
    table = [
        round(low + (high - low) * level / 255)
        for low, high in zip(black, white, strict=True)
        for level in range(256)
    ]
    return _in_strips(image, lambda strip: strip.point(table))


def _with_thresholds(image: Pillow.Image, palette: Palette) -> Pillow.Image:
    """Return the image with a pattern of thresholds added."""
    pattern = _thresholds(image.width, palette)

    def add(strip: Pillow.Image) -> Pillow.Image:
        return ImageChops.add(strip, pattern.crop((0, 0, *strip.size)), offset=-128)

    return _in_strips(image, add)


def _in_strips(image: Pillow.Image, change: Callable[[Pillow.Image], Pillow.Image]) -> Pillow.Image:
    """Return the image with one strip after the other changed.

    For changes during which Pillow holds the interpreter, and with it the event loop.
    """
    result = Pillow.new("RGB", image.size)
    for top in range(0, image.height, _STRIP):
        strip = image.crop((0, top, image.width, min(top + _STRIP, image.height)))
        result.paste(change(strip), (0, top))
    return result


def _thresholds(width: int, palette: Palette) -> Pillow.Image:
    """Return a strip with a pattern of thresholds; 128 changes nothing."""
    spread = _spread(palette)
    levels = bytes(
        round(128 + spread * ((rank + 0.5) / _BAYER_SIDE**2 - 0.5))
        for row in _bayer(_BAYER_SIDE)
        for rank in row
    )
    tile = Pillow.frombytes("L", (_BAYER_SIDE, _BAYER_SIDE), levels).convert("RGB")
    pattern = Pillow.new("RGB", (width, _STRIP))
    for top in range(0, _STRIP, _BAYER_SIDE):
        for left in range(0, width, _BAYER_SIDE):
            pattern.paste(tile, (left, top))
    return pattern


def _spread(palette: Palette) -> float:
    """Return the largest range of thresholds that leaves black and white areas plain.

    A shift by t in all channels moves a color closer to another one at the distance v as soon
    as t > |v|² / (2 · sum(v)).
    """
    black, white = palette.measured[:2]
    shifts = [
        sum(step * step for step in steps) / (2 * sum(steps))
        for base, sign in ((black, 1), (white, -1))
        for color in palette.measured
        if sum(steps := [sign * (new - old) for new, old in zip(color, base, strict=True)]) > 0
    ]
    return 2 * (min(shifts) - _LOOKUP_STEP)


def _bayer(side: int) -> list[list[int]]:
    """Return the ranks of a Bayer matrix; `side` is a power of two."""
    if side == 1:
        return [[0]]
    smaller = _bayer(side // 2)
    top = [[4 * rank for rank in row] + [4 * rank + 2 for rank in row] for row in smaller]
    bottom = [[4 * rank + 3 for rank in row] + [4 * rank + 1 for rank in row] for row in smaller]
    return top + bottom


def _palette_image(colors: tuple[Rgb, ...]) -> Pillow.Image:
    """Return the image that names a palette to Pillow."""
    image = Pillow.new("P", (1, 1))
    image.putpalette(_flattened(colors))
    return image


def _flattened(colors: tuple[Rgb, ...]) -> list[int]:
    """Return the channels of all colors one after the other."""
    return [channel for color in colors for channel in color]


def _encoded(image: Pillow.Image, rendering: Rendering) -> bytes:
    """Return the file: an image without metadata."""
    image.info = {}
    result = BytesIO()
    match rendering.format:
        case Format.JPEG:
            image.convert("RGB").save(
                result, format="JPEG", quality=rendering.quality, progressive=False
            )
        case Format.PNG:
            if image.mode == "P":
                image.save(result, format="PNG", bits=PALETTES[rendering.colors].bits)
            else:
                image.save(result, format="PNG")
        case Format.BMP:
            if rendering.colors is Colors.BLACK_WHITE:
                image = image.convert("1", dither=Pillow.Dither.NONE)
            image.save(result, format="BMP")
    return result.getvalue()
