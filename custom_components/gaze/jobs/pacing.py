"""Decides which job to ask for next, and when. Pure: told the time, does nothing itself.

A GAZE server makes one image at a time, first in first out, and tells a job's status only
when asked. So few questions at the right moments do the work of many:

1. *The front.* Only the job at the head of our queue is asked for, with any other job that
   was seen processing. When it ends, the next one is asked at once; after that found it
   processing `TRUST_AFTER` times in a row, its start is taken for granted until an answer
   says otherwise (unless its duration is in doubt). One of the others is asked each
   `SWEEP_GAP`, in case a server works in another order.
2. *Nothing known.* Images usually take 5 to 60 s. The looks come after `FIRST_LOOKS` seconds,
   then each `STEADY_GAP`, and past 30 s in proportion to the time waited (`PATIENCE`).
   Lateness: at most 6 s before 12 s, 1 s up to 30 s, then 1/30 of the time the image took,
   never more than `MAX_GAP`.
3. *Duration learned.* Per key (preset, checkpoint and size) the last durations are kept. No
   question is asked until the shortest of them has passed; from there on one each twentieth
   of the typical duration (0.25 to 2 s), which bounds the lateness. Beyond the longest the
   gaps grow with the time overdue. While a duration is in doubt (seen once only, or the last
   images were done before the first look) the gaps are a fifteenth, and one more question is
   asked half-way.
4. *Waiting.* A job that stands behind the jobs of others is asked in proportion to the time it
   has waited, yet often enough not to miss half of a known duration.
5. *Trouble.* After a failed question all is left alone for 1 s, doubled each time up to
   `MAX_GAP`, or for as long as the server's `Retry-After` says. A job whose answers make no
   sense pauses without the others, and after three of them it no longer holds them up.
6. *Ceiling.* Whatever happens: `BURST` questions at once, then one a second on average.

Times are seconds on one clock of the caller's; it should be the wall clock, so that what is
known of a job outlives a restart. A clock that jumps costs one gap of at most `MAX_GAP`.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

type Key = tuple[str, ...]

FIRST_LOOKS = (2.0, 6.0, 12.0)
STEADY_GAP = 0.97
PATIENCE = 1 / 30
MAX_GAP = 60.0
SWEEP_GAP = 60.0
FRONT_DELAY = 0.2
TRUST_AFTER = 2
KEPT_SAMPLES = 5
BURST = 60
QUESTIONS_A_SECOND = 1.0
TOLERATED_FAILURES = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Expectation:
    """How long an image is expected to be processed, in seconds."""

    shortest: float
    typical: float
    longest: float
    in_doubt: bool

    @property
    def gap(self) -> float:
        """Seconds between questions around the expected end."""
        return min(max(self.typical / (15 if self.in_doubt else 20), 0.25), 2.0)

    @property
    def first_look(self) -> float:
        """Seconds from the start to the first question of those around the expected end."""
        return self.shortest + self.gap / 2


class Durations:
    """What was learned about how long images take. Seconds, by key, newest last."""

    def __init__(self, samples: dict[Key, list[float]] | None = None) -> None:
        """Start from the samples kept earlier."""
        self._samples = {
            key: deque(values, KEPT_SAMPLES) for key, values in (samples or {}).items()
        }
        self._early: dict[Key, int] = {}  # images in a row that were done at the first look
        self._rough: set[Key] = set()

    def samples(self, key: Key) -> list[float]:
        """Return the durations seen for the key, oldest first."""
        return list(self._samples.get(key, ()))

    def items(self) -> list[tuple[Key, list[float]]]:
        """Return the durations seen, oldest first, for each key."""
        return [(key, self.samples(key)) for key in self._samples]

    def learn(self, key: Key, seconds: float, *, rough: bool = False) -> None:
        """Remember one duration; a rough one only until a better one is known."""
        if rough and key in self._samples:
            return
        if rough:
            self._rough.add(key)
        elif key in self._rough:
            self._rough.discard(key)
            del self._samples[key]
        self._samples.setdefault(key, deque(maxlen=KEPT_SAMPLES)).append(seconds)
        self._early.pop(key, None)

    def learn_early(self, key: Key, at_most: float, expected: Expectation) -> None:
        """Note that an image was done at the first look, at an unknown time before it."""
        if at_most < expected.first_look:
            del self._samples[key]
            self.learn(key, at_most * 0.75, rough=True)
            return
        early = self._early.get(key, 0) + 1
        self.learn(key, expected.shortest)
        self._early[key] = early

    def expected(self, key: Key) -> Expectation | None:
        """Return what to expect, or None while nothing is known."""
        samples = self._samples.get(key)
        if not samples:
            return None
        margin = 0.25 if key in self._rough else 0.1 / len(samples)
        return Expectation(
            shortest=min(samples) * (1 - margin),
            typical=median(samples),
            longest=max(samples) * (1 + margin),
            in_doubt=len(samples) == 1 or self._early.get(key, 0) > 1,
        )


@dataclass(slots=True)
class _Job:
    """What is known of an open job. Times are the caller's; `None` is not yet."""

    key: Key
    accepted: float
    not_before: float  # it cannot have started earlier
    asked: float | None = None
    processing_since: float | None = None  # first seen processing; may have started earlier
    follows: bool = False  # became the head when another one ended
    quiet_until: float = 0.0
    failures: int = 0


