"""A phone with the app of Home Assistant: its push service, registration, and buttons."""

from typing import Any, Self

from aiohttp import web


class Push:
    """A local push service that stores the notifications sent to a phone."""

    def __init__(self) -> None:
        """Start without notifications."""
        self.messages: list[dict[str, Any]] = []
        self.url = ""
        application = web.Application()
        application.router.add_post("/push", self._take)
        self._runner = web.AppRunner(application)

    async def __aenter__(self) -> Self:
        """Start the HTTP server."""
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/push"
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop the HTTP server."""
        await self._runner.cleanup()

    @property
    def texts(self) -> list[str]:
        """Return the texts of the notifications."""
        return [message["message"] for message in self.messages]

    @property
    def shown(self) -> dict[str, dict[str, Any]]:
        """Return the visible notifications by tag. A new one replaces one with the same tag."""
        shown: dict[str, dict[str, Any]] = {}
        for message in self.messages:
            shown[message["data"]["tag"]] = message
        return {tag: last for tag, last in shown.items() if last["message"] != "clear_notification"}

    async def _take(self, request: web.Request) -> web.Response:
        self.messages.append(await request.json())
        return web.json_response({}, status=201)


def registration(push: Push, name: str = "Phone") -> dict[str, Any]:
    """Return the data with which the app registers a phone."""
    return {
        "app_data": {"push_token": "token", "push_url": push.url},
        "app_id": "io.example",
        "app_name": "Home Assistant",
        "app_version": "2026.10",
        "device_id": name.lower(),
        "device_name": name,
        "manufacturer": "Example",
        "model": "Phone",
        "os_name": "Android",
        "os_version": "17",
        "supports_encryption": False,
    }


def button(message: dict[str, Any], title: str) -> str:
    """Return the action of a notification button."""
    actions = {action["title"]: action["action"] for action in message["data"]["actions"]}
    return str(actions[title])
