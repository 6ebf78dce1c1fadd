"""Tests of the REST client with the fake server and with servers that are not GAZE."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
import logging
from typing import Any
import zlib

from aiohttp import (
    ClientHandlerType,
    ClientRequest,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    web,
)
from aiohttp.test_utils import RawTestServer
from freezegun.api import FrozenDateTimeFactory
from hypothesis import given, strategies as st
import pytest
from yarl import URL

from custom_components.gaze.api import (
    GazeAuthError,
    GazeBusyError,
    GazeClient,
    GazeConnectionError,
    GazeError,
    GazeImageError,
    GazeImageRefusedError,
    GazeNotFoundError,
    GazeRequestError,
    GazeResponseError,
    GazeServerError,
    GazeSslError,
    GazeTimeoutError,
    GenerateOptions,
    Preset,
)
from custom_components.gaze.api.address import parse_host, resolve_image_urls
from custom_components.gaze.api.client import (
    MAX_IMAGE_BYTES,
    MAX_REASON_LENGTH,
    MAX_RESPONSE_BYTES,
    MAX_RESPONSE_VALUES,
    format_one_line,
)
from custom_components.gaze.api.models import MAX_JOBS, MAX_PRESETS
from testing.faults import Fault
from testing.gaze_server import DemoPreset, GazeServer

JOB_ID = "783f0268-ba85-4426-8ca2-6393c844c887"
MEBIBYTE = 2**20


class Script:
    """A server that responds to every request in the same way, and stores the requests."""

    def __init__(self) -> None:
        """Respond with an empty list of presets at first."""
        self.answer: Callable[[], web.Response] = lambda: web.json_response({"presets": []})
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.url = URL()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Respond to a request."""
        self.paths.append(request.path_qs)
        self.headers.append(dict(request.headers))
        return self.answer()


@pytest.fixture
async def session(
    socket_enabled: None,
) -> AsyncGenerator[ClientSession]:
    async with ClientSession() as session:
        yield session


@pytest.fixture
def client(session: ClientSession, server: GazeServer) -> GazeClient:
    return GazeClient(session, URL(server.url), server.api_key)


@pytest.fixture
async def script(
    socket_enabled: None,
) -> AsyncGenerator[Script]:
    script = Script()
    async with RawTestServer(script.handle) as server:
        script.url = server.make_url("")
        yield script


@pytest.fixture
def scripted(session: ClientSession, script: Script) -> GazeClient:
    return GazeClient(session, script.url, "demo-key")


async def finished_image(server: GazeServer, client: GazeClient) -> tuple[str, str]:
    """Return the ID of a new finished job and the address of its image."""
    [job_id] = await client.generate("neon_city", GenerateOptions())
    await server.finish()
    report = await client.get_job(job_id)
    assert report.result is not None
    assert report.result.image_url is not None
    return job_id, report.result.image_url


async def call_presets(client: GazeClient, _job_id: str = JOB_ID) -> object:
    return await client.list_presets()


async def call_generate(client: GazeClient, _job_id: str = JOB_ID) -> object:
    return await client.generate("neon_city", GenerateOptions())


async def call_job(client: GazeClient, job_id: str = JOB_ID) -> object:
    return await client.get_job(job_id)


async def call_image(client: GazeClient) -> object:
    return await client.get_image("/static/uploads/presets/neon_city/gen_1.png")


type Call = Callable[..., Awaitable[object]]

every_call = pytest.mark.parametrize("call", [call_presets, call_generate, call_job, call_image])
every_api_call = pytest.mark.parametrize("call", [call_presets, call_generate, call_job])


async def test_presets_are_listed_in_order_of_server(
    server: GazeServer, client: GazeClient
) -> None:
    server.presets = {"b": DemoPreset("b", "Zürich"), "a": DemoPreset("a", "Aachen")}

    presets = await client.list_presets()

    assert presets == [Preset(slug="b", name="Zürich"), Preset(slug="a", name="Aachen")]


async def test_presets_with_unusable_slug_are_skipped(
    server: GazeServer, client: GazeClient
) -> None:
    preset = DemoPreset("a", "A")
    server.presets = {"a": preset, "a/b": preset, "../job": preset, "": preset}

    presets = await client.list_presets()

    assert presets == [Preset(slug="a", name="A")]


async def test_unknown_fields_are_ignored(server: GazeServer, client: GazeClient) -> None:
    server.faults.on(Fault.EXTRA_FIELDS)

    job_id, _ = await finished_image(server, client)

    assert (await client.get_job(job_id)).status == "done"
    assert len(await client.list_presets()) == len(server.presets)


