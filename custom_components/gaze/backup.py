"""Backup platform: the stores can be copied at any time between its two hooks."""

from homeassistant.core import HomeAssistant

from .database import async_begin_backup, async_end_backup


async def async_pre_backup(hass: HomeAssistant) -> None:
    """Put everything that is in the logs of the stores into their main files, and freeze those."""
    await async_begin_backup(hass)


async def async_post_backup(hass: HomeAssistant) -> None:
    """Continue as usual."""
    await async_end_backup(hass)
