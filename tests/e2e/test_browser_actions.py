"""Test of performing actions in a browser, with their forms."""

from playwright.async_api import expect
import pytest

from .browser import ENGLISH, Visitor
from .conftest import House, Visit, newest_version

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),  # on a machine that may be busy
    pytest.mark.usefixtures("socket_enabled"),
    newest_version,
]

TOOL = "/config/tools/action"
ACTIONS = (
    "list_presets",
    "list_jobs",
    "list_images",
    "regenerate",
    "track_job",
    "stop_tracking",
    "wait",
    "save_image",
    "delete_images",
)


async def _choose(visitor: Visitor, action: str) -> None:
    """Select an action, and check all texts of its form with open sections."""
    page = visitor.page
    await page.locator("ha-service-picker").click()
    await page.get_by_placeholder("Search").fill(f"gaze.{action}")
    await page.get_by_text(f"gaze.{action}", exact=True).last.click()
    await visitor.expect_texts([ENGLISH.at("services", action, "description")])
    for section in ENGLISH.section_names(action):
        await visitor.button(section).click()
    await visitor.expect_texts(ENGLISH.below("services", action))


async def _choose_preset(visitor: Visitor, typed: str, shown: str) -> None:
    page = visitor.page
    await page.locator("ha-selector-select").first.click()
    await page.get_by_placeholder("Search").fill(typed)
    await page.get_by_text(shown, exact=True).last.click()


async def test_actions_are_performed_in_browser(house: House, visit: Visit) -> None:
    home_assistant = house.home_assistant
    visitor = await visit(1280, 1700)
    page = visitor.page
    perform = visitor.button("Perform action")
    response = page.locator("ha-yaml-editor .cm-content").last

    await visitor.open(TOOL)
    await _choose(visitor, "generate")
    await visitor.look("generate")
    await page.locator("ha-settings-row ha-checkbox").first.click()  # Preset is optional
    await page.locator("ha-selector-select").first.click()
    await visitor.expect_texts(preset.name for preset in house.server.presets.values())
    await visitor.look("presets")
    await page.keyboard.press("Escape")
    await _choose_preset(visitor, "Neon", "Neon city")
    async with home_assistant.events("gaze_event") as received:
        await perform.click()
        await expect(response).to_contain_text("preset_name: Neon city")
        job = (await received.get())["data"]
        await expect(response).to_contain_text(f"job_id: {job['job_id']}")
        await visitor.look("answer")

    await _choose_preset(visitor, "paper FOREST", "Add custom item")
    await visitor.turn_on(page.get_by_role("switch").first)
    await perform.click()
    await expect(response).to_contain_text("preset_name: Paper forest")
    await expect(response).to_contain_text("complete: true")
    await visitor.look("answer-after-waiting")

    await _choose_preset(visitor, "Neon town", "Add custom item")
    await perform.click()
    near = {"preset": "Neon town", "near": "Neon city"}
    await visitor.expect_texts([ENGLISH.at("exceptions", "unknown_preset_near", "message")], **near)
    await visitor.look("unknown-preset")

    for action in ACTIONS:
        await _choose(visitor, action)
        await visitor.look(action)
    await _choose(visitor, "list_images")
    await perform.click()
    await expect(response).to_contain_text("preset_name: Neon city")
    await visitor.look("images")
