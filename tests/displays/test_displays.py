"""Displays show images of their source, and survive what happens in a home."""

import asyncio
from datetime import timedelta
from http import HTTPStatus
import os
from pathlib import Path
import threading
from typing import Any

from homeassistant.const import EVENT_HOMEASSISTANT_FINAL_WRITE
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr, entity_registry as er
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_time_changed

from custom_components.gaze.diagnostics import async_get_config_entry_diagnostics
from custom_components.gaze.displays import Player, ShownImage, async_listen_for_shown_images
from custom_components.gaze.displays.manager import displays_store
from custom_components.gaze.gallery import GalleryError
from testing.gaze_server import GazeServer

from ..common import press
from ..gallery.pictures import image as make_picture, picture
from .conftest import (
    OTHER,
    PRESET,
    AddDisplay,
    AddImage,
    Screen,
    change_display,
    display_device,
    displays_of,
    settle,
)

HOLD = "switch.gaze_hall_hold"


async def turn(hass: HomeAssistant, action: str) -> None:
    """Turn the hold of the display on or off."""
    await hass.services.async_call("switch", f"turn_{action}", {"entity_id": HOLD}, blocking=True)
    await settle(hass)


async def call(hass: HomeAssistant, action: str, **fields: Any) -> None:
    """Call an action that changes images, and wait until the displays took note of it."""
    await hass.services.async_call("gaze", action, fields, blocking=True)
    await settle(hass)


async def reload(hass: HomeAssistant, entry: MockConfigEntry) -> Player:
    """Reload the server and return its display."""
    await hass.config_entries.async_reload(entry.entry_id)
    await settle(hass)
    [player] = displays_of(entry).players
    return player


def copies(hass: HomeAssistant) -> list[Path]:
    """Return the files with images that displays show."""
    return [
        file
        for file in Path(hass.config.path(".storage")).glob("*.display_images/*")
        if file.is_file()
    ]


# Entities


async def test_new_display_has_entities_without_reload(
    hass: HomeAssistant, entry: MockConfigEntry, add_display: AddDisplay
) -> None:
    coordinator = entry.runtime_data

    await add_display()

    assert entry.runtime_data is coordinator
    for entity_id in (
        "image.gaze_hall",
        "button.gaze_hall_next",
        "button.gaze_hall_previous",
        "button.gaze_hall_new_address",
        HOLD,
        "sensor.gaze_hall_last_fetched",
    ):
        assert hass.states.get(entity_id) is not None, entity_id


async def test_image_entity_has_bytes_of_address(
    hass: HomeAssistant, add_display: AddDisplay, add_image: AddImage, screen: Screen
) -> None:
    player = await add_display(width=80, height=40, rendering={"format": "bmp"})
    await add_image()

    fetched = await screen.fetch(player)

    entity = hass.data["entity_components"]["image"].get_entity("image.gaze_hall")
    assert fetched.headers["Content-Type"] == entity.content_type == "image/bmp"
    assert fetched.content == await entity.async_image()
    assert fetched.image.size == (80, 40)


async def test_fetch_is_shown_by_sensor(
    hass: HomeAssistant, add_display: AddDisplay, screen: Screen
) -> None:
    player = await add_display()
    assert hass.states.is_state("sensor.gaze_hall_last_fetched", "unknown")

    await screen.fetch(player, "HEAD")
    assert hass.states.is_state("sensor.gaze_hall_last_fetched", "unknown")
    await screen.fetch(player)

    assert not hass.states.is_state("sensor.gaze_hall_last_fetched", "unknown")


async def test_diagnostics_describe_display_without_its_token(
    hass: HomeAssistant, entry: MockConfigEntry, add_display: AddDisplay
) -> None:
    player = await add_display(width=80, height=40)

    diagnostics = await async_get_config_entry_diagnostics(hass, entry)

    assert diagnostics["displays"][0]["width"] == 80
    assert player.state.token not in str(diagnostics)
    assert "Hall" not in str(diagnostics)


# Sources


async def test_display_without_image_serves_brand_image(
    add_display: AddDisplay, screen: Screen
) -> None:
    player = await add_display(width=80, height=40, rendering={"format": "png"})

    fetched = await screen.fetch(player)

    assert (fetched.status, fetched.headers["Content-Type"]) == (HTTPStatus.OK, "image/png")
    assert fetched.image.size == (80, 40)
    assert len(set(fetched.image.convert("RGB").tobytes())) > 10  # it is drawn, not plain


