"""Links to images that work without a login."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Final

from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import ServiceValidationError, Unauthorized
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, MockUser
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator
import voluptuous as vol

from testing.gaze_server import GazeServer

from .common import CallAs, act, make_image, user_with

LATEST = "image.gaze_latest_image"
BASE = "https://home.example.org"

type Fetch = Callable[[str], Awaitable[tuple[int, bytes]]]


@pytest.fixture
async def job_id(hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry) -> str:
    """Return the job of a saved image."""
    await hass.config.async_update(external_url=BASE)
    return await make_image(hass, server, "neon_city")


@pytest.fixture
async def fetch(
    hass: HomeAssistant, job_id: str, hass_client_no_auth: ClientSessionGenerator
) -> Fetch:
    """Return a function that fetches a path without a login: status and body."""
    client = await hass_client_no_auth()

    async def fetch(path: str) -> tuple[int, bytes]:
        async with client.get(path) as response:
            return response.status, await response.read()

    return fetch


@pytest.mark.parametrize("named_by", ["job", "entity"])
async def test_link_shows_image_without_login_until_it_expires(
    hass: HomeAssistant,
    server: GazeServer,
    job_id: str,
    fetch: Fetch,
    freezer: FrozenDateTimeFactory,
    named_by: str,
) -> None:
    named = {"job_id": job_id} if named_by == "job" else {"entity_id": LATEST}
    link = await act(hass, "create_link", **named)
    expires_at = datetime.fromisoformat(link["expires_at"])

    assert await fetch(link["path"]) == (HTTPStatus.OK, server.picture(job_id))
    assert link["url"] == f"{BASE}{link['path']}"
    assert timedelta(minutes=59) < expires_at - dt_util.utcnow() <= timedelta(hours=1)

    freezer.move_to(expires_at - timedelta(seconds=1))
    assert (await fetch(link["path"]))[0] == HTTPStatus.OK
    freezer.move_to(expires_at + timedelta(seconds=1))
    assert (await fetch(link["path"]))[0] == HTTPStatus.UNAUTHORIZED


async def test_link_shows_thumbnail_and_nothing_else(
    hass: HomeAssistant, server: GazeServer, job_id: str, fetch: Fetch
) -> None:
    other = await make_image(hass, server, "neon_city")
    path = (await act(hass, "create_link", job_id=job_id, size="256"))["path"]

    status, thumbnail = await fetch(path)

    assert (status, thumbnail[8:12]) == (HTTPStatus.OK, b"WEBP")
    for changed in (path.replace("=256", "=512"), path.replace(job_id, other), path[:-2]):
        assert (await fetch(changed))[0] == HTTPStatus.UNAUTHORIZED


async def test_link_of_user_outlives_login_of_user(
    hass: HomeAssistant, server: GazeServer, job_id: str, fetch: Fetch, call_as: CallAs
) -> None:
    user = user_with(hass, LATEST, policy="read")
    path = (await call_as(user, "create_link", job_id=job_id))["path"]

    await hass.auth.async_remove_user(user)

    assert await fetch(path) == (HTTPStatus.OK, server.picture(job_id))


async def test_link_has_no_url_if_home_assistant_does_not_know_its_address(
    hass: HomeAssistant, job_id: str
) -> None:
    await hass.config.async_update(external_url=None)
    assert hass.config.api is not None
    hass.config.api.local_ip = "127.0.0.1"

    link = await act(hass, "create_link", job_id=job_id)

    assert link["url"] is None
    assert link["path"].startswith("/api/gaze/image/")


REFUSED_LIFETIMES: Final = [{"seconds": 0}, {"days": 30, "seconds": 1}, {"days": 99_999}]


async def test_link_outside_limits_is_refused(
    hass: HomeAssistant, job_id: str, subtests: pytest.Subtests
) -> None:
    for expires_in in REFUSED_LIFETIMES:
        with subtests.test(ascii(expires_in)):
            with pytest.raises(ServiceValidationError) as refused:
                await act(hass, "create_link", job_id=job_id, expires_in=expires_in)

            assert refused.value.translation_key == "invalid_lifetime"


REFUSED_LINKS: Final[list[tuple[dict[str, Any], str]]] = [
    ({}, "no_image_named"),
    ({"job_id": "gone"}, "unknown_image"),
    ({"entity_id": "image.gaze_oil_painting"}, "entity_without_image"),
    ({"entity_id": "sun.sun"}, "not_an_image_entity"),
    ({"job_id": "gone", "entity_id": LATEST}, "no_image_named"),
]


@pytest.mark.usefixtures("job_id")
async def test_link_to_no_image_is_refused(hass: HomeAssistant, subtests: pytest.Subtests) -> None:
    for data, key in REFUSED_LINKS:
        with subtests.test(ascii(data)):
            with pytest.raises(ServiceValidationError) as refused:
                await act(hass, "create_link", **data)

            assert refused.value.translation_key == key


async def test_link_of_unknown_size_is_refused(hass: HomeAssistant, job_id: str) -> None:
    with pytest.raises(vol.Invalid):
        await act(hass, "create_link", job_id=job_id, size=300)


async def test_link_is_refused_if_user_may_not_see_images(
    hass: HomeAssistant, job_id: str, call_as: CallAs
) -> None:
    user = MockUser().add_to_hass(hass)
    user.mock_policy({})

    with pytest.raises(Unauthorized) as refused:
        await call_as(user, "create_link", job_id=job_id)

    assert refused.value.entity_id == LATEST
