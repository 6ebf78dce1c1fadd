"""Renders what a display shows, and caches it on disk."""

from hashlib import blake2b
import logging
from pathlib import Path
from typing import Final

from homeassistant.core import HomeAssistant

from ..const import BRAND_IMAGE
from ..gallery import Gallery, GalleryError, ImageContentError
from .files import prune, write_file
from .rendering import Rendering, render

_LOGGER = logging.getLogger(__name__)

MAX_CACHED: Final = 16  # renderings of one display
MAX_CACHED_BYTES: Final = 64 * 2**20


class Renderings:
    """The rendered images of one display.

    An image is the path of a file whose content never changes, or None for the brand image.
    """

    def __init__(self, hass: HomeAssistant, gallery: Gallery, cache: Path) -> None:
        """Use a folder that may be emptied at any time."""
        self._hass = hass
        self._gallery = gallery
        self._cache = cache
        self._uncached: tuple[str, bytes] | None = None  # the last one if the disk is full

    def etag(self, image: Path | None, rendering: Rendering) -> str:
        """Return the ETag of a rendering: it depends on the image and on how it is rendered."""
        name = "" if image is None else image.name
        return blake2b(f"{name} {rendering!r}".encode(), digest_size=16).hexdigest()

    async def async_get(self, image: Path | None, rendering: Rendering) -> bytes:
        """Return the rendered image.

        Raises FileNotFoundError if the file is gone, and GalleryError if it cannot be rendered.
        """
        etag = self.etag(image, rendering)
        data = await self._hass.async_add_executor_job(self._cached, etag)
        if data is not None:
            return data
        async with self._gallery.rendering_slots:
            return await self._hass.async_add_executor_job(self._render, image, rendering, etag)

    def _cached(self, etag: str) -> bytes | None:
        """Return a rendered image from the cache, or None. Blocks."""
        if (uncached := self._uncached) is not None and uncached[0] == etag:
            return uncached[1]
        try:
            return (self._cache / etag).read_bytes()
        except OSError:
            return None

    def _render(self, image: Path | None, rendering: Rendering, etag: str) -> bytes:
        """Render an image and cache it, unless another request just did. Blocks."""
        if (data := self._cached(etag)) is not None:
            return data
        data = _rendered(image, rendering)
        try:
            write_file(self._cache / etag, data)
            prune(self._cache, MAX_CACHED, MAX_CACHED_BYTES)
        except OSError as err:
            _LOGGER.debug("Unable to cache a rendered image: %s", err.strerror)
            self._uncached = (etag, data)
        return data


def _rendered(image: Path | None, rendering: Rendering) -> bytes:
    """Render an image. Blocks. Raises as `Renderings.async_get` does."""
    try:
        return render((BRAND_IMAGE if image is None else image).read_bytes(), rendering)
    except FileNotFoundError as err:
        if image is not None:
            raise
        raise GalleryError("the brand image is missing") from err
    except (OSError, ImageContentError) as err:
        raise GalleryError("the image cannot be rendered") from err
