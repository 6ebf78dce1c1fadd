"""Fixtures for tests of the gallery without a server."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path

from homeassistant.core import HomeAssistant
import pytest

from custom_components.gaze.gallery import Gallery, GalleryOptions

ENTRY_ID = "01K3GAZE00000000000000TEST"

type OpenGallery = Callable[..., Awaitable[Gallery]]


@pytest.fixture
async def open_gallery(
    hass: HomeAssistant,
    media_dir: Path,
) -> AsyncGenerator[OpenGallery]:
    """Return a function that closes and opens the gallery, as a restart does."""
    galleries: list[Gallery] = []

    async def open_it(
        options: GalleryOptions | None = None, on_removed: Callable[[], None] | None = None
    ) -> Gallery:
        for gallery in galleries:
            await gallery.async_close()
        galleries[:] = [Gallery(hass, ENTRY_ID, "GAZE", options, on_removed)]
        await galleries[0].async_open()
        return galleries[0]

    yield open_it

    for gallery in galleries:
        await gallery.async_close()


@pytest.fixture
async def gallery(open_gallery: OpenGallery) -> Gallery:
    """Return an open gallery without images."""
    return await open_gallery()


@pytest.fixture
def folder(media_dir: Path) -> Path:
    """Return the folder of the gallery, which does not exist yet."""
    return media_dir / "gaze" / "gaze"


@pytest.fixture
def cache(hass: HomeAssistant) -> Path:
    """Return the gallery's folder in the cache directory."""
    return Path(hass.config.cache_path("gaze", ENTRY_ID))
