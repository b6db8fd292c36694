"""Execute one step of the journal on disk. Every step can be repeated: the second time finds it done.

Nothing is ever replaced: a destination that holds something else is an error. Where a file has to be copied, to another
disk or on one that cannot rename (docs/decisions/123), the copy is verified and on the disk before the source goes.
"""

import contextlib
import errno
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from pickroom.core.errors import FileOperationError
from pickroom.core.naming import folder_of, stays_inside
from pickroom.core.records import FileOp, OpKind
from pickroom.storage import atomic
from pickroom.storage.atomic import PARTIAL_SUFFIX

IN_NEITHER_PLACE, VANISHED = "the file is in neither place", "the file has vanished"
_NOTHING = hashlib.sha256(b"").hexdigest()
_DOING = {
    "move": "moving a file",
    "write": "writing a sidecar",
    "remove": "removing a sidecar",
    "replace": "changing a sidecar",
}
_NOT_HERE = "the file is protected, or its disk cannot do this (see: pickroom doctor)"


def execute(root: Path, op: FileOp, *, verify: bool = False) -> None:
    """Take one step; `verify` hashes a file before it is moved (recovery: time has passed since the plan was checked).

    Raises FileOperationError where something is in the way, has vanished or has changed, or the system refused.
    """
    paths = [root / path for path in op.paths]
    doing = _DOING[op.op]
    try:
        if not _is_inside(op):
            # others may have written to the journal: no step may lead out of the project's folder
            raise _Refused("its path leads out of the project's folder")
        if op.op == "move":
            _publish_partial(root, op, verify=verify)
        if op.destination is not None and op.op != "replace" and (op.source is None or lies_at(root / op.source)):
            make_folder(root, folder_of(op.destination))
        if op.op == "move":
            _move(root, op, verify)
        elif op.op == "write":
            assert op.content is not None
            _write(paths[0], op.content)
        elif op.op == "replace":
            _replace(paths[0], op)
        elif os.path.lexists(paths[0]):
            if atomic.sha256_of(paths[0]) != op.sha256:
                raise _Refused("the sidecar has been changed by hand")
            paths[0].unlink()
    except _Refused as refused:
        raise FileOperationError(str(refused), doing, paths) from None
    except OSError as error:
        raise FileOperationError(error.strerror or str(error), doing, paths, _hint(error)) from error


_INVERSE: dict[OpKind, OpKind] = {"move": "move", "write": "remove", "remove": "write"}


