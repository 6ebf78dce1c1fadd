"""Constants of the integration."""

from pathlib import Path
from typing import Final

DOMAIN: Final = "gaze"
EVENT_GAZE: Final = "gaze_event"
EVENT_LOGBOOK: Final = "gaze_logbook_entry"
BRAND_IMAGE: Final = Path(__file__).parent / "brand" / "icon@2x.png"

CONF_PRESETS: Final = "presets"
CONF_SAVE_IMAGES: Final = "save_images"
CONF_STRIP_METADATA: Final = "strip_metadata"
CONF_KEEP_IMAGES: Final = "keep_images"
CONF_MAX_OPEN_JOBS: Final = "max_open_jobs"
CONF_GIVE_UP_AFTER: Final = "give_up_after"
CONF_AI_TASK_TIMEOUT: Final = "ai_task_timeout"

DEFAULT_KEEP_IMAGES: Final = 500
DEFAULT_MAX_OPEN_JOBS: Final = 100
DEFAULT_GIVE_UP_AFTER: Final = 12  # hours
DEFAULT_AI_TASK_TIMEOUT: Final = 15  # minutes

SUBENTRY_DISPLAY: Final = "display"
SUBENTRY_RECIPE: Final = "recipe"
