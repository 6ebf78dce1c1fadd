"""The queue of the fake GAZE server: its jobs, and a worker that generates their images."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
import itertools
from pathlib import Path
import random
import re
import time
from typing import Any
import uuid

from .drawing import MAX_SIDE, Picture, draw
from .faults import Fault, Faults
from .misbehavior import Target

DEFAULT_CHECKPOINT = "Illustrious/gaze.safetensors"
SEED_LIMIT = 2**64  # upper limit of random seeds
UPLOADS = "/static/uploads/"


class JobStatus(StrEnum):
    """Status of a job in GAZE's API."""

    PENDING = "pending"
    PROCESSING = "processing"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class DemoPreset:
    """A preset in GAZE's list."""

    preset_id: str
    name: str
    has_cover: bool = True

    @property
    def slug(self) -> str:
        """The ID without characters that GAZE removes from addresses."""
        return re.sub(r"[^A-Za-z0-9_]", "", self.preset_id)


@dataclass(kw_only=True, slots=True)
class JobRecord:
    """A job with its history. Times are seconds since 1970."""

    job_id: str
    preset: DemoPreset
    picture: Picture
    body: dict[str, Any]  # of the request, empty for a job of the web UI
    foreign: bool
    seconds: float | None  # duration, or None for a job that tests finish
    queued_at: float
    status: JobStatus = JobStatus.PENDING
    error: str | None = None
    image_url: str | None = None
    started_at: float | None = None
    finished_at: float | None = None
    known: bool = True  # False if GAZE discarded it and responds with 404
    settled: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    @property
    def seed(self) -> int:
        """The seed of the image."""
        return self.picture.seed

    @property
    def is_open(self) -> bool:
        """Whether the job has not ended."""
        return self.known and self.status in {JobStatus.PENDING, JobStatus.PROCESSING}


class ImageFiles:
    """Finished images by their path below `UPLOADS`, in memory or in a directory."""

    def __init__(self, directory: Path | None) -> None:
        """Store files in the directory, or in memory if it is None."""
        self._directory = directory
        self._memory: dict[str, bytes] = {}

    def __contains__(self, path: str) -> bool:
        """Return whether a file exists."""
        if self._directory is None:
            return path in self._memory
        return (self._directory / path).is_file()

    def write(self, path: str, data: bytes) -> None:
        """Write a file, which replaces an older one."""
        if self._directory is None:
            self._memory[path] = data
            return
        file = self._directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)

    def read(self, path: str) -> bytes | None:
        """Return the bytes of a file, or None if it does not exist."""
        if path not in self:
            return None
        if self._directory is None:
            return self._memory[path]
        return (self._directory / path).read_bytes()

    def delete(self, path: str) -> None:
        """Delete a file if it exists."""
        if self._directory is None:
            self._memory.pop(path, None)
            return
        (self._directory / path).unlink(missing_ok=True)


