"""The job engine: queues generations, tracks their jobs, and saves their images.

The life of a job: accepted by GAZE → on disk → event `queued` → polled at the pace of `pacing.py`
→ event `started` → done: downloaded, validated, and saved in the gallery → event `finished`; or
event `failed` with a reason. Every step is on disk before the next one. A process that is killed
continues from there: an event may then repeat, but none is missing.

A problem with one job stays with that job. A problem with the server pauses all of them.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from dataclasses import asdict, replace
from itertools import batched
import logging
from typing import Any, Final

from homeassistant.core import HomeAssistant, callback
from homeassistant.util import dt as dt_util
from homeassistant.util.ulid import ulid_now

from ..api import (
    GazeAuthError,
    GazeBusyError,
    GazeClient,
    GazeConnectionError,
    GazeError,
    GazeNotFoundError,
    GazeResponseError,
    GazeTimeoutError,
    JobReport,
    Preset,
    ReportedStatus,
    format_one_line,
)
from ..api.client import API_TIMEOUT
from ..backup_state import backup_state
from ..gallery import Gallery, GalleryError, Image
from .clocks import Clocks
from .downloads import Downloads
from .durations import Durations, Key
from .held import HeldImages
from .models import GenerateRequest, Job, JobEvent, Reason, Status
from .pacing import Estimate, Pacer, Span
from .records import Records
from .supervision import CrashLog, back_off, outlive

_LOGGER = logging.getLogger(__name__)

MAX_ENDED: Final = 500  # ended jobs that stay in the history
UNKNOWN_DURATION: Final = 20.0  # seconds that count for a job whose duration is unknown
MAX_UNKNOWN_STATUSES: Final = 20
# A request to GAZE takes at most the client's timeout. The rest is for the disk.
REQUEST_TIME: Final = (API_TIMEOUT.total or 0.0) + 10.0
POLL_TIME: Final = 5.0  # seconds after which a poll no longer delays the others
MAX_POLLS: Final = 4  # without a response, at the same time
MAX_CRASHES: Final = 5  # unforeseen errors after which a job is given up
MAX_IMAGELESS_POLLS: Final = 4  # over 7 s
CONFIRMATION_AGE: Final = 10.0  # seconds for which a listing shows that GAZE works
TRACKED_TIME_STEP: Final = 3600.0  # how much tracked time a kill may lose, in seconds
MICROSECONDS: Final = 1_000_000
STEP: Final = 50  # jobs that are started before other tasks get a turn

type JobListener = Callable[[JobEvent | None, Job], None]
type ServerListener = Callable[[GazeError | None], None]


class TooManyOpenJobsError(Exception):
    """The request would make more jobs open than the option allows."""


class EngineStoppedError(Exception):
    """The engine accepts no requests, because the server is being unloaded."""


class JobEngine:
    """The jobs of one server."""

    def __init__(  # noqa: PLR0913 - wired in one place
        self,
        hass: HomeAssistant,
        client: GazeClient,
        records: Records,
        gallery: Gallery,
        held: HeldImages,
        *,
        on_job: JobListener,
        on_server: ServerListener,
        max_open_jobs: int,
        give_up_after: float,
    ) -> None:
        """Wire the engine.

        on_job: called with each event of a job, and with `None` for other changes.
        on_server: called with each failure of the server, and with `None` when it works again.
        give_up_after: seconds for which an open job is tracked. The time counts while Home
        Assistant runs, but not while GAZE rejects the key, or an image waits for the gallery.
        """
        self._hass = hass
        self._backup_state = backup_state(hass)
        self._client = client
        self._records = records
        self._gallery = gallery
        self._held = held
        self._on_job = on_job
        self._on_server = on_server
        self._max_open_jobs = max_open_jobs
        self._give_up_after = give_up_after
        self._jobs: dict[str, Job] = {}
        self._clocks = Clocks()
        self._crash_log = CrashLog()
        self._crashes: Counter[str] = Counter()  # by job
        self._imageless: Counter[str] = Counter()  # polls of a job that is done without an image
        self._ending: set[str] = set()  # jobs whose end is being saved and fired
        self._endings: dict[str, asyncio.Future[None]] = {}  # what callers wait for, by job
        # Setup and unload
        self._accepting = False
        self._running = False
        self._starting = asyncio.Lock()
        # Requests
        self._requests: list[GenerateRequest] = []  # those without a response
        self._submits: set[asyncio.Task[list[Job]]] = set()
        self._takeovers: dict[str, asyncio.Task[list[Job]]] = {}
        # Tracking
        self._pacer = Pacer(Durations())
        self._tracker: asyncio.Task[None] | None = None
        self._polls: dict[str, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()
        self._tracked: set[str] = set()  # jobs that are polled or downloaded
        self._restored: set[str] = set()  # jobs that may have started before this run
        self._unknown_statuses: set[str] = set()
        # Server
        self._server_failing = False
        self._key_rejected = False
        self._confirmation: asyncio.Task[bool] | None = None
        self._confirmed_at = 0.0
        self._downloads = Downloads(
            hass,
            self,
            gallery,
            held,
            self._crash_log,
            on_saved=self._finish,
            on_failed=self._fail,
            on_disk_wait=self._clocks.exclude,
            is_too_old=self._note_age,
        )

    # Queries

    @property
    def accepting(self) -> bool:
        """Return whether the engine accepts requests."""
        return self._accepting

    @property
    def jobs(self) -> list[Job]:
        """Return the open jobs and the last ended ones, oldest first."""
        return list(self._jobs.values())

    @property
    def open_jobs(self) -> list[Job]:
        """Return the open jobs in the order of the queue."""
        return [job for job in self._jobs.values() if job.open]

    @property
    def durations(self) -> Durations:
        """Return the learned durations."""
        return self._pacer.durations

    @property
    def pacing(self) -> dict[str, Any]:
        """Return what the engine is doing, for diagnostics. `in` is seconds from now."""
        poll = self._pacer.next_poll(self._now)
        return {
            "tracking": self._tracker is not None and not self._tracker.done(),
            "server_failing": self._server_failing,
            "requests": len(self._requests),
            "downloading": sorted(self._downloads.job_ids),
            "next_poll": poll
            and {"job_id": poll[0], "in": round(max(poll[1] - self._now, 0.0), 1)},
            "unknown_statuses": sorted(status[:50] for status in self._unknown_statuses),
        }

    def job(self, job_id: str) -> Job | None:
        """Return a job, or None if it is unknown or was removed from the history."""
        return self._jobs.get(job_id)

    def batch(self, batch_id: str) -> list[Job]:
        """Return the jobs of a batch."""
        return [job for job in self._jobs.values() if job.batch_id == batch_id]

    def is_busy_with(self, preset: str, recipe: str | None = None) -> bool:
        """Return whether a preset (by slug) or a recipe (by ID) has open jobs or requests."""
        if recipe is not None:
            return any(job.recipe == recipe for job in self.open_jobs) or any(
                request.origin.recipe == recipe for request in self._requests
            )
        return any(job.preset == preset for job in self.open_jobs) or any(
            request.preset.slug == preset for request in self._requests
        )

    def estimates(self) -> dict[str, Estimate]:
        """Return when each open job is expected to start and end, in seconds since the epoch.

        Nothing that is still to come is expected in the past.
        """
        offset = _wall() - self._now
        found = {
            job.job_id: Estimate(start=job.started_at, end=_wall(), margin=0.0)
            for job in self.open_jobs
            if job.source_url is not None  # only the download is missing
        }
        for job_id, estimate in self._pacer.estimate(self._now, self._waiting()).items():
            found[job_id] = Estimate(
                start=None if estimate.start is None else estimate.start + offset,
                end=None if estimate.end is None else estimate.end + offset,
                margin=estimate.margin,
            )
        return found

    def seconds_until_free(self) -> float | None:
        """Return how long the open jobs will take, or None if nothing is known about one."""
        seconds, unknown = self._pacer.expect_last(self._now, self._waiting())
        return None if unknown else seconds

    def load(self) -> float:
        """Return about how many seconds of work the server has, to compare servers."""
        seconds, unknown = self._pacer.expect_last(self._now, self._waiting())
        return seconds + unknown * UNKNOWN_DURATION

    def _waiting(self) -> dict[str, Key]:
        """Return the keys of the unfinished jobs that the pacer doesn't have."""
        return {
            job.job_id: job.key
            for job in self.open_jobs
            if job.source_url is None and job.job_id not in self._tracked
        }

    # Setup and unload

    async def async_load(self) -> None:
        """Read the records. Raises sqlite3.OperationalError if that is not possible."""
        jobs, durations = await self._records.async_open()
        self._pacer = Pacer(durations)
        self._jobs = {job.job_id: job for job in jobs}
        self._accepting = True

    async def async_start(self) -> None:
        """Fire the events that the last run did not fire, and track the open jobs."""
        self._accepting = self._running = True
        self._backup_state.members.add(self)
        async with self._starting:
            await self._held.async_discard_others(self.open_jobs)
            for job_id in list(self._jobs):
                if not self._running:
                    return
                await self._recover(job_id)
                await self._fire_queued([job_id])
                if (job := self._jobs.get(job_id)) and not job.open and not job.end_fired:
                    await self._fire_end(job)
            for number, job_id in enumerate([job.job_id for job in self.open_jobs]):
                if number % STEP == 0:
                    await asyncio.sleep(0)
                await self._resume_tracking(job_id)
                self._wake_tracker()

    async def async_begin_backup(self) -> None:
        """Do nothing. `_end` marks the jobs that are done during a backup, for `_recover`."""

    async def async_end_backup(self) -> None:
        """Remove the marks."""
        if marked := [self._change(job, in_backup=False) for job in self.jobs if job.in_backup]:
            await self._records.async_save(*marked)

    async def async_stop(self) -> None:
        """Refuse new requests, wait for those in flight, and stop tracking.

        Open jobs continue with the next `async_start`, in this process or another one.
        """
        self._accepting = False
        if self._submits:
            await asyncio.wait(self._submits, timeout=REQUEST_TIME)
        self._running = False
        async with self._starting:
            await self._stop_tracking()
        for ending in self._endings.values():
            ending.cancel()
        self._endings.clear()
        await self._save_tracked_time()
        self._clocks.clear()

    async def async_close(self) -> None:
        """Stop, and close the records."""
        await self.async_stop()
        self._backup_state.members.discard(self)
        await self._records.async_close()

    async def _stop_tracking(self) -> None:
        """Stop polling and downloading. Images that are being saved are finished."""
        tasks: list[asyncio.Task[Any]] = [*self._polls.values()]
        tasks += [task for task in (self._tracker, self._confirmation) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._downloads.async_stop()
        self._tracker = self._confirmation = None
        self._pacer = Pacer(self.durations)
        for job_ids in (self._tracked, self._restored):
            job_ids.clear()

    async def _save_tracked_time(self) -> None:
        """Save for how long the open jobs have been tracked."""
        for jobs in batched(self.open_jobs, STEP, strict=False):
            await self._records.async_save(*map(self._change, jobs))

    # Requests

    async def async_generate(self, request: GenerateRequest) -> list[Job]:
        """Queue a generation and return its jobs, on disk and with their events fired.

        GAZE decides how many jobs there are. A cancelled caller does not cancel the request.
        Raises EngineStoppedError, TooManyOpenJobsError, or GazeError.
        """
        return await outlive(self._submit(self._generate(request), "gaze generate"))

    async def async_track(self, job_id: str, preset: Preset, tag: str | None) -> list[Job]:
        """Track a job that was queued elsewhere, and return it.

        A job that is tracked, or whose image is in the gallery, is returned as it is. A job that
        failed is tracked again with new events, because the user might have resolved the cause.
        Raises EngineStoppedError or GazeError, also for an unknown job.
        """
        if (known := self._jobs.get(job_id)) is not None and known.open:
            return [known]
        if (task := self._takeovers.get(job_id)) is None:
            task = self._submit(self._take_over(job_id, preset, tag), "gaze track")
            self._takeovers[job_id] = task
            task.add_done_callback(lambda _: self._takeovers.pop(job_id, None))
        return await outlive(task)

    async def async_stop_tracking(self, jobs: Iterable[Job]) -> None:
        """End open jobs here. GAZE might still generate their images."""
        for job in jobs:
            await self._downloads.async_cancel(job.job_id)
            await self._drop(job.job_id, Reason.STOPPED)

    @callback
    def async_resume(self) -> None:
        """Continue to poll after the presets were listed."""
        self._note_key(rejected=False)
        self._pacer.shorten_pause(self._now)
        self._wake_tracker()

    async def async_wait(self, job_ids: Iterable[str]) -> bool:
        """Return True when all the jobs have ended and their events were fired.

        Returns False when the engine stops before that, or has stopped and doesn't know a job.
        """
        if not self._accepting:
            jobs = map(self._jobs.get, job_ids)
            return all(job is not None and job.end_fired for job in jobs)
        endings = [
            self._endings.setdefault(job_id, self._hass.loop.create_future())
            for job_id in job_ids
            if (job := self._jobs.get(job_id)) is not None and not job.end_fired
        ]
        if endings:
            await asyncio.wait(endings)
        return not any(ending.cancelled() for ending in endings)

    def _submit(
        self, request: Coroutine[Any, Any, list[Job]], name: str
    ) -> asyncio.Task[list[Job]]:
        """Start a request that `async_stop` waits for. Raises EngineStoppedError."""
        if not self._accepting:
            request.close()
            raise EngineStoppedError
        task = self._hass.async_create_task(request, name)
        self._submits.add(task)
        task.add_done_callback(self._end_submit)
        return task

    def _end_submit(self, task: asyncio.Task[list[Job]]) -> None:
        """Discard a request. Its caller, if there still is one, gets the error."""
        self._submits.discard(task)
        if not task.cancelled() and (err := task.exception()) is not None:
            _LOGGER.debug("A request failed: %s", err)

    async def _generate(self, request: GenerateRequest) -> list[Job]:
        """Queue a generation."""
        requested = sum(waiting.count for waiting in self._requests)
        if len(self.open_jobs) + requested + request.count > self._max_open_jobs:
            raise TooManyOpenJobsError
        self._requests.append(request)
        try:
            job_ids = await self._request(
                self._client.generate(request.preset.slug, request.as_options())
            )
        finally:
            self._requests.remove(request)
        new = [
            job_id
            for job_id in job_ids
            if (known := self._jobs.get(job_id)) is None or known.end_fired
        ]
        if not new:
            raise GazeResponseError("the server gave a new job the ID of an open one")
        await self._remove_from_history(new)
        return await self._accept(request, new)

    async def _take_over(self, job_id: str, preset: Preset, tag: str | None) -> list[Job]:
        """Start to track a job that was queued elsewhere, or track it again."""
        known = self._jobs.get(job_id)
        if known is None:
            if (image := await self._get_image(job_id)) is not None:
                with suppress(GalleryError):
                    await self._gallery.async_note_paths([job_id])
                return [_job_of_image(image)]
        elif known.status is Status.DONE and await self._saved_image(known):
            return [known]
        await self._request(self._client.get_job(job_id))
        await self._remove_from_history([job_id])
        return await self._accept(GenerateRequest(preset=preset, tag=tag), [job_id])

    async def _remove_from_history(self, job_ids: list[str]) -> None:
        """Remove ended jobs that are tracked again, or whose IDs GAZE used again."""
        if ended := [job_id for job_id in job_ids if self._jobs.pop(job_id, None) is not None]:
            await self._records.async_discard(ended)

    async def _accept(self, request: GenerateRequest, job_ids: list[str]) -> list[Job]:
        """Save jobs that GAZE accepted, fire their events, and start to track them."""
        wall = _wall()
        batch_id = ulid_now()
        lowest_number = self._next_image_number()
        jobs = [
            Job(
                job_id=job_id,
                batch_id=batch_id,
                index=index,
                count=len(job_ids),
                preset=request.preset.slug,
                preset_name=request.preset.name,
                **asdict(request.origin),
                tag=request.tag,
                seed=None if request.seed is None else str(request.seed),
                width=request.width,
                height=request.height,
                checkpoint=request.checkpoint,
                extra_positive=request.extra_positive,
                extra_negative=request.extra_negative,
                requested_at=wall,
                image_number=lowest_number,
            )
            for index, job_id in enumerate(job_ids, start=1)
        ]
        for job in jobs:
            self._jobs[job.job_id] = job
            self._clocks.start(job, self._now, wall)
        await self._records.async_save(*jobs)
        await self._fire_queued(job_ids)
        jobs = [self._jobs[job_id] for job_id in job_ids]
        if self._running:
            self._pacer.shorten_pause(self._now)
            for job in jobs:
                if job.open:  # it was not stopped meanwhile
                    self._start_tracking(job)
            self._wake_tracker()
        return jobs

    # Tracking

    async def _recover(self, job_id: str) -> None:
        """Open a job of a restored backup again if the backup lacks its image.

        Home Assistant copies the folder of images once, and the records at another time.
        """
        job = self._jobs.get(job_id)
        if job is None or not job.in_backup or self._backup_state.active:
            return
        if await self._saved_image(job) is None:
            job = self._change(job, status=Status.PROCESSING, end_fired=False)
        await self._records.async_save(self._change(job, in_backup=False))

    async def _resume_tracking(self, job_id: str) -> None:
        """Track a job of an earlier run, or end it if its image was saved there."""
        job = self._jobs[job_id]
        if not self._running or not job.open or job_id in self._tracked:
            return
        if (image := await self._saved_image(job)) is not None:
            await self._end(
                job_id,
                Status.DONE,
                seed=image.seed or job.seed,
                finished_at=job.finished_at or max(image.made_at, job.requested_at),
            )
        elif self._running and (job := self._jobs[job_id]).open and job_id not in self._tracked:
            self._clocks.start(job, self._now, _wall())
            self._restored.add(job_id)
            self._start_tracking(job)

    async def _saved_image(self, job: Job) -> Image | None:
        """Return the image of a job, if the gallery has it.

        An image with a lower number is of an earlier job with the same ID: see `async_add`.
        """
        image = await self._get_image(job.job_id)
        return None if image is None or image.number < (job.image_number or 0) else image

    async def _get_image(self, job_id: str) -> Image | None:
        """Return the image with a job's ID, if the gallery has one."""
        try:
            return await self._gallery.async_get(job_id)
        except GalleryError as err:
            _LOGGER.debug("Unable to look for an image: %s", err)
            return None

    def _start_tracking(self, job: Job) -> None:
        """Start to poll an open job, or to download its image if GAZE has finished it."""
        self._tracked.add(job.job_id)
        if job.source_url is not None:
            self._downloads.start(job)
            return
        age = self._clocks.age(job, self._now, _wall(), self._give_up_after)
        # When a job of an earlier run started is known by the wall clock only: see `_end_span`.
        self._pacer.add(job.job_id, job.key, accepted=self._now - age)

    @callback
    def _wake_tracker(self) -> None:
        """Make sure that the open jobs are polled."""
        self._changed.set()
        if self._running and len(self._pacer) and (self._tracker is None or self._tracker.done()):
            self._tracker = self._hass.async_create_background_task(
                self._track_jobs(), "gaze track jobs"
            )

    async def _track_jobs(self) -> None:
        """Poll until no job is open. Start again after an unforeseen error."""
        crashes = 0
        while True:
            try:
                if crashes:
                    self._rebuild_pacer()
                await self._poll_due_jobs()
            except Exception as err:  # noqa: BLE001 - jobs must not stay open unnoticed
                crashes += 1
                self._crash_log.report("tracking jobs", err)
                await asyncio.sleep(back_off(crashes))
            else:
                return

    def _rebuild_pacer(self) -> None:
        """Track the open jobs with a new pacer."""
        self._pacer = Pacer(self.durations)
        for job in self.open_jobs:
            if job.source_url is None:
                self._start_tracking(job)

    async def _poll_due_jobs(self) -> None:
        """Poll one job after the other until none is open."""
        while (poll := self._pacer.next_poll(self._now)) is not None:
            job_id, due = poll
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(max(due - self._now, 0)):
                    await self._changed.wait()
                    continue
            await self._poll_patiently(job_id)

    async def _poll_patiently(self, job_id: str) -> None:
        """Poll a job. A slow response is processed when it comes and delays no other job."""
        if (poll := self._polls.get(job_id)) is None:
            self._pacer.start_poll(job_id, self._now)
            poll = self._hass.async_create_background_task(
                self._poll(job_id), "gaze poll job", eager_start=False
            )
            self._polls[job_id] = poll
            poll.add_done_callback(lambda _: self._polls.pop(job_id, None))
        await asyncio.wait([poll], timeout=POLL_TIME)
        if not poll.done():
            self._pacer.fail_job(job_id, self._now)
            while len(self._polls) >= MAX_POLLS:
                await asyncio.wait(self._polls.values(), return_when=asyncio.FIRST_COMPLETED)

    async def _poll(self, job_id: str) -> None:
        """Poll a job and process the response. Its unforeseen errors end at most this job."""
        try:
            await self._poll_once(job_id)
        except Exception as err:  # noqa: BLE001 - the other jobs have nothing to do with it
            self._crash_log.report("processing a job", err)
            self._crashes[job_id] += 1
            if self._crashes[job_id] < MAX_CRASHES:
                self._track_again(job_id)
                return
            error = f"unexpected error: {type(err).__name__}"
            await self._drop(job_id, Reason.GAVE_UP, error)

    def _track_again(self, job_id: str) -> None:
        """Track an open job after an unforeseen error, which may have stopped that."""
        if (job := self._jobs.get(job_id)) is not None and job.open:
            self._start_tracking(job)
            self._pacer.fail_job(job_id, self._now)

    async def _poll_once(self, job_id: str) -> None:
        """Poll a job, process the response, and end the job if it is too old."""
        try:
            report = await self._client.get_job(job_id)
        except GazeError as err:
            self._note_key(rejected=isinstance(err, GazeAuthError))
            await self._process_poll_error(job_id, err)
        else:
            self._note_success()
            await self._process_report(job_id, report)
        await self._check_age(job_id)

    async def _process_poll_error(self, job_id: str, err: GazeError) -> None:
        """Decide whether a failed poll is about its job or about the server."""
        match err:
            case GazeNotFoundError():
                if await self._is_lost(job_id):
                    await self._drop(job_id, Reason.LOST)
                    return
            case GazeTimeoutError():
                if not await self.async_is_working():
                    self._pacer.fail_server(self._now)
                    return
            case GazeAuthError() | GazeConnectionError() | GazeBusyError():
                self._note_failure(err)
                wait = err.retry_after if isinstance(err, GazeBusyError) else None
                self._pacer.fail_server(self._now, wait)
                return
        self._pacer.fail_job(job_id, self._now)

    async def _is_lost(self, job_id: str) -> bool:
        """Return whether GAZE itself no longer has a job that it just reported as unknown.

        GAZE must list its presets and then say so again. A proxy in front of it may also respond
        with JSON while GAZE restarts.
        """
        if not await self.async_is_working():
            return False
        try:
            await self._client.get_job(job_id)
        except GazeNotFoundError:
            return True
        except GazeError as err:
            _LOGGER.debug("Unable to poll a job again: %s", err)
        return False

    async def _check_age(self, job_id: str) -> None:
        """End a polled job that has been tracked for too long."""
        if (job := self._jobs.get(job_id)) is None or not job.open or job.source_url is not None:
            return
        if await self._note_age(job_id):
            await self._drop(job_id, Reason.GAVE_UP)

    async def _note_age(self, job_id: str) -> bool:
        """Return whether a job has been tracked for too long. Save that time once an hour."""
        if (job := self._jobs.get(job_id)) is None or not job.open:
            return True
        tracked_for = self._clocks.tracked_for(job, self._now)
        if tracked_for - job.tracked_for > TRACKED_TIME_STEP:
            await self._records.async_save(self._change(job))
        return tracked_for > self._give_up_after and not self._key_rejected

    # Server

    async def async_fetch_image(self, image_url: str) -> bytes:
        """Return the bytes of an image. Raises GazeError."""
        return await self._client.get_image(image_url)

    async def async_is_working(self) -> bool:
        """Return whether GAZE lists its presets. Requests close together share one listing."""
        confirmation = self._confirmation
        if (
            confirmation is None
            or confirmation.cancelled()
            or (confirmation.done() and self._now - self._confirmed_at > CONFIRMATION_AGE)
        ):
            confirmation = self._confirmation = self._hass.async_create_background_task(
                self._confirm(), "gaze confirm", eager_start=False
            )
        return await outlive(confirmation)

    async def _confirm(self) -> bool:
        """List the presets, to see whether GAZE works."""
        try:
            await self._request(self._client.list_presets())
        except GazeError:
            return False
        except Exception as err:  # noqa: BLE001 - GAZE was not seen working
            self._crash_log.report("listing presets", err)
            return False
        finally:
            self._confirmed_at = self._now
        return True

    async def _request[T](self, request: Awaitable[T]) -> T:
        """Await a request and report whether the server works."""
        try:
            response = await request
        except GazeError as err:
            self._note_failure(err)
            raise
        self._note_success()
        return response

    def _note_failure(self, err: GazeError) -> None:
        """Report a failure of the server, or that it rejected our key."""
        self._note_key(rejected=isinstance(err, GazeAuthError))
        if isinstance(err, GazeConnectionError | GazeAuthError):
            self._server_failing = True
            self._on_server(err)

    def _note_success(self) -> None:
        """Report that the server works again."""
        self._note_key(rejected=False)
        if self._server_failing:
            self._server_failing = False
            self._on_server(None)

    def _note_key(self, *, rejected: bool) -> None:
        """Count no time while GAZE rejects the key: open jobs continue with the new one."""
        self._key_rejected = rejected
        if rejected:
            self._clocks.pause(self._now)
        else:
            self._clocks.resume(self._now)

    # Reports

    async def _process_report(self, job_id: str, report: JobReport) -> None:
        """Process what GAZE reports about a job."""
        job = self._jobs.get(job_id)
        if job is None or not job.open or job.source_url is not None:
            self._pacer.end(job_id, self._now, done=False)
            return
        match report.status:
            case ReportedStatus.DONE:
                await self._process_done(job, report)
            case ReportedStatus.FAILED:
                await self._drop(job_id, Reason.SERVER, format_one_line(report.error or ""))
            case ReportedStatus.PROCESSING:
                self._pacer.process(job_id, self._now)
                await self._process_start(job)
            case ReportedStatus.PENDING:
                self._restored.discard(job_id)
                self._process_waiting(job)
            case _:
                self._note_unknown_status(report.status)
                if job.status is Status.PROCESSING:
                    self._pacer.process(job_id, self._now)
                else:
                    self._process_waiting(job)

    def _note_unknown_status(self, status: str) -> None:
        """Log a status that the REST guide does not name, once. The job is still open."""
        known = self._unknown_statuses
        if status not in known and len(known) < MAX_UNKNOWN_STATUSES:
            known.add(status)
            _LOGGER.debug("Treating the unknown status %.50r as open", status)

    async def _process_start(self, job: Job) -> None:
        """Note that GAZE generates the image, and fire the event the first time."""
        if job.status is Status.PROCESSING:
            return
        again = job.started_at is not None
        job = self._change(job, status=Status.PROCESSING, started_at=self._date(job))
        self._notify(None if again else JobEvent.STARTED, job)
        await self._records.async_save(job)

    def _process_waiting(self, job: Job) -> None:
        """Note that a job waits in the queue."""
        self._pacer.wait(job.job_id, self._now)
        if job.status is not Status.QUEUED:
            self._notify(None, self._change(job, status=Status.QUEUED))

    async def _process_done(self, job: Job, report: JobReport) -> None:
        """Note a finished image and download it."""
        result = report.result
        has_image = result is not None and bool(result.image_url)
        if not has_image and self._may_get_image(job.job_id):
            self._pacer.fail_job(job.job_id, self._now)
            return
        span = self._end_span(job.job_id)
        if result is None or not result.image_url:
            await self._fail(job.job_id, Reason.NO_IMAGE)
        else:
            job = self._change(
                job,
                status=Status.PROCESSING,
                seed=job.seed if result.seed is None else str(result.seed),
                source_url=result.image_url,
                image_number=self._next_image_number(),
                **self._date_span(job, span),
            )
            await self._records.async_save(job)
            if self._jobs[job.job_id].open:  # it was not stopped meanwhile
                self._downloads.start(job)
        if span is not None:
            samples = self.durations.samples(job.key)
            await self._records.async_save_durations(job.key, samples)
        if (next_id := self._pacer.infer_start(self._now)) is not None:
            await self._process_start(self._jobs[next_id])

    def _may_get_image(self, job_id: str) -> bool:
        """Return whether to poll a job again that is done without an image.

        GAZE may change the status of a job before it adds the result.
        """
        self._imageless[job_id] += 1
        return self._imageless[job_id] < MAX_IMAGELESS_POLLS

    def _next_image_number(self) -> int:
        """Return a number that is higher than those of all images and jobs before.

        The wall clock may be set back: images are ordered by when they were reported.
        """
        return 1 + max(
            int(_wall() * MICROSECONDS),
            self._gallery.last_number,
            *(job.image_number or 0 for job in self._jobs.values()),
        )

    def _end_span(self, job_id: str) -> Span | None:
        """Stop polling a job that is done, and return when its image was made.

        If the job may have started in an earlier run, nothing is learned: the time between two
        runs is known by the wall clock only, which may have jumped.
        """
        started_in_this_run = job_id not in self._restored
        return self._pacer.end(job_id, self._now, done=started_in_this_run)

    def _date_span(self, job: Job, span: Span | None) -> dict[str, Any]:
        """Return the times of a job that is done. The duration is their difference, or None."""
        noticed = self._date(job)
        if span is None:
            return {"finished_at": noticed, "duration": None}
        offset = noticed - self._now
        finished_at = max(span.likely_end + offset, job.requested_at)
        if not span.started:
            return {"finished_at": finished_at, "duration": None}
        started_at = min(max(span.likely_start + offset, job.requested_at), finished_at)
        known = span.duration is not None
        return {
            "started_at": started_at,
            "finished_at": finished_at,
            "duration": round(finished_at - started_at, 1) if known else None,
        }

    # Ends and events

    async def _drop(self, job_id: str, reason: Reason, error: str | None = None) -> None:
        """Stop polling a job and end it without an image."""
        if (job := self._jobs.get(job_id)) is not None and job.source_url is None:
            self._pacer.end(job_id, self._now, done=False)
        await self._fail(job_id, reason, error)

    async def _fail(self, job_id: str, reason: Reason, error: str | None = None) -> None:
        """End a job without an image."""
        await self._end(job_id, Status.FAILED, reason=reason, error=error or None)

    async def _finish(self, job_id: str) -> None:
        """End a job whose image is in the gallery."""
        await self._end(job_id, Status.DONE)

    async def _end(self, job_id: str, status: Status, **changes: Any) -> None:
        """End a job: on disk first, then with its event. A job that has ended stays as it is."""
        await self._fire_queued([job_id])
        job = self._jobs.get(job_id)
        if job is None or job.end_fired or job_id in self._ending:
            return
        if job.open:
            finished_at = job.finished_at or self._date(job)
            changes = {"status": status, "finished_at": finished_at} | changes
            changes["in_backup"] = status is Status.DONE and self._backup_state.active
            job = self._change(job, **changes)
        self._ending.add(job_id)
        try:
            await self._records.async_save(job)
            await self._fire_end(job)
        finally:
            self._ending.discard(job_id)
        self._wake_tracker()

    async def _fire_queued(self, job_ids: list[str]) -> None:
        """Fire the events of queued jobs that have none yet, and note it.

        While Home Assistant stops, no automation would run: the next start fires them.
        """
        if self._hass.is_stopping:
            return
        fired: list[str] = []
        for job_id in job_ids:
            if fired:
                await asyncio.sleep(0)  # listeners may be slow: others get a turn in between
            if (job := self._jobs.get(job_id)) is not None and not job.queued_fired:
                self._notify(JobEvent.QUEUED, self._change(job, queued_fired=True))
                fired.append(job_id)
        if fired:
            await self._records.async_save(*(self._jobs[job_id] for job_id in fired))

    async def _fire_end(self, job: Job) -> None:
        """Fire the event of an ended job, note it, and wake the callers that wait for it."""
        if self._hass.is_stopping:
            return
        done = job.status is Status.DONE
        self._notify(JobEvent.FINISHED if done else JobEvent.FAILED, job)
        job = self._change(job, end_fired=True)
        self._discard_state(job.job_id)
        if (ending := self._endings.pop(job.job_id, None)) is not None and not ending.done():
            ending.set_result(None)
        await self._records.async_save(job)
        await self._shorten_history()

    def _discard_state(self, job_id: str) -> None:
        """Discard what is only needed for open jobs."""
        self._clocks.stop(job_id)
        self._crashes.pop(job_id, None)
        self._imageless.pop(job_id, None)
        self._tracked.discard(job_id)
        self._restored.discard(job_id)

    async def _shorten_history(self) -> None:
        """Discard the oldest of the ended jobs."""
        ended = [job.job_id for job in self._jobs.values() if job.end_fired]
        if surplus := ended[:-MAX_ENDED]:
            for job_id in surplus:
                del self._jobs[job_id]
            await self._records.async_discard(surplus)

    def _notify(self, event: JobEvent | None, job: Job) -> None:
        """Call the listener. Its errors do not end the job."""
        try:
            self._on_job(event, job)
        except Exception as err:  # noqa: BLE001 - the job goes on
            self._crash_log.report("firing an event", err)

    def _change(self, job: Job, **changes: Any) -> Job:
        """Change a job in memory and return it."""
        changes.setdefault("tracked_for", self._clocks.tracked_for(job, self._now))
        changed = self._jobs[job.job_id] = replace(job, **changes)
        return changed

    def _date(self, job: Job) -> float:
        """Return the time of what happens to a job now, in seconds since the epoch."""
        return self._clocks.date(job, self._now, _wall())

    @property
    def _now(self) -> float:
        """Return the monotonic time in seconds."""
        return self._hass.loop.time()


def _job_of_image(image: Image) -> Job:
    """Return the ended job of an image whose record left the history."""
    return Job(
        job_id=image.job_id,
        batch_id=image.batch_id,
        index=1,
        count=1,
        status=Status.DONE,
        preset=image.preset,
        preset_name=image.preset_name,
        recipe=image.recipe,
        recipe_name=image.recipe_name,
        title=image.title,
        tag=image.tag,
        seed=image.seed,
        width=image.requested_width,
        height=image.requested_height,
        checkpoint=image.checkpoint,
        extra_positive=image.extra_positive,
        extra_negative=image.extra_negative,
        requested_at=image.made_at,
        finished_at=image.made_at,
        image_number=image.number,
        queued_fired=True,
        end_fired=True,
    )


def _wall() -> float:
    """Return the time of the wall clock, in seconds since the epoch."""
    return dt_util.utcnow().timestamp()
