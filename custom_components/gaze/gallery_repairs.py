"""Repair issues of a gallery: a missing disk, and images that the index doesn't have."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
import logging
from pathlib import Path
from typing import Any, Final, override

from homeassistant.components.repairs import ConfirmRepairFlow, RepairsFlow, RepairsFlowResult
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import issue_registry as ir
from homeassistant.helpers.event import async_track_time_interval
from homeassistant.helpers.start import async_at_started
from homeassistant.helpers.storage import STORAGE_DIR

from .const import DOMAIN
from .coordinator import GazeConfigEntry, GazeCoordinator
from .gallery import GalleryError
from .ids import issue_id

_LOGGER = logging.getLogger(__name__)

CHECK_INTERVAL: Final = timedelta(minutes=5)
FOUND: Final = "images_found"
MISSING: Final = "media_missing"
UNREADABLE: Final = "media_unreadable"
UNWRITABLE: Final = "media_unwritable"
GALLERY_ISSUES: Final = frozenset((FOUND, MISSING, UNREADABLE, UNWRITABLE))


@callback
def async_setup_gallery_repairs(hass: HomeAssistant, entry: GazeConfigEntry) -> None:
    """Check the disk of a server's images."""
    entry.async_on_unload(async_at_started(hass, _GalleryReporter(hass, entry).async_start))


def create_gallery_fix_flow(data: Mapping[str, Any] | None) -> RepairsFlow | None:
    """Return the fix flow of one of the issues, or None if it is another one."""
    if data is None or (flow := _FLOWS.get(data.get("key", ""))) is None:
        return None
    return flow(str(data["config_entry_id"]))


class _GalleryReporter:
    """Creates the issues of one server's gallery, and deletes them when they are fixed."""

    def __init__(self, hass: HomeAssistant, entry: GazeConfigEntry) -> None:
        """Store the server. Checks begin with `async_start`."""
        self._hass = hass
        self._entry = entry
        self._check_lock = asyncio.Lock()
        self._check_due = False

    @callback
    def async_start(self, _hass: HomeAssistant) -> None:
        """Check now, when the gallery changes, and every few minutes."""
        on_unload = self._entry.async_on_unload
        on_unload(self._entry.runtime_data.async_add_gallery_listener(self._schedule_check))
        on_unload(async_track_time_interval(self._hass, self._schedule_check, CHECK_INTERVAL))
        self._schedule_check()

    @callback
    def _schedule_check(self, *_: object) -> None:
        """Check in a separate task, once for changes that follow each other."""
        if self._check_due:
            return
        self._check_due = True
        self._entry.async_create_task(self._hass, self._async_check(), "gaze gallery repairs")

    async def _async_check(self) -> None:
        """Find the current issues, then create and delete issues to match."""
        coordinator = self._entry.runtime_data
        gallery = coordinator.gallery
        async with self._check_lock:
            self._check_due = False
            try:
                await gallery.async_check()
            except GalleryError:
                if gallery.unavailable_reason != "index":
                    return  # the index is closed
            reason = gallery.unavailable_reason
            found = gallery.count_found(_list_open_job_ids(coordinator))
            # The first check may end before Home Assistant marks the entry as loaded.
            if self._entry.state in {ConfigEntryState.SETUP_IN_PROGRESS, ConfigEntryState.LOADED}:
                self._update_issue(MISSING, active=reason == "missing")
                self._update_issue(UNREADABLE, active=reason == "unreadable")
                self._update_issue(UNWRITABLE, active=reason in {"unwritable", "index"})
                self._update_issue(FOUND, active=reason is None and found > 0, count=str(found))

    def _update_issue(self, key: str, *, active: bool, **placeholders: str) -> None:
        """Create or delete an issue."""
        found_id = issue_id(self._entry.entry_id, key)
        if not active:
            ir.async_delete_issue(self._hass, DOMAIN, found_id)
            return
        gallery = self._entry.runtime_data.gallery
        if gallery.unavailable_reason == "index":
            folder = Path(self._hass.config.path(STORAGE_DIR))
        else:  # the name of the folder itself can contain the host of the server
            folder = gallery.folder.parent
        ir.async_create_issue(
            self._hass,
            DOMAIN,
            found_id,
            data={"key": key, "config_entry_id": self._entry.entry_id},
            is_fixable=key in _FLOWS,
            severity=ir.IssueSeverity.WARNING if key == FOUND else ir.IssueSeverity.ERROR,
            translation_key=key,
            translation_placeholders={"folder": str(folder).replace("`", "'"), **placeholders},
        )


class _GalleryFlow(ConfirmRepairFlow):
    """Changes the gallery of a server after confirmation."""

    def __init__(self, entry_id: str) -> None:
        """Store the entry ID of the server."""
        self._entry_id = entry_id

    @override
    async def async_step_confirm(
        self, user_input: dict[str, str] | None = None
    ) -> RepairsFlowResult:
        """Change the gallery after confirmation."""
        if user_input is not None:
            entry: GazeConfigEntry | None = self.hass.config_entries.async_get_entry(self._entry_id)
            if entry is None or entry.state is not ConfigEntryState.LOADED:
                return self.async_abort(reason="not_loaded")
            try:
                await self._async_fix(entry.runtime_data)
            except GalleryError as err:
                _LOGGER.warning("Failed to change the list of images: %s", err)
                return self.async_abort(reason="failed")
        return await super().async_step_confirm(user_input)

    async def _async_fix(self, coordinator: GazeCoordinator) -> None:
        """Change the gallery. Raises GalleryError."""
        raise NotImplementedError


class AdoptImagesFlow(_GalleryFlow):
    """Adds the images that were found to the index."""

    @override
    async def _async_fix(self, coordinator: GazeCoordinator) -> None:
        """Add the images to the index."""
        presets = {slug: preset.name for slug, preset in coordinator.data.items()}
        await coordinator.gallery.async_adopt(presets, _list_open_job_ids(coordinator))


class StartAgainFlow(_GalleryFlow):
    """Creates a new folder for the images if the user deleted the old one."""

    @override
    async def _async_fix(self, coordinator: GazeCoordinator) -> None:
        """Create an empty folder."""
        await coordinator.gallery.async_start_again()


_FLOWS: Final[Mapping[str, type[_GalleryFlow]]] = {FOUND: AdoptImagesFlow, MISSING: StartAgainFlow}


def _list_open_job_ids(coordinator: GazeCoordinator) -> list[str]:
    """Return the jobs whose images may still be downloaded."""
    return [job.job_id for job in coordinator.engine.open_jobs]
