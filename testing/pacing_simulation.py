"""Simulates how late images are noticed: ours, fixed intervals, and the theoretical optimum.

No process, no network, no clock: seconds are numbers, so that hours take seconds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
import math
import random
from typing import Any, Final

from custom_components.gaze.jobs.durations import Durations, Key
from custom_components.gaze.jobs.pacing import REQUEST_COST, Pacer

OURS: Final = "this integration"
REQUEST_TIME: Final = 0.03  # seconds from a request to its response
PAUSE: Final = 5.0  # seconds between the end of a batch and the next request for images
INTERVALS: Final = (0.5, 1.0, 2.0, 5.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """Images to make. A batch is a preset's number and a count; the next follows its end.

    An image takes `seconds` of its preset, give or take the share `spread`, uniformly. If `low` is
    set, it takes `low` to `high` seconds instead, log-uniformly if `logarithmic`. Each
    `load_every`-th takes `load` seconds longer. `learned`: whether the figures for learned keys
    apply. `first`: whether those for first images apply.
    """

    letter: str
    title: str
    batches: tuple[tuple[int, int], ...]
    seconds: tuple[float, ...] = (8.0,)
    spread: float = 0.1
    low: float = 0.0
    high: float = 0.0
    logarithmic: bool = False
    load: float = 0.0
    load_every: int = 0
    learned: bool = False
    first: bool = False
    shuffled: bool = False

    def changed(self, **changes: Any) -> Scene:
        """Return a scene with other parameters, whose title says them."""
        if "seconds" in changes and "low" not in changes:
            changes |= {"low": 0.0, "high": 0.0}
        text = ", ".join(f"{name} = {value}" for name, value in changes.items())
        return replace(self, title=f"{self.title}, with {text}", **changes)

    def draw(self, rng: random.Random) -> list[list[Made]]:
        """Return batches of images with their durations."""
        batches = list(self.batches)
        if self.shuffled:
            rng.shuffle(batches)
        number = 0
        seen: dict[int, int] = {}
        drawn: list[list[Made]] = []
        for preset, count in batches:
            batch: list[Made] = []
            for _ in range(count):
                number += 1
                seen[preset] = seen.get(preset, 0) + 1
                seconds = self._draw_duration(rng, preset)
                if self.load_every and number % self.load_every == 0:
                    seconds += self.load
                batch.append(Made(key=(f"preset_{preset}", "", ""), nth=seen[preset], took=seconds))
            drawn.append(batch)
        return drawn

    def _draw_duration(self, rng: random.Random, preset: int) -> float:
        if self.low:
            if self.logarithmic:
                return math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
            return rng.uniform(self.low, self.high)
        return self.seconds[preset % len(self.seconds)] * rng.uniform(
            1 - self.spread, 1 + self.spread
        )

    def remaining(self, preset: int) -> Callable[[float], float]:
        """Return the true share of a preset's images that take longer than so many seconds."""
        if self.low and self.logarithmic:
            return lambda t: _share(math.log(self.low), math.log(self.high), math.log(max(t, 1e-9)))
        if self.low:
            return lambda t: _share(self.low, self.high, t)
        middle = self.seconds[preset % len(self.seconds)]
        low, high = middle * (1 - self.spread), middle * (1 + self.spread)
        loaded = 1 / self.load_every if self.load_every else 0.0
        return lambda t: (
            (1 - loaded) * _share(low, high, t) + loaded * _share(low, high, t - self.load)
        )


def _share(low: float, high: float, value: float) -> float:
    """Return the share of a uniform distribution above a value."""
    return min(max((high - value) / max(high - low, 1e-9), 0.0), 1.0)


@dataclass(kw_only=True, slots=True)
class Made:
    """An image, the n-th of its key. Times are in seconds."""

    key: Key
    nth: int
    took: float
    start: float = 0.0
    end: float = 0.0
    noticed: float = 0.0
    requests: int = 0
    reported: float | None = None  # the duration that was reported

    @property
    def late(self) -> float:
        """Return how late the end was noticed."""
        return self.noticed - self.end

    @property
    def cost(self) -> float:
        """Return lateness and requests in one figure."""
        return self.late + REQUEST_COST * self.requests


@dataclass(frozen=True, slots=True)
class Outcome:
    """The images of a client in a scene."""

    images: list[Made] = field(default_factory=list)

    def since(self, nth: int) -> Outcome:
        """Return the images from the n-th of each key on."""
        return Outcome([image for image in self.images if image.nth >= nth])

    def late(self, share: float) -> float:
        """Return a percentile of the lateness by nearest rank."""
        ordered = sorted(image.late for image in self.images)
        return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]

    @property
    def mean_late(self) -> float:
        """Return the mean lateness."""
        return sum(image.late for image in self.images) / len(self.images)

    @property
    def first_late(self) -> float:
        """Return the most by which an image was late, as a share of what a first one may be."""
        return max(image.late / allow_first(image.took) for image in self.images)

    @property
    def requests(self) -> float:
        """Return the requests per image."""
        return sum(image.requests for image in self.images) / len(self.images)

    @property
    def cost(self) -> float:
        """Return J: the mean lateness in seconds + 0.05 for each request per image."""
        return sum(image.cost for image in self.images) / len(self.images)


