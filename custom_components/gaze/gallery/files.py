"""The image files of a gallery on disk. Blocks: call it in the executor.

Files lie at `<root>/<folder>/<name>`. The root may be a symbolic link, for example to another
disk. Below it, links are not followed, and only regular files are read.

A root in a media folder has a marker file with an ID. An image counts as deleted only if its
root has the expected marker, because the empty folder of a disk that is not mounted has none.
"""

from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
import errno
import os
from pathlib import Path
import stat
import time
from typing import Final

import orjson

from ..backup_state import move_into_place
from .errors import GalleryError, GalleryUnavailableError, ImageGoneError

MARKER: Final = ".gaze.json"
PROBE: Final = ".gaze.probe"
MAX_BYTES: Final = 64 * 2**20
_MAX_MARKER: Final = 4096
_PART: Final = ".part"
_ROOT: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FOLDER: Final = _ROOT | os.O_NOFOLLOW
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# The file, or the folder it was in, was removed or replaced by something that is no image.
_GONE: Final = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ELOOP))
# The file system does not know `fsync`, or not for folders: FUSE, SMB, and others.
_NO_FSYNC: Final = frozenset(
    (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF)
)
_FULL: Final = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
_SECOND: Final = 1_000_000_000
_COARSE: Final = 2 * _SECOND  # the resolution of FAT's time stamps


@dataclass(frozen=True, kw_only=True, slots=True)
class Marker:
    """The content of the marker file of a root.

    gallery: the ID of the folder. server: a text that identifies the server without its address.
    """

    gallery: str
    server: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """The files below a root, and the folders that could not be read."""

    paths: frozenset[str] = frozenset()
    unreadable: frozenset[str] = frozenset()

    def missing(self, paths: Iterable[str]) -> set[str]:
        """Return which of the files are definitely missing.

        A file system that ignores case may list a file under another spelling.
        """
        candidates = {
            path
            for path in paths
            if path not in self.paths and path.partition("/")[0] not in self.unreadable
        }
        if candidates:
            spellings = {path.casefold() for path in self.paths}
            candidates = {path for path in candidates if path.casefold() not in spellings}
        return candidates


