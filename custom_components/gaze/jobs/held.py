"""Holds downloaded images while the gallery can't save them.

GAZE might delete an image before the disk of the gallery returns. So the bytes wait in the cache,
and aren't downloaded again. The gallery rejects an incomplete file.
"""

from collections.abc import Iterable
from contextlib import suppress
from hashlib import sha256
import logging
from pathlib import Path
from typing import Final

from homeassistant.core import HomeAssistant

from ..const import DOMAIN
from .models import Job

_LOGGER = logging.getLogger(__name__)

MAX_HELD: Final = 2**30  # bytes; images beyond it are downloaded again


class HeldImages:
    """The bytes of images that GAZE finished and the gallery couldn't save yet."""

    def __init__(self, hass: HomeAssistant, entry_id: str) -> None:
        """Use the entry's own cache. The gallery removes it together with the entry."""
        self._hass = hass
        self._folder = Path(hass.config.cache_path(DOMAIN, entry_id)) / "held"

    async def async_read(self, job: Job) -> bytes | None:
        """Return the bytes of a job's image, or None if they aren't held."""
        return await self._hass.async_add_executor_job(_read, self._path(job))

    async def async_write(self, job: Job, content: bytes) -> None:
        """Hold the bytes of a job's image, if there is room."""
        await self._hass.async_add_executor_job(_write, self._path(job), content)

    async def async_discard(self, job: Job) -> None:
        """Discard the bytes of a job's image."""
        await self._hass.async_add_executor_job(_remove, [self._path(job)])

    async def async_discard_others(self, jobs: Iterable[Job]) -> None:
        """Discard all bytes but those of these jobs."""
        wanted = {self._path(job) for job in jobs}
        await self._hass.async_add_executor_job(_remove_others, self._folder, wanted)

    def _path(self, job: Job) -> Path:
        """Return the path for a job. A later job with the same ID has another path."""
        key = f"{job.job_id} {job.requested_at} {job.source_url}"
        return self._folder / sha256(key.encode()).hexdigest()


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes() or None
    except OSError:
        return None


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if sum(file.stat().st_size for file in path.parent.iterdir()) + len(content) <= MAX_HELD:
            path.write_bytes(content)
    except OSError as err:
        _LOGGER.debug("Unable to hold an image: %s", err.strerror)
        _remove([path])


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _remove_others(folder: Path, wanted: set[Path]) -> None:
    with suppress(OSError):
        _remove(path for path in list(folder.iterdir()) if path not in wanted)
