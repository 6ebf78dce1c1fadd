"""Compares the start of a full home, in time and memory, with that of an older version.

Both versions start on the stores of 0.1.0 with 100 presets and 5,000 images. This version also has
10 recipes and 5 displays. Each start is a process of its own, in turns: it imports the integration,
sets the entry up, and waits until everything is done.
"""

import argparse
import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
import io
import json
import os
from pathlib import Path
import shutil
import sqlite3
from statistics import median
import subprocess
import sys
import tarfile
import tempfile
import time
from typing import Any, Final
import uuid

from homeassistant.setup import async_setup_component
from PIL import Image

from testing.gaze_server import GazeServer, made_up_presets
from testing.home_assistant import CHECKOUT

from .entities import core
from .support.report import Figure, Report, listed, machine

OLDER: Final = "1174a27"  # the last commit of 0.1.0
PRESETS: Final = 100
IMAGES: Final = 5_000
RECIPES: Final = 10
DISPLAYS: Final = 5
ROUNDS: Final = 7
LIMIT: Final = 1.2
STORES: Final = CHECKOUT / "tests" / "e2e" / "stores" / "0.1.0"
MEBIBYTE: Final = 2**20


def prepare_tree(tree: Path, integration: Path) -> None:
    """Make a folder from which Python imports an integration and these benchmarks."""
    (tree / "custom_components").mkdir(parents=True)
    (tree / "custom_components" / "gaze").symlink_to(integration)
    for name in ("benchmarks", "demo", "testing"):  # copies, so that they are its checkout
        shutil.copytree(CHECKOUT / name, tree / name)


