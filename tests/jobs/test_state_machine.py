"""Whatever happens, in whatever order: each accepted job ends exactly once.

Hypothesis plays home and GAZE: it queues, lets time pass, kills and restarts either of them,
takes network, disk and key away and gives them back. A plain run is the same each time and
takes some seconds; `HYPOTHESIS_PROFILE=thorough pytest tests/jobs/test_state_machine.py` tries
several hundred other courses of events, for minutes. What fails is told as the shortest course
of events that fails.
"""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Generator
from contextlib import contextmanager
from dataclasses import dataclass
import errno
import gc
from itertools import count
import logging
import math
import os
from pathlib import Path
import shutil
from typing import Any, Final, override

from freezegun import freeze_time
from freezegun.api import FrozenDateTimeFactory
from homeassistant.exceptions import HomeAssistantError
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
import pytest

from custom_components.gaze.const import DOMAIN
from custom_components.gaze.jobs import JobEvent
from custom_components.gaze.jobs.downloads import MAX_TRIES as DOWNLOAD_TRIES
from custom_components.gaze.jobs.models import Reason
from testing.faults import Fault
from testing.gaze_server import GazeServer, JobRecord, JobStatus
from testing.jobs import UPLOADS
from testing.misbehavior import Endpoint

from .machine import WORK_TIME, Disk, Home, Interruption, StandingLoop

THOROUGH: Final = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
SETTINGS: Final = settings(
    max_examples=400 if THOROUGH else 20,
    stateful_step_count=40 if THOROUGH else 20,
    print_blob=False,
    suppress_health_check=list(HealthCheck),
)

GIVE_UP_AFTER: Final = 1  # hours
HOUR: Final = 3600.0
NOTING_TIME: Final = 5 * WORK_TIME  # seconds in which an event is noted after it was told
BEGIN: Final = "2026-08-01 12:00"
ENDS: Final = {JobEvent.FINISHED, JobEvent.FAILED}
PRESETS: Final = ("neon_city", "paper_forest", "watercolour_harbour")
SPANS: Final = {
    "a second": 1.0,
    "ten seconds": 10.0,
    "a minute": 60.0,
    "ten minutes": 600.0,
    "two hours": 2 * HOUR,
}
TROUBLE: Final = {
    "garbage for a job": (Fault.GARBAGE_JSON, Endpoint.JOB),
    "a job's answer breaks off": (Fault.TRUNCATED, Endpoint.JOB),
    "an unknown status": (Fault.UNKNOWN_STATUS, Endpoint.JOB),
    "an internal error": (Fault.SERVER_ERROR, Endpoint.JOB),
    "too busy": (Fault.BUSY, Endpoint.JOB),
    "too busy for presets": (Fault.BUSY, Endpoint.PRESETS),
    "too busy for images": (Fault.BUSY, Endpoint.IMAGE),
    "an image breaks off": (Fault.TRUNCATED, Endpoint.IMAGE),
    "no image at all": (Fault.NOT_AN_IMAGE, Endpoint.IMAGE),
    "too busy to generate": (Fault.BUSY, Endpoint.GENERATE),
    "accepted, but the answer is lost": (Fault.TRUNCATED, Endpoint.GENERATE),
    "accepted, but the answer is garbage": (Fault.GARBAGE_JSON, Endpoint.GENERATE),
}
DISTURBING: Final = {Fault.PROXY_PAGE, *(fault for fault, _ in TROUBLE.values())}


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """An event as automations heard it. `at` is the loop's time, `run` an index of `Home.runs`."""

    kind: JobEvent
    at: float
    run: int


class Complaints(logging.Handler):
    """Collects what must never stand in the log."""

    def __init__(self) -> None:
        """Begin with nothing."""
        super().__init__(logging.WARNING)
        self.found: list[str] = []

    @override
    def emit(self, record: logging.LogRecord) -> None:
        """Record unhandled errors, and damage."""
        message = record.getMessage()
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, OSError) and error.errno == errno.EFBIG:
            return  # Home Assistant cannot write its own files on a full disk
        if isinstance(error, asyncio.CancelledError):
            return  # Home Assistant stopped while it set up the entry
        if error is not None or "damaged" in message or "unreadable" in message:
            self.found.append(f"{record.name}: {message}: {error!r}")


