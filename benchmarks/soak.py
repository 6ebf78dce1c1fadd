"""Simulates a day of 2,000 images with all faults, in some minutes.

One real Home Assistant uses two GAZE servers, with two recipes and three displays each. Users
request images in every way, view them, reload, and change options, while the servers produce every
fault. Screens fetch the displays and two cards on dashboards stay subscribed. At the end, each
accepted job must have one `queued` and one final event that match the record of the server. The
saved images must have the bytes of the server, and no request may be repeated. Screens and cards
must show the newest images, and may fail only during a reload. Memory, open files, threads, and
stores must not grow once the stores are full. Each error in Home Assistant's log must
result from a fault.
"""

import argparse
import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from pathlib import Path
import re
import sqlite3
from statistics import median
import sys
import tempfile
import time
from typing import Final

from custom_components.gaze.const import DEFAULT_KEEP_IMAGES
from testing.fake_servers import API_KEY, FakeServer, Wanted, fake_servers
from testing.gaze_server import DEFAULT_PRESETS
from testing.home_assistant import DemoError, HomeAssistant, Json, complaints, free_port, wait_until
from testing.witness import Witness, left_overs

from .support.household import RECIPES, REST, Household
from .support.report import Figure, Report, listed, machine, table
from .support.viewers import Card, Screen

JOBS: Final = 2000
SERVERS: Final = 2
# Default duration of an image in seconds, and its size in pixels
DURATION: Final = 0.25
SIZE: Final = (128, 192)
# Images that arrive together may be stored in a different order than their events
ORDER: Final = 5
# What each server has beside its presets. The form asks for a recipe by its name.
RECIPE_FORMS: Final[tuple[Json, ...]] = tuple(
    {"name": name, "preset": preset.slug, "negative": "{{ states('sun.sun') }}"}
    for name, preset in zip(RECIPES, DEFAULT_PRESETS, strict=False)
)
CARDS: Final = 2
DISPLAY_FORMS: Final[tuple[Json, ...]] = (
    {"name": "Tablet", "width": 320, "height": 200},
    {
        "name": "Poster",
        "width": 200,
        "height": 320,
        "changing": {"order": "shuffle", "advance": "on_fetch"},
    },
    {
        "name": "Frame",
        "source": "recipe",
        "source_value": RECIPES[0],
        "width": 160,
        "height": 96,
        "rendering": {"format": "bmp", "colors": "spectra_6"},
    },
)
# The recorder writes every 5 s
COMMIT: Final = 8.0
MEBIBYTE: Final = 2**20

# Ended jobs after which the histories and galleries of both servers are full
FULL: Final = 1200
LEAST_SAMPLES: Final = 4  # in each half
# Maximum growth from the first to the second half of the jobs after that, about 400 jobs
MORE_MEMORY: Final = 2.0  # MiB. A leak of one image for each job would be 12
MORE_FILES: Final = 4
MORE_THREADS: Final = 4
MORE_STORES: Final = 0.3  # MiB
# Cache of the recorder's database, in bytes
RECORDER_CACHE: Final = 16 * MEBIBYTE

# Valid sequences of events of a job
TOLD: Final = tuple(
    f"queued {started}{end}" for started in ("", "started ") for end in ("finished", "failed")
)

