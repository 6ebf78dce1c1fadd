"""A recipe with a real AI task as its writer, and Favorites rotated by another integration."""

from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any

import pytest

from testing.gaze_server import GazeServer
from testing.home_assistant import HomeAssistant, Json, ProgramFactory, wait_until
from testing.steps import DELIVERY

from .conftest import House, newest_version, open_house

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),  # on a machine that may be busy
    pytest.mark.usefixtures("socket_enabled"),
    newest_version,
]

WRITER = Path(__file__).parent / "prompt_writer"
WRITER_ENTITY = "ai_task.prompt_writer"
IMAGE = "image.gaze_bedtime_story"
COLLECTION = "image.favorites_collection"


@pytest.fixture
async def empty_house(
    tmp_path: Path, gaze: GazeServer, create_program: ProgramFactory
) -> AsyncGenerator[House]:
    """Return a Home Assistant that has the prompt writer among its custom integrations."""
    folder = tmp_path / "home"
    components = folder / "custom_components"
    components.mkdir(parents=True)
    (components / WRITER.name).symlink_to(WRITER)
    async with open_house(folder, gaze, create_program) as house:
        yield house


async def _add_recipe(home_assistant: HomeAssistant, fields: Mapping[str, object]) -> str:
    """Add a recipe with its form, as the frontend does, and return the ID of the server."""
    [entry] = await home_assistant.entries("gaze")
    step = await home_assistant.add_subentry(entry["entry_id"], "recipe", fields)
    assert step["type"] == "create_entry", step
    return str(entry["entry_id"])


async def _run(home_assistant: HomeAssistant, **data: object) -> Json:
    """Run the recipe to its image and return the job."""
    data = {"recipe": "bedtime_story", "wait": True, **data}
    response = await home_assistant.call_action("gaze", "generate", data, return_response=True)
    assert response["complete"]
    [job] = response["jobs"]
    return dict(job)


async def _wait_for_state(home_assistant: HomeAssistant, entity_id: str, state: str) -> Json:
    """Wait until an entity has a state, and return it."""
    found: dict[str, Any] = {}

    async def has_state() -> bool:
        found.update(await home_assistant.state(entity_id) or {})
        return found.get("state") == state

    await wait_until(has_state, what=f"{entity_id} as {state}", seconds=3 * DELIVERY)
    return found


async def test_recipe_with_writer_makes_favorites_that_are_rotated(house: House) -> None:
    home_assistant = house.home_assistant
    house.expected.append("Using the rendered prompt")  # when the writer fails
    # collection_image fetches images at Home Assistant's own address.
    own_url = {"type": "config/core/update", "internal_url": home_assistant.url}
    await home_assistant.websocket(own_url)
    await home_assistant.flow("prompt_writer")
    entry_id = await _add_recipe(
        home_assistant,
        {
            "name": "Bedtime story",
            "preset": "paper_forest",
            "prompt": "a fox",
            "language_model": {
                "writer": WRITER_ENTITY,
                "instructions": "Invent {{ wish | default('a book cover') }}.",
            },
        },
    )

    # The writer writes, and the rendered prompt is used if it does not.
    async with home_assistant.events("gaze_event") as received:
        written = await _run(home_assistant)
        writers = {(await received.get())["data"]["writer"]}
    state = await _wait_for_state(home_assistant, IMAGE, written["finished_at"])
    second = await _run(home_assistant)
    refused = await _run(home_assistant, variables={"wish": "refuse"})
    babbled = await _run(home_assistant, variables={"wish": "babble"})

    assert writers == {WRITER_ENTITY}
    assert written["extra_positive"] == "a fox in the snow, number 1"
    assert (written["title"], state["attributes"]["title"]) == ("Winter fox 1", "Winter fox 1")
    assert second["title"] == "Winter fox 2"
    for job in (refused, babbled):
        assert (job["extra_positive"], job["title"]) == ("a fox", None)
    assert {job["entity_id"] for job in (written, refused)} == {IMAGE}

    # Favorites are the images that collection_image rotates.
    favorites = {"job_id": [written["job_id"], second["job_id"]], "favorite": True}
    await home_assistant.call_action("gaze", "mark_images", favorites)
    folder = f"media-source://gaze/{entry_id}/images/favorites"
    media = {"media_content_id": folder, "media_content_type": ""}
    step = await home_assistant.flow("collection_image", {"media": [media]})
    assert step["title"] == "Favorites collection"
    images = {(await home_assistant.fetch(job["image_url"]))[0]: job for job in (written, second)}

    async def has_image() -> bool:
        shown = await home_assistant.state(COLLECTION)
        return shown is not None and shown["state"] not in {"unknown", "unavailable"}

    async def shown_after(action: str) -> Json | None:
        target = {"entity_id": COLLECTION}
        await home_assistant.call_action("collection_image", action, target)
        return images.get((await home_assistant.fetch(f"/api/image_proxy/{COLLECTION}"))[0])

    await wait_until(has_image, what="The first image of the collection", seconds=3 * DELIVERY)
    rotated = [await shown_after(action) for action in ("select_first", "select_next", "shuffle")]
    await home_assistant.call_action("gaze", "mark_images", favorites | {"favorite": False})
    one = {"job_id": written["job_id"], "favorite": True}
    await home_assistant.call_action("gaze", "mark_images", one)
    rotated += [await shown_after(action) for action in ("select_last", "shuffle")]

    assert rotated == [second, written, second, written, written]
