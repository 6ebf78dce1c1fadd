"""Learn how long images take, and predict how long the next one will take. Pure.

A duration is known as an interval, because GAZE reports a job's status only when it is polled. A
sample is such an interval. A key is a preset, a checkpoint, and a size. It has its own samples.

*Learned.* The durations of a key differ by a share of themselves, so their logarithms have a normal
distribution. The core is the largest group of samples within a half of each other, weighted by
recency. Samples outside the core, such as a model load, don't change it. Each of them is a
component of its own, because it is likely to happen again.

The center and the spread of the core are unknown. The spread is one of `SPREADS`. Bayes' rule gives
the probability of each from how well it explains the samples (Gelman et al., *Bayesian Data
Analysis*, chapter 3). So a prediction is wide after one sample, and narrow after several.

*Censored.* The likelihood of a sample is the probability of its interval. If its bounds differ by
more than a quarter, it counts only beside known samples. The core narrows such an interval if they
overlap. An interval that covers all of the core teaches nothing. If it lies outside the core,
something has changed. It is then a wide component until a known sample exists.

*Borrowed.* A key without samples uses the cores of the keys with the same checkpoint and size. If
there are none, it uses those of all keys of the server. How much keys differ is learned, too. The
spreads of the other keys are what is expected of a new key.

*Unknown.* On a server without samples, each order of magnitude is equally likely. This is a
log-uniform prior (Jeffreys, 1946: the prior without information about a scale).

*Tails.* An image may take longer than any before. After n samples, the weight of this is
1 / (2n + 2), by Jeffreys' prior for a probability. An image takes less time than any before only
if its preset or the hardware changes. The weight of this is `EARLY`.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
import math
from typing import Final

type Key = tuple[str, ...]
type Interval = tuple[float, float]

# The range of durations before anything is learned, in seconds. Usual images take 5 to 60 s, the
# fastest models a few. A job is given up after 12 hours.
SHORTEST: Final = 2.0
LONGEST: Final = 12 * 3600.0
LEAST: Final = 0.05  # requests cannot distinguish a shorter duration from zero
# Bounds within a quarter of each other count as a known duration.
QUARTER: Final = 1.25
# A group: samples that differ by less than half. A model load takes longer than that.
SAME_KIND: Final = math.log(1.5)
# Memory: the largest number of samples that can show one model load in ten, and 300 presets of
# the largest known collections, rounded up. A key takes about 300 bytes on disk.
MAX_SAMPLES: Final = 12
MAX_KEYS: Final = 500
# Weight of a sample relative to the next newer one. The sum of the weights tends to 10: a little
# less than the number of samples that are stored, so that each still counts.
RECENCY: Final = 0.9
# Spreads of durations, as shares: from a GPU that does nothing else to one with much other work.
# A dozen samples can distinguish each from the next. Before anything is learned, each is half as
# likely as the one before: GAZE usually has the GPU for itself.
SPREADS: Final = (0.0075, 0.015, 0.03, 0.06, 0.12)
# How much two presets differ before anything is learned: one takes twice as long as the other.
USUAL_DIFFERENCE: Final = math.log(2)
MAX_LENDERS: Final = 32  # keys to borrow from: the error of their spread is then 1 / √64 = 13 %
# An image becomes faster than all before about twice in ten thousand: users edit a preset or
# replace a GPU a few times a year, and a home makes ten thousand images in a year.
EARLY: Final = 0.0002
# The project's goals bound the 95th percentile. Half of the images beyond it may end before
# `soonest`. The other half is for distributions that are wrong.
EARLY_IMAGES: Final = 0.025


@dataclass(frozen=True, slots=True)
class Component:
    """A log-normal part of a distribution. `center` is in log seconds, `spread` a share."""

    weight: float
    center: float
    spread: float


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """How long an image will take: log-normal components and log-uniform tails.

    `late` and `early` are the weights of the tails above and below the `typical` duration, in
    seconds. Without components, the whole range is one log-uniform distribution.
    """

    components: tuple[Component, ...] = ()
    late: float = 1.0
    early: float = 0.0
    typical: float = SHORTEST

    @property
    def known(self) -> bool:
        """Whether anything was learned about it."""
        return bool(self.components)

    @cached_property
    def soonest(self) -> float:
        """Return the seconds before which few images end: `EARLY_IMAGES`."""
        if not self.components:
            return SHORTEST
        low, high = math.log(LEAST), math.log(self.typical)
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            if self.evaluate(math.exp(middle))[1] > 1 - EARLY_IMAGES:
                low = middle
            else:
                high = middle
        return math.exp(low)

    def widened(self, seconds: float) -> Distribution:
        """Return the distribution of the end if the start is unknown by so many seconds.

        The start is uniform in an interval of this length, whose variance is w²/12. Times are
        then relative to the middle of the interval.
        """
        if not self.components or seconds <= 0:
            return self
        parts = tuple(
            Component(
                part.weight,
                part.center,
                min(math.hypot(part.spread, seconds / math.exp(part.center) / _ROOT_12), _WIDEST),
            )
            for part in self.components
        )
        return replace(self, components=parts)

    def find_soonest(self, start_unknown: float) -> float:
        """Return the seconds before which few images end if the start is unknown by so many."""
        if not self.components:
            return max(self.soonest - start_unknown / 2, LEAST)
        spread = _EARLY_SCORE * start_unknown / _ROOT_12
        return max(self.typical - math.hypot(self.typical - self.soonest, spread), LEAST)

    def evaluate(self, seconds: float) -> tuple[float, float]:
        """Return the density of images that end after so many seconds, and the share after it."""
        if seconds <= SHORTEST / 1000:
            return 0.0, 1.0
        log = math.log(seconds)
        density = remaining = 0.0
        for part in self.components:
            score = (log - part.center) / part.spread
            remaining += part.weight * 0.5 * math.erfc(score / _ROOT_2)
            if -_FAR < score < _FAR:
                density += part.weight * math.exp(-score * score / 2) / part.spread
        density /= _ROOT_2_PI
        low = _LOG_SHORTEST
        middle = max(math.log(self.typical), low)
        high = max(_LOG_LONGEST, middle + 1)
        if log > middle:
            density += self.late / (high - middle)
            # Beyond all bounds the hazard stays that of a job that can end at any time.
            remaining += self.late * max(high - log, 1.0) / (high - middle)
        else:
            remaining += self.late
            if low < log < middle:
                density += self.early / (middle - low)
                remaining += self.early * (middle - log) / (middle - low)
            else:
                remaining += self.early
        return density / seconds, max(remaining, _TINY)

    def milestones(self) -> list[float]:
        """Return the seconds between which the density changes little, in order.

        Half a standard deviation apart, from five below a component to three above it.
        """
        closest = min((part.spread for part in self.components), default=0.0) * 0.45
        logs: list[float] = []
        for log in sorted(
            part.center + part.spread * half / 2
            for part in self.components
            for half in range(-10, 7)
        ):
            if not logs or log - logs[-1] > closest:
                logs.append(log)
        return [math.exp(log) for log in logs]

    def expect(self, elapsed: float) -> tuple[float, float]:
        """Return the duration to expect, and its standard deviation, of an image that still runs.

        It is that of the component that most likely holds the image. An image that is overdue
        is expected one standard deviation from now.
        """
        best, duration, deviation = 0.0, self.typical, self.typical
        log = math.log(max(elapsed, LEAST))
        for part in self.components:
            score = (log - part.center) / part.spread
            weight = part.weight * 0.5 * math.erfc(score / _ROOT_2)
            if weight > best:
                best, duration = weight, math.exp(part.center)
                deviation = duration * part.spread
        if best < self.late * 0.5 or not self.components:
            deviation = max(deviation, elapsed / 10)  # unlike any before: a share of the past
        return max(duration, elapsed + deviation), deviation


_ROOT_2: Final = math.sqrt(2)
_ROOT_12: Final = math.sqrt(12)
_ROOT_2_PI: Final = math.sqrt(2 * math.pi)
_FAR: Final = 8.0  # standard deviations beyond which a normal density is zero in a float's terms
_TINY: Final = 1e-9
_SMALLEST: Final = 1e-15
_EXACT: Final = 1e-3  # an interval so much smaller than the spread is a value
_WIDEST: Final = 2.0  # a larger spread is as good as the whole range of durations
_LOG_SHORTEST: Final = math.log(SHORTEST)
_LOG_LONGEST: Final = math.log(LONGEST)
UNKNOWN: Final = Distribution()


@dataclass(frozen=True, slots=True)
class _Core:
    """What the samples of a key have in common: normal distributions of log seconds.

    There is one for each of `SPREADS`, whose weight is its probability. `weight` is the number of
    samples, in which older ones count less.
    """

    parts: tuple[Component, ...]
    weight: float

    @property
    def center(self) -> float:
        """Return the usual duration in log seconds."""
        return sum(part.weight * part.center for part in self.parts)

    @property
    def spread(self) -> float:
        """Return the standard deviation of one more sample, as a share."""
        return math.sqrt(sum(part.weight * part.spread**2 for part in self.parts))


@dataclass(slots=True)
class _Samples:
    """The samples of a key, oldest first."""

    intervals: deque[Interval] = field(default_factory=lambda: deque(maxlen=MAX_SAMPLES))
    core: _Core | None = None

    @property
    def center(self) -> float:
        """Return the usual duration in log seconds, at most a half too long if it is censored.

        Keys with fast images would otherwise not lend: they are found done at the first poll.
        """
        if self.core is not None:
            return self.core.center
        low, high = self.intervals[-1]
        return math.log(max(low, high / 2) * high) / 2


class Durations:
    """What is known about how long images take on one server."""

    def __init__(self, samples: Mapping[Key, Iterable[object]] | None = None) -> None:
        """Start from stored samples, the keys learned last at the end.

        A sample is an interval, or a number as version 0.1.0 stored it. Others are discarded.
        """
        self._keys: OrderedDict[Key, _Samples] = OrderedDict()
        self._distributions: dict[Key, Distribution] = {}
        for key, values in list((samples or {}).items())[-MAX_KEYS:]:
            intervals = [valid for value in values if (valid := _validate(value)) is not None]
            if intervals:
                known = self._keys[key] = _Samples()
                known.intervals.extend(intervals)
                known.core = _find_core(known.intervals, self._expect_spreads(known))

    def samples(self, key: Key) -> list[Interval]:
        """Return the bounds of the last durations of a key, oldest first."""
        known = self._keys.get(key)
        return [] if known is None else list(known.intervals)

    def items(self) -> list[tuple[Key, list[Interval]]]:
        """Return the bounds of the last durations of each key, oldest first."""
        return [(key, list(known.intervals)) for key, known in self._keys.items()]

    def learn(self, key: Key, shortest: float, longest: float) -> bool:
        """Learn that an image took at least and at most so many seconds.

        Return whether this was news. Bounds that are not finite are not.
        """
        interval = _validate((shortest, longest))
        if interval is None:
            return False
        known = self._keys.get(key)
        if known is None:
            known = self._keys[key] = _Samples()
        if not is_known(*interval) and known.core is not None:
            low, high = _clip(interval, known.core.center, SAME_KIND)
            if interval[0] < low < high < interval[1]:
                return False
            interval = (low, high) if low < high else interval
        if is_known(*interval):
            for old in [old for old in known.intervals if not _is_narrow(old)]:
                known.intervals.remove(old)
        known.intervals.append(interval)
        known.core = _find_core(known.intervals, self._expect_spreads(known))
        self._keys.move_to_end(key)
        while len(self._keys) > MAX_KEYS:
            self._distributions.pop(self._keys.popitem(last=False)[0], None)
        self._discard_distributions(key)
        return True

    def narrow(self, key: Key, interval: Interval) -> Interval:
        """Return an interval without what is more than three standard deviations from the core.

        An interval outside these is narrowed to what is still the same kind of image. One outside
        that, too, is returned as it is. So is one whose key has no core.
        """
        known = self._keys.get(key)
        if known is None or known.core is None:
            return interval
        core = known.core
        for width in (3 * core.spread, SAME_KIND):
            low, high = _clip(interval, core.center, width)
            if low < high:
                return low, high
        return interval

    def predict(self, key: Key) -> Distribution:
        """Return how long the next image of a key will take."""
        if key not in self._keys:
            key = ("", *key[1:])  # what a preset without samples borrows
        if (known := self._distributions.get(key)) is None:
            if len(self._distributions) > 2 * MAX_KEYS:
                self._distributions.clear()
            known = self._distributions[key] = self._predict(key)
        return known

    def _predict(self, key: Key) -> Distribution:
        known = self._keys.get(key)
        if known is None:
            return self._borrow(key)
        if known.core is None:
            return self._describe_censored(known)
        return self._describe(known, known.core)

    def _describe(self, known: _Samples, core: _Core) -> Distribution:
        """Return the distribution of a key with a core."""
        total = sum(RECENCY**age for age in range(len(known.intervals)))
        late = _expect_late(len(known.intervals))
        share = (1 - late - EARLY) / total
        parts = [
            replace(part, weight=share * core.weight * part.weight)
            for part in core.parts
            if part.weight > _NEGLIGIBLE
        ]
        if core.weight < total - _TINY:  # some samples are outside the core
            for age, interval in enumerate(reversed(known.intervals)):
                center, width = _log(interval)
                if not _is_member(interval, core.center):
                    spread = math.hypot(width, core.spread)
                    parts.append(Component(share * RECENCY**age, center, spread))
        return Distribution(
            components=tuple(parts), late=late, early=EARLY, typical=math.exp(core.center)
        )

    def _describe_censored(self, known: _Samples) -> Distribution:
        """Return the distribution of a key that has censored samples only."""
        late = _expect_late(1)  # such samples say little, even if there are many
        share = (1 - late) / len(known.intervals)
        parts = tuple(
            Component(share, center, math.hypot(width, _UNKNOWN_SPREAD))
            for center, width in map(_log, reversed(known.intervals))
        )
        return Distribution(
            components=parts, late=late, early=EARLY, typical=math.exp(parts[0].center)
        )

    def _borrow(self, key: Key) -> Distribution:
        """Return the distribution of a key without samples, from the nearest keys."""
        centers = [known.center for near, known in self._keys.items() if near[1:] == key[1:]] or [
            known.center for known in self._keys.values()
        ]
        centers = centers[-MAX_LENDERS:]
        if not centers:
            return UNKNOWN
        center = sum(centers) / len(centers)
        squares = sum((other - center) ** 2 for other in centers)
        between = (USUAL_DIFFERENCE**2 + squares) / len(centers)
        spread = math.sqrt(_UNKNOWN_SPREAD**2 + between * (1 + 1 / len(centers)))
        late = _expect_late(len(centers))
        return Distribution(
            components=(Component(1 - late - EARLY, center, spread),),
            late=late,
            early=EARLY,
            typical=math.exp(center),
        )

    def _expect_spreads(self, apart: _Samples) -> list[float]:
        """Return the probability of each of `SPREADS` for a key, from the other keys.

        The Dirichlet prior (Gelman et al., section 3.4) weighs as much as one key. A single
        sample says nothing about a spread.
        """
        counts = list(_USUAL_SPREADS)
        for known in list(self._keys.values())[-MAX_LENDERS:]:
            if known.core is not None and known is not apart:
                evidence = 1 - 1 / known.core.weight if known.core.weight > 1 else 0.0
                for number, part in enumerate(known.core.parts):
                    counts[number] += evidence * part.weight
        total = sum(counts)
        return [count / total for count in counts]

    def _discard_distributions(self, key: Key) -> None:
        """Discard what changes with a new sample of a key."""
        self._distributions.pop(key, None)
        for borrowed in [other for other in self._distributions if other not in self._keys]:
            del self._distributions[borrowed]


_USUAL_SPREADS: Final = tuple(2**-number / 1.9375 for number in range(len(SPREADS)))
_LOG_QUARTER: Final = math.log(QUARTER) + 1e-9
_UNKNOWN_SPREAD: Final = math.sqrt(SPREADS[0] * SPREADS[-1])
_NEGLIGIBLE: Final = 0.01
_STEPS: Final = 4  # of expectation maximization: the error of the center is then below a tenth
_EARLY_SCORE: Final = 1.96  # standard deviations of a normal distribution before `EARLY_IMAGES`
_HALVINGS: Final = 15  # of a range of six orders of magnitude: the error is below a thousandth


def _expect_late(count: int) -> float:
    """Return the probability of an image that takes longer than all before, after so many."""
    return 1 / (2 * count + 2)


def is_known(shortest: float, longest: float) -> bool:
    """Return whether the bounds of a duration are within a quarter of each other."""
    return 0 < longest <= shortest * QUARTER


def _validate(value: object) -> Interval | None:
    """Return a stored sample as an interval within bounds, or None if it is none."""
    match value:
        case [int() | float() as low, int() | float() as high]:
            pass
        case int() | float():
            # Version 0.1.0 stored durations that could be wrong. They count as barely known.
            low, high = value * 0.9, value * 1.1
        case _:
            return None
    if isinstance(value, bool) or not (math.isfinite(low) and math.isfinite(high)):
        return None
    if high < low or high < 0:
        return None
    return min(max(low, LEAST), LONGEST), min(max(high, LEAST), LONGEST)


def _log(interval: Interval) -> tuple[float, float]:
    """Return the center of an interval in log seconds, and its standard deviation."""
    low, high = math.log(interval[0]), math.log(interval[1])
    return (low + high) / 2, (high - low) / _ROOT_12


def _clip(interval: Interval, center: float, width: float) -> Interval:
    """Return the part of an interval that is near a center, in log seconds. It may be empty."""
    return (
        max(interval[0], math.exp(center - width)),
        min(interval[1], math.exp(center + width)),
    )


def _is_narrow(interval: Interval) -> bool:
    """Return whether a sample is known, or was narrowed to what is near a core."""
    low, high = interval
    return math.log(high / low) < 2 * SAME_KIND


def _is_member(interval: Interval, center: float) -> bool:
    """Return whether a sample is near the center of a core, in log seconds."""
    return _is_narrow(interval) and abs(_log(interval)[0] - center) <= SAME_KIND


def _find_core(intervals: Iterable[Interval], prior: Sequence[float]) -> _Core | None:
    """Return the core of samples: the heaviest group that is near a known one of its members."""
    points = [
        (_log(interval)[0], RECENCY**age, math.log(interval[0]), math.log(interval[1]))
        for age, interval in enumerate(reversed(list(intervals)))
        if _is_narrow(interval)
    ]
    best, heaviest = points[:0], 0.0
    for center, _, low, high in points:
        if high - low > _LOG_QUARTER:
            continue
        group = [point for point in points if abs(point[0] - center) <= SAME_KIND]
        weight = sum(point[1] for point in group)
        if weight > heaviest:
            best, heaviest = group, weight
    if not best:
        return None
    fits = [_fit_center(best, spread) for spread in SPREADS]
    likeliest = max(likelihood for likelihood, _, _ in fits)
    shares = [
        share * math.exp(likelihood - likeliest)
        for share, (likelihood, _, _) in zip(prior, fits, strict=True)
    ]
    total = sum(shares)
    parts = tuple(
        Component(share / total, center, math.hypot(spread, doubt))
        for share, spread, (_, center, doubt) in zip(shares, SPREADS, fits, strict=True)
    )
    return _Core(parts, heaviest)


def _fit_center(
    group: Sequence[tuple[float, float, float, float]], spread: float
) -> tuple[float, float, float]:
    """Return the likelihood of a spread, the most likely center, and its standard deviation.

    Samples are known as intervals. What is expected of each gives the center, and the center
    gives what is expected (Dempster, Laird, and Rubin, 1977). A sample counts as much as its
    interval narrows what is expected (Orchard and Woodbury, 1972). The likelihood, whose logarithm
    is returned, is that of all centers by Laplace's method.
    """
    weight = sum(share for _, share, _, _ in group)
    center = sum(share * middle for middle, share, _, _ in group) / weight
    widest = sum(share * (high - low) ** 2 for _, share, low, high in group) / weight / 12
    for _ in range(_STEPS):
        likelihood = total = evidence = 0.0
        for _, share, low, high in group:
            chance, mean, left = _truncate(low, high, center, spread)
            likelihood += share * chance
            total += share * mean
            evidence += share * (1 - left)
        center = total / weight
    variance = min(spread * spread / max(evidence, _TINY), widest + spread * spread)
    return likelihood + math.log(variance) / 2, center, math.sqrt(variance)


def _truncate(low: float, high: float, center: float, spread: float) -> tuple[float, float, float]:
    """Return what is expected of a normally distributed sample within an interval.

    That is the logarithm of its probability, its mean, and the share of the variance that is left.
    """
    first, last = (low - center) / spread, (high - center) / spread
    if last - first < _EXACT:
        middle = (first + last) / 2
        return -middle * middle / 2 + math.log(_EXACT / _ROOT_2_PI), (low + high) / 2, 0.0
    if first > _FAR or last < -_FAR:
        nearest = first if first > 0 else last
        return -nearest * nearest / 2, center + spread * nearest, 0.0
    if first > 0:
        share = (math.erfc(first / _ROOT_2) - math.erfc(last / _ROOT_2)) / 2
    else:
        share = (math.erfc(-last / _ROOT_2) - math.erfc(-first / _ROOT_2)) / 2
    share = max(share, _SMALLEST)
    before = math.exp(-first * first / 2) / _ROOT_2_PI
    after = math.exp(-last * last / 2) / _ROOT_2_PI
    shift = (before - after) / share
    left = 1 + (first * before - last * after) / share - shift * shift
    return math.log(share), center + spread * shift, min(max(left, 0.0), 1.0)
