"""Forms that add and change a display."""

from collections.abc import Mapping
from typing import Any, Final

from homeassistant.components.image import DOMAIN as IMAGE_DOMAIN
from homeassistant.config_entries import (
    SOURCE_RECONFIGURE,
    ConfigEntryState,
    ConfigSubentryFlow,
    SubentryFlowResult,
)
from homeassistant.const import ATTR_ENTITY_PICTURE, CONF_NAME
from homeassistant.core import callback
from homeassistant.data_entry_flow import section
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.selector import (
    BooleanSelector,
    ColorRGBSelector,
    NumberSelector,
    NumberSelectorConfig,
    NumberSelectorMode,
    SelectOptionDict,
    SelectSelector,
    SelectSelectorConfig,
    SelectSelectorMode,
    TextSelector,
)
from homeassistant.util import slugify
import voluptuous as vol

from .const import DOMAIN, SUBENTRY_RECIPE
from .coordinator import GazeCoordinator
from .displays import DEFAULTS, Advance, Colors, Dithering, Fit, Format, Order, Source
from .displays.rendering import MAX_PIXELS, MAX_SIDE, MIN_SIDE
from .ids import subentry_unique_id
from .names import clean

RENDERING: Final = "rendering"
CHANGING: Final = "changing"
SECTIONS: Final = (RENDERING, CHANGING)
ROTATIONS: Final = ("0", "90", "180", "270")
MAX_MINUTES: Final = 7 * 24 * 60


def _choice(translation_key: str, options: list[str]) -> SelectSelector:
    """Return a choice among fixed options."""
    return SelectSelector(
        SelectSelectorConfig(
            options=options,
            translation_key=translation_key,
            mode=SelectSelectorMode.DROPDOWN,
        )
    )


def _number(least: int, most: int, unit: str | None = None) -> vol.All:
    """Return a field for a whole number."""
    config = NumberSelectorConfig(min=least, max=most, step=1, mode=NumberSelectorMode.BOX)
    if unit is not None:
        config["unit_of_measurement"] = unit
    return vol.All(NumberSelector(config), vol.Coerce(int))


def _optional(key: str) -> vol.Optional:
    """Return a field that has its default if it is omitted."""
    return vol.Optional(key, default=DEFAULTS[key])


_SIDE: Final = _number(MIN_SIDE, MAX_SIDE, "px")
_RENDERING_SCHEMA: Final = vol.Schema(
    {
        _optional("rotation"): _choice("rotation", list(ROTATIONS)),
        _optional("fit"): _choice("fit", list(Fit)),
        _optional("background"): ColorRGBSelector(),
        _optional("format"): _choice("format", list(Format)),
        _optional("quality"): _number(1, 95),
        _optional("colors"): _choice("colors", list(Colors)),
        _optional("dithering"): _choice("dithering", list(Dithering)),
    }
)
_CHANGING_SCHEMA: Final = vol.Schema(
    {
        _optional("order"): _choice("order", list(Order)),
        _optional("advance"): _choice("advance", list(Advance)),
        _optional("advance_minutes"): _number(1, MAX_MINUTES, "min"),
    }
)


