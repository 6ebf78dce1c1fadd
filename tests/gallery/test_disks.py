"""Tests that nothing is lost on missing, unreadable, replaced, and unusual disks."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
import errno
import os
from pathlib import Path
import shutil
import sqlite3
from typing import Any

from homeassistant.core import HomeAssistant
import pytest

from custom_components.gaze.gallery import (
    Gallery,
    GalleryError,
    GalleryOptions,
    GalleryUnavailableError,
    Image,
    ImageGoneError,
    Selection,
    files as files_module,
)
from custom_components.gaze.gallery.files import MARKER, read_marker, write_marker

from .conftest import ENTRY_ID, OpenGallery
from .pictures import MADE_AT, image, names, picture, picture_with_text, put


async def _add(gallery: Gallery, *numbers: int, **changes: str) -> list[Image]:
    return [
        await gallery.async_add(
            image(f"{number:08}", made_at=MADE_AT + number, **changes), picture(shade=number)
        )
        for number in numbers
    ]


async def _listed(gallery: Gallery) -> list[str]:
    return [found.job_id for found in await gallery.async_select(Selection())]


def _reason(gallery: Gallery) -> str | None:
    return gallery.unavailable_reason


# What a disk or share says that has trouble. None of it means that a file was deleted.
UNKNOWN = [
    errno.EIO,
    errno.ESTALE,
    errno.EACCES,
    errno.ENOTCONN,
    errno.ETIMEDOUT,
    errno.EHOSTDOWN,
    errno.ENODEV,
    errno.EPERM,
]


@contextmanager
def _failing(
    monkeypatch: pytest.MonkeyPatch, function: str, name: str, code: int
) -> Iterator[None]:
    """Let a function of the operating system fail for one file or folder."""
    original = getattr(os, function)

    def fail(path: object, *arguments: object, **options: object) -> object:
        if not isinstance(path, int) and Path(str(path)).name == name:
            raise OSError(code, os.strerror(code))
        return original(path, *arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(os, function, fail)
        yield


def _unmount(folder: Path, level: int, tmp_path: Path, *, mount_point: bool) -> Path:
    """Unmount the disk at the folder or above it. Returns where it is now."""
    mounted = [folder, *folder.parents][level]
    away = tmp_path / "away"
    shutil.move(mounted, away)
    if mount_point:
        mounted.mkdir()
    return away


def _mount(folder: Path, level: int, away: Path) -> None:
    mounted = [folder, *folder.parents][level]
    if mounted.exists():
        mounted.rmdir()
    shutil.move(away, mounted)


LEVELS = pytest.mark.parametrize("level", [0, 1, 2], ids=["gallery", "gaze", "media"])


@LEVELS
@pytest.mark.parametrize("mount_point", [True, False], ids=["empty mount point", "no folder"])
async def test_nothing_is_lost_or_written_while_share_is_missing(
    gallery: Gallery, folder: Path, tmp_path: Path, level: int, mount_point: bool
) -> None:
    kept = await _add(gallery, *range(8))
    away = _unmount(folder, level, tmp_path, mount_point=mount_point)

    with pytest.raises(GalleryUnavailableError):
        await _add(gallery, 8)

    assert _reason(gallery) == "missing"
    assert names(folder) == []
    assert len(await _listed(gallery)) == gallery.count == 8
    with pytest.raises(GalleryUnavailableError):
        await gallery.async_read(kept[0])
    with pytest.raises(GalleryUnavailableError):
        await gallery.async_file(kept[0])
    with pytest.raises(GalleryUnavailableError):
        await gallery.async_delete(kept)

    _mount(folder, level, away)
    await _add(gallery, 8)

    assert _reason(gallery) is None
    assert len(await _listed(gallery)) == gallery.count == 9
    assert await gallery.async_read(kept[0]) == picture(shade=0)


@LEVELS
async def test_nothing_is_lost_when_share_is_missing_at_start(
    open_gallery: OpenGallery, folder: Path, tmp_path: Path, level: int
) -> None:
    kept = await _add(await open_gallery(), 1, 2)
    away = _unmount(folder, level, tmp_path, mount_point=True)

    gallery = await open_gallery()
    assert _reason(gallery) == "missing"
    assert await _listed(gallery) == ["00000002", "00000001"]
    with pytest.raises(GalleryUnavailableError):
        await _add(gallery, 3)
    _mount(folder, level, away)
    await gallery.async_check()

    assert _reason(gallery) is None
    assert await gallery.async_read(kept[0]) == picture(shade=1)


async def test_retention_removes_nothing_while_share_is_missing(
    open_gallery: OpenGallery, folder: Path, tmp_path: Path
) -> None:
    await _add(await open_gallery(), *range(5))
    away = _unmount(folder, 0, tmp_path, mount_point=True)

    gallery = await open_gallery(GalleryOptions(keep_images=2))
    assert gallery.count == 5
    _mount(folder, 0, away)
    gallery = await open_gallery(GalleryOptions(keep_images=2))

    assert await _listed(gallery) == ["00000004", "00000003"]


async def test_first_share_is_used_when_no_image_was_saved(gallery: Gallery, folder: Path) -> None:
    assert _reason(gallery) is None
    assert not folder.exists()

    await _add(gallery, 1)

    assert (folder / MARKER).is_file()


async def test_marker_is_expected_after_all_images_are_deleted(
    gallery: Gallery, folder: Path, tmp_path: Path
) -> None:
    await gallery.async_delete(await _add(gallery, 1))
    _unmount(folder, 0, tmp_path, mount_point=True)

    with pytest.raises(GalleryUnavailableError):
        await _add(gallery, 2)

    assert names(folder) == []


async def test_change_of_availability_is_reported(
    open_gallery: OpenGallery, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reasons: list[str | None] = []
    gallery: Gallery
    gallery = await open_gallery(None, lambda: reasons.append(_reason(gallery)))
    await _add(gallery, 1)
    away = _unmount(folder, 0, tmp_path, mount_point=True)

    await gallery.async_check()
    await gallery.async_check()
    _mount(folder, 0, away)
    await gallery.async_check()

    assert reasons == ["missing", None]
    assert caplog.text.count("Images cannot be saved at the moment") == 1


@pytest.mark.parametrize("code", UNKNOWN)
async def test_unreadable_folder_means_unknown(
    gallery: Gallery, folder: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    cats = await _add(gallery, 1, preset="cats")
    dogs = await _add(gallery, 2, preset="dogs")
    (folder / dogs[0].path).unlink()

    with _failing(monkeypatch, "open", "cats", code):
        assert await _listed(gallery) == ["00000001"]
        with pytest.raises(GalleryError) as raised:
            await gallery.async_read(cats[0])

    assert not isinstance(raised.value, ImageGoneError)
    assert await gallery.async_read(cats[0]) == picture(shade=1)


@pytest.mark.parametrize("code", UNKNOWN)
async def test_unreadable_root_means_unknown(
    gallery: Gallery, folder: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    [kept] = await _add(gallery, 1)

    with _failing(monkeypatch, "open", folder.name, code):
        await gallery.async_check()
        assert _reason(gallery) == "unreadable"
        assert await _listed(gallery) == ["00000001"]
        with pytest.raises(GalleryUnavailableError):
            await _add(gallery, 2)
        with pytest.raises(GalleryUnavailableError):
            await gallery.async_delete([kept])

    assert await gallery.async_read(kept) == picture(shade=1)
    await _add(gallery, 2)
    assert _reason(gallery) is None


@pytest.mark.parametrize("code", UNKNOWN)
async def test_unreadable_marker_means_unknown(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    await _add(gallery, 1)

    with _failing(monkeypatch, "open", MARKER, code):
        with pytest.raises(GalleryUnavailableError):
            await _add(gallery, 2)
        assert await _listed(gallery) == ["00000001"]

    assert gallery.count == 1


async def test_deleted_marker_is_written_again_beside_images(
    open_gallery: OpenGallery, folder: Path
) -> None:
    await _add(await open_gallery(), 1)
    (folder / MARKER).unlink()

    gallery = await open_gallery()
    await _add(gallery, 2)

    assert (folder / MARKER).is_file()
    assert await _listed(gallery) == ["00000002", "00000001"]


async def test_deleted_folder_can_be_started_again(open_gallery: OpenGallery, folder: Path) -> None:
    gallery = await open_gallery()
    await _add(gallery, 1, 2)
    shutil.rmtree(folder)
    await gallery.async_check()
    assert _reason(gallery) == "missing"

    await gallery.async_start_again()

    assert _reason(gallery) is None
    assert await _listed(gallery) == []
    await _add(gallery, 3)
    gallery = await open_gallery()
    assert await _listed(gallery) == ["00000003"]


async def test_starting_again_changes_nothing_if_share_is_back(gallery: Gallery) -> None:
    await _add(gallery, 1)

    await gallery.async_start_again()

    assert await _listed(gallery) == ["00000001"]


async def test_new_media_directory_gets_images_and_old_ones_remain(
    hass: HomeAssistant, open_gallery: OpenGallery, media_dir: Path, tmp_path: Path
) -> None:
    [old] = await _add(await open_gallery(), 1)
    other = tmp_path / "other"
    hass.config.media_dirs = {"other": str(other), "local": str(media_dir)}

    gallery = await open_gallery()
    [new] = await _add(gallery, 2)

    assert (other / "gaze" / "gaze" / new.path).is_file()
    assert await _listed(gallery) == ["00000002", "00000001"]
    assert await gallery.async_read(old) == picture(shade=1)
    away = shutil.move(media_dir, tmp_path / "away")
    with pytest.raises(GalleryUnavailableError):
        await gallery.async_read(old)
    with pytest.raises(GalleryUnavailableError):
        await gallery.async_delete([old])
    assert _reason(gallery) is None
    await _add(gallery, 3)
    assert await _listed(gallery) == ["00000003", "00000002", "00000001"]

    shutil.move(away, media_dir)
    hass.config.media_dirs = {"local": str(media_dir)}
    gallery = await open_gallery()
    await _add(gallery, 4)

    assert await gallery.async_read(new) == picture(shade=2)
    assert len(await _listed(gallery)) == 4
    assert len(list((media_dir / "gaze" / "gaze").rglob("*.png"))) == 2


async def test_retention_ignores_images_on_missing_disks(
    hass: HomeAssistant, open_gallery: OpenGallery, media_dir: Path, tmp_path: Path
) -> None:
    await _add(await open_gallery(), 1, 2, 3)
    hass.config.media_dirs = {"other": str(tmp_path / "other")}
    shutil.move(media_dir, tmp_path / "away")

    gallery = await open_gallery(GalleryOptions(keep_images=2))
    await _add(gallery, 4, 5, 6)

    assert [found[-1] for found in await _listed(gallery)] == list("65321")


async def test_moved_folder_is_recognized_by_marker(
    hass: HomeAssistant, open_gallery: OpenGallery, media_dir: Path, tmp_path: Path
) -> None:
    [kept] = await _add(await open_gallery(), 1)
    moved = shutil.move(media_dir, tmp_path / "moved")
    hass.config.media_dirs = {"local": str(moved)}

    gallery = await open_gallery()

    assert await gallery.async_read(kept) == picture(shade=1)
    await _add(gallery, 2)
    assert not media_dir.exists()


# Disks that cannot be written


@pytest.mark.parametrize("function", ["write", "replace", "mkdir"])
@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.EROFS, "unwritable"),
        (errno.EACCES, "unwritable"),
        (errno.EIO, "unwritable"),
        (errno.ENOSPC, "full"),
        (errno.EDQUOT, "full"),
    ],
)
async def test_disk_that_cannot_be_written_is_reported_until_it_can(
    gallery: Gallery,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    function: str,
    code: int,
    reason: str,
) -> None:
    await _add(gallery, 1)

    with monkeypatch.context() as patched:
        _refuse(patched, function, code)
        for _ in range(2):
            with pytest.raises(GalleryUnavailableError):
                await _add(gallery, 2, preset="new")
        await gallery.async_check()
        if function != "mkdir":  # a disk that refuses new folders only is found out when saving
            assert _reason(gallery) == reason
        assert await _listed(gallery) == ["00000001"]
        assert gallery.count == 1
    await gallery.async_check()

    assert _reason(gallery) is None
    assert sorted(names(folder)) == [MARKER, "neon_city"]
    assert len(names(folder / "neon_city")) == 1
    await _add(gallery, 2, preset="new")
    assert await _listed(gallery) == ["00000002", "00000001"]


def _refuse(patched: pytest.MonkeyPatch, function: str, code: int) -> None:
    """Let the operating system refuse to write."""

    def refuse(*_arguments: object, **_options: object) -> None:
        raise OSError(code, os.strerror(code))

    if function == "write":
        original = os.open

        def refuse_new(path: object, flags: int, *arguments: int, **options: int | None) -> int:
            if flags & os.O_CREAT:
                refuse()
            return original(path, flags, *arguments, **options)  # type: ignore[arg-type]

        patched.setattr(os, "open", refuse_new)
    else:
        patched.setattr(os, function, refuse)


async def test_share_that_lists_a_folder_incompletely_loses_nothing(
    gallery: Gallery, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _add(gallery, 1, 2)
    (folder / "neon_city" / "note.txt").touch()  # the folder has changed

    with monkeypatch.context() as patched:
        patched.setattr(files_module, "_list_folders", lambda *_: files_module.Listing())
        assert len(await _listed(gallery)) == 2

    assert len(await _listed(gallery)) == 2


async def test_two_disks_that_were_swapped_keep_their_images(
    hass: HomeAssistant, open_gallery: OpenGallery, media_dir: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    [first] = await _add(await open_gallery(), 1)
    hass.config.media_dirs = {"local": str(other)}
    [second] = await _add(await open_gallery(), 2)

    between = media_dir.rename(tmp_path / "between")
    other.rename(media_dir)
    between.rename(other)
    gallery = await open_gallery()

    assert await gallery.async_read(first) == picture(shade=1)
    assert await gallery.async_read(second) == picture(shade=2)
    hass.config.media_dirs = {"local": str(media_dir)}
    gallery = await open_gallery()
    assert await gallery.async_read(first) == picture(shade=1)
    assert await gallery.async_read(second) == picture(shade=2)
    await _add(gallery, 3)
    assert len(await _listed(gallery)) == 3


async def test_unreadable_earlier_folder_loses_and_delays_nothing(
    hass: HomeAssistant,
    open_gallery: OpenGallery,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    [first] = await _add(await open_gallery(), 1)
    hass.config.media_dirs = {"local": str(tmp_path / "other")}
    await _add(await open_gallery(), 2)
    open_path = os.open

    def fail(path: object, *arguments: Any, **options: Any) -> int:
        if path == folder:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return open_path(path, *arguments, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", fail)
        gallery = await open_gallery(GalleryOptions(keep_images=1))
        await _add(gallery, 3)

        assert _reason(gallery) is None
        assert first.job_id in await _listed(gallery)

    assert await (await open_gallery()).async_read(first) == picture(shade=1)


async def test_images_of_0_1_0_are_not_lost_while_their_disk_is_away(
    hass: HomeAssistant, open_gallery: OpenGallery, folder: Path, tmp_path: Path
) -> None:
    gallery = await open_gallery()
    await _add(gallery, 1)
    await gallery.async_close()
    index = Path(hass.config.path(".storage", f"gaze.{ENTRY_ID}.gallery.db"))
    with closing(sqlite3.connect(index, autocommit=True)) as connection:  # it had no markers
        connection.execute("UPDATE image SET root = ''")
        connection.execute("DELETE FROM root")
    (folder / MARKER).unlink()
    away = folder.rename(tmp_path / "away")

    gallery = await open_gallery()
    [found] = await gallery.async_select(Selection())
    with pytest.raises(GalleryError):
        await gallery.async_read(found)
    assert _reason(gallery) == "missing"
    away.rename(folder)

    gallery = await open_gallery()
    [found] = await gallery.async_select(Selection())
    assert await gallery.async_read(found) == picture(shade=1)


@pytest.mark.parametrize("writable", [True, False])
async def test_marker_follows_address_of_server(
    open_gallery: OpenGallery, folder: Path, monkeypatch: pytest.MonkeyPatch, writable: bool
) -> None:
    [kept] = await _add(await open_gallery(), 1)
    marker = read_marker(folder)
    assert marker is not None
    write_marker(folder, replace(marker, server="earlier"))

    with monkeypatch.context() as patched:
        if not writable:
            patched.setattr(os, "replace", _refuse_all)
        gallery = await open_gallery()

    found = read_marker(folder)
    assert found is not None
    assert (found.gallery, found.server) == (marker.gallery, "" if writable else "earlier")
    assert await gallery.async_read(kept) == picture(shade=1)


def _refuse_all(*_: object, **__: object) -> None:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


async def test_media_directories_in_another_order_keep_their_images(
    hass: HomeAssistant, open_gallery: OpenGallery, media_dir: Path, tmp_path: Path
) -> None:
    one, two = {"local": str(media_dir)}, {"other": str(tmp_path / "other")}
    for number, directories in enumerate([one | two, two | one, one | two, two | one]):
        hass.config.media_dirs = directories
        await _add(await open_gallery(), number)

    gallery = await open_gallery()

    for image_ in await gallery.async_select(Selection()):
        assert await gallery.async_read(image_) == picture(shade=int(image_.job_id))
    assert gallery.count == 4
    assert gallery.count_found() == 0


# Things in the way


@pytest.mark.parametrize("kind", ["file", "link", "dangling link"])
async def test_thing_in_place_of_a_folder_is_left_alone(
    gallery: Gallery, folder: Path, tmp_path: Path, kind: str
) -> None:
    await _add(gallery, 1, preset="dogs")
    obstacle = folder / "neon_city"
    match kind:
        case "file":
            obstacle.write_text("mine")
        case "link":
            (tmp_path / "elsewhere").mkdir()
            obstacle.symlink_to(tmp_path / "elsewhere")
        case _:
            obstacle.symlink_to(tmp_path / "nowhere")

    [kept] = await _add(gallery, 2)
    [again] = await _add(gallery, 3)

    assert kept.path.startswith("neon_city_2/")
    assert again.path.startswith("neon_city_2/")
    assert obstacle.is_symlink() or obstacle.read_text() == "mine"
    assert not list(tmp_path.glob("elsewhere/*"))
    assert await gallery.async_read(kept) == picture(shade=2)


async def test_images_of_folder_that_became_a_link_stay(
    gallery: Gallery, folder: Path, tmp_path: Path
) -> None:
    [added] = await _add(gallery, 1)
    shutil.move(folder / "neon_city", tmp_path / "other disk")
    (folder / "neon_city").symlink_to(tmp_path / "other disk")

    with pytest.raises(GalleryError, match="its folder is a link") as raised:
        await gallery.async_read(added)
    assert not isinstance(raised.value, ImageGoneError)
    with pytest.raises(GalleryError, match="its folder is a link"):
        await gallery.async_delete([added])
    assert await _listed(gallery) == [added.job_id]
    (folder / "neon_city").unlink()
    shutil.move(tmp_path / "other disk", folder / "neon_city")

    assert await gallery.async_read(added) == picture(shade=1)


@pytest.mark.parametrize("kind", ["folder", "link"])
async def test_thing_in_place_of_a_file_is_left_alone(
    gallery: Gallery, folder: Path, tmp_path: Path, kind: str
) -> None:
    [kept] = await _add(gallery, 1)
    await gallery.async_delete([kept])
    obstacle = folder / kept.path
    if kind == "folder":
        obstacle.mkdir(parents=True)
    else:
        obstacle.parent.mkdir()
        obstacle.symlink_to(tmp_path / "secret")

    [again] = await _add(gallery, 1)

    assert again.path == kept.path.replace(".png", "_2.png")
    assert obstacle.is_symlink() if kind == "link" else obstacle.is_dir()
    assert await gallery.async_read(again) == picture(shade=1)


async def test_empty_file_gives_way_to_the_image_before_and_is_offered_once(
    open_gallery: OpenGallery, folder: Path
) -> None:
    gallery = await open_gallery()
    _, emptied = await _add(gallery, 1, 2)
    (folder / emptied.path).write_bytes(b"")

    with pytest.raises(ImageGoneError):
        await gallery.async_read(emptied)
    newest = gallery.newest()
    gallery = await open_gallery()
    offered = gallery.count_found()
    adopted = await gallery.async_adopt({})
    after = gallery.count_found()
    gallery = await open_gallery()

    assert newest is not None
    assert newest.job_id == "00000001"
    assert (offered, adopted, after) == (1, 0, 0)
    assert gallery.count_found() == 0


# Taking over


async def test_images_of_removed_server_are_found_and_adopted(
    hass: HomeAssistant, open_gallery: OpenGallery, folder: Path
) -> None:
    gallery = await open_gallery()
    await _add(gallery, 1, 2, seed="18446744073709551615")
    await _add(gallery, 3, preset="dogs", preset_name="Dogs")
    (folder / "neon_city" / "holiday.png").write_bytes(picture())
    (folder / "neon_city" / "20260812-070322_1_broken00.png").write_bytes(b"<html>")
    await gallery.async_close()
    await Gallery(hass, ENTRY_ID, "GAZE").async_remove()

    gallery = await open_gallery()
    assert gallery.count == 0
    assert gallery.count_found() == 4
    assert gallery.count_found(["00000003"]) == 3
    assert await gallery.async_adopt({"neon_city": "Neon City"}) == 3

    assert gallery.count_found() == 0
    first, second, third = await gallery.async_select(Selection())
    assert (first.preset, first.preset_name, first.made_at) == ("dogs", "Dogs", MADE_AT + 3)
    assert (second.preset_name, second.seed) == ("Neon City", "18446744073709551615")
    assert (third.width, third.height, third.content_type) == (96, 64, "image/png")
    assert await gallery.async_read(third) == picture(shade=1)
    assert third.size == len(picture(shade=1))
    gallery = await open_gallery()
    assert gallery.count == 3
    await _add(gallery, 4)
    assert gallery.count == 4


@pytest.mark.parametrize("time_zone", ["America/Los_Angeles", "Asia/Tokyo", "UTC"])
async def test_file_with_impossible_date_does_not_prevent_adoption_of_others(
    hass: HomeAssistant, open_gallery: OpenGallery, folder: Path, time_zone: str
) -> None:
    await hass.config.async_set_time_zone(time_zone)
    await _add(await open_gallery(), 1)
    put(folder / "neon_city" / "00010101-000000_1_a.png", picture())
    put(folder / "neon_city" / "00020101-000000_1_b.png", picture())
    put(folder / "neon_city" / "99981231-235959_1_c.png", picture())
    put(folder / "neon_city" / "99991231-235959_1_d.png", picture())
    gallery = await open_gallery()
    found = gallery.count_found()

    assert (found, await gallery.async_adopt({})) == (2, 2)


async def test_unreadable_file_does_not_prevent_adoption_of_others(
    hass: HomeAssistant, open_gallery: OpenGallery, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery = await open_gallery()
    added = await _add(gallery, 1, 2)
    (odd := folder / os.fsdecode(b"caf\xe9")).mkdir()
    shutil.copy(folder / added[0].path, odd)
    await gallery.async_close()
    await Gallery(hass, ENTRY_ID, "GAZE").async_remove()
    gallery = await open_gallery()

    with _failing(monkeypatch, "open", Path(added[0].path).name, errno.EACCES):
        assert await gallery.async_adopt({}) == 1
    assert gallery.count_found() == 1

    assert await gallery.async_adopt({}) == 1
    assert gallery.count_found() == 0


async def test_images_newer_than_restored_backup_are_found(
    hass: HomeAssistant, open_gallery: OpenGallery
) -> None:
    gallery = await open_gallery()
    await _add(gallery, 1)
    await gallery.async_close()
    index = Path(hass.config.path(".storage", f"gaze.{ENTRY_ID}.gallery.db"))
    backup = shutil.copy(index, index.with_name("backup"))
    await _add(await open_gallery(), 2, 3)
    await (await open_gallery()).async_close()
    shutil.copy(backup, index)

    gallery = await open_gallery()
    assert gallery.count_found() == 2
    await gallery.async_adopt({})

    assert [found[:8] for found in await _listed(gallery)] == ["00000003", "00000002", "00000001"]


async def test_prompts_of_adopted_png_can_be_searched(
    hass: HomeAssistant, open_gallery: OpenGallery
) -> None:
    graph = (
        '{"3": {"class_type": "KSampler", "inputs": {"seed": 42}},'
        ' "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "rain on glass"}},'
        ' "7": "odd", "8": {"inputs": {"seed": true, "text": "\\ud83d"}, "is_changed": [NaN]}}'
    )
    gallery = await open_gallery()
    await gallery.async_add(image(seed=None), picture_with_text(prompt=graph))
    await gallery.async_close()
    await Gallery(hass, ENTRY_ID, "GAZE").async_remove()

    gallery = await open_gallery()
    await gallery.async_adopt({})

    [found] = await gallery.async_select(Selection(search="GLASS rain"))
    assert found.seed == "42"


@pytest.mark.parametrize(
    "content",
    [
        picture("WEBP"),
        picture("JPEG"),
        picture_with_text(prompt="{broken"),
        picture_with_text(prompt="[" * 100_000),
        picture_with_text(prompt="[]", parameters="rain"),
    ],
    ids=["WebP", "JPEG", "broken prompt", "deep prompt", "other prompt"],
)
async def test_image_without_readable_prompt_is_adopted(
    hass: HomeAssistant, open_gallery: OpenGallery, content: bytes
) -> None:
    gallery = await open_gallery()
    kept = await gallery.async_add(image(seed=None), content)
    await gallery.async_close()
    await Gallery(hass, ENTRY_ID, "GAZE").async_remove()

    gallery = await open_gallery()
    assert await gallery.async_adopt({}) == 1

    [found] = await gallery.async_select(Selection())
    assert (found.content_type, found.width, found.seed) == (kept.content_type, 96, None)


async def test_file_of_open_job_is_not_found(
    open_gallery: OpenGallery, hass: HomeAssistant
) -> None:
    gallery = await open_gallery()
    await _add(gallery, 1)
    await gallery.async_close()
    await Gallery(hass, ENTRY_ID, "GAZE").async_remove()

    gallery = await open_gallery()
    await _add(gallery, 1)

    assert gallery.count_found() == 0
    assert gallery.count == 1


# Peculiar file systems


async def test_presets_that_differ_in_case_have_distinct_folders(
    gallery: Gallery, folder: Path
) -> None:
    [one] = await _add(gallery, 1, preset="Portrait")
    [two] = await _add(gallery, 2, preset="portrait")
    [three] = await _add(gallery, 3, preset="PORTRAIT")
    [again] = await _add(gallery, 4, preset="portrait")

    folders = [kept.path.partition("/")[0] for kept in (one, two, three, again)]
    assert folders[1] == folders[3]
    assert len({name.casefold() for name in folders}) == 3


async def test_file_in_other_unicode_form_is_not_missing(
    open_gallery: OpenGallery, folder: Path
) -> None:
    await _add(await open_gallery(), 1, preset="Portrait")
    (folder / "Portrait").rename(folder / "PORTRAIT")  # as a share that ignores case may list it

    gallery = await open_gallery()

    assert await _listed(gallery) == ["00000001"]


@pytest.mark.parametrize("preset", ["aux", "CON", "nul", "com1", "LPT9", "prn"])
async def test_reserved_names_are_not_used_for_folders(
    gallery: Gallery, folder: Path, preset: str
) -> None:
    [kept] = await _add(gallery, 1, preset=preset)

    assert kept.path.partition("/")[0].casefold() == f"{preset.casefold()}_"


@pytest.mark.parametrize("title", ["ü" * 1000, "GAZE (" + "sub." * 62 + "example)"])
async def test_long_title_of_server_makes_a_usable_folder(
    hass: HomeAssistant, media_dir: Path, title: str
) -> None:
    gallery = Gallery(hass, ENTRY_ID, title)
    await gallery.async_open()

    [kept] = await _add(gallery, 1)
    await gallery.async_close()

    assert (gallery.folder / kept.path).is_file()


@pytest.mark.parametrize("preset", ["dots...", "space ", "a:b", "aux.png"])
async def test_names_that_shares_reject_are_not_used_for_folders(
    gallery: Gallery, preset: str
) -> None:
    [kept] = await _add(gallery, 1, preset=preset)

    assert kept.path.partition("/")[0].replace("_", "").isalnum()


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS])
async def test_image_is_saved_when_fsync_is_unsupported(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def unsupported(_file: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", unsupported)

    [kept] = await _add(gallery, 1)

    assert await gallery.async_read(kept) == picture(shade=1)


async def test_deleted_file_is_noticed_with_coarse_timestamps(
    gallery: Gallery, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = 1_000_000_000
    coarse = 2 * second
    monkeypatch.setattr(
        files_module, "modified_ns", lambda found: found.st_mtime_ns // coarse * coarse
    )
    first, _ = await _add(gallery, 1, 2)
    assert len(await _listed(gallery)) == 2

    (folder / first.path).unlink()

    assert await _listed(gallery) == ["00000002"]


# Order


async def test_late_download_of_earlier_job_is_not_newest(
    open_gallery: OpenGallery,
) -> None:
    gallery = await open_gallery()
    await _add(gallery, 5)

    await _add(gallery, 3)

    assert gallery.newest() == gallery.newest("neon_city")
    newest = gallery.newest()
    assert newest is not None
    assert newest.job_id == "00000005"
    assert await _listed(gallery) == ["00000005", "00000003"]
    gallery = await open_gallery()
    assert gallery.newest() == newest
