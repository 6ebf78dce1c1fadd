"""The switches that make the stand-in GAZE server misbehave.

`SWITCHES` is the one table of all of them: what a switch does, which endpoints it concerns when
nothing else is said, and the function that does it to an answer. `answer` walks that table for
every request; the few switches that concern no answer are read by `testing.jobs`.

A switch is a field of `Faults`, and any of these turns it on:

- `True`: wherever it makes sense, with its usual value;
- a value (`faults.latency = 0.5`): wherever it makes sense, with this value;
- a set of endpoints (`faults.garbage_json = {"job"}`): there only;
- a mapping (`faults.busy = {"generate": 429}`): there only, with these values.

`False` turns it off.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Set as AbstractSet
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, field
from enum import Enum, StrEnum, auto
import functools
import json
import struct
from typing import Any, override
import zlib

from aiohttp import web
from aiohttp.typedefs import Handler

MEBIBYTE = 1024 * 1024
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

type Setting[ValueT] = bool | ValueT | AbstractSet[str] | Mapping[str, ValueT]


class Endpoint(StrEnum):
    """The four things GAZE is asked for; route names and keys of the request counts."""

    PRESETS = "presets"
    GENERATE = "generate"
    JOB = "job"
    IMAGE = "image"


class Fault(StrEnum):
    """Names of the switches: fields of `Faults` and names for `--fault`."""

    HTML_ERRORS = "html_errors"
    NO_REASON = "no_reason"
    KEY_REGENERATED = "key_regenerated"
    PRESET_VANISHES = "preset_vanishes"
    JOBS_404 = "jobs_404"
    IMAGE_DELETED = "image_deleted"
    BUSY = "busy"
    RETRY_AFTER = "retry_after"
    SERVER_ERROR = "server_error"
    REDIRECT = "redirect"
    LATENCY = "latency"
    HANG = "hang"
    TRUNCATED = "truncated"
    UNKNOWN_STATUS = "unknown_status"
    NO_IMAGE = "no_image"
    NO_SEED = "no_seed"
    OTHER_ORIGIN = "other_origin"
    EXTRA_FIELDS = "extra_fields"
    MISSING_FIELDS = "missing_fields"
    WRONG_TYPES = "wrong_types"
    HUGE_JSON = "huge_json"
    GARBAGE_JSON = "garbage_json"
    LYING_TYPE = "lying_type"
    NOT_AN_IMAGE = "not_an_image"
    EMPTY_IMAGE = "empty_image"
    BOMB_IMAGE = "bomb_image"
    ZIP_BOMB = "zip_bomb"
    OVERSIZED_IMAGE = "oversized_image"
    PRUNE_AT_ONCE = "prune_at_once"
    SAME_FILE_NAME = "same_file_name"
    FAIL_EVERY = "fail_every"
    SEED_BEYOND = "seed_beyond"


class Stage(Enum):
    """When in the life of a request a switch acts."""

    INSTEAD = auto()  # answers before the server has heard of the request
    ERROR = auto()  # changes an answer of status 400 and above
    ANSWER = auto()  # changes an answer below that
    SENDING = auto()  # spoils how an answer, good or bad, is sent
    NONE = auto()  # no answer: read by the queue, or beside another switch


@dataclass(kw_only=True, slots=True)
class Exchange:
    """One request on its way through the table, with the answer as it stands."""

    request: web.Request
    endpoint: Endpoint
    faults: Faults
    response: web.Response


@dataclass(frozen=True, kw_only=True, slots=True)
class Switch:
    """One row of the table.

    `act` gets the exchange and the switch's value and returns the new answer, or None when it
    does not concern this request. `send` sends the answer itself and returns what was sent.
    """

    summary: str
    stage: Stage
    where: AbstractSet[Endpoint] = frozenset()
    value: Any = True
    act: Callable[[Exchange, Any], web.Response | None] | None = None
    send: Callable[[Exchange, Any], Awaitable[web.StreamResponse]] | None = None


@dataclass(slots=True)
class Faults:
    """All switches; every one may be changed at any time."""

    html_errors: Setting[bool] = False
    no_reason: Setting[bool] = False
    key_regenerated: Setting[bool] = False
    preset_vanishes: Setting[str] = False
    jobs_404: Setting[bool] = False
    image_deleted: Setting[bool] = False
    busy: Setting[int] = False
    retry_after: int | str | bool = False
    server_error: Setting[int] = False
    redirect: Setting[str] = False
    latency: Setting[float] = False
    hang: Setting[bool] = False
    truncated: Setting[bool] = False
    unknown_status: Setting[str] = False
    no_image: Setting[str] = False
    no_seed: Setting[bool] = False
    other_origin: Setting[str] = False
    extra_fields: Setting[bool] = False
    missing_fields: Setting[str] = False
    wrong_types: Setting[str] = False
    huge_json: Setting[float] = False
    garbage_json: Setting[bool] = False
    lying_type: Setting[str] = False
    not_an_image: Setting[bool] = False
    empty_image: Setting[bool] = False
    bomb_image: Setting[bool] = False
    zip_bomb: Setting[int] = False
    oversized_image: Setting[int] = False
    prune_at_once: float | bool = False
    same_file_name: bool = False
    fail_every: int | bool = False
    seed_beyond: bool = False
    _times_left: dict[Fault, int] = field(default_factory=dict, init=False, repr=False)

    @override
    def __setattr__(self, name: str, value: Any) -> None:
        """Set a switch. Raises ValueError for an endpoint that does not exist.

        A misspelt endpoint would leave the switch off, and a test that relies on it green.
        """
        if isinstance(value, (AbstractSet, Mapping)) and name in set(Fault):
            if not SWITCHES[Fault(name)].where:
                raise ValueError(f"{name} concerns no answer and takes no endpoints")
            if unknown := set(value) - set(Endpoint):
                raise ValueError(f"{name} knows no endpoint {', '.join(sorted(unknown))}")
        super().__setattr__(name, value)

    def on(
        self, fault: Fault | str, *where: str, value: Any = True, times: int | None = None
    ) -> AbstractContextManager[object]:
        """Turn a switch on: at once, for `times` answers if given, and until the block ends.

        Without endpoints it concerns all that it makes sense for. The result need not be
        used as a context manager: the switch is on either way.
        """
        fault = Fault(fault)
        if times is not None and SWITCHES[fault].stage is Stage.NONE:
            raise ValueError(f"{fault} concerns no answer: its uses are not counted")
        setattr(self, fault, dict.fromkeys(where, value) if where else value)
        if times is not None:
            self._times_left[fault] = times
        block = ExitStack()
        block.callback(self.off, fault)
        return block

    def off(self, fault: Fault | str) -> None:
        """Turn a switch off."""
        setattr(self, fault, False)
        self._times_left.pop(Fault(fault), None)

    def clear(self) -> None:
        """Turn all switches off."""
        for fault in Fault:
            self.off(fault)

    def set_from_text(self, text: str) -> None:
        """Turn a switch on as the command line names it.

        `name`, `name=value`, `name=endpoint,endpoint`, `name=endpoint:value,endpoint:value`;
        `name=off` turns it off. Raises ValueError when the text makes no sense.
        """
        name, _, given = text.partition("=")
        if name not in set(Fault):
            raise ValueError(f"There is no switch {name}")
        parts = [part.strip() for part in given.split(",") if part.strip()]
        places: dict[str, Any] = {}
        for part in parts:
            place, colon, value = part.partition(":")
            if place in set(Endpoint):
                places[place] = _literal(value) if colon else True
        if places and len(places) != len(parts):
            raise ValueError(f"{text} mixes endpoints and other values")
        setattr(self, name, places or (_literal(given) if given else True))

    def at(self, fault: Fault, endpoint: Endpoint | None = None) -> Any:
        """Return the value that a switch has for an endpoint, None where it is off."""
        setting = getattr(self, fault)
        switch = SWITCHES[fault]
        if isinstance(setting, Mapping):
            setting = setting.get(str(endpoint), False)
        elif isinstance(setting, AbstractSet):
            setting = endpoint in setting
        elif switch.where and endpoint not in switch.where:
            setting = False
        if setting is False or setting is None:
            return None
        return switch.value if setting is True else setting

    def count_use(self, fault: Fault) -> None:
        """Note that a switch has acted; it goes off after the last time it was meant to."""
        if fault not in self._times_left:
            return
        self._times_left[fault] -= 1
        if self._times_left[fault] <= 0:
            self.off(fault)


async def answer(faults: Faults, request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer a request as the switches say; what they do not concern the handler does."""
    name = request.match_info.route.name
    if name not in set(Endpoint):
        return await handler(request)
    exchange = Exchange(
        request=request, endpoint=Endpoint(name), faults=faults, response=web.Response()
    )
    if not _act(exchange, Stage.INSTEAD):
        response = await handler(request)
        if not isinstance(response, web.Response):
            return response
        exchange.response = response
    is_error = exchange.response.status >= web.HTTPBadRequest.status_code
    _act(exchange, Stage.ERROR if is_error else Stage.ANSWER)
    return await _send(exchange)


