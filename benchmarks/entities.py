"""Compares setup, state writes, and memory of the entities with a minimal integration.

The opponent adds the same number of devices and entities that do nothing, in the same run of
Home Assistant's core, in turns. The GAZE server runs in the same process, so its
response time is included in the figures of this integration.
"""

import argparse
import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
import gc
import os
from pathlib import Path
from statistics import median
import sys
import tempfile
import time
import tracemalloc
from typing import Final

from homeassistant import bootstrap, loader
from homeassistant.config_entries import SOURCE_USER, ConfigEntries, ConfigEntry
from homeassistant.const import EVENT_STATE_CHANGED, EVENT_STATE_REPORTED
from homeassistant.core import (
    Event,
    EventStateChangedData,
    EventStateReportedData,
    HomeAssistant,
    callback,
)
from homeassistant.core_config import async_process_ha_core_config
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers import entity_registry as er
from homeassistant.setup import async_setup_component

from testing.gaze_server import GazeServer, made_up_presets
from testing.home_assistant import DemoError, HomeAssistant as HomeAssistantFolder, free_port

from .support.report import Figure, Report, machine, table

PRESETS: Final = 500  # as many as are supported
FEW_PRESETS: Final = 100
ROUNDS: Final = 5
OURS: Final = "gaze"
BARE: Final = "gaze_bare"
BARE_FOLDER: Final = Path(__file__).parent / "support" / "gaze_bare"
# Duration in seconds of the image for which state writes are counted
DURATION: Final = 3.0
DEADLINE: Final = 60.0