class DisplayFlow(ConfigSubentryFlow):
    """Adds a display or changes it, with one form for both."""

    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Add a display."""
        return await self.async_step_display(user_input)

    async def async_step_reconfigure(
        self, user_input: dict[str, Any] | None = None
    ) -> SubentryFlowResult:
        """Change a display."""
        return await self.async_step_display(user_input)

    async def async_step_display(
        self, user_input: dict[str, Any] | None = None
    ) -> SubentryFlowResult:
        """Show the form, and store what people entered."""
        errors: dict[str, str] = {}
        if user_input is not None:
            name, data = clean(user_input[CONF_NAME]), self._data(user_input)
            if not (errors := self._errors(name, data)):
                return self._async_store(name, data)
        return self.async_show_form(
            step_id="display",
            data_schema=self.add_suggested_values_to_schema(
                self._schema(), self._suggested() if user_input is None else user_input
            ),
            errors=errors,
            description_placeholders={"address": self._address(), "preview": self._preview()},
        )

    @property
    def _coordinator(self) -> GazeCoordinator | None:
        """Return what knows the presets, or None while the server is not loaded."""
        entry = self._get_entry()
        if entry.state is not ConfigEntryState.LOADED:
            return None
        coordinator: GazeCoordinator = entry.runtime_data
        return coordinator

    @callback
    def _async_store(self, title: str, data: dict[str, Any]) -> SubentryFlowResult:
        """Store a display."""
        if self.source == SOURCE_RECONFIGURE:
            return self.async_update_and_abort(
                self._get_entry(), self._get_reconfigure_subentry(), title=title, data=data
            )
        return self.async_create_entry(title=title, data=data)

    def _data(self, user_input: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is stored of a form: all fields without their sections."""
        data = {
            key: value for key, value in user_input.items() if key not in {CONF_NAME, *SECTIONS}
        }
        for name, schema in ((RENDERING, _RENDERING_SCHEMA), (CHANGING, _CHANGING_SCHEMA)):
            data |= schema(user_input.get(name, {}))
        value = self._source_value(Source(data["source"]), data.get("source_value", "").strip())
        if Source(data["source"]).needs_value:
            data["source_value"] = value
        else:
            data.pop("source_value", None)
        return data

    def _source_value(self, source: Source, text: str) -> str:
        """Return the slug of a preset or the ID of a recipe that people may have typed by name."""
        if source is Source.PRESET and self._coordinator is not None:
            preset = self._coordinator.find_preset(text)
            return text if preset is None else preset.slug
        if source is Source.RECIPE:
            return next(
                (
                    recipe_id
                    for recipe_id, title in self._recipes().items()
                    if text == recipe_id or (text and slugify(text) == slugify(title))
                ),
                text,
            )
        return text

    def _stored(self, key: str) -> Any:
        """Return what a field of the display that is changed had before, or None."""
        if self.source != SOURCE_RECONFIGURE:
            return None
        return self._get_reconfigure_subentry().data.get(key)

    def _recipes(self) -> dict[str, str]:
        """Return the names of the recipes by ID."""
        return {
            subentry.subentry_id: subentry.title
            for subentry in self._get_entry().subentries.values()
            if subentry.subentry_type == SUBENTRY_RECIPE
        }

    def _errors(self, name: str, data: Mapping[str, Any]) -> dict[str, str]:
        """Return what is wrong, by field."""
        if not name:
            return {CONF_NAME: "name_missing"}
        source, value = Source(data["source"]), data.get("source_value")
        if source.needs_value and not value:
            return {"source_value": "source_value_missing"}
        is_recipe = value in self._recipes()
        if source is not Source.RECIPE and is_recipe:
            return {"source_value": "is_recipe"}
        # The images of a recipe stay when it is deleted.
        if source is Source.RECIPE and not is_recipe and value != self._stored("source_value"):
            return {"source_value": "recipe_unknown"}
        return _size_errors(data)

    def _suggested(self) -> dict[str, Any]:
        """Return what the form shows at first."""
        if self.source != SOURCE_RECONFIGURE:
            return {}
        subentry = self._get_reconfigure_subentry()
        return {
            CONF_NAME: subentry.title,
            **subentry.data,
            RENDERING: subentry.data,
            CHANGING: subentry.data,
        }

    def _schema(self) -> vol.Schema:
        """Return the form."""
        return vol.Schema(
            {
                vol.Required(CONF_NAME): TextSelector(),
                _optional("source"): _choice("source", list(Source)),
                vol.Optional("source_value"): self._source_values(),
                vol.Optional("width"): _SIDE,
                vol.Optional("height"): _SIDE,
                _optional("address"): BooleanSelector(),
                vol.Optional(RENDERING): section(_RENDERING_SCHEMA, {"collapsed": True}),
                vol.Optional(CHANGING): section(_CHANGING_SCHEMA, {"collapsed": True}),
            }
        )

    def _source_values(self) -> SelectSelector:
        """Return a choice of presets and recipes. People may also type a tag."""
        options = [
            SelectOptionDict(value=recipe_id, label=title)
            for recipe_id, title in self._recipes().items()
        ]
        if self._coordinator is not None:
            options += [
                SelectOptionDict(value=slug, label=clean(preset.name))
                for slug, preset in self._coordinator.data.items()
            ]
        return SelectSelector(
            SelectSelectorConfig(
                options=options, custom_value=True, mode=SelectSelectorMode.DROPDOWN
            )
        )

    def _address(self) -> str:
        """Return the address of the display as Markdown, or nothing while it is turned off."""
        if self._coordinator is None or self.source != SOURCE_RECONFIGURE:
            return ""
        url = self._coordinator.displays.url(self._reconfigure_subentry_id)
        return "" if url is None else f"\n\n```\n{url}\n```"

    def _preview(self) -> str:
        """Return what the display shows as Markdown."""
        if self._coordinator is None or self.source != SOURCE_RECONFIGURE:
            return ""
        entity_id = er.async_get(self.hass).async_get_entity_id(
            IMAGE_DOMAIN,
            DOMAIN,
            subentry_unique_id(self._reconfigure_subentry_id, "display_image"),
        )
        state = None if entity_id is None else self.hass.states.get(entity_id)
        if state is None or (image := state.attributes.get(ATTR_ENTITY_PICTURE)) is None:
            return ""
        return f"\n\n![]({image})"


def _size_errors(data: Mapping[str, Any]) -> dict[str, str]:
    """Return what is wrong with the size, by field."""
    width, height = data.get("width"), data.get("height")
    if (width is None) != (height is None):
        return {"height" if height is None else "width": "size_incomplete"}
    if width is not None and height is not None and width * height > MAX_PIXELS:
        return {"width": "too_many_pixels"}
    return {}
