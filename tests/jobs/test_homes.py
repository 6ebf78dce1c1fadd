"""Tests of unusual homes: odd names, changes while jobs are open, and several clients."""

import asyncio
from http import HTTPStatus
from typing import Any

from homeassistant.components.media_source import BrowseMediaSource, async_browse_media
from homeassistant.const import CONF_HOST
from homeassistant.core import HomeAssistant
from homeassistant.helpers.json import json_bytes
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.gaze.const import DOMAIN
from custom_components.gaze.jobs import Job, Records
from testing.faults import Fault
from testing.gaze_server import GazeServer

from ..common import PRESET, act
from ..conftest import SetUp
from .common import coordinator, ended, entry_for, generate, milestones, open_ids, reached, types

FAMILY = "\N{MAN}\N{ZERO WIDTH JOINER}\N{WOMAN}\N{ZERO WIDTH JOINER}\N{GIRL}"
# By slug
ODD_NAMES = {
    "emoji": FAMILY * 300,
    "long": "long name " * 100,
    "arabic": "\N{RIGHT-TO-LEFT OVERRIDE}صورة شخصية",
    "markup": "<b>{{ 1 / 0 }}</b> ../../etc\x00\n%s",
    "blank": "\N{ZERO WIDTH SPACE} \N{RIGHT-TO-LEFT OVERRIDE}",
}


async def list_titles(hass: HomeAssistant, media_id: str) -> list[str]:
    """Return the titles of all folders and images below a folder."""
    titles: list[str] = []
    for child in (await async_browse_media(hass, media_id)).children or []:
        assert isinstance(child, BrowseMediaSource)
        titles.append(child.title)
        if child.can_expand:
            titles += await list_titles(hass, str(child.media_content_id))
    return titles


async def test_odd_names_work_in_events_media_and_entities(
    hass: HomeAssistant,
    server: GazeServer,
    config_entry: MockConfigEntry,
    setup_integration: SetUp,
    events: list[dict[str, Any]],
) -> None:
    assert await async_setup_component(hass, "media_source", {})
    for slug, name in ODD_NAMES.items():
        server.put_preset(slug, name)
    await setup_integration(config_entry)

    jobs: list[dict[str, Any]] = []
    for slug, name in ODD_NAMES.items():
        answer = await act(hass, "generate", preset=slug, tag=name)
        await server.finish()
        jobs += await ended(hass, answer)
    titles = await list_titles(hass, f"media-source://{DOMAIN}")

    assert {job["status"] for job in jobs} == {"done"}
    assert [job["preset"] for job in jobs] == list(ODD_NAMES)
    for job in jobs:
        assert 0 < len(job["preset_name"]) <= 150
        assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in job["preset_name"]
        assert (state := hass.states.get(job["entity_id"])) is not None
        assert 0 < len(state.name) < 255
    assert all(0 < len(title) < 255 for title in titles)
    assert all(len(json_bytes(event)) < 16 * 2**10 for event in events)


async def test_job_of_deleted_preset_ends_with_its_image(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, events: list[dict[str, Any]]
) -> None:
    answer = await generate(hass, count=2)
    server.remove_preset(PRESET)
    await coordinator(entry).async_refresh()
    await hass.async_block_till_done()
    assert hass.states.get("image.gaze_neon_city") is None

    for _ in range(2):
        await server.finish()
    jobs = await ended(hass, answer)

    assert [job["status"] for job in jobs] == ["done", "done"]
    assert {job["entity_id"] for job in jobs} == {"image.gaze_latest_image"}
    for job in jobs:
        assert milestones(events, job["job_id"]) == ["queued", "finished"]


async def test_jobs_continue_at_new_address_of_server(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, events: list[dict[str, Any]]
) -> None:
    answer = await generate(hass, count=2)
    await server.finish()
    await reached(lambda: len(events) >= 3)
    await server.stop()
    await asyncio.sleep(600)
    await server.start()  # at another port

    hass.config_entries.async_update_entry(entry, data={**entry.data, CONF_HOST: server.url})
    await hass.config_entries.async_reload(entry.entry_id)
    await server.finish()
    jobs = await ended(hass, answer)

    assert [job["status"] for job in jobs] == ["done", "done"]
    for job in jobs:
        assert milestones(events, job["job_id"]) == ["queued", "finished"]


async def test_two_entries_of_one_server_both_save_a_job(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    setup_integration: SetUp,
    events: list[dict[str, Any]],
) -> None:
    other = entry_for(server)
    await setup_integration(other)
    answer = await generate(hass, config_entry_id=entry.entry_id)
    job_id = answer["jobs"][0]["job_id"]
    await act(hass, "track_job", job_id=job_id, preset=PRESET, config_entry_id=other.entry_id)

    await server.finish()
    await reached(lambda: not open_ids(entry) and not open_ids(other))

    finished = [event for event in events if event["type"] == "finished"]
    assert {event["config_entry_id"] for event in finished} == {entry.entry_id, other.entry_id}
    assert len({event["file_path"] for event in finished}) == 2


