"""The texts that people read fit the code, in both directions."""

import json
from pathlib import Path
import re
from typing import Any

from homeassistant.util.yaml import load_yaml_dict
import pytest

INTEGRATION = Path(__file__).parent.parent / "custom_components" / "gaze"
TEXTS: dict[str, Any] = json.loads((INTEGRATION / "translations" / "en.json").read_text())
ICONS: dict[str, Any] = json.loads((INTEGRATION / "icons.json").read_text())
SERVICES: dict[str, Any] = load_yaml_dict(str(INTEGRATION / "services.yaml"))
NAMED_AFTER_THEIR_DEVICE = {"preset_image"}
CODE = "\n".join(path.read_text() for path in sorted(INTEGRATION.rglob("*.py")))


def fields(action: str) -> dict[str, set[str]]:
    """Return the fields of an action in services.yaml, by section; "" is none."""
    found: dict[str, set[str]] = {"": set()}
    for name, field in (SERVICES[action] or {}).get("fields", {}).items():
        if "fields" in field:
            found[name] = set(field["fields"])
        else:
            found[""].add(name)
    return found


@pytest.mark.parametrize("action", SERVICES)
def test_every_action_and_field_has_its_texts_and_icon(action: str) -> None:
    texts = TEXTS["services"][action]
    described = fields(action)
    sections = set(described) - {""}

    assert texts["name"]
    assert texts["description"]
    assert set(texts.get("fields", {})) == set().union(*described.values())
    assert all(text["name"] and text["description"] for text in texts.get("fields", {}).values())
    assert set(texts.get("sections", {})) == sections
    assert ICONS["services"][action]["service"].startswith("mdi:")
    assert set(ICONS["services"][action].get("sections", {})) == sections


def test_there_are_no_texts_and_icons_of_actions_that_do_not_exist() -> None:
    assert set(TEXTS["services"]) == set(SERVICES) == set(ICONS["services"])


@pytest.mark.parametrize("key", TEXTS["exceptions"])
def test_every_text_of_an_exception_is_used(key: str) -> None:
    assert f'"{key}"' in CODE


def test_every_exception_has_a_text() -> None:
    keys = set(re.findall(r'translation_key="(\w+)",\s+translation_placeholders', CODE))
    keys |= set(re.findall(r'_invalid\(\s*"(\w+)"', CODE))
    keys |= set(re.findall(r'translation_domain=DOMAIN, translation_key="(\w+)"', CODE))
    keys |= set(re.findall(r'translation_domain=DOMAIN,\s+translation_key="(\w+)"', CODE))

    assert keys
    assert keys <= set(TEXTS["exceptions"]) | set(TEXTS.get("issues", {}))


def test_icons_are_material_design_icons_and_differ_from_their_default() -> None:
    for platform in ICONS["entity"].values():
        for icons in platform.values():
            assert icons["default"].startswith("mdi:")
            assert icons["default"] not in icons.get("state", {}).values()


def test_every_icon_belongs_to_an_entity_with_a_name() -> None:
    for platform, icons in ICONS["entity"].items():
        assert set(icons) <= set(TEXTS["entity"][platform]) | NAMED_AFTER_THEIR_DEVICE
