"""Tests of how the cards load: repeatedly, beside a resource, after an upgrade, in safe mode."""

from pathlib import Path
import re
import shutil

from playwright.async_api import Page, expect
import pytest

from testing.chromium import open_browser
from testing.home_assistant import CHECKOUT, DASHBOARD as YAML_DASHBOARD, HomeAssistant

from .browser import LOADING, Visitor
from .common import CARDS, DASHBOARD, OUTAGE, TALL, add_dashboard, generate
from .conftest import House, another_page, new_page

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(400),  # on a machine that may be busy
    pytest.mark.usefixtures("socket_enabled"),
]
LOADS = 3
LOADER = "/api/gaze/cards.js"
VERSION = "window.gazeVersion"


async def expect_cards(page: Page) -> None:
    """Wait until both cards are shown."""
    await expect(page.locator("gaze-generate form")).to_be_visible(timeout=LOADING)
    await expect(page.locator("gaze-gallery .tile img").first).to_be_visible(timeout=LOADING)
    await expect(page.locator("hui-error-card")).to_have_count(0)


async def test_cards_load_every_time_and_are_current_after_upgrade(
    house: House, screenshots: Path, tmp_path: Path
) -> None:
    home_assistant = house.home_assistant
    await generate(home_assistant, "neon_city")
    home_assistant.write_dashboard()
    await add_dashboard(home_assistant, {"views": [{"cards": CARDS}]})
    # Home Assistant starts its service worker only on this host, or on encrypted pages.
    address = f"http://localhost:{home_assistant.port}"
    tokens = home_assistant.browser_tokens | {"hassUrl": address, "clientId": f"{address}/"}

    async with open_browser() as browser:
        first = await new_page(browser, tokens, *TALL)
        await start_service_worker(first, address)
        # The first page stays open: Chromium may never close a page that loads again.
        page = await another_page(first.context, tokens)
        visitor = Visitor(page, address, screenshots)
        visitor.expected.append(OUTAGE)
        await load_repeatedly(visitor, home_assistant)
        await upgrade(home_assistant, tmp_path / "new")
        await expect_open_page_works(page, home_assistant)
        await expect_new_cards(await another_page(page.context, tokens), address)
        # If the open page loads again, 2026.10 requests the module that safe mode leaves out.
        visitor.expected.append(f"404 .*{LOADER}")
        await restart_in_safe_mode(home_assistant)
        await expect_no_cards(await another_page(page.context, tokens), address)
        assert visitor.unexpected_problems() == []


async def start_service_worker(page: Page, address: str) -> None:
    """Wait until Home Assistant's service worker runs; the frontend reloads the page then."""
    await page.goto(f"{address}/{DASHBOARD}")
    await page.wait_for_function("navigator.serviceWorker.controller", timeout=4 * LOADING)


async def load_repeatedly(visitor: Visitor, home_assistant: HomeAssistant) -> None:
    """Load both cards again and again, on a dashboard from YAML, and beside a resource."""
    page = visitor.page
    for _ in range(LOADS):
        await visitor.open(f"/{DASHBOARD}")
        await expect_cards(page)
    await visitor.open(f"/{YAML_DASHBOARD}")
    await expect_cards(page)

    resource = {"type": "lovelace/resources/create", "res_type": "module", "url": LOADER}
    await home_assistant.websocket(resource)
    await visitor.open(f"/{DASHBOARD}")
    await expect_cards(page)
    assert await page.evaluate("customCards.filter(({type}) => /^gaze-/.test(type)).length") == 2


async def upgrade(home_assistant: HomeAssistant, copy: Path) -> None:
    """Restart Home Assistant with an integration whose cards differ."""
    await home_assistant.stop()
    shutil.copytree(
        CHECKOUT / "custom_components" / "gaze",
        copy,
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    with (copy / "frontend" / "cards.js").open("a") as module:
        module.write(f"\n{VERSION} = 2;\n")
    link = home_assistant.folder / "custom_components" / "gaze"
    link.unlink()
    link.symlink_to(copy)
    await home_assistant.start()
    await home_assistant.onboard()


async def expect_open_page_works(page: Page, home_assistant: HomeAssistant) -> None:
    """Check that a page with the old cards shows a new image, and loads the large view."""
    gallery = page.locator("gaze-gallery")
    await expect(gallery.get_by_text("Reconnecting")).to_have_count(0)
    await generate(home_assistant, "neon_city")
    await expect(gallery.locator(".tile img")).to_have_count(2)
    await gallery.locator(".tile").first.click()
    await expect(page.locator("gaze-viewer .stage img")).to_be_visible()
    assert await page.evaluate(VERSION) is None


async def expect_new_cards(page: Page, address: str) -> None:
    """Check that the first load after the upgrade runs the new cards."""
    await page.goto(f"{address}/{DASHBOARD}")
    await expect_cards(page)
    assert await page.evaluate("Boolean(navigator.serviceWorker.controller)")
    assert await page.evaluate(VERSION) == 2


async def restart_in_safe_mode(home_assistant: HomeAssistant) -> None:
    """Restart Home Assistant without the modules of custom integrations."""
    await home_assistant.stop()
    (home_assistant.folder / "safe-mode").touch()
    await home_assistant.start()
    await home_assistant.onboard()


async def expect_no_cards(page: Page, address: str) -> None:
    """Check that the page shows Home Assistant's error cards, without an error of the cards."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    await page.goto(f"{address}/{DASHBOARD}")
    await expect(page.locator("hui-error-card")).to_have_count(2, timeout=LOADING)
    assert await page.locator("gaze-generate, gaze-gallery").count() == 0
    assert [error for error in errors if re.search("gaze", error)] == []
