"""Registers and handles the actions."""

from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from enum import StrEnum
from functools import partial
from typing import Any, Final

from homeassistant.auth.permissions.const import POLICY_CONTROL, POLICY_READ
from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import ATTR_CONFIG_ENTRY_ID, ATTR_ENTITY_ID
from homeassistant.core import (
    HomeAssistant,
    ServiceCall,
    ServiceResponse,
    SupportsResponse,
    callback,
)
from homeassistant.exceptions import ServiceValidationError, Unauthorized
from homeassistant.helpers import config_validation as cv, service
from homeassistant.util import dt as dt_util
import voluptuous as vol

from .const import DOMAIN
from .coordinator import GazeConfigEntry, GazeCoordinator
from .gallery import Selection
from .gallery.thumbnails import THUMBNAIL_SIDES
from .generation import (
    async_generate,
    async_read_image,
    async_regenerate,
    async_track_job,
    async_wait,
    create_unknown_job_error,
    gallery_errors,
)
from .jobs import Job
from .links import async_create_link
from .marking import async_mark_images, require_no_favorites
from .names import clean
from .payloads import MAX_PRESET_NAME, image_payload, job_payload, recipe_payload
from .permissions import async_has_permission, async_is_trusted, async_require_permission
from .recipe_runs import async_generate_recipe, require_recipe
from .request import replace_surrogates
from .saving import SaveError, save_copy
from .shown_images import display_of_device, shown_image

DEFAULT_TIMEOUT: Final = "00:05:00"
MAX_TIMEOUT: Final = 3600.0
MAX_OFFSET: Final = 1_000_000
DEFAULT_LIFETIME: Final = "01:00:00"


class Action(StrEnum):
    """Names of the actions."""

    CREATE_LINK = "create_link"
    DELETE_IMAGES = "delete_images"
    GENERATE = "generate"
    LIST_DISPLAYS = "list_displays"
    LIST_IMAGES = "list_images"
    LIST_JOBS = "list_jobs"
    LIST_PRESETS = "list_presets"
    LIST_RECIPES = "list_recipes"
    MARK_IMAGES = "mark_images"
    REGENERATE = "regenerate"
    SAVE_IMAGE = "save_image"
    SHOW_IMAGE = "show_image"
    STOP_TRACKING = "stop_tracking"
    TRACK_JOB = "track_job"
    WAIT = "wait"


type _Fields = dict[vol.Marker, Any]


def _validate_text(value: Any) -> str:
    """Return a text without halves of surrogate pairs, like those of stored jobs."""
    return replace_surrogates(cv.string(value))


def _validate_period(value: Any) -> timedelta:
    """Return a period. Raises Invalid if it is negative or too long."""
    try:
        return cv.positive_time_period(value)
    except OverflowError as err:
        raise vol.Invalid("The period is too long") from err


def _validate_time(value: Any) -> float:
    """Return a time as a timestamp. Raises Invalid if UTC has no such time."""
    try:
        return dt_util.as_utc(cv.datetime(value)).timestamp()
    except OverflowError as err:
        raise vol.Invalid("The time is too early or too late") from err


_SERVER: Final[_Fields] = {vol.Optional(ATTR_CONFIG_ENTRY_ID): cv.string}
_NUMBER: Final = vol.Any(int, float, str)
_TIMEOUT: Final[_Fields] = {vol.Optional("timeout", default=DEFAULT_TIMEOUT): _validate_period}
_WAITING: Final[_Fields] = {vol.Optional("wait", default=False): cv.boolean, **_TIMEOUT}
# `validate_request` validates numbers, so that each error has its own text.
_CHANGES: Final[_Fields] = {
    vol.Optional("count"): _NUMBER,
    vol.Optional("extra_positive"): cv.string,
    vol.Optional("extra_negative"): cv.string,
    vol.Optional("seed"): _NUMBER,
    vol.Optional("width"): _NUMBER,
    vol.Optional("height"): _NUMBER,
    vol.Optional("checkpoint"): cv.string,
    vol.Optional("tag"): _validate_text,
    vol.Optional("if_busy"): vol.In(["queue", "skip"]),
}
_OVERRIDES: Final = tuple(str(marker) for marker in _CHANGES)
_SELECTION: Final[_Fields] = {
    vol.Optional("job_id"): vol.All(cv.ensure_list, [_validate_text]),
    vol.Optional("batch_id"): vol.All(cv.ensure_list, [_validate_text]),
}

