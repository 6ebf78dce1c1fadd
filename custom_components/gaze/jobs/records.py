"""The records of the job engine on disk: jobs and learned durations."""

import asyncio
from collections.abc import Coroutine
from datetime import datetime
import json
import logging
import math
import sqlite3
from typing import Any, Final

from homeassistant.core import CALLBACK_TYPE, HomeAssistant
from homeassistant.helpers.event import async_call_later
from homeassistant.util.hass_dict import HassKey
from mashumaro.exceptions import InvalidFieldValue, MissingField
import orjson

from ..const import DOMAIN
from ..database import Database, Row
from .durations import MAX_KEYS, Durations, Interval, Key
from .models import Job

_LOGGER = logging.getLogger(__name__)

RETRY_AFTER: Final = 30.0  # seconds after which a failed write is tried again
# The records of each entry that are to be saved. A reload while the disk fails must not lose them.
_DATA_UNSAVED: HassKey[dict[str, dict[str, str]]] = HassKey("gaze_unsaved_jobs")

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS job (
    number INTEGER PRIMARY KEY AUTOINCREMENT, job_id TEXT NOT NULL UNIQUE, record TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS duration (key TEXT PRIMARY KEY, samples TEXT NOT NULL);
"""
_SAVE: Final = (
    "INSERT INTO job (job_id, record) VALUES (?, ?)"
    " ON CONFLICT (job_id) DO UPDATE SET record = excluded.record"
)
_ALIASES: Final = {"queued_fired": "told_queued", "end_fired": "told_end"}
# Values for required fields that are invalid, so that the job is not lost
_REPLACEMENTS: Final = {"requested_at": 0.0, "index": 1, "count": 1}


class Records:
    """The jobs and learned durations of one server, on disk when a call returns.

    If the disk fails, the failure is logged and the engine continues in memory: a job that GAZE
    accepted is tracked in any case. Its record is saved as soon as the disk works again.
    """

    def __init__(self, hass: HomeAssistant, entry_id: str) -> None:
        """Use the entry's own file."""
        self._hass = hass
        self._failing = False
        unsaved = hass.data.setdefault(_DATA_UNSAVED, {})
        self._unsaved = unsaved.setdefault(entry_id, {})  # records by job that are to be saved
        self._stop_retry: CALLBACK_TYPE | None = None
        self._closing = False
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
        self._closing = False
        jobs = await self._database.async_read("SELECT job_id, record FROM job ORDER BY number")
        if self._unsaved:
            jobs = list((dict(jobs) | self._unsaved).items())
            self._retry_later()
        durations = await self._database.async_read(
            "SELECT key, samples FROM duration ORDER BY rowid"
        )
        return await self._hass.async_add_executor_job(_decode, jobs, durations)

    async def async_save(self, *jobs: Job) -> None:
        """Save jobs as they are now."""
        for job in jobs:
            self._unsaved[job.job_id] = orjson.dumps(job.to_dict()).decode()
        await self._run_to_end(self._save())

    async def async_save_durations(self, key: Key, samples: list[Interval]) -> None:
        """Save the durations that were learned for one key. Those learned last have a row."""
        await self._write(
            "INSERT OR REPLACE INTO duration VALUES (?, ?)",
            (orjson.dumps(key).decode(), orjson.dumps(samples).decode()),
        )
        await self._write(
            "DELETE FROM duration WHERE rowid NOT IN"
            " (SELECT rowid FROM duration ORDER BY rowid DESC LIMIT ?)",
            (MAX_KEYS,),
        )

    async def async_discard(self, job_ids: list[str]) -> None:
        """Discard ended jobs."""
        for job_id in job_ids:
            self._unsaved.pop(job_id, None)
        await self._write("DELETE FROM job WHERE job_id = ?", *((job_id,) for job_id in job_ids))

    async def async_close(self) -> None:
        """Close the file after all writes, also of what could not be saved before."""
        self._closing = True
        self._cancel_retry()
        if self._unsaved:
            await self._save()
        async with self._in_order:
            await self._database.async_close()

    async def async_remove(self) -> None:
        """Remove the file."""
        self._unsaved.clear()
        await self._database.async_remove()

    async def _write(self, statement: str, *rows: Row) -> None:
        """Run the statement for each row, even if the caller is cancelled meanwhile."""
        await self._run_to_end(self._write_in_order(statement, *rows))

    async def _run_to_end(self, writing: Coroutine[Any, Any, None]) -> None:
        """Write, even if the caller is cancelled meanwhile.

        Otherwise, an event that was fired while the server is unloaded would be fired again.
        """
        await asyncio.shield(self._hass.async_create_task(writing, "gaze save jobs"))

    async def _write_in_order(self, statement: str, *rows: Row) -> None:
        """Run the statement for each row, or log once why that is not possible."""
        async with self._in_order:
            await self._try(statement, *rows)

    async def _save(self) -> None:
        """Save the records that are not saved. What fails is tried again later."""
        async with self._in_order:
            if not (records := dict(self._unsaved)):
                return
            if not await self._try(_SAVE, *records.items()):
                self._retry_later()
                return
            for job_id, record in records.items():
                if self._unsaved.get(job_id) is record:
                    del self._unsaved[job_id]

    async def _try(self, statement: str, *rows: Row) -> bool:
        """Run the statement for each row, and return whether that was possible."""
        try:
            await self._database.async_write(statement, *rows)
        except sqlite3.Error as err:
            if not self._failing:
                _LOGGER.warning("Failed to save jobs: %s", err)
            self._failing = True
            return False
        self._failing = False
        return True

    def _retry_later(self) -> None:
        """Save again what could not be saved, unless the file is being closed."""
        if self._stop_retry is None and not self._closing:
            self._stop_retry = async_call_later(self._hass, RETRY_AFTER, self._retry)

    async def _retry(self, _now: datetime) -> None:
        """Save again what could not be saved."""
        self._stop_retry = None
        await self._save()

    def _cancel_retry(self) -> None:
        """Cancel the next try."""
        if self._stop_retry is not None:
            self._stop_retry()
            self._stop_retry = None


def _decode(job_rows: list[Row], duration_rows: list[Row]) -> tuple[list[Job], Durations]:
    """Return the readable jobs and durations. Blocks: ten thousand jobs take a while."""
    jobs: list[Job] = []
    for job_id, record in job_rows:
        try:
            jobs.append(_decode_job(str(record)))
        except ValueError, TypeError, MissingField:
            _LOGGER.warning("Ignored the unreadable record of job %s", job_id)
    samples: dict[Key, list[object]] = {}
    for key, values in duration_rows:
        try:
            if decoded := _decode_samples(values):
                samples[_decode_key(key)] = decoded
        except ValueError:
            _LOGGER.warning("Ignored unreadable durations")
    return jobs, Durations(samples)


def _decode_job(text: str) -> Job:
    """Return a job without its invalid fields. Raises ValueError, TypeError, or MissingField.

    Unknown fields come from another version, and are ignored.
    """
    record = json.loads(text)  # unlike orjson, it reads NaN
    if not isinstance(record, dict):
        raise ValueError("expected an object")  # noqa: TRY004 - as all of these
    record = {name: value for name, value in record.items() if _is_finite(value)}
    while True:
        try:
            return Job.from_dict(_REPLACEMENTS | record)
        except InvalidFieldValue as err:
            del record[_ALIASES.get(err.field_name, err.field_name)]


def _is_finite(value: object) -> bool:
    """Return whether a value is a finite number, or no float at all."""
    return not isinstance(value, float) or math.isfinite(value)


def _decode_key(text: object) -> Key:
    """Return the key of learned durations. Raises ValueError."""
    key = orjson.loads(str(text))
    if not isinstance(key, list) or not all(isinstance(part, str) for part in key):
        raise ValueError("expected a list of texts")
    return tuple(key)


def _decode_samples(text: object) -> list[object]:
    """Return learned durations, to be validated by `Durations`. Raises ValueError."""
    samples = json.loads(str(text))  # unlike orjson, it reads NaN
    if not isinstance(samples, list):
        raise ValueError("expected a list")  # noqa: TRY004 - as for all unreadable values
    return samples
