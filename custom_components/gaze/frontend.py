"""Serves the dashboard cards and adds them to every page of the frontend.

The path of the modules contains their hash, so that browsers can cache them permanently and
relative imports lead to the same version. The loader is a view that browsers always validate. It
imports the modules of the running version. A version in the query isn't sufficient, because Home
Assistant's service worker serves an index page with the old one after an upgrade.

A page that stays open over an upgrade loads its other modules from the old path. It gets the
modules of the running version.
"""

import hashlib
from pathlib import Path
from typing import Final

from aiohttp import ETag, hdrs, web
from homeassistant.components.frontend import DOMAIN as FRONTEND_DOMAIN, add_extra_js_url
from homeassistant.components.http import KEY_HASS, HomeAssistantView, StaticPathConfig
from homeassistant.core import HomeAssistant

LOADER_URL: Final = "/api/gaze/cards.js"
MODULES_URL: Final = "/gaze_static"
MODULES: Final = Path(__file__).parent / "frontend"


async def async_setup_frontend(hass: HomeAssistant) -> None:
    """Serve the cards, and let the frontend load them if it is set up."""
    digest = await hass.async_add_executor_job(hash_files, MODULES)
    url = f"{MODULES_URL}/{digest}"
    await hass.http.async_register_static_paths([StaticPathConfig(url, str(MODULES), True)])
    hass.http.register_view(LoaderView(url, digest))
    hass.http.register_view(OldModulesView())
    if FRONTEND_DOMAIN in hass.config.components:
        add_extra_js_url(hass, LOADER_URL)


class LoaderView(HomeAssistantView):
    """`GET /api/gaze/cards.js`: a module that imports the current cards.

    The frontend loads it before users log in, so it contains no private data.
    """

    url = LOADER_URL
    name = "api:gaze:cards"
    requires_auth = False

    def __init__(self, modules_url: str, digest: str) -> None:
        """Load the modules from this path."""
        self._text = f'import "{modules_url}/cards.js";\n'
        self._etag = ETag(digest)

    async def get(self, request: web.Request) -> web.Response:
        """Return the module, or 304 if the browser has it."""
        known = {etag.value for etag in request.if_none_match or ()}
        if self._etag.value in known:
            response = web.Response(status=304)
        else:
            response = web.Response(text=self._text, content_type="text/javascript")
        response.headers[hdrs.CACHE_CONTROL] = "no-cache"
        response.etag = self._etag
        return response


class OldModulesView(HomeAssistantView):
    """`GET /gaze_static/<hash of another version>/<module>`: the module of the running version."""

    url = f"{MODULES_URL}/{{digest:[0-9a-f]{{16}}}}/{{name:(?:vendor/)?[a-z]+\\.js}}"
    name = "gaze:modules"
    requires_auth = False

    async def get(self, request: web.Request, name: str, **_: str) -> web.FileResponse:
        """Return the module, which browsers must not store under the old path."""
        path = MODULES / name
        if not await request.app[KEY_HASS].async_add_executor_job(path.is_file):
            raise web.HTTPNotFound
        return web.FileResponse(path, headers={hdrs.CACHE_CONTROL: "no-store"})


def hash_files(folder: Path) -> str:
    """Return a hash of the names and bytes of all files in a folder. Blocks."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]
