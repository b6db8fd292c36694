"""`pickroom lab` listens on this machine only and asks for a token, whatever the user's own Jupyter settings say."""

from __future__ import annotations

import json
import random
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostile.guard import survive
from hostile.wire import KERNEL, SOON_S, Server, check, free_port, own_settings, stop
from pickroom.app import lab
from pickroom.store.workspace import Workspace

CASES = 100  # requests
ROUTES = (
    "/",
    "/login",
    "/logout",
    "/static",
    "/static/favicons",
    "/files",
    "/view",
    "/nbconvert/html",
    "/metrics",
    "/lab",
)
ROUTES += (
    "/api",
    "/api/contents",
    "/api/sessions",
    "/api/terminals",
    "/api/kernelspecs",
    "/api/status",
    "/api/shutdown",
)
ROUTES += (f"/api/kernels/{KERNEL}/channels", "/terminals/websocket/1", "/api/events/subscribe", "/lab/api/settings")
ROUTES += ("/lab/api/workspaces", "/lab/extensions", "/lab/api/themes", "/kernelspecs/python3", "/custom", "/lsp/ws/x")
# what an old guide on the web tells people to write
OPEN_TO_ALL = {
    "ServerApp": {
        "ip": "0.0.0.0",
        "token": "",
        "password": "",
        "allow_origin": "*",
        "allow_remote_access": True,
        "disable_check_xsrf": True,
        "allow_unauthenticated_access": True,
    },
    "IdentityProvider": {"token": ""},
    "PasswordIdentityProvider": {"password_required": False, "hashed_password": ""},
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, str]]:
    """(port, what it printed up to its address) of a real `pickroom lab`."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "config").mkdir()
    (folder / "config" / "jupyter_server_config.json").write_text(json.dumps(OPEN_TO_ALL))
    port = free_port()
    command = [sys.executable, "-m", "pickroom.cli", "lab", "--port", str(port), "--no-browser"]
    process = subprocess.Popen(
        [*command, "--home", str(folder / "home")],
        stderr=subprocess.STDOUT,
        stdout=subprocess.PIPE,
        text=True,
        env=own_settings(folder),
    )
    try:
        said = ""
        assert process.stdout is not None
        for line in process.stdout:  # ends with the process; the test's own time limit ends the rest
            said += line
            if re.search(r"http://127\.0\.0\.1:\d+/lab\S*token=", line):
                break
        _wait_until_it_listens(port, process)  # it prints its address a moment before
        # what it says from now on must go somewhere, or it waits for its reader
        threading.Thread(target=process.stdout.read, daemon=True).start()
        yield port, said
    finally:
        stop(process)


def test_lab_listens_on_loopback_and_requires_its_token(running: tuple[int, str]) -> None:
    port, said = running
    token = re.search(r"token=([0-9a-f]{32,})", said)
    assert token is not None, said
    listening = _listening_on(port)
    assert listening in (set(), {"127.0.0.1"})  # none to be seen where there is no /proc
    assert _answer(port, "api/contents") == 403
    assert _answer(port, "api/contents", token=token[1]) == 200
    assert _answer(port, "api/contents", token="0" * 48) == 403
    # a page of another site: neither its origin nor its host name is let in
    assert _answer(port, "api/contents", token=token[1], Host="evil.example") == 403
    with pytest.raises(OSError):
        socket.create_connection((_own_address(), port), timeout=5).close()


def test_strangers_get_no_further_than_the_door(running: tuple[int, str], tmp_path: Path) -> None:
    port, said = running
    token = re.search(r"token=([0-9a-f]{32,})", said)
    assert token is not None, said
    (tmp_path / "secret.txt").write_text("what nobody may read")
    server = Server(port, token[1], ROUTES, tmp_path / "secret.txt", b"what nobody may read")

    def case(rng: random.Random) -> str:
        request = server.request(rng)
        answer = server.ask(request, SOON_S)
        check(answer, server, request)
        # the door and the way out, what they are drawn with, and the version of the server
        if answer.status == 200 and answer.body:
            pages = (b"/login?next=", b"Successfully logged out", b'{"version"')
            assert any(page in answer.body for page in pages) or re.search(
                rb"(?i)content-type: (text/css|image/|application/javascript|font)", answer.head
            )
        assert answer.status not in (101, 201, 204)
        return str(answer.status)

    survive("server/lab", CASES, case)
    assert _answer(port, "api/contents", token=token[1]) == 200


def test_the_command_line_says_so(workspace: Workspace) -> None:
    command = lab.command(workspace.notebooks, port=8888, browser=False)
    assert "--ServerApp.ip=127.0.0.1" in command
    assert not any("token=" in part or "password" in part for part in command)  # a process list is everybody's to read


def _wait_until_it_listens(port: int, process: subprocess.Popen[str]) -> None:
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.02)
    pytest.fail("the lab ended before it listened")


def _own_address() -> str:
    """Another address of this machine than loopback's; of the same network of loopback where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # nothing is sent (RFC 5737: no such host)
            return probe.getsockname()[0]
        except OSError:
            return "127.0.0.2"


def _listening_on(port: int) -> set[str]:
    """The addresses on which a port of this machine is listened to."""
    found = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        for line in table.read_text().splitlines()[1:] if table.exists() else ():
            local, state = line.split()[1], line.split()[3]
            address, _, number = local.rpartition(":")
            if state == "0A" and int(number, 16) == port:
                found.add(".".join(str(b) for b in bytes.fromhex(address)[::-1]) if len(address) == 8 else address)
    return found


def _answer(port: int, path: str, *, token: str = "", **headers: str) -> int:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/{path}", headers=headers)
    if token:
        request.add_header("Authorization", f"token {token}")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
