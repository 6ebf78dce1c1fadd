"""Tests of the WebSocket commands of the cards."""

import asyncio
from types import MappingProxyType
from typing import Any, Final

from homeassistant.config_entries import ConfigSubentry
from homeassistant.core import HomeAssistant
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.typing import MockHAClientWebSocket, WebSocketGenerator

from custom_components.gaze.const import DOMAIN
from custom_components.gaze.gallery import Gallery, Image
from custom_components.gaze.websocket import MESSAGE_BYTES, MESSAGE_GAP
from testing.gaze_server import GazeServer

from .common import RECIPE, add_subentries, make_image, press
from .gallery.pictures import image, picture

NEON = "neon_city"
JOB_FIELDS = {
    "job_id",
    "batch_id",
    "index",
    "count",
    "status",
    "preset_name",
    "recipe_name",
    "requested_at",
    "started_at",
    "expected_start",
    "expected_end",
}


@pytest.fixture
async def client(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    hass_ws_client: WebSocketGenerator,
    hass_read_only_access_token: str,
) -> MockHAClientWebSocket:
    """Return the connection of a read-only user."""
    return await hass_ws_client(hass, hass_read_only_access_token)


async def subscribe(client: MockHAClientWebSocket) -> dict[str, Any]:
    """Subscribe, and return the first state."""
    await client.send_json_auto_id({"type": "gaze/subscribe"})
    assert (await client.receive_json())["success"]
    return dict((await client.receive_json())["event"])


async def next_server(client: MockHAClientWebSocket, **wanted: Any) -> dict[str, Any]:
    """Return the first state of the only server that has these values, or whose images have."""
    async with asyncio.timeout(10):
        while True:
            event = (await client.receive_json())["event"]
            [server] = event["servers"]
            if wanted.items() <= (server | server["images"]).items():
                return dict(server)


async def list_images(client: MockHAClientWebSocket, **fields: Any) -> dict[str, Any]:
    """Return the response of `gaze/images`."""
    await client.send_json_auto_id({"type": "gaze/images", **fields})
    return dict(await client.receive_json())


async def generate(hass: HomeAssistant, **fields: Any) -> None:
    """Queue images."""
    await hass.services.async_call(DOMAIN, "generate", {"preset": NEON, **fields}, blocking=True)


async def test_read_only_user_gets_state_of_server_at_once(
    client: MockHAClientWebSocket, entry: MockConfigEntry, server: GazeServer
) -> None:
    state = await subscribe(client)

    assert dt_util.parse_datetime(state["now"]) is not None
    [shown] = state["servers"]
    assert shown["entry_id"] == entry.entry_id
    assert shown["title"] == "GAZE"
    assert (shown["connected"], shown["status"], shown["loaded"]) == (True, "idle", True)
    assert {"slug": NEON, "name": "Neon city"} in shown["presets"]
    assert shown["preset_count"] == len(shown["presets"])
    assert shown["preset_list"].startswith(entry.entry_id)
    assert shown["images"] == {"newest": None, "count": 0, "changes": 1}
    assert shown["jobs"] == shown["recipes"] == []


async def test_job_is_shown_from_queue_to_image(
    hass: HomeAssistant, client: MockHAClientWebSocket, server: GazeServer
) -> None:
    await subscribe(client)
    await generate(hass)
    shown = await next_server(client, open_jobs=1)
    [job] = shown["jobs"]
    assert job.keys() >= JOB_FIELDS
    assert (job["status"], job["index"], job["count"]) == ("queued", 1, 1)
    assert job["expected_end"] is None

    job_id = await server.finish()
    shown = await next_server(client, open_jobs=0)

    [job] = shown["jobs"]
    assert (job["job_id"], job["status"]) == (job_id, "done")
    assert shown["images"] == {"newest": job_id, "count": 1, "changes": 2}


async def test_learned_duration_orders_expected_ends(
    hass: HomeAssistant, client: MockHAClientWebSocket, server: GazeServer
) -> None:
    await subscribe(client)
    await generate(hass)
    server.begin()
    await next_server(client, status="generating")
    await asyncio.sleep(10)
    await server.finish()
    await next_server(client, status="idle")

    await generate(hass, count=3)

    jobs = (await next_server(client, open_jobs=3))["jobs"][:3]
    ends = [job["expected_end"] for job in jobs]
    assert None not in ends
    assert ends == sorted(ends)
    assert all(job["expected_start"] <= job["expected_end"] for job in jobs)


