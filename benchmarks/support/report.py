"""Measured values with limits, tables of them, and reports in `benchmarks/results/`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
import math
import os
from pathlib import Path
import platform
from typing import Final

from homeassistant.const import __version__

RESULTS: Final = Path(__file__).parent.parent / "results"


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A measured value and its optional upper limit."""

    name: str
    value: float
    limit: float | None = None
    digits: int = 2

    @property
    def met(self) -> bool:
        """Return whether the value is within its limit."""
        return self.limit is None or self.value <= self.limit

    @property
    def text(self) -> str:
        """Return the value as text."""
        return f"{self.value:.{self.digits}f}"

    @property
    def limit_text(self) -> str:
        """Return the limit as text, which is empty without a limit."""
        return "" if self.limit is None else f"{self.limit:g}"

    @property
    def verdict(self) -> str:
        """Return whether the limit is met as text, which is empty without a limit."""
        if self.limit is None:
            return ""
        return "yes" if self.met else "NO"


def nearest_rank(values: Iterable[float], share: float) -> float:
    """Return a percentile by the nearest-rank method."""
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table, its first column left-aligned and the others right-aligned."""
    marks = ["---", *["---:" for _ in head[1:]]]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, marks, *rows])


def listed(figures: Sequence[Figure]) -> str:
    """Return a table with a row for each figure."""
    return table(
        ["", "value", "limit", "met"],
        [[figure.name, figure.text, figure.limit_text, figure.verdict] for figure in figures],
    )


def compared(clients: Mapping[str, Sequence[Figure]]) -> str:
    """Return a table with a row for each client. The limits apply to the first one."""
    (ours, figures), *others = clients.items()
    rows = [[ours, *(figure.text for figure in figures)]]
    if any(figure.limit is not None for figure in figures):
        rows += [
            ["limit", *(figure.limit_text for figure in figures)],
            ["met", *(figure.verdict for figure in figures)],
        ]
    rows += [[client, *(figure.text for figure in measured)] for client, measured in others]
    return table(["", *(figure.name for figure in figures)], rows)


class Report:
    """The report of a benchmark. It is printed while the benchmark runs, and can be saved."""

    def __init__(self, name: str, title: str) -> None:
        """Begin a report that is saved as `benchmarks/results/<name>.md`."""
        self._file = RESULTS / f"{name}.md"
        self._parts = [f"# {title}"]

    def add(self, text: str) -> None:
        """Print and add a part in Markdown, which has no trailing newline."""
        print(text, end="\n\n", flush=True)
        self._parts.append(text)

    def add_section(self, title: str, text: str) -> None:
        """Print and add a part under a title."""
        self.add(f"**{title}**\n\n{text}")

    def save(self) -> None:
        """Write the report, which replaces the last one."""
        self._file.write_text("\n\n".join(self._parts) + "\n")


def machine() -> str:
    """Return a description of the machine in one line."""
    return (
        f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()},"
        f" Home Assistant {__version__}"
    )
