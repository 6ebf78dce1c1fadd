"""Tests of rendering in the size, colors, and format of a screen."""

from io import BytesIO
import struct
from typing import Any

from PIL import Image as Pillow, ImageCms
from PIL.PngImagePlugin import PngInfo
import pytest

from custom_components.gaze.displays import Colors, Dithering, Fit, Format, Rendering, render
from custom_components.gaze.displays.palettes import PALETTES
from custom_components.gaze.gallery import ImageContentError

RED = (255, 0, 0)
GREEN = (0, 255, 0)
BLUE = (0, 0, 255)
WHITE = (255, 255, 255)
CORNERS = (RED, GREEN, BLUE, WHITE)  # top left, top right, bottom left, bottom right


def image_of(
    *colors: tuple[int, ...], size: tuple[int, int] = (40, 20), mode: str = "RGB"
) -> Pillow.Image:
    """Return an image of four quarters."""
    image = Pillow.new(mode, size)
    half = (size[0] // 2, size[1] // 2)
    for number, color in enumerate(colors):
        quarter = Pillow.new(mode, half, color)
        image.paste(quarter, (number % 2 * half[0], number // 2 * half[1]))
    return image


def png(image: Pillow.Image, **options: Any) -> bytes:
    """Return an image as a PNG file."""
    result = BytesIO()
    image.save(result, format="PNG", **options)
    return result.getvalue()


def rendered(content: bytes, **options: Any) -> Pillow.Image:
    """Return the rendered image, decoded without loss."""
    options = {"width": 40, "height": 20, "format": Format.PNG, **options}
    return Pillow.open(BytesIO(render(content, Rendering(**options))))


def corners(image: Pillow.Image) -> list[tuple[int, int, int]]:
    """Return the colors in the middle of the four quarters."""
    image = image.convert("RGB")
    width, height = image.size
    places = ((1, 1), (3, 1), (1, 3), (3, 3))
    return [image.getpixel((x * width // 4, y * height // 4)) for x, y in places]  # type: ignore[misc]


@pytest.mark.parametrize(
    ("rotation", "expected"),
    [
        (0, [RED, GREEN, BLUE, WHITE]),
        (90, [BLUE, RED, WHITE, GREEN]),
        (180, [WHITE, BLUE, GREEN, RED]),
        (270, [GREEN, WHITE, RED, BLUE]),
    ],
)
def test_rotation_turns_image_clockwise(
    rotation: int, expected: list[tuple[int, int, int]]
) -> None:
    image = rendered(png(image_of(*CORNERS)), rotation=rotation, fit=Fit.STRETCH)

    assert image.size == (40, 20)
    assert corners(image) == expected


def test_cover_crops_sides_evenly() -> None:
    wide = Pillow.new("RGB", (80, 20), BLUE)
    wide.paste(RED, (30, 0, 50, 20))

    image = rendered(png(wide), width=20, height=20, fit=Fit.COVER)

    assert image.convert("RGB").getcolors() == [(400, RED)]


def test_contain_shows_background_beside_image() -> None:
    image = rendered(
        png(Pillow.new("RGB", (20, 20), RED)), width=60, height=20, fit=Fit.CONTAIN, background=BLUE
    ).convert("RGB")

    assert image.getpixel((10, 10)) == BLUE
    assert image.getpixel((30, 10)) == RED
    assert image.getpixel((50, 10)) == BLUE


def test_contain_enlarges_small_image() -> None:
    image = rendered(png(Pillow.new("RGB", (4, 2), RED)), fit=Fit.CONTAIN, background=BLUE)

    assert image.convert("RGB").getcolors() == [(800, RED)]


def test_transparent_parts_show_background() -> None:
    image = rendered(png(Pillow.new("RGBA", (40, 20), (255, 0, 0, 0))), background=GREEN)

    assert image.convert("RGB").getcolors() == [(800, GREEN)]


@pytest.mark.parametrize(
    ("mode", "transparent"), [("RGB", (255, 0, 0)), ("L", 7), ("P", 0)], ids=["RGB", "L", "P"]
)
def test_color_that_is_transparent_shows_background(
    mode: str, transparent: int | tuple[int, int, int]
) -> None:
    content = png(Pillow.new(mode, (40, 20), transparent), transparency=transparent)

    assert rendered(content, background=GREEN).convert("RGB").getcolors() == [(800, GREEN)]


@pytest.mark.parametrize("size", [(5000, 1), (1, 5000)])
def test_contain_shows_narrow_image_as_line(size: tuple[int, int]) -> None:
    image = rendered(png(Pillow.new("RGB", size, RED)), fit=Fit.CONTAIN).convert("RGB")

    assert image.getpixel((19, 9)) == RED
    assert image.getpixel((0, 0)) == image.getpixel((39, 19)) == (0, 0, 0)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA"])
def test_unusual_mode_keeps_its_grays(mode: str) -> None:
    image = rendered(png(Pillow.linear_gradient("L").convert(mode)), fit=Fit.STRETCH).convert("L")

    top, middle, bottom = (image.getpixel((20, y)) for y in (1, 10, 18))
    assert (top, middle, bottom) == pytest.approx((20, 130, 240), abs=20)


def test_16_bit_grays_are_not_clipped() -> None:
    levels = [row * 257 for row in range(256)]
    deep = Pillow.new("I;16", (1, 256))
    deep.putdata(levels)

    image = rendered(png(deep), fit=Fit.STRETCH).convert("L")

    assert [image.getpixel((20, y)) for y in (1, 10, 18)] == pytest.approx([20, 130, 240], abs=20)


def test_cmyk_jpeg_has_its_colors() -> None:
    result = BytesIO()
    image_of(*CORNERS, size=(160, 80)).convert("CMYK").save(result, "JPEG", quality=95)

    for shown, expected in zip(corners(rendered(result.getvalue())), CORNERS, strict=True):
        assert shown == pytest.approx(expected, abs=6)


def test_jpeg_on_its_side_keeps_its_details() -> None:
    lines = Pillow.new("L", (1, 160))
    lines.putdata([255 * (row % 2) for row in range(160)])
    exif = Pillow.Exif()
    exif[0x0112] = 6
    result = BytesIO()
    lines.resize((1600, 160)).save(result, "JPEG", quality=95, exif=exif)

    image = rendered(result.getvalue(), width=400, height=100)
    low, high = image.convert("L").getextrema()

    assert high - low > 100  # type: ignore[operator]


def test_animation_shows_its_first_image() -> None:
    result = BytesIO()
    Pillow.new("RGB", (40, 20), RED).save(
        result, "WEBP", lossless=True, append_images=[Pillow.new("RGB", (40, 20), BLUE)]
    )

    assert corners(rendered(result.getvalue())) == [RED] * 4


def test_exif_orientation_is_applied() -> None:
    exif = Pillow.Exif()
    exif[0x0112] = 3  # upside down
    image = rendered(png(image_of(*CORNERS), exif=exif), fit=Fit.STRETCH)

    assert corners(image) == [WHITE, BLUE, GREEN, RED]
    assert not image.getexif()


def profile_of(kind: str) -> bytes:
    """Return a color profile: of a space that Pillow knows, or sRGB with red and blue swapped."""
    if kind != "swapped":
        return ImageCms.ImageCmsProfile(ImageCms.createProfile(kind)).tobytes()  # type: ignore[arg-type]
    swapped = profile_of("sRGB").replace(b"rXYZ", b"----").replace(b"bXYZ", b"rXYZ")
    return swapped.replace(b"----", b"bXYZ")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("sRGB", CORNERS),
        ("swapped", (BLUE, GREEN, RED, WHITE)),
        ("LAB", CORNERS),  # not usable for this image
    ],
)
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_color_profile_is_applied_and_removed(
    kind: str, expected: tuple[tuple[int, int, int], ...], mode: str
) -> None:
    content = png(image_of(*CORNERS).convert(mode), icc_profile=profile_of(kind))

    image = rendered(content, fit=Fit.STRETCH)

    for shown, wanted in zip(corners(image), expected, strict=True):
        assert shown == pytest.approx(wanted, abs=2)
    assert "icc_profile" not in image.info


@pytest.mark.parametrize("file_format", Format)
def test_metadata_never_reaches_file(file_format: Format) -> None:
    text = PngInfo()
    text.add_text("prompt", "a secret prompt")
    content = png(image_of(*CORNERS), pnginfo=text, dpi=(300, 300))

    result = render(content, Rendering(width=40, height=20, format=file_format))

    assert b"secret" not in result
    assert set(Pillow.open(BytesIO(result)).info) <= {
        "jfif",
        "jfif_version",
        "jfif_unit",
        "jfif_density",
        "compression",
        "dpi",
    }


@pytest.mark.parametrize("dithering", Dithering)
@pytest.mark.parametrize("colors", [colors for colors in Colors if colors is not Colors.FULL])
def test_limited_colors_are_pure(colors: Colors, dithering: Dithering) -> None:
    gray = Pillow.linear_gradient("L")
    gradient = Pillow.merge("RGB", [gray, gray.rotate(90), Pillow.radial_gradient("L")])
    gradient.paste(gray.convert("RGB").crop((0, 0, 64, 256)))
    image = rendered(
        png(gradient), width=256, height=256, colors=colors, dithering=dithering
    ).convert("RGB")

    counted = image.getcolors()
    assert counted is not None
    found = {color for _, color in counted}
    assert found <= set(PALETTES[colors].pure)
    if dithering is Dithering.FLOYD_STEINBERG:
        assert len(found) == len(PALETTES[colors].pure)


@pytest.mark.parametrize("dithering", Dithering)
@pytest.mark.parametrize("colors", [colors for colors in Colors if colors is not Colors.FULL])
def test_black_and_white_stay_plain(colors: Colors, dithering: Dithering) -> None:
    for color in ((0, 0, 0), WHITE):
        image = rendered(
            png(Pillow.new("RGB", (40, 20), color)), colors=colors, dithering=dithering
        ).convert("RGB")
        assert image.getcolors() == [(800, color)]


def test_dithering_keeps_average_brightness() -> None:
    gray = png(Pillow.new("RGB", (64, 64), (128, 128, 128)))
    for dithering in (Dithering.FLOYD_STEINBERG, Dithering.ORDERED):
        image = rendered(
            gray, width=64, height=64, colors=Colors.BLACK_WHITE, dithering=dithering
        ).convert("L")
        white = sum(count for count, level in image.getcolors() or () if level == 255)
        assert white / 64**2 == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    ("colors", "bits"),
    [(Colors.FULL, 24), (Colors.GRAY_4, 8), (Colors.SPECTRA_6, 8), (Colors.BLACK_WHITE, 1)],
)
def test_bmp_has_bits_that_colors_need(colors: Colors, bits: int) -> None:
    content = render(
        png(image_of(*CORNERS)),
        Rendering(width=48, height=24, format=Format.BMP, colors=colors),
    )

    magic, size, offset = struct.unpack_from("<2sIxxxxI", content)
    header, width, height, planes, depth, compression = struct.unpack_from("<IiiHHI", content, 14)
    assert (magic, size, header, planes, compression) == (b"BM", len(content), 40, 1, 0)
    assert (width, abs(height), depth) == (48, 24, bits)
    assert len(content) - offset == (48 * bits + 31) // 32 * 4 * 24


@pytest.mark.parametrize(
    ("colors", "bits"), [(Colors.BLACK_WHITE, 1), (Colors.GRAY_4, 2), (Colors.GRAY_16, 4)]
)
def test_png_has_bits_that_colors_need(colors: Colors, bits: int) -> None:
    content = render(
        png(image_of(*CORNERS)), Rendering(width=40, height=20, format=Format.PNG, colors=colors)
    )

    assert content[24] == bits  # the bit depth of the IHDR chunk


def test_jpeg_is_baseline() -> None:
    content = render(png(image_of(*CORNERS)), Rendering(width=40, height=20))

    assert b"\xff\xc0" in content  # start of a baseline frame
    assert b"\xff\xc2" not in content  # start of a progressive frame


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"<svg/>"])
def test_content_that_is_no_image_raises(content: bytes) -> None:
    with pytest.raises(ImageContentError):
        render(content, Rendering(width=40, height=20))