def _act(exchange: Exchange, stage: Stage) -> bool:
    """Let the switches of a stage change the answer; return whether one did."""
    changed = False
    for fault, switch in SWITCHES.items():
        if switch.stage is not stage or switch.act is None:
            continue
        value = exchange.faults.at(fault, exchange.endpoint)
        if value is None or (response := switch.act(exchange, value)) is None:
            continue
        exchange.response = response
        exchange.faults.count_use(fault)
        changed = True
        if stage is Stage.INSTEAD:
            break
    return changed


async def _send(exchange: Exchange) -> web.StreamResponse:
    """Send the answer as the switches say; the caller sends what comes back unsent."""
    response: web.StreamResponse = exchange.response
    for fault, switch in SWITCHES.items():
        value = exchange.faults.at(fault, exchange.endpoint)
        if switch.send is None or value is None or response.prepared:
            continue
        exchange.faults.count_use(fault)
        response = await switch.send(exchange, value)
    return response


def error_response(status: int, reason: str) -> web.Response:
    """Return an error as GAZE's API says it: `{"error": "…"}`."""
    return web.json_response({"error": reason}, status=status)


def html_response(status: int, title: str, text: str) -> web.Response:
    """Return an error page as Flask makes them."""
    page = (
        f"<!doctype html>\n<html lang=en>\n<title>{status} {title}</title>\n"
        f"<h1>{title}</h1>\n<p>{text}</p>\n"
    )
    return web.Response(status=status, text=page, content_type="text/html")


