"""WebSocket commands of the dashboard cards, for every user who is logged in.

Administrators alone may subscribe to events, so the cards get what they show from here:
`gaze/subscribe` sends the state of all servers at once and after each change, and
`gaze/images` lists saved images page by page.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from heapq import merge
from itertools import islice
import json
from math import ceil
from typing import Any, Final, NamedTuple

from homeassistant.components import websocket_api
from homeassistant.config_entries import (
    SIGNAL_CONFIG_ENTRY_CHANGED,
    ConfigEntry,
    ConfigEntryChange,
    ConfigEntryState,
)
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.helpers.dispatcher import async_dispatcher_connect
from homeassistant.helpers.json import json_bytes
from homeassistant.util import dt as dt_util
from homeassistant.util.hass_dict import HassKey
from homeassistant.util.json import json_loads_object
import voluptuous as vol

from .const import DOMAIN
from .coordinator import GazeConfigEntry, GazeCoordinator
from .gallery import GalleryError, Image, Selection
from .jobs import UNKNOWN_ESTIMATE, Estimate, Job
from .payloads import format_time, image_payload, job_payload
from .sensor import server_status

# At most four messages in any second, each of at most 10 KB: phones and tablets read them all.
# The first message to a subscriber may come at any time between two others.
MESSAGE_GAP: Final = 0.34
MESSAGE_BYTES: Final = 10_000
MAX_IMAGES: Final = 100


class _Limit(NamedTuple):
    """How many things of each server go into a message."""

    presets: int
    jobs: int
    recipes: int


_MAX_TEXT: Final = 120
_MAX_PROMPT: Final = 1000
# How many presets, jobs, and recipes of each server go into a message: the first that fit. Recipes
# go first, because cards can request the other presets, and don't need the other jobs.
_LIMITS: Final = (
    _Limit(presets=100, jobs=100, recipes=100),
    _Limit(presets=100, jobs=12, recipes=100),
    _Limit(presets=100, jobs=6, recipes=100),
    _Limit(presets=25, jobs=6, recipes=100),
    _Limit(presets=6, jobs=6, recipes=50),
    _Limit(presets=3, jobs=3, recipes=25),
    _Limit(presets=1, jobs=1, recipes=6),
    _Limit(presets=0, jobs=0, recipes=0),
)
_ENDED_JOBS: Final = 8
_JOB_FIELDS: Final = (
    "job_id",
    "batch_id",
    "index",
    "count",
    "status",
    "reason",
    "error",
    "preset",
    "preset_name",
    "recipe",
    "recipe_name",
    "requested_at",
    "started_at",
    "finished_at",
)
_CHIPS: Final = 50
_INTEGER_BITS: Final = 64  # of SQLite

type Send = Callable[[bytes], None]
type Json = dict[str, Any]
type Servers = dict[str, GazeCoordinator]  # an entry loses its data when it is unloaded


@callback
def async_setup_websocket(hass: HomeAssistant) -> None:
    """Register the commands."""
    hass.data[DATA_PUBLISHER] = Publisher(hass=hass)
    websocket_api.async_register_command(hass, _subscribe)
    websocket_api.async_register_command(hass, _list_images)


@callback
@websocket_api.websocket_command({vol.Required("type"): "gaze/subscribe"})
def _subscribe(hass: HomeAssistant, connection: websocket_api.ActiveConnection, msg: Json) -> None:
    """Send the state of all servers now and after each change."""

    @callback
    def send(state: bytes) -> None:
        connection.send_message(b'{"id":%d,"type":"event","event":%b}' % (msg["id"], state))

    connection.send_result(msg["id"])
    remove = hass.data[DATA_PUBLISHER].async_add_subscriber(send)

    @callback
    def end() -> None:
        """End the subscription, and tell the cards.

        After a reconnect, the frontend may end subscriptions by their numbers on the connection
        before. One of them may be the number of this one.
        """
        remove()
        send(b"null")

    connection.subscriptions[msg["id"]] = end


@websocket_api.websocket_command(
    {
        vol.Required("type"): "gaze/images",
        vol.Optional("entry_id"): str,
        vol.Optional("job_id"): str,
        vol.Optional("preset"): str,
        vol.Optional("recipe"): str,
        vol.Optional("tag"): str,
        vol.Optional("favorite"): bool,
        vol.Optional("search"): str,
        vol.Optional("cursor"): str,
        vol.Optional("limit", default=24): vol.All(int, vol.Range(min=1, max=MAX_IMAGES)),
    }
)
@websocket_api.async_response
async def _list_images(
    hass: HomeAssistant, connection: websocket_api.ActiveConnection, msg: Json
) -> None:
    """Return a page of saved images of all servers or one, the newest first."""
    servers: Servers = {
        entry.entry_id: entry.runtime_data
        for entry in hass.config_entries.async_loaded_entries(DOMAIN)
        if msg.get("entry_id") in {None, entry.entry_id}
    }
    try:
        if "job_id" in msg:
            connection.send_result(msg["id"], await _one_image(servers, msg["job_id"]))
        else:
            connection.send_result(msg["id"], await _page(servers, msg))
    except GalleryError as err:
        connection.send_error(
            msg["id"],
            websocket_api.ERR_HOME_ASSISTANT_ERROR,
            str(err),
            translation_domain=DOMAIN,
            translation_key="gallery_failed",
            translation_placeholders={"error": str(err)},
        )
    except ValueError:
        connection.send_error(msg["id"], websocket_api.ERR_INVALID_FORMAT, "Unknown cursor")


async def _one_image(servers: Servers, job_id: str) -> Json:
    """Return the image of a job with its whole texts, if it is saved."""
    for entry_id, coordinator in servers.items():
        if image := await coordinator.gallery.async_get(job_id):
            return {"images": [_image_of(entry_id, image)], "cursor": None}
    return {"images": [], "cursor": None}


async def _page(servers: Servers, msg: Json) -> Json:
    """Return a page, the cursor of the next one, and for the first one what can be filtered.

    A cursor has the number of the last image of each server that was listed, so images that come
    or go meanwhile neither shift nor repeat others. Raises ValueError for another text.
    """
    below = _read_cursor(msg.get("cursor"))
    limit: int = msg["limit"]
    pages = []
    for entry_id, coordinator in servers.items():
        selection = _selection(coordinator, msg, below=below.get(entry_id))
        images = await coordinator.gallery.async_select(selection, limit + 1)
        pages.append([(entry_id, image) for image in images])
    listed = merge(*pages, key=lambda row: row[1].made_at, reverse=True)
    shown = list(islice(listed, limit))
    more = next(listed, None) is not None
    for entry_id, image in shown:
        below[entry_id] = image.number
    page: Json = {
        "images": [_shorten(_image_of(entry_id, image)) for entry_id, image in shown],
        "cursor": json.dumps(below) if more else None,
    }
    if "cursor" not in msg:
        page["presets"] = await _presets_with_images(servers.values())
    return page


def _read_cursor(text: str | None) -> dict[str, int]:
    """Return the number of the last listed image by server. Raises ValueError."""
    below: dict[str, Any] = {} if text is None else json_loads_object(text)
    if not all(
        type(value) is int and value.bit_length() < _INTEGER_BITS for value in below.values()
    ):
        raise ValueError("not a cursor")
    return below


def _selection(coordinator: GazeCoordinator, msg: Json, below: int | None) -> Selection:
    """Return which images of a server a command means.

    A preset and a recipe can be given by name. A deleted one is what its images contain.
    """
    known = {
        name: msg[name] for name in ("preset", "recipe", "tag", "favorite", "search") if name in msg
    }
    if "preset" in known and (preset := coordinator.find_preset(known["preset"])) is not None:
        known["preset"] = preset.slug
    if "recipe" in known and len(found := coordinator.recipes.find(known["recipe"])) == 1:
        known["recipe"] = found[0].recipe_id
    return Selection(**known, below=below)


def _image_of(entry_id: str, image: Image) -> Json:
    """Return an image and the server that it belongs to."""
    return {"entry_id": entry_id, **image_payload(entry_id, image)}


def _shorten(image: Json) -> Json:
    """Return an image whose prompts have a length that a list can show."""
    for name in ("extra_positive", "extra_negative"):
        if image[name]:
            image[name] = image[name][:_MAX_PROMPT]
    return image


async def _presets_with_images(servers: Iterable[GazeCoordinator]) -> list[Json]:
    """Return the presets that have images, those with the most first."""
    counts: dict[str, Json] = {}
    for coordinator in servers:
        for folder in (await coordinator.gallery.async_overview()).presets:
            chip = counts.setdefault(
                folder.key, {"slug": folder.key, "name": folder.name[:_MAX_TEXT], "count": 0}
            )
            chip["count"] += folder.count
    return sorted(counts.values(), key=lambda chip: -chip["count"])[:_CHIPS]


@dataclass(kw_only=True, slots=True)
class Publisher:
    """Sends the state of all servers to the subscribers. Without one, it builds no state.

    A state is built once per change for all subscribers. It is sent at once, or a moment later if
    the last one was sent just before.
    """

    hass: HomeAssistant
    _subscribers: list[Send] = field(default_factory=list)
    _watched: dict[str, _Watched] = field(default_factory=dict)
    _stop_listening: CALLBACK_TYPE | None = None
    _sent: bytes = b""
    _timer: CALLBACK_TYPE | None = None
    _changed: bool = False

    @callback
    def async_add_subscriber(self, send: Send) -> CALLBACK_TYPE:
        """Send the state now and after each change. Returns how to stop that."""
        if not self._subscribers:
            self._start()
        self._subscribers.append(send)
        send(_with_time(self._build()))
        if self._timer is None:
            self._start_gap()

        @callback
        def remove() -> None:
            self._subscribers.remove(send)
            if not self._subscribers:
                self._stop()

        return remove

    def _start(self) -> None:
        """Listen to the servers."""
        self._stop_listening = async_dispatcher_connect(
            self.hass, SIGNAL_CONFIG_ENTRY_CHANGED, self._on_entry_changed
        )
        self._watch_servers()
        self._sent = self._build()

    def _stop(self) -> None:
        """Stop listening to the servers."""
        if self._stop_listening is not None:
            self._stop_listening()
        if self._timer is not None:
            self._timer()
        self._stop_listening = self._timer = None
        self._changed = False
        for watched in self._watched.values():
            watched.stop()
        self._watched.clear()

    @callback
    def _on_entry_changed(self, _change: ConfigEntryChange, entry: ConfigEntry[Any]) -> None:
        """Watch the servers that are loaded now."""
        if entry.domain == DOMAIN:
            self._watch_servers()
            self._on_change()

    def _watch_servers(self) -> None:
        """Listen to each loaded server; a reload makes another coordinator."""
        loaded: dict[str, GazeCoordinator] = {
            entry.entry_id: entry.runtime_data
            for entry in self.hass.config_entries.async_loaded_entries(DOMAIN)
        }
        for entry_id, watched in list(self._watched.items()):
            if loaded.get(entry_id) is not watched.coordinator:
                self._watched.pop(entry_id).stop()
        for entry_id, coordinator in loaded.items():
            if entry_id not in self._watched:
                self._watched[entry_id] = _Watched(
                    coordinator=coordinator,
                    listeners=(
                        coordinator.async_add_listener(self._on_change),
                        coordinator.async_add_job_listener(self._on_change),
                        coordinator.recipes.async_add_listener(self._on_change),
                    ),
                )

    @callback
    def _on_change(self) -> None:
        """Send the state, now or when the gap to the last message is over."""
        if self._timer is None:
            self._send()
        else:
            self._changed = True

    @callback
    def _send(self) -> None:
        """Send the state if it differs from the one sent before."""
        self._changed = False
        state = self._build()
        if state == self._sent:
            return
        self._sent = state
        message = _with_time(state)
        for send in list(self._subscribers):
            send(message)
        self._start_gap()

    def _start_gap(self) -> None:
        """Send nothing for a moment."""
        self._timer = self.hass.loop.call_later(MESSAGE_GAP, self._on_gap_over).cancel

    @callback
    def _on_gap_over(self) -> None:
        """Send what changed in the meantime."""
        self._timer = None
        if self._changed:
            self._send()

    def _build(self) -> bytes:
        """Return the state of all servers as JSON, with as many things as fit."""
        entries: list[GazeConfigEntry] = self.hass.config_entries.async_entries(
            DOMAIN, include_disabled=False
        )
        state = b"[]"
        for limit in _LIMITS:
            state = json_bytes([_server(self.hass, entry, limit) for entry in entries])
            if len(state) <= MESSAGE_BYTES - 100:
                break
        return state


@dataclass(frozen=True, kw_only=True, slots=True)
class _Watched:
    """A coordinator and how to stop listening to it."""

    coordinator: GazeCoordinator
    listeners: tuple[CALLBACK_TYPE, ...]

    def stop(self) -> None:
        """Stop listening."""
        for remove in self.listeners:
            remove()


DATA_PUBLISHER: HassKey[Publisher] = HassKey(f"{DOMAIN}_publisher")


def _with_time(servers: bytes) -> bytes:
    """Return a message: browsers compare times with the server's clock, not with their own."""
    return b'{"now":"%b","servers":%b}' % (dt_util.utcnow().isoformat().encode(), servers)


