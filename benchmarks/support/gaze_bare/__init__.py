"""A custom integration that adds as many devices and entities as GAZE and does nothing else."""

from homeassistant.config_entries import ConfigEntry
from homeassistant.const import Platform
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.device_registry import DeviceEntryType, DeviceInfo

DOMAIN = "gaze_bare"
PLATFORMS = [Platform.BUTTON, Platform.IMAGE]


async def async_setup_entry(hass: HomeAssistant, entry: ConfigEntry) -> bool:
    """Add the devices and entities."""
    dr.async_get(hass).async_get_or_create(
        config_entry_id=entry.entry_id, identifiers={(DOMAIN, entry.entry_id)}, name=entry.title
    )
    await hass.config_entries.async_forward_entry_setups(entry, PLATFORMS)
    return True


async def async_unload_entry(hass: HomeAssistant, entry: ConfigEntry) -> bool:
    """Remove the entities."""
    return await hass.config_entries.async_unload_platforms(entry, PLATFORMS)


def preset_device(hass: HomeAssistant, entry: ConfigEntry, number: int) -> DeviceInfo:
    """Return the device of a preset."""
    identifier = (DOMAIN, entry.entry_id)
    server = dr.async_get(hass).async_get_device_by_identifier(identifier, entry.entry_id)
    if server is None:
        raise LookupError("The server's device is missing")
    return DeviceInfo(
        identifiers={(DOMAIN, f"{entry.entry_id}-{number}")},
        name=f"{entry.title} preset {number}",
        manufacturer="GAZE",
        model="Preset",
        entry_type=DeviceEntryType.SERVICE,
        via_device_id=server.id,
    )
