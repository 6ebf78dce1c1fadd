"""The folders with the saved images of a server: the current folder, and earlier ones.

The current folder is in Home Assistant's first media directory. If another directory becomes the
first one, new images are saved in a new folder there. Earlier images stay in the earlier folder.
They are served from it while it is readable. The ID in its marker file identifies a folder, so it
may move to another path.
"""

from collections.abc import Callable, Collection
from hashlib import blake2b
import logging
from pathlib import Path
from typing import Final

from homeassistant.const import CONF_HOST
from homeassistant.core import HomeAssistant
from homeassistant.util import slugify
from homeassistant.util.ulid import ulid_now

from ..const import DOMAIN
from .errors import GalleryError, GalleryUnavailableError
from .files import Files, Marker, read_marker, write_marker
from .index import Index
from .names import plain_name

_LOGGER = logging.getLogger(__name__)

_FOLDER_PROPERTY: Final = "folder"
_MOST_NAME: Final = 100  # characters; file systems take 255 bytes, some less


class Roots:
    """The folders of one server. Not for two tasks at once."""

    def __init__(
        self,
        hass: HomeAssistant,
        entry_id: str,
        title: str,
        index: Index,
        on_change: Callable[[], None],
    ) -> None:
        """Store the server. on_change: called when `unavailable` changes."""
        self._hass = hass
        self._entry_id = entry_id
        self._title = title
        self._index = index
        self._on_change = on_change
        self._parent = Path()
        self._files: dict[str, Files] = {}
        self.path = Path()
        self.current: Files | None = None  # None until the first image is saved
        self.unavailable: GalleryUnavailableError | None = None

    async def async_open(self) -> None:
        """Find the folders. Raises GalleryError if the index cannot be used."""
        name = await self._index.async_property(_FOLDER_PROPERTY)
        if name is None:
            name = await self._async_choose_name()
        self._parent = _find_media_folder(self._hass) / DOMAIN
        self.path = self._parent / name
        for root, path in (await self._index.async_roots()).items():
            self._files[root] = Files(Path(path), root)
        await self._async_relocate()
        await self.async_check_current()

    def files(self, root: str) -> Files:
        """Return the files of a folder."""
        if (files := self._files.get(root)) is not None:
            return files
        return Files(self.path, root)  # images of 0.1.0 whose disk is missing

    @property
    def all(self) -> Collection[Files]:
        """Return the files of all folders that are known."""
        return self._files.values()

    async def async_available(self) -> list[str]:
        """Return the IDs of the folders that are there now."""
        return [root for root, files in self._files.items() if await self._async_is_there(files)]

    async def async_require(self) -> Files:
        """Return the files of the current folder, which is created for the first image.

        Raises GalleryUnavailableError if the disk is unavailable. Nothing is written then.
        """
        await self.async_check_current()
        if self.unavailable is not None:
            raise self.unavailable
        if self.current is None:
            return await self._async_create()
        return self.current

    async def async_check_current(self) -> None:
        """Find out whether the current folder is there. Raises GalleryError."""
        try:
            await self._async_find()
        except GalleryUnavailableError as err:
            self._set_unavailable(err)
        else:
            self._set_unavailable(None)

    async def async_start_again(self) -> list[str]:
        """Replace a folder that the user deleted by an empty one.

        Returns the job IDs of its images. Raises GalleryError.
        """
        await self.async_check_current()
        if self.unavailable is None:
            return []
        given_up = {"", *(root for root, files in self._files.items() if files.root == self.path)}
        images = [
            job_id
            for job_id, _, root, saved in await self._index.async_paths()
            if saved and root in given_up
        ]
        for root in given_up:
            self._files.pop(root, None)
        await self._index.async_delete_roots(given_up)
        await self._async_create()
        self._set_unavailable(None)
        return images

    async def _async_find(self) -> None:
        """Find the current folder by its marker, its path, or an image that is in it.

        Raises GalleryUnavailableError or another GalleryError.
        """
        marker = await self._hass.async_add_executor_job(read_marker, self.path)
        if marker is not None and marker.gallery not in self._files and self._is_foreign(marker):
            await self._async_rename_folder()
            marker = await self._hass.async_add_executor_job(read_marker, self.path)
        if marker is not None:
            await self._async_use(marker)
            return
        at_path = [root for root, files in self._files.items() if files.root == self.path]
        if not at_path and self._files:  # another media directory has become the first one
            self.current = None
            return
        owners = {"", *at_path}
        paths = [
            path
            for _, path, root, saved in await self._index.async_paths()
            if saved and root in owners
        ]
        if not at_path and not paths:  # no image was ever saved
            self.current = None
            return
        files = Files(self.path)
        if not await self._hass.async_add_executor_job(lambda: any(map(files.exists, paths))):
            raise GalleryUnavailableError("missing", "the folder of the images is not there")
        await self._async_create(at_path[0] if at_path else None)

    async def _async_use(self, marker: Marker) -> None:
        """Use the folder at the path, whose marker is one of ours. Raises GalleryError."""
        files = self._files.get(marker.gallery)
        if files is None or files.root != self.path:
            await self._async_move(marker.gallery, self.path)
            await self._async_relocate()
        self.current = self._files[marker.gallery]
        if marker.server != (server := self._server()):
            marker = Marker(gallery=marker.gallery, server=server)
            try:
                await self._hass.async_add_executor_job(write_marker, self.path, marker)
            except GalleryError as err:
                _LOGGER.debug("Unable to update a marker: %s", err)

    async def _async_move(self, root: str, path: Path) -> None:
        """Note that a folder is at another path. Raises GalleryError."""
        await self._index.async_set_root(root, str(path))
        self._files[root] = Files(path, root)

    async def _async_relocate(self) -> None:
        """Find folders at the paths of others, as when two disks were swapped."""
        for path in {files.root for files in self._files.values()}:
            try:
                marker = await self._hass.async_add_executor_job(read_marker, path)
            except GalleryUnavailableError:
                continue
            files = None if marker is None else self._files.get(marker.gallery)
            if files is not None and files.root != path and not await self._async_is_there(files):
                await self._async_move(files.marker or "", path)

    async def _async_is_there(self, files: Files) -> bool:
        """Return whether a folder is where it is expected."""
        return await self._hass.async_add_executor_job(_is_there, files)

    async def _async_create(self, root: str | None = None) -> Files:
        """Create the folder at the path, or its marker. Raises GalleryError.

        The marker comes first: without it, the folder would count as one on a missing disk.
        """
        marker = Marker(gallery=root or ulid_now(), server=self._server())
        await self._hass.async_add_executor_job(write_marker, self.path, marker)
        await self._async_use(marker)
        return self.files(marker.gallery)

    async def _async_rename_folder(self) -> None:
        """Use another name, because the folder is that of another server."""
        name = f"{self.path.name}_{self._entry_id[-6:].lower()}"
        await self._index.async_set_property(_FOLDER_PROPERTY, name)
        self.path = self._parent / name

    async def _async_choose_name(self) -> str:
        """Choose a name for the folder: the earlier one, or one that no other server's has.

        The title says nothing about the earlier name, because it depends on the order in which
        servers are added.
        """
        name = plain_name(slugify(self._title)[:_MOST_NAME] or DOMAIN)
        others = [
            entry
            for entry in self._hass.config_entries.async_entries(DOMAIN)
            if entry.entry_id != self._entry_id
        ]
        if any(slugify(other.title)[:_MOST_NAME] == name for other in others):
            name = f"{name}_{self._entry_id[-6:].lower()}"
        marker = Marker(gallery="", server=self._server())
        if marker.server and not self._is_foreign(marker):
            parent = _find_media_folder(self._hass) / DOMAIN
            name = await self._hass.async_add_executor_job(
                _find_earlier_name, parent, marker.server, name
            )
        await self._index.async_set_property(_FOLDER_PROPERTY, name)
        return name

    def _server(self) -> str:
        """Return what the marker says of this server."""
        entry = self._hass.config_entries.async_get_entry(self._entry_id)
        return "" if entry is None else _hash_text(entry.data.get(CONF_HOST, ""))

    def _is_foreign(self, marker: Marker) -> bool:
        """Return whether the marker is that of another server that Home Assistant has."""
        return marker.server in {
            _hash_text(entry.data.get(CONF_HOST, ""))
            for entry in self._hass.config_entries.async_entries(DOMAIN)
            if entry.entry_id != self._entry_id
        }

    def _set_unavailable(self, error: GalleryUnavailableError | None) -> None:
        """Note whether the folder is there, and report it if that changed."""
        before, self.unavailable = self.unavailable, error
        if (before and before.cause) != (error and error.cause):
            if error is not None:
                _LOGGER.warning("Images cannot be saved at the moment: %s", error)
            self._on_change()


def _is_there(files: Files) -> bool:
    """Return whether a folder is there. Blocks."""
    try:
        marker = read_marker(files.root)
    except GalleryError:
        return False
    return marker is not None and marker.gallery == files.marker


def _find_earlier_name(parent: Path, server: str, name: str) -> str:
    """Return the name of the folder that a server had, or `name` if there is none. Blocks."""
    try:
        names = [name, *sorted(path.name for path in parent.iterdir())]
    except OSError:
        return name
    for earlier in names:
        try:
            marker = read_marker(parent / earlier)
        except GalleryError:
            continue
        if marker is not None and marker.server == server:
            return earlier
    return name


def _find_media_folder(hass: HomeAssistant) -> Path:
    """Return the first media directory, or one in the configuration directory."""
    for folder in hass.config.media_dirs.values():
        return Path(folder)
    fallback = Path(hass.config.path("media"))
    _LOGGER.warning("No media directory is configured. Images are saved in %s", fallback)
    return fallback


def _hash_text(text: str) -> str:
    """Return what identifies a text without containing it."""
    return blake2b(text.encode(), digest_size=16).hexdigest()
