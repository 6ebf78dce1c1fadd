"""Event loops for tests: time jumps while nothing happens, and turns of the loop are measured."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
import fcntl
from functools import cache
import json
import os
import selectors
import struct
import termios
from threading import Barrier
import time
from typing import TYPE_CHECKING, Any, Final, override

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

# Seconds by which the loop wakes late, as real ones do: never before a timer is due
LATENESS: Final = 0.0001
# Real seconds for what was sent, or the end of a connection, to reach the other end
GRACE: Final = 0.001
# Asks Linux for the bytes that a socket has not sent yet
SIOCOUTQNSD: Final = 0x894B
# Real seconds between two looks at what is pending, and the looks after which it is stuck
LOOK: Final = 0.01
LOOKS: Final = 6000
THREADS: Final = 8

type Ready = list[tuple[selectors.SelectorKey, int]]


class Watch(selectors.DefaultSelector):
    """The selector of an event loop that measures the turns of the loop.

    `wakeups` counts how often the loop slept and woke. A turn is the time between two looks: no
    single step in it was longer. `held` is the longest turn in seconds, or the longest delay of
    a timer by another thread that held the interpreter, less the time in which the thread waited
    for a core. `held_in_all` is the longest with that time, `computed` the
    longest in CPU time of the thread, which other processes hardly change.
    """

    def __init__(self) -> None:
        """Start at zero."""
        super().__init__()
        self._schedule: int | None = None
        with suppress(OSError):
            self._schedule = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
        self.start_turn()
        self.reset()

    def reset(self) -> None:
        """Discard what was measured."""
        self.wakeups = 0
        self.held = self.held_in_all = self.computed = 0.0

    @override
    def select(self, timeout: float | None = None) -> Ready:
        """Measure the turn that ends here, and wait as any selector does."""
        held = time.perf_counter() - self._woke
        self.held_in_all = max(self.held_in_all, held)
        self.held = max(self.held, held - (self._waited_for_a_core() - self._waited))
        self.computed = max(self.computed, time.thread_time() - self._computed)
        if timeout is None or timeout > 0:
            self.wakeups += 1
        began, waited = time.perf_counter(), self._waited_for_a_core()
        found = self.wait(timeout)
        self.start_turn()
        if timeout is not None:
            late = self._woke - began - max(timeout, 0)
            self.held = max(self.held, late - (self._waited - waited))
        return found

    def wait(self, timeout: float | None) -> Ready:
        """Wait for input and output."""
        return super().select(timeout)

    def start_turn(self) -> None:
        """Measure from here on."""
        self._woke = time.perf_counter()
        self._waited = self._waited_for_a_core()
        self._computed = time.thread_time()

    def _waited_for_a_core(self) -> float:
        """Return for how many seconds this thread was ready to run and had no core.

        It is the second number of Linux's schedstat, in nanoseconds. Elsewhere it is unknown.
        """
        if self._schedule is None:
            return 0.0
        return int(os.pread(self._schedule, 100, 0).split()[1]) / 1e9

    @override
    def close(self) -> None:
        """Close, with the file that is read."""
        super().close()
        if self._schedule is not None:
            os.close(self._schedule)
            self._schedule = None


class JumpingSelector(Watch):
    """A selector whose time jumps to the next timer when nothing is pending.

    Pending is work in threads, what one end of a connection sends and the other end has not
    received, and what `is_busy` says of other processes.
    """

    def __init__(self, jump: Callable[[float], None]) -> None:
        """Call `jump` with the seconds that pass."""
        super().__init__()
        self._jump = jump
        self._closed_socket = False
        self.measures = False  # measuring takes longer than many a turn
        self.work: set[Future[Any]] = set()
        self.is_busy: Callable[[], bool] | None = None

    @override
    def select(self, timeout: float | None = None) -> Ready:
        """Measure the turn that ends here, if turns are to be measured."""
        return super().select(timeout) if self.measures else self.wait(timeout)

    @override
    def wait(self, timeout: float | None) -> Ready:
        """Return what is ready. If nothing is ready or pending, the timeout passes at once."""
        if timeout is None or timeout <= 0:
            return super().wait(timeout)
        for _ in range(LOOKS):
            if ready := super().wait(0):
                return ready
            if not self._is_pending():
                # Something may have arrived during the look.
                if ready := super().wait(0):
                    return ready
                break
            if ready := super().wait(LOOK):
                return ready
        if self._closed_socket or any(map(_was_sent, self.get_map().values())):
            self._closed_socket = False
            if ready := super().wait(GRACE):
                return ready
        self._jump(timeout + LATENESS)
        return []

    @override
    def unregister(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        """Expect the end of the connection at its other end."""
        self._closed_socket = True
        return super().unregister(fileobj)

    def _is_pending(self) -> bool:
        """Return whether work, or data between two sockets, is under way."""
        return (
            bool(self.work)
            or any(map(_is_sending, self.get_map().values()))
            or (self.is_busy is not None and self.is_busy())
        )


def _is_sending(key: selectors.SelectorKey) -> bool:
    """Return whether a socket is connecting or waits until it can send."""
    return bool(key.events & selectors.EVENT_WRITE or _queued(key.fd, SIOCOUTQNSD))


def _was_sent(key: selectors.SelectorKey) -> bool:
    """Return whether the kernel of the other end has not confirmed what a socket has sent."""
    return _queued(key.fd, termios.TIOCOUTQ) > 0


def _queued(descriptor: int, queue: int) -> int:
    """Return the number of bytes that a socket holds. Files and listening sockets hold none."""
    try:
        (count,) = struct.unpack("i", fcntl.ioctl(descriptor, queue, bytes(4)))
    except OSError:
        return 0
    return int(count)


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop whose time stands still, and jumps to the next timer while nothing happens.

    Hours of its time pass in milliseconds, and no timer fires early on a slow machine. `move`
    moves the time at once, whatever is pending. All loops share the threads of `_start_threads`.
    """

    def __init__(self) -> None:
        """Start with the real time."""
        self._now = time.monotonic()
        self.watch = JumpingSelector(self.move)
        super().__init__(self.watch)
        self._threads = _start_threads()

    @override
    def run_forever(self) -> None:
        """Run, and measure no time in which the loop did not run."""
        if self.watch.measures:
            self.watch.start_turn()
        super().run_forever()

    def move(self, seconds: float) -> None:
        """Move the time: timers until then are due at once."""
        self._now += seconds

    def _time(self) -> float:
        """Return the time in seconds."""
        return self._now

    @property  # type: ignore[explicit-override] # mypy overlooks it on a property with a setter
    @override
    def time(self) -> Callable[[], float]:
        """Return the function that returns the time."""
        return self._time

    @time.setter
    def time(self, _clock: Callable[[], float]) -> None:
        """Keep this clock although Home Assistant sets a faster one."""

    @override
    def run_in_executor[*Ts, T](
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Let a thread work. Time does not jump before the loop has the result."""
        work = (executor or self._threads).submit(func, *args)
        result = asyncio.wrap_future(work, loop=self)
        self.watch.work.add(work)
        work.add_done_callback(self._end_work)
        return result

    def _end_work(self, work: Future[Any]) -> None:
        """Let time jump again, after the loop has the result of the work."""
        with suppress(RuntimeError):  # the loop is closed
            self.call_soon_threadsafe(self.watch.work.discard, work)

    @override
    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Wait for all work. The threads stay for the next loop."""
        while work := [asyncio.wrap_future(each, loop=self) for each in self.watch.work]:
            await asyncio.wait(work)
            await asyncio.sleep(0)


@cache
def _start_threads() -> ThreadPoolExecutor:
    """Start threads that serve all loops, as starting and ending some takes longer than a test."""
    threads = ThreadPoolExecutor(THREADS, "JumpingLoop")
    barrier = Barrier(THREADS + 1)
    for _ in range(THREADS):
        threads.submit(barrier.wait)
    barrier.wait()
    return threads


def work_time() -> float:
    """Return how much CPU time a fixed piece of work takes here and now, in seconds.

    Limits of tests that measure time are multiples of it.
    """
    return min(_time_of_work() for _ in range(3))


def _time_of_work() -> float:
    started = time.thread_time()
    for _ in range(20):
        json.loads(json.dumps([{"name": str(number)} for number in range(1000)]))
    return time.thread_time() - started