def _literal(text: str) -> int | float | str | bool:
    """Return what a value on the command line stands for."""
    if text in {"on", "true", "off", "false"}:
        return text in {"on", "true"}
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _vanished_preset(exchange: Exchange, value: str | bool) -> web.Response | None:
    if value is not True and value != exchange.request.match_info["slug"]:
        return None
    return error_response(404, "Preset not found")


def _busy(exchange: Exchange, value: int) -> web.Response:
    response = error_response(value, "Too busy, try again later")
    if (retry_after := exchange.faults.at(Fault.RETRY_AFTER)) is not None:
        response.headers["Retry-After"] = str(retry_after)
    return response


def _redirect(_exchange: Exchange, value: str) -> web.Response:
    return web.Response(status=302, headers={"Location": value})


def _html_error(exchange: Exchange, _value: bool) -> web.Response | None:
    response = exchange.response
    if response.content_type == "text/html":
        return None
    return html_response(response.status, response.reason or "Error", "The request failed.")


def _no_reason(exchange: Exchange, _value: bool) -> web.Response:
    return web.json_response({}, status=exchange.response.status)


def _of_json(change: Callable[[Any, Any], Any]) -> Callable[[Exchange, Any], web.Response | None]:
    """Make a change of decoded JSON a change of the answer; what is no JSON stays as it is."""

    def act(exchange: Exchange, value: Any) -> web.Response | None:
        response = exchange.response
        if response.content_type != "application/json":
            return None
        body = response.body
        data = json.loads(body) if isinstance(body, bytes) else None
        return web.json_response(change(data, value), status=response.status)

    return act


