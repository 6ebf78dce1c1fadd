"""Renders a preview of a display that is not stored yet."""

import asyncio
from io import BytesIO
import logging
from typing import Final

from homeassistant.core import HomeAssistant
from PIL import Image as Pillow

from ..const import BRAND_IMAGE
from ..gallery import Gallery, GalleryError, ImageContentError
from .models import Display
from .palettes import Colors
from .rendering import Rendering, render

_LOGGER = logging.getLogger(__name__)

CONTENT_TYPE: Final = "image/webp"
MAX_SIDE: Final = 480
TIMEOUT: Final = 10.0  # seconds until the form goes on without a preview


async def async_render_preview(
    hass: HomeAssistant, gallery: Gallery, display: Display
) -> bytes | None:
    """Return a small image of what a display is going to show, or None if that fails."""
    try:
        async with asyncio.timeout(TIMEOUT):
            images = await gallery.async_select(display.selection, 1)
            content, size = None, display.size_for(0, 0)
            for image in images:
                content = await gallery.async_read(image)
                size = display.size_for(image.width, image.height)
            async with gallery.rendering_slots:
                return await hass.async_add_executor_job(
                    _render_small, content, display.rendering_for(size)
                )
    except (GalleryError, ImageContentError, OSError) as err:
        _LOGGER.debug("Unable to render a preview: %r", err)
        return None


def _render_small(content: bytes | None, rendering: Rendering) -> bytes:
    """Return a rendering in a small size. Blocks. Raises ImageContentError, OSError."""
    if content is None:
        content = BRAND_IMAGE.read_bytes()
    result = BytesIO()
    with Pillow.open(BytesIO(render(content, rendering))) as image:
        small = image.convert("RGB")
        small.thumbnail((MAX_SIDE, MAX_SIDE))
        small.save(result, format="WEBP", lossless=rendering.colors is not Colors.FULL)
    return result.getvalue()
