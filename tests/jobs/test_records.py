"""What the job engine keeps on disk."""

import asyncio

from homeassistant.core import HomeAssistant

from custom_components.gaze.jobs import Job, Records


def job(job_id: str) -> Job:
    """Return a job that was just queued."""
    return Job(
        job_id=job_id,
        batch_id="batch",
        index=1,
        count=1,
        preset="neon_city",
        preset_name="Neon city",
        requested_at=1_000.0,
    )


async def test_job_is_stored_when_caller_is_cancelled(hass: HomeAssistant) -> None:
    records = Records(hass, "entry")
    await records.async_open()
    keeping = [
        hass.async_create_background_task(records.async_save(job(job_id)), "keep")
        for job_id in ("first", "second", "third")
    ]

    for task in keeping:
        task.cancel()
    await asyncio.gather(*keeping, return_exceptions=True)
    await records.async_close()

    again = Records(hass, "entry")
    jobs, _ = await again.async_open()
    await again.async_close()
    assert all(task.cancelled() for task in keeping)
    assert [kept.job_id for kept in jobs] == ["first", "second", "third"]
