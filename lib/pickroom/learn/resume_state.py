"""A training that was stopped, or killed, goes on where it was: its state every few seconds in one file."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pickroom.learn.examples import Step
from pickroom.storage import atomic
from pickroom.store.workspace import Workspace

_EVERY_S = 15.0  # of training that a kill costs at most


@dataclass(frozen=True, slots=True)
class ResumeState:
    """What was done before.

    Attributes:
        finished: {"state", "description"} of each fit that was finished, in the order of the recipe's settings.
        snapshot: of the one after them, None where it had not begun.
    """

    finished: list[dict[str, Any]] = field(default_factory=list)
    snapshot: dict[str, Any] | None = None


class ResumeWriter:
    """Keeps the state of one fit on disk."""

    def __init__(self, workspace: Workspace, name: str, key: str, finished: Sequence[dict[str, Any]]) -> None:
        self._path, self._key, self._finished = _path(workspace, name), key, list(finished)
        self._saved = time.monotonic()

    def step(self, step: Step, *, now: bool = False) -> None:
        """Save an epoch's end, at once or if the last save was some time ago."""
        if step.snapshot is None or not (now or time.monotonic() - self._saved >= _EVERY_S):
            return
        import torch

        buffer = io.BytesIO()
        torch.save({"key": self._key, "finished": self._finished, "snapshot": step.snapshot()}, buffer)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_bytes(self._path, buffer.getvalue())
        self._saved = time.monotonic()


def read(workspace: Workspace, name: str, key: str) -> ResumeState:
    """What a training of the same rows and settings had done; nothing where there is none, or it is damaged."""
    import torch

    try:
        with atomic.open_plain(_path(workspace, name)) as file:
            values = torch.load(file, map_location="cpu", weights_only=True)
    except Exception:  # noqa: BLE001 (unpickling raises almost anything on damaged bytes)
        return ResumeState()  # half written or foreign: training begins anew, and says so by its epochs
    match values:
        case {"key": own, "finished": list(finished), "snapshot": dict() | None as snapshot} if own == key:
            if all(_is_fit(one) for one in finished):
                return ResumeState(finished, snapshot)
    return ResumeState()


def _is_fit(values: object) -> bool:
    match values:
        case {"state": dict(), "description": dict()}:
            return True
    return False


def forget(workspace: Workspace, name: str) -> None:
    """The training is finished."""
    _path(workspace, name).unlink(missing_ok=True)


def _path(workspace: Workspace, name: str) -> Path:
    return workspace.models / f"{name}_resume.pt"
