"""A server with displays, and a screen that fetches from them."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient
from homeassistant.config_entries import SOURCE_RECONFIGURE, SOURCE_USER
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers import device_registry as dr
from PIL import Image as Pillow
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator
from yarl import URL

from custom_components.gaze.displays import Displays, Player
from testing.gaze_server import GazeServer

from ..common import make_image

PRESET = "neon_city"
OTHER = "oilpainting"

type AddDisplay = Callable[..., Awaitable[Player]]
type AddImage = Callable[..., Awaitable[str]]


def displays_of(entry: MockConfigEntry) -> Displays:
    """Return the displays of the server."""
    displays: Displays = entry.runtime_data.displays
    return displays


async def settle(hass: HomeAssistant) -> None:
    """Wait until the displays show what they must show."""
    await hass.async_block_till_done(wait_background_tasks=True)


def display_device(hass: HomeAssistant, entry: MockConfigEntry, player: Player) -> dr.DeviceEntry:
    """Return the device of a display."""
    device = dr.async_get(hass).async_get_device_by_identifier(
        ("gaze", player.display.display_id), entry.entry_id
    )
    assert device is not None
    return device


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetched:
    """What a screen got."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def image(self) -> Pillow.Image:
        """Return the image."""
        return Pillow.open(BytesIO(self.content))


@dataclass(frozen=True, kw_only=True, slots=True)
class Screen:
    """A screen on the local network that has no login."""

    client: TestClient[web.Request, web.Application]
    entry: MockConfigEntry

    def path(self, player: Player) -> str:
        """Return the path that a person copies into the settings of the screen."""
        path = displays_of(self.entry).path(player)
        assert path is not None
        return path

    async def fetch(self, player: Player, method: str = "GET", **options: Any) -> Fetched:
        """Fetch what a display shows."""
        return await self.request(self.path(player), method, **options)

    async def request(self, path: str | URL, method: str = "GET", **options: Any) -> Fetched:
        """Request a path."""
        async with self.client.request(method, path, **options) as response:
            return Fetched(
                status=response.status, headers=response.headers, content=await response.read()
            )


@pytest.fixture
async def screen(entry: MockConfigEntry, hass_client_no_auth: ClientSessionGenerator) -> Screen:
    """Return a screen."""
    return Screen(client=await hass_client_no_auth(), entry=entry)


def make_adder(hass: HomeAssistant, entry: MockConfigEntry) -> AddDisplay:
    """Return what adds a display as people do, with its address turned on."""

    async def add(**fields: Any) -> Player:
        flow = await hass.config_entries.subentries.async_init(
            (entry.entry_id, "display"), context={"source": SOURCE_USER}
        )
        result = await hass.config_entries.subentries.async_configure(
            flow["flow_id"], {"name": "Hall", "address": True, **fields}
        )
        assert result["type"] is FlowResultType.CREATE_ENTRY, result
        await settle(hass)
        return displays_of(entry).players[-1]

    return add


@pytest.fixture
def add_display(hass: HomeAssistant, entry: MockConfigEntry) -> AddDisplay:
    """Return what adds a display to the server."""
    return make_adder(hass, entry)


async def change_display(
    hass: HomeAssistant, entry: MockConfigEntry, player: Player, **fields: Any
) -> None:
    """Change a display as people do. A field that is omitted gets its default."""
    flow = await hass.config_entries.subentries.async_init(
        (entry.entry_id, "display"),
        context={"source": SOURCE_RECONFIGURE, "subentry_id": player.display.display_id},
    )
    result = await hass.config_entries.subentries.async_configure(
        flow["flow_id"], {"name": "Hall", "address": True, **fields}
    )
    assert result["reason"] == "reconfigure_successful", result
    await settle(hass)


@pytest.fixture
def add_image(hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry) -> AddImage:
    """Return what generates an image that the displays take note of."""

    async def add(preset: str = PRESET) -> str:
        job_id = await make_image(hass, server, preset)
        await settle(hass)
        return job_id

    return add
