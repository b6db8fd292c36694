"""`pickroom embed`: what it prints where, its exit codes, and its one line for each wrong use."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from pickroom.cli import main
from pickroom.features import openclip
from pickroom.features.device import device_words, present
from pickroom.features.store import VectorRow, VectorStore, open_store
from pickroom.images.decode import read_rgb
from pickroom.store.workspace import Project

MakeProject = Callable[..., Project]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """(exit code, stdout, stderr) of a command line, in this process: to start another one takes seconds."""

    def call(project: Project, *arguments: object) -> tuple[int, str, str]:
        line = ["pickroom", "embed", project.id, "--home", str(project.workspace.root), *map(str, arguments)]
        monkeypatch.setattr("sys.argv", line)
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        return code, *capfd.readouterr()

    return call


def test_a_run_says_what_it_did(photo_project: MakeProject, checkpoint: Path, run: Run) -> None:
    project = photo_project(3)
    (project.root / "bad.png").write_text("no image")
    code, out, err = run(project, "--encoder", "openclip", "--checkpoint", checkpoint, "--verify")
    assert code == 1  # one image has no vector
    assert "7 images = 6 embedded + 0 recognised + 0 unchanged + 1 without a vector" in out
    assert "bad.png: unreadable: not an image" in out
    assert "verified: 7 images = 6 vectors of 48 floats + 1 without; 6 made again" in out and "no problem" in out
    assert f"  on {device_words(present()[0])}\n" in out
    assert re.search(r"Embedding: 100%.*6/6 \[\d\d:\d\d<00:00, +[\d.]+ images/s\]", err)  # and the time left
    assert "Traceback" not in err

    code, out, err = run(project, "--checkpoint", checkpoint, "--json", "--no-regions")
    found = json.loads(out)
    assert code == 1 and (found["images"], found["unchanged"]) == (7, 6)
    assert found["errors"] == [{"directory": "", "filename": "bad.png", "reason": "unreadable: not an image"}]


def test_ctrl_c_is_one_line_and_the_next_run_goes_on(
    photo_project: MakeProject, checkpoint: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = photo_project(20)
    real, published = VectorStore.append, []

    def interrupted(store: VectorStore, rows: list[VectorRow]) -> None:
        real(store, rows)
        published.append(len(rows))
        if sum(published) >= 8:  # the second batch or so: Ctrl-C, as the terminal sends it
            os.kill(os.getpid(), signal.SIGINT)

    arguments = ("--checkpoint", checkpoint, "--dtype", "float32", "--no-regions")
    with monkeypatch.context() as patch:
        patch.setattr(VectorStore, "append", interrupted)
        code, out, err = run(project, *arguments)
    assert (code, out) == (130, "") and "Traceback" not in err
    assert err.splitlines()[-1] == "pickroom: interrupted; what was saved is kept (run it again to go on)"

    code, out, _ = run(project, *arguments, "--json")
    found = json.loads(out)
    assert code == 0 and found["embedded"] + found["unchanged"] == 40
    assert found["unchanged"] == sum(published) and found["embedded"] > 0


def test_problems_found_by_verify_end_with_exit_code_1(photo_project: MakeProject, checkpoint: Path, run: Run) -> None:
    project = photo_project(1)
    assert run(project, "--checkpoint", checkpoint, "--dtype", "float32")[0] == 0
    store = open_store(project.workspace.project("p"))
    (path,) = store.vectors.files()
    rows = store.rows(path, range(2))
    path.unlink()
    for row in rows:
        assert row.vector is not None
        row.vector[:] = row.vector[::-1].copy()
    store.append(rows)
    code, out, err = run(project, "--checkpoint", checkpoint, "--verify", "--json")
    assert code == 1 and len(json.loads(out)["verification"]["problems"]) == 2
    assert err.count("cannot be made again") == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--encoder", "clip"), "'clip' is not an encoder"),
        (("--engine", "spark"), "'spark' is not one of 'local', 'ray'"),
        (("--address", "auto"), "add --engine ray"),
        (("--encoder", "bundled", "--device", "tpu"), "'tpu' is not a device"),
        (("--encoder", "bundled", "--dtype", "int8"), "leave --dtype out"),
        (("--model", "ViT-B-32"), "names no weights"),
        (("--checkpoint", "/nowhere"), "no such folder"),
        (("--import-legacy", "/nowhere.jsonl"), "cannot read the cache"),
    ],
)
def test_wrong_use_is_one_line(photo_project: MakeProject, run: Run, arguments: tuple[str, ...], words: str) -> None:
    project = photo_project(1)
    code, out, err = run(project, *arguments)
    assert (code, out) == (2, "") and err.count("\n") == 1 and words in err and err.startswith("pickroom: ")
    assert not project.workspace.embeddings.exists()


def test_a_legacy_cache_is_imported(photo_project: MakeProject, run: Run, tmp_path: Path) -> None:
    project = photo_project(1)
    name = sorted(path.name for path in project.root.iterdir())[0]
    np.save(tmp_path / "0.npy", np.ones(512, dtype=np.float32))
    lines = [{"image_path": f"/old/p/{name}", "embedding_file": "0.npy", "hash": ""}]
    lines += [{"image_path": "/old/p/gone.png", "embedding_file": "1.npy", "hash": ""}]
    (tmp_path / "cache.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    code, out, _ = run(project, "--import-legacy", tmp_path / "cache.jsonl")
    assert code == 0 and "2 lines = 1 imported + 1 skipped" in out and "1 skipped: the vector's file is missing" in out
    code, _, err = run(project)
    assert code == 1 and "never mixes them" in err


def test_a_declared_cache_says_how_it_was_verified(
    photo_project: MakeProject, checkpoint: Path, run: Run, tmp_path: Path
) -> None:
    project = photo_project(1)
    tower = openclip.load(checkpoint=checkpoint)
    encoder = tower.encoder(tower.spec(), "cpu")
    lines = []
    for number, path in enumerate(sorted(project.root.iterdir())):
        np.save(tmp_path / f"{number}.npy", encoder.encode([tower.prepare(read_rgb(path))]).vectors[0])
        lines.append({"image_path": f"/old/p/{path.name}", "embedding_file": f"{number}.npy"})
    (tmp_path / "cache.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    code, out, _ = run(project, "--import-legacy", tmp_path / "cache.jsonl", "--checkpoint", checkpoint)
    assert code == 0 and "2 of 2 images embedded again give these vectors (openclip ViT-96x2-16-" in out
    assert "old and new vectors train together" in out
    assert run(project, "--import-legacy", tmp_path / "cache.jsonl", "--encoder", "bundled")[0] == 2


def test_installing_what_is_installed_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pickroom.features.faces.installed", lambda: True)
    monkeypatch.setattr("sys.argv", ["pickroom", "install", "faces"])
    with suppress(SystemExit):
        main()
    assert capfd.readouterr() == ("", "pickroom: faces are measured when images are embedded\n")
