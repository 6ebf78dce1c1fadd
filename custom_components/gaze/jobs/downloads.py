"""Downloads finished images and saves them in the gallery.

One bad image delays no other: a slow download gives its slot to the next one, and a failed one
waits for its next try without a slot. Only tries that fail because of the image count. While GAZE
or the gallery cannot be used, downloads wait. An image that the gallery cannot save is held.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, Protocol

from homeassistant.core import HomeAssistant

from ..api import GazeBusyError, GazeError, GazeImageError
from ..gallery import (
    Gallery,
    GalleryError,
    GalleryUnavailableError,
    Image,
    ImageContentError,
    UnsupportedFormatError,
)
from .held import HeldImages
from .models import Job, Reason
from .supervision import CrashLog, back_off, outlive

MAX_TRIES: Final = 11  # over 350 s
MAX_REQUESTED_WAIT: Final = 300.0  # seconds. GAZE may delete an image that waits for longer.
SLOTS: Final = 2
SLOT_TIME: Final = 15.0  # seconds after which a download no longer occupies a slot
MAX_RUNNING: Final = 8  # including the slow ones; each may hold an image of 64 MiB


class Server(Protocol):
    """What downloads need to know of the server."""

    async def async_fetch_image(self, image_url: str) -> bytes:
        """Return the bytes of an image. Raises GazeError."""

    async def async_is_working(self) -> bool:
        """Return whether GAZE lists its presets."""


class Downloads:
    """The downloads of one server."""

    def __init__(  # noqa: PLR0913 - wired in one place
        self,
        hass: HomeAssistant,
        server: Server,
        gallery: Gallery,
        held: HeldImages,
        crashes: CrashLog,
        *,
        on_saved: Callable[[str], Awaitable[None]],
        on_failed: Callable[[str, Reason, str], Awaitable[None]],
        on_disk_wait: Callable[[str, float], None],
        is_too_old: Callable[[str], Awaitable[bool]],
    ) -> None:
        """Wire the downloads.

        on_saved: called with the job ID when an image is in the gallery.
        on_failed: called with the job ID, the reason, and an error when a download failed.
        on_disk_wait: called with the job ID, and the seconds that an image waited for the gallery.
        is_too_old: returns whether a job has been tracked for too long to try again.
        """
        self._hass = hass
        self._server = server
        self._gallery = gallery
        self._held = held
        self._crashes = crashes
        self._on_saved = on_saved
        self._on_failed = on_failed
        self._on_disk_wait = on_disk_wait
        self._is_too_old = is_too_old
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._saving: dict[str, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(SLOTS)
        self._running = asyncio.Semaphore(MAX_RUNNING)

    @property
    def job_ids(self) -> list[str]:
        """Return the jobs whose images are being downloaded."""
        return list(self._tasks)

    def start(self, job: Job) -> None:
        """Start to download the image of a finished job."""
        if job.job_id in self._tasks:
            return
        task = self._hass.async_create_background_task(
            self._supervise(job), f"gaze download {job.job_id}", eager_start=False
        )
        self._tasks[job.job_id] = task
        task.add_done_callback(lambda _: self._tasks.pop(job.job_id, None))

    async def async_cancel(self, job_id: str) -> None:
        """Cancel a download. An image that is being saved is finished instead."""
        await self._cancel([job_id])

    async def async_stop(self) -> None:
        """Cancel all downloads. Images that are being saved are finished instead."""
        await self._cancel(self.job_ids)

    async def _cancel(self, job_ids: list[str]) -> None:
        """Cancel downloads, after the images that are being saved."""
        tasks = [task for job_id in job_ids if (task := self._tasks.get(job_id)) is not None]
        saving = [task for job_id in job_ids if (task := self._saving.get(job_id)) is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *saving, return_exceptions=True)

    async def _supervise(self, job: Job) -> None:
        """Download an image. Start again after an unforeseen error."""
        crashes = 0
        while True:
            try:
                await self._download(job)
            except Exception as err:  # noqa: BLE001 - the job must not stay open unnoticed
                crashes += 1
                self._crashes.report("ending a download", err)
                await asyncio.sleep(back_off(crashes))
            else:
                return

    async def _download(self, job: Job) -> None:
        """Download an image and save it. Try again until it is saved, bad, or given up."""
        tries = waits = 0
        refused_at: float | None = None  # by the gallery, in the last try
        while True:
            try:
                await self._try(job)
            except Exception as err:  # noqa: BLE001 - any error is a failed try
                error = err
                text = self._describe(err)
            else:
                return
            refused_before, refused_at = refused_at, None
            if isinstance(error, GalleryError):
                refused_at = self._hass.loop.time()
                if refused_before is not None:
                    self._on_disk_wait(job.job_id, refused_at - refused_before)
            about_image = await self._is_about_image(error)
            if about_image:
                tries += 1
            else:
                waits += 1
            if about_image and (_is_final(error) or tries >= MAX_TRIES):
                unsupported = isinstance(error, UnsupportedFormatError)
                reason = Reason.UNSUPPORTED if unsupported else Reason.DOWNLOAD
                await self._on_failed(job.job_id, reason, text)
                return
            if await self._is_too_old(job.job_id):
                await self._on_failed(job.job_id, Reason.GAVE_UP, text)
                return
            await asyncio.sleep(max(back_off(tries + waits), _requested_wait(error)))

    async def _try(self, job: Job) -> None:
        """Download an image and save it. Saving goes on if the download is cancelled."""
        async with self._slot():
            content = await self._held.async_read(job)
            if content is None:
                content = await self._server.async_fetch_image(job.source_url or "")
            else:
                await self._require_disk()
            saving = self._hass.async_create_task(
                self._save(job, content), f"gaze save {job.job_id}", eager_start=False
            )
            self._saving[job.job_id] = saving
            saving.add_done_callback(lambda task: self._end_saving(job.job_id, task))
            await outlive(saving)

    async def _require_disk(self) -> None:
        """Raise GalleryUnavailableError if the gallery still can't save images."""
        if self._gallery.unavailable_reason is not None:
            await self._gallery.async_check()
        if (reason := self._gallery.unavailable_reason) is not None:
            raise GalleryUnavailableError(reason, "images cannot be saved at the moment")

    async def _save(self, job: Job, content: bytes) -> None:
        """Save an image and end its job. Raises ImageContentError or GalleryError."""
        try:
            await self._add(job, content)
        except GalleryError:
            await self._held.async_write(job, content)
            raise
        except ImageContentError:
            await self._held.async_discard(job)
            raise
        await self._held.async_discard(job)
        await self._on_saved(job.job_id)

    async def _add(self, job: Job, content: bytes) -> None:
        """Add an image to the gallery. Raises ImageContentError or GalleryError."""
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
                requested_width=job.width,
                requested_height=job.height,
                recipe=job.recipe,
                recipe_name=job.recipe_name,
                title=job.title,
                number=job.image_number or 0,
            ),
            content,
        )

    def _end_saving(self, job_id: str, task: asyncio.Task[None]) -> None:
        """Discard a saving task. The download reports its error, unless it was cancelled."""
        self._saving.pop(job_id, None)
        if not task.cancelled():
            task.exception()

    async def _is_about_image(self, error: Exception) -> bool:
        """Return whether a failed try is about the image, not about the whole server.

        A proxy responds for a GAZE that is off, with any status and any page. An image that
        cannot be saved waits for the disk: only a user can free, connect, or repair it.
        """
        if isinstance(error, GazeBusyError | GalleryError):
            return False
        if isinstance(error, GazeError | ImageContentError):
            return await self._server.async_is_working()
        return True

    def _describe(self, error: Exception) -> str:
        """Return the text for the job of a failed download."""
        if isinstance(error, GazeError | ImageContentError | GalleryError):
            return str(error)
        self._crashes.report("downloading an image", error)
        return f"unexpected error: {type(error).__name__}"

    @asynccontextmanager
    async def _slot(self) -> AsyncGenerator[None]:
        """Wait for a slot. It is free again after the block, or after `SLOT_TIME`."""
        async with self._running:
            await self._slots.acquire()
            held = [self._slots]

            def release() -> None:
                while held:
                    held.pop().release()

            timer = self._hass.loop.call_later(SLOT_TIME, release)
            try:
                yield
            finally:
                timer.cancel()
                release()


def _is_final(error: Exception) -> bool:
    """Return whether another try would fail as well."""
    return isinstance(error, GazeImageError | ImageContentError) and error.final


def _requested_wait(error: Exception) -> float:
    """Return how many seconds the server requested to wait."""
    if not isinstance(error, GazeBusyError):
        return 0.0
    return min(error.retry_after or 0.0, MAX_REQUESTED_WAIT)
