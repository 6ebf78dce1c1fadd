"""The pace, against a simulated server whose clock is a number."""

from dataclasses import dataclass, field
import random

import pytest

from custom_components.gaze.jobs.pacing import (
    BURST,
    KEPT_SAMPLES,
    MAX_GAP,
    SWEEP_GAP,
    TOLERATED_FAILURES,
    Durations,
    Key,
    Pacer,
)

KEY: Key = ("preset", "", "")
TRAVEL = 0.02  # seconds from question to answer


@dataclass(kw_only=True)
class Simulation:
    """A serial server with the durations of the images in its queue; some are of others."""

    durations: list[float]
    foreign: list[float] = field(default_factory=list)
    learned: Durations = field(default_factory=Durations)
    questions: int = 0
    lateness: list[float] = field(default_factory=list)

    def run(self) -> Simulation:
        """Follow all our images to their end."""
        pacer = Pacer(self.learned)
        starts: dict[str, float] = {}
        ends: dict[str, float] = {}
        free = sum(self.foreign)
        for number, duration in enumerate(self.durations):
            job_id = str(number)
            pacer.add(job_id, KEY, accepted=0.0)
            starts[job_id] = free
            free += duration
            ends[job_id] = free
        now = 0.0
        while (question := pacer.next_question(now)) is not None:
            job_id, due = question
            now = max(now, due)
            pacer.asking(job_id, now)
            self.questions += 1
            seen = now + TRAVEL / 2
            now += TRAVEL
            if seen >= ends[job_id]:
                self.lateness.append(now - ends[job_id])
                pacer.ended(job_id, now, done=True)
                pacer.presume_started(now)
            elif seen >= starts[job_id]:
                pacer.processing(job_id, now)
            else:
                pacer.waiting(job_id, now)
        return self

    def late(self, share: float) -> float:
        """Return the lateness that this share of the images keeps, by nearest rank."""
        ordered = sorted(self.lateness)
        return ordered[max(round(share * len(ordered) + 0.49), 1) - 1]


def varied(seconds: float, count: int, seed: int) -> list[float]:
    """Return durations of plus or minus 10 %."""
    rng = random.Random(seed)  # noqa: S311 - a simulation
    return [seconds * rng.uniform(0.9, 1.1) for _ in range(count)]


def average(values: list[float]) -> float:
    """Return the mean."""
    return sum(values) / len(values)


def test_images_of_a_queue_are_noticed_soon_with_few_questions() -> None:
    runs = [Simulation(durations=varied(8.0, 20, seed)).run() for seed in range(50)]

    # One question in five for the request itself and the download: 5 requests an image.
    assert average([run.questions / 20 for run in runs]) <= 3.95
    assert average([run.late(0.5) for run in runs]) <= 0.35
    assert average([run.late(0.95) for run in runs]) <= 1.0


@pytest.mark.parametrize("seed", range(10))
def test_image_of_unknown_duration_is_noticed_within_a_second(seed: int) -> None:
    run = Simulation(durations=varied(27.0, 1, seed)).run()

    assert run.questions <= 23
    assert run.lateness[0] <= 1.0


def test_image_of_unknown_duration_of_30_seconds_needs_few_requests() -> None:
    run = Simulation(durations=[30.0]).run()

    assert run.questions <= 23
    assert run.lateness[0] <= 1.0


@pytest.mark.parametrize(("seconds", "late"), [(90.0, 4.0), (600.0, 21.0), (7200.0, 62.0)])
def test_past_30_seconds_the_lateness_is_a_share_of_the_duration(
    seconds: float, late: float
) -> None:
    run = Simulation(durations=[seconds]).run()

    assert run.lateness[0] <= late


def test_images_that_take_no_time_are_noticed_at_once() -> None:
    run = Simulation(durations=[0.0] * 10).run()

    assert run.questions == 10
    assert max(run.lateness) <= 0.5


def test_images_behind_those_of_others_are_noticed_soon() -> None:
    run = Simulation(durations=varied(8.0, 3, 1), foreign=varied(8.0, 10, 2)).run()

    assert run.questions <= 70
    assert max(run.lateness) <= 5.0


def test_job_behind_hours_of_others_is_polled_rarely() -> None:
    learned = Durations({KEY: [8.0] * KEPT_SAMPLES})
    run = Simulation(durations=[8.0], foreign=[3600.0] * 3, learned=learned).run()

    assert run.questions <= 600
    assert run.lateness[0] <= MAX_GAP


def test_faster_server_is_learned() -> None:
    run = Simulation(durations=[60.0] * 6 + [6.0] * 30).run()

    assert average(run.lateness[-10:]) <= 1.0


def test_slower_server_is_learned() -> None:
    run = Simulation(durations=[6.0] * 6 + [60.0] * 20).run()

    assert average(run.lateness[-10:]) <= 2.5


def test_slow_first_image_does_not_delay_next() -> None:
    run = Simulation(durations=[40.0] + [8.0] * 12).run()

    assert run.lateness[1] <= 15.0
    assert average(run.lateness[-8:]) <= 1.0


