"""Reloads, reconfigures, and changes options while images are generated, and looks for every image.

Each interruption comes at a random moment of a batch. Afterwards each accepted job must have one
`queued` and one `finished` event and one file with the server's bytes. GAZE must have generated
what was requested, once. A request that Home Assistant refused must not have reached GAZE.
"""

import argparse
import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
import random
import secrets
import sys
import tempfile
from typing import Final

from testing.fake_servers import API_KEY, PRESET, FakeServer, Wanted, fake_servers
from testing.home_assistant import (
    AnswerError,
    DemoError,
    HomeAssistant,
    Json,
    complaints,
    free_port,
    wait_until,
)
from testing.witness import Told, Witness, left_overs

from .support.report import Report, machine, table

TIMES: Final = 200
DURATION: Final = 0.3
BATCH: Final = (1, 3)
LATENCY: Final = 0.2  # seconds that GAZE takes to accept a request
LATEST: Final = 0.8  # seconds after a request in which the interruption comes
PATIENCE: Final = 120.0  # seconds in which Home Assistant loads the entry, or ends all jobs


class Interruption(StrEnum):
    """What interrupts the jobs."""

    RELOAD = "reload"
    RECONFIGURE = "reconfigure"
    OPTIONS = "change options"


@dataclass(kw_only=True, slots=True)
class Batch:
    """A request for images, and what interrupted it."""

    marker: str
    count: int
    interruption: Interruption
    during_request: bool = False
    with_open_jobs: bool = False
    job_ids: Sequence[str] = ()
    error: str = ""

    @property
    def refused(self) -> bool:
        """Return whether Home Assistant refused the request."""
        return bool(self.error)


@dataclass(kw_only=True, slots=True)
class Result:
    """What became of all batches."""

    batches: Sequence[Batch]
    lost: dict[str, list[str]]  # by marker
    twice: dict[str, list[str]]  # by marker
    other: Sequence[str]

    @property
    def good(self) -> bool:
        """Return whether nothing is lost, nothing came twice, and jobs were interrupted."""
        interrupted = any(one.with_open_jobs or one.during_request for one in self.batches)
        return interrupted and not (self.lost or self.twice or self.other)


class House:
    """A Home Assistant with one entry, whose server generates images."""

    def __init__(
        self,
        home_assistant: HomeAssistant,
        server: FakeServer,
        entry_id: str,
        witness: Witness,
        seed: int,
    ) -> None:
        """Use a Home Assistant that is set up."""
        self._home_assistant = home_assistant
        self._server = server
        self._entry_id = entry_id
        self._witness = witness
        self._random = random.Random(seed)  # noqa: S311 - chooses moments

    async def interrupt_batch(self, number: int, interruption: Interruption) -> Batch:
        """Request images, and interrupt them at a random moment."""
        batch = Batch(
            marker=f"batch {number}",
            count=self._random.randint(*BATCH),
            interruption=interruption,
        )
        request = asyncio.create_task(self._generate(batch))
        await asyncio.sleep(self._random.uniform(0, LATEST))
        batch.during_request = not request.done()
        batch.with_open_jobs = not set(batch.job_ids) <= self._ended()
        await self._interrupt(number, interruption)
        await request
        await wait_until(self._is_loaded, what="Loading the entry", seconds=PATIENCE)
        return batch

    async def check(self, batches: Sequence[Batch]) -> Result:
        """Wait until all jobs have ended, and compare Home Assistant with GAZE."""
        promised = {job_id for batch in batches for job_id in batch.job_ids}

        async def have_ended() -> bool:
            return promised <= self._ended()

        with suppress(DemoError):  # the jobs that have not ended are lost
            await wait_until(have_ended, what="The end of all jobs", seconds=PATIENCE)
        result = Result(batches=batches, lost={}, twice={}, other=[])
        jobs = await self._server.jobs()
        events = Counter((event.data["job_id"], event.data["type"]) for event in self._told())
        for batch in batches:
            made = [job for job in jobs if job["body"].get("extra_positive") == batch.marker]
            lost = self._missing_jobs(batch, made)
            twice = ["requested twice"] if len(made) > batch.count else []
            for job in made:
                await self._compare(job, events, lost, twice)
            if lost:
                result.lost[batch.marker] = lost
            if twice:
                result.twice[batch.marker] = twice
        result.other = [
            *await left_overs(self._home_assistant.folder),
            *complaints(self._home_assistant.log),
        ]
        return result

    def _missing_jobs(self, batch: Batch, made: Sequence[Json]) -> list[str]:
        """Return the jobs of which Home Assistant and GAZE differ."""
        differing = set(batch.job_ids) ^ {job["job_id"] for job in made}
        lost = [f"job {job_id} is known to one side only" for job_id in sorted(differing)]
        if not batch.refused and len(batch.job_ids) < batch.count:
            lost.append(f"{len(batch.job_ids)} of {batch.count} jobs were accepted")
        return lost

    async def _compare(
        self, job: Json, events: Counter[tuple[str, str]], lost: list[str], twice: list[str]
    ) -> None:
        """Compare a job of GAZE with its events and files."""
        job_id = job["job_id"]
        for kind in ("queued", "finished"):
            if not events[job_id, kind]:
                lost.append(f"job {job_id} has no event {kind}")
            if events[job_id, kind] > 1:
                twice.append(f"job {job_id} has {events[job_id, kind]} events {kind}")
        if events[job_id, "failed"]:
            lost.append(f"job {job_id} failed")
        files = list(self._home_assistant.media.rglob(f"*_{job_id[:8]}.png"))
        if not files or files[0].read_bytes() != await self._server.image(job["image_url"]):
            lost.append(f"job {job_id} has no file, or a wrong one")
        if len(files) > 1:
            twice.append(f"job {job_id} has {len(files)} files")

    async def _generate(self, batch: Batch) -> None:
        """Request the images of a batch."""
        fields = {"preset": PRESET, "count": batch.count, "extra_positive": batch.marker}
        try:
            answer = await self._home_assistant.call_action(
                "gaze", "generate", fields, return_response=True
            )
        except AnswerError as err:
            batch.error = str(err)
        else:
            batch.job_ids = [job["job_id"] for job in answer["jobs"]]

    async def _interrupt(self, number: int, interruption: Interruption) -> None:
        """Interrupt as people do. Each time something changes, so that Home Assistant reloads."""
        match interruption:
            case Interruption.RELOAD:
                await self._home_assistant.reload(self._entry_id)
                return
            case Interruption.RECONFIGURE:
                fields = {"host": self._server.url, "advanced": {"verify_ssl": number % 2 == 0}}
                step = await self._home_assistant.flow("gaze", fields, entry_id=self._entry_id)
            case Interruption.OPTIONS:
                options = {
                    "save_images": True,
                    "strip_metadata": False,
                    "keep_images": 10_000 + number,
                    "max_open_jobs": 500,
                    "give_up_after": 12,
                }
                step = await self._home_assistant.options(self._entry_id, options)
        if step["type"] == "form":
            raise DemoError(f"Unable to {interruption}: {step['errors']}")

    async def _is_loaded(self) -> bool:
        """Return whether the entry is loaded."""
        (entry,) = await self._home_assistant.entries("gaze")
        return bool(entry["state"] == "loaded")

    def _told(self) -> list[Told]:
        """Return the events so far."""
        return self._witness.told()

    def _ended(self) -> set[str]:
        """Return the jobs with an event at their end."""
        return {
            event.data["job_id"]
            for event in self._witness.told()
            if event.data["type"] in {"finished", "failed"}
        }


