"""Tests of adding and reconfiguring a server in a browser.

`LANGUAGES="de fr"` names the languages to look at besides English.
"""

import os
import re
from typing import Any, Literal

from playwright.async_api import expect
import pytest

from testing.home_assistant import AnswerError, HomeAssistant, free_port, wait_until
from testing.steps import DELIVERY

from .browser import ENGLISH, TRANSLATIONS, Texts, Visitor
from .conftest import House, Visit, newest_version

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),  # on a machine that may be busy
    pytest.mark.usefixtures("socket_enabled"),
    newest_version,
]

INTEGRATIONS = "/config/integrations/dashboard"
INTEGRATION = "/config/integrations/integration/gaze"
KNOWS_THEMES = """() => {
  const hass = document.querySelector("home-assistant")?.hass;
  return Boolean(hass?.config && hass.themes);
}"""
SHOWS_THEME = """(dark) =>
  document.querySelector("home-assistant").hass.themes.darkMode === dark"""
EXAMPLE = {"example_url": "https://gaze.example.org/prefix"}
PRESETS = (
    "Watercolour harbour",
    "Oil painting",
    "Neon city",
    "Kirschblüte im Regen",
    "Paper forest",
)

# Entities of displays, and one that is disabled by default
NOT_ON_SERVER = {"next", "previous", "new_address", "hold", "last_fetched", "kept_images"}


async def _expect_form(visitor: Visitor, texts: Texts, step: str, **placeholders: str) -> None:
    """Wait until all texts of a setup step are visible, with open sections."""
    path = ("config", "step", step)
    advanced = visitor.button(texts.at(*path, "sections", "advanced", "name"))
    await advanced.click()
    await expect(advanced).to_have_attribute("aria-expanded", "true")
    await visitor.expect_texts(texts.below(*path), **EXAMPLE, **placeholders)


async def _refused(visitor: Visitor, error: str, *, host: str, key: str) -> None:
    """Submit invalid input, and check the error."""
    await visitor.field("Address").fill(host)
    await visitor.field("API key").fill(key)
    await visitor.button("Submit").click()
    await visitor.expect_texts([ENGLISH.at("config", "error", error)])
    await visitor.look(error)


async def _entry(home_assistant: HomeAssistant) -> dict[str, Any]:
    [entry] = await home_assistant.entries("gaze")
    return entry


async def test_server_is_added_in_browser(empty_house: House, visit: Visit) -> None:
    home_assistant, server = empty_house.home_assistant, empty_house.server
    visitor = await visit()
    page = visitor.page

    await visitor.open(INTEGRATIONS)
    await visitor.button("Add integration").click()
    await page.get_by_placeholder("Search for a brand name").fill("gaze")
    found = visitor.button("GAZE")
    await expect(found).to_be_visible()
    await visitor.look("search")
    await found.click()
    await expect(visitor.field("Address")).to_be_visible()
    await visitor.look("form")
    await _expect_form(visitor, ENGLISH, "user")
    await visitor.look("form-open")

    wrong = server.url.replace("http:", "https:")
    await _refused(visitor, "invalid_host", host="gaze.local?", key=server.api_key)
    await _refused(visitor, "cannot_connect", host=f"127.0.0.1:{free_port()}", key=server.api_key)
    await _refused(visitor, "not_gaze", host=home_assistant.url, key=server.api_key)
    await _refused(visitor, "ssl_error", host=wrong, key=server.api_key)
    await _refused(visitor, "invalid_auth", host=server.url, key="wrong")

    await visitor.field("API key").fill(server.api_key)
    await visitor.button("Submit").click()
    await expect(page.get_by_role("button", name="Skip and finish")).to_be_visible()
    await visitor.expect_pictures(page.locator("step-flow-create-entry img"), 1 + len(PRESETS))
    await visitor.look("added")
    await page.get_by_role("button", name="Skip and finish").click()

    await visitor.expect_texts(["GAZE", *(f"GAZE {preset}" for preset in PRESETS), "Add server"])
    await visitor.look("integration")
    assert (await _entry(home_assistant))["state"] == "loaded"

    await visitor.button("Add server").click()
    await visitor.field("Address").fill(server.url)
    await visitor.field("API key").fill(server.api_key)
    await visitor.button("Submit").click()
    await visitor.expect_texts([ENGLISH.at("config", "abort", "already_configured")])
    await visitor.look("again")


async def test_icon_and_logo_match_theme(house: House, visit: Visit) -> None:
    visitor = await visit()
    # A page that receives the themes before its configuration applies none while it loads.
    await visitor.open("/config")
    await visitor.page.wait_for_function(KNOWS_THEMES)
    await _expect_brand(visitor, "dark")
    await _expect_brand(visitor, "light")


async def _expect_brand(visitor: Visitor, theme: Literal["light", "dark"]) -> None:
    """Change to a theme. Check the icon and the logo on all pages that show them."""
    page = visitor.page
    brand = page.locator('img[src*="/api/brands/integration/gaze/"]')
    dark = re.compile("/dark_") if theme == "dark" else re.compile("/(?:icon|logo)")

    # An icon that is shown before the theme changes stays that of the other theme.
    await page.emulate_media(color_scheme=theme)
    await page.wait_for_function(SHOWS_THEME, arg=theme == "dark")
    shown = page.locator("ha-config-dashboard, ha-config-device-page")
    await visitor.show(INTEGRATIONS, replaced=shown)
    await visitor.expect_pictures(brand, 1)
    await expect(brand).to_have_attribute("src", dark)
    await visitor.look(f"integrations-{theme}")
    await brand.click()

    await visitor.expect_texts(["Add server"])
    await visitor.expect_pictures(brand, 1)
    await visitor.look(f"integration-{theme}")
    await page.get_by_text("GAZE Neon city").click()

    await visitor.expect_texts(["Service info"])
    await visitor.expect_pictures(brand, 2)  # the logo, and the icon of the entry
    await visitor.look(f"device-{theme}")


