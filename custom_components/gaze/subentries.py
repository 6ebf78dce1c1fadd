"""Reports added, changed, and removed subentries of a server without a reload.

Home Assistant changes subentries in place and only reports that the entry was updated, so this
module compares copies.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from homeassistant.config_entries import SIGNAL_CONFIG_ENTRY_CHANGED, ConfigEntry, ConfigEntryChange
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.helpers.dispatcher import async_dispatcher_connect
from homeassistant.helpers.entity import Entity
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback


@dataclass(frozen=True, kw_only=True, slots=True)
class Subentry:
    """A copy of a subentry."""

    subentry_id: str
    subentry_type: str
    title: str
    data: dict[str, Any]


def _ignore(_subentry: Subentry) -> None:
    """Ignore a subentry."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SubentryListener:
    """Functions that are called when subentries of one type are added, changed, or removed."""

    subentry_type: str
    on_added: Callable[[Subentry], None]
    on_changed: Callable[[Subentry], None] = _ignore
    on_removed: Callable[[Subentry], None] = _ignore


@dataclass(kw_only=True, slots=True)
class Subentries:
    """The subentries of one server.

    Listeners are called in the order in which they were added, so that data is updated before
    the entities that show it. A new listener is immediately called for existing subentries.
    """

    hass: HomeAssistant
    entry: ConfigEntry
    _known: dict[str, Subentry] = field(default_factory=dict)
    _listeners: list[SubentryListener] = field(default_factory=list)

    @callback
    def async_start(self) -> CALLBACK_TYPE:
        """Listen for updates of the entry. Returns a function that stops it."""
        self._known = self._snapshot()
        return async_dispatcher_connect(
            self.hass, SIGNAL_CONFIG_ENTRY_CHANGED, self._on_entry_changed
        )

    @callback
    def async_add_listener(self, listener: SubentryListener) -> CALLBACK_TYPE:
        """Add a listener. Returns a function that removes it."""
        self._listeners.append(listener)
        for subentry in list(self._known.values()):
            if subentry.subentry_type == listener.subentry_type:
                listener.on_added(subentry)
        return lambda: self._listeners.remove(listener)

    @callback
    def _on_entry_changed(self, change: ConfigEntryChange, entry: ConfigEntry) -> None:
        """Call the listeners for subentries that differ from their copies."""
        if change is not ConfigEntryChange.UPDATED or entry.entry_id != self.entry.entry_id:
            return
        before, now = self._known, self._snapshot()
        self._known = now
        for subentry_id, subentry in before.items():
            if subentry_id not in now:
                self._call(subentry, lambda listener: listener.on_removed)
        for subentry_id, subentry in now.items():
            if subentry_id not in before:
                self._call(subentry, lambda listener: listener.on_added)
            elif before[subentry_id] != subentry:
                self._call(subentry, lambda listener: listener.on_changed)

    def _call(
        self,
        subentry: Subentry,
        which: Callable[[SubentryListener], Callable[[Subentry], None]],
    ) -> None:
        """Call the listeners for the type of a subentry."""
        for listener in list(self._listeners):
            if listener.subentry_type == subentry.subentry_type:
                which(listener)(subentry)

    def _snapshot(self) -> dict[str, Subentry]:
        """Return copies of the subentries by ID."""
        return {
            subentry_id: Subentry(
                subentry_id=subentry_id,
                subentry_type=subentry.subentry_type,
                title=subentry.title,
                data=dict(subentry.data),
            )
            for subentry_id, subentry in self.entry.subentries.items()
        }


@callback
def async_add_subentry_entities(
    entry: ConfigEntry[Any],
    async_add_entities: AddConfigEntryEntitiesCallback,
    subentry_type: str,
    make: Callable[[Subentry], Iterable[Entity]],
) -> None:
    """Add the entities that `make` returns for each subentry of a type, now and later.

    Home Assistant removes them with the subentry.
    """
    subentries: Subentries = entry.runtime_data.subentries

    @callback
    def add(subentry: Subentry) -> None:
        async_add_entities(make(subentry), config_subentry_id=subentry.subentry_id)

    entry.async_on_unload(
        subentries.async_add_listener(SubentryListener(subentry_type=subentry_type, on_added=add))
    )