@asynccontextmanager
async def house(folder: Path, *, seed: int) -> AsyncGenerator[House]:
    """Run a Home Assistant with an entry for a GAZE server."""
    home_assistant = HomeAssistant(folder / "home", port=free_port())
    witness = Witness.prepare(home_assistant)
    wanted = Wanted(duration=DURATION, jitter=0.1, seed=seed, size=(256, 384))
    async with fake_servers([wanted], folder) as [server]:
        try:
            await home_assistant.start()
            await home_assistant.onboard()
            step = await home_assistant.flow("gaze", {"host": server.url, "api_key": API_KEY})
            await server.set_fault(f"latency=generate:{LATENCY}")
            entry_id = step["result"]["entry_id"]
            yield House(home_assistant, server, entry_id, witness, seed)
        finally:
            await home_assistant.kill()


async def perform(folder: Path, *, times: int, seed: int) -> Result:
    """Interrupt so many batches, with each kind of interruption in turn."""
    kinds = list(Interruption)
    async with house(folder, seed=seed) as subject:
        batches = []
        for number in range(1, times + 1):
            batches.append(await subject.interrupt_batch(number, kinds[number % len(kinds)]))
            print(f"{number} of {times}", file=sys.stderr, flush=True)
        return await subject.check(batches)


def build_table(result: Result) -> str:
    """Return the table."""
    head = ["", "times", "during a request", "with open jobs", "jobs", "refused", "lost", "twice"]
    rows = []
    for name, batches in [
        *(
            (kind, [one for one in result.batches if one.interruption is kind])
            for kind in Interruption
        ),
        ("all", result.batches),
    ]:
        counts = (
            len(batches),
            sum(one.during_request for one in batches),
            sum(one.with_open_jobs for one in batches),
            sum(len(one.job_ids) for one in batches),
            sum(one.refused for one in batches),
            sum(len(result.lost.get(one.marker, ())) for one in batches),
            sum(len(result.twice.get(one.marker, ())) for one in batches),
        )
        rows.append([name, *map(str, counts)])
    return table(head, rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark. Return 1 if anything is lost, came twice, or was logged."""
    parser = argparse.ArgumentParser(prog="scripts/bench reload", description=__doc__)
    parser.add_argument("--times", type=int, default=TIMES, help=f"how many ({TIMES})")
    parser.add_argument(
        "--seed", type=int, default=secrets.randbelow(10_000), help="of the moments"
    )
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="gaze-reload-") as folder:
        result = asyncio.run(perform(Path(folder), times=options.times, seed=options.seed))
    report = Report("reload", "Reloads while generating")
    report.add(f"{machine()}; seed {options.seed}")
    report.add(build_table(result))
    for problems in (*result.lost.values(), *result.twice.values(), result.other):
        print(*problems, sep="\n", end="\n" if problems else "")
    print(*{one.error for one in result.batches if one.refused}, sep="\n")
    if options.times == TIMES:
        report.save()
    return 0 if result.good else 1


if __name__ == "__main__":
    sys.exit(main())
