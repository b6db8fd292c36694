"""`pickroom doctor`: a line a check, one JSON object, and an exit code that scripts can use."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import pytest

from pickroom import cli
from pickroom.store.workspace import Project


def test_doctor_in_words_and_json_and_by_exit_code(
    make_project: Callable[..., Project], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = make_project([(1, 2)])

    def doctor(*options: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["pickroom", "doctor", "--home", str(project.workspace.root), *options])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0), capsys.readouterr().out

    code, out = doctor()
    lines = out.splitlines()
    assert code == 0, out
    assert [line.partition(":")[0].split(maxsplit=1)[1] for line in lines] == [
        *("python", "packages", "jupyterlab", "browser", "duckdb", "accelerator", "bundled encoder"),
        *("openclip weights", "RAW files", "workspace", "disk", "file system", "project p", "images of p"),
    ]
    project.manifest_file.write_text("{")
    code, out = doctor("--json")
    found = json.loads(out)
    assert (code, found["ok"]) == (1, False)
    # of a project that cannot be opened nobody knows where its images are
    assert [sorted(check) for check in found["checks"]] == [["check", "found", "state", "todo"]] * (len(lines) - 1)