type Add = Callable[[], Awaitable[ConfigEntry]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A row of the table: the values of both integrations, and their ratio if it has a limit."""

    figure: Figure
    opponent: float | None = None
    ratio: Figure | None = None

    @property
    def cells(self) -> list[str]:
        """Return the cells of the row."""
        judged = self.ratio or self.figure
        opponent = "" if self.opponent is None else f"{self.opponent:.{self.figure.digits}f}"
        ratio = "" if self.ratio is None else self.ratio.text
        return [
            self.figure.name,
            self.figure.text,
            opponent,
            ratio,
            judged.limit_text,
            judged.verdict,
        ]


class Writes:
    """Counts state writes, including those that do not change the state."""

    def __init__(self, hass: HomeAssistant) -> None:
        """Start with no writes."""
        self.entities: list[str] = []
        hass.bus.async_listen(EVENT_STATE_CHANGED, self._note)
        hass.bus.async_listen(EVENT_STATE_REPORTED, self._note, event_filter=self._every)

    @callback
    def _note(self, event: Event[EventStateChangedData] | Event[EventStateReportedData]) -> None:
        self.entities.append(event.data["entity_id"])

    @callback
    def _every(self, _data: EventStateReportedData) -> bool:
        return True


@asynccontextmanager
async def core(folder: Path) -> AsyncGenerator[HomeAssistant]:
    """Run Home Assistant's core with only what both integrations need."""
    HomeAssistantFolder(folder, port=free_port()).prepare()
    (folder / "custom_components" / BARE).symlink_to(BARE_FOLDER)
    sys.path.append(os.fspath(folder))  # in addition to the checkout, which contains GAZE
    hass = HomeAssistant(os.fspath(folder))
    loader.async_setup(hass)
    hass.config_entries = ConfigEntries(hass, {})
    await loader.async_get_custom_components(hass)
    await bootstrap.async_load_base_functionality(hass)
    media = {"local": os.fspath(folder / "media")}
    await async_process_ha_core_config(hass, {"media_dirs": media, "auth_mfa_modules": []})
    for domain in (*bootstrap.CORE_INTEGRATIONS, "http"):
        if not await async_setup_component(hass, domain, {}):
            raise DemoError(f"{domain} could not be set up")
    await hass.async_start()
    try:
        yield hass
    finally:
        await hass.async_stop(force=True)


async def add(hass: HomeAssistant, domain: str, answers: dict[str, object]) -> ConfigEntry:
    """Add an entry with the config flow. Returns it when all its entities exist."""
    step = await hass.config_entries.flow.async_init(
        domain, context={"source": SOURCE_USER}, data=answers
    )
    if step["type"] is not FlowResultType.CREATE_ENTRY:
        raise DemoError(f"{domain} could not be added: {step}")
    await hass.async_block_till_done()
    entry: ConfigEntry = step["result"]
    return entry


def entities(hass: HomeAssistant, entry: ConfigEntry) -> int:
    """Return the number of enabled entities of an entry."""
    registered = er.async_entries_for_config_entry(er.async_get(hass), entry.entry_id)
    return sum(not entity.disabled for entity in registered)


async def set_up_times(hass: HomeAssistant, add_entry: Add) -> tuple[float, float]:
    """Return the setup times of a new entry and after a restart, in seconds."""
    gc.collect()
    began = time.perf_counter()
    entry = await add_entry()
    new = time.perf_counter() - began
    await hass.config_entries.async_unload(entry.entry_id)
    await hass.async_block_till_done()
    gc.collect()
    began = time.perf_counter()
    await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    again = time.perf_counter() - began
    await remove(hass, entry)
    return new, again


async def remove(hass: HomeAssistant, entry: ConfigEntry) -> None:
    """Remove an entry with its devices and entities."""
    await hass.config_entries.async_remove(entry.entry_id)
    await hass.async_block_till_done()


async def memory(hass: HomeAssistant, add_entry: Add) -> float:
    """Return the memory that an entry uses, in bytes."""
    gc.collect()
    tracemalloc.start()
    entry = await add_entry()
    gc.collect()
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    await remove(hass, entry)
    return float(taken)


async def set_up_lines(hass: HomeAssistant, rounds: int) -> list[Line]:
    """Measure the setup with many presets."""
    async with GazeServer(made_up_presets(PRESETS), duration=None) as server:

        async def ours() -> ConfigEntry:
            return await add(hass, OURS, {"host": server.url, "api_key": server.api_key})

        entry = await ours()
        others = entities(hass, entry) - 2 * PRESETS
        await remove(hass, entry)

        async def bare() -> ConfigEntry:
            return await add(hass, BARE, {"presets": PRESETS, "others": others})

        entry = await bare()
        if entities(hass, entry) != others + 2 * PRESETS:
            raise DemoError("The bare integration has not added all its entities")
        await remove(hass, entry)

        times: dict[Add, list[tuple[float, float]]] = {ours: [], bare: []}
        for _ in range(rounds):
            for client, measured in times.items():
                measured.append(await set_up_times(hass, client))
        lines = []
        for index, name in enumerate(("new", "after a restart")):
            our, their = (median(pair[index] for pair in times[client]) for client in (ours, bare))
            lines.append(
                Line(
                    figure=Figure(name=f"Set-up of {PRESETS:,} presets, {name} (s)", value=our),
                    opponent=their,
                    ratio=Figure(name="", value=our / their, limit=1.3),
                )
            )
        our = await memory(hass, ours) / PRESETS / 1024
        their = await memory(hass, bare) / PRESETS / 1024
    figure = Figure(name="Memory a preset (KiB)", value=our, digits=1)
    lines.append(Line(figure=figure, opponent=their, ratio=Figure(name="", value=our / their)))
    return lines


async def write_lines(hass: HomeAssistant) -> list[Line]:
    """Count the state writes of a server with fewer presets."""
    async with GazeServer(made_up_presets(FEW_PRESETS), duration=DURATION, jitter=0) as server:
        entry = await add(hass, OURS, {"host": server.url, "api_key": server.api_key})
        writes = Writes(hass)
        images = []
        refreshes = []
        for _ in range(2):  # the second run has a learned duration and so an estimate
            writes.entities.clear()
            await press_and_wait(hass, server)
            images.append(len(writes.entities))
            writes.entities.clear()
            await entry.runtime_data.async_refresh()
            await hass.async_block_till_done()
            refreshes.append(len(writes.entities))
        await remove(hass, entry)
    return [
        Line(
            figure=Figure(
                name="State writes of an unchanged refresh",
                value=max(refreshes),
                limit=0,
                digits=0,
            )
        ),
        Line(
            figure=Figure(
                name=f"State writes an image, with {FEW_PRESETS} presets",
                value=max(images),
                limit=16,
                digits=0,
            )
        ),
    ]


async def press_and_wait(hass: HomeAssistant, server: GazeServer) -> None:
    """Press the button of a preset and wait for the event of its image."""
    [button, *_] = [
        entity_id
        for entity_id in hass.states.async_entity_ids("button")
        if "_harbour_" in entity_id
    ]
    ended = asyncio.Event()

    @callback
    def note(event: Event) -> None:
        if event.data["type"] in {"finished", "failed"}:
            ended.set()

    stop = hass.bus.async_listen("gaze_event", note)
    await hass.services.async_call("button", "press", {"entity_id": button}, blocking=True)
    async with asyncio.timeout(DEADLINE):
        await ended.wait()
    stop()
    await hass.async_block_till_done()
    if server.jobs[-1].image_url is None:
        raise DemoError("The image was not made")


async def measure(rounds: int) -> bool:
    """Measure all and report the figures. Returns whether all limits are met."""
    with tempfile.TemporaryDirectory() as folder:
        async with core(Path(folder) / "home") as hass:
            lines = await set_up_lines(hass, rounds) + await write_lines(hass)
    report = Report("entities", "Entities")
    report.add(f"{machine()}; medians of {rounds} rounds")
    head = ["", "value", "opponent", "ratio", "limit", "met"]
    report.add(table(head, [line.cells for line in lines]))
    if rounds == ROUNDS:
        report.save()
    return all((line.ratio or line.figure).met for line in lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark. Returns 1 if a limit is not met."""
    parser = argparse.ArgumentParser(prog="scripts/bench entities", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"of the set-up ({ROUNDS})")
    options = parser.parse_args(arguments)
    return 0 if asyncio.run(measure(options.rounds)) else 1


if __name__ == "__main__":
    sys.exit(main())
