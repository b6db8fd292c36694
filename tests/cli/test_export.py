"""`pickroom export`: one format a call, a dry run for what is written beside images, one line for wrong use."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import read_tree
from pickroom import cli
from pickroom.store.workspace import Project
from support.reviewing import FINALISE, review

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def project(make_project: Callable[..., Project]) -> Project:
    made = make_project([(1, 2), (1, 1.5, 2)])
    review(made, "1", "x", *FINALISE)
    return made


@pytest.fixture
def export(project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("PICKROOM_HOME", str(project.workspace.root))

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pickroom", "export", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


def answer(ran: tuple[int, str, str]) -> dict[str, Any]:
    assert ran[0] == 0, ran
    assert ran[1].count("\n") == 1
    return json.loads(ran[1])


def test_xmp_is_dry_then_done_then_undone(export: Run, project: Project) -> None:
    before = read_tree(project.root)
    dry = answer(export("p", "--xmp", "--json"))
    assert (dry["executed"], dry["projects"]["p"]["new"]) == (False, 5)
    assert read_tree(project.root) == before
    assert "Nothing has been done. Do it: add --execute" in export("--xmp")[1]
    assert answer(export("--xmp", "--execute", "--json"))["projects"]["p"]["new"] == 5
    assert len(read_tree(project.root)) == len(before) + 5
    assert export("--xmp", "--undo")[1] == "p: 5 sidecars as they were, 0 held back\n"
    assert read_tree(project.root) == before


def test_each_format_says_what_it_wrote_and_what_it_left_out(export: Run, tmp_path: Path) -> None:
    assert answer(export("--coco", tmp_path / "a", "--json"))["images"] == 1
    assert answer(export("p", "--hf", tmp_path / "b", "--json"))["images"] == 5
    assert answer(export("--pairs", tmp_path / "c", "--json"))["pairs"] == 1
    assert answer(export("--parquet", tmp_path / "d", "--json"))["written"]["p"]["decisions"] == 2
    assert export("--coco", tmp_path / "a")[1] == f"1 images, 0 annotations in {tmp_path / 'a'}\n"


WRONG = (
    ((), "say what to export"),
    (("--coco", "a", "--hf", "b"), "--coco and --hf exclude each other"),
    (("--coco", "a", "--embed"), "--embed does nothing with --coco"),
    (("--coco", "a", "--execute"), "it belongs to --xmp"),
    (("--xmp", "--copy"), "--copy does nothing with --xmp"),
    (("--xmp", "--naming", "short"), "'short' is not one of 'stem', 'full'"),
    (("--hf", "a", "--metadata", "yaml"), "'yaml' is not one of 'jsonl', 'csv', 'parquet'"),
    (("--xmp", "--execute", "--undo"), "exclude each other"),
    (("--xmp", "--undo"), "no sidecars were written"),
    (("nobody", "--coco", "a"), "no project is named 'nobody'"),
)


def test_wrong_use_is_one_line_and_writes_nothing(export: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def tree() -> dict[str, str]:
        passing = (".db-shm", ".db-wal", ".lock")
        return {path: sha for path, sha in read_tree(tmp_path).items() if not path.endswith(passing)}

    monkeypatch.chdir(tmp_path)
    before = tree()
    for arguments, says in WRONG:
        code, out, said = export(*arguments)
        assert (code, out, said.count("\n")) == (2, "", 1), arguments
        assert says in said
    assert tree() == before


def test_sidecars_held_back_end_with_1(export: Run, project: Project) -> None:
    image = next((project.root / "selected").glob("*.png"))
    image.with_name(image.name.removesuffix(".png") + ".xmp").write_text("no packet")
    code, out, _ = export("--xmp", "--execute")
    assert code == 1
    assert "1 held back" in out and "it is not XML" in out


@pytest.mark.parametrize("kind", ["--coco", "--hf", "--pairs", "--xmp"])
def test_pick_that_cannot_be_exported_is_named(export: Run, project: Project, tmp_path: Path, kind: str) -> None:
    target = "--execute" if kind == "--xmp" else tmp_path / "out"
    (picked,) = (project.root / "selected").glob("*.png")
    picked.unlink()
    code, _, err = export("p", kind, target)
    assert (code, picked.name in err) == (1, True)
