"""Measures displays: rendering for e-paper screens, and fetching compared with a plain file.

Rendering is measured in seconds of CPU time. Fetching is measured over HTTP, in turns with a plain
aiohttp server that returns a `FileResponse` of the same bytes. `--sheet FILE` draws one image as
ten screens show it.
"""

import argparse
import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from http.client import HTTPConnection
from io import BytesIO
import json
from pathlib import Path
import resource
from statistics import median
import sys
import tempfile
import time
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from homeassistant.config_entries import ConfigEntry, ConfigSubentry
from homeassistant.core import HomeAssistant
from PIL import Image as Pillow, ImageDraw, ImageFont

from custom_components.gaze.displays import Colors, Displays, Fit, Format, Rendering, render
from custom_components.gaze.gallery.decoding import read_properties, shrink
from testing.clocks import Watch
from testing.drawing import Picture, draw
from testing.gaze_server import GazeServer
from testing.home_assistant import LOCALHOST, DemoError

from .entities import OURS, add, core
from .gallery import bare_server
from .support.report import Figure, Report, listed, machine

FETCHES: Final = 100
ROUNDS: Final = 5
SCREENS: Final = 20
SECONDS: Final = 20
INTERVAL: Final = 10.0

PANELS: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("Wall tablet, 1280 x 800", {"width": 1280, "height": 800}),
    ("Phone, 1080 x 2340", {"width": 1080, "height": 2340}),
    ("TV, 1920 x 1080, contain", {"width": 1920, "height": 1080, "fit": Fit.CONTAIN}),
    ("ESPHome board, 320 x 240", {"width": 320, "height": 240}),
    ("TRMNL, 800 x 480, 1 bit", {"width": 800, "height": 480, "colors": Colors.BLACK_WHITE}),
    ("Kobo, 600 x 800, 4 grays", {"width": 600, "height": 800, "colors": Colors.GRAY_4}),
    ("Inkplate 10, 1200 x 825, 16 grays", {"width": 1200, "height": 825, "colors": Colors.GRAY_16}),
    (
        "Waveshare 7.5 (B), 800 x 480, 3 colors",
        {"width": 800, "height": 480, "colors": Colors.BLACK_WHITE_RED},
    ),
    (
        "Waveshare 7.3 (F), 800 x 480, 7 colors",
        {"width": 800, "height": 480, "colors": Colors.SEVEN_COLOR},
    ),
    (
        "Spectra 6, 13.3 in, 1600 x 1200",
        {"width": 1600, "height": 1200, "colors": Colors.SPECTRA_6},
    ),
)


def source() -> bytes:
    """Return an image like those of GAZE, with 1024 x 1536 pixels."""
    return draw(
        Picture(
            slug="harbor",
            name="Harbor",
            prompt="a harbor at dusk",
            negative="",
            checkpoint="",
            seed=7,
            width=1024,
            height=1536,
        )
    )


def seconds_to_render(content: bytes, **options: Any) -> float:
    """Return the median CPU time of the first rendering, in seconds."""
    taken = []
    for _ in range(5):
        began = time.process_time()
        render(content, Rendering(**options))
        taken.append(time.process_time() - began)
    return median(taken)


def add_display(hass: HomeAssistant, entry: ConfigEntry, title: str, data: dict[str, Any]) -> None:
    """Add a display."""
    hass.config_entries.async_add_subentry(
        entry,
        ConfigSubentry(
            data=MappingProxyType(data), subentry_type="display", title=title, unique_id=None
        ),
    )


async def add_displays(hass: HomeAssistant, entry: ConfigEntry, count: int) -> None:
    """Add displays with an address."""
    for number in range(count):
        data = {"address": True, "width": 800, "height": 480}
        add_display(hass, entry, f"Screen {number}", data)
    await hass.async_block_till_done(wait_background_tasks=True)


LARGE: Final[tuple[dict[str, Any], ...]] = (
    {"width": 1600, "height": 1200, "colors": "spectra_6", "format": "png"},
    {"width": 3840, "height": 2160, "format": "jpeg", "rotation": "90"},
    {"width": 3840, "height": 2160, "format": "bmp", "fit": "contain"},
    {
        "width": 3840,
        "height": 2160,
        "colors": "seven_color",
        "dithering": "ordered",
        "format": "bmp",
    },
)


