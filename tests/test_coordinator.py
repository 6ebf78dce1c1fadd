"""What the coordinator adds to client, engine and gallery."""

from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from testing.faults import Fault
from testing.gaze_server import GazeServer

from .images import press
from .test_services import PRESET, act, made


async def test_the_last_request_is_queued_once_more_with_a_new_seed(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    await act(hass, "generate", preset=PRESET, count=2, seed=5, extra_positive="a cat")

    await press(hass, "button.gaze_generate_again")

    assert [job.body for job in server.jobs[2:]] == [{"count": 2, "extra_positive": "a cat"}] * 2


async def test_before_the_first_request_there_is_none_to_queue_once_more(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    with pytest.raises(ServiceValidationError) as caught:
        await press(hass, "button.gaze_generate_again")

    assert caught.value.translation_key == "nothing_generated"
    assert server.requests["generate"] == 0


async def test_presets_are_listed_when_that_is_asked_for(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    server.put_preset("brand_new", "Brand new")

    await press(hass, "button.gaze_refresh_presets")

    assert "brand_new" in entry.runtime_data.data


async def test_a_list_that_is_asked_for_and_does_not_come_is_told(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    server.set_online(False)

    with pytest.raises(HomeAssistantError) as caught:
        await press(hass, "button.gaze_refresh_presets")

    assert caught.value.translation_key == "update_failed"


async def test_a_listener_that_fails_keeps_neither_the_others_nor_the_job(
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


async def test_reason_of_a_rejected_request_is_logged(
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


async def test_without_an_image_entity_of_its_own_a_job_names_the_servers(
    hass: HomeAssistant, server: GazeServer, config_entry: MockConfigEntry, entry: MockConfigEntry
) -> None:
    hass.config_entries.async_update_entry(entry, options={"presets": ["oilpainting"]})
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()

    answer = await act(hass, "generate", preset=PRESET)

    assert answer["jobs"][0]["entity_id"] == "image.gaze_latest_image"


async def test_failed_listing_turns_nothing_off_while_other_requests_succeed(
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


async def test_failed_listing_turns_the_server_off_without_other_responses(
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


async def test_lost_connection_turns_the_server_off_at_once(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    await act(hass, "generate", preset=PRESET)
    server.set_online(False)

    with pytest.raises(HomeAssistantError):
        await press(hass, "button.gaze_refresh_presets")
    state = hass.states.get("binary_sensor.gaze_connectivity")

    assert state is not None
    assert (state.state, state.attributes["problem"]) == ("off", "no_connection")
