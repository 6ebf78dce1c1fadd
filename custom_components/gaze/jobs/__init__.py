"""The job engine: life cycle, pacing, records and persistence."""

from .engine import JobEngine, TooManyOpenJobsError
from .models import GenerateRequest, Job, JobEvent, Reason, Status
from .records import Records

__all__ = [
    "GenerateRequest",
    "Job",
    "JobEngine",
    "JobEvent",
    "Reason",
    "Records",
    "Status",
    "TooManyOpenJobsError",
]
