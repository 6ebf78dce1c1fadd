"""Fixtures: a hostile server in a separate process, and a watched event loop."""

import asyncio
import base64
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
import gc
from ipaddress import ip_address
import json
import logging
from pathlib import Path
import subprocess
import sys
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from homeassistant.core import Event, HomeAssistant, callback
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.gaze.const import DOMAIN, EVENT_GAZE
from testing.clocks import JumpingLoop, Watch, work_time

from .server import GOOD

# The longest that a step may compute in the event loop, in units of `work_time`: about 0.1 s
LONGEST_STEP: Final = 6.0
# The same while other tests run beside: they slow a step down more than `work_time`, at times
LONGEST_STEP_BESIDE_OTHERS: Final = 30.0
LISTENING: Final = "0A"  # in /proc/net/tcp
API_KEY: Final = "key-2f9d1c7b5e"


@pytest.fixture
async def loop() -> JumpingLoop:
    """Return the event loop that runs the test."""
    running = asyncio.get_running_loop()
    assert isinstance(running, JumpingLoop)
    return running


@pytest.fixture
async def watch(
    request: pytest.FixtureRequest,
    loop: JumpingLoop,
    record_property: Callable[[str, object], None],
) -> AsyncGenerator[Watch]:
    """Watch the event loop. At the end no step of it must have computed too long.

    The time that counts is CPU time. What the garbage collector does with the remains of other
    tests does not count. Each module has frozen what was there before it.
    """
    alone = request.node.get_closest_marker("timing") is not None
    loop.set_debug(False)
    gc.collect()
    if alone:
        gc.freeze()
    loop.watch.measures = True
    await start_watching(loop.watch)

    yield loop.watch

    await asyncio.sleep(0)
    units = loop.watch.computed / (work_time() if alone else usual_work_time())
    record_property("longest_step", units)
    assert units <= (LONGEST_STEP if alone else LONGEST_STEP_BESIDE_OTHERS)


usual_work_time: Final = cache(work_time)


async def start_watching(watch: Watch) -> None:
    """Discard what was measured so far."""
    await asyncio.sleep(0)
    watch.start_turn()
    watch.reset()


@pytest.fixture
def told(hass: HomeAssistant) -> list[tuple[str, str]]:
    """Return a growing list of the job and type of each event."""
    seen: list[tuple[str, str]] = []

    @callback
    def note(event: Event[dict[str, Any]]) -> None:
        seen.append((event.data["job_id"], event.data["type"]))

    hass.bus.async_listen(EVENT_GAZE, note)
    return seen


@pytest.fixture
def faultless(caplog: pytest.LogCaptureFixture) -> Generator[None]:
    """Check that no exception is logged or unhandled."""
    caplog.set_level(logging.WARNING)

    yield

    assert tracebacks(caplog) == []


def tracebacks(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the records with a traceback or an unhandled exception of the test."""
    return [
        caplog.handler.format(record)
        for record in caplog.get_records("call")
        if record.levelno >= logging.WARNING
        and record.name != "homeassistant.components.camera.img_util"  # misses a library
        and (record.exc_info or "never retrieved" in record.getMessage())
    ]


@dataclass(frozen=True, slots=True)
class Certificates:
    """Files of certificates and their keys, from one authority."""

    authority: Path
    good: Path
    expired: Path
    another: Path


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Return certificates: a good one, one that has expired, and one for another name."""
    folder = tmp_path_factory.mktemp("certificates")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Authority")])
    now = datetime.now(UTC)
    here = x509.IPAddress(ip_address("127.0.0.1"))

    def issue(file: str, subject: x509.GeneralName | None, days: int) -> Path:
        """Issue a certificate that is valid for some days, beginning ten days ago."""
        own = ec.generate_private_key(ec.SECP256R1()) if subject else key
        builder = (
            x509.CertificateBuilder()
            .issuer_name(name)
            .subject_name(name if subject is None else x509.Name([]))
            .public_key(own.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=10))
            .not_valid_after(now + timedelta(days=days - 10))
            .add_extension(x509.BasicConstraints(ca=subject is None, path_length=None), True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), False
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(own.public_key()), False)
        )
        if subject is None:
            usage = x509.KeyUsage(
                digital_signature=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=True,
                crl_sign=True,
                encipher_only=False,
                decipher_only=False,
            )
            builder = builder.add_extension(usage, True)
        else:
            builder = builder.add_extension(x509.SubjectAlternativeName([subject]), True)
        content = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
        path = folder / file
        path.write_bytes(
            own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + content
        )
        return path

    return Certificates(
        authority=issue("authority.pem", None, 20),
        good=issue("good.pem", here, 20),
        expired=issue("expired.pem", here, 9),
        another=issue("another.pem", x509.DNSName("gaze.example"), 20),
    )


