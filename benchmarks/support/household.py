"""Simulates the users of a GAZE server and the faults of the server.

The users request images in every way, view them, reload, and change options, while the server
produces every fault.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
import math
import random
import re
import time
from typing import Final

import aiohttp

from custom_components.gaze.const import DEFAULT_KEEP_IMAGES
from testing.fake_servers import API_KEY, PICTURE_SEED, FakeServer
from testing.gaze_server import DEFAULT_PRESETS, DemoPreset
from testing.home_assistant import DemoError, HomeAssistant, Json, wait_until
from testing.witness import Witness

# Maximum open jobs of a server when a user requests more
OPEN: Final = 12
# So many jobs of a server from one trouble to the next, and from one chore to the next
TROUBLE_EACH: Final = 25
RECIPES: Final = ("Rainy day", "Postcard")
CHORE_EACH: Final = 60
# How long the last job may take when all is calm, in seconds: a picture that is gone is asked
# for again for five minutes
REST: Final = 420
# Seconds after a reload in which its consequences for screens and cards are over
SETTLED: Final = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """A temporary fault of a server: switches, or a method of the fake server."""

    name: str
    faults: tuple[str, ...] = ()
    method: str | None = None
    seconds: float = 3.0


TROUBLES: Final = (
    Trouble(name="server off", method="go_off", seconds=4),
    Trouble(name="GAZE restarted", method="restart", seconds=0),
    Trouble(name="queue cleared", method="clear_queue", seconds=0),
    Trouble(name="history pruned", method="prune", seconds=0),
    Trouble(name="finished jobs pruned at once", faults=("prune_at_once=0.5",), seconds=2),
    Trouble(name="busy, Retry-After 2 s", faults=("retry_after=2", "busy=503")),
    Trouble(name="server error 500", faults=("server_error=500",)),
    Trouble(name="error pages", faults=("server_error=502", "html_errors")),
    Trouble(name="answers 0.8 s late", faults=("latency=0.8",), seconds=5),
    Trouble(name="jobs never answered", faults=("hang=job",), seconds=1.5),
    Trouble(name="images never answered", faults=("hang=image",), seconds=1.5),
    Trouble(name="generate never answered", faults=("hang=generate",), seconds=1.5),
    Trouble(name="answers break off", faults=("truncated",)),
    Trouble(name="garbage for JSON", faults=("garbage_json",)),
    Trouble(name="unknown status", faults=("unknown_status",)),
    Trouble(name="not an image", faults=("not_an_image",), seconds=4),
    Trouble(name="images gone for a while", faults=("image_deleted",), seconds=4),
    Trouble(name="images on another host", faults=("other_origin",), seconds=1.5),
    Trouble(name="no image in the answer", faults=("no_image",), seconds=1.5),
    Trouble(name="every third job fails", faults=("fail_every=3",), seconds=5),
    Trouble(name="image deleted"),
    Trouble(name="key regenerated"),
)

# Expected errors in the log, with their explanation


@dataclass(kw_only=True, slots=True)
class Ledger:
    """The requests to a server, their results, and the problems."""

    asked: dict[str, int] = field(default_factory=dict)  # images by marker
    calls: int = 0  # calls that can result in a request for images
    repeats: int = 0  # of these, presses of "generate again"
    unmarked: int = 0  # of these, presses of a preset's button
    promised: set[str] = field(default_factory=set)  # jobs in responses
    waited: int = 0  # callers that waited for their images and got them
    refused: Counter[str] = field(default_factory=Counter)  # errors of calls during a fault
    looked: int = 0  # images and thumbnails that users fetched
    deleted: set[str] = field(default_factory=set)  # jobs whose image was deleted on the server
    troubles: Counter[str] = field(default_factory=Counter)
    chores: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


class Household:
    """A GAZE server in Home Assistant, and its users."""

    def __init__(  # noqa: PLR0913, PLR0917 - it is made at one place only
        self,
        home_assistant: HomeAssistant,
        witness: Witness,
        server: FakeServer,
        entry_id: str,
        entities: dict[str, str],
        recipe_buttons: list[str],
        seed: str,
    ) -> None:
        """Use an entry that is set up and has the recipes.

        `entities` are its entity IDs by key, and `recipe_buttons` those of the recipes' buttons.
        """
        self.server = server
        self.entry_id = entry_id
        self.ledger = Ledger()
        self._home_assistant = home_assistant
        self._witness = witness
        self._entities = entities
        self._recipe_buttons = recipe_buttons
        self._random = random.Random(seed)  # noqa: S311 - chooses what people do
        self._reasons = 0  # for calls to fail just now
        self._reloads = 0  # that are under way
        self._reloaded_at = 0.0
        self._troubled_until = 0.0
        self._keys = self._markers = 0
        self._troubles: list[Trouble] = []
        self._chores: list[Callable[[], Awaitable[None]]] = []
        self._others = asyncio.TaskGroup()  # users who wait for images

    async def live(self, jobs: int) -> None:
        """Request images, with and without faults, until no user is waiting."""
        acts: dict[Callable[[], Awaitable[None]], int] = {
            self._ask_for_one: 36,
            self._ask_for_a_batch: 18,
            self._wait_for_images: 8,
            self._press_a_preset: 9,
            self._press_generate: 4,
            self._press_generate_again: 4,
            self._regenerate: 5,
            self._run_a_recipe: 9,
            self._press_a_recipe: 4,
            self._list: 6,
            self._browse: 6,
            self._look_at_the_newest: 4,
        }
        next_trouble, next_chore = TROUBLE_EACH // 2, CHORE_EACH // 2
        trouble = asyncio.create_task(asyncio.sleep(0))
        async with asyncio.TaskGroup() as group:
            self._others = group
            while (accepted := len(self.told("queued"))) < jobs:
                if accepted >= next_trouble and trouble.done():
                    next_trouble = accepted + TROUBLE_EACH
                    lasting = jobs - accepted > REST  # a job takes a second
                    trouble = group.create_task(self._suffer(self._next_trouble(lasting=lasting)))
                if accepted >= next_chore:
                    next_chore = accepted + CHORE_EACH
                    await self._next_chore()()
                if accepted - len(self.ended()) >= OPEN:
                    await asyncio.sleep(0.1)
                    continue
                [act] = self._random.choices(list(acts), list(acts.values()))
                await act()

    def told(self, kind: str) -> list[str]:
        """Return the jobs of this server for which a type of event was fired, in order."""
        return [
            told.data["job_id"]
            for told in self._witness.told()
            if told.data["type"] == kind and told.data["config_entry_id"] == self.entry_id
        ]

    @property
    def reloading(self) -> bool:
        """Return whether the entry is being reloaded, or was a moment ago."""
        return self._reloads > 0 or time.time() - self._reloaded_at < SETTLED

    def ended(self) -> set[str]:
        """Return the jobs of this server whose final event was fired."""
        return {*self.told("finished"), *self.told("failed")}

    # Actions of users

    async def _ask_for_one(self) -> None:
        await self._ask("generate", preset=self._preset())

    async def _ask_for_a_batch(self) -> None:
        await self._ask("generate", self._random.randint(2, 6), preset=self._preset())

    async def _wait_for_images(self) -> None:
        """Let a user wait for images while other users continue."""
        count = self._random.choice((1, 1, 3))
        waiting = {"wait": True, "timeout": {"minutes": 30}, "preset": self._preset()}
        self._others.create_task(self._ask("generate", count, **waiting))

    async def _regenerate(self) -> None:
        if not (told := self.told("finished")[-20:]):
            return
        job_id = self._random.choice(told)
        same_seed = self._random.choice((True, False))
        await self._ask("regenerate", job_id=job_id, preset=self._preset(), same_seed=same_seed)

    async def _ask(self, action: str, count: int = 1, **fields: object) -> None:
        """Request images with an action."""
        marker = self._marker()
        self.ledger.asked[marker] = count
        self.ledger.calls += 1
        data = {"count": count, "extra_positive": marker, "config_entry_id": self.entry_id}
        data |= {"tag": f"tag {self._random.randrange(5)}"} | fields
        if action == "generate" and self._random.choice((True, True, True, True, False)):
            data["seed"] = PICTURE_SEED
        answer = await self._try(
            self._home_assistant.call_action("gaze", action, data, return_response=True)
        )
        if answer is None:
            return
        self.ledger.promised |= {job["job_id"] for job in answer["jobs"]}
        if len(answer["jobs"]) != count:
            self.ledger.problems.append(f"{count} images asked for, answered {answer}")
        if fields.get("wait"):
            self.ledger.waited += 1
            early = {job["job_id"] for job in answer["jobs"]} - self.ended()
            if early or not answer["complete"]:
                self.ledger.problems.append(f"The wait for {marker} ended too early: {answer}")

    async def _press_a_preset(self) -> None:
        self.ledger.calls += 1
        self.ledger.unmarked += 1
        await self._press(f"{self._preset()}-generate")

    async def _run_a_recipe(self) -> None:
        await self._ask("generate", self._random.randint(1, 2), recipe=self._random.choice(RECIPES))

    async def _press_a_recipe(self) -> None:
        self.ledger.calls += 1
        self.ledger.unmarked += 1
        entity_id = self._random.choice(self._recipe_buttons)
        await self._try(
            self._home_assistant.call_action("button", "press", {"entity_id": entity_id})
        )

    async def _press_generate(self) -> None:
        """Set the controls and press their button."""
        marker = self._marker()
        name = self._random.choice(DEFAULT_PRESETS).name
        await self._act("select.select_option", "preset", option=name)
        await self._act("text.set_value", "extra_positive", value=marker)
        await self._act("number.set_value", "count", value=2)
        text = await self._home_assistant.state(self._entities["extra_positive"])
        if text is not None and text["state"] == marker:  # it cannot be set during a reload
            self.ledger.asked[marker] = 2
            self.ledger.calls += 1
            await self._press("generate")

    async def _press_generate_again(self) -> None:
        if not self.told("queued"):
            return
        self.ledger.calls += 1
        self.ledger.repeats += 1
        with self._explaining():  # the last image may be one of a guest
            await self._press("generate_again")

    async def _list(self) -> None:
        for action in ("list_images", "list_jobs", "list_presets"):
            data = {"config_entry_id": self.entry_id}
            call = self._home_assistant.call_action("gaze", action, data, return_response=True)
            await self._try(call)

    async def _browse(self) -> None:
        """Browse the media source and fetch the first thumbnails."""
        folder: Json | None = None
        for place in ("", f"/{self.entry_id}", f"/{self.entry_id}/images/all"):
            media_id = f"media-source://gaze{place}"
            command = {"type": "media_source/browse_media", "media_content_id": media_id}
            folder = await self._try(self._home_assistant.websocket(command))
        for image in [] if folder is None else folder["children"][:6]:
            await self._look_at(image["thumbnail"])

    async def _look_at_the_newest(self) -> None:
        entity_id = self._entities["latest_image"]
        state = await self._home_assistant.state(entity_id)
        if state is not None and state["state"] not in {"unknown", "unavailable"}:
            await self._look_at(state["attributes"]["entity_picture"])

    async def _look_at(self, url: str) -> None:
        if await self._try(self._home_assistant.fetch(url)) is not None:
            self.ledger.looked += 1

    # Chores

    def _next_chore(self) -> Callable[[], Awaitable[None]]:
        if not self._chores:
            self._chores = [
                self._reload,
                self._change_options,
                self._have_a_guest,
                self._have_a_guest,
                self._use_the_web_ui,
            ]
            self._random.shuffle(self._chores)
        return self._chores.pop()

    async def _reload(self) -> None:
        self.ledger.chores["reloaded"] += 1
        with self._reloading():
            await self._try(self._home_assistant.reload(self.entry_id))
            await self._settle()

    async def _change_options(self) -> None:
        self.ledger.chores["options changed"] += 1
        options = {
            "save_images": True,
            "strip_metadata": False,
            "keep_images": DEFAULT_KEEP_IMAGES,
            "max_open_jobs": 100 + self.ledger.chores["options changed"],
            "give_up_after": 12,
        }
        with self._reloading():
            await self._try(self._home_assistant.options(self.entry_id, options))
            await self._settle()

    async def _settle(self) -> None:
        """Wait until the entry has been reloaded, which starts after a delay."""

        async def is_loaded() -> bool:
            entries = await self._home_assistant.entries("gaze")
            states = {entry["entry_id"]: entry["state"] for entry in entries}
            return bool(states[self.entry_id] == "loaded")

        await asyncio.sleep(0.5)
        await wait_until(is_loaded, what="The reload", seconds=150)

    async def _have_a_guest(self) -> None:
        """Add a preset, use it, and remove it."""
        self.ledger.chores["preset came and went"] += 1
        preset = DemoPreset(f"guest_{self.ledger.chores['preset came and went'] % 3}", "Guest")
        with self._explaining(), suppress(aiohttp.ClientError):
            await self.server.steer("put_preset", preset_id=preset.preset_id, name=preset.name)
            await self._press("refresh_presets")
            await self._ask("generate", preset=preset.slug)
            await self.server.steer("remove_preset", slug=preset.slug)
            await self._press("refresh_presets")

    async def _use_the_web_ui(self) -> None:
        self.ledger.chores["jobs of the web UI"] += 1
        with suppress(aiohttp.ClientError):
            await self.server.steer("add_foreign_jobs", count=3, duration=1)

    # Faults

    def _next_trouble(self, *, lasting: bool) -> Trouble:
        """Return the next fault, including long ones if `lasting` is set."""
        if not self._troubles:
            self._troubles = list(TROUBLES)
            self._random.shuffle(self._troubles)
        trouble = self._troubles.pop()
        if trouble.name == "image deleted" and not lasting:
            return self._next_trouble(lasting=lasting)
        return trouble

    async def _suffer(self, trouble: Trouble) -> None:
        """Start a fault and wait until it has ended."""
        self.ledger.troubles[trouble.name] += 1
        with self._explaining():
            for fault in trouble.faults:
                await self.server.set_fault(fault)
            match trouble:
                case Trouble(name="key regenerated"):
                    with self._reloading():
                        await self._give_new_key()
                case Trouble(name="image deleted"):
                    await self._delete_an_image()
                case Trouble(method="go_off"):
                    await self.server.steer("go_off", seconds=trouble.seconds)
                    await asyncio.sleep(trouble.seconds + 0.5)
                case Trouble(method=str() as method):
                    await self.server.steer(method)
                case _:
                    await asyncio.sleep(trouble.seconds)
                    await self.server.steer("clear_faults")

    async def _give_new_key(self) -> None:
        """Replace the key on the server, and enter it when Home Assistant requests it."""
        self._keys += 1
        key = f"{API_KEY}-{self._keys}"
        await self.server.steer("regenerate_key", new_key=key)

        async def is_known() -> bool:
            await self._press("refresh_presets")
            step = await self._home_assistant.reauthenticate(self.entry_id, {"api_key": key})
            return step is not None and step.get("reason") == "reauth_successful"

        await wait_until(is_known, what="The question for the new key", seconds=100)
        await self._settle()

    async def _delete_an_image(self) -> None:
        """Delete an image on the server before Home Assistant has fetched it."""
        open_jobs = set(self.told("queued")) - self.ended()
        for job in await self.server.jobs():
            if job["job_id"] in open_jobs and job["known"] and job["image_url"]:
                self.ledger.deleted.add(job["job_id"])
                await self.server.steer("delete_image", job_id=job["job_id"])
                return

    # Helpers

    def _marker(self) -> str:
        """Return a text that identifies a request in the record of the server."""
        self._markers += 1
        return f"soak {self._markers}"

    def _preset(self) -> str:
        return self._random.choice(DEFAULT_PRESETS).slug

    async def _press(self, key: str) -> None:
        await self._act("button.press", key)

    async def _act(self, action: str, key: str, **fields: object) -> None:
        """Perform an action of an entity."""
        domain, _, name = action.partition(".")
        data = {"entity_id": self._entities[key], **fields}
        await self._try(self._home_assistant.call_action(domain, name, data))

    async def _try[T](self, doing: Awaitable[T]) -> T | None:
        """Return the result, or None if the call failed because of a fault."""
        began = time.time()
        try:
            return await doing
        except DemoError as err:
            self.ledger.refused[re.sub(r"^.*? answered ", "", str(err))] += 1
            if began > self._troubled_until:
                self.ledger.problems.append(f"Without any trouble: {err}")
            await asyncio.sleep(0.3)
            return None

    @contextmanager
    def _reloading(self) -> Generator[None]:
        """Allow calls, screens, and cards to fail while this block runs."""
        self._reloads += 1
        try:
            with self._explaining():
                yield
        finally:
            self._reloads -= 1
            self._reloaded_at = time.time()

    @contextmanager
    def _explaining(self) -> Generator[None]:
        """Allow calls to fail while this block runs."""
        self._reasons += 1
        self._troubled_until = math.inf
        try:
            yield
        finally:
            self._reasons -= 1
            if not self._reasons:
                self._troubled_until = time.time()
