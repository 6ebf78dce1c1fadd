"""Talks to one GAZE server over HTTP: bounded in time and size, to the server's origin only.

The API key travels as the `X-API-Key` header of API requests and nowhere else. Redirects
are refused, because they could carry it to another place.
"""

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from io import BytesIO
import logging
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
MAX_ANSWER_BYTES: Final = 4 * 2**20
# Decoding takes its time by the values, not by the bytes, and nothing else runs meanwhile.
MAX_ANSWER_VALUES: Final = 100_000
MAX_IMAGE_BYTES: Final = 64 * 2**20
MAX_REASON_LENGTH: Final = 300
_MAX_REASON_READ: Final = 4 * MAX_REASON_LENGTH
MAX_RETRY_AFTER: Final = 3600.0


type ResponseListener = Callable[[str, GazeError | None], None]


def _ignore_response(_endpoint: str, _error: GazeError | None) -> None:
    """Do nothing with the outcome of a request."""


class GazeClient:
    """One server, one API key."""

    def __init__(
        self,
        session: ClientSession,
        url: URL,
        api_key: str,
        on_response: ResponseListener = _ignore_response,
    ) -> None:
        """Use the session; `url` is the server's normalized URL.

        `on_response` is called with the endpoint and the error of each API request, and with
        None for a good response. It isn't called for downloads, which need no key.
        """
        self._session = session
        self._url = url
        self._api_key = api_key
        self._on_response = on_response

    async def list_presets(self) -> list[Preset]:
        """Return the presets that can be generated, in the server's order.

        Raises GazeError.
        """
        return (await self._call(PresetList, hdrs.METH_GET, "presets")).presets

    async def generate(self, slug: str, options: GenerateOptions) -> list[str]:
        """Queue images and return the ID of each job, which may be more than requested.

        Never repeated automatically: after a GazeConnectionError or a GazeResponseError, GAZE
        might have accepted the request. Raises GazeNotFoundError for an unknown preset, or
        another GazeError.
        """
        answer = await self._call(JobList, hdrs.METH_POST, "generate", slug, body=options.as_body())
        return [job.job_id for job in answer.jobs]

    async def job(self, job_id: str) -> JobReport:
        """Return a job's report. Raises GazeNotFoundError for an unknown job, or a GazeError."""
        if not is_job_id(job_id):
            raise GazeNotFoundError("no such job")
        report = await self._call(JobReport, hdrs.METH_GET, "job", job_id)
        if report.id != job_id:
            raise GazeResponseError("the answer is about another job")
        return report

    async def image(self, image_url: str) -> bytes:
        """Return the bytes of a finished image, at most 64 MiB, not validated.

        `image_url` is what GAZE reports: a raw path, in which `#`, `?`, and `%` are characters
        of a file name. If there is no such file, it is read as an encoded URL, too.

        Sent without the API key. Raises GazeImageError if the address isn't on the server or
        the image is too large, GazeNotFoundError if the image is gone, or another GazeError.
        """
        url, *others = resolve_image_urls(self._url, image_url)
        try:
            return await self._download(url)
        except GazeNotFoundError:
            if not others:
                raise
        return await self._download(others[0])

    async def _download(self, url: URL) -> bytes:
        """Return what is at the address of an image."""
        return await self._request(hdrs.METH_GET, url, MAX_IMAGE_BYTES, timeout=IMAGE_TIMEOUT)

    async def _call[T: (PresetList, JobList, JobReport)](
        self, answer: type[T], method: str, *segments: str, body: dict[str, Any] | None = None
    ) -> T:
        """Make an API request and return the response as a typed object."""
        try:
            content = await self._request(
                method,
                self._url.joinpath("api", "v1", *segments),
                MAX_ANSWER_BYTES,
                timeout=API_TIMEOUT,
                headers={"X-API-Key": self._api_key, hdrs.ACCEPT: "application/json"},
                json=body,
            )
            response = _typed(answer, content, f"{method} {segments[0]}")
        except GazeError as err:
            self._on_response(segments[0], err)
            raise
        self._on_response(segments[0], None)
        return response

    async def _request(self, method: str, url: URL, limit: int, **options: Any) -> bytes:
        """Return the body of a successful response, or raise the GazeError that fits."""
        if self._session.closed:  # Home Assistant stops
            raise GazeConnectionError("the connection to the server is closed")
        try:
            async with self._session.request(
                method, url, allow_redirects=False, **options
            ) as response:
                if response.status in {HTTPStatus.OK, HTTPStatus.ACCEPTED}:
                    return await _read(response, limit)
                if limit == MAX_IMAGE_BYTES:
                    raise await _image_error(response)
                raise await _api_error(response)
        except TimeoutError as err:
            raise GazeTimeoutError("the server did not answer in time") from err
        except ClientSSLError as err:
            raise GazeSslError("the server's certificate is not accepted") from err
        except ClientPayloadError as err:
            raise GazeResponseError("the answer broke off") from err
        except (ClientResponseError, ValueError) as err:  # the latter: a Location that is no URL
            raise GazeResponseError("the answer is not valid HTTP") from err
        except (ClientError, OSError) as err:
            raise GazeConnectionError("the connection to the server failed") from err


