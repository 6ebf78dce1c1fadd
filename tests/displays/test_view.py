"""The address of a display is safe without a login."""

from http import HTTPStatus
from io import BytesIO
import logging

from aiohttp.test_utils import make_mocked_request
from homeassistant.core import HomeAssistant
from hypothesis import HealthCheck, given, settings, strategies as st
from PIL import Image as Pillow
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from yarl import URL

from custom_components.gaze.displays.view import (
    BURST,
    MAX_PEERS,
    PER_SECOND,
    RateLimit,
    requested_size,
)

from .conftest import AddDisplay, Client


async def test_address_that_is_turned_off_is_unknown(
    entry: MockConfigEntry, add_display: AddDisplay, screen: Client
) -> None:
    player = await add_display(address=False)

    response = await screen.get(f"/api/gaze/display/{player.state.token}/hall.jpg")

    assert response.status == HTTPStatus.NOT_FOUND


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_wrong_tokens_all_get_same_response(
    entry: MockConfigEntry, add_display: AddDisplay, screen: Client, method: str
) -> None:
    player = await add_display()
    token = player.state.token
    wrong = (token[:-1], f"{token}x", token.swapcase(), "x" * 5000, "%00", "Ünïcode", "a/b")

    seen = set()
    for guess in wrong:
        response = await screen.request(method, f"/api/gaze/display/{guess}/hall.jpg")
        headers = tuple(sorted((k, v) for k, v in response.headers.items() if k != "Date"))
        seen.add((response.status, await response.read(), headers if guess != "a/b" else None))

    assert {status for status, _, _ in seen} == {HTTPStatus.NOT_FOUND}
    assert len({headers for _, _, headers in seen if headers}) == 1


async def test_peer_outside_local_network_is_rejected(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    add_display: AddDisplay,
    screen: Client,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    player = await add_display()
    url = f"/api/gaze/display/{player.state.token}/hall.jpg"
    assert (await screen.get(url)).status == HTTPStatus.OK

    for remote in ("203.0.113.7", "2001:db8::7", "not an address", None):
        monkeypatch.setattr("aiohttp.web.BaseRequest.remote", remote)
        assert (await screen.get(url)).status == HTTPStatus.NOT_FOUND


async def test_forwarded_header_of_untrusted_proxy_opens_nothing(
    entry: MockConfigEntry, add_display: AddDisplay, screen: Client
) -> None:
    player = await add_display()
    url = f"/api/gaze/display/{player.state.token}/hall.jpg"

    response = await screen.get(url, headers={"X-Forwarded-For": "203.0.113.7"})

    assert response.status == HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize("size", ["0", "1", "20000", "-5", "1.5", "abc", "", "9" * 400])
async def test_impossible_size_is_rejected(
    entry: MockConfigEntry, add_display: AddDisplay, screen: Client, size: str
) -> None:
    player = await add_display()
    url = f"/api/gaze/display/{player.state.token}/hall.jpg"

    assert (await screen.get(url, params={"w": size, "h": "100"})).status == HTTPStatus.BAD_REQUEST
    headers = {"X-Display-Width": "100", "X-Display-Height": size}
    assert (await screen.get(url, headers=headers)).status == HTTPStatus.BAD_REQUEST


async def test_screen_may_send_its_size(
    entry: MockConfigEntry, add_display: AddDisplay, screen: Client
) -> None:
    player = await add_display()
    url = f"/api/gaze/display/{player.state.token}/hall.jpg"

    by_query = await screen.get(url, params={"w": "120", "h": "80"})
    by_header = await screen.get(url, headers={"X-Display-Width": "120", "X-Display-Height": "80"})

    for response in (by_query, by_header):
        assert Pillow.open(BytesIO(await response.read())).size == (120, 80)


async def test_size_of_form_wins(
    entry: MockConfigEntry, add_display: AddDisplay, screen: Client
) -> None:
    player = await add_display(width=64, height=32)

    response = await screen.get(
        f"/api/gaze/display/{player.state.token}/hall.jpg", params={"w": "120", "h": "80"}
    )

    assert Pillow.open(BytesIO(await response.read())).size == (64, 32)


async def test_flood_of_one_peer_is_limited(
    entry: MockConfigEntry, add_display: AddDisplay, screen: Client
) -> None:
    player = await add_display()
    url = f"/api/gaze/display/{player.state.token}/hall.jpg"

    statuses = [(await screen.head(url)).status for _ in range(BURST * 3)]

    assert statuses[0] == HTTPStatus.OK
    assert HTTPStatus.TOO_MANY_REQUESTS in statuses


def test_rate_limit_refills() -> None:
    limit = RateLimit()
    allowed = sum(limit.allows("peer", 0.0) for _ in range(1000))
    assert allowed == BURST
    assert limit.allows("other peer", 0.0)
    assert not limit.allows("peer", 0.0)

    assert sum(limit.allows("peer", 2.0) for _ in range(1000)) == 2 * PER_SECOND


def test_rate_limit_remembers_bounded_number_of_peers() -> None:
    limit = RateLimit()
    for number in range(MAX_PEERS * 2):
        assert limit.allows(str(number), 0.0)
    assert len(limit) == MAX_PEERS


async def test_token_is_in_no_log_state_or_attribute(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    add_display: AddDisplay,
    screen: Client,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "custom_components.gaze")
    player = await add_display()
    token = player.state.token
    await screen.get(f"/api/gaze/display/{token}/hall.jpg")
    await screen.get(f"/api/gaze/display/{token}x/hall.jpg")
    await hass.async_block_till_done()

    ours = [record for record in caplog.records if record.name.startswith("custom_components")]
    assert not [record for record in ours if token in record.getMessage()]
    for state in hass.states.async_all():
        assert token not in str(state.as_dict())


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    token=st.text(min_size=1, max_size=80),
    name=st.text(min_size=1, max_size=80),
    query=st.dictionaries(st.sampled_from(["w", "h", "size"]), st.text(max_size=20)),
)
def test_size_parser_never_fails_unexpectedly(token: str, name: str, query: dict[str, str]) -> None:
    url = (
        URL("http://127.0.0.1/")
        .joinpath("display", name.replace("/", "_") or "x")
        .with_query(query)
    )
    request = make_mocked_request("GET", str(url))
    try:
        size = requested_size(request)
    except ValueError:
        return
    assert size is None or all(side >= 16 for side in size)
