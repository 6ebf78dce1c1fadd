"""Image files and images for tests of the gallery."""

from io import BytesIO
from pathlib import Path
from typing import Any
import zlib

from PIL import Image as Pillow
from PIL.PngImagePlugin import PngInfo

from custom_components.gaze.gallery import Image

# 2026-08-12 14:03:22 UTC, and as much in Home Assistant's time zone of the tests
MADE_AT = 1786543402.0
LOCAL = "20260812-070322"

PRESET = "neon_city"


def picture(
    kind: str = "PNG", *, size: tuple[int, int] = (96, 64), shade: int = 0, mode: str = "RGB"
) -> bytes:
    """Return an image file whose pixels differ from each other and depend on the shade."""
    image = Pillow.linear_gradient("L").resize(size)
    image = image.point(lambda value: (value + shade) % 256).convert(mode)
    result = BytesIO()
    image.save(result, format=kind)
    return result.getvalue()


def written_picture(prompt: str) -> bytes:
    """Return a PNG with a prompt in each kind of text chunk."""
    texts = PngInfo()
    texts.add_text("prompt", prompt)
    texts.add_text("workflow", prompt, zip=True)
    texts.add_itxt("parameters", prompt)
    exif = Pillow.Exif()
    exif[0x010E] = prompt
    result = BytesIO()
    Pillow.open(BytesIO(picture())).save(result, "PNG", pnginfo=texts, exif=exif)
    return result.getvalue()


def picture_with_text(**texts: str) -> bytes:
    """Return a PNG with the text chunks of ComfyUI."""
    chunks = PngInfo()
    for name, text in texts.items():
        chunks.add_text(name, text)
    result = BytesIO()
    Pillow.open(BytesIO(picture())).save(result, "PNG", pnginfo=chunks)
    return result.getvalue()


def png_claiming(width: int, height: int) -> bytes:
    """Return a PNG whose header declares another size."""
    content = bytearray(picture())
    content[16:24] = width.to_bytes(4) + height.to_bytes(4)
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4)
    return bytes(content)


def image(job_id: str = "job-1", **changes: Any) -> Image:
    """Return an image to save."""
    fields: dict[str, Any] = {
        "job_id": job_id,
        "preset": PRESET,
        "preset_name": "Neon city",
        "batch_id": "batch",
        "tag": None,
        "seed": "12345",
        "checkpoint": None,
        "extra_positive": None,
        "extra_negative": None,
        "made_at": MADE_AT,
    }
    return Image(**(fields | changes))


def pixels(content: bytes) -> tuple[str, bytes]:
    """Return the visible pixels of an image file."""
    with Pillow.open(BytesIO(content)) as opened:
        return opened.mode, opened.tobytes()


def names(folder: Path) -> list[str]:
    """Return the names in a folder, or none if it does not exist."""
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def put(path: Path, content: bytes) -> None:
    """Write a file as users do, without Home Assistant."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def take_away(path: Path) -> None:
    """Delete a file as users do, without Home Assistant."""
    path.unlink()
