"""Forms that add and change a recipe."""

from collections.abc import Mapping
from typing import Any, Final

from homeassistant.components.ai_task import DOMAIN as AI_TASK_DOMAIN
from homeassistant.config_entries import (
    SOURCE_RECONFIGURE,
    ConfigEntryState,
    ConfigSubentryFlow,
    SubentryFlowResult,
)
from homeassistant.const import CONF_BASE, CONF_NAME
from homeassistant.core import HomeAssistant, callback
from homeassistant.data_entry_flow import section
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers.selector import (
    EntitySelector,
    EntitySelectorConfig,
    EntityWithDeviceFilterSelectorConfig,
    NumberSelector,
    NumberSelectorConfig,
    NumberSelectorMode,
    SelectOptionDict,
    SelectSelector,
    SelectSelectorConfig,
    SelectSelectorMode,
    TemplateSelector,
    TextSelector,
)
from homeassistant.util import slugify
import voluptuous as vol

from .api import Preset
from .const import SUBENTRY_RECIPE
from .names import clean, preset_labels
from .recipes import INSTRUCTIONS, Recipe, SeedMode
from .request import MAX_COUNT, MAX_SIDE, MAX_TEXT, MIN_SIDE, validate_request
from .subentries import Subentry

TEMPLATES: Final = ("prompt", "negative", "instructions")
MAX_KEEP: Final = 100_000

_TEXT: Final = TextSelector()
_TEMPLATE: Final = TemplateSelector()


def _whole_number(least: int, most: int, unit: str | None = None) -> vol.All:
    """Return a field for a whole number."""
    config = NumberSelectorConfig(min=least, max=most, step=1, mode=NumberSelectorMode.BOX)
    if unit is not None:
        config["unit_of_measurement"] = unit
    return vol.All(NumberSelector(config), vol.Coerce(int))


def _choice(translation_key: str, options: list[str]) -> SelectSelector:
    """Return a choice among fixed options."""
    return SelectSelector(
        SelectSelectorConfig(
            options=options,
            translation_key=translation_key,
            mode=SelectSelectorMode.DROPDOWN,
        )
    )


_WRITER: Final = EntitySelector(
    EntitySelectorConfig(
        filter=EntityWithDeviceFilterSelectorConfig(
            domain=AI_TASK_DOMAIN,
            supported_features=["ai_task.AITaskEntityFeature.GENERATE_DATA"],
        )
    )
)
SECTIONS: Final = {
    "size_and_model": vol.Schema(
        {
            vol.Optional("width"): _whole_number(MIN_SIDE, MAX_SIDE, "px"),
            vol.Optional("height"): _whole_number(MIN_SIDE, MAX_SIDE, "px"),
            vol.Optional("checkpoint"): _TEXT,
        }
    ),
    "seed_and_count": vol.Schema(
        {
            vol.Optional("seed_mode", default=SeedMode.RANDOM.value): _choice(
                "seed_mode", list(SeedMode)
            ),
            vol.Optional("seed"): _TEXT,
            vol.Optional("count", default=1): _whole_number(1, MAX_COUNT),
            vol.Optional("tag"): _TEXT,
            vol.Optional("if_busy", default="queue"): _choice("if_busy", ["queue", "skip"]),
            vol.Optional("keep", default=0): _whole_number(0, MAX_KEEP),
        }
    ),
    "language_model": vol.Schema(
        {
            vol.Optional("writer"): _WRITER,
            vol.Optional("instructions"): _TEMPLATE,
        }
    ),
}


# The errors of the form, by those of a recipe and of a request
_TEXT_ERRORS: Final = {
    "recipe_template_failed": "template_fails",
    "recipe_text_too_long": "text_too_long",
}
_REQUEST_ERRORS: Final = {
    "invalid_seed": "invalid_seed",
    "size_incomplete": "size_incomplete",
    "size_too_large": "size_too_large",
}


