"""Decide which job to poll next, and when. Pure: the caller passes the time.

GAZE makes one image at a time, first in, first out. It reports a job's status only when polled.
Polls cost requests, and fewer polls notice an end later. The cost of one request is c, or
`REQUEST_COST`: the seconds of lateness that it is worth.

*When to poll a running job.* The gap between two polls is g seconds. The hazard h is the
rate, per second, at which a running image is expected to end. It comes from the distribution in
`durations.py`, widened by the uncertainty of the start. On average, an end is noticed g / 2 late.
So each second costs c / g for polls, and h · g / 2 for lateness. The sum is least for g = √(2c / h)
(Barlow, Hunter, and Proschan, *Optimum checking procedures*, 1963). If h changes within a gap, the
polls lie where the integral of √(h / 2c) reaches whole numbers (Keller, *Optimum checking schedules
for systems subject to random failure*, 1974).

*How late at most.* Before `Distribution.soonest`, few images end. From then on, gaps have a limit:
`LATEST`, or `LATE_SHARE` of the unknown time if that is longer. The unknown time is what has passed
since then, or twice the time from then to the typical duration if that is longer. Up to an unknown
time of `USUAL`, the limit is at most `CLOSE`. No gap is longer than `MAX_GAP`.

So 19 of 20 first images are noticed as early as with a poll every second. Suppose that durations
are log-uniform from 3 to 120 s. A third of them are longer than 1 s / `LATE_SHARE`. One in twenty
of these ends in the part of a gap that counts as later.

J is the mean lateness plus `REQUEST_COST` for each request of an image. The limits raise J by about
0.2. The figures in `benchmarks/results/` show that no schedule keeps them and has a lower J than a
poll every 2 s.

*When to poll a waiting job.* Foreign jobs of unknown length may be ahead. After w seconds of
waiting, the hazard of the next start is about 1 / w (the log-uniform prior). A gap of g seconds
costs c / g for polls. It leaves the start unknown by g, and an end that is unknown by g costs
⅔ · √(2cg). The sum is least for g = (3w · √(c / 2))^⅔. The gap is at most the time in which an
image may start and end, or 1 / 60 of w if that is longer.

*Which job.* Only the job at the head of the queue is polled, and any other that was seen
processing. When it ends, the next job starts. If that was seen `TRUST_AFTER` times in a row, the
next start is inferred without a poll. One of the other jobs is polled every `SWEEP_GAP`. If that
shows another order of jobs, all of them are polled within this time, as far as the ceiling allows.

*Errors.* If a poll fails, its job isn't polled for 1, 2, 4 … 60 s, and the next job is polled
immediately. If that fails as well, the server fails. No job is then polled for as many seconds as
jobs failed in a row. After a failed connection, no job is polled for 1, 2, 4 … 60 s, or for as long
as the server requests.

*Ceiling.* `BURST` requests at the same time, then one per second on average. This has priority over
everything above. Many images that take less than a second are therefore noticed later.

Times are seconds on one clock. If it runs backward, the difference is added to all later times.
"""

from bisect import bisect_right
from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
import math
from typing import Final

from .durations import LEAST, Distribution, Durations, Interval, Key, is_known

