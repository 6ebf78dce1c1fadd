"""Keeps finished pictures: a file each in the media folder, a row each in the index."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
import logging
from pathlib import Path
import re
import shutil
from typing import Final

from homeassistant.core import HomeAssistant
from homeassistant.util import dt as dt_util, slugify

from ..const import DOMAIN
from .errors import GalleryError, ImageGoneError
from .files import Files
from .index import Index
from .metadata import strip
from .models import Content, GalleryOptions, Image, ListedImage, Overview, Selection
from .picture import examine
from .thumbnails import Thumbnails

_LOGGER = logging.getLogger(__name__)

_SAFE_FOLDER: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9]")
_SEED_DIGITS: Final = 20
_JOB_ID_CHARACTERS: Final = 8
_OVERVIEW_IMAGES: Final = 24

_RECENT_PATHS: Final = 1000  # more than the jobs that the engine remembers

# Pictures that image entities show are asked for again and again.
_RECENT_PICTURES: Final = 4
_RECENT_BYTES: Final = 8 * 2**20  # each


class Gallery:
    """The images of one server.

    Whoever deletes a file by hand deletes the image: the index follows when the image is
    asked for, and when a listing finds that one of the folders has changed.
    """

    def __init__(
        self,
        hass: HomeAssistant,
        entry_id: str,
        title: str,
        options: GalleryOptions | None = None,
        on_removed: Callable[[], None] | None = None,
    ) -> None:
        """Name the gallery; the title names its folder from the first time on.

        on_removed: told when images are gone, whoever removed them.
        """
        self._hass = hass
        self._entry_id = entry_id
        self._title = title
        self._options = options or GalleryOptions()
        self._on_removed = on_removed
        self._index = Index(hass, entry_id)
        self._cache = Path(hass.config.cache_path(DOMAIN, entry_id))
        self._saved = Files(Path())
        self._unsaved = Files(self._cache / "newest")
        self._thumbnails = Thumbnails(hass, self._cache / "thumbnails")
        self._changing = asyncio.Lock()
        self._newest: dict[str, Image] = {}
        self._newest_of_all: Image | None = None
        self._count = 0
        self._paths: OrderedDict[str, Path] = OrderedDict()  # of images saved lately, by job
        self._overview: Overview | None = None
        self._recent: OrderedDict[str, Content] = OrderedDict()
        self._retention_failing = False

    # Life

    async def async_open(self) -> None:
        """Open the index and make it agree with the disk and the options.

        Raises GalleryError or sqlite3.OperationalError where the index cannot be used.
        """
        await self._index.async_open()
        name = await self._index.async_property("folder", self._folder_name())
        self._saved = Files(_media_folder(self._hass) / DOMAIN / name)
        await self._hass.async_add_executor_job(self._tidy)
        async with self._changing:
            await self._reload()
            for image in reversed(await self._index.async_select(Selection(), _RECENT_PATHS, 0)):
                self._note_path(image)
            await self._compare()
            await self._discard_quietly(
                image
                for image in await self._index.async_unsaved()
                if self._newest.get(image.preset) != image
            )
            await self._discard_oldest()

    async def async_close(self) -> None:
        """Close the index."""
        async with self._changing:
            await self._index.async_close()

    async def async_remove(self) -> None:
        """Remove the index and the cache. The pictures stay: they are people's own."""
        await self._index.async_remove()
        await self._hass.async_add_executor_job(_remove_tree, self._cache)

    # What there is

    @property
    def folder(self) -> Path:
        """Return where new pictures go; a folder that may not exist yet."""
        return (self._saved if self._options.save_images else self._unsaved).root

    @property
    def rendering_slots(self) -> asyncio.Semaphore:
        """Return what limits how many images are rendered at once."""
        return self._thumbnails.slots

    @property
    def set_aside(self) -> str | None:
        """Return the name of the damaged index, where this start set one aside."""
        return self._index.set_aside

    @property
    def count(self) -> int:
        """Return how many images are kept."""
        return self._count

    def newest(self, preset: str | None = None) -> Image | None:
        """Return the newest image, of a preset (by slug) or of all."""
        return self._newest_of_all if preset is None else self._newest.get(preset)

    def path_of(self, image: Image) -> Path | None:
        """Return the path of an image's file, or None if it isn't in the media folder."""
        return self._saved.root / image.path if image.saved else None

    def saved_path(self, job_id: str) -> Path | None:
        """Return the path of one of the last 1,000 images, or None as `path_of` does."""
        return self._paths.get(job_id)

    async def async_get(self, job_id: str) -> Image | None:
        """Return one image, or None. Raises GalleryError."""
        return await self._index.async_get(job_id)

    async def async_select(
        self, selection: Selection, limit: int = -1, offset: int = 0
    ) -> list[Image]:
        """Return the images that are meant, newest first; -1: all. Raises GalleryError."""
        await self._notice_deleted()
        return await self._index.async_select(selection, limit, offset)

    async def async_entries(self, selection: Selection, limit: int) -> list[ListedImage]:
        """Return the images that are meant as a listing shows them. Raises GalleryError."""
        await self._notice_deleted()
        return await self._index.async_entries(selection, limit)

    async def async_overview(self) -> Overview:
        """Return the presets and months that have images. Raises GalleryError."""
        await self._notice_deleted()
        if self._overview is None:
            async with self._changing:
                self._overview = Overview(
                    presets=tuple(await self._index.async_presets()),
                    months=tuple(await self._index.async_months()),
                    newest=tuple(await self._index.async_entries(Selection(), _OVERVIEW_IMAGES)),
                )
        return self._overview

    # The pictures themselves

    async def async_read(self, image: Image) -> bytes:
        """Return the bytes of an image. Raises GalleryError; ImageGoneError where it is gone."""
        return (await self.async_content(image)).data or b""

    async def async_content(
        self, image: Image, side: int | None = None, known: Collection[str] = ()
    ) -> Content:
        """Return a picture, or its thumbnail; without bytes where its ETag is among those known.

        Raises GalleryError; ImageGoneError where the picture is gone.
        """
        files = self._files(image)
        try:
            if side is not None:
                return await self._thumbnails.async_get(files, image, side, known)
            return await self._original(files, image, known)
        except ImageGoneError:
            await self._forget_gone(image)
            raise

    async def async_file(self, image: Image) -> Path:
        """Return the path of an image's file, which is there.

        Raises GalleryError; ImageGoneError where the picture is gone.
        """
        files = self._files(image)
        try:
            await self._hass.async_add_executor_job(files.changed_at, image.path)
        except ImageGoneError:
            await self._forget_gone(image)
            raise
        return files.root / image.path

    # Changing

    async def async_add(self, image: Image, content: bytes) -> Image:
        """Prove the picture, keep it, and return it with what the bytes and the disk tell.

        Adding a job's image again replaces it. Raises PictureError where the bytes are no
        picture and GalleryError where they cannot be kept; then nothing is left behind.
        """
        picture = await self._hass.async_add_executor_job(examine, content)
        if self._options.strip_metadata:
            content = await self._hass.async_add_executor_job(strip, content, picture.content_type)
        image = replace(
            image,
            content_type=picture.content_type,
            width=picture.width,
            height=picture.height,
            size=len(content),
            saved=self._options.save_images,
        )
        async with self._changing:
            image = replace(image, path=await self._free_path(image, picture.extension))
            earlier = await self._index.async_get(image.job_id)
            await self._keep(image, content, earlier)
            before = self._newest.get(image.preset)
            if earlier is None:
                self._count += 1
            self._note(image)
            self._note_path(image)
            self._recent.pop(image.job_id, None)
            if before is not None and not before.saved and before.job_id != image.job_id:
                await self._discard_quietly([before])
            await self._discard_oldest()
        return image

    async def async_delete(self, images: Iterable[Image]) -> int:
        """Delete images; return how many there were. Raises GalleryError where one stays."""
        async with self._changing:
            return await self._discard(images)

    # Inside

    def _folder_name(self) -> str:
        """Return a name for the folder that no other server's folder has."""
        name = slugify(self._title) or DOMAIN
        others = self._hass.config_entries.async_entries(DOMAIN)
        if any(
            slugify(other.title) == name for other in others if other.entry_id != self._entry_id
        ):
            return f"{name}_{self._entry_id[-6:].lower()}"
        return name

    def _files(self, image: Image) -> Files:
        """Return the files among which an image's is."""
        return self._saved if image.saved else self._unsaved

    def _tidy(self) -> None:
        """Remove what interrupted writes left behind. Blocks."""
        for files in (self._saved, self._unsaved):
            files.remove_parts()

    async def _free_path(self, image: Image, extension: str) -> str:
        """Return the path for an image's file; that of another image is not taken."""
        made_at = dt_util.as_local(dt_util.utc_from_timestamp(image.made_at))
        seed = _UNSAFE.sub("", image.seed or "")[:_SEED_DIGITS] or "0"
        job_id = _UNSAFE.sub("", image.job_id)[:_JOB_ID_CHARACTERS]
        stem = f"{_folder_of(image.preset)}/{made_at:%Y%m%d-%H%M%S}_{seed}_{job_id}"
        path, number = f"{stem}.{extension}", 1
        while (
            await self._hass.async_add_executor_job(self._files(image).exists, path)
            and (owner := await self._index.async_owner(path, saved=image.saved)) is not None
            and owner != image.job_id
        ):
            number += 1
            path = f"{stem}_{number}.{extension}"
        return path

    async def _keep(self, image: Image, content: bytes, earlier: Image | None) -> None:
        """Write file and row, in this order; where the row fails, the file goes again."""
        files = self._files(image)
        replaced = None
        if earlier is not None and (earlier.path, earlier.saved) != (image.path, image.saved):
            replaced = earlier
        await self._hass.async_add_executor_job(files.write, image.path, content)
        try:
            await self._index.async_add(image)
        except GalleryError:
            if earlier is None or replaced is not None:
                await self._hass.async_add_executor_job(files.remove, image.path)
            raise
        if replaced is not None:
            await self._hass.async_add_executor_job(self._files(replaced).remove, replaced.path)

    async def _original(self, files: Files, image: Image, known: Collection[str]) -> Content:
        """Return a picture, from memory where it is one of the newest and still the same."""
        recent = self._recent.get(image.job_id)
        asked = {*known, recent.etag} if recent is not None else known
        data, etag = await self._hass.async_add_executor_job(files.read, image.path, asked)
        if data is not None and len(data) <= _RECENT_BYTES and self.newest(image.preset) == image:
            recent = Content(data=data, etag=etag, content_type=image.content_type)
            self._recent[image.job_id] = recent
            if len(self._recent) > _RECENT_PICTURES:
                self._recent.popitem(last=False)
        elif recent is not None and recent.etag == etag and etag not in known:
            data = recent.data
        return Content(data=data, etag=etag, content_type=image.content_type)

    def _note_path(self, image: Image) -> None:
        """Note where an image was saved, for events and responses about its job."""
        self._paths.pop(image.job_id, None)
        if (path := self.path_of(image)) is not None:
            self._paths[image.job_id] = path
        if len(self._paths) > _RECENT_PATHS:
            self._paths.popitem(last=False)

    def _note(self, image: Image) -> None:
        """Note the newest image."""
        self._overview = None
        self._newest[image.preset] = image
        self._newest_of_all = image

    async def _reload(self) -> None:
        """Read from the index which images are the newest and how many there are."""
        self._overview = None
        newest = await self._index.async_newest_by_preset()
        self._count = await self._index.async_count()
        self._newest = {image.preset: image for image in newest}
        self._newest_of_all = newest[-1] if newest else None

    # Removing

    async def _notice_deleted(self) -> None:
        """Let images go that somebody deleted by hand. Looks at each folder, not each file."""
        if await self._hass.async_add_executor_job(self._changed_by_others):
            async with self._changing:
                await self._compare()

    def _changed_by_others(self) -> bool:
        """Return whether somebody else may have removed files. Blocks."""
        return self._saved.changed() or self._unsaved.changed()

    async def _forget_gone(self, image: Image) -> None:
        """Let an image go whose file was found gone, and look for others at once."""
        async with self._changing:
            await self._compare(image)

    async def _compare(self, gone: Image | None = None) -> None:
        """Let images go that have no file any more, and one that is known to be gone."""
        there = await self._hass.async_add_executor_job(self._present)
        deleted = [
            job_id
            for job_id, path, saved in await self._index.async_paths()
            if ((paths := there[saved]) is not None and path not in paths)
            or (gone is not None and gone.job_id == job_id and gone.path == path)
        ]
        if deleted:
            await self._forget(deleted)

    def _present(self) -> dict[bool, frozenset[str] | None]:
        """Return which files there are, saved and not. Blocks.

        A cache that is not there was emptied; a media folder may come back.
        """
        return {True: self._saved.present(), False: self._unsaved.present() or frozenset()}

    async def _discard_oldest(self) -> None:
        """Remove the oldest images beyond the number that people want to keep."""
        if 0 < self._options.keep_images < self._count:
            surplus = self._count - self._options.keep_images
            await self._discard_quietly(await self._index.async_oldest(surplus))

    async def _discard_quietly(self, images: Iterable[Image]) -> None:
        """Remove images; what cannot be removed now stays and is tried again, said once."""
        try:
            await self._discard(images)
        except GalleryError as err:
            if not self._retention_failing:
                _LOGGER.warning("Old images stay for now: %s", err)
            self._retention_failing = True
            return
        self._retention_failing = False

    async def _discard(self, images: Iterable[Image]) -> int:
        """Remove files, then rows; return how many rows. Raises GalleryError where one stays."""
        removed: list[Image] = []
        error: GalleryError | None = None
        for image in images:
            try:
                await self._hass.async_add_executor_job(self._files(image).remove, image.path)
            except GalleryError as err:
                error = err
            else:
                removed.append(image)
        before = self._count
        if removed:
            await self._forget([image.job_id for image in removed])
        if error is not None:
            raise error
        return before - self._count

    async def _forget(self, job_ids: list[str]) -> None:
        """Remove images from index, memory and thumbnails, and tell it."""
        await self._index.async_forget(job_ids)
        await self._hass.async_add_executor_job(self._thumbnails.remove, job_ids)
        for job_id in job_ids:
            self._recent.pop(job_id, None)
            self._paths.pop(job_id, None)
        await self._reload()
        if self._on_removed is not None:
            self._on_removed()


def _media_folder(hass: HomeAssistant) -> Path:
    """Return the first media directory, or one in the configuration directory."""
    for folder in hass.config.media_dirs.values():
        return Path(folder)
    fallback = Path(hass.config.path("media"))
    _LOGGER.warning("No media directory is configured: pictures are kept in %s", fallback)
    return fallback


def _folder_of(preset: str) -> str:
    """Return a folder name for a preset; never the server's text where it is no plain name."""
    if _SAFE_FOLDER.fullmatch(preset):
        return preset
    return slugify(preset)[:100] or "preset"


def _remove_tree(folder: Path) -> None:
    """Remove a folder that may not be there. Blocks."""
    shutil.rmtree(folder, ignore_errors=True)
