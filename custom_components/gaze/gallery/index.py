"""The index of kept images: one row an image, so that adding one writes one."""

from collections.abc import Iterable
from dataclasses import astuple, fields
import sqlite3
from typing import Final

from homeassistant.core import HomeAssistant
from homeassistant.util import dt as dt_util

from ..const import DOMAIN
from ..database import Database, Row
from .errors import GalleryError
from .models import Folder, Image, ListedImage, Selection

_COLUMNS: Final = ", ".join(field.name for field in fields(Image))
_MARKS: Final = ", ".join("?" for _ in fields(Image))
_ENTRY_COLUMNS: Final = ", ".join(field.name for field in fields(ListedImage))
# Each index is a page more to write with every image: months are found without one, by a look
# at every row, which takes some milliseconds.
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS image (
    number INTEGER PRIMARY KEY,
    job_id TEXT NOT NULL UNIQUE, preset TEXT NOT NULL, preset_name TEXT NOT NULL,
    batch_id TEXT NOT NULL, tag TEXT, seed TEXT, checkpoint TEXT, extra_positive TEXT,
    extra_negative TEXT, made_at REAL NOT NULL, path TEXT NOT NULL, content_type TEXT NOT NULL,
    width INTEGER NOT NULL, height INTEGER NOT NULL, size INTEGER NOT NULL,
    saved INTEGER NOT NULL, month TEXT NOT NULL, words TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS image_by_preset ON image (preset);
CREATE TABLE IF NOT EXISTS property (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
_FOLDERS: Final = """
SELECT {key}, preset_name, folder.count, job_id FROM image
JOIN (SELECT max(number) AS newest, count(*) AS count FROM image GROUP BY {key}) AS folder
ON number = folder.newest ORDER BY {order}
"""


class Index:
    """The images of one server, in the order in which they were added.

    Every method but `async_open` raises GalleryError where the disk fails.
    """

    def __init__(self, hass: HomeAssistant, entry_id: str) -> None:
        """Use the entry's own file."""
        self._database = Database(hass, f"{DOMAIN}.{entry_id}.gallery.db", _SCHEMA)

    @property
    def set_aside(self) -> str | None:
        """Return the name that the file has now if it was damaged and set aside in this start."""
        return self._database.set_aside

    async def async_open(self) -> None:
        """Open the file. Raises sqlite3.OperationalError where it cannot be used."""
        await self._database.async_open()

    async def async_close(self) -> None:
        """Close the file."""
        await self._database.async_close()

    async def async_remove(self) -> None:
        """Remove the file."""
        await self._database.async_remove()

    async def async_property(self, name: str, default: str) -> str:
        """Return a property of the gallery, kept from the first time it is asked for."""
        await self._write("INSERT OR IGNORE INTO property VALUES (?, ?)", (name, default))
        rows = await self._read("SELECT value FROM property WHERE name = ?", (name,))
        return str(rows[0][0])

    async def async_add(self, image: Image) -> None:
        """Add an image, or replace what is known of it."""
        await self._write(
            f"INSERT OR REPLACE INTO image ({_COLUMNS}, month, words) VALUES ({_MARKS}, ?, ?)",
            (*astuple(image), _month(image), _words(image)),
        )

    async def async_forget(self, job_ids: Iterable[str]) -> None:
        """Remove images from the index."""
        await self._write("DELETE FROM image WHERE job_id = ?", *((job_id,) for job_id in job_ids))

    async def async_get(self, job_id: str) -> Image | None:
        """Return one image, or None."""
        found = await self._images("WHERE job_id = ?", (job_id,))
        return found[0] if found else None

    async def async_owner(self, path: str, *, saved: bool) -> str | None:
        """Return the job id of the image that has this file, or None. Looks at every row."""
        rows = await self._read(
            "SELECT job_id FROM image WHERE path = ? AND saved = ?", (path, saved)
        )
        return str(rows[0][0]) if rows else None

    async def async_count(self) -> int:
        """Return how many images there are."""
        return int((await self._read("SELECT count(*) FROM image"))[0][0])

    async def async_newest_by_preset(self) -> list[Image]:
        """Return the newest image of each preset, the newest of all last."""
        return await self._images(
            "WHERE number IN (SELECT max(number) FROM image GROUP BY preset) ORDER BY number"
        )

    async def async_oldest(self, count: int) -> list[Image]:
        """Return the images that were added first."""
        return await self._images("ORDER BY number LIMIT ?", (count,))

    async def async_unsaved(self) -> list[Image]:
        """Return the images that are not in the media folder, oldest first."""
        return await self._images("WHERE NOT saved ORDER BY number")

    async def async_paths(self) -> list[tuple[str, str, bool]]:
        """Return job id, path and whether it is saved of every image, to compare with the disk."""
        rows = await self._read("SELECT job_id, path, saved FROM image")
        return [(job_id, path, bool(saved)) for job_id, path, saved in rows]

    async def async_select(
        self, selection: Selection, limit: int = -1, offset: int = 0
    ) -> list[Image]:
        """Return the images that are meant, newest first; -1 for all of them."""
        where, values = _where(selection)
        return await self._images(
            f"{where} ORDER BY number DESC LIMIT ? OFFSET ?", (*values, limit, offset)
        )

    async def async_entries(self, selection: Selection, limit: int) -> list[ListedImage]:
        """Return the images that are meant as a listing shows them, newest first."""
        where, values = _where(selection)
        rows = await self._read(
            f"SELECT {_ENTRY_COLUMNS} FROM image {where} ORDER BY number DESC LIMIT ?",
            (*values, limit),
        )
        return [ListedImage(*row) for row in rows]

    async def async_presets(self) -> list[Folder]:
        """Return the presets that have images, by name, under the name of their newest one."""
        rows = await self._read(
            _FOLDERS.format(key="preset", order="preset_name COLLATE NOCASE, preset")
        )
        return [Folder(*row) for row in rows]

    async def async_months(self) -> list[Folder]:
        """Return the months that have images, the last one first."""
        rows = await self._read(_FOLDERS.format(key="month", order="month DESC"))
        return [Folder(month, month, count, newest) for month, _, count, newest in rows]

    async def _images(self, rest: str, values: Row = ()) -> list[Image]:
        """Return the images that the rest of the query chooses."""
        rows = await self._read(f"SELECT {_COLUMNS} FROM image {rest}", values)
        return [Image(*row) for row in rows]

    async def _read(self, query: str, values: Row = ()) -> list[Row]:
        try:
            return await self._database.async_read(query, values)
        except sqlite3.Error as err:
            raise GalleryError(f"the list of images cannot be read: {err}") from err

    async def _write(self, statement: str, *rows: Row) -> None:
        try:
            await self._database.async_write(statement, *rows)
        except sqlite3.Error as err:
            raise GalleryError(f"the list of images cannot be written: {err}") from err


def _where(selection: Selection) -> tuple[str, Row]:
    """Return the condition for a selection, and its values."""
    conditions = {
        "preset = ?": selection.preset,
        "month = ?": selection.month,
        "tag = ?": selection.tag,
        "made_at >= ?": selection.since,
        "made_at < ?": selection.until,
        "number < ?": selection.below,
    }
    parts = [condition for condition, value in conditions.items() if value is not None]
    values = [value for value in conditions.values() if value is not None]
    for word in (selection.search or "").casefold().split():
        parts.append("instr(words, ?)")
        values.append(word)
    return f"WHERE {' AND '.join(parts)}" if parts else "", tuple(values)


def _month(image: Image) -> str:
    """Return the month in which an image was made, where Home Assistant is."""
    return f"{dt_util.as_local(dt_util.utc_from_timestamp(image.made_at)):%Y-%m}"


def _words(image: Image) -> str:
    """Return the text in which an image is searched for."""
    texts = (
        image.preset_name,
        image.preset,
        image.extra_positive,
        image.extra_negative,
        image.seed,
        image.checkpoint,
        image.tag,
    )
    return "\n".join(text for text in texts if text).casefold()
