"""What the job engine stores on disk."""

import asyncio
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
import sqlite3

from homeassistant.core import HomeAssistant
from homeassistant.util import dt as dt_util
import orjson
import pytest
from pytest_homeassistant_custom_component.common import async_fire_time_changed

from custom_components.gaze.jobs import Job, Records
from custom_components.gaze.jobs.models import Status
from custom_components.gaze.jobs.records import RETRY_AFTER

from .common import job

# As version 0.1.0 wrote it
RECORD_OF_0_1_0 = {
    "job_id": "first",
    "batch_id": "batch",
    "index": 2,
    "count": 3,
    "status": "processing",
    "reason": None,
    "error": None,
    "preset": "neon_city",
    "preset_name": "Neon city",
    "tag": "hallway",
    "seed": "18446744073709551615",
    "width": None,
    "height": None,
    "checkpoint": None,
    "extra_positive": "rain",
    "extra_negative": None,
    "requested_at": 1_000.0,
    "started_at": 1_010.0,
    "finished_at": None,
    "duration": None,
    "source_url": None,
    "told_queued": True,
    "told_end": False,
}


@pytest.fixture
def path(hass: HomeAssistant) -> Path:
    return Path(hass.config.path(".storage", "gaze.entry.jobs.db"))


async def load(hass: HomeAssistant) -> list[Job]:
    """Return what the next start finds."""
    records = Records(hass, "entry")
    jobs, _ = await records.async_open()
    await records.async_close()
    return jobs


def write_record(path: Path, record: object) -> None:
    """Replace the only record in the store."""
    with closing(sqlite3.connect(path)) as connection:
        text = record if isinstance(record, str) else orjson.dumps(record).decode()
        connection.execute("UPDATE job SET record = ?", (text,))
        connection.commit()


async def test_job_is_stored_when_caller_is_cancelled(hass: HomeAssistant) -> None:
    records = Records(hass, "entry")
    await records.async_open()
    saving = [
        hass.async_create_background_task(records.async_save(job(job_id)), "save")
        for job_id in ("first", "second", "third")
    ]
    await asyncio.sleep(0)  # a task that never began saves nothing

    for task in saving:
        task.cancel()
    await asyncio.gather(*saving, return_exceptions=True)
    await records.async_close()

    assert all(task.cancelled() for task in saving)
    assert [saved.job_id for saved in await load(hass)] == ["first", "second", "third"]


async def test_record_of_0_1_0_loads(hass: HomeAssistant, path: Path) -> None:
    records = Records(hass, "entry")
    await records.async_open()
    await records.async_save(job("first"))
    await records.async_close()
    write_record(path, RECORD_OF_0_1_0)

    [loaded] = await load(hass)

    assert loaded.open
    assert loaded.queued_fired
    assert not loaded.end_fired
    assert loaded.seed == "18446744073709551615"
    assert (loaded.index, loaded.count, loaded.tag) == (2, 3, "hallway")
    assert (loaded.tracked_for, loaded.recipe, loaded.image_number) == (0.0, None, None)


@pytest.mark.parametrize(
    "changes",
    [
        {"duration": "NaN"},
        {"started_at": "Infinity", "tracked_for": "-Infinity"},
        {"requested_at": "NaN"},
        {"requested_at": "null"},
        {"index": '"second"', "count": "null"},
        {"width": '"wide"', "reason": '"exploded"'},
        {"status": '"paused"'},
        {"told_queued": "[]"},
        {"node": '{"gpu": [1, 2]}', "schema": "7"},
    ],
    ids=str,
)
async def test_odd_record_loses_no_job(
    hass: HomeAssistant, path: Path, changes: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    records = Records(hass, "entry")
    await records.async_open()
    await records.async_save(job("first"))
    await records.async_close()
    parts = {name: orjson.dumps(value).decode() for name, value in RECORD_OF_0_1_0.items()}
    text = ", ".join(f'"{name}": {value}' for name, value in (parts | changes).items())
    write_record(path, f"{{{text}}}")

    [loaded] = await load(hass)

    assert (loaded.job_id, loaded.preset, loaded.open) == ("first", "neon_city", True)
    assert "unreadable" not in caplog.text


@pytest.mark.parametrize("record", ["{}", "[]", "no JSON", '{"job_id": "first"}', '"text"'])
async def test_record_without_a_job_is_ignored(
    hass: HomeAssistant, path: Path, record: str, caplog: pytest.LogCaptureFixture
) -> None:
    records = Records(hass, "entry")
    await records.async_open()
    await records.async_save(job("first"))
    await records.async_close()
    write_record(path, record)

    assert await load(hass) == []
    assert caplog.text.count("Ignored the unreadable record") == 1


def _rename_table(path: Path) -> Callable[[], None]:
    """Break a store; return what repairs it."""

    def rename(old: str, new: str) -> None:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f"ALTER TABLE {old} RENAME TO {new}")
            connection.commit()

    rename("job", "elsewhere")
    return lambda: rename("elsewhere", "job")


