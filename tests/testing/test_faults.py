"""The fake GAZE server misbehaves as its faults say."""

import asyncio
from http import HTTPStatus
import io
import json
from typing import Any
from urllib.parse import quote

from aiohttp import ClientPayloadError, ClientSession, ClientTimeout
from PIL import Image
import pytest

from testing.faults import Fault, Faults
from testing.gaze_server import DemoPreset, GazeServer
from testing.misbehavior import MEBIBYTE, Endpoint, Stage, Target

from .requests import GENERATE, PRESETS, ask, fetch, finished_image, queue, status_of

pytestmark = pytest.mark.usefixtures("socket_enabled")


def test_each_fault_does_what_it_describes() -> None:
    for fault in Fault:
        behavior = fault.behavior
        assert behavior.summary
        if behavior.stage is Stage.QUEUE:
            assert behavior.act is None
            assert behavior.send is None
        else:
            assert (behavior.act is None) != (behavior.send is None)
            assert behavior.endpoints


@pytest.mark.parametrize(
    ("endpoints", "value", "on_job", "on_presets"),
    [
        ((), True, 503, 503),
        ((), 429, 429, 429),
        (("job",), True, 503, None),
        (("presets",), 500, None, 500),
        (("job", "presets"), 429, 429, 429),
    ],
)
def test_fault_has_endpoints_and_value(
    endpoints: tuple[str, ...], value: Any, on_job: int | None, on_presets: int | None
) -> None:
    faults = Faults()

    faults.on(Fault.BUSY, *endpoints, value=value)

    assert faults.use(Fault.BUSY, Target(endpoint=Endpoint.JOB)) == on_job
    assert faults.use(Fault.BUSY, Target(endpoint=Endpoint.PRESETS)) == on_presets


def test_fault_without_endpoints_uses_default_endpoints() -> None:
    faults = Faults()
    faults.on(Fault.GARBAGE_JSON)

    concerned = [
        endpoint
        for endpoint in Endpoint
        if faults.find(Fault.GARBAGE_JSON, Target(endpoint=endpoint))
    ]

    assert concerned == [Endpoint.PRESETS, Endpoint.GENERATE, Endpoint.JOB]


def test_fault_that_never_applies_is_rejected() -> None:
    faults = Faults()

    with pytest.raises(ValueError, match="no endpoint jobs"):
        faults.on(Fault.GARBAGE_JSON, "jobs")
    with pytest.raises(ValueError, match="takes no endpoints"):
        faults.on(Fault.FAIL_EVERY, "job")
    with pytest.raises(ValueError, match="no request about that"):
        faults.on(Fault.EMPTY_LIST, job="1")
    with pytest.raises(ValueError, match="no request about that"):
        faults.on(Fault.SERVER_ERROR, "job", image="1")
    with pytest.raises(ValueError, match="no request about that"):
        faults.on(Fault.FAIL_EVERY, job="1")
    with pytest.raises(ValueError, match="no fault garbage"):
        faults.set_from_text("garbage")
    with pytest.raises(ValueError, match="mixes"):
        faults.set_from_text("busy=job,429")
    with pytest.raises(ValueError, match="no limit user"):
        faults.set_from_text("busy user=1")
    with pytest.raises(AttributeError):
        setattr(faults, "busy", True)  # noqa: B010 - what the type checker refuses
    assert not faults.active


@pytest.mark.parametrize(
    ("text", "active"),
    [
        ("busy", [(None, 503)]),
        ("busy=429", [(None, 429)]),
        ("busy=job,presets", [("presets", 503), ("job", 503)]),
        ("busy=job:429,generate", [("generate", 503), ("job", 429)]),
        ("busy=off", []),
        ("latency=0.5", [(None, 0.5)]),
        ("unknown_status=paused", [(None, "paused")]),
        ("redirect=http://127.0.0.1:1/", [(None, "http://127.0.0.1:1/")]),
    ],
)
def test_command_line_enables_faults(text: str, active: list[tuple[str | None, Any]]) -> None:
    faults = Faults()
    faults.on(Fault.BUSY, "image")
    faults.off(Fault.BUSY)

    faults.set_from_text(text)

    assert active == [
        (None if one.endpoints == one.fault.behavior.endpoints else min(one.endpoints), one.value)
        for one in faults.active
    ]


