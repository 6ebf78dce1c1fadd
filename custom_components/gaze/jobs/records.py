"""What the job engine keeps on disk: jobs and learned durations."""

import asyncio
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

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS job (
    number INTEGER PRIMARY KEY AUTOINCREMENT, job_id TEXT NOT NULL UNIQUE, record TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS duration (key TEXT PRIMARY KEY, samples TEXT NOT NULL);
"""


class Records:
    """The jobs and learned durations of one server, on disk when a call returns.

    Where the disk fails, what is in memory goes on and the failure is logged: a job that the
    server accepted is followed in any case.
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

        Raises sqlite3.OperationalError where the file cannot be used.
        """
        await self._database.async_open()
        jobs: list[Job] = []
        for job_id, record in await self._database.async_read(
            "SELECT job_id, record FROM job ORDER BY number"
        ):
            try:
                jobs.append(Job.from_json(str(record)))
            except ValueError, MissingField:
                _LOGGER.warning("Left out the unreadable record of job %s", job_id)
        samples: dict[Key, list[float]] = {}
        for key, values in await self._database.async_read("SELECT key, samples FROM duration"):
            samples[tuple(orjson.loads(str(key)))] = orjson.loads(str(values))
        return jobs, Durations(samples)

    async def async_save(self, *jobs: Job) -> None:
        """Keep jobs as they are now."""
        await self._write(
            "INSERT INTO job (job_id, record) VALUES (?, ?)"
            " ON CONFLICT (job_id) DO UPDATE SET record = excluded.record",
            *((job.job_id, job.to_json()) for job in jobs),
        )

    async def async_save_durations(self, key: Key, samples: list[float]) -> None:
        """Keep what was learned for one key."""
        await self._write(
            "INSERT OR REPLACE INTO duration VALUES (?, ?)",
            (orjson.dumps(key).decode(), orjson.dumps(samples).decode()),
        )

    async def async_forget(self, job_ids: list[str]) -> None:
        """Forget ended jobs."""
        await self._write("DELETE FROM job WHERE job_id = ?", *((job_id,) for job_id in job_ids))

    async def async_close(self) -> None:
        """Close the file when all that was to be kept is in it."""
        async with self._in_order:
            await self._database.async_close()

    async def async_remove(self) -> None:
        """Remove the file."""
        await self._database.async_remove()

    async def _write(self, statement: str, *rows: Row) -> None:
        """Run the statement for each row, also where whoever wants it is cancelled meanwhile.

        An event that was fired as the server is unloaded would be told again otherwise.
        """
        await asyncio.shield(
            self._hass.async_create_task(self._write_in_order(statement, *rows), "gaze keep jobs")
        )

    async def _write_in_order(self, statement: str, *rows: Row) -> None:
        """Run the statement for each row, or say once why the disk refuses."""
        try:
            async with self._in_order:
                await self._database.async_write(statement, *rows)
        except sqlite3.Error as err:
            if not self._failing:
                _LOGGER.warning("Jobs cannot be kept on disk at the moment: %s", err)
            self._failing = True
            return
        self._failing = False