async def test_list_of_server_that_is_unloaded_meanwhile_fails_with_its_error(
    hass: HomeAssistant,
    client: MockHAClientWebSocket,
    entry: MockConfigEntry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started, unloaded = asyncio.Event(), asyncio.Event()
    select = Gallery.async_select

    async def wait_for_unload(gallery: Gallery, *args: Any) -> list[Image]:
        images = await select(gallery, *args)
        started.set()
        await unloaded.wait()
        return images

    monkeypatch.setattr(Gallery, "async_select", wait_for_unload)
    await client.send_json_auto_id({"type": "gaze/images"})
    await started.wait()

    await hass.config_entries.async_unload(entry.entry_id)
    unloaded.set()

    response = await client.receive_json()
    assert response["error"]["translation_key"] == "gallery_failed"


async def test_subscription_survives_reload(
    hass: HomeAssistant,
    client: MockHAClientWebSocket,
    entry: MockConfigEntry,
    server: GazeServer,
) -> None:
    await subscribe(client)

    assert await hass.config_entries.async_reload(entry.entry_id)
    job_id = await make_image(hass, server, NEON)

    shown = await next_server(client, newest=job_id, count=1)
    assert shown["connected"]


async def test_recipes_are_sent_when_they_change_after_reload(
    hass: HomeAssistant, client: MockHAClientWebSocket, entry: MockConfigEntry, server: GazeServer
) -> None:
    await subscribe(client)
    await hass.config_entries.async_reload(entry.entry_id)
    await asyncio.sleep(2 * MESSAGE_GAP)
    recipe = ConfigSubentry(
        data=MappingProxyType({"preset": NEON}),
        subentry_type="recipe",
        title="Doorbell",
        unique_id=None,
    )
    sent = {"id": recipe.subentry_id, "name": "Doorbell", "preset": NEON}

    hass.config_entries.async_add_subentry(entry, recipe)
    await next_server(client, recipes=[sent])
    await asyncio.sleep(2 * MESSAGE_GAP)
    hass.config_entries.async_update_subentry(entry, recipe, title="Gate")
    await next_server(client, recipes=[sent | {"name": "Gate"}])
    await asyncio.sleep(2 * MESSAGE_GAP)
    hass.config_entries.async_remove_subentry(entry, recipe.subentry_id)
    await next_server(client, recipes=[])


async def test_end_of_subscription_is_reported(client: MockHAClientWebSocket) -> None:
    await client.send_json_auto_id({"type": "gaze/subscribe"})
    subscription = (await client.receive_json())["id"]
    await client.receive_json()

    await client.send_json_auto_id({"type": "unsubscribe_events", "subscription": subscription})

    assert await client.receive_json() == {"id": subscription, "type": "event", "event": None}


async def test_mark_of_older_image_reports_change(
    hass: HomeAssistant, client: MockHAClientWebSocket, server: GazeServer
) -> None:
    older = await make_image(hass, server, NEON)
    newest = await make_image(hass, server, NEON)
    [shown] = (await subscribe(client))["servers"]
    before = shown["images"]["changes"]

    for number, hidden in enumerate((True, False), 1):
        mark = {"job_id": older, "hidden": hidden}
        await hass.services.async_call(DOMAIN, "mark_images", mark, blocking=True)

        assert await next_server(client, newest=newest, count=2, changes=before + number)


async def test_removed_server_disappears(
    hass: HomeAssistant, client: MockHAClientWebSocket, entry: MockConfigEntry
) -> None:
    await subscribe(client)

    await hass.config_entries.async_remove(entry.entry_id)

    async with asyncio.timeout(10):
        while (await client.receive_json())["event"]["servers"]:
            pass


async def test_many_changes_send_few_small_messages(
    hass: HomeAssistant, client: MockHAClientWebSocket, server: GazeServer
) -> None:
    for number in range(200):
        server.put_preset(
            f"preset-{number}", f"Ein langer Name für ein Preset {number} " + "ü" * 90
        )
    await hass.services.async_call(
        "button", "press", {"entity_id": "button.gaze_refresh_presets"}, blocking=True
    )
    began = asyncio.get_running_loop().time()
    state = await subscribe(client)
    sizes = [len(str(state).encode())]
    assert state["servers"][0]["preset_count"] > 200
    assert 0 < len(state["servers"][0]["presets"]) < 200

    for _ in range(20):
        await generate(hass, extra_positive="long " * 1000)
    while state["servers"][0]["open_jobs"] != 20:
        message = await client.receive()
        sizes.append(len(message.data))
        state = message.json()["event"]

    assert max(sizes) <= MESSAGE_BYTES
    seconds = asyncio.get_running_loop().time() - began
    assert len(sizes) <= 4 * (int(seconds) + 1)


async def test_renamed_preset_beyond_message_changes_identity_of_list(
    hass: HomeAssistant, client: MockHAClientWebSocket, server: GazeServer
) -> None:
    for number in range(201):
        server.put_preset(f"preset-{number}", f"Preset {number}")
    await press(hass, "button.gaze_refresh_presets")
    [before] = (await subscribe(client))["servers"]

    server.put_preset("preset-150", "New name")
    await press(hass, "button.gaze_refresh_presets")

    [after] = (await client.receive_json())["event"]["servers"]
    assert before["preset_list"] != after["preset_list"]
    assert before | {"preset_list": after["preset_list"]} == after


async def test_recipes_stay_in_message_when_many_jobs_are_open(
    hass: HomeAssistant, client: MockHAClientWebSocket, entry: MockConfigEntry
) -> None:
    for number in range(12):
        recipe = ConfigSubentry(
            data=MappingProxyType({"preset": NEON}),
            subentry_type="recipe",
            title=f"Recipe {number}",
            unique_id=None,
        )
        hass.config_entries.async_add_subentry(entry, recipe)
    await hass.async_block_till_done()
    for _ in range(2):
        await generate(hass, count=20)

    [server] = (await subscribe(client))["servers"]

    assert len(server["recipes"]) == 12
    assert 6 <= len(server["jobs"]) < server["open_jobs"] == 40


async def test_nothing_is_sent_if_nothing_changed(
    hass: HomeAssistant, client: MockHAClientWebSocket
) -> None:
    await subscribe(client)
    await hass.services.async_call(
        "button", "press", {"entity_id": "button.gaze_refresh_presets"}, blocking=True
    )

    await client.send_json_auto_id({"type": "ping"})

    assert (await client.receive_json())["type"] == "pong"


async def test_pages_are_stable_while_images_arrive(
    hass: HomeAssistant, client: MockHAClientWebSocket, server: GazeServer
) -> None:
    made = [await make_image(hass, server, NEON) for _ in range(3)]

    first = (await list_images(client, limit=2))["result"]
    await make_image(hass, server, NEON)
    second = (await list_images(client, limit=2, cursor=first["cursor"]))["result"]

    assert [image["job_id"] for image in first["images"]] == [made[2], made[1]]
    assert [image["job_id"] for image in second["images"]] == [made[0]]
    assert second["cursor"] is None
    assert first["presets"] == [{"slug": NEON, "name": "Neon city", "count": 3}]
    assert "presets" not in second


async def test_images_are_filtered(
    hass: HomeAssistant, client: MockHAClientWebSocket, server: GazeServer, entry: MockConfigEntry
) -> None:
    neon = await make_image(hass, server, NEON)
    await make_image(hass, server, "oilpainting")

    for fields in (
        {"preset": NEON},
        {"search": "neon"},
        {"job_id": neon},
        {"preset": NEON, "entry_id": entry.entry_id},
    ):
        found = (await list_images(client, **fields))["result"]["images"]
        assert [image["job_id"] for image in found] == [neon], fields
    assert not (await list_images(client, entry_id="other"))["result"]["images"]
    assert not (await list_images(client, tag="other"))["result"]["images"]
    assert not (await list_images(client, job_id="other"))["result"]["images"]


PRESET_TEXTS: Final = [NEON, "Neon city", "neon city", " NEON_CITY "]
RECIPE_TEXTS: Final = [RECIPE, "Doorbell rings", "doorbell rings", "doorbell_rings"]


async def test_images_are_filtered_by_names_of_preset_and_recipe(
    hass: HomeAssistant,
    client: MockHAClientWebSocket,
    entry: MockConfigEntry,
    subtests: pytest.Subtests,
) -> None:
    await add_subentries(hass, entry)
    recipe = entry.subentries[RECIPE]
    hass.config_entries.async_update_subentry(entry, recipe, title="Doorbell rings")
    await hass.async_block_till_done()
    add = entry.runtime_data.gallery.async_add
    await add(image("neon", preset=NEON, recipe=RECIPE, recipe_name="Old name"), picture())
    await add(image("gone", preset="gone", recipe="gone", recipe_name="Gone"), picture())

    for field, texts in (("preset", PRESET_TEXTS), ("recipe", RECIPE_TEXTS)):
        for text in texts:
            with subtests.test(ascii(text)):
                [found] = (await list_images(client, **{field: text}))["result"]["images"]
                assert found["job_id"] == "neon"
    for fields in ({"preset": "gone"}, {"recipe": "gone"}):
        [found] = (await list_images(client, **fields))["result"]["images"]
        assert found["job_id"] == "gone"


INVALID_CURSORS: Final = [
    "",
    "x",
    "[]",
    '{"a": "b"}',
    '{"a": true}',
    "null",
    f'{{"a": {2**63}}}',
    f'{{"a": {-(10**26)}}}',
    "[" * 100_000,
]


async def test_invalid_cursor_is_an_error(
    client: MockHAClientWebSocket, subtests: pytest.Subtests
) -> None:
    for cursor in INVALID_CURSORS:
        with subtests.test(ascii(cursor)[:40]):
            response = await list_images(client, cursor=cursor)

            assert response["error"]["code"] == "invalid_format"


INVALID_LIMITS: Final = [0, 101, "1", None]


async def test_invalid_limit_is_an_error(
    client: MockHAClientWebSocket, subtests: pytest.Subtests
) -> None:
    for limit in INVALID_LIMITS:
        with subtests.test(ascii(limit)):
            assert not (await list_images(client, limit=limit))["success"]


async def test_prompts_are_truncated_in_list_and_complete_in_single_image(
    hass: HomeAssistant, client: MockHAClientWebSocket, server: GazeServer
) -> None:
    text = "word " * 1000
    await generate(hass, extra_positive=text)
    job_id = await server.finish()
    await hass.services.async_call(
        DOMAIN, "wait", {"job_id": job_id, "timeout": 30}, blocking=True, return_response=True
    )

    [listed] = (await list_images(client))["result"]["images"]
    [whole] = (await list_images(client, job_id=job_id))["result"]["images"]

    assert len(listed["extra_positive"]) == 1000
    assert whole["extra_positive"].strip() == text.strip()


async def test_unknown_job_has_no_image(client: MockHAClientWebSocket) -> None:
    assert (await list_images(client, job_id="unknown"))["result"]["images"] == []


async def test_closed_index_is_an_error(
    client: MockHAClientWebSocket, entry: MockConfigEntry
) -> None:
    await entry.runtime_data.gallery.async_close()

    answer = await list_images(client)

    assert answer["error"]["translation_key"] == "gallery_failed"


async def test_subscription_continues_when_another_one_ends(
    hass: HomeAssistant,
    client: MockHAClientWebSocket,
    server: GazeServer,
    hass_ws_client: WebSocketGenerator,
) -> None:
    await subscribe(client)
    other = await hass_ws_client(hass)
    await subscribe(other)

    await other.close()
    await hass.async_block_till_done()
    job_id = await make_image(hass, server, NEON)

    assert await next_server(client, newest=job_id, count=1)


async def test_each_server_is_watched_while_it_is_loaded(
    hass: HomeAssistant,
    client: MockHAClientWebSocket,
    entry: MockConfigEntry,
    second_entry: MockConfigEntry,
    second_server: GazeServer,
) -> None:
    first = await subscribe(client)
    await hass.config_entries.async_unload(entry.entry_id)
    await hass.services.async_call(
        DOMAIN,
        "generate",
        {"preset": NEON, "config_entry_id": second_entry.entry_id},
        blocking=True,
    )

    async with asyncio.timeout(10):
        while True:
            servers = (await client.receive_json())["event"]["servers"]
            if [len(server["jobs"]) for server in servers] == [0, 1]:
                break

    assert [server["entry_id"] for server in first["servers"]] == [
        entry.entry_id,
        second_entry.entry_id,
    ]
