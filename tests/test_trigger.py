"""Triggers and conditions of automations."""

from typing import Any

from homeassistant.components import automation
from homeassistant.const import SERVICE_RELOAD
from homeassistant.core import Event, HomeAssistant
from homeassistant.helpers import area_registry as ar, device_registry as dr, entity_registry as er
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_capture_events

from custom_components.gaze.const import DOMAIN
from custom_components.gaze.ids import device_identifier
from custom_components.gaze.trigger import TRIGGERS
from testing.gaze_server import GazeServer

from .images import make_image, wait_for
from .test_services import PRESET, act, until

SERVER = {"entity_id": "event.gaze_generation"}


@pytest.fixture(autouse=True)
async def labs(hass: HomeAssistant) -> None:
    """Set up what automations need."""
    assert await async_setup_component(hass, "homeassistant", {})


async def automate(hass: HomeAssistant, key: str, target: Any, **options: Any) -> list[Event]:
    """Set up an automation that fires an event for a trigger; return its events."""
    trigger = {"trigger": f"gaze.{key}", "target": target, "options": options}
    job = {name: f"{{{{ trigger.job.{name} }}}}" for name in ("job_id", "preset", "tag", "reason")}
    data = {**job, "entity_id": "{{ trigger.entity_id }}", "device_id": "{{ trigger.device_id }}"}
    config = {
        "alias": "Test",
        "triggers": [trigger],
        "actions": [{"event": "fired", "event_data": data}],
        "mode": "queued",
    }
    assert await async_setup_component(hass, automation.DOMAIN, {automation.DOMAIN: config})
    await hass.async_block_till_done()
    fired: list[Event] = async_capture_events(hass, "fired")
    return fired


def is_available(hass: HomeAssistant) -> bool:
    """Return whether the automation is valid."""
    return not hass.states.is_state("automation.test", "unavailable")


@pytest.mark.usefixtures("entry")
@pytest.mark.parametrize("key", TRIGGERS)
async def test_trigger_fires_once_with_job(
    hass: HomeAssistant, server: GazeServer, key: str
) -> None:
    fired = await automate(hass, key, SERVER)
    job_id = (await act(hass, "generate", preset=PRESET, tag="wall"))["jobs"][0]["job_id"]
    server.begin()
    await until(lambda: hass.states.is_state("sensor.gaze_status", "generating"))
    if key == "generation_failed":
        server.fail()
    else:
        await server.finish()
    await wait_for(hass, job_id)

    [event] = fired
    assert event.data["job_id"] == job_id
    assert event.data["preset"] == PRESET
    assert event.data["tag"] == "wall"
    assert event.data["entity_id"] == "image.gaze_neon_city"
    assert event.data["reason"] == ("server" if key == "generation_failed" else None)


def device_id(hass: HomeAssistant, entry: MockConfigEntry, slug: str | None = None) -> str:
    """Return the device of the server or of a preset."""
    device = dr.async_get(hass).async_get_device_by_identifier(
        device_identifier(entry.entry_id, slug), entry.entry_id
    )
    assert device is not None
    return device.id


@pytest.mark.parametrize(
    ("kind", "fires"),
    [
        ("server", ["neon_city", "oilpainting"]),
        ("preset", ["neon_city"]),
        ("area", ["neon_city"]),
        ("latest", ["neon_city", "oilpainting"]),
        ("image", ["neon_city"]),
    ],
)
async def test_trigger_fires_for_jobs_of_target(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, kind: str, fires: list[str]
) -> None:
    area = ar.async_get(hass).async_create("Studio")
    dr.async_get(hass).async_update_device(device_id(hass, entry, "neon_city"), area_id=area.id)
    target = {
        "server": {"device_id": device_id(hass, entry)},
        "preset": {"device_id": [device_id(hass, entry, "neon_city")]},
        "area": {"area_id": area.id},
        "latest": {"entity_id": "image.gaze_latest_image"},
        "image": {"entity_id": "image.gaze_neon_city"},
    }[kind]
    fired = await automate(hass, "image_finished", target)

    for preset in ("neon_city", "oilpainting"):
        await make_image(hass, server, preset)

    assert [event.data["preset"] for event in fired] == fires


