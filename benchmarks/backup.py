"""Makes backups with Home Assistant while it generates images, restores each, and compares.

Home Assistant's own backup integration makes them, with the hooks of the integration. Each one is
unpacked into an empty folder, where the stores are opened as a start does. What was fired before
the backup began must be there: each queued job, and each of the newest finished images with the
server's bytes. Older images are removed all the time, as the options of the entry say.
Every tenth backup also starts a Home Assistant, which must finish all jobs of the backup.
"""

import argparse
import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
import random
import secrets
import shutil
import sys
import tempfile
import time
from typing import Final

from homeassistant import loader
from homeassistant.config_entries import ConfigEntries
from homeassistant.core import HomeAssistant as Core

from custom_components.gaze.gallery import Gallery, Image, Selection
from custom_components.gaze.jobs import Job, Records
from testing.backups import unpack
from testing.fake_servers import API_KEY, PRESET, FakeServer, Wanted, fake_servers
from testing.home_assistant import AnswerError, DemoError, HomeAssistant, free_port, wait_until
from testing.witness import Witness, left_overs

from .support.report import machine, table

RESULTS: Final = Path(__file__).parent / "results" / "backup.md"
TIMES: Final = 50
STARTED: Final = 10  # each how many a Home Assistant is started on a backup
DURATION: Final = 0.3
AT_ONCE: Final = 5
KEPT: Final = 60  # images, so that the oldest ones are also removed meanwhile
SIZE: Final = (512, 768)
OPTIONS: Final = {
    "save_images": True,
    "strip_metadata": False,
    "keep_images": KEPT,
    "max_open_jobs": 40,
    "give_up_after": 12,
}
PAUSE: Final = (0.3, 1.5)  # seconds between two backups
PATIENCE: Final = 120.0
# An event is recorded as fired a moment after it was fired, in seconds.
BLINK: Final = 1.0


@dataclass(kw_only=True, slots=True)
class Backup:
    """A backup, and what became of it. Times are seconds since the epoch."""

    number: int
    began_at: float
    ended_at: float = 0.0
    file: Path = Path()
    events: int = 0  # that were fired while it was made
    jobs: int = 0
    open_jobs: int = 0
    images: int = 0
    started: bool = False
    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Return whether nothing is wrong."""
        return not (self.lost or self.twice or self.other)


@dataclass(frozen=True, kw_only=True, slots=True)
class Restored:
    """What a start finds in a restored backup."""

    jobs: dict[str, Job]
    images: dict[str, Image]
    files: dict[str, list[Path]]  # by the beginning of the job's ID
    set_aside: Sequence[str]


class House:
    """A Home Assistant that generates images all the time."""

    def __init__(
        self,
        home_assistant: HomeAssistant,
        server: FakeServer,
        entry_id: str,
        witness: Witness,
    ) -> None:
        """Use a Home Assistant that is set up."""
        self.home_assistant = home_assistant
        self.server = server
        self.entry_id = entry_id
        self.witness = witness
        self._generating = asyncio.create_task(self._generate())

    async def back_up(self, number: int) -> Backup:
        """Make a backup, and move it out of Home Assistant's way."""
        backups = self.home_assistant.folder / "backups"
        backup = Backup(number=number, began_at=time.time())
        await self.home_assistant.websocket(
            {
                "type": "backup/generate",
                "agent_ids": ["backup.local"],
                "include_database": False,
                "name": f"Backup {number}",
            }
        )

        async def is_made() -> bool:
            info = await self.home_assistant.websocket({"type": "backup/info"})
            return bool(info["state"] == "idle" and list(backups.glob("*.tar")))

        await wait_until(is_made, what="The backup", seconds=PATIENCE)
        backup.ended_at = time.time()
        info = await self.home_assistant.websocket({"type": "backup/info"})
        if (ending := info["last_action_event"])["state"] != "completed":
            backup.other.append(f"Home Assistant ended the backup with {ending}")
        [made] = backups.glob("*.tar")
        backup.file = Path(shutil.move(made, self.home_assistant.folder.parent / f"{number}.tar"))
        backup.events = sum(
            backup.began_at <= event.time <= backup.ended_at for event in self.witness.told()
        )
        return backup

    async def stop(self) -> None:
        """Stop generating, and wait until all jobs have ended."""
        self._generating.cancel()
        await asyncio.gather(self._generating, return_exceptions=True)

        async def have_ended() -> bool:
            kinds = Counter(event.data["type"] for event in self.witness.told())
            return kinds["queued"] == kinds["finished"] + kinds["failed"]

        await wait_until(have_ended, what="The end of all jobs", seconds=PATIENCE)
        await self.home_assistant.stop()

    async def _generate(self) -> None:
        """Queue images as fast as the server makes them."""
        while True:
            with suppress(AnswerError):
                await self.home_assistant.call_action(
                    "gaze",
                    "generate",
                    {"preset": PRESET, "count": AT_ONCE},
                    return_response=True,
                )
            await asyncio.sleep(AT_ONCE * DURATION)


