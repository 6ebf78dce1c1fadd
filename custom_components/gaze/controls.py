"""Controls of a server's device, which make up the request of its Generate button."""

from dataclasses import dataclass
from typing import Any


@dataclass(kw_only=True, slots=True)
class Controls:
    """The values of the controls, set and restored by their entities.

    preset: a slug, also of a preset that was deleted on the server. An empty text and a width
    or height of 0 pixels mean the preset's default.
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
        """Return the overrides of the preset's defaults, by field of a request."""
        return {
            "count": self.count,
            "extra_positive": self.extra_positive,
            "extra_negative": self.extra_negative,
            "seed": self.seed,
            "checkpoint": self.checkpoint,
            "width": self.width or None,
            "height": self.height or None,
        }
