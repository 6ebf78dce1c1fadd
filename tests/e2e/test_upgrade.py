"""Upgrades from each older version, with what its users have: stores, entities, automations.

`stores/` holds what a version left behind: its stores as text, its images, and its part of Home
Assistant's registries, in which a user renamed and disabled entities and renamed a device.
"""

import json
from pathlib import Path
import shutil
import sqlite3
import time
from typing import Final

import pytest

from testing.home_assistant import HomeAssistant, Json, wait_until

from .conftest import House

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),  # on a machine that may be busy
    pytest.mark.usefixtures("socket_enabled"),
]

VERSIONS: Final = sorted((Path(__file__).parent / "stores").iterdir())
REGISTRIES: Final = {
    "entities.json": "core.entity_registry",
    "devices.json": "core.device_registry",
}
PRESET: Final = "neon_city"
PATIENCE: Final = 60  # seconds, on a machine that may be busy
# An automation as the documentation of 0.1.0 showed it
AUTOMATION: Final = {
    "id": "again",
    "alias": "Again",
    "triggers": [
        {
            "trigger": "event",
            "event_type": "gaze_event",
            "event_data": {"type": "finished", "tag": "wallpaper"},
        }
    ],
    "actions": [
        {
            "action": "gaze.generate",
            "data": {
                "preset": "{{ trigger.event.data.preset }}",
                "extra_positive": "{{ trigger.event.data.extra_positive }}",
                "tag": "again",
            },
        }
    ],
}


def _put_stores(older: Path, folder: Path, words: dict[str, str]) -> None:
    """Write what an older version left behind, with the values of this test."""

    def text(name: str) -> str:
        found = (older / name).read_text()
        for word, value in words.items():
            found = found.replace(word, value)
        return found

    storage = folder / ".storage"
    entry = json.loads(text("entry.json"))
    entries = json.loads((storage / "core.config_entries").read_text())
    entries["data"]["entries"].append(entry)
    (storage / "core.config_entries").write_text(json.dumps(entries))
    (storage / f"gaze.{entry['entry_id']}.presets").write_text(text("presets.json"))
    for name, registry in REGISTRIES.items():
        (storage / registry).write_text(text(name))
    for name in ("jobs", "gallery"):
        store = sqlite3.connect(storage / f"gaze.{entry['entry_id']}.{name}.db")
        store.executescript(text(f"{name}.sql"))
        store.close()
    shutil.copytree(older / "media", folder / "media", dirs_exist_ok=True)
    (folder / "automations.yaml").write_text(json.dumps([AUTOMATION]))


@pytest.mark.parametrize("older", VERSIONS, ids=lambda path: path.name)
async def test_upgrade_keeps_jobs_images_entities_and_automations(
    empty_house: House, older: Path
) -> None:
    home_assistant, server = empty_house.home_assistant, empty_house.server
    await home_assistant.stop()
    open_job = server.add(server.presets[PRESET], {}).job_id
    words = {
        "URL-OF-GAZE": server.url,
        "KEY-OF-GAZE": server.api_key,
        "ID-OF-OPEN-JOB": open_job,
        "TIME-OF-OPEN-JOB": str(time.time()),
    }
    _put_stores(older, home_assistant.folder, words)

    await home_assistant.start()
    await home_assistant.onboard()

    async def is_loaded() -> bool:
        return [entry["state"] for entry in await home_assistant.entries("gaze")] == ["loaded"]

    await wait_until(is_loaded, what="Loading the entry", seconds=PATIENCE)
    images = [path.read_bytes() for path in sorted(older.glob("media/gaze/*/*/*"))]
    listed = await _finish_job_and_list_images(house=empty_house, job_id=open_job)
    contents = [(await home_assistant.fetch(image["image_url"]))[0] for image in listed]
    assert contents == [server.picture(open_job), *reversed(images)]
    await _check_entities(home_assistant, older)
    await _check_automation(home_assistant, listed[-1])


async def _finish_job_and_list_images(house: House, job_id: str) -> list[Json]:
    """Wait for the job that was open, and return the images, newest first."""
    answer = await house.home_assistant.call_action(
        "gaze", "wait", {"job_id": [job_id], "timeout": PATIENCE}, return_response=True
    )
    assert answer["jobs"][0]["status"] == "done"
    listed = await house.home_assistant.call_action("gaze", "list_images", return_response=True)
    return list(listed["images"])


async def _check_entities(home_assistant: HomeAssistant, older: Path) -> None:
    """Check that every entity and device is the same, with the names and choices of the user."""
    before = json.loads((older / "entities.json").read_text())["data"]["entities"]
    devices = json.loads((older / "devices.json").read_text())["data"]["devices"]
    entities = await home_assistant.websocket({"type": "config/entity_registry/list"})
    found = {entity["unique_id"]: entity for entity in entities if entity["platform"] == "gaze"}
    now = await home_assistant.websocket({"type": "config/device_registry/list"})
    ids = {device["id"]: device for device in now}

    assert {entity["unique_id"] for entity in before} <= found.keys()
    for entity in before:
        same = {name: entity[name] for name in ("entity_id", "name", "disabled_by", "device_id")}
        assert {name: found[entity["unique_id"]][name] for name in same} == same
    assert not [entity for entity in found.values() if entity["entity_id"].endswith("_2")]
    for device in devices:
        assert ids[device["id"]]["name_by_user"] == device["name_by_user"]
    shown = await home_assistant.state("image.hallway")
    assert shown is not None
    assert shown["attributes"]["friendly_name"].endswith("Hallway")


async def _check_automation(home_assistant: HomeAssistant, image: Json) -> None:
    """Check that an old image is repeated with its values, and an old automation sees it."""
    [repeated] = (
        await home_assistant.call_action(
            "gaze",
            "regenerate",
            {"job_id": image["job_id"], "wait": True},
            return_response=True,
        )
    )["jobs"]
    assert (repeated["extra_positive"], repeated["tag"]) == ("rain on glass", "wallpaper")

    async def ran() -> bool:
        answer = await home_assistant.call_action(
            "gaze", "list_images", {"tag": "again"}, return_response=True
        )
        return [found["extra_positive"] for found in answer["images"]] == ["rain on glass"]

    await wait_until(ran, what="The automation", seconds=PATIENCE)
