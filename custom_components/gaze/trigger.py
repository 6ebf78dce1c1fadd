"""Triggers: what happens to the jobs of a server, a preset, or a recipe."""

from collections.abc import Mapping
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
from .targets import Kind, Subject, async_require_subject, async_subjects

CONF_TAG: Final = "tag"
CONF_REASON: Final = "reason"

_TAG: Final[dict[vol.Marker, Any]] = {vol.Optional(CONF_TAG): cv.string}
_REASON: Final[dict[vol.Marker, Any]] = {
    vol.Optional(CONF_REASON): vol.All(
        cv.ensure_list, [vol.In([reason.value for reason in Reason])]
    )
}
_WITH_JOBS: Final = frozenset((Kind.SERVER, Kind.PRESET, Kind.RECIPE))


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
    kinds: ClassVar[frozenset[Kind]] = _WITH_JOBS

    @classmethod
    @override
    async def async_validate_config(cls, hass: HomeAssistant, config: ConfigType) -> ConfigType:
        """Validate the target and the options."""
        validated: ConfigType = cls.schema(config)
        async_require_subject(hass, validated[CONF_TARGET], cls.kinds)
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
            if self._means(*_subjects_of_job(data)):
                run_action(
                    {
                        "job": {name: data.get(name) for name in JOB_FIELDS},
                        "entity_id": data["entity_id"],
                        "device_id": data["device_id"],
                    },
                    f"{data['preset_name']}: {data['type']}",
                    event.context,
                )

        return self._hass.bus.async_listen(EVENT_GAZE, on_event, event_filter=self._is_wanted)

    @callback
    def _is_wanted(self, data: Mapping[str, Any]) -> bool:
        """Return whether an event has the type and the options of the trigger."""
        return data["type"] == self.event and self._has_options(data["tag"], data["reason"])

    def _has_options(self, tag: str | None, reason: str | None) -> bool:
        """Return whether a job or image has the tag and the reason of the options."""
        return (CONF_TAG not in self._options or tag == self._options[CONF_TAG]) and (
            CONF_REASON not in self._options or reason in self._options[CONF_REASON]
        )

    def _means(self, *subjects: Subject) -> bool:
        """Return whether the target means one of the subjects now."""
        return not async_subjects(self._hass, self._target).isdisjoint(subjects)


class ImageFinishedTrigger(JobTrigger):
    """Fires when an image is saved and shown."""

    event = JobEvent.FINISHED


def _subjects_of_job(data: Mapping[str, Any]) -> list[Subject]:
    """Return what the job of an event belongs to."""
    entry_id = data["config_entry_id"]
    subjects = [
        Subject(kind=Kind.SERVER, entry_id=entry_id),
        Subject(kind=Kind.PRESET, entry_id=entry_id, key=data["preset"]),
    ]
    if data["recipe"] is not None:
        subjects.append(Subject(kind=Kind.RECIPE, entry_id=entry_id, key=data["recipe"]))
    return subjects


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