async def test_key_is_sent_only_as_header_of_api_requests(
    server: GazeServer, client: GazeClient
) -> None:
    _, image_url = await finished_image(server, client)
    await client.list_presets()
    await client.get_image(image_url)

    sent = {request.path: request.headers for request in server.log}
    assert [server.api_key in str(headers) for headers in sent.values()].count(False) == 1
    assert server.api_key not in str(sent.pop(image_url))
    assert len(sent) == 3
    for path, headers in sent.items():
        assert server.api_key not in path
        assert [name for name, value in headers.items() if server.api_key in value] == ["X-API-Key"]


async def test_generate_sends_all_fields_and_returns_job_ids(
    server: GazeServer, client: GazeClient
) -> None:
    options = GenerateOptions(
        count=3,
        checkpoint="Illustrious/model.safetensors",
        extra_positive="smiling, “outdoors”",
        extra_negative="blurry",
        seed=927640517599332,
        width=768,
        height=1152,
    )

    job_ids = await client.generate("neon_city", options)

    assert job_ids == [job.job_id for job in server.jobs]
    assert len(job_ids) == 3
    assert server.jobs[0].preset.slug == "neon_city"
    assert server.jobs[0].body == options.as_body()


@pytest.mark.parametrize("status", [200, 201, 202, 203])
async def test_response_counts_with_each_successful_status(
    script: Script, scripted: GazeClient, status: int
) -> None:
    jobs = [{"job_id": "job-1", "status": "queued"}]
    script.answer = lambda: web.json_response({"jobs": jobs}, status=status)

    assert await scripted.generate("neon_city", GenerateOptions()) == ["job-1"]


async def test_largest_seed_is_returned_exactly(server: GazeServer, client: GazeClient) -> None:
    [job_id] = await client.generate("neon_city", GenerateOptions(seed=2**64 - 1))
    await server.finish()

    report = await client.get_job(job_id)

    assert server.jobs[0].seed == 2**64 - 1
    assert report.result is not None
    assert report.result.seed == 2**64 - 1


async def test_job_status_changes_from_queued_to_done(
    server: GazeServer, client: GazeClient
) -> None:
    [job_id] = await client.generate("neon_city", GenerateOptions())
    waiting = await client.get_job(job_id)
    server.begin()
    working = await client.get_job(job_id)
    await server.finish()
    done = await client.get_job(job_id)

    assert [waiting.status, working.status, done.status] == ["pending", "processing", "done"]
    assert (waiting.result, working.result) == (None, None)
    assert done.result is not None
    assert done.result.image_url == server.jobs[0].image_url


async def test_failed_job_has_error(server: GazeServer, client: GazeClient) -> None:
    [job_id] = await client.generate("neon_city", GenerateOptions())
    server.fail(error="ComfyUI: out of memory")

    report = await client.get_job(job_id)

    assert (report.status, report.error) == ("failed", "ComfyUI: out of memory")


async def test_unknown_status_is_returned(server: GazeServer, client: GazeClient) -> None:
    server.faults.on(Fault.UNKNOWN_STATUS, value="rendering")
    [job_id] = await client.generate("neon_city", GenerateOptions())

    report = await client.get_job(job_id)

    assert report.status == "rendering"


async def test_image_is_downloaded_exactly(server: GazeServer, client: GazeClient) -> None:
    job_id, image_url = await finished_image(server, client)

    assert await client.get_image(image_url) == server.picture(job_id)


async def test_unknown_job_raises_not_found(client: GazeClient) -> None:
    with pytest.raises(GazeNotFoundError, match="Job not found"):
        await client.get_job(JOB_ID)


@pytest.mark.parametrize("job_id", ["", "..", "../presets", "a/b", "a?b", "a" * 65, "ä"])
async def test_impossible_job_id_is_not_requested(
    server: GazeServer, client: GazeClient, job_id: str
) -> None:
    with pytest.raises(GazeNotFoundError):
        await client.get_job(job_id)

    assert not server.log


async def test_response_about_other_job_is_rejected(script: Script, scripted: GazeClient) -> None:
    script.answer = lambda: web.json_response({"id": "another", "status": "done"})

    with pytest.raises(GazeResponseError):
        await scripted.get_job(JOB_ID)


async def test_unknown_preset_raises_not_found(client: GazeClient) -> None:
    with pytest.raises(GazeNotFoundError, match="Preset not found"):
        await client.generate("no_such_preset", GenerateOptions())


async def test_rejected_request_has_reason_of_server(
    client: GazeClient,
) -> None:
    with pytest.raises(GazeRequestError, match="count must be between 1 and 20"):
        await client.generate("neon_city", GenerateOptions(count=21))


@every_api_call
@pytest.mark.parametrize(("key", "reason"), [("", "Missing API key"), ("old", "Invalid API key")])
async def test_wrong_key_raises_auth_error(
    session: ClientSession, server: GazeServer, call: Call, key: str, reason: str
) -> None:
    client = GazeClient(session, URL(server.url), key)

    with pytest.raises(GazeAuthError, match=reason):
        await call(client)


