"""Backup platform. Between its two hooks, the stores can be copied at any time."""

from homeassistant.core import HomeAssistant

from .database import async_begin_backup, async_end_backup


async def async_pre_backup(hass: HomeAssistant) -> None:
    """Move the write-ahead logs of all stores into their main files, and freeze those files."""
    await async_begin_backup(hass)


async def async_post_backup(hass: HomeAssistant) -> None:
    """Let the stores change their main files again."""
    await async_end_backup(hass)