type Client = Callable[[Sequence[Sequence[Made]], float], Outcome]


def place(batch: Sequence[Made], accepted: float) -> None:
    """Let the server make a batch, one image after the other."""
    for image in batch:
        image.start, image.end = accepted, accepted + image.took
        accepted = image.end


def process_response(pacer: Pacer, job_id: str, image: Made, *, seen: float, now: float) -> None:
    """Process the response to a poll, for which the server looked at the image at `seen`."""
    if seen >= image.end:
        image.noticed = now
        span = pacer.end(job_id, now, done=True)
        image.reported = None if span is None else span.duration
        pacer.infer_start(now)
    elif seen >= image.start:
        pacer.process(job_id, now)
    else:
        pacer.wait(job_id, now)


def poll_with_pacer(batches: Sequence[Sequence[Made]], request_time: float) -> Outcome:
    """Let the integration's pacer poll."""
    durations, now = Durations(), 0.0
    pacer = Pacer(durations)
    for number, batch in enumerate(batches):
        now += PAUSE
        place(batch, now)
        jobs = {f"{number}-{index}": image for index, image in enumerate(batch)}
        for job_id, image in jobs.items():
            pacer.add(job_id, image.key, accepted=now)
        while (poll := pacer.next_poll(now)) is not None:
            job_id, due = poll
            image = jobs[job_id]
            now = max(now, due)
            pacer.start_poll(job_id, now)
            image.requests += 1
            seen, now = now + request_time / 2, now + request_time
            process_response(pacer, job_id, image, seen=seen, now=now)
    return Outcome([image for batch in batches for image in batch])


def poll_at_intervals(interval: float) -> Callable[[Sequence[Sequence[Made]], float], Outcome]:
    """Return a client that polls the head of the queue, then waits for a fixed time."""

    def poll(batches: Sequence[Sequence[Made]], request_time: float) -> Outcome:
        now = 0.0
        for batch in batches:
            now += PAUSE
            place(batch, now)
            now += interval
            for image in batch:
                while True:
                    image.requests += 1
                    seen, now = now + request_time / 2, now + request_time
                    if seen >= image.end:
                        image.noticed = now
                        break
                    now += interval
        return Outcome([image for batch in batches for image in batch])

    return poll


def simulate(
    scene: Scene, *, seed: int, repeat: int, request_time: float = REQUEST_TIME
) -> dict[str, Outcome]:
    """Let each client make the same images, `repeat` times."""
    clients: dict[str, Client] = {OURS: poll_with_pacer}
    clients |= {f"every {interval:g} s": poll_at_intervals(interval) for interval in INTERVALS}
    return {
        name: perform(scene, poll, seed=seed, repeat=repeat, request_time=request_time)
        for name, poll in clients.items()
    }


def perform(
    scene: Scene, poll: Client, *, seed: int, repeat: int, request_time: float = REQUEST_TIME
) -> Outcome:
    """Let a client make the images of a scene, `repeat` times."""
    images: list[Made] = []
    for number in range(repeat):
        rng = random.Random(f"{scene.letter} {seed + number}")  # noqa: S311 - a simulation
        images += poll(scene.draw(rng), request_time).images
    return Outcome(images)


@dataclass(frozen=True, slots=True)
class Optimum:
    """The best that any schedule of polls reaches if the distribution and the start are known."""

    cost: float
    late: float
    requests: float


def find_optimum(  # noqa: PLR0913 - each is a different question
    remaining: Callable[[float], float],
    *,
    request_time: float = REQUEST_TIME,
    request_cost: float = REQUEST_COST,
    fine: float = 0.0,
    late_after: float = math.inf,
    longest: Callable[[float], float] | None = None,
    points: int = 900,
) -> Optimum:
    """Return the optimum by dynamic programming over the time of the last poll.

    `fine`: seconds that an image costs that is noticed later than `late_after`. `longest`: the
    latest that an image may be noticed that ends after so many seconds. `points`: how many
    different times polls may have.
    """
    last = _find_edge(remaining, lambda share: share <= _NONE)
    first = _find_edge(remaining, lambda share: share < 1)
    step = max((last - first) / points, 0.01)
    count = math.ceil((last - first) / step)
    shares = [remaining(first + step * index) for index in range(count)] + [0.0]
    ending = [shares[index] - shares[index + 1] for index in range(count)]
    # Sums up to a point: of the shares that end, and of these times when they end, in steps
    ended = [0.0, *accumulate(ending)]
    moments = [0.0, *accumulate((index + 0.5) * share for index, share in enumerate(ending))]
    half = request_time / 2
    allowed = count if math.isinf(late_after) else math.ceil((late_after - half) / step)
    # best[i]: cost, lateness, and requests from the i-th point on, times the share that is left
    best: list[tuple[float, float, float]] = [(0.0, 0.0, 0.0)] * (count + 1)
    for index in range(count - 1, -1, -1):
        found = (math.inf, 0.0, 0.0)
        farthest = float(count)
        if longest is not None:
            # One more step makes up for times of polls that are multiples of a step.
            farthest = 1 + (longest(first + step * index) - half) / step
        for to in range(index + 1, count + 1):
            share = ended[to] - ended[index]
            if to - index > farthest or (share > 0 and (to - index) * step > MAX_GAP_SEARCHED):
                break
            late = step * (to * share - moments[to] + moments[index]) + half * share
            fined = ended[max(to - allowed, index)] - ended[index]
            cost = late + request_cost * shares[index] + fine * fined + best[to][0]
            if cost < found[0]:
                found = (cost, late + best[to][1], shares[index] + best[to][2])
        best[index] = found
    return Optimum(*best[0])


