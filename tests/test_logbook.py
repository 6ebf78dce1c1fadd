"""Tests of the logbook entries."""

from typing import Any

from homeassistant.components.logbook.const import DOMAIN as LOGBOOK
from homeassistant.core import Event, HomeAssistant
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.common import async_capture_events

from custom_components.gaze.const import DOMAIN, EVENT_GAZE
from testing.gaze_server import GazeServer

from .common import make_image


@pytest.fixture
async def logbook(hass: HomeAssistant) -> None:
    """Set up the logbook without a database."""
    hass.config.components.add("recorder")
    assert await async_setup_component(hass, "logbook", {})
    await hass.async_block_till_done()


def _logbook_entry(hass: HomeAssistant, **data: Any) -> dict[str, Any]:
    fields = {"preset": "neon_city", "preset_name": "Neon city", "entity_id": "image.x"}
    domain, describe = hass.data[LOGBOOK].external_events[EVENT_GAZE]
    assert domain == DOMAIN
    return dict(describe(Event(EVENT_GAZE, {**fields, **data})))


@pytest.mark.usefixtures("logbook", "entry")
@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"type": "queued"}, "was queued"),
        ({"type": "started"}, "is being generated"),
        ({"type": "finished"}, "has a new image"),
        (
            {"type": "failed", "reason": "server", "error": "out of\n <b>memory</b>"},
            "failed on the server: out of <b>memory</b>",
        ),
        ({"type": "failed", "reason": "server", "error": None}, "failed on the server"),
        (
            {"type": "failed", "reason": "lost", "error": None},
            "was lost: GAZE no longer has the job",
        ),
        ({"type": "failed", "reason": "no_image"}, "failed: GAZE returned no image"),
        (
            {"type": "failed", "reason": "download", "error": "404"},
            "failed: the image could not be downloaded",
        ),
        ({"type": "failed", "reason": "gave_up"}, "failed: it was not finished in time"),
        ({"type": "failed", "reason": "stopped"}, "is no longer tracked"),
        ({"type": "failed", "reason": "of a later version"}, "failed"),
        ({"type": "of a later version"}, "changed"),
    ],
)
async def test_each_event_has_message(
    hass: HomeAssistant, data: dict[str, Any], message: str
) -> None:
    assert _logbook_entry(hass, **data) == {
        "name": "Neon city",
        "message": message,
        "entity_id": "image.x",
    }


@pytest.mark.usefixtures("logbook", "entry")
@pytest.mark.parametrize(
    ("data", "name"),
    [
        ({"preset_name": "a\nb\u202ec"}, "a bc"),
        ({"preset_name": "x" * 10_000}, "x" * 79 + "…"),
        ({"preset_name": None}, "neon_city"),
        ({"preset_name": None, "preset": None}, "GAZE"),
    ],
)
async def test_entry_has_clean_name(hass: HomeAssistant, data: dict[str, Any], name: str) -> None:
    assert _logbook_entry(hass, type="finished", **data)["name"] == name


@pytest.mark.usefixtures("logbook", "entry")
async def test_entry_of_job_links_to_image_entity(hass: HomeAssistant, server: GazeServer) -> None:
    events = async_capture_events(hass, EVENT_GAZE)
    await make_image(hass, server, "neon_city")

    entry = _logbook_entry(hass, **events[-1].data)

    assert entry["message"] == "has a new image"
    assert entry["entity_id"] == "image.gaze_neon_city"


@pytest.mark.usefixtures("logbook", "entry")
async def test_entry_without_entity_has_no_link(hass: HomeAssistant) -> None:
    assert "entity_id" not in _logbook_entry(hass, type="queued", entity_id=None)
