"""Odd file names go the whole way: every name that the system allows is a name like any other, to every command."""

from __future__ import annotations

import csv
import json
import os
import unicodedata
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from conftest import SCANNED_AT, stage_name, write_image, write_series
from hostile.test_databases import run
from hostile.test_folders import PREFIXES
from pickroom.analysis.connection import connect as connect_analysis
from pickroom.analysis.reports.sections import Report
from pickroom.core.naming import is_file_name
from pickroom.core.records import CropBox
from pickroom.exports import choices
from pickroom.files import cropping
from pickroom.indexing import projects
from pickroom.integrity import inspect
from pickroom.learn.reading import read_examples
from pickroom.sessions.crop.session import CropSession
from pickroom.store.workspace import Project, Workspace
from support.analysing import write_vectors
from support.exporting import export_imagefolder
from support.reviewing import FINALISE, in_child, review, rows

# what another program may take for an address, a command, a formula, or cut off
ODD = (
    "a#b",
    "a?b",
    "%41%2F",
    "@SUM(1)",
    "+1",
    "trailing ",
    "\u00a0",
    "a:b",
    "file:",
    "~",
    "*",
    "a;b",
    "a,b",
    "{x}",
    ".",
)
BOX = CropBox(0.1, 0.1, 0.9, 0.9)


def write_odd(folder: Path) -> list[str]:
    """A group of two for each odd name, within what the system takes for a name; all of their names."""
    made = []
    for number, prefix in enumerate((*PREFIXES, *ODD)):
        start = SCANNED_AT + timedelta(hours=number)
        for stage in (1, 2):
            name = f"{prefix}_{stage_name(start + timedelta(minutes=stage), stage)}"
            if len(name.encode()) > 240 or name.startswith("."):
                continue
            write_image(folder / name, seed=number * 2 + stage)
            (folder / f"{name.removesuffix('.png')}.caption").write_text(f"of {number}")
            made.append(name)
    return made


