"""States of the cards in a real frontend, and the whole journey of an image by keyboard."""

import asyncio
from collections.abc import AsyncGenerator
import re
import secrets

from playwright.async_api import Locator, Page, expect
import pytest

from testing.gaze_server import GazeServer

from .browser import ENGLISH, LOADING, Visitor
from .common import CARDS, DASHBOARD, OUTAGE, TALL, add_dashboard, expect_accessible
from .conftest import House, Visit

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),  # on a machine that may be busy
    pytest.mark.usefixtures("socket_enabled"),
]
PROMPT = "<b>A lighthouse</b>"
MOST_TABS = 80
CONNECTION_LOST = ENGLISH.at("config_panel", "cards", "connection_lost")
# Closes the connection instead of sending the next command of a type.
LOSE_CONNECTION_DURING = """(type) => {
  const { connection } = document.querySelector("home-assistant").hass;
  const { sendMessage } = connection;
  connection.sendMessage = (message, id) => {
    if (message.type !== type) {
      sendMessage.call(connection, message, id);
      return;
    }
    delete connection.sendMessage;
    connection.socket.close();
  };
}"""

# Ends the next subscription like the frontend of 2026.10, which ends subscriptions by the numbers
# that they had on another connection.
END_NEXT_SUBSCRIPTION = """() => {
  const { connection } = document.querySelector("home-assistant").hass;
  const { sendMessage } = connection;
  connection.sendMessage = (message, id) => {
    sendMessage.call(connection, message, id);
    if (message.type === "gaze/subscribe") {
      delete connection.sendMessage;
      connection.sendMessagePromise({ type: "unsubscribe_events", subscription: id });
    }
  };
}"""


@pytest.fixture
async def gaze(socket_enabled: None) -> AsyncGenerator[GazeServer]:
    """Return a GAZE server whose jobs move when the test moves them."""
    async with GazeServer(api_key=secrets.token_hex(16), duration=None, size=(192, 288)) as server:
        yield server


async def tab_to(page: Page, element: Locator) -> None:
    """Press Tab until an element has the focus."""
    await expect(element).to_be_visible()
    for _ in range(MOST_TABS):
        if await element.evaluate("(element) => element.matches(':focus')"):
            return
        await page.keyboard.press("Tab")
    pytest.fail(f"Tab does not lead to {element}")


async def press(page: Page, element: Locator) -> None:
    """Go to an element with the Tab key, and press Enter."""
    await tab_to(page, element)
    await page.keyboard.press("Enter")


async def test_journey_of_an_image_needs_only_the_keyboard(house: House, visit: Visit) -> None:
    await add_dashboard(house.home_assistant, {"views": [{"cards": CARDS}]})
    visitor = await visit(*TALL)

    await visitor.open(f"/{DASHBOARD}")
    await expect(visitor.page.locator("gaze-generate form")).to_be_visible()
    await visitor.look("empty")
    await generate_two(visitor, house.server)
    await use_result(visitor.page, house)
    await visitor.look("finished")
    await expect_accessible(visitor.page)
    await visitor.expect_no_sideways_scrolling()
    await delete_in_large_view(visitor)


async def generate_two(visitor: Visitor, server: GazeServer) -> None:
    """Type a prompt, generate two images, look at the queue, and see both."""
    page = visitor.page
    card = page.locator("gaze-generate")
    await tab_to(page, card.locator("#prompt"))
    await page.keyboard.type(PROMPT)
    await tab_to(page, card.locator("#count"))
    await page.keyboard.type("2")
    await page.keyboard.press("Control+Enter")
    await expect(card.locator("gaze-progress p")).to_have_text(re.compile("Queued|1 of 2"))
    await press(page, card.locator("gaze-progress summary"))
    await expect(card.locator("gaze-progress li")).to_have_count(2)
    await visitor.look("queue")
    await server.finish()
    await server.finish()
    await expect(card.locator(".strip img")).to_have_count(2)
    await expect(page.locator("gaze-gallery .tile img")).to_have_count(2)
    assert await page.locator("gaze-gallery b, gaze-generate b").count() == 0


async def use_result(page: Page, house: House) -> None:
    """Generate again, mark the result as a favorite, and download its bytes."""
    card = page.locator("gaze-generate")
    await press(page, card.locator("button.again"))
    await expect(card.locator("gaze-progress p")).to_be_visible()
    await house.server.finish()
    await expect(page.locator("gaze-gallery .tile img")).to_have_count(3)
    await expect(card.locator(".strip img")).to_have_count(0)
    job_id = await card.locator(".result").get_attribute("data-job")
    await press(page, card.locator("button.favorite"))
    await expect(card.locator("button.unfavorite")).to_be_visible()

    async with page.expect_download() as downloading:
        await press(page, card.locator("button.download"))
    path = await (await downloading.value).path()
    [entry] = await house.home_assistant.entries("gaze")
    url = f"/api/gaze/image/{entry['entry_id']}/{job_id}"
    content, _ = await house.home_assistant.fetch(url)
    assert path.read_bytes() == content