REQUEST_COST: Final = 0.05  # seconds of mean lateness that one request is worth: the project's goal
# The project's limits: a first image is noticed within 1 s or 3 % of its duration, and 19 of 20
# usual ones about as early as with a poll a second.
LATEST: Final = 1.0
LATE_SHARE: Final = 0.03
REQUEST_TIME: Final = 0.02  # seconds of these limits that are for the request in a home network
CLOSE: Final = 1.1
USUAL: Final = 120.0
# A longer silence lets users doubt that anything works. The rest is for a request that is slow.
MAX_GAP: Final = 55.0
SWEEP_GAP: Final = MAX_GAP
# GAZE's worker needs a moment to start a job. A start is news: a fifth of a second feels immediate.
START_DELAY: Final = 0.2
# Polls that are closer than the time of a request show nothing new.
LEAST_GAP: Final = 0.1
# After two, the next job starts in turn with a probability of 3 / 4 (the rule of succession). An
# inference then pays even if a wrong `started` event is as bad as three requests.
TRUST_AFTER: Final = 2
BURST: Final = 60
REQUESTS_PER_SECOND: Final = 1.0
# In disorder, sweeps use half of the ceiling. The rest is for jobs that are being made.
SWEEPS_PER_SECOND: Final = REQUESTS_PER_SECOND / 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """When an image was made, as far as polls show. Each is the earliest and the latest time."""

    start: Interval
    end: Interval
    started: bool  # whether the job was seen processing, or its start was inferred

    @property
    def bounds(self) -> Interval:
        """Return the least and the most seconds that it took."""
        return max(self.end[0] - self.start[1], 0.0), self.end[1] - self.start[0]

    @property
    def duration(self) -> float | None:
        """Return the seconds that it took, if they are known within a quarter."""
        return self.likely_end - self.likely_start if is_known(*self.bounds) else None

    @property
    def likely_start(self) -> float:
        """Return the middle of the bounds of the start."""
        return _middle(self.start)

    @property
    def likely_end(self) -> float:
        """Return the middle of the bounds of the end."""
        return _middle(self.end)


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """When a job is expected to start and end; `None` if nothing is known.

    `margin` is the standard deviation of the end, in seconds.
    """

    start: float | None = None
    end: float | None = None
    margin: float | None = None


UNKNOWN_ESTIMATE: Final = Estimate()


@dataclass(slots=True)
class _Job:
    """What is known of an open job. Times are the pacer's; `None` is not yet."""

    key: Key
    number: int  # place in the queue
    accepted: float
    head_from: float  # no job of ours is before it since then
    not_before: float  # it cannot have started earlier
    open_at: float | None = None  # when the last poll that found it open was sent
    sent_at: float | None = None  # when the poll without a response was sent
    processing_since: float | None = None  # it cannot have started later
    likely_from: float = -math.inf  # it hardly started earlier
    is_successor: bool = False  # became the head when another one ended
    failures: int = 0
    due: float = 0.0


