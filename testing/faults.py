"""The faults of the fake GAZE server.

`Fault` defines every fault: what it does, which endpoints it concerns unless others are named,
and its usual value. `Faults` holds those that are on. Turn one on for everything or for one
thing, for a number of requests or for a time:

    server.faults.on(Fault.HANG)
    server.faults.on(Fault.BUSY, "generate", value=429, times=2)
    server.faults.on(Fault.SERVER_ERROR, job=job_id)
    server.faults.on(Fault.PROXY_PAGE, value=404, preset="neon_city", seconds=15)
    server.faults.on(Fault.SET_FIELDS, "presets", preset="neon_city", value={"name": None})
    server.faults.on(Fault.IMAGE_KIND, image=job_id, value="avif")
"""

import asyncio
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from enum import StrEnum, auto
import time
from typing import Any, Self

from aiohttp import web
from aiohttp.typedefs import Handler

from . import misbehavior
from .misbehavior import (
    Behavior,
    Endpoint,
    Exchange,
    Stage,
    Target,
    error_response,
    html_response,
    proxy_response,
)

_API = frozenset({Endpoint.PRESETS, Endpoint.GENERATE, Endpoint.JOB})
_ALL = frozenset(Endpoint)
_GENERATE = frozenset({Endpoint.GENERATE})
_JOB = frozenset({Endpoint.JOB})
_IMAGE = frozenset({Endpoint.IMAGE})


