"""Helpers of the end-to-end tests of the cards."""

from typing import Any

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page

from testing.home_assistant import HomeAssistant

DASHBOARD = "gaze-cards"
# Nothing to scroll, so that new images appear at once
TALL = (1280, 1800)
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


async def generate(home_assistant: HomeAssistant, preset: str, count: int = 1) -> list[str]:
    """Generate images and return their jobs, when all are saved."""
    data = {"preset": preset, "count": count, "wait": True}
    response = await home_assistant.call_action("gaze", "generate", data, return_response=True)
    return [job["job_id"] for job in response["jobs"]]
