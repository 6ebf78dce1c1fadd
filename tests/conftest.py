"""Fixtures for all tests: a fake GAZE server, and a Home Assistant that uses it."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
import logging
import os
from pathlib import Path
import ssl
from typing import Any
from unittest.mock import patch

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from freezegun.api import FrozenDateTimeFactory
from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import CONF_API_KEY, CONF_HOST, CONF_VERIFY_SSL
from homeassistant.core import Context, HomeAssistant
from homeassistant.setup import async_setup_component
from hypothesis import HealthCheck, settings
import pytest
from pytest_homeassistant_custom_component import common as plugin
from pytest_homeassistant_custom_component.common import MockConfigEntry, MockUser

from custom_components.gaze.const import DOMAIN
from testing.clocks import JumpingLoop
from testing.gaze_server import GazeServer

from .common import CallAs

# Home Assistant logs each step of a start at this level. The fixture `caplog` still gets all.
logging.getLogger().setLevel(logging.WARNING)
logging.getLogger("sqlalchemy.engine").setLevel(logging.WARNING)

# Every run tries the same examples, so that its result can be repeated. The profile `thorough`
# tries others each time.
settings.register_profile(
    "thorough", database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("repeatable", settings.get_profile("thorough"), derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

# The quick lane leaves out tests with these markers, and these folders and modules.
SLOW = ("e2e", "timing", "processes", "hypothesis")
THOROUGH = (
    "demo/",
    "displays/test_actions",
    "displays/test_clients",
    "displays/test_displays",
    "displays/test_faults",
    "displays/test_view",
    "gallery/test_disks",
    "gallery/test_thumbnails",
    "hostile/",
    "jobs/test_estimates",
    "jobs/test_homes",
    "jobs/test_isolation",
    "jobs/test_pacing",
    "jobs/test_reload",
    "jobs/test_state_machine",
    "jobs/test_time",
    "test_backup",
    "test_blueprints",
    "test_docs",
    "test_gallery_repairs",
    "test_key_watch",
    "test_links",
    "test_llm",
    "test_logbook",
    "test_marking",
    "test_repairs",
    "testing/",
)

type SetUp = Callable[[MockConfigEntry], Awaitable[None]]


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Let time jump in all tests, but for those that wait for other processes."""
    if item.get_closest_marker("e2e") or item.get_closest_marker("processes"):
        return {"real": asyncio.SelectorEventLoop}
    return {"jumping": JumpingLoop}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option of the quick lane."""
    parser.addoption(
        "--quick", action="store_true", help="run only tests that are worth running while editing"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Select the tests of the quick lane: one case of each quick test."""
    if not config.getoption("quick"):
        return
    cases = {item.nodeid.partition("[")[0]: item for item in reversed(items) if is_quick(item)}
    selected = set(cases.values())
    config.hook.pytest_deselected(items=[item for item in items if item not in selected])
    items[:] = [item for item in items if item in selected]


def is_quick(item: pytest.Item) -> bool:
    """Return whether a test is quick, and about more than faults or the course of time."""
    path = item.path.relative_to(Path(__file__).parent).as_posix()
    return not path.startswith(THOROUGH) and not any(map(item.get_closest_marker, SLOW))


@pytest.fixture(autouse=True, scope="session")
def disable_http_server() -> Generator[None]:
    """Start no HTTP server of Home Assistant: once, as mocks take as long as many a test."""
    http = "homeassistant.components.http.HomeAssistantHTTP"
    with patch(f"{http}.async_bind"), patch(f"{http}.start"):
        yield


@pytest.fixture
def hass_storage(monkeypatch: pytest.MonkeyPatch) -> Generator[dict[str, Any]]:
    """Replace the functions of the storage with functions, not with mocks of their signatures.

    Creating the mocks takes longer than all that a test stores.
    """

    def replace(target: str, *, side_effect: Callable[..., Any], autospec: bool) -> Any:
        assert autospec
        return patch(target, side_effect)

    with ExitStack() as stack:
        with monkeypatch.context() as context:
            context.setattr(plugin, "patch", replace)
            data: dict[str, Any] = stack.enter_context(plugin.mock_storage())
        yield data


@pytest.fixture(autouse=True)
async def enable_event_loop_debug() -> None:
    """Leave out asyncio's debug mode, which takes longer than most tests, unless asked for."""
    asyncio.get_running_loop().set_debug("PYTHONASYNCIODEBUG" in os.environ)


@pytest.fixture
async def freezer(
    freezer: FrozenDateTimeFactory, monkeypatch: pytest.MonkeyPatch
) -> FrozenDateTimeFactory:
    """Freeze the wall clock. `tick` moves the time of the event loop, too."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, JumpingLoop)
    tick_wall_clock = freezer.tick

    def tick(delta: timedelta | float = 1) -> datetime:
        now: datetime = tick_wall_clock(delta)
        loop.move(delta.total_seconds() if isinstance(delta, timedelta) else delta)
        return now

    monkeypatch.setattr(freezer, "tick", tick)
    return freezer


@pytest.fixture
def hass_config_dir(hass_tmp_config_dir: str) -> str:
    """Let each test's Home Assistant use a separate directory."""
    return hass_tmp_config_dir