@dataclass(frozen=True, slots=True)
class Hostile:
    """A running hostile server."""

    process_id: int
    port: int
    control_port: int
    tls: Mapping[str, str]

    def is_busy(self) -> bool:
        """Return whether it works, or a connection to it holds what was not read yet.

        It may wake, read, and respond during the look, so whether it ran counts as well.
        """
        ran = self._cpu_time()
        return self._is_awake() or self._has_unread_data() or self._cpu_time() != ran

    def _is_awake(self) -> bool:
        """Return whether the process runs or waits for a core."""
        status = Path(f"/proc/{self.process_id}/stat").read_text()
        return status.rpartition(")")[2].split()[0] != "S"

    def _cpu_time(self) -> str:
        """Return for how long and how often the process has run."""
        return Path(f"/proc/{self.process_id}/schedstat").read_text()

    def _has_unread_data(self) -> bool:
        """Return whether a connection holds data that its other end has not read."""
        tls = [int(url.rpartition(":")[2]) for url in self.tls.values()]
        ports = {f"{port:04X}" for port in (self.port, self.control_port, *tls)}
        rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
        return any(
            status != LISTENING
            and queues != "00000000:00000000"
            and ports & {local.rpartition(":")[2], remote.rpartition(":")[2]}
            for _, local, remote, status, queues, *_ in rows
        )

    def url(self, name: str = GOOD, *places: str) -> str:
        """Return the address for a hostility at some endpoints."""
        return f"http://127.0.0.1:{self.port}/{'@'.join((name, *places))}"

    def entry(self, name: str = GOOD, *places: str) -> MockConfigEntry:
        """Return an entry for such an address."""
        return MockConfigEntry(
            domain=DOMAIN,
            title=name,
            data={"host": self.url(name, *places), "api_key": API_KEY, "verify_ssl": True},
        )

    async def order(self, **order: Any) -> dict[str, list[str]]:
        """Give an order and return what each kind of socket has got.

        off: names of hostilities that are to pause; canned: bodies, by a name of their own;
        forget: whether to forget what the sockets got.
        """
        order["canned"] = {
            name: base64.b64encode(body).decode() for name, body in order.get("canned", {}).items()
        }
        reader, writer = await asyncio.open_connection("127.0.0.1", self.control_port, limit=2**26)
        try:
            writer.write(json.dumps(order).encode() + b"\n")
            received: dict[str, list[str]] = json.loads(await reader.readline())
        finally:
            writer.close()
        return received


@pytest.fixture(scope="session")
def hostile_process(certificates: Certificates) -> Generator[Hostile]:
    """Run the server."""
    files = {
        "good": certificates.good,
        "expired": certificates.expired,
        "another": certificates.another,
    }
    with subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-m", "tests.hostile.server", *map(str, files.values())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        port, control_port, _elsewhere, *tls = json.loads(process.stdout.readline())
        yield Hostile(
            process.pid,
            port,
            control_port,
            {name: f"https://127.0.0.1:{number}" for name, number in zip(files, tls, strict=True)},
        )
        process.stdin.close()
        process.wait(10)


@pytest.fixture
async def hostile(
    hostile_process: Hostile,
    loop: JumpingLoop,
    socket_enabled: None,
) -> AsyncGenerator[Hostile]:
    """Return the server. Check at the end that only API requests contained the key."""
    loop.watch.is_busy = hostile_process.is_busy
    await hostile_process.order(off=[], forget=True)

    yield hostile_process

    received = await hostile_process.order(off=[], forget=True)
    assert received["elsewhere"] == []
    for head in received["gaze"]:
        assert_key_belongs(head)


def assert_key_belongs(head: str) -> None:
    """Check that only an API request contains the key, in its header."""
    line, *headers = head.split("\r\n")
    with_key = [header for header in headers if API_KEY in header]
    assert API_KEY not in line
    if "/api/v1/" in line:
        assert with_key == [f"X-API-Key: {API_KEY}"]
    else:
        assert with_key == []
