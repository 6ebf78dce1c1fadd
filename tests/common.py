"""Helpers that several tests share: call actions, press buttons, and wait for images."""

import asyncio
from collections.abc import Awaitable, Callable
from types import MappingProxyType
from typing import Any

from homeassistant.auth.permissions.const import CAT_ENTITIES
from homeassistant.config_entries import ConfigSubentry
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr
from pytest_homeassistant_custom_component.common import MockConfigEntry, MockUser

from custom_components.gaze.const import DOMAIN
from custom_components.gaze.ids import device_identifier, subentry_device_identifier
from testing.gaze_server import GazeServer

PRESET = "neon_city"
DISPLAY = "01K3DISPLAY00000000000HALL"
RECIPE = "01K3RECIPE000000000DOORBEL"

type CallAs = Callable[..., Awaitable[dict[str, Any]]]


async def act(hass: HomeAssistant, action: str, **data: Any) -> dict[str, Any]:
    """Call an action and return its response."""
    response = await hass.services.async_call(
        DOMAIN, action, data, blocking=True, return_response=True
    )
    assert response is not None
    fields: dict[str, Any] = dict(response)
    return fields


async def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition is met."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def press(hass: HomeAssistant, entity_id: str) -> None:
    """Press a button."""
    await hass.services.async_call("button", "press", {"entity_id": entity_id}, blocking=True)


async def wait_for(hass: HomeAssistant, job_id: str) -> None:
    """Wait until a job has ended and its events were handled."""
    await hass.services.async_call(
        DOMAIN,
        "wait",
        {"job_id": job_id, "timeout": 30},
        blocking=True,
        return_response=True,
    )
    await hass.async_block_till_done()


async def make_image(hass: HomeAssistant, server: GazeServer, preset: str) -> str:
    """Generate one image with an action and return the ID of its job."""
    await hass.services.async_call(DOMAIN, "generate", {"preset": preset}, blocking=True)
    job_id = await server.finish()
    await wait_for(hass, job_id)
    return job_id


async def made(hass: HomeAssistant, server: GazeServer, **data: Any) -> dict[str, Any]:
    """Generate one image and return its job."""
    response = await act(hass, "generate", preset=PRESET, **data)
    await server.finish()
    job_id = response["jobs"][0]["job_id"]
    response = await act(hass, "wait", job_id=job_id, timeout={"seconds": 30})
    assert response["complete"]
    job: dict[str, Any] = response["jobs"][0]
    return job


async def choose(hass: HomeAssistant, preset: str) -> None:
    """Choose a preset in the controls."""
    await hass.services.async_call(
        "select",
        "select_option",
        {"entity_id": "select.gaze_preset", "option": preset},
        blocking=True,
    )


async def fill(hass: HomeAssistant, **values: str | float) -> None:
    """Set texts and numbers of the controls."""
    for key, value in values.items():
        domain = "text" if isinstance(value, str) else "number"
        await hass.services.async_call(
            domain,
            "set_value",
            {"entity_id": f"{domain}.gaze_{key}", "value": value},
            blocking=True,
        )


def user_with(hass: HomeAssistant, *entity_ids: str, policy: str = "control") -> MockUser:
    """Return a user with one permission for some entities."""
    user = MockUser().add_to_hass(hass)
    user.mock_policy(
        {CAT_ENTITIES: {"entity_ids": {entity_id: {policy: True} for entity_id in entity_ids}}}
    )
    return user


def state(hass: HomeAssistant, key: str) -> str:
    """Return the state of a sensor."""
    found = hass.states.get(f"sensor.gaze_{key}")
    assert found is not None
    return found.state


def device_id(hass: HomeAssistant, entry: MockConfigEntry, slug: str | None = None) -> str:
    """Return the device of the server, of a preset, or of a recipe or display by its ID."""
    is_subentry = slug in entry.subentries
    device = dr.async_get(hass).async_get_device_by_identifier(
        subentry_device_identifier(str(slug))
        if is_subentry
        else device_identifier(entry.entry_id, slug),
        entry.entry_id,
    )
    assert device is not None
    return device.id


async def add_subentries(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """Add a recipe and a display."""
    for subentry_id, subentry_type, title, data in (
        (RECIPE, "recipe", "Doorbell", {"preset": PRESET}),
        (DISPLAY, "display", "Hallway", {}),
    ):
        hass.config_entries.async_add_subentry(
            entry,
            ConfigSubentry(
                data=MappingProxyType(data),
                subentry_id=subentry_id,
                subentry_type=subentry_type,
                title=title,
                unique_id=None,
            ),
        )
    await hass.async_block_till_done(wait_background_tasks=True)
