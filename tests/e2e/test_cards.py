"""Tests of the cards in a real frontend."""

from typing import Any

from playwright.async_api import expect
import pytest

from testing.home_assistant import HomeAssistant

from .browser import Visitor
from .common import CARDS, DASHBOARD, TALL, add_dashboard, expect_accessible
from .conftest import House, Visit, newest_version

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),  # on a machine that may be busy
    pytest.mark.usefixtures("socket_enabled"),
]


async def generate_by_keyboard(visitor: Visitor) -> None:
    """Type a prompt and generate, with an empty gallery before."""
    page = visitor.page
    await page.get_by_label("Prompt", exact=True).fill("<b>A lighthouse</b>")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator("gaze-gallery .tile img")).to_have_count(1)
    await expect(page.locator("gaze-generate .result img")).to_be_visible()
    assert await page.locator("gaze-gallery b, gaze-generate b").count() == 0


async def delete_in_large_view(visitor: Visitor) -> None:
    """Open the image by keyboard, check its details, and delete it at the second attempt."""
    page = visitor.page
    await page.locator("gaze-gallery .tile").focus()
    await page.keyboard.press("Enter")
    viewer = page.locator("gaze-viewer")
    await expect(viewer.locator(".stage img")).to_be_visible()
    await viewer.locator(".details").press("Enter")
    await expect(viewer.locator("dl")).to_contain_text("<b>A lighthouse</b>")
    await expect_accessible(page)
    await visitor.look("large-view")

    await viewer.locator("button.delete").press("Enter")
    await expect(viewer.locator("button.no")).to_be_focused()
    await page.keyboard.press("Enter")
    await viewer.locator("button.delete").press("Enter")
    await viewer.locator("button.danger").press("Enter")

    await expect(viewer.locator("dialog[open]")).to_have_count(0)
    await expect(page.locator("gaze-gallery .tile")).to_have_count(0)


async def test_journey_from_prompt_to_deletion_needs_only_the_keyboard(
    house: House, visit: Visit
) -> None:
    await add_dashboard(house.home_assistant, {"strategy": {"type": "custom:gaze"}})
    visitor = await visit(*TALL)

    await visitor.open(f"/{DASHBOARD}")
    await expect(visitor.page.locator("gaze-generate form")).to_be_visible()
    await visitor.look("empty")
    await generate_by_keyboard(visitor)
    await visitor.look("finished")
    await expect_accessible(visitor.page)
    await visitor.expect_no_sideways_scrolling()
    await delete_in_large_view(visitor)


SET_INVALID = """() => {
  try {
    document.createElement("gaze-gallery-card").setConfig({ layout: "circle" });
  } catch (error) {
    return error.message;
  }
}"""


async def test_invalid_configuration_shows_what_helps(house: House, visit: Visit) -> None:
    cards = [{"type": "custom:gaze-gallery-card", "layout": "circle"}]
    await add_dashboard(house.home_assistant, {"views": [{"cards": cards}]})
    visitor = await visit()

    await visitor.open(f"/{DASHBOARD}")

    await expect(visitor.page.locator("hui-error-card")).to_be_visible()
    error = await visitor.page.evaluate(SET_INVALID)
    assert error == 'Change "layout" to one of these values: grid, hero, strip.'


async def generate(home_assistant: HomeAssistant, preset: str, count: int = 1) -> list[str]:
    """Generate images and return their jobs, when all are saved."""
    data = {"preset": preset, "count": count, "wait": True}
    response = await home_assistant.call_action("gaze", "generate", data, return_response=True)
    return [job["job_id"] for job in response["jobs"]]


@newest_version
async def test_gallery_follows_arrivals_filters_marks_and_deletions(
    house: House, visit: Visit
) -> None:
    home_assistant = house.home_assistant
    first = await generate(home_assistant, "neon_city", 2)
    await generate(home_assistant, "paper_forest")
    await add_dashboard(home_assistant, {"views": [{"cards": CARDS}]})
    visitor = await visit(*TALL)
    await visitor.open(f"/{DASHBOARD}")
    gallery = visitor.page.locator("gaze-gallery")
    await expect(gallery.locator(".tile img")).to_have_count(3)

    await gallery.get_by_role("button", name="Paper forest", exact=True).click()
    await expect(gallery.locator(".tile")).to_have_count(1)
    await gallery.get_by_role("button", name="All", exact=True).click()
    await expect(gallery.locator(".tile")).to_have_count(3)

    await generate(home_assistant, "neon_city")
    await expect(gallery.locator(".tile img")).to_have_count(4)
    await home_assistant.call_action("gaze", "delete_images", {"job_id": first})
    await expect(gallery.locator(".tile")).to_have_count(2)

    await mark_and_download(visitor, home_assistant)
    await gallery.get_by_role("button", name="Favorites", exact=True).click()
    await expect(gallery.locator(".tile")).to_have_count(1)
    await expect_accessible(visitor.page)