async def test_deleted_image_raises_not_found(server: GazeServer, client: GazeClient) -> None:
    job_id, image_url = await finished_image(server, client)
    server.delete_image(job_id)

    with pytest.raises(GazeNotFoundError, match=r"^HTTP 404 \(Not Found\)$"):
        await client.get_image(image_url)


GENERAL_ERRORS = [
    (204, GazeServerError),
    (304, GazeResponseError),
    (405, GazeServerError),
    (429, GazeBusyError),
    (500, GazeServerError),
    (502, GazeServerError),
    (503, GazeBusyError),
    (599, GazeServerError),
]


@every_api_call
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, GazeRequestError),
        (401, GazeAuthError),
        (403, GazeAuthError),
        (404, GazeNotFoundError),
        *GENERAL_ERRORS,
    ],
)
async def test_each_api_status_raises_its_error(
    script: Script, scripted: GazeClient, call: Call, status: int, error: type[GazeError]
) -> None:
    script.answer = lambda: web.json_response({}, status=status)

    with pytest.raises(GazeError, match=f"^HTTP {status}|redirects") as raised:
        await call(scripted)

    assert raised.type is error


@every_api_call
@pytest.mark.parametrize("status", [401, 403, 404])
@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("<!doctype html><title>Router</title>", "text/html"),
        ("", "application/octet-stream"),
        ("404 page not found\n", "text/plain"),
        ('{"error": "Invalid API key"}', "text/html"),
        ('{"error": "Invalid', "application/json"),
        ('"Invalid API key"', "application/json"),
        ("", "application/json"),
        ('{"message": "no Route matched with those values"}', "application/json"),
        ('{"status": "KO", "code": 401}', "application/json"),
    ],
)
async def test_auth_status_without_json_is_not_from_gaze(
    script: Script, scripted: GazeClient, call: Call, status: int, body: str, content_type: str
) -> None:
    script.answer = lambda: web.Response(status=status, text=body, content_type=content_type)

    with pytest.raises(GazeResponseError, match=f"^HTTP {status} .*not from GAZE"):
        await call(scripted)


@pytest.mark.parametrize("body", ["<h1>Error</h1>", '{"error": "Invalid API key"}'])
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, GazeImageRefusedError),
        (403, GazeImageRefusedError),
        (404, GazeNotFoundError),
        (410, GazeNotFoundError),
        *GENERAL_ERRORS,
    ],
)
async def test_each_image_status_raises_image_error(
    script: Script, scripted: GazeClient, body: str, status: int, error: type[GazeError]
) -> None:
    content_type = "text/html" if body.startswith("<") else "application/json"
    script.answer = lambda: web.Response(status=status, text=body, content_type=content_type)

    with pytest.raises(GazeError) as raised:
        await call_image(scripted)

    assert raised.type is error


def test_only_refused_image_is_worth_retry() -> None:
    assert GazeImageError("too large").final
    assert not GazeImageRefusedError("HTTP 403 (Forbidden)").final


@pytest.mark.parametrize(
    ("body", "content_type", "reason"),
    [
        ('{"error": "Out of memory"}', "application/json", "Out of memory"),
        ('{"error": " Out\\n of\\u0000\\tmemory\\u2028"}', "application/json", "Out of memory"),
        ('{"error": "<b>no</b>", "code": 7}', "application/json", "<b>no</b>"),
        ("{}", "application/json", "HTTP 500 (Internal Server Error)"),
        ('{"error": ""}', "application/json", "HTTP 500 (Internal Server Error)"),
        ('{"error": " \\n"}', "application/json", "HTTP 500 (Internal Server Error)"),
        ('{"error": {"code": 7}}', "application/json", "HTTP 500 (Internal Server Error)"),
        ('["error"]', "application/json", "HTTP 500 (Internal Server Error)"),
        ('{"error": "Out of', "application/json", "HTTP 500 (Internal Server Error)"),
        ("<h1>Error</h1>", "text/html", "HTTP 500 (Internal Server Error)"),
        ('{"error": "Out of memory"}', "text/plain", "HTTP 500 (Internal Server Error)"),
    ],
)
async def test_error_has_reason_of_server_or_name_of_status(
    script: Script, scripted: GazeClient, body: str, content_type: str, reason: str
) -> None:
    script.answer = lambda: web.Response(status=500, text=body, content_type=content_type)

    with pytest.raises(GazeServerError) as raised:
        await scripted.list_presets()

    assert str(raised.value) == reason


