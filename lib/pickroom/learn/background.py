"""A command in a process of its own, so that nothing a person looks at waits for it."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pickroom.core.errors import PickroomError
from pickroom.learn import progress
from pickroom.store.workspace import Workspace

_NICENESS = 10  # a deck that is being used comes first
_WORDS_KEPT = 2000  # characters of what it said last


@dataclass(frozen=True, slots=True)
class Background:
    """A command that runs, and writes its status under `name` (see `progress`)."""

    workspace: Workspace
    name: str
    process: subprocess.Popen[bytes]
    log: Path
    log_start: int = 0  # bytes that earlier commands of this name wrote

    @property
    def starting(self) -> bool:
        """It runs, and has written no status yet."""
        if self.process.poll() is not None:
            return False
        status = progress.read_status(self.workspace, self.name)
        return status is None or status.pid != self.process.pid

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    @property
    def words(self) -> str:
        """What it said last, on stdout or stderr."""
        said = self.log.read_bytes()[self.log_start :].decode(errors="replace")
        return said[-_WORDS_KEPT:].strip()


def start(workspace: Workspace, name: str, command: Sequence[str]) -> Background:
    """Start a `pickroom` command, its words kept in a log file; it outlives whoever started it.

    Args:
        name: under which it tells how far it is.
        command: its arguments, without `--home`.

    Raises:
        PickroomError: no process can be started, or no log written.
    """
    log = workspace.logs / f"training_{name}.log"
    arguments = [sys.executable, "-m", "pickroom.cli", *command, "--home", str(workspace.root)]
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as words:
            log_start = words.tell()
            process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C, or a kernel's end, is not meant for it
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
    except OSError as error:
        raise PickroomError(
            f"it cannot be started ({error})", doing="training in the background", subject=log
        ) from None
    with contextlib.suppress(OSError):  # it has just ended, or may not be made nicer: it runs all the same
        os.setpriority(os.PRIO_PROCESS, process.pid, _NICENESS)
    return Background(workspace, name, process, log, log_start)