def _server(hass: HomeAssistant, entry: GazeConfigEntry, limit: _Limit) -> Json:
    """Return the state of a server, with at most so many presets, jobs, and recipes."""
    server: Json = {
        "entry_id": entry.entry_id,
        "title": entry.title[:_MAX_TEXT],
        "loaded": entry.state is ConfigEntryState.LOADED,
        "connected": False,
        "status": "not_loaded",
        "presets": [],
        "preset_count": 0,
        "preset_list": "",
        "recipes": [],
        "images": {"newest": None, "count": 0, "changes": 0},
        "jobs": [],
        "open_jobs": 0,
    }
    if not server["loaded"]:
        return server
    coordinator = entry.runtime_data
    newest = coordinator.gallery.newest()
    presets = list(coordinator.data.values())
    return server | {
        "connected": coordinator.last_update_success,
        "status": server_status(coordinator),
        "presets": [
            {"slug": preset.slug, "name": preset.name[:_MAX_TEXT]}
            for preset in presets[: limit.presets]
        ],
        "preset_count": len(presets),
        # changes with any preset, because the message has the first ones only
        "preset_list": f"{entry.entry_id}-{hash(tuple(presets)):x}",
        "recipes": _recipes(entry)[: limit.recipes],
        "images": {
            "newest": None if newest is None else newest.job_id,
            "count": coordinator.gallery.count,
            "changes": coordinator.gallery.changes,
        },
        "jobs": _jobs(hass, entry, limit.jobs),
        "open_jobs": len(coordinator.engine.open_jobs),
    }


