"""Cards: the loader, the modules, and their size."""

import gzip
from http import HTTPStatus
from pathlib import Path
import re

from homeassistant.components.frontend import DATA_EXTRA_MODULE_URL
from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.gaze.const import DOMAIN
from custom_components.gaze.frontend import LOADER_URL, MODULES, hash_files

# Bytes that every page of Home Assistant loads, and that the first opened image loads
FIRST_LOAD = (70_000, 22_000)
VIEWER = 15_000
IMPORT = re.compile(r'^(?:import|export)\b[^"]*"(\.{1,2}/[^"]+)";', re.MULTILINE)


def imported_by(module: Path) -> set[Path]:
    """Return a module and all that it imports, without those that are loaded on first use."""
    found: set[Path] = set()
    waiting = [module]
    while waiting:
        module = waiting.pop()
        if module in found:
            continue
        found.add(module)
        names = re.findall(
            r'^(?:import|export)\b[^"]*"(\./[^"]+)";', module.read_text(), re.MULTILINE
        )
        waiting += [(module.parent / name).resolve() for name in names]
    return found


def test_first_load_stays_within_its_budget() -> None:
    files = imported_by(MODULES / "cards.js") | imported_by(MODULES / "elements.js")
    texts = [path.read_bytes() for path in files]

    assert MODULES / "vendor" / "lit.js" in files
    assert sum(map(len, texts)) <= FIRST_LOAD[0]
    assert sum(len(gzip.compress(text)) for text in texts) <= FIRST_LOAD[1]


def test_viewer_stays_within_its_budget() -> None:
    files = imported_by(MODULES / "viewer.js") - imported_by(MODULES / "elements.js")

    assert 0 < sum(path.stat().st_size for path in files) <= VIEWER


def test_modules_import_nothing_from_the_internet() -> None:
    for path in MODULES.rglob("*.js"):
        if path.parent.name != "vendor":
            assert not re.search(r"https?://(?!www\.w3\.org/)", path.read_text()), path
        for name in re.findall(r'(?:from|import\()\s*"([^"]+)"', path.read_text()):
            assert (path.parent / name).is_file(), (path, name)


@pytest.fixture
async def loaded(hass: HomeAssistant) -> None:
    """Set up the integration without a server."""
    assert await async_setup_component(hass, DOMAIN, {})


async def test_loader_imports_modules_without_a_login(
    hass: HomeAssistant, loaded: None, hass_client_no_auth: ClientSessionGenerator
) -> None:
    client = await hass_client_no_auth()

    loader = await client.get(LOADER_URL)
    text = await loader.text()
    [url] = re.findall(r'^import "(/gaze_static/[0-9a-f]{16}/cards\.js)";\n$', text)
    module = await client.get(url)

    assert loader.status == module.status == HTTPStatus.OK
    assert loader.headers["Cache-Control"] == "no-cache"
    assert loader.content_type == module.content_type == "text/javascript"
    assert "max-age" in module.headers["Cache-Control"]
    assert await module.read() == (MODULES / "cards.js").read_bytes()


async def test_loader_is_validated_by_its_etag(
    hass: HomeAssistant, loaded: None, hass_client_no_auth: ClientSessionGenerator
) -> None:
    client = await hass_client_no_auth()
    etag = (await client.get(LOADER_URL)).headers["ETag"]

    known = await client.get(LOADER_URL, headers={"If-None-Match": etag})
    other = await client.get(LOADER_URL, headers={"If-None-Match": '"other"'})

    assert (known.status, other.status) == (HTTPStatus.NOT_MODIFIED, HTTPStatus.OK)


def test_hash_changes_with_names_and_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text("1")
    first = hash_files(tmp_path)
    (tmp_path / "a.js").write_text("2")
    second = hash_files(tmp_path)
    (tmp_path / "a.js").rename(tmp_path / "b.js")
    third = hash_files(tmp_path)

    assert len({first, second, third}) == 3


async def test_frontend_loads_the_loader(hass: HomeAssistant) -> None:
    assert await async_setup_component(hass, "frontend", {})

    assert await async_setup_component(hass, DOMAIN, {})

    assert LOADER_URL in hass.data[DATA_EXTRA_MODULE_URL].urls
