"""Requests presets, jobs, and images from a GAZE server over HTTP.

Every request goes to the origin of the server and is limited in time and size. The API key is
sent only in the `X-API-Key` header of API requests. Redirects are not followed, because they
could send the key to another server.
"""

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from io import BytesIO
import json
import logging
import math
from typing import Any, Final

from aiohttp import (
    ClientError,
    ClientPayloadError,
    ClientResponse,
    ClientResponseError,
    ClientSession,
    ClientSSLError,
    ClientTimeout,
    hdrs,
)
from mashumaro.exceptions import MissingField
import orjson
from yarl import URL

from .address import resolve_image_urls
from .errors import (
    GazeAuthError,
    GazeBusyError,
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
)
from .models import GenerateOptions, JobList, JobReport, Preset, PresetList, TooManyError, is_job_id

_LOGGER = logging.getLogger(__name__)

API_TIMEOUT: Final = ClientTimeout(total=30, connect=10)
IMAGE_TIMEOUT: Final = ClientTimeout(total=300, connect=10, sock_read=30)
MAX_RESPONSE_BYTES: Final = 4 * 2**20
# JSON is decoded in the event loop. The time depends on the number of values, not on the bytes.
MAX_RESPONSE_VALUES: Final = 50_000
MAX_LENIENT_BYTES: Final = 256 * 2**10  # several times as much as 500 presets
MAX_IMAGE_BYTES: Final = 64 * 2**20
MAX_REASON_LENGTH: Final = 300
_MAX_REASON_READ: Final = 4 * MAX_REASON_LENGTH
# GAZE sends 200 and 202. A newer one, or a proxy, could send the other two with the same content.
_WITH_CONTENT: Final = frozenset(
    (
        HTTPStatus.OK,
        HTTPStatus.CREATED,
        HTTPStatus.ACCEPTED,
        HTTPStatus.NON_AUTHORITATIVE_INFORMATION,
    )
)
MAX_RETRY_AFTER: Final = 3600.0


type ResponseListener = Callable[[str, GazeError | None], None]


def _ignore_response(_endpoint: str, _error: GazeError | None) -> None:
    """Ignore the outcome of a request."""


