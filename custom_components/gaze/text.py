"""Texts: the panel's fields that people type into."""

from typing import override

from homeassistant.components.text import RestoreText, TextEntityDescription
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .coordinator import GazeConfigEntry
from .entity import GazeControlEntity

PARALLEL_UPDATES = 0

# Home Assistant holds states of at most 255 characters, so that is what each can take.
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
    """A text of the panel, kept as it was typed; empty means the preset's own."""

    @override
    async def async_added_to_hass(self) -> None:
        """Take back what stood here before."""
        if (last := await self.async_get_last_text_data()) is not None:
            self._fill(last.native_value or "")
        await super().async_added_to_hass()

    @property
    @override
    def native_value(self) -> str:
        """Return what stands in the panel."""
        text: str = getattr(self.coordinator.controls, self.entity_description.key)
        return text

    @override
    async def async_set_value(self, value: str) -> None:
        """Take what a person typed."""
        self._fill(value)
        self.async_write_ha_state()

    def _fill(self, value: str) -> None:
        """Put it into the panel."""
        setattr(self.coordinator.controls, self.entity_description.key, value)
