"""One SQLite file in Home Assistant's storage directory, worked on in the executor."""

from collections.abc import Sequence
from datetime import UTC, datetime
import logging
from pathlib import Path
import sqlite3
import threading
from typing import Any, Final

from homeassistant.core import HomeAssistant
from homeassistant.helpers.storage import STORAGE_DIR

_LOGGER = logging.getLogger(__name__)

type Row = tuple[Any, ...]

_COMPANIONS: Final = ("", "-wal", "-shm")
_DAMAGED: Final = ".damaged-"


class Database:
    """A file that is complete after every call, even if the process is killed in the next one.

    SQLite's write-ahead log with full synchronisation: a call that returned is on disk.
    """

    def __init__(self, hass: HomeAssistant, name: str, schema: str) -> None:
        """Name the file; `schema` is SQL that makes what does not exist yet."""
        self._hass = hass
        self._path = Path(hass.config.path(STORAGE_DIR, name))
        self._schema = schema
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self.set_aside: str | None = None  # name of the damaged file, where this start found one

    async def async_open(self) -> None:
        """Open the file, or make it. A damaged one is set aside and a new one made.

        Raises sqlite3.OperationalError where the file cannot be used at all.
        """
        await self._hass.async_add_executor_job(self._open)

    async def async_write(self, statement: str, *rows: Row) -> None:
        """Run the statement once for each row, all or none; on disk when this returns.

        Raises sqlite3.Error, with nothing changed.
        """
        await self._hass.async_add_executor_job(self._write, statement, rows)

    async def async_read(self, query: str, values: Row = ()) -> list[Row]:
        """Return the rows that the query finds. Raises sqlite3.Error."""
        return await self._hass.async_add_executor_job(self._read, query, values)

    async def async_close(self) -> None:
        """Close the file."""
        await self._hass.async_add_executor_job(self._close)

    async def async_remove(self) -> None:
        """Close the file and remove it with what lies beside it, damaged ones set aside too."""
        await self._hass.async_add_executor_job(self._remove)

    def _open(self) -> None:
        with self._lock:
            try:
                self._connection = self._connect()
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError as err:
                kept = self._set_aside()
                self.set_aside = kept.name
                _LOGGER.warning(
                    "The store %s is damaged (%s): set aside as %s and started anew",
                    self._path.name,
                    err,
                    kept.name,
                )
                self._connection = self._connect()

    def _connect(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, check_same_thread=False, autocommit=True)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            if (verdict := connection.execute("PRAGMA quick_check").fetchone()[0]) != "ok":
                raise sqlite3.DatabaseError(verdict)
            connection.executescript(self._schema)
        except BaseException:
            connection.close()
            raise
        return connection

    def _set_aside(self) -> Path:
        kept = self._path.with_name(f"{self._path.name}{_DAMAGED}{datetime.now(UTC):%Y%m%d-%H%M%S}")
        self._path.replace(kept)
        for suffix in _COMPANIONS[1:]:
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        return kept

    def _write(self, statement: str, rows: Sequence[Row]) -> None:
        with self._lock:
            connection = self._opened()
            connection.execute("BEGIN IMMEDIATE")
            try:
                connection.executemany(statement, rows)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def _read(self, query: str, values: Row) -> list[Row]:
        with self._lock:
            return self._opened().execute(query, values).fetchall()

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            raise sqlite3.ProgrammingError("the store is closed")
        return self._connection

    def _close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _remove(self) -> None:
        self._close()
        damaged = self._path.parent.glob(f"{self._path.name}{_DAMAGED}*")
        for path in (
            *(self._path.with_name(self._path.name + end) for end in _COMPANIONS),
            *damaged,
        ):
            path.unlink(missing_ok=True)
