"""Every YAML example in the documentation is valid, and runs if it can."""

import asyncio
from collections.abc import Mapping
from itertools import pairwise
import json
from pathlib import Path
import re
from typing import Any

from homeassistant.components.automation import DOMAIN as AUTOMATION
from homeassistant.components.image import TOKEN_CHANGE_INTERVAL
from homeassistant.components.media_source import async_resolve_media
from homeassistant.components.persistent_notification import DOMAIN as NOTIFICATION
from homeassistant.const import EVENT_CALL_SERVICE, EVENT_STATE_CHANGED, MATCH_ALL, STATE_ON
from homeassistant.core import Context, HomeAssistant, SupportsResponse, callback
from homeassistant.core_config import CORE_CONFIG_SCHEMA
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.condition import async_validate_conditions_config
from homeassistant.helpers.script import Script, async_validate_actions_config
from homeassistant.helpers.trigger import async_validate_trigger_config
from homeassistant.loader import async_get_integration
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_capture_events,
    async_fire_time_changed,
    async_mock_service,
)

from custom_components.gaze.const import DOMAIN, EVENT_GAZE
from custom_components.gaze.generation import async_generate
from custom_components.gaze.jobs import JobEvent, Reason
from custom_components.gaze.request import validate_request
from testing.gaze_server import GazeServer

from .common import DISPLAY, add_subentries, device_id, make_image, wait_for
from .pages import MANUAL, ROOT, Block, blocks, code, recipe, text, walk

# Values in the examples that differ in each home
JOB_ID = "783f0268-ba85-4426-8ca2-6393c844c887"
FOREIGN_JOB_ID = "5b0f6c52-2f0f-4c39-8b1d-6f2f7d9a1c44"
DEVICE_ID = "b2f8c1d0a9e64f7f8f5c3e2d1b0a9c8d"
MEDIA = "/media/"
FOLDER = "/share/frames"

CONFIGURATION = {"homeassistant", "logger", "recorder"}
ENTITY_ID = re.compile(
    r"\b(?:ai_task|binary_sensor|button|event|image|number|select|sensor|switch|text)\.gaze(?:_\w+)?\b"
)
# They are null if GAZE was not seen to start the job.
MAY_BE_NULL = {"duration", "started_at"}

YAML = [block for page in MANUAL for block in blocks(page, "yaml")]


def kind(block: Block) -> str:  # noqa: PLR0911 - one for each kind
    """Return what a block of YAML configures. Raises ValueError if it is unknown."""
    match recipe(block):
        case [{"action": _}, *_] | {"action": _}:
            return "actions"
        case {"alias": _, "triggers": _, "actions": _}:
            return "automation"
        case {"triggers": [*_]} as only if len(only) == 1:
            return "triggers"
        case {"conditions": [*_]} as only if len(only) == 1:
            return "conditions"
        case {"name": _, "preset": _}:
            return "recipe"
        case {"views": [*_]} as only if len(only) == 1:
            return "dashboard"
        case {"online_image": [*_]} as only if len(only) == 1:
            return "esphome"
        case {**domains} if domains and domains.keys() <= CONFIGURATION:
            return "configuration"
    raise ValueError(f"{block} is of an unknown kind")


def of_kind(wanted: str) -> list[Block]:
    """Return the blocks of a kind."""
    return [block for block in YAML if kind(block) == wanted]


def as_list(value: Any) -> list[Any]:
    """Return a list of one or more values."""
    return value if isinstance(value, list) else [value]


def shape(value: Any, path: str = "") -> dict[str, set[str]]:
    """Return the types of the values at each path of a response."""
    found: dict[str, set[str]] = {}
    if isinstance(value, Mapping):
        parts = [shape(part, f"{path}.{key}") for key, part in value.items()]
    elif isinstance(value, list):
        parts = [shape(part, f"{path}[]") for part in value]
    else:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        parts = [{path: {"number" if number else type(value).__name__}}]
    for part in parts:
        for where, types in part.items():
            found.setdefault(where, set()).update(types)
    return found


def differences(example: Block, real: Any) -> dict[str, tuple[set[str], set[str]]]:
    """Return by path which fields of an example are missing, do not exist, or have other types."""
    expected, found = shape(json.loads(example.text)), shape(json.loads(json.dumps(real)))
    return {
        path: (expected.get(path, set()), found.get(path, set()))
        for path in expected.keys() | found.keys()
        if path not in found
        or path not in expected
        or (not expected[path] <= found[path] and path.rpartition(".")[2] not in MAY_BE_NULL)
    }


def responses() -> list[tuple[Block, Block]]:
    """Return the actions that are followed by their response."""
    return [
        (before, after)
        for page in MANUAL
        for before, after in pairwise(blocks(page))
        if after.language == "json" and before.language == "yaml" and kind(before) == "actions"
    ]


