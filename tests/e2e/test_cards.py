"""Tests of the cards in a real frontend."""

import asyncio
import json
import re
from typing import Any

from playwright.async_api import Locator, Page, expect
import pytest

from testing.chromium import count_image_bytes, count_renders
from testing.home_assistant import HomeAssistant

from .browser import ENGLISH, LOADING, TRANSLATIONS, Visitor
from .common import (
    CARDS,
    DASHBOARD,
    TALL,
    add_dashboard,
    expect_accessible,
    generate,
    note_requests,
)
from .conftest import House, Visit

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),  # on a machine that may be busy
    pytest.mark.usefixtures("socket_enabled"),
]


async def test_gallery_shows_arrivals_filters_marks_and_deletions(
    house: House, visit: Visit
) -> None:
    home_assistant = house.home_assistant
    first = await generate(home_assistant, "neon_city", 2)
    await generate(home_assistant, "paper_forest")
    await add_dashboard(home_assistant, {"views": [{"cards": CARDS}]})
    visitor = await visit(*TALL)
    requests = note_requests(visitor.page)
    await visitor.open(f"/{DASHBOARD}")
    gallery = visitor.page.locator("gaze-gallery")
    await expect(gallery.locator(".tile img")).to_have_count(3)
    await expect(visitor.page.locator("gaze-generate .result img")).to_be_visible()
    assert len([text for text in requests if LISTING in text]) == 2  # one of each card
    assert len([text for text in requests if THUMBNAIL.search(text)]) == 3
    await expect_no_renders_for_other_entity(visitor.page, home_assistant)
    await list_before_card_is_on_page(visitor.page, requests)
    await load_others_while_first_image_hangs(visitor.page)
    await choose_all_in_card_of_preset(visitor.page)
    await show_rare_states(visitor.page)

    await gallery.get_by_role("button", name="Paper forest", exact=True).click()
    await expect(gallery.locator(".tile")).to_have_count(1)
    await gallery.get_by_role("button", name="All", exact=True).click()
    await expect(gallery.locator(".tile")).to_have_count(3)

    [newest] = await generate(home_assistant, "neon_city")
    await expect(gallery.locator(".tile img")).to_have_count(4)
    await home_assistant.call_action("gaze", "delete_images", {"job_id": first})
    await expect(gallery.locator(".tile")).to_have_count(2)

    mark = {"job_id": newest, "favorite": True}
    await home_assistant.call_action("gaze", "mark_images", mark)
    await gallery.get_by_role("button", name="Favorites", exact=True).click()
    await expect(gallery.locator(".tile")).to_have_count(1)
    await expect_accessible(visitor.page)
    await gallery.get_by_role("button", name="All", exact=True).click()
    await expect(gallery.locator(".tile")).to_have_count(2)
    await hide_and_undo(visitor.page)
    await reload_server(gallery, home_assistant)
    await scroll_while_image_arrives(visitor, home_assistant)
    await scroll_to_result(visitor.page)
    await expect_every_language(visitor)


async def expect_no_renders_for_other_entity(page: Page, home_assistant: HomeAssistant) -> None:
    """Change another entity. The cards may still be rendered for changes of their own at first."""
    async with asyncio.timeout(LOADING / 1000):
        while await count_renders(page, home_assistant, 10):
            pass


async def list_before_card_is_on_page(page: Page, requests: list[str]) -> None:
    """Add a card to the page after it has listed its images: it lists them only once."""
    requests.clear()
    card = await page.evaluate_handle(CREATE_CARD)
    await page.wait_for_function("(card) => card.firstChild.loaded", arg=card)
    await card.evaluate("(card) => document.body.append(card)")
    await expect(page.locator("body > gaze-gallery-card .tile img")).to_have_count(3)
    assert len([text for text in requests if LISTING in text]) == 1
    await card.evaluate("(card) => card.remove()")


async def load_others_while_first_image_hangs(page: Page) -> None:
    """Add a card in view whose first request never gets a response: it shows its other images."""
    card = await page.evaluate_handle(ADD_CARD_WITH_HANGING_IMAGE)
    await expect(page.locator("body > gaze-gallery-card .tile img")).to_have_count(2)
    await card.evaluate("(card) => card.remove()")


async def choose_all_in_card_of_preset(page: Page) -> None:
    """Select *All* in a card for one preset: it shows all images of this preset."""
    card = await page.evaluate_handle(ADD_CARD_OF_PRESET)
    shown = page.locator("body > gaze-gallery-card")
    await expect(shown.locator(".tile")).to_have_count(1)
    # The dashboard covers the card.
    await shown.get_by_role("button", name="All", exact=True).dispatch_event("click")
    await page.wait_for_function("(card) => card.firstChild.loaded", arg=card)
    await expect(shown.locator(".tile")).to_have_count(1)
    await card.evaluate("(card) => card.remove()")


