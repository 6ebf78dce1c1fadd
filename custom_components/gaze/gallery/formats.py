"""Recognizes files that are no PNG, JPEG, or WebP image, to name their format in an error.

Sources: the specifications of the formats; IANA media types; ISO/IEC 14496-12 (`ftyp` brands).
"""

from typing import Final

_SIGNATURES: Final = (
    (b"GIF8", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"\0\0\1\0", "ICO"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"8BPS", "Photoshop"),
    (b"qoif", "QOI"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"DDS ", "DDS"),
    (b"%PDF-", "PDF"),
    (b"OggS", "Ogg"),
    (b"fLaC", "FLAC"),
    (b"ID3", "MP3"),
    (b"FLV\1", "Flash video"),
    (b"\0\0\1\xba", "MPEG"),
    (b"\0\0\1\xb3", "MPEG"),
    (b"glTF", "glTF"),
    (b"PK\3\4", "ZIP"),
    (b"\x1f\x8b", "gzip"),
)
_RIFF: Final = {b"AVI ": "AVI", b"WAVE": "WAV"}
_EBML: Final = b"\x1a\x45\xdf\xa3"  # WebM and Matroska
_HEAD: Final = 4096
_SVG_STARTS: Final = (b"<svg", b"<?xml", b"<!DOCTYPE svg", b"<!--")
_AVIF: Final = frozenset((b"avif", b"avis"))
_HEIF: Final = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"))


def find_other_format(content: bytes) -> str | None:
    """Return the name of the format of a file that is no PNG, JPEG, or WebP, or None."""
    for signature, name in _SIGNATURES:
        if content.startswith(signature):
            return name
    if content[4:8] == b"ftyp":
        return _media_container(content)
    if content.startswith(b"RIFF"):
        return _RIFF.get(content[8:12])
    if content.startswith(_EBML):
        return "WebM" if b"webm" in content[:64] else "Matroska"
    if content.startswith(b"BM") and content[6:10] == bytes(4):
        return "BMP"
    return "SVG" if _is_svg(content[:_HEAD].lstrip(b"\xef\xbb\xbf \t\r\n")) else None


def _is_svg(head: bytes) -> bool:
    """Return whether a file that begins like this is an SVG, and no page that shows one."""
    return head.startswith(_SVG_STARTS) and b"<svg" in head and b"<html" not in head.lower()


def _media_container(content: bytes) -> str:
    """Return the format of an ISO media file by its brands."""
    end = min(int.from_bytes(content[:4]), 256)
    brands = {content[start : start + 4] for start in (8, *range(16, end, 4))}
    if brands & _AVIF:
        return "AVIF"
    if brands & _HEIF:
        return "HEIC"
    return "QuickTime" if b"qt  " in brands else "MP4"