# Expected errors in the log, with their explanation
EXPECTED: Final = {
    r"\[custom_components\.gaze\.coordinator\] "
    r"(Error (requesting|fetching) GAZE.* data|Failed to list the presets): ": (
        "a server that fails or answers nonsense, said when it begins"
    ),
    r"\[custom_components\.gaze\.generation\] A request to GAZE failed: ": (
        "a request for images in a trouble"
    ),
    r"\[homeassistant\.components\.api\] Error during service call to (gaze|button)\.": (
        "a call that failed in a trouble: Home Assistant notes each"
    ),
    r"\[homeassistant\.helpers\.service\] Referenced entities .* not currently available": (
        "a button pressed while its server is off"
    ),
    r"Authentication failed while fetching GAZE|GAZE.* could not authenticate": (
        "the key was regenerated"
    ),
}
NEVER: Final = ("Traceback", "blocking call", "deprecated", "was never retrieved")


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """The resources of Home Assistant's process after a number of jobs. Sizes are in bytes."""

    ended: int
    seconds: float  # since the first request
    memory: int
    files: int
    sockets: int
    threads: int
    recorder: int
    stores: int
    logs: int  # SQLite's write-ahead logs beside the stores, 4 MiB each at most
    events: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """The content of the recorder's database: bytes in use, and rows of the integration."""

    size: int
    states: int
    events: int

    @classmethod
    def of(cls, folder: Path) -> Recorded:
        """Read the database of a configuration directory."""
        file = folder / "home-assistant_v2.db"
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:

            def number(query: str) -> int:
                return int(database.execute(query).fetchone()[0])

            pages = number("PRAGMA page_count") - number("PRAGMA freelist_count")
            return cls(
                size=pages * number("PRAGMA page_size"),
                states=number(
                    "SELECT count(*) FROM states JOIN states_meta USING (metadata_id)"
                    " WHERE states_meta.entity_id LIKE '%.gaze%'"
                ),
                events=number(
                    "SELECT count(*) FROM events JOIN event_types USING (event_type_id)"
                    " WHERE event_types.event_type = 'gaze_event'"
                ),
            )


