"""The form that adds and changes a recipe."""

from collections.abc import Mapping
from typing import Any, Final, override

from homeassistant.components.ai_task import DOMAIN as AI_TASK_DOMAIN
from homeassistant.config_entries import SubentryFlowResult
from homeassistant.const import CONF_BASE, CONF_NAME
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers.selector import (
    EntitySelector,
    EntitySelectorConfig,
    EntityWithDeviceFilterSelectorConfig,
    SelectSelector,
    SelectSelectorConfig,
    SelectSelectorMode,
    TemplateSelector,
    TextSelector,
)
import voluptuous as vol

from .api import Preset
from .const import SUBENTRY_RECIPE
from .names import preset_labels, slug_of
from .recipes import INSTRUCTIONS, Recipe, SeedMode
from .request import MAX_COUNT, MAX_SIDE, MAX_TEXT, MIN_SIDE, validate_request
from .subentries import Subentry
from .subentry_flow import GazeSubentryFlow, choice, whole_number

TEMPLATES: Final = ("prompt", "negative", "instructions")
MAX_KEEP: Final = 100_000

_TEXT: Final = TextSelector()
_TEMPLATE: Final = TemplateSelector()


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
            vol.Optional("width"): whole_number(MIN_SIDE, MAX_SIDE, "px"),
            vol.Optional("height"): whole_number(MIN_SIDE, MAX_SIDE, "px"),
            vol.Optional("checkpoint"): _TEXT,
        }
    ),
    "seed_and_count": vol.Schema(
        {
            vol.Optional("seed_mode", default=SeedMode.RANDOM.value): choice(
                "seed_mode", list(SeedMode)
            ),
            vol.Optional("seed"): _TEXT,
            vol.Optional("count", default=1): whole_number(1, MAX_COUNT),
            vol.Optional("tag"): _TEXT,
            vol.Optional("if_busy", default="queue"): choice("if_busy", ["queue", "skip"]),
            vol.Optional("keep", default=0): whole_number(0, MAX_KEEP),
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


class RecipeFlow(GazeSubentryFlow):
    """Adds a recipe or changes it."""

    subentry_type = SUBENTRY_RECIPE
    sections = SECTIONS

    def __init__(self) -> None:
        """Start without an error of a template."""
        self._template_error = ""

    async def async_step_recipe(
        self, user_input: dict[str, Any] | None = None
    ) -> SubentryFlowResult:
        """Show the form, and store what the user entered."""
        return await self._async_step(user_input)

    @override
    def _fields(self) -> dict[vol.Marker, Any]:
        """Return the fields above the sections."""
        return {
            vol.Required(CONF_NAME): _TEXT,
            vol.Required("preset"): self._preset_choice(),
            vol.Optional("prompt"): _TEMPLATE,
            vol.Optional("negative"): _TEMPLATE,
        }

    @override
    def _data(self, user_input: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is stored of a form: the filled fields, and the preset by its slug."""
        data = super()._data(user_input)
        data["preset"] = self._slug(data["preset"].strip())
        return {key: value for key, value in data.items() if value not in ("", None)}

    @override
    def _suggested(self) -> dict[str, Any]:
        """Return what the form shows at first: the preset by its name, if it exists."""
        suggested = super()._suggested()
        if (slug := suggested.get("preset")) is not None:
            suggested["preset"] = self._labels().get(slug, slug)
        return suggested

    @override
    async def _async_errors(self, name: str, data: Mapping[str, Any]) -> dict[str, str]:
        """Return the errors by field."""
        if not name:
            return {CONF_NAME: "name_missing"}
        if self._is_taken(name):
            return {CONF_NAME: "name_taken"}
        if not data.get("preset", "").strip():
            return {"preset": "preset_missing"}
        errors = await self._async_template_errors(name, data)
        if data["seed_mode"] == SeedMode.FIXED and "seed" not in data:
            errors.setdefault(CONF_BASE, "seed_missing")
        return errors or _request_errors(data)

    @override
    def _placeholders(self) -> dict[str, str]:
        """Return the error of a template as a placeholder."""
        return {"error": self._template_error}

    async def _async_template_errors(self, name: str, data: Mapping[str, Any]) -> dict[str, str]:
        """Return the errors of templates by field: too long, wrong, or failing when rendered."""
        recipe = Recipe.from_subentry(
            Subentry(subentry_id="", subentry_type=SUBENTRY_RECIPE, title=name, data=dict(data))
        )
        errors: dict[str, str] = {}
        self._template_error = ""
        for field in TEMPLATES:
            # Fields in a section have no place for an error of their own
            shown_at = CONF_BASE if field == "instructions" else field
            if len(data.get(field, "")) > MAX_TEXT:
                errors[shown_at] = "text_too_long"
                continue
            try:
                await recipe.async_render(self.hass, field, {INSTRUCTIONS: ""})
            except ServiceValidationError as err:
                errors[shown_at] = _TEXT_ERRORS[err.translation_key or ""]
                placeholders = err.translation_placeholders or {}
                self._template_error = placeholders.get("error", self._template_error)
        return errors

    def _is_taken(self, name: str) -> bool:
        """Return whether another recipe of the server is called so."""
        changed = None if self._changed is None else self._changed.subentry_id
        return any(
            slug_of(name) == slug_of(title)
            for recipe_id, title in self._titles(SUBENTRY_RECIPE).items()
            if recipe_id != changed
        )

    def _preset_choice(self) -> SelectSelector:
        """Return a choice of the server's presets. The user may also enter one.

        A field that takes other texts shows values and not labels, so the names are the values.
        """
        return SelectSelector(
            SelectSelectorConfig(
                options=list(self._labels().values()),
                custom_value=True,
                mode=SelectSelectorMode.DROPDOWN,
                sort=True,
            )
        )

    def _slug(self, text: str) -> str:
        """Return the slug of the preset that a text means, or the text if there is none."""
        for slug, label in self._labels().items():
            if text == label:
                return slug
        preset = None if self._coordinator is None else self._coordinator.find_preset(text)
        return text if preset is None else preset.slug

    def _labels(self) -> dict[str, str]:
        """Return the names of the server's presets by slug; none while it isn't loaded."""
        return {} if self._coordinator is None else preset_labels(self._coordinator.data)


def _request_errors(data: Mapping[str, Any]) -> dict[str, str]:
    """Return the errors of the size, the seed, and other fields of the request."""
    try:
        validate_request(
            Preset(slug="preset", name="preset"),
            {name: data[name] for name in ("width", "height", "seed", "count") if name in data},
        )
    except ServiceValidationError as err:
        return {CONF_BASE: _REQUEST_ERRORS.get(err.translation_key or "", "invalid_size")}
    return {}
