"""Tests of the gallery: saving, retention, and deleted files."""

from contextlib import closing
from dataclasses import replace
import errno
from io import BytesIO
import os
from pathlib import Path
import shutil
import sqlite3

from homeassistant.core import HomeAssistant
from PIL import Image as Pillow
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.gaze.backup import async_post_backup, async_pre_backup
from custom_components.gaze.const import DOMAIN
from custom_components.gaze.gallery import (
    Gallery,
    GalleryError,
    GalleryOptions,
    Image,
    ImageContentError,
    ImageGoneError,
    Selection,
)
from custom_components.gaze.gallery.files import MARKER

from .conftest import ENTRY_ID, OpenGallery
from .pictures import (
    LOCAL,
    MADE_AT,
    image,
    names,
    picture,
    pixels,
    png_claiming,
    put,
    written_picture,
)


def _files(folder: Path) -> list[str]:
    """Return the files below a folder, without the marker."""
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if not path.is_dir() and path.name != MARKER
    )


async def _add(gallery: Gallery, count: int, start: int = 0, **changes: str) -> list[Image]:
    return [
        await gallery.async_add(
            image(f"{number:08}", made_at=MADE_AT + number, **changes), picture(shade=number)
        )
        for number in range(start, start + count)
    ]


async def _kept(gallery: Gallery) -> list[str]:
    return [kept.job_id for kept in await gallery.async_select(Selection())]


async def test_image_is_saved_in_folder_of_preset(gallery: Gallery, folder: Path) -> None:
    content = picture("JPEG")

    kept = await gallery.async_add(image("783f0268-ba85-4426-8ca2-6393c844c887"), content)

    file = folder / "neon_city" / f"{LOCAL}_12345_783f0268.jpg"
    assert file.read_bytes() == content
    assert await gallery.async_file(kept) == file
    assert (kept.content_type, kept.width, kept.height) == ("image/jpeg", 96, 64)
    assert kept.size == len(content)
    assert await gallery.async_get(kept.job_id) == kept
    assert await gallery.async_read(kept) == content
    assert gallery.newest() == gallery.newest("neon_city") == kept
    assert gallery.count == 1


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"preset": "../../etc"}, f"etc/{LOCAL}_12345_job1.png"),
        ({"preset": "Kirschblüte/Regen"}, f"kirschblute_regen/{LOCAL}_12345_job1.png"),
        ({"preset": "🌸"}, f"preset/{LOCAL}_12345_job1.png"),
        ({"job_id": "../../../x"}, f"neon_city/{LOCAL}_12345_x.png"),
        ({"job_id": "__--__"}, f"neon_city/{LOCAL}_12345_0.png"),
        ({"seed": None}, f"neon_city/{LOCAL}_0_job1.png"),
        ({"seed": "../1"}, f"neon_city/{LOCAL}_1_job1.png"),
        ({"seed": "9" * 300}, f"neon_city/{LOCAL}_{'9' * 20}_job1.png"),
    ],
)
async def test_file_name_does_not_depend_on_server(
    gallery: Gallery, folder: Path, changes: dict[str, str], expected: str
) -> None:
    await gallery.async_add(image(**({"job_id": "job-1"} | changes)), picture())

    if expected.startswith("preset/"):
        expected = expected.replace("preset/", f"{_files(folder)[0].partition('/')[0]}/")
    assert _files(folder) == [expected]
    assert _files(folder.parent.parent) == [f"gaze/gaze/{expected}"]


async def test_images_never_share_file(gallery: Gallery, folder: Path) -> None:
    first = await gallery.async_add(image("12345678-a"), picture(shade=1))
    second = await gallery.async_add(image("12345678-b"), picture(shade=2))
    third = await gallery.async_add(image("12345678-c"), picture(shade=3))

    assert len({first.path, second.path, third.path}) == 3
    assert await gallery.async_read(first) == picture(shade=1)
    assert await gallery.async_read(third) == picture(shade=3)
    assert _files(folder)[0] == f"neon_city/{LOCAL}_12345_12345678.png"


async def test_job_added_twice_has_one_image(gallery: Gallery, folder: Path) -> None:
    await gallery.async_add(image(), picture(shade=1))
    await gallery.async_add(image(), picture(shade=2))
    kept = await gallery.async_add(image(seed="7"), picture("JPEG", shade=3))

    assert gallery.count == 1
    assert _files(folder) == [kept.path]
    assert await gallery.async_read(kept) == picture("JPEG", shade=3)