class Files:
    """The files below one root. Only reading is safe in several threads at once."""

    def __init__(self, root: Path, marker: str | None = None) -> None:
        """Use a root.

        With the ID of a marker, the root must have it. Without one, the root is created when
        it is needed.
        """
        self.root = root
        self.marker = marker
        self._seen: dict[str, int] | None = {}  # when folders last changed, in ns; 0: unknown

    def write(
        self, path: str, content: bytes, *, keep_part: Callable[[], bool] = lambda: False
    ) -> None:
        """Write a file so that it is complete or missing, even after a power cut.

        keep_part: whether to leave the temporary file for `remove_parts`, because a backup may have
        listed it. Called when the file is complete: a backup may have begun by then.

        Raises GalleryUnavailableError or another GalleryError.
        """
        try:
            if self.marker is None:
                self.root.mkdir(parents=True, exist_ok=True)
            with self._changing(path, create=True) as (folder, name):
                _write_aside(folder, name, content, keep_part=keep_part)
                sync(folder)
        except OSError as err:
            with suppress(OSError):
                (self.root / path).parent.rmdir()  # if it is empty
            raise _unwritable(err) from err

    def probe(self) -> None:
        """Validate that files can be written. Raises what `write` raises."""
        try:
            with self._open_root() as root:
                _write_aside(root, PROBE, b"GAZE")
                os.unlink(PROBE, dir_fd=root)
        except OSError as err:
            raise _unwritable(err) from err

    def read(self, path: str, known: Collection[str] = ()) -> tuple[bytes | None, str]:
        """Return a file's bytes and its ETag, without bytes if the ETag is among those known.

        Raises ImageGoneError, GalleryUnavailableError, or another GalleryError.
        """
        with self._reading(path) as (file, found):
            etag = etag_of(found)
            if etag in known:
                return None, etag
            if found.st_size > MAX_BYTES:
                raise GalleryError("the image cannot be read: it is too large")
            with os.fdopen(os.dup(file), "rb") as stream:
                return stream.read(MAX_BYTES), etag

    def read_head(self, path: str, limit: int) -> tuple[bytes, int]:
        """Return the beginning of a file, and its size. Raises what `read` raises."""
        with self._reading(path) as (file, found), os.fdopen(os.dup(file), "rb") as stream:
            return stream.read(limit), found.st_size

    def changed_at(self, path: str) -> int:
        """Return when a file was last changed, in ns. Raises what `read` raises."""
        with self._reading(path) as (_, found):
            return found.st_mtime_ns

    def exists(self, path: str) -> bool:
        """Return whether this path exists."""
        return os.path.lexists(self.root / path)

    def can_hold(self, folder: str) -> bool:
        """Return whether a folder with this name exists or can be created."""
        return _mode(self.root / folder) in {0, stat.S_IFDIR}

    def can_write(self, path: str) -> bool:
        """Return whether a file with this path exists or can be created."""
        return _mode(self.root / path) in {0, stat.S_IFREG}

    def remove(self, path: str) -> None:
        """Remove a file, and its folder if that is then empty.

        Raises GalleryUnavailableError or another GalleryError if the file might still exist.
        """
        try:
            with self._changing(path) as (folder, name), suppress(FileNotFoundError):
                os.unlink(name, dir_fd=folder)
        except OSError as err:
            if self._is_link(path):  # the file may be where it leads to
                raise GalleryError("the image cannot be removed: its folder is a link") from err
            if err.errno not in _GONE:
                raise GalleryError(f"the image cannot be removed: {reason(err)}") from err
            return
        with suppress(OSError):
            (self.root / path).parent.rmdir()

    def remove_parts(self) -> None:
        """Remove the temporary files of interrupted writes."""
        with suppress(GalleryError, OSError), self._open_root() as root:
            for name in _folders(root):
                with suppress(OSError), _open_folder(root, name) as folder:
                    for part in os.listdir(folder):  # noqa: PTH208 - an open folder has no path
                        if part.startswith(".") and part.endswith(_PART):
                            os.unlink(part, dir_fd=folder)

    def changed(self) -> bool:
        """Return whether others might have changed files since the last call of `present`.

        Return False if the root is unreadable.
        """
        try:
            with self._open_root() as root:
                folders = _folders(root)
        except FileNotFoundError:
            return bool(self._seen)
        except GalleryError, OSError:
            self._seen = None  # look again when it is back
            return False
        return self._seen is None or 0 in self._seen.values() or folders != self._seen

    def present(self) -> Listing | None:
        """Return the files, or None if the root is unreadable.

        A missing root that needs no marker has no files.
        """
        try:
            with self._open_root() as root:
                found = _folders(root)
                now = time.time_ns()
                self._seen = {name: _settled(changed, now) for name, changed in found.items()}
                return _list_folders(root, found)
        except FileNotFoundError:
            self._seen = {}
            return Listing()
        except GalleryError, OSError:
            self._seen = None
            return None

    def confirm_missing(self, paths: Collection[str]) -> set[str]:
        """Return which of the files are missing. Looks for each by its name.

        Return none if the root is unreadable. Network shares may list a folder incompletely.
        """
        missing: set[str] = set()
        try:
            with self._open_root() as root:
                for path in paths:
                    try:
                        for name in path.split("/"):
                            _check_name(name)
                        os.stat(path, dir_fd=root, follow_symlinks=False)
                    except FileNotFoundError, NotADirectoryError:
                        missing.add(path)
                    except OSError:
                        continue  # it is there, or that is unknown
                _validate_root(root, self.marker)
        except FileNotFoundError:  # a root that needs no marker
            return set(paths)
        except GalleryError, OSError:
            return set()
        return missing

    @contextmanager
    def _open_root(self) -> Generator[int]:
        """Open the root and validate its marker.

        An open folder stays on its disk, even if another disk is mounted in its place.
        Raises GalleryUnavailableError, OSError.
        """
        try:
            root = os.open(self.root, _ROOT)
        except OSError as err:
            if self.marker is None:
                raise
            raise _unavailable(err) from err
        try:
            _validate_root(root, self.marker)
            yield root
        finally:
            os.close(root)

    @contextmanager
    def _changing(self, path: str, *, create: bool = False) -> Generator[tuple[int, str]]:
        """Open the folder of a file for a change. `changed` ignores this change."""
        folder_name, _, name = path.partition("/")
        _check_name(folder_name)
        _check_name(name)
        with self._open_root() as root:
            created = create and _create_folder(root, folder_name)
            with _open_folder(root, folder_name) as folder:
                seen = {} if self._seen is None else self._seen
                before = modified_ns(os.fstat(folder))
                known = created or seen.get(folder_name) == before
                yield folder, name
                if known and self._seen is not None:
                    changed = modified_ns(os.fstat(folder))
                    self._seen[folder_name] = _settled(changed, time.time_ns())

    def _is_link(self, path: str) -> bool:
        """Return whether the folder of a file is a link."""
        return (self.root / path.partition("/")[0]).is_symlink()

    @contextmanager
    def _reading(self, path: str) -> Generator[tuple[int, os.stat_result]]:
        """Open a file for reading. Raises what `read` raises."""
        folder_name, _, name = path.partition("/")
        try:
            _check_name(folder_name)
            _check_name(name)
            with self._open_root() as root, _open_folder(root, folder_name) as folder:
                file = os.open(name, _READ, dir_fd=folder)
        except OSError as err:
            if self._is_link(path):  # the file may be where it leads to
                raise GalleryError("the image cannot be read: its folder is a link") from err
            if err.errno in _GONE and (self.marker is not None or self.root.is_dir()):
                raise ImageGoneError("the image was deleted") from err
            raise GalleryError(f"the image cannot be read: {reason(err)}") from err
        try:
            found = os.fstat(file)
            if not stat.S_ISREG(found.st_mode) or found.st_size == 0:
                raise ImageGoneError("the image was replaced by something else")
            yield file, found
        except OSError as err:
            raise GalleryError(f"the image cannot be read: {reason(err)}") from err
        finally:
            os.close(file)