async def test_display_shows_new_image(add_display: AddDisplay, add_image: AddImage) -> None:
    player = await add_display()

    job_id = await add_image()

    assert player.state.shown == job_id


async def test_display_of_preset_ignores_other_presets(
    add_display: AddDisplay, add_image: AddImage
) -> None:
    player = await add_display(source="preset", source_value="Neon city")

    wanted = await add_image(PRESET)
    await add_image(OTHER)

    assert player.state.shown == wanted


async def test_display_of_favorites_shows_favorites_only(
    hass: HomeAssistant, add_display: AddDisplay, add_image: AddImage
) -> None:
    player = await add_display(source="favorites")
    wanted = await add_image()
    await add_image()
    assert player.state.shown is None

    await call(hass, "mark_images", job_id=wanted, favorite=True)

    assert player.state.shown == wanted


async def test_display_of_tag_shows_tagged_image(
    hass: HomeAssistant, server: GazeServer, add_display: AddDisplay, add_image: AddImage
) -> None:
    player = await add_display(source="tag", source_value=" door ")
    await add_image()
    assert player.state.shown is None

    await hass.services.async_call("gaze", "generate", {"preset": PRESET, "tag": "door"})
    await hass.async_block_till_done()
    job_id = await server.finish()
    await hass.services.async_call(
        "gaze", "wait", {"job_id": job_id}, blocking=True, return_response=True
    )
    await settle(hass)

    assert player.state.shown == job_id


async def test_changed_source_is_shown_immediately(
    hass: HomeAssistant, entry: MockConfigEntry, add_display: AddDisplay, add_image: AddImage
) -> None:
    wanted = await add_image(PRESET)
    other = await add_image(OTHER)
    player = await add_display(changing={"advance": "never"})
    assert player.state.shown == other

    await change_display(
        hass,
        entry,
        player,
        source="preset",
        source_value=PRESET,
        changing={"advance": "never"},
    )

    assert player.state.shown == wanted


# Order


async def test_next_and_previous_move_through_images(
    hass: HomeAssistant, add_display: AddDisplay, add_image: AddImage
) -> None:
    player = await add_display()
    made = [await add_image() for _ in range(3)]

    shown = []
    for button in ("next", "next", "next", "previous", "previous", "previous", "previous"):
        await press(hass, f"button.gaze_hall_{button}")
        shown.append(made.index(player.state.shown or ""))

    assert shown == [1, 0, 2, 0, 1, 2, 1]


async def test_next_goes_on_after_deleted_image(
    hass: HomeAssistant, add_display: AddDisplay, add_image: AddImage
) -> None:
    made = [await add_image() for _ in range(3)]
    player = await add_display()
    await press(hass, "button.gaze_hall_next")
    assert player.state.shown == made[1]
    await call(hass, "delete_images", job_id=made[1])

    await press(hass, "button.gaze_hall_next")

    assert player.state.shown == made[0]


async def test_previous_skips_deleted_and_hidden_images(
    hass: HomeAssistant, add_display: AddDisplay, add_image: AddImage
) -> None:
    player = await add_display()
    made = [await add_image() for _ in range(4)]
    await call(hass, "delete_images", job_id=made[2])
    await call(hass, "mark_images", job_id=made[1], hidden=True)

    await press(hass, "button.gaze_hall_previous")

    assert player.state.shown == made[0]


async def test_shuffled_display_shows_each_image_before_repeating(
    hass: HomeAssistant, add_display: AddDisplay, add_image: AddImage
) -> None:
    made = {await add_image() for _ in range(4)}
    player = await add_display(changing={"order": "shuffle", "advance": "never"})

    for _ in range(3):
        shown = [player.state.shown]
        for _ in range(3):
            await press(hass, "button.gaze_hall_next")
            shown.append(player.state.shown)
        assert set(shown) == made
        await press(hass, "button.gaze_hall_next")


