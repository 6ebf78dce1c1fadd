"""Base of the forms that add and change a recipe or display."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from homeassistant.config_entries import (
    SOURCE_RECONFIGURE,
    ConfigEntryState,
    ConfigSubentry,
    ConfigSubentryFlow,
    SubentryFlowResult,
)
from homeassistant.const import CONF_NAME
from homeassistant.data_entry_flow import section
from homeassistant.helpers.selector import (
    NumberSelector,
    NumberSelectorConfig,
    NumberSelectorMode,
    SelectSelector,
    SelectSelectorConfig,
    SelectSelectorMode,
)
import voluptuous as vol

from .coordinator import GazeCoordinator
from .names import clean


class GazeSubentryFlow(ConfigSubentryFlow):
    """Adds a subentry or changes it, with one form for both.

    The step of the form has the name of the subentry type. A subclass defines the step, the fields,
    and the errors of an input.
    """

    subentry_type: ClassVar[str]
    sections: ClassVar[Mapping[str, vol.Schema]]  # collapsed below the other fields

    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Add a subentry."""
        return await self._async_step(user_input)

    async def async_step_reconfigure(
        self, user_input: dict[str, Any] | None = None
    ) -> SubentryFlowResult:
        """Change a subentry."""
        return await self._async_step(user_input)

    async def _async_step(self, user_input: dict[str, Any] | None) -> SubentryFlowResult:
        """Show the form, and store what the user entered."""
        errors: dict[str, str] = {}
        if user_input is not None:
            name, data = clean(user_input[CONF_NAME]), self._data(user_input)
            if not (errors := await self._async_errors(name, data)):
                return await self._async_store(name, data)
        return self.async_show_form(
            step_id=self.subentry_type,
            data_schema=self.add_suggested_values_to_schema(
                self._schema(), self._suggested() if user_input is None else user_input
            ),
            errors=errors,
            description_placeholders=self._placeholders(),
        )

    @abstractmethod
    def _fields(self) -> dict[vol.Marker, Any]:
        """Return the fields above the sections."""

    @abstractmethod
    async def _async_errors(self, name: str, data: Mapping[str, Any]) -> dict[str, str]:
        """Return the errors by field."""

    @abstractmethod
    def _placeholders(self) -> dict[str, str]:
        """Return the placeholders of the texts of the form."""

    def _data(self, user_input: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is stored of a form: the fields without their sections.

        Each field that has a default gets it if its section is omitted.
        """
        data = {
            key: value
            for key, value in user_input.items()
            if key not in {CONF_NAME, *self.sections}
        }
        for name, schema in self.sections.items():
            data |= schema(user_input.get(name, {}))
        return data

    @property
    def _coordinator(self) -> GazeCoordinator | None:
        """Return the server, or None while it isn't loaded."""
        entry = self._get_entry()
        if entry.state is not ConfigEntryState.LOADED:
            return None
        coordinator: GazeCoordinator = entry.runtime_data
        return coordinator

    @property
    def _changed(self) -> ConfigSubentry | None:
        """Return the subentry that is changed, or None if one is added."""
        if self.source != SOURCE_RECONFIGURE:
            return None
        return self._get_reconfigure_subentry()

    def _titles(self, subentry_type: str) -> dict[str, str]:
        """Return the titles of the subentries of a type, by ID."""
        return {
            subentry.subentry_id: subentry.title
            for subentry in self._get_entry().subentries.values()
            if subentry.subentry_type == subentry_type
        }

    async def _async_store(self, title: str, data: dict[str, Any]) -> SubentryFlowResult:
        """Store the subentry. All data is replaced: emptied fields are missing in a form."""
        if (changed := self._changed) is None:
            return self.async_create_entry(title=title, data=data)
        return self.async_update_and_abort(self._get_entry(), changed, title=title, data=data)

    def _suggested(self) -> dict[str, Any]:
        """Return what the form shows at first."""
        if (changed := self._changed) is None:
            return {}
        return {
            CONF_NAME: changed.title,
            **changed.data,
            **dict.fromkeys(self.sections, changed.data),
        }

    def _schema(self) -> vol.Schema:
        """Return the form."""
        sections = {
            vol.Optional(name): section(schema, {"collapsed": True})
            for name, schema in self.sections.items()
        }
        return vol.Schema({**self._fields(), **sections})


def choice(translation_key: str, options: list[str]) -> SelectSelector:
    """Return a field for one of several fixed options."""
    return SelectSelector(
        SelectSelectorConfig(
            options=options, translation_key=translation_key, mode=SelectSelectorMode.DROPDOWN
        )
    )


def whole_number(least: int, most: int, unit: str | None = None) -> vol.All:
    """Return a field for a whole number."""
    config = NumberSelectorConfig(min=least, max=most, step=1, mode=NumberSelectorMode.BOX)
    if unit is not None:
        config["unit_of_measurement"] = unit
    return vol.All(NumberSelector(config), vol.Coerce(int))