RESPONSES = responses()


async def set_up(hass: HomeAssistant, *automations: Any) -> None:
    """Set up automations. All of them must be valid and on."""
    assert await async_setup_component(hass, AUTOMATION, {AUTOMATION: list(automations)})
    await hass.async_block_till_done()
    states = hass.states.async_all(AUTOMATION)
    assert {state.name: state.state for state in states} == {
        automation["alias"]: STATE_ON for automation in automations
    }


async def run(hass: HomeAssistant, server: GazeServer, steps: Any) -> dict[str, Any]:
    """Run script steps while GAZE finishes every job, and return the variables."""
    config = await async_validate_actions_config(hass, cv.SCRIPT_SCHEMA(as_list(steps)))
    script = Script(hass, config, "The manual", DOMAIN)
    task = hass.async_create_task(script.async_run(context=Context()))
    while not task.done():
        await asyncio.sleep(0.02)
        if any(job.is_open for job in server.jobs):
            await server.finish()
    result = await task
    assert result is not None
    return dict(result.variables)


def automation(alias: str) -> Any:
    """Return an automation by its alias."""
    [found] = [
        recipe(block) for block in of_kind("automation") if f"alias: {alias}\n" in block.text
    ]
    return found


@pytest.fixture
async def home(
    hass: HomeAssistant, entry: MockConfigEntry, server: GazeServer, media_dir: Path
) -> dict[str, str]:
    """Return replacements for the example values, in a home that has what they name."""
    hass.config.allowlist_external_dirs = {str(media_dir)}
    await add_subentries(hass, entry)
    media_dir.mkdir(exist_ok=True)
    async_mock_service(hass, NOTIFICATION, "create")
    response = await hass.services.async_call(
        DOMAIN,
        "generate",
        {
            "preset": "watercolour_harbour",
            "extra_positive": "golden hour, long shadows",
            "extra_negative": "people",
            "width": 1280,
            "height": 800,
            "tag": "wallpaper",
        },
        blocking=True,
        return_response=True,
    )
    assert response is not None
    job_id = await server.finish()
    await wait_for(hass, job_id)
    [failing] = await async_generate(entry.runtime_data, "neon_city", {})
    server.begin()
    server.fail()
    await wait_for(hass, failing.job_id)
    [foreign] = server.add_foreign_jobs(1)
    return {
        JOB_ID: job_id,
        FOREIGN_JOB_ID: foreign,
        DEVICE_ID: device_id(hass, entry, DISPLAY),
        MEDIA: f"{media_dir}/",
    }


# Every block


def test_code_blocks_have_language() -> None:
    languages = {str(block): block.language for page in MANUAL for block in blocks(page)}

    assert {
        at for at, name in languages.items() if name not in {"bash", "json", "sh", "yaml"}
    } == set()


