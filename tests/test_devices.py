"""Tests of the devices of servers, presets, recipes, and displays."""

from collections.abc import Callable
from types import MappingProxyType

from freezegun.api import FrozenDateTimeFactory
from homeassistant.config_entries import ConfigEntryState, ConfigSubentry
from homeassistant.const import STATE_UNAVAILABLE
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr, entity_registry as er
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.gaze.const import CONF_PRESETS, DOMAIN
from testing.gaze_server import GazeServer

from .common import press
from .conftest import SetUp

FIVE = {
    "GAZE",
    "GAZE Kirschblüte im Regen",
    "GAZE Neon city",
    "GAZE Oil painting",
    "GAZE Paper forest",
    "GAZE Watercolour harbour",
}
REFRESH = "button.gaze_refresh_presets"

type Names = Callable[[], set[str | None]]


@pytest.fixture
def names(device_registry: dr.DeviceRegistry, config_entry: MockConfigEntry) -> Names:
    """Return a function that returns the names of the devices."""
    return lambda: {
        device.name
        for device in dr.async_entries_for_config_entry(device_registry, config_entry.entry_id)
    }


def _device(
    device_registry: dr.DeviceRegistry, entry: MockConfigEntry, slug: str
) -> dr.DeviceEntry:
    device = device_registry.async_get_device_by_identifier(
        (DOMAIN, f"{entry.entry_id}-{slug}"), entry.entry_id
    )
    assert device is not None
    return device


async def test_each_preset_has_device_below_server(
    entry: MockConfigEntry, names: Names, device_registry: dr.DeviceRegistry
) -> None:
    server = device_registry.async_get_device_by_identifier(
        (DOMAIN, entry.entry_id), entry.entry_id
    )

    assert names() == FIVE
    assert server is not None
    assert server.configuration_url == entry.data["host"]
    assert server.entry_type is dr.DeviceEntryType.SERVICE
    assert _device(device_registry, entry, "neon_city").via_device_id == server.id


async def test_new_preset_gets_device(
    hass: HomeAssistant, entry: MockConfigEntry, server: GazeServer, names: Names
) -> None:
    server.put_preset("snow", "Snow")

    await press(hass, REFRESH)
    await hass.async_block_till_done()

    assert entry.state is ConfigEntryState.LOADED
    assert names() == {*FIVE, "GAZE Snow"}
    assert hass.states.get("image.gaze_snow") is not None
    assert hass.states.get("button.gaze_snow_generate") is not None


@pytest.mark.usefixtures("entry")
async def test_device_and_entities_are_removed_when_preset_is_deleted(
    hass: HomeAssistant, server: GazeServer, names: Names, entity_registry: er.EntityRegistry
) -> None:
    server.remove_preset("neon_city")

    await press(hass, REFRESH)
    await hass.async_block_till_done()

    assert names() == FIVE - {"GAZE Neon city"}
    assert hass.states.get("image.gaze_neon_city") is None
    assert entity_registry.async_get("image.gaze_neon_city") is None
    assert entity_registry.async_get("button.gaze_neon_city_generate") is None


async def test_preset_that_returns_has_same_device(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    server: GazeServer,
    device_registry: dr.DeviceRegistry,
) -> None:
    before = _device(device_registry, entry, "neon_city")
    device_registry.async_update_device(before.id, name_by_user="My city")
    server.remove_preset("neon_city")
    await press(hass, REFRESH)
    await hass.async_block_till_done()
    server.put_preset("neon_city", "Neon city")

    await press(hass, REFRESH)
    await hass.async_block_till_done()

    after = _device(device_registry, entry, "neon_city")
    assert after.id == before.id
    assert after.name_by_user == "My city"
    assert hass.states.get("image.gaze_neon_city") is not None


async def test_renamed_preset_has_same_ids_and_names_of_user(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    server: GazeServer,
    device_registry: dr.DeviceRegistry,
    entity_registry: er.EntityRegistry,
) -> None:
    named = _device(device_registry, entry, "neon_city")
    device_registry.async_update_device(named.id, name_by_user="My city")
    entity_registry.async_update_entity("image.gaze_paper_forest", name="Wood")
    server.put_preset("neon_city", "Night city")
    server.put_preset("paper_forest", "Forest")
    server.put_preset("oil-painting", "Oil")

    await press(hass, REFRESH)
    await hass.async_block_till_done()

    named = _device(device_registry, entry, "neon_city")
    assert (named.name, named.name_by_user) == ("GAZE Night city", "My city")
    friendly = {state.entity_id: state.name for state in hass.states.async_all()}
    assert friendly["image.gaze_neon_city"] == "My city"
    assert friendly["image.gaze_paper_forest"] == "Wood"
    assert friendly["image.gaze_oil_painting"] == "GAZE Oil"
    assert friendly["button.gaze_oil_painting_generate"] == "GAZE Oil Generate"