def test_jobs_that_are_not_next_are_only_swept() -> None:
    pacer = Pacer(Durations())
    for number in range(1000):
        pacer.add(str(number), KEY, accepted=0.0)
    pacer.asking("0", 0.2)
    pacer.processing("0", 0.2)
    asked: dict[str, int] = {}
    now = 0.2
    while now < 600.0:
        question = pacer.next_question(now)
        assert question is not None
        job_id, due = question
        now = max(now, due)
        pacer.asking(job_id, now)
        if job_id == "0":
            pacer.processing(job_id, now)
        else:
            asked[job_id] = asked.get(job_id, 0) + 1
            pacer.waiting(job_id, now)

    assert 600 / SWEEP_GAP - 2 <= sum(asked.values()) <= 600 / SWEEP_GAP + 1
    assert max(asked.values()) == 1


def test_ceiling_of_requests_holds_in_any_case() -> None:
    pacer = Pacer(Durations())
    for number in range(1000):
        pacer.add(str(number), KEY, accepted=0.0)
    now = 1.0
    questions = 0
    while now < 61.0:
        question = pacer.next_question(now)
        assert question is not None
        now = max(now, question[1])
        pacer.asking(question[0], now)
        pacer.ended(question[0], now, done=False)
        questions += 1

    assert questions <= BURST + 61


def test_failing_server_is_polled_less_each_time() -> None:
    pacer = Pacer(Durations())
    pacer.add("a", KEY, accepted=0.0)
    gaps = []
    now = 0.2
    for _ in range(9):
        pacer.asking("a", now)
        pacer.failed(now)
        question = pacer.next_question(now)
        assert question is not None
        gaps.append(round(question[1] - now))
        now = question[1]

    assert gaps == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_retry_after_is_respected_until_next_response() -> None:
    pacer = Pacer(Durations())
    pacer.add("a", KEY, accepted=0.0)
    pacer.failed(1.0, retry_after=300.0)
    quiet = pacer.next_question(1.0)
    pacer.answered()
    answered = pacer.next_question(1.0)

    assert quiet == ("a", 301.0)
    assert answered is not None
    assert answered[1] <= 1.0


def test_garbled_job_does_not_stop_others() -> None:
    pacer = Pacer(Durations())
    pacer.add("bad", KEY, accepted=0.0)
    pacer.add("good", KEY, accepted=0.0)
    now = 0.2
    asked = []
    for _ in range(TOLERATED_FAILURES + 1):
        question = pacer.next_question(now)
        assert question is not None
        now = max(now, question[1])
        asked.append(question[0])
        pacer.asking(question[0], now)
        pacer.garbled(question[0], now)

    assert asked == ["bad"] * TOLERATED_FAILURES + ["good"]


def test_jobs_that_a_server_makes_at_the_same_time_are_all_followed() -> None:
    pacer = Pacer(Durations())
    for job_id in ("a", "b", "c"):
        pacer.add(job_id, KEY, accepted=0.0)
    for job_id in ("a", "b"):
        pacer.processing(job_id, 1.0)
    asked = set()
    now = 1.0
    for _ in range(6):
        question = pacer.next_question(now)
        assert question is not None
        now = max(now, question[1])
        asked.add(question[0])
        pacer.asking(question[0], now)
        pacer.processing(question[0], now)

    assert asked == {"a", "b"}


def test_presumed_start_is_corrected() -> None:
    learned = Durations({KEY: [8.0] * KEPT_SAMPLES})
    pacer = Pacer(learned)
    for job_id in ("a", "b", "c", "d"):
        pacer.add(job_id, KEY, accepted=0.0)
    now = 0.2
    for job_id in ("a", "b", "c"):
        pacer.processing(job_id, now)
        now += 7.8
        pacer.processing(job_id, now)
        now += 0.2
        pacer.ended(job_id, now, done=True)
        presumed = pacer.presume_started(now)

    assert presumed == "d"
    pacer.waiting("d", now + 8.0)
    assert pacer.next_question(now + 8.0) is not None
    assert pacer.presume_started(now + 9.0) is None


def test_durations_are_kept_by_key_and_the_oldest_go() -> None:
    durations = Durations()
    for seconds in range(10):
        durations.learn(KEY, float(seconds))
    durations.learn(("other", "", ""), 99.0)

    assert durations.samples(KEY) == [5.0, 6.0, 7.0, 8.0, 9.0]
    assert durations.samples(("unknown", "", "")) == []
    assert Durations({KEY: durations.samples(KEY)}).expected(KEY) == durations.expected(KEY)


def test_better_duration_replaces_rough_one() -> None:
    durations = Durations()
    durations.learn(KEY, 12.0, rough=True)
    durations.learn(KEY, 20.0, rough=True)
    rough = durations.samples(KEY)
    durations.learn(KEY, 8.0)

    assert rough == [12.0]
    assert durations.samples(KEY) == [8.0]


def test_job_restored_as_processing_has_its_start() -> None:
    pacer = Pacer(Durations({KEY: [100.0] * KEPT_SAMPLES}))
    pacer.add("a", KEY, accepted=0.0, started=10.0)
    pacer.asking("a", 50.0)
    pacer.processing("a", 50.0)

    question = pacer.next_question(50.0)

    assert question is not None
    assert 105.0 <= question[1] <= 115.0


def test_end_of_unknown_job_is_ignored() -> None:
    pacer = Pacer(Durations())

    assert pacer.ended("unknown", 1.0, done=True) is None
    pacer.waiting("unknown", 1.0)
    pacer.processing("unknown", 1.0)
    pacer.garbled("unknown", 1.0)
    assert pacer.next_question(1.0) is None
