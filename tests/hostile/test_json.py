"""Tests with any JSON and with slightly changed responses at every endpoint."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from functools import partial
import json
import re
from typing import Any, Final

from aiohttp import ClientSession, web
from aiohttp.test_utils import RawTestServer
from homeassistant.core import Event, HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
from hypothesis import HealthCheck, given, settings, strategies as st
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from yarl import URL

from custom_components.gaze.api import GazeClient, GazeError, GenerateOptions
from custom_components.gaze.const import DOMAIN, EVENT_GAZE
from custom_components.gaze.generation import async_generate

from ..conftest import SetUp
from .server import picture

JOB_ID: Final = "783f0268-ba85-4426-8ca2-6393c844c887"
KEY: Final = "a-key"

GOOD: Final[dict[str, Any]] = {
    "presets": {
        "presets": [
            {"preset_id": "neon-city", "slug": "neon_city", "name": "Neon city", "has_cover": True}
        ]
    },
    "generate": {"jobs": [{"job_id": JOB_ID, "status": "queued"}]},
    "job": {
        "id": JOB_ID,
        "label": "Preset: Neon city \N{EN DASH} preview",
        "status": "done",
        "error": None,
        "result": {
            "image_url": "/static/uploads/gen_1.png",
            "relative_path": "gen_1.png",
            "seed": 2**64 - 1,
        },
    },
}

numbers = st.integers() | st.integers(2**53, 2**70) | st.floats() | st.just(-0.0)
words = st.text(st.characters(exclude_categories=[])) | st.sampled_from(
    ["", "../..", "neon_city", "\ud800", "\0", "<b>", "{{ 1 }}", "x" * 5000, "done", "/a.png"]
)
scalars = st.none() | st.booleans() | numbers | words
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)


def places(value: Any, way: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return the paths to all values in a value, including itself."""
    inside: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        inside = list(value.items())
    elif isinstance(value, list):
        inside = list(enumerate(value))
    return [way, *(place for key, item in inside for place in places(item, (*way, key)))]


def changed(value: Any, way: tuple[str | int, ...], change: Callable[[Any], Any]) -> Any:
    """Return a value with a change at a path."""
    if not way:
        return change(value)
    copy: Any = value.copy()
    item = changed(copy[way[0]], way[1:], change)
    if item is REMOVED:
        del copy[way[0]]
    else:
        copy[way[0]] = item
    return copy


REMOVED: Final = object()


def _instead(other: Any, _item: Any) -> Any:
    """Replace an item."""
    return other


@st.composite
def nearly(draw: st.DrawFn, endpoint: str) -> bytes:
    """Return the bytes of a correct response with a few changes."""
    value = GOOD[endpoint]
    for _ in range(draw(st.integers(1, 3))):
        way = draw(st.sampled_from(places(value)))
        changes: list[Callable[[Any], Any]] = [
            partial(_instead, draw(anything)),
            lambda item: [item],
            lambda item: {"inside": item},
            lambda item: [item, item],
            str,
            lambda item: {**item, "more": item} if isinstance(item, dict) else item,
        ]
        if way:
            changes.append(partial(_instead, REMOVED))
        value = changed(value, way, draw(st.sampled_from(changes)))
    text = json.dumps(value)
    if draw(st.booleans()) and isinstance(value, dict):  # each key twice
        text = text[:-1] + (", " if value else "") + text[1:]
    return text.encode()


bodies = anything.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=60)


