"""Tests that the key stays secret and files are only readable with permission."""

from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import timedelta
from http import HTTPStatus
import logging
from pathlib import Path
import sqlite3
import traceback
from typing import Final

from homeassistant.auth.models import User
from homeassistant.components.http.auth import async_sign_path
from homeassistant.components.media_source import Unresolvable, async_resolve_media
from homeassistant.config_entries import SOURCE_USER
from homeassistant.const import CONF_API_KEY, MATCH_ALL
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers.storage import STORAGE_DIR
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import (
    CLIENT_ID,
    MockConfigEntry,
    async_capture_events,
    async_fire_time_changed,
    get_system_health_info,
)
from pytest_homeassistant_custom_component.components.diagnostics import (
    get_diagnostics_for_config_entry,
)
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator
from yarl import URL

from custom_components.gaze.const import DOMAIN
from custom_components.gaze.gallery import Gallery, Image

from ..common import act, until
from ..gallery.pictures import image, names, picture
from .conftest import API_KEY, Hostile

WRONG_KEY: Final = "wrong-71c0de55"
SECRET: Final = picture(shade=99)


def texts(value: object) -> Iterator[str]:
    """Yield all texts of an error and its causes."""
    yield repr(value)
    if isinstance(value, BaseException):
        yield "".join(traceback.format_exception(value))
        yield repr(vars(value))
        for cause in (value.__cause__, value.__context__):
            if cause is not None:
                yield from texts(cause)


