"""Describes the events of jobs in the logbook, in the language of Home Assistant."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from homeassistant.components.logbook import (
    LOGBOOK_ENTRY_ENTITY_ID,
    LOGBOOK_ENTRY_MESSAGE,
    LOGBOOK_ENTRY_NAME,
)
from homeassistant.core import Event, HomeAssistant, callback
from homeassistant.helpers.translation import async_get_cached_translations

from .const import DOMAIN, EVENT_LOGBOOK
from .jobs import JobEvent, Reason

_KEY: Final = f"component.{DOMAIN}.common.logbook"
_SENTENCE: Final = f"{_KEY}_sentence"
_FAILED: Final = JobEvent.FAILED.value


@callback
def async_describe_events(
    hass: HomeAssistant,
    async_describe_event: Callable[[str, str, Callable[[Event], dict[str, Any]]], None],
) -> None:
    """Describe the events of jobs."""

    @callback
    def describe(event: Event) -> dict[str, Any]:
        texts = async_get_cached_translations(hass, hass.config.language, "common", DOMAIN)
        return _describe(texts, event.data)

    async_describe_event(DOMAIN, EVENT_LOGBOOK, describe)


def _describe(texts: Mapping[str, str], data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the logbook entry for the data of an event, in plain text.

    Cards with one entity show the message only, so it contains the name of the preset or recipe.
    """
    entry = {LOGBOOK_ENTRY_NAME: data["name"], LOGBOOK_ENTRY_MESSAGE: _message(texts, data)}
    if (entity_id := data["entity_id"]) is not None:
        entry[LOGBOOK_ENTRY_ENTITY_ID] = entity_id
    return entry


def _message(texts: Mapping[str, str], data: Mapping[str, Any]) -> str:
    """Return the sentence for an event."""
    keys = [data["type"]]
    if data["type"] == _FAILED:
        keys.insert(0, f"{_FAILED}_{data['reason']}")
        if data["reason"] == Reason.SERVER and data["error"]:
            keys.insert(0, f"{_FAILED}_{data['reason']}_error")
    texts_found = (texts[name] for key in keys if (name := f"{_KEY}_{key}") in texts)
    message = next(texts_found, data["type"]).format(error=data["error"])
    return texts.get(_SENTENCE, "{name} {message}").format(name=data["name"], message=message)
