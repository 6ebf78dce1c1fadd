"""Tests of the buttons of presets and of the controls."""

import json
from typing import Any

from homeassistant.core import HomeAssistant
from homeassistant.exceptions import ServiceValidationError
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from testing.gaze_server import GazeServer

from .common import choose, fill, press

GENERATE = "button.gaze_generate"


def _requests(server: GazeServer) -> list[tuple[str, dict[str, Any]]]:
    return [(job.preset.slug, dict(job.body)) for job in server.jobs]


@pytest.mark.usefixtures("entry")
async def test_preset_button_generates_preset_with_defaults(
    hass: HomeAssistant, server: GazeServer
) -> None:
    await choose(hass, "Oil painting")
    await fill(hass, extra_positive="not for this one", count=3)

    await press(hass, "button.gaze_neon_city_generate")

    assert _requests(server) == [("neon_city", {"count": 1})]


@pytest.mark.usefixtures("entry")
async def test_empty_controls_generate_preset_with_defaults(
    hass: HomeAssistant, server: GazeServer
) -> None:
    await choose(hass, "Oil painting")

    await press(hass, GENERATE)

    assert _requests(server) == [("oilpainting", {"count": 1})]


@pytest.mark.usefixtures("entry")
async def test_texts_are_sent_as_typed(hass: HomeAssistant, server: GazeServer) -> None:
    await choose(hass, "Neon city")
    prompt = ' (masterpiece:1.2), "q", {{ 1 + 1 }}, <lora:x:1>, 日本, \N{ARTIST PALETTE}  '
    await fill(
        hass,
        extra_positive=prompt,
        extra_negative="blurry,  ",
        seed="18446744073709551615",
        checkpoint="Illustrious/model v1.safetensors",
        count=2,
        width=768,
        height=1152,
    )

    await press(hass, GENERATE)

    body = {
        "count": 2,
        "extra_positive": prompt,
        "extra_negative": "blurry,  ",
        "seed": 2**64 - 1,
        "checkpoint": "Illustrious/model v1.safetensors",
        "width": 768,
        "height": 1152,
    }
    assert _requests(server) == [("neon_city", body)] * 2
    assert json.loads(json.dumps(server.jobs[0].body)) == body


@pytest.mark.usefixtures("entry")
async def test_button_fails_when_no_preset_is_selected(
    hass: HomeAssistant, server: GazeServer
) -> None:
    server.presets.clear()
    for _ in range(2):
        await press(hass, "button.gaze_refresh_presets")

    with pytest.raises(ServiceValidationError) as caught:
        await press(hass, GENERATE)

    assert caught.value.translation_key == "no_preset_chosen"

    assert server.jobs == []


@pytest.mark.usefixtures("entry")
async def test_controls_report_selected_preset_that_was_deleted(
    hass: HomeAssistant, server: GazeServer
) -> None:
    await choose(hass, "Neon city")
    server.remove_preset("neon_city")
    await press(hass, "button.gaze_refresh_presets")

    with pytest.raises(ServiceValidationError) as caught:
        await press(hass, GENERATE)

    assert caught.value.translation_key == "no_preset_chosen"

    assert server.requests["generate"] == 0


@pytest.mark.usefixtures("entry")
@pytest.mark.parametrize("side", ["width", "height"])
async def test_controls_reject_width_or_height_alone(
    hass: HomeAssistant, server: GazeServer, side: str
) -> None:
    await choose(hass, "Neon city")
    await fill(hass, **{side: 768})

    with pytest.raises(ServiceValidationError) as caught:
        await press(hass, GENERATE)

    assert caught.value.translation_key == "size_incomplete"

    assert server.requests["generate"] == 0


@pytest.mark.usefixtures("entry")
@pytest.mark.parametrize(
    ("field", "value", "key"),
    [
        ("seed", "abc", "invalid_seed"),
        ("width", 700.5, "invalid_width"),
        ("width", 8, "invalid_width"),
    ],
)
async def test_controls_report_invalid_field(
    hass: HomeAssistant, server: GazeServer, field: str, value: str | float, key: str
) -> None:
    await choose(hass, "Neon city")
    await fill(hass, height=768, **{field: value})

    with pytest.raises(ServiceValidationError) as caught:
        await press(hass, GENERATE)

    assert caught.value.translation_key == key

    assert server.requests["generate"] == 0


async def test_pressed_button_writes_state_once(
    hass: HomeAssistant, entry: MockConfigEntry, server: GazeServer
) -> None:
    await press(hass, "button.gaze_neon_city_generate")
    await hass.async_block_till_done()
    pressed = hass.states.get("button.gaze_neon_city_generate")
    server.put_preset("snow", "Snow")

    await entry.runtime_data.async_refresh()
    await hass.async_block_till_done()

    state = hass.states.get("button.gaze_neon_city_generate")
    assert pressed is not None
    assert state is not None
    assert state.last_reported == pressed.last_reported