# `_async_get_image` requires exactly one, so that the error has its own text.
_IMAGE: Final[_Fields] = {
    vol.Optional("job_id"): _validate_text,
    vol.Optional(ATTR_ENTITY_ID): cv.entity_id,
}

# Home Assistant has parameters of these names where it renders a template.
_RESERVED_NAMES: Final = {"self", "template", "template_str"}


def _validate_variables(variables: dict[str, Any]) -> dict[str, Any]:
    """Return the variables of templates. Raises Invalid if one has a reserved name."""
    if reserved := sorted(_RESERVED_NAMES & variables.keys()):
        raise vol.Invalid(f"The name of the variable {reserved[0]} is reserved. Use another name")
    return variables


SERVER_SCHEMA: Final = vol.Schema(_SERVER)
GENERATE_SCHEMA: Final = vol.All(
    vol.Schema(
        {
            **_SERVER,
            **_WAITING,
            **_CHANGES,
            vol.Optional("preset"): _validate_text,
            vol.Optional("recipe"): _validate_text,
            vol.Optional("variables"): vol.All({cv.string: object}, _validate_variables),
        }
    ),
    cv.has_at_least_one_key("preset", "recipe"),
    cv.has_at_most_one_key("preset", "recipe"),
)
REGENERATE_SCHEMA: Final = vol.Schema(
    {
        **_SERVER,
        **_WAITING,
        **_CHANGES,
        **_IMAGE,
        vol.Optional("same_seed", default=False): cv.boolean,
        vol.Optional("preset"): _validate_text,
    }
)
TRACK_JOB_SCHEMA: Final = vol.Schema(
    {
        **_SERVER,
        **_WAITING,
        vol.Required("job_id"): _validate_text,
        vol.Required("preset"): _validate_text,
        vol.Optional("tag"): _validate_text,
    }
)
WAIT_SCHEMA: Final = vol.Schema({**_SERVER, **_TIMEOUT, **_SELECTION})
STOP_TRACKING_SCHEMA: Final = vol.Schema(
    {
        **_SERVER,
        **_SELECTION,
        vol.Optional("preset"): _validate_text,
        vol.Optional("all", default=False): cv.boolean,
    }
)

LIST_IMAGES_SCHEMA: Final = vol.Schema(
    {
        **_SERVER,
        vol.Optional("preset"): _validate_text,
        vol.Optional("recipe"): _validate_text,
        vol.Optional("tag"): _validate_text,
        vol.Optional("search"): _validate_text,
        vol.Optional("favorite"): cv.boolean,
        vol.Optional("hidden", default=False): cv.boolean,
        vol.Optional("since"): _validate_time,
        vol.Optional("limit", default=50): vol.All(vol.Coerce(int), vol.Range(min=1, max=1000)),
        vol.Optional("offset", default=0): vol.All(
            vol.Coerce(int), vol.Range(min=0, max=MAX_OFFSET)
        ),
    }
)
SAVE_IMAGE_SCHEMA: Final = vol.Schema(
    {
        **_SERVER,
        **_IMAGE,
        vol.Required("filename"): cv.string,
        vol.Optional("overwrite", default=False): cv.boolean,
    }
)
DELETE_IMAGES_SCHEMA: Final = vol.Schema(
    {
        **_SERVER,
        vol.Optional("job_id"): vol.All(cv.ensure_list, [_validate_text]),
        vol.Optional(ATTR_ENTITY_ID): cv.entity_id,
        vol.Optional("preset"): _validate_text,
        vol.Optional("older_than"): _validate_period,
        vol.Optional("include_favorites", default=False): cv.boolean,
    }
)
MARK_IMAGES_SCHEMA: Final = vol.Schema(
    {
        **_SERVER,
        vol.Exclusive("job_id", "images"): vol.All(
            cv.ensure_list, [_validate_text], vol.Length(min=1)
        ),
        vol.Exclusive(ATTR_ENTITY_ID, "images"): cv.entity_ids,
        vol.Optional("favorite"): cv.boolean,
        vol.Optional("hidden"): cv.boolean,
    }
)