def _recipes(entry: GazeConfigEntry) -> list[Json]:
    """Return the recipes of a server by name."""
    recipes = [
        {
            "id": recipe.recipe_id,
            "name": recipe.name[:_MAX_TEXT],
            "preset": recipe.preset[:_MAX_TEXT],
        }
        for recipe in entry.runtime_data.recipes
    ]
    return sorted(recipes, key=lambda recipe: recipe["name"].casefold())


def _jobs(hass: HomeAssistant, entry: GazeConfigEntry, limit: int) -> list[Json]:
    """Return the first open jobs in the order of the queue, then the last ended ones."""
    engine = entry.runtime_data.engine
    estimates = engine.estimates()
    ended = [job for job in reversed(engine.jobs) if not job.open]
    return [
        _job(hass, entry, job, estimates.get(job.job_id, UNKNOWN_ESTIMATE))
        for job in (*engine.open_jobs[:limit], *ended[: min(limit, _ENDED_JOBS)])
    ]


def _job(hass: HomeAssistant, entry: GazeConfigEntry, job: Job, estimate: Estimate) -> Json:
    """Return a job with when it is expected to start and end, null if nothing is learned.

    Times are whole seconds, so that a state that did not change stays equal. They are rounded
    up, so that nothing is expected in the past. The margin is the standard deviation of the end.
    """
    payload = job_payload(hass, entry.entry_id, job)
    return {
        **{name: _short(payload.get(name)) for name in _JOB_FIELDS},
        "expected_start": format_time(_round_up(estimate.start)),
        "expected_end": format_time(_round_up(estimate.end)),
        "expected_margin": _round_up(estimate.margin),
    }


def _short(value: Any) -> Any:
    """Return a value, with a text truncated."""
    return value[:_MAX_TEXT] if isinstance(value, str) else value


def _round_up(seconds: float | None) -> int | None:
    """Return whole seconds, so that nothing is expected in the past."""
    return None if seconds is None else ceil(seconds)
