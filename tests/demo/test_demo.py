"""Tests of the demo: its processes, configuration, and check of the log."""

import asyncio
import json
import os
from pathlib import Path
import shutil
import signal
import socket
import sys
from typing import Any

from homeassistant.util.yaml import load_yaml
import pytest

from demo.__main__ import main, parse
from testing import home_assistant as module
from testing.home_assistant import (
    CHECKOUT,
    DemoError,
    HomeAssistant,
    Program,
    complaints,
    free_port,
    wait_until,
)

STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(60)
"""
PARENT = """
import asyncio, pathlib, sys
from testing.home_assistant import Program

async def main():
    program = Program("sleep", "60", folder=pathlib.Path(), output=pathlib.Path(sys.argv[1]))
    await program.start()
    print(program.pid, flush=True)
    await program.wait()

asyncio.run(main())
"""
STAMP = "2026-11-22 18:11:01.168"
UNTESTED = (
    f"{STAMP} WARNING (SyncWorker_0) [homeassistant.loader] We found a custom integration gaze"
    " which has not been tested by Home Assistant. This component might cause stability problems\n"
)


@pytest.fixture
def home_assistant(tmp_path: Path) -> HomeAssistant:
    return HomeAssistant(tmp_path / "home", port=8123)


async def _never() -> bool:
    return False


def _ended(pid: int) -> bool:
    """Return whether a process has ended, or is a zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"


@pytest.mark.usefixtures("socket_enabled")
def test_used_port_is_replaced_by_free_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        assert free_port(port) not in {0, port}


@pytest.mark.usefixtures("socket_enabled")
def test_free_port_is_used_as_requested() -> None:
    wanted = free_port()

    assert free_port(wanted) == wanted


@pytest.mark.processes
async def test_error_contains_output_when_program_ends_at_start(tmp_path: Path) -> None:
    program = Program(
        sys.executable,
        "-c",
        "print('the port is taken'); raise SystemExit(3)",
        folder=tmp_path,
        output=tmp_path / "server.out",
    )
    await program.start()

    with pytest.raises(DemoError, match="server ended with code 3: the port is taken"):
        await program.wait_ready(_never)


@pytest.mark.processes
async def test_error_is_raised_when_program_is_not_ready_in_time(tmp_path: Path) -> None:
    program = Program("sleep", "60", folder=tmp_path, output=tmp_path / "server.out")
    await program.start()

    with pytest.raises(DemoError, match=r"The start of server took more than 0\.1 s"):
        await program.wait_ready(_never, seconds=0.1)
    await program.kill()


@pytest.mark.processes
async def test_program_is_terminated(tmp_path: Path) -> None:
    program = Program("sleep", "60", folder=tmp_path, output=tmp_path / "sleep.out")
    await program.start()

    await program.stop()

    assert not program.running
    assert await program.wait() == -signal.SIGTERM


@pytest.mark.processes
async def test_program_is_killed_when_it_ignores_termination(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STOPPING", 0.1)
    program = Program(
        sys.executable, "-c", STUBBORN, folder=tmp_path, output=tmp_path / "stubborn.out"
    )
    await program.start()

    async def deaf() -> bool:
        return "deaf" in program.output

    await program.wait_ready(deaf)

    await program.stop()

    assert await program.wait() == -signal.SIGKILL


@pytest.mark.skipif(not shutil.which("setpriv"), reason="needs setpriv of util-linux")
@pytest.mark.processes
async def test_program_ends_when_parent_is_killed(tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PARENT,
        os.fspath(tmp_path / "sleep.out"),
        cwd=CHECKOUT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    assert not _ended(child)

    async def bound_to_parent() -> bool:
        return Path(f"/proc/{child}/comm").read_text().strip() == "sleep"

    await wait_until(bound_to_parent, what="The start of the child", seconds=60)
    parent.kill()
    await parent.wait()

    async def ended() -> bool:
        return _ended(child)

    await wait_until(ended, what="The end of the child", seconds=60)


def test_configuration_is_complete_without_network_discovery(
    home_assistant: HomeAssistant,
) -> None:
    home_assistant.prepare()

    configuration: Any = load_yaml(home_assistant.folder / "configuration.yaml")
    assert configuration["homeassistant"]["media_dirs"] == {"local": str(home_assistant.media)}
    assert home_assistant.media.is_dir()
    assert {"frontend", "config", "history", "logbook", "media_source"} < set(configuration)
    assert "default_config" not in configuration


def test_integration_is_that_of_checkout(home_assistant: HomeAssistant) -> None:
    home_assistant.prepare()

    link = home_assistant.folder / "custom_components" / "gaze"
    assert link.resolve() == CHECKOUT / "custom_components" / "gaze"


def test_home_assistant_listens_only_on_loopback(home_assistant: HomeAssistant) -> None:
    home_assistant.prepare()

    stored = json.loads((home_assistant.folder / ".storage" / "http").read_text())
    assert stored["data"] == {"server_host": ["127.0.0.1"], "server_port": 8123}


def test_second_run_has_same_setup_on_new_port(
    home_assistant: HomeAssistant,
) -> None:
    home_assistant.prepare()
    storage = home_assistant.folder / ".storage"
    (storage / "onboarding").write_text("as it was left")
    again = HomeAssistant(home_assistant.folder, port=8124)

    again.prepare()

    assert (storage / "onboarding").read_text() == "as it was left"
    assert json.loads((storage / "http").read_text())["data"]["server_port"] == 8124


def test_dashboard_uses_strategy_of_integration(home_assistant: HomeAssistant) -> None:
    home_assistant.prepare()

    home_assistant.write_dashboard()

    dashboard = load_yaml(home_assistant.folder / "dashboard.yaml")
    assert dashboard == {"strategy": {"type": "custom:gaze"}}


@pytest.mark.parametrize(
    "record",
    [
        "ERROR (MainThread) [custom_components.gaze.coordinator] Error fetching data",
        "WARNING (MainThread) [custom_components.gaze] Something is odd",
        "WARNING (MainThread) [homeassistant.setup] Setup of gaze is taking over 10 seconds",
        "WARNING (MainThread) [homeassistant.helpers.frame] Custom integration 'gaze' is old",
        'ERROR (MainThread) [homeassistant.core] Error\n  File "/x/custom_components/gaze/a.py"',
        "WARNING (MainThread) [homeassistant.helpers.entity] Update of image.gaze_a is slow",
    ],
)
def test_log_records_of_integration_are_problems(record: str) -> None:
    for stamp in (STAMP, f"{STAMP}+00:00"):  # since 2026.11 with the offset
        log = f"{UNTESTED}{stamp} {record}\n{UNTESTED}"

        assert complaints(log) == [f"{stamp} {record}"]


@pytest.mark.parametrize(
    "record",
    [
        "INFO (MainThread) [custom_components.gaze] The server is back",
        'ERROR (MainThread) [haffmpeg.core] FFmpeg fails\n  File "/home/me/gaze/lib/core.py"',
    ],
)
def test_other_log_records_are_no_problems(record: str) -> None:
    assert complaints(f"{UNTESTED}{STAMP} {record}\n{UNTESTED}") == []


def test_server_address_without_key_is_rejected(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--once", "--gaze-url", "http://127.0.0.1:5782"])

    assert "--gaze-url and --api-key belong together" in capsys.readouterr().err


def test_other_version_is_found_by_relative_path() -> None:
    options = parse(["--hass", ".venv-next/bin/hass"])

    assert options.hass == Path.cwd() / ".venv-next" / "bin" / "hass"
