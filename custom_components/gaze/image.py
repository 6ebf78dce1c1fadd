"""Image entities of a server, its presets, recipes, and displays."""

from contextlib import suppress
from datetime import datetime
import logging
from typing import Any, Final, override

from homeassistant.components.image import ImageEntity, ImageEntityDescription
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.util import dt as dt_util

from .const import BRAND_IMAGE, DOMAIN, SUBENTRY_DISPLAY, SUBENTRY_RECIPE
from .coordinator import GazeConfigEntry, GazeCoordinator
from .entity import GazeDisplayEntity, GazeEntity, GazeRecipeEntity, async_add_preset_entities
from .gallery import GalleryError, Image, ImageGoneError
from .generation import gallery_errors
from .subentries import async_add_subentry_entities

_LOGGER = logging.getLogger(__name__)

PARALLEL_UPDATES = 0

BRAND_CONTENT_TYPE: Final = "image/png"
MAX_READS: Final = 5  # of an image that is deleted or replaced meanwhile

LATEST_IMAGE = ImageEntityDescription(key="latest_image", translation_key="latest_image")
DISPLAY_IMAGE = ImageEntityDescription(key="display_image", translation_key="display_image")
RECIPE_IMAGE = ImageEntityDescription(key="recipe_image", translation_key="recipe_image")
PRESET_IMAGE = ImageEntityDescription(key="preset_image", translation_key="preset_image")


async def async_setup_entry(
    hass: HomeAssistant,
    entry: GazeConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the image entities of a server."""
    coordinator = entry.runtime_data
    async_add_entities([GazeImage(hass, coordinator, LATEST_IMAGE)])
    await async_add_preset_entities(
        entry,
        async_add_entities,
        lambda slug: GazePresetImage(hass, coordinator, PRESET_IMAGE, slug),
    )
    async_add_subentry_entities(
        entry,
        async_add_entities,
        SUBENTRY_RECIPE,
        lambda subentry: [GazeRecipeImage(hass, coordinator, RECIPE_IMAGE, subentry.subentry_id)],
    )
    async_add_subentry_entities(
        entry,
        async_add_entities,
        SUBENTRY_DISPLAY,
        lambda subentry: [GazeDisplayImage(hass, coordinator, DISPLAY_IMAGE, subentry.subentry_id)],
    )


class GazeImage(GazeEntity, ImageEntity):
    """The newest image of the server, or of a preset. It is also shown while GAZE is off."""

    def __init__(
        self,
        hass: HomeAssistant,
        coordinator: GazeCoordinator,
        description: ImageEntityDescription,
        slug: str | None = None,
    ) -> None:
        """Show the newest saved image."""
        GazeEntity.__init__(self, coordinator, description, slug)
        self._init_image(hass)

    def _init_image(self, hass: HomeAssistant) -> None:
        """Show the newest saved image, or the brand image before the first one."""
        ImageEntity.__init__(self, hass)
        self._image: Image | None = None
        self._attr_content_type = BRAND_CONTENT_TYPE
        self._show_newest()

    @property
    @override
    def available(self) -> bool:
        """Return True, because saved images do not need the server."""
        return True

    @property
    @override
    def entity_picture(self) -> str | None:
        """Return the URL of the image, or None before the first one to show the icon."""
        return super().entity_picture if self._image is not None else None

    @override
    async def async_image(self) -> bytes | None:
        """Return the bytes of the image, or the brand image before the first one.

        If the image was deleted or replaced meanwhile, return the image that is shown then, so
        that the bytes match the content type.
        """
        try:
            content = await self._read_shown()
        except GalleryError as err:
            _LOGGER.warning("Failed to read the image of %s: %s", self.entity_id, err)
            raise HomeAssistantError(
                translation_domain=DOMAIN, translation_key="image_unreadable"
            ) from err
        return content or await self.hass.async_add_executor_job(BRAND_IMAGE.read_bytes)

    async def _read_shown(self) -> bytes | None:
        """Return the bytes of the image that is shown, or None without one. Raises GalleryError."""
        for _ in range(MAX_READS):
            if (image := self._image) is None:
                return None
            with suppress(ImageGoneError):
                content = await self.coordinator.gallery.async_read(image)
                if _is_same(image, self._image):
                    return content
            self._handle_coordinator_update()
        raise GalleryError("the images are gone")

    @callback
    @override
    def _handle_coordinator_update(self) -> None:
        """Write the state only if another image is shown."""
        if self._show_newest():
            super()._handle_coordinator_update()

    @property
    @override
    def extra_state_attributes(self) -> dict[str, Any] | None:
        """Return the title of the image, or None if it has no title."""
        if self._image is None or self._image.title is None:
            return None
        return {"title": self._image.title}

    def _newest(self) -> Image | None:
        """Return the image to show."""
        return self.coordinator.gallery.newest(self.slug)

    def _show_newest(self) -> bool:
        """Show the newest image, and return whether it is another one."""
        newest = self._newest()
        same = _is_same(newest, self._image)
        self._image = newest
        if same:
            return False
        if newest is None:
            self._attr_image_last_updated = None
            self._attr_content_type = BRAND_CONTENT_TYPE
        else:
            self._attr_image_last_updated = dt_util.utc_from_timestamp(newest.made_at)
            self._attr_content_type = newest.content_type
        return True


def _is_same(one: Image | None, other: Image | None) -> bool:
    """Return whether two images are the same, regardless of their marks."""
    if one is None or other is None:
        return one is other
    return (one.job_id, one.made_at, one.path, one.size) == (
        other.job_id,
        other.made_at,
        other.path,
        other.size,
    )


class GazePresetImage(GazeImage):
    """The newest image of a preset. It has the name of its device."""

    _attr_name = None


class GazeRecipeImage(GazeRecipeEntity, GazeImage):
    """The newest image of a recipe."""

    _attr_name = None

    def __init__(
        self,
        hass: HomeAssistant,
        coordinator: GazeCoordinator,
        description: ImageEntityDescription,
        subentry_id: str,
    ) -> None:
        """Show the newest image of the recipe."""
        GazeRecipeEntity.__init__(self, coordinator, description, subentry_id)
        self._init_image(hass)

    @override
    def _newest(self) -> Image | None:
        """Return the image to show."""
        return self.coordinator.gallery.newest(recipe=self.subentry_id)


class GazeDisplayImage(GazeDisplayEntity, ImageEntity):
    """The rendered image of a display, with the bytes that its screen fetches."""

    _attr_name = None

    def __init__(
        self,
        hass: HomeAssistant,
        coordinator: GazeCoordinator,
        description: ImageEntityDescription,
        subentry_id: str,
    ) -> None:
        """Show the image of the display."""
        GazeDisplayEntity.__init__(self, coordinator, description, subentry_id)
        ImageEntity.__init__(self, hass)

    @property
    @override
    def image_last_updated(self) -> datetime | None:
        """Return when the display began to show the image."""
        shown_at = self.player.state.shown_at
        return None if shown_at is None else dt_util.utc_from_timestamp(shown_at)

    @property
    @override
    def content_type(self) -> str:
        """Return the media type of the display's format."""
        return self.player.display.rendering.format.content_type

    @override
    async def async_image(self) -> bytes | None:
        """Return the rendered image."""
        with gallery_errors():
            return (await self.player.async_render()).data
