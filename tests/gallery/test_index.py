"""Tests of the index: queries, order, and writes."""

from collections.abc import AsyncGenerator
from contextlib import closing
from dataclasses import replace
import os
from pathlib import Path
import sqlite3
from typing import Any

from homeassistant.core import HomeAssistant
from homeassistant.util import dt as dt_util
import pytest

from custom_components.gaze.gallery import GalleryError, Selection
from custom_components.gaze.gallery.index import Index

from .pictures import MADE_AT, image

DAY = 86_400
STORES = Path(__file__).parents[1] / "e2e" / "stores" / "0.1.0"


@pytest.fixture
async def index(hass: HomeAssistant) -> AsyncGenerator[Index]:
    index = Index(hass, "entry")
    await index.async_open()
    yield index
    await index.async_close()


@pytest.fixture
async def filled(index: Index) -> Index:
    """Return an index with four images."""
    images: list[dict[str, Any]] = [
        {"preset": "a_cat", "preset_name": "Katze im Grünen", "seed": "18446744073709551615"},
        {"extra_positive": "red sky, 100% (sharp_focus:1.2)", "tag": "Wallpaper"},
        {"extra_negative": "blurry", "checkpoint": "Illustrious/model.safetensors"},
        {"made_at": MADE_AT + 30 * DAY},
    ]
    for number, changes in enumerate(images):
        fields = {"path": f"p/{number}.png", "made_at": MADE_AT + number} | changes
        await index.async_add(image(f"job-{number}", **fields))
    return index


async def _found(index: Index, selection: Selection, **page: int) -> list[str]:
    return [found.job_id for found in await index.async_select(selection, **page)]


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ("", ["job-3", "job-2", "job-1", "job-0"]),
        ("KATZE", ["job-0"]),
        ("GRÜNEN", ["job-0"]),
        ("a_cat", ["job-0"]),
        ("18446744073709551615", ["job-0"]),
        ("sky red", ["job-1"]),
        ("100%", ["job-1"]),
        ("sharp_focus", ["job-1"]),
        ("wallpaper neon", ["job-1"]),
        ("BLURRY", ["job-2"]),
        ("illustrious/", ["job-2"]),
        ("neon", ["job-3", "job-2", "job-1"]),
        ("%", ["job-1"]),
        ("sky blurry", []),
        ("' OR 1=1 --", []),
    ],
)
async def test_search_finds_all_words_in_any_case(
    filled: Index, search: str, expected: list[str]
) -> None:
    assert await _found(filled, Selection(search=search)) == expected


async def test_images_are_filtered_by_preset_month_tag_and_time(filled: Index) -> None:
    assert await _found(filled, Selection(preset="a_cat")) == ["job-0"]
    assert await _found(filled, Selection(month="2026-09")) == ["job-3"]
    assert await _found(filled, Selection(tag="Wallpaper")) == ["job-1"]
    assert await _found(filled, Selection(tag="wallpaper")) == []
    assert await _found(filled, Selection(since=MADE_AT + 2)) == ["job-3", "job-2"]
    assert await _found(filled, Selection(until=MADE_AT + 2)) == ["job-1", "job-0"]
    assert await _found(filled, Selection(month="2026-08", search="neon")) == ["job-2", "job-1"]


async def test_listing_has_pages(filled: Index) -> None:
    [first, second] = await filled.async_list(Selection(), 2)
    rest = await filled.async_list(Selection(below=second.number), 2)

    assert [first.job_id, second.job_id] == ["job-3", "job-2"]
    assert [entry.job_id for entry in rest] == ["job-1", "job-0"]
    assert await _found(filled, Selection(), limit=2, offset=1) == ["job-2", "job-1"]


async def test_presets_and_months_are_counted(filled: Index) -> None:
    presets = await filled.async_presets()
    months = await filled.async_months()

    assert [(folder.key, folder.name, folder.count) for folder in presets] == [
        ("a_cat", "Katze im Grünen", 1),
        ("neon_city", "Neon city", 3),
    ]
    assert [(folder.key, folder.count, folder.newest_job_id) for folder in months] == [
        ("2026-09", 1, "job-3"),
        ("2026-08", 3, "job-2"),
    ]


async def test_month_depends_on_time_zone(hass: HomeAssistant, index: Index) -> None:
    await hass.config.async_set_time_zone("Pacific/Auckland")
    await index.async_add(image(made_at=1785499200.0))  # 2026-07-31 12:00 UTC

    assert [folder.key for folder in await index.async_months()] == ["2026-08"]


async def test_image_added_again_has_same_order_and_marks(filled: Index) -> None:
    await filled.async_mark(["job-0"], favorite=True, hidden=None)

    await filled.async_add(image("job-0", path="p/0.png", seed="7"))

    assert await filled.async_count() == 4
    assert (await _found(filled, Selection()))[-1] == "job-0"
    found = await filled.async_get("job-0")
    assert found is not None
    assert (found.seed, found.favorite) == ("7", True)


async def test_images_are_ordered_by_finish(index: Index) -> None:
    for job_id, made_at in (("late", 3.0), ("early", 1.0), ("same", 3.0), ("between", 2.0)):
        await index.async_add(image(job_id, made_at=MADE_AT + made_at))

    assert await _found(index, Selection()) == ["same", "late", "between", "early"]
    assert (await index.async_newest())[-1].job_id == "same"