async def show_rare_states(page: Page) -> None:
    """Use modules with what takes long to happen."""
    assert await page.evaluate(PROGRESS_OF_LONG_QUEUE) == "Generating 1 of 20"
    assert await page.evaluate(IMAGES_UNTIL_SLIDESHOW_LISTS_MORE) == 2


async def reload_server(gallery: Locator, home_assistant: HomeAssistant) -> None:
    """Reload the server: its images stay in the gallery, and the next one arrives."""
    await gallery.evaluate(NOTE_FEWEST_TILES)
    [entry] = await home_assistant.entries("gaze")
    await home_assistant.reload(entry["entry_id"])
    await generate(home_assistant, "neon_city")
    await expect(gallery.locator(".tile img")).to_have_count(3)
    assert await gallery.evaluate("(card) => card.fewest") >= 2


async def hide_and_undo(page: Page) -> None:
    """Hide an image in its card and in the large view, and show it again from the message."""
    tiles = page.locator("gaze-gallery .tile")
    undo = page.get_by_role("button", name="Undo")
    await page.locator("gaze-generate button.hide").click()
    await expect(tiles).to_have_count(1)
    await undo.click()
    await expect(tiles).to_have_count(2)

    await expect(undo).to_have_count(0)
    await tiles.first.click()
    await page.locator("gaze-viewer button.hide").click()
    await expect(tiles).to_have_count(1)
    await page.keyboard.press("Escape")
    await undo.click()
    await expect(tiles).to_have_count(2)


async def scroll_to_result(page: Page) -> None:
    """Generate on a small screen: the result scrolls into view."""
    card = page.locator("gaze-generate")
    await page.set_viewport_size({"width": 390, "height": 300})
    send = card.locator(".send button")
    await send.scroll_into_view_if_needed()
    await expect(card.locator(".result")).not_to_be_in_viewport()
    await send.click()
    await expect(card.locator(".result")).to_be_in_viewport()


async def scroll_while_image_arrives(visitor: Visitor, home_assistant: HomeAssistant) -> None:
    """Look at an older image while one arrives: nothing moves until people want to see it."""
    page = visitor.page
    gallery = page.locator("gaze-gallery")
    await generate(home_assistant, "paper_forest", 10)
    await expect(gallery.locator(".tile")).to_have_count(13)
    await page.set_viewport_size({"width": 390, "height": 500})
    looked_at = gallery.locator(".tile").nth(9)
    await looked_at.scroll_into_view_if_needed()
    await expect(looked_at.locator("img")).to_be_visible()
    job_id = await looked_at.get_attribute("data-job")
    before = await looked_at.bounding_box()

    await generate(home_assistant, "neon_city")
    await expect(gallery.locator(".new")).to_have_text("1 new")
    await visitor.look("new")
    assert await gallery.locator(f"[data-job='{job_id}']").bounding_box() == before
    await gallery.locator(".new").click()
    await expect(gallery.locator(".tile")).to_have_count(14)
    await expect(gallery.locator(".tile img").first).to_be_in_viewport()


