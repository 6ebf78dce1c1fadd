"""Checks English prose against the rules of the project. Run by scripts/lint.

It reports words that no text of Home Assistant uses, arrows, and long sentences in `en.json`,
on the pages of documentation, in issue forms, and in blueprints. In Python code it reports such
words in docstrings, comments, names, and log messages.
"""

import ast
from collections.abc import Iterator
import io
import json
from pathlib import Path
import re
import sys
import tokenize
from typing import Any, Final

ROOT: Final = Path(__file__).parent.parent
TEXTS: Final = ROOT / "custom_components" / "gaze" / "translations" / "en.json"
MAX_WORDS: Final = 25

_WORDS: Final = (
    r"\b(?:mend(?:s|ed|ing)?|whoever|anew|for ever|likewise|left out|by itself|all the same"
    r"|once more|somebody|nobody|lest)\b"
)
RULED_OUT: Final = re.compile(rf"{_WORDS}|→|;(?= )", re.IGNORECASE)
# Also in prose for users. "Picture" is fine in the names of Home Assistant's cards.
RULED_OUT_FOR_USERS: Final = re.compile(
    r"\b(?:pictures?|answers?|answered|ids?|will not take|is told|are told)\b"
)

CODE: Final = ("benchmarks", "custom_components", "demo", "scripts", "testing", "tests")
RULED_OUT_IN_CODE: Final = re.compile(_WORDS, re.IGNORECASE)
# Words of test names that are no subject, condition, or result
RULED_OUT_IN_TEST_NAMES: Final = re.compile(r"^test (?:an?|the)\b|\b(?:told|tells?|whatever)\b")

_CODE_BLOCK: Final = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)
_COMMENT: Final = re.compile(r"<!--.*?-->", re.DOTALL)
_CODE: Final = re.compile(r"`[^`]*`")
_LINK: Final = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_BREAK: Final = re.compile(r"\n\s*\n|\n(?= *(?:[-*|>#]|\d+\.) ?)|(?<=[.!?:])\s+|\s*\|\s*")
# Lines of blueprints and forms that are code rather than prose.
_YAML_CODE: Final = re.compile(r"\{\{|\{%|\w: *[!\[{]|image\.|trigger\.|_variable:|://|\bid:")


def pages() -> list[Path]:
    """Return the pages of documentation."""
    return [
        *sorted(ROOT.glob("*.md")),
        *sorted((ROOT / "docs").glob("*.md")),
        ROOT / "benchmarks" / "README.md",
    ]


def forms() -> list[Path]:
    """Return issue forms, the pull request template, and blueprints."""
    return [
        *sorted((ROOT / ".github").glob("*.md")),
        *sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")),
        *sorted((ROOT / "blueprints").rglob("*.yaml")),
    ]


def check(where: str, prose: str, *, sentences: bool = True) -> Iterator[str]:
    """Yield what is wrong with a text."""
    plain = _LINK.sub(r"\1", _CODE.sub("code", prose))
    for pattern in (RULED_OUT, RULED_OUT_FOR_USERS):
        for match in pattern.finditer(plain):
            start = max(match.start() - 30, 0)
            context = " ".join(plain[start : match.end() + 30].split())
            yield f"{where}: don't use {match[0]!r}: {context}"
    for sentence in _BREAK.split(plain) if sentences else ():
        if (words := len(sentence.split())) > MAX_WORDS:
            yield f"{where}: {words} words: {' '.join(sentence.split())}"


def strings(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield each text of `en.json` with its path."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from strings(part, f"{path}.{key}" if path else key)
    else:
        yield path, value


def code_texts(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the docstrings, names of functions and classes, and log messages with their lines."""
    for node in ast.walk(tree):
        match node:
            case ast.Module() | ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                if not isinstance(node, ast.Module):
                    yield node.lineno, node.name.strip("_").replace("_", " ")
                yield node.body[0].lineno if node.body else 1, ast.get_docstring(node) or ""
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="_LOGGER")),
                args=[ast.Constant(value=str(message)), *_],
            ):
                yield node.lineno, message


def code_problems(path: Path) -> Iterator[str]:
    """Yield what is wrong with the texts in a Python file."""
    source = path.read_text()
    texts = list(code_texts(ast.parse(source)))
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    texts += [(token.start[0], token.string) for token in tokens if token.type == tokenize.COMMENT]
    for line, text in sorted(texts):
        plain = " ".join(text.split())
        for pattern in (RULED_OUT_IN_CODE, RULED_OUT_IN_TEST_NAMES):
            if (match := pattern.search(plain)) and (
                pattern is RULED_OUT_IN_CODE or plain.startswith("test ")
            ):
                yield f"{path.relative_to(ROOT)}:{line}: don't use {match[0]!r}: {plain[:100]}"


def problems() -> Iterator[str]:
    """Yield what is wrong with all texts."""
    for path, text in strings(json.loads(TEXTS.read_text())):
        yield from check(f"en.json {path}", text)
    for page in pages():
        prose = _COMMENT.sub("", _CODE_BLOCK.sub("", page.read_text()))
        yield from check(str(page.relative_to(ROOT)), prose)
    for form in forms():
        for match in re.finditer(r"^(?!\s*#).*[a-z].*$", form.read_text(), re.MULTILINE):
            if not _YAML_CODE.search(match[0]):
                name = str(form.relative_to(ROOT))
                yield from check(name, match[0], sentences=False)
    for folder in CODE:
        for module in sorted((ROOT / folder).rglob("*.py")):
            yield from code_problems(module)


if __name__ == "__main__":
    found = list(problems())
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(bool(found))