async def test_image_of_earlier_job_with_same_id_stays(gallery: Gallery, folder: Path) -> None:
    earlier = await gallery.async_add(image(number=1), picture(shade=1))
    await gallery.async_mark(["job-1"], favorite=True)

    kept = await gallery.async_add(image(number=2), picture(shade=2))

    assert gallery.newest() == kept
    assert await _kept(gallery) == ["job-1", "job-1-1"]
    other = await gallery.async_get("job-1-1")
    assert other == replace(earlier, job_id="job-1-1", favorite=True)
    assert await gallery.async_read(other) == picture(shade=1)
    assert await gallery.async_read(kept) == picture(shade=2)
    assert _files(folder) == sorted([other.path, kept.path])


@pytest.mark.parametrize("content", [b"", b"<html>", picture()[:99], png_claiming(5000, 5000)])
async def test_content_that_is_no_image_is_not_saved(
    gallery: Gallery, folder: Path, content: bytes
) -> None:
    with pytest.raises(ImageContentError):
        await gallery.async_add(image(), content)

    assert await _kept(gallery) == []
    assert names(folder) == []


async def test_failed_write_leaves_no_file_or_row(gallery: Gallery, folder: Path) -> None:
    put(folder, b"a file where a folder should be")

    with pytest.raises(GalleryError, match="cannot be saved"):
        await gallery.async_add(image(), picture())

    assert await gallery.async_get("job-1") is None
    assert gallery.count == 0
    assert gallery.newest() is None


async def test_failed_index_write_leaves_no_file(
    hass: HomeAssistant, open_gallery: OpenGallery, folder: Path
) -> None:
    gallery = await open_gallery()
    await gallery.async_add(image("kept"), picture())
    index = Path(hass.config.path(".storage", f"gaze.{ENTRY_ID}.gallery.db"))
    with closing(sqlite3.connect(index, autocommit=True)) as connection:
        connection.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON image BEGIN SELECT RAISE(ABORT, 'full'); END"
        )

    with pytest.raises(GalleryError, match="list of images cannot be written"):
        await gallery.async_add(image("lost", seed="2"), picture())
    with pytest.raises(GalleryError, match="list of images cannot be written"):
        await gallery.async_add(image("kept"), picture(shade=9))

    assert _files(folder) == [f"neon_city/{LOCAL}_12345_kept.png"]
    assert gallery.count == 1


async def test_images_survive_restart(open_gallery: OpenGallery) -> None:
    kept = await _add(await open_gallery(), 3)

    gallery = await open_gallery()

    assert gallery.count == 3
    assert gallery.newest() == kept[-1]
    assert await gallery.async_read(kept[0]) == picture(shade=0)


async def test_partial_files_are_removed_at_start(
    hass: HomeAssistant, open_gallery: OpenGallery, folder: Path, cache: Path
) -> None:
    await _add(await open_gallery(), 1)
    await hass.async_block_till_done(wait_background_tasks=True)
    (folder / "neon_city" / ".x.png.part").write_bytes(b"half")
    (cache / "thumbnails" / "x-256.part").write_bytes(b"half")

    await open_gallery()

    assert len(_files(folder)) == 1
    assert [path.suffix for path in (cache / "thumbnails").iterdir()] == [".webp", ".webp"]


# Retention


async def test_oldest_images_beyond_limit_are_removed(
    hass: HomeAssistant, open_gallery: OpenGallery, folder: Path, cache: Path
) -> None:
    gallery = await open_gallery(GalleryOptions(keep_images=3))
    await _add(gallery, 1)

    await _add(gallery, 4, start=1)
    await hass.async_block_till_done(wait_background_tasks=True)

    assert await _kept(gallery) == ["00000004", "00000003", "00000002"]
    assert gallery.count == len(_files(folder)) == 3
    assert len(_files(cache / "thumbnails")) == 6


async def test_lower_limit_applies_at_start(open_gallery: OpenGallery, folder: Path) -> None:
    await _add(await open_gallery(), 5)

    gallery = await open_gallery(GalleryOptions(keep_images=2))

    assert await _kept(gallery) == ["00000004", "00000003"]
    assert len(_files(folder)) == 2


async def test_zero_means_no_limit(open_gallery: OpenGallery) -> None:
    gallery = await open_gallery(GalleryOptions(keep_images=0))
    await _add(gallery, 5)

    assert gallery.count == 5


async def test_newest_image_of_preset_and_recipe_is_never_removed(
    open_gallery: OpenGallery,
) -> None:
    gallery = await open_gallery(GalleryOptions(keep_images=2))
    await _add(gallery, 2, preset="quiet", preset_name="Quiet")
    await _add(gallery, 2, start=2, recipe="morning", recipe_name="Morning")
    await _add(gallery, 4, start=4)

    assert await _kept(gallery) == ["00000007", "00000003", "00000001"]
    quiet, morning = gallery.newest("quiet"), gallery.newest(recipe="morning")
    assert quiet is not None
    assert morning is not None
    assert (quiet.job_id, morning.job_id) == ("00000001", "00000003")


