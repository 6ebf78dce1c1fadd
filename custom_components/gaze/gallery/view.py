"""Serves saved images to users who are logged in."""

from http import HTTPStatus
from typing import Final

from aiohttp import ETag, hdrs, web
from homeassistant.components.http import KEY_HASS, HomeAssistantView
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant

from ..const import DOMAIN
from ..ids import IMAGE_VIEW_URL
from .errors import GalleryError, ImageGoneError
from .gallery import Gallery
from .thumbnails import THUMBNAIL_SIDES

_SIDES: Final = {str(side): side for side in THUMBNAIL_SIDES}
# What a job made never changes. A proxy that others use must not store it.
_CACHING: Final = {hdrs.CACHE_CONTROL: "private, max-age=31536000, immutable"}


class ImageView(HomeAssistantView):
    """`GET` and `HEAD /api/gaze/image/<config_entry_id>/<job_id>`: a saved image.

    `?size=256` or `512` returns a WebP thumbnail whose longer side is that long.
    """

    url = IMAGE_VIEW_URL
    name = "api:gaze:image"

    async def head(
        self, request: web.Request, config_entry_id: str, job_id: str
    ) -> web.StreamResponse:
        """Return the headers of an image. aiohttp omits the body."""
        return await self.get(request, config_entry_id, job_id)

    async def get(
        self, request: web.Request, config_entry_id: str, job_id: str
    ) -> web.StreamResponse:
        """Return an image, or 304 if the browser has it already."""
        size = request.query.get("size")
        if size is not None and size not in _SIDES:
            return web.Response(
                status=HTTPStatus.BAD_REQUEST, text=f"The size is one of {', '.join(_SIDES)}"
            )
        gallery = _find_gallery(request.app[KEY_HASS], config_entry_id)
        if isinstance(gallery, HTTPStatus):
            return web.Response(status=gallery)
        known = {etag.value for etag in request.if_none_match or ()}
        try:
            image = await gallery.async_get(job_id)
            if image is None:
                return web.Response(status=HTTPStatus.NOT_FOUND)
            content = await gallery.async_content(
                image, None if size is None else _SIDES[size], known
            )
        except ImageGoneError:
            return web.Response(status=HTTPStatus.NOT_FOUND)
        except GalleryError as err:
            return web.Response(
                status=HTTPStatus.INTERNAL_SERVER_ERROR, text=f"Not readable: {err}"
            )
        response = web.Response(headers=_CACHING)
        response.etag = ETag(content.etag)
        if content.data is None:
            response.set_status(HTTPStatus.NOT_MODIFIED)
        else:
            response.content_type = content.content_type
            response.body = content.data
        return response


def _find_gallery(hass: HomeAssistant, config_entry_id: str) -> Gallery | HTTPStatus:
    """Return the gallery of a server, or the status if there is none, or none at the moment."""
    entry = hass.config_entries.async_get_entry(config_entry_id)
    if entry is None or entry.domain != DOMAIN:
        return HTTPStatus.NOT_FOUND
    if entry.state is not ConfigEntryState.LOADED:  # for example, it is being reloaded
        return HTTPStatus.SERVICE_UNAVAILABLE
    gallery: Gallery = entry.runtime_data.gallery
    return gallery
