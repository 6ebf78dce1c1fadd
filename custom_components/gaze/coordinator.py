"""What entities read: a server's presets (polled), and its jobs and images (pushed)."""

import asyncio
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from difflib import get_close_matches
import logging
import sqlite3
from typing import Any, Final, override

from homeassistant.components.image import DOMAIN as IMAGE_DOMAIN
from homeassistant.config_entries import ConfigEntry, ConfigEntryState
from homeassistant.const import CONF_API_KEY, CONF_HOST, CONF_VERIFY_SSL
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import (
    ConfigEntryAuthFailed,
    ConfigEntryNotReady,
    HomeAssistantError,
    ServiceValidationError,
)
from homeassistant.helpers import device_registry as dr, entity_registry as er
from homeassistant.helpers.aiohttp_client import async_get_clientsession
from homeassistant.helpers.start import async_at_started
from homeassistant.helpers.storage import Store
from homeassistant.helpers.update_coordinator import DataUpdateCoordinator, UpdateFailed
from homeassistant.util import dt as dt_util
from yarl import URL

from .api import (
    GazeAuthError,
    GazeBusyError,
    GazeClient,
    GazeConnectionError,
    GazeError,
    GazeNotFoundError,
    GazeRequestError,
    GazeResponseError,
    Preset,
)
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
    IMAGE_VIEW_URL,
    MEDIA_ID,
)
from .gallery import Gallery, GalleryError, GalleryOptions, Image
from .jobs import (
    SIDE_STEP,
    GenerateRequest,
    Job,
    JobEngine,
    JobEvent,
    Records,
    Status,
    TooManyOpenJobsError,
)
from .panel import Panel

_LOGGER = logging.getLogger(__name__)

