"""Stamps a version, or checks that a tag is the version and prints its notes.

python3 scripts/release.py stamp 1.2.3
python3 scripts/release.py notes 1.2.3
"""

from datetime import UTC, datetime
import json
from pathlib import Path
import re
import sys

VERSION = re.compile(r"\d+\.\d+\.\d+(b\d+)?")
MANIFEST = Path("custom_components/gaze/manifest.json")
PROJECT = Path("pyproject.toml")
CHANGELOG = Path("CHANGELOG.md")
UNRELEASED = "## Unreleased\n"


def stamp(root: Path, version: str) -> None:
    """Write the version to the manifest, the project, and the unreleased changes.

    Raise ValueError and write nothing if the version or a file is invalid.
    """
    if not VERSION.fullmatch(version):
        raise ValueError(f"{version} is not a version such as 1.2.3 or 1.2.3b1")
    changelog = (root / CHANGELOG).read_text()
    if UNRELEASED not in changelog:
        raise ValueError(f"{CHANGELOG} has no section Unreleased")
    day = datetime.now(UTC).date()
    texts = {
        MANIFEST: re.sub(
            r'("version": )"[^"]*"', rf'\g<1>"{version}"', (root / MANIFEST).read_text()
        ),
        PROJECT: re.sub(
            r'^version = "[^"]*"',
            f'version = "{version}"',
            (root / PROJECT).read_text(),
            count=1,
            flags=re.MULTILINE,
        ),
        CHANGELOG: changelog.replace(UNRELEASED, f"## {version} ({day})\n", 1),
    }
    for path, text in texts.items():
        (root / path).write_text(text)


def notes(root: Path, tag: str) -> str:
    """Return the changelog of a version.

    Raise ValueError if the tag differs from the version of the manifest or has no notes.
    """
    version = json.loads((root / MANIFEST).read_text())["version"]
    if tag != version:
        raise ValueError(f"The tag {tag} is not the version of the manifest, {version}")
    pattern = rf"^## {re.escape(tag)} \([\d-]+\)\n(.*?)(?=^## |\Z)"
    section = re.search(pattern, (root / CHANGELOG).read_text(), re.DOTALL | re.MULTILINE)
    if section is None or not section[1].strip():
        raise ValueError(f"{CHANGELOG} has no section for {tag}")
    return section[1].strip()


def main(arguments: list[str]) -> str | None:
    """Run the command. Returns an error message or None."""
    root = Path(__file__).parent.parent
    try:
        match arguments:
            case ["stamp", version]:
                stamp(root, version)
            case ["notes", tag]:
                print(notes(root, tag))
            case _:
                return __doc__
    except ValueError as err:
        return str(err)
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