class Fault(StrEnum):
    """Every fault, under the name that `--fault` takes. Faults of one stage act in this order."""

    behavior: Behavior

    def __new__(cls, name: str, behavior: Behavior) -> Self:
        """Create a fault that compares as its name."""
        fault = str.__new__(cls, name)
        fault._value_ = name
        fault.behavior = behavior
        return fault

    KEY_REGENERATED = (
        auto(),
        Behavior(
            "Every API key is refused with 403, or with the status given (401)",
            Stage.INSTEAD,
            _API,
            value=403,
            act=misbehavior.refuse_key,
        ),
    )
    PROXY_PAGE = (
        auto(),
        Behavior(
            "A reverse proxy responds with an HTML page: 502, or the status given (403, 404)",
            Stage.INSTEAD,
            _ALL,
            value=502,
            act=lambda _exchange, value: proxy_response(value),
        ),
    )
    BUSY = (
        auto(),
        Behavior(
            "The server refuses for now: 503, or the status given (429)",
            Stage.INSTEAD,
            _ALL,
            value=503,
            act=misbehavior.busy,
        ),
    )
    SERVER_ERROR = (
        auto(),
        Behavior(
            "The server fails with 500, or the status given",
            Stage.INSTEAD,
            _ALL,
            value=500,
            act=lambda _exchange, value: error_response(value, "Internal generation error"),
        ),
    )
    REDIRECT = (
        auto(),
        Behavior(
            "302 to another host, or to the address given",
            Stage.INSTEAD,
            _ALL,
            value="http://elsewhere.invalid/",
            act=misbehavior.redirect,
        ),
    )
    PRESET_VANISHES = (
        auto(),
        Behavior(
            "Presets are listed, but generate responds 404",
            Stage.INSTEAD,
            _GENERATE,
            act=lambda _exchange, _value: error_response(404, "Preset not found"),
        ),
    )
    JOBS_404 = (
        auto(),
        Behavior(
            "Every job is unknown",
            Stage.INSTEAD,
            _JOB,
            act=lambda _exchange, _value: error_response(404, "Job not found"),
        ),
    )
    IMAGE_DELETED = (
        auto(),
        Behavior(
            "Every image is gone",
            Stage.INSTEAD,
            _IMAGE,
            act=lambda _exchange, _value: html_response(404, "Not Found", "The file is not there."),
        ),
    )
    HTML_ERRORS = (
        auto(),
        Behavior(
            "Errors are Flask's HTML pages instead of JSON",
            Stage.ERROR,
            _ALL,
            act=misbehavior.html_error,
        ),
    )
    NO_REASON = (
        auto(),
        Behavior(
            "The body of an error is {}",
            Stage.ERROR,
            _API,
            act=misbehavior.no_reason,
        ),
    )
    RETRY_AFTER = (
        auto(),
        Behavior(
            "Responses 429 and 503 have Retry-After: 5 seconds, or the seconds or the date given",
            Stage.ERROR,
            _ALL,
            value=5,
            act=misbehavior.retry_after,
        ),
    )
    UNKNOWN_STATUS = (
        auto(),
        Behavior(
            "Open jobs report the status 'rendering', or the one given",
            Stage.RESPONSE,
            _JOB,
            value="rendering",
            act=misbehavior.unknown_status,
        ),
    )
    NO_IMAGE = (
        auto(),
        Behavior(
            "A done job has no result, or lacks the field given (image_url)",
            Stage.RESPONSE,
            _JOB,
            value="result",
            act=misbehavior.no_image,
        ),
    )
    NO_SEED = (
        auto(),
        Behavior(
            "A done job has no seed",
            Stage.RESPONSE,
            _JOB,
            act=misbehavior.no_seed,
        ),
    )
    OTHER_ORIGIN = (
        auto(),
        Behavior(
            "image_url is an absolute address on another host, or on the origin given",
            Stage.RESPONSE,
            _JOB,
            value="http://elsewhere.invalid",
            act=misbehavior.other_origin,
        ),
    )
    IMAGE_ADDRESS = (
        auto(),
        Behavior(
            "image_url is a file address, or the text given, with {path} for the real path",
            Stage.RESPONSE,
            _JOB,
            value="file://{path}",
            act=misbehavior.image_address,
        ),
    )
    SET_FIELDS = (
        auto(),
        Behavior(
            "JSON fields have other values, at any depth: odd ones, or those given",
            Stage.RESPONSE,
            _API,
            value={"name": None, "seed": "?", "error": {"code": 1}},
            act=misbehavior.set_fields,
        ),
    )
    EMPTY_LIST = (
        auto(),
        Behavior(
            "The list of presets is empty",
            Stage.RESPONSE,
            frozenset({Endpoint.PRESETS}),
            act=misbehavior.empty_list,
        ),
    )
    EXTRA_FIELDS = (
        auto(),
        Behavior(
            "Every JSON object has fields that the guide does not know",
            Stage.RESPONSE,
            _API,
            act=misbehavior.extra_fields,
        ),
    )
    MISSING_FIELDS = (
        auto(),
        Behavior(
            "JSON lacks slug, job_id and status, or the field given",
            Stage.RESPONSE,
            _API,
            value="slug job_id status",
            act=misbehavior.missing_fields,
        ),
    )
    HUGE_JSON = (
        auto(),
        Behavior(
            "JSON of 16 MiB, or as many as given",
            Stage.RESPONSE,
            _API,
            value=16,
            act=misbehavior.huge_json,
        ),
    )
    WRONG_TYPES = (
        auto(),
        Behavior(
            "JSON is a list where an object belongs; or 'inside', 'numbers', 'null', 'text'",
            Stage.RESPONSE,
            _API,
            value="list",
            act=misbehavior.wrong_types,
        ),
    )
    GARBAGE_JSON = (
        auto(),
        Behavior(
            "JSON that breaks off in bytes that are no text",
            Stage.RESPONSE,
            _API,
            act=misbehavior.garbage_json,
        ),
    )
    LYING_TYPE = (
        auto(),
        Behavior(
            "A PNG file called image/jpeg, or the content type given (text/html)",
            Stage.RESPONSE,
            _IMAGE,
            value="image/jpeg",
            act=misbehavior.lying_type,
        ),
    )
    NOT_AN_IMAGE = (
        auto(),
        Behavior(
            "An HTML page called image/png",
            Stage.RESPONSE,
            _IMAGE,
            act=misbehavior.not_an_image,
        ),
    )
    EMPTY_IMAGE = (
        auto(),
        Behavior(
            "An image of 0 bytes",
            Stage.RESPONSE,
            _IMAGE,
            act=misbehavior.empty_image,
        ),
    )
    BOMB_IMAGE = (
        auto(),
        Behavior(
            "A tiny PNG file that declares 50,000 x 50,000 pixels",
            Stage.RESPONSE,
            _IMAGE,
            act=misbehavior.bomb,
        ),
    )
    IMAGE_KIND = (
        auto(),
        Behavior(
            "Images are GIF files, or avif, bmp, heic, jpeg, mp4, tiff, unknown, webm, webp",
            Stage.RESPONSE,
            _IMAGE,
            value="gif",
            act=misbehavior.image_kind,
        ),
    )
    ZIP_BOMB = (
        auto(),
        Behavior(
            "A gzip-encoded response that unpacks to 128 MiB, or as many as given",
            Stage.RESPONSE,
            _IMAGE,
            value=128,
            act=misbehavior.zip_bomb,
        ),
    )
    PROXY_TIMEOUT = (
        auto(),
        Behavior(
            "The request is carried out, but a reverse proxy responds 504",
            Stage.RESPONSE,
            _ALL,
            value=504,
            act=lambda _exchange, value: proxy_response(value),
        ),
    )
    LATENCY = (
        auto(),
        Behavior(
            "Each response comes a second late, or as many as given",
            Stage.SENDING,
            _ALL,
            value=1.0,
            send=misbehavior.wait,
        ),
    )
    HANG = (
        auto(),
        Behavior(
            "The request is carried out, but no response ever comes",
            Stage.SENDING,
            _ALL,
            send=misbehavior.hang,
        ),
    )
    TRUNCATED = (
        auto(),
        Behavior(
            "The connection closes halfway through the response",
            Stage.SENDING,
            _ALL,
            send=misbehavior.truncate,
        ),
    )
    OVERSIZED_IMAGE = (
        auto(),
        Behavior(
            "An image that goes on for another 65 MiB, or as many as given",
            Stage.SENDING,
            _IMAGE,
            value=65,
            send=misbehavior.oversize,
        ),
    )
    DELAY = (
        auto(),
        Behavior(
            "Each request is carried out a second late, or as many as given",
            Stage.QUEUE,
            _ALL,
            value=1.0,
        ),
    )
    PRUNE_AT_ONCE = (
        auto(),
        Behavior(
            "When a job starts, GAZE discards finished jobs, or those so many seconds old",
            Stage.QUEUE,
            value=0,
        ),
    )
    SAME_FILE_NAME = (
        auto(),
        Behavior(
            "All images of a preset share one file name: the newest overwrites",
            Stage.QUEUE,
        ),
    )
    FILE_NAME = (
        auto(),
        Behavior(
            "New images have an odd file name, or the one given",
            Stage.QUEUE,
            value="gen #1? 50%2F \N{LATIN SMALL LETTER U WITH DIAERESIS}.png",
        ),
    )
    FAIL_EVERY = (
        auto(),
        Behavior(
            "Every second job fails, or every n-th",
            Stage.QUEUE,
            value=2,
        ),
    )
    SEED_BEYOND = (
        auto(),
        Behavior(
            "Random seeds are just below 2**64",
            Stage.QUEUE,
        ),
    )
    EXTRA_JOBS = (
        auto(),
        Behavior(
            "A request queues one job more than it says, or as many more as given",
            Stage.QUEUE,
            value=1,
        ),
    )


