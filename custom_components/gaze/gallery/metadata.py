"""Removes the metadata of image files, such as the prompt.

Works on the bytes of the file: the compressed pixels, their color profile, and animation stay
as they are. Everything that a format doesn't need to show the image is removed.
Sources: PNG specification (third edition), ITU-T T.81 annex B, RFC 9649.
"""

from collections.abc import Iterator
import re
from typing import Final
import zlib

from .errors import ImageContentError

_PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_PNG_SHOWN: Final = frozenset(
    b"IHDR PLTE IDAT IEND tRNS cHRM gAMA iCCP sBIT sRGB cICP mDCV cLLI bKGD pHYs"
    b" acTL fcTL fdAT".split()
)
_PNG_PACKED: Final = frozenset((b"zTXt", b"iTXt", b"iCCP"))
_MOST_UNPACKED: Final = 2**20  # Pillow's `MAX_TEXT_CHUNK`
_MOST_PACKED: Final = 32  # texts and profiles of a PNG that are examined, as that takes time

_JPEG_MARK, _JPEG_START, _JPEG_END, _JPEG_SCAN = 0xFF, 0xD8, 0xD9, 0xDA
_JPEG_COMMENT: Final = 0xFE
_JPEG_APPLICATION: Final = range(0xE0, 0xF0)
_JPEG_SHOWN: Final = {  # application segments that matter for the colors, by their beginning
    0xE0: b"JFIF\0",
    0xE2: b"ICC_PROFILE\0",
    0xEE: b"Adobe",
}
# In compressed data 0xFF is followed by a zero, a restart marker or another 0xFF.
_JPEG_MARKER: Final = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")

_WEBP_SHOWN: Final = frozenset((b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"))
_WEBP_FLAGS_GONE: Final = 0x08 | 0x04  # Exif, XMP


def strip(content: bytes, content_type: str) -> bytes:
    """Return an image without metadata. Raises ImageContentError if its structure is invalid."""
    parts = _FORMATS[content_type]
    try:
        stripped = b"".join(parts(content))
    except (IndexError, ValueError) as err:
        raise ImageContentError("its metadata cannot be removed") from err
    return stripped


def remove_large_texts(content: bytes) -> bytes:
    """Return a PNG without the texts and profiles that Pillow refuses to unpack.

    Such a text can be a long workflow. The image itself is complete. Other bytes are returned
    as they are.
    """
    if not content.startswith(_PNG_SIGNATURE):
        return content
    try:
        packed = [chunk for chunk in _png_chunks(content) if chunk[0] in _PNG_PACKED]
    except ValueError:
        return content
    parts: list[memoryview] = []
    position = 0
    for kind, start, end in packed[:_MOST_PACKED]:
        if _unpacks_to_much(kind, content[start + 8 : end - 4]):
            parts.append(memoryview(content)[position:start])
            position = end
    return b"".join((*parts, memoryview(content)[position:])) if parts else content


def _unpacks_to_much(kind: bytes, data: bytes) -> bool:
    """Return whether the packed part of a chunk is longer than Pillow allows."""
    _, _, packed = data.partition(b"\0")
    if kind == b"iTXt":  # a flag, the method, and two more texts precede the text
        packed = packed[1:].split(b"\0", 3)[-1] if packed.startswith(b"\1") else b""
    else:  # the method precedes it
        packed = packed[1:]
    try:
        return len(zlib.decompressobj().decompress(packed, _MOST_UNPACKED + 1)) > _MOST_UNPACKED
    except zlib.error:
        return False


def _png(content: bytes) -> Iterator[bytes]:
    """Yield the signature and the chunks to save, up to the end of the image."""
    yield _PNG_SIGNATURE
    for kind, start, end in _png_chunks(content):
        if kind in _PNG_SHOWN:
            yield content[start:end]


def _png_chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the kind, start, and end of each chunk, up to the end of the image."""
    position, kind = len(_PNG_SIGNATURE), b""
    while kind != b"IEND":
        kind = content[position + 4 : position + 8]
        end = position + 12 + int.from_bytes(content[position : position + 4])
        if end > len(content):
            raise ValueError("a chunk is cut off")
        yield kind, position, end
        position = end


def _jpeg(content: bytes) -> Iterator[bytes]:
    """Yield the segments that stay, up to the end of the image."""
    yield bytes((_JPEG_MARK, _JPEG_START))
    position = 2
    while (marker := content[position + 1]) != _JPEG_END:
        if content[position] != _JPEG_MARK:
            raise ValueError("a segment does not begin with a marker")
        if marker == _JPEG_MARK:  # filling
            position += 1
            continue
        start = position + 4
        end = position + 2 + int.from_bytes(content[position + 2 : start])
        if end > len(content):
            raise ValueError("a segment is cut off")
        if marker == _JPEG_SCAN:
            if (following := _JPEG_MARKER.search(content, end)) is None:
                raise ValueError("the image has no end")
            end = following.start()
        if _jpeg_shows(marker, content[start:end]):
            yield content[position:end]
        position = end
    yield bytes((_JPEG_MARK, _JPEG_END))


def _jpeg_shows(marker: int, segment: bytes) -> bool:
    """Return whether a segment matters for what is seen."""
    if marker in _JPEG_APPLICATION:
        return marker in _JPEG_SHOWN and segment.startswith(_JPEG_SHOWN[marker])
    return marker != _JPEG_COMMENT


def _webp(content: bytes) -> Iterator[bytes]:
    """Yield the header and the chunks that stay."""
    chunks = list(_webp_chunks(content))
    size = len(b"WEBP") + sum(map(len, chunks))
    yield b"RIFF" + size.to_bytes(4, "little") + b"WEBP"
    yield from chunks


def _webp_chunks(content: bytes) -> Iterator[bytes]:
    """Yield the chunks that stay."""
    position = 12
    all_end = 8 + int.from_bytes(content[4:8], "little")
    if all_end > len(content):
        raise ValueError("the image is cut off")
    while position < all_end:
        kind = content[position : position + 4]
        size = int.from_bytes(content[position + 4 : position + 8], "little")
        end = position + 8 + size + size % 2
        if end > all_end:
            raise ValueError("a chunk is cut off")
        chunk = content[position:end]
        if kind == b"VP8X":
            chunk = chunk[:8] + bytes((chunk[8] & ~_WEBP_FLAGS_GONE,)) + chunk[9:]
        if kind in _WEBP_SHOWN:
            yield chunk
        position = end


_FORMATS: Final = {"image/png": _png, "image/jpeg": _jpeg, "image/webp": _webp}
