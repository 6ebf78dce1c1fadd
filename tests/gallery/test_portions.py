"""Tests that a long operation lets others have their turn, and accepts what they changed."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
import os
from pathlib import Path
import threading

from homeassistant.core import HomeAssistant
import pytest

from custom_components.gaze.backup import async_post_backup, async_pre_backup
from custom_components.gaze.gallery import (
    BackupRunningError,
    Gallery,
    GalleryError,
    GalleryOptions,
    Image,
    Selection,
    gallery as gallery_module,
)

from .conftest import OpenGallery
from .pictures import MADE_AT, PRESET, image, picture, put

MANY = 70  # more than three portions


async def _add(gallery: Gallery, job_id: str = "newer", made_at: float = MADE_AT + 999) -> Image:
    return await gallery.async_add(image(job_id, made_at=made_at), picture(shade=1))


async def _find_many(gallery: Gallery, folder: Path) -> None:
    """Add an image, and let the gallery find many files of older ones."""
    await _add(gallery)
    for number in range(MANY):
        put(folder / PRESET / f"20260812-0703{number // 60:02}_{number}_{number:08}.png", picture())
    await gallery.async_check()


async def _open_many(open_gallery: OpenGallery, folder: Path) -> Gallery:
    """Return a gallery with many images and one that is newer."""
    gallery = await open_gallery()
    await _find_many(gallery, folder)
    assert await gallery.async_adopt({}) == MANY
    return gallery


async def _settle(hass: HomeAssistant) -> None:
    await hass.async_block_till_done(wait_background_tasks=True)


def _count_files(folder: Path) -> int:
    return len(list(folder.rglob("*.png")))


@contextmanager
def _hanging_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Let the next write hang. Returns what is set when it does."""
    hangs, returns = threading.Event(), threading.Event()
    original = os.fsync

    def hang(file: int) -> None:
        hangs.set()
        returns.wait()
        original(file)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", hang)
        try:
            yield hangs
        finally:
            returns.set()


# Adoption


async def test_image_is_marked_while_many_are_adopted(
    hass: HomeAssistant, gallery: Gallery, folder: Path
) -> None:
    await _find_many(gallery, folder)

    adoption = hass.async_create_task(gallery.async_adopt({}))
    await gallery.async_mark(["newer"], favorite=True)

    assert not adoption.done()
    assert gallery.count < MANY
    assert await adoption == MANY
    assert gallery.count == MANY + 1
    assert gallery.count_found() == 0


async def test_adoption_fails_when_gallery_closes_meanwhile(
    hass: HomeAssistant, gallery: Gallery, folder: Path, open_gallery: OpenGallery
) -> None:
    await _find_many(gallery, folder)

    adoption = hass.async_create_task(gallery.async_adopt({}))
    await gallery.async_close()
    with pytest.raises(GalleryError):
        await adoption

    gallery = await open_gallery()
    assert gallery.count + gallery.count_found() == MANY + 1


# Retention


async def test_new_image_is_finished_before_all_old_ones_are_removed(
    hass: HomeAssistant, open_gallery: OpenGallery, folder: Path
) -> None:
    gallery = await open_gallery(GalleryOptions(keep_images=2))
    await _find_many(gallery, folder)
    await gallery.async_adopt({})

    await _add(gallery, "newest", MADE_AT + 1000)

    assert 2 < gallery.count < MANY
    await _settle(hass)
    assert gallery.count == _count_files(folder) == 2
    assert [kept.job_id for kept in await gallery.async_select(Selection())] == ["newest", "newer"]


async def test_start_does_not_wait_for_removal_of_all_old_images(
    hass: HomeAssistant, open_gallery: OpenGallery, folder: Path
) -> None:
    await _open_many(open_gallery, folder)

    gallery = await open_gallery(GalleryOptions(keep_images=2))

    assert gallery.count > 2
    await _settle(hass)
    assert gallery.count == _count_files(folder) == 2


async def test_old_images_stay_when_they_became_favorites_meanwhile(
    hass: HomeAssistant, open_gallery: OpenGallery, folder: Path
) -> None:
    await _open_many(open_gallery, folder)
    gallery = await open_gallery(GalleryOptions(keep_images=2))
    left = [kept.job_id for kept in await gallery.async_select(Selection())]

    await gallery.async_mark(left[2:5], favorite=True)
    await _settle(hass)

    kept = [kept.job_id for kept in await gallery.async_select(Selection())]
    assert kept == left[:5]