@dataclass(kw_only=True, slots=True, eq=False)
class ActiveFault:
    """A fault that is on, for the things that it names."""

    fault: Fault
    value: Any
    endpoints: frozenset[Endpoint]
    job: str | None = None
    preset: str | None = None
    image: str | None = None
    times: int | None = None
    until: float | None = None

    @property
    def scope(self) -> tuple[object, ...]:
        """What it concerns. It replaces an older fault with the same scope."""
        return self.fault, self.endpoints, self.job, self.preset, self.image

    def concerns(self, target: Target) -> bool:
        """Return whether it concerns a request."""
        if target.endpoint is not None and target.endpoint not in self.endpoints:
            return False
        if target.endpoint is Endpoint.PRESETS:
            return self.job is None and self.image is None
        return (
            self.job in {None, target.job}
            and self.preset in {None, target.preset}
            and self.image in {None, target.image}
        )


class Faults:
    """The faults that are on. They may change at any time."""

    __slots__ = ("_active",)

    def __init__(self) -> None:
        """Start without faults."""
        self._active: list[ActiveFault] = []

    @property
    def active(self) -> tuple[ActiveFault, ...]:
        """Return the faults that are on, the newest first."""
        now = _now()
        self._active = [one for one in self._active if one.until is None or one.until > now]
        return tuple(self._active)

    def on(  # noqa: PLR0913 - each limits the fault in another way
        self,
        fault: Fault | str,
        *endpoints: str,
        value: Any = True,
        job: str | None = None,
        preset: str | None = None,
        image: str | None = None,
        times: int | None = None,
        seconds: float | None = None,
    ) -> AbstractContextManager[object]:
        """Turn a fault on: at once, and until the block ends if it is used in a `with`.

        Without endpoints it concerns those of its definition. `job` limits it to requests about
        a job and its image, by job ID. `image` limits it to requests for the image of a job,
        by job ID. `preset` limits it to requests about a preset, its jobs, and their images,
        by slug, and in the list of presets to the preset's item. `times` counts requests that
        it acted on. `seconds` pass on the clock of the event loop. Raises ValueError for a
        fault that could never act.
        """
        fault = _fault_named(fault)
        behavior = fault.behavior
        new = ActiveFault(
            fault=fault,
            value=behavior.value if value is True else value,
            endpoints=_endpoints(behavior, endpoints, job=job, image=image),
            job=job,
            preset=preset,
            image=image,
            times=times,
            until=None if seconds is None else _now() + seconds,
        )
        self._active = [new, *(one for one in self.active if one.scope != new.scope)]
        block = ExitStack()
        block.callback(self._remove, new)
        return block

    def off(self, fault: Fault | str) -> None:
        """Turn a fault off for all that it concerns."""
        self._active = [one for one in self._active if one.fault != fault]

    def clear(self) -> None:
        """Turn all faults off."""
        self._active = []

    def set_from_text(self, text: str) -> None:
        """Turn a fault on or off as the command line describes it.

        `name`, `name=value`, `name=endpoint,endpoint`, `name=endpoint:value,endpoint:value`,
        each followed by any of `job=ID`, `preset=SLUG`, `image=ID`, `times=N`, and `seconds=S`
        after a space. `name=off` turns it off. Raises ValueError for any other text.
        """
        first, *limits = text.split(" ")
        name, _, given = first.partition("=")
        fault = _fault_named(name)
        if given == "off":
            self.off(fault)
            return
        arguments = dict(_parse_limit(limit) for limit in limits)
        parts = [part.strip() for part in given.split(",") if part.strip()]
        values: dict[str, Any] = {}
        for part in parts:
            endpoint, colon, value = part.partition(":")
            if endpoint in set(Endpoint):
                values[endpoint] = _literal(value) if colon else True
        if not values:
            self.on(fault, value=_literal(given) if given else True, **arguments)
            return
        if len(values) != len(parts):
            raise ValueError(f"{text} mixes endpoints and other values")
        for endpoint, value in values.items():
            self.on(fault, endpoint, value=value, **arguments)

    def turn_on(self, fault: str, endpoints: list[str] | None = None, **arguments: Any) -> None:
        """Turn a fault on as `on` does, with arguments that are JSON."""
        self.on(fault, *endpoints or (), **arguments)

    def find(self, fault: Fault, target: Target) -> ActiveFault | None:
        """Return the newest fault of a kind that concerns a request."""
        return next(
            (one for one in self.active if one.fault is fault and one.concerns(target)), None
        )

    def use(self, fault: Fault, target: Target | None = None) -> Any:
        """Return the value of a fault and count the use. Return None if it is off."""
        if (found := self.find(fault, target or Target())) is None:
            return None
        self.count_use(found)
        return found.value

    def count_use(self, active: ActiveFault) -> None:
        """Count that a fault acted. It goes off after the last time."""
        if active.times is None:
            return
        active.times -= 1
        if active.times <= 0:
            self._remove(active)

    def _remove(self, active: ActiveFault) -> None:
        self._active = [one for one in self._active if one is not active]


