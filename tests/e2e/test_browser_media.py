"""Test of browsing images in Media."""

from collections.abc import Sequence
import re

from playwright.async_api import expect
import pytest

from .browser import Visitor
from .conftest import House, Visit, newest_version

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),  # on a machine that may be busy
    pytest.mark.usefixtures("socket_enabled"),
    newest_version,
]

# A card's picture is the background of its thumbnail.
_WIDTH = """async (element) => {
  const address = getComputedStyle(element).backgroundImage.slice(5, -2);
  const picture = new Image();
  picture.src = address;
  await picture.decode();
  return picture.naturalWidth;
}"""


async def _expect_cards(
    visitor: Visitor, titles: Sequence[str | re.Pattern[str]], *, thumbnails: int
) -> None:
    """Wait for cards with these titles, in this order, and for their thumbnails."""
    await expect(visitor.page.locator(".child .title")).to_have_text(titles)
    shown = visitor.page.locator("ha-media-browser-thumbnail div.image")
    await expect(shown).to_have_count(thumbnails)
    for thumbnail in await shown.all():
        await expect(thumbnail).to_have_attribute("style", re.compile(r"url\("))
        assert await thumbnail.evaluate(_WIDTH) > 0


async def _open_card(visitor: Visitor, title: str | re.Pattern[str]) -> None:
    """Open the first card with this title, or whose title has the pattern."""
    named = visitor.page.get_by_text(title, exact=True)
    await visitor.page.locator(".child").filter(has=named).first.click()


async def test_images_are_found_in_media(house: House, visit: Visit) -> None:
    home_assistant = house.home_assistant
    visitor = await visit()
    page = visitor.page
    heading = page.get_by_role("heading", level=1)
    neon, blossom = re.compile(r"^\s*Neon city · "), re.compile(r"^\s*Kirschblüte im Regen · ")
    month = re.compile(r"^\s*\d{4}-\d\d \(4\)\s*$")

    await visitor.open("/media-browser/browser")
    await _open_card(visitor, "GAZE")
    await visitor.expect_texts(["No items"])
    await visitor.look("no-images")

    for preset in ("neon_city", "kirschbluete"):
        data = {"preset": preset, "count": 2, "wait": True}
        await home_assistant.call_action("gaze", "generate", data, return_response=True)
    await visitor.open("/media-browser/browser")
    await _open_card(visitor, "GAZE")
    folders = ["All images (4)", "Presets (2)", "Months (1)"]
    newest = [blossom, blossom, neon, neon]
    await _expect_cards(visitor, [*folders, *newest], thumbnails=7)
    await visitor.look("gallery")
    await _open_card(visitor, "All images (4)")
    await expect(heading).to_have_text("All images")
    await _expect_cards(visitor, newest, thumbnails=4)
    await visitor.look("all-images")
    await page.go_back()
    await _open_card(visitor, "Months (1)")
    await _open_card(visitor, month)
    await _expect_cards(visitor, newest, thumbnails=4)
    await visitor.look("month")
    await page.go_back()
    await _expect_cards(visitor, [month], thumbnails=1)
    await page.go_back()
    await _expect_cards(visitor, [*folders, *newest], thumbnails=7)
    await _open_card(visitor, "Presets (2)")
    await _expect_cards(visitor, ["Kirschblüte im Regen (2)", "Neon city (2)"], thumbnails=2)
    await _open_card(visitor, "Neon city (2)")
    await expect(heading).to_have_text("Neon city")
    await _expect_cards(visitor, [neon, neon], thumbnails=2)
    await visitor.look("preset")
    await _open_card(visitor, neon)
    await visitor.expect_pictures(page.locator("dialog-media-player-browse img, ha-dialog img"), 1)
    await visitor.look("image")

    await visitor.open("/media-browser/browser")
    await _open_card(visitor, "GAZE")
    await page.get_by_placeholder("Search GAZE").fill("kirschblüte")
    await visitor.button("Search").click()
    await _expect_cards(visitor, [blossom, blossom], thumbnails=2)
    await visitor.look("search")
    await page.get_by_placeholder("Search GAZE").fill("nothing like it")
    await visitor.button("Search").click()
    await expect(page.locator(".child")).to_have_count(0)
    await visitor.look("nothing-found")
