"""Tests of a loaded entry with a hostile server."""

import asyncio
from collections import Counter
import json
from typing import Any, Final

from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
import pytest

from custom_components.gaze.api import (
    GazeConnectionError,
    GazeError,
    GazeResponseError,
    GazeServerError,
    GazeTimeoutError,
)
from custom_components.gaze.api.models import MAX_PRESETS
from custom_components.gaze.coordinator import GazeCoordinator
from custom_components.gaze.generation import async_generate
from custom_components.gaze.jobs import Status
from custom_components.gaze.jobs.models import Reason
from testing.clocks import Watch

from ..conftest import SetUp
from .common import OUTCOMES, TOO_LARGE
from .conftest import Hostile, start_watching

# One of each kind: the client makes one error of all that is of a kind.
HARMFUL: Final = (
    "hangs_in_the_header",
    "hangs_in_the_body",
    "drips_the_body",
    "resets_at_once",
    "closes_in_the_body",
    "says_too_short",
    "says_two_lengths",
    "sends_a_gigabyte_of_json",
    "sends_a_gzip_bomb",
    "sends_noise",
    "fails_with_a_gigabyte",
    "refuses_with_a_gigabyte",
    "redirects_to_another_host",
)

GENERATE_ERRORS: Final[dict[type[GazeError] | None, str]] = {
    GazeTimeoutError: "connection_failed",
    GazeConnectionError: "connection_failed",
    GazeServerError: "server_failed",
    GazeResponseError: "unexpected_response",
}


async def settle(tasks: list[asyncio.Task[Any]], seconds: float) -> None:
    """Wait for tasks, which end within a time."""
    _, pending = await asyncio.wait(tasks, timeout=seconds)
    assert not pending


async def set_up(
    hass: HomeAssistant, setup_integration: SetUp, hostile: Hostile, place: str
) -> dict[str, GazeCoordinator]:
    """Set up an entry for each hostility, all of them paused. Returns the coordinators."""
    await hostile.order(off=HARMFUL)
    entries = {name: hostile.entry(name, place) for name in HARMFUL}
    for entry in entries.values():
        entry.add_to_hass(hass)
    first, *_ = entries.values()
    await hass.config_entries.async_setup(first.entry_id)
    for entry in entries.values():
        while entry.state is ConfigEntryState.SETUP_IN_PROGRESS:
            await asyncio.sleep(0.01)
    assert {entry.state for entry in entries.values()} == {ConfigEntryState.LOADED}
    return {name: entry.runtime_data for name, entry in entries.items()}


@pytest.mark.usefixtures("faultless")
async def test_last_presets_stay_when_response_is_hostile(
    hass: HomeAssistant,
    setup_integration: SetUp,
    hostile: Hostile,
    watch: Watch,
) -> None:
    coordinators = await set_up(hass, setup_integration, hostile, "presets")
    await start_watching(watch)

    await hostile.order(off=[])
    calls = [hass.async_create_task(one.async_refresh()) for one in coordinators.values()]
    await settle(calls, 31)

    assert {slug for one in coordinators.values() for slug in one.data} == {"neon_city"}
    assert all(one.data for one in coordinators.values())
    assert not any(one.last_update_success for one in coordinators.values())
    assert not hass.config_entries.flow.async_progress()

    await hostile.order(off=HARMFUL)
    for one in coordinators.values():
        await one.async_refresh()

    assert all(one.last_update_success for one in coordinators.values())


@pytest.mark.usefixtures("faultless")
async def test_uncertain_generation_raises_one_error(
    hass: HomeAssistant,
    setup_integration: SetUp,
    hostile: Hostile,
    watch: Watch,
    told: list[tuple[str, str]],
) -> None:
    coordinators = await set_up(hass, setup_integration, hostile, "generate")
    await start_watching(watch)

    await hostile.order(off=[], forget=True)
    calls = [
        hass.async_create_task(async_generate(one, "neon_city", {}))
        for one in coordinators.values()
    ]
    await settle(calls, 31)

    errors = {name: call.exception() for name, call in zip(coordinators, calls, strict=True)}
    keys = {
        name: error.translation_key
        for name, error in errors.items()
        if isinstance(error, HomeAssistantError)
    }
    assert keys == {name: GENERATE_ERRORS[OUTCOMES[name]] for name in HARMFUL}
    assert told == []
    asked = [head for head in (await hostile.order())["gaze"] if head.startswith("POST")]
    assert len(asked) == len(HARMFUL)

    await hostile.order(off=HARMFUL)
    for one in coordinators.values():
        assert len(await async_generate(one, "neon_city", {})) == 1


