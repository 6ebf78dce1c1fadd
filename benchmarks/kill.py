"""Kills a real Home Assistant at random moments of a batch, and checks every image afterwards.

Each job in a response must end in one `finished` event. Each image must be in the media folder
once, with the bytes of the server. No partial files may remain, the stores must load, and no
request may be repeated. An event may be fired twice if the kill happens before the event is
recorded. A kill during the action may leave jobs on the server whose IDs Home Assistant never
received. The benchmark counts these jobs.
"""

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path
import secrets
import sys
import tempfile
from typing import Final

from testing.kills import Kill, perform

from .support.report import Report, machine, table

KILLS: Final = 20
HEAD: Final = (
    "kill",
    "when",
    "jobs",
    "response",
    "ended before",
    "ended after",
    "repeated",
    "unknown",
    "problems",
)


def row(kill: Kill) -> list[str]:
    """Return a kill as a row of the table."""
    return [
        str(kill.number),
        kill.moment,
        str(kill.jobs),
        "yes" if kill.answered else "no",
        str(kill.told_before),
        str(kill.told_after),
        *(
            str(number) if kill.judged else ""
            for number in (kill.repeated, kill.unknown, len(kill.problems))
        ),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark. Returns 1 if anything was lost, repeated, or left over."""
    parser = argparse.ArgumentParser(prog="scripts/bench kill", description=__doc__)
    parser.add_argument("--kills", type=int, default=KILLS, help=f"how many ({KILLS})")
    parser.add_argument(
        "--seed", type=int, default=secrets.randbelow(10_000), help="of the moments"
    )
    options = parser.parse_args(arguments)
    report = Report("kill", "Kills")
    report.add(f"{machine()}; seed {options.seed}")

    def report_kill(kill: Kill) -> None:
        print(*kill.problems, sep="\n", end="\n" if kill.problems else "", flush=True)
        print(f"Kill {kill.number} of {options.kills}: {kill.moment}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="gaze-kill-") as folder:
        kills = asyncio.run(
            perform(Path(folder), kills=options.kills, seed=options.seed, report=report_kill)
        )
    report.add(table(HEAD, [row(kill) for kill in kills]))
    ended = sum(kill.told_before + kill.told_after for kill in kills)
    wrong = sum(len(kill.problems) for kill in kills)
    report.add(f"{len(kills)} kills, {ended} jobs ended, {wrong} problems")
    if options.kills == KILLS:
        report.save()
    return 1 if any(kill.problems for kill in kills) else 0


if __name__ == "__main__":
    sys.exit(main())