def inverse(op: FileOp) -> FileOp:
    """The step that takes `op` back."""
    back = replace(op, id=None, undoes=op.id, state="planned")
    if op.op == "replace":
        assert op.content_before is not None
        sha256 = hashlib.sha256(op.content_before.encode()).hexdigest()
        return replace(back, content=op.content_before, content_before=op.content, sha256=sha256)
    return replace(back, op=_INVERSE[op.op], source=op.destination, destination=op.source)


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

    `descriptor` is the root's, where it is held open: by it nothing is made in another folder of that name.
    """
    if os.path.isdir(root / folder):
        return
    parts = folder.split("/")
    for count in range(len(parts)):
        below = os.path.join(*parts[: count + 1])
        with contextlib.suppress(FileExistsError):
            os.mkdir(root / below if descriptor is None else below, dir_fd=descriptor)


def lost(root: Path, ops: Iterable[FileOp]) -> list[FileOp]:
    """The moves whose file is neither where it was nor where it was to go, and has left no copy there either.

    Raises FileOperationError where the disk does not say.
    """
    moved = [op for op in ops if op.op == "move" and _is_inside(op)]
    return [op for op in moved if _where(root, op) == (False, False) and _copy_left(root, op) is None]


def is_untaken(root: Path, op: FileOp) -> bool:
    """Whether a move has not been made: its file lies where it was; raises as `lost`."""
    return op.op == "move" and _is_inside(op) and _where(root, op) == (True, False)


def _ends(root: Path, op: FileOp) -> tuple[Path, Path]:
    assert op.source is not None and op.destination is not None
    return root / op.source, root / op.destination


def _where(root: Path, op: FileOp) -> tuple[bool, bool]:
    """Whether there is a file at the source, and at the destination, of a move."""
    source, destination = _ends(root, op)
    try:
        return lies_at(source), lies_at(destination)
    except OSError as error:
        raise FileOperationError(error.strerror or str(error), "looking for files", [root]) from error


def rollback(root: Path, op: FileOp, *, vanished: bool = False) -> None:
    """Take a step back as far as it had been taken.

    Args:
        vanished: this run has not taken it: a missing source was gone before, and is itself the reason. Else a file
            that is in neither place may only be out of reach.

    Raises:
        FileOperationError: it cannot be taken back without losing something, or the system refused.
    """
    paths = [root / path for path in reversed(op.paths)]
    try:
        if not _is_inside(op):
            return  # `execute` has never taken such a step
        if not vanished and lost(root, [op]):
            raise _Refused(IN_NEITHER_PLACE)
        if _stands_as_before(root, op, vanished):
            return
        if op.op == "move" and lies_at(paths[1]):
            _remove_source(root, inverse(op))  # a link or a verified copy was made, and its source would not go
            return
    except _Refused as refused:
        raise FileOperationError(str(refused), "putting a file back", paths) from None
    except OSError as error:
        raise FileOperationError(error.strerror or str(error), "putting a file back", paths, _hint(error)) from error
    execute(root, inverse(op))


def _stands_as_before(root: Path, op: FileOp, vanished: bool) -> bool:
    """Whether a step has never been taken, or something else lies where it led."""
    if op.op == "remove":
        assert op.source is not None
        return lies_at(root / op.source)
    assert op.destination is not None
    destination = root / op.destination
    if op.op in ("write", "replace"):
        assert op.content is not None
        return not _is_file(destination) or destination.read_bytes() != op.content.encode()
    source = _ends(root, op)[0]
    _publish_partial(root, op, verify=not vanished)
    still_there = lies_at(source)
    if not _is_file(destination) or ((still_there or vanished) and atomic.sha256_of(destination) != op.sha256):
        return True
    if still_there and atomic.sha256_of(source) != op.sha256:
        raise _Refused("another file has taken its place: move one of the two elsewhere, then recover")
    return still_there and _is_one_file(root, op)


def sweep_partials(folder: Path) -> None:
    """Remove what an interrupted copy or write left behind. Needs the project's lock, and no step that is planned: one
    of these files may be the only copy of what such a step moves."""
    for leftover in folder.glob(f".*{PARTIAL_SUFFIX}"):
        with contextlib.suppress(OSError):  # it does no harm: the next sweep tries again
            leftover.unlink()


def drop_claims(root: Path, op: FileOp) -> None:
    """Remove the empty files that a step has left where it leads, or came from, when it, or its putting back, was
    killed (`atomic.publish`): no step plans an empty one there."""
    if op.sha256 == _NOTHING or not _is_inside(op):
        return
    if op.destination is not None:
        atomic.drop_claim(root / op.destination)
    with contextlib.suppress(OSError):  # a step that was not taken left none where it came from
        emptied = op.source is not None and not (root / op.source).lstat().st_size
        if emptied and (op.destination is None or atomic.sha256_of(root / op.destination) == op.sha256):
            atomic.drop_claim(root / (op.source or ""))


class _Refused(Exception):
    """Taking the step would lose or replace something."""


def _is_inside(op: FileOp) -> bool:
    return all(map(stays_inside, op.paths))


def _move(root: Path, op: FileOp, verify: bool) -> None:
    (source, destination), sha256 = _ends(root, op), op.sha256
    if os.path.lexists(destination):
        if not os.path.lexists(source):
            if atomic.sha256_of(destination) != sha256:
                raise _Refused("the source has vanished and the destination holds something else")
            return  # taken before a crash
        if not destination.is_file() or atomic.sha256_of(destination) != sha256 or _is_one_file(root, op):
            raise _Refused("the destination exists")
        if atomic.sha256_of(source) != sha256:
            raise _Refused("the destination exists, and the source has changed")
        _remove_source(root, op)  # a link or a verified copy was made, then the crash came
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
        _remove_source(root, op)


def _copy_across(source: Path, destination: Path, sha256: str) -> None:
    """Copy to another file system, or on one that cannot rename without replacing: fsync, verify the hash, publish."""
    copy = _copied(source, destination.parent)
    try:
        if atomic.sha256_of(copy) != sha256:
            raise _Refused("the copy differs from the file that was decided on")
        atomic.publish(copy, destination)
    except FileExistsError:
        raise _Refused("the destination exists") from None
    finally:
        copy.unlink(missing_ok=True)


def _copied(source: Path, folder: Path) -> Path:
    """A partial file in a folder with the bytes, times and permissions of another, on the disk for good."""
    handle, name = tempfile.mkstemp(prefix=".", suffix=PARTIAL_SUFFIX, dir=folder)
    copy = Path(name)
    try:
        with source.open("rb") as reader, os.fdopen(handle, "wb") as writer:
            shutil.copyfileobj(reader, writer, 1 << 20)
            writer.flush()
            atomic.sync(writer.fileno())
        atomic.copy_stat(source, copy)
    except BaseException:
        copy.unlink(missing_ok=True)
        raise
    return copy


def _remove_source(root: Path, op: FileOp) -> None:
    """Remove the source of a move whose destination is whole, once no power cut can take the destination."""
    source, destination = _ends(root, op)
    # with the folders that were made on the way: the name of each is kept in the one above it
    atomic.sync_folders(above for above in destination.parents if above == root or root in above.parents)
    source.unlink()


def _publish_partial(root: Path, op: FileOp, *, verify: bool) -> None:
    """Where neither place holds the file, give the copy that a power cut has left under a temporary name a free one.

    A disk may keep the removal of a source and lose the new name of its copy, whatever it was told to keep first.

    Args:
        verify: a file in one of the places may be torn, or another: then the copy gets the other place.
    """
    there, ends = _where(root, op), _ends(root, op)
    if all(there) or (any(there) and not verify):
        return
    held, free = ends if there[0] else ends[::-1]
    if any(there) and _is_file(held) and atomic.sha256_of(held) == op.sha256:
        return
    left = _copy_left(root, op)
    if left is not None:
        partial, place = left
        atomic.publish(partial, free if any(there) else place)


def _copy_left(root: Path, op: FileOp) -> tuple[Path, Path] | None:
    """The copy of a move's file under a temporary name, and the place that it was made for."""
    for place in (root / path for path in reversed(op.paths)):
        for partial in place.parent.glob(f".*{PARTIAL_SUFFIX}"):
            if partial.is_file() and atomic.sha256_of(partial) == op.sha256:
                return partial, place
    return None


