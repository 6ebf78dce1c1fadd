"""Takes the screenshots of the dashboard, and a strip of the states of the generate card.

`python -m demo.screenshots` writes the images of the documentation to `docs/images`. With
`--strip FOLDER` it writes the states of the card to a folder to look at.
"""

import argparse
import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
import tempfile
from typing import Any

from playwright.async_api import Browser, Page, expect

from testing.chromium import DASHBOARD, LOADING, open_browser, open_page, save_dashboard
from testing.gaze_server import DemoPreset, GazeServer
from testing.home_assistant import CHECKOUT, HomeAssistant, free_port, wait_until
from testing.steps import connect

IMAGES = CHECKOUT / "docs" / "images"
TABLET = (1280, 800)
PHONE = (390, 844)
PRESETS = (
    DemoPreset("watercolour_harbour", "Watercolor harbor"),
    DemoPreset("neon_city", "Neon city"),
    DemoPreset("oil_painting", "Oil painting"),
    DemoPreset("paper_forest", "Paper forest"),
)
PROMPTS = ("at dawn, soft light", "after the rain", "in autumn", "a quiet evening", "with birds")
STRATEGY = {"strategy": {"type": "custom:gaze"}}
GENERATE = "custom:gaze-generate-card"
expect.set_options(timeout=LOADING)


@asynccontextmanager
async def home_with_gaze(
    hass: Path | None = None, *, size: tuple[int, int] = (768, 960)
) -> AsyncGenerator[tuple[HomeAssistant, GazeServer]]:
    """Run a Home Assistant with a fake GAZE server whose jobs move when they are told to."""
    with tempfile.TemporaryDirectory() as folder:
        async with (
            GazeServer(PRESETS, duration=None, seed=4, size=size) as server,
            HomeAssistant(Path(folder), port=free_port(), hass=hass) as home_assistant,
        ):
            await home_assistant.onboard()
            await connect(home_assistant, server.url, server.api_key)
            yield home_assistant, server


async def saved(home_assistant: HomeAssistant) -> int:
    """Return how many images are saved."""
    page = await home_assistant.websocket({"type": "gaze/images", "limit": 1})
    return sum(preset["count"] for preset in page["presets"])


async def generate(
    home_assistant: HomeAssistant, server: GazeServer, preset: str, **fields: Any
) -> None:
    """Generate and save images of a preset."""
    before = await saved(home_assistant)
    await home_assistant.call_action("gaze", "generate", {"preset": preset, **fields})
    count = fields.get("count", 1)
    for _ in range(count):
        await server.finish()

    async def arrived() -> bool:
        return bool(await saved(home_assistant) >= before + count)

    await wait_until(arrived, what="Saving images", seconds=120)


async def fill(home_assistant: HomeAssistant, server: GazeServer, count: int) -> None:
    """Generate images of all presets."""
    for number in range(count):
        preset = PRESETS[number % len(PRESETS)].slug
        prompt = PROMPTS[number % len(PROMPTS)]
        await generate(home_assistant, server, preset, extra_positive=prompt)


async def loaded(page: Page) -> None:
    """Wait until all images in view are shown."""
    await expect(page.locator("gaze-generate form")).to_be_visible()
    await page.wait_for_function(
        """() => {
          const found = [];
          const walk = (node) => {
            if (node.localName === "gaze-image") found.push([node, "img"]);
            if (node.localName === "ha-icon") found.push([node, "ha-svg-icon"]);
            if (node.shadowRoot) walk(node.shadowRoot);
            node.childNodes.forEach(walk);
          };
          walk(document.body);
          const inView = found.filter(([one]) => one.getBoundingClientRect().top < innerHeight);
          return inView.length
            && inView.every(([one, part]) => (one.shadowRoot || one).querySelector(part));
        }"""
    )


