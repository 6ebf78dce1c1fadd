"""Saves finished images: a file each in the media folder, a row each in the index."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from itertools import batched
import logging
from pathlib import Path
import shutil
from typing import Final

from homeassistant.core import HomeAssistant

from ..backup_state import backup_state
from ..const import DOMAIN
from .adoption import describe
from .decoding import read_properties
from .errors import (
    BackupRunningError,
    GalleryError,
    GalleryUnavailableError,
    ImageContentError,
    ImageGoneError,
    IndexFailedError,
    UnknownImagesError,
)
from .files import Files
from .index import Index, IndexedFile
from .metadata import strip
from .models import Content, GalleryOptions, Image, ListedImage, Overview, Selection
from .names import FoundFile, file_stem, job_prefix, parse_path, preset_folder
from .roots import Roots
from .thumbnails import Thumbnails

_LOGGER = logging.getLogger(__name__)

_OVERVIEW_IMAGES: Final = 24
_UNSAVED_OF_PRESET: Final = 20  # as many as one request can make
_PORTION: Final = 20  # images that are changed before others get their turn
BACKUP_WAIT: Final = 30  # seconds for which Home Assistant's own database may have to wait

_REJECTED_PROPERTY: Final = "rejected"
_MOST_REJECTED: Final = 1000
_RECENT_PATHS: Final = 1000  # more than the jobs that the engine remembers

# Images that entities show are requested again and again.
_RECENT_IMAGES: Final = 4
_RECENT_BYTES: Final = 8 * 2**20  # each


class Gallery:
    """The images of one server.

    Users can delete an image by deleting its file. The index notices it when the image is
    requested, and when a listing finds that one of the folders has changed. A file counts as
    deleted only if its folder is readable and on the disk that it was saved to.
    """

    def __init__(
        self,
        hass: HomeAssistant,
        entry_id: str,
        title: str,
        options: GalleryOptions | None = None,
        on_changed: Callable[[], None] | None = None,
    ) -> None:
        """Name the gallery. The title names its folder from the first time on.

        on_changed: called when images were removed, hidden, or added again, and when
        `unavailable_reason` changes.
        """
        self._hass = hass
        self._backup_state = backup_state(hass)
        self._options = options or GalleryOptions()
        self._on_changed = on_changed
        self._index = Index(hass, entry_id)
        self._cache = Path(hass.config.cache_path(DOMAIN, entry_id))
        self._roots = Roots(hass, entry_id, title, self._index, self._report_change)
        self._unsaved = Files(self._cache / "newest")
        self._thumbnails = Thumbnails(hass, self._cache / "thumbnails")
        self._thumbnail_tasks: set[asyncio.Task[None]] = set()
        self._changing = asyncio.Lock()
        self._newest: dict[str, Image] = {}
        self._newest_of_recipe: dict[str, Image] = {}
        self._newest_of_all: Image | None = None
        self._preset_folders: dict[str, str] = {}
        self._found: dict[str, FoundFile] = {}
        self._rejected: set[str] = set()  # paths of files that are no images, although named so
        self._count = 0
        self._changes = 0
        self._paths: OrderedDict[str, tuple[str, str]] = OrderedDict()  # root and path by job
        self._overview: Overview | None = None
        self._recent: OrderedDict[str, Content] = OrderedDict()
        self._retention: asyncio.Task[None] | None = None
        self._retention_failing = False
        self._is_open = False
        self._unwritable: GalleryUnavailableError | None = None  # of the last image
        self._last_number = 0

    # Setup and unload

    async def async_open(self) -> None:
        """Open the index and make it agree with the disk and the options.

        Raises NewerStoreError, GalleryError, or sqlite3.OperationalError if the index cannot be
        used.
        """
        await self._index.async_open()
        self._backup_state.members.add(self)
        self._is_open = True
        async with self._changing:
            await self._roots.async_open()
            if not self._backup_state.active:
                await self._hass.async_add_executor_job(self._remove_parts)
            await self._hass.async_add_executor_job(self._thumbnails.remove_parts)
            rejected = await self._index.async_property(_REJECTED_PROPERTY)
            self._rejected = set((rejected or "").split("\n"))
            await self._reload()
            await self._compare()
            for preset in {image.preset for image in await self._index.async_unsaved()}:
                await self._discard_unsaved(preset)
            await self._discard_oldest()

    async def async_close(self) -> None:
        """Close the index, after the changes that are under way."""
        self._backup_state.members.discard(self)
        self._is_open = False
        for task in self._thumbnail_tasks:
            task.cancel()
        await asyncio.gather(*self._thumbnail_tasks, return_exceptions=True)
        if self._retention is not None:
            await asyncio.wait([self._retention])
        async with self._changing:
            await self._index.async_close()

    async def async_begin_backup(self) -> None:
        """Wait for the write under way. From now on, files stay until `async_end_backup`.

        Does not wait long for a disk that hangs: Home Assistant records no states meanwhile.
        """
        try:
            async with asyncio.timeout(BACKUP_WAIT), self._changing:
                pass
        except TimeoutError:
            _LOGGER.warning("A backup begins although an image is still being written")

    async def async_end_backup(self) -> None:
        """Remove what had to stay."""
        async with self._changing:
            await self._hass.async_add_executor_job(self._remove_parts)
            try:
                await self._discard_oldest()
            except GalleryError as err:
                _LOGGER.debug("Unable to remove old images after a backup: %s", err)

    async def async_remove(self) -> None:
        """Remove the index and the cache. The saved images stay."""
        await self._index.async_remove()
        await self._hass.async_add_executor_job(_remove_tree, self._cache)

    # Queries

    @property
    def folder(self) -> Path:
        """Return where new images go, a folder that may not exist yet."""
        return self._roots.path if self._options.save_images else self._unsaved.root

    @property
    def unavailable_reason(self) -> str | None:
        """Return why images cannot be saved at the moment, or None.

        It is the cause of a GalleryUnavailableError.
        """
        error = self._roots.unavailable if self._options.save_images else None
        error = error or self._unwritable
        return None if error is None else error.cause

    @property
    def rendering_slots(self) -> asyncio.Semaphore:
        """Return what limits how many images are rendered at once."""
        return self._thumbnails.slots

    @property
    def set_aside(self) -> str | None:
        """Return the name of the damaged index, if this start set one aside."""
        return self._index.set_aside

    @property
    def count(self) -> int:
        """Return how many images there are."""
        return self._count

    @property
    def changes(self) -> int:
        """Return how often images were added, marked, or removed since the start."""
        return self._changes

    @property
    def last_number(self) -> int:
        """Return the number of the last image, or 0 if there was none."""
        return self._last_number

    def newest(self, preset: str | None = None, *, recipe: str | None = None) -> Image | None:
        """Return the newest image, of a preset (by slug), of a recipe (by ID), or of all."""
        if recipe is not None:
            return self._newest_of_recipe.get(recipe)
        return self._newest_of_all if preset is None else self._newest.get(preset)

    def path_of(self, image: Image) -> Path | None:
        """Return the path of an image's file, or None if it isn't in the media folder."""
        return self._files(image).root / image.path if image.saved else None

    def saved_path(self, job_id: str) -> Path | None:
        """Return the path of an image of this run or of `async_note_paths`, as `path_of` does."""
        if (noted := self._paths.get(job_id)) is None:
            return None
        root, path = noted
        return self._roots.files(root).root / path

    async def async_note_paths(self, job_ids: Collection[str]) -> None:
        """Note where the images of jobs are, for `saved_path`. Raises GalleryError."""
        for job_id, path, root, saved in await self._index.async_paths(job_ids):
            if saved:
                self._paths[job_id] = (root, path)

    def count_found(self, open_job_ids: Iterable[str] = ()) -> int:
        """Return how many files look like images that the index does not have.

        The files of open jobs do not count.
        """
        return len(self._list_adoptable(open_job_ids))

    async def async_get(self, job_id: str) -> Image | None:
        """Return one image, or None. Raises GalleryError."""
        return await self._index.async_get(job_id)

    async def async_marked(self) -> tuple[int, int]:
        """Return how many images are favorites, and how many are hidden. Raises GalleryError."""
        return await self._index.async_marked()

    async def async_select(
        self, selection: Selection, limit: int = -1, offset: int = 0
    ) -> list[Image]:
        """Return the selected images, newest first. Without a limit, return all.

        `Selection(below=image.number)` selects the images after the last one of a page. Raises
        GalleryError.
        """
        await self._notice_changes()
        return await self._index.async_select(selection, limit, offset)

    async def async_list(self, selection: Selection, limit: int) -> list[ListedImage]:
        """Return the selected images as a listing shows them. Raises GalleryError."""
        await self._notice_changes()
        return await self._index.async_list(selection, limit)

    async def async_overview(self) -> Overview:
        """Return the folders that have images, and the newest images. Raises GalleryError."""
        await self._notice_changes()
        if (overview := self._overview) is None:
            async with self._changing:
                overview = self._overview = Overview(
                    all=await self._index.async_summary("all", Selection()),
                    favorites=await self._index.async_summary("all", Selection(favorite=True)),
                    hidden=await self._index.async_summary("all", Selection(hidden=True)),
                    presets=tuple(await self._index.async_presets()),
                    recipes=tuple(await self._index.async_recipes()),
                    tags=tuple(await self._index.async_tags()),
                    months=tuple(await self._index.async_months()),
                    newest=tuple(await self._index.async_list(Selection(), _OVERVIEW_IMAGES)),
                )
        return overview

    async def async_check(self) -> None:
        """Look for the disk and for changes on it. Raises GalleryError."""
        async with self._changing:
            await self._roots.async_check_current()
            if self._unwritable is not None:
                with suppress(GalleryError):
                    await self._probe()
        await self._notice_changes()

    # Contents of images

    async def async_read(self, image: Image) -> bytes:
        """Return the bytes of an image. Raises GalleryError, ImageGoneError if it is gone."""
        return (await self.async_content(image)).data or b""

    async def async_content(
        self, image: Image, side: int | None = None, known: Collection[str] = ()
    ) -> Content:
        """Return an image, or its thumbnail, without bytes if its ETag is among those known.

        Raises GalleryError, ImageGoneError if the file is gone.
        """
        files = self._files(image)
        try:
            if side is not None:
                return await self._thumbnails.async_get(files, image, side, known)
            return await self._read_original(files, image, known)
        except ImageGoneError:
            await self._remove_gone(image)
            raise

    async def async_file(self, image: Image) -> Path:
        """Return the path of an image's file, which exists.

        Raises GalleryError, ImageGoneError if the file is gone.
        """
        files = self._files(image)
        try:
            await self._hass.async_add_executor_job(files.changed_at, image.path)
        except ImageGoneError:
            await self._remove_gone(image)
            raise
        return files.root / image.path

    # Changes

    async def async_add(self, image: Image, content: bytes) -> Image:
        """Validate and save an image, and return it with its properties and its path.

        Adding a job's image again replaces it. An earlier image whose number is lower is of
        another job: GAZE uses IDs again after its database was reset. It stays under another ID.
        Raises ImageContentError if the bytes are no image, and GalleryUnavailableError if the disk
        is unavailable or cannot be written. Nothing is left behind then.
        """
        image, content, extension = await self._prepare(image, content)
        async with self._changing, self._noting_disk():
            files = await self._require_writable_files()
            image = replace(image, root=files.marker or "")
            earlier = await self._index.async_get(image.job_id)
            if earlier is not None and earlier.number < image.number:
                await self._rename(earlier)
                earlier = None
            path = await self._hass.async_add_executor_job(self._find_adopted_path, image, content)
            if path is None:
                path = await self._find_free_path(files, image, extension)
            image = replace(image, path=path)
            image = await self._save(files, image, content, earlier)
            if earlier is None:
                self._count += 1
            before = self._newest.get(image.preset)
            self._note(image)
            self._note_path(image)
            if not image.saved or (before is not None and not before.saved):
                await self._discard_unsaved(image.preset, image)
            await self._discard_oldest()
        self._make_thumbnails(image)
        return image

    async def async_delete(
        self, images: Iterable[Image], *, include_favorites: bool = False
    ) -> int:
        """Delete images and return how many there were.

        Favorites stay unless `include_favorites` is set, also those that were marked in the
        meantime.
        Raises BackupRunningError during a backup, GalleryUnavailableError if the disk is
        unavailable, or GalleryError if an image could not be deleted. Some of the images may be
        deleted by then.
        """
        deleted = 0
        error: GalleryError | None = None
        for portion in batched(images, _PORTION, strict=False):
            async with self._changing:
                self._require_open()
                if self._backup_state.active:
                    raise BackupRunningError
                try:
                    current = await self._index.async_current(image.job_id for image in portion)
                    deleted += await self._discard(
                        image for image in current if include_favorites or not image.favorite
                    )
                except GalleryUnavailableError:
                    raise
                except GalleryError as err:
                    error = err
        if error is not None:
            raise error
        return deleted

    async def async_mark(
        self, job_ids: Sequence[str], *, favorite: bool | None = None, hidden: bool | None = None
    ) -> int:
        """Mark images and return how many changed; `None` leaves a mark as it is.

        Raises UnknownImagesError, with nothing changed, or another GalleryError.
        """
        async with self._changing:
            unknown, changed = await self._index.async_mark(
                list(dict.fromkeys(job_ids)), favorite=favorite, hidden=hidden
            )
            if unknown:
                raise UnknownImagesError(unknown)
            if changed:
                await self._reload()
                self._report_change()
            if changed and favorite is False:
                await self._discard_oldest()
        return changed

    async def async_adopt(
        self, presets: Mapping[str, str], open_job_ids: Iterable[str] = ()
    ) -> int:
        """Add the files that `count_found` counts to the index, and return how many.

        presets: names by slug. A file that turns out to be no image is skipped, and not counted
        again. A file that cannot be read now is skipped, and counted again. Raises GalleryError.
        """
        async with self._changing:
            files = await self._roots.async_require()
            slugs = {preset_folder(slug, ()): slug for slug in presets}
            slugs |= {folder: slug for slug, folder in self._preset_folders.items()}
            found = self._list_adoptable(open_job_ids)
        adopted = 0
        try:
            for portion in batched(found, _PORTION, strict=False):
                async with self._changing:
                    self._require_open()
                    if (await self._roots.async_require()).marker != files.marker:
                        break  # the files are on another disk
                    adopted += await self._adopt(files, portion, slugs, presets)
        finally:
            self._report_change()
        return adopted

    async def async_start_again(self) -> None:
        """Create an empty folder after the user confirmed that the missing one was deleted.

        Removes its images from the index. Raises GalleryError.
        """
        async with self._changing:
            await self._remove_images(await self._roots.async_start_again())

    # Internal

    def _files(self, image: Image) -> Files:
        """Return the root that contains the file of an image."""
        return self._roots.files(image.root) if image.saved else self._unsaved

    def _require_open(self) -> None:
        """Raise GalleryError if the gallery was closed while others had their turn."""
        if not self._is_open:
            raise GalleryError("the list of images is closed")

    async def _require_writable_files(self) -> Files:
        """Return the files that new images go to. Raises GalleryUnavailableError."""
        return await self._roots.async_require() if self._options.save_images else self._unsaved

    async def _probe(self) -> None:
        """Note whether images can be saved again. Raises GalleryUnavailableError."""
        async with self._noting_disk():
            files = await self._require_writable_files()
            await self._hass.async_add_executor_job(files.probe)
            await self._index.async_probe()

    @asynccontextmanager
    async def _noting_disk(self) -> AsyncGenerator[None]:
        """Note whether the block can write, and report it if that changed."""
        before, error = self._unwritable, None
        try:
            yield
        except GalleryUnavailableError as err:
            if err is not self._roots.unavailable:
                error = err
            raise
        except GalleryError as err:
            cause = "index" if isinstance(err, IndexFailedError) else "unwritable"
            error = GalleryUnavailableError(cause, str(err))
            raise error from err
        finally:
            self._unwritable = error
            if (before and before.cause) != (error and error.cause):
                if error is not None:
                    _LOGGER.warning("Images cannot be saved at the moment: %s", error)
                self._report_change()

    def _remove_parts(self) -> None:
        """Remove what interrupted writes left behind. Blocks."""
        for files in (*self._roots.all, self._unsaved):
            files.remove_parts()

    def _list_adoptable(self, open_job_ids: Iterable[str]) -> list[FoundFile]:
        """Return the files that can be adopted, oldest first."""
        jobs = {job_prefix(job_id) for job_id in open_job_ids}
        found = [
            file
            for file in self._found.values()
            if file.job not in jobs and file.path not in self._rejected
        ]
        return sorted(found, key=lambda file: (file.made_at, file.path))

    async def _adopt(
        self,
        files: Files,
        found: Iterable[FoundFile],
        slugs: Mapping[str, str],
        names: Mapping[str, str],
    ) -> int:
        """Add those of the files to the index that still lack a row, and return how many."""
        found = [file for file in found if self._found.get(file.path) == file]
        described, rejected = await self._hass.async_add_executor_job(
            _describe, files, found, slugs, names
        )
        words = {image.job_id: text for image, text in described}
        await self._index.async_add(*(image for image, _ in described), words=words)
        for path in (*rejected, *(image.path for image, _ in described)):
            self._found.pop(path, None)
        if rejected:
            self._rejected |= rejected
            all_rejected = "\n".join(sorted(self._rejected)[-_MOST_REJECTED:])
            await self._index.async_set_property(_REJECTED_PROPERTY, all_rejected)
        await self._reload()
        return len(described)

    def _find_adopted_path(self, image: Image, content: bytes) -> str | None:
        """Return the path of a file that has the image already, after a backup was restored."""
        files = self._roots.current
        for found in list(self._found.values()):
            if image.saved and files is not None and found.job == job_prefix(image.job_id):
                with suppress(GalleryError):
                    if files.read(found.path)[0] == content:
                        return found.path
        return None

    async def _find_free_path(self, files: Files, image: Image, extension: str) -> str:
        """Return the path for an image's file. That of another image or thing is not taken."""
        folder = await self._find_free_folder(files, image.preset)
        stem = f"{folder}/{file_stem(image)}"
        path, number = f"{stem}.{extension}", 1
        while not await self._is_free(files, image, path):
            number += 1
            path = f"{stem}_{number}.{extension}"
        return path

    async def _find_free_folder(self, files: Files, preset: str) -> str:
        """Return the folder of a preset, a new one if a file or link has that name."""
        taken = list(self._preset_folders.values())
        folder = self._preset_folders.get(preset) or preset_folder(preset, taken)
        while not await self._hass.async_add_executor_job(files.can_hold, folder):
            taken.append(folder)
            folder = preset_folder(preset, taken)
        return folder

    async def _is_free(self, files: Files, image: Image, path: str) -> bool:
        """Return whether the file of an image can have a path."""
        if not await self._hass.async_add_executor_job(files.exists, path):
            return True
        if not await self._hass.async_add_executor_job(files.can_write, path):
            return False
        owner = await self._index.async_owner(path, image.root, saved=image.saved)
        return owner in {None, image.job_id}

    async def _prepare(self, image: Image, content: bytes) -> tuple[Image, bytes, str]:
        """Return an image with its properties, the bytes to save, and the file name extension.

        Raises ImageContentError if the bytes are no image.
        """
        properties = await self._hass.async_add_executor_job(read_properties, content)
        content_type = properties.content_type
        if self._options.strip_metadata:
            content = await self._hass.async_add_executor_job(strip, content, content_type)
        image = replace(
            image,
            content_type=content_type,
            width=properties.width,
            height=properties.height,
            size=len(content),
            saved=self._options.save_images,
        )
        return image, content, properties.extension

    async def _save(
        self, files: Files, image: Image, content: bytes, earlier: Image | None
    ) -> Image:
        """Write file and row, in this order. If the row fails, the file is removed again."""
        replaced = None
        place = (image.root, image.path, image.saved)
        if earlier is not None and (earlier.root, earlier.path, earlier.saved) != place:
            replaced = earlier
        write = partial(files.write, keep_part=lambda: self._backup_state.active)
        await self._hass.async_add_executor_job(write, image.path, content)
        try:
            [image] = await self._index.async_add(image)
        except GalleryError:
            if earlier is None or replaced is not None:
                await self._hass.async_add_executor_job(files.remove, image.path)
            raise
        if replaced is not None:
            await self._remove_replaced(replaced)
        if earlier is not None:
            await self._hass.async_add_executor_job(self._thumbnails.remove, [image.job_id])
        return image

    async def _rename(self, image: Image) -> None:
        """Give an image another ID, because another job has its ID now."""
        await self._index.async_rename(image.job_id, f"{image.job_id}-{image.number}")
        await self._note_removed([image.job_id])

    async def _remove_replaced(self, replaced: Image) -> None:
        """Remove the file of an image that was saved again elsewhere, at the end of a backup."""
        files = self._files(replaced)
        if self._backup_state.active:
            remove = partial(self._backup_state.remove_file, files.root / replaced.path)
        else:
            remove = partial(files.remove, replaced.path)
        try:
            await self._hass.async_add_executor_job(remove)
        except GalleryError as err:
            _LOGGER.debug("The earlier file of an image stays: %s", err)

    async def _read_original(self, files: Files, image: Image, known: Collection[str]) -> Content:
        """Return an image, from memory if it is one of the newest and unchanged."""
        recent = self._recent.get(image.job_id)
        known_etags = {*known, recent.etag} if recent is not None else known
        data, etag = await self._hass.async_add_executor_job(files.read, image.path, known_etags)
        if data is not None and len(data) <= _RECENT_BYTES and self.newest(image.preset) == image:
            recent = Content(data=data, etag=etag, content_type=image.content_type)
            self._recent[image.job_id] = recent
            if len(self._recent) > _RECENT_IMAGES:
                self._recent.popitem(last=False)
        elif recent is not None and recent.etag == etag and etag not in known:
            data = recent.data
        return Content(data=data, etag=etag, content_type=image.content_type)

    def _note_path(self, image: Image) -> None:
        """Note where an image was saved, for events and responses about its job."""
        self._paths.pop(image.job_id, None)
        if image.saved:
            self._paths[image.job_id] = (image.root, image.path)
        if len(self._paths) > _RECENT_PATHS:
            self._paths.popitem(last=False)

    def _note(self, image: Image) -> None:
        """Note a new image. It is the newest only if it was finished last."""
        self._overview = None
        self._changes += 1
        self._last_number = max(self._last_number, image.number)
        self._found.pop(image.path, None)
        self._recent.pop(image.job_id, None)
        self._preset_folders[image.preset] = image.path.partition("/")[0]
        if image.hidden:
            return
        self._newest[image.preset] = _choose_later(image, self._newest.get(image.preset))
        if image.recipe is not None:
            newest = self._newest_of_recipe.get(image.recipe)
            self._newest_of_recipe[image.recipe] = _choose_later(image, newest)
        self._newest_of_all = _choose_later(image, self._newest_of_all)

    async def _reload(self) -> None:
        """Read from the index which images are the newest, and how many there are."""
        self._overview = None
        self._changes += 1
        newest = await self._index.async_newest()
        shown = [image for image in newest if not image.hidden]
        self._count = await self._index.async_count()
        self._last_number = max(self._last_number, await self._index.async_last_number())
        self._newest = {image.preset: image for image in shown}
        self._newest_of_recipe = {
            image.recipe: image for image in shown if image.recipe is not None
        }
        self._newest_of_all = shown[-1] if shown else None
        self._preset_folders = {image.preset: image.path.partition("/")[0] for image in newest}

    def _report_change(self) -> None:
        """Report that images were removed, hidden, or added again, or that the disk changed."""
        if self._on_changed is not None:
            self._on_changed()

    def _make_thumbnails(self, image: Image) -> None:
        """Make the thumbnails of a new image in the background."""
        task = self._hass.async_create_background_task(
            self._thumbnails.async_prepare(self._files(image), image), "gaze thumbnails"
        )
        self._thumbnail_tasks.add(task)
        task.add_done_callback(self._thumbnail_tasks.discard)

    # Removing

    async def _notice_changes(self) -> None:
        """Compare with the disk if others changed a folder. Looks at folders, not at each file."""
        if self._roots.unavailable is not None:
            async with self._changing:
                await self._roots.async_check_current()
        if await self._hass.async_add_executor_job(self._changed_by_others):
            async with self._changing:
                await self._compare()

    def _changed_by_others(self) -> bool:
        """Return whether others may have changed files. Blocks."""
        return any(files.changed() for files in (*self._roots.all, self._unsaved))

    async def _remove_gone(self, image: Image) -> None:
        """Remove an image whose file is missing, and find others."""
        async with self._changing:
            await self._compare(image)

    async def _compare(self, gone: Image | None = None) -> None:
        """Remove images whose files are missing, and one that is known to be missing.

        Notes which files may be images that the index does not have.
        """
        rows = await self._index.async_paths()
        deleted: list[str] = []
        for files in (*self._roots.all, self._unsaved):
            missing, found = await self._hass.async_add_executor_job(
                _compare_files, files, rows, files is self._unsaved
            )
            deleted += missing
            if files is self._roots.current and found is not None:
                self._found = found
        if gone is not None and any((gone.job_id, gone.path) == row[:2] for row in rows):
            deleted.append(gone.job_id)
        if deleted:
            await self._remove_images(list(dict.fromkeys(deleted)))

    async def _discard_unsaved(self, preset: str, added: Image | None = None) -> None:
        """Remove the unsaved images of a preset, except those of the last batch.

        A late image of an earlier batch stays as long as nothing else is added. The newest image
        of a recipe stays, too, because the entity of the recipe shows it.
        """
        newest = self._newest.get(preset)
        batches = {
            image.batch_id for image in (newest, added) if image is not None and not image.saved
        }
        images = [image for image in await self._index.async_unsaved(preset) if not image.favorite]
        kept = [image for image in images if image.batch_id in batches][:_UNSAVED_OF_PRESET]
        kept += [image for image in images if image in self._newest_of_recipe.values()]
        if surplus := [image for image in images if image not in kept]:
            await self._discard_quietly(surplus)

    async def _discard_oldest(self) -> None:
        """Remove the oldest images beyond the maximum number in the options.

        Only a portion of them is removed now, and the rest in the background.
        """
        after = await self._discard_portion(-1)
        if after is not None and (self._retention is None or self._retention.done()):
            self._retention = self._hass.async_create_background_task(
                self._discard_rest(after), "gaze retention"
            )

    async def _discard_rest(self, after: int | None) -> None:
        """Remove the images above a number that are beyond the maximum number in the options."""
        try:
            while after is not None:
                async with self._changing:
                    after = await self._discard_portion(after)
        except GalleryError as err:
            _LOGGER.debug("Unable to remove old images: %s", err)

    async def _discard_portion(self, after: int) -> int | None:
        """Remove some of the oldest images beyond the maximum number in the options.

        Only images above the number `after`. Returns the number for the next portion, or None if
        no more images can be removed now.
        """
        limit = self._options.keep_images
        if not 0 < limit < self._count or self._backup_state.active or not self._is_open:
            return None
        roots = await self._roots.async_available()
        surplus = await self._index.async_surplus(limit, roots, after=after, most=_PORTION)
        if not surplus or not await self._discard_quietly(surplus):
            return None
        return surplus[-1].number if len(surplus) == _PORTION else None

    async def _discard_quietly(self, images: Iterable[Image]) -> bool:
        """Remove images. What cannot be removed now stays and is tried again; logged once.

        Returns False if the disk is unavailable.
        """
        try:
            await self._discard(images)
        except GalleryError as err:
            if not self._retention_failing:
                _LOGGER.warning("Old images stay for now: %s", err)
            self._retention_failing = True
            return not isinstance(err, GalleryUnavailableError)
        self._retention_failing = False
        return True

    async def _discard(self, images: Iterable[Image]) -> int:
        """Remove files, then rows; return how many rows. Raises GalleryError if one stays."""
        removed: list[Image] = []
        error: GalleryError | None = None
        for image in images:
            try:
                await self._hass.async_add_executor_job(self._files(image).remove, image.path)
            except GalleryUnavailableError as err:
                error = err
                await self._roots.async_check_current()
                break
            except GalleryError as err:
                error = err
            else:
                removed.append(image)
        before = self._count
        if removed:
            await self._remove_images([image.job_id for image in removed])
        if error is not None:
            raise error
        return before - self._count

    async def _remove_images(self, job_ids: list[str]) -> None:
        """Remove images from the index, the memory, and the thumbnails, and report it."""
        await self._index.async_delete(job_ids)
        await self._note_removed(job_ids)

    async def _note_removed(self, job_ids: list[str]) -> None:
        """Note that the index no longer has images under these IDs, and report it."""
        await self._hass.async_add_executor_job(self._thumbnails.remove, job_ids)
        for job_id in job_ids:
            self._recent.pop(job_id, None)
            self._paths.pop(job_id, None)
        await self._reload()
        self._report_change()


