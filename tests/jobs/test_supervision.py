"""Unforeseen errors and endless failures: the engine goes on."""

import asyncio
from collections.abc import Callable
import logging
from selectors import DefaultSelector, SelectorKey
from typing import Any, override

from homeassistant.core import HomeAssistant
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.gaze.api import GazeConnectionError
from custom_components.gaze.jobs import Job, Records
from custom_components.gaze.jobs.downloads import Downloads
from custom_components.gaze.jobs.models import Reason
from custom_components.gaze.jobs.pacing import Pacer
from custom_components.gaze.jobs.supervision import MAX_BACK_OFF, CrashLog, back_off
from testing.gaze_server import GazeServer

from .common import coordinator, ended, generate, job, open_ids, reached, types

HOUR = 3600.0


def errors(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Return what was logged as an error."""
    return [record for record in caplog.records if record.levelno >= logging.ERROR]


class _Timeless(DefaultSelector):
    """Lets time jump to the next timer at once."""

    now = 0.0

    @override
    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        """Return what is ready. The timeout passes at once."""
        self.now += timeout or 0.0
        return super().select(0)


class _TimelessLoop(asyncio.SelectorEventLoop):
    """An event loop in which waiting takes no time."""

    def __init__(self) -> None:
        """Start at zero."""
        self._timeless = _Timeless()
        super().__init__(self._timeless)

    @override
    def time(self) -> float:
        """Return the time in seconds."""
        return self._timeless.now


class _Away:
    """A server that cannot be reached, or only fails to deliver images."""

    def __init__(self, *, is_working: bool) -> None:
        """Count requests."""
        self.requests = 0
        self._is_working = is_working

    async def async_fetch_image(self, _image_url: str) -> bytes:
        """Fail."""
        self.requests += 1
        raise GazeConnectionError("the connection to the server failed")

    async def async_is_working(self) -> bool:
        """Return whether GAZE lists its presets."""
        return self._is_working


class _NothingHeld:
    """Holds no images."""

    async def async_read(self, _job: Job) -> bytes | None:
        """Return nothing."""


async def _download_for(
    hours: float, server: _Away, *, too_old: Callable[[], bool]
) -> list[tuple[str, Reason, str]]:
    """Download an image for some hours, and return how that failed."""
    failed: list[tuple[str, Reason, str]] = []

    async def fail(*failure: Any) -> None:
        failed.append(failure)

    async def is_too_old(_job_id: str) -> bool:
        return too_old()

    hass = HomeAssistant("/nowhere")
    downloads = Downloads(
        hass,
        server,
        None,  # type: ignore[arg-type] # never reached
        _NothingHeld(),  # type: ignore[arg-type] # the time of this loop stops in the executor
        CrashLog(),
        on_saved=lambda _: asyncio.sleep(0),
        on_failed=fail,
        on_disk_wait=lambda *_: None,
        is_too_old=is_too_old,
    )
    downloads.start(job("first", source_url="/static/first.png"))
    await asyncio.sleep(hours * HOUR)
    await downloads.async_stop()
    return failed


def test_download_that_fails_for_17_hours_goes_on() -> None:
    server = _Away(is_working=False)
    with asyncio.Runner(loop_factory=_TimelessLoop) as runner:
        failed = runner.run(_download_for(40, server, too_old=lambda: False))

    assert failed == []
    assert 40 * 60 - 10 <= server.requests <= 40 * 60 + 10


def test_download_that_fails_for_too_long_is_given_up() -> None:
    server = _Away(is_working=False)
    with asyncio.Runner(loop_factory=_TimelessLoop) as runner:
        failed = runner.run(_download_for(1, server, too_old=lambda: server.requests > 30))

    assert [(job_id, reason) for job_id, reason, _ in failed] == [("first", Reason.GAVE_UP)]


@pytest.mark.parametrize("failures", [1_024, 1_000_000, 10**400])
def test_back_off_never_overflows(failures: int) -> None:
    assert back_off(failures) == MAX_BACK_OFF


async def test_tracker_that_dies_is_started_again_and_its_error_logged_once(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    events: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    answer = await generate(hass, count=2)
    crashes = iter(range(5))
    name = "next_poll" if hasattr(Pacer, "next_poll") else "next_question"
    find_next = getattr(Pacer, name)

    def crash(pacer: Pacer, now: float) -> Any:
        if next(crashes, None) is not None:
            raise ZeroDivisionError("unforeseen")
        return find_next(pacer, now)

    monkeypatch.setattr(Pacer, name, crash)
    await server.finish()
    server.fail()
    jobs = await ended(hass, answer)

    assert next(crashes, None) is None
    assert [job["status"] for job in jobs] == ["done", "failed"]
    assert types(events, jobs[0]["job_id"])[-1] == "finished"
    assert len(errors(caplog)) == 1
    assert errors(caplog)[0].exc_info is not None


async def test_job_does_not_stay_open_when_its_end_fails(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    events: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    crashes = iter(range(13))
    save = Records.async_save

    async def crash(records: Records, *jobs: Job) -> None:
        if any(not job.open for job in jobs) and next(crashes, None) is not None:
            raise ZeroDivisionError("unforeseen")
        await save(records, *jobs)

    monkeypatch.setattr(Records, "async_save", crash)
    answer = await generate(hass)
    await server.finish()
    job = (await ended(hass, answer))[0]

    assert job["status"] == "done"
    assert types(events, job["job_id"]).count("finished") == 1
    assert coordinator(entry).engine.open_jobs == []
    messages = [record.getMessage() for record in errors(caplog)]
    assert len(messages) == len(set(messages))


async def test_job_ends_although_its_events_cannot_be_fired(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def crash(*_: Any) -> dict[str, Any]:
        raise ZeroDivisionError("unforeseen")

    answer = await generate(hass)
    with monkeypatch.context() as patched:
        patched.setattr("custom_components.gaze.coordinator.job_payload", crash)
        await server.finish()
        await reached(lambda: not open_ids(entry))

    jobs = await ended(hass, answer)
    assert jobs[0]["status"] == "done"
    assert [record.getMessage() for record in errors(caplog)] == [
        "Unexpected error while firing an event"
    ]
