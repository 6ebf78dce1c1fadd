"""A problem with one job, one preset, or one image delays no other and ends no other."""

import asyncio
import logging
from pathlib import Path
from typing import Any

from homeassistant.core import HomeAssistant
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.gaze.api import GazeClient, Preset
from custom_components.gaze.api.models import JobReport
from custom_components.gaze.gallery import Gallery
from testing.faults import Fault
from testing.gaze_server import GazeServer

from ..common import PRESET, act
from .common import coordinator, ended, generate, open_ids, reached, types

DELAY = 60.0  # seconds by which one problem may delay others


@pytest.mark.parametrize(
    "fault", [Fault.SERVER_ERROR, Fault.GARBAGE_JSON, Fault.HANG, Fault.TRUNCATED]
)
async def test_job_with_malformed_status_delays_no_other(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, fault: Fault
) -> None:
    answer = await generate(hass, count=3)
    bad, *good = [job["job_id"] for job in answer["jobs"]]
    server.faults.on(fault, "job", job=bad)
    server.begin()
    await asyncio.sleep(600)
    for _ in range(3):
        await server.finish()
    finished_at = hass.loop.time()

    await reached(lambda: open_ids(entry) == [bad], every=1)

    assert hass.loop.time() - finished_at <= DELAY
    assert hass.states.get("binary_sensor.gaze_connectivity").state == "on"  # type: ignore[union-attr]
    assert good


@pytest.mark.parametrize("seconds", [0, 600])
async def test_many_jobs_with_hanging_status_delay_no_other(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, seconds: float
) -> None:
    answer = await generate(hass, count=7)
    *bad, good = [job["job_id"] for job in answer["jobs"]]
    for job_id in bad:
        server.faults.on(Fault.HANG, "job", job=job_id)
    server.begin()
    await asyncio.sleep(seconds)
    for _ in range(7):
        await server.finish()
    finished_at = hass.loop.time()

    await reached(lambda: good not in open_ids(entry), every=1)

    assert hass.loop.time() - finished_at <= DELAY


@pytest.mark.parametrize("fault", [Fault.SERVER_ERROR, Fault.HANG, Fault.IMAGE_DELETED])
async def test_bad_images_delay_no_other(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, fault: Fault
) -> None:
    answer = await generate(hass, count=7)
    *bad, good = [job["job_id"] for job in answer["jobs"]]
    for job_id in bad:
        server.faults.on(fault, image=job_id)
    for _ in range(7):
        await server.finish()
    finished_at = hass.loop.time()

    await reached(lambda: good not in open_ids(entry), every=1)

    assert hass.loop.time() - finished_at <= DELAY
    jobs = await ended(hass, answer)
    assert [job["reason"] for job in jobs] == ["download"] * 6 + [None]


