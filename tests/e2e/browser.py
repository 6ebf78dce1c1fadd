"""What a person sees in the browser: the texts of a page and its picture, and what goes wrong."""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
import json
from pathlib import Path
import re
from typing import Any, Final

from playwright.async_api import (
    ConsoleMessage,
    Locator,
    Page,
    Response,
    TimeoutError as PlaywrightTimeoutError,
    expect,
)
import pytest

from testing.home_assistant import CHECKOUT

TRANSLATIONS: Final = CHECKOUT / "custom_components" / "gaze" / "translations"
# Milliseconds; the frontend's first load on a busy machine
LOADING: Final = 30_000
# Seconds between two looks at a page
_AGAIN: Final = 0.2
# Milliseconds until a switch shows that it was turned
_SETTLING: Final = 5_000
expect.set_options(timeout=LOADING)

# The text nodes that are seen, in order; what a code editor holds is no text of the page.
_SEEN: Final = """() => {
  const texts = [];
  const read = (node) => {
    if (node.nodeType === Node.TEXT_NODE) {
      if (node.textContent.trim()) texts.push(node.textContent.trim());
      return;
    }
    if (node.nodeType === Node.ELEMENT_NODE) {
      if (["STYLE", "SCRIPT", "HA-CODE-EDITOR"].includes(node.tagName)) return;
      if (getComputedStyle(node).display !== "contents" && !node.checkVisibility()) return;
      if (["INPUT", "TEXTAREA"].includes(node.tagName) && node.placeholder) {
        texts.push(node.placeholder);
      }
      if (node.shadowRoot) node.shadowRoot.childNodes.forEach(read);
    }
    node.childNodes.forEach(read);
  };
  read(document.body);
  return texts;
}"""

# The ID of the automation with a name, null until Home Assistant has it
_ID_OF_AUTOMATION: Final = """(name) =>
  Object.values(document.querySelector("home-assistant").hass.states).find(
    (state) => state.entity_id.startsWith("automation.") && state.attributes.friendly_name === name
  )?.attributes.id ?? null"""

# What the frontend does when a link is clicked
_NAVIGATE: Final = """(path) => {
  history.pushState(null, "", path);
  dispatchEvent(new CustomEvent("location-changed", { detail: { replace: false } }));
}"""

# What stands where a translation or a value is missing
_RAW: Final = re.compile(
    r"\bcomponent\.|\bconfig\.(?:step|error|abort)\b|\boptions\.step\b|\bservices\.\w+\."
    r"|\bui\.(?:card|common|components|dialogs|panel)\."
    r"|\bstate_attributes\b|\bundefined\b|\[object |\bNaN\b|\{\w+\}"
)
# The brand pictures of others come from the internet.
BRANDS_OF_OTHERS: Final = re.compile(r"/api/brands/(?!integration/gaze/)")
# The frontend's own, when a dialog closes before its last request is answered
_FRONTENDS_OWN: Final = re.compile(r"^disconnected$")


class Texts:
    """The texts of the integration in a language."""

    def __init__(self, language: str = "en") -> None:
        """Read them. Raises FileNotFoundError where the language has none."""
        self._texts: dict[str, Any] = json.loads((TRANSLATIONS / f"{language}.json").read_text())

    def at(self, *path: str) -> str:
        """Return the text at a path of keys."""
        text: Any = self._texts
        for key in path:
            text = text[key]
        return str(text)

    def below(self, *path: str) -> list[str]:
        """Return all texts below a path of keys."""
        part: Any = self._texts
        for key in path:
            part = part[key]
        return list(_strings(part))

    def section_names(self, action: str) -> list[str]:
        """Return the names of the collapsed sections of an action's form."""
        sections = self._texts["services"][action].get("sections", {})
        return [section["name"] for section in sections.values()]

    def entity_names(self, *, leave_out: Collection[str] = ()) -> list[str]:
        """Return the names of the entities, except those with some keys.

        An entity without a name has that of its device class.
        """
        return [
            entity["name"]
            for platform in self._texts["entity"].values()
            for key, entity in platform.items()
            if "name" in entity and key not in leave_out
        ]

    def keys(self) -> set[str]:
        """Return the keys that a page shows where the text of a field or an entity is missing."""
        keys: set[str] = set()
        for step in (*self._texts["config"]["step"].values(), self._texts["options"]["step"]):
            keys |= _keys({name: step.get(name, {}) for name in ("data", "sections")})
        keys |= _keys(self._texts["entity"]) | _keys(self._texts["selector"])
        keys |= {*self._texts["triggers"], *self._texts["conditions"]}
        for action in self._texts["services"].values():
            keys |= {*action.get("fields", {}), *action.get("sections", {})}
        return keys


