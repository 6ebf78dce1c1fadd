"""Home Assistant processes that a fork server starts quickly."""

import asyncio
import json
import os
from pathlib import Path
import signal
import socket
import subprocess
from tempfile import TemporaryDirectory
from typing import Self, override

from .home_assistant import DemoError, Program

SCRIPT = Path(__file__).with_name("fork_server.py")


class ForkServer:
    """A process that has imported a Home Assistant, and forks for each start of `hass`."""

    def __init__(self, hass: Path) -> None:
        """Use the Python of the program `hass`."""
        self._folder = TemporaryDirectory()
        self._orders, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        used = Path(self._folder.name) / "modules"
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - the Python of an environment
                (hass.with_name("python"), "-P", SCRIPT, str(theirs.fileno()), used),
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )

    def __enter__(self) -> Self:
        """Return this server."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._orders.close()
        self._process.wait()
        self._folder.cleanup()

    def create_program(self, *command: str | Path, folder: Path, output: Path) -> Program:
        """Create a program that runs `hass`, the first part of the command, with the others."""
        return ForkedProgram(self, *command, folder=folder, output=output)

    async def fork(self, order: dict[str, object]) -> ForkedProcess:
        """Start a process."""
        mine, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._orders, [json.dumps(order).encode()], [theirs.fileno()])
        reader, writer = await asyncio.open_connection(sock=mine)
        line = await reader.readline()
        if not line:
            raise DemoError("The fork server has ended")
        return ForkedProcess(int(line), reader, writer)


class ForkedProcess:
    """A process that is the child of a fork server."""

    def __init__(
        self, pid: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Wait for the end of the process `pid` in the background."""
        self.pid = pid
        self.returncode: int | None = None
        self._end = asyncio.create_task(self._read_code(reader, writer))

    async def wait(self) -> int:
        """Return the exit code, when the process has ended."""
        return await asyncio.shield(self._end)

    def terminate(self) -> None:
        """Terminate the process."""
        os.kill(self.pid, signal.SIGTERM)

    async def _read_code(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        code = await reader.readline()
        writer.close()
        if not code:
            raise DemoError("The fork server was killed")
        self.returncode = int(code)
        return self.returncode


class ForkedProgram(Program):
    """A program that a fork server starts."""

    def __init__(
        self, server: ForkServer, *command: str | Path, folder: Path, output: Path
    ) -> None:
        """Create a program with a working directory and a file for its output."""
        super().__init__(*command, folder=folder, output=output)
        self._server = server

    @override
    async def _run(self) -> ForkedProcess:
        return await self._server.fork(
            {
                "arguments": self._command[1:],
                "folder": os.fspath(self._folder),
                "output": os.fspath(self._output),
            }
        )
