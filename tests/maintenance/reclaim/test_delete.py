"""Freeing the disk: only what is proved needless goes; one spoiled byte in the proof, and everything stays."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from conftest import read_tree
from pickroom import cli
from pickroom.analysis.reports import finish, render
from pickroom.core.errors import FileOperationError, LockedError, StoreError
from pickroom.files.preflight import project_lock
from pickroom.maintenance.reclaim import delete
from pickroom.maintenance.reclaim.delete import execute
from pickroom.maintenance.reclaim.planning import ReclaimPlan, plan
from pickroom.storage import atomic
from pickroom.store.workspace import Project
from support.analysing import change, write_vectors
from support.reclaiming import out_of_the_trash
from support.reviewing import in_child, rows


def kinds(planned: ReclaimPlan) -> set[str]:
    return {item.kind for item in planned.items}


def run(*arguments: str, typed: str = "") -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["pickroom", *arguments])
        patch.setattr("sys.stdin", __import__("io").StringIO(typed))
        with pytest.raises(SystemExit) as ended:
            cli.main()
    return int(ended.value.code or 0)


def names(root: Path, folder: str) -> set[str]:
    return {path.name for path in (root / folder).iterdir()}


def test_a_dry_run_names_everything_and_changes_nothing(project: Project) -> None:
    before = read_tree(project.root)
    planned = plan(project.workspace)
    assert kinds(planned) == {"staged", "originals"}
    assert planned.size == sum(item.path.stat().st_size for item in planned.items) > 0
    assert {item.path.name for item in planned.items if item.kind == "staged"} == names(project.root, "delete_staging")
    assert planned.lines[0].endswith("can come back")
    assert read_tree(project.root) == before


def test_into_the_trash_from_where_it_can_come_back(project: Project, tmp_path: Path) -> None:
    planned = plan(project.workspace)
    before = read_tree(project.root)
    kept = {name: sha for name, sha in before.items() if project.root / name not in {i.path for i in planned.items}}
    assert execute(planned, project.workspace) == planned.size
    assert read_tree(project.root) == kept
    trashed = {path.name for path in (tmp_path / "share" / "Trash" / "files").iterdir()}
    assert trashed == {item.path.name for item in planned.items}
    noted = list(delete.logged(project.workspace))
    assert [row["state"] for row in noted] == ["planned", "done"] * len(planned.items)
    assert {row["path"] for row in noted} == set(before) - set(kept) and {row["how"] for row in noted} == {"trash"}
    assert plan(project.workspace).items == ()

    out_of_the_trash(tmp_path / "share")  # as a desktop's "restore" does it, by what the trash wrote down
    assert read_tree(project.root) == before
    assert {item.path for item in plan(project.workspace).items} == {item.path for item in planned.items}


@pytest.mark.parametrize("part", ["deliverables.zip", "originals.zip", "demo.db", "originals.json", "summary.json"])
def test_a_damaged_archive_keeps_every_image(project: Project, part: str) -> None:
    path = project.workspace.root / "archives" / "demo" / part
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    planned = plan(project.workspace)
    assert planned.items == ()
    assert len(planned.kept) == len(names(project.root, "delete_staging") | names(project.root, "crop_originals"))


def test_an_archive_that_is_gone_keeps_every_image(project: Project) -> None:
    shutil.rmtree(project.workspace.root / "archives")
    planned = plan(project.workspace)
    assert planned.items == () and planned.kept


def test_a_project_at_work_keeps_every_image(project: Project) -> None:
    active = project.with_manifest(status="active")
    planned = plan(active.workspace)
    assert planned.items == ()
    assert {kept.reason for kept in planned.kept} == {"the project is not finished"}


def test_what_pickroom_did_not_put_there_stays(project: Project) -> None:
    staging = project.root / "delete_staging"
    (staging / "mine.png").write_bytes(b"my own")
    changed = next(path for path in sorted(staging.glob("*.png")) if path.name != "mine.png")
    with changed.open("ab") as file:
        file.write(b"more")
    planned = plan(project.workspace)
    reasons = {kept.path.name: kept.reason for kept in planned.kept}
    assert reasons["mine.png"] == "Pickroom did not put it there"
    assert reasons[changed.name] == "it has changed since Pickroom put it there"
    assert not {"mine.png", changed.name} & {item.path.name for item in planned.items}


def test_originals_in_no_archive_stay(built: Project, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "run", lambda project: [])
    finish.execute(project)  # again, without the originals
    planned = plan(project.workspace)
    assert kinds(planned) == {"staged"}
    reasons = {kept.path.suffix: kept.reason for kept in planned.kept}
    assert "pickroom finish demo --originals --execute" in reasons[".png"]
    assert "an archive holds pictures only" in reasons[".yaml"]  # to archive again would not help


def test_a_file_that_changes_after_the_look_stays(project: Project) -> None:
    planned = plan(project.workspace)
    last = planned.items[-1].path
    with last.open("ab") as file:
        file.write(b"x")
    with pytest.raises(FileOperationError, match="has changed since it was looked at"):
        execute(planned, project.workspace)
    assert last.is_file()


def test_a_proof_that_changes_after_the_look_keeps_everything(project: Project) -> None:
    planned = plan(project.workspace)
    before = read_tree(project.root)
    with (project.workspace.root / "archives" / "demo" / "deliverables.zip").open("r+b") as file:
        file.write(b"PK")  # the same bytes at another time: nobody has read them since
    with pytest.raises(FileOperationError, match="what proved it needless has changed since") as refused:
        execute(planned, project.workspace)
    assert "nothing has gone; look again" in refused.value.line
    assert read_tree(project.root) == before
    assert not delete.log_path(project.workspace).exists()
    assert execute(plan(project.workspace), project.workspace, hard=True) == planned.size


def test_what_cannot_be_recorded_does_not_go(project: Project) -> None:
    planned = plan(project.workspace)
    before = read_tree(project.root)
    delete.log_path(project.workspace).mkdir(parents=True)
    with pytest.raises(StoreError) as refused:
        execute(planned, project.workspace, hard=True)
    assert "\n" not in refused.value.line and "reclaimed.jsonl" in refused.value.line
    assert read_tree(project.root) == before


def test_what_the_system_refuses_is_recorded_and_the_rest_stays(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = plan(project.workspace)
    before = read_tree(project.root)
    (tmp_path / "share").write_text("no folder: nothing has room for a trash")
    with pytest.raises(FileOperationError, match="--permanent deletes for good"):
        execute(planned, project.workspace)
    assert read_tree(project.root) == before
    assert [row["state"] for row in delete.logged(project.workspace)] == ["planned", "failed"]


def test_a_name_too_long_for_the_trash_keeps_no_other(project: Project) -> None:
    planned = plan(project.workspace)
    first, *others = planned.items
    longer = first.path.with_name("n" * 251 + ".png")  # the trash adds .trashinfo
    first.path.rename(longer)
    planned = replace(planned, items=(replace(first, path=longer), *others))
    with pytest.raises(FileOperationError, match=r"File name too long.*--permanent"):
        execute(planned, project.workspace)
    assert longer.exists() and not any(item.path.exists() for item in others)
    assert execute(replace(planned, items=planned.items[:1]), project.workspace, hard=True) == first.size


def test_deleted_item_is_recorded_even_if_folder_sync_fails(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = plan(project.workspace)
    sync = atomic.sync_folders

    def refuse(folders: Iterable[Path]) -> None:
        there = list(folders)
        if planned.items[0].path.parent in there:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(there)

    monkeypatch.setattr(atomic, "sync_folders", refuse)
    with pytest.raises(FileOperationError, match="the item is gone"):
        execute(planned, project.workspace, hard=True)
    assert not planned.items[0].path.exists() and planned.items[1].path.exists()
    assert [(row["state"], row.get("reason")) for row in delete.logged(project.workspace)] == [
        ("planned", None),
        ("done", os.strerror(errno.EIO)),
    ]


def test_nothing_goes_while_files_move(project: Project) -> None:
    def hold_and_reclaim() -> str:
        planned = plan(project.workspace)
        with project_lock(project, "finalising"), pytest.raises(LockedError) as refused:
            execute(planned, project.workspace)
        return refused.value.line

    before = read_tree(project.root)
    assert "while reclaiming disk space" in in_child(hold_and_reclaim)
    assert read_tree(project.root) == before


def test_vectors_of_a_dropped_encoder_go_only_beside_whole_ones(project: Project) -> None:
    known = [(r["filename"], r["sha256"]) for r in rows(project, "SELECT * FROM images WHERE sha256 IS NOT NULL")]
    write_vectors(project, "old", [(name, sha256, [1.0, 0.0]) for name, sha256 in known], 2)
    dropped = project.workspace.embeddings / "old" / "demo"
    shutil.rmtree(project.workspace.embeddings / "own")
    unbound = project.with_manifest(encoder=None)
    assert kinds(plan(unbound.workspace)) == set(), "no encoder of its own: nothing is proved"
    bound = project.with_manifest(encoder="new")
    (kept,) = [kept for kept in plan(bound.workspace).kept if kept.kind == "vectors"]
    assert (kept.path, "images have no vector by its own encoder" in kept.reason) == (dropped, True)
    write_vectors(bound, "new", [(name, sha256, [1.0, 0.0]) for name, sha256 in known], 2)
    planned = plan(bound.workspace)
    assert [item.path for item in planned.items if item.kind == "vectors"] == [dropped]
    execute(planned, bound.workspace)
    assert not dropped.exists() and (project.workspace.embeddings / "new" / "demo").is_dir()


def test_images_stay_until_what_learning_needs_is_stored(project: Project) -> None:
    names = {item.path.name for item in plan(project.workspace).items}
    known = [(r["filename"], r["sha256"]) for r in rows(project, "SELECT * FROM images WHERE sha256 IS NOT NULL")]
    lost = next(name for name, _ in sorted(known) if name in names)
    (whole,) = (project.workspace.embeddings / "own" / "demo").glob("*.parquet")
    whole.unlink()
    write_vectors(project, "own", [(n, s, [1.0, 0.0] if n != lost else None) for n, s in known], 2)
    kept = {item.path.name: item.reason for item in plan(project.workspace).kept}
    assert kept[lost] == "learning needs it, its vectors are not stored: pickroom embed demo"
    stem = lost.rpartition(".")[0]
    assert names & set(kept) == {name for name in names if name.startswith(f"{stem}.")}, "companions stay with it"
    (torn,) = (project.workspace.embeddings / "own" / "demo").glob("*.parquet")
    torn.write_bytes(torn.read_bytes()[:100])
    assert kinds(plan(project.workspace)) == set()
    assert any("cannot be verified" in item.reason for item in plan(project.workspace).kept)


def test_images_stay_until_every_block_of_features_is_stored(project: Project) -> None:
    blocks = project.workspace.embeddings.parent / "blocks"
    known = [row["sha256"] for row in rows(project, "SELECT sha256 FROM images WHERE sha256 IS NOT NULL")]
    (blocks / "other").mkdir(parents=True)
    table = pyarrow.table({"content_hash": known, "sharpness": [1.0] * len(known)})
    pyarrow.parquet.write_table(table, blocks / "other" / "technical-v1-0.parquet")
    reasons = {item.reason for item in plan(project.workspace).kept}
    assert kinds(plan(project.workspace)) == set()
    assert "learning needs it, its features (technical) are not stored: pickroom embed demo" in reasons
    (blocks / "other").rename(blocks / "demo")
    assert kinds(plan(project.workspace)) == {"staged", "originals"}


def test_the_command_asks_for_a_word_before_it_deletes(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = str(project.workspace.root)
    assert run("reclaim", "--home", home) == 0
    assert "Nothing has been done" in capsys.readouterr().out
    before = read_tree(project.root)
    assert run("reclaim", "--permanent", "--home", home) == 2
    assert run("reclaim", "--execute", "--permanent", "--home", home, typed="yes\n") == 2
    assert "nothing was deleted" in capsys.readouterr().err
    assert read_tree(project.root) == before
    assert run("reclaim", "demo", "--execute", "--permanent", "--json", "--home", home, typed="delete\n") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["reclaimed_bytes"] == told["bytes"] > 0
    assert names(project.root, "delete_staging") == set()
    assert not (tmp_path / "share").exists(), "nothing went to the trash"


def test_an_unknown_project_is_one_line(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("reclaim", "nobody", "--home", str(project.workspace.root)) == 2
    assert capsys.readouterr().err.startswith("pickroom: no project is named 'nobody'")


def test_undo_says_that_its_files_are_gone(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    execute(plan(project.workspace), project.workspace)
    change(project, "DELETE FROM crops")
    assert run("undo", "demo", "--batch", "1", "--home", str(project.workspace.root)) == 1
    assert "pickroom: " in capsys.readouterr().err