def read_marker(root: Path) -> Marker | None:
    """Return the marker of a root, or None if it has none.

    Raises GalleryUnavailableError if the root is unreadable.
    """
    try:
        folder = os.open(root, _ROOT)
    except OSError as err:
        if err.errno in _GONE:
            return None
        raise _unavailable(err) from err
    try:
        return _read_marker(folder)
    except FileNotFoundError:
        return None
    except OSError as err:
        raise _unavailable(err) from err
    finally:
        os.close(folder)


def write_marker(root: Path, marker: Marker) -> None:
    """Create a root with a marker. Raises GalleryError."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        content = orjson.dumps({"gallery": marker.gallery, "server": marker.server})
        folder = os.open(root, _ROOT)
        try:
            _write_aside(folder, MARKER, content)
            sync(folder)
        finally:
            os.close(folder)
    except OSError as err:
        raise _unwritable(err) from err


def etag_of(found: os.stat_result) -> str:
    """Return the ETag of a file, without the quotes of the header."""
    return f"{found.st_mtime_ns:x}-{found.st_size:x}"


def modified_ns(found: os.stat_result) -> int:
    """Return when a file or folder was last changed, according to its file system."""
    return found.st_mtime_ns


def reason(err: OSError) -> str:
    """Return the cause without paths."""
    return err.strerror or type(err).__name__


def _unavailable(err: OSError) -> GalleryUnavailableError:
    """Return the error for a root that cannot be opened or read."""
    if err.errno in _GONE:
        return GalleryUnavailableError("missing", "the folder of the images is not there")
    return GalleryUnavailableError(
        "unreadable", f"the folder of the images cannot be read: {reason(err)}"
    )


def _unwritable(err: OSError) -> GalleryUnavailableError:
    """Return the error for a disk that cannot be written."""
    cause = "full" if err.errno in _FULL else "unwritable"
    return GalleryUnavailableError(cause, f"the image cannot be saved: {reason(err)}")


def _mode(path: Path) -> int:
    """Return the file type of a path, or 0 if it is missing or unreadable."""
    try:
        return stat.S_IFMT(path.lstat().st_mode)
    except OSError:
        return 0


def _validate_root(root: int, expected: str | None) -> None:
    """Raise GalleryUnavailableError unless an open root has the expected marker, if any."""
    if expected is None:
        return
    try:
        found = _read_marker(root)
    except OSError as err:
        raise _unavailable(err) from err
    if found is None or found.gallery != expected:
        raise GalleryUnavailableError("missing", "the folder of the images is another one")


def _read_marker(root: int) -> Marker | None:
    """Return the marker of an open root, or None if it is invalid."""
    file = os.open(MARKER, _READ, dir_fd=root)
    with os.fdopen(file, "rb") as stream:
        content = stream.read(_MAX_MARKER)
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(found, Mapping) or not isinstance(gallery := found.get("gallery"), str):
        return None
    return Marker(gallery=gallery, server=str(found.get("server", "")))


def _folders(root: int) -> dict[str, int]:
    """Return when each folder of an open root was last changed, in ns; 0 if that is unknown."""
    folders: dict[str, int] = {}
    with os.scandir(root) as found:
        for entry in found:
            try:
                if entry.is_dir(follow_symlinks=False):
                    folders[entry.name] = modified_ns(entry.stat(follow_symlinks=False))
            except OSError:
                folders[entry.name] = 0
    return folders


def _list_folders(root: int, names: Collection[str]) -> Listing:
    """Return the files in the folders of an open root."""
    paths: set[str] = set()
    unreadable: set[str] = set()
    for name in names:
        try:
            with _open_folder(root, name) as folder, os.scandir(folder) as found:
                paths.update(
                    f"{name}/{entry.name}"
                    for entry in found
                    if entry.is_file(follow_symlinks=False)
                )
        except OSError:
            unreadable.add(name)
    return Listing(paths=frozenset(paths), unreadable=frozenset(unreadable))


def _settled(changed: int, now: int) -> int:
    """Return when a folder changed, or 0 if it may change again under the same time stamp.

    File systems with coarse time stamps have full seconds only.
    """
    if changed % _SECOND == 0 and now - changed <= _COARSE:
        return 0
    return changed


@contextmanager
def _open_folder(root: int, name: str) -> Generator[int]:
    """Open a folder of an open root."""
    _check_name(name)
    folder = os.open(name, _FOLDER, dir_fd=root)
    try:
        yield folder
    finally:
        os.close(folder)


def _create_folder(root: int, name: str) -> bool:
    """Create a folder in an open root; return whether it is new."""
    try:
        os.mkdir(name, dir_fd=root)
    except FileExistsError:
        return False
    return True


def _check_name(name: str) -> None:
    """Raise FileNotFoundError unless this is a plain name of a file or folder."""
    if name in {"", ".", ".."} or "/" in name or "\0" in name:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))


def sync(file: int) -> None:
    """Wait until a file or folder is on disk, if its file system can do that."""
    try:
        os.fsync(file)
    except OSError as err:
        if err.errno not in _NO_FSYNC:
            raise


def _write_aside(
    folder: int, name: str, content: bytes, *, keep_part: Callable[[], bool] = lambda: False
) -> None:
    """Write a file beside its place, then move it there."""
    part = f".{name}{_PART}"
    with suppress(FileNotFoundError):
        os.unlink(part, dir_fd=folder)
    file = os.open(part, _WRITE, 0o644, dir_fd=folder)
    try:
        with os.fdopen(file, "wb") as stream:
            stream.write(content)
            stream.flush()
            sync(stream.fileno())
        move_into_place(part, name, dir_fd=folder, keep_part=keep_part())
    except OSError:
        with suppress(OSError):
            os.unlink(part, dir_fd=folder)
        raise
