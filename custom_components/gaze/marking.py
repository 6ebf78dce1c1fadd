"""Marks images as favorites or hidden, for the action and the Assist tool."""

from collections.abc import Sequence
from typing import Final

from homeassistant.exceptions import ServiceValidationError

from .const import DOMAIN
from .coordinator import GazeCoordinator
from .gallery import UnknownImagesError
from .generation import gallery_errors

_NAMED: Final = 10  # unknown images in an error


async def async_mark_images(
    coordinator: GazeCoordinator,
    job_ids: Sequence[str],
    *,
    favorite: bool | None,
    hidden: bool | None,
) -> int:
    """Mark images of a server and return how many changed; `None` leaves a mark as it is.

    Raises ServiceValidationError, with nothing changed, if an image does not exist, and
    HomeAssistantError if the disk fails.
    """
    with gallery_errors():
        try:
            return await coordinator.gallery.async_mark(job_ids, favorite=favorite, hidden=hidden)
        except UnknownImagesError as err:
            named = ", ".join(job_id[:64] for job_id in err.job_ids[:_NAMED])
            raise ServiceValidationError(
                translation_domain=DOMAIN,
                translation_key="unknown_images",
                translation_placeholders={"job_ids": named, "count": str(len(err.job_ids))},
            ) from err
