"""Thumbnails of saved images: made when an image is saved, or on demand, in the cache directory."""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from hashlib import blake2b
from itertools import product
import logging
import os
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary

from homeassistant.core import HomeAssistant

from .decoding import THUMBNAIL_TYPE, shrink
from .errors import GalleryError, ImageContentError
from .files import Files, etag_of, modified_ns, reason
from .models import Content, Image

_LOGGER = logging.getLogger(__name__)

THUMBNAIL_SIDES: Final = (256, 512)
# Decoding is work for a processor; the executor's other threads belong to Home Assistant.
_MADE_AT_ONCE: Final = 2
_PART: Final = ".part"
# What file systems round time stamps down to, in ns: NTFS and SMB, ext3 and FAT among them
_RESOLUTIONS: Final = (100, 1_000, 1_000_000, 10_000_000, 1_000_000_000, 2_000_000_000)


class Thumbnails:
    """The thumbnails of one server's images.

    A thumbnail has the time stamp of its image: another file under the same name gets a new one.
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

        Raises ImageGoneError if the file was deleted, GalleryError if it is no image.
        """
        found = await self._hass.async_add_executor_job(self._find, files, image, side, known)
        if found is not None:
            return found
        lock = self._locks.setdefault(image.job_id, asyncio.Lock())
        async with lock, self.slots:
            return await self._hass.async_add_executor_job(
                self._find_or_make, files, image, side, known
            )

    async def async_prepare(self, files: Files, image: Image) -> None:
        """Make all thumbnails of an image. If that fails, they are made on demand."""
        lock = self._locks.setdefault(image.job_id, asyncio.Lock())
        async with lock, self.slots:
            try:
                await self._hass.async_add_executor_job(self._make, files, image, THUMBNAIL_SIDES)
            except GalleryError as err:
                _LOGGER.debug("Unable to make thumbnails: %s", err)

    def remove(self, job_ids: Iterable[str]) -> None:
        """Remove the thumbnails of images. Blocks."""
        for job_id, side in product(job_ids, THUMBNAIL_SIDES):
            try:
                self._path(job_id, side).unlink(missing_ok=True)
            except OSError as err:
                _LOGGER.debug("Unable to remove a thumbnail: %s", reason(err))

    def remove_parts(self) -> None:
        """Remove what interrupted writes left behind. Blocks."""
        with suppress(OSError), os.scandir(self._folder) as files:
            for part in [file.path for file in files if file.name.endswith(_PART)]:
                Path(part).unlink(missing_ok=True)

    def _find(
        self, files: Files, image: Image, side: int, known: Collection[str]
    ) -> Content | None:
        """Return the thumbnail if it was made from the file that is there now."""
        changed_at = files.changed_at(image.path)
        try:
            with self._path(image.job_id, side).open("rb") as stream:
                found = os.fstat(stream.fileno())
                if not _matches(modified_ns(found), changed_at):
                    return None
                etag = etag_of(found)
                data = None if etag in known else stream.read()
        except OSError:
            return None
        return Content(data=data, etag=etag, content_type=THUMBNAIL_TYPE)

    def _find_or_make(
        self, files: Files, image: Image, side: int, known: Collection[str]
    ) -> Content:
        """Return the thumbnail, which may have been made while the caller waited."""
        if (found := self._find(files, image, side, known)) is not None:
            return found
        [made] = self._make(files, image, (side,))
        return made

    def _make(self, files: Files, image: Image, sides: Sequence[int]) -> list[Content]:
        """Make and store thumbnails, and return them."""
        changed_at = files.changed_at(image.path)
        content, _ = files.read(image.path)
        try:
            thumbnails = shrink(content or b"", *sides)
        except ImageContentError as err:
            raise GalleryError(f"the image cannot be made smaller: {err}") from err
        return [
            self._store(self._path(image.job_id, side), data, changed_at)
            for side, data in zip(sides, thumbnails, strict=True)
        ]

    def _store(self, path: Path, data: bytes, changed_at: int) -> Content:
        """Store a thumbnail with the time stamp of its image, and return it."""
        part = path.with_suffix(_PART)
        etag = f"{changed_at:x}-{len(data):x}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(data)
            os.utime(part, ns=(changed_at, changed_at))
            part.replace(path)
            etag = etag_of(path.stat())
        except OSError as err:
            _LOGGER.debug("Unable to store a thumbnail: %s", reason(err))
            with suppress(OSError):
                part.unlink()  # a full disk needs the space
        return Content(data=data, etag=etag, content_type=THUMBNAIL_TYPE)

    def _path(self, job_id: str, side: int) -> Path:
        """Return the path of a thumbnail. A server chooses job IDs, so they are no file names."""
        digest = blake2b(job_id.encode(), digest_size=16).hexdigest()
        return self._folder / f"{digest}-{side}.webp"


def _matches(thumbnail: int, image: int) -> bool:
    """Return whether time stamps in ns are the same, at the resolution of the coarser one."""
    return thumbnail == image or any(
        thumbnail == image // resolution * resolution for resolution in _RESOLUTIONS
    )