class GazeClient:
    """Client of one server with one API key. Its methods raise subclasses of GazeError."""

    def __init__(
        self,
        session: ClientSession,
        url: URL,
        api_key: str,
        on_response: ResponseListener = _ignore_response,
    ) -> None:
        """Create a client of the server at a normalized URL.

        `on_response` is called after each API request with the endpoint (`presets`, `generate`,
        or `job`) and the error, or None if the request succeeded. It isn't called for images,
        which GAZE serves without a key.
        """
        self._session = session
        self._url = url
        self._api_key = api_key
        self._on_response = on_response

    async def list_presets(self) -> list[Preset]:
        """Return the first 500 presets in the order of the server."""
        return (await self._call_api(PresetList, hdrs.METH_GET, "presets")).presets

    async def generate(self, slug: str, options: GenerateOptions) -> list[str]:
        """Queue images and return the ID of each job, which can be more than requested.

        The request is never retried: after a GazeConnectionError or a GazeResponseError, GAZE
        might have accepted it. Raises GazeNotFoundError for an unknown preset, GazeRequestError
        for options that the server rejects, or another GazeError.
        """
        response = await self._call_api(
            JobList, hdrs.METH_POST, "generate", slug, body=options.as_body()
        )
        return [job.job_id for job in response.jobs]

    async def get_job(self, job_id: str) -> JobReport:
        """Return the status of a job.

        Raises GazeNotFoundError for an unknown job, or another GazeError.
        """
        if not is_job_id(job_id):
            raise GazeNotFoundError("the job is unknown")
        report = await self._call_api(JobReport, hdrs.METH_GET, "job", job_id)
        if report.id != job_id:
            raise GazeResponseError("the response is about another job")
        return report

    async def get_image(self, image_url: str) -> bytes:
        """Return the bytes of a finished image, at most 64 MiB, without validating them.

        `image_url` is the address that GAZE reports: a raw path, in which `#`, `?`, and `%` are
        characters of a file name. If the file doesn't exist, it is requested as an encoded URL.

        Raises GazeImageError if the address isn't on the server or the image is too large,
        GazeNotFoundError if the image doesn't exist anymore, or another GazeError.
        """
        url, *others = resolve_image_urls(self._url, image_url)
        try:
            return await self._download(url)
        except GazeNotFoundError:
            if not others:
                raise
        return await self._download(others[0])

    async def _download(self, url: URL) -> bytes:
        """Download the bytes at the URL of an image."""
        return await self._request(hdrs.METH_GET, url, MAX_IMAGE_BYTES, time_limit=IMAGE_TIMEOUT)

    async def _call_api[T: (PresetList, JobList, JobReport)](
        self,
        response_type: type[T],
        method: str,
        *segments: str,
        body: dict[str, Any] | None = None,
    ) -> T:
        """Send an API request and return the response as an object."""
        try:
            content = await self._request(
                method,
                self._url.joinpath("api", "v1", *segments),
                MAX_RESPONSE_BYTES,
                time_limit=API_TIMEOUT,
                headers={"X-API-Key": self._api_key, hdrs.ACCEPT: "application/json"},
                json=body,
            )
            response = _parse_response(response_type, content, f"{method} {segments[0]}")
        except GazeError as err:
            self._on_response(segments[0], err)
            raise
        self._on_response(segments[0], None)
        return response

    async def _request(
        self, method: str, url: URL, limit: int, *, time_limit: ClientTimeout, **options: Any
    ) -> bytes:
        """Return the body of a successful response of at most `limit` bytes. Raises GazeError."""
        if self._session.closed:  # Home Assistant stops
            raise GazeConnectionError("the connection to the server is closed")
        try:
            # aiohttp may stop its own timers when it overlooks a broken chunk.
            async with (
                asyncio.timeout((time_limit.total or 0.0) + 1.0),
                self._session.request(
                    method, url, allow_redirects=False, timeout=time_limit, **options
                ) as response,
            ):
                if response.status in _WITH_CONTENT:
                    return await _read_body(response, limit)
                if limit == MAX_IMAGE_BYTES:
                    raise await _create_image_error(response)
                raise await _create_api_error(response)
        except TimeoutError as err:
            raise GazeTimeoutError("the server did not respond in time") from err
        except ClientSSLError as err:
            raise GazeSslError("the server's certificate is not accepted") from err
        except ClientPayloadError as err:
            raise GazeResponseError("the response is incomplete") from err
        except (
            ClientResponseError,
            ValueError,
        ) as err:  # ValueError: the address of a redirect is invalid
            raise GazeResponseError("the response is not valid HTTP") from err
        except (ClientError, OSError) as err:
            raise GazeConnectionError("the connection to the server failed") from err


async def _read_body(response: ClientResponse, limit: int) -> bytes:
    """Return the body. Raises GazeImageError or GazeResponseError if it exceeds the limit."""
    too_large = (
        GazeImageError("the image is larger than 64 MiB")
        if limit == MAX_IMAGE_BYTES
        else GazeResponseError("the response is far longer than GAZE's API specifies")
    )
    if (response.content_length or 0) > limit:
        raise too_large
    # It has its full size from the beginning and returns its content without a copy: copies of
    # large images would block the event loop. The system provides memory when it is written.
    body = BytesIO(bytes(limit if response.content_length is None else response.content_length))
    async for part in response.content.iter_any():
        if body.tell() + len(part) > limit:
            raise too_large
        body.write(part)
        await asyncio.sleep(0)  # otherwise all received parts are decompressed in one turn
    body.truncate()
    return body.getvalue()


def _parse_response[T: (PresetList, JobList, JobReport)](
    response_type: type[T], content: bytes, request: str
) -> T:
    """Parse the body of a response. Raises GazeResponseError if it has another structure."""
    try:
        return response_type.from_dict(_decode_json(content))
    except TooManyError as err:
        raise GazeResponseError(str(err)) from None
    except (ValueError, MissingField) as err:
        _LOGGER.debug(
            "Unexpected response of %d bytes to %s: %s", len(content), request, type(err).__name__
        )
        raise GazeResponseError("the response is not what GAZE's API specifies") from None


def _decode_json(content: bytes) -> Any:
    """Decode JSON. Raises ValueError if it is invalid or contains too many values."""
    if sum(map(content.count, (b",", b"[", b"{"))) > MAX_RESPONSE_VALUES:
        raise ValueError("too many values")
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        if len(content) > MAX_LENIENT_BYTES:
            raise
    return _decode_leniently(content)


