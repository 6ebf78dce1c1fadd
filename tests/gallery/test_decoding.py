"""Tests of validating images and of shrinking them."""

from io import BytesIO
import struct
import zlib

from PIL import Image as Pillow, PngImagePlugin
import pytest

from custom_components.gaze.gallery import ImageContentError, UnsupportedFormatError
from custom_components.gaze.gallery.decoding import open_image, read_properties, shrink
from custom_components.gaze.gallery.webp import decode, find_decoder

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
def test_format_is_detected_from_bytes(kind: str, content_type: str, extension: str) -> None:
    found = read_properties(picture(kind, size=(40, 24)))

    assert (found.content_type, found.extension) == (content_type, extension)
    assert (found.width, found.height) == (40, 24)


@pytest.mark.parametrize("kind", ["zTXt", "iTXt", "iCCP"])
def test_png_with_large_packed_text_is_accepted(kind: str) -> None:
    texts = PngImagePlugin.PngInfo()
    text = "a" * (2**20 + 1)
    if kind == "zTXt":
        texts.add_text("workflow", text, zip=True)
    elif kind == "iTXt":
        texts.add_itxt("workflow", text, "en", "Ablauf", zip=True)
    texts.add_text("prompt", "a cat")
    profile = text.encode() if kind == "iCCP" else None
    result = BytesIO()
    Pillow.new("RGB", (96, 64)).save(result, "PNG", pnginfo=texts, icc_profile=profile)

    assert kind.encode() in result.getvalue()
    assert read_properties(result.getvalue()).width == 96
    assert len(shrink(result.getvalue(), 64)) == 1
    with open_image(result.getvalue()) as opened:
        assert opened.info["prompt"] == "a cat"


def test_number_of_large_texts_is_limited() -> None:
    data = b"zTXtworkflow\0\0" + zlib.compress(bytes(2**20 + 1))
    text = (len(data) - 4).to_bytes(4) + data + zlib.crc32(data).to_bytes(4)
    content = picture()
    header, rest = content[:33], content[33:]

    with pytest.raises(ImageContentError):
        read_properties(header + text * 33 + rest)


def test_jpeg_with_several_views_is_a_jpeg() -> None:
    result = BytesIO()
    view = Pillow.new("RGB", (96, 64))
    view.save(result, "MPO", save_all=True, append_images=[view])

    assert read_properties(result.getvalue()).content_type == "image/jpeg"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>Not found</html>",
        b"<!-- proxy --><html><svg></svg></html>",
        b"BMW: try again later",
        picture()[:200],
        png_claiming(640, 480),
    ],
    ids=["empty", "html", "html with an svg", "text", "cut off", "lying header"],
)
def test_incomplete_image_is_rejected(content: bytes) -> None:
    with pytest.raises(ImageContentError, match="not a complete"):
        read_properties(content)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_image_without_its_last_byte_is_rejected(kind: str) -> None:
    with pytest.raises(ImageContentError, match="not a complete"):
        read_properties(picture(kind)[:-1])


def _boxes(*brands: bytes) -> bytes:
    """Return the beginning of an ISO media file."""
    body = b"ftyp" + brands[0] + bytes(4) + b"".join(brands[1:])
    return (len(body) + 4).to_bytes(4) + body + bytes(100)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (picture("GIF"), "GIF"),
        (picture("BMP"), "BMP"),
        (picture("TIFF"), "TIFF"),
        (picture("AVIF"), "AVIF"),
        (_boxes(b"mif1", b"mif1", b"avif"), "AVIF"),
        (_boxes(b"heic", b"mif1"), "HEIC"),
        (_boxes(b"isom", b"iso2", b"mp41"), "MP4"),
        (_boxes(b"qt  "), "QuickTime"),
        (b"\x1a\x45\xdf\xa3\x01\0\0\0\0\0\0\x1fB\x82\x84webm", "WebM"),
        (b"\x1a\x45\xdf\xa3\x01\0\0\0\0\0\0\x1fB\x82\x88matroska", "Matroska"),
        (b"RIFF\x10\0\0\0AVI LIST", "AVI"),
        (b"\xff\x0a\xfa\x7f", "JPEG XL"),
        (b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"%PDF-1.7", "PDF"),
    ],
)
def test_unsupported_format_is_rejected_with_its_name(content: bytes, name: str) -> None:
    with pytest.raises(UnsupportedFormatError, match=name) as raised:
        read_properties(content)

    assert raised.value.format == name
    assert isinstance(raised.value, ImageContentError)