def _fault_named(name: str) -> Fault:
    """Return a fault by its name. Raises ValueError if there is none."""
    for fault in Fault:
        if fault == name:
            return fault
    raise ValueError(f"There is no fault {name}")


def _endpoints(
    behavior: Behavior, named: tuple[str, ...], *, job: str | None, image: str | None
) -> frozenset[Endpoint]:
    """Return the endpoints that a fault concerns. Raises ValueError if it can never act."""
    if named and not behavior.endpoints:
        raise ValueError("This fault concerns no response and takes no endpoints")
    if unknown := set(named) - set(Endpoint):
        raise ValueError(f"There is no endpoint {', '.join(sorted(unknown))}")
    endpoints = frozenset(map(Endpoint, named)) or behavior.endpoints
    if image is not None:
        endpoints &= _IMAGE
    elif job is not None:
        endpoints &= _JOB | _IMAGE
    if not endpoints and (behavior.endpoints or job or image):
        raise ValueError("This fault concerns no request about that job or image")
    return endpoints


def _now() -> float:
    """Return the time of the event loop, which tests may move."""
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return time.monotonic()


def _parse_limit(text: str) -> tuple[str, Any]:
    """Return a limit of the command line as an argument of `Faults.on`."""
    name, _, value = text.partition("=")
    parsers: Mapping[str, type] = {
        "job": str,
        "preset": str,
        "image": str,
        "times": int,
        "seconds": float,
    }
    if name not in parsers:
        raise ValueError(f"There is no limit {name}")
    return name, parsers[name](value)


