"""Parsing of the documentation: code blocks, headings, and links."""

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


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """A code block with its line number."""

    page: str
    line: int
    language: str
    text: str

    @override
    def __str__(self) -> str:
        """Return the page and the line."""
        return f"{self.page}:{self.line}"


@cache
def text(page: str) -> str:
    """Return the text of a page."""
    return (ROOT / page).read_text(encoding="utf-8")


def prose(page: str) -> str:
    """Return a page without its code blocks."""
    return _BLOCK.sub("", text(page))


def blocks(page: str, *languages: str) -> list[Block]:
    """Return the code blocks of a page in order, optionally of some languages only."""
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


def code(cell: str) -> list[str]:
    """Return the inline code in a text."""
    return re.findall(r"`([^`]+)`", cell)


def anchors(page: str) -> set[str]:
    """Return the anchors of the headings of a page, as GitHub makes them."""
    plain = (heading.lower() for heading in _HEADING.findall(prose(page)))
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


def links(page: str) -> list[str]:
    """Return the targets of the links and images of a page."""
    found = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    return found + re.findall(r'<img src="([^"]+)"', prose(page))


def recipe(block: Block, **examples: str) -> Any:
    """Return the content of a YAML block with example values replaced."""
    content = block.text
    for example, replacement in examples.items():
        content = content.replace(example, replacement)
    return parse_yaml(content)


def walk(value: Any) -> Iterator[Any]:
    """Yield a value and everything inside it."""
    yield value
    if isinstance(value, dict):
        for part in value.values():
            yield from walk(part)
    elif isinstance(value, list):
        for part in value:
            yield from walk(part)
