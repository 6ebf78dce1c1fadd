"""Functions that generate images in tests."""

from homeassistant.core import HomeAssistant

from custom_components.gaze.const import DOMAIN
from testing.gaze_server import GazeServer


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
