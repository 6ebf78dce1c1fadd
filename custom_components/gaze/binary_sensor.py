"""Binary sensors of a GAZE server."""

from collections.abc import Hashable
from typing import Any, override

from homeassistant.components.binary_sensor import (
    BinarySensorDeviceClass,
    BinarySensorEntity,
    BinarySensorEntityDescription,
)
from homeassistant.const import EntityCategory
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .api import (
    GazeAuthError,
    GazeConnectionError,
    GazeResponseError,
    GazeServerError,
    GazeSslError,
    GazeTimeoutError,
)
from .coordinator import GazeConfigEntry
from .entity import GazeEntity

PARALLEL_UPDATES = 0

CONNECTIVITY = BinarySensorEntityDescription(
    key="connectivity",
    translation_key="connectivity",
    device_class=BinarySensorDeviceClass.CONNECTIVITY,
    entity_category=EntityCategory.DIAGNOSTIC,
)

# The value of the attribute `problem` for each error. Subclasses come before their base.
PROBLEMS = {
    GazeAuthError: "invalid_key",
    GazeSslError: "certificate",
    GazeTimeoutError: "timeout",
    GazeConnectionError: "no_connection",
    GazeResponseError: "unexpected_response",
    GazeServerError: "server_error",
}


async def async_setup_entry(
    _hass: HomeAssistant,
    entry: GazeConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the binary sensors of a server."""
    async_add_entities([GazeConnectivity(entry.runtime_data, CONNECTIVITY)])


class GazeConnectivity(GazeEntity, BinarySensorEntity):
    """Shows whether the last request reached the server."""

    @property
    @override
    def available(self) -> bool:
        """Return True, because the state is also known while the server is off."""
        return True

    @property
    @override
    def is_on(self) -> bool:
        """Return whether the server responds."""
        return self.coordinator.last_update_success

    @property
    @override
    def extra_state_attributes(self) -> dict[str, Any]:
        """Return the problem, which is None if the server responds."""
        return {"problem": self._problem}

    @property
    def _problem(self) -> str | None:
        """Return the key of the problem, or None if the server responds."""
        if self.coordinator.last_update_success:
            return None
        error = self.coordinator.last_exception
        for cause in (error, error and error.__cause__):
            for kind, problem in PROBLEMS.items():
                if isinstance(cause, kind):
                    return problem
        return "server_error"

    @override
    def _appearance(self) -> Hashable:
        """Return the values that require a state write if they change."""
        return (super()._appearance(), self._problem)
