"""Repairs: what only a person can mend, told where Home Assistant gathers such things."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
import logging
from pathlib import Path
import re
import shutil
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
from homeassistant.const import ATTR_CONFIG_ENTRY_ID
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import device_registry as dr, entity_registry as er, issue_registry as ir
from homeassistant.helpers.event import async_track_time_interval
from homeassistant.helpers.start import async_at_started
from homeassistant.helpers.storage import STORAGE_DIR
from homeassistant.helpers.template import is_template_string
from homeassistant.helpers.translation import async_get_translations
from homeassistant.util import dt as dt_util

from .const import CONF_PRESETS, DOMAIN
from .coordinator import GazeConfigEntry, GazeCoordinator
from .gallery_repairs import GALLERY_ISSUES, async_setup_gallery_repairs, create_gallery_fix_flow
from .ids import issue_id, unique_id
from .jobs import JobEvent, Reason
from .names import clean

_LOGGER = logging.getLogger(__name__)

LOOK_INTERVAL: Final = timedelta(minutes=5)
SILENCE: Final = timedelta(days=1)
LEAST_FREE: Final = 64 * 2**20  # bytes: one picture at its largest

_USING_A_PRESET: Final = {
    f"{DOMAIN}.{action}" for action in ("generate", "regenerate", "track_job")
}
_PUNCTUATION: Final = re.compile(r"([!-/:-@\[-`{-~])")  # Markdown takes a backslash before each
_MEBIBYTE: Final = 2**20


@callback
def async_setup_repairs(hass: HomeAssistant, entry: GazeConfigEntry) -> None:
    """Watch a server: every few minutes, and when something happens."""
    watch = _Watch(hass, entry)
    watch.async_tell_set_aside()
    entry.async_on_unload(async_at_started(hass, watch.async_start))
    async_setup_gallery_repairs(hass, entry)


@callback
def async_forget_repairs(
    hass: HomeAssistant, entry: GazeConfigEntry, *, persistent: bool = False
) -> None:
    """Take back what was told of a server; what a person has to confirm only if `persistent`."""
    for issue in _told(hass, entry):
        if persistent or not issue.is_persistent:
            ir.async_delete_issue(hass, DOMAIN, issue.issue_id)


async def async_create_fix_flow(
    _hass: HomeAssistant, _issue_id: str, data: Mapping[str, Any] | None
) -> RepairsFlow:
    """Return what mends the one issue that can be mended here: a store that was set aside."""
    return create_gallery_fix_flow(data) or RemoveStoreFlow(str((data or {}).get("file")))


class RemoveStoreFlow(ConfirmRepairFlow):
    """Asks whether a damaged store is still wanted, and removes its file."""

    def __init__(self, file: str) -> None:
        """Keep the name of the file in Home Assistant's storage directory."""
        self._file = file

    @override
    async def async_step_confirm(
        self, user_input: dict[str, str] | None = None
    ) -> RepairsFlowResult:
        """Remove the file once that is confirmed."""
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
    """Something that is wrong: the key of its text, and what is filled in."""

    key: str
    placeholders: dict[str, str]


