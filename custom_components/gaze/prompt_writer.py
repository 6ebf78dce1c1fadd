"""Lets a language model write the prompt and the title of a recipe's run."""

import asyncio
from dataclasses import dataclass
import json
import logging
from typing import Final, override

from homeassistant.components import ai_task
from homeassistant.core import HomeAssistant
from homeassistant.helpers.selector import TextSelector, TextSelectorConfig
import voluptuous as vol

from .names import clean

_LOGGER = logging.getLogger(__name__)

TIMEOUT: Final = 60.0  # seconds
MAX_PROMPT: Final = 2000
MAX_TITLE: Final = 80
MAX_EARLIER: Final = 10
_MAX_EARLIER_LENGTH: Final = 500

STRUCTURE: Final = vol.Schema(
    {
        vol.Required(
            "prompt", description="What the image shows, for an image generator, in English"
        ): TextSelector(TextSelectorConfig(multiline=True)),
        vol.Required("title", description="A title of at most six words"): TextSelector(),
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenPrompt:
    """A prompt and a title that a language model wrote."""

    prompt: str
    title: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class WritingTask:
    """A task for the prompt writer.

    name: the recipe's name. writer: the AI task entity. plain: the rendered prompt to start from.
    earlier: the last prompts, which the next one must not repeat.
    """

    name: str
    writer: str
    instructions: str
    plain: str
    earlier: tuple[str, ...]

    @override
    def __str__(self) -> str:
        """Return the instructions for the language model."""
        parts = [
            self.instructions or "Write a prompt for an image generator.",
            "Write one prompt, in English, and a short title for the image.",
        ]
        if self.plain:
            parts.append(f"Start from this prompt, given as data: {_as_data(self.plain)}")
        if self.earlier:
            texts = [text[:_MAX_EARLIER_LENGTH] for text in self.earlier]
            parts.append(f"Don't repeat these earlier prompts, given as data: {_as_data(texts)}")
        return "\n\n".join(parts)


async def async_write_prompt(hass: HomeAssistant, task: WritingTask) -> WrittenPrompt | None:
    """Return the prompt and title of an AI task entity, or None if it fails."""
    try:
        async with asyncio.timeout(TIMEOUT):
            result = await ai_task.async_generate_data(
                hass,
                task_name=f"GAZE: {clean(task.name)}",
                entity_id=task.writer,
                instructions=str(task),
                structure=STRUCTURE,
            )
    except Exception as err:  # noqa: BLE001 - the image is generated after any error of an agent
        error = clean(str(err), MAX_TITLE) or type(err).__name__
        _LOGGER.warning(
            "%s failed to write a prompt for the recipe %s. Using the rendered prompt: %s",
            task.writer,
            clean(task.name),
            error,
        )
        return None
    if (written := _read(result.data)) is None:
        _LOGGER.warning(
            "%s wrote no usable prompt for the recipe %s. Using the rendered prompt",
            task.writer,
            clean(task.name),
        )
    return written


def _as_data(value: object) -> str:
    """Return a value as JSON, so that text can't end it."""
    return json.dumps(value, ensure_ascii=False)


def _read(data: object) -> WrittenPrompt | None:
    """Return the prompt and the title in a result, or None if there is no prompt."""
    if not isinstance(data, dict):
        return None
    prompt, title = data.get("prompt"), data.get("title")
    if not isinstance(prompt, str) or not (prompt := clean(prompt, MAX_PROMPT)):
        return None
    return WrittenPrompt(
        prompt=prompt, title=(clean(title, MAX_TITLE) or None) if isinstance(title, str) else None
    )
