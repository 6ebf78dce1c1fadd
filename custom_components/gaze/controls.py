"""The controls: what people put together on the server's device, and its Generate button sends."""

from dataclasses import dataclass
from typing import Any


@dataclass(kw_only=True, slots=True)
class Controls:
    """The panel's fields, filled and restored by its entities.

    preset: slug of the preset chosen; the server may not have it any more.
    Empty text, and 0 for a side in pixels, mean the preset's own.
    """

    preset: str | None = None
    extra_positive: str = ""
    extra_negative: str = ""
    seed: str = ""
    checkpoint: str = ""
    count: float = 1
    width: float = 0
    height: float = 0

    def as_request(self) -> dict[str, Any]:
        """Return what is to be changed of the preset, by field of a request."""
        return {
            "count": self.count,
            "extra_positive": self.extra_positive,
            "extra_negative": self.extra_negative,
            "seed": self.seed,
            "checkpoint": self.checkpoint,
            "width": self.width or None,
            "height": self.height or None,
        }
