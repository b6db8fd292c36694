"""Hostile requests to a real `pickroom app`: without its token nobody gets further than the door, with it nobody gets a
file, and nothing that is sent makes the server fail or end.
"""

from __future__ import annotations

import random
import secrets
import subprocess
import sys
from collections.abc import Iterator

import pytest

from hostile.guard import survive
from hostile.wire import KERNEL, SOON_S, Server, check, free_port, own_settings, stop

CASES = 150  # requests
ROUTES = ("/", "/login", "/logout", "/static", "/voila/static", "/voila/files", "/voila/templates", "/voila/render")
ROUTES += ("/voila/labextensions", "/voila/api/themes", f"/voila/api/shutdown/{KERNEL}", f"/api/kernels/{KERNEL}")
ROUTES += (
    f"/api/kernels/{KERNEL}/channels",
    "/api/kernels",
    "/api/contents",
    "/api/terminals",
    "/api/me",
    "/favicon.ico",
)
ROUTES += (f"/voila/query/{KERNEL}", f"/voila/execution/{KERNEL}", "/api/identity", "/api/status", "/metrics", "/files")
FILES = ("/voila/static", "/voila/files", "/voila/templates", "/voila/labextensions", "/voila/api/themes")
# what anybody may have: the page that asks for the token, and what it is drawn with
DOOR = b'<form action="/login?next='


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real `pickroom app`, and a secret next to its workspace; what it says on stderr is in `app.log` there."""
    pytest.importorskip("voila")
    folder = tmp_path_factory.mktemp("app")
    home, port, token = folder / "home", free_port(), secrets.token_hex(16)
    home.mkdir()
    (folder / "secret.txt").write_text("what nobody may read")
    command = [sys.executable, "-m", "pickroom.cli", "app", "--no-browser", "--home", str(home), "--port", str(port)]
    with (folder / "app.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**own_settings(folder), "JUPYTER_TOKEN": token},
        )
        try:
            assert process.stdout is not None
            said = process.stdout.readline()  # ends with the process; the test's own time limit ends the rest
            assert said.startswith("Pick at "), (folder / "app.log").read_text()
            yield Server(port, token, ROUTES, folder / "secret.txt", b"what nobody may read")
            assert process.poll() is None
        finally:
            stop(process)


def plain(server: Server, path: str, *, token: str = "", method: str = "GET") -> int:
    """The status that a browser gets."""
    own = f"Authorization: token {token}\r\n" if token else ""
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n{own}Connection: close\r\n\r\n"
    return server.ask(head.encode()).status


def test_without_its_token_there_is_only_the_door(running: Server) -> None:
    def case(rng: random.Random) -> str:
        request = running.request(rng)
        answer = running.ask(request, SOON_S)
        check(answer, running, request)
        if answer.status == 200 and answer.body:
            assert DOOR in answer.body, answer.head + answer.body[:500]
        assert answer.status not in (101, 201, 204)
        return str(answer.status)

    tally = survive("server/stranger", CASES, case)
    assert tally.outcomes["302"] or tally.outcomes["403"]
    assert plain(running, "/login") == 200


def test_with_its_token_there_is_no_file_but_the_pages_own(running: Server) -> None:
    def case(rng: random.Random) -> str:
        request = running.request(rng, token=running.token, methods=("HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"))
        if rng.random() < 0.7:  # the page itself would start a kernel at each request
            path = f"{rng.choice(FILES)}/{running.path(rng).lstrip('/')}".replace(" ", "%20")
            request = b"GET " + path.encode(errors="replace") + request[request.find(b" HTTP/") :]
        answer = running.ask(request, SOON_S)
        check(answer, running, request)
        return str(answer.status)

    survive("server/guest", CASES, case)
    assert plain(running, "/api/me", token="wrong") == 302


@pytest.mark.parametrize("token", ["", "right"])
def test_the_way_out_is_no_error(running: Server, token: str) -> None:
    """Jupyter's page for it needs files that this server does not serve: every visit filled the terminal."""
    status = plain(running, "/logout", token=running.token if token else "")
    assert status in (302, 404), status
    assert plain(running, "/login") == 200


def test_a_file_that_is_not_there_is_a_line(running: Server) -> None:
    log = running.secret.with_name("app.log")
    before = len(log.read_bytes())
    for way in (
        "labextensions/nothing.js",
        "templates/nothing",
        "templates/a/static/../../x",
        "templates/voila/static/%00",
    ):
        assert plain(running, f"/voila/{way}", token=running.token) == 404, way
    assert b"Traceback" not in log.read_bytes()[before:]


def test_a_page_of_another_name_or_origin_gets_nothing(running: Server) -> None:
    head = "GET /{} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{}\r\n"
    token = f"Authorization: token {running.token}\r\n"
    evil = running.ask(head.format("login", "evil.example", token).encode())
    assert evil.status == 403
    upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    upgrade += "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nOrigin: http://evil.example\r\n"
    channels = f"api/kernels/{KERNEL}/channels"
    socket = running.ask(head.format(channels, f"127.0.0.1:{running.port}", token + upgrade).encode())
    assert socket.status in (403, 404)
