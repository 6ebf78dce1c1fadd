"""Jobs and the requests that make them."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from homeassistant.exceptions import ServiceValidationError
from mashumaro.mixins.orjson import DataClassORJSONMixin

from ..api import GenerateOptions, Preset
from ..const import DOMAIN
from .pacing import Key

MAX_COUNT: Final = 20
MAX_SEED: Final = 2**64 - 1
MIN_SIDE: Final = 16
MAX_SIDE: Final = 16384
SIDE_STEP: Final = 8
MAX_TEXT: Final = 20_000
MAX_DIGITS: Final = 40


class Status(StrEnum):
    """How a job stands."""

    QUEUED = "queued"
    PROCESSING = "processing"
    DONE = "done"
    FAILED = "failed"


class Reason(StrEnum):
    """Why a job failed."""

    SERVER = "server"
    LOST = "lost"
    NO_IMAGE = "no_image"
    DOWNLOAD = "download"
    GAVE_UP = "gave_up"
    STOPPED = "stopped"


class JobEvent(StrEnum):
    """What happens to a job."""

    QUEUED = "queued"
    STARTED = "started"
    FINISHED = "finished"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerateRequest:
    """What to generate: a preset, and what to change of it (`None`: leave as it is).

    count: 1-20; seed: 0…2⁶⁴-1; width and height: pixels, both or none, 16…16384, multiples
    of 8; tag: free text that comes back in events.
    """

    preset: Preset
    count: int = 1
    extra_positive: str | None = None
    extra_negative: str | None = None
    seed: int | None = None
    width: int | None = None
    height: int | None = None
    checkpoint: str | None = None
    tag: str | None = None

    @classmethod
    def from_input(cls, preset: Preset, data: Mapping[str, Any]) -> GenerateRequest:
        """Return the request that people's input describes; the keys are this class's fields.

        Numbers may come as digits. Raises ServiceValidationError, one text for each mistake.
        """
        count = _whole(data.get("count", 1))
        if count is None or not 1 <= count <= MAX_COUNT:
            raise _invalid("invalid_count", value=data["count"], max=MAX_COUNT)
        seed = None
        if (given := data.get("seed")) is not None and given != "":
            seed = _whole(given, floats=False)
            if seed is None or not 0 <= seed <= MAX_SEED:
                raise _invalid("invalid_seed", value=given, max=MAX_SEED)
        width, height = _side(data, "width"), _side(data, "height")
        if (width is None) != (height is None):
            raise _invalid("size_incomplete")
        return cls(
            preset=preset,
            count=count,
            seed=seed,
            width=width,
            height=height,
            extra_positive=_text(data, "extra_positive"),
            extra_negative=_text(data, "extra_negative"),
            checkpoint=_text(data, "checkpoint"),
            tag=_text(data, "tag"),
        )

    def as_options(self) -> GenerateOptions:
        """Return what the server is told."""
        return GenerateOptions(
            count=self.count,
            checkpoint=self.checkpoint,
            extra_positive=self.extra_positive,
            extra_negative=self.extra_negative,
            seed=self.seed,
            width=self.width,
            height=self.height,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Job(DataClassORJSONMixin):
    """One image being made, or made. Times are seconds since the epoch, UTC.

    The seed is a decimal text: the one asked for, then the one the server used.
    `source_url` is where the finished image waits on the server, until it is kept.
    `told_queued` and `told_end` say which of the events were fired.
    """

    job_id: str
    batch_id: str
    index: int  # 1 is the first of its batch
    count: int
    status: Status = Status.QUEUED
    reason: Reason | None = None
    error: str | None = None
    preset: str
    preset_name: str
    tag: str | None = None
    seed: str | None = None
    width: int | None = None
    height: int | None = None
    checkpoint: str | None = None
    extra_positive: str | None = None
    extra_negative: str | None = None
    requested_at: float
    started_at: float | None = None
    finished_at: float | None = None
    duration: float | None = None
    source_url: str | None = None
    told_queued: bool = False
    told_end: bool = False

    @property
    def open(self) -> bool:
        """Whether the job has not ended."""
        return self.status in {Status.QUEUED, Status.PROCESSING}

    @property
    def key(self) -> Key:
        """What images that take equally long have in common."""
        size = "" if self.width is None else f"{self.width}x{self.height}"
        return (self.preset, self.checkpoint or "", size)


def _whole(value: Any, *, floats: bool = True) -> int | None:
    """Return a whole number given as a number or as digits, else None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and floats and value.is_integer():
        return int(value)
    if isinstance(value, str) and len(value) <= MAX_DIGITS and value.strip().isdecimal():
        return int(value)
    return None


def _side(data: Mapping[str, Any], field: str) -> int | None:
    """Return a width or height in pixels."""
    if data.get(field) is None:
        return None
    side = _whole(data[field])
    if side is None or not MIN_SIDE <= side <= MAX_SIDE or side % SIDE_STEP:
        raise _invalid(
            "invalid_size",
            field=field,
            value=data[field],
            min=MIN_SIDE,
            max=MAX_SIDE,
            step=SIDE_STEP,
        )
    return side


def _text(data: Mapping[str, Any], field: str) -> str | None:
    """Return a text, or None where there is nothing in it."""
    text: str = data.get(field) or ""
    if len(text) > MAX_TEXT:
        raise _invalid("text_too_long", field=field, max=MAX_TEXT)
    return text or None


def _invalid(key: str, **placeholders: object) -> ServiceValidationError:
    """Return the error for a mistake in the input."""
    return ServiceValidationError(
        translation_domain=DOMAIN,
        translation_key=key,
        translation_placeholders={name: str(value)[:100] for name, value in placeholders.items()},
    )
