"""Tests of proving pictures and of making them small."""

from io import BytesIO
import struct
import zlib

from PIL import Image as Pillow
import pytest

from custom_components.gaze.gallery import PictureError
from custom_components.gaze.gallery.picture import examine, shrink

from .pictures import picture, png_claiming


def _bomb(side: int) -> bytes:
    """Return a small PNG of many pixels."""
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((side // 8 + 1) * side), 9)
    chunks = ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)
        for kind, data in chunks
    )


@pytest.mark.parametrize(
    ("kind", "content_type", "extension"),
    [("PNG", "image/png", "png"), ("JPEG", "image/jpeg", "jpg"), ("WEBP", "image/webp", "webp")],
)
def test_the_bytes_tell_what_a_picture_is(kind: str, content_type: str, extension: str) -> None:
    found = examine(picture(kind, size=(40, 24)))

    assert (found.content_type, found.extension) == (content_type, extension)
    assert (found.width, found.height) == (40, 24)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>Not found</html>",
        picture()[:200],
        picture("GIF"),
        png_claiming(640, 480),
    ],
    ids=["empty", "html", "cut off", "gif", "lying header"],
)
def test_what_is_no_whole_picture_is_refused(content: bytes) -> None:
    with pytest.raises(PictureError, match="not a whole"):
        examine(content)


@pytest.mark.parametrize("side", [8200, 16384])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(side: int) -> None:
    content = _bomb(side)
    assert len(content) < 50_000

    with pytest.raises(PictureError, match="too many pixels"):
        examine(content)
    with pytest.raises(PictureError, match="too many pixels"):
        shrink(content, 256)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize(
    ("size", "expected"),
    [((768, 1152), (171, 256)), ((1152, 768), (256, 171)), ((100, 50), (100, 50))],
)
def test_a_thumbnail_fits_and_is_never_larger(
    kind: str, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    small = shrink(picture(kind, size=size), 256)

    with Pillow.open(BytesIO(small)) as opened:
        assert opened.format == "WEBP"
        assert opened.size == expected


@pytest.mark.parametrize(
    ("kind", "mode", "expected"),
    [
        ("PNG", "L", "RGB"),
        ("PNG", "P", "RGB"),
        ("PNG", "I;16", "RGB"),
        ("PNG", "RGBA", "RGBA"),
        ("PNG", "LA", "RGBA"),
        ("JPEG", "CMYK", "RGB"),
    ],
)
def test_every_kind_of_pixels_can_be_made_small(kind: str, mode: str, expected: str) -> None:
    content = Pillow.new("L", (64, 64), 200).convert(mode)
    if mode in {"RGBA", "LA"}:
        content.putalpha(120)
    whole = BytesIO()
    content.save(whole, kind)

    small = shrink(whole.getvalue(), 32)

    with Pillow.open(BytesIO(small)) as opened:
        assert opened.mode == expected


def test_a_thumbnail_is_upright_and_tells_nothing() -> None:
    exif = Pillow.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    exif[0x010E] = "a secret"
    content = BytesIO()
    Pillow.new("RGB", (80, 40)).save(content, "JPEG", exif=exif)

    small = shrink(content.getvalue(), 40)

    with Pillow.open(BytesIO(small)) as opened:
        assert opened.size == (20, 40)
        assert not opened.getexif()
