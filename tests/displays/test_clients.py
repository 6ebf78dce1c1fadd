"""Screens of different kinds fetch from a display as their firmware does.

Each follows what the public documentation of such a device says of its requests.
"""

from http import HTTPStatus
from io import BytesIO
import struct

from homeassistant.core import HomeAssistant
from PIL import Image as Pillow
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.gaze.displays import Displays, Player
from testing.gaze_server import GazeServer

from ..images import make_image
from .conftest import AddDisplay, Client

PRESET = "neon_city"


def address(entry: MockConfigEntry, player: Player) -> str:
    """Return the path that a person copies into the settings of a screen."""
    displays: Displays = entry.runtime_data.displays
    path = displays.path(player)
    assert path is not None
    return path


async def test_trmnl_gets_one_bit_image_once(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    add_display: AddDisplay,
    screen: Client,
) -> None:
    player = await add_display(
        width=800, height=480, rendering={"format": "bmp", "colors": "black_white"}
    )
    await make_image(hass, server, PRESET)
    await hass.async_block_till_done(wait_background_tasks=True)

    head = await screen.head(address(entry, player))
    response = await screen.get(address(entry, player))
    content = await response.read()

    # 62 bytes of header and palette, then 480 rows of 100 bytes: what its decoder expects
    assert len(content) == int(head.headers["Content-Length"]) == 48_062
    assert struct.unpack_from("<I", content, 10) == (62,)
    again = await screen.get(
        address(entry, player), headers={"If-None-Match": response.headers["ETag"]}
    )
    assert again.status == HTTPStatus.NOT_MODIFIED
    assert await again.read() == b""


async def test_esphome_gets_baseline_jpeg_of_its_size(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    add_display: AddDisplay,
    screen: Client,
) -> None:
    player = await add_display()
    await make_image(hass, server, PRESET)
    await hass.async_block_till_done(wait_background_tasks=True)

    response = await screen.get(
        address(entry, player),
        params={"w": "240", "h": "320"},
        headers={"Accept": "image/jpeg,*/*;q=0.8", "User-Agent": "ESPHome"},
    )
    content = await response.read()

    assert response.content_type == "image/jpeg"
    assert not response.history
    assert "Transfer-Encoding" not in response.headers
    assert b"\xff\xc2" not in content
    assert Pillow.open(BytesIO(content)).size == (240, 320)


async def test_color_frame_sends_head_before_each_fetch(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    add_display: AddDisplay,
    screen: Client,
) -> None:
    player = await add_display(
        width=1600, height=1200, rendering={"format": "png", "colors": "spectra_6"}
    )
    await make_image(hass, server, PRESET)
    await hass.async_block_till_done(wait_background_tasks=True)

    first = await screen.head(address(entry, player))
    await screen.get(address(entry, player))
    unchanged = await screen.head(address(entry, player))
    await make_image(hass, server, PRESET)
    await hass.async_block_till_done(wait_background_tasks=True)
    changed = await screen.head(address(entry, player))

    assert first.headers["ETag"] == unchanged.headers["ETag"] != changed.headers["ETag"]
    image = Pillow.open(BytesIO(await (await screen.get(address(entry, player))).read()))
    assert image.size == (1600, 1200)
    assert len(image.convert("RGB").getcolors() or ()) <= 6


async def test_curl_may_use_any_file_name(
    entry: MockConfigEntry, add_display: AddDisplay, screen: Client
) -> None:
    player = await add_display()
    token = player.state.token

    for name in ("hall.jpg", "image", "%C3%A4.png", "a.bmp"):
        response = await screen.get(f"/api/gaze/display/{token}/{name}")
        assert response.status == HTTPStatus.OK
    assert (await screen.get(f"/api/gaze/display/{token}/")).status == HTTPStatus.NOT_FOUND
    assert (await screen.get(f"/api/gaze/display/{token}")).status == HTTPStatus.NOT_FOUND
