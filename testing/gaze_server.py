"""A fake GAZE server: REST API v1 over real HTTP, with images and faults.

As a program: `python -m testing.gaze_server --help`. In a test:

    async with GazeServer(duration=None) as server:
        ...  # queue something at server.url
        await server.finish()
"""

import argparse
import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
import email.utils
import inspect
import json
from pathlib import Path
import secrets
import signal
import socket
import sys
import time
from typing import Any, NamedTuple, Self
import zlib

from aiohttp import web
from aiohttp.typedefs import Handler

from .faults import Fault, Faults, respond
from .jobs import SEED_LIMIT, UPLOADS, DemoPreset, JobQueue, JobRecord, JobStatus
from .misbehavior import Endpoint, Target, error_response, html_response

__all__ = ["DEFAULT_PRESETS", "DemoPreset", "GazeServer", "JobRecord", "JobStatus", "main"]

DEFAULT_PORT = 5782
LOG_LENGTH = 10_000
MAX_COUNT = 20
API = "/api/v1"
IMAGE_PATH = r"presets/{slug:\w+}/{name:.+}"

DEFAULT_PRESETS = (
    DemoPreset("watercolour_harbour", "Watercolour harbour"),
    DemoPreset("oil-painting", "Oil painting"),
    DemoPreset("neon_city", "Neon city"),
    DemoPreset("kirschbluete", "Kirschblüte im Regen"),
    DemoPreset("paper_forest", "Paper forest", has_cover=False),
)


class LoggedRequest(NamedTuple):
    """A received request. `time` is that of `time.monotonic()`, `path` includes the query."""

    time: float
    method: str
    path: str
    headers: dict[str, str]


