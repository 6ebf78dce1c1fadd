"""Repairs: issues that only the user can fix."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
import logging
from pathlib import Path
import shutil
import sys
from typing import Any, Final, override
from urllib.parse import quote

from homeassistant.components.automation import (
    DOMAIN as AUTOMATION_DOMAIN,
    EVENT_AUTOMATION_RELOADED,
)
from homeassistant.components.repairs import ConfirmRepairFlow, RepairsFlow, RepairsFlowResult
from homeassistant.components.script import DOMAIN as SCRIPT_DOMAIN
from homeassistant.components.select import DOMAIN as SELECT_DOMAIN
from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import CONF_HOST
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import device_registry as dr, entity_registry as er, issue_registry as ir
from homeassistant.helpers.event import async_track_time_interval
from homeassistant.helpers.start import async_at_started
from homeassistant.helpers.storage import STORAGE_DIR
from homeassistant.helpers.translation import async_get_translations
from homeassistant.util.hass_dict import HassKey
from yarl import URL

from .const import CONF_PRESETS, DOMAIN
from .coordinator import GazeConfigEntry, GazeCoordinator
from .gallery_repairs import GALLERY_ISSUES, async_setup_gallery_repairs, create_gallery_fix_flow
from .ids import issue_id, unique_id
from .jobs import JobEvent, Reason
from .names import as_markdown, clean
from .preset_usage import PresetUsage, find_references, find_usages

_LOGGER = logging.getLogger(__name__)

CHECK_INTERVAL: Final = timedelta(minutes=5)
LEAST_FREE: Final = 64 * 2**20  # bytes: one image at its largest

# By config entry: the slug of the preset of each device, or nothing for the other devices.
_DATA_DEVICES: Final[HassKey[dict[str, dict[str, str]]]] = HassKey(f"{DOMAIN}_repairs_devices")
_MEBIBYTE: Final = 2**20


@callback
def async_setup_repairs(hass: HomeAssistant, entry: GazeConfigEntry) -> None:
    """Check a server every few minutes, and when something relevant happens."""
    reporter = _IssueReporter(hass, entry)
    reporter.async_report_set_aside()
    entry.async_on_unload(async_at_started(hass, reporter.async_start))
    async_setup_gallery_repairs(hass, entry)


@callback
def async_delete_repairs(
    hass: HomeAssistant, entry: GazeConfigEntry, *, persistent: bool = False
) -> None:
    """Delete the issues of a server, but persistent ones only if `persistent`.

    The user has to confirm persistent issues.
    """
    for issue in _list_issues(hass, entry):
        if persistent or not issue.is_persistent:
            ir.async_delete_issue(hass, DOMAIN, issue.issue_id)


async def async_create_fix_flow(
    _hass: HomeAssistant, _issue_id: str, data: Mapping[str, Any] | None
) -> RepairsFlow:
    """Return the fix flow of an issue of a gallery, or of a store that was set aside."""
    return create_gallery_fix_flow(data) or RemoveStoreFlow(str((data or {}).get("file")))


class RemoveStoreFlow(ConfirmRepairFlow):
    """Deletes the file of a damaged store after confirmation."""

    def __init__(self, file: str) -> None:
        """Store the name of the file in Home Assistant's storage directory."""
        self._file = file

    @override
    async def async_step_confirm(
        self, user_input: dict[str, str] | None = None
    ) -> RepairsFlowResult:
        """Delete the file after confirmation."""
        if user_input is not None:
            path = Path(self.hass.config.path(STORAGE_DIR), Path(self._file).name)
            try:
                await self.hass.async_add_executor_job(lambda: path.unlink(missing_ok=True))
            except OSError as err:
                _LOGGER.warning("Failed to delete %s: %s", path, err)
                return self.async_abort(
                    reason="cannot_remove", description_placeholders={"file": path.name}
                )
        return await super().async_step_confirm(user_input)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Finding:
    """A problem: the key of its text, and the placeholders."""

    key: str
    placeholders: dict[str, str]


