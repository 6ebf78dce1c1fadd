# ruff: noqa: D103 - the definitions in testing.faults say what each function is for
"""What a fault of the fake GAZE server does to a response.

A function here changes the response of an `Exchange`. `testing.faults` says which fault uses it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Set as AbstractSet
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass
from enum import Enum, StrEnum, auto
import functools
from http import HTTPStatus
import io
import json
import struct
from typing import Any
import zlib

from aiohttp import web
from PIL import Image

MEBIBYTE = 1024 * 1024
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


class Endpoint(StrEnum):
    """The four things that clients request from GAZE: route names and keys of request counts."""

    PRESETS = "presets"
    GENERATE = "generate"
    JOB = "job"
    IMAGE = "image"


class Stage(Enum):
    """When a fault acts on a request."""

    INSTEAD = auto()  # respond without carrying out the request
    ERROR = auto()  # change a response of status 400 and above
    RESPONSE = auto()  # change a response below that
    SENDING = auto()  # change how a response of any status is sent
    QUEUE = auto()  # no response: the server or its queue reads the value


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """What a request is about. `job` and `image` are job IDs, `preset` is a slug."""

    endpoint: Endpoint | None = None
    job: str | None = None
    preset: str | None = None
    image: str | None = None


@dataclass(kw_only=True, slots=True)
class Exchange:
    """A request with its response so far.

    `preset` limits changes of JSON to this preset's item in the list of presets.
    """

    request: web.Request
    response: web.Response
    preset: str | None = None


type Act = Callable[[Exchange, Any], web.Response | None]
type Send = Callable[[Exchange, Any], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Behavior:
    """What a fault does.

    `endpoints` are those that it concerns unless others are named, `value` is its value unless
    another is given. `act` returns the new response, or None if the fault does not concern
    this one. `send` sends the response and returns what was sent.
    """

    summary: str
    stage: Stage
    endpoints: frozenset[Endpoint] = frozenset()
    _: KW_ONLY
    value: Any = True
    act: Act | None = None
    send: Send | None = None


def error_response(status: int, reason: str) -> web.Response:
    """Return an error in the format of GAZE's API: `{"error": "…"}`."""
    return web.json_response({"error": reason}, status=status)


def html_response(status: int, title: str, text: str) -> web.Response:
    """Return an error page in the format of Flask."""
    page = (
        f"<!doctype html>\n<html lang=en>\n<title>{status} {title}</title>\n"
        f"<h1>{title}</h1>\n<p>{text}</p>\n"
    )
    return web.Response(status=status, text=page, content_type="text/html")


def proxy_response(status: int) -> web.Response:
    """Return an error page in the format of a reverse proxy in front of GAZE."""
    title = f"{status} {HTTPStatus(status).phrase}"
    page = (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n"
        f"<center><h1>{title}</h1></center>\r\n<hr><center>proxy</center>\r\n</body>\r\n</html>\r\n"
    )
    return web.Response(status=status, text=page, content_type="text/html")


def busy(_exchange: Exchange, value: int) -> web.Response:
    return error_response(value, "Too busy, try again later")


def retry_after(exchange: Exchange, value: float | str) -> web.Response | None:
    if exchange.response.status not in {429, 503}:
        return None
    exchange.response.headers["Retry-After"] = str(value)
    return exchange.response


def refuse_key(_exchange: Exchange, value: int) -> web.Response:
    return error_response(value, "Missing API key" if value == 401 else "Invalid API key")  # noqa: PLR2004


def redirect(_exchange: Exchange, value: str) -> web.Response:
    return web.Response(status=302, headers={"Location": value})


def html_error(exchange: Exchange, _value: bool) -> web.Response | None:
    response = exchange.response
    if response.content_type == "text/html":
        return None
    return html_response(response.status, response.reason or "Error", "The request failed.")


def no_reason(exchange: Exchange, _value: bool) -> web.Response:
    return web.json_response({}, status=exchange.response.status)