async def test_entities_in_text_exist(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    await add_subentries(hass, entry)
    named = {
        (page, entity_id)
        for page in MANUAL
        for entity_id in ENTITY_ID.findall((Path(__file__).parent.parent / page).read_text())
    }

    missing = {(page, name) for page, name in named if hass.states.get(name) is None}

    assert named
    assert {(page, name) for page, name in missing if name != "sensor.gaze_kept_images"} == set()


@pytest.mark.parametrize("expected_lingering_timers", [True])  # of the sun
async def test_automations_are_valid(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    assert await async_setup_component(hass, "sun", {})
    await add_subentries(hass, entry)

    await set_up(hass, *(recipe(block) for block in of_kind("automation")))


async def test_triggers_are_valid(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    for block in of_kind("triggers"):
        triggers = recipe(block, **{DEVICE_ID: device_id(hass, entry)})["triggers"]

        assert await async_validate_trigger_config(hass, cv.TRIGGER_SCHEMA(triggers)), str(block)


async def test_conditions_are_valid(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    assert of_kind("conditions")
    for block in of_kind("conditions"):
        conditions = recipe(block, **{DEVICE_ID: device_id(hass, entry)})["conditions"]

        assert await async_validate_conditions_config(hass, cv.CONDITIONS_SCHEMA(conditions)), str(
            block
        )


@pytest.mark.usefixtures("entry")
async def test_actions_are_valid(hass: HomeAssistant) -> None:
    for block in of_kind("actions"):
        steps = cv.SCRIPT_SCHEMA(as_list(recipe(block)))

        assert await async_validate_actions_config(hass, steps), str(block)


async def test_gaze_actions_accept_their_data(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    registered = hass.services.async_services_for_domain(DOMAIN)
    steps = [
        (block, part)
        for block in YAML
        for part in walk(recipe(block))
        if isinstance(part, dict) and str(part.get("action", "")).startswith(f"{DOMAIN}.")
    ]

    assert steps
    for block, step in steps:
        action = registered[step["action"].partition(".")[2]]
        assert action.schema is not None
        data = action.schema(
            {
                name: "2026-11-01 00:00:00" if name == "since" else value
                for name, value in step.get("data", {}).items()
            }
        )
        if "preset" in data:
            preset = entry.runtime_data.find_preset(data["preset"])
            assert preset is not None, str(block)
            assert validate_request(preset, data), str(block)
        if action.supports_response is not SupportsResponse.OPTIONAL:
            answers_only = action.supports_response is SupportsResponse.ONLY
            assert ("response_variable" in step) is answers_only, str(block)


def test_event_triggers_use_fields_of_event() -> None:
    [example] = blocks("docs/events.md", "json")
    fields = json.loads(example.text).keys()
    chosen = [
        (str(block), part["event_data"])
        for block in YAML
        for part in walk(recipe(block))
        if isinstance(part, dict) and part.get("event_type") == EVENT_GAZE
    ]

    assert chosen
    for at, data in chosen:
        assert data.keys() <= fields, at
        assert JobEvent(data["type"]), at
        assert Reason(data.get("reason", "lost")), at


def test_dashboards_have_cards_with_type() -> None:
    for block in of_kind("dashboard"):
        for view in recipe(block)["views"]:
            cards = [card for section in view["sections"] for card in section["cards"]]

            assert all(isinstance(card["type"], str) for card in cards)


@pytest.mark.parametrize(
    ("rules", "heading"),
    [("COMMON", "both cards"), ("GENERATE", "the generate card"), ("GALLERY", "the gallery card")],
)
def test_options_of_cards_are_documented(rules: str, heading: str) -> None:
    cards = (ROOT / "custom_components/gaze/frontend/cards.js").read_text()
    body = cards.partition(f"const {rules} = {{\n")[2].partition("\n};")[0]
    options = {
        name: set(re.findall(r'"(\w+)"', rule)) if re.match(r"choice|list", rule) else set()
        for name, rule in re.findall(r"^  (\w+): (.+)$", body, re.MULTILINE)
    }
    section = text("docs/dashboards.md").partition(f"### Options of {heading}\n")[2]
    table = section.partition("\n#")[0]

    rows = dict(re.findall(r"^\| `(\w+)` \| (.+)$", table, re.MULTILINE))

    assert rows.keys() == options.keys()
    assert {name for name, values in options.items() if values - set(code(rows[name]))} == set()


def test_cards_in_dashboards_have_known_options() -> None:
    documented = set(re.findall(r"^\| `(\w+)` \|", text("docs/dashboards.md"), re.MULTILINE))
    used = {
        option
        for block in of_kind("dashboard")
        for part in walk(recipe(block))
        if isinstance(part, dict) and str(part.get("type", "")).startswith("custom:gaze-")
        for option in part
    }

    assert used
    assert used - documented == {"type"}


async def test_configuration_is_valid(hass: HomeAssistant, tmp_path: Path) -> None:
    for block in of_kind("configuration"):
        for domain, settings in recipe(block, **{FOLDER: str(tmp_path)}).items():
            if domain == "homeassistant":
                assert CORE_CONFIG_SCHEMA(settings), str(block)
                continue
            component = await (await async_get_integration(hass, domain)).async_get_component()
            assert component.CONFIG_SCHEMA({domain: settings}), str(block)


# Examples that run


async def test_responses_match_their_examples(
    hass: HomeAssistant, server: GazeServer, home: dict[str, str]
) -> None:
    found = {}
    for action, example in RESPONSES:
        step = recipe(action, **home)
        variables = await run(hass, server, step)
        found[str(example)] = differences(example, variables[step["response_variable"]])

    assert found
    assert {at: paths for at, paths in found.items() if paths} == {}


async def test_other_actions_run(
    hass: HomeAssistant, server: GazeServer, home: dict[str, str]
) -> None:
    with_response = [action for action, _ in RESPONSES]
    others = [
        block
        for block in of_kind("actions")
        if block.page == "docs/actions.md" and block not in with_response
    ]

    assert others
    for block in others:
        steps = as_list(recipe(block, **home))
        variables = await run(hass, server, steps)
        for step in steps:
            assert step.get("response_variable", "context") in variables, str(block)
            if step.get("action") == f"{DOMAIN}.save_image":
                assert Path(step["data"]["filename"]).is_file()


async def test_event_matches_its_example(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    [example] = blocks("docs/events.md", "json")
    events = async_capture_events(hass, EVENT_GAZE)
    await hass.services.async_call(
        DOMAIN,
        "generate",
        {"preset": "neon_city", "tag": "doorbell", "extra_positive": "a friendly visitor"},
        blocking=True,
    )
    await wait_for(hass, await server.finish())

    assert [event.data["type"] for event in events][-1] == "finished"
    assert differences(example, dict(events[-1].data)) == {}


@pytest.mark.usefixtures("entry")
@pytest.mark.parametrize("expected_lingering_timers", [True])  # of tomorrow's trigger
async def test_image_of_day_is_announced_when_finished(
    hass: HomeAssistant, server: GazeServer
) -> None:
    assert await async_setup_component(hass, NOTIFICATION, {})
    notes = async_mock_service(hass, NOTIFICATION, "create")
    events = async_capture_events(hass, EVENT_GAZE)
    queued = asyncio.Event()
    hass.bus.async_listen_once(EVENT_GAZE, callback(lambda _: queued.set()))
    await set_up(hass, automation("Image of the day"))

    task = hass.async_create_task(
        hass.services.async_call(
            AUTOMATION,
            "trigger",
            {"entity_id": "automation.image_of_the_day", "skip_condition": False},
            blocking=True,
        )
    )
    await queued.wait()
    await server.finish()
    await task
    await hass.async_block_till_done()

    # Whether a poll sees the job being made depends on the moment.
    types = [event.data["type"] for event in events if event.data["type"] != "started"]
    assert types == ["queued", "finished"]
    [note] = notes
    assert f"/{events[-1].data['job_id']}?authSig=" in note.data["message"]


@pytest.mark.usefixtures("entry")
async def test_phone_receives_image_with_tag(hass: HomeAssistant, server: GazeServer) -> None:
    messages = async_mock_service(hass, "notify", "mobile_app_phone")
    await set_up(hass, automation("Finished images on the phone"))
    await make_image(hass, server, "neon_city")

    await hass.services.async_call(
        DOMAIN, "generate", {"preset": "oilpainting", "tag": "doorbell"}, blocking=True
    )
    job_id = await server.finish()
    await wait_for(hass, job_id)

    [message] = messages
    assert message.data["title"] == "Oil painting"
    assert message.data["data"]["image"].endswith(f"/{job_id}")


async def test_failure_shows_notification(
    hass: HomeAssistant, entry: MockConfigEntry, server: GazeServer
) -> None:
    notes = async_mock_service(hass, NOTIFICATION, "create")
    await set_up(hass, automation("GAZE failed"))
    await make_image(hass, server, "neon_city")
    jobs = await async_generate(entry.runtime_data, "neon_city", {})

    server.fail()
    await wait_for(hass, jobs[0].job_id)

    assert [note.data["message"].strip() for note in notes] == ["neon_city: server"]


async def make_shown_image(hass: HomeAssistant, server: GazeServer) -> str:
    """Generate an image, and return its job ID when the displays show it."""
    job_id = await make_image(hass, server, "neon_city")
    await hass.async_block_till_done(wait_background_tasks=True)
    return job_id


async def test_automations_of_display_run_once_for_each_image_that_it_shows(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, media_dir: Path
) -> None:
    await add_subentries(hass, entry)
    writes = async_mock_service(hass, "image", "snapshot")
    uploads = async_mock_service(hass, "immich", "upload_file")
    await set_up(
        hass, automation("Write the image for the TV"), automation("Upload the image to Immich")
    )

    job_ids = [await make_shown_image(hass, server) for _ in range(2)]
    states = async_capture_events(hass, EVENT_STATE_CHANGED)
    async_fire_time_changed(hass, dt_util.utcnow() + TOKEN_CHANGE_INTERVAL)
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done(wait_background_tasks=True)

    assert "image.gaze_hallway" in {event.data["entity_id"] for event in states}
    files = [call.data["file"]["media_content_id"] for call in uploads]
    assert [media_id.rpartition("/")[2] for media_id in files] == job_ids
    assert len(writes) == len(uploads)
    for media_id in files:
        media = await async_resolve_media(hass, media_id, None)
        assert media.path is not None
        assert media.path.is_relative_to(media_dir)


@pytest.mark.usefixtures("entry")
async def test_documented_recorder_stores_no_prompt_in_events(
    hass: HomeAssistant, server: GazeServer
) -> None:
    [example] = [block for block in of_kind("configuration") if block.page == "docs/privacy.md"]
    excluded = recipe(example)["recorder"]["exclude"]["event_types"]
    events = async_capture_events(hass, MATCH_ALL)

    await hass.services.async_call(
        DOMAIN, "generate", {"preset": "neon_city", "extra_positive": "Aunt Emma"}, blocking=True
    )
    await wait_for(hass, await server.finish())

    with_prompt = {event.event_type for event in events if "Aunt Emma" in str(event.data)}
    assert EVENT_CALL_SERVICE in with_prompt
    assert with_prompt - {EVENT_STATE_CHANGED} <= {*excluded}
