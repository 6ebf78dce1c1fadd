"""The index of saved images: one row per image, so that adding one writes one."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import astuple, fields, replace
from itertools import islice
import sqlite3
from typing import Final

from homeassistant.core import HomeAssistant
from homeassistant.util import dt as dt_util

from ..const import DOMAIN
from ..database import Database, Row
from .errors import GalleryUnavailableError, IndexFailedError
from .models import Folder, Image, ListedImage, Selection

# Job ID, path, root, and whether it is in a media folder
type IndexedFile = tuple[str, str, str, int]

_NAMES: Final = tuple(field.name for field in fields(Image))
_COLUMNS: Final = ", ".join(_NAMES)
_MARKS: Final = ", ".join("?" for _ in _NAMES)
_LISTED_COLUMNS: Final = ", ".join(field.name for field in fields(ListedImage))
_MICROSECONDS: Final = 1_000_000
_DAY: Final = 86_400.0
_MAX_WORDS: Final = 32  # of a search, because SQLite limits the depth of a condition

_PROBE: Final = Image(
    job_id="",
    preset="",
    preset_name="",
    batch_id="",
    tag=None,
    seed=None,
    checkpoint=None,
    extra_positive=None,
    extra_negative=None,
    made_at=0,
)

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
CREATE TABLE IF NOT EXISTS property (name TEXT PRIMARY KEY, value TEXT NOT NULL)
"""
# Numbers become microseconds since the epoch, the next free one if two images have the same.
# Each index is a page more to write with every image: presets, recipes, months, and tags are found
# without one, by a look at every row, which takes some milliseconds.
_ORDER_MARKS_AND_ROOTS: Final = """
ALTER TABLE image RENAME TO image_1;
CREATE TABLE image (
    number INTEGER PRIMARY KEY,
    job_id TEXT NOT NULL UNIQUE, preset TEXT NOT NULL, preset_name TEXT NOT NULL,
    batch_id TEXT NOT NULL, tag TEXT, seed TEXT, checkpoint TEXT, extra_positive TEXT,
    extra_negative TEXT, made_at REAL NOT NULL, path TEXT NOT NULL, content_type TEXT NOT NULL,
    width INTEGER NOT NULL, height INTEGER NOT NULL, size INTEGER NOT NULL,
    saved INTEGER NOT NULL, month TEXT NOT NULL, words TEXT NOT NULL,
    requested_width INTEGER, requested_height INTEGER,
    recipe TEXT, recipe_name TEXT, title TEXT,
    root TEXT NOT NULL DEFAULT '',
    favorite INTEGER NOT NULL DEFAULT 0, hidden INTEGER NOT NULL DEFAULT 0
);
INSERT INTO image (
    number, job_id, preset, preset_name, batch_id, tag, seed, checkpoint, extra_positive,
    extra_negative, made_at, path, content_type, width, height, size, saved, month, words
)
SELECT
    max(moment - place) OVER (ORDER BY place) + place, job_id, preset, preset_name, batch_id, tag,
    seed, checkpoint, extra_positive, extra_negative, made_at, path, content_type, width, height,
    size, saved, month, words
FROM (
    SELECT
        *, CAST(made_at * 1000000 AS INTEGER) AS moment,
        row_number() OVER (ORDER BY made_at, number) AS place
    FROM image_1
);
DROP TABLE image_1;
CREATE TABLE root (id TEXT PRIMARY KEY, path TEXT NOT NULL)
"""
_FOLDERS: Final = """
SELECT {key}, {name}, folder.count, job_id FROM image
JOIN (
    SELECT max(number) AS newest, count(*) AS count FROM image
    WHERE NOT hidden AND {key} IS NOT NULL GROUP BY {key}
) AS folder
ON number = folder.newest ORDER BY {order}
"""
_NEWEST: Final = """
WHERE number IN (
    WITH newest AS MATERIALIZED (
        SELECT max(number) AS of_all, max(CASE WHEN NOT hidden THEN number END) AS shown
        FROM image GROUP BY preset, recipe
    )
    SELECT of_all FROM newest UNION SELECT shown FROM newest
)
ORDER BY number
"""
_UNPROTECTED: Final = """
NOT favorite AND (NOT saved OR root IN ({roots})) AND number NOT IN (
    SELECT max(number) FROM image WHERE NOT hidden GROUP BY preset
    UNION SELECT max(number) FROM image WHERE NOT hidden AND recipe IS NOT NULL GROUP BY recipe
)
"""


