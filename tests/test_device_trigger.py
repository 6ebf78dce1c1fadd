"""Tests of the device triggers."""

from homeassistant.components.automation import DOMAIN as AUTOMATION
from homeassistant.components.device_automation import (
    DeviceAutomationType,
    InvalidDeviceAutomationConfig,
)
from homeassistant.components.device_automation.trigger import async_validate_trigger_config
from homeassistant.core import HomeAssistant, ServiceCall
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.trigger import TriggerData, TriggerInfo
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_get_device_automations,
    async_mock_service,
)
import voluptuous as vol

from custom_components.gaze import device_trigger
from custom_components.gaze.const import CONF_PRESETS, DOMAIN
from testing.gaze_server import GazeServer

from .images import make_image, press, wait_for

TYPES = ["finished", "failed", "started", "queued"]


def _device_id(hass: HomeAssistant, entry: MockConfigEntry, slug: str | None = None) -> str:
    identifier = entry.entry_id if slug is None else f"{entry.entry_id}-{slug}"
    device = dr.async_get(hass).async_get_device_by_identifier((DOMAIN, identifier), entry.entry_id)
    assert device is not None
    return device.id


def _trigger(device_id: str, trigger_type: str) -> dict[str, str]:
    return {
        "platform": "device",
        "domain": DOMAIN,
        "device_id": device_id,
        "type": trigger_type,
    }


async def _automate(hass: HomeAssistant, *device_ids: str) -> list[ServiceCall]:
    """Let every trigger of the devices call an action; return the calls."""
    calls: list[ServiceCall] = async_mock_service(hass, "test", "told")
    automations = [
        {
            "alias": f"{device_id} {trigger_type}",
            "trigger": _trigger(device_id, trigger_type),
            "action": {
                "action": "test.told",
                "data": {
                    "device": device_id,
                    "type": "{{ trigger.event.data.type }}",
                    "preset": "{{ trigger.event.data.preset }}",
                },
            },
        }
        for device_id in device_ids
        for trigger_type in TYPES
    ]
    assert await async_setup_component(hass, AUTOMATION, {AUTOMATION: automations})
    await hass.async_block_till_done()
    assert len(hass.states.async_entity_ids(AUTOMATION)) == len(automations)
    return calls


@pytest.mark.parametrize("slug", [None, "neon_city"])
async def test_each_device_offers_all_triggers(
    hass: HomeAssistant, entry: MockConfigEntry, slug: str | None
) -> None:
    device_id = _device_id(hass, entry, slug)

    triggers = await async_get_device_automations(hass, DeviceAutomationType.TRIGGER, device_id)

    ours = [trigger for trigger in triggers if trigger["domain"] == DOMAIN]
    assert ours == [{**_trigger(device_id, trigger_type), "metadata": {}} for trigger_type in TYPES]


async def test_preset_fires_for_its_jobs_and_server_for_all(
    hass: HomeAssistant, entry: MockConfigEntry, server: GazeServer
) -> None:
    everything = _device_id(hass, entry)
    city = _device_id(hass, entry, "neon_city")
    calls = await _automate(hass, everything, city)

    await make_image(hass, server, "neon_city")
    await make_image(hass, server, "paper_forest")
    await press(hass, "button.gaze_neon_city_generate")
    await wait_for(hass, server.fail())

    told = [(call.data["device"], call.data["preset"], call.data["type"]) for call in calls]
    assert [call[1:] for call in told if call[0] == city] == [
        ("neon_city", "queued"),
        ("neon_city", "finished"),
        ("neon_city", "queued"),
        ("neon_city", "failed"),
    ]
    assert [call[1:] for call in told if call[0] == everything] == [
        ("neon_city", "queued"),
        ("neon_city", "finished"),
        ("paper_forest", "queued"),
        ("paper_forest", "finished"),
        ("neon_city", "queued"),
        ("neon_city", "failed"),
    ]


async def test_started_job_fires_trigger(
    hass: HomeAssistant, entry: MockConfigEntry, server: GazeServer
) -> None:
    calls = await _automate(hass, _device_id(hass, entry, "neon_city"))
    await press(hass, "button.gaze_neon_city_generate")
    job_id = server.begin()

    await hass.services.async_call(
        DOMAIN, "wait", {"job_id": job_id, "timeout": 1}, blocking=True, return_response=True
    )

    assert [call.data["type"] for call in calls] == ["queued", "started"]


async def test_server_fires_for_presets_without_device(
    hass: HomeAssistant, entry: MockConfigEntry, server: GazeServer
) -> None:
    hass.config_entries.async_update_entry(entry, options={CONF_PRESETS: ["oilpainting"]})
    await hass.config_entries.async_reload(entry.entry_id)
    calls = await _automate(hass, _device_id(hass, entry))

    await make_image(hass, server, "neon_city")

    assert [call.data["type"] for call in calls] == ["queued", "finished"]


async def test_unknown_type_is_rejected(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    with pytest.raises(vol.Invalid):
        await async_validate_trigger_config(hass, _trigger(_device_id(hass, entry), "painted"))


@pytest.mark.usefixtures("entry")
async def test_error_names_deleted_device(hass: HomeAssistant) -> None:
    info = TriggerInfo(
        domain="test",
        name="test",
        variables={},
        trigger_data=TriggerData(id="0", idx="0", alias=None),
    )

    with pytest.raises(InvalidDeviceAutomationConfig) as raised:
        await device_trigger.async_attach_trigger(
            hass, _trigger("gone", "finished"), lambda *_: None, info
        )

    assert raised.value.translation_key == "device_not_found"
