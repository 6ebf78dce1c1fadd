"""Generates, regenerates, tracks, and waits, with translated errors.

Buttons, actions, AI tasks, Assist tools, and cards all queue images with `async_generate`.
"""

import asyncio
from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from difflib import get_close_matches
import logging
from typing import Any, Final

from homeassistant.config_entries import (
    SIGNAL_CONFIG_ENTRY_CHANGED,
    ConfigEntry,
    ConfigEntryChange,
    ConfigEntryState,
)
from homeassistant.core import callback
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.helpers.dispatcher import async_dispatcher_connect

from .api import (
    GazeAuthError,
    GazeBusyError,
    GazeConnectionError,
    GazeError,
    GazeNotFoundError,
    GazeRequestError,
    GazeResponseError,
    Preset,
)
from .const import DOMAIN
from .coordinator import GazeCoordinator
from .gallery import BackupRunningError, GalleryError, Image
from .jobs import EngineStoppedError, Job, Origin, TooManyOpenJobsError
from .names import clean
from .request import validate_request, validate_text

_LOGGER = logging.getLogger(__name__)

# A server that failed to unload continues to track its jobs.
_TRACKING: Final = (ConfigEntryState.LOADED, ConfigEntryState.FAILED_UNLOAD)
# A request in flight may delay a reload by 40 s, and the listing of the presets by 30 s.
RELOAD_TIME: Final = 90.0


async def async_generate(
    coordinator: GazeCoordinator,
    preset: str,
    fields: Mapping[str, Any],
    origin: Origin | None = None,
) -> list[Job]:
    """Queue images and return their jobs, one per image.

    preset: slug or name. fields: those of the action `gaze.generate`, not yet validated.
    origin: the recipe of the request, if any. With `if_busy: skip`, the list is empty while the
    preset or the recipe has open jobs.

    Raises ServiceValidationError for errors of the caller and HomeAssistantError for errors of
    the server.
    """
    found = await _async_require_preset(coordinator, preset)
    origin = origin or Origin()
    request = replace(validate_request(found, fields), origin=origin)
    if fields.get("if_busy") == "skip" and coordinator.engine.is_busy_with(
        found.slug, origin.recipe
    ):
        return []
    try:
        return await coordinator.engine.async_generate(request)
    except TooManyOpenJobsError as err:
        raise ServiceValidationError(
            translation_domain=DOMAIN,
            translation_key="too_many_open_jobs",
            translation_placeholders={"open": str(len(coordinator.engine.open_jobs))},
        ) from err
    except EngineStoppedError as err:
        raise _create_reloading_error() from err
    except GazeNotFoundError as err:
        await coordinator.async_request_refresh()
        raise ServiceValidationError(
            translation_domain=DOMAIN,
            translation_key="preset_gone",
            translation_placeholders={"preset": clean(found.name)},
        ) from err
    except GazeError as err:
        raise _translate_server_error(err) from err


async def async_regenerate(
    coordinator: GazeCoordinator,
    job_id: str,
    changes: Mapping[str, Any],
    *,
    same_seed: bool = False,
) -> list[Job]:
    """Queue the request of an earlier job again, with `changes` and a new or the same seed.

    Raises what `async_generate` raises.
    """
    earlier: Job | Image | None = coordinator.engine.job(job_id)
    if earlier is None:
        with gallery_errors():
            earlier = await coordinator.gallery.async_get(job_id)
    if earlier is None:
        raise create_unknown_job_error(job_id)
    fields = _get_request_fields(earlier)
    if same_seed:
        if earlier.seed is None:
            raise ServiceValidationError(
                translation_domain=DOMAIN,
                translation_key="seed_unknown",
                translation_placeholders={"job_id": job_id},
            )
        fields["seed"] = earlier.seed
    fields.update(changes)
    origin = _get_origin(earlier)
    if "extra_positive" in changes:
        # The title and the language model belong to the earlier prompt.
        origin = replace(origin, title=None, writer=None)
    return await async_generate(coordinator, fields["preset"], fields, origin)


async def async_generate_again(coordinator: GazeCoordinator) -> None:
    """Queue the last request again, with a new seed. Raises what `async_generate` raises."""
    if not (jobs := coordinator.engine.jobs):
        raise ServiceValidationError(translation_domain=DOMAIN, translation_key="nothing_generated")
    await async_regenerate(coordinator, jobs[-1].job_id, {"count": jobs[-1].count})


async def async_track_job(
    coordinator: GazeCoordinator, job_id: str, preset: str, tag: str | None
) -> list[Job]:
    """Track a job that was queued elsewhere. Raises what `async_generate` raises."""
    tag = validate_text({"tag": tag}, "tag")
    found = await _async_require_preset(coordinator, preset)
    try:
        return await coordinator.engine.async_track(job_id, found, tag)
    except GazeNotFoundError as err:
        raise create_unknown_job_error(job_id) from err
    except EngineStoppedError as err:
        raise _create_reloading_error() from err
    except GazeError as err:
        raise _translate_server_error(err) from err


