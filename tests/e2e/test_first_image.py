"""Test of the first image, from the action to the browser, with real processes."""

from pathlib import Path

from playwright.async_api import expect
import pytest

from testing.home_assistant import DASHBOARD, Program
from testing.steps import first_preset, generate, saved_image, server_image, show_dashboard

from .conftest import House, OpenPage

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("socket_enabled")]

IMAGE = "image.gaze_latest_image"


# Nothing is imported before these starts, as on a user's machine.
@pytest.mark.parametrize("create_program", [Program], ids=["hass"])
async def test_first_image_survives_restart(house: House) -> None:
    home_assistant, server = house.home_assistant, house.server

    answer, events = await generate(home_assistant, await first_preset(home_assistant))

    assert answer["complete"] is True
    [job] = answer["jobs"]
    assert job["status"] == "done"
    types = [event["type"] for event in events]
    assert types in (["queued", "started", "finished"], ["queued", "finished"])
    assert {event["job_id"] for event in events} == {job["job_id"]}
    made = await server_image(server.url, server.api_key, job["job_id"])
    assert saved_image(home_assistant, job["job_id"]).read_bytes() == made
    assert await home_assistant.fetch(f"/api/image_proxy/{IMAGE}") == (made, "image/png")
    assert await home_assistant.fetch(job["image_url"]) == (made, "image/png")
    before = await home_assistant.state(IMAGE)

    await home_assistant.stop()
    await home_assistant.start()
    await home_assistant.onboard()

    after = await home_assistant.state(IMAGE)
    assert before is not None
    assert after is not None
    assert after["state"] == before["state"]
    assert await home_assistant.fetch(f"/api/image_proxy/{IMAGE}") == (made, "image/png")


async def test_dashboard_shows_image_and_generates_next(
    house: House, open_page: OpenPage, screenshots: Path
) -> None:
    home_assistant = house.home_assistant
    await show_dashboard(home_assistant)
    await generate(home_assistant, await first_preset(home_assistant))
    page = await open_page(1280, 1800)  # nothing to scroll

    await page.goto(home_assistant.url)

    await expect(page.locator("gaze-gallery .tile img")).to_have_count(1)
    await expect(page.locator("gaze-generate .result img")).to_be_visible()
    assert page.url.startswith(f"{home_assistant.url}/{DASHBOARD}")
    await expect(page.locator("hui-error-card, hui-warning")).to_have_count(0)
    await page.screenshot(path=screenshots / "dashboard.png")

    await page.get_by_role("button", name="Generate", exact=True).click()

    await expect(page.locator("gaze-gallery .tile img")).to_have_count(2)
