"""Decodes WebP images in place, so that the event loop goes on.

Pillow decodes a WebP into memory of libwebp and copies it while it holds the interpreter: 40 ms
for 16 million pixels. libwebp can also write the pixels where they stay, and ctypes releases the
interpreter during the call: https://developers.google.com/speed/webp/docs/api
"""

import ctypes
from functools import cache
from importlib.util import find_spec
from mmap import mmap
from typing import Any, cast

from PIL import Image as Pillow


def decode(content: bytes, image: Pillow.Image) -> Pillow.Image | None:
    """Return the pixels of a WebP that Pillow has opened. Blocks.

    Returns None if only Pillow can decode it: an animation, an incomplete file, or a Pillow whose
    libwebp cannot be called.
    """
    if getattr(image, "is_animated", False) or (decode_into := find_decoder()) is None:
        return None
    width, height = image.size
    pixels = mmap(-1, width * height * 4)  # the system provides it when it is written
    target = (ctypes.c_char * len(pixels)).from_buffer(pixels)
    is_complete = decode_into(content, len(content), target, len(pixels), width * 4)
    del target  # it locks the memory
    if not is_complete:
        return None
    has_transparency = image.mode == "RGBA"
    layout = "RGBA" if has_transparency else "RGBX"
    decoded = Pillow.frombuffer(layout, image.size, cast("bytes", pixels), "raw", layout, 0, 1)
    if not has_transparency:
        decoded = decoded.convert("RGB")
    decoded.info = dict(image.info)
    return decoded


@cache
def find_decoder(module: str = "PIL._webp") -> Any | None:
    """Return WebPDecodeRGBAInto of the libwebp that a module is linked to, or None."""
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        return None
    try:
        function = ctypes.CDLL(spec.origin).WebPDecodeRGBAInto
    except AttributeError, OSError:
        return None
    function.restype = ctypes.c_void_p
    function.argtypes = [
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_void_p,
        ctypes.c_size_t,
        ctypes.c_int,
    ]
    return function
