"""Buttons of a server, its presets, recipes, and displays."""

from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import override

from homeassistant.components.button import ButtonEntity, ButtonEntityDescription
from homeassistant.const import EntityCategory
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .const import DOMAIN, SUBENTRY_DISPLAY, SUBENTRY_RECIPE
from .coordinator import GazeConfigEntry, GazeCoordinator
from .displays import Displays, Player
from .entity import GazeDisplayEntity, GazeEntity, GazeRecipeEntity, async_add_preset_entities
from .generation import async_generate, async_generate_again
from .recipe_runs import async_generate_recipe, require_recipe
from .subentries import async_add_subentry_entities

# A recipe's prompt writer may take a minute, and no other button has to wait for it.
PARALLEL_UPDATES = 0


@dataclass(frozen=True, kw_only=True)
class GazeButtonDescription(ButtonEntityDescription):
    """Description of a button with the function that it calls."""

    press: Callable[[GazeCoordinator], Awaitable[None]]


async def _generate_from_controls(coordinator: GazeCoordinator) -> None:
    """Send the request of the controls. Raises ServiceValidationError if no preset is selected."""
    slug = coordinator.controls.preset
    if slug is None or slug not in coordinator.data:
        raise ServiceValidationError(translation_domain=DOMAIN, translation_key="no_preset_chosen")
    await async_generate(coordinator, slug, coordinator.controls.as_request())


BUTTONS = (
    GazeButtonDescription(
        key="generate", translation_key="generate", press=_generate_from_controls
    ),
    GazeButtonDescription(
        key="generate_again",
        translation_key="generate_again",
        press=async_generate_again,
    ),
    GazeButtonDescription(
        key="refresh_presets",
        translation_key="refresh_presets",
        entity_category=EntityCategory.CONFIG,
        press=GazeCoordinator.async_refresh_presets,
    ),
)


@dataclass(frozen=True, kw_only=True)
class GazeDisplayButtonDescription(ButtonEntityDescription):
    """Description of a button of a display with the function that it calls."""

    press: Callable[[Displays, Player], Awaitable[None]]


async def _renew_address(displays: Displays, player: Player) -> None:
    """Give a display a new address."""
    displays.async_renew_token(player)


DISPLAY_BUTTONS = (
    GazeDisplayButtonDescription(
        key="next",
        translation_key="next",
        press=lambda _displays, player: player.async_next(),
    ),
    GazeDisplayButtonDescription(
        key="previous",
        translation_key="previous",
        press=lambda _displays, player: player.async_previous(),
    ),
    GazeDisplayButtonDescription(
        key="new_address",
        translation_key="new_address",
        entity_category=EntityCategory.CONFIG,
        press=_renew_address,
    ),
)
RECIPE_GENERATE = ButtonEntityDescription(key="generate", translation_key="generate")
PRESET_GENERATE = ButtonEntityDescription(key="generate", translation_key="generate")


async def async_setup_entry(
    _hass: HomeAssistant,
    entry: GazeConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the buttons of a server."""
    coordinator = entry.runtime_data
    async_add_entities(GazeButton(coordinator, description) for description in BUTTONS)
    await async_add_preset_entities(
        entry,
        async_add_entities,
        lambda slug: GazePresetButton(coordinator, PRESET_GENERATE, slug),
    )
    async_add_subentry_entities(
        entry,
        async_add_entities,
        SUBENTRY_RECIPE,
        lambda subentry: [GazeRecipeButton(coordinator, RECIPE_GENERATE, subentry.subentry_id)],
    )
    async_add_subentry_entities(
        entry,
        async_add_entities,
        SUBENTRY_DISPLAY,
        lambda subentry: [
            GazeDisplayButton(coordinator, description, subentry.subentry_id)
            for description in DISPLAY_BUTTONS
        ],
    )


class GazeBaseButton(GazeEntity, ButtonEntity):
    """A button, which cannot be pressed while GAZE is off."""

    @override
    def _appearance(self) -> Hashable:
        """Ignore the time of the last press, which ButtonEntity writes itself."""
        return self.available


class GazeButton(GazeBaseButton):
    """Calls the function of its description for the server."""

    entity_description: GazeButtonDescription

    @override
    async def async_press(self) -> None:
        """Call the function of the description."""
        await self.entity_description.press(self.coordinator)


class GazePresetButton(GazeBaseButton):
    """Generates an image from a preset with its defaults."""

    def __init__(
        self, coordinator: GazeCoordinator, description: ButtonEntityDescription, slug: str
    ) -> None:
        """Store the slug of the preset."""
        super().__init__(coordinator, description, slug)
        self._preset = slug

    @override
    async def async_press(self) -> None:
        """Generate an image."""
        await async_generate(self.coordinator, self._preset, {})


class GazeRecipeButton(GazeRecipeEntity, GazeBaseButton):
    """Runs a recipe."""

    @override
    async def async_press(self) -> None:
        """Run the recipe."""
        recipe = require_recipe(self.coordinator, self.subentry_id)
        await async_generate_recipe(self.coordinator, recipe, {})


class GazeDisplayButton(GazeDisplayEntity, ButtonEntity):
    """Changes what a display shows, or its address."""

    entity_description: GazeDisplayButtonDescription

    @override
    def _appearance(self) -> Hashable:
        """Ignore the time of the last press, which ButtonEntity writes itself."""
        return self.available

    @override
    async def async_press(self) -> None:
        """Call the function of the description."""
        await self.entity_description.press(self.coordinator.displays, self.player)