class Account:
    """Compares the events of a household with the server and with the files on disk."""

    def __init__(
        self, household: Household, home_assistant: HomeAssistant, witness: Witness
    ) -> None:
        """Use a household without open jobs."""
        self._household = household
        self.ledger = household.ledger
        self._home_assistant = home_assistant
        self._events: dict[str, list[Json]] = defaultdict(list)
        for told in witness.told():
            if told.data["config_entry_id"] == household.entry_id:
                self._events[told.data["job_id"]].append(told.data)
        self._made: dict[str, Json] = {}
        self.kept = 0
        self.never_known = 0

    async def problems(self) -> list[str]:
        """Return all problems."""
        made = await self._household.server.jobs()
        self._made = {job["job_id"]: job for job in made if not job["foreign"]}
        self.never_known = len(self._made.keys() - self._events.keys())
        return [
            *self.ledger.problems,
            *self._problems_of_events(),
            *self._problems_of_ends(),
            *await self._problems_of_requests(),
            *await self._problems_of_images(),
        ]

    @property
    def outcomes(self) -> Counter[str]:
        """Count the results of the jobs: `finished`, or the reason of the failure."""
        last = [events[-1] for events in self._events.values()]
        return Counter(str(event["reason"] or event["type"]) for event in last)

    def _problems_of_events(self) -> list[str]:
        """Return jobs without exactly one `queued`, at most one `started`, and one final event."""
        problems = [
            f"Job {job_id} was promised and never told"
            for job_id in self.ledger.promised - self._events.keys()
        ]
        for job_id, events in self._events.items():
            types = [event["type"] for event in events]
            if " ".join(types) not in TOLD:
                problems.append(f"Job {job_id} was told {types}")
        return problems

    def _problems_of_ends(self) -> list[str]:
        """Return final events that do not match the record of the server."""
        problems = []
        for job_id, events in self._events.items():
            told = events[-1]
            made = self._made.get(job_id)
            if made is None:
                problems.append(f"Job {job_id} is not the server's")
                continue
            match told["type"], told["reason"]:
                case "finished", None:
                    right = made["status"] == "done" and told["seed"] == str(made["seed"])
                case "failed", "server":
                    right = made["status"] == "failed" and told["error"] == made["error"]
                case "failed", "lost":
                    right = not made["known"]
                case "failed", "download" | "no_image":
                    right = made["status"] == "done"
                case _:
                    right = False
            if not right:
                problems.append(f"Job {job_id} was told {told}, but it is {made}")
        return problems

    async def _problems_of_requests(self) -> list[str]:
        """Return the requests that were repeated."""
        ledger = self.ledger
        asked = Counter(job["body"].get("extra_positive") for job in self._made.values())
        unmarked = asked.pop(None, 0)
        problems = [
            f"{number} images were asked for in {marker}, not {ledger.asked[marker]}"
            for marker, number in asked.items()
            if number % ledger.asked[marker]
        ]
        batches = sum(number // ledger.asked[marker] for marker, number in asked.items())
        again = batches - len(asked) + max(unmarked - ledger.unmarked, 0)
        if again > ledger.repeats:
            problems.append(f"{again} requests came again, but {ledger.repeats} were repeated")
        posted = (await self._household.server.requests()).get("generate", 0)
        if posted > ledger.calls:
            problems.append(f"{posted} requests for {ledger.calls} calls")
        return problems

    async def _problems_of_images(self) -> list[str]:
        """Return the problems of the images in the gallery, in lists, and on disk."""
        problems = []
        answer = await self._home_assistant.call_action(
            "gaze",
            "list_images",
            {"config_entry_id": self._household.entry_id, "limit": 1000},
            return_response=True,
        )
        images = {image["job_id"]: image for image in answer["images"]}
        self.kept = len(images)
        finished = self._household.told("finished")
        kept = min(len(finished), DEFAULT_KEEP_IMAGES)
        if len(images) != kept:
            problems.append(f"{len(images)} images are listed, not {kept}")
        newest = finished[-kept + ORDER :] if len(finished) > kept else finished
        problems += [f"Image {job_id} is not listed" for job_id in newest if job_id not in images]
        for job_id, image in images.items():
            shown, _ = await self._home_assistant.fetch(image["image_url"])
            files = list(self._home_assistant.media.rglob(f"*_{job_id[:8]}.png"))
            stored = [file.read_bytes() for file in files]
            if job_id not in self.ledger.deleted:
                made = await self._household.server.image(self._made[job_id]["image_url"])
                if shown != made:
                    problems.append(f"Image {job_id} is not the server's")
            if stored != [shown]:
                problems.append(f"Image {job_id} has {len(files)} files, or another one")
        return problems


class Day:
    """A Home Assistant with its households, observed from outside."""

    def __init__(
        self, home_assistant: HomeAssistant, witness: Witness, households: list[Household]
    ) -> None:
        """Start the day."""
        self.home_assistant = home_assistant
        self.witness = witness
        self.households = households
        self.screens: list[Screen] = []
        self.cards = [
            Card(home_assistant=home_assistant, may_fail=self._is_reloading) for _ in range(CARDS)
        ]
        self.samples: list[Sample] = []
        self.problems: list[str] = []
        self._began = time.time()

    async def live(self, jobs: int, seconds: float) -> None:
        """Let users request a number of images, within a timeout in seconds."""
        for household in self.households:
            self.screens += await self._find_screens(household)
        watching = [
            asyncio.create_task(it)
            for it in (
                self._watch(max(jobs // 20, 1)),
                *(screen.live() for screen in self.screens),
                *(card.live() for card in self.cards),
            )
        ]
        try:
            async with asyncio.timeout(seconds):
                share = jobs // len(self.households)
                async with asyncio.TaskGroup() as group:
                    for household in self.households:
                        group.create_task(household.live(share))
                await wait_until(self._is_calm, what="Coming to rest", seconds=REST)
        except (TimeoutError, DemoError, ExceptionGroup) as err:
            self.problems.append(f"The day did not come to its end: {err!r}")
        await asyncio.sleep(COMMIT)
        self.samples.append(self._sample())
        for task in watching:
            task.cancel()
        ends = await asyncio.gather(*watching, return_exceptions=True)
        self.problems += [f"A viewer ended: {end!r}" for end in ends if isinstance(end, Exception)]
        for household in self.households:
            self.problems += await self._find_outdated(household)
        for screen in self.screens:
            self.problems += screen.problems
        for card in self.cards:
            self.problems += [*card.problems, *card.find_bursts()]

    async def _find_screens(self, household: Household) -> list[Screen]:
        """Return a screen for each display of a server."""
        sizes = {form["name"]: (form["width"], form["height"]) for form in DISPLAY_FORMS}
        return [
            Screen(
                home_assistant=self.home_assistant,
                name=display["name"],
                path=display["path"],
                size=sizes[display["name"]],
                may_fail=lambda: household.reloading,
            )
            for display in await self._list_displays(household)
        ]

    async def _list_displays(self, household: Household) -> list[Json]:
        """Return the displays of a server."""
        response = await self.home_assistant.call_action(
            "gaze", "list_displays", {"config_entry_id": household.entry_id}, return_response=True
        )
        return list(response["displays"])

    async def _find_outdated(self, household: Household) -> list[str]:
        """Return the displays and cards that do not show the newest images of a server."""
        newest = household.told("finished")[-ORDER:]
        problems = [
            f"{display['name']} shows {display['job_id']}, but the newest are {newest}"
            for display in await self._list_displays(household)
            if display["name"] == "Tablet" and display["job_id"] not in newest
        ]
        for card in self.cards:
            state = card.state.get(household.entry_id, {})
            if (
                not state
                or state["images"]["newest"] not in newest
                or state["open_jobs"]
                or len(state["recipes"]) != len(RECIPES)
            ):
                problems.append(f"A card shows {state}, but the newest are {newest}")
        return problems

    def _is_reloading(self) -> bool:
        """Return whether a server is being reloaded."""
        return any(household.reloading for household in self.households)

    async def _is_calm(self) -> bool:
        return all(
            set(household.told("queued")) == household.ended() for household in self.households
        )

    async def _watch(self, each: int) -> None:
        """Take a sample now and each time this many more jobs have ended."""
        due = 0
        while True:
            if self._ended >= due:
                self.samples.append(self._sample())
                due = self._ended + each
                self._tell()
            await asyncio.sleep(0.2)

    def _tell(self) -> None:
        minutes = self.samples[-1].seconds / 60
        print(f"{minutes:.1f} min: {self._ended} jobs ended", file=sys.stderr, flush=True)

    @property
    def _ended(self) -> int:
        return sum(len(household.ended()) for household in self.households)

    def _sample(self) -> Sample:
        """Return the resources of the process and its files."""
        folder = self.home_assistant.folder
        process = Path("/proc") / str(self.home_assistant.program.pid)
        status = dict(
            line.split(":\t", 1) for line in (process / "status").read_text().splitlines()
        )
        files = []
        for file in (process / "fd").iterdir():
            with suppress(OSError):  # the file was closed in the meantime
                files.append(str(file.readlink()))
        return Sample(
            ended=self._ended,
            seconds=time.time() - self._began,
            memory=int(status["VmRSS"].split()[0]) * 1024,
            files=len(files),
            sockets=sum(file.startswith("socket:") for file in files),
            threads=int(status["Threads"]),
            recorder=_size(folder.glob("home-assistant_v2.db*")),
            stores=_size((folder / ".storage").glob("gaze.*.db")),
            logs=_size((folder / ".storage").glob("gaze.*-wal")),
            events=len(self.witness.told()),
        )


def _size(files: Iterable[Path]) -> int:
    """Return the size of files in bytes."""
    return sum(file.stat().st_size for file in files)


@asynccontextmanager
async def day(folder: Path, seed: int) -> AsyncGenerator[Day]:
    """Run a Home Assistant with GAZE servers, and stop it at the end."""
    wanted = [
        Wanted(duration=DURATION, jitter=0.2, seed=seed + number, size=SIZE)
        for number in range(SERVERS)
    ]
    home_assistant = HomeAssistant(folder / "home", port=free_port())
    witness = Witness.prepare(home_assistant)
    async with fake_servers(wanted, folder) as servers:
        try:
            await home_assistant.start()
            await home_assistant.onboard()
            households = [
                await add_household(home_assistant, witness, server, f"{seed} {number}")
                for number, server in enumerate(servers)
            ]
            await asyncio.sleep(COMMIT)
            yield Day(home_assistant, witness, households)
        finally:
            await home_assistant.stop()


async def add_household(
    home_assistant: HomeAssistant, witness: Witness, server: FakeServer, seed: str
) -> Household:
    """Add a server with its recipes and displays. Returns its users."""
    step = await home_assistant.flow("gaze", {"host": server.url, "api_key": API_KEY})
    entry_id = step["result"]["entry_id"]
    await add_recipes_and_displays(home_assistant, entry_id)
    registry = await home_assistant.websocket({"type": "config/entity_registry/list"})
    entities: dict[str, str] = {}
    recipe_buttons = []
    for entity in registry:
        if entity["config_entry_id"] != entry_id:
            continue
        entities[entity["unique_id"].removeprefix(f"{entry_id}-")] = entity["entity_id"]
        if entity["config_subentry_id"] and entity["unique_id"].endswith("-generate"):
            recipe_buttons.append(entity["entity_id"])
    return Household(home_assistant, witness, server, entry_id, entities, recipe_buttons, seed)


async def add_recipes_and_displays(home_assistant: HomeAssistant, entry_id: str) -> None:
    """Add the recipes and displays of a server with their forms."""
    forms = [("recipe", form) for form in RECIPE_FORMS]
    forms += [("display", {**form, "address": True}) for form in DISPLAY_FORMS]
    for kind, form in forms:
        step = await home_assistant.add_subentry(entry_id, kind, form)
        if step["type"] != "create_entry":
            raise DemoError(f"The {kind} could not be added: {step}")


def complained(log: str) -> tuple[Counter[str], list[str]]:
    """Return the counts of expected errors in a log, and all unexpected errors."""
    expected: Counter[str] = Counter()
    problems = [f"The log has {word!r}" for word in NEVER if word in log]
    for record in complaints(log):
        known = [reason for pattern, reason in EXPECTED.items() if re.search(pattern, record)]
        expected.update(known[:1])
        problems += [] if known else [record]
    return expected, problems


def judged(samples: Sequence[Sample]) -> list[Figure]:
    """Return the growth of the resources while the stores are full.

    Both values are medians of samples.
    """
    full = [sample for sample in samples if sample.ended > FULL]
    first, second = full[: len(full) // 2], full[len(full) // 2 :]
    if len(first) < LEAST_SAMPLES:  # the day was too short
        return []

    def growth(name: str, value: Callable[[Sample], float], limit: float | None = None) -> Figure:
        grown = median(map(value, second)) - median(map(value, first))
        return Figure(name=name, value=grown, limit=limit, digits=1)

    def own_memory(sample: Sample) -> float:
        return (sample.memory - min(sample.recorder, RECORDER_CACHE)) / MEBIBYTE

    return [
        growth("memory, MiB", lambda sample: sample.memory / MEBIBYTE),
        growth("… without the recorder's pages", own_memory, MORE_MEMORY),
        growth("open files", lambda sample: sample.files, MORE_FILES),
        growth("threads", lambda sample: sample.threads, MORE_THREADS),
        growth("our stores, MiB", lambda sample: sample.stores / MEBIBYTE, MORE_STORES),
    ]


def recorded(before: Recorded, after: Recorded, images: int) -> list[Figure]:
    """Return the growth of the recorder's database after a number of images."""
    return [
        Figure(name="all, MiB", value=(after.size - before.size) / MEBIBYTE),
        Figure(name="an image, bytes", value=(after.size - before.size) / images, digits=0),
        Figure(
            name="states of ours an image", value=(after.states - before.states) / images, digits=1
        ),
        Figure(
            name="events of ours an image", value=(after.events - before.events) / images, digits=1
        ),
    ]


async def perform(folder: Path, jobs: int, seed: int, report: Report) -> bool:
    """Simulate the day and report the results. Returns whether there are no problems."""
    async with day(folder, seed) as subject:
        home_assistant = subject.home_assistant
        before = Recorded.of(home_assistant.folder)
        await subject.live(jobs, seconds=jobs + REST)
        accounts = [
            Account(household, home_assistant, subject.witness) for household in subject.households
        ]
        problems = [*subject.problems]
        for account in accounts:
            problems += await account.problems()
    after = Recorded.of(home_assistant.folder)
    problems += await left_overs(home_assistant.folder)
    expected, unexpected = complained(home_assistant.log)
    problems += unexpected
    report_day(report, accounts, expected)
    report_viewers(report, subject)
    outcomes = sum((account.outcomes for account in accounts), Counter())
    growth = judged(subject.samples)
    report.add_section("How the jobs ended", counted("jobs", outcomes))
    report.add_section("Over the day", table(HEAD, [row(sample) for sample in subject.samples]))
    report.add_section("Growth while the stores are full", listed(growth))
    report.add_section(
        "Growth of the recorder's database", listed(recorded(before, after, outcomes["finished"]))
    )
    report.add("\n".join([*problems, f"{len(problems)} problems"]))
    return not problems and all(figure.met for figure in growth)


def report_day(report: Report, accounts: Sequence[Account], expected: Counter[str]) -> None:
    """Report the actions of users, the faults, and the errors in the log."""
    ledgers = [account.ledger for account in accounts]
    done = Counter(
        {
            "requests for images": sum(ledger.calls for ledger in ledgers),
            "waits for images": sum(ledger.waited for ledger in ledgers),
            "requests of images and thumbnails": sum(ledger.looked for ledger in ledgers),
            "images without an event": sum(account.never_known for account in accounts),
            "images saved at the end": sum(account.kept for account in accounts),
        }
    )
    report.add_section(
        "Actions of users", counted("times", sum((it.chores for it in ledgers), done))
    )
    troubles = sum((ledger.troubles for ledger in ledgers), Counter())
    report.add_section("Faults", counted("times", troubles))
    refused = sum((ledger.refused for ledger in ledgers), Counter())
    report.add_section("Errors that users got during a fault", counted("times", refused))
    report.add_section(
        "Errors in the log, and the faults that explain them", counted("times", expected)
    )


def report_viewers(report: Report, subject: Day) -> None:
    """Report what the screens and cards showed."""
    fetches = sum((screen.fetches for screen in subject.screens), Counter[str]())
    seen = Counter({f"fetches of a display: {what}": count for what, count in fetches.items()})
    seen["messages to cards"] = sum(card.messages for card in subject.cards)
    seen["pages of images for cards"] = sum(card.listed for card in subject.cards)
    report.add_section("Screens and cards", counted("times", seen))


def counted(unit: str, counts: Counter[str]) -> str:
    """Return a table of counts, the highest first."""
    return table(["", unit], [[what, str(number)] for what, number in counts.most_common()])


HEAD: Final = (
    "jobs ended",
    "minutes",
    "memory, MiB",
    "open files",
    "of these, sockets",
    "threads",
    "recorder, MiB",
    "our stores, MiB",
    "and their logs",
    "events",
)


def row(sample: Sample) -> list[str]:
    """Return a sample as a row of the table."""
    return [
        str(sample.ended),
        f"{sample.seconds / 60:.1f}",
        f"{sample.memory / MEBIBYTE:.1f}",
        str(sample.files),
        str(sample.sockets),
        str(sample.threads),
        f"{sample.recorder / MEBIBYTE:.2f}",
        f"{sample.stores / MEBIBYTE:.2f}",
        f"{sample.logs / MEBIBYTE:.2f}",
        str(sample.events),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark. Returns 1 if there are problems or growth."""
    parser = argparse.ArgumentParser(prog="scripts/bench soak", description=__doc__)
    parser.add_argument("--jobs", type=int, default=JOBS, help=f"how many images ({JOBS})")
    parser.add_argument("--seed", type=int, default=1, help="of what happens (1)")
    options = parser.parse_args(arguments)
    report = Report("soak", "A day with 2,000 images")
    report.add(f"{machine()}; seed {options.seed}")
    with tempfile.TemporaryDirectory(prefix="gaze-soak-") as folder:
        living = perform(Path(folder), options.jobs, options.seed, report)
        well = asyncio.run(asyncio.wait_for(living, options.jobs + 2 * REST))
    if options.jobs == JOBS:
        report.save()
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