async def test_favorites_are_not_removed_or_counted(open_gallery: OpenGallery) -> None:
    gallery = await open_gallery(GalleryOptions(keep_images=2))
    await _add(gallery, 2)
    await gallery.async_mark(["00000000"], favorite=True)

    await _add(gallery, 3, start=2)

    assert await _kept(gallery) == ["00000004", "00000003", "00000000"]


async def test_image_is_removed_when_it_is_no_favorite_anymore(open_gallery: OpenGallery) -> None:
    gallery = await open_gallery(GalleryOptions(keep_images=1))
    await _add(gallery, 1)
    await gallery.async_mark(["00000000"], favorite=True)
    await _add(gallery, 1, start=1)
    assert gallery.count == 2

    await gallery.async_mark(["00000000"], favorite=False)

    assert await _kept(gallery) == ["00000001"]


async def test_image_that_cannot_be_removed_is_logged_once(
    open_gallery: OpenGallery, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gallery = await open_gallery(GalleryOptions(keep_images=1))
    [first] = await _add(gallery, 1)
    file = folder / first.path
    file.unlink()
    file.mkdir()

    await _add(gallery, 2, start=1)

    assert caplog.text.count("Old images stay for now") == 1
    assert await gallery.async_get("00000002") is not None
    file.rmdir()
    await _add(gallery, 1, start=3)
    assert await _kept(gallery) == ["00000003"]
    assert len(_files(folder)) == 1


# Deleting


async def test_deleted_image_is_removed_everywhere(
    hass: HomeAssistant, open_gallery: OpenGallery, folder: Path, cache: Path
) -> None:
    removed: list[str | None] = []

    def note() -> None:
        newest = gallery.newest()
        removed.append(None if newest is None else newest.job_id)

    gallery = await open_gallery(None, note)
    first, second, third = await _add(gallery, 3)
    await hass.async_block_till_done(wait_background_tasks=True)
    await gallery.async_read(third)

    assert await gallery.async_delete([second, third]) == 2

    assert removed == [first.job_id]
    assert _files(folder) == [first.path]
    assert len(_files(cache / "thumbnails")) == 2
    with pytest.raises(ImageGoneError):
        await gallery.async_read(third)
    assert await gallery.async_delete([second, third]) == 0
    assert gallery.count == 1


async def test_other_images_are_deleted_when_one_fails(gallery: Gallery, folder: Path) -> None:
    first, second = await _add(gallery, 2)
    (folder / first.path).unlink()
    (folder / first.path).mkdir()

    with pytest.raises(GalleryError, match="cannot be removed"):
        await gallery.async_delete([first, second])

    assert not (folder / second.path).exists()
    assert await gallery.async_get(second.job_id) is None


async def test_deleted_file_is_noticed_when_read(
    hass: HomeAssistant, open_gallery: OpenGallery, folder: Path, cache: Path
) -> None:
    removed: list[int] = []
    gallery = await open_gallery(None, lambda: removed.append(1))
    first, second, third = await _add(gallery, 3)
    await hass.async_block_till_done(wait_background_tasks=True)
    (folder / second.path).unlink()
    (folder / third.path).unlink()

    with pytest.raises(ImageGoneError):
        await gallery.async_read(third)

    assert removed == [1]
    assert gallery.newest() == first
    assert gallery.count == 1
    assert len(_files(cache / "thumbnails")) == 2


async def test_thumbnail_of_deleted_file_is_missing(gallery: Gallery, folder: Path) -> None:
    [kept] = await _add(gallery, 1)
    await gallery.async_content(kept, 256)
    (folder / kept.path).unlink()

    with pytest.raises(ImageGoneError):
        await gallery.async_content(kept, 256)
    assert gallery.count == 0


async def test_path_of_deleted_file_is_not_returned(gallery: Gallery, folder: Path) -> None:
    [kept] = await _add(gallery, 1)
    (folder / kept.path).unlink()

    with pytest.raises(ImageGoneError):
        await gallery.async_file(kept)
    assert gallery.count == 0


async def test_deleted_files_are_noticed_in_listings(gallery: Gallery, folder: Path) -> None:
    first, second = await _add(gallery, 2)
    await _add(gallery, 2, start=2, preset="old", preset_name="Old")

    (folder / first.path).unlink()
    assert await _kept(gallery) == ["00000003", "00000002", "00000001"]
    shutil.rmtree(folder / "old")
    assert [entry.job_id for entry in await gallery.async_list(Selection(), 9)] == ["00000001"]
    (folder / second.path).unlink()
    overview = await gallery.async_overview()

    assert (overview.presets, overview.months, overview.newest) == ((), (), ())
    assert gallery.newest() is None


async def test_deleted_files_are_noticed_at_start(open_gallery: OpenGallery, folder: Path) -> None:
    first, second = await _add(await open_gallery(), 2)
    (folder / second.path).unlink()

    gallery = await open_gallery()

    assert gallery.newest() == first
    assert gallery.count == 1


async def test_empty_file_counts_as_deleted(gallery: Gallery, folder: Path) -> None:
    [kept] = await _add(gallery, 1)
    os.truncate(folder / kept.path, 0)

    with pytest.raises(ImageGoneError):
        await gallery.async_read(kept)
    assert gallery.count == 0


# Metadata


async def test_metadata_is_removed_only_on_request(open_gallery: OpenGallery) -> None:
    content = written_picture("a secret prompt")

    kept = await (await open_gallery()).async_add(image("with"), content)
    gallery = await open_gallery(GalleryOptions(strip_metadata=True))
    stripped = await gallery.async_add(image("without", seed="2"), content)

    assert await gallery.async_read(kept) == content
    bare = await gallery.async_read(stripped)
    assert stripped.size == len(bare) < len(content)
    assert pixels(bare) == pixels(content)
    with Pillow.open(BytesIO(bare)) as opened:
        assert opened.info == {}


# Without saving


async def test_unsaved_images_of_last_batch_are_not_in_media(
    open_gallery: OpenGallery, folder: Path, cache: Path
) -> None:
    gallery = await open_gallery(GalleryOptions(save_images=False))
    await _add(gallery, 3, batch_id="first")
    assert len(_files(cache / "newest")) == 3
    await _add(gallery, 1, start=3, batch_id="second")
    await _add(gallery, 1, start=4, preset="old", preset_name="Old")

    assert names(folder) == []
    assert len(_files(cache / "newest")) == gallery.count == 2
    assert await _kept(gallery) == ["00000004", "00000003"]

    gallery = await open_gallery(GalleryOptions(save_images=False))
    newest = gallery.newest("neon_city")
    assert newest is not None
    assert await gallery.async_read(newest) == picture(shade=3)
    assert (await gallery.async_file(newest)).is_relative_to(cache)


async def test_unsaved_images_of_batch_are_bounded(open_gallery: OpenGallery) -> None:
    gallery = await open_gallery(GalleryOptions(save_images=False))

    await _add(gallery, 22)

    assert len(await _kept(gallery)) == 20


async def test_newest_unsaved_image_of_recipe_stays(open_gallery: OpenGallery) -> None:
    gallery = await open_gallery(GalleryOptions(save_images=False))
    await _add(gallery, 2, batch_id="first", recipe="morning", recipe_name="Morning")
    await _add(gallery, 21, start=2, batch_id="second")
    assert (await _kept(gallery))[19:] == ["00000003", "00000001"]

    gallery = await open_gallery(GalleryOptions(save_images=False))
    morning = gallery.newest(recipe="morning")
    assert morning is not None
    assert await gallery.async_read(morning) == picture(shade=1)
    await _add(gallery, 1, start=23, batch_id="third", recipe="morning", recipe_name="Morning")

    assert await _kept(gallery) == ["00000023"]


async def test_late_unsaved_image_stays_until_next_one(open_gallery: OpenGallery) -> None:
    gallery = await open_gallery(GalleryOptions(save_images=False))
    await _add(gallery, 1, start=5, batch_id="second")

    await _add(gallery, 1, start=1, batch_id="first")
    assert await _kept(gallery) == ["00000005", "00000001"]
    await _add(gallery, 1, start=6, batch_id="second")

    assert await _kept(gallery) == ["00000006", "00000005"]


async def test_saving_can_be_turned_off_and_on(
    open_gallery: OpenGallery, folder: Path, cache: Path
) -> None:
    await _add(await open_gallery(), 2)
    await _add(await open_gallery(GalleryOptions(save_images=False)), 2, start=2)
    assert len(_files(folder)) == 2
    gallery = await open_gallery()
    assert await _kept(gallery) == ["00000003", "00000002", "00000001", "00000000"]

    await _add(gallery, 1, start=4)

    assert await _kept(gallery) == ["00000004", "00000001", "00000000"]
    assert len(_files(folder)) == 3
    assert _files(cache / "newest") == []


async def test_image_added_again_moves_to_current_folder(
    open_gallery: OpenGallery, folder: Path, cache: Path
) -> None:
    await _add(await open_gallery(GalleryOptions(save_images=False)), 1)

    await _add(await open_gallery(), 1)

    assert len(_files(folder)) == 1
    assert _files(cache / "newest") == []


async def test_file_of_image_added_again_stays_until_backup_ends(
    hass: HomeAssistant, open_gallery: OpenGallery, folder: Path, cache: Path
) -> None:
    await _add(await open_gallery(GalleryOptions(save_images=False)), 1)
    gallery = await open_gallery()

    await async_pre_backup(hass)
    await _add(gallery, 1)
    assert len(list(folder.rglob("*.png"))) == 1
    assert len(_files(cache / "newest")) == 1

    await async_post_backup(hass)
    assert _files(cache / "newest") == []


async def test_unsaved_images_are_removed_at_start(
    open_gallery: OpenGallery, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    gallery = await open_gallery(GalleryOptions(save_images=False))
    await _add(gallery, 1, batch_id="first")

    unlink = os.unlink

    def busy(name: str, *, dir_fd: int | None = None) -> None:
        if name.endswith("_00000000.png"):
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        unlink(name, dir_fd=dir_fd)

    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", busy)
        await _add(gallery, 1, start=1, batch_id="second")
    assert len(_files(cache / "newest")) == 2

    await open_gallery()

    assert len(_files(cache / "newest")) == 1


async def test_emptied_cache_removes_unsaved_images(
    hass: HomeAssistant, open_gallery: OpenGallery, cache: Path
) -> None:
    await _add(await open_gallery(GalleryOptions(save_images=False)), 1)
    await hass.async_block_till_done(wait_background_tasks=True)  # thumbnails
    shutil.rmtree(cache)

    gallery = await open_gallery()

    assert gallery.newest() is None
    assert gallery.count == 0


# Folders


async def test_images_are_saved_in_configuration_without_media_directory(
    hass: HomeAssistant, open_gallery: OpenGallery, caplog: pytest.LogCaptureFixture
) -> None:
    hass.config.media_dirs = {}

    [kept] = await _add(await open_gallery(), 1)

    assert _files(Path(hass.config.path("media"))) == [f"gaze/gaze/{kept.path}"]
    assert "No media directory is configured" in caplog.text


async def test_folder_is_unchanged_when_server_is_renamed(
    hass: HomeAssistant, gallery: Gallery, folder: Path
) -> None:
    await _add(gallery, 1)
    await gallery.async_close()

    renamed = Gallery(hass, ENTRY_ID, "Picture maker")
    await renamed.async_open()
    [kept] = await _add(renamed, 1, start=1)
    await renamed.async_close()

    assert (folder / kept.path).is_file()


async def test_servers_with_same_name_have_separate_folders(
    hass: HomeAssistant, gallery: Gallery, media_dir: Path
) -> None:
    MockConfigEntry(domain=DOMAIN, title="GAZE", entry_id=ENTRY_ID).add_to_hass(hass)
    await _add(gallery, 1)

    other = Gallery(hass, "01K3GAZE000000000000OTHER2", "GAZE")
    await other.async_open()
    await _add(other, 1)
    await other.async_close()

    assert names(media_dir / "gaze") == ["gaze", "gaze_other2"]


async def test_removal_deletes_index_and_cache_but_no_images(
    hass: HomeAssistant, gallery: Gallery, folder: Path, cache: Path
) -> None:
    [kept] = await _add(gallery, 1)
    await gallery.async_content(kept, 256)
    await gallery.async_close()

    await Gallery(hass, ENTRY_ID, "GAZE").async_remove()

    assert _files(folder) == [kept.path]
    assert names(cache) == []
    assert "gaze" not in " ".join(names(Path(hass.config.path(".storage"))))


# Memory


async def test_only_newest_images_are_cached_in_memory(gallery: Gallery, folder: Path) -> None:
    [kept] = await _add(gallery, 1)
    first = await gallery.async_content(kept)
    second = await gallery.async_content(kept)
    assert second.data is first.data

    (folder / kept.path).write_bytes(picture(shade=99))
    assert await gallery.async_read(kept) == picture(shade=99)

    for number in range(5):
        [other] = await _add(gallery, 1, start=10 + number, preset=f"preset_{number}")
        await gallery.async_read(other)
    third = await gallery.async_content(kept)
    assert third.data == picture(shade=99)
    assert (await gallery.async_content(kept, known={third.etag})).data is None
