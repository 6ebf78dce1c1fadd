"""Tests of favorites and hidden images."""

from collections.abc import Awaitable, Callable
from pathlib import Path
import shutil
from typing import Any, Final

from homeassistant.components.media_source import async_browse_media
from homeassistant.const import STATE_UNKNOWN
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_capture_events

from custom_components.gaze.const import DOMAIN, EVENT_GAZE
from custom_components.gaze.diagnostics import async_get_config_entry_diagnostics
from custom_components.gaze.marking import async_mark_images
from testing.gaze_server import GazeServer

from .gallery.pictures import MADE_AT, image, picture

type Act = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture
def act(hass: HomeAssistant) -> Act:
    """Return a function that calls an action and returns its response."""

    async def call(action: str, **data: Any) -> dict[str, Any]:
        response = await hass.services.async_call(
            DOMAIN, action, data, blocking=True, return_response=True
        )
        await hass.async_block_till_done()
        return dict(response or {})

    return call


@pytest.fixture
async def images(hass: HomeAssistant, entry: MockConfigEntry) -> list[str]:
    """Return the IDs of four images, oldest first."""
    gallery = entry.runtime_data.gallery
    for number in range(4):
        await gallery.async_add(
            image(
                f"job-{number}",
                made_at=MADE_AT + number,
                tag="wall/paper" if number == 1 else None,
                recipe="01RECIPE" if number == 2 else None,
                recipe_name="Morning" if number == 2 else None,
            ),
            picture(shade=number),
        )
    entry.runtime_data.async_update_listeners()
    await hass.async_block_till_done()
    return [f"job-{number}" for number in range(4)]


async def _listed(act: Act, **data: Any) -> list[str]:
    return [found["job_id"] for found in (await act("list_images", **data))["images"]]


async def test_favorites_and_hidden_images_are_listed_on_request(
    act: Act, images: list[str]
) -> None:
    assert await act("mark_images", job_id=["job-0", "job-1"], favorite=True) == {"updated": 2}
    assert await act("mark_images", job_id=["job-1", "job-2"], hidden=True) == {"updated": 2}

    assert await _listed(act) == ["job-3", "job-0"]
    assert await _listed(act, favorite=True) == ["job-0"]
    assert await _listed(act, favorite=False) == ["job-3"]
    assert await _listed(act, hidden=True) == ["job-2", "job-1"]
    assert await _listed(act, hidden=True, favorite=True) == ["job-1"]
    assert await _listed(act, hidden=True, recipe="morning") == ["job-2"]


async def test_marking_again_changes_and_fires_nothing(
    hass: HomeAssistant, act: Act, images: list[str]
) -> None:
    events = async_capture_events(hass, EVENT_GAZE)

    first = await act("mark_images", job_id=images, favorite=True, hidden=False)
    second = await act("mark_images", job_id=images, favorite=True)

    assert (first, second) == ({"updated": 4}, {"updated": 0})
    assert events == []


@pytest.mark.parametrize("job_ids", [["nowhere"], ["job-0", "nowhere", "job-1", "neither"]])
async def test_error_names_unknown_images_and_nothing_changes(
    act: Act, images: list[str], job_ids: list[str]
) -> None:
    with pytest.raises(ServiceValidationError) as raised:
        await act("mark_images", job_id=job_ids, favorite=True)

    assert raised.value.translation_key == "unknown_images"
    named = (raised.value.translation_placeholders or {})["job_ids"]
    assert named == ", ".join(job_id for job_id in job_ids if not job_id.startswith("job-"))
    assert await _listed(act, favorite=True) == []


async def test_unknown_image_of_another_server_changes_nothing(
    act: Act, entry: MockConfigEntry, second_entry: MockConfigEntry, images: list[str]
) -> None:
    servers = entry.runtime_data, second_entry.runtime_data

    with pytest.raises(ServiceValidationError):
        await async_mark_images(
            {servers[0]: images, servers[1]: ["nowhere"]}, favorite=True, hidden=None
        )

    assert await servers[0].gallery.async_marked() == (0, 0)


EMPTY_CALLS: Final[list[tuple[dict[str, Any], str]]] = [
    ({"favorite": True}, "no_image_named"),
    ({"job_id": "job-0"}, "no_marks"),
    ({"entity_id": "light.kitchen", "favorite": True}, "not_an_image_entity"),
    ({"entity_id": "sensor.gaze_status", "favorite": True}, "not_an_image_entity"),
    ({"entity_id": "image.gaze_paper_forest", "hidden": True}, "entity_without_image"),
]


async def test_empty_call_raises_error(
    act: Act, images: list[str], subtests: pytest.Subtests
) -> None:
    for data, key in EMPTY_CALLS:
        with subtests.test(ascii(data)):
            with pytest.raises(ServiceValidationError) as raised:
                await act("mark_images", **data)

            assert raised.value.translation_key == key


async def test_entity_of_unloaded_server_raises_error(
    hass: HomeAssistant,
    act: Act,
    images: list[str],
    entry: MockConfigEntry,
    second_entry: MockConfigEntry,
) -> None:
    await hass.config_entries.async_unload(entry.entry_id)

    with pytest.raises(ServiceValidationError) as raised:
        await act("mark_images", entity_id="image.gaze_latest_image", favorite=True)

    assert raised.value.translation_key == "not_an_image_entity"


