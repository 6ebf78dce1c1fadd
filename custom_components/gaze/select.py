"""Select: the preset that the panel generates with."""

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
    """The choice by slug, so that it outlives a new name of the preset."""

    preset: str | None

    @override
    def as_dict(self) -> dict[str, Any]:
        """Return what is stored."""
        return asdict(self)


class GazePresetSelect(GazeControlEntity, SelectEntity, RestoreEntity):
    """Chooses among all presets of the server by name.

    A preset that vanishes leaves nothing chosen; should it come back, it is chosen again.
    """

    def __init__(self, coordinator: GazeCoordinator, description: SelectEntityDescription) -> None:
        """Offer the presets."""
        super().__init__(coordinator, description)
        self._offer()

    @property
    @override
    def current_option(self) -> str | None:
        """Return what the chosen preset is called."""
        return self._labels.get(self.coordinator.controls.preset or "")

    @property
    @override
    def extra_restore_state_data(self) -> ChosenPreset:
        """Return what is stored for the next start."""
        return ChosenPreset(preset=self.coordinator.controls.preset)

    @override
    async def async_added_to_hass(self) -> None:
        """Take back what was chosen before."""
        if (last := await self.async_get_last_extra_data()) is not None:
            self.coordinator.controls.preset = last.as_dict().get("preset")
        await super().async_added_to_hass()

    @override
    async def async_select_option(self, option: str) -> None:
        """Take what a person chose."""
        self.coordinator.controls.preset = next(
            slug for slug, label in self._labels.items() if label == option
        )
        self.coordinator.async_update_listeners()

    @callback
    @override
    def _handle_coordinator_update(self) -> None:
        """Offer the presets as they are now."""
        self._offer()
        super()._handle_coordinator_update()

    @override
    def _appearance(self) -> Hashable:
        """Return what there is to choose, and what is chosen."""
        return (*self.options, self.current_option)

    def _offer(self) -> None:
        """Take the presets of the server."""
        self._labels = preset_labels(self.coordinator.data)
        self._attr_options = list(self._labels.values())
