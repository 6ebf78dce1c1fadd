"""Tests of images that wait in the cache."""

from pathlib import Path

from homeassistant.core import HomeAssistant
import pytest

from custom_components.gaze.const import DOMAIN
from custom_components.gaze.jobs import HeldImages, held

from .common import job

CONTENT = b"image"


@pytest.fixture
def folder(hass: HomeAssistant) -> Path:
    return Path(hass.config.cache_path(DOMAIN, "entry")) / "held"


async def test_image_is_held_until_discarded(hass: HomeAssistant, folder: Path) -> None:
    images = HeldImages(hass, "entry")
    one, other = (job(job_id, source_url="/a.png") for job_id in ("one", "other"))

    await images.async_write(one, CONTENT)
    await images.async_discard(other)
    found = await images.async_read(one)
    await images.async_discard(one)

    assert found == CONTENT
    assert await images.async_read(one) is None
    assert list(folder.iterdir()) == []


async def test_image_is_not_held_for_job_with_same_id_and_other_address(
    hass: HomeAssistant, folder: Path
) -> None:
    images = HeldImages(hass, "entry")
    await images.async_write(job("one", source_url="/a.png"), CONTENT)

    assert await images.async_read(job("one", source_url="/b.png")) is None


async def test_image_is_not_held_beyond_limit(
    hass: HomeAssistant, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held, "MAX_HELD", len(CONTENT) + 1)
    images = HeldImages(hass, "entry")
    one, other = (job(job_id, source_url="/a.png") for job_id in ("one", "other"))

    await images.async_write(one, CONTENT)
    await images.async_write(other, CONTENT)

    assert await images.async_read(one) == CONTENT
    assert await images.async_read(other) is None


async def test_image_is_not_held_when_cache_cannot_be_written(
    hass: HomeAssistant, folder: Path
) -> None:
    folder.parent.mkdir(parents=True)
    folder.write_text("A file where the folder should be")
    images = HeldImages(hass, "entry")
    one = job("one", source_url="/a.png")

    await images.async_write(one, CONTENT)
    await images.async_discard_others([])

    assert await images.async_read(one) is None


async def test_only_images_of_named_jobs_stay(hass: HomeAssistant, folder: Path) -> None:
    images = HeldImages(hass, "entry")
    one, other = (job(job_id, source_url="/a.png") for job_id in ("one", "other"))
    for each in (one, other):
        await images.async_write(each, CONTENT)

    await images.async_discard_others([one])

    assert await images.async_read(one) == CONTENT
    assert await images.async_read(other) is None
