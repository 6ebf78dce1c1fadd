"""A recipe is added, run, changed, and deleted by clicking."""

from collections.abc import AsyncGenerator
import re
import secrets
from urllib.parse import quote

from playwright.async_api import Locator, expect
import pytest

from testing.gaze_server import GazeServer

from .browser import ENGLISH, Visitor
from .conftest import House, Visit, newest_version

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),  # on a machine that may be busy
    pytest.mark.usefixtures("socket_enabled"),
    newest_version,
]

INTEGRATION = "/config/integrations/integration/gaze"
FORM = ("config_subentries", "recipe")
BUTTON = "button.gaze_morning_wallpaper_generate"


@pytest.fixture
async def gaze(socket_enabled: None) -> AsyncGenerator[GazeServer]:
    """Return a GAZE server whose images are finished by the test."""
    async with GazeServer(
        api_key=secrets.token_hex(16), duration=None, seed=1, size=(192, 288)
    ) as server:
        yield server


def _row(visitor: Visitor, title: str) -> Locator:
    """Return the row of a recipe on the page of the integration."""
    return visitor.page.locator("ha-config-sub-entry-row").filter(has_text=title)


async def _write(visitor: Visitor, number: int, text: str) -> None:
    """Replace what is in one of the template fields."""
    field = visitor.page.locator("ha-selector-template .cm-content").nth(number)
    await field.click()
    await visitor.page.keyboard.press("Control+A")
    await visitor.page.keyboard.insert_text(text)


async def _choose_preset(visitor: Visitor, name: str) -> None:
    """Select a preset in the form."""
    await visitor.page.locator("ha-selector-select").first.click()
    await visitor.page.get_by_placeholder("Search | Add custom item").fill(name)
    await visitor.page.get_by_text(name, exact=True).last.click()


async def _press(house: House) -> None:
    """Press the button of the recipe."""
    await house.home_assistant.call_action("button", "press", {"entity_id": BUTTON})


async def _add(visitor: Visitor) -> None:
    """Add a recipe whose template fails at first, and test the template in the form."""
    page = visitor.page
    await visitor.open(INTEGRATION)
    await visitor.button("Add recipe").click()
    await visitor.expect_texts(ENGLISH.below(*FORM, "step", "recipe", "data"))
    await visitor.field("Name").fill("Morning wallpaper")
    await _choose_preset(visitor, "Neon city")
    await _write(visitor, 0, "a {{ 'rainy' }} street, {{ 1 / 0 }}")
    await visitor.button("Submit").click()
    await expect(page.get_by_text("Failed to render the template.")).to_be_visible()
    await expect(page.get_by_text("ZeroDivisionError")).to_be_visible()
    await visitor.look("template-fails")
    await _write(visitor, 0, "a {{ 'rainy' }} street")
    await visitor.button("Turn on testing").first.click()
    rendered = page.locator("ha-selector-template .rendered").first
    await expect(rendered).to_contain_text("a rainy street")
    sections = (*FORM, "step", "recipe", "sections")
    for section in ("size_and_model", "seed_and_count", "language_model"):
        await visitor.button(ENGLISH.at(*sections, section, "name")).click()
    await visitor.expect_texts(ENGLISH.below(*sections))
    await visitor.look("form")
    await visitor.button("Submit").click()
    await visitor.button(re.compile("^(?:Finish|Skip and finish)$")).click()
    await expect(_row(visitor, "Morning wallpaper")).to_be_visible()
    await visitor.look("added")


async def _run(house: House, visitor: Visitor) -> str:
    """Press the button on the page of its device, see the image in Media, and return the ID."""
    home_assistant, server = house.home_assistant, house.server
    [entry] = await home_assistant.entries("gaze")
    devices = await home_assistant.websocket({"type": "config/device_registry/list"})
    [device] = [found for found in devices if found["name"] == "GAZE Morning wallpaper"]
    await visitor.open(f"/config/devices/device/{device['id']}")
    async with home_assistant.events("gaze_event") as received:
        await visitor.button("Press").click()
        job = (await received.get())["data"]
    assert server.job(job["job_id"]).body["extra_positive"] == "a rainy street"
    await server.finish()
    job_id = {"job_id": job["job_id"]}
    done = await home_assistant.call_action("gaze", "wait", job_id, return_response=True)
    assert done["complete"]
    await visitor.look("device")
    folder = quote(f"media-source://gaze/{entry['entry_id']}/recipe/{job['recipe']}", safe="")
    root = quote("media-source://", safe="")
    await visitor.open(f"/media-browser/browser/app%2C{root}/app%2C{folder}")
    await expect(visitor.page.get_by_role("heading", level=1)).to_have_text("Morning wallpaper")
    title = re.compile("^ *Morning wallpaper · ")
    await expect(visitor.page.locator(".child .title")).to_have_text([title])
    await visitor.look("media")
    return str(job["recipe"])


async def _change(house: House, visitor: Visitor) -> None:
    """Change the name and the preset while a job is open, which is not disturbed."""
    server = house.server
    await _press(house)
    [open_job] = [record for record in server.jobs if record.is_open]
    await visitor.open(INTEGRATION)
    await _row(visitor, "Morning wallpaper").get_by_label("Reconfigure recipe").click()
    await expect(visitor.field("Name")).to_have_value("Morning wallpaper")
    await visitor.field("Name").fill("Evening wallpaper")
    await _choose_preset(visitor, "Oil painting")
    await visitor.look("reconfigure")
    await visitor.button("Submit").click()
    changed = visitor.page.get_by_text(re.compile("Re-?configuration was successful"))
    await expect(changed).to_be_visible()
    await visitor.page.get_by_text("Close", exact=True).click()
    await expect(_row(visitor, "Evening wallpaper")).to_be_visible()
    await _press(house)
    assert [record.preset.slug for record in server.jobs] == ["neon_city"] * 2 + ["oilpainting"]
    for job_id in (open_job.job_id, server.jobs[-1].job_id):
        await server.finish(job_id)
        data = {"job_id": job_id}
        done = await house.home_assistant.call_action("gaze", "wait", data, return_response=True)
        assert [job["status"] for job in done["jobs"]] == ["done"]


async def _delete(visitor: Visitor) -> None:
    """Delete the recipe."""
    row = _row(visitor, "Evening wallpaper")
    await row.get_by_label("Menu").first.click()
    await visitor.page.get_by_role("menuitem", name="Delete").click()
    await visitor.button("Delete").click()
    await expect(row).to_have_count(0)
    await visitor.look("deleted")


async def test_recipe_is_added_run_changed_and_deleted_by_clicking(
    house: House, visit: Visit
) -> None:
    visitor = await visit(1280, 1100)

    await _add(visitor)
    recipe_id = await _run(house, visitor)
    await _change(house, visitor)
    await _delete(visitor)

    images = await house.home_assistant.call_action(
        "gaze", "list_images", {"recipe": recipe_id}, return_response=True
    )
    names = [image["recipe_name"] for image in images["images"]]
    assert names == ["Evening wallpaper", "Morning wallpaper", "Morning wallpaper"]
    assert await house.home_assistant.state(BUTTON) is None