async def test_image_of_entity_is_hidden_and_previous_one_is_shown(
    hass: HomeAssistant, act: Act, images: list[str]
) -> None:
    shown = hass.states.get("image.gaze_neon_city")
    entities = ["image.gaze_neon_city", "image.gaze_latest_image"]

    await act("mark_images", entity_id=entities, hidden=True)

    fallen_back = hass.states.get("image.gaze_neon_city")
    assert shown is not None
    assert fallen_back is not None
    assert fallen_back.state < shown.state
    assert await _listed(act, hidden=True) == ["job-3"]


async def test_entity_shows_no_image_when_all_are_hidden(
    hass: HomeAssistant, act: Act, images: list[str]
) -> None:
    await act("mark_images", job_id=images, hidden=True)

    state = hass.states.get("image.gaze_neon_city")
    assert state is not None
    assert state.state == STATE_UNKNOWN


async def test_favorites_are_deleted_only_on_request(act: Act, images: list[str]) -> None:
    await act("mark_images", job_id=["job-0", "job-1"], favorite=True)
    await act("mark_images", job_id="job-2", hidden=True)

    assert await act("delete_images", preset="neon_city") == {"deleted": 2}
    assert await _listed(act) == ["job-1", "job-0"]
    assert await act("delete_images", job_id="job-0", include_favorites=True) == {"deleted": 1}
    assert await act("delete_images", preset="neon_city", include_favorites=True) == {"deleted": 1}


@pytest.mark.parametrize(
    "data", [{"job_id": ["job-1", "job-3"]}, {"entity_id": "image.gaze_neon_city"}]
)
async def test_deleting_named_favorite_is_an_error_and_deletes_nothing(
    act: Act, images: list[str], data: dict[str, Any]
) -> None:
    await act("mark_images", job_id=["job-0", "job-3"], favorite=True)

    with pytest.raises(ServiceValidationError) as raised:
        await act("delete_images", **data)

    assert raised.value.translation_key == "favorites_named"
    assert (raised.value.translation_placeholders or {})["job_ids"] == "job-3"
    assert len(await _listed(act)) == 4


async def test_marking_works_while_disk_is_missing(
    act: Act, images: list[str], media_dir: Path, tmp_path: Path
) -> None:
    away = shutil.move(media_dir, tmp_path / "away")

    assert await act("mark_images", job_id=images, favorite=True) == {"updated": 4}
    with pytest.raises(HomeAssistantError):
        await act("delete_images", job_id=images, include_favorites=True)
    shutil.move(away, media_dir)

    assert len(await _listed(act, favorite=True)) == 4


async def test_diagnostics_count_favorites_and_hidden_images(
    hass: HomeAssistant, act: Act, entry: MockConfigEntry, images: list[str]
) -> None:
    await act("mark_images", job_id=images[:3], favorite=True)
    await act("mark_images", job_id=images[:1], hidden=True)

    gallery = (await async_get_config_entry_diagnostics(hass, entry))["gallery"]

    assert (gallery["count"], gallery["favorites"], gallery["hidden"]) == (4, 3, 1)


async def test_media_has_folders_for_existing_images(
    hass: HomeAssistant, act: Act, entry: MockConfigEntry, images: list[str]
) -> None:
    await act("mark_images", job_id=["job-0", "job-1"], favorite=True)
    await act("mark_images", job_id=["job-3"], hidden=True)

    top = await async_browse_media(hass, "media-source://gaze")
    folders = {child.title: child for child in top.children or [] if child.can_expand}

    assert list(folders) == [
        "All images (3)",
        "Favorites (2)",
        "Presets (1)",
        "Recipes (1)",
        "Tags (1)",
        "Months (1)",
        "Hidden (1)",
    ]
    assert all(folder.thumbnail for folder in folders.values())
    assert len(top.children or []) == 7 + 3
    for title, expected in (
        ("All images (3)", ["job-2", "job-1", "job-0"]),
        ("Favorites (2)", ["job-1", "job-0"]),
        ("Hidden (1)", ["job-3"]),
    ):
        assert await _images_in(hass, folders[title].media_content_id) == expected
    for title, inner, expected in (
        ("Presets (1)", "Neon city (3)", ["job-2", "job-1", "job-0"]),
        ("Recipes (1)", "Morning (1)", ["job-2"]),
        ("Tags (1)", "wall/paper (1)", ["job-1"]),
        ("Months (1)", "2026-08 (3)", ["job-2", "job-1", "job-0"]),
    ):
        group = await async_browse_media(hass, folders[title].media_content_id)
        [folder] = group.children or []
        assert folder.title == inner
        assert await _images_in(hass, folder.media_content_id) == expected


async def _images_in(hass: HomeAssistant, media_content_id: str) -> list[str]:
    folder = await async_browse_media(hass, media_content_id)
    assert all(child.thumbnail for child in folder.children or [])
    return [child.media_content_id.rpartition("/")[2] for child in folder.children or []]


async def test_folder_without_images_is_hidden(
    hass: HomeAssistant, entry: MockConfigEntry, server: GazeServer
) -> None:
    top = await async_browse_media(hass, "media-source://gaze")

    assert top.children == []