class RecipeFlow(ConfigSubentryFlow):
    """Adds a recipe or changes it, with one form for both."""

    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Add a recipe."""
        return await self.async_step_recipe(user_input)

    async def async_step_reconfigure(
        self, user_input: dict[str, Any] | None = None
    ) -> SubentryFlowResult:
        """Change a recipe."""
        return await self.async_step_recipe(user_input)

    async def async_step_recipe(
        self, user_input: dict[str, Any] | None = None
    ) -> SubentryFlowResult:
        """Show the form, and store what people entered."""
        errors: dict[str, str] = {}
        placeholders: dict[str, str] = {"error": ""}
        if user_input is not None:
            name, data = clean(user_input[CONF_NAME]), self._data(user_input)
            errors = self._errors(name, data, placeholders)
            if not errors:
                return self._async_store(name, data)
        return self.async_show_form(
            step_id="recipe",
            data_schema=self.add_suggested_values_to_schema(
                self._schema(), self._suggested() if user_input is None else user_input
            ),
            errors=errors,
            description_placeholders=placeholders,
        )

    @callback
    def _async_store(self, title: str, data: dict[str, Any]) -> SubentryFlowResult:
        """Store a recipe."""
        if self.source == SOURCE_RECONFIGURE:
            return self.async_update_and_abort(
                self._get_entry(), self._get_reconfigure_subentry(), title=title, data=data
            )
        return self.async_create_entry(title=title, data=data)

    def _data(self, user_input: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is stored of a form: the filled fields, without their sections."""
        data = {
            key: value for key, value in user_input.items() if key not in {CONF_NAME, *SECTIONS}
        }
        for name, schema in SECTIONS.items():
            data |= schema(user_input.get(name, {}))
        if (preset := self._presets().get(data["preset"].strip())) is not None:
            data["preset"] = preset.slug
        return {key: value for key, value in data.items() if value not in ("", None)}

    def _errors(
        self, name: str, data: Mapping[str, Any], placeholders: dict[str, str]
    ) -> dict[str, str]:
        """Return what is wrong, by field. Puts the details into `placeholders`."""
        if not name:
            return {CONF_NAME: "name_missing"}
        if self._is_taken(name):
            return {CONF_NAME: "name_taken"}
        if not data.get("preset", "").strip():
            return {"preset": "preset_missing"}
        errors = _template_errors(self.hass, name, data, placeholders)
        if data["seed_mode"] == SeedMode.FIXED and "seed" not in data:
            errors.setdefault(CONF_BASE, "seed_missing")
        return errors or _request_errors(data)

    def _is_taken(self, name: str) -> bool:
        """Return whether another recipe of the server is called so."""
        changed = self._reconfigure_subentry_id if self.source == SOURCE_RECONFIGURE else None
        return any(
            slugify(name) == slugify(subentry.title)
            for subentry in self._get_entry().subentries.values()
            if subentry.subentry_type == SUBENTRY_RECIPE and subentry.subentry_id != changed
        )

    def _suggested(self) -> dict[str, Any]:
        """Return what the form shows at first."""
        if self.source != SOURCE_RECONFIGURE:
            return {}
        subentry = self._get_reconfigure_subentry()
        return {
            CONF_NAME: subentry.title,
            **subentry.data,
            **dict.fromkeys(SECTIONS, subentry.data),
        }

    def _schema(self) -> vol.Schema:
        """Return the form."""
        return vol.Schema(
            {
                vol.Required(CONF_NAME): _TEXT,
                vol.Required("preset"): self._preset_choice(),
                vol.Optional("prompt"): _TEMPLATE,
                vol.Optional("negative"): _TEMPLATE,
                **{
                    vol.Optional(name): section(schema, {"collapsed": True})
                    for name, schema in SECTIONS.items()
                },
            }
        )

    def _preset_choice(self) -> SelectSelector:
        """Return a choice of the server's presets. People may also type one."""
        return SelectSelector(
            SelectSelectorConfig(
                options=[
                    SelectOptionDict(value=slug, label=label)
                    for slug, label in preset_labels(self._presets()).items()
                ],
                custom_value=True,
                mode=SelectSelectorMode.DROPDOWN,
                sort=True,
            )
        )

    def _presets(self) -> dict[str, Preset]:
        """Return the server's presets by slug; none while it isn't loaded."""
        entry = self._get_entry()
        if entry.state is not ConfigEntryState.LOADED:
            return {}
        presets: dict[str, Preset] = entry.runtime_data.data
        return presets


def _template_errors(
    hass: HomeAssistant, name: str, data: Mapping[str, Any], placeholders: dict[str, str]
) -> dict[str, str]:
    """Return the errors of templates by field: too long, wrong, or failing when rendered."""
    recipe = Recipe.from_subentry(
        Subentry(subentry_id="", subentry_type=SUBENTRY_RECIPE, title=name, data=dict(data))
    )
    errors: dict[str, str] = {}
    for field in TEMPLATES:
        # Fields in a section have no place for an error of their own
        shown_at = CONF_BASE if field == "instructions" else field
        if len(data.get(field, "")) > MAX_TEXT:
            errors[shown_at] = "text_too_long"
            continue
        try:
            recipe.render(hass, field, {INSTRUCTIONS: ""})
        except ServiceValidationError as err:
            errors[shown_at] = _TEXT_ERRORS[err.translation_key or ""]
            placeholders["error"] = (err.translation_placeholders or {}).get("error", "")
    return errors


def _request_errors(data: Mapping[str, Any]) -> dict[str, str]:
    """Return what is wrong with the size, the seed, or another field of the request."""
    try:
        validate_request(
            Preset(slug="preset", name="preset"),
            {name: data[name] for name in ("width", "height", "seed", "count") if name in data},
        )
    except ServiceValidationError as err:
        return {CONF_BASE: _REQUEST_ERRORS.get(err.translation_key or "", "invalid_size")}
    return {}
