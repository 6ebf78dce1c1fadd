"""GAZE's REST API v1: client, models and errors. Knows nothing of Home Assistant."""

from .address import InvalidHostError, parse_host
from .client import GazeClient, one_line
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
from .models import GenerateOptions, JobReport, Preset, ReportedStatus

__all__ = [
    "GazeAuthError",
    "GazeBusyError",
    "GazeClient",
    "GazeConnectionError",
    "GazeError",
    "GazeImageError",
    "GazeImageRefusedError",
    "GazeNotFoundError",
    "GazeRequestError",
    "GazeResponseError",
    "GazeServerError",
    "GazeSslError",
    "GazeTimeoutError",
    "GenerateOptions",
    "InvalidHostError",
    "JobReport",
    "Preset",
    "ReportedStatus",
    "one_line",
    "parse_host",
]