def _is_one_file(root: Path, op: FileOp) -> bool:
    """Whether source and destination, which both exist, are one file: its disk takes `a/A.png` for `A/a.png`, or a
    folder is a link to the other. Removing one would remove both.

    Inodes do not tell: hard links share one, and a FUSE disk gives each spelling its own.
    """
    source, destination = _ends(root, op)
    if source.name == destination.name and source.parent.samefile(destination.parent):
        return True
    below = [path for end in (source, destination) for path in (end, *end.parents) if root in path.parents]
    return any(path.name not in os.listdir(path.parent) for path in below)


def _write(destination: Path, content: str) -> None:
    with contextlib.suppress(FileExistsError):
        atomic.create_bytes(destination, content.encode())
        return
    if destination.read_bytes() != content.encode():
        raise _Refused("another file of this name exists")


def _replace(path: Path, op: FileOp) -> None:
    """Replace a sidecar as a whole, unless another program has changed it. Where it is gone, an undo makes it anew."""
    assert op.content is not None and op.content_before is not None
    wanted = op.content.encode()
    if not lies_at(path) and op.undoes is not None:
        _write(path, op.content)
        return
    if path.is_symlink():
        raise _Refused("it is a link now")
    found, mode = path.read_bytes(), stat.S_IMODE(path.stat().st_mode)
    if found == wanted:
        return  # taken before a crash, or nothing was to change
    if found != op.content_before.encode():
        raise _Refused("another program has changed the sidecar")
    atomic.write_bytes(path, wanted)
    with contextlib.suppress(OSError):  # a disk that keeps no permissions
        path.chmod(mode)


def _hint(error: OSError) -> str:
    hints = {errno.EACCES: "check the folder's permissions", errno.EROFS: "the disk is mounted read-only"}
    hints |= dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "make room on the disk, then try again")
    hints |= dict.fromkeys((errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS), _NOT_HERE)
    return hints.get(error.errno or 0, "")
