"""Polls the presets of a server, and notifies entities of presets, jobs, and images."""

from collections.abc import Callable
from datetime import timedelta
import logging
import sqlite3
from typing import Any, Final, override

from homeassistant.config_entries import ConfigEntry
from homeassistant.const import CONF_API_KEY, CONF_HOST, CONF_VERIFY_SSL, EVENT_HOMEASSISTANT_STOP
from homeassistant.core import CALLBACK_TYPE, Event, HomeAssistant, callback
from homeassistant.exceptions import ConfigEntryError, ConfigEntryNotReady, HomeAssistantError
from homeassistant.helpers.aiohttp_client import async_get_clientsession
from homeassistant.helpers.dispatcher import async_dispatcher_connect, async_dispatcher_send
from homeassistant.helpers.start import async_at_started
from homeassistant.helpers.storage import Store
from homeassistant.helpers.update_coordinator import DataUpdateCoordinator, UpdateFailed
from yarl import URL

from .api import GazeAuthError, GazeBusyError, GazeClient, GazeConnectionError, GazeError, Preset
from .api.models import MAX_PRESETS
from .const import (
    CONF_GIVE_UP_AFTER,
    CONF_KEEP_IMAGES,
    CONF_MAX_OPEN_JOBS,
    CONF_SAVE_IMAGES,
    CONF_STRIP_METADATA,
    DEFAULT_GIVE_UP_AFTER,
    DEFAULT_KEEP_IMAGES,
    DEFAULT_MAX_OPEN_JOBS,
    DOMAIN,
    EVENT_GAZE,
    EVENT_LOGBOOK,
)
from .controls import Controls
from .database import NewerStoreError
from .displays import Displays
from .gallery import Gallery, GalleryError, GalleryOptions
from .jobs import HeldImages, Job, JobEngine, JobEvent, Records
from .key_watch import KeyWatch
from .payloads import event_payload, job_payload, logbook_payload, shorten_texts
from .recipes import Recipes
from .subentries import Subentries

_LOGGER = logging.getLogger(__name__)

PRESETS_INTERVAL: Final = timedelta(minutes=5)
RETRY_INTERVAL: Final = timedelta(minutes=1)
# Seconds after a good response in which a failed listing is ignored
RESPONDED_WITHIN: Final = 120.0

type GazeConfigEntry = ConfigEntry[GazeCoordinator]
type Listener = Callable[[], None]
type EventListener = Callable[[JobEvent, dict[str, Any]], None]


