"""Tests that the fake GAZE server follows the REST guide."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
import io
import json
from pathlib import Path
import signal
import sys
from typing import Any

from aiohttp import ClientConnectionError, ClientConnectorError, ClientSession
from freezegun.api import FrozenDateTimeFactory
from PIL import Image
import pytest

from testing.faults import Fault
from testing.gaze_server import DemoPreset, GazeServer, JobRecord, JobStatus, main

from .requests import GENERATE, KEY, PRESETS, ask, finished_image, queue, status_of

SMALL: dict[str, Any] = {"width": 64, "height": 96}

pytestmark = pytest.mark.usefixtures("socket_enabled")


async def test_presets_are_listed_with_slugs(server: GazeServer, client: ClientSession) -> None:
    server.presets = {
        preset.slug: preset
        for preset in (DemoPreset("oil-painting.v2", "Öl & Leinwand", has_cover=False),)
    }

    status, answer = await ask(client, PRESETS)

    assert status == HTTPStatus.OK
    assert answer == {
        "presets": [
            {
                "preset_id": "oil-painting.v2",
                "slug": "oilpaintingv2",
                "name": "Öl & Leinwand",
                "has_cover": False,
            }
        ]
    }


async def test_default_presets_have_unusual_names(server: GazeServer) -> None:
    presets = list(server.presets.values())

    assert len(presets) == 5
    assert any(preset.preset_id != preset.slug for preset in presets)
    assert any(not preset.name.isascii() for preset in presets)


@pytest.mark.parametrize(
    ("headers", "query", "status"),
    [
        ({}, "", 401),
        ({"X-API-Key": ""}, "", 401),
        ({"X-API-Key": "wrong"}, "", 403),
        ({}, "?api_key=wrong", 403),
        ({"X-API-Key": "demo-key"}, "", 200),
        ({}, "?api_key=demo-key", 200),
    ],
)
@pytest.mark.parametrize("path", [PRESETS, "/api/v1/job/1", GENERATE])
async def test_api_requires_key(
    server: GazeServer, headers: dict[str, str], query: str, status: int, path: str
) -> None:
    method = "POST" if path == GENERATE else "GET"

    async with (
        ClientSession(server.url, headers=headers) as stranger,
        stranger.request(method, path + query) as response,
    ):
        answer = await response.json()

    if status == HTTPStatus.OK:
        expected = {PRESETS: HTTPStatus.OK, GENERATE: HTTPStatus.ACCEPTED}
        assert response.status == expected.get(path, HTTPStatus.NOT_FOUND)
    else:
        assert response.status == status
        assert list(answer) == ["error"]


async def test_regenerated_key_replaces_old_one(server: GazeServer, client: ClientSession) -> None:
    key = server.regenerate_key()

    refused, _ = await ask(client, PRESETS)
    async with client.get(PRESETS, headers={"X-API-Key": key}) as response:
        accepted = response.status

    assert (refused, accepted) == (HTTPStatus.FORBIDDEN, HTTPStatus.OK)
    assert server.api_key == key != "demo-key"


async def test_job_passes_documented_states(server: GazeServer, client: ClientSession) -> None:
    async with client.post(GENERATE, json={}) as response:
        accepted = await response.json()
    job_id = accepted["jobs"][0]["job_id"]
    pending = await ask(client, f"/api/v1/job/{job_id}")
    server.begin()
    processing = await status_of(client, job_id)
    await server.finish()
    _, done = await ask(client, f"/api/v1/job/{job_id}")

    assert response.status == HTTPStatus.ACCEPTED
    assert accepted == {"jobs": [{"job_id": job_id, "status": "queued"}]}
    assert pending == (
        HTTPStatus.OK,
        {
            "id": job_id,
            "label": "Preset: Oil painting \N{EN DASH} preview",
            "status": "pending",
            "error": None,
        },
    )
    assert processing == "processing"
    job = server.job(job_id)
    assert job.started_at is not None
    second = done["result"]["image_url"].removeprefix("/static/uploads/presets/oilpainting/gen_")
    assert done == {
        "id": job_id,
        "label": "Preset: Oil painting \N{EN DASH} preview",
        "status": "done",
        "error": None,
        "result": {
            "image_url": f"/static/uploads/presets/oilpainting/gen_{second}",
            "relative_path": f"presets/oilpainting/gen_{second}",
            "seed": job.seed,
        },
    }
    assert second.removesuffix(".png").isdigit()


async def test_failed_job_has_reason(server: GazeServer, client: ClientSession) -> None:
    (job_id,) = await queue(client)

    server.fail(error="ComfyUI: no such checkpoint")

    _, job = await ask(client, f"/api/v1/job/{job_id}")
    assert (job["status"], job["error"]) == ("failed", "ComfyUI: no such checkpoint")
    assert "result" not in job


@pytest.mark.parametrize(
    "body",
    [
        {"count": 0},
        {"count": 21},
        {"count": "3"},
        {"count": 1.5},
        {"seed": -1},
        {"seed": 2**64},
        {"seed": "7"},
        {"width": 64},
        {"height": 64},
        {"width": "64", "height": 64},
        [],
        "text",
    ],
)
async def test_invalid_parameters_are_rejected(
    server: GazeServer, client: ClientSession, body: Any
) -> None:
    async with client.post(GENERATE, json=body) as response:
        answer = await response.json()

    assert response.status == HTTPStatus.BAD_REQUEST
    assert list(answer) == ["error"]
    assert server.jobs == []


async def test_body_without_json_is_rejected(server: GazeServer, client: ClientSession) -> None:
    async with client.post(GENERATE, data=b"{count: 1}") as response:
        assert response.status == HTTPStatus.BAD_REQUEST

    assert server.jobs == []


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ({}, 1),
        ({"count": 20}, 20),
        ({"count": True}, 1),
        ({"count": None, "seed": None, "width": None, "height": None}, 1),
        ({"seed": 2**64 - 1}, 1),
        ({"width": 1001, "height": 7}, 1),
        ({"checkpoint": "a/b.safetensors", "something": "else"}, 1),
    ],
)
async def test_lenient_parameters_are_accepted(
    server: GazeServer, client: ClientSession, body: dict[str, Any], count: int
) -> None:
    job_ids = await queue(client, **body)

    assert len(job_ids) == count
    assert [job.job_id for job in server.jobs] == job_ids
    assert server.jobs[0].body == body


async def test_request_without_body_generates_one_image(
    server: GazeServer, client: ClientSession
) -> None:
    async with client.post(GENERATE) as response:
        assert response.status == HTTPStatus.ACCEPTED

    assert len(server.jobs) == 1


@pytest.mark.parametrize("path", ["/api/v1/job/nobody", "/api/v1/generate/nobody"])
async def test_unknown_preset_and_job_are_not_found(client: ClientSession, path: str) -> None:
    method = "GET" if "job" in path else "POST"

    async with client.request(method, path) as response:
        answer = await response.json()

    assert response.status == HTTPStatus.NOT_FOUND
    assert list(answer) == ["error"]


@pytest.mark.parametrize(
    "path", ["/nowhere", "/static/uploads/presets/oilpainting/gen_1.png", "/api/v2/presets"]
)
async def test_other_addresses_return_html_page(
    server: GazeServer, client: ClientSession, path: str
) -> None:
    async with client.get(path) as response:
        page = await response.text()

    assert response.status == HTTPStatus.NOT_FOUND
    assert response.content_type == "text/html"
    assert "<h1>Not Found</h1>" in page
    assert server.requests["image" if "static" in path else "other"] == 1


async def test_path_cannot_leave_image_folder(client: ClientSession) -> None:
    async with client.get("/static/uploads/presets/..%2F..%2Fgen_1.png") as response:
        assert response.status == HTTPStatus.NOT_FOUND


async def test_random_seeds_differ_and_fixed_seed_is_shared(
    server: GazeServer, client: ClientSession
) -> None:
    await queue(client, count=3)
    await queue(client, count=3, seed=2**64 - 1)

    seeds = [job.seed for job in server.jobs]
    assert len(set(seeds[:3])) == 3
    assert seeds[3:] == [2**64 - 1] * 3


async def test_seed_is_returned_exactly(server: GazeServer, client: ClientSession) -> None:
    (job_id,) = await queue(client, seed=2**64 - 1)

    await server.finish()

    _, job = await ask(client, f"/api/v1/job/{job_id}")
    assert job["result"]["seed"] == 2**64 - 1


@pytest.mark.parametrize(
    ("width", "height"), [(1001, 1000), (8, 64), (64, 0), (16392, 64), (-64, 64), (True, 64)]
)
async def test_invalid_size_fails_during_processing(
    server: GazeServer, client: ClientSession, width: int, height: int
) -> None:
    (job_id,) = await queue(client, width=width, height=height)

    await server.finish()

    _, job = await ask(client, f"/api/v1/job/{job_id}")
    assert job["status"] == "failed"
    assert "EmptyLatentImage" in job["error"]


async def test_huge_size_fails_without_drawing(server: GazeServer, client: ClientSession) -> None:
    (job_id,) = await queue(client, width=16384, height=16384)

    await server.finish()

    _, job = await ask(client, f"/api/v1/job/{job_id}")
    assert job["status"] == "failed"
    assert "out of memory" in job["error"]


async def test_image_requires_no_key_and_has_requested_size(
    server: GazeServer, client: ClientSession
) -> None:
    (job_id,) = await queue(client, **SMALL, seed=7, extra_positive="smiling fox")
    await server.finish()
    address = server.job(job_id).image_url

    async with ClientSession(server.url) as stranger, stranger.get(str(address)) as response:
        data = await response.read()

    assert response.status == HTTPStatus.OK
    assert response.content_type == "image/png"
    assert "ETag" in response.headers
    assert "Last-Modified" in response.headers
    assert data == server.picture(job_id)
    image = Image.open(io.BytesIO(data))
    assert image.size == (64, 96)
    assert "smiling fox" in image.info["prompt"]
    assert json.loads(image.info["prompt"])["3"]["inputs"]["seed"] == 7
    assert json.loads(image.info["workflow"])["nodes"]


async def test_unchanged_image_gets_304(server: GazeServer, client: ClientSession) -> None:
    address = await finished_image(server, client)
    async with client.get(address) as first:
        etag = first.headers["ETag"]

    async with client.get(address, headers={"If-None-Match": etag}) as second:
        assert second.status == HTTPStatus.NOT_MODIFIED


async def test_equal_requests_draw_equal_images(server: GazeServer, client: ClientSession) -> None:
    wish: dict[str, Any] = {**SMALL, "seed": 7, "extra_positive": "a", "extra_negative": "b"}
    changes: tuple[dict[str, Any], ...] = (
        {},
        {},
        {"seed": 8},
        {"extra_positive": "c"},
        {"extra_negative": "d"},
        {"checkpoint": "e"},
        {"width": 72},
    )

    for change in changes:
        await queue(client, **wish | change)
        await server.finish()

    first, same, *others = [server.picture(job.job_id) for job in server.jobs]
    assert first == same
    pixels = {Image.open(io.BytesIO(data)).tobytes() for data in (first, *others)}
    assert len(pixels) == 1 + len(others)


async def test_image_of_usual_size_has_realistic_file_size() -> None:
    async with GazeServer(duration=None) as server:
        server.add_foreign_jobs(1)
        job_id = await server.finish()

    data = server.picture(job_id)

    assert Image.open(io.BytesIO(data)).size == (768, 1152)
    assert 300_000 < len(data) < 1_500_000


async def test_jobs_of_web_ui_are_queued_before_later_jobs(
    server: GazeServer, client: ClientSession
) -> None:
    foreign = server.add_foreign_jobs(2)
    (own,) = await queue(client)

    order = [await server.finish() for _ in range(3)]

    assert order == [*foreign, own]
    assert [job.foreign for job in server.jobs] == [True, True, False]
    assert await status_of(client, foreign[0]) == "done"


async def test_named_job_can_overtake(server: GazeServer, client: ClientSession) -> None:
    first, second = await queue(client, count=2)

    await server.finish(second)

    assert await status_of(client, first) == "pending"
    assert await status_of(client, second) == "done"


async def test_finish_fails_when_no_job_is_open(server: GazeServer) -> None:
    with pytest.raises(LookupError, match="No open job"):
        await server.finish()
    with pytest.raises(LookupError, match="No open job"):
        server.begin()
    with pytest.raises(LookupError, match="No open job"):
        server.fail()


async def test_restart_loses_jobs_but_no_images(server: GazeServer, client: ClientSession) -> None:
    done, processing, pending = await queue(client, count=3)
    await server.finish()
    server.begin()

    server.restart()

    assert [await status_of(client, job_id) for job_id in (done, processing, pending)] == [
        "404",
        "404",
        "404",
    ]
    async with client.get(str(server.job(done).image_url)) as response:
        assert response.status == HTTPStatus.OK
    with pytest.raises(LookupError):
        await server.finish()


async def test_clearing_queue_leaves_current_job(server: GazeServer, client: ClientSession) -> None:
    done, processing, pending = await queue(client, count=3)
    await server.finish()
    server.begin()

    server.clear_queue()

    statuses = [await status_of(client, job_id) for job_id in (done, processing, pending)]
    assert statuses == ["done", "processing", "404"]


async def test_pruning_removes_finished_jobs(server: GazeServer, client: ClientSession) -> None:
    first, second, failed, pending = await queue(client, count=4)
    await server.finish()
    await server.finish()
    server.fail()

    server.prune(second)
    after_one = [await status_of(client, job) for job in (first, second, failed, pending)]
    server.prune()
    after_all = [await status_of(client, job) for job in (first, second, failed, pending)]

    assert after_one == ["done", "404", "failed", "pending"]
    assert after_all == ["404", "404", "404", "pending"]


async def test_job_is_done_when_image_is_deleted(server: GazeServer, client: ClientSession) -> None:
    address = await finished_image(server, client)
    job_id = server.jobs[0].job_id

    server.delete_image(job_id)

    async with client.get(address) as response:
        assert response.status == HTTPStatus.NOT_FOUND
    assert await status_of(client, job_id) == "done"


async def test_images_of_same_second_have_separate_files(
    server: GazeServer, client: ClientSession, freezer: FrozenDateTimeFactory
) -> None:
    freezer.move_to("2026-11-22 12:00:00+00:00")

    await queue(client, count=3)
    job_ids = [await server.finish() for _ in range(3)]

    assert len({server.job(job_id).image_url for job_id in job_ids}) == 3
    assert server.job(job_ids[0]).image_url == (
        "/static/uploads/presets/oilpainting/gen_1795348800.png"
    )
    assert server.job(job_ids[0]).finished_at == 1795348800


def files_below(directory: Path) -> list[Path]:
    """Return the files of a directory and those below it."""
    return [path for path in directory.rglob("*") if path.is_file()]


async def test_images_are_stored_in_directory(tmp_path: Path) -> None:
    async with (
        GazeServer(duration=None, images=tmp_path, size=(64, 96)) as server,
        ClientSession(server.url, headers=KEY) as client,
    ):
        address = await finished_image(server, client)
        job_id = server.jobs[0].job_id
        async with client.get(address) as response:
            data = await response.read()
        files = files_below(tmp_path)
        server.delete_image(job_id)
        server.delete_image(job_id)

    assert data == server.picture(job_id)
    assert [file.suffix for file in files] == [".png"]
    assert files_below(tmp_path) == []


async def test_jobs_without_duration_are_done_at_first_poll() -> None:
    async with (
        GazeServer(duration=0, size=(64, 96)) as server,
        ClientSession(server.url, headers=KEY) as client,
    ):
        job_ids = await queue(client, count=5)

        assert [await status_of(client, job_id) for job_id in reversed(job_ids)] == ["done"] * 5


async def seconds_until_settled(job: JobRecord) -> float:
    """Return how many seconds of the loop's time pass until a job is settled."""
    started = asyncio.get_running_loop().time()
    await job.settled.wait()
    return asyncio.get_running_loop().time() - started


