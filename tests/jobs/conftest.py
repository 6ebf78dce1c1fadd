"""Lets time jump: tests of the job engine wait for hours of its time in milliseconds of ours."""

import asyncio
from collections.abc import Callable, Mapping
from selectors import DefaultSelector, SelectorKey
from typing import override

PATIENCE = 0.025


class _JumpingSelector(DefaultSelector):
    """Waits for real input and output shortly; where there is none, time jumps."""

    jumped = 0.0

    @override
    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        """Return what is ready; the rest of the timeout passes at once."""
        if timeout is None or timeout <= PATIENCE:
            return super().select(timeout)
        ready = super().select(PATIENCE)
        if not ready:
            self.jumped += timeout - PATIENCE
        return ready


class _JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop whose time jumps to the next timer while nothing else happens."""

    def __init__(self) -> None:
        """Use the jumping selector."""
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def _time(self) -> float:
        """Return the time with its jumps, in seconds."""
        return super().time() + self._jumping.jumped

    @property  # type: ignore[explicit-override] # mypy overlooks it on a property with a setter
    @override
    def time(self) -> Callable[[], float]:
        """Return what tells the time."""
        return self._time

    @time.setter
    def time(self, _clock: Callable[[], float]) -> None:
        """Keep our clock where Home Assistant sets a faster one."""


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Use the jumping loop for the tests of this folder."""
    return {"jumping": _JumpingLoop}
