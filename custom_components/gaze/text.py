"""Texts of the controls."""

from typing import override

from homeassistant.components.text import RestoreText, TextEntityDescription
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .coordinator import GazeConfigEntry
from .entity import GazeControlEntity

PARALLEL_UPDATES = 0

# A state has at most 255 characters, which is also the default limit of a text entity.
TEXTS = (
    TextEntityDescription(key="extra_positive", translation_key="extra_positive"),
    TextEntityDescription(key="extra_negative", translation_key="extra_negative"),
    TextEntityDescription(key="seed", translation_key="seed"),
    TextEntityDescription(key="checkpoint", translation_key="checkpoint"),
)


async def async_setup_entry(
    _hass: HomeAssistant,
    entry: GazeConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the texts of a server."""
    async_add_entities(GazeText(entry.runtime_data, description) for description in TEXTS)


class GazeText(GazeControlEntity, RestoreText):
    """A text of the controls, stored as typed. Empty means the preset's default."""

    @override
    async def async_added_to_hass(self) -> None:
        """Restore the last value."""
        if (last := await self.async_get_last_text_data()) is not None:
            self._set_control(last.native_value or "")
        await super().async_added_to_hass()

    @property
    @override
    def native_value(self) -> str:
        """Return the value in the controls."""
        text: str = getattr(self.coordinator.controls, self.entity_description.key)
        return text

    @override
    async def async_set_value(self, value: str) -> None:
        """Set the value."""
        self._set_control(value)
        self.async_write_ha_state()

    def _set_control(self, value: str) -> None:
        """Store the value in the controls."""
        setattr(self.coordinator.controls, self.entity_description.key, value)
