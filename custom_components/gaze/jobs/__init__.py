"""The job engine: life cycle, pacing, downloads, and records."""

from .engine import EngineStoppedError, JobEngine, TooManyOpenJobsError
from .held import HeldImages
from .models import GenerateRequest, Job, JobEvent, Origin, Reason, Status
from .pacing import UNKNOWN_ESTIMATE, Estimate
from .records import Records

__all__ = [
    "UNKNOWN_ESTIMATE",
    "EngineStoppedError",
    "Estimate",
    "GenerateRequest",
    "HeldImages",
    "Job",
    "JobEngine",
    "JobEvent",
    "Origin",
    "Reason",
    "Records",
    "Status",
    "TooManyOpenJobsError",
]