async def test_shuffled_display_repeats_nothing_after_reload(
    hass: HomeAssistant, entry: MockConfigEntry, add_display: AddDisplay, add_image: AddImage
) -> None:
    made = {await add_image() for _ in range(4)}
    player = await add_display(changing={"order": "shuffle", "advance": "never"})
    shown = [player.state.shown]

    for _ in range(3):
        player = await reload(hass, entry)
        await press(hass, "button.gaze_hall_next")
        shown.append(player.state.shown)

    assert len(shown) == len(made)
    assert set(shown) == made


async def test_displays_with_same_name_are_separate(
    hass: HomeAssistant,
    add_display: AddDisplay,
    add_image: AddImage,
    screen: Screen,
) -> None:
    one, other = await add_display(width=64, height=32), await add_display(width=32, height=64)
    older, newer = await add_image(), await add_image()

    await press(hass, "button.gaze_hall_next_2")

    assert (one.state.shown, other.state.shown) == (newer, older)
    assert [(await screen.fetch(each)).image.size for each in (one, other)] == [(64, 32), (32, 64)]


async def test_display_that_never_advances_ignores_new_image(
    add_display: AddDisplay, add_image: AddImage, screen: Screen
) -> None:
    first = await add_image()
    player = await add_display(changing={"advance": "never"})

    await add_image()
    await screen.fetch(player)

    assert player.state.shown == first


async def test_display_advances_in_its_interval(
    hass: HomeAssistant, add_display: AddDisplay, add_image: AddImage
) -> None:
    older, newer = await add_image(), await add_image()
    player = await add_display(changing={"advance": "interval", "advance_minutes": 30})
    assert player.state.shown == newer

    for minutes, shown in ((29, newer), (31, older), (62, newer)):
        async_fire_time_changed(hass, dt_util.utcnow() + timedelta(minutes=minutes))
        await settle(hass)
        assert player.state.shown == shown


async def test_reload_does_not_begin_interval_again(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    add_display: AddDisplay,
    add_image: AddImage,
) -> None:
    older, newer = await add_image(), await add_image()
    player = await add_display(changing={"advance": "interval", "advance_minutes": 30})
    assert player.state.shown_at is not None
    player.state.shown_at -= 20 * 60

    player = await reload(hass, entry)

    for minutes, shown in ((9, newer), (11, older)):
        async_fire_time_changed(hass, dt_util.utcnow() + timedelta(minutes=minutes))
        await settle(hass)
        assert player.state.shown == shown


async def test_clock_that_was_set_back_begins_interval_again(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    add_display: AddDisplay,
    add_image: AddImage,
) -> None:
    older, newer = await add_image(), await add_image()
    player = await add_display(changing={"advance": "interval", "advance_minutes": 30})
    assert player.state.shown_at is not None
    player.state.shown_at += 13 * 3600

    player = await reload(hass, entry)

    for minutes, shown in ((29, newer), (31, older)):
        async_fire_time_changed(hass, dt_util.utcnow() + timedelta(minutes=minutes))
        await settle(hass)
        assert player.state.shown == shown


async def test_held_display_goes_on_in_next_interval(
    hass: HomeAssistant, add_display: AddDisplay, add_image: AddImage
) -> None:
    older, newer = await add_image(), await add_image()
    player = await add_display(changing={"advance": "interval", "advance_minutes": 30})
    await turn(hass, "on")
    async_fire_time_changed(hass, dt_util.utcnow() + timedelta(minutes=31))
    await settle(hass)
    assert player.state.shown == newer
    await turn(hass, "off")

    async_fire_time_changed(hass, dt_util.utcnow() + timedelta(minutes=62))
    await settle(hass)

    assert player.state.shown == older


async def test_display_advances_after_fetch_but_not_after_head(
    hass: HomeAssistant, add_display: AddDisplay, add_image: AddImage, screen: Screen
) -> None:
    older, newer = await add_image(), await add_image()
    player = await add_display(changing={"advance": "on_fetch"})

    await screen.fetch(player, "HEAD")
    await settle(hass)
    assert player.state.shown == newer
    await screen.fetch(player)
    await settle(hass)
    assert player.state.shown == older


# Hold


async def test_held_display_keeps_image_across_reload(
    hass: HomeAssistant, entry: MockConfigEntry, add_display: AddDisplay, add_image: AddImage
) -> None:
    await add_display()
    held = await add_image()
    await turn(hass, "on")

    player = await reload(hass, entry)
    await add_image()

    assert player.state.shown == held
    assert hass.states.is_state(HOLD, "on")


