"""One `pickroom` command in a process of its own, which can be killed or held at any step that it is about to take.

A command is what its process asks of files and of the database. What it does is its own; the process counts those
steps (`faults.steps`), and at the given one it kills or stops itself.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import mmap
import os
import signal
import sys
import tempfile
import threading
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

import pickroom.automation.apply
import pickroom.sessions.duplicates.session
import pickroom.sessions.marking.session
import pickroom.sessions.review.session
import pickroom.sessions.sorting.session  # noqa: F401 (what commands import is imported once, before they are forked)
from faults.steps import HEAD, Plan, Steps
from pickroom import cli
from pickroom.analysis.reports import render
from pickroom.sessions.crop.session import CropSession
from pickroom.storage import atomic
from pickroom.store import connect
from pickroom.store.workspace import Workspace
from support.reviewing import no_links

PATIENCE_S = 60.0  # how long a command may take before the test fails
_PAGE = 1 << 16  # bytes shared with the process: how many steps, how many bytes of names, the names, a line each

# what Typer makes of the app at every start, made once
_COMMANDS = typer.main.get_command(cli.app)


def _crop_desk(project: str, keys: list[str], home: Annotated[Path, typer.Option()]) -> None:
    """Press keys at the crop desk, as its widget does: no command of `pickroom` has any."""
    with closing(CropSession(Workspace(home).project(project))) as session:
        for key in keys:
            typer.echo(session.press(key).message)


_desk = typer.Typer()
_desk.command()(_crop_desk)
CROP_DESK = "crop-desk"
_COMMANDS.add_command(typer.main.get_command(_desk), CROP_DESK)  # type: ignore[attr-defined]
with contextlib.suppress(ImportError):
    importlib.import_module("typer._adapters")  # imports pydantic at the first command


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
        return HEAD.unpack_from(self._page)[0]

    @property
    def steps(self) -> list[str]:
        """The steps that it has come to, by name, in order."""
        _, size = HEAD.unpack_from(self._page)
        return self._page[HEAD.size : HEAD.size + size].decode().splitlines()

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
        """By a signal that no process can answer: in the midst of a write it is another one."""
        return self.code in (-signal.SIGKILL, -signal.SIGXFSZ)

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
        if plan.link or plan.copy:
            atomic._kernel_rename = lambda source, destination: errno.ENOSYS  # type: ignore[assignment]
        if plan.copy:
            os.link = no_links  # type: ignore[assignment]
        if plan.busy_s is not None:
            connect.BUSY_TIMEOUT_S = plan.busy_s
        if not plan.reports:
            render.run = lambda project: []
        if plan.powerless:
            from support.reviewing import obey_permissions

            obey_permissions()
        # its own, chosen before steps count: what other tests leave in the common one is swept by every command
        tempfile.tempdir = str(said.parent / "temporary")
        os.makedirs(tempfile.tempdir, exist_ok=True)
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
