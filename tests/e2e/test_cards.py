"""Tests of the cards in a real frontend."""

from typing import Any

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect
import pytest

from testing.home_assistant import HomeAssistant

from .browser import Visitor
from .conftest import House, Visit

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),  # on a machine that may be busy
    pytest.mark.usefixtures("socket_enabled"),
]

DASHBOARD = "gaze-cards"
# Nothing to scroll, so that new images appear at once
TALL = (1280, 1800)
# Rules about the landmarks of a page, which Home Assistant sets
PAGE_RULES = {"region"}


async def add_dashboard(home_assistant: HomeAssistant, config: dict[str, Any]) -> None:
    """Add a dashboard."""
    create = {"type": "lovelace/dashboards/create", "url_path": DASHBOARD, "title": "GAZE"}
    await home_assistant.websocket(create)
    save = {"type": "lovelace/config/save", "url_path": DASHBOARD, "config": config}
    await home_assistant.websocket(save)


async def expect_accessible(page: Page) -> None:
    """Check the elements of the integration with axe."""
    found = await Axe().run(page)
    ours = [
        (violation["id"], node["target"])
        for violation in found.response["violations"]
        for node in violation["nodes"]
        if "gaze-" in str(node["target"]) and violation["id"] not in PAGE_RULES
    ]
    assert ours == []


async def generate_by_keyboard(visitor: Visitor) -> None:
    """Type a prompt and generate, with an empty gallery before."""
    page = visitor.page
    await page.get_by_label("Prompt", exact=True).fill("<b>A lighthouse</b>")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator("gaze-gallery .tile img")).to_have_count(1)
    await expect(page.locator("gaze-generate .result img")).to_be_visible()
    assert await page.locator("gaze-gallery b, gaze-generate b").count() == 0


async def delete_in_large_view(visitor: Visitor) -> None:
    """Open the image by keyboard, check its details, and delete it at the second attempt."""
    page = visitor.page
    await page.locator("gaze-gallery .tile").focus()
    await page.keyboard.press("Enter")
    viewer = page.locator("gaze-viewer")
    await expect(viewer.locator(".stage img")).to_be_visible()
    await viewer.locator(".details").press("Enter")
    await expect(viewer.locator("dl")).to_contain_text("<b>A lighthouse</b>")
    await expect_accessible(page)
    await visitor.look("large-view")

    await viewer.locator("button.delete").press("Enter")
    await expect(viewer.locator("button.no")).to_be_focused()
    await page.keyboard.press("Enter")
    await viewer.locator("button.delete").press("Enter")
    await viewer.locator("button.danger").press("Enter")

    await expect(viewer.locator("dialog[open]")).to_have_count(0)
    await expect(page.locator("gaze-gallery .tile")).to_have_count(0)


async def test_journey_from_prompt_to_deletion_needs_only_the_keyboard(
    house: House, visit: Visit
) -> None:
    await add_dashboard(house.home_assistant, {"strategy": {"type": "custom:gaze"}})
    visitor = await visit(*TALL)

    await visitor.open(f"/{DASHBOARD}")
    await expect(visitor.page.locator("gaze-generate form")).to_be_visible()
    await visitor.look("empty")
    await generate_by_keyboard(visitor)
    await visitor.look("finished")
    await expect_accessible(visitor.page)
    await visitor.expect_no_sideways_scrolling()
    await delete_in_large_view(visitor)


async def test_invalid_configuration_shows_what_helps(house: House, visit: Visit) -> None:
    cards = [{"type": "custom:gaze-gallery-card", "layout": "circle"}]
    await add_dashboard(house.home_assistant, {"views": [{"cards": cards}]})
    visitor = await visit()

    await visitor.open(f"/{DASHBOARD}")

    card = visitor.page.locator("hui-error-card")
    await expect(card).to_be_visible()
