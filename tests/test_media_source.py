"""Tests of the media source: browse, resolve, and search."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
import sqlite3
from types import MappingProxyType
from typing import Final

from homeassistant.components.media_player import BrowseError, MediaClass, SearchMediaQuery
from homeassistant.components.media_source import (
    BrowseMediaSource,
    Unresolvable,
    async_browse_media,
    async_resolve_media,
    async_search_media,
)
from homeassistant.config_entries import SOURCE_USER, ConfigSubentry
from homeassistant.const import CONF_API_KEY, CONF_HOST, CONF_VERIFY_SSL
from homeassistant.core import HomeAssistant
from homeassistant.core_config import async_process_ha_core_config
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers.translation import async_get_translations
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_capture_events
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator, WebSocketGenerator

from custom_components.gaze import media_source
from custom_components.gaze.const import DOMAIN
from custom_components.gaze.gallery import Gallery, Image
from testing.gaze_server import GazeServer

from .common import make_image
from .conftest import SetUp
from .gallery.pictures import MADE_AT, image, picture, put, take_away

ROOT = "media-source://gaze"
DAY = 86_400

type Add = Callable[..., Awaitable[Image]]


@pytest.fixture(autouse=True)
async def media_source_component(hass: HomeAssistant) -> None:
    assert await async_setup_component(hass, "media_source", {})


@pytest.fixture
def add(entry: MockConfigEntry) -> Add:
    """Return a function that adds an image, made a minute after the previous one."""
    gallery: Gallery = entry.runtime_data.gallery

    async def add_image(job_id: str, **changes: object) -> Image:
        fields = {"made_at": MADE_AT + 60 * gallery.count} | changes
        return await gallery.async_add(image(job_id, **fields), picture(shade=gallery.count))

    return add_image


@pytest.fixture
async def second_entry(
    server: GazeServer, setup_integration: SetUp, entry: MockConfigEntry
) -> AsyncGenerator[MockConfigEntry]:
    """Return the entry of a second server."""
    async with GazeServer(duration=None, size=(64, 96)) as other:
        second = MockConfigEntry(
            domain=DOMAIN,
            title="GAZE (other)",
            entry_id="01K3GAZE0000000000000TEST2",
            data={CONF_HOST: other.url, CONF_API_KEY: other.api_key, CONF_VERIFY_SSL: True},
        )
        assert entry.entry_id != second.entry_id
        assert server.url != other.url
        await setup_integration(second)
        yield second


async def _browse(hass: HomeAssistant, *parts: str) -> BrowseMediaSource:
    found = await async_browse_media(hass, "/".join((ROOT, *parts)))
    assert isinstance(found, BrowseMediaSource)
    return found


def _children(folder: BrowseMediaSource) -> list[tuple[str, str]]:
    """Return the class and the last part of the identifier of each child."""
    return [
        (child.media_class, child.media_content_id.rpartition("/")[2])
        for child in folder.children or []
    ]


# Browsing


async def test_root_shows_folders_of_server_when_there_is_one(
    hass: HomeAssistant, entry: MockConfigEntry, add: Add
) -> None:
    await add("a")
    await add("b", preset="oil-painting", preset_name="Oil painting")
    await add("c", made_at=MADE_AT + 30 * DAY)

    root = await _browse(hass)

    assert root.title == "GAZE"
    assert root.media_content_id == ROOT
    assert _children(root) == [
        (MediaClass.DIRECTORY, "all"),
        (MediaClass.DIRECTORY, "presets"),
        (MediaClass.DIRECTORY, "months"),
        (MediaClass.IMAGE, "c"),
        (MediaClass.IMAGE, "b"),
        (MediaClass.IMAGE, "a"),
    ]
    assert root.children is not None
    assert [child.title for child in root.children[:3]] == [
        "All images (3)",
        "Presets (2)",
        "Months (2)",
    ]
    url = f"/api/gaze/image/{entry.entry_id}"
    assert [child.thumbnail for child in root.children[:3]] == [f"{url}/c?size=256"] * 3
    assert _children(await _browse(hass, entry.entry_id)) == _children(root)


async def test_titles_are_in_language_of_home_assistant(
    hass: HomeAssistant, entry: MockConfigEntry, add: Add
) -> None:
    await add("a")
    await hass.config.async_update(language="de")
    await async_get_translations(hass, "de", "common", [DOMAIN])

    root = await _browse(hass)
    group = await _browse(hass, entry.entry_id, "group", "months")
    folder = await _browse(hass, entry.entry_id, "images", "all")

    assert root.children is not None
    titles = [child.title for child in root.children[:3]]
    assert titles == ["Alle Bilder (1)", "Presets (1)", "Monate (1)"]
    assert [group.title, folder.title] == ["Monate", "Alle Bilder"]


@pytest.mark.parametrize(
    ("folder", "title", "expected"),
    [
        ("images/all", "All images", ["c", "b", "a"]),
        ("preset/neon_city", "Neon city", ["c", "a"]),
        ("preset/oil-painting", "Oil painting", ["b"]),
        ("preset/gone", "Gone by now", ["d"]),
        ("month/2026-08", "2026-08", ["b", "a"]),
        ("month/2026-09", "2026-09", ["c"]),
    ],
)
async def test_folder_lists_newest_images_first(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    add: Add,
    folder: str,
    title: str,
    expected: list[str],
) -> None:
    await add("a")
    await add("b", preset="oil-painting", preset_name="Oil painting")
    await add("c", made_at=MADE_AT + 30 * DAY)
    if expected == ["d"]:
        await add("d", preset="gone", preset_name="Gone by now")

    found = await _browse(hass, entry.entry_id, folder)

    assert found.title == title
    assert found.children is not None
    assert [child.media_content_id for child in found.children] == [
        f"{ROOT}/{entry.entry_id}/{job_id}" for job_id in expected
    ]
    first = found.children[0]
    assert first.thumbnail == f"/api/gaze/image/{entry.entry_id}/{expected[0]}?size=256"
    assert (first.media_class, first.media_content_type) == (MediaClass.IMAGE, "image/png")
    assert first.can_play
    assert not first.can_expand
    assert found.can_search


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({}, "Neon city"),
        ({"recipe": "morning", "recipe_name": "Good morning"}, "Good morning"),
        ({"recipe": "morning", "recipe_name": "Good morning", "title": "Winter fox"}, "Winter fox"),
    ],
)
async def test_title_of_image_begins_with_its_name_and_ends_with_its_time(
    hass: HomeAssistant, entry: MockConfigEntry, add: Add, fields: dict[str, str], name: str
) -> None:
    await add("a", **fields)

    [child] = (await _browse(hass, entry.entry_id, "images", "all")).children or []

    assert child.title == f"{name} · 2026-08-12 07:03"


async def test_folder_of_recipe_has_its_current_name_and_the_last_one_when_deleted(
    hass: HomeAssistant, entry: MockConfigEntry, add: Add
) -> None:
    recipe = ConfigSubentry(
        data=MappingProxyType({"preset": "neon_city"}),
        subentry_type="recipe",
        title="Good morning",
        unique_id=None,
    )
    hass.config_entries.async_add_subentry(entry, recipe)
    await add("a", recipe=recipe.subentry_id, recipe_name="Morning")

    async def titles() -> list[str | None]:
        group = await _browse(hass, entry.entry_id, "group", "recipes")
        folder = await _browse(hass, entry.entry_id, "recipe", recipe.subentry_id)
        assert len(folder.children or []) == 1
        return [*(child.title for child in group.children or []), folder.title]

    renamed = await titles()
    hass.config_entries.async_remove_subentry(entry, recipe.subentry_id)

    assert renamed == ["Good morning (1)", "Good morning"]
    assert await titles() == ["Morning (1)", "Morning"]


async def test_folders_are_empty_when_gallery_is_empty(
    hass: HomeAssistant, entry: MockConfigEntry
) -> None:
    assert _children(await _browse(hass)) == []
    for folder in ("images/all", "preset/neon_city", "preset/unknown", "month/2026-08"):
        found = await _browse(hass, entry.entry_id, folder)
        assert found.children == []
        assert found.as_dict()["children"] == []


async def test_root_is_empty_when_no_server_is_loaded(
    hass: HomeAssistant, entry: MockConfigEntry
) -> None:
    await hass.config_entries.async_unload(entry.entry_id)

    assert (await _browse(hass)).children == []


async def test_large_folder_has_pages(
    hass: HomeAssistant, entry: MockConfigEntry, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media_source, "PAGE", 2)
    for job_id in "abcde":
        await add(job_id)

    pages = []
    folder = await _browse(hass, entry.entry_id, "images", "all")
    while folder.children and folder.children[-1].can_expand:
        assert folder.children_media_class is MediaClass.IMAGE
        assert folder.children[-1].title == "Older images"
        pages.append(_children(folder)[:-1])
        folder = await _browse(hass, folder.children[-1].media_content_id.removeprefix(f"{ROOT}/"))
    pages.append(_children(folder))

    assert [[job_id for _, job_id in page] for page in pages] == [["e", "d"], ["c", "b"], ["a"]]


async def test_each_server_has_folder_when_there_are_several(
    hass: HomeAssistant, entry: MockConfigEntry, second_entry: MockConfigEntry, add: Add
) -> None:
    await add("a")
    await second_entry.runtime_data.gallery.async_add(
        image("z", made_at=MADE_AT + 1), picture(shade=9)
    )
    await add("b", made_at=MADE_AT + 2)

    root = await _browse(hass)

    assert _children(root) == [
        (MediaClass.DIRECTORY, entry.entry_id),
        (MediaClass.DIRECTORY, second_entry.entry_id),
        (MediaClass.IMAGE, "b"),
        (MediaClass.IMAGE, "z"),
        (MediaClass.IMAGE, "a"),
    ]
    assert root.children is not None
    assert [child.title for child in root.children[:2]] == ["GAZE", "GAZE (other)"]
    assert (MediaClass.IMAGE, "z") in _children(await _browse(hass, second_entry.entry_id))
    assert (MediaClass.IMAGE, "z") not in _children(await _browse(hass, entry.entry_id))


async def test_image_can_be_browsed(hass: HomeAssistant, entry: MockConfigEntry, add: Add) -> None:
    await add("a")

    found = await _browse(hass, entry.entry_id, "a")

    assert found.media_class == MediaClass.IMAGE
    assert found.media_content_id == f"{ROOT}/{entry.entry_id}/a"


async def test_image_is_not_listed_when_file_was_deleted(
    hass: HomeAssistant, entry: MockConfigEntry, add: Add, media_dir: Path
) -> None:
    await add("a")
    saved = await add("b")
    take_away(media_dir / "gaze" / "gaze" / saved.path)

    assert [job_id for kind, job_id in _children(await _browse(hass)) if kind == "image"] == ["a"]
    with pytest.raises(Unresolvable):
        await async_resolve_media(hass, f"{ROOT}/{entry.entry_id}/b", None)


# Resolving


async def test_image_resolves_to_url_and_file(
    hass: HomeAssistant, entry: MockConfigEntry, add: Add, media_dir: Path
) -> None:
    saved = await add("a")

    media = await async_resolve_media(hass, f"{ROOT}/{entry.entry_id}/a", None)

    assert media.url == f"/api/gaze/image/{entry.entry_id}/a"
    assert media.mime_type == "image/png"
    assert media.path == media_dir / "gaze" / "gaze" / saved.path


async def test_media_content_id_of_event_resolves(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    events = async_capture_events(hass, "gaze_event")

    job_id = await make_image(hass, server, "neon_city")

    [media_id] = [
        event.data["media_content_id"] for event in events if event.data["type"] == "finished"
    ]
    assert media_id == f"{ROOT}/{entry.entry_id}/{job_id}"
    media = await async_resolve_media(hass, media_id, None)
    assert media.path is not None
    assert media.path.read_bytes() == server.picture(job_id)


async def test_browser_gets_signed_url(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    add: Add,
    hass_ws_client: WebSocketGenerator,
    hass_client_no_auth: ClientSessionGenerator,
) -> None:
    await add("a")
    socket = await hass_ws_client(hass)
    await socket.send_json_auto_id(
        {
            "type": "media_source/resolve_media",
            "media_content_id": f"{ROOT}/{entry.entry_id}/a",
        }
    )
    answer = await socket.receive_json()

    response = await (await hass_client_no_auth()).get(answer["result"]["url"])

    assert response.status == HTTPStatus.OK
    assert await response.read() == picture(shade=0)


# Missing media

STRANGE = ["..", "../..", "%2e%2e", "a/..", "/etc/passwd", "a b", "'", "\x00", "ü", "a" * 300, "."]


MISSING_MEDIA: Final = [
    *STRANGE,
    *(f"{{}}/{part}" for part in STRANGE),
    *(f"{{}}/preset/{part}" for part in STRANGE),
    *(f"{{}}/month/{part}" for part in (*STRANGE, "2026", "2026-1", "2026-08-12", "٢٠٢٦-08")),
    *(f"{{}}/images/{part}" for part in (*STRANGE, "none", "al", "all2")),
    *(f"{{}}/images/all/{part}" for part in (*STRANGE, "x", "-1", "²", "1/2", "9" * 40)),
    "{}/",
    "{}//",
    "{}/missing",
    "{}/other/all",
    "{}/preset/",
    "other/a",
    "01K3GAZE0000000000000TEST2/a",
]


async def test_missing_media_raises_error(
    hass: HomeAssistant, entry: MockConfigEntry, add: Add, subtests: pytest.Subtests
) -> None:
    await add("a")
    for identifier in MISSING_MEDIA:
        with subtests.test(ascii(identifier)):
            media_id = f"{ROOT}/{identifier.format(entry.entry_id)}"

            with pytest.raises(BrowseError):
                await async_browse_media(hass, media_id)
            with pytest.raises(Unresolvable):
                await async_resolve_media(hass, media_id, None)


async def test_error_names_missing_media(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    with pytest.raises(BrowseError, match=f"{entry.entry_id}/missing") as missing:
        await _browse(hass, entry.entry_id, "missing")
    with pytest.raises(BrowseError) as other:
        await _browse(hass, "other", "images", "all")

    assert missing.value.translation_key == "media_not_found"
    assert other.value.translation_key == "media_server_not_loaded"


async def test_folders_do_not_resolve(
    hass: HomeAssistant, entry: MockConfigEntry, add: Add
) -> None:
    await add("a")

    for identifier in ("", "/images/all", "/preset/neon_city", "/month/2026-08"):
        with pytest.raises(Unresolvable):
            await async_resolve_media(hass, f"{ROOT}/{entry.entry_id}{identifier}", None)


async def test_image_is_not_found_on_other_server(
    hass: HomeAssistant, second_entry: MockConfigEntry, add: Add
) -> None:
    await add("a")

    with pytest.raises(Unresolvable) as resolved:
        await async_resolve_media(hass, f"{ROOT}/{second_entry.entry_id}/a", None)
    with pytest.raises(BrowseError) as browsed:
        await _browse(hass, second_entry.entry_id, "a")

    assert resolved.value.translation_key == browsed.value.translation_key == "media_not_found"


async def test_entry_of_other_integration_is_not_found(
    hass: HomeAssistant, entry: MockConfigEntry, add: Add
) -> None:
    await add("a")
    other = MockConfigEntry(domain="other")
    other.add_to_hass(hass)

    with pytest.raises(BrowseError):
        await _browse(hass, other.entry_id, "images", "all")
    assert entry.entry_id != other.entry_id


async def test_link_in_folder_is_not_served(
    hass: HomeAssistant, entry: MockConfigEntry, add: Add, media_dir: Path, tmp_path: Path
) -> None:
    saved = await add("a")
    secret = tmp_path / "secret.png"
    put(secret, picture())
    file = media_dir / "gaze" / "gaze" / saved.path
    take_away(file)
    file.symlink_to(secret)

    with pytest.raises(Unresolvable):
        await async_resolve_media(hass, f"{ROOT}/{entry.entry_id}/a", None)


async def test_failed_index_raises_error(
    hass: HomeAssistant, entry: MockConfigEntry, add: Add
) -> None:
    await add("a")
    index = hass.config.path(".storage", f"gaze.{entry.entry_id}.gallery.db")
    with sqlite3.connect(index) as connection:
        connection.execute("ALTER TABLE image RENAME TO elsewhere")
    connection.close()

    with pytest.raises(BrowseError) as caught:
        await _browse(hass, entry.entry_id, "images", "all")

    assert caught.value.translation_key == "gallery_failed"


# Searching


async def _search(hass: HomeAssistant, query: str, *parts: str, **filters: object) -> list[str]:
    found = await async_search_media(
        hass,
        "/".join((ROOT, *parts)),
        SearchMediaQuery(search_query=query, **filters),  # type: ignore[arg-type] # untyped filters
    )
    return [item.media_content_id.rpartition("/")[2] for item in found.result]


async def test_search_finds_images_below_folder(
    hass: HomeAssistant, entry: MockConfigEntry, add: Add
) -> None:
    await add("a", extra_positive="red sky")
    await add("b", preset="oil-painting", preset_name="Oil painting", tag="sky")
    await add("c", checkpoint="sky.safetensors", made_at=MADE_AT + 30 * DAY)
    await add("d", seed="777")

    assert await _search(hass, "SKY") == ["c", "b", "a"]
    assert await _search(hass, "oil") == ["b"]
    assert await _search(hass, "777", entry.entry_id) == ["d"]
    assert await _search(hass, "sky", entry.entry_id, "images/all") == ["c", "b", "a"]
    assert await _search(hass, "sky", entry.entry_id, "preset/neon_city") == ["c", "a"]
    assert await _search(hass, "sky", entry.entry_id, "month/2026-08") == ["b", "a"]
    assert await _search(hass, "nothing") == []
    assert await _search(hass, "sky", media_filter_classes=[MediaClass.IMAGE]) == ["c", "b", "a"]
    assert await _search(hass, "sky", media_filter_classes=[MediaClass.MUSIC]) == []


async def test_search_finds_images_of_all_servers(
    hass: HomeAssistant, second_entry: MockConfigEntry, add: Add
) -> None:
    await add("a")
    await second_entry.runtime_data.gallery.async_add(
        image("z", made_at=MADE_AT - 1), picture(shade=9)
    )

    assert await _search(hass, "neon") == ["a", "z"]
    assert await _search(hass, "neon", second_entry.entry_id) == ["z"]


MISSING_FOLDERS: Final = ["other", "{}/a", "{}/other/all", "{}/month/..", "{}/../x"]


async def test_search_in_missing_folder_raises_error(
    hass: HomeAssistant, entry: MockConfigEntry, subtests: pytest.Subtests
) -> None:
    for identifier in MISSING_FOLDERS:
        with subtests.test(ascii(identifier)), pytest.raises(BrowseError):
            await _search(hass, "sky", identifier.format(entry.entry_id))


# Other integrations


@pytest.mark.parametrize("folder", ["", "/{}", "/{}/images/all", "/{}/preset/neon_city"])
async def test_collection_image_shows_each_folder(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    add: Add,
    hass_client: ClientSessionGenerator,
    folder: str,
) -> None:
    await add("a")
    client = await hass_client()
    await async_process_ha_core_config(hass, {"internal_url": str(client.make_url("")).rstrip("/")})
    flow = await hass.config_entries.flow.async_init(
        "collection_image", context={"source": SOURCE_USER}
    )

    created = await hass.config_entries.flow.async_configure(
        flow["flow_id"],
        {
            "media": [
                {
                    "media_content_id": f"{ROOT}{folder.format(entry.entry_id)}",
                    "media_content_type": "",
                }
            ]
        },
    )
    await hass.async_block_till_done()

    assert created["type"] is FlowResultType.CREATE_ENTRY
    [state] = [
        state
        for state in hass.states.async_all("image")
        if state.attributes["friendly_name"].endswith("collection")
    ]
    response = await client.get(state.attributes["entity_picture"])
    assert response.status == HTTPStatus.OK
    assert await response.read() == picture(shade=0)


async def test_home_assistant_lists_media_source(
    hass: HomeAssistant, entry: MockConfigEntry
) -> None:
    root = await async_browse_media(hass, None)

    assert root.children is not None
    assert ("GAZE", ROOT) in [(child.title, child.media_content_id) for child in root.children]
    assert entry.title == "GAZE"
