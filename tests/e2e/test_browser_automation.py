"""Automations with triggers of GAZE are made by clicking, and run."""

import pytest

from testing.home_assistant import HomeAssistant, Json, wait_until

from .browser import ENGLISH, FINISHED, Visitor, add_trigger, option, save_automation
from .conftest import House, Visit, newest_version

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(600),  # on a machine that may be busy
    pytest.mark.usefixtures("socket_enabled"),
    newest_version,
]

IDLE = ENGLISH.at("conditions", "is_idle", "name")
DELIVERY = 60  # seconds

# What the page does not handle: the editor validates a trigger before it has its target.
_WITHOUT_TARGET = {"code": "invalid_format", "message": "required key not provided at 'target'"}
_NOTE_REJECTIONS = """
window.rejections = [];
addEventListener("unhandledrejection", (event) => window.rejections.push(event.reason));
"""


async def _put_preset_into_area(home_assistant: HomeAssistant, preset: str, name: str) -> None:
    """Assign the device of a preset to a new area."""
    area = await home_assistant.websocket({"type": "config/area_registry/create", "name": name})
    devices = await home_assistant.websocket({"type": "config/device_registry/list"})
    [device] = [device for device in devices if device["name"] == preset]
    await home_assistant.websocket(
        {
            "type": "config/device_registry/update",
            "device_id": device["id"],
            "area_id": area["area_id"],
        }
    )


async def _add_condition(visitor: Visitor, target: str) -> None:
    """Add the condition that GAZE is idle to the open automation."""
    page = visitor.page
    await visitor.button("Add condition").click()
    await page.get_by_placeholder("Search").fill(IDLE)
    await page.get_by_text(IDLE, exact=True).last.click()
    await visitor.button("Add target").click()
    await page.get_by_placeholder("Search").fill(target)
    await option(page, target).click()


async def _traces(home_assistant: HomeAssistant, item_id: str) -> list[Json]:
    """Return the runs of an automation."""
    command = {"type": "trace/list", "domain": "automation", "item_id": item_id}
    return list(await home_assistant.websocket(command))


async def test_automations_made_by_clicking_fire_for_preset_area_and_tag(
    house: House, visit: Visit
) -> None:
    home_assistant = house.home_assistant
    await _put_preset_into_area(home_assistant, "GAZE Neon city", "Studio")
    visitor = await visit()
    visitor.expected.append("^Page: Object$")  # the rejections say which
    await visitor.page.add_init_script(_NOTE_REJECTIONS)
    rejections: list[Json] = []

    automations: dict[str, str] = {}
    for name, target, tag in (
        ("By preset", "Oil painting", None),
        ("By area", "Studio", None),
        ("By tag", "Generation", "wall"),
    ):
        await visitor.open("/config/automation/edit/new")
        await add_trigger(visitor, target, tag)
        if tag is not None:
            await _add_condition(visitor, target)
        await visitor.look(name)
        rejections += await visitor.page.evaluate("rejections")
        automations[name] = await save_automation(visitor, name)

    assert [rejection for rejection in rejections if rejection != _WITHOUT_TARGET] == []
    for preset, tag in (("paper_forest", None), ("neon_city", None), ("oilpainting", "wall")):
        data = {"preset": preset, "wait": True} | ({"tag": tag} if tag else {})
        await home_assistant.call_action("gaze", "generate", data, return_response=True)

    async def ran() -> bool:
        return all([await _traces(home_assistant, item_id) for item_id in automations.values()])

    await wait_until(ran, what="The automations", seconds=DELIVERY)
    runs = {
        name: [trace["trigger"] for trace in await _traces(home_assistant, item_id)]
        for name, item_id in automations.items()
    }
    assert {name: len(triggers) for name, triggers in runs.items()} == dict.fromkeys(runs, 1)
    assert "Oil painting" in runs["By preset"][0]
    assert "Neon city" in runs["By area"][0]
    assert "Oil painting" in runs["By tag"][0]
    await visitor.open(f"/config/automation/trace/{automations['By tag']}")
    await visitor.expect_texts([FINISHED, "Executed:"])
    await visitor.look("trace")