async def test_released_display_shows_image_that_was_made_meanwhile(
    hass: HomeAssistant, add_display: AddDisplay, add_image: AddImage
) -> None:
    player = await add_display()
    await add_image()
    await turn(hass, "on")
    newest = await add_image()

    await turn(hass, "off")

    assert player.state.shown == newest


# Hidden and deleted images


async def test_hidden_image_is_replaced_even_on_hold(
    hass: HomeAssistant, add_display: AddDisplay, add_image: AddImage
) -> None:
    player = await add_display()
    older, newer = await add_image(), await add_image()
    await turn(hass, "on")

    await call(hass, "mark_images", job_id=newer, hidden=True)

    assert player.state.shown == older


async def test_only_image_that_is_hidden_gives_way_to_brand_image(
    hass: HomeAssistant, add_display: AddDisplay, add_image: AddImage, screen: Screen
) -> None:
    player = await add_display(width=80, height=40)
    brand = (await screen.fetch(player)).content
    job_id = await add_image()
    assert (await screen.fetch(player)).content != brand

    await call(hass, "mark_images", job_id=job_id, hidden=True)

    assert (await screen.fetch(player)).content == brand
    assert copies(hass) == []


async def test_image_that_is_shown_again_returns_to_display(
    hass: HomeAssistant, add_display: AddDisplay, add_image: AddImage
) -> None:
    player = await add_display()
    await add_image()
    newer = await add_image()
    await call(hass, "mark_images", job_id=newer, hidden=True)

    await call(hass, "mark_images", job_id=newer, hidden=False)

    assert player.state.shown == newer


async def test_display_shows_deleted_image_until_next_one(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    add_display: AddDisplay,
    add_image: AddImage,
    screen: Screen,
) -> None:
    player = await add_display(width=80, height=40)
    await add_image()
    job_id = await add_image()
    before = (await screen.fetch(player)).content

    await call(hass, "delete_images", job_id=job_id)
    player = await reload(hass, entry)

    assert (await screen.fetch(player)).content == before
    next_one = await add_image()
    assert player.state.shown == next_one


async def add_image_of_future(entry: MockConfigEntry) -> None:
    """Add the image `future`, which was made while the clock was 13 hours ahead."""
    future = dt_util.utcnow().timestamp() + 13 * 3600
    image = make_picture("future", made_at=future, number=int(future * 1_000_000))
    await entry.runtime_data.gallery.async_add(image, picture())


async def test_display_shows_new_image_after_clock_was_corrected(
    hass: HomeAssistant, entry: MockConfigEntry, add_display: AddDisplay, add_image: AddImage
) -> None:
    player = await add_display()
    await add_image()
    await add_image_of_future(entry)
    displays_of(entry).async_update()
    await settle(hass)
    assert player.state.shown == "future"

    await call(hass, "delete_images", job_id="future")
    newer = await add_image()

    assert player.state.shown == newer


async def test_next_goes_on_after_image_of_wrong_clock_was_deleted(
    hass: HomeAssistant, entry: MockConfigEntry, add_display: AddDisplay, add_image: AddImage
) -> None:
    oldest = await add_image()
    await add_image_of_future(entry)
    newest = await add_image()
    player = await add_display(changing={"advance": "interval"})
    await player.async_next()
    assert player.state.shown == "future"
    await call(hass, "delete_images", job_id="future")

    for shown in (oldest, newest):
        await player.async_next()
        assert player.state.shown == shown


async def test_display_keeps_image_when_stored_state_lacks_number_of_newest(
    hass: HomeAssistant, entry: MockConfigEntry, add_display: AddDisplay, add_image: AddImage
) -> None:
    player = await add_display()
    shown, _, newest = await add_image(), await add_image(), await add_image()
    await player.async_previous()
    await player.async_previous()
    player.state.newest_number = 0
    await call(hass, "delete_images", job_id=newest)

    player = await reload(hass, entry)
    assert player.state.shown == shown
    newest = await add_image()

    assert player.state.shown == newest


# Address


