"""Runs fake GAZE servers, all in one process separate from the clients.

When time is measured, every image is requested with `PICTURE_SEED`, so that the fake server draws
it once. A real server draws on the GPU of another machine, which does not slow down the clients.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
import json
from pathlib import Path
import signal
import sys
from typing import Any, Final

import aiohttp

from .gaze_server import DEFAULT_PRESETS, GazeServer
from .home_assistant import CHECKOUT, Json, Program

API_KEY: Final = "gaze-benchmark-key"
PRESET: Final = DEFAULT_PRESETS[0].slug
PICTURE_SEED: Final = 1

_READY: Final = "Listening: "


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """A fake server to run. Its images take `duration` seconds, varied by the share `jitter`.

    Servers with the same `seed` take the same time for their first, second… image. `size` is
    the default size of images in pixels.
    """

    duration: float
    jitter: float
    seed: int
    size: tuple[int, int] = (768, 1152)


@dataclass(frozen=True, kw_only=True, slots=True)
class FakeServer:
    """A running fake server, with methods for its clients and for measurements."""

    url: str
    session: aiohttp.ClientSession

    async def generate(self, count: int) -> list[str]:
        """Queue images and return the IDs of the jobs."""
        body = {"count": count, "seed": PICTURE_SEED}
        url = f"{self.url}/api/v1/generate/{PRESET}"
        async with self.session.post(url, json=body, headers=_LOGIN) as response:
            return [job["job_id"] for job in (await response.json())["jobs"]]

    async def fetched(self, job_id: str) -> bool:
        """Poll a job, fetch its image if it is done, and return whether it is done."""
        async with self.session.get(f"{self.url}/api/v1/job/{job_id}", headers=_LOGIN) as response:
            report = await response.json()
        if report["status"] != "done":
            return False
        await self.image(report["result"]["image_url"])
        return True

    async def finished_at(self) -> dict[str, float]:
        """Return the finish time of each image, by job ID, in seconds since the epoch."""
        jobs = await self.jobs()
        return {job["job_id"]: job["finished_at"] for job in jobs if job["finished_at"]}

    async def jobs(self) -> list[Json]:
        """Return all jobs since the start, as the server recorded them, oldest first."""
        return list((await self._control("jobs"))["jobs"])

    async def image(self, image_url: str) -> bytes:
        """Return the bytes of an image."""
        async with self.session.get(self.url + image_url) as response:
            return await response.read()

    async def requests(self) -> dict[str, int]:
        """Return the number of requests by endpoint."""
        return dict(await self._control("requests"))

    async def reset_counts(self) -> None:
        """Reset the request counts."""
        await self.steer("reset_counts")

    async def set_fault(self, text: str) -> None:
        """Set a fault by its name on the command line."""
        await self.steer("set_fault", text=text)

    async def steer(self, method: str, **arguments: object) -> None:
        """Call a method of the server (`GazeServer`), such as `restart` or `go_off`."""
        async with self.session.post(f"{self.url}/_control/{method}", json=arguments):
            pass

    async def _control(self, what: str) -> Any:
        async with self.session.get(f"{self.url}/_control/{what}") as response:
            return await response.json()


_LOGIN: Final = {"X-API-Key": API_KEY}


@asynccontextmanager
async def fake_servers(wanted: list[Wanted], folder: Path) -> AsyncGenerator[list[FakeServer]]:
    """Run fake servers in one process that writes into `folder`."""
    program = Program(
        sys.executable,
        "-m",
        "testing.fake_servers",
        json.dumps([asdict(server) for server in wanted]),
        folder=CHECKOUT,
        output=folder / "fake-servers.out",
    )

    async def listens() -> bool:
        return _READY in program.output and program.output.endswith("\n")

    await program.start()
    try:
        await program.wait_ready(listens)
        urls = program.output.partition(_READY)[2].split()
        async with aiohttp.ClientSession(raise_for_status=True) as session:
            yield [FakeServer(url=url, session=session) for url in urls]
    finally:
        await program.stop()


async def _serve(wanted: list[Wanted]) -> None:
    """Run the servers until the process receives SIGTERM."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    servers = [GazeServer(api_key=API_KEY, control=True, **asdict(server)) for server in wanted]
    for server in servers:
        await server.start()
    print(_READY + " ".join(server.url for server in servers), flush=True)
    await ended.wait()
    for server in servers:
        await server.stop()


if __name__ == "__main__":
    asyncio.run(_serve([Wanted(**server) for server in json.loads(sys.argv[1])]))