@pytest.mark.usefixtures("entry")
async def test_trigger_filters_by_tag(hass: HomeAssistant, server: GazeServer) -> None:
    fired = await automate(hass, "generation_queued", SERVER, tag="wall")

    for tag in ("wall", "other", None):
        data = {} if tag is None else {"tag": tag}
        await act(hass, "generate", preset=PRESET, **data)
    await hass.async_block_till_done()

    assert [event.data["tag"] for event in fired] == ["wall"]


@pytest.mark.usefixtures("entry")
async def test_trigger_filters_by_reason(hass: HomeAssistant, server: GazeServer) -> None:
    fired = await automate(hass, "generation_failed", SERVER, reason=["stopped"])

    await act(hass, "generate", preset=PRESET)
    await wait_for(hass, server.fail())
    await act(hass, "generate", preset=PRESET)
    await hass.services.async_call(DOMAIN, "stop_tracking", {"all": True}, blocking=True)
    await hass.async_block_till_done()

    assert [event.data["reason"] for event in fired] == ["stopped"]


async def test_trigger_survives_reload_and_ends_with_automation(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fired = await automate(hass, "image_finished", SERVER)
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    await make_image(hass, server, PRESET)
    after_reload = len(fired)

    async def no_automations(_hass: HomeAssistant) -> dict[str, Any]:
        return {automation.DOMAIN: []}

    monkeypatch.setattr("homeassistant.config.async_hass_config_yaml", no_automations)
    await hass.services.async_call(automation.DOMAIN, SERVICE_RELOAD, blocking=True)
    await make_image(hass, server, PRESET)

    assert after_reload == len(fired) == 1


@pytest.mark.usefixtures("entry")
@pytest.mark.parametrize(
    ("key", "target", "options"),
    [
        ("image_finished", {"entity_id": "sun.sun"}, {}),
        ("image_finished", {"device_id": "gone"}, {}),
        ("image_finished", SERVER, {"reason": ["lost"]}),
        ("image_finished", SERVER, {"colour": "red"}),
        ("generation_failed", SERVER, {"reason": ["tired"]}),
        ("image_eaten", SERVER, {}),
    ],
)
async def test_impossible_trigger_is_invalid(
    hass: HomeAssistant,
    entity_registry: er.EntityRegistry,
    key: str,
    target: Any,
    options: dict[str, Any],
) -> None:
    entity_registry.async_get_or_create("sun", "sun", "sun", suggested_object_id="sun")

    await automate(hass, key, target, **options)

    assert not is_available(hass)


async def checked(hass: HomeAssistant, key: str, target: Any) -> bool:
    """Return whether an automation with a condition runs."""
    condition = {"condition": f"gaze.{key}", "target": target, "options": {"behavior": "any"}}
    config = {
        "alias": "Test",
        "triggers": [{"trigger": "event", "event_type": "go"}],
        "conditions": [condition],
        "actions": [{"event": "passed"}],
    }
    if not hass.states.async_entity_ids(automation.DOMAIN):
        assert await async_setup_component(hass, automation.DOMAIN, {automation.DOMAIN: config})
    assert is_available(hass)
    passed = async_capture_events(hass, "passed")
    hass.bus.async_fire("go")
    await hass.async_block_till_done()
    return bool(passed)


@pytest.mark.parametrize("slug", [None, "oilpainting"])
@pytest.mark.parametrize(
    ("key", "expected"), [("is_idle", [True, False]), ("is_generating", [False, True])]
)
async def test_condition_depends_on_queue(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    slug: str | None,
    key: str,
    expected: list[bool],
) -> None:
    target = {"device_id": device_id(hass, entry, slug)}
    before = await checked(hass, key, target)
    await act(hass, "generate", preset=PRESET)
    server.begin()
    await until(lambda: hass.states.is_state("sensor.gaze_status", "generating"))

    assert [before, await checked(hass, key, target)] == expected


async def test_condition_depends_on_connection(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    target = {"device_id": device_id(hass, entry)}
    before = await checked(hass, "is_connected", target)
    server.set_online(False)
    await entry.runtime_data.async_refresh()
    await hass.async_block_till_done()

    assert before
    assert not await checked(hass, "is_connected", target)
