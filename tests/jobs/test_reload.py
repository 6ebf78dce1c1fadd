"""Tests that an accepted job survives reloads, reconfiguration, removal, and stops."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from homeassistant.components.button import DOMAIN as BUTTON, SERVICE_PRESS
from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import EVENT_HOMEASSISTANT_STOP, STATE_UNAVAILABLE
from homeassistant.core import CoreState, Event, HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.gaze.const import DOMAIN, EVENT_GAZE
from custom_components.gaze.jobs import Records
from testing.faults import Fault
from testing.gaze_server import GazeServer

from .common import coordinator, ended, generate, milestones, reached, store_path

SLOW = 12.0  # seconds that the server takes to accept a request


async def reload(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """Reload the entry."""
    await hass.config_entries.async_reload(entry.entry_id)


async def reconfigure(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """Reconfigure the entry as its flow does."""
    data = {**entry.data, "verify_ssl": False}
    hass.config_entries.async_update_entry(entry, data=data)
    await hass.config_entries.async_reload(entry.entry_id)


async def change_options(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """Change an option with its flow."""
    flow = await hass.config_entries.options.async_init(entry.entry_id)
    fields = {
        "save_images": True,
        "strip_metadata": False,
        "keep_images": 400,
        "max_open_jobs": 100,
        "give_up_after": 12,
    }
    result = await hass.config_entries.options.async_configure(flow["flow_id"], fields)
    assert result["type"] == "create_entry"
    await reached(lambda: entry.state is not ConfigEntryState.LOADED)
    await reached(lambda: entry.state is ConfigEntryState.LOADED)


async def disable_and_enable(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """Unload the entry and set it up again later."""
    await hass.config_entries.async_unload(entry.entry_id)
    await asyncio.sleep(60)
    await hass.config_entries.async_setup(entry.entry_id)


@pytest.fixture
def events(hass: HomeAssistant) -> list[dict[str, Any]]:
    """Return the data of our events, with the state of the latest image at that time."""
    seen: list[dict[str, Any]] = []

    @callback
    def note(event: Event) -> None:
        state = hass.states.get("image.gaze_latest_image")
        seen.append({**event.data, "shown": None if state is None else state.state})

    hass.bus.async_listen(EVENT_GAZE, note)
    return seen


@pytest.mark.parametrize("interrupt", [reload, reconfigure, change_options, disable_and_enable])
async def test_job_survives_interruption_during_request(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    events: list[dict[str, Any]],
    interrupt: Callable[[HomeAssistant, MockConfigEntry], Awaitable[None]],
) -> None:
    server.faults.on(Fault.LATENCY, "generate", value=SLOW)
    caller = hass.async_create_task(generate(hass))
    await reached(lambda: server.requests["generate"] == 1)

    await interrupt(hass, entry)
    answer = await caller
    await server.finish()
    job = (await ended(hass, answer))[0]

    assert job["status"] == "done"
    assert milestones(events, job["job_id"]) == ["queued", "finished"]
    assert server.requests["generate"] == 1


@pytest.mark.parametrize("interrupt", [reload, reconfigure, change_options, disable_and_enable])
async def test_job_survives_interruption_during_download(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    events: list[dict[str, Any]],
    interrupt: Callable[[HomeAssistant, MockConfigEntry], Awaitable[None]],
) -> None:
    answer = await generate(hass, count=2)
    server.faults.on(Fault.LATENCY, "image", value=5.0)
    await server.finish()
    await reached(lambda: server.requests["image"] == 1)

    await interrupt(hass, entry)
    await server.finish()
    jobs = await ended(hass, answer)

    assert [job["status"] for job in jobs] == ["done", "done"]
    for job in jobs:
        assert milestones(events, job["job_id"]) == ["queued", "finished"]


async def test_finished_event_never_fires_while_entities_are_unloaded(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, events: list[dict[str, Any]]
) -> None:
    for _ in range(5):
        answer = await generate(hass, count=3)
        for _ in range(3):
            await server.finish()
        await reached(lambda: bool([event for event in events if event["type"] == "finished"]))
        await reload(hass, entry)
        await ended(hass, answer)

    finished = [event for event in events if event["type"] == "finished"]
    assert len(finished) == 15
    assert STATE_UNAVAILABLE not in {event["shown"] for event in finished}
    assert None not in {event["shown"] for event in finished}


async def test_request_is_rejected_while_server_unloads(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    await hass.services.async_call(
        "select",
        "select_option",
        {"entity_id": "select.gaze_preset", "option": "Neon city"},
        blocking=True,
    )
    server.faults.on(Fault.LATENCY, "generate", value=SLOW)
    caller = hass.async_create_task(generate(hass))
    await reached(lambda: server.requests["generate"] == 1)
    reloading = hass.async_create_task(reload(hass, entry))
    await reached(lambda: entry.state is ConfigEntryState.UNLOAD_IN_PROGRESS)

    with pytest.raises(HomeAssistantError) as refusal:
        await hass.services.async_call(
            BUTTON, SERVICE_PRESS, {"entity_id": "button.gaze_generate"}, blocking=True
        )

    await caller
    await reloading
    assert refusal.value.translation_key == "server_reloading"
    assert server.requests["generate"] == 1


async def test_request_is_rejected_when_server_reloads_during_listing(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    server.put_preset("brand_new", "Brand new")
    listed = server.requests["presets"]
    server.faults.on(Fault.LATENCY, "presets", value=5.0)
    caller = hass.async_create_task(
        hass.services.async_call(DOMAIN, "generate", {"preset": "brand_new"}, blocking=True)
    )
    await reached(lambda: server.requests["presets"] > listed)

    await reload(hass, entry)

    with pytest.raises(HomeAssistantError) as refusal:
        await caller
    assert refusal.value.translation_key == "server_reloading"
    assert server.jobs == []


async def test_no_files_remain_when_entry_is_removed_during_request(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server.faults.on(Fault.LATENCY, "generate", value=SLOW)
    caller = hass.async_create_task(generate(hass))
    await reached(lambda: server.requests["generate"] == 1)

    await hass.config_entries.async_remove(entry.entry_id)
    answer = await caller
    await hass.async_block_till_done()

    assert len(answer["jobs"]) == 1
    assert not store_path(hass, entry).exists()
    assert not [record for record in caplog.records if record.exc_info]


async def test_request_in_flight_is_stored_when_home_assistant_stops(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, events: list[dict[str, Any]]
) -> None:
    server.faults.on(Fault.LATENCY, "generate", value=SLOW)
    caller = hass.async_create_task(generate(hass))
    await reached(lambda: server.requests["generate"] == 1)

    hass.set_state(CoreState.stopping)
    hass.bus.async_fire(EVENT_HOMEASSISTANT_STOP)
    await hass.async_block_till_done()
    hass.set_state(CoreState.running)

    answer = await caller
    records = Records(hass, entry.entry_id)
    jobs, _ = await records.async_open()
    await records.async_close()
    assert [job.job_id for job in jobs] == [answer["jobs"][0]["job_id"]]
    assert events == []  # nothing would hear it: the next start fires it
    await reload(hass, entry)
    await reached(lambda: [event["type"] for event in events] == ["queued"])


@pytest.mark.parametrize("expected_lingering_timers", [True])  # the entry stays half loaded
async def test_engine_continues_when_unloading_fails(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    events: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer = await generate(hass)

    async def fail(*_: Any) -> bool:
        return False

    with monkeypatch.context() as patch:
        patch.setattr(hass.config_entries, "async_unload_platforms", fail)
        await hass.config_entries.async_unload(entry.entry_id)
    await server.finish()
    job_id = answer["jobs"][0]["job_id"]
    await reached(lambda: milestones(events, job_id) == ["queued", "finished"])

    assert entry.state is ConfigEntryState.FAILED_UNLOAD
    await coordinator(entry).async_close()


async def test_saved_image_is_not_downloaded_again(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, events: list[dict[str, Any]]
) -> None:
    answer = await generate(hass)
    await server.finish()
    job = (await ended(hass, answer))[0]
    image = await coordinator(entry).gallery.async_get(job["job_id"])
    await hass.config_entries.async_unload(entry.entry_id)
    # As a kill leaves it between saving the image and writing the record.
    records = Records(hass, entry.entry_id)
    (record,), _ = await records.async_open()
    await records.async_save(reopened(record))
    await records.async_close()
    server.prune()
    events.clear()
    downloads = server.requests["image"]

    await hass.config_entries.async_setup(entry.entry_id)
    await reached(lambda: len(events) == 1)

    assert image is not None
    assert [event["type"] for event in events] == ["finished"]
    assert events[0]["seed"] == job["seed"]
    assert server.requests["image"] == downloads


def reopened(record: Any) -> Any:
    """Return a record as it was before the job ended."""
    return type(record).from_dict({**record.to_dict(), "status": "processing", "told_end": False})
