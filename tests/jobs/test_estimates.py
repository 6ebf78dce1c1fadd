"""What the sensors and the cards show of the pacer's estimates, with time that jumps."""

from datetime import datetime, timedelta
from itertools import pairwise

from homeassistant.core import Event, EventStateChangedData, HomeAssistant, callback
from homeassistant.helpers.event import async_track_state_change_event
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.gaze.jobs import Job
from custom_components.gaze.jobs.durations import QUARTER
from testing.gaze_server import GazeServer

from ..common import state
from ..conftest import SetUp
from .common import coordinator, ended, entry_for, generate, reached

FINISH = "sensor.gaze_estimated_finish"


def learn(entry: MockConfigEntry, seconds: float) -> None:
    """Learn that images without options take so long."""
    engine = coordinator(entry).engine
    for _ in range(5):
        engine.durations.learn(("neon_city", "", ""), seconds, seconds)


async def test_last_duration_is_time_of_processing_without_queue(
    hass: HomeAssistant, quick_server: GazeServer, setup_integration: SetUp
) -> None:
    await setup_integration(entry_for(quick_server))
    before = state(hass, "last_duration")

    jobs = await ended(hass, await generate(hass, count=3))

    assert before == "unknown"
    # An image may end before the first poll after its start. Its duration is then unknown.
    assert state(hass, "last_duration") == str(jobs[-1]["duration"] or "unknown")
    known = [job for job in jobs if job["duration"] is not None]
    assert jobs[0] in known
    for job in known:
        assert 8.0 * 0.9 / QUARTER <= job["duration"] <= 8.0 * 1.1 * QUARTER
        times = [datetime.fromisoformat(job[name]) for name in ("started_at", "finished_at")]
        assert (times[1] - times[0]).total_seconds() == pytest.approx(job["duration"], abs=0.06)


async def test_duration_is_unknown_if_first_poll_finds_job_done(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    answer = await generate(hass)
    await server.finish()

    [job] = await ended(hass, answer)

    assert job["duration"] is None
    assert state(hass, "last_duration") == "unknown"


async def test_estimated_finish_of_overdue_job_stays_in_future(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started, jumped_from = dt_util.utcnow(), hass.loop.time()
    monkeypatch.setattr(
        dt_util, "utcnow", lambda: started + timedelta(seconds=hass.loop.time() - jumped_from)
    )
    shown: list[tuple[float, float]] = []

    @callback
    def note(event: Event[EventStateChangedData]) -> None:
        new = event.data["new_state"]
        if new is not None and new.state != "unknown":
            finish = datetime.fromisoformat(new.state)
            shown.append((hass.loop.time(), (finish - dt_util.utcnow()).total_seconds()))

    async_track_state_change_event(hass, [FINISH], note)
    learn(entry, 10.0)
    answer = await generate(hass)
    server.begin()
    await reached(lambda: len(shown) >= 5)
    await server.finish()
    await ended(hass, answer)

    assert all(left >= 0 for _, left in shown)
    assert all(after - at <= left + 1.0 for (at, left), (after, _) in pairwise(shown))
    assert state(hass, "estimated_finish") == "unknown"


async def test_open_jobs_are_estimated_in_order_of_queue(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    learn(entry, 10.0)
    answer = await generate(hass, count=3)
    server.begin()
    job_ids = [job["job_id"] for job in answer["jobs"]]
    engine = coordinator(entry).engine

    def first() -> Job | None:
        return engine.job(job_ids[0])

    await reached(lambda: (job := first()) is not None and job.started_at is not None)
    estimates = engine.estimates()

    assert list(estimates) == job_ids
    ends = [estimate.end for estimate in estimates.values()]
    margins = [estimate.margin for estimate in estimates.values()]
    now = dt_util.utcnow().timestamp()
    assert ends == pytest.approx([now + 10, now + 20, now + 30], abs=2.0)
    assert margins == sorted(margins)  # type: ignore[type-var]
    assert [estimate.start for estimate in estimates.values()][1:] == ends[:-1]
