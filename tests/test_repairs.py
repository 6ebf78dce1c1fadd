"""Tests of what is told in Repairs, and of how it goes away."""

from collections.abc import AsyncGenerator, Callable
from datetime import timedelta
from pathlib import Path
import shutil
from types import MappingProxyType
from typing import Any, NamedTuple

from freezegun.api import FrozenDateTimeFactory
from homeassistant.components import automation
from homeassistant.config_entries import ConfigEntryDisabler, ConfigSubentry
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers import device_registry as dr, issue_registry as ir
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_time_changed
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.gaze.const import CONF_PRESETS, DOMAIN
from custom_components.gaze.repairs import CHECK_INTERVAL, LEAST_FREE, RemoveStoreFlow
from testing.faults import Fault
from testing.gaze_server import GazeServer

from .common import press, wait_for
from .conftest import SetUp

REFRESH = "button.gaze_refresh_presets"
PANEL = "select.gaze_preset"
DAMAGED = b"This is no database. " * 100


class Usage(NamedTuple):
    """The room on a disk, as shutil tells it, in bytes."""

    total: int
    used: int
    free: int


type Told = Callable[[], dict[str, ir.IssueEntry]]


@pytest.fixture
def told(issue_registry: ir.IssueRegistry) -> Told:
    """Return what tells the issues that people see, by the key of their text."""
    return lambda: {
        str(issue.translation_key): issue
        for issue in issue_registry.issues.values()
        if issue.domain == DOMAIN and issue.active
    }


@pytest.fixture
async def other_server(socket_enabled: None) -> AsyncGenerator[GazeServer]:
    """Return another GAZE server."""
    async with GazeServer(duration=None, seed=2, size=(64, 96)) as server:
        yield server


async def look(hass: HomeAssistant, freezer: FrozenDateTimeFactory) -> None:
    """Let the time pass until the next look has been taken."""
    freezer.tick(CHECK_INTERVAL)
    async_fire_time_changed(hass)
    await hass.async_block_till_done()


async def refresh(hass: HomeAssistant) -> None:
    """List the presets."""
    await press(hass, REFRESH)
    await hass.async_block_till_done()


async def choose(hass: HomeAssistant, option: str) -> None:
    """Choose the panel's preset."""
    await hass.services.async_call(
        "select", "select_option", {"entity_id": PANEL, "option": option}, blocking=True
    )
    await hass.async_block_till_done()


async def automate(hass: HomeAssistant, **config: Any) -> None:
    """Set up one automation."""
    base: dict[str, Any] = {"id": "evening", "alias": "Evening *picture*"}
    if "trigger" not in config:
        base |= {"triggers": {"trigger": "event", "event_type": "evening"}, "actions": []}
    assert await async_setup_component(
        hass, automation.DOMAIN, {automation.DOMAIN: {**base, **config}}
    )
    await hass.async_block_till_done()


def generate(preset: str, **data: Any) -> dict[str, Any]:
    """Return a step that generates."""
    return {"action": "gaze.generate", "data": {"preset": preset, **data}}


def places(issue: ir.IssueEntry) -> str:
    """Return where an issue says that a preset is used."""
    assert issue.translation_placeholders is not None
    return issue.translation_placeholders["places"]


# Presets


@pytest.mark.usefixtures("entry")
async def test_no_issue_is_reported_at_first(hass: HomeAssistant, told: Told) -> None:
    await automate(hass, actions=[generate("neon_city"), generate("Oil painting")])

    assert told() == {}


@pytest.mark.usefixtures("entry")
async def test_missing_preset_of_controls_is_reported_until_it_returns(
    hass: HomeAssistant, server: GazeServer, told: Told
) -> None:
    await choose(hass, "Neon city")

    server.remove_preset("neon_city")
    await refresh(hass)
    missing = told()
    server.put_preset("neon_city", "Neon city")
    await refresh(hass)

    issue = missing["preset_missing"]
    assert places(issue).startswith("- [GAZE Preset](/config/devices/device/")
    assert issue.translation_placeholders == {
        "preset": r"neon\_city",
        "name": "neon_city",
        "server": "GAZE",
        "title": "GAZE",
        "places": places(issue),
    }
    assert not issue.is_fixable
    assert told() == {}


