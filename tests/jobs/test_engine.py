"""The life of jobs, with a real server on a loopback socket and time that jumps."""

import asyncio
from datetime import timedelta
from email.utils import format_datetime
import json
from pathlib import Path
import sqlite3
from types import SimpleNamespace
from typing import Any

from homeassistant.config_entries import SOURCE_REAUTH
from homeassistant.const import CONF_API_KEY
from homeassistant.core import Event, HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.gaze.const import DOMAIN, EVENT_GAZE
from custom_components.gaze.gallery import Gallery, GalleryError, Image, Selection
from custom_components.gaze.jobs import Job
from testing.faults import Fault
from testing.gaze_server import GazeServer

from ..common import PRESET
from ..conftest import SetUp
from .common import coordinator, ended, entry_for, generate, open_ids, reached, store_path, types


async def save_image(hass: HomeAssistant, server: GazeServer) -> None:
    """Save an image, so that the gallery knows its disk."""
    answer = await generate(hass)
    await server.finish()
    await ended(hass, answer)


async def finish_without_disk(
    hass: HomeAssistant, server: GazeServer, media_dir: Path
) -> tuple[Path, dict[str, Any]]:
    """Finish an image while the disk is away. Return where the disk is, and the response."""
    await save_image(hass, server)
    away = media_dir.rename(media_dir.with_name("away"))
    answer = await generate(hass)
    await server.finish()
    return away, answer


async def test_twenty_images_need_few_requests(
    hass: HomeAssistant, quick_server: GazeServer, setup_integration: SetUp
) -> None:
    await setup_integration(entry_for(quick_server))
    quick_server.reset_counts()

    answer = await generate(hass, count=20, wait=True, timeout={"hours": 1})

    assert answer["complete"]
    assert {job["status"] for job in answer["jobs"]} == {"done"}
    assert quick_server.requests["generate"] == 1
    assert quick_server.requests["image"] == 20
    assert quick_server.requests["job"] <= 6 * 20  # the exact figures: test_pacing.py


async def test_image_of_unknown_duration_needs_few_requests(
    hass: HomeAssistant, socket_enabled: None, setup_integration: SetUp
) -> None:
    async with GazeServer(duration=30.0, jitter=0.0, seed=1, size=(64, 96)) as server:
        await setup_integration(entry_for(server))
        server.reset_counts()

        answer = await generate(hass, wait=True)

        assert answer["complete"]
        assert sum(server.requests.values()) <= 33
        await hass.config_entries.async_unload(
            hass.config_entries.async_loaded_entries(DOMAIN)[0].entry_id
        )