_NONE: Final = 1e-6
MAX_GAP_SEARCHED: Final = 30.0


def _find_edge(remaining: Callable[[float], float], passed: Callable[[float], bool]) -> float:
    """Return the time from which the share that is left passes a test."""
    low, high = 0.0, 1.0
    while not passed(remaining(high)):
        high *= 2
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if passed(remaining(middle)) else (middle, high)
    return low


def find_scene_optimum(
    scene: Scene, request_time: float = REQUEST_TIME, request_cost: float = REQUEST_COST
) -> Optimum:
    """Return the mean optimum of the images of a scene."""
    weights: dict[int, int] = {}
    for preset, count in scene.batches:
        kind = preset % len(scene.seconds)
        weights[kind] = weights.get(kind, 0) + count
    total = sum(weights.values())
    found = {
        kind: find_optimum(
            scene.remaining(kind), request_time=request_time, request_cost=request_cost
        )
        for kind in weights
    }
    return Optimum(
        cost=sum(found[kind].cost * count for kind, count in weights.items()) / total,
        late=sum(found[kind].late * count for kind, count in weights.items()) / total,
        requests=sum(found[kind].requests * count for kind, count in weights.items()) / total,
    )


def find_lowest_cost(
    scene: Scene,
    *,
    late_after: float = math.inf,
    longest: Callable[[float], float] | None = None,
    request_time: float = REQUEST_TIME,
) -> float:
    """Return a J that no schedule beats which notices images as early as required.

    It notices 95 % of images within `late_after` seconds, and each within `longest`. This is the
    Lagrange dual: with any fine for a late image, the optimum minus the fines that 5 % late images
    pay is a lower bound.
    """
    remaining = scene.remaining(0)
    fines = (0.0,) if math.isinf(late_after) else (0.0, 1.0, 1.25, 1.5)
    return max(
        find_optimum(
            remaining,
            request_time=request_time,
            fine=fine,
            late_after=late_after,
            longest=longest,
            points=FINE_POINTS,
        ).cost
        - 0.05 * fine
        for fine in fines
    )


FINE_POINTS: Final = 3000


def allow_first(took: float) -> float:
    """Return how late a first image may be noticed: 1 s, or 3 % of its duration."""
    return max(1.0, 0.03 * took)


SCENES: Final = (
    Scene(
        letter="A",
        title="1 + 20 images of 8 s ± 10 %",
        batches=((0, 1), (0, 20)),
        learned=True,
    ),
    Scene(
        letter="B",
        title="One first image, 3 to 120 s log-uniform",
        batches=((0, 1),),
        low=3,
        high=120,
        logarithmic=True,
        first=True,
    ),
    Scene(
        letter="B'",
        title="One first image, 5 to 12 s",
        batches=((0, 1),),
        low=5,
        high=12,
        first=True,
    ),
    Scene(
        letter="C",
        title="30 presets, 2 single images each, 12 s ± 15 %",
        batches=tuple((preset, 1) for preset in range(30)) * 2,
        seconds=(12.0,),
        spread=0.15,
        shuffled=True,
    ),
    Scene(
        letter="D",
        title="40 singles of 10 s ± 5 %, each tenth + 25 s",
        batches=((0, 1),) * 40,
        seconds=(10.0,),
        spread=0.05,
        load=25,
        load_every=10,
    ),
    Scene(
        letter="E",
        title="Batches of 4, alternating presets of 6 s and 20 s ± 5 %",
        batches=((0, 4), (1, 4)) * 5,
        seconds=(6.0, 20.0),
        spread=0.05,
        learned=True,
    ),
    Scene(
        letter="F",
        title="10 singles of 25 s ± 2 %",
        batches=((0, 1),) * 10,
        seconds=(25.0,),
        spread=0.02,
        learned=True,
    ),
)
