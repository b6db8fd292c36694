"""The doctor's look at the machine, each check with the thing it looks at really broken."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pickroom.cli.doctor import machine


def broken(folder: Path, *checks: str) -> list[str]:
    """Lines of some checks in a process of its own, whose modules in a folder come first."""
    code = "from pickroom.cli.doctor import machine\n" + "".join(f"print(machine.{check}().line)\n" for check in checks)
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


def module(folder: Path, name: str, text: str) -> None:
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text(text)


@pytest.mark.parametrize(
    ("version", "state", "todo"), [((3, 10), "fail", "make env"), ((3, 12), "ok", ""), ((3, 15), "warn", "PYTHON=")]
)
def test_python_too_old_or_too_new(version: tuple[int, int], state: str, todo: str) -> None:
    found = machine.python(version)
    assert found.state == state
    assert todo in found.todo


def test_packages_missing_or_of_another_version(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    hashes = " \\\n    --hash=sha256:00\n"
    lock.write_text(f"numpy==0.0.1{hashes}no-such-package==1 ; sys_platform == 'beos'{hashes}")
    found = machine.packages(lock)
    assert (found.state, found.todo) == ("warn", "run: make env")
    assert found.found.startswith("1 are not the pinned version: numpy ")
    lock.write_text(f"no-such-package==1.0{hashes}")
    assert machine.packages(lock).line == "fail  packages: 1 are missing: no-such-package (run: make env)"


def test_this_environment_is_as_the_lock_pins_it() -> None:
    assert machine.packages(machine.LOCK).state == "ok"


def test_without_a_lock_the_requirements_are_looked_for(tmp_path: Path) -> None:
    assert machine.required_packages().state == "ok"
    (tmp_path / "pickroom-9.dist-info").mkdir()
    metadata = "Metadata-Version: 2.4\nName: pickroom\nVersion: 9\nRequires-Dist: numpy>=2\n"
    metadata += "Requires-Dist: no-such-package<3,>=2\nRequires-Dist: torch; extra == 'learn'\n"
    (tmp_path / "pickroom-9.dist-info" / "METADATA").write_text(metadata)
    (line,) = broken(tmp_path, "required_packages")
    assert line == "fail  packages: 1 are missing: no-such-package (run: make env)"


def test_widgets_without_their_half_in_the_browser(tmp_path: Path) -> None:
    for name in machine.LAB_EXTENSIONS:
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "package.json").write_text("{}")
    assert machine.jupyter(tmp_path).state == "ok"
    (tmp_path / "anywidget" / "package.json").unlink()
    found = machine.jupyter(tmp_path)
    assert (found.state, found.todo) == ("fail", "run: make env")
    assert "without anywidget" in found.found


def test_machine_without_a_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.browser().state == "warn"
    program = tmp_path / "chromium"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert machine.browser().line == f"ok    browser: {program}"


def test_broken_packages_are_findings_and_no_traceback(tmp_path: Path) -> None:
    module(tmp_path, "duckdb", "raise ImportError('undefined symbol: x')")
    module(tmp_path, "torch", "raise OSError('libtorch.so: cannot open\\nmore')")
    assert broken(tmp_path, "duckdb_sqlite", "accelerator", "bundled_weights") == [
        "fail  duckdb: it cannot be used: undefined symbol: x (run: make env)",
        "fail  accelerator: PyTorch cannot be used: libtorch.so: cannot open (run: make env)",
        "ok    bundled encoder: efficientnet-lite0-57934424.pth loads, offline",  # without PyTorch
    ]
    module(tmp_path, "onnx", "raise ImportError('no onnx here')")
    (line,) = broken(tmp_path, "bundled_weights")
    assert line.startswith("fail  bundled encoder: ") and "no onnx here" in line


def test_duckdb_without_its_extension_still_works_another_way(tmp_path: Path) -> None:
    module(tmp_path, "duckdb_extension_sqlite", "")
    (line,) = broken(tmp_path, "duckdb_sqlite")
    assert line.startswith("warn  duckdb: DuckDB's SQLite extension is missing")


def test_openclip_weights_are_looked_for_and_never_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PICKROOM_OPENCLIP", raising=False)
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    line = machine.openclip_weights().line
    assert line == "ok    openclip weights: not on this machine; only --encoder openclip needs them"
    snapshot = tmp_path / "hub" / "models--laion--CLIP-ViT-B-32-laion2B-s34B-b79K" / "snapshots" / "1"
    snapshot.mkdir(parents=True)
    (snapshot / "open_clip_model.safetensors").write_bytes(b"x")
    assert machine.openclip_weights().line == "ok    openclip weights: in the cache of Hugging Face"
    monkeypatch.setenv("PICKROOM_OPENCLIP", str(tmp_path / "mine"))
    assert machine.openclip_weights().state == "fail"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "open_clip_config.json").write_text("{}")
    assert machine.openclip_weights().state == "fail"
    (tmp_path / "mine" / "open_clip_model.safetensors").write_bytes(b"x")
    assert machine.openclip_weights().state == "ok"
