"""Measures the gallery with 5,000 images: browse, search, memory, serve, add, and mark.

The opponents are Home Assistant's local media source on the same folder, full images instead of
thumbnails, a `FileResponse` of a plain aiohttp server and of a view of Home Assistant, and the
index of version 0.1.0, for what an addition writes. All are measured in turns in one run of Home
Assistant's core. A separate process fetches the images.
"""

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
import ctypes
from dataclasses import replace
from datetime import timedelta
from functools import partial
import gc
from http.client import HTTPConnection
from io import BytesIO
import itertools
import json
import os
from pathlib import Path
import sqlite3
from statistics import median
import sys
import tempfile
import time
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web
from homeassistant.auth.const import GROUP_ID_ADMIN
from homeassistant.components.http import HomeAssistantView
from homeassistant.components.media_player import SearchMediaQuery
from homeassistant.components.media_source import async_browse_media, async_search_media
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component
from PIL import Image as Pillow

from custom_components.gaze.database import Database
from custom_components.gaze.gallery import Gallery, GalleryOptions, Image, Selection
from custom_components.gaze.gallery.index import Index
from testing.drawing import Picture, draw
from testing.gaze_server import GazeServer
from testing.home_assistant import LOCALHOST, DemoError

from .entities import OURS, Line, add, core
from .support.report import Figure, Report, machine, table

