"""Measures the integration alone: requests, CPU time, memory, and how long it blocks the loop.

Runs the integration, with all its entities, in a process that holds Home Assistant's core and
nothing else, so that what the process does is what the integration does. As a program it is
that process, which prints what it measured as JSON.
"""

import argparse
import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
import gc
import json
from pathlib import Path
import sys
import time
import tracemalloc
from typing import Any, Final

import aiohttp
from homeassistant import bootstrap, loader
from homeassistant.config_entries import SOURCE_USER, ConfigEntries
from homeassistant.core import HomeAssistant
from homeassistant.core_config import async_process_ha_core_config
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers.aiohttp_client import async_get_clientsession
from homeassistant.setup import async_setup_component

from testing.clocks import Watch
from testing.fake_servers import API_KEY, PICTURE_SEED, PRESET, FakeServer
from testing.home_assistant import (
    CHECKOUT,
    DemoError,
    HomeAssistant as HomeAssistantFolder,
    Program,
    free_port,
)

JOBS: Final = 1000
AT_ONCE: Final = 20
# Seconds; presets are listed each 300 s
WINDOW: Final = 180.0
IDLE_WINDOW: Final = 310.0
SETTLING: Final = 5.0
# Home Assistant has written its registries by then
IDLE_SETTLING: Final = 20.0

type Measured = dict[str, float]


async def measured(mode: str, server: FakeServer, folder: Path) -> Measured:
    """Let a process of its own measure; `mode` is a name in `MODES`, in a new folder."""
    program = Program(
        sys.executable,
        "-m",
        "benchmarks.support.alone",
        mode,
        server.url,
        folder,
        folder=CHECKOUT,
        output=folder.with_suffix(".out"),
    )
    await program.start()
    try:
        if await program.wait():
            raise DemoError(f"The measurement of {mode} failed: {program.output.strip()[-2000:]}")
    finally:
        await program.stop()
    return dict(json.loads(program.output.splitlines()[-1]))


@asynccontextmanager
async def _core(folder: Path) -> AsyncGenerator[HomeAssistant]:
    """Run Home Assistant's core in this process."""
    HomeAssistantFolder(folder, port=free_port()).prepare()
    hass = HomeAssistant(str(folder))
    loader.async_setup(hass)
    hass.config_entries = ConfigEntries(hass, {})
    await loader.async_get_custom_components(hass)
    await bootstrap.async_load_base_functionality(hass)
    media = {"local": str(folder / "media")}
    await async_process_ha_core_config(hass, {"media_dirs": media, "auth_mfa_modules": []})
    for domain in (*bootstrap.CORE_INTEGRATIONS, "http"):
        if not await async_setup_component(hass, domain, {}):
            raise DemoError(f"{domain} could not be set up")
    await hass.async_start()
    try:
        yield hass
    finally:
        await hass.async_stop(force=True)


async def _connect(hass: HomeAssistant, server: FakeServer) -> str:
    """Add the server with a sufficient job limit; return the ID of the entry."""
    answers = {"host": server.url, "api_key": API_KEY}
    step = await hass.config_entries.flow.async_init(
        "gaze", context={"source": SOURCE_USER}, data=answers
    )
    if step["type"] is not FlowResultType.CREATE_ENTRY:
        raise DemoError(f"The GAZE server could not be added: {step}")
    entry = step["result"]
    hass.config_entries.async_update_entry(entry, options={"max_open_jobs": JOBS + AT_ONCE})
    await hass.async_block_till_done()
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    return entry.entry_id


async def _queue(hass: HomeAssistant, jobs: int) -> None:
    """Queue jobs."""
    for _ in range(jobs // AT_ONCE):
        await hass.services.async_call(
            "gaze",
            "generate",
            {"preset": PRESET, "count": AT_ONCE, "seed": PICTURE_SEED},
            blocking=True,
            return_response=True,
        )


async def _crowd(hass: HomeAssistant, server: FakeServer, watch: Watch) -> Measured:
    """Measure a thousand open jobs: queue them, track them, and restart with them."""
    figures: Measured = {}
    entry_id = await _connect(hass, server)
    watch.reset()
    await _queue(hass, JOBS)
    figures |= _held("queueing", watch)
    await asyncio.sleep(SETTLING)
    before = await server.requests()
    cpu = time.process_time()
    watch.reset()
    await asyncio.sleep(WINDOW)
    figures["cpu"] = (time.process_time() - cpu) / WINDOW
    figures |= _held("following", watch)
    after = await server.requests()
    for endpoint in ("job", "image"):
        number = after.get(endpoint, 0) - before.get(endpoint, 0)
        figures[endpoint] = number * 60 / WINDOW
    watch.reset()
    await _queue(hass, AT_ONCE)
    await asyncio.sleep(SETTLING)
    figures |= _held("more", watch)
    watch.reset()
    await hass.config_entries.async_reload(entry_id)
    await asyncio.sleep(SETTLING)
    figures |= _held("starting", watch)
    return figures


def _held(phase: str, watch: Watch) -> Measured:
    """Return how long the loop was held at most in a phase."""
    return {f"held_{phase}": watch.held, f"held_in_all_{phase}": watch.held_in_all}


async def _memory(hass: HomeAssistant, server: FakeServer, _watch: Watch) -> Measured:
    """Measure the memory of a thousand open jobs."""
    await _connect(hass, server)
    tracemalloc.start()
    await _queue(hass, JOBS)
    await asyncio.sleep(SETTLING)
    gc.collect()
    return {"bytes": tracemalloc.get_traced_memory()[0] / JOBS}


async def _idle(hass: HomeAssistant, server: FakeServer, watch: Watch) -> Measured:
    """Measure an entry without jobs."""
    await _connect(hass, server)
    return await _watched(server, watch)


async def _core_alone(hass: HomeAssistant, server: FakeServer, watch: Watch) -> Measured:
    """Measure Home Assistant's core without an entry, but with its HTTP client.

    The client brings zeroconf, which every home has, and which wakes the loop each 10 s.
    """
    async_get_clientsession(hass)
    return await _watched(server, watch)


async def _watched(server: FakeServer, watch: Watch) -> Measured:
    """Measure Home Assistant while it is idle."""
    await asyncio.sleep(IDLE_SETTLING)
    before = await server.requests()
    cpu = time.process_time()
    watch.reset()
    await asyncio.sleep(IDLE_WINDOW)
    wakeups = watch.wakeups
    cpu = (time.process_time() - cpu) / IDLE_WINDOW
    requests = sum((await server.requests()).values()) - sum(before.values())
    return {"wakeups": wakeups, "cpu": cpu, "requests": requests}


MODES: Final[dict[str, Callable[[HomeAssistant, FakeServer, Watch], Awaitable[Measured]]]] = {
    "core": _core_alone,
    "crowd": _crowd,
    "idle": _idle,
    "memory": _memory,
}


async def _measure(mode: str, url: str, folder: Path, watch: Watch) -> Any:
    async with aiohttp.ClientSession() as session, _core(folder) as hass:
        return await MODES[mode](hass, FakeServer(url=url, session=session), watch)


def main() -> None:
    """Run the measurement named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=MODES)
    parser.add_argument("url")
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    watch = Watch()
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(watch)) as runner:
        figures = runner.run(_measure(options.mode, options.url, options.folder, watch))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
