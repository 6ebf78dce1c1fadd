"""Tests of removing metadata without changing pixels."""

from io import BytesIO
from typing import Any

from PIL import Image as Pillow, ImageCms
import pytest

from custom_components.gaze.gallery import ImageContentError
from custom_components.gaze.gallery.metadata import strip

from .pictures import picture, pixels, written_picture

SECRET = "a secret prompt"  # noqa: S105 - what pictures must not tell
CONTENT_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}


def _told(kind: str, **options: Any) -> bytes:
    """Return an image file with Exif, XMP, and a color profile."""
    exif = Pillow.Exif()
    exif[0x010E] = SECRET
    result = BytesIO()
    Pillow.open(BytesIO(picture())).save(
        result,
        kind,
        exif=exif,
        xmp=f"<x:xmpmeta>{SECRET}</x:xmpmeta>".encode(),
        icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        **options,
    )
    return result.getvalue()


def test_png_loses_texts_but_no_pixels() -> None:
    content = written_picture(SECRET)

    stripped = strip(content, "image/png")

    with Pillow.open(BytesIO(content)) as before, Pillow.open(BytesIO(stripped)) as after:
        assert before.info.keys() >= {"prompt", "workflow", "parameters"}
        assert after.info == {}
        assert not after.getexif()
    assert not any(chunk in stripped for chunk in (b"tEXt", b"zTXt", b"iTXt", b"eXIf"))
    assert pixels(stripped) == pixels(content)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"comment": SECRET.encode()}),
        ("JPEG", {"progressive": True}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"quality": 50}),
    ],
)
def test_jpeg_and_webp_lose_metadata_but_no_pixels_or_colors(
    kind: str, options: dict[str, Any]
) -> None:
    content = _told(kind, **options)

    stripped = strip(content, CONTENT_TYPES[kind])

    assert SECRET.encode() in content
    assert SECRET.encode() not in stripped
    assert pixels(stripped) == pixels(content)
    with Pillow.open(BytesIO(content)) as before, Pillow.open(BytesIO(stripped)) as after:
        assert after.info["icc_profile"] == before.info["icc_profile"]
        assert not after.getexif()
        assert "xmp" not in after.info
        assert "comment" not in after.info


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_image_without_metadata_is_unchanged(kind: str) -> None:
    content = picture(kind)

    assert strip(content, CONTENT_TYPES[kind]) == content


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_trailing_bytes_are_removed(kind: str) -> None:
    content = picture(kind)

    assert strip(content + SECRET.encode(), CONTENT_TYPES[kind]) == content


def test_cmyk_jpeg_has_same_colors() -> None:
    content = picture("JPEG", mode="CMYK")

    assert pixels(strip(content, "image/jpeg")) == pixels(content)


def test_jpeg_fill_bytes_are_skipped() -> None:
    content = picture("JPEG")

    assert strip(content[:2] + b"\xff\xff" + content[2:], "image/jpeg") == content


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_truncated_image_is_rejected(kind: str, part: float) -> None:
    content = picture(kind)

    with pytest.raises(ImageContentError, match="metadata cannot be removed"):
        strip(content[: int(len(content) * part)], CONTENT_TYPES[kind])


def test_webp_with_oversized_chunk_is_rejected() -> None:
    content = picture("WEBP")

    with pytest.raises(ImageContentError):
        strip(content[:16] + b"\xff\xff\xff\x7f" + content[20:], "image/webp")


def test_jpeg_with_bytes_between_segments_is_rejected() -> None:
    content = picture("JPEG")

    with pytest.raises(ImageContentError):
        strip(content[:2] + b"\x00\x00" + content[2:], "image/jpeg")