async def test_proxy_pages_end_no_job(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    answer = await generate(hass, count=10)
    server.faults.on(Fault.PROXY_PAGE, value=404, seconds=600)

    await asyncio.sleep(660)
    still_open = len(open_ids(entry))
    for _ in range(10):
        await server.finish()
    jobs = await ended(hass, answer)

    assert still_open == 10
    assert {job["status"] for job in jobs} == {"done"}


async def test_finished_image_survives_half_hour_of_proxy_pages(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    server.faults.on(Fault.IMAGE_DELETED, "image", times=1)
    answer = await generate(hass)
    await server.finish()
    await reached(lambda: server.requests["image"] == 1)
    server.faults.on(Fault.PROXY_PAGE, value=502, seconds=1800)

    job = (await ended(hass, answer))[0]

    assert job["status"] == "done"


async def test_job_is_not_lost_while_presets_cannot_be_listed(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    await generate(hass)
    server.faults.on(Fault.SERVER_ERROR, "presets")
    server.faults.on(Fault.JOBS_404)
    await asyncio.sleep(600)
    still_open = len(open_ids(entry))
    server.faults.clear()
    await asyncio.sleep(120)

    assert still_open == 1
    assert len(open_ids(entry)) == 1


async def test_job_is_not_lost_after_one_passing_404(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    answer = await generate(hass)
    polled = server.requests["job"]
    server.faults.on(Fault.JOBS_404, times=1)
    await reached(lambda: server.requests["job"] > polled)
    await server.finish()

    assert (await ended(hass, answer))[0]["status"] == "done"


async def test_no_page_of_a_proxy_ends_a_job(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    answer = await generate(hass, count=2)
    await server.finish()
    for status in (200, 302, 401, 403, 404, 500, 502, 503):
        server.faults.on(Fault.PROXY_PAGE, value=status)
        await asyncio.sleep(70)
    reasons = {job.reason for job in coordinator(entry).engine.jobs}
    server.faults.clear()
    await server.finish()

    jobs = await ended(hass, answer)

    assert reasons == {None}
    assert {job["status"] for job in jobs} == {"done"}
    assert not hass.config_entries.flow.async_progress()


async def test_job_is_not_lost_when_second_poll_is_garbled(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    answer = await generate(hass)
    polled = server.requests["job"]
    server.faults.on(Fault.JOBS_404, times=1)
    server.faults.on(Fault.GARBAGE_JSON, "job", times=1)
    await reached(lambda: server.requests["job"] >= polled + 2)
    await server.finish()

    assert (await ended(hass, answer))[0]["status"] == "done"


async def test_job_is_open_while_server_hangs(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    answer = await generate(hass)
    with server.faults.on(Fault.HANG):
        await asyncio.sleep(1800)
        still_open = len(open_ids(entry))
    await server.finish()
    jobs = await ended(hass, answer)

    assert still_open == 1
    assert jobs[0]["status"] == "done"


async def test_job_is_not_lost_when_listing_raises_unexpected_error(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def crash(_client: GazeClient) -> list[Preset]:
        raise ZeroDivisionError("unforeseen")

    answer = await generate(hass)
    server.faults.on(Fault.JOBS_404)
    with monkeypatch.context() as patched:
        patched.setattr(GazeClient, "list_presets", crash)
        await asyncio.sleep(60)
    server.faults.clear()
    await server.finish()
    jobs = await ended(hass, answer)

    assert jobs[0]["status"] == "done"
    assert caplog.text.count("Unexpected error while listing presets") == 1


async def test_lost_jobs_share_one_confirmation(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    answer = await generate(hass, count=10)
    listed = server.requests["presets"]
    server.restart()

    jobs = await ended(hass, answer)

    assert {job["reason"] for job in jobs} == {"lost"}
    assert server.requests["presets"] - listed <= 3


@pytest.mark.parametrize(("kind", "name"), [("gif", "GIF"), ("avif", "AVIF"), ("mp4", "MP4")])
async def test_unsupported_format_fails_once_and_is_named(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, kind: str, name: str
) -> None:
    server.faults.on(Fault.IMAGE_KIND, value=kind)
    answer = await generate(hass)
    await server.finish()
    job = (await ended(hass, answer))[0]

    assert job["reason"] == "unsupported"
    assert name in job["error"]
    assert server.requests["image"] == 1


async def test_download_waits_while_proxy_responds_with_another_format(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    answer = await generate(hass)
    server.faults.on(Fault.IMAGE_KIND, seconds=1_000)
    server.faults.on(Fault.PROXY_PAGE, "presets", seconds=1_000)
    await server.finish()
    job = (await ended(hass, answer))[0]

    assert job["status"] == "done"


async def test_more_jobs_than_requested_are_all_tracked(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    server.faults.on(Fault.EXTRA_JOBS, value=2)
    answer = await generate(hass)
    for _ in range(3):
        await server.finish()
    jobs = await ended(hass, answer)

    assert [job["status"] for job in jobs] == ["done"] * 3


async def test_job_tracked_twice_at_once_fires_one_queued_event(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, events: list[dict[str, Any]]
) -> None:
    server.add_foreign_jobs(1)
    job_id = server.jobs[0].job_id
    server.faults.on(Fault.LATENCY, "job", value=2.0)

    answers = await asyncio.gather(
        *(act(hass, "track_job", job_id=job_id, preset=PRESET) for _ in range(2))
    )

    assert types(events, job_id) == ["queued"]
    assert answers[0]["batch_id"] == answers[1]["batch_id"]


async def test_finished_job_tracked_again_is_returned_without_events(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, events: list[dict[str, Any]]
) -> None:
    answer = await generate(hass)
    await server.finish()
    job = (await ended(hass, answer))[0]
    events.clear()

    again = await act(hass, "track_job", job_id=job["job_id"], preset=PRESET)

    assert again["jobs"] == [job]
    assert events == []


async def test_image_of_job_that_left_history_is_unchanged_when_job_is_tracked(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    events: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("custom_components.gaze.jobs.engine.MAX_ENDED", 1)
    for tag in ("first", "second"):
        answer = await generate(hass, count=1, extra_positive="rain", tag=tag)
        await server.finish()
        await ended(hass, answer)
    job_id = server.jobs[0].job_id
    image = await coordinator(entry).gallery.async_get(job_id)
    await hass.config_entries.async_reload(entry.entry_id)
    events.clear()

    again = await act(hass, "track_job", job_id=job_id, preset=PRESET, wait=True)

    assert (again["complete"], events, open_ids(entry)) == (True, [], [])
    [job] = again["jobs"]
    assert (job["job_id"], job["status"], job["tag"]) == (job_id, "done", "first")
    assert (job["extra_positive"], job["seed"]) == ("rain", str(server.jobs[0].picture.seed))
    assert Path(job["file_path"]).exists()
    assert image is not None
    assert await coordinator(entry).gallery.async_get(job_id) == image


async def test_unexpected_error_ends_only_its_job_and_is_logged_once(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    answer = await generate(hass, count=2)
    bad = answer["jobs"][0]["job_id"]
    request_job = GazeClient.get_job

    async def crash(client: GazeClient, job_id: str) -> JobReport:
        if job_id == bad:
            raise ZeroDivisionError("unforeseen")
        return await request_job(client, job_id)

    monkeypatch.setattr(GazeClient, "get_job", crash)
    await server.finish()
    await server.finish()
    jobs = await ended(hass, answer)

    assert [(job["status"], job["reason"]) for job in jobs] == [
        ("failed", "gave_up"),
        ("done", None),
    ]
    logged = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(logged) == 1
    assert logged[0].exc_info is not None


async def test_saving_is_retried_after_unexpected_error(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    add, crashes = Gallery.async_add, iter(range(3))

    async def crash(gallery: Gallery, *arguments: Any) -> Any:
        if next(crashes, None) is not None:
            raise ZeroDivisionError("unforeseen")
        return await add(gallery, *arguments)

    monkeypatch.setattr(Gallery, "async_add", crash)
    answer = await generate(hass)
    await server.finish()
    job = (await ended(hass, answer))[0]

    assert job["status"] == "done"
    assert caplog.text.count("Traceback") == 1
    assert coordinator(entry).engine.open_jobs == []
