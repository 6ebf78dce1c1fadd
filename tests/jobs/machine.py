"""A Home Assistant that can be killed, on a disk that fills up, in time that jumps."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
import resource
import shutil
from typing import Any, override

from freezegun.api import FrozenDateTimeFactory
from homeassistant.config_entries import (
    SIGNAL_CONFIG_ENTRY_CHANGED,
    ConfigEntry,
    ConfigEntryChange,
    ConfigEntryState,
)
from homeassistant.const import CONF_API_KEY, CONF_HOST, CONF_VERIFY_SSL
from homeassistant.core import DOMAIN as HOMEASSISTANT, Event, HomeAssistant, callback
from homeassistant.helpers import frame
from homeassistant.helpers.dispatcher import async_dispatcher_connect
from homeassistant.loader import DATA_CUSTOM_COMPONENTS
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_test_home_assistant

from custom_components.gaze.backup import async_post_backup, async_pre_backup
from custom_components.gaze.const import CONF_GIVE_UP_AFTER, DOMAIN, EVENT_GAZE
from custom_components.gaze.coordinator import GazeCoordinator
from testing.clocks import JumpingSelector
from testing.gaze_server import GazeServer

ENTRY_ID = "01K3GAZE00000000000000TEST"
WORK_TIME = 0.001  # seconds of the loop's time that a thread takes for any piece of work


class StandingLoop(asyncio.SelectorEventLoop):
    """An event loop for which computing takes no time, and waiting neither.

    Its time stands still while anything happens and jumps to the next timer when nothing
    does, with the wall clock. Threads do what they are given in order, `WORK_TIME` after they
    were given it, so that the same happens each time. `on_step` is called when a piece of work
    is given to them and after it is done.
    """

    def __init__(self, clock: FrozenDateTimeFactory) -> None:
        """Start at zero."""
        self._now = 0.0
        self._clock = clock
        super().__init__(JumpingSelector(self._jump))
        self.on_step: Callable[[], None] | None = None
        self._thread = ThreadPoolExecutor(1)
        self._given: deque[Callable[[], None]] = deque()

    @override
    def time(self) -> float:
        """Return the time in seconds."""
        return self._now

    def _jump(self, seconds: float) -> None:
        """Let time pass, also on the wall clock."""
        self._now += seconds
        self._clock.tick(seconds)

    @override
    def run_in_executor[*Ts, T](
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Let a thread work. The steps of other executors are not counted."""
        result: asyncio.Future[T] = self.create_future()
        if executor is not None:
            self.call_soon(_work, result, partial(executor.submit, func, *args))
            return result
        self._step()
        self._given.append(partial(_work, result, partial(self._thread.submit, func, *args)))
        self.call_later(WORK_TIME, self._work_once)
        return result

    def finish_work(self) -> None:
        """Let the thread finish all that it was given."""
        while self._given:
            self._work_once()

    @override
    def close(self) -> None:
        """Close, with the thread."""
        self._thread.shutdown()
        super().close()

    def _work_once(self) -> None:
        """Do the next piece of work, unless it was done early."""
        if self._given:
            self._given.popleft()()
            self._step()

    def _step(self) -> None:
        """Tell that the disk is as a kill could leave it."""
        if self.on_step is not None:
            self.on_step()


def _work[T](result: asyncio.Future[T], submit: Callable[[], Future[T]]) -> None:
    """Do a piece of work, even if its caller is gone."""
    work = submit()
    error = work.exception()
    if result.done():
        return
    if error is None:
        result.set_result(work.result())
    else:
        result.set_exception(error)


class Disk:
    """The disk of this process: while it is full, nothing can be written to any file."""

    def __init__(self) -> None:
        """Take it as it is."""
        self._limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        self.full = False

    def fill(self) -> None:
        """Refuse every write from now on."""
        self.full = True
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, self._limits[1]))

    def free(self) -> None:
        """Allow writes again."""
        self.full = False
        resource.setrlimit(resource.RLIMIT_FSIZE, self._limits)

    @contextmanager
    def spare(self) -> Generator[None]:
        """Allow writes that Home Assistant has nothing to do with."""
        full = self.full
        self.free()
        try:
            yield
        finally:
            if full:
                self.fill()


