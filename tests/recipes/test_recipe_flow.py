"""Tests of adding, changing, renaming, and deleting recipes without a reload."""

from typing import Any, Final

from homeassistant.core import HomeAssistant, callback
from homeassistant.data_entry_flow import InvalidData
from homeassistant.helpers import device_registry as dr, entity_registry as er
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_capture_events

from custom_components.gaze import templates
from custom_components.gaze.request import MAX_TEXT
from testing.gaze_server import GazeServer

from .conftest import PRESET, AddRecipe, start, submit

ENTITIES = (
    "image.gaze_morning_wallpaper",
    "button.gaze_morning_wallpaper_generate",
    "ai_task.gaze_morning_wallpaper",
)


async def test_name_and_preset_are_enough(
    hass: HomeAssistant, entry: MockConfigEntry, add_recipe: AddRecipe
) -> None:
    recipe_id = await add_recipe()

    assert entry.subentries[recipe_id].title == "Morning wallpaper"
    assert entry.subentries[recipe_id].data == {
        "preset": PRESET,
        "seed_mode": "random",
        "count": 1,
        "if_busy": "queue",
        "keep": 0,
    }


async def test_new_recipe_has_entities_without_reload_or_other_state_writes(
    hass: HomeAssistant, entry: MockConfigEntry, add_recipe: AddRecipe
) -> None:
    coordinator = entry.runtime_data
    changes = async_capture_events(hass, "state_changed")

    recipe_id = await add_recipe()

    registry = er.async_get(hass)
    assert entry.runtime_data is coordinator
    assert {event.data["entity_id"] for event in changes} == set(ENTITIES)
    for entity_id in ENTITIES:
        registered = registry.async_get(entity_id)
        assert registered is not None
        assert registered.config_subentry_id == recipe_id
        assert registered.unique_id.startswith(recipe_id)
    device = dr.async_get(hass).async_get_device_by_identifier(("gaze", recipe_id), entry.entry_id)
    assert device is not None
    assert (device.name, device.model) == ("GAZE Morning wallpaper", "Recipe")


async def test_every_field_can_be_changed_and_emptied(
    hass: HomeAssistant, entry: MockConfigEntry, add_recipe: AddRecipe
) -> None:
    full: dict[str, Any] = {
        "prompt": "a {{ 'cat' }}",
        "negative": "blurry",
        "size_and_model": {"width": 768.0, "height": 512.0, "checkpoint": "a.safetensors"},
        "seed_and_count": {
            "seed_mode": "fixed",
            "seed": "18446744073709551615",
            "count": 2.0,
            "tag": "wall",
            "if_busy": "skip",
            "keep": 5.0,
        },
        "language_model": {"writer": "ai_task.writer", "instructions": "a fox"},
    }
    recipe_id = await add_recipe(**full)
    stored = dict(entry.subentries[recipe_id].data)
    form = await start(hass, entry, source="reconfigure", subentry_id=recipe_id)

    result = await submit(hass, form, name="Evening", preset="oilpainting")

    flat = {"preset": PRESET, "prompt": full["prompt"], "negative": full["negative"]}
    for name in ("size_and_model", "seed_and_count", "language_model"):
        flat |= full[name]
    assert stored == flat
    assert {type(stored[name]) for name in ("width", "height", "count", "keep")} == {int}
    assert (result["type"], result["reason"]) == ("abort", "reconfigure_successful")
    assert entry.subentries[recipe_id].title == "Evening"
    assert entry.subentries[recipe_id].data == {
        "preset": "oilpainting",
        "seed_mode": "random",
        "count": 1,
        "if_busy": "queue",
        "keep": 0,
    }


async def test_deleted_recipe_leaves_no_device_and_no_entity(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, add_recipe: AddRecipe
) -> None:
    devices = dr.async_get(hass)
    before = {d.id for d in dr.async_entries_for_config_entry(devices, entry.entry_id)}
    recipe_id = await add_recipe()

    hass.config_entries.async_remove_subentry(entry, recipe_id)
    server.put_preset("new", "New")
    await entry.runtime_data.async_refresh()
    await hass.async_block_till_done()

    after = {d.name for d in dr.async_entries_for_config_entry(devices, entry.entry_id)}
    assert len(after) == len(before) + 1
    assert all(hass.states.get(entity_id) is None for entity_id in ENTITIES)
    assert list(entry.runtime_data.recipes) == []


