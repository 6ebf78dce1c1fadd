"""Renders templates of users without blocking the event loop."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, override

from homeassistant.core import HomeAssistant
from homeassistant.exceptions import TemplateError
from homeassistant.helpers.template import Template
from homeassistant.util.thread import ThreadWithException

TIMEOUT: Final = 3.0  # seconds, as in Home Assistant's template editor
_END: Final = 1.0  # seconds that a stopped thread gets to end


async def async_render_template(
    hass: HomeAssistant, text: str, variables: Mapping[str, Any]
) -> str:
    """Return the rendered text.

    Raises TemplateError if the template is wrong, fails, or takes too long. A template with
    nested loops can take hours, and Home Assistant would do nothing else meanwhile.
    """
    template = Template(text, hass)
    template.ensure_valid()
    return await hass.async_add_executor_job(_render, template, variables)


def _render(template: Template, variables: Mapping[str, Any]) -> str:
    """Render a template in a thread that can be stopped. Blocks. Raises TemplateError."""
    thread = _Rendering(template, variables)
    thread.start()
    thread.join(TIMEOUT)
    if thread.is_alive():
        with suppress(ValueError):  # it just ended
            thread.raise_exc(TimeoutError)
        thread.join(_END)
    if isinstance(thread.result, TemplateError):
        raise thread.result
    if thread.result is None:
        raise TemplateError(f"TimeoutError: it takes more than {TIMEOUT:.0f} seconds")
    return thread.result


class _Rendering(ThreadWithException):
    """A thread that renders a template."""

    def __init__(self, template: Template, variables: Mapping[str, Any]) -> None:
        """Start without a result."""
        super().__init__(daemon=True, name="GAZE template")
        self._template = template
        self._variables = variables
        self.result: str | TemplateError | None = None

    @override
    def run(self) -> None:
        """Render the template. The result is None if that was stopped."""
        with suppress(TimeoutError):  # it was stopped outside of the template
            try:
                self.result = str(self._template.async_render(self._variables, parse_result=False))
            except TemplateError as err:
                self.result = None if isinstance(err.__cause__, TimeoutError) else err
