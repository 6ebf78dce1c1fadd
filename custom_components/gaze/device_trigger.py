"""Device triggers: what happens to the jobs of a server or of a preset."""

from typing import Final

from homeassistant.components.device_automation import (
    DEVICE_TRIGGER_BASE_SCHEMA,
    InvalidDeviceAutomationConfig,
)
from homeassistant.components.homeassistant.triggers import event as event_trigger
from homeassistant.const import (
    ATTR_CONFIG_ENTRY_ID,
    CONF_DEVICE_ID,
    CONF_DOMAIN,
    CONF_EVENT,
    CONF_EVENT_DATA,
    CONF_PLATFORM,
    CONF_TYPE,
)
from homeassistant.core import CALLBACK_TYPE, HomeAssistant
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.trigger import TriggerActionType, TriggerInfo
from homeassistant.helpers.typing import ConfigType
import voluptuous as vol

from .const import DOMAIN, EVENT_GAZE
from .ids import device_identifier
from .jobs import JobEvent

# The editor offers the first one at first: what most automations wait for.
TYPES: Final = tuple(
    event.value for event in (JobEvent.FINISHED, JobEvent.FAILED, JobEvent.STARTED, JobEvent.QUEUED)
)

TRIGGER_SCHEMA: Final = DEVICE_TRIGGER_BASE_SCHEMA.extend({vol.Required(CONF_TYPE): vol.In(TYPES)})


async def async_get_triggers(_hass: HomeAssistant, device_id: str) -> list[dict[str, str]]:
    """List the triggers of a device; all devices have the same."""
    return [
        {
            CONF_PLATFORM: "device",
            CONF_DOMAIN: DOMAIN,
            CONF_DEVICE_ID: device_id,
            CONF_TYPE: trigger_type,
        }
        for trigger_type in TYPES
    ]


async def async_attach_trigger(
    hass: HomeAssistant,
    config: ConfigType,
    action: TriggerActionType,
    trigger_info: TriggerInfo,
) -> CALLBACK_TYPE:
    """Attach a trigger: a server's device fires for all its jobs, a preset's for its own."""
    event_config = event_trigger.TRIGGER_SCHEMA(
        {
            CONF_PLATFORM: CONF_EVENT,
            event_trigger.CONF_EVENT_TYPE: EVENT_GAZE,
            CONF_EVENT_DATA: {
                CONF_TYPE: config[CONF_TYPE],
                **_whose_jobs(hass, config[CONF_DEVICE_ID]),
            },
        }
    )
    return await event_trigger.async_attach_trigger(
        hass, event_config, action, trigger_info, platform_type="device"
    )


def _whose_jobs(hass: HomeAssistant, device_id: str) -> dict[str, str]:
    """Return what tells the events of a device from the others."""
    device = dr.async_get(hass).async_get(device_id)
    if device is None:
        raise InvalidDeviceAutomationConfig(
            translation_domain=DOMAIN,
            translation_key="device_not_found",
            translation_placeholders={"device": device_id},
        )
    entry_id = device.config_entry_id
    if device_identifier(entry_id) in device.identifiers:
        return {ATTR_CONFIG_ENTRY_ID: entry_id}
    return {CONF_DEVICE_ID: device_id}