class Judge:
    """Compares restored backups with what was fired and made."""

    def __init__(self, house: House, made: dict[str, bytes]) -> None:
        """Take what was fired and the images that the server made, by job ID."""
        self._house = house
        self._made = made
        self._told = house.witness.told()

    async def judge(self, backup: Backup) -> None:
        """Restore a backup and note what is wrong."""
        folder = backup.file.with_suffix("")
        await asyncio.to_thread(unpack, backup.file, folder)
        restored = await find(folder, self._house.entry_id)
        backup.jobs = len(restored.jobs)
        backup.open_jobs = sum(job.open for job in restored.jobs.values())
        backup.images = len(restored.images)
        self._compare_events(backup, restored)
        self._compare_images(backup, restored)
        backup.other += [f"{name} was set aside" for name in restored.set_aside]
        if backup.number % STARTED == 0:
            backup.started = True
            opened = restored.jobs.keys() - self._finished(backup)
            await self._start(backup, folder, opened)
        shutil.rmtree(folder)

    def _compare_events(self, backup: Backup, restored: Restored) -> None:
        """Note which jobs are lost, and which would end twice."""
        for event in self._told:
            if event.time >= backup.began_at:
                continue
            job_id, kind = event.data["job_id"], event.data["type"]
            if (job := restored.jobs.get(job_id)) is None:
                backup.lost.append(f"job {job_id} is not among the jobs")
            elif (
                kind in {"finished", "failed"}
                and event.time < backup.began_at - BLINK
                and (job.open or not job.end_fired)
            ):
                backup.twice.append(f"job {job_id} would end again")
        unknown = (restored.jobs.keys() | restored.images.keys()) - self._made.keys()
        backup.other += [f"GAZE never had the job {job_id}" for job_id in unknown]

    def _compare_images(self, backup: Backup, restored: Restored) -> None:
        """Note which of the newest images are lost, and which images are there twice."""
        finished = self._finished(backup)
        # Those that were saved but not fired yet count as well.
        newest = {*finished[AT_ONCE - KEPT :], *restored.images}
        for job_id in filter(newest.__contains__, finished):
            files = restored.files.get(job_id[:8], [])
            if job_id not in restored.images:
                backup.lost.append(f"the image of {job_id} is not listed")
            if [file.read_bytes() for file in files] != [self._made[job_id]]:
                backup.lost.append(f"the image of {job_id} has {len(files)} files, or a wrong one")
        backup.twice += [
            f"{name} has {len(files)} files"
            for name, files in restored.files.items()
            if len(files) > 1
        ]

    def _finished(self, backup: Backup) -> list[str]:
        """Return the jobs whose images were finished before a backup began, oldest first."""
        return [
            event.data["job_id"]
            for event in self._told
            if event.data["type"] == "finished" and event.time < backup.began_at
        ]

    async def _start(self, backup: Backup, folder: Path, opened: Collection[str]) -> None:
        """Start a Home Assistant on a backup, and see that it has the images of all other jobs.

        Some of them ended while the backup was made.
        """
        home_assistant = HomeAssistant(folder, port=free_port())
        home_assistant.prepare()

        async def is_loaded() -> bool:
            return [entry["state"] for entry in await home_assistant.entries("gaze")] == ["loaded"]

        async def have_ended() -> bool:
            found = await home_assistant.call_action("gaze", "list_jobs", return_response=True)
            return all(job["status"] in {"done", "failed"} for job in found["jobs"])

        try:
            await home_assistant.start()
            await home_assistant.onboard()
            await wait_until(is_loaded, what="Loading the entry", seconds=PATIENCE)
            await wait_until(have_ended, what="The end of restored jobs", seconds=PATIENCE)
            listed = await home_assistant.call_action("gaze", "list_jobs", return_response=True)
            for job in filter(lambda job: job["job_id"] in opened, listed["jobs"]):
                shown = job["image_url"] and (await home_assistant.fetch(job["image_url"]))[0]
                if shown != self._made[job["job_id"]]:
                    backup.lost.append(f"job {job['job_id']} ended without its image")
            backup.other += await left_overs(folder)
        except DemoError as err:
            backup.other.append(str(err))
        finally:
            await home_assistant.kill()
        files = Counter(
            file.stem.rpartition("_")[2] for file in home_assistant.media.rglob("*.png")
        )
        backup.twice += [f"{name} has {count} files" for name, count in files.items() if count > 1]


