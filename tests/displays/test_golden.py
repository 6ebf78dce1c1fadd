"""Tests that rendered images look like stored ones, which were checked by eye.

Store them again with `GAZE_STORE_GOLDEN=1 scripts/test tests/displays/test_golden.py`, and look
at the difference before you commit it.
"""

from io import BytesIO
import os
from pathlib import Path
from typing import Any

from PIL import Image as Pillow, ImageChops
import pytest

from custom_components.gaze.displays import Colors, Dithering, Fit, Format, Rendering, render

from .common import scene

GOLDEN = Path(__file__).parent / "golden"
SIZE = (60, 40)

# A JPEG decoder may round differently. All else is exact.
TOLERANCE = {Format.JPEG: 3}


CASES: dict[str, dict[str, Any]] = {
    **{f"format-{one}": {"format": one} for one in Format},
    **{f"fit-{one}": {"fit": one, "background": (40, 40, 90)} for one in Fit},
    **{f"rotation-{one}": {"rotation": one, "fit": Fit.STRETCH} for one in (90, 180, 270)},
    **{
        f"colors-{colors}-{dithering}": {"colors": colors, "dithering": dithering}
        for colors in Colors
        if colors is not Colors.FULL
        for dithering in Dithering
    },
    "bmp-black_white": {"format": Format.BMP, "colors": Colors.BLACK_WHITE},
    "bmp-spectra_6": {"format": Format.BMP, "colors": Colors.SPECTRA_6},
}


@pytest.mark.parametrize("name", CASES)
def test_rendered_image_looks_like_stored_one(name: str) -> None:
    options = {"width": SIZE[0], "height": SIZE[1], "format": Format.PNG, **CASES[name]}
    image = Pillow.open(BytesIO(render(scene(), Rendering(**options)))).convert("RGB")
    file = GOLDEN / f"{name}.png"
    if "GAZE_STORE_GOLDEN" in os.environ:
        image.save(file, optimize=True)

    difference = ImageChops.difference(image, Pillow.open(file).convert("RGB"))

    most = max(highest for _, highest in difference.getextrema())  # type: ignore[misc]
    assert most <= TOLERANCE.get(options["format"], 0)


def test_every_stored_image_is_used() -> None:
    assert {file.stem for file in GOLDEN.iterdir()} == set(CASES)
