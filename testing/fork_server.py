"""Starts Home Assistant quickly: imports its modules once, and forks for each start.

Two thirds of a start are imports. Run this file with the Python of a Home Assistant, the number of
an inherited socket, and a path for a file. Each message on the socket starts a process. It is JSON
with `arguments`, `folder`, and `output`, and comes with another socket. Through that one the
process ID is sent, and later the exit code. If it is closed, the process terminates. If the first
socket is closed, the server ends.

No module of a custom integration is imported here. Home Assistant's own are those that every
process uses, and those that processes have used before.
"""

from contextlib import suppress
import ctypes
import gc
import importlib
import json
import os
from pathlib import Path
import select
import signal
import socket
import sys
from typing import Final

MESSAGE: Final = 65_536
# What each process uses. Most of the time that the imports take is for these.
ALWAYS_USED: Final = (
    "homeassistant.__main__",
    "homeassistant.runner",
    "homeassistant.components.conversation",
    "homeassistant.components.hassio",
    "homeassistant.components.stream",
)
# Option of Linux's prctl: the signal that a process gets when its parent ends
PR_SET_PDEATHSIG: Final = 1


def main(number: int, used: Path) -> None:
    """Fork for each message. `used` is a file with the names of modules to import."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends in order
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies
    used.write_text("\n".join(ALWAYS_USED))
    with socket.socket(fileno=number) as orders:
        while True:
            order, descriptors, _, _ = socket.recv_fds(orders, MESSAGE, 1)
            if not order:
                return
            import_modules(used)
            with socket.socket(fileno=descriptors[0]) as connection:
                if os.fork() == 0:
                    orders.close()
                    serve(json.loads(order), connection, used)


def import_modules(used: Path) -> None:
    """Import the modules that processes have used."""
    for name in used.read_text().split():
        if name not in sys.modules:
            with suppress(ImportError):  # it needs something else before
                importlib.import_module(name)
    gc.collect()
    gc.freeze()


def serve(order: dict[str, str | list[str]], connection: socket.socket, used: Path) -> None:
    """Start a process and watch both it and the connection, in a process for that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    pid = os.fork()
    if pid == 0:
        connection.close()
        run(order, used)
    connection.sendall(b"%d\n" % pid)
    process = os.pidfd_open(pid)
    ready, _, _ = select.select([connection.fileno(), process], [], [])
    has_ended = process in ready
    if not has_ended:
        signal.pidfd_send_signal(process, signal.SIGTERM)
    _, status = os.waitpid(pid, 0)
    if has_ended:
        connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def run(order: dict[str, str | list[str]], used: Path) -> None:
    """Become Home Assistant."""
    os.setsid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    os.chdir(str(order["folder"]))
    output = os.open(str(order["output"]), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.argv = ["hass", *order["arguments"]]
    try:
        from homeassistant.__main__ import main as run_home_assistant  # noqa: PLC0415

        sys.exit(run_home_assistant())
    finally:
        note_modules(used)
        gc.unfreeze()  # what Home Assistant leaves open is closed as usual


def note_modules(used: Path) -> None:
    """Write which modules of Home Assistant this process has used, in the order of imports."""
    names = [name for name in list(sys.modules) if name.startswith("homeassistant.")]
    partial = f"{used}.{os.getpid()}"
    # Home Assistant complains about other ways to open a file.
    file = os.open(partial, os.O_WRONLY | os.O_CREAT)
    os.write(file, "\n".join(names).encode())
    os.close(file)
    os.replace(partial, used)  # noqa: PTH105 - see above


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
