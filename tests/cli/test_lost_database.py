"""A project whose database is lost: no command makes another one, each says in one line how to get it back."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from cli.test_cli import Ran, pickroom  # noqa: F401 (a fixture)
from conftest import write_image, write_series
from pickroom.cli.doctor import workspaces
from pickroom.indexing import projects
from pickroom.maintenance.backup import restoring
from pickroom.store.workspace import Project
from support.reviewing import FINALISE, review


def header_only(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE t (x)")
        connection.execute("DROP TABLE t")


def other_program(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")


# how a database is lost -> what is left in its place
LOSSES: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: None,
    "empty": lambda path: path.touch(),
    "zeros": lambda path: path.write_bytes(bytes(16384)),
    "header only": header_only,
    "of another program": other_program,
    "folder": lambda path: path.mkdir(),
    "broken link": lambda path: path.symlink_to(path.with_name("elsewhere.db")),
}
COMMANDS = (
    "status p",
    "groups p",
    "groups p --by similarity",
    "embed p --encoder bundled",
    "review p",
    "review p --no-ai",
    "crop p",
    "crop p --apply-ai",
    "recover p",
    "undo p --batch 1",
    "sort p",
    "browse p",
    "duplicates p",
    "duplicates p --move",
    "check p",
    "recommend p",
    "anomalies p",
    "auto generate p",
    "auto apply p --production",
    "finish p",
    "export p --coco {tmp}/coco",
    "export p --parquet {tmp}/parquet",
    "export p --xmp",
    "import-csv {tmp}/log.csv --project p",
    "import-folders {tmp}/before {tmp}/after --project p",
    "relocate p {tmp}/moved",
)


@pytest.fixture
def lost(make_project: Callable[..., Project], tmp_path: Path) -> Project:
    """Project `p` with a batch, whose database is gone; and what its commands are given."""
    project = make_project([(1, 2), (1, 2)])
    review(project, "1", *FINALISE)
    lose(project, "missing")
    for folder in ("before", "after", "moved"):
        write_image(tmp_path / folder / "20250803_060000_stage1_generated.png")
    header = "session_id,set_id,chosen_path,neg_paths,timestamp"
    row = '1,1,20250803_060000_stage1_generated.png,"[""20250803_060100_stage2_upscaled.png""]",2025-08-03T06:00:00Z'
    (tmp_path / "log.csv").write_text(f"{header}\n{row}\n")
    return project


def lose(project: Project, how: str) -> None:
    for path in project.database.parent.glob(f"{project.database.name}*"):
        path.unlink()
    LOSSES[how](project.database)


def lying(project: Project) -> dict[str, bytes | None]:
    """What lies where databases and their copies do, locks apart."""
    folders = (project.database.parent, project.workspace.root / "data" / "backups")
    paths = [path for folder in folders for path in folder.rglob("*") if path.suffix != ".lock"]
    return {path.name: path.read_bytes() if path.is_file() else None for path in paths}


def refuse(run: Callable[..., Ran], command: str, project: Project, tmp_path: Path) -> Ran:
    before = lying(project)
    ran = run(*command.format(tmp=tmp_path).split())
    assert ran.code == 1, ran
    said = [line for line in ran.err.splitlines() if str(project.database) in line]
    assert len(said) == 1 and "pickroom restore --project p" in said[0], ran.err
    assert "Traceback" not in ran.err and lying(project) == before
    return ran


EVERY = [(command, how) for command in COMMANDS for how in ("missing", "empty")]
OTHERS = [(command, how) for command in ("status p", "review p", "recover p", "check p") for how in LOSSES]


# whatever took its place is left alone
@pytest.mark.parametrize(("command", "how"), sorted({*EVERY, *OTHERS}))
def test_no_command_makes_a_database_anew(
    pickroom: Callable[..., Ran],  # noqa: F811 (the fixture)
    lost: Project,
    tmp_path: Path,
    command: str,
    how: str,
) -> None:
    lose(lost, how)
    refuse(pickroom, command, lost, tmp_path)


@pytest.mark.parametrize(
    "command", ["evaluate p", "train ranker p", "auto review p --production", "auto apply p", "reclaim p", "sql {tmp}"]
)
def test_command_that_ends_for_another_reason_makes_none(
    pickroom: Callable[..., Ran],  # noqa: F811 (the fixture)
    lost: Project,
    tmp_path: Path,
    command: str,
) -> None:
    before = lying(lost)
    pickroom(*command.format(tmp="SELECT").split())
    assert lying(lost) == before


def test_lost_without_any_group_is_lost_all_the_same(
    pickroom: Callable[..., Ran],  # noqa: F811 (the fixture)
    make_project: Callable[..., Project],
    images_folder: Path,
    tmp_path: Path,
) -> None:
    write_image(images_folder / "single.png")
    project = make_project([])
    assert project.manifest.group_count == 0
    lose(project, "missing")
    refuse(pickroom, "review p", project, tmp_path)


@pytest.mark.parametrize("how", LOSSES)
def test_doctor_and_backup_name_a_lost_database(
    pickroom: Callable[..., Ran],  # noqa: F811 (the fixture)
    lost: Project,
    tmp_path: Path,
    how: str,
) -> None:
    write_series(tmp_path / "others", [(1, 2)])
    projects.start(lost.workspace, "other", tmp_path / "others")
    lose(lost, how)
    before = lying(lost)
    found = workspaces.project(lost.workspace, "p")
    assert found.state == "fail" and "pickroom restore --project p" in found.todo
    ran = pickroom("backup", tmp_path / "saved.zip", "--json")
    assert list(restoring.plan(lost.workspace, tmp_path / "saved.zip").projects) == ["other"]
    assert (ran.code, list(ran.json["damaged"])) == (1, ["data/training/ai_training_decisions/p.db"])
    assert lying(lost) == before


def test_copy_in_the_sandbox_without_a_database_is_refused(
    pickroom: Callable[..., Ran],  # noqa: F811 (the fixture)
    make_project: Callable[..., Project],
) -> None:
    make_project([(1, 2)])
    assert pickroom("auto", "generate", "p").code == 0
    (database,) = (Path(pickroom("status", "p", "--json").json["root"]).parent / "home/sandbox").rglob("p.db")
    database.unlink()
    ran = pickroom("auto", "review", "p")
    assert (ran.code, "pickroom auto generate p" in ran.err, database.exists()) == (1, True, False)