def test_command_line_limits_faults() -> None:
    faults = Faults()

    faults.set_from_text("busy=job:429 job=7 preset=neon_city times=3 seconds=60")

    (active,) = faults.active
    assert active.endpoints == frozenset({Endpoint.JOB})
    assert active.value == 429
    assert (active.job, active.preset, active.times) == ("7", "neon_city", 3)
    assert active.until is not None


async def test_fault_applies_to_one_job_and_its_image(
    server: GazeServer, client: ClientSession
) -> None:
    addresses = [await finished_image(server, client) for _ in range(2)]
    bad, good = (job.job_id for job in server.jobs)
    server.faults.on(Fault.PROXY_PAGE, job=bad)

    jobs = [(await client.get(f"/api/v1/job/{job_id}")).status for job_id in (bad, good)]
    images = [(await client.get(address)).status for address in addresses]

    assert jobs == [502, 200]
    assert images == [502, 200]


async def test_fault_applies_to_one_image(server: GazeServer, client: ClientSession) -> None:
    addresses = [await finished_image(server, client) for _ in range(2)]
    bad = server.jobs[0].job_id
    server.faults.on(Fault.IMAGE_DELETED, image=bad)

    statuses = [(await client.get(address)).status for address in addresses]

    assert statuses == [404, 200]
    assert await status_of(client, bad) == "done"


async def test_fault_applies_to_one_preset_with_jobs_and_images(
    server: GazeServer, client: ClientSession
) -> None:
    address = await finished_image(server, client)
    (other,) = await queue(client, "/api/v1/generate/neon_city")
    server.faults.on(Fault.SERVER_ERROR, preset="oilpainting")

    generates = [
        (await client.post(path)).status for path in (GENERATE, "/api/v1/generate/neon_city")
    ]

    assert generates == [500, 202]
    assert await status_of(client, server.jobs[0].job_id) == "500"
    assert await status_of(client, other) == "pending"
    assert (await client.get(address)).status == HTTPStatus.INTERNAL_SERVER_ERROR
    assert (await ask(client, PRESETS))[0] == HTTPStatus.INTERNAL_SERVER_ERROR


async def test_fault_changes_fields_of_one_preset(
    server: GazeServer, client: ClientSession
) -> None:
    server.faults.on(Fault.SET_FIELDS, "presets", preset="neon_city", value={"name": None})

    _, listed = await ask(client, PRESETS)

    names = {preset["slug"]: preset["name"] for preset in listed["presets"]}
    assert [slug for slug, name in names.items() if name is None] == ["neon_city"]


async def test_fault_changes_fields_of_one_job(server: GazeServer, client: ClientSession) -> None:
    for _ in range(2):
        await finished_image(server, client)
    odd, plain = (job.job_id for job in server.jobs)
    server.faults.on(Fault.SET_FIELDS, job=odd, value={"seed": 2.5**80, "error": {"code": 1}})

    _, job = await ask(client, f"/api/v1/job/{odd}")

    assert (job["result"]["seed"], job["error"]) == (2.5**80, {"code": 1})
    assert (await ask(client, f"/api/v1/job/{plain}"))[1]["error"] is None


async def test_newer_fault_replaces_fault_of_same_scope(
    server: GazeServer, client: ClientSession
) -> None:
    (job_id, _) = await queue(client, count=2)
    server.faults.on(Fault.SERVER_ERROR)
    server.faults.on(Fault.SERVER_ERROR, value=501)
    server.faults.on(Fault.SERVER_ERROR, job=job_id, value=502)

    assert await status_of(client, job_id) == "502"
    assert await status_of(client, server.jobs[1].job_id) == "501"
    assert len(server.faults.active) == 2


async def test_fault_ends_after_its_duration(server: GazeServer, client: ClientSession) -> None:
    server.faults.on(Fault.BUSY, "presets", seconds=60)

    await asyncio.sleep(59)
    inside, _ = await ask(client, PRESETS)
    await asyncio.sleep(2)
    outside, _ = await ask(client, PRESETS)

    assert (inside, outside) == (503, 200)