async def test_server_is_reconfigured_in_browser(house: House, visit: Visit) -> None:
    home_assistant, server = house.home_assistant, house.server
    visitor = await visit()
    page = visitor.page

    await visitor.open(INTEGRATION)
    await visitor.button("Configure").click()
    await visitor.expect_texts(ENGLISH.below("options", "step", "init"))
    await visitor.look("options")
    kept = page.get_by_role("spinbutton", name="Maximum number of images")
    await kept.fill("20")
    await visitor.turn_on(page.get_by_role("switch").nth(1))
    await visitor.button("Submit").click()
    await expect(page.get_by_text("Options successfully saved")).to_be_visible()
    await visitor.look("options-saved")
    await visitor.button("Finish").click()
    await visitor.button("Configure").click()
    await expect(kept).to_have_value("20")
    await expect(page.get_by_role("switch").nth(1)).to_be_checked()
    await visitor.button("Close").click()

    await page.locator("ha-config-entry-row").get_by_role("button", name="Menu").first.click()
    await page.get_by_role("menuitem", name="Reconfigure").click()
    await expect(visitor.field("Address")).to_have_value(server.url)
    await _expect_form(visitor, ENGLISH, "reconfigure")
    await visitor.look("reconfigure")
    await visitor.field("Address").fill(server.url.replace("127.0.0.1", "localhost"))
    await visitor.field("API key").fill(server.api_key)
    await visitor.button("Submit").click()
    await expect(page.get_by_text(re.compile("Re-?configuration was successful"))).to_be_visible()
    await visitor.look("reconfigured")
    await page.get_by_text("Close", exact=True).click()

    house.expected.append("GAZE rejected the API key|Authentication failed|Invalid API key")
    new_key = server.regenerate_key()
    with pytest.raises(AnswerError):
        await home_assistant.call_action(
            "button", "press", {"entity_id": "button.gaze_refresh_presets"}
        )
    await visitor.open(INTEGRATIONS)
    begin = visitor.button("Reconfigure")
    await expect(begin).to_be_visible(timeout=DELIVERY * 1000)
    await visitor.look("key-refused")
    await begin.click()
    await visitor.expect_texts(
        ENGLISH.below("config", "step", "reauth_confirm"),
        host=server.url.replace("127.0.0.1", "localhost"),
        name="GAZE",
    )
    await visitor.look("new-key")
    await visitor.field("API key").fill("wrong")
    await visitor.button("Submit").click()
    await visitor.expect_texts([ENGLISH.at("config", "error", "invalid_auth")])
    await visitor.field("API key").fill(new_key)
    await visitor.button("Submit").click()
    await expect(page.get_by_text(re.compile("Re-?authentication was successful"))).to_be_visible()
    await visitor.look("new-key-accepted")

    async def loaded() -> bool:
        return bool((await _entry(home_assistant))["state"] == "loaded")

    await wait_until(loaded, what="Connecting with the new key", seconds=DELIVERY)


@pytest.mark.parametrize("language", os.environ.get("LANGUAGES", "de").split())
async def test_other_language_is_shown_throughout(
    house: House, visit: Visit, language: str
) -> None:
    if not (TRANSLATIONS / f"{language}.json").exists():
        pytest.skip(f"There is no translation into {language}")
    texts = Texts(language)
    home_assistant = house.home_assistant
    await home_assistant.websocket(
        {
            "type": "frontend/set_user_data",
            "key": "language",
            "value": {"language": language, "number_format": "language"},
        }
    )
    # Names of entities are in Home Assistant's language, not in the user's. On a change of it,
    # Home Assistant takes the platforms of every integration for integrations, and complains.
    house.expected.append(r"Failed to load integration for translation: Invalid domain gaze\.")
    await home_assistant.websocket({"type": "config/core/update", "language": language})
    entry_id = (await _entry(home_assistant))["entry_id"]
    await home_assistant.call_action("homeassistant", "reload_config_entry", {"entry_id": entry_id})
    devices = await home_assistant.websocket({"type": "config/device_registry/list"})
    [server] = [device["id"] for device in devices if device["name"] == "GAZE"]
    visitor = await visit(1280, 2200)

    await visitor.open(INTEGRATION)
    await visitor.expect_texts([texts.at("config", "initiate_flow", "user")])
    await visitor.look("integration")
    await visitor.button(texts.at("config", "initiate_flow", "user")).click()
    await _expect_form(visitor, texts, "user")
    await visitor.look("form")

    await visitor.open(INTEGRATION)
    row = visitor.page.locator("ha-config-entry-row").first
    await row.locator("ha-icon-button[slot=end]").first.click()
    await visitor.expect_texts(texts.below("options", "step", "init"))
    await visitor.look("options")

    await visitor.open(f"/config/devices/device/{server}")
    await visitor.expect_texts(texts.entity_names(leave_out=NOT_ON_SERVER))
    await visitor.look("device")
