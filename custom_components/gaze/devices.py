"""The devices: a server, and one for each of its presets that people want as a device."""

from collections.abc import Mapping

from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import device_registry as dr

from .api import Preset
from .const import CONF_PRESETS, DOMAIN
from .coordinator import GazeConfigEntry, GazeCoordinator
from .names import preset_labels

MANUFACTURER = "GAZE"


def device_identifier(entry_id: str, slug: str | None = None) -> tuple[str, str]:
    """Return the identifier of a preset's device, or of the server's."""
    return (DOMAIN, entry_id if slug is None else f"{entry_id}-{slug}")


def shown_presets(coordinator: GazeCoordinator) -> Mapping[str, Preset]:
    """Return the presets that are devices, by slug: those of the option, which may mean all."""
    chosen = set(coordinator.config_entry.options.get(CONF_PRESETS, ()))
    if not chosen:
        return coordinator.data
    return {slug: preset for slug, preset in coordinator.data.items() if slug in chosen}


@callback
def async_setup_devices(hass: HomeAssistant, entry: GazeConfigEntry) -> None:
    """Register the devices of a server, and from then on follow its presets.

    To be called before entities are added: they only name the device that they belong to.
    """
    devices = _Devices(hass, entry)
    devices.async_follow()
    entry.async_on_unload(entry.runtime_data.async_add_listener(devices.async_follow))


class _Devices:
    """The devices of one server in the device registry."""

    def __init__(self, hass: HomeAssistant, entry: GazeConfigEntry) -> None:
        """Register the server's own device."""
        self._entry = entry
        self._coordinator = entry.runtime_data
        self._registry = dr.async_get(hass)
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
    def async_follow(self) -> None:
        """Add, rename and remove devices as the presets are now.

        Devices only go when the server itself said what presets it has in this run.
        """
        shown = shown_presets(self._coordinator)
        every = preset_labels(self._coordinator.data)
        labels = {slug: every[slug] for slug in shown}
        if labels == self._labels and self._cleaned:
            return
        if labels != self._labels:
            self._register(labels)
        self._labels = labels
        if self._coordinator.presets_listed:
            self._remove_others()
            self._cleaned = True

    def _register(self, labels: Mapping[str, str]) -> None:
        """Add and rename the devices of presets; a name that a person gave one stays."""
        entry_id = self._entry.entry_id
        names = {
            identifier: device.name
            for device in dr.async_entries_for_config_entry(self._registry, entry_id)
            if device.via_device_id == self._server.id
            for identifier in device.identifiers
        }
        for slug, label in labels.items():
            identifier = device_identifier(entry_id, slug)
            name = f"{self._entry.title} {label}"
            if names.get(identifier) != name:
                self._registry.async_get_or_create(
                    config_entry_id=entry_id,
                    identifiers={identifier},
                    name=name,
                    manufacturer=MANUFACTURER,
                    model="Preset",
                    entry_type=dr.DeviceEntryType.SERVICE,
                    via_device_id=self._server.id,
                )

    def _remove_others(self) -> None:
        """Remove the devices of presets that are gone or no longer chosen, with their entities."""
        entry_id = self._entry.entry_id
        kept = {device_identifier(entry_id, slug) for slug in (None, *self._labels)}
        for device in dr.async_entries_for_config_entry(self._registry, entry_id):
            if not device.identifiers & kept:
                self._registry.async_remove_device(device.id)
