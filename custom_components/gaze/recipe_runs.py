"""Runs recipes: renders templates, calls the prompt writer, and queues the request."""

from collections.abc import Mapping
from contextlib import suppress
import logging
from typing import Any, Final

from homeassistant.core import callback
from homeassistant.exceptions import ServiceValidationError

from .const import DOMAIN
from .coordinator import GazeConfigEntry, GazeCoordinator
from .gallery import GalleryError, Image, Selection
from .generation import async_generate, async_wait_for_reload, is_removed
from .jobs import Job, JobEvent, Origin
from .names import clean
from .prompt_writer import MAX_EARLIER, WritingTask, WrittenPrompt, async_write_prompt
from .recipes import FAULTS, INSTRUCTIONS, Recipe, SeedMode

_LOGGER = logging.getLogger(__name__)

# Mistakes that a recipe may contain, unlike those that only a caller makes
_FAULTS: Final = FAULTS | {"unknown_preset", "unknown_preset_near", "preset_gone"}


def require_recipe(coordinator: GazeCoordinator, text: str) -> Recipe:
    """Return the recipe that a text means. Raises ServiceValidationError."""
    found = coordinator.recipes.find(text)
    if len(found) == 1:
        return found[0]
    raise _create_recipe_error("recipe_ambiguous" if found else "unknown_recipe", text)


def _create_recipe_error(key: str, text: str) -> ServiceValidationError:
    """Return the error for a text that does not mean one recipe."""
    return ServiceValidationError(
        translation_domain=DOMAIN,
        translation_key=key,
        translation_placeholders={"recipe": clean(text)},
    )


async def async_generate_recipe(
    coordinator: GazeCoordinator,
    recipe: Recipe,
    changes: Mapping[str, Any],
    *,
    variables: Mapping[str, Any] | None = None,
) -> list[Job]:
    """Queue a run of a recipe and return its jobs.

    `changes` override fields of the recipe. `variables` are for its templates: the variable
    `instructions` is appended to the prompt if no template uses it. Raises what `async_generate`
    raises, and ServiceValidationError if a template fails.
    """
    try:
        fields, origin = await _request(coordinator, recipe, changes, dict(variables or {}))
        coordinator = await _async_require_loaded(coordinator, recipe)
        jobs = await async_generate(coordinator, fields["preset"], fields, origin)
    except ServiceValidationError as err:
        if err.translation_key in _FAULTS:
            _LOGGER.warning("The recipe %s can't run: %s", recipe.name, err.__cause__ or err)
            # The variables of a caller can make a good template fail or its text too long.
            if not variables or err.translation_key not in FAULTS:
                coordinator.recipes.async_report_failure(recipe, err)
        raise
    coordinator.recipes.async_report_success(recipe)
    return jobs


async def _async_require_loaded(coordinator: GazeCoordinator, recipe: Recipe) -> GazeCoordinator:
    """Return the coordinator that is loaded now, because the prompt writer may take a minute.

    Raises ServiceValidationError if the recipe or the server was deleted meanwhile.
    """
    coordinator = await async_wait_for_reload(coordinator)
    if is_removed(coordinator) or coordinator.recipes.get(recipe.recipe_id) is None:
        raise _create_recipe_error("unknown_recipe", recipe.name)
    return coordinator


