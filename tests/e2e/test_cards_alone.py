"""Tests of the cards in a page without Home Assistant, which can respond late or not at all."""

from collections.abc import AsyncGenerator
import json
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Locator, Page, Route, expect
import pytest

from custom_components.gaze.frontend import MODULES
from testing.chromium import open_browser

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("socket_enabled")]

ORIGIN = "http://gaze.test"
# Stands in for Home Assistant: `home.send` sends the states of servers to the cards, and the other
# functions respond to them. Texts are their keys.
HOME = """
const PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7";
const localize = (key) => key.split(".").pop();
const home = {
  subscribe: async () => {},
  list: async () => ({ images: [], cursor: null }),
  act: async () => {},
  fetch: () => fetch(PIXEL),
  send: (...servers) => home.receive({ now: new Date().toISOString(), servers }),
  server: (values) => ({
    entry_id: "one", title: "GAZE", loaded: true, connected: true, status: "idle",
    presets: [{ slug: "city", name: "City" }], preset_count: 1, preset_list: "1", recipes: [],
    images: { newest: null, count: 0, changes: 0 }, jobs: [], open_jobs: 0, ...values,
  }),
  // Images, the newest first
  images: (...names) => names.map((name, number) => ({
    entry_id: "one", job_id: name, preset: "city", preset_name: name, width: 1, height: 1,
    finished_at: new Date(1e12 - number * 1e6).toISOString(),
  })),
  // A list of presets, of which a message has the first ones only
  presets: (name) => [...Array(101).keys()].map((number) => ({
    slug: `p${number}`, name: `${name} ${number}`,
  })),
  async add(kind, config = {}) {
    await import(`/${kind}.js`);
    const card = document.createElement(`gaze-${kind}`);
    card.config = config;
    card.hass = home.hass;
    document.body.replaceChildren(card);
    return card;
  },
  hass: {
    connection: {
      connected: true,
      addEventListener() {},
      async subscribeMessage(receive) {
        home.receive = receive;
        await home.subscribe();
        return async () => {};
      },
      sendMessagePromise: (command) => home.list(command),
    },
    language: "en",
    localize,
    loadBackendTranslation: async () => localize,
    fetchWithAuth: () => home.fetch(),
    callService: async (_domain, action, data) => ({ response: await home.act(action, data) }),
  },
};
"""


@pytest.fixture
async def page(socket_enabled: None) -> AsyncGenerator[Page]:
    """Return a page that can import the modules of the cards."""

    async def serve(route: Route) -> None:
        name = urlsplit(route.request.url).path[1:]
        if name:
            await route.fulfill(path=MODULES / name, content_type="text/javascript")
        else:
            await route.fulfill(
                body=f"<!doctype html><script>{HOME}</script><body>", content_type="text/html"
            )

    async with open_browser() as browser:
        page = await browser.new_page(reduced_motion="reduce")
        await page.route(f"{ORIGIN}/**", serve)
        await page.goto(ORIGIN)
        yield page


async def add_card(page: Page, kind: str, **config: Any) -> Locator:
    """Replace the card on the page."""
    await page.evaluate(f"home.add({kind!r}, {json.dumps(config)}).then(() => {{}})")
    return page.locator(f"gaze-{kind}")


async def test_choice_stays_while_long_list_of_presets_is_requested(page: Page) -> None:
    await page.evaluate("""() => {
      let requests = 0;
      const responses = {};
      home.respond = (number) => responses[number]({ presets: home.presets(`Name ${number}`) });
      home.act = () => new Promise((resolve) => { responses[++requests] = resolve; });
      home.change = (preset_list) => {
        const presets = home.presets("Short").slice(0, 100);
        home.send(home.server({ presets, preset_count: 101, preset_list }));
      };
    }""")
    card = await add_card(page, "generate")
    choice = card.locator("#preset")
    await page.evaluate("home.change('first')")
    await page.evaluate("home.respond(1)")
    await choice.select_option(label="Name 1 100")

    await page.evaluate("home.change('second')")

    await expect(choice.locator("option:checked")).to_have_text("Name 1 100")
    await page.evaluate("home.respond(2)")
    await expect(choice.locator("option:checked")).to_have_text("Name 2 100")

    # The card did not store the first list.
    await page.evaluate("home.change('first')")
    await page.evaluate("home.respond(3)")
    await expect(choice.locator("option:checked")).to_have_text("Name 3 100")


async def test_presets_of_server_appear_when_it_is_set_up(page: Page) -> None:
    card = await add_card(page, "generate")
    await page.evaluate("""() => {
      home.act = () => new Promise(() => {});
      home.send(home.server({ loaded: false, presets: [], preset_count: 0, preset_list: "" }));
      const presets = home.presets("Short").slice(0, 100);
      home.send(home.server({ presets, preset_count: 101 }));
    }""")

    await expect(card.locator("#preset option")).to_have_count(100)


async def test_search_is_shown_in_replaced_card(page: Page) -> None:
    await page.evaluate("""() => {
      home.list = async ({ search = "" }) => ({ images: home.images("a " + search), cursor: null });
    }""")
    card = await add_card(page, "gallery", search=True)
    await page.evaluate("home.send(home.server())")
    await card.get_by_label("search").fill("harbor")
    await expect(card.locator("[data-job='a harbor']")).to_be_visible()

    card = await add_card(page, "gallery", search=True)

    await expect(card.locator("[data-job='a harbor']")).to_be_visible()
    await expect(card.get_by_label("search")).to_have_value("harbor")


