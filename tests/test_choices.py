"""Tests of the presets in the action descriptions."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from homeassistant.core import HomeAssistant
from homeassistant.helpers.selector import validate_selector
from homeassistant.helpers.service import async_get_all_descriptions
from homeassistant.util.yaml import load_yaml_dict
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.gaze import choices
from custom_components.gaze.const import DOMAIN
from testing.gaze_server import GazeServer, made_up_presets

from .conftest import SetUp

FILE = Path(choices.__file__).with_name("services.yaml")


def _fields(fields: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, field in fields.items():
        if "fields" in field:
            yield from _fields(field["fields"])
        else:
            yield name, field


async def _selectors(hass: HomeAssistant) -> dict[str, dict[str, Any]]:
    """Return the selector of the field `preset` of each action that has it."""
    actions = (await async_get_all_descriptions(hass))[DOMAIN]
    return {
        action: field["selector"]
        for action, description in actions.items()
        for name, field in _fields(description["fields"])
        if name == "preset"
    }


def _actions_with_a_preset() -> set[str]:
    return {
        action
        for action, description in load_yaml_dict(str(FILE)).items()
        for name, _ in _fields(description.get("fields", {}))
        if name == "preset"
    }


def _options(selector: dict[str, Any]) -> list[tuple[str, str]]:
    return [(option["value"], option["label"]) for option in selector["select"]["options"]]


@pytest.mark.usefixtures("entry")
async def test_every_action_offers_presets_and_accepts_free_text(
    hass: HomeAssistant, server: GazeServer
) -> None:
    selectors = await _selectors(hass)

    assert selectors.keys() == _actions_with_a_preset()
    assert "generate" in selectors
    for selector in selectors.values():
        validate_selector(selector)
        assert selector["select"]["custom_value"] is True
        assert _options(selector) == [
            (slug, preset.name) for slug, preset in server.presets.items()
        ]


@pytest.mark.usefixtures("entry")
async def test_other_parts_of_descriptions_stay_unchanged(hass: HomeAssistant) -> None:
    described = (await async_get_all_descriptions(hass))[DOMAIN]

    for action, description in load_yaml_dict(str(FILE)).items():
        described_fields = dict(_fields(described[action]["fields"]))
        for name, field in _fields(description.get("fields", {})):
            selector = validate_selector(field["selector"])
            if name == "preset":
                selector = described_fields[name]["selector"]
            assert described_fields[name] == {**field, "selector": selector}
        for name, field in description.get("fields", {}).items():
            if "fields" in field:
                assert described[action]["fields"][name]["collapsed"] is field["collapsed"]
    assert described["generate"]["response"] == {"optional": True}
    assert described["list_presets"]["response"] == {"optional": False}


async def test_choices_change_when_presets_change(
    hass: HomeAssistant, entry: MockConfigEntry, server: GazeServer
) -> None:
    before = (await _selectors(hass))["generate"]
    server.put_preset("snow", "Snow")
    server.remove_preset("neon_city")

    await entry.runtime_data.async_refresh()

    after = (await _selectors(hass))["generate"]
    assert ("neon_city", "Neon city") in _options(before)
    assert ("snow", "Snow") in _options(after)
    assert ("neon_city", "Neon city") not in _options(after)


async def test_preset_is_text_field_when_no_server_is_loaded(
    hass: HomeAssistant, entry: MockConfigEntry
) -> None:
    await hass.config_entries.async_unload(entry.entry_id)

    selectors = await _selectors(hass)

    assert {next(iter(selector)) for selector in selectors.values()} == {"text"}


async def test_descriptions_stay_when_presets_are_unchanged(
    hass: HomeAssistant, entry: MockConfigEntry, server: GazeServer
) -> None:
    before = await async_get_all_descriptions(hass)
    server.set_online(False)
    await entry.runtime_data.async_refresh()
    server.set_online(True)

    await entry.runtime_data.async_refresh()

    assert await async_get_all_descriptions(hass) is before


async def test_choices_contain_presets_of_all_servers(
    hass: HomeAssistant, entry: MockConfigEntry, server: GazeServer, setup_integration: SetUp
) -> None:
    async with GazeServer(made_up_presets(2), duration=None) as second:
        second.put_preset("neon_city", "Another name")
        second_entry = MockConfigEntry(
            domain=DOMAIN,
            title="GAZE (second)",
            data={"host": second.url, "api_key": second.api_key, "verify_ssl": True},
        )
        await setup_integration(second_entry)
        both = _options((await _selectors(hass))["generate"])
        await hass.config_entries.async_unload(entry.entry_id)
        one = _options((await _selectors(hass))["generate"])
        await hass.config_entries.async_unload(second_entry.entry_id)

    assert len(both) == len(server.presets) + 2
    assert ("neon_city", "Neon city") in both
    assert len(one) == 3
    assert ("neon_city", "Another name") in one


@pytest.mark.usefixtures("entry")
async def test_fields_have_suitable_selectors(hass: HomeAssistant) -> None:
    actions = (await async_get_all_descriptions(hass))[DOMAIN]

    for description in actions.values():
        for name, field in _fields(description["fields"]):
            validate_selector(field["selector"])
            kind = next(iter(field["selector"]))
            if name == "config_entry_id":
                assert field["selector"] == {"config_entry": {"integration": DOMAIN}}
            if name == "timeout":
                assert kind == "duration"
            if name == "seed":
                assert kind == "text"  # JavaScript rounds numbers above 2⁵³
