"""Measured values, the limits they are held to, and the tables that show both."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
import math
import os
import platform

from homeassistant.const import __version__


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A measured value; `limit` is the highest that is allowed, where there is one."""

    name: str
    value: float
    limit: float | None = None
    digits: int = 2

    @property
    def met(self) -> bool:
        """Whether the value is within its limit."""
        return self.limit is None or self.value <= self.limit

    @property
    def text(self) -> str:
        """The value in digits."""
        return f"{self.value:.{self.digits}f}"

    @property
    def limit_text(self) -> str:
        """The limit in digits, where there is one."""
        return "" if self.limit is None else f"{self.limit:g}"

    @property
    def verdict(self) -> str:
        """The answer to that, in a word, where there is a limit."""
        if self.limit is None:
            return ""
        return "yes" if self.met else "NO"


def nearest_rank(values: Iterable[float], share: float) -> float:
    """Return a percentile by nearest rank: the least value that `share` of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table, its first column left-aligned and the others right-aligned."""
    marks = ["---", *["---:" for _ in head[1:]]]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, marks, *rows])


def listed(figures: Sequence[Figure]) -> str:
    """Return a table with a line for each figure."""
    return table(
        ["", "value", "limit", "met"],
        [[figure.name, figure.text, figure.limit_text, figure.verdict] for figure in figures],
    )


def compared(clients: Mapping[str, Sequence[Figure]]) -> str:
    """Return a table with a line for each client; the limits are those of the first one."""
    (ours, figures), *others = clients.items()
    rows = [[ours, *(figure.text for figure in figures)]]
    if any(figure.limit is not None for figure in figures):
        rows += [
            ["limit", *(figure.limit_text for figure in figures)],
            ["met", *(figure.verdict for figure in figures)],
        ]
    rows += [[client, *(figure.text for figure in measured)] for client, measured in others]
    return table(["", *(figure.name for figure in figures)], rows)


def machine() -> str:
    """Return what the figures were measured on, in a line."""
    return (
        f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()},"
        f" Home Assistant {__version__}"
    )
