"""Tests of permissions, which are those for the entities of the server."""

from pathlib import Path
from typing import Any

from homeassistant.core import Context, HomeAssistant
from homeassistant.exceptions import ServiceValidationError, Unauthorized
from homeassistant.helpers import entity_registry as er
import pytest
from pytest_homeassistant_custom_component.common import MockUser

from custom_components.gaze.const import DOMAIN
from testing.gaze_server import GazeServer

from .common import PRESET, CallAs, made, user_with

GENERATE_BUTTON = "button.gaze_generate"
LATEST = "image.gaze_latest_image"

CHANGES: dict[str, dict[str, Any]] = {
    "generate": {"preset": PRESET},
    "regenerate": {"job_id": "JOB"},
    "track_job": {"job_id": "JOB", "preset": PRESET},
    "stop_tracking": {"all": True},
    "save_image": {"job_id": "JOB", "filename": "/tmp/image.png"},  # noqa: S108 - never written
    "delete_images": {"job_id": "JOB"},
}
LISTS: dict[str, dict[str, Any]] = {
    "list_images": {},
    "list_jobs": {},
    "list_presets": {},
    "wait": {"job_id": "JOB"},
}
NO_RESPONSE = {"stop_tracking", "save_image"}


@pytest.mark.usefixtures("entry")
@pytest.mark.parametrize("action", CHANGES)
async def test_change_is_rejected_if_user_may_not_press_generate(
    hass: HomeAssistant,
    server: GazeServer,
    call_as: CallAs,
    hass_read_only_user: MockUser,
    action: str,
) -> None:
    job_id = (await made(hass, server))["job_id"]
    data = {name: job_id if value == "JOB" else value for name, value in CHANGES[action].items()}
    requests = dict(server.requests)

    for user in (hass_read_only_user, user_with(hass, LATEST)):
        with pytest.raises(Unauthorized) as caught:
            await call_as(user, action, response=action not in NO_RESPONSE, **data)
        assert caught.value.entity_id == GENERATE_BUTTON

    assert dict(server.requests) == requests
    images = await call_as(hass_read_only_user, "list_images")
    assert [image["job_id"] for image in images["images"]] == [job_id]


@pytest.mark.usefixtures("entry")
async def test_generate_is_allowed_if_user_may_press_generate(
    hass: HomeAssistant, server: GazeServer, call_as: CallAs
) -> None:
    jobs = await call_as(user_with(hass, GENERATE_BUTTON), "generate", preset=PRESET)

    assert [job["job_id"] for job in jobs["jobs"]] == [job.job_id for job in server.jobs]


@pytest.mark.usefixtures("entry")
async def test_renamed_button_still_grants_permission(
    hass: HomeAssistant, call_as: CallAs, entity_registry: er.EntityRegistry
) -> None:
    user = user_with(hass, "button.paint")
    entity_registry.async_update_entity(GENERATE_BUTTON, new_entity_id="button.paint")

    assert (await call_as(user, "generate", preset=PRESET))["jobs"]


@pytest.mark.usefixtures("entry")
@pytest.mark.parametrize("action", LISTS)
async def test_lists_are_rejected_if_user_may_not_see_latest_image(
    hass: HomeAssistant,
    server: GazeServer,
    call_as: CallAs,
    hass_read_only_user: MockUser,
    action: str,
) -> None:
    job_id = (await made(hass, server))["job_id"]
    data = {name: job_id if value == "JOB" else value for name, value in LISTS[action].items()}

    assert await call_as(hass_read_only_user, action, **data)
    with pytest.raises(Unauthorized):
        await call_as(user_with(hass, GENERATE_BUTTON), action, **data)


@pytest.mark.usefixtures("entry")
async def test_unknown_user_is_rejected(hass: HomeAssistant) -> None:
    with pytest.raises(Unauthorized):
        await hass.services.async_call(
            DOMAIN,
            "generate",
            {"preset": PRESET},
            blocking=True,
            context=Context(user_id="nobody"),
        )


@pytest.mark.usefixtures("entry", "second_entry")
async def test_generate_uses_only_servers_that_user_may_control(
    hass: HomeAssistant,
    server: GazeServer,
    second_server: GazeServer,
    call_as: CallAs,
    hass_read_only_user: MockUser,
) -> None:
    user = user_with(hass, "button.gaze_second_generate")
    for _ in range(2):
        await call_as(user, "generate", preset=PRESET)

    assert len(second_server.jobs) == 2
    assert not server.jobs
    with pytest.raises(Unauthorized):
        await call_as(hass_read_only_user, "generate", preset=PRESET)


@pytest.mark.usefixtures("entry")
async def test_file_is_replaced_only_for_administrators_and_automations(
    hass: HomeAssistant,
    server: GazeServer,
    call_as: CallAs,
    hass_admin_user: MockUser,
    tmp_path: Path,
) -> None:
    job_id = (await made(hass, server))["job_id"]
    hass.config.allowlist_external_dirs = {str(tmp_path)}
    file = tmp_path / "image.png"
    data = {"job_id": job_id, "filename": str(file), "overwrite": True}
    user = user_with(hass, GENERATE_BUTTON)

    await call_as(user, "save_image", response=False, **data)
    file.write_bytes(b"people's own")
    with pytest.raises(ServiceValidationError) as caught:
        await call_as(user, "save_image", response=False, **data)
    assert caught.value.translation_key == "overwrite_not_allowed"
    assert file.read_bytes() == b"people's own"

    await call_as(hass_admin_user, "save_image", response=False, **data)
    assert file.read_bytes() != b"people's own"
    file.write_bytes(b"people's own")
    await hass.services.async_call(DOMAIN, "save_image", data, blocking=True)
    assert file.read_bytes() != b"people's own"
