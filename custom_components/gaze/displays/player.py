"""Decides which image a display shows."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
import logging
from pathlib import Path
import random
import secrets
from typing import Final

from homeassistant.core import HomeAssistant
from homeassistant.util import dt as dt_util

from ..backup_state import backup_state
from ..gallery import Gallery, GalleryError, Image, Selection
from .files import remove_copy, write_copy
from .models import Advance, Display, DisplayState, Order
from .renderings import Renderings

_LOGGER = logging.getLogger(__name__)

MAX_IMAGES: Final = 500  # of a source, the newest ones
MAX_HISTORY: Final = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class Rendered:
    """An image as a screen gets it; without bytes if the screen has it already."""

    data: bytes | None
    etag: str
    content_type: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Owner:
    """What a player calls.

    on_change: when anything of its state changed. on_shown: after that, if it shows another
    image. save: stores its state; the former image is removed only then. find_preset: returns the
    slug of the preset with this slug or name.
    """

    on_change: Callable[[], None]
    on_shown: Callable[[Image], None]
    save: Callable[[], Awaitable[None]]
    find_preset: Callable[[str], Awaitable[str | None]]


class Player:
    """What one display shows.

    The image that it shows is copied into a folder of the displays, so that it survives the
    deletion of the image and a restart.
    """

    def __init__(  # noqa: PLR0913 - only the manager creates it
        self,
        hass: HomeAssistant,
        gallery: Gallery,
        display: Display,
        state: DisplayState,
        owner: Owner,
        *,
        folder: Path,
        cache: Path,
    ) -> None:
        """Start with the stored state.

        folder: for the copy of the image. cache: for rendered images; may be emptied.
        """
        self._hass = hass
        self._gallery = gallery
        self.display = display
        self.state = state
        self._owner = owner
        self._folder = folder
        self._renderings = Renderings(hass, gallery, cache)
        self._changing = asyncio.Lock()
        self._checked = False  # whether the copy of the last run is there
        self._stopped = False
        self._disk_failed = False  # whether the disk was why the last image was not shown
        self._disk_failure_logged = False

    # Choosing

    async def async_update(self) -> None:
        """Show another image if the source has a new one or the shown one is hidden."""
        async with self._changing:
            if self._stopped:
                return
            if not self._checked:
                self._checked = True
                await self._restore_copy()
            if self.state.shown is None or await self._is_hidden():
                await self._replace()
            elif not self.state.hold and (image := await self._new_image()) is not None:
                await self._show_new(image)

    def change_source(self) -> None:
        """Show the newest image of another source at the next update."""
        self.state.newest = None
        self.state.seen.clear()

    async def async_next(self) -> None:
        """Show the next image."""
        async with self._changing:
            if not self._stopped:
                await self._advance(await self._images())

    async def async_previous(self) -> None:
        """Show the image that was shown before; deleted and hidden images are skipped."""
        async with self._changing:
            if self._stopped:
                return
            try:
                await self._show_previous()
            except GalleryError as err:
                _LOGGER.debug("Unable to find the previous image of a display: %s", err)

    async def async_advance(self) -> None:
        """Show the next image unless the display is on hold."""
        if not self.state.hold:
            await self.async_next()

    async def async_show(self, image: Image) -> None:
        """Show an image. Raises GalleryError if its file is unreadable or the disk is full."""
        async with self._changing:
            try:
                await self._show_copy(image)
            except OSError as err:
                raise GalleryError(err.strerror or type(err).__name__) from err

    async def async_stop(self) -> None:
        """Finish the change that is under way, and change nothing from now on."""
        async with self._changing:
            self._stopped = True

    async def async_remove(self) -> None:
        """Remove the copy of the image, and change nothing from now on."""
        async with self._changing:
            self._stopped = True
            if (copy := self._copy) is not None:
                await self._remove_copy(copy)

    # The source

    async def _images(self, limit: int = MAX_IMAGES) -> list[Image]:
        """Return the images of the source, newest first."""
        try:
            return await self._gallery.async_select(await self._selection(), limit)
        except GalleryError as err:
            _LOGGER.debug("Unable to list the images of a display: %s", err)
            return []

    async def _selection(self) -> Selection:
        """Return which images the source means. Raises GalleryError.

        The form stores the name of a preset if the user entered it while the server was not loaded.
        """
        selection = self.display.selection
        text = selection.preset
        if text is None or self._gallery.newest(text) is not None:
            return selection
        return replace(selection, preset=await self._owner.find_preset(text) or text)

    async def _get(self, job_id: str) -> Image | None:
        """Return an image, or None if it is deleted."""
        try:
            return await self._gallery.async_get(job_id)
        except GalleryError as err:
            _LOGGER.debug("Unable to find the image of a display: %s", err)
            return None

    async def _new_image(self) -> Image | None:
        """Return the newest image of the source if the display has not taken note of it.

        If the image that was the newest is deleted, an older one is not new.
        """
        images = await self._images(1)
        state = self.state
        if not images or images[0].job_id == state.newest:
            return None
        if state.newest is None:
            return images[0]
        known = await self._get(state.newest)
        number = state.newest_number if known is None else known.number
        if not number:  # of a state without the number: the display keeps its image
            self._note_newest(images[0])
            return None
        return images[0] if images[0].number > number else None

    async def _show_new(self, image: Image) -> None:
        """Show an image that is new, or the first one of another source. A failure is retried."""
        is_first = self.state.newest is None
        is_due = is_first or self.display.advance is Advance.ON_NEW_IMAGE
        if not is_due or await self._show(image):
            self._note_newest(image)

    def _note_newest(self, image: Image) -> None:
        """Note the newest image of the source."""
        self.state.newest, self.state.newest_number = image.job_id, image.number

    async def _is_hidden(self) -> bool:
        """Return whether the image that is shown is hidden."""
        image = None if self.state.shown is None else await self._get(self.state.shown)
        return image is not None and image.hidden

    # What is shown

    async def _restore_copy(self) -> None:
        """Copy the image again if its copy is missing, for example after a restored backup."""
        copy, shown = self._copy, self.state.shown
        if shown is None or (
            copy is not None and await self._hass.async_add_executor_job(copy.is_file)
        ):
            return
        _LOGGER.debug("The image of a display is missing")
        self.state.copy = None
        image = await self._get(shown)
        if image is None or image.hidden or not await self._show(image):
            await self._clear()

    async def _replace(self) -> None:
        """Show another image of the source, or else the brand image."""
        images = await self._images()
        if images:
            self._note_newest(images[0])
        if not await self._advance(images) and self.state.shown is not None:
            await self._clear()

    async def _advance(self, images: list[Image]) -> bool:
        """Show the next image that is readable. Returns False if there is none."""
        for image in self._in_order(images):
            if await self._show(image):
                return True
            if self._disk_failed:
                break
        return False

    async def _show_previous(self) -> None:
        """Show the last image of the history that is readable. Raises GalleryError."""
        history = self.state.history
        for place in reversed(range(len(history))):
            image = await self._gallery.async_get(history[place])
            if image is None or image.hidden or image.job_id == self.state.shown:
                continue
            if await self._show(image, history=history[:place]) or self._disk_failed:
                return

    def _in_order(self, images: list[Image]) -> list[Image]:
        """Return the images except the shown one, beginning with the next one."""
        state, seen = self.state, set(self.state.seen)
        others = [image for image in images if image.job_id != state.shown]
        if self.display.order is Order.SHUFFLE:
            fresh = [image for image in others if image.job_id not in seen]
            if not fresh:
                state.seen.clear()
                fresh = others
            return random.sample(fresh, len(fresh))
        if images and images[0].job_id not in seen:
            return others
        numbers = {image.job_id: image.number for image in images}
        number = numbers.get(state.shown or "", state.shown_number)
        # Sorting doesn't change the order otherwise.
        return sorted(others, key=lambda image: image.number > number)

    async def _show(self, image: Image, *, history: list[str] | None = None) -> bool:
        """Show an image. Returns False if that failed."""
        self._disk_failed = False
        try:
            await self._show_copy(image, history)
        except GalleryError as err:
            _LOGGER.debug("Unable to show an image on a display: %s", err)
            return False
        except OSError as err:
            self._disk_failed = True
            if not self._disk_failure_logged:
                self._disk_failure_logged = True
                _LOGGER.warning("Failed to save the image of a display: %s", err.strerror)
            return False
        return True

    async def _show_copy(self, image: Image, history: list[str] | None = None) -> None:
        """Show an image unless it is shown. Raises GalleryError, OSError of the copy.

        history: replaces the history. If omitted, the former image is added to it.
        """
        if self._stopped:
            raise GalleryError("the display is stopped")
        if image.job_id == self.state.shown and self.state.copy is not None:
            return
        content = await self._gallery.async_read(image)
        copy = f"{self.display.display_id}-{secrets.token_hex(8)}"
        await self._hass.async_add_executor_job(
            write_copy, self._folder / copy, content, backup_state(self._hass)
        )
        self._disk_failure_logged = False
        former = self._copy
        self._note(image, copy, history)
        await self._remove_former(former)

    def _note(self, image: Image, copy: str, history: list[str] | None) -> None:
        """Note what is shown now."""
        state = self.state
        is_other = state.shown != image.job_id
        if history is not None:
            state.history = history
        elif is_other and state.shown is not None:
            state.history = [*state.history, state.shown][-MAX_HISTORY:]
        if image.job_id not in state.seen:
            state.seen = [*state.seen, image.job_id][-MAX_IMAGES:]
        state.copy = copy
        state.shown, state.shown_number = image.job_id, image.number
        state.shown_at = dt_util.utcnow().timestamp()
        state.shown_width, state.shown_height = image.width, image.height
        self._owner.on_change()
        if is_other:
            self._owner.on_shown(image)

    async def _clear(self) -> None:
        """Show the brand image."""
        former, state = self._copy, self.state
        state.shown = state.copy = None
        state.shown_at = dt_util.utcnow().timestamp()
        state.shown_width = state.shown_height = 0
        self._owner.on_change()
        await self._remove_former(former)

    async def _remove_former(self, former: Path | None) -> None:
        """Remove the copy that was shown before, once nothing stored names it."""
        await self._owner.save()
        if former is not None:
            await self._remove_copy(former)

    async def _remove_copy(self, copy: Path) -> None:
        """Remove a copy that is not shown any more."""
        await self._hass.async_add_executor_job(remove_copy, copy, backup_state(self._hass))

    @property
    def _copy(self) -> Path | None:
        """Return the path of the image that is shown."""
        return None if self.state.copy is None else self._folder / self.state.copy

    # Rendering

    async def async_render(
        self, size: tuple[int, int] | None = None, known: frozenset[str] = frozenset()
    ) -> Rendered:
        """Return what the screen gets, in the chosen size, or else in this one.

        Without bytes if the ETag is among those known, or `*`. Raises GalleryError.
        """
        while True:
            copy = self._copy
            rendering = self.display.rendering_for(size or self._own_size())
            etag = self._renderings.etag(copy, rendering)
            is_known = not known.isdisjoint((etag, "*"))
            try:
                data = None if is_known else await self._renderings.async_get(copy, rendering)
            except FileNotFoundError:
                async with self._changing:
                    if self._stopped:
                        raise GalleryError("the display is stopped") from None
                    await self._restore_copy()
                continue
            return Rendered(data=data, etag=etag, content_type=rendering.format.content_type)

    def _own_size(self) -> tuple[int, int]:
        """Return the size of the image, as far as a screen may have it."""
        return self.display.size_for(self.state.shown_width, self.state.shown_height)
