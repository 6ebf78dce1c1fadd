"""Tests of the event entity."""

from homeassistant.components.event import EventEntity
from homeassistant.const import STATE_UNAVAILABLE
from homeassistant.core import Event, HomeAssistant, callback
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_capture_events

from custom_components.gaze.const import EVENT_GAZE
from custom_components.gaze.event import GazeEvent
from testing.gaze_server import GazeServer

from .common import make_image, press, wait_for

GENERATION = "event.gaze_generation"


@pytest.mark.usefixtures("entry")
async def test_event_entity_has_same_data_as_bus_event(
    hass: HomeAssistant, server: GazeServer
) -> None:
    events = async_capture_events(hass, EVENT_GAZE)

    await make_image(hass, server, "neon_city")

    state = hass.states.get(GENERATION)
    assert state is not None
    data = dict(events[-1].data)
    assert state.attributes["event_type"] == data.pop("type") == "finished"
    del data["config_entry_id"], data["device_id"]
    assert {name: state.attributes[name] for name in data} == data


@pytest.mark.usefixtures("entry")
async def test_image_entity_shows_image_before_event_is_fired(
    hass: HomeAssistant, server: GazeServer
) -> None:
    shown: list[str | None] = []

    @callback
    def note_state(event: Event) -> None:
        if event.data["type"] == "finished":
            state = hass.states.get("image.gaze_neon_city")
            shown.append(None if state is None else state.state)

    hass.bus.async_listen(EVENT_GAZE, note_state)

    await make_image(hass, server, "neon_city")

    state = hass.states.get("image.gaze_neon_city")
    assert state is not None
    assert shown == [state.state]


@pytest.mark.usefixtures("entry")
async def test_failed_job_fires_event_with_reason(hass: HomeAssistant, server: GazeServer) -> None:
    await press(hass, "button.gaze_neon_city_generate")
    await wait_for(hass, server.fail())

    state = hass.states.get(GENERATION)
    assert state is not None
    assert state.attributes["event_type"] == "failed"
    assert state.attributes["reason"] == "server"


async def test_last_event_stays_while_server_is_off(
    hass: HomeAssistant, entry: MockConfigEntry, server: GazeServer
) -> None:
    await make_image(hass, server, "neon_city")
    before = hass.states.get(GENERATION)
    server.set_online(False)

    await entry.runtime_data.async_refresh()
    await hass.async_block_till_done()

    assert before is not None
    assert before.state != STATE_UNAVAILABLE
    assert hass.states.get(GENERATION) is before


@pytest.mark.usefixtures("entry")
async def test_long_and_changing_attributes_are_not_recorded(
    hass: HomeAssistant, server: GazeServer
) -> None:
    await make_image(hass, server, "neon_city")

    state = hass.states.get(GENERATION)
    assert state is not None
    assert state.state_info is not None
    unrecorded = state.state_info["unrecorded_attributes"]
    assert issubclass(GazeEvent, EventEntity)
    assert set(state.attributes) - unrecorded == {
        "event_type",
        "friendly_name",
        "preset",
        "reason",
    }
