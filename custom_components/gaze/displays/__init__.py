"""Displays: screens that show images, rendered in their size, colors, and format."""

from .palettes import Colors
from .rendering import Dithering, Fit, Format, Rendering, render

__all__ = ["Colors", "Dithering", "Fit", "Format", "Rendering", "render"]
