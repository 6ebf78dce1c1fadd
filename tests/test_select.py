"""Tests of the preset select of the controls, which stores the selection by slug."""

from homeassistant.const import STATE_UNKNOWN
from homeassistant.core import HomeAssistant, State
from homeassistant.exceptions import ServiceValidationError
import pytest
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_mock_restore_state_shutdown_restart,
    mock_restore_cache_with_extra_data,
)

from testing.gaze_server import GazeServer

from .common import choose, press
from .conftest import SetUp

SELECT = "select.gaze_preset"
REFRESH = "button.gaze_refresh_presets"


def _chosen(hass: HomeAssistant) -> str:
    state = hass.states.get(SELECT)
    assert state is not None
    return state.state


def _options(hass: HomeAssistant) -> list[str]:
    state = hass.states.get(SELECT)
    assert state is not None
    options: list[str] = state.attributes["options"]
    return options


async def test_presets_are_offered_by_name_in_order_of_server(
    hass: HomeAssistant, entry: MockConfigEntry, server: GazeServer
) -> None:
    assert _options(hass) == [preset.name for preset in server.presets.values()]


async def test_first_preset_is_selected_until_user_selects(
    hass: HomeAssistant, entry: MockConfigEntry, server: GazeServer
) -> None:
    first = next(iter(server.presets.values()))
    at_first = _chosen(hass), entry.runtime_data.controls.preset
    server.remove_preset(first.slug)
    await press(hass, REFRESH)
    second = next(iter(server.presets.values()))

    assert at_first == (first.name, first.slug)
    assert _chosen(hass) == second.name
    assert entry.runtime_data.controls.preset == second.slug
    await press(hass, "button.gaze_generate")
    assert server.jobs[0].preset.slug == second.slug


async def test_selection_is_stored_by_slug(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    await choose(hass, "Oil painting")

    assert _chosen(hass) == "Oil painting"
    assert entry.runtime_data.controls.preset == "oilpainting"


@pytest.mark.usefixtures("entry")
async def test_unknown_option_cannot_be_selected(hass: HomeAssistant) -> None:
    with pytest.raises(ServiceValidationError):
        await choose(hass, "oilpainting")


@pytest.mark.usefixtures("entry")
async def test_selection_stays_when_preset_is_renamed(
    hass: HomeAssistant, server: GazeServer
) -> None:
    await choose(hass, "Neon city")
    server.put_preset("neon_city", "Night city")

    await press(hass, REFRESH)

    assert _chosen(hass) == "Night city"


@pytest.mark.usefixtures("entry")
async def test_selection_is_empty_until_deleted_preset_returns(
    hass: HomeAssistant, server: GazeServer
) -> None:
    await choose(hass, "Neon city")
    server.remove_preset("neon_city")
    await press(hass, REFRESH)
    without, offered = _chosen(hass), _options(hass)
    server.put_preset("neon_city", "Neon city")

    await press(hass, REFRESH)

    assert without == STATE_UNKNOWN
    assert "Neon city" not in offered
    assert _chosen(hass) == "Neon city"


async def test_presets_with_same_name_can_both_be_selected(
    hass: HomeAssistant, entry: MockConfigEntry, server: GazeServer
) -> None:
    server.put_preset("neon_city_2", "Neon city")
    await press(hass, REFRESH)

    await choose(hass, "Neon city (neon_city_2)")

    assert entry.runtime_data.controls.preset == "neon_city_2"


async def test_selection_is_restored_after_reload(
    hass: HomeAssistant, entry: MockConfigEntry
) -> None:
    await choose(hass, "Neon city")

    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()

    assert _chosen(hass) == "Neon city"
    assert entry.runtime_data.controls.preset == "neon_city"


async def test_selection_is_restored_after_restart_when_preset_was_renamed(
    hass: HomeAssistant,
    server: GazeServer,
    config_entry: MockConfigEntry,
    setup_integration: SetUp,
) -> None:
    server.put_preset("neon_city", "Night city")
    mock_restore_cache_with_extra_data(
        hass, [(State(SELECT, "Neon city"), {"preset": "neon_city"})]
    )

    await setup_integration(config_entry)

    assert _chosen(hass) == "Night city"


async def test_selection_is_stored_for_next_start(
    hass: HomeAssistant, entry: MockConfigEntry
) -> None:
    await choose(hass, "Neon city")

    data = await async_mock_restore_state_shutdown_restart(hass)

    stored = data.last_states[SELECT].extra_data
    assert stored is not None
    assert stored.as_dict() == {"preset": "neon_city"}
    assert entry.runtime_data.controls.preset == "neon_city"
