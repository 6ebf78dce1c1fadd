"""Builds the data of jobs and images for events, responses, and diagnostics.

Times are ISO 8601 in UTC. Seeds are decimal text, because JavaScript rounds large numbers.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypedDict

from homeassistant.components.event import DOMAIN as EVENT_DOMAIN
from homeassistant.components.image import DOMAIN as IMAGE_DOMAIN
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr, entity_registry as er
from homeassistant.helpers.json import json_bytes
from homeassistant.util import dt as dt_util

from .const import DOMAIN
from .gallery import Image
from .ids import (
    device_identifier,
    image_url,
    media_content_id,
    subentry_device_identifier,
    subentry_unique_id,
    unique_id,
)
from .jobs import Job, JobEvent, Status
from .names import clean
from .recipes import Recipe

# The recorder stores at most 32 KiB of an event, and 16 KiB of a state.
MAX_EVENT_BYTES: Final = 16 * 2**10 - 1024  # without type, config_entry_id, and device_id
_PROMPTS: Final = ("extra_positive", "extra_negative")
_OTHER_TEXTS: Final = ("error", "tag", "checkpoint", "title", "recipe_name")
_TRUNCATED_LENGTHS: Final = (4000, 2000, 1000, 500, 250)  # characters
MAX_PRESET_NAME: Final = 150  # characters
MAX_LOGBOOK_ERROR: Final = 200  # characters

# Fields that jobs and images share
_SHARED_FIELDS: Final = (
    "job_id",
    "batch_id",
    "preset",
    "preset_name",
    "recipe",
    "recipe_name",
    "title",
    "tag",
    "seed",
    "width",
    "height",
    "checkpoint",
    "extra_positive",
    "extra_negative",
)


class JobPayload(TypedDict):
    """A job as events, responses, and diagnostics show it.

    `file_path` is the absolute path of the image in the media folder, or None if it isn't there.
    """

    job_id: str
    batch_id: str
    index: int
    count: int
    status: str
    reason: str | None
    error: str | None
    preset: str
    preset_name: str
    recipe: str | None
    recipe_name: str | None
    title: str | None
    tag: str | None
    seed: str | None
    width: int | None
    height: int | None
    checkpoint: str | None
    extra_positive: str | None
    extra_negative: str | None
    requested_at: str | None
    started_at: str | None
    finished_at: str | None
    duration: float | None
    media_content_id: str | None
    image_url: str | None
    file_path: str | None
    entity_id: str | None


JOB_FIELDS: Final = JobPayload.__required_keys__


def job_payload(
    hass: HomeAssistant, entry_id: str, job: Job, file_path: Path | None = None
) -> dict[str, Any]:
    """Return a job for events, responses, and diagnostics."""
    saved = job.status is Status.DONE
    payload: JobPayload = {
        "job_id": job.job_id,
        "batch_id": job.batch_id,
        "index": job.index,
        "count": job.count,
        "status": job.status.value,
        "reason": None if job.reason is None else job.reason.value,
        "error": job.error,
        "preset": job.preset,
        "preset_name": _get_preset_name(job),
        "recipe": job.recipe,
        "recipe_name": job.recipe_name,
        "title": job.title,
        "tag": job.tag,
        "seed": job.seed,
        "width": job.width,
        "height": job.height,
        "checkpoint": job.checkpoint,
        "extra_positive": job.extra_positive,
        "extra_negative": job.extra_negative,
        "requested_at": format_time(job.requested_at),
        "started_at": format_time(job.started_at),
        "finished_at": None if job.open else format_time(job.finished_at),
        "duration": job.duration,
        "media_content_id": media_content_id(entry_id, job.job_id) if saved else None,
        "image_url": image_url(entry_id, job.job_id) if saved else None,
        "file_path": str(file_path) if saved and file_path is not None else None,
        "entity_id": _find_image_entity_id(hass, entry_id, job.preset, job.recipe),
    }
    return dict(payload)


def shorten_texts(payload: dict[str, Any]) -> dict[str, Any]:
    """Return a job payload that fits into an event. Truncate only what doesn't fit.

    Truncate prompts first. Responses and the index contain the full texts.
    """
    shortened = dict(payload)
    for name, length in _list_truncations():
        if len(json_bytes(shortened)) <= MAX_EVENT_BYTES:
            break
        text = shortened[name]
        if text is not None and len(text) > length:
            shortened[name] = f"{text[: length - 1]}…"
    return shortened


def _list_truncations() -> Iterator[tuple[str, int]]:
    """Yield the name of the next text to truncate, and its new length."""
    for names in (_PROMPTS, _OTHER_TEXTS):
        for length in _TRUNCATED_LENGTHS:
            for name in names:
                yield name, length


def event_payload(
    hass: HomeAssistant, entry_id: str, event: JobEvent, job: dict[str, Any]
) -> dict[str, Any]:
    """Return the data of the bus event for a job payload."""
    return {
        **job,
        "type": event.value,
        "config_entry_id": entry_id,
        "device_id": _find_device_id(hass, entry_id, job["preset"], job["recipe"]),
    }


def logbook_payload(hass: HomeAssistant, event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data of the logbook entry for the data of a bus event.

    Dashboards' logbook cards find it by `entity_id`, which is the event entity of the server:
    the logbook ignores image entities.
    """
    error = event["error"]
    return {
        "entity_id": er.async_get(hass).async_get_entity_id(
            EVENT_DOMAIN, DOMAIN, unique_id(event["config_entry_id"], "generation")
        ),
        "device_id": event["device_id"],
        "type": event["type"],
        "reason": event["reason"],
        "error": None if error is None else clean(error, MAX_LOGBOOK_ERROR),
        "name": clean(event["recipe_name"] or event["preset_name"] or event["preset"]),
    }


