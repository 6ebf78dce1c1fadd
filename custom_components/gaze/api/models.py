"""What GAZE says and is told, as typed objects.

Source: GAZE's REST guide. Types are checked to the letter: `True` is no number, a number
is no text. Fields that the guide does not name are ignored.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
import re
from typing import Any, Final, override

from mashumaro import DataClassDictMixin
from mashumaro.config import BaseConfig

# Each preset becomes a device with entities: Home Assistant is not to drown in them.
MAX_PRESETS: Final = 2000
MAX_JOBS: Final = 20  # of one request, says the guide

# Characters; an answer may be long, and what is kept of it goes on into events and states.
_MAX_NAME: Final = 1000
_MAX_STATUS: Final = 100
_MAX_ADDRESS: Final = 4000

_SLUG = re.compile(r"[A-Za-z0-9_-]{1,255}")
_JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class TooManyError(ValueError):
    """A list in an answer is longer than any that GAZE has reason to send."""


def _exactly[T](kind: type[T]) -> Callable[[Any], T]:
    """Return a check that lets through only values of just this type."""

    def check(value: Any) -> T:
        if type(value) is not kind:
            raise ValueError(f"expected {kind.__name__}")
        return value

    return check


class _Strict(BaseConfig):
    """Refuses values of another type instead of converting them."""

    serialization_strategy = {  # noqa: RUF012 - mashumaro declares it as an instance variable
        kind: {"deserialize": _exactly(kind)} for kind in (str, int)
    }


class _Answer(DataClassDictMixin):
    """Base of the server's answers."""

    Config = _Strict

    @classmethod
    def _require_list(cls, data: Any, key: str, limit: int) -> None:
        """Refuse an empty object or text that would pass for an empty list, and a long list."""
        if not isinstance(data, dict) or type(data.get(key)) is not list:
            raise ValueError(f"expected a list in {key}")
        if len(data[key]) > limit:
            raise TooManyError(f"the answer holds more than {limit:,} {key}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Preset(_Answer):
    """One preset: what images are made from. `slug` names it in requests."""

    slug: str
    name: str

    def __post_init__(self) -> None:
        """Cut a name that is a book."""
        object.__setattr__(self, "name", self.name[:_MAX_NAME])

    @property
    def usable(self) -> bool:
        """Whether the slug can stand in a request's path."""
        return _SLUG.fullmatch(self.slug) is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class PresetList(_Answer):
    """Answer of `GET /api/v1/presets`."""

    presets: list[Preset]

    @override
    @classmethod
    def __pre_deserialize__(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Insist on a list."""
        cls._require_list(data, "presets", MAX_PRESETS)
        return data


@dataclass(frozen=True, kw_only=True, slots=True)
class QueuedJob(_Answer):
    """One accepted job in the answer to a generate request."""

    job_id: str

    def __post_init__(self) -> None:
        """Refuse an id that could not stand in a path."""
        if not _JOB_ID.fullmatch(self.job_id):
            raise ValueError("unusable job_id")


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerateAnswer(_Answer):
    """Answer of `POST /api/v1/generate/<slug>`: one job an image."""

    jobs: list[QueuedJob]

    @override
    @classmethod
    def __pre_deserialize__(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Insist on a list."""
        cls._require_list(data, "jobs", MAX_JOBS)
        return data

    def __post_init__(self) -> None:
        """Refuse an answer that accepts nothing, or one job twice."""
        if not self.jobs or len({job.job_id for job in self.jobs}) != len(self.jobs):
            raise ValueError("expected different jobs")


class ReportedStatus(StrEnum):
    """The statuses of a job that the guide names; a server may say others."""

    PENDING = "pending"
    PROCESSING = "processing"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class JobResult(_Answer):
    """Where a finished image lies and the seed that reproduces it."""

    image_url: str | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        """Refuse an address that is too long for a request."""
        if len(self.image_url or "") > _MAX_ADDRESS:
            raise ValueError("unusable image_url")


@dataclass(frozen=True, kw_only=True, slots=True)
class JobReport(_Answer):
    """Answer of `GET /api/v1/job/<job_id>`."""

    id: str
    status: str
    error: str | None = None
    result: JobResult | None = None

    def __post_init__(self) -> None:
        """Refuse a status that is no word."""
        if len(self.status) > _MAX_STATUS:
            raise ValueError("unusable status")


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerateOptions:
    """What a generate request may change of a preset; `None` leaves it as it is.

    count: 1-20; seed: 0…2⁶⁴-1; width and height: pixels, both or none.
    """

    count: int = 1
    checkpoint: str | None = None
    extra_positive: str | None = None
    extra_negative: str | None = None
    seed: int | None = None
    width: int | None = None
    height: int | None = None

    def as_body(self) -> dict[str, Any]:
        """Return the request's JSON body, without what is not set."""
        return {key: value for key, value in asdict(self).items() if value is not None}


def is_job_id(text: str) -> bool:
    """Tell whether the text could be the id of a job."""
    return _JOB_ID.fullmatch(text) is not None
