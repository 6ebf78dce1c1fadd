"""The records of the job engine on disk: jobs and learned durations."""

import asyncio
import json
import logging
import sqlite3
from typing import Final

from homeassistant.core import HomeAssistant
from mashumaro.exceptions import MissingField
import orjson

from ..const import DOMAIN
from ..database import Database, Row
from .models import Job
from .pacing import Durations, Key

_LOGGER = logging.getLogger(__name__)

MAX_SAMPLE: Final = 7 * 86_400.0  # seconds; no image takes longer

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS job (
    number INTEGER PRIMARY KEY AUTOINCREMENT, job_id TEXT NOT NULL UNIQUE, record TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS duration (key TEXT PRIMARY KEY, samples TEXT NOT NULL);
"""


class Records:
    """The jobs and learned durations of one server, on disk when a call returns.

    If the disk fails, the failure is logged and the engine continues in memory: a job that GAZE
    accepted is tracked in any case.
    """

    def __init__(self, hass: HomeAssistant, entry_id: str) -> None:
        """Use the entry's own file."""
        self._hass = hass
        self._failing = False
        self._in_order = asyncio.Lock()  # an older record must not overwrite a newer one
        self._database = Database(hass, f"{DOMAIN}.{entry_id}.jobs.db", _SCHEMA)

    @property
    def set_aside(self) -> str | None:
        """Return the name that the file has now if it was damaged and set aside in this start."""
        return self._database.set_aside

    async def async_open(self) -> tuple[list[Job], Durations]:
        """Return the jobs in the order they were accepted, and the learned durations.

        Raises sqlite3.OperationalError if the file cannot be used.
        """
        await self._database.async_open()
        jobs = await self._database.async_read("SELECT job_id, record FROM job ORDER BY number")
        durations = await self._database.async_read("SELECT key, samples FROM duration")
        return await self._hass.async_add_executor_job(_decode, jobs, durations)

    async def async_save(self, *jobs: Job) -> None:
        """Save jobs as they are now."""
        await self._write(
            "INSERT INTO job (job_id, record) VALUES (?, ?)"
            " ON CONFLICT (job_id) DO UPDATE SET record = excluded.record",
            *((job.job_id, job.to_json()) for job in jobs),
        )

    async def async_save_durations(self, key: Key, samples: list[float]) -> None:
        """Save the durations that were learned for one key."""
        await self._write(
            "INSERT OR REPLACE INTO duration VALUES (?, ?)",
            (orjson.dumps(key).decode(), orjson.dumps(samples).decode()),
        )

    async def async_forget(self, job_ids: list[str]) -> None:
        """Discard ended jobs."""
        await self._write("DELETE FROM job WHERE job_id = ?", *((job_id,) for job_id in job_ids))

    async def async_close(self) -> None:
        """Close the file after all writes."""
        async with self._in_order:
            await self._database.async_close()

    async def async_remove(self) -> None:
        """Remove the file."""
        await self._database.async_remove()

    async def _write(self, statement: str, *rows: Row) -> None:
        """Run the statement for each row, even if the caller is cancelled meanwhile.

        Otherwise an event that was fired as the server is unloaded would be fired again.
        """
        await asyncio.shield(
            self._hass.async_create_task(self._write_in_order(statement, *rows), "gaze save jobs")
        )

    async def _write_in_order(self, statement: str, *rows: Row) -> None:
        """Run the statement for each row, or log once why that is not possible."""
        try:
            async with self._in_order:
                await self._database.async_write(statement, *rows)
        except sqlite3.Error as err:
            if not self._failing:
                _LOGGER.warning("Failed to save jobs: %s", err)
            self._failing = True
            return
        self._failing = False


def _decode(job_rows: list[Row], duration_rows: list[Row]) -> tuple[list[Job], Durations]:
    """Return the readable jobs and durations. Blocks: ten thousand jobs take a while."""
    jobs: list[Job] = []
    for job_id, record in job_rows:
        try:
            jobs.append(Job.from_json(str(record)))
        except ValueError, TypeError, MissingField:
            _LOGGER.warning("Ignored the unreadable record of job %s", job_id)
    samples: dict[Key, list[float]] = {}
    for key, values in duration_rows:
        try:
            if decoded := _decode_samples(values):
                samples[_decode_key(key)] = decoded
        except ValueError:
            _LOGGER.warning("Ignored unreadable durations")
    return jobs, Durations(samples)


def _decode_key(text: object) -> Key:
    """Return the key of learned durations. Raises ValueError."""
    key = orjson.loads(str(text))
    if not isinstance(key, list) or not all(isinstance(part, str) for part in key):
        raise ValueError("expected a list of texts")
    return tuple(key)


def _decode_samples(text: object) -> list[float]:
    """Return the plausible ones of learned durations, in seconds. Raises ValueError."""
    samples = json.loads(str(text))  # unlike orjson, it reads NaN
    if not isinstance(samples, list):
        raise ValueError("expected a list")  # noqa: TRY004 - as all of these
    return [
        float(sample)
        for sample in samples
        if type(sample) in {int, float} and 0 < sample < MAX_SAMPLE
    ]
