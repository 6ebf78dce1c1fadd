"""Tests of device pages on a wide screen and on a phone, and of a logbook card."""

from typing import Any

from playwright.async_api import Locator, expect
import pytest

from testing.home_assistant import HomeAssistant

from .browser import Visitor
from .common import DASHBOARD, add_dashboard
from .conftest import PHONE, WIDE, House, Visit, newest_version

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),  # on a machine that may be busy
    pytest.mark.usefixtures("socket_enabled"),
    newest_version,
]

ERRORS = "hui-error-card, hui-warning, hui-error-entity-row, hui-warning-element"


async def _made_by(home_assistant: HomeAssistant, button: Locator) -> dict[str, Any]:
    """Press a button, and return the job of its image."""
    async with home_assistant.events("gaze_event") as received:
        await button.click()
        while (event := (await received.get())["data"])["type"] != "finished":
            pass
    return dict(event)


async def _expect_whole(visitor: Visitor) -> None:
    """Check that no card shows an error and the page does not scroll sideways."""
    await expect(visitor.page.locator(ERRORS)).to_have_count(0)
    await visitor.expect_no_sideways_scrolling()


async def test_device_pages_generate_and_show_images(house: House, visit: Visit) -> None:
    for name, size in {"wide": WIDE, "phone": PHONE}.items():
        await _use_device_pages(house.home_assistant, await visit(*size), name)


async def _use_device_pages(home_assistant: HomeAssistant, visitor: Visitor, size: str) -> None:
    """Generate an image on the page of a preset's device, and check the page of the server."""
    devices = await home_assistant.websocket({"type": "config/device_registry/list"})
    ids = {device["name"]: device["id"] for device in devices}
    page = visitor.page

    await visitor.open(f"/config/devices/device/{ids['GAZE Neon city']}")
    await visitor.expect_texts(["Generate", "GAZE Neon city"])
    job = await _made_by(home_assistant, visitor.button("Press"))
    assert job["preset"] == "neon_city"
    await visitor.expect_texts(["Activity"])
    await visitor.look(f"preset-{size}")
    await _expect_whole(visitor)

    await visitor.open(f"/config/devices/device/{ids['GAZE']}")
    await visitor.expect_texts(["Latest image", "Generate again", "Refresh presets", "5 presets"])
    width = await page.evaluate("() => window.innerWidth")
    await page.set_viewport_size({"width": width, "height": 2600})
    await visitor.look(f"server-{size}")
    await _expect_whole(visitor)


async def test_logbook_card_shows_sentence_with_name_of_preset(house: House, visit: Visit) -> None:
    home_assistant = house.home_assistant
    card = {"type": "logbook", "target": {"entity_id": ["event.gaze_generation"]}}
    await add_dashboard(home_assistant, {"views": [{"cards": [card]}]})
    visitor = await visit()
    await visitor.open(f"/{DASHBOARD}/0")
    await expect(visitor.page.locator("hui-logbook-card")).to_be_visible()

    data = {"preset": "neon_city", "wait": True}
    await home_assistant.call_action("gaze", "generate", data, return_response=True)

    sentence = visitor.page.locator("hui-logbook-card").get_by_text("Neon city has a new image")
    await expect(sentence).to_be_visible()
    await visitor.look("logbook-live")
    await visitor.page.reload()
    await expect(sentence).to_be_visible()
    await _expect_whole(visitor)