def _strings(part: Any) -> Iterable[str]:
    if isinstance(part, Mapping):
        for value in part.values():
            yield from _strings(value)
    else:
        yield str(part)


def _keys(part: Any) -> set[str]:
    if not isinstance(part, Mapping):
        return set()
    return set(part).union(*map(_keys, part.values()))


ENGLISH: Final = Texts()
FINISHED: Final = ENGLISH.at("triggers", "image_finished", "name")
# A number on a page is no key.
_KEYS: Final = {key for key in ENGLISH.keys() - {"unknown"} if not key.isdecimal()}


def _is_raw(text: str) -> bool:
    words = {word for word in re.findall(r"\w+", text) if "_" in word}
    return bool(_RAW.search(text) or text in _KEYS or words & _KEYS)


def squeezed(text: str, **placeholders: str) -> str:
    """Return a text as it is shown, without its spaces, which depend on the layout."""
    for name, value in placeholders.items():
        text = text.replace(f"{{{name}}}", value)
    return re.sub(r"[\s\u2066-\u2069]+|\*\*|`", "", text)


class Visitor:
    """A user who looks at Home Assistant in a browser, and notes its problems.

    `screenshots` is the folder of what was looked at. `expected` are patterns of problems that
    the test provokes.
    """

    def __init__(self, page: Page, url: str, screenshots: Path) -> None:
        """Watch a page; `url` is the address of Home Assistant."""
        self.page = page
        self.expected: list[str] = []
        self._problems: list[str] = []
        self._url = url
        self._screenshots = screenshots
        page.on("console", self._note_message)
        page.on("pageerror", self._note_error)
        page.on("response", self._note_response)

    def unexpected_problems(self) -> list[str]:
        """Return the errors of the page, in the browser's console and of its requests."""
        return [
            problem
            for problem in self._problems
            if not any(re.search(pattern, problem) for pattern in self.expected)
        ]

    async def open(self, path: str) -> None:
        """Load the page at a path.

        A dialog that closes goes back in the history, which would interrupt a load. Wait for that.
        """
        with suppress(PlaywrightTimeoutError):  # a dialog that is left open
            await self.page.wait_for_function("!history.state?.dialog", timeout=_SETTLING)
        await self.page.goto(self._url + path)

    async def show(self, path: str, replaced: Locator) -> None:
        """Show another page like a link does, which takes less CPU time than loading it.

        Wait until the page no longer contains `replaced`.
        """
        old = await replaced.element_handle()
        await self.page.evaluate(_NAVIGATE, path)
        await self.page.wait_for_function("(old) => !old.isConnected", arg=old)

    def button(self, name: str | re.Pattern[str]) -> Locator:
        """Return the button with exactly this name."""
        return self.page.get_by_role("button", name=name, exact=True)

    def field(self, name: str) -> Locator:
        """Return the field to type into whose label begins like this."""
        return self.page.get_by_role("textbox", name=re.compile(f"^{re.escape(name)}"))

    async def turn_on(self, switch: Locator) -> None:
        """Turn a switch on. It may miss a key press while it is rendered, so repeat it."""
        async with asyncio.timeout(LOADING / 1000):
            while not await switch.is_checked():
                await switch.press("Space")
                # Another press before the switch has changed would turn it off again.
                with suppress(AssertionError):
                    await expect(switch).to_be_checked(timeout=_SETTLING)

    async def expect_no_raw_text(self) -> None:
        """Wait until neither keys nor placeholders are seen: some texts are loaded late."""
        raw: list[str] = []
        try:
            async with asyncio.timeout(LOADING / 1000):
                while raw := [text for text in await self._seen() if _is_raw(text)]:
                    await asyncio.sleep(_AGAIN)
        except TimeoutError:
            pytest.fail(f"Raw keys on the page: {raw}")

    async def expect_texts(self, texts: Iterable[str], **placeholders: str) -> None:
        """Wait until all texts are seen; none may be left raw then."""
        wanted = {squeezed(text, **placeholders): text for text in texts}
        missing = list(wanted.values())

        try:
            async with asyncio.timeout(LOADING / 1000):
                while True:
                    page = squeezed("".join(await self._seen()))
                    missing = [text for short, text in wanted.items() if short not in page]
                    if not missing:
                        break
                    await asyncio.sleep(_AGAIN)
        except TimeoutError:
            pytest.fail(f"Not seen: {missing}")
        await self.expect_no_raw_text()

    async def look(self, name: str) -> None:
        """Keep a picture of the page, on which no raw key is seen."""
        await self.expect_no_raw_text()
        number = len(list(self._screenshots.glob("*.png"))) + 1
        await self.page.screenshot(
            path=self._screenshots / f"{number:02}-{name}.png", animations="disabled"
        )

    async def expect_pictures(self, pictures: Locator, count: int) -> None:
        """Wait until there are so many pictures, and all of them have loaded."""
        await expect(pictures).to_have_count(count)
        for picture in await pictures.all():
            await expect(picture).not_to_have_js_property("naturalWidth", 0)

    async def expect_no_sideways_scrolling(self) -> None:
        """Nothing of the page may stand out on the right."""
        wide = await self.page.evaluate(
            "() => [document.scrollingElement.scrollWidth, document.documentElement.clientWidth]"
        )
        assert wide[0] <= wide[1]

    async def _seen(self) -> list[str]:
        texts: list[str] = await self.page.evaluate(_SEEN)
        return texts

    def _note_message(self, message: ConsoleMessage) -> None:
        # Failed requests are noted as such.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self._problems.append(f"Console: {message.text} {message.location}")

    def _note_error(self, error: Exception) -> None:
        if not _FRONTENDS_OWN.search(str(error)):
            self._problems.append(f"Page: {error}")

    def _note_response(self, response: Response) -> None:
        if response.status >= 400 and not BRANDS_OF_OTHERS.search(response.url):
            self._problems.append(f"Request: {response.status} {response.url.partition('?')[0]}")


