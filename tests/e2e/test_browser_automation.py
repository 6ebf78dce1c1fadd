"""Test of creating an automation in a browser."""

import re

from playwright.async_api import expect
import pytest

from demo.__main__ import DELIVERY
from testing.home_assistant import wait_until

from .browser import ENGLISH
from .conftest import House, Visit, newest_version

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),  # on a machine that may be busy
    pytest.mark.usefixtures("socket_enabled"),
    newest_version,
]

TRIGGERS = ("finished", "failed", "started", "queued")


async def test_automation_created_in_browser_runs(house: House, visit: Visit) -> None:
    home_assistant = house.home_assistant
    visitor = await visit()
    page = visitor.page
    names = [ENGLISH.at("device_automation", "trigger_type", name) for name in TRIGGERS]

    await visitor.open("/config/automation/edit/new")
    await visitor.button("Add trigger").click()
    await visitor.button("By type").click()
    await page.get_by_text("Device", exact=True).click()
    await page.get_by_text("Triggers when something happens to a device").click()
    await page.locator("ha-device-picker").click()
    await page.get_by_placeholder("Search").fill("Neon")
    await page.get_by_text("GAZE Neon city").last.click()
    trigger = page.locator("ha-device-trigger-picker")
    await expect(trigger).to_contain_text(names[0])
    await trigger.click()
    await visitor.expect_texts(names)
    await visitor.look("triggers")
    await page.get_by_text(names[0], exact=True).last.click()
    await expect(trigger).to_contain_text(names[0])
    await visitor.look("trigger")
    await visitor.button("Save").click()
    await page.get_by_role("textbox", name="Name").fill("A new image of the city")
    await visitor.look("save")
    await visitor.button("Save").last.click()
    await expect(page).to_have_url(re.compile("/config/automation/edit/[0-9]+$"))
    automation = "automation.a_new_image_of_the_city"
    before = await home_assistant.state(automation)
    assert before is not None
    assert before["attributes"]["last_triggered"] is None

    for preset in ("paper_forest", "neon_city"):
        data = {"preset": preset, "wait": True}
        await home_assistant.call_action("gaze", "generate", data, return_response=True)

    async def ran() -> bool:
        state = await home_assistant.state(automation)
        return bool(state and state["attributes"]["last_triggered"])

    await wait_until(ran, what="The automation", seconds=DELIVERY)
    item_id = page.url.rpartition("/")[2]
    traces = await home_assistant.websocket(
        {"type": "trace/list", "domain": "automation", "item_id": item_id}
    )
    assert len(traces) == 1  # of the preset's image, not of the other
    await visitor.open(f"/config/automation/trace/{item_id}")
    await visitor.expect_texts([names[0], "Executed:"])
    await visitor.look("trace")
