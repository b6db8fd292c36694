"""Parquet for other engines: one partition a project, only what has changed, readable with nothing of Pickroom."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import duckdb
import pyarrow.dataset
import pyarrow.parquet
import pytest

from conftest import read_tree, write_series
from pickroom.core.errors import ConflictError, FileOperationError, ProjectError, StoreError
from pickroom.exports.parquet import STATE_FILE, TABLES, write_partitions
from pickroom.indexing import projects
from pickroom.store.workspace import Project, Workspace
from support.analysing import change, write_vectors
from support.reviewing import FINALISE, in_child, obey_permissions, review, rows

VECTORS = [[0.5, 1.0, -2.0], [0.5, 1.0, -1.5], [1.0, 0.0, 0.0]]
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "analysis.md"


@pytest.fixture
def two(reviewed: Project, workspace: Workspace, tmp_path: Path) -> tuple[Project, Project]:
    """The reviewed project, with a vector; and one whose name is a number, which engines like to take for one."""
    images = rows(reviewed, "SELECT filename, sha256 FROM images ORDER BY filename LIMIT 3")
    vectors = zip(images, VECTORS, strict=True)
    write_vectors(reviewed, "small", [(image["filename"], image["sha256"], vector) for image, vector in vectors], 3)
    write_series(tmp_path / "other", [(1, 2)])
    other = projects.start(workspace, "0042", tmp_path / "other")[0]
    review(other, "1", *FINALISE)
    return reviewed, other


def test_partitions_are_read_by_any_engine(two: tuple[Project, Project], workspace: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    done = write_partitions(workspace, folder)
    assert done.written == {
        "0042": {"decisions": 1, "comparisons": 0, "crops": 0, "images": 2},
        "p": {"decisions": 5, "comparisons": 0, "crops": 1, "images": 16},
    }
    assert sorted(read_tree(folder)) == sorted(
        [STATE_FILE, *(f"{table}/project_id={name}/data.parquet" for table in TABLES for name in ("0042", "p"))]
    )
    dataset = pyarrow.dataset.dataset(folder / "decisions", partitioning="hive", exclude_invalid_files=True)
    table = dataset.to_table().to_pylist()
    plain = {row["group_id"]: row for project in two for row in rows(project, "SELECT * FROM ai_decisions")}
    assert {row["group_id"]: row["user_action"] for row in table} == {k: v["user_action"] for k, v in plain.items()}
    assert all(row["timestamp"].isoformat() + "Z" == plain[row["group_id"]]["timestamp"] for row in table)
    images = pyarrow.parquet.read_table(folder / "images" / "project_id=p" / "data.parquet").to_pylist()
    assert [row["vector"] for row in images if row["vector"] is not None] == VECTORS
    assert "project_id" not in images[0]  # the folder says it


def test_only_what_has_changed_is_written_again(
    two: tuple[Project, Project], workspace: Workspace, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    write_partitions(workspace, folder)
    assert write_partitions(workspace, folder).unchanged == ("0042", "p")
    before = read_tree(folder)
    change(two[1], "UPDATE ai_decisions SET user_action = 'reject'")
    assert set(write_partitions(workspace, folder).written) == {"0042"}
    after = read_tree(folder)
    assert [name for name in before if before[name] != after[name]] == [
        STATE_FILE,
        "decisions/project_id=0042/data.parquet",
    ]
    (image, *_) = rows(two[1], "SELECT filename, sha256 FROM images")
    write_vectors(two[1], "small", [(image["filename"], image["sha256"], [1.0, 1.0, 1.0])], 3)
    assert set(write_partitions(workspace, folder).written) == {"0042"}
    (folder / "crops" / "project_id=p" / "data.parquet").unlink()
    assert set(write_partitions(workspace, folder, ["p"]).written) == {"p"}
    (folder / STATE_FILE).write_text("nonsense")
    assert set(write_partitions(workspace, folder).written) == {"0042", "p"}


def test_what_cannot_be_exported_is_one_clear_line(
    two: tuple[Project, Project], workspace: Workspace, tmp_path: Path
) -> None:
    with pytest.raises(ProjectError, match="no project is named 'nope'"):
        write_partitions(workspace, tmp_path / "out", ["p", "nope"])
    assert not (tmp_path / "out").exists()
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FileOperationError, match="while exporting"):
        write_partitions(workspace, tmp_path / "file")
    two[1].database.write_bytes(b"nonsense")
    with pytest.raises(StoreError, match=r"0042: left out: file is not a database.*the other projects are written"):
        write_partitions(workspace, tmp_path / "out")
    assert (tmp_path / "out" / "decisions" / "project_id=p" / "data.parquet").is_file()


def test_files_of_the_user_are_never_replaced(
    two: tuple[Project, Project], workspace: Workspace, tmp_path: Path
) -> None:
    theirs = tmp_path / "new" / "crops" / "project_id=p" / "data.parquet"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("mine")
    with pytest.raises(ConflictError, match="1 files there were not made by an export"):
        write_partitions(workspace, tmp_path / "new")
    assert read_tree(tmp_path / "new") == {"crops/project_id=p/data.parquet": hashlib.sha256(b"mine").hexdigest()}
    folder = tmp_path / "out"
    write_partitions(workspace, folder)
    (folder / "crops" / "project_id=p" / "data.parquet").write_text("mine")
    change(two[0], "UPDATE ai_decisions SET user_action = 'reject'")
    before = read_tree(folder)
    with pytest.raises(ConflictError, match="changed since"):
        write_partitions(workspace, folder)
    assert read_tree(folder) == before


def test_a_folder_of_an_older_export_is_replaced(
    two: tuple[Project, Project], workspace: Workspace, tmp_path: Path
) -> None:
    write_partitions(workspace, tmp_path)
    (tmp_path / STATE_FILE).write_text('{"p": "0123456789abcdef"}')
    (tmp_path / "crops" / "project_id=p" / "data.parquet").write_text("of version 0.1")
    assert set(write_partitions(workspace, tmp_path, ["p"]).written) == {"p"}


def test_a_closed_folder_is_one_clear_line(two: tuple[Project, Project], workspace: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)

    def attempt() -> str:
        obey_permissions()
        with pytest.raises(FileOperationError) as refused:
            write_partitions(workspace, folder)
        return refused.value.line

    assert in_child(attempt).startswith("Permission denied while exporting")


def test_the_documented_examples_run(two: tuple[Project, Project], workspace: Workspace, tmp_path: Path) -> None:
    write_partitions(workspace, tmp_path / "out")
    blocks = re.findall(r"```sql\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), flags=re.DOTALL)
    examples = [block for block in blocks if "read_parquet" in block]
    assert len(examples) >= 2
    with duckdb.connect(config={"autoinstall_known_extensions": False}) as engine:
        results = [engine.execute(block.replace("DIR/", f"{tmp_path}/out/")).fetchall() for block in examples]
    assert results[0] == [("0042", 1, 0.0), ("p", 5, 0.75)]
    names = [row["filename"] for row in rows(two[0], "SELECT filename FROM images ORDER BY filename LIMIT 3")]
    assert results[1] == [(names[0], names[1]), (names[1], names[0]), (names[2], names[1])]
