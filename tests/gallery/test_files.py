"""Tests of files, which are complete or absent and never outside the gallery."""

import errno
import os
from pathlib import Path

import pytest

from custom_components.gaze.gallery import GalleryError, ImageGoneError
from custom_components.gaze.gallery.files import Files, Listing

from .pictures import names

OUTSIDE = "../secret.png"


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "media" / "gaze")


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """Return a file outside the root that must be neither read nor changed."""
    path = tmp_path / "secret.png"
    path.write_bytes(b"secret")
    return path


def test_written_file_is_read(files: Files) -> None:
    files.write("cats/a.png", b"first")
    files.write("cats/a.png", b"second")

    data, etag = files.read("cats/a.png")

    assert data == b"second"
    assert files.read("cats/a.png", {etag}) == (None, etag)
    assert names(files.root / "cats") == ["a.png"]


@pytest.mark.parametrize(
    "path",
    [
        OUTSIDE,
        "cats/../../../secret.png",
        "cats/..",
        "cats/.",
        "cats/",
        "./a.png",
        "../..",
        "",
        "/etc/passwd",
        "cats/dogs/a.png",
        "a.png",
    ],
)
def test_no_path_leaves_root(files: Files, secret: Path, path: str) -> None:
    files.write("cats/a.png", b"first")

    with pytest.raises(GalleryError):
        files.read(path)
    with pytest.raises(GalleryError):
        files.write(path, b"other")
    files.remove(path)

    assert secret.read_bytes() == b"secret"
    assert files.read("cats/a.png")[0] == b"first"


def test_link_instead_of_image_is_not_followed(files: Files, secret: Path) -> None:
    files.write("cats/a.png", b"first")
    (files.root / "cats" / "a.png").unlink()
    (files.root / "cats" / "a.png").symlink_to(secret)

    with pytest.raises(ImageGoneError):
        files.read("cats/a.png")
    assert files.present() == Listing()
    files.write("cats/a.png", b"again")

    assert files.read("cats/a.png")[0] == b"again"
    assert secret.read_bytes() == b"secret"


def test_link_instead_of_folder_is_not_followed(files: Files, secret: Path) -> None:
    files.write("dogs/a.png", b"first")
    (files.root / "cats").symlink_to(secret.parent, target_is_directory=True)

    with pytest.raises(GalleryError, match="its folder is a link"):
        files.read("cats/secret.png")
    with pytest.raises(GalleryError, match="cannot be saved"):
        files.write("cats/secret.png", b"other")
    with pytest.raises(GalleryError, match="its folder is a link"):
        files.remove("cats/secret.png")
    files.remove_parts()

    assert files.present() == Listing(paths=frozenset({"dogs/a.png"}))
    assert secret.read_bytes() == b"secret"


def test_removal_through_link_leaves_other_folder(files: Files, tmp_path: Path) -> None:
    files.write("cats/a.png", b"first")
    empty = tmp_path / "empty"
    empty.mkdir()

    files.remove(os.path.relpath(empty / "a.png", files.root))

    assert empty.is_dir()


def test_impossible_file_name_is_missing(files: Files) -> None:
    files.write("cats/a.png", b"first")

    for path in ("cats/a\0.png", "cats\0/a.png"):
        with pytest.raises(ImageGoneError):
            files.read(path)
        files.remove(path)


def test_root_may_be_link(files: Files, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    files.root.parent.mkdir()
    files.root.symlink_to(tmp_path / "disk", target_is_directory=True)

    files.write("cats/a.png", b"first")

    assert (tmp_path / "disk" / "cats" / "a.png").read_bytes() == b"first"


@pytest.mark.parametrize("kind", ["folder", "pipe", "empty", "missing"])
def test_path_that_is_no_file_is_missing(files: Files, kind: str) -> None:
    files.write("cats/b.png", b"other")
    path = files.root / "cats" / "a.png"
    match kind:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "empty":
            path.touch()

    with pytest.raises(ImageGoneError):
        files.read("cats/a.png")
    with pytest.raises(ImageGoneError):
        files.changed_at("cats/a.png")


def test_image_on_missing_disk_is_not_missing(files: Files) -> None:
    with pytest.raises(GalleryError, match="cannot be read") as raised:
        files.read("cats/a.png")

    assert not isinstance(raised.value, ImageGoneError)


def test_oversized_file_is_not_read(files: Files) -> None:
    files.write("cats/a.png", b"first")
    os.truncate(files.root / "cats" / "a.png", 64 * 2**20 + 1)

    with pytest.raises(GalleryError, match="too large"):
        files.read("cats/a.png")


def test_full_disk_leaves_no_partial_file(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    files.write("cats/a.png", b"first")

    def full(_file: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(GalleryError, match="No space left on device"):
        files.write("cats/a.png", b"second")
    assert names(files.root / "cats") == ["a.png"]
    assert files.read("cats/a.png")[0] == b"first"


def test_read_only_disk_raises_error(files: Files) -> None:
    files.root.parent.mkdir()
    files.root.write_bytes(b"a file where a folder should be")

    with pytest.raises(GalleryError, match="cannot be saved"):
        files.write("cats/a.png", b"first")


def test_failed_removal_raises_error(files: Files) -> None:
    files.write("cats/a.png/b.png".rpartition("/")[0], b"first")
    (files.root / "cats" / "a.png").unlink()
    (files.root / "cats" / "a.png").mkdir()

    with pytest.raises(GalleryError, match="cannot be removed"):
        files.remove("cats/a.png")


def test_failed_read_raises_error(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    files.write("cats/a.png", b"first")

    def broken(_file: int) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "dup", broken)

    with pytest.raises(GalleryError, match="Input/output error") as raised:
        files.read("cats/a.png")
    assert not isinstance(raised.value, ImageGoneError)


def test_folder_is_removed_with_last_image(files: Files) -> None:
    files.write("cats/a.png", b"first")
    files.write("cats/b.png", b"second")

    files.remove("cats/a.png")
    assert (files.root / "cats").is_dir()
    files.remove("cats/b.png")
    files.remove("cats/b.png")

    assert not (files.root / "cats").exists()


def test_partial_files_are_removed(files: Files) -> None:
    files.write("cats/a.png", b"first")
    (files.root / "cats" / ".b.png.part").write_bytes(b"half")

    files.remove_parts()

    assert names(files.root / "cats") == ["a.png"]


def test_only_external_changes_are_noticed(files: Files) -> None:
    files.present()
    files.write("cats/a.png", b"first")
    files.write("cats/b.png", b"second")
    files.write("dogs/c.png", b"third")
    files.remove("cats/a.png")
    assert not files.changed()

    (files.root / "cats" / "b.png").unlink()
    assert files.changed()
    assert files.present() == Listing(paths=frozenset({"dogs/c.png"}))
    assert not files.changed()

    (files.root / "cats" / "d.png").touch()
    files.write("cats/e.png", b"fourth")
    assert files.changed()
