"""Tests of adding, changing, and removing subentries without a reload."""

from types import MappingProxyType
from typing import Any

from homeassistant.config_entries import ConfigSubentry
from homeassistant.core import HomeAssistant
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.gaze.subentries import Subentries, Subentry, SubentryListener


def subentry(subentry_id: str, subentry_type: str = "display", **data: Any) -> ConfigSubentry:
    """Return a subentry as Home Assistant stores it."""
    return ConfigSubentry(
        data=MappingProxyType(data),
        subentry_id=subentry_id,
        subentry_type=subentry_type,
        title=subentry_id.title(),
        unique_id=None,
    )


def record(subentries: Subentries, subentry_type: str = "display") -> list[tuple[str, Subentry]]:
    """Return a list that grows with each call of a listener."""
    calls: list[tuple[str, Subentry]] = []
    subentries.async_add_listener(
        SubentryListener(
            subentry_type=subentry_type,
            on_added=lambda one: calls.append(("added", one)),
            on_changed=lambda one: calls.append(("changed", one)),
            on_removed=lambda one: calls.append(("removed", one)),
        )
    )
    return calls


async def test_listener_receives_existing_and_later_subentries(hass: HomeAssistant) -> None:
    entry = MockConfigEntry()
    entry.add_to_hass(hass)
    hass.config_entries.async_add_subentry(entry, subentry("hall", width=800))
    subentries = Subentries(hass=hass, entry=entry)
    subentries.async_start()

    calls = record(subentries)
    hass.config_entries.async_add_subentry(entry, subentry("kitchen"))

    assert [(what, one.subentry_id) for what, one in calls] == [
        ("added", "hall"),
        ("added", "kitchen"),
    ]
    assert calls[0][1].data == {"width": 800}


async def test_listener_receives_changes_made_in_place(hass: HomeAssistant) -> None:
    entry = MockConfigEntry()
    entry.add_to_hass(hass)
    hall = subentry("hall", width=800)
    hass.config_entries.async_add_subentry(entry, hall)
    subentries = Subentries(hass=hass, entry=entry)
    subentries.async_start()
    calls = record(subentries)
    calls.clear()

    hass.config_entries.async_update_subentry(entry, hall, data={"width": 1600})
    hass.config_entries.async_update_subentry(entry, hall, title="Hallway")
    hass.config_entries.async_update_entry(entry, title="Another title of the entry")

    assert [(what, one.title, one.data) for what, one in calls] == [
        ("changed", "Hall", {"width": 1600}),
        ("changed", "Hallway", {"width": 1600}),
    ]


async def test_listener_receives_removal_of_its_type_only(hass: HomeAssistant) -> None:
    entry = MockConfigEntry()
    entry.add_to_hass(hass)
    hass.config_entries.async_add_subentry(entry, subentry("hall", width=800))
    hass.config_entries.async_add_subentry(entry, subentry("morning", "recipe"))
    subentries = Subentries(hass=hass, entry=entry)
    subentries.async_start()
    displays, recipes = record(subentries), record(subentries, "recipe")
    displays.clear()
    recipes.clear()

    hass.config_entries.async_remove_subentry(entry, "hall")

    assert [(what, one.subentry_id, one.data) for what, one in displays] == [
        ("removed", "hall", {"width": 800})
    ]
    assert recipes == []


async def test_stopped_subentries_call_no_listener(hass: HomeAssistant) -> None:
    entry = MockConfigEntry()
    entry.add_to_hass(hass)
    subentries = Subentries(hass=hass, entry=entry)
    stop = subentries.async_start()
    calls = record(subentries)

    stop()
    hass.config_entries.async_add_subentry(entry, subentry("hall"))

    assert calls == []