@pytest.mark.usefixtures("entry")
async def test_issue_is_deleted_when_other_preset_is_selected(
    hass: HomeAssistant, server: GazeServer, told: Told
) -> None:
    await choose(hass, "Neon city")
    server.remove_preset("neon_city")
    await refresh(hass)

    await choose(hass, "Oil painting")

    assert told() == {}


async def test_missing_preset_of_option_is_reported(
    hass: HomeAssistant,
    config_entry: MockConfigEntry,
    setup_integration: SetUp,
    told: Told,
) -> None:
    config_entry.add_to_hass(hass)
    hass.config_entries.async_update_entry(
        config_entry, options={CONF_PRESETS: ["neon_city", "long_gone"]}
    )

    await setup_integration(config_entry)
    missing = told()
    hass.config_entries.async_update_entry(config_entry, options={CONF_PRESETS: ["neon_city"]})
    await hass.config_entries.async_reload(config_entry.entry_id)
    await hass.async_block_till_done()

    assert places(missing["preset_missing"]) == (
        "- [Presets with their own device](/config/integrations/integration/gaze)"
    )
    assert told() == {}


@pytest.mark.usefixtures("entry")
@pytest.mark.parametrize(
    "step",
    [
        generate("long_gone"),
        generate("Long gone"),
        {"service": "gaze.generate", "data": {"preset": "long_gone"}},
        {"action": "gaze.track_job", "data": {"job_id": "a", "preset": "long_gone"}},
        {"choose": [{"conditions": [], "sequence": [generate("long_gone")]}]},
        {"parallel": [generate("neon_city"), {"sequence": [generate("long_gone")]}]},
    ],
)
async def test_missing_preset_of_automation_is_reported(
    hass: HomeAssistant, told: Told, step: dict[str, Any], freezer: FrozenDateTimeFactory
) -> None:
    await automate(hass, actions=[step])

    await look(hass, freezer)

    assert places(told()["preset_missing"]) == (
        r"- [Evening \*picture\*](/config/automation/edit/evening)"
    )


@pytest.mark.usefixtures("entry")
@pytest.mark.parametrize(
    "step",
    [
        generate("{{ states('input_text.preset') }}"),
        generate("  NEON CITY "),
        generate("long_gone", config_entry_id="another"),
        {"action": "gaze.list_images", "data": {"preset": "long_gone"}, "response_variable": "x"},
        {"action": "gaze.regenerate", "data": {"job_id": "long_gone"}},
        {"action": "gaze.generate", "data": "{{ data }}"},
        {"action": "notify.notify", "data": {"message": "long_gone"}},
        generate("long_gone", config_entry_id=["01K3GAZE00000000000000TEST"]),
    ],
)
async def test_uncertain_preset_is_not_reported(
    hass: HomeAssistant, told: Told, step: dict[str, Any], freezer: FrozenDateTimeFactory
) -> None:
    await automate(hass, actions=[step])

    await look(hass, freezer)

    assert told() == {}


@pytest.mark.usefixtures("entry")
async def test_automation_in_any_form_is_read(
    hass: HomeAssistant, told: Told, freezer: FrozenDateTimeFactory
) -> None:
    fields: dict[str, Any] = {"what": {"selector": {"action": {}}}}
    paint = {"fields": fields, "sequence": [generate("Sunny side")]}
    assert await async_setup_component(hass, "script", {"script": {"paint": paint}})
    await automate(
        hass,
        id="a) [b](http://c",
        trigger={"platform": "event", "event_type": "evening"},
        action=[generate("Sunny-side"), {"choose": []}],
    )

    await look(hass, freezer)

    issues = ir.async_get(hass).issues.values()
    found = sorted(map(places, issues))
    assert found == [
        r"- [Evening \*picture\*](/config/automation/edit/a%29%20%5Bb%5D%28http%3A%2F%2Fc)",
        "- [paint](/config/script/edit/paint)",
    ]


@pytest.mark.usefixtures("entry")
async def test_script_is_reported_and_each_place_once(
    hass: HomeAssistant, told: Told, freezer: FrozenDateTimeFactory
) -> None:
    steps = [generate("long_gone"), generate(" Long_Gone")]
    assert await async_setup_component(
        hass, "script", {"script": {"paint": {"alias": "Paint", "sequence": steps}}}
    )
    await automate(hass, id="", actions=steps)

    await look(hass, freezer)

    assert places(told()["preset_missing"]).split("\n") == [
        r"- Evening \*picture\*",
        "- [Paint](/config/script/edit/paint)",
    ]


