"""The form that adds and changes a display."""

from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, override

from homeassistant.components.image import DOMAIN as IMAGE_DOMAIN
from homeassistant.config_entries import SubentryFlowResult
from homeassistant.const import ATTR_ENTITY_PICTURE, CONF_NAME
from homeassistant.core import callback
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.selector import (
    BooleanSelector,
    ColorRGBSelector,
    SelectOptionDict,
    SelectSelector,
    SelectSelectorConfig,
    SelectSelectorMode,
    TextSelector,
)
import voluptuous as vol

from .const import DOMAIN, SUBENTRY_DISPLAY, SUBENTRY_RECIPE
from .coordinator import GazeCoordinator
from .displays import (
    DEFAULTS,
    PREVIEW_CONTENT_TYPE,
    Advance,
    Colors,
    Display,
    Dithering,
    Fit,
    Format,
    Order,
    Source,
    async_render_preview,
)
from .displays.rendering import MAX_PIXELS, MAX_SIDE, MIN_SIDE
from .gallery import GalleryError
from .ids import subentry_unique_id
from .names import clean, slug_of
from .subentries import Subentry
from .subentry_flow import GazeSubentryFlow, choice, whole_number

ROTATIONS: Final = ("0", "90", "180", "270")
MAX_MINUTES: Final = 7 * 24 * 60


def _optional(key: str) -> vol.Optional:
    """Return a field that has its default if it is omitted."""
    return vol.Optional(key, default=DEFAULTS[key])


_SIDE: Final = whole_number(MIN_SIDE, MAX_SIDE, "px")
SECTIONS: Final = {
    "rendering": vol.Schema(
        {
            _optional("rotation"): choice("rotation", list(ROTATIONS)),
            _optional("fit"): choice("fit", list(Fit)),
            _optional("background"): ColorRGBSelector(),
            _optional("format"): choice("format", list(Format)),
            _optional("quality"): whole_number(1, 95),
            _optional("colors"): choice("colors", list(Colors)),
            _optional("dithering"): choice("dithering", list(Dithering)),
        }
    ),
    "changing": vol.Schema(
        {
            _optional("order"): choice("order", list(Order)),
            _optional("advance"): choice("advance", list(Advance)),
            _optional("advance_minutes"): whole_number(1, MAX_MINUTES, "min"),
        }
    ),
}


