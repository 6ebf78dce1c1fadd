"""Jobs and the requests that create them."""

from dataclasses import dataclass, field
from enum import StrEnum

from mashumaro import DataClassDictMixin, field_options
from mashumaro.config import BaseConfig

from ..api import GenerateOptions, Preset
from .durations import Key


class Status(StrEnum):
    """The status of a job."""

    QUEUED = "queued"
    PROCESSING = "processing"
    DONE = "done"
    FAILED = "failed"


class Reason(StrEnum):
    """Why a job failed."""

    SERVER = "server"
    LOST = "lost"
    NO_IMAGE = "no_image"
    UNSUPPORTED = "unsupported"
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
class Origin:
    """The recipe that a request comes from, and what a language model added to it.

    recipe: its ID. writer: the AI task entity that wrote the prompt, or None for the rendered one.
    """

    recipe: str | None = None
    recipe_name: str | None = None
    title: str | None = None
    writer: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerateRequest:
    """What to generate: a preset, and the changes to it. `None` means no change.

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
    origin: Origin = Origin()

    def as_options(self) -> GenerateOptions:
        """Return the options for the REST API."""
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
class Job(DataClassDictMixin):
    """One image that is being generated, or was. Times are seconds since the epoch, UTC.

    The seed is decimal text: the requested one, then the one that the server used.
    `source_url` is the address of the finished image on the server, and `image_number` its place
    in the order of all images: see `Image.number`. Until GAZE has finished the image, it is the
    lowest number that the image can get.
    `tracked_for` is how many seconds Home Assistant has tracked the job, in all runs. It is
    stored rarely.
    `queued_fired` and `end_fired` say which of the events were fired.
    `in_backup`: it was done while a backup was made, which may lack its image.
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
    recipe: str | None = None
    recipe_name: str | None = None
    title: str | None = None
    writer: str | None = None
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
    image_number: int | None = None
    tracked_for: float = 0.0
    queued_fired: bool = field(default=False, metadata=field_options(alias="told_queued"))
    end_fired: bool = field(default=False, metadata=field_options(alias="told_end"))
    in_backup: bool = False

    class Config(BaseConfig):
        """Store under the names that version 0.1.0 wrote. Generate code at the first use."""

        serialize_by_alias = True
        lazy_compilation = True

    @property
    def open(self) -> bool:
        """Whether the job has not ended."""
        return self.status is Status.QUEUED or self.status is Status.PROCESSING

    @property
    def key(self) -> Key:
        """What images that take the same time have in common."""
        size = "" if self.width is None else f"{self.width}x{self.height}"
        return (self.preset, self.checkpoint or "", size)