async def test_long_reason_is_truncated(script: Script, scripted: GazeClient) -> None:
    script.answer = lambda: web.json_response({"error": "no " * MEBIBYTE}, status=400)

    with pytest.raises(GazeRequestError) as raised:
        await scripted.list_presets()

    assert str(raised.value) == ("no " * 100)[:MAX_REASON_LENGTH]


async def test_status_is_reported_when_error_body_is_too_long(
    script: Script, scripted: GazeClient
) -> None:
    script.answer = lambda: web.json_response({"error": "x" * MAX_RESPONSE_BYTES}, status=500)

    with pytest.raises(GazeServerError, match="Internal Server Error"):
        await scripted.list_presets()


async def test_truncated_auth_response_is_not_about_key(
    server: GazeServer, client: GazeClient
) -> None:
    server.faults.on(Fault.KEY_REGENERATED)
    server.faults.on(Fault.TRUNCATED)

    with pytest.raises(GazeResponseError, match="Forbidden"):
        await client.list_presets()


@every_call
async def test_html_is_never_reason(server: GazeServer, client: GazeClient, call: Call) -> None:
    server.faults.on(Fault.SERVER_ERROR)
    server.faults.on(Fault.HTML_ERRORS)

    with pytest.raises(GazeServerError, match=r"^HTTP 500 \(Internal Server Error\)$"):
        await call(client)


@given(st.text())
def test_any_text_is_cleaned_to_one_short_line(text: str) -> None:
    line = format_one_line(text)

    assert line.isprintable()
    assert len(line) <= MAX_REASON_LENGTH
    assert line == line.strip() or len(line) == MAX_REASON_LENGTH


# Each has a number that is too large for the C types of the parser.
OVERFLOWING_DATES = [
    "Mon, 01 Jan 2024 00:00:00 +99999999999999",
    "Mon, 01 Jan 2024 00:00:00 -99999999999999",
    "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
    "Mon, 99999999999999999999 Jan 2024 00:00:00 GMT",
    "Mon, 01 Jan 2024 99999999999999999999:00:00 GMT",
]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("86400", 3600.0),
        ("9" * 400, 3600.0),
        ("Sat, 01 Aug 2026 12:00:30 GMT", 30.0),
        ("Sat, 01 Aug 2026 14:00:30 +0200", 30.0),
        ("Sat, 01 Aug 2026 12:00:30 -0000", 30.0),
        ("Sat, 01 Aug 2026 11:00:00 GMT", 0.0),
        ("Sun, 02 Aug 2026 12:00:00 GMT", 3600.0),
        ("Sat, 01 Aug 2026 12:00:30 +9999", None),
        ("Sat, 01 Aug 99999 12:00:30 GMT", None),
        *((date, None) for date in OVERFLOWING_DATES),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
    ],
)
async def test_busy_error_has_retry_after(
    server: GazeServer,
    client: GazeClient,
    freezer: FrozenDateTimeFactory,
    header: str,
    seconds: float | None,
) -> None:
    freezer.move_to("2026-08-01T12:00:00Z")
    server.faults.on(Fault.BUSY)
    server.faults.on(Fault.RETRY_AFTER, value=header)

    with pytest.raises(GazeBusyError, match="Too busy, try again later") as raised:
        await client.list_presets()

    assert raised.value.retry_after == seconds


async def test_retry_after_depends_on_clock_of_server(script: Script, scripted: GazeClient) -> None:
    script.answer = lambda: web.Response(
        status=503,
        headers={
            "Date": "Sat, 01 Aug 2020 12:00:00 GMT",
            "Retry-After": "Sat, 01 Aug 2020 12:02:00 GMT",
        },
    )

    with pytest.raises(GazeBusyError) as raised:
        await scripted.list_presets()

    assert raised.value.retry_after == 120.0


@pytest.mark.parametrize("date", [*OVERFLOWING_DATES, "soon", "Sat, 01 Aug 2020 12:00:00 +9999"])
async def test_invalid_date_of_server_is_ignored(
    script: Script, scripted: GazeClient, freezer: FrozenDateTimeFactory, date: str
) -> None:
    freezer.move_to("2026-08-01T12:00:00Z")
    script.answer = lambda: web.Response(
        status=503, headers={"Date": date, "Retry-After": "Sat, 01 Aug 2026 12:00:30 GMT"}
    )

    with pytest.raises(GazeBusyError) as raised:
        await scripted.list_presets()

    assert raised.value.retry_after == 30.0


async def test_busy_error_has_no_retry_after_when_header_is_missing(
    server: GazeServer, client: GazeClient
) -> None:
    server.faults.on(Fault.BUSY)

    with pytest.raises(GazeBusyError) as raised:
        await client.list_presets()

    assert raised.value.retry_after is None


