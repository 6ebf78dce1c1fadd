"""Tests of repairs of saved images: a disk that is away, and images that are not listed."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
import shutil
import sqlite3
from typing import Final

from homeassistant.components.repairs import DOMAIN as REPAIRS_DOMAIN
from homeassistant.core import HomeAssistant
from homeassistant.helpers import issue_registry as ir
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_time_changed
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.gaze.const import DOMAIN
from custom_components.gaze.gallery import GalleryUnavailableError, Selection
from custom_components.gaze.gallery_repairs import CHECK_INTERVAL
from testing.gaze_server import GazeServer

from .common import act, make_image
from .conftest import SetUp
from .gallery.pictures import image, picture

type Reported = Callable[[], dict[str, ir.IssueEntry]]


@pytest.fixture
def reported(issue_registry: ir.IssueRegistry) -> Reported:
    """Return a function that lists the visible issues by translation key."""
    return lambda: {
        str(issue.translation_key): issue
        for issue in issue_registry.issues.values()
        if issue.domain == DOMAIN and issue.active
    }


@pytest.fixture
async def repairs(hass: HomeAssistant) -> None:
    assert await async_setup_component(hass, REPAIRS_DOMAIN, {})


async def _check(hass: HomeAssistant) -> None:
    """Let time pass until the disk is checked."""
    async_fire_time_changed(hass, dt_util.utcnow() + CHECK_INTERVAL + timedelta(seconds=1))
    await hass.async_block_till_done()


async def _submit(
    hass: HomeAssistant, hass_client: ClientSessionGenerator, issue: ir.IssueEntry
) -> dict[str, object]:
    """Select Submit in the dialog of an issue."""
    client = await hass_client()
    response = await client.post(
        "/api/repairs/issues/fix", json={"handler": DOMAIN, "issue_id": issue.issue_id}
    )
    flow = await response.json()
    assert flow["step_id"] == "confirm"
    response = await client.post(f"/api/repairs/issues/fix/{flow['flow_id']}", json={})
    await hass.async_block_till_done()
    result: dict[str, object] = await response.json()
    return result


async def test_missing_disk_is_reported_until_it_returns(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    server: GazeServer,
    media_dir: Path,
    tmp_path: Path,
    reported: Reported,
) -> None:
    await make_image(hass, server, "neon_city")
    away = shutil.move(media_dir, tmp_path / "away")

    await _check(hass)
    issue = reported()["media_missing"]
    shutil.move(away, media_dir)
    await _check(hass)

    assert issue.is_fixable
    assert issue.translation_placeholders == {"folder": str(media_dir / "gaze")}
    assert reported() == {}
    assert entry.runtime_data.gallery.count == 1


async def test_unreadable_folder_is_reported_until_readable(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    server: GazeServer,
    media_dir: Path,
    reported: Reported,
) -> None:
    await make_image(hass, server, "neon_city")
    marker = media_dir / "gaze" / "gaze" / ".gaze.json"
    content = marker.read_bytes()
    marker.unlink()
    marker.mkdir()  # reading it fails with EISDIR

    await _check(hass)
    issue = reported()["media_unreadable"]
    marker.rmdir()
    marker.write_bytes(content)
    await _check(hass)

    assert not issue.is_fixable
    assert reported() == {}
    assert entry.runtime_data.gallery.count == 1


UNWRITABLE: Final = (
    "CREATE TRIGGER refuse BEFORE INSERT ON image BEGIN SELECT RAISE(ABORT, 'x'); END",
    "DROP TRIGGER refuse",
)
UNREADABLE: Final = ("ALTER TABLE image RENAME TO away", "ALTER TABLE away RENAME TO image")


@pytest.fixture
def index(hass: HomeAssistant, entry: MockConfigEntry) -> Iterator[sqlite3.Connection]:
    """Return a connection to the index, to make it fail."""
    path = hass.config.path(".storage", f"gaze.{entry.entry_id}.gallery.db")
    with closing(sqlite3.connect(path, autocommit=True)) as connection:
        yield connection


@pytest.mark.parametrize(
    ("fault", "repair"), [UNWRITABLE, UNREADABLE], ids=["unwritable", "unreadable"]
)
async def test_index_that_fails_is_reported_until_image_can_be_added(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    server: GazeServer,
    reported: Reported,
    index: sqlite3.Connection,
    caplog: pytest.LogCaptureFixture,
    fault: str,
    repair: str,
) -> None:
    await make_image(hass, server, "neon_city")
    gallery = entry.runtime_data.gallery
    index.execute(fault)

    for _ in range(2):
        with pytest.raises(GalleryUnavailableError):
            await gallery.async_add(image("new"), picture())
        await _check(hass)
    issue = reported()["media_unwritable"]
    index.execute(repair)
    await _check(hass)

    assert issue.translation_placeholders == {"folder": hass.config.path(".storage")}
    assert caplog.text.count("Images cannot be saved at the moment") == 1
    assert reported() == {}
    assert gallery.count == 1
    assert len(await gallery.async_select(Selection())) == 1


async def test_image_deleted_by_user_disappears_when_index_is_readable_again(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    server: GazeServer,
    reported: Reported,
    index: sqlite3.Connection,
) -> None:
    await make_image(hass, server, "neon_city")
    gallery = entry.runtime_data.gallery
    fault, repair = UNREADABLE
    index.execute(fault)
    gallery.path_of(gallery.newest()).unlink()

    await _check(hass)
    before = reported()
    with pytest.raises(GalleryUnavailableError):
        await gallery.async_add(image("new"), picture())
    await _check(hass)
    issues = reported()
    index.execute(repair)
    await _check(hass)

    assert before == {}
    assert list(issues) == ["media_unwritable"]
    assert reported() == {}
    assert gallery.count == 0


@pytest.mark.usefixtures("repairs")
async def test_deleted_folder_is_started_again_on_request(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    server: GazeServer,
    media_dir: Path,
    reported: Reported,
    hass_client: ClientSessionGenerator,
) -> None:
    await make_image(hass, server, "neon_city")
    shutil.rmtree(media_dir / "gaze")
    await _check(hass)

    result = await _submit(hass, hass_client, reported()["media_missing"])

    assert result["type"] == "create_entry"
    assert reported() == {}
    assert entry.runtime_data.gallery.count == 0
    await make_image(hass, server, "neon_city")
    assert entry.runtime_data.gallery.count == 1


@pytest.mark.usefixtures("repairs")
async def test_server_added_again_adopts_its_images(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    server: GazeServer,
    setup_integration: SetUp,
    reported: Reported,
    hass_client: ClientSessionGenerator,
) -> None:
    await make_image(hass, server, "neon_city")
    await make_image(hass, server, "paper_forest")
    before = await entry.runtime_data.gallery.async_select(Selection())
    assert await hass.config_entries.async_remove(entry.entry_id)
    await hass.async_block_till_done()
    again = MockConfigEntry(domain=DOMAIN, title="GAZE", data=dict(entry.data))

    await setup_integration(again)
    issue = reported()["images_found"]
    assert issue.translation_placeholders is not None
    assert issue.translation_placeholders["count"] == "2"
    result = await _submit(hass, hass_client, issue)

    assert result["type"] == "create_entry"
    assert reported() == {}
    after = await again.runtime_data.gallery.async_select(Selection())
    assert [(found.preset_name, found.seed, found.path) for found in after] == [
        (found.preset_name, found.seed, found.path) for found in before
    ]
    state = hass.states.get("image.gaze_latest_image")
    assert state is not None
    assert state.state != "unknown"


@pytest.mark.usefixtures("repairs")
async def test_images_are_not_adopted_while_index_is_unwritable(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    server: GazeServer,
    reported: Reported,
    index: sqlite3.Connection,
    hass_client: ClientSessionGenerator,
) -> None:
    await make_image(hass, server, "neon_city")
    gallery = entry.runtime_data.gallery
    path = gallery.path_of(gallery.newest())
    path.rename(path.with_stem(f"{path.stem}_2"))
    await _check(hass)
    fault, repair = UNWRITABLE
    index.execute(fault)

    refused = await _submit(hass, hass_client, reported()["images_found"])
    index.execute(repair)
    result = await _submit(hass, hass_client, reported()["images_found"])

    assert (refused["type"], refused["reason"]) == ("abort", "failed")
    assert result["type"] == "create_entry"
    assert gallery.count == 1


async def test_servers_added_again_in_other_order_find_their_images(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    server: GazeServer,
    second_server: GazeServer,
    second_entry: MockConfigEntry,
    setup_integration: SetUp,
) -> None:
    folders = [one.runtime_data.gallery.folder for one in (entry, second_entry)]
    for one, its_server in ((entry, server), (second_entry, second_server)):
        fields = {"config_entry_id": one.entry_id}
        job_id = (await act(hass, "generate", preset="neon_city", **fields))["jobs"][0]["job_id"]
        await its_server.finish()
        await act(hass, "wait", job_id=job_id, **fields)
    for one in (entry, second_entry):
        assert await hass.config_entries.async_remove(one.entry_id)

    second = MockConfigEntry(domain=DOMAIN, title="GAZE", data=dict(second_entry.data))
    await setup_integration(second)
    first = MockConfigEntry(domain=DOMAIN, title="GAZE (first)", data=dict(entry.data))
    await setup_integration(first)

    galleries = [one.runtime_data.gallery for one in (first, second)]
    assert [gallery.folder for gallery in galleries] == folders
    assert [gallery.count_found() for gallery in galleries] == [1, 1]


async def test_images_of_other_server_are_not_offered(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    server: GazeServer,
    setup_integration: SetUp,
    reported: Reported,
    media_dir: Path,
) -> None:
    await make_image(hass, server, "neon_city")
    hass.config_entries.async_update_entry(entry, title="Old name")
    other = MockConfigEntry(
        domain=DOMAIN, title="GAZE", data=dict(entry.data) | {"host": "http://127.0.0.1:9"}
    )
    other.add_to_hass(hass)
    await hass.config_entries.async_setup(other.entry_id)

    assert reported() == {}
    assert sorted(path.name for path in (media_dir / "gaze").iterdir()) == ["gaze"]


async def test_many_changes_of_gallery_cause_few_checks(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    server: GazeServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job_id = await make_image(hass, server, "neon_city")
    gallery = entry.runtime_data.gallery
    checks: list[int] = []
    check = gallery.async_check

    async def count_check() -> None:
        checks.append(1)
        await check()

    monkeypatch.setattr(gallery, "async_check", count_check)
    marks = (gallery.async_mark([job_id], favorite=number % 2 == 0) for number in range(20))
    assert sum(await asyncio.gather(*marks)) == 20
    await hass.async_block_till_done()

    assert 1 <= len(checks) < 5


async def test_fix_aborts_when_server_is_not_loaded(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    server: GazeServer,
    media_dir: Path,
    repairs: None,
    reported: Reported,
    hass_client: ClientSessionGenerator,
) -> None:
    await make_image(hass, server, "neon_city")
    shutil.rmtree(media_dir / "gaze")
    await _check(hass)
    issue = reported()["media_missing"]
    await hass.config_entries.async_unload(entry.entry_id)

    result = await _submit(hass, hass_client, issue)

    assert (result["type"], result["reason"]) == ("abort", "not_loaded")
