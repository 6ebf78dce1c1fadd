"""AI task entities of a server and its recipes, which generate images."""

import asyncio
from collections.abc import Hashable
import logging
from typing import Any, Final, override

from homeassistant.components.ai_task import (
    AITaskEntity,
    AITaskEntityFeature,
    GenImageTask,
    GenImageTaskResult,
)
from homeassistant.components.conversation import ChatLog
from homeassistant.components.select import DOMAIN as SELECT_DOMAIN
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.entity import EntityDescription
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .const import CONF_AI_TASK_TIMEOUT, DEFAULT_AI_TASK_TIMEOUT, DOMAIN, SUBENTRY_RECIPE
from .coordinator import GazeConfigEntry, GazeCoordinator
from .entity import GazeEntity, GazeRecipeEntity
from .generation import async_generate, async_read_image, async_wait, is_removed
from .ids import unique_id
from .jobs import Job, Reason, Status
from .names import clean
from .recipe_runs import async_generate_recipe, require_recipe
from .recipes import INSTRUCTIONS
from .request import MAX_TEXT
from .subentries import async_add_subentry_entities

_LOGGER = logging.getLogger(__name__)

PARALLEL_UPDATES = 0

AI_TASK = EntityDescription(key="ai_task")
MINUTE: Final = 60.0  # seconds
STALL: Final = 5  # minutes in which the queue does not move until an AI task stops waiting
MAX_ERROR: Final = 200

# Fields of the controls that apply to AI tasks. Users set the prompt and seed for other images.
_FROM_CONTROLS: Final = ("extra_negative", "checkpoint")
_FAILURES: Final = {
    Reason.SERVER: "job_failed_server",
    Reason.LOST: "job_failed_lost",
    Reason.NO_IMAGE: "job_failed_no_image",
    Reason.UNSUPPORTED: "job_failed_unsupported",
    Reason.DOWNLOAD: "job_failed_download",
    Reason.GAVE_UP: "job_failed_gave_up",
    Reason.STOPPED: "job_failed_stopped",
}


