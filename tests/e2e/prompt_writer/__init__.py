"""A custom integration with an AI task that writes prompts, and an agent that uses tools."""

from typing import Final

from homeassistant.config_entries import ConfigEntry
from homeassistant.const import Platform
from homeassistant.core import HomeAssistant

DOMAIN: Final = "prompt_writer"
_PLATFORMS: Final = [Platform.AI_TASK, Platform.CONVERSATION]


async def async_setup_entry(hass: HomeAssistant, entry: ConfigEntry) -> bool:
    """Add the AI task and the agent."""
    await hass.config_entries.async_forward_entry_setups(entry, _PLATFORMS)
    return True


async def async_unload_entry(hass: HomeAssistant, entry: ConfigEntry) -> bool:
    """Remove the AI task and the agent."""
    return await hass.config_entries.async_unload_platforms(entry, _PLATFORMS)
