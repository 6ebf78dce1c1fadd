"""Tests of the cards with several servers, and for users who may only read."""

from collections.abc import AsyncGenerator
from pathlib import Path
import secrets

from playwright.async_api import Locator, Page, expect
import pytest

from testing.chromium import open_browser
from testing.gaze_server import DemoPreset, GazeServer

from .browser import ENGLISH, Visitor
from .common import CARDS, DASHBOARD, TALL, add_dashboard, add_user, generate
from .conftest import House, Visit, new_page

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),  # on a machine that may be busy
    pytest.mark.usefixtures("socket_enabled"),
]
ATTIC = DemoPreset("attic", "Attic")
# Returns the suggested gallery of each image entity.
SUGGESTIONS = """() => {
  const { hass } = document.querySelector("home-assistant");
  const card = window.customCards.find(({ type }) => type === "gaze-gallery-card");
  const images = Object.keys(hass.entities).filter((id) => /^image\\./.test(id));
  return images.map((id) => card.getEntitySuggestion(hass, id).config);
}"""
NOT_ALLOWED = ENGLISH.at("config_panel", "cards", "not_allowed")


@pytest.fixture
async def attic(socket_enabled: None) -> AsyncGenerator[GazeServer]:
    """Return another GAZE server."""
    async with GazeServer(
        [ATTIC], api_key=secrets.token_hex(16), duration=0.5, size=(192, 288)
    ) as server:
        yield server


async def test_cards_serve_several_servers_and_users_who_may_only_read(
    house: House, visit: Visit, attic: GazeServer, screenshots: Path
) -> None:
    home_assistant = house.home_assistant
    login = {"host": attic.url, "api_key": attic.api_key}
    entry = (await home_assistant.flow("gaze", login))["result"]
    await generate(home_assistant, "neon_city")
    await generate(home_assistant, ATTIC.slug)
    only_attic = {"type": "custom:gaze-gallery-card", "server": entry["entry_id"]}
    await add_dashboard(home_assistant, {"views": [{"cards": [*CARDS, only_attic]}]})

    visitor = await visit(*TALL)
    await visitor.open(f"/{DASHBOARD}")
    await generate_on_second_server(visitor, entry["title"])
    assert (len(house.server.jobs), len(attic.jobs)) == (1, 2)
    suggestions = await visitor.page.evaluate(SUGGESTIONS)
    assert {**only_attic, "preset": ATTIC.slug} in suggestions
    assert all(config["server"] for config in suggestions)

    async with open_browser() as browser:
        tokens = await add_user(home_assistant, "system-read-only")
        page = await new_page(browser, tokens, *TALL)
        reader = Visitor(page, home_assistant.url, screenshots)
        house.expected.append("Unauthorized")
        await reader.open(f"/{DASHBOARD}")
        await expect(gallery(page).locator(".tile img")).to_have_count(3)
        await generate(home_assistant, "neon_city")
        await expect(gallery(page).locator(".tile img")).to_have_count(4)
        await expect_user_may_only_read(reader)
        assert reader.unexpected_problems() == []
    assert (len(house.server.jobs), len(attic.jobs)) == (2, 2)
    page_of_images = await home_assistant.websocket({"type": "gaze/images"})
    assert [image["favorite"] for image in page_of_images["images"]] == [False] * 4
    assert "invalid authentication" not in home_assistant.all_logs


def gallery(page: Page, number: int = 0) -> Locator:
    """Return a gallery of the dashboard."""
    return page.locator("gaze-gallery").nth(number)


async def generate_on_second_server(visitor: Visitor, title: str) -> None:
    """Choose the second server and its preset; only the galleries that include it change."""
    page = visitor.page
    card = page.locator("gaze-generate")
    await expect(gallery(page).locator(".tile img")).to_have_count(2)
    await expect(gallery(page, 1).locator(".tile img")).to_have_count(1)
    await card.get_by_label("Server").select_option(label=title)
    await expect(card.get_by_label("Preset").locator("option")).to_have_text([ATTIC.name])
    await card.get_by_role("button", name="Generate", exact=True).click()
    await expect(gallery(page).locator(".tile img")).to_have_count(3)
    await expect(gallery(page, 1).locator(".tile img")).to_have_count(2)
    await expect(card.locator(".result img")).to_be_visible()
    await visitor.look("two-servers")


async def expect_user_may_only_read(reader: Visitor) -> None:
    """Try to generate and to mark an image: the cards explain why that fails."""
    page = reader.page
    card = page.locator("gaze-generate")
    await card.get_by_label("Prompt", exact=True).fill("A lighthouse")
    await card.get_by_role("button", name="Generate", exact=True).click()
    await expect(card.get_by_role("alert")).to_contain_text(NOT_ALLOWED)
    await expect(card.get_by_label("Prompt", exact=True)).to_have_value("A lighthouse")
    await gallery(page).locator(".tile").first.click()
    viewer = page.locator("gaze-viewer")
    await viewer.locator("button.favorite").click()
    await expect(viewer.get_by_role("alert")).to_have_text(NOT_ALLOWED)
    await reader.look("read-only")
