"""The pages of documentation, taken apart: blocks, tables, headings, links."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
import re
from typing import Any, override

from homeassistant.util.yaml import parse_yaml

ROOT = Path(__file__).parent.parent
MANUAL = ("README.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))))
PAGES = (*MANUAL, "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "benchmarks/README.md")

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_CELLS = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """A block of code, with the number of its line on the page."""

    page: str
    line: int
    language: str
    text: str

    @override
    def __str__(self) -> str:
        """Return where it stands."""
        return f"{self.page}:{self.line}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A table, with the heading that it stands under."""

    page: str
    heading: str
    header: list[str]
    rows: list[list[str]]

    def column(self, number: int) -> list[str]:
        """Return the cells of a column, from 0."""
        return [row[number] for row in self.rows]


@cache
def text(page: str) -> str:
    """Return a page."""
    return (ROOT / page).read_text(encoding="utf-8")


def prose(page: str) -> str:
    """Return a page without its blocks."""
    return _BLOCK.sub("", text(page))


def blocks(page: str, *languages: str) -> list[Block]:
    """Return the blocks of a page in order, of these languages or all."""
    found = [
        Block(
            page=page,
            line=text(page).count("\n", 0, match.start()) + 1,
            language=match[1],
            text=match[2],
        )
        for match in _BLOCK.finditer(text(page))
    ]
    return [block for block in found if not languages or block.language in languages]


def tables(page: str) -> list[Table]:
    """Return the tables of a page."""
    found: list[Table] = []
    heading = ""
    rows: list[list[str]] = []
    for line in (*prose(page).splitlines(), ""):
        if line.startswith("|"):
            rows.append([cell.strip() for cell in _CELLS.split(line)[1:-1]])
            continue
        if rows:
            header, _, *rest = rows
            found.append(Table(page=page, heading=heading, header=header, rows=rest))
            rows = []
        if match := _HEADING.match(line):
            heading = match[1]
    return found


def table(page: str, first: str, heading: str | None = None) -> Table:
    """Return the one table whose first column has this header, under this heading if given."""
    [found] = [
        one for one in tables(page) if one.header[0] == first and heading in {None, one.heading}
    ]
    return found


def code(cell: str) -> list[str]:
    """Return what stands in a text as code."""
    return re.findall(r"`([^`]+)`", cell)


def anchors(page: str) -> set[str]:
    """Return what the headings of a page are called in links, as GitHub calls them."""
    plain = (heading.lower() for heading in _HEADING.findall(prose(page)))
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


def links(page: str) -> list[str]:
    """Return where the links and pictures of a page lead."""
    found = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    return found + re.findall(r'<img src="([^"]+)"', prose(page))


def recipe(block: Block, **examples: str) -> Any:
    """Return what a block of YAML says, with the examples replaced: text by text."""
    content = block.text
    for example, replacement in examples.items():
        content = content.replace(example, replacement)
    return parse_yaml(content)


def walk(value: Any) -> Iterator[Any]:
    """Return a value and all that is in it."""
    yield value
    if isinstance(value, dict):
        for part in value.values():
            yield from walk(part)
    elif isinstance(value, list):
        for part in value:
            yield from walk(part)
