"""Colors of e-paper panels: what a screen shows, and what its driver expects in the file.

A panel's ink differs from the color that its driver calls by the same name: "white" is a light
gray, "green" is nearly black. Dithering mixes the colors that the panel shows, so it uses the
measured ones. The file contains the pure ones, which the drivers of panels expect.

Measured values are typical for E Ink's ACeP (seven colors) and Spectra 6 panels in daylight.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

type Rgb = tuple[int, int, int]


class Colors(StrEnum):
    """The colors that a display can show."""

    FULL = "full"
    BLACK_WHITE = "black_white"
    GRAY_4 = "gray_4"
    GRAY_16 = "gray_16"
    BLACK_WHITE_RED = "black_white_red"
    BLACK_WHITE_RED_YELLOW = "black_white_red_yellow"
    SEVEN_COLOR = "seven_color"
    SPECTRA_6 = "spectra_6"


@dataclass(frozen=True, kw_only=True, slots=True)
class Palette:
    """Colors of a panel in the order of their numbers. The first two are black and white.

    measured: what the panel shows. pure: what stands in the file.
    """

    measured: tuple[Rgb, ...]
    pure: tuple[Rgb, ...]

    @property
    def gray(self) -> bool:
        """Return whether all colors are grays."""
        return all(len(set(color)) == 1 for color in self.pure)

    @property
    def bits(self) -> int:
        """Return the bits of a pixel: the smallest of 1, 2, and 4 that holds all colors."""
        return next(bits for bits in (1, 2, 4) if len(self.pure) <= 2**bits)


BLACK: Final[Rgb] = (0, 0, 0)
WHITE: Final[Rgb] = (255, 255, 255)
RED: Final[Rgb] = (255, 0, 0)
YELLOW: Final[Rgb] = (255, 255, 0)
GREEN: Final[Rgb] = (0, 255, 0)
BLUE: Final[Rgb] = (0, 0, 255)
ORANGE: Final[Rgb] = (255, 128, 0)


def _grays(count: int) -> Palette:
    """Return evenly spaced grays, black and white first."""
    levels = [round(255 * level / (count - 1)) for level in range(count)]
    grays = tuple((level, level, level) for level in (levels[0], levels[-1], *levels[1:-1]))
    return Palette(measured=grays, pure=grays)


PALETTES: Final[dict[Colors, Palette]] = {
    Colors.BLACK_WHITE: _grays(2),
    Colors.GRAY_4: _grays(4),
    Colors.GRAY_16: _grays(16),
    Colors.BLACK_WHITE_RED: Palette(
        measured=((33, 32, 36), (223, 224, 219), (168, 36, 36)),
        pure=(BLACK, WHITE, RED),
    ),
    Colors.BLACK_WHITE_RED_YELLOW: Palette(
        measured=((33, 32, 36), (223, 224, 219), (168, 36, 36), (225, 196, 52)),
        pure=(BLACK, WHITE, RED, YELLOW),
    ),
    Colors.SEVEN_COLOR: Palette(
        measured=(
            (25, 30, 33),
            (241, 241, 241),
            (83, 164, 40),
            (49, 49, 143),
            (210, 14, 19),
            (243, 207, 17),
            (184, 94, 28),
        ),
        pure=(BLACK, WHITE, GREEN, BLUE, RED, YELLOW, ORANGE),
    ),
    Colors.SPECTRA_6: Palette(
        measured=(
            (25, 30, 33),
            (232, 232, 232),
            (239, 222, 68),
            (178, 19, 24),
            (33, 87, 186),
            (18, 95, 32),
        ),
        pure=(BLACK, WHITE, YELLOW, RED, BLUE, GREEN),
    ),
}