async def test_worker_processes_jobs_one_at_a_time() -> None:
    async with (
        GazeServer(duration=8, jitter=0.2, seed=3, size=(64, 96)) as server,
        ClientSession(server.url, headers=KEY) as client,
    ):
        await queue(client, count=2)
        first, second = server.jobs
        took = [await seconds_until_settled(first), await seconds_until_settled(second)]

    assert first.seconds is not None
    assert second.seconds is not None
    assert 6.4 <= first.seconds <= 9.6
    assert first.seconds != second.seconds
    assert took == pytest.approx([first.seconds, second.seconds], abs=0.1)


async def test_foreign_jobs_take_their_duration() -> None:
    async with GazeServer(duration=30, jitter=0) as server:
        (job_id,) = server.add_foreign_jobs(1, duration=5)

        took = await seconds_until_settled(server.job(job_id))

    assert server.job(job_id).status is JobStatus.DONE
    assert took == pytest.approx(5, abs=0.1)


async def test_new_checkpoint_takes_longer_once() -> None:
    async with (
        GazeServer(duration=8, jitter=0, checkpoint_load=3, size=(64, 96)) as server,
        ClientSession(server.url, headers=KEY) as client,
    ):
        await queue(client)
        await queue(client, count=2, checkpoint="other.safetensors")
        took = [await seconds_until_settled(job) for job in server.jobs]

    assert took == pytest.approx([8, 11, 8], abs=0.1)