def _decode_leniently(content: bytes) -> Any:
    """Decode JSON as Python writes it, which one odd value makes invalid by the standard.

    Flask writes NaN, infinity, and half of a surrogate pair. Such numbers become None, and such
    characters question marks. Raises ValueError.
    """
    try:
        data = json.loads(
            content,
            parse_constant=lambda _: None,
            parse_float=lambda digits: _parse_finite(digits, float),
            parse_int=lambda digits: _parse_finite(digits, int),
        )
        text = json.dumps(data, ensure_ascii=False)
    except RecursionError as err:
        raise ValueError("too many levels") from err
    return orjson.loads(text.encode(errors="replace"))


def _parse_finite[T: (int, float)](digits: str, number: Callable[[str], T]) -> T | None:
    """Return a number, or None if it doesn't fit into a float."""
    return number(digits) if math.isfinite(float(digits)) else None


async def _create_api_error(response: ClientResponse) -> GazeError:
    """Return the error for an API response that isn't successful.

    Statuses about the key, a preset, or a job count only with a JSON object in the body, as
    GAZE sends it. A page with such a status comes from a proxy, and so does other JSON.
    """
    body = await _read_error_body(response)
    reason = _get_reason(body) or _describe_status(response)
    match response.status:
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN if _is_from_gaze(body):
            return GazeAuthError(reason)
        case HTTPStatus.NOT_FOUND if _is_from_gaze(body):
            return GazeNotFoundError(reason)
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN | HTTPStatus.NOT_FOUND:
            return GazeResponseError(f"{reason}, but not from GAZE")
        case HTTPStatus.BAD_REQUEST:
            return GazeRequestError(reason)
    return _create_general_error(response, reason)


def _is_from_gaze(body: dict[str, Any] | None) -> bool:
    """Return whether the body of an error has the form of GAZE: an `error`, or nothing."""
    return body is not None and (not body or "error" in body)


async def _create_image_error(response: ClientResponse) -> GazeError:
    """Return the error for an image that isn't delivered. It is never about the key."""
    reason = _get_reason(await _read_error_body(response)) or _describe_status(response)
    match response.status:
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            return GazeImageRefusedError(reason)
        case HTTPStatus.NOT_FOUND | HTTPStatus.GONE:
            return GazeNotFoundError(reason)
    return _create_general_error(response, reason)


def _create_general_error(response: ClientResponse, reason: str) -> GazeError:
    """Return the error for a status that means the same for the API and for images."""
    match response.status:
        case HTTPStatus.TOO_MANY_REQUESTS | HTTPStatus.SERVICE_UNAVAILABLE:
            return GazeBusyError(reason, _parse_retry_after(response))
        case status if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
            return GazeResponseError(
                "the server redirects to another address, which is not supported"
            )
    return GazeServerError(reason)


async def _read_error_body(response: ClientResponse) -> dict[str, Any] | None:
    """Return the JSON object of an error response, or None if it has none."""
    if response.content_type != "application/json":
        return None
    try:
        body = _decode_json(await _read_body(response, MAX_RESPONSE_BYTES))
    except ValueError, TimeoutError, ClientError, GazeError:
        return None
    return body if isinstance(body, dict) else None


def _get_reason(body: dict[str, Any] | None) -> str:
    """Return the reason in the body of an error, or an empty text if it has none."""
    text = (body or {}).get("error")
    return format_one_line(text) if isinstance(text, str) else ""


def _describe_status(response: ClientResponse) -> str:
    """Return the code and name of a status."""
    if response.status in HTTPStatus:
        return f"HTTP {response.status} ({HTTPStatus(response.status).phrase})"
    return f"HTTP {response.status}"


def format_one_line(text: str) -> str:
    """Return text from the server as one printable line of at most 300 characters."""
    start = text[:_MAX_REASON_READ]
    words: Iterable[str] = "".join(c if c.isprintable() else " " for c in start).split()
    return " ".join(words)[:MAX_REASON_LENGTH]


def _parse_retry_after(response: ClientResponse) -> float | None:
    """Return the seconds of the `Retry-After` header, which contains seconds or a date."""
    value = response.headers.get(hdrs.RETRY_AFTER, "").strip()
    if value.isdecimal():
        return min(float(value), MAX_RETRY_AFTER)
    if (until := _parse_date(value)) is None:
        return None
    # The clocks of the server and of Home Assistant may differ.
    now = _parse_date(response.headers.get(hdrs.DATE, "")) or datetime.now(UTC)
    return min(max((until - now).total_seconds(), 0.0), MAX_RETRY_AFTER)


def _parse_date(text: str) -> datetime | None:
    """Return the time of a header, or None if it is invalid."""
    try:
        found = parsedate_to_datetime(text)
    except ValueError, OverflowError:  # OverflowError: a huge number, before Python 3.14.8
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
