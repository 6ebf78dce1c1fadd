"""Runs the demo: a fake GAZE server, and a Home Assistant with the integration set up.

`python -m demo` runs until Ctrl-C. `python -m demo --once` generates one image, checks that it
was saved, and ends. `scripts/demo` runs both.
"""

import argparse
import asyncio
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
import fcntl
import json
from pathlib import Path
import shutil
import signal
import sys
import time
from typing import Any

import aiohttp

from testing.home_assistant import (
    CHECKOUT,
    PASSWORD,
    RESTART_EXIT_CODE,
    USER,
    DemoError,
    HomeAssistant,
    free_port,
)
from testing.steps import (
    check_log,
    connect,
    first_preset,
    gaze_stand_in,
    generate,
    saved_image,
    server_image,
    show_dashboard,
)

FOLDER = CHECKOUT / ".demo"
API_KEY = "gaze-demo-key"
ENTITIES = (
    "image.gaze_latest_image",
    "event.gaze_generation",
    "sensor.gaze_status",
    "sensor.gaze_open_jobs",
    "binary_sensor.gaze_connectivity",
)


def _say(title: str, value: Any) -> None:
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    print(f"{title}\n{text}\n", flush=True)


async def make_and_check_image(
    home_assistant: HomeAssistant, preset: str, gaze_url: str, api_key: str
) -> None:
    """Generate one image and print its properties. Raises DemoError if something is wrong."""
    answer, events = await generate(home_assistant, preset)
    _say("Answer of gaze.generate:", answer)
    _say("Events:", "\n".join(f"{event['type']} {event['job_id']}" for event in events))
    states = {entity_id: await home_assistant.state(entity_id) for entity_id in ENTITIES}
    _say(
        "Entities:",
        {entity_id: state and state["state"] for entity_id, state in states.items()},
    )
    if missing := [entity_id for entity_id, state in states.items() if state is None]:
        raise DemoError(f"Home Assistant has no {', '.join(missing)}")
    job = answer["jobs"][0]
    if job["status"] != "done":
        raise DemoError(f"The job is {job['status']}: {job['reason']} {job['error']}")
    path = saved_image(home_assistant, job["job_id"])
    _say("Image:", str(path))
    if path.read_bytes() != await server_image(gaze_url, api_key, job["job_id"]):
        raise DemoError(f"{path} is not the image of the GAZE server")
    check_log(home_assistant, api_key)


async def stay(home_assistant: HomeAssistant, preset: str, gaze_url: str) -> None:
    """Print the addresses, and run until Home Assistant ends. It can restart itself."""
    image = await home_assistant.state("image.gaze_latest_image")
    if image is None or image["state"] == "unknown":
        print("Generating the first image", flush=True)
        await generate(home_assistant, preset)
    print(
        f"\n  {home_assistant.url}   user {USER}, password {PASSWORD}\n\n"
        "  The dashboard opens after login. Select Generate there to generate an image.\n"
        "  Settings > Devices & services > GAZE has the devices and options,\n"
        "  Media has the images, Settings > Tools > Actions has gaze.generate.\n"
        f"  The GAZE server is {gaze_url}.\n\n"
        "  Press Ctrl+C to stop the demo.\n",
        flush=True,
    )
    while (code := await home_assistant.program.wait()) == RESTART_EXIT_CODE:
        await home_assistant.start()
    raise DemoError(f"Home Assistant ended with code {code}")


@contextmanager
def claimed_folder(*, once: bool) -> Generator[Path]:
    """Yield the folder of the demo. It is reused by the next run, unless `once` is true.

    Raises DemoError if another demo uses the folder.
    """
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / ".gitignore").write_text("*\n")
    folder = FOLDER / ("once" if once else "home")
    with folder.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoError(f"Another demo uses {folder}. Stop that demo first") from None
        if once:
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(exist_ok=True)
        yield folder


def _port(wanted: int, what: str) -> int:
    port = free_port(wanted)
    if port != wanted:
        print(f"Port {wanted} is in use: {what} uses {port}", flush=True)
    return port


async def demonstrate(options: argparse.Namespace, folder: Path) -> None:
    """Run the demo with the options of the command line."""
    began = time.monotonic()
    home_assistant = HomeAssistant(
        folder, port=_port(options.port, "Home Assistant"), hass=options.hass
    )
    async with _gaze(options, folder) as (gaze_url, api_key), home_assistant:
        await home_assistant.onboard()
        print(f"Home Assistant is ready after {time.monotonic() - began:.1f} s", flush=True)
        await connect(home_assistant, gaze_url, api_key)
        preset = await first_preset(home_assistant)
        await show_dashboard(home_assistant)
        if options.once:
            await make_and_check_image(home_assistant, preset, gaze_url, api_key)
            print(f"All is well after {time.monotonic() - began:.1f} s", flush=True)
        else:
            await stay(home_assistant, preset, gaze_url)


@asynccontextmanager
async def _gaze(options: argparse.Namespace, folder: Path) -> AsyncGenerator[tuple[str, str]]:
    """Yield the address and the key of the GAZE server. Start a fake one if none is given."""
    if options.gaze_url:
        yield options.gaze_url, options.api_key
        return
    port = _port(options.gaze_port, "the GAZE server")
    duration = 1 if options.once else 8
    async with gaze_stand_in(folder, port=port, api_key=API_KEY, duration=duration) as url:
        yield url, API_KEY


async def _run(options: argparse.Namespace, folder: Path) -> None:
    """Run the demo. A signal ends it in order, as CancelledError."""
    demo = asyncio.create_task(demonstrate(options, folder))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, _end, demo)
    await demo


def _end(demo: asyncio.Task[None]) -> None:
    """Cancel the demo once. A second Ctrl-C must not interrupt the cleanup."""
    if not demo.cancelling():
        print("\nEnding …", flush=True)
        demo.cancel()


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options of a command line. An invalid one ends the program."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--once", action="store_true", help="make one image, check that it arrived, and end")
    add("--port", type=int, default=8123, help="of Home Assistant (8123)")
    add("--gaze-port", type=int, default=5782, help="of the fake GAZE server (5782)")
    add("--gaze-url", metavar="URL", help="use this GAZE server instead of the fake one")
    add("--api-key", metavar="KEY", help="the key of that server")
    add("--hass", type=Path, metavar="PATH", help="the hass program of another version")
    options = parser.parse_args(arguments)
    if bool(options.gaze_url) != bool(options.api_key):
        parser.error("--gaze-url and --api-key belong together")
    if options.hass:
        options.hass = options.hass.absolute()  # it runs in a different folder
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo with the arguments of the command line. Returns the exit code."""
    options = parse(arguments)
    try:
        with claimed_folder(once=options.once) as folder:
            asyncio.run(_run(options, folder))
    except asyncio.CancelledError:
        return 128 + signal.SIGINT if options.once else 0
    except (DemoError, aiohttp.ClientError, OSError) as err:
        print(f"The demo failed: {err}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
