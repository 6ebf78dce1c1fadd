"""Offers the live presets and recipes in the fields of every action."""

from collections.abc import Mapping
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
    """What the actions offer: dropdowns of presets and recipes that also take free text.

    Home Assistant reads `services.yaml` once and stores what it read for each action; a
    description set here takes that place. An open browser sees it after a reload.
    """

    def __init__(self, hass: HomeAssistant, actions: Mapping[str, Any]) -> None:
        """Take the descriptions of the actions as `services.yaml` has them."""
        self._hass = hass
        self._actions = {
            action: {**description, "fields": _checked(description["fields"])}
            for action, description in actions.items()
            if _has_field(description.get("fields", {}))
        }
        self._servers: dict[str, GazeCoordinator] = {}
        self._offered: _Options = {name: [] for name in FIELDS}

    @callback
    def async_follow(self, entry: GazeConfigEntry) -> None:
        """Offer the presets and recipes of a server from now until it is unloaded."""
        self._servers[entry.entry_id] = entry.runtime_data
        entry.async_on_unload(entry.runtime_data.async_add_listener(self._offer))
        entry.async_on_unload(entry.runtime_data.recipes.async_add_listener(self._offer))
        entry.async_on_unload(lambda: self._leave(entry.entry_id))
        self._offer()

    @callback
    def _leave(self, entry_id: str) -> None:
        """Stop offering the presets and recipes of a server."""
        del self._servers[entry_id]
        self._offer()

    @callback
    def _offer(self) -> None:
        """Describe the actions again if there are other presets or recipes."""
        options = {"preset": self._presets(), "recipe": self._recipes()}
        if options == self._offered:
            return
        self._offered = options
        for action, description in self._actions.items():
            fields = _with_options(description["fields"], options)
            async_set_service_schema(self._hass, DOMAIN, action, {**description, "fields": fields})

    def _presets(self) -> list[dict[str, str]]:
        """Return the presets of all servers as options."""
        presets: dict[str, Preset] = {}
        for server in self._servers.values():
            presets = {**server.data, **presets}
        return [{"value": slug, "label": label} for slug, label in preset_labels(presets).items()]

    def _recipes(self) -> list[dict[str, str]]:
        """Return the recipes of all servers as options, by ID: names may be the same."""
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
    """Read the descriptions of the actions, which have to be registered already."""
    file = Path(__file__).with_name("services.yaml")
    actions = await hass.async_add_executor_job(load_yaml_dict, str(file))
    hass.data[DATA_CHOICES] = LiveChoices(hass, actions)


def _has_field(fields: Mapping[str, Any]) -> bool:
    """Return whether there is a field for a preset or a recipe, also in a section."""
    return not fields.keys().isdisjoint(FIELDS) or any(
        _has_field(field.get("fields", {})) for field in fields.values()
    )


def _checked(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields with their selectors written out, as Home Assistant hands them on."""
    return {
        name: {**field, "fields": _checked(field["fields"])}
        if "fields" in field
        else {**field, "selector": validate_selector(field["selector"])}
        for name, field in fields.items()
    }


def _with_options(fields: Mapping[str, Any], options: _Options) -> dict[str, Any]:
    """Return the fields with these presets and recipes to choose from."""
    described: dict[str, Any] = {}
    for name, field in fields.items():
        if "fields" in field:
            described[name] = {**field, "fields": _with_options(field["fields"], options)}
        elif name in FIELDS:
            described[name] = {**field, "selector": _selector(field, options[name])}
        else:
            described[name] = field
    return described


def _selector(field: Mapping[str, Any], options: list[dict[str, str]]) -> dict[str, Any]:
    """Return a dropdown with the options. Without options, people type, as the field says."""
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
