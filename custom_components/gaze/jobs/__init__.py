"""The job engine: life cycle, pacing, records and persistence."""

from .engine import JobEngine, TooManyOpenJobsError
from .models import SIDE_STEP, GenerateRequest, Job, JobEvent, Reason, Status
from .records import Records

__all__ = [
    "SIDE_STEP",
    "GenerateRequest",
    "Job",
    "JobEngine",
    "JobEvent",
    "Reason",
    "Records",
    "Status",
    "TooManyOpenJobsError",
]
