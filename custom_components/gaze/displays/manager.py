"""The displays of one server: created with their subentries, stored, and found by address."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from hmac import compare_digest
from pathlib import Path
import secrets
from typing import Any, Final

from homeassistant.config_entries import ConfigEntry
from homeassistant.const import EVENT_CORE_CONFIG_UPDATE
from homeassistant.core import CALLBACK_TYPE, Event, HomeAssistant, callback
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.dispatcher import async_dispatcher_connect, async_dispatcher_send
from homeassistant.helpers.event import async_call_later
from homeassistant.helpers.network import NoURLAvailableError, get_url
from homeassistant.helpers.storage import STORAGE_DIR, Store
from homeassistant.util import dt as dt_util, slugify

from ..backup_state import backup_state
from ..const import DOMAIN, SUBENTRY_DISPLAY
from ..gallery import Gallery, Image
from ..ids import display_path, subentry_device_identifier
from ..names import clean
from ..subentries import Subentries, Subentry, SubentryListener
from .files import remove_others, remove_tree
from .models import Advance, Display, DisplayState
from .player import Owner, Player

SAVE_DELAY: Final = 30  # seconds that a crash may cost of what was fetched or shown last
TOKEN_BYTES: Final = 32
FETCH_RESOLUTION: Final = 60.0  # seconds between two updates of when a screen fetched last

_SIGNAL_SHOWN: Final = f"{DOMAIN}_display_shown"


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownImage:
    """The image that a display of a server shows from now on."""

    entry_id: str
    display_id: str
    image: Image


@callback
def async_listen_for_shown_images(
    hass: HomeAssistant, listener: Callable[[ShownImage], None]
) -> CALLBACK_TYPE:
    """Call the listener when a display of any server shows another image.

    Its entities show the change by then. The listener survives a reload of the server. Returns
    how to stop that.
    """
    return async_dispatcher_connect(hass, _SIGNAL_SHOWN, listener)


class Displays:
    """The displays of one server by subentry ID."""

    def __init__(
        self,
        hass: HomeAssistant,
        entry: ConfigEntry,
        gallery: Gallery,
        find_preset: Callable[[str], Awaitable[str | None]],
    ) -> None:
        """Use the entry's own store. find_preset: see `Owner`."""
        self._hass = hass
        self._entry = entry
        self._gallery = gallery
        self._find_preset = find_preset
        self._store = displays_store(hass, entry.entry_id)
        self._states: dict[str, Any] = {}
        self._players: dict[str, Player] = {}
        self._timers: dict[str, CALLBACK_TYPE] = {}
        self._updating = asyncio.Lock()
        self._update_due = False
        self._stopped = False

    @property
    def players(self) -> list[Player]:
        """Return the displays."""
        return list(self._players.values())

    def player(self, display_id: str) -> Player:
        """Return a display. Raises KeyError if there is none."""
        return self._players[display_id]

    def find_display(self, display_id: str) -> Player | None:
        """Return a display, or None if there is none with this ID."""
        return self._players.get(display_id)

    def find(self, token: str) -> Player | None:
        """Return the display whose address is turned on and has this token.

        Compares with all tokens in constant time, so that the response time reveals nothing.
        """
        given = token.encode(errors="replace")
        found = None
        for player in self._players.values():
            same = compare_digest(player.state.token.encode(), given)
            if same and player.display.address:
                found = player
        return found

    def path(self, player: Player) -> str | None:
        """Return the path at which a screen fetches its image, or None while that is off."""
        if not player.display.address:
            return None
        name = slugify(clean(player.display.name)) or SUBENTRY_DISPLAY
        extension = player.display.rendering.format.extension
        return display_path(player.state.token, f"{name}.{extension}")

    def url(self, display_id: str) -> str | None:
        """Return the address of a display on the local network.

        None while it is off, or if Home Assistant does not know its own address.
        """
        player = self._players.get(display_id)
        if player is None or (path := self.path(player)) is None:
            return None
        try:
            base = get_url(self._hass, allow_external=False, allow_cloud=False)
        except NoURLAvailableError:
            return None
        return f"{base}{path}"

    # Setup and unload

    async def async_load(self) -> None:
        """Read what is stored, and remove the files of deleted displays."""
        stored = await self._store.async_load() or {}
        self._states = {
            display_id: state
            for display_id, state in stored.items()
            if display_id in self._entry.subentries
        }
        await self._hass.async_add_executor_job(self._remove_others)

    def _remove_others(self) -> None:
        """Delete the files of removed displays, and copies that a crash left. Blocks."""
        backups = backup_state(self._hass)
        copies = {state.get("copy") for state in self._states.values()}
        remove_others(displays_folder(self._hass, self._entry.entry_id), copies, backups)
        remove_others(self._cache, self._states.keys(), backups)

    @callback
    def async_start(self, subentries: Subentries) -> None:
        """Create the displays of the subentries, now and later."""
        self._entry.async_on_unload(
            subentries.async_add_listener(
                SubentryListener(
                    subentry_type=SUBENTRY_DISPLAY,
                    on_added=self._on_added,
                    on_changed=self._on_changed,
                    on_removed=self._on_removed,
                )
            )
        )
        self._entry.async_on_unload(
            self._hass.bus.async_listen(EVENT_CORE_CONFIG_UPDATE, self._on_core_config)
        )

    async def async_stop(self) -> None:
        """Stop the displays and store them.

        From now on, the store and the copies belong to the displays of the next setup.
        """
        await asyncio.gather(*(player.async_stop() for player in self.players))
        self._stopped = True
        for stop in self._timers.values():
            stop()
        self._timers.clear()
        await self._store.async_save(self._as_dict())

    @callback
    def async_update(self) -> None:
        """Let the displays show images that are new to them."""
        if self._players and not self._update_due:
            self._update_due = True
            self._entry.async_create_background_task(
                self._hass, self._async_update(), "gaze update displays"
            )

    async def _async_update(self) -> None:
        """Update one display after the other."""
        async with self._updating:
            self._update_due = False
            for player in self.players:
                await player.async_update()

    # Actions of users and screens

    @callback
    def async_set_hold(self, player: Player, hold: bool) -> None:
        """Hold the image that a display shows, or let it change again."""
        player.state.hold = hold
        self._changed(player)
        if not hold:
            self.async_update()

    @callback
    def async_renew_token(self, player: Player) -> None:
        """Give a display a new address; the old one stops working immediately."""
        player.state.token = secrets.token_urlsafe(TOKEN_BYTES)
        self._changed(player)
        self._entry.async_create_task(self._hass, self._async_save())

    @callback
    def async_note_fetch(self, player: Player) -> None:
        """Note that a screen fetched its image, and show it the next one if it is due."""
        now = dt_util.utcnow().timestamp()
        last = player.state.last_fetched
        if last is None or abs(now - last) >= FETCH_RESOLUTION:
            player.state.last_fetched = now
            self._changed(player)
        if player.display.advance is Advance.ON_FETCH:
            self._entry.async_create_background_task(
                self._hass, player.async_advance(), "gaze advance display"
            )

    @callback
    def async_add_listener(self, display_id: str, listener: Callable[[], None]) -> CALLBACK_TYPE:
        """Call the listener when a display changes. Returns how to stop that."""
        return async_dispatcher_connect(self._hass, _signal(display_id), listener)

    # Internal

    @callback
    def _on_added(self, subentry: Subentry) -> None:
        """Create a display."""
        display = Display.from_subentry(subentry)
        stored = self._states.get(display.display_id)
        state = (
            DisplayState(token=secrets.token_urlsafe(TOKEN_BYTES), history=[], seen=[])
            if stored is None
            else DisplayState.from_dict(stored)
        )
        player = Player(
            self._hass,
            self._gallery,
            display,
            state,
            Owner(
                on_change=lambda: self._changed(player),
                on_shown=lambda image: self._on_shown(player, image),
                save=self._async_save,
                find_preset=self._find_preset,
            ),
            folder=displays_folder(self._hass, self._entry.entry_id),
            cache=self._cache / display.display_id,
        )
        self._players[display.display_id] = player
        self._set_timer(player)
        self._show_address(player)
        if stored is None:
            self._entry.async_create_task(self._hass, self._async_save())
        self.async_update()

    @callback
    def _on_changed(self, subentry: Subentry) -> None:
        """Apply the changed settings of a display."""
        player = self._players[subentry.subentry_id]
        before, player.display = player.display, Display.from_subentry(subentry)
        if before.rendering != player.display.rendering:
            player.state.shown_at = dt_util.utcnow().timestamp()
        if (before.source, before.source_value) != (
            player.display.source,
            player.display.source_value,
        ):
            player.change_source()
        self._set_timer(player)
        self._changed(player)
        self.async_update()

    @callback
    def _on_removed(self, subentry: Subentry) -> None:
        """Remove a display and what is stored of it."""
        player = self._players.pop(subentry.subentry_id)
        if (stop := self._timers.pop(subentry.subentry_id, None)) is not None:
            stop()
        self._states.pop(subentry.subentry_id, None)
        self._entry.async_create_task(self._hass, self._async_remove(player))

    async def _async_remove(self, player: Player) -> None:
        """Remove the files of a display."""
        await self._async_save()
        await player.async_remove()
        await self._hass.async_add_executor_job(
            remove_tree, self._cache / player.display.display_id
        )

    @callback
    def _set_timer(self, player: Player) -> None:
        """Let a display advance when its image was shown for the interval.

        A restart doesn't begin the interval again.
        """
        interval = player.display.advance_minutes * 60
        shown_at, now = player.state.shown_at, dt_util.utcnow().timestamp()
        shown_for = 0 if shown_at is None else max(now - shown_at, 0)
        self._advance_later(player, max(interval - shown_for, 0))

    @callback
    def _advance_later(self, player: Player, seconds: float) -> None:
        """Let a display advance after a time, if it does so in an interval."""
        display = player.display
        if (stop := self._timers.pop(display.display_id, None)) is not None:
            stop()
        if display.advance is not Advance.INTERVAL or self._stopped:
            return
        if self._players.get(display.display_id) is not player:
            return  # it is removed

        async def advance(_now: datetime) -> None:
            self._advance_later(player, display.advance_minutes * 60)
            await player.async_advance()

        self._timers[display.display_id] = async_call_later(self._hass, seconds, advance)

    @callback
    def _changed(self, player: Player) -> None:
        """Store the displays soon and update the entities of one."""
        if self._stopped:
            return
        self._store.async_delay_save(self._as_dict, SAVE_DELAY)
        self._show_address(player)
        async_dispatcher_send(self._hass, _signal(player.display.display_id))

    @callback
    def _on_shown(self, player: Player, image: Image) -> None:
        """Begin the interval again, and report that a display shows another image."""
        self._set_timer(player)
        shown = ShownImage(
            entry_id=self._entry.entry_id, display_id=player.display.display_id, image=image
        )
        async_dispatcher_send(self._hass, _SIGNAL_SHOWN, shown)

    @callback
    def _on_core_config(self, _event: Event) -> None:
        """Show the addresses again: Home Assistant's own may be another."""
        for player in self.players:
            self._show_address(player)

    def _show_address(self, player: Player) -> None:
        """Show the address as the *Visit* link of the device."""
        registry = dr.async_get(self._hass)
        display_id = player.display.display_id
        device = registry.async_get_device_by_identifier(
            subentry_device_identifier(display_id), self._entry.entry_id
        )
        if device is not None:
            registry.async_update_device(device.id, configuration_url=self.url(display_id))

    async def _async_save(self) -> None:
        """Store the displays now."""
        if self._stopped:
            return
        await self._store.async_save(self._as_dict())

    def _as_dict(self) -> dict[str, Any]:
        """Return what is stored."""
        return {display_id: player.state.as_dict() for display_id, player in self._players.items()}

    @property
    def _cache(self) -> Path:
        """Return the folder for rendered images, with a folder for each display."""
        return Path(self._hass.config.cache_path(DOMAIN, self._entry.entry_id)) / "displays"


def displays_store(hass: HomeAssistant, entry_id: str) -> Store[dict[str, Any]]:
    """Return the store of the displays of a server. It holds the tokens of their addresses."""
    return Store(hass, 1, f"{DOMAIN}.{entry_id}.displays", private=True)


def displays_folder(hass: HomeAssistant, entry_id: str) -> Path:
    """Return the folder for the images that the displays of a server show."""
    return Path(hass.config.path(STORAGE_DIR, f"{DOMAIN}.{entry_id}.display_images"))


async def async_remove_displays(hass: HomeAssistant, entry_id: str) -> None:
    """Remove what is stored of the displays of a server."""
    await displays_store(hass, entry_id).async_remove()
    await hass.async_add_executor_job(remove_tree, displays_folder(hass, entry_id))


def _signal(display_id: str) -> str:
    """Return the name of the dispatcher signal of a display."""
    return f"{DOMAIN}_display_{display_id}"
