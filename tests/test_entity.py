"""Tests that apply to all entities."""

from collections.abc import Callable
import json
from pathlib import Path

from homeassistant.const import (
    EVENT_STATE_CHANGED,
    EVENT_STATE_REPORTED,
    STATE_UNAVAILABLE,
    EntityCategory,
)
from homeassistant.core import (
    Event,
    EventStateChangedData,
    EventStateReportedData,
    HomeAssistant,
    callback,
)
from homeassistant.helpers import entity_registry as er
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.syrupy import HomeAssistantSnapshotExtension
from syrupy.assertion import SnapshotAssertion

from custom_components.gaze.const import DOMAIN
from testing.gaze_server import GazeServer

from .common import make_image, press, wait_for
from .conftest import SetUp

COMPONENT = Path(__file__).parent.parent / "custom_components" / "gaze"
# Attributes that differ after each start
CHANGING = {"access_token", "entity_picture"}

type Writes = Callable[[], list[str]]


@pytest.fixture
def writes(hass: HomeAssistant) -> Writes:
    """Return a function that returns the entities written since its last call."""
    written: list[str] = []

    @callback
    def note(event: Event[EventStateChangedData] | Event[EventStateReportedData]) -> None:
        written.append(event.data["entity_id"])

    @callback
    def accept_all(_: object) -> bool:
        return True

    hass.bus.async_listen(EVENT_STATE_CHANGED, note)
    hass.bus.async_listen(EVENT_STATE_REPORTED, note, event_filter=accept_all)

    def take() -> list[str]:
        taken = sorted(written)
        written.clear()
        return taken

    return take


async def test_all_entities(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    entity_registry: er.EntityRegistry,
    snapshot: SnapshotAssertion,
) -> None:
    entity_registry.async_update_entity("sensor.gaze_kept_images", disabled_by=None)
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()

    snapshot = snapshot.use_extension(HomeAssistantSnapshotExtension)
    for registered in sorted(
        er.async_entries_for_config_entry(entity_registry, entry.entry_id),
        key=lambda registered: registered.entity_id,
    ):
        state = hass.states.get(registered.entity_id)
        assert state is not None
        assert {
            "unique_id": registered.unique_id,
            "category": registered.entity_category,
            "translation_key": registered.translation_key,
            "state": state.state,
            "attributes": {
                name: value for name, value in state.attributes.items() if name not in CHANGING
            },
        } == snapshot(name=registered.entity_id)


@pytest.mark.parametrize("language", ["en", "de"])
async def test_entity_ids_do_not_depend_on_language(
    hass: HomeAssistant,
    config_entry: MockConfigEntry,
    setup_integration: SetUp,
    entity_registry: er.EntityRegistry,
    language: str,
) -> None:
    hass.config.language = language

    await setup_integration(config_entry)

    ids = {
        registered.unique_id.removeprefix(f"{config_entry.entry_id}-"): registered.entity_id
        for registered in er.async_entries_for_config_entry(entity_registry, config_entry.entry_id)
    }
    assert ids["latest_image"] == "image.gaze_latest_image"
    assert ids["open_jobs"] == "sensor.gaze_open_jobs"
    assert ids["connectivity"] == "binary_sensor.gaze_connectivity"
    assert ids["neon_city-preset_image"] == "image.gaze_neon_city"
    assert ids["neon_city-generate"] == "button.gaze_neon_city_generate"
    assert "ai_task.gaze" in ids.values()


async def test_special_entities_are_disabled_by_default(
    entry: MockConfigEntry, entity_registry: er.EntityRegistry
) -> None:
    off = {
        registered.entity_id
        for registered in er.async_entries_for_config_entry(entity_registry, entry.entry_id)
        if registered.disabled_by is er.RegistryEntryDisabler.INTEGRATION
    }

    assert off == {"sensor.gaze_kept_images"}


async def test_every_entity_has_name_and_icon(
    entry: MockConfigEntry, entity_registry: er.EntityRegistry
) -> None:
    names = json.loads((COMPONENT / "translations" / "en.json").read_text())["entity"]
    icons = json.loads((COMPONENT / "icons.json").read_text())["entity"]

    for registered in er.async_entries_for_config_entry(entity_registry, entry.entry_id):
        if registered.translation_key is None:  # the AI task has the name of its device
            assert registered.domain == "ai_task"
            continue
        if registered.original_device_class == "connectivity":  # has a default name and icons
            continue
        assert registered.translation_key in icons[registered.domain]
        if registered.translation_key != "preset_image":  # has the name of its device
            assert names[registered.domain][registered.translation_key]["name"]


async def test_only_entities_about_integration_have_category(
    entry: MockConfigEntry, entity_registry: er.EntityRegistry
) -> None:
    categories = {
        registered.entity_id: registered.entity_category
        for registered in er.async_entries_for_config_entry(entity_registry, entry.entry_id)
        if registered.entity_category is not None
    }

    assert categories == {
        "binary_sensor.gaze_connectivity": EntityCategory.DIAGNOSTIC,
        "button.gaze_refresh_presets": EntityCategory.CONFIG,
        "sensor.gaze_kept_images": EntityCategory.DIAGNOSTIC,
        "sensor.gaze_presets": EntityCategory.DIAGNOSTIC,
    }


async def test_refresh_writes_no_state_when_nothing_changed(
    hass: HomeAssistant, entry: MockConfigEntry, server: GazeServer, writes: Writes
) -> None:
    await make_image(hass, server, "neon_city")
    writes()

    await entry.runtime_data.async_refresh()
    await hass.async_block_till_done()

    assert writes() == []


async def test_new_preset_writes_only_changed_states(
    hass: HomeAssistant, entry: MockConfigEntry, server: GazeServer, writes: Writes
) -> None:
    server.put_preset("snow", "Snow")

    await entry.runtime_data.async_refresh()
    await hass.async_block_till_done()

    assert set(writes()) == {
        "button.gaze_snow_generate",
        "image.gaze_snow",
        "select.gaze_preset",
        "sensor.gaze_presets",
    }


async def test_image_writes_only_states_of_its_preset_and_server(
    hass: HomeAssistant, entry: MockConfigEntry, server: GazeServer, writes: Writes
) -> None:
    await press(hass, "button.gaze_neon_city_generate")
    job_id = server.begin()
    await hass.services.async_call(
        DOMAIN, "wait", {"job_id": job_id, "timeout": 1}, blocking=True, return_response=True
    )
    await server.finish()
    await wait_for(hass, job_id)

    written = writes()
    assert entry.runtime_data.engine.open_jobs == []
    assert len(written) <= 16
    assert {entity_id for entity_id in written if "neon_city" in entity_id} == {
        "button.gaze_neon_city_generate",
        "image.gaze_neon_city",
    }
    assert not [entity_id for entity_id in written if "oil_painting" in entity_id]
    assert written.count("image.gaze_neon_city") == 1
    assert written.count("image.gaze_latest_image") == 1


async def test_entities_are_unavailable_when_server_they_need_is_off(
    hass: HomeAssistant, entry: MockConfigEntry, server: GazeServer, writes: Writes
) -> None:
    server.set_online(False)

    await entry.runtime_data.async_refresh()
    await hass.async_block_till_done()

    unavailable = {
        state.entity_id for state in hass.states.async_all() if state.state == STATE_UNAVAILABLE
    }
    assert unavailable == {"ai_task.gaze", *hass.states.async_entity_ids("button")}
    assert len(unavailable) == 9
    assert writes() == sorted({*unavailable, "binary_sensor.gaze_connectivity"})
