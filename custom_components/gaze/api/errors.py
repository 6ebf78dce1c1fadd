"""Errors of the REST client.

They say who failed a request. GAZE reports an error of its API as a JSON object; an HTML page
with the same status comes from a reverse proxy in front of it and proves nothing about GAZE.
"""


class GazeError(Exception):
    """Base of all errors of this client; its text is a reason that people can read."""


class GazeConnectionError(GazeError):
    """The connection failed, or broke before a response began."""


class GazeTimeoutError(GazeConnectionError):
    """The server did not respond in time."""


class GazeSslError(GazeConnectionError):
    """The server's certificate or TLS version is not accepted."""


class GazeAuthError(GazeError):
    """GAZE itself rejected the API key: it is missing (401) or wrong (403)."""


class GazeNotFoundError(GazeError):
    """GAZE itself does not have the preset or job (404), or the image is gone."""


class GazeRequestError(GazeError):
    """The server rejected the parameters of the request (400)."""


class GazeServerError(GazeError):
    """The server responded with an error status that has no class of its own here."""


class GazeBusyError(GazeServerError):
    """The server is busy (429 or 503)."""

    def __init__(self, reason: str, retry_after: float | None) -> None:
        """Store the seconds to wait, if the server named them."""
        super().__init__(reason)
        self.retry_after = retry_after


class GazeResponseError(GazeError):
    """The response does not follow the REST guide, or comes from a proxy in front of GAZE."""


class GazeImageError(GazeError):
    """A finished image can't be downloaded. If `final`, trying again can't help."""

    final = True


class GazeImageRefusedError(GazeImageError):
    """The server refused the image (401 or 403). Images need no key, so it isn't about the key."""

    final = False
