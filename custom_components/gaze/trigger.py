"""Triggers for events of jobs, and for displays that show another image."""

from collections import deque
from collections.abc import Mapping
from typing import Any, ClassVar, Final, override

from homeassistant.components.image import DOMAIN as IMAGE_DOMAIN
from homeassistant.const import CONF_OPTIONS, CONF_TARGET
from homeassistant.core import CALLBACK_TYPE, Event, HomeAssistant, callback
from homeassistant.helpers import (
    config_validation as cv,
    device_registry as dr,
    entity_registry as er,
)
from homeassistant.helpers.trigger import (
    Trigger,
    TriggerActionRunner,
    TriggerConfig,
    TriggerNotTriggeredReporter,
)
from homeassistant.helpers.typing import ConfigType
import voluptuous as vol

from .const import DOMAIN, EVENT_GAZE
from .coordinator import GazeCoordinator
from .displays import ShownImage, async_listen_for_shown_images
from .ids import subentry_device_identifier, subentry_unique_id
from .jobs import JobEvent, Reason
from .payloads import JOB_FIELDS, finished_job_payload
from .targets import Kind, Subject, async_require_subject, async_subjects

CONF_TAG: Final = "tag"
CONF_REASON: Final = "reason"

_TAG: Final[dict[vol.Marker, Any]] = {vol.Optional(CONF_TAG): cv.string}
_REASON: Final[dict[vol.Marker, Any]] = {
    vol.Optional(CONF_REASON): vol.All(
        cv.ensure_list, [vol.In([reason.value for reason in Reason])]
    )
}
# Jobs for which a trigger fired. It does not fire again if a display shows their image later.
_REMEMBERED_JOBS: Final = 100
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
    """Fires for one type of event of the jobs of its target.

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
            if self._means(*_subjects_of_job(event.data)):
                self._run_for_job(run_action, event)

        return self._hass.bus.async_listen(EVENT_GAZE, on_event, event_filter=self._is_wanted)

    @callback
    def _run_for_job(self, run_action: TriggerActionRunner, event: Event) -> None:
        """Run the action for an event of a job."""
        data = event.data
        run_action(
            {
                "job": {name: data.get(name) for name in JOB_FIELDS},
                "entity_id": data["entity_id"],
                "device_id": data["device_id"],
            },
            f"{data['preset_name']}: {data['type']}",
            event.context,
        )

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
        """Return whether the target currently includes one of the subjects."""
        return not async_subjects(self._hass, self._target).isdisjoint(subjects)


class ImageFinishedTrigger(JobTrigger):
    """Fires when an image is saved and shown, and when a display shows another image.

    If the target includes both the display and the job of an image, it fires only for the job.
    """

    event = JobEvent.FINISHED
    kinds = _WITH_JOBS | {Kind.DISPLAY}

    def __init__(self, hass: HomeAssistant, config: TriggerConfig) -> None:
        """Take the target and the options."""
        super().__init__(hass, config)
        self._finished: deque[str] = deque(maxlen=_REMEMBERED_JOBS)

    @override
    async def async_attach_runner(
        self,
        run_action: TriggerActionRunner,
        did_not_trigger: TriggerNotTriggeredReporter | None = None,
    ) -> CALLBACK_TYPE:
        """Listen for events of jobs, and for what displays show."""

        @callback
        def on_shown(shown: ShownImage) -> None:
            if self._is_shown_by_target(shown) and not self._fires_for_job(shown):
                self._run_for_display(run_action, shown)

        stop_events = await super().async_attach_runner(run_action, did_not_trigger)
        stop_displays = async_listen_for_shown_images(self._hass, on_shown)

        @callback
        def stop() -> None:
            stop_events()
            stop_displays()

        return stop

    @callback
    @override
    def _run_for_job(self, run_action: TriggerActionRunner, event: Event) -> None:
        """Run the action for an event of a job."""
        self._finished.append(event.data["job_id"])
        super()._run_for_job(run_action, event)

    def _is_shown_by_target(self, shown: ShownImage) -> bool:
        """Return whether a display of the target shows an image with the tag of the options."""
        display = Subject(kind=Kind.DISPLAY, entry_id=shown.entry_id, key=shown.display_id)
        return self._has_options(shown.image.tag, None) and self._means(display)

    def _fires_for_job(self, shown: ShownImage) -> bool:
        """Return whether the trigger fires, or has fired, for the job of an image."""
        image = shown.image
        if image.job_id in self._finished:
            return True
        job = _coordinator(self._hass, shown.entry_id).engine.job(image.job_id)
        if job is None or job.end_fired:
            return False
        return self._means(*_list_subjects(shown.entry_id, image.preset, image.recipe))

    @callback
    def _run_for_display(self, run_action: TriggerActionRunner, shown: ShownImage) -> None:
        """Run the action for a display that shows another image."""
        hass, image = self._hass, shown.image
        device = dr.async_get(hass).async_get_device_by_identifier(
            subentry_device_identifier(shown.display_id), shown.entry_id
        )
        gallery = _coordinator(hass, shown.entry_id).gallery
        payload = finished_job_payload(hass, shown.entry_id, image, gallery.path_of(image))
        run_action(
            {
                "job": payload,
                "entity_id": er.async_get(hass).async_get_entity_id(
                    IMAGE_DOMAIN, DOMAIN, subentry_unique_id(shown.display_id, "display_image")
                ),
                "device_id": None if device is None else device.id,
            },
            f"{payload['preset_name']}: shown",
        )


def _coordinator(hass: HomeAssistant, entry_id: str) -> GazeCoordinator:
    """Return the server of a display that shows an image."""
    coordinator: GazeCoordinator = hass.config_entries.async_get_known_entry(entry_id).runtime_data
    return coordinator


def _subjects_of_job(data: Mapping[str, Any]) -> list[Subject]:
    """Return the server, preset, and recipe of the job of an event."""
    return _list_subjects(data["config_entry_id"], data["preset"], data["recipe"])


def _list_subjects(entry_id: str, preset: str, recipe: str | None) -> list[Subject]:
    """Return the server, preset, and recipe of a job."""
    subjects = [
        Subject(kind=Kind.SERVER, entry_id=entry_id),
        Subject(kind=Kind.PRESET, entry_id=entry_id, key=preset),
    ]
    if recipe is not None:
        subjects.append(Subject(kind=Kind.RECIPE, entry_id=entry_id, key=recipe))
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
