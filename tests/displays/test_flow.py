"""Displays are added and changed in a form, and described by their subentry."""

from base64 import b64decode
from dataclasses import replace
from http import HTTPStatus
from io import BytesIO
import re
from typing import Any

from homeassistant.config_entries import SOURCE_RECONFIGURE, SOURCE_USER
from homeassistant.core import HomeAssistant
from PIL import Image as Pillow, ImageChops, ImageStat
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.gaze.displays import Colors, Dithering, Fit, Format
from testing.gaze_server import GazeServer

from ..common import press
from .conftest import (
    OTHER,
    PRESET,
    AddDisplay,
    AddImage,
    Screen,
    change_display,
    displays_of,
    settle,
)

DEFAULTS = {
    "source": "latest",
    "address": False,
    "rotation": "0",
    "fit": "cover",
    "background": [0, 0, 0],
    "format": "jpeg",
    "quality": 90,
    "colors": "full",
    "dithering": "floyd_steinberg",
    "order": "newest",
    "advance": "on_new_image",
    "advance_minutes": 60,
}
EVERYTHING = {
    "source": "tag",
    "source_value": "door",
    "width": 800,
    "height": 480,
    "address": True,
    "rendering": {
        "rotation": "270",
        "fit": "contain",
        "background": [255, 128, 0],
        "format": "bmp",
        "quality": 75,
        "colors": "black_white",
        "dithering": "ordered",
    },
    "changing": {"order": "shuffle", "advance": "interval", "advance_minutes": 15},
}


async def start(hass: HomeAssistant, entry: MockConfigEntry, display_id: str | None = None) -> Any:
    """Open the form to add a display, or to change this one."""
    context: Any = (
        {"source": SOURCE_USER}
        if display_id is None
        else {"source": SOURCE_RECONFIGURE, "subentry_id": display_id}
    )
    return await hass.config_entries.subentries.async_init(
        (entry.entry_id, "display"), context=context
    )


async def submit(hass: HomeAssistant, form: Any, **fields: Any) -> Any:
    """Submit the form."""
    result = await hass.config_entries.subentries.async_configure(form["flow_id"], fields)
    await settle(hass)
    return result


def preview_of(result: Any) -> Pillow.Image:
    """Return the preview in the last dialog."""
    found = re.fullmatch(
        r"\n\n!\[\]\(data:image/webp;base64,([A-Za-z0-9+/=]+)\)",
        result["description_placeholders"]["preview"],
    )
    assert found is not None
    return Pillow.open(BytesIO(b64decode(found[1])))


def suggested(form: Any) -> dict[str, Any]:
    """Return what the fields of a form hold when it opens, without their sections."""
    found: dict[str, Any] = {}
    for marker, field in form["data_schema"].schema.items():
        if inner := getattr(field, "schema", None):
            found |= {
                str(key): key.description["suggested_value"]
                for key in inner.schema
                if key.description
            }
        elif marker.description:
            found[str(marker)] = marker.description["suggested_value"]
    return found


async def test_omitted_fields_have_defaults(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    result = await submit(hass, await start(hass, entry), name="Hall")

    assert (result["title"], result["data"]) == ("Hall", DEFAULTS)


async def test_all_fields_are_stored_and_shown_again(
    hass: HomeAssistant, entry: MockConfigEntry, add_display: AddDisplay
) -> None:
    player = await add_display(**EVERYTHING)
    display_id = player.display.display_id
    flat = {key: value for key, value in EVERYTHING.items() if key not in {"rendering", "changing"}}
    flat |= EVERYTHING["rendering"] | EVERYTHING["changing"]  # type: ignore[operator]

    assert dict(entry.subentries[display_id].data) == flat
    assert suggested(await start(hass, entry, display_id)) == {"name": "Hall", **flat}


async def test_changed_display_loses_what_the_form_omits(
    hass: HomeAssistant, entry: MockConfigEntry, add_display: AddDisplay
) -> None:
    player = await add_display(**EVERYTHING)

    await change_display(hass, entry, player, name="Frame", address=False)

    subentry = entry.subentries[player.display.display_id]
    assert (subentry.title, dict(subentry.data)) == ("Frame", DEFAULTS)


@pytest.mark.parametrize(
    ("section", "field", "values"),
    [
        ("rendering", "rotation", ["0", "90", "180", "270"]),
        ("rendering", "fit", list(Fit)),
        ("rendering", "format", list(Format)),
        ("rendering", "colors", list(Colors)),
        ("rendering", "dithering", list(Dithering)),
        ("changing", "order", ["newest", "shuffle"]),
        ("changing", "advance", ["on_new_image", "interval", "on_fetch", "never"]),
    ],
)
async def test_each_choice_is_accepted(
    hass: HomeAssistant, entry: MockConfigEntry, section: str, field: str, values: list[str]
) -> None:
    for value in values:
        result = await submit(
            hass, await start(hass, entry), name="Hall", **{section: {field: value}}
        )
        assert result["data"][field] == value


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"name": " "}, {"name": "name_missing"}),
        ({"source": "tag"}, {"source_value": "source_value_missing"}),
        ({"source": "preset", "source_value": "  "}, {"source_value": "source_value_missing"}),
        ({"source": "recipe", "source_value": "Nope"}, {"source_value": "recipe_unknown"}),
        ({"width": 100}, {"height": "size_incomplete"}),
        ({"height": 100}, {"width": "size_incomplete"}),
        ({"width": 8192, "height": 8192}, {"width": "too_many_pixels"}),
    ],
)
async def test_form_shows_error_at_field_and_recovers(
    hass: HomeAssistant, entry: MockConfigEntry, fields: dict[str, Any], error: dict[str, str]
) -> None:
    form = await start(hass, entry)

    result = await submit(hass, form, **{"name": "Hall", **fields})
    assert result["errors"] == error
    result = await submit(hass, form, name="Hall")

    assert result["type"] == "create_entry"


