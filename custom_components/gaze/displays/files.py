"""Files of displays. All functions block: call them in the executor."""

from collections.abc import Collection
import logging
from pathlib import Path
import shutil

from ..backup_state import BackupState
from ..gallery.files import sync

_LOGGER = logging.getLogger(__name__)


def write_file(path: Path, content: bytes) -> None:
    """Write a file so that it is complete or absent, also after a crash. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        _write(part, content)
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def write_copy(path: Path, content: bytes, backups: BackupState) -> None:
    """Write a new file that a backup can copy. Raises OSError.

    Nothing names the file before this returns, so it needs no temporary name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        _write(path, content)
    except OSError:
        remove_copy(path, backups)
        raise


def _write(path: Path, content: bytes) -> None:
    """Write a file, and wait until it is on disk."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        sync(file.fileno())


def remove_copy(path: Path, backups: BackupState) -> None:
    """Remove a file that may be absent, after a backup if one is being made."""
    try:
        backups.remove_file(path)
    except OSError as err:
        _LOGGER.debug("Unable to remove the image of a display: %s", err.strerror)


def remove_tree(folder: Path) -> None:
    """Remove a folder that may be absent."""
    shutil.rmtree(folder, ignore_errors=True)


def remove_others(folder: Path, names: Collection[str], backups: BackupState) -> None:
    """Remove what is in a folder under other names than these."""
    try:
        others = [path for path in folder.iterdir() if path.name not in names]
    except OSError:
        return
    for path in others:
        if path.is_dir():
            remove_tree(path)
        else:
            remove_copy(path, backups)


def prune(folder: Path, most: int, most_bytes: int) -> None:
    """Remove the oldest files beyond a number, or beyond a size in all. Raises OSError.

    The newest file stays, whatever its size.
    """
    found = [(file, file.stat()) for file in folder.iterdir()]
    found.sort(key=lambda item: item[1].st_mtime_ns, reverse=True)
    total = 0
    for number, (file, status) in enumerate(found):
        total += status.st_size
        if number and (number >= most or total > most_bytes):
            file.unlink(missing_ok=True)
