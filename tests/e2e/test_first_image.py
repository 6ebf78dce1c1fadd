"""A first image, from the config flow to the browser, with real processes.

`HASS=/path/to/another/version/bin/hass` runs the same against that Home Assistant.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
import json
import os
from pathlib import Path
import secrets

from playwright.async_api import Locator, Page, async_playwright, expect
import pytest

from demo.__main__ import (
    check_log,
    connect,
    first_preset,
    gaze_stand_in,
    generate,
    saved_image,
    server_image,
    show_dashboard,
)
from demo.home_assistant import DASHBOARD, HomeAssistant, free_port

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("socket_enabled")]

IMAGE = "image.gaze_latest_image"
CHROMIUM = Path("/usr/bin/chromium")
# The browser asks for nothing but what the test shows it.
CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# Milliseconds; the frontend's first load on a busy machine
LOADING = 30_000


@dataclass(frozen=True, kw_only=True, slots=True)
class House:
    """A Home Assistant with the integration set up, and the GAZE server that it uses."""

    home_assistant: HomeAssistant
    gaze_url: str
    api_key: str
    preset: str


@pytest.fixture
async def house(tmp_path: Path) -> AsyncGenerator[House]:
    api_key = secrets.token_hex(16)
    hass = os.environ.get("HASS")
    async with (
        gaze_stand_in(tmp_path, port=free_port(), api_key=api_key, duration=1) as gaze_url,
        HomeAssistant(
            tmp_path / "home", port=free_port(), hass=Path(hass) if hass else None
        ) as home_assistant,
    ):
        await home_assistant.onboard()
        await connect(home_assistant, gaze_url, api_key)
        yield House(
            home_assistant=home_assistant,
            gaze_url=gaze_url,
            api_key=api_key,
            preset=await first_preset(home_assistant),
        )


@pytest.fixture
async def page(house: House) -> AsyncGenerator[Page]:
    """Open a browser that is logged in to Home Assistant."""
    tokens = json.dumps(house.home_assistant.browser_tokens)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=list(CHROMIUM_FLAGS)
        )
        page = await browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(LOADING)
        await page.add_init_script(f"localStorage.hassTokens = {json.dumps(tokens)}")
        yield page
        await browser.close()


async def _picture_number(picture: Locator) -> str:
    """Return what tells the picture shown from the ones before and after it."""
    address = await picture.get_attribute("src")
    assert address is not None
    return address.rpartition("&state=")[2]


async def test_a_first_image_arrives_and_outlives_a_restart(house: House) -> None:
    home_assistant = house.home_assistant

    answer, events = await generate(home_assistant, house.preset)

    assert answer["complete"] is True
    [job] = answer["jobs"]
    assert job["status"] == "done"
    types = [event["type"] for event in events]
    assert types in (["queued", "started", "finished"], ["queued", "finished"])
    assert {event["job_id"] for event in events} == {job["job_id"]}
    made = await server_image(house.gaze_url, house.api_key, job["job_id"])
    assert saved_image(home_assistant, job["job_id"]).read_bytes() == made
    assert await home_assistant.fetch(f"/api/image_proxy/{IMAGE}") == (made, "image/png")
    assert await home_assistant.fetch(job["image_url"]) == (made, "image/png")
    check_log(home_assistant, house.api_key)
    before = await home_assistant.state(IMAGE)

    await home_assistant.stop()
    await home_assistant.start()
    await home_assistant.onboard()

    after = await home_assistant.state(IMAGE)
    assert before is not None
    assert after is not None
    assert after["state"] == before["state"]
    assert await home_assistant.fetch(f"/api/image_proxy/{IMAGE}") == (made, "image/png")
    check_log(home_assistant, house.api_key)


@pytest.mark.skipif(not CHROMIUM.exists(), reason=f"There is no {CHROMIUM}")
async def test_the_dashboard_shows_the_image_and_makes_the_next(
    house: House, page: Page, tmp_path: Path
) -> None:
    home_assistant = house.home_assistant
    await show_dashboard(home_assistant, house.preset)
    await generate(home_assistant, house.preset)

    await page.goto(home_assistant.url)

    picture = page.locator("hui-picture-entity-card hui-image img")
    await expect(picture).to_be_visible(timeout=LOADING)
    await expect(picture).not_to_have_js_property("naturalWidth", 0, timeout=LOADING)
    assert page.url.startswith(f"{home_assistant.url}/{DASHBOARD}")
    await expect(page.locator("hui-error-card, hui-warning")).to_have_count(0)
    first = await _picture_number(picture)
    await page.screenshot(path=tmp_path / "dashboard.png")

    async with home_assistant.events("gaze_event") as received:
        await page.get_by_role("button", name="Generate", exact=True).click()
        while (await received.get())["data"]["type"] != "finished":
            pass

    await expect(picture).not_to_have_attribute("src", first, timeout=LOADING)
    await expect(picture).not_to_have_js_property("naturalWidth", 0)
    check_log(home_assistant, house.api_key)
