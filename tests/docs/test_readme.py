"""README and guide followed to the letter: their shell blocks, in order, in a clean clone of the repository.

The environment is the one that runs the tests, put into the clone as `make env` would have left it, with the clone's
own package. Between the lines somebody reviews, as the guide says: here by files of keys.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from conftest import write_series
from docs.commands import lines_of
from docs.pages import ROOT, Page

GROUPS = 6
DECIDED = GROUPS - 2  # the rest is left for `auto`
FINALISE = "Shift+Enter\nShift+Enter\n"
PICKROOM = ".venv/bin/pickroom"

# lines that open a server in the browser: they are waited for until it answers, then stopped
# line -> the page that is asked for (the app has no status to ask for), and what it says
SERVERS = {
    "make demo": ("login", "token"),
    f"{PICKROOM} lab": ("api/status", "started"),
    f"{PICKROOM} app": ("login", "token"),
    f"{PICKROOM} open ~/Pictures/summer": ("login", "token"),
}
# what the reader does before a line, with the keys pressed (the README says so in words)
BEFORE = {
    # 160 groups would take most of a minute: where a smaller demo is there already, `make demo` opens it
    "make demo": (f"{PICKROOM} demo build/demo --groups 14 --decided 12 --long-side 96 --no-review", ""),
    f"{PICKROOM} auto generate holiday": (f"{PICKROOM} review holiday --keys -", "1\n2\n" * (DECIDED // 2)),
    f"{PICKROOM} auto apply holiday": (f"{PICKROOM} auto review holiday --keys -", "a\n" * 2),
    f"{PICKROOM} auto undo holiday": (f"{PICKROOM} auto apply holiday --execute --yes", ""),
}


class Clone:
    """A clone of what is committed, with an environment, a home folder, and the reader's images in it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "pickroom"
        self.home = folder / "home"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(self.root)], check=True, timeout=120)
        write_series(self.home / "Pictures" / "holiday", [(1, 2)] * GROUPS)
        for name in ("summer", "wedding"):
            write_series(self.home / "Pictures" / name, [(1, 2)])
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "BROWSER": "true",  # a program that opens nothing
            "PYTHONPATH": str(self.root / "lib"),
        }
        self._link_environment()

    def _link_environment(self) -> None:
        """A .venv of links. Never a link to the real one: what `make env` clears must be the clone's."""
        real, made = Path(sys.prefix), self.root / ".venv"
        (made / "bin").mkdir(parents=True)
        for name in ("lib", "lib64", "share", "etc"):
            if (real / name).exists():
                (made / name).symlink_to(real / name)
        shutil.copy(real / "pyvenv.cfg", made)
        (made / "bin" / "python").symlink_to(os.path.realpath(sys.executable))
        script = made / "bin" / "pickroom"
        script.write_text(f"#!{made / 'bin' / 'python'}\nfrom pickroom.cli import main\n\nmain()\n")
        script.chmod(0o755)
        (made / ".ready").write_text(f"{self.root}\n")
        (self.root / "data" / "projects").mkdir()  # as `make env` does

    def run(self, line: str, keys: str = "") -> subprocess.CompletedProcess[str]:
        """One line in a shell, as typed."""
        return subprocess.run(
            ["sh", "-c", line],
            cwd=self.root,
            env=self.environment,
            input=keys,
            capture_output=True,
            text=True,
            timeout=300,
        )

    def serve(self, line: str, page: str) -> str:
        """Start a line that serves, wait until it answers, stop it; what a page of it says."""
        served = subprocess.Popen(
            ["sh", "-c", line],
            cwd=self.root,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        said = []
        try:
            assert served.stdout is not None
            for text in served.stdout:
                said.append(text)
                if (found := re.search(r"(http://127\.0\.0\.1:\d+/)\S*?token=(\w+)", text)) is not None:
                    return self._answer(f"{found[1]}{page}?token={found[2]}", served)
            pytest.fail(f"{line}: it ended: {''.join(said)}")
        finally:
            os.killpg(served.pid, signal.SIGTERM)  # the shell and what it started, nothing else
            served.communicate(timeout=60)

    @staticmethod
    def _answer(address: str, served: subprocess.Popen[str]) -> str:
        """What the server says there; it prints its address a moment before it listens."""
        while served.poll() is None:
            try:
                with urllib.request.urlopen(address, timeout=60) as answer:
                    return answer.read().decode()
            except urllib.error.URLError:
                time.sleep(0.05)
        pytest.fail(f"{address}: the server ended")


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    if not (ROOT / ".git").exists():
        pytest.skip("this is not a git checkout: there is nothing to clone")
    if not (Path(sys.prefix) / "pyvenv.cfg").is_file():
        pytest.skip("the tests run in no virtual environment, which could be lent to the clone")
    return Clone(tmp_path_factory.mktemp("clone").resolve())


@pytest.fixture(scope="module")
def lines(clone: Clone) -> list[str]:
    """The clone's README and guide, line by line."""
    texts = {name: (clone.root / name).read_text(encoding="utf-8") for name in ("README.md", "docs/guide.md")}
    blocks = [block for name, text in texts.items() for block in Page(name, text).blocks("sh")]
    return [line for block in blocks for line in lines_of(block)]


def test_environment_is_ready_and_package_comes_from_clone(clone: Clone) -> None:
    assert "pip" not in clone.run("make -n env").stdout, "it would be made anew, and take minutes"
    where = clone.run(".venv/bin/python -c 'import pickroom; print(pickroom.__file__)'").stdout
    assert where.startswith(str(clone.root))


def test_what_is_said_of_lines_here_is_still_in_the_readme(lines: list[str]) -> None:
    assert {*SERVERS, *BEFORE} - set(lines) == set()
    assert len(lines) > 8


@pytest.mark.ci
@pytest.mark.timeout(900)
def test_every_line_of_the_readme_works_in_a_clean_clone(clone: Clone, lines: list[str]) -> None:
    for line in lines:
        if line in BEFORE:
            earlier, keys = BEFORE[line]
            before = clone.run(earlier, keys + FINALISE if keys else "")
            assert before.returncode == 0, f"{earlier}: {before.stderr}"
        if line in SERVERS:
            page, said = SERVERS[line]
            assert said in clone.serve(line, page), line
            continue
        ran = clone.run(line)
        assert ran.returncode == 0, f"{line}: {ran.stderr}"
        assert "Traceback" not in ran.stderr, line
    # and what the README says of it: picks and the rest lie where the table has them, the second batch is undone
    folders = {path.name: len(list(path.glob("*.png"))) for path in (clone.home / "Pictures" / "holiday").iterdir()}
    assert (folders["selected"], folders["delete_staging"]) == (DECIDED, DECIDED)
    changed = subprocess.run(["git", "status", "--short"], cwd=clone.root, capture_output=True, text=True, check=True)
    assert changed.stdout == "", "following the README leaves files that git would take up"
