"""Time: a wall clock that jumps neither ends nor delays a job, nor teaches wrong durations."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

from homeassistant.const import CONF_API_KEY
from homeassistant.core import HomeAssistant
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.gaze.const import DOMAIN
from custom_components.gaze.jobs import Job
from custom_components.gaze.jobs.clocks import Clocks
from testing.faults import Fault
from testing.gaze_server import GazeServer

from ..conftest import SetUp
from .common import (
    coordinator,
    ended,
    entry_for,
    generate,
    job as new_job,
    open_ids,
    reached,
    types,
)

QUARTER = 0.25  # hours
JUMPS = [timedelta(hours=13), timedelta(hours=-13)]


class Clock:
    """The wall clock of Home Assistant, which can jump."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Replace the wall clock."""
        self.offset = timedelta()
        real = dt_util.utcnow

        def now() -> datetime:
            return real() + self.offset

        monkeypatch.setattr(dt_util, "utcnow", now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the wall clock."""
    return Clock(monkeypatch)


def assert_in_order(job: dict[str, Any]) -> None:
    """Check that the times of a job never decrease."""
    times = [job["requested_at"], job["started_at"], job["finished_at"]]
    known = [datetime.fromisoformat(time) for time in times if time is not None]
    assert known == sorted(known)
    assert known[-1] - known[0] < timedelta(hours=1)


@pytest.mark.parametrize("jump", JUMPS)
async def test_clock_jump_neither_ends_nor_delays_a_job(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, clock: Clock, jump: timedelta
) -> None:
    answer = await generate(hass, count=2)
    server.begin()
    await reached(lambda: hass.states.get("sensor.gaze_status").state == "generating")  # type: ignore[union-attr]
    clock.offset = jump
    await asyncio.sleep(60)
    still_open = len(open_ids(entry))
    await server.finish()
    await server.finish()
    finished_at = hass.loop.time()
    jobs = await ended(hass, answer)

    assert still_open == 2
    assert [job["status"] for job in jobs] == ["done", "done"]
    assert hass.loop.time() - finished_at < 60
    for job in jobs:
        assert_in_order(job)
        assert (job["duration"] or 0) < 200
    assert all(
        high < 200 for _, seen in coordinator(entry).engine.durations.items() for _, high in seen
    )


@pytest.mark.parametrize("jump", JUMPS)
async def test_clock_jump_across_a_restart_neither_ends_nor_delays_a_job(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, clock: Clock, jump: timedelta
) -> None:
    answer = await generate(hass, count=2)
    server.begin()
    await reached(lambda: hass.states.get("sensor.gaze_status").state == "generating")  # type: ignore[union-attr]
    await hass.config_entries.async_unload(entry.entry_id)
    clock.offset = jump
    await hass.config_entries.async_setup(entry.entry_id)
    await asyncio.sleep(60)
    still_open = len(open_ids(entry))
    await server.finish()
    await server.finish()
    finished_at = hass.loop.time()
    jobs = await ended(hass, answer)

    assert still_open == 2
    assert [job["status"] for job in jobs] == ["done", "done"]
    assert hass.loop.time() - finished_at < 90
    for job in jobs:
        times = [job["requested_at"], job["started_at"] or job["requested_at"], job["finished_at"]]
        assert times == sorted(times)
        assert (job["duration"] or 0) < 200
    assert all(
        high < 200 for _, seen in coordinator(entry).engine.durations.items() for _, high in seen
    )


async def test_garbage_after_a_clock_jump_does_not_end_a_job(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, clock: Clock
) -> None:
    server.faults.on(Fault.GARBAGE_JSON, "job")
    await generate(hass)
    clock.offset = timedelta(hours=13)

    await asyncio.sleep(1800)

    assert len(open_ids(entry)) == 1


async def test_job_is_given_up_after_its_tracked_time_in_all_runs(
    hass: HomeAssistant,
    server: GazeServer,
    setup_integration: SetUp,
    events: list[dict[str, Any]],
) -> None:
    entry = entry_for(server, give_up_after=1)
    await setup_integration(entry)
    answer = await generate(hass)
    job_id = answer["jobs"][0]["job_id"]
    for _ in range(2):
        await asyncio.sleep(25 * 60)
        await hass.config_entries.async_unload(entry.entry_id)
        await asyncio.sleep(24 * 3600)  # this does not count
        await hass.config_entries.async_setup(entry.entry_id)
    await asyncio.sleep(5 * 60)
    open_after_55_minutes = open_ids(entry)

    await reached(lambda: not open_ids(entry), every=30)

    assert open_after_55_minutes == [job_id]
    assert types(events, job_id) == ["queued", "failed"]
    assert events[-1]["reason"] == "gave_up"


async def enter_key(hass: HomeAssistant, key: str) -> None:
    """Enter the new key."""
    [flow] = hass.config_entries.flow.async_progress_by_handler(DOMAIN)
    await hass.config_entries.flow.async_configure(flow["flow_id"], {CONF_API_KEY: key})
    await hass.async_block_till_done()


@pytest.mark.parametrize("renewed", ["a new key", "the same key"])
async def test_open_job_continues_after_key_was_rejected_for_longer_than_limit(
    hass: HomeAssistant, server: GazeServer, setup_integration: SetUp, renewed: str
) -> None:
    entry = entry_for(server, give_up_after=QUARTER)
    await setup_integration(entry)
    answer = await generate(hass)
    key = server.api_key
    await asyncio.sleep(5 * 60)
    server.regenerate_key("another")
    await asyncio.sleep(16 * 60)
    assert len(open_ids(entry)) == 1
    if renewed == "a new key":
        await enter_key(hass, "another")
    else:
        server.regenerate_key(key)
    polls = server.requests["job"]
    await reached(lambda: server.requests["job"] > polls + 3)
    assert len(open_ids(entry)) == 1
    await server.finish()
    job = (await ended(hass, answer))[0]

    assert job["status"] == "done"


async def test_job_is_given_up_when_server_is_away_after_it_rejected_key(
    hass: HomeAssistant, server: GazeServer, setup_integration: SetUp
) -> None:
    entry = entry_for(server, give_up_after=QUARTER)
    await setup_integration(entry)
    answer = await generate(hass)
    server.regenerate_key()
    await asyncio.sleep(16 * 60)
    server.set_online(False)
    await asyncio.sleep(10 * 60)
    still_open = len(open_ids(entry))
    job = (await ended(hass, answer))[0]

    assert still_open == 1
    assert job["reason"] == "gave_up"


async def test_download_continues_after_key_was_rejected_for_longer_than_limit(
    hass: HomeAssistant, server: GazeServer, setup_integration: SetUp
) -> None:
    entry = entry_for(server, give_up_after=QUARTER)
    await setup_integration(entry)
    answer = await generate(hass)
    server.faults.on(Fault.PROXY_PAGE, "image")
    await server.finish()
    await reached(lambda: server.requests["image"] > 0)
    new_key = server.regenerate_key()
    await asyncio.sleep(20 * 60)
    assert len(open_ids(entry)) == 1
    await enter_key(hass, new_key)
    server.faults.off(Fault.PROXY_PAGE)
    job = (await ended(hass, answer))[0]

    assert job["status"] == "done"


async def test_kill_loses_at_most_an_hour_of_tracked_time(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    await generate(hass)

    await asyncio.sleep(3 * 3600)

    assert coordinator(entry).engine.open_jobs[0].tracked_for >= 2 * 3600 - 120


def test_age_of_a_job_is_clamped_to_what_is_plausible() -> None:
    job = Job(
        job_id="job",
        batch_id="batch",
        index=1,
        count=1,
        preset="neon_city",
        preset_name="Neon city",
        requested_at=1_000_000.0,
        started_at=1_000_010.0,
        tracked_for=600.0,
    )
    clocks = Clocks()
    clocks.start(job, now=50.0, wall=1_000_000.0 - 13 * 3600)

    assert clocks.tracked_for(job, 60.0) == 610.0
    assert clocks.age(job, 60.0, 1_000_000.0 - 13 * 3600, limit=3600.0) == 610.0
    assert clocks.age(job, 60.0, 1_000_000.0 + 700.0, limit=3600.0) == 700.0
    assert clocks.age(job, 60.0, 1_000_000.0 + 13 * 3600, limit=3600.0) == 610.0 + 3600.0
    assert clocks.date(job, 60.0, 0.0) == 1_000_020.0


def test_paused_time_does_not_count() -> None:
    first = new_job("first", tracked_for=600.0)
    second = new_job("second")
    clocks = Clocks()
    clocks.start(first, now=50.0, wall=1_000.0)

    clocks.pause(60.0)
    clocks.pause(70.0)
    clocks.start(second, now=80.0, wall=1_000.0)
    paused = [clocks.tracked_for(job, 90.0) for job in (first, second)]
    clocks.resume(100.0)
    clocks.resume(110.0)

    assert paused == [610.0, 0.0]
    assert [clocks.tracked_for(job, 105.0) for job in (first, second)] == [615.0, 5.0]
    assert clocks.date(first, 105.0, 0.0) == 1_055.0


@pytest.mark.parametrize("jump", [timedelta(hours=-30), *JUMPS])
async def test_new_image_is_shown_after_any_jump_of_clock(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, clock: Clock, jump: timedelta
) -> None:
    gallery = coordinator(entry).gallery
    shown = []
    early = await generate(hass)  # tracked across the jump
    late = await generate(hass)
    await server.finish(late["jobs"][0]["job_id"])
    await ended(hass, late)
    clock.offset = jump
    for answer in (early, await generate(hass), await generate(hass)):
        job_id = answer["jobs"][0]["job_id"]
        await server.finish(job_id)
        await ended(hass, answer)
        newest = gallery.newest()
        shown.append((newest and newest.job_id, job_id))
    clock.offset = timedelta()
    last = await generate(hass)
    await server.finish()
    await ended(hass, last)
    newest = gallery.newest()
    shown.append((newest and newest.job_id, last["jobs"][0]["job_id"]))

    assert all(job_id == expected for job_id, expected in shown)


async def test_tracked_time_of_a_download_is_saved_every_hour(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    server.faults.on(Fault.RETRY_AFTER, value=2000)
    server.faults.on(Fault.BUSY, "image")
    await generate(hass)
    await server.finish()

    await asyncio.sleep(4100)

    [job] = coordinator(entry).engine.open_jobs
    assert job.source_url is not None
    assert job.tracked_for >= 3600
