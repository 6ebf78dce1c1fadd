"""Adds an entry with as many presets and further entities as it is told."""

from typing import Any, override

from homeassistant.config_entries import ConfigFlow, ConfigFlowResult

from . import DOMAIN


class BareConfigFlow(ConfigFlow, domain=DOMAIN):
    """Takes `presets` and `others`, both numbers."""

    @override
    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Add the entry."""
        return self.async_create_entry(title="Bare", data=user_input or {})