@pytest.mark.usefixtures("entry")
async def test_issue_is_deleted_when_automation_is_edited(
    hass: HomeAssistant, told: Told, freezer: FrozenDateTimeFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    await automate(hass, actions=[generate("long_gone")])
    await look(hass, freezer)
    missing = told()

    async def edited(_hass: HomeAssistant) -> dict[str, Any]:
        return {automation.DOMAIN: []}

    monkeypatch.setattr("homeassistant.config.async_hass_config_yaml", edited)
    await hass.services.async_call(automation.DOMAIN, "reload", blocking=True)
    await hass.async_block_till_done()

    assert "preset_missing" in missing
    assert told() == {}


@pytest.mark.parametrize("reload", [False, True])
async def test_button_and_trigger_of_deleted_preset_are_reported(
    hass: HomeAssistant,
    server: GazeServer,
    told: Told,
    device_registry: dr.DeviceRegistry,
    entry: MockConfigEntry,
    reload: bool,
) -> None:
    device = device_registry.async_get_device_by_identifier(
        (DOMAIN, f"{entry.entry_id}-neon_city"), entry.entry_id
    )
    assert device is not None
    target = {"device_id": device.id}
    press_it = {"action": "button.press", "target": {"entity_id": "button.gaze_neon_city_generate"}}
    await automate(hass, triggers={"trigger": "gaze.image_finished", "target": target})
    assert await async_setup_component(
        hass, "script", {"script": {"paint": {"alias": "Paint", "sequence": [press_it]}}}
    )

    server.remove_preset("neon_city")
    await refresh(hass)
    if reload:
        await hass.config_entries.async_reload(entry.entry_id)
        await refresh(hass)
    missing = told()
    server.put_preset("neon_city", "Neon city")
    await refresh(hass)

    assert places(missing["preset_missing"]).split("\n") == [
        r"- [Evening \*picture\*](/config/automation/edit/evening)",
        "- [Paint](/config/script/edit/paint)",
    ]
    assert set(missing) == {"preset_missing"}
    assert told() == {}


async def test_trigger_of_removed_display_is_reported(
    hass: HomeAssistant,
    told: Told,
    device_registry: dr.DeviceRegistry,
    entry: MockConfigEntry,
    freezer: FrozenDateTimeFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    display = ConfigSubentry(
        data=MappingProxyType({}), subentry_type="display", title="Hallway", unique_id=None
    )
    hass.config_entries.async_add_subentry(entry, display)
    await hass.async_block_till_done(wait_background_tasks=True)
    device = device_registry.async_get_device_by_identifier(
        (DOMAIN, display.subentry_id), entry.entry_id
    )
    assert device is not None
    target = {"device_id": device.id}
    await automate(hass, triggers={"trigger": "gaze.image_finished", "target": target})
    await look(hass, freezer)
    before = told()

    hass.config_entries.async_remove_subentry(entry, display.subentry_id)
    await hass.async_block_till_done(wait_background_tasks=True)
    await look(hass, freezer)
    removed = told()

    async def edited(_hass: HomeAssistant) -> dict[str, Any]:
        return {automation.DOMAIN: []}

    monkeypatch.setattr("homeassistant.config.async_hass_config_yaml", edited)
    await hass.services.async_call(automation.DOMAIN, "reload", blocking=True)
    await hass.async_block_till_done()

    assert before == {}
    assert places(removed["target_removed"]) == (
        r"- [Evening \*picture\*](/config/automation/edit/evening)"
    )
    assert told() == {}


async def test_trigger_of_preset_that_lost_its_device_is_reported(
    hass: HomeAssistant,
    told: Told,
    entry: MockConfigEntry,
    freezer: FrozenDateTimeFactory,
) -> None:
    target = {"entity_id": "image.gaze_neon_city"}
    await automate(hass, triggers={"trigger": "gaze.image_finished", "target": target})

    hass.config_entries.async_update_entry(entry, options={CONF_PRESETS: ["oilpainting"]})
    await hass.config_entries.async_reload(entry.entry_id)
    await look(hass, freezer)

    assert set(told()) == {"target_removed"}


@pytest.mark.usefixtures("entry")
async def test_preset_of_other_server_is_not_reported(
    hass: HomeAssistant,
    other_server: GazeServer,
    setup_integration: SetUp,
    told: Told,
    freezer: FrozenDateTimeFactory,
    issue_registry: ir.IssueRegistry,
) -> None:
    other_server.put_preset("snow", "Snow")
    await setup_integration(
        MockConfigEntry(
            domain=DOMAIN,
            title="GAZE (other)",
            data={
                "host": other_server.url,
                "api_key": other_server.api_key,
                "verify_ssl": True,
            },
        )
    )
    await automate(hass, actions=[generate("Snow"), generate("long_gone")])

    await look(hass, freezer)

    assert places(told()["preset_missing"]).count("\n") == 0
    assert len(issue_registry.issues) == 1  # one of the two servers tells it
    other_server.set_online(False)
    await look(hass, freezer)


async def test_nothing_is_reported_when_server_is_off_since_start(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    server: GazeServer,
    told: Told,
    freezer: FrozenDateTimeFactory,
) -> None:
    server.set_online(False)
    await hass.config_entries.async_reload(entry.entry_id)
    await automate(hass, actions=[generate("long_gone")])

    await look(hass, freezer)

    assert told() == {}


# The server


async def test_silent_server_is_not_reported(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    told: Told,
    freezer: FrozenDateTimeFactory,
) -> None:
    server.set_online(False)
    await look(hass, freezer)
    freezer.tick(timedelta(days=3))

    await look(hass, freezer)

    assert told() == {}


@pytest.mark.usefixtures("entry")
async def test_one_empty_preset_list_is_ignored(
    hass: HomeAssistant, server: GazeServer, told: Told, device_registry: dr.DeviceRegistry
) -> None:
    await choose(hass, "Neon city")
    await automate(hass, actions=[generate("neon_city")])
    devices = len(device_registry.devices)
    presets = dict(server.presets)
    server.presets.clear()

    await refresh(hass)
    after_one = told(), len(device_registry.devices)
    server.presets.update(presets)
    await refresh(hass)
    server.presets.clear()
    await refresh(hass)
    after_one_more = told(), len(device_registry.devices)
    await refresh(hass)

    assert after_one == after_one_more == ({}, devices)
    assert "preset_missing" in told()
    assert len(device_registry.devices) == 1


async def test_one_empty_preset_list_after_start_is_ignored(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    device_registry: dr.DeviceRegistry,
) -> None:
    devices = len(device_registry.devices)
    server.presets.clear()

    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    after_one = len(device_registry.devices)
    await refresh(hass)

    assert after_one == devices
    assert len(device_registry.devices) == 1


@pytest.mark.usefixtures("entry")
async def test_disabled_automation_is_not_reported(
    hass: HomeAssistant, told: Told, freezer: FrozenDateTimeFactory
) -> None:
    await automate(hass, actions=[generate("long_gone")])
    [entity_id] = hass.states.async_entity_ids(automation.DOMAIN)
    await hass.services.async_call(
        automation.DOMAIN, "turn_off", {"entity_id": entity_id}, blocking=True
    )

    await look(hass, freezer)
    disabled = told()
    await hass.services.async_call(
        automation.DOMAIN, "turn_on", {"entity_id": entity_id}, blocking=True
    )
    await look(hass, freezer)

    assert disabled == {}
    assert "preset_missing" in told()


@pytest.mark.usefixtures("entry")
@pytest.mark.parametrize(
    "step",
    [
        {**generate("long_gone"), "enabled": False},
        {**generate("long_gone"), "enabled": "{{ false }}"},
        {"enabled": False, "sequence": [generate("long_gone")]},
        {"if": [], "then": [{**generate("long_gone"), "enabled": False}]},
    ],
)
async def test_disabled_step_is_not_reported(
    hass: HomeAssistant, told: Told, step: dict[str, Any], freezer: FrozenDateTimeFactory
) -> None:
    await automate(hass, actions=[step])

    await look(hass, freezer)

    assert told() == {}


async def test_placeholders_do_not_contain_host(
    hass: HomeAssistant,
    config_entry: MockConfigEntry,
    setup_integration: SetUp,
    server: GazeServer,
    told: Told,
) -> None:
    config_entry.add_to_hass(hass)
    hass.config_entries.async_update_entry(config_entry, title="GAZE (127.0.0.1)")
    await setup_integration(config_entry)
    [panel] = hass.states.async_entity_ids("select")
    await hass.services.async_call(
        "select", "select_option", {"entity_id": panel, "option": "Neon city"}, blocking=True
    )
    server.remove_preset("neon_city")
    await config_entry.runtime_data.async_refresh()
    await hass.async_block_till_done()

    placeholders = told()["preset_missing"].translation_placeholders
    assert placeholders is not None
    assert placeholders["title"] == "GAZE (1)"
    assert not any("127.0" in text for text in placeholders.values())


# The disk


@pytest.mark.usefixtures("entry")
async def test_full_disk_is_reported_when_image_does_not_fit(
    hass: HomeAssistant,
    server: GazeServer,
    told: Told,
    media_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = shutil.disk_usage
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10, 10, LEAST_FREE - 1))
    server.faults.on(Fault.OTHER_ORIGIN)  # a download that fails at once stands for any

    await hass.services.async_call(DOMAIN, "generate", {"preset": "neon_city"}, blocking=True)
    await wait_for(hass, await server.finish())
    full = told()
    monkeypatch.setattr(shutil, "disk_usage", real)
    async_fire_time_changed(hass, dt_util.utcnow() + CHECK_INTERVAL)
    await hass.async_block_till_done()

    placeholders = full["disk_full"].translation_placeholders
    assert placeholders is not None
    assert placeholders["folder"] == str(media_dir / "gaze")
    assert placeholders["free"] == "63"
    assert told() == {}


# Stores


@pytest.mark.parametrize("store", ["jobs", "gallery"])
async def test_damaged_store_is_reported_until_confirmed(
    hass: HomeAssistant,
    config_entry: MockConfigEntry,
    setup_integration: SetUp,
    told: Told,
    store: str,
    hass_client: ClientSessionGenerator,
) -> None:
    storage = Path(hass.config.path(".storage"))
    storage.mkdir(exist_ok=True)
    (storage / f"gaze.{config_entry.entry_id}.{store}.db").write_bytes(DAMAGED)
    assert await async_setup_component(hass, "repairs", {})
    await setup_integration(config_entry)
    await hass.config_entries.async_reload(config_entry.entry_id)
    await hass.async_block_till_done()
    issue = told()[f"{store}_set_aside"]
    assert issue.data is not None
    kept = storage / str(issue.data["file"])
    assert kept.read_bytes() == DAMAGED

    client = await hass_client()
    start = {"handler": DOMAIN, "issue_id": issue.issue_id}
    form = await (await client.post("/api/repairs/issues/fix", json=start)).json()
    end = await (await client.post(f"/api/repairs/issues/fix/{form['flow_id']}", json={})).json()

    assert issue.is_fixable
    assert issue.is_persistent
    assert form["step_id"] == "confirm"
    assert form["description_placeholders"] == issue.translation_placeholders
    assert end["type"] == "create_entry"
    assert told() == {}
    assert not kept.exists()


@pytest.mark.usefixtures("entry")
async def test_reason_is_logged_if_file_cannot_be_deleted(
    hass: HomeAssistant, caplog: pytest.LogCaptureFixture
) -> None:
    folder = Path(hass.config.path(".storage", "gaze.folder"))
    folder.mkdir()
    flow = RemoveStoreFlow(folder.name)
    flow.hass = hass
    flow.flow_id = flow.handler = ""

    end = await flow.async_step_confirm({})

    assert end["type"] is FlowResultType.ABORT
    assert end["reason"] == "cannot_remove"
    assert end["description_placeholders"] == {"file": folder.name}
    assert "Is a directory" in caplog.text


# The entry


async def test_disabled_or_removed_server_has_no_issues(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    told: Told,
    freezer: FrozenDateTimeFactory,
) -> None:
    await automate(hass, actions=[generate("long_gone")])
    await look(hass, freezer)
    enabled = told()
    left = Path(hass.config.path(".storage", f"gaze.{entry.entry_id}.jobs.db.damaged-1"))
    left.write_bytes(DAMAGED)

    await hass.config_entries.async_set_disabled_by(entry.entry_id, ConfigEntryDisabler.USER)
    disabled = told()
    await hass.config_entries.async_set_disabled_by(entry.entry_id, None)
    await hass.async_block_till_done()
    enabled_again = told()
    await hass.config_entries.async_remove(entry.entry_id)
    await hass.async_block_till_done()

    assert "preset_missing" in enabled
    assert disabled == {}
    assert "preset_missing" in enabled_again
    assert told() == {}
    assert not left.exists()
