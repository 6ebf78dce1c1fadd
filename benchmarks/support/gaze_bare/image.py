"""Images of nothing."""

from homeassistant.components.image import ImageEntity
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.helpers.device_registry import DeviceInfo
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from . import preset_device


async def async_setup_entry(
    hass: HomeAssistant, entry: ConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Add one for each preset."""
    async_add_entities(
        BareImage(hass, f"{entry.entry_id}-{number}", preset_device(hass, entry, number))
        for number in range(entry.data["presets"])
    )


class BareImage(ImageEntity):
    """An image of nothing."""

    _attr_has_entity_name = True
    _attr_name = None

    def __init__(self, hass: HomeAssistant, unique_id: str, device_info: DeviceInfo) -> None:
        """Take what it is called."""
        super().__init__(hass)
        self._attr_unique_id = unique_id
        self._attr_device_info = device_info
