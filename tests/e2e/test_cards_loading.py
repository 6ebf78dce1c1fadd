"""Tests of how the cards load: again and again, beside a resource, after upgrades, in safe mode."""

from pathlib import Path
import re
import shutil

from playwright.async_api import Page, expect
import pytest

from testing.home_assistant import CHECKOUT, DASHBOARD as YAML_DASHBOARD, HomeAssistant

from .browser import LOADING
from .common import CARDS, DASHBOARD, TALL, add_dashboard, generate
from .conftest import House, Visit

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),  # on a machine that may be busy
    pytest.mark.usefixtures("socket_enabled"),
]
LOADS = 3
# What a page reports while Home Assistant restarts
OUTAGE = r"WebSocket|ERR_|Failed to fetch|Lost connection|Request: 50"
LOADER = "/api/gaze/cards.js"
VERSION = "window.gazeVersion"


async def expect_cards(page: Page) -> None:
    """Wait until both cards are shown."""
    await expect(page.locator("gaze-generate form")).to_be_visible(timeout=LOADING)
    await expect(page.locator("gaze-gallery .tile img").first).to_be_visible(timeout=LOADING)
    await expect(page.locator("hui-error-card")).to_have_count(0)


async def install(home_assistant: HomeAssistant, version: int, folder: Path) -> None:
    """Restart with another version of the integration, whose cards differ."""
    await home_assistant.stop()
    copy = folder / f"version-{version}"
    shutil.copytree(
        CHECKOUT / "custom_components" / "gaze",
        copy,
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    with (copy / "frontend" / "cards.js").open("a") as module:
        module.write(f"\n{VERSION} = {version};\n")
    link = home_assistant.folder / "custom_components" / "gaze"
    link.unlink()
    link.symlink_to(copy)
    await home_assistant.start()
    await home_assistant.onboard()


async def test_cards_load_every_time_and_are_current_after_an_upgrade(
    house: House, visit: Visit, tmp_path: Path
) -> None:
    home_assistant = house.home_assistant
    await generate(home_assistant, "neon_city")
    home_assistant.write_dashboard()
    await add_dashboard(home_assistant, {"views": [{"cards": CARDS}]})
    visitor = await visit(*TALL)
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
    await page.wait_for_function("navigator.serviceWorker.controller")

    visitor.expected.append(OUTAGE)
    await install(home_assistant, 2, tmp_path)
    await expect_open_page_works(page, home_assistant)
    second = await page.context.new_page()
    await second.goto(f"{home_assistant.url}/{DASHBOARD}")
    await expect_cards(second)
    assert await second.evaluate(VERSION) == 2
    await second.close()

    await home_assistant.stop()
    (home_assistant.folder / "safe-mode").touch()
    await home_assistant.start()
    await home_assistant.onboard()
    third = await page.context.new_page()
    errors: list[str] = []
    third.on("pageerror", lambda error: errors.append(str(error)))
    await third.goto(f"{home_assistant.url}/{DASHBOARD}")
    await expect(third.locator("hui-error-card").first).to_be_visible(timeout=LOADING)
    assert await third.locator("gaze-generate, gaze-gallery").count() == 0
    assert [error for error in errors if re.search("gaze", error)] == []


async def expect_open_page_works(page: Page, home_assistant: HomeAssistant) -> None:
    """Check that a page of the old version goes on, and loads what it did not need before."""
    gallery = page.locator("gaze-gallery")
    await expect(gallery.get_by_text("Reconnecting")).to_have_count(0)
    assert await page.evaluate(VERSION) is None
    await generate(home_assistant, "neon_city")
    await expect(gallery.locator(".tile img")).to_have_count(2)
    await gallery.locator(".tile").first.click()
    await expect(page.locator("gaze-viewer .stage img")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.locator("gaze-viewer dialog[open]")).to_have_count(0)
