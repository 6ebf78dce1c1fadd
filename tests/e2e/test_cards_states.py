"""States of the cards in a real frontend: rejected, failed, off, restarted, and several homes."""

from collections.abc import AsyncGenerator
import re
import secrets

from playwright.async_api import expect
import pytest

from testing.gaze_server import GazeServer

from .common import CARDS, DASHBOARD, TALL, add_dashboard, expect_accessible
from .conftest import House, Visit, newest_version

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),  # on a machine that may be busy
    pytest.mark.usefixtures("socket_enabled"),
]
PROMPT = "A lighthouse"
# What a page reports while Home Assistant restarts, or while GAZE is off
OUTAGE = r"^Request: (500|502|503)|WebSocket|ERR_|Failed to fetch|Lost connection"


@pytest.fixture
async def gaze(socket_enabled: None) -> AsyncGenerator[GazeServer]:
    """Return a GAZE server whose jobs move when the test moves them."""
    async with GazeServer(api_key=secrets.token_hex(16), duration=None, size=(192, 288)) as server:
        yield server


@newest_version
async def test_generate_card_shows_every_state_and_its_form_survives(
    house: House, visit: Visit
) -> None:
    server = house.server
    await add_dashboard(house.home_assistant, {"views": [{"cards": CARDS}]})
    visitor = await visit(*TALL)
    visitor.expected.append(OUTAGE)
    await visitor.open(f"/{DASHBOARD}")
    card = visitor.page.locator("gaze-generate")
    send = card.get_by_role("button", name="Generate", exact=True)
    await expect(card.get_by_text("No images yet")).to_be_visible()

    await card.get_by_label("Prompt", exact=True).fill(PROMPT)
    await card.get_by_text("More options").click()
    await card.get_by_label("Seed").fill("many")
    await send.click()
    await expect(card.locator("#seed")).to_be_focused()
    await expect(card.locator("#seed[aria-invalid=true]")).to_have_accessible_description(
        re.compile("many is not a valid seed")
    )
    await expect_accessible(visitor.page)
    await card.get_by_label("Seed").fill("7")

    await send.click()
    await expect(card.locator("gaze-progress p")).to_have_text("Queued")
    server.begin()
    await expect(card.locator("gaze-progress p")).to_have_text("Generating")
    server.fail()
    await expect(card.get_by_role("alert")).to_contain_text("GAZE failed to generate the image.")
    await expect(card.get_by_label("Prompt", exact=True)).to_have_value(PROMPT)

    await card.get_by_role("button", name="Try again").click()
    await expect(card.locator("gaze-progress p")).to_be_visible()
    await server.finish()
    await expect(card.locator(".result img")).to_be_visible()
    await expect(card.get_by_role("alert")).to_have_count(0)


@newest_version
async def test_open_page_survives_restart_without_failed_logins(house: House, visit: Visit) -> None:
    home_assistant, server = house.home_assistant, house.server
    await add_dashboard(home_assistant, {"views": [{"cards": CARDS}]})
    await home_assistant.call_action("gaze", "generate", {"preset": "neon_city"})
    await server.finish()
    visitor = await visit(*TALL)
    visitor.expected.append(OUTAGE)
    await visitor.open(f"/{DASHBOARD}")
    tiles = visitor.page.locator("gaze-gallery .tile img")
    await expect(tiles).to_have_count(1)

    await home_assistant.stop()
    await expect(visitor.page.locator("gaze-gallery").get_by_text("Reconnecting")).to_be_visible()
    await expect(tiles).to_have_count(1)
    await home_assistant.start()
    await home_assistant.onboard()
    await expect(visitor.page.locator("gaze-gallery").get_by_text("Reconnecting")).to_have_count(0)
    await home_assistant.call_action("gaze", "generate", {"preset": "neon_city"})
    await server.finish()

    await expect(tiles).to_have_count(2)
    assert "invalid authentication" not in home_assistant.all_logs
