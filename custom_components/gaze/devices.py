"""Registers the devices of a server, its presets, its recipes, and its displays."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping, Set as AbstractSet
from itertools import batched
from typing import Final

from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import device_registry as dr

from .api import Preset
from .const import CONF_PRESETS, SUBENTRY_DISPLAY, SUBENTRY_RECIPE
from .coordinator import GazeConfigEntry, GazeCoordinator
from .ids import device_identifier, subentry_device_identifier
from .names import clean, preset_labels
from .subentries import Subentry, SubentryListener

MANUFACTURER: Final = "GAZE"
SUBENTRY_MODELS: Final = {SUBENTRY_DISPLAY: "Display", SUBENTRY_RECIPE: "Recipe"}
# Devices for each turn of the event loop. Each has two entities, which are added in the same turn.
PORTION: Final = 15


def shown_presets(coordinator: GazeCoordinator) -> Mapping[str, Preset]:
    """Return the presets that are selected as devices, by slug. No selection means all."""
    chosen = set(coordinator.config_entry.options.get(CONF_PRESETS, ()))
    if not chosen:
        return coordinator.data
    return {slug: preset for slug, preset in coordinator.data.items() if slug in chosen}


async def async_setup_devices(hass: HomeAssistant, entry: GazeConfigEntry) -> None:
    """Register the devices of a server, and update them when its presets change.

    Call this before you add entities, because they refer to a device that must exist.
    """
    devices = _Devices(hass, entry)
    await devices.async_update()
    entry.async_on_unload(entry.runtime_data.async_add_listener(devices.async_schedule_update))


@callback
def async_setup_subentry_devices(hass: HomeAssistant, entry: GazeConfigEntry) -> None:
    """Register a device for each recipe and display, and rename it with its subentry.

    Home Assistant removes it with the subentry.
    """
    registry = dr.async_get(hass)
    server = registry.async_get_device_by_identifier(
        device_identifier(entry.entry_id), entry.entry_id
    )

    def register(subentry: Subentry) -> None:
        registry.async_get_or_create(
            config_entry_id=entry.entry_id,
            config_subentry_id=subentry.subentry_id,
            identifiers={subentry_device_identifier(subentry.subentry_id)},
            name=f"{entry.title} {clean(subentry.title)}",
            manufacturer=MANUFACTURER,
            model=SUBENTRY_MODELS[subentry.subentry_type],
            entry_type=dr.DeviceEntryType.SERVICE,
            via_device_id=None if server is None else server.id,
        )

    for subentry_type in SUBENTRY_MODELS:
        entry.async_on_unload(
            entry.runtime_data.subentries.async_add_listener(
                SubentryListener(
                    subentry_type=subentry_type, on_added=register, on_changed=register
                )
            )
        )


class _Devices:
    """Manages the devices of one server in the device registry.

    Many presets may be added or removed together, so each portion takes its own turn of the
    event loop.
    """

    def __init__(self, hass: HomeAssistant, entry: GazeConfigEntry) -> None:
        """Register the server's own device."""
        self._hass = hass
        self._entry = entry
        self._coordinator = entry.runtime_data
        self._registry = dr.async_get(hass)
        self._update_lock = asyncio.Lock()
        self._labels: dict[str, str] = {}
        self._cleaned = False
        self._server = self._registry.async_get_or_create(
            config_entry_id=entry.entry_id,
            identifiers={device_identifier(entry.entry_id)},
            name=entry.title,
            manufacturer=MANUFACTURER,
            entry_type=dr.DeviceEntryType.SERVICE,
            configuration_url=str(self._coordinator.url),
        )

    @callback
    def async_schedule_update(self) -> None:
        """Update the devices in a task, which handles a first portion immediately."""
        self._entry.async_create_task(self._hass, self.async_update(), "gaze devices")

    async def async_update(self) -> None:
        """Add, rename, and remove devices to match the current presets.

        Remove devices only if the server has listed its presets since the start.
        """
        async with self._update_lock:
            shown = shown_presets(self._coordinator)
            every = preset_labels(self._coordinator.data)
            labels = {slug: every[slug] for slug in shown}
            if labels == self._labels and self._cleaned:
                return
            self._labels = labels
            await self._register()
            if self._coordinator.presets_listed:
                await self._remove_others()
                self._cleaned = True

    async def _register(self) -> None:
        """Add and rename the devices of presets. A name that a user set stays."""
        names = {
            identifier: device.name
            for device in dr.async_entries_for_config_entry(self._registry, self._entry.entry_id)
            if device.via_device_id == self._server.id
            for identifier in device.identifiers
        }
        registered = set(self._coordinator.device_presets)
        self._set_registered(registered)
        async for portion in self._in_portions(self._labels):
            for slug in portion:
                identifier = device_identifier(self._entry.entry_id, slug)
                name = f"{self._entry.title} {self._labels[slug]}"
                if names.get(identifier) != name:
                    self._registry.async_get_or_create(
                        config_entry_id=self._entry.entry_id,
                        identifiers={identifier},
                        name=name,
                        manufacturer=MANUFACTURER,
                        model="Preset",
                        entry_type=dr.DeviceEntryType.SERVICE,
                        via_device_id=self._server.id,
                    )
            registered.update(portion)
            self._set_registered(registered)

    def _set_registered(self, slugs: AbstractSet[str]) -> None:
        """Report the presets that have a device to the coordinator, in the order of the labels."""
        self._coordinator.async_set_device_presets([slug for slug in self._labels if slug in slugs])

    async def _remove_others(self) -> None:
        """Remove the devices and entities of presets that are deleted or no longer selected."""
        entry_id = self._entry.entry_id
        current = {device_identifier(entry_id, slug) for slug in (None, *self._labels)}
        others = [
            device.id
            for device in dr.async_entries_for_config_entry(self._registry, entry_id)
            if device.config_subentry_id is None and not device.identifiers & current
        ]
        async for portion in self._in_portions(others):
            for device_id in portion:
                self._registry.async_remove_device(device_id)

    async def _in_portions(self, items: Iterable[str]) -> AsyncGenerator[tuple[str, ...]]:
        """Yield portions, each in its own turn of the event loop, until the server is unloaded."""
        for number, portion in enumerate(batched(items, PORTION, strict=False)):
            if number:
                await asyncio.sleep(0)
            if self._entry.state is ConfigEntryState.UNLOAD_IN_PROGRESS:
                return
            yield portion
