"""Small versions of kept images: made when first asked for, kept in the cache directory."""

import asyncio
from collections.abc import Collection, Iterable
from hashlib import blake2b
from itertools import product
import logging
import os
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary

from homeassistant.core import HomeAssistant

from .errors import GalleryError, PictureError
from .files import Files, etag_of, reason
from .models import Content, Image
from .picture import THUMBNAIL_TYPE, shrink

_LOGGER = logging.getLogger(__name__)

THUMBNAIL_SIDES: Final = (256, 512)
# Decoding is work for a processor; the executor's other threads belong to Home Assistant.
_MADE_AT_ONCE: Final = 2


class Thumbnails:
    """The thumbnails of one server's images.

    A thumbnail bears the time of its picture: another picture under the same name gets a new one.
    """

    def __init__(self, hass: HomeAssistant, folder: Path) -> None:
        """Use a folder, which need not exist."""
        self._hass = hass
        self._folder = folder
        self.slots = asyncio.Semaphore(_MADE_AT_ONCE)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def async_get(
        self, files: Files, image: Image, side: int, known: Collection[str] = ()
    ) -> Content:
        """Return the thumbnail of an image whose file is among `files`.

        Raises ImageGoneError where the picture was deleted, GalleryError where it is none.
        """
        found = await self._hass.async_add_executor_job(self._find, files, image, side, known)
        if found is not None:
            return found
        lock = self._locks.setdefault(image.job_id, asyncio.Lock())
        async with lock, self.slots:
            return await self._hass.async_add_executor_job(
                self._find_or_make, files, image, side, known
            )

    def remove(self, job_ids: Iterable[str]) -> None:
        """Remove the thumbnails of images. Blocks."""
        for job_id, side in product(job_ids, THUMBNAIL_SIDES):
            try:
                self._path(job_id, side).unlink(missing_ok=True)
            except OSError as err:
                _LOGGER.debug("Could not remove a thumbnail: %s", reason(err))

    def _find(
        self, files: Files, image: Image, side: int, known: Collection[str]
    ) -> Content | None:
        """Return the thumbnail where it was made from the picture that is there now."""
        changed_at = files.changed_at(image.path)
        try:
            with self._path(image.job_id, side).open("rb") as stream:
                found = os.fstat(stream.fileno())
                if found.st_mtime_ns != changed_at:
                    return None
                etag = etag_of(found)
                data = None if etag in known else stream.read()
        except OSError:
            return None
        return Content(data=data, etag=etag, content_type=THUMBNAIL_TYPE)

    def _find_or_make(
        self, files: Files, image: Image, side: int, known: Collection[str]
    ) -> Content:
        """Return the thumbnail; somebody else may have made it while we waited."""
        if (found := self._find(files, image, side, known)) is not None:
            return found
        changed_at = files.changed_at(image.path)
        content, _ = files.read(image.path)
        try:
            data = shrink(content or b"", side)
        except PictureError as err:
            raise GalleryError(f"the picture cannot be made smaller: {err}") from err
        path = self._path(image.job_id, side)
        part = path.with_suffix(".part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(data)
            os.utime(part, ns=(changed_at, changed_at))
            part.replace(path)
        except OSError as err:
            _LOGGER.debug("Could not keep a thumbnail: %s", reason(err))
        return Content(data=data, etag=f"{changed_at:x}-{len(data):x}", content_type=THUMBNAIL_TYPE)

    def _path(self, job_id: str, side: int) -> Path:
        """Return where a thumbnail lies; a job id is text from elsewhere and makes no name."""
        digest = blake2b(job_id.encode(), digest_size=16).hexdigest()
        return self._folder / f"{digest}-{side}.webp"
