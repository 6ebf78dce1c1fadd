"""The address of a display is safe without a login."""

import asyncio
from http import HTTPMethod, HTTPStatus
import logging
import time
from typing import Any, Final

from aiohttp.http_exceptions import HttpProcessingError
from hass_nabucasa.remote import is_cloud_request
from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component
from hypothesis import HealthCheck, given, settings, strategies as st
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator
from yarl import URL

from custom_components.gaze.displays.rendering import MAX_SIDE, MIN_SIDE
from custom_components.gaze.displays.view import BURST, MAX_PEERS, PER_SECOND, RateLimit

from ..conftest import SetUp
from .conftest import AddDisplay, Fetched, Screen, make_adder

# What differs between two responses that are the same
CHANGING_HEADERS = frozenset({"Date"})


def seen(fetched: Fetched) -> tuple[int, bytes, tuple[tuple[str, str], ...]]:
    """Return all that a peer sees of a response."""
    headers = ((k, v) for k, v in fetched.headers.items() if k not in CHANGING_HEADERS)
    return (fetched.status, fetched.content, tuple(sorted(headers)))


# The token


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_unknown_tokens_all_get_same_response(
    add_display: AddDisplay, screen: Screen, method: str
) -> None:
    token = (await add_display()).state.token
    off = (await add_display(name="Off", address=False)).state.token
    guesses = (
        token[:-1],
        token[1:],
        f"{token}x",
        f" {token}",
        token.swapcase(),
        token * 2,
        "x" * len(token),
        "x" * 5000,
        "%00",
        "%FF%FE",
        "%ED%A0%80",
        "Ünïcode",
        "..",
        "",
        f"{token}/hall.jpg",
        off,
    )

    responses = {
        seen(await screen.request(f"/api/gaze/display/{guess}/hall.jpg", method))
        for guess in guesses
    }

    assert responses == {seen(await screen.request("/api/no_such_path", method))}
    assert {status for status, _, _ in responses} == {HTTPStatus.NOT_FOUND}


async def test_token_opens_its_own_display_only(add_display: AddDisplay, screen: Screen) -> None:
    one = await add_display(name="One", width=64, height=32)
    other = await add_display(name="Other", width=32, height=64)

    # The name at the end is for people: that of another display changes nothing.
    mixed = screen.path(one).replace("one.jpg", "other.jpg")

    assert one.state.token != other.state.token
    assert (await screen.request(mixed)).image.size == (64, 32)
    assert (await screen.fetch(other)).image.size == (32, 64)


async def test_token_has_256_bits(add_display: AddDisplay) -> None:
    tokens = {(await add_display()).state.token for _ in range(3)}

    assert len(tokens) == 3
    assert all(len(token) == 43 for token in tokens)  # 32 bytes in Base64


async def test_other_methods_are_rejected(add_display: AddDisplay, screen: Screen) -> None:
    player = await add_display()

    for method in set(HTTPMethod) - {HTTPMethod.GET, HTTPMethod.HEAD, HTTPMethod.CONNECT}:
        known = await screen.fetch(player, method)
        unknown = await screen.request("/api/gaze/display/x/hall.jpg", method)
        assert seen(known) == seen(unknown)
        assert known.status in {HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.FORBIDDEN}


async def test_token_is_in_no_log_state_or_attribute(
    hass: HomeAssistant,
    add_display: AddDisplay,
    screen: Screen,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "custom_components.gaze")
    player = await add_display()
    token = player.state.token
    await screen.fetch(player)
    await screen.request(f"/api/gaze/display/{token}x/hall.jpg")
    await screen.fetch(player, params={"w": "0", "h": "0"})
    await hass.async_block_till_done()

    ours = [record for record in caplog.records if record.name.startswith("custom_components")]
    assert not [record for record in ours if token in record.getMessage()]
    for state in hass.states.async_all():
        assert token not in str(state.as_dict())


# The local network


