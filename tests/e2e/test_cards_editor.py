"""Tests of the card picker, the editor, and what both show of a card."""

from typing import Any

from playwright.async_api import Locator, Page, expect
import pytest

from testing.home_assistant import wait_until

from .browser import LOADING, Visitor
from .common import DASHBOARD, add_dashboard, note_requests
from .conftest import House, Visit

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),  # on a machine that may be busy
    pytest.mark.usefixtures("socket_enabled"),
]

INVALID = {"type": "custom:gaze-gallery-card", "layout": "circle"}
INVALID_MESSAGE = 'Change "layout" to one of these values: grid, hero, strip.'
VIEW = {"type": "sections", "title": "Images"}


async def pick_card(page: Page, name: str) -> Locator:
    """Search for a card in the picker; return its element."""
    picker = page.locator("hui-dialog-create-card hui-card-picker")
    await page.locator("hui-dialog-create-card ha-tab-group-tab[panel=card]").click()
    await picker.locator("ha-input-search input").fill("gaze")
    await expect(picker.locator(".card").filter(has_text="GAZE")).to_have_count(2)
    return picker.locator(".card").filter(has_text=name)


async def add_card(page: Page) -> None:
    """Open the dialog that adds a card to the section."""
    await page.get_by_role("button", name="Add card").last.click()


async def expect_saved(house: House, *cards: dict[str, Any]) -> None:
    """Wait until the first section has these cards behind the invalid one."""
    command = {"type": "lovelace/config", "url_path": DASHBOARD, "force": True}

    async def saved() -> bool:
        config = await house.home_assistant.websocket(command)
        return bool(config["views"][0]["sections"][0]["cards"] == [INVALID, *cards])

    await wait_until(saved, what="Saving the dashboard", seconds=LOADING / 1000)


async def test_cards_are_picked_edited_and_suggested(house: House, visit: Visit) -> None:
    sections = [{"type": "grid", "cards": [INVALID]}]
    await add_dashboard(house.home_assistant, {"views": [{**VIEW, "sections": sections}]})
    visitor = await visit(1280, 900)
    # The frontend's own: the picker looks for energy cards, whose integration isn't set up.
    visitor.expected.append("^Page: Object$")
    page = visitor.page
    await visitor.open(f"/{DASHBOARD}/0?edit=1")
    await expect(page.locator("hui-error-card")).to_contain_text(INVALID_MESSAGE)
    await visitor.look("invalid")

    requests = note_requests(page)
    await pick_with_samples(visitor)
    await edit_by_form(visitor, requests)
    generate = {"type": "custom:gaze-generate-card", "title": "Paint", "preset": "neon_city"}
    await expect_saved(house, generate)
    await expect(page.locator("hui-sections-view gaze-generate form")).to_be_visible()

    await take_suggestion(visitor)
    gallery = {"type": "custom:gaze-gallery-card", "preset": "neon_city"}
    await expect_saved(house, generate, gallery)
    await expect(page.locator("hui-sections-view gaze-gallery ha-card")).to_be_visible()
    await visitor.open("/config/lovelace/dashboards")
    await page.get_by_role("button", name="Add dashboard").click()
    await expect(page.locator("dashboard-card").get_by_text("GAZE", exact=True)).to_be_visible()
    await visitor.look("community-dashboards")


async def pick_with_samples(visitor: Visitor) -> None:
    """Find the cards in the picker, where they show samples, and pick one."""
    page = visitor.page
    await page.reload()
    await add_card(page)
    card = await pick_card(page, "GAZE generate")
    gallery = page.locator("hui-card-picker gaze-gallery")
    await expect(gallery.locator(".tile")).to_have_count(8)
    await expect(gallery.locator(".tile img").first).to_be_visible()
    await expect(card.locator(".result img")).to_be_visible()
    await visitor.look("picker")
    await card.click()


async def edit_by_form(visitor: Visitor, requests: list[str]) -> None:
    """Change two options in the form, see them in the preview, and save.

    Neither the picker nor the preview requested images.
    """
    page = visitor.page
    dialog = page.locator("hui-dialog-edit-card")
    queue = dialog.locator("ha-selector-boolean").filter(has_text="Show queue")
    await expect(queue.locator("ha-switch")).to_have_js_property("checked", value=True)
    await dialog.get_by_role("textbox", name="Title").fill("Paint")
    await expect(dialog.locator("gaze-generate h2")).to_have_text("Paint")
    await expect(dialog.locator("gaze-generate .result img")).to_be_visible()
    await dialog.get_by_text("Preset", exact=True).first.click()
    await page.get_by_text("Neon city", exact=True).locator("visible=true").last.click()
    send = dialog.locator("gaze-generate button.strong")
    await expect(send).to_have_text("Generate Neon city")
    await expect(dialog.locator("gaze-generate .result img")).to_be_visible()
    await visitor.look("editor")
    assert [text for text in requests if "gaze/image" in text] == []
    await dialog.get_by_text("Save", exact=True).click()


async def take_suggestion(visitor: Visitor) -> None:
    """Select an image entity, and add the card that is suggested for it."""
    page = visitor.page
    await add_card(page)
    picker = page.locator("hui-suggestion-picker")
    await picker.locator("ha-input-search input").fill("Neon city")
    await picker.locator("hui-suggestion-entity-tree").get_by_text("GAZE Neon city").first.click()
    suggestion = picker.locator("hui-suggestion-card").filter(has_text="GAZE gallery")
    await expect(suggestion.locator(".tile")).to_have_count(8)
    await visitor.look("suggestion")
    await suggestion.click()
