"""Returns the servers, presets, recipes, and displays of targets of triggers and conditions."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from homeassistant.components.event import DOMAIN as EVENT_DOMAIN
from homeassistant.components.image import DOMAIN as IMAGE_DOMAIN
from homeassistant.const import ATTR_ENTITY_ID, CONF_TARGET
from homeassistant.core import HomeAssistant, callback, split_entity_id
from homeassistant.helpers import device_registry as dr, entity_registry as er
from homeassistant.helpers.target import TargetSelection, async_extract_referenced_entity_ids
import voluptuous as vol

from .const import DOMAIN
from .ids import preset_of_image_entity, subentry_unique_id, unique_id

# Groups may have no registry entry, and they may be set up later than an automation.
_GROUP_DOMAINS: Final = frozenset(("group", EVENT_DOMAIN))


class Kind(StrEnum):
    """The kinds of subjects."""

    SERVER = "server"
    PRESET = "preset"
    RECIPE = "recipe"
    DISPLAY = "display"


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """A server, or one of its presets (by slug), recipes, or displays (by subentry ID)."""

    kind: Kind
    entry_id: str
    key: str | None = None


@callback
def async_subjects(hass: HomeAssistant, target: dict[str, Any]) -> set[Subject]:
    """Return the servers, presets, recipes, and displays of a target.

    The image and event entities of the target determine them. The entities of a device in the
    target count even if the user hides or disables them.
    """
    registry = er.async_get(hass)
    selection = TargetSelection(target)
    referenced = async_extract_referenced_entity_ids(hass, selection)
    entity_ids = referenced.referenced | referenced.indirectly_referenced
    entities = [entity for name in entity_ids if (entity := registry.async_get(name)) is not None]
    for device_id in selection.device_ids:
        entities += er.async_entries_for_device(registry, device_id, include_disabled_entities=True)
    return set(_subjects_of(entities))


def _subjects_of(entities: Iterable[er.RegistryEntry]) -> Iterator[Subject]:
    """Yield the subjects of entities."""
    for entity in entities:
        if entity.platform != DOMAIN or entity.config_entry_id is None:
            continue
        if entity.domain in {EVENT_DOMAIN, IMAGE_DOMAIN}:
            kind, key = kind_and_key(entity, entity.config_entry_id)
            yield Subject(kind=kind, entry_id=entity.config_entry_id, key=key)


def kind_and_key(entity: er.RegistryEntry, entry_id: str) -> tuple[Kind, str | None]:
    """Return the kind and the key of the subject of an image or event entity."""
    if (subentry_id := entity.config_subentry_id) is not None:
        is_recipe = entity.unique_id == subentry_unique_id(subentry_id, "recipe_image")
        return Kind.RECIPE if is_recipe else Kind.DISPLAY, subentry_id
    slug = preset_of_image_entity(entry_id, entity.unique_id)
    return Kind.SERVER if slug is None else Kind.PRESET, slug


@callback
def async_require_subject(
    hass: HomeAssistant, target: dict[str, Any], kinds: frozenset[Kind]
) -> None:
    """Raise vol.Invalid if a target names devices and entities, and none of them is usable.

    Areas, floors, and labels are accepted.
    """
    if (selection := _named_only(target)) is None:
        return
    subjects = async_subjects(hass, target)
    if any(subject.kind in kinds for subject in subjects):
        return
    if subjects:
        raise _invalid("A display has no jobs of its own. Select a server, a preset, or a recipe")
    if any(_may_be_group(hass, entity_id) for entity_id in selection.entity_ids):
        return
    raise _unusable(hass, selection, "The target has no image or event entity of GAZE")


@callback
def async_require_server(hass: HomeAssistant, target: dict[str, Any]) -> None:
    """Raise vol.Invalid if a target names devices and entities, and none of them is of GAZE."""
    if (selection := _named_only(target)) is None:
        return
    entities = er.async_get(hass)
    named = (
        *(entities.async_get(entity_id) for entity_id in selection.entity_ids),
        *(
            entity
            for device_id in selection.device_ids
            for entity in er.async_entries_for_device(entities, device_id)
        ),
    )
    if any(entity is not None and entity.platform == DOMAIN for entity in named):
        return
    if any(_may_be_group(hass, entity_id) for entity_id in selection.entity_ids):
        return
    raise _unusable(hass, selection, "The target has no entity of GAZE")


def _named_only(target: dict[str, Any]) -> TargetSelection | None:
    """Return a target, or None if it has an area, a floor, or a label.

    Those may be empty now and get entities later. Raises vol.Invalid for an empty target.
    """
    selection = TargetSelection(target)
    if not selection.has_any_target:
        raise _invalid("Select a target")
    if selection.area_ids or selection.floor_ids or selection.label_ids:
        return None
    return selection


def _unusable(hass: HomeAssistant, selection: TargetSelection, message: str) -> vol.Invalid:
    """Return the error for a target that is unusable or no longer exists."""
    entities, devices = er.async_get(hass), dr.async_get(hass)
    exists = any(map(entities.async_get, selection.entity_ids)) or any(
        map(devices.async_get, selection.device_ids)
    )
    return _invalid(message if exists else "The target does not exist. Select another target")


def _invalid(message: str) -> vol.Invalid:
    """Return the error for a target."""
    return vol.Invalid(message, path=[CONF_TARGET])


def _may_be_group(hass: HomeAssistant, entity_id: str) -> bool:
    """Return whether an entity is a group, as far as that is known."""
    registry = er.async_get(hass)
    if registry.async_get(entity_id) is None and split_entity_id(entity_id)[0] in _GROUP_DOMAINS:
        return not any(gone.entity_id == entity_id for gone in registry.deleted_entities.values())
    state = hass.states.get(entity_id)
    return state is not None and ATTR_ENTITY_ID in state.attributes


@callback
def async_server_entities(
    hass: HomeAssistant, entity_ids: set[str], platform: str, key: str
) -> set[str]:
    """Return the entity with this key of each server that entities belong to."""
    registry = er.async_get(hass)
    entry_ids = {
        entity.config_entry_id
        for entity_id in entity_ids
        if (entity := registry.async_get(entity_id)) is not None and entity.platform == DOMAIN
    }
    found = (
        registry.async_get_entity_id(platform, DOMAIN, unique_id(entry_id, key))
        for entry_id in entry_ids
        if entry_id is not None
    )
    return {entity_id for entity_id in found if entity_id is not None}