async def test_record_that_could_not_be_saved_is_saved_when_the_disk_works_again(
    hass: HomeAssistant, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    records = Records(hass, "entry")
    await records.async_open()
    repair = _rename_table(path)
    await records.async_save(job("first"))
    await records.async_save(job("first", status=Status.PROCESSING), job("second"))
    await records.async_save(job("third"))
    await records.async_discard(["third"])

    repair()
    async_fire_time_changed(hass, dt_util.utcnow() + timedelta(seconds=RETRY_AFTER + 1))
    await hass.async_block_till_done()
    with closing(sqlite3.connect(path)) as connection:
        saved = [job_id for (job_id,) in connection.execute("SELECT job_id FROM job")]
    await records.async_close()

    assert saved == ["first", "second"]
    assert [loaded.status for loaded in await load(hass)] == [Status.PROCESSING, Status.QUEUED]
    assert caplog.text.count("Failed to save jobs") == 1


async def test_record_that_could_not_be_saved_is_saved_when_the_store_closes(
    hass: HomeAssistant, path: Path
) -> None:
    records = Records(hass, "entry")
    await records.async_open()
    repair = _rename_table(path)
    await records.async_save(job("first"))
    repair()
    await records.async_close()

    assert [saved.job_id for saved in await load(hass)] == ["first"]


async def test_record_that_could_not_be_saved_survives_a_reload(
    hass: HomeAssistant, path: Path
) -> None:
    records = Records(hass, "entry")
    await records.async_open()
    await records.async_save(job("first"))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "CREATE TRIGGER full BEFORE INSERT ON job BEGIN SELECT RAISE(FAIL, 'full'); END"
        )
    await records.async_save(job("first", status=Status.PROCESSING), job("second"))
    await records.async_close()
    await records.async_save(job("late"))

    records = Records(hass, "entry")
    jobs, _ = await records.async_open()
    assert [loaded.job_id for loaded in jobs] == ["first", "second", "late"]
    assert jobs[0].status is Status.PROCESSING
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TRIGGER full")
    async_fire_time_changed(hass, dt_util.utcnow() + timedelta(seconds=RETRY_AFTER + 1))
    await hass.async_block_till_done()
    with closing(sqlite3.connect(path)) as connection:
        saved = [
            job_id for (job_id,) in connection.execute("SELECT job_id FROM job ORDER BY number")
        ]
    await records.async_close()
    assert saved == ["first", "second", "late"]
    await records.async_remove()
    assert await load(hass) == []


async def test_unreadable_durations_are_ignored(
    hass: HomeAssistant, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    records = Records(hass, "entry")
    await records.async_open()
    await records.async_close()
    with closing(sqlite3.connect(path)) as connection:
        connection.executemany(
            "INSERT INTO duration VALUES (?, ?)",
            [
                ('["neon_city", "", ""]', "[8.5, NaN, -1, 9.5]"),
                ('["odd", 7, ""]', "[8.5]"),
                ("no JSON", "[8.5]"),
                ('["paper_forest", "", ""]', '{"seconds": 8}'),
            ],
        )
        connection.commit()

    records = Records(hass, "entry")
    _, durations = await records.async_open()
    await records.async_close()

    assert [key for key, _ in durations.items()] == [("neon_city", "", "")]
    assert caplog.text.count("Ignored unreadable durations") == 3
