"""Cleans texts from GAZE for display, and creates unique labels of presets."""

from collections import Counter
from collections.abc import Mapping
import re
from typing import Final

from homeassistant.util import slugify

from .api import Preset

MAX_LENGTH: Final = 80
MAX_SLUG: Final = 60
# Emoji and some scripts need these characters, although Python calls them unprintable.
_JOINERS: Final = "\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"
_ELLIPSIS: Final = "…"
_MAX_MARKDOWN: Final = 200
_PUNCTUATION: Final = re.compile(r"([!-/:-@\[-`{-~])")  # Markdown takes a backslash before each


def clean(text: str, limit: int = MAX_LENGTH) -> str:
    """Return text as one line of at most `limit` visible characters.

    Control characters and marks that change the text direction are removed, because they
    would affect the text around.
    """
    line = text[: 4 * limit]
    if not line.isprintable():
        line = "".join(map(_replace_character, line))
    line = " ".join(line.split())
    if len(line) <= limit and len(text) <= 4 * limit:
        return line
    return line[: limit - len(_ELLIPSIS)].rstrip(f" {_JOINERS}") + _ELLIPSIS


def slug_of(name: str) -> str:
    """Return the slug of a name, or the name itself if it has neither letters nor digits.

    Home Assistant has one slug for all names of emoji.
    """
    return slugify(name) if any(map(str.isalnum, name)) else name.strip()


def as_markdown(text: str) -> str:
    """Return Markdown that shows a text unchanged, as one line of at most 200 characters."""
    return _PUNCTUATION.sub(r"\\\1", clean(text, _MAX_MARKDOWN))


def preset_labels(presets: Mapping[str, Preset]) -> dict[str, str]:
    """Return a unique label for each preset, by slug.

    The label is the name, or the slug if the name has neither letters nor digits. If several
    presets have the same name, their slugs are added. A label has at most 150 characters.
    """
    names = {slug: _get_name(preset) for slug, preset in presets.items()}
    counts = Counter(names.values())
    taken = {name for name, count in counts.items() if count == 1}
    labels: dict[str, str] = {}
    for slug, name in names.items():
        label = name
        number = 1
        while counts[name] > 1 and (label == name or label in taken):
            end = "" if number == 1 else f" {number}"
            label = f"{name} ({slug[:MAX_SLUG]}{end})"
            number += 1
        taken.add(label)
        labels[slug] = label
    return labels


def _get_name(preset: Preset) -> str:
    """Return the clean name, or the slug if the name has neither letters nor digits."""
    name = clean(preset.name)
    return name if any(map(str.isalnum, name)) else clean(preset.slug)


def _replace_character(character: str) -> str:
    """Return a visible replacement for a character, which may be empty."""
    if character.isprintable() or character in _JOINERS:
        return character
    return " " if character.isspace() else ""
