"""Sensors: what the server is doing for Home Assistant."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Final, override

from homeassistant.components.sensor import (
    SensorDeviceClass,
    SensorEntity,
    SensorEntityDescription,
    SensorStateClass,
)
from homeassistant.const import EntityCategory, UnitOfTime
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.helpers.event import async_call_later
from homeassistant.helpers.typing import StateType
from homeassistant.util import dt as dt_util

from .const import SUBENTRY_DISPLAY
from .coordinator import GazeConfigEntry, GazeCoordinator
from .entity import GazeDisplayEntity, GazeEntity
from .jobs import Job, Status
from .subentries import async_add_subentry_entities

PARALLEL_UPDATES = 0


@dataclass(frozen=True, kw_only=True)
class GazeSensorDescription(SensorEntityDescription):
    """A sensor and where its value comes from."""

    value: Callable[[GazeCoordinator], StateType | datetime]


ESTIMATED_FINISH: Final = "estimated_finish"


def server_status(coordinator: GazeCoordinator) -> str:
    """Return what the server is doing for Home Assistant."""
    open_jobs = coordinator.engine.open_jobs
    if not open_jobs:
        return "idle"
    made = any(job.status is Status.PROCESSING for job in open_jobs)
    return "generating" if made else "waiting"


def _estimated_finish(coordinator: GazeCoordinator) -> datetime | None:
    """Return when the open jobs will have ended, or None if unknown or if no job is open."""
    engine = coordinator.engine
    seconds = engine.seconds_until_free()
    if not seconds:
        return None
    return dt_util.utc_from_timestamp(ceil(dt_util.utcnow().timestamp() + seconds))


def _last_done(coordinator: GazeCoordinator) -> Job | None:
    """Return the last job that made an image."""
    done = (job for job in reversed(coordinator.engine.jobs) if job.status is Status.DONE)
    return max(done, key=lambda job: job.finished_at or 0.0, default=None)


def _last_duration(coordinator: GazeCoordinator) -> float | None:
    """Return how long the last image was processed, in seconds."""
    job = _last_done(coordinator)
    return None if job is None else job.duration


def _last_seed(coordinator: GazeCoordinator) -> str | None:
    """Return the seed of the last image."""
    job = _last_done(coordinator)
    return None if job is None else job.seed


SENSORS = (
    GazeSensorDescription(
        key="status",
        translation_key="status",
        device_class=SensorDeviceClass.ENUM,
        options=["idle", "waiting", "generating"],
        value=server_status,
    ),
    GazeSensorDescription(
        key="open_jobs",
        translation_key="open_jobs",
        state_class=SensorStateClass.MEASUREMENT,
        value=lambda coordinator: len(coordinator.engine.open_jobs),
    ),
    GazeSensorDescription(
        key=ESTIMATED_FINISH,
        translation_key="estimated_finish",
        device_class=SensorDeviceClass.TIMESTAMP,
        value=_estimated_finish,
    ),
    GazeSensorDescription(
        key="last_duration",
        translation_key="last_duration",
        device_class=SensorDeviceClass.DURATION,
        native_unit_of_measurement=UnitOfTime.SECONDS,
        value=_last_duration,
    ),
    GazeSensorDescription(
        key="last_seed",
        translation_key="last_seed",
        value=_last_seed,
    ),
    GazeSensorDescription(
        key="presets",
        translation_key="presets",
        entity_category=EntityCategory.DIAGNOSTIC,
        value=lambda coordinator: len(coordinator.data),
    ),
    GazeSensorDescription(
        key="kept_images",
        translation_key="kept_images",
        entity_category=EntityCategory.DIAGNOSTIC,
        entity_registry_enabled_default=False,
        value=lambda coordinator: coordinator.gallery.count,
    ),
)

LAST_FETCHED = SensorEntityDescription(
    key="last_fetched",
    translation_key="last_fetched",
    device_class=SensorDeviceClass.TIMESTAMP,
    entity_category=EntityCategory.DIAGNOSTIC,
)


async def async_setup_entry(
    _hass: HomeAssistant,
    entry: GazeConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the sensors of a server."""
    coordinator = entry.runtime_data
    async_add_entities(
        GazeEstimateSensor(coordinator, description)
        if description.key == ESTIMATED_FINISH
        else GazeSensor(coordinator, description)
        for description in SENSORS
    )
    async_add_subentry_entities(
        entry,
        async_add_entities,
        SUBENTRY_DISPLAY,
        lambda subentry: [GazeLastFetchedSensor(coordinator, LAST_FETCHED, subentry.subentry_id)],
    )


class GazeSensor(GazeEntity, SensorEntity):
    """A value that Home Assistant knows without the server."""

    entity_description: GazeSensorDescription

    @property
    @override
    def available(self) -> bool:
        """Stay available while the server is off."""
        return True

    @property
    @override
    def native_value(self) -> StateType | datetime:
        """Return the value."""
        return self.entity_description.value(self.coordinator)


class GazeLastFetchedSensor(GazeDisplayEntity, SensorEntity):
    """When the screen of a display last fetched its image, to the minute."""

    @property
    @override
    def native_value(self) -> datetime | None:
        """Return the time."""
        seconds = self.player.state.last_fetched
        return None if seconds is None else dt_util.utc_from_timestamp(seconds)


class GazeEstimateSensor(GazeSensor):
    """A point in time that is never in the past: it is estimated again when it comes."""

    _stop_timer: CALLBACK_TYPE | None = None
    _finish: StateType | datetime = None

    @property
    @override
    def native_value(self) -> StateType | datetime:
        """Return the last estimate, because each costs time with many jobs."""
        return self._finish

    @override
    async def async_added_to_hass(self) -> None:
        """Wait for the estimated time."""
        self._finish = super().native_value
        await super().async_added_to_hass()
        self.async_on_remove(self._cancel_timer)
        self._wait_for_estimate()

    @callback
    @override
    def _handle_coordinator_update(self) -> None:
        """Write a new estimate, and wait for it."""
        self._finish = super().native_value
        super()._handle_coordinator_update()
        self._wait_for_estimate()

    @callback
    def _wait_for_estimate(self) -> None:
        """Estimate again when the estimated time comes."""
        self._cancel_timer()
        if isinstance(finish := self._finish, datetime):
            seconds = max((finish - dt_util.utcnow()).total_seconds(), 1.0)
            self._stop_timer = async_call_later(self.hass, seconds, self._on_time)

    @callback
    def _on_time(self, _now: datetime) -> None:
        """Estimate again."""
        self._stop_timer = None
        self._handle_coordinator_update()

    @callback
    def _cancel_timer(self) -> None:
        """Stop waiting."""
        if self._stop_timer is not None:
            self._stop_timer()
            self._stop_timer = None