CREATE_LINK_SCHEMA: Final = vol.Schema(
    {
        **_SERVER,
        **_IMAGE,
        vol.Optional("size"): vol.All(vol.Coerce(int), vol.In(THUMBNAIL_SIDES)),
        vol.Optional("expires_in", default=DEFAULT_LIFETIME): _validate_period,
    }
)

SHOW_IMAGE_SCHEMA: Final = vol.Schema({**_SERVER, **_IMAGE, vol.Required("display"): cv.string})


async def _async_generate(call: ServiceCall) -> ServiceResponse:
    """Queue images."""
    seconds = _get_wait_seconds(call)
    coordinator = await _async_choose_server(call)
    preset, recipe = call.data.get("preset"), call.data.get("recipe")
    try:
        jobs = await _async_queue_jobs(coordinator, call)
    except ServiceValidationError as err:
        if not _has_preset_or_recipe(coordinator, preset, recipe):
            _require_loaded_servers(call, err)
        raise
    return await _async_respond(coordinator, jobs, seconds)


async def _async_queue_jobs(coordinator: GazeCoordinator, call: ServiceCall) -> list[Job]:
    """Queue images of the preset or recipe of the call."""
    if (text := call.data.get("recipe")) is None:
        return await async_generate(coordinator, call.data["preset"], call.data)
    return await async_generate_recipe(
        coordinator,
        require_recipe(coordinator, text),
        {name: call.data[name] for name in _OVERRIDES if name in call.data},
        variables=call.data.get("variables"),
    )


async def _async_regenerate(call: ServiceCall) -> ServiceResponse:
    """Queue the request of an earlier job again."""
    seconds = _get_wait_seconds(call)
    coordinator, job_id = await _async_get_image(call, POLICY_CONTROL)
    jobs = await async_regenerate(
        coordinator,
        job_id,
        {name: value for name, value in call.data.items() if name not in _IMAGE},
        same_seed=call.data["same_seed"],
    )
    return await _async_respond(coordinator, jobs, seconds)


async def _async_track_job(call: ServiceCall) -> ServiceResponse:
    """Track a job that was queued elsewhere."""
    seconds = _get_wait_seconds(call)
    coordinator = await _async_get_permitted_server(call, POLICY_CONTROL)
    jobs = await async_track_job(
        coordinator, call.data["job_id"], call.data["preset"], call.data.get("tag")
    )
    return await _async_respond(coordinator, jobs, seconds)


async def _async_wait(call: ServiceCall) -> ServiceResponse:
    """Wait for queued jobs."""
    coordinator = await _async_get_permitted_server(call, POLICY_READ)
    return await _async_respond(
        coordinator, _get_selected_jobs(coordinator, call), _get_timeout(call)
    )


async def _async_stop_tracking(call: ServiceCall) -> None:
    """Stop tracking open jobs.

    Raises ServiceValidationError unless they are selected in exactly one way.
    """
    preset: str | None = call.data.get("preset")
    by_id = bool(call.data.get("job_id") or call.data.get("batch_id"))
    if (by_id, bool(preset), call.data["all"]).count(True) != 1:
        raise ServiceValidationError(translation_domain=DOMAIN, translation_key="no_jobs_selected")
    coordinator = await _async_get_permitted_server(call, POLICY_CONTROL)
    jobs = coordinator.engine.open_jobs
    if preset:
        found = coordinator.find_preset(preset)
        slug = preset if found is None else found.slug
        jobs = [job for job in jobs if job.preset == slug]
    elif by_id:
        jobs = [job for job in _get_selected_jobs(coordinator, call) if job.open]
    await coordinator.engine.async_stop_tracking(jobs)


async def _async_list_jobs(call: ServiceCall) -> ServiceResponse:
    """List the open jobs and the last ended ones, newest first."""
    coordinator = await _async_get_permitted_server(call, POLICY_READ)
    jobs = reversed(coordinator.engine.jobs)
    return {"jobs": [_build_payload(coordinator, job) for job in jobs]}


