"""Tests that a key is invalid only if GAZE itself rejects it twice in a row."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import issue_registry as ir
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_time_changed

from custom_components.gaze.const import DOMAIN
from testing.faults import Fault
from testing.gaze_server import GazeServer

from .common import PRESET, act, made, press, until
from .conftest import SetUp

CONNECTIVITY = "binary_sensor.gaze_connectivity"
IMAGE = "image.gaze_latest_image"
GENERATE = "button.gaze_neon_city_generate"


def reauth_flows(hass: HomeAssistant) -> list[Any]:
    """Return the flows that request a new key."""
    return hass.config_entries.flow.async_progress_by_handler(DOMAIN)


async def confirm(hass: HomeAssistant, server: GazeServer) -> None:
    """Let 10 seconds pass, so that another request confirms the rejection."""
    listings = server.requests["presets"]
    async_fire_time_changed(hass, dt_util.utcnow() + timedelta(seconds=10))
    await until(lambda: server.requests["presets"] > listings)
    await hass.async_block_till_done()


async def list_presets(hass: HomeAssistant) -> None:
    """List the presets."""
    await press(hass, "button.gaze_refresh_presets")


async def generate(hass: HomeAssistant) -> None:
    """Queue a generation."""
    await act(hass, "generate", preset=PRESET)


@pytest.mark.parametrize("request_api", [list_presets, generate])
async def test_new_key_is_requested_when_key_is_rejected_twice(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    request_api: Callable[[HomeAssistant], Awaitable[None]],
) -> None:
    server.regenerate_key()

    with pytest.raises(HomeAssistantError) as caught:
        await request_api(hass)
    asked_after_one = bool(reauth_flows(hass))
    await confirm(hass, server)
    [flow] = reauth_flows(hass)
    state = hass.states.get(CONNECTIVITY)

    assert caught.value.translation_key == "auth_failed"
    assert not asked_after_one
    assert flow["context"]["source"] == "reauth"
    assert state is not None
    assert (state.state, state.attributes["problem"]) == ("off", "invalid_key")
    assert entry.state is ConfigEntryState.LOADED


@pytest.mark.parametrize("fault", [Fault.KEY_REGENERATED, Fault.SERVER_ERROR])
async def test_one_rejection_changes_nothing(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, fault: Fault
) -> None:
    await generate(hass)
    value = {Fault.KEY_REGENERATED: True, Fault.SERVER_ERROR: 403}[fault]
    server.faults.on(fault, "presets", value=value, times=1)
    with pytest.raises(HomeAssistantError):
        await list_presets(hass)
    available = not hass.states.is_state(GENERATE, "unavailable")
    connected = hass.states.is_state(CONNECTIVITY, "on")

    async_fire_time_changed(hass, dt_util.utcnow() + timedelta(seconds=61))
    await hass.async_block_till_done()
    await list_presets(hass)

    assert available
    assert connected
    assert reauth_flows(hass) == []


async def test_simultaneous_rejections_count_once(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    server.faults.on(Fault.KEY_REGENERATED, times=2)

    for _ in range(2):
        with pytest.raises(HomeAssistantError):
            await list_presets(hass)
    await confirm(hass, server)

    assert reauth_flows(hass) == []
    assert hass.states.is_state(CONNECTIVITY, "on")


async def test_page_of_proxy_is_not_about_key(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    server.regenerate_key()
    server.faults.on(Fault.HTML_ERRORS)

    with pytest.raises(HomeAssistantError) as caught:
        await list_presets(hass)
    for _ in range(3):
        with pytest.raises(HomeAssistantError):
            await generate(hass)
        async_fire_time_changed(hass, dt_util.utcnow() + timedelta(seconds=61))
        await hass.async_block_till_done()
    state = hass.states.get(CONNECTIVITY)

    assert caught.value.translation_key == "update_failed"
    assert reauth_flows(hass) == []
    assert state is not None
    assert state.attributes["problem"] == "unexpected_response"


async def test_refused_image_is_not_about_key(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    server.faults.on(Fault.SERVER_ERROR, "image", value=403, times=1)

    job = await made(hass, server)

    assert job["status"] == "done"
    assert reauth_flows(hass) == []
    assert hass.states.is_state(CONNECTIVITY, "on")


async def test_flow_closes_at_first_good_response(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    old = server.api_key
    server.regenerate_key()
    with pytest.raises(HomeAssistantError):
        await list_presets(hass)
    await confirm(hass, server)
    issue = f"config_entry_reauth_{DOMAIN}_{entry.entry_id}"
    asked = bool(reauth_flows(hass))
    reported = ir.async_get(hass).async_get_issue("homeassistant", issue) is not None

    server.regenerate_key(old)
    async_fire_time_changed(hass, dt_util.utcnow() + timedelta(seconds=90))
    await until(lambda: not reauth_flows(hass))
    await hass.async_block_till_done()

    assert asked
    assert reported
    assert ir.async_get(hass).async_get_issue("homeassistant", issue) is None
    assert hass.states.is_state(CONNECTIVITY, "on")


async def test_presets_are_polled_and_images_shown_while_key_is_invalid(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    job = await made(hass, server)
    server.regenerate_key()
    with pytest.raises(HomeAssistantError):
        await list_presets(hass)
    await confirm(hass, server)
    listings = server.requests["presets"]

    async_fire_time_changed(hass, dt_util.utcnow() + timedelta(seconds=90))
    await until(lambda: server.requests["presets"] > listings)
    listed = await act(hass, "list_images")

    assert [image["job_id"] for image in listed["images"]] == [job["job_id"]]
    assert hass.states.is_state(IMAGE, job["finished_at"])
    assert entry.runtime_data.data


async def test_start_with_rejected_key_loads_stored_presets(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    job = await made(hass, server)
    server.regenerate_key()

    await hass.config_entries.async_reload(entry.entry_id)
    asked_after_one = bool(reauth_flows(hass))
    await confirm(hass, server)
    listed = await act(hass, "list_images")

    assert entry.state is ConfigEntryState.LOADED
    assert not asked_after_one
    assert len(reauth_flows(hass)) == 1
    assert PRESET in entry.runtime_data.data
    assert hass.states.is_state(IMAGE, job["finished_at"])
    assert [image["job_id"] for image in listed["images"]] == [job["job_id"]]


async def test_first_start_with_rejected_key_loads_without_presets(
    hass: HomeAssistant,
    server: GazeServer,
    config_entry: MockConfigEntry,
    setup_integration: SetUp,
) -> None:
    key = server.api_key
    server.regenerate_key()

    await setup_integration(config_entry)
    presets = dict(config_entry.runtime_data.data)
    await confirm(hass, server)
    asked = len(reauth_flows(hass))
    server.regenerate_key(key)
    async_fire_time_changed(hass, dt_util.utcnow() + timedelta(seconds=90))
    await until(lambda: PRESET in config_entry.runtime_data.data)
    await hass.async_block_till_done()

    assert presets == {}
    assert asked == 1
    assert reauth_flows(hass) == []


async def test_confirmation_is_cancelled_when_entry_unloads(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    server.regenerate_key()
    with pytest.raises(HomeAssistantError):
        await list_presets(hass)
    listings = server.requests["presets"]

    await hass.config_entries.async_unload(entry.entry_id)
    async_fire_time_changed(hass, dt_util.utcnow() + timedelta(seconds=90))
    await hass.async_block_till_done()

    assert server.requests["presets"] == listings
    assert reauth_flows(hass) == []
