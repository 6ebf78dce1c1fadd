"""Tests of the view: permissions, caching, and errors."""

from collections.abc import Iterator
from datetime import timedelta
from http import HTTPStatus
from io import BytesIO
import os
from pathlib import Path
from typing import Final

from aiohttp import web
from aiohttp.test_utils import TestClient
from homeassistant.components.http.auth import async_sign_path
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from PIL import Image as Pillow
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator
from yarl import URL

from custom_components.gaze.gallery import Gallery, Image

from .pictures import image, picture, put, take_away

CONTENT = picture(size=(900, 600))

type Client = TestClient[web.Request, web.Application]


@pytest.fixture
async def kept(entry: MockConfigEntry) -> Image:
    """Return the only image of the server."""
    gallery: Gallery = entry.runtime_data.gallery
    return await gallery.async_add(image(), CONTENT)


@pytest.fixture
async def client(
    entry: MockConfigEntry,
    hass_client: ClientSessionGenerator,
) -> Client:
    client: Client = await hass_client()
    return client


@pytest.fixture
def url(entry: MockConfigEntry, kept: Image) -> str:
    return f"/api/gaze/image/{entry.entry_id}/{kept.job_id}"


async def test_image_is_served_with_cache_headers(client: Client, url: str) -> None:
    response = await client.get(url)

    assert response.status == HTTPStatus.OK
    assert await response.read() == CONTENT
    assert response.content_type == "image/png"
    assert response.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["ETag"].strip('"')


@pytest.mark.parametrize("query", [{}, {"size": "256"}])
async def test_head_has_headers_of_get_without_body(
    client: Client, url: str, query: dict[str, str]
) -> None:
    got = await client.get(url, params=query)

    response = await client.head(url, params=query)

    assert response.status == HTTPStatus.OK
    assert await response.read() == b""
    for name in ("Content-Length", "Content-Type", "Cache-Control", "ETag"):
        assert response.headers[name] == got.headers[name]
    known = await client.head(url, params=query, headers={"If-None-Match": got.headers["ETag"]})
    assert known.status == HTTPStatus.NOT_MODIFIED
    assert (await client.head(f"{url}x")).status == HTTPStatus.NOT_FOUND


@pytest.mark.parametrize("side", [256, 512])
async def test_thumbnail_is_small_webp(client: Client, url: str, side: int) -> None:
    response = await client.get(url, params={"size": str(side)})

    assert response.status == HTTPStatus.OK
    assert response.content_type == "image/webp"
    assert response.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    with Pillow.open(BytesIO(await response.read())) as opened:
        assert max(opened.size) == side


@pytest.mark.parametrize("query", [{}, {"size": "256"}])
async def test_unchanged_image_gets_304(client: Client, url: str, query: dict[str, str]) -> None:
    first = await client.get(url, params=query)

    again = await client.get(url, params=query, headers={"If-None-Match": first.headers["ETag"]})
    other = await client.get(url, params=query, headers={"If-None-Match": '"another"'})

    assert again.status == HTTPStatus.NOT_MODIFIED
    assert await again.read() == b""
    assert again.headers["ETag"] == first.headers["ETag"]
    assert again.headers["Cache-Control"] == first.headers["Cache-Control"]
    assert other.status == HTTPStatus.OK


UNSUPPORTED_SIZES: Final = ["", "0", "-1", "257", "256.0", "9999999999", "²⁵⁶"]


async def test_unsupported_size_is_rejected(
    client: Client, url: str, subtests: pytest.Subtests
) -> None:
    for size in UNSUPPORTED_SIZES:
        with subtests.test(ascii(size)):
            response = await client.get(url, params={"size": size})

            assert response.status == HTTPStatus.BAD_REQUEST
            assert await response.text() == "The size is one of 256, 512"


async def test_image_requires_login(hass_client_no_auth: ClientSessionGenerator, url: str) -> None:
    client = await hass_client_no_auth()

    assert (await client.get(url)).status == HTTPStatus.UNAUTHORIZED
    assert (await client.get(f"{url}?size=256")).status == HTTPStatus.UNAUTHORIZED


