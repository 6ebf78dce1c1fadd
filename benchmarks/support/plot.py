"""Draws lateness against requests as an SVG file, with nothing but text."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
import math
from typing import Final

WIDTH: Final = 380
HEIGHT: Final = 340
LEFT: Final = 52
RIGHT: Final = 16
TOP: Final = 40
BOTTOM: Final = 48
FONT: Final = "font-family='sans-serif' font-size='11'"

type Point = tuple[float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """Points with a name: joined by a line, or as marks with labels."""

    name: str
    color: str
    points: Sequence[Point]
    labels: Sequence[str] = ()
    dashed: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """A diagram with logarithmic axes."""

    title: str
    x_title: str
    y_title: str
    series: Sequence[Series]


def draw(panels: Sequence[Panel]) -> str:
    """Return an SVG file with panels side by side and one legend."""
    width = WIDTH * len(panels)
    legend = {series.name: series for panel in panels for series in panel.series}
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {HEIGHT + 26}'>",
        "<rect width='100%' height='100%' fill='white'/>",
    ]
    for number, panel in enumerate(panels):
        parts += [f"<g transform='translate({number * WIDTH},0)'>", *_draw_panel(panel), "</g>"]
    for number, series in enumerate(legend.values()):
        x = LEFT + number * (width - LEFT) / len(legend)
        parts += [
            f"<rect x='{x:.0f}' y='{HEIGHT + 6}' width='10' height='10' fill='{series.color}'/>",
            _text(x + 15, HEIGHT + 15, series.name),
        ]
    return "\n".join([*parts, "</svg>", ""])


def _draw_panel(panel: Panel) -> list[str]:
    """Return the elements of a panel."""
    points = [point for series in panel.series for point in series.points]
    columns = _ticks([x for x, _ in points])
    rows = _ticks([y for _, y in points])
    inner = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def place(point: Point) -> Point:
        return (
            LEFT + inner[0] * _share(point[0], columns),
            HEIGHT - BOTTOM - inner[1] * _share(point[1], rows),
        )

    parts = [
        _text(LEFT, 20, panel.title, "font-weight='bold'"),
        _text(LEFT + inner[0] / 2, HEIGHT - 12, panel.x_title, "text-anchor='middle'"),
        _text(8, TOP - 8, panel.y_title),
    ]
    for tick in columns:
        x, y = place((tick, rows[0]))
        parts += [
            _line([(x, TOP), (x, y)], "#ddd"),
            _text(x, y + 16, f"{tick:g}", "text-anchor='middle'"),
        ]
    for tick in rows:
        x, y = place((columns[0], tick))
        parts += [
            _line([(x, y), (WIDTH - RIGHT, y)], "#ddd"),
            _text(x - 6, y + 4, f"{tick:g}", "text-anchor='end'"),
        ]
    for series in panel.series:
        placed = [place(point) for point in series.points]
        if len(placed) > 1:
            parts.append(_line(placed, series.color, dashed=series.dashed))
        if not series.labels and len(placed) > 1:
            continue
        for (x, y), label in zip(placed, series.labels or [""] * len(placed), strict=True):
            parts.append(f"<circle cx='{x:.1f}' cy='{y:.1f}' r='4' fill='{series.color}'/>")
            parts.append(_text(x + 7, y - 5, label))
    return parts


def _ticks(values: Sequence[float]) -> list[float]:
    """Return the 1, 2, and 5 of each order of magnitude around values."""
    low, high = min(values), max(values)
    ticks = [
        digit * 10.0**power
        for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        for digit in (1, 2, 5)
    ]
    first = max((tick for tick in ticks if tick <= low), default=ticks[0])
    last = min((tick for tick in ticks if tick >= high), default=ticks[-1])
    return [tick for tick in ticks if first <= tick <= last]


def _share(value: float, ticks: Sequence[float]) -> float:
    """Return where a value is between the first and the last tick, from 0 to 1."""
    return math.log(value / ticks[0]) / math.log(ticks[-1] / ticks[0])


def _line(points: Sequence[Point], color: str, *, dashed: bool = False) -> str:
    """Return a line through points."""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dashes = " stroke-dasharray='4 3'" if dashed else ""
    return f"<polyline points='{path}' fill='none' stroke='{color}'{dashes}/>"


def _text(x: float, y: float, text: str, more: str = "") -> str:
    """Return a text."""
    return f"<text x='{x:.1f}' y='{y:.1f}' {FONT} {more}>{escape(text)}</text>"
