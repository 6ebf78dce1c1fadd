"""Detects an invalid API key and starts the flow that requests a new one."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

from homeassistant.config_entries import SOURCE_REAUTH, ConfigEntry
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.helpers.event import async_call_later

from .api import GazeAuthError, GazeError

CONFIRM_AFTER: Final = 5.0  # seconds between the first rejection and the request that confirms it


class KeyWatch:
    """Tracks whether GAZE accepts the key of one server.

    The key is invalid if GAZE rejects it twice in a row, a few seconds apart. One rejection can
    be temporary, for example while GAZE restarts. After any good response the key is valid.
    """

    def __init__(
        self, hass: HomeAssistant, entry: ConfigEntry, request: Callable[[], Awaitable[None]]
    ) -> None:
        """Track the key of an entry. `request` sends a request that confirms a rejection."""
        self._hass = hass
        self._entry = entry
        self._request = request
        # Time of the first rejection in a row, on the clock of the event loop
        self._rejected_at: float | None = None
        self._confirming = False
        self._stop_timer: CALLBACK_TYPE | None = None
        self.invalid = False
        entry.async_on_unload(self._cancel_confirmation)

    @property
    def rejected(self) -> bool:
        """Return whether GAZE rejected the key in its last response, confirmed or not."""
        return self._rejected_at is not None

    @callback
    def async_process_response(self, error: GazeError | None) -> None:
        """Process the outcome of an API request. Other errors are not about the key."""
        if error is None:
            self._process_acceptance()
        elif isinstance(error, GazeAuthError):
            self._process_rejection()

    def _process_acceptance(self) -> None:
        """Mark the key as valid, and close the flow that requests a new one."""
        self._cancel_confirmation()
        self._rejected_at = None
        self.invalid = False
        flows = self._hass.config_entries.flow
        for flow in flows.async_progress_by_handler(
            self._entry.domain,
            match_context={"entry_id": self._entry.entry_id, "source": SOURCE_REAUTH},
        ):
            flows.async_abort(flow["flow_id"])

    def _process_rejection(self) -> None:
        """Confirm a first rejection. Request a new key after a second one."""
        now = self._hass.loop.time()
        if self._rejected_at is None:
            self._rejected_at = now
            self._stop_timer = async_call_later(self._hass, CONFIRM_AFTER, self._confirm)
            return
        if self._confirming or now - self._rejected_at >= CONFIRM_AFTER:
            self.invalid = True
        if self.invalid:
            self._entry.async_start_reauth(self._hass)  # does nothing while a flow is open

    async def _confirm(self, _now: datetime) -> None:
        """Send the request that confirms a rejection."""
        self._stop_timer = None
        self._confirming = True
        try:
            await self._request()
        finally:
            self._confirming = False

    @callback
    def _cancel_confirmation(self) -> None:
        """Cancel the request that confirms a rejection."""
        if self._stop_timer is not None:
            self._stop_timer()
            self._stop_timer = None