@pytest.mark.parametrize("query", ["", "?size=256"])
async def test_signed_path_works_without_login(
    hass: HomeAssistant, hass_client_no_auth: ClientSessionGenerator, url: str, query: str
) -> None:
    client = await hass_client_no_auth()
    signed = async_sign_path(hass, f"{url}{query}", timedelta(minutes=5))

    response = await client.get(signed)

    assert response.status == HTTPStatus.OK
    assert (await client.get(signed.replace("job-1", "job-2"))).status == HTTPStatus.UNAUTHORIZED


MISSING_IMAGES: Final = [
    "{entry_id}/job-2",
    "{entry_id}/%2Fetc%2Fpasswd",
    "{entry_id}/neon_city%2F{file}",
    "{entry_id}/%00",
    "{entry_id}/' OR 1=1 --",
    "another/job-1",
    "01K3OTHER000000000000OTHER/job-1",
]


async def test_image_missing_in_index_is_not_found(
    hass: HomeAssistant,
    client: Client,
    entry: MockConfigEntry,
    kept: Image,
    subtests: pytest.Subtests,
) -> None:
    MockConfigEntry(domain="other", entry_id="01K3OTHER000000000000OTHER").add_to_hass(hass)
    for path in MISSING_IMAGES:
        with subtests.test(ascii(path)):
            found = path.format(entry_id=entry.entry_id, file=Path(kept.path).name)

            for query in ("", "?size=256"):
                response = await client.get(f"/api/gaze/image/{found}{query}")
                assert response.status == HTTPStatus.NOT_FOUND


TRAVERSALS: Final = ["{}/..%2F..%2Fsecrets.yaml", "..%2F{}/job-1", "{}/../job-1"]


async def test_path_traversal_is_not_found(
    client: Client, entry: MockConfigEntry, kept: Image, subtests: pytest.Subtests
) -> None:
    for path in TRAVERSALS:
        with subtests.test(ascii(path)):
            address = f"/api/gaze/image/{path.format(entry.entry_id)}"

            response = await client.get(URL(address, encoded=True))

            assert kept.saved
            assert response.status in {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND}


async def test_image_is_unavailable_while_server_is_not_loaded(
    hass: HomeAssistant, client: Client, entry: MockConfigEntry, url: str
) -> None:
    await hass.config_entries.async_unload(entry.entry_id)

    assert (await client.get(url)).status == HTTPStatus.SERVICE_UNAVAILABLE

    await hass.config_entries.async_setup(entry.entry_id)
    assert entry.state is ConfigEntryState.LOADED
    assert (await client.get(url)).status == HTTPStatus.OK


@pytest.fixture
def file(media_dir: Path, kept: Image) -> Path:
    return media_dir / "gaze" / "gaze" / kept.path


@pytest.fixture
def secret(tmp_path: Path) -> Iterator[Path]:
    """Return a file outside the gallery that must not be read or changed."""
    path = tmp_path / "secret.png"
    path.write_bytes(picture(shade=77))
    yield path
    assert path.read_bytes() == picture(shade=77)


@pytest.mark.parametrize("query", ["", "?size=256"])
async def test_link_in_folder_is_not_followed(
    client: Client, url: str, file: Path, secret: Path, query: str
) -> None:
    take_away(file)
    os.symlink(secret, file)  # noqa: PTH211

    response = await client.get(f"{url}{query}")

    assert response.status == HTTPStatus.NOT_FOUND


async def test_deleted_file_is_not_found_and_leaves_index(
    client: Client, entry: MockConfigEntry, url: str, file: Path
) -> None:
    take_away(file)

    assert (await client.get(url)).status == HTTPStatus.NOT_FOUND
    assert entry.runtime_data.gallery.count == 0


async def test_damaged_file_has_no_thumbnail(client: Client, url: str, file: Path) -> None:
    put(file, b"<html>")

    response = await client.get(url, params={"size": "256"})

    assert response.status == HTTPStatus.INTERNAL_SERVER_ERROR
    assert "cannot be made smaller" in await response.text()
