"""Steps with the integration in a real Home Assistant, for the demo, tests, and benchmarks."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
import sys
from urllib.parse import urljoin

import aiohttp

from .home_assistant import (
    CHECKOUT,
    DASHBOARD,
    LOCALHOST,
    DemoError,
    HomeAssistant,
    Json,
    Program,
    complaints,
    wait_until,
)

PROMPT = "golden hour, wide view"
# Maximum seconds until the result of a request is visible
DELIVERY = 10


@asynccontextmanager
async def gaze_stand_in(
    folder: Path, *, port: int, api_key: str, duration: float, checkpoint_load: float = 3
) -> AsyncGenerator[str]:
    """Run the fake GAZE server as a process that writes into `folder`. Yields its address."""
    program = Program(
        sys.executable,
        "-m",
        "testing.gaze_server",
        f"--port={port}",
        f"--api-key={api_key}",
        f"--duration={duration}",
        f"--checkpoint-load={checkpoint_load}",
        folder=CHECKOUT,
        output=folder / "gaze.out",
    )

    async def listens() -> bool:
        return "listening on" in program.output

    await program.start()
    try:
        await program.wait_ready(listens)
        yield f"http://{LOCALHOST}:{port}"
    finally:
        await program.stop()


async def connect(home_assistant: HomeAssistant, gaze_url: str, api_key: str) -> None:
    """Add the GAZE server to Home Assistant, or update its address and key."""
    entries = await home_assistant.entries("gaze")
    step = await home_assistant.flow(
        "gaze",
        {"host": gaze_url, "api_key": api_key},
        entry_id=entries[0]["entry_id"] if entries else None,
    )
    if step["type"] != "create_entry" and step.get("reason") != "reconfigure_successful":
        reason = step.get("errors") or step.get("reason")
        raise DemoError(f"Home Assistant could not add the GAZE server at {gaze_url}: {reason}")

    async def loaded() -> bool:
        return [entry["state"] for entry in await home_assistant.entries("gaze")] == ["loaded"]

    await wait_until(loaded, what="Connecting to the GAZE server", seconds=DELIVERY)


async def add_automation(home_assistant: HomeAssistant, item_id: str, config: Json) -> None:
    """Add an automation as the editor does, and wait until its triggers are attached."""
    await home_assistant.post(f"/api/config/automation/config/{item_id}", config)

    async def is_on() -> bool:
        states = await home_assistant.get("/api/states")
        return any(
            state["attributes"].get("id") == item_id and state["state"] == "on" for state in states
        )

    await wait_until(is_on, what="Adding the automation", seconds=6 * DELIVERY)


async def first_preset(home_assistant: HomeAssistant) -> str:
    """Return the slug of the first preset."""
    answer = await home_assistant.call_action("gaze", "list_presets", return_response=True)
    if not answer["presets"]:
        raise DemoError("The GAZE server has no presets. Create one there first")
    return str(answer["presets"][0]["slug"])


async def generate(home_assistant: HomeAssistant, preset: str) -> tuple[Json, list[Json]]:
    """Generate one image. Returns the response of the action and the events in order."""
    events: list[Json] = []
    async with home_assistant.events("gaze_event") as received:
        answer = await home_assistant.call_action(
            "gaze",
            "generate",
            {"preset": preset, "extra_positive": PROMPT, "count": 1, "wait": True},
            return_response=True,
        )
        try:
            async with asyncio.timeout(DELIVERY):
                while not events or events[-1]["type"] not in {"finished", "failed"}:
                    events.append((await received.get())["data"])
        except TimeoutError:
            told = ", ".join(event["type"] for event in events) or "none"
            raise DemoError(f"No event reported the end of the job. Events: {told}") from None
    return answer, events


async def server_image(gaze_url: str, api_key: str, job_id: str) -> bytes:
    """Return the image of a job on the GAZE server."""
    base = f"{gaze_url.rstrip('/')}/"
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        headers = {"X-API-Key": api_key}
        async with session.get(urljoin(base, f"api/v1/job/{job_id}"), headers=headers) as answer:
            path: str = (await answer.json())["result"]["image_url"]
        async with session.get(urljoin(base, path.removeprefix("/"))) as answer:
            return await answer.read()


def saved_image(home_assistant: HomeAssistant, job_id: str) -> Path:
    """Return the file of a job's image."""
    files = list(home_assistant.media.glob(f"gaze/*/*/*_{job_id[:8]}.*"))
    if len(files) != 1:
        raise DemoError(f"Job {job_id} has {len(files)} files instead of one")
    return files[0]


def check_log(home_assistant: HomeAssistant, api_key: str) -> None:
    """Raise DemoError if the log contains problems of the integration or the API key."""
    if api_key in home_assistant.log:
        raise DemoError("Home Assistant's log contains the API key")
    if found := complaints(home_assistant.log):
        raise DemoError(f"Home Assistant's log contains a problem: {found[0]}")


async def show_dashboard(home_assistant: HomeAssistant) -> None:
    """Write the dashboard, and show it after login."""
    home_assistant.write_dashboard()
    await home_assistant.websocket(
        {
            "type": "frontend/set_system_data",
            "key": "core",
            "value": {"default_panel": DASHBOARD},
        }
    )
