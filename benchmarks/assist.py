"""Compares the duration of the AI task with that of `gaze.generate` with `wait`.

Both actions generate images of one preset in turns, in one run of Home Assistant's core. The GAZE
server runs in its own process, and all its images take equally long.
"""

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from statistics import median
import sys
import tempfile
import time
from typing import Final

from homeassistant.core import HomeAssistant

from testing.fake_servers import API_KEY, PRESET, Wanted, fake_servers
from testing.gaze_server import DEFAULT_PRESETS
from testing.home_assistant import DemoError

from .entities import add, core
from .support.report import Figure, Report, listed, machine, nearest_rank

ROUNDS: Final = 12
# Images until durations are learned and everything is loaded
WARM_UP: Final = 3
# Seconds
DURATION: Final = 1.5
LIMIT: Final = 0.3

type Make = Callable[[HomeAssistant], Awaitable[None]]


async def by_ai_task(hass: HomeAssistant) -> None:
    """Generate an image with the AI task."""
    await hass.services.async_call(
        "ai_task",
        "generate_image",
        {"task_name": "bench", "entity_id": "ai_task.gaze", "instructions": "a harbour"},
        blocking=True,
        return_response=True,
    )


async def by_action(hass: HomeAssistant) -> None:
    """Generate an image with `gaze.generate`."""
    answer = await hass.services.async_call(
        "gaze",
        "generate",
        {"preset": PRESET, "extra_positive": "a harbour", "wait": True},
        blocking=True,
        return_response=True,
    )
    if not answer or not answer["complete"]:
        raise DemoError(f"The image was not made: {answer}")


async def taken(hass: HomeAssistant, make: Make) -> float:
    """Return the seconds from the call to the response."""
    began = time.perf_counter()
    await make(hass)
    return time.perf_counter() - began


async def measure(rounds: int) -> bool:
    """Measure both and report the figures. Returns whether the limit is met."""
    times: dict[Make, list[float]] = {by_ai_task: [], by_action: []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wanted = [Wanted(duration=DURATION, jitter=0, seed=1)]
        async with fake_servers(wanted, folder) as [server], core(folder / "home") as hass:
            await add(hass, "gaze", {"host": server.url, "api_key": API_KEY})
            await hass.services.async_call(
                "select",
                "select_option",
                {"entity_id": "select.gaze_preset", "option": DEFAULT_PRESETS[0].name},
                blocking=True,
            )
            for number in range(WARM_UP + rounds):
                for make, measured in times.items():
                    seconds = await taken(hass, make)
                    if number >= WARM_UP:
                        measured.append(seconds)
    added = Figure(
        name="Added by the AI task, p50 (s)",
        value=median(times[by_ai_task]) - median(times[by_action]),
        limit=LIMIT,
        digits=3,
    )
    report = Report("assist", "AI task")
    report.add(f"{machine()}; {rounds} images of {DURATION:g} s with each action")
    report.add(
        listed(
            [
                *_figures("`ai_task.generate_image`", times[by_ai_task]),
                *_figures("`gaze.generate` with `wait`", times[by_action]),
                added,
            ]
        )
    )
    if rounds == ROUNDS:
        report.save()
    return added.met


def _figures(way: str, times: Sequence[float]) -> list[Figure]:
    """Return the figures of one action."""
    return [
        Figure(name=f"{way}: call to response, p50 (s)", value=median(times), digits=3),
        Figure(name=f"{way}: p95 (s)", value=nearest_rank(times, 0.95), digits=3),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark. Returns 1 if the limit is not met."""
    parser = argparse.ArgumentParser(prog="scripts/bench assist", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"images each way ({ROUNDS})")
    options = parser.parse_args(arguments)
    return 0 if asyncio.run(measure(options.rounds)) else 1


if __name__ == "__main__":
    sys.exit(main())
