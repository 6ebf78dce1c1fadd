"""Switch: hold the image that a display shows."""

from typing import Any, override

from homeassistant.components.switch import SwitchEntity, SwitchEntityDescription
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .const import SUBENTRY_DISPLAY
from .coordinator import GazeConfigEntry
from .entity import GazeDisplayEntity
from .subentries import async_add_subentry_entities

PARALLEL_UPDATES = 0

HOLD = SwitchEntityDescription(key="hold", translation_key="hold")


async def async_setup_entry(
    _hass: HomeAssistant,
    entry: GazeConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the switches of the displays of a server."""
    coordinator = entry.runtime_data
    async_add_subentry_entities(
        entry,
        async_add_entities,
        SUBENTRY_DISPLAY,
        lambda subentry: [GazeHoldSwitch(coordinator, HOLD, subentry.subentry_id)],
    )


class GazeHoldSwitch(GazeDisplayEntity, SwitchEntity):
    """Holds the image of a display until it is turned off, also across restarts."""

    @property
    @override
    def is_on(self) -> bool:
        """Return whether the display holds its image."""
        return self.player.state.hold

    @override
    async def async_turn_on(self, **kwargs: Any) -> None:
        """Hold the image."""
        self.coordinator.displays.async_set_hold(self.player, True)

    @override
    async def async_turn_off(self, **kwargs: Any) -> None:
        """Let the image change again."""
        self.coordinator.displays.async_set_hold(self.player, False)
