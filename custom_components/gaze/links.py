"""Creates signed links to saved images, which work without a login until they expire."""

from datetime import timedelta
from typing import Final

from homeassistant.components.http.auth import async_sign_path
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers.network import NoURLAvailableError, get_url
from homeassistant.util import dt as dt_util

from .const import DOMAIN
from .coordinator import GazeCoordinator
from .generation import create_unknown_image_error, gallery_errors
from .ids import image_url, thumbnail_url

MIN_LIFETIME: Final = timedelta(seconds=1)
MAX_LIFETIME: Final = timedelta(days=30)


async def async_create_link(
    coordinator: GazeCoordinator, job_id: str, *, side: int | None, lifetime: timedelta
) -> dict[str, str | None]:
    """Return a link to an image, or to its thumbnail whose longer side has `side` pixels.

    `url` is None if Home Assistant doesn't know its own address. Raises ServiceValidationError
    if the lifetime is out of range or the image doesn't exist.
    """
    if not MIN_LIFETIME <= lifetime <= MAX_LIFETIME:
        raise ServiceValidationError(
            translation_domain=DOMAIN,
            translation_key="invalid_lifetime",
            translation_placeholders={"max": str(MAX_LIFETIME.days)},
        )
    with gallery_errors():
        if await coordinator.gallery.async_get(job_id) is None:
            raise create_unknown_image_error(job_id)
    hass = coordinator.hass
    entry_id = coordinator.config_entry.entry_id
    path = image_url(entry_id, job_id) if side is None else thumbnail_url(entry_id, job_id, side)
    expires_at = int(dt_util.utcnow().timestamp()) + int(lifetime.total_seconds())
    # The user of the call would end the link by logging out.
    signed = async_sign_path(hass, path, lifetime, use_content_user=True)
    base = _base_url(hass)
    return {
        "url": None if base is None else f"{base}{signed}",
        "path": signed,
        "expires_at": dt_util.utc_from_timestamp(expires_at).isoformat(),
    }


def _base_url(hass: HomeAssistant) -> str | None:
    """Return the address of Home Assistant, if possible one that works from everywhere."""
    try:
        return get_url(hass, prefer_external=True)
    except NoURLAvailableError:
        return None
