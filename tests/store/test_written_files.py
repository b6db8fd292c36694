"""A file that the user made or changed is never replaced: what Pickroom wrote is known by its content."""

from __future__ import annotations

from pathlib import Path

import pytest

from pickroom.core.errors import ConflictError
from pickroom.store import written_files
from pickroom.store.workspace import Workspace


def test_an_own_file_is_replaced(workspace: Workspace) -> None:
    path = workspace.summaries / "report.md"
    for text in ("one", "two", "one"):
        assert written_files.free_path(workspace, path) == path
        written_files.write_text(workspace, path, text)
        assert path.read_text() == text
    assert len(written_files.log_path(workspace).read_text().splitlines()) == 2
    assert str(workspace.root) not in written_files.log_path(workspace).read_text()


def test_a_file_of_the_user_is_kept(workspace: Workspace) -> None:
    path = workspace.summaries / "report.md"
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    with pytest.raises(ConflictError, match="did not write"):
        written_files.write_text(workspace, path, "ours")
    other = written_files.free_path(workspace, path)
    assert other == path.with_name("report-2.md")
    written_files.write_text(workspace, other, "ours")
    assert written_files.free_path(workspace, path) == other
    assert path.read_text() == "mine"


def test_an_own_file_that_was_changed_is_kept(workspace: Workspace) -> None:
    path = workspace.summaries / "report.md"
    written_files.write_text(workspace, path, "ours")
    path.write_text("ours, with a note of mine")
    assert written_files.free_path(workspace, path) == path.with_name("report-2.md")


@pytest.mark.parametrize("kind", ["folder", "link", "dangling link"])
def test_what_is_no_file_is_kept(workspace: Workspace, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "report.md"
    written_files.write_text(workspace, tmp_path / "ours.md", "ours")
    if kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / ("ours.md" if kind == "link" else "gone.md"))
    assert not written_files.may_replace(workspace, path)


def test_a_record_made_before_a_crash_does_no_harm(workspace: Workspace, tmp_path: Path) -> None:
    written_files.record(workspace, tmp_path / "a", "0" * 64)
    (tmp_path / "a").write_text("mine")
    assert not written_files.may_replace(workspace, tmp_path / "a")
    with written_files.log_path(workspace).open("a") as log:
        log.write("{torn")
    written_files.write_text(workspace, tmp_path / "b", "ours")
    assert written_files.may_replace(workspace, tmp_path / "b")