class _Watch:
    """Tells what is wrong with one server, and takes it back when it is mended."""

    def __init__(self, hass: HomeAssistant, entry: GazeConfigEntry) -> None:
        """Look at nothing yet."""
        self._hass = hass
        self._entry = entry
        self._coordinator = entry.runtime_data
        self._looking = asyncio.Lock()
        self._devices: dict[str, str] = {}  # slug by device id, those that are gone too

    @callback
    def async_tell_set_aside(self) -> None:
        """Tell of the stores that were found damaged in this start; a person takes it back."""
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
                translation_placeholders={"file": file, **self._server()},
            )

    @callback
    def async_start(self, _hass: HomeAssistant) -> None:
        """Look now, when something happens that may matter, and every few minutes."""
        on_unload = self._entry.async_on_unload
        on_unload(self._coordinator.async_add_listener(self._look_soon))
        on_unload(self._coordinator.async_add_event_listener(self._on_event))
        on_unload(self._hass.bus.async_listen(EVENT_AUTOMATION_RELOADED, self._look_soon))
        on_unload(async_track_time_interval(self._hass, self._look_soon, LOOK_INTERVAL))
        self._look_soon()

    @callback
    def _look_soon(self, *_: object) -> None:
        """Look, beside whatever goes on."""
        self._entry.async_create_task(self._hass, self._look(), "gaze repairs")

    @callback
    def _on_event(self, event: JobEvent, fields: Mapping[str, Any]) -> None:
        """Look when a picture could not be kept."""
        if event is JobEvent.FAILED and fields["reason"] == Reason.DOWNLOAD:
            self._look_soon()

    async def _look(self) -> None:
        """Find what is wrong, tell it, and take back what no longer is."""
        async with self._looking:
            full_disk = await self._full_disk()
            texts = await async_get_translations(
                self._hass, self._hass.config.language, "options", [DOMAIN]
            )
            if self._entry.state is not ConfigEntryState.UNLOAD_IN_PROGRESS:
                self._tell(self._silence() | full_disk | self._missing_presets(texts))

    def _tell(self, found: Mapping[str, _Finding]) -> None:
        """Tell what was found, and take back what was not."""
        for issue in _told(self._hass, self._entry):
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
        """Return a finding by the id of its issue; `which` tells those of one key apart."""
        issue_id = "-".join(filter(None, (self._entry.entry_id, key, which)))
        return {issue_id: _Finding(key=key, placeholders=placeholders | self._server())}

    def _server(self) -> dict[str, str]:
        """Return what the server is called: as Markdown, and as a title has it."""
        return {"server": _plain(self._entry.title), "title": self._entry.title}

    def _silence(self) -> dict[str, _Finding]:
        """Return whether the server has not answered for a day, in this run."""
        since = self._coordinator.silent_since
        if since is None or dt_util.utcnow() - since < SILENCE:
            return {}
        return self._finding(
            "server_silent",
            since=f"{dt_util.as_local(since):%Y-%m-%d %H:%M}",
            host=_plain(str(self._coordinator.url)),
        )

    async def _full_disk(self) -> dict[str, _Finding]:
        """Return whether a disk that is written to has no room for a picture."""
        folders = (self._coordinator.gallery.folder, Path(self._hass.config.path(STORAGE_DIR)))
        folder, free = await self._hass.async_add_executor_job(_fullest, *folders)
        if free >= LEAST_FREE:
            return {}
        return self._finding(
            "disk_full", folder=str(folder).replace("`", "'"), free=str(free // _MEBIBYTE)
        )

    def _missing_presets(self, texts: Mapping[str, str]) -> dict[str, _Finding]:
        """Return which presets are used that the server does not have, and where."""
        if not self._coordinator.presets_listed:
            return {}
        places: dict[str, list[str]] = {}
        names: dict[str, str] = {}
        for preset, place in [
            *self._of_controls(),
            *self._of_option(texts),
            *self._of_automations(),
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
                preset=_plain(names[key]),
                name=clean(names[key]),
                places="\n".join(f"- {place}" for place in used),
            )
        return found

    def _of_controls(self) -> Iterator[tuple[str, str]]:
        """Yield the preset of the controls if it is missing."""
        slug = self._coordinator.controls.preset
        entity_id = er.async_get(self._hass).async_get_entity_id(
            SELECT_DOMAIN, DOMAIN, unique_id(self._entry.entry_id, "preset")
        )
        if slug is None or slug in self._coordinator.data or entity_id is None:
            return
        if (state := self._hass.states.get(entity_id)) is not None:
            entity = er.async_get(self._hass).entities[entity_id]
            yield slug, _link(state.name, f"/config/devices/device/{entity.device_id}")

    def _of_option(self, texts: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        """Yield the presets chosen to be devices that are missing."""
        label = texts.get(f"component.{DOMAIN}.options.step.init.data.{CONF_PRESETS}", CONF_PRESETS)
        place = _link(label, f"/config/integrations/integration/{DOMAIN}")
        for slug in self._entry.options.get(CONF_PRESETS, ()):
            if slug not in self._coordinator.data:
                yield slug, place

    def _of_automations(self) -> Iterator[tuple[str, str]]:
        """Yield the missing presets that automations and scripts use.

        They name a preset in an action, or an entity or device that went with the preset.
        """
        gone = self._gone()
        for domain in (AUTOMATION_DOMAIN, SCRIPT_DOMAIN):
            component = self._hass.data.get(domain)
            for entity in component.entities if component is not None else ():
                name = entity.name or entity.entity_id
                edit = f"/config/{domain}/edit/{quote(entity.unique_id or '', safe='')}"
                place = _link(name, edit) if entity.unique_id else _plain(name)
                for part in _parts(entity.raw_config):
                    preset = gone.get(part) if isinstance(part, str) else self._named_in(part)
                    if preset is not None:
                        yield preset, place

    def _named_in(self, step: Mapping[str, Any]) -> str | None:
        """Return the preset that a step of an automation asks this server for in vain."""
        data = step.get("data")
        action = step.get("action", step.get("service"))
        if not isinstance(action, str) or action not in _USING_A_PRESET:
            return None
        if not isinstance(data, Mapping):
            return None
        preset = data.get("preset")
        if not isinstance(preset, str) or is_template_string(preset):
            return None
        servers = self._asked(data.get(ATTR_CONFIG_ENTRY_ID))
        if servers[:1] != [self._coordinator]:
            return None  # another one tells, or nobody can
        return None if any(server.find_preset(preset) for server in servers) else preset

    def _asked(self, entry_id: object) -> list[GazeCoordinator]:
        """Return the servers that a step may mean; none while one of them is not up."""
        entries: list[GazeConfigEntry] = self._hass.config_entries.async_entries(
            DOMAIN, include_ignore=False, include_disabled=False
        )
        meant = [entry for entry in entries if entry_id is None or entry_id == entry.entry_id]
        if any(
            entry.state is not ConfigEntryState.LOADED and entry is not self._entry
            for entry in meant
        ):
            return []
        servers = [entry.runtime_data for entry in meant]
        return servers if all(server.presets_listed for server in servers) else []

    def _gone(self) -> dict[str, str]:
        """Return which preset an entity id or device id belonged to that is gone with it.

        Home Assistant keeps the former for ever. Ids of devices are remembered here, for this
        run: from the next start on Home Assistant itself tells of a trigger without its device.
        """
        present = self._coordinator.data
        prefix = f"{self._entry.entry_id}-"
        registry = er.async_get(self._hass)
        gone = {
            deleted.entity_id: deleted.unique_id.removeprefix(prefix).rpartition("-")[0]
            for deleted in registry.deleted_entities.values()
            if deleted.unique_id.startswith(prefix)
            and deleted.platform == DOMAIN
            and deleted.entity_id not in registry.entities
        }
        for device in dr.async_entries_for_config_entry(
            dr.async_get(self._hass), self._entry.entry_id
        ):
            for _, identifier in device.identifiers:
                self._devices[device.id] = identifier.removeprefix(prefix)
        gone |= self._devices
        return {
            used: slug
            for used, slug in gone.items()
            if slug and slug not in present and slug != self._entry.entry_id
        }


def _told(hass: HomeAssistant, entry: GazeConfigEntry) -> list[ir.IssueEntry]:
    """Return what was told of a server, in this run or an earlier one."""
    return [
        issue
        for issue in ir.async_get(hass).issues.values()
        if issue.domain == DOMAIN and issue.issue_id.startswith(issue_id(entry.entry_id, ""))
    ]


def _parts(config: Any) -> Iterator[Mapping[str, Any] | str]:
    """Yield all mappings and texts in a configuration."""
    if isinstance(config, str):
        yield config
    elif isinstance(config, Mapping):
        yield config
        for part in config.values():
            yield from _parts(part)
    elif isinstance(config, list):
        for part in config:
            yield from _parts(part)


def _fullest(*folders: Path) -> tuple[Path, int]:
    """Return the folder whose disk has the least room, and the room in bytes. Blocks."""
    room: dict[Path, int] = {}
    for folder in folders:
        there = next(path for path in (folder, *folder.parents) if path.exists())
        room[folder] = shutil.disk_usage(there).free
    return min(room.items(), key=lambda item: item[1])


def _plain(text: str) -> str:
    """Return text from elsewhere as Markdown that shows it as it is."""
    return _PUNCTUATION.sub(r"\\\1", clean(text, 200))


def _link(text: str, path: str) -> str:
    """Return a link to a page of Home Assistant."""
    return f"[{_plain(text)}]({path})"
