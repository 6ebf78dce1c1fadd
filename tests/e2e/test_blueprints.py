"""Test of the notification blueprint in a real Home Assistant, including its buttons.

The phone is one that registers as the app does. What is pushed to it arrives here, and a pressed
button goes back the way that the app sends it.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
import secrets
import shutil
from typing import override

import pytest

from testing.gaze_server import GazeServer
from testing.home_assistant import CHECKOUT, HomeAssistant, ProgramFactory, free_port
from testing.steps import add_automation, check_log, connect, first_preset, saved_image

from ..phone import Push, button, registration
from .conftest import newest_version

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("socket_enabled"), newest_version]

NAME = "images_on_phone"
BLUEPRINT = Path("blueprints") / "automation" / "gaze" / f"{NAME}.yaml"
DELIVERY = 60  # seconds until a push arrives


class HomeWithPhones(HomeAssistant):
    """A Home Assistant with the mobile app integration and the imported blueprint."""

    @override
    def prepare(self) -> None:
        """Write the configuration."""
        super().prepare()
        configuration = self.folder / "configuration.yaml"
        configuration.write_text(f"{configuration.read_text()}mobile_app:\n")
        target = self.folder / BLUEPRINT
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CHECKOUT / BLUEPRINT, target)


@pytest.fixture
async def push() -> AsyncGenerator[Push]:
    """Return the push service of the phone."""
    async with Push() as push:
        yield push


async def _arrived(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DELIVERY):
        while not condition():
            await asyncio.sleep(0.02)


async def test_notification_buttons_work_from_phone(
    tmp_path: Path, push: Push, create_program: ProgramFactory
) -> None:
    api_key = secrets.token_hex(16)
    async with (
        GazeServer(api_key=api_key, duration=None) as server,
        HomeWithPhones(
            tmp_path / "home", port=free_port(), create_program=create_program
        ) as home_assistant,
    ):
        await home_assistant.onboard()
        await connect(home_assistant, server.url, api_key)
        webhook = (await home_assistant.post("/api/mobile_app/registrations", registration(push)))[
            "webhook_id"
        ]
        devices = await home_assistant.websocket({"type": "config/device_registry/list"})
        (phone,) = [device["id"] for device in devices if device["name"] == "Phone"]
        inputs = {"phones": [phone], "images": {"entity_id": "event.gaze_generation"}}
        await add_automation(
            home_assistant,
            NAME,
            {
                "alias": "Images on the phone",
                "use_blueprint": {"path": f"gaze/{NAME}.yaml", "input": inputs},
            },
        )

        async def press(title: str) -> None:
            event = {"action": button(list(push.shown.values())[-1], title)}
            data = {"event_type": "mobile_app_notification_action", "event_data": event}
            await home_assistant.post(
                f"/api/webhook/{webhook}", {"type": "fire_event", "data": data}
            )

        async def images() -> list[str]:
            answer = await home_assistant.call_action("gaze", "list_images", return_response=True)
            return [image["job_id"] for image in answer["images"]]

        await home_assistant.call_action(
            "gaze", "generate", {"preset": await first_preset(home_assistant)}
        )
        await _arrived(lambda: push.texts == ["Queued"])
        server.begin()
        await _arrived(lambda: push.texts == ["Queued", "Generating"])
        await server.finish()
        await _arrived(lambda: "seed" in push.texts[-1])
        (first,) = await images()
        (shown,) = push.shown.values()
        picture, content_type = await home_assistant.fetch(shown["data"]["image"])
        made = saved_image(home_assistant, first).read_bytes()

        await press("Favorite")
        await press("Again")
        await _arrived(lambda: len(push.shown) == 2)
        await server.finish()
        await _arrived(lambda: "seed" in push.texts[-1])
        second, *_ = await images()

        await press("Not this one")
        await _arrived(lambda: push.texts[-1] == "clear_notification")
        left = await images()

        assert len(push.shown) == 1
        assert (picture, content_type) == (made, "image/png")
        assert second != first
        assert left == [first]
        check_log(home_assistant, api_key)
