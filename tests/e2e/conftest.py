"""Fixtures: a real Home Assistant of each version, its GAZE server, and a browser.

`HASS=/path/to/another/version/bin/hass` runs the tests with that Home Assistant alone.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
import json
import os
from pathlib import Path
import re
import secrets
import shutil

from playwright.async_api import Browser, BrowserContext, Page
import pytest

from testing.chromium import CHROMIUM, open_browser
from testing.forked import ForkServer
from testing.gaze_server import GazeServer
from testing.home_assistant import (
    CHECKOUT,
    HomeAssistant,
    Json,
    ProgramFactory,
    complaints,
    free_port,
)
from testing.steps import connect

from .browser import LOADING, Visitor

SCREENSHOTS = CHECKOUT / ".screenshots"
# The first pattern that matches decides.
BRANDS = [
    {"urlPattern": "http://*:*/api/brands/integration/gaze/*", "block": False},
    {"urlPattern": "http://*:*/api/brands/*", "block": True},
]
WIDE = (1280, 900)
PHONE = (390, 844)

type OpenPage = Callable[..., Awaitable[Page]]
type Visit = Callable[..., Awaitable[Visitor]]


HASS = os.environ.get("HASS")
VERSIONS = [Path(HASS).absolute()] if HASS else [CHECKOUT / ".venv", CHECKOUT / ".venv-next"]
# Journeys take long. By default the newest version is enough for those whose steps the household,
# the cards, or the unit tests perform with the other version.
newest_version = pytest.mark.parametrize(
    "hass_program", VERSIONS[-1:], ids=lambda path: path.name, indirect=True
)


# These take longest. They begin first, so that none of them runs alone at the end.
LONGEST = ("test_household", "test_kill", "test_life", "test_browser_setup", "test_cards_states")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Move the tests that take longest to the front of the end-to-end tests."""

    def rank(item: pytest.Item) -> int:
        if item.get_closest_marker("e2e") is None:
            return -1
        return LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST)

    items.sort(key=rank)


@pytest.fixture(params=VERSIONS, ids=lambda path: path.name)
def hass_program(request: pytest.FixtureRequest) -> Path:
    """Return the `hass` program of a version."""
    path: Path = request.param
    program = path / "bin" / "hass" if path.is_dir() else path
    if not program.exists():
        pytest.skip(f"There is no {program}: scripts/setup --next makes it")
    return program


@pytest.fixture(scope="session")
def fork_servers() -> Generator[Callable[[Path], ForkServer]]:
    """Return a function that returns the fork server of a `hass` program."""
    with ExitStack() as servers:
        yield cache(lambda hass: servers.enter_context(ForkServer(hass)))


@pytest.fixture
def create_program(
    hass_program: Path, fork_servers: Callable[[Path], ForkServer]
) -> ProgramFactory:
    """Return a function that creates the program of a version, which imports modules only once.

    The test of the first image runs the `hass` program itself.
    """
    return fork_servers(hass_program).create_program


@dataclass(kw_only=True, slots=True)
class House:
    """A Home Assistant with the integration, and the GAZE server that it may use.

    `expected` are patterns of complaints in the log that the test has provoked.
    """

    home_assistant: HomeAssistant
    server: GazeServer
    expected: list[str] = field(default_factory=list)

    def unexpected_complaints(self) -> list[str]:
        """Return the problems of the integration in the logs of all starts."""
        log = self.home_assistant.all_logs
        found = [
            record
            for record in complaints(log)
            if not any(re.search(pattern, record) for pattern in self.expected)
        ]
        if self.server.api_key in log:
            found.append("The log holds the API key")
        return found


@pytest.fixture
async def gaze(socket_enabled: None) -> AsyncGenerator[GazeServer]:
    """Return a GAZE server whose images take a short time."""
    async with GazeServer(
        api_key=secrets.token_hex(16), duration=0.5, seed=1, size=(192, 288)
    ) as server:
        yield server


@asynccontextmanager
async def open_house(
    folder: Path, server: GazeServer, create_program: ProgramFactory, hass: Path | None = None
) -> AsyncGenerator[House]:
    """Start a Home Assistant without an entry. At the end its logs must have no problems."""
    async with HomeAssistant(
        folder, port=free_port(), hass=hass, create_program=create_program
    ) as home_assistant:
        await home_assistant.onboard()
        house = House(home_assistant=home_assistant, server=server)
        yield house
        await home_assistant.stop()
        assert house.unexpected_complaints() == []


@pytest.fixture
async def empty_house(
    tmp_path: Path, gaze: GazeServer, create_program: ProgramFactory, hass_program: Path
) -> AsyncGenerator[House]:
    """Return a Home Assistant without the GAZE server."""
    async with open_house(tmp_path / "home", gaze, create_program, hass_program) as house:
        yield house


@pytest.fixture
async def house(empty_house: House) -> House:
    """Return a Home Assistant with the GAZE server set up."""
    await connect(empty_house.home_assistant, empty_house.server.url, empty_house.server.api_key)
    return empty_house


@pytest.fixture
def screenshots(request: pytest.FixtureRequest) -> Path:
    """Return the folder for the screenshots of this test."""
    name = re.sub(r"\W+", "-", request.node.name).strip("-")
    folder = SCREENSHOTS / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
async def open_page(empty_house: House) -> AsyncGenerator[OpenPage]:
    """Return a function that opens a logged-in page: `open_page(width, height)`."""
    if not CHROMIUM.exists():
        pytest.skip(f"There is no {CHROMIUM}")
    tokens = empty_house.home_assistant.browser_tokens
    async with open_browser() as browser:

        async def open_page(width: int = WIDE[0], height: int = WIDE[1]) -> Page:
            return await new_page(browser, tokens, width, height)

        yield open_page


async def new_page(browser: Browser, tokens: Json, width: int, height: int) -> Page:
    """Open an empty page that is logged in with the tokens of a user.

    It shows no animations, because each of their images takes CPU time.
    """
    context = await browser.new_context(
        viewport={"width": width, "height": height}, reduced_motion="reduce"
    )
    return await another_page(context, tokens)


async def another_page(context: BrowserContext, tokens: Json) -> Page:
    """Open an empty page beside others of the same user."""
    page = await context.new_page()
    page.set_default_timeout(LOADING)
    await _block_brands_of_others(page)
    await page.add_init_script(f"localStorage.hassTokens = {json.dumps(json.dumps(tokens))}")
    return page


async def _block_brands_of_others(page: Page) -> None:
    """Block the images that Home Assistant would request from the internet.

    Playwright's routes would do that, too, but pages with routes load without a cache.
    """
    session = await page.context.new_cdp_session(page)
    await session.send("Network.enable")
    await session.send("Network.setBlockedURLs", {"urlPatterns": BRANDS})


@pytest.fixture
async def visit(
    empty_house: House, open_page: OpenPage, screenshots: Path
) -> AsyncGenerator[Visit]:
    """Return a function that opens a visitor: `visit(width, height)`. It must find no problems."""
    visitors: list[Visitor] = []

    async def visit(width: int = WIDE[0], height: int = WIDE[1]) -> Visitor:
        page = await open_page(width, height)
        visitors.append(Visitor(page, empty_house.home_assistant.url, screenshots))
        return visitors[-1]

    yield visit
    for number, visitor in enumerate(visitors):
        await visitor.page.screenshot(path=screenshots / f"end-{number}.png")
    assert [problem for visitor in visitors for problem in visitor.unexpected_problems()] == []