async def _read(response: ClientResponse, limit: int) -> bytes:
    """Return the whole body, or raise once it proves longer than the limit."""
    too_large = (
        GazeImageError("the image is larger than 64 MiB")
        if limit == MAX_IMAGE_BYTES
        else GazeResponseError("the answer is far longer than GAZE's API promises")
    )
    if (response.content_length or 0) > limit:
        raise too_large
    body = BytesIO()  # hands out what it holds without a copy, which would take its time
    async for part in response.content.iter_any():
        if body.tell() + len(part) > limit:
            raise too_large
        body.write(part)
        await asyncio.sleep(0)  # what lies ready would otherwise all be unpacked in one go
    return body.getvalue()


def _typed[T: (PresetList, JobList, JobReport)](answer: type[T], content: bytes, request: str) -> T:
    """Return a response as a typed object. Raises GazeResponseError if it has another shape."""
    try:
        return answer.from_dict(_decoded(content))
    except TooManyError as err:
        raise GazeResponseError(str(err)) from None
    except (ValueError, MissingField) as err:
        _LOGGER.debug(
            "Unexpected answer of %d bytes to %s: %s", len(content), request, type(err).__name__
        )
        raise GazeResponseError("the answer is not what GAZE's API promises") from None


def _decoded(content: bytes) -> Any:
    """Return what JSON says. Raises ValueError where it is none, or holds too many values."""
    if sum(map(content.count, (b",", b"[", b"{"))) > MAX_ANSWER_VALUES:
        raise ValueError("too many values")
    return orjson.loads(content)


async def _api_error(response: ClientResponse) -> GazeError:
    """Return the error for an API response that isn't successful.

    Only GAZE itself can say that the key or what was requested is unknown to it.
    """
    body = await _error_body(response)
    reason = _reason(body) or _status_text(response)
    match response.status:
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN if body is not None:
            return GazeAuthError(reason)
        case HTTPStatus.NOT_FOUND if body is not None:
            return GazeNotFoundError(reason)
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN | HTTPStatus.NOT_FOUND:
            return GazeResponseError(f"{reason}, but not from GAZE")
        case HTTPStatus.BAD_REQUEST:
            return GazeRequestError(reason)
    return _general_error(response, reason)


async def _image_error(response: ClientResponse) -> GazeError:
    """Return the error for an image that isn't delivered: never about the key."""
    reason = _reason(await _error_body(response)) or _status_text(response)
    match response.status:
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            return GazeImageRefusedError(reason)
        case HTTPStatus.NOT_FOUND | HTTPStatus.GONE:
            return GazeNotFoundError(reason)
    return _general_error(response, reason)


def _general_error(response: ClientResponse, reason: str) -> GazeError:
    """Return the error for a status that means the same everywhere."""
    match response.status:
        case HTTPStatus.TOO_MANY_REQUESTS | HTTPStatus.SERVICE_UNAVAILABLE:
            return GazeBusyError(reason, _retry_after(response))
        case status if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
            return GazeResponseError("the server redirects elsewhere, which is refused")
    return GazeServerError(reason)


async def _error_body(response: ClientResponse) -> dict[str, Any] | None:
    """Return the JSON object of an error response, or None if it has none."""
    if response.content_type != "application/json":
        return None
    try:
        body = _decoded(await _read(response, MAX_ANSWER_BYTES))
    except ValueError, TimeoutError, ClientError, GazeError:
        return None
    return body if isinstance(body, dict) else None


def _reason(body: dict[str, Any] | None) -> str:
    """Return the server's own words from the body of an error, or nothing."""
    text = (body or {}).get("error")
    return one_line(text) if isinstance(text, str) else ""


def _status_text(response: ClientResponse) -> str:
    """Return the status of a response in words."""
    if response.status in HTTPStatus:
        return f"HTTP {response.status} ({HTTPStatus(response.status).phrase})"
    return f"HTTP {response.status}"


def one_line(text: str) -> str:
    """Return text from the server in one short printable line: its beginning, where it is long."""
    start = text[:_MAX_REASON_READ]
    words: Iterable[str] = "".join(c if c.isprintable() else " " for c in start).split()
    return " ".join(words)[:MAX_REASON_LENGTH]


def _retry_after(response: ClientResponse) -> float | None:
    """Return the seconds of the `Retry-After` header, given as seconds or as a date."""
    value = response.headers.get(hdrs.RETRY_AFTER, "").strip()
    if value.isdecimal():
        return min(float(value), MAX_RETRY_AFTER)
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return min(max((until - datetime.now(UTC)).total_seconds(), 0.0), MAX_RETRY_AFTER)