class HomeAndServer(RuleBasedStateMachine):
    """A home with a GAZE server, and all that may happen to both."""

    def __init__(self, clock: FrozenDateTimeFactory, folder: Path, complaints: Complaints) -> None:
        """Start both."""
        super().__init__()
        self.complaints = complaints
        complaints.found.clear()
        self.problems: list[str] = []
        self.told: dict[str, list[Told]] = {}
        self.calls: dict[str, int] = {}  # how many images were asked for, by prompt
        self.over_since: dict[str, float] = {}  # when a job was first seen over on the server
        self.noted: dict[int, float] = {}  # by run: when an event last met a disk that took it
        self.full: list[tuple[float, float]] = []  # from when to when the disk was full
        self.sound_since = 0.0  # when there was last anything in the way of the jobs
        self.runs_seen = 0
        self.bad_images = 0
        self.checked = False
        self.disk = Disk()
        self.media_away = False
        self.backed_up: dict[str, list[Told]] | None = None  # what was told before the backup
        self.forgotten: set[str] = set()  # jobs that a restored backup does not know
        self.clock = clock
        clock.move_to(BEGIN)
        self.loop = StandingLoop(clock)
        self.loop.set_exception_handler(self._note_unhandled)
        self.server = GazeServer(duration=None, seed=1, size=(64, 96))
        self.loop.run_until_complete(self.server.start())
        self.home = Home(
            self.loop,
            folder,
            self.server,
            self.disk,
            give_up_after=GIVE_UP_AFTER,
            on_event=self._hear,
        )
        self.loop.run_until_complete(self.home.start())

    # What people do

    @initialize(preset=st.sampled_from(PRESETS), images=st.integers(1, 3))
    def queue_first(self, preset: str, images: int) -> None:
        """Begin with something."""
        self.queue(preset, images)

    @rule(preset=st.sampled_from(PRESETS), images=st.integers(1, 3))
    def queue(self, preset: str, images: int) -> None:
        """Call the action and hold the answer against the events."""
        prompt = f"call {len(self.calls) + 1}"
        self.calls[prompt] = images
        answer = self._live(self._generate(preset, images, prompt))
        if answer is None:
            return
        answered = {job["job_id"] for job in answer}
        queued = {
            job.job_id
            for job in self.server.jobs
            if job.body.get("extra_positive") == prompt and job.job_id in self.told
        }
        if answered != queued:
            self.problems.append(f"{prompt}: the answer and the events `queued` differ")

    async def _generate(self, preset: str, images: int, prompt: str) -> list[dict[str, Any]]:
        """Return the jobs of the answer; none where the action failed."""
        data = {"preset": preset, "count": images, "extra_positive": prompt}
        try:
            answer = await self.home.hass.services.async_call(
                DOMAIN, "generate", data, blocking=True, return_response=True
            )
        except HomeAssistantError:
            return []
        jobs: Any = (answer or {})["jobs"]
        return list(jobs)

    @rule(span=st.sampled_from(tuple(SPANS)))
    def let_time_pass(self, span: str) -> None:
        """Let everybody do what they do."""
        self.checked = False
        self.loop.run_until_complete(self.home.pass_time(SPANS[span]))

    @rule(how=st.sampled_from(Interruption))
    def interrupt(self, how: Interruption) -> None:
        """Kill Home Assistant, restart it, or reload the entry."""
        self.home.interrupt(how)
        self._live(asyncio.sleep(0))

    @rule(
        how=st.sampled_from(Interruption),
        step=st.integers(1, 10),
        preset=st.sampled_from(PRESETS),
        images=st.integers(1, 3),
    )
    def interrupt_while_queueing(
        self, how: Interruption, step: int, preset: str, images: int
    ) -> None:
        """Interrupt Home Assistant at a certain step of queueing."""
        with self._interrupted(how, step):
            self.queue(preset, images)

    @rule(how=st.sampled_from(Interruption), step=st.integers(1, 60), jobs=st.integers(1, 3))
    def interrupt_while_gaze_works(self, how: Interruption, step: int, jobs: int) -> None:
        """Interrupt Home Assistant at a certain step of fetching images."""
        with self._interrupted(how, step):
            self.gaze_works(jobs, 8)

    @rule(how=st.sampled_from((Interruption.KILL, Interruption.STOP)), step=st.integers(1, 60))
    def interrupt_while_starting(self, how: Interruption, step: int) -> None:
        """Interrupt Home Assistant at a certain step of a restart."""
        with self._interrupted(how, step):
            self._live(self.home.stop())

    @contextmanager
    def _interrupted(self, how: Interruption, step: int) -> Generator[None]:
        """Interrupt at a certain step of the block, or after it."""
        self.home.interrupt(how, step)
        yield
        if self.home.interruption_planned:
            self.interrupt(how)

    @precondition(lambda self: self.home.api_key != self.server.api_key)
    @rule()
    def enter_the_new_key(self) -> None:
        """Give Home Assistant the server's key."""
        self.home.api_key = self.server.api_key
        self._live(self.home.reload())

    # What happens at GAZE

    @rule(jobs=st.integers(1, 5), seconds=st.sampled_from((3, 8, 20)))
    def gaze_works(self, jobs: int, seconds: int) -> None:
        """Make some images, each in so many seconds."""
        for _ in range(jobs):
            if not self._open(JobStatus.PROCESSING) and self._open(JobStatus.PENDING):
                self.server.begin()
            self.checked = False
            self.loop.run_until_complete(self.home.pass_time(seconds))
            if self._open(JobStatus.PROCESSING):
                self._live(self.server.finish())

    @rule(place=st.integers(0, 3))
    def gaze_finishes_a_job(self, place: int) -> None:
        """Make an image, mostly the next one."""
        if jobs := self._open():
            self._live(self.server.finish(jobs[min(place, len(jobs) - 1)].job_id))

    @rule()
    def gaze_fails_a_job(self) -> None:
        """Let the next job fail."""
        if jobs := self._open():
            self.server.fail(jobs[0].job_id)

    @rule(jobs=st.integers(1, 3))
    def others_queue(self, jobs: int) -> None:
        """Queue jobs of the web UI."""
        self.server.add_foreign_jobs(jobs)

    @rule(what=st.sampled_from(("everything", "what waits", "what is over", "an image")))
    def gaze_loses(self, what: str) -> None:
        """Restart GAZE, clear its queue, prune its history, or delete its newest image."""
        images = [job.job_id for job in self.server.jobs if job.image_url]
        match what:
            case "everything":
                self.server.restart()
            case "what waits":
                self.server.clear_queue()
            case "what is over":
                self.server.prune()
            case "an image" if images:
                self.server.delete_image(images[-1])
                self.let_time_pass("a second")  # so that the next image gets another name

    @precondition(lambda self: self.home.api_key == self.server.api_key)
    @rule()
    def gaze_changes_its_key(self) -> None:
        """Make the key worthless that Home Assistant has."""
        self.server.regenerate_key(f"{self.server.api_key}+")

    @rule(what=st.sampled_from(tuple(TROUBLE)), times=st.integers(1, 3))
    def gaze_answers_badly(self, what: str, times: int) -> None:
        """Spoil the next answers of a kind."""
        fault, endpoint = TROUBLE[what]
        self.server.faults.on(Fault.RETRY_AFTER, value=120)
        self.server.faults.on(fault, endpoint, times=times)
        if fault is Fault.NOT_AN_IMAGE:
            self.bad_images += times

    @rule(status=st.sampled_from((403, 404, 502)), seconds=st.sampled_from((10, 600)))
    def proxy_responds(self, status: int, seconds: int) -> None:
        """Let a proxy respond instead of GAZE for a while."""
        self.server.faults.on(Fault.PROXY_PAGE, value=status, seconds=seconds)

    @rule(
        place=st.integers(0, 3),
        fault=st.sampled_from((Fault.SERVER_ERROR, Fault.GARBAGE_JSON, Fault.HANG)),
    )
    def one_job_is_bad(self, place: int, fault: Fault) -> None:
        """Break the status of one job for ten minutes. It delays no other job."""
        if jobs := self._open():
            job_id = jobs[min(place, len(jobs) - 1)].job_id
            self.server.faults.on(fault, "job", job=job_id, seconds=600)

    # What happens at home

    @rule(preset=st.sampled_from(PRESETS), images=st.integers(1, 3))
    def reload_during_request(self, preset: str, images: int) -> None:
        """Reload the entry while GAZE accepts a request."""
        self.server.faults.on(Fault.LATENCY, "generate", value=5.0, times=1)
        timer = self.loop.call_later(2.0, self.home.interrupt, Interruption.RELOAD)
        self.queue(preset, images)
        timer.cancel()

    @rule(hours=st.sampled_from((-13, -1, 1, 13)))
    def set_the_clock(self, hours: int) -> None:
        """Let the wall clock jump."""
        self.clock.tick(hours * HOUR)

    @precondition(lambda self: self.home.online)
    @rule()
    def cut_the_network(self) -> None:
        """Cut home and server off from each other."""
        self._live(self.home.set_online(False))

    @precondition(lambda self: not self.home.online)
    @rule()
    def bring_the_network_back(self) -> None:
        """Connect home and server."""
        self._live(self.home.set_online(True))

    @precondition(lambda self: not self.disk.full)
    @rule()
    def fill_the_disk(self) -> None:
        """Let every write fail."""
        self.full.append((self.loop.time() - NOTING_TIME, math.inf))
        self.disk.fill()

    @precondition(lambda self: self.disk.full)
    @rule()
    def free_the_disk(self) -> None:
        """Let writes succeed."""
        self.disk.free()
        self.full[-1] = (self.full[-1][0], self.loop.time())

    @precondition(lambda self: not self.full and not self.media_away)
    @rule()
    def make_a_backup(self) -> None:
        """Make a backup."""
        self.let_time_pass("a second")
        self._live(self.home.back_up())
        self.backed_up = {job_id: list(told) for job_id, told in self.told.items()}

    @precondition(lambda self: self.backed_up is not None and not self.full and not self.media_away)
    @rule(with_media=st.booleans())
    def restore_the_backup(self, with_media: bool) -> None:
        """Restore the backup, with or without the media folder."""
        self._live(self._restore(with_media=with_media))

    async def _restore(self, *, with_media: bool) -> None:
        """Restore the backup, and discard what was told since, before the next start tells more."""
        known = self.backed_up or {}
        await self.home.restore(with_media=with_media)
        self.forgotten |= self.told.keys() - known.keys()
        self.told = {job_id: list(told) for job_id, told in known.items()}

    @precondition(lambda self: not self.media_away and self._files())
    @rule()
    def take_the_share_away(self) -> None:
        """Leave an empty mount point where the media folder was."""
        self.media_away = True
        self._away.mkdir(exist_ok=True)
        self.home.media.rename(self._away / "media")
        self.home.media.mkdir()

    @precondition(lambda self: not self.media_away)
    @rule()
    def take_the_media_folder_away(self) -> None:
        """Put a file where the media folder was."""
        self.media_away = True
        self._away.mkdir(exist_ok=True)
        self.home.media.rename(self._away / "media")
        self.home.media.touch()

    @precondition(lambda self: self.media_away)
    @rule()
    def bring_the_media_folder_back(self) -> None:
        """Put the media folder where it was."""
        self.media_away = False
        if self.home.media.is_dir():
            if list(self.home.media.rglob("*")):
                self.problems.append("something was written into an empty mount point")
            shutil.rmtree(self.home.media)
        else:
            self.home.media.unlink()
        (self._away / "media").rename(self.home.media)

    @property
    def _away(self) -> Path:
        """Return where the media folder is while it is away."""
        return self.home.folder / "away"

    # What must hold

    @invariant()
    def nothing_is_wrong(self) -> None:
        """Hold everything against everything after each step."""
        self.checked = False
        self._look_around()
        self._check_requests()
        self._check_files()
        self._check_followed()
        self._check_lateness()
        self.problems += self.complaints.found
        assert not self.problems, "\n".join(self.problems)
        self.checked = True

    @override
    def teardown(self) -> None:
        """Fix everything, wait, and check that each job has ended. Then clean up."""
        try:
            if self.checked:
                self._fix_everything()
                self._check_ends()
                self.nothing_is_wrong()
        finally:
            self.disk.free()
            self.loop.run_until_complete(self.home.close())
            self.loop.run_until_complete(self.server.stop())
            self.loop.close()
            gc.collect()
        if self.checked:
            assert not self.complaints.found, "\n".join(self.complaints.found)
            assert not self.problems, "\n".join(self.problems)

    def _fix_everything(self) -> None:
        """End all faults, finish what is pending, and let time pass."""
        self.server.faults.clear()
        if self.disk.full:
            self.free_the_disk()
        if self.media_away:
            self.bring_the_media_folder_back()
        if not self.home.online:
            self._live(self.home.set_online(True))
        if self.home.api_key != self.server.api_key:
            self.enter_the_new_key()
        while self._open():
            self.loop.run_until_complete(self.server.finish())
        until = self.loop.time() + (GIVE_UP_AFTER + 1) * HOUR
        while self._unended() and self.loop.time() < until:
            self.let_time_pass("a minute")
            self.nothing_is_wrong()
        self.let_time_pass("a minute")

    def _check_ends(self) -> None:
        """See that each job told as queued has ended, and that the gallery agrees."""
        assert self.home.coordinator is not None, "the entry is not set up"
        assert not self._unended(), f"never ended: {self._unended()}"
        assert not list(self.home.folder.rglob("*.part")), "half-written files were left"
        listed = self.loop.run_until_complete(
            self.home.hass.services.async_call(
                DOMAIN, "list_images", {"limit": 1000}, blocking=True, return_response=True
            )
        )
        images: Any = (listed or {})["images"]
        kept = Counter(image["job_id"] for image in images)
        finished = {
            job_id
            for job_id, told in self.told.items()
            if any(event.kind is JobEvent.FINISHED for event in told)
        }
        assert max(kept.values(), default=1) == 1, f"twice in the gallery: {kept}"
        assert set(kept) == finished, "the gallery has other images than were finished"
        known = {job_id[:8] for job_id in {*kept, *self.forgotten}}
        unknown = {path.name for path in self._files() if path.stem.split("_")[2] not in known}
        assert not unknown, f"there are files that the gallery does not know: {unknown}"
        assert len(self._files()) >= len(kept), "there are images without files"

    # Hearing

    def _hear(self, data: dict[str, Any]) -> None:
        """Note an event, and whether it was right."""
        job_id, kind = data["job_id"], JobEvent(data["type"])
        told = self.told.setdefault(job_id, [])
        alike = ENDS if kind in ENDS else {kind}
        for event in told:
            if event.kind in alike and self._was_noted(event):
                self._complain(data, f"was told after it was {event.kind}")
        if kind is not JobEvent.QUEUED and not told:
            self._complain(data, "was told before it was queued")
        if kind is JobEvent.FINISHED:
            self._check_finished(data)
        if kind is JobEvent.FAILED:
            self._check_reason(data)
        told.append(Told(kind=kind, at=self.loop.time(), run=len(self.home.runs) - 1))
        if not self.disk.full:
            self.noted[len(self.home.runs) - 1] = self.loop.time()

    def _was_noted(self, event: Told) -> bool:
        """Return whether Home Assistant can know today that it told this event.

        It cannot where it was killed in the act, or where the disk was full and took
        nothing more of that run.
        """
        run = self.home.runs[event.run]
        if run.ended_at is None:
            return True
        if not self._was_full(event.at):
            return not run.killed or event.at < run.ended_at - NOTING_TIME
        if not run.killed and not self._was_full(run.ended_at):
            return True
        noted = self.noted.get(event.run, 0.0)
        return event.at < noted < run.ended_at - NOTING_TIME

    def _was_full(self, at: float) -> bool:
        """Return whether the disk was full at a time of the loop's."""
        return any(since <= at <= until for since, until in self.full)

    def _check_finished(self, data: dict[str, Any]) -> None:
        """See that the picture is there, and shown."""
        job_id = data["job_id"]
        record = self.server.job(job_id)
        if record.status is not JobStatus.DONE:
            self._complain(data, f"it is {record.status} on the server")
            return
        files = self._files(job_id)
        if len(files) != 1:
            self._complain(data, f"it has {len(files)} files")
        elif files[0].read_bytes() != self.server.picture(job_id):
            self._complain(data, "it has another picture than the server made")
        if data["seed"] != str(record.seed):
            self._complain(data, f"it has the seed {data['seed']} instead of {record.seed}")
        if self.home.shown(data["preset"]) != job_id:
            self._complain(data, "it is not shown")

    def _check_reason(self, data: dict[str, Any]) -> None:
        """See that the reason fits what happened."""
        record = self.server.job(data["job_id"])
        tracked_for = self.loop.time() - self.told[data["job_id"]][0].at
        too_old = tracked_for > GIVE_UP_AFTER * HOUR - 60.0  # the event may come later
        fits = {
            Reason.SERVER: record.status is JobStatus.FAILED and data["error"] == record.error,
            Reason.LOST: not record.known,
            Reason.DOWNLOAD: too_old or self._could_not_be_kept(record),
            Reason.GAVE_UP: too_old,
        }
        if not fits.get(data["reason"], False):
            self._complain(data, f"the reason {data['reason']} is wrong ({data['error']})")

    def _could_not_be_kept(self, record: JobRecord) -> bool:
        """Return whether there is an excuse for a finished image that was not kept."""
        if record.image_url is None or record.finished_at is None:
            return False
        return (
            self.bad_images >= DOWNLOAD_TRIES
            or record.image_url.removeprefix(UPLOADS) not in self.server.files
        )

    def _complain(self, data: dict[str, Any], what: str) -> None:
        """Note what is wrong with an event."""
        prompt, index = data["extra_positive"], data["index"]
        told = [str(event.kind) for event in self.told[data["job_id"]]]
        self.problems.append(f"{data['type']} of {prompt}, image {index}, after {told}: {what}")

    def _note_unhandled(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Record an unhandled exception."""
        self.problems.append(f"{context['message']}: {context.get('exception')!r}")

    # Looking

    def _look_around(self) -> None:
        """Note since when things are as they are."""
        now = self.loop.time()
        for job in self.server.jobs:
            if not job.is_open:
                self.over_since.setdefault(job.job_id, now)
        sound = (
            self.home.online
            and self.home.api_key == self.server.api_key
            and self.home.coordinator is not None
            and self.runs_seen == len(self.home.runs)
            and not self.disk.full
            and not self.media_away
            and not any(
                active.fault in DISTURBING and active.job is None
                for active in self.server.faults.active
            )
        )
        self.runs_seen = len(self.home.runs)
        if not sound:
            self.sound_since = now

    def _check_requests(self) -> None:
        """See that no request was sent twice."""
        if self.server.requests[Endpoint.GENERATE] > len(self.calls):
            self.problems.append("there were more requests for images than calls")
        made = Counter(job.body.get("extra_positive") for job in self.server.jobs)
        self.problems += [
            f"{prompt} made {made[prompt]} images instead of {count}"
            for prompt, count in self.calls.items()
            if made[prompt] > count
        ]

    def _check_files(self) -> None:
        """See that no job has two files."""
        files = Counter(path.stem.split("_")[2] for path in self._files())
        self.problems += [f"{job_id}… has {n} files" for job_id, n in files.items() if n > 1]

    def _check_followed(self) -> None:
        """See that no open job was forgotten."""
        if (coordinator := self.home.coordinator) is None:
            return
        known = {job.job_id for job in coordinator.engine.jobs if not job.end_fired}
        if forgotten := self._unended() - known:
            self.problems.append(f"forgotten: {forgotten}")

    def _check_lateness(self) -> None:
        """See that jobs end soon after nothing is in the way."""
        unended = self._unended()
        patience = 60.0 * (len(unended) + 10)
        for job_id in unended & set(self.over_since):
            late = self.loop.time() - max(self.over_since[job_id], self.sound_since)
            if late > patience:
                self.problems.append(f"{job_id} is over on the server, unnoticed for {late} s")

    def _unended(self) -> set[str]:
        """Return the jobs that Home Assistant has to end yet."""
        return {
            job_id
            for job_id, told in self.told.items()
            if not any(event.kind in ENDS for event in told)
            and (self._was_noted(told[0]) or not self._was_full(told[0].at))
        }

    def _files(self, job_id: str = "") -> list[Path]:
        """Return the picture files of a job, or all."""
        return list(self.home.media.rglob(f"[!.]*_{job_id[:8]}*.png"))

    def _open(self, status: JobStatus | None = None) -> list[JobRecord]:
        """Return the open jobs on the server, in order."""
        return [job for job in self.server.jobs if job.is_open and status in {None, job.status}]

    def _live[T](self, doing: Coroutine[Any, Any, T]) -> T | None:
        """Do something in Home Assistant's life; None where it was killed over it."""
        self.checked = False
        return self.loop.run_until_complete(self.home.live(doing))


@pytest.mark.timeout(0 if THOROUGH else 600)
@pytest.mark.usefixtures("socket_enabled")
def test_accepted_job_ends_exactly_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    complaints = Complaints()
    logging.getLogger().addHandler(complaints)
    numbers = count(1)

    with freeze_time(BEGIN, ignore=["hypothesis"]) as clock:
        assert isinstance(clock, FrozenDateTimeFactory)
        # What is imported and cached once must not make the first course of events another one.
        HomeAndServer(clock, tmp_path / "warm-up", complaints).teardown()
        run_state_machine_as_test(
            # It calls what it is given, be it a class or not.
            lambda: HomeAndServer(  # type: ignore[arg-type]
                clock, tmp_path / f"home-{next(numbers)}", complaints
            ),
            settings=SETTINGS,
        )

    logging.getLogger().removeHandler(complaints)
