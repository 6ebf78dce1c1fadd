"""Event entity of a server."""

from typing import Any, Final, override

from homeassistant.components.event import EventEntity, EventEntityDescription
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .coordinator import GazeConfigEntry
from .entity import GazeEntity
from .jobs import JobEvent
from .payloads import JOB_FIELDS

PARALLEL_UPDATES = 0

# The other attributes are long or differ in each event, so the recorder doesn't store them.
RECORDED: Final = {"preset", "reason"}

GENERATION = EventEntityDescription(
    key="generation",
    translation_key="generation",
    event_types=[event.value for event in JobEvent],
)


async def async_setup_entry(
    _hass: HomeAssistant,
    entry: GazeConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the event entity of a server."""
    async_add_entities([GazeEvent(entry.runtime_data, GENERATION)])


class GazeEvent(GazeEntity, EventEntity):
    """Fires the events of jobs, with the fields of the job as attributes."""

    _unrecorded_attributes = JOB_FIELDS - RECORDED

    @property
    @override
    def available(self) -> bool:
        """Return True, because the last event remains valid while the server is off."""
        return True

    @override
    async def async_added_to_hass(self) -> None:
        """Listen for the events of jobs."""
        await super().async_added_to_hass()
        self.async_on_remove(self.coordinator.async_add_event_listener(self._fire))

    @callback
    @override
    def _handle_coordinator_update(self) -> None:
        """Do nothing, because only events change the state."""

    @callback
    def _fire(self, event: JobEvent, fields: dict[str, Any]) -> None:
        """Fire an event."""
        self._trigger_event(event.value, fields)
        self.async_write_ha_state()
