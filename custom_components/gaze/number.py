"""Numbers of the controls: the count and the size of the images to generate."""

from typing import override

from homeassistant.components.number import NumberEntityDescription, NumberMode, RestoreNumber
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .coordinator import GazeConfigEntry
from .entity import GazeControlEntity
from .request import MAX_COUNT, MAX_SIDE, SIDE_STEP

PARALLEL_UPDATES = 0

NUMBERS = (
    NumberEntityDescription(
        key="count",
        translation_key="count",
        native_min_value=1,
        native_max_value=MAX_COUNT,
        native_step=1,
        mode=NumberMode.SLIDER,
    ),
    *(
        NumberEntityDescription(
            key=side,
            translation_key=side,
            native_min_value=0,
            native_max_value=MAX_SIDE,
            native_step=SIDE_STEP,
            native_unit_of_measurement="px",
            mode=NumberMode.BOX,
        )
        for side in ("width", "height")
    ),
)


async def async_setup_entry(
    _hass: HomeAssistant,
    entry: GazeConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the numbers of a server."""
    async_add_entities(GazeNumber(entry.runtime_data, description) for description in NUMBERS)


class GazeNumber(GazeControlEntity, RestoreNumber):
    """A number of the controls. 0 means the preset's default."""

    @override
    async def async_added_to_hass(self) -> None:
        """Restore the last value."""
        last = await self.async_get_last_number_data()
        if last is not None and last.native_value is not None:
            self._set_control(float(last.native_value))
        await super().async_added_to_hass()

    @property
    @override
    def native_value(self) -> float:
        """Return the value in the controls."""
        number: float = getattr(self.coordinator.controls, self.entity_description.key)
        return number

    @override
    async def async_set_native_value(self, value: float) -> None:
        """Set the value."""
        self._set_control(value)
        self.async_write_ha_state()

    def _set_control(self, value: float) -> None:
        """Store the value in the controls, as an integer if it is whole."""
        number = int(value) if value.is_integer() else value
        setattr(self.coordinator.controls, self.entity_description.key, number)
