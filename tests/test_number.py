"""Tests of the numbers of the controls."""

from homeassistant.core import HomeAssistant, State
from homeassistant.exceptions import ServiceValidationError
import pytest
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    mock_restore_cache_with_extra_data,
)

from .common import fill
from .conftest import SetUp


@pytest.mark.parametrize(("key", "value"), [("count", 20), ("width", 768), ("height", 16384)])
async def test_number_is_stored_in_controls(
    hass: HomeAssistant, entry: MockConfigEntry, key: str, value: int
) -> None:
    await fill(hass, **{key: value})

    state = hass.states.get(f"number.gaze_{key}")
    assert state is not None
    assert state.state == str(value)
    assert getattr(entry.runtime_data.controls, key) == value


@pytest.mark.usefixtures("entry")
@pytest.mark.parametrize(("key", "value"), [("count", 0), ("count", 21), ("width", 16385)])
async def test_number_beyond_limits_is_rejected(hass: HomeAssistant, key: str, value: int) -> None:
    with pytest.raises(ServiceValidationError):
        await fill(hass, **{key: value})


@pytest.mark.parametrize(("stored", "restored"), [(768.0, 768), (None, 0)])
async def test_number_is_restored_after_restart(
    hass: HomeAssistant,
    config_entry: MockConfigEntry,
    setup_integration: SetUp,
    stored: float | None,
    restored: int,
) -> None:
    data = {
        "native_max_value": 16384,
        "native_min_value": 0,
        "native_step": 8,
        "native_unit_of_measurement": "px",
        "native_value": stored,
    }
    mock_restore_cache_with_extra_data(hass, [(State("number.gaze_width", str(stored)), data)])

    await setup_integration(config_entry)

    state = hass.states.get("number.gaze_width")
    assert state is not None
    assert state.state == str(restored)
    assert config_entry.runtime_data.controls.width == restored
