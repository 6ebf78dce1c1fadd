"""Every fault of the fake GAZE server, through the whole integration."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.gaze.coordinator import GazeCoordinator
from testing.clocks import Watch
from testing.faults import Fault
from testing.gaze_server import GazeServer

from ..common import PRESET, act
from ..conftest import SetUp
from .conftest import start_watching

IMAGE: Final = "image.gaze_latest_image"


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """What people see while a fault is on.

    refused: the error of the action generate, by its key and part of its text; else the job
    ends with `status`, `reason` and `error`. waits: it ends only after the fault is off again.
    unlisted: the presets cannot be listed.
    """

    setting: Any = True
    refused: tuple[str, str] | None = None
    status: str = "done"
    reason: str | None = None
    error: str | None = None
    waits: bool = False
    unlisted: bool = False
    fields: Mapping[str, Any] | None = None

    def turn_on(self, server: GazeServer, fault: Fault) -> None:
        """Turn the fault on at the endpoints of `setting`, or with it as the value."""
        match self.setting:
            case set() as endpoints:
                server.faults.on(fault, *endpoints)
            case dict() as values:
                for endpoint, value in values.items():
                    server.faults.on(fault, endpoint, value=value)
            case value:
                server.faults.on(fault, value=value)


NOT_PROMISED: Final = ("unexpected_response", "the response is not what GAZE's API specifies")
UNUSABLE_JOBS: Final[tuple[Any, ...]] = (
    [],
    {},
    None,
    "job",
    [7],
    [{"job_id": 7}],
    [{"job_id": "a/b"}],
)
NO_PICTURE: Final = "it is not a complete PNG, JPEG, or WebP image"
ELSEWHERE: Final = "the image's address is not on the server"
KINDS: Final = {"gif": "GIF", "bmp": "BMP", "tiff": "TIFF", "heic": "HEIC", "webm": "WebM"}

CASES: Final[dict[Fault, list[Case]]] = {
    Fault.HTML_ERRORS: [Case()],
    Fault.NO_REASON: [Case()],
    Fault.KEY_REGENERATED: [
        Case(refused=("auth_failed", "API key")),
        Case(setting={"job"}, waits=True),
    ],
    Fault.PRESET_VANISHES: [Case(refused=("preset_gone", "Neon city"))],
    Fault.JOBS_404: [Case(status="failed", reason="lost")],
    Fault.IMAGE_DELETED: [Case(status="failed", reason="download", error="HTTP 404 (Not Found)")],
    Fault.PROXY_PAGE: [
        Case(refused=("server_failed", "HTTP 502"), unlisted=True),
        *(Case(setting={"job": status}, waits=True) for status in (200, 302, 404)),
        Case(
            setting={"image": 403},
            status="failed",
            reason="download",
            error="HTTP 403 (Forbidden)",
        ),
    ],
    Fault.PROXY_TIMEOUT: [
        Case(refused=("server_failed", ""), unlisted=True),
        Case(setting={"job"}, waits=True),
    ],
    Fault.DELAY: [Case(setting=0.02)],
    Fault.IMAGE_ADDRESS: [
        Case(status="failed", reason="download", error=ELSEWHERE),
        *(
            Case(setting=address, status="failed", reason="download", error=ELSEWHERE)
            for address in ("//elsewhere.example{path}", "data:image/png;base64,AAAA")
        ),
        Case(setting="{path}?v=2#top"),
    ],
    Fault.SET_FIELDS: [
        Case(setting={"job": {"seed": "18446744073709551615"}}, fields={"seed": f"{2**64 - 1}"}),
        Case(setting={"job": {"seed": 2**64}}, fields={"seed": None}),
        Case(setting={"job": {"seed": 1.5}}, fields={"seed": None}),
        Case(setting={"job": {"seed": 1e20}}, fields={"seed": None}),
        Case(setting={"job": {"error": {"code": 1}}}),
        Case(setting={"job": {"status": 7}}, waits=True),
        Case(setting={"job": {"image_url": 7}}, waits=True),
        Case(setting={"job": {"result": None}}, status="failed", reason="no_image"),
        *(
            Case(setting={"generate": {"jobs": jobs}}, refused=NOT_PROMISED)
            for jobs in UNUSABLE_JOBS
        ),
    ],
    Fault.EMPTY_LIST: [Case()],
    Fault.IMAGE_KIND: [
        *(
            Case(
                setting=kind,
                status="failed",
                reason="unsupported",
                error=f"{name} files are not supported",
            )
            for kind, name in KINDS.items()
        ),
        *(Case(setting=kind) for kind in ("jpeg", "webp")),
    ],
    Fault.FILE_NAME: [
        Case(),
        *(Case(setting=name) for name in ("a%2Fb.png", "100%.png", "?.png", "\u202efdp.png")),
    ],
    Fault.EXTRA_JOBS: [Case(), Case(setting=5)],
    Fault.BUSY: [
        Case(refused=("server_busy", "Too busy, try again later"), unlisted=True),
        Case(setting={"job": 429, "image": 503}, waits=True),
    ],
    Fault.RETRY_AFTER: [Case()],
    Fault.SERVER_ERROR: [
        Case(refused=("server_failed", "Internal generation error"), unlisted=True),
        Case(setting={"job"}, waits=True),
        Case(
            setting={"image"}, status="failed", reason="download", error="Internal generation error"
        ),
    ],
    Fault.REDIRECT: [
        Case(refused=("unexpected_response", "redirects to another"), unlisted=True),
        Case(setting={"job"}, waits=True),
        Case(
            setting={"image"},
            status="failed",
            reason="download",
            error="the server redirects to another address, which is not supported",
        ),
    ],
    Fault.LATENCY: [Case(setting=0.02)],
    Fault.HANG: [
        Case(refused=("connection_failed", "did not respond in time"), unlisted=True),
        Case(setting={"job"}, waits=True),
        Case(setting={"image"}, waits=True),
    ],
    Fault.TRUNCATED: [
        Case(refused=("unexpected_response", "the response is incomplete"), unlisted=True),
        Case(setting={"job"}, waits=True),
        Case(
            setting={"image"},
            status="failed",
            reason="download",
            error="the response is incomplete",
        ),
    ],
    Fault.UNKNOWN_STATUS: [Case()],
    Fault.NO_IMAGE: [
        Case(status="failed", reason="no_image"),
        Case(setting="image_url", status="failed", reason="no_image"),
    ],
    Fault.NO_SEED: [Case(fields={"seed": None})],
    Fault.OTHER_ORIGIN: [
        Case(status="failed", reason="download", error="the image's address is not on the server")
    ],
    Fault.EXTRA_FIELDS: [Case()],
    Fault.MISSING_FIELDS: [
        Case(refused=NOT_PROMISED, unlisted=True),
        Case(setting={"job": "status"}, waits=True),
    ],
    Fault.WRONG_TYPES: [
        Case(refused=NOT_PROMISED, unlisted=True),
        *(
            Case(setting={"job": kind}, waits=True)
            for kind in ("list", "inside", "numbers", "null", "text")
        ),
    ],
    Fault.HUGE_JSON: [
        Case(refused=("unexpected_response", "far longer"), unlisted=True),
        Case(setting={"job": 5}, waits=True),
    ],
    Fault.GARBAGE_JSON: [
        Case(refused=NOT_PROMISED, unlisted=True),
        Case(setting={"job"}, waits=True),
    ],
    Fault.LYING_TYPE: [Case(), Case(setting="text/html")],
    Fault.NOT_AN_IMAGE: [Case(status="failed", reason="download", error=NO_PICTURE)],
    Fault.EMPTY_IMAGE: [Case(status="failed", reason="download", error=NO_PICTURE)],
    Fault.BOMB_IMAGE: [Case(status="failed", reason="download", error="it has too many pixels")],
    Fault.ZIP_BOMB: [
        Case(status="failed", reason="download", error="the image is larger than 64 MiB")
    ],
    Fault.OVERSIZED_IMAGE: [
        Case(status="failed", reason="download", error="the image is larger than 64 MiB")
    ],
    Fault.PRUNE_AT_ONCE: [Case()],
    Fault.SAME_FILE_NAME: [Case()],
    Fault.FAIL_EVERY: [
        Case(setting=1, status="failed", reason="server", error="ComfyUI: Connection refused")
    ],
    Fault.SEED_BEYOND: [Case()],
}


def test_table_has_each_fault() -> None:
    assert CASES.keys() == set(Fault)


async def ends_within(call: asyncio.Task[Any], seconds: float) -> bool:
    """Return whether a call ends within a time."""
    await asyncio.wait([call], timeout=seconds)
    return call.done()


async def see(
    hass: HomeAssistant,
    server: GazeServer,
    coordinator: GazeCoordinator,
    case: Case,
) -> None:
    """Generate an image, and see to it that people see what the case says."""
    image_before = state(hass, IMAGE)
    call = hass.async_create_task(act(hass, "generate", preset=PRESET))
    assert await ends_within(call, 93)
    if case.refused is not None:
        key, text = case.refused
        error = call.exception()
        assert isinstance(error, HomeAssistantError)
        assert error.translation_key == key
        assert text in f"{error} {error.__cause__}"
        return
    job_id = call.result()["jobs"][0]["job_id"]
    assert state(hass, "sensor.gaze_open_jobs") != "0"
    await server.finish(job_id)
    wait = hass.async_create_task(coordinator.engine.async_wait([job_id]))
    if case.waits:
        assert not await ends_within(wait, 155)
        server.faults.clear()
        await coordinator.async_refresh()  # a key that is taken lets the jobs go on
    assert await ends_within(wait, 1860)
    job = next(one for one in (await act(hass, "list_jobs"))["jobs"] if one["job_id"] == job_id)
    told = (job["status"], job["reason"], job["error"])
    assert told == (case.status, case.reason, case.error)
    assert (case.fields or {}).items() <= job.items()
    assert (state(hass, IMAGE) != image_before) is (case.status == "done")


def state(hass: HomeAssistant, entity_id: str) -> str:
    """Return the state of an entity."""
    found = hass.states.get(entity_id)
    assert found is not None
    return found.state


@pytest.mark.usefixtures("faultless")
@pytest.mark.parametrize("fault", [fault for fault, cases in CASES.items() if cases])
async def test_fault_has_one_visible_effect_and_passes(
    hass: HomeAssistant,
    server: GazeServer,
    config_entry: MockConfigEntry,
    setup_integration: SetUp,
    watch: Watch,
    told: list[tuple[str, str]],
    fault: Fault,
) -> None:
    await setup_integration(config_entry)
    await start_watching(watch)
    coordinator = config_entry.runtime_data
    presets = dict(coordinator.data)

    for case in CASES[fault]:
        case.turn_on(server, fault)
        refresh = hass.async_create_task(coordinator.async_refresh())
        assert await ends_within(refresh, 93)
        assert coordinator.data == presets
        assert coordinator.last_update_success is not case.unlisted
        await see(hass, server, coordinator, case)
        assert not hass.config_entries.flow.async_progress()

        server.faults.clear()
        for record in server.jobs:
            if record.is_open:
                await server.finish(record.job_id)
        await coordinator.async_refresh()
        assert coordinator.last_update_success

    await see(hass, server, coordinator, Case())

    ours = {job.job_id for job in coordinator.engine.jobs}
    assert Counter(job_id for job_id, kind in told if kind == "queued") == Counter(ours)
    ends = Counter(job_id for job_id, kind in told if kind in {"finished", "failed"})
    assert ends == Counter(ours)
    for request in server.log:
        with_key = [name for name, value in request.headers.items() if server.api_key in value]
        assert with_key == (["X-API-Key"] if request.path.startswith("/api/v1/") else [])
        assert server.api_key not in request.path
    if fault in {Fault.ZIP_BOMB, Fault.IMAGE_KIND}:
        # The stand-in packs it in this very loop; server.py sends such from another process.
        await start_watching(watch)
