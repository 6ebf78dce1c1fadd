"""Validates the input of users for a generation."""

from collections.abc import Mapping
from typing import Any, Final

from homeassistant.exceptions import ServiceValidationError

from .api import Preset
from .const import DOMAIN
from .jobs import GenerateRequest

MAX_COUNT: Final = 20
MAX_SEED: Final = 2**64 - 1
MIN_SIDE: Final = 16
MAX_SIDE: Final = 16384
SIDE_STEP: Final = 8
MAX_PIXELS: Final = 2**26  # as many as the gallery decodes
MAX_TEXT: Final = 20_000
MAX_DIGITS: Final = 40

_INVALID_SIDE: Final = {"width": "invalid_width", "height": "invalid_height"}


def validate_request(preset: Preset, fields: Mapping[str, Any]) -> GenerateRequest:
    """Return the request for the fields of the action `gaze.generate`.

    Numbers can be text. Raises ServiceValidationError, with a separate text for each field.
    """
    count = _parse_whole_number(fields.get("count", 1))
    if count is None or not 1 <= count <= MAX_COUNT:
        raise _create_error("invalid_count", value=fields["count"], max=MAX_COUNT)
    seed = None
    if (given := fields.get("seed")) is not None and given != "":
        seed = _parse_whole_number(given, floats=False)
        if seed is None or not 0 <= seed <= MAX_SEED:
            raise _create_error("invalid_seed", value=given, max=MAX_SEED)
    width, height = _validate_side(fields, "width"), _validate_side(fields, "height")
    if (width is None) != (height is None):
        raise _create_error("size_incomplete")
    if width is not None and height is not None and width * height > MAX_PIXELS:
        raise _create_error("size_too_large", pixels=f"{width * height:,}", max=f"{MAX_PIXELS:,}")
    return GenerateRequest(
        preset=preset,
        count=count,
        seed=seed,
        width=width,
        height=height,
        extra_positive=validate_text(fields, "extra_positive"),
        extra_negative=validate_text(fields, "extra_negative"),
        checkpoint=validate_text(fields, "checkpoint"),
        tag=validate_text(fields, "tag"),
    )


def _parse_whole_number(value: Any, *, floats: bool = True) -> int | None:
    """Return a whole number, given as a number or as digits, or None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and floats and value.is_integer():
        return int(value)
    if isinstance(value, str) and len(value) <= MAX_DIGITS and value.strip().isdecimal():
        return int(value)
    return None


def _validate_side(fields: Mapping[str, Any], field: str) -> int | None:
    """Return a width or height in pixels, or None. Raises ServiceValidationError."""
    if fields.get(field) is None:
        return None
    side = _parse_whole_number(fields[field])
    if side is None or not MIN_SIDE <= side <= MAX_SIDE or side % SIDE_STEP:
        raise _create_error(
            _INVALID_SIDE[field],
            value=fields[field],
            min=MIN_SIDE,
            max=MAX_SIDE,
            step=SIDE_STEP,
        )
    return side


def validate_text(fields: Mapping[str, Any], field: str) -> str | None:
    """Return a text, or None if it is empty. Raises ServiceValidationError.

    A job with half of a surrogate pair could not be stored: see `replace_surrogates`.
    """
    text: str = fields.get(field) or ""
    if len(text) > MAX_TEXT:
        raise _create_error("text_too_long", field=field, max=MAX_TEXT)
    return replace_surrogates(text) or None


def replace_surrogates(text: str) -> str:
    """Return a text with question marks for halves of surrogate pairs.

    YAML, templates, and language models can contain them.
    """
    return text.encode(errors="replace").decode()


def _create_error(key: str, **placeholders: object) -> ServiceValidationError:
    """Return the error for invalid input."""
    return ServiceValidationError(
        translation_domain=DOMAIN,
        translation_key=key,
        translation_placeholders={name: str(value)[:100] for name, value in placeholders.items()},
    )
