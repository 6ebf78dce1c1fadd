"""Tests of the actions for jobs and presets."""

import asyncio
import logging
from typing import Any, Final

from homeassistant.config_entries import ConfigEntryDisabler, ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
import voluptuous as vol

from custom_components.gaze.const import DOMAIN
from testing.faults import Fault
from testing.gaze_server import GazeServer

from .common import PRESET, act, made, until
from .conftest import SetUp

SEED = 2**64 - 1


async def test_generate_sends_all_fields_to_server(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    response = await act(
        hass,
        "generate",
        preset=PRESET,
        count="2",
        extra_positive="<b>two cats</b>, {{ 1 + 1 }}",
        extra_negative="blurry",
        seed=str(SEED),
        width=768.0,
        height="512",
        checkpoint="Illustrious/model.safetensors",
        tag="wallpaper",
    )

    body = {
        "count": 2,
        "extra_positive": "<b>two cats</b>, {{ 1 + 1 }}",
        "extra_negative": "blurry",
        "seed": SEED,
        "width": 768,
        "height": 512,
        "checkpoint": "Illustrious/model.safetensors",
    }
    assert [record.body for record in server.jobs] == [body, body]
    assert response["batch_id"]
    assert not response["complete"]
    assert not response["skipped"]
    assert [job["job_id"] for job in response["jobs"]] == [job.job_id for job in server.jobs]
    assert {job["seed"] for job in response["jobs"]} == {str(SEED)}
    assert {job["tag"] for job in response["jobs"]} == {"wallpaper"}
    assert {job["entity_id"] for job in response["jobs"]} == {"image.gaze_neon_city"}


async def test_generate_omits_fields_that_are_not_set(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    await act(hass, "generate", preset=PRESET, seed="", extra_positive="")

    assert [record.body for record in server.jobs] == [{"count": 1}]


@pytest.mark.parametrize("text", ["oilpainting", "Oil painting", " oil PAINTING ", "OILPAINTING"])
async def test_preset_is_found_by_slug_or_name(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, text: str
) -> None:
    response = await act(hass, "generate", preset=text)

    assert response["jobs"][0]["preset"] == "oilpainting"
    assert response["jobs"][0]["preset_name"] == "Oil painting"


async def test_generate_works_without_requested_response(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    await hass.services.async_call(DOMAIN, "generate", {"preset": PRESET}, blocking=True)

    assert len(server.jobs) == 1


INVALID_FIELDS: Final[list[tuple[dict[str, Any], str]]] = [
    ({"count": 0}, "invalid_count"),
    ({"count": 21}, "invalid_count"),
    ({"count": 1.5}, "invalid_count"),
    ({"count": True}, "invalid_count"),
    ({"count": "many"}, "invalid_count"),
    ({"seed": -1}, "invalid_seed"),
    ({"seed": 2**64}, "invalid_seed"),
    ({"seed": True}, "invalid_seed"),
    ({"seed": 1.0}, "invalid_seed"),
    ({"seed": "0x10"}, "invalid_seed"),
    ({"seed": "9" * 5000}, "invalid_seed"),
    ({"width": 768}, "size_incomplete"),
    ({"height": 768}, "size_incomplete"),
    ({"width": 770, "height": 768}, "invalid_width"),
    ({"width": 768, "height": 8}, "invalid_height"),
    ({"width": 16392, "height": 768}, "invalid_width"),
    ({"width": "wide", "height": 768}, "invalid_width"),
    ({"width": True, "height": 768}, "invalid_width"),
    ({"extra_positive": "x" * 20_001}, "text_too_long"),
    ({"wait": True, "timeout": {"hours": 2}}, "timeout_too_long"),
    ({"preset": "nothing like it"}, "unknown_preset"),
    ({"preset": "neon_ctiy"}, "unknown_preset_near"),
]


async def test_invalid_field_has_own_message_and_queues_nothing(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, subtests: pytest.Subtests
) -> None:
    for fields, key in INVALID_FIELDS:
        with subtests.test(ascii(fields)):
            with pytest.raises(ServiceValidationError) as caught:
                await act(hass, "generate", **{"preset": PRESET, **fields})

            assert caught.value.translation_key == key
            assert caught.value.translation_domain == DOMAIN
            assert len(str(caught.value)) < 400
            assert "{" not in str(caught.value)
            assert server.requests["generate"] == 0


async def test_preset_is_not_called_unknown_when_presets_cannot_be_listed(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    server.put_preset("new", "New on GAZE")
    server.faults.on(Fault.SERVER_ERROR, "presets")

    with pytest.raises(HomeAssistantError) as caught:
        await act(hass, "generate", preset="New on GAZE")

    assert caught.value.translation_key == "update_failed"


async def test_error_suggests_similar_names_for_unknown_preset(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    with pytest.raises(ServiceValidationError, match="Neon city"):
        await act(hass, "generate", preset="Neon citty")


async def test_preset_is_found_when_just_added_on_server(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    server.put_preset("brand_new", "Brand new")

    response = await act(hass, "generate", preset="Brand new")

    assert response["jobs"][0]["preset"] == "brand_new"


async def test_error_names_preset_that_was_just_deleted_on_server(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    server.remove_preset(PRESET)

    with pytest.raises(ServiceValidationError, match="Neon city") as caught:
        await act(hass, "generate", preset=PRESET)
    await until(lambda: PRESET not in entry.runtime_data.data)

    assert caught.value.translation_key == "preset_gone"


@pytest.mark.parametrize(
    ("fault", "value", "key", "detail"),
    [
        (Fault.SERVER_ERROR, True, "server_failed", "Internal generation error"),
        (Fault.BUSY, 503, "server_busy", "Too busy"),
        (Fault.GARBAGE_JSON, True, "unexpected_response", "GAZE's API"),
        (Fault.WRONG_TYPES, True, "unexpected_response", "GAZE's API"),
        (Fault.MISSING_FIELDS, True, "unexpected_response", "GAZE's API"),
        (Fault.REDIRECT, True, "unexpected_response", "redirect"),
    ],
)
async def test_each_server_error_has_own_message(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    caplog: pytest.LogCaptureFixture,
    fault: Fault,
    value: Any,
    key: str,
    detail: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    server.faults.on(fault, "generate", value=value)

    with pytest.raises(HomeAssistantError) as caught:
        await act(hass, "generate", preset=PRESET)

    assert caught.value.translation_key == key
    assert "{" not in str(caught.value)
    assert detail in caplog.text
    assert server.api_key not in caplog.text
    assert "Traceback" not in caplog.text


async def test_error_is_reported_when_server_is_unreachable(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    server.set_online(False)

    with pytest.raises(HomeAssistantError) as caught:
        await act(hass, "generate", preset=PRESET)

    assert caught.value.translation_key == "connection_failed"
    assert not entry.runtime_data.last_update_success


async def test_html_from_server_is_not_logged(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server.faults.on(Fault.SERVER_ERROR, "generate")
    server.faults.on(Fault.HTML_ERRORS, "generate")

    with pytest.raises(HomeAssistantError):
        await act(hass, "generate", preset=PRESET)

    assert "500" in caplog.text
    assert "<html" not in caplog.text.lower()


async def test_skip_if_busy_queues_nothing_while_preset_is_busy(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    await act(hass, "generate", preset=PRESET, if_busy="skip")

    skipped = await act(hass, "generate", preset=PRESET, if_busy="skip")
    other = await act(hass, "generate", preset="oilpainting", if_busy="skip")

    assert skipped == {"batch_id": None, "complete": True, "skipped": True, "jobs": []}
    assert not other["skipped"]
    assert len(server.jobs) == 2


async def test_skip_if_busy_counts_pending_requests(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    responses = await asyncio.gather(
        *(act(hass, "generate", preset=PRESET, if_busy="skip") for _ in range(5))
    )

    assert sorted(response["skipped"] for response in responses) == [False, True, True, True, True]
    assert len(server.jobs) == 1


async def test_generate_is_rejected_when_too_many_jobs_are_open(
    hass: HomeAssistant, server: GazeServer, config_entry: MockConfigEntry, setup_integration: SetUp
) -> None:
    config_entry.add_to_hass(hass)
    hass.config_entries.async_update_entry(config_entry, options={"max_open_jobs": 3})
    await setup_integration(config_entry)
    await act(hass, "generate", preset=PRESET, count=2)

    with pytest.raises(ServiceValidationError) as caught:
        await act(hass, "generate", preset=PRESET, count=2)
    await act(hass, "generate", preset=PRESET, count=1)

    assert caught.value.translation_key == "too_many_open_jobs"
    assert len(server.jobs) == 3


async def test_wait_accepts_several_jobs_and_batches(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    first = await act(hass, "generate", preset=PRESET, count=2)
    second = await act(hass, "generate", preset="oilpainting")
    for _ in range(3):
        await server.finish()

    response = await act(
        hass,
        "wait",
        batch_id=[first["batch_id"]],
        job_id=second["jobs"][0]["job_id"],
        timeout={"seconds": 30},
    )
    again = await act(hass, "wait", batch_id=first["batch_id"], timeout={"seconds": 1})

    assert response["complete"]
    assert response["batch_id"] is None
    assert len(response["jobs"]) == 3
    assert again["batch_id"] == first["batch_id"]
    assert [job["index"] for job in again["jobs"]] == [1, 2]


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"job_id": "unknown"}, "unknown_job"),
        ({"batch_id": "unknown"}, "unknown_job"),
        ({"job_id": "../../etc/passwd"}, "unknown_job"),
    ],
)
@pytest.mark.parametrize("action", ["wait", "stop_tracking"])
async def test_error_names_unknown_jobs(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    action: str,
    fields: dict[str, Any],
    key: str,
) -> None:
    with pytest.raises(ServiceValidationError) as caught:
        await hass.services.async_call(
            DOMAIN, action, fields, blocking=True, return_response=action == "wait"
        )

    assert caught.value.translation_key == key


async def test_wait_requires_jobs(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    with pytest.raises(ServiceValidationError) as caught:
        await act(hass, "wait")

    assert caught.value.translation_key == "nothing_selected"


async def test_generate_again_uses_new_seed(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    job = await made(hass, server, extra_positive="a cat", width=64, height=64, seed=5, tag="t")

    response = await act(hass, "regenerate", job_id=job["job_id"])

    assert server.jobs[1].body == {
        "count": 1,
        "extra_positive": "a cat",
        "width": 64,
        "height": 64,
    }
    assert response["jobs"][0]["tag"] == "t"
    assert response["jobs"][0]["preset"] == PRESET


async def test_generate_again_uses_same_seed_and_changes_on_request(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    job = await made(hass, server, extra_positive="a cat")

    await act(
        hass,
        "regenerate",
        job_id=job["job_id"],
        same_seed=True,
        extra_positive="a dog",
        preset="oilpainting",
        count=2,
    )

    assert server.jobs[1].preset.slug == "oilpainting"
    assert server.jobs[1].body == {"count": 2, "extra_positive": "a dog", "seed": int(job["seed"])}


@pytest.mark.parametrize("size", [{}, {"width": 128, "height": 64}], ids=["of preset", "requested"])
async def test_generate_again_requests_same_size_when_only_image_is_stored(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    monkeypatch: pytest.MonkeyPatch,
    size: dict[str, int],
) -> None:
    monkeypatch.setattr("custom_components.gaze.jobs.engine.MAX_ENDED", 1)
    job = await made(hass, server, extra_positive="a cat", **size)
    await made(hass, server)
    await until(lambda: len(entry.runtime_data.engine.jobs) == 1)

    await act(hass, "regenerate", job_id=job["job_id"], same_seed=True)

    assert server.jobs[2].body == {
        "count": 1,
        "extra_positive": "a cat",
        "seed": int(job["seed"]),
        **size,
    }


async def test_generate_again_fails_for_unknown_job(
    hass: HomeAssistant, entry: MockConfigEntry
) -> None:
    with pytest.raises(ServiceValidationError) as caught:
        await act(hass, "regenerate", job_id="unknown")

    assert caught.value.translation_key == "unknown_job"


async def test_generate_again_reports_unreadable_index(
    hass: HomeAssistant, entry: MockConfigEntry
) -> None:
    await entry.runtime_data.gallery.async_close()

    with pytest.raises(HomeAssistantError) as caught:
        await act(hass, "regenerate", job_id="of an image")

    assert caught.value.translation_key == "gallery_failed"


async def test_generate_again_fails_when_seed_is_unknown(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    response = await act(hass, "generate", preset=PRESET)
    job_id = response["jobs"][0]["job_id"]

    with pytest.raises(ServiceValidationError) as caught:
        await act(hass, "regenerate", job_id=job_id, same_seed=True)

    assert caught.value.translation_key == "seed_unknown"


async def test_job_queued_elsewhere_is_tracked(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    (foreign,) = server.add_foreign_jobs(1)

    response = await act(hass, "track_job", job_id=foreign, preset="Neon city", tag="from the web")
    again = await act(hass, "track_job", job_id=foreign, preset="Neon city")
    await server.finish()
    ended = await act(hass, "wait", job_id=foreign, timeout={"seconds": 30})

    assert response["jobs"][0]["job_id"] == foreign
    assert again["batch_id"] == response["batch_id"]
    assert ended["jobs"][0]["status"] == "done"
    assert ended["jobs"][0]["tag"] == "from the web"


@pytest.mark.parametrize("job_id", ["unknown", "../presets", "a b"])
async def test_job_unknown_to_server_is_not_tracked(
    hass: HomeAssistant, entry: MockConfigEntry, job_id: str
) -> None:
    with pytest.raises(ServiceValidationError) as caught:
        await act(hass, "track_job", job_id=job_id, preset=PRESET)

    assert caught.value.translation_key == "unknown_job"


async def test_track_job_reports_server_error(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    (foreign,) = server.add_foreign_jobs(1)
    server.faults.on(Fault.GARBAGE_JSON, "job")

    with pytest.raises(HomeAssistantError) as caught:
        await act(hass, "track_job", job_id=foreign, preset=PRESET)

    assert caught.value.translation_key == "unexpected_response"


@pytest.mark.parametrize("by", ["job_id", "batch_id", "preset", "preset_name", "all"])
async def test_tracking_stops_on_request(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, by: str
) -> None:
    response = await act(hass, "generate", preset=PRESET)
    await act(hass, "generate", preset="oilpainting")
    job = response["jobs"][0]
    fields = {"all": True} if by == "all" else {by.removesuffix("_name"): job.get(by, PRESET)}

    await hass.services.async_call(DOMAIN, "stop_tracking", fields, blocking=True)
    listed = await act(hass, "list_jobs")

    stopped = [job["preset"] for job in listed["jobs"] if job["reason"] == "stopped"]
    assert stopped == (["oilpainting", PRESET] if by == "all" else [PRESET])


UNCLEAR: Final[list[set[str]]] = [
    set(),
    {"job_id", "all"},
    {"batch_id", "preset"},
    {"job_id", "preset"},
    {"preset", "all"},
    {"job_id", "batch_id", "preset", "all"},
]


async def test_stop_tracking_requires_one_way_to_select(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, subtests: pytest.Subtests
) -> None:
    [job] = (await act(hass, "generate", preset=PRESET))["jobs"]
    ways = {name: job[name] for name in ("job_id", "batch_id", "preset")} | {"all": True}

    for names in UNCLEAR:
        with subtests.test(str(sorted(names))):
            fields = {name: ways[name] for name in names}
            with pytest.raises(ServiceValidationError) as caught:
                await hass.services.async_call(DOMAIN, "stop_tracking", fields, blocking=True)
            assert caught.value.translation_key == "no_jobs_selected"
            assert len(entry.runtime_data.engine.open_jobs) == 1


async def test_jobs_are_listed_newest_first(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    done = await made(hass, server)
    response = await act(hass, "generate", preset="oilpainting")

    listed = await act(hass, "list_jobs")

    assert [job["job_id"] for job in listed["jobs"]] == [
        response["jobs"][0]["job_id"],
        done["job_id"],
    ]
    assert [job["status"] for job in listed["jobs"]] == ["queued", "done"]


async def test_presets_are_listed_in_order_of_server(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    response = await act(hass, "list_presets")

    assert response == {
        "presets": [
            {"slug": preset.slug, "name": preset.name} for preset in server.presets.values()
        ]
    }


async def test_generate_uses_server_that_is_free_first(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    second_server: GazeServer,
    second_entry: MockConfigEntry,
) -> None:
    for _ in range(4):
        await act(hass, "generate", preset=PRESET)

    assert len(server.jobs) == 2
    assert len(second_server.jobs) == 2


async def test_generate_uses_reachable_server_that_has_preset(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    second_server: GazeServer,
    second_entry: MockConfigEntry,
) -> None:
    second_server.put_preset("only_here", "Only here")
    await second_entry.runtime_data.async_refresh()
    await act(hass, "generate", preset="only_here")
    server.set_online(False)
    await entry.runtime_data.async_refresh()

    for _ in range(2):
        await act(hass, "generate", preset=PRESET)

    assert len(second_server.jobs) == 3


@pytest.mark.parametrize("state", [ConfigEntryState.NOT_LOADED, ConfigEntryState.SETUP_RETRY])
async def test_generate_uses_loaded_server_that_has_preset(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    second_entry: MockConfigEntry,
    state: ConfigEntryState,
) -> None:
    await hass.config_entries.async_unload(second_entry.entry_id)
    second_entry.mock_state(hass, state)

    await act(hass, "generate", preset=PRESET)

    assert len(server.jobs) == 1


async def test_generate_finds_preset_that_was_just_added_while_other_server_is_not_loaded(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, second_entry: MockConfigEntry
) -> None:
    await hass.config_entries.async_unload(second_entry.entry_id)
    server.put_preset("just_added", "Just added")

    await act(hass, "generate", preset="just_added")

    assert len(server.jobs) == 1


@pytest.mark.parametrize("kind", ["preset", "recipe"])
async def test_generate_names_server_that_is_not_loaded(
    hass: HomeAssistant, entry: MockConfigEntry, second_entry: MockConfigEntry, kind: str
) -> None:
    await hass.config_entries.async_unload(second_entry.entry_id)

    with pytest.raises(ServiceValidationError) as caught:
        await act(hass, "generate", **{kind: "only_there"})

    assert caught.value.translation_key == "server_not_loaded"
    assert caught.value.translation_placeholders == {
        "name": "only_there",
        "server": second_entry.title,
    }


async def test_generate_names_server_when_none_of_several_is_loaded(
    hass: HomeAssistant, entry: MockConfigEntry, second_entry: MockConfigEntry
) -> None:
    for each in (entry, second_entry):
        await hass.config_entries.async_unload(each.entry_id)

    with pytest.raises(ServiceValidationError) as caught:
        await act(hass, "generate", preset=PRESET)

    assert caught.value.translation_key == "server_not_loaded"
    assert caught.value.translation_placeholders == {"name": PRESET, "server": entry.title}


async def test_generate_names_unknown_preset_when_other_server_is_disabled_or_not_meant(
    hass: HomeAssistant, entry: MockConfigEntry, second_entry: MockConfigEntry
) -> None:
    keys = []
    await hass.config_entries.async_unload(second_entry.entry_id)
    with pytest.raises(ServiceValidationError) as caught:
        await act(hass, "generate", preset="unknown", config_entry_id=entry.entry_id)
    keys.append(caught.value.translation_key)
    await hass.config_entries.async_set_disabled_by(second_entry.entry_id, ConfigEntryDisabler.USER)
    with pytest.raises(ServiceValidationError) as caught:
        await act(hass, "generate", preset="unknown")
    keys.append(caught.value.translation_key)

    assert keys == ["unknown_preset", "unknown_preset"]


async def test_other_actions_require_server_when_there_are_several(
    hass: HomeAssistant, entry: MockConfigEntry, second_entry: MockConfigEntry
) -> None:
    with pytest.raises(ServiceValidationError):
        await act(hass, "list_presets")

    response = await act(hass, "list_presets", config_entry_id=second_entry.entry_id)

    assert response["presets"]


async def test_generate_uses_selected_server(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    second_server: GazeServer,
    second_entry: MockConfigEntry,
) -> None:
    for _ in range(2):
        await act(hass, "generate", preset=PRESET, config_entry_id=second_entry.entry_id)

    assert len(server.jobs) == 0
    assert len(second_server.jobs) == 2


async def test_actions_fail_when_no_server_is_loaded(
    hass: HomeAssistant, entry: MockConfigEntry
) -> None:
    await hass.config_entries.async_unload(entry.entry_id)

    with pytest.raises(ServiceValidationError):
        await act(hass, "generate", preset=PRESET)


REJECTED_CALLS: Final[list[tuple[str, dict[str, Any]]]] = [
    ("generate", {}),
    ("generate", {"preset": PRESET, "if_busy": "perhaps"}),
    ("generate", {"preset": PRESET, "surprise": 1}),
    ("regenerate", {}),
    ("track_job", {"job_id": "a"}),
]


async def test_invalid_fields_are_rejected(
    hass: HomeAssistant, entry: MockConfigEntry, subtests: pytest.Subtests
) -> None:
    for action, fields in REJECTED_CALLS:
        with (
            subtests.test(f"{action} {fields}"),
            pytest.raises((vol.Invalid, ServiceValidationError)),
        ):
            await act(hass, action, **fields)


async def test_size_with_too_many_pixels_is_rejected(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    await act(hass, "generate", preset=PRESET, width=8192, height=8192)

    with pytest.raises(ServiceValidationError) as caught:
        await act(hass, "generate", preset=PRESET, width=8192, height=8200)

    assert caught.value.translation_key == "size_too_large"
    assert caught.value.translation_placeholders == {"pixels": "67,174,400", "max": "67,108,864"}
    assert len(server.jobs) == 1
