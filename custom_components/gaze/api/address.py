"""Validates the addresses of servers, as users enter them, and of images, as GAZE reports them."""

from ipaddress import AddressValueError, IPv6Address
import re

from yarl import URL

from .errors import GazeImageError

DEFAULT_PORT = 5782

_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_HOST_NAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*\.?")


class InvalidHostError(ValueError):
    """The text is not an address of an HTTP server."""


def parse_host(text: str) -> URL:
    """Return the normalized URL of a server, without trailing slash and default port.

    `gaze.local`, `192.168.1.20:5782`, `[fd00::5]:5782`, and `fd00::5` mean HTTP. The default
    port is 5782. The scheme, port, and path of a full URL are preserved.

    Raises InvalidHostError for other text, including user names, queries, and fragments.
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
    """Return whether the text is an IPv6 address without brackets."""
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return True


def resolve_image_urls(server: URL, image_url: str) -> list[URL]:
    """Return the one or two URLs that the address of an image can mean, the likeliest first.

    A path is relative to the server's root, with or without the prefix of the server's URL. It
    is interpreted as a raw path first. If it contains `%`, `?`, or `#`, it is interpreted as an
    encoded path second.

    Raises GazeImageError for an address that isn't on the server.
    """
    if _SCHEME.match(image_url) or image_url.startswith("//"):
        url = _parse_url(image_url)
        if get_origin(url) != get_origin(server):
            raise GazeImageError("the image's address is not on the server")
        return [_join_path(server, url.path, url)]
    encoded_prefix = server.raw_path.rstrip("/")
    in_prefix = image_url.startswith(f"{encoded_prefix}/")
    urls = [_join_path(server, image_url.removeprefix(encoded_prefix) if in_prefix else image_url)]
    if not {"%", "?", "#"}.isdisjoint(image_url):
        url = _parse_url(f"/{image_url.lstrip('/')}")
        urls.append(_join_path(server, url.path, url))
    return urls


def get_origin(url: URL) -> tuple[str, str, int | None]:
    """Return the scheme, host, and port of a URL, with the default port of its scheme."""
    return (url.scheme, (url.raw_host or "").lower(), url.port)


def _parse_url(text: str) -> URL:
    """Parse the address of an image. Raises GazeImageError."""
    try:
        url = URL(text)
        _ = url.port  # raises ValueError for an invalid port
    except ValueError as err:
        raise GazeImageError("the image's address is not valid") from err
    return url


def _join_path(server: URL, path: str, url: URL | None = None) -> URL:
    """Return the URL of a decoded path below the server's URL, with the query of `url`.

    Raises GazeImageError if the path is outside the prefix of the server's URL.
    """
    prefix = server.path.rstrip("/")
    path = f"/{path.removeprefix('/')}"
    if not path.startswith(f"{prefix}/"):
        path = prefix + path
    found = URL.build(scheme=server.scheme, host=server.host or "", port=server.port)
    found = found.with_path(path)
    if not found.path.startswith(f"{prefix}/"):
        raise GazeImageError("the image's address is not on the server")
    return found if url is None else found.with_query(url.query)