class Pacer:
    """The open jobs of one server, in the order of the queue."""

    def __init__(self, durations: Durations) -> None:
        """Use what is known about durations, and add to it."""
        self.durations = durations
        self._jobs: dict[str, _Job] = {}
        self._last_sweep = 0.0
        self._in_turn = 0  # how often the next job was found processing when one ended
        self._failures = 0
        self._quiet_until = 0.0
        self._allowance = float(BURST)
        self._allowance_at: float | None = None

    def __len__(self) -> int:
        """Return the number of open jobs."""
        return len(self._jobs)

    def add(self, job_id: str, key: Key, *, accepted: float, started: float | None = None) -> None:
        """Append an open job; `started` where it was seen processing in an earlier run."""
        self._jobs[job_id] = _Job(
            key=key,
            accepted=accepted,
            not_before=accepted if started is None else started,
            processing_since=started,
        )

    def next_question(self, now: float) -> tuple[str, float] | None:
        """Return which job to ask for and when, or None while no job is open."""
        if not self._jobs:
            return None
        due = {job_id: self._due(self._jobs[job_id]) for job_id in self._front()}
        due.update(self._sweep(due, now))
        job_id = min(due, key=lambda candidate: due[candidate])
        return job_id, max(due[job_id], self._quiet_until, self._allowed_from(now))

    def asking(self, job_id: str, now: float) -> None:
        """Note that the question is being asked."""
        self._allowance = self._allowance_left(now) - 1
        self._allowance_at = now
        if job_id not in self._front():
            self._last_sweep = now

    def waiting(self, job_id: str, now: float) -> None:
        """Note that a job still waits in the server's queue."""
        if (job := self._answered(job_id)) is None:
            return
        if job.follows:
            self._in_turn = 0
        job.asked = job.not_before = now
        job.processing_since = None
        job.follows = False

    def processing(self, job_id: str, now: float) -> None:
        """Note that a job is being made."""
        if (job := self._answered(job_id)) is None:
            return
        job.asked = now
        if job.processing_since is None:
            job.processing_since = now
            self._in_turn += job.follows

    def ended(self, job_id: str, now: float, *, done: bool) -> float | None:
        """Forget a job that is done, failed or of no more interest.

        Returns the seconds it was processed where the questions tell, and learns them.
        """
        was_front = job_id in self._front()
        if (job := self._answered(job_id)) is None:
            return None
        del self._jobs[job_id]
        if was_front:
            self._advance(self._not_over_before(job, now))
        return self._learn(job, now) if done else None

    def presume_started(self, now: float) -> str | None:
        """Take the start of the next job for granted where experience allows it.

        Returns its id. To be called after a job is done.
        """
        for job_id in self._front():
            job = self._jobs[job_id]
            expected = self.durations.expected(job.key)
            trusted = expected is not None and not expected.in_doubt
            if trusted and self._in_turn >= TRUST_AFTER and job.follows and job.asked is None:
                job.asked = job.processing_since = now
                return job_id
        return None

    def garbled(self, job_id: str, now: float) -> None:
        """Note an answer about one job that makes no sense."""
        if (job := self._jobs.get(job_id)) is not None:
            job.failures += 1
            job.quiet_until = now + _back_off(job.failures)

    def failed(self, now: float, retry_after: float | None = None) -> float:
        """Note that the server did not answer. Returns until when it is left alone."""
        self._failures += 1
        self._quiet_until = now + max(_back_off(self._failures), retry_after or 0.0)
        return self._quiet_until

    def answered(self) -> None:
        """Note that the server answers, whatever it said."""
        self._failures = 0
        self._quiet_until = 0.0

    def _front(self) -> list[str]:
        """Return the jobs that are asked for: those being made, else the first that waits."""
        front = [job_id for job_id, job in self._jobs.items() if job.processing_since is not None]
        if any(self._jobs[job_id].failures < TOLERATED_FAILURES for job_id in front):
            return front
        for job_id, job in self._jobs.items():
            if job.processing_since is None:
                front.append(job_id)
                if job.failures < TOLERATED_FAILURES:
                    break
        return front

    def _advance(self, end: float) -> None:
        """Let the next waiting job be asked at once: its turn came not before `end`."""
        for job_id in self._front():
            job = self._jobs[job_id]
            if job.processing_since is None:
                job.not_before = max(job.not_before, end)
                job.asked = None
                job.follows = True

    def _sweep(self, front: Iterable[str], now: float) -> dict[str, float]:
        """Return the one job behind the front that was asked longest ago, and when it is due."""
        behind = [job_id for job_id in self._jobs if job_id not in front]
        if not behind:
            return {}
        job_id = min(behind, key=lambda candidate: self._jobs[candidate].asked or 0.0)
        due = max(self._last_sweep, self._jobs[job_id].accepted) + SWEEP_GAP
        return {job_id: max(min(due, now + SWEEP_GAP), self._jobs[job_id].quiet_until)}

    def _due(self, job: _Job) -> float:
        """Return when a job of the front is asked for next."""
        if job.asked is None:
            return max(job.not_before + FRONT_DELAY, job.quiet_until)
        if job.processing_since is None:
            due = job.asked + self._waiting_gap(job, job.asked - job.accepted)
        else:
            due = self._processing_due(job, job.asked, job.processing_since)
        return max(due, job.quiet_until)

    def _waiting_gap(self, job: _Job, waited: float) -> float:
        """Return the seconds until a waiting job is asked again (rule 4)."""
        expected = self.durations.expected(job.key)
        if expected is None:
            return min(max(2.5, waited / 20), MAX_GAP)
        return min(max(1.0, expected.shortest / 2, waited * PATIENCE), MAX_GAP)

    def _processing_due(self, job: _Job, asked: float, since: float) -> float:
        """Return when a job that is being made is asked again (rules 2 and 3)."""
        elapsed = asked - job.not_before
        expected = self.durations.expected(job.key)
        if expected is None:
            return job.not_before + _next_look(elapsed)
        if elapsed >= expected.first_look:
            overdue = asked - (since + expected.longest)
            return asked + min(max(expected.gap, overdue / 5), MAX_GAP)
        if expected.in_doubt and elapsed < expected.first_look / 2:
            return job.not_before + expected.first_look / 2
        return job.not_before + expected.first_look

    def _answered(self, job_id: str) -> _Job | None:
        """Note a sound answer about a job."""
        self.answered()
        if (job := self._jobs.get(job_id)) is not None:
            job.failures = 0
            job.quiet_until = 0.0
        return job

    def _not_over_before(self, job: _Job, now: float) -> float:
        """Return the earliest plausible end of a job that was found over just now."""
        if job.asked is None or job.processing_since is None:
            return job.not_before
        expected = self.durations.expected(job.key)
        soonest = 0.0 if expected is None else job.not_before + expected.shortest
        return max(job.asked, min(soonest, now))

    def _learn(self, job: _Job, now: float) -> float | None:
        """Return how long a job that is done was processed, and remember it."""
        if job.asked is None or job.processing_since is None:
            return None
        expected = self.durations.expected(job.key)
        if expected is not None and job.asked - job.not_before < expected.first_look:
            at_most = now - job.not_before
            self.durations.learn_early(job.key, at_most, expected)
            return min(expected.shortest, at_most)
        unsure = now - job.asked + job.processing_since - job.not_before
        duration = (job.asked + now) / 2 - _start(job)
        if unsure <= 2 * duration:
            self.durations.learn(job.key, duration, rough=unsure > duration / 4)
        return duration

    def _allowance_left(self, now: float) -> float:
        """Return how many questions may be asked at once."""
        if self._allowance_at is None:
            return float(BURST)
        passed = max(now - self._allowance_at, 0.0)
        return min(self._allowance + passed * QUESTIONS_A_SECOND, float(BURST))

    def _allowed_from(self, now: float) -> float:
        """Return when the next question is within the ceiling."""
        missing = 1 - self._allowance_left(now)
        return now + missing / QUESTIONS_A_SECOND if missing > 0 else 0.0


def _start(job: _Job) -> float:
    """Return the likeliest start of a job that was seen processing."""
    return (job.not_before + (job.processing_since or job.not_before)) / 2


def _next_look(elapsed: float) -> float:
    """Return the next look at an image of unknown duration, in seconds since its start."""
    for look in FIRST_LOOKS:
        if elapsed < look:
            return look
    return elapsed + min(max(STEADY_GAP, elapsed * PATIENCE), MAX_GAP)


def _back_off(failures: int) -> float:
    """Return the seconds of quiet after so many failures in a row."""
    return float(min(2 ** min(failures - 1, 6), MAX_GAP))