async def add_recipe(hass: HomeAssistant, entry: MockConfigEntry) -> str:
    """Add a recipe and return its ID."""
    form = await hass.config_entries.subentries.async_init(
        (entry.entry_id, "recipe"), context={"source": SOURCE_USER}
    )
    await submit(hass, form, name="Morning walk", preset=PRESET, prompt="a path")
    return str(list(entry.subentries)[-1])


async def test_recipe_may_be_named_in_three_ways(
    hass: HomeAssistant, entry: MockConfigEntry
) -> None:
    recipe_id = await add_recipe(hass, entry)

    for value in (recipe_id, "Morning walk", "morning_walk"):
        form = await start(hass, entry)
        result = await submit(hass, form, name="Hall", source="recipe", source_value=value)
        assert result["data"]["source_value"] == recipe_id


async def test_recipe_is_no_preset(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    recipe_id = await add_recipe(hass, entry)
    form = await start(hass, entry)

    result = await submit(hass, form, name="Hall", source="preset", source_value=recipe_id)

    assert result["errors"] == {"source_value": "is_recipe"}


async def test_display_shows_images_of_its_recipe_even_if_that_is_deleted(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    add_display: AddDisplay,
    add_image: AddImage,
    press_recipe: Any,
) -> None:
    recipe_id = await add_recipe(hass, entry)
    player = await add_display(source="recipe", source_value=recipe_id)
    wanted = await press_recipe()
    await add_image()
    assert player.state.shown == wanted

    hass.config_entries.async_remove_subentry(entry, recipe_id)
    await change_display(
        hass, entry, player, source="recipe", source_value=recipe_id, width=64, height=64
    )

    assert player.state.shown == wanted


@pytest.fixture
def press_recipe(hass: HomeAssistant, server: Any) -> Any:
    """Return what runs the recipe and waits for its image."""

    async def run() -> str:
        await press(hass, "button.gaze_morning_walk_generate")
        job_id: str = await server.finish()
        await hass.services.async_call(
            "gaze", "wait", {"job_id": job_id}, blocking=True, return_response=True
        )
        await settle(hass)
        return job_id

    return run


async def test_form_works_while_server_is_not_loaded(
    hass: HomeAssistant, entry: MockConfigEntry
) -> None:
    await hass.config_entries.async_unload(entry.entry_id)
    form = await start(hass, entry)

    result = await submit(hass, form, name="Hall", source="preset", source_value=" ink ")
    [display_id] = entry.subentries
    again = await start(hass, entry, display_id)

    assert result["data"]["source_value"] == "ink"
    assert again["description_placeholders"] == {"address": "", "preview": ""}


async def test_preset_may_be_named_while_server_is_not_loaded(
    hass: HomeAssistant, entry: MockConfigEntry, add_image: AddImage
) -> None:
    first = await add_image()
    await add_image(OTHER)
    await hass.config_entries.async_unload(entry.entry_id)
    form = await start(hass, entry)
    await submit(hass, form, name="Hall", source="preset", source_value="neon city")

    await hass.config_entries.async_setup(entry.entry_id)
    await settle(hass)
    [player] = displays_of(entry).players
    assert player.state.shown == first
    newest = await add_image()

    assert player.state.shown == newest


@pytest.mark.parametrize("loaded", [True, False])
async def test_deleted_preset_that_has_images_may_be_named(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    server: GazeServer,
    add_image: AddImage,
    *,
    loaded: bool,
) -> None:
    wanted = await add_image()
    await add_image(OTHER)
    server.presets.pop(PRESET)
    await entry.runtime_data.async_refresh()
    if not loaded:
        await hass.config_entries.async_unload(entry.entry_id)
    form = await start(hass, entry)
    result = await submit(hass, form, name="Hall", source="preset", source_value="Neon City")

    if not loaded:
        await hass.config_entries.async_setup(entry.entry_id)
        await settle(hass)
    [player] = displays_of(entry).players

    assert player.state.shown == wanted
    assert (result["data"]["source_value"] == PRESET) is loaded


async def test_display_of_deleted_preset_ignores_preset_with_its_name(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    server: GazeServer,
    add_display: AddDisplay,
    add_image: AddImage,
) -> None:
    player = await add_display(source="preset", source_value=PRESET)
    wanted = await add_image()
    server.presets.pop(PRESET)
    server.presets[OTHER] = replace(server.presets[OTHER], name=PRESET)
    await entry.runtime_data.async_refresh()

    await add_image(OTHER)

    assert player.state.shown == wanted


async def test_dialog_shows_address_and_what_the_screen_gets(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    add_display: AddDisplay,
    add_image: AddImage,
    screen: Screen,
) -> None:
    hass.config.internal_url = "http://192.168.1.5:8123"
    player = await add_display(width=80, height=40)
    await add_image()

    form = await start(hass, entry, player.display.display_id)

    shown = form["description_placeholders"]
    assert f"\nhttp://192.168.1.5:8123{screen.path(player)}\n" in shown["address"]
    state = hass.states.get("image.gaze_hall")
    assert state is not None
    assert state.attributes["entity_picture"] in shown["preview"]


@pytest.mark.parametrize(("colors", "most"), [("full", 12), ("black_white_red", 0)])
async def test_last_dialog_shows_address_and_preview(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    add_image: AddImage,
    screen: Screen,
    colors: str,
    most: float,
) -> None:
    hass.config.internal_url = "http://192.168.1.5:8123"
    await add_image()
    form = await start(hass, entry)

    result = await submit(
        hass,
        form,
        name="Hall",
        address=True,
        width=120,
        height=80,
        rendering={"format": "bmp", "colors": colors},
    )

    [player] = displays_of(entry).players
    shown = result["description_placeholders"]
    assert shown["address"] == f"\n\n```\nhttp://192.168.1.5:8123{screen.path(player)}\n```"
    preview, fetched = preview_of(result).convert("RGB"), (await screen.fetch(player)).image
    assert preview.size == fetched.size == (120, 80)
    difference = ImageStat.Stat(ImageChops.difference(preview, fetched.convert("RGB")))
    assert max(difference.mean) <= most


async def test_last_dialog_shows_path_if_home_assistant_has_no_address(
    hass: HomeAssistant, entry: MockConfigEntry, screen: Screen
) -> None:
    hass.config.api = None

    result = await submit(hass, await start(hass, entry), name="Hall", address=True)

    [player] = displays_of(entry).players
    assert f"\n{screen.path(player)}\n" in result["description_placeholders"]["address"]


async def test_last_dialog_shows_brand_image_before_first_image(
    hass: HomeAssistant, entry: MockConfigEntry
) -> None:
    result = await submit(hass, await start(hass, entry), name="Hall")

    assert result["description_placeholders"]["address"] == ""
    assert preview_of(result).size == (480, 480)


async def test_display_is_added_if_preview_fails(
    hass: HomeAssistant, entry: MockConfigEntry, add_image: AddImage
) -> None:
    job_id = await add_image()
    entry.runtime_data.gallery.saved_path(job_id).write_bytes(b"no image")

    result = await submit(hass, await start(hass, entry), name="Hall")

    assert result["description_placeholders"] == {"address": "", "preview": ""}
    assert len(displays_of(entry).players) == 1


async def test_name_of_any_length_gives_short_address(
    hass: HomeAssistant, entry: MockConfigEntry, add_display: AddDisplay, screen: Screen
) -> None:
    player = await add_display(name="🎄 Hall " * 200)
    assert len(player.display.name) <= 80

    subentry = entry.subentries[player.display.display_id]
    hass.config_entries.async_update_subentry(entry, subentry, title="Hall " * 200)
    await settle(hass)

    assert len(screen.path(player)) < 200
    assert (await screen.fetch(player)).status == HTTPStatus.OK


async def test_dialog_shows_no_address_while_it_is_off(
    hass: HomeAssistant, entry: MockConfigEntry, add_display: AddDisplay
) -> None:
    player = await add_display(address=False)

    form = await start(hass, entry, player.display.display_id)

    assert form["description_placeholders"]["address"] == ""
