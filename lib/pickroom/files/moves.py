"""One step of the journal on disk. Every step can be taken twice: the second time finds it done.

Nothing is ever replaced: a destination that holds something else is an error, and a copy across file systems is
verified by its hash before the source goes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterable, Set
from dataclasses import replace
from pathlib import Path

from pickroom import atomic
from pickroom.atomic import PARTIAL_SUFFIX
from pickroom.errors import FileOperationError
from pickroom.naming import folder_of, stays_inside
from pickroom.records import FileOp, OpKind

IN_NEITHER_PLACE, VANISHED = "the file is in neither place", "the file has vanished"


def take(root: Path, op: FileOp, *, verify: bool = False) -> None:
    """Take one step.

    Args:
        verify: hash a file before moving it (recovery: time has passed since the plan was checked).

    Raises:
        FileOperationError: something is in the way, has vanished or has changed, or the system refused.
    """
    source = root / op.source if op.source is not None else None
    destination = root / op.destination if op.destination is not None else None
    paths = [path for path in (source, destination) if path is not None]
    doing = {"move": "moving a file", "write": "writing a sidecar", "remove": "removing a sidecar"}[op.op]
    try:
        _require_inside(op)
        if op.destination is not None and (source is None or lies_at(source)):
            make_folder(root, folder_of(op.destination))
        if op.op == "move":
            assert source is not None and destination is not None
            _move(source, destination, op.sha256, verify)
        elif op.op == "write":
            assert destination is not None and op.content is not None
            _write(destination, op.content)
        else:
            assert source is not None
            _remove(source, op.sha256)
    except _Refused as refused:
        raise FileOperationError(str(refused), doing, paths) from None
    except OSError as error:
        raise FileOperationError(error.strerror or str(error), doing, paths, _hint(error)) from error


_INVERSE: dict[OpKind, OpKind] = {"move": "move", "write": "remove", "remove": "write"}


def inverse(op: FileOp) -> FileOp:
    """The step that takes `op` back."""
    kind = _INVERSE[op.op]
    return replace(op, op=kind, source=op.destination, destination=op.source, id=None, undoes=op.id, state="planned")


def lies_at(path: Path) -> bool:
    """Whether there is anything at a path, a broken link too; OSError where the disk does not say."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:  # no file can have that name
            return False
        raise
    return True


def _is_file(path: Path) -> bool:
    return lies_at(path) and path.is_file()


def holds_anything(folder: Path) -> bool:
    """Whether a folder is there and not empty."""
    try:
        return any(folder.iterdir())
    except OSError:
        return False


def make_folder(root: Path, folder: str, descriptor: int | None = None) -> None:
    """Make a folder below the root, given relative to it; never the root: nothing may be made where a disk was.

    Args:
        descriptor: of the root, where it is held open: by it nothing is made in another folder of that name.
    """
    if os.path.isdir(root / folder):
        return
    parts = folder.split("/")
    for count in range(len(parts)):
        below = os.path.join(*parts[: count + 1])
        with contextlib.suppress(FileExistsError):
            os.mkdir(root / below if descriptor is None else below, dir_fd=descriptor)


def lost(root: Path, ops: Iterable[FileOp]) -> list[FileOp]:
    """The moves whose file is neither where it was nor where it was to go.

    Raises:
        FileOperationError: the disk does not say.
    """
    return [op for op in ops if op.op == "move" and _is_inside(op) and _where(root, op) == (False, False)]


def is_to_take(root: Path, op: FileOp) -> bool:
    """Whether a step needs the folder that it leads to: a file is to be moved or written there; raises as `lost`."""
    return op.op == "write" or is_untaken(root, op)


def is_untaken(root: Path, op: FileOp) -> bool:
    """Whether a move has not been made: its file lies where it was; raises as `lost`."""
    return op.op == "move" and _is_inside(op) and _where(root, op) == (True, False)


def _where(root: Path, op: FileOp) -> tuple[bool, bool]:
    """Whether there is a file at the source, and at the destination, of a move."""
    assert op.source is not None and op.destination is not None
    try:
        return lies_at(root / op.source), lies_at(root / op.destination)
    except OSError as error:
        raise FileOperationError(error.strerror or str(error), "looking for files", [root]) from error


def put_back(root: Path, op: FileOp, *, vanished: bool = False) -> None:
    """Take a step back as far as it had been taken.

    Args:
        vanished: this run has not taken it: a missing source was gone before, and is itself the reason. Else a file
            that is in neither place may only be out of reach.

    Raises:
        FileOperationError: it cannot be taken back without losing something, or the system refused.
    """
    paths = [root / path for path in (op.destination, op.source) if path is not None]
    try:
        if not _is_inside(op):
            return  # `take` has never taken such a step
        if not vanished and lost(root, [op]):
            raise _Refused(IN_NEITHER_PLACE)
        if _stands_as_before(root, op, vanished):
            return
        if op.op == "move" and lies_at(paths[1]):
            paths[0].unlink()  # a link or a verified copy was made, and its source would not go
            return
    except _Refused as refused:
        raise FileOperationError(str(refused), "putting a file back", paths) from None
    except OSError as error:
        raise FileOperationError(error.strerror or str(error), "putting a file back", paths, _hint(error)) from error
    take(root, inverse(op))