async def delete_in_large_view(visitor: Visitor) -> None:
    """Open the second image, check its details, and delete it at the second attempt."""
    page = visitor.page
    tiles = page.locator("gaze-gallery .tile")
    await tab_to(page, page.locator("gaze-gallery .tile[tabindex='0']"))
    async with asyncio.timeout(LOADING / 1000):  # the first keys may come before their module
        while not await tiles.last.evaluate("(tile) => tile.matches(':focus')"):
            await page.keyboard.press("End")
    await page.keyboard.press("Home")
    await page.keyboard.press("ArrowRight")
    await expect(tiles.nth(1)).to_be_focused()
    await page.keyboard.press("Enter")
    viewer = page.locator("gaze-viewer")
    place = viewer.locator("header span")
    await expect(viewer.locator(".stage img")).to_be_visible()
    await press(page, viewer.locator(".details"))
    await expect(viewer.locator("dl")).to_contain_text(PROMPT)
    await expect_accessible(page)
    await visitor.look("large-view")
    await page.keyboard.press("ArrowLeft")
    await expect(place).to_have_text("1 / 3")
    await page.keyboard.press("ArrowRight")
    await expect(place).to_have_text("2 / 3")

    await press(page, viewer.locator("button.delete"))
    await expect(viewer.locator("button.no")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(viewer.locator("button.delete")).to_be_focused()
    await page.keyboard.press("Enter")
    await press(page, viewer.locator("button.danger"))
    await expect(place).to_have_text("2 / 2")
    await expect(viewer.locator("dialog")).to_be_focused()
    await page.keyboard.press("ArrowLeft")
    await expect(place).to_have_text("1 / 2")

    await page.keyboard.press("Escape")
    await expect(viewer.locator("dialog[open]")).to_have_count(0)
    await expect(page.locator("gaze-gallery .tile")).to_have_count(2)


async def test_cards_show_every_state_and_survive_restart(house: House, visit: Visit) -> None:
    await add_dashboard(house.home_assistant, {"views": [{"cards": CARDS}]})
    visitor = await visit(*TALL)
    visitor.expected.append(OUTAGE)
    house.expected.append("connection to the server failed|Failed to connect to GAZE")
    await visitor.open(f"/{DASHBOARD}")
    await expect(visitor.page.get_by_text("No images yet").first).to_be_visible()

    await enter_invalid_seed(visitor.page)
    await see_failed_job(visitor.page, house.server)
    await lose_connection(visitor.page, house)
    await see_server_off(visitor, house.server)
    await restart_with_open_page(visitor.page, house)


async def enter_invalid_seed(page: Page) -> None:
    """Enter a seed that is rejected: the error is at its field."""
    card = page.locator("gaze-generate")
    await card.get_by_label("Prompt", exact=True).fill(PROMPT)
    await card.get_by_text("More options").click()
    await card.get_by_label("Seed").fill("many")
    await card.get_by_role("button", name="Generate", exact=True).click()
    await expect(card.locator("#seed")).to_be_focused()
    await expect(card.locator("#seed[aria-invalid=true]")).to_have_accessible_description(
        re.compile("many is not a valid seed")
    )
    await expect_accessible(page)
    await card.get_by_label("Seed").fill("7")


async def see_failed_job(page: Page, server: GazeServer) -> None:
    """Generate an image that fails, and try again: the form stays."""
    card = page.locator("gaze-generate")
    await card.get_by_role("button", name="Generate", exact=True).click()
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


async def lose_connection(page: Page, house: House) -> None:
    """Lose the connection during a request and a subscription: the cards go on afterward."""
    card = page.locator("gaze-generate")
    send = card.get_by_role("button", name="Generate", exact=True)
    await page.evaluate(LOSE_CONNECTION_DURING, "call_service")
    await send.click()
    await expect(card.get_by_role("alert")).to_contain_text(CONNECTION_LOST)
    await expect(send).to_be_enabled()
    await expect(card.get_by_label("Prompt", exact=True)).to_have_value(PROMPT)

    await page.evaluate(LOSE_CONNECTION_DURING, "gaze/subscribe")
    await page.evaluate("document.querySelector('home-assistant').hass.connection.socket.close()")
    await expect_arrival(page, house, 2)
    await page.evaluate(END_NEXT_SUBSCRIPTION)
    await page.evaluate("document.querySelector('home-assistant').hass.connection.socket.close()")
    await expect_arrival(page, house, 3)


async def expect_arrival(page: Page, house: House, count: int) -> None:
    """Generate an image elsewhere: the gallery shows it, and as many as that in all."""
    await house.home_assistant.call_action("gaze", "generate", {"preset": "neon_city"})
    await house.server.finish()
    await expect(page.locator("gaze-gallery .tile img")).to_have_count(count)


async def see_server_off(visitor: Visitor, server: GazeServer) -> None:
    """Generate while GAZE is off: the form can be edited, and the gallery works."""
    card = visitor.page.locator("gaze-generate")
    server.set_online(False)
    await card.get_by_role("button", name="Generate", exact=True).click()
    await expect(card.get_by_role("alert")).to_be_visible()
    await expect(card.get_by_text("Unable to reach GAZE")).to_be_visible()
    await expect(card.get_by_label("Prompt", exact=True)).to_have_value(PROMPT)
    await expect(visitor.page.locator("gaze-gallery .tile img")).to_have_count(3)
    await visitor.look("off")
    server.set_online(True)


async def restart_with_open_page(page: Page, house: House) -> None:
    """Restart Home Assistant: the page shows its images meanwhile, and new ones afterward."""
    home_assistant = house.home_assistant
    gallery = page.locator("gaze-gallery")
    await home_assistant.stop()
    await expect(gallery.get_by_text("Reconnecting")).to_be_visible()
    await expect(gallery.locator(".tile img")).to_have_count(3)
    await home_assistant.start()
    await home_assistant.onboard()
    await expect(gallery.get_by_text("Reconnecting")).to_have_count(0)
    await expect_arrival(page, house, 4)
    assert "invalid authentication" not in home_assistant.all_logs