@pytest.mark.parametrize("status", [401, 403, 404, 502])
async def test_proxy_responds_with_page(
    server: GazeServer, client: ClientSession, status: int
) -> None:
    server.faults.on(Fault.PROXY_PAGE, value=status)

    async with client.post(GENERATE) as response:
        page = await response.text()

    assert (response.status, response.content_type) == (status, "text/html")
    assert f"<h1>{status} " in page
    assert not server.jobs


async def test_proxy_times_out_after_request_is_executed(
    server: GazeServer, client: ClientSession
) -> None:
    server.faults.on(Fault.PROXY_TIMEOUT, "generate")

    async with client.post(GENERATE) as response:
        assert (response.status, response.content_type) == (504, "text/html")

    assert len(server.jobs) == 1


async def test_request_is_executed_late(server: GazeServer, client: ClientSession) -> None:
    server.faults.on(Fault.DELAY, "generate", value=3600)

    sent = asyncio.create_task(queue(client))
    while not server.requests["generate"]:
        await ask(client, PRESETS)
    await ask(client, PRESETS)

    assert not server.jobs
    sent.cancel()


async def test_preset_list_is_empty(server: GazeServer, client: ClientSession) -> None:
    server.faults.on(Fault.EMPTY_LIST, times=1)

    assert (await ask(client, PRESETS))[1] == {"presets": []}
    assert len((await ask(client, PRESETS))[1]["presets"]) == 5


async def test_image_address_is_any_text(server: GazeServer, client: ClientSession) -> None:
    address = await finished_image(server, client)
    server.faults.on(Fault.IMAGE_ADDRESS, value="https://gaze.local:443{path}#end")

    _, job = await ask(client, f"/api/v1/job/{server.jobs[0].job_id}")

    assert job["result"]["image_url"] == f"https://gaze.local:443{address}#end"


@pytest.mark.parametrize(
    ("kind", "content_type", "start"),
    [
        ("gif", "image/gif", b"GIF8"),
        ("avif", "image/avif", b"\0\0\0\x20ftypavif"),
        ("bmp", "image/bmp", b"BM"),
        ("tiff", "image/tiff", b"II"),
        ("heic", "image/heic", b"\0\0\0\x14ftypheic"),
        ("mp4", "video/mp4", b"\0\0\0\x14ftypisom"),
        ("jpeg", "image/jpeg", b"\xff\xd8\xff"),
        ("webp", "image/webp", b"RIFF"),
        ("webm", "video/webm", b"\x1aE\xdf\xa3"),
        ("unknown", "application/octet-stream", b"GAZE9000"),
    ],
)
async def test_image_has_other_format(
    server: GazeServer, client: ClientSession, kind: str, content_type: str, start: bytes
) -> None:
    address = await finished_image(server, client)
    server.faults.on(Fault.IMAGE_KIND, image=server.jobs[0].job_id, value=kind)

    response, data = await fetch(client, address)

    assert response.content_type == content_type
    assert data.startswith(start)


async def test_file_name_is_unusual(server: GazeServer, client: ClientSession) -> None:
    server.faults.on(Fault.FILE_NAME, preset="oilpainting", value="a #1? 50%2F ü.png")

    addresses = [await finished_image(server, client) for _ in range(2)]
    _, job = await ask(client, f"/api/v1/job/{server.jobs[0].job_id}")
    _, data = await fetch(client, quote(addresses[0]))

    folder = "/static/uploads/presets/oilpainting"
    assert addresses == [f"{folder}/a #1? 50%2F ü.png", f"{folder}/a #1? 50%2F ü 2.png"]
    assert job["result"]["image_url"] == addresses[0]
    assert data == server.picture(server.jobs[0].job_id)


async def test_request_queues_more_jobs_than_requested(
    server: GazeServer, client: ClientSession
) -> None:
    server.faults.on(Fault.EXTRA_JOBS, times=1)

    assert len(await queue(client)) == 2
    assert len(await queue(client)) == 1


async def test_fault_ends_after_its_count(server: GazeServer, client: ClientSession) -> None:
    server.faults.on(Fault.SERVER_ERROR, "presets", times=2)

    statuses = [(await ask(client, path))[0] for path in (PRESETS, "/api/v1/job/x", *[PRESETS] * 2)]

    assert statuses == [500, 404, 500, 200]


