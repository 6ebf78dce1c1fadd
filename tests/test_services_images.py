"""Tests of the actions for saved images."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
import errno
from http import HTTPStatus
import os
from pathlib import Path
import shutil
from typing import Any, Final

from freezegun.api import FrozenDateTimeFactory
from homeassistant.components.image import async_get_image
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.helpers import entity_registry as er
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator
import voluptuous as vol

from custom_components.gaze.const import DOMAIN
from custom_components.gaze.gallery import Gallery, Image
from testing.gaze_server import GazeServer

from .common import make_image
from .conftest import SetUp
from .gallery.pictures import (
    MADE_AT,
    image,
    names,
    picture,
    pixels,
    put,
    take_away,
    written_picture,
)

LATEST = "image.gaze_latest_image"
NEON = "image.gaze_neon_city"
KEPT = "sensor.gaze_kept_images"
DAY = 86_400

type Response = dict[str, Any]
type Call = Callable[..., Awaitable[Response]]
type Add = Callable[..., Awaitable[Image]]


@pytest.fixture
def call(hass: HomeAssistant) -> Call:
    """Return a function that calls an action and returns its response."""

    async def call_action(action: str, **data: object) -> Response:
        response = await hass.services.async_call(
            DOMAIN, action, data, blocking=True, return_response=True
        )
        return dict(response or {})

    return call_action


@pytest.fixture
def save(hass: HomeAssistant) -> Callable[..., Awaitable[None]]:
    """Return a function that saves an image."""

    async def save_image(**data: object) -> None:
        await hass.services.async_call(DOMAIN, "save_image", data, blocking=True)

    return save_image


@pytest.fixture
def add(entry: MockConfigEntry) -> Add:
    """Return a function that adds an image, made a second after the previous one."""
    gallery: Gallery = entry.runtime_data.gallery

    async def add_image(job_id: str, **changes: object) -> Image:
        fields = {"made_at": MADE_AT + gallery.count} | changes
        return await gallery.async_add(image(job_id, **fields), picture(shade=gallery.count))

    return add_image


@pytest.fixture
def allowed(hass: HomeAssistant, tmp_path: Path) -> Path:
    """Return a directory that Home Assistant may write to."""
    path = tmp_path / "allowed"
    path.mkdir()
    hass.config.allowlist_external_dirs = {str(path)}
    return path


def _listed(response: Response) -> list[str]:
    return [listed["job_id"] for listed in response["images"]]


# gaze.list_images


async def test_list_images_returns_all_fields(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, call: Call
) -> None:
    await hass.services.async_call(
        DOMAIN,
        "generate",
        {"preset": "Neon city", "seed": str(2**64 - 1), "tag": "wall", "extra_positive": "rain"},
        blocking=True,
    )
    job_id = await server.finish()
    await call("wait", job_id=job_id)

    [listed] = (await call("list_images"))["images"]

    finished_at = listed.pop("finished_at")
    assert finished_at.endswith("+00:00")
    assert listed.pop("batch_id")
    assert Path(listed.pop("file_path")).read_bytes() == server.picture(job_id)
    assert listed == {
        "job_id": job_id,
        "preset": "neon_city",
        "preset_name": "Neon city",
        "tag": "wall",
        "seed": "18446744073709551615",
        "width": 64,
        "height": 96,
        "checkpoint": None,
        "extra_positive": "rain",
        "extra_negative": None,
        "recipe": None,
        "recipe_name": None,
        "title": None,
        "favorite": False,
        "hidden": False,
        "content_type": "image/png",
        "size": len(server.picture(job_id)),
        "media_content_id": f"media-source://gaze/{entry.entry_id}/{job_id}",
        "image_url": f"/api/gaze/image/{entry.entry_id}/{job_id}",
    }


async def test_list_images_filters_images(call: Call, add: Add) -> None:
    await add("a", extra_positive="red sky")
    await add("b", preset="oilpainting", preset_name="Oil painting", tag="wall")
    await add("c", preset="gone", preset_name="Gone by now", seed="777", made_at=MADE_AT + DAY)

    assert _listed(await call("list_images")) == ["c", "b", "a"]
    assert _listed(await call("list_images", preset="oilpainting")) == ["b"]
    assert _listed(await call("list_images", preset="OIL painting")) == ["b"]
    assert _listed(await call("list_images", preset="gone by now")) == ["c"]
    assert _listed(await call("list_images", preset="paper_forest")) == []
    assert _listed(await call("list_images", tag="wall")) == ["b"]
    assert _listed(await call("list_images", search="sky")) == ["a"]
    assert _listed(await call("list_images", search="777")) == ["c"]
    assert _listed(await call("list_images", since="2026-08-12 12:00:00")) == ["c"]
    assert _listed(await call("list_images", since="2026-08-12T14:03:23+00:00")) == ["c", "b"]
    assert _listed(await call("list_images", limit=1, offset=1)) == ["b"]


async def test_list_images_searches_long_text(call: Call, add: Add) -> None:
    await add("a", extra_positive="red sky")
    await add("b", extra_positive="blue sky")
    numbers = " ".join(map(str, range(2000)))

    assert _listed(await call("list_images", search="red sky " * 1000)) == ["a"]
    assert _listed(await call("list_images", search=f"red sky {numbers}")) == []


async def test_list_images_returns_fifty_images_by_default(call: Call, add: Add) -> None:
    for number in range(51):
        await add(f"{number:08}")

    assert len(_listed(await call("list_images"))) == 50
    assert len(_listed(await call("list_images", limit=1000))) == 51


@pytest.mark.usefixtures("entry")
async def test_list_images_fails_for_unknown_preset(call: Call) -> None:
    with pytest.raises(ServiceValidationError) as caught:
        await call("list_images", preset="nothing")
    assert caught.value.translation_key == "unknown_preset"


INVALID_NUMBERS: Final[list[dict[str, Any]]] = [
    {"limit": 0},
    {"limit": 1001},
    {"offset": -1},
    {"offset": 10**30},
    {"since": "x"},
    {"since": "0001-01-01 00:00:00+14:00"},
    {"since": "9999-12-31 23:59:59-12:00"},
]


@pytest.mark.usefixtures("entry")
async def test_list_images_rejects_invalid_numbers(call: Call, subtests: pytest.Subtests) -> None:
    for field in INVALID_NUMBERS:
        with subtests.test(ascii(field)), pytest.raises(vol.Invalid):
            await call("list_images", **field)


LONG_PERIODS: Final[list[tuple[str, dict[str, Any]]]] = [
    ("create_link", {"job_id": "a", "expires_in": 10**30}),
    ("delete_images", {"older_than": {"days": 10**30}}),
    ("wait", {"job_id": "a", "timeout": float("inf")}),
]


@pytest.mark.usefixtures("entry")
async def test_too_long_period_is_rejected(call: Call, subtests: pytest.Subtests) -> None:
    for action, data in LONG_PERIODS:
        with subtests.test(action), pytest.raises(vol.Invalid):
            await call(action, **data)


HALF: Final = "Neon \ud83d"  # half of a surrogate pair
HALF_IDS: Final[list[tuple[str, dict[str, Any]]]] = [
    ("create_link", {}),
    ("mark_images", {"favorite": True}),
    ("regenerate", {}),
    ("wait", {}),
]


async def test_half_a_surrogate_pair_in_job_id_is_unknown(
    call: Call, add: Add, subtests: pytest.Subtests
) -> None:
    await add("a")

    for action, data in HALF_IDS:
        with subtests.test(action):
            with pytest.raises(ServiceValidationError) as caught:
                await call(action, job_id=HALF, **data)

            assert str(caught.value.translation_key).startswith("unknown_")
    assert await call("delete_images", job_id=HALF) == {"deleted": 0}


async def test_half_a_surrogate_pair_in_filter_is_question_mark(
    call: Call, add: Add, subtests: pytest.Subtests
) -> None:
    await add("a")
    await add("b", tag="Neon ?")

    assert _listed(await call("list_images", tag=HALF)) == ["b"]
    assert _listed(await call("list_images", search=HALF)) == ["b"]
    for field in ("preset", "recipe"):
        with subtests.test(field):
            with pytest.raises(ServiceValidationError) as caught:
                await call("list_images", **{field: HALF})

            assert caught.value.translation_key == f"unknown_{field}"


async def test_server_is_required_when_there_are_several(
    call: Call, add: Add, entry: MockConfigEntry, setup_integration: SetUp
) -> None:
    await add("a")
    async with GazeServer(duration=None) as other:
        second = MockConfigEntry(
            domain=DOMAIN,
            title="Other",
            data={"host": other.url, "api_key": other.api_key, "verify_ssl": True},
        )
        await setup_integration(second)

        with pytest.raises(ServiceValidationError):
            await call("list_images")
        assert _listed(await call("list_images", config_entry_id=entry.entry_id)) == ["a"]
        assert _listed(await call("list_images", config_entry_id=second.entry_id)) == []


# gaze.save_image


async def test_image_is_saved_in_allowed_folder(save: Call, add: Add, allowed: Path) -> None:
    await add("a")

    await save(job_id="a", filename=str(allowed / "copy.png"))

    assert (allowed / "copy.png").read_bytes() == picture(shade=0)
    assert names(allowed) == ["copy.png"]


async def test_file_is_overwritten_only_on_request(save: Call, add: Add, allowed: Path) -> None:
    await add("a")
    file = allowed / "copy.png"
    put(file, b"people's own")

    with pytest.raises(ServiceValidationError) as caught:
        await save(job_id="a", filename=str(file))
    assert caught.value.translation_key == "file_exists"
    assert file.read_bytes() == b"people's own"
    await save(job_id="a", filename=str(file), overwrite=True)

    assert file.read_bytes() == picture(shade=0)


FORBIDDEN_FILES: Final = [
    ("{outside}/copy.png", "path_not_allowed"),
    ("{allowed}/../outside/copy.png", "path_not_allowed"),
    ("{allowed}/link/copy.png", "path_not_allowed"),
    ("{allowed}/link.png", "path_not_allowed"),
    ("{allowed}/loop.png", "path_not_allowed"),
    ("{outside}/inward.png", "path_not_allowed"),
    ("copy.png", "path_not_allowed"),
    ("/copy.png", "path_not_allowed"),
    ("{allowed}/missing/copy.png", "folder_missing"),
    ("{allowed}/folder.png", "save_failed"),
    ("{allowed}/file/copy.png", "save_failed"),
    ("{allowed}/\x00.png", "save_failed"),
    ("{allowed}/" + "n" * 300 + ".png", "save_failed"),
    ("{allowed}/copy", "wrong_suffix"),
    ("{allowed}/.png", "wrong_suffix"),
    ("{allowed}/copy.html", "wrong_suffix"),
    ("{allowed}/copy.png.html", "wrong_suffix"),
    ("{allowed}/copy.svg", "wrong_suffix"),
    ("{allowed}/copy.jpg", "wrong_suffix"),
]


async def test_image_is_not_saved_outside_allowed_folders(
    save: Call, add: Add, allowed: Path, subtests: pytest.Subtests
) -> None:
    await add("a")
    outside = allowed.with_name("outside")
    put(outside / "secret.png", b"secret")
    put(allowed / "file", b"a file")
    put(allowed / "folder.png" / "inside", b"a file")
    (allowed / "link").symlink_to(outside)
    (allowed / "link.png").symlink_to(outside / "secret.png")
    (allowed / "loop.png").symlink_to(allowed / "loop.png")
    (outside / "inward.png").symlink_to(allowed / "file")

    for filename, key in FORBIDDEN_FILES:
        with subtests.test(ascii(filename)):
            with pytest.raises(ServiceValidationError) as caught:
                await save(
                    job_id="a",
                    filename=filename.format(allowed=allowed, outside=outside),
                    overwrite=True,
                )

            assert caught.value.translation_key == key
            assert names(outside) == ["inward.png", "secret.png"]
            assert (outside / "inward.png").is_symlink()
            assert (outside / "secret.png").read_bytes() == b"secret"
            assert names(allowed) == ["file", "folder.png", "link", "link.png", "loop.png"]
            assert names(allowed / "folder.png") == ["inside"]


async def test_link_in_allowed_folder_is_not_replaced(save: Call, add: Add, allowed: Path) -> None:
    await add("a")
    put(allowed / "target.png", b"people's own")
    (allowed / "link.png").symlink_to(allowed / "target.png")

    with pytest.raises(ServiceValidationError):
        await save(job_id="a", filename=str(allowed / "link.png"), overwrite=True)

    assert (allowed / "link.png").is_symlink()
    assert (allowed / "target.png").read_bytes() == b"people's own"


async def test_folder_is_not_used_when_replaced_by_link_after_check(
    hass: HomeAssistant,
    save: Call,
    add: Add,
    allowed: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await add("a")
    outside = allowed.with_name("outside")
    outside.mkdir()
    (allowed / "album").mkdir()
    is_allowed_path = hass.config.is_allowed_path

    def swap_after_the_check(path: str) -> bool:
        is_allowed = is_allowed_path(path)
        (allowed / "album").rmdir()
        (allowed / "album").symlink_to(outside)
        return is_allowed

    monkeypatch.setattr(hass.config, "is_allowed_path", swap_after_the_check)

    with pytest.raises(ServiceValidationError):
        await save(job_id="a", filename=str(allowed / "album" / "copy.png"))

    assert names(outside) == []


@pytest.mark.parametrize(
    ("kind", "suffix"),
    [("PNG", ".PNG"), ("JPEG", ".jpg"), ("JPEG", ".jpeg"), ("WEBP", ".webp")],
)
async def test_image_is_saved_with_suffix_of_its_format(
    save: Call, entry: MockConfigEntry, allowed: Path, kind: str, suffix: str
) -> None:
    await entry.runtime_data.gallery.async_add(image("a"), picture(kind))

    await save(job_id="a", filename=str(allowed / f"copy{suffix}"))

    assert pixels((allowed / f"copy{suffix}").read_bytes()) == pixels(picture(kind))


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOTSUP, errno.EMLINK])
async def test_image_is_saved_on_file_system_without_hard_links(
    save: Call,
    entry: MockConfigEntry,
    allowed: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    await entry.runtime_data.gallery.async_add(image("a"), picture())
    monkeypatch.setattr(os, "link", refuse)

    await save(job_id="a", filename=str(allowed / "copy.png"))

    assert names(allowed) == ["copy.png"]
    with pytest.raises(ServiceValidationError):
        await save(job_id="a", filename=str(allowed / "copy.png"))


async def test_image_is_saved_when_fsync_is_unsupported(
    save: Call, add: Add, allowed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(_file: int) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    await add("a")
    monkeypatch.setattr(os, "fsync", unsupported)

    await save(job_id="a", filename=str(allowed / "copy.png"))

    assert (allowed / "copy.png").read_bytes() == picture(shade=0)


async def test_failed_link_leaves_no_file(
    save: Call, entry: MockConfigEntry, allowed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    await entry.runtime_data.gallery.async_add(image("a"), picture())
    monkeypatch.setattr(os, "link", fail)

    with pytest.raises(HomeAssistantError):
        await save(job_id="a", filename=str(allowed / "copy.png"))

    assert names(allowed) == []


async def test_copy_has_metadata_only_in_media_folder(
    hass: HomeAssistant, save: Call, entry: MockConfigEntry, allowed: Path, media_dir: Path
) -> None:
    polyglot = written_picture("a secret prompt") + b"<script>alert(1)</script>"
    await entry.runtime_data.gallery.async_add(image("a"), polyglot)
    www = Path(hass.config.path("www"))
    www.mkdir()
    hass.config.media_dirs["public"] = str(www)
    hass.config.allowlist_external_dirs |= {str(www), str(media_dir)}

    for folder in (www, allowed, media_dir):
        await save(job_id="a", filename=str(folder / "copy.png"))

    for folder in (www, allowed):
        content = (folder / "copy.png").read_bytes()
        assert pixels(content) == pixels(picture())
        assert b"secret" not in content
        assert b"<script>" not in content
    assert (media_dir / "copy.png").read_bytes() == polyglot


@pytest.mark.usefixtures("entry")
async def test_save_image_fails_for_unknown_image(save: Call, allowed: Path) -> None:
    with pytest.raises(ServiceValidationError) as caught:
        await save(job_id="missing", filename=str(allowed / "copy.png"))
    assert caught.value.translation_key == "unknown_image"
    assert names(allowed) == []


async def test_save_image_fails_when_file_is_missing(
    save: Call, add: Add, allowed: Path, media_dir: Path
) -> None:
    saved = await add("a")
    take_away(media_dir / "gaze" / "gaze" / saved.path)

    with pytest.raises(HomeAssistantError) as caught:
        await save(job_id="a", filename=str(allowed / "copy.png"))
    assert caught.value.translation_key == "gallery_failed"


# gaze.delete_images


async def test_images_are_deleted_by_job(call: Call, add: Add, media_dir: Path) -> None:
    for job_id in "abc":
        await add(job_id)

    response = await call("delete_images", job_id=["a", "b", "b", "missing"])

    assert response == {"deleted": 2}
    assert _listed(await call("list_images")) == ["c"]
    assert len(list(media_dir.rglob("*.png"))) == 1


async def test_delete_images_works_without_requested_response(
    hass: HomeAssistant, call: Call, add: Add
) -> None:
    await add("a")

    await hass.services.async_call(DOMAIN, "delete_images", {"job_id": "a"}, blocking=True)

    assert _listed(await call("list_images")) == []


async def test_images_are_deleted_by_preset_and_age(
    call: Call, add: Add, freezer: FrozenDateTimeFactory
) -> None:
    freezer.move_to(datetime.fromtimestamp(MADE_AT + 10 * DAY, UTC))
    await add("a", made_at=MADE_AT)
    await add("b", made_at=MADE_AT + 5 * DAY)
    await add("c", preset="gone", preset_name="Gone", made_at=MADE_AT)
    await add("d", preset="gone", preset_name="Gone", made_at=MADE_AT + 9 * DAY)

    assert await call("delete_images", preset="gone", older_than={"days": 2}) == {"deleted": 1}
    assert _listed(await call("list_images")) == ["d", "b", "a"]
    assert await call("delete_images", older_than="168:00:00") == {"deleted": 1}
    assert _listed(await call("list_images")) == ["d", "b"]
    assert await call("delete_images", preset="Neon city") == {"deleted": 1}
    assert _listed(await call("list_images")) == ["d"]


@pytest.mark.parametrize("age", ["00:00:00", {"seconds": 0}, 0])
async def test_images_are_not_deleted_when_age_is_zero(call: Call, add: Add, age: object) -> None:
    await add("a", made_at=MADE_AT)

    with pytest.raises(ServiceValidationError) as caught:
        await call("delete_images", older_than=age)

    assert caught.value.translation_key == "no_age"
    assert _listed(await call("list_images")) == ["a"]


async def test_nothing_is_deleted_when_age_is_beyond_calendar(call: Call, add: Add) -> None:
    await add("a", made_at=MADE_AT)

    assert await call("delete_images", older_than={"days": 999_999_999}) == {"deleted": 0}


UNCLEAR: Final[list[dict[str, Any]]] = [
    {},
    {"job_id": []},
    {"job_id": "a", "preset": "x"},
    {"job_id": "a", "older_than": 9},
    {"job_id": "a", "entity_id": "image.gaze_latest_image"},
    {"entity_id": "image.gaze_latest_image", "older_than": 9},
]


async def test_delete_images_requires_one_way_to_select(
    call: Call, add: Add, subtests: pytest.Subtests
) -> None:
    await add("a")

    for fields in UNCLEAR:
        with subtests.test(ascii(fields)):
            with pytest.raises(ServiceValidationError) as caught:
                await call("delete_images", **fields)
            assert caught.value.translation_key == "no_images_selected"
            assert _listed(await call("list_images")) == ["a"]


async def test_delete_images_fails_when_file_cannot_be_deleted(
    call: Call, add: Add, media_dir: Path
) -> None:
    saved = await add("a")
    file = media_dir / "gaze" / "gaze" / saved.path
    await call("list_images")
    take_away(file)
    put(file / "inside", b"a file in a folder of that name")

    with pytest.raises(HomeAssistantError) as caught:
        await call("delete_images", job_id="a")
    assert caught.value.translation_key == "gallery_failed"


# Entities that show images


async def test_previous_image_is_shown_when_newest_is_deleted(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, call: Call
) -> None:
    first = await make_image(hass, server, "neon_city")
    shown = hass.states.get(NEON)
    second = await make_image(hass, server, "neon_city")
    assert (await async_get_image(hass, LATEST)).content == server.picture(second)

    await call("delete_images", job_id=second)

    assert shown is not None
    for entity_id in (LATEST, NEON):
        state = hass.states.get(entity_id)
        assert state is not None
        assert state.state == shown.state
        assert (await async_get_image(hass, entity_id)).content == server.picture(first)
    assert entry.runtime_data.gallery.count == 1

    await call("delete_images", job_id=first)
    state = hass.states.get(LATEST)
    assert state is not None
    assert state.state == "unknown"


async def test_previous_image_is_shown_when_newest_file_is_deleted(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    media_dir: Path,
    hass_client: ClientSessionGenerator,
) -> None:
    first = await make_image(hass, server, "neon_city")
    await make_image(hass, server, "neon_city")
    await make_image(hass, server, "neon_city")
    gallery: Gallery = entry.runtime_data.gallery
    for _ in range(2):
        newest = gallery.newest()
        assert newest is not None
        take_away(media_dir / "gaze" / "gaze" / newest.path)
        if newest.job_id != first and len(list(media_dir.rglob("*.png"))) > 1:
            await gallery.async_overview()
    client = await hass_client()

    response = await client.get(f"/api/image_proxy/{LATEST}")

    assert response.status == HTTPStatus.OK
    assert await response.read() == server.picture(first)
    assert gallery.count == 1


async def test_image_is_unavailable_while_disk_is_missing(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, media_dir: Path
) -> None:
    job_id = await make_image(hass, server, "neon_city")
    away = shutil.move(media_dir, media_dir.with_name("away"))

    with pytest.raises(HomeAssistantError) as caught:
        await async_get_image(hass, LATEST)
    assert caught.value.translation_key == "image_unreadable"
    shutil.move(away, media_dir)

    assert (await async_get_image(hass, LATEST)).content == server.picture(job_id)
    assert entry.runtime_data.gallery.count == 1


async def test_sensor_shows_number_of_saved_images(
    hass: HomeAssistant,
    entity_registry: er.EntityRegistry,
    server: GazeServer,
    entry: MockConfigEntry,
    call: Call,
) -> None:
    entity_registry.async_update_entity(KEPT, disabled_by=None)
    await hass.config_entries.async_reload(entry.entry_id)
    job_id = await make_image(hass, server, "neon_city")
    state = hass.states.get(KEPT)
    assert state is not None
    assert state.state == "1"

    await call("delete_images", job_id=job_id)

    state = hass.states.get(KEPT)
    assert state is not None
    assert state.state == "0"


async def test_sensor_of_saved_images_is_disabled_by_default(
    hass: HomeAssistant, entry: MockConfigEntry
) -> None:
    assert entry.runtime_data.gallery.count == 0
    assert hass.states.get(KEPT) is None


# Options


async def test_options_take_effect_immediately(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, media_dir: Path, call: Call
) -> None:
    for _ in range(3):
        await make_image(hass, server, "neon_city")

    hass.config_entries.async_update_entry(entry, options={"keep_images": 1.0})
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    assert len(_listed(await call("list_images"))) == 1

    hass.config_entries.async_update_entry(entry, options={"save_images": False})
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    job_id = await make_image(hass, server, "neon_city")
    assert len(list(media_dir.rglob("*.png"))) == 1
    assert (await async_get_image(hass, NEON)).content == server.picture(job_id)

    hass.config_entries.async_update_entry(entry, options={"strip_metadata": True})
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    assert (await async_get_image(hass, NEON)).content == server.picture(job_id)
    job_id = await make_image(hass, server, "neon_city")
    assert b"tEXt" in server.picture(job_id)
    content = (await async_get_image(hass, NEON)).content
    assert b"tEXt" not in content
    assert len(content) < len(server.picture(job_id))


async def test_only_images_remain_when_entry_is_removed(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, media_dir: Path
) -> None:
    await make_image(hass, server, "neon_city")

    await hass.config_entries.async_remove(entry.entry_id)
    await hass.async_block_till_done()

    assert len(list(media_dir.rglob("*.png"))) == 1
    assert not list(Path(hass.config.path(".storage")).glob("gaze.*gallery*"))
    assert not Path(hass.config.cache_path(DOMAIN, entry.entry_id)).exists()