LISTING = '"gaze/images"'
THUMBNAIL = re.compile(r"/api/gaze/image/.*\?size=")
CREATE_CARD = """() => {
  const card = document.createElement("gaze-gallery-card");
  card.setConfig({ type: "custom:gaze-gallery-card", title: "Created" });
  card.hass = document.querySelector("home-assistant").hass;
  return card;
}"""
ADD_CARD_OF_PRESET = """() => {
  const card = document.createElement("gaze-gallery-card");
  card.setConfig({ type: "custom:gaze-gallery-card", preset: "paper_forest" });
  card.style = "position: fixed; inset: 0";
  card.hass = document.querySelector("home-assistant").hass;
  document.body.append(card);
  return card;
}"""
FOLDER = """
  const names = performance.getEntriesByType("resource").map(({ name }) => name);
  const folder = names.find((name) => /gaze_static.*shared.js/.test(name)).replace(/[^/]*$/, "");
"""
PROGRESS_OF_LONG_QUEUE = f"""async () => {{{FOLDER}
  await import(`${{folder}}progress.js`);
  const now = Date.now();
  const job = {{
    batch_id: "batch",
    count: 20,
    requested_at: new Date(now).toISOString(),
    expected_end: new Date(now + 60000).toISOString(),
  }};
  const jobs = [1, 2, 3].map((index) => ({{
    ...job, index, job_id: `${{index}}`, status: index === 1 ? "processing" : "queued"
  }}));
  const batch = Array.from({{ length: 20 }}, (_, index) => `${{index + 1}}`);
  const progress = document.createElement("gaze-progress");
  progress.card = {{ openJobs: jobs, batch, hub: {{ ahead: 0 }}, config: {{ queue: false }} }};
  await progress.update();
  return progress.root.querySelector("p").textContent;
}}"""
IMAGES_UNTIL_SLIDESHOW_LISTS_MORE = f"""async () => {{{FOLDER}
  const {{ render }} = await import(`${{folder}}slideshow.js`);
  return new Promise((resolve) => {{
    let shown = 0;
    const card = {{
      images: [{{}}, {{}}, {{}}],
      config: {{}},
      isConnected: true,
      renderTile() {{
        shown += 1;
      }},
      update() {{
        if (this.isConnected) render(this, 0.02);
      }},
      more() {{
        this.isConnected = false;
        resolve(shown);
      }},
    }};
    card.update();
  }});
}}"""
NOTE_FEWEST_TILES = """(card) => {
  card.fewest = Infinity;
  new MutationObserver(() => {
    card.fewest = Math.min(card.fewest, card.root.querySelectorAll(".tile").length);
  }).observe(card.root, { childList: true, subtree: true });
}"""
ADD_CARD_WITH_HANGING_IMAGE = """() => {
  const card = document.createElement("gaze-gallery-card");
  card.setConfig({ type: "custom:gaze-gallery-card", title: "Added" });
  document.body.append(card);
  card.style = "position: fixed; inset: 0";
  const { hass } = document.querySelector("home-assistant");
  let requests = 0;
  card.hass = {
    ...hass,
    fetchWithAuth: (...request) =>
      requests++ ? hass.fetchWithAuth(...request) : new Promise(() => {}),
  };
  return card;
}"""
SELECT_LANGUAGE = """(language) => document.querySelector("home-assistant").dispatchEvent(
  new CustomEvent("hass-language-select", { detail: language }))"""


async def expect_every_language(visitor: Visitor) -> None:
    """Show the dashboard in every language of the integration, without a raw key."""
    english = ENGLISH.at("config_panel", "cards", "generate")
    for path in sorted(TRANSLATIONS.glob("*.json")):
        cards = json.loads(path.read_text()).get("config_panel", {}).get("cards", {})
        await visitor.page.evaluate(SELECT_LANGUAGE, path.stem)
        send = visitor.page.locator("gaze-generate .send button")
        await expect(send).to_have_text(cards.get("generate", english))
        await visitor.expect_no_raw_text()
        assert "" not in await visitor.page.locator("gaze-gallery button.chip").all_inner_texts()


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


async def test_cards_fit_every_place_theme_and_direction(house: House, visit: Visit) -> None:
    await generate(house.home_assistant, "neon_city", 3)
    views = [{"path": name, "title": name, **view} for name, view in PLACES.items()]
    await add_dashboard(house.home_assistant, {"views": views})

    for width, height in ((1280, 800), (390, 844)):
        visitor = await visit(width, height)
        await visitor.page.emulate_media(color_scheme="dark" if width < 800 else "light")
        gallery = visitor.page.locator("gaze-gallery")
        for number, name in enumerate(PLACES):
            if number:
                await visitor.show(f"/{DASHBOARD}/{name}", replaced=gallery)
            else:
                await visitor.open(f"/{DASHBOARD}/{name}")
            await expect(gallery.locator(".tile img").first).to_be_visible()
            await visitor.expect_no_sideways_scrolling()
            assert await visitor.page.evaluate(CUT) == [], (name, width)
            await visitor.look(f"{name}-{width}")
        await expect_accessible(visitor.page)

    assert await count_image_bytes(visitor.page) > 0

    await house.home_assistant.websocket(
        {"type": "frontend/set_user_data", "key": "language", "value": {"language": "ar"}}
    )
    await visitor.page.evaluate("localStorage.selectedLanguage = '\"ar\"'")
    await visitor.page.reload()
    await expect(visitor.page.locator("html[dir=rtl]")).to_be_attached()
    await expect(visitor.page.locator("gaze-gallery .tile img").first).to_be_visible()
    assert await count_image_bytes(visitor.page) == 0  # all come from the cache
    await visitor.expect_no_sideways_scrolling()
    assert await visitor.page.evaluate(CUT) == []
    await visitor.look("rtl")
