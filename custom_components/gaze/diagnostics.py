"""Diagnostics of a server, limited in size and without secrets."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from itertools import islice
import re
from typing import Any, Final

from homeassistant.components.diagnostics import REDACTED, async_redact_data
from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import CONF_API_KEY, CONF_HOST
from homeassistant.core import HomeAssistant
from yarl import URL

from .coordinator import GazeConfigEntry, GazeCoordinator
from .displays import Player
from .gallery import Folder, GalleryError
from .jobs import Job
from .names import clean
from .payloads import job_payload

MAX_JOBS: Final = 50
MAX_PRESETS: Final = 200
MAX_DURATIONS: Final = 200
MAX_TEXT: Final = 200

_SECRET: Final = {CONF_API_KEY, CONF_HOST}
_PRIVATE: Final = {
    "entity_id",  # that of a recipe contains its name
    "extra_negative",
    "extra_positive",
    "file_path",
    "recipe_name",
    "tag",
    "title",
}
_RECIPE_TEXTS: Final = {"name", "prompt", "negative", "instructions", "tag", "seed"}


async def async_get_config_entry_diagnostics(
    _hass: HomeAssistant, entry: GazeConfigEntry
) -> dict[str, Any]:
    """Return the state of a server, its last `MAX_JOBS` jobs, and its images."""
    url = URL(entry.data[CONF_HOST])
    found: dict[str, Any] = {
        "entry": {
            "title": _without(entry.title, _secrets(entry)),
            "state": entry.state.value,
            "data": async_redact_data(entry.data, _SECRET),
            "options": dict(entry.options),
        },
        "address": {"scheme": url.scheme, "port": url.port, "has_path": url.path != "/"},
    }
    if entry.state is ConfigEntryState.LOADED:
        coordinator = entry.runtime_data
        found |= {
            "server": _server(coordinator),
            "jobs": _jobs(coordinator),
            "recipes": _recipes(coordinator),
            "pacing": coordinator.engine.pacing,
            "durations": _durations(coordinator),
            "gallery": await _gallery(coordinator),
            "displays": [_display(player) for player in coordinator.displays.players],
        }
    return found


def _server(coordinator: GazeCoordinator) -> dict[str, Any]:
    """Return the connection and the presets of a server."""
    error = coordinator.last_exception
    secrets = _secrets(coordinator.config_entry)
    return {
        "answers": coordinator.last_update_success,
        "error": None if error is None else type(error).__name__,
        "error_text": None if error is None else _without(str(error), secrets),
        "presets_listed": coordinator.presets_listed,
        "preset_count": len(coordinator.data),
        "presets": {
            slug[:MAX_TEXT]: _without(preset.name, secrets)
            for slug, preset in islice(coordinator.data.items(), MAX_PRESETS)
        },
    }


def _recipes(coordinator: GazeCoordinator) -> list[dict[str, Any]]:
    """Return the recipes without the texts of users."""
    return [
        async_redact_data(asdict(recipe), _RECIPE_TEXTS)
        for recipe in islice(coordinator.recipes, MAX_PRESETS)
    ]


def _jobs(coordinator: GazeCoordinator) -> dict[str, Any]:
    """Return the number of jobs, and the last ones."""
    jobs = coordinator.engine.jobs
    return {
        "by_status": dict(sorted(Counter(job.status.value for job in jobs).items())),
        "by_reason": dict(sorted(Counter(job.reason.value for job in jobs if job.reason).items())),
        "last": [_job(coordinator, job) for job in jobs[-MAX_JOBS:]],
    }


def _job(coordinator: GazeCoordinator, job: Job) -> dict[str, Any]:
    """Return a job's fields without texts of users.

    Error messages of the server stay, because they explain a failure. Addresses and texts of the
    request are removed from them.
    """
    fields = async_redact_data(
        job_payload(coordinator.hass, coordinator.config_entry.entry_id, job), _PRIVATE
    )
    secrets = _secrets(coordinator.config_entry)
    written = filter(None, (job.extra_positive, job.extra_negative, job.tag))
    fields["preset_name"] = _without(job.preset_name, secrets)
    if job.checkpoint is not None:
        fields["checkpoint"] = _without(job.checkpoint, secrets)
    if job.error is not None:
        fields["error"] = _without(job.error, [*secrets, *written])
    return fields


def _durations(coordinator: GazeCoordinator) -> list[dict[str, Any]]:
    """Return the learned durations by key, as the shortest and longest seconds of each image."""
    secrets = _secrets(coordinator.config_entry)
    return [
        {
            "key": [_without(part, secrets) for part in key],
            "seconds": [[round(bound, 2) for bound in interval] for interval in samples],
        }
        for key, samples in islice(coordinator.engine.durations.items(), MAX_DURATIONS)
    ]


async def _gallery(coordinator: GazeCoordinator) -> dict[str, Any]:
    """Return the number of saved images, in total, by preset, and by month."""
    found: dict[str, Any] = {"count": coordinator.gallery.count}
    try:
        overview = await coordinator.gallery.async_overview()
        favorites, hidden = await coordinator.gallery.async_marked()
    except GalleryError as err:
        return found | {"error": type(err).__name__}
    return found | {
        "favorites": favorites,
        "hidden": hidden,
        "unavailable": coordinator.gallery.unavailable_reason,
        "presets": _counts(overview.presets),
        "months": _counts(overview.months),
    }


def _display(player: Player) -> dict[str, Any]:
    """Return the settings and the state of a display, without its name and address."""
    display, state = player.display, player.state
    return {
        "source": display.source.value,
        "width": display.width,
        "height": display.height,
        "address": display.address,
        "format": display.rendering.format.value,
        "colors": display.rendering.colors.value,
        "dithering": display.rendering.dithering.value,
        "order": display.order.value,
        "advance": display.advance.value,
        "hold": state.hold,
        "shows_image": state.copy is not None,
        "last_fetched": state.last_fetched,
    }


def _counts(folders: Iterable[Folder]) -> dict[str, int]:
    """Return the number of images by folder."""
    return {folder.key[:MAX_TEXT]: folder.count for folder in islice(folders, MAX_PRESETS)}


def _secrets(entry: GazeConfigEntry) -> list[str]:
    """Return the secrets to redact in texts: the API key, and the host of the server."""
    host = URL(entry.data[CONF_HOST]).host
    return [secret for secret in (entry.data[CONF_API_KEY], host) if secret]


def _without(text: str, secrets: Iterable[str]) -> str:
    """Return a text as one line with redacted secrets, regardless of case."""
    for secret in secrets:
        text = re.sub(re.escape(secret), REDACTED, text, flags=re.IGNORECASE)
    return clean(text, MAX_TEXT)
