"""How presets are called on screen: their names come from elsewhere and may be anything."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

from .api import Preset

MAX_LENGTH: Final = 80
MAX_SLUG: Final = 60
# They are not printable by themselves, but emoji and some scripts are joined with them.
_JOINERS: Final = "\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"
_MORE: Final = "…"


def clean(text: str, limit: int = MAX_LENGTH) -> str:
    """Return text from elsewhere as one line of at most `limit` visible characters.

    Control characters and marks that turn the direction of writing are left out, as they
    would reach into the text around.
    """
    line = text[: 4 * limit]
    if not line.isprintable():
        line = "".join(map(_visible, line))
    line = " ".join(line.split())
    if len(line) <= limit and len(text) <= 4 * limit:
        return line
    return line[: limit - len(_MORE)].rstrip(f" {_JOINERS}") + _MORE


def preset_labels(presets: Mapping[str, Preset]) -> dict[str, str]:
    """Return by slug what each preset is called; no two labels are the same.

    It is the name, or the slug where the name has neither letter nor digit. Presets of one
    name get their slugs behind it. A label has at most 150 characters.
    """
    names = {slug: _name(preset) for slug, preset in presets.items()}
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


def _name(preset: Preset) -> str:
    """Return a name that people can read."""
    name = clean(preset.name)
    return name if any(map(str.isalnum, name)) else clean(preset.slug)


def _visible(character: str) -> str:
    """Return what is shown of a character."""
    if character.isprintable() or character in _JOINERS:
        return character
    return " " if character.isspace() else ""