@pytest.mark.usefixtures("faultless")
@pytest.mark.parametrize("place", ["job", "image"])
async def test_job_survives_hostile_server_and_ends_once(
    hass: HomeAssistant,
    setup_integration: SetUp,
    hostile: Hostile,
    watch: Watch,
    told: list[tuple[str, str]],
    place: str,
) -> None:
    coordinators = await set_up(hass, setup_integration, hostile, place)
    await start_watching(watch)
    await hostile.order(off=[])
    for one in coordinators.values():
        await async_generate(one, "neon_city", {})
    await asyncio.sleep(125)

    jobs = {name: one.engine.jobs[-1] for name, one in coordinators.items()}
    ended = {name: (job.status, job.reason) for name, job in jobs.items() if not job.open}
    too_large = [name for name in HARMFUL if place == "image" and name in TOO_LARGE]
    assert ended == dict.fromkeys(too_large, (Status.FAILED, Reason.DOWNLOAD))

    await hostile.order(off=HARMFUL)
    for one in coordinators.values():
        await one.async_refresh()  # a key that works lets the jobs go on
    waits = [
        hass.async_create_task(one.engine.async_wait([one.engine.jobs[-1].job_id]))
        for one in coordinators.values()
    ]
    await settle(waits, 400)
    await hass.async_block_till_done()

    jobs = {name: one.engine.jobs[-1] for name, one in coordinators.items()}
    left = {name: job.status for name, job in jobs.items() if job.status is not Status.DONE}
    assert left == dict.fromkeys(too_large, Status.FAILED)
    ends = Counter(job_id for job_id, kind in told if kind in {"finished", "failed"})
    assert ends == {job.job_id: 1 for job in jobs.values()}
    queued = Counter(job_id for job_id, kind in told if kind == "queued")
    assert queued == ends


@pytest.mark.timing
@pytest.mark.usefixtures("faultless")
async def test_largest_images_do_not_block_event_loop(
    hass: HomeAssistant,
    setup_integration: SetUp,
    hostile: Hostile,
    watch: Watch,
) -> None:
    names = ("sends_a_picture_of_sixty_mebibytes", "sends_a_picture_of_too_many_pixels")
    coordinators = []
    for name in names:
        entry = hostile.entry(name, "image")
        await setup_integration(entry)
        coordinators.append(entry.runtime_data)
    await start_watching(watch)

    for one in coordinators:
        [job] = await async_generate(one, "neon_city", {})
        await one.engine.async_wait([job.job_id])

    large, worst = (one.engine.jobs[-1] for one in coordinators)
    assert large.status is Status.DONE
    assert (worst.reason, worst.error) == (Reason.DOWNLOAD, "it has too many pixels")


@pytest.mark.usefixtures("faultless")
async def test_presets_beyond_limit_are_ignored(
    hass: HomeAssistant,
    setup_integration: SetUp,
    hostile: Hostile,
    watch: Watch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    entry = hostile.entry("crowd", "presets")
    await setup_integration(entry)
    presets = [{"slug": f"preset_{number}", "name": "A"} for number in range(MAX_PRESETS + 1)]
    await hostile.order(canned={"crowd": json.dumps({"presets": presets}).encode()})
    await start_watching(watch)

    await entry.runtime_data.async_refresh()

    assert len(entry.runtime_data.data) == MAX_PRESETS
    assert entry.runtime_data.last_update_success
    assert "Only the first 500 are used" in caplog.text


@pytest.mark.timing
@pytest.mark.usefixtures("faultless")
async def test_most_presets_come_and_go_without_blocking(
    hass: HomeAssistant, setup_integration: SetUp, hostile: Hostile, watch: Watch
) -> None:
    entry = hostile.entry("tide", "presets")
    await setup_integration(entry)
    presets = [{"slug": f"preset_{number}", "name": "A"} for number in range(MAX_PRESETS)]
    one = [{"slug": "neon_city", "name": "Neon city"}]

    async def have(listed: list[dict[str, str]]) -> int:
        await hostile.order(canned={"tide": json.dumps({"presets": listed}).encode()})
        await start_watching(watch)
        await entry.runtime_data.async_refresh()
        await hass.async_block_till_done()
        return len(hass.states.async_entity_ids("image"))

    assert await have(presets) == MAX_PRESETS + 1
    assert await have(one) == 2
