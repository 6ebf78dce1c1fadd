"""Tests of removing metadata: what is seen stays, what is told goes."""

from io import BytesIO
from typing import Any

from PIL import Image as Pillow, ImageCms
import pytest

from custom_components.gaze.gallery import PictureError
from custom_components.gaze.gallery.metadata import strip

from .pictures import picture, pixels, written_picture

SECRET = "a secret prompt"  # noqa: S105 - what pictures must not tell
CONTENT_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}


def _told(kind: str, **options: Any) -> bytes:
    """Return a picture with Exif, XMP and a colour profile."""
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


def test_a_png_loses_its_texts_and_keeps_its_pixels() -> None:
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
def test_other_pictures_lose_their_metadata_and_keep_pixels_and_colours(
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
def test_a_picture_without_metadata_stays_as_it_is(kind: str) -> None:
    content = picture(kind)

    assert strip(content, CONTENT_TYPES[kind]) == content


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_what_follows_a_picture_goes(kind: str) -> None:
    content = picture(kind)

    assert strip(content + SECRET.encode(), CONTENT_TYPES[kind]) == content


def test_a_jpeg_in_print_colours_keeps_them() -> None:
    content = picture("JPEG", mode="CMYK")

    assert pixels(strip(content, "image/jpeg")) == pixels(content)


def test_filling_between_the_segments_of_a_jpeg_is_skipped() -> None:
    content = picture("JPEG")

    assert strip(content[:2] + b"\xff\xff" + content[2:], "image/jpeg") == content


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_a_picture_that_is_cut_off_cannot_be_stripped(kind: str, part: float) -> None:
    content = picture(kind)

    with pytest.raises(PictureError, match="metadata cannot be removed"):
        strip(content[: int(len(content) * part)], CONTENT_TYPES[kind])


def test_a_webp_whose_chunk_ends_behind_it_cannot_be_stripped() -> None:
    content = picture("WEBP")

    with pytest.raises(PictureError):
        strip(content[:16] + b"\xff\xff\xff\x7f" + content[20:], "image/webp")


def test_a_jpeg_with_something_between_its_segments_cannot_be_stripped() -> None:
    content = picture("JPEG")

    with pytest.raises(PictureError):
        strip(content[:2] + b"\x00\x00" + content[2:], "image/jpeg")
