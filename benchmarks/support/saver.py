"""Saves images with the gallery of the checkout given, and prints its figures as JSON.

`benchmarks.saving` runs it for this checkout and for that of version 0.1.0, so it uses only what
both have: `saver.py CHECKOUT FOLDER IMAGES SCANNED`.
"""

import asyncio
import json
from pathlib import Path
import selectors
import sys
import time
from typing import override

CHECKOUT, FOLDER, IMAGES, SCANNED = sys.argv[1:]
sys.path.insert(0, CHECKOUT)

from homeassistant.config_entries import ConfigEntries  # noqa: E402 - needs the path
from homeassistant.core import HomeAssistant  # noqa: E402

from custom_components.gaze.gallery import Gallery, GalleryOptions, Image  # noqa: E402


class StepSelector(selectors.DefaultSelector):
    """A selector that notes the CPU time of the longest step of the event loop."""

    def __init__(self) -> None:
        """Start at zero."""
        super().__init__()
        self.longest = 0.0
        self._woke = time.thread_time()

    @override
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """End a step, wait, and begin the next one."""
        self.longest = max(self.longest, time.thread_time() - self._woke)
        found = super().select(timeout)
        self._woke = time.thread_time()
        return found


def image(number: int) -> Image:
    """Return an image to save."""
    return Image(
        job_id=f"{number:08x}-0000-4000-8000-{number:012x}",
        preset=f"preset_{number % 5}",
        preset_name=f"Preset {number % 5}",
        batch_id=f"batch-{number // 4}",
        tag=None,
        seed=str(number),
        checkpoint=None,
        extra_positive="rain on glass, wide street, reflections",
        extra_negative=None,
        made_at=1_767_225_600.0 + 60 * number,
    )


def put_files(folder: Path, content: bytes) -> None:
    """Write files that have the names of images."""
    for number in range(int(SCANNED)):
        path = folder / f"found_{number % 5}" / f"20260101-000000_{number}_{number:08x}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)


async def save(selector: StepSelector, content: bytes, small: bytes) -> dict[str, object]:
    """Save images, then open a gallery with many."""
    hass = HomeAssistant(FOLDER)
    hass.config_entries = ConfigEntries(hass, {})
    hass.config.media_dirs = {"local": str(Path(FOLDER, "media"))}
    options = GalleryOptions(keep_images=0)
    gallery = Gallery(hass, "bench", "Bench", options)
    await gallery.async_open()
    await gallery.async_add(image(0), content)
    times = []
    selector.longest = 0.0
    for number in range(1, int(IMAGES) + 1):
        began = time.perf_counter()
        await gallery.async_add(image(number), content)
        times.append(time.perf_counter() - began)
        # GAZE generates one image after the other, so the thumbnails are finished before the next.
        await hass.async_block_till_done(wait_background_tasks=True)
    step_of_saving = selector.longest
    await gallery.async_close()

    if int(SCANNED):
        gallery = Gallery(hass, "bench", "Bench", options)
        put_files(Path(FOLDER, "media", "gaze", "bench"), small)
        await gallery.async_open()
        await gallery.async_adopt({})
        await gallery.async_close()
    opened = []
    selector.longest = 0.0
    for _ in range(5):
        gallery = Gallery(hass, "bench", "Bench", options)
        began = time.perf_counter()
        await gallery.async_open()
        opened.append(time.perf_counter() - began)
        await gallery.async_close()
    count = gallery.count
    await hass.async_stop(force=True)
    return {
        "times": times,
        "step_of_saving": step_of_saving,
        "opened": opened,
        "step_of_opening": selector.longest,
        "count": count,
    }


def main() -> None:
    """Run in an event loop that is measured."""
    selector = StepSelector()
    content, small = (Path(FOLDER, name).read_bytes() for name in ("typical.png", "small.png"))
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        print(json.dumps(runner.run(save(selector, content, small))))


main()
