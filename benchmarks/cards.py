"""Measures the dashboard cards in Chromium: loads, first images, bytes, renders, and memory.

Each part runs a real Home Assistant and renews its section of the report. `--part` selects one of
them. The part `fill` saves the images into a folder, so that the others can start from it with
`--home`.
"""

import argparse
import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
import json
from pathlib import Path
import re
from statistics import median
import sys
import tempfile
from typing import Any, Final

from playwright.async_api import Browser, BrowserContext, CDPSession, Page, expect

from testing.chromium import (
    DASHBOARD,
    LOADING,
    count_image_bytes,
    count_renders,
    open_browser,
    open_page,
    save_dashboard,
)
from testing.gaze_server import GazeServer
from testing.home_assistant import CHECKOUT, HomeAssistant, free_port
from testing.steps import connect

from .support.report import Figure, listed, machine

RESULTS: Final = Path(__file__).parent / "results" / "cards.md"
VERSIONS: Final = (CHECKOUT / ".venv" / "bin" / "hass", CHECKOUT / ".venv-next" / "bin" / "hass")
IMAGES: Final = 500
FEW: Final = 40
MANY: Final = {None, "fill", "memory"}  # the arguments of `--part` that need all images
BATCH: Final = 20
SHOWN: Final = 24
ROUNDS: Final = 9
LOADS: Final = {1: 20, 4: 6}  # cold and warm ones each, by how much slower the CPU is
CHANGES: Final = 50
TALL: Final = (1280, 1600)
CARDS: Final = {
    "views": [
        {
            "cards": [
                {"type": "custom:gaze-gallery-card"},
                {"type": "custom:gaze-generate-card", "result": False},
            ]
        }
    ]
}
# Notes when the gallery gets its first `hass`, and when its images are shown.
WATCH: Final = """
window.gazeTimes = {};
window.gazeUrls = { live: 0, most: 0 };
const create = URL.createObjectURL, revoke = URL.revokeObjectURL;
URL.createObjectURL = (blob) => {
  gazeUrls.live += 1;
  gazeUrls.most = Math.max(gazeUrls.most, gazeUrls.live);
  return create.call(URL, blob);
};
URL.revokeObjectURL = (url) => {
  if (url) gazeUrls.live -= 1;
  revoke.call(URL, url);
};
customElements.whenDefined("home-assistant").then(async () => {
  await customElements.whenDefined("gaze-gallery-card");
  const { prototype } = customElements.get("gaze-gallery-card");
  const { set } = Object.getOwnPropertyDescriptor(prototype, "hass");
  Object.defineProperty(prototype, "hass", {
    configurable: true,
    set(hass) {
      if (!gazeTimes.hass) {
        gazeTimes.hass = performance.now();
        window.gazeCard = this;
        requestAnimationFrame(look);
      }
      set.call(this, hass);
    },
  });
});
function look() {
  const inner = gazeCard.querySelector("gaze-gallery");
  const count = inner ? inner.shadowRoot.querySelectorAll("gaze-image img").length : 0;
  if (count && !gazeTimes.first) gazeTimes.first = performance.now();
  if (count >= SHOWN) gazeTimes.all = performance.now();
  else requestAnimationFrame(look);
}
""".replace("SHOWN", str(SHOWN))

type Part = Callable[[Browser, Path], Awaitable[list[Figure]]]


@asynccontextmanager
async def home(folder: Path, hass: Path) -> AsyncGenerator[HomeAssistant]:
    """Run a Home Assistant with what a folder has saved, and with a dashboard of both cards."""
    async with HomeAssistant(folder, port=free_port(), hass=hass) as home_assistant:
        await home_assistant.onboard()
        await save_dashboard(home_assistant, CARDS)
        yield home_assistant