async def test_server_without_presets_has_one_device(
    hass: HomeAssistant,
    server: GazeServer,
    config_entry: MockConfigEntry,
    setup_integration: SetUp,
    names: Names,
) -> None:
    server.presets.clear()

    await setup_integration(config_entry)

    assert names() == {"GAZE"}
    state = hass.states.get("select.gaze_preset")
    assert state is not None
    assert state.attributes["options"] == []


async def test_option_limits_devices(
    hass: HomeAssistant, entry: MockConfigEntry, names: Names
) -> None:
    hass.config_entries.async_update_entry(entry, options={CONF_PRESETS: ["neon_city"]})
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    limited = names()

    hass.config_entries.async_update_entry(entry, options={CONF_PRESETS: []})
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()

    assert limited == {"GAZE", "GAZE Neon city"}
    assert names() == FIVE


async def test_controls_offer_presets_without_device(
    hass: HomeAssistant, config_entry: MockConfigEntry, setup_integration: SetUp
) -> None:
    config_entry.add_to_hass(hass)
    hass.config_entries.async_update_entry(config_entry, options={CONF_PRESETS: ["neon_city"]})

    await hass.config_entries.async_setup(config_entry.entry_id)
    await hass.async_block_till_done()

    state = hass.states.get("select.gaze_preset")
    assert setup_integration is not None
    assert state is not None
    assert "Oil painting" in state.attributes["options"]


async def test_old_devices_are_removed_when_server_lists_presets(
    hass: HomeAssistant, entry: MockConfigEntry, server: GazeServer, names: Names
) -> None:
    await hass.config_entries.async_unload(entry.entry_id)
    server.remove_preset("neon_city")

    await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()

    assert names() == FIVE - {"GAZE Neon city"}


async def test_devices_stay_while_server_is_off(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    server: GazeServer,
    names: Names,
    freezer: FrozenDateTimeFactory,
) -> None:
    freezer.move_to("2026-11-22")
    server.remove_preset("neon_city")
    server.set_online(False)

    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()

    assert entry.state is ConfigEntryState.LOADED
    assert names() == FIVE
    image, button = (
        hass.states.get("image.gaze_neon_city"),
        hass.states.get("button.gaze_neon_city_generate"),
    )
    assert image is not None
    assert image.state != STATE_UNAVAILABLE
    assert button is not None
    assert button.state == STATE_UNAVAILABLE

    server.set_online(True)
    await entry.runtime_data.async_refresh()
    await hass.async_block_till_done()

    assert names() == FIVE - {"GAZE Neon city"}


async def test_unusual_preset_names_result_in_usable_entities(
    hass: HomeAssistant,
    server: GazeServer,
    config_entry: MockConfigEntry,
    setup_integration: SetUp,
    names: Names,
) -> None:
    server.presets.clear()
    for slug, name in {
        "html": "<script>alert('x')</script>",
        "emoji": "🎨",
        "long": "y" * 10_000,
        "rtl": "\u202eabc\u202c",
        "Case": "Lower and upper",
        "case": "lower and upper",
        "one": "Same",
        "two": "Same",
    }.items():
        server.put_preset(slug, name)

    await setup_integration(config_entry)

    assert names() == {
        "GAZE",
        "GAZE <script>alert('x')</script>",
        "GAZE emoji",
        f"GAZE {'y' * 79}…",
        "GAZE abc",
        "GAZE Lower and upper",
        "GAZE lower and upper",
        "GAZE Same (one)",
        "GAZE Same (two)",
    }
    assert set(hass.states.async_entity_ids("image")) == {
        "image.gaze_latest_image",
        "image.gaze_script_alert_x_script",
        "image.gaze_emoji",
        f"image.gaze_{'y' * 79}",
        "image.gaze_abc",
        "image.gaze_lower_and_upper",
        "image.gaze_lower_and_upper_2",
        "image.gaze_same_one",
        "image.gaze_same_two",
    }


async def test_subentry_device_is_renamed_with_subentry(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    registry = dr.async_get(hass)
    hall = ConfigSubentry(
        data=MappingProxyType({}),
        subentry_id="01K3DISPLAY00000000000HALL",
        subentry_type="display",
        title="Hall",
        unique_id=None,
    )

    hass.config_entries.async_add_subentry(entry, hall)
    device = registry.async_get_device_by_identifier(("gaze", hall.subentry_id), entry.entry_id)
    assert device is not None
    assert (device.name, device.model) == ("GAZE Hall", "Display")
    assert device.config_subentry_id == hall.subentry_id

    hass.config_entries.async_update_subentry(entry, hall, title="Hallway")
    server.put_preset("new", "New")
    await entry.runtime_data.async_refresh()
    await hass.async_block_till_done()
    renamed = registry.async_get(device.id)
    assert renamed is not None
    assert renamed.name == "GAZE Hallway"

    hass.config_entries.async_remove_subentry(entry, hall.subentry_id)
    assert registry.async_get(device.id) is None
