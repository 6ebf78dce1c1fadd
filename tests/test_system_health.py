"""Tests of the system health information."""

from typing import Any

from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import MockConfigEntry, get_system_health_info

from custom_components.gaze.const import DOMAIN
from testing.gaze_server import GazeServer

from .common import PRESET, act, make_image
from .conftest import SetUp


async def system_health_info(hass: HomeAssistant) -> dict[str, Any]:
    """Return the system health information of GAZE."""
    assert await async_setup_component(hass, "system_health", {})
    found = await get_system_health_info(hass, DOMAIN)
    assert isinstance(found, dict)
    return found


async def test_system_health_counts_jobs_and_images(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    await make_image(hass, server, PRESET)
    await act(hass, "generate", preset=PRESET, count=3)

    found = await system_health_info(hass)

    assert found == {"servers": 1, "servers_reachable": 1, "open_jobs": 3, "kept_images": 1}


async def test_system_health_counts_server_as_unreachable_when_it_is_off(
    hass: HomeAssistant,
    server: GazeServer,
    config_entry: MockConfigEntry,
    setup_integration: SetUp,
) -> None:
    await setup_integration(config_entry)
    MockConfigEntry(domain=DOMAIN, title="Never set up", data={}).add_to_hass(hass)
    server.set_online(False)
    await config_entry.runtime_data.async_refresh()

    found = await system_health_info(hass)

    assert found == {"servers": 2, "servers_reachable": 0, "open_jobs": 0, "kept_images": 0}