async def _async_list_presets(call: ServiceCall) -> ServiceResponse:
    """List the presets."""
    presets = (await _async_get_permitted_server(call, POLICY_READ)).data.values()
    return {
        "presets": [
            {"slug": preset.slug, "name": clean(preset.name, MAX_PRESET_NAME)} for preset in presets
        ]
    }


async def _async_list_recipes(call: ServiceCall) -> ServiceResponse:
    """List the recipes of a server."""
    coordinator = await _async_get_permitted_server(call, POLICY_READ)
    return {"recipes": [recipe_payload(call.hass, recipe) for recipe in coordinator.recipes]}


async def _async_list_images(call: ServiceCall) -> ServiceResponse:
    """List saved images, newest first."""
    coordinator = await _async_get_permitted_server(call, POLICY_READ)
    with gallery_errors():
        images = await coordinator.gallery.async_select(
            Selection(
                preset=await _async_find_preset_slug(coordinator, call),
                recipe=await _async_find_recipe_id(coordinator, call),
                tag=call.data.get("tag"),
                search=call.data.get("search"),
                favorite=call.data.get("favorite"),
                hidden=call.data["hidden"],
                since=call.data.get("since"),
            ),
            call.data["limit"],
            call.data["offset"],
        )
    entry_id = coordinator.config_entry.entry_id
    path_of = coordinator.gallery.path_of
    return {"images": [image_payload(entry_id, image, path_of(image)) for image in images]}


async def _async_save_image(call: ServiceCall) -> None:
    """Copy a saved image to a file."""
    coordinator, job_id = await _async_get_image(call, POLICY_CONTROL)
    trusted = await async_is_trusted(call.hass, call.context)
    image, content = await async_read_image(coordinator, job_id)
    try:
        await call.hass.async_add_executor_job(
            partial(
                save_copy,
                call.hass,
                call.data["filename"],
                content,
                image.content_type,
                overwrite=call.data["overwrite"] and trusted,
            )
        )
    except SaveError as err:
        refused = err.key == "file_exists" and call.data["overwrite"]
        raise ServiceValidationError(
            translation_domain=DOMAIN,
            translation_key="overwrite_not_allowed" if refused else err.key,
            translation_placeholders=err.placeholders,
        ) from err


async def _async_delete_images(call: ServiceCall) -> ServiceResponse:
    """Delete saved images, and return how many were deleted.

    Raises ServiceValidationError for a favorite that is named without `include_favorites`.
    """
    job_ids: list[str] = call.data.get("job_id", [])
    by_entity = ATTR_ENTITY_ID in call.data
    by_selection = "preset" in call.data or "older_than" in call.data
    if (bool(job_ids), by_entity, by_selection).count(True) != 1:
        raise ServiceValidationError(
            translation_domain=DOMAIN, translation_key="no_images_selected"
        )
    if by_entity:
        coordinator, job_id = await _async_get_image(call, POLICY_CONTROL)
        job_ids = [job_id]
    else:
        coordinator = await _async_get_permitted_server(call, POLICY_CONTROL)
    with gallery_errors():
        if by_selection:
            selection = await _async_select_deletable(coordinator, call)
            images = await coordinator.gallery.async_select(selection)
        else:
            found = [
                await coordinator.gallery.async_get(job_id) for job_id in dict.fromkeys(job_ids)
            ]
            images = [image for image in found if image is not None]
            if not call.data["include_favorites"]:
                require_no_favorites(images)
        deleted = await coordinator.gallery.async_delete(
            images, include_favorites=call.data["include_favorites"]
        )
        return {"deleted": deleted}


async def _async_select_deletable(coordinator: GazeCoordinator, call: ServiceCall) -> Selection:
    """Return the selection of images by preset and age. Raises ServiceValidationError."""
    older_than: timedelta | None = call.data.get("older_than")
    if older_than is not None and not older_than:
        raise ServiceValidationError(translation_domain=DOMAIN, translation_key="no_age")
    return Selection(
        preset=await _async_find_preset_slug(coordinator, call),
        until=None
        if older_than is None
        else dt_util.utcnow().timestamp() - older_than.total_seconds(),
        favorite=None if call.data["include_favorites"] else False,
        hidden=None,
    )


