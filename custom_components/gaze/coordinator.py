"""What entities read: a server's presets (polled), and its jobs and images (pushed)."""

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
)
from .controls import Controls
from .database import NewerStoreError
from .displays import Displays
from .gallery import Gallery, GalleryError, GalleryOptions
from .jobs import Job, JobEngine, JobEvent, Records
from .key_watch import KeyWatch
from .payloads import event_payload, job_payload, shorten_texts
from .recipes import Recipes
from .subentries import Subentries

_LOGGER = logging.getLogger(__name__)

PRESETS_INTERVAL: Final = timedelta(minutes=5)
RETRY_INTERVAL: Final = timedelta(minutes=1)
RESPONDED_WITHIN: Final = 120.0  # seconds since another request that outweigh a failed listing

type GazeConfigEntry = ConfigEntry[GazeCoordinator]
type Listener = Callable[[], None]
type EventListener = Callable[[JobEvent, dict[str, Any]], None]


class GazeCoordinator(DataUpdateCoordinator[dict[str, Preset]]):
    """One server. `data` holds its presets by slug, in the server's order.

    Job listeners are called when a job changes: those without a slug for every job, those
    with one for the jobs of that preset. Event listeners come after them, so that what the
    event tells is already shown.
    """

    config_entry: GazeConfigEntry

    def __init__(self, hass: HomeAssistant, entry: GazeConfigEntry) -> None:
        """Wire client, gallery and job engine."""
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
        self._responded_at: float | None = None  # last good response of the API
        self._listing_error: GazeError | None = None  # of the last listing
        self.gallery = Gallery(
            hass,
            entry.entry_id,
            entry.title,
            GalleryOptions(
                save_images=entry.options.get(CONF_SAVE_IMAGES, True),
                strip_metadata=entry.options.get(CONF_STRIP_METADATA, False),
                keep_images=int(entry.options.get(CONF_KEEP_IMAGES, DEFAULT_KEEP_IMAGES)),
            ),
            on_changed=self._on_gallery_changed,
        )
        self._records = Records(hass, entry.entry_id)
        self.engine = JobEngine(
            hass,
            self._client,
            self._records,
            self.gallery,
            on_job=self._on_job,
            on_server=self._on_server,
            max_open_jobs=entry.options.get(CONF_MAX_OPEN_JOBS, DEFAULT_MAX_OPEN_JOBS),
            give_up_after=timedelta(
                hours=entry.options.get(CONF_GIVE_UP_AFTER, DEFAULT_GIVE_UP_AFTER)
            ).total_seconds(),
        )
        self.controls = Controls()
        self.subentries = Subentries(hass=hass, entry=entry)
        self.recipes = Recipes(hass, entry)
        self.displays = Displays(hass, entry, self.gallery)
        self.presets_listed = False  # by the server, in this run
        self._listed_empty = False  # the last list had no presets
        self.device_presets: list[str] = []  # slugs of those that have a device by now
        self._kept_presets = presets_store(hass, entry.entry_id)

    @property
    def stores_set_aside(self) -> list[str]:
        """Return the names of damaged files that this start has set aside."""
        return [name for name in (self._records.set_aside, self.gallery.set_aside) if name]

    # Life

    async def async_open(self) -> None:
        """Open the stores. Raises ConfigEntryNotReady if a disk fails.

        Raises ConfigEntryError if a newer version of the integration wrote them.
        """
        try:
            await self.gallery.async_open()
            await self.engine.async_load()
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

    async def async_take_kept_presets(self) -> bool:
        """Continue with the presets of the last run. Returns False if there are none.

        If GAZE refuses the key, no presets will do: people need the images on disk, and are
        asked for a new key.
        """
        if (kept := await self._kept_presets.async_load()) is None:
            if not self._key.refused:
                return False
            kept = {}
        self.data = {slug: Preset(slug=slug, name=name) for slug, name in kept.items()}
        return True

    def async_start(self) -> None:
        """Track the jobs from when automations can hear of them until Home Assistant stops."""
        self.config_entry.async_on_unload(async_at_started(self.hass, self._async_started))
        self.config_entry.async_on_unload(
            self.hass.bus.async_listen(EVENT_HOMEASSISTANT_STOP, self._async_stopping)
        )

    async def _async_started(self, _hass: HomeAssistant) -> None:
        """Track the jobs."""
        await self.engine.async_start()

    async def _async_stopping(self, _event: Event) -> None:
        """Wait for requests in flight: Home Assistant does not wait for their tasks."""
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
        if not data and not self._listed_empty and (before := await self._presets_before()):
            # One empty list may be that of a GAZE that just starts. The next one counts.
            self._listed_empty = True
            self.update_interval = RETRY_INTERVAL
            return before
        self._listed_empty = not data
        if data != self.data:
            await self._kept_presets.async_save({slug: data[slug].name for slug in data})
        self.presets_listed = True
        return data

    async def _presets_before(self) -> dict[str, Preset]:
        """Return the presets of the last listing, in this run or an earlier one."""
        if self.data:
            return self.data
        kept = await self._kept_presets.async_load() or {}
        return {slug: Preset(slug=slug, name=name) for slug, name in kept.items()}

    def _process_failed_listing(self, err: GazeError) -> dict[str, Preset]:
        """Return the current presets if the failure may pass. Raises UpdateFailed otherwise."""
        self.update_interval = RETRY_INTERVAL
        self._listing_error = err
        if self._may_pass(err):
            _LOGGER.debug("A failed listing of presets may pass: %s", err)
            return self.data
        if self.last_update_success:
            _LOGGER.warning("Failed to list the presets: %s", err)
        raise UpdateFailed(
            translation_domain=DOMAIN,
            translation_key="auth_failed" if isinstance(err, GazeAuthError) else "update_failed",
            retry_after=err.retry_after if isinstance(err, GazeBusyError) else None,
        ) from err

    def _may_pass(self, err: GazeError) -> bool:
        """Return whether the server stays available although a listing failed.

        It does if the refusal of a key isn't confirmed yet, and if GAZE responds to other
        requests: then only the listing fails.
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
        """List the presets now. Raises HomeAssistantError if that fails."""
        await self.async_refresh()
        if (err := self._listing_error) is not None:
            refused = isinstance(err, GazeAuthError)
            raise HomeAssistantError(
                translation_domain=DOMAIN,
                translation_key="auth_failed" if refused else "update_failed",
            ) from err

    def find_preset(self, text: str) -> Preset | None:
        """Return the preset with this slug, or else with this name; letters may differ in case."""
        if (preset := self.data.get(text)) is not None:
            return preset
        wanted = text.strip().casefold()
        for preset in self.data.values():
            if wanted in {preset.slug.casefold(), preset.name.strip().casefold()}:
                return preset
        return None

    @callback
    def async_set_device_presets(self, slugs: list[str]) -> None:
        """Take which presets have a device, and tell those who add entities."""
        self.device_presets = list(slugs)
        async_dispatcher_send(self.hass, self._signal("devices"))

    @callback
    def async_add_device_listener(self, listener: Listener) -> CALLBACK_TYPE:
        """Call the listener when presets got a device or lost it. Returns how to stop that."""
        return async_dispatcher_connect(self.hass, self._signal("devices"), listener)

    # Jobs

    @callback
    def async_add_job_listener(self, listener: Listener, slug: str | None = None) -> CALLBACK_TYPE:
        """Call the listener when a job (of the preset) changes. Returns how to stop that."""
        return async_dispatcher_connect(self.hass, self._signal("job", slug), listener)

    @callback
    def async_add_recipe_listener(self, listener: Listener, recipe_id: str) -> CALLBACK_TYPE:
        """Call the listener when a job of a recipe changes. Returns how to stop that."""
        return async_dispatcher_connect(self.hass, self._signal("recipe", recipe_id), listener)

    @callback
    def async_add_event_listener(self, listener: EventListener) -> CALLBACK_TYPE:
        """Call the listener with each event and the job's payload. Returns how to stop that."""
        return async_dispatcher_connect(self.hass, self._signal("event"), listener)

    @callback
    def async_add_gallery_listener(self, listener: Listener) -> CALLBACK_TYPE:
        """Call the listener when images are gone, hidden, or back, or the disk is away or back.

        Returns how to stop that.
        """
        return async_dispatcher_connect(self.hass, self._signal("gallery"), listener)

    def _signal(self, kind: str, slug: str | None = None) -> str:
        """Return the name of a dispatcher signal of this server."""
        return f"{DOMAIN}_{self.config_entry.entry_id}_{kind}_{slug or ''}"

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
        self.hass.bus.async_fire(EVENT_GAZE, event_payload(self.hass, entry_id, event, payload))

    @callback
    def _on_gallery_changed(self) -> None:
        """Update the entities and displays that show images, and look for what needs repair."""
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
        """Show that the server fails or responds again. The key is watched separately."""
        if error is None:
            if not self.last_update_success and not self._key.refused:
                self.async_set_updated_data(self.data)
        elif not isinstance(error, GazeAuthError):
            self.async_set_update_error(error)


def presets_store(hass: HomeAssistant, entry_id: str) -> Store[dict[str, str]]:
    """Return where the presets of a server are kept: names by slug."""
    return Store(hass, 1, f"{DOMAIN}.{entry_id}.presets")