async def open_viewer(page: Page, name: str) -> Locator:
    """Open an image of the gallery in the large view."""
    await page.evaluate(
        """async (name) => {
          const [card] = document.body.children;
          await import("/viewer.js");
          const viewer = document.createElement("gaze-viewer");
          viewer.hass = home.hass;
          document.body.append(viewer);
          const image = card.images.find(({ job_id }) => job_id === name);
          await viewer.showDialog({ card, image });
        }""",
        name,
    )
    return page.locator("gaze-viewer")


async def test_viewer_goes_on_when_its_image_left_the_list(page: Page) -> None:
    await page.evaluate("""() => {
      home.list = async () => ({ images: home.images("a", "b", "c", "d"), cursor: null });
    }""")
    card = await add_card(page, "gallery")
    await page.evaluate("home.send(home.server())")
    await expect(card.locator(".tile")).to_have_count(4)
    viewer = await open_viewer(page, "c")
    await expect(viewer.locator("header span")).to_have_text("3 / 4")

    remove = "document.body.firstChild.drop({ job_id: '%s' })"
    await page.evaluate(remove % "c")
    await page.keyboard.press("ArrowRight")
    await expect(viewer.locator("h2")).to_have_text("d")
    await expect(viewer.locator("header span")).to_have_text("3 / 3")
    await page.evaluate(remove % "d")
    await viewer.locator(".details").click()

    await expect(viewer.locator("header span")).to_have_text("")
    await expect(viewer.locator(".next")).to_have_count(0)
    await viewer.locator(".previous").click()
    await expect(viewer.locator("h2")).to_have_text("b")


async def test_card_of_server_that_is_gone_says_so(page: Page) -> None:
    card = await add_card(page, "generate", server="gone")
    await page.evaluate("home.send(home.server())")

    await expect(card.get_by_text("no_server")).to_be_visible()


async def test_form_shows_first_server_when_the_chosen_one_is_removed(page: Page) -> None:
    card = await add_card(page, "generate")
    await page.evaluate(
        "home.send(home.server(), home.server({ entry_id: 'two', title: 'Attic' }))"
    )
    await card.get_by_label("server").select_option(label="Attic")

    await page.evaluate("home.send(home.server())")

    await expect(card.locator("#server")).to_have_count(0)
    await expect(card.locator("form")).to_be_visible()


async def test_late_listing_does_not_replace_newer_result(page: Page) -> None:
    await page.evaluate("""() => {
      home.responses = [];
      home.list = () => new Promise((resolve, reject) => home.responses.push({ resolve, reject }));
      home.respond = (number, name) =>
        home.responses[number].resolve({ images: home.images(name), cursor: null });
      home.change = (changes) => {
        home.send(home.server({ images: { newest: null, count: 1, changes } }));
      };
    }""")
    card = await add_card(page, "generate")
    for changes in range(3):
        await page.evaluate(f"home.change({changes})")
    await page.evaluate("home.responses[0].reject({})")

    await page.evaluate("home.respond(2, 'new')")
    await expect(card.locator(".result")).to_have_attribute("data-job", "new")
    await page.evaluate("home.respond(1, 'old')")
    # It renders after that.
    await page.evaluate("document.body.firstChild.update()")

    await expect(card.locator(".result")).to_have_attribute("data-job", "new")


async def test_image_counts_as_deleted_only_when_home_assistant_has_started(page: Page) -> None:
    await page.evaluate("""() => {
      home.list = async () => ({ images: home.images("a"), cursor: null });
      home.subscribe = async () => { throw new Error("Unknown command"); };
      let requests = 0;
      home.fetch = async () => (requests++ ? fetch(PIXEL) : new Response("", { status: 404 }));
    }""")
    card = await add_card(page, "gallery")
    await expect(card.locator(".tile img")).to_be_visible()

    await page.evaluate("""() => {
      home.subscribe = async () => {};
      home.list = async () => ({ images: home.images("b", "a"), cursor: null });
      home.fetch = async () => new Response("", { status: 404 });
    }""")
    card = await add_card(page, "gallery", title="Live")
    await page.evaluate("home.send(home.server())")
    await expect(card.get_by_text("no_images")).to_be_visible()


@pytest.mark.parametrize(
    ("layout", "steps"),
    [
        ("strip", [("2", "ArrowDown", "2"), ("2", "ArrowUp", "2"), ("2", "ArrowRight", "3")]),
        ("hero", [("0", "ArrowDown", "1"), ("2", "ArrowDown", "5"), ("3", "ArrowUp", "0")]),
        ("grid", [("0", "ArrowDown", "3"), ("4", "ArrowUp", "1"), ("4", "End", "6")]),
    ],
)
async def test_arrow_keys_move_focus_between_rows(
    page: Page, layout: str, steps: list[tuple[str, str, str]]
) -> None:
    await page.set_viewport_size({"width": 520, "height": 900})  # three columns
    await page.evaluate("""() => {
      home.list = async () => ({ images: home.images(..."0123456"), cursor: null });
    }""")
    card = await add_card(page, "gallery", layout=layout)
    await page.evaluate("home.send(home.server())")
    await expect(card.locator(".tile")).to_have_count(7)
    for start, key, end in steps:
        await card.locator(f"[data-job='{start}']").focus()
        await page.evaluate("import('/keys.js').then(() => {})")
        await page.keyboard.press(key)
        await expect(card.locator(f"[data-job='{end}']")).to_be_focused()
