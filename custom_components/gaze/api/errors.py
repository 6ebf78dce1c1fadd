"""Errors of the REST client.

The classes distinguish who caused a failure. GAZE reports an error of its API as a JSON object.
An HTML page with the same status comes from a reverse proxy and says nothing about GAZE.
"""


class GazeError(Exception):
    """Base of all errors of this client. Its text is an English reason for the log."""


class GazeConnectionError(GazeError):
    """The connection failed or was lost before a response began."""


class GazeTimeoutError(GazeConnectionError):
    """The server did not respond in time."""


class GazeSslError(GazeConnectionError):
    """The server's certificate or TLS version is not accepted."""


class GazeAuthError(GazeError):
    """GAZE itself rejected the API key: it is missing (401) or wrong (403)."""


class GazeNotFoundError(GazeError):
    """GAZE itself does not have the preset or job, or the server does not have the image (404)."""


class GazeRequestError(GazeError):
    """The server rejected the parameters of the request (400)."""


class GazeServerError(GazeError):
    """The server responded with an error status that has no other class."""


class GazeBusyError(GazeServerError):
    """The server is busy (429 or 503)."""

    def __init__(self, reason: str, retry_after: float | None) -> None:
        """Store the seconds to wait, or None if the server did not send them."""
        super().__init__(reason)
        self.retry_after = retry_after


class GazeResponseError(GazeError):
    """The response does not match the REST guide, or comes from a proxy."""


class GazeImageError(GazeError):
    """A finished image can't be downloaded. If `final` is true, do not retry."""

    final = True


class GazeImageRefusedError(GazeImageError):
    """The server refused the image (401 or 403). Images need no key, so it isn't about the key."""

    final = False