@pytest.mark.usefixtures("setup_integration")
async def test_key_is_shown_nowhere(
    hass: HomeAssistant,
    hass_client: ClientSessionGenerator,
    hostile: Hostile,
    caplog: pytest.LogCaptureFixture,
    media_dir: Path,
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("aiohttp", "homeassistant", "custom_components.gaze", "asyncio"):
        caplog.set_level(logging.DEBUG, name)
    for component in ("diagnostics", "system_health"):
        assert await async_setup_component(hass, component, {})
    events = async_capture_events(hass, MATCH_ALL)
    shown: list[object] = []
    name = "refuses_the_key"
    form = {"host": hostile.url(name, "presets", "generate", "job"), CONF_API_KEY: WRONG_KEY}

    # Set-up: a key that is refused, then one that is taken
    flow = hass.config_entries.flow
    result = await flow.async_init(DOMAIN, context={"source": SOURCE_USER}, data=form)
    assert result["errors"] == {CONF_API_KEY: "invalid_auth"}
    shown.append(result)
    await hostile.order(off=[name], forget=True)
    result = await flow.async_configure(result["flow_id"], form | {CONF_API_KEY: API_KEY})
    assert result["type"] is FlowResultType.CREATE_ENTRY
    await hass.async_block_till_done()
    [entry] = hass.config_entries.async_loaded_entries(DOMAIN)
    coordinator = entry.runtime_data

    # An image, then a failure, then a key that is no longer taken, and a new one
    shown.append(await act(hass, "generate", preset="neon_city", wait=True))
    await hostile.order(off=[])
    with pytest.raises(HomeAssistantError) as raised:
        await act(hass, "generate", preset="neon_city")
    shown.append(raised.value)
    async_fire_time_changed(hass, dt_util.utcnow() + timedelta(seconds=10))
    await until(lambda: bool(flow.async_progress()))
    await hass.async_block_till_done()
    shown.extend((coordinator.last_exception, repr(coordinator), repr(entry)))
    [reauth] = flow.async_progress()
    shown.append(await flow.async_configure(reauth["flow_id"], {CONF_API_KEY: API_KEY}))
    await hostile.order(off=[name])
    result = await flow.async_configure(reauth["flow_id"], {CONF_API_KEY: API_KEY})
    assert result["reason"] == "reauth_successful"
    await hass.async_block_till_done()

    # All that people can look at or hand over
    shown.append(await get_diagnostics_for_config_entry(hass, hass_client, entry))
    shown.append(await get_system_health_info(hass, DOMAIN))
    shown.extend(state.as_dict() for state in hass.states.async_all())
    shown.extend(event.as_dict() for event in events)
    shown.extend(caplog.handler.format(record) for record in caplog.get_records("call"))

    assert len(shown) > 200
    told = [text for value in shown for text in texts(value)]
    assert [text for text in told if API_KEY in text or WRONG_KEY in text] == []
    files = [
        path for folder in (Path(hass.config.config_dir), media_dir) for path in folder.rglob("*")
    ]
    assert {path.suffix for path in files} >= {".png", ".db"}
    assert [
        path.name for path in files if path.is_file() and (API_KEY.encode() in path.read_bytes())
    ] in ([], ["core.config_entries"])


@pytest.fixture
async def kept(entry: MockConfigEntry) -> Image:
    """Return the only image of the server."""
    gallery: Gallery = entry.runtime_data.gallery
    return await gallery.async_add(image(), picture())


@pytest.fixture
def path(entry: MockConfigEntry, kept: Image) -> str:
    return f"/api/gaze/image/{entry.entry_id}/{kept.job_id}"


async def test_signature_is_valid_for_one_path_and_time(
    hass: HomeAssistant, hass_client_no_auth: ClientSessionGenerator, path: str
) -> None:
    client = await hass_client_no_auth()
    good = async_sign_path(hass, path, timedelta(minutes=1))
    signature = good.partition("?")[2]
    bad = [
        async_sign_path(hass, path, timedelta(seconds=-5)),
        async_sign_path(hass, f"{path}0", timedelta(minutes=1)).replace(f"{path}0", path),
        async_sign_path(hass, "/api/gaze/image", timedelta(minutes=1)).replace(
            "/api/gaze/image?", f"{path}?"
        ),
        async_sign_path(hass, f"{path}?size=256", timedelta(minutes=1)).replace("256", "512"),
        good[:-3],
        f"{path}?authSig=",
        f"{path}2?{signature}",
        f"{path}?{signature}&size=256",
    ]

    assert (await client.get(good)).status == HTTPStatus.OK
    for address in bad:
        response = await client.get(URL(address, encoded=True))
        assert response.status == HTTPStatus.UNAUTHORIZED
        assert b"PNG" not in await response.read()


async def test_signature_is_invalid_after_its_login_ends(
    hass: HomeAssistant,
    hass_admin_user: User,
    hass_client_no_auth: ClientSessionGenerator,
    path: str,
) -> None:
    client = await hass_client_no_auth()
    login = await hass.auth.async_create_refresh_token(hass_admin_user, CLIENT_ID)
    signed = async_sign_path(hass, path, timedelta(minutes=1), refresh_token_id=login.id)
    assert (await client.get(signed)).status == HTTPStatus.OK

    hass.auth.async_remove_refresh_token(login)

    assert (await client.get(signed)).status == HTTPStatus.UNAUTHORIZED


async def test_signature_expires_or_ends_with_its_user(
    hass: HomeAssistant,
    hass_read_only_user: User,
    hass_client_no_auth: ClientSessionGenerator,
    path: str,
) -> None:
    client = await hass_client_no_auth()
    login = await hass.auth.async_create_refresh_token(hass_read_only_user, CLIENT_ID)
    expired, signed = (
        async_sign_path(hass, path, timedelta(seconds=seconds), refresh_token_id=login.id)
        for seconds in (-5, 60)
    )
    assert (await client.get(expired)).status == HTTPStatus.UNAUTHORIZED
    assert (await client.get(signed)).status == HTTPStatus.OK

    await hass.auth.async_remove_user(hass_read_only_user)

    assert (await client.get(signed)).status == HTTPStatus.UNAUTHORIZED


EVIL_IDS: Final = (
    "..",
    "../..",
    "%2e%2e",
    "%2e%2e%2f%2e%2e%2fsecrets.yaml",
    "..%2f..%2fsecrets.yaml",
    "..%5c..%5csecrets.yaml",
    "%252e%252e%252fsecrets.yaml",
    "job-1%00",
    "%00job-1",
    "job-1%2f..%2f..%2fsecrets.yaml",
    "%ed%a0%80",
    "%ff%fe",
    "%c0%ae%c0%ae",
    "job%2D1%20",
    "JOB-1",
    "job-1;",
    "job-1%27--",
    "%25",
    "a" * 6000,
    "%F0%9F%98%80",
)


@pytest.mark.parametrize("query", ["", "?size=256"])
async def test_hostile_id_is_not_found(
    hass: HomeAssistant,
    hass_client: ClientSessionGenerator,
    entry: MockConfigEntry,
    kept: Image,
    caplog: pytest.LogCaptureFixture,
    query: str,
) -> None:
    client = await hass_client()
    MockConfigEntry(domain="other", entry_id="01K3OTHER000000000000OTHER").add_to_hass(hass)
    owners = (entry.entry_id, "01K3OTHER000000000000OTHER", "unknown", "%00", "..")
    addresses = [f"{entry.entry_id}/{job_id}" for job_id in EVIL_IDS]
    addresses += [f"{owner}/job-1" for owner in owners[1:]]

    for address in addresses:
        response = await client.get(URL(f"/api/gaze/image/{address}{query}", encoded=True))
        assert response.status in {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND}, address
        assert b"PNG" not in await response.read()

    assert not [record for record in caplog.get_records("call") if record.exc_info]


HOSTILE_MEDIA_IDS: Final = [
    *EVIL_IDS,
    "images/../../secrets.yaml",
    "job-1/../job-1",
    "\ud800",
    "job-1\0",
    "preset/..",
    "month/../2026-08",
]


async def test_hostile_media_id_is_not_found(
    hass: HomeAssistant, entry: MockConfigEntry, kept: Image, subtests: pytest.Subtests
) -> None:
    assert await async_setup_component(hass, "media_source", {})

    for identifier in HOSTILE_MEDIA_IDS:
        with subtests.test(ascii(identifier)), pytest.raises(Unresolvable):
            await async_resolve_media(
                hass, f"media-source://gaze/{entry.entry_id}/{identifier}", None
            )


@pytest.fixture
def tamper(hass: HomeAssistant, entry: MockConfigEntry, kept: Image) -> Callable[[str, bool], None]:
    """Return a function that changes the path in the row of the image."""

    def set_path(path: str, saved: bool) -> None:
        file = Path(hass.config.path(STORAGE_DIR, f"gaze.{entry.entry_id}.gallery.db"))
        with closing(sqlite3.connect(file)) as connection, connection:
            changed = connection.execute("UPDATE image SET path = ?, saved = ?", (path, saved))
            assert changed.rowcount == 1

    return set_path


@pytest.mark.parametrize("saved", [True, False])
@pytest.mark.parametrize(
    "path",
    [
        "../../secret.png",
        "../secret.png",
        "neon_city/../../../secret.png",
        "neon_city/../../secret.png",
        "{outside}/secret.png",
        "/{outside}/secret.png",
        "link/secret.png",
        "neon_city/link.png",
        "neon_city",
        "neon_city/.",
        "",
        "neon_city/secret\0.png",
    ],
)
async def test_manipulated_index_leads_to_no_other_file(
    hass: HomeAssistant,
    hass_client: ClientSessionGenerator,
    entry: MockConfigEntry,
    kept: Image,
    tamper: Callable[[str, bool], None],
    media_dir: Path,
    tmp_path: Path,
    path: str,
    saved: bool,
) -> None:
    assert await async_setup_component(hass, "media_source", {})
    gallery = media_dir / "gaze" / "gaze"
    outside = tmp_path / "outside"
    empty = tmp_path / "empty"
    empty.mkdir()
    outside.mkdir()
    for folder in (outside, media_dir, media_dir / "gaze", tmp_path):
        (folder / "secret.png").write_bytes(SECRET)
    (gallery / "link").symlink_to(outside)
    (gallery / "neon_city" / "link.png").symlink_to(outside / "secret.png")
    client = await hass_client()
    tamper(path.format(outside=outside), saved)

    for query in ("", "?size=256"):
        response = await client.get(f"/api/gaze/image/{entry.entry_id}/job-1{query}")
        assert response.status in {HTTPStatus.NOT_FOUND, HTTPStatus.INTERNAL_SERVER_ERROR}
        assert SECRET not in await response.read()
    with pytest.raises(Unresolvable):
        await async_resolve_media(hass, f"media-source://gaze/{entry.entry_id}/job-1", None)

    with suppress(HomeAssistantError):  # an image in a linked folder can't be deleted
        await act(hass, "delete_images", job_id="job-1")
    for folder in (outside, media_dir, media_dir / "gaze", tmp_path):
        assert (folder / "secret.png").read_bytes() == SECRET


async def test_removal_through_link_leaves_other_empty_folders(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    tamper: Callable[[str, bool], None],
    media_dir: Path,
) -> None:
    empty = media_dir / "empty"
    empty.mkdir()
    tamper("../../empty/picture.png", True)

    await act(hass, "delete_images", job_id="job-1")

    assert "empty" in names(media_dir)
