"""Runs a real Home Assistant as a process, and uses it over HTTP and WebSocket."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
import json
import os
from pathlib import Path
import re
import signal
import socket
from string import Template
from subprocess import DEVNULL, STDOUT
import sys
import time
from typing import Any, Protocol, Self

import aiohttp

CHECKOUT = Path(__file__).resolve().parent.parent
TEMPLATES = CHECKOUT / "demo" / "config"

LOCALHOST = "127.0.0.1"
USER = "demo"
PASSWORD = "demo"  # noqa: S105 - of the demo, on this machine only
DASHBOARD = "gaze-demo"
# Exit code of `hass` for a restart (homeassistant.const)
RESTART_EXIT_CODE = 100

STARTING = 120
STOPPING = 30
POLLING = 0.05

type Json = dict[str, Any]


class DemoError(Exception):
    """A step of the demo failed. The text says which."""


class AnswerError(DemoError):
    """Home Assistant responded with an error, whose HTTP status is `status`."""

    def __init__(self, request: str, status: int, text: str) -> None:
        """Store the request (`POST /path`), the status, and the text of the response."""
        super().__init__(f"{request} answered {status}: {text}")
        self.status = status


def free_port(wanted: int = 0) -> int:
    """Return the port `wanted` if it is free, or another free port."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind((LOCALHOST, port))
                return int(probe.getsockname()[1])
    raise DemoError("This machine has no free port")