async def find(folder: Path, entry_id: str) -> Restored:
    """Return what the stores in a folder hold, opened as a start does."""
    hass = Core(str(folder))
    loader.async_setup(hass)
    hass.config_entries = ConfigEntries(hass, {})
    hass.config.media_dirs = {"local": str(folder / "media")}
    records, gallery = Records(hass, entry_id), Gallery(hass, entry_id, "GAZE")
    jobs, _ = await records.async_open()
    await gallery.async_open()
    images = await gallery.async_select(Selection(hidden=None))
    set_aside = [name for name in (records.set_aside, gallery.set_aside) if name]
    await records.async_close()
    await gallery.async_close()
    await hass.async_stop(force=True)
    files: dict[str, list[Path]] = {}
    for file in (folder / "media").rglob("*.png"):
        files.setdefault(file.stem.rpartition("_")[2], []).append(file)
    return Restored(
        jobs={job.job_id: job for job in jobs},
        images={image.job_id: image for image in images},
        files=files,
        set_aside=set_aside,
    )


@asynccontextmanager
async def house(folder: Path, *, seed: int) -> AsyncGenerator[House]:
    """Run a Home Assistant with an entry for a GAZE server."""
    home_assistant = HomeAssistant(folder / "home", port=free_port())
    witness = Witness.prepare(home_assistant)
    with (home_assistant.folder / "configuration.yaml").open("a") as configuration:
        configuration.write("backup:\n")
    wanted = Wanted(duration=DURATION, jitter=0.1, seed=seed, size=SIZE)
    async with fake_servers([wanted], folder) as [server]:
        try:
            await home_assistant.start()
            await home_assistant.onboard()
            step = await home_assistant.flow("gaze", {"host": server.url, "api_key": API_KEY})
            entry_id = step["result"]["entry_id"]
            await home_assistant.options(entry_id, OPTIONS)
            yield House(home_assistant, server, entry_id, witness)
        finally:
            await home_assistant.kill()


async def perform(folder: Path, *, times: int, seed: int) -> list[Backup]:
    """Make so many backups, and judge each."""
    moments = random.Random(seed)  # noqa: S311 - chooses moments
    async with house(folder, seed=seed) as subject:
        backups = []
        for number in range(1, times + 1):
            await asyncio.sleep(moments.uniform(*PAUSE))
            backups.append(await subject.back_up(number))
            print(f"Made {number} of {times}", file=sys.stderr, flush=True)
        await subject.stop()
        jobs = await subject.server.jobs()
        made = {job["job_id"]: await subject.server.image(job["image_url"]) for job in jobs}
        judge = Judge(subject, made)
        for backup in backups:
            await judge.judge(backup)
            print(f"Restored {backup.number} of {times}", file=sys.stderr, flush=True)
    return backups


HEAD: Final = (
    "backup",
    "seconds",
    "events meanwhile",
    "jobs",
    "of these, open",
    "images",
    "started",
    "lost",
    "twice",
    "other",
)


def report(backups: Sequence[Backup]) -> str:
    """Return the table: a row each, and their sums."""
    rows = [
        [
            str(backup.number),
            f"{backup.ended_at - backup.began_at:.1f}",
            *map(str, (backup.events, backup.jobs, backup.open_jobs, backup.images)),
            "yes" if backup.started else "",
            *(str(len(found)) for found in (backup.lost, backup.twice, backup.other)),
        ]
        for backup in backups
    ]
    sums = [
        sum(map(len, found))
        for found in (
            [backup.lost for backup in backups],
            [backup.twice for backup in backups],
            [backup.other for backup in backups],
        )
    ]
    events = sum(backup.events for backup in backups)
    started = sum(backup.started for backup in backups)
    return table(HEAD, [*rows, ["all", "", str(events), "", "", "", str(started), *map(str, sums)]])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark. Return 1 if anything is lost, would come twice, or is damaged."""
    parser = argparse.ArgumentParser(prog="scripts/bench backup", description=__doc__)
    parser.add_argument("--times", type=int, default=TIMES, help=f"how many ({TIMES})")
    parser.add_argument(
        "--seed", type=int, default=secrets.randbelow(10_000), help="of the moments"
    )
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="gaze-backup-") as folder:
        backups = asyncio.run(perform(Path(folder), times=options.times, seed=options.seed))
    text = f"{machine()}; seed {options.seed}\n\n{report(backups)}\n"
    print(text)
    for backup in backups:
        for problem in (*backup.lost, *backup.twice, *backup.other):
            print(f"Backup {backup.number}: {problem}")
    if options.times == TIMES:
        RESULTS.write_text(f"# Backups while generating\n\n{text}")
    return 0 if all(backup.good for backup in backups) else 1


if __name__ == "__main__":
    sys.exit(main())
