"""What the system information page tells of GAZE, all servers together."""

from typing import Any

from homeassistant.components.system_health import SystemHealthRegistration
from homeassistant.core import HomeAssistant, callback

from .const import DOMAIN
from .coordinator import GazeConfigEntry

INTEGRATIONS_PAGE = f"/config/integrations/integration/{DOMAIN}"


@callback
def async_register(_hass: HomeAssistant, register: SystemHealthRegistration) -> None:
    """Offer the information; called by Home Assistant."""
    register.async_register_info(_information, INTEGRATIONS_PAGE)


async def _information(hass: HomeAssistant) -> dict[str, Any]:
    """Return what is known without asking a server; those that are not loaded count as silent."""
    entries: list[GazeConfigEntry] = hass.config_entries.async_entries(
        DOMAIN, include_ignore=False, include_disabled=False
    )
    loaded: list[GazeConfigEntry] = hass.config_entries.async_loaded_entries(DOMAIN)
    coordinators = [entry.runtime_data for entry in loaded]
    return {
        "servers": len(entries),
        "servers_reachable": sum(one.last_update_success for one in coordinators),
        "open_jobs": sum(len(one.engine.open_jobs) for one in coordinators),
        "kept_images": sum(one.gallery.count for one in coordinators),
    }
