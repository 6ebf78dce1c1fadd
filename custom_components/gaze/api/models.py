"""Requests and responses of GAZE's API as typed objects.

Source: GAZE's REST guide. The types of slugs, job IDs, statuses, and image addresses are checked
strictly, because requests depend on them. Names, errors, and seeds are only shown to users, so
they are converted if possible. Unknown fields are ignored. An unusable preset or job is skipped.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from enum import StrEnum
import logging
import re
from typing import Any, ClassVar, Final, override

from mashumaro import DataClassDictMixin, field_options, pass_through
from mashumaro.config import BaseConfig
from mashumaro.exceptions import MissingField

_LOGGER = logging.getLogger(__name__)

# Each preset becomes a device with entities, and each job a record.
MAX_PRESETS: Final = 500
MAX_JOBS: Final = 200  # the guide allows 20 for one request
MAX_SEED: Final = 2**64 - 1

# Characters. Parts of a response are stored in events and states.
_MAX_NAME: Final = 1000
_MAX_STATUS: Final = 100
_MAX_ADDRESS: Final = 4000

_SLUG = re.compile(r"[A-Za-z0-9_-]{1,255}")
_JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SEED = re.compile(r"[0-9]{1,20}")
_EXACT_FLOAT: Final = 2**53  # larger whole numbers lose digits as floats


class TooManyError(ValueError):
    """A response has more jobs than supported."""


def _require_type[T](kind: type[T]) -> Callable[[Any], T]:
    """Return a function that returns values of exactly this type. It raises ValueError."""

    def check(value: Any) -> T:
        if type(value) is not kind:
            raise ValueError(f"expected {kind.__name__}")
        return value

    return check


def _read_text(value: Any) -> str | None:
    """Return the text of a string, a number, or an error object, or None for other values."""
    if isinstance(value, dict):
        value = next((value[key] for key in ("error", "message", "reason") if key in value), None)
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value)
    return None


def _read_seed(value: Any) -> int | None:
    """Return a seed (0…2⁶⁴-1), or None if it is invalid or was rounded."""
    is_digits = isinstance(value, str) and _SEED.fullmatch(value.strip())
    is_exact = isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT_FLOAT
    if is_digits or is_exact:
        value = int(value)
    return value if type(value) is int and 0 <= value <= MAX_SEED else None


class _Strict(BaseConfig):
    """Rejects values of another type instead of converting them.

    No code is generated before it is used, because most of it is not needed at the start.
    """

    lazy_compilation = True
    serialization_strategy = {  # noqa: RUF012 - mashumaro declares it as an instance variable
        str: {"deserialize": _require_type(str)}
    }


class _Part(DataClassDictMixin):
    """Base of responses and their parts."""

    Config = _Strict


class _Listing[T: _Part](_Part):
    """Base of responses with a list of parts under `key`, of which `limit` are supported."""

    key: ClassVar[str]
    kind: ClassVar[type[_Part]]
    limit: ClassVar[int]
    truncated: ClassVar[bool]  # whether parts beyond the limit are ignored or an error

    @override
    @classmethod
    def __pre_deserialize__(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Read the parts one by one and skip unusable ones.

        Raises ValueError if the value is no list or all parts are unusable, because GAZE sends
        no such response.
        """
        if not isinstance(data, dict) or type(items := data.get(cls.key)) is not list:
            raise ValueError(f"expected a list in {cls.key}")
        if len(items) > cls.limit and not cls.truncated:
            raise TooManyError(f"the response contains more than {cls.limit:,} {cls.key}")
        items = items[: cls.limit]
        parts = []
        for item in items:
            with suppress(ValueError, MissingField):
                parts.append(cls.kind.from_dict(item))
        if items and not parts:
            raise ValueError(f"expected usable {cls.key}")
        if len(parts) < len(items):
            _LOGGER.debug("Ignoring %d unusable %s", len(items) - len(parts), cls.key)
        return {cls.key: parts}


