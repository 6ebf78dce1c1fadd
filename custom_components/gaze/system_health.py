"""System health: the totals of all GAZE servers."""

from typing import Any

from homeassistant.components.system_health import SystemHealthRegistration
from homeassistant.core import HomeAssistant, callback

from .const import DOMAIN
from .coordinator import GazeConfigEntry

INTEGRATIONS_PAGE = f"/config/integrations/integration/{DOMAIN}"


@callback
def async_register(_hass: HomeAssistant, register: SystemHealthRegistration) -> None:
    """Register the system health information."""
    register.async_register_info(_system_health_info, INTEGRATIONS_PAGE)


async def _system_health_info(hass: HomeAssistant) -> dict[str, Any]:
    """Return the totals without a request. Servers that are not loaded count as unreachable."""
    entries: list[GazeConfigEntry] = hass.config_entries.async_entries(
        DOMAIN, include_ignore=False, include_disabled=False
    )
    loaded: list[GazeConfigEntry] = hass.config_entries.async_loaded_entries(DOMAIN)
    coordinators = [entry.runtime_data for entry in loaded]
    return {
        "servers": len(entries),
        "servers_reachable": sum(server.last_update_success for server in coordinators),
        "open_jobs": sum(len(server.engine.open_jobs) for server in coordinators),
        "kept_images": sum(server.gallery.count for server in coordinators),
    }