async def test_current_job_can_be_finished_early() -> None:
    async with GazeServer(duration=30, jitter=0, size=(64, 96)) as server:
        early, late = server.add_foreign_jobs(2)
        await asyncio.sleep(0)
        assert server.job(early).status is JobStatus.PROCESSING

        await server.finish()
        await asyncio.sleep(0)

    assert server.job(early).status is JobStatus.DONE
    assert server.job(late).status is JobStatus.PROCESSING


@pytest.mark.parametrize("drop", [GazeServer.restart, GazeServer.fail])
async def test_worker_starts_next_job_when_current_one_is_dropped(
    drop: Callable[[GazeServer], object],
) -> None:
    async with GazeServer(duration=30, jitter=0) as server:
        (first,) = server.add_foreign_jobs(1, duration=0.01)
        (dropped,) = server.add_foreign_jobs(1)
        await server.job(first).settled.wait()
        assert server.job(dropped).status is JobStatus.PROCESSING

        drop(server)
        (job_id,) = server.add_foreign_jobs(1, duration=0.01)
        await server.job(job_id).settled.wait()

    assert server.job(dropped).status is not JobStatus.DONE
    assert server.job(job_id).status is JobStatus.DONE


async def test_offline_server_returns_with_same_port_and_queue(
    server: GazeServer, client: ClientSession
) -> None:
    (job_id,) = await queue(client)
    address = server.url

    server.set_online(False)
    with pytest.raises(ClientConnectionError):
        await ask(client, PRESETS)
    server.set_online(True)

    assert server.url == address
    assert await status_of(client, job_id) == "pending"


