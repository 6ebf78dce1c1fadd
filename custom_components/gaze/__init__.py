"""Generates images with GAZE servers. Sets up, unloads, and removes servers."""

import logging

from homeassistant.const import Platform
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import ConfigEntryNotReady
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.typing import ConfigType

from .choices import DATA_CHOICES, async_setup_choices
from .const import DOMAIN
from .coordinator import GazeConfigEntry, GazeCoordinator, presets_store
from .devices import async_setup_devices, async_setup_subentry_devices
from .displays import DisplayView, async_remove_displays
from .frontend import async_setup_frontend
from .gallery import Gallery, ImageView
from .jobs import Records
from .recipe_runs import async_setup_recipe_retention
from .repairs import async_delete_repairs, async_setup_repairs
from .services import async_setup_services
from .websocket import async_setup_websocket

_LOGGER = logging.getLogger(__name__)

CONFIG_SCHEMA = cv.config_entry_only_config_schema(DOMAIN)

PLATFORMS = [
    Platform.AI_TASK,
    Platform.BINARY_SENSOR,
    Platform.BUTTON,
    Platform.EVENT,
    Platform.IMAGE,
    Platform.NUMBER,
    Platform.SELECT,
    Platform.SENSOR,
    Platform.SWITCH,
    Platform.TEXT,
]


async def async_setup(hass: HomeAssistant, _config: ConfigType) -> bool:
    """Register the actions, views, WebSocket commands, and cards."""
    async_setup_services(hass)
    await async_setup_choices(hass)
    hass.http.register_view(ImageView)
    hass.http.register_view(DisplayView)
    async_setup_websocket(hass)
    await async_setup_frontend(hass)
    return True


async def async_setup_entry(hass: HomeAssistant, entry: GazeConfigEntry) -> bool:
    """Set up a server."""
    coordinator = GazeCoordinator(hass, entry)
    entry.async_on_unload(coordinator.async_close)
    entry.async_on_unload(coordinator.subentries.async_start())
    await coordinator.async_open()
    try:
        await coordinator.async_config_entry_first_refresh()
    except ConfigEntryNotReady as err:
        if not await coordinator.async_use_stored_presets():
            raise
        _LOGGER.info("Starting with the presets of the last run: %s", err)
    entry.runtime_data = coordinator
    await async_setup_devices(hass, entry)
    async_setup_subentry_devices(hass, entry)
    coordinator.recipes.async_start(coordinator.subentries)
    async_setup_recipe_retention(entry)
    coordinator.displays.async_start(coordinator.subentries)
    await hass.config_entries.async_forward_entry_setups(entry, PLATFORMS)
    hass.data[DATA_CHOICES].async_add_server(entry)
    async_setup_repairs(hass, entry)
    coordinator.async_start()
    return True


async def async_unload_entry(hass: HomeAssistant, entry: GazeConfigEntry) -> bool:
    """Unload a server.

    The job engine stops first, so that no event fires while the entities are unloaded.
    """
    engine = entry.runtime_data.engine
    await engine.async_stop()
    unloaded = False
    try:
        unloaded = await hass.config_entries.async_unload_platforms(entry, PLATFORMS)
    finally:
        if not unloaded:
            await engine.async_start()
    if entry.disabled_by is not None:
        async_delete_repairs(hass, entry)
    return unloaded


async def async_remove_entry(hass: HomeAssistant, entry: GazeConfigEntry) -> None:
    """Delete the stores and repair issues of a server, but not its images."""
    async_delete_repairs(hass, entry, persistent=True)
    await Records(hass, entry.entry_id).async_remove()
    await Gallery(hass, entry.entry_id, entry.title).async_remove()
    await async_remove_displays(hass, entry.entry_id)
    await presets_store(hass, entry.entry_id).async_remove()
