"""Displays show images of their source, and survive what happens in a home."""

from datetime import timedelta
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from typing import Any

from homeassistant.config_entries import SOURCE_RECONFIGURE
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr, entity_registry as er
from homeassistant.util import dt as dt_util
from PIL import Image as Pillow
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_time_changed
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.gaze.diagnostics import async_get_config_entry_diagnostics
from custom_components.gaze.displays import Displays, Player
from testing.gaze_server import GazeServer

from ..images import make_image, press
from .conftest import AddDisplay, Client

PRESET = "neon_city"
OTHER = "oilpainting"


def displays(entry: MockConfigEntry) -> Displays:
    """Return the displays of the server."""
    found: Displays = entry.runtime_data.displays
    return found


def path(entry: MockConfigEntry, player: Player) -> str:
    """Return the path at which the screen fetches."""
    found = displays(entry).path(player)
    assert found is not None
    return found


async def settle(hass: HomeAssistant) -> None:
    """Wait until the displays have changed."""
    await hass.async_block_till_done(wait_background_tasks=True)


async def test_new_display_has_entities_without_reload(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, add_display: AddDisplay
) -> None:
    coordinator = entry.runtime_data

    await add_display()

    assert entry.runtime_data is coordinator
    for entity_id in (
        "image.gaze_hall",
        "button.gaze_hall_next",
        "button.gaze_hall_previous",
        "button.gaze_hall_new_address",
        "switch.gaze_hall_hold",
        "sensor.gaze_hall_last_fetched",
    ):
        assert hass.states.get(entity_id) is not None, entity_id


async def test_display_without_image_serves_brand_image(
    hass: HomeAssistant, entry: MockConfigEntry, add_display: AddDisplay, screen: Client
) -> None:
    player = await add_display(width=80, height=40, rendering={"format": "png"})

    response = await screen.get(path(entry, player))

    assert response.status == HTTPStatus.OK
    assert response.content_type == "image/png"
    assert Pillow.open(BytesIO(await response.read())).size == (80, 40)


async def test_display_shows_new_image(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    add_display: AddDisplay,
    screen: Client,
) -> None:
    player = await add_display(width=80, height=40)

    job_id = await make_image(hass, server, PRESET)
    await settle(hass)

    assert player.state.shown == job_id
    response = await screen.get(path(entry, player))
    assert response.content_type == "image/jpeg"
    entity = await entry_image(hass)
    assert await response.read() == entity


async def entry_image(hass: HomeAssistant, entity_id: str = "image.gaze_hall") -> bytes:
    """Return the bytes of an image entity."""
    entity = hass.data["entity_components"]["image"].get_entity(entity_id)
    content: bytes = await entity.async_image()
    return content


async def test_fetch_with_etag_gets_304_until_image_changes(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    add_display: AddDisplay,
    screen: Client,
) -> None:
    player = await add_display(width=80, height=40)
    await make_image(hass, server, PRESET)
    await settle(hass)
    url = path(entry, player)
    head = await screen.head(url)
    first = await screen.get(url)
    content = await first.read()
    assert head.headers["ETag"] == first.headers["ETag"]
    assert int(head.headers["Content-Length"]) == len(content)
    assert await head.read() == b""
    assert first.headers["Cache-Control"] == "no-cache"
    known = {"If-None-Match": first.headers["ETag"]}

    assert (await screen.get(url, headers=known)).status == HTTPStatus.NOT_MODIFIED
    await make_image(hass, server, PRESET)
    await settle(hass)
    assert (await screen.get(url, headers=known)).status == HTTPStatus.OK


async def test_display_of_preset_ignores_other_presets(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, add_display: AddDisplay
) -> None:
    player = await add_display(source="preset", source_value="Neon city")

    wanted = await make_image(hass, server, PRESET)
    await make_image(hass, server, OTHER)
    await settle(hass)

    assert player.state.shown == wanted


