"""Resolves targets of triggers and conditions to servers and presets."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from homeassistant.components.event import DOMAIN as EVENT_DOMAIN
from homeassistant.components.image import DOMAIN as IMAGE_DOMAIN
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import device_registry as dr, entity_registry as er
from homeassistant.helpers.target import TargetSelection, async_extract_referenced_entity_ids

from .const import DOMAIN
from .ids import unique_id

_PRESET_IMAGE = "preset_image"


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetJobs:
    """The jobs of a server, or of the preset with this slug."""

    entry_id: str
    preset: str | None


@callback
def async_target_jobs(hass: HomeAssistant, target: dict[str, Any]) -> set[TargetJobs]:
    """Return which jobs a target means, by the image and event entities in it."""
    referenced = async_extract_referenced_entity_ids(hass, TargetSelection(target))
    entity_ids = referenced.referenced | referenced.indirectly_referenced
    return set(_jobs_of(er.async_get(hass), entity_ids))


def _jobs_of(registry: er.EntityRegistry, entity_ids: set[str]) -> Iterator[TargetJobs]:
    """Yield the jobs that entities show."""
    for entity_id in entity_ids:
        entity = registry.async_get(entity_id)
        if entity is None or entity.platform != DOMAIN or entity.config_entry_id is None:
            continue
        if entity.domain not in {EVENT_DOMAIN, IMAGE_DOMAIN}:
            continue
        entry_id = entity.config_entry_id
        if entity.unique_id in {
            unique_id(entry_id, "generation"),
            unique_id(entry_id, "latest_image"),
        }:
            yield TargetJobs(entry_id=entry_id, preset=None)
            continue
        slug = entity.unique_id.removeprefix(f"{entry_id}-").removesuffix(f"-{_PRESET_IMAGE}")
        if entity.unique_id == unique_id(entry_id, _PRESET_IMAGE, slug):
            yield TargetJobs(entry_id=entry_id, preset=slug)


@callback
def async_names_only_others(hass: HomeAssistant, target: dict[str, Any]) -> bool:
    """Return whether a target names entities and devices, and none of them is of GAZE.

    Areas, floors, and labels may be empty today and not tomorrow.
    """
    selection = TargetSelection(target)
    if selection.area_ids or selection.floor_ids or selection.label_ids:
        return False
    entities = er.async_get(hass)
    devices = dr.async_get(hass)
    for entity_id in selection.entity_ids:
        entity = entities.async_get(entity_id)
        if entity is None or entity.platform == DOMAIN:
            return False  # groups have no registry entry, for example
    return not any(
        (device := devices.async_get(device_id)) is not None
        and any(identifier[0] == DOMAIN for identifier in device.identifiers)
        for device_id in selection.device_ids
    )


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