async def test_recipe_is_unchanged_when_preset_comes_and_goes(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, add_recipe: AddRecipe
) -> None:
    await add_recipe()
    del server.presets[PRESET]

    await entry.runtime_data.async_refresh()
    await hass.async_block_till_done()

    assert hass.states.get("image.gaze_neon_city") is None
    assert all(hass.states.get(entity_id) is not None for entity_id in ENTITIES)


INVALID_FIELDS: Final[list[tuple[dict[str, Any], dict[str, str]]]] = [
    ({"name": " \n"}, {"name": "name_missing"}),
    ({"name": "existing"}, {"name": "name_taken"}),
    ({"preset": " "}, {"preset": "preset_missing"}),
    ({"prompt": "{{ 1 / 0 }}"}, {"prompt": "template_fails"}),
    ({"prompt": "{{ guest.name }}"}, {"prompt": "template_fails"}),
    ({"negative": "{{ states('sensor.x') | float }}"}, {"negative": "template_fails"}),
    ({"prompt": "a" * (MAX_TEXT + 1)}, {"prompt": "text_too_long"}),
    ({"negative": "<b>{{ 1 }}</b>" * 8000}, {"negative": "text_too_long"}),
    ({"prompt": "{{ 'a' * 20001 }}"}, {"prompt": "text_too_long"}),
    ({"language_model": {"instructions": "{{ 1 / 0 }}"}}, {"base": "template_fails"}),
    ({"seed_and_count": {"seed_mode": "fixed"}}, {"base": "seed_missing"}),
    ({"seed_and_count": {"seed": "-1"}}, {"base": "invalid_seed"}),
    ({"size_and_model": {"width": 512}}, {"base": "size_incomplete"}),
    ({"size_and_model": {"width": 500, "height": 512}}, {"base": "invalid_size"}),
    ({"size_and_model": {"width": 16384, "height": 16384}}, {"base": "size_too_large"}),
]


async def test_invalid_field_shows_error_and_stores_nothing(
    hass: HomeAssistant, entry: MockConfigEntry, add_recipe: AddRecipe, subtests: pytest.Subtests
) -> None:
    await add_recipe("Existing")

    for fields, errors in INVALID_FIELDS:
        with subtests.test(ascii(fields)):
            form = await start(hass, entry)
            result = await submit(hass, form, **{"name": "New", "preset": PRESET, **fields})

            assert result["errors"] == errors
            assert len(entry.subentries) == 1


ENDLESS = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"


@pytest.mark.parametrize(
    ("field", "shown_at"),
    [("prompt", "prompt"), ("negative", "negative"), ("instructions", "base")],
)
async def test_endless_template_is_rejected(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    monkeypatch: pytest.MonkeyPatch,
    field: str,
    shown_at: str,
) -> None:
    monkeypatch.setattr(templates, "TIMEOUT", 0.1)
    form = await start(hass, entry)
    text = {field: ENDLESS}

    result = await submit(
        hass,
        form,
        name="New",
        preset=PRESET,
        **({"language_model": text} if shown_at == "base" else text),
    )

    assert result["errors"] == {shown_at: "template_fails"}
    assert "TimeoutError" in result["description_placeholders"]["error"]


FAILING_TEMPLATES: Final = [
    "{% for i in range(10 ** 9) %}{{ i }}{% endfor %}",
    "{% for i in range(99999) %}{{ 'long' }}{% endfor %}",
    "{{ undefined_function() }}",
    "{{ states.sensor.none.state.value }}",
    "{% include 'other' %}",
    "{{ ''.__class__.__mro__ }}",
]


async def test_template_that_fails_shows_its_error(
    hass: HomeAssistant, entry: MockConfigEntry, subtests: pytest.Subtests
) -> None:
    form = await start(hass, entry)

    for template in FAILING_TEMPLATES:
        with subtests.test(template):
            result = await submit(hass, form, name="New", preset=PRESET, prompt=template)

            assert result["errors"] == {"prompt": "template_fails"}
            assert result["description_placeholders"]["error"]
            assert not entry.subentries


