"""Test of a real Home Assistant that is killed in the middle of a batch.

`SEED=1` runs it with the same moments as another time.
"""

import os
from pathlib import Path
import secrets

import pytest

from testing.home_assistant import ProgramFactory
from testing.kills import Moment, perform

from .conftest import newest_version

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("socket_enabled"), newest_version]


@pytest.mark.timeout(240)  # four starts of Home Assistant, on a machine that may be busy
async def test_no_image_is_lost_when_home_assistant_is_killed(
    tmp_path: Path, create_program: ProgramFactory
) -> None:
    seed = int(os.environ.get("SEED") or secrets.randbelow(10_000))
    print(f"SEED={seed}")  # noqa: T201 - shown with a failure, to repeat it

    kills = await perform(tmp_path, kills=3, seed=seed, create_program=create_program)

    assert [kill.moment for kill in kills] == [
        Moment.MAKING,
        Moment.RECOVERING,
        Moment.QUEUEING,
    ]
    assert [problem for kill in kills for problem in kill.problems] == []
    assert sum(kill.told_before + kill.told_after for kill in kills) >= kills[0].jobs