class GazeCoordinator(DataUpdateCoordinator[dict[str, Preset]]):
    """Coordinator of one server. `data` contains its presets by slug, in the server's order.

    Job listeners are called when a job changes: those without a slug for every job, those
    with a slug for the jobs of that preset. Event listeners are called after them, so that
    entities already show what the event reports.
    """

    config_entry: GazeConfigEntry

    def __init__(self, hass: HomeAssistant, entry: GazeConfigEntry) -> None:
        """Create the client, the gallery, and the job engine."""
        super().__init__(
            hass,
            _LOGGER,
            config_entry=entry,
            name=entry.title,
            update_interval=PRESETS_INTERVAL,
            always_update=False,
        )
        self.url = URL(entry.data[CONF_HOST])
        self._client = GazeClient(
            async_get_clientsession(hass, entry.data[CONF_VERIFY_SSL]),
            self.url,
            entry.data[CONF_API_KEY],
            on_response=self._on_response,
        )
        self._key = KeyWatch(hass, entry, self.async_refresh)
        self._responded_at: float | None = None  # time of the last good response of the API
        self._listing_error: GazeError | None = None  # of the last listing
        self.gallery = Gallery(
            hass,
            entry.entry_id,
            entry.title,
            _get_gallery_options(entry),
            on_changed=self._on_gallery_changed,
        )
        self._records = Records(hass, entry.entry_id)
        self.engine = JobEngine(
            hass,
            self._client,
            self._records,
            self.gallery,
            HeldImages(hass, entry.entry_id),
            on_job=self._on_job,
            on_server=self._on_server,
            max_open_jobs=entry.options.get(CONF_MAX_OPEN_JOBS, DEFAULT_MAX_OPEN_JOBS),
            give_up_after=_get_give_up_after(entry),
        )
        self.controls = Controls()
        self.subentries = Subentries(hass=hass, entry=entry)
        self.recipes = Recipes(hass, entry)
        self.displays = Displays(hass, entry, self.gallery, self.async_find_preset_slug)
        self.presets_listed = False  # whether the server listed its presets since the start
        self._listed_empty = False  # whether the last list was empty
        self.device_presets: list[str] = []  # slugs of presets that have a device
        self._presets_store = presets_store(hass, entry.entry_id)

    @property
    def stores_set_aside(self) -> list[str]:
        """Return the names of damaged files that were set aside at this start."""
        return [name for name in (self._records.set_aside, self.gallery.set_aside) if name]

    # Setup and unload

    async def async_open(self) -> None:
        """Open the stores. Raises ConfigEntryNotReady if they can't be opened.

        Raises ConfigEntryError if a newer version of the integration wrote them.
        """
        try:
            await self.gallery.async_open()
            await self.engine.async_load()
            await self.gallery.async_note_paths([job.job_id for job in self.engine.jobs])
            await self.displays.async_load()
        except NewerStoreError as err:
            raise ConfigEntryError(
                translation_domain=DOMAIN,
                translation_key="store_newer",
                translation_placeholders={"file": str(err)},
            ) from err
        except (OSError, sqlite3.Error, GalleryError) as err:
            _LOGGER.warning("Failed to open the stored jobs and images: %s", err)
            raise ConfigEntryNotReady(
                translation_domain=DOMAIN, translation_key="store_unusable"
            ) from err

    async def async_use_stored_presets(self) -> bool:
        """Use the presets of the last run. Returns False if none were stored.

        No presets are needed if GAZE rejected the key, or if there are jobs or images: images on
        disk stay available until GAZE lists its presets.
        """
        stored = await self._async_load_stored_presets()
        is_used = self._key.rejected or self.engine.jobs or self.gallery.count
        if stored is None and not is_used:
            return False
        self.data = stored or {}
        return True

    def async_start(self) -> None:
        """Track the jobs from the moment automations run until Home Assistant stops."""
        self.config_entry.async_on_unload(async_at_started(self.hass, self._async_started))
        self.config_entry.async_on_unload(
            self.hass.bus.async_listen(EVENT_HOMEASSISTANT_STOP, self._async_stopping)
        )

    async def _async_started(self, _hass: HomeAssistant) -> None:
        """Start to track the jobs."""
        await self.engine.async_start()

    async def _async_stopping(self, _event: Event) -> None:
        """Wait for requests in flight, because Home Assistant doesn't wait for their tasks."""
        await self.engine.async_stop()

    async def async_close(self) -> None:
        """Stop tracking and close the files."""
        await self.engine.async_close()
        await self.displays.async_stop()
        await self.gallery.async_close()

    # Presets

    @override
    async def _async_update_data(self) -> dict[str, Preset]:
        """List the presets."""
        try:
            presets = await self._client.list_presets()
        except GazeError as err:
            return self._process_failed_listing(err)
        self.update_interval = PRESETS_INTERVAL
        self._listing_error = None
        self.engine.async_resume()
        data = {preset.slug: preset for preset in presets}
        if (
            not data
            and not self._listed_empty
            and (before := await self._async_load_previous_presets())
        ):
            # GAZE may report an empty list while it starts. Only a second one in a row counts.
            self._listed_empty = True
            self.update_interval = RETRY_INTERVAL
            return before
        self._listed_empty = not data
        if data != self.data:
            await self._async_store_presets(data)
        self.presets_listed = True
        return data

    async def _async_store_presets(self, presets: dict[str, Preset]) -> None:
        """Store the presets for the next start. Warn if there may be more."""
        if len(presets) == MAX_PRESETS:
            _LOGGER.warning(
                "%s has at least %d presets. Only the first %d are used",
                self.config_entry.title,
                MAX_PRESETS,
                MAX_PRESETS,
            )
        names = {slug: preset.name for slug, preset in presets.items()}
        await self._presets_store.async_save(names)

    async def _async_load_previous_presets(self) -> dict[str, Preset]:
        """Return the presets of the last listing, in this run or an earlier one."""
        return self.data or await self._async_load_stored_presets() or {}

    async def _async_load_stored_presets(self) -> dict[str, Preset] | None:
        """Return the presets on disk, or None if none were stored."""
        if (stored := await self._presets_store.async_load()) is None:
            return None
        return {slug: Preset(slug=slug, name=name) for slug, name in stored.items()}

    def _process_failed_listing(self, err: GazeError) -> dict[str, Preset]:
        """Return the current presets if the server is available. Raises UpdateFailed otherwise."""
        self.update_interval = RETRY_INTERVAL
        self._listing_error = err
        if self._is_still_available(err):
            _LOGGER.debug("Ignoring a failed listing of presets: %s", err)
            return self.data
        if self.last_update_success:
            _LOGGER.warning("Failed to list the presets: %s", err)
        raise UpdateFailed(
            translation_domain=DOMAIN,
            translation_key="auth_failed" if isinstance(err, GazeAuthError) else "update_failed",
            retry_after=_get_listing_wait(err),
        ) from err

    def _is_still_available(self, err: GazeError) -> bool:
        """Return whether the server stays available although a listing failed.

        It does if the rejection of a key isn't confirmed yet, or if GAZE responded to another
        request recently.
        """
        if not self.last_update_success or self.data is None:
            return False
        if isinstance(err, GazeAuthError):
            return not self._key.invalid
        return (
            not isinstance(err, GazeConnectionError)
            and self._responded_at is not None
            and self.hass.loop.time() - self._responded_at < RESPONDED_WITHIN
        )

    async def async_refresh_presets(self) -> None:
        """List the presets now. Raises HomeAssistantError if the request fails."""
        await self.async_refresh()
        if (err := self._listing_error) is not None:
            rejected = isinstance(err, GazeAuthError)
            raise HomeAssistantError(
                translation_domain=DOMAIN,
                translation_key="auth_failed" if rejected else "update_failed",
            ) from err

    def find_preset(self, text: str) -> Preset | None:
        """Return the preset with this slug or name, regardless of case, or None."""
        if (preset := self.data.get(text)) is not None:
            return preset
        wanted = text.strip().casefold()
        for preset in self.data.values():
            if wanted in {preset.slug.casefold(), preset.name.strip().casefold()}:
                return preset
        return None

    async def async_find_preset_slug(self, text: str) -> str | None:
        """Return the slug of the preset with this slug or name, regardless of case, or None.

        The preset can be deleted on the server if it has images. Raises GalleryError.
        """
        if (preset := self.find_preset(text)) is not None:
            return preset.slug
        wanted = text.strip().casefold()
        for folder in (await self.gallery.async_overview()).presets:
            if wanted in {folder.key.casefold(), folder.name.strip().casefold()}:
                return folder.key
        return None

    @callback
    def async_set_device_presets(self, slugs: list[str]) -> None:
        """Store the presets that have a device, and call the device listeners."""
        self.device_presets = list(slugs)
        async_dispatcher_send(self.hass, self._signal("devices"))

    @callback
    def async_add_device_listener(self, listener: Listener) -> CALLBACK_TYPE:
        """Call the listener when presets get or lose a device. Returns a function that stops it."""
        return async_dispatcher_connect(self.hass, self._signal("devices"), listener)

    # Jobs

    @callback
    def async_add_job_listener(self, listener: Listener, slug: str | None = None) -> CALLBACK_TYPE:
        """Call the listener when a job changes. `slug`: only jobs of this preset.

        Returns a function that stops it.
        """
        return async_dispatcher_connect(self.hass, self._signal("job", slug), listener)

    @callback
    def async_add_recipe_listener(self, listener: Listener, recipe_id: str) -> CALLBACK_TYPE:
        """Call the listener when a job of a recipe changes. Returns a function that stops it."""
        return async_dispatcher_connect(self.hass, self._signal("recipe", recipe_id), listener)

    @callback
    def async_add_event_listener(self, listener: EventListener) -> CALLBACK_TYPE:
        """Call the listener with each event and job payload. Returns a function that stops it."""
        return async_dispatcher_connect(self.hass, self._signal("event"), listener)

    @callback
    def async_add_gallery_listener(self, listener: Listener) -> CALLBACK_TYPE:
        """Call the listener when images or their disk become available or unavailable.

        Returns a function that stops it.
        """
        return async_dispatcher_connect(self.hass, self._signal("gallery"), listener)

    def _signal(self, kind: str, key: str | None = None) -> str:
        """Return the name of a dispatcher signal of this server.

        key: the slug of a preset or the ID of a recipe, for its own signal.
        """
        return f"{DOMAIN}_{self.config_entry.entry_id}_{kind}_{key or ''}"

    @callback
    def _on_job(self, event: JobEvent | None, job: Job) -> None:
        """Update the entities of a job, then fire its event."""
        self.displays.async_update()
        for slug in (job.preset, None):
            async_dispatcher_send(self.hass, self._signal("job", slug))
        if job.recipe is not None:
            async_dispatcher_send(self.hass, self._signal("recipe", job.recipe))
        if event is None:
            return
        entry_id = self.config_entry.entry_id
        file_path = self.gallery.saved_path(job.job_id)
        payload = shorten_texts(job_payload(self.hass, entry_id, job, file_path))
        if job.recipe is not None:
            payload["writer"] = job.writer
        async_dispatcher_send(self.hass, self._signal("event"), event, payload)
        data = event_payload(self.hass, entry_id, event, payload)
        self.hass.bus.async_fire(EVENT_GAZE, data)
        self.hass.bus.async_fire(EVENT_LOGBOOK, logbook_payload(self.hass, data))

    @callback
    def _on_gallery_changed(self) -> None:
        """Update the entities and displays that show images, and the repair issues."""
        async_dispatcher_send(self.hass, self._signal("gallery"))
        self.displays.async_update()
        for slug in (*self.device_presets, None):
            async_dispatcher_send(self.hass, self._signal("job", slug))
        for recipe in self.recipes:
            async_dispatcher_send(self.hass, self._signal("recipe", recipe.recipe_id))

    @callback
    def _on_response(self, endpoint: str, error: GazeError | None) -> None:
        """Process the outcome of an API request."""
        self._key.async_process_response(error)
        if error is None and endpoint != "presets":
            self._responded_at = self.hass.loop.time()
            self._on_server(None)

    @callback
    def _on_server(self, error: GazeError | None) -> None:
        """Show whether the server responds. KeyWatch handles rejected keys."""
        if error is None:
            if not self.last_update_success and not self._key.rejected:
                self.async_set_updated_data(self.data)
        elif not isinstance(error, GazeAuthError):
            self.async_set_update_error(error)


