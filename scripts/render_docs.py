"""Renders the sections of docs/ between `<!-- generated: NAME -->` and `<!-- end -->`.

The sources are `en.json`, `services.yaml`, and the entity descriptions, so that
labels, defaults, and error messages are written only once.
"""

from collections.abc import Iterator, Mapping
import importlib
import json
import logging
from pathlib import Path
import re
from typing import Any, Final

from homeassistant.helpers.selector import Selector
from homeassistant.util.yaml import load_yaml_dict
import voluptuous as vol

# Without libturbojpeg, Home Assistant logs a stack trace when the integration is imported.
logging.getLogger("homeassistant.components.camera.img_util").setLevel(logging.CRITICAL)

from custom_components.gaze import PLATFORMS, config_flow  # noqa: E402
from custom_components.gaze.const import DOMAIN  # noqa: E402
from custom_components.gaze.jobs import Reason  # noqa: E402

ROOT: Final = Path(__file__).parent.parent
INTEGRATION: Final = ROOT / "custom_components" / DOMAIN
PAGES: Final = sorted((ROOT / "docs").glob("*.md"))
TEXTS: Final[dict[str, Any]] = json.loads((INTEGRATION / "translations" / "en.json").read_text())
ACTIONS: Final[dict[str, Any]] = load_yaml_dict(str(INTEGRATION / "services.yaml"))

_SECTION: Final = re.compile(
    r"(?<=<!-- generated: )([\w .]+)( -->\n)(.*?)(?=<!-- end -->)", re.DOTALL
)
_DEVICES: Final = ("display", "preset", "recipe")
# Entities whose constant does not begin with the name of their device.
_DEVICE_OF: Final = {"HOLD": "display", "LAST_FETCHED": "display", "PRESET": "server"}
_CATEGORIES: Final = {"config": "configuration", "diagnostic": "diagnostic"}
_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")


def render(page: str) -> str:
    """Return a page with its generated sections rendered again."""

    def section(match: re.Match[str]) -> str:
        content = "\n".join(_render_section(match[1]))
        return f"{match[1]}{match[2]}\n{content}\n\n"

    return _SECTION.sub(section, page)


def section_names() -> set[str]:
    """Return the names of the generated sections of all pages."""
    return {match[1] for page in PAGES for match in _SECTION.finditer(page.read_text())}


def _render_section(name: str) -> Iterator[str]:
    match name.split():
        case ["connection"]:
            yield from _render_form(TEXTS["config"]["step"]["user"], config_flow.USER_SCHEMA)
        case ["options"]:
            yield from _render_form(TEXTS["options"]["step"]["init"], config_flow.OPTIONS_SCHEMA)
        case ["entities", device]:
            yield from _render_entities(device)
        case ["action", action]:
            yield from _render_action(action)
        case ["reasons"]:
            for reason in Reason:
                message = TEXTS["exceptions"][f"job_failed_{reason}"]["message"]
                yield f"- `{reason}`: {_plain(message)}"
        case ["errors", "setup"]:
            for message in TEXTS["config"]["error"].values():
                yield f"- {_plain(message)}"
        case ["errors", "actions"]:
            messages = (text["message"] for text in TEXTS["exceptions"].values())
            yield from (f"- {message}" for message in sorted(map(_plain, messages)))
        case _:
            raise ValueError(f"Unknown section: {name}")


def _render_form(form: Mapping[str, Any], schema: vol.Schema) -> Iterator[str]:
    """Yield a list item for each field, also for those in sections."""
    fields = {str(field): (field, selector) for field, selector in schema.schema.items()}
    # In the order of the form, where fields with choices of the server come last.
    order = [*fields, *(key for key in form["data"] if key not in fields)]
    for key in sorted(form["data"], key=order.index):
        label = form["data"][key]
        description = _plain(form["data_description"][key])
        yield f"- **{label}**: {description}{_default(*fields.get(key, (None, None)))}"
    for name, part in form.get("sections", {}).items():
        for item in _render_form(part, fields[name][1].schema):
            yield item.replace("- **", f"- **{part['name']}** > **", 1)


def _default(marker: Any, selector: Any) -> str:
    """Return a sentence on the default of a field of a form."""
    default = getattr(marker, "default", vol.UNDEFINED)
    if isinstance(default, vol.Undefined) or (value := default()) == []:
        return ""
    unit = _unit(selector)
    shown = {True: "on", False: "off"}.get(value, f"{value}{unit}") if value is not None else ""
    return f" Defaults to {shown}."