def _of_json(change: Callable[[Any, Any], Any]) -> Act:
    """Make a change of decoded JSON a change of the response. Other responses stay as they are."""

    def act(exchange: Exchange, value: Any) -> web.Response | None:
        response = exchange.response
        if response.content_type != "application/json":
            return None
        data: Any = json.loads(response.body) if isinstance(response.body, bytes) else None
        if exchange.preset is None:
            data = change(data, value)
        else:
            items = data["presets"]
            data["presets"] = [
                change(item, value) if item["slug"] == exchange.preset else item for item in items
            ]
        return web.json_response(data, status=response.status)

    return act


@_of_json
def unknown_status(job: Any, value: str) -> Any:
    return {**job, "status": value} if job.get("status") in {"pending", "processing"} else job


@_of_json
def no_image(job: Any, value: str) -> Any:
    if value == "result":
        return {name: item for name, item in job.items() if name != value}
    return _without(job, {value})


@_of_json
def no_seed(job: Any, _value: bool) -> Any:
    return _without(job, {"seed"})


@_of_json
def other_origin(job: Any, value: str) -> Any:
    if "result" not in job:
        return job
    return {**job, "result": {**job["result"], "image_url": value + job["result"]["image_url"]}}


@_of_json
def image_address(job: Any, value: str) -> Any:
    if "result" not in job:
        return job
    address = value.replace("{path}", job["result"]["image_url"])
    return {**job, "result": {**job["result"], "image_url": address}}


@_of_json
def set_fields(data: Any, value: Mapping[str, Any]) -> Any:
    return _with_fields(data, value)


@_of_json
def empty_list(data: Any, _value: bool) -> Any:
    return {name: [] for name in data}


@_of_json
def extra_fields(data: Any, _value: bool) -> Any:
    return _with_extra(data)


@_of_json
def missing_fields(data: Any, value: str) -> Any:
    return _without(data, set(value.split()))


@_of_json
def wrong_types(data: Any, value: str) -> Any:
    return WRONG_TYPES[value](data)


@_of_json
def huge_json(data: Any, value: float) -> Any:
    return {**data, "padding": "x" * int(value * MEBIBYTE)}


def _with_extra(data: Any) -> Any:
    """Return JSON with unknown fields in every object."""
    if isinstance(data, list):
        return [_with_extra(item) for item in data]
    if isinstance(data, dict):
        extra = {"node": {"gpu": 0, "tags": ["a", None]}, "eta": 12.5, "schema": 2}
        return {name: _with_extra(item) for name, item in data.items()} | extra
    return data


def _with_fields(data: Any, fields: Mapping[str, Any]) -> Any:
    """Return JSON with other values of some fields, at any depth."""
    if isinstance(data, list):
        return [_with_fields(item, fields) for item in data]
    if isinstance(data, dict):
        return {
            name: fields[name] if name in fields else _with_fields(item, fields)
            for name, item in data.items()
        }
    return data


def _without(data: Any, names: AbstractSet[str]) -> Any:
    """Return JSON without some fields, at any depth."""
    if isinstance(data, list):
        return [_without(item, names) for item in data]
    if isinstance(data, dict):
        return {name: _without(item, names) for name, item in data.items() if name not in names}
    return data


def _with_strings_replaced(data: Any, value: Any) -> Any:
    """Return JSON with every string replaced by the same value."""
    if isinstance(data, list):
        return [_with_strings_replaced(item, value) for item in data]
    if isinstance(data, dict):
        return {name: _with_strings_replaced(item, value) for name, item in data.items()}
    return value if isinstance(data, str) else data


WRONG_TYPES: dict[str, Callable[[Any], Any]] = {
    "list": lambda data: [data],
    "inside": lambda data: {name: [item] for name, item in data.items()},
    "numbers": lambda data: _with_strings_replaced(data, 7),
    "null": lambda data: _with_strings_replaced(data, None),
    "text": json.dumps,
}


def garbage_json(exchange: Exchange, _value: bool) -> web.Response | None:
    if exchange.response.content_type != "application/json":
        return None
    return web.Response(
        status=exchange.response.status,
        body=b'{"jobs": [{"id": "\xff\xfe',
        content_type="application/json",
    )


def lying_type(exchange: Exchange, value: str) -> web.Response:
    return web.Response(body=exchange.response.body, content_type=value)


def not_an_image(_exchange: Exchange, _value: bool) -> web.Response:
    page = "<!doctype html>\n<title>GAZE</title>\n<script>alert('not an image')</script>\n"
    return web.Response(body=page.encode(), content_type="image/png")


