"""Test of reading and fixing repair issues in a browser."""

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

PRESET = "neon_city"


async def _cause_issues(house: House) -> str:
    """Use a preset that is deleted, and damage the store of jobs. Returns its new file name."""
    home_assistant = house.home_assistant
    automation = {
        "alias": "Evening picture",
        "trigger": [{"platform": "event", "event_type": "evening"}],
        "action": [{"action": "gaze.generate", "data": {"preset": PRESET}}],
    }
    choice = {"entity_id": "select.gaze_preset", "option": "Neon city"}
    await home_assistant.post("/api/config/automation/config/evening", automation)
    await home_assistant.call_action("select", "select_option", choice)
    house.server.remove_preset(PRESET)
    await home_assistant.stop()
    [jobs] = (home_assistant.folder / ".storage").glob("gaze.*.jobs.db")
    jobs.write_bytes(b"This is no database. " * 100)
    house.expected.append("is damaged .* set aside as")

    await home_assistant.start()
    await home_assistant.onboard()
    [damaged] = jobs.parent.glob("*.damaged-*")
    return damaged.name


async def _read(visitor: Visitor, *path: str, **placeholders: str) -> None:
    """Expect each paragraph of a text, except those that are placeholders."""
    paragraphs = ENGLISH.at("issues", *path).split("\n\n")
    await visitor.expect_texts(
        [text for text in paragraphs if text != "{places}"], server="GAZE", **placeholders
    )


async def test_repairs_are_shown_and_fixed(house: House, visit: Visit) -> None:
    file = await _cause_issues(house)
    visitor = await visit()
    page = visitor.page
    missing = ENGLISH.at("issues", "preset_missing", "title").format(title="GAZE", name=PRESET)
    damaged = ENGLISH.at("issues", "jobs_set_aside", "title").format(title="GAZE")

    await visitor.open("/config/repairs")
    await visitor.expect_texts([missing, damaged])
    await visitor.look("repairs")
    await page.get_by_text(missing).click()
    await _read(visitor, "preset_missing", "description", preset=PRESET)
    for place in ("GAZE Preset", "Evening picture"):
        await expect(page.get_by_role("link", name=place)).to_be_visible()
    await visitor.look("missing-preset")
    await visitor.button("Close").last.click()

    await page.get_by_text(damaged).click()
    step = ("jobs_set_aside", "fix_flow", "step", "confirm", "description")
    await _read(visitor, *step, file=file)
    await visitor.look("damaged-list")
    await visitor.button("Submit").click()
    await expect(page.get_by_text(damaged)).to_have_count(0)

    assert not (house.home_assistant.folder / ".storage" / file).exists()