def option(page: Page, text: str) -> Locator:
    """Return the first option of an open picker that contains a text."""
    # Until 2026.10, the options of the target picker have no role.
    return page.locator("ha-combo-box-item, [role=option]").filter(has_text=text).first


async def add_trigger(visitor: Visitor, target: str, tag: str | None = None) -> None:
    """Add a trigger for finished images of a target to the open automation."""
    page = visitor.page
    await visitor.button("Add trigger").click()
    await page.get_by_placeholder("Search").fill(FINISHED)
    await page.get_by_text(FINISHED, exact=True).last.click()
    await visitor.button("Add target").click()
    await page.get_by_placeholder("Search").fill(target)
    await option(page, target).click()
    await expect(page.locator("ha-target-picker")).to_contain_text(target)
    if tag is not None:
        field = page.locator("ha-service-control, ha-automation-trigger-platform")
        await visitor.turn_on(field.get_by_role("checkbox").first)
        await field.get_by_role("textbox").first.fill(tag)


async def save_automation(visitor: Visitor, name: str) -> str:
    """Save the open automation and return its ID."""
    page = visitor.page
    await visitor.button("Save").click()
    await page.get_by_role("textbox", name="Name").fill(name)
    await visitor.button("Save").last.click()
    # The address is no proof. On a slow machine, the closing dialog of 2026.10 goes back to the
    # address of a new automation.
    saved = await page.wait_for_function(_ID_OF_AUTOMATION, arg=name, timeout=LOADING)
    return str(await saved.json_value())
