"""Tests of the SQLite database: atomic writes, damage, and migrations."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import closing
import os
from pathlib import Path
import shutil
import sqlite3

from homeassistant.core import HomeAssistant
import pytest

from custom_components.gaze.backup_state import backup_state
from custom_components.gaze.database import Database, NewerStoreError

NAME = "gaze.test.db"
SCHEMA = "CREATE TABLE IF NOT EXISTS thing (name TEXT PRIMARY KEY, value TEXT NOT NULL);"
INSERT = "INSERT INTO thing VALUES (?, ?)"
ADD_COLOR = "ALTER TABLE thing ADD COLUMN color TEXT NOT NULL DEFAULT 'red'"
ALL = "SELECT name, value FROM thing ORDER BY name"


@pytest.fixture
def path(hass: HomeAssistant) -> Path:
    return Path(hass.config.path(".storage", NAME))


@pytest.fixture
async def database(hass: HomeAssistant) -> AsyncGenerator[Database]:
    database = Database(hass, NAME, SCHEMA)
    await database.async_open()
    yield database
    await database.async_close()


def _names(folder: Path) -> list[str]:
    return sorted(found.name for found in folder.glob(f"{NAME}*"))


def _damage(path: Path, content: bytes, start: int = 0) -> None:
    """Overwrite or create a store from a position."""
    with path.open("r+b" if start else "wb") as file:
        file.seek(start)
        file.write(content)


async def test_completed_write_survives_kill(
    hass: HomeAssistant, database: Database, path: Path
) -> None:
    await database.async_write(INSERT, ("a", "1"), ("b", "2"))
    for suffix in ("", "-wal"):  # as it stands on disk, without a word of goodbye
        shutil.copy(f"{path}{suffix}", path.with_name(f"copy.db{suffix}"))

    copy = Database(hass, "copy.db", SCHEMA)
    await copy.async_open()

    assert await copy.async_read(ALL) == [("a", "1"), ("b", "2")]
    await copy.async_close()


async def test_write_is_atomic(database: Database) -> None:
    await database.async_write(INSERT, ("a", "1"))

    with pytest.raises(sqlite3.IntegrityError):
        await database.async_write(INSERT, ("b", "2"), ("a", "3"))
    await database.async_write(INSERT, ("c", "4"))

    assert await database.async_read(ALL) == [("a", "1"), ("c", "4")]


async def test_invalid_statement_changes_nothing(database: Database) -> None:
    with pytest.raises(sqlite3.OperationalError):
        await database.async_write("INSERT INTO nothing VALUES (?)", ("a",))
    with pytest.raises(sqlite3.OperationalError):
        await database.async_read("SELECT * FROM nothing")

    await database.async_write(INSERT, ("a", "1"))
    assert len(await database.async_read(ALL)) == 1


async def test_concurrent_writes_succeed(database: Database) -> None:
    await asyncio.gather(
        *(database.async_write(INSERT, (f"{number:03}", "x")) for number in range(40))
    )

    assert len(await database.async_read(ALL)) == 40


@pytest.mark.parametrize(
    "content", [b"this is no database" * 100, b"SQLite format 3\0" + bytes(4096)]
)
async def test_damaged_store_is_set_aside(
    hass: HomeAssistant,
    path: Path,
    content: bytes,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path.parent.mkdir(exist_ok=True)
    _damage(path, content)
    database = Database(hass, NAME, SCHEMA)

    await database.async_open()

    await database.async_write(INSERT, ("a", "1"))
    assert await database.async_read(ALL) == [("a", "1")]
    kept = [name for name in _names(path.parent) if ".damaged-" in name]
    assert len(kept) == 1
    assert f"The store {NAME} is damaged" in caplog.text
    assert kept[0] in caplog.text
    await database.async_close()


async def test_log_of_damaged_store_is_set_aside(
    hass: HomeAssistant, database: Database, path: Path
) -> None:
    await database.async_close()
    await database.async_open()
    await database.async_write(INSERT, ("a", "1"))  # not in the first page, which is damaged
    log = path.with_name(f"{NAME}-wal").read_bytes()
    await database.async_close()
    _damage(path, b"this is no database" * 100)
    path.with_name(f"{NAME}-wal").write_bytes(log)

    await database.async_open()

    assert await database.async_read(ALL) == []
    assert database.set_aside is not None
    assert path.with_name(f"{database.set_aside}-wal").read_bytes() == log
    await database.async_remove()
    assert _names(path.parent) == []


async def test_store_with_damaged_pages_is_set_aside(
    hass: HomeAssistant, database: Database, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await database.async_write(INSERT, *((f"{number:05}", "x" * 500) for number in range(200)))
    await database.async_close()
    _damage(path, b"\xff" * 12288, start=8192)

    again = Database(hass, NAME, SCHEMA)
    await again.async_open()

    assert await again.async_read(ALL) == []
    assert "is damaged" in caplog.text
    await again.async_close()


async def test_unusable_store_raises_error(hass: HomeAssistant, path: Path) -> None:
    os.makedirs(path)  # noqa: PTH103

    with pytest.raises(sqlite3.OperationalError):
        await Database(hass, NAME, SCHEMA).async_open()


async def test_closed_store_raises_error_and_reopens(database: Database) -> None:
    await database.async_write(INSERT, ("a", "1"))
    await database.async_close()
    await database.async_close()

    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        await database.async_read(ALL)
    await database.async_open()

    assert await database.async_read(ALL) == [("a", "1")]


async def test_removed_store_leaves_no_files(database: Database, path: Path) -> None:
    await database.async_write(INSERT, ("a", "1"))

    await database.async_remove()
    await database.async_remove()

    assert _names(path.parent) == []


async def test_removed_store_stays_until_backup_ends(
    hass: HomeAssistant, database: Database, path: Path
) -> None:
    await database.async_write(INSERT, ("a", "1"))

    await backup_state(hass).async_begin()
    await database.async_remove()
    assert {NAME, f"{NAME}-wal"} <= set(_names(path.parent))

    await backup_state(hass).async_end()
    assert _names(path.parent) == []


async def test_store_without_version_is_migrated(
    hass: HomeAssistant, database: Database, path: Path
) -> None:
    await database.async_write(INSERT, ("a", "1"))
    await database.async_close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 0")  # as 0.1.0 left it

    newer = Database(hass, NAME, SCHEMA, ADD_COLOR)
    await newer.async_open()

    assert await newer.async_read("SELECT * FROM thing") == [("a", "1", "red")]
    assert await newer.async_read("PRAGMA user_version") == [(2,)]
    await newer.async_close()
    await newer.async_open()  # applies nothing twice
    await newer.async_close()


async def test_failed_migration_changes_nothing(hass: HomeAssistant, database: Database) -> None:
    await database.async_write(INSERT, ("a", "1"))
    await database.async_close()

    with pytest.raises(sqlite3.OperationalError):
        await Database(hass, NAME, SCHEMA, f"{ADD_COLOR}; DROP TABLE nothing").async_open()

    await database.async_open()
    assert await database.async_read("SELECT * FROM thing") == [("a", "1")]
    assert await database.async_read("PRAGMA user_version") == [(1,)]


async def test_newer_store_is_rejected_and_unchanged(hass: HomeAssistant, path: Path) -> None:
    newer = Database(hass, NAME, SCHEMA, ADD_COLOR)
    await newer.async_open()
    await newer.async_close()
    before = path.read_bytes()

    with pytest.raises(NewerStoreError, match=NAME):
        await Database(hass, NAME, SCHEMA).async_open()

    assert path.read_bytes() == before
    assert _names(path.parent) == [NAME]


async def test_change_returns_result_or_is_rolled_back(database: Database) -> None:
    def insert(connection: sqlite3.Connection) -> int:
        connection.execute(INSERT, ("a", "1"))
        return 7

    def insert_and_fail(connection: sqlite3.Connection) -> None:
        connection.execute(INSERT, ("b", "2"))
        raise ValueError

    assert await database.async_change(insert) == 7
    with pytest.raises(ValueError):  # noqa: PT011
        await database.async_change(insert_and_fail)

    assert await database.async_read(ALL) == [("a", "1")]