async def test_peer_outside_local_network_gets_404(
    add_display: AddDisplay, screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    player = await add_display()
    unknown = seen(await screen.request("/api/gaze/display/x/hall.jpg"))
    assert (await screen.fetch(player)).status == HTTPStatus.OK

    for remote in ("203.0.113.7", "2001:db8::7", "::ffff:203.0.113.7", "not an address", None):
        monkeypatch.setattr("aiohttp.web.BaseRequest.remote", remote)
        assert seen(await screen.fetch(player)) == unknown


@pytest.mark.parametrize(
    "remote",
    ["192.168.1.5", "10.0.0.5", "::1", "fd00::5", "fe80::5%eth0", "::ffff:192.168.1.5"],
)
async def test_peer_inside_local_network_gets_image(
    add_display: AddDisplay, screen: Screen, monkeypatch: pytest.MonkeyPatch, remote: str
) -> None:
    player = await add_display(width=64, height=32)
    monkeypatch.setattr("aiohttp.web.BaseRequest.remote", remote)

    assert (await screen.fetch(player)).status == HTTPStatus.OK


@pytest.mark.parametrize(
    ("forwarded", "status"),
    [
        ("192.168.1.20", HTTPStatus.OK),
        ("fd00::20", HTTPStatus.OK),
        ("203.0.113.7", HTTPStatus.NOT_FOUND),
        ("2001:db8::7", HTTPStatus.NOT_FOUND),
        # The peer itself sent the first part; the proxy added the second one.
        ("192.168.1.20, 203.0.113.7", HTTPStatus.NOT_FOUND),
        ("127.0.0.1, 203.0.113.7", HTTPStatus.NOT_FOUND),
        ("203.0.113.7, 192.168.1.20", HTTPStatus.OK),
    ],
)
async def test_peer_behind_proxy_is_who_the_proxy_says(
    hass: HomeAssistant,
    config_entry: MockConfigEntry,
    setup_integration: SetUp,
    hass_client_no_auth: ClientSessionGenerator,
    forwarded: str,
    status: HTTPStatus,
) -> None:
    http = {"use_x_forwarded_for": True, "trusted_proxies": ["127.0.0.1"]}
    assert await async_setup_component(hass, "http", {"http": http})
    await setup_integration(config_entry)
    add_display = make_adder(hass, config_entry)
    screen = Screen(client=await hass_client_no_auth(), entry=config_entry)
    player = await add_display()

    fetched = await screen.fetch(player, headers={"X-Forwarded-For": forwarded})

    assert fetched.status == status


async def test_forwarded_header_of_untrusted_proxy_opens_nothing(
    add_display: AddDisplay, screen: Screen
) -> None:
    player = await add_display()

    fetched = await screen.fetch(player, headers={"X-Forwarded-For": "192.168.1.20"})

    assert fetched.status == HTTPStatus.BAD_REQUEST


async def test_request_through_cloud_gets_404(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    add_display: AddDisplay,
    hass_client_no_auth: ClientSessionGenerator,
) -> None:
    player = await add_display()
    hass.config.components.add("cloud")
    is_cloud_request.set(True)  # for all that the server of this client handles
    screen = Screen(client=await hass_client_no_auth(), entry=entry)

    assert (await screen.fetch(player)).status == HTTPStatus.NOT_FOUND


# The size


IMPOSSIBLE_SIZES: Final = ["0", "1", "20000", "-5", "1.5", "abc", "", "9" * 400, "²"]


async def test_impossible_size_is_rejected(
    add_display: AddDisplay, screen: Screen, subtests: pytest.Subtests
) -> None:
    player = await add_display()
    for size in IMPOSSIBLE_SIZES:
        with subtests.test(ascii(size)):
            by_query = await screen.fetch(player, params={"w": size, "h": "100"})
            by_header = await screen.fetch(
                player, headers={"X-Display-Width": "100", "X-Display-Height": size}
            )

            for fetched in (by_query, by_header):
                assert fetched.status == HTTPStatus.BAD_REQUEST
                assert str(MIN_SIDE) in fetched.content.decode()


BOUNDS: Final = [
    ({"w": str(MIN_SIDE), "h": str(MIN_SIDE)}, HTTPStatus.OK),
    ({"w": str(MIN_SIDE - 1), "h": "100"}, HTTPStatus.BAD_REQUEST),
    ({"w": str(MAX_SIDE), "h": str(MIN_SIDE)}, HTTPStatus.OK),
    ({"w": str(MAX_SIDE + 1), "h": str(MIN_SIDE)}, HTTPStatus.BAD_REQUEST),
    ({"w": str(MAX_SIDE), "h": str(MAX_SIDE)}, HTTPStatus.BAD_REQUEST),
    ({"w": "100"}, HTTPStatus.BAD_REQUEST),
    ({"h": "100"}, HTTPStatus.BAD_REQUEST),
    ({"size": "100"}, HTTPStatus.OK),
]


async def test_size_has_bounds(
    add_display: AddDisplay, screen: Screen, subtests: pytest.Subtests
) -> None:
    player = await add_display()

    for params, status in BOUNDS:
        with subtests.test(ascii(params)):
            assert (await screen.fetch(player, "HEAD", params=params)).status == status


async def test_screen_may_send_its_size(add_display: AddDisplay, screen: Screen) -> None:
    player = await add_display()

    by_query = await screen.fetch(player, params={"w": "120", "h": "80"})
    by_header = await screen.fetch(
        player, headers={"X-Display-Width": "120", "X-Display-Height": "80"}
    )

    assert by_query.image.size == by_header.image.size == (120, 80)


async def test_size_of_form_wins(add_display: AddDisplay, screen: Screen) -> None:
    player = await add_display(width=64, height=32)

    fetched = await screen.fetch(player, params={"w": "120", "h": "80"})

    assert fetched.image.size == (64, 32)


# Conditions


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("condition", ['"x", {etag}', "W/{etag}", "*", '{etag}, "y"'])
async def test_screen_that_has_image_gets_304(
    add_display: AddDisplay, screen: Screen, method: str, condition: str
) -> None:
    player = await add_display(width=64, height=32)
    etag = (await screen.fetch(player)).headers["ETag"]

    fetched = await screen.fetch(
        player, method, headers={"If-None-Match": condition.format(etag=etag)}
    )

    assert (fetched.status, fetched.content) == (HTTPStatus.NOT_MODIFIED, b"")
    assert fetched.headers["ETag"] == etag


@pytest.mark.parametrize(
    "headers",
    [
        {"If-None-Match": '"x", "y"'},
        {"If-None-Match": "no etag"},
        {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"},
        {"Range": "bytes=0-9"},
    ],
)
async def test_screen_without_image_gets_all_of_it(
    add_display: AddDisplay, screen: Screen, headers: dict[str, str]
) -> None:
    player = await add_display(width=64, height=32)
    whole = await screen.fetch(player)

    fetched = await screen.fetch(player, headers=headers)

    assert (fetched.status, fetched.content) == (HTTPStatus.OK, whole.content)
    assert fetched.headers["Content-Length"] == str(len(whole.content))


# Floods


async def test_flood_of_one_peer_is_limited(
    add_display: AddDisplay, screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    player = await add_display(width=64, height=32)
    started = time.monotonic()

    flood = await asyncio.gather(*(screen.fetch(player) for _ in range(1000)))
    seconds = time.monotonic() - started

    statuses = [fetched.status for fetched in flood]
    assert set(statuses) == {HTTPStatus.OK, HTTPStatus.TOO_MANY_REQUESTS}
    assert BURST <= statuses.count(HTTPStatus.OK) <= BURST + seconds * PER_SECOND + 1
    monkeypatch.setattr("aiohttp.web.BaseRequest.remote", "192.168.1.5")
    assert (await screen.fetch(player)).status == HTTPStatus.OK
    [refused, *_] = [f for f in flood if f.status == HTTPStatus.TOO_MANY_REQUESTS]
    assert refused.headers["Retry-After"] == "1"


async def test_flood_of_guesses_is_limited(entry: MockConfigEntry, screen: Screen) -> None:
    flood = await asyncio.gather(
        *(screen.request(f"/api/gaze/display/{number}/x") for number in range(BURST * 2))
    )

    statuses = {fetched.status for fetched in flood}
    assert statuses == {HTTPStatus.NOT_FOUND, HTTPStatus.TOO_MANY_REQUESTS}


def test_rate_limit_of_1000_requests_per_second_allows_few() -> None:
    limit = RateLimit()

    allowed = sum(limit.allows("peer", number / 1000) for number in range(10_000))

    assert allowed == pytest.approx(BURST + 10 * PER_SECOND, abs=1)


def test_rate_limit_is_of_one_peer_and_refills() -> None:
    limit = RateLimit()
    assert sum(limit.allows("peer", 0.0) for _ in range(1000)) == BURST

    assert limit.allows("other peer", 0.0)
    assert not limit.allows("peer", 0.0)
    assert sum(limit.allows("peer", 2.0) for _ in range(1000)) == 2 * PER_SECOND
    assert sum(limit.allows("peer", 1e6) for _ in range(1000)) == BURST


def test_rate_limit_remembers_bounded_number_of_peers() -> None:
    limit = RateLimit()
    for number in range(MAX_PEERS * 2):
        assert limit.allows(str(number), 0.0)

    assert len(limit) == MAX_PEERS


# Anything else

SIDES = st.one_of(
    st.sampled_from(["0", "1", "16", "20000", "-1", "1e3", "", "٣", "16.0", "0x10"]),
    st.text(max_size=12),
)
PARTS = st.one_of(
    st.text(max_size=100), st.binary(max_size=60), st.sampled_from(["..", ".", "%2F", "%00", "~"])
)
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "If-None-Match",
            "If-Modified-Since",
            "Range",
            "Accept",
            "X-Display-Width",
            "X-Display-Height",
            "Content-Type",
        ]
    ),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=40),
    max_size=4,
)


