"""The picture files of a gallery on disk. Blocks: call it in the executor.

Files lie at `<root>/<folder>/<name>`. The root may be a link to elsewhere, as people have them
to other disks; below it no link is followed and nothing but a regular file is read.
"""

from collections.abc import Collection, Generator
from contextlib import contextmanager, suppress
import errno
import os
from pathlib import Path
import stat
from typing import Final

from .errors import GalleryError, ImageGoneError

MAX_BYTES: Final = 64 * 2**20
_PART: Final = ".part"
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# The file, or the folder it was in, was removed or replaced by something that is no picture.
_GONE: Final = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ELOOP))


class Files:
    """The files below one root. Not for two threads at once, but for reading."""

    def __init__(self, root: Path) -> None:
        """Use a root, which need not exist."""
        self.root = root
        self._seen: dict[str, int] = {}  # when folders last changed, in ns, as far as we know

    def write(self, path: str, content: bytes) -> None:
        """Write a file so that it is complete or absent, also after a power cut.

        Raises GalleryError.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with self._changing(path, create=True) as (folder, name):
                _write_aside(folder, name, content)
                os.fsync(folder)
        except OSError as err:
            raise GalleryError(f"the picture cannot be kept: {reason(err)}") from err

    def read(self, path: str, known: Collection[str] = ()) -> tuple[bytes | None, str]:
        """Return a file's bytes and its ETag; no bytes where the ETag is among those known.

        Raises ImageGoneError, GalleryError.
        """
        with self._reading(path) as (file, found):
            etag = etag_of(found)
            if etag in known:
                return None, etag
            if found.st_size > MAX_BYTES:
                raise GalleryError("the picture cannot be read: it is too large")
            with os.fdopen(os.dup(file), "rb") as stream:
                return stream.read(MAX_BYTES), etag

    def changed_at(self, path: str) -> int:
        """Return when a file was last changed, in ns. Raises ImageGoneError, GalleryError."""
        with self._reading(path) as (_, found):
            return found.st_mtime_ns

    def exists(self, path: str) -> bool:
        """Return whether there is anything with this name."""
        return os.path.lexists(self.root / path)

    def remove(self, path: str) -> None:
        """Remove a file, and its folder with the last one. Raises GalleryError where it stays."""
        try:
            with self._changing(path) as (folder, name), suppress(FileNotFoundError):
                os.unlink(name, dir_fd=folder)
        except OSError as err:
            if err.errno not in _GONE:
                raise GalleryError(f"the picture cannot be removed: {reason(err)}") from err
            return  # a path that leads elsewhere, for one: nothing there is ours
        with suppress(OSError):
            (self.root / path).parent.rmdir()

    def remove_parts(self) -> None:
        """Remove what interrupted writes left behind."""
        for name in self._folders():
            with suppress(OSError), self._folder(name) as folder:
                for part in os.listdir(folder):  # noqa: PTH208 - an open folder has no path
                    if part.startswith(".") and part.endswith(_PART):
                        os.unlink(part, dir_fd=folder)

    def changed(self) -> bool:
        """Return whether somebody else may have removed files since `present` was asked."""
        return self._folders() != self._seen

    def present(self) -> frozenset[str] | None:
        """Return the paths of all files, or None where the root is not there.

        A root that is not there is more likely a disk that is not mounted than a gallery
        that somebody emptied.
        """
        if not self.root.is_dir():
            return None
        self._seen = self._folders()
        paths: set[str] = set()
        for name in self._seen:
            with suppress(OSError), self._folder(name) as folder, os.scandir(folder) as found:
                paths.update(
                    f"{name}/{entry.name}"
                    for entry in found
                    if entry.is_file(follow_symlinks=False)
                )
        return frozenset(paths)

    def _folders(self) -> dict[str, int]:
        """Return when each folder was last changed, in ns."""
        try:
            with os.scandir(self.root) as found:
                return {
                    entry.name: entry.stat(follow_symlinks=False).st_mtime_ns
                    for entry in found
                    if entry.is_dir(follow_symlinks=False)
                }
        except OSError:
            return {}

    @contextmanager
    def _folder(self, name: str, *, create: bool = False) -> Generator[int]:
        """Open a folder below the root."""
        _check_name(name)
        root = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if create:
                with suppress(FileExistsError):
                    os.mkdir(name, dir_fd=root)
            folder = os.open(name, _FOLDER, dir_fd=root)
        finally:
            os.close(root)
        try:
            yield folder
        finally:
            os.close(folder)

    @contextmanager
    def _changing(self, path: str, *, create: bool = False) -> Generator[tuple[int, str]]:
        """Open a file's folder and keep in mind that a change of it is our own."""
        folder_name, _, name = path.partition("/")
        _check_name(name)
        known = not self.exists(folder_name)
        with self._folder(folder_name, create=create) as folder:
            known = known or self._seen.get(folder_name) == os.fstat(folder).st_mtime_ns
            yield folder, name
            if known:
                self._seen[folder_name] = os.fstat(folder).st_mtime_ns

    @contextmanager
    def _reading(self, path: str) -> Generator[tuple[int, os.stat_result]]:
        """Open a file for reading. Raises ImageGoneError, GalleryError."""
        folder_name, _, name = path.partition("/")
        try:
            _check_name(name)
            with self._folder(folder_name) as folder:
                file = os.open(name, _READ, dir_fd=folder)
        except OSError as err:
            if err.errno in _GONE and self.root.is_dir():
                raise ImageGoneError("the picture was deleted") from err
            raise GalleryError(f"the picture cannot be read: {reason(err)}") from err
        try:
            found = os.fstat(file)
            if not stat.S_ISREG(found.st_mode) or found.st_size == 0:
                raise ImageGoneError("the picture was replaced by something else")
            yield file, found
        except OSError as err:
            raise GalleryError(f"the picture cannot be read: {reason(err)}") from err
        finally:
            os.close(file)


def etag_of(found: os.stat_result) -> str:
    """Return what names this content of a file, without the quotes of the header."""
    return f"{found.st_mtime_ns:x}-{found.st_size:x}"


def reason(err: OSError) -> str:
    """Return the cause without paths."""
    return err.strerror or type(err).__name__


def _check_name(name: str) -> None:
    """Refuse what is no plain name of a file or folder."""
    if name in {"", ".", ".."} or "/" in name or "\0" in name:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))


def _write_aside(folder: int, name: str, content: bytes) -> None:
    """Write a file beside its place, then put it there."""
    part = f".{name}{_PART}"
    with suppress(FileNotFoundError):
        os.unlink(part, dir_fd=folder)
    file = os.open(part, _WRITE, 0o644, dir_fd=folder)
    try:
        with os.fdopen(file, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(part, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        with suppress(OSError):
            os.unlink(part, dir_fd=folder)
        raise
