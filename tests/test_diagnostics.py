"""Diagnostics are complete enough to help, and contain nothing private."""

import json
from types import MappingProxyType
from typing import Any

from homeassistant.config_entries import ConfigEntryState, ConfigSubentry
from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.components.diagnostics import (
    get_diagnostics_for_config_entry,
)
from pytest_homeassistant_custom_component.syrupy import HomeAssistantSnapshotExtension
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator
from syrupy.assertion import SnapshotAssertion
from syrupy.filters import paths
from syrupy.matchers import path_type

from custom_components.gaze.diagnostics import MAX_JOBS, MAX_TEXT
from testing.faults import Fault
from testing.gaze_server import GazeServer

from .common import PRESET, act, make_image, until, wait_for

# What differs from run to run
VARIABLE = path_type(
    mapping={
        "address.port": (int,),
        r".*\.(batch|job)_id": (str,),
        r".*\.(image_url|media_content_id)": (str,),
        r".*\.duration": (float,),
        r".*_at": (str,),
        r"durations\..*\.seconds": (list,),
        r"pacing\.next_poll\.in": (float,),
    },
    regex=True,
    strict=False,
)


@pytest.fixture
def snapshot(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    """Return the snapshots in Home Assistant's own form, whichever plugin was loaded last."""
    return snapshot.use_extension(HomeAssistantSnapshotExtension)


async def diagnostics(
    hass: HomeAssistant, hass_client: ClientSessionGenerator, entry: MockConfigEntry
) -> dict[str, Any]:
    """Return what people download."""
    assert await async_setup_component(hass, "diagnostics", {})
    found = await get_diagnostics_for_config_entry(hass, hass_client, entry)
    assert isinstance(found, dict)
    return found


async def test_diagnostics_contain_jobs_images_pace_and_options(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    hass_client: ClientSessionGenerator,
    snapshot: SnapshotAssertion,
) -> None:
    await make_image(hass, server, PRESET)
    await act(hass, "generate", preset=PRESET, extra_positive="a cat", tag="wall")
    await wait_for(hass, server.fail())
    entry.runtime_data.engine.durations.learn((PRESET, "", ""), 12.345, 12.345)
    await act(hass, "generate", preset=PRESET, width=512, height=768)

    found = await diagnostics(hass, hass_client, entry)

    assert found == snapshot(matcher=VARIABLE, exclude=paths("gallery.months"))
    assert list(found["gallery"]["months"].values()) == [1]


async def test_diagnostics_contain_nothing_private(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    hass_client: ClientSessionGenerator,
) -> None:
    hass.config_entries.async_update_entry(entry, title="GAZE (127.0.0.1)")
    server.put_preset("home", "At 127.0.0.1")
    hass.config_entries.async_add_subentry(
        entry,
        ConfigSubentry(
            data=MappingProxyType({"preset": "home", "prompt": "Cousin Carl", "tag": "wedding"}),
            subentry_type="recipe",
            title="Grandpa Otto",
            unique_id=None,
        ),
    )
    await hass.async_block_till_done(wait_background_tasks=True)
    await act(
        hass,
        "generate",
        preset="home",
        extra_positive="Aunt Emma",
        extra_negative="Uncle Bob",
        tag="birthday",
    )
    complaint = f"aunt emma, Uncle Bob, birthday: {server.api_key} fails at {server.url}"
    await wait_for(hass, server.fail(error=complaint))
    recipe_job = (await act(hass, "generate", recipe="Grandpa Otto"))["jobs"][0]
    await wait_for(hass, await server.finish())

    text = json.dumps(await diagnostics(hass, hass_client, entry))

    assert "**REDACTED**, **REDACTED**, **REDACTED**: **REDACTED** fails at http" in text
    assert recipe_job["job_id"] in text
    assert recipe_job["entity_id"].endswith("grandpa_otto")
    for private in (
        *("emma", "bob", "birthday", "otto", "carl", "wedding"),
        *("127.0.0.1", server.api_key.casefold()),
    ):
        assert private not in text.casefold()


async def test_diagnostics_are_bounded(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    hass_client: ClientSessionGenerator,
) -> None:
    for _ in range(4):
        await act(hass, "generate", preset=PRESET, count=20, checkpoint="x" * 10_000)

    found = await diagnostics(hass, hass_client, entry)

    newest = [record.job_id for record in server.jobs][-MAX_JOBS:]
    assert [job["job_id"] for job in found["jobs"]["last"]] == newest
    assert found["jobs"]["by_status"] == {"queued": 80}
    assert {len(job["checkpoint"]) for job in found["jobs"]["last"]} == {MAX_TEXT}
    assert len(json.dumps(found)) < 100_000


async def test_diagnostics_report_server_that_failed_to_set_up(
    hass: HomeAssistant,
    server: GazeServer,
    config_entry: MockConfigEntry,
    hass_client: ClientSessionGenerator,
    media_dir: object,
) -> None:
    server.set_online(False)
    config_entry.add_to_hass(hass)
    await hass.config_entries.async_setup(config_entry.entry_id)

    found = await diagnostics(hass, hass_client, config_entry)

    assert config_entry.state is ConfigEntryState.SETUP_RETRY
    assert found["entry"]["state"] == "setup_retry"
    assert found["address"] == {"scheme": "http", "port": server.port, "has_path": False}
    assert "jobs" not in found


async def test_diagnostics_report_silent_server(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    hass_client: ClientSessionGenerator,
) -> None:
    server.set_online(False)
    await entry.runtime_data.async_refresh()

    found = await diagnostics(hass, hass_client, entry)

    assert not found["server"]["answers"]
    assert found["server"]["error"] == "UpdateFailed"
    assert found["server"]["presets"][PRESET] == server.presets[PRESET].name


async def test_diagnostics_report_unreadable_gallery(
    hass: HomeAssistant, entry: MockConfigEntry, hass_client: ClientSessionGenerator
) -> None:
    await entry.runtime_data.gallery.async_close()

    found = await diagnostics(hass, hass_client, entry)

    assert found["gallery"] == {"count": 0, "error": "IndexFailedError"}


async def test_diagnostics_report_unknown_status(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    hass_client: ClientSessionGenerator,
) -> None:
    server.faults.on(Fault.UNKNOWN_STATUS)
    await act(hass, "generate", preset=PRESET)
    server.begin()
    await until(lambda: bool(entry.runtime_data.engine.pacing["unknown_statuses"]))

    found = await diagnostics(hass, hass_client, entry)

    assert found["pacing"]["unknown_statuses"] == ["rendering"]
