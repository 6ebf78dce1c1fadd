"""Compares the lateness and the requests of this integration with four other clients.

All clients make the same images at the same time, each on a separate GAZE server with the same
durations. Ours is a real Home Assistant with the integration. `benchmarks.support.alone` measures
the integration without other clients. `--simulate` compares them without processes.
"""

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
import secrets
import sys
import tempfile
import time
from typing import Final

from custom_components.gaze.jobs.pacing import REQUEST_COST as COST
from testing.fake_servers import API_KEY, PICTURE_SEED, PRESET, FakeServer, Wanted, fake_servers
from testing.home_assistant import DemoError, HomeAssistant, Json, free_port
from testing.pacing_simulation import OURS

from .support.alone import AT_ONCE, IDLE_WINDOW, JOBS, WINDOW, Measured, measured
from .support.pacing_report import add_arguments, report_simulation
from .support.report import Figure, Report, compared, listed, machine, nearest_rank

# Home Assistant's own work after its start is over by then, in seconds
SETTLING: Final = 10.0
# How long a client may need for a scene, beyond the time that the server takes, in seconds
GRACE: Final = 120.0

type Noticed = dict[str, float]
type Client = Callable[[FakeServer, int], Awaitable[Noticed]]
type Section = tuple[str, list[Figure]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """Images that every client generates: `count` in one request, behind `ahead` others.

    They take `seconds`, give or take the share `jitter`. The limits are for ours: how late
    images are noticed, in seconds, and polls per image.
    """

    letter: str
    title: str
    count: int
    seconds: float
    jitter: float = 0.1
    ahead: int = 0
    p50: float | None = None
    p95: float | None = None
    polls: float | None = None


SCENES: Final = (
    Scene(
        letter="a",
        title="20 images of 8 s ± 10 %, nothing known of them before",
        count=20,
        seconds=8,
        p50=0.4,
        p95=1.0,
        polls=4.5,
    ),
    Scene(
        letter="b",
        title="One image of 30 s, nothing known of it before",
        count=1,
        seconds=30,
        jitter=0,
        p50=1.0,
        p95=1.0,
    ),
    Scene(letter="b", title="The same, of 30 s ± 10 %", count=1, seconds=30),
    Scene(letter="c", title="3 images behind 10 of another client", count=3, seconds=8, ahead=10),
)


class Ours:
    """A real Home Assistant with an entry for each server."""

    def __init__(self, home_assistant: HomeAssistant) -> None:
        """Drive a Home Assistant that has started."""
        self._home_assistant = home_assistant
        self._entries: dict[str, str] = {}
        self._finished: dict[str, asyncio.Future[float]] = {}

    async def connect(self, server: FakeServer) -> None:
        """Add a server."""
        step = await self._home_assistant.flow("gaze", {"host": server.url, "api_key": API_KEY})
        if step["type"] != "create_entry":
            raise DemoError(f"The GAZE server could not be added: {step}")
        self._entries[server.url] = step["result"]["entry_id"]

    async def listen(self, events: asyncio.Queue[Json]) -> None:
        """Note when the `finished` event of each job fires, until cancelled."""
        while True:
            event = await events.get()
            if event["data"]["type"] == "failed":
                raise DemoError(f"A job failed: {event['data']}")
            if event["data"]["type"] == "finished":
                fired = datetime.fromisoformat(event["time_fired"]).timestamp()
                self._ending(event["data"]["job_id"]).set_result(fired)

    async def make(self, server: FakeServer, count: int) -> Noticed:
        """Make images; return when the `finished` event of each was fired."""
        answer = await self._home_assistant.call_action(
            "gaze",
            "generate",
            {
                "config_entry_id": self._entries[server.url],
                "preset": PRESET,
                "count": count,
                "seed": PICTURE_SEED,
            },
            return_response=True,
        )
        return {job["job_id"]: await self._ending(job["job_id"]) for job in answer["jobs"]}

    def _ending(self, job_id: str) -> asyncio.Future[float]:
        return self._finished.setdefault(job_id, asyncio.get_running_loop().create_future())


def poll_first_job(pause: float) -> Client:
    """Return a client that polls the first open job every so many seconds."""

    async def make(server: FakeServer, count: int) -> Noticed:
        noticed: Noticed = {}
        for job_id in await server.generate(count):
            while not await server.fetched(job_id):  # noqa: ASYNC110 - in another process
                await asyncio.sleep(pause)
            noticed[job_id] = time.time()
        return noticed

    return make


def poll_all_jobs(pause: float) -> Client:
    """Return a client that polls each open job every so many seconds."""

    async def make(server: FakeServer, count: int) -> Noticed:
        noticed: Noticed = {}
        job_ids = await server.generate(count)
        while len(noticed) < len(job_ids):
            for job_id in job_ids:
                if job_id not in noticed and await server.fetched(job_id):
                    noticed[job_id] = time.time()
            await asyncio.sleep(pause)
        return noticed

    return make


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """The result of one client in one scene: the lateness of each image in seconds, and polls."""

    scene: Scene
    client: str
    late: list[float]
    polls: int


async def perform(scene: Scene, name: str, client: Client, server: FakeServer) -> Run:
    """Let a client make the images of a scene."""
    if scene.ahead:
        await server.generate(scene.ahead)
    await server.reset_counts()
    async with asyncio.timeout(scene.seconds * (scene.count + scene.ahead) + GRACE):
        noticed = await client(server, scene.count)
    made = await server.finished_at()
    requests = await server.requests()
    return Run(
        scene=scene,
        client=name,
        late=[when - made[job_id] for job_id, when in noticed.items()],
        polls=requests["job"],
    )


async def compare(scenes: Sequence[Scene], *, seed: int, repeat: int, folder: Path) -> list[Run]:
    """Let all clients perform all scenes at once, each `repeat` times side by side."""
    opponents: dict[str, Client] = {
        "the first open job every 1 s": poll_first_job(1),
        "the first open job every 5 s": poll_first_job(5),
        "each open job every 2 s": poll_all_jobs(2),
        "each open job every 5 s": poll_all_jobs(5),
    }
    parts = [
        (scene, name, number)
        for number in range(repeat)
        for scene in scenes
        for name in (OURS, *opponents)
    ]
    wanted = [
        Wanted(duration=scene.seconds, jitter=scene.jitter, seed=seed + number)
        for scene, _, number in parts
    ]
    async with (
        fake_servers(wanted, folder) as servers,
        HomeAssistant(folder / "home", port=free_port()) as home_assistant,
    ):
        await home_assistant.onboard()
        ours = Ours(home_assistant)
        for (_, name, _), server in zip(parts, servers, strict=True):
            if name == OURS:
                await ours.connect(server)
        await asyncio.sleep(SETTLING)
        async with home_assistant.events("gaze_event") as events, asyncio.TaskGroup() as group:
            listening = group.create_task(ours.listen(events))
            runs = [
                group.create_task(perform(scene, name, opponents.get(name, ours.make), server))
                for (scene, name, _), server in zip(parts, servers, strict=True)
            ]
            await asyncio.wait(runs)
            listening.cancel()
    return [run.result() for run in runs]


def show(report: Report, scene: Scene, runs: Sequence[Run]) -> bool:
    """Report the table of a scene; return whether ours met the limits."""
    clients: dict[str, list[Figure]] = {}
    for name in dict.fromkeys(run.client for run in runs):
        performed = [run for run in runs if run.scene is scene and run.client == name]
        late = [seconds for run in performed for seconds in run.late]
        polls = sum(run.polls for run in performed) / len(late)
        clients[name] = [
            Figure(name="p50 late, s", value=nearest_rank(late, 0.5), limit=scene.p50),
            Figure(name="p95 late, s", value=nearest_rank(late, 0.95), limit=scene.p95),
            Figure(name="most, s", value=max(late)),
            Figure(name="polls per image", value=polls, limit=scene.polls, digits=1),
            Figure(name="J", value=sum(late) / len(late) + COST * polls),
        ]
    report.add_section(
        f"{scene.letter}. {scene.title}, {len(late)} images per client", compared(clients)
    )
    return all(figure.met for figure in clients[OURS])


async def measure_comparison(options: argparse.Namespace, folder: Path, report: Report) -> bool:
    """Measure and report scenes a to c; return whether ours met the limits."""
    scenes = [scene for scene in SCENES if scene.letter in options.scene]
    runs = await compare(scenes, seed=options.seed, repeat=options.repeat, folder=folder)
    met = [show(report, scene, runs) for scene in scenes]
    return all(met)


async def measure_alone(options: argparse.Namespace, folder: Path, report: Report) -> bool:
    """Measure and report scenes d to f; return whether ours met the limits."""
    wanted = {"d": ("crowd", "memory"), "e": ("idle", "core"), "f": ("crowd",)}
    modes = list(dict.fromkeys(mode for letter in options.scene for mode in wanted.get(letter, ())))
    servers = [Wanted(duration=8, jitter=0.1, seed=options.seed) for _ in modes]
    async with fake_servers(servers, folder) as running, asyncio.TaskGroup() as group:
        tasks = {
            mode: group.create_task(measured(mode, server, folder / mode))
            for mode, server in zip(modes, running, strict=True)
        }
    found = {mode: task.result() for mode, task in tasks.items()}
    shown = [
        show_figures(report, describe(found))
        for letter, describe in ALONE.items()
        if letter in options.scene
    ]
    return all(shown)


def describe_crowd(found: dict[str, Measured]) -> Section:
    """Return what a thousand open jobs cost."""
    crowd = found["crowd"]
    return (
        f"d. {JOBS} open jobs of 8 s, the next {WINDOW:g} s after queueing",
        [
            Figure(
                name="requests per minute", value=crowd["job"] + crowd["image"], limit=60, digits=1
            ),
            Figure(name="of these, downloads of images", value=crowd["image"], digits=1),
            Figure(name="CPU, % of a core", value=crowd["cpu"] * 100, limit=1),
            Figure(name="memory per job, KiB", value=found["memory"]["bytes"] / 1024, digits=1),
        ],
    )


def describe_idle(found: dict[str, Measured]) -> Section:
    """Return what an entry without jobs costs, beside Home Assistant's core without an entry."""
    idle, core = found["idle"], found["core"]
    return (
        f"e. An idle entry, {IDLE_WINDOW:g} s",
        [
            Figure(name="requests", value=idle["requests"], limit=1, digits=0),
            Figure(name="wake-ups of the event loop", value=idle["wakeups"], digits=0),
            Figure(name="the same without an entry", value=core["wakeups"], digits=0),
            Figure(name="CPU, % of a core", value=idle["cpu"] * 100, digits=3),
            Figure(name="the same without an entry", value=core["cpu"] * 100, digits=3),
        ],
    )


def describe_longest_steps(found: dict[str, Measured]) -> Section:
    """Return how long the event loop was held with a thousand open jobs."""
    crowd = found["crowd"]
    phases = {
        "queueing": f"queueing the first {JOBS}, {AT_ONCE} at once",
        "following": "following them",
        "more": f"queueing {AT_ONCE} more, durations learned",
        "starting": "starting with all of them",
    }
    figures: list[Figure] = []
    for phase, text in phases.items():
        held, in_all = crowd[f"held_{phase}"] * 1000, crowd[f"held_in_all_{phase}"] * 1000
        figures += [
            Figure(name=text, value=held, limit=20, digits=1),
            Figure(name="… with the wait for a core", value=in_all, digits=1),
        ]
    return f"f. The longest turn of the event loop with {JOBS} open jobs, ms", figures


def show_figures(report: Report, section: Section) -> bool:
    """Report a table; return whether the limits are met."""
    title, figures = section
    report.add_section(title, listed(figures))
    return all(figure.met for figure in figures)


ALONE: Final = {"d": describe_crowd, "e": describe_idle, "f": describe_longest_steps}


async def measure(options: argparse.Namespace, folder: Path) -> bool:
    """Measure and report the scenes of the command line; return whether ours met the limits."""
    met = True
    for name, title, letters, measure_scenes in (
        ("pace", "Pace", {scene.letter for scene in SCENES}, measure_comparison),
        ("pace-alone", "The integration alone", set(ALONE), measure_alone),
    ):
        if letters & set(options.scene):
            report = Report(name, title)
            report.add(f"{machine()}. Seed {options.seed}. Percentiles by nearest rank.")
            met = await measure_scenes(options, folder, report) and met
            if letters <= set(options.scene):
                report.save()
    return met


def seed(text: str) -> int:
    """Return a seed of the command line."""
    return secrets.randbelow(1_000_000) if text == "random" else int(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 1 when ours misses a limit."""
    parser = argparse.ArgumentParser(prog="scripts/bench pace", description=__doc__)
    add = parser.add_argument
    add("--scene", default="abcdefABCDEFB'", metavar="LETTERS", help="only these scenes")
    add("--seed", type=seed, default=1, help="of the durations, a number or random (1)")
    add("--repeat", type=int, default=3, help="how often scenes a to c are made, at once (3)")
    add_arguments(parser)
    options = parser.parse_args(arguments)
    if options.simulate:
        return 0 if report_simulation(options) else 1
    with tempfile.TemporaryDirectory(prefix="gaze-pace-") as folder:
        met = asyncio.run(measure(options, Path(folder)))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