async def _request(
    coordinator: GazeCoordinator,
    recipe: Recipe,
    changes: Mapping[str, Any],
    variables: dict[str, Any],
) -> tuple[dict[str, Any], Origin]:
    """Return the fields of the request and where it comes from."""
    fields: dict[str, Any] = {
        "preset": recipe.preset,
        "count": recipe.count,
        "checkpoint": recipe.checkpoint,
        "tag": recipe.tag,
        "if_busy": recipe.if_busy,
        **changes,
    }
    if "width" not in changes and "height" not in changes:
        fields |= {"width": recipe.width, "height": recipe.height}
    if "seed" not in changes:
        fields["seed"] = await _seed(coordinator, recipe)
    instructions = str(variables.setdefault(INSTRUCTIONS, "") or "").strip()
    if "extra_negative" not in changes:
        fields["extra_negative"] = await recipe.async_render(
            coordinator.hass, "negative", variables
        )
    written = None
    if "extra_positive" not in changes:
        plain = await recipe.async_render(coordinator.hass, "prompt", variables)
        if instructions and not recipe.uses(INSTRUCTIONS):
            plain = ", ".join(filter(None, (plain, instructions)))
        written = await _write(coordinator, recipe, plain, variables)
        fields["extra_positive"] = plain if written is None else written.prompt
    origin = Origin(
        recipe=recipe.recipe_id,
        recipe_name=recipe.name,
        title=None if written is None else written.title,
        writer=None if written is None else recipe.writer,
    )
    return fields, origin


async def _write(
    coordinator: GazeCoordinator, recipe: Recipe, plain: str, variables: Mapping[str, Any]
) -> WrittenPrompt | None:
    """Return what the prompt writer makes of the plain prompt, or None without its help."""
    instructions = await recipe.async_render(coordinator.hass, "instructions", variables)
    if recipe.writer is None:
        return None
    earlier = await _last_runs(coordinator, recipe)
    prompts = [run.extra_positive for run in earlier if run.extra_positive]
    task = WritingTask(
        name=recipe.name,
        writer=recipe.writer,
        instructions=instructions,
        plain=plain,
        earlier=tuple(dict.fromkeys(prompts))[:MAX_EARLIER],
    )
    return await async_write_prompt(coordinator.hass, task)


async def _seed(coordinator: GazeCoordinator, recipe: Recipe) -> str | None:
    """Return the seed of the next run, or None for a random one."""
    match recipe.seed_mode:
        case SeedMode.FIXED:
            return recipe.seed
        case SeedMode.LAST:
            runs = await _last_runs(coordinator, recipe)
            return next((run.seed for run in runs if run.seed is not None), None)
    return None


async def _last_runs(coordinator: GazeCoordinator, recipe: Recipe) -> list[Job | Image]:
    """Return the last jobs of a recipe and then its saved images, newest first."""
    jobs = [job for job in coordinator.engine.jobs if job.recipe == recipe.recipe_id]
    runs: list[Job | Image] = [*reversed(jobs)]
    with suppress(GalleryError):  # earlier runs are optional
        runs += await coordinator.gallery.async_select(
            Selection(recipe=recipe.recipe_id), limit=MAX_EARLIER
        )
    return runs


@callback
def async_setup_recipe_retention(entry: GazeConfigEntry) -> None:
    """Delete the oldest images of a recipe beyond its own number, but never a favorite."""
    coordinator = entry.runtime_data

    @callback
    def on_event(event: JobEvent, job: Mapping[str, Any]) -> None:
        recipe = coordinator.recipes.get(job["recipe"])
        if event is JobEvent.FINISHED and recipe is not None and recipe.keep:
            entry.async_create_background_task(
                coordinator.hass, _delete_oldest(coordinator, recipe), "gaze recipe retention"
            )

    entry.async_on_unload(coordinator.async_add_event_listener(on_event))


async def _delete_oldest(coordinator: GazeCoordinator, recipe: Recipe) -> None:
    """Delete the images of a recipe beyond its own number. Hidden images don't count.

    The newest image of a preset stays, because the entity of the preset shows it.
    """
    gallery = coordinator.gallery
    try:
        oldest_kept = await gallery.async_select(
            Selection(recipe=recipe.recipe_id), limit=1, offset=recipe.keep - 1
        )
        for oldest in oldest_kept:
            images = await gallery.async_select(
                Selection(recipe=recipe.recipe_id, favorite=False, hidden=None, below=oldest.number)
            )
            newest = (gallery.newest(image.preset) for image in images)
            shown = {image.job_id for image in newest if image is not None}
            await gallery.async_delete(image for image in images if image.job_id not in shown)
    except GalleryError as err:
        _LOGGER.debug("Failed to delete the oldest images of a recipe: %s", err)