async def async_wait(
    coordinator: GazeCoordinator, job_ids: Collection[str], seconds: float
) -> GazeCoordinator:
    """Wait until all jobs have ended and their events were fired, at most `seconds`.

    Waiting continues across a reload of the server, and ends if it is removed. Returns the
    coordinator that is loaded then.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while not await coordinator.engine.async_wait(job_ids):
                if coordinator.hass.is_stopping or is_removed(coordinator):
                    break
                coordinator = await _async_wait_for_server(coordinator)
    return coordinator


async def async_wait_for_reload(coordinator: GazeCoordinator) -> GazeCoordinator:
    """Wait while the server is reloaded, and return the coordinator that is loaded then."""
    with suppress(TimeoutError):
        async with asyncio.timeout(RELOAD_TIME):
            return await _async_wait_for_server(coordinator)
    return coordinator


async def _async_wait_for_server(coordinator: GazeCoordinator) -> GazeCoordinator:
    """Wait until the server is loaded or removed, and return its last coordinator."""
    entry = coordinator.config_entry
    changed = asyncio.Event()

    @callback
    def note_change(_change: ConfigEntryChange, changed_entry: ConfigEntry) -> None:
        if changed_entry is entry:
            changed.set()

    stop_listening = async_dispatcher_connect(
        coordinator.hass, SIGNAL_CONFIG_ENTRY_CHANGED, note_change
    )
    try:
        while entry.state not in _TRACKING:
            if is_removed(coordinator):
                return coordinator
            changed.clear()
            await changed.wait()
    finally:
        stop_listening()
    return entry.runtime_data


@callback
def is_removed(coordinator: GazeCoordinator) -> bool:
    """Return whether the server was removed from Home Assistant."""
    entry_id = coordinator.config_entry.entry_id
    return coordinator.hass.config_entries.async_get_entry(entry_id) is None


async def async_read_image(coordinator: GazeCoordinator, job_id: str) -> tuple[Image, bytes]:
    """Return a saved image and its bytes.

    Raises ServiceValidationError if it does not exist, and HomeAssistantError if it can't be read.
    """
    with gallery_errors():
        if (image := await coordinator.gallery.async_get(job_id)) is None:
            raise create_unknown_image_error(job_id)
        return image, await coordinator.gallery.async_read(image)


@contextmanager
def gallery_errors() -> Generator[None]:
    """Raise a translated HomeAssistantError for a GalleryError."""
    try:
        yield
    except BackupRunningError as err:
        raise HomeAssistantError(
            translation_domain=DOMAIN, translation_key="backup_running"
        ) from err
    except GalleryError as err:
        _LOGGER.warning("Failed to access the saved images: %s", err)
        raise HomeAssistantError(
            translation_domain=DOMAIN, translation_key="gallery_failed"
        ) from err


def create_unknown_image_error(job_id: str) -> ServiceValidationError:
    """Return the error for a job without a saved image."""
    return ServiceValidationError(
        translation_domain=DOMAIN,
        translation_key="unknown_image",
        translation_placeholders={"job_id": job_id[:64]},
    )


def create_unknown_job_error(job_id: str) -> ServiceValidationError:
    """Return the error for an unknown job."""
    return ServiceValidationError(
        translation_domain=DOMAIN,
        translation_key="unknown_job",
        translation_placeholders={"job_id": job_id[:64]},
    )


async def _async_require_preset(coordinator: GazeCoordinator, text: str) -> Preset:
    """Return a preset by slug or name. If it is unknown, list the presets again.

    Raises ServiceValidationError if the server does not have it, and HomeAssistantError if the
    presets can't be listed.
    """
    found = coordinator.find_preset(text)
    if found is None and coordinator.last_update_success:
        await coordinator.async_refresh()
        found = coordinator.find_preset(text)
    if not coordinator.engine.accepting:
        raise _create_reloading_error()
    if found is None and not coordinator.last_update_success:
        raise HomeAssistantError(translation_domain=DOMAIN, translation_key="update_failed")
    if found is None:
        raise _create_unknown_preset_error(coordinator, text)
    return found


def _create_unknown_preset_error(
    coordinator: GazeCoordinator, preset: str
) -> ServiceValidationError:
    """Return the error for a preset that the server does not have, with similar names."""
    names = {text[:60] for known in coordinator.data.values() for text in (known.slug, known.name)}
    near = get_close_matches(preset[:60], names, n=3, cutoff=0.5)
    return ServiceValidationError(
        translation_domain=DOMAIN,
        translation_key="unknown_preset_near" if near else "unknown_preset",
        translation_placeholders={"preset": preset[:60], "near": ", ".join(near)},
    )


def _get_request_fields(earlier: Job | Image) -> dict[str, Any]:
    """Return the fields of an earlier request, without count and seed."""
    fields: dict[str, Any] = {
        name: getattr(earlier, name)
        for name in ("preset", "extra_positive", "extra_negative", "checkpoint", "tag")
    }
    if isinstance(earlier, Job):
        return fields | {"width": earlier.width, "height": earlier.height}
    # An image without a requested size has the size of its preset.
    return fields | {"width": earlier.requested_width, "height": earlier.requested_height}


def _get_origin(earlier: Job | Image) -> Origin:
    """Return the recipe of an earlier job, and what a language model added to it."""
    return Origin(
        recipe=earlier.recipe,
        recipe_name=earlier.recipe_name,
        title=earlier.title,
        writer=earlier.writer if isinstance(earlier, Job) else None,
    )


def _create_reloading_error() -> HomeAssistantError:
    """Return the error for a request while the server is unloaded."""
    return HomeAssistantError(translation_domain=DOMAIN, translation_key="server_reloading")


def _translate_server_error(err: GazeError) -> HomeAssistantError:
    """Log an error of the server, and return its translation."""
    _LOGGER.warning("A request to GAZE failed: %s", err)
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
            key = "unexpected_response"
        case _:
            key = "server_failed"
    return HomeAssistantError(translation_domain=DOMAIN, translation_key=key)
