"""Rows, files and vectors meet by (project, file name), and by hash where there is one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conftest import write_image
from pickroom.core.errors import StoreError
from pickroom.history import coverage
from pickroom.history.coverage import check_coverage
from pickroom.store.connect import open_read_only
from pickroom.store.workspace import Project, Workspace

from .logs import SAMPLES, SELECTION, run_import, selection, write_log


def write_vectors(workspace: Workspace, project_id: str, rows: list[tuple[str, str | None, str | None]]) -> Path:
    """A vector file with (filename, content hash, error) and no vectors to speak of."""
    path = workspace.embeddings / "encoder" / project_id / "part.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    names = ("filename", "content_hash", "error")
    pq.write_table(
        pa.table({n: pa.array(list(c), pa.string()) for n, c in zip(names, zip(*rows, strict=True), strict=True)}), path
    )
    return path


def test_what_meets_and_what_does_not(make_project: Callable[..., Project], tmp_path: Path) -> None:
    project = make_project([(1, 2), (1, 2), (1, 2)], project_id="mojo1")
    workspace = project.workspace
    with open_read_only(project.database) as connection:
        scanned = connection.execute("SELECT filename, sha256 FROM images ORDER BY filename").fetchall()
    names, hashes = [row[0] for row in scanned], dict(tuple(row) for row in scanned)
    rows = [selection(names[place], [names[place + 1]]) for place in (0, 2, 4)]
    run_import(workspace, write_log(tmp_path / "log.csv", SELECTION, [*rows, selection("gone.png", ["never.png"])]))
    write_image(project.root / "selected" / names[1])
    vectors: list[tuple[str, str | None, str | None]] = [
        (names[0], hashes[names[0]], None),
        (names[1], None, None),  # imported from a cache that knew no hash
        (names[2], "another content", None),
        (names[3], hashes[names[3]], "truncated"),
        ("orphan.png", "x", None),
    ]
    write_vectors(workspace, "mojo1", vectors)
    pq.write_table(pa.table({"group_id": ["g"]}), workspace.embeddings / "encoder" / "mojo1" / "regions-1.parquet")
    found = check_coverage(workspace, "mojo1")
    print("\n".join(found.lines()))
    assert (found.names, found.with_file, found.with_vector) == (8, 6, 2)
    assert dict(found.missing) == {
        coverage.NO_VECTOR: 4,
        coverage.NO_FILE: 2,
        coverage.TWICE: 1,
        coverage.OTHER_CONTENT: 1,
        coverage.FAILED: 1,
        coverage.ORPHAN: 1,
    }
    assert found.examples[coverage.NO_FILE] == ["'gone.png'", "'never.png'"]


def test_a_project_that_is_only_imported(workspace: Workspace) -> None:
    run_import(workspace, SAMPLES / "selection_only_log.csv")
    found = check_coverage(workspace, "mojo1")
    assert (found.names, found.with_file) == (46, 0)
    assert dict(found.missing) == {coverage.NO_VECTOR: 46, coverage.NO_FOLDER: 1}


def test_a_damaged_vector_file_is_named(workspace: Workspace) -> None:
    write_vectors(workspace, "p", [("a.png", "x", None)]).write_bytes(b"no parquet")
    with pytest.raises(StoreError, match=r"part\.parquet"):
        check_coverage(workspace, "p")
