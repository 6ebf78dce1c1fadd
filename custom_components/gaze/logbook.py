"""Describes the events of jobs in the logbook."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from homeassistant.components.logbook import (
    LOGBOOK_ENTRY_ENTITY_ID,
    LOGBOOK_ENTRY_MESSAGE,
    LOGBOOK_ENTRY_NAME,
)
from homeassistant.core import Event, HomeAssistant, callback

from .const import DOMAIN, EVENT_GAZE
from .jobs import JobEvent, Reason
from .names import clean

# Each message follows the name of the preset.
MESSAGES: Final[Mapping[str, str]] = {
    JobEvent.QUEUED: "was queued",
    JobEvent.STARTED: "is being generated",
    JobEvent.FINISHED: "has a new image",
    JobEvent.FAILED: "failed",
}
FAILURES: Final[Mapping[str | None, str]] = {
    Reason.SERVER: "failed on the server",
    Reason.LOST: "was lost: GAZE no longer has the job",
    Reason.NO_IMAGE: "failed: GAZE returned no image",
    Reason.UNSUPPORTED: "failed: the image has an unsupported format",
    Reason.DOWNLOAD: "failed: the image could not be downloaded",
    Reason.GAVE_UP: "failed: it was not finished in time",
    Reason.STOPPED: "is no longer tracked",
}
MAX_ERROR: Final = 200


@callback
def async_describe_events(
    _hass: HomeAssistant,
    async_describe_event: Callable[[str, str, Callable[[Event], dict[str, Any]]], None],
) -> None:
    """Describe the events of jobs."""
    async_describe_event(DOMAIN, EVENT_GAZE, _describe)


@callback
def _describe(event: Event) -> dict[str, Any]:
    """Return the logbook entry for an event, in plain text."""
    data = event.data
    entry = {
        LOGBOOK_ENTRY_NAME: clean(str(data.get("preset_name") or data.get("preset") or "GAZE")),
        LOGBOOK_ENTRY_MESSAGE: _message(data),
    }
    if entity_id := data.get("entity_id"):
        entry[LOGBOOK_ENTRY_ENTITY_ID] = entity_id
    return entry


def _message(data: Mapping[str, Any]) -> str:
    """Return the message for the data of an event."""
    if data.get("type") != JobEvent.FAILED:
        return MESSAGES.get(str(data.get("type")), "changed")
    message = FAILURES.get(data.get("reason"), MESSAGES[JobEvent.FAILED])
    if data.get("reason") == Reason.SERVER and (error := clean(data.get("error") or "", MAX_ERROR)):
        return f"{message}: {error}"
    return message