@asynccontextmanager
async def heartbeat() -> AsyncGenerator[None]:
    """Let a timer of the event loop be due each millisecond, so that its watch sees each hold."""
    ended = asyncio.Event()

    async def beat() -> None:
        while not ended.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), 0.001)

    async with asyncio.TaskGroup() as group:
        group.create_task(beat())
        yield
        ended.set()


async def large_source_figure(watch: Watch, kind: str) -> Figure:
    """Return for how long images of 16 million pixels hold the event loop: the median of rounds.

    They are validated, shrunk to thumbnails, and rendered in the executor, as images of GAZE are.
    """
    result = BytesIO()
    Pillow.effect_noise((4096, 4096), 60).convert("RGB").save(result, kind, quality=80)
    content = result.getvalue()
    loop = asyncio.get_running_loop()
    rendering = Rendering(width=1600, height=1200, colors=Colors.SPECTRA_6, format=Format.PNG)
    held = []
    async with heartbeat():
        for _ in range(ROUNDS):
            watch.reset()
            await loop.run_in_executor(None, read_properties, content)
            await loop.run_in_executor(None, shrink, content, 320, 1024)
            await loop.run_in_executor(None, render, content, rendering)
            held.append(watch.held)
    return Figure(
        name=f"Hold of the event loop by a {kind} of 4096 x 4096 pixels (ms)",
        value=median(held) * 1000,
        limit=20,
    )


async def hold_figure(hass: HomeAssistant, entry: ConfigEntry, watch: Watch) -> Figure:
    """Return the longest time that the first fetches from large displays hold the event loop."""
    displays: Displays = entry.runtime_data.displays
    before = {player.display.display_id for player in displays.players}
    for number, fields in enumerate(LARGE):
        add_display(hass, entry, f"Large {number}", {**fields, "address": True})
    await hass.async_block_till_done(wait_background_tasks=True)
    large = [player for player in displays.players if player.display.display_id not in before]
    urls = [f"http://{LOCALHOST}:{hass.http.server_port}{displays.path(one)}" for one in large]
    await asyncio.sleep(1)
    watch.reset()
    async with heartbeat(), aiohttp.ClientSession() as session:
        for url in urls:
            async with session.get(url, raise_for_status=True) as response:
                await response.read()
        held = watch.held
    for player in large:
        hass.config_entries.async_remove_subentry(entry, player.display.display_id)
    await hass.async_block_till_done(wait_background_tasks=True)
    return Figure(
        name="Longest hold of the event loop by rendering and fetching (ms)",
        value=held * 1000,
        limit=20,
    )


async def fetch_figures(hass: HomeAssistant, entry: ConfigEntry, folder: Path) -> list[Figure]:
    """Compare a cached fetch and a 304 with a plain file."""
    displays: Displays = entry.runtime_data.displays
    player = displays.players[0]
    rendered = await player.async_render()
    if rendered.data is None:
        raise DemoError("The display has no image")
    file = folder / "bare.jpg"
    file.write_bytes(rendered.data)
    runner = await bare_server(file)
    urls = [
        f"http://{LOCALHOST}:{runner.addresses[0][1]}/file",
        f"http://{LOCALHOST}:{hass.http.server_port}{displays.path(player)}",
    ]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.displays", "--fetch", rendered.etag, *urls),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    await runner.cleanup()
    bare, ours, unchanged = json.loads(output)
    return [
        Figure(name="Bare FileResponse (ms)", value=bare * 1000),
        Figure(name="Cached fetch, more than that (ms)", value=(ours - bare) * 1000, limit=3),
        Figure(name="304, more than that (ms)", value=(unchanged - bare) * 1000, limit=3),
    ]


def fetch(etag: str, bare: str, ours: str) -> None:
    """Fetch in turns; print the median seconds of a plain file, a display, and a 304 as JSON."""
    requests: tuple[tuple[str, dict[str, str]], ...] = (
        (bare, {}),
        (ours, {}),
        (ours, {"If-None-Match": f'"{etag}"'}),
    )
    connections = [HTTPConnection(urlsplit(url).netloc) for url, _ in requests]
    times: list[list[float]] = [[] for _ in requests]
    for _ in range(FETCHES):
        for number, (url, headers) in enumerate(requests):
            began = time.perf_counter()
            connections[number].request("GET", urlsplit(url).path, headers=headers)
            response = connections[number].getresponse()
            response.read()
            times[number].append(time.perf_counter() - began)
        time.sleep(0.25)  # stay below the rate limit of a peer
    print(json.dumps([median(measured[1:]) for measured in times]))


