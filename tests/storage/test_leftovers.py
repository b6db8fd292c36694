"""Temporary files and folders of killed processes go with the next run; those of living processes stay."""

from __future__ import annotations

import os
import signal
import stat
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from pickroom.storage import atomic, leftovers
from pickroom.storage.leftovers import Folder
from support.reviewing import child, exit_code_of, hear, in_child


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def die_writing(folder: Path) -> None:
    atomic.sync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
    atomic.write_bytes(folder / "a.json", b"half")


def die_in_a_folder(parent: Path) -> None:
    with Folder(".building-", parent) as path:
        (path / "copy.db").write_bytes(b"data")
        os.kill(os.getpid(), signal.SIGKILL)


def wait_writing(pipe: Connection, folder: Path) -> None:
    def wait(descriptor: int) -> None:
        pipe.send(None)
        pipe.recv()

    atomic.sync = wait  # type: ignore[assignment]
    atomic.write_bytes(folder / "slow.json", b"whole")
    pipe.send(None)


def wait_in_a_folder(pipe: Connection, parent: Path) -> None:
    with Folder(".building-", parent) as path:
        pipe.send(str(path))
        pipe.recv()
    pipe.send(None)


def test_killed_partial_file_goes_with_the_next_write(tmp_path: Path) -> None:
    assert exit_code_of(die_writing, tmp_path) == -signal.SIGKILL
    (left,) = names(tmp_path)
    assert left.endswith(leftovers.PARTIAL_SUFFIX)
    in_child(atomic.write_bytes, tmp_path / "b.json", b"b")
    assert names(tmp_path) == ["b.json"]


def test_partial_file_that_is_being_written_stays(tmp_path: Path) -> None:
    with child(wait_writing, tmp_path) as pipe:
        hear(pipe)
        in_child(atomic.create_bytes, tmp_path / "b.json", b"b")
        assert len(names(tmp_path)) == 2
        pipe.send(None)
        hear(pipe)
    assert names(tmp_path) == ["b.json", "slow.json"]
    assert (tmp_path / "slow.json").read_bytes() == b"whole"


@pytest.mark.parametrize(
    "name",
    [
        f"mine{leftovers.PARTIAL_SUFFIX}",
        f".3-0123456789abcdef{leftovers.PARTIAL_SUFFIX}",  # a crop that the journal is about to place
        f".abcdef12{leftovers.PARTIAL_SUFFIX}",  # an image on its way between two disks: the project's lock guards it
        ".0123456789abcdef.partial",
    ],
)
def test_files_of_other_names_stay(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("kept")
    leftovers.sweep_partials(tmp_path)
    assert names(tmp_path) == [name]


def test_partial_name_that_is_a_link_or_a_folder_stays(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("kept")
    (tmp_path / f".{'0' * 16}{leftovers.PARTIAL_SUFFIX}").symlink_to("theirs")
    (tmp_path / f".{'1' * 16}{leftovers.PARTIAL_SUFFIX}").mkdir()
    leftovers.sweep_partials(tmp_path)
    assert len(names(tmp_path)) == 3


def test_folder_is_private_and_goes_at_the_end(tmp_path: Path) -> None:
    with Folder(".building-", tmp_path) as path:
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert path.parent == tmp_path
    assert names(tmp_path) == []


def test_folder_that_nobody_closes_goes_with_its_object(tmp_path: Path) -> None:
    folder = Folder(".building-", tmp_path)
    assert folder.path.is_dir()
    del folder
    assert names(tmp_path) == []


def test_forked_process_does_not_remove_its_parents_folder(tmp_path: Path) -> None:
    folder = Folder(".building-", tmp_path)
    in_child(folder.close)
    assert folder.path.is_dir()
    folder.close()


def test_folder_of_a_killed_process_goes_with_the_next_one(tmp_path: Path) -> None:
    assert exit_code_of(die_in_a_folder, tmp_path) == -signal.SIGKILL
    assert len(names(tmp_path)) == 1
    with Folder(".building-", tmp_path) as path:
        assert names(tmp_path) == [path.name]


def test_folder_in_use_stays(tmp_path: Path) -> None:
    with child(wait_in_a_folder, tmp_path) as pipe:
        theirs = Path(hear(pipe))
        with Folder(".building-", tmp_path):
            assert theirs.is_dir()
        assert theirs.is_dir()
        pipe.send(None)
        hear(pipe)
    assert names(tmp_path) == []


def test_folder_of_somebody_else_by_the_same_name_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "pickroom-photos-holidays").mkdir()
    (tmp_path / "pickroom-photos-holidays" / "a.png").write_bytes(b"theirs")
    (tmp_path / "pickroom-import-20250101").mkdir(0o755)
    assert exit_code_of(die_in_a_snapshot) == -signal.SIGKILL
    assert len(names(tmp_path)) == 3
    leftovers.sweep_temporary()
    assert names(tmp_path) == ["pickroom-import-20250101", "pickroom-photos-holidays"]


def die_in_a_snapshot() -> None:
    with Folder("pickroom-snapshot-") as path:
        (path / "p.db").write_bytes(b"a copy of a database")
        os.kill(os.getpid(), signal.SIGKILL)


def test_folder_is_left_where_the_disk_has_no_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError("no locks available")

    assert exit_code_of(die_in_a_folder, tmp_path) == -signal.SIGKILL
    monkeypatch.setattr(leftovers.fcntl, "flock", refuse)
    with Folder(".building-", tmp_path):
        assert len(names(tmp_path)) == 2
    assert len(names(tmp_path)) == 1


def test_only_folders_of_known_uses_are_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name in ("pickroom-import-abcd1234", "pickroom-mine-abcd1234"):
        (tmp_path / name).mkdir(mode=0o700)
    leftovers.sweep_temporary()
    assert [path.name for path in tmp_path.iterdir()] == ["pickroom-mine-abcd1234"]
