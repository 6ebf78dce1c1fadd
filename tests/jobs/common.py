"""Helpers of the tests of jobs."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from homeassistant.core import HomeAssistant
from homeassistant.helpers.storage import STORAGE_DIR
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.gaze.const import DOMAIN
from custom_components.gaze.coordinator import GazeCoordinator
from custom_components.gaze.jobs import Job
from testing.gaze_server import GazeServer

from ..common import PRESET, act


def entry_for(server: GazeServer, **options: Any) -> MockConfigEntry:
    """Return an entry for a server."""
    return MockConfigEntry(
        domain=DOMAIN,
        title="GAZE",
        data={"host": server.url, "api_key": server.api_key, "verify_ssl": True},
        options=options,
    )


async def generate(hass: HomeAssistant, **fields: Any) -> dict[str, Any]:
    """Call the action; by default it does not wait."""
    return await act(hass, "generate", preset=PRESET, **fields)


async def ended(hass: HomeAssistant, answer: dict[str, Any]) -> list[dict[str, Any]]:
    """Wait for the jobs of an answer, for up to an hour of the engine's time."""
    answer = await act(hass, "wait", batch_id=answer["batch_id"], timeout={"hours": 1})
    assert answer["complete"], "The jobs have not ended"
    jobs: list[dict[str, Any]] = answer["jobs"]
    return jobs


def types(events: list[dict[str, Any]], job_id: str) -> list[str]:
    """Return the types of the events of a job, in order."""
    return [event["type"] for event in events if event["job_id"] == job_id]


def milestones(events: list[dict[str, Any]], job_id: str) -> list[str]:
    """Return the types of events that each job fires exactly once, in order."""
    return [kind for kind in types(events, job_id) if kind != "started"]


def coordinator(entry: MockConfigEntry) -> GazeCoordinator:
    """Return the entry's coordinator."""
    found: GazeCoordinator = entry.runtime_data
    return found


def open_ids(entry: MockConfigEntry) -> list[str]:
    """Return the ids of the open jobs."""
    return [job.job_id for job in coordinator(entry).engine.open_jobs]


async def reached(condition: Callable[[], bool], every: float = 0.1) -> None:
    """Wait for a condition, looking every so many seconds of the engine's time."""
    async with asyncio.timeout(24 * 3600):
        while not condition():
            await asyncio.sleep(every)


def store_path(hass: HomeAssistant, entry: MockConfigEntry) -> Path:
    """Return the file of the jobs."""
    return Path(hass.config.path(STORAGE_DIR, f"{DOMAIN}.{entry.entry_id}.jobs.db"))


def job(job_id: str, **changes: Any) -> Job:
    """Return a job that was just queued."""
    return Job(
        job_id=job_id,
        batch_id="batch",
        index=1,
        count=1,
        preset="neon_city",
        preset_name="Neon city",
        requested_at=1_000.0,
        **changes,
    )
