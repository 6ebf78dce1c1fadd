"""Triggers and conditions of automations."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from homeassistant.components import automation
from homeassistant.const import SERVICE_RELOAD
from homeassistant.core import Event, HomeAssistant
from homeassistant.helpers import (
    area_registry as ar,
    device_registry as dr,
    entity_registry as er,
    label_registry as lr,
)
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_capture_events
from pytest_homeassistant_custom_component.typing import WebSocketGenerator

from custom_components.gaze.condition import CONDITIONS
from custom_components.gaze.const import DOMAIN
from custom_components.gaze.payloads import JOB_FIELDS
from custom_components.gaze.trigger import TRIGGERS
from testing.gaze_server import GazeServer

from .common import (
    DISPLAY,
    PRESET,
    RECIPE,
    act,
    add_subentries,
    device_id,
    make_image,
    press,
    until,
    wait_for,
)

SERVER = {"entity_id": "event.gaze_generation"}

type Validate = Callable[..., Awaitable[str | None]]


@pytest.fixture(autouse=True)
async def labs(hass: HomeAssistant) -> None:
    """Set up what automations need."""
    assert await async_setup_component(hass, "homeassistant", {})


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return the configuration that a reload of the automations reads."""
    config: dict[str, Any] = {automation.DOMAIN: []}

    async def read(_hass: HomeAssistant) -> dict[str, Any]:
        return config

    monkeypatch.setattr("homeassistant.config.async_hass_config_yaml", read)
    return config


async def automate(
    hass: HomeAssistant, key: str, target: Any, config: dict[str, Any] | None = None, **options: Any
) -> list[Event]:
    """Set up an automation that fires an event for a trigger; return its events."""
    trigger = {"trigger": f"gaze.{key}", "target": target, "options": options}
    fields = ("job_id", "preset", "tag", "reason", "status", "file_path")
    job = {name: f"{{{{ trigger.job.{name} }}}}" for name in fields}
    data = {**job, "entity_id": "{{ trigger.entity_id }}", "device_id": "{{ trigger.device_id }}"}
    data["fields"] = "{{ trigger.job.keys() | list }}"
    automations = {
        automation.DOMAIN: [
            {
                "alias": "Test",
                "triggers": [trigger],
                "actions": [{"event": "fired", "event_data": data}],
                "mode": "queued",
            }
        ]
    }
    if config is not None:
        config.update(automations)
    assert await async_setup_component(hass, automation.DOMAIN, automations)
    await hass.async_block_till_done()
    fired: list[Event] = async_capture_events(hass, "fired")
    return fired


async def run_job(hass: HomeAssistant, server: GazeServer, *, fails: bool, **data: Any) -> str:
    """Queue a job, let it start, and let it end; return its ID."""
    job_id: str = (await act(hass, "generate", preset=PRESET, **data))["jobs"][0]["job_id"]
    server.begin()
    await until(lambda: hass.states.is_state("sensor.gaze_status", "generating"))
    if fails:
        server.fail()
    else:
        await server.finish()
    await wait_for(hass, job_id)
    return job_id


def is_available(hass: HomeAssistant) -> bool:
    """Return whether the automation is valid."""
    return not hass.states.is_state("automation.test", "unavailable")


# Triggers


@pytest.mark.usefixtures("entry")
@pytest.mark.parametrize("key", TRIGGERS)
async def test_trigger_fires_once_with_the_job(
    hass: HomeAssistant, server: GazeServer, key: str
) -> None:
    failed = key == "generation_failed"
    fired = await automate(hass, key, SERVER)

    job_id = await run_job(hass, server, fails=failed, tag="wall")

    [event] = fired
    assert event.data["job_id"] == job_id
    assert event.data["preset"] == PRESET
    assert event.data["tag"] == "wall"
    assert event.data["entity_id"] == "image.gaze_neon_city"
    assert event.data["reason"] == ("server" if failed else None)
    assert set(event.data["fields"]) == JOB_FIELDS