def _choose_later(image: Image, other: Image | None) -> Image:
    """Return the image that was finished later."""
    return image if other is None or image.number >= other.number else other


def _compare_files(
    files: Files, rows: Iterable[IndexedFile], unsaved: bool
) -> tuple[list[str], dict[str, FoundFile] | None]:
    """Return the jobs whose files are certainly missing, and the files of no job. Blocks.

    `unsaved` says that the files are not in the media folder. The files of no job are None if
    the folder cannot be read now.
    """
    owned = {
        path: job_id
        for job_id, path, root, saved in rows
        if (root == files.marker if saved else unsaved)
    }
    if (listing := files.present()) is None:
        return [], None
    others = (parse_path(path) for path in listing.paths if path not in owned)
    missing = files.confirm_missing(listing.missing(owned))
    return [owned[path] for path in missing], {
        found.path: found for found in others if found is not None
    }


def _describe(
    files: Files, found: Iterable[FoundFile], slugs: Mapping[str, str], names: Mapping[str, str]
) -> tuple[list[tuple[Image, str]], set[str]]:
    """Return the images of files with the text in which they can be searched. Blocks.

    Also returns the paths of files that are no images. Raises GalleryUnavailableError.
    """
    described: list[tuple[Image, str]] = []
    rejected: set[str] = set()
    for file in found:
        slug = slugs.get(file.folder, file.folder)
        name = names.get(slug) or slug.replace("_", " ").capitalize()
        try:
            described.append(describe(files, file, slug, name))
        except (ImageGoneError, ImageContentError) as err:
            _LOGGER.debug("A file is no image: %s", err)
            rejected.add(file.path)
        except GalleryUnavailableError:
            raise
        except GalleryError as err:
            _LOGGER.warning("An image could not be listed again: %s", err)
    return described, rejected


def _remove_tree(folder: Path) -> None:
    """Remove a folder that may not exist. Blocks."""
    shutil.rmtree(folder, ignore_errors=True)