async def crowd_figure(hass: HomeAssistant, displays: Displays) -> Figure:
    """Return the share of a core that screens use when they fetch at intervals."""
    for player in displays.players:
        await player.async_render()
    home = f"http://{LOCALHOST}:{hass.http.server_port}"
    urls = [f"{home}{displays.path(player)}" for player in displays.players]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.displays", "--crowd", *urls
    )
    await asyncio.sleep(2)  # the process needs time to start
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    await asyncio.sleep(SECONDS)
    after, ended = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    await process.wait()
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Figure(
        name=f"{len(urls)} displays fetched each {INTERVAL:g} s (% of a core)",
        value=100 * used / (ended - began),
        limit=2,
    )


def crowd(urls: Sequence[str]) -> None:
    """Fetch each URL at an interval, evenly spread."""
    until = time.monotonic() + SECONDS + 4
    while time.monotonic() < until:
        for url in urls:
            connection = HTTPConnection(urlsplit(url).netloc)
            connection.request("GET", urlsplit(url).path)
            connection.getresponse().read()
            connection.close()
            time.sleep(INTERVAL / len(urls))


async def measure(watch: Watch) -> bool:
    """Measure all and print the table; return whether all limits are met."""
    content = source()
    figures = [
        Figure(
            name="First rendering, 1600 x 1200 Spectra 6 (s)",
            value=seconds_to_render(
                content, width=1600, height=1200, colors=Colors.SPECTRA_6, format=Format.PNG
            ),
            limit=1,
        ),
        Figure(
            name="First rendering, 800 x 480 1-bit BMP (s)",
            value=seconds_to_render(
                content, width=800, height=480, colors=Colors.BLACK_WHITE, format=Format.BMP
            ),
            limit=0.3,
        ),
        *[await large_source_figure(watch, kind) for kind in ("PNG", "JPEG", "WEBP")],
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with core(folder / "home") as hass, GazeServer(duration=0.1) as server:
            entry = await add(hass, OURS, {"host": server.url, "api_key": server.api_key})
            await hass.services.async_call(
                "gaze",
                "generate",
                {"preset": next(iter(entry.runtime_data.data)), "wait": True},
                blocking=True,
                return_response=True,
            )
            figures.append(await hold_figure(hass, entry, watch))
            await add_displays(hass, entry, SCREENS)
            figures += await fetch_figures(hass, entry, folder)
            figures.append(await crowd_figure(hass, entry.runtime_data.displays))
    report = Report("displays", "Displays")
    report.add(machine())
    report.add(listed(figures))
    report.save()
    return all(figure.met for figure in figures)


def sheet(file: Path) -> None:
    """Draw one image as ten screens show it, with a line of text below each."""
    content = source()
    cell, caption = (300, 300), 24
    result = Pillow.new("RGB", (5 * (cell[0] + 20), 2 * (cell[1] + caption + 20)), (238, 238, 238))
    pen = ImageDraw.Draw(result)
    font = ImageFont.load_default(14)
    for number, (name, options) in enumerate(PANELS):
        data = render(content, Rendering(format=Format.PNG, **options))
        image = Pillow.open(BytesIO(data)).convert("RGB")
        image.thumbnail(cell, Pillow.Resampling.BOX)
        left = number % 5 * (cell[0] + 20) + 10
        top = number // 5 * (cell[1] + caption + 20) + 10
        result.paste(image, (left + (cell[0] - image.width) // 2, top + cell[1] - image.height))
        pen.text((left, top + cell[1] + 4), name, fill=(20, 20, 20), font=font)
    result.save(file, optimize=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 1 if a limit is not met."""
    parser = argparse.ArgumentParser(prog="scripts/bench displays", description=__doc__)
    parser.add_argument("--sheet", type=Path, help="draw the panels into a PNG file")
    parser.add_argument("--fetch", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--crowd", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.fetch:
        fetch(*options.fetch)
        return 0
    if options.crowd:
        crowd(options.crowd)
        return 0
    if options.sheet:
        sheet(options.sheet)
        return 0
    watch = Watch()
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(watch)) as runner:
        return 0 if runner.run(measure(watch)) else 1


if __name__ == "__main__":
    sys.exit(main())
