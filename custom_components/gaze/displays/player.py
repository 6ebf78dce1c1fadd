"""Decides which image a display shows, and renders it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
import logging
from pathlib import Path
import random
import secrets
from typing import Final

from homeassistant.core import HomeAssistant
from homeassistant.util import dt as dt_util

from ..gallery import Gallery, GalleryError, Image, PictureError, Selection
from .models import Advance, Display, DisplayState, Order, Source
from .rendering import MAX_PIXELS, MIN_SIDE, Rendering, render

_LOGGER = logging.getLogger(__name__)

MAX_IMAGES: Final = 500  # of a source, the newest ones
MAX_HISTORY: Final = 50
MAX_CACHED: Final = 64  # rendered images of one display
_BRAND_SIZE: Final = (512, 512)
_BRAND_IMAGE: Final = Path(__file__).parent.parent / "brand" / "icon@2x.png"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rendered:
    """An image as a screen gets it; without bytes if the screen has it already."""

    data: bytes | None
    etag: str
    content_type: str


class Player:
    """What one display shows.

    The image that it shows is copied into a folder of the display, so that it survives the
    deletion of the image and a restart.
    """

    def __init__(  # noqa: PLR0913 - only the manager creates it
        self,
        hass: HomeAssistant,
        gallery: Gallery,
        display: Display,
        state: DisplayState,
        *,
        folder: Path,
        cache: Path,
        on_change: Callable[[], None],
    ) -> None:
        """Start with the stored state.

        folder: for the copy of the image. cache: for rendered images; may be emptied.
        on_change: called when the display shows another image or its state changed.
        """
        self._hass = hass
        self._gallery = gallery
        self.display = display
        self.state = state
        self._folder = folder
        self._cache = cache
        self._on_change = on_change
        self._changing = asyncio.Lock()

    # Choosing

    async def async_update(self) -> None:
        """Show another image if the source has a new one or the shown one is hidden."""
        async with self._changing:
            images = await self._images()
            newest = images[0].job_id if images else None
            is_new = newest is not None and newest != self.state.newest
            self.state.newest = newest
            if self.state.shown is None or await self._is_hidden():
                await self._advance(images)
            elif is_new and not self.state.hold and self.display.advance is Advance.ON_NEW_IMAGE:
                await self._show(images[0])

    def forget_source(self) -> None:
        """Start again with another source; what is shown stays until the next image."""
        self.state.newest = None
        self.state.seen.clear()

    async def async_next(self) -> None:
        """Show the next image."""
        async with self._changing:
            await self._advance(await self._images())

    async def async_previous(self) -> None:
        """Show the image that was shown before; images that were deleted are skipped."""
        async with self._changing:
            while self.state.history:
                job_id = self.state.history.pop()
                image = await self._gallery.async_get(job_id)
                if image is not None and await self._show(image, into_history=False):
                    return
            self._on_change()

    async def async_advance(self) -> None:
        """Show the next image unless the display is on hold."""
        if not self.state.hold:
            await self.async_next()

    async def async_show(self, image: Image) -> None:
        """Show an image. Raises GalleryError if its file is unreadable."""
        async with self._changing:
            await self._copy(image)
            self._note(image, into_history=True)

    async def _images(self) -> list[Image]:
        """Return the images of the source, newest first."""
        try:
            return await self._gallery.async_select(self._selection(), MAX_IMAGES)
        except GalleryError as err:
            _LOGGER.debug("Unable to list the images of a display: %s", err)
            return []

    def _selection(self) -> Selection:
        """Return what the source means."""
        value = self.display.source_value
        match self.display.source:
            case Source.PRESET:
                return Selection(preset=value)
            case Source.TAG:
                return Selection(tag=value)
            case Source.RECIPE:
                return Selection(recipe=value)
            case Source.FAVORITES:
                return Selection(favorite=True)
            case _:
                return Selection()

    async def _is_hidden(self) -> bool:
        """Return whether the image that is shown is hidden."""
        if self.state.shown is None:
            return False
        try:
            image = await self._gallery.async_get(self.state.shown)
        except GalleryError:
            return False
        return image is not None and image.hidden

    async def _advance(self, images: list[Image]) -> None:
        """Show the next image that is readable."""
        for image in self._in_order(images):
            if await self._show(image):
                return

    def _in_order(self, images: list[Image]) -> list[Image]:
        """Return the images beginning with the next one."""
        others = [image for image in images if image.job_id != self.state.shown]
        if self.display.order is Order.SHUFFLE:
            fresh = [image for image in others if image.job_id not in self.state.seen]
            if not fresh:
                self.state.seen.clear()
                fresh = others
            return random.sample(fresh, len(fresh))
        if images and images[0].job_id not in self.state.seen:
            return others
        place = next(
            (index for index, image in enumerate(images) if image.job_id == self.state.shown), -1
        )
        return [*images[place + 1 :], *images[: max(place, 0)]]

    async def _show(self, image: Image, *, into_history: bool = True) -> bool:
        """Show an image. Returns False if its file is unreadable."""
        try:
            await self._copy(image)
        except GalleryError as err:
            _LOGGER.debug("Unable to show an image on a display: %s", err)
            return False
        self._note(image, into_history=into_history)
        return True

    async def _copy(self, image: Image) -> None:
        """Copy the file of an image to the display. Raises GalleryError."""
        content = await self._gallery.async_read(image)
        before, copy = self.state.copy, f"{self.display.display_id}-{secrets.token_hex(8)}"
        try:
            await self._hass.async_add_executor_job(_write, self._folder / copy, content)
        except OSError as err:
            raise GalleryError(err.strerror or type(err).__name__) from err
        self.state.copy = copy
        if before is not None:
            await self._hass.async_add_executor_job(_remove, self._folder / before)

    def _note(self, image: Image, *, into_history: bool) -> None:
        """Note what is shown now."""
        state = self.state
        if into_history and state.shown is not None and state.shown != image.job_id:
            state.history = [*state.history, state.shown][-MAX_HISTORY:]
        if image.job_id not in state.seen:
            state.seen = [*state.seen, image.job_id][-MAX_IMAGES:]
        state.shown = image.job_id
        state.shown_at = dt_util.utcnow().timestamp()
        state.shown_width, state.shown_height = image.width, image.height
        self._on_change()

    # Rendering

    async def async_render(
        self, size: tuple[int, int] | None = None, known: frozenset[str] = frozenset()
    ) -> Rendered:
        """Return what the screen gets, in the chosen size, or else in this one.

        Without bytes if the ETag is among those known. Raises GalleryError.
        """
        while True:
            rendering = self.display.rendering_for(size or self._own_size())
            copy = self.state.copy
            etag = self._etag(rendering)
            data = None
            if etag not in known:
                try:
                    data = await self._async_data(rendering, copy, etag)
                except FileNotFoundError:
                    if copy != self.state.copy:
                        continue  # it shows another image by now
                    _LOGGER.debug("The image of a display is gone")
                    self.state.copy = None
                    continue
            return Rendered(data=data, etag=etag, content_type=rendering.format.content_type)

    async def _async_data(self, rendering: Rendering, copy: str | None, etag: str) -> bytes:
        """Return the rendered image. Raises GalleryError, FileNotFoundError without the copy."""
        data = await self._hass.async_add_executor_job(self._cached, etag)
        if data is not None:
            return data
        async with self._gallery.rendering_slots:
            return await self._hass.async_add_executor_job(self._make, rendering, copy, etag)

    def _own_size(self) -> tuple[int, int]:
        """Return the size of the image, as far as a screen may have it."""
        width, height = self.state.shown_width, self.state.shown_height
        if not width or not height:
            return _BRAND_SIZE
        if self.display.rendering.rotation % 180:
            width, height = height, width
        scale = min((MAX_PIXELS / (width * height)) ** 0.5, 1.0)
        return max(int(width * scale), MIN_SIDE), max(int(height * scale), MIN_SIDE)

    def _etag(self, rendering: Rendering) -> str:
        """Return the ETag of what is shown: it depends on the image and the rendering."""
        text = f"{self.display.display_id} {self.state.copy} {rendering!r}"
        return blake2b(text.encode(), digest_size=16).hexdigest()

    def _cached(self, etag: str) -> bytes | None:
        """Return a rendered image from the cache. Blocks."""
        try:
            return (self._cache / etag).read_bytes()
        except OSError:
            return None

    def _make(self, rendering: Rendering, copy: str | None, etag: str) -> bytes:
        """Render the copy, or the brand image without one, and cache it. Blocks.

        Raises GalleryError, FileNotFoundError if the copy is gone.
        """
        if (data := self._cached(etag)) is not None:
            return data
        try:
            source = _BRAND_IMAGE if copy is None else self._folder / copy
            data = render(source.read_bytes(), rendering)
        except FileNotFoundError:
            raise
        except (OSError, PictureError) as err:
            raise GalleryError("the image cannot be rendered") from err
        try:
            _write(self._cache / etag, data)
            _prune(self._cache)
        except OSError as err:
            _LOGGER.debug("Unable to cache a rendered image: %s", err.strerror)
        return data

    async def async_remove(self) -> None:
        """Remove the copy of the image."""
        if self.state.copy is not None:
            await self._hass.async_add_executor_job(_remove, self._folder / self.state.copy)


def _write(path: Path, content: bytes) -> None:
    """Write a file so that it is complete or absent. Blocks. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def _prune(cache: Path) -> None:
    """Remove the oldest rendered images beyond a number. Blocks. Raises OSError."""
    files = sorted(cache.iterdir(), key=lambda file: file.stat().st_mtime_ns, reverse=True)
    for file in files[MAX_CACHED:]:
        file.unlink(missing_ok=True)


def _remove(path: Path) -> None:
    """Remove a file that may be absent. Blocks."""
    try:
        path.unlink(missing_ok=True)
    except OSError as err:
        _LOGGER.debug("Unable to remove the image of a display: %s", err.strerror)
