"""A training seen from outside: a small file says how far it is, another one asks it to stop.

`data/ai_data/logs/training_<name>.json` is rewritten as the training goes on; one training of a model runs at a time.
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from pickroom.core.errors import PickroomError
from pickroom.learn.examples import TrainingStep
from pickroom.storage import atomic, json_records
from pickroom.storage.locking import exclusive, is_held
from pickroom.store.workspace import Workspace, utc_now


class TrainingStopped(PickroomError):
    """Somebody asked a training to stop; it is saved, and the same command goes on with it."""

    exit_code = 1


State = Literal["running", "done", "stopped", "failed"]
_EVERY_S = 0.3  # between two writes of the file
_LOOK_S = 0.2  # between two looks at it


@dataclass(frozen=True, slots=True)
class Status:
    """How far a training is."""

    name: str
    projects: tuple[str, ...]
    pid: int
    state: State = "running"
    phase: str = "starting"  # what it does now, in words
    # done, of: of the phase's items (groups, epochs); 0 of 0 where they are not counted
    done: int = 0
    of: int = 0
    loss: float | None = None  # mean training loss of the last epoch
    held_out: float | None = None  # the fit's own score on rows kept aside, None when there is none
    seconds: float = 0.0  # since it began
    message: str = ""  # the result, or why it ended; several lines
    updated_at: str = ""

    @property
    def line(self) -> str:
        """One line for the person."""
        if self.state != "running":
            return f"{self.name}: {self.state} after {self.seconds:.0f} s"
        parts = [f"{self.name}: {self.phase}"]
        parts += [f"{self.done} of {self.of}"] if self.of else []
        parts += [f"loss {self.loss:.4f}"] if self.loss is not None else []
        parts += [f"held out {self.held_out:.3f}"] if self.held_out is not None else []
        return ", ".join([*parts, f"{self.seconds:.0f} s"])


class ProgressReporter:
    """What a running training tells: its file is rewritten, and whoever asked is called."""

    def __init__(
        self, workspace: Workspace, name: str, projects: Sequence[str], show: Callable[[Status], None] | None = None
    ) -> None:
        self._path, self._show = status_path(workspace, name), show
        self._stop = stop_path(workspace, name)
        self._started = time.monotonic()
        self._written = 0.0
        self._wants_stop = False
        self.status = Status(name, tuple(projects), os.getpid())
        self._stop.unlink(missing_ok=True)  # it was meant for an earlier training
        self._tell(now=True)

    def phase(self, words: str) -> None:
        """Another part of the work begins."""
        self.status = replace(self.status, phase=words, done=0, of=0)
        self._tell(now=True)

    def count(self, done: int, of: int) -> None:
        """So many of the phase's items are done."""
        self.status = replace(self.status, done=done, of=of)
        self._tell()

    def step(self, step: TrainingStep) -> None:
        """An epoch is done."""
        self.status = replace(
            self.status, done=step.epoch, of=step.epochs, loss=float(step.loss), held_out=step.held_out
        )
        self._tell()

    def mirror(self, words: str, other: Status) -> None:
        """What a training within this one tells."""
        of_other = {name: getattr(other, name) for name in ("done", "of", "loss", "held_out")}
        self.status = replace(self.status, phase=words, **of_other)
        self._tell()

    def end(self, state: State, message: str) -> None:
        """Write how it ended."""
        self.status = replace(self.status, state=state, message=message)
        self._tell(now=True)
        self._stop.unlink(missing_ok=True)

    @contextmanager
    def ending(self) -> Iterator[None]:
        """Tell how the block ended where it raises."""
        try:
            yield
        except PickroomError as error:
            self.end("stopped" if isinstance(error, TrainingStopped) else "failed", error.line)
            raise
        except BaseException as error:
            self.end("failed", f"{type(error).__name__}: {error}")
            raise

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


@contextmanager
def training_lock(workspace: Workspace, name: str) -> Iterator[None]:
    """Hold the right to train this model; raises LockedError while another process trains it."""
    with exclusive(lock_path(workspace, name), f"the {name}", f"training the {name}", patience=0.5):
        yield


def is_running(workspace: Workspace, name: str) -> bool:
    """Whether a process trains this model now."""
    return is_held(lock_path(workspace, name))


def read_status(workspace: Workspace, name: str) -> Status | None:
    """How far the last training of this model is, or how it ended; None when there was none.

    A training whose process is gone without having written how it ended counts as failed.

    Raises:
        PickroomError: the file is damaged.
    """
    # looked at first: a training that ends in between has then said its last word
    alive, path = is_running(workspace, name), status_path(workspace, name)
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
    path = stop_path(workspace, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return True


def status_path(workspace: Workspace, name: str) -> Path:
    return workspace.logs / f"training_{name}.json"


def stop_path(workspace: Workspace, name: str) -> Path:
    return workspace.logs / f"training_{name}.stop"


def lock_path(workspace: Workspace, name: str) -> Path:
    return workspace.logs / f"training_{name}.lock"
