"""Decoders of baseline JPEG and BMP by the published formats, without Pillow.

They accept what the smallest decoders in screens accept, and raise ValueError for all else: a
baseline JPEG (ITU-T T.81, sequential DCT, Huffman, 8 bits) with JFIF's color space, and an
uncompressed bottom-up BMP of 1, 8, or 24 bits. Both return rows of RGB pixels from the top.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import batched, product
from math import cos, pi, sqrt
import struct

type Rgb = tuple[int, int, int]
type Rows = list[list[Rgb]]

_ZIGZAG = sorted(range(64), key=lambda at: (s := at // 8 + at % 8, at // 8 if s % 2 else at % 8))
_COSINES = [
    [
        (sqrt(0.5) if frequency == 0 else 1.0) / 2 * cos((2 * place + 1) * frequency * pi / 16)
        for frequency in range(8)
    ]
    for place in range(8)
]


def decode_bmp(content: bytes) -> tuple[int, Rows]:
    """Return the bits of a pixel, and the rows."""
    magic, size, offset = struct.unpack_from("<2sI4xI", content)
    header, width, height, planes, bits, compression = struct.unpack_from("<IiiHHI", content, 14)
    if (magic, size, header, planes, compression) != (b"BM", len(content), 40, 1, 0):
        raise ValueError("not a plain BMP")
    if bits not in {1, 8, 24} or width <= 0 or height <= 0:
        raise ValueError("unusual BMP")
    (used,) = struct.unpack_from("<I", content, 46)
    colors = content[54 : 54 + 4 * (used or 2**bits)] if bits < 24 else b""
    palette = [(red, green, blue) for blue, green, red, _ in batched(colors, 4, strict=True)]
    if offset != 54 + len(colors):
        raise ValueError("pixels begin elsewhere")
    stride = (width * bits + 31) // 32 * 4
    if len(content) != offset + stride * height:
        raise ValueError("pixels are missing")
    rows = []
    for y in reversed(range(height)):
        row = content[offset + y * stride :][:stride]
        match bits:
            case 24:
                pixels = [
                    (red, green, blue)
                    for blue, green, red in batched(row[: 3 * width], 3, strict=True)
                ]
            case 8:
                pixels = [palette[number] for number in row[:width]]
            case _:
                pixels = [palette[row[x // 8] >> (7 - x % 8) & 1] for x in range(width)]
        rows.append(pixels)
    return bits, rows


@dataclass(kw_only=True, slots=True)
class _Component:
    """A channel of a JPEG: its sampling, its tables, and its decoded samples."""

    across: int
    down: int
    quantization: int
    dc: int = 0
    ac: int = 0
    predictor: int = 0
    samples: dict[tuple[int, int], int] = field(default_factory=dict)


class _Bits:
    """The bits of the entropy-coded segment."""

    def __init__(self, content: bytes) -> None:
        """Remove the zero bytes that are stuffed after 0xFF."""
        self._bits = self._read(content)

    @staticmethod
    def _read(content: bytes) -> Iterator[int]:
        for byte in content.replace(b"\xff\x00", b"\xff"):
            for shift in range(7, -1, -1):
                yield byte >> shift & 1

    def take(self, count: int) -> int:
        """Return a number of so many bits."""
        value = 0
        for _ in range(count):
            value = value << 1 | next(self._bits)
        return value

    def take_signed(self, count: int) -> int:
        """Return a number as T.81 extends its sign (F.2.2.1)."""
        value = self.take(count)
        return value if count == 0 or value >> (count - 1) else value - 2**count + 1

    def take_symbol(self, codes: dict[tuple[int, int], int]) -> int:
        """Return the next symbol of a Huffman code."""
        code = 0
        for length in range(1, 17):
            code = code << 1 | next(self._bits)
            if (length, code) in codes:
                return codes[length, code]
        raise ValueError("no such code")


class _Headers:
    """What the segments before the scan say."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.width = self.height = 0
        self.quantization: dict[int, list[int]] = {}
        self.huffman: dict[tuple[int, int], dict[tuple[int, int], int]] = {}
        self.components: dict[int, _Component] = {}
        self._readers = {
            0xC0: self._read_frame,
            0xC4: self._read_huffman,
            0xDA: self._read_scan,
            0xDB: self._read_quantization,
            0xE0: self._read_jfif,
        }

    def read(self, kind: int, body: bytes) -> None:
        """Read a segment."""
        if kind not in self._readers:
            raise ValueError(f"marker {kind:x} is not baseline, or metadata")
        self._readers[kind](body)

    def _read_frame(self, body: bytes) -> None:
        precision, self.height, self.width, count = struct.unpack_from(">BHHB", body)
        if precision != 8 or count not in {1, 3}:
            raise ValueError("unusual frame")
        for name, sampling, table in batched(body[6:], 3, strict=True):
            self.components[name] = _Component(
                across=sampling >> 4, down=sampling & 15, quantization=table
            )

    def _read_huffman(self, body: bytes) -> None:
        self.huffman |= _huffman_tables(body)

    def _read_scan(self, body: bytes) -> None:
        for name, tables in batched(body[1:-3], 2, strict=True):
            self.components[name].dc, self.components[name].ac = tables >> 4, tables & 15
        if body[0] != len(self.components) or body[-3:] != bytes((0, 63, 0)):
            raise ValueError("not sequential")

    def _read_quantization(self, body: bytes) -> None:
        for table in batched(body, 65, strict=True):
            if table[0] >> 4:
                raise ValueError("16-bit quantization")
            self.quantization[table[0]] = list(table[1:])

    def _read_jfif(self, body: bytes) -> None:
        if body[:5] != b"JFIF\0":
            raise ValueError("another color space")


