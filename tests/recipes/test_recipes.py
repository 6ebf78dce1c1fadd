"""Tests of running recipes: templates, overrides, titles, retention, and repairs."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
import time
from typing import Any

from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant, ServiceResponse
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.helpers import entity_registry as er, issue_registry as ir
from homeassistant.helpers.service import async_get_all_descriptions
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_capture_events
import voluptuous as vol

from custom_components.gaze import templates
from custom_components.gaze.const import DOMAIN, EVENT_GAZE
from custom_components.gaze.diagnostics import async_get_config_entry_diagnostics
from testing.clocks import work_time
from testing.faults import Fault
from testing.gaze_server import GazeServer

from ..common import act, press, until, wait_for
from ..pages import Block, blocks, recipe as parse
from .conftest import PRESET, AddRecipe, Writer, start, submit

IMAGE = "image.gaze_morning_wallpaper"
BUTTON = "button.gaze_morning_wallpaper_generate"
AI_TASK = "ai_task.gaze_morning_wallpaper"


async def run(hass: HomeAssistant, server: GazeServer, recipe: str, **data: Any) -> dict[str, Any]:
    """Run a recipe until its image is finished. Returns the job."""
    response = await act(hass, "generate", recipe=recipe, **data)
    for job in response["jobs"]:
        await server.finish(job["job_id"])
        await wait_for(hass, job["job_id"])
    [job, *_] = (await act(hass, "wait", job_id=response["jobs"][0]["job_id"]))["jobs"]
    await hass.async_block_till_done(wait_background_tasks=True)
    found: dict[str, Any] = job
    return found


def start_task(hass: HomeAssistant, instructions: str) -> asyncio.Task[ServiceResponse]:
    """Start the AI task of the recipe."""
    return hass.async_create_task(
        hass.services.async_call(
            "ai_task",
            "generate_image",
            {"entity_id": AI_TASK, "task_name": "test", "instructions": instructions},
            blocking=True,
            return_response=True,
        )
    )


def issue(hass: HomeAssistant, recipe_id: str) -> ir.IssueEntry | None:
    """Return the repair issue of a recipe."""
    return ir.async_get(hass).async_get_issue(DOMAIN, f"recipe-{recipe_id}")


async def test_button_renders_templates_at_each_press(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, add_recipe: AddRecipe
) -> None:
    await add_recipe(prompt="a {{ states('sensor.weather') }} sky", negative="{{ 'fog' }}")
    for weather in ("sunny", "rainy"):
        hass.states.async_set("sensor.weather", weather)
        await press(hass, BUTTON)

    assert [job.body for job in server.jobs] == [
        {"count": 1, "extra_positive": "a sunny sky", "extra_negative": "fog"},
        {"count": 1, "extra_positive": "a rainy sky", "extra_negative": "fog"},
    ]


async def test_every_recipe_field_is_sent_to_server(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, add_recipe: AddRecipe
) -> None:
    recipe_id = await add_recipe(
        prompt="a cat",
        size_and_model={"width": 768, "height": 512, "checkpoint": "a.safetensors"},
        seed_and_count={"seed_mode": "fixed", "seed": str(2**64 - 1), "count": 2, "tag": "wall"},
    )

    response = await act(hass, "generate", recipe=recipe_id)

    assert server.jobs[0].body == {
        "count": 2,
        "extra_positive": "a cat",
        "seed": 2**64 - 1,
        "width": 768,
        "height": 512,
        "checkpoint": "a.safetensors",
    }
    for job in response["jobs"]:
        assert (job["recipe"], job["recipe_name"]) == (recipe_id, "Morning wallpaper")
        assert (job["tag"], job["title"]) == ("wall", None)


@pytest.mark.parametrize("name", ["morning_wallpaper", "MORNING wallpaper ", None])
async def test_recipe_runs_by_slug_name_or_id_with_overrides(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    add_recipe: AddRecipe,
    name: str | None,
) -> None:
    recipe_id = await add_recipe(
        prompt="a portrait of {{ guest | default('nobody') }}",
        seed_and_count={"count": 2, "tag": "wall"},
    )

    await act(
        hass,
        "generate",
        recipe=name or recipe_id,
        variables={"guest": "Ann"},
        count=1,
        seed="7",
        tag="guests",
    )
    await act(hass, "generate", recipe=recipe_id, extra_positive="a dog", count=1)

    assert server.jobs[0].body == {"count": 1, "seed": 7, "extra_positive": "a portrait of Ann"}
    assert server.jobs[1].body == {"count": 1, "extra_positive": "a dog"}


@pytest.mark.parametrize(
    ("data", "key"),
    [
        ({"recipe": "no such recipe"}, "unknown_recipe"),
        ({"recipe": "existing", "seed": "-1"}, "invalid_seed"),
    ],
)
async def test_invalid_call_raises_error_and_creates_no_issue(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    add_recipe: AddRecipe,
    data: dict[str, Any],
    key: str,
) -> None:
    recipe_id = await add_recipe("Existing")

    with pytest.raises(ServiceValidationError) as caught:
        await act(hass, "generate", **data)

    assert caught.value.translation_key == key
    assert server.jobs == []
    assert issue(hass, recipe_id) is None


@pytest.mark.parametrize("data", [{}, {"preset": PRESET, "recipe": "existing"}])
async def test_generate_requires_either_preset_or_recipe(
    hass: HomeAssistant, entry: MockConfigEntry, add_recipe: AddRecipe, data: dict[str, Any]
) -> None:
    await add_recipe("Existing")

    with pytest.raises(vol.Invalid):
        await act(hass, "generate", **data)


async def test_recipes_with_same_name_are_distinguished_by_id(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, add_recipe: AddRecipe
) -> None:
    first, second = await add_recipe("One"), await add_recipe("Two")
    hass.config_entries.async_update_subentry(entry, entry.subentries[second], title="One")

    with pytest.raises(ServiceValidationError) as caught:
        await act(hass, "generate", recipe="one")
    response = await act(hass, "generate", recipe=first)

    assert caught.value.translation_key == "recipe_ambiguous"
    assert response["jobs"][0]["recipe"] == first


@pytest.mark.parametrize(
    ("prompt", "good", "bad", "fault", "generated"),
    [
        (
            "{{ states('sensor.value') | float + 1 }} o'clock",
            "8",
            "unavailable",
            "recipe_template_failed",
            "9.0 o'clock",
        ),
        (
            "{{ 'a cat, ' * (states('sensor.value') | int) }}",
            "1",
            "15000",
            "recipe_text_too_long",
            "a cat,",
        ),
    ],
)
async def test_template_that_fails_when_run_has_one_issue_until_it_works(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    add_recipe: AddRecipe,
    prompt: str,
    good: str,
    bad: str,
    fault: str,
    generated: str,
) -> None:
    hass.states.async_set("sensor.value", "7")
    recipe_id = await add_recipe(prompt=prompt)
    hass.states.async_set("sensor.value", bad)

    for _ in range(2):
        with pytest.raises(ServiceValidationError) as caught:
            await press(hass, BUTTON)
    reported = issue(hass, recipe_id)
    hass.states.async_set("sensor.value", good)
    await press(hass, BUTTON)

    assert caught.value.translation_key == fault
    assert reported is not None
    assert reported.translation_key == fault
    assert issue(hass, recipe_id) is None
    assert [job.body["extra_positive"] for job in server.jobs] == [generated]


@pytest.mark.parametrize(
    ("prompt", "variables", "fault"),
    [
        ("{{ 10 / n | default(1) }}", {"n": 0}, "recipe_template_failed"),
        ("{{ 'a cat, ' * (n | default(1)) }}", {"n": 15000}, "recipe_text_too_long"),
    ],
)
async def test_variables_that_fail_template_create_no_issue(
    hass: HomeAssistant,
    add_recipe: AddRecipe,
    prompt: str,
    variables: dict[str, Any],
    fault: str,
) -> None:
    recipe_id = await add_recipe(prompt=prompt)

    with pytest.raises(ServiceValidationError) as caught:
        await act(hass, "generate", recipe=recipe_id, variables=variables)

    assert caught.value.translation_key == fault
    assert issue(hass, recipe_id) is None


async def test_instructions_that_are_too_long_create_no_issue(
    hass: HomeAssistant, add_recipe: AddRecipe
) -> None:
    recipe_id = await add_recipe(prompt="in oil, {{ instructions }}")

    with pytest.raises(ServiceValidationError) as caught:
        await start_task(hass, "x" * 20_000)

    assert caught.value.translation_key == "recipe_text_too_long"
    assert issue(hass, recipe_id) is None


async def test_missing_preset_has_one_issue_until_it_returns(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, add_recipe: AddRecipe
) -> None:
    recipe_id = await add_recipe()
    preset = server.presets.pop(PRESET)
    with pytest.raises(ServiceValidationError) as caught:
        await press(hass, BUTTON)
    reported = issue(hass, recipe_id)
    server.presets[PRESET] = preset

    await press(hass, BUTTON)

    assert caught.value.translation_key == "preset_gone"
    assert reported is not None
    assert reported.translation_key == "recipe_preset_missing"
    assert issue(hass, recipe_id) is None


@pytest.mark.parametrize("how", ["delete", "unload"])
async def test_issue_is_deleted_with_recipe_or_server(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, add_recipe: AddRecipe, how: str
) -> None:
    recipe_id = await add_recipe(preset="gone")
    with pytest.raises(ServiceValidationError):
        await press(hass, BUTTON)
    reported = issue(hass, recipe_id)

    if how == "delete":
        hass.config_entries.async_remove_subentry(entry, recipe_id)
    else:
        await hass.config_entries.async_unload(entry.entry_id)

    assert reported is not None
    assert issue(hass, recipe_id) is None


@pytest.mark.parametrize("prompt", ["", "{{ states('sensor.none') if false }}", "  "])
async def test_empty_rendered_prompt_uses_preset_unchanged(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    add_recipe: AddRecipe,
    prompt: str,
) -> None:
    await add_recipe(prompt=prompt)

    await press(hass, BUTTON)

    assert server.jobs[0].body == {"count": 1}


async def test_template_that_becomes_endless_fails_with_issue(
    hass: HomeAssistant,
    server: GazeServer,
    add_recipe: AddRecipe,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(templates, "TIMEOUT", 0.1)
    loop = "{% for i in range(states('sensor.value') | int(1)) %}"
    recipe_id = await add_recipe(prompt=f"a fox{loop}{loop}{{% endfor %}}{{% endfor %}}")
    hass.states.async_set("sensor.value", "99999")

    with pytest.raises(ServiceValidationError) as caught:
        await act(hass, "generate", recipe=recipe_id)
    assert caught.value.translation_key == "recipe_template_failed"
    assert issue(hass, recipe_id) is not None

    hass.states.async_set("sensor.value", "2")
    await act(hass, "generate", recipe=recipe_id)
    assert issue(hass, recipe_id) is None
    assert [job.body["extra_positive"] for job in server.jobs] == ["a fox"]


async def test_variables_shadow_functions_of_templates(
    hass: HomeAssistant, server: GazeServer, add_recipe: AddRecipe
) -> None:
    recipe_id = await add_recipe(prompt="{{ now if now is string else 'no text' }}")

    await act(hass, "generate", recipe=recipe_id, variables={"now": "at dusk"})
    await act(hass, "generate", recipe=recipe_id)

    assert [job.body["extra_positive"] for job in server.jobs] == ["at dusk", "no text"]


@pytest.mark.parametrize("name", ["self", "template", "template_str"])
async def test_variable_with_reserved_name_is_rejected(
    hass: HomeAssistant, server: GazeServer, add_recipe: AddRecipe, name: str
) -> None:
    recipe_id = await add_recipe(prompt="{{ 'a fox' }}")

    with pytest.raises(vol.Invalid, match=f"{name} is reserved"):
        await act(hass, "generate", recipe=recipe_id, variables={name: 1})

    assert issue(hass, recipe_id) is None
    assert not server.jobs


async def test_html_in_prompt_stays_text(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, add_recipe: AddRecipe
) -> None:
    await add_recipe(prompt="<script>alert(1)</script> {{ '<b>' }}")

    await press(hass, BUTTON)

    assert server.jobs[0].body["extra_positive"] == "<script>alert(1)</script> <b>"


async def test_image_of_recipe_is_found_by_recipe(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, add_recipe: AddRecipe
) -> None:
    recipe_id = await add_recipe()
    events = async_capture_events(hass, EVENT_GAZE)

    job = await run(hass, server, recipe_id)
    other = await act(hass, "generate", preset=PRESET)
    await server.finish()
    await wait_for(hass, other["jobs"][0]["job_id"])
    [image] = (await act(hass, "list_images", recipe="morning_wallpaper"))["images"]

    assert image["job_id"] == job["job_id"]
    assert (image["recipe"], image["recipe_name"]) == (recipe_id, "Morning wallpaper")
    assert hass.states.is_state(IMAGE, job["finished_at"])
    mine = [event.data for event in events if event.data["job_id"] == job["job_id"]]
    assert {data["recipe"] for data in mine} == {recipe_id}
    assert {data["writer"] for data in mine} == {None}


async def test_event_names_image_and_device_of_recipe_while_it_exists(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, add_recipe: AddRecipe
) -> None:
    recipe_id = await add_recipe()
    registry = er.async_get(hass)
    ours, preset = (registry.async_get(name) for name in (IMAGE, "image.gaze_neon_city"))
    events = async_capture_events(hass, EVENT_GAZE)

    response = await act(hass, "generate", recipe=recipe_id)
    hass.config_entries.async_remove_subentry(entry, recipe_id)
    await server.finish()
    await wait_for(hass, response["jobs"][0]["job_id"])

    assert ours is not None
    assert preset is not None
    assert response["jobs"][0]["entity_id"] == IMAGE
    named = [(event.data["entity_id"], event.data["device_id"]) for event in events]
    assert named[0] == (IMAGE, ours.device_id)
    assert named[-1] == (preset.entity_id, preset.device_id)
    assert hass.states.is_state(preset.entity_id, events[-1].data["finished_at"])


async def test_image_is_saved_when_recipe_is_deleted_during_job(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, add_recipe: AddRecipe
) -> None:
    recipe_id = await add_recipe()
    response = await act(hass, "generate", recipe=recipe_id)
    job_id = response["jobs"][0]["job_id"]

    hass.config_entries.async_remove_subentry(entry, recipe_id)
    await server.finish()
    await wait_for(hass, job_id)
    [job] = (await act(hass, "wait", job_id=job_id))["jobs"]
    by_id = (await act(hass, "list_images", recipe=recipe_id))["images"]
    by_name = (await act(hass, "list_images", recipe="Morning wallpaper"))["images"]

    assert (job["status"], job["recipe_name"]) == ("done", "Morning wallpaper")
    assert [image["job_id"] for image in by_id] == [job_id]
    assert by_name == by_id


async def test_generate_again_uses_rendered_text(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, add_recipe: AddRecipe
) -> None:
    hass.states.async_set("sensor.weather", "sunny")
    recipe_id = await add_recipe(prompt="a {{ states('sensor.weather') }} sky")
    await press(hass, BUTTON)
    hass.states.async_set("sensor.weather", "rainy")

    await press(hass, "button.gaze_generate_again")

    assert [job.body["extra_positive"] for job in server.jobs] == ["a sunny sky"] * 2
    assert entry.runtime_data.engine.jobs[-1].recipe == recipe_id


async def test_last_seed_is_used_again(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, add_recipe: AddRecipe
) -> None:
    recipe_id = await add_recipe(seed_and_count={"seed_mode": "last"})

    first = await run(hass, server, recipe_id)
    second = await run(hass, server, recipe_id)

    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    third = await run(hass, server, recipe_id)

    assert "seed" not in server.jobs[0].body
    assert str(server.jobs[1].body["seed"]) == first["seed"] == second["seed"] == third["seed"]


async def test_recipes_of_two_servers_may_have_one_name(
    hass: HomeAssistant,
    server: GazeServer,
    second_server: GazeServer,
    second_entry: MockConfigEntry,
    entry: MockConfigEntry,
    add_recipe: AddRecipe,
) -> None:
    first = await add_recipe(prompt="first")
    form = await start(hass, second_entry)
    await submit(hass, form, name="Morning wallpaper", preset=PRESET, prompt="second")
    [second] = second_entry.subentries

    for recipe in (first, second, "morning_wallpaper", "morning_wallpaper"):
        await act(hass, "generate", recipe=recipe)
    await act(hass, "generate", recipe="Morning wallpaper", config_entry_id=second_entry.entry_id)

    assert [job.body["extra_positive"] for job in server.jobs] == ["first", "first"]
    assert [job.body["extra_positive"] for job in second_server.jobs] == ["second"] * 3


async def test_busy_recipe_skips_and_other_recipe_runs(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, add_recipe: AddRecipe
) -> None:
    first = await add_recipe("One", seed_and_count={"if_busy": "skip"})
    second = await add_recipe("Two", seed_and_count={"if_busy": "skip"})

    skipped = [
        (await act(hass, "generate", recipe=recipe))["skipped"] for recipe in (first, first, second)
    ]

    assert skipped == [False, True, False]


async def test_only_oldest_images_beyond_recipe_limit_are_removed(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, add_recipe: AddRecipe
) -> None:
    recipe_id = await add_recipe(seed_and_count={"keep": 2})
    other = await act(hass, "generate", preset=PRESET)
    await server.finish()
    await wait_for(hass, other["jobs"][0]["job_id"])

    jobs = [await run(hass, server, recipe_id) for _ in range(4)]

    async def kept() -> list[str]:
        images = (await act(hass, "list_images"))["images"]
        return [image["job_id"] for image in images]

    async with asyncio.timeout(10):
        while len(await kept()) > 3:
            await hass.async_block_till_done(wait_background_tasks=True)
    assert await kept() == [
        jobs[3]["job_id"],
        jobs[2]["job_id"],
        other["jobs"][0]["job_id"],
    ]


async def test_recipe_limit_leaves_newest_image_of_other_preset(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, add_recipe: AddRecipe
) -> None:
    recipe_id = await add_recipe(seed_and_count={"keep": 1})
    shown = await run(hass, server, recipe_id)
    subentry = entry.subentries[recipe_id]
    data = {**subentry.data, "preset": "paper_forest"}
    hass.config_entries.async_update_subentry(entry, subentry, data=data)
    await hass.async_block_till_done()

    last = await run(hass, server, recipe_id)
    await hass.async_block_till_done(wait_background_tasks=True)

    images = (await act(hass, "list_images", recipe=recipe_id))["images"]
    assert [image["job_id"] for image in images] == [last["job_id"], shown["job_id"]]


async def test_recipe_limit_counts_visible_images_and_removes_older_hidden_ones(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, add_recipe: AddRecipe
) -> None:
    recipe_id = await add_recipe(seed_and_count={"keep": 1})
    oldest = await run(hass, server, recipe_id)
    await act(hass, "mark_images", job_id=oldest["job_id"], hidden=True)
    shown = await run(hass, server, recipe_id)

    assert (await act(hass, "list_images", hidden=True))["images"] == []

    await act(hass, "mark_images", job_id=shown["job_id"], hidden=True)
    await act(hass, "mark_images", job_id=shown["job_id"], hidden=False, favorite=True)
    last = await run(hass, server, recipe_id)

    images = (await act(hass, "list_images", recipe=recipe_id))["images"]
    assert [image["job_id"] for image in images] == [last["job_id"], shown["job_id"]]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("{{ instructions }} in oil", "a red fox in oil"),
        ("in oil", "in oil, a red fox"),
        ("", "a red fox"),
    ],
)
async def test_ai_task_of_recipe_uses_instructions(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    add_recipe: AddRecipe,
    prompt: str,
    expected: str,
) -> None:
    await add_recipe(prompt=prompt, seed_and_count={"count": 3, "if_busy": "skip"})
    task = start_task(hass, "a red fox")
    await until(lambda: bool(server.jobs))
    await server.finish()
    await task

    assert [job.body for job in server.jobs] == [{"count": 1, "extra_positive": expected}]


async def test_recipes_are_listed_without_templates(
    hass: HomeAssistant, entry: MockConfigEntry, add_recipe: AddRecipe
) -> None:
    recipe_id = await add_recipe(prompt="a secret wish")

    response = await act(hass, "list_recipes")

    assert response == {
        "recipes": [
            {
                "recipe": recipe_id,
                "slug": "morning_wallpaper",
                "name": "Morning wallpaper",
                "preset": PRESET,
                "entity_id": IMAGE,
            }
        ]
    }


async def test_editor_offers_current_recipes(
    hass: HomeAssistant, entry: MockConfigEntry, add_recipe: AddRecipe
) -> None:
    async def offered() -> Any:
        descriptions = await async_get_all_descriptions(hass)
        return descriptions[DOMAIN]["generate"]["fields"]["recipe"]["selector"]

    before = await offered()
    recipe_id = await add_recipe()
    with_recipe = await offered()
    hass.config_entries.async_remove_subentry(entry, recipe_id)

    assert with_recipe["select"]["options"] == [{"value": recipe_id, "label": "Morning wallpaper"}]
    assert await offered() == before


async def test_diagnostics_hide_templates(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, add_recipe: AddRecipe
) -> None:
    await add_recipe(
        prompt="a secret wish",
        negative="secret fears",
        seed_and_count={"tag": "secret"},
        language_model={"instructions": "tell a secret"},
    )
    await press(hass, BUTTON)

    found = await async_get_config_entry_diagnostics(hass, entry)

    assert found["recipes"][0]["preset"] == PRESET
    assert "secret" not in str(found)


async def test_reconfigured_recipe_does_not_affect_open_job(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, add_recipe: AddRecipe
) -> None:
    recipe_id = await add_recipe()
    response = await act(hass, "generate", recipe=recipe_id)
    form = await start(hass, entry, source="reconfigure", subentry_id=recipe_id)

    await submit(hass, form, name="Morning wallpaper", preset="oilpainting")
    await server.finish()
    await wait_for(hass, response["jobs"][0]["job_id"])

    [job] = (await act(hass, "wait", job_id=response["jobs"][0]["job_id"]))["jobs"]
    assert (job["status"], job["preset"]) == ("done", PRESET)
    assert hass.states.is_state(IMAGE, job["finished_at"])


# The prompt writer


async def test_writer_writes_prompt_and_title(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    add_recipe: AddRecipe,
    writer: Writer,
) -> None:
    recipe_id = await add_recipe(
        prompt="a fox",
        language_model={"writer": writer.entity_id, "instructions": "in {{ 'winter' }}"},
    )
    events = async_capture_events(hass, EVENT_GAZE)

    job = await run(hass, server, recipe_id)
    await run(hass, server, recipe_id)
    [image, _] = (await act(hass, "list_images"))["images"]
    state = hass.states.get(IMAGE)

    assert server.jobs[0].body["extra_positive"] == "a fox in the snow"
    assert (job["title"], image["title"]) == ("Winter fox", "Winter fox")
    assert state is not None
    assert state.attributes["title"] == "Winter fox"
    assert {event.data["writer"] for event in events} == {writer.entity_id}
    first, second = (task.instructions for task in writer.tasks)
    assert "in winter" in first
    assert '"a fox"' in first
    assert "a fox in the snow" not in first
    assert '["a fox in the snow"]' in second


async def _refuse() -> Any:
    raise HomeAssistantError("quota exceeded")


async def _crash() -> Any:
    raise KeyError("choices")


async def _say(value: Any) -> Any:
    return value


@pytest.mark.parametrize(
    "says",
    [
        _refuse,
        _crash,
        lambda: _say(None),
        lambda: _say("a fox"),
        lambda: _say({}),
        lambda: _say({"prompt": "", "title": "Fox"}),
        lambda: _say({"prompt": ["a fox"], "title": 7}),
    ],
)
async def test_plain_prompt_is_used_when_writer_fails(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    add_recipe: AddRecipe,
    writer: Writer,
    says: Any,
) -> None:
    writer.says = says
    recipe_id = await add_recipe(prompt="a fox", language_model={"writer": writer.entity_id})
    events = async_capture_events(hass, EVENT_GAZE)

    job = await run(hass, server, recipe_id)

    assert server.jobs[0].body["extra_positive"] == "a fox"
    assert (job["status"], job["title"]) == ("done", None)
    assert {event.data["writer"] for event in events} == {None}
    assert issue(hass, recipe_id) is None


@pytest.mark.parametrize("writer_id", ["ai_task.gone", "ai_task.gaze"])
async def test_plain_prompt_is_used_when_writer_is_missing_or_unsuitable(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    add_recipe: AddRecipe,
    writer_id: str,
) -> None:
    recipe_id = await add_recipe(prompt="a fox", language_model={"writer": writer_id})

    await act(hass, "generate", recipe=recipe_id)

    assert server.jobs[0].body["extra_positive"] == "a fox"


async def test_plain_prompt_is_used_when_writer_is_slow(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    add_recipe: AddRecipe,
    writer: Writer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("custom_components.gaze.prompt_writer.TIMEOUT", 0.05)

    async def never() -> Any:
        await asyncio.Event().wait()

    writer.says = never
    recipe_id = await add_recipe(prompt="a fox", language_model={"writer": writer.entity_id})

    await act(hass, "generate", recipe=recipe_id)

    assert server.jobs[0].body["extra_positive"] == "a fox"


async def test_other_buttons_work_while_writer_is_slow(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    add_recipe: AddRecipe,
    writer: Writer,
) -> None:
    asked, may_say = asyncio.Event(), asyncio.Event()

    async def slow() -> Any:
        asked.set()
        await may_say.wait()
        return {"prompt": "a slow fox"}

    writer.says = slow
    await add_recipe(language_model={"writer": writer.entity_id})
    pressed = hass.async_create_task(
        hass.services.async_call("button", "press", {"entity_id": BUTTON}, blocking=True)
    )
    await asked.wait()

    await hass.services.async_call(
        "button", "press", {"entity_id": "button.gaze_neon_city_generate"}, blocking=True
    )
    assert [job.body for job in server.jobs] == [{"count": 1}]
    may_say.set()
    await pressed
    assert server.jobs[1].body["extra_positive"] == "a slow fox"


class SlowWriter:
    """A language model that is still writing."""

    def __init__(self, writer: Writer) -> None:
        """Make the entity slow."""
        self.asked, self.may_say = asyncio.Event(), asyncio.Event()
        writer.says = self._write

    async def _write(self) -> Any:
        self.asked.set()
        await self.may_say.wait()
        return {"prompt": "a slow fox"}


@pytest.fixture
def slow_writer(writer: Writer) -> SlowWriter:
    """Return a writer that writes when the test lets it."""
    return SlowWriter(writer)


async def reload_before(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, slow_writer: SlowWriter
) -> None:
    """Reload the server, and then let the writer write."""
    await hass.config_entries.async_reload(entry.entry_id)
    slow_writer.may_say.set()


async def reload_meanwhile(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, slow_writer: SlowWriter
) -> None:
    """Let the writer write while the server is set up again."""
    server.faults.on(Fault.LATENCY, "presets", value=5.0)
    reloading = hass.async_create_task(hass.config_entries.async_reload(entry.entry_id))
    await until(lambda: entry.state is ConfigEntryState.SETUP_IN_PROGRESS)
    slow_writer.may_say.set()
    await reloading
    server.faults.off(Fault.LATENCY)


@pytest.mark.parametrize("reload", [reload_before, reload_meanwhile])
async def test_run_continues_when_server_is_reloaded_during_writing(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    add_recipe: AddRecipe,
    writer: Writer,
    slow_writer: SlowWriter,
    reload: Callable[..., Awaitable[None]],
) -> None:
    recipe_id = await add_recipe(language_model={"writer": writer.entity_id})
    running = hass.async_create_task(
        act(hass, "generate", recipe=recipe_id, wait=True, timeout={"minutes": 5})
    )
    await slow_writer.asked.wait()

    await reload(hass, server, entry, slow_writer)
    await until(lambda: bool(server.jobs))
    job_id = await server.finish()
    response = await running

    assert server.jobs[0].body["extra_positive"] == "a slow fox"
    assert response["complete"]
    assert [(job["job_id"], job["status"]) for job in response["jobs"]] == [(job_id, "done")]


async def test_ai_task_of_recipe_continues_when_server_is_reloaded_during_writing(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    add_recipe: AddRecipe,
    writer: Writer,
    slow_writer: SlowWriter,
) -> None:
    await add_recipe(language_model={"writer": writer.entity_id})
    task = start_task(hass, "a fox")
    await slow_writer.asked.wait()

    await reload_before(hass, server, entry, slow_writer)
    await until(lambda: bool(server.jobs))
    await server.finish()
    response = await task

    assert response is not None
    assert response["media_source_id"]


@pytest.mark.parametrize("deleted", ["recipe", "server"])
async def test_run_fails_when_recipe_or_server_is_deleted_during_writing(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    add_recipe: AddRecipe,
    writer: Writer,
    slow_writer: SlowWriter,
    deleted: str,
) -> None:
    recipe_id = await add_recipe(language_model={"writer": writer.entity_id})
    running = hass.async_create_task(act(hass, "generate", recipe=recipe_id))
    await slow_writer.asked.wait()

    if deleted == "recipe":
        hass.config_entries.async_remove_subentry(entry, recipe_id)
    else:
        await hass.config_entries.async_remove(entry.entry_id)
    slow_writer.may_say.set()
    with pytest.raises(ServiceValidationError, match="Morning wallpaper") as caught:
        await running

    assert caught.value.translation_key == "unknown_recipe"
    assert server.jobs == []


async def test_failed_run_of_deleted_recipe_has_no_issue(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, add_recipe: AddRecipe
) -> None:
    recipe_id = await add_recipe(preset="gone")
    listings = server.requests["presets"]
    server.faults.on(Fault.LATENCY, "presets", value=5.0)
    running = hass.async_create_task(act(hass, "generate", recipe=recipe_id))
    await until(lambda: server.requests["presets"] > listings)

    hass.config_entries.async_remove_subentry(entry, recipe_id)
    with pytest.raises(ServiceValidationError) as caught:
        await running

    assert caught.value.translation_key == "unknown_preset"
    assert issue(hass, recipe_id) is None


async def test_long_text_of_writer_is_truncated(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    add_recipe: AddRecipe,
    writer: Writer,
) -> None:
    writer.says = lambda: _say({"prompt": "fox\n" * 2_500_000, "title": "Fox\u202e\n" * 1000})
    recipe_id = await add_recipe(language_model={"writer": writer.entity_id})

    response = await act(hass, "generate", recipe=recipe_id)

    [job] = response["jobs"]
    assert len(job["extra_positive"]) <= 2000
    assert len(job["title"]) <= 80
    assert job["title"].isprintable()


@pytest.mark.timing
async def test_fiftieth_recipe_is_added_and_run_quickly(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, add_recipe: AddRecipe
) -> None:
    async def measure(name: str) -> float:
        begin = time.perf_counter()
        await add_recipe(name)
        return time.perf_counter() - begin

    first = min([await measure(f"First {number}") for number in range(5)])
    for number in range(40):
        await add_recipe(f"Recipe {number}")
    last = min([await measure(f"Last {number}") for number in range(5)])

    assert last < max(4 * first, 6 * work_time()), timedelta(seconds=last)


EXAMPLES = [block for block in blocks("docs/recipes.md", "yaml") if "name" in parse(block)]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda block: parse(block)["name"])
async def test_example_of_docs_runs(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    add_recipe: AddRecipe,
    writer: Writer,
    example: Block,
) -> None:
    hass.states.async_set("weather.home", "partlycloudy")
    hass.states.async_set("sun.sun", "below_horizon")
    recipe_id = await add_recipe(**parse(example))

    job = await run(hass, server, recipe_id)

    body = server.jobs[0].body
    assert job["status"] == "done"
    assert body["extra_positive"]
    assert "{" not in body["extra_positive"]
    assert bool(writer.tasks) is ("language_model" in parse(example))


def test_docs_have_five_examples() -> None:
    assert len(EXAMPLES) == 5


async def test_action_takes_image_that_recipe_shows(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, add_recipe: AddRecipe
) -> None:
    await add_recipe()
    with pytest.raises(ServiceValidationError, match="image"):
        await act(hass, "mark_images", entity_id=IMAGE, favorite=True)
    await press(hass, BUTTON)
    await until(lambda: bool(server.jobs))
    await server.finish()
    await until(lambda: not hass.states.is_state(IMAGE, "unknown"))

    await act(hass, "mark_images", entity_id=IMAGE, favorite=True)

    [image] = (await act(hass, "list_images", favorite=True))["images"]
    assert image["recipe_name"] == "Morning wallpaper"