class GazeServer(JobQueue):
    """A job queue with GAZE's REST API.

    `presets` maps slugs to presets. It can change at any time, and so can `faults`. `requests`
    counts requests by endpoint (`presets`, `generate`, `job`, `image`, `other`). `log` contains
    the last 10,000 requests. `JobQueue` describes the other arguments.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - each is an option of the command line
        self,
        presets: Iterable[DemoPreset] | None = None,
        api_key: str = "demo-key",
        duration: float | None = 8.0,
        jitter: float = 0.1,
        seed: int | None = None,
        faults: Faults | None = None,
        *,
        checkpoint_load: float = 0.0,
        size: tuple[int, int] = (768, 1152),
        images: Path | None = None,
        control: bool = False,
    ) -> None:
        """Create a server that does not listen yet. `control` serves `/_control/`."""
        super().__init__(
            duration=duration,
            jitter=jitter,
            checkpoint_load=checkpoint_load,
            size=size,
            seed=seed,
            faults=faults,
            images=images,
        )
        chosen = DEFAULT_PRESETS if presets is None else presets
        self.presets = {preset.slug: preset for preset in chosen}
        self.api_key = api_key
        self.requests: Counter[str] = Counter()
        self.log: deque[LoggedRequest] = deque(maxlen=LOG_LENGTH)
        self._control = control
        self._address = ("127.0.0.1", 0)
        self._online = True
        self._runner: web.AppRunner | None = None
        self._listener: asyncio.Server | None = None
        self._opening: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port of the server, also while it is offline."""
        return self._address[1]

    @property
    def url(self) -> str:
        """The URL of the server, without a trailing slash."""
        host, port = self._address
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def __aenter__(self) -> Self:
        """Start on a free port of this host."""
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop."""
        await self.stop()

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen on a port, or on a free one if it is 0. Raises OSError if the port is in use."""
        self._address = (host, port)
        self._online = True
        listener = self._bind()
        self._runner = web.AppRunner(
            self._application(), access_log=None, handler_cancellation=True, shutdown_timeout=0.1
        )
        await self._runner.setup()
        await self._listen(listener)
        self.start_worker()

    async def stop(self) -> None:
        """Close all connections and stop. The state of the server stays readable."""
        await self.stop_worker()
        if self._opening is not None:
            await self._opening
        self._close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def set_online(self, online: bool) -> None:
        """Listen on the same port, or close it with all connections. The queue continues."""
        self._online = online
        if not online:
            self._close()
        elif self._runner is not None and self._listener is None and self._opening is None:
            # The socket accepts connections from here on. The task serves them.
            self._opening = asyncio.create_task(self._listen(self._bind()))

    def go_off(self, seconds: float) -> None:
        """Go offline for some seconds, after the response to the current request is sent."""
        loop = asyncio.get_running_loop()
        loop.call_later(0.05, self.set_online, False)
        loop.call_later(0.05 + seconds, self.set_online, True)

    def _bind(self) -> socket.socket:
        """Return a listening socket, and store its port if any free one was requested."""
        host, port = self._address
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family)
        self._address = (host, listener.getsockname()[1])
        return listener

    async def _listen(self, listener: socket.socket) -> None:
        if self._runner is None or self._runner.server is None:
            raise RuntimeError("The server has not been started")
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(self._runner.server, sock=listener)
        self._opening = None
        if not self._online:
            self._close()

    def _close(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener.abort_clients()
            self._listener = None

    def reset_counts(self) -> None:
        """Reset the counts of requests, but not the log."""
        self.requests.clear()

    def regenerate_key(self, new_key: str | None = None) -> str:
        """Replace the API key, as the button in GAZE's settings does. Returns the new one."""
        self.api_key = secrets.token_hex(16) if new_key is None else new_key
        return self.api_key

    def add_foreign_jobs(self, count: int, duration: float | None = None) -> list[str]:
        """Queue jobs of the web UI, of `duration` seconds each. Returns their IDs."""
        presets = list(self.presets.values())
        return [
            self.add(self.random.choice(presets), {}, duration=duration, foreign=True).job_id
            for _ in range(count)
        ]

    def delete_image(self, job_id: str) -> None:
        """Delete a job's image, as the gallery of the web UI does."""
        if (url := self.job(job_id).image_url) is not None:
            self.files.delete(url.removeprefix(UPLOADS))

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[self._note, self._misbehave, self._guard])
        router = application.router
        router.add_get(f"{API}/presets", self._get_presets, name=Endpoint.PRESETS)
        router.add_post(f"{API}/generate/{{slug}}", self._post_generate, name=Endpoint.GENERATE)
        router.add_get(f"{API}/job/{{job_id}}", self._get_job, name=Endpoint.JOB)
        router.add_get(f"{UPLOADS}{IMAGE_PATH}", self._get_image, name=Endpoint.IMAGE)
        if self._control:
            router.add_get("/_control/requests", self._get_counts)
            router.add_get("/_control/jobs", self._get_records)
            router.add_post("/_control/{method}", self._post_control)
        return application

    @web.middleware
    async def _note(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Count and log a request, unless it belongs to the control API."""
        if not request.path.startswith("/_control/"):
            name = request.match_info.route.name
            self.requests[str(name) if name in set(Endpoint) else "other"] += 1
            headers = dict(request.headers)
            entry = LoggedRequest(time.monotonic(), request.method, request.path_qs, headers)
            self.log.append(entry)
        return await handler(request)

    @web.middleware
    async def _misbehave(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Apply the faults that concern a request."""
        if request.match_info.route.name not in set(Endpoint):
            return await handler(request)
        return await respond(self.faults, request, handler, self._target(request))

    def _target(self, request: web.Request) -> Target:
        """Return the endpoint, job, and preset of a request."""
        endpoint = Endpoint(str(request.match_info.route.name))
        match endpoint:
            case Endpoint.GENERATE:
                return Target(endpoint=endpoint, preset=request.match_info["slug"])
            case Endpoint.JOB:
                job_id = request.match_info["job_id"]
                job = self._records.get(job_id)
                slug = None if job is None else job.preset.slug
                return Target(endpoint=endpoint, job=job_id, preset=slug)
            case Endpoint.IMAGE:
                job = self.job_of_image(request.path.removeprefix(UPLOADS))
                if job is None:
                    return Target(endpoint=endpoint)
                slug = job.preset.slug
                return Target(endpoint=endpoint, job=job.job_id, image=job.job_id, preset=slug)
            case Endpoint.PRESETS:
                return Target(endpoint=endpoint)

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Reject API requests without the key, and report errors as Flask does."""
        if request.path.startswith(f"{API}/"):
            key = request.headers.get("X-API-Key") or request.query.get("api_key")
            if not key:
                return error_response(401, "Missing API key")
            if key != self.api_key:
                return error_response(403, "Invalid API key")
        try:
            return await handler(request)
        except web.HTTPException as error:
            return html_response(error.status, error.reason, "The server cannot do this.")

    async def _get_presets(self, _request: web.Request) -> web.Response:
        presets = [
            {
                "preset_id": preset.preset_id,
                "slug": slug,
                "name": preset.name,
                "has_cover": preset.has_cover,
            }
            for slug, preset in self.presets.items()
        ]
        return web.json_response({"presets": presets})

    async def _post_generate(self, request: web.Request) -> web.Response:
        try:
            body = json.loads(await request.read() or b"{}")
        except ValueError:
            return error_response(400, "The body is not JSON")
        if (reason := objection(body)) is not None:
            return error_response(400, reason)
        preset = self.presets.get(request.match_info["slug"])
        if preset is None:
            return error_response(404, "Preset not found")
        extra = self.faults.use(Fault.EXTRA_JOBS, Target(preset=preset.slug)) or 0
        jobs = [self.add(preset, body) for _ in range((body.get("count") or 1) + extra)]
        answer = [{"job_id": job.job_id, "status": "queued"} for job in jobs]
        return web.json_response({"jobs": answer}, status=202)

    async def _get_job(self, request: web.Request) -> web.Response:
        try:
            job = self.job(request.match_info["job_id"])
        except KeyError:
            return error_response(404, "Job not found")
        await self.settle(job)
        if not job.known:
            return error_response(404, "Job not found")
        answer: dict[str, Any] = {
            "id": job.job_id,
            "label": f"Preset: {job.preset.name} \N{EN DASH} preview",
            "status": job.status,
            "error": job.error,
        }
        if job.image_url is not None:
            answer["result"] = {
                "image_url": job.image_url,
                "relative_path": job.image_url.removeprefix(UPLOADS),
                "seed": job.seed,
            }
        return web.json_response(answer)

    async def _get_image(self, request: web.Request) -> web.Response:
        path = request.path.removeprefix(UPLOADS)
        data = self.files.read(path)
        if data is None:
            raise web.HTTPNotFound
        etag = f'"{zlib.crc32(data):x}-{len(data):x}"'
        job = self.job_of_image(path)
        made_at = None if job is None else job.finished_at
        changed = email.utils.formatdate(made_at or self._created_at, usegmt=True)
        headers = {"ETag": etag, "Last-Modified": changed, "Cache-Control": "no-cache"}
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers=headers)
        return web.Response(body=data, content_type="image/png", headers=headers)

    async def _get_counts(self, _request: web.Request) -> web.Response:
        return web.json_response(self.requests)

    async def _get_records(self, _request: web.Request) -> web.Response:
        records = [
            {
                "job_id": job.job_id,
                "preset": job.preset.slug,
                "status": job.status,
                "error": job.error,
                "seed": job.seed,
                "body": job.body,
                "image_url": job.image_url,
                "foreign": job.foreign,
                "known": job.known,
                "queued_at": job.queued_at,
                "started_at": job.started_at,
                "finished_at": job.finished_at,
            }
            for job in self.jobs
        ]
        return web.json_response({"jobs": records})

    async def _post_control(self, request: web.Request) -> web.Response:
        """Call a method of the server with the arguments in the body, a JSON object.

        The response is `{"result": …}`, or 400 with the error of the method.
        """
        methods: dict[str, Callable[..., Any]] = {
            "add_foreign_jobs": self.add_foreign_jobs,
            "begin": self.begin,
            "clear_faults": self.faults.clear,
            "clear_queue": self.clear_queue,
            "delete_image": self.delete_image,
            "fail": self.fail,
            "finish": self.finish,
            "go_off": self.go_off,
            "prune": self.prune,
            "put_preset": self.put_preset,
            "regenerate_key": self.regenerate_key,
            "remove_preset": self.remove_preset,
            "reset_counts": self.reset_counts,
            "restart": self.restart,
            "set_fault": self.faults.set_from_text,
            "turn_fault_off": self.faults.off,
            "turn_fault_on": self.faults.turn_on,
        }
        method = methods.get(request.match_info["method"])
        if method is None:
            return error_response(404, f"The methods are {', '.join(methods)}")
        try:
            result = method(**json.loads(await request.read() or b"{}"))
            if inspect.isawaitable(result):
                result = await result
        except (LookupError, TypeError, ValueError) as error:
            return error_response(400, f"{type(error).__name__}: {error}")
        return web.json_response({"result": result})

    def put_preset(self, preset_id: str, name: str, has_cover: bool = True) -> str:
        """Add a preset, or rename the one with its slug. Returns the slug."""
        preset = DemoPreset(preset_id, name, has_cover)
        self.presets[preset.slug] = preset
        return preset.slug

    def remove_preset(self, slug: str) -> None:
        """Remove a preset. Raises KeyError if there is none."""
        del self.presets[slug]


def objection(body: Any) -> str | None:
    """Return why GAZE rejects the body of a generate request, or None if it is valid.

    As in GAZE, `True` counts as 1, and sizes that ComfyUI rejects are accepted.
    """
    if not isinstance(body, dict):
        return "The body must be a JSON object"
    limits = {"count": (1, MAX_COUNT), "seed": (0, SEED_LIMIT - 1), "width": None, "height": None}
    for name, limit in limits.items():
        value = body.get(name)
        if value is None:
            continue
        if not isinstance(value, int):
            return f"{name} must be an integer"
        if limit is not None and not limit[0] <= value <= limit[1]:
            return f"{name} must be between {limit[0]} and {limit[1]}"
    if (body.get("width") is None) != (body.get("height") is None):
        return "width and height must be given together"
    return None


def made_up_presets(count: int) -> list[DemoPreset]:
    """Return any number of presets with different names."""
    looks = ("Amber", "Blue", "Crystal", "Dusty", "Emerald", "Foggy", "Golden")
    places = ("harbour", "forest", "city", "garden", "desert")
    names = [f"{look} {place}" for place in places for look in looks]
    return [
        DemoPreset(f"preset_{number:04}", f"{names[number % len(names)]} {number}")
        for number in range(1, count + 1)
    ]


def _parser() -> argparse.ArgumentParser:
    faults = "\n".join(f"  {fault:<17}{fault.behavior.summary}" for fault in Fault)
    parser = argparse.ArgumentParser(
        prog="python -m testing.gaze_server",
        description="A stand-in GAZE server.",
        epilog="faults for --fault NAME, NAME=VALUE, NAME=ENDPOINT,… or NAME=ENDPOINT:VALUE,…\n"
        "after a space, limits: job=ID, preset=SLUG, image=ID, times=N, seconds=S\n"
        f"endpoints: {', '.join(Endpoint)}\n\n{faults}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    add("--port", type=int, default=DEFAULT_PORT, help=f"0 = a free one ({DEFAULT_PORT})")
    add("--api-key", default="demo-key", help="the key that requests must carry (demo-key)")
    add("--duration", type=float, default=8.0, metavar="S", help="seconds an image takes (8)")
    add("--manual", action="store_true", help="jobs move only by --control")
    add("--jitter", type=float, default=0.1, help="share by which the duration varies (0.1)")
    add(
        "--checkpoint-load",
        type=float,
        default=3.0,
        metavar="S",
        help="seconds more when the checkpoint changes (3)",
    )
    add("--foreign", type=int, default=0, metavar="N", help="jobs of the web UI in the queue")
    add("--presets", type=int, metavar="N", help="so many made-up presets instead of the five")
    add(
        "--fault",
        action="append",
        default=[],
        metavar="FAULT",
        help="misbehave, see below; may be repeated",
    )
    add("--seed", type=int, help="of the random generator, for equal runs")
    add("--images", type=Path, metavar="DIR", help="keep the images here, not in memory")
    add("--control", action="store_true", help="let POST /_control/METHOD steer the server")
    return parser


async def _serve(server: GazeServer, host: str, port: int) -> None:
    """Run a server until the process is terminated."""
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    try:
        await server.start(host, port)
    except OSError as error:
        sys.exit(f"Cannot listen on {host}:{port}: {error.strerror}")
    print(f"GAZE stand-in listening on {server.url}", flush=True)
    await ended.wait()
    await server.stop()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the server with the options of the command line."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if "help" in options.fault:
        parser.print_help()
        return
    faults = Faults()
    for text in options.fault:
        try:
            faults.set_from_text(text)
        except ValueError as error:
            parser.error(str(error))
    server = GazeServer(
        presets=None if options.presets is None else made_up_presets(options.presets),
        api_key=options.api_key,
        duration=None if options.manual else options.duration,
        jitter=options.jitter,
        seed=options.seed,
        faults=faults,
        checkpoint_load=options.checkpoint_load,
        images=options.images,
        control=options.control,
    )
    server.add_foreign_jobs(options.foreign)
    asyncio.run(_serve(server, options.host, options.port))


if __name__ == "__main__":
    main()
