"""Decides whether GAZE accepts a server's API key, and asks people for a new one."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

from homeassistant.config_entries import SOURCE_REAUTH, ConfigEntry
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.helpers.event import async_call_later

from .api import GazeAuthError, GazeError

CONFIRM_AFTER: Final = 5.0  # seconds between the first refusal and the request that confirms it


class KeyWatch:
    """Watches the responses of the API for what they say about the key.

    The key is invalid if GAZE refuses it twice in a row, a few seconds apart. One refusal may
    pass, for example while GAZE restarts. Any good response proves that the key is valid.
    """

    def __init__(
        self, hass: HomeAssistant, entry: ConfigEntry, request: Callable[[], Awaitable[None]]
    ) -> None:
        """Watch the key of an entry; `request` makes a request that confirms a refusal."""
        self._hass = hass
        self._entry = entry
        self._request = request
        self._refused_at: float | None = None  # first refusal in a row, on the loop's clock
        self._confirming = False
        self._stop_timer: CALLBACK_TYPE | None = None
        self.invalid = False
        entry.async_on_unload(self._cancel_confirmation)

    @property
    def refused(self) -> bool:
        """Return whether GAZE refused the key in its last response, confirmed or not."""
        return self._refused_at is not None

    @callback
    def async_process_response(self, error: GazeError | None) -> None:
        """Process the outcome of an API request. Other errors say nothing about the key."""
        if error is None:
            self._accept()
        elif isinstance(error, GazeAuthError):
            self._refuse()

    def _accept(self) -> None:
        """Note a good response, and close the flow that asks for a new key."""
        self._cancel_confirmation()
        self._refused_at = None
        self.invalid = False
        flows = self._hass.config_entries.flow
        for flow in flows.async_progress_by_handler(
            self._entry.domain,
            match_context={"entry_id": self._entry.entry_id, "source": SOURCE_REAUTH},
        ):
            flows.async_abort(flow["flow_id"])

    def _refuse(self) -> None:
        """Note a refusal: confirm the first one, ask for a new key after the second one."""
        now = self._hass.loop.time()
        if self._refused_at is None:
            self._refused_at = now
            self._stop_timer = async_call_later(self._hass, CONFIRM_AFTER, self._confirm)
            return
        if self._confirming or now - self._refused_at >= CONFIRM_AFTER:
            self.invalid = True
        if self.invalid:
            self._entry.async_start_reauth(self._hass)  # does nothing while a flow is open

    async def _confirm(self, _now: datetime) -> None:
        """Make the request that confirms a refusal."""
        self._stop_timer = None
        self._confirming = True
        try:
            await self._request()
        finally:
            self._confirming = False

    @callback
    def _cancel_confirmation(self) -> None:
        """Cancel the request that confirms a refusal."""
        if self._stop_timer is not None:
            self._stop_timer()
            self._stop_timer = None