async def test_images_that_cannot_be_removed_do_not_protect_others(
    hass: HomeAssistant, open_gallery: OpenGallery, folder: Path
) -> None:
    gallery = await _open_many(open_gallery, folder)
    stuck = [folder / kept.path for kept in (await gallery.async_select(Selection()))[-25:]]
    for file in stuck:
        file.unlink()
        (file / "thing").mkdir(parents=True)

    gallery = await open_gallery(GalleryOptions(keep_images=2))
    await _settle(hass)

    assert gallery.count == 25 + 2


async def test_retention_waits_for_end_of_backup(
    hass: HomeAssistant, open_gallery: OpenGallery, folder: Path
) -> None:
    await _open_many(open_gallery, folder)
    gallery = await open_gallery(GalleryOptions(keep_images=2))

    await async_pre_backup(hass)
    count = gallery.count
    await _settle(hass)

    assert gallery.count == _count_files(folder) == count > 2
    await async_post_backup(hass)
    await _settle(hass)
    assert gallery.count == _count_files(folder) == 2


async def test_retention_ends_when_gallery_closes(open_gallery: OpenGallery, folder: Path) -> None:
    await _open_many(open_gallery, folder)
    gallery = await open_gallery(GalleryOptions(keep_images=2))

    await gallery.async_close()

    files = _count_files(folder)
    assert files > 2
    gallery = await open_gallery(GalleryOptions(keep_images=0))
    assert gallery.count == files


# Deleting


async def test_image_is_marked_while_many_are_deleted(
    hass: HomeAssistant, open_gallery: OpenGallery, folder: Path
) -> None:
    gallery = await _open_many(open_gallery, folder)
    images = await gallery.async_select(Selection())

    deletion = hass.async_create_task(gallery.async_delete(images[1:]))
    await gallery.async_mark(["newer"], favorite=True)

    assert not deletion.done()
    assert await deletion == MANY
    assert gallery.count == _count_files(folder) == 1


@pytest.mark.parametrize("included", [True, False], ids=["included", "not included"])
async def test_image_that_became_favorite_is_deleted_only_if_favorites_are_included(
    hass: HomeAssistant, gallery: Gallery, folder: Path, included: bool
) -> None:
    await _add(gallery)
    images = await gallery.async_select(Selection())

    marking = hass.async_create_task(gallery.async_mark(["newer"], favorite=True))
    deleted = await gallery.async_delete(images, include_favorites=included)

    assert await marking == 1
    assert deleted == included
    assert gallery.count == _count_files(folder) == 1 - included


async def test_image_that_was_saved_again_meanwhile_is_deleted_completely(
    hass: HomeAssistant, gallery: Gallery, folder: Path
) -> None:
    await _add(gallery)
    images = await gallery.async_select(Selection())
    await _add(gallery, made_at=MADE_AT)
    assert (await gallery.async_select(Selection()))[0].path != images[0].path

    assert await gallery.async_delete(images) == 1

    assert _count_files(folder) == 0


async def test_deletion_ends_when_backup_begins(
    hass: HomeAssistant, open_gallery: OpenGallery, folder: Path
) -> None:
    gallery = await _open_many(open_gallery, folder)
    images = await gallery.async_select(Selection())

    deletion = hass.async_create_task(gallery.async_delete(images))
    await async_pre_backup(hass)
    with pytest.raises(BackupRunningError):
        await deletion

    assert gallery.count == _count_files(folder) > 1
    await async_post_backup(hass)


async def test_deletion_ends_when_gallery_closes(
    hass: HomeAssistant, open_gallery: OpenGallery, folder: Path
) -> None:
    gallery = await _open_many(open_gallery, folder)
    images = await gallery.async_select(Selection())

    deletion = hass.async_create_task(gallery.async_delete(images))
    await gallery.async_close()
    with pytest.raises(GalleryError):
        await deletion

    files = _count_files(folder)
    assert files > 1
    assert (await open_gallery()).count == files


# Backup


async def test_backup_begins_although_disk_hangs(
    hass: HomeAssistant, gallery: Gallery, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _add(gallery)
    await _settle(hass)
    monkeypatch.setattr(gallery_module, "BACKUP_WAIT", 0)

    with _hanging_disk(monkeypatch) as hangs:
        adding = hass.async_create_task(_add(gallery, "slow"))
        await hass.async_add_executor_job(hangs.wait)
        async with asyncio.timeout(30):
            await async_pre_backup(hass)
        assert not adding.done()
        [listed] = folder.rglob("*.part")

    assert (await adding).job_id == "slow"
    assert listed.exists()
    await async_post_backup(hass)
    assert not listed.exists()
