"""Config flow: adds a server, enters a new API key, changes the connection and the options."""

from collections.abc import Mapping
import logging
from typing import Any, Final, override

from homeassistant.config_entries import (
    ConfigEntry,
    ConfigEntryState,
    ConfigFlow,
    ConfigFlowResult,
    ConfigSubentryFlow,
    OptionsFlowWithReload,
)
from homeassistant.const import CONF_API_KEY, CONF_BASE, CONF_HOST, CONF_VERIFY_SSL
from homeassistant.core import callback
from homeassistant.data_entry_flow import section
from homeassistant.helpers.aiohttp_client import async_get_clientsession
from homeassistant.helpers.selector import (
    BooleanSelector,
    NumberSelector,
    NumberSelectorConfig,
    NumberSelectorMode,
    SelectOptionDict,
    SelectSelector,
    SelectSelectorConfig,
    SelectSelectorMode,
    TextSelector,
    TextSelectorConfig,
    TextSelectorType,
)
import voluptuous as vol
from yarl import URL

from .api import (
    GazeAuthError,
    GazeClient,
    GazeConnectionError,
    GazeError,
    GazeServerError,
    GazeSslError,
    GazeTimeoutError,
    InvalidHostError,
    Preset,
    parse_host,
)
from .api.address import DEFAULT_PORT, get_origin
from .const import (
    CONF_AI_TASK_TIMEOUT,
    CONF_GIVE_UP_AFTER,
    CONF_KEEP_IMAGES,
    CONF_MAX_OPEN_JOBS,
    CONF_PRESETS,
    CONF_SAVE_IMAGES,
    CONF_STRIP_METADATA,
    DEFAULT_AI_TASK_TIMEOUT,
    DEFAULT_GIVE_UP_AFTER,
    DEFAULT_KEEP_IMAGES,
    DEFAULT_MAX_OPEN_JOBS,
    DOMAIN,
    SUBENTRY_DISPLAY,
    SUBENTRY_RECIPE,
)
from .display_flow import DisplayFlow
from .recipe_flow import RecipeFlow

_LOGGER = logging.getLogger(__name__)

CONF_ADVANCED: Final = "advanced"

TITLE: Final = "GAZE"
PLACEHOLDERS: Final = {"example_url": "https://gaze.example.org/prefix"}


def _whole_number(least: int, most: int, unit: str | None = None) -> vol.All:
    """Return the schema of a field for a whole number."""
    config = NumberSelectorConfig(min=least, max=most, step=1, mode=NumberSelectorMode.BOX)
    if unit is not None:
        config["unit_of_measurement"] = unit
    return vol.All(NumberSelector(config), vol.Coerce(int))


_API_KEY = TextSelector(TextSelectorConfig(type=TextSelectorType.PASSWORD, autocomplete="off"))
_ADVANCED = section(
    vol.Schema({vol.Optional(CONF_VERIFY_SSL, default=True): BooleanSelector()}),
    {"collapsed": True},
)
USER_SCHEMA: Final = vol.Schema(
    {
        vol.Required(CONF_HOST): TextSelector(),
        vol.Required(CONF_API_KEY): _API_KEY,
        vol.Optional(CONF_ADVANCED): _ADVANCED,
    }
)
REAUTH_SCHEMA: Final = vol.Schema({vol.Required(CONF_API_KEY): _API_KEY})
RECONFIGURE_SCHEMA: Final = vol.Schema(
    {
        vol.Required(CONF_HOST): TextSelector(),
        vol.Optional(CONF_API_KEY): _API_KEY,
        vol.Optional(CONF_ADVANCED): _ADVANCED,
    }
)

OPTIONS_SCHEMA: Final = vol.Schema(
    {
        vol.Required(CONF_SAVE_IMAGES, default=True): BooleanSelector(),
        vol.Required(CONF_STRIP_METADATA, default=False): BooleanSelector(),
        vol.Required(CONF_KEEP_IMAGES, default=DEFAULT_KEEP_IMAGES): _whole_number(0, 1_000_000),
        vol.Required(CONF_MAX_OPEN_JOBS, default=DEFAULT_MAX_OPEN_JOBS): _whole_number(1, 10_000),
        vol.Required(CONF_GIVE_UP_AFTER, default=DEFAULT_GIVE_UP_AFTER): _whole_number(
            1, 24 * 14, unit="h"
        ),
        vol.Required(CONF_AI_TASK_TIMEOUT, default=DEFAULT_AI_TASK_TIMEOUT): _whole_number(
            1, 24 * 60, unit="min"
        ),
    }
)


