"""Tests of an entry in a real Home Assistant, from its first form to its removal."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus
import json
from pathlib import Path
import re

import pytest

from testing.home_assistant import AnswerError, HomeAssistant, Json, free_port, wait_until
from testing.steps import generate

from .conftest import House, newest_version

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("socket_enabled"), newest_version]

ENTRY = "/api/config/config_entries/entry"
IMAGE = "image.gaze_latest_image"
PRESET = "neon_city"
# What can be waited for in one process, in seconds
PATIENCE = 20
# A complaint of the integration that belongs to a server that refuses our key
KEY_REFUSED = r"GAZE rejected the API key|Invalid API key"


async def _until(holds: Callable[[], Awaitable[bool]], what: str) -> None:
    await wait_until(holds, what=what, seconds=PATIENCE)


async def _entry(home_assistant: HomeAssistant) -> Json:
    [entry] = await home_assistant.entries("gaze")
    return entry


def _pictures(home_assistant: HomeAssistant) -> list[Path]:
    """Return the files of saved images."""
    return sorted(home_assistant.media.glob("gaze/*/*/*.png"))


async def _has_state(home_assistant: HomeAssistant, state: str) -> None:
    """Wait until the one entry is in a state."""

    async def holds() -> bool:
        return bool((await _entry(home_assistant))["state"] == state)

    await _until(holds, f"The entry's way to {state}")


async def _log_everything(home_assistant: HomeAssistant) -> None:
    """Log all records of Home Assistant and its libraries."""
    await home_assistant.call_action("logger", "set_default_level", {"level": "debug"})


async def test_each_invalid_field_has_its_error(empty_house: House, self_signed_url: str) -> None:
    home_assistant, server = empty_house.home_assistant, empty_house.server
    await _log_everything(home_assistant)

    async def error(host: str, *, api_key: str = server.api_key) -> dict[str, str]:
        step = await home_assistant.flow("gaze", {"host": host, "api_key": api_key})
        assert step["type"] == "form"
        return dict(step["errors"])

    closed = f"127.0.0.1:{free_port()}"
    found = {
        "invalid_host": await error("http://user@gaze.local"),
        "cannot_connect": await error(closed),
        "ssl_error": await error(self_signed_url),
        "not_gaze": await error(home_assistant.url),
        "invalid_auth": await error(server.url, api_key="wrong"),
    }
    with server.faults.on("hang"):
        found["timeout_connect"] = await error(server.url)
    with server.faults.on("server_error"):
        failing = await error(server.url)
    with server.faults.on("garbage_json"):
        garbled = await error(server.url)

    assert found == {
        "invalid_host": {"host": "invalid_host"},
        "cannot_connect": {"base": "cannot_connect"},
        "ssl_error": {"base": "ssl_error"},
        "not_gaze": {"base": "not_gaze"},
        "invalid_auth": {"api_key": "invalid_auth"},
        "timeout_connect": {"base": "timeout_connect"},
    }
    assert failing == {"base": "cannot_connect"}
    assert garbled == {"base": "not_gaze"}

    step = await home_assistant.flow(
        "gaze",
        {
            "host": self_signed_url,
            "api_key": server.api_key,
            "advanced": {"verify_ssl": False},
        },
    )
    assert step["type"] == "create_entry"


async def _cannot_be_added_twice(house: House) -> None:
    data = {"host": house.server.url, "api_key": house.server.api_key}

    again = await house.home_assistant.flow("gaze", data)

    assert (again["type"], again["reason"]) == ("abort", "already_configured")


async def _takes_options(house: House) -> None:
    home_assistant = house.home_assistant
    entry_id = (await _entry(home_assistant))["entry_id"]
    answer = {
        "presets": [PRESET],
        "save_images": True,
        "strip_metadata": False,
        "keep_images": 2,
        "max_open_jobs": 100,
        "give_up_after": 12,
        "ai_task_timeout": 15,
    }

    async def one_preset_is_left() -> bool:
        return await home_assistant.state("image.gaze_oil_painting") is None

    form = await home_assistant.options(entry_id)
    done = await home_assistant.options(entry_id, answer)
    await _until(one_preset_is_left, "The reload after new options")
    for _ in range(3):
        await generate(home_assistant, PRESET)
    listed = await home_assistant.call_action("gaze", "list_images", return_response=True)

    assert {field["name"] for field in form["data_schema"]} == set(answer)
    assert done["type"] == "create_entry"
    assert await home_assistant.state("image.gaze_neon_city") is not None
    assert len(listed["images"]) == 2
    assert len(_pictures(home_assistant)) == 2


async def _asks_for_key(home_assistant: HomeAssistant) -> bool:
    flows = await home_assistant.websocket({"type": "config_entries/flow/progress"})
    return any(flow["context"]["source"] == "reauth" for flow in flows)


async def _asks_for_a_new_key(house: House) -> None:
    home_assistant, server = house.home_assistant, house.server
    [waiting] = (
        await home_assistant.call_action(
            "gaze", "generate", {"preset": PRESET}, return_response=True
        )
    )["jobs"]

    server.regenerate_key()
    house.expected.append(KEY_REFUSED)
    with pytest.raises(AnswerError, match="GAZE rejected the API key"):
        await home_assistant.call_action("gaze", "generate", {"preset": PRESET})
    entry_id = (await _entry(home_assistant))["entry_id"]
    await _until(partial(_asks_for_key, home_assistant), "The form for a new key")
    refused = await home_assistant.reauthenticate(entry_id, {"api_key": "wrong"})
    done = await home_assistant.reauthenticate(entry_id, {"api_key": server.api_key})
    await _has_state(home_assistant, "loaded")
    answer = await home_assistant.call_action(
        "gaze", "wait", {"job_id": waiting["job_id"]}, return_response=True
    )

    assert refused is not None
    assert refused["errors"] == {"api_key": "invalid_auth"}
    assert done is not None
    assert done["reason"] == "reauth_successful"
    assert [job["status"] for job in answer["jobs"]] == ["done"]


async def _moves_to_another_address(house: House) -> None:
    home_assistant, server = house.home_assistant, house.server
    entry_id = (await _entry(home_assistant))["entry_id"]
    key = {"api_key": server.api_key}
    wrong = {"host": f"127.0.0.1:{free_port()}", **key}
    right = {"host": server.url.replace("127.0.0.1", "localhost"), **key}

    step = await home_assistant.flow("gaze", wrong, entry_id=entry_id)
    done = await home_assistant.go_on(step["flow_id"], right)
    await _has_state(home_assistant, "loaded")
    await generate(home_assistant, PRESET)

    assert step["errors"] == {"base": "cannot_connect"}
    assert done["reason"] == "reconfigure_successful"


async def _is_reloaded_disabled_and_enabled(house: House) -> None:
    home_assistant = house.home_assistant
    entry_id = (await _entry(home_assistant))["entry_id"]
    disable = {"type": "config_entries/disable", "entry_id": entry_id}

    async def is_gone() -> bool:  # 2026.10 leaves a state that says so
        state = await home_assistant.state(IMAGE)
        return state is None or state["state"] == "unavailable"

    await home_assistant.reload(entry_id)
    await _has_state(home_assistant, "loaded")
    await home_assistant.websocket({**disable, "disabled_by": "user"})
    await _has_state(home_assistant, "not_loaded")
    await _until(is_gone, "The end of the entities")
    with pytest.raises(AnswerError):
        await home_assistant.call_action("gaze", "generate", {"preset": PRESET})
    await home_assistant.websocket({**disable, "disabled_by": None})
    await _has_state(home_assistant, "loaded")
    await generate(home_assistant, PRESET)


async def _hands_over_no_secret(house: House) -> None:
    entry_id = (await _entry(house.home_assistant))["entry_id"]

    diagnostics = await house.home_assistant.get(f"/api/diagnostics/config_entry/{entry_id}")

    assert diagnostics["data"]["entry"]["state"] == "loaded"
    assert house.server.api_key not in json.dumps(diagnostics)
    assert house.server.url not in json.dumps(diagnostics)


async def _is_removed_but_for_its_pictures(house: House) -> None:
    home_assistant = house.home_assistant
    entry_id = (await _entry(home_assistant))["entry_id"]
    pictures = _pictures(home_assistant)

    await home_assistant.delete(f"{ENTRY}/{entry_id}")
    devices = await home_assistant.websocket({"type": "config/device_registry/list"})

    assert await home_assistant.entries("gaze") == []
    assert await home_assistant.state(IMAGE) is None
    assert [device["name"] for device in devices if "GAZE" in (device["name"] or "")] == []
    assert [found.name for found in (home_assistant.folder / ".storage").glob("gaze.*")] == []
    assert _pictures(home_assistant) == pictures != []


async def test_entry_survives_every_user_operation(house: House) -> None:
    await _log_everything(house.home_assistant)

    await _cannot_be_added_twice(house)
    await _takes_options(house)
    await _asks_for_a_new_key(house)
    await _moves_to_another_address(house)
    await _is_reloaded_disabled_and_enabled(house)
    await _hands_over_no_secret(house)
    await _is_removed_but_for_its_pictures(house)

    # The key went out in its header only, with requests to the API only
    with_key = [request for request in house.server.log if "X-API-Key" in request.headers]
    assert {request.path.split("/")[1] for request in with_key} == {"api"}
    assert {request.path.split("/")[1] for request in house.server.log} == {"api", "static"}
    assert not any("key" in request.path.lower() for request in house.server.log)


async def _act(house: House, action: str, **data: object) -> Json:
    """Perform an action of ours and return its response."""
    return await house.home_assistant.call_action("gaze", action, data, return_response=True)


async def _generates_and_tells(house: House) -> list[Json]:
    """Generate two images with one request. Returns their jobs."""
    request = {
        "preset": "Neon city",
        "count": 2,
        "extra_positive": "rain on glass",
        "extra_negative": "people",
        "seed": str(2**64 - 1),
        "width": 128,
        "height": 192,
        "tag": "e2e",
    }
    events: list[Json] = []

    async with house.home_assistant.events("gaze_event") as received:
        made = await _act(house, "generate", **request, wait=True)
        async with asyncio.timeout(PATIENCE):
            while [event["type"] for event in events].count("finished") < 2:
                events.append((await received.get())["data"])
    waited = await _act(house, "wait", batch_id=made["batch_id"])

    first, second = made["jobs"]
    assert (made["complete"], made["skipped"]) == (True, False)
    assert {name: first[name] for name in request if name != "preset"} == {
        name: value for name, value in request.items() if name != "preset"
    }
    assert [event["type"] for event in events].count("queued") == 2
    told = {event["job_id"]: event for event in events if event["type"] == "finished"}
    assert {name: told[second["job_id"]][name] for name in second} == second
    assert events[-1]["device_id"]
    assert (waited["complete"], waited["jobs"]) == (True, made["jobs"])
    return [first, second]


async def _repeats_tracks_and_stops(house: House, first: Json) -> str:
    """Perform the actions for existing jobs. Returns the job that was tracked."""
    server = house.server

    again = await _act(house, "regenerate", job_id=first["job_id"], same_seed=True, wait=True)
    foreign = server.add(server.presets["paper_forest"], {}, foreign=True).job_id
    tracked = await _act(house, "track_job", job_id=foreign, preset="paper_forest", wait=True)
    [stopped] = (await _act(house, "generate", preset=PRESET))["jobs"]
    stop = {"job_id": stopped["job_id"]}
    await house.home_assistant.call_action("gaze", "stop_tracking", stop)
    listed = {job["job_id"]: job for job in (await _act(house, "list_jobs"))["jobs"]}

    assert [job["seed"] for job in again["jobs"]] == [first["seed"]]
    assert [job["status"] for job in tracked["jobs"]] == ["done"]
    assert listed[stopped["job_id"]]["reason"] == "stopped"
    assert listed[first["job_id"]] == first
    return foreign


async def _lists_saves_and_shows(house: House, jobs: list[Json]) -> None:
    home_assistant, server = house.home_assistant, house.server
    first, second = jobs
    copy = home_assistant.media / "wallpaper.png"
    save = {"job_id": first["job_id"], "filename": str(copy)}

    presets = (await _act(house, "list_presets"))["presets"]
    images = (await _act(house, "list_images", search="rain glass", tag="e2e"))["images"]
    await home_assistant.call_action("gaze", "save_image", save)
    picture = await home_assistant.fetch(first["image_url"])
    small, small_type = await home_assistant.fetch(f"{first['image_url']}?size=256")

    made = server.picture(first["job_id"])
    assert {preset["slug"] for preset in presets} == set(server.presets)
    assert {first["job_id"], second["job_id"]} < {image["job_id"] for image in images}
    assert copy.read_bytes() == made
    assert picture == (made, "image/png")
    assert (small_type, small[8:12]) == ("image/webp", b"WEBP")
    assert len(small) < len(made)


def _folders(parent: Json) -> dict[str, str]:
    """Return the media IDs of the folders in a folder, by their names without counts."""
    return {
        re.sub(r" \(\d+\)$", "", child["title"]): child["media_content_id"]
        for child in parent["children"]
    }


async def _is_found_in_media(house: House, foreign: str) -> None:
    home_assistant = house.home_assistant

    async def media(command: str, media_id: str, **more: str) -> Json:
        message = {"type": f"media_source/{command}", "media_content_id": media_id, **more}
        return dict(await home_assistant.websocket(message))

    root = await media("browse_media", "media-source://gaze")
    folders = _folders(root)
    presets = _folders(await media("browse_media", folders["Presets"]))
    images = (await media("browse_media", presets["Neon city"]))["children"]
    found = await media("search_media", "media-source://gaze", search_query="paper")

    assert {"All images", "Presets", "Months"} <= set(folders)
    assert {"Neon city", "Paper forest"} <= set(presets)
    assert len(images) >= 3
    for image in images:
        assert (await home_assistant.fetch(image["thumbnail"]))[1] == "image/webp"
        resolved = await media("resolve_media", image["media_content_id"])
        assert (await home_assistant.fetch(resolved["url"]))[1] == resolved["mime_type"]
    hits = [hit["media_content_id"].rpartition("/")[2] for hit in found["result"]]
    assert hits == [foreign]


async def _makes_images_for_ai_tasks(house: House) -> None:
    home_assistant = house.home_assistant
    choice = {"entity_id": "select.gaze_preset", "option": "Oil painting"}
    task = {"task_name": "door", "instructions": "a visitor", "entity_id": "ai_task.gaze"}

    await home_assistant.call_action("select", "select_option", choice)
    answer = await home_assistant.call_action(
        "ai_task", "generate_image", task, return_response=True
    )
    [newest] = (await _act(house, "list_images", limit=1))["images"]

    assert (newest["preset"], newest["extra_positive"]) == ("oilpainting", "a visitor")
    picture, _ = await home_assistant.fetch(answer["url"])
    assert picture == house.server.picture(newest["job_id"])


async def _deletes(house: House, foreign: str) -> None:
    [image] = (await _act(house, "list_images", preset="paper_forest"))["images"]

    deleted = await _act(house, "delete_images", preset="paper_forest")
    with pytest.raises(AnswerError) as gone:
        await house.home_assistant.fetch(image["image_url"])

    assert (image["job_id"], deleted) == (foreign, {"deleted": 1})
    assert gone.value.status == HTTPStatus.NOT_FOUND


async def test_every_action_responds_and_images_appear_everywhere(house: House) -> None:
    await _log_everything(house.home_assistant)

    jobs = await _generates_and_tells(house)
    foreign = await _repeats_tracks_and_stops(house, jobs[0])
    await _lists_saves_and_shows(house, jobs)
    await _is_found_in_media(house, foreign)
    await _makes_images_for_ai_tasks(house)
    await _deletes(house, foreign)
    with pytest.raises(AnswerError) as refused:
        await _act(house, "generate", preset="neon ciyt")

    assert refused.value.status == HTTPStatus.BAD_REQUEST
