"""Measures recipes: adding the 50th one, and what a run adds before the request.

A run without a prompt writer is compared with the same request of a preset, in turns in one run
of Home Assistant's core. The GAZE server runs in the same process, so its response time is part of
both.
"""

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path
from statistics import median
import sys
import tempfile
import time
from typing import Any, Final

from homeassistant.config_entries import SOURCE_USER, ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers import entity_registry as er

from testing.gaze_server import DEFAULT_PRESETS, GazeServer
from testing.home_assistant import DemoError

from .entities import OURS, Writes, add, core
from .support.report import Figure, Report, listed, machine

RECIPES: Final = 50
ROUNDS: Final = 30
PRESET: Final = DEFAULT_PRESETS[0].slug
PROMPT: Final = "{{ states('weather.home') }} weather, {{ now().strftime('%B') }}, wide view"
NEGATIVE: Final = "{{ 'fog' if is_state('weather.home', 'sunny') else 'sun' }}"


async def add_recipe(hass: HomeAssistant, entry: ConfigEntry, number: int) -> str:
    """Add a recipe with its form, wait for its entities, and return its ID."""
    before = set(entry.subentries)
    flow = await hass.config_entries.subentries.async_init(
        (entry.entry_id, "recipe"), context={"source": SOURCE_USER}
    )
    step = await hass.config_entries.subentries.async_configure(
        flow["flow_id"],
        {
            "name": f"Recipe {number}",
            "preset": PRESET,
            "prompt": PROMPT,
            "negative": NEGATIVE,
            "size_and_model": {"width": 768, "height": 512},
        },
    )
    if step["type"] is not FlowResultType.CREATE_ENTRY:
        raise DemoError(f"The recipe could not be added: {step}")
    await hass.async_block_till_done()
    [recipe_id] = set(entry.subentries) - before
    return recipe_id


async def adding_figures(hass: HomeAssistant, entry: ConfigEntry, rounds: int) -> list[Figure]:
    """Measure adding the last recipe, and count what else it disturbs."""
    for number in range(RECIPES - 1):
        await add_recipe(hass, entry, number)
    coordinator = entry.runtime_data
    writes = Writes(hass)
    registry = er.async_get(hass)
    times: list[float] = []
    others: set[str] = set()
    for _ in range(rounds):
        writes.entities.clear()
        began = time.perf_counter()
        recipe_id = await add_recipe(hass, entry, RECIPES)
        times.append(time.perf_counter() - began)
        own = {
            entity.entity_id
            for entity in er.async_entries_for_config_entry(registry, entry.entry_id)
            if entity.config_subentry_id == recipe_id
        }
        if not own.issubset(writes.entities):
            raise DemoError("The recipe has no entities")
        others |= set(writes.entities) - own
        hass.config_entries.async_remove_subentry(entry, recipe_id)
        await hass.async_block_till_done()
    reloads = int(entry.runtime_data is not coordinator)
    return [
        Figure(
            name=f"Adding recipe {RECIPES}, p50 (ms)",
            value=median(times) * 1000,
            limit=100,
            digits=1,
        ),
        Figure(name=f"Adding recipe {RECIPES}, slowest (ms)", value=max(times) * 1000, digits=1),
        Figure(name="Reloads", value=reloads, limit=0, digits=0),
        Figure(name="Other entities that write their state", value=len(others), limit=0, digits=0),
    ]


async def request(hass: HomeAssistant, fields: dict[str, Any]) -> float:
    """Return the seconds until a request is queued, and discard its jobs."""
    began = time.perf_counter()
    answer = await hass.services.async_call(
        OURS, "generate", fields, blocking=True, return_response=True
    )
    seconds = time.perf_counter() - began
    if not answer or not answer["jobs"]:
        raise DemoError("Nothing was queued")
    await hass.services.async_call(OURS, "stop_tracking", {"all": True}, blocking=True)
    return seconds


async def run_figures(hass: HomeAssistant, rounds: int) -> list[Figure]:
    """Compare the run of a recipe with the same request of a preset."""
    hass.states.async_set("weather.home", "sunny")
    size = {"width": 768, "height": 512}
    texts = {"extra_positive": "sunny weather", "extra_negative": "fog"}
    of_preset = {"preset": PRESET, **size, **texts}
    of_recipe = {"recipe": "recipe_7"}
    times: list[tuple[float, float]] = [
        (await request(hass, of_preset), await request(hass, of_recipe)) for _ in range(rounds + 1)
    ][1:]
    preset, recipe = (median(turn) * 1000 for turn in zip(*times, strict=True))
    return [
        Figure(name="Request of a preset, p50 (ms)", value=preset),
        Figure(name="Run of a recipe, p50 (ms)", value=recipe),
        Figure(name="Added by the recipe (ms)", value=recipe - preset, limit=5),
    ]


async def measure(rounds: int) -> bool:
    """Measure all, report it, and return whether all limits are met."""
    with tempfile.TemporaryDirectory() as folder:
        async with core(Path(folder) / "home") as hass, GazeServer(duration=None) as server:
            entry = await add(hass, OURS, {"host": server.url, "api_key": server.api_key})
            figures = [
                *await adding_figures(hass, entry, rounds),
                *await run_figures(hass, rounds),
            ]
    report = Report("recipes", "Recipes")
    report.add(f"{machine()}; {RECIPES} recipes, {rounds} rounds")
    report.add(listed(figures))
    if rounds >= ROUNDS:
        report.save()
    return all(figure.met for figure in figures)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 1 if a limit is not met."""
    parser = argparse.ArgumentParser(prog="scripts/bench recipes", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"of each step ({ROUNDS})")
    options = parser.parse_args(arguments)
    return 0 if asyncio.run(measure(options.rounds)) else 1


if __name__ == "__main__":
    sys.exit(main())