async def test_held_display_keeps_image_across_reload(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, add_display: AddDisplay
) -> None:
    await add_display()
    held = await make_image(hass, server, PRESET)
    await settle(hass)
    await hass.services.async_call(
        "switch", "turn_on", {"entity_id": "switch.gaze_hall_hold"}, blocking=True
    )

    await hass.config_entries.async_reload(entry.entry_id)
    await make_image(hass, server, PRESET)
    await settle(hass)

    assert displays(entry).players[0].state.shown == held
    assert hass.states.is_state("switch.gaze_hall_hold", "on")


async def test_display_shows_deleted_image_until_next_one(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    add_display: AddDisplay,
    screen: Client,
) -> None:
    player = await add_display(width=80, height=40)
    job_id = await make_image(hass, server, PRESET)
    await settle(hass)
    before = await (await screen.get(path(entry, player))).read()

    await hass.services.async_call("gaze", "delete_images", {"job_id": job_id}, blocking=True)
    await hass.config_entries.async_reload(entry.entry_id)
    await settle(hass)

    assert await (await screen.get(path(entry, player))).read() == before


async def test_next_and_previous_move_through_images(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, add_display: AddDisplay
) -> None:
    player = await add_display()
    first = await make_image(hass, server, PRESET)
    await settle(hass)
    second = await make_image(hass, server, PRESET)
    await settle(hass)
    assert player.state.shown == second

    await press(hass, "button.gaze_hall_next")
    assert player.state.shown == first
    await press(hass, "button.gaze_hall_next")
    assert player.state.shown == second
    await press(hass, "button.gaze_hall_previous")
    assert player.state.shown == first


async def test_shuffled_display_shows_each_image_before_repeating(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, add_display: AddDisplay
) -> None:
    made = {await make_image(hass, server, PRESET) for _ in range(4)}
    player = await add_display(changing={"order": "shuffle", "advance": "never"})

    shown = [player.state.shown]
    for _ in range(3):
        await press(hass, "button.gaze_hall_next")
        shown.append(player.state.shown)

    assert set(shown) == made


async def test_display_advances_in_its_interval(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, add_display: AddDisplay
) -> None:
    older = await make_image(hass, server, PRESET)
    newer = await make_image(hass, server, PRESET)
    player = await add_display(changing={"advance": "interval", "advance_minutes": 30})
    assert player.state.shown == newer

    async_fire_time_changed(hass, dt_util.utcnow() + timedelta(minutes=31))
    await settle(hass)

    assert player.state.shown == older


async def test_display_advances_after_fetch_but_not_after_head(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    add_display: AddDisplay,
    screen: Client,
) -> None:
    older = await make_image(hass, server, PRESET)
    newer = await make_image(hass, server, PRESET)
    player = await add_display(changing={"advance": "on_fetch"})

    await screen.head(path(entry, player))
    await settle(hass)
    assert player.state.shown == newer
    await screen.get(path(entry, player))
    await settle(hass)
    assert player.state.shown == older


async def test_fetch_is_shown_by_sensor(
    hass: HomeAssistant, entry: MockConfigEntry, add_display: AddDisplay, screen: Client
) -> None:
    player = await add_display()
    assert hass.states.is_state("sensor.gaze_hall_last_fetched", "unknown")

    await screen.get(path(entry, player))
    await hass.async_block_till_done()

    assert not hass.states.is_state("sensor.gaze_hall_last_fetched", "unknown")


async def test_old_address_is_invalid_after_new_one(
    hass: HomeAssistant, entry: MockConfigEntry, add_display: AddDisplay, screen: Client
) -> None:
    hass.config.internal_url = "http://192.168.1.5:8123"
    player = await add_display()
    old = path(entry, player)
    registry = dr.async_get(hass)
    device = registry.async_get_device_by_identifier(
        ("gaze", player.display.display_id), entry.entry_id
    )
    assert device is not None

    await press(hass, "button.gaze_hall_new_address")

    assert (await screen.get(old)).status == HTTPStatus.NOT_FOUND
    assert (await screen.get(path(entry, player))).status == HTTPStatus.OK
    shown = registry.async_get(device.id)
    assert isinstance(shown, dr.DeviceEntry)
    assert shown.configuration_url == f"http://192.168.1.5:8123{path(entry, player)}"


