"""The sensors."""

from datetime import datetime

from homeassistant.core import HomeAssistant
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from testing.gaze_server import GazeServer

from .common import PRESET, act, made, state, until


async def test_status_reflects_jobs(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    seen = [(state(hass, "status"), state(hass, "open_jobs"))]
    answer = await act(hass, "generate", preset=PRESET, count=2)
    seen.append((state(hass, "status"), state(hass, "open_jobs")))
    server.begin()
    await until(lambda: state(hass, "status") == "generating")
    seen.append((state(hass, "status"), state(hass, "open_jobs")))
    await server.finish()
    await server.finish()
    await act(hass, "wait", batch_id=answer["batch_id"], timeout={"seconds": 30})
    seen.append((state(hass, "status"), state(hass, "open_jobs")))

    assert seen == [("idle", "0"), ("waiting", "2"), ("generating", "2"), ("idle", "0")]


async def test_last_seed_is_exact(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    before = state(hass, "last_seed")
    await made(hass, server, seed=2**64 - 1)

    assert before == "unknown"
    assert state(hass, "last_seed") == "18446744073709551615"


async def test_last_seed_survives_reload(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    await made(hass, server, seed=7)

    await hass.config_entries.async_reload(entry.entry_id)

    assert state(hass, "last_seed") == "7"


async def test_estimated_finish_follows_from_learned_durations(
    hass: HomeAssistant, server: GazeServer, entry: MockConfigEntry
) -> None:
    idle = state(hass, "estimated_finish")
    await act(hass, "generate", preset=PRESET)
    unknown = state(hass, "estimated_finish")
    entry.runtime_data.engine.durations.learn((PRESET, "", ""), 100.0, 100.0)
    await act(hass, "generate", preset=PRESET)

    finish = datetime.fromisoformat(state(hass, "estimated_finish"))

    assert idle == unknown == "unknown"
    assert (finish - dt_util.utcnow()).total_seconds() == pytest.approx(200, abs=20)
