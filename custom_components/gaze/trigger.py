"""Triggers: what happens to the jobs of a server or of a preset."""

from typing import Any, ClassVar, Final, override

from homeassistant.const import CONF_OPTIONS, CONF_TARGET
from homeassistant.core import CALLBACK_TYPE, Event, HomeAssistant, callback
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.trigger import (
    Trigger,
    TriggerActionRunner,
    TriggerConfig,
    TriggerNotTriggeredReporter,
)
from homeassistant.helpers.typing import ConfigType
import voluptuous as vol

from .const import EVENT_GAZE
from .jobs import JobEvent, Reason
from .payloads import JOB_FIELDS
from .targets import TargetJobs, async_names_only_others, async_target_jobs

CONF_TAG: Final = "tag"
CONF_REASON: Final = "reason"

_TAG: Final[dict[vol.Marker, Any]] = {vol.Optional(CONF_TAG): cv.string}
_REASON: Final[dict[vol.Marker, Any]] = {
    vol.Optional(CONF_REASON): vol.All(
        cv.ensure_list, [vol.In([reason.value for reason in Reason])]
    )
}


def _schema(options: dict[vol.Marker, Any]) -> vol.Schema:
    """Return the schema of a trigger with these options."""
    return vol.Schema(
        {
            vol.Required(CONF_TARGET): cv.TARGET_FIELDS,
            vol.Optional(CONF_OPTIONS, default={}): options,
        }
    )


class JobTrigger(Trigger):
    """Fires for one type of event of the jobs that its target means.

    It listens to the bus, so it survives a reload of the server.
    """

    event: ClassVar[JobEvent]
    schema: ClassVar[vol.Schema] = _schema(_TAG)

    @classmethod
    @override
    async def async_validate_config(cls, hass: HomeAssistant, config: ConfigType) -> ConfigType:
        """Validate the target and the options."""
        validated: ConfigType = cls.schema(config)
        if async_names_only_others(hass, validated[CONF_TARGET]):
            raise vol.Invalid("The target has no GAZE devices or entities", path=[CONF_TARGET])
        return validated

    def __init__(self, hass: HomeAssistant, config: TriggerConfig) -> None:
        """Take the target and the options."""
        super().__init__(hass, config)
        self._target = config.target or {}
        self._options = config.options or {}

    @override
    async def async_attach_runner(
        self,
        run_action: TriggerActionRunner,
        did_not_trigger: TriggerNotTriggeredReporter | None = None,
    ) -> CALLBACK_TYPE:
        """Listen for events of jobs."""

        @callback
        def on_event(event: Event) -> None:
            data = event.data
            if not self._matches(data):
                return
            run_action(
                {
                    "job": {name: data.get(name) for name in JOB_FIELDS},
                    "entity_id": data["entity_id"],
                    "device_id": data["device_id"],
                },
                f"{data['preset_name']}: {data['type']}",
                event.context,
            )

        return self._hass.bus.async_listen(EVENT_GAZE, on_event)

    def _matches(self, data: Any) -> bool:
        """Return whether an event is one that the trigger waits for."""
        if data["type"] != self.event:
            return False
        if CONF_TAG in self._options and data["tag"] != self._options[CONF_TAG]:
            return False
        if CONF_REASON in self._options and data["reason"] not in self._options[CONF_REASON]:
            return False
        entry_id = data["config_entry_id"]
        meant = async_target_jobs(self._hass, self._target)
        return not meant.isdisjoint(
            (
                TargetJobs(entry_id=entry_id, preset=None),
                TargetJobs(entry_id=entry_id, preset=data["preset"]),
            )
        )


class ImageFinishedTrigger(JobTrigger):
    """Fires when an image is saved and shown."""

    event = JobEvent.FINISHED


class GenerationFailedTrigger(JobTrigger):
    """Fires when a job ended without an image."""

    event = JobEvent.FAILED
    schema = _schema(_TAG | _REASON)


class GenerationStartedTrigger(JobTrigger):
    """Fires when GAZE starts to process a job."""

    event = JobEvent.STARTED


class GenerationQueuedTrigger(JobTrigger):
    """Fires when GAZE accepted a job."""

    event = JobEvent.QUEUED


TRIGGERS: Final[dict[str, type[Trigger]]] = {
    "image_finished": ImageFinishedTrigger,
    "generation_failed": GenerationFailedTrigger,
    "generation_started": GenerationStartedTrigger,
    "generation_queued": GenerationQueuedTrigger,
}


async def async_get_triggers(_hass: HomeAssistant) -> dict[str, type[Trigger]]:
    """Return the triggers."""
    return TRIGGERS
