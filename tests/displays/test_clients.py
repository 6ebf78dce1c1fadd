"""Screens of different kinds fetch from a display as their firmware does.

Each follows what the public documentation of such a device says of its requests.
"""

from http import HTTPStatus
import re
import struct

from ..pages import blocks
from .conftest import AddDisplay, AddImage, Screen


async def test_trmnl_gets_one_bit_image_once(
    add_display: AddDisplay, add_image: AddImage, screen: Screen
) -> None:
    player = await add_display(
        width=800, height=480, rendering={"format": "bmp", "colors": "black_white"}
    )
    await add_image()

    head = await screen.fetch(player, "HEAD")
    first = await screen.fetch(player)
    again = await screen.fetch(player, headers={"If-None-Match": first.headers["ETag"]})

    # 62 bytes of header and palette, then 480 rows of 100 bytes: what its decoder expects
    assert len(first.content) == int(head.headers["Content-Length"]) == 48_062
    assert struct.unpack_from("<I", first.content, 10) == (62,)
    assert (again.status, again.content) == (HTTPStatus.NOT_MODIFIED, b"")


async def test_esphome_gets_baseline_jpeg_of_its_size(
    add_display: AddDisplay, add_image: AddImage, screen: Screen
) -> None:
    player = await add_display()
    await add_image()

    fetched = await screen.fetch(
        player,
        params={"w": "240", "h": "320"},
        headers={"Accept": "image/jpeg,*/*;q=0.8", "User-Agent": "ESPHome"},
        allow_redirects=False,
    )

    assert fetched.status == HTTPStatus.OK
    assert fetched.headers["Content-Type"] == "image/jpeg"
    assert "Transfer-Encoding" not in fetched.headers
    assert b"\xff\xc2" not in fetched.content
    assert fetched.image.size == (240, 320)


async def test_color_frame_sends_head_before_each_fetch(
    add_display: AddDisplay, add_image: AddImage, screen: Screen
) -> None:
    player = await add_display(
        width=1600, height=1200, rendering={"format": "png", "colors": "spectra_6"}
    )
    await add_image()

    first = await screen.fetch(player, "HEAD")
    await screen.fetch(player)
    unchanged = await screen.fetch(player, "HEAD")
    await add_image()
    changed = await screen.fetch(player, "HEAD")

    assert first.headers["ETag"] == unchanged.headers["ETag"] != changed.headers["ETag"]
    image = (await screen.fetch(player)).image
    assert image.size == (1600, 1200)
    assert len(image.convert("RGB").getcolors() or ()) in range(1, 7)


async def test_curl_may_use_any_file_name(add_display: AddDisplay, screen: Screen) -> None:
    folder = screen.path(await add_display()).rpartition("/")[0]

    for name in ("hall.jpg", "image", "%C3%A4.png", "a.bmp"):
        assert (await screen.request(f"{folder}/{name}")).status == HTTPStatus.OK
    for path in (f"{folder}/", folder):
        assert (await screen.request(path)).status == HTTPStatus.NOT_FOUND


async def test_addresses_of_docs_serve_image(
    add_display: AddDisplay, add_image: AddImage, screen: Screen
) -> None:
    player = await add_display(rendering={"format": "png"})
    await add_image()
    found = [
        (block.language, path)
        for block in blocks("docs/displays.md")
        for path in re.findall(r"http://[\d.:]+(/api/gaze/display/TOKEN/[^\s\"]+)", block.text)
    ]
    assert [language for language, _ in found] == ["yaml", "yaml", "sh"]

    images = [
        (await screen.request(path.replace("TOKEN", player.state.token))).image for _, path in found
    ]

    assert {image.format for image in images} == {"PNG"}
    assert images[0].size == (320, 240)