async def _async_create_link(call: ServiceCall) -> ServiceResponse:
    """Create a link to an image that works without a login."""
    coordinator, job_id = await _async_get_image(call, POLICY_READ)
    link = await async_create_link(
        coordinator, job_id, side=call.data.get("size"), lifetime=call.data["expires_in"]
    )
    return {**link}


async def _async_show_image(call: ServiceCall) -> None:
    """Show an image on a display."""
    coordinator, job_id = await _async_get_image(call, POLICY_CONTROL)
    server, player = display_of_device(call.hass, call.data["display"])
    if server is not coordinator:
        raise ServiceValidationError(
            translation_domain=DOMAIN, translation_key="display_of_other_server"
        )
    with gallery_errors():
        if (image := await coordinator.gallery.async_get(job_id)) is None:
            raise create_unknown_job_error(job_id)
        if image.hidden:
            raise ServiceValidationError(translation_domain=DOMAIN, translation_key="image_hidden")
        await player.async_show(image)


async def _async_list_displays(call: ServiceCall) -> ServiceResponse:
    """List the displays with their addresses, for administrators and automations."""
    coordinator = await _async_get_permitted_server(call, POLICY_READ)
    if not await async_is_trusted(call.hass, call.context):
        raise Unauthorized(context=call.context, permission=POLICY_CONTROL)
    displays = coordinator.displays
    return {
        "displays": [
            {
                "display_id": player.display.display_id,
                "name": player.display.name,
                "job_id": player.state.shown,
                "path": displays.path(player),
                "url": displays.url(player.display.display_id),
            }
            for player in displays.players
        ]
    }


async def _async_get_image(call: ServiceCall, policy: str) -> tuple[GazeCoordinator, str]:
    """Return the server and the job ID of the image of a call, given by job ID or entity ID.

    Raises Unauthorized, and ServiceValidationError unless exactly one is given.
    """
    entity_id = call.data.get(ATTR_ENTITY_ID)
    if (entity_id is None) == ("job_id" not in call.data):
        raise ServiceValidationError(translation_domain=DOMAIN, translation_key="no_image_named")
    if entity_id is None:
        return await _async_get_permitted_server(call, policy), call.data["job_id"]
    coordinator, job_id = shown_image(call.hass, entity_id)
    await async_require_permission(
        call.hass, call.context, coordinator.config_entry.entry_id, policy
    )
    return coordinator, job_id


async def _async_mark_images(call: ServiceCall) -> ServiceResponse:
    """Mark images as favorites or hidden, and return how many changed."""
    images: dict[GazeCoordinator, list[str]] = {}
    if entity_ids := call.data.get(ATTR_ENTITY_ID):
        for entity_id in entity_ids:
            coordinator, job_id = shown_image(call.hass, entity_id)
            images.setdefault(coordinator, []).append(job_id)
    elif job_ids := call.data.get("job_id"):
        images[_get_server(call)] = job_ids
    else:
        raise ServiceValidationError(translation_domain=DOMAIN, translation_key="no_image_named")
    for coordinator in images:
        entry_id = coordinator.config_entry.entry_id
        await async_require_permission(call.hass, call.context, entry_id, POLICY_CONTROL)
    updated = await async_mark_images(
        images, favorite=call.data.get("favorite"), hidden=call.data.get("hidden")
    )
    return {"updated": updated}


def _get_server(call: ServiceCall) -> GazeCoordinator:
    """Return the server of the call, or the only one. Raises ServiceValidationError."""
    entry: GazeConfigEntry = service.async_get_config_entry(
        call.hass, DOMAIN, call.data.get(ATTR_CONFIG_ENTRY_ID)
    )
    return entry.runtime_data


async def _async_get_permitted_server(call: ServiceCall, policy: str) -> GazeCoordinator:
    """Return the server of the call, or the only one. Raises Unauthorized."""
    coordinator = _get_server(call)
    await async_require_permission(
        call.hass, call.context, coordinator.config_entry.entry_id, policy
    )
    return coordinator


