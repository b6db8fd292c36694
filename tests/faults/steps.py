"""The steps of a process as Python and SQLite tell of them; at the given one it is killed or held.

Python tells by audit events (PEP 578) of every file opened for writing, renamed, linked or removed; SQLite's own trace
tells of every statement. What a step is called comes from the function of `pickroom` at work at that moment.

`fsync` is told by nobody, and need not be: what a killed process wrote is the kernel's, synced or not. Nor is a write:
there the kernel itself ends the process, by its limit on a file's size, in the midst of the bytes.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import resource
import signal
import sqlite3
import struct
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from pickroom.core.naming import is_image_name
from pickroom.storage import atomic

HEAD = struct.Struct("qq")  # of the page shared with who started the process: how many steps, how many bytes of names

# the function at work -> what the step belongs to; the innermost one counts. moves.execute is named by its own step
_AT_WORK = {
    ("pickroom.files.batch", "commit"): "plan",
    ("pickroom.store.operations", "planned"): "planned",
    ("pickroom.files.moves", "rollback"): "put back",
    ("pickroom.files.preflight", "make"): "folder made",
    ("pickroom.files.journal", "_sync"): "folders synced",
    ("pickroom.files.journal", "_settle"): "done",
    ("pickroom.files.journal", "_give_up"): "given up",
    ("pickroom.files.moves", "sweep_partials"): "sweep",
    ("pickroom.files.moves", "drop_claims"): "claim dropped",
    ("pickroom.files.cropping", "render_to"): "crop rendered",
    ("pickroom.sessions.review.session", "_save"): "key saved",
    ("pickroom.sessions.marking.session", "_save"): "mark saved",
    ("pickroom.automation.decisions_file", "write_lines"): "decisions written",
    ("pickroom.storage.locking", "exclusive"): "lock",
    ("pickroom.analysis.reports.render", "run"): "report",
    ("pickroom.analysis.reports.finish", "summary"): "numbers",
    ("pickroom.analysis.reports.archive", "_copy_databases"): "archive: database",
    ("pickroom.analysis.reports.archive", "_pack"): "archive: pictures",
    ("pickroom.analysis.reports.archive", "_publish"): "archive: published",
    ("pickroom.analysis.reports.archive", "write"): "archive",
    ("pickroom.store.workspace", "with_manifest"): "manifest",
}
# the function that fills a file under a name that is not yet its own -> how many bytes, by what it has in its hands
_IN_PARTS: dict[tuple[str, str], Callable[[Mapping[str, Any]], int]] = {
    ("pickroom.storage.atomic", "_write_beside"): lambda held: len(held["data"]),
    ("pickroom.files.moves", "_copied"): lambda held: os.stat(held["source"]).st_size,
}
# audit event -> what is about to happen
_EVENTS = {
    "os.rename": "rename",
    "os.link": "link",
    "os.remove": "unlink",
    "os.rmdir": "rmdir",
    "os.utime": "times",
    "os.truncate": "truncate",
}
_WRITES = ("INSERT", "UPDATE", "DELETE")


@dataclass
class Plan:
    """What happens to a command besides itself.

    Attributes:
        kill_at, stop_at: the step, counted from 1, before which it kills or stops itself; None for neither.
        leaves_at, returns_at: the steps before which the folder `leaving` goes away, to `away`, and comes back.
        hollow: an empty folder is in its place meanwhile, as a mount point whose disk was unplugged.
        only: count only steps whose name begins so.
        link: the kernel cannot rename without replacing: link and unlink instead.
        copy: nor are there links: an empty file claims each name, and images are copied.
        powerless: permission bits hold even for root.
        busy_s: how long SQLite waits for another writer; None leaves it as it is.
        reports: False leaves the pages of `finish` out: kernels make them, for half a minute, and touch nothing else.
    """

    kill_at: int | None = None
    stop_at: int | None = None
    leaves_at: int | None = None
    returns_at: int | None = None
    leaving: Path = Path()
    away: Path = Path()
    hollow: bool = False
    only: str = ""
    link: bool = False
    copy: bool = False
    powerless: bool = False
    busy_s: float | None = None
    reports: bool = True


class Steps:
    """Counts the steps of this process as Python and SQLite tell of them, and ends or stops it at the given one."""

    def __init__(self, plan: Plan, page: mmap.mmap) -> None:
        self._plan, self._page = plan, page
        self._count = self._size = 0
        self._written: set[str] | None = None  # kinds of writes in the transaction that is open, None without one
        self._ending = False  # it has been decided what it dies of; or what is done now is not the command's
        self._one = threading.RLock()  # crops are rendered by several threads

    def listen(self) -> None:
        """From now on, until the process ends."""
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it; by itself it ends a process as SIGKILL does
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        opening, renaming = sqlite3.connect, atomic._kernel_rename

        def connect_and_trace(*arguments: Any, **options: Any) -> sqlite3.Connection:
            connection = opening(*arguments, **options)
            connection.set_trace_callback(self._statement)
            return connection

        def say_and_rename(source: bytes, destination: bytes) -> int:
            self.take("rename")
            return renaming(source, destination)

        # of these two Python does not tell: a rename by the kernel's own call, a connection before it can be traced
        sqlite3.connect = connect_and_trace  # type: ignore[assignment]
        if not (self._plan.link or self._plan.copy):
            atomic._kernel_rename = say_and_rename  # type: ignore[assignment]
        sys.addaudithook(self.hear)

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        """An audit hook: only what changes a file, or opens a database, is of interest."""
        if event == "open":
            path, mode, flags = arguments
            writing = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR)
            if writing and not isinstance(path, int) and str(path) != os.devnull:
                self.take("write")
                size = _bytes_to_come(sys._getframe())
                if size:
                    self.take("half written", let_through=size // 2)
            elif mode is None and not isinstance(path, int) and os.path.isdir(path):
                self.take("sync")
        elif event == "os.mkdir":
            if not os.path.isdir(arguments[0]):  # else it is only asked for once more
                self.take("mkdir")
        elif event in _EVENTS:
            self.take(_EVENTS[event])

    def _statement(self, sql: str) -> None:
        """Each BEGIN and COMMIT of a writer, the first write of each kind in between, and the look at what is planned.

        SQLite changes its file in COMMIT alone: every moment in between is as good as another.
        """
        words = sql.split()
        verb = words[0]
        if verb == "SELECT":
            if "state = 'planned'" in sql and "count(" not in sql:
                self.take("read")
        elif verb == "BEGIN":
            self._written = set() if words[-1] == "IMMEDIATE" else None
            if self._written is not None:
                self.take(verb)
        elif self._written is not None and verb in ("COMMIT", "ROLLBACK"):
            self._written = None
            self.take(verb)
        elif self._written is not None and verb in _WRITES:
            what = f"{verb} {words[1 if verb == 'UPDATE' else 2]}"
            if what not in self._written:
                self._written.add(what)
                self.take(what)

    def take(self, what: str, let_through: int | None = None) -> None:
        """Count a step under its name; end or stop the process when it is the one.

        Args:
            let_through: to be killed by the kernel as the process writes the byte after so many to a file, not here.
        """
        name = f"{_at_work(sys._getframe())}: {what}"
        if self._ending or not name.startswith(self._plan.only):
            return
        with self._one:
            self._count += 1
            line = name.encode() + b"\n"
            at = HEAD.size + self._size
            self._page[at : at + len(line)] = line
            self._size += len(line)
            HEAD.pack_into(self._page, 0, self._count, self._size)
            if self._count == self._plan.kill_at:
                if let_through is None:
                    os.kill(os.getpid(), signal.SIGKILL)
                self._ending = True
                resource.setrlimit(resource.RLIMIT_FSIZE, (let_through, resource.RLIM_INFINITY))
            if self._count in (self._plan.leaves_at, self._plan.returns_at):
                self._ending, moving = True, take_away if self._count == self._plan.leaves_at else bring_back
                moving(self._plan.leaving, self._plan.away, hollow=self._plan.hollow)
                self._ending = False
            if self._count == self._plan.stop_at:
                os.kill(os.getpid(), signal.SIGSTOP)


def take_away(folder: Path, away: Path, *, hollow: bool) -> None:
    """A folder, where there is one, is no longer at its path, as that of a disk that was unplugged."""
    if folder.is_dir() and not folder.is_symlink():
        folder.rename(away)
        if hollow:
            folder.mkdir()


def bring_back(folder: Path, away: Path, *, hollow: bool) -> bool:
    """It is at its path again; False, and it stays away, where something was made in its place meanwhile."""
    if not away.is_dir():
        return True
    with contextlib.suppress(OSError):
        if hollow:
            folder.rmdir()
    if folder.exists():
        return False
    away.rename(folder)
    return True


def _at_work(frame: FrameType | None) -> str:
    """What the innermost known function on the stack is doing."""
    while frame is not None:
        module, function = frame.f_globals.get("__name__", ""), frame.f_code.co_name
        if (module, function) == ("pickroom.files.moves", "execute"):
            return _step_of(frame.f_locals["op"])
        if (module, function) in _AT_WORK:
            return _AT_WORK[module, function]
        frame = frame.f_back
    return "before and after"


def _bytes_to_come(frame: FrameType | None) -> int:
    """How much is about to be written to a file that has just been opened, where that is one of `_IN_PARTS`."""
    while frame is not None:
        size = _IN_PARTS.get((frame.f_globals.get("__name__", ""), frame.f_code.co_name))
        if size is not None:
            return size(frame.f_locals)
        frame = frame.f_back
    return 0


def _step_of(op: Any) -> str:
    """A step of the journal by what it does: image, companion, sidecar or crop."""
    if op.op == "write":
        return "sidecar written"
    if op.op == "remove":
        return "sidecar removed"
    if op.op == "replace":
        return "sidecar changed"
    ends = (op.source, op.destination)
    if any(path.endswith(atomic.PARTIAL_SUFFIX) for path in ends):
        return "crop placed"
    return "image moved" if is_image_name(op.source.rpartition("/")[2]) else "companion moved"
