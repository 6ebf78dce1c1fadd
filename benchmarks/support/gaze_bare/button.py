"""Buttons that do nothing."""

from homeassistant.components.button import ButtonEntity
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.helpers.device_registry import DeviceInfo
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from . import DOMAIN, preset_device


async def async_setup_entry(
    hass: HomeAssistant, entry: ConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Add one for each preset, and as many for the server as GAZE has other entities there."""
    server = DeviceInfo(identifiers={(DOMAIN, entry.entry_id)})
    async_add_entities(
        BareButton(f"{entry.entry_id}-button-{number}", f"Button {number}", server)
        for number in range(entry.data["others"])
    )
    async_add_entities(
        BareButton(f"{entry.entry_id}-{number}", "Generate", preset_device(hass, entry, number))
        for number in range(entry.data["presets"])
    )


class BareButton(ButtonEntity):
    """A button that does nothing."""

    _attr_has_entity_name = True

    def __init__(self, unique_id: str, name: str, device_info: DeviceInfo) -> None:
        """Take what it is called."""
        self._attr_unique_id = unique_id
        self._attr_name = name
        self._attr_device_info = device_info
