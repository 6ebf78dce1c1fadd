"""Measures saving against version 0.1.0, the scan of 5,000 images, and steps of the event loop.

Saving, of an image of typical size, includes validation, the file, and the index. Thumbnails are
made after it, between two images. A scan opens the index and compares it with the folder. The
gallery of 0.1.0 comes from the history of this repository. Both run in turns, each in a process.
"""

import argparse
from collections.abc import Sequence
import json
from pathlib import Path
from statistics import median
import subprocess
import sys
import tarfile
import tempfile
from typing import Any, Final

from .gallery import small_image, typical_image
from .support.report import Figure, Report, listed, machine

ROUNDS: Final = 3
IMAGES: Final = 40
SCANNED: Final = 5000
EARLIER: Final = "1174a27"  # the last commit of version 0.1.0
ROOT: Final = Path(__file__).parent.parent
SAVER: Final = Path(__file__).parent / "support" / "saver.py"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark. Returns 1 if a limit is missed."""
    parser = argparse.ArgumentParser(prog="scripts/bench saving", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"how many ({ROUNDS})")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="gaze-saving-") as folder:
        earlier = check_out(Path(folder, "earlier"))
        runs: list[dict[str, Any]] = []
        earlier_runs: list[dict[str, Any]] = []
        for number in range(options.rounds):
            home = Path(folder, str(number))
            earlier_runs.append(run_saver(earlier, home / "earlier", scanned=0))
            runs.append(run_saver(ROOT, home / "now", scanned=SCANNED))

    now, then = (
        1000 * median(time for run in found for time in run["times"])
        for found in (runs, earlier_runs)
    )
    opened = [1000 * time for run in runs for time in run["opened"]]
    saving_step, opening_step = (
        1000 * median(run[name] for run in runs) for name in ("step_of_saving", "step_of_opening")
    )
    figures = [
        Figure(name="Saving an image (ms)", value=now),
        Figure(name="Saving an image with 0.1.0 (ms)", value=then),
        Figure(name="Ratio", value=now / then, limit=1.25),
        Figure(name=f"Scan of {SCANNED:,} images (ms)", value=median(opened), limit=300, digits=0),
        Figure(
            name="Longest step of the event loop while saving (ms)", value=saving_step, limit=20
        ),
        Figure(name="Longest step of the event loop in a scan (ms)", value=opening_step, limit=20),
    ]
    report = Report("saving", "Saving")
    report.add(f"{machine()}; medians of {options.rounds} rounds with {IMAGES} images each")
    report.add(listed(figures))
    report.save()
    return 0 if all(figure.met for figure in figures) else 1


def check_out(folder: Path) -> Path:
    """Write version 0.1.0 of the integration into a folder."""
    folder.mkdir()
    archive = folder / "archive.tar"
    subprocess.run(  # noqa: S603 - our own arguments
        ["git", "archive", "--output", archive, EARLIER, "custom_components"],  # noqa: S607
        cwd=ROOT,
        check=True,
    )
    with tarfile.open(archive) as files:
        files.extractall(folder, filter="data")
    return folder


def run_saver(checkout: Path, folder: Path, *, scanned: int) -> dict[str, Any]:
    """Save and scan images with the gallery of a checkout, and return the figures."""
    (folder / ".storage").mkdir(parents=True)
    (folder / "typical.png").write_bytes(typical_image(1))
    (folder / "small.png").write_bytes(small_image(1))
    result = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, SAVER, checkout, folder, str(IMAGES), str(scanned)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    figures: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    if figures["count"] != IMAGES + 1 + scanned:
        raise AssertionError("Not all images are in the index")
    return figures


if __name__ == "__main__":
    sys.exit(main())
