"""Select of the preset of the controls."""

from collections.abc import Hashable
from dataclasses import asdict, dataclass
from typing import Any, override

from homeassistant.components.select import SelectEntity, SelectEntityDescription
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.helpers.restore_state import ExtraStoredData, RestoreEntity

from .coordinator import GazeConfigEntry, GazeCoordinator
from .entity import GazeControlEntity
from .names import preset_labels

PARALLEL_UPDATES = 0

PRESET = SelectEntityDescription(key="preset", translation_key="preset")


async def async_setup_entry(
    _hass: HomeAssistant,
    entry: GazeConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the select of a server."""
    async_add_entities([GazePresetSelect(entry.runtime_data, PRESET)])


@dataclass(frozen=True, kw_only=True, slots=True)
class ChosenPreset(ExtraStoredData):
    """The slug of the preset that a user selected, or None for the first preset."""

    preset: str | None

    @override
    def as_dict(self) -> dict[str, Any]:
        """Return the stored data."""
        return asdict(self)


class GazePresetSelect(GazeControlEntity, SelectEntity, RestoreEntity):
    """Selects a preset of the server by name. The first one is selected until a user selects one.

    If the selected preset is deleted on the server, none is selected until it returns.
    """

    def __init__(self, coordinator: GazeCoordinator, description: SelectEntityDescription) -> None:
        """Offer the presets."""
        super().__init__(coordinator, description)
        self._chosen: str | None = None
        self._offer()

    @property
    @override
    def current_option(self) -> str | None:
        """Return the label of the selected preset."""
        return self._labels.get(self.coordinator.controls.preset or "")

    @property
    @override
    def extra_restore_state_data(self) -> ChosenPreset:
        """Return the data that is stored for the next start."""
        return ChosenPreset(preset=self._chosen)

    @override
    async def async_added_to_hass(self) -> None:
        """Restore the selection."""
        if (last := await self.async_get_last_extra_data()) is not None:
            self._chosen = last.as_dict().get("preset")
            self._offer()
        await super().async_added_to_hass()

    @override
    async def async_select_option(self, option: str) -> None:
        """Select a preset by its label."""
        self._chosen = next(slug for slug, label in self._labels.items() if label == option)
        self._offer()
        self.coordinator.async_update_listeners()

    @callback
    @override
    def _handle_coordinator_update(self) -> None:
        """Offer the current presets."""
        self._offer()
        super()._handle_coordinator_update()

    @override
    def _appearance(self) -> Hashable:
        """Return the options and the selection."""
        return (*self.options, self.current_option)

    def _offer(self) -> None:
        """Offer the presets of the server, and select the first one unless a user selected one."""
        self._labels = preset_labels(self.coordinator.data)
        self._attr_options = list(self._labels.values())
        self.coordinator.controls.preset = self._chosen or next(iter(self._labels), None)