async def test_open_requests_fail_when_server_goes_offline(
    server: GazeServer, client: ClientSession
) -> None:
    server.faults.on(Fault.HANG, "presets")
    asked = asyncio.create_task(ask(client, PRESETS))
    await ask(client, "/api/v1/job/nobody")
    assert server.requests["presets"] == 1

    server.set_online(False)

    with pytest.raises(ClientConnectionError):
        await asked


async def test_online_and_offline_can_alternate_quickly(
    server: GazeServer, client: ClientSession
) -> None:
    for online in (False, True, False, True, True, False):
        server.set_online(online)
    await asyncio.sleep(0)
    with pytest.raises(ClientConnectorError):
        await ask(client, PRESETS)

    server.set_online(True)

    assert (await ask(client, PRESETS))[0] == HTTPStatus.OK


async def test_stopped_server_leaves_no_task() -> None:
    before = asyncio.all_tasks()
    server = GazeServer(duration=30)
    await server.start()
    server.add_foreign_jobs(1)
    server.faults.on(Fault.HANG, "presets")
    async with ClientSession(server.url, headers=KEY) as client:
        asked = asyncio.create_task(ask(client, PRESETS))
        await ask(client, "/api/v1/job/nobody")
        assert server.requests["presets"] == 1

        await server.stop()
        with pytest.raises(ClientConnectionError):
            await asked

    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