async def async_setup_entry(
    _hass: HomeAssistant,
    entry: GazeConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the AI task of a server."""
    coordinator = entry.runtime_data
    async_add_entities([GazeAITask(coordinator, AI_TASK)])
    async_add_subentry_entities(
        entry,
        async_add_entities,
        SUBENTRY_RECIPE,
        lambda subentry: [GazeRecipeAITask(coordinator, AI_TASK, subentry.subentry_id)],
    )


class GazeBaseAITask(GazeEntity, AITaskEntity):
    """Generates one image and waits for it."""

    _attr_name = None
    _attr_supported_features = AITaskEntityFeature.GENERATE_IMAGE

    @override
    def _appearance(self) -> Hashable:
        """Ignore the time of the last task, which AITaskEntity writes itself."""
        return self.available

    @override
    async def _async_generate_image(
        self, task: GenImageTask, chat_log: ChatLog
    ) -> GenImageTaskResult:
        """Queue an image and wait for it. The job is still tracked if the caller is cancelled.

        Raises ServiceValidationError for errors of the caller, and HomeAssistantError for errors
        of the server and if the image takes too long.
        """
        _validate_task(task)
        job = (await self._async_queue(task))[0]  # a server may accept more than requested
        coordinator, minutes = await self._async_wait(job)
        job = _require_finished(coordinator, job, minutes)
        image, content = await async_read_image(coordinator, job.job_id)
        return GenImageTaskResult(
            image_data=content,
            conversation_id=chat_log.conversation_id,
            mime_type=image.content_type,
            width=image.width,
            height=image.height,
            model=job.checkpoint or clean(job.preset_name),
        )

    async def _async_wait(self, job: Job) -> tuple[GazeCoordinator, float]:
        """Wait for a job while the queue changes, at most as long as the option allows.

        Returns the coordinator that is loaded then, and the minutes that passed. Raises
        HomeAssistantError if the server is removed.
        """
        coordinator = self.coordinator
        limit = coordinator.config_entry.options.get(CONF_AI_TASK_TIMEOUT, DEFAULT_AI_TASK_TIMEOUT)
        loop = asyncio.get_running_loop()
        start = loop.time()
        while True:
            before = _get_queue_state(coordinator)
            left = limit - (loop.time() - start) / MINUTE
            coordinator = await async_wait(coordinator, [job.job_id], min(left, STALL) * MINUTE)
            if is_removed(coordinator):
                raise HomeAssistantError(
                    translation_domain=DOMAIN, translation_key=_FAILURES[Reason.STOPPED]
                )
            if left <= STALL or _is_over(coordinator, job, before):
                return coordinator, (loop.time() - start) / MINUTE

    async def _async_queue(self, task: GenImageTask) -> list[Job]:
        """Queue the image."""
        raise NotImplementedError


class GazeAITask(GazeBaseAITask):
    """Generates from the preset of the controls, with the instructions as the extra prompt."""

    @override
    async def _async_queue(self, task: GenImageTask) -> list[Job]:
        """Queue the image."""
        return await async_generate(self.coordinator, *self._request(task))

    def _request(self, task: GenImageTask) -> tuple[str, dict[str, Any]]:
        """Return the slug of the preset, and the fields of the request."""
        controls = self.coordinator.controls.as_request()
        request = {name: controls[name] for name in _FROM_CONTROLS}
        # Users may have set only one side of the size yet.
        if controls["width"] and controls["height"]:
            request |= {"width": controls["width"], "height": controls["height"]}
        return self._preset(), {**request, "extra_positive": task.instructions}

    def _preset(self) -> str:
        """Return the slug of the preset of the controls. Raises ServiceValidationError."""
        if (chosen := self.coordinator.controls.preset) is not None:
            return chosen
        raise ServiceValidationError(
            translation_domain=DOMAIN,
            translation_key="no_preset_for_ai_task",
            translation_placeholders={"entity_id": self._preset_entity_id()},
        )

    def _preset_entity_id(self) -> str:
        """Return the entity ID of the preset of the controls."""
        entity_id = er.async_get(self.hass).async_get_entity_id(
            SELECT_DOMAIN, DOMAIN, unique_id(self.coordinator.config_entry.entry_id, "preset")
        )
        return entity_id or f"{SELECT_DOMAIN}.{DOMAIN}_preset"


def _is_over(coordinator: GazeCoordinator, job: Job, before: list[tuple[str, Status]]) -> bool:
    """Return whether a job has ended, or nothing more happens to it for now."""
    current = coordinator.engine.job(job.job_id)
    if current is None or current.end_fired or coordinator.hass.is_stopping:
        return True
    return current.status is Status.QUEUED and not _is_moving(coordinator, before)


def _is_moving(coordinator: GazeCoordinator, before: list[tuple[str, Status]]) -> bool:
    """Return whether the queue changed, or GAZE is still generating an image of it."""
    state = _get_queue_state(coordinator)
    generating = any(status is Status.PROCESSING for _, status in state)
    return state != before or (generating and coordinator.last_update_success)


def _get_queue_state(coordinator: GazeCoordinator) -> list[tuple[str, Status]]:
    """Return the IDs and statuses of the jobs in the queue."""
    return [(job.job_id, job.status) for job in coordinator.engine.jobs]


class GazeRecipeAITask(GazeRecipeEntity, GazeBaseAITask):
    """Runs a recipe with the instructions."""

    @override
    async def _async_queue(self, task: GenImageTask) -> list[Job]:
        """Queue the image, also while the recipe has open jobs."""
        recipe = require_recipe(self.coordinator, self.subentry_id)
        return await async_generate_recipe(
            self.coordinator,
            recipe,
            {"count": 1, "if_busy": "queue"},
            variables={INSTRUCTIONS: task.instructions},
        )


def _validate_task(task: GenImageTask) -> None:
    """Raise ServiceValidationError if GAZE doesn't support a task."""
    if task.attachments:
        raise ServiceValidationError(
            translation_domain=DOMAIN, translation_key="attachments_not_supported"
        )
    if len(task.instructions) > MAX_TEXT:
        raise ServiceValidationError(
            translation_domain=DOMAIN,
            translation_key="text_too_long",
            translation_placeholders={"field": "instructions", "max": str(MAX_TEXT)},
        )


def _require_finished(coordinator: GazeCoordinator, job: Job, minutes: float) -> Job:
    """Return the job after `minutes` of waiting. Raises HomeAssistantError without an image."""
    job = coordinator.engine.job(job.job_id) or job
    if job.status is Status.DONE:
        return job
    if job.reason is None:
        raise HomeAssistantError(
            translation_domain=DOMAIN,
            translation_key="image_not_finished",
            translation_placeholders={
                "job_id": job.job_id,
                "minutes": f"{minutes:.0f}",
            },
        )
    _LOGGER.warning(
        "Job %s failed (%s): %s", job.job_id, job.reason, clean(job.error or "", MAX_ERROR)
    )
    raise HomeAssistantError(translation_domain=DOMAIN, translation_key=_FAILURES[job.reason])
