"""Builds unique IDs, device identifiers, issue IDs, URLs, and media IDs."""

from typing import Final

from .const import DOMAIN

IMAGE_VIEW_URL: Final = "/api/gaze/image/{config_entry_id}/{job_id}"

DISPLAY_VIEW_URL: Final = "/api/gaze/display/{token}/{name}"


def unique_id(entry_id: str, key: str, slug: str | None = None) -> str:
    """Return the unique ID of an entity of the server, or of the preset with this slug."""
    return f"{entry_id}-{key}" if slug is None else f"{entry_id}-{slug}-{key}"


def device_identifier(entry_id: str, slug: str | None = None) -> tuple[str, str]:
    """Return the identifier of the device of a preset, or of the server."""
    return (DOMAIN, entry_id if slug is None else f"{entry_id}-{slug}")


def subentry_unique_id(subentry_id: str, key: str) -> str:
    """Return the unique ID of an entity of a recipe or display.

    It begins with the ULID of the subentry. Unique IDs of presets begin with the ULID of the
    entry, so the two never collide.
    """
    return f"{subentry_id}-{key}"


def subentry_device_identifier(subentry_id: str) -> tuple[str, str]:
    """Return the identifier of the device of a recipe or display."""
    return (DOMAIN, subentry_id)


def preset_of_image_entity(entry_id: str, entity_unique_id: str) -> str | None:
    """Return the slug of the preset whose images an entity shows, or None for all images."""
    slug = entity_unique_id.removeprefix(f"{entry_id}-").removesuffix("preset_image")
    return slug.removesuffix("-") if entity_unique_id.endswith("-preset_image") else None


def issue_id(entry_id: str, key: str) -> str:
    """Return the ID of a repair issue of a server."""
    return f"{entry_id}-{key}"


def image_url(entry_id: str, job_id: str) -> str:
    """Return the path of the view that serves an image."""
    return IMAGE_VIEW_URL.format(config_entry_id=entry_id, job_id=job_id)


def thumbnail_url(entry_id: str, job_id: str, side: int) -> str:
    """Return the path of a thumbnail whose longer side has `side` pixels."""
    return f"{image_url(entry_id, job_id)}?size={side}"


def media_content_id(entry_id: str, job_id: str) -> str:
    """Return the media ID of an image."""
    return f"media-source://{DOMAIN}/{entry_id}/{job_id}"


def display_path(token: str, name: str) -> str:
    """Return the path at which a screen fetches its image. `name` only helps users."""
    return DISPLAY_VIEW_URL.format(token=token, name=name)
