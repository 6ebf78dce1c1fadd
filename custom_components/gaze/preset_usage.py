"""Finds which presets the configuration of an automation or script uses."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from homeassistant.const import ATTR_CONFIG_ENTRY_ID, CONF_ENABLED
from homeassistant.helpers.template import is_template_string

from .const import DOMAIN

_ACTIONS: Final = {f"{DOMAIN}.{action}" for action in ("generate", "regenerate", "track_job")}
_OFF: Final = {"false", "no", "off", "0", "{{ false }}", "{{false}}"}


@dataclass(frozen=True, kw_only=True, slots=True)
class PresetUsage:
    """A preset that a step names. `entry_id` is that of the server, or None."""

    preset: str
    entry_id: object


def find_usages(config: object) -> Iterator[PresetUsage]:
    """Yield the presets that enabled steps name. Templates are skipped."""
    for part in _enabled_parts(config):
        if isinstance(part, Mapping) and (usage := _usage(part)) is not None:
            yield usage


def find_references(config: object, ids: Mapping[str, str]) -> Iterator[str]:
    """Yield the value in `ids` for each entity ID and device ID in enabled parts."""
    for part in _enabled_parts(config):
        if isinstance(part, str) and part in ids:
            yield ids[part]


def _enabled_parts(config: object) -> Iterator[Mapping[str, Any] | str]:
    """Yield all mappings and texts, except in disabled triggers, conditions, and actions."""
    if isinstance(config, str):
        yield config
    elif isinstance(config, Mapping):
        if _is_disabled(config):
            return
        yield config
        for part in config.values():
            yield from _enabled_parts(part)
    elif isinstance(config, list):
        for part in config:
            yield from _enabled_parts(part)


def _is_disabled(config: Mapping[str, Any]) -> bool:
    """Return whether a step is disabled."""
    enabled = config.get(CONF_ENABLED, True)
    return enabled is False or (isinstance(enabled, str) and enabled.strip().lower() in _OFF)


def _usage(step: Mapping[str, Any]) -> PresetUsage | None:
    """Return the preset that a step names, if any."""
    action, data = step.get("action", step.get("service")), step.get("data")
    if not isinstance(action, str) or action not in _ACTIONS or not isinstance(data, Mapping):
        return None
    preset = data.get("preset")
    if not isinstance(preset, str) or is_template_string(preset):
        return None
    return PresetUsage(preset=preset, entry_id=data.get(ATTR_CONFIG_ENTRY_ID))