async def photograph_dashboard(
    browser: Browser, home_assistant: HomeAssistant, folder: Path
) -> None:
    """Take the dashboard on a tablet and a phone, light and dark."""
    for device, size in (("tablet", TABLET), ("phone", PHONE)):
        for theme in ("light", "dark"):
            page = await open_page(browser, home_assistant, size, color_scheme=theme)
            await page.goto(f"{home_assistant.url}/{DASHBOARD}")
            await loaded(page)
            suffix = "-dark" if theme == "dark" else ""
            await page.screenshot(
                path=folder / f"dashboard-{device}{suffix}.png", animations="disabled"
            )
            await page.context.close()


async def photograph_states(browser: Browser, folder: Path, hass: Path | None) -> None:
    """Take the generate card: empty, waiting, generating, finished, failed, rejected, off."""
    async with home_with_gaze(hass) as (home_assistant, server):
        card = {"type": GENERATE, "grid_options": {"columns": "full"}}
        view = {
            "type": "sections",
            "max_columns": 1,
            "sections": [{"type": "grid", "cards": [card]}],
        }
        await save_dashboard(home_assistant, {"views": [view]})
        page = await open_page(browser, home_assistant, (820, 1100))
        await page.goto(f"{home_assistant.url}/{DASHBOARD}")
        shown = page.locator("gaze-generate")

        async def look(name: str) -> None:
            await page.screenshot(path=folder / f"{name}.png", animations="disabled")

        await expect(shown.get_by_text("No images yet")).to_be_visible()
        await look("1-empty")
        # Two images teach how long one takes.
        for _ in range(2):
            await generate(home_assistant, server, "neon_city")
        await expect(shown.locator("img")).to_be_visible()
        await home_assistant.call_action("gaze", "generate", {"preset": "paper_forest", "count": 2})
        server.begin()
        await shown.get_by_label("Prompt", exact=True).fill("A lighthouse in a storm")
        await shown.locator("#count").fill("3")
        await shown.get_by_role("button", name="Generate", exact=True).click()
        await expect(shown.get_by_text("Waiting for")).to_be_visible()
        await shown.get_by_text("Queue (").click()
        await look("2-waiting")
        for _ in range(2):
            await server.finish()
        server.begin()
        await expect(shown.get_by_text("Generating 1 of 3")).to_be_visible()
        await look("3-generating")
        for _ in range(3):
            await server.finish()
        await expect(shown.locator(".strip img")).to_have_count(3)
        await loaded(page)
        await look("4-finished")
        await shown.get_by_role("button", name="Generate", exact=True).click()
        await expect(shown.locator("gaze-progress p")).to_be_visible()
        server.fail()
        await expect(shown.locator("[role=alert]")).to_be_visible()
        await look("5-failed")
        await shown.get_by_text("More options").click()
        await shown.locator("#width").fill("100")
        await shown.get_by_role("button", name="Generate", exact=True).click()
        await expect(shown.locator("#problem")).to_be_visible()
        await look("6-rejected")
        await shown.locator("#width").fill("")
        server.set_online(False)
        await shown.get_by_role("button", name="Generate", exact=True).click()
        await expect(shown.get_by_role("alert")).to_be_visible()
        await look("7-off")


async def run(options: argparse.Namespace) -> None:
    """Take what the command line asks for."""
    async with open_browser() as browser:
        if options.strip:
            options.strip.mkdir(parents=True, exist_ok=True)
            await photograph_states(browser, options.strip, options.hass)
            return
        async with home_with_gaze(options.hass) as (home_assistant, server):
            await fill(home_assistant, server, 16)
            await save_dashboard(home_assistant, STRATEGY)
            await photograph_dashboard(browser, home_assistant, options.folder)


def main() -> None:
    """Take screenshots with the arguments of the command line."""
    parser = argparse.ArgumentParser(prog="scripts/screenshots", description=__doc__)
    parser.add_argument("--strip", type=Path, metavar="FOLDER", help="take the states of the card")
    parser.add_argument("--folder", type=Path, default=IMAGES, help="where the dashboard goes")
    parser.add_argument("--hass", type=Path, metavar="PATH", help="the hass of another version")
    options = parser.parse_args()
    if options.hass:
        # Home Assistant runs in a folder of its own.
        options.hass = options.hass.absolute()
    asyncio.run(run(options))


if __name__ == "__main__":
    main()