def unpack_older(folder: Path, revision: str) -> Path:
    """Return the integration as it was at a revision."""
    command = ["git", "archive", revision, "custom_components/gaze"]
    archive = subprocess.run(  # noqa: S603 - no text from outside
        command, cwd=CHECKOUT, check=True, capture_output=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    return folder / "custom_components" / "gaze"


def prepare_home(folder: Path, server: GazeServer) -> None:
    """Write the stores of 0.1.0, with many images."""
    storage = folder / ".storage"
    storage.mkdir(parents=True)
    text = (STORES / "entry.json").read_text()
    text = text.replace("URL-OF-GAZE", server.url).replace("KEY-OF-GAZE", server.api_key)
    entry = json.loads(text)
    entry["options"] = {"keep_images": 0}
    entries = {"version": 1, "minor_version": 5, "key": "core.config_entries"}
    (storage / "core.config_entries").write_text(
        json.dumps(entries | {"data": {"entries": [entry]}})
    )
    store = sqlite3.connect(storage / f"gaze.{entry['entry_id']}.gallery.db")
    store.executescript((STORES / "gallery.sql").read_text())
    store.execute("DELETE FROM image")
    picture = folder / "picture.png"
    Image.new("RGB", (64, 96), "navy").save(picture)
    for number in range(IMAGES):
        _add_image(store, folder / "media" / "gaze" / "gaze", picture, number)
    store.commit()
    store.close()


def _add_image(store: sqlite3.Connection, root: Path, picture: Path, number: int) -> None:
    """Add an image to the index and to its folder."""
    preset = f"preset_{number % PRESETS}"
    job_id = str(uuid.UUID(int=number << 96 | number))
    made_at = 1_790_000_000 + 60.0 * number
    moment = datetime.fromtimestamp(made_at, UTC)
    name = f"{preset}/{moment:%Y%m%d-%H%M%S}_{number}_{job_id[:8]}.png"
    (root / preset).mkdir(parents=True, exist_ok=True)
    (root / name).hardlink_to(picture)
    row = {
        "job_id": job_id,
        "preset": preset,
        "preset_name": preset,
        "batch_id": job_id,
        "seed": str(number),
        "made_at": made_at,
        "path": name,
        "content_type": "image/png",
        "width": 64,
        "height": 96,
        "size": picture.stat().st_size,
        "saved": 1,
        "month": f"{moment:%Y-%m}",
        "words": f"{preset}\n{number}",
    }
    names, marks = ", ".join(row), ", ".join("?" for _ in row)
    store.execute(f"INSERT INTO image ({names}) VALUES ({marks})", [*row.values()])  # noqa: S608


def resident() -> float:
    """Return the memory of this process in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MEBIBYTE


async def start(home: Path, *, fill: bool) -> dict[str, float]:
    """Start once. Returns seconds and MiB. With `fill`, recipes and displays are added."""
    async with core(home) as hass:
        memory, began = resident(), time.perf_counter()
        await async_setup_component(hass, "gaze", {})
        await hass.async_block_till_done()
        found = {"seconds": time.perf_counter() - began, "memory": resident() - memory}
        [entry] = hass.config_entries.async_entries("gaze")
        found["entities"] = float(len(hass.states.async_entity_ids()))
        found["loaded"] = float(entry.state.value == "loaded")
        if fill:
            forms: list[tuple[str, dict[str, Any]]] = [
                ("recipe", {"name": f"Recipe {number}", "preset": f"preset_{number}"})
                for number in range(RECIPES)
            ]
            forms += [
                ("display", {"name": f"Display {number}", "width": 160, "height": 96})
                for number in range(DISPLAYS)
            ]
            for kind, fields in forms:
                flows = hass.config_entries.subentries
                step = await flows.async_init((entry.entry_id, kind), context={"source": "user"})
                await flows.async_configure(step["flow_id"], fields)
            await hass.async_block_till_done()
    return found


async def run(tree: Path, home: Path, *options: str) -> dict[str, float]:
    """Start once in a process of its own, with the bytecode that the start before has written."""
    shutil.rmtree(home / "custom_components", ignore_errors=True)
    environment = {**os.environ, "PYTHONPATH": os.fspath(tree)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.startup",
        f"--home={home}",
        *options,
        cwd=tree,
        env=environment,
        stdout=subprocess.PIPE,
    )
    output, _ = await process.communicate()
    found: dict[str, float] = json.loads(output.splitlines()[-1])
    if not found["loaded"]:
        raise SystemExit(f"The entry was not loaded: {tree.name}")
    return found


async def measure(folder: Path, revision: str, rounds: int) -> bool:
    """Measure both versions and report the figures. Returns whether the limits are met."""
    trees = {name: folder / name for name in ("this", "older")}
    prepare_tree(trees["this"], CHECKOUT / "custom_components" / "gaze")
    prepare_tree(trees["older"], unpack_older(folder / "archive", revision))
    found: dict[str, list[dict[str, float]]] = {name: [] for name in trees}
    async with GazeServer(made_up_presets(PRESETS), duration=None) as server:
        for name, tree in trees.items():
            await asyncio.to_thread(prepare_home, folder / f"home-{name}", server)
            fill = ["--fill"] if name == "this" else []
            await run(tree, folder / f"home-{name}", *fill)
            await run(tree, folder / f"home-{name}")
        for _ in range(rounds):
            for name, tree in trees.items():
                found[name].append(await run(tree, folder / f"home-{name}"))
    middle = {
        name: {key: median(start[key] for start in starts) for key in starts[0]}
        for name, starts in found.items()
    }
    this, older = middle["this"], middle["older"]
    figures = [
        Figure(name="Import and setup (s)", value=this["seconds"]),
        Figure(name="0.1.0: import and setup (s)", value=older["seconds"]),
        Figure(name="Time, ratio", value=this["seconds"] / older["seconds"], limit=LIMIT),
        Figure(name="Memory (MiB)", value=this["memory"], digits=1),
        Figure(name="0.1.0: memory (MiB)", value=older["memory"], digits=1),
        Figure(name="Memory, ratio", value=this["memory"] / older["memory"], limit=LIMIT),
        Figure(name="States", value=this["entities"], digits=0),
        Figure(name="0.1.0: states", value=older["entities"], digits=0),
    ]
    report = Report("startup", "Start of a full home")
    report.add(
        f"{machine()}; medians of {rounds} starts in turns, with {PRESETS} presets and"
        f" {IMAGES:,} images, here also with {RECIPES} recipes and {DISPLAYS} displays"
    )
    report.add(listed(figures))
    if rounds == ROUNDS:
        report.save()
    return all(figure.met for figure in figures)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark. Returns 1 if a limit is not met."""
    parser = argparse.ArgumentParser(prog="scripts/bench startup", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"starts each ({ROUNDS})")
    parser.add_argument("--older", default=OLDER, help="the revision to compare with (0.1.0)")
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--fill", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.home:
        print(json.dumps(asyncio.run(start(options.home, fill=options.fill))))
        return 0
    with tempfile.TemporaryDirectory(prefix="gaze-startup-") as folder:
        return 0 if asyncio.run(measure(Path(folder), options.older, options.rounds)) else 1


if __name__ == "__main__":
    sys.exit(main())
