"""Fixtures for tests of recipes."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, override

from homeassistant.components.ai_task import (
    DATA_COMPONENT,
    AITaskEntity,
    AITaskEntityFeature,
    GenDataTask,
    GenDataTaskResult,
)
from homeassistant.components.conversation import ChatLog
from homeassistant.core import HomeAssistant
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

PRESET: Final = "neon_city"

type AddRecipe = Callable[..., Awaitable[str]]


async def start(hass: HomeAssistant, entry: MockConfigEntry, **context: Any) -> Any:
    """Start the flow of a recipe."""
    source: Any = {"source": "user", **context}
    return await hass.config_entries.subentries.async_init(
        (entry.entry_id, "recipe"), context=source
    )


async def submit(hass: HomeAssistant, form: Any, **fields: Any) -> Any:
    """Submit the form of a recipe."""
    result = await hass.config_entries.subentries.async_configure(form["flow_id"], fields)
    await hass.async_block_till_done()
    return result


@pytest.fixture
def add_recipe(hass: HomeAssistant, entry: MockConfigEntry) -> AddRecipe:
    """Return a function that adds a recipe with its flow and returns its ID."""

    async def add(name: str = "Morning wallpaper", **fields: Any) -> str:
        before = set(entry.subentries)
        result = await submit(
            hass, await start(hass, entry), name=name, **{"preset": PRESET, **fields}
        )
        assert result["type"] == "create_entry", result
        recipe_id: str
        [recipe_id] = set(entry.subentries) - before
        return recipe_id

    return add


class Writer(AITaskEntity):
    """An AI task that returns a scripted text."""

    _attr_name = "Writer"
    _attr_unique_id = "writer"
    _attr_supported_features = AITaskEntityFeature.GENERATE_DATA

    def __init__(self) -> None:
        """Write a prompt at first."""
        self.entity_id = "ai_task.writer"
        self.says: Callable[[], Awaitable[Any]] = self._write
        self.tasks: list[GenDataTask] = []

    async def _write(self) -> Any:
        return {"prompt": "a fox in the snow", "title": "Winter fox"}

    @override
    async def _async_generate_data(self, task: GenDataTask, chat_log: ChatLog) -> GenDataTaskResult:
        self.tasks.append(task)
        return GenDataTaskResult(conversation_id=chat_log.conversation_id, data=await self.says())


@pytest.fixture
async def writer(hass: HomeAssistant, entry: MockConfigEntry) -> Writer:
    """Return an AI task entity that writes prompts."""
    entity = Writer()
    await hass.data[DATA_COMPONENT].async_add_entities([entity])
    return entity
