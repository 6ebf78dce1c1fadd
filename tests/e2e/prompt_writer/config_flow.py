"""Adds the entry of the prompt writer."""

from typing import Any, override

from homeassistant.config_entries import ConfigFlow, ConfigFlowResult

from . import DOMAIN


class WriterConfigFlow(ConfigFlow, domain=DOMAIN):
    """Asks for nothing."""

    @override
    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Add the entry."""
        return self.async_create_entry(title="Prompt writer", data={})
