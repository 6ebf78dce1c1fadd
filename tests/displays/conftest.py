"""A server with a display."""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient
from homeassistant.config_entries import SOURCE_USER
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.gaze.displays import Player

type Client = TestClient[web.Request, web.Application]
type AddDisplay = Callable[..., Awaitable[Player]]


@pytest.fixture
async def screen(entry: MockConfigEntry, hass_client_no_auth: ClientSessionGenerator) -> Client:
    """Return a screen on the local network that has no login."""
    client: Client = await hass_client_no_auth()
    return client


@pytest.fixture
def add_display(hass: HomeAssistant, entry: MockConfigEntry) -> AddDisplay:
    """Return what adds a display as people do."""

    async def add(**fields: Any) -> Player:
        flow = await hass.config_entries.subentries.async_init(
            (entry.entry_id, "display"), context={"source": SOURCE_USER}
        )
        result = await hass.config_entries.subentries.async_configure(
            flow["flow_id"], {"name": "Hall", "address": True, **fields}
        )
        assert result["type"] is FlowResultType.CREATE_ENTRY, result
        await hass.async_block_till_done(wait_background_tasks=True)
        player: Player = entry.runtime_data.displays.players[-1]
        return player

    return add
