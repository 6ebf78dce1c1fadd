"""Tests of the REST client and the config flow with a hostile server."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from itertools import product
import ssl
import tracemalloc
from typing import Final

from aiohttp import ClientSession, TCPConnector
from homeassistant.config_entries import SOURCE_USER
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
import pytest
from yarl import URL

from custom_components.gaze.api import (
    GazeAuthError,
    GazeClient,
    GazeConnectionError,
    GazeError,
    GazeImageError,
    GazeImageRefusedError,
    GazeResponseError,
    GazeServerError,
    GazeSslError,
    GazeTimeoutError,
    GenerateOptions,
)
from custom_components.gaze.api.client import (
    API_TIMEOUT,
    IMAGE_TIMEOUT,
    MAX_IMAGE_BYTES,
    MAX_RESPONSE_BYTES,
)
from custom_components.gaze.const import DOMAIN

from .common import OUTCOMES, TOO_LARGE
from .conftest import API_KEY, Certificates, Hostile
from .server import ENDPOINTS, HOSTILITIES, JOB_ID

CALLS: Final[dict[str, Callable[[GazeClient], Awaitable[object]]]] = {
    "presets": lambda client: client.list_presets(),
    "generate": lambda client: client.generate("neon_city", GenerateOptions()),
    "job": lambda client: client.get_job(JOB_ID),
    "image": lambda client: client.get_image("/static/uploads/gen_1.png"),
}

# aiohttp may overlook a broken chunk that comes after the header was processed. Then the time
# limit of the request ends it.
UNNOTICED: Final = {"breaks_the_chunks", "cuts_a_chunk", "says_an_endless_chunk"}

# aiohttp notices bytes after the announced end only if they arrive before the header was processed.
# Otherwise the client returns the announced part, and the gallery rejects an image that is cut.
CUT: Final = ("says_too_short", "image")

# It ends by the time limit of the request alone, not by that for the next piece.
ENDLESS: Final = {"drips_the_header", "drips_the_body", "announces_without_end", *UNNOTICED}

# aiohttp rounds long time limits up to a whole second: seconds, with what else a call takes
ROUNDING: Final = 2

# What a connection holds, and unpacks at a time, beside what is read of it already: bytes
IN_FLIGHT: Final = 4 * 2**20

# What a body is read into has room for an eighth more than it holds.
GROWTH: Final = 9 / 8

FLOW_ERRORS: Final[dict[type[GazeError] | None, dict[str, str] | None]] = {
    None: None,
    GazeTimeoutError: {"base": "timeout_connect"},
    GazeConnectionError: {"base": "cannot_connect"},
    GazeServerError: {"base": "cannot_connect"},
    GazeAuthError: {"api_key": "invalid_auth"},
    GazeResponseError: {"base": "not_gaze"},
}


def outcome(name: str, place: str) -> type[GazeError] | None:
    """Return the expected error of a hostility at an endpoint."""
    if place == "image" and name.startswith("refuses_"):
        return GazeImageRefusedError
    return GazeImageError if place == "image" and name in TOO_LARGE else OUTCOMES[name]


async def failure(call: Awaitable[object]) -> type[BaseException] | None:
    """Return the type of the error of a call."""
    try:
        await call
    except Exception as err:  # noqa: BLE001 - the test tells which are meant
        return type(err)
    return None


@pytest.fixture
async def session(socket_enabled: None) -> AsyncGenerator[ClientSession]:
    async with ClientSession() as session:
        yield session


def test_table_has_each_hostility() -> None:
    assert OUTCOMES.keys() == HOSTILITIES.keys()


@pytest.mark.usefixtures("watch", "faultless")
async def test_hostile_response_raises_one_error_in_time(
    session: ClientSession, hostile: Hostile
) -> None:
    assert API_TIMEOUT.total is not None
    assert IMAGE_TIMEOUT.total is not None
    assert IMAGE_TIMEOUT.sock_read is not None
    found: dict[tuple[str, str], type[BaseException] | None] = {}

    for name, place in product(HOSTILITIES, ENDPOINTS):
        client = GazeClient(session, URL(hostile.url(name, place)), API_KEY)
        limit = API_TIMEOUT.total
        if place == "image":
            limit = IMAGE_TIMEOUT.total if name in ENDLESS else IMAGE_TIMEOUT.sock_read
        async with asyncio.timeout(limit + ROUNDING):
            found[name, place] = await failure(CALLS[place](client))

    for what in product(UNNOTICED, ENDPOINTS):
        assert found.pop(what) in {GazeResponseError, GazeTimeoutError}
    assert found.pop(CUT) in {GazeResponseError, None}
    assert found == {(name, place): outcome(name, place) for name, place in found}
    heads = (await hostile.order())["gaze"]
    asked = [head for head in heads if head.startswith("POST")]
    assert len(asked) == len(HOSTILITIES)  # never repeated: it could make the picture twice


@pytest.mark.usefixtures("faultless", "setup_integration")
async def test_config_flow_reports_hostile_server(hass: HomeAssistant, hostile: Hostile) -> None:
    assert API_TIMEOUT.total is not None
    found: dict[str, dict[str, str] | None] = {}

    for name in HOSTILITIES:
        if OUTCOMES[name] is None:
            continue
        answers = {"host": hostile.url(name, "presets"), "api_key": API_KEY}
        async with asyncio.timeout(API_TIMEOUT.total + ROUNDING):
            result = await hass.config_entries.flow.async_init(
                DOMAIN, context={"source": SOURCE_USER}, data=answers
            )
        assert result["type"] is FlowResultType.FORM
        found[name] = result["errors"]
    await hostile.order(off=[name])
    result = await hass.config_entries.flow.async_configure(result["flow_id"], answers)

    for name in UNNOTICED:
        assert found.pop(name) in (FLOW_ERRORS[GazeResponseError], FLOW_ERRORS[GazeTimeoutError])
    expected = {name: FLOW_ERRORS[error] for name, error in OUTCOMES.items() if error is not None}
    assert found == {name: expected[name] for name in expected.keys() - UNNOTICED}
    assert result["type"] is FlowResultType.CREATE_ENTRY


async def test_oversized_response_uses_limited_memory(
    session: ClientSession, hostile: Hostile
) -> None:
    names = [name for name in HOSTILITIES if "_gigabyte" in name or "_bomb" in name]
    limits = dict.fromkeys(ENDPOINTS, MAX_RESPONSE_BYTES) | {"image": MAX_IMAGE_BYTES}
    peaks: dict[tuple[str, str], float] = {}

    tracemalloc.start()
    for name, place in product(names, ENDPOINTS):
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        client = GazeClient(session, URL(hostile.url(name, place)), API_KEY)
        await failure(CALLS[place](client))
        peaks[name, place] = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()

    assert {
        what: peak for what, peak in peaks.items() if peak > limits[what[1]] * GROWTH + IN_FLIGHT
    } == {}


@pytest.fixture
async def trusting(
    socket_enabled: None, certificates: Certificates
) -> AsyncGenerator[ClientSession]:
    """Return a session that trusts the authority of the certificates."""
    context = ssl.create_default_context(cafile=certificates.authority)
    async with ClientSession(connector=TCPConnector(ssl=context)) as session:
        yield session


async def test_trusted_certificate_is_accepted(trusting: ClientSession, hostile: Hostile) -> None:
    client = GazeClient(trusting, URL(hostile.tls["good"]), API_KEY)

    assert await client.list_presets() == []


@pytest.mark.parametrize("kind", ["expired", "another"])
@pytest.mark.parametrize("place", ENDPOINTS)
async def test_key_is_not_sent_to_invalid_certificate(
    trusting: ClientSession, hostile: Hostile, kind: str, place: str
) -> None:
    client = GazeClient(trusting, URL(hostile.tls[kind]), API_KEY)

    assert await failure(CALLS[place](client)) is GazeSslError

    assert (await hostile.order())["tls"] == []


@pytest.mark.parametrize("place", ENDPOINTS)
async def test_key_is_not_sent_to_server_without_tls(
    trusting: ClientSession, hostile: Hostile, place: str
) -> None:
    client = GazeClient(trusting, URL(hostile.url()).with_scheme("https"), API_KEY)

    assert await failure(CALLS[place](client)) is GazeSslError

    assert (await hostile.order())["gaze"] == []


def small_lists(start: bytes, item: bytes, end: bytes = b"]}") -> bytes:
    """Return the longest response with many small values."""
    count = (MAX_RESPONSE_BYTES - len(start) - len(end)) // (len(item) + 1)
    return start + b",".join([item] * count) + end


LONG_NAME: Final = b'{"slug": "a", "name": "%s"}' % (b"n" * 100_000)
# The worst that fits into an answer: what takes long to decode, check or keep.
BODIES: Final[dict[str, bytes]] = {
    "many presets": small_lists(b'{"presets":[', b'{"slug":"a","name":""}'),
    "empty objects": small_lists(b'{"presets":[', b"{}"),
    "empty lists": small_lists(b'{"jobs":[', b"[]"),
    "zeros": small_lists(b'{"jobs":[', b"0"),
    "different keys": b"{%s}" % b",".join(b'"%x":0' % number for number in range(300_000)),
    "depth": b"[" + b"[" * 1000 * 2000 + b"]" * 1000 * 2000 + b"]",
    "many depths": b"[" + b",".join([b"[" * 1000 + b"]" * 1000] * 2000) + b"]",
    "many jobs": small_lists(b'{"jobs":[', b'{"job_id":"a"}'),
    "huge names": small_lists(b'{"presets":[', LONG_NAME),
    "a huge name": b'{"presets":[{"slug":"a","name":"%s"}]}' % (b"n " * 2_000_000),
    "a huge slug": b'{"presets":[{"slug":"%s","name":"n"}]}' % (b"n" * 4_000_000),
    "a huge job id": b'{"jobs":[{"job_id":"%s"}]}' % (b"n" * 4_000_000),
    "a huge status": b'{"id":"%s","status":"%s"}' % (JOB_ID.encode(), b"a " * 2_000_000),
    "a huge error": b'{"id":"%s","status":"failed","error":"%s"}'
    % (JOB_ID.encode(), b"a " * 2_000_000),
    "a huge address": b'{"id":"%s","status":"done","result":{"image_url":"/?%s"}}'
    % (JOB_ID.encode(), b"a=b&" * 1_000_000),
    "a huge seed": b'{"id":"%s","status":"done","result":{"seed":%s}}'
    % (JOB_ID.encode(), b"9" * 4_000_000),
    "escapes": b'{"id":"%s","status":"%s"}' % (JOB_ID.encode(), rb"\u0041" * 600_000),
}


@pytest.mark.timing
@pytest.mark.usefixtures("watch", "faultless")
async def test_longest_responses_do_not_block_event_loop(
    session: ClientSession, hostile: Hostile
) -> None:
    found: dict[tuple[str, str], type[BaseException] | None] = {}

    for number, (name, body) in enumerate(BODIES.items()):
        await hostile.order(canned={f"canned{number}": body})
        client = GazeClient(session, URL(hostile.url(f"canned{number}", *ENDPOINTS)), API_KEY)
        for place in ENDPOINTS[:3]:
            found[name, place] = await failure(CALLS[place](client))

    good = [what for what, error in found.items() if error is not GazeResponseError]
    assert good == [
        ("huge names", "presets"),
        ("a huge name", "presets"),
        ("a huge error", "job"),
    ]