def _get_listing_wait(err: GazeError) -> float | None:
    """Return how many seconds to wait after a failed listing, or None for the usual time.

    The server may request any wait: none, or one that outlasts the problem by far.
    """
    if not isinstance(err, GazeBusyError) or err.retry_after is None:
        return None
    shortest, longest = RETRY_INTERVAL.total_seconds(), PRESETS_INTERVAL.total_seconds()
    return min(max(err.retry_after, shortest), longest)


def _get_gallery_options(entry: GazeConfigEntry) -> GalleryOptions:
    """Return the options of the gallery."""
    return GalleryOptions(
        save_images=entry.options.get(CONF_SAVE_IMAGES, True),
        strip_metadata=entry.options.get(CONF_STRIP_METADATA, False),
        keep_images=int(entry.options.get(CONF_KEEP_IMAGES, DEFAULT_KEEP_IMAGES)),
    )


def _get_give_up_after(entry: GazeConfigEntry) -> float:
    """Return how long to track a job, in seconds."""
    hours = entry.options.get(CONF_GIVE_UP_AFTER, DEFAULT_GIVE_UP_AFTER)
    return timedelta(hours=hours).total_seconds()


def presets_store(hass: HomeAssistant, entry_id: str) -> Store[dict[str, str]]:
    """Return the store of the presets of a server. It contains names by slug."""
    return Store(hass, 1, f"{DOMAIN}.{entry_id}.presets")
