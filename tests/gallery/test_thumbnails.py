"""Tests of thumbnails."""

import asyncio
from io import BytesIO
import os
from pathlib import Path
import resource
import threading

from homeassistant.core import HomeAssistant
from PIL import Image as Pillow
import pytest

from custom_components.gaze.gallery import (
    Gallery,
    GalleryError,
    decoding,
    thumbnails as thumbnails_module,
)

from .pictures import MADE_AT, image, names, picture, put


class Counter:
    """Creates thumbnails, and counts all and simultaneous ones."""

    def __init__(self) -> None:
        """Start with zero."""
        self.made = 0
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()

    def shrink(self, content: bytes, *sides: int) -> list[bytes]:
        """Create the thumbnails of one image."""
        with self._lock:
            self._at_once += 1
            self.made += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        result = decoding.shrink(content, *sides)
        with self._lock:
            self._at_once -= 1
        return result


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> Counter:
    counter = Counter()
    monkeypatch.setattr(thumbnails_module, "shrink", counter.shrink)
    return counter


@pytest.mark.parametrize("side", [256, 512])
async def test_thumbnail_is_created_once(
    hass: HomeAssistant, gallery: Gallery, counter: Counter, cache: Path, side: int
) -> None:
    kept = await gallery.async_add(image(), picture(size=(1000, 600)))
    await hass.async_block_till_done(wait_background_tasks=True)

    first = await gallery.async_content(kept, side)
    second = await gallery.async_content(kept, side)
    third = await gallery.async_content(kept, side, {first.etag})

    assert first == second
    assert first.content_type == "image/webp"
    assert first.data is not None
    with Pillow.open(BytesIO(first.data)) as opened:
        assert max(opened.size) == side
    assert (third.data, third.etag) == (None, first.etag)
    assert counter.made == 1  # when the image was saved
    assert len(names(cache / "thumbnails")) == 2


async def test_simultaneous_requests_get_same_thumbnail(gallery: Gallery, counter: Counter) -> None:
    kept = await gallery.async_add(image(), picture(size=(1000, 600)))

    contents = await asyncio.gather(*(gallery.async_content(kept, 256) for _ in range(8)))

    assert len(set(contents)) == 1
    assert counter.made == 1


async def test_few_thumbnails_are_created_at_once(gallery: Gallery, counter: Counter) -> None:
    images = [
        await gallery.async_add(
            image(f"job-{number}", made_at=MADE_AT + number), picture(size=(900, 900), shade=number)
        )
        for number in range(8)
    ]

    await asyncio.gather(*(gallery.async_content(kept, 256) for kept in images))

    assert counter.made == 8
    assert counter.most_at_once <= 2


async def test_changed_image_gets_new_thumbnail(
    hass: HomeAssistant, gallery: Gallery, counter: Counter, folder: Path
) -> None:
    kept = await gallery.async_add(image(), picture(size=(600, 300)))
    await hass.async_block_till_done(wait_background_tasks=True)
    first = await gallery.async_content(kept, 256)

    file = folder / kept.path
    file.write_bytes(picture(size=(300, 600)))
    os.utime(file, (MADE_AT, MADE_AT))
    second = await gallery.async_content(kept, 256)

    assert second.data is not None
    with Pillow.open(BytesIO(second.data)) as opened:
        assert opened.size == (128, 256)
    assert second.etag != first.etag
    assert counter.made == 2


async def test_damaged_file_raises_error(gallery: Gallery, folder: Path) -> None:
    kept = await gallery.async_add(image(), picture())
    (folder / kept.path).write_bytes(b"<html>")

    with pytest.raises(GalleryError, match="cannot be made smaller"):
        await gallery.async_content(kept, 256)
    assert gallery.count == 1


async def test_thumbnail_works_when_cache_is_read_only(
    hass: HomeAssistant, gallery: Gallery, counter: Counter, cache: Path
) -> None:
    put(cache, b"a file where a folder should be")
    kept = await gallery.async_add(image(), picture())
    await hass.async_block_till_done(wait_background_tasks=True)

    first = await gallery.async_content(kept, 256)
    second = await gallery.async_content(kept, 256)

    assert first == second
    assert counter.made == 3
    assert await gallery.async_delete([kept]) == 1


@pytest.mark.parametrize("resolution", [100, 10_000_000, 2_000_000_000])
async def test_thumbnail_matches_with_coarse_timestamps(
    hass: HomeAssistant,
    gallery: Gallery,
    counter: Counter,
    monkeypatch: pytest.MonkeyPatch,
    resolution: int,
) -> None:
    monkeypatch.setattr(
        thumbnails_module,
        "modified_ns",
        lambda found: found.st_mtime_ns // resolution * resolution,
    )
    kept = await gallery.async_add(image(), picture(size=(1000, 600)))
    await hass.async_block_till_done(wait_background_tasks=True)

    await gallery.async_content(kept, 256)

    assert counter.made == 1


async def test_image_added_again_gets_new_thumbnails(
    hass: HomeAssistant, gallery: Gallery, counter: Counter
) -> None:
    await gallery.async_add(image(), picture(size=(600, 300)))
    await hass.async_block_till_done(wait_background_tasks=True)
    kept = await gallery.async_add(image(), picture(size=(300, 600)))
    await hass.async_block_till_done(wait_background_tasks=True)

    thumbnail = await gallery.async_content(kept, 256)

    assert counter.made == 2
    with Pillow.open(BytesIO(thumbnail.data or b"")) as opened:
        assert opened.size == (128, 256)


async def test_full_cache_has_no_partial_thumbnail(
    hass: HomeAssistant, gallery: Gallery, cache: Path
) -> None:
    kept = await gallery.async_add(image(), picture(size=(1000, 600)))
    await hass.async_block_till_done(wait_background_tasks=True)
    for thumbnail in (cache / "thumbnails").iterdir():
        thumbnail.unlink()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        content = await gallery.async_content(kept, 256)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert len(content.data or b"") > 10
    assert names(cache / "thumbnails") == []