class Interruption(StrEnum):
    """How a run ends."""

    KILL = "killed"
    STOP = "stopped"
    RELOAD = "reloaded"


@dataclass(kw_only=True, slots=True)
class Run:
    """A time in which the integration was set up without a break. Times are the loop's."""

    ended_at: float | None = None
    killed: bool = False


class Home:
    """One installation of Home Assistant with one GAZE entry, over many starts.

    It dies by copying its configuration directory, as it is on disk at that moment, for the
    next start; from then on it has no connection to the server, and no listeners.
    """

    hass: HomeAssistant
    _entry: MockConfigEntry
    _remains: AsyncExitStack

    def __init__(
        self,
        loop: StandingLoop,
        folder: Path,
        server: GazeServer,
        disk: Disk,
        *,
        give_up_after: int,
        on_event: Callable[[dict[str, Any]], None],
    ) -> None:
        """Use folders below `folder`; `give_up_after` is in hours."""
        self.api_key = server.api_key  # as people know it
        self.runs: list[Run] = []
        self._loop = loop
        self._folder = folder
        self._server = server
        self._disk = disk
        self._options = {CONF_GIVE_UP_AFTER: give_up_after}
        self._on_event = on_event
        self._lives = 1
        self._online = True
        self._death: asyncio.Future[None] = loop.create_future()
        self._planned: tuple[Interruption, int] | None = None
        self._interrupting: asyncio.Task[None] | None = None
        self.folder.mkdir(parents=True)

    @property
    def folder(self) -> Path:
        """Return the configuration directory of this life."""
        return self._folder / f"life-{self._lives}"

    @property
    def media(self) -> Path:
        """Return the media directory of this life."""
        return self.folder / "media"

    def _mount_media(self) -> Path:
        """Return a path of the media directory that is the same in every life."""
        path = self._folder / "media"
        path.unlink(missing_ok=True)
        if not self.media.exists():
            self.media.mkdir()
        path.symlink_to(self.media)
        return path

    @property
    def coordinator(self) -> GazeCoordinator | None:
        """Return the integration's coordinator while the entry is set up."""
        if self._entry.state is not ConfigEntryState.LOADED:
            return None
        coordinator: GazeCoordinator = self._entry.runtime_data
        return coordinator

    def shown(self, preset: str) -> str | None:
        """Return the job id of the newest image of a preset, by slug."""
        coordinator: GazeCoordinator = self._entry.runtime_data
        newest = coordinator.gallery.newest(preset)
        return None if newest is None else newest.job_id

    @property
    def online(self) -> bool:
        """Return whether home and server are connected."""
        return self._online

    async def set_online(self, online: bool) -> None:
        """Connect home and server, or cut them off."""
        self._online = online
        self._server.set_online(online)

    @property
    def interruption_planned(self) -> bool:
        """Return whether an interruption is still to come."""
        return self._planned is not None

    def interrupt(self, how: Interruption, steps: int = 0) -> None:
        """Interrupt Home Assistant now, or in so many steps of the loop's."""
        self._planned = (how, steps)
        if steps > 0:
            return
        self._planned = None
        match how:
            case Interruption.KILL:
                self._die(killed=True)
            case Interruption.STOP:
                self._interrupting = self._loop.create_task(self.stop())
            case Interruption.RELOAD:
                self._interrupting = self._loop.create_task(self.reload())

    async def live[T](self, doing: Coroutine[Any, Any, T]) -> T | None:
        """Do something and return the result; None where Home Assistant ended over it.

        Where it ended it runs again afterwards.
        """
        task = asyncio.create_task(doing)
        either: set[asyncio.Future[Any]] = {task, self._death}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if self._interrupting is not None:
            await self._interrupting
            self._interrupting = None
        if not self._death.done():
            return await task
        await asyncio.wait({task})
        await self._bury()
        await self.live(self.start())
        return None

    async def pass_time(self, seconds: float) -> None:
        """Let time pass; after a death the rest of it passes in the next life."""
        until = self._loop.time() + seconds
        while (left := until - self._loop.time()) > 0:
            await asyncio.wait({self._death}, timeout=left)
            await self.live(asyncio.sleep(0))

    async def start(self) -> None:
        """Start Home Assistant on what the last life left on disk."""
        self.runs.append(Run())
        self._remains = AsyncExitStack()
        self.hass = await self._remains.enter_async_context(
            async_test_home_assistant(config_dir=str(self.folder))
        )
        frame.async_setup(self.hass)
        await async_setup_component(self.hass, HOMEASSISTANT, {})
        self.hass.config.media_dirs = {"local": str(self._mount_media())}
        self.hass.data.pop(DATA_CUSTOM_COMPONENTS)
        self.hass.bus.async_listen(EVENT_GAZE, self._hear)
        self._entry = MockConfigEntry(
            domain=DOMAIN,
            title="GAZE",
            entry_id=ENTRY_ID,
            data={
                CONF_HOST: self._server.url,
                CONF_API_KEY: self.api_key,
                CONF_VERIFY_SSL: True,
            },
            options=self._options,
        )
        self._entry.add_to_hass(self.hass)
        async_dispatcher_connect(self.hass, SIGNAL_CONFIG_ENTRY_CHANGED, self._note_unload)
        self._loop.on_step = self._count_step
        await self.hass.config_entries.async_setup(ENTRY_ID)
        await self.hass.async_block_till_done()

    async def stop(self) -> None:
        """Stop Home Assistant as people do."""
        await self.hass.async_stop()
        self._die(killed=False)

    async def back_up(self) -> None:
        """Copy what Home Assistant puts into a backup, between the hooks of the integration."""
        await async_pre_backup(self.hass)
        with self._disk.spare():
            shutil.rmtree(self._backup, ignore_errors=True)
            for name in (".storage", "media"):
                if (self.folder / name).exists():
                    shutil.copytree(self.folder / name, self._backup / name)
        await async_post_backup(self.hass)

    async def restore(self, *, with_media: bool) -> None:
        """Stop, and restore the backup for the next start."""
        await self.stop()
        with self._disk.spare():
            for name in (".storage", "media") if with_media else (".storage",):
                shutil.rmtree(self.folder / name, ignore_errors=True)
                if (self._backup / name).exists():
                    shutil.copytree(self._backup / name, self.folder / name)

    @property
    def _backup(self) -> Path:
        """Return where the last backup is."""
        return self._folder / "backup"

    async def reload(self) -> None:
        """Reload the entry, with the API key that people know."""
        data = {**self._entry.data, CONF_API_KEY: self.api_key}
        self.hass.config_entries.async_update_entry(self._entry, data=data)
        await self.hass.config_entries.async_reload(ENTRY_ID)
        await self.hass.async_block_till_done()

    async def close(self) -> None:
        """Stop for good."""
        await self.hass.async_stop()
        self._die(killed=False)
        await self._bury()
        shutil.rmtree(self._folder)

    @callback
    def _note_unload(self, _change: ConfigEntryChange, entry: ConfigEntry) -> None:
        """Note that a run has ended."""
        if entry.state is ConfigEntryState.NOT_LOADED and not self._death.done():
            self.runs[-1].ended_at = self._loop.time()
            self.runs.append(Run())

    @callback
    def _hear(self, event: Event) -> None:
        """Hand on an event, as long as there is anybody to hear it."""
        if not self._death.done():
            self._on_event(dict(event.data))

    def _count_step(self) -> None:
        """Interrupt at the step at which it was to be."""
        if self._planned is not None:
            how, steps = self._planned
            self.interrupt(how, steps - 1)

    def _die(self, *, killed: bool) -> None:
        """End this life here and now, unless it has ended."""
        if self._death.done():
            return
        self._loop.on_step = None
        if killed:
            self._planned = None
        else:
            self._loop.finish_work()
        self.runs[-1].ended_at = self._loop.time()
        self.runs[-1].killed = killed
        left = self.folder
        self._lives += 1
        with self._disk.spare():
            shutil.copytree(left, self.folder)
        self._server.set_online(False)
        self._death.set_result(None)

    async def _bury(self) -> None:
        """Put away what a life leaves in this process."""
        if self.coordinator is not None:
            await self.hass.config_entries.async_unload(ENTRY_ID)
        await self.hass.async_stop(force=True)
        await self._remains.aclose()
        self._server.set_online(self._online)
        self._death = self._loop.create_future()