def empty_image(_exchange: Exchange, _value: bool) -> web.Response:
    return web.Response(body=b"", content_type="image/png")


def bomb(_exchange: Exchange, _value: bool) -> web.Response:
    return web.Response(body=bomb_image(50_000, 50_000), content_type="image/png")


def image_kind(exchange: Exchange, value: str) -> web.Response:
    content_type, convert = IMAGE_KINDS[value]
    body = exchange.response.body
    return web.Response(
        body=convert(body if isinstance(body, bytes) else b""), content_type=content_type
    )


def _convert_to(format_name: str) -> Callable[[bytes], bytes]:
    """Return a function that converts an image to a format of Pillow."""

    def convert(body: bytes) -> bytes:
        result = io.BytesIO()
        with Image.open(io.BytesIO(body)) as image:
            image.convert("RGB").save(result, format_name)
        return result.getvalue()

    return convert


def _boxed(brand: bytes) -> Callable[[bytes], bytes]:
    """Return a function that puts bytes into an ISO media file of a brand."""

    def convert(body: bytes) -> bytes:
        boxes = ((b"ftyp", brand + bytes(4) + brand), (b"mdat", body))
        return b"".join(struct.pack(">I", len(data) + 8) + name + data for name, data in boxes)

    return convert


# Content type and conversion of a PNG file by kind of image
IMAGE_KINDS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gif": ("image/gif", _convert_to("GIF")),
    "avif": ("image/avif", _convert_to("AVIF")),
    "bmp": ("image/bmp", _convert_to("BMP")),
    "tiff": ("image/tiff", _convert_to("TIFF")),
    "jpeg": ("image/jpeg", _convert_to("JPEG")),
    "webp": ("image/webp", _convert_to("WEBP")),
    "heic": ("image/heic", _boxed(b"heic")),
    "mp4": ("video/mp4", _boxed(b"isom")),
    "webm": ("video/webm", lambda body: b"\x1aE\xdf\xa3\x9fB\x82\x84webm" + body),
    "unknown": ("application/octet-stream", lambda body: b"GAZE9000" + body),
}


def zip_bomb(exchange: Exchange, value: int) -> web.Response | None:
    response = exchange.response
    if not isinstance(response.body, bytes):
        return None
    packer = zlib.compressobj(level=1, wbits=31)
    # Trailing spaces are valid in JSON and ignored after the end of a PNG file.
    blanks = b" " * MEBIBYTE
    parts = [packer.compress(response.body), *(packer.compress(blanks) for _ in range(value))]
    return web.Response(
        status=response.status,
        body=b"".join([*parts, packer.flush()]),
        content_type=response.content_type,
        headers={"Content-Encoding": "gzip"},
    )


@functools.cache
def bomb_image(width: int, height: int) -> bytes:
    """Return a PNG of a hundred bytes that declares any size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(64))), (b"IEND", b""))
    return PNG_SIGNATURE + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


async def wait(exchange: Exchange, value: float) -> web.StreamResponse:
    await asyncio.sleep(value)
    return exchange.response


async def hang(_exchange: Exchange, _value: bool) -> web.StreamResponse:
    await asyncio.get_running_loop().create_future()
    raise AssertionError("This future is never resolved")


async def truncate(exchange: Exchange, _value: bool) -> web.StreamResponse:
    response = exchange.response
    body = response.body if isinstance(response.body, bytes) else b""
    stream = web.StreamResponse(status=response.status, headers=response.headers)
    stream.content_length = len(body)
    stream.force_close()
    await stream.prepare(exchange.request)
    await stream.write(body[: len(body) // 2])
    return stream


async def oversize(exchange: Exchange, value: int) -> web.StreamResponse:
    """Send a real image and continue, without a content length."""
    response = exchange.response
    stream = web.StreamResponse(headers={"Content-Type": "image/png"})
    await stream.prepare(exchange.request)
    await stream.write(response.body if isinstance(response.body, bytes) else b"")
    with suppress(ConnectionError):  # the client closes the connection
        for _ in range(value):
            await stream.write(bytes(MEBIBYTE))
    return stream
