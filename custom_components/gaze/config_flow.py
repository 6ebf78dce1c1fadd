"""Connects Home Assistant to a GAZE server: set-up, a new API key, other connection details."""

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
from .api.address import DEFAULT_PORT
from .const import (
    CONF_GIVE_UP_AFTER,
    CONF_KEEP_IMAGES,
    CONF_MAX_OPEN_JOBS,
    CONF_PRESETS,
    CONF_SAVE_IMAGES,
    CONF_STRIP_METADATA,
    DEFAULT_GIVE_UP_AFTER,
    DEFAULT_KEEP_IMAGES,
    DEFAULT_MAX_OPEN_JOBS,
    DOMAIN,
    SUBENTRY_DISPLAY,
)
from .display_flow import DisplayFlow

_LOGGER = logging.getLogger(__name__)

CONF_ADVANCED: Final = "advanced"

TITLE: Final = "GAZE"
PLACEHOLDERS: Final = {"example_url": "https://gaze.example.org/prefix"}


def _whole_number(least: int, most: int, unit: str | None = None) -> vol.All:
    """Return the field of an option that is a whole number."""
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
    }
)


class GazeConfigFlow(ConfigFlow, domain=DOMAIN):
    """Asks for the connection to one server and proves it by listing presets."""

    VERSION = 1

    @override
    @staticmethod
    @callback
    def async_get_options_flow(config_entry: ConfigEntry) -> GazeOptionsFlow:
        """Return what asks for the options."""
        return GazeOptionsFlow()

    @classmethod
    @callback
    @override
    def async_get_supported_subentry_types(
        cls, config_entry: ConfigEntry
    ) -> dict[str, type[ConfigSubentryFlow]]:
        """Return the flows that add what belongs to a server."""
        return {SUBENTRY_DISPLAY: DisplayFlow}

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
        """Begin to ask for a new API key: the server no longer takes the present one."""
        return await self.async_step_reauth_confirm()

    async def async_step_reauth_confirm(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Ask for a new API key."""
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
        """Change how a server is reached; without an API key the present one stays."""
        entry = self._get_reconfigure_entry()
        errors: dict[str, str] = {}
        if user_input is not None:
            data, errors = await self._async_entry_data(user_input, entry.data[CONF_API_KEY])
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
        """Show a form filled with values, but never with a key: that stays on this side."""
        shown = {name: value for name, value in (values or {}).items() if name != CONF_API_KEY}
        return self.async_show_form(
            step_id=step_id,
            data_schema=self.add_suggested_values_to_schema(schema, shown),
            errors=errors,
            description_placeholders=PLACEHOLDERS,
        )

    async def _async_entry_data(
        self, user_input: dict[str, Any], present_key: str = ""
    ) -> tuple[dict[str, Any], dict[str, str]]:
        """Return what an entry keeps of a form, and the errors of the form's fields.

        Aborts when another entry has the address.
        """
        try:
            url = parse_host(user_input[CONF_HOST])
        except InvalidHostError:
            return {}, {CONF_HOST: "invalid_host"}
        self._async_abort_entries_match({CONF_HOST: str(url)})
        data = {
            CONF_HOST: str(url),
            CONF_API_KEY: user_input.get(CONF_API_KEY, "").strip() or present_key,
            CONF_VERIFY_SSL: user_input.get(CONF_ADVANCED, {}).get(CONF_VERIFY_SSL, True),
        }
        return data, await self._async_check(data)

    async def _async_check(self, data: Mapping[str, Any]) -> dict[str, str]:
        """List the server's presets and return what went wrong, by field."""
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
    """Asks how the images of a server are kept and its jobs followed."""

    async def async_step_init(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for the options."""
        if user_input is not None:
            return self.async_create_entry(data=user_input)
        schema = OPTIONS_SCHEMA.extend({vol.Optional(CONF_PRESETS, default=[]): self._presets()})
        return self.async_show_form(
            step_id="init",
            data_schema=self.add_suggested_values_to_schema(schema, self.config_entry.options),
        )

    def _presets(self) -> SelectSelector:
        """Return a choice of the server's presets, and of those chosen that it no longer has."""
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
    """Return the title that tells a further server from the first, by its address."""
    url = URL(host)
    if url.port == DEFAULT_PORT:
        url = url.with_port(None)
    address = url.human_repr().removeprefix(f"{url.scheme}://")
    return f"{TITLE} ({address.rstrip('/')})"
