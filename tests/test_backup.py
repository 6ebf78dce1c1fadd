"""Tests that copies between the backup hooks are complete stores."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import closing
from datetime import timedelta
import errno
import os
from pathlib import Path
import shutil
import sqlite3

from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import CoreState, HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_capture_events,
    async_fire_time_changed,
)

from custom_components.gaze.backup import async_post_backup, async_pre_backup
from custom_components.gaze.backup_state import LONGEST_BACKUP, backup_state
from custom_components.gaze.const import EVENT_GAZE
from custom_components.gaze.database import Database
from testing.gaze_server import GazeServer

from .common import make_image, until

NAME = "gaze.test.db"
SCHEMA = "CREATE TABLE IF NOT EXISTS thing (name TEXT PRIMARY KEY, value TEXT NOT NULL)"
INSERT = "INSERT INTO thing VALUES (?, ?)"
COUNT = "SELECT count(*) FROM thing"


@pytest.fixture
def path(hass: HomeAssistant) -> Path:
    return Path(hass.config.path(".storage", NAME))


@pytest.fixture
async def database(hass: HomeAssistant) -> AsyncGenerator[Database]:
    database = Database(hass, NAME, SCHEMA)
    await database.async_open()
    yield database
    await async_post_backup(hass)
    await database.async_close()


async def _fill(database: Database, start: int, count: int) -> None:
    """Write enough rows for several checkpoints of SQLite."""
    for number in range(start, start + count):
        await database.async_write(INSERT, *((f"{number}-{row}", "x" * 2000) for row in range(600)))


def _copied(path: Path, *suffixes: str) -> int:
    """Copy the files of a store as a backup does, and return the rows of the copy."""
    copy = path.with_name("copy.db")
    for suffix in ("", "-wal", "-shm"):
        copy.with_name(copy.name + suffix).unlink(missing_ok=True)
    for suffix in suffixes:
        shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return int(connection.execute(COUNT).fetchone()[0])


async def test_main_file_is_complete_and_unchanged_during_backup(
    hass: HomeAssistant, database: Database, path: Path
) -> None:
    await _fill(database, 0, 1)

    await async_pre_backup(hass)
    before = path.read_bytes()
    await _fill(database, 1, 5)

    assert path.read_bytes() == before
    assert _copied(path, "") == 600
    assert _copied(path, "", "-wal") == 3600
    assert await database.async_read(COUNT) == [(3600,)]


async def test_store_is_complete_with_any_part_of_log(
    hass: HomeAssistant, database: Database, path: Path
) -> None:
    await async_pre_backup(hass)
    main = path.read_bytes()
    await _fill(database, 0, 3)
    log = path.with_name(f"{NAME}-wal").read_bytes()

    found = set()
    for part in range(11):
        copy = path.with_name("part.db")
        copy.write_bytes(main)
        copy.with_name("part.db-wal").write_bytes(log[: len(log) * part // 10])
        with closing(sqlite3.connect(copy)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            found.add(connection.execute(COUNT).fetchone()[0])

    assert found == {0, 600, 1200, 1800}


async def test_main_file_is_unchanged_when_store_reopens_during_backup(
    hass: HomeAssistant, database: Database, path: Path
) -> None:
    await async_pre_backup(hass)
    before = path.read_bytes()
    await _fill(database, 0, 1)
    await database.async_close()
    await database.async_open()
    await _fill(database, 1, 4)

    assert path.read_bytes() == before
    assert _copied(path, "", "-wal") == 3000


@pytest.mark.parametrize("ended", [True, False], ids=["ended", "never ended"])
async def test_log_is_merged_into_main_file_after_backup(
    hass: HomeAssistant, database: Database, path: Path, ended: bool
) -> None:
    await async_pre_backup(hass)
    await _fill(database, 0, 5)
    before = path.stat().st_size
    if ended:
        await async_post_backup(hass)
    else:
        async_fire_time_changed(hass, dt_util.utcnow() + LONGEST_BACKUP + timedelta(seconds=1))
        await hass.async_block_till_done()

    await _fill(database, 5, 5)

    assert path.stat().st_size > before


async def test_backup_works_without_server(hass: HomeAssistant) -> None:
    await async_pre_backup(hass)
    await async_post_backup(hass)


async def test_second_backup_has_whole_time(hass: HomeAssistant) -> None:
    part = LONGEST_BACKUP.total_seconds() * 2 / 3
    await async_pre_backup(hass)
    await asyncio.sleep(part)

    await async_pre_backup(hass)

    await asyncio.sleep(part)
    assert backup_state(hass).active
    await asyncio.sleep(part)
    assert not backup_state(hass).active


async def test_files_are_removed_after_backup_although_one_stays(
    hass: HomeAssistant, tmp_path: Path
) -> None:
    files = [tmp_path / name for name in "abc"]
    for file in files:
        file.touch()
    folder = tmp_path / "folder"  # unlink fails for a folder
    folder.mkdir()
    state = backup_state(hass)

    await async_pre_backup(hass)
    for path in (files[0], folder, files[1]):
        state.remove_file(path)
    assert files[0].exists()
    await async_post_backup(hass)
    state.remove_file(files[2])

    assert [path for path in (*files, folder) if path.exists()] == [folder]


async def test_restored_backup_has_jobs_and_images_of_its_time(
    hass: HomeAssistant, entry: MockConfigEntry, server: GazeServer
) -> None:
    storage = Path(hass.config.path(".storage"))
    first = await make_image(hass, server, "neon_city")
    await async_pre_backup(hass)
    second = await make_image(hass, server, "neon_city")
    copy = storage.parent / "copy"
    await hass.async_add_executor_job(shutil.copytree, storage, copy)
    await async_post_backup(hass)
    await make_image(hass, server, "neon_city")

    await hass.config_entries.async_unload(entry.entry_id)
    for file in copy.glob("gaze.*.db*"):
        await hass.async_add_executor_job(shutil.copy, file, storage)
    await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()

    assert entry.state is ConfigEntryState.LOADED
    coordinator = entry.runtime_data
    assert [job.job_id for job in coordinator.engine.jobs] == [first, second]
    assert coordinator.gallery.newest().job_id == second


async def test_listed_file_stays_until_backup_ends(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    server: GazeServer,
    media_dir: Path,
    listed: set[Path],
) -> None:
    hass.config.allowlist_external_dirs = {str(media_dir)}
    hass.config_entries.async_update_entry(entry, options={"keep_images": 2})
    await hass.config_entries.async_reload(entry.entry_id)
    for _ in range(2):
        await make_image(hass, server, "neon_city")

    await async_pre_backup(hass)
    listed.clear()
    for _ in range(2):
        job_id = await make_image(hass, server, "neon_city")
    for overwrite in (False, True):
        data = {"filename": str(media_dir / "a.png"), "overwrite": overwrite, "job_id": job_id}
        await hass.services.async_call("gaze", "save_image", data, blocking=True)
    with pytest.raises(HomeAssistantError) as failed:
        await hass.services.async_call("gaze", "delete_images", {"job_id": job_id}, blocking=True)
    await hass.config_entries.async_reload(entry.entry_id)
    gallery = entry.runtime_data.gallery

    assert failed.value.translation_key == "backup_running"
    assert len({path for path in listed if path.suffix == ".part"}) == 4
    assert [path for path in listed if not path.exists()] == []
    assert gallery.count == 4

    await async_post_backup(hass)

    assert gallery.count == 2
    names = [path.name for path in media_dir.rglob("*") if path.is_file()]
    assert len([name for name in names if name.endswith(".png")]) == 3
    assert [name for name in names if name.endswith(".part")] == []


async def test_image_is_saved_during_backup_without_hard_links(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    server: GazeServer,
    media_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    monkeypatch.setattr(os, "link", refuse)
    await async_pre_backup(hass)
    job_id = await make_image(hass, server, "neon_city")

    assert entry.runtime_data.gallery.newest().job_id == job_id
    assert [path.suffix for path in media_dir.rglob("*neon_city/*")] == [".png"]
    await async_post_backup(hass)


async def test_image_that_restored_backup_lacks_is_downloaded_again(
    hass: HomeAssistant, entry: MockConfigEntry, server: GazeServer, media_dir: Path
) -> None:
    storage = Path(hass.config.path(".storage"))
    first = await make_image(hass, server, "neon_city")
    await async_pre_backup(hass)
    images = media_dir.with_name("copy of media")
    await hass.async_add_executor_job(shutil.copytree, media_dir, images)
    second = await make_image(hass, server, "neon_city")
    stores = storage.with_name("copy of stores")
    await hass.async_add_executor_job(shutil.copytree, storage, stores)
    await async_post_backup(hass)

    await hass.config_entries.async_unload(entry.entry_id)
    for file in stores.glob("gaze.*.db*"):
        await hass.async_add_executor_job(shutil.copy, file, storage)
    await hass.async_add_executor_job(shutil.rmtree, media_dir)
    await hass.async_add_executor_job(images.rename, media_dir)
    await hass.config_entries.async_setup(entry.entry_id)
    coordinator = entry.runtime_data
    await until(lambda: coordinator.gallery.count == 2)
    await hass.async_block_till_done()

    assert [job.status for job in coordinator.engine.jobs] == ["done", "done"]
    newest = coordinator.gallery.newest()
    assert newest.job_id == second
    assert await coordinator.gallery.async_read(newest) == server.picture(second)
    assert await coordinator.gallery.async_get(first) is not None


async def test_image_deleted_after_backup_stays_deleted(
    hass: HomeAssistant, entry: MockConfigEntry, server: GazeServer
) -> None:
    await async_pre_backup(hass)
    job_id = await make_image(hass, server, "neon_city")
    await async_post_backup(hass)
    await hass.services.async_call("gaze", "delete_images", {"job_id": job_id}, blocking=True)

    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done(wait_background_tasks=True)

    assert [job.status for job in entry.runtime_data.engine.jobs] == ["done"]
    assert entry.runtime_data.gallery.count == 0


async def test_finished_event_fires_at_start_after_stop_during_backup(
    hass: HomeAssistant, entry: MockConfigEntry, server: GazeServer
) -> None:
    await hass.services.async_call("gaze", "generate", {"preset": "neon_city"}, blocking=True)
    await async_pre_backup(hass)
    hass.set_state(CoreState.stopping)
    job_id = await server.finish()
    engine = entry.runtime_data.engine
    await until(lambda: engine.open_jobs == [])
    await hass.config_entries.async_unload(entry.entry_id)
    await async_post_backup(hass)
    hass.set_state(CoreState.running)
    events = async_capture_events(hass, EVENT_GAZE)

    await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()

    assert [(event.data["type"], event.data["job_id"]) for event in events] == [
        ("finished", job_id)
    ]


async def test_setup_fails_when_store_is_newer(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    await hass.config_entries.async_unload(entry.entry_id)
    store = Path(hass.config.path(".storage", f"gaze.{entry.entry_id}.gallery.db"))
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("PRAGMA user_version = 1000")
    before = store.read_bytes()

    await hass.config_entries.async_setup(entry.entry_id)

    assert entry.state is ConfigEntryState.SETUP_ERROR
    assert entry.reason is not None
    assert "Update the integration" in entry.reason
    assert store.read_bytes() == before
