"""One step on disk: taken twice it is done once, nothing is replaced, and other file systems are no exception."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import read_tree
from pickroom.core.errors import FileOperationError
from pickroom.core.records import FileOp
from pickroom.files import moves
from pickroom.storage import atomic
from support.reviewing import another_disk, exfat_disk, fill, in_child, obey_permissions, small_disk, without_renames

CONTENT, OTHER = b"the image", b"another file"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MOVE = FileOp(1, "review", "g", "move", "anna/a.png", "selected/a.png", SHA256)
WRITE = FileOp(1, "review", "g", "write", None, "crop/a.decision", SHA256, content=CONTENT.decode())
REMOVE = moves.inverse(WRITE)


@pytest.fixture(params=["the kernel's rename", "link and unlink", "a copy to another disk", "a copy under a claim"])
def root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Sources and destinations, with each of the four ways in which a file gets from one to the other."""
    folder = tmp_path / "images"
    (folder / "anna").mkdir(parents=True)
    if request.param == "link and unlink":
        # stands for a file system that cannot rename without replacing
        monkeypatch.setattr(atomic, "_kernel_rename", lambda source, destination: errno.ENOSYS)
    if request.param == "a copy under a claim":
        without_renames(monkeypatch)
    if request.param == "a copy to another disk":
        with another_disk(tmp_path) as disk:
            for name in ("selected", "crop"):
                (disk / name).mkdir()
                (folder / name).symlink_to(disk / name)
            yield folder
    else:
        yield folder


def put(root: Path, path: str, content: bytes | None) -> None:
    if content is not None:
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_bytes(content)


def contents(root: Path) -> dict[str, bytes]:
    # rglob does not follow links to folders, and a destination may be one
    return {
        f"{folder.name}/{path.name}": path.read_bytes()
        for folder in root.iterdir()
        if folder.is_dir()
        for path in folder.iterdir()
    }


# (source, destination) before -> after, or the reason why it is refused and everything stays
MOVES = {
    "not yet taken": ((CONTENT, None), (None, CONTENT)),
    "taken before": ((None, CONTENT), (None, CONTENT)),
    "copied or linked, then a crash": ((CONTENT, CONTENT), (None, CONTENT)),
    "something else at the destination": ((CONTENT, OTHER), "the destination exists"),
    "vanished, something else at the destination": (
        (None, OTHER),
        "the source has vanished and the destination holds something else",
    ),
    "vanished": ((None, None), "the file has vanished"),
    # a verified copy is there; what lies at the source now is a file of its own
    "copied, then another file at the source": ((OTHER, CONTENT), "the destination exists"),
}


@pytest.mark.parametrize("verify", [False, True])
@pytest.mark.parametrize(("before", "after"), MOVES.values(), ids=MOVES)
def test_a_move_ends_done_or_refused_and_loses_nothing(
    root: Path, before: tuple[bytes | None, bytes | None], after: tuple[bytes | None, bytes | None] | str, verify: bool
) -> None:
    put(root, "anna/a.png", before[0])
    put(root, "selected/a.png", before[1])
    there = contents(root)
    if isinstance(after, str):
        with pytest.raises(FileOperationError, match=after):
            moves.execute(root, MOVE, verify=verify)
        assert contents(root) == there
        return
    for _ in range(2):  # the second time finds it done
        moves.execute(root, MOVE, verify=verify)
        assert contents(root) == {"selected/a.png": CONTENT}


def test_recovery_refuses_to_move_a_file_that_has_changed(root: Path) -> None:
    put(root, "anna/a.png", OTHER)
    with pytest.raises(FileOperationError, match="has changed since it was decided on"):
        moves.execute(root, MOVE, verify=True)
    assert contents(root) == {"anna/a.png": OTHER}


def test_a_folder_at_the_destination_is_refused(root: Path) -> None:
    put(root, "anna/a.png", CONTENT)
    (root / "selected" / "a.png").mkdir(parents=True)
    with pytest.raises(FileOperationError, match="the destination exists"):
        moves.execute(root, MOVE)
    assert (root / "anna" / "a.png").read_bytes() == CONTENT


def test_a_broken_link_at_the_destination_is_refused(root: Path) -> None:
    put(root, "anna/a.png", CONTENT)
    (root / "selected").mkdir(exist_ok=True)
    (root / "selected" / "a.png").symlink_to("nowhere")
    with pytest.raises(FileOperationError, match="the destination exists"):
        moves.execute(root, MOVE)
    assert (root / "anna" / "a.png").read_bytes() == CONTENT