class Pacer:
    """The open jobs of one server, in the order of the queue."""

    def __init__(self, durations: Durations) -> None:
        """Use what is known about durations, and add to it."""
        self.durations = durations
        self._jobs: dict[str, _Job] = {}
        self._active: dict[str, _Job] = {}  # those that are polled
        self._behind: OrderedDict[str, _Job] = OrderedDict()
        self._sweep: deque[str] = deque()  # those behind, the next to poll first
        self._last_sweep = 0.0
        self._disorder = 0  # jobs behind when GAZE was seen to work in another order
        self._last_known = False  # whether the last duration was known within a quarter
        self._in_turn = 0  # how often the next job was found processing when one ended
        self._added = 0
        self._suspects: set[str] = set()  # jobs whose polls failed since one succeeded
        self._server_failures = 0
        self._quiet_until = 0.0
        self._allowance = float(BURST)
        self._allowance_at: float | None = None
        self._latest = -math.inf
        self._shift = 0.0  # from the caller's time to ours

    def __len__(self) -> int:
        """Return the number of open jobs."""
        return len(self._jobs)

    # Changes by the caller

    def add(self, job_id: str, key: Key, *, accepted: float, started: float | None = None) -> None:
        """Append an open job; `started` if it was seen processing in an earlier run."""
        accepted += self._shift
        self._latest = max(self._latest, accepted)
        self._remove(job_id)
        self._added += 1
        job = self._jobs[job_id] = _Job(key, self._added, accepted, accepted, accepted)
        if started is not None:
            job.not_before = job.processing_since = job.open_at = started + self._shift
            self._activate(job_id, job)
        else:
            self._behind[job_id] = job
            self._sweep.append(job_id)
            self._last_sweep = max(self._last_sweep, accepted)
        self._fill_front()

    def next_poll(self, now: float) -> tuple[str, float] | None:
        """Return which job to poll and when, or None while no job is open."""
        now = self._tick(now)
        if not self._active:
            return None
        job_id = min(self._active, key=lambda candidate: self._active[candidate].due)
        due = self._active[job_id].due
        if (swept := self._next_sweep()) is not None and swept[1] < due:
            job_id, due = swept
        due = min(max(due, now), now + MAX_GAP)
        return job_id, max(due, self._quiet_until, self._allowed_from(now)) - self._shift

    def start_poll(self, job_id: str, now: float) -> None:
        """Note that a job is being polled."""
        now = self._tick(now)
        self._allowance = self._allowance_left(now) - 1
        self._allowance_at = now
        if (job := self._jobs.get(job_id)) is None:
            return
        job.sent_at = now
        job.due = now + MAX_GAP  # unless a response says more
        if job_id in self._behind:
            self._last_sweep = now
            self._sweep.remove(job_id)
            self._sweep.append(job_id)

    def wait(self, job_id: str, now: float) -> None:
        """Note that a job still waits in the server's queue."""
        now = self._tick(now)
        if (job := self._note_response(job_id)) is None:
            return
        if job.is_successor:
            self._in_turn = 0
        job.open_at = job.not_before = self._sent(job, now)
        job.processing_since = None
        job.is_successor = False
        self._schedule(job, now)

    def process(self, job_id: str, now: float) -> None:
        """Note that GAZE is making the image of a job."""
        now = self._tick(now)
        if (job := self._note_response(job_id)) is None:
            return
        job.open_at = self._sent(job, now)
        if job.processing_since is None:
            job.processing_since = now
            self._in_turn += job.is_successor
        if job_id in self._behind:
            if self._is_healthy_front():
                self._disorder = max(self._disorder, len(self._behind))
            self._activate(job_id, job)
        self._schedule(job, now)
        self._return_waiting_jobs(job)

    def end(self, job_id: str, now: float, *, done: bool) -> Span | None:
        """Remove a job that is done, failed, or no longer tracked.

        Return when its image was made, and learn how long that took, if it is done.
        """
        now = self._tick(now)
        if (job := self._note_response(job_id)) is None:
            return None
        was_front = job_id in self._active
        if done and not was_front and self._is_healthy_front():
            self._disorder = max(self._disorder, len(self._behind))
        self._remove(job_id)
        span = _find_span(job, now)
        likely_from = max(span.end[0], self._find_likely_end(job, span))
        if done:
            self.durations.learn(job.key, *span.bounds)
        self._fill_front()
        if was_front:
            self._start_next(span.end[0], likely_from)
        self._last_known = done and span.duration is not None
        if not self._jobs:
            self._disorder = 0
        return self._to_caller(span) if done else None

    def infer_start(self, now: float) -> str | None:
        """Infer the start of the next job if experience allows it, and return its ID.

        To be called after a job is done. If that job's duration is unknown, the next one may have
        ended as well, so it is polled.
        """
        now = self._tick(now)
        if not self._last_known:
            return None
        for job_id, job in self._active.items():
            if job.is_successor and job.open_at is None and self._in_turn >= TRUST_AFTER:
                if not self.durations.predict(job.key).known:
                    continue
                # Its `not_before` is the earliest end of the job before. It ended before now.
                job.open_at, job.processing_since = job.not_before, now
                self._schedule(job, now)
                return job_id
        return None

    def fail_job(self, job_id: str, now: float) -> None:
        """Note a failed poll that is about one job, unless the next one fails as well."""
        now = self._tick(now)
        if (job := self._jobs.get(job_id)) is None:
            return
        job.failures += 1
        job.due = now + _back_off(job.failures)
        self._suspects.add(job_id)
        self._suspects &= self._jobs.keys()
        if len(self._suspects) > 1:
            pause = min(float(len(self._suspects) - 1), MAX_GAP)
            self._quiet_until = max(self._quiet_until, now + pause)
        self._fill_front()

    def fail_server(self, now: float, retry_after: float | None = None) -> None:
        """Note that the server did not respond, or said when to try again, in seconds."""
        now = self._tick(now)
        self._server_failures += 1
        wait = retry_after if retry_after is not None and math.isfinite(retry_after) else 0.0
        self._quiet_until = now + max(_back_off(self._server_failures), wait)
        for job in self._jobs.values():
            if job.sent_at is not None:  # its poll has no response
                job.sent_at = None
                job.due = now

    def shorten_pause(self, now: float) -> None:
        """Note that the server responds to other requests.

        It may have requested a pause that outlasts the problem: the usual one is enough now.
        """
        now = self._tick(now)
        self._quiet_until = min(self._quiet_until, now + _back_off(self._server_failures))

    def note_success(self) -> None:
        """Note that the server responds, also with an error about a job."""
        self._server_failures = 0
        self._quiet_until = 0.0
        self._suspects.clear()

    def estimate(self, now: float, later: Mapping[str, Key] | None = None) -> dict[str, Estimate]:
        """Return when each open job is expected to start and end, in the order of the queue.

        `later`: jobs that will be added, with their keys. Nothing that is still to come is
        expected in the past.
        """
        now = self._tick(now)
        running, free, variance = self._expect_running(now)
        estimates = {job_id: self._to_estimate(*times) for job_id, times in running.items()}
        expected: dict[Key, tuple[float, float]] = {}  # a thousand jobs have few keys
        for job_id, key in self._waiting(later).items():
            if key not in expected:
                expected[key] = self._expect_new(key)
            duration, deviation = expected[key]
            variance += deviation**2
            start, free = free, free + duration
            estimates[job_id] = self._to_estimate(start, free, math.sqrt(variance))
        return estimates

    def expect_last(self, now: float, later: Mapping[str, Key] | None = None) -> tuple[float, int]:
        """Return the seconds until the last known end, and how many ends are unknown.

        This is what `estimate` says of all jobs, at a fraction of its cost.
        """
        now = self._tick(now)
        running, free, _ = self._expect_running(now)
        ends = [end for _, end, _ in running.values()]
        expected: dict[Key, float] = {}
        for key in self._waiting(later).values():
            if key not in expected:
                expected[key] = self._expect_new(key)[0]
            free += expected[key]
            ends.append(free)
        known = [end for end in ends if math.isfinite(end)]
        return max(known, default=now) - now, len(ends) - len(known)

    def _expect_running(
        self, now: float
    ) -> tuple[dict[str, tuple[float, float, float]], float, float]:
        """Return the start, end, and deviation of the jobs that are being made.

        Then come the time when the server is free for the next job, and its variance.
        """
        running: dict[str, tuple[float, float, float]] = {}
        free, variance = now, 0.0
        if (waited := self._foreign_wait()) > 0:
            free, variance = now + waited, waited**2
        for job_id, job in self._jobs.items():
            if job.processing_since is None:
                continue
            start = _middle(_find_start(job))
            distribution = self.durations.predict(job.key)
            if not distribution.known:
                running[job_id] = (start, math.inf, 0.0)
                free = math.inf
                continue
            duration, deviation = distribution.expect(max(now - start, 0.0))
            end = max(start + duration, now)
            running[job_id] = (start, end, deviation)
            if end >= free:
                free, variance = end, deviation**2
        return running, free, variance

    def _waiting(self, later: Mapping[str, Key] | None) -> dict[str, Key]:
        """Return the keys of the jobs that wait, and of those that will be added."""
        waiting = {
            job_id: job.key for job_id, job in self._jobs.items() if job.processing_since is None
        }
        return waiting | dict(later or {})

    def _expect_new(self, key: Key) -> tuple[float, float]:
        """Return the expected duration of a job that has not started, and its deviation."""
        distribution = self.durations.predict(key)
        return distribution.expect(0.0) if distribution.known else (math.inf, 0.0)

    def _foreign_wait(self) -> float:
        """Return for how long the head has waited behind jobs of others.

        With the log-uniform prior, it will wait as long again with a probability of one half.
        """
        job = next(iter(self._active.values()), None)
        if job is None or job.open_at is None or job.processing_since is not None:
            return 0.0
        return max(job.open_at - job.head_from, 0.0)

    # Time

    def _tick(self, now: float) -> float:
        """Return the time by our clock, which never runs backward."""
        ours = now + self._shift
        if ours < self._latest:
            self._shift += self._latest - ours
            ours = self._latest
        self._latest = ours
        return ours

    def _to_caller(self, span: Span) -> Span:
        """Return a span in the caller's time."""
        shift = self._shift
        return Span(
            start=(span.start[0] - shift, span.start[1] - shift),
            end=(span.end[0] - shift, span.end[1] - shift),
            started=span.started,
        )

    def _to_estimate(self, start: float, end: float, margin: float) -> Estimate:
        """Return an estimate in the caller's time. What is not finite is unknown."""
        if math.isinf(start):
            return UNKNOWN_ESTIMATE
        start -= self._shift
        if math.isinf(end):
            return Estimate(start=start)
        return Estimate(start=start, end=end - self._shift, margin=margin)

    # Which job

    def _is_healthy_front(self) -> bool:
        """Return whether a job whose polls succeed is at the front."""
        return any(not job.failures for job in self._active.values())

    def _fill_front(self) -> None:
        """Poll the first jobs that wait, up to one whose polls succeed."""
        while self._behind and not self._is_healthy_front():
            job_id = next(iter(self._behind))
            self._activate(job_id, self._behind[job_id])

    def _activate(self, job_id: str, job: _Job) -> None:
        """Poll a job from now on."""
        if self._behind.pop(job_id, None) is not None:
            self._sweep.remove(job_id)
        self._active[job_id] = job
        self._schedule(job, job.accepted)

    def _return_waiting_jobs(self, made: _Job) -> None:
        """Stop polling jobs that wait behind one that is being made."""
        for job_id, job in reversed(list(self._active.items())):
            if job.processing_since is None and job.number > made.number and not job.failures:
                del self._active[job_id]
                self._behind[job_id] = job
                self._behind.move_to_end(job_id, last=False)
                self._sweep.append(job_id)

    def _find_likely_end(self, job: _Job, span: Span) -> float:
        """Return before when a job hardly ended, from what is known about its key."""
        shortest, _ = self.durations.narrow(job.key, span.bounds)
        return max(span.start[0], job.likely_from) + shortest if span.started else span.end[0]

    def _start_next(self, earliest: float, likely_from: float) -> None:
        """Poll the next job at once: it starts when the one before ends."""
        for job in self._active.values():
            if job.processing_since is None:
                job.head_from = job.not_before = max(job.not_before, earliest)
                job.likely_from = likely_from
                job.open_at = None
                job.is_successor = True
                if not job.failures:
                    job.due = job.not_before

    def _next_sweep(self) -> tuple[str, float] | None:
        """Return the job behind the front that was polled longest ago, and when it is due."""
        if not self._sweep:
            return None
        gap = SWEEP_GAP
        if self._disorder:
            gap = max(SWEEP_GAP / self._disorder, 1 / SWEEPS_PER_SECOND)
        job_id = self._sweep[0]
        due = self._last_sweep + gap
        job = self._jobs[job_id]
        return job_id, max(due, job.due) if job.failures else due

    def _remove(self, job_id: str) -> None:
        """Remove a job."""
        self._jobs.pop(job_id, None)
        self._active.pop(job_id, None)
        self._suspects.discard(job_id)
        if self._behind.pop(job_id, None) is not None:
            self._sweep.remove(job_id)

    # When

    def _schedule(self, job: _Job, now: float) -> None:
        """Set when a job is due."""
        if job.open_at is None:
            job.due = job.not_before + START_DELAY
        elif job.processing_since is None:
            job.due = job.open_at + self._waiting_gap(job, job.open_at - job.head_from)
        else:
            distribution = self.durations.predict(job.key)
            job.due = find_next_poll(distribution, _find_start(job), job.open_at)
        job.due = max(job.due, min(now, job.due + LEAST_GAP))

    def _waiting_gap(self, job: _Job, waited: float) -> float:
        """Return the seconds until a waiting job is polled again."""
        best: float = (3 * max(waited, 0.0) * math.sqrt(REQUEST_COST / 2)) ** (2 / 3)
        distribution = self.durations.predict(job.key)
        limit = max(distribution.soonest, waited / 60, LATEST)
        return min(max(best, START_DELAY), limit, MAX_GAP)

    def _note_response(self, job_id: str) -> _Job | None:
        """Note a sound response about a job."""
        self.note_success()
        if (job := self._jobs.get(job_id)) is not None:
            job.failures = 0
        return job

    def _sent(self, job: _Job, now: float) -> float:
        """Return when the poll was sent that has its response now."""
        sent = now if job.sent_at is None else job.sent_at
        job.sent_at = None
        return max(sent, job.open_at or -math.inf)

    # Ceiling

    def _allowance_left(self, now: float) -> float:
        """Return how many requests may be sent at once."""
        if self._allowance_at is None:
            return float(BURST)
        passed = max(now - self._allowance_at, 0.0)
        return min(self._allowance + passed * REQUESTS_PER_SECOND, float(BURST))

    def _allowed_from(self, now: float) -> float:
        """Return when the next request is within the ceiling."""
        missing = 1 - self._allowance_left(now)
        return now + missing / REQUESTS_PER_SECOND if missing > 0 else -math.inf


