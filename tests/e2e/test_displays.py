"""Displays in a real Home Assistant: a screen fetches, and a person sets it up by clicking."""

import asyncio
from collections.abc import AsyncGenerator
from http import HTTPStatus
from pathlib import Path
import re
from shutil import which

import aiohttp
from playwright.async_api import expect
import pytest

from testing.home_assistant import HomeAssistant, Json, wait_until
from testing.steps import generate

from ..pages import blocks
from .browser import ENGLISH
from .conftest import House, Visit, newest_version

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),  # on a machine that may be busy
    pytest.mark.usefixtures("socket_enabled"),
    newest_version,
]

INTEGRATION = "/config/integrations/integration/gaze"
IMAGE = "image.gaze_frame"
PRESET = "neon_city"
PATIENCE = 60  # seconds, on a machine that may be busy


@pytest.fixture
async def screen() -> AsyncGenerator[aiohttp.ClientSession]:
    """Return a screen that has no login."""
    async with aiohttp.ClientSession() as session:
        yield session


async def add_display(home_assistant: HomeAssistant, **fields: object) -> Json:
    """Add a display and return how `list_displays` describes it."""
    [entry] = await home_assistant.entries("gaze")
    answer = {"name": "Frame", "address": True, **fields}
    step = await home_assistant.add_subentry(entry["entry_id"], "display", answer)
    assert step["type"] == "create_entry"
    return await display(home_assistant)


async def display(home_assistant: HomeAssistant) -> Json:
    """Return how `list_displays` describes the one display."""
    response = await home_assistant.call_action("gaze", "list_displays", return_response=True)
    [found] = response["displays"]
    return dict(found)


async def show_new_image(home_assistant: HomeAssistant) -> Json:
    """Generate an image, wait until the display shows it, and return the display."""
    before = (await display(home_assistant))["job_id"]
    await generate(home_assistant, PRESET)

    async def holds() -> bool:
        return bool((await display(home_assistant))["job_id"] != before)

    await wait_until(holds, what="The new image on the display", seconds=PATIENCE)
    return await display(home_assistant)


async def run_command_of_docs(url: str, folder: Path) -> bytes:
    """Fetch with the command for a Raspberry Pi, and return what is in the file then."""
    [block] = blocks("docs/displays.md", "sh")
    command = re.sub(r"(?m)^ADDRESS=.*$", f"ADDRESS={url}", block.text)
    process = await asyncio.create_subprocess_shell(command, cwd=folder)
    assert await process.wait() == 0
    return (folder / "image.png").read_bytes()


async def test_screen_without_login_gets_bytes_of_snapshot(
    house: House, screen: aiohttp.ClientSession, tmp_path: Path
) -> None:
    home_assistant = house.home_assistant
    await add_display(
        home_assistant,
        width=160,
        height=96,
        rendering={"format": "bmp", "colors": "black_white"},
    )
    found = await show_new_image(home_assistant)
    url = f"{home_assistant.url}{found['path']}"
    token = found["path"].split("/")[4]

    async with screen.head(url) as head:
        assert head.status == HTTPStatus.OK
        length, etag = int(head.headers["Content-Length"]), head.headers["ETag"]
    async with screen.get(url) as response:
        content = await response.read()
        assert response.content_type == "image/bmp"
        assert (len(content), response.headers["ETag"]) == (length, etag)
    async with screen.get(url, headers={"If-None-Match": etag}) as response:
        assert response.status == HTTPStatus.NOT_MODIFIED
        assert await response.read() == b""
    async with screen.get(url.replace(token, "x" * len(token))) as response:
        assert response.status == HTTPStatus.NOT_FOUND

    for _ in range(2 if which("curl") else 0):  # the second time, the image is unchanged
        assert await run_command_of_docs(url, tmp_path) == content

    file = home_assistant.media / "frame.bmp"
    snapshot = {"entity_id": IMAGE, "filename": str(file)}
    await home_assistant.call_action("image", "snapshot", snapshot)
    assert file.read_bytes() == content

    await home_assistant.call_action("gaze", "delete_images", {"job_id": found["job_id"]})
    await home_assistant.stop()
    await home_assistant.start()
    await home_assistant.onboard()
    async with screen.get(url) as response:
        assert (response.status, await response.read()) == (HTTPStatus.OK, content)

    await home_assistant.call_action(
        "button", "press", {"entity_id": "button.gaze_frame_new_address"}
    )
    async with screen.get(url) as response:
        assert response.status == HTTPStatus.NOT_FOUND
    new = (await display(home_assistant))["path"]
    async with screen.get(f"{home_assistant.url}{new}") as response:
        assert (response.status, await response.read()) == (HTTPStatus.OK, content)
    assert token not in home_assistant.all_logs


async def test_display_is_added_and_changed_by_clicking(house: House, visit: Visit) -> None:
    home_assistant = house.home_assistant
    step = ("config_subentries", "display", "step", "display")
    visitor = await visit()
    page = visitor.page

    await visitor.open(INTEGRATION)
    await visitor.button("Add display").click()
    await expect(visitor.field("Name")).to_be_visible()
    await visitor.look("form")
    for name in ("rendering", "changing"):
        await visitor.button(ENGLISH.at(*step, "sections", name, "name")).click()
    await visitor.look("form-open")
    await visitor.field("Name").fill("Frame")
    await page.get_by_role("spinbutton", name="Width").fill("160")
    await visitor.button("Submit").click()
    await visitor.expect_texts(
        [ENGLISH.at("config_subentries", "display", "error", "size_incomplete")]
    )
    await visitor.look("error")
    await page.get_by_role("spinbutton", name="Height").fill("96")
    await visitor.turn_on(page.get_by_role("switch"))
    await visitor.button("Submit").click()
    address = page.locator("ha-markdown code")
    await expect(address).to_be_visible()
    await expect(address).to_contain_text((await display(home_assistant))["path"])
    await visitor.expect_pictures(page.locator("ha-markdown img"), 1)
    await visitor.look("added")
    await visitor.button("Finish").click()

    found = await show_new_image(home_assistant)
    await visitor.open(INTEGRATION)
    await page.get_by_text("GAZE Frame").click()
    await visitor.expect_texts(["Visit"])
    link = page.get_by_role("link", name=re.compile("^Visit"))
    await expect(link).to_have_attribute("href", re.compile(re.escape(found["path"]) + "$"))
    await visitor.look("device")

    await visitor.open(INTEGRATION)
    await visitor.button("Reconfigure display").click()
    await expect(page.locator("ha-markdown code")).to_contain_text(found["path"])
    await visitor.expect_pictures(page.locator("ha-markdown img"), 1)
    await visitor.look("reconfigure")
    await visitor.field("Name").fill("Kitchen")
    await visitor.button("Submit").click()
    await visitor.expect_texts(["GAZE Kitchen"])