@dataclass(frozen=True, kw_only=True, slots=True)
class Preset(_Part):
    """A preset that images are generated from. Requests name it by its slug."""

    slug: str
    name: str

    @override
    @classmethod
    def __pre_deserialize__(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Convert the name to text. Use the slug if the name is missing, blank, or unusable."""
        if not isinstance(data, dict):
            raise ValueError("expected an object")  # noqa: TRY004 - callers handle ValueError
        name = _read_text(data.get("name"))
        return data | {"name": name if name and not name.isspace() else data.get("slug")}

    def __post_init__(self) -> None:
        """Reject a slug that can't be part of a path, and truncate a very long name."""
        if not _SLUG.fullmatch(self.slug):
            raise ValueError("unusable slug")
        object.__setattr__(self, "name", self.name[:_MAX_NAME])


@dataclass(frozen=True, kw_only=True, slots=True)
class PresetList(_Listing[Preset]):
    """Response of `GET /api/v1/presets`, with the first 500 presets."""

    key = "presets"
    kind = Preset
    limit = MAX_PRESETS
    truncated = True

    presets: list[Preset] = field(metadata=field_options(deserialize=pass_through))


@dataclass(frozen=True, kw_only=True, slots=True)
class QueuedJob(_Part):
    """One accepted job in the response to a generate request."""

    job_id: str

    def __post_init__(self) -> None:
        """Reject an ID that can't be part of a path."""
        if not _JOB_ID.fullmatch(self.job_id):
            raise ValueError("unusable job_id")


@dataclass(frozen=True, kw_only=True, slots=True)
class JobList(_Listing[QueuedJob]):
    """Response of `POST /api/v1/generate/<slug>`, with one job for each image."""

    key = "jobs"
    kind = QueuedJob
    limit = MAX_JOBS
    truncated = False

    jobs: list[QueuedJob] = field(metadata=field_options(deserialize=pass_through))

    def __post_init__(self) -> None:
        """Reject an empty list and remove duplicates."""
        if not self.jobs:
            raise ValueError("expected jobs")
        object.__setattr__(self, "jobs", list(dict.fromkeys(self.jobs)))


class ReportedStatus(StrEnum):
    """Statuses of a job in the REST guide. A server can report others."""

    PENDING = "pending"
    PROCESSING = "processing"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class JobResult(_Part):
    """Address of a finished image, and the seed that reproduces it."""

    image_url: str | None = None
    seed: int | None = field(default=None, metadata=field_options(deserialize=_read_seed))

    def __post_init__(self) -> None:
        """Reject an address that is too long for a request."""
        if len(self.image_url or "") > _MAX_ADDRESS:
            raise ValueError("unusable image_url")


@dataclass(frozen=True, kw_only=True, slots=True)
class JobReport(_Part):
    """Response of `GET /api/v1/job/<job_id>`."""

    id: str
    status: str
    error: str | None = field(default=None, metadata=field_options(deserialize=_read_text))
    result: JobResult | None = None

    @override
    @classmethod
    def __pre_deserialize__(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Ignore the result of a job that isn't done."""
        if not isinstance(data, dict):
            raise ValueError("expected an object")  # noqa: TRY004 - callers handle ValueError
        is_done = data.get("status") == ReportedStatus.DONE
        return data if is_done else data | {"result": None}

    def __post_init__(self) -> None:
        """Reject a status that is too long."""
        if len(self.status) > _MAX_STATUS:
            raise ValueError("unusable status")


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerateOptions:
    """Options of a generate request. None uses the value of the preset.

    count: 1-20. seed: 0…2⁶⁴-1. width, height: pixels, both or none.
    """

    count: int = 1
    checkpoint: str | None = None
    extra_positive: str | None = None
    extra_negative: str | None = None
    seed: int | None = None
    width: int | None = None
    height: int | None = None

    def as_body(self) -> dict[str, Any]:
        """Return the JSON body of the request, without options that are None."""
        return {key: value for key, value in asdict(self).items() if value is not None}


def is_job_id(text: str) -> bool:
    """Return whether a text can be a job ID."""
    return _JOB_ID.fullmatch(text) is not None