async def test_fetch_with_etag_gets_304_until_image_changes(
    add_display: AddDisplay, add_image: AddImage, screen: Screen
) -> None:
    player = await add_display(width=80, height=40)
    await add_image()
    head = await screen.fetch(player, "HEAD")
    first = await screen.fetch(player)
    assert head.headers["ETag"] == first.headers["ETag"]
    assert int(head.headers["Content-Length"]) == len(first.content)
    assert head.content == b""
    assert first.headers["Cache-Control"] == "no-cache"
    known = {"If-None-Match": first.headers["ETag"]}

    assert (await screen.fetch(player, headers=known)).status == HTTPStatus.NOT_MODIFIED
    await add_image()
    assert (await screen.fetch(player, headers=known)).status == HTTPStatus.OK


async def test_304_needs_neither_image_nor_rendering(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    add_display: AddDisplay,
    add_image: AddImage,
    screen: Screen,
) -> None:
    player = await add_display(width=80, height=40)
    await add_image()
    etag = (await screen.fetch(player)).headers["ETag"]
    for file in (*copies(hass), *rendered_files(hass, entry)):
        file.unlink()

    unchanged = await screen.fetch(player, headers={"If-None-Match": etag})

    assert unchanged.status == HTTPStatus.NOT_MODIFIED
    assert unchanged.headers["ETag"] == etag
    assert rendered_files(hass, entry) == []


def rendered_files(hass: HomeAssistant, entry: MockConfigEntry) -> list[Path]:
    """Return the cached renderings of all displays."""
    cache = Path(hass.config.cache_path("gaze", entry.entry_id)) / "displays"
    return [file for file in cache.rglob("*") if file.is_file()]


async def test_new_address_ends_old_one(
    hass: HomeAssistant, entry: MockConfigEntry, add_display: AddDisplay, screen: Screen
) -> None:
    hass.config.internal_url = "http://192.168.1.5:8123"
    player = await add_display()
    old = screen.path(player)

    await press(hass, "button.gaze_hall_new_address")

    assert (await screen.request(old)).status == HTTPStatus.NOT_FOUND
    assert (await screen.fetch(player)).status == HTTPStatus.OK
    url = display_device(hass, entry, player).configuration_url
    assert url == f"http://192.168.1.5:8123{screen.path(player)}"
    player = await reload(hass, entry)
    assert (await screen.request(old)).status == HTTPStatus.NOT_FOUND
    assert (await screen.fetch(player)).status == HTTPStatus.OK


async def test_device_links_to_address_only_while_it_is_on(
    hass: HomeAssistant, entry: MockConfigEntry, add_display: AddDisplay
) -> None:
    hass.config.internal_url = "http://192.168.1.5:8123"
    player = await add_display(address=False)
    assert display_device(hass, entry, player).configuration_url is None

    await change_display(hass, entry, player, address=True)
    assert display_device(hass, entry, player).configuration_url is not None
    await change_display(hass, entry, player, address=False)
    assert display_device(hass, entry, player).configuration_url is None


async def test_device_links_to_new_address_of_home_assistant(
    hass: HomeAssistant, entry: MockConfigEntry, add_display: AddDisplay, screen: Screen
) -> None:
    player = await add_display()

    await hass.config.async_update(internal_url="http://192.168.1.9:8123")
    await hass.async_block_till_done()

    url = display_device(hass, entry, player).configuration_url
    assert url == f"http://192.168.1.9:8123{screen.path(player)}"


async def test_home_assistant_without_address_has_path_only(
    hass: HomeAssistant, entry: MockConfigEntry, add_display: AddDisplay
) -> None:
    hass.config.api = None
    player = await add_display()

    displays = displays_of(entry)
    assert displays.url(player.display.display_id) is None
    assert displays.url("unknown") is None
    assert displays.path(player) is not None
    assert display_device(hass, entry, player).configuration_url is None


# Life


async def test_display_survives_restart_without_server(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    add_display: AddDisplay,
    add_image: AddImage,
    screen: Screen,
) -> None:
    player = await add_display(width=80, height=40)
    await add_image()
    before = await screen.fetch(player)
    server.set_online(False)

    player = await reload(hass, entry)

    after = await screen.fetch(player, headers={"If-None-Match": before.headers["ETag"]})
    assert after.status == HTTPStatus.NOT_MODIFIED
    assert (await screen.fetch(player)).content == before.content


