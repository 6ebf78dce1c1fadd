"""Names of files and folders. The integration creates them, whatever a server sends."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, datetime
from hashlib import blake2b
import re
from typing import Final

from homeassistant.util import dt as dt_util, slugify

from .models import Image

_SAFE_FOLDER: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9]")
_SEED_DIGITS: Final = 20
_JOB_ID_CHARACTERS: Final = 8
_TIME: Final = "%Y%m%d-%H%M%S"
_FILE: Final = re.compile(
    r"(?P<time>[0-9]{8}-[0-9]{6})_(?P<seed>[A-Za-z0-9]{1,20})_(?P<job>[A-Za-z0-9]{1,8})"
    r"(?:_[0-9]{1,4})?\.(?:png|jpg|webp)"
)
# Names that Windows reserves for devices, also on the shares that it offers
_RESERVED: Final = frozenset(
    ("aux", "con", "nul", "prn", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10)))
)


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundFile:
    """A file that has the name of an image. `job` is the beginning of the job's ID."""

    path: str
    folder: str
    made_at: float
    seed: str
    job: str

    @property
    def job_id(self) -> str:
        """Return an ID for the image: that of the job is not known completely."""
        digest = blake2b(self.path.encode(), digest_size=6).hexdigest()
        return f"{self.job}-found-{digest}"


def plain_name(name: str) -> str:
    """Return a name that every file system accepts."""
    return f"{name}_" if name.casefold() in _RESERVED else name


def preset_folder(preset: str, others: Collection[str]) -> str:
    """Return a folder name for a preset that differs from those of the others, also in case."""
    if not _SAFE_FOLDER.fullmatch(preset):
        preset = slugify(preset)[:100] or "preset"
    stem = name = plain_name(preset)
    taken = {other.casefold() for other in others}
    number = 1
    while name.casefold() in taken:
        number += 1
        name = f"{stem}_{number}"
    return name


def file_stem(image: Image) -> str:
    """Return the name of an image's file without its extension."""
    made_at = dt_util.as_local(dt_util.utc_from_timestamp(image.made_at))
    seed = _UNSAFE.sub("", image.seed or "")[:_SEED_DIGITS] or "0"
    return f"{made_at:{_TIME}}_{seed}_{job_prefix(image.job_id)}"


def job_prefix(job_id: str) -> str:
    """Return the part of a job's ID that is in the name of its file."""
    return _UNSAFE.sub("", job_id)[:_JOB_ID_CHARACTERS] or "0"


def parse_path(path: str) -> FoundFile | None:
    """Return what the path of an image file contains, or None if it is another file."""
    folder, _, name = path.partition("/")
    if (found := _FILE.fullmatch(name)) is None or not folder.isprintable():
        return None  # a folder whose name is no valid text is not ours
    try:
        made_at = datetime.strptime(found["time"], _TIME).replace(
            tzinfo=dt_util.get_default_time_zone()
        )
        if not MINYEAR < made_at.year < MAXYEAR:
            return None  # another time zone may have no such time
        return FoundFile(
            path=path,
            folder=folder,
            made_at=made_at.timestamp(),
            seed=found["seed"],
            job=found["job"],
        )
    except ValueError, OverflowError:
        return None
