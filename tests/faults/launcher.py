"""One `pickroom` command in a process of its own, which can be killed or held at any step that it is about to take.

A command is what its process asks of files and of the database. Python tells of both by itself: audit events (PEP 578)
for every file opened for writing, renamed, linked or removed, and SQLite's own trace for every statement. What the
command does is its own; the process counts those steps, and at the given one it kills or stops itself. What a step is
called comes from the function of `pickroom` at work at that moment.

`fsync` is told by nobody, and need not be: what a killed process wrote is the kernel's, synced or not.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import mmap
import os
import signal
import sqlite3
import struct
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import typer

import pickroom.automation.apply
import pickroom.browse.session
import pickroom.crop.session
import pickroom.duplicates.session
import pickroom.review.session
import pickroom.sorting.session  # noqa: F401 (what commands import is imported once, before they are forked)
from pickroom import atomic, cli
from pickroom.naming import is_image_name
from pickroom.reporting import render
from pickroom.store import connect

PATIENCE_S = 60.0  # how long a command may take before the test fails
_PAGE = 1 << 16  # bytes shared with the process: how many steps, how many bytes of names, the names, a line each
_HEAD = struct.Struct("qq")

# what Typer makes of the app at every start, made once
_COMMANDS = typer.main.get_command(cli.app)
with contextlib.suppress(ImportError):
    importlib.import_module("typer._adapters")  # imports pydantic at the first command

# the function at work -> what the step belongs to; the innermost one counts. moves.take is named by its own step
_AT_WORK = {
    ("pickroom.files.finalise", "_commit"): "plan",
    ("pickroom.files.cropping", "_commit"): "plan",
    ("pickroom.files.placing", "_commit"): "plan",
    ("pickroom.automation.apply", "_commit"): "plan",
    ("pickroom.files.undo", "undo_batch"): "plan",
    ("pickroom.store.operations", "planned"): "planned",
    ("pickroom.files.moves", "put_back"): "put back",
    ("pickroom.files.journal", "_sync"): "folders synced",
    ("pickroom.files.journal", "_settle"): "done",
    ("pickroom.files.journal", "_give_up"): "given up",
    ("pickroom.files.moves", "sweep_partials"): "sweep",
    ("pickroom.files.cropping", "render_to"): "crop rendered",
    ("pickroom.review.session", "_save"): "key saved",
    ("pickroom.marking.session", "_save"): "mark saved",
    ("pickroom.automation.decisions_file", "write_lines"): "decisions written",
    ("pickroom.locking", "exclusive"): "lock",
    ("pickroom.reporting.render", "run"): "report",
    ("pickroom.reporting.finish", "summary"): "numbers",
    ("pickroom.reporting.archive", "_copy_databases"): "archive: database",
    ("pickroom.reporting.archive", "_pack"): "archive: pictures",
    ("pickroom.reporting.archive", "_publish"): "archive: published",
    ("pickroom.reporting.archive", "write"): "archive",
    ("pickroom.workspace", "with_manifest"): "manifest",
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
        only: count only steps whose name begins so.
        link: the kernel cannot rename without replacing: link and unlink instead.
        powerless: permission bits hold even for root.
        busy_s: how long SQLite waits for another writer; None leaves it as it is.
        reports: False leaves the pages of `finish` out: kernels make them, for half a minute, and touch nothing else.
    """

    kill_at: int | None = None
    stop_at: int | None = None
    only: str = ""
    link: bool = False
    powerless: bool = False
    busy_s: float | None = None
    reports: bool = True


@dataclass
class Run:
    """A command that is running or has ended.

    Attributes:
        code: its exit code, or minus the number of the signal that killed it; None while it runs.
        seconds: from its start to its end.
    """

    pid: int
    _page: mmap.mmap
    _said: Path
    _since: float = field(default_factory=time.monotonic)
    code: int | None = None
    seconds: float = 0.0

    @property
    def count(self) -> int:
        """How many steps it has come to."""
        return _HEAD.unpack_from(self._page)[0]

    @property
    def steps(self) -> list[str]:
        """The steps that it has come to, by name, in order."""
        _, size = _HEAD.unpack_from(self._page)
        return self._page[_HEAD.size : _HEAD.size + size].decode().splitlines()

    @property
    def step(self) -> str:
        """The last of them, "" before the first; killed there, it has not taken it."""
        return next(reversed(self.steps), "")

    @property
    def said(self) -> str:
        """All that it wrote on stdout and stderr."""
        return self._said.read_text(errors="replace")

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL

    def wait(self) -> int:
        """Its exit code; fails when it does not end."""
        return self._await(PATIENCE_S, or_stopped=False)  # type: ignore[return-value]

    def wait_stopped(self) -> bool:
        """Whether it has stopped itself; False when it has ended without coming to that step."""
        return self._await(PATIENCE_S, or_stopped=True) is None

    def go_on(self) -> None:
        """Let a stopped command go on."""
        os.kill(self.pid, signal.SIGCONT)

    def kill_after(self, seconds: float) -> int:
        """Kill it at a moment that it does not choose; its exit code, which is another when it had ended before."""
        time.sleep(max(0.0, self._since + seconds - time.monotonic()))
        os.kill(self.pid, signal.SIGKILL)  # without effect on one that has ended and is not waited for yet
        return self.wait()

    def _await(self, seconds: float, *, or_stopped: bool) -> int | None:
        timer = threading.Timer(seconds, os.kill, (self.pid, signal.SIGKILL))
        timer.start()
        try:
            while self.code is None:
                if self._look(os.WUNTRACED if or_stopped else 0, block=True) == "stopped":
                    return None
        finally:
            timer.cancel()
        if self.seconds >= seconds:
            raise AssertionError(f"a command did not end: {self.said}")
        return self.code

    def _look(self, options: int, *, block: bool = False) -> str | None:
        if self.code is not None:
            return "ended"
        pid, status = os.waitpid(self.pid, options if block else options | os.WNOHANG)
        if pid == 0:
            return None
        if os.WIFSTOPPED(status):
            return "stopped"
        self.code = os.waitstatus_to_exitcode(status)
        self.seconds = time.monotonic() - self._since
        return "ended"