def _stands_as_before(root: Path, op: FileOp, vanished: bool) -> bool:
    """Whether a step has never been taken, or something else lies where it led."""
    if op.op == "remove":
        assert op.source is not None
        return lies_at(root / op.source)
    assert op.destination is not None
    destination = root / op.destination
    if op.op == "write":
        assert op.content is not None
        return not _is_file(destination) or destination.read_bytes() != op.content.encode()
    assert op.source is not None
    source = root / op.source
    still_there = lies_at(source)
    if not _is_file(destination) or ((still_there or vanished) and atomic.sha256_of(destination) != op.sha256):
        return True
    if still_there and atomic.sha256_of(source) != op.sha256:
        raise _Refused("another file has taken its place: move one of the two elsewhere, then recover")
    return False


def sweep_partials(folder: Path, sparing: Set[Path] = frozenset()) -> None:
    """Remove what an interrupted copy or write left behind; its source is still whole. Needs the project's lock.

    Args:
        sparing: partial files that a step is yet to take: crops that are rendered.
    """
    for leftover in folder.glob(f".*{PARTIAL_SUFFIX}"):
        if leftover in sparing:
            continue
        with contextlib.suppress(OSError):  # it does no harm: the next sweep tries again
            leftover.unlink()


class _Refused(Exception):
    """Taking the step would lose or replace something."""


def _is_inside(op: FileOp) -> bool:
    return all(stays_inside(path) for path in (op.source, op.destination) if path is not None)


def _require_inside(op: FileOp) -> None:
    # the journal is a table in a file that others may have written: no step may lead out of the project's folder
    if not _is_inside(op):
        raise _Refused("its path leads out of the project's folder")


def _move(source: Path, destination: Path, sha256: str, verify: bool) -> None:
    if os.path.lexists(destination):
        if not os.path.lexists(source):
            if atomic.sha256_of(destination) != sha256:
                raise _Refused("the source has vanished and the destination holds something else")
            return  # taken before a crash
        if not destination.is_file() or atomic.sha256_of(destination) != sha256:
            raise _Refused("the destination exists")
        if atomic.sha256_of(source) != sha256:
            raise _Refused("the destination exists, and the source has changed")
        source.unlink()  # a link or a verified copy was made, then the crash came
        return
    if not os.path.lexists(source):
        raise _Refused(VANISHED)
    if verify and atomic.sha256_of(source) != sha256:
        raise _Refused("the file has changed since it was decided on")
    try:
        atomic.rename_noreplace(source, destination)
    except FileExistsError:
        raise _Refused("the destination exists") from None
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy_across(source, destination, sha256)


def _copy_across(source: Path, destination: Path, sha256: str) -> None:
    """Move to another file system: copy, fsync, verify the hash, publish, then remove the source."""
    handle, name = tempfile.mkstemp(prefix=".", suffix=PARTIAL_SUFFIX, dir=destination.parent)
    copy = Path(name)
    try:
        with source.open("rb") as reader, os.fdopen(handle, "wb") as writer:
            shutil.copyfileobj(reader, writer, 1 << 20)
            writer.flush()
            atomic.sync(writer.fileno())
        shutil.copystat(source, copy)
        if atomic.sha256_of(copy) != sha256:
            raise _Refused("the copy differs from the file that was decided on")
        atomic.rename_noreplace(copy, destination)
    except FileExistsError:
        raise _Refused("the destination exists") from None
    finally:
        copy.unlink(missing_ok=True)
    atomic.sync_folders([destination.parent])
    source.unlink()


def _write(destination: Path, content: str) -> None:
    with contextlib.suppress(FileExistsError):
        atomic.create_bytes(destination, content.encode())
        return
    if destination.read_bytes() != content.encode():
        raise _Refused("another file of this name exists")


def _remove(source: Path, sha256: str) -> None:
    if not os.path.lexists(source):
        return
    if atomic.sha256_of(source) != sha256:
        raise _Refused("the sidecar has been changed by hand")
    source.unlink()


def _hint(error: OSError) -> str:
    hints = {
        errno.ENOSPC: "make room on the disk, then try again",
        errno.EDQUOT: "make room on the disk, then try again",
        errno.EACCES: "check the folder's permissions",
        errno.EPERM: "check the folder's permissions",
        errno.EROFS: "the disk is mounted read-only",
    }
    return hints.get(error.errno or 0, "")