async def mark_and_download(visitor: Visitor, home_assistant: HomeAssistant) -> None:
    """Mark the newest image as a favorite, and download its bytes."""
    result = visitor.page.locator("gaze-generate")
    job_id = await result.locator(".tile").get_attribute("data-job")
    await result.locator("button.favorite").click()
    await expect(result.locator("button.unfavorite")).to_be_visible()

    async with visitor.page.expect_download() as downloading:
        await result.locator("button.download").click()
    path = await (await downloading.value).path()
    [entry] = await home_assistant.entries("gaze")
    content, _ = await home_assistant.fetch(f"/api/gaze/image/{entry['entry_id']}/{job_id}")

    assert path.read_bytes() == content


PLACES: dict[str, dict[str, Any]] = {
    "masonry": {"type": "masonry", "cards": CARDS},
    "panel": {"type": "panel", "cards": CARDS[1:]},
    "rows": {
        "type": "sections",
        "sections": [
            {"type": "grid", "cards": [{**card, "grid_options": {"rows": 5}} for card in CARDS]}
        ],
    },
    "narrow": {
        "type": "sections",
        "sections": [
            {"type": "grid", "cards": [{**card, "grid_options": {"columns": 6}} for card in CARDS]}
        ],
    },
}
# Parts that stand out of their card on the left or on the right
CUT = """() => {
  const found = [];
  const walk = (node, box) => {
    if (node.localName === "ha-card") box = node.getBoundingClientRect();
    const { left, right } = node.getBoundingClientRect ? node.getBoundingClientRect() : {};
    const scrolls = node.getBoundingClientRect && getComputedStyle(node).overflowX === "auto";
    if (box && right - left > 1 && (left < box.left - 1 || right > box.right + 1)) {
      found.push(node.outerHTML.slice(0, 200));
    }
    if (scrolls && node.classList.contains("images")) return;
    if (node.shadowRoot) walk(node.shadowRoot, box);
    node.childNodes.forEach((child) => walk(child, box));
  };
  const start = (node) => {
    if (/^gaze-(gallery|generate)$/.test(node.localName)) walk(node.shadowRoot);
    else {
      if (node.shadowRoot) start(node.shadowRoot);
      node.childNodes.forEach(start);
    }
  };
  start(document.body);
  return found;
}"""


@newest_version
async def test_cards_fit_every_place_theme_and_direction(house: House, visit: Visit) -> None:
    await generate(house.home_assistant, "neon_city", 3)
    views = [{"path": name, "title": name, **view} for name, view in PLACES.items()]
    await add_dashboard(house.home_assistant, {"views": views})

    for width, height in ((1280, 800), (390, 844)):
        visitor = await visit(width, height)
        await visitor.page.emulate_media(color_scheme="dark" if width < 800 else "light")
        for name in PLACES:
            await visitor.open(f"/{DASHBOARD}/{name}")
            await expect(visitor.page.locator("gaze-gallery .tile img").first).to_be_visible()
            await visitor.expect_no_sideways_scrolling()
            assert await visitor.page.evaluate(CUT) == [], (name, width)
            await visitor.look(f"{name}-{width}")
        await expect_accessible(visitor.page)

    await house.home_assistant.websocket(
        {"type": "frontend/set_user_data", "key": "language", "value": {"language": "ar"}}
    )
    await visitor.page.evaluate("localStorage.selectedLanguage = '\"ar\"'")
    await visitor.page.reload()
    await expect(visitor.page.locator("html[dir=rtl]")).to_be_attached()
    await expect(visitor.page.locator("gaze-gallery .tile img").first).to_be_visible()
    await visitor.expect_no_sideways_scrolling()
    assert await visitor.page.evaluate(CUT) == []
    await visitor.look("rtl")


@newest_version
async def test_dashboard_is_offered_in_the_frontend(house: House, visit: Visit) -> None:
    await generate(house.home_assistant, "neon_city")
    await add_dashboard(house.home_assistant, {"views": [{"type": "sections", "sections": []}]})
    visitor = await visit(1280, 1000)
    page = visitor.page

    await visitor.open("/config/lovelace/dashboards")
    await page.get_by_role("button", name="Add dashboard").click()
    await expect(page.locator("dashboard-card").get_by_text("GAZE", exact=True)).to_be_visible()
    await visitor.look("community-dashboards")
