"""What the AI task adds to the time that an image takes, against `gaze.generate` with `wait`.

Both actions make images of one preset in turns, in one run of Home Assistant's core, with a GAZE
server in a process of its own whose images all take equally long.
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

from testing.gaze_server import DEFAULT_PRESETS
from testing.home_assistant import DemoError

from .entities import add, core
from .support.report import Figure, listed, machine, nearest_rank
from .support.stand_ins import API_KEY, PRESET, Wanted, stand_ins

ROUNDS: Final = 12
# Images until durations are learned and everything is loaded
WARM_UP: Final = 3
# Seconds
DURATION: Final = 1.5
LIMIT: Final = 0.3

type Make = Callable[[HomeAssistant], Awaitable[None]]


async def by_ai_task(hass: HomeAssistant) -> None:
    """Make an image with the AI task."""
    await hass.services.async_call(
        "ai_task",
        "generate_image",
        {"task_name": "bench", "entity_id": "ai_task.gaze", "instructions": "a harbour"},
        blocking=True,
        return_response=True,
    )


async def by_action(hass: HomeAssistant) -> None:
    """Make an image with our own action."""
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
    """Return how many seconds an image takes from the call to the answer."""
    began = time.perf_counter()
    await make(hass)
    return time.perf_counter() - began


async def measure(rounds: int) -> bool:
    """Measure both and print the table; return whether the limit is met."""
    times: dict[Make, list[float]] = {by_ai_task: [], by_action: []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wanted = [Wanted(duration=DURATION, jitter=0, seed=1)]
        async with stand_ins(wanted, folder) as [server], core(folder / "home") as hass:
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
    print(f"{machine()}; {rounds} images of {DURATION:g} s each way\n")
    print(
        listed(
            [
                *_figures("`ai_task.generate_image`", times[by_ai_task]),
                *_figures("`gaze.generate` with `wait`", times[by_action]),
                added,
            ]
        )
    )
    return added.met


def _figures(way: str, times: Sequence[float]) -> list[Figure]:
    """Return what is told of one way."""
    return [
        Figure(name=f"{way}: call to answer, p50 (s)", value=median(times), digits=3),
        Figure(name=f"{way}: p95 (s)", value=nearest_rank(times, 0.95), digits=3),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; return 1 where the limit is not met."""
    parser = argparse.ArgumentParser(prog="scripts/bench assist", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"images each way ({ROUNDS})")
    options = parser.parse_args(arguments)
    return 0 if asyncio.run(measure(options.rounds)) else 1


if __name__ == "__main__":
    sys.exit(main())
