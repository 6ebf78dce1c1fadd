"""SQLite files in Home Assistant's storage directory, used in the executor."""

from collections.abc import Callable
from contextlib import closing, suppress
from datetime import UTC, datetime
import logging
from pathlib import Path
import sqlite3
import threading
from typing import Any, Final

from homeassistant.core import HomeAssistant
from homeassistant.helpers.storage import STORAGE_DIR

from .backup_state import backup_state

_LOGGER = logging.getLogger(__name__)

type Row = tuple[Any, ...]

_COMPANIONS: Final = ("", "-wal", "-shm")
_DAMAGED: Final = ".damaged-"
_SIGNATURE: Final = b"SQLite format 3\0"
_HEADER_SIZE: Final = 100
_USER_VERSION: Final = slice(60, 64)  # of the header, see the SQLite file format
_PAGES_BETWEEN_CHECKPOINTS: Final = 1000  # SQLite's default


class NewerStoreError(Exception):
    """A newer version of the integration wrote the store."""


class Database:
    """A SQLite database in which every completed write survives a crash.

    It uses the write-ahead log with full synchronization, and `user_version` for the version
    of its schema: the number of migrations that were applied.
    """

    def __init__(self, hass: HomeAssistant, name: str, *migrations: str) -> None:
        """Name the file. Each migration is SQL that leads from one version to the next.

        The first one creates the tables of 0.1.0, which had no version, unless they exist.
        """
        self._hass = hass
        self._path = Path(hass.config.path(STORAGE_DIR, name))
        self._migrations = migrations
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._backup_state = backup_state(hass)
        self.set_aside: str | None = None  # name of the damaged file if this start found one

    async def async_open(self) -> None:
        """Open or create the file. If it is damaged, set it aside and create a new one.

        Raises NewerStoreError if it is from a newer version, and sqlite3.OperationalError if it
        cannot be used at all. The file is then unchanged.
        """
        await self._hass.async_add_executor_job(self._open)
        self._backup_state.members.add(self)

    async def async_write(self, statement: str, *rows: Row) -> None:
        """Run the statement once for each row, all or none. It is on disk when this returns.

        Raises sqlite3.Error, with nothing changed.
        """
        await self.async_change(lambda connection: connection.executemany(statement, rows))

    async def async_change[T](self, change: Callable[[sqlite3.Connection], T]) -> T:
        """Call a function that changes several rows, all or none, and return its result.

        The function runs in the executor. What it raises is raised, with nothing changed.
        """
        return await self._hass.async_add_executor_job(self._change, change)

    async def async_read(self, query: str, values: Row = ()) -> list[Row]:
        """Return the rows that the query finds. Raises sqlite3.Error."""
        return await self._hass.async_add_executor_job(self._read, query, values)

    async def async_close(self) -> None:
        """Close the file."""
        self._backup_state.members.discard(self)
        await self._hass.async_add_executor_job(self._close)

    async def async_remove(self) -> None:
        """Close and remove the file, its companions, and damaged files that were set aside.

        During a backup, they stay until it ends.
        """
        self._backup_state.members.discard(self)
        await self._hass.async_add_executor_job(self._remove)

    async def async_begin_backup(self) -> None:
        """Leave the main file unchanged until `async_end_backup`.

        Nothing has to wait meanwhile: every write goes to the end of the write-ahead log. Any
        beginning of that log, together with the main file, is a complete store, so a copy is valid
        whenever its two files are copied.
        """
        await self._async_set_backing_up(active=True)

    async def async_end_backup(self) -> None:
        """Move the write-ahead log into the main file again when it is due."""
        await self._async_set_backing_up(active=False)

    async def _async_set_backing_up(self, *, active: bool) -> None:
        try:
            await self._hass.async_add_executor_job(self._set_backing_up, active)
        except sqlite3.Error as err:
            _LOGGER.warning("Unable to prepare a store for a backup: %s", err)

    def _set_backing_up(self, active: bool) -> None:
        with self._lock:
            if self._connection is not None:
                if active:
                    self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                _set_checkpoints(self._connection, allowed=not active)

    def _open(self) -> None:
        with self._lock:
            try:
                self._connection = self._connect()
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError as err:
                aside = self._set_aside()
                self.set_aside = aside.name
                _LOGGER.warning(
                    "The store %s is damaged (%s). It was set aside as %s, and a new one created",
                    self._path.name,
                    err,
                    aside.name,
                )
                self._connection = self._connect()

    def _connect(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._check_version()
        connection = sqlite3.connect(self._path, check_same_thread=False, autocommit=True)
        try:
            _set_checkpoints(connection, allowed=not self._backup_state.active)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            if (verdict := connection.execute("PRAGMA quick_check").fetchone()[0]) != "ok":
                raise sqlite3.DatabaseError(verdict)
            self._migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _check_version(self) -> None:
        """Raise NewerStoreError if the schema is unknown. Reads only."""
        if not self._path.is_file():
            return
        if self._with_suffix("-wal").exists():
            with closing(sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True)) as connection:
                version = _version(connection)
        else:  # SQLite would leave files beside it
            with self._path.open("rb") as file:
                header = file.read(_HEADER_SIZE)
            version = int.from_bytes(header[_USER_VERSION]) if header.startswith(_SIGNATURE) else 0
        if version > len(self._migrations):
            raise NewerStoreError(self._path.name)

    def _migrate(self, connection: sqlite3.Connection) -> None:
        """Apply the migrations that the file lacks, each completely or not at all."""
        for version in range(_version(connection), len(self._migrations)):
            connection.executescript(
                f"BEGIN IMMEDIATE; {self._migrations[version]};"
                f" PRAGMA user_version = {version + 1}; COMMIT;"
            )

    def _set_aside(self) -> Path:
        aside = self._path.with_name(
            f"{self._path.name}{_DAMAGED}{datetime.now(UTC):%Y%m%d-%H%M%S}"
        )
        # The log first: SQLite would add the log of this store to a new one.
        with suppress(FileNotFoundError):
            self._with_suffix("-wal").replace(f"{aside}-wal")
        self._path.replace(aside)
        self._with_suffix("-shm").unlink(missing_ok=True)
        return aside

    def _change[T](self, change: Callable[[sqlite3.Connection], T]) -> T:
        with self._lock:
            connection = self._opened()
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = change(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            return result

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
        for path in (*map(self._with_suffix, _COMPANIONS), *damaged):
            self._backup_state.remove_file(path)

    def _with_suffix(self, suffix: str) -> Path:
        """Return the path of the file, or of a companion."""
        return self._path.with_name(self._path.name + suffix)


def _set_checkpoints(connection: sqlite3.Connection, *, allowed: bool) -> None:
    """Allow or forbid to move the write-ahead log into the main file, also on close."""
    pages = _PAGES_BETWEEN_CHECKPOINTS if allowed else 0
    connection.execute(f"PRAGMA wal_autocheckpoint = {pages}")
    connection.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, not allowed)


def _version(connection: sqlite3.Connection) -> int:
    """Return the version of the schema."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