class _IssueReporter:
    """Creates the issues of one server, and deletes them when they are fixed."""

    def __init__(self, hass: HomeAssistant, entry: GazeConfigEntry) -> None:
        """Store the server. Checks begin with `async_start`."""
        self._hass = hass
        self._entry = entry
        self._coordinator = entry.runtime_data
        self._check_lock = asyncio.Lock()

    @callback
    def async_report_set_aside(self) -> None:
        """Report the stores that this start found damaged. The user confirms the issue."""
        for file in self._coordinator.stores_set_aside:
            ir.async_create_issue(
                self._hass,
                DOMAIN,
                issue_id(self._entry.entry_id, file),
                data={"file": file},
                is_fixable=True,
                is_persistent=True,
                severity=ir.IssueSeverity.ERROR,
                translation_key="gallery_set_aside" if ".gallery." in file else "jobs_set_aside",
                translation_placeholders=self._placeholders(file=file),
            )

    @callback
    def async_start(self, _hass: HomeAssistant) -> None:
        """Check now, when something relevant happens, and every few minutes."""
        on_unload = self._entry.async_on_unload
        on_unload(self._coordinator.async_add_listener(self._schedule_check))
        on_unload(self._coordinator.async_add_event_listener(self._on_event))
        on_unload(self._coordinator.async_add_gallery_listener(self._schedule_check))
        on_unload(self._hass.bus.async_listen(EVENT_AUTOMATION_RELOADED, self._schedule_check))
        on_unload(async_track_time_interval(self._hass, self._schedule_check, CHECK_INTERVAL))
        self._schedule_check()

    @callback
    def _schedule_check(self, *_: object) -> None:
        """Check in a separate task."""
        self._entry.async_create_task(self._hass, self._async_check(), "gaze repairs")

    @callback
    def _on_event(self, event: JobEvent, fields: Mapping[str, Any]) -> None:
        """Check when an image could not be saved."""
        if event is JobEvent.FAILED and fields["reason"] == Reason.DOWNLOAD:
            self._schedule_check()

    async def _async_check(self) -> None:
        """Find the current problems, then create and delete issues to match."""
        async with self._check_lock:
            full_disk = await self._check_disk()
            texts = await async_get_translations(
                self._hass, self._hass.config.language, "options", [DOMAIN]
            )
            if self._entry.state is not ConfigEntryState.UNLOAD_IN_PROGRESS:
                self._report(
                    full_disk | self._find_missing_presets(texts) | self._find_removed_targets()
                )

    def _report(self, found: Mapping[str, _Finding]) -> None:
        """Create the issues that were found and delete the others."""
        for issue in _list_issues(self._hass, self._entry):
            if issue.translation_key in GALLERY_ISSUES:
                continue
            if issue.issue_id not in found and not issue.is_persistent:
                ir.async_delete_issue(self._hass, DOMAIN, issue.issue_id)
        for found_id, finding in found.items():
            ir.async_create_issue(
                self._hass,
                DOMAIN,
                found_id,
                is_fixable=False,
                severity=ir.IssueSeverity.ERROR,
                translation_key=finding.key,
                translation_placeholders=finding.placeholders,
            )

    def _finding(self, key: str, which: str = "", **placeholders: str) -> dict[str, _Finding]:
        """Return a finding by the ID of its issue. `which` distinguishes equal keys."""
        found_id = "-".join(filter(None, (self._entry.entry_id, key, which)))
        return {found_id: _Finding(key=key, placeholders=self._placeholders(**placeholders))}

    def _placeholders(self, **placeholders: str) -> dict[str, str]:
        """Return placeholders with the name of the server."""
        title = self._without_host(self._entry.title)
        return {"server": as_markdown(title), "title": title, **placeholders}

    def _without_host(self, text: str) -> str:
        """Replace the host in the title of a second server with a number.

        Diagnostics contain the placeholders of issues, and must not contain the host.
        """
        entries = self._hass.config_entries.async_entries(DOMAIN)
        number = 1 + [entry.entry_id for entry in entries].index(self._entry.entry_id)
        return text.replace(f"({URL(self._entry.data[CONF_HOST]).host})", f"({number})")

    async def _check_disk(self) -> dict[str, _Finding]:
        """Return a finding if one of the used disks has no space for an image."""
        folders = (self._coordinator.gallery.folder, Path(self._hass.config.path(STORAGE_DIR)))
        folder, free = await self._hass.async_add_executor_job(_find_fullest, *folders)
        if free >= LEAST_FREE and self._coordinator.gallery.unavailable_reason != "full":
            return {}
        return self._finding(
            "disk_full", folder=str(folder.parent).replace("`", "'"), free=str(free // _MEBIBYTE)
        )

    def _find_missing_presets(self, texts: Mapping[str, str]) -> dict[str, _Finding]:
        """Return the presets that are used but that the server doesn't have, and where."""
        if not self._coordinator.presets_listed:
            return {}
        places: dict[str, list[str]] = {}
        names: dict[str, str] = {}
        for preset, place in [
            *self._find_preset_of_controls(),
            *self._find_presets_of_option(texts),
            *self._find_presets_of_automations(),
        ]:
            key = preset.strip().casefold()
            names.setdefault(key, preset)
            if place not in places.setdefault(key, []):
                places[key].append(place)
        found: dict[str, _Finding] = {}
        for key, used in places.items():
            found |= self._finding(
                "preset_missing",
                key,
                preset=as_markdown(names[key]),
                name=clean(names[key]),
                places="\n".join(f"- {place}" for place in used),
            )
        return found

    def _find_preset_of_controls(self) -> Iterator[tuple[str, str]]:
        """Yield the preset of the controls if it is missing."""
        slug = self._coordinator.controls.preset
        entity_id = er.async_get(self._hass).async_get_entity_id(
            SELECT_DOMAIN, DOMAIN, unique_id(self._entry.entry_id, "preset")
        )
        if slug is None or slug in self._coordinator.data or entity_id is None:
            return
        if (state := self._hass.states.get(entity_id)) is not None:
            entity = er.async_get(self._hass).entities[entity_id]
            yield (
                slug,
                _link(self._without_host(state.name), f"/config/devices/device/{entity.device_id}"),
            )

    def _find_presets_of_option(self, texts: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        """Yield the presets chosen to be devices that are missing."""
        label = texts.get(f"component.{DOMAIN}.options.step.init.data.{CONF_PRESETS}", CONF_PRESETS)
        place = _link(label, f"/config/integrations/integration/{DOMAIN}")
        for slug in self._entry.options.get(CONF_PRESETS, ()):
            if slug not in self._coordinator.data:
                yield slug, place

    def _find_presets_of_automations(self) -> Iterator[tuple[str, str]]:
        """Yield the missing presets that automations and scripts use.

        They name a preset in an action, or an entity or device that was removed with the preset.
        """
        for config, place in self._list_configs():
            for usage in find_usages(config):
                if self._is_missing(usage):
                    yield usage.preset, place
        yield from self._find_references(self._list_removed(of_missing_presets=True))

    def _find_references(self, ids: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        """Yield the value of each ID that an automation or script uses, and its place."""
        for config, place in self._list_configs():
            for found in find_references(config, ids):
                yield found, place

    def _list_configs(self) -> Iterator[tuple[object, str]]:
        """Yield the configuration of each automation that is on and of each script, with a link."""
        for domain in (AUTOMATION_DOMAIN, SCRIPT_DOMAIN):
            component = self._hass.data.get(domain)
            for entity in component.entities if component is not None else ():
                if domain == AUTOMATION_DOMAIN and entity.is_on is False:
                    continue
                name = entity.name or entity.entity_id
                edit = f"/config/{domain}/edit/{quote(entity.unique_id or '', safe='')}"
                place = _link(name, edit) if entity.unique_id else as_markdown(name)
                yield entity.raw_config, place

    def _is_missing(self, usage: PresetUsage) -> bool:
        """Return whether a step requests a missing preset and this server has to report it."""
        servers = self._list_matching_servers(usage.entry_id)
        if servers[:1] != [self._coordinator]:
            return False  # another server reports it, or no server can
        return not any(server.find_preset(usage.preset) for server in servers)

    def _list_matching_servers(self, entry_id: object) -> list[GazeCoordinator]:
        """Return the servers that a step may use, or none if one of them is not loaded."""
        entries: list[GazeConfigEntry] = self._hass.config_entries.async_entries(
            DOMAIN, include_ignore=False, include_disabled=False
        )
        matching = [entry for entry in entries if entry_id is None or entry_id == entry.entry_id]
        if any(
            entry.state is not ConfigEntryState.LOADED and entry is not self._entry
            for entry in matching
        ):
            return []
        servers = [entry.runtime_data for entry in matching]
        return servers if all(server.presets_listed for server in servers) else []

    def _find_removed_targets(self) -> dict[str, _Finding]:
        """Return where automations and scripts use devices and entities that were removed.

        Those of presets that the server no longer has are reported with the preset.
        """
        removed = self._list_removed(of_missing_presets=False)
        places = dict.fromkeys(place for _, place in self._find_references(removed))
        if not places:
            return {}
        listed = "\n".join(f"- {place}" for place in places)
        return self._finding("target_removed", places=listed)

    def _list_removed(self, *, of_missing_presets: bool) -> dict[str, str]:
        """Return the removed entities and devices of missing presets, or all other removed ones.

        The keys are their IDs. The values are the slug of the preset, or nothing.
        """
        removed = self._list_removed_devices() | self._list_removed_entities()
        return {
            used: slug
            for used, slug in removed.items()
            if self._is_preset_missing(slug) is of_missing_presets
        }

    def _list_removed_devices(self) -> dict[str, str]:
        """Return the devices that were removed since Home Assistant started.

        This class notes the IDs of devices until the next start, which validates automations.
        """
        devices = dr.async_get(self._hass)
        known = self._hass.data.setdefault(_DATA_DEVICES, {}).setdefault(self._entry.entry_id, {})
        for device in dr.async_entries_for_config_entry(devices, self._entry.entry_id):
            for _, identifier in device.identifiers:
                known[device.id] = self._get_slug(identifier)
        return {used: slug for used, slug in known.items() if devices.async_get(used) is None}

    def _list_removed_entities(self) -> dict[str, str]:
        """Return the removed entities, which the entity registry stores."""
        entities = er.async_get(self._hass)
        return {
            entity.entity_id: self._get_slug(entity.unique_id.rpartition("-")[0])
            for entity in entities.deleted_entities.values()
            if self._has_to_report(entity.platform, entity.config_entry_id)
            and entity.entity_id not in entities.entities
            and self._hass.states.get(entity.entity_id) is None
        }

    def _has_to_report(self, domain: str | None, entry_id: str | None) -> bool:
        """Return whether this server has to report a removed entity.

        Home Assistant does not know which server the entity of a removed recipe or display
        belonged to. The first server reports it.
        """
        if entry_id is not None or domain != DOMAIN:
            return entry_id == self._entry.entry_id
        return self._hass.config_entries.async_loaded_entries(DOMAIN)[:1] == [self._entry]

    def _get_slug(self, identifier: str) -> str:
        """Return the slug in the identifier of a preset, or nothing if it is not of a preset."""
        prefix = f"{self._entry.entry_id}-"
        return identifier.removeprefix(prefix) if identifier.startswith(prefix) else ""

    def _is_preset_missing(self, slug: str) -> bool:
        """Return whether the server no longer has a preset."""
        return bool(slug) and slug not in self._coordinator.data


def _list_issues(hass: HomeAssistant, entry: GazeConfigEntry) -> list[ir.IssueEntry]:
    """Return the issues of a server, from this run or an earlier one."""
    return [
        issue
        for issue in ir.async_get(hass).issues.values()
        if issue.domain == DOMAIN and issue.issue_id.startswith(issue_id(entry.entry_id, ""))
    ]


def _find_fullest(*folders: Path) -> tuple[Path, int]:
    """Return the folder whose disk has the least free space, and that space in bytes. Blocks."""
    return min(((folder, _get_free_space(folder)) for folder in folders), key=lambda item: item[1])


def _get_free_space(folder: Path) -> int:
    """Return the free space on the disk of a folder, in bytes. Blocks.

    A disk that doesn't report its free space counts as having enough. Other issues report it.
    """
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        return shutil.disk_usage(existing).free
    except OSError:
        return sys.maxsize


def _link(text: str, path: str) -> str:
    """Return a link to a page of Home Assistant."""
    return f"[{as_markdown(text)}]({path})"
