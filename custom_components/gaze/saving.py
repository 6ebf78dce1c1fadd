"""Writes copies of images to files that users name. Call it in the executor.

Each component of the folder is opened in turn and must not be a symbolic link, so that the file
is written into the folder that was validated. The suffix must match the format of the image,
because Home Assistant serves `www/` without a login and a browser could render a page.
"""

from collections.abc import Generator
from contextlib import contextmanager, suppress
import errno
import logging
import os
from pathlib import Path
import secrets
import stat
from typing import Final

from homeassistant.core import HomeAssistant

from .backup_state import BackupState, backup_state, move_into_place
from .gallery import ImageContentError, strip_metadata
from .gallery.files import sync

_LOGGER = logging.getLogger(__name__)

SUFFIXES: Final = {
    "image/png": (".png",),
    "image/jpeg": (".jpg", ".jpeg"),
    "image/webp": (".webp",),
}
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# File systems without hard links, such as exFAT and many network shares.
_NO_LINKS: Final = frozenset((errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK))


class SaveError(Exception):
    """A copy was not written. `key` is the translation key of the reason."""

    def __init__(self, key: str, **placeholders: str) -> None:
        """Store the key and the placeholders of the reason."""
        super().__init__(key)
        self.key = key
        self.placeholders = placeholders


def save_copy(
    hass: HomeAssistant, filename: str, content: bytes, content_type: str, *, overwrite: bool
) -> None:
    """Write an image to a file atomically. Raises SaveError."""
    path = Path(filename)
    if path.suffix.lower() not in (suffixes := SUFFIXES[content_type]):
        raise SaveError("wrong_suffix", filename=filename[:200], suffixes=", ".join(suffixes))
    try:
        folder = Path(os.path.realpath(path.parent, strict=True))
        if not path.is_absolute() or not hass.config.is_allowed_path(str(folder)):
            raise SaveError("path_not_allowed", filename=filename[:200])
        if not _allows_metadata(hass, folder):
            content = strip_metadata(content, content_type)
        _write_file(folder, path.name, content, overwrite=overwrite, backups=backup_state(hass))
    except FileExistsError as err:
        raise SaveError("file_exists", filename=filename[:200]) from err
    except FileNotFoundError as err:
        raise SaveError("folder_missing", filename=filename[:200]) from err
    except OSError as err:
        if err.errno == errno.ELOOP:
            raise SaveError("path_not_allowed", filename=filename[:200]) from err
        _LOGGER.warning("Failed to write %r: %s", filename[:200], err)
        raise SaveError("save_failed", filename=filename[:200]) from err
    except (ValueError, ImageContentError) as err:
        _LOGGER.warning("Failed to write %r: %s", filename[:200], err)
        raise SaveError("save_failed", filename=filename[:200]) from err


def _allows_metadata(hass: HomeAssistant, folder: Path) -> bool:
    """Return whether a folder is in a media directory, which only users who log in can read."""
    media = [Path(os.path.realpath(directory)) for directory in hass.config.media_dirs.values()]
    public = Path(os.path.realpath(hass.config.path("www")))
    return any(map(folder.is_relative_to, media)) and not folder.is_relative_to(public)


@contextmanager
def _open_folder(folder: Path) -> Generator[int]:
    """Open an absolute folder whose path has no symbolic links. Raises OSError."""
    descriptor = os.open(folder.anchor, _FOLDER)
    try:
        for name in folder.parts[1:]:
            below = os.open(name, _FOLDER, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
        yield descriptor
    finally:
        os.close(descriptor)


def _write_file(
    folder: Path, name: str, content: bytes, *, overwrite: bool, backups: BackupState
) -> None:
    """Write a temporary file, then rename it. Raises OSError."""
    part = f".{secrets.token_hex(8)}.part"
    keep_part = backups.active
    with _open_folder(folder) as descriptor:
        _check_target(descriptor, name, overwrite=overwrite)
        file = os.open(part, _NEW, 0o644, dir_fd=descriptor)
        try:
            with os.fdopen(file, "wb") as stream:
                stream.write(content)
                stream.flush()
                sync(stream.fileno())
            if not overwrite and _link_file(descriptor, part, name):
                return
            _check_target(descriptor, name, overwrite=overwrite)
            move_into_place(part, name, dir_fd=descriptor, keep_part=keep_part)
        finally:
            with suppress(OSError):
                if keep_part:
                    backups.remove_file(folder / part)
                else:
                    os.unlink(part, dir_fd=descriptor)


def _check_target(folder: int, name: str, *, overwrite: bool) -> None:
    """Raise OSError if something with this name exists that must not be replaced."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return
    if stat.S_ISLNK(found.st_mode):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not overwrite or not stat.S_ISREG(found.st_mode):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))


def _link_file(folder: int, part: str, name: str) -> bool:
    """Link a file to a new name. Returns False if the file system has no hard links.

    Raises FileExistsError if the name exists.
    """
    try:
        os.link(part, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except OSError as err:
        if err.errno in _NO_LINKS:
            return False
        raise
    return True
