"""How jobs and images look in events and responses."""

from pathlib import Path

from homeassistant.core import HomeAssistant
from homeassistant.helpers.json import json_bytes
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_capture_events

from custom_components.gaze.const import CONF_SAVE_IMAGES, EVENT_GAZE
from custom_components.gaze.jobs import JobEvent
from custom_components.gaze.payloads import JOB_FIELDS, event_payload, job_payload
from custom_components.gaze.request import MAX_TEXT
from testing.gaze_server import GazeServer

from .common import PRESET, act, made, make_image, press
from .conftest import SetUp
from .jobs.common import job

EXTRA = {"type", "config_entry_id", "device_id"}
LIMIT = 16 * 2**10


@pytest.mark.usefixtures("entry")
async def test_event_and_response_have_job_fields(hass: HomeAssistant, server: GazeServer) -> None:
    events = async_capture_events(hass, EVENT_GAZE)
    job = await made(hass, server)

    assert set(job) == JOB_FIELDS
    assert {frozenset(event.data) for event in events} == {JOB_FIELDS | EXTRA}
    assert {name: events[-1].data[name] for name in job} == job
    assert (job["recipe"], job["recipe_name"], job["title"]) == (None, None, None)


@pytest.mark.usefixtures("entry")
@pytest.mark.parametrize("character", ["x", "Ж", "\n", "\x01"])
async def test_event_is_truncated_and_response_is_complete(
    hass: HomeAssistant, server: GazeServer, character: str
) -> None:
    events = async_capture_events(hass, EVENT_GAZE)
    server.put_preset("long", "n" * 1000)
    await press(hass, "button.gaze_refresh_presets")
    text = character * MAX_TEXT
    texts = dict.fromkeys(("extra_positive", "extra_negative", "tag", "checkpoint"), text)

    answer = await act(hass, "generate", preset="long", **texts)

    assert len(json_bytes(events[0].data)) < LIMIT
    assert events[0].data["extra_positive"][:200] == character * 200
    assert {name: answer["jobs"][0][name] for name in texts} == texts
    state = hass.states.get("event.gaze_generation")
    assert state is not None
    assert len(json_bytes(state.attributes)) < LIMIT


@pytest.mark.usefixtures("entry")
async def test_event_with_short_texts_is_complete(hass: HomeAssistant) -> None:
    events = async_capture_events(hass, EVENT_GAZE)

    await act(hass, "generate", preset=PRESET, extra_positive="x" * 5000, tag="y" * 500)

    assert events[0].data["extra_positive"] == "x" * 5000
    assert events[0].data["tag"] == "y" * 500


async def test_file_path_names_saved_image(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, media_dir: Path
) -> None:
    events = async_capture_events(hass, EVENT_GAZE)
    job_id = await make_image(hass, server, PRESET)

    [file] = media_dir.rglob("*.png")
    [listed] = (await act(hass, "list_images"))["images"]
    [job] = (await act(hass, "list_jobs"))["jobs"]
    assert events[-1].data["file_path"] == listed["file_path"] == job["file_path"] == str(file)
    assert events[0].data["file_path"] is None

    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    [job] = (await act(hass, "list_jobs"))["jobs"]
    assert job["file_path"] == str(file)

    await act(hass, "delete_images", job_id=job_id)
    [job] = (await act(hass, "list_jobs"))["jobs"]
    assert job["file_path"] is None


async def test_file_path_is_none_if_images_are_not_saved(
    hass: HomeAssistant,
    server: GazeServer,
    config_entry: MockConfigEntry,
    setup_integration: SetUp,
) -> None:
    config_entry.add_to_hass(hass)
    hass.config_entries.async_update_entry(config_entry, options={CONF_SAVE_IMAGES: False})
    await setup_integration(config_entry)
    events = async_capture_events(hass, EVENT_GAZE)

    await make_image(hass, server, PRESET)

    assert events[-1].data["type"] == "finished"
    assert events[-1].data["file_path"] is None


@pytest.mark.usefixtures("entry")
async def test_long_preset_name_is_bounded(hass: HomeAssistant, server: GazeServer) -> None:
    server.put_preset("long", "n" * 1000)
    await press(hass, "button.gaze_refresh_presets")
    events = async_capture_events(hass, EVENT_GAZE)
    await make_image(hass, server, "long")

    [image] = (await act(hass, "list_images"))["images"]
    presets = (await act(hass, "list_presets"))["presets"]
    names = [image["preset_name"], events[-1].data["preset_name"]]
    names += [preset["name"] for preset in presets if preset["slug"] == "long"]

    assert all(len(name) <= 150 and name.startswith("nnn") for name in names)


async def test_payload_of_removed_server_names_no_entity_or_device(hass: HomeAssistant) -> None:
    payload = job_payload(hass, "removed", job("a"))
    event = event_payload(hass, "removed", JobEvent.FINISHED, payload)

    assert (event["entity_id"], event["device_id"]) == (None, None)
