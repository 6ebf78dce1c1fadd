"""Handles unforeseen errors. Each is logged once and ends at most one job."""

import asyncio
import logging
from typing import Final

_LOGGER = logging.getLogger(__name__)

MAX_BACK_OFF: Final = 60.0
_MAX_DOUBLINGS: Final = 6


def back_off(failures: int) -> float:
    """Return the seconds to wait after so many failures in a row: 1, 2, 4 … 60."""
    return min(2.0 ** min(max(failures - 1, 0), _MAX_DOUBLINGS), MAX_BACK_OFF)


async def outlive[T](task: asyncio.Task[T]) -> T:
    """Return the result of a task. The task goes on if the caller is cancelled.

    Unlike `asyncio.shield`, this does not log an error of a task without a waiting caller.
    """
    await asyncio.wait([task])
    return task.result()


class CrashLog:
    """Logs each unforeseen error once, with its traceback."""

    def __init__(self) -> None:
        """Start without errors."""
        self._seen: set[tuple[str, type[Exception], str]] = set()

    def report(self, doing: str, err: Exception) -> None:
        """Log an error, unless the same one was logged before."""
        place = (doing, type(err), _origin(err))
        if place in self._seen:
            _LOGGER.debug("Failed again while %s: %s", doing, type(err).__name__)
            return
        self._seen.add(place)
        _LOGGER.error("Unexpected error while %s", doing, exc_info=err)


def _origin(err: Exception) -> str:
    """Return the file and line that raised an error."""
    trace = err.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
