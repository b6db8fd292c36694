"""`pickroom lab` listens on this machine only and asks for a token, whatever the person's own Jupyter settings say."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from pickroom import lab
from pickroom.workspace import Workspace

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


@pytest.fixture
def running(workspace: Workspace, tmp_path: Path) -> Iterator[tuple[int, str]]:
    """(port, what it printed up to its address) of a real `pickroom lab`."""
    config = tmp_path / "config"
    config.mkdir()
    (config / "jupyter_server_config.json").write_text(json.dumps(OPEN_TO_ALL))
    own = {"HOME": tmp_path, "JUPYTER_CONFIG_DIR": config, "JUPYTER_RUNTIME_DIR": tmp_path / "run"}
    own |= {"JUPYTER_DATA_DIR": tmp_path / "data", "IPYTHONDIR": tmp_path / "ipython"}
    environment = {k: v for k, v in os.environ.items() if not k.startswith("JUPYTER")}
    port = _free_port()
    command = [sys.executable, "-m", "pickroom.cli", "lab", "--port", str(port), "--no-browser"]
    process = subprocess.Popen(
        [*command, "--home", str(workspace.root)],
        stderr=subprocess.STDOUT,
        stdout=subprocess.PIPE,
        text=True,
        env={**environment, **{key: str(value) for key, value in own.items()}},
    )
    try:
        said = ""
        assert process.stdout is not None
        for line in process.stdout:  # ends with the process; the test's own time limit ends the rest
            said += line
            if re.search(r"http://127\.0\.0\.1:\d+/lab\S*token=", line):
                break
        _wait_until_it_listens(port, process)  # it prints its address a moment before
        yield port, said
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def test_lab_listens_on_loopback_and_lets_nobody_in_without_its_token(running: tuple[int, str]) -> None:
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


def test_the_command_line_says_so(workspace: Workspace) -> None:
    command = lab.command(lab.notebooks_folder(), port=8888, browser=False)
    assert "--ServerApp.ip=127.0.0.1" in command
    assert not any("token=" in part or "password" in part for part in command)  # a process list is everybody's to read


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


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
