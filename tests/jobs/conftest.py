"""Fixtures of the tests of jobs."""

from collections.abc import AsyncGenerator
from typing import Any

from homeassistant.core import Event, HomeAssistant, callback
import pytest

from custom_components.gaze.const import EVENT_GAZE
from testing.gaze_server import GazeServer


@pytest.fixture
def events(hass: HomeAssistant) -> list[dict[str, Any]]:
    """Return the data of our events, as they come."""
    seen: list[dict[str, Any]] = []

    @callback
    def note(event: Event) -> None:
        seen.append(dict(event.data))

    hass.bus.async_listen(EVENT_GAZE, note)
    return seen


@pytest.fixture
async def quick_server(socket_enabled: None) -> AsyncGenerator[GazeServer]:
    """Return a server that makes an image in 8 s, more or less."""
    async with GazeServer(duration=8.0, jitter=0.1, seed=1, size=(64, 96)) as server:
        yield server