def _unit(selector: Any) -> str:
    """Return the unit of a number selector, also of one inside other validators."""
    for part in getattr(selector, "validators", (selector,)):
        if isinstance(part, Selector):
            unit = part.config.get("unit_of_measurement")
            return {"h": " hours", "min": " minutes", None: ""}.get(unit, f" {unit}")
    return ""


def _render_entities(device: str) -> Iterator[str]:
    """Yield a table of the entities of a device."""
    yield "| Name | Entity ID | Notes |"
    yield "|---|---|---|"
    for platform in PLATFORMS:
        module = importlib.import_module(f"custom_components.{DOMAIN}.{platform}")
        for constant, value in vars(module).items():
            if not constant.isupper() or _device(constant) != device:
                continue
            for description in value if isinstance(value, tuple) else (value,):
                if hasattr(description, "entity_registry_enabled_default"):
                    yield _entity_row(platform, device, description)


def _device(constant: str) -> str:
    """Return the device of the entities that a constant describes."""
    first = constant.partition("_")[0].lower()
    return _DEVICE_OF.get(constant, first if first in _DEVICES else "server")


def _entity_row(platform: str, device: str, description: Any) -> str:
    """Return the row of an entity."""
    texts = TEXTS["entity"].get(platform, {}).get(description.translation_key or "", {})
    name = texts.get("name")
    if name is None and description.device_class is not None:
        name = str(description.device_class).replace("_", " ").capitalize()
    parts = [DOMAIN, *([] if device == "server" else [f"<{device}>"])]
    if name is not None:
        parts.append(description.key)
    notes = [
        *([_CATEGORIES[category]] if (category := description.entity_category) else []),
        *([] if description.entity_registry_enabled_default else ["disabled by default"]),
        *_states(description),
    ]
    entity_id = f"{platform}.{'_'.join(parts)}"
    return f"| {name or 'Named after the device'} | `{entity_id}` | {', '.join(notes)} |"


def _states(description: Any) -> Iterator[str]:
    """Yield the states, event types, or unit of an entity."""
    for field in ("options", "event_types"):
        if values := getattr(description, field, None):
            yield ", ".join(f"`{value}`" for value in values)
    if unit := getattr(description, "native_unit_of_measurement", None):
        yield {"s": "in seconds", "px": "in pixels"}.get(unit, f"in {unit}")


def _render_action(action: str) -> Iterator[str]:
    """Yield the description of an action and a table of its fields."""
    texts = TEXTS["services"][action]
    yield texts["description"]
    rows = [
        _field_row(name, field, texts["fields"][name])
        for name, field in _fields(ACTIONS[action] or {})
    ]
    if rows:
        yield from ("", "| Field | Name | Description |", "|---|---|---|", *rows)


def _fields(description: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the fields of an action, also those in sections."""
    for name, field in description.get("fields", {}).items():
        if "fields" in field:
            yield from _fields(field)
        else:
            yield name, field


def _field_row(name: str, field: Mapping[str, Any], texts: Mapping[str, str]) -> str:
    """Return the row of a field of an action."""
    required = " (required)" if field.get("required") else ""
    description = texts["description"] + _limits(field) + _field_default(field)
    return f"| `{name}`{required} | {texts['name']} | {description} |"


def _limits(field: Mapping[str, Any]) -> str:
    """Return a sentence on the values that a field accepts."""
    selector: dict[str, Any] = field.get("selector", {})
    if (number := selector.get("number")) is not None and {"min", "max"} <= number.keys():
        return f" From {number['min']} to {number['max']}."
    if (select := selector.get("select")) is not None:
        values = [
            option["value"] if isinstance(option, dict) else option for option in select["options"]
        ]
        return f" One of {', '.join(f'`{value}`' for value in values)}."
    if (selector.get("text") or {}).get("multiple"):
        return " One ID or a list."
    return ""


def _field_default(field: Mapping[str, Any]) -> str:
    """Return a sentence on the default of a field of an action."""
    if (default := field.get("default")) is None:
        return ""
    return f" Defaults to `{json.dumps(default).strip('"')}`."


def _plain(text: str) -> str:
    """Return a text with its placeholders as ellipses."""
    text = text.replace("{example_url}", config_flow.PLACEHOLDERS["example_url"])
    return _PLACEHOLDER.sub("…", text)


def main() -> None:
    """Render all pages."""
    for page in PAGES:
        text = page.read_text()
        if (rendered := render(text)) != text:
            page.write_text(rendered)
            print(f"Rendered {page.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