@pytest.mark.parametrize("key", TRIGGERS)
async def test_trigger_fires_once_after_reloads_and_goes_with_its_automation(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    config: dict[str, Any],
    key: str,
) -> None:
    fired = await automate(hass, key, SERVER, config)
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.services.async_call(automation.DOMAIN, SERVICE_RELOAD, blocking=True)
    await run_job(hass, server, fails=key == "generation_failed")
    after_reloads = len(fired)

    config[automation.DOMAIN] = []
    await hass.services.async_call(automation.DOMAIN, SERVICE_RELOAD, blocking=True)
    await run_job(hass, server, fails=key == "generation_failed")

    assert after_reloads == len(fired) == 1


@pytest.mark.parametrize(
    ("kind", "fires"),
    [
        ("server", ["neon_city", "oilpainting"]),
        ("latest", ["neon_city", "oilpainting"]),
        ("preset", ["neon_city"]),
        ("image", ["neon_city"]),
        ("area", ["neon_city"]),
        ("label", ["neon_city"]),
        ("recipe", ["neon_city"]),
        ("recipe image", ["neon_city"]),
        ("two", ["neon_city", "oilpainting"]),
    ],
)
async def test_trigger_fires_for_the_jobs_of_its_target(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, kind: str, fires: list[str]
) -> None:
    await add_subentries(hass, entry)
    area = ar.async_get(hass).async_create("Studio")
    label = lr.async_get(hass).async_create("Art")
    dr.async_get(hass).async_update_device(
        device_id(hass, entry, "neon_city"), area_id=area.id, labels={label.label_id}
    )
    target = {
        "server": {"device_id": device_id(hass, entry)},
        "latest": {"entity_id": "image.gaze_latest_image"},
        "preset": {"device_id": [device_id(hass, entry, "neon_city")]},
        "image": {"entity_id": "image.gaze_neon_city"},
        "area": {"area_id": area.id},
        "label": {"label_id": label.label_id},
        "recipe": {"device_id": device_id(hass, entry, RECIPE)},
        "recipe image": {"entity_id": "image.gaze_doorbell"},
        "two": {"entity_id": ["image.gaze_neon_city", "image.gaze_oil_painting"]},
    }[kind]
    fired = await automate(hass, "image_finished", target)

    await press(hass, "button.gaze_doorbell_generate")
    await wait_for(hass, await server.finish())
    await make_image(hass, server, "oilpainting")

    assert [event.data["preset"] for event in fired] == fires


async def test_trigger_fires_for_device_whose_entities_are_hidden(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    entity_registry: er.EntityRegistry,
) -> None:
    entity_registry.async_update_entity(
        "image.gaze_neon_city", hidden_by=er.RegistryEntryHider.USER
    )
    target = {"device_id": device_id(hass, entry, "neon_city")}
    fired = await automate(hass, "image_finished", target)

    await make_image(hass, server, "neon_city")

    assert len(fired) == 1


@pytest.mark.usefixtures("entry")
async def test_trigger_filters_by_tag(hass: HomeAssistant, server: GazeServer) -> None:
    fired = await automate(hass, "generation_queued", SERVER, tag="wall")

    for tag in ("wall", "other", None):
        data = {} if tag is None else {"tag": tag}
        await act(hass, "generate", preset=PRESET, **data)
    await hass.async_block_till_done()

    assert [event.data["tag"] for event in fired] == ["wall"]


@pytest.mark.usefixtures("entry")
async def test_trigger_filters_by_reason(hass: HomeAssistant, server: GazeServer) -> None:
    fired = await automate(hass, "generation_failed", SERVER, reason=["stopped"])

    await act(hass, "generate", preset=PRESET)
    await wait_for(hass, server.fail())
    await act(hass, "generate", preset=PRESET)
    await hass.services.async_call(DOMAIN, "stop_tracking", {"all": True}, blocking=True)
    await hass.async_block_till_done()

    assert [event.data["reason"] for event in fired] == ["stopped"]


# Displays


async def show_next(hass: HomeAssistant) -> None:
    """Let the display show the next image."""
    await press(hass, "button.gaze_hallway_next")
    await hass.async_block_till_done(wait_background_tasks=True)