IMAGES: Final = 5000
SCREEN: Final = 50  # images that a browser shows before the user scrolls
ROUNDS: Final = 9
FETCHES: Final = 200
ADDITIONS: Final = 1000
MARKED: Final = 500
SAMPLE: Final = 200  # additions for the median
# Shares of the images. The first one is the large folder.
PRESETS: Final = (("neon_city", 0.8), ("paper_forest", 0.1), ("watercolour_harbour", 0.1))
SIDE: Final = 64
TYPICAL: Final = (768, 1152)
BEGIN: Final = 1_767_225_600.0  # 2026-01-01
APART: Final = timedelta(hours=1).total_seconds()
PROMPT: Final = "rain on glass, wide street, reflections, cinematic light, 35 mm, night sky, haze, "
MIB: Final = 2**20
# The index of 0.1.0, which had neither marks, recipes, nor folders
EARLIER_SCHEMA: Final = """
CREATE TABLE image (
    number INTEGER PRIMARY KEY,
    job_id TEXT NOT NULL UNIQUE, preset TEXT NOT NULL, preset_name TEXT NOT NULL,
    batch_id TEXT NOT NULL, tag TEXT, seed TEXT, checkpoint TEXT, extra_positive TEXT,
    extra_negative TEXT, made_at REAL NOT NULL, path TEXT NOT NULL, content_type TEXT NOT NULL,
    width INTEGER NOT NULL, height INTEGER NOT NULL, size INTEGER NOT NULL,
    saved INTEGER NOT NULL, month TEXT NOT NULL, words TEXT NOT NULL
);
CREATE INDEX image_by_preset ON image (preset)
"""
EARLIER_FIELDS: Final = (
    *("job_id", "preset", "preset_name", "batch_id", "tag", "seed", "checkpoint"),
    *("extra_positive", "extra_negative", "made_at", "path", "content_type"),
    *("width", "height", "size", "saved"),
)
EARLIER_ROW: Final = (
    "INSERT INTO image VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)

type Step = Callable[[], Awaitable[object]]


def image(number: int) -> Image:
    """Return an image with the fields that the engine stores."""
    share = (number * 7919 % 1000) / 1000
    preset = PRESETS[0][0]
    for slug, part in PRESETS:
        preset = slug
        if share < part:
            break
        share -= part
    return Image(
        job_id=f"{number * 2_654_435_761 % 2**32:08x}-0000-4000-8000-{number:012x}",
        preset=preset,
        preset_name=preset.replace("_", " ").capitalize(),
        batch_id=f"batch-{number // 4}",
        tag="wallpaper" if number % 50 == 0 else None,
        seed=str(number * 6_364_136_223_846_793_005 % 2**64),
        checkpoint="Illustrious/model.safetensors",
        extra_positive=PROMPT * 3 + f"number {number}",
        extra_negative="blurry, low quality, watermark",
        made_at=BEGIN + number * APART,
    )


def small_image(number: int) -> bytes:
    """Return a small image that differs for each number."""
    content = BytesIO()
    colour = (number % 256, number // 256, 90)
    Pillow.new("RGB", (SIDE, SIDE), colour).save(content, "PNG")
    return content.getvalue()


def typical_image(number: int) -> bytes:
    """Return an image of the typical size of GAZE."""
    width, height = TYPICAL
    return draw(
        Picture(
            slug="neon_city",
            name="Neon city",
            prompt=PROMPT,
            negative="",
            checkpoint="",
            seed=number,
            width=width,
            height=height,
        )
    )


async def fill(gallery: Gallery) -> None:
    """Add all images, the last ones of typical size."""
    for number in range(IMAGES):
        typical = number >= IMAGES - SCREEN
        content = typical_image(number) if typical else small_image(number)
        await gallery.async_add(image(number), content)


async def in_turns(rounds: int, *steps: Step) -> list[float]:
    """Return the median of the seconds that each step takes."""
    times: list[list[float]] = [[] for _ in steps]
    for _ in range(rounds + 1):
        for step, measured in zip(steps, times, strict=True):
            began = time.perf_counter()
            await step()
            measured.append(time.perf_counter() - began)
    return [median(measured[1:]) for measured in times]


def against(
    name: str, ours: float, opponent: float, limit: float | None = None, digits: int = 2
) -> Line:
    """Return a row with a ratio and its limit."""
    return Line(
        figure=Figure(name=name, value=ours, digits=digits),
        opponent=opponent,
        ratio=Figure(name="", value=ours / opponent, limit=limit, digits=3),
    )


async def browse_lines(hass: HomeAssistant, entry: ConfigEntry, rounds: int) -> list[Line]:
    """Compare each level with the local media source, up to the response for a browser."""
    ours = f"media-source://gaze/{entry.entry_id}"
    local = "media-source://media_source/local/gaze/gaze"

    async def show(*media_ids: str) -> int:
        """Browse folders one after the other; return the number of images."""
        count = 0
        for media_id in media_ids:
            shown = (await async_browse_media(hass, media_id)).as_dict()
            count += sum(child["media_class"] == "image" for child in shown["children"])
        return count

    async def show_all(media_id: str) -> int:
        """Browse a folder page by page."""
        count = 0
        following: str | None = media_id
        while following is not None:
            shown = (await async_browse_media(hass, following)).as_dict()
            count += sum(not child["can_expand"] for child in shown["children"])
            last = shown["children"][-1]
            following = last["media_content_id"] if last["can_expand"] else None
        return count

    folders = [f"{local}/{slug}" for slug, _ in PRESETS]
    largest = PRESETS[0][0]
    if await show_all(f"{ours}/images/all") != IMAGES or await show(*folders) != IMAGES:
        raise DemoError("Not all images are found")
    levels: list[tuple[str, Step, Step, float | None]] = [
        ("Server", lambda: show(ours), lambda: show(local), None),
        ("All images, first page", lambda: show(f"{ours}/images/all"), lambda: show(*folders), 0.1),
        (
            "All images, all pages",
            lambda: show_all(f"{ours}/images/all"),
            lambda: show(*folders),
            None,
        ),
        (
            "Large preset, first page",
            lambda: show(f"{ours}/preset/{largest}"),
            lambda: show(f"{local}/{largest}"),
            0.1,
        ),
        (
            "Large preset, all pages",
            lambda: show_all(f"{ours}/preset/{largest}"),
            lambda: show(f"{local}/{largest}"),
            None,
        ),
        (
            "Small preset",
            lambda: show(f"{ours}/preset/{PRESETS[1][0]}"),
            lambda: show(f"{local}/{PRESETS[1][0]}"),
            None,
        ),
        ("Month", lambda: show(f"{ours}/month/2026-03"), lambda: show(*folders), 0.1),
    ]
    lines = []
    for name, our_step, their_step, limit in levels:
        our, their = await in_turns(rounds, our_step, their_step)
        lines.append(against(f"Browse: {name} (ms)", our * 1000, their * 1000, limit))
    return lines


async def search_lines(hass: HomeAssistant, rounds: int) -> list[Line]:
    """Measure searches that find no, few, and all images, through the media source."""

    async def search(query: str) -> int:
        found = await async_search_media(
            hass, "media-source://gaze", SearchMediaQuery(search_query=query)
        )
        return len(found.as_dict()["result"])

    lines = []
    for name, query in (("nothing", "elephant"), ("one", "number 4321 neon"), ("a page", "rain")):
        [seconds] = await in_turns(rounds, partial(search, query))
        figure = Figure(name=f"Search that finds {name} (ms)", value=seconds * 1000, limit=50)
        lines.append(Line(figure=figure))
    return lines


async def screen_line(gallery: Gallery) -> Line:
    """Compare the bytes of the first screen with thumbnails and without."""
    shown = await gallery.async_select(Selection(), SCREEN)
    small = sum([len((await gallery.async_content(one, 256)).data or b"") for one in shown])
    return against(
        f"First screen, {SCREEN} images (KiB)",
        small / 1024,
        sum(one.size for one in shown) / 1024,
        0.03,
        1,
    )


async def bare_server(file: Path) -> web.AppRunner:
    """Serve one file with aiohttp and nothing else."""

    async def respond(_request: web.Request) -> web.FileResponse:
        return web.FileResponse(file)

    application = web.Application()
    application.router.add_get("/file", respond)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, LOCALHOST, 0).start()
    return runner


class FileView(HomeAssistantView):
    """Serves one file to people who are logged in, and does nothing else."""

    url = "/api/bench/file"
    name = "api:bench:file"

    def __init__(self, file: Path) -> None:
        """Take the file."""
        self._file = file

    async def get(self, _request: web.Request) -> web.FileResponse:
        """Return the file."""
        return web.FileResponse(self._file)


async def serving_lines(hass: HomeAssistant, entry: ConfigEntry) -> list[Line]:
    """Compare the view and the image entity with a plain file, over HTTP."""
    gallery: Gallery = entry.runtime_data.gallery
    newest = gallery.newest()
    user = await hass.auth.async_create_user("bench", group_ids=[GROUP_ID_ADMIN])
    refresh_token = await hass.auth.async_create_refresh_token(user, "http://127.0.0.1/")
    token = hass.auth.async_create_access_token(refresh_token)
    if newest is None:
        raise DemoError("There is no image")
    path = await gallery.async_file(newest)
    hass.http.register_view(FileView(path))
    runner = await bare_server(path)
    bare = f"http://{LOCALHOST}:{runner.addresses[0][1]}/file"
    home = f"http://{LOCALHOST}:{hass.http.server_port}"
    view = f"{home}/api/gaze/image/{entry.entry_id}/{newest.job_id}"
    proxy = f"{home}/api/image_proxy/image.gaze_latest_image"
    urls = [bare, f"{home}{FileView.url}", view, proxy, f"{view}?size=256"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.gallery", "--fetch", token, *urls),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    await runner.cleanup()
    times, sizes = json.loads(output)
    if sizes[:4] != [newest.size] * 4:
        raise DemoError("Not all answers are the picture")
    file, file_view, *ours = (seconds * 1000 for seconds in times)
    return [
        against("View, against a view of the file with a login (ms)", ours[0], file_view, 1.5),
        against("View, against a file without a login (ms)", ours[0], file, 1.5),
        against("Image entity, against a file without a login (ms)", ours[1], file, 1.5),
        Line(figure=Figure(name="View, thumbnail (ms)", value=ours[2])),
    ]


def fetch(token: str, urls: Sequence[str]) -> None:
    """Fetch URLs in turns; print the median seconds and the bytes of each as JSON."""
    connections = [HTTPConnection(urlsplit(url).netloc) for url in urls]
    times: list[list[float]] = [[] for _ in urls]
    sizes = [0 for _ in urls]
    for _ in range(FETCHES + 1):
        for number, (connection, url) in enumerate(zip(connections, urls, strict=True)):
            path = url.removeprefix(f"http://{urlsplit(url).netloc}")
            began = time.perf_counter()
            connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
            sizes[number] = len(connection.getresponse().read())
            times[number].append(time.perf_counter() - began)
    print(json.dumps([[median(measured[1:]) for measured in times], sizes]))


async def add_line(hass: HomeAssistant, full: Gallery) -> Line:
    """Compare adding to the full gallery with adding to an empty one."""
    empty = Gallery(hass, "bench", "Empty")
    await empty.async_open()
    numbers = iter(range(IMAGES, IMAGES + 2 * (SAMPLE + 1)))

    async def add_to(gallery: Gallery) -> None:
        number = next(numbers)
        await gallery.async_add(image(number), small_image(number))

    last, first = await in_turns(SAMPLE, lambda: add_to(full), lambda: add_to(empty))
    await empty.async_close()
    return against(
        f"Adding an image to {IMAGES:,} against none (ms)", last * 1000, first * 1000, 1.25
    )


async def written_line(hass: HomeAssistant) -> Line:
    """Compare the bytes that additions to a large index write with those of 0.1.0."""
    index = Index(hass, "bench")
    earlier = Database(hass, "bench.earlier.db", EARLIER_SCHEMA)
    await index.async_open()
    await earlier.async_open()
    images = [saved_image(number) for number in range(IMAGES)]
    before, measured = images[:-ADDITIONS], images[-ADDITIONS:]
    await index.async_add(*before)
    await earlier.async_write(EARLIER_ROW, *map(earlier_row, before))

    async def add_now(image: Image) -> None:
        await index.async_add(image)

    async def add_earlier(image: Image) -> None:
        await earlier.async_write(EARLIER_ROW, earlier_row(image))

    written = [await bytes_of(hass, add_one, measured) for add_one in (add_now, add_earlier)]
    await index.async_remove()
    await earlier.async_remove()
    now, then = (value / MIB for value in written)
    name = f"Index written by {ADDITIONS:,} additions, against 0.1.0 (MiB)"
    return against(name, now, then, 1.0)


async def bytes_of(
    hass: HomeAssistant, add_one: Callable[[Image], Awaitable[None]], images: Sequence[Image]
) -> int:
    """Return the bytes that adding images one by one writes."""
    before = await hass.async_add_executor_job(bytes_written)
    for added in images:
        await add_one(added)
    return await hass.async_add_executor_job(bytes_written) - before


def saved_image(number: int) -> Image:
    """Return an image as the gallery adds it to the index."""
    added = image(number)
    path = f"{added.preset}/20260101-000000_{added.seed}_{added.job_id[:8]}.png"
    return replace(
        added, path=path, root="0" * 32, content_type="image/png", width=SIDE, height=SIDE
    )


def earlier_row(added: Image) -> tuple[object, ...]:
    """Return an image as 0.1.0 stored it."""
    words = "\n".join(
        text.casefold()
        for text in (
            added.preset_name,
            added.preset,
            added.extra_positive,
            added.extra_negative,
            added.seed,
            added.checkpoint,
            added.tag,
        )
        if text
    )
    return (
        *(getattr(added, name) for name in EARLIER_FIELDS),
        "2026-03",
        words,
    )


async def marking_line(gallery: Gallery, rounds: int) -> Line:
    """Measure marking images as favorites and back, with all its effects in the gallery."""
    job_ids = [image(number).job_id for number in range(0, IMAGES, IMAGES // MARKED)]
    marks = itertools.cycle((True, False))

    async def mark() -> None:
        if await gallery.async_mark(job_ids, favorite=next(marks)) != MARKED:
            raise DemoError("Not all images were marked")

    [seconds] = await in_turns(rounds, mark)
    return Line(figure=Figure(name=f"Marking {MARKED} images (ms)", value=seconds * 1000, limit=50))


def bytes_written() -> int:
    """Return the bytes that this process has passed to write calls."""
    for line in Path("/proc/self/io").read_text().splitlines():
        name, _, value = line.partition(": ")
        if name == "wchar":
            return int(value)
    raise DemoError("This system does not count what is written")


def resident() -> int:
    """Return the resident memory of this process in bytes, after releasing free memory."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def memory_line(hass: HomeAssistant, entry: ConfigEntry) -> Line:
    """Measure the memory that the index adds to the process after browsing and searching."""
    await hass.config_entries.async_unload(entry.entry_id)
    await hass.async_block_till_done()
    before = await hass.async_add_executor_job(resident)
    options = GalleryOptions(keep_images=0)
    gallery = Gallery(hass, entry.entry_id, entry.title, options)
    await gallery.async_open()
    await gallery.async_overview()
    await gallery.async_list(Selection(search="rain"), 500)
    after = await hass.async_add_executor_job(resident)
    await gallery.async_close()
    await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    value = max(after - before, 0) / MIB
    figure = Figure(name="Memory of the index (MiB)", value=value, limit=20, digits=1)
    return Line(figure=figure)


def index_size(hass: HomeAssistant, entry: ConfigEntry) -> Line:
    """Return the size of the index on disk."""
    path = hass.config.path(".storage", f"gaze.{entry.entry_id}.gallery.db")
    with closing(sqlite3.connect(path)) as connection:
        [[pages]] = connection.execute("PRAGMA page_count").fetchall()
        [[size]] = connection.execute("PRAGMA page_size").fetchall()
    return Line(figure=Figure(name="Index on disk (MiB)", value=pages * size / MIB, digits=1))


async def measure(rounds: int) -> bool:
    """Measure all, report it, and return whether all limits are met."""
    with tempfile.TemporaryDirectory() as folder:
        async with core(Path(folder) / "index") as hass:
            written = await written_line(hass)  # before anything else in this process writes
        async with core(Path(folder) / "home") as hass, GazeServer(duration=None) as server:
            if not await async_setup_component(hass, "media_source", {}):
                raise DemoError("The media source could not be set up")
            entry = await add(hass, OURS, {"host": server.url, "api_key": server.api_key})
            hass.config_entries.async_update_entry(entry, options={"keep_images": 0})
            await hass.config_entries.async_reload(entry.entry_id)
            await hass.async_block_till_done()
            await fill(entry.runtime_data.gallery)
            lines = [
                *await browse_lines(hass, entry, rounds),
                await screen_line(entry.runtime_data.gallery),
                *await search_lines(hass, rounds),
                await memory_line(hass, entry),
                await hass.async_add_executor_job(index_size, hass, entry),
                *await serving_lines(hass, entry),
                await marking_line(entry.runtime_data.gallery, rounds),
                await add_line(hass, entry.runtime_data.gallery),
                written,
            ]
    head = ["", "value", "opponent", "ratio", "limit", "met"]
    report = Report("gallery", "Gallery")
    report.add(f"{machine()}; {IMAGES:,} images, medians of {rounds} rounds or {FETCHES} responses")
    report.add(table(head, [line.cells for line in lines]))
    if rounds >= ROUNDS:
        report.save()
    return all((line.ratio or line.figure).met for line in lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 1 if a limit is not met."""
    parser = argparse.ArgumentParser(prog="scripts/bench gallery", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"of each step ({ROUNDS})")
    parser.add_argument("--fetch", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.fetch:
        token, *urls = options.fetch
        fetch(token, urls)
        return 0
    return 0 if asyncio.run(measure(options.rounds)) else 1


if __name__ == "__main__":
    sys.exit(main())
