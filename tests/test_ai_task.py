"""Tests of the AI task."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

from freezegun.api import FrozenDateTimeFactory
from homeassistant.components.ai_task import (
    AITaskEntity,
    AITaskEntityFeature,
    GenImageTask,
    GenImageTaskResult,
)
from homeassistant.components.conversation import Attachment
from homeassistant.components.media_source import async_resolve_media
from homeassistant.const import (
    EVENT_HOMEASSISTANT_STOP,
    EVENT_STATE_CHANGED,
    STATE_UNAVAILABLE,
    STATE_UNKNOWN,
)
from homeassistant.core import Context, CoreState, HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.helpers import device_registry as dr, entity_registry as er
from homeassistant.helpers.chat_session import async_get_chat_session
from homeassistant.helpers.entity_component import EntityComponent
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_capture_events,
    async_fire_time_changed,
)

from custom_components.gaze.const import CONF_AI_TASK_TIMEOUT, DOMAIN, EVENT_GAZE
from custom_components.gaze.coordinator import GazeCoordinator
from custom_components.gaze.generation import async_wait
from custom_components.gaze.request import MAX_TEXT
from testing.faults import Fault
from testing.gaze_server import GazeServer

from .common import act, choose, fill, made, until
from .conftest import SetUp

ENTITY_ID = "ai_task.gaze"
PRESET = "oilpainting"
NAME = "Oil painting"

type Ask = Callable[..., Coroutine[Any, Any, dict[str, Any]]]


@pytest.fixture(autouse=True)
async def home(hass: HomeAssistant) -> None:
    """Set up the integrations that AI tasks need."""
    assert await async_setup_component(hass, "homeassistant", {})


@pytest.fixture
def ask(hass: HomeAssistant, entry: MockConfigEntry) -> Ask:
    """Return a function that calls the action."""

    async def ask(instructions: str = "a cat", **data: Any) -> dict[str, Any]:
        answer = await hass.services.async_call(
            "ai_task",
            "generate_image",
            {
                "task_name": "a test",
                "entity_id": ENTITY_ID,
                "instructions": instructions,
                **data,
            },
            blocking=True,
            return_response=True,
        )
        assert answer is not None
        return dict(answer)

    return ask


def task_entity(hass: HomeAssistant) -> AITaskEntity:
    """Return the entity object."""
    component: EntityComponent[AITaskEntity] = hass.data["ai_task"]
    entity = component.get_entity(ENTITY_ID)
    assert entity is not None
    return entity


async def asked_directly(hass: HomeAssistant, task: GenImageTask) -> GenImageTaskResult:
    """Call the entity directly, without the validation of the action."""
    with async_get_chat_session(hass) as session:
        return await task_entity(hass).internal_async_generate_image(session, task, Context())


async def finish_when_queued(server: GazeServer, jobs: int = 1) -> str:
    """Let the server finish the next job."""
    await until(lambda: len(server.jobs) == jobs)
    return await server.finish()


def bodies(server: GazeServer) -> list[tuple[str, dict[str, Any]]]:
    """Return the bodies of the requests."""
    return [(job.preset.slug, dict(job.body)) for job in server.jobs]


async def test_action_returns_image_with_media_id(
    hass: HomeAssistant, server: GazeServer, ask: Ask, media_dir: Path
) -> None:
    await choose(hass, NAME)

    asked = asyncio.create_task(ask("a harbour, {{ 1 + 1 }}"))
    job_id = await finish_when_queued(server)
    answer = await asked

    image = await act(hass, "list_images")
    media = await async_resolve_media(hass, answer["media_source_id"], None)
    own = await async_resolve_media(hass, image["images"][0]["media_content_id"], None)
    assert bodies(server) == [(PRESET, {"count": 1, "extra_positive": "a harbour, {{ 1 + 1 }}"})]
    assert media.path is not None
    assert own.path is not None
    assert media.path.read_bytes() == own.path.read_bytes()
    assert media.mime_type == "image/png"
    assert (answer["width"], answer["height"]) == (64, 96)
    assert answer["model"] == NAME
    assert answer["revised_prompt"] == "a harbour, {{ 1 + 1 }}"
    assert image["images"][0]["job_id"] == job_id


async def test_task_returns_first_image_when_server_queues_more_jobs(
    hass: HomeAssistant, server: GazeServer, ask: Ask
) -> None:
    server.faults.on(Fault.EXTRA_JOBS, value=2)
    await choose(hass, NAME)

    asked = asyncio.create_task(ask())
    job_id = await finish_when_queued(server, jobs=3)
    answer = await asked

    media = await async_resolve_media(hass, answer["media_source_id"], None)
    assert media.path is not None
    assert media.path.read_bytes() == server.picture(job_id)


async def test_image_of_task_is_saved_and_shown(
    hass: HomeAssistant, server: GazeServer, ask: Ask
) -> None:
    await choose(hass, NAME)
    events = async_capture_events(hass, EVENT_GAZE)

    asked = asyncio.create_task(ask())
    job_id = await finish_when_queued(server)
    await asked

    # Whether a poll sees the job being made depends on the moment.
    types = [event.data["type"] for event in events if event.data["type"] != "started"]
    assert types == ["queued", "finished"]
    assert {event.data["job_id"] for event in events} == {job_id}
    assert (await act(hass, "list_images"))["images"][0]["job_id"] == job_id
    for entity_id in ("image.gaze_latest_image", "image.gaze_oil_painting"):
        state = hass.states.get(entity_id)
        assert state is not None
        assert state.state not in {STATE_UNKNOWN, STATE_UNAVAILABLE}


async def test_task_uses_size_checkpoint_and_negative_of_controls(
    hass: HomeAssistant, server: GazeServer, ask: Ask
) -> None:
    await choose(hass, NAME)
    await fill(
        hass,
        extra_positive="not this one",
        extra_negative="blurry",
        seed="5",
        checkpoint="Illustrious/model.safetensors",
        count=7,
        width=128,
        height=64,
    )

    asked = asyncio.create_task(ask("a dog"))
    await finish_when_queued(server)
    answer = await asked

    assert bodies(server) == [
        (
            PRESET,
            {
                "count": 1,
                "extra_positive": "a dog",
                "extra_negative": "blurry",
                "checkpoint": "Illustrious/model.safetensors",
                "width": 128,
                "height": 64,
            },
        )
    ]
    assert answer["model"] == "Illustrious/model.safetensors"
    assert (answer["width"], answer["height"]) == (128, 64)


async def test_task_ignores_incomplete_size_of_controls(
    hass: HomeAssistant, server: GazeServer, ask: Ask
) -> None:
    await choose(hass, NAME)
    await fill(hass, width=128)

    asked = asyncio.create_task(ask("a dog"))
    await finish_when_queued(server)
    await asked

    assert bodies(server) == [(PRESET, {"count": 1, "extra_positive": "a dog"})]


async def test_task_uses_first_preset_when_none_is_selected(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, ask: Ask
) -> None:
    asked = asyncio.create_task(ask("a dog"))
    await finish_when_queued(server)
    await asked

    first = next(iter(server.presets))
    assert bodies(server) == [(first, {"count": 1, "extra_positive": "a dog"})]


async def test_task_without_presets_names_controls(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    ask: Ask,
    entity_registry: er.EntityRegistry,
) -> None:
    entity_registry.async_update_entity("select.gaze_preset", new_entity_id="select.style")
    server.presets.clear()
    await entry.runtime_data.async_refresh()
    await entry.runtime_data.async_refresh()

    with pytest.raises(ServiceValidationError, match=r"select\.style") as caught:
        await ask()

    assert caught.value.translation_key == "no_preset_for_ai_task"
    assert server.requests["generate"] == 0


async def test_error_names_deleted_preset_of_controls(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, ask: Ask
) -> None:
    await choose(hass, NAME)
    server.remove_preset(PRESET)
    await entry.runtime_data.async_refresh()

    with pytest.raises(ServiceValidationError, match=PRESET) as caught:
        await ask()

    assert caught.value.translation_key == "unknown_preset"
    assert server.requests["generate"] == 0


async def test_task_with_long_instructions_queues_nothing(
    hass: HomeAssistant, server: GazeServer, ask: Ask
) -> None:
    await choose(hass, NAME)

    with pytest.raises(ServiceValidationError, match="instructions") as caught:
        await ask("x" * 100_000)

    assert caught.value.translation_key == "text_too_long"
    assert len(str(caught.value)) < 200
    assert server.requests["generate"] == 0


async def test_longest_instructions_are_sent(
    hass: HomeAssistant, server: GazeServer, ask: Ask
) -> None:
    await choose(hass, NAME)

    asked = asyncio.create_task(ask("x" * MAX_TEXT))
    await finish_when_queued(server)
    await asked

    assert server.jobs[0].body["extra_positive"] == "x" * MAX_TEXT


async def test_action_rejects_attachments(
    hass: HomeAssistant, server: GazeServer, ask: Ask
) -> None:
    job = await made(hass, server)
    await choose(hass, NAME)

    with pytest.raises(HomeAssistantError, match="attachments"):
        await ask(
            attachments=[
                {
                    "media_content_id": job["media_content_id"],
                    "media_content_type": "image/png",
                }
            ]
        )

    assert server.requests["generate"] == 1


async def test_entity_rejects_attachments(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, tmp_path: Path
) -> None:
    await choose(hass, NAME)
    attachment = Attachment(
        media_content_id="media-source://x", mime_type="image/png", path=tmp_path / "x.png"
    )

    with pytest.raises(ServiceValidationError) as caught:
        await asked_directly(
            hass, GenImageTask(name="a test", instructions="a cat", attachments=[attachment])
        )

    assert caught.value.translation_key == "attachments_not_supported"
    assert server.requests["generate"] == 0


async def test_result_does_not_change_prompt_of_controls(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    await choose(hass, NAME)

    asked = asyncio.create_task(
        asked_directly(hass, GenImageTask(name="a test", instructions="a cat"))
    )
    await finish_when_queued(server)
    result = await asked

    assert result.image_data.startswith(b"\x89PNG")
    assert result.conversation_id
    assert result.mime_type == "image/png"
    assert result.revised_prompt is None


@pytest.mark.parametrize(
    ("error", "words"),
    [("out of memory", "out of memory"), ("<b>no\nmemory</b>", "no memory")],
)
async def test_reason_of_failed_job_is_logged_as_one_line(
    hass: HomeAssistant,
    server: GazeServer,
    ask: Ask,
    caplog: pytest.LogCaptureFixture,
    error: str,
    words: str,
) -> None:
    await choose(hass, NAME)

    asked = asyncio.create_task(ask())
    await until(lambda: len(server.jobs) == 1)
    server.fail(error=error)
    with pytest.raises(HomeAssistantError) as caught:
        await asked

    assert caught.value.translation_key == "job_failed_server"
    assert any(server.jobs[0].job_id in line and words in line for line in caplog.messages)


async def test_task_fails_when_job_is_lost(
    hass: HomeAssistant, server: GazeServer, ask: Ask
) -> None:
    await choose(hass, NAME)

    asked = asyncio.create_task(ask())
    await until(lambda: len(server.jobs) == 1)
    server.clear_queue()
    with pytest.raises(HomeAssistantError) as caught:
        await asked

    assert caught.value.translation_key == "job_failed_lost"


async def test_task_fails_when_tracking_stops(
    hass: HomeAssistant, server: GazeServer, ask: Ask
) -> None:
    await choose(hass, NAME)

    asked = asyncio.create_task(ask())
    await until(lambda: hass.states.is_state("sensor.gaze_open_jobs", "1"))
    await hass.services.async_call(DOMAIN, "stop_tracking", {"all": True}, blocking=True)
    with pytest.raises(HomeAssistantError) as caught:
        await asked

    assert caught.value.translation_key == "job_failed_stopped"


async def test_task_reports_server_error(hass: HomeAssistant, server: GazeServer, ask: Ask) -> None:
    await choose(hass, NAME)
    server.faults.on(Fault.SERVER_ERROR, "generate")

    with pytest.raises(HomeAssistantError) as caught:
        await ask()

    assert caught.value.translation_key == "server_failed"


async def test_job_continues_when_task_times_out(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, ask: Ask
) -> None:
    hass.config_entries.async_update_entry(entry, options={CONF_AI_TASK_TIMEOUT: 0.2 / 60})
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    await choose(hass, NAME)

    with pytest.raises(HomeAssistantError, match="minutes") as caught:
        await ask()
    job_id = server.jobs[0].job_id
    await server.finish()
    answer = await act(hass, "wait", job_id=job_id, timeout={"seconds": 30})

    assert caught.value.translation_key == "image_not_finished"
    assert job_id in str(caught.value)
    assert answer["jobs"][0]["status"] == "done"


async def test_task_waits_only_while_queue_moves(
    hass: HomeAssistant,
    server: GazeServer,
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("custom_components.gaze.ai_task.STALL", 0.3 / 60)
    await choose(hass, NAME)

    asked = asyncio.create_task(ask())
    await until(lambda: len(server.jobs) == 1)
    server.begin()
    await until(lambda: hass.states.is_state("sensor.gaze_status", "generating"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await asyncio.shield(asked)
    await server.finish()
    assert (await asked)["media_source_id"]

    with pytest.raises(HomeAssistantError) as caught:
        await ask()
    assert caught.value.translation_key == "image_not_finished"


async def test_task_waits_while_slow_image_before_it_is_generated(
    hass: HomeAssistant, server: GazeServer, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("custom_components.gaze.ai_task.STALL", 0.3 / 60)
    await choose(hass, NAME)
    await act(hass, "generate", preset=PRESET)
    server.begin()
    await until(lambda: hass.states.is_state("sensor.gaze_status", "generating"))

    asked = asyncio.create_task(ask())
    await until(lambda: len(server.jobs) == 2)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await asyncio.shield(asked)
    await server.finish()
    await server.finish()

    assert (await asked)["media_source_id"]


async def test_job_is_tracked_when_task_is_cancelled(
    hass: HomeAssistant, server: GazeServer, ask: Ask
) -> None:
    await choose(hass, NAME)
    asked = asyncio.create_task(ask())
    await until(lambda: hass.states.is_state("sensor.gaze_open_jobs", "1"))

    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    job_id = await server.finish()
    answer = await act(hass, "wait", job_id=job_id, timeout={"seconds": 30})

    assert answer["jobs"][0]["status"] == "done"
    assert (await act(hass, "list_images"))["images"][0]["job_id"] == job_id


async def test_task_returns_image_after_reload(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, ask: Ask
) -> None:
    await choose(hass, NAME)
    asked = asyncio.create_task(ask())
    await until(lambda: hass.states.is_state("sensor.gaze_open_jobs", "1"))

    await hass.config_entries.async_reload(entry.entry_id)
    await server.finish()
    answer = await asked

    assert answer["media_source_id"]


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the jobs that tasks waited for. Too many waits fail, also if none suspends."""
    seen: list[str] = []

    async def count_wait(
        coordinator: GazeCoordinator, job_ids: list[str], seconds: float
    ) -> GazeCoordinator:
        seen.extend(job_ids)
        assert len(seen) < 100
        return await async_wait(coordinator, job_ids, seconds)

    monkeypatch.setattr("custom_components.gaze.ai_task.async_wait", count_wait)
    return seen


