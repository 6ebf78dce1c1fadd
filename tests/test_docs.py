"""Tests of what the documentation lets people paste."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
import re
from typing import Any

from homeassistant.components.automation import DOMAIN as AUTOMATION
from homeassistant.components.persistent_notification import DOMAIN as NOTIFICATION
from homeassistant.const import STATE_ON
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.service import async_get_all_descriptions
from homeassistant.setup import async_setup_component
from homeassistant.util.yaml import parse_yaml
import pytest
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_capture_events,
    async_mock_service,
)

from custom_components.gaze.const import DOMAIN, EVENT_GAZE
from demo.gaze_server import GazeServer

from .images import make_image, wait_for

DOCS = Path(__file__).parent.parent / "docs"
ENTITY_ID = re.compile(
    r"\b(?:binary_sensor|button|event|image|number|select|sensor|text)\.gaze_\w+"
)


def _recipes(page: str) -> list[Any]:
    """Return what the YAML blocks of a page say."""
    blocks = re.findall(r"^```yaml\n(.*?)^```", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE)
    return [parse_yaml(block) for block in blocks]


def _named(value: Any) -> Iterator[str]:
    """Return our entities that are named anywhere in it."""
    if isinstance(value, dict):
        for part in value.values():
            yield from _named(part)
    elif isinstance(value, list):
        for part in value:
            yield from _named(part)
    elif isinstance(value, str):
        yield from ENTITY_ID.findall(value)


def _automation(alias: str) -> Any:
    [recipe] = [recipe for recipe in _recipes("automations.md") if recipe["alias"] == alias]
    return recipe


async def _set_up(hass: HomeAssistant, *automations: Any) -> None:
    """Set the automations up; all of them must be valid and on."""
    assert await async_setup_component(hass, AUTOMATION, {AUTOMATION: list(automations)})
    await hass.async_block_till_done()
    states = hass.states.async_all(AUTOMATION)
    assert {state.name: state.state for state in states} == {
        automation["alias"]: STATE_ON for automation in automations
    }


@pytest.mark.usefixtures("entry")
@pytest.mark.parametrize("page", ["dashboard.md", "automations.md"])
async def test_all_entities_named_in_the_recipes_exist(hass: HomeAssistant, page: str) -> None:
    named = set(_named(_recipes(page)))

    assert named
    assert {entity_id for entity_id in named if hass.states.get(entity_id) is None} == set()


def test_the_dashboard_is_one_of_sections() -> None:
    [dashboard] = _recipes("dashboard.md")

    [view] = dashboard["views"]
    assert view["type"] == "sections"
    assert all(section["type"] == "grid" and section["cards"] for section in view["sections"])


@pytest.mark.usefixtures("entry")
@pytest.mark.parametrize("expected_lingering_timers", [True])  # of the sun
async def test_the_automations_are_valid(hass: HomeAssistant) -> None:
    assert await async_setup_component(hass, "sun", {})

    await _set_up(hass, *_recipes("automations.md"))


@pytest.mark.usefixtures("entry")
async def test_the_actions_have_the_fields_that_are_given(
    hass: HomeAssistant, server: GazeServer
) -> None:
    descriptions = (await async_get_all_descriptions(hass))[DOMAIN]
    for automation in _recipes("automations.md"):
        for step in automation["actions"]:
            domain, _, action = step.get("action", "").partition(".")
            if domain != DOMAIN:
                continue
            fields: dict[str, Any] = {}
            for name, field in descriptions[action]["fields"].items():
                fields |= field.get("fields", {name: field})
            assert step["data"].keys() <= fields.keys()
            assert step["data"]["preset"] in server.presets


@pytest.mark.usefixtures("entry")
@pytest.mark.parametrize("expected_lingering_timers", [True])  # of tomorrow's trigger
async def test_the_picture_of_the_day_is_told_when_it_is_there(
    hass: HomeAssistant, server: GazeServer
) -> None:
    assert await async_setup_component(hass, NOTIFICATION, {})
    notes = async_mock_service(hass, NOTIFICATION, "create")
    events = async_capture_events(hass, EVENT_GAZE)
    queued = asyncio.Event()
    hass.bus.async_listen_once(EVENT_GAZE, callback(lambda _: queued.set()))
    await _set_up(hass, _automation("Picture of the day"))

    run = hass.async_create_task(
        hass.services.async_call(
            AUTOMATION,
            "trigger",
            {"entity_id": "automation.picture_of_the_day", "skip_condition": False},
            blocking=True,
        )
    )
    await queued.wait()
    await server.finish()
    await run
    await hass.async_block_till_done()

    assert [event.data["type"] for event in events] == ["queued", "finished"]
    assert [note.data["message"] for note in notes] == [
        f"It is there: seed {events[-1].data['seed']}."
    ]


@pytest.mark.usefixtures("entry")
async def test_the_phone_gets_the_image_with_the_tag(
    hass: HomeAssistant, server: GazeServer
) -> None:
    messages = async_mock_service(hass, "notify", "mobile_app_phone")
    await _set_up(hass, _automation("Finished images on the phone"))
    await make_image(hass, server, "neon_city")

    await hass.services.async_call(
        DOMAIN, "generate", {"preset": "oilpainting", "tag": "doorbell"}, blocking=True
    )
    job_id = await server.finish()
    await wait_for(hass, job_id)

    [message] = messages
    assert message.data["title"] == "Oil painting"
    assert message.data["data"]["image"].endswith(f"/{job_id}")


async def test_a_failure_is_notified(
    hass: HomeAssistant, entry: MockConfigEntry, server: GazeServer
) -> None:
    notes = async_mock_service(hass, NOTIFICATION, "create")
    await _set_up(hass, _automation("GAZE failed"))
    await make_image(hass, server, "neon_city")
    jobs = await entry.runtime_data.async_generate("neon_city", {})

    server.fail()
    await wait_for(hass, jobs[0].job_id)

    assert [note.data["message"].strip() for note in notes] == ["neon_city: server"]
