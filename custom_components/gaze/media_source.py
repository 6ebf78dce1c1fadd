"""Media source of saved images, which can be browsed, searched, and resolved.

`media-source://gaze` shows the servers, or the folders of the only one. Below it:

    <config_entry_id>                       folders, then the newest images
    <config_entry_id>/<job_id>              one image
    <config_entry_id>/group/presets         the folders of all presets. Also recipes, tags, months
    <config_entry_id>/images/all            a folder of images. Also images/favorites,
                                            images/hidden, preset/<slug>, recipe/<id>,
                                            tag/<quoted tag>, and month/2026-08
    <config_entry_id>/images/all/<number>   its next page with lower numbers

A folder of images lists them directly, so that slideshows and screensavers can rotate it.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
import logging
import re
from typing import Final, override
from urllib.parse import quote, unquote

from homeassistant.components.media_player import (
    BrowseError,
    MediaClass,
    SearchMedia,
    SearchMediaQuery,
)
from homeassistant.components.media_source import (
    BrowseMediaSource,
    MediaSource,
    MediaSourceItem,
    PlayMedia,
    Unresolvable,
)
from homeassistant.core import HomeAssistant
from homeassistant.helpers.translation import async_get_cached_translations
from homeassistant.util import dt as dt_util

from .const import DOMAIN
from .coordinator import GazeConfigEntry, GazeCoordinator
from .gallery import Folder, GalleryError, Image, ImageGoneError, ListedImage, Overview, Selection
from .ids import image_url, thumbnail_url
from .names import MAX_LENGTH, clean

_LOGGER = logging.getLogger(__name__)

PAGE: Final = 500
NEWEST: Final = 24
_THUMBNAIL_SIDE: Final = 256

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,255}")
_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_MONTH: Final = re.compile(r"[0-9]{4}-[0-9]{2}")

_TAG: Final = re.compile(r"[^/]+")  # quoted, so up to 12 times as long as the tag
_IMAGES: Final = {
    "all": Selection(),
    "favorites": Selection(favorite=True),
    "hidden": Selection(hidden=True),
}
# Pattern of the key and selection of the images, by kind of folder
_FOLDERS: Final[dict[str, tuple[re.Pattern[str], Callable[[str], Selection]]]] = {
    "images": (re.compile("|".join(_IMAGES)), _IMAGES.__getitem__),
    "preset": (_ID, lambda slug: Selection(preset=slug)),
    "recipe": (_ID, lambda recipe: Selection(recipe=recipe)),
    "tag": (_TAG, lambda tag: Selection(tag=unquote(tag))),
    "month": (_MONTH, lambda month: Selection(month=month)),
}
_GROUP: Final = "group"
_GROUPS: Final[dict[str, tuple[str, Callable[[Overview], Sequence[Folder]]]]] = {
    "presets": ("preset", lambda overview: overview.presets),
    "recipes": ("recipe", lambda overview: overview.recipes),
    "tags": ("tag", lambda overview: overview.tags),
    "months": ("month", lambda overview: overview.months),
}
_TITLE_KEY: Final = f"component.{DOMAIN}.common.media_"


class _UnknownMediaError(GalleryError):
    """The identifier is unknown."""


class _ServerNotLoadedError(GalleryError):
    """The identifier names a server that is not loaded."""


# The first class that matches an error determines its text.
_TRANSLATION_KEYS: Final[dict[type[GalleryError], str]] = {
    _UnknownMediaError: "media_not_found",
    _ServerNotLoadedError: "media_server_not_loaded",
    ImageGoneError: "media_not_found",
    GalleryError: "gallery_failed",
}


async def async_get_media_source(hass: HomeAssistant) -> MediaSource:
    """Set up the media source."""
    return GazeMediaSource(hass)


class GazeMediaSource(MediaSource):
    """The saved images of all servers."""

    name = "GAZE"

    def __init__(self, hass: HomeAssistant) -> None:
        """Create the media source of the integration."""
        super().__init__(DOMAIN)
        self.hass = hass

    @override
    async def async_browse_media(self, item: MediaSourceItem) -> BrowseMediaSource:
        """Return a folder with its content, or one image."""
        with _media_errors(BrowseError, item):
            match _split_identifier(item):
                case [""]:
                    return await self._async_browse_root()
                case [entry_id]:
                    return await _async_browse_server(self._get_server(entry_id), entry_id)
                case [entry_id, job_id]:
                    return await _async_browse_image(self._get_server(entry_id), job_id)
                case [entry_id, "group", key]:
                    return await _async_browse_group(self._get_server(entry_id), key)
                case [entry_id, kind, key, *page]:
                    return await _async_browse_folder(self._get_server(entry_id), kind, key, page)
            raise _UnknownMediaError

    @override
    async def async_resolve_media(self, item: MediaSourceItem) -> PlayMedia:
        """Return the URL and the file of an image."""
        with _media_errors(Unresolvable, item):
            match _split_identifier(item):
                case [entry_id, job_id]:
                    gallery = self._get_server(entry_id).gallery
                    image = await gallery.async_get(_validate_part(_ID, job_id))
                case _:
                    raise _UnknownMediaError
            if image is None:
                raise _UnknownMediaError
            path = await gallery.async_file(image)
            return PlayMedia(image_url(entry_id, job_id), image.content_type, path=path)

    @override
    async def async_search_media(
        self, item: MediaSourceItem, query: SearchMediaQuery
    ) -> SearchMedia:
        """Return the images below an identifier that contain all words of the query."""
        with _media_errors(BrowseError, item):
            entry_id, *folder = _split_identifier(item)
            servers = [self._get_server(entry_id)] if entry_id else self._list_servers()
            match folder:
                case [] | ["group", _]:
                    selection = Selection()
                case [kind, key, *_]:
                    selection = _create_selection(kind, key)
                case _:
                    raise _UnknownMediaError
            wanted = query.media_filter_classes
            if wanted and MediaClass.IMAGE not in wanted:
                return SearchMedia(result=[])
            selection = replace(selection, search=query.search_query)
            return SearchMedia(result=await _async_list_images(servers, selection, PAGE))

    async def _async_browse_root(self) -> BrowseMediaSource:
        """Return the servers, or the folders of the only one."""
        servers = self._list_servers()
        if len(servers) == 1:
            return await _async_browse_server(servers[0], None)
        folders = []
        for server in servers:
            entry = server.config_entry
            folder = _create_folder(entry.entry_id, entry.title)
            if (newest := server.gallery.newest()) is not None:
                folder.thumbnail = thumbnail_url(entry.entry_id, newest.job_id, _THUMBNAIL_SIDE)
            folders.append(folder)
        images = await _async_list_images(servers, Selection(), NEWEST)
        return _create_folder(None, "GAZE", [*folders, *images])

    def _list_servers(self) -> list[GazeCoordinator]:
        """Return the loaded servers."""
        entries: list[GazeConfigEntry] = self.hass.config_entries.async_loaded_entries(DOMAIN)
        return [entry.runtime_data for entry in entries]

    def _get_server(self, entry_id: str) -> GazeCoordinator:
        """Return the loaded server of an entry. Raises GalleryError."""
        for server in self._list_servers():
            if server.config_entry.entry_id == entry_id:
                return server
        raise _ServerNotLoadedError


async def _async_browse_server(
    server: GazeCoordinator, identifier: str | None
) -> BrowseMediaSource:
    """Return the folders of a server, then its newest images."""
    overview = await server.gallery.async_overview()
    folders = [
        *_summarize_images(server, "all", overview.all),
        *_summarize_images(server, "favorites", overview.favorites),
        *(
            _create_counted_folder(
                f"{server.config_entry.entry_id}/{_GROUP}/{key}",
                _get_own_title(server.hass, key),
                len(found),
                thumbnail_url(
                    server.config_entry.entry_id, found[0].newest_job_id, _THUMBNAIL_SIDE
                ),
            )
            for key, (_, folders_of) in _GROUPS.items()
            if (found := folders_of(overview))
        ),
        *_summarize_images(server, "hidden", overview.hidden),
    ]
    return _create_folder(
        identifier,
        server.config_entry.title,
        [*folders, *(_create_item(server, image) for image in overview.newest)],
    )


async def _async_browse_group(server: GazeCoordinator, key: str) -> BrowseMediaSource:
    """Return the folders of all presets, recipes, tags, or months."""
    if key not in _GROUPS:
        raise _UnknownMediaError
    kind, folders_of = _GROUPS[key]
    overview = await server.gallery.async_overview()
    return _create_folder(
        f"{server.config_entry.entry_id}/{_GROUP}/{key}",
        _get_own_title(server.hass, key),
        [_summarize_folder(server, kind, folder) for folder in folders_of(overview)],
        children_media_class=MediaClass.DIRECTORY,
    )


async def _async_browse_folder(
    server: GazeCoordinator, kind: str, key: str, page: Sequence[str]
) -> BrowseMediaSource:
    """Return a page of the images in a folder, and a folder with older images."""
    identifier = f"{server.config_entry.entry_id}/{kind}/{key}"
    selection = _create_selection(kind, key)
    match page:
        case []:
            pass
        case [number]:
            selection = replace(selection, below=int(_validate_part(_NUMBER, number)))
        case _:
            raise _UnknownMediaError
    title = _get_folder_title(server, kind, key)
    images = await server.gallery.async_list(selection, PAGE + 1)
    children = [_create_item(server, image) for image in images[:PAGE]]
    if len(images) > PAGE:
        older = f"{identifier}/{images[PAGE - 1].number}"
        children.append(_create_folder(older, _get_own_title(server.hass, "older")))
    return _create_folder(
        "/".join((identifier, *page)),
        title,
        children,
        children_media_class=MediaClass.IMAGE,
    )


async def _async_browse_image(server: GazeCoordinator, job_id: str) -> BrowseMediaSource:
    """Return one image."""
    image = await server.gallery.async_get(_validate_part(_ID, job_id))
    if image is None:
        raise _UnknownMediaError
    return _create_item(server, image)


async def _async_list_images(
    servers: Sequence[GazeCoordinator], selection: Selection, limit: int
) -> list[BrowseMediaSource]:
    """Return the selected images of several servers, newest first."""
    found = [
        (server, image)
        for server in servers
        for image in await server.gallery.async_list(selection, limit)
    ]
    if len(servers) > 1:
        found.sort(key=lambda pair: pair[1].made_at, reverse=True)
    return [_create_item(server, image) for server, image in found[:limit]]


def _split_identifier(item: MediaSourceItem) -> list[str]:
    """Return the parts of an identifier. Home Assistant has None for an empty one."""
    return (item.identifier or "").split("/")


def _create_selection(kind: str, key: str) -> Selection:
    """Return the selection of the images in a folder."""
    if kind not in _FOLDERS:
        raise _UnknownMediaError
    pattern, select = _FOLDERS[kind]
    return select(_validate_part(pattern, key))


def _validate_part(pattern: re.Pattern[str], part: str) -> str:
    """Return a part of an identifier if it matches the pattern. Raises GalleryError."""
    if not pattern.fullmatch(part):
        raise _UnknownMediaError
    return part


def _get_own_title(hass: HomeAssistant, key: str) -> str:
    """Return the title of a folder of the integration, in the language of Home Assistant."""
    texts = async_get_cached_translations(hass, hass.config.language, "common", DOMAIN)
    return texts.get(f"{_TITLE_KEY}{key}", key)


def _get_folder_title(server: GazeCoordinator, kind: str, key: str) -> str:
    """Return the title of a folder of images."""
    name = key
    match kind:
        case "images":
            return _get_own_title(server.hass, key)
        case "tag":
            name = unquote(key)
        case "preset":
            name = _preset_name(server, key)
        case "recipe":
            name = _recipe_name(server, key)
    return clean(name) or key[:MAX_LENGTH]


def _preset_name(coordinator: GazeCoordinator, slug: str) -> str:
    """Return the name of a preset, or of its newest image if the preset is deleted."""
    if (preset := coordinator.data.get(slug)) is not None:
        return preset.name
    image = coordinator.gallery.newest(slug)
    return slug if image is None else image.preset_name


def _recipe_name(coordinator: GazeCoordinator, recipe_id: str) -> str:
    """Return the name of a recipe, or of its newest image if the recipe is deleted."""
    if (recipe := coordinator.recipes.get(recipe_id)) is not None:
        return recipe.name
    image = coordinator.gallery.newest(recipe=recipe_id)
    return recipe_id if image is None else image.recipe_name or recipe_id


def _summarize_images(
    server: GazeCoordinator, key: str, folder: Folder | None
) -> Generator[BrowseMediaSource]:
    """Yield the listed folder if it has images."""
    if folder is not None:
        yield _summarize_folder(server, "images", replace(folder, key=key))


def _summarize_folder(server: GazeCoordinator, kind: str, folder: Folder) -> BrowseMediaSource:
    """Return a listed folder, with its newest image as the thumbnail."""
    key = quote(folder.key, safe="") if kind == "tag" else folder.key
    return _create_counted_folder(
        f"{server.config_entry.entry_id}/{kind}/{key}",
        _get_folder_title(server, kind, key),
        folder.count,
        thumbnail_url(server.config_entry.entry_id, folder.newest_job_id, _THUMBNAIL_SIDE),
    )


def _create_counted_folder(
    identifier: str, title: str, count: int, thumbnail: str
) -> BrowseMediaSource:
    """Return a listed folder with a count in its title."""
    return _create_folder(identifier, f"{title} ({count})", thumbnail=thumbnail)


def _create_folder(
    identifier: str | None,
    title: str,
    children: Sequence[BrowseMediaSource] | None = None,
    *,
    children_media_class: MediaClass | None = None,
    thumbnail: str | None = None,
) -> BrowseMediaSource:
    """Return a folder."""
    return BrowseMediaSource(
        domain=DOMAIN,
        identifier=identifier,
        media_class=MediaClass.DIRECTORY,
        media_content_type="",
        title=title,
        can_play=False,
        can_expand=True,
        can_search=True,
        search_media_classes=[MediaClass.IMAGE],
        children=children,
        children_media_class=children_media_class,
        thumbnail=thumbnail,
    )


def _create_item(server: GazeCoordinator, image: ListedImage | Image) -> BrowseMediaSource:
    """Return an image as it is listed."""
    return BrowseMediaSource(
        domain=DOMAIN,
        identifier=f"{server.config_entry.entry_id}/{image.job_id}",
        media_class=MediaClass.IMAGE,
        media_content_type=image.content_type,
        title=_item_title(image),
        can_play=True,
        can_expand=False,
        thumbnail=thumbnail_url(server.config_entry.entry_id, image.job_id, _THUMBNAIL_SIDE),
    )


def _item_title(image: ListedImage | Image) -> str:
    """Return the title of an image. A card has room for its beginning only, so the time is last."""
    made_at = datetime.fromtimestamp(image.made_at, dt_util.get_default_time_zone())
    name = clean(image.title or image.recipe_name or image.preset_name)
    return f"{name} · {made_at.isoformat(' ', 'minutes')[:16]}"


@contextmanager
def _media_errors(kind: type[BrowseError | Unresolvable], item: MediaSourceItem) -> Generator[None]:
    """Raise an error of the gallery as the kind that the caller expects."""
    try:
        yield
    except GalleryError as err:
        if not isinstance(err, _UnknownMediaError):
            _LOGGER.warning("Failed to list or resolve media: %s", err)
        key = next(key for cause, key in _TRANSLATION_KEYS.items() if isinstance(err, cause))
        raise kind(
            translation_domain=DOMAIN,
            translation_key=key,
            translation_placeholders={"media_id": "/".join(_split_identifier(item))[:200]},
        ) from err
