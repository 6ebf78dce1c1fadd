"""A custom integration with an AI task that writes what its instructions ask for."""

from homeassistant.config_entries import ConfigEntry
from homeassistant.const import Platform
from homeassistant.core import HomeAssistant

DOMAIN = "prompt_writer"


async def async_setup_entry(hass: HomeAssistant, entry: ConfigEntry) -> bool:
    """Add the AI task."""
    await hass.config_entries.async_forward_entry_setups(entry, [Platform.AI_TASK])
    return True


async def async_unload_entry(hass: HomeAssistant, entry: ConfigEntry) -> bool:
    """Remove the AI task."""
    return await hass.config_entries.async_unload_platforms(entry, [Platform.AI_TASK])