async def test_first_fault_rejects_request_and_second_is_not_counted(
    server: GazeServer, client: ClientSession
) -> None:
    server.faults.on(Fault.SERVER_ERROR, "presets", times=1)
    server.faults.on(Fault.BUSY, "presets", times=1)

    statuses = [(await ask(client, PRESETS))[0] for _ in range(3)]

    assert statuses == [503, 500, 200]


async def test_fault_ends_with_its_block(server: GazeServer, client: ClientSession) -> None:
    with server.faults.on(Fault.BUSY, "presets", value=429):
        inside, _ = await ask(client, PRESETS)
    outside, _ = await ask(client, PRESETS)

    assert (inside, outside) == (429, 200)


async def test_simultaneous_faults_all_apply(server: GazeServer, client: ClientSession) -> None:
    server.faults.on(Fault.SERVER_ERROR)
    server.faults.on(Fault.HTML_ERRORS)

    async with client.get(PRESETS) as response:
        page = await response.text()

    assert response.status == HTTPStatus.INTERNAL_SERVER_ERROR
    assert response.content_type == "text/html"
    assert "<h1>Internal Server Error</h1>" in page


async def test_all_faults_can_be_disabled(server: GazeServer, client: ClientSession) -> None:
    for fault in Fault:
        server.faults.on(fault)

    server.faults.clear()

    assert not server.faults.active
    assert (await ask(client, PRESETS))[0] == HTTPStatus.OK


async def test_errors_have_no_reason(server: GazeServer, client: ClientSession) -> None:
    server.faults.on(Fault.NO_REASON)

    assert await ask(client, "/api/v1/job/nobody") == (HTTPStatus.NOT_FOUND, {})


async def test_key_is_rejected_except_for_images(server: GazeServer, client: ClientSession) -> None:
    address = await finished_image(server, client)
    server.faults.on(Fault.KEY_REGENERATED)

    async with client.get(address) as response:
        assert response.status == HTTPStatus.OK
    assert (await ask(client, PRESETS))[0] == HTTPStatus.FORBIDDEN


@pytest.mark.parametrize(("preset", "other_status"), [(None, 404), ("oilpainting", 202)])
async def test_preset_is_missing_between_listing_and_generating(
    server: GazeServer, client: ClientSession, preset: str | None, other_status: int
) -> None:
    server.faults.on(Fault.PRESET_VANISHES, preset=preset)

    _, listed = await ask(client, PRESETS)
    async with client.post(GENERATE) as named, client.post("/api/v1/generate/neon_city") as other:
        pass

    assert "oilpainting" in [preset["slug"] for preset in listed["presets"]]
    assert (named.status, other.status) == (HTTPStatus.NOT_FOUND, other_status)


async def test_busy_server_queues_nothing_and_sends_retry_after(
    server: GazeServer, client: ClientSession
) -> None:
    server.faults.on(Fault.BUSY, "generate", value=429)
    server.faults.on(Fault.RETRY_AFTER, value=30)

    async with client.post(GENERATE) as response:
        pass

    assert response.status == HTTPStatus.TOO_MANY_REQUESTS
    assert response.headers["Retry-After"] == "30"
    assert server.jobs == []


async def test_redirect_has_other_address(server: GazeServer, client: ClientSession) -> None:
    server.faults.on(Fault.REDIRECT, value="http://127.0.0.1:1/elsewhere")

    async with client.get(PRESETS, allow_redirects=False) as response:
        assert response.status == HTTPStatus.FOUND
        assert response.headers["Location"] == "http://127.0.0.1:1/elsewhere"


@pytest.mark.parametrize("name", ["jobs_404", "image_deleted"])
async def test_jobs_and_images_are_unknown(
    server: GazeServer, client: ClientSession, name: str
) -> None:
    address = await finished_image(server, client)
    path = address if name == "image_deleted" else f"/api/v1/job/{server.jobs[0].job_id}"

    with server.faults.on(name):
        async with client.get(path) as hidden:
            pass
    async with client.get(path) as shown:
        pass

    assert (hidden.status, shown.status) == (HTTPStatus.NOT_FOUND, HTTPStatus.OK)


async def test_only_open_jobs_have_unknown_status(
    server: GazeServer, client: ClientSession
) -> None:
    (job_id,) = await queue(client)
    server.faults.on(Fault.UNKNOWN_STATUS, value="paused")

    pending = await status_of(client, job_id)
    await server.finish()

    assert pending == "paused"
    assert await status_of(client, job_id) == "done"