async def wait_until(holds: Callable[[], Awaitable[bool]], *, what: str, seconds: float) -> None:
    """Wait until `holds` returns True. Raises DemoError after `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            while not await holds():  # noqa: ASYNC110 - a process sets no event
                await asyncio.sleep(POLLING)
    except TimeoutError:
        raise DemoError(f"{what} took more than {seconds:g} s") from None


class Process(Protocol):
    """What is used of an `asyncio.subprocess.Process`."""

    @property
    def pid(self) -> int:
        """Process ID."""

    @property
    def returncode(self) -> int | None:
        """Exit code, or None while the process runs."""

    async def wait(self) -> int:
        """Return the exit code, when the process has ended."""

    def terminate(self) -> None:
        """Terminate the process."""


class Program:
    """A child process that leaves nothing behind.

    It has a separate process group, so that Ctrl-C in a terminal ends only the parent, which
    then stops its children in order. If util-linux is installed, the child also ends when the
    parent is killed.
    """

    def __init__(self, *command: str | Path, folder: Path, output: Path) -> None:
        """Create a program with a working directory and a file for its output."""
        self.name = output.stem
        self._command = [os.fspath(part) for part in command]
        self._folder = folder
        self._output = output
        self._process: Process | None = None

    @property
    def output(self) -> str:
        """Standard output and standard error since the start."""
        return self._output.read_text(errors="replace") if self._output.exists() else ""

    @property
    def running(self) -> bool:
        """Whether the program runs."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        """Process ID while the program runs."""
        return self._process.pid if self._process is not None and self.running else None

    async def start(self) -> None:
        """Start the program, and discard the output of an earlier run."""
        self._process = await self._run()

    async def _run(self) -> Process:
        """Run the command."""
        with self._output.open("wb") as output:
            return await asyncio.create_subprocess_exec(
                *await _ended_with_parent(),
                *self._command,
                cwd=self._folder,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                stdin=DEVNULL,
                stdout=output,
                stderr=STDOUT,
                start_new_session=True,
            )

    async def wait(self) -> int:
        """Wait until the program ends. Returns its exit code."""
        if self._process is None:
            raise DemoError(f"{self.name} was never started")
        return await self._process.wait()

    async def wait_ready(
        self, ready: Callable[[], Awaitable[bool]], *, seconds: float = STARTING
    ) -> None:
        """Wait until `ready` returns True. Raises DemoError if the program ends before."""

        async def ready_or_ended() -> bool:
            return not self.running or await ready()

        await wait_until(ready_or_ended, what=f"The start of {self.name}", seconds=seconds)
        if not self.running:
            code = await self.wait()
            raise DemoError(f"{self.name} ended with code {code}: {self.output.strip()[-800:]}")

    async def stop(self) -> None:
        """Terminate the program, and kill it if it does not end within `STOPPING` seconds."""
        if self._process is None or not self.running:
            return
        with suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(STOPPING):
                await self._process.wait()
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        """Kill the program and its children immediately, as a power cut does."""
        if self._process is None or not self.running:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()


type ProgramFactory = Callable[..., Program]


class HomeAssistant:
    """Home Assistant with its configuration in `folder`, used over HTTP and WebSocket.

    >>> async with HomeAssistant(folder, port=8123) as home_assistant:
    ...     await home_assistant.onboard()
    ...     await home_assistant.call_action("gaze", "list_presets", return_response=True)
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int,
        hass: Path | None = None,
        create_program: ProgramFactory = Program,
    ) -> None:
        """Create a Home Assistant. `hass` is its program, by default that of this environment."""
        self.folder = folder.resolve()
        self.port = port
        self.url = f"http://{LOCALHOST}:{port}"
        self.program = create_program(
            hass or Path(sys.executable).with_name("hass"),
            "--config",
            self.folder,
            "--log-no-color",
            folder=self.folder,
            output=self.folder / "hass.out",
        )
        self._session: aiohttp.ClientSession | None = None
        self._tokens: Json = {}
        self._earlier_logs = ""

    async def __aenter__(self) -> Self:
        """Write the configuration and start."""
        self.prepare()
        try:
            await self.start()
        except BaseException:
            await self.kill()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop."""
        await self.stop()

    @property
    def media(self) -> Path:
        """The media directory."""
        return self.folder / "media"

    @property
    def log(self) -> str:
        """The text of Home Assistant's log since its last start."""
        path = self.folder / "home-assistant.log"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def all_logs(self) -> str:
        """The text of Home Assistant's logs of all starts so far."""
        return self._earlier_logs + self.log

    @property
    def browser_tokens(self) -> Json:
        """The value of `localStorage.hassTokens` in a browser that is logged in."""
        return self._browser_tokens(self._tokens)

    def prepare(self) -> None:
        """Write the configuration, but no file that an earlier run created."""
        self.media.mkdir(parents=True, exist_ok=True)
        (self.folder / "configuration.yaml").write_text(
            _filled_in("configuration.yaml", media=os.fspath(self.media))
        )
        automations = self.folder / "automations.yaml"
        if not automations.exists():  # do not replace automations of users
            automations.write_text("[]\n")
        link = self.folder / "custom_components" / "gaze"
        link.parent.mkdir(exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(CHECKOUT / "custom_components" / "gaze")
        # Addresses given in configuration.yaml are on trial for five minutes, then
        # Home Assistant restarts on all addresses. Stored addresses are permanent. Version 1 of
        # the store contains nothing else, and Home Assistant migrates it.
        self._store("http", version=1, data={"server_host": [LOCALHOST], "server_port": self.port})
        if not self._stored("onboarding").exists():
            # These steps would set up integrations that use the internet.
            done = ["core_config", "analytics", "integration"]
            self._store("onboarding", version=4, data={"done": done})

    def write_dashboard(self) -> None:
        """Write the dashboard."""
        (self.folder / "dashboard.yaml").write_text(_filled_in("dashboard.yaml"))

    async def start(self) -> None:
        """Start, and wait for a response. Integrations may still be starting."""
        await self._close()
        self._earlier_logs = self.all_logs
        (self.folder / "home-assistant.log").unlink(missing_ok=True)
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30))
        await self.program.start()
        await self.program.wait_ready(self._answers)

    async def stop(self) -> None:
        """Stop as a user does, or at the latest after half a minute."""
        await self._close()
        await self.program.stop()

    async def kill(self) -> None:
        """Kill Home Assistant immediately, as a power cut does."""
        await self._close()
        await self.program.kill()

    async def onboard(self) -> None:
        """Create a user if there is none, log in, and wait until Home Assistant has started."""
        if await self._has_user():
            self._tokens = await self._log_in(USER, PASSWORD)
        else:
            client = {"client_id": f"{self.url}/"}
            user = {"name": "Demo", "username": USER, "password": PASSWORD, "language": "en"}
            code = (await self.post("/api/onboarding/users", {**client, **user}))["auth_code"]
            self._tokens = await self._exchange(
                {**client, "grant_type": "authorization_code", "code": code}
            )
        await self.program.wait_ready(self._started)

    async def log_in(self, username: str, password: str) -> Json:
        """Log another user in. Returns the value of `localStorage.hassTokens` in a browser."""
        return self._browser_tokens(await self._log_in(username, password))

    async def call_action(
        self,
        domain: str,
        action: str,
        data: Mapping[str, object] | None = None,
        *,
        return_response: bool = False,
    ) -> Json:
        """Perform an action. Returns its response, which is empty unless requested."""
        query = "?return_response" if return_response else ""
        answer = await self.post(f"/api/services/{domain}/{action}{query}", data or {})
        return dict(answer["service_response"]) if return_response else {}

    async def state(self, entity_id: str) -> Json | None:
        """Return the state of an entity (`state`, `attributes`…), or None if it has none."""
        try:
            return dict(await self.get(f"/api/states/{entity_id}"))
        except AnswerError as err:
            if err.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    async def entries(self, domain: str) -> list[Json]:
        """Return the config entries of an integration (`entry_id`, `state`…)."""
        return list(await self.get(f"/api/config/config_entries/entry?domain={domain}"))

    async def flow(
        self, handler: str, *answers: Mapping[str, object], entry_id: str | None = None
    ) -> Json:
        """Submit the forms of a config flow. Returns its last step.

        With `entry_id`, that entry is reconfigured. If the last step is a form, its `errors`
        say why the input was rejected.
        """
        begin = {"handler": handler} | ({"entry_id": entry_id} if entry_id else {})
        return await self._answer_flow("/api/config/config_entries/flow", begin, answers)

    async def options(self, entry_id: str, *answers: Mapping[str, object]) -> Json:
        """Submit the forms of an options flow. Returns the last step."""
        path = "/api/config/config_entries/options/flow"
        return await self._answer_flow(path, {"handler": entry_id}, answers)

    async def add_subentry(self, entry_id: str, kind: str, answer: Mapping[str, object]) -> Json:
        """Submit the form that adds a subentry of a type. Returns the last step."""
        path = "/api/config/config_entries/subentries/flow"
        return await self._answer_flow(path, {"handler": [entry_id, kind]}, [answer])

    async def go_on(self, flow_id: str, answer: Mapping[str, object]) -> Json:
        """Submit the form of an open config flow. Returns the next step."""
        return dict(await self.post(f"/api/config/config_entries/flow/{flow_id}", answer))

    async def reload(self, entry_id: str) -> None:
        """Reload a config entry. Raises AnswerError if it can't be reloaded now."""
        await self.post(f"/api/config/config_entries/entry/{entry_id}/reload")

    async def reauthenticate(self, entry_id: str, answer: Mapping[str, object]) -> Json | None:
        """Submit the form of a reauth flow. Returns its last step, or None without a flow."""
        for flow in await self.websocket({"type": "config_entries/flow/progress"}):
            if (flow["context"]["source"], flow["context"].get("entry_id")) == ("reauth", entry_id):
                return await self.go_on(flow["flow_id"], answer)
        return None

    async def websocket(self, command: Mapping[str, object]) -> Any:
        """Send a WebSocket command (`type` and its fields). Returns its result."""
        async with self._websocket() as connection:
            return await _command(connection, command)

    @asynccontextmanager
    async def events(self, event_type: str) -> AsyncGenerator[asyncio.Queue[Json]]:
        """Receive new events of a type (`data`, `time_fired`…) in order."""
        command = {"type": "subscribe_events", "event_type": event_type}
        async with self.subscribe(command) as received:
            yield received

    @asynccontextmanager
    async def subscribe(self, command: Mapping[str, object]) -> AsyncGenerator[asyncio.Queue[Json]]:
        """Receive the messages of a WebSocket command (`type` and its fields) in order."""
        async with self._websocket() as connection:
            await _command(connection, command)
            received: asyncio.Queue[Json] = asyncio.Queue()
            reader = asyncio.create_task(_read_events(connection, received))
            try:
                yield received
            finally:
                reader.cancel()

    async def fetch(self, path: str) -> tuple[bytes, str]:
        """Return the bytes and the content type of a path, as a logged-in user."""
        async with self._open.get(self.url + path, headers=await self._login()) as response:
            await _raise_for_error(response)
            return await response.read(), response.content_type

    async def get(self, path: str) -> Any:
        """Return the JSON of a path."""
        body, _ = await self.fetch(path)
        return json.loads(body)

    async def post(self, path: str, data: Mapping[str, object] | None = None) -> Any:
        """Send JSON. Returns the JSON of the response, or None if it is empty."""
        headers = await self._login()
        # No timeout, because an action may wait for its images.
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
        async with self._open.post(
            self.url + path, json=data, headers=headers, timeout=timeout
        ) as response:
            await _raise_for_error(response)
            return await response.json() if response.status != HTTPStatus.NO_CONTENT else None

    async def delete(self, path: str) -> None:
        """Send a DELETE request."""
        async with self._open.delete(self.url + path, headers=await self._login()) as response:
            await _raise_for_error(response)

    @property
    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise DemoError("Home Assistant was not started")
        return self._session

    async def _close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _stored(self, key: str) -> Path:
        return self.folder / ".storage" / key

    def _store(self, key: str, *, version: int, data: Json) -> None:
        path = self._stored(key)
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"version": version, "key": key, "data": data}))

    async def _answer_flow(
        self, path: str, begin: Mapping[str, object], answers: Iterable[Mapping[str, object]]
    ) -> Json:
        step = await self.post(path, begin)
        for answer in answers:
            step = await self.post(f"{path}/{step['flow_id']}", answer)
        return dict(step)

    async def _answers(self) -> bool:
        # The frontend is set up after everything that a login needs.
        with suppress(aiohttp.ClientError):
            async with self._open.get(f"{self.url}/manifest.json") as response:
                return response.status == HTTPStatus.OK
        return False

    async def _started(self) -> bool:
        state: str = (await self.get("/api/core/state"))["state"]
        return state == "RUNNING"

    async def _has_user(self) -> bool:
        async with self._open.get(f"{self.url}/api/onboarding") as response:
            # The view no longer exists after onboarding.
            if response.status == HTTPStatus.NOT_FOUND:
                return True
            await _raise_for_error(response)
            return any(step["done"] for step in await response.json() if step["step"] == "user")

    def _browser_tokens(self, tokens: Json) -> Json:
        return {
            **tokens,
            "hassUrl": self.url,
            "clientId": f"{self.url}/",
            "expires": int(tokens["expires"] * 1000),
        }

    async def _log_in(self, username: str, password: str) -> Json:
        """Return the tokens of a user."""
        client = {"client_id": f"{self.url}/"}
        step = await self.post(
            "/auth/login_flow",
            {**client, "handler": ["homeassistant", None], "redirect_uri": f"{self.url}/"},
        )
        answer = {**client, "username": username, "password": password}
        code = (await self.post(f"/auth/login_flow/{step['flow_id']}", answer))["result"]
        return await self._exchange({**client, "grant_type": "authorization_code", "code": code})

    async def _exchange(self, form: Mapping[str, str]) -> Json:
        """Return the tokens for an authorization code or a refresh token."""
        async with self._open.post(f"{self.url}/auth/token", data=form) as response:
            await _raise_for_error(response)
            tokens: Json = await response.json()
        return {**tokens, "expires": time.time() + tokens["expires_in"]}

    async def _login(self) -> dict[str, str]:
        """Return the header with the access token, renewed if needed, or none without a login."""
        if not self._tokens:
            return {}
        if time.time() > self._tokens["expires"] - 60:
            self._tokens |= await self._exchange(
                {
                    "client_id": f"{self.url}/",
                    "grant_type": "refresh_token",
                    "refresh_token": self._tokens["refresh_token"],
                }
            )
        return {"Authorization": f"Bearer {self._tokens['access_token']}"}

    @asynccontextmanager
    async def _websocket(self) -> AsyncGenerator[aiohttp.ClientWebSocketResponse]:
        await self._login()
        async with self._open.ws_connect(f"{self.url}/api/websocket", max_msg_size=0) as connection:
            await connection.receive_json()
            login = {"type": "auth", "access_token": self._tokens["access_token"]}
            await connection.send_json(login)
            answer = await connection.receive_json()
            if answer["type"] != "auth_ok":
                raise DemoError(f"Home Assistant refused the WebSocket: {answer}")
            yield connection