async def make_shown_image(hass: HomeAssistant, server: GazeServer, **data: Any) -> str:
    """Generate an image that the display shows; return its job ID."""
    await act(hass, "generate", preset=PRESET, **data)
    await wait_for(hass, job_id := await server.finish())
    await hass.async_block_till_done(wait_background_tasks=True)
    return job_id


@pytest.mark.parametrize("kind", ["device", "entity", "area", "label"])
async def test_image_finished_fires_once_when_display_shows_another_image(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, kind: str
) -> None:
    await add_subentries(hass, entry)
    display = device_id(hass, entry, DISPLAY)
    area = ar.async_get(hass).async_create("Hall")
    label = lr.async_get(hass).async_create("Screens")
    dr.async_get(hass).async_update_device(display, area_id=area.id, labels={label.label_id})
    target = {
        "device": {"device_id": display},
        "entity": {"entity_id": "image.gaze_hallway"},
        "area": {"area_id": area.id},
        "label": {"label_id": label.label_id},
    }[kind]
    fired = await automate(hass, "image_finished", target)

    first = await make_shown_image(hass, server)
    second = await make_shown_image(hass, server)
    await show_next(hass)

    assert [event.data["job_id"] for event in fired] == [first, second, first]
    assert {event.data["entity_id"] for event in fired} == {"image.gaze_hallway"}
    assert {event.data["device_id"] for event in fired} == {display}
    for event in fired:
        assert event.data["status"] == "done"
        assert event.data["preset"] == PRESET
        assert event.data["file_path"].endswith(".png")
        assert set(event.data["fields"]) == JOB_FIELDS


