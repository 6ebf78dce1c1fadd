"""Actions take the image that an entity shows, and change what a display shows."""

from pathlib import Path
from typing import Any, Final

from homeassistant.core import Context, HomeAssistant
from homeassistant.exceptions import ServiceValidationError, Unauthorized
from homeassistant.helpers import device_registry as dr
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, MockUser

from testing.gaze_server import GazeServer

from ..common import make_image
from .conftest import OTHER, PRESET, AddDisplay, display_device


async def call(hass: HomeAssistant, action: str, **fields: Any) -> dict[str, Any]:
    """Call an action of GAZE and return its response."""
    only = hass.services.supports_response("gaze", action)
    response = await hass.services.async_call(
        "gaze", action, fields, blocking=True, return_response=only != "none"
    )
    return dict(response or {})


@pytest.mark.parametrize(
    ("entity_id", "preset"),
    [("image.gaze_latest_image", OTHER), ("image.gaze_neon_city", PRESET)],
)
async def test_save_image_takes_image_of_entity(
    hass: HomeAssistant,
    server: GazeServer,
    entry: MockConfigEntry,
    media_dir: Path,
    entity_id: str,
    preset: str,
) -> None:
    hass.config.allowlist_external_dirs = {str(media_dir)}
    made = {slug: await make_image(hass, server, slug) for slug in (PRESET, OTHER)}

    await call(hass, "save_image", entity_id=entity_id, filename=f"{media_dir}/copy.png")

    assert (media_dir / "copy.png").read_bytes()
    deleted = await call(hass, "delete_images", entity_id=entity_id)
    assert deleted == {"deleted": 1}
    assert await entry.runtime_data.gallery.async_get(made[preset]) is None


async def test_regenerate_takes_image_that_display_shows(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, add_display: AddDisplay
) -> None:
    await make_image(hass, server, PRESET)
    await make_image(hass, server, OTHER)
    await add_display(source="preset", source_value=PRESET)

    response = await call(hass, "regenerate", entity_id="image.gaze_hall")

    assert response["jobs"][0]["preset"] == PRESET


AMBIGUOUS_IMAGES: Final[list[tuple[dict[str, Any], str]]] = [
    ({}, "no_image_named"),
    ({"job_id": "x", "entity_id": "image.gaze_latest_image"}, "no_image_named"),
    ({"entity_id": "image.gaze_latest_image"}, "entity_without_image"),
    ({"entity_id": "sensor.gaze_status"}, "not_an_image_entity"),
    ({"entity_id": "image.somebody_else"}, "not_an_image_entity"),
]


async def test_ambiguous_image_is_rejected(
    hass: HomeAssistant, entry: MockConfigEntry, subtests: pytest.Subtests
) -> None:
    for fields, error in AMBIGUOUS_IMAGES:
        with subtests.test(ascii(fields)):
            with pytest.raises(ServiceValidationError) as caught:
                await call(hass, "save_image", filename="/media/x.png", **fields)

            assert caught.value.translation_key == error


async def test_show_image_changes_display_even_on_hold(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, add_display: AddDisplay
) -> None:
    older = await make_image(hass, server, PRESET)
    await make_image(hass, server, OTHER)
    player = await add_display()
    player.state.hold = True

    await call(hass, "show_image", display=display_device(hass, entry, player).id, job_id=older)
    assert player.state.shown == older
    await call(
        hass,
        "show_image",
        display=display_device(hass, entry, player).id,
        entity_id="image.gaze_latest_image",
    )

    assert player.state.shown != older


async def test_show_image_rejects_hidden_image(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry, add_display: AddDisplay
) -> None:
    hidden = await make_image(hass, server, PRESET)
    await call(hass, "mark_images", job_id=hidden, hidden=True)
    player = await add_display()

    with pytest.raises(ServiceValidationError) as caught:
        await call(
            hass, "show_image", display=display_device(hass, entry, player).id, job_id=hidden
        )

    assert caught.value.translation_key == "image_hidden"
    assert player.state.shown is None


async def test_show_image_rejects_device_that_is_no_display(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    job_id = await make_image(hass, server, PRESET)
    registry = dr.async_get(hass)
    [preset] = [
        device.id
        for device in dr.async_entries_for_config_entry(registry, entry.entry_id)
        if (device.name or "").endswith("Neon city")
    ]

    for device in (preset, "unknown"):
        with pytest.raises(ServiceValidationError) as caught:
            await call(hass, "show_image", display=device, job_id=job_id)
        assert caught.value.translation_key == "not_a_display"


async def test_list_displays_names_address_to_administrators_only(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    add_display: AddDisplay,
    hass_read_only_user: MockUser,
) -> None:
    hass.config.internal_url = "http://192.168.1.5:8123"
    player = await add_display()

    [listed] = (await call(hass, "list_displays"))["displays"]

    assert listed["path"] == f"/api/gaze/display/{player.state.token}/hall.jpg"
    assert listed["url"] == f"http://192.168.1.5:8123{listed['path']}"
    with pytest.raises(Unauthorized):
        await hass.services.async_call(
            "gaze",
            "list_displays",
            {},
            blocking=True,
            return_response=True,
            context=Context(user_id=hass_read_only_user.id),
        )


@pytest.mark.parametrize("entity_id", ["button.gaze_generate", "image.no_such_entity"])
async def test_action_rejects_entity_that_shows_no_image(
    hass: HomeAssistant, entry: MockConfigEntry, entity_id: str
) -> None:
    with pytest.raises(ServiceValidationError) as caught:
        await call(hass, "delete_images", entity_id=entity_id)

    assert caught.value.translation_key == "not_an_image_entity"
