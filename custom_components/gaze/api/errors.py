"""What can go wrong between us and a GAZE server."""


class GazeError(Exception):
    """Base of all errors of this client; its text is a reason that people can read."""


class GazeConnectionError(GazeError):
    """The server could not be reached, or the connection broke before an answer began."""


class GazeTimeoutError(GazeConnectionError):
    """The server did not answer in time."""


class GazeSslError(GazeConnectionError):
    """The server's certificate or its TLS is not acceptable."""


class GazeAuthError(GazeError):
    """The API key is missing (401) or wrong (403)."""


class GazeNotFoundError(GazeError):
    """The server does not know what was asked for (404)."""


class GazeRequestError(GazeError):
    """The server refused the request's parameters (400)."""


class GazeServerError(GazeError):
    """The server answered with a status that is no success and has no error of its own here."""


class GazeBusyError(GazeServerError):
    """The server wants to be left alone for a while (429 or 503)."""

    def __init__(self, reason: str, retry_after: float | None) -> None:
        """Keep the seconds that the server asked to wait, where it named them."""
        super().__init__(reason)
        self.retry_after = retry_after


class GazeResponseError(GazeError):
    """Something answered, but not as the REST guide says."""


class GazeImageError(GazeError):
    """A finished image cannot be fetched as it is: too large, or not on the server itself."""
