"""Tests of the coordinator."""

from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from testing.faults import Fault
from testing.gaze_server import GazeServer

from .common import PRESET, act, made, press


async def test_last_request_is_repeated_with_new_seed(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    await act(hass, "generate", preset=PRESET, count=2, seed=5, extra_positive="a cat")

    await press(hass, "button.gaze_generate_again")

    assert [job.body for job in server.jobs[2:]] == [{"count": 2, "extra_positive": "a cat"}] * 2


async def test_repeat_fails_before_first_request(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    with pytest.raises(ServiceValidationError) as caught:
        await press(hass, "button.gaze_generate_again")

    assert caught.value.translation_key == "nothing_generated"
    assert server.requests["generate"] == 0


async def test_presets_are_refreshed_on_request(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    server.put_preset("brand_new", "Brand new")

    await press(hass, "button.gaze_refresh_presets")

    assert "brand_new" in entry.runtime_data.data


async def test_refresh_reports_error_when_listing_fails(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    server.set_online(False)

    with pytest.raises(HomeAssistantError) as caught:
        await press(hass, "button.gaze_refresh_presets")

    assert caught.value.translation_key == "update_failed"


async def test_failing_listener_does_not_affect_job_or_others(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    caplog: pytest.LogCaptureFixture,
) -> None:
    @callback
    def fail() -> None:
        raise RuntimeError("a listener with a bug")

    stop = entry.runtime_data.async_add_job_listener(fail, PRESET)
    job = await made(hass, server)
    stop()

    assert job["status"] == "done"
    assert hass.states.is_state("image.gaze_latest_image", job["finished_at"])
    assert "a listener with a bug" in caplog.text


async def test_reason_of_rejected_request_is_logged(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("testing.gaze_server.objection", lambda _body: "no such checkpoint")

    with pytest.raises(HomeAssistantError) as caught:
        await act(hass, "generate", preset=PRESET)

    assert caught.value.translation_key == "request_refused"
    assert "no such checkpoint" in caplog.text


async def test_job_names_entity_of_server_when_preset_has_none(
    hass: HomeAssistant, server: GazeServer, config_entry: MockConfigEntry, entry: MockConfigEntry
) -> None:
    hass.config_entries.async_update_entry(entry, options={"presets": ["oilpainting"]})
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()

    answer = await act(hass, "generate", preset=PRESET)

    assert answer["jobs"][0]["entity_id"] == "image.gaze_latest_image"


async def test_server_is_available_when_only_listing_fails(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    await act(hass, "generate", preset=PRESET)
    server.faults.on(Fault.SERVER_ERROR, "presets")

    with pytest.raises(HomeAssistantError) as caught:
        await press(hass, "button.gaze_refresh_presets")

    assert caught.value.translation_key == "update_failed"
    assert not hass.states.is_state("button.gaze_neon_city_generate", "unavailable")
    assert hass.states.is_state("binary_sensor.gaze_connectivity", "on")
    assert PRESET in entry.runtime_data.data


async def test_server_is_unavailable_when_listing_and_requests_fail(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    server.faults.on(Fault.SERVER_ERROR, "presets")

    with pytest.raises(HomeAssistantError):
        await press(hass, "button.gaze_refresh_presets")
    state = hass.states.get("binary_sensor.gaze_connectivity")
    off = hass.states.is_state("button.gaze_neon_city_generate", "unavailable")
    await act(hass, "generate", preset=PRESET)

    assert state is not None
    assert (state.state, state.attributes["problem"]) == ("off", "server_error")
    assert off
    assert not hass.states.is_state("button.gaze_neon_city_generate", "unavailable")


async def test_server_is_unavailable_when_connection_is_lost(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    await act(hass, "generate", preset=PRESET)
    server.set_online(False)

    with pytest.raises(HomeAssistantError):
        await press(hass, "button.gaze_refresh_presets")
    state = hass.states.get("binary_sensor.gaze_connectivity")

    assert state is not None
    assert (state.state, state.attributes["problem"]) == ("off", "no_connection")