def test_largest_image_is_accepted() -> None:
    assert read_properties(_bomb(8192)).width == 8192  # 67,108,864 pixels


@pytest.mark.parametrize("side", [8200, 16384])
def test_decompression_bomb_is_rejected_before_decoding(side: int) -> None:
    content = _bomb(side)
    assert len(content) < 50_000

    with pytest.raises(ImageContentError, match="too many pixels"):
        read_properties(content)
    with pytest.raises(ImageContentError, match="too many pixels"):
        shrink(content, 256)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize(
    ("size", "expected"),
    [((768, 1152), (171, 256)), ((1152, 768), (256, 171)), ((100, 50), (100, 50))],
)
def test_thumbnail_fits_and_is_never_enlarged(
    kind: str, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    [small] = shrink(picture(kind, size=size), 256)

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
def test_thumbnail_works_for_every_pixel_mode(kind: str, mode: str, expected: str) -> None:
    content = Pillow.new("L", (64, 64), 200).convert(mode)
    if mode in {"RGBA", "LA"}:
        content.putalpha(120)
    whole = BytesIO()
    content.save(whole, kind)

    [small] = shrink(whole.getvalue(), 32)

    with Pillow.open(BytesIO(small)) as opened:
        assert opened.mode == expected


def test_thumbnail_of_16_bit_grays_is_not_white() -> None:
    content = BytesIO()
    Pillow.new("I;16", (64, 64), 100 * 257).save(content, "PNG")

    [small] = shrink(content.getvalue(), 32)

    with Pillow.open(BytesIO(small)) as opened:
        assert opened.getpixel((16, 16)) == pytest.approx((100, 100, 100), abs=2)


def test_thumbnail_keeps_color_that_is_transparent() -> None:
    content = BytesIO()
    Pillow.new("RGB", (64, 64), (255, 0, 0)).save(content, "PNG", transparency=(255, 0, 0))

    [small] = shrink(content.getvalue(), 32)

    with Pillow.open(BytesIO(small)) as opened:
        assert opened.convert("RGBA").getchannel("A").getextrema() == (0, 0)


def test_thumbnail_is_upright_without_metadata() -> None:
    exif = Pillow.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    exif[0x010E] = "a secret"
    content = BytesIO()
    Pillow.new("RGB", (80, 40)).save(content, "JPEG", exif=exif)

    [small] = shrink(content.getvalue(), 40)

    with Pillow.open(BytesIO(small)) as opened:
        assert opened.size == (20, 40)
        assert not opened.getexif()


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("lossless", [False, True])
def test_webp_is_decoded_in_place_to_the_pixels_of_pillow(mode: str, lossless: bool) -> None:
    result = BytesIO()
    image = Pillow.effect_noise((61, 37), 60).convert(mode)
    if mode == "RGBA":
        image.putalpha(Pillow.linear_gradient("L").resize(image.size))
    exif = Pillow.Exif()
    exif[0x0112] = 6
    image.save(result, "WEBP", lossless=lossless, exif=exif, icc_profile=b"profile")

    with Pillow.open(BytesIO(result.getvalue())) as opened:
        decoded = decode(result.getvalue(), opened)
        assert decoded is not None
        assert decoded.mode == opened.mode == mode
        assert decoded.tobytes() == opened.tobytes()
        assert decoded.getexif()[0x0112] == 6
        assert decoded.info["icc_profile"] == b"profile"


def test_incomplete_webp_is_left_to_pillow() -> None:
    content = picture("WEBP")

    with Pillow.open(BytesIO(content)) as opened:
        assert decode(content[:-10], opened) is None


def test_animated_webp_is_left_to_pillow() -> None:
    first, second = Pillow.new("RGB", (40, 24), "red"), Pillow.new("RGB", (40, 24), "blue")
    result = BytesIO()
    first.save(result, "WEBP", save_all=True, append_images=[second], lossless=True)

    with Pillow.open(BytesIO(result.getvalue())) as opened:
        assert decode(result.getvalue(), opened) is None
    (thumbnail,) = shrink(result.getvalue(), 40)
    with Pillow.open(BytesIO(thumbnail)) as shrunk:
        assert shrunk.convert("RGB").getpixel((20, 12)) == pytest.approx((255, 0, 0), abs=5)


@pytest.mark.parametrize("module", ["PIL._missing", "sys", "_ctypes"])
def test_module_without_libwebp_has_no_decoder(module: str) -> None:
    assert find_decoder() is not None
    assert find_decoder(module) is None
