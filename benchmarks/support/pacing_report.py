"""Reports the simulation of the pacer: tables with the project's goals, and a plot."""

import argparse
from collections.abc import Iterable, Mapping, Sequence
import random
import re
import time
from typing import Any, Final

from custom_components.gaze.jobs.durations import Durations
from custom_components.gaze.jobs.pacing import BURST, Pacer
from testing.pacing_simulation import (
    INTERVALS,
    OURS,
    REQUEST_TIME,
    SCENES,
    Optimum,
    Outcome,
    Scene,
    allow_first,
    find_lowest_cost,
    find_scene_optimum,
    perform,
    place,
    poll_at_intervals,
    poll_with_pacer,
    simulate,
)

from .plot import Panel, Series, draw
from .report import RESULTS, Figure, Report, compared, listed, table

NAME: Final = "pace-simulated"
PLOTTED: Final = ("A", "B", "F")
# Images of each scene and client: enough for two digits of J
IMAGES: Final = 1200
OTHER_SETS: Final = 60
JOBS: Final = 1000
MINUTE: Final = 60.0
CROWD_SECONDS: Final = 600.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the simulation."""
    add = parser.add_argument_group("simulation (with --simulate)").add_argument
    add("--simulate", action="store_true", help="simulate scenes A to F; takes a minute")
    add("--images", type=int, default=IMAGES, help=f"of each scene and client ({IMAGES})")
    add("--request-time", type=float, default=REQUEST_TIME, help="seconds of a request (0.03)")
    add("--seconds", type=_numbers, metavar="S[,S…]", help="usual duration of each preset")
    add("--spread", type=float, help="durations differ by this share, for example 0.1")
    add("--low", type=float, help="the least seconds of an image, instead of --seconds")
    add("--high", type=float, help="the most seconds of an image")
    add("--load", type=float, help="seconds to load a model")
    add("--load-every", type=int, help="images between two loads")
    add("--batches", type=_batches, metavar="N[,N…]", help="images per request, of presets in turn")
    add("--others", type=int, default=OTHER_SETS, help="how many random sets of parameters to try")


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(","))


def _batches(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def _change(scene: Scene, options: argparse.Namespace) -> Scene:
    """Return a scene with the parameters of the command line."""
    names = ("seconds", "spread", "low", "high", "load", "load_every")
    changes: dict[str, Any] = {
        name: value for name in names if (value := getattr(options, name)) is not None
    }
    if options.batches is not None:
        presets = len(changes.get("seconds", scene.seconds))
        changes["batches"] = tuple(
            (number % presets, count) for number, count in enumerate(options.batches)
        )
    return scene.changed(**changes) if changes else scene


def report_simulation(options: argparse.Namespace) -> bool:
    """Print the tables of the simulation; return whether ours met the goals.

    They are saved, with the plot, if the command line changes nothing but the seed.
    """
    letters = re.findall(r"[A-Z]'?", options.scene) or [scene.letter for scene in SCENES]
    scenes = [_change(scene, options) for scene in SCENES if scene.letter in letters]
    report = Report(NAME, "Pace, simulated")
    report.add(
        f"Seed {options.seed}, {options.request_time * 1000:g} ms for a request, at least"
        f" {options.images} images for each scene and client.\n\nJ is the mean lateness in seconds,"
        " plus 0.05 for each request per image. Lower is better. The optimum knows the"
        " distribution and the start."
    )
    goals = [goal for scene in scenes for goal in _report_scene(scene, options, report)]
    goals += _report_ceilings(report)
    if options.others:
        _report_others(options, report)
    report.add_section("All goals", listed(goals))
    if scenes == list(SCENES) and options.others:
        report.add(f"![Lateness against requests]({NAME}.svg)")
        report.save()
        (RESULTS / f"{NAME}.svg").write_text(_plot(options), encoding="utf-8")
    return all(goal.met for goal in goals)


def _repeat(scene: Scene, options: argparse.Namespace) -> int:
    """Return how often to make a scene for enough images."""
    images: int = options.images
    return -(-images // sum(count for _, count in scene.batches))


def _report_scene(scene: Scene, options: argparse.Namespace, report: Report) -> list[Figure]:
    """Report a scene, and return its goals."""
    outcomes = simulate(
        scene,
        seed=options.seed,
        repeat=_repeat(scene, options),
        request_time=options.request_time,
    )
    optimum = find_scene_optimum(scene, options.request_time)
    late = 1.05 * outcomes["every 1 s"].late(0.95)
    best = min(each.cost for name, each in outcomes.items() if name != OURS)
    clients = {
        name: [
            Figure(name="p50 late, s", value=each.late(0.5)),
            Figure(name="p95 late, s", value=each.late(0.95), limit=round(late, 3)),
            Figure(name="most, s", value=each.late(1)),
            Figure(name="requests per image", value=each.requests, digits=1),
            Figure(name="J", value=each.cost, limit=round(best, 3)),
        ]
        for name, each in outcomes.items()
    }
    text = f"{compared(clients)}\n\nOptimum: J {optimum.cost:.2f}."
    if outcomes[OURS].cost > best:
        text += _describe_floors(scene, late, options)
    report.add_section(f"{scene.letter}. {scene.title}", text)
    return _find_goals(scene, outcomes, optimum)


def _describe_floors(scene: Scene, late: float, options: argparse.Namespace) -> str:
    """Return which J no schedule reaches that meets the goals for lateness."""
    of_95_percent = find_lowest_cost(scene, late_after=late, request_time=options.request_time)
    of_each = find_lowest_cost(scene, longest=allow_first, request_time=options.request_time)
    return (
        " The missed limit of J cannot be met with the other goals, even if the distribution is"
        f" known. No schedule that notices 95 % of images within {late:.2f} s has a J below"
        f" {of_95_percent:.2f}. None that notices each within 1 s or 3 % of its duration has a J"
        f" below {of_each:.2f} (dynamic programming, Lagrange dual). The integration meets the"
        " goals for lateness, because people notice a late image and not a request."
    )


def _find_goals(scene: Scene, outcomes: Mapping[str, Outcome], optimum: Optimum) -> list[Figure]:
    """Return the goals of a scene: see `All goals` in the report."""
    ours, letter = outcomes[OURS], scene.letter
    goals = [
        Figure(name=f"{letter}: J, below {name}", value=ours.cost, limit=round(each.cost, 3))
        for name, each in outcomes.items()
        if name != OURS
    ]
    late = 1.05 * outcomes["every 1 s"].late(0.95)
    goals.append(
        Figure(
            name=f"{letter}: p95 late, s, at most 5 % above every 1 s",
            value=ours.late(0.95),
            limit=round(late, 3),
        )
    )
    if scene.learned:
        goals += _find_learned_goals(f"{letter}: ", ours, optimum)
    if scene.first:
        name = f"{letter}: most late, as a share of 1 s or 3 % of the duration"
        goals.append(Figure(name=name, value=ours.first_late, limit=1))
    return goals


def _find_learned_goals(prefix: str, ours: Outcome, optimum: Optimum) -> list[Figure]:
    """Return the goals for learned keys."""
    third, sixth = ours.since(3), ours.since(6)
    return [
        Figure(name=f"{prefix}p50 late from the third on, s", value=third.late(0.5), limit=0.25),
        Figure(name=f"{prefix}p95 late from the third on, s", value=third.late(0.95), limit=0.7),
        Figure(name=f"{prefix}requests from the third on", value=third.requests, limit=4.5),
        Figure(
            name=f"{prefix}J from the sixth on, share of the optimum",
            value=sixth.cost / optimum.cost,
            limit=1.5,
        ),
    ]


def _report_ceilings(report: Report) -> list[Figure]:
    """Report how many requests a thousand open jobs need, and what a decision costs."""
    sent, decisions = _track_crowd()
    most = max(sum(0 <= each - first < MINUTE for each in sent) for first in sent)
    goals = [
        Figure(
            name=f"{JOBS} open jobs: requests per minute",
            value=len(sent) / CROWD_SECONDS * MINUTE,
            limit=60,
            digits=1,
        ),
        Figure(
            name=f"{JOBS} open jobs: most requests in a minute",
            value=most,
            limit=BURST + MINUTE,
            digits=0,
        ),
        Figure(
            name=f"{JOBS} open jobs: mean CPU time of a decision, ms",
            value=sum(decisions) / len(decisions) * 1000,
            limit=0.2,
        ),
    ]
    report.add_section(f"{JOBS} open jobs of 50 presets, 8 s each", listed(goals))
    return goals


def _track_crowd() -> tuple[list[float], list[float]]:
    """Poll a thousand open jobs. Return when requests were sent, and what decisions cost."""
    scene = Scene(letter="", title="", batches=((0, JOBS),))
    (images,) = scene.draw(random.Random(1))  # noqa: S311 - a simulation
    place(images, 0.0)
    pacer = Pacer(Durations())
    for number in range(JOBS):
        pacer.add(str(number), (f"preset_{number % 50}", "", ""), accepted=0.0)
    now, sent, decisions = 0.0, list[float](), list[float]()
    while now < CROWD_SECONDS:
        started = time.thread_time()
        job_id, due = pacer.next_poll(now) or ("", now)
        decision = time.thread_time() - started
        now = max(now, due)
        sent.append(now)
        image = images[int(job_id)]
        started = time.thread_time()
        pacer.start_poll(job_id, now)
        if now >= image.end:
            pacer.end(job_id, now, done=True)
            pacer.infer_start(now)
        elif now >= image.start:
            pacer.process(job_id, now)
        else:
            pacer.wait(job_id, now)
        decisions.append(decision + time.thread_time() - started)
    return sent, decisions


def _report_others(options: argparse.Namespace, report: Report) -> None:
    """Report how many goals hold for random parameters."""
    rng = random.Random(f"others {options.seed}")  # noqa: S311 - a simulation
    met: dict[str, list[bool]] = {}
    missed: list[list[str]] = []
    for _ in range(options.others):
        scene = _draw_scene(rng)
        outcomes = simulate(
            scene,
            seed=options.seed,
            repeat=-(-options.images // 4 // 20),
            request_time=options.request_time,
        )
        optimum = find_scene_optimum(scene, options.request_time)
        goals = _find_goals(scene, outcomes, optimum)
        for goal in goals:
            met.setdefault(goal.name.removeprefix(": "), []).append(goal.met)
        if not goals[-1].met:
            third = outcomes[OURS].since(3)
            values = (goals[-1].value, optimum.cost, third.requests, third.late(0.95))
            missed.append([scene.title, *(f"{value:.2f}" for value in values)])
    rows = [[name, f"{sum(each)} of {len(each)}"] for name, each in met.items()]
    head = ["sets above 1.5 times the optimum", "share", "optimum J", "requests", "p95 late, s"]
    report.add_section(
        f"{options.others} random sets of parameters",
        "Usual durations are 4 to 60 s, log-uniform. They differ by 1 to 20 %, uniformly. Images"
        f" are made in batches of 1, 4, or 20.\n\n{table(['goal', 'met'], rows)}\n\n"
        "The optimum knows the start. The integration needs a request to notice it, which is 0.05."
        f"\n\n{table(head, missed)}",
    )


def _draw_scene(rng: random.Random) -> Scene:
    """Return a scene with random parameters."""
    seconds, spread = round(4 * 15 ** rng.random(), 1), round(rng.uniform(0.01, 0.2), 2)
    count = rng.choice((1, 4, 20))
    return Scene(
        letter="",
        title=f"{20 // count} batches of {count}, {seconds:g} s ± {spread * 100:g} %",
        batches=((0, count),) * (20 // count),
        seconds=(seconds,),
        spread=spread,
        learned=True,
    )


def _plot(options: argparse.Namespace) -> str:
    """Return a plot of lateness against requests."""
    return draw([_panel(scene, options) for scene in SCENES if scene.letter in PLOTTED])


def _panel(scene: Scene, options: argparse.Namespace) -> Panel:
    """Return the diagram of a scene."""
    repeat = _repeat(scene, options)
    ours = perform(scene, poll_with_pacer, seed=options.seed, repeat=repeat)
    points = {"all": ours} | ({"from the sixth on": ours.since(6)} if scene.learned else {})
    fixed = {
        interval: perform(scene, poll_at_intervals(interval), seed=options.seed, repeat=repeat)
        for interval in INTERVALS
    }
    optima = [find_scene_optimum(scene, request_cost=cost) for cost in _costs(scene)]
    return Panel(
        title=f"{scene.letter}. {scene.title}",
        x_title="requests per image",
        y_title="mean lateness, s",
        series=[
            Series(
                name="optimum for a known distribution",
                color="#2a9d8f",
                points=[(each.requests, each.late) for each in optima],
            ),
            Series(
                name="fixed intervals",
                color="#8d99ae",
                points=_points(fixed.values()),
                labels=[f"{interval:g} s" for interval in fixed],
                dashed=True,
            ),
            Series(
                name=OURS,
                color="#d62828",
                points=_points(points.values()),
                labels=list(points),
            ),
        ],
    )


def _points(outcomes: Iterable[Outcome]) -> list[tuple[float, float]]:
    """Return outcomes as points of the plot."""
    return [(each.requests, each.mean_late) for each in outcomes]


def _costs(scene: Scene) -> Sequence[float]:
    """Return costs of a request for which the optimum is shown."""
    return (0.4, 0.2, 0.1, 0.05, 0.025, 0.0125) if scene.first else (0.3, 0.15, 0.05, 0.02, 0.01)