async def test_lost_copy_is_restored_from_image(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    add_display: AddDisplay,
    add_image: AddImage,
    screen: Screen,
) -> None:
    player = await add_display(width=80, height=40, changing={"advance": "never"})
    await add_image()
    before = (await screen.fetch(player)).content
    for file in (*copies(hass), *rendered_files(hass, entry)):
        file.unlink()

    assert (await screen.fetch(player)).content == before
    for file in (*copies(hass), *rendered_files(hass, entry)):
        file.unlink()
    player = await reload(hass, entry)

    assert len(copies(hass)) == 1
    assert (await screen.fetch(player)).content == before


async def test_lost_copy_of_deleted_image_gives_way_to_brand_image(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    add_display: AddDisplay,
    add_image: AddImage,
    screen: Screen,
) -> None:
    player = await add_display(width=80, height=40)
    brand = (await screen.fetch(player)).content
    job_id = await add_image()
    await call(hass, "delete_images", job_id=job_id)
    [copy] = copies(hass)
    copy.unlink()

    assert (await screen.fetch(player)).content == brand


async def test_reconfigured_display_renders_again_at_same_address(
    hass: HomeAssistant, entry: MockConfigEntry, add_display: AddDisplay, screen: Screen
) -> None:
    player = await add_display(width=80, height=40)
    path = screen.path(player)
    state = hass.states.get("image.gaze_hall")

    await change_display(hass, entry, player, width=64, height=64, rendering={"format": "bmp"})

    fetched = await screen.request(path)
    assert fetched.headers["Content-Type"] == "image/bmp"
    assert fetched.image.size == (64, 64)
    assert hass.states.get("image.gaze_hall") != state


async def test_removed_display_leaves_nothing(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    add_display: AddDisplay,
    add_image: AddImage,
    screen: Screen,
) -> None:
    player = await add_display(changing={"advance": "interval"})
    await add_image()
    path = screen.path(player)
    assert (await screen.request(path)).status == HTTPStatus.OK
    assert rendered_files(hass, entry)

    hass.config_entries.async_remove_subentry(entry, player.display.display_id)
    await settle(hass)

    assert (await screen.request(path)).status == HTTPStatus.NOT_FOUND
    assert hass.states.get("image.gaze_hall") is None
    assert not [e for e in er.async_get(hass).entities.values() if "hall" in e.entity_id]
    assert copies(hass) == rendered_files(hass, entry) == []
    assert await displays_store(hass, entry.entry_id).async_load() == {}


async def test_display_that_is_removed_while_server_is_off_leaves_nothing(
    hass: HomeAssistant, entry: MockConfigEntry, add_display: AddDisplay, add_image: AddImage
) -> None:
    player = await add_display()
    await add_image()
    await hass.config_entries.async_unload(entry.entry_id)
    hass.config_entries.async_remove_subentry(entry, player.display.display_id)

    await hass.config_entries.async_setup(entry.entry_id)
    await settle(hass)

    assert copies(hass) == rendered_files(hass, entry) == []


async def test_removed_server_leaves_no_display(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    add_display: AddDisplay,
    add_image: AddImage,
    screen: Screen,
) -> None:
    player = await add_display()
    await add_image()
    path = screen.path(player)

    await hass.config_entries.async_remove(entry.entry_id)
    await hass.async_block_till_done()

    assert (await screen.request(path)).status == HTTPStatus.NOT_FOUND
    assert not list(Path(hass.config.path(".storage")).rglob("*display*"))
    assert not dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id)


# Reload


async def test_display_of_unloaded_server_changes_nothing(
    hass: HomeAssistant, entry: MockConfigEntry, add_display: AddDisplay, add_image: AddImage
) -> None:
    await add_image()
    shown = await add_image()
    former = await add_display(address=True, changing={"advance": "on_fetch"})
    displays = displays_of(entry)
    image = await entry.runtime_data.gallery.async_get(shown)
    player = await reload(hass, entry)
    state = player.state.as_dict()

    displays.async_set_hold(former, hold=True)
    displays.async_renew_token(former)
    displays.async_note_fetch(former)
    await former.async_next()
    await former.async_previous()
    with pytest.raises(GalleryError):
        await former.async_show(image)
    hass.bus.async_fire(EVENT_HOMEASSISTANT_FINAL_WRITE)  # writes what waits
    await settle(hass)

    stored = await displays_store(hass, entry.entry_id).async_load()
    assert stored == {player.display.display_id: state}
    assert [copy.name for copy in copies(hass)] == [player.state.copy]
    assert player.state.as_dict() == state


