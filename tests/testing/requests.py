"""Requests to a fake GAZE server, as its clients send them."""

from http import HTTPStatus
from typing import Any, Final

from aiohttp import ClientResponse, ClientSession

from testing.gaze_server import GazeServer

KEY: Final = {"X-API-Key": "demo-key"}
PRESETS: Final = "/api/v1/presets"
GENERATE: Final = "/api/v1/generate/oilpainting"


async def ask(client: ClientSession, path: str) -> tuple[int, Any]:
    """Return the status and JSON of a response."""
    async with client.get(path) as response:
        return response.status, await response.json()


async def queue(client: ClientSession, path: str = GENERATE, **body: Any) -> list[str]:
    """Queue images. Returns the IDs of their jobs."""
    async with client.post(path, json=body) as response:
        assert response.status == HTTPStatus.ACCEPTED
        answer = await response.json()
    return [job["job_id"] for job in answer["jobs"]]


async def status_of(client: ClientSession, job_id: str) -> str:
    """Return the status of a job, or the status of the response if it is not 200."""
    status, job = await ask(client, f"/api/v1/job/{job_id}")
    return str(job["status"] if status == HTTPStatus.OK else status)


async def finished_image(server: GazeServer, client: ClientSession) -> str:
    """Generate an image. Returns its address."""
    await queue(client)
    job_id = await server.finish()
    address = server.job(job_id).image_url
    assert address is not None
    return address


async def fetch(client: ClientSession, address: str) -> tuple[ClientResponse, bytes]:
    """Return a response and its body."""
    async with client.get(address) as response:
        return response, await response.read()
