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

# Bytes, as they are and compressed, that every page of Home Assistant loads, that a page with both
# cards loads, and that the first opened image loads
FIRST_LOAD = (15_000, 6_000)
WITH_CARDS = (100_000, 34_000)
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


EVERY_PAGE = imported_by(MODULES / "cards.js") | imported_by(MODULES / "elements.js")
BOTH_CARDS = EVERY_PAGE | imported_by(MODULES / "generate.js") | imported_by(MODULES / "gallery.js")


def measure(files: set[Path]) -> tuple[int, int]:
    """Return the bytes of files, as they are and compressed."""
    texts = [path.read_bytes() for path in files]
    return sum(map(len, texts)), sum(len(gzip.compress(text)) for text in texts)


def test_every_page_loads_little() -> None:
    raw, compressed = measure(EVERY_PAGE)

    assert raw <= FIRST_LOAD[0]
    assert compressed <= FIRST_LOAD[1]
    assert MODULES / "vendor" / "lit.js" not in EVERY_PAGE


def test_page_with_both_cards_is_within_budget() -> None:
    raw, compressed = measure(BOTH_CARDS)

    assert raw <= WITH_CARDS[0]
    assert compressed <= WITH_CARDS[1]


def test_viewer_is_within_budget() -> None:
    raw, _ = measure(imported_by(MODULES / "viewer.js") - BOTH_CARDS)

    assert 0 < raw <= VIEWER


def test_modules_import_nothing_from_internet() -> None:
    for path in MODULES.rglob("*.js"):
        if path.parent.name != "vendor":
            assert not re.search(r"https?://(?!www\.w3\.org/)", path.read_text()), path
        for name in re.findall(r'(?:from|import\()\s*"([^"]+)"', path.read_text()):
            assert (path.parent / name).is_file(), (path, name)


@pytest.fixture
async def loaded(hass: HomeAssistant) -> None:
    """Set up the integration without a server."""
    assert await async_setup_component(hass, DOMAIN, {})


async def test_loader_imports_modules_without_login(
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


async def test_loader_is_validated_by_etag(
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


async def test_frontend_loads_loader(hass: HomeAssistant) -> None:
    assert await async_setup_component(hass, "frontend", {})

    assert await async_setup_component(hass, DOMAIN, {})

    assert LOADER_URL in hass.data[DATA_EXTRA_MODULE_URL].urls
