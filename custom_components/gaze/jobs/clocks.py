"""Measures how long jobs are tracked, and dates what happens to them.

Both follow the monotonic clock within a run, so that a wall clock that jumps neither ends a job
nor reorders its times. Pure: the caller passes the time.
"""

from dataclasses import dataclass, replace

from .models import Job


@dataclass(frozen=True, kw_only=True, slots=True)
class _Clock:
    """The clock of one job. Seconds."""

    since: float  # on the monotonic clock without pauses: when this run began to track the job
    tracked_before: float  # how long earlier runs tracked it
    offset: float  # what to add to the monotonic clock for seconds since the epoch


class Clocks:
    """The clocks of the tracked jobs. `now` is monotonic, `wall` is seconds since the epoch."""

    def __init__(self) -> None:
        """Start without jobs."""
        self._clocks: dict[str, _Clock] = {}
        self._paused_at: float | None = None
        self._paused_for = 0.0  # seconds, without the current pause

    def start(self, job: Job, now: float, wall: float) -> None:
        """Start the clock of a job, where earlier runs stopped it."""
        self._clocks[job.job_id] = _Clock(
            since=self._count(now),
            tracked_before=job.tracked_for,
            offset=max(wall, _last_time(job)) - now,
        )

    def stop(self, job_id: str) -> None:
        """Discard the clock of a job."""
        self._clocks.pop(job_id, None)

    def clear(self) -> None:
        """Discard all clocks."""
        self._clocks.clear()

    def pause(self, now: float) -> None:
        """Count no time for any job from now on."""
        if self._paused_at is None:
            self._paused_at = now

    def resume(self, now: float) -> None:
        """Count time again."""
        if self._paused_at is not None:
            self._paused_for += now - self._paused_at
            self._paused_at = None

    def exclude(self, job_id: str, seconds: float) -> None:
        """Do not count some of the time for which a job was tracked."""
        if (clock := self._clocks.get(job_id)) is not None:
            self._clocks[job_id] = replace(clock, since=clock.since + seconds)

    def _count(self, now: float) -> float:
        """Return the monotonic time without pauses."""
        return (now if self._paused_at is None else self._paused_at) - self._paused_for

    def tracked_for(self, job: Job, now: float) -> float:
        """Return how long a job has been tracked in all runs, in seconds."""
        if (clock := self._clocks.get(job.job_id)) is None:
            return job.tracked_for
        return clock.tracked_before + self._count(now) - clock.since

    def date(self, job: Job, now: float, wall: float) -> float:
        """Return the time of what happens to a job now, never before what happened earlier."""
        clock = self._clocks.get(job.job_id)
        return max(wall if clock is None else now + clock.offset, _last_time(job))

    def age(self, job: Job, now: float, wall: float, limit: float) -> float:
        """Return how long ago a job was requested, as far as that is plausible.

        The wall clock may have jumped since an earlier run: the age is at least the time for
        which the job was tracked, and at most `limit` more.
        """
        tracked = self.tracked_for(job, now)
        return min(max(wall - job.requested_at, tracked), tracked + limit)


def _last_time(job: Job) -> float:
    """Return the latest time that is known of a job."""
    return max(job.requested_at, job.started_at or 0.0, job.finished_at or 0.0)
