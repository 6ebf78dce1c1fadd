"""Helpers that several end-to-end tests share: dashboards, images, users, and accessibility."""

import secrets
from typing import Any

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, WebSocket

from testing.home_assistant import HomeAssistant, Json

DASHBOARD = "gaze-cards"
# Nothing to scroll, so that new images appear at once
TALL = (1280, 1800)
# What a page reports while Home Assistant restarts or GAZE is off. The frontend of 2026.10 ends
# subscriptions that the restarted Home Assistant doesn't know. It doesn't handle the error 3 (lost
# connection) of a command that is under way. It cannot write an error, which the page reports too,
# to the log of a Home Assistant that is away or not ready yet.
OUTAGE = (
    r"^Request: 50|WebSocket|ERR_|Failed to fetch|Lost connection|^Page: (?:Object|3)$"
    r"|^Console: Failure writing .* to system log:"
)
CARDS = [{"type": "custom:gaze-generate-card"}, {"type": "custom:gaze-gallery-card"}]


async def add_dashboard(home_assistant: HomeAssistant, config: dict[str, Any]) -> None:
    """Add a dashboard."""
    create = {"type": "lovelace/dashboards/create", "url_path": DASHBOARD, "title": "GAZE"}
    await home_assistant.websocket(create)
    save = {"type": "lovelace/config/save", "url_path": DASHBOARD, "config": config}
    await home_assistant.websocket(save)


async def expect_accessible(page: Page) -> None:
    """Check the elements of the integration with axe."""
    found = await Axe().run(page)
    ours = [
        (violation["id"], node["target"])
        for violation in found.response["violations"]
        for node in violation["nodes"]
        if "gaze-" in str(node["target"])
    ]
    assert ours == []


def note_requests(page: Page) -> list[str]:
    """Return a list that gets each request and each WebSocket command of a page."""
    requests: list[str] = []

    def note_commands(socket: WebSocket) -> None:
        socket.on("framesent", lambda frame: requests.append(str(frame)))

    page.on("websocket", note_commands)
    page.on("request", lambda request: requests.append(request.url))
    return requests


async def generate(home_assistant: HomeAssistant, preset: str, count: int = 1) -> list[str]:
    """Generate images and return their jobs, when all are saved."""
    data = {"preset": preset, "count": count, "wait": True}
    response = await home_assistant.call_action("gaze", "generate", data, return_response=True)
    return [job["job_id"] for job in response["jobs"]]


async def add_user(home_assistant: HomeAssistant, group: str) -> Json:
    """Add a user to a group and return the tokens of a browser where the user is logged in."""
    create = {"type": "config/auth/create", "name": group, "group_ids": [group]}
    user = (await home_assistant.websocket(create))["user"]
    login = {"username": group, "password": secrets.token_hex(8)}
    command = {"type": "config/auth_provider/homeassistant/create", "user_id": user["id"]}
    await home_assistant.websocket({**command, **login})
    return await home_assistant.log_in(**login)