def decode_jpeg(content: bytes) -> Rows:
    """Return the rows."""
    if content[:2] != b"\xff\xd8" or content[-2:] != b"\xff\xd9":
        raise ValueError("not a whole JPEG")
    headers = _Headers()
    at, kind = 2, 0
    while kind != 0xDA:
        marker, kind, length = struct.unpack_from(">BBH", content, at)
        if marker != 0xFF:
            raise ValueError("no marker")
        headers.read(kind, content[at + 4 : at + 2 + length])
        at += 2 + length
    _scan(_Bits(content[at:-2]), headers)
    return _rows(list(headers.components.values()), headers.width, headers.height)


def _huffman_tables(body: bytes) -> dict[tuple[int, int], dict[tuple[int, int], int]]:
    """Return symbols by length and code, by class and number of the table (C.2)."""
    tables = {}
    at = 0
    while at < len(body):
        lengths, symbols = body[at + 1 : at + 17], at + 17
        codes = {}
        code = 0
        for length, count in enumerate(lengths, 1):
            for _ in range(count):
                codes[length, code] = body[symbols]
                symbols += 1
                code += 1
            code <<= 1
        tables[body[at] >> 4, body[at] & 15] = codes
        at = symbols
    return tables


def _scan(bits: _Bits, headers: _Headers) -> None:
    """Decode all blocks into the samples of the components."""
    components = list(headers.components.values())
    across = 8 * max(component.across for component in components)
    down = 8 * max(component.down for component in components)
    units = product(range(-(-headers.height // down)), range(-(-headers.width // across)))
    for row, column in units:
        for component in components:
            for y, x in product(range(component.down), range(component.across)):
                block = _block(
                    bits,
                    component,
                    headers.quantization[component.quantization],
                    headers.huffman[0, component.dc],
                    headers.huffman[1, component.ac],
                )
                left = (column * component.across + x) * 8
                top = (row * component.down + y) * 8
                _place(component, block, left, top)


def _block(
    bits: _Bits,
    component: _Component,
    quantization: list[int],
    dc: dict[tuple[int, int], int],
    ac: dict[tuple[int, int], int],
) -> list[int]:
    """Return the 64 coefficients of the next block, in rows."""
    coefficients = [0] * 64
    component.predictor += bits.take_signed(bits.take_symbol(dc))
    coefficients[0] = component.predictor * quantization[0]
    number = 1
    while number < 64:
        run, size = divmod(bits.take_symbol(ac), 16)
        if size == 0:
            if run != 15:
                break
            number += 16
            continue
        number += run
        coefficients[_ZIGZAG[number]] = bits.take_signed(size) * quantization[number]
        number += 1
    return coefficients


def _place(component: _Component, block: list[int], left: int, top: int) -> None:
    """Transform a block to samples (A.3.3): rows first, then columns."""
    half = [
        [sum(_COSINES[x][u] * block[8 * v + u] for u in range(8)) for x in range(8)]
        for v in range(8)
    ]
    for y in range(8):
        for x in range(8):
            level = sum(_COSINES[y][v] * half[v][x] for v in range(8)) + 128
            component.samples[left + x, top + y] = min(max(round(level), 0), 255)


def _rows(components: list[_Component], width: int, height: int) -> Rows:
    """Return the pixels; colors as JFIF defines them. Each sample fills its pixels plainly."""
    across = max(component.across for component in components)
    down = max(component.down for component in components)

    def sample(component: _Component, x: int, y: int) -> int:
        return component.samples[x * component.across // across, y * component.down // down]

    def color(x: int, y: int) -> Rgb:
        levels = [sample(component, x, y) for component in components]
        if len(levels) == 1:
            return (levels[0],) * 3
        luma, blue, red = levels[0], levels[1] - 128, levels[2] - 128
        mixed = (
            luma + 1.402 * red,
            luma - 0.344136 * blue - 0.714136 * red,
            luma + 1.772 * blue,
        )
        first, second, third = (min(max(round(level), 0), 255) for level in mixed)
        return (first, second, third)

    return [[color(x, y) for x in range(width)] for y in range(height)]