@_of_json
def _unknown_status(job: Any, value: str) -> Any:
    return {**job, "status": value} if job.get("status") in {"pending", "processing"} else job


@_of_json
def _no_image(job: Any, value: str) -> Any:
    if value == "result":
        return {name: item for name, item in job.items() if name != value}
    return _without(job, {value})


@_of_json
def _no_seed(job: Any, _value: bool) -> Any:
    return _without(job, {"seed"})


@_of_json
def _other_origin(job: Any, value: str) -> Any:
    if "result" not in job:
        return job
    return {**job, "result": {**job["result"], "image_url": value + job["result"]["image_url"]}}


@_of_json
def _extra_fields(data: Any, _value: bool) -> Any:
    return _with_extra(data)


@_of_json
def _missing_fields(data: Any, value: str) -> Any:
    return _without(data, set(value.split()))


@_of_json
def _wrong_types(data: Any, value: str) -> Any:
    return WRONG_TYPES[value](data)


@_of_json
def _huge_json(data: Any, value: float) -> Any:
    return {**data, "padding": "x" * int(value * MEBIBYTE)}


def _with_extra(data: Any) -> Any:
    """Return JSON with fields that the guide does not know in every object."""
    if isinstance(data, list):
        return [_with_extra(item) for item in data]
    if isinstance(data, dict):
        extra = {"node": {"gpu": 0, "tags": ["a", None]}, "eta": 12.5, "schema": 2}
        return {name: _with_extra(item) for name, item in data.items()} | extra
    return data


def _without(data: Any, names: AbstractSet[str]) -> Any:
    """Return JSON without some fields, at whatever depth they stand."""
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


def _garbage_json(exchange: Exchange, _value: bool) -> web.Response | None:
    if exchange.response.content_type != "application/json":
        return None
    return web.Response(
        status=exchange.response.status,
        body=b'{"jobs": [{"id": "\xff\xfe',
        content_type="application/json",
    )


def _lying_type(exchange: Exchange, value: str) -> web.Response:
    return web.Response(body=exchange.response.body, content_type=value)


def _not_an_image(_exchange: Exchange, _value: bool) -> web.Response:
    page = "<!doctype html>\n<title>GAZE</title>\n<script>alert('not an image')</script>\n"
    return web.Response(body=page.encode(), content_type="image/png")


def _empty_image(_exchange: Exchange, _value: bool) -> web.Response:
    return web.Response(body=b"", content_type="image/png")


def _bomb_image(_exchange: Exchange, _value: bool) -> web.Response:
    return web.Response(body=bomb_image(50_000, 50_000), content_type="image/png")


def _zip_bomb(exchange: Exchange, value: int) -> web.Response | None:
    response = exchange.response
    if not isinstance(response.body, bytes):
        return None
    packer = zlib.compressobj(level=1, wbits=31)
    # Blanks leave JSON valid and follow the end of a PNG file, where nobody looks.
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


async def _wait(exchange: Exchange, value: float) -> web.StreamResponse:
    await asyncio.sleep(value)
    return exchange.response


async def _hang(_exchange: Exchange, _value: bool) -> web.StreamResponse:
    await asyncio.get_running_loop().create_future()
    raise AssertionError("Nobody resolves this future")


