"""Tests of setting up, unloading, and removing a server."""

from pathlib import Path

from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import CoreState, HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers.storage import STORAGE_DIR
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.gaze.const import DOMAIN, EVENT_GAZE
from custom_components.gaze.coordinator import presets_store
from testing.faults import Fault
from testing.gaze_server import GazeServer

from .common import PRESET, act, made, until
from .conftest import SetUp


def kept_files(hass: HomeAssistant) -> list[str]:
    """Return the names of the integration's files in the storage directory."""
    return sorted(path.name for path in Path(hass.config.path(STORAGE_DIR)).glob(f"{DOMAIN}.*"))


async def test_server_is_unloaded_and_set_up_again(
    hass: HomeAssistant, entry: MockConfigEntry
) -> None:
    assert await hass.config_entries.async_unload(entry.entry_id)
    unloaded = entry.state

    assert await hass.config_entries.async_setup(entry.entry_id)

    assert unloaded is ConfigEntryState.NOT_LOADED
    assert entry.state is ConfigEntryState.LOADED


async def test_setup_is_retried_when_server_never_responded(
    hass: HomeAssistant, server: GazeServer, config_entry: MockConfigEntry, media_dir: Path
) -> None:
    server.set_online(False)
    config_entry.add_to_hass(hass)

    await hass.config_entries.async_setup(config_entry.entry_id)

    assert config_entry.state is ConfigEntryState.SETUP_RETRY
    assert config_entry.error_reason_translation_key == "update_failed"


async def test_images_are_shown_when_server_is_off_at_start(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    await made(hass, server)
    shown = hass.states.get("image.gaze_latest_image")
    await hass.config_entries.async_unload(entry.entry_id)
    server.set_online(False)

    await hass.config_entries.async_setup(entry.entry_id)
    state = hass.states.get("image.gaze_latest_image")
    preset = hass.states.get("image.gaze_neon_city")
    connectivity = hass.states.get("binary_sensor.gaze_connectivity")
    server.set_online(True)
    await entry.runtime_data.async_refresh()

    assert entry.state is ConfigEntryState.LOADED
    assert shown is not None
    assert state is not None
    assert state.state == shown.state
    assert preset is not None
    assert preset.state == shown.state
    assert connectivity is not None
    assert connectivity.state == "off"
    assert hass.states.is_state("binary_sensor.gaze_connectivity", "on")


async def test_images_are_shown_without_stored_presets(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    await made(hass, server)
    shown = hass.states.get("image.gaze_latest_image")
    await hass.config_entries.async_unload(entry.entry_id)
    await presets_store(hass, entry.entry_id).async_remove()
    server.set_online(False)

    await hass.config_entries.async_setup(entry.entry_id)
    assert entry.state is ConfigEntryState.LOADED
    state = hass.states.get("image.gaze_latest_image")
    with pytest.raises(HomeAssistantError) as caught:
        await act(hass, "generate", preset=PRESET)
    server.set_online(True)
    await entry.runtime_data.async_refresh()

    assert caught.value.translation_key == "update_failed"
    assert shown is not None
    assert state is not None
    assert state.state == shown.state
    assert (preset := hass.states.get("image.gaze_neon_city")) is not None
    assert preset.state == shown.state


async def test_jobs_are_tracked_when_home_assistant_has_started(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    await act(hass, "generate", preset=PRESET)
    await server.finish()
    await hass.config_entries.async_unload(entry.entry_id)
    server.reset_counts()
    told: list[str] = []
    hass.bus.async_listen(EVENT_GAZE, lambda event: told.append(event.data["type"]))
    hass.set_state(CoreState.starting)

    await hass.config_entries.async_setup(entry.entry_id)
    before = server.requests["job"]
    hass.set_state(CoreState.running)
    hass.bus.async_fire("homeassistant_started")
    await until(lambda: told == ["finished"])

    assert before == 0


async def test_only_images_remain_when_server_is_removed(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, media_dir: Path
) -> None:
    await made(hass, server)
    while_set_up = kept_files(hass)

    await hass.config_entries.async_remove(entry.entry_id)

    assert while_set_up
    assert kept_files(hass) == []
    assert len(list(media_dir.rglob("*.png"))) == 1


async def test_setup_reports_unusable_store(
    hass: HomeAssistant, config_entry: MockConfigEntry, media_dir: Path
) -> None:
    Path(hass.config.path(STORAGE_DIR, f"{DOMAIN}.{config_entry.entry_id}.jobs.db")).mkdir(
        parents=True
    )
    config_entry.add_to_hass(hass)

    await hass.config_entries.async_setup(config_entry.entry_id)

    assert config_entry.state is ConfigEntryState.SETUP_RETRY
    assert config_entry.error_reason_translation_key == "store_unusable"


async def test_unusable_store_differs_from_server_that_is_off(
    hass: HomeAssistant, entry: MockConfigEntry
) -> None:
    await hass.config_entries.async_unload(entry.entry_id)
    store = Path(hass.config.path(STORAGE_DIR, f"{DOMAIN}.{entry.entry_id}.jobs.db"))
    store.unlink()
    store.mkdir()

    await hass.config_entries.async_setup(entry.entry_id)

    assert entry.state is ConfigEntryState.SETUP_RETRY


@pytest.mark.parametrize(
    "fault", [Fault.GARBAGE_JSON, Fault.WRONG_TYPES, Fault.MISSING_FIELDS, Fault.HUGE_JSON]
)
async def test_last_presets_stay_when_listing_is_malformed(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, fault: Fault
) -> None:
    server.faults.on(fault, "presets")

    await entry.runtime_data.async_refresh()

    assert list(entry.runtime_data.data) == list(server.presets)
    assert not entry.runtime_data.last_update_success


async def test_key_is_in_no_log(
    hass: HomeAssistant,
    server: GazeServer,
    config_entry: MockConfigEntry,
    setup_integration: SetUp,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    await setup_integration(config_entry)
    await made(hass, server)
    server.faults.on(Fault.SERVER_ERROR)
    await config_entry.runtime_data.async_refresh()
    server.faults.clear()
    server.regenerate_key()
    await config_entry.runtime_data.async_refresh()

    assert config_entry.data["api_key"] not in caplog.text


async def test_key_is_sent_only_as_header_of_api_requests(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    await made(hass, server)

    for request in server.log:
        assert entry.data["api_key"] not in request.path
        names = [name for name, value in request.headers.items() if value == entry.data["api_key"]]
        assert names == (["X-API-Key"] if request.path.startswith("/api/") else [])
