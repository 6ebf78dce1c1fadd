"""Kills a real Home Assistant at random moments of a batch, and checks every image afterwards.

Each job in a response must end in one `finished` event. Each image must be in the media folder
once, with the bytes of the server. No partial files may remain, the stores must load, and no
request may be repeated. An event may be fired twice if the kill happens before the event is
recorded. A kill during the action may leave jobs on the server whose IDs Home Assistant never
received. They are counted.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
import random
import time
from typing import Final

import aiohttp

from .fake_servers import API_KEY, PRESET, FakeServer, Wanted, fake_servers
from .home_assistant import (
    DemoError,
    HomeAssistant,
    Json,
    Program,
    ProgramFactory,
    complaints,
    free_port,
    wait_until,
)
from .witness import Told, Witness, left_overs

DURATION: Final = 0.5
BATCH: Final = (8, 10)
# Response time of the server for a request for images, in seconds
LATENCY: Final = 0.03
# Maximum seconds between a repeated event and the kill
BLINK: Final = 1.0
# Maximum seconds from a start until the last job has ended
RECOVERY: Final = 20.0


class Moment(StrEnum):
    """When Home Assistant is killed."""

    MAKING = "while images are made"
    RECOVERING = "just started again"
    QUEUEING = "while the action is under way"
    FETCHING = "as an image is fetched"


@dataclass(kw_only=True, slots=True)
class Kill:
    """One kill and its result.

    `told_before` and `told_after` count jobs whose final event was fired before the kill and after
    the new start. If the next kill happens before all jobs have ended, it is `judged` for both.
    """

    number: int
    moment: Moment
    jobs: int = 0  # of the batch, or open ones of the previous kill
    answered: bool = False
    told_before: int = 0
    told_after: int = 0
    judged: bool = False
    repeated: int = 0  # events that were fired twice
    unknown: int = 0  # jobs on the server that no response contained
    problems: list[str] = field(default_factory=list)


class House:
    """A Home Assistant with the integration, its GAZE server, and the expected jobs."""

    def __init__(
        self, home_assistant: HomeAssistant, witness: Witness, server: FakeServer, seed: int
    ) -> None:
        """Use a Home Assistant that is set up."""
        self._home_assistant = home_assistant
        self._witness = witness
        self._server = server
        self._random = random.Random(seed)  # noqa: S311 - chooses moments
        self._promised: set[str] = set()
        self._batches: dict[str, int] = {}
        self._killed_at: dict[int, float] = {}
        self._process = 0
        self._seen = 0
        self._unknown = 0
        self._repeated = 0
        self._reported: set[str] = set()

    async def kill(self, number: int, moment: Moment) -> Kill:
        """Queue a batch if the moment needs one, kill Home Assistant, and start it again."""
        kill = Kill(number=number, moment=moment)
        self._process = self._home_assistant.program.pid or 0
        before = len(self._ended())
        if moment is Moment.RECOVERING:
            kill.answered = True
            kill.jobs = len(self._promised - self._ended())
            await asyncio.sleep(self._random.uniform(0, 1.5))
            await self._end()
        else:
            await self._kill_batch(kill)
        kill.told_before = len(self._ended()) - before
        self._seen = len(self._ended())
        await self._home_assistant.start()
        return kill

    async def settle(self, kill: Kill) -> None:
        """Wait until all jobs have ended, and find the problems."""
        await self._home_assistant.onboard()
        with suppress(DemoError):  # missing jobs are among the problems
            await wait_until(self._has_settled, what="The recovery", seconds=RECOVERY)
        kill.told_after = len(self._ended()) - self._seen
        known = {job["job_id"]: job for job in await self._listed()}
        made = await self._server.jobs()
        expected = self._promised | set(known) | set(self._told())
        unknown = sum(job["job_id"] not in expected for job in made)
        repeated = sum(len(events) - 1 for events in self._told_by_type().values())
        kill.unknown, self._unknown = unknown - self._unknown, unknown
        kill.repeated, self._repeated = repeated - self._repeated, repeated
        kill.judged = True
        problems = [
            *self._problems_of_events(expected),
            *await self._problems_of_images(expected, known),
            *await self._problems_of_requests(made),
            *await left_overs(self._home_assistant.folder),
            *complaints(self._home_assistant.log),
        ]
        kill.problems = [problem for problem in problems if problem not in self._reported]
        self._reported.update(kill.problems)

    async def _kill_batch(self, kill: Kill) -> None:
        count = kill.jobs = self._random.randint(*BATCH)
        marker = f"batch {kill.number}"
        self._batches[marker] = count
        before = await self._server.requests()
        action = asyncio.create_task(
            self._home_assistant.call_action(
                "gaze",
                "generate",
                {"preset": PRESET, "count": count, "extra_positive": marker},
                return_response=True,
            )
        )
        match kill.moment:
            case Moment.QUEUEING:
                await self._arrived("generate", before, 1)
                await asyncio.sleep(self._random.uniform(0, 2 * LATENCY))
            case Moment.FETCHING:
                await self._arrived("image", before, self._random.randint(1, count - 1))
                await asyncio.sleep(self._random.uniform(0, 0.08))
            case _:
                await asyncio.wait([action])  # images are made from then on
                await asyncio.sleep(self._random.uniform(0, count * DURATION))
        await self._end()
        with suppress(aiohttp.ClientError):
            self._promised |= {job["job_id"] for job in (await action)["jobs"]}
            kill.answered = True

    async def _arrived(self, endpoint: str, before: dict[str, int], number: int) -> None:
        """Wait until the server has received this many more requests."""
        wanted = before.get(endpoint, 0) + number
        async with asyncio.timeout(RECOVERY):
            while (  # noqa: ASYNC110 - another process sets no event
                await self._server.requests()
            ).get(endpoint, 0) < wanted:
                await asyncio.sleep(0.002)

    async def _end(self) -> None:
        """Kill Home Assistant. Responses already sent still arrive."""
        await self._home_assistant.program.kill()
        self._killed_at[self._process] = time.time()

    def _told(self) -> dict[str, list[Told]]:
        """Return the events that were fired, by job, in order."""
        told: dict[str, list[Told]] = defaultdict(list)
        for event in self._witness.told():
            told[event.data["job_id"]].append(event)
        return told

    def _told_by_type(self) -> dict[tuple[str, str], list[Told]]:
        """Return the events that were fired, by job and type, in order."""
        told: dict[tuple[str, str], list[Told]] = defaultdict(list)
        for job_id, events in self._told().items():
            for event in events:
                told[job_id, event.data["type"]].append(event)
        return told

    def _ended(self) -> set[str]:
        """Return the jobs whose final event was fired."""
        return {
            job_id
            for job_id, told in self._told().items()
            if any(event.data["type"] in {"finished", "failed"} for event in told)
        }

    async def _listed(self) -> list[Json]:
        """Return the jobs that Home Assistant knows."""
        answer = await self._home_assistant.call_action("gaze", "list_jobs", return_response=True)
        return list(answer["jobs"])

    async def _has_settled(self) -> bool:
        known = {job["job_id"] for job in await self._listed()}
        return (self._promised | known | set(self._told())) <= self._ended()

    def _problems_of_events(self, expected: set[str]) -> list[str]:
        """Return the problems of the events."""
        problems = []
        told = self._told()
        for job_id in expected:
            types = [event.data["type"] for event in told[job_id]]
            if types[:1] != ["queued"]:
                problems.append(f"job {job_id} began with {types[:1]}")
            if "failed" in types or "finished" not in types:
                problems.append(f"job {job_id} ended with {types[-1:]}")
        problems += [
            f"{kind} of job {job_id} was told again without need"
            for (job_id, kind), events in self._told_by_type().items()
            for event, again in pairwise(events)
            if event.process == again.process or self._killed_at[event.process] - event.time > BLINK
        ]
        return problems

    async def _problems_of_images(self, expected: set[str], known: dict[str, Json]) -> list[str]:
        """Return the problems of the images in the media folder and in the media source."""
        problems = []
        files = defaultdict(list)
        for file in self._home_assistant.media.rglob("*.png"):
            files[file.stem.rpartition("_")[2]].append(file)
        images = {job["job_id"]: job["image_url"] for job in await self._server.jobs()}
        for job_id in expected:
            found = files.pop(job_id[:8], [])
            made = await self._server.image(images[job_id])
            if [file.read_bytes() for file in found] != [made]:
                problems.append(f"job {job_id} has {len(found)} pictures, or a wrong one")
            shown = known.get(job_id, {}).get("image_url")
            if shown is None or (await self._home_assistant.fetch(shown))[0] != made:
                problems.append(f"job {job_id} is not shown")
        problems += [f"{found[0].name} belongs to no job" for found in files.values()]
        return problems

    async def _problems_of_requests(self, made: list[Json]) -> list[str]:
        """Return the requests that were repeated."""
        problems = []
        asked = Counter(job["body"]["extra_positive"] for job in made)
        problems += [
            f"{number} images were asked for in {marker}, not {self._batches[marker]}"
            for marker, number in asked.items()
            if number != self._batches[marker]
        ]
        posted = (await self._server.requests()).get("generate", 0)
        if posted != len(asked):
            problems.append(f"{posted} requests for {len(asked)} batches")
        return problems


@asynccontextmanager
async def house(
    folder: Path, *, seed: int, create_program: ProgramFactory
) -> AsyncGenerator[House]:
    """Run a Home Assistant with a GAZE server, and kill it at the end."""
    wanted = Wanted(duration=DURATION, jitter=0.1, seed=seed)
    home_assistant = HomeAssistant(folder / "home", port=free_port(), create_program=create_program)
    witness = Witness.prepare(home_assistant)
    async with fake_servers([wanted], folder) as [server]:
        try:
            await home_assistant.start()
            await home_assistant.onboard()
            step = await home_assistant.flow("gaze", {"host": server.url, "api_key": API_KEY})
            entry_id = step["result"]["entry_id"]

            async def is_kept() -> bool:
                kept = home_assistant.folder / ".storage"
                return all(
                    (kept / name).exists() and text in (kept / name).read_text()
                    for name, text in (("core.config_entries", entry_id), ("auth", "users"))
                )

            await server.set_fault(f"latency=generate:{LATENCY}")
            await wait_until(is_kept, what="Keeping the entry", seconds=30)
            yield House(home_assistant, witness, server, seed)
        finally:
            await home_assistant.kill()


async def perform(
    folder: Path,
    *,
    kills: int,
    seed: int,
    create_program: ProgramFactory = Program,
    report: Callable[[Kill], None] = print,
) -> list[Kill]:
    """Kill this many times, at each kind of moment in turn. Report and return the results.

    `create_program` creates the program of Home Assistant. Defaults to that of this environment.
    """
    moments = [list(Moment)[number % len(Moment)] for number in range(kills)]
    done: list[Kill] = []
    async with house(folder, seed=seed, create_program=create_program) as subject:
        for number, moment in enumerate(moments, start=1):
            kill = await subject.kill(number, moment)
            if moments[number : number + 1] != [Moment.RECOVERING]:
                await subject.settle(kill)
            report(kill)
            done.append(kill)
    return done
