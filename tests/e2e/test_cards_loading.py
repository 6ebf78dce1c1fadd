"""Tests of how the cards load: again and again, from YAML, and beside a resource."""

from playwright.async_api import Page, expect
import pytest

from testing.home_assistant import DASHBOARD as YAML_DASHBOARD

from .browser import LOADING
from .common import CARDS, DASHBOARD, TALL, add_dashboard, generate
from .conftest import House, Visit, newest_version

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),  # on a machine that may be busy
    pytest.mark.usefixtures("socket_enabled"),
]
LOADS = 3
LOADER = "/api/gaze/cards.js"


async def expect_cards(page: Page) -> None:
    """Wait until both cards are shown."""
    await expect(page.locator("gaze-generate form")).to_be_visible(timeout=LOADING)
    await expect(page.locator("gaze-gallery .tile img").first).to_be_visible(timeout=LOADING)
    await expect(page.locator("hui-error-card")).to_have_count(0)


@newest_version
async def test_cards_load_every_time_from_yaml_and_beside_a_resource(
    house: House, visit: Visit
) -> None:
    home_assistant = house.home_assistant
    await generate(home_assistant, "neon_city")
    home_assistant.write_dashboard()
    await add_dashboard(home_assistant, {"views": [{"cards": CARDS}]})
    visitor = await visit(*TALL)
    page = visitor.page
    for _ in range(LOADS):
        await visitor.open(f"/{DASHBOARD}")
        await expect_cards(page)
    await visitor.open(f"/{YAML_DASHBOARD}")
    await expect_cards(page)

    resource = {"type": "lovelace/resources/create", "res_type": "module", "url": LOADER}
    await home_assistant.websocket(resource)
    await visitor.open(f"/{DASHBOARD}")
    await expect_cards(page)
    assert await page.evaluate("customCards.filter(({type}) => /^gaze-/.test(type)).length") == 2
