"""Keeps files unchanged while Home Assistant creates a backup.

Home Assistant lists a folder and then copies its files. If one of them is missing by then, the
backup fails. So each file keeps its name until the backup ends.
"""

from contextlib import suppress
from datetime import datetime, timedelta
import logging
import os
from pathlib import Path
import threading
from typing import Final, Protocol

from homeassistant.core import CALLBACK_TYPE, HassJob, HomeAssistant, callback
from homeassistant.helpers.event import async_call_later
from homeassistant.util.hass_dict import HassKey

_LOGGER = logging.getLogger(__name__)

# A backup that never ends must not let write-ahead logs and discarded files grow without limit.
LONGEST_BACKUP: Final = timedelta(hours=6)


class BackupMember(Protocol):
    """An object that prepares for backups. It logs its own errors."""

    async def async_begin_backup(self) -> None:
        """Leave all files of a backup unchanged from now on."""

    async def async_end_backup(self) -> None:
        """Make the changes that waited for the end of the backup."""


class BackupState:
    """Whether Home Assistant is creating a backup, for all servers."""

    def __init__(self, hass: HomeAssistant) -> None:
        """Begin without a backup."""
        self.active = False
        self.members: set[BackupMember] = set()
        self._hass = hass
        self._lock = threading.Lock()
        self._discarded: set[Path] = set()
        self._cancel_timeout: CALLBACK_TYPE | None = None

    async def async_begin(self) -> None:
        """Keep files until `async_end`, or until `LONGEST_BACKUP` has passed."""
        if self._cancel_timeout is not None:
            self._cancel_timeout()

        async def end(_now: datetime) -> None:
            self._cancel_timeout = None
            await self.async_end()

        self._cancel_timeout = async_call_later(
            self._hass, LONGEST_BACKUP, HassJob(end, "gaze end backup", cancel_on_shutdown=True)
        )
        self.active = True
        for member in list(self.members):
            await member.async_begin_backup()

    async def async_end(self) -> None:
        """Remove the files that were discarded during the backup."""
        if self._cancel_timeout is not None:
            self._cancel_timeout()
            self._cancel_timeout = None
        with self._lock:
            self.active = False
            discarded, self._discarded = self._discarded, set()
        await self._hass.async_add_executor_job(_remove_files, discarded)
        for member in list(self.members):
            await member.async_end_backup()

    def remove_file(self, path: Path) -> None:
        """Remove a file that might not exist. Wait for the end of a backup. Blocks.

        Raises OSError.
        """
        with self._lock:
            if self.active:
                self._discarded.add(path)
                return
        path.unlink(missing_ok=True)


@callback
def backup_state(hass: HomeAssistant) -> BackupState:
    """Return the state of backups of this Home Assistant."""
    if (state := hass.data.get(_DATA_BACKUP_STATE)) is None:
        state = hass.data[_DATA_BACKUP_STATE] = BackupState(hass)
    return state


_DATA_BACKUP_STATE: HassKey[BackupState] = HassKey("gaze_backup_state")


def move_into_place(part: str, name: str, *, dir_fd: int, keep_part: bool = False) -> None:
    """Rename a temporary file in an open folder, over another file if there is one.

    keep_part: leave the temporary name too. A file system without hard links can't do that.
    Raises OSError.
    """
    if keep_part:
        second = f".2{part}"
        with suppress(OSError):
            os.link(part, second, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
            part = second
    os.replace(part, name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)


def _remove_files(paths: set[Path]) -> None:
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as err:
            _LOGGER.debug("Unable to remove a file after a backup: %s", err.strerror)