_begun: list[Run] = []


def end_all() -> None:
    """Kill the commands that a failed test has left running or stopped."""
    while _begun:
        run = _begun.pop()
        if run.code is None:
            os.kill(run.pid, signal.SIGKILL)
            run.wait()


def start(arguments: list[str], said: Path, plan: Plan | None = None) -> Run:
    """Begin `pickroom ARGUMENTS` in a process of its own, forked from this one: importing it all costs a second.

    Args:
        said: where its stdout and stderr go.
    """
    page = mmap.mmap(-1, _PAGE)
    pid = os.fork()
    if pid == 0:
        _be_the_command(arguments, said, plan or Plan(), page)  # never returns
    _begun[:] = [run for run in _begun if run.code is None] + [Run(pid, page, said)]
    return _begun[-1]


def run(arguments: list[str], said: Path, plan: Plan | None = None) -> Run:
    """`start`, and wait for the end."""
    begun = start(arguments, said, plan)
    begun.wait()
    return begun


def _be_the_command(arguments: list[str], said: Path, plan: Plan, page: mmap.mmap) -> None:
    code = 70
    try:
        out = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for descriptor, number in ((nothing, 0), (out, 1), (out, 2)):
            os.dup2(descriptor, number)
        sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w", buffering=1)  # noqa: SIM115
        cli.console.messages.file = sys.stderr
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if plan.link:
            atomic._kernel_rename = lambda source, destination: errno.ENOSYS  # type: ignore[assignment]
        if plan.busy_s is not None:
            connect.BUSY_TIMEOUT_S = plan.busy_s
        if not plan.reports:
            render.run = lambda project: []
        if plan.powerless:
            from reviewing import obey_permissions

            obey_permissions()
        sys.argv = ["pickroom", *arguments]
        cli.console.app = _COMMANDS  # type: ignore[assignment]
        steps = Steps(plan, page)
        steps.listen()
        try:
            cli.main()
            code = 0
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
        sys.stdout.flush()
        steps.take("the end")  # killed after everything, before the process could end by itself
    except BaseException:  # noqa: BLE001 (a defect of the command: its traceback is what it says)
        import traceback

        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


class Steps:
    """Counts the steps of this process as Python and SQLite tell of them, and ends or stops it at the given one."""

    def __init__(self, plan: Plan, page: mmap.mmap) -> None:
        self._plan, self._page = plan, page
        self._count = self._size = 0
        self._written: set[str] | None = None  # kinds of writes in the transaction that is open, None without one
        self._one = threading.RLock()  # crops are rendered by several threads

    def listen(self) -> None:
        """From now on, until the process ends."""
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
        if not self._plan.link:
            atomic._kernel_rename = say_and_rename  # type: ignore[assignment]
        sys.addaudithook(self.hear)

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        """An audit hook: only what changes a file, or opens a database, is of interest."""
        if event == "open":
            path, mode, flags = arguments
            writing = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR)
            if writing and not isinstance(path, int) and str(path) != os.devnull:
                self.take("write")
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

    def take(self, what: str) -> None:
        """Count a step under its name; end or stop the process when it is the one."""
        name = f"{_at_work(sys._getframe())}: {what}"
        if not name.startswith(self._plan.only):
            return
        with self._one:
            self._count += 1
            line = name.encode() + b"\n"
            at = _HEAD.size + self._size
            self._page[at : at + len(line)] = line
            self._size += len(line)
            _HEAD.pack_into(self._page, 0, self._count, self._size)
            if self._count == self._plan.kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            if self._count == self._plan.stop_at:
                os.kill(os.getpid(), signal.SIGSTOP)


def _at_work(frame: FrameType | None) -> str:
    """What the innermost known function on the stack is doing."""
    while frame is not None:
        module, function = frame.f_globals.get("__name__", ""), frame.f_code.co_name
        if (module, function) == ("pickroom.files.moves", "take"):
            return _step_of(frame.f_locals["op"])
        if (module, function) in _AT_WORK:
            return _AT_WORK[module, function]
        frame = frame.f_back
    return "before and after"


def _step_of(op: Any) -> str:
    """A step of the journal by what it does: image, companion, sidecar or crop."""
    if op.op == "write":
        return "sidecar written"
    if op.op == "remove":
        return "sidecar removed"
    ends = (op.source, op.destination)
    if any(path.endswith(atomic.PARTIAL_SUFFIX) for path in ends):
        return "crop placed"
    return "image moved" if is_image_name(op.source.rpartition("/")[2]) else "companion moved"
