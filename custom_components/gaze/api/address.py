"""The address of a GAZE server, as people type it and as it is stored."""

from ipaddress import AddressValueError, IPv6Address
import re

from yarl import URL

DEFAULT_PORT = 5782

_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST_NAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*\.?")


class InvalidHostError(ValueError):
    """The text is not an address of an HTTP server."""


def parse_host(text: str) -> URL:
    """Return the one normalised URL of a server: no trailing slash, no default port.

    `gaze.local`, `192.168.1.20:5782`, `[fd00::5]:5782` and `fd00::5` mean http, and port
    5782 unless they name another. A full URL keeps its scheme, port and path.
    Raises InvalidHostError for anything else, also for user names, queries and fragments.
    """
    text = text.strip()
    if any(character.isspace() or not character.isprintable() for character in text):
        raise InvalidHostError(text)
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "http", text
    if _is_ipv6(rest):
        rest = f"[{rest}]"
    authority = rest.partition("/")[0]
    if (
        scheme.lower() not in {"http", "https"}
        or not {"\\", "?", "#"}.isdisjoint(rest)
        or "@" in authority
        or authority.endswith(":")
    ):
        raise InvalidHostError(text)
    try:
        url = URL(f"{scheme.lower()}://{rest}")
        port, explicit_port = url.port, url.explicit_port
    except ValueError as err:
        raise InvalidHostError(text) from err
    host = (url.raw_host or "").lower()
    if not port or not (_HOST_NAME.fullmatch(host) or _is_ipv6(host)):
        raise InvalidHostError(text)
    if not separator and explicit_port is None:
        port = DEFAULT_PORT
    return URL.build(scheme=url.scheme, host=host, port=port, path=url.path.rstrip("/"))


def _is_ipv6(text: str) -> bool:
    """Tell whether the text is an IPv6 address without brackets."""
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return True