async def _async_choose_server(call: ServiceCall) -> GazeCoordinator:
    """Return the server of the call, or the one with the preset or recipe and the shortest queue.

    Raises Unauthorized if the user may not control any server, and ServiceValidationError if no
    server is loaded.
    """
    if ATTR_CONFIG_ENTRY_ID in call.data or len(_list_enabled_entries(call.hass)) <= 1:
        return await _async_get_permitted_server(call, POLICY_CONTROL)
    entries: list[GazeConfigEntry] = call.hass.config_entries.async_loaded_entries(DOMAIN)
    if not entries:
        _require_loaded_servers(call)
    servers = [
        entry.runtime_data
        for entry in entries
        if await async_has_permission(call.hass, call.context, entry.entry_id, POLICY_CONTROL)
    ]
    if not servers:
        raise Unauthorized(context=call.context, permission=POLICY_CONTROL)
    return choose_server(servers, call.data.get("preset"), call.data.get("recipe"))


def _list_enabled_entries(hass: HomeAssistant) -> list[GazeConfigEntry]:
    """Return the entries of all servers that are not disabled."""
    return hass.config_entries.async_entries(DOMAIN, include_ignore=False, include_disabled=False)


def _require_loaded_servers(call: ServiceCall, cause: Exception | None = None) -> None:
    """Raise ServiceValidationError if a server that could have the preset is not loaded."""
    if ATTR_CONFIG_ENTRY_ID in call.data:
        return
    for entry in _list_enabled_entries(call.hass):
        if entry.state is not ConfigEntryState.LOADED:
            name: str = call.data.get("recipe") or call.data["preset"]
            raise ServiceValidationError(
                translation_domain=DOMAIN,
                translation_key="server_not_loaded",
                translation_placeholders={"name": name[:60], "server": entry.title},
            ) from cause


def choose_server(
    servers: Sequence[GazeCoordinator], preset: str | None, recipe: str | None = None
) -> GazeCoordinator:
    """Return the server with the shortest queue among those with the preset or the recipe."""
    offering = [server for server in servers if _has_preset_or_recipe(server, preset, recipe)]
    reachable = [server for server in offering if server.last_update_success]
    return min(
        reachable or offering or servers,
        key=lambda server: server.engine.load(),
    )


def _has_preset_or_recipe(server: GazeCoordinator, preset: str | None, recipe: str | None) -> bool:
    """Return whether a server has the preset or the recipe."""
    if recipe is not None:
        return bool(server.recipes.find(recipe))
    return preset is not None and server.find_preset(preset) is not None


def _get_selected_jobs(coordinator: GazeCoordinator, call: ServiceCall) -> list[Job]:
    """Return the jobs of the call, given by job ID or batch ID. Raises ServiceValidationError."""
    engine = coordinator.engine
    jobs: dict[str, Job] = {}
    for job_id in call.data.get("job_id", ()):
        if (job := engine.job(job_id)) is None:
            raise create_unknown_job_error(job_id)
        jobs[job_id] = job
    for batch_id in call.data.get("batch_id", ()):
        if not (batch := engine.batch(batch_id)):
            raise create_unknown_job_error(batch_id)
        jobs.update((job.job_id, job) for job in batch)
    if not jobs:
        raise ServiceValidationError(translation_domain=DOMAIN, translation_key="nothing_selected")
    return list(jobs.values())


async def _async_find_preset_slug(coordinator: GazeCoordinator, call: ServiceCall) -> str | None:
    """Return the slug of the preset of the call, or None without one.

    The preset can be deleted on the server if it has images. Raises ServiceValidationError.
    """
    if (text := call.data.get("preset")) is None:
        return None
    if (slug := await coordinator.async_find_preset_slug(text)) is not None:
        return slug
    raise ServiceValidationError(
        translation_domain=DOMAIN,
        translation_key="unknown_preset",
        translation_placeholders={"preset": text[:60]},
    )


async def _async_find_recipe_id(coordinator: GazeCoordinator, call: ServiceCall) -> str | None:
    """Return the ID of the recipe of the call, or None without one.

    The recipe can be deleted if it has images. Raises ServiceValidationError.
    """
    text: str | None = call.data.get("recipe")
    if text is None:
        return None
    if len(found := coordinator.recipes.find(text)) == 1:
        return found[0].recipe_id
    wanted = text.strip().casefold()
    for folder in (await coordinator.gallery.async_overview()).recipes:
        if wanted in {folder.key.casefold(), folder.name.strip().casefold()}:
            return folder.key
    if await coordinator.gallery.async_select(Selection(recipe=text, hidden=True), 1):
        return text
    return require_recipe(coordinator, text).recipe_id  # raises the error


