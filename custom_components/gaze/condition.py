"""Conditions for the state of servers: generating, idle, or connected."""

from typing import ClassVar, Final, override

from homeassistant.components.binary_sensor import DOMAIN as BINARY_SENSOR_DOMAIN
from homeassistant.components.sensor import DOMAIN as SENSOR_DOMAIN
from homeassistant.const import CONF_TARGET, STATE_ON
from homeassistant.core import HomeAssistant
from homeassistant.helpers.automation import DomainSpec
from homeassistant.helpers.condition import Condition, EntityStateConditionBase
from homeassistant.helpers.typing import ConfigType

from .targets import async_require_server, async_server_entities


class ServerCondition(EntityStateConditionBase):
    """Checks an entity of the servers that the target belongs to.

    A target may be any device or entity of GAZE, such as the device of a preset.
    """

    _primary_entities_only = False
    key: ClassVar[str]

    @classmethod
    @override
    async def async_validate_config(cls, hass: HomeAssistant, config: ConfigType) -> ConfigType:
        """Validate the target and the options."""
        validated = await super().async_validate_config(hass, config)
        async_require_server(hass, validated[CONF_TARGET])
        return validated

    @property
    @override
    def needs_polling(self) -> bool:
        """Return True, because the entity to check may be another one than the target."""
        return True

    @override
    def entity_filter(self, entities: set[str]) -> set[str]:
        """Return the entities to check for the entities of a target."""
        (platform,) = self._domain_specs
        return async_server_entities(self._hass, entities, platform, self.key)


class IsGeneratingCondition(ServerCondition):
    """Passes while GAZE processes a job of Home Assistant."""

    _domain_specs = {SENSOR_DOMAIN: DomainSpec()}  # noqa: RUF012 - declared by the base class
    _states = {"generating"}  # noqa: RUF012 - declared by the base class
    key = "status"


class IsIdleCondition(ServerCondition):
    """Passes while Home Assistant has no open jobs."""

    _domain_specs = {SENSOR_DOMAIN: DomainSpec()}  # noqa: RUF012 - declared by the base class
    _states = {"idle"}  # noqa: RUF012 - declared by the base class
    key = "status"


class IsConnectedCondition(ServerCondition):
    """Passes while GAZE can be reached."""

    _domain_specs = {BINARY_SENSOR_DOMAIN: DomainSpec()}  # noqa: RUF012 - declared by the base class
    _states = {STATE_ON}  # noqa: RUF012 - declared by the base class
    key = "connectivity"


CONDITIONS: Final[dict[str, type[Condition]]] = {
    "is_generating": IsGeneratingCondition,
    "is_idle": IsIdleCondition,
    "is_connected": IsConnectedCondition,
}


async def async_get_conditions(_hass: HomeAssistant) -> dict[str, type[Condition]]:
    """Return the conditions."""
    return CONDITIONS