@pytest.mark.parametrize(
    ("fault", "value", "result"),
    [
        (Fault.NO_IMAGE, True, None),
        (Fault.NO_IMAGE, "image_url", {"relative_path", "seed"}),
        (Fault.NO_SEED, True, {"relative_path", "image_url"}),
        (Fault.MISSING_FIELDS, "relative_path", {"image_url", "seed"}),
    ],
)
async def test_done_job_lacks_required_fields(
    server: GazeServer, client: ClientSession, fault: Fault, value: Any, result: set[str] | None
) -> None:
    await finished_image(server, client)
    server.faults.on(fault, value=value)

    _, job = await ask(client, f"/api/v1/job/{server.jobs[0].job_id}")

    assert job["status"] == "done"
    assert (set(job["result"]) if "result" in job else None) == result


async def test_image_address_names_other_server(server: GazeServer, client: ClientSession) -> None:
    address = await finished_image(server, client)
    server.faults.on(Fault.OTHER_ORIGIN, value="http://127.0.0.1:1")

    _, job = await ask(client, f"/api/v1/job/{server.jobs[0].job_id}")

    assert job["result"]["image_url"] == f"http://127.0.0.1:1{address}"


async def test_json_has_unknown_fields(server: GazeServer, client: ClientSession) -> None:
    _, plain = await ask(client, PRESETS)
    server.faults.on(Fault.EXTRA_FIELDS)

    _, extended = await ask(client, PRESETS)

    assert set(plain) < set(extended)
    assert set(plain["presets"][0]) < set(extended["presets"][0])


async def test_json_lacks_fields(server: GazeServer, client: ClientSession) -> None:
    server.faults.on(Fault.MISSING_FIELDS)

    _, presets = await ask(client, PRESETS)
    async with client.post(GENERATE) as response:
        accepted = await response.json()
    _, job = await ask(client, f"/api/v1/job/{server.jobs[0].job_id}")

    assert set(presets["presets"][0]) == {"preset_id", "name", "has_cover"}
    assert accepted == {"jobs": [{}]}
    assert set(job) == {"id", "label", "error"}


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("list", [{"presets": [{"preset_id": "a", "slug": "a", "name": "A", "has_cover": True}]}]),
        (
            "inside",
            {"presets": [[{"preset_id": "a", "slug": "a", "name": "A", "has_cover": True}]]},
        ),
        ("numbers", {"presets": [{"preset_id": 7, "slug": 7, "name": 7, "has_cover": True}]}),
        (
            "null",
            {"presets": [{"preset_id": None, "slug": None, "name": None, "has_cover": True}]},
        ),
    ],
)
async def test_json_has_other_types(
    server: GazeServer, client: ClientSession, kind: str, answer: Any
) -> None:
    server.presets = {"a": DemoPreset("a", "A")}
    server.faults.on(Fault.WRONG_TYPES, value=kind)

    assert await ask(client, PRESETS) == (HTTPStatus.OK, answer)


async def test_json_is_huge(server: GazeServer, client: ClientSession) -> None:
    server.faults.on(Fault.HUGE_JSON, "presets", value=2)

    async with client.get(PRESETS) as response:
        body = await response.read()

    assert len(body) > 2 * MEBIBYTE
    assert len(json.loads(body)["presets"]) == 5


async def test_json_is_malformed(server: GazeServer, client: ClientSession) -> None:
    server.faults.on(Fault.GARBAGE_JSON, "presets")

    async with client.get(PRESETS) as response:
        assert response.status == HTTPStatus.OK
        with pytest.raises(UnicodeDecodeError):
            await response.json()


async def test_response_is_truncated(server: GazeServer, client: ClientSession) -> None:
    server.faults.on(Fault.TRUNCATED, "presets")

    async with client.get(PRESETS) as response:
        with pytest.raises(ClientPayloadError):
            await response.read()


async def test_response_never_arrives_when_job_is_queued(
    server: GazeServer, client: ClientSession
) -> None:
    server.faults.on(Fault.HANG, "generate")

    with pytest.raises(TimeoutError):
        await client.post(GENERATE, timeout=ClientTimeout(total=60))

    assert len(server.jobs) == 1


