"""The job engine: life cycle, pacing, downloads, and records."""

from .engine import EngineStoppedError, JobEngine, TooManyOpenJobsError
from .models import GenerateRequest, Job, JobEvent, Origin, Reason, Status
from .records import Records

__all__ = [
    "EngineStoppedError",
    "GenerateRequest",
    "Job",
    "JobEngine",
    "JobEvent",
    "Origin",
    "Reason",
    "Records",
    "Status",
    "TooManyOpenJobsError",
]
