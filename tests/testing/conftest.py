"""Fixtures for tests of the fake GAZE server."""

from collections.abc import AsyncIterator

from aiohttp import ClientSession
import pytest

from testing.gaze_server import GazeServer

from .requests import KEY


@pytest.fixture
async def server() -> AsyncIterator[GazeServer]:
    """Return a server whose jobs move by hand."""
    async with GazeServer(duration=None, seed=1, size=(64, 96)) as running:
        yield running


@pytest.fixture
async def client(server: GazeServer) -> AsyncIterator[ClientSession]:
    """Return a client of that server that has the key."""
    async with ClientSession(server.url, headers=KEY) as session:
        yield session
