"""Offers the current presets and recipes as options in the fields of every action."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.selector import validate_selector
from homeassistant.helpers.service import async_set_service_schema
from homeassistant.util.hass_dict import HassKey
from homeassistant.util.yaml import load_yaml_dict

from .api import Preset
from .const import DOMAIN
from .coordinator import GazeConfigEntry, GazeCoordinator
from .names import clean, preset_labels

FIELDS: Final = ("preset", "recipe")


type _Options = dict[str, list[dict[str, str]]]


class LiveChoices:
    """Adds dropdowns of presets and recipes, which also accept text, to the actions.

    Home Assistant reads `services.yaml` once and stores a description of each action. This class
    replaces the descriptions. A browser shows them after its page is loaded again.
    """

    def __init__(self, hass: HomeAssistant, actions: Mapping[str, Any]) -> None:
        """Store the descriptions of the actions in `services.yaml`."""
        self._hass = hass
        self._actions = {
            action: {**description, "fields": _validate_selectors(description["fields"])}
            for action, description in actions.items()
            if _has_field(description.get("fields", {}))
        }
        self._servers: dict[str, GazeCoordinator] = {}
        self._options: _Options = {name: [] for name in FIELDS}

    @callback
    def async_add_server(self, entry: GazeConfigEntry) -> None:
        """Offer the presets and recipes of a server from now until it is unloaded."""
        self._servers[entry.entry_id] = entry.runtime_data
        entry.async_on_unload(entry.runtime_data.async_add_listener(self._update_actions))
        entry.async_on_unload(entry.runtime_data.recipes.async_add_listener(self._update_actions))
        entry.async_on_unload(lambda: self._remove_server(entry.entry_id))
        self._update_actions()

    @callback
    def _remove_server(self, entry_id: str) -> None:
        """Stop offering the presets and recipes of a server."""
        del self._servers[entry_id]
        self._update_actions()

    @callback
    def _update_actions(self) -> None:
        """Replace the descriptions of the actions if the options changed."""
        options = {"preset": self._get_preset_options(), "recipe": self._get_recipe_options()}
        if options == self._options:
            return
        self._options = options
        for action, description in self._actions.items():
            fields = _add_options(description["fields"], options)
            async_set_service_schema(self._hass, DOMAIN, action, {**description, "fields": fields})

    def _get_preset_options(self) -> list[dict[str, str]]:
        """Return the presets of all servers as options."""
        presets: dict[str, Preset] = {}
        for server in self._servers.values():
            presets = {**server.data, **presets}
        return [{"value": slug, "label": label} for slug, label in preset_labels(presets).items()]

    def _get_recipe_options(self) -> list[dict[str, str]]:
        """Return the recipes of all servers as options. Their values are IDs, which are unique."""
        return [
            {
                "value": recipe.recipe_id,
                "label": clean(recipe.name)
                if len(self._servers) == 1
                else f"{clean(recipe.name)} ({clean(server.config_entry.title)})",
            }
            for server in self._servers.values()
            for recipe in server.recipes
        ]


DATA_CHOICES: Final[HassKey[LiveChoices]] = HassKey(f"{DOMAIN}.choices")


async def async_setup_choices(hass: HomeAssistant) -> None:
    """Read the descriptions of the actions. Call this after the actions are registered."""
    hass.data[DATA_CHOICES] = LiveChoices(hass, await hass.async_add_executor_job(_read_actions))


@cache
def _read_actions() -> Mapping[str, Any]:
    """Return the content of `services.yaml`, which changes only with the integration. Blocks."""
    return load_yaml_dict(str(Path(__file__).with_name("services.yaml")))


def _has_field(fields: Mapping[str, Any]) -> bool:
    """Return whether fields or their sections contain a field for a preset or a recipe."""
    return not fields.keys().isdisjoint(FIELDS) or any(
        _has_field(field.get("fields", {})) for field in fields.values()
    )


def _validate_selectors(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields with complete selectors, as Home Assistant sends them to the frontend."""
    return {
        name: {**field, "fields": _validate_selectors(field["fields"])}
        if "fields" in field
        else {**field, "selector": validate_selector(field["selector"])}
        for name, field in fields.items()
    }


def _add_options(fields: Mapping[str, Any], options: _Options) -> dict[str, Any]:
    """Return the fields with the presets and recipes as options."""
    described: dict[str, Any] = {}
    for name, field in fields.items():
        if "fields" in field:
            described[name] = {**field, "fields": _add_options(field["fields"], options)}
        elif name in FIELDS:
            described[name] = {**field, "selector": _create_selector(field, options[name])}
        else:
            described[name] = field
    return described


def _create_selector(field: Mapping[str, Any], options: list[dict[str, str]]) -> dict[str, Any]:
    """Return a dropdown with the options, or the selector of the field if there are none."""
    plain: Mapping[str, Any] = field["selector"]
    if not options:
        return dict(plain)
    (settings,) = plain.values()
    return {
        "select": {
            "options": options,
            "custom_value": True,
            "mode": "dropdown",
            "multiple": settings["multiple"],
            "sort": True,
        }
    }