def image_payload(entry_id: str, image: Image, file_path: Path | None = None) -> dict[str, Any]:
    """Return a saved image for responses. `size` is in bytes."""
    return {
        **{name: getattr(image, name) for name in _SHARED_FIELDS},
        "preset_name": _get_preset_name(image),
        "finished_at": format_time(image.made_at),
        "favorite": image.favorite,
        "hidden": image.hidden,
        "content_type": image.content_type,
        "size": image.size,
        "media_content_id": media_content_id(entry_id, image.job_id),
        "image_url": image_url(entry_id, image.job_id),
        "file_path": None if file_path is None else str(file_path),
    }


def finished_job_payload(
    hass: HomeAssistant, entry_id: str, image: Image, file_path: Path | None
) -> dict[str, Any]:
    """Return the job of a saved image. Fields that the image doesn't have are None."""
    fields: dict[str, Any] = {
        **image_payload(entry_id, image, file_path),
        "status": Status.DONE.value,
        "entity_id": _find_image_entity_id(hass, entry_id, image.preset, image.recipe),
    }
    return {name: fields.get(name) for name in JOB_FIELDS}


def recipe_payload(hass: HomeAssistant, recipe: Recipe) -> dict[str, Any]:
    """Return a recipe for responses, without its templates."""
    return {
        "recipe": recipe.recipe_id,
        "slug": recipe.slug,
        "name": recipe.name,
        "preset": recipe.preset,
        "entity_id": er.async_get(hass).async_get_entity_id(
            IMAGE_DOMAIN, DOMAIN, subentry_unique_id(recipe.recipe_id, "recipe_image")
        ),
    }


def _get_preset_name(source: Job | Image) -> str:
    """Return the name of the preset of a job or image, or its slug if the name is blank."""
    return clean(source.preset_name, MAX_PRESET_NAME) or source.preset


def _find_image_entity_id(
    hass: HomeAssistant, entry_id: str, slug: str, recipe_id: str | None
) -> str | None:
    """Return the image entity of a recipe, its preset, or the server.

    The first of them that exists: a recipe may be deleted, and a preset may have no device.
    """
    registry = er.async_get(hass)
    for wanted in (
        subentry_unique_id(recipe_id or "", "recipe_image"),
        unique_id(entry_id, "preset_image", slug),
        unique_id(entry_id, "latest_image"),
    ):
        if entity_id := registry.async_get_entity_id(IMAGE_DOMAIN, DOMAIN, wanted):
            return entity_id
    return None


def _find_device_id(
    hass: HomeAssistant, entry_id: str, slug: str, recipe_id: str | None
) -> str | None:
    """Return the device of a recipe, its preset, or the server.

    The first of them that exists, as for the image entity.
    """
    registry = dr.async_get(hass)
    for identifier in (
        subentry_device_identifier(recipe_id or ""),
        device_identifier(entry_id, slug),
        device_identifier(entry_id),
    ):
        if device := registry.async_get_device_by_identifier(identifier, entry_id):
            return device.id
    return None


def format_time(seconds: float | None) -> str | None:
    """Return a time in seconds since the epoch as ISO 8601 text."""
    return None if seconds is None else dt_util.utc_from_timestamp(seconds).isoformat()
