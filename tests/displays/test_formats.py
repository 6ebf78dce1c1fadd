"""Decoders that share no code with Pillow read the files as the smallest screens do."""

from collections.abc import Callable
from io import BytesIO
from statistics import mean

from PIL import Image as Pillow
import pytest

from custom_components.gaze.displays import Colors, Dithering, Format, Rendering, render
from custom_components.gaze.displays.palettes import PALETTES, WHITE

from .common import scene
from .decoders import Rows, decode_bmp, decode_jpeg

# Sides that fill no block and no row of four bytes
WIDTH, HEIGHT = 61, 43


def rendered(file_format: Format, colors: Colors = Colors.FULL, quality: int = 95) -> bytes:
    """Return the file of a screen."""
    return render(
        scene(),
        Rendering(width=WIDTH, height=HEIGHT, format=file_format, colors=colors, quality=quality),
    )


def exact(colors: Colors = Colors.FULL) -> Rows:
    """Return the pixels that the file must have, by way of PNG."""
    image = Pillow.open(BytesIO(rendered(Format.PNG, colors))).convert("RGB")
    pixels = list(image.get_flattened_data())
    return [pixels[y * WIDTH : (y + 1) * WIDTH] for y in range(HEIGHT)]  # type: ignore[misc]


def differences(one: Rows, other: Rows, of: Callable[..., float]) -> list[float]:
    """Return how much a property of the pixels differs."""
    return [
        abs(of(*first) - of(*second))
        for row, other_row in zip(one, other, strict=True)
        for first, second in zip(row, other_row, strict=True)
    ]


def luma(red: float, green: float, blue: float) -> float:
    """Return the brightness as JFIF defines it."""
    return 0.299 * red + 0.587 * green + 0.114 * blue


def test_jpeg_is_baseline_and_looks_like_image() -> None:
    found, wanted = decode_jpeg(rendered(Format.JPEG)), exact()

    brightness = differences(found, wanted, luma)
    assert mean(brightness) < 2
    assert max(brightness) < 25
    for channel in (lambda r, _g, _b: r, lambda _r, g, _b: g, lambda _r, _g, b: b):
        assert mean(differences(found, wanted, channel)) < 8  # colors are stored at half the size


def test_jpeg_of_lower_quality_is_smaller_and_baseline() -> None:
    low, high = (rendered(Format.JPEG, quality=quality) for quality in (10, 95))

    assert len(low) < len(high)
    assert mean(differences(decode_jpeg(low), exact(), luma)) < 12


def test_decoder_rejects_progressive_jpeg() -> None:
    result = BytesIO()
    Pillow.open(BytesIO(scene())).save(result, format="JPEG", progressive=True)

    with pytest.raises(ValueError, match="not baseline"):
        decode_jpeg(result.getvalue())


@pytest.mark.parametrize("colors", Colors)
def test_bmp_has_exact_pixels_in_fewest_bits(colors: Colors) -> None:
    bits, rows = decode_bmp(rendered(Format.BMP, colors))

    assert rows == exact(colors)
    assert bits == {Colors.FULL: 24, Colors.BLACK_WHITE: 1}.get(colors, 8)


@pytest.mark.parametrize("colors", [colors for colors in Colors if colors is not Colors.FULL])
def test_palette_of_bmp_holds_all_colors_in_order(colors: Colors) -> None:
    content = rendered(Format.BMP, colors)

    entries = content[54 : 54 + 4 * len(PALETTES[colors].pure)]
    found = [tuple(reversed(entries[at : at + 3])) for at in range(0, len(entries), 4)]
    assert found == list(PALETTES[colors].pure)


def test_one_bit_bmp_has_white_as_set_bits() -> None:
    white = BytesIO()
    Pillow.new("RGB", (8, 1), WHITE).save(white, format="PNG")
    content = render(
        white.getvalue(),
        Rendering(
            width=16,
            height=16,
            format=Format.BMP,
            colors=Colors.BLACK_WHITE,
            dithering=Dithering.NONE,
        ),
    )

    assert content[62:] == b"\xff\xff\x00\x00" * 16