@pytest.fixture
def decided(workspace: Workspace, images_folder: Path) -> Project:
    """Every group of odd names decided, every other one cropped, each image with a vector."""
    names = write_odd(images_folder)
    project, report = projects.start(workspace, "p", images_folder, at=SCANNED_AT)
    assert sorted(name for group in report.groups for name in group.filenames) == sorted(names)
    assert projects.rescan(project).images == len(names)
    done = review(project, *["1", "q"] * (len(names) // 4 + 1), *FINALISE)
    assert done.last_result is not None and not done.last_result.held and not done.last_result.stuck
    with closing(CropSession(project)) as session:
        orders = [cropping.Order("crop", card.filename, BOX) for card in session.waiting]
        assert len(session.submit(orders).done) == len(orders)
    known = rows(project, "SELECT filename, sha256 FROM images")
    write_vectors(project, "small", [(image["filename"], image["sha256"], [1.0]) for image in known], 1)
    return project.with_manifest(encoder="small")


def test_odd_names_reach_every_reader_and_export(
    decided: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PICKROOM_HOME", str(decided.workspace.root))
    names = {row["filename"] for row in rows(decided, "SELECT filename FROM images")}
    groups = len(names) // 2
    assert inspect(decided).findings == ()
    assert len(choices.read(decided).images) == len(names)
    assert len(read_examples(decided, "picks").picks) == groups
    assert len(read_examples(decided, "crops").crops) == groups

    def export(*arguments: str) -> dict[str, Any]:
        capsys.readouterr()
        assert run("export", "p", *arguments, "--json") == 0
        return json.loads(capsys.readouterr().out)

    coco, folder = tmp_path / "coco", tmp_path / "hf"
    assert export("--coco", str(coco))["images"] == groups
    listed = json.loads((coco / "annotations.json").read_text())["images"]
    assert all((coco / image["file_name"]).is_file() for image in listed)
    for kind in ("jsonl", "csv", "parquet"):
        assert export("--hf", str(folder), "--metadata", kind, "--copy")["images"] == len(names)
        assert {Path(name).name for name in _file_names(folder, kind)} == names
        assert all((folder / name).is_file() for name in _file_names(folder, kind))
    assert export("--pairs", str(tmp_path / "pairs"), "--embed")["pairs"] == groups
    assert export("--parquet", str(tmp_path / "parquet"))["written"]["p"]["images"] == len(names)
    for naming in ("stem", "full"):
        assert export("--xmp", "--execute", "--naming", naming)["projects"]["p"]["held"] == {}
        assert export("--xmp", "--undo")["projects"]["p"]["held"] == {}
    for command in (("status", "p"), ("check", "p"), ("recommend", "p"), ("recover", "p"), ("finish", "p")):
        assert run(*command) == 0, command
        assert set(capsys.readouterr().out) & set("\x1b\x7f\r\u202e") == set()
    with connect_analysis(decided.workspace) as analysis:
        seen = analysis.execute("SELECT unnest(images) FROM decisions").fetchall()
        assert {name for (name,) in seen} == names
        pictures = Report(decided, analysis)
        assert all(pictures.preview(("", name)) is not None for name in names)


def _file_names(folder: Path, kind: str) -> list[str]:
    path = folder / f"metadata.{kind}"
    if kind == "parquet":
        return pyarrow.parquet.read_table(path).column("file_name").to_pylist()
    if kind == "csv":
        with path.open(newline="", encoding="utf-8") as file:
            return [row["file_name"] for row in csv.DictReader(file)]
    return [json.loads(line)["file_name"] for line in path.read_text(encoding="utf-8").splitlines()]


def test_odd_names_are_archived_and_reported(decided: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PICKROOM_HOME", str(decided.workspace.root))
    assert run("finish", "p", "--execute", "--originals") == 0
    listed = json.loads((decided.workspace.archives / "p" / "deliverables.json").read_text())
    assert len(listed) == len(rows(decided, "SELECT * FROM ai_decisions"))


def test_odd_names_go_through_the_automation(
    workspace: Workspace, images_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PICKROOM_HOME", str(workspace.root))
    names = write_odd(images_folder / "back\\slash folder")
    projects.start(workspace, "p", images_folder, at=SCANNED_AT)
    keys = workspace.root / "keys"
    keys.write_text("a\n" * (len(names) // 2) + "Shift+Enter\nShift+Enter\n")
    for command in (("generate",), ("review", "--keys", str(keys)), ("apply", "--execute", "--yes"), ("undo",)):
        assert run("auto", command[0], "p", *command[1:]) == 0, capsys.readouterr().err


def test_names_in_two_unicode_forms_are_two_names(workspace: Workspace, images_folder: Path, tmp_path: Path) -> None:
    for form in ("NFC", "NFD"):
        for stage in (1, 2):
            name = f"caf\u00e9_{stage_name(SCANNED_AT + timedelta(minutes=stage), stage)}"
            write_image(images_folder / form / unicodedata.normalize(form, name), seed=len(form) + stage)
    if set(os.listdir(images_folder / "NFC")) & set(os.listdir(images_folder / "NFD")):
        pytest.skip("this file system takes both forms for one name")
    project, report = projects.start(workspace, "p", images_folder)
    assert len(report.groups) == 2
    review(project, *"11", *FINALISE)
    assert len({judged.image.filename for judged in choices.read(project).images}) == 4
    done = export_imagefolder([project], tmp_path / "hf").values
    assert (done["images"], done["picked"]) == (4, 2)


def test_name_that_is_not_utf_8_is_listed_and_stops_nothing(workspace: Workspace, images_folder: Path) -> None:
    write_series(images_folder, [(1, 2)])
    strange = os.fsencode(images_folder) + b"/\xff_20250901_060000_stage1_a.png"
    try:
        Path(os.fsdecode(strange)).write_bytes(b"x")
    except OSError:
        pytest.skip("this file system takes only UTF-8 for a name")
    project, report = projects.start(workspace, "p", images_folder)
    assert [item.reason for item in report.ungrouped] == ["name is not valid UTF-8: rename it"]
    review(project, "1", *FINALISE)
    assert len(choices.read(project).images) == 2
    assert in_child(projects.rescan, project).images == 1


def test_companion_whose_name_is_not_utf_8_holds_its_group_back(workspace: Workspace, images_folder: Path) -> None:
    (names, others) = write_series(images_folder, [(1, 2), (1, 2)])
    strange = os.fsencode(images_folder / names[0].removesuffix(".png")) + b".\xff"
    beside = os.fsencode(images_folder / others[0].removesuffix(".png")) + b" \xff"
    try:
        for path in (strange, beside):
            Path(os.fsdecode(path)).write_bytes(b"x")
    except OSError:
        pytest.skip("this file system takes only UTF-8 for a name")
    project = projects.start(workspace, "p", images_folder)[0]
    result = review(project, "1", "1", *FINALISE).last_result
    assert result is not None and result.counts == {"approve": 1}
    (reason,) = result.held.values()
    assert reason.endswith("\\xff cannot be read: its name is not valid UTF-8: rename it")
    assert result.line.encode() and " \\xff" in result.line
    assert projects.status(project)["held"] == result.held


@pytest.mark.parametrize("name", ["a\\b.png", " ", "-x", "=1", "a\nb", "..png", "\u202e", "é", "C:\\a.png"])
def test_name_that_a_file_can_have(name: str) -> None:
    assert is_file_name(name)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\0b", "\ud800", None, 1, b"a"])
def test_name_that_no_file_can_have(name: object) -> None:
    assert not is_file_name(name)