async def test_display_of_unloaded_server_renders_no_copy_that_is_gone(
    hass: HomeAssistant, entry: MockConfigEntry, add_display: AddDisplay, add_image: AddImage
) -> None:
    former = await add_display()
    await add_image()
    await reload(hass, entry)
    await add_image()

    with pytest.raises(GalleryError):
        await former.async_render()

    [player] = displays_of(entry).players
    assert [copy.name for copy in copies(hass)] == [player.state.copy]


async def test_image_that_is_shown_while_server_reloads_stays(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    add_display: AddDisplay,
    add_image: AddImage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    older, _ = await add_image(), await add_image()
    player = await add_display(changing={"advance": "interval"})
    image = await entry.runtime_data.gallery.async_get(older)
    hangs, returns = threading.Event(), threading.Event()
    fsync = os.fsync

    def hang(file: int) -> None:
        if not hangs.is_set():
            hangs.set()
            returns.wait()
        fsync(file)

    monkeypatch.setattr(os, "fsync", hang)
    showing = hass.async_create_task(player.async_show(image))
    await hass.async_add_executor_job(hangs.wait)
    reloading = hass.async_create_task(hass.config_entries.async_reload(entry.entry_id))
    for _ in range(300):  # time for it to end, which it must not
        await hass.async_add_executor_job(hangs.is_set)
    waited = not reloading.done()
    returns.set()
    await asyncio.gather(showing, reloading)
    await settle(hass)

    [player] = displays_of(entry).players
    assert waited
    assert player.state.shown == older
    assert [copy.name for copy in copies(hass)] == [player.state.copy]


async def test_display_of_removed_server_does_not_store_its_token_again(
    hass: HomeAssistant, entry: MockConfigEntry, add_display: AddDisplay, add_image: AddImage
) -> None:
    player = await add_display()
    await add_image()
    displays = displays_of(entry)
    await hass.config_entries.async_remove(entry.entry_id)

    displays.async_set_hold(player, hold=True)
    hass.bus.async_fire(EVENT_HOMEASSISTANT_FINAL_WRITE)  # writes what waits
    await settle(hass)

    assert await displays_store(hass, entry.entry_id).async_load() is None


# What it shows is reported


async def test_each_change_of_image_is_reported_once(
    hass: HomeAssistant, entry: MockConfigEntry, add_display: AddDisplay, add_image: AddImage
) -> None:
    heard: list[ShownImage] = []
    stop = async_listen_for_shown_images(hass, heard.append)
    player = await add_display()

    first = await add_image()
    second = await add_image()
    await press(hass, "button.gaze_hall_next")
    await press(hass, "button.gaze_hall_previous")
    await turn(hass, "on")
    await press(hass, "button.gaze_hall_new_address")
    await change_display(hass, entry, player, width=64, height=64)
    player = await reload(hass, entry)
    device_id = display_device(hass, entry, player).id
    for job_id in (second, first):
        await call(hass, "show_image", display=device_id, job_id=job_id)
    await call(hass, "delete_images", job_id=first)
    stop()
    await press(hass, "button.gaze_hall_next")

    assert [shown.image.job_id for shown in heard] == [first, second, first, second, first]
    assert {(shown.entry_id, shown.display_id) for shown in heard} == {
        (entry.entry_id, player.display.display_id)
    }


async def test_report_comes_after_entity_and_copy(
    hass: HomeAssistant, add_display: AddDisplay, add_image: AddImage
) -> None:
    player = await add_display()
    await add_image()
    seen: list[tuple[str, bool]] = []

    def look(_shown: ShownImage) -> None:
        state = hass.states.get("image.gaze_hall")
        assert state is not None
        file = Path(hass.config.path(".storage")).rglob(player.state.copy or "")
        seen.append((state.state, bool(list(file))))

    before = hass.states.get("image.gaze_hall")
    async_listen_for_shown_images(hass, look)
    await add_image()

    [(state, has_copy)] = seen
    assert before is not None
    assert state != before.state
    assert has_copy
