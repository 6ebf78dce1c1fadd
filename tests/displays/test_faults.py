"""Displays go on when a disk, an image, or a stored file fails."""

import asyncio
from collections.abc import Generator
import errno
from http import HTTPStatus
import os
from pathlib import Path
from typing import Any

from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.gaze.backup import async_post_backup, async_pre_backup
from custom_components.gaze.backup_state import backup_state
from custom_components.gaze.displays import Player
from custom_components.gaze.displays.files import prune, remove_copy, remove_others, write_file
from custom_components.gaze.displays.manager import displays_folder

from ..common import press
from .conftest import (
    AddDisplay,
    AddImage,
    Fetched,
    Screen,
    change_display,
    display_device,
    displays_of,
    settle,
)


class FullDisk:
    """A disk that can be full."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Begin with enough space."""
        self._monkeypatch = monkeypatch

    def fill(self) -> None:
        """Let the disk take no file any more."""

        def refuse(_file: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        self._monkeypatch.setattr(os, "fsync", refuse)

    def free(self) -> None:
        """Let the disk take files again."""
        self._monkeypatch.undo()


@pytest.fixture
def full_disk() -> Generator[FullDisk]:
    """Return a disk that can be full."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield FullDisk(monkeypatch)


async def hold(hass: HomeAssistant, action: str) -> None:
    """Turn the hold of the display on or off. Turning it off lets it look for new images."""
    entity_id = {"entity_id": "switch.gaze_hall_hold"}
    await hass.services.async_call("switch", f"turn_{action}", entity_id, blocking=True)
    await settle(hass)


def copies(hass: HomeAssistant, entry: MockConfigEntry) -> list[Path]:
    """Return the files with images that displays show."""
    return sorted(displays_folder(hass, entry.entry_id).glob("*"))


def file_of(entry: MockConfigEntry, job_id: str) -> Path:
    """Return the file of an image."""
    file: Path | None = entry.runtime_data.gallery.saved_path(job_id)
    assert file is not None
    return file


# Disks


async def test_full_disk_leaves_what_is_shown_and_is_tried_again(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    add_display: AddDisplay,
    add_image: AddImage,
    screen: Screen,
    full_disk: FullDisk,
    caplog: pytest.LogCaptureFixture,
) -> None:
    player = await add_display(width=64, height=32)
    first = await add_image()
    shown = await screen.fetch(player)
    await hold(hass, "on")
    newest = [await add_image() for _ in range(2)][-1]

    full_disk.fill()
    for _ in range(2):
        await hold(hass, "off")
    await press(hass, "button.gaze_hall_next")

    assert player.state.shown == first
    assert (await screen.fetch(player)).content == shown.content
    assert len(copies(hass, entry)) == 1
    assert caplog.text.count("Failed to save the image of a display") == 1
    full_disk.free()
    await hold(hass, "off")
    assert player.state.shown == newest


async def test_full_disk_does_not_stop_rendering(
    hass: HomeAssistant,
    add_display: AddDisplay,
    add_image: AddImage,
    screen: Screen,
    full_disk: FullDisk,
) -> None:
    player = await add_display(width=64, height=32)
    await add_image()
    full_disk.fill()

    first, again = [await screen.fetch(player) for _ in range(2)]

    assert first.status == again.status == HTTPStatus.OK
    assert first.image.size == (64, 32)
    assert first.content == again.content


async def test_action_reports_full_disk(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    add_display: AddDisplay,
    add_image: AddImage,
    full_disk: FullDisk,
) -> None:
    older = await add_image()
    await add_image()
    player = await add_display()
    full_disk.fill()

    with pytest.raises(HomeAssistantError) as caught:
        await show(hass, entry, player, older)

    assert caught.value.translation_key == "gallery_failed"
    assert player.state.shown != older


async def show(hass: HomeAssistant, entry: MockConfigEntry, player: Player, job_id: str) -> None:
    """Show an image on a display with the action."""
    device_id = display_device(hass, entry, player).id
    await hass.services.async_call(
        "gaze", "show_image", {"display": device_id, "job_id": job_id}, blocking=True
    )


async def test_index_that_fails_leaves_what_is_shown(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    add_display: AddDisplay,
    add_image: AddImage,
    screen: Screen,
) -> None:
    player = await add_display(width=64, height=32)
    made = [await add_image() for _ in range(2)]
    await entry.runtime_data.gallery.async_close()

    for button in ("next", "previous"):
        await press(hass, f"button.gaze_hall_{button}")
    await hold(hass, "off")

    assert player.state.shown == made[-1]
    assert (await screen.fetch(player)).status == HTTPStatus.OK


async def test_previous_shows_image_after_media_folder_was_away(
    hass: HomeAssistant, entry: MockConfigEntry, add_display: AddDisplay, add_image: AddImage
) -> None:
    player = await add_display()
    made = [await add_image() for _ in range(3)]
    folder = entry.runtime_data.gallery.folder
    away = folder.rename(folder.with_name("away"))
    await press(hass, "button.gaze_hall_previous")
    assert player.state.shown == made[2]
    away.rename(folder)

    await press(hass, "button.gaze_hall_previous")

    assert player.state.shown == made[1]
    assert player.state.history == [made[0]]


@pytest.mark.parametrize("fault", ["index", "disk"])
async def test_history_stays_when_previous_fails(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    add_display: AddDisplay,
    add_image: AddImage,
    full_disk: FullDisk,
    fault: str,
) -> None:
    player = await add_display()
    made = [await add_image() for _ in range(3)]
    if fault == "index":
        await entry.runtime_data.gallery.async_close()
    else:
        full_disk.fill()

    await press(hass, "button.gaze_hall_previous")

    assert player.state.shown == made[2]
    assert player.state.history == made[:2]


async def test_previous_stores_history_with_its_image(
    hass: HomeAssistant,
    hass_storage: dict[str, Any],
    entry: MockConfigEntry,
    add_display: AddDisplay,
    add_image: AddImage,
) -> None:
    player = await add_display()
    made = [await add_image() for _ in range(3)]

    await press(hass, "button.gaze_hall_previous")

    store = hass_storage[f"gaze.{entry.entry_id}.displays"]["data"]
    stored = store[player.display.display_id]
    assert (stored["shown"], stored["history"]) == (made[1], [made[0]])


# Images


async def test_next_skips_unreadable_image_after_disk_was_full(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    add_display: AddDisplay,
    add_image: AddImage,
    full_disk: FullDisk,
) -> None:
    made = [await add_image() for _ in range(3)]
    player = await add_display()
    full_disk.fill()
    await press(hass, "button.gaze_hall_next")
    full_disk.free()
    file_of(entry, made[1]).write_bytes(b"")

    await press(hass, "button.gaze_hall_next")

    assert player.state.shown == made[0]


async def test_next_skips_image_whose_file_is_gone(
    hass: HomeAssistant, entry: MockConfigEntry, add_display: AddDisplay, add_image: AddImage
) -> None:
    made = [await add_image() for _ in range(3)]
    player = await add_display()
    file_of(entry, made[1]).unlink()

    await press(hass, "button.gaze_hall_next")

    assert player.state.shown == made[0]


async def test_action_reports_image_whose_file_is_gone(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    add_display: AddDisplay,
    add_image: AddImage,
) -> None:
    older, newer = await add_image(), await add_image()
    player = await add_display()
    file_of(entry, older).unlink()

    with pytest.raises(HomeAssistantError):
        await show(hass, entry, player, older)

    assert player.state.shown == newer


async def test_image_that_is_deleted_or_replaced_while_it_is_rendered_is_served_whole(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    add_display: AddDisplay,
    add_image: AddImage,
    screen: Screen,
) -> None:
    player = await add_display()
    made = [await add_image() for _ in range(3)]

    fetches = [screen.fetch(player, params={"w": str(600 + n), "h": "400"}) for n in range(8)]
    changes = [
        hass.services.async_call("gaze", "delete_images", {"job_id": made[-1]}, blocking=True),
        press(hass, "button.gaze_hall_next"),
        press(hass, "button.gaze_hall_next"),
    ]
    results = await asyncio.gather(*fetches, *changes)

    for number, fetched in enumerate(results[: len(fetches)]):
        assert isinstance(fetched, Fetched)
        assert fetched.status == HTTPStatus.OK
        fetched.image.load()
        assert fetched.image.size == (600 + number, 400)
    assert len(copies(hass, entry)) == 1


async def test_requests_at_once_get_same_bytes(
    add_display: AddDisplay, add_image: AddImage, screen: Screen
) -> None:
    player = await add_display(width=320, height=200)
    await add_image()

    fetched = await asyncio.gather(*(screen.fetch(player) for _ in range(6)))

    assert len({one.content for one in fetched}) == 1


async def test_copy_that_is_damaged_gives_503_until_next_image(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    add_display: AddDisplay,
    add_image: AddImage,
    screen: Screen,
) -> None:
    player = await add_display(width=64, height=32)
    await add_image()
    [copy] = copies(hass, entry)
    copy.write_bytes(b"not an image")

    assert (await screen.fetch(player)).status == HTTPStatus.SERVICE_UNAVAILABLE
    entity = hass.data["entity_components"]["image"].get_entity("image.gaze_hall")
    with pytest.raises(HomeAssistantError):
        await entity.async_image()
    await add_image()

    assert (await screen.fetch(player)).status == HTTPStatus.OK


async def test_brand_image_that_is_missing_gives_503(
    add_display: AddDisplay, screen: Screen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = tmp_path / "missing.png"
    monkeypatch.setattr("custom_components.gaze.displays.renderings.BRAND_IMAGE", missing)
    player = await add_display(width=64, height=32)

    assert (await screen.fetch(player)).status == HTTPStatus.SERVICE_UNAVAILABLE


async def test_screen_without_size_gets_size_of_image(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    add_display: AddDisplay,
    add_image: AddImage,
    screen: Screen,
) -> None:
    player = await add_display()
    await add_image()
    assert (await screen.fetch(player)).image.size == (64, 96)

    await change_display(hass, entry, player, rendering={"rotation": "90"})

    assert (await screen.fetch(player)).image.size == (96, 64)


# Removal


async def test_display_that_is_removed_while_it_changes_leaves_nothing(
    hass: HomeAssistant, entry: MockConfigEntry, add_display: AddDisplay, add_image: AddImage
) -> None:
    older, _ = await add_image(), await add_image()
    player = await add_display(changing={"advance": "interval"})
    image = await entry.runtime_data.gallery.async_get(older)

    showing = hass.async_create_task(player.async_show(image))
    await asyncio.sleep(0)
    hass.config_entries.async_remove_subentry(entry, player.display.display_id)
    await asyncio.gather(showing, return_exceptions=True)
    await settle(hass)
    await asyncio.gather(player.async_show(image), return_exceptions=True)
    await player.async_update()

    assert copies(hass, entry) == []
    assert displays_of(entry).players == []


# Files


def test_file_is_complete_or_absent(tmp_path: Path, full_disk: FullDisk) -> None:
    file = tmp_path / "folder" / "file"
    full_disk.fill()
    with pytest.raises(OSError, match="No space"):
        write_file(file, b"content")
    assert list(file.parent.iterdir()) == []
    full_disk.free()

    write_file(file, b"content")

    assert [found.read_bytes() for found in file.parent.iterdir()] == [b"content"]


def test_file_is_written_when_fsync_is_unsupported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(_file: int) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(os, "fsync", unsupported)

    write_file(tmp_path / "file", b"content")

    assert (tmp_path / "file").read_bytes() == b"content"


@pytest.mark.parametrize(
    ("most", "most_bytes", "kept"),
    [(3, 1000, {"3", "4", "5"}), (10, 20, {"4", "5"}), (10, 5, {"5"}), (10, 1000, set("012345"))],
)
def test_oldest_files_are_pruned(
    tmp_path: Path, most: int, most_bytes: int, kept: set[str]
) -> None:
    for number in range(6):
        file = tmp_path / str(number)
        file.write_bytes(b"x" * 10)
        os.utime(file, (number, number))

    prune(tmp_path, most, most_bytes)

    assert {file.name for file in tmp_path.iterdir()} == kept


def test_others_are_removed(hass: HomeAssistant, tmp_path: Path) -> None:
    for name in ("kept", "other"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder" / "deep").mkdir(parents=True)

    remove_others(tmp_path, {"kept"}, backup_state(hass))
    remove_others(tmp_path / "missing", set(), backup_state(hass))

    assert [file.name for file in tmp_path.iterdir()] == ["kept"]


def test_file_that_stays_is_no_error(
    hass: HomeAssistant, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    remove_copy(tmp_path, backup_state(hass))  # a folder is no file

    assert tmp_path.is_dir()
    assert "Unable to remove" in caplog.text


async def test_listed_copy_stays_until_backup_ends(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    add_display: AddDisplay,
    add_image: AddImage,
    listed: set[Path],
) -> None:
    await add_display(source="latest")
    await add_image()
    folder = displays_folder(hass, entry.entry_id)

    await async_pre_backup(hass)
    for _ in range(3):
        await add_image()
    await hass.config_entries.async_reload(entry.entry_id)

    copies = {path for path in listed if path.parent == folder}
    assert len(copies) == 4
    assert [path for path in copies if not path.exists()] == []

    await async_post_backup(hass)

    assert len(list(folder.iterdir())) == 1
