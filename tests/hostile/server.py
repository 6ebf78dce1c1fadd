"""A GAZE server that means harm, as a program of its own: raw sockets, nothing kept in memory.

`HOSTILITIES` is the one table of what it does. The first part of a request's path names what
it is to do and where, so that one server does everything at once and keeps no state:

    /                           behaves
    /drips_the_body@job/…       behaves, but for requests about a job
    /drips_the_body@job@image/… behaves, but for requests about a job and for images

What it is told on its control socket turns hostilities off and on again, and asks what every
socket got. It holds only the standard library and ends when its input does.
"""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from compression import zstd
from contextlib import closing, suppress
from dataclasses import dataclass
import json
import socket
import ssl
import struct
import sys
from typing import Any, Final
import zlib

MEBIBYTE: Final = 2**20
GIGABYTE: Final = 1024  # mebibytes
ELSEWHERE: Final = "127.0.0.2"
GOOD: Final = "good"

JOB_ID: Final = "783f0268-ba85-4426-8ca2-6393c844c887"
ENDPOINTS: Final = ("presets", "generate", "job", "image")


@dataclass(frozen=True, slots=True)
class Request:
    """A request with its connection, endpoint, and correct response."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    prefix: str
    endpoint: str
    body: bytes
    content_type: str
    elsewhere: str

    async def send(self, *parts: bytes) -> None:
        """Send bytes as fast as the client reads them."""
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()

    async def answer(
        self, body: bytes, *headers: str, status: str = "200 OK", version: str = "1.1"
    ) -> None:
        """Send a response with the correct length."""
        await self.send(
            self.head(
                f"Content-Length: {len(body)}",
                "Connection: close",
                *headers,
                status=status,
                version=version,
            ),
            body,
        )

    def head(self, *headers: str, status: str = "200 OK", version: str = "1.1") -> bytes:
        """Return the headers of a response."""
        lines = (f"HTTP/{version} {status}", f"Content-Type: {self.content_type}", *headers, "", "")
        return "\r\n".join(lines).encode("latin-1")

    async def stay(self) -> None:
        """Wait until the client closes the connection."""
        while await self.reader.read(MEBIBYTE):
            pass

    def reset(self) -> None:
        """Reset the connection."""
        connection = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


type Act = Callable[[Request], Awaitable[None]]

HOSTILITIES: Final[dict[str, Act]] = {}


def hostility(act: Act) -> Act:
    """Add a function to the table by its name."""
    HOSTILITIES[act.__name__] = act
    return act


# Never an end


@hostility
async def hangs_before_the_header(request: Request) -> None:
    await request.stay()


@hostility
async def hangs_in_the_header(request: Request) -> None:
    await request.send(b"HTTP/1.1 200 OK\r\nContent-Ty")
    await request.stay()


@hostility
async def hangs_after_the_header(request: Request) -> None:
    await request.send(request.head(f"Content-Length: {len(request.body)}"))
    await request.stay()


@hostility
async def hangs_in_the_body(request: Request) -> None:
    await request.send(request.head(f"Content-Length: {len(request.body)}"), request.body[:-1])
    await request.stay()


@hostility
async def drips_the_header(request: Request) -> None:
    await _drip(request, request.head(f"X-Long: {'x' * 4000}"))


@hostility
async def drips_the_body(request: Request) -> None:
    await request.send(request.head("Content-Length: 4000"))
    await _drip(request, b" " * 4000)


async def _drip(request: Request, content: bytes) -> None:
    """Send a byte a second."""
    for byte in content:
        await request.send(bytes((byte,)))
        await asyncio.sleep(1)


# An end too early


@hostility
async def closes_at_once(request: Request) -> None:
    pass


@hostility
async def resets_at_once(request: Request) -> None:
    request.reset()


@hostility
async def closes_in_the_header(request: Request) -> None:
    await request.send(b"HTTP/1.1 200 OK\r\nContent-Le")


@hostility
async def closes_in_the_body(request: Request) -> None:
    length = f"Content-Length: {len(request.body)}"
    await request.send(request.head(length), request.body[: len(request.body) // 2])


@hostility
async def resets_in_the_body(request: Request) -> None:
    await request.send(request.head(f"Content-Length: {len(request.body)}"), request.body[:8])
    request.reset()


# Lies about lengths


@hostility
async def says_too_long(request: Request) -> None:
    await request.send(request.head(f"Content-Length: {len(request.body) + 100}"), request.body)


@hostility
async def says_too_short(request: Request) -> None:
    await request.send(request.head(f"Content-Length: {len(request.body) - 5}"), request.body)


@hostility
async def says_negative(request: Request) -> None:
    await request.send(request.head("Content-Length: -1"), request.body)


@hostility
async def says_words(request: Request) -> None:
    await request.send(request.head("Content-Length: many"), request.body)


@hostility
async def says_two_lengths(request: Request) -> None:
    lengths = (f"Content-Length: {len(request.body)}", "Content-Length: 5")
    await request.send(request.head(*lengths), request.body)


@hostility
async def says_more_than_numbers_hold(request: Request) -> None:
    await request.send(request.head(f"Content-Length: {'9' * 30}"), request.body)


@hostility
async def says_an_exabyte(request: Request) -> None:
    await request.send(request.head(f"Content-Length: {2**60}"), request.body)


@hostility
async def says_length_and_chunks(request: Request) -> None:
    lengths = (f"Content-Length: {len(request.body)}", "Transfer-Encoding: chunked")
    await request.send(request.head(*lengths), request.body)


@hostility
async def breaks_the_chunks(request: Request) -> None:
    await request.send(request.head("Transfer-Encoding: chunked"), b"zz\r\n", request.body)


@hostility
async def cuts_a_chunk(request: Request) -> None:
    await request.send(request.head("Transfer-Encoding: chunked"), b"fff\r\n", request.body)


@hostility
async def says_an_endless_chunk(request: Request) -> None:
    size = b"f" * 32 + b"\r\n"
    await request.send(request.head("Transfer-Encoding: chunked"), size, request.body)


# Far too much


async def _many(part: bytes, count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield part


async def _stream(request: Request, start: bytes, part: bytes, **options: Any) -> None:
    """Send the start and then a part of a mebibyte 1,024 times."""
    await request.send(request.head("Connection: close", **options), start)
    async for sent in _many(part, GIGABYTE):
        await request.send(sent)


@hostility
async def sends_a_gigabyte_of_blanks(request: Request) -> None:
    await _stream(request, request.body, b" " * MEBIBYTE)


@hostility
async def sends_a_gigabyte_of_json(request: Request) -> None:
    preset = b'{"slug": "a", "name": "A", "job_id": "a"},'
    key = b"jobs" if request.endpoint == "generate" else b"presets"
    await _stream(request, b'{"%s": [' % key, preset * (MEBIBYTE // len(preset)))


@hostility
async def sends_a_gigabyte_of_text(request: Request) -> None:
    await _stream(request, b'{"error": "', b"a " * (MEBIBYTE // 2))


@hostility
async def sends_a_gigabyte_of_picture(request: Request) -> None:
    await _stream(request, picture(), bytes(MEBIBYTE))


@hostility
async def fails_with_a_gigabyte(request: Request) -> None:
    await _stream(request, b'{"error": "', b"a " * (MEBIBYTE // 2), status="500 Oh")


@hostility
async def refuses_the_key(request: Request) -> None:
    await request.answer(b'{"error": "Invalid API key"}', status="403 Forbidden")


@hostility
async def refuses_with_a_gigabyte(request: Request) -> None:
    await _stream(request, b'{"error": "', b"a " * (MEBIBYTE // 2), status="401 Who")


@hostility
async def sends_a_picture_of_sixty_mebibytes(request: Request) -> None:
    if request.endpoint == "image":
        await request.answer(HUGE)
    else:
        await request.answer(request.body)


@hostility
async def sends_a_picture_of_too_many_pixels(request: Request) -> None:
    if request.endpoint == "image":
        await request.answer(picture(16, claimed=50_000))
    else:
        await request.answer(request.body)


def _deflated(wbits: int) -> tuple[bytes, bytes]:
    """Return the start of a deflate stream of spaces, and the bytes of one more mebibyte."""
    packer = zlib.compressobj(9, wbits=wbits)
    block = b" " * MEBIBYTE
    parts = [packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2)]
    return parts[0], parts[1]


async def _bomb(request: Request, encoding: str, start: bytes, part: bytes) -> None:
    await request.send(request.head("Connection: close", f"Content-Encoding: {encoding}"), start)
    await request.send(part * GIGABYTE)  # a mebibyte or less in all


@hostility
async def sends_a_gzip_bomb(request: Request) -> None:
    await _bomb(request, "gzip", *_deflated(31))


@hostility
async def sends_a_deflate_bomb(request: Request) -> None:
    await _bomb(request, "deflate", *_deflated(15))


@hostility
async def sends_a_raw_deflate_bomb(request: Request) -> None:
    await _bomb(request, "deflate", *_deflated(-15))


@hostility
async def sends_a_zstd_bomb(request: Request) -> None:
    packer = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 23})
    block = b" " * MEBIBYTE
    parts = [packer.compress(block, packer.FLUSH_BLOCK) for _ in range(2)]
    await _bomb(request, "zstd", *parts)


@hostility
async def sends_a_bomb_of_many_members(request: Request) -> None:
    await _bomb(request, "gzip", b"", zlib.compress(b" " * MEBIBYTE, 9, wbits=31))


@hostility
async def claims_gzip(request: Request) -> None:
    await request.answer(request.body, "Content-Encoding: gzip")


@hostility
async def claims_zstd(request: Request) -> None:
    await request.answer(request.body, "Content-Encoding: zstd")


@hostility
async def cuts_gzip(request: Request) -> None:
    await request.answer(zlib.compress(request.body, wbits=31)[:-9], "Content-Encoding: gzip")


@hostility
async def claims_brotli(request: Request) -> None:
    await request.answer(request.body, "Content-Encoding: br")


# Not quite HTTP


@hostility
async def answers_in_http_1_0(request: Request) -> None:
    await request.answer(request.body, version="1.0")


@hostility
async def answers_in_http_1_0_without_length(request: Request) -> None:
    await request.send(request.head(version="1.0"), request.body)


@hostility
async def answers_in_http_7(request: Request) -> None:
    await request.answer(request.body, version="7.8")


@hostility
async def answers_in_http_0_9(request: Request) -> None:
    await request.send(request.body)


@hostility
async def sends_noise(request: Request) -> None:
    await request.send(bytes(range(255, -1, -1)) * 256)


@hostility
async def sends_a_gigabyte_of_noise(request: Request) -> None:
    async for part in _many(b"\xff\x00" * (MEBIBYTE // 2), GIGABYTE):
        await request.send(part)


@hostility
async def sends_an_endless_line(request: Request) -> None:
    await request.send(b"HTTP/1.1 200 OK\r\nX-Long: ")
    async for part in _many(b"x" * MEBIBYTE, GIGABYTE):
        await request.send(part)


@hostility
async def sends_thousands_of_headers(request: Request) -> None:
    await request.answer(request.body, *(f"X-{number}: {number}" for number in range(5000)))


@hostility
async def sends_headers_without_end(request: Request) -> None:
    await request.send(b"HTTP/1.1 200 OK\r\n")
    async for part in _many(b"X-Same: 1234567\r\n" * (MEBIBYTE // 17), GIGABYTE):
        await request.send(part)


@hostility
async def announces_without_end(request: Request) -> None:
    hint = b"HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n"
    async for part in _many(hint * 100, GIGABYTE):
        await request.send(part)
        await asyncio.sleep(1)


@hostility
async def switches_protocols(request: Request) -> None:
    headers = ("Connection: Upgrade", "Upgrade: websocket")
    await request.send(request.head(*headers, status="101 Switching Protocols"), request.body)


@hostility
async def sets_cookies(request: Request) -> None:
    cookies = [f"Set-Cookie: c{number}={'x' * 200}; Path=/" for number in range(90)]
    await request.answer(request.body, *cookies)


# Elsewhere


async def _redirect(request: Request, location: str, status: str = "302 Found") -> None:
    await request.answer(b"", f"Location: {location}", status=status)


@hostility
async def redirects_in_a_circle(request: Request) -> None:
    await _redirect(request, "")


@hostility
async def redirects_to_another_host(request: Request) -> None:
    await _redirect(request, f"http://{ELSEWHERE}:{request.elsewhere}/", "307 Temporary Redirect")


@hostility
async def redirects_to_another_port(request: Request) -> None:
    await _redirect(request, f"http://127.0.0.1:{request.elsewhere}/", "308 Permanent Redirect")


@hostility
async def redirects_to_a_file(request: Request) -> None:
    await _redirect(request, "file:///etc/passwd")


@hostility
async def redirects_to_a_script(request: Request) -> None:
    await _redirect(request, "javascript:alert(1)")


@hostility
async def redirects_to_nonsense(request: Request) -> None:
    await _redirect(request, "http://[::1")


def picture(side: int = 16, *, level: int = 6, claimed: int | None = None) -> bytes:
    """Return a square PNG with a compression level. Its header can declare another side."""
    header = struct.pack(">IIBBBBB", claimed or side, claimed or side, 8, 2, 0, 0, 0)
    pixels = zlib.compress((b"\0" + bytes(range(3)) * side) * side, level)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    )


HUGE: Final = picture(4580, level=0)  # sixty mebibytes


class Server:
    """The server with the requests of each socket."""

    def __init__(self) -> None:
        """Start without requests."""
        self.received: dict[str, list[bytes]] = {"gaze": [], "tls": [], "elsewhere": []}
        self.off: set[str] = set()
        self.canned: dict[str, bytes] = {}
        self.elsewhere = ""
        self._jobs = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Respond to the one request of a connection."""
        with closing(writer), suppress(OSError, EOFError):
            if not (first := await reader.readexactly(1)).isalpha():  # no HTTP: TLS, say
                writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                return
            head = first + await reader.readuntil(b"\r\n\r\n")
            self.received["gaze"].append(head)
            await self._respond(head, reader, writer)

    async def _respond(
        self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Respond to a request with the hostility in its path."""
        path = head.split(b" ", 2)[1].decode()
        name, *places = path.split("/")[1].split("@")
        sent = b""
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                sent = await reader.readexactly(int(line.split(b":")[1]))
                self.received["gaze"].append(sent)
        endpoint = next((place for place in ENDPOINTS if f"/{place}" in path), "image")
        body, content_type = self._truth(endpoint, path, sent)
        request = Request(reader, writer, name, endpoint, body, content_type, self.elsewhere)
        if name in self.canned and endpoint in places:
            await request.answer(self.canned[name])
        elif name in HOSTILITIES and endpoint in places and name not in self.off:
            await HOSTILITIES[name](request)
        else:
            await request.answer(body)

    def _truth(self, endpoint: str, path: str, sent: bytes) -> tuple[bytes, str]:
        """Return the body and content type of a correct response."""
        match endpoint:
            case "presets":
                answer: Any = {"presets": [{"slug": "neon_city", "name": "Neon city"}]}
            case "generate":
                count = json.loads(sent or b"{}").get("count", 1)
                self._jobs += count
                numbers = range(self._jobs - count, self._jobs)
                answer = {"jobs": [{"job_id": f"job-{number}"} for number in numbers]}
            case "job":
                result = {"image_url": "/static/uploads/gen_1.png", "seed": 7}
                job_id = path.rpartition("/")[2]
                answer = {"id": job_id, "status": "done", "error": None, "result": result}
            case _:
                return picture(), "image/png"
        return json.dumps(answer).encode(), "application/json"

    async def serve_elsewhere(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Store a connection that no client may open."""
        self.received["elsewhere"].append(b"a connection")
        with suppress(OSError):
            self.received["elsewhere"].append(await reader.read(MEBIBYTE))
        writer.close()

    async def serve_tls(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Store a request over TLS, and send a correct response."""
        with suppress(OSError, EOFError):
            head = await reader.readuntil(b"\r\n\r\n")
            self.received["tls"].append(head)
            body = b'{"presets": []}'
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
        writer.close()

    async def control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Execute orders. Each line is a JSON object and gets one as the response."""
        while line := await reader.readline():
            order = json.loads(line)
            self.off = set(order.get("off", self.off))
            for name, body in order.get("canned", {}).items():
                self.canned[name] = base64.b64decode(body)
            answer = {
                name: [part.decode("latin-1") for part in parts]
                for name, parts in self.received.items()
            }
            if order.get("forget"):
                for parts in self.received.values():
                    parts.clear()
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        writer.close()


async def _run(certificates: list[str]) -> None:
    """Listen, print the ports, and end with the input."""
    server = Server()
    limit = 4 * MEBIBYTE
    listeners = [
        await asyncio.start_server(server.serve, "127.0.0.1", 0),
        await asyncio.start_server(server.control, "127.0.0.1", 0, limit=64 * MEBIBYTE),
        await asyncio.start_server(server.serve_elsewhere, "127.0.0.1", 0, limit=limit),
    ]
    ports = [listener.sockets[0].getsockname()[1] for listener in listeners]
    server.elsewhere = str(ports[2])
    listeners.append(await asyncio.start_server(server.serve_elsewhere, ELSEWHERE, ports[2]))
    for file in certificates:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        listener = await asyncio.start_server(server.serve_tls, "127.0.0.1", 0, ssl=context)
        ports.append(listener.sockets[0].getsockname()[1])
        listeners.append(listener)
    print(json.dumps(ports), flush=True)  # noqa: T201 - the parent process reads it
    await asyncio.to_thread(sys.stdin.read)
    for listener in listeners:
        listener.close()


def main() -> None:
    """Run until the input ends. The arguments are the files of a certificate and its key."""
    asyncio.run(_run(sys.argv[1:]))


if __name__ == "__main__":
    main()