@every_api_call
@pytest.mark.parametrize(
    ("fault", "value"),
    [
        ("garbage_json", True),
        ("wrong_types", "list"),
        ("wrong_types", "inside"),
        ("wrong_types", "numbers"),
        ("wrong_types", "null"),
        ("wrong_types", "text"),
        ("missing_fields", True),
        ("huge_json", True),
        ("zip_bomb", 16),
    ],
)
async def test_unexpected_response_raises_response_error(
    server: GazeServer, client: GazeClient, call: Call, fault: str, value: Any
) -> None:
    [job_id] = await client.generate("neon_city", GenerateOptions())
    server.faults.on(fault, "presets", "generate", "job", value=value)

    with pytest.raises(GazeResponseError):
        await call(client, job_id)


@every_api_call
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"null",
        b"true",
        b"7",
        b'"presets"',
        b"[]",
        b"{}",
        b"\xff\xfe{\x00}\x00",
        b"<!doctype html><title>Router</title>",
        b'{"presets": NaN, "jobs": 1e999, "id": "\\ud83d"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 40_000 + b"NaN" + b"}" * 40_000,
        b'{"presets": [[[[]]]], "jobs": [[[[]]]], "id": {"id": {}}, "status": [[]]}',
    ],
)
async def test_any_other_body_raises_response_error(
    script: Script, scripted: GazeClient, call: Call, body: bytes
) -> None:
    script.answer = lambda: web.Response(body=body, content_type="application/json")

    with pytest.raises(GazeResponseError, match="not what GAZE's API specifies"):
        await call(scripted)


async def test_presets_beyond_limit_are_ignored(script: Script, scripted: GazeClient) -> None:
    presets = [{"slug": f"preset_{number}", "name": ""} for number in range(MAX_PRESETS + 1)]
    script.answer = lambda: web.json_response({"presets": presets})

    slugs = [preset.slug for preset in await scripted.list_presets()]

    assert slugs == [f"preset_{number}" for number in range(MAX_PRESETS)]


async def test_more_jobs_than_requested_are_all_returned(
    script: Script, scripted: GazeClient
) -> None:
    jobs = [{"job_id": f"job-{number}"} for number in range(MAX_JOBS)]
    script.answer = lambda: web.json_response({"jobs": jobs}, status=202)
    job_ids = await scripted.generate("neon_city", GenerateOptions())
    jobs.append({"job_id": "one-more"})

    assert job_ids == [f"job-{number}" for number in range(MAX_JOBS)]
    with pytest.raises(GazeResponseError, match="the response contains more than 200 jobs"):
        await scripted.generate("neon_city", GenerateOptions())


async def test_long_preset_name_is_truncated(script: Script, scripted: GazeClient) -> None:
    script.answer = lambda: web.json_response({"presets": [{"slug": "a", "name": "A" * 10_000}]})

    assert await scripted.list_presets() == [Preset(slug="a", name="A" * 1000)]


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "x" * 101},
        {"status": "done", "result": {"image_url": f"/{'x' * 4000}"}},
        {"status": "done", "deep": [[]] * (MAX_RESPONSE_VALUES + 1)},
    ],
)
async def test_response_with_too_many_values_is_rejected(
    script: Script, scripted: GazeClient, fields: dict[str, Any]
) -> None:
    script.answer = lambda: web.json_response({"id": JOB_ID, **fields})

    with pytest.raises(GazeResponseError, match="not what GAZE's API specifies"):
        await scripted.get_job(JOB_ID)


@pytest.mark.parametrize("seed", [2**64, -1, 2**53 + 2.0, 0.5, "x", True, [], {"seed": 7}])
async def test_finished_job_is_usable_when_seed_is_invalid(
    script: Script, scripted: GazeClient, seed: Any
) -> None:
    report = {"id": JOB_ID, "status": "done", "result": {"seed": seed, "image_url": "/a.png"}}
    script.answer = lambda: web.json_response(report)

    result = (await scripted.get_job(JOB_ID)).result

    assert result is not None
    assert (result.seed, result.image_url) == (None, "/a.png")


@pytest.mark.parametrize(
    ("odd", "name"),
    [
        (b"NaN", "neon_city"),
        (b"-Infinity", "neon_city"),
        (b"1e999", "neon_city"),
        (b"9" * 5000, "neon_city"),
        (rb'"\ud83d Neon \udcff"', "? Neon ?"),
    ],
)
async def test_value_that_only_python_writes_does_not_spoil_response(
    script: Script, scripted: GazeClient, odd: bytes, name: str
) -> None:
    body = b'{"presets": [{"slug": "neon_city", "name": %s}, {"slug": "b", "name": "B"}]}' % odd
    script.answer = lambda: web.Response(body=body, content_type="application/json")

    presets = await scripted.list_presets()

    assert presets == [Preset(slug="neon_city", name=name), Preset(slug="b", name="B")]


