"""Tests of the thumbnails: made once, made again for another picture, few at a time."""

import asyncio
from io import BytesIO
import os
from pathlib import Path
import threading

from PIL import Image as Pillow
import pytest

from custom_components.gaze.gallery import (
    Gallery,
    GalleryError,
    picture as picture_module,
    thumbnails as thumbnails_module,
)

from .pictures import MADE_AT, image, names, picture, put


class Counter:
    """Makes thumbnails and counts how many, and how many at a time."""

    def __init__(self) -> None:
        """Start at none."""
        self.made = 0
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()

    def shrink(self, content: bytes, side: int) -> bytes:
        """Make one."""
        with self._lock:
            self._at_once += 1
            self.made += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        result = picture_module.shrink(content, side)
        with self._lock:
            self._at_once -= 1
        return result


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> Counter:
    counter = Counter()
    monkeypatch.setattr(thumbnails_module, "shrink", counter.shrink)
    return counter


@pytest.mark.parametrize("side", [256, 512])
async def test_a_thumbnail_is_made_once(
    gallery: Gallery, counter: Counter, cache: Path, side: int
) -> None:
    kept = await gallery.async_add(image(), picture(size=(1000, 600)))

    first = await gallery.async_content(kept, side)
    second = await gallery.async_content(kept, side)
    third = await gallery.async_content(kept, side, {first.etag})

    assert first == second
    assert first.content_type == "image/webp"
    assert first.data is not None
    with Pillow.open(BytesIO(first.data)) as opened:
        assert max(opened.size) == side
    assert (third.data, third.etag) == (None, first.etag)
    assert counter.made == 1
    assert len(names(cache / "thumbnails")) == 1


async def test_whoever_asks_at_the_same_time_gets_the_same(
    gallery: Gallery, counter: Counter
) -> None:
    kept = await gallery.async_add(image(), picture(size=(1000, 600)))

    contents = await asyncio.gather(*(gallery.async_content(kept, 256) for _ in range(8)))

    assert len(set(contents)) == 1
    assert counter.made == 1


async def test_few_are_made_at_a_time(gallery: Gallery, counter: Counter) -> None:
    images = [
        await gallery.async_add(
            image(f"job-{number}", made_at=MADE_AT + number), picture(size=(900, 900), shade=number)
        )
        for number in range(8)
    ]

    await asyncio.gather(*(gallery.async_content(kept, 256) for kept in images))

    assert counter.made == 8
    assert counter.most_at_once <= 2


async def test_another_picture_gets_another_thumbnail(
    gallery: Gallery, counter: Counter, folder: Path
) -> None:
    kept = await gallery.async_add(image(), picture(size=(600, 300)))
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


async def test_a_file_that_became_no_picture_is_an_error(gallery: Gallery, folder: Path) -> None:
    kept = await gallery.async_add(image(), picture())
    (folder / kept.path).write_bytes(b"<html>")

    with pytest.raises(GalleryError, match="cannot be made smaller"):
        await gallery.async_content(kept, 256)
    assert gallery.count == 1


async def test_a_cache_that_cannot_be_written_costs_only_time(
    gallery: Gallery, counter: Counter, cache: Path
) -> None:
    put(cache, b"a file where a folder should be")
    kept = await gallery.async_add(image(), picture())

    first = await gallery.async_content(kept, 256)
    second = await gallery.async_content(kept, 256)

    assert first == second
    assert counter.made == 2
    assert await gallery.async_delete([kept]) == 1