async def _ended_with_parent() -> list[str]:
    """Return the prefix of a command that ends a process with its parent."""
    guard = ["setpriv", "--pdeathsig", "TERM", "--"]
    with suppress(FileNotFoundError):
        probe = await asyncio.create_subprocess_exec(*guard, "true", stdout=DEVNULL, stderr=DEVNULL)
        if await probe.wait() == 0:
            return guard
    return []


def complaints(log: str) -> list[str]:
    """Return the records of a Home Assistant log, from WARNING on, that are about GAZE.

    The record that Home Assistant writes about every custom integration is ignored.
    """
    records = re.split(r"^(?=\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3})", log, flags=re.MULTILINE)
    ours = re.compile(r"custom_components[./]gaze\b|(?<![\w/.-])gaze(?![\w/-])|\w\.gaze_\w")
    level = re.compile(r"\S+ \S+ (?:WARNING|ERROR|CRITICAL) ")
    return [
        record.rstrip()
        for record in records
        if level.match(record) and ours.search(record) and "has not been tested" not in record
    ]


def _filled_in(template: str, **values: str) -> str:
    """Replace the `$names` in a template with values as YAML strings."""
    text = (TEMPLATES / template).read_text()
    # A JSON string is also a YAML string.
    return Template(text).substitute({name: json.dumps(value) for name, value in values.items()})


async def _raise_for_error(response: aiohttp.ClientResponse) -> None:
    if response.status < HTTPStatus.BAD_REQUEST:
        return
    text = await response.text()
    with suppress(ValueError, TypeError, KeyError):
        text = json.loads(text)["message"]
    raise AnswerError(f"{response.method} {response.url.path}", response.status, text)


async def _command(
    connection: aiohttp.ClientWebSocketResponse, command: Mapping[str, object]
) -> Any:
    await connection.send_json({"id": 1, **command})
    answer = await connection.receive_json()
    if not answer["success"]:
        raise DemoError(f"{command['type']} failed: {answer['error']['message']}")
    return answer["result"]


async def _read_events(
    connection: aiohttp.ClientWebSocketResponse, received: asyncio.Queue[Json]
) -> None:
    """Read messages continuously, so that pings get responses while no event is consumed."""
    async for message in connection:
        received.put_nowait(message.json()["event"])