class Script:
    """A GAZE server with scripted responses, and correct ones otherwise."""

    def __init__(self) -> None:
        """Send correct responses at first."""
        self.said: dict[str, bytes] = {}
        self.url = ""
        self._jobs = 0

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Respond to a request."""
        endpoint = next((name for name in GOOD if f"/{name}" in request.path), None)
        if endpoint is None:
            assert KEY not in str(request.headers)
            return web.Response(body=picture(), content_type="image/png")
        assert KEY not in request.path_qs
        body = self.said.get(endpoint)
        if body is None:
            answer = dict(GOOD[endpoint])
            if endpoint == "job":
                answer["id"] = request.path.rpartition("/")[2]
            if endpoint == "generate":
                self._jobs += 1
                answer = {"jobs": [{"job_id": f"job-{self._jobs}"}]}
            body = json.dumps(answer).encode()
        elif endpoint == "job":
            body = body.replace(JOB_ID.encode(), request.path.rpartition("/")[2].encode())
        return web.Response(body=body, content_type="application/json")


@pytest.fixture
async def script(socket_enabled: None) -> AsyncGenerator[Script]:
    script = Script()
    async with RawTestServer(script.handle) as server:
        script.url = str(server.make_url("")).rstrip("/")
        yield script


@pytest.fixture
async def client(script: Script) -> AsyncGenerator[GazeClient]:
    async with ClientSession() as session:
        yield GazeClient(session, URL(script.url), KEY)


shared = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@settings(shared, max_examples=150)
@given(endpoint=st.sampled_from(list(GOOD)), data=st.data())
async def test_client_returns_model_or_raises_documented_error(
    script: Script, client: GazeClient, endpoint: str, data: st.DataObject
) -> None:
    script.said = {endpoint: data.draw(bodies | nearly(endpoint))}

    with suppress(GazeError):
        match endpoint:
            case "presets":
                for preset in await client.list_presets():
                    assert re.fullmatch(r"[A-Za-z0-9_-]+", preset.slug)
                    assert isinstance(preset.name, str)
            case "generate":
                job_ids = await client.generate("neon_city", GenerateOptions())
                assert len(set(job_ids)) == len(job_ids) > 0
            case _:
                report = await client.get_job(JOB_ID)
                assert report.id == JOB_ID
                if report.result is not None and report.result.image_url is not None:
                    await client.get_image(report.result.image_url)


@pytest.fixture
async def entry(script: Script, setup_integration: SetUp) -> MockConfigEntry:
    entry = MockConfigEntry(
        domain=DOMAIN,
        title="GAZE",
        data={"host": script.url, "api_key": KEY, "verify_ssl": True},
        options={"keep_images": 5},
    )
    await setup_integration(entry)
    return entry


@pytest.mark.usefixtures("faultless")
@settings(shared, max_examples=25)
@given(body=bodies | nearly("presets"))
async def test_entry_has_last_good_presets(
    hass: HomeAssistant, script: Script, entry: MockConfigEntry, body: bytes
) -> None:
    coordinator = entry.runtime_data
    before = coordinator.data

    script.said = {"presets": body}
    await coordinator.async_refresh()
    await hass.async_block_till_done()

    if not coordinator.last_update_success:
        assert coordinator.data is before
    script.said = {}
    await coordinator.async_refresh()
    await hass.async_block_till_done()
    assert coordinator.last_update_success
    assert list(coordinator.data) == ["neon_city"]


@pytest.mark.usefixtures("faultless")
@settings(shared, max_examples=40)
@given(endpoint=st.sampled_from(["generate", "job"]), data=st.data())
async def test_accepted_job_ends_once(
    hass: HomeAssistant,
    script: Script,
    entry: MockConfigEntry,
    endpoint: str,
    data: st.DataObject,
) -> None:
    coordinator = entry.runtime_data
    told: list[tuple[str, str]] = []

    @callback
    def note(event: Event[dict[str, Any]]) -> None:
        told.append((event.data["job_id"], event.data["type"]))

    stop = hass.bus.async_listen(EVENT_GAZE, note)
    script.said = {endpoint: data.draw(bodies | nearly(endpoint))}

    jobs = []
    with suppress(HomeAssistantError):
        jobs = await async_generate(coordinator, "neon_city", {})
    job_ids = [job.job_id for job in jobs]
    wait = asyncio.ensure_future(coordinator.engine.async_wait(job_ids))
    await asyncio.wait([wait], timeout=100)
    script.said = {}
    await wait
    await hass.async_block_till_done()
    stop()

    assert all(not coordinator.engine.job(job_id).open for job_id in job_ids)
    for kinds in ({"queued"}, {"finished", "failed"}):
        assert Counter(job for job, kind in told if kind in kinds) == Counter(job_ids)
