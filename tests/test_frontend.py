"""Cards: the loader, the modules, and their size."""

from collections.abc import Iterable
from graphlib import TopologicalSorter
import gzip
from http import HTTPStatus
import json
from pathlib import Path
import re
from typing import Any

from homeassistant.components.frontend import DATA_EXTRA_MODULE_URL
from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.gaze.const import DOMAIN
from custom_components.gaze.frontend import LOADER_URL, MODULES, hash_files

# Bytes, as they are and compressed: what a page with both cards loads first, what every page loads,
# and what the first opened image loads in addition
FIRST_LOAD = (70_000, 22_000)
EVERY_PAGE = (8_800, 3_350)
VIEWER = 15_000
LOADER = 'import "/gaze_static/0123456789abcdef/cards.js";\n'
IMPORT = re.compile(r'^(?:import|export)\b[^"]*"(\./[^"]+)";', re.MULTILINE)
ANY_IMPORT = re.compile(r'(?:from|import\()\s*"([^"]+)"')
# Texts that every page needs, by key
ENGLISH = re.compile(r"^  (\w+): ([\"'])(.*)\2,$", re.MULTILINE)
TEXT = re.compile(r"\b(?:text|iconButton)\((?:\w+ \? )?\"(\w+)\"")


def imported_by(module: Path) -> set[Path]:
    """Return a module and all that it imports, without those that are loaded on first use."""
    found: set[Path] = set()
    waiting = [module]
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            names = IMPORT.findall(module.read_text())
            waiting += [(module.parent / name).resolve() for name in names]
    return found


CARDS = MODULES / "cards.js"
BOTH_CARDS = {CARDS}.union(*(imported_by(MODULES / name) for name in ("generate.js", "gallery.js")))


def measure(texts: Iterable[bytes]) -> tuple[int, int]:
    """Return the bytes of texts, as they are and compressed one by one."""
    known = list(texts)
    return sum(map(len, known)), sum(len(gzip.compress(text)) for text in known)


def test_every_page_loads_little() -> None:
    raw, compressed = measure([LOADER.encode(), CARDS.read_bytes()])

    assert imported_by(CARDS) == {CARDS}
    assert raw <= EVERY_PAGE[0]
    assert compressed <= EVERY_PAGE[1]


def test_first_load_of_page_with_both_cards_stays_within_its_budget() -> None:
    raw, compressed = measure([LOADER.encode(), *(path.read_bytes() for path in BOTH_CARDS)])

    assert {"lit.js", "shared.js", "generate.js", "gallery.js"} <= {
        path.name for path in BOTH_CARDS
    }
    assert raw <= FIRST_LOAD[0]
    assert compressed <= FIRST_LOAD[1]


def test_viewer_stays_within_its_budget() -> None:
    viewer = imported_by(MODULES / "viewer.js") - BOTH_CARDS
    raw, _ = measure(path.read_bytes() for path in viewer)

    assert {path.name for path in viewer} == {"viewer.js", "actions.js"}
    assert raw <= VIEWER


def test_texts_that_every_page_needs_equal_the_translations() -> None:
    cards = read_translations()["config_panel"]["cards"]

    english = {key: text for key, _, text in ENGLISH.findall(CARDS.read_text())}

    assert len(english) == 10
    assert english == {key: cards[key] for key in english}


def test_every_text_of_cards_is_translated() -> None:
    cards = read_translations()["config_panel"]["cards"]
    used = {key for path in MODULES.glob("*.js") for key in TEXT.findall(path.read_text())}

    assert len(used) > 40
    assert used <= cards.keys() | {"gaze"}


def read_translations() -> dict[str, Any]:
    """Return the English texts."""
    path = MODULES.parent / "translations" / "en.json"
    return dict(json.loads(path.read_text()))


def test_modules_import_nothing_from_internet() -> None:
    for path in MODULES.rglob("*.js"):
        if path.parent.name != "vendor":
            # A link for people to select
            text = re.sub(r'documentationURL: "[^"]+"', "", path.read_text())
            assert "://" not in text, path
        for name in ANY_IMPORT.findall(path.read_text()):
            assert (path.parent / name).is_file(), (path, name)


def test_imports_of_modules_run_down_only() -> None:
    imports = {
        path: {(path.parent / name).resolve() for name in ANY_IMPORT.findall(path.read_text())}
        for path in MODULES.rglob("*.js")
    }

    order = list(TopologicalSorter(imports).static_order())

    assert order[-1] == CARDS


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


async def test_open_page_gets_running_modules_after_upgrade(
    hass: HomeAssistant, loaded: None, hass_client_no_auth: ClientSessionGenerator
) -> None:
    client = await hass_client_no_auth()
    old = "/gaze_static/0123456789abcdef"

    viewer = await client.get(f"{old}/viewer.js")
    lit = await client.get(f"{old}/vendor/lit.js")
    others = [await client.get(f"{old}/{name}") for name in ("missing.js", "a/b.js")]

    assert await viewer.read() == (MODULES / "viewer.js").read_bytes()
    assert viewer.headers["Cache-Control"] == "no-store"
    assert viewer.content_type == "text/javascript"
    assert lit.status == HTTPStatus.OK
    assert [other.status for other in others] == [HTTPStatus.NOT_FOUND] * len(others)


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
