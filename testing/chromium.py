"""Opens pages of a Home Assistant in Chromium, as a user who is logged in."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from http import HTTPStatus
import json
from pathlib import Path
import re
from typing import Any, Final

from playwright.async_api import Browser, Page, Route, async_playwright

from .home_assistant import HomeAssistant

# The headless shell takes less CPU time than the whole browser.
_PROGRAMS: Final = (Path("/usr/bin/chromium-headless-shell"), Path("/usr/bin/chromium"))
CHROMIUM: Final = next(filter(Path.exists, _PROGRAMS), _PROGRAMS[-1])
# The browser requests nothing but what the page shows.
FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# The brand images of other integrations come from the internet.
BRANDS_OF_OTHERS: Final = re.compile(r"/api/brands/(?!integration/gaze/)")
# Milliseconds; the frontend's first load on a busy machine
LOADING: Final = 60_000
DASHBOARD: Final = "gaze-cards"
IMAGE_BYTES: Final = """performance.getEntriesByType("resource")
  .filter(({ name }) => name.includes("/api/gaze/image/"))
  .reduce((sum, { transferSize }) => sum + transferSize, 0)"""
# Counts what both cards render from now on.
COUNT_RENDERS: Final = """() => {
  window.gazeRenders = 0;
  const walk = (node) => {
    if (["gaze-gallery", "gaze-generate"].includes(node.localName)) {
      const { render } = node;
      node.render = function () {
        gazeRenders += 1;
        return render.call(this);
      };
    }
    if (node.shadowRoot) walk(node.shadowRoot);
    node.childNodes.forEach(walk);
  };
  walk(document.body);
}"""


@asynccontextmanager
async def open_browser() -> AsyncGenerator[Browser]:
    """Start Chromium."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        await browser.close()


async def open_page(
    browser: Browser,
    home_assistant: HomeAssistant,
    size: tuple[int, int] = (1280, 800),
    *,
    tokens: dict[str, Any] | None = None,
    **options: Any,
) -> Page:
    """Open a page in a browser profile of its own. Other options are those of the profile."""
    width, height = size
    context = await browser.new_context(viewport={"width": width, "height": height}, **options)
    page = await context.new_page()
    page.set_default_timeout(LOADING)
    await page.route(BRANDS_OF_OTHERS, _refuse)
    login = json.dumps(json.dumps(tokens or home_assistant.browser_tokens))
    await page.add_init_script(f"localStorage.hassTokens = {login}")
    return page


async def _refuse(route: Route) -> None:
    """Respond in place of Home Assistant, which would look for the image on the internet."""
    await route.fulfill(status=HTTPStatus.NOT_FOUND)


async def save_dashboard(
    home_assistant: HomeAssistant, config: dict[str, Any], path: str = DASHBOARD
) -> None:
    """Save a dashboard, which is added if there is none at this path."""
    known = await home_assistant.websocket({"type": "lovelace/dashboards/list"})
    if path not in {dashboard["url_path"] for dashboard in known}:
        create = {"type": "lovelace/dashboards/create", "url_path": path, "title": "GAZE"}
        await home_assistant.websocket(create)
    save = {"type": "lovelace/config/save", "url_path": path, "config": config}
    await home_assistant.websocket(save)


async def count_image_bytes(page: Page) -> int:
    """Return how many bytes of images this load of a page has received."""
    return int(await page.evaluate(IMAGE_BYTES))


async def count_renders(page: Page, home_assistant: HomeAssistant, changes: int) -> int:
    """Change another entity this often. Returns how often the cards on the page were rendered."""
    await page.evaluate(COUNT_RENDERS)
    for number in range(changes):
        await home_assistant.post("/api/states/sensor.other", {"state": str(number)})
    await page.wait_for_function(
        "document.querySelector('home-assistant').hass.states['sensor.other']?.state"
        f" === '{changes - 1}'"
    )
    return int(await page.evaluate("gazeRenders"))
