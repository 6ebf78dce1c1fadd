"""The job engine: queues generations, follows them, and brings their pictures home.

A job's way: accepted by the server → on disk → event `queued` → followed at the pace of
`pacing.py` → event `started` → done: fetched, proved and kept in the gallery → event
`finished`; or event `failed` with a reason. Every step is on disk before the next one, so a
process that is killed anywhere goes on from there: an event may then repeat, none is missing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import replace
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
    GazeImageError,
    GazeNotFoundError,
    GazeResponseError,
    JobReport,
    Preset,
    ReportedStatus,
    one_line,
)
from ..gallery import Gallery, GalleryError, Image, PictureError
from .models import GenerateRequest, Job, JobEvent, Reason, Status
from .pacing import MAX_GAP, Durations, Expectation, Key, Pacer
from .records import Records

_LOGGER = logging.getLogger(__name__)

KEPT_ENDED: Final = 500
DOWNLOAD_TRIES: Final = 11
DOWNLOADS_AT_ONCE: Final = 2
UNKNOWN_DURATION: Final = 20.0
SUBMIT_GRACE: Final = 10.0
MAX_UNKNOWN_STATUSES: Final = 20

type JobListener = Callable[[JobEvent | None, Job], None]
type ServerListener = Callable[[GazeError | None], None]


class TooManyOpenJobsError(Exception):
    """The request would make more jobs open than the option allows."""


class JobEngine:
    """The jobs of one server."""

    def __init__(  # noqa: PLR0913 - it is wired at one place only
        self,
        hass: HomeAssistant,
        client: GazeClient,
        records: Records,
        gallery: Gallery,
        *,
        on_job: JobListener,
        on_server: ServerListener,
        max_open_jobs: int,
        give_up_after: float,
    ) -> None:
        """Wire the engine.

        on_job: told what happens to a job; `None` for a change that is no event.
        on_server: told a failure of the server, and `None` when it answers again.
        give_up_after: seconds that an open job is followed.
        """
        self._hass = hass
        self._client = client
        self._records = records
        self._gallery = gallery
        self._on_job = on_job
        self._on_server = on_server
        self._max_open_jobs = max_open_jobs
        self._give_up_after = give_up_after
        self._jobs: dict[str, Job] = {}
        self._pacer = Pacer(Durations())
        self._endings: dict[str, asyncio.Future[None]] = {}
        self._running = False
        self._tracker: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._requests: list[GenerateRequest] = []  # those that the server has not answered yet
        self._submits: set[asyncio.Task[list[Job]]] = set()
        self._fetches: dict[str, asyncio.Task[None]] = {}
        self._fetch_slots = asyncio.Semaphore(DOWNLOADS_AT_ONCE)
        self._unknown_statuses: set[str] = set()
        self._server_failing = False

    # Reading

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
        """Return what is known about how long images take."""
        return self._pacer.durations

    @property
    def pacing(self) -> dict[str, Any]:
        """Return what goes on, for diagnostics; `in` is seconds from now."""
        question = self._pacer.next_question(self._now)
        return {
            "following": self._tracker is not None and not self._tracker.done(),
            "server_failing": self._server_failing,
            "requests": len(self._requests),
            "fetching": sorted(self._fetches),
            "next_question": question
            and {"job_id": question[0], "in": round(max(question[1] - self._now, 0.0), 1)},
            "unknown_statuses": sorted(status[:50] for status in self._unknown_statuses),
        }

    def job(self, job_id: str) -> Job | None:
        """Return a job, or None where it is not known (any more)."""
        return self._jobs.get(job_id)

    def batch(self, batch_id: str) -> list[Job]:
        """Return the jobs of a batch."""
        return [job for job in self._jobs.values() if job.batch_id == batch_id]

    def is_busy_with(self, preset: str) -> bool:
        """Tell whether images of a preset, by slug, are being made or asked for."""
        return any(job.preset == preset for job in self.open_jobs) or any(
            request.preset.slug == preset for request in self._requests
        )

    def seconds_until_free(self, unknown: float | None = None) -> float | None:
        """Return how long the open jobs will take, by what was learned.

        `unknown` stands for durations not learned yet; without it the answer is then None.
        """
        now = dt_util.utcnow().timestamp()
        total = 0.0
        known: dict[Key, Expectation | None] = {}  # a thousand jobs have few keys
        for job in self.open_jobs:
            if job.source_url is not None:
                continue
            if (key := job.key) not in known:
                known[key] = self.durations.expected(key)
            expected = known[key]
            typical = unknown if expected is None else expected.typical
            if typical is None:
                return None
            processed = 0.0 if job.started_at is None else now - job.started_at
            total += max(typical - processed, 0.0)
        return total

    def load(self) -> float:
        """Return about how many seconds of work wait, to compare servers."""
        return self.seconds_until_free(unknown=UNKNOWN_DURATION) or 0.0

    # Life

    async def async_load(self) -> None:
        """Read what is kept. Raises sqlite3.OperationalError where that is not possible."""
        jobs, durations = await self._records.async_open()
        self._pacer = Pacer(durations)
        self._jobs = {job.job_id: job for job in jobs}

    async def async_start(self) -> None:
        """Go on where the last run stopped: tell what was not told, follow what is open."""
        self._running = True
        for job in list(self._jobs.values()):
            if not job.queued_fired:
                await self._fire_queued([job.job_id])
            if not job.open and not job.end_fired:
                await self._fire_end(self._jobs[job.job_id])
        for job in self.open_jobs:
            self._start_tracking(job)
        self._wake_tracker()

    async def async_stop(self) -> None:
        """Stop following; what is open goes on with the next start."""
        self._running = False
        if self._submits:
            await asyncio.wait(self._submits, timeout=SUBMIT_GRACE)
        tasks = [*self._fetches.values()]
        if self._tracker is not None:
            tasks.append(self._tracker)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tracker = None
        for ending in self._endings.values():
            ending.cancel()
        self._endings.clear()
        await self._records.async_close()

    # Doing

    async def async_generate(self, request: GenerateRequest) -> list[Job]:
        """Queue a generation: the one place that does. Returns its jobs, on disk and told.

        A caller that goes away does not undo it. Raises TooManyOpenJobsError or the GazeError.
        """
        task = self._hass.async_create_task(self._submit(request), "gaze generate")
        self._submits.add(task)
        task.add_done_callback(self._submitted)
        return await asyncio.shield(task)

    async def async_track(self, job_id: str, preset: Preset, tag: str | None) -> list[Job]:
        """Follow a job that was queued elsewhere. Raises the GazeError, also for an unknown job."""
        if (known := self._jobs.get(job_id)) is not None and known.open:
            return [known]
        await self._request(self._client.job(job_id))
        return await self._accept(GenerateRequest(preset=preset, tag=tag), [job_id])

    async def async_stop_tracking(self, jobs: Iterable[Job]) -> None:
        """Forget open jobs here; the server may make their images all the same."""
        for job in jobs:
            self._pacer.ended(job.job_id, self._now, done=False)
            if (fetch := self._fetches.get(job.job_id)) is not None:
                fetch.cancel()
            await self._fail(job.job_id, Reason.STOPPED)

    @callback
    def async_resume(self) -> None:
        """Follow again after the server refused the API key."""
        self._wake_tracker()

    async def async_wait(self, job_ids: Iterable[str]) -> bool:
        """Return True when all the jobs have ended and their events were fired.

        Returns False when the engine stops before that.
        """
        endings = [
            self._endings.setdefault(job_id, self._hass.loop.create_future())
            for job_id in job_ids
            if (job := self._jobs.get(job_id)) is not None and not job.end_fired
        ]
        if endings:
            await asyncio.wait(endings)
        return not any(ending.cancelled() for ending in endings)

    # Queueing

    async def _submit(self, request: GenerateRequest) -> list[Job]:
        """Queue a generation."""
        asked_for = sum(waiting.count for waiting in self._requests)
        if len(self.open_jobs) + asked_for + request.count > self._max_open_jobs:
            raise TooManyOpenJobsError
        self._requests.append(request)
        try:
            job_ids = await self._request(
                self._client.generate(request.preset.slug, request.as_options())
            )
        finally:
            self._requests.remove(request)
        if any(job_id in self._jobs for job_id in job_ids):
            raise GazeResponseError("the server gave a new job the id of an old one")
        return await self._accept(request, job_ids)

    async def _accept(self, request: GenerateRequest, job_ids: list[str]) -> list[Job]:
        """Keep jobs that the server accepted, tell them, and begin to follow them."""
        now = dt_util.utcnow().timestamp()
        batch_id = ulid_now()
        jobs = [
            Job(
                job_id=job_id,
                batch_id=batch_id,
                index=index,
                count=len(job_ids),
                preset=request.preset.slug,
                preset_name=request.preset.name,
                tag=request.tag,
                seed=None if request.seed is None else str(request.seed),
                width=request.width,
                height=request.height,
                checkpoint=request.checkpoint,
                extra_positive=request.extra_positive,
                extra_negative=request.extra_negative,
                requested_at=now,
            )
            for index, job_id in enumerate(job_ids, start=1)
        ]
        self._jobs.update((job.job_id, job) for job in jobs)
        await self._records.async_save(*jobs)
        await self._fire_queued(job_ids)
        jobs = [self._jobs[job_id] for job_id in job_ids]
        for job in jobs:
            if job.open:  # nobody has stopped it meanwhile
                self._start_tracking(job)
        self._wake_tracker()
        return jobs

    def _submitted(self, task: asyncio.Task[list[Job]]) -> None:
        """Let go of a request; its caller, where there still is one, gets the error."""
        self._submits.discard(task)
        if not task.cancelled() and (err := task.exception()) is not None:
            _LOGGER.debug("A generation was not queued: %s", err)

    def _start_tracking(self, job: Job) -> None:
        """Begin to follow an open job, or to fetch its picture where that is all that is left."""
        if job.source_url is not None:
            self._fetch(job)
            return
        offset = self._now - dt_util.utcnow().timestamp()
        self._pacer.add(
            job.job_id,
            job.key,
            accepted=job.requested_at + offset,
            started=None if job.started_at is None else job.started_at + offset,
        )

    # Following

    @callback
    def _wake_tracker(self) -> None:
        """See to it that the open jobs are followed."""
        self._changed.set()
        if self._running and len(self._pacer) and (self._tracker is None or self._tracker.done()):
            self._tracker = self._hass.async_create_background_task(
                self._track_jobs(), "gaze follow jobs"
            )

    async def _track_jobs(self) -> None:
        """Ask for one job after the other until none is open."""
        while (question := self._pacer.next_question(self._now)) is not None:
            job_id, due = question
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(max(due - self._now, 0)):
                    await self._changed.wait()
                    continue
            if not await self._poll(job_id):
                return

    async def _poll(self, job_id: str) -> bool:
        """Ask how a job stands and act on it. Returns whether to go on asking."""
        self._pacer.asking(job_id, self._now)
        try:
            report = await self._request(self._client.job(job_id))
        except GazeAuthError:
            return False  # the jobs wait for the new key
        except GazeNotFoundError:
            self._pacer.ended(job_id, self._now, done=False)
            await self._fail(job_id, Reason.LOST)
        except GazeResponseError:
            self._pacer.garbled(job_id, self._now)
        except GazeError as err:
            self._pacer.failed(
                self._now, err.retry_after if isinstance(err, GazeBusyError) else None
            )
        else:
            await self._process_report(job_id, report)
        await self._give_up_if_too_old(job_id)
        return True

    async def _request[T](self, request: Awaitable[T]) -> T:
        """Await a request and tell whether the server can be reached with our key."""
        try:
            answer = await request
        except (GazeConnectionError, GazeAuthError) as err:
            self._server_failing = True
            self._on_server(err)
            raise
        except GazeError:
            self._server_answers()
            raise
        self._server_answers()
        return answer

    def _server_answers(self) -> None:
        """Tell that the server answers again."""
        if self._server_failing:
            self._server_failing = False
            self._on_server(None)

    async def _process_report(self, job_id: str, report: JobReport) -> None:
        """Act on what the server says of a job."""
        job = self._jobs.get(job_id)
        if job is None or not job.open:
            self._pacer.ended(job_id, self._now, done=False)
            return
        match report.status:
            case ReportedStatus.DONE:
                await self._done(job, report)
            case ReportedStatus.FAILED:
                self._pacer.ended(job_id, self._now, done=False)
                await self._fail(job_id, Reason.SERVER, one_line(report.error or ""))
            case ReportedStatus.PROCESSING:
                self._pacer.processing(job_id, self._now)
                await self._started(job)
            case ReportedStatus.PENDING:
                self._waiting(job)
            case _:
                known = self._unknown_statuses
                if report.status not in known and len(known) < MAX_UNKNOWN_STATUSES:
                    known.add(report.status)
                    _LOGGER.debug("Taking the unknown status %.50r for still open", report.status)
                if job.status is Status.PROCESSING:
                    self._pacer.processing(job_id, self._now)
                else:
                    self._waiting(job)

    async def _started(self, job: Job) -> None:
        """Note that a job is being made, and tell it once."""
        if job.status is Status.PROCESSING:
            return
        again = job.started_at is not None
        job = self._change(job, status=Status.PROCESSING, started_at=dt_util.utcnow().timestamp())
        self._on_job(None if again else JobEvent.STARTED, job)
        await self._records.async_save(job)

    def _waiting(self, job: Job) -> None:
        """Note that a job still waits, or waits again."""
        self._pacer.waiting(job.job_id, self._now)
        if job.status is not Status.QUEUED:
            self._on_job(None, self._change(job, status=Status.QUEUED))

    async def _done(self, job: Job, report: JobReport) -> None:
        """Note a finished image and fetch it."""
        duration = self._pacer.ended(job.job_id, self._now, done=True)
        result = report.result
        if result is None or not result.image_url:
            await self._fail(job.job_id, Reason.NO_IMAGE)
        else:
            job = self._change(
                job,
                status=Status.PROCESSING,
                finished_at=dt_util.utcnow().timestamp(),
                duration=None if duration is None else round(duration, 1),
                seed=job.seed if result.seed is None else str(result.seed),
                source_url=result.image_url,
            )
            await self._records.async_save(job)
            self._fetch(job)
        if duration is not None:
            samples = self.durations.samples(job.key)
            await self._records.async_save_durations(job.key, samples)
        if (next_id := self._pacer.presume_started(self._now)) is not None:
            await self._started(self._jobs[next_id])

    async def _give_up_if_too_old(self, job_id: str) -> None:
        """End a job that has been open for too long."""
        if (job := self._jobs.get(job_id)) is None:
            return
        age = dt_util.utcnow().timestamp() - job.requested_at
        if job.open and job.source_url is None and age > self._give_up_after:
            self._pacer.ended(job_id, self._now, done=False)
            await self._fail(job_id, Reason.GAVE_UP)

    # Fetching

    def _fetch(self, job: Job) -> None:
        """Begin to fetch a finished image."""
        task = self._hass.async_create_background_task(
            self._fetch_image(job), f"gaze fetch {job.job_id}"
        )
        self._fetches[job.job_id] = task
        task.add_done_callback(lambda _: self._fetches.pop(job.job_id, None))

    async def _fetch_image(self, job: Job) -> None:
        """Fetch a finished image and keep it; try again for minutes, or while GAZE is off.

        Only tries that reached the server count: 1, 2, 4 … 60 s apart, eleven in all.
        """
        tries = outages = 0
        while True:
            try:
                async with self._fetch_slots:
                    await self._fetch_once(job)
            except (GazeConnectionError, GazeBusyError, GazeAuthError) as err:
                outages += 1
                error: Exception = err
            except (GazeError, PictureError, GalleryError) as err:
                tries += 1
                error = err
            else:
                await self._end(job.job_id, Status.DONE)
                return
            age = dt_util.utcnow().timestamp() - job.requested_at
            final = isinstance(error, GazeImageError) and error.final
            if final or tries >= DOWNLOAD_TRIES or age > self._give_up_after:
                await self._fail(job.job_id, Reason.DOWNLOAD, str(error))
                return
            await asyncio.sleep(min(2.0 ** (tries + outages - 1), MAX_GAP))

    async def _fetch_once(self, job: Job) -> None:
        """Fetch a finished image, prove it and keep it."""
        content = await self._request(self._client.image(job.source_url or ""))
        await self._gallery.async_add(
            Image(
                job_id=job.job_id,
                preset=job.preset,
                preset_name=job.preset_name,
                batch_id=job.batch_id,
                tag=job.tag,
                seed=job.seed,
                checkpoint=job.checkpoint,
                extra_positive=job.extra_positive,
                extra_negative=job.extra_negative,
                made_at=job.finished_at or job.requested_at,
            ),
            content,
        )

    # Ending and telling

    async def _fail(self, job_id: str, reason: Reason, error: str | None = None) -> None:
        """End a job without an image."""
        await self._end(job_id, Status.FAILED, reason=reason, error=error or None)

    async def _end(self, job_id: str, status: Status, **changes: Any) -> None:
        """End an open job: on disk first, then told."""
        await self._fire_queued([job_id])
        job = self._jobs.get(job_id)
        if job is None or not job.open:
            return
        finished_at = job.finished_at or dt_util.utcnow().timestamp()
        job = self._change(job, status=status, finished_at=finished_at, **changes)
        await self._records.async_save(job)
        await self._fire_end(job)
        self._wake_tracker()

    async def _fire_queued(self, job_ids: list[str]) -> None:
        """Tell that jobs are queued, where nobody has yet, and note that they were told."""
        told: list[str] = []
        for job_id in job_ids:
            if told:
                await asyncio.sleep(0)  # who listens may be slow: others get a turn in between
            if (job := self._jobs.get(job_id)) is not None and not job.queued_fired:
                self._on_job(JobEvent.QUEUED, self._change(job, queued_fired=True))
                told.append(job_id)
        if told:
            await self._records.async_save(*(self._jobs[job_id] for job_id in told))

    async def _fire_end(self, job: Job) -> None:
        """Tell how a job ended, note that it was told, and wake who waits for it."""
        done = job.status is Status.DONE
        self._on_job(JobEvent.FINISHED if done else JobEvent.FAILED, job)
        job = self._change(job, end_fired=True)
        if (ending := self._endings.pop(job.job_id, None)) is not None and not ending.done():
            ending.set_result(None)
        await self._records.async_save(job)
        ended = [old.job_id for old in self._jobs.values() if old.end_fired]
        if forgotten := ended[:-KEPT_ENDED]:
            for job_id in forgotten:
                del self._jobs[job_id]
            await self._records.async_forget(forgotten)

    def _change(self, job: Job, **changes: Any) -> Job:
        """Change a job in memory and return it."""
        changed = self._jobs[job.job_id] = replace(job, **changes)
        return changed

    @property
    def _now(self) -> float:
        """Return the time by which questions are paced, in seconds."""
        return self._hass.loop.time()