async def test_stopped_server_restarts_with_same_state() -> None:
    server = GazeServer(duration=None)
    await server.start()
    port = server.port
    await server.stop()

    await server.start(port=port)
    async with ClientSession(server.url, headers=KEY) as client:
        status, _ = await ask(client, PRESETS)
    await server.stop()
    await server.stop()

    assert status == HTTPStatus.OK
    assert server.port == port


async def test_requests_are_counted_and_logged(server: GazeServer, client: ClientSession) -> None:
    address = await finished_image(server, client)
    await ask(client, f"{PRESETS}?limit=3")
    await ask(client, "/api/v1/job/nobody")
    async with client.get(address, headers={"X-API-Key": "x"}), client.get("/"):
        pass

    assert server.requests == {"presets": 1, "generate": 1, "job": 1, "image": 1, "other": 1}
    assert [(entry.method, entry.path) for entry in server.log] == [
        ("POST", GENERATE),
        ("GET", f"{PRESETS}?limit=3"),
        ("GET", "/api/v1/job/nobody"),
        ("GET", address),
        ("GET", "/"),
    ]
    assert [entry.headers["X-API-Key"] for entry in server.log][2:4] == ["demo-key", "x"]
    times = [entry.time for entry in server.log]
    assert times == sorted(times)


async def test_counts_can_be_reset_without_log(server: GazeServer, client: ClientSession) -> None:
    await ask(client, PRESETS)

    server.reset_counts()

    assert not server.requests
    assert len(server.log) == 1


