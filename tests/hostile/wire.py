"""Hostile requests to a server on loopback, sent as bytes: no client library mends them on their way."""

from __future__ import annotations

import os
import random
import re
import socket
import subprocess
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

from hostile.mutations import TEXTS, damaged, deep

_PATIENCE_S = 30.0
SOON_S = 0.3  # for an answer to a request that may have no end
_MOST = 1 << 20  # bytes of an answer that are read
METHODS = (
    "GET",
    "GET",
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "get",
    "X" * 999,
)
KERNEL = "01234567-89ab-cdef-0123-456789abcdef"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; status 0 where the server closed the connection without a word."""

    status: int
    head: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class Server:
    """A server, what it may answer to anybody, and a file that it never may.

    Attributes:
        routes: paths that lead somewhere in it.
        secret: a file outside of all that it serves, which holds `words`.
    """

    port: int
    token: str
    routes: tuple[str, ...]
    secret: Path
    words: bytes

    def ask(self, request: bytes, patience: float = _PATIENCE_S) -> Answer:
        """Send bytes and read what comes back, up to a megabyte or until there is nothing more for a while."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=_PATIENCE_S) as wire:
            data = b""
            try:
                wire.sendall(request)
                wire.settimeout(patience)
                while len(data) < _MOST and not _is_whole(data) and (block := wire.recv(1 << 16)):
                    data += block
            except (ConnectionResetError, BrokenPipeError):  # it has stopped listening, as it may
                pass
            except TimeoutError:  # it waits for more, as it may where a request has no end
                pass
        data = data.removeprefix(_GO_ON)
        head, _, body = data.partition(b"\r\n\r\n")
        first = head.split(b" ", 2)
        return Answer(int(first[1]) if head.startswith(b"HTTP/") and len(first) > 1 else 0, head, body)

    def path(self, rng: random.Random) -> str:
        """A path that leads to the secret, to something of the server's, or nowhere."""
        route = rng.choice((*self.routes, "/"))
        kind = rng.randrange(6)
        if kind == 0:
            return route
        if kind == 1:
            return route.rstrip("/") + "/" + urllib.parse.quote(rng.choice(TEXTS).encode(errors="surrogatepass"))
        if kind == 2:
            return damaged(rng, route.encode()).decode("latin-1")
        up = rng.choice(UPWARDS)
        way = str(self.secret) if rng.random() < 0.8 else "/etc/passwd"
        aim = way if rng.random() < 0.3 else up * rng.choice((1, 4, 9, 14)) + way.lstrip("/")
        if rng.random() < 0.3:
            aim = aim.replace("/", rng.choice(("%2f", "%252f", "\\", "%5c", "//")))
        return route.rstrip("/") + rng.choice(("/", "//", "/%2f", "?path=", "/x?file=")) + aim

    def request(self, rng: random.Random, *, token: str = "", methods: tuple[str, ...] = METHODS) -> bytes:
        """One request, its parts hostile each for itself."""
        path = "".join(c if c not in " \r\n\t" or rng.random() < 0.1 else "%20" for c in self.path(rng))
        own, odd = f"127.0.0.1:{self.port}", ("HTTP/1.0", "HTTP/9.9", "", "HTTP/1.1 x")
        lines = [f"{rng.choice(methods)} {path} {rng.choice(odd) if rng.random() < 0.1 else 'HTTP/1.1'}"]
        lines.append(f"Host: {rng.choice(('localhost', 'evil.example', '', '[::1')) if rng.random() < 0.1 else own}")
        lines.append("Connection: close")
        if token:
            lines.append(f"Authorization: token {token}")
        lines += rng.sample(HEADERS, rng.choice((0, 0, 0, 1, 3)))
        body = rng.choice((*[b""] * 6, b"x=1", b"password=", deep(rng)[:50_000], rng.randbytes(300)))
        if body:
            lines.append(f"Content-Length: {rng.choice((*[len(body)] * 6, -1, 10**30, 'x'))}")
        if rng.random() < 0.15:
            lines += [*UPGRADE, f"Origin: {rng.choice(('null', 'http://evil.example', f'http://{own}'))}"]
        data = "\r\n".join([*lines, "", ""]).encode("utf-8", "replace") + body
        return damaged(rng, data) if rng.random() < 0.05 else data


def _is_whole(data: bytes) -> bool:
    """Whether an answer is there to its end, as far as it says how long it is."""
    head, end, body = data.removeprefix(_GO_ON).partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return bool(end) and length is not None and len(body) >= int(length[1])


_GO_ON = b"HTTP/1.1 100 (Continue)\r\n\r\n"
UPWARDS = ("../", "..%2f", "%2e%2e/", "%2e%2e%2f", "%252e%252e%252f", "..%5c", "..;/", "....//", "..%c0%af", "%00../")
UPGRADE = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: " + "A" * 22 + "==",
)
HEADERS = (
    "Authorization: token ",
    "Authorization: token " + "0" * 48,
    "Authorization: Basic Og==",
    "Authorization: Bearer \x00",
    "Cookie: _xsrf=2|1|1|1; username-127-0-0-1=2|1:0|10:1|1:x|1:y|0",
    "Cookie: " + "a=b; " * 3000,
    "Cookie: _xsrf=\xff\x80; ;=;",
    "X-XSRFToken: 2|1|1|1",
    "X-Forwarded-For: 127.0.0.1",
    "X-Forwarded-Host: evil.example",
    "X-Original-URL: /api/contents",
    "X-HTTP-Method-Override: DELETE",
    "Range: bytes=0-1,5-,-99999999999999999999",
    "If-Modified-Since: yesterday",
    "If-None-Match: " + '"' * 100,
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip, chunked",
    "Expect: 100-continue",
    "Content-Type: multipart/form-data; boundary=" + "x" * 500,
    "Content-Type: application/json",
    "Content-Encoding: gzip",
    "Accept-Language: " + "x-" * 2000,
    "Sec-Fetch-Site: cross-site",
    "Origin: null",
    "Referer: http://evil.example/",
    "No colon at all",
    ": no name",
    "Folded: a\r\n b",
)


def check(answer: Answer, server: Server, request: bytes) -> None:
    """What no answer holds: a traceback, the secret, another file of this machine; nor is it a failure."""
    whole = answer.head + answer.body
    assert b"Traceback (most recent" not in whole, whole[:2000]
    assert server.words not in whole and b"root:x:0:0" not in whole and server.token.encode() not in whole
    # 501, 505: a method or a version of HTTP that it does not speak
    assert answer.status < 500 or answer.status in (501, 503, 505), (answer.status, request[:300])


def own_settings(folder: Path) -> dict[str, str]:
    """The environment of a Jupyter server that knows nothing of the user's own settings."""
    own = {"HOME": folder, "JUPYTER_CONFIG_DIR": folder / "config", "JUPYTER_RUNTIME_DIR": folder / "run"}
    own |= {"JUPYTER_DATA_DIR": folder / "data", "IPYTHONDIR": folder / "ipython"}
    environment = {key: text for key, text in os.environ.items() if not key.startswith("JUPYTER")}
    return {**environment, **{key: str(place) for key, place in own.items()}}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def stop(process: subprocess.Popen[str]) -> None:
    """End a server that a test has started."""
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