@pytest.fixture(autouse=True)
def auto_enable_custom_integrations(request: pytest.FixtureRequest) -> None:
    """Let Home Assistant find this integration, if a test uses Home Assistant."""
    if "recorder_mock" in request.fixturenames:
        request.getfixturevalue("recorder_db_url")  # has to be chosen before Home Assistant starts
    if "hass" in request.fixturenames:
        request.getfixturevalue("enable_custom_integrations")


@pytest.fixture
def media_dir(hass: HomeAssistant, tmp_path: Path) -> Path:
    """Return the only media directory of Home Assistant, which does not exist yet."""
    path = tmp_path / "media"
    hass.config.media_dirs = {"local": str(path)}
    return path


@pytest.fixture
def listed(hass: HomeAssistant, media_dir: Path, monkeypatch: pytest.MonkeyPatch) -> set[Path]:
    """Return the files that a backup may list, as they are when any file is written."""
    found: set[Path] = set()
    folders = (media_dir, Path(hass.config.path(".storage")))
    sync = os.fsync

    def list_and_sync(file: int) -> None:
        paths = [*media_dir.iterdir()]
        for folder in folders:
            paths += folder.rglob("*gaze*/**/*")
        found.update(path for path in paths if path.is_file())
        sync(file)

    monkeypatch.setattr(os, "fsync", list_and_sync)
    return found


@pytest.fixture
async def server(
    socket_enabled: None,
) -> AsyncGenerator[GazeServer]:
    """Return a running GAZE server with small images. Tests finish its jobs."""
    async with GazeServer(duration=None, seed=1, size=(64, 96)) as server:
        yield server


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with a self-signed certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "GAZE")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "server.pem"
    file.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + certificate.public_bytes(Encoding.PEM)
    )
    return file


@pytest.fixture
async def self_signed_url(
    socket_enabled: None,
    certificate: Path,
) -> AsyncGenerator[str]:
    """Return the address of a GAZE without presets that has a self-signed certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):  # what a client does that finds the certificate wanting
            await writer.start_tls(context)
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b'HTTP/1.0 200 OK\r\nContent-Length: 15\r\n\r\n{"presets": []}')
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.fixture
def config_entry(server: GazeServer) -> MockConfigEntry:
    """Return an entry for the server, not yet added to Home Assistant."""
    return MockConfigEntry(
        domain=DOMAIN,
        title="GAZE",
        entry_id="01K3GAZE00000000000000TEST",
        data={CONF_HOST: server.url, CONF_API_KEY: server.api_key, CONF_VERIFY_SSL: True},
    )


@pytest.fixture
async def setup_integration(
    hass: HomeAssistant,
    media_dir: Path,
) -> AsyncGenerator[SetUp]:
    """Return a function that adds and sets up an entry. At the end all entries must unload."""
    # Every real Home Assistant has it, and conversation, which AI tasks need, cannot do without.
    assert await async_setup_component(hass, "homeassistant", {})

    async def set_up(entry: MockConfigEntry) -> None:
        entry.add_to_hass(hass)
        await hass.config_entries.async_setup(entry.entry_id)
        await hass.async_block_till_done()
        assert entry.state is ConfigEntryState.LOADED

    yield set_up

    for entry in hass.config_entries.async_loaded_entries(DOMAIN):
        assert await hass.config_entries.async_unload(entry.entry_id)
    await hass.async_block_till_done()


@pytest.fixture
async def entry(config_entry: MockConfigEntry, setup_integration: SetUp) -> MockConfigEntry:
    """Return the loaded entry of the server."""
    await setup_integration(config_entry)
    return config_entry


@pytest.fixture
async def second_server(socket_enabled: None) -> AsyncGenerator[GazeServer]:
    """Return another running server."""
    async with GazeServer(duration=None, seed=2, size=(64, 96)) as server:
        yield server


@pytest.fixture
async def second_entry(second_server: GazeServer, setup_integration: SetUp) -> MockConfigEntry:
    """Set up the entry of the second server."""
    entry = MockConfigEntry(
        domain=DOMAIN,
        title="GAZE (second)",
        data={
            "host": second_server.url,
            "api_key": second_server.api_key,
            "verify_ssl": True,
        },
    )
    await setup_integration(entry)
    return entry


@pytest.fixture
def call_as(hass: HomeAssistant) -> CallAs:
    """Return a function that calls an action as a user."""

    async def call(
        user: MockUser, action: str, *, response: bool = True, **data: Any
    ) -> dict[str, Any]:
        found = await hass.services.async_call(
            DOMAIN,
            action,
            data,
            blocking=True,
            context=Context(user_id=user.id),
            return_response=response,
        )
        return dict(found or {})

    return call