def _find_start(job: _Job) -> Interval:
    """Return when a job that is being made likely started at the earliest and the latest."""
    latest = math.inf if job.processing_since is None else job.processing_since
    return min(max(job.not_before, job.likely_from), latest), latest


def _middle(interval: Interval) -> float:
    """Return the middle of an interval."""
    return (interval[0] + interval[1]) / 2


def find_next_poll(distribution: Distribution, started: Interval, open_at: float) -> float:
    """Return when to poll a job that started between two times and was open at a third."""
    first, last = started
    if distribution.components:
        # It is open, so it did not start earlier than the longest of usual durations ago.
        longest = max(math.exp(part.center + 3 * part.spread) for part in distribution.components)
        first = min(max(first, open_at - longest), last)
    middle = (first + last) / 2
    elapsed = max(open_at - middle, 0.0)
    soonest = distribution.find_soonest(last - first)
    distribution = distribution.widened(last - first)
    unknown = elapsed
    if distribution.components:
        unknown = min(max(2 * (distribution.typical - soonest), elapsed - soonest), elapsed)
    latest = min(max(elapsed, soonest) + find_longest_gap(unknown), elapsed + MAX_GAP)
    passed, before = 0.0, elapsed
    density = _polls_per_second(distribution, before)
    for point in _steps(distribution, elapsed, latest):
        after = _polls_per_second(distribution, point)
        more = (density + after) / 2 * (point - before)
        if passed + more >= 1:
            latest = before + _solve(density, after, point - before, 1 - passed)
            break
        passed, before, density = passed + more, point, after
    # It may have started at `first`, and ended soon after: no end is noticed later than the gap.
    silent_since = max(first, open_at)
    return min(middle + max(latest, elapsed + LEAST_GAP), silent_since + MAX_GAP)