def _build_payload(coordinator: GazeCoordinator, job: Job) -> dict[str, Any]:
    """Return a job for a response."""
    file_path = coordinator.gallery.saved_path(job.job_id)
    return job_payload(coordinator.hass, coordinator.config_entry.entry_id, job, file_path)


def _get_wait_seconds(call: ServiceCall) -> float:
    """Return how many seconds the call waits. Without `wait`, return 0."""
    return _get_timeout(call) if call.data["wait"] else 0.0


def _get_timeout(call: ServiceCall) -> float:
    """Return the timeout of the call in seconds. Raises ServiceValidationError."""
    seconds: float = call.data["timeout"].total_seconds()
    if seconds > MAX_TIMEOUT:
        raise ServiceValidationError(translation_domain=DOMAIN, translation_key="timeout_too_long")
    return seconds


async def _async_respond(
    coordinator: GazeCoordinator, jobs: list[Job], seconds: float
) -> ServiceResponse:
    """Wait for jobs, and return the response with their current state."""
    coordinator = await async_wait(coordinator, [job.job_id for job in jobs], seconds)
    current = [coordinator.engine.job(job.job_id) or job for job in jobs]
    batch_ids = {job.batch_id for job in jobs}
    return {
        "batch_id": batch_ids.pop() if len(batch_ids) == 1 else None,
        "complete": all(job.end_fired for job in current),
        "skipped": not jobs,
        "jobs": [_build_payload(coordinator, job) for job in current],
    }


type _Handler = Callable[[ServiceCall], Coroutine[Any, Any, ServiceResponse]]

_ACTIONS: Final[dict[Action, tuple[_Handler, vol.Schema | vol.All, SupportsResponse]]] = {
    Action.CREATE_LINK: (_async_create_link, CREATE_LINK_SCHEMA, SupportsResponse.ONLY),
    Action.DELETE_IMAGES: (_async_delete_images, DELETE_IMAGES_SCHEMA, SupportsResponse.OPTIONAL),
    Action.GENERATE: (_async_generate, GENERATE_SCHEMA, SupportsResponse.OPTIONAL),
    Action.LIST_DISPLAYS: (_async_list_displays, SERVER_SCHEMA, SupportsResponse.ONLY),
    Action.LIST_IMAGES: (_async_list_images, LIST_IMAGES_SCHEMA, SupportsResponse.ONLY),
    Action.LIST_JOBS: (_async_list_jobs, SERVER_SCHEMA, SupportsResponse.ONLY),
    Action.LIST_PRESETS: (_async_list_presets, SERVER_SCHEMA, SupportsResponse.ONLY),
    Action.LIST_RECIPES: (_async_list_recipes, SERVER_SCHEMA, SupportsResponse.ONLY),
    Action.MARK_IMAGES: (_async_mark_images, MARK_IMAGES_SCHEMA, SupportsResponse.OPTIONAL),
    Action.REGENERATE: (_async_regenerate, REGENERATE_SCHEMA, SupportsResponse.OPTIONAL),
    Action.SAVE_IMAGE: (_async_save_image, SAVE_IMAGE_SCHEMA, SupportsResponse.NONE),
    Action.SHOW_IMAGE: (_async_show_image, SHOW_IMAGE_SCHEMA, SupportsResponse.NONE),
    Action.STOP_TRACKING: (_async_stop_tracking, STOP_TRACKING_SCHEMA, SupportsResponse.NONE),
    Action.TRACK_JOB: (_async_track_job, TRACK_JOB_SCHEMA, SupportsResponse.OPTIONAL),
    Action.WAIT: (_async_wait, WAIT_SCHEMA, SupportsResponse.ONLY),
}


@callback
def async_setup_services(hass: HomeAssistant) -> None:
    """Register the actions."""
    for action, (handler, schema, supports_response) in _ACTIONS.items():
        hass.services.async_register(
            DOMAIN, action, handler, schema=schema, supports_response=supports_response
        )
