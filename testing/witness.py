"""Reads the events that the witness integration recorded, and finds leftover files."""

from contextlib import suppress
from dataclasses import dataclass
import json
from pathlib import Path
from typing import Final

from . import gaze_witness
from .home_assistant import DemoError, HomeAssistant, Json, wait_until

# Maximum seconds until writes under way have ended. Thumbnails are made after the event.
WRITING: Final = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """An event that the witness recorded, with its time in seconds since the epoch."""

    time: float
    process: int
    data: Json


class Witness:
    """Reads the events that a Home Assistant fired, in order, over all its starts."""

    def __init__(self, home_assistant: HomeAssistant) -> None:
        """Read the record of the witness in this Home Assistant."""
        self._file = home_assistant.folder / gaze_witness.FILE
        self._read = 0  # bytes
        self._told: list[Told] = []

    @classmethod
    def prepare(cls, home_assistant: HomeAssistant) -> Witness:
        """Write a Home Assistant's configuration, with the witness in it."""
        home_assistant.prepare()
        package = Path(gaze_witness.__file__).parent
        (home_assistant.folder / "custom_components" / package.name).symlink_to(package)
        with (home_assistant.folder / "configuration.yaml").open("a") as configuration:
            configuration.write(f"{package.name}:\n")
        return cls(home_assistant)

    def told(self) -> list[Told]:
        """Return all events so far."""
        if self._file.exists():
            with self._file.open("rb") as file:
                file.seek(self._read)
                lines = file.read().splitlines(keepends=True)
            for line in lines:
                if line.endswith(b"\n"):  # otherwise the line is incomplete
                    self._told.append(Told(**json.loads(line)))
                    self._read += len(line)
        return self._told


async def left_overs(folder: Path) -> list[str]:
    """Return the files below a configuration directory that should not be there."""

    def find() -> list[Path]:
        return [*folder.rglob("*.part"), *(folder / ".storage").glob("*.damaged*")]

    async def are_gone() -> bool:
        return not find()

    with suppress(DemoError):
        await wait_until(are_gone, what="The last write", seconds=WRITING)
    return [f"{file.name} was left behind" for file in find()]
