"""Tests of the image entities."""

from http import HTTPStatus
from pathlib import Path

from homeassistant.components.image import async_get_image
from homeassistant.const import ATTR_ENTITY_PICTURE, STATE_UNKNOWN
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.gaze.const import BRAND_IMAGE
from custom_components.gaze.gallery import Gallery, Image, ImageGoneError
from testing.gaze_server import GazeServer

from .common import make_image
from .gallery.pictures import image, picture


def _state(hass: HomeAssistant, entity_id: str) -> str:
    state = hass.states.get(entity_id)
    assert state is not None
    return state.state


async def test_preset_shows_its_newest_image(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    server: GazeServer,
    hass_client: ClientSessionGenerator,
) -> None:
    first = await make_image(hass, server, "neon_city")
    await make_image(hass, server, "paper_forest")

    client = await hass_client()
    response = await client.get("/api/image_proxy/image.gaze_neon_city")

    assert response.status == HTTPStatus.OK
    kept = await entry.runtime_data.gallery.async_get(first)
    assert await response.read() == await entry.runtime_data.gallery.async_read(kept)
    assert _state(hass, "image.gaze_latest_image") == _state(hass, "image.gaze_paper_forest")
    assert _state(hass, "image.gaze_neon_city") != _state(hass, "image.gaze_paper_forest")
    assert _state(hass, "image.gaze_oil_painting") == STATE_UNKNOWN


async def test_icon_is_shown_before_first_image(
    hass: HomeAssistant, entry: MockConfigEntry, server: GazeServer
) -> None:
    before = hass.states.get("image.gaze_neon_city")

    await make_image(hass, server, "neon_city")

    after = hass.states.get("image.gaze_neon_city")
    assert before is not None
    assert after is not None
    assert ATTR_ENTITY_PICTURE not in before.attributes
    assert after.attributes[ATTR_ENTITY_PICTURE].startswith("/api/image_proxy/")


async def test_returned_preset_shows_its_image(
    hass: HomeAssistant, entry: MockConfigEntry, server: GazeServer
) -> None:
    await make_image(hass, server, "neon_city")
    before = _state(hass, "image.gaze_neon_city")
    server.remove_preset("neon_city")
    await entry.runtime_data.async_refresh()
    await hass.async_block_till_done()
    server.put_preset("neon_city", "Neon city")

    await entry.runtime_data.async_refresh()
    await hass.async_block_till_done()

    assert _state(hass, "image.gaze_neon_city") == before


async def test_previous_image_is_shown_when_file_is_deleted(
    hass: HomeAssistant, entry: MockConfigEntry, server: GazeServer, media_dir: Path
) -> None:
    await make_image(hass, server, "neon_city")
    before = _state(hass, "image.gaze_neon_city")
    first = set(media_dir.rglob("*.png"))
    await make_image(hass, server, "neon_city")
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    (newest,) = set(media_dir.rglob("*.png")) - first
    newest.unlink()

    shown = await async_get_image(hass, "image.gaze_neon_city")

    assert shown.content == first.pop().read_bytes()
    assert _state(hass, "image.gaze_neon_city") == before


async def test_image_that_cannot_be_removed_from_index_raises_error(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    server: GazeServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reads = 0

    async def fail(_gallery: Gallery, _image: Image) -> bytes:
        nonlocal reads
        reads += 1
        assert reads < 100
        raise ImageGoneError("the image was deleted")

    await make_image(hass, server, "neon_city")
    monkeypatch.setattr(Gallery, "async_read", fail)

    with pytest.raises(HomeAssistantError):
        await async_get_image(hass, "image.gaze_neon_city")


async def test_brand_image_is_served_before_first_image(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    server: GazeServer,
    hass_client: ClientSessionGenerator,
) -> None:
    client = await hass_client()

    response = await client.get("/api/image_proxy/image.gaze_neon_city")

    assert response.status == HTTPStatus.OK
    assert response.content_type == "image/png"
    assert await response.read() == BRAND_IMAGE.read_bytes()
    assert _state(hass, "image.gaze_neon_city") == STATE_UNKNOWN


async def test_late_image_of_earlier_job_changes_no_state(
    hass: HomeAssistant, entry: MockConfigEntry, server: GazeServer
) -> None:
    await make_image(hass, server, "neon_city")
    before = _state(hass, "image.gaze_neon_city"), _state(hass, "image.gaze_latest_image")
    gallery = entry.runtime_data.gallery
    newest = gallery.newest()

    await gallery.async_add(image("late", made_at=newest.made_at - 2 * 24 * 3600), picture())
    entry.runtime_data.async_update_listeners()
    await hass.async_block_till_done()

    after = _state(hass, "image.gaze_neon_city"), _state(hass, "image.gaze_latest_image")
    assert after == before


async def test_previous_image_is_shown_when_image_is_hidden(
    hass: HomeAssistant, entry: MockConfigEntry, server: GazeServer
) -> None:
    await make_image(hass, server, "neon_city")
    before = _state(hass, "image.gaze_neon_city")
    second = await make_image(hass, server, "neon_city")
    shown = _state(hass, "image.gaze_neon_city")
    gallery = entry.runtime_data.gallery

    await gallery.async_mark([second], hidden=True)
    await hass.async_block_till_done()
    hidden = _state(hass, "image.gaze_neon_city")
    await gallery.async_mark([second], hidden=False)
    await hass.async_block_till_done()

    assert hidden == before != shown
    assert _state(hass, "image.gaze_neon_city") == shown
    assert _state(hass, "image.gaze_latest_image") == shown
