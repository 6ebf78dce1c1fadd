"""Runs GAZE servers for the benchmarks, all in one process apart from whoever is measured.

Where time is measured, every picture is asked for with `PICTURE_SEED`, so that the stand-in draws
it once: drawing is the work of another machine's GPU and must not disturb the clients.
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

from testing.gaze_server import DEFAULT_PRESETS, GazeServer
from testing.home_assistant import CHECKOUT, Json, Program

API_KEY: Final = "gaze-benchmark-key"
PRESET: Final = DEFAULT_PRESETS[0].slug
PICTURE_SEED: Final = 1

_READY: Final = "Listening: "


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """A server to run: images of so many seconds, give or take the share `jitter`.

    Servers with the same `seed` take the same time for their first, second… image. `size` is
    what presets draw by themselves, in pixels.
    """

    duration: float
    jitter: float
    seed: int
    size: tuple[int, int] = (768, 1152)


@dataclass(frozen=True, kw_only=True, slots=True)
class StandIn:
    """A running server, as its clients and whoever measures them see it."""

    url: str
    session: aiohttp.ClientSession

    async def generate(self, count: int) -> list[str]:
        """Queue images as any client does; return the job ids."""
        body = {"count": count, "seed": PICTURE_SEED}
        url = f"{self.url}/api/v1/generate/{PRESET}"
        async with self.session.post(url, json=body, headers=_LOGIN) as answer:
            return [job["job_id"] for job in (await answer.json())["jobs"]]

    async def fetched(self, job_id: str) -> bool:
        """Ask how a job stands, and fetch its image when it is done; return whether it is."""
        async with self.session.get(f"{self.url}/api/v1/job/{job_id}", headers=_LOGIN) as answer:
            report = await answer.json()
        if report["status"] != "done":
            return False
        await self.image(report["result"]["image_url"])
        return True

    async def finished_at(self) -> dict[str, float]:
        """Return when each finished image was made, by job id, in seconds since 1970."""
        jobs = await self.jobs()
        return {job["job_id"]: job["finished_at"] for job in jobs if job["finished_at"]}

    async def jobs(self) -> list[Json]:
        """Return all jobs there ever were as the server knows them, oldest first."""
        return list((await self._control("jobs"))["jobs"])

    async def image(self, image_url: str) -> bytes:
        """Return the bytes of an image."""
        async with self.session.get(self.url + image_url) as answer:
            return await answer.read()

    async def requests(self) -> dict[str, int]:
        """Return how many requests came in, by endpoint."""
        return dict(await self._control("requests"))

    async def reset_counts(self) -> None:
        """Count requests from nought again."""
        await self.steer("reset_counts")

    async def set_fault(self, text: str) -> None:
        """Let the server misbehave, as its command line names it."""
        await self.steer("set_fault", text=text)

    async def steer(self, method: str, **arguments: object) -> None:
        """Call a method of the server (`GazeServer`), such as `restart` or `go_off`."""
        async with self.session.post(f"{self.url}/_control/{method}", json=arguments):
            pass

    async def _control(self, what: str) -> Any:
        async with self.session.get(f"{self.url}/_control/{what}") as answer:
            return await answer.json()


_LOGIN: Final = {"X-API-Key": API_KEY}


@asynccontextmanager
async def stand_ins(wanted: list[Wanted], folder: Path) -> AsyncGenerator[list[StandIn]]:
    """Run servers in one process that writes into `folder`."""
    program = Program(
        sys.executable,
        "-m",
        "benchmarks.support.stand_ins",
        json.dumps([asdict(server) for server in wanted]),
        folder=CHECKOUT,
        output=folder / "stand-ins.out",
    )

    async def listens() -> bool:
        return _READY in program.output and program.output.endswith("\n")

    await program.start()
    try:
        await program.wait_ready(listens)
        urls = program.output.partition(_READY)[2].split()
        async with aiohttp.ClientSession(raise_for_status=True) as session:
            yield [StandIn(url=url, session=session) for url in urls]
    finally:
        await program.stop()


async def _serve(wanted: list[Wanted]) -> None:
    """Run the servers until the process is asked to end."""
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
