"""Recipes: saved requests with a name, whose texts are templates."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, Final, Self

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.exceptions import ServiceValidationError, TemplateError
from homeassistant.helpers import issue_registry as ir
from homeassistant.helpers.dispatcher import async_dispatcher_connect, async_dispatcher_send
from homeassistant.helpers.template import is_template_string
from jinja2 import Environment, TemplateSyntaxError
from jinja2.meta import find_undeclared_variables

from .const import DOMAIN, SUBENTRY_RECIPE
from .names import as_markdown, clean, slug_of
from .request import MAX_TEXT
from .subentries import Subentries, Subentry, SubentryListener
from .templates import async_render_template

INSTRUCTIONS: Final = "instructions"  # the variable with the instructions of an AI task
MAX_ERROR: Final = 200
# Mistakes in the texts of a recipe: of errors and of repair issues
FAULTS: Final = {"recipe_template_failed", "recipe_text_too_long"}


class SeedMode(StrEnum):
    """The source of the seed of a run."""

    RANDOM = "random"
    FIXED = "fixed"
    LAST = "last"


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """A saved request.

    prompt, negative, instructions: templates. seed: decimal text, used if the mode is fixed.
    keep: the maximum number of images of the recipe, or 0 for no separate limit. writer: the ID
    of the AI task entity that writes the prompt.
    """

    recipe_id: str
    name: str
    preset: str
    prompt: str = ""
    negative: str = ""
    width: int | None = None
    height: int | None = None
    checkpoint: str | None = None
    seed_mode: SeedMode = SeedMode.RANDOM
    seed: str | None = None
    count: int = 1
    tag: str | None = None
    if_busy: str = "queue"
    keep: int = 0
    writer: str | None = None
    instructions: str = ""

    @classmethod
    def from_subentry(cls, subentry: Subentry) -> Self:
        """Return the recipe that a subentry describes. What it lacks has its default."""
        names = {field.name for field in fields(cls)} - {"recipe_id", "name"}
        data = {name: value for name, value in subentry.data.items() if name in names}
        data["seed_mode"] = SeedMode(data.get("seed_mode", SeedMode.RANDOM))
        return cls(recipe_id=subentry.subentry_id, name=subentry.title, **data)

    @property
    def slug(self) -> str:
        """Return the slug of the name, which users enter in YAML."""
        return slug_of(self.name)

    def is_called(self, text: str) -> bool:
        """Return whether a text is the slug or the name, regardless of case."""
        wanted = text.strip().casefold()
        return wanted in {self.slug, self.name.strip().casefold()}

    def uses(self, variable: str) -> bool:
        """Return whether one of the templates uses a variable."""
        return any(variable in _variables(text) for text in (self.prompt, self.instructions))

    async def async_render(
        self, hass: HomeAssistant, field: str, variables: Mapping[str, Any]
    ) -> str:
        """Return the text of a field.

        Raises ServiceValidationError if its template fails, takes too long, or renders to a text
        that is too long.
        """
        text: str = getattr(self, field)
        if is_template_string(text):
            try:
                text = await async_render_template(hass, text, variables)
            except TemplateError as err:
                raise self._error("recipe_template_failed", error=str(err)) from err
        if len(text := text.strip()) > MAX_TEXT:
            raise self._error("recipe_text_too_long", max=str(MAX_TEXT))
        return text

    def _error(self, key: str, **placeholders: str) -> ServiceValidationError:
        """Return the error for a mistake in the recipe."""
        return ServiceValidationError(
            translation_domain=DOMAIN,
            translation_key=key,
            translation_placeholders={
                "recipe": clean(self.name),
                **{name: clean(value, MAX_ERROR) for name, value in placeholders.items()},
            },
        )


class Recipes:
    """The current recipes of one server."""

    def __init__(self, hass: HomeAssistant, entry: ConfigEntry[Any]) -> None:
        """Start without recipes. `async_start` adds them."""
        self._hass = hass
        self._entry = entry
        self._recipes: dict[str, Recipe] = {}

    def __iter__(self) -> Iterator[Recipe]:
        """Iterate over the recipes."""
        return iter(list(self._recipes.values()))

    def get(self, recipe_id: str | None) -> Recipe | None:
        """Return the recipe with this ID, or None if it is deleted."""
        return self._recipes.get(recipe_id or "")

    def find(self, text: str) -> list[Recipe]:
        """Return the recipes with this ID, slug, or name."""
        if (recipe := self._recipes.get(text.strip())) is not None:
            return [recipe]
        return [recipe for recipe in self if recipe.is_called(text)]

    @callback
    def async_start(self, subentries: Subentries) -> None:
        """Update the recipes from subentries until the server is unloaded."""
        self._entry.async_on_unload(
            subentries.async_add_listener(
                SubentryListener(
                    subentry_type=SUBENTRY_RECIPE,
                    on_added=self._on_changed,
                    on_changed=self._on_changed,
                    on_removed=self._on_removed,
                )
            )
        )
        self._entry.async_on_unload(self._delete_issues)

    @callback
    def async_add_listener(self, listener: Callable[[], None]) -> CALLBACK_TYPE:
        """Call the listener when recipes change. Returns a function that stops it."""
        return async_dispatcher_connect(self._hass, self._signal, listener)

    @callback
    def async_report_failure(self, recipe: Recipe, err: ServiceValidationError) -> None:
        """Create the one repair issue of a recipe whose templates or preset fail.

        A recipe that was deleted during its run has none, because nothing would delete it.
        """
        entry = self._hass.config_entries.async_get_entry(self._entry.entry_id)
        if entry is None or recipe.recipe_id not in entry.subentries:
            return
        placeholders = {
            name: as_markdown(value) for name, value in (err.translation_placeholders or {}).items()
        }
        ir.async_create_issue(
            self._hass,
            DOMAIN,
            _issue_id(recipe.recipe_id),
            is_fixable=False,
            severity=ir.IssueSeverity.WARNING,
            translation_key=(
                err.translation_key if err.translation_key in FAULTS else "recipe_preset_missing"
            ),
            translation_placeholders={
                "preset": as_markdown(recipe.preset),
                **placeholders,
                "recipe": as_markdown(recipe.name),
                "server": as_markdown(self._entry.title),
            },
        )

    @callback
    def async_report_success(self, recipe: Recipe) -> None:
        """Delete the repair issue of a recipe."""
        ir.async_delete_issue(self._hass, DOMAIN, _issue_id(recipe.recipe_id))

    @callback
    def _on_changed(self, subentry: Subentry) -> None:
        """Store a new or changed recipe."""
        self._recipes[subentry.subentry_id] = Recipe.from_subentry(subentry)
        async_dispatcher_send(self._hass, self._signal)

    @callback
    def _on_removed(self, subentry: Subentry) -> None:
        """Discard a deleted recipe and its repair issue."""
        self.async_report_success(self._recipes.pop(subentry.subentry_id))
        async_dispatcher_send(self._hass, self._signal)

    def _delete_issues(self) -> None:
        """Delete the repair issues of all recipes, because an unloaded server has none."""
        for recipe in self:
            self.async_report_success(recipe)

    @property
    def _signal(self) -> str:
        """Return the name of the signal for changes."""
        return f"{DOMAIN}_{self._entry.entry_id}_recipes"


def _variables(text: str) -> set[str]:
    """Return the names that a template uses without defining them."""
    environment = Environment(  # noqa: S701 - parses only
        extensions=["jinja2.ext.loopcontrols", "jinja2.ext.do"]
    )
    try:
        return find_undeclared_variables(environment.parse(text))
    except TemplateSyntaxError:
        return set()


def _issue_id(recipe_id: str) -> str:
    """Return the ID of the repair issue of a recipe."""
    return f"recipe-{recipe_id}"
