"""Marks images as favorites or hidden, for the action and the Assist tool."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from homeassistant.exceptions import ServiceValidationError

from .const import DOMAIN
from .coordinator import GazeCoordinator
from .gallery import Image, UnknownImagesError
from .generation import gallery_errors

_NAMED: Final = 10  # images in an error


async def async_find_images(
    servers: Iterable[GazeCoordinator], job_ids: Iterable[str]
) -> dict[GazeCoordinator, list[Image]]:
    """Return images by the server that has them.

    Raises ServiceValidationError if no server has one of them, and HomeAssistantError if a disk
    fails.
    """
    images: dict[GazeCoordinator, list[Image]] = {}
    missing = dict.fromkeys(job_ids)
    with gallery_errors():
        for server in servers:
            for job_id in list(missing):
                if (image := await server.gallery.async_get(job_id)) is not None:
                    images.setdefault(server, []).append(image)
                    del missing[job_id]
    if missing:
        raise _error("unknown_images", list(missing))
    return images


async def async_mark_images(
    images: Mapping[GazeCoordinator, Sequence[str]], *, favorite: bool | None, hidden: bool | None
) -> int:
    """Mark images, given as job IDs by server, and return how many changed.

    `None` leaves a mark as it is. Raises ServiceValidationError, with nothing changed, if both
    are `None` or if an image does not exist, and HomeAssistantError if a disk fails.
    """
    if favorite is None and hidden is None:
        raise ServiceValidationError(translation_domain=DOMAIN, translation_key="no_marks")
    with gallery_errors():
        try:
            if len(images) > 1:
                for server, job_ids in images.items():  # before any change: does each exist?
                    await server.gallery.async_mark(job_ids)
            return sum(
                [
                    await server.gallery.async_mark(job_ids, favorite=favorite, hidden=hidden)
                    for server, job_ids in images.items()
                ]
            )
        except UnknownImagesError as err:
            raise _error("unknown_images", err.job_ids) from err


def require_no_favorites(images: Iterable[Image]) -> None:
    """Raise ServiceValidationError if there are favorites among images."""
    if favorites := [image.job_id for image in images if image.favorite]:
        raise _error("favorites_named", favorites)


def _error(key: str, job_ids: Sequence[str]) -> ServiceValidationError:
    """Return the error that names images."""
    return ServiceValidationError(
        translation_domain=DOMAIN,
        translation_key=key,
        translation_placeholders={
            "job_ids": ", ".join(job_id[:64] for job_id in job_ids[:_NAMED]),
            "count": str(len(job_ids)),
        },
    )
