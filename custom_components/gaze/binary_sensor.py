"""Binary sensors: whether the server can be reached."""

from typing import override

from homeassistant.components.binary_sensor import (
    BinarySensorDeviceClass,
    BinarySensorEntity,
    BinarySensorEntityDescription,
)
from homeassistant.const import EntityCategory
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .coordinator import GazeConfigEntry
from .entity import GazeEntity

PARALLEL_UPDATES = 0

CONNECTIVITY = BinarySensorEntityDescription(
    key="connectivity",
    device_class=BinarySensorDeviceClass.CONNECTIVITY,
    entity_category=EntityCategory.DIAGNOSTIC,
)


async def async_setup_entry(
    _hass: HomeAssistant,
    entry: GazeConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the binary sensors of a server."""
    async_add_entities([GazeConnectivity(entry.runtime_data, CONNECTIVITY)])


class GazeConnectivity(GazeEntity, BinarySensorEntity):
    """Whether the last request reached the server."""

    @property
    @override
    def available(self) -> bool:
        """It is known at all times."""
        return True

    @property
    @override
    def is_on(self) -> bool:
        """Return whether the server answers."""
        return self.coordinator.last_update_success
