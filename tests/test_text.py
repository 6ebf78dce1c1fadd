"""Tests of the texts of the controls."""

from homeassistant.core import HomeAssistant, State
import pytest
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    mock_restore_cache_with_extra_data,
)

from testing.gaze_server import GazeServer

from .common import fill
from .conftest import SetUp

TEXTS = ["extra_positive", "extra_negative", "seed", "checkpoint"]


@pytest.mark.parametrize("key", TEXTS)
async def test_text_is_stored_in_controls_as_typed(
    hass: HomeAssistant, entry: MockConfigEntry, key: str
) -> None:
    await fill(hass, **{key: "  two  words "})

    state = hass.states.get(f"text.gaze_{key}")
    assert state is not None
    assert state.state == "  two  words "
    assert getattr(entry.runtime_data.controls, key) == "  two  words "


@pytest.mark.parametrize("key", TEXTS)
async def test_text_is_restored_after_restart(
    hass: HomeAssistant, config_entry: MockConfigEntry, setup_integration: SetUp, key: str
) -> None:
    entity_id = f"text.gaze_{key}"
    data = {"native_value": "unknown", "native_min": 0, "native_max": 255}
    mock_restore_cache_with_extra_data(hass, [(State(entity_id, "unknown"), data)])

    await setup_integration(config_entry)

    assert getattr(config_entry.runtime_data.controls, key) == "unknown"


async def test_text_stays_empty_after_restart(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    await fill(hass, seed="1")
    await fill(hass, seed="")

    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()

    assert entry.runtime_data.controls.seed == ""


@pytest.mark.usefixtures("entry")
async def test_text_that_is_too_long_for_state_is_rejected(hass: HomeAssistant) -> None:
    await fill(hass, extra_positive="x" * 255)

    with pytest.raises(ValueError, match="too long"):
        await fill(hass, extra_positive="x" * 256)

    state = hass.states.get("text.gaze_extra_positive")
    assert state is not None
    assert state.state == "x" * 255


async def test_text_can_be_set_while_server_is_off(
    hass: HomeAssistant, entry: MockConfigEntry, server: GazeServer
) -> None:
    server.set_online(False)
    await entry.runtime_data.async_refresh()

    await fill(hass, extra_positive="later")

    state = hass.states.get("text.gaze_extra_positive")
    assert state is not None
    assert state.state == "later"
