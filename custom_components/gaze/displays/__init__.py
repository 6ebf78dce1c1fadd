"""Displays: screens that show images, rendered in their size, colors, and format."""

from .manager import Displays, ShownImage, async_listen_for_shown_images, async_remove_displays
from .models import DEFAULTS, Advance, Display, Order, Source
from .palettes import Colors
from .player import Player
from .preview import CONTENT_TYPE as PREVIEW_CONTENT_TYPE, async_render_preview
from .rendering import Dithering, Fit, Format, Rendering, render
from .view import DisplayView

__all__ = [
    "DEFAULTS",
    "PREVIEW_CONTENT_TYPE",
    "Advance",
    "Colors",
    "Display",
    "DisplayView",
    "Displays",
    "Dithering",
    "Fit",
    "Format",
    "Order",
    "Player",
    "Rendering",
    "ShownImage",
    "Source",
    "async_listen_for_shown_images",
    "async_remove_displays",
    "async_render_preview",
    "render",
]