def quoted(part: str | bytes) -> str:
    """Return a part of a path as any bytes can stand in it."""
    content = part.encode(errors="surrogatepass") if isinstance(part, str) else part
    return "".join(f"%{byte:02X}" for byte in content)


async def test_view_responds_to_anything_without_failing(
    hass: HomeAssistant,
    add_display: AddDisplay,
    screen: Screen,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("custom_components.gaze.displays.view.BURST", 10**6)
    token = (await add_display()).state.token
    loop = asyncio.get_running_loop()

    @settings(
        max_examples=80,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        method=st.sampled_from(["GET", "HEAD", "GET", "POST", "OPTIONS", "BREW"]),
        guess=st.one_of(st.none(), PARTS),
        name=PARTS,
        params=st.dictionaries(st.sampled_from(["w", "h", "size", "token"]), SIDES),
        headers=HEADERS,
    )
    def request(
        method: str,
        guess: str | bytes | None,
        name: str | bytes,
        params: dict[str, str],
        headers: dict[str, str],
    ) -> None:
        rest = f"{token if guess is None else quoted(guess)}/{quoted(name)}"

        def response_at(prefix: str) -> Fetched:
            url = URL(f"/api/gaze/{prefix}/{rest}", encoded=True).with_query(printable(params))
            requesting = screen.request(url, method, headers=headers)
            return asyncio.run_coroutine_threadsafe(requesting, loop).result()

        fetched = response_at("display")
        if method not in {"GET", "HEAD"}:
            assert HTTPStatus.BAD_REQUEST <= fetched.status < HTTPStatus.INTERNAL_SERVER_ERROR
        elif guess is not None:
            assert seen(fetched) == seen(response_at("no_such_view"))
        else:
            assert fetched.status in {
                HTTPStatus.OK,
                HTTPStatus.NOT_MODIFIED,
                HTTPStatus.BAD_REQUEST,
                HTTPStatus.NOT_FOUND,  # without a name
            }

    await loop.run_in_executor(None, request)

    # aiohttp rejects and logs requests that are not HTTP before a view gets them.
    records = [
        record
        for record in caplog.records
        if not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))
    ]
    assert not [r for r in records if r.levelno >= logging.ERROR or r.exc_info]


def printable(params: dict[str, str]) -> dict[str, Any]:
    """Return parameters without what no URL can hold."""
    return {key: value.encode(errors="ignore").decode() for key, value in params.items()}
