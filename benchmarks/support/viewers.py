"""Simulates what shows images in a household: screens that fetch displays, and cards."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus
from io import BytesIO
from itertools import pairwise
from typing import Final

import aiohttp
from PIL import Image as Pillow

from testing.home_assistant import AnswerError, DemoError, HomeAssistant, Json

# Seconds between two fetches of a screen. All screens have one address, and are limited together.
FETCH_EACH: Final = 2.0
# At most so many messages to a card in any second, and one when it subscribes
MESSAGES: Final = 5
SECOND: Final = timedelta(seconds=1)

type Allows = Callable[[], bool]


@dataclass(kw_only=True, slots=True)
class Screen:
    """A screen that fetches a display without a login.

    may_fail: returns whether a fetch can fail now, because the server is being reloaded.
    """

    home_assistant: HomeAssistant
    name: str
    path: str
    size: tuple[int, int]
    may_fail: Allows
    fetches: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    _etag: str = ""

    async def live(self) -> None:
        """Fetch the display again and again."""
        async with aiohttp.ClientSession(base_url=self.home_assistant.url) as session:
            while True:
                allowed = self.may_fail()
                try:
                    fetched = await self._fetch(session)
                except aiohttp.ClientError as err:
                    fetched = repr(err)
                if fetched in {"shown", "not changed"}:
                    self.fetches[fetched] += 1
                elif allowed or self.may_fail():
                    self.fetches["failed during a reload"] += 1
                else:
                    self.problems.append(f"{self.name}: {fetched}")
                await asyncio.sleep(FETCH_EACH)

    async def _fetch(self, session: aiohttp.ClientSession) -> str:
        """Fetch the display unless it is unchanged. Returns what came out."""
        headers = {"If-None-Match": self._etag} if self._etag else {}
        async with session.get(self.path, headers=headers) as response:
            if response.status == HTTPStatus.NOT_MODIFIED:
                return "not changed"
            if response.status != HTTPStatus.OK:
                return f"HTTP {response.status}"
            content = await response.read()
            self._etag = response.headers["ETag"]
        return await asyncio.to_thread(self._validate, content)

    def _validate(self, content: bytes) -> str:
        """Decode an image. Returns what is wrong with it, if anything is."""
        try:
            with Pillow.open(BytesIO(content)) as image:
                image.load()
                return "shown" if image.size == self.size else f"an image of {image.size}"
        except OSError as err:
            return f"no image: {err}"


@dataclass(kw_only=True, slots=True)
class Card:
    """A card on a dashboard: subscribed all day, it lists the images when there is a new one."""

    home_assistant: HomeAssistant
    may_fail: Allows
    state: dict[str, Json] = field(default_factory=dict)  # the last message, by server
    listed: int = 0
    problems: list[str] = field(default_factory=list)
    _sent: list[datetime] = field(default_factory=list)

    @property
    def messages(self) -> int:
        """Return how many messages came."""
        return len(self._sent)

    async def live(self) -> None:
        """Show the state of all servers."""
        try:
            async with self.home_assistant.subscribe({"type": "gaze/subscribe"}) as messages:
                while True:
                    await self._show(await messages.get())
        except (aiohttp.ClientError, DemoError) as err:
            self.problems.append(f"A card lost its subscription: {err!r}")

    async def _show(self, message: Json) -> None:
        """Note a message, and list the images if there is another newest one."""
        self._sent.append(datetime.fromisoformat(message["now"]))
        before = self._newest()
        self.state = {server["entry_id"]: server for server in message["servers"]}
        if self._newest() != before:
            await self._list()

    def _newest(self) -> list[str | None]:
        """Return the newest image of each server."""
        return [server["images"]["newest"] for server in self.state.values()]

    async def _list(self) -> None:
        """List the newest images, and fetch the first thumbnail."""
        allowed = self.may_fail()
        command = {"type": "gaze/images", "limit": 24}
        try:
            page = await self.home_assistant.websocket(command)
            for image in page["images"][:1]:
                await self.home_assistant.fetch(f"{image['image_url']}?size=512")
        except (AnswerError, DemoError) as err:
            if not (allowed or self.may_fail()):
                self.problems.append(f"A card can't list images: {err}")
        else:
            self.listed += 1

    def find_bursts(self) -> list[str]:
        """Return where more messages came in a second than a phone should get."""
        bursts = zip(self._sent, self._sent[MESSAGES:], strict=False)
        found = [
            f"{MESSAGES + 1} messages at {first}" for first, last in bursts if last - first < SECOND
        ]
        backward = sum(later < earlier for earlier, later in pairwise(self._sent))
        return [*found, *([f"{backward} messages came out of order"] if backward else [])]