async def ask_until_generating(
    hass: HomeAssistant, server: GazeServer, ask: Ask
) -> asyncio.Task[Any]:
    """Start a task, and wait until GAZE generates its image."""
    await choose(hass, NAME)
    asked = asyncio.create_task(ask())
    await until(lambda: len(server.jobs) == 1)
    server.begin()
    await until(lambda: hass.states.is_state("sensor.gaze_status", "generating"))
    return asked


async def test_task_fails_at_once_when_server_is_removed(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, ask: Ask, waits: list[str]
) -> None:
    asked = await ask_until_generating(hass, server, ask)

    await hass.config_entries.async_remove(entry.entry_id)
    with pytest.raises(HomeAssistantError) as caught:
        await asked

    assert caught.value.translation_key == "job_failed_stopped"
    assert waits == [server.jobs[0].job_id]


async def test_task_fails_at_once_when_home_assistant_stops(
    hass: HomeAssistant, server: GazeServer, ask: Ask, waits: list[str]
) -> None:
    asked = await ask_until_generating(hass, server, ask)

    hass.set_state(CoreState.stopping)
    hass.bus.async_fire(EVENT_HOMEASSISTANT_STOP)
    with pytest.raises(HomeAssistantError) as caught:
        await asked
    hass.set_state(CoreState.running)

    assert caught.value.translation_key == "image_not_finished"
    assert waits == [server.jobs[0].job_id]