async def test_image_of_fast_clock_hides_no_later_image(index: Index) -> None:
    now = dt_util.utcnow().timestamp()
    await index.async_add(image("future", made_at=now + 13 * 3600))
    await index.async_add(image("first", made_at=now))
    await index.async_add(image("second", made_at=now + 1))

    assert await _found(index, Selection()) == ["second", "first", "future"]


async def test_index_returns_added_images(index: Index) -> None:
    added = image(tag="t", path="p/x.png", width=64, height=96, size=1000, saved=False)
    [stored] = await index.async_add(added)

    assert replace(stored, number=0) == added
    assert await index.async_get("job-1") == stored
    assert await index.async_get("job-2") is None
    assert await index.async_unsaved() == [stored]


async def test_failing_store_raises_gallery_error(index: Index) -> None:
    await index.async_close()

    with pytest.raises(GalleryError, match="cannot be read"):
        await index.async_count()
    with pytest.raises(GalleryError, match="cannot be written"):
        await index.async_add(image())


async def test_addition_cost_neither_depends_on_index_size_nor_exceeds_0_1_0(
    hass: HomeAssistant, index: Index
) -> None:
    log = Path(hass.config.path(".storage", "gaze.entry.gallery.db-wal"))

    async def written(start: int) -> int:
        """Return the bytes that 40 additions append to the write-ahead log."""
        with sqlite3.connect(log.with_name("gaze.entry.gallery.db")) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        for number in range(start, start + 40):
            await index.async_add(
                image(f"{number * 7919 % 100_003:05}", extra_positive="a prompt " * 30)
            )
        return os.stat(log).st_size  # noqa: PTH116

    first = await written(0)
    await index.async_add(
        *(
            image(f"{number * 7919 % 100_003:05}", extra_positive="x" * 300)
            for number in range(100, 1500)
        )
    )
    last = await written(1500)

    assert last < 1.25 * first
    assert last <= _written_by_0_1_0(log.with_name("gaze.entry.gallery.db"))


def _written_by_0_1_0(path: Path) -> int:
    """Return the bytes that the last 40 images of an index append to the log of 0.1.0."""
    earlier = path.with_name("earlier.db")
    with (
        closing(sqlite3.connect(path)) as ours,
        closing(sqlite3.connect(earlier, autocommit=True)) as connection,
    ):
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript((STORES / "gallery.sql").read_text())
        connection.execute("DELETE FROM image")
        names = [row[1] for row in connection.execute("PRAGMA table_info(image)")]
        columns = ", ".join(names[1:])
        query = f"SELECT NULL, {columns} FROM image ORDER BY number"  # noqa: S608 - fixed names
        rows = ours.execute(query).fetchall()
        statement = f"INSERT INTO image VALUES ({', '.join('?' for _ in names)})"  # noqa: S608
        connection.execute("BEGIN")
        connection.executemany(statement, rows[:-40])
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for row in rows[-40:]:
            connection.execute(statement, row)
        return earlier.with_name("earlier.db-wal").stat().st_size


async def test_newest_images_are_those_of_presets_and_recipes(index: Index) -> None:
    for number, (preset, recipe, hidden) in enumerate(
        [
            ("a", None, False),
            ("a", "r", False),
            ("b", "r", False),
            ("b", None, True),
            ("a", None, False),
            ("a", "r", True),
        ]
    ):
        job_id = f"job-{number}"
        await index.async_add(
            image(job_id, preset=preset, recipe=recipe, made_at=MADE_AT + number, hidden=hidden)
        )

    newest = [(found.job_id, found.hidden) for found in await index.async_newest()]

    assert newest == [
        ("job-1", False),
        ("job-2", False),
        ("job-3", True),
        ("job-4", False),
        ("job-5", True),
    ]


async def test_index_of_0_1_0_is_migrated(hass: HomeAssistant) -> None:
    path = Path(hass.config.path(".storage", "gaze.old.gallery.db"))
    path.parent.mkdir(exist_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((STORES / "gallery.sql").read_text())
        connection.execute(  # added last, although it was finished first
            "INSERT INTO image SELECT 3, 'late', preset, preset_name, batch_id, tag, seed,"
            " checkpoint, extra_positive, extra_negative, made_at - 60, 'x/y.png', content_type,"
            " width, height, size, saved, month, words FROM image WHERE number = 1"
        )
        connection.commit()
    index = Index(hass, "old")

    await index.async_open()

    images = await index.async_select(Selection())
    assert [image.job_id[:8] for image in images] == ["d1182e02", "ed100650", "late"]
    assert [image.number for image in images] == [
        int(image.made_at * 1_000_000) for image in images
    ]
    assert images[1].extra_positive == "rain on glass"
    assert (images[1].favorite, images[1].hidden, images[1].requested_width) == (False, False, None)
    assert await index.async_property("folder") == "gaze"
    assert await index.async_roots() == {}
    await index.async_close()


async def test_marking_unknown_images_changes_nothing(filled: Index) -> None:
    found = await filled.async_mark(["job-0", "nowhere"], favorite=True, hidden=None)

    assert found == (["nowhere"], 0)
    assert await filled.async_marked() == (0, 0)
    assert await filled.async_mark(["job-0", "job-1"], favorite=True, hidden=True) == ([], 2)
    assert await filled.async_mark(["job-0", "job-1"], favorite=True, hidden=None) == ([], 0)
    assert await filled.async_marked() == (2, 2)