async def fill(folder: Path, count: int) -> None:
    """Save images. GAZE needs its time for each, so only the part `memory` has many."""
    async with (
        GazeServer(duration=0.01, seed=1, size=(192, 288)) as server,
        HomeAssistant(folder, port=free_port(), hass=VERSIONS[0]) as home_assistant,
    ):
        await home_assistant.onboard()
        await connect(home_assistant, server.url, server.api_key)
        presets = list(server.presets)
        for number in range(count // BATCH):
            preset = presets[number % len(presets)]
            data = {"preset": preset, "count": BATCH, "wait": True, "timeout": 300}
            await home_assistant.call_action("gaze", "generate", data, return_response=True)


async def throttle(page: Page, rate: int) -> CDPSession:
    """Slow the CPU of a page down."""
    session = await page.context.new_cdp_session(page)
    await session.send("Emulation.setCPUThrottlingRate", {"rate": rate})
    return session


async def visit(context: BrowserContext, home_assistant: HomeAssistant, rate: int) -> Page:
    """Open the dashboard in a new tab, and wait for both cards."""
    page = await context.new_page()
    page.set_default_timeout(LOADING)
    await throttle(page, rate)
    await page.goto(f"{home_assistant.url}/{DASHBOARD}")
    await expect(page.locator("gaze-generate form")).to_be_visible(timeout=LOADING)
    await page.wait_for_function("window.gazeTimes && gazeTimes.all")
    return page


async def new_context(browser: Browser, home_assistant: HomeAssistant) -> BrowserContext:
    """Return a browser profile that has cached nothing."""
    page = await open_page(browser, home_assistant, TALL)
    await page.context.add_init_script(WATCH)
    tokens = json.dumps(json.dumps(home_assistant.browser_tokens))
    await page.context.add_init_script(f"localStorage.hassTokens = {tokens}")
    await page.close()
    return page.context


async def measure_loads(hass: Path, browser: Browser, folder: Path) -> list[Figure]:
    """Count the loads without both cards, cold and warm, with and without throttling."""
    figures = []
    async with home(folder, hass) as home_assistant:
        for rate, rounds in LOADS.items():
            lost = 0
            for _ in range(rounds):
                context = await new_context(browser, home_assistant)
                for _ in ("cold", "warm"):
                    try:
                        await (await visit(context, home_assistant, rate)).close()
                    except TimeoutError, AssertionError:
                        lost += 1
                await context.close()
            name = f"Loads without cards of {2 * rounds}, {hass.parts[-3]}, CPU {rate} times slower"
            figures.append(Figure(name=name, value=lost, limit=0, digits=0))
    return figures


async def measure_speed(browser: Browser, folder: Path) -> list[Figure]:
    """Measure the time to the first and to all images, and the bytes of a second visit."""
    figures = []
    async with home(folder, VERSIONS[-1]) as home_assistant:
        # The first load after a start reads files that are in memory later.
        context = await new_context(browser, home_assistant)
        page = await visit(context, home_assistant, 1)
        await page.close()
        page = await visit(context, home_assistant, 1)
        size = await count_image_bytes(page)
        await context.close()
        for rate, limits in ((1, (250, 450)), (4, (900, 1300))):
            firsts, alls = [], []
            for _ in range(ROUNDS):
                context = await new_context(browser, home_assistant)
                page = await visit(context, home_assistant, rate)
                times = await page.evaluate("gazeTimes")
                firsts.append(times["first"] - times["hass"])
                alls.append(times["all"] - times["hass"])
                await context.close()
            name = "" if rate == 1 else f", CPU {rate} times slower"
            for what, values, limit in zip(
                ("First", "All 24"), (firsts, alls), limits, strict=True
            ):
                figures.append(
                    Figure(
                        name=f"{what} thumbnails after the first hass{name} (ms, median)",
                        value=median(values),
                        limit=limit,
                        digits=0,
                    )
                )
    figures.append(
        Figure(name="Bytes of images on the second visit", value=size, limit=0, digits=0)
    )
    return figures


async def measure_idle(browser: Browser, folder: Path) -> list[Figure]:
    """Count renders for other entities, and measure what runs on a page without cards."""
    async with home(folder, VERSIONS[-1]) as home_assistant:
        context = await new_context(browser, home_assistant)
        page = await visit(context, home_assistant, 1)
        renders = await count_renders(page, home_assistant, CHANGES)
        await page.close()

        page = await context.new_page()
        await browser.start_tracing(page=page, categories=["devtools.timeline", "v8"])
        await page.goto(f"{home_assistant.url}/profile")
        await expect(page.locator("ha-panel-profile")).to_be_visible(timeout=LOADING)
        trace = json.loads(await browser.stop_tracing())
        await context.close()
    return [
        Figure(
            name=f"Renders for {CHANGES} changes of another entity",
            value=renders,
            limit=0,
            digits=0,
        ),
        Figure(name="Run on a page without cards (ms)", value=executed(trace), limit=5),
    ]


def executed(trace: dict[str, Any]) -> float:
    """Return the milliseconds in which a trace ran the modules of the cards."""
    names = {
        "EvaluateScript",
        "v8.compileModule",
        "v8.evaluateModule",
        "FunctionCall",
        "v8.compile",
    }
    return float(
        sum(
            event.get("dur", 0) / 1000
            for event in trace["traceEvents"]
            if event["name"] in names and "gaze" in json.dumps(event.get("args", {}))
        )
    )


async def measure_memory(browser: Browser, folder: Path) -> list[Figure]:
    """Scroll through all images; count their addresses, and measure the heap."""
    async with home(folder, VERSIONS[-1]) as home_assistant:
        context = await new_context(browser, home_assistant)
        page = await visit(context, home_assistant, 1)
        session = await throttle(page, 1)
        before = await heap(session)
        tiles = page.locator("gaze-gallery .tile")
        more = page.get_by_role("button", name="Show more")
        while (count := await tiles.count()) < IMAGES:
            await more.click()
            await expect(tiles).not_to_have_count(count)
            await page.mouse.wheel(0, 4000)
        for at in range(0, IMAGES, SHOWN):
            await tiles.nth(at).scroll_into_view_if_needed()
            await expect(tiles.nth(at).locator("img")).to_be_visible()
        shown = await page.locator("gaze-gallery .tile img").count()
        urls = await page.evaluate("gazeUrls.most")
        after = await heap(session)
        await context.close()
    return [
        Figure(name="Most blob URLs at a time", value=urls, limit=60, digits=0),
        Figure(name="Images in memory at the end", value=shown, digits=0),
        Figure(name=f"Heap after {IMAGES} images (MB more)", value=after - before, limit=30),
    ]


async def heap(session: CDPSession) -> float:
    """Return the used heap in megabytes."""
    await session.send("HeapProfiler.collectGarbage")
    usage = await session.send("Runtime.getHeapUsage")
    return float(usage["usedSize"]) / 1e6


PARTS: Final[dict[str, Part]] = {
    "loads": partial(measure_loads, VERSIONS[0]),
    "loads-next": partial(measure_loads, VERSIONS[1]),
    "speed": measure_speed,
    "idle": measure_idle,
    "memory": measure_memory,
}


async def measure(parts: Sequence[str], folder: Path) -> bool:
    """Measure parts and write their sections; return whether all limits are met."""
    met = True
    async with open_browser() as browser:
        for part in parts:
            figures = await PARTS[part](browser, folder)
            met = met and all(figure.met for figure in figures)
            print(listed(figures), end="\n\n", flush=True)
            write_section(part, listed(figures))
    return met


def write_section(part: str, table: str) -> None:
    """Replace the section of a part in the report."""
    before = RESULTS.read_text() if RESULTS.exists() else ""
    sections = {name: re.search(rf"^## {name}\n\n([^#]*)", before, re.MULTILINE) for name in PARTS}
    tables = {name: found[1].strip() for name, found in sections.items() if found} | {part: table}
    text = [f"## {name}\n\n{tables[name]}\n" for name in PARTS if name in tables]
    RESULTS.write_text("\n".join([f"# Dashboard cards\n\n{machine()}\n", *text]))


async def run(options: argparse.Namespace) -> bool:
    """Run the parts of the command line."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.home or Path(temporary)
        if options.part == "fill" or not options.home:
            await fill(folder, IMAGES if options.part in MANY else FEW)
        if options.part == "fill":
            return True
        return await measure([options.part] if options.part else list(PARTS), folder)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 1 if a limit is not met."""
    parser = argparse.ArgumentParser(prog="scripts/bench cards", description=__doc__)
    parser.add_argument("--part", choices=["fill", *PARTS], help="the only part to run")
    parser.add_argument("--home", type=Path, help="a folder that `--part fill` has filled")
    return 0 if asyncio.run(run(parser.parse_args(arguments))) else 1


if __name__ == "__main__":
    sys.exit(main())