class DisplayFlow(GazeSubentryFlow):
    """Adds a display or changes it."""

    subentry_type = SUBENTRY_DISPLAY
    sections = SECTIONS

    def __init__(self) -> None:
        """Start without a display that was added."""
        self._stored: set[str] = set()
        self._added: dict[str, str] | None = None  # the placeholders of the last dialog

    async def async_step_display(
        self, user_input: dict[str, Any] | None = None
    ) -> SubentryFlowResult:
        """Show the form, and store what the user entered."""
        return await self._async_step(user_input)

    @override
    def _fields(self) -> dict[vol.Marker, Any]:
        """Return the fields above the sections."""
        return {
            vol.Required(CONF_NAME): TextSelector(),
            _optional("source"): choice("source", list(Source)),
            vol.Optional("source_value"): self._source_values(),
            vol.Optional("width"): _SIDE,
            vol.Optional("height"): _SIDE,
            _optional("address"): BooleanSelector(),
        }

    @override
    def _data(self, user_input: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is stored of a form: the source's value only if the source needs one."""
        data = super()._data(user_input)
        value = self._source_value(Source(data["source"]), data.get("source_value", "").strip())
        if Source(data["source"]).needs_value:
            data["source_value"] = value
        else:
            data.pop("source_value", None)
        return data

    @override
    def _placeholders(self) -> dict[str, str]:
        """Return the address and the image of a display that is changed."""
        if self._coordinator is None or self._changed is None:
            return {"address": "", "preview": ""}
        display_id = self._changed.subentry_id
        return {
            "address": self._address(self._coordinator, display_id),
            "preview": self._preview(display_id),
        }

    @override
    async def _async_store(self, title: str, data: dict[str, Any]) -> SubentryFlowResult:
        """Store the display. The last dialog of a new one shows its address and a preview."""
        if Source(data["source"]) is Source.PRESET and self._coordinator is not None:
            text = data["source_value"]
            with suppress(GalleryError):
                data["source_value"] = await self._coordinator.async_find_preset_slug(text) or text
        if self._changed is not None:
            return await super()._async_store(title, data)
        self._added = {"address": "", "preview": await self._async_render_preview(title, data)}
        self._stored = set(self._titles(SUBENTRY_DISPLAY))
        return self.async_create_entry(title=title, data=data, description_placeholders=self._added)

    @override
    @callback
    def async_remove(self) -> None:
        """Fill in the address of a new display, which has one only now that it is stored."""
        if self._added is None or self._coordinator is None:
            return
        for display_id in self._titles(SUBENTRY_DISPLAY).keys() - self._stored:
            self._added["address"] = self._address(self._coordinator, display_id)

    async def _async_render_preview(self, title: str, data: dict[str, Any]) -> str:
        """Return what a new display is going to show as Markdown, or nothing if that fails."""
        if self._coordinator is None:
            return ""
        subentry = Subentry(subentry_id="", subentry_type=SUBENTRY_DISPLAY, title=title, data=data)
        content = await async_render_preview(
            self.hass, self._coordinator.gallery, Display.from_subentry(subentry)
        )
        if content is None:
            return ""
        return f"\n\n![](data:{PREVIEW_CONTENT_TYPE};base64,{b64encode(content).decode()})"

    def _source_value(self, source: Source, text: str) -> str:
        """Return a text of the form, or the ID of a recipe, which the user may enter by name."""
        if source is Source.RECIPE:
            return next(
                (
                    recipe_id
                    for recipe_id, title in self._titles(SUBENTRY_RECIPE).items()
                    if text == recipe_id or (text and slug_of(text) == slug_of(title))
                ),
                text,
            )
        return text

    @override
    async def _async_errors(self, name: str, data: Mapping[str, Any]) -> dict[str, str]:
        """Return the errors by field."""
        if not name:
            return {CONF_NAME: "name_missing"}
        source, value = Source(data["source"]), data.get("source_value")
        if source.needs_value and not value:
            return {"source_value": "source_value_missing"}
        stored = None if self._changed is None else self._changed.data.get("source_value")
        is_recipe = value in self._titles(SUBENTRY_RECIPE)
        if source is not Source.RECIPE and is_recipe:
            return {"source_value": "is_recipe"}
        # The images of a recipe stay when it is deleted.
        if source is Source.RECIPE and not is_recipe and value != stored:
            return {"source_value": "recipe_unknown"}
        return _size_errors(data)

    def _source_values(self) -> SelectSelector:
        """Return a selector of presets and recipes. The user may also enter a tag."""
        options = [
            SelectOptionDict(value=recipe_id, label=title)
            for recipe_id, title in self._titles(SUBENTRY_RECIPE).items()
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

    def _address(self, coordinator: GazeCoordinator, display_id: str) -> str:
        """Return the address of a display as Markdown, or nothing while it is turned off."""
        displays = coordinator.displays
        player = displays.find_display(display_id)
        path = None if player is None else displays.path(player)
        return "" if path is None else f"\n\n```\n{displays.url(display_id) or path}\n```"

    def _preview(self, display_id: str) -> str:
        """Return what a display shows as Markdown."""
        entity_id = er.async_get(self.hass).async_get_entity_id(
            IMAGE_DOMAIN, DOMAIN, subentry_unique_id(display_id, "display_image")
        )
        state = None if entity_id is None else self.hass.states.get(entity_id)
        if state is None or (image := state.attributes.get(ATTR_ENTITY_PICTURE)) is None:
            return ""
        return f"\n\n![]({image})"


def _size_errors(data: Mapping[str, Any]) -> dict[str, str]:
    """Return the errors of the size by field."""
    width, height = data.get("width"), data.get("height")
    if (width is None) != (height is None):
        return {"height" if height is None else "width": "size_incomplete"}
    if width is not None and height is not None and width * height > MAX_PIXELS:
        return {"width": "too_many_pixels"}
    return {}