def test_a_file_that_appears_at_the_last_moment_is_not_replaced(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(root, "anna/a.png", CONTENT)
    rename = atomic.rename_noreplace

    def late(source: Path, destination: Path) -> None:
        put(root, "selected/a.png", OTHER)
        rename(source, destination)

    monkeypatch.setattr(atomic, "rename_noreplace", late)
    with pytest.raises(FileOperationError, match="the destination exists"):
        moves.execute(root, MOVE)
    assert contents(root) == {"anna/a.png": CONTENT, "selected/a.png": OTHER}


def test_time_and_permissions_of_a_file_survive_its_move(root: Path) -> None:
    put(root, "anna/a.png", CONTENT)
    os.utime(root / "anna/a.png", ns=(10**18, 10**18))
    (root / "anna/a.png").chmod(0o640)
    moves.execute(root, MOVE)
    info = (root / "selected/a.png").stat()
    assert (info.st_mtime_ns, info.st_mode & 0o777) == (10**18, 0o640)


def test_a_copy_is_on_the_disk_before_its_source_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "anna/a.png", CONTENT)
    without_renames(monkeypatch)
    synced: dict[int, tuple[bool, bool]] = {}  # folder -> whether the source, the destination were there

    def sync(descriptor: int) -> None:
        there = [(tmp_path / path).exists() for path in ("anna/a.png", "new/in/a.png")]
        synced[os.fstat(descriptor).st_ino] = there[0], there[1]

    monkeypatch.setattr(os, "fsync", sync)
    moves.execute(tmp_path, FileOp(1, "sort", "g", "move", "anna/a.png", "new/in/a.png", SHA256))
    assert contents(tmp_path / "new") == {"in/a.png": CONTENT}
    # each new folder's name is kept in the one above it
    assert [synced[(tmp_path / path).stat().st_ino] for path in ("new/in", "new", ".")] == [(True, True)] * 3


@pytest.mark.parametrize("op", [MOVE, WRITE, REMOVE], ids=lambda op: op.op)
def test_a_step_and_its_inverse_leave_everything_as_it_was(root: Path, op: FileOp) -> None:
    for path in (op.source, op.destination):
        put(root, path or "", CONTENT if path == op.source and path else None)
    before = contents(root)
    moves.execute(root, op)
    assert contents(root) != before
    moves.execute(root, moves.inverse(op))
    assert contents(root) == before


def test_a_sidecar_is_written_once_and_never_over_another_file(root: Path) -> None:
    for _ in range(2):
        moves.execute(root, WRITE)
        assert contents(root) == {"crop/a.decision": CONTENT}
    put(root, "crop/a.decision", OTHER)
    with pytest.raises(FileOperationError, match="another file of this name exists"):
        moves.execute(root, WRITE)
    assert contents(root) == {"crop/a.decision": OTHER}


def test_sidecar_is_removed_once_but_kept_if_edited(root: Path) -> None:
    put(root, "crop/a.decision", CONTENT)
    for _ in range(2):
        moves.execute(root, REMOVE)
        assert contents(root) == {}
    put(root, "crop/a.decision", OTHER)
    with pytest.raises(FileOperationError, match="changed by hand"):
        moves.execute(root, REMOVE)
    assert contents(root) == {"crop/a.decision": OTHER}


# --- what the system refuses ------------------------------------------------------------------------------------


def test_a_copy_that_comes_out_different_is_thrown_away(tmp_path: Path) -> None:
    # the file changed between the plan and the copy: its hash is not the one decided on
    with another_disk(tmp_path) as disk:
        (tmp_path / "selected").symlink_to(disk)
        put(tmp_path, "anna/a.png", OTHER)
        with pytest.raises(FileOperationError, match="the copy differs"):
            moves.execute(tmp_path, MOVE)
        assert list(disk.iterdir()) == []
    assert (tmp_path / "anna/a.png").read_bytes() == OTHER


def test_a_full_disk_leaves_the_source_and_no_partial_copy(tmp_path: Path) -> None:
    with small_disk(tmp_path, "256k") as disk:
        (tmp_path / "selected").symlink_to(disk)
        put(tmp_path, "anna/a.png", CONTENT * 1000)
        filler = fill(disk)
        op = FileOp(1, "review", "g", "move", "anna/a.png", "selected/a.png", atomic.sha256_of(tmp_path / "anna/a.png"))
        with pytest.raises(FileOperationError, match=r"No space left.*\(make room on the disk"):
            moves.execute(tmp_path, op)
        assert [path.name for path in disk.iterdir()] == [filler.name]
        filler.unlink()
        moves.execute(tmp_path, op)
        assert (disk / "a.png").read_bytes() == CONTENT * 1000
    assert not (tmp_path / "anna/a.png").exists()


