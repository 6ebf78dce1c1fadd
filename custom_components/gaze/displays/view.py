"""Serves what a display shows to a screen on the local network, without a login."""

from collections import OrderedDict
from http import HTTPStatus
from ipaddress import ip_address
import time
from typing import Final

from aiohttp import ETag, hdrs, web
from homeassistant.components.http import KEY_HASS, HomeAssistantView
from homeassistant.core import HomeAssistant
from homeassistant.helpers.network import is_cloud_connection
from homeassistant.util.network import is_local

from ..const import DOMAIN
from ..gallery import GalleryError
from ..ids import DISPLAY_VIEW_URL
from .manager import Displays
from .player import Player
from .rendering import MAX_PIXELS, MAX_SIDE, MIN_SIDE

BURST: Final = 60
PER_SECOND: Final = 5.0
MAX_PEERS: Final = 1000
MAX_TOKEN: Final = 64
_SIZES: Final = (("w", "h"), ("X-Display-Width", "X-Display-Height"))


class DisplayView(HomeAssistantView):
    """`GET` and `HEAD /api/gaze/display/<token>/<name>`: what a display shows.

    Every address that is unknown gets the same 404 as a path that no view has, and so does every
    address outside the local network.
    """

    url = DISPLAY_VIEW_URL
    name = "api:gaze:display"
    requires_auth = False

    def __init__(self) -> None:
        """Allow each peer its burst."""
        self._limit = RateLimit()

    async def get(
        self,
        request: web.Request,
        token: str,
        name: str,  # noqa: ARG002 - for users only
    ) -> web.StreamResponse:
        """Respond with the image, or with 304 if the screen has it."""
        return await self._respond(request, token)

    async def head(
        self,
        request: web.Request,
        token: str,
        name: str,  # noqa: ARG002 - for users only
    ) -> web.StreamResponse:
        """Respond with the headers of the image."""
        return await self._respond(request, token)

    async def _respond(self, request: web.Request, token: str) -> web.StreamResponse:
        """Respond to a screen."""
        hass = request.app[KEY_HASS]
        if not _is_local(hass, request):
            raise web.HTTPNotFound
        if not self._limit.allows(request.remote or "", time.monotonic()):
            return web.Response(status=HTTPStatus.TOO_MANY_REQUESTS, headers={"Retry-After": "1"})
        found = _find(hass, token)
        if found is None:
            raise web.HTTPNotFound
        displays, player = found
        try:
            size = None if player.display.has_size else requested_size(request)
        except ValueError:
            return web.Response(
                status=HTTPStatus.BAD_REQUEST,
                text=f"Use whole numbers from {MIN_SIDE} to {MAX_SIDE} for width and height.",
            )
        known = frozenset(etag.value for etag in request.if_none_match or ())
        try:
            rendered = await player.async_render(size, known)
        except GalleryError:
            return web.Response(status=HTTPStatus.SERVICE_UNAVAILABLE)
        response = web.Response(headers={hdrs.CACHE_CONTROL: "no-cache"})
        response.etag = ETag(rendered.etag)
        if rendered.data is None:
            response.set_status(HTTPStatus.NOT_MODIFIED)
        else:
            response.content_type = rendered.content_type
            response.body = rendered.data
        if request.method == hdrs.METH_GET:
            displays.async_note_fetch(player)
        return response


class RateLimit:
    """A token bucket for each peer: a burst, then so many requests per second."""

    def __init__(self) -> None:
        """Know no peer."""
        self._peers: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        """Return how many peers are known."""
        return len(self._peers)

    def allows(self, peer: str, now: float) -> bool:
        """Return whether a request of a peer is allowed at a time in seconds, and count it."""
        left, since = self._peers.pop(peer, (float(BURST), now))
        left = min(left + (now - since) * PER_SECOND, BURST)
        allowed = left >= 1
        self._peers[peer] = (left - 1 if allowed else left, now)
        if len(self._peers) > MAX_PEERS:
            self._peers.popitem(last=False)
        return allowed


def _is_local(hass: HomeAssistant, request: web.Request) -> bool:
    """Return whether a request comes from the local network, as for local webhooks."""
    if request.remote is None or is_cloud_connection(hass):
        return False
    try:
        return is_local(ip_address(request.remote))
    except ValueError:
        return False


def _find(hass: HomeAssistant, token: str) -> tuple[Displays, Player] | None:
    """Return the display with this token."""
    found = None
    if len(token) <= MAX_TOKEN:
        for entry in hass.config_entries.async_loaded_entries(DOMAIN):
            displays: Displays = entry.runtime_data.displays
            if (player := displays.find(token)) is not None:
                found = (displays, player)
    return found


def requested_size(request: web.Request) -> tuple[int, int] | None:
    """Return the size that a screen requests in its address or headers. Raises ValueError."""
    for (width, height), source in zip(_SIZES, (request.query, request.headers), strict=True):
        if width in source or height in source:
            sides = (_side(source.get(width, "")), _side(source.get(height, "")))
            if sides[0] * sides[1] > MAX_PIXELS:
                raise ValueError("too many pixels")
            return sides
    return None


def _side(text: str) -> int:
    """Return a side in pixels. Raises ValueError."""
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(MAX_SIDE))):
        raise ValueError("not a whole number")
    side = int(text)
    if not MIN_SIDE <= side <= MAX_SIDE:
        raise ValueError("out of bounds")
    return side
