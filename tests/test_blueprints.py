"""Tests of the blueprints, each from its trigger to the image."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import timedelta
import json
from pathlib import Path
import re
import shutil
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

from freezegun.api import FrozenDateTimeFactory
from homeassistant.components.automation.config import AUTOMATION_BLUEPRINT_SCHEMA
from homeassistant.components.blueprint.models import Blueprint
from homeassistant.components.blueprint.schemas import BLUEPRINT_SCHEMA
from homeassistant.config_entries import ConfigSubentry
from homeassistant.const import STATE_OFF, STATE_ON
from homeassistant.core import HomeAssistant, SupportsResponse
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import device_registry as dr
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
from homeassistant.util.dt import utcnow
from homeassistant.util.yaml import load_yaml_dict
import pytest
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_fire_time_changed,
    async_mock_service,
)
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from testing.gaze_server import GazeServer

from .common import PRESET, act, made, press as press_button, until
from .phone import Push, button, registration

CHECKOUT = Path(__file__).parent.parent
BLUEPRINTS = CHECKOUT / "blueprints"
ALL = sorted(BLUEPRINTS.rglob("*.yaml"))
SCHEMAS: dict[str, Callable[[Any], Any]] = {
    "automation": AUTOMATION_BLUEPRINT_SCHEMA,
    "script": BLUEPRINT_SCHEMA,
}
REPOSITORY = "https://github.com/gaze-home-assistant/gaze/blob/main/"
IMPORT = "https://my.home-assistant.io/redirect/blueprint_import/?blueprint_url="
ALL_IMAGES = {"entity_id": "event.gaze_generation"}

type Run = Callable[..., Awaitable[None]]


@pytest.fixture(autouse=True)
async def home(hass: HomeAssistant) -> None:
    """Set up the integrations that the blueprints use."""
    assert await async_setup_component(hass, "homeassistant", {})


@pytest.fixture
async def run(
    hass: HomeAssistant, hass_config_dir: str, entry: MockConfigEntry
) -> AsyncGenerator[Run]:
    """Return a function that sets up an automation or script from a blueprint."""

    async def run(domain: str, name: str, **inputs: Any) -> None:
        source = BLUEPRINTS / domain / "gaze" / f"{name}.yaml"
        folder = Path(hass_config_dir) / "blueprints" / domain / "gaze"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, folder)
        use = {"use_blueprint": {"path": f"gaze/{name}.yaml", "input": inputs}}
        config: Any = [{"id": name, "alias": name, **use}]
        if domain == "script":
            config = {name: use}
        assert await async_setup_component(hass, domain, {domain: config})
        await hass.async_block_till_done()
        state = hass.states.get(f"{domain}.{name}")
        assert state is not None
        assert state.state == (STATE_ON if domain == "automation" else STATE_OFF)

    yield run

    if automations := hass.states.async_entity_ids("automation"):
        await hass.services.async_call(
            "automation", "turn_off", {"entity_id": automations}, blocking=True
        )


@pytest.fixture
async def push(socket_enabled: None) -> AsyncGenerator[Push]:
    """Return the push service of the phone."""
    async with Push() as push:
        yield push


@pytest.fixture
async def phone(hass: HomeAssistant, push: Push, device_registry: dr.DeviceRegistry) -> str:
    """Return the device ID of a phone with the app."""
    assert await async_setup_component(hass, "mobile_app", {})
    return await add_phone(hass, device_registry, push, "Phone")


async def add_phone(
    hass: HomeAssistant, device_registry: dr.DeviceRegistry, push: Push, name: str
) -> str:
    """Register a phone with the app; return its device ID."""
    data = {**registration(push, name), "webhook_id": f"webhook-of-{name}", "user_id": "nobody"}
    entry = MockConfigEntry(domain="mobile_app", title=name, data=data)
    entry.add_to_hass(hass)
    assert await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    (device,) = dr.async_entries_for_config_entry(device_registry, entry.entry_id)
    return device.id


async def press(hass: HomeAssistant, message: dict[str, Any], title: str) -> None:
    """Press a notification button by firing the event of the app."""
    hass.bus.async_fire("mobile_app_notification_action", {"action": button(message, title)})
    await hass.async_block_till_done()


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_blueprint_is_valid_for_schema_of_home_assistant(path: Path) -> None:
    domain = path.parent.parent.name
    data = load_yaml_dict(str(path))

    blueprint = Blueprint(data, path=path.name, expected_domain=domain, schema=SCHEMAS[domain])

    assert blueprint.validate() is None
    assert blueprint.name.startswith("GAZE")
    assert blueprint.metadata["homeassistant"]["min_version"] == "2026.10.0"
    assert blueprint.metadata["source_url"] == REPOSITORY + path.relative_to(CHECKOUT).as_posix()
    assert all(value["name"] and value["selector"] for value in blueprint.inputs.values())


def test_docs_link_to_the_import_of_every_blueprint() -> None:
    text = (CHECKOUT / "docs" / "blueprints.md").read_text()

    links = re.findall(re.escape(IMPORT) + r"([^)\s]+)", text)

    assert sorted(unquote(link) for link in links) == [
        REPOSITORY + path.relative_to(CHECKOUT).as_posix() for path in ALL
    ]


async def test_notification_is_replaced_until_images_are_finished(
    hass: HomeAssistant, server: GazeServer, run: Run, phone: str, push: Push
) -> None:
    await run("automation", "images_on_phone", phones=[phone], images=ALL_IMAGES)

    response = await act(hass, "generate", preset=PRESET, count=2)
    await until(lambda: len(push.messages) == 1)
    server.begin()
    await until(lambda: len(push.messages) == 2)
    await server.finish()
    await until(lambda: len(push.messages) == 3)
    await server.finish()
    await until(lambda: len(push.messages) == 4)

    job = (await act(hass, "list_jobs"))["jobs"][0]
    assert push.texts[:3] == ["Queued", "Generating", "Generating"]
    assert [message["data"].get("progress") for message in push.messages] == [0, 0, 1, None]
    assert all(message["data"]["live_update"] for message in push.messages[:3])
    assert list(push.shown) == [f"gaze-{response['batch_id']}"]
    (shown,) = push.shown.values()
    assert shown["title"] == "Neon city (2 of 2)"
    assert job["seed"] in shown["message"]
    assert shown["data"]["image"] == job["image_url"]
    assert [action["title"] for action in shown["data"]["actions"]] == [
        "Again",
        "Favorite",
        "Not this one",
    ]


@pytest.mark.usefixtures("phone")
async def test_tap_opens_image_without_login(
    hass: HomeAssistant,
    server: GazeServer,
    run: Run,
    phone: str,
    push: Push,
    hass_client_no_auth: ClientSessionGenerator,
) -> None:
    await hass.config.async_update(external_url="https://home.example.org")
    await run("automation", "images_on_phone", phones=[phone], images=ALL_IMAGES, progress=False)
    job = await made(hass, server)
    await until(lambda: len(push.messages) == 1)
    data = push.messages[0]["data"]
    client = await hass_client_no_auth()

    response = await client.get(data["url"].removeprefix("https://home.example.org"))

    assert data["url"] == data["clickAction"]
    assert await response.read() == server.picture(job["job_id"])


async def test_each_phone_and_notify_entity_gets_one_notification_for_batch(
    hass: HomeAssistant,
    server: GazeServer,
    run: Run,
    phone: str,
    push: Push,
    device_registry: dr.DeviceRegistry,
) -> None:
    tablet = await add_phone(hass, device_registry, push, "Tablet")
    texts = async_mock_service(hass, "notify", "send_message")
    await run(
        "automation",
        "images_on_phone",
        phones=[phone, tablet],
        notifiers=["notify.mail"],
        images=ALL_IMAGES,
        progress=False,
    )

    await act(hass, "generate", preset=PRESET, count=3)
    server.begin()
    server.fail()
    for _ in range(2):
        await server.finish()
    await until(lambda: len(push.messages) == 2)
    await until(lambda: len(texts) == 1)

    assert {message["title"] for message in push.messages} == {"Neon city (3 of 3)"}
    assert all(text.endswith(", 1 failed") for text in push.texts)
    assert texts[0].data["entity_id"] == ["notify.mail"]
    assert texts[0].data["message"].startswith("Neon city (3 of 3): ")


async def test_notifications_stay_below_limits_of_push_service(
    hass: HomeAssistant, server: GazeServer, run: Run, phone: str, push: Push
) -> None:
    slug = server.put_preset("long", "Very long name 🎨 " * 60)
    await press_button(hass, "button.gaze_refresh_presets")
    await run("automation", "images_on_phone", phones=[phone], images=ALL_IMAGES)

    await act(hass, "generate", preset=slug, count=20, extra_positive="prompt " * 500)
    for _ in range(20):
        await server.finish()
    await until(lambda: "seed" in push.texts[-1] if push.texts else False)

    assert len(push.messages) <= 10
    assert max(len(json.dumps(message).encode()) for message in push.messages) < 4096
    assert max(len(message["title"]) for message in push.messages) <= 80


async def test_notification_buttons_perform_their_actions(
    hass: HomeAssistant, server: GazeServer, run: Run, phone: str, push: Push
) -> None:
    await run("automation", "images_on_phone", phones=[phone], images=ALL_IMAGES, progress=False)
    first = await made(hass, server, extra_positive="a cat")
    await until(lambda: len(push.messages) == 1)

    await press(hass, push.messages[0], "Favorite")
    marked = (await act(hass, "list_images"))["images"]
    await press(hass, push.messages[0], "Again")
    await until(lambda: len(server.jobs) == 2)
    await server.finish()
    await until(lambda: len(push.messages) == 2)
    await press(hass, push.messages[1], "Not this one")
    await until(lambda: len(push.messages) == 3)

    images = (await act(hass, "list_images"))["images"]
    assert [image["favorite"] for image in marked] == [True]
    assert server.jobs[1].body == {"count": 1, "extra_positive": "a cat"}
    assert [image["job_id"] for image in images] == [first["job_id"]]
    assert list(push.shown) == [push.messages[0]["data"]["tag"]]


async def test_notification_contains_reason_when_job_fails(
    hass: HomeAssistant, server: GazeServer, run: Run, phone: str, push: Push
) -> None:
    await run("automation", "images_on_phone", phones=[phone], images=ALL_IMAGES)

    await act(hass, "generate", preset=PRESET)
    await until(lambda: len(push.messages) == 1)
    server.fail(error="<b>out of memory</b>")
    await until(lambda: len(push.messages) == 2)
    await press(hass, push.messages[-1], "Again")
    await until(lambda: len(push.messages) == 3)

    assert push.texts[1] == "GAZE failed: bout of memory/b"
    assert push.texts[2] == "Queued"
    assert len(server.jobs) == 2


async def test_notification_is_sent_only_for_selected_images(
    hass: HomeAssistant, server: GazeServer, run: Run, phone: str, push: Push
) -> None:
    images = {"entity_id": "image.gaze_oil_painting"}
    await run("automation", "images_on_phone", phones=[phone], images=images, tag="wallpaper")

    await act(hass, "generate", preset=PRESET, tag="wallpaper")
    await act(hass, "generate", preset="oilpainting")
    await act(hass, "generate", preset="oilpainting", tag="wallpaper", count=2)
    await until(lambda: len(push.messages) == 1)
    await hass.async_block_till_done()

    assert [message["title"] for message in push.messages] == ["Oil painting (0 of 2)"]


async def test_buttons_of_other_notifications_are_ignored(
    hass: HomeAssistant, server: GazeServer, run: Run, phone: str, push: Push
) -> None:
    await run("automation", "images_on_phone", phones=[phone], images=ALL_IMAGES, progress=False)
    job = await made(hass, server)
    await until(lambda: len(push.messages) == 1)
    mine = button(push.messages[0], "Not this one")

    for action in (mine.replace("images_on_phone", "another"), "gaze", "OPEN", None, 5):
        hass.bus.async_fire("mobile_app_notification_action", {"action": action})
    hass.bus.async_fire("mobile_app_notification_action", {})
    await hass.async_block_till_done()

    images = (await act(hass, "list_images"))["images"]
    assert [image["job_id"] for image in images] == [job["job_id"]]
    assert len(push.messages) == 1


async def test_message_contains_image_file(
    hass: HomeAssistant, server: GazeServer, run: Run
) -> None:
    calls = {
        name: async_mock_service(hass, *name.split("."))
        for name in ("telegram_bot.send_photo", "smtp.send_message", "notify.discord")
    }
    await run(
        "automation",
        "send_image",
        images=ALL_IMAGES,
        tag="post",
        telegram=["notify.family"],
        mail=["notify.mail"],
        discord="notify.discord",
        discord_channels=["123"],
    )

    await made(hass, server)
    job = await made(hass, server, tag="post")
    await until(lambda: all(len(received) == 1 for received in calls.values()))

    photo, mail, post = (received[0].data for received in calls.values())
    assert photo["entity_id"] == ["notify.family"]
    assert photo["file"] == job["file_path"]
    assert Path(photo["file"]).read_bytes() == server.picture(job["job_id"])
    assert mail["entity_id"] == ["notify.mail"]
    assert mail["attachments"][0]["media_source"]["media_content_id"] == job["media_content_id"]
    assert post["target"] == ["123"]
    assert post["data"]["images"] == [job["file_path"]]
    assert {photo["caption"], mail["title"], post["message"]} == {"Neon city"}


async def test_message_is_sent_only_to_selected_services(
    hass: HomeAssistant, server: GazeServer, run: Run
) -> None:
    photos = async_mock_service(hass, "telegram_bot", "send_photo")
    mails = async_mock_service(hass, "smtp", "send_message")
    await run("automation", "send_image", images=ALL_IMAGES, telegram=["notify.family"])

    await made(hass, server)
    await until(lambda: len(photos) == 1)
    await hass.async_block_till_done()

    assert mails == []


async def test_trigger_generates_image_and_cools_down(
    hass: HomeAssistant, server: GazeServer, run: Run
) -> None:
    hass.states.async_set("sensor.door", "shut")
    hass.states.async_set("sensor.visitor", "the postman")
    await run(
        "automation",
        "image_on_trigger",
        when=[{"trigger": "state", "entity_id": "sensor.door", "to": "open"}],
        only_if=[{"condition": "template", "value_template": "{{ is_state('sensor.on', '1') }}"}],
        preset="Neon city",
        prompt="{{ states('sensor.visitor') }}, {{ trigger.to_state.state }}",
        cool_down={"minutes": 10},
        tag="door",
    )

    def running() -> int:
        (automation,) = hass.states.async_all("automation")
        return int(automation.attributes["current"])

    async def open_the_door(visitor: str) -> None:
        hass.states.async_set("sensor.visitor", visitor)
        for state in ("shut", "open"):
            hass.states.async_set("sensor.door", state)
            await asyncio.sleep(0)

    await open_the_door("the unwanted")
    hass.states.async_set("sensor.on", "1")
    await act(hass, "generate", preset=PRESET)
    await open_the_door("the skipped")
    await hass.async_block_till_done()
    await hass.services.async_call("gaze", "stop_tracking", {"all": True}, blocking=True)
    await open_the_door("the postman")
    await until(lambda: len(server.jobs) == 2)
    listed = await act(hass, "list_jobs")
    await hass.services.async_call("gaze", "stop_tracking", {"all": True}, blocking=True)
    async_fire_time_changed(hass, utcnow() + timedelta(minutes=9))
    await open_the_door("the early")
    assert running() == 1
    async_fire_time_changed(hass, utcnow() + timedelta(minutes=11))
    await until(lambda: running() == 0)
    await open_the_door("the neighbor")
    await until(lambda: len(server.jobs) == 3)
    async_fire_time_changed(hass, utcnow() + timedelta(minutes=22))
    await until(lambda: running() == 0)

    prompts = [job.body.get("extra_positive") for job in server.jobs]
    assert prompts == [None, "the postman, open", "the neighbor, open"]
    assert listed["jobs"][0]["tag"] == "door"


async def test_recipe_runs_on_trigger_and_cools_down(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    run: Run,
    freezer: FrozenDateTimeFactory,
) -> None:
    hass.config_entries.async_add_subentry(
        entry,
        ConfigSubentry(
            data=MappingProxyType({"preset": "neon_city", "prompt": "a visitor"}),
            subentry_type="recipe",
            title="Doorbell",
            unique_id=None,
        ),
    )
    hass.states.async_set("sensor.door", "shut")
    await run(
        "automation",
        "recipe_on_trigger",
        when=[{"trigger": "state", "entity_id": "sensor.door"}],
        recipe="button.gaze_doorbell_generate",
        cool_down={"minutes": 10},
    )

    for state, minutes in (("open", 0), ("shut", 9), ("open", 2)):
        freezer.tick(timedelta(minutes=minutes))
        hass.states.async_set("sensor.door", state)
        await hass.async_block_till_done()

    assert [job.body["extra_positive"] for job in server.jobs] == ["a visitor"] * 2


def register_house(hass: HomeAssistant, forecast: list[dict[str, Any]] | None) -> None:
    """Register weather and calendar actions."""
    hass.states.async_set("weather.home", "rainy", {"temperature": 3.5})
    async_mock_service(
        hass,
        "weather",
        "get_forecasts",
        response={"weather.home": {"forecast": forecast}},
        supports_response=SupportsResponse.ONLY,
        raise_exception=HomeAssistantError("no daily forecast") if forecast is None else None,
    )
    events = [{"summary": "Anna's birthday"}, {"summary": " "}, {"summary": "Dentist"}]
    async_mock_service(
        hass,
        "calendar",
        "get_events",
        response={"calendar.family": {"events": events}, "calendar.work": {"events": []}},
        supports_response=SupportsResponse.ONLY,
    )


@pytest.mark.parametrize(
    ("forecast", "calendars", "prompt"),
    [
        (
            [{"condition": "partlycloudy", "temperature": 0}, {"condition": "sunny"}],
            ["calendar.family", "calendar.work"],
            "poster, partly cloudy weather, 0 degrees, {month}, Anna's birthday, Dentist",
        ),
        (None, [], "poster, rainy weather, 3.5 degrees, {month}"),
    ],
)
async def test_daily_image_uses_weather_and_calendar(
    hass: HomeAssistant,
    server: GazeServer,
    run: Run,
    forecast: list[dict[str, Any]] | None,
    calendars: list[str],
    prompt: str,
) -> None:
    register_house(hass, forecast)
    done = async_mock_service(hass, "test", "done")
    await run(
        "automation",
        "image_of_the_day",
        time="06:30:00",
        preset="paper_forest",
        weather="weather.home",
        calendars=calendars,
        style="poster",
        done=[
            {
                "action": "test.done",
                "data": {"id": "{{ image.media_content_id }}", "prompt": "{{ prompt }}"},
            }
        ],
    )

    half_past_six = dt_util.now().replace(hour=6, minute=30, second=0, microsecond=0)
    if half_past_six <= dt_util.now():
        half_past_six += timedelta(days=1)
    # The time of the loop is behind that of the wall clock if a thread took long.
    async_fire_time_changed(hass, half_past_six + timedelta(minutes=1))
    await until(lambda: len(server.jobs) == 1)
    await server.finish()
    await until(lambda: len(done) == 1)

    prompt = prompt.format(month=dt_util.now().strftime("%B"))
    assert server.jobs[0].body == {"count": 1, "extra_positive": prompt}
    assert done[0].data["prompt"] == prompt
    assert done[0].data["id"] == (await act(hass, "list_images"))["images"][0]["media_content_id"]


async def test_daily_image_does_nothing_when_job_fails(
    hass: HomeAssistant, server: GazeServer, run: Run
) -> None:
    register_house(hass, [])
    done = async_mock_service(hass, "test", "done")
    await run(
        "automation",
        "image_of_the_day",
        preset=PRESET,
        weather="weather.home",
        done=[{"action": "test.done"}],
    )

    triggered = asyncio.create_task(
        hass.services.async_call(
            "automation",
            "trigger",
            {"entity_id": "automation.image_of_the_day"},
            blocking=True,
        )
    )
    await until(lambda: len(server.jobs) == 1)
    server.fail()
    await triggered

    assert done == []


async def call_script(hass: HomeAssistant, **fields: Any) -> dict[str, Any]:
    """Call the script and return its response."""
    response = await hass.services.async_call(
        "script", "generate_and_wait", fields, blocking=True, return_response=True
    )
    assert response is not None
    return dict(response)


async def test_script_returns_image_to_caller(
    hass: HomeAssistant, server: GazeServer, run: Run
) -> None:
    await run("script", "generate_and_wait", preset=PRESET)

    script_call = asyncio.create_task(
        call_script(hass, prompt="a cat", preset="oilpainting", tag="t")
    )
    await until(lambda: len(server.jobs) == 1)
    await server.finish()
    picture = await script_call

    assert server.jobs[0].preset.slug == "oilpainting"
    assert server.jobs[0].body == {"count": 1, "extra_positive": "a cat"}
    assert picture == (await act(hass, "list_jobs"))["jobs"][0]
    assert picture["status"] == "done"
    assert picture["media_content_id"]


async def test_script_returns_failed_and_unfinished_jobs_to_caller(
    hass: HomeAssistant, server: GazeServer, run: Run
) -> None:
    await run("script", "generate_and_wait", preset=PRESET, timeout={"milliseconds": 300})

    script_call = asyncio.create_task(call_script(hass))
    await until(lambda: len(server.jobs) == 1)
    server.fail()
    failed = await script_call
    open_job = await call_script(hass)

    assert server.jobs[0].body == {"count": 1}
    assert (failed["status"], failed["reason"]) == ("failed", "server")
    assert open_job["status"] == "queued"
    assert open_job["media_content_id"] is None
