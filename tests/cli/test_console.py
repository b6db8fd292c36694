"""What the console prints: one line for expected errors, a traceback for a broken package, tables in columns."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pickroom.cli import console


def test_an_os_error_of_an_import_is_not_one_of_a_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_package.py").write_text(
        "def load():\n    raise OSError('libcudart.so.12: no such file')\n\nload()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(OSError, match="libcudart") as broken:
        importlib.import_module("broken_package")
    with pytest.raises(OSError) as missing:
        (tmp_path / "missing").read_bytes()
    assert [console._while_importing(error.value) for error in (broken, missing)] == [True, False]


def test_a_broken_package_behind_a_command_is_a_traceback(tmp_path: Path) -> None:
    # In a process of its own: here another test may have imported the real package already.
    (tmp_path / "voila.py").write_text("raise OSError('libcudart.so.12: no such file')\n")
    done = subprocess.run(
        [sys.executable, "-m", "pickroom.cli", "app", "--home", str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "OSError: libcudart.so.12: no such file" in done.stderr
    assert "while using" not in done.stderr


def test_table_has_numbers_to_the_right_and_blanks_for_null() -> None:
    lines = console.table(("name", "n"), [("a", 1), ("b\n", None), ("c", 2.5)])
    assert lines == ["name    n", "----  ---", "a       1", "b\\n", "c     2.5"]
    assert console.table(("name",), []) == ["name", "----"]


def test_a_long_list_says_how_much_was_left_out() -> None:
    assert console.some(["a", "b", "c"], 2) == ["a", "b", "  and 1 more; --json lists them all"]
    assert console.some(["a", "b"], 2) == ["a", "b"]