class JobQueue:
    """A queue in memory that processes one job at a time, first in, first out, as GAZE does.

    `duration` is the duration of an image in seconds, varied by the share `jitter`. With 0, a
    job is done before its first poll. With None, jobs change only with `begin`, `finish`, and
    `fail`, and no timer is used.
    """

    def __init__(  # noqa: PLR0913 - each is an option of the command line
        self,
        *,
        duration: float | None = 8.0,
        jitter: float = 0.1,
        checkpoint_load: float = 0.0,
        size: tuple[int, int] = (768, 1152),
        seed: int | None = None,
        faults: Faults | None = None,
        images: Path | None = None,
    ) -> None:
        """Create an empty queue. `size` is the default size of images in pixels."""
        self.faults = Faults() if faults is None else faults
        self.files = ImageFiles(images)
        self.size = size
        self._duration = duration
        self._jitter = jitter
        self._checkpoint_load = checkpoint_load
        self.random = random.Random(seed)  # noqa: S311 - nothing here is a secret
        self._records: dict[str, JobRecord] = {}
        self._by_path: dict[str, JobRecord] = {}
        self._loaded_checkpoint = DEFAULT_CHECKPOINT
        self._worked = 0
        self._created_at = int(time.time())
        self._arrival = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None
        self._dismissed: set[asyncio.Task[None]] = set()

    @property
    def jobs(self) -> list[JobRecord]:
        """All jobs in order of arrival, including discarded ones."""
        return list(self._records.values())

    def job(self, job_id: str) -> JobRecord:
        """Return a job, also a discarded one. Raises KeyError if it never existed."""
        return self._records[job_id]

    def job_of_image(self, path: str) -> JobRecord | None:
        """Return the newest job whose image has a path below `UPLOADS`."""
        return self._by_path.get(path)

    def picture(self, job_id: str) -> bytes:
        """Return the PNG file of a job, also if it was deleted on the server.

        Raises LookupError if the job has no image.
        """
        job = self.job(job_id)
        if job.status is not JobStatus.DONE:
            raise LookupError(f"Job {job_id} is {job.status}")
        return draw(job.picture)

    def add(
        self,
        preset: DemoPreset,
        body: dict[str, Any],
        *,
        duration: float | None = None,
        foreign: bool = False,
    ) -> JobRecord:
        """Queue one image of a preset. `body` is the valid body of a request.

        A fixed seed applies to every image of a request. The guide does not specify this.
        """
        seed = body.get("seed")
        width, height = body.get("width"), body.get("height")
        if width is None or height is None:
            width, height = self.size
        seconds = self._duration if duration is None or self._duration is None else duration
        if seconds is not None:
            seconds *= 1 + self.random.uniform(-self._jitter, self._jitter)
        job = JobRecord(
            job_id=str(uuid.uuid4()),
            preset=preset,
            picture=Picture(
                slug=preset.slug,
                name=preset.name,
                prompt=str(body.get("extra_positive") or ""),
                negative=str(body.get("extra_negative") or ""),
                checkpoint=str(body.get("checkpoint") or DEFAULT_CHECKPOINT),
                seed=self._random_seed(preset.slug) if seed is None else int(seed),
                width=width,
                height=height,
            ),
            body=body,
            foreign=foreign,
            seconds=seconds,
            queued_at=time.time(),
        )
        self._records[job.job_id] = job
        self._arrival.set()
        return job

    def _random_seed(self, slug: str) -> int:
        if self.faults.use(Fault.SEED_BEYOND, Target(preset=slug)):
            return SEED_LIMIT - 1 - self.random.randrange(1000)
        return self.random.randrange(SEED_LIMIT)

    def begin(self, job_id: str | None = None) -> str:
        """Start the first job of the queue, or a named one. Returns its ID.

        Raises LookupError if no such job is pending.
        """
        job = self._next(job_id, [JobStatus.PENDING])
        if (age := self.faults.use(Fault.PRUNE_AT_ONCE)) is not None:
            self._forget(
                old
                for old in self.jobs
                if old.finished_at is not None and old.finished_at <= time.time() - age
            )
        job.status = JobStatus.PROCESSING
        job.started_at = time.time()
        return job.job_id

    async def finish(self, job_id: str | None = None) -> str:
        """Finish the current job, the next one, or a named one. Returns its ID.

        The job fails if GAZE could not generate this image. Raises LookupError if no such job
        is open.
        """
        job = self._next(job_id, [JobStatus.PROCESSING, JobStatus.PENDING])
        in_hand = job.status is JobStatus.PROCESSING
        if not in_hand:
            self.begin(job.job_id)
        await self._make(job, 0)
        if in_hand:
            self._replace_worker()
        return job.job_id

    def fail(self, job_id: str | None = None, error: str = "ComfyUI: out of memory") -> str:
        """Fail the current job, the next one, or a named one. Returns its ID.

        Raises LookupError if no such job is open.
        """
        job = self._next(job_id, [JobStatus.PROCESSING, JobStatus.PENDING])
        in_hand = job.status is JobStatus.PROCESSING
        self._end(job, error)
        if in_hand:
            self._replace_worker()
        return job.job_id

    def clear_queue(self) -> None:
        """Discard the pending jobs. The current one continues."""
        self._forget(job for job in self.jobs if job.status is JobStatus.PENDING)

    def prune(self, job_id: str | None = None) -> None:
        """Discard the finished jobs, or a named one."""
        self._forget(
            job for job in self.jobs if job.finished_at is not None and job_id in {None, job.job_id}
        )

    def restart(self) -> None:
        """Discard all jobs but no images, as a restart of GAZE does."""
        self._forget(self.jobs)
        self._replace_worker()

    def _next(self, job_id: str | None, statuses: Sequence[JobStatus]) -> JobRecord:
        """Return the named open job, or the first one with the first status that occurs."""
        candidates = [
            job
            for status in statuses
            for job in self._records.values()
            if job.known and job.status is status and job_id in {None, job.job_id}
        ]
        if not candidates:
            raise LookupError(f"No open job {job_id or ''}".rstrip())
        return candidates[0]

    def _forget(self, jobs: Iterable[JobRecord]) -> None:
        for job in jobs:
            job.known = False
            job.settled.set()

    async def _make(self, job: JobRecord, seconds: float) -> None:
        """Process a job for its duration, and end it with an image or an error."""
        self._worked += 1
        if (error := self._obstacle(job)) is not None:
            await asyncio.sleep(seconds)
            self._end(job, error)
            return
        data, _ = await asyncio.gather(asyncio.to_thread(draw, job.picture), asyncio.sleep(seconds))
        if job.is_open:  # it may have ended meanwhile, or the server restarted
            path = self._file_path(job)
            self.files.write(path, data)
            job.image_url = f"{UPLOADS}{path}"
            self._by_path[path] = job
        self._end(job)

    def _obstacle(self, job: JobRecord) -> str | None:
        """Return why ComfyUI cannot generate an image, or None if it can."""
        sides = (job.picture.width, job.picture.height)
        if any(side % 8 or not 16 <= side <= 16384 for side in sides):  # noqa: PLR2004 - ComfyUI's
            return "ComfyUI: Prompt outputs failed validation: EmptyLatentImage"
        if max(sides) > MAX_SIDE:
            return "ComfyUI: torch.OutOfMemoryError: CUDA out of memory"
        every = self.faults.use(Fault.FAIL_EVERY, Target(preset=job.picture.slug))
        if every and self._worked % every == 0:
            return "ComfyUI: Connection refused"
        return None

    def _end(self, job: JobRecord, error: str | None = None) -> None:
        if not job.is_open:
            return
        if job.started_at is None:
            job.started_at = time.time()
        job.status = JobStatus.DONE if error is None else JobStatus.FAILED
        job.error = error
        job.finished_at = time.time()
        job.settled.set()

    def _file_path(self, job: JobRecord) -> str:
        """Return the path of a new image, which contains the second, as in GAZE.

        Images of the same second get different names, unless a fault lets them share a file.
        """
        folder = f"presets/{job.preset.slug}"
        target = Target(preset=job.preset.slug)
        if self.faults.use(Fault.SAME_FILE_NAME, target):
            return f"{folder}/gen_{self._created_at}.png"
        if (name := self.faults.use(Fault.FILE_NAME, target)) is not None:
            return self._free_path(f"{folder}/{name}")
        second = int(time.time())
        while (path := f"{folder}/gen_{second}.png") in self.files:
            second += 1
        return path

    def _free_path(self, path: str) -> str:
        """Return an unused path by adding a number before the suffix if needed."""
        stem, _, suffix = path.rpartition(".")
        numbered = (f"{stem} {number}.{suffix}" for number in itertools.count(2))
        return next(free for free in itertools.chain([path], numbered) if free not in self.files)

    async def settle(self, job: JobRecord) -> None:
        """Wait for a job without duration, so that clients never see it unfinished."""
        if self._duration != 0 or self._checkpoint_load or not job.is_open:
            return
        if not any(other.seconds for other in self._records.values() if other.is_open):
            await job.settled.wait()

    def start_worker(self) -> None:
        """Start the worker, unless jobs are moved by hand."""
        if self._duration is not None:
            self._worker = asyncio.create_task(self._work(), name="GAZE worker")

    async def stop_worker(self) -> None:
        """Stop the worker. Open jobs are unchanged."""
        self._dismiss_worker()
        await asyncio.gather(*self._dismissed, return_exceptions=True)

    def _replace_worker(self) -> None:
        """Stop processing the current job, and start a new worker."""
        if self._dismiss_worker():
            self.start_worker()

    def _dismiss_worker(self) -> bool:
        """Cancel the worker. Returns whether there was one."""
        if self._worker is None:
            return False
        self._dismissed.add(self._worker)
        self._worker.add_done_callback(self._dismissed.discard)
        self._worker.cancel()
        self._worker = None
        return True

    async def _work(self) -> None:
        while True:
            try:
                job = self._records[self.begin()]
            except LookupError:
                self._arrival.clear()
                await self._arrival.wait()
                continue
            seconds = job.seconds or 0
            if job.picture.checkpoint != self._loaded_checkpoint:
                self._loaded_checkpoint = job.picture.checkpoint
                seconds += self._checkpoint_load
            await self._make(job, seconds)
