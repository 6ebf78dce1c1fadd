"""Base classes of the entities."""

import asyncio
from collections.abc import Callable, Hashable
from typing import override

from homeassistant.core import CALLBACK_TYPE, callback
from homeassistant.helpers.device_registry import DeviceInfo
from homeassistant.helpers.entity import Entity, EntityDescription
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.helpers.update_coordinator import CoordinatorEntity

from .coordinator import GazeConfigEntry, GazeCoordinator
from .devices import PORTION
from .ids import device_identifier, subentry_device_identifier, subentry_unique_id, unique_id


async def async_add_preset_entities(
    entry: GazeConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
    make: Callable[[str], Entity],
) -> None:
    """Add an entity, made from the slug, for each preset that has a device.

    Entities of new presets are added later. Home Assistant removes an entity with its device.
    """
    coordinator = entry.runtime_data
    known: set[str] = set()

    @callback
    def add_new() -> None:
        current = coordinator.device_presets
        new = [slug for slug in current if slug not in known][:PORTION]
        known.intersection_update(current)
        known.update(new)
        if new:
            async_add_entities([make(slug) for slug in new])

    entry.async_on_unload(coordinator.async_add_device_listener(add_new))
    while not known.issuperset(coordinator.device_presets):
        add_new()
        await asyncio.sleep(0)


class GazeEntity(CoordinatorEntity[GazeCoordinator]):
    """An entity of the server's device, or of a preset's device if it has a slug.

    It writes its state only if an update of the presets, the jobs, or the connection changes it.
    """

    _attr_has_entity_name = True

    def __init__(
        self, coordinator: GazeCoordinator, description: EntityDescription, slug: str | None = None
    ) -> None:
        """Derive the unique ID from the key of the description."""
        super().__init__(coordinator)
        entry_id = coordinator.config_entry.entry_id
        self.entity_description = description
        self.slug = slug
        self._attr_unique_id = unique_id(entry_id, description.key, slug)
        self._attr_device_info = DeviceInfo(identifiers={device_identifier(entry_id, slug)})
        self._shown: Hashable = None

    @property
    @override
    def suggested_object_id(self) -> str | None:
        """Return the key, so that entity IDs don't depend on the language.

        Return None for the entity that has the name of its device.
        """
        return None if self.name is None else self.entity_description.key

    @override
    async def async_added_to_hass(self) -> None:
        """Listen also for changes of jobs."""
        await super().async_added_to_hass()
        self.async_on_remove(self._listen_for_jobs())
        self._shown = self._appearance()

    def _listen_for_jobs(self) -> CALLBACK_TYPE:
        """Call the entity when one of its jobs changes. Returns a function that stops it."""
        return self.coordinator.async_add_job_listener(self._handle_coordinator_update, self.slug)

    @callback
    def async_entity_id_changed(self, old_entity_id: str) -> None:
        """Do nothing, because no data is stored by entity ID."""

    @callback
    @override
    def _handle_coordinator_update(self) -> None:
        """Write the state if it has changed."""
        if (appearance := self._appearance()) != self._shown:
            self._shown = appearance
            super()._handle_coordinator_update()

    def _appearance(self) -> Hashable:
        """Return the values that require a state write if they change."""
        return (self.available, self.state)


class GazeControlEntity(GazeEntity):
    """An entity of the controls, which works without the server."""

    @property
    @override
    def available(self) -> bool:
        """Return True, because users can set controls at any time."""
        return True


class GazeSubentryEntity(GazeEntity):
    """An entity of the device of a recipe or display.

    The device is registered before the entity is added.
    """

    def __init__(
        self, coordinator: GazeCoordinator, description: EntityDescription, subentry_id: str
    ) -> None:
        """Name the entity after its description's key."""
        GazeEntity.__init__(self, coordinator, description)
        self.subentry_id = subentry_id
        self._attr_unique_id = subentry_unique_id(subentry_id, description.key)
        self._attr_device_info = DeviceInfo(identifiers={subentry_device_identifier(subentry_id)})


class GazeRecipeEntity(GazeSubentryEntity):
    """An entity of a recipe."""

    @override
    def _listen_for_jobs(self) -> CALLBACK_TYPE:
        """Listen for the jobs of the recipe only."""
        return self.coordinator.async_add_recipe_listener(
            self._handle_coordinator_update, self.subentry_id
        )


class GazeDisplayEntity(GazeSubentryEntity):
    """An entity of a display, which works without the server."""

    def __init__(
        self, coordinator: GazeCoordinator, description: EntityDescription, subentry_id: str
    ) -> None:
        """Get the player of the display."""
        super().__init__(coordinator, description, subentry_id)
        self.player = coordinator.displays.player(subentry_id)

    @property
    @override
    def available(self) -> bool:
        """Return True, because a display doesn't need the server."""
        return True

    @override
    async def async_added_to_hass(self) -> None:
        """Listen for changes of the display."""
        await super().async_added_to_hass()
        self.async_on_remove(
            self.coordinator.displays.async_add_listener(
                self.subentry_id, self._handle_coordinator_update
            )
        )