def test_a_full_disk_leaves_no_partial_sidecar(tmp_path: Path) -> None:
    with small_disk(tmp_path, "256k") as disk:
        (disk / "crop").mkdir()
        fill(disk)
        with pytest.raises(FileOperationError, match="No space left on device while writing a sidecar"):
            moves.execute(disk, WRITE)
        assert list((disk / "crop").iterdir()) == []


def test_a_folder_that_may_not_be_written_is_one_clear_line(tmp_path: Path) -> None:
    put(tmp_path, "anna/a.png", CONTENT)
    (tmp_path / "selected").mkdir(mode=0o555)

    def line() -> str:
        obey_permissions()
        with pytest.raises(FileOperationError) as refused:
            moves.execute(tmp_path, MOVE)
        return refused.value.line

    assert in_child(line) == (
        f"Permission denied while moving a file: {tmp_path}/anna/a.png -> {tmp_path}/selected/a.png"
        " (check the folder's permissions)"
    )
    assert set(read_tree(tmp_path)) == {"anna/a.png"}


def test_link_is_removed_if_its_source_cannot_be_unlinked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "anna/a.png", CONTENT)
    (tmp_path / "anna").chmod(0o555)
    monkeypatch.setattr(atomic, "_kernel_rename", lambda source, destination: errno.ENOSYS)

    def refused() -> None:
        obey_permissions()
        with pytest.raises(FileOperationError, match="Permission denied"):
            moves.execute(tmp_path, MOVE)

    in_child(refused)
    assert contents(tmp_path) == {"anna/a.png": CONTENT}


def test_sweeping_removes_partial_copies_and_nothing_else(tmp_path: Path) -> None:
    for name in (f".x{moves.PARTIAL_SUFFIX}", f".a.decision.1{moves.PARTIAL_SUFFIX}", ".hidden", "a.png", "b.partial"):
        (tmp_path / name).write_text("x")
    moves.sweep_partials(tmp_path)
    assert set(read_tree(tmp_path)) == {".hidden", "a.png", "b.partial"}


# --- folders and names that cannot be there -----------------------------------------------------------------------


@pytest.mark.parametrize("op", [MOVE, WRITE], ids=lambda op: op.op)
def test_nothing_is_made_where_the_image_folder_was(tmp_path: Path, op: FileOp) -> None:
    with pytest.raises(FileOperationError):
        moves.execute(tmp_path / "images", op)
    assert list(tmp_path.iterdir()) == []


def test_no_folder_is_made_for_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileOperationError, match="the file has vanished"):
        moves.execute(tmp_path, MOVE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("op", [MOVE, WRITE], ids=lambda op: op.op)
def test_a_step_to_a_name_that_is_too_long_can_be_put_back(tmp_path: Path, op: FileOp) -> None:
    put(tmp_path, "anna/a.png", CONTENT)
    too_long = replace(op, destination="crop/" + "a" * 260)
    with pytest.raises(FileOperationError, match="File name too long"):
        moves.execute(tmp_path, too_long)
    moves.rollback(tmp_path, too_long)
    assert set(read_tree(tmp_path)) == {"anna/a.png"}


def test_file_in_neither_place_is_put_back_only_if_vanished(tmp_path: Path) -> None:
    with pytest.raises(FileOperationError, match="in neither place"):
        moves.rollback(tmp_path, MOVE)
    moves.rollback(tmp_path, MOVE, vanished=True)


def test_another_file_at_the_destination_stays_there(tmp_path: Path) -> None:
    put(tmp_path, "selected/a.png", OTHER)
    moves.rollback(tmp_path, MOVE, vanished=True)  # this run has not moved it
    assert contents(tmp_path) == {"selected/a.png": OTHER}


def test_what_a_disk_cannot_do_is_not_said_to_be_a_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "crop/a.decision", CONTENT)
    refused = OSError()

    def unlink(path: object, **_: object) -> None:
        raise refused

    monkeypatch.setattr(os, "unlink", unlink)
    for code in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
        refused = OSError(code, os.strerror(code))
        with pytest.raises(FileOperationError) as told:
            moves.execute(tmp_path, REMOVE)
        assert "permissions" not in told.value.line and "pickroom doctor" in told.value.line


