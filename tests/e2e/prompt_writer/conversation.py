"""The agent of the prompt writer."""

import json
from typing import Final, Literal, override

from homeassistant.components.conversation import (
    AssistantContent,
    ChatLog,
    ConversationEntity,
    ConversationInput,
    ConversationResult,
)
from homeassistant.config_entries import ConfigEntry
from homeassistant.const import MATCH_ALL
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.helpers.intent import IntentResponse
from homeassistant.helpers.llm import LLM_API_ASSIST, ToolInput

from . import DOMAIN

_PREFIX: Final = "gaze__"


async def async_setup_entry(
    _hass: HomeAssistant,
    entry: ConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the agent."""
    async_add_entities([Agent(entry)])


class Agent(ConversationEntity):
    """Calls the tool that a sentence names, such as `list_images {"limit": 1}`."""

    _attr_has_entity_name = True
    _attr_name = "Agent"

    def __init__(self, entry: ConfigEntry) -> None:
        """Create the agent."""
        self._attr_unique_id = f"{entry.entry_id}-agent"

    @property
    @override
    def supported_languages(self) -> list[str] | Literal["*"]:
        """Return the languages."""
        return MATCH_ALL

    @override
    async def _async_handle_message(
        self, user_input: ConversationInput, chat_log: ChatLog
    ) -> ConversationResult:
        """Call the tool, and say its result as JSON."""
        await chat_log.async_provide_llm_data(user_input.as_llm_context(DOMAIN), LLM_API_ASSIST)
        tool, _, arguments = user_input.text.partition(" ")
        call = ToolInput(tool_name=_PREFIX + tool, tool_args=json.loads(arguments or "{}"))
        content = AssistantContent(agent_id=self.entity_id, content=None, tool_calls=[call])
        results = [result async for result in chat_log.async_add_assistant_content(content)]
        response = IntentResponse(language=user_input.language)
        response.async_set_speech(json.dumps([result.result.data for result in results]))
        return ConversationResult(response=response, conversation_id=chat_log.conversation_id)