async def test_job_that_is_stopped_and_tracked_at_once_ends_after_each_start(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, events: list[dict[str, Any]]
) -> None:
    answer = await generate(hass)
    job_id = answer["jobs"][0]["job_id"]

    async def stop() -> None:
        await hass.services.async_call(DOMAIN, "stop_tracking", {"job_id": job_id}, blocking=True)

    for _ in range(3):
        track = (act(hass, "track_job", job_id=job_id, preset=PRESET) for _ in range(2))
        await asyncio.gather(stop(), *track, stop())
    await act(hass, "track_job", job_id=job_id, preset=PRESET)
    await server.finish()
    await reached(lambda: not open_ids(entry))

    kinds = milestones(events, job_id)
    assert kinds[::2] == ["queued"] * (len(kinds) // 2)
    assert set(kinds[1:-1:2]) == {"failed"}
    assert kinds[-1] == "finished"


async def test_image_of_job_that_is_stopped_as_it_finishes_is_not_downloaded(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    events: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer = await generate(hass)
    job_id = answer["jobs"][0]["job_id"]
    save = Records.async_save

    async def save_and_stop(records: Records, *jobs: Job) -> None:
        await save(records, *jobs)
        if jobs[0].open and jobs[0].source_url is not None:
            await hass.services.async_call(
                DOMAIN, "stop_tracking", {"job_id": job_id}, blocking=True
            )

    monkeypatch.setattr(Records, "async_save", save_and_stop)
    await server.finish()
    await reached(lambda: not open_ids(entry))
    await asyncio.sleep(600)

    assert milestones(events, job_id) == ["queued", "failed"]
    assert server.requests["image"] == 0
    assert coordinator(entry).gallery.count == 0


async def test_wait_returns_when_server_is_removed(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    answer = await generate(hass)
    waiting = hass.async_create_task(
        act(hass, "wait", batch_id=answer["batch_id"], timeout={"hours": 1})
    )
    await asyncio.sleep(1)
    started_at = hass.loop.time()

    await hass.config_entries.async_remove(entry.entry_id)
    response = await waiting

    assert not response["complete"]
    assert hass.loop.time() - started_at < 60


async def test_urls_of_whole_batch_work_when_images_are_not_saved(
    hass: HomeAssistant,
    server: GazeServer,
    setup_integration: SetUp,
    hass_client: ClientSessionGenerator,
) -> None:
    await setup_integration(entry_for(server, save_images=False))
    client = await hass_client()

    waiting = hass.async_create_task(generate(hass, count=3, wait=True))
    await reached(lambda: len(server.jobs) == 3)
    for _ in range(3):
        await server.finish()
    response = await waiting

    assert response["complete"]
    urls = [job["image_url"] for job in response["jobs"]]
    bodies = []
    for url in urls:
        image = await client.get(url)
        assert image.status == HTTPStatus.OK
        bodies.append(await image.read())
    assert bodies == [server.picture(job["job_id"]) for job in response["jobs"]]


async def test_half_a_surrogate_pair_in_a_prompt_loses_no_job(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, events: list[dict[str, Any]]
) -> None:
    odd = "Neon \ud83d"
    answer = await generate(hass, extra_positive=odd, extra_negative=odd, checkpoint=odd, tag=odd)
    server.add_foreign_jobs(1)
    job_id = server.jobs[-1].job_id
    tracked = await act(hass, "track_job", job_id=job_id, preset=PRESET, tag=odd)
    for _ in range(2):
        await server.finish()
    jobs = await ended(hass, answer) + await ended(hass, tracked)

    assert [(job["status"], job["tag"]) for job in jobs] == [("done", "Neon ?")] * 2
    for job in jobs:
        assert milestones(events, job["job_id"]) == ["queued", "finished"]


async def test_late_download_of_earlier_job_leaves_newer_image_shown(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, events: list[dict[str, Any]]
) -> None:
    answer = await generate(hass, count=2)
    late, newer = [job["job_id"] for job in answer["jobs"]]
    server.faults.on(Fault.SERVER_ERROR, image=late, times=3)
    for _ in range(2):
        await server.finish()
    await reached(lambda: types(events, newer)[-1] == "finished")
    shown = hass.states.get("image.gaze_latest_image")
    was_late = types(events, late)[-1] != "finished"
    await ended(hass, answer)

    assert was_late
    assert hass.states.get("image.gaze_latest_image") == shown
    assert [image["job_id"] for image in (await act(hass, "list_images"))["images"]] == [
        newer,
        late,
    ]