async def _truncate(exchange: Exchange, _value: bool) -> web.StreamResponse:
    response = exchange.response
    body = response.body if isinstance(response.body, bytes) else b""
    stream = web.StreamResponse(status=response.status, headers=response.headers)
    stream.content_length = len(body)
    stream.force_close()
    await stream.prepare(exchange.request)
    await stream.write(body[: len(body) // 2])
    return stream


async def _oversize(exchange: Exchange, value: int) -> web.StreamResponse:
    """Send a real picture and go on, without having said how long it will be."""
    response = exchange.response
    stream = web.StreamResponse(headers={"Content-Type": "image/png"})
    await stream.prepare(exchange.request)
    await stream.write(response.body if isinstance(response.body, bytes) else b"")
    with suppress(ConnectionError):  # the client has had enough, as it should
        for _ in range(value):
            await stream.write(bytes(MEBIBYTE))
    return stream


_API = frozenset({Endpoint.PRESETS, Endpoint.GENERATE, Endpoint.JOB})
_ALL = frozenset(Endpoint)
_GENERATE = frozenset({Endpoint.GENERATE})
_JOB = frozenset({Endpoint.JOB})
_IMAGE = frozenset({Endpoint.IMAGE})

SWITCHES: dict[Fault, Switch] = {
    Fault.KEY_REGENERATED: Switch(
        summary="Every API key is refused with 403",
        stage=Stage.INSTEAD,
        where=_API,
        act=lambda _exchange, _value: error_response(403, "Invalid API key"),
    ),
    Fault.BUSY: Switch(
        summary="The server refuses for now: 503, or the status given (429)",
        stage=Stage.INSTEAD,
        where=_ALL,
        value=503,
        act=_busy,
    ),
    Fault.RETRY_AFTER: Switch(
        summary="What Retry-After says in a busy answer: seconds or a date; without it, nothing",
        stage=Stage.NONE,
        value=5,
    ),
    Fault.SERVER_ERROR: Switch(
        summary="The server fails with 500, or the status given",
        stage=Stage.INSTEAD,
        where=_ALL,
        value=500,
        act=lambda _exchange, value: error_response(value, "Internal generation error"),
    ),
    Fault.REDIRECT: Switch(
        summary="302 to another host, or to the address given",
        stage=Stage.INSTEAD,
        where=_ALL,
        value="http://elsewhere.invalid/",
        act=_redirect,
    ),
    Fault.PRESET_VANISHES: Switch(
        summary="Presets (or the slug given) are listed, but generate answers 404",
        stage=Stage.INSTEAD,
        where=_GENERATE,
        act=_vanished_preset,
    ),
    Fault.JOBS_404: Switch(
        summary="Every job is unknown",
        stage=Stage.INSTEAD,
        where=_JOB,
        act=lambda _exchange, _value: error_response(404, "Job not found"),
    ),
    Fault.IMAGE_DELETED: Switch(
        summary="Every image is gone",
        stage=Stage.INSTEAD,
        where=_IMAGE,
        act=lambda _exchange, _value: html_response(404, "Not Found", "The file is not there."),
    ),
    Fault.HTML_ERRORS: Switch(
        summary="Errors are Flask's HTML pages instead of JSON",
        stage=Stage.ERROR,
        where=_ALL,
        act=_html_error,
    ),
    Fault.NO_REASON: Switch(
        summary="The body of an error is {}",
        stage=Stage.ERROR,
        where=_API,
        act=_no_reason,
    ),
    Fault.UNKNOWN_STATUS: Switch(
        summary="Open jobs report the status 'rendering', or the one given",
        stage=Stage.ANSWER,
        where=_JOB,
        value="rendering",
        act=_unknown_status,
    ),
    Fault.NO_IMAGE: Switch(
        summary="A done job has no result, or lacks the field given (image_url)",
        stage=Stage.ANSWER,
        where=_JOB,
        value="result",
        act=_no_image,
    ),
    Fault.NO_SEED: Switch(
        summary="A done job does not tell its seed",
        stage=Stage.ANSWER,
        where=_JOB,
        act=_no_seed,
    ),
    Fault.OTHER_ORIGIN: Switch(
        summary="image_url is an absolute address on another host, or on the origin given",
        stage=Stage.ANSWER,
        where=_JOB,
        value="http://elsewhere.invalid",
        act=_other_origin,
    ),
    Fault.EXTRA_FIELDS: Switch(
        summary="Every JSON object has fields that the guide does not know",
        stage=Stage.ANSWER,
        where=_API,
        act=_extra_fields,
    ),
    Fault.MISSING_FIELDS: Switch(
        summary="JSON lacks slug, job_id and status, or the field given",
        stage=Stage.ANSWER,
        where=_API,
        value="slug job_id status",
        act=_missing_fields,
    ),
    Fault.HUGE_JSON: Switch(
        summary="JSON of 16 MiB, or as many as given",
        stage=Stage.ANSWER,
        where=_API,
        value=16,
        act=_huge_json,
    ),
    Fault.WRONG_TYPES: Switch(
        summary="JSON is a list where an object belongs; or 'inside', 'numbers', 'null', 'text'",
        stage=Stage.ANSWER,
        where=_API,
        value="list",
        act=_wrong_types,
    ),
    Fault.GARBAGE_JSON: Switch(
        summary="JSON that breaks off in bytes that are no text",
        stage=Stage.ANSWER,
        where=_API,
        act=_garbage_json,
    ),
    Fault.LYING_TYPE: Switch(
        summary="A PNG file called image/jpeg, or the content type given (text/html)",
        stage=Stage.ANSWER,
        where=_IMAGE,
        value="image/jpeg",
        act=_lying_type,
    ),
    Fault.NOT_AN_IMAGE: Switch(
        summary="An HTML page called image/png",
        stage=Stage.ANSWER,
        where=_IMAGE,
        act=_not_an_image,
    ),
    Fault.EMPTY_IMAGE: Switch(
        summary="An image of 0 bytes",
        stage=Stage.ANSWER,
        where=_IMAGE,
        act=_empty_image,
    ),
    Fault.BOMB_IMAGE: Switch(
        summary="A tiny PNG file that declares 50,000 x 50,000 pixels",
        stage=Stage.ANSWER,
        where=_IMAGE,
        act=_bomb_image,
    ),
    Fault.ZIP_BOMB: Switch(
        summary="A gzip-encoded answer that unpacks to 128 MiB, or as many as given",
        stage=Stage.ANSWER,
        where=_IMAGE,
        value=128,
        act=_zip_bomb,
    ),
    Fault.LATENCY: Switch(
        summary="Each answer comes a second late, or as many as given",
        stage=Stage.SENDING,
        where=_ALL,
        value=1.0,
        send=_wait,
    ),
    Fault.HANG: Switch(
        summary="The request is carried out, but no answer ever comes",
        stage=Stage.SENDING,
        where=_ALL,
        send=_hang,
    ),
    Fault.TRUNCATED: Switch(
        summary="The connection closes halfway through the answer",
        stage=Stage.SENDING,
        where=_ALL,
        send=_truncate,
    ),
    Fault.OVERSIZED_IMAGE: Switch(
        summary="An image that goes on for another 65 MiB, or as many as given",
        stage=Stage.SENDING,
        where=_IMAGE,
        value=65,
        send=_oversize,
    ),
    Fault.PRUNE_AT_ONCE: Switch(
        summary="When a job begins, finished ones (or those so many seconds old) are forgotten",
        stage=Stage.NONE,
        value=0,
    ),
    Fault.SAME_FILE_NAME: Switch(
        summary="All images of a preset share one file name: the newest overwrites",
        stage=Stage.NONE,
    ),
    Fault.FAIL_EVERY: Switch(
        summary="Every second job fails, or every n-th",
        stage=Stage.NONE,
        value=2,
    ),
    Fault.SEED_BEYOND: Switch(
        summary="Random seeds are just below 2**64",
        stage=Stage.NONE,
    ),
}