async def test_response_with_byte_order_mark_is_read(script: Script, scripted: GazeClient) -> None:
    body = b"\xef\xbb\xbf" + b'{"presets": []}'
    script.answer = lambda: web.Response(body=body, content_type="application/json")

    assert await scripted.list_presets() == []


async def test_log_of_unexpected_response_contains_no_content(
    script: Script, scripted: GazeClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    script.answer = lambda: web.json_response({"presets": "a secret of somebody"})

    with pytest.raises(GazeResponseError) as raised:
        await scripted.list_presets()

    assert "Unexpected response of 35 bytes to GET presets" in caplog.text
    assert "secret" not in caplog.text + str(raised.value)
    assert raised.value.__cause__ is None


async def test_response_is_limited_in_length(script: Script, scripted: GazeClient) -> None:
    body = b'{"presets": []}'.ljust(MAX_RESPONSE_BYTES)
    script.answer = lambda: web.Response(body=body)
    assert await scripted.list_presets() == []
    script.answer = lambda: web.Response(body=body + b" ")

    with pytest.raises(GazeResponseError, match="far longer"):
        await scripted.list_presets()


async def test_image_is_limited_in_size(script: Script, scripted: GazeClient) -> None:
    body = bytes(MAX_IMAGE_BYTES)
    script.answer = lambda: web.Response(body=body)
    assert len(await scripted.get_image("/a.png")) == MAX_IMAGE_BYTES
    script.answer = lambda: web.Response(body=body + b" ")

    with pytest.raises(GazeImageError, match="larger than 64 MiB"):
        await scripted.get_image("/a.png")


async def test_empty_image_is_returned(server: GazeServer, client: GazeClient) -> None:
    _, image_url = await finished_image(server, client)
    server.faults.on(Fault.EMPTY_IMAGE)

    assert await client.get_image(image_url) == b""


@pytest.mark.parametrize("fault", ["oversized_image", "zip_bomb"])
async def test_download_stops_when_image_exceeds_limit(
    server: GazeServer, client: GazeClient, fault: str
) -> None:
    _, image_url = await finished_image(server, client)
    server.faults.on(fault)

    with pytest.raises(GazeImageError, match="larger than 64 MiB"):
        await client.get_image(image_url)


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
@pytest.mark.parametrize(
    ("call", "error"), [(call_presets, GazeResponseError), (call_image, GazeImageError)]
)
async def test_reading_stops_when_response_exceeds_limit(
    session: ClientSession, call: Call, error: type[GazeError], encoding: str
) -> None:
    given_up = asyncio.Event()

    async def endless(request: web.BaseRequest) -> web.StreamResponse:
        packer = zlib.compressobj(wbits=31)
        parts = [bytes(MEBIBYTE)] * 2
        if encoding == "gzip":  # after a full flush, a part can stand any number of times
            parts = [packer.compress(part) + packer.flush(zlib.Z_FULL_FLUSH) for part in parts]
        response = web.StreamResponse(headers={"Content-Encoding": encoding})
        await response.prepare(request)
        await response.write(parts[0])
        try:
            while True:
                await response.write(parts[1])
                await asyncio.sleep(0)
        finally:
            given_up.set()

    async with RawTestServer(endless) as server:
        client = GazeClient(session, server.make_url(""), "demo-key")

        with pytest.raises(error):
            await call(client)

        await given_up.wait()


async def test_image_is_not_downloaded_when_declared_too_large(session: ClientSession) -> None:
    async def declare(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {MAX_IMAGE_BYTES + 1}\r\n\r\n".encode())

    async with await asyncio.start_server(declare, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        client = GazeClient(session, URL(f"http://127.0.0.1:{port}"), "demo-key")

        with pytest.raises(GazeImageError, match="larger than 64 MiB"):
            await client.get_image("/a.png")


@every_call
@pytest.mark.parametrize("greeting", [b"SSH-2.0-OpenSSH_10.0\r\n", b"\x16\x03\x01\r\n\r\n"])
async def test_server_without_http_raises_response_error(
    session: ClientSession, call: Call, greeting: bytes
) -> None:
    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        client = GazeClient(session, URL(f"http://127.0.0.1:{port}"), "demo-key")

        with pytest.raises(GazeResponseError, match="not valid HTTP"):
            await call(client)


@every_call
async def test_server_that_is_off_raises_connection_error(
    server: GazeServer, client: GazeClient, call: Call
) -> None:
    server.set_online(False)

    with pytest.raises(GazeConnectionError) as raised:
        await call(client)

    assert raised.type is GazeConnectionError


@every_api_call
async def test_truncated_response_differs_from_server_that_is_off(
    server: GazeServer, client: GazeClient, call: Call
) -> None:
    [job_id] = await client.generate("neon_city", GenerateOptions())
    server.faults.on(Fault.TRUNCATED)

    with pytest.raises(GazeResponseError, match="incomplete"):
        await call(client, job_id)


async def test_truncated_image_differs_from_server_that_is_off(
    server: GazeServer, client: GazeClient
) -> None:
    _, image_url = await finished_image(server, client)
    server.faults.on(Fault.TRUNCATED, "image")

    with pytest.raises(GazeResponseError, match="incomplete"):
        await client.get_image(image_url)


@every_call
async def test_timeout_differs_from_server_that_is_off(
    server: GazeServer, client: GazeClient, monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    for name in ("API_TIMEOUT", "IMAGE_TIMEOUT"):
        monkeypatch.setattr(f"custom_components.gaze.api.client.{name}", ClientTimeout(total=0.05))
    server.faults.on(Fault.HANG)

    with pytest.raises(GazeTimeoutError):
        await call(client)


@pytest.mark.parametrize("fault", ["hang", "truncated", "server_error", "busy"])
async def test_generate_is_never_retried(
    server: GazeServer, client: GazeClient, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    timeout = ClientTimeout(total=0.05)
    monkeypatch.setattr("custom_components.gaze.api.client.API_TIMEOUT", timeout)
    server.faults.on(fault)

    with pytest.raises(GazeError):
        await client.generate("neon_city", GenerateOptions())

    assert server.requests["generate"] == 1


async def test_untrusted_certificate_raises_ssl_error(
    session: ClientSession, self_signed_url: str
) -> None:
    client = GazeClient(session, URL(self_signed_url), "demo-key")

    with pytest.raises(GazeSslError):
        await client.list_presets()


async def test_server_without_tls_raises_ssl_error(
    session: ClientSession, server: GazeServer
) -> None:
    client = GazeClient(session, URL(server.url).with_scheme("https"), server.api_key)

    with pytest.raises(GazeSslError):
        await client.list_presets()


@every_call
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect_is_not_followed(
    session: ClientSession, server: GazeServer, script: Script, call: Call, status: int
) -> None:
    script.answer = lambda: web.Response(status=status, headers={"Location": server.url})
    client = GazeClient(session, script.url, server.api_key)

    with pytest.raises(GazeResponseError, match="redirects to another"):
        await call(client)

    assert len(script.paths) == 1
    assert not server.log


async def test_invalid_redirect_raises_response_error(
    server: GazeServer,
) -> None:
    async def look(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Read the address of a redirect, as Home Assistant's sessions do."""
        response = await handler(request)
        assert URL(response.headers["Location"])
        return response

    server.faults.on(Fault.REDIRECT, value="http://[elsewhere/")
    async with ClientSession(middlewares=[look]) as session:
        client = GazeClient(session, URL(server.url), server.api_key)

        with pytest.raises(GazeResponseError):
            await client.list_presets()


@pytest.mark.parametrize(
    "image_url",
    [
        "http://elsewhere.invalid/a.png",
        "https://{host}:{port}/a.png",
        "http://{host}:1/a.png",
        "http://{host}/a.png",
        "http://localhost:{port}/a.png",
        "http://{host}:{port}@elsewhere.invalid/a.png",
        "http://{host}:{port}\\@elsewhere.invalid/a.png",
        "//elsewhere.invalid/a.png",
        "http://[",
        "http://{host}:port/a.png",
    ],
)
async def test_image_on_other_server_is_not_requested(
    script: Script, scripted: GazeClient, image_url: str
) -> None:
    image_url = image_url.format(host=script.url.host, port=script.url.port)

    with pytest.raises(GazeImageError):
        await scripted.get_image(image_url)

    assert not script.paths


async def test_image_address_on_other_host_is_rejected(
    server: GazeServer, client: GazeClient
) -> None:
    server.faults.on(Fault.OTHER_ORIGIN)
    _, image_url = await finished_image(server, client)

    with pytest.raises(GazeImageError, match="not on the server"):
        await client.get_image(image_url)

    assert server.requests["image"] == 0


@pytest.mark.parametrize("prefix", ["", "/gaze", "/a/b", "/b%C3%BCcher"])
@pytest.mark.parametrize(
    ("image_url", "path"),
    [
        ("/static/uploads/a.png", "/static/uploads/a.png"),
        ("static/uploads/a.png", "/static/uploads/a.png"),
        ("{prefix}/static/uploads/a.png", "/static/uploads/a.png"),
        ("{server}{prefix}/static/uploads/a.png", "/static/uploads/a.png"),
        ("{server}/static/uploads/a.png", "/static/uploads/a.png"),
        ("http://ann:secret@{authority}/a.png", "/a.png"),
        ("/gaze.png", "/gaze.png"),
        ("/gen #1.png", "/gen%20%231.png"),
        ("/what?.png", "/what%3F.png"),
        ("/a%2Fb.png", "/a%252Fb.png"),
        ("/100% ü.png", "/100%25%20%C3%BC.png"),
        ("{server}/a.png?size=2&x=%26#top", "/a.png?size=2&x=%26"),
        ("{server}/100%25%20ü.png", "/100%25%20%C3%BC.png"),
        ("/a/../b.png", "/b.png"),
        ("\\\\elsewhere.invalid\\a.png", "/%5C%5Celsewhere.invalid%5Ca.png"),
    ],
)
async def test_image_address_is_resolved_below_server(
    session: ClientSession, prefix: str, image_url: str, path: str
) -> None:
    asked: list[str] = []

    async def note(request: web.BaseRequest) -> web.Response:
        asked.append(request.raw_path)
        assert "X-API-Key" not in request.headers
        assert "Authorization" not in request.headers
        return web.Response(body=b"image")

    async with RawTestServer(note) as server:
        url = server.make_url("")
        client = GazeClient(session, URL(f"{url.origin()}{prefix}"), "demo-key")
        parts = {"server": url.origin(), "authority": url.authority, "prefix": prefix}

        assert await client.get_image(image_url.format_map(parts)) == b"image"

    assert asked == [prefix + path]


@pytest.mark.parametrize(
    ("image_url", "encoded"),
    [
        ("/a%20b.png", "/a%20b.png"),
        ("a.png?v=2&x=%26#top", "/a.png?v=2&x=%26"),
        ("/gaze/a%C3%BC.png", "/a%C3%BC.png"),
    ],
)
async def test_path_is_decoded_when_file_does_not_exist(
    session: ClientSession, image_url: str, encoded: str
) -> None:
    async def serve(request: web.BaseRequest) -> web.Response:
        found = request.raw_path == f"/gaze{encoded}"
        return web.Response(body=b"image") if found else web.Response(status=404)

    async with RawTestServer(serve) as server:
        client = GazeClient(session, server.make_url("/gaze"), "demo-key")

        assert await client.get_image(image_url) == b"image"
        with pytest.raises(GazeNotFoundError):
            await client.get_image("/100%.png")


@pytest.mark.parametrize(
    ("server", "image_url", "resolved"),
    [
        ("https://host", "https://host:443/a.png", "https://host/a.png"),
        ("http://host", "http://HOST:80/a.png", "http://host/a.png"),
        ("https://host/gaze", "https://host:443/gaze/a.png", "https://host/gaze/a.png"),
    ],
)
def test_explicit_default_port_is_same_origin(server: str, image_url: str, resolved: str) -> None:
    assert resolve_image_urls(parse_host(server), image_url) == [URL(resolved)]


@pytest.mark.parametrize(
    "image_url",
    [
        "file:///etc/passwd",
        "file:/etc/passwd",
        "data:image/png;base64,AAAA",
        "ftp://host/a.png",
        "javascript:alert(1)",
        "blob:https://host/1",
        "http:/a.png",
        "https:a.png",
        "http://host:443/a.png",
        "https://host:80/a.png",
        "https://host:5782/a.png",
    ],
)
def test_other_scheme_or_port_is_rejected_without_retry(image_url: str) -> None:
    with pytest.raises(GazeImageError, match="not on the server") as raised:
        resolve_image_urls(URL("https://host"), image_url)

    assert raised.value.final


@pytest.mark.parametrize(
    "image_url",
    ["/../a.png", "/gaze/../a.png", "/static/../../a.png", "/%2e%2e/a.png", "..%2Fa.png"],
)
async def test_image_outside_prefix_of_server_is_rejected(
    session: ClientSession, script: Script, image_url: str
) -> None:
    client = GazeClient(session, script.url.with_path("/gaze"), "demo-key")

    with pytest.raises(GazeImageError, match="not on the server"):
        await client.get_image(image_url)

    assert not script.paths


async def test_api_requests_use_prefix_of_server(session: ClientSession, script: Script) -> None:
    client = GazeClient(session, script.url.with_path("/a/gaze"), "demo-key")
    await client.list_presets()
    script.answer = lambda: web.json_response({"jobs": [{"job_id": JOB_ID}]}, status=202)
    await client.generate("neon_city", GenerateOptions())
    script.answer = lambda: web.json_response({"id": JOB_ID, "status": "pending"})
    await client.get_job(JOB_ID)

    assert script.paths == [
        "/a/gaze/api/v1/presets",
        "/a/gaze/api/v1/generate/neon_city",
        f"/a/gaze/api/v1/job/{JOB_ID}",
    ]
