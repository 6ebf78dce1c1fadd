"""What the tests with a hostile server expect."""

from typing import Final

from custom_components.gaze.api import (
    GazeAuthError,
    GazeConnectionError,
    GazeError,
    GazeResponseError,
    GazeServerError,
    GazeTimeoutError,
)

from .server import HOSTILITIES

# What each hostility comes to. Those that come to nothing are answers as good as any.
OUTCOMES: Final[dict[str, type[GazeError] | None]] = {
    **dict.fromkeys((name for name in HOSTILITIES if "_gigabyte" in name), GazeResponseError),
    **dict.fromkeys((name for name in HOSTILITIES if "_bomb" in name), GazeResponseError),
    **dict.fromkeys((name for name in HOSTILITIES if "redirects" in name), GazeResponseError),
    "hangs_before_the_header": GazeTimeoutError,
    "hangs_in_the_header": GazeTimeoutError,
    "hangs_after_the_header": GazeTimeoutError,
    "hangs_in_the_body": GazeTimeoutError,
    "drips_the_header": GazeTimeoutError,
    "drips_the_body": GazeTimeoutError,
    "announces_without_end": GazeTimeoutError,
    "closes_at_once": GazeConnectionError,
    "resets_at_once": GazeConnectionError,
    "closes_in_the_header": GazeConnectionError,
    "closes_in_the_body": GazeResponseError,
    "resets_in_the_body": GazeResponseError,
    "says_too_long": GazeResponseError,
    "says_too_short": GazeResponseError,
    "says_negative": GazeResponseError,
    "says_words": GazeResponseError,
    "says_two_lengths": GazeResponseError,
    "says_more_than_numbers_hold": GazeResponseError,
    "says_an_exabyte": GazeResponseError,
    "says_length_and_chunks": GazeResponseError,
    "breaks_the_chunks": GazeResponseError,
    "cuts_a_chunk": GazeResponseError,
    "says_an_endless_chunk": GazeResponseError,
    "fails_with_a_gigabyte": GazeServerError,
    "refuses_the_key": GazeAuthError,
    "claims_gzip": GazeResponseError,
    "claims_zstd": GazeResponseError,
    "claims_brotli": GazeResponseError,
    "cuts_gzip": None,  # what it cuts is the checksum behind an answer that is whole
    "answers_in_http_1_0": None,
    "answers_in_http_1_0_without_length": None,
    "answers_in_http_7": GazeResponseError,
    "answers_in_http_0_9": GazeResponseError,
    "sends_noise": GazeResponseError,
    "sends_an_endless_line": GazeResponseError,
    "sends_thousands_of_headers": GazeResponseError,
    "sends_headers_without_end": GazeResponseError,
    "switches_protocols": GazeServerError,
    "sets_cookies": None,
    "sends_a_picture_of_sixty_mebibytes": None,
    "sends_a_picture_of_too_many_pixels": None,  # the gallery will tell
}

# Far too much of an image has an error of its own.
TOO_LARGE: Final = {
    "says_an_exabyte",
    *(name for name in HOSTILITIES if name.startswith("sends_a_gigabyte_of")),
    *(name for name in HOSTILITIES if "_bomb" in name),
} - {"sends_a_gigabyte_of_noise"}
