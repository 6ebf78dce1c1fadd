"""Tests of the binary sensor."""

from homeassistant.const import STATE_OFF, STATE_ON
from homeassistant.core import HomeAssistant
from pytest_homeassistant_custom_component.common import MockConfigEntry

from testing.gaze_server import GazeServer

CONNECTIVITY = "binary_sensor.gaze_connectivity"


async def test_connectivity_shows_whether_server_responds(
    hass: HomeAssistant, entry: MockConfigEntry, server: GazeServer
) -> None:
    states = []
    for online in (True, False, True):
        server.set_online(online)
        await entry.runtime_data.async_refresh()
        state = hass.states.get(CONNECTIVITY)
        assert state is not None
        states.append(state.state)

    assert states == [STATE_ON, STATE_OFF, STATE_ON]
