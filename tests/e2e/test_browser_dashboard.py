"""Dashboards and device pages on a wall and on a phone: what they show, and their buttons."""

import hashlib
import re
from typing import Any

from homeassistant.util.yaml import parse_yaml
from playwright.async_api import Locator, expect
import pytest

from demo.__main__ import saved_image
from testing.home_assistant import CHECKOUT, HomeAssistant

from .browser import Visitor
from .conftest import PHONE, WIDE, House, Visit, newest_version

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),  # on a machine that may be busy
    pytest.mark.usefixtures("socket_enabled"),
    newest_version,
]

DOCUMENT = CHECKOUT / "docs" / "dashboards.md"
DASHBOARD = "gaze-document"
ERRORS = "hui-error-card, hui-warning, hui-error-entity-row, hui-warning-element"
_DIGEST = """async (image) => {
  const answer = await fetch(image.src);
  const digest = await crypto.subtle.digest("SHA-256", await answer.arrayBuffer());
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}"""


async def _put_up_dashboard(home_assistant: HomeAssistant) -> None:
    """Make the dashboard of the document, as its reader does."""
    text, *_ = re.findall(r"^```yaml\n(.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    create = {"type": "lovelace/dashboards/create", "url_path": DASHBOARD, "title": "GAZE"}
    await home_assistant.websocket(create)
    save = {"type": "lovelace/config/save", "url_path": DASHBOARD, "config": parse_yaml(text)}
    await home_assistant.websocket(save)


async def _made_by(home_assistant: HomeAssistant, button: Locator) -> dict[str, Any]:
    """Press a button and return the job of the image that it makes."""
    async with home_assistant.events("gaze_event") as received:
        await button.click()
        while (event := (await received.get())["data"])["type"] != "finished":
            pass
    return dict(event)


async def _expect_image(
    home_assistant: HomeAssistant, picture: Locator, job: dict[str, Any], before: str | None
) -> None:
    """Wait until a picture is another than before; it must be the job's then."""
    if before is not None:
        await expect(picture).not_to_have_attribute("src", before)
    await expect(picture).not_to_have_js_property("naturalWidth", 0)
    made = saved_image(home_assistant, job["job_id"]).read_bytes()
    assert await picture.evaluate(_DIGEST) == hashlib.sha256(made).hexdigest()


async def _expect_whole(visitor: Visitor) -> None:
    """No card may show an error, and nothing stand out on the right."""
    await expect(visitor.page.locator(ERRORS)).to_have_count(0)
    await visitor.expect_no_sideways_scrolling()


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
async def test_dashboard_and_device_pages_show_images_and_make_them(
    house: House, visit: Visit, size: tuple[int, int]
) -> None:
    await _put_up_dashboard(house.home_assistant)

    visitor = await visit(*size)
    await _use_dashboard(house.home_assistant, visitor)
    await _use_device_pages(house.home_assistant, visitor)


async def _use_dashboard(home_assistant: HomeAssistant, visitor: Visitor) -> None:
    """Make two images and see each card show what it should, without loading the page again."""
    page = visitor.page
    cards = page.locator("hui-picture-entity-card")
    # Home Assistant's answer to a card that asks for the image of an entity without one
    visitor.expected.append("^Request: 500 .*/api/image_proxy/image.gaze_")

    await visitor.open(f"/{DASHBOARD}")
    await expect(cards).to_have_count(3)
    await visitor.expect_texts(["Latest image", "Generate images", "Presets", "Activity"])
    await _expect_whole(visitor)
    await visitor.look("before-the-first-image")
    await page.evaluate("() => { window.sameLoad = true; }")

    latest, neon = (cards.nth(number).locator("img") for number in (0, 1))
    job = await _made_by(home_assistant, cards.nth(1))
    assert job["preset"] == "neon_city"
    await _expect_image(home_assistant, latest, job, before=None)
    await _expect_image(home_assistant, neon, job, before=None)
    await _expect_whole(visitor)
    await visitor.look("first-image")

    first, first_neon = await latest.get_attribute("src"), await neon.get_attribute("src")
    await home_assistant.call_action(
        "select",
        "select_option",
        {"entity_id": "select.gaze_preset", "option": "Kirschblüte im Regen"},
    )
    job = await _made_by(home_assistant, visitor.button("Generate"))
    assert job["preset"] == "kirschbluete"
    await _expect_image(home_assistant, latest, job, before=first)
    assert await neon.get_attribute("src") == first_neon
    assert await page.evaluate("() => window.sameLoad")
    await _expect_whole(visitor)
    await visitor.look("second-image")


async def _use_device_pages(home_assistant: HomeAssistant, visitor: Visitor) -> None:
    """Make an image of a preset on its device's page, and see the server's page."""
    devices = await home_assistant.websocket({"type": "config/device_registry/list"})
    ids = {device["name"]: device["id"] for device in devices}
    page = visitor.page

    await visitor.open(f"/config/devices/device/{ids['GAZE Neon city']}")
    await visitor.expect_texts(["Generate", "GAZE Neon city"])
    job = await _made_by(home_assistant, visitor.button("Press"))
    assert job["preset"] == "neon_city"
    await visitor.expect_texts(["Activity"])
    await visitor.look("preset")
    await _expect_whole(visitor)

    await visitor.open(f"/config/devices/device/{ids['GAZE']}")
    await visitor.expect_texts(["Latest image", "Generate again", "Refresh presets", "5 presets"])
    width = await page.evaluate("() => window.innerWidth")
    await page.set_viewport_size({"width": width, "height": 2600})
    await visitor.look("server")
    await _expect_whole(visitor)
