"""Client, models, and errors of GAZE's REST API v1, without imports of Home Assistant."""

from .address import InvalidHostError, parse_host
from .client import GazeClient, format_one_line
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
    "format_one_line",
    "parse_host",
]
