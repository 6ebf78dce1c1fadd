"""Tests of the logbook entries."""

from datetime import timedelta
import json
from pathlib import Path
from typing import Any, Final

from homeassistant.components.logbook.const import DOMAIN as LOGBOOK
from homeassistant.components.recorder import Recorder
from homeassistant.core import Event, HomeAssistant
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.translation import async_get_translations
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_capture_events
from pytest_homeassistant_custom_component.components.recorder.common import (
    async_wait_recording_done,
)
from pytest_homeassistant_custom_component.typing import WebSocketGenerator

from custom_components.gaze.const import DOMAIN, EVENT_LOGBOOK
from custom_components.gaze.jobs import JobEvent, Reason
from testing.gaze_server import GazeServer

from .common import RECIPE, act, add_subentries, device_id, make_image, wait_for

EN = Path("custom_components/gaze/translations/en.json")


@pytest.fixture
async def logbook(hass: HomeAssistant) -> None:
    """Set up the logbook without a database."""
    hass.config.components.add("recorder")
    assert await async_setup_component(hass, "logbook", {})
    await hass.async_block_till_done()


def _logbook_entry(hass: HomeAssistant, **data: Any) -> dict[str, Any]:
    """Return how the logbook describes an event with this data."""
    fields = {"name": "Neon city", "entity_id": "event.x", "reason": None, "error": None}
    domain, describe = hass.data[LOGBOOK].external_events[EVENT_LOGBOOK]
    assert domain == DOMAIN
    return dict(describe(Event(EVENT_LOGBOOK, {**fields, **data})))


MESSAGES: Final = [
    ({"type": "queued"}, "was queued"),
    ({"type": "started"}, "is being generated"),
    ({"type": "finished"}, "has a new image"),
    (
        {"type": "failed", "reason": "server", "error": "out of <b>{memory}</b>"},
        "failed on the server: out of <b>{memory}</b>",
    ),
    ({"type": "failed", "reason": "server"}, "failed on the server"),
    ({"type": "failed", "reason": "lost"}, "was lost: GAZE no longer has the job"),
    ({"type": "failed", "reason": "no_image"}, "failed: GAZE returned no image"),
    (
        {"type": "failed", "reason": "download", "error": "404"},
        "failed: the image could not be downloaded",
    ),
    ({"type": "failed", "reason": "gave_up"}, "failed: it was not finished in time"),
    ({"type": "failed", "reason": "stopped"}, "is no longer tracked"),
    ({"type": "failed", "reason": "of a later version"}, "failed"),
    ({"type": "of a later version"}, "of a later version"),
]


@pytest.mark.usefixtures("logbook", "entry")
async def test_each_event_has_message(hass: HomeAssistant, subtests: pytest.Subtests) -> None:
    for data, message in MESSAGES:
        with subtests.test(ascii(data)):
            assert _logbook_entry(hass, **data) == {
                "name": "Neon city",
                "message": f"Neon city {message}",
                "entity_id": "event.x",
            }


def test_each_event_and_reason_has_text() -> None:
    texts = json.loads(EN.read_text())["common"]

    assert {
        *(f"logbook_{event}" for event in JobEvent),
        *(f"logbook_failed_{reason}" for reason in Reason),
    } <= set(texts)


@pytest.mark.usefixtures("logbook", "entry")
async def test_message_is_in_language_of_home_assistant(
    hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "homeassistant.helpers.translation.load_json",
        lambda _: {
            "common": {
                "logbook_finished": "uusi kuva",
                "logbook_sentence": "{name}: {message}",
            }
        },
    )
    # Tests share a cache, which holds the real texts of the languages that the integration has.
    await hass.config.async_update(language="fi")
    await async_get_translations(hass, "fi", "common", [DOMAIN])

    assert _logbook_entry(hass, type="finished")["message"] == "Neon city: uusi kuva"
    assert _logbook_entry(hass, type="failed")["message"] == "Neon city: failed"


@pytest.mark.usefixtures("entry")
async def test_entry_of_job_has_clean_texts(hass: HomeAssistant, server: GazeServer) -> None:
    server.put_preset("odd", "a\nb\u202ec" + "x" * 200)
    await hass.services.async_call(
        "button", "press", {"entity_id": "button.gaze_refresh_presets"}, blocking=True
    )
    events = async_capture_events(hass, EVENT_LOGBOOK)

    await act(hass, "generate", preset="odd")
    await wait_for(hass, server.fail(error="out of\n memory" + "!" * 1000))

    data = events[-1].data
    assert data["type"] == "failed"
    assert data["name"].startswith("a bc")
    assert len(data["name"]) <= 80
    assert data["error"].startswith("out of memory!")
    assert len(data["error"]) <= 200


@pytest.mark.usefixtures("logbook", "entry")
async def test_entry_without_event_entity_has_no_link(
    hass: HomeAssistant, server: GazeServer, entity_registry: er.EntityRegistry
) -> None:
    entity_registry.async_remove("event.gaze_generation")
    events = async_capture_events(hass, EVENT_LOGBOOK)

    await make_image(hass, server, "neon_city")

    entry = _logbook_entry(hass, **events[-1].data)
    assert entry == {"name": "Neon city", "message": "Neon city has a new image"}


@pytest.mark.processes  # the recorder's thread needs the real time
async def test_logbook_shows_each_event_once_to_cards_device_pages_and_activity(
    recorder_mock: Recorder,
    hass: HomeAssistant,
    hass_ws_client: WebSocketGenerator,
    server: GazeServer,
    entry: MockConfigEntry,
) -> None:
    """Cards request by entity, device pages also by device, and **Activity** everything."""
    assert await async_setup_component(hass, LOGBOOK, {})
    await add_subentries(hass, entry)
    start = dt_util.utcnow() - timedelta(hours=1)
    await make_image(hass, server, "neon_city")
    await act(hass, "generate", recipe="Doorbell")
    await wait_for(hass, server.fail())
    await async_wait_recording_done(hass)
    client = await hass_ws_client(hass)

    async def list_sentences(**query: list[str]) -> list[str]:
        await client.send_json_auto_id(
            {"type": "logbook/get_events", "start_time": start.isoformat(), **query}
        )
        result = (await client.receive_json())["result"]
        sentences = [item["message"] for item in result if item.get("domain") == DOMAIN]
        # On a slow machine, a poll may find a job between its start and its end.
        return [each for each in sentences if not each.endswith("is being generated")]

    of_preset = ["Neon city was queued", "Neon city has a new image"]
    of_recipe = ["Doorbell was queued", "Doorbell failed on the server: ComfyUI: out of memory"]
    everything = of_preset + of_recipe
    preset, recipe = device_id(hass, entry, "neon_city"), device_id(hass, entry, RECIPE)
    assert await list_sentences(entity_ids=["event.gaze_generation"]) == everything
    assert await list_sentences() == everything
    assert await list_sentences(device_ids=[preset]) == of_preset
    assert await list_sentences(device_ids=[recipe]) == of_recipe
    assert (
        await list_sentences(
            device_ids=[device_id(hass, entry)], entity_ids=["event.gaze_generation"]
        )
        == everything
    )