class Index:
    """The images of one server, in the order in which they were finished.

    Every method but `async_open` raises GalleryError if the disk fails.
    """

    def __init__(self, hass: HomeAssistant, entry_id: str) -> None:
        """Use the entry's own file."""
        self._database = Database(
            hass, f"{DOMAIN}.{entry_id}.gallery.db", _SCHEMA, _ORDER_MARKS_AND_ROOTS
        )

    @property
    def set_aside(self) -> str | None:
        """Return the name that the file has now if it was damaged and set aside in this start."""
        return self._database.set_aside

    async def async_open(self) -> None:
        """Open the file. Raises NewerStoreError, or sqlite3.OperationalError if it is unusable."""
        await self._database.async_open()

    async def async_close(self) -> None:
        """Close the file."""
        await self._database.async_close()

    async def async_remove(self) -> None:
        """Remove the file."""
        await self._database.async_remove()

    async def async_property(self, name: str) -> str | None:
        """Return a property of the gallery."""
        rows = await self._read("SELECT value FROM property WHERE name = ?", (name,))
        return str(rows[0][0]) if rows else None

    async def async_set_property(self, name: str, value: str) -> None:
        """Store a property of the gallery."""
        await self._write("INSERT OR REPLACE INTO property VALUES (?, ?)", (name, value))

    async def async_roots(self) -> dict[str, str]:
        """Return the path of each folder that was the gallery's, by its ID."""
        return {str(root): str(path) for root, path in await self._read("SELECT * FROM root")}

    async def async_set_root(self, root: str, path: str) -> None:
        """Store where the folder with this ID is. Images without a folder lie in it."""

        def change(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR REPLACE INTO root VALUES (?, ?)", (root, path))
            connection.execute("UPDATE image SET root = ? WHERE root = '' AND saved", (root,))

        await self._change(change)

    async def async_delete_roots(self, roots: Iterable[str]) -> None:
        """Delete folders that no longer exist."""
        await self._write("DELETE FROM root WHERE id = ?", *((root,) for root in roots))

    async def async_add(
        self, *images: Image, words: Mapping[str, str] | None = None
    ) -> list[Image]:
        """Add or replace images, and return them as they are stored.

        The number and the marks of an image that is already known don't change. words: more text to
        search for an image, by job ID.
        """
        now = dt_util.utcnow().timestamp()

        def change(connection: sqlite3.Connection) -> list[Image]:
            return [
                _add(connection, image, now, (words or {}).get(image.job_id, ""))
                for image in images
            ]

        return await self._change(change)

    async def async_probe(self) -> None:
        """Validate that an image can be added."""
        now = dt_util.utcnow().timestamp()

        def change(connection: sqlite3.Connection) -> None:
            _add(connection, replace(_PROBE, made_at=now), now, "")
            connection.execute("DELETE FROM image WHERE job_id = ?", (_PROBE.job_id,))

        await self._change(change)

    async def async_rename(self, job_id: str, other_id: str) -> None:
        """Give an image another ID."""
        await self._write("UPDATE image SET job_id = ? WHERE job_id = ?", (other_id, job_id))

    async def async_delete(self, job_ids: Iterable[str]) -> None:
        """Remove images from the index."""
        await self._write("DELETE FROM image WHERE job_id = ?", *((job_id,) for job_id in job_ids))

    async def async_mark(
        self, job_ids: Sequence[str], *, favorite: bool | None, hidden: bool | None
    ) -> tuple[list[str], int]:
        """Mark images; `None` leaves a mark as it is.

        Returns the IDs that are unknown, and how many images changed. Nothing changes if an ID
        is unknown.
        """
        changes = {
            name: int(value)
            for name, value in (("favorite", favorite), ("hidden", hidden))
            if value is not None
        }

        def change(connection: sqlite3.Connection) -> tuple[list[str], int]:
            known = "SELECT 1 FROM image WHERE job_id = ?"
            unknown = [
                job_id
                for job_id in job_ids
                if connection.execute(known, (job_id,)).fetchone() is None
            ]
            if unknown or not changes:
                return unknown, 0
            assign = ", ".join(f"{name} = :{name}" for name in changes)
            differ = " OR ".join(f"{name} != :{name}" for name in changes)
            changed = connection.executemany(
                f"UPDATE image SET {assign} WHERE job_id = :job_id AND ({differ})",
                ({**changes, "job_id": job_id} for job_id in job_ids),
            ).rowcount
            return [], changed

        return await self._change(change)

    async def async_get(self, job_id: str) -> Image | None:
        """Return one image, or None."""
        found = await self._images("WHERE job_id = ?", (job_id,))
        return found[0] if found else None

    async def async_current(self, job_ids: Iterable[str]) -> list[Image]:
        """Return those of the images that exist, as they are stored now."""
        values = tuple(job_ids)
        marks = ", ".join("?" for _ in values)
        return await self._images(f"WHERE job_id IN ({marks}) ORDER BY number", values)

    async def async_owner(self, path: str, root: str, *, saved: bool) -> str | None:
        """Return the job ID of the image that has this file, or None. Looks at every row."""
        rows = await self._read(
            "SELECT job_id FROM image WHERE path = ? AND root = ? AND saved = ?",
            (path, root, saved),
        )
        return str(rows[0][0]) if rows else None

    async def async_count(self) -> int:
        """Return how many images there are."""
        return int((await self._read("SELECT count(*) FROM image"))[0][0])

    async def async_last_number(self) -> int:
        """Return the number of the last image, hidden or not; 0 without images."""
        return int((await self._read("SELECT coalesce(max(number), 0) FROM image"))[0][0])

    async def async_marked(self) -> tuple[int, int]:
        """Return how many images are favorites, and how many are hidden."""
        rows = await self._read("SELECT total(favorite), total(hidden) FROM image")
        favorites, hidden = rows[0]
        return int(favorites), int(hidden)

    async def async_newest(self) -> list[Image]:
        """Return the newest images, in their order.

        Of each preset and each recipe, they contain the newest image of all, and the newest one
        that is not hidden. Looks at every row once.
        """
        return await self._images(_NEWEST)

    async def async_surplus(
        self, limit: int, roots: Collection[str], *, after: int, most: int
    ) -> list[Image]:
        """Return the oldest images beyond a number of images, to be removed.

        Images count unless they are favorites or lie in a folder that is not among `roots`. The
        newest image of each preset and recipe counts, and is never returned. Of the others, `most`
        images above the number `after` are returned, the oldest first.
        """
        marks = ", ".join("?" for _ in roots)
        rows = await self._read(
            f"SELECT count(*) FROM image WHERE NOT favorite AND (NOT saved OR root IN ({marks}))",
            tuple(roots),
        )
        if (surplus := int(rows[0][0]) - limit) <= 0:
            return []
        return await self._images(
            f"WHERE number IN (SELECT number FROM image WHERE {_UNPROTECTED.format(roots=marks)}"
            " ORDER BY number LIMIT ?) AND number > ? ORDER BY number LIMIT ?",
            (*roots, surplus, after, most),
        )

    async def async_unsaved(self, preset: str | None = None) -> list[Image]:
        """Return the images that are not in the media folder, newest first."""
        if preset is None:
            return await self._images("WHERE NOT saved ORDER BY number DESC")
        return await self._images("WHERE preset = ? AND NOT saved ORDER BY number DESC", (preset,))

    async def async_paths(self, job_ids: Collection[str] | None = None) -> list[IndexedFile]:
        """Return where the files of the images of these jobs are, or of all images."""
        query = "SELECT job_id, path, root, saved FROM image"
        if job_ids is None:
            return await self._read(query)
        marks = ", ".join("?" for _ in job_ids)
        return await self._read(f"{query} WHERE job_id IN ({marks})", tuple(job_ids))

    async def async_has_saved(self) -> bool:
        """Return whether there are images in a media folder."""
        return bool(await self._read("SELECT 1 FROM image WHERE saved LIMIT 1"))

    async def async_select(
        self, selection: Selection, limit: int = -1, offset: int = 0
    ) -> list[Image]:
        """Return the selected images, newest first. Without a limit, return all."""
        where, values = _build_condition(selection)
        return await self._images(
            f"{where} ORDER BY number DESC LIMIT ? OFFSET ?", (*values, limit, offset)
        )

    async def async_list(self, selection: Selection, limit: int) -> list[ListedImage]:
        """Return the selected images as a listing shows them, newest first."""
        where, values = _build_condition(selection)
        rows = await self._read(
            f"SELECT {_LISTED_COLUMNS} FROM image {where} ORDER BY number DESC LIMIT ?",
            (*values, limit),
        )
        return [ListedImage(*row) for row in rows]

    async def async_summary(self, key: str, selection: Selection) -> Folder | None:
        """Return the selected images as one folder, or None without any."""
        where, values = _build_condition(selection)
        rows = await self._read(f"SELECT job_id, count(*), max(number) FROM image {where}", values)
        job_id, count, _ = rows[0]
        return Folder(key, key, int(count), str(job_id)) if count else None

    async def async_presets(self) -> list[Folder]:
        """Return the presets that have images, by name, under the name of their newest one."""
        return await self._folders("preset", "preset_name", "preset_name COLLATE NOCASE, preset")

    async def async_recipes(self) -> list[Folder]:
        """Return the recipes that have images, by name, under the name of their newest one."""
        return await self._folders(
            "recipe", "coalesce(recipe_name, recipe)", "recipe_name COLLATE NOCASE, recipe"
        )

    async def async_tags(self) -> list[Folder]:
        """Return the tags that have images, by name."""
        return await self._folders("tag", "tag", "tag COLLATE NOCASE, tag")

    async def async_months(self) -> list[Folder]:
        """Return the months that have images, the last one first."""
        return await self._folders("month", "month", "month DESC")

    async def _folders(self, key: str, name: str, order: str) -> list[Folder]:
        rows = await self._read(_FOLDERS.format(key=key, name=name, order=order))
        return [Folder(*row) for row in rows]

    async def _images(self, rest: str, values: Row = ()) -> list[Image]:
        """Return the images that the rest of the query selects."""
        rows = await self._read(f"SELECT {_COLUMNS} FROM image {rest}", values)
        return [Image(*row) for row in rows]

    async def _read(self, query: str, values: Row = ()) -> list[Row]:
        try:
            return await self._database.async_read(query, values)
        except sqlite3.Error as err:
            raise IndexFailedError(f"the list of images cannot be read: {err}") from err

    async def _write(self, statement: str, *rows: Row) -> None:
        await self._change(lambda connection: connection.executemany(statement, rows))

    async def _change[T](self, change: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await self._database.async_change(change)
        except sqlite3.Error as err:
            text = f"the list of images cannot be written: {err}"
            if getattr(err, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
                raise GalleryUnavailableError("full", text) from err
            raise IndexFailedError(text) from err


def _add(connection: sqlite3.Connection, image: Image, now: float, words: str) -> Image:
    """Add an image, or replace what is known of it. Blocks."""
    known = connection.execute(
        "SELECT number, favorite, hidden FROM image WHERE job_id = ?", (image.job_id,)
    ).fetchone()
    if known is not None:
        number, favorite, hidden = known
        image = replace(image, number=number, favorite=favorite, hidden=hidden)
    else:
        number = image.number or _get_number_of_time(connection, image.made_at, now)
        image = replace(image, number=_find_free_number(connection, number))
    connection.execute(
        f"INSERT OR REPLACE INTO image ({_COLUMNS}, month, words) VALUES ({_MARKS}, ?, ?)",
        (*astuple(image), _get_month(image), _collect_words(image, words)),
    )
    return image


def _get_number_of_time(connection: sqlite3.Connection, made_at: float, now: float) -> int:
    """Return the number of an image that was finished at this time.

    A clock that was wrong may have made images of the future. New images come after those.
    """
    number = int(made_at * _MICROSECONDS)
    (newest,) = connection.execute("SELECT max(number) FROM image").fetchone()
    if newest is not None and newest > now * _MICROSECONDS and made_at > now - _DAY:
        return max(number, int(newest) + 1)
    return number


def _find_free_number(connection: sqlite3.Connection, number: int) -> int:
    """Return this number, or the next one that no image has."""
    if connection.execute("SELECT 1 FROM image WHERE number = ?", (number,)).fetchone() is None:
        return number
    (free,) = connection.execute(
        "SELECT number + 1 FROM image AS taken WHERE number >= ? AND NOT EXISTS"
        " (SELECT 1 FROM image WHERE number = taken.number + 1) ORDER BY number LIMIT 1",
        (number,),
    ).fetchone()
    return int(free)


def _build_condition(selection: Selection) -> tuple[str, Row]:
    """Return the condition for a selection, and its values."""
    conditions = {
        "preset = ?": selection.preset,
        "? COLLATE NOCASE IN (recipe, recipe_name)": selection.recipe,
        "month = ?": selection.month,
        "tag = ?": selection.tag,
        "made_at >= ?": selection.since,
        "made_at < ?": selection.until,
        "number < ?": selection.below,
        "favorite = ?": selection.favorite,
        "hidden = ?": selection.hidden,
    }
    parts = [condition for condition, value in conditions.items() if value is not None]
    values = [value for value in conditions.values() if value is not None]
    words = dict.fromkeys((selection.search or "").casefold().split())
    for word in islice(words, _MAX_WORDS):
        parts.append("instr(words, ?)")
        values.append(word)
    return f"WHERE {' AND '.join(parts)}" if parts else "", tuple(values)


def _get_month(image: Image) -> str:
    """Return the month in which an image was made, where Home Assistant is."""
    return f"{dt_util.as_local(dt_util.utc_from_timestamp(image.made_at)):%Y-%m}"


def _collect_words(image: Image, more: str) -> str:
    """Return the text in which an image is searched."""
    texts = (
        image.preset_name,
        image.preset,
        image.recipe_name,
        image.title,
        image.extra_positive,
        image.extra_negative,
        image.seed,
        image.checkpoint,
        image.tag,
        more,
    )
    return "\n".join(text for text in texts if text).casefold()
