"""Finds the image that an image entity shows, and the display of a device."""

from homeassistant.components.image import DOMAIN as IMAGE_DOMAIN
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers import device_registry as dr, entity_registry as er

from .const import DOMAIN
from .coordinator import GazeCoordinator
from .displays import Player
from .targets import Kind, kind_and_key


def shown_image(hass: HomeAssistant, entity_id: str) -> tuple[GazeCoordinator, str]:
    """Return the server and the job ID of the image that an entity shows now.

    Raises ServiceValidationError for another entity and for one without an image.
    """
    entity = er.async_get(hass).async_get(entity_id)
    coordinator = (
        None
        if entity is None or (entity.platform, entity.domain) != (DOMAIN, IMAGE_DOMAIN)
        else _coordinator(hass, entity.config_entry_id)
    )
    if entity is None or coordinator is None:
        raise _error("not_an_image_entity", entity_id=entity_id[:255])
    job_id = _shown_job(coordinator, entity)
    if job_id is None:
        raise _error("entity_without_image", entity_id=entity_id)
    return coordinator, job_id


def _shown_job(coordinator: GazeCoordinator, entity: er.RegistryEntry) -> str | None:
    """Return the job ID of the image that an image entity shows, or None without one."""
    kind, key = kind_and_key(entity, coordinator.config_entry.entry_id)
    if kind is Kind.DISPLAY:
        player = coordinator.displays.find_display(key or "")
        return None if player is None else player.state.shown
    recipe_id, slug = (key, None) if kind is Kind.RECIPE else (None, key)
    image = coordinator.gallery.newest(slug, recipe=recipe_id)
    return None if image is None else image.job_id


def display_of_device(hass: HomeAssistant, device_id: str) -> tuple[GazeCoordinator, Player]:
    """Return the server and the display of a device. Raises ServiceValidationError."""
    device = dr.async_get(hass).async_get(device_id)
    if isinstance(device, dr.DeviceEntry) and device.config_subentry_id is not None:
        coordinator = _coordinator(hass, device.config_entry_id)
        if coordinator is not None:
            player = coordinator.displays.find_display(device.config_subentry_id)
            if player is not None:
                return coordinator, player
    raise _error("not_a_display", device_id=device_id[:64])


def _coordinator(hass: HomeAssistant, entry_id: str | None) -> GazeCoordinator | None:
    """Return the coordinator of a loaded GAZE entry, or None."""
    entry = None if entry_id is None else hass.config_entries.async_get_entry(entry_id)
    if entry is None or entry.domain != DOMAIN or entry.state is not ConfigEntryState.LOADED:
        return None
    coordinator: GazeCoordinator = entry.runtime_data
    return coordinator


def _error(key: str, **placeholders: str) -> ServiceValidationError:
    """Return the error for invalid input."""
    return ServiceValidationError(
        translation_domain=DOMAIN, translation_key=key, translation_placeholders=placeholders
    )
