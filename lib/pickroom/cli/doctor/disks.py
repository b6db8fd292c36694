"""The file systems that a workspace and its images lie on: which they are, what they lack, and what follows from it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pickroom.cli.doctor.findings import Finding, State
from pickroom.storage import atomic
from pickroom.store.wal import shares_memory

_MOUNTS = Path("/proc/self/mountinfo")  # on Linux; proc_pid_mountinfo(5)
LINUX = re.compile(r"^\d+ \d+ \S+ \S+ (?P<point>\S+) .* - (?P<kind>\S+) (?P<source>\S+) ")
MACOS = re.compile(r"^(?P<source>.*?) on (?P<point>.*) \((?P<kind>[^,)]+)")  # mount(8)
_ESCAPED = re.compile(r"\\(\d{3})")  # a blank in a path
_BOOT_SECTORS = {b"EXFAT   ": "exfat", b"NTFS    ": "ntfs"}  # bytes 3 to 10: what FUSE does not tell
_LACKED = (errno.EINVAL, errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF, errno.ENOLCK)


@dataclass(frozen=True, slots=True)
class _Ability:
    """One thing a disk may be able to do."""

    name: str  # what it lacks, in plain words
    # raises OSError with an errno of `_LACKED`, or returns False, where it cannot; given an empty folder
    try_it: Callable[[Path], bool | None]
    follows: str = ""  # what follows for the user; "" where nothing does
    state: State = "warn"  # of the finding
    workspace_only: bool = False  # the images need it not


def look(check: str, folder: Path, *, workspace: bool = False) -> Finding:
    """The file system of a folder, and what it lacks, found by trying in a hidden folder that is removed at once.

    Args:
        check: what the finding is called.
        workspace: whether databases lie there, too.
    """
    there = next(path for path in (folder, *folder.parents) if path.exists())
    kind = kind_of(there)
    if there != folder:
        return Finding(check, "ok", kind)
    try:
        lacking = [one for one in _ABILITIES if (workspace or not one.workspace_only) and not _is_able(one, folder)]
    except OSError as error:
        return Finding(check, "ok", f"{kind}; what it can do was not tried ({error.strerror})")
    if not lacking:
        return Finding(check, "ok", kind)
    following = [ability for ability in lacking if ability.follows]
    what = f"{kind} has no {', no '.join(ability.name for ability in lacking)}"
    what += ": " * bool(following) + "; ".join(ability.follows for ability in following)
    if any(ability.state == "fail" for ability in following):
        return Finding(check, "fail", what, "keep the workspace on a disk of this computer: --home")
    return Finding(check, "warn" if following else "ok", what)


def _is_able(ability: _Ability, folder: Path) -> bool:
    with tempfile.TemporaryDirectory(prefix=".pickroom-doctor-", dir=folder) as place:
        try:
            return ability.try_it(Path(place)) is not False
        except OSError as error:
            if error.errno not in _LACKED:
                raise
            return False


def kind_of(folder: Path) -> str:
    """The type of the file system that a folder lies on, as mount(8) calls it."""
    if _MOUNTS.exists():
        return kind_in(_MOUNTS.read_text(errors="surrogateescape"), LINUX, folder.resolve())
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        told = subprocess.run(["/sbin/mount"], capture_output=True, text=True, errors="replace", timeout=10, check=True)
        return kind_in(told.stdout, MACOS, folder.resolve())
    return "unknown file system"


def kind_in(mounts: str, pattern: re.Pattern[str], folder: Path) -> str:
    """The type of a folder's file system by a list of mounts, one a line; the longest mount point above it counts."""
    found = [match for match in map(pattern.match, mounts.splitlines()) if match]
    points = [(Path(_ESCAPED.sub(lambda code: chr(int(code[1], 8)), match["point"])), match) for match in found]
    above = [(len(point.parts), place) for place, (point, _) in enumerate(points) if folder.is_relative_to(point)]
    if not above:
        return "unknown file system"
    match = points[max(above)[1]][1]
    return _behind_fuse(match["source"]) if match["kind"] == "fuseblk" else match["kind"]


def _behind_fuse(device: str) -> str:
    with contextlib.suppress(OSError), open(device, "rb", buffering=0) as file:
        return _BOOT_SECTORS.get(file.read(512)[3:11], "fuseblk")
    return "fuseblk (exFAT or NTFS)"


def _link(folder: Path) -> None:
    (folder / "a").touch()
    os.link(folder / "a", folder / "b")


def _symlink(folder: Path) -> None:
    os.symlink("nowhere", folder / "a")


def _tells_case(folder: Path) -> bool:
    (folder / "a").touch()
    return not (folder / "A").exists()


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lock(folder: Path) -> None:
    with (folder / "a").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


_ABILITIES = (
    _Ability(
        "renaming without replacing",
        atomic.renames_without_replacing,
        "files are copied, verified and then removed where they would be moved, which is slower; nothing else to do",
    ),
    _Ability("hard links", _link),
    _Ability("symbolic links", _symlink),
    _Ability("difference between A.png and a.png", _tells_case),
    _Ability("syncing of folders", _sync, "after a power cut run pickroom recover, then pickroom check"),
    _Ability(
        "shared memory for SQLite",
        shares_memory,
        "databases have a rollback journal, which is slower; nothing else to do",
        workspace_only=True,
    ),
    _Ability("file locks", _lock, "two commands at once could move the same files", "fail", workspace_only=True),
)
