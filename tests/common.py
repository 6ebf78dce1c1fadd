"""Helpers that several tests share: call actions, press buttons, and wait for images."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from homeassistant.auth.permissions.const import CAT_ENTITIES
from homeassistant.core import HomeAssistant
from pytest_homeassistant_custom_component.common import MockUser

from custom_components.gaze.const import DOMAIN
from testing.gaze_server import GazeServer

PRESET = "neon_city"

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
