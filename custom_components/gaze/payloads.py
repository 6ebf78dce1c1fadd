"""How a job and an image look in events, responses, and diagnostics.

Times are ISO 8601 in UTC. Seeds are decimal text, because JavaScript rounds large numbers.
"""

from typing import Any

from homeassistant.components.image import DOMAIN as IMAGE_DOMAIN
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr, entity_registry as er
from homeassistant.util import dt as dt_util

from .const import DOMAIN
from .gallery import Image
from .ids import device_identifier, image_url, media_content_id, unique_id
from .jobs import Job, JobEvent, Status

# What a job and its image have in common, under the same names.
_SHARED_FIELDS = (
    "job_id",
    "batch_id",
    "preset",
    "preset_name",
    "tag",
    "seed",
    "width",
    "height",
    "checkpoint",
    "extra_positive",
    "extra_negative",
)


def job_payload(hass: HomeAssistant, entry_id: str, job: Job) -> dict[str, Any]:
    """Return a job for events, responses, and diagnostics."""
    saved = job.status is Status.DONE
    return {
        **{name: getattr(job, name) for name in _SHARED_FIELDS},
        "index": job.index,
        "count": job.count,
        "status": job.status.value,
        "reason": None if job.reason is None else job.reason.value,
        "error": job.error,
        "requested_at": _iso(job.requested_at),
        "started_at": _iso(job.started_at),
        "finished_at": None if job.open else _iso(job.finished_at),
        "duration": job.duration,
        "media_content_id": media_content_id(entry_id, job.job_id) if saved else None,
        "image_url": image_url(entry_id, job.job_id) if saved else None,
        "entity_id": image_entity_id(hass, entry_id, job.preset),
    }


def event_payload(
    hass: HomeAssistant, entry_id: str, event: JobEvent, job: dict[str, Any]
) -> dict[str, Any]:
    """Return the data of the bus event for a job payload."""
    return {
        **job,
        "type": event.value,
        "config_entry_id": entry_id,
        "device_id": _device_id(hass, entry_id, job["preset"]),
    }


def image_payload(entry_id: str, image: Image) -> dict[str, Any]:
    """Return a saved image for responses. `size` is in bytes."""
    return {
        **{name: getattr(image, name) for name in _SHARED_FIELDS},
        "finished_at": _iso(image.made_at),
        "content_type": image.content_type,
        "size": image.size,
        "media_content_id": media_content_id(entry_id, image.job_id),
        "image_url": image_url(entry_id, image.job_id),
    }


def image_entity_id(hass: HomeAssistant, entry_id: str, slug: str) -> str | None:
    """Return the entity that shows the images of a preset, or else of the server."""
    registry = er.async_get(hass)
    for wanted in (
        unique_id(entry_id, "preset_image", slug),
        unique_id(entry_id, "latest_image"),
    ):
        if entity_id := registry.async_get_entity_id(IMAGE_DOMAIN, DOMAIN, wanted):
            return entity_id
    return None


def _device_id(hass: HomeAssistant, entry_id: str, slug: str) -> str | None:
    """Return the device of a preset, or else of the server."""
    registry = dr.async_get(hass)
    for identifier in (device_identifier(entry_id, slug), device_identifier(entry_id)):
        if device := registry.async_get_device_by_identifier(identifier, entry_id):
            return device.id
    return None


def _iso(seconds: float | None) -> str | None:
    """Return a time in seconds since the epoch as ISO 8601 text."""
    return None if seconds is None else dt_util.utc_from_timestamp(seconds).isoformat()
