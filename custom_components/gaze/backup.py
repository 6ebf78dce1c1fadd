"""Backup platform. Between its two hooks, files and stores can be copied at any time."""

from homeassistant.core import HomeAssistant

from .backup_state import backup_state


async def async_pre_backup(hass: HomeAssistant) -> None:
    """Keep all files, and leave the main files of all stores unchanged."""
    await backup_state(hass).async_begin()


async def async_post_backup(hass: HomeAssistant) -> None:
    """Let the stores change their main files again, and remove what was discarded meanwhile."""
    await backup_state(hass).async_end()