async def test_idle_server_is_polled_for_presets_only(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    server.reset_counts()

    await asyncio.sleep(3600)

    assert sum(server.requests.values()) == server.requests["presets"]
    assert 11 <= server.requests["presets"] <= 12


async def test_events_of_job_are_fired_in_order(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, events: list[dict[str, Any]]
) -> None:
    answer = await generate(hass, tag="mine")
    job_id = answer["jobs"][0]["job_id"]
    queued_with_the_answer = types(events, job_id)
    server.begin()
    await reached(lambda: len(events) == 2)
    await server.finish()
    job = (await ended(hass, answer))[0]

    assert queued_with_the_answer == ["queued"]
    assert types(events, job_id) == ["queued", "started", "finished"]
    assert job["status"] == "done"
    assert job["seed"] == str(server.job(job_id).seed)
    assert {event["tag"] for event in events} == {"mine"}
    assert events[-1] | {"type": "", "config_entry_id": "", "device_id": ""} == job | {
        "type": "",
        "config_entry_id": "",
        "device_id": "",
    }


async def test_image_is_saved_and_shown_when_finished_is_fired(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, media_dir: Path
) -> None:
    shown: list[tuple[str, int]] = []

    @callback
    def look(event: Event) -> None:
        if event.data["type"] == "finished":
            state = hass.states.get("image.gaze_latest_image")
            assert state is not None
            shown.append((state.state, len(list(media_dir.rglob("*.png")))))

    hass.bus.async_listen(EVENT_GAZE, look)
    answer = await generate(hass)
    await server.finish()
    job = (await ended(hass, answer))[0]

    files = list(media_dir.rglob("*.png"))
    assert shown == [(job["finished_at"], 1)]
    assert files[0].read_bytes() == server.picture(job["job_id"])


async def test_waiting_returns_when_all_jobs_of_a_batch_have_ended(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, events: list[dict[str, Any]]
) -> None:
    waiting = hass.async_create_task(generate(hass, count=3, wait=True, timeout={"hours": 1}))
    await reached(lambda: len(server.jobs) == 3)
    await server.finish()
    server.fail(error="ComfyUI: out of memory")
    await reached(lambda: len([e for e in events if e["type"] != "queued"]) >= 2)
    early = waiting.done()
    await server.finish()
    answer = await waiting

    assert not early
    assert answer["complete"]
    assert [job["status"] for job in answer["jobs"]] == ["done", "failed", "done"]
    assert [job["index"] for job in answer["jobs"]] == [1, 2, 3]
    assert answer["jobs"][1]["reason"] == "server"
    assert answer["jobs"][1]["error"] == "ComfyUI: out of memory"


async def test_wait_that_times_out_returns_current_jobs(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    answer = await generate(hass, wait=True, timeout={"seconds": 30})

    assert not answer["complete"]
    assert answer["jobs"][0]["status"] == "queued"


async def test_wait_continues_across_reload(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    waiting = hass.async_create_task(generate(hass, wait=True, timeout={"hours": 1}))
    await reached(lambda: len(server.jobs) == 1)
    await hass.config_entries.async_reload(entry.entry_id)
    await server.finish()
    answer = await waiting

    assert answer["complete"]
    assert answer["jobs"][0]["status"] == "done"


async def test_jobs_of_a_restarted_server_are_lost(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, events: list[dict[str, Any]]
) -> None:
    answer = await generate(hass, count=3)
    server.begin()
    server.restart()
    jobs = await ended(hass, answer)

    assert [job["reason"] for job in jobs] == ["lost"] * 3
    assert [event["type"] for event in events] == ["queued"] * 3 + ["failed"] * 3


async def test_cleared_queue_leaves_processing_job(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    answer = await generate(hass, count=2)
    server.begin()
    server.clear_queue()
    await server.finish()
    jobs = await ended(hass, answer)

    assert [job["reason"] for job in jobs] == [None, "lost"]


async def test_image_found_by_sweep_does_not_wait_for_its_turn(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    answer = await generate(hass, count=2)
    last = answer["jobs"][1]["job_id"]
    await server.finish(last)

    await reached(lambda: last not in open_ids(entry), every=5)

    assert server.jobs[0].status == "pending"


async def test_done_without_an_image_fails_the_job(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    server.faults.on(Fault.NO_IMAGE)
    answer = await generate(hass)
    await server.finish()
    job = (await ended(hass, answer))[0]

    assert (job["status"], job["reason"]) == ("failed", "no_image")


async def test_job_waits_for_the_result_when_it_is_done(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    server.faults.on(Fault.NO_IMAGE, times=3)
    answer = await generate(hass)
    await server.finish()
    job = (await ended(hass, answer))[0]

    assert job["status"] == "done"


@pytest.mark.parametrize(
    "fault",
    [
        Fault.NOT_AN_IMAGE,
        Fault.TRUNCATED,
        Fault.EMPTY_IMAGE,
        Fault.BOMB_IMAGE,
        Fault.ZIP_BOMB,
        Fault.OVERSIZED_IMAGE,
        Fault.OTHER_ORIGIN,
        Fault.REDIRECT,
        Fault.IMAGE_DELETED,
        Fault.SERVER_ERROR,
    ],
)
async def test_job_fails_when_its_image_cannot_be_downloaded(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    media_dir: Path,
    fault: Fault,
) -> None:
    if fault is Fault.OTHER_ORIGIN:
        server.faults.on(fault)
    else:
        server.faults.on(fault, "image")
    answer = await generate(hass)
    await server.finish()
    job = (await ended(hass, answer))[0]

    assert (job["status"], job["reason"]) == ("failed", "download")
    assert job["error"]
    assert not [path for path in media_dir.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "fault", [Fault.NOT_AN_IMAGE, Fault.TRUNCATED, Fault.IMAGE_DELETED, Fault.SERVER_ERROR]
)
async def test_download_that_fails_at_first_is_retried(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, fault: Fault
) -> None:
    server.faults.on(fault, "image", times=3)
    answer = await generate(hass)
    await server.finish()
    job = (await ended(hass, answer))[0]

    assert job["status"] == "done"
    assert server.requests["image"] == 4


async def test_image_is_downloaded_when_network_returns_after_an_hour(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    server.faults.on(Fault.IMAGE_DELETED, "image", times=1)
    answer = await generate(hass)
    await server.finish()
    await reached(lambda: server.requests["image"] == 1)
    server.set_online(False)
    await asyncio.sleep(3600)
    server.set_online(True)
    job = (await ended(hass, answer))[0]

    assert job["status"] == "done"


async def test_jobs_outlive_an_outage_of_the_network(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, events: list[dict[str, Any]]
) -> None:
    answer = await generate(hass, count=2)
    server.set_online(False)
    await asyncio.sleep(3600)
    connectivity = hass.states.get("binary_sensor.gaze_connectivity")
    server.set_online(True)
    await server.finish()
    await server.finish()
    jobs = await ended(hass, answer)

    assert connectivity is not None
    assert connectivity.state == "off"
    assert [job["status"] for job in jobs] == ["done", "done"]
    assert coordinator(entry).last_update_success


async def test_server_that_is_off_is_polled_at_least_once_a_minute(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    server.faults.on(Fault.BUSY, "job", value=503)
    await generate(hass)
    await asyncio.sleep(600)
    server.reset_counts()

    await asyncio.sleep(600)

    assert 9 <= server.requests["job"] <= 11


async def test_retry_after_of_server_is_respected(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    server.faults.on(Fault.BUSY, "job", value=429)
    server.faults.on(Fault.RETRY_AFTER, value=200)
    await generate(hass)
    await reached(lambda: server.requests["job"] == 1)

    await asyncio.sleep(190)
    within = server.requests["job"]
    await asyncio.sleep(20)

    assert within == 1
    assert server.requests["job"] == 2


@pytest.mark.parametrize("seconds", [0, -30])
async def test_presets_are_listed_once_a_minute_when_server_requests_no_wait(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, seconds: int
) -> None:
    until = format_datetime(dt_util.utcnow() + timedelta(seconds=seconds), usegmt=True)
    server.faults.on(Fault.BUSY, "presets", value=503)
    server.faults.on(Fault.RETRY_AFTER, value=until if seconds else 0)
    await coordinator(entry).async_refresh()
    server.reset_counts()

    await asyncio.sleep(590)

    assert 8 <= server.requests["presets"] <= 10


@pytest.mark.parametrize("endpoint", ["presets", "job"])
async def test_long_wait_ends_when_server_works_again(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, endpoint: str
) -> None:
    server.faults.on(Fault.BUSY, endpoint, value=503)
    server.faults.on(Fault.RETRY_AFTER, value=3600)
    earlier = await generate(hass)
    await coordinator(entry).async_refresh()
    await reached(lambda: server.requests[endpoint] > 0)
    await asyncio.sleep(20)
    server.faults.clear()
    await server.finish()

    await asyncio.sleep(310)
    connectivity = hass.states.get("binary_sensor.gaze_connectivity")

    assert (await ended(hass, earlier))[0]["status"] == "done"
    assert not open_ids(entry)
    assert connectivity is not None
    assert connectivity.state == "on"


async def test_long_wait_ends_when_a_request_is_accepted(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    server.faults.on(Fault.BUSY, "job", value=503)
    server.faults.on(Fault.RETRY_AFTER, value=3600)
    await generate(hass)
    await reached(lambda: server.requests["job"] > 0)
    server.faults.clear()

    await generate(hass)
    for _ in range(2):
        await server.finish()
    await asyncio.sleep(60)

    assert open_ids(entry) == []


async def test_image_is_requested_again_long_before_requested_wait_ends(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    server.faults.on(Fault.BUSY, "image", value=429)
    server.faults.on(Fault.RETRY_AFTER, value=3600)
    await generate(hass)
    await server.finish()
    await reached(lambda: server.requests["image"] > 0)
    server.faults.clear()

    await asyncio.sleep(310)

    assert open_ids(entry) == []


async def test_image_with_too_many_pixels_is_downloaded_once(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    server.faults.on(Fault.BOMB_IMAGE, "image")
    answer = await generate(hass)
    await server.finish()
    job = (await ended(hass, answer))[0]

    assert (job["reason"], job["error"]) == ("download", "it has too many pixels")
    assert server.requests["image"] == 1


@pytest.mark.parametrize("result", ["/a.png", [], {"image_url": 7}])
async def test_failed_job_with_odd_result_ends_with_reason_of_server(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, result: Any
) -> None:
    fields = {"status": "failed", "error": "Out of memory", "result": result}
    server.faults.on(Fault.SET_FIELDS, "job", value=fields)

    job = (await ended(hass, await generate(hass)))[0]

    assert (job["reason"], job["error"]) == ("server", "Out of memory")


async def test_job_with_garbage_responses_is_polled_rarely(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    server.faults.on(Fault.GARBAGE_JSON, "job")
    await generate(hass)

    await asyncio.sleep(1800)

    assert 25 <= server.requests["job"] <= 40
    assert len(coordinator(entry).engine.open_jobs) == 1


async def test_job_that_is_open_for_too_long_is_given_up(
    hass: HomeAssistant,
    server: GazeServer,
    config_entry: MockConfigEntry,
    setup_integration: SetUp,
    events: list[dict[str, Any]],
) -> None:
    await setup_integration(config_entry)
    answer = await generate(hass)
    job_id = answer["jobs"][0]["job_id"]
    await hass.config_entries.async_unload(config_entry.entry_id)
    change_record(hass, config_entry, job_id, tracked_for=13 * 3600.0)
    server.faults.on(Fault.GARBAGE_JSON, "job")

    await hass.config_entries.async_setup(config_entry.entry_id)
    await reached(lambda: len(events) == 2)

    assert events[-1]["reason"] == "gave_up"
    assert types(events, job_id) == ["queued", "failed"]


async def test_unknown_statuses_mean_still_open(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, events: list[dict[str, Any]]
) -> None:
    server.faults.on(Fault.UNKNOWN_STATUS)
    answer = await generate(hass)
    server.begin()
    await asyncio.sleep(60)
    still_open = len(coordinator(entry).engine.open_jobs)
    await server.finish()
    job = (await ended(hass, answer))[0]

    assert still_open == 1
    assert job["status"] == "done"


async def test_started_job_with_unknown_status_is_still_processing(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, events: list[dict[str, Any]]
) -> None:
    answer = await generate(hass)
    server.begin()
    await reached(lambda: len(events) == 2)
    server.faults.on(Fault.UNKNOWN_STATUS, value="upscaling")
    await asyncio.sleep(60)
    status = coordinator(entry).engine.open_jobs[0].status
    await server.finish()
    jobs = await ended(hass, answer)

    assert status == "processing"
    assert types(events, jobs[0]["job_id"]) == ["queued", "started", "finished"]


async def test_started_job_that_returns_to_queue_fires_one_started_event(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, events: list[dict[str, Any]]
) -> None:
    answer = await generate(hass)
    server.begin()
    await reached(lambda: len(events) == 2)
    with server.faults.on(Fault.SET_FIELDS, "job", value={"status": "pending"}):
        await reached(lambda: coordinator(entry).engine.open_jobs[0].status == "queued")
    await reached(lambda: coordinator(entry).engine.open_jobs[0].status == "processing")
    await server.finish()
    jobs = await ended(hass, answer)

    assert types(events, jobs[0]["job_id"]) == ["queued", "started", "finished"]


async def test_request_fails_when_server_repeats_id_of_earlier_job(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, events: list[dict[str, Any]]
) -> None:
    answer = await generate(hass)
    job_id = answer["jobs"][0]["job_id"]

    with (
        server.faults.on(Fault.SET_FIELDS, "generate", value={"job_id": job_id}),
        pytest.raises(HomeAssistantError) as raised,
    ):
        await generate(hass)
    await server.finish(job_id)
    jobs = await ended(hass, answer)

    assert raised.value.translation_key == "unexpected_response"
    assert jobs[0]["status"] == "done"
    assert types(events, job_id) == ["queued", "finished"]


def _reset_server(monkeypatch: pytest.MonkeyPatch, server: GazeServer, job_id: str) -> None:
    """Reset the database of the server, whose next jobs get an ID that it used before."""
    server.restart()
    monkeypatch.setattr("testing.jobs.uuid", SimpleNamespace(uuid4=lambda: job_id))


async def test_image_stays_when_server_uses_its_id_again(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    events: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer = await generate(hass, seed="1")
    await server.finish()
    [earlier] = await ended(hass, answer)
    job_id = earlier["job_id"]
    gallery = coordinator(entry).gallery
    await gallery.async_mark([job_id], favorite=True)
    _reset_server(monkeypatch, server, job_id)

    answer = await generate(hass, seed="2")
    await server.finish()
    [job] = await ended(hass, answer)

    newest, other = await gallery.async_select(Selection())
    assert gallery.newest() == newest
    assert (newest.job_id, newest.seed, newest.favorite) == (job_id, "2", False)
    assert (other.seed, other.favorite) == ("1", True)
    assert Path(earlier["file_path"]).exists()
    assert await gallery.async_read(other) != await gallery.async_read(newest)
    assert job["file_path"] == str(gallery.path_of(newest))
    assert types(events, job_id) == ["queued", "finished"] * 2
    assert [known.seed for known in coordinator(entry).engine.jobs] == ["2"]


async def test_image_of_earlier_job_does_not_end_job_with_its_id_at_start(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer = await generate(hass, seed="1")
    await server.finish()
    [earlier] = await ended(hass, answer)
    _reset_server(monkeypatch, server, earlier["job_id"])
    answer = await generate(hass, seed="2")

    await hass.config_entries.async_reload(entry.entry_id)
    assert open_ids(entry) == [earlier["job_id"]]
    await server.finish()
    await ended(hass, answer)

    images = await coordinator(entry).gallery.async_select(Selection())
    assert [image.seed for image in images] == ["2", "1"]


async def test_job_goes_on_when_index_cannot_be_read_at_start(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fail(_gallery: Gallery, _job_id: str) -> Image:
        raise GalleryError("the list of images cannot be read")

    answer = await generate(hass)
    await hass.config_entries.async_unload(entry.entry_id)
    with monkeypatch.context() as patched:
        patched.setattr(Gallery, "async_get", fail)
        await hass.config_entries.async_setup(entry.entry_id)
        await reached(lambda: server.requests["job"] >= 2)
    await server.finish()

    assert (await ended(hass, answer))[0]["status"] == "done"


async def test_jobs_wait_for_a_new_key(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, events: list[dict[str, Any]]
) -> None:
    answer = await generate(hass)
    new_key = server.regenerate_key()
    await server.finish()
    await reached(lambda: bool(hass.config_entries.flow.async_progress_by_handler(DOMAIN)))
    flow = hass.config_entries.flow.async_progress_by_handler(DOMAIN)[0]
    asked = server.requests["job"]
    await asyncio.sleep(240)
    asked_meanwhile = server.requests["job"] - asked
    await hass.config_entries.flow.async_configure(flow["flow_id"], {CONF_API_KEY: new_key})
    await hass.async_block_till_done()
    job = (await ended(hass, answer))[0]

    assert flow["context"]["source"] == SOURCE_REAUTH
    assert 1 <= asked_meanwhile <= 8
    assert job["status"] == "done"
    assert types(events, job["job_id"]) == ["queued", "finished"]


async def test_key_that_works_again_is_not_requested(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    answer = await generate(hass)
    key = server.api_key
    server.regenerate_key("another")
    await reached(lambda: bool(hass.config_entries.flow.async_progress_by_handler(DOMAIN)))
    server.regenerate_key(key)
    await server.finish()
    job = (await ended(hass, answer))[0]

    assert job["status"] == "done"


async def test_open_jobs_go_on_after_a_restart(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, events: list[dict[str, Any]]
) -> None:
    answer = await generate(hass, count=3)
    await hass.config_entries.async_unload(entry.entry_id)
    await server.finish()
    await server.finish()
    server.begin()
    await hass.config_entries.async_setup(entry.entry_id)
    await server.finish()
    jobs = await ended(hass, answer)

    assert [job["status"] for job in jobs] == ["done"] * 3
    assert (
        sorted(event["type"] for event in events if event["type"] != "started")
        == ["finished"] * 3 + ["queued"] * 3
    )


async def test_finished_image_is_downloaded_after_restart_when_server_lost_job(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    server.faults.on(Fault.IMAGE_DELETED, "image", times=1)
    answer = await generate(hass)
    await server.finish()
    await reached(lambda: server.requests["image"] == 1)
    await hass.config_entries.async_unload(entry.entry_id)
    server.prune()
    await hass.config_entries.async_setup(entry.entry_id)
    job = (await ended(hass, answer))[0]

    assert job["status"] == "done"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"told_queued": False}, ["queued"]),
        ({"status": "failed", "reason": "lost", "told_end": False}, ["failed"]),
        ({"status": "done", "told_end": False}, ["finished"]),
    ],
)
async def test_event_lost_in_crash_is_fired_at_next_start(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    events: list[dict[str, Any]],
    changes: dict[str, Any],
    expected: list[str],
) -> None:
    answer = await generate(hass)
    job_id = answer["jobs"][0]["job_id"]
    await hass.config_entries.async_unload(entry.entry_id)
    change_record(hass, entry, job_id, **changes)
    events.clear()

    await hass.config_entries.async_setup(entry.entry_id)
    await reached(lambda: len(events) >= len(expected))
    await hass.config_entries.async_reload(entry.entry_id)
    await asyncio.sleep(60)

    assert types(events, job_id) == expected


async def test_learned_durations_outlive_a_restart(
    hass: HomeAssistant, quick_server: GazeServer, setup_integration: SetUp
) -> None:
    entry = entry_for(quick_server)
    await setup_integration(entry)
    await generate(hass, count=3, wait=True, timeout={"hours": 1})
    await hass.config_entries.async_reload(entry.entry_id)

    answer = await generate(hass)
    expected = coordinator(entry).engine.seconds_until_free()
    await ended(hass, answer)

    assert expected == pytest.approx(8.0, abs=1.5)


async def test_damaged_store_is_set_aside(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await hass.config_entries.async_unload(entry.entry_id)
    store = store_path(hass, entry)
    store.write_bytes(b"This is no database" * 1000)

    await hass.config_entries.async_setup(entry.entry_id)
    answer = await generate(hass)
    await server.finish()
    job = (await ended(hass, answer))[0]

    assert job["status"] == "done"
    assert "is damaged" in caplog.text
    assert len(list(store.parent.glob(f"{store.name}.damaged-*"))) == 1


async def test_unreadable_record_does_not_stop_others(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    caplog: pytest.LogCaptureFixture,
) -> None:
    answer = await generate(hass, count=2)
    await hass.config_entries.async_unload(entry.entry_id)
    with sqlite3.connect(store_path(hass, entry)) as connection:
        connection.execute(
            "UPDATE job SET record = '{}' WHERE job_id = ?", (answer["jobs"][0]["job_id"],)
        )
    connection.close()

    await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()

    assert [job.job_id for job in coordinator(entry).engine.open_jobs] == [
        answer["jobs"][1]["job_id"]
    ]
    assert "unreadable record" in caplog.text


async def test_job_is_not_lost_when_disk_refuses_records(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    caplog: pytest.LogCaptureFixture,
) -> None:
    lock = sqlite3.connect(store_path(hass, entry))
    lock.execute("DROP TABLE job")
    lock.execute("DROP TABLE duration")
    lock.commit()
    lock.close()
    answer = await generate(hass)
    await server.finish()
    job = (await ended(hass, answer))[0]

    assert job["status"] == "done"
    assert caplog.text.count("Failed to save jobs") == 1


async def test_download_waits_while_the_disk_refuses_the_image(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, media_dir: Path
) -> None:
    media_dir.write_text("A file where the folder should be")
    answer = await generate(hass)
    await server.finish()
    await asyncio.sleep(1200)
    still_open = len(open_ids(entry))
    reason = coordinator(entry).gallery.unavailable_reason
    media_dir.unlink()
    job = (await ended(hass, answer))[0]

    assert (still_open, reason) == (1, "unwritable")
    assert job["status"] == "done"
    assert coordinator(entry).gallery.unavailable_reason is None


async def test_download_waits_while_the_disk_is_away(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, media_dir: Path
) -> None:
    away, answer = await finish_without_disk(hass, server, media_dir)
    await asyncio.sleep(1200)
    still_open = len(open_ids(entry))
    written = media_dir.exists()
    away.rename(media_dir)
    job = (await ended(hass, answer))[0]

    assert still_open == 1
    assert not written
    assert job["status"] == "done"


async def test_image_is_not_given_up_while_the_disk_is_away(
    hass: HomeAssistant, server: GazeServer, setup_integration: SetUp, media_dir: Path
) -> None:
    entry = entry_for(server, give_up_after=1)
    await setup_integration(entry)
    away, answer = await finish_without_disk(hass, server, media_dir)
    await asyncio.sleep(3 * 3600)
    await hass.config_entries.async_reload(entry.entry_id)
    await asyncio.sleep(3 * 3600)
    still_open = len(open_ids(entry))
    away.rename(media_dir)
    job = (await ended(hass, answer))[0]

    assert still_open == 1
    assert job["status"] == "done"


async def test_image_is_given_up_when_time_with_disk_is_over(
    hass: HomeAssistant, server: GazeServer, setup_integration: SetUp, media_dir: Path
) -> None:
    entry = entry_for(server, give_up_after=1)
    await setup_integration(entry)
    await save_image(hass, server)
    away = media_dir.rename(media_dir.with_name("away"))
    server.faults.on(Fault.BUSY, "image", value=503)
    answer = await generate(hass)
    await server.finish()
    await asyncio.sleep(1200)
    away.rename(media_dir)
    still_open = len(open_ids(entry))
    job = (await ended(hass, answer))[0]

    assert still_open == 1
    assert job["reason"] == "gave_up"


async def test_image_is_downloaded_once_while_the_disk_is_away(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, media_dir: Path
) -> None:
    away, answer = await finish_without_disk(hass, server, media_dir)
    server.reset_counts()
    await asyncio.sleep(1200)
    requests = server.requests["image"]
    await hass.config_entries.async_reload(entry.entry_id)
    server.delete_image(answer["jobs"][0]["job_id"])
    await asyncio.sleep(1200)
    away.rename(media_dir)
    job = (await ended(hass, answer))[0]

    assert requests == 1
    assert server.requests["image"] == 1
    assert job["status"] == "done"
    held = Path(hass.config.cache_path(DOMAIN, entry.entry_id)) / "held"
    assert list(held.iterdir()) == []


async def test_image_is_downloaded_again_when_its_held_copy_is_damaged(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, media_dir: Path
) -> None:
    away, answer = await finish_without_disk(hass, server, media_dir)
    await asyncio.sleep(600)
    held = Path(hass.config.cache_path(DOMAIN, entry.entry_id)) / "held"
    for file in held.iterdir():
        file.write_bytes(file.read_bytes()[:100])
    away.rename(media_dir)
    job = (await ended(hass, answer))[0]

    assert job["status"] == "done"


async def test_held_image_of_a_stopped_job_is_removed_at_start(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, media_dir: Path
) -> None:
    _, answer = await finish_without_disk(hass, server, media_dir)
    held = Path(hass.config.cache_path(DOMAIN, entry.entry_id)) / "held"
    await reached(lambda: held.exists() and any(held.iterdir()))
    fields = {"job_id": answer["jobs"][0]["job_id"]}
    await hass.services.async_call(DOMAIN, "stop_tracking", fields, blocking=True)

    await hass.config_entries.async_reload(entry.entry_id)

    await reached(lambda: not any(held.iterdir()))


async def test_request_continues_when_its_caller_is_cancelled(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, events: list[dict[str, Any]]
) -> None:
    server.faults.on(Fault.LATENCY, "generate", value=5.0)
    caller = hass.async_create_task(generate(hass))
    await reached(lambda: server.requests["generate"] == 1)

    caller.cancel()
    await reached(lambda: len(events) == 1)

    assert [event["type"] for event in events] == ["queued"]
    assert len(server.jobs) == 1


async def test_open_request_survives_unload_of_server(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, events: list[dict[str, Any]]
) -> None:
    server.faults.on(Fault.LATENCY, "generate", value=2.0)
    caller = hass.async_create_task(generate(hass))
    await reached(lambda: server.requests["generate"] == 1)

    await hass.config_entries.async_unload(entry.entry_id)
    answer = await caller
    await hass.config_entries.async_setup(entry.entry_id)
    await server.finish()
    job = (await ended(hass, answer))[0]

    assert job["status"] == "done"
    assert server.requests["generate"] == 1


async def test_request_that_timed_out_is_not_repeated(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    server.faults.on(Fault.HANG, "generate")

    with pytest.raises(HomeAssistantError) as caught:
        await generate(hass)
    assert caught.value.translation_key == "connection_failed"
    await asyncio.sleep(600)

    assert server.requests["generate"] == 1


async def test_stopping_to_track_ends_jobs_in_every_phase(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, events: list[dict[str, Any]]
) -> None:
    server.faults.on(Fault.IMAGE_DELETED, "image")
    answer = await generate(hass, count=3)
    await server.finish()
    server.begin()
    await reached(lambda: server.requests["image"] >= 1)

    await hass.services.async_call(DOMAIN, "stop_tracking", {"all": True}, blocking=True)
    jobs = await ended(hass, answer)
    await asyncio.sleep(600)

    assert [job["reason"] for job in jobs] == ["stopped"] * 3
    assert len([event for event in events if event["type"] == "failed"]) == 3
    assert coordinator(entry).engine.open_jobs == []


async def test_old_ended_jobs_are_forgotten(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("custom_components.gaze.jobs.engine.MAX_ENDED", 2)
    for _ in range(4):
        await generate(hass)
        server.fail()
        await reached(lambda: not coordinator(entry).engine.open_jobs)
    await reached(lambda: len(coordinator(entry).engine.jobs) == 2)

    kept: list[Job] = coordinator(entry).engine.jobs

    assert [job.job_id for job in kept] == [record.job_id for record in server.jobs[-2:]]
    await hass.config_entries.async_reload(entry.entry_id)
    assert coordinator(entry).engine.jobs == kept


async def test_automation_that_waits_for_its_event_gets_it(
    hass: HomeAssistant, socket_enabled: None, setup_integration: SetUp
) -> None:
    async with GazeServer(duration=0, seed=1, size=(64, 96)) as server:
        await setup_integration(entry_for(server))
        assert await async_setup_component(
            hass,
            "script",
            {
                "script": {
                    "paint": {
                        "sequence": [
                            {
                                "action": "gaze.generate",
                                "data": {"preset": PRESET},
                                "response_variable": "answer",
                            },
                            {
                                "wait_for_trigger": {
                                    "trigger": "event",
                                    "event_type": EVENT_GAZE,
                                    "event_data": {
                                        "job_id": "{{ answer.jobs[0].job_id }}",
                                        "type": "finished",
                                    },
                                },
                                "timeout": {"minutes": 5},
                            },
                            {
                                "stop": "done",
                                "response_variable": "wait",
                            },
                        ]
                    }
                }
            },
        )
        await hass.async_block_till_done()

        for _ in range(10):
            answer = await hass.services.async_call(
                "script", "paint", blocking=True, return_response=True
            )
            assert answer is not None
            assert answer["completed"]
        for entry in hass.config_entries.async_loaded_entries(DOMAIN):
            await hass.config_entries.async_unload(entry.entry_id)


def change_record(hass: HomeAssistant, entry: MockConfigEntry, job_id: str, **changes: Any) -> None:
    """Change what is kept of a job while nothing is running."""
    with sqlite3.connect(store_path(hass, entry)) as connection:
        (record,) = connection.execute(
            "SELECT record FROM job WHERE job_id = ?", (job_id,)
        ).fetchone()
        changed = Job.from_dict({**Job.from_dict(json.loads(record)).to_dict(), **changes})
        connection.execute(
            "UPDATE job SET record = ? WHERE job_id = ?", (json.dumps(changed.to_dict()), job_id)
        )
    connection.close()