async def test_image_finished_of_display_filters_by_tag(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    await add_subentries(hass, entry)
    target = {"device_id": device_id(hass, entry, DISPLAY)}
    fired = await automate(hass, "image_finished", target, tag="wall")

    await make_shown_image(hass, server)
    tagged = await make_shown_image(hass, server, tag="wall")
    await make_shown_image(hass, server, tag="other")

    assert [event.data["job_id"] for event in fired] == [tagged]


async def test_image_finished_of_display_survives_reloads_and_goes_with_its_automation(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, config: dict[str, Any]
) -> None:
    await add_subentries(hass, entry)
    target = {"device_id": device_id(hass, entry, DISPLAY)}
    fired = await automate(hass, "image_finished", target, config)
    await make_shown_image(hass, server)
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done(wait_background_tasks=True)
    after_reload = len(fired)
    await hass.services.async_call(automation.DOMAIN, SERVICE_RELOAD, blocking=True)
    await make_shown_image(hass, server)
    after_reloads = len(fired)

    config[automation.DOMAIN] = []
    await hass.services.async_call(automation.DOMAIN, SERVICE_RELOAD, blocking=True)
    await make_shown_image(hass, server)

    assert after_reload == 1
    assert after_reloads == len(fired) == 2


@pytest.mark.parametrize("limit", [0, 1])
async def test_image_finished_fires_once_for_server_and_its_display(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, limit: int
) -> None:
    """With a limit, an older image is removed before the event. Displays show the new one then."""
    await add_subentries(hass, entry)
    hass.config_entries.async_update_entry(entry, options={"keep_images": limit})
    await hass.config_entries.async_reload(entry.entry_id)
    target = {"device_id": [device_id(hass, entry), device_id(hass, entry, DISPLAY)]}
    await make_shown_image(hass, server)
    fired = await automate(hass, "image_finished", target)

    job_id = await make_shown_image(hass, server)

    assert [event.data["job_id"] for event in fired] == [job_id]
    assert fired[0].data["entity_id"] == "image.gaze_neon_city"


async def test_image_finished_fires_for_older_image_that_display_shows(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    await add_subentries(hass, entry)
    old = await make_shown_image(hass, server)
    await make_shown_image(hass, server)
    target = {"device_id": [device_id(hass, entry), device_id(hass, entry, DISPLAY)]}
    fired = await automate(hass, "image_finished", target)

    await show_next(hass)

    assert [event.data["job_id"] for event in fired] == [old]


async def test_image_finished_ignores_displays_that_are_no_target(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    await add_subentries(hass, entry)
    await make_shown_image(hass, server)
    await make_shown_image(hass, server)
    target = {"device_id": device_id(hass, entry, PRESET)}
    fired = await automate(hass, "image_finished", target)

    await show_next(hass)

    assert not fired


# Bad input


@pytest.fixture
async def validate(
    hass: HomeAssistant, hass_ws_client: WebSocketGenerator, entry: MockConfigEntry
) -> Validate:
    """Return what validates a trigger or condition as the editor does; it returns the error."""
    client = await hass_ws_client(hass)

    async def validate_config(kind: str, config: dict[str, Any]) -> str | None:
        await client.send_json_auto_id({"type": "validate_config", kind: config})
        result = (await client.receive_json())["result"][kind]
        assert result["valid"] is (result["error"] is None)
        error: str | None = result["error"]
        return error

    return validate_config


@pytest.fixture
async def targets(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> dict[str, dict[str, Any]]:
    """Return targets by name, some of which never fire."""
    await add_subentries(hass, entry)
    registry = er.async_get(hass)
    registry.async_get_or_create("sun", "sun", "sun", suggested_object_id="sun")
    removed = {
        "removed device": {"device_id": device_id(hass, entry, "paper_forest")},
        "removed entity": {"entity_id": "image.gaze_paper_forest"},
    }
    server.remove_preset("paper_forest")
    await entry.runtime_data.async_refresh()
    await hass.async_block_till_done()
    assert registry.async_get("image.gaze_paper_forest") is None
    area = ar.async_get(hass).async_create("Empty")
    hass.states.async_set("group.all", "on", {"entity_id": ["event.gaze_generation"]})
    return {
        **removed,
        "display": {"device_id": device_id(hass, entry, DISPLAY)},
        "foreign": {"entity_id": "sun.sun"},
        "sensor": {"entity_id": "sensor.gaze_status"},
        "unknown device": {"device_id": "gone"},
        "unknown entity": {"entity_id": "image.gaze_long_gone"},
        "none": {},
        "partly removed": {
            "device_id": [device_id(hass, entry), removed["removed device"]["device_id"]]
        },
        "empty area": {"area_id": area.id},
        "group": {"entity_id": "group.all"},
        "server": SERVER,
    }


UNUSABLE = {
    "removed device",
    "removed entity",
    "foreign",
    "unknown device",
    "unknown entity",
    "none",
}


async def test_editor_shows_one_error_for_target_that_cannot_fire(
    targets: dict[str, Any], validate: Validate
) -> None:
    invalid: dict[str, set[str]] = {}
    for key in TRIGGERS:
        for name, target in targets.items():
            trigger = {"trigger": f"gaze.{key}", "target": target}
            if (error := await validate("triggers", trigger)) is not None:
                assert "target" in error
                assert "\n" not in error
                invalid.setdefault(key, set()).add(name)

    assert invalid == {
        **dict.fromkeys(TRIGGERS, UNUSABLE | {"sensor", "display"}),
        "image_finished": UNUSABLE | {"sensor"},
    }


async def test_error_for_display_says_which_targets_have_jobs(
    targets: dict[str, Any], validate: Validate
) -> None:
    error = await validate(
        "triggers", {"trigger": "gaze.generation_failed", "target": targets["display"]}
    )

    assert error is not None
    assert "A display has no jobs" in error


async def test_editor_shows_one_error_for_target_of_condition_without_server(
    targets: dict[str, Any], validate: Validate
) -> None:
    for key in CONDITIONS:
        invalid = set()
        for name, target in targets.items():
            condition = {"condition": f"gaze.{key}", "target": target, "options": {}}
            if (error := await validate("conditions", condition)) is not None:
                assert "target" in error
                invalid.add(name)

        assert invalid == UNUSABLE


UNKNOWN_OPTIONS: Final[list[tuple[str, str, dict[str, Any], str]]] = [
    ("triggers", "image_finished", {"reason": ["lost"]}, "reason"),
    ("triggers", "image_finished", {"colour": "red"}, "colour"),
    ("triggers", "generation_failed", {"reason": ["tired"]}, "reason"),
    ("conditions", "is_idle", {"colour": "red"}, "colour"),
    ("conditions", "is_idle", {"behavior": "most"}, "behavior"),
]


async def test_editor_names_unknown_option(validate: Validate, subtests: pytest.Subtests) -> None:
    for kind, key, options, named in UNKNOWN_OPTIONS:
        with subtests.test(f"{key} {options}"):
            config = {kind.removesuffix("s"): f"gaze.{key}", "target": SERVER, "options": options}

            error = await validate(kind, config)

            assert error is not None
            assert named in error


@pytest.mark.usefixtures("entry")
@pytest.mark.parametrize(
    ("key", "target", "options"),
    [
        ("image_finished", {"device_id": "gone"}, {}),
        ("image_finished", SERVER, {"colour": "red"}),
        ("image_eaten", SERVER, {}),
    ],
)
async def test_automation_with_trigger_that_cannot_fire_is_unavailable(
    hass: HomeAssistant, key: str, target: Any, options: dict[str, Any]
) -> None:
    await automate(hass, key, target, **options)

    assert not is_available(hass)


# Conditions


async def checked(
    hass: HomeAssistant, key: str, target: Any, config: dict[str, Any] | None = None, **options: Any
) -> bool:
    """Return whether an automation with a condition runs."""
    condition = {"condition": f"gaze.{key}", "target": target, "options": options}
    automations = {
        automation.DOMAIN: [
            {
                "alias": "Test",
                "triggers": [{"trigger": "event", "event_type": "go"}],
                "conditions": [condition],
                "actions": [{"event": "passed"}],
            }
        ]
    }
    if config is not None:
        config.update(automations)
    if not hass.states.async_entity_ids(automation.DOMAIN):
        assert await async_setup_component(hass, automation.DOMAIN, automations)
    assert is_available(hass)
    passed = async_capture_events(hass, "passed")
    hass.bus.async_fire("go")
    await hass.async_block_till_done()
    assert len(passed) <= 1
    return bool(passed)


@pytest.mark.parametrize("slug", [None, "oilpainting", RECIPE, DISPLAY])
@pytest.mark.parametrize(
    ("key", "expected"), [("is_idle", [True, False]), ("is_generating", [False, True])]
)
async def test_condition_changes_with_the_queue(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    slug: str | None,
    key: str,
    expected: list[bool],
) -> None:
    await add_subentries(hass, entry)
    target = {"device_id": device_id(hass, entry, slug)}
    before = await checked(hass, key, target)
    await act(hass, "generate", preset=PRESET)
    server.begin()
    await until(lambda: hass.states.is_state("sensor.gaze_status", "generating"))

    assert [before, await checked(hass, key, target)] == expected


async def test_condition_changes_with_the_connection(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    target = {"device_id": device_id(hass, entry)}
    before = await checked(hass, "is_connected", target)
    server.set_online(False)
    await entry.runtime_data.async_refresh()
    await hass.async_block_till_done()

    assert before
    assert not await checked(hass, "is_connected", target)


@pytest.mark.parametrize(("behavior", "passes"), [("any", True), ("all", False)])
async def test_condition_checks_any_or_all_servers(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    second_entry: MockConfigEntry,
    behavior: str,
    passes: bool,
) -> None:
    area = ar.async_get(hass).async_create("Studio")
    for server_entry in (entry, second_entry):
        dr.async_get(hass).async_update_device(device_id(hass, server_entry), area_id=area.id)
    await hass.services.async_call(
        DOMAIN, "generate", {"preset": PRESET, "config_entry_id": entry.entry_id}, blocking=True
    )
    await hass.async_block_till_done()

    assert await checked(hass, "is_idle", {"area_id": area.id}, behavior=behavior) is passes


@pytest.mark.parametrize("key", CONDITIONS)
async def test_condition_survives_reloads(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    config: dict[str, Any],
    key: str,
) -> None:
    target = {"entity_id": "image.gaze_neon_city"}
    before = await checked(hass, key, target, config)

    await hass.config_entries.async_reload(entry.entry_id)
    await hass.services.async_call(automation.DOMAIN, SERVICE_RELOAD, blocking=True)
    await hass.async_block_till_done()

    assert await checked(hass, key, target, config) is before is (key != "is_generating")