class GazeConfigFlow(ConfigFlow, domain=DOMAIN):
    """Validates the connection to a server by listing its presets."""

    VERSION = 1

    @override
    @staticmethod
    @callback
    def async_get_options_flow(config_entry: ConfigEntry) -> GazeOptionsFlow:
        """Return the options flow."""
        return GazeOptionsFlow()

    @classmethod
    @callback
    @override
    def async_get_supported_subentry_types(
        cls, config_entry: ConfigEntry
    ) -> dict[str, type[ConfigSubentryFlow]]:
        """Return the flows of recipes and displays."""
        return {SUBENTRY_RECIPE: RecipeFlow, SUBENTRY_DISPLAY: DisplayFlow}

    @override
    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Add a server."""
        errors: dict[str, str] = {}
        if user_input is not None:
            data, errors = await self._async_entry_data(user_input)
            if not errors:
                title = _title(data[CONF_HOST]) if self._async_current_entries() else TITLE
                return self.async_create_entry(title=title, data=data)
        return self._async_show_connection("user", USER_SCHEMA, user_input, errors)

    async def async_step_reauth(self, _entry_data: Mapping[str, Any]) -> ConfigFlowResult:
        """Start to replace an API key that GAZE rejects."""
        return await self.async_step_reauth_confirm()

    async def async_step_reauth_confirm(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Replace the API key."""
        entry = self._get_reauth_entry()
        errors: dict[str, str] = {}
        if user_input is not None:
            data = {**entry.data, CONF_API_KEY: user_input[CONF_API_KEY].strip()}
            errors = await self._async_check(data)
            if not errors:
                return self.async_update_reload_and_abort(entry, data=data)
        return self.async_show_form(
            step_id="reauth_confirm",
            data_schema=REAUTH_SCHEMA,
            errors=errors,
            description_placeholders={"host": entry.data[CONF_HOST]},
        )

    async def async_step_reconfigure(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Change the connection to a server.

        With the same origin, an empty API key leaves the stored one. A stored key never goes to
        another origin.
        """
        entry = self._get_reconfigure_entry()
        errors: dict[str, str] = {}
        if user_input is not None:
            data, errors = await self._async_entry_data(user_input, entry.data)
            if not errors:
                was_named_by_address = entry.title == _title(entry.data[CONF_HOST])
                return self.async_update_reload_and_abort(
                    entry,
                    title=_title(data[CONF_HOST]) if was_named_by_address else entry.title,
                    data=data,
                )
        else:
            user_input = {
                CONF_HOST: entry.data[CONF_HOST],
                CONF_ADVANCED: {CONF_VERIFY_SSL: entry.data[CONF_VERIFY_SSL]},
            }
        return self._async_show_connection("reconfigure", RECONFIGURE_SCHEMA, user_input, errors)

    def _async_show_connection(
        self,
        step_id: str,
        schema: vol.Schema,
        values: dict[str, Any] | None,
        errors: dict[str, str],
    ) -> ConfigFlowResult:
        """Show a form with suggested values, but never with a key."""
        shown = {name: value for name, value in (values or {}).items() if name != CONF_API_KEY}
        return self.async_show_form(
            step_id=step_id,
            data_schema=self.add_suggested_values_to_schema(schema, shown),
            errors=errors,
            description_placeholders=PLACEHOLDERS,
        )

    async def _async_entry_data(
        self, user_input: dict[str, Any], stored: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, str]]:
        """Return the data of an entry from a form, and the errors of the form's fields.

        Aborts if another entry has the address.
        """
        try:
            url = parse_host(user_input[CONF_HOST])
        except InvalidHostError:
            return {}, {CONF_HOST: "invalid_host"}
        self._async_abort_entries_match({CONF_HOST: str(url)})
        api_key = user_input.get(CONF_API_KEY, "").strip()
        if not api_key and stored is not None:
            if get_origin(url) != get_origin(URL(stored[CONF_HOST])):
                return {}, {CONF_API_KEY: "key_required"}
            api_key = stored[CONF_API_KEY]
        data = {
            CONF_HOST: str(url),
            CONF_API_KEY: api_key,
            CONF_VERIFY_SSL: user_input.get(CONF_ADVANCED, {}).get(CONF_VERIFY_SSL, True),
        }
        return data, await self._async_check(data)

    async def _async_check(self, data: Mapping[str, Any]) -> dict[str, str]:
        """List the server's presets and return the errors by field."""
        api_key: str = data[CONF_API_KEY]
        if not api_key or not api_key.isascii() or not api_key.isprintable():
            return {CONF_API_KEY: "invalid_auth"}  # no HTTP header can carry it
        session = async_get_clientsession(self.hass, data[CONF_VERIFY_SSL])
        errors: dict[str, str] = {}
        try:
            await GazeClient(session, URL(data[CONF_HOST]), api_key).list_presets()
        except GazeAuthError:
            errors[CONF_API_KEY] = "invalid_auth"
        except GazeTimeoutError:
            errors[CONF_BASE] = "timeout_connect"
        except GazeSslError:
            errors[CONF_BASE] = "ssl_error"
        except GazeConnectionError, GazeServerError:
            errors[CONF_BASE] = "cannot_connect"
        except GazeError:
            errors[CONF_BASE] = "not_gaze"
        except Exception:
            _LOGGER.exception("Unexpected error while listing the presets of a GAZE server")
            errors[CONF_BASE] = "unknown"
        return errors


class GazeOptionsFlow(OptionsFlowWithReload):
    """Changes how images are saved and jobs are tracked."""

    async def async_step_init(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Change the options."""
        if user_input is not None:
            return self.async_create_entry(data=user_input)
        schema = OPTIONS_SCHEMA.extend({vol.Optional(CONF_PRESETS, default=[]): self._presets()})
        return self.async_show_form(
            step_id="init",
            data_schema=self.add_suggested_values_to_schema(schema, self.config_entry.options),
        )

    def _presets(self) -> SelectSelector:
        """Return a selector of the current presets and of those selected before."""
        entry = self.config_entry
        choices = {slug: slug for slug in entry.options.get(CONF_PRESETS, [])}
        if entry.state is ConfigEntryState.LOADED:
            presets: dict[str, Preset] = entry.runtime_data.data
            choices |= {slug: preset.name for slug, preset in presets.items()}
        return SelectSelector(
            SelectSelectorConfig(
                options=[
                    SelectOptionDict(value=slug, label=name) for slug, name in choices.items()
                ],
                multiple=True,
                mode=SelectSelectorMode.DROPDOWN,
            )
        )


def _title(host: str) -> str:
    """Return the title of a further server, which contains its host."""
    url = URL(host)
    if url.port == DEFAULT_PORT:
        url = url.with_port(None)
    address = url.human_repr().removeprefix(f"{url.scheme}://")
    return f"{TITLE} ({address.rstrip('/')})"