async def test_reconfigured_display_renders_again(
    hass: HomeAssistant, entry: MockConfigEntry, add_display: AddDisplay, screen: Client
) -> None:
    player = await add_display(width=80, height=40)
    url = path(entry, player)

    flow = await hass.config_entries.subentries.async_init(
        (entry.entry_id, "display"),
        context={"source": SOURCE_RECONFIGURE, "subentry_id": player.display.display_id},
    )
    result = await hass.config_entries.subentries.async_configure(
        flow["flow_id"],
        {
            "name": "Hall",
            "address": True,
            "width": 64,
            "height": 64,
            "rendering": {"format": "bmp"},
        },
    )
    assert result["reason"] == "reconfigure_successful"
    await settle(hass)

    response = await screen.get(url)
    assert response.content_type == "image/bmp"
    assert Pillow.open(BytesIO(await response.read())).size == (64, 64)


async def test_removed_display_leaves_nothing(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    add_display: AddDisplay,
    screen: Client,
) -> None:
    player = await add_display()
    await make_image(hass, server, PRESET)
    await settle(hass)
    url = path(entry, player)
    assert (await screen.get(url)).status == HTTPStatus.OK

    hass.config_entries.async_remove_subentry(entry, player.display.display_id)
    await settle(hass)

    assert (await screen.get(url)).status == HTTPStatus.NOT_FOUND
    assert hass.states.get("image.gaze_hall") is None
    assert not [e for e in er.async_get(hass).entities.values() if "hall" in e.entity_id]
    stored = Path(hass.config.path(".storage"))
    assert not list(stored.rglob(f"*{player.display.display_id}*"))


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"source": "tag"}, {"source_value": "source_value_missing"}),
        ({"source": "preset", "source_value": "  "}, {"source_value": "source_value_missing"}),
        ({"width": 100}, {"height": "size_incomplete"}),
        ({"height": 100}, {"width": "size_incomplete"}),
        ({"width": 8192, "height": 8192}, {"width": "too_many_pixels"}),
    ],
)
async def test_form_shows_error_at_field_and_recovers(
    hass: HomeAssistant, entry: MockConfigEntry, fields: dict[str, Any], error: dict[str, str]
) -> None:
    manager = hass.config_entries.subentries
    flow = await manager.async_init((entry.entry_id, "display"), context={"source": "user"})

    result = await manager.async_configure(flow["flow_id"], {"name": "Hall", **fields})
    assert result["errors"] == error
    result = await manager.async_configure(flow["flow_id"], {"name": "Hall"})

    assert result["type"] == "create_entry"


async def test_display_survives_restart_while_server_is_off(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    add_display: AddDisplay,
    hass_client_no_auth: ClientSessionGenerator,
) -> None:
    player = await add_display(width=80, height=40)
    await make_image(hass, server, PRESET)
    await settle(hass)
    client = await hass_client_no_auth()
    before = await (await client.get(path(entry, player))).read()
    server.set_online(False)

    await hass.config_entries.async_reload(entry.entry_id)
    await settle(hass)

    assert await (await client.get(path(entry, player))).read() == before


async def test_diagnostics_describe_display_without_its_token(
    hass: HomeAssistant, entry: MockConfigEntry, add_display: AddDisplay
) -> None:
    player = await add_display(width=80, height=40)

    diagnostics = await async_get_config_entry_diagnostics(hass, entry)

    assert diagnostics["displays"][0]["width"] == 80
    assert player.state.token not in str(diagnostics)
    assert "Hall" not in str(diagnostics)