# --- two names, one file ----------------------------------------------------------------------------------------


def test_a_folder_that_links_to_the_other_costs_no_file(root: Path) -> None:
    put(root, "anna/a.png", CONTENT)
    (root / "again").symlink_to("anna")
    op = FileOp(1, "sort", "g", "move", "anna/a.png", "again/a.png", SHA256)
    with pytest.raises(FileOperationError, match="the destination exists"):
        moves.execute(root, op)
    moves.rollback(root, op)
    assert (root / "anna" / "a.png").read_bytes() == CONTENT


def test_a_link_that_a_crash_left_beside_its_source_is_two(tmp_path: Path) -> None:
    put(tmp_path, "anna/a.png", CONTENT)
    (tmp_path / "anna" / "b.png").hardlink_to(tmp_path / "anna" / "a.png")
    moves.execute(tmp_path, FileOp(1, "rename", "g", "move", "anna/a.png", "anna/b.png", SHA256))
    assert contents(tmp_path) == {"anna/b.png": CONTENT}


@pytest.mark.parametrize("destination", ["ANNA/a.png", "anna/A.png", "Selected/A.PNG"])
def test_another_spelling_on_exfat_is_no_other_file(tmp_path: Path, destination: str) -> None:
    with exfat_disk(tmp_path) as disk:
        put(disk, "anna/a.png", CONTENT)
        put(disk, "selected/a.png", CONTENT)
        op = FileOp(1, "sort", "g", "move", "anna/a.png", destination, SHA256)
        before = read_tree(disk)
        with pytest.raises(FileOperationError, match="the destination exists"):
            moves.execute(disk, op)
        moves.rollback(disk, op)
        assert read_tree(disk) == before


def test_a_name_that_exfat_does_not_take_is_said_so(tmp_path: Path) -> None:
    with exfat_disk(tmp_path) as disk:
        for name in ("selected", "crop"):
            (disk / name).mkdir()
            (tmp_path / name).symlink_to(disk / name)
        put(tmp_path, "anna/a:b?.png", CONTENT)
        move = FileOp(1, "review", "g", "move", "anna/a:b?.png", "selected/a:b?.png", SHA256)
        write = FileOp(1, "review", "g", "write", None, "crop/a:b?.decision", SHA256, content=CONTENT.decode())
        for op in (move, write):
            with pytest.raises(FileOperationError, match="the disk takes no such name"):
                moves.execute(tmp_path, op)
            moves.rollback(tmp_path, op)
        assert read_tree(disk) == {}
    assert (tmp_path / "anna" / "a:b?.png").read_bytes() == CONTENT


def test_a_sidecar_is_replaced_once_and_put_back_to_the_byte(root: Path) -> None:
    sidecar, before, after = root / "a.xmp", "\ufeff<x>\r\n</x>", "<x>more</x>"
    sidecar.write_bytes(before.encode())
    sidecar.chmod(0o640)
    digest = hashlib.sha256(after.encode()).hexdigest()
    step = FileOp(1, "review", "g", "replace", None, "a.xmp", digest, after, content_before=before)
    moves.rollback(root, step)  # never taken
    for _ in range(2):
        moves.execute(root, step)
        assert (sidecar.read_bytes(), sidecar.stat().st_mode & 0o777) == (after.encode(), 0o640)
    assert moves.inverse(step).sha256 == hashlib.sha256(before.encode()).hexdigest()
    for _ in range(2):
        moves.rollback(root, step)
        assert sidecar.read_bytes() == before.encode()


def test_a_sidecar_that_another_program_changed_is_left_alone(root: Path) -> None:
    sidecar = root / "a.xmp"
    sidecar.write_text("theirs")
    step = FileOp(1, "review", "g", "replace", None, "a.xmp", "", "ours", content_before="before", id=7)
    for refused in (step, moves.inverse(step)):
        with pytest.raises(FileOperationError, match="another program has changed the sidecar"):
            moves.execute(root, refused)
    moves.rollback(root, step)
    assert sidecar.read_text() == "theirs"
    sidecar.unlink()
    with pytest.raises(FileOperationError):
        moves.execute(root, step)
    assert not sidecar.exists()
    moves.execute(root, moves.inverse(step))  # moved elsewhere by the user, who then undoes
    assert sidecar.read_text() == "before"
