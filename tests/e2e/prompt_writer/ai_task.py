"""The AI task of the prompt writer."""

from typing import Final, override

from homeassistant.components.ai_task import (
    AITaskEntity,
    AITaskEntityFeature,
    GenDataTask,
    GenDataTaskResult,
)
from homeassistant.components.conversation import ChatLog
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

REFUSE: Final = "refuse"  # in the instructions: fail
BABBLE: Final = "babble"  # in the instructions: return something else than what was asked for


async def async_setup_entry(
    _hass: HomeAssistant,
    entry: ConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the AI task."""
    async_add_entities([PromptWriter(entry)])


class PromptWriter(AITaskEntity):
    """Writes a numbered prompt and title."""

    _attr_has_entity_name = True
    _attr_name = "Prompt writer"
    _attr_supported_features = AITaskEntityFeature.GENERATE_DATA

    def __init__(self, entry: ConfigEntry) -> None:
        """Start to count."""
        self._attr_unique_id = entry.entry_id
        self._count = 0

    @override
    async def _async_generate_data(self, task: GenDataTask, chat_log: ChatLog) -> GenDataTaskResult:
        """Return a prompt and a title."""
        if REFUSE in task.instructions:
            raise HomeAssistantError("The quota is used up")
        self._count += 1
        data: object = {
            "prompt": f"a fox in the snow, number {self._count}",
            "title": f"Winter fox {self._count}",
        }
        if BABBLE in task.instructions:
            data = ["Sure! Here is your prompt."]
        return GenDataTaskResult(conversation_id=chat_log.conversation_id, data=data)