async def test_task_fails_when_image_is_deleted(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, ask: Ask
) -> None:
    await choose(hass, NAME)
    gallery = entry.runtime_data.gallery

    @callback
    def delete_files() -> None:
        for path in Path(hass.config.media_dirs["local"]).glob("gaze/**/*.png"):
            path.unlink()

    entry.runtime_data.async_add_job_listener(delete_files)

    asked = asyncio.create_task(ask())
    await finish_when_queued(server)
    with pytest.raises(HomeAssistantError) as caught:
        await asked

    assert caught.value.translation_key == "gallery_failed"
    assert gallery.count == 0


async def test_ai_task_entity_belongs_to_server(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    entity_registry: er.EntityRegistry,
    device_registry: dr.DeviceRegistry,
) -> None:
    registered = entity_registry.async_get(ENTITY_ID)
    state = hass.states.get(ENTITY_ID)

    assert registered is not None
    assert registered.unique_id == f"{entry.entry_id}-ai_task"
    assert registered.device_id is not None
    device = device_registry.async_get(registered.device_id)
    assert device is not None
    assert device.identifiers == {(DOMAIN, entry.entry_id)}
    assert state is not None
    assert state.attributes["friendly_name"] == "GAZE"
    assert state.attributes["supported_features"] == AITaskEntityFeature.GENERATE_IMAGE


async def test_ai_task_state_ignores_other_jobs(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    changes = async_capture_events(hass, EVENT_STATE_CHANGED)

    await made(hass, server)
    await hass.async_block_till_done()

    assert ENTITY_ID not in {event.data["entity_id"] for event in changes}


async def test_ai_task_is_unavailable_while_server_is_off(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    freezer: FrozenDateTimeFactory,
) -> None:
    server.set_online(False)
    await entry.runtime_data.async_refresh()
    off = hass.states.get(ENTITY_ID)
    server.set_online(True)
    freezer.tick(timedelta(minutes=2))
    async_fire_time_changed(hass)
    await hass.async_block_till_done(wait_background_tasks=True)
    on = hass.states.get(ENTITY_ID)

    assert off is not None
    assert off.state == STATE_UNAVAILABLE
    assert on is not None
    assert on.state == STATE_UNKNOWN


async def test_each_server_has_ai_task(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, setup_integration: SetUp
) -> None:
    second = MockConfigEntry(domain=DOMAIN, title="GAZE (second)", data=dict(entry.data))

    await setup_integration(second)

    assert sorted(hass.states.async_entity_ids("ai_task")) == [ENTITY_ID, "ai_task.gaze_second"]