async def test_response_is_late(server: GazeServer, client: ClientSession) -> None:
    server.faults.on(Fault.LATENCY, "presets", value=60)
    started = asyncio.get_running_loop().time()

    await ask(client, PRESETS)

    assert asyncio.get_running_loop().time() - started >= 60


@pytest.mark.parametrize("content_type", ["image/jpeg", "text/html"])
async def test_image_has_wrong_content_type(
    server: GazeServer, client: ClientSession, content_type: str
) -> None:
    address = await finished_image(server, client)
    server.faults.on(Fault.LYING_TYPE, value=content_type)

    response, data = await fetch(client, address)

    assert response.content_type == content_type
    assert data == server.picture(server.jobs[0].job_id)


async def test_other_content_has_image_type(server: GazeServer, client: ClientSession) -> None:
    address = await finished_image(server, client)

    with server.faults.on(Fault.NOT_AN_IMAGE):
        page_type, page = await fetch(client, address)
    with server.faults.on(Fault.EMPTY_IMAGE):
        empty_type, empty = await fetch(client, address)

    assert page_type.content_type == empty_type.content_type == "image/png"
    assert page.startswith(b"<!doctype html>")
    assert empty == b""


async def test_tiny_image_declares_huge_size(server: GazeServer, client: ClientSession) -> None:
    address = await finished_image(server, client)
    server.faults.on(Fault.BOMB_IMAGE)

    _, data = await fetch(client, address)

    assert len(data) < 200
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(data))


@pytest.mark.parametrize("path", [None, PRESETS])
async def test_small_response_decompresses_to_large_one(
    server: GazeServer, client: ClientSession, path: str | None
) -> None:
    path = path or await finished_image(server, client)
    plain_type, plain = await fetch(client, path)
    server.faults.on(Fault.ZIP_BOMB, "image", "presets", value=3)

    response, data = await fetch(client, path)

    assert response.headers["Content-Encoding"] == "gzip"
    assert int(response.headers["Content-Length"]) < len(plain) + 100_000
    assert response.content_type == plain_type.content_type
    assert data.startswith(plain)
    assert len(data) == len(plain) + 3 * MEBIBYTE


async def test_image_is_endless(server: GazeServer, client: ClientSession) -> None:
    address = await finished_image(server, client)
    server.faults.on(Fault.OVERSIZED_IMAGE)

    response, data = await fetch(client, address)

    assert response.content_length is None
    assert data.startswith(server.picture(server.jobs[0].job_id))
    assert len(data) > 64 * MEBIBYTE


async def test_client_can_abort_endless_image(
    server: GazeServer, client: ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    address = await finished_image(server, client)
    server.faults.on(Fault.OVERSIZED_IMAGE)

    async with client.get(address) as response:
        await response.content.readexactly(MEBIBYTE)
    server.faults.clear()

    assert (await ask(client, PRESETS))[0] == HTTPStatus.OK
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_finished_jobs_are_pruned_when_next_starts(
    server: GazeServer, client: ClientSession
) -> None:
    server.faults.on(Fault.PRUNE_AT_ONCE)
    first, second = await queue(client, count=2)

    await server.finish()
    before = await status_of(client, first)
    server.begin()

    assert before == "done"
    assert await status_of(client, first) == "404"
    assert await status_of(client, second) == "processing"


async def test_images_share_file(server: GazeServer, client: ClientSession) -> None:
    server.faults.on(Fault.SAME_FILE_NAME)
    await queue(client, count=2)

    jobs = [server.job(await server.finish()) for _ in range(2)]
    _, data = await fetch(client, str(jobs[0].image_url))

    assert jobs[0].image_url == jobs[1].image_url
    assert data == server.picture(jobs[1].job_id) != server.picture(jobs[0].job_id)


async def test_every_nth_job_fails(server: GazeServer, client: ClientSession) -> None:
    server.faults.on(Fault.FAIL_EVERY, value=3)
    await queue(client, count=6)

    for _ in range(6):
        await server.finish()

    assert [job.status for job in server.jobs] == ["done", "done", "failed"] * 2


async def test_seeds_exceed_integers_of_javascript(
    server: GazeServer, client: ClientSession
) -> None:
    server.faults.on(Fault.SEED_BEYOND)

    await queue(client, count=20)

    assert all(2**64 - 1000 <= job.seed < 2**64 for job in server.jobs)
