"""Progress of a training for other processes: one small file holds its status, another one asks it to stop.

`data/ai_data/logs/training_<name>.json` is rewritten as the training goes on; one training of a model runs at a time.
`data/ai_data/models/ranker_state.json` is the learner's summary for the deck's header.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import msgspec

from pickroom.core.errors import PickroomError
from pickroom.core.quantities import plural
from pickroom.learn.metrics import wilson
from pickroom.storage import atomic, json_records
from pickroom.storage.locking import exclusive, is_held
from pickroom.store.workspace import Workspace, utc_now


class TrainingStopped(PickroomError):
    """A training was asked to stop; it is saved, and the same command continues it."""

    exit_code = 1


State = Literal["running", "done", "stopped", "failed"]
_EVERY_S = 0.3  # between two writes of the file
_LOOK_S = 0.2  # between two looks at it


@dataclass(frozen=True, slots=True)
class Status:
    """The status of a training."""

    name: str
    projects: tuple[str, ...]
    pid: int
    state: State = "running"
    phase: str = "starting"  # what it does now, in words
    # done, of: of the phase's items (groups, epochs); 0 of 0 where they are not counted
    done: int = 0
    of: int = 0
    loss: float | None = None  # mean training loss of the last epoch
    seconds: float = 0.0  # since it began
    message: str = ""  # the result, or why it ended; several lines
    updated_at: str = ""

    @property
    def line(self) -> str:
        """One line for the user."""
        if self.state != "running":
            return f"{self.name}: {self.state} after {self.seconds:.0f} s"
        parts = [f"{self.name}: {self.phase}"]
        parts += [f"{self.done} of {self.of}"] if self.of else []
        parts += [f"loss {self.loss:.4f}"] if self.loss is not None else []
        return ", ".join([*parts, f"{self.seconds:.0f} s"])


class ProgressReporter:
    """Report a running training: rewrite its status file, and call the caller's function.

    Attributes:
        result: what it came to, in lines; written when it is done (see `reported`).
    """

    def __init__(
        self, workspace: Workspace, name: str, projects: Sequence[str], show: Callable[[Status], None] | None = None
    ) -> None:
        self._path, self._stop = (path_of(workspace, name, kind) for kind in ("json", "stop"))
        self._show = show
        self._started = time.monotonic()
        self._written = 0.0
        self._wants_stop = False
        self.result = ""
        self.status = Status(name, tuple(projects), os.getpid())
        self._stop.unlink(missing_ok=True)  # it was meant for an earlier training
        self._tell(now=True)

    def phase(self, words: str) -> None:
        """Begin another phase of the work."""
        self.status = replace(self.status, phase=words, done=0, of=0)
        self._tell(now=True)

    def count(self, done: int, of: int, loss: float | None = None) -> None:
        """Report how many of the phase's items are done, and of an epoch its loss."""
        self.status = replace(self.status, done=done, of=of, loss=self.status.loss if loss is None else loss)
        self._tell()

    def mirror(self, words: str, other: Status) -> None:
        """Pass on the status of a training within this one."""
        self.status = replace(self.status, phase=words, done=other.done, of=other.of, loss=other.loss)
        self._tell()

    def end(self, state: State, message: str) -> None:
        """Write how it ended."""
        self.status = replace(self.status, state=state, message=message)
        self._tell(now=True)
        self._stop.unlink(missing_ok=True)

    def ask_to_stop(self, *_: object) -> None:
        """Stop at the end of the epoch; takes what a signal handler is given."""
        self._wants_stop = True

    @property
    def stopping(self) -> bool:
        return self._wants_stop or self._stop.exists()

    def _tell(self, now: bool = False) -> None:
        at = time.monotonic()
        if not now and at - self._written < _EVERY_S:
            return
        self._written = at
        self.status = replace(self.status, seconds=round(at - self._started, 2), updated_at=utc_now())
        self._path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_text(self._path, json.dumps(asdict(self.status)) + "\n")
        if self._show:
            self._show(self.status)


def path_of(workspace: Workspace, name: str, kind: Literal["json", "stop", "lock", "log"]) -> Path:
    """The status file of a training, the file that asks it to stop, its lock, or its output in the background."""
    return workspace.logs / f"training_{name}.{kind}"


def training_lock(workspace: Workspace, name: str) -> AbstractContextManager[None]:
    """Hold the lock for training this model; raises LockedError while another process trains it."""
    return exclusive(path_of(workspace, name, "lock"), f"the {name}", f"training the {name}", patience=0.5)