def _literal(text: str) -> int | float | str | bool:
    """Return the value that a text of the command line stands for."""
    if text in {"on", "true"}:
        return True
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


async def respond(
    faults: Faults, request: web.Request, handler: Handler, target: Target
) -> web.StreamResponse:
    """Respond to a request with the faults that concern it."""
    if (delay := faults.use(Fault.DELAY, target)) is not None:
        await asyncio.sleep(delay)
    exchange = Exchange(request=request, response=web.Response())
    if not _act(faults, exchange, target, Stage.INSTEAD):
        response = await handler(request)
        if not isinstance(response, web.Response):
            return response
        exchange.response = response
    is_error = exchange.response.status >= web.HTTPBadRequest.status_code
    _act(faults, exchange, target, Stage.ERROR if is_error else Stage.RESPONSE)
    return await _send(faults, exchange, target)


def _act(faults: Faults, exchange: Exchange, target: Target, stage: Stage) -> bool:
    """Let the faults of a stage change the response. Return whether one did."""
    changed = False
    for fault in Fault:
        act = fault.behavior.act
        if fault.behavior.stage is not stage or act is None:
            continue
        if (active := faults.find(fault, target)) is None:
            continue
        exchange.preset = active.preset if target.endpoint is Endpoint.PRESETS else None
        if (response := act(exchange, active.value)) is None:
            continue
        exchange.response = response
        faults.count_use(active)
        changed = True
        if stage is Stage.INSTEAD:
            break
    return changed


async def _send(faults: Faults, exchange: Exchange, target: Target) -> web.StreamResponse:
    """Let faults send the response. The caller sends what comes back unsent."""
    response: web.StreamResponse = exchange.response
    for fault in Fault:
        send = fault.behavior.send
        if send is None or response.prepared or (active := faults.find(fault, target)) is None:
            continue
        faults.count_use(active)
        response = await send(exchange, active.value)
    return response