async def test_names_of_emoji_are_different_names(
    hass: HomeAssistant, entry: MockConfigEntry, server: GazeServer, add_recipe: AddRecipe
) -> None:
    for name in ("🎉", "🎄", "Unknown"):
        await add_recipe(name, prompt=name)

    for name in ("🎄", "unknown", "🎉"):
        await hass.services.async_call("gaze", "generate", {"recipe": name}, blocking=True)
    taken = await submit(hass, await start(hass, entry), name=" 🎉 ", preset=PRESET)

    assert [job.body["extra_positive"] for job in server.jobs] == ["🎄", "Unknown", "🎉"]
    assert taken["errors"] == {"name": "name_taken"}


async def test_long_name_is_truncated(
    hass: HomeAssistant, entry: MockConfigEntry, add_recipe: AddRecipe
) -> None:
    recipe_id = await add_recipe("🎄 Árvíztűrő " * 100)

    assert len(entry.subentries[recipe_id].title) == 80
    assert len(hass.states.async_all("image")) > 1


async def test_template_with_syntax_error_is_rejected(
    hass: HomeAssistant, entry: MockConfigEntry
) -> None:
    form = await start(hass, entry)

    with pytest.raises(InvalidData) as caught:
        await submit(hass, form, name="New", preset=PRESET, prompt="{{ now(")

    assert "prompt" in str(caught.value.schema_errors)


@pytest.mark.parametrize("preset", ["Neon city", " neon CITY", PRESET])
async def test_form_stores_slug_of_preset_and_shows_its_name(
    hass: HomeAssistant, entry: MockConfigEntry, add_recipe: AddRecipe, preset: str
) -> None:
    recipe_id = await add_recipe(preset=preset)
    form = await start(hass, entry, source="reconfigure", subentry_id=recipe_id)
    [shown] = [
        key.description["suggested_value"] for key in form["data_schema"].schema if key == "preset"
    ]

    assert entry.subentries[recipe_id].data["preset"] == PRESET
    assert shown == "Neon city"


async def test_form_distinguishes_presets_with_same_name(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, add_recipe: AddRecipe
) -> None:
    server.put_preset("one", "Same")
    server.put_preset("two", "Same")
    await entry.runtime_data.async_refresh()

    recipe_id = await add_recipe(preset="Same (two)")

    assert entry.subentries[recipe_id].data["preset"] == "two"


async def test_form_offers_current_presets_and_accepts_others(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, add_recipe: AddRecipe
) -> None:
    form = await start(hass, entry)
    [config] = [
        field.config for key, field in form["data_schema"].schema.items() if key == "preset"
    ]

    recipe_id = await add_recipe(preset="not_there_yet")

    assert set(config["options"]) == {preset.name for preset in server.presets.values()}
    assert entry.subentries[recipe_id].data["preset"] == "not_there_yet"


async def test_form_accepts_typed_presets_when_server_is_not_loaded(
    hass: HomeAssistant, entry: MockConfigEntry
) -> None:
    await hass.config_entries.async_unload(entry.entry_id)
    form = await start(hass, entry)

    result = await submit(hass, form, name="New", preset=PRESET)
    await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()

    assert result["type"] == "create_entry"
    assert hass.states.get("image.gaze_new") is not None


async def test_rename_in_home_assistant_renames_device(
    hass: HomeAssistant, entry: MockConfigEntry, add_recipe: AddRecipe
) -> None:
    recipe_id = await add_recipe()
    calls: list[None] = []

    @callback
    def note() -> None:
        calls.append(None)

    entry.async_on_unload(entry.runtime_data.recipes.async_add_listener(note))
    hass.config_entries.async_update_subentry(
        entry, entry.subentries[recipe_id], title="Good morning"
    )
    await hass.async_block_till_done()

    device = dr.async_get(hass).async_get_device_by_identifier(("gaze", recipe_id), entry.entry_id)
    assert device is not None
    assert device.name == "GAZE Good morning"
    assert [recipe.name for recipe in entry.runtime_data.recipes] == ["Good morning"]
    assert calls