def find_longest_gap(unknown: float) -> float:
    """Return the longest gap between polls if so many seconds of a duration are unknown."""
    share = LATE_SHARE * unknown
    return max(LATEST, share if unknown > USUAL else min(share, CLOSE)) - REQUEST_TIME


def _polls_per_second(distribution: Distribution, seconds: float) -> float:
    """Return the best density of polls after so many seconds: √(h / 2c)."""
    density, remaining = distribution.evaluate(seconds)
    return math.sqrt(density / remaining / (2 * REQUEST_COST))


def _steps(distribution: Distribution, first: float, last: float) -> Iterator[float]:
    """Return points between two durations close enough for the trapezoid rule."""
    milestones = distribution.milestones()
    milestones = [*milestones[bisect_right(milestones, first) :], last]
    point = max(first, LEAST)
    for milestone in milestones:
        end = min(milestone, last)
        while end > 2 * point:
            point *= 2
            yield point
        point = max(point, end)
        yield end
        if end >= last:
            return


def _solve(before: float, after: float, width: float, area: float) -> float:
    """Return how far to go until a line from `before` to `after` covers an area."""
    slope = (after - before) / width
    if abs(slope) * width < 1e-6 * max(before, after):
        return area / before
    root: float = math.sqrt(max(before * before + 2 * slope * area, 0.0))
    return (root - before) / slope


def _find_span(job: _Job, now: float) -> Span:
    """Return when the image of a job was made that was found to have ended."""
    open_at = max(job.not_before, job.open_at or -math.inf)
    latest_start = now if job.processing_since is None else job.processing_since
    return Span(
        start=(job.not_before, latest_start),
        end=(open_at, now),
        started=job.processing_since is not None,
    )


def _back_off(failures: int) -> float:
    """Return for how many seconds not to poll what failed so many times in a row."""
    return float(min(2 ** min(failures - 1, 6), MAX_GAP))