PRESETS_INTERVAL: Final = timedelta(minutes=5)
RETRY_INTERVAL: Final = timedelta(minutes=1)

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
        )
        self.gallery = Gallery(
            hass,
            entry.entry_id,
            entry.title,
            GalleryOptions(
                save_images=entry.options.get(CONF_SAVE_IMAGES, True),
                strip_metadata=entry.options.get(CONF_STRIP_METADATA, False),
                keep_images=int(entry.options.get(CONF_KEEP_IMAGES, DEFAULT_KEEP_IMAGES)),
            ),
            on_removed=self._on_images_removed,
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
        self.panel = Panel()
        self.presets_listed = False  # by the server, in this run
        self.silent_since: datetime | None = None  # first of the listings that failed in a row
        self.device_presets: list[str] = []  # slugs of those that have a device by now
        self._kept_presets = presets_store(hass, entry.entry_id)
        self._job_listeners: dict[str | None, list[Listener]] = {}
        self._event_listeners: list[EventListener] = []
        self._device_listeners: list[Listener] = []

    @property
    def stores_set_aside(self) -> list[str]:
        """Return the names of damaged files that this start has set aside."""
        return [name for name in (self._records.set_aside, self.gallery.set_aside) if name]

    # Life

    async def async_open(self) -> None:
        """Open what is kept on disk. Raises ConfigEntryNotReady where that is not possible."""
        try:
            await self.gallery.async_open()
            await self.engine.async_load()
        except (OSError, sqlite3.Error, GalleryError) as err:
            raise ConfigEntryNotReady(
                translation_domain=DOMAIN,
                translation_key="store_unusable",
                translation_placeholders={"error": str(err)},
            ) from err

    async def async_take_kept_presets(self) -> bool:
        """Go on with the presets of the last run while the server is off; False without any."""
        if (kept := await self._kept_presets.async_load()) is None:
            return False
        self.data = {slug: Preset(slug=slug, name=name) for slug, name in kept.items()}
        return True

    def async_start(self) -> None:
        """Follow the jobs, once Home Assistant has started and automations can hear of them."""
        self.config_entry.async_on_unload(async_at_started(self.hass, self._async_started))

    async def _async_started(self, _hass: HomeAssistant) -> None:
        """Follow the jobs."""
        await self.engine.async_start()

    async def async_stop(self) -> None:
        """Stop following; everything is on disk."""
        await self.engine.async_stop()
        await self.gallery.async_close()

    # Presets

    @override
    async def _async_update_data(self) -> dict[str, Preset]:
        """List the presets."""
        try:
            presets = await self._client.list_presets()
        except GazeAuthError as err:
            self.silent_since = None
            raise ConfigEntryAuthFailed(
                translation_domain=DOMAIN, translation_key="auth_failed"
            ) from err
        except GazeError as err:
            self.update_interval = RETRY_INTERVAL
            self.silent_since = self.silent_since or dt_util.utcnow()
            raise UpdateFailed(
                translation_domain=DOMAIN,
                translation_key="update_failed",
                translation_placeholders={"error": str(err)},
                retry_after=err.retry_after if isinstance(err, GazeBusyError) else None,
            ) from err
        self.update_interval = PRESETS_INTERVAL
        self.silent_since = None
        self.engine.async_resume()
        data = {preset.slug: preset for preset in presets}
        if data != self.data:
            await self._kept_presets.async_save({slug: data[slug].name for slug in data})
        self.presets_listed = True
        return data

    async def async_refresh_presets(self) -> None:
        """List the presets now. Raises HomeAssistantError where the server does not answer."""
        await self.async_refresh()
        if not self.last_update_success:
            raise HomeAssistantError(
                translation_domain=DOMAIN,
                translation_key="update_failed",
                translation_placeholders={"error": str(self.last_exception)},
            ) from self.last_exception

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
        for listener in list(self._device_listeners):
            listener()

    @callback
    def async_add_device_listener(self, listener: Listener) -> Listener:
        """Call the listener when presets got a device or lost it. Returns how to stop that."""
        self._device_listeners.append(listener)
        return lambda: self._device_listeners.remove(listener)

    # Jobs

    async def async_generate(self, preset: str, data: Mapping[str, Any]) -> list[Job]:
        """Queue a generation as people describe it: the preset by slug or name, the rest by field.

        Everything that generates comes through here. With `if_busy: skip` the answer is empty
        while the preset has open jobs. Raises ServiceValidationError for what the caller can
        mend, HomeAssistantError for what the server did.
        """
        found = await self._require_preset(preset)
        request = GenerateRequest.from_input(found, data)
        if data.get("if_busy") == "skip" and self.engine.is_busy_with(found.slug):
            return []
        try:
            return await self.engine.async_generate(request)
        except TooManyOpenJobsError as err:
            raise ServiceValidationError(
                translation_domain=DOMAIN,
                translation_key="too_many_open_jobs",
                translation_placeholders={"open": str(len(self.engine.open_jobs))},
            ) from err
        except GazeNotFoundError as err:
            await self.async_request_refresh()
            raise ServiceValidationError(
                translation_domain=DOMAIN,
                translation_key="preset_gone",
                translation_placeholders={"preset": found.name},
            ) from err
        except GazeError as err:
            raise _failure(err) from err

    async def async_regenerate(
        self, job_id: str, changes: Mapping[str, Any], *, same_seed: bool = False
    ) -> list[Job]:
        """Queue the request of an earlier job once more, with a new seed or the same one.

        Raises what `async_generate` raises.
        """
        earlier = self.engine.job(job_id) or await self.gallery.async_get(job_id)
        if earlier is None:
            raise unknown_job(job_id)
        data = _request_fields(earlier)
        if same_seed:
            if earlier.seed is None:
                raise ServiceValidationError(
                    translation_domain=DOMAIN,
                    translation_key="seed_unknown",
                    translation_placeholders={"job_id": job_id},
                )
            data["seed"] = earlier.seed
        data.update(changes)
        return await self.async_generate(data["preset"], data)

    async def async_generate_again(self) -> None:
        """Queue the last request once more, with a new seed. Raises as `async_generate`."""
        if not (jobs := self.engine.jobs):
            raise ServiceValidationError(
                translation_domain=DOMAIN, translation_key="nothing_generated"
            )
        await self.async_regenerate(jobs[-1].job_id, {"count": jobs[-1].count})

    async def async_track(self, job_id: str, preset: str, tag: str | None) -> list[Job]:
        """Follow a job that was queued elsewhere. Raises as `async_generate`."""
        found = await self._require_preset(preset)
        try:
            return await self.engine.async_track(job_id, found, tag)
        except GazeNotFoundError as err:
            raise unknown_job(job_id) from err
        except GazeError as err:
            raise _failure(err) from err

    async def async_wait(self, job_ids: Collection[str], seconds: float) -> GazeCoordinator:
        """Wait until the jobs have ended and were told, or the time is up.

        Goes on across a reload of the server; returns what then stands for it.
        """
        coordinator = self
        changed = asyncio.Event()
        stop_listening = self.config_entry.async_on_state_change(changed.set)
        try:
            async with asyncio.timeout(seconds):
                while not await coordinator.engine.async_wait(job_ids):
                    while self.config_entry.state is not ConfigEntryState.LOADED:
                        changed.clear()
                        await changed.wait()
                    coordinator = self.config_entry.runtime_data
        except TimeoutError:
            pass
        finally:
            stop_listening()
        return coordinator

    async def async_picture(self, job_id: str) -> tuple[Image, bytes]:
        """Return a kept image and its bytes.

        Raises ServiceValidationError where there is none, HomeAssistantError where it cannot
        be read.
        """
        with gallery_errors():
            if (image := await self.gallery.async_get(job_id)) is None:
                raise ServiceValidationError(
                    translation_domain=DOMAIN,
                    translation_key="unknown_image",
                    translation_placeholders={"job_id": job_id[:64]},
                )
            return image, await self.gallery.async_read(image)

    async def _require_preset(self, text: str) -> Preset:
        """Return a preset by slug or name, listing the presets anew where it is not known."""
        found = self.find_preset(text)
        if found is None and self.last_update_success:
            await self.async_refresh()
            found = self.find_preset(text)
        if found is None:
            raise self._unknown_preset(text)
        return found

    def _unknown_preset(self, preset: str) -> ServiceValidationError:
        """Return the error for a preset that the server does not have, with near names."""
        names = {text[:60] for known in self.data.values() for text in (known.slug, known.name)}
        near = get_close_matches(preset[:60], names, n=3, cutoff=0.5)
        return ServiceValidationError(
            translation_domain=DOMAIN,
            translation_key="unknown_preset_near" if near else "unknown_preset",
            translation_placeholders={"preset": preset[:60], "near": ", ".join(near)},
        )

    def job_fields(self, job: Job) -> dict[str, Any]:
        """Return a job as answers, events and diagnostics tell it. Times are ISO 8601, UTC."""
        entry_id = self.config_entry.entry_id
        kept = job.status is Status.DONE
        return {
            "job_id": job.job_id,
            "batch_id": job.batch_id,
            "index": job.index,
            "count": job.count,
            "status": job.status.value,
            "reason": None if job.reason is None else job.reason.value,
            "error": job.error,
            "preset": job.preset,
            "preset_name": job.preset_name,
            "tag": job.tag,
            "seed": job.seed,
            "width": job.width,
            "height": job.height,
            "checkpoint": job.checkpoint,
            "extra_positive": job.extra_positive,
            "extra_negative": job.extra_negative,
            "requested_at": _iso(job.requested_at),
            "started_at": _iso(job.started_at),
            "finished_at": None if job.open else _iso(job.finished_at),
            "duration": job.duration,
            "media_content_id": MEDIA_ID.format(entry_id, job.job_id) if kept else None,
            "image_url": IMAGE_VIEW_URL.format(entry_id, job.job_id) if kept else None,
            "entity_id": self._image_entity_id(job.preset),
        }

    @callback
    def async_add_job_listener(self, listener: Listener, slug: str | None = None) -> Listener:
        """Call the listener when a job (of the preset) changes. Returns how to stop that."""
        listeners = self._job_listeners.setdefault(slug, [])
        listeners.append(listener)
        return lambda: listeners.remove(listener)

    @callback
    def async_add_event_listener(self, listener: EventListener) -> Listener:
        """Call the listener with each event and its data. Returns how to stop that."""
        self._event_listeners.append(listener)
        return lambda: self._event_listeners.remove(listener)

    @callback
    def _on_job(self, event: JobEvent | None, job: Job) -> None:
        """Show what happened to a job, then tell it."""
        for listener in [
            *self._job_listeners.get(job.preset, ()),
            *self._job_listeners.get(None, ()),
        ]:
            _call(listener)
        if event is None:
            return
        fields = self.job_fields(job)
        for event_listener in list(self._event_listeners):
            _call(event_listener, event, fields)
        self.hass.bus.async_fire(
            EVENT_GAZE,
            {
                **fields,
                "type": event.value,
                "config_entry_id": self.config_entry.entry_id,
                "device_id": self._device_id(job.preset),
            },
        )

    @callback
    def _on_images_removed(self) -> None:
        """Show the images that are left."""
        for listeners in list(self._job_listeners.values()):
            for listener in list(listeners):
                _call(listener)

    @callback
    def _on_server(self, error: GazeError | None) -> None:
        """Show that the server fails, or answers again."""
        if isinstance(error, GazeAuthError):
            self.config_entry.async_start_reauth(self.hass)
        elif error is not None:
            self.async_set_update_error(error)
        elif not self.last_update_success:
            self.async_set_updated_data(self.data)

    def _image_entity_id(self, slug: str) -> str | None:
        """Return the entity that shows the images of a preset, or else of the server."""
        registry = er.async_get(self.hass)
        for key in (f"{slug}-preset_image", "latest_image"):
            unique_id = f"{self.config_entry.entry_id}-{key}"
            if entity_id := registry.async_get_entity_id(IMAGE_DOMAIN, DOMAIN, unique_id):
                return entity_id
        return None

    def _device_id(self, slug: str) -> str | None:
        """Return the device of a preset, or else of the server."""
        registry = dr.async_get(self.hass)
        entry_id = self.config_entry.entry_id
        for identifier in (f"{entry_id}-{slug}", entry_id):
            if device := registry.async_get_device_by_identifier((DOMAIN, identifier), entry_id):
                return device.id
        return None


@contextmanager
def gallery_errors() -> Generator[None]:
    """Tell people what is wrong with the gallery."""
    try:
        yield
    except GalleryError as err:
        raise HomeAssistantError(
            translation_domain=DOMAIN,
            translation_key="gallery_failed",
            translation_placeholders={"error": str(err)},
        ) from err


def unknown_job(job_id: str) -> ServiceValidationError:
    """Return the error for a job that is not known."""
    return ServiceValidationError(
        translation_domain=DOMAIN,
        translation_key="unknown_job",
        translation_placeholders={"job_id": job_id[:64]},
    )


def _request_fields(earlier: Job | Image) -> dict[str, Any]:
    """Return the fields that ask for the same again, less count and seed."""
    fields: dict[str, Any] = {
        name: getattr(earlier, name)
        for name in ("preset", "extra_positive", "extra_negative", "checkpoint", "tag")
    }
    if isinstance(earlier, Job) or earlier.width % SIDE_STEP == earlier.height % SIDE_STEP == 0:
        fields |= {"width": earlier.width, "height": earlier.height}
    return fields


def _failure(err: GazeError) -> HomeAssistantError:
    """Return the error that tells people what the server did, in its own words."""
    match err:
        case GazeAuthError():
            key = "auth_failed"
        case GazeRequestError():
            key = "request_refused"
        case GazeBusyError():
            key = "server_busy"
        case GazeConnectionError():
            key = "connection_failed"
        case GazeResponseError():
            key = "unexpected_answer"
        case _:
            key = "server_failed"
    return HomeAssistantError(
        translation_domain=DOMAIN,
        translation_key=key,
        translation_placeholders={"error": str(err)},
    )


def _call[**P](listener: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
    """Call a listener; one that fails must keep neither the others nor the job engine."""
    try:
        listener(*args, **kwargs)
    except Exception:
        _LOGGER.exception("An entity could not be updated")


def presets_store(hass: HomeAssistant, entry_id: str) -> Store[dict[str, str]]:
    """Return where the presets of a server are kept: names by slug."""
    return Store(hass, 1, f"{DOMAIN}.{entry_id}.presets")


def _iso(seconds: float | None) -> str | None:
    """Return a time as ISO 8601 text."""
    return None if seconds is None else dt_util.utc_from_timestamp(seconds).isoformat()