async def test_control_api_is_closed_by_default(client: ClientSession) -> None:
    async with client.post("/_control/restart") as posted, client.get("/_control/jobs") as got:
        pass

    assert (posted.status, got.status) == (HTTPStatus.NOT_FOUND, HTTPStatus.NOT_FOUND)


async def call(client: ClientSession, method: str, **arguments: Any) -> tuple[int, Any]:
    """Call a method over the control API. Returns the status and JSON of the response."""
    async with client.post(f"/_control/{method}", json=arguments) as response:
        return response.status, await response.json()


async def test_control_api_changes_server() -> None:
    async with (
        GazeServer(duration=None, control=True, size=(64, 96)) as server,
        ClientSession(server.url, headers=KEY) as client,
    ):
        (job_id,) = await queue(client)

        finished = await call(client, "finish")
        _, records = await ask(client, "/_control/jobs")
        _, counts = await ask(client, "/_control/requests")
        added = await call(client, "put_preset", preset_id="new-one", name="New one")
        await call(client, "remove_preset", slug="neon_city")
        await call(client, "set_fault", text="busy=presets:429")
        busy, _ = await ask(client, PRESETS)
        await call(client, "clear_faults")
        fault = {"fault": "server_error", "endpoints": ["job"], "job": job_id, "value": 501}
        await call(client, "turn_fault_on", **fault)
        failing = await status_of(client, job_id)
        await call(client, "turn_fault_off", fault="server_error")
        _, presets = await ask(client, PRESETS)
        wrong = [
            (await call(client, "finish"))[0],
            (await call(client, "restart", now=True))[0],
            (await call(client, "set_fault", text="nonsense"))[0],
            (await call(client, "explode"))[0],
        ]

    assert finished == (HTTPStatus.OK, {"result": job_id})
    assert records["jobs"][0]["job_id"] == job_id
    assert records["jobs"][0]["finished_at"] == server.job(job_id).finished_at
    assert counts == {"generate": 1}
    assert added == (HTTPStatus.OK, {"result": "newone"})
    assert busy == HTTPStatus.TOO_MANY_REQUESTS
    assert failing == "501"
    slugs = [preset["slug"] for preset in presets["presets"]]
    assert slugs[-1] == "newone"
    assert "neon_city" not in slugs
    assert wrong == [400, 400, 400, 404]


async def answers(client: ClientSession) -> bool:
    """Return whether a server responds."""
    try:
        return (await ask(client, PRESETS))[0] == HTTPStatus.OK
    except ClientConnectionError:
        return False


async def test_control_api_turns_server_off_temporarily() -> None:
    async with (
        GazeServer(duration=None, control=True) as server,
        ClientSession(server.url, headers=KEY) as client,
        asyncio.timeout(120),
    ):
        told = await call(client, "go_off", seconds=60)

        while await answers(client):
            await asyncio.sleep(1)
        while not await answers(client):
            await asyncio.sleep(1)

    assert told == (HTTPStatus.OK, {"result": None})


async def run(*options: str) -> tuple[asyncio.subprocess.Process, str]:
    """Run the program. Returns its process and the printed address."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "testing.gaze_server", "--port", "0", *options),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    return process, line.removeprefix("GAZE stand-in listening on ").strip()


@pytest.mark.processes
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_program_serves_until_terminated(number: signal.Signals) -> None:
    process, address = await run("--presets", "40", "--api-key", "k", "--fault", "busy=job:429")
    async with ClientSession(address, headers={"X-API-Key": "k"}) as client:
        _, presets = await ask(client, PRESETS)
        busy, _ = await ask(client, "/api/v1/job/1")

        process.send_signal(number)
        code = await process.wait()

    assert len({preset["name"] for preset in presets["presets"]}) == 40
    assert busy == HTTPStatus.TOO_MANY_REQUESTS
    assert code == 0


@pytest.mark.processes
async def test_program_reports_used_port(server: GazeServer) -> None:
    process, address = await run("--port", str(server.port))

    assert await process.wait() == 1
    assert address == ""


@pytest.mark.parametrize("arguments", [["--fault", "help"], ["--help"]])
def test_program_lists_faults(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    try:
        main(arguments)
    except SystemExit as end:
        assert end.code == 0  # noqa: PT017 - --help ends the program, --fault help returns

    printed = capsys.readouterr().out
    assert all(f"\n  {fault} " in printed for fault in Fault)


def test_program_rejects_unknown_fault(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--fault", "nonsense"])

    assert end.value.code == 2
    assert "There is no fault nonsense" in capsys.readouterr().err