@contextmanager
def reported(
    workspace: Workspace, name: str, projects: Sequence[str], show: Callable[[Status], None] | None = None
) -> Iterator[ProgressReporter]:
    """Hold the lock for training this model (LockedError where it is held), report it, and write how it ended."""
    with training_lock(workspace, name):
        reporter = ProgressReporter(workspace, name, projects, show)
        try:
            yield reporter
        except PickroomError as error:
            reporter.end("stopped" if isinstance(error, TrainingStopped) else "failed", error.line)
            raise
        except BaseException as error:
            reporter.end("failed", f"{type(error).__name__}: {error}")
            raise
        reporter.end("done", reporter.result)


def is_running(workspace: Workspace, name: str) -> bool:
    """Whether a process trains this model now."""
    return is_held(path_of(workspace, name, "lock"))


def read_status(workspace: Workspace, name: str) -> Status | None:
    """The status of the last training of this model, running or ended; None when there was none.

    A training whose process is gone without having written how it ended counts as failed.

    Raises:
        PickroomError: the file is damaged.
    """
    # checked first: if the training ends in between, its status is already final
    alive, path = is_running(workspace, name), path_of(workspace, name, "json")
    status = json_records.read(Status, path, doing="following a training", hint="delete it", error=PickroomError)
    if status is not None and status.state == "running" and not alive:
        gone = "its process is gone; train again"
        return replace(status, state="failed", message=status.message or gone)
    return status


def follow(
    workspace: Workspace, name: str, show: Callable[[Status], None], waiting: Callable[[], bool] | None = None
) -> Status | None:
    """Show a training that runs in another process until it ends; returns its last status, None without any.

    Args:
        waiting: whether a training that has been started is still to come.
    """
    last = None
    while True:
        starting = waiting() if waiting else False
        status = read_status(workspace, name)
        if status is not None and status != last and not (starting and status.state != "running"):
            show(status)
            last = status
        if not starting and (status is None or status.state != "running"):
            return status
        time.sleep(_LOOK_S)


def request_stop(workspace: Workspace, name: str) -> bool:
    """Ask a running training to stop at the end of its epoch; False when none is running."""
    if not is_running(workspace, name):
        return False
    path = path_of(workspace, name, "stop")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return True


_NICENESS = 19  # lower priority than a deck in use
_WORDS_KEPT = 2000  # characters of what it said last
_SUMMARY = "ranker_state.json"


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
        status = read_status(self.workspace, self.name)
        return status is None or status.pid != self.process.pid

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    @property
    def words(self) -> str:
        """What it said last, on stdout or stderr."""
        said = self.log.read_bytes()[self.log_start :].decode(errors="replace")
        return said[-_WORDS_KEPT:].strip()


def start_command(workspace: Workspace, name: str, command: Sequence[str]) -> Background:
    """Start a `pickroom` command with its output in a log file; it continues when this process ends.

    Args:
        name: under which it writes its status.
        command: its arguments, without `--home`.

    Raises:
        PickroomError: no process can be started, or no log written.
    """
    log = path_of(workspace, name, "log")
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
                start_new_session=True,  # Ctrl-C, or the end of a kernel, must not stop it
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
    except OSError as error:
        raise PickroomError(
            f"it cannot be started ({error})", doing="training in the background", subject=log
        ) from None
    with contextlib.suppress(OSError):  # it has just ended, or its priority cannot be changed: ignore
        os.setpriority(os.PRIO_PROCESS, process.pid, _NICENESS)
    return Background(workspace, name, process, log, log_start)


class Summary(msgspec.Struct):
    """How well the learner predicts.

    Attributes:
        decisions: it has learned.
        last, right: of the last 100 of them, how many there are and how many it was right about before it learned them.
        version: that recommends with it; 0 before any.
    """

    decisions: int
    last: int
    right: float
    version: int

    @property
    def words(self) -> str:
        """`model right in 84 % of the last 100 (76-90 %), 240 decisions learned`."""
        learned = f"{plural(self.decisions, 'decision')} learned"
        if not self.last:
            return learned
        low, high = (100 * edge for edge in wilson(self.right, self.last))
        share = 100 * self.right / self.last
        return f"model right in {share:.0f} % of the last {self.last} ({low:.0f}-{high:.0f} %), {learned}"


def read_summary(workspace: Workspace) -> Summary | None:
    """The learner's summary; None where nothing was learned yet. Raises StoreError where the file is damaged."""
    path = workspace.models / _SUMMARY
    return json_records.read(Summary, path, doing="looking for what was learned", hint="delete it")


def write_summary(workspace: Workspace, summary: Summary) -> None:
    """Replace the file."""
    atomic.write_text(workspace.models / _SUMMARY, json.dumps(msgspec.to_builtins(summary)) + "\n")
