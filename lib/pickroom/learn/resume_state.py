"""The state of a training that was stopped, or killed: what it had finished, in one file, so that it goes on there."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pickroom.learn.checkpoints import packed, unpacked
from pickroom.learn.examples import TrainingStep
from pickroom.storage import atomic
from pickroom.store.workspace import Workspace

_EVERY_S = 15.0  # between two saves of a fit that can be resumed
_ABOUT = "about"  # the name of the JSON object among the arrays, as bytes


@dataclass(frozen=True, slots=True)
class ResumeState:
    """What was done before.

    Attributes:
        finished: {"state", "description"} of each fit that was finished, in the order of the task's settings.
        snapshot: arrays of the one after them, None where it had not begun.
    """

    finished: list[dict[str, Any]] = field(default_factory=list)
    snapshot: dict[str, np.ndarray] | None = None


class ResumeWriter:
    """Keeps the state of one fit on disk."""

    def __init__(self, workspace: Workspace, name: str, key: str, finished: Sequence[dict[str, Any]]) -> None:
        self._path, self._key, self._finished = _path(workspace, name), key, list(finished)
        self._saved = time.monotonic()

    def step(self, step: TrainingStep, *, now: bool = False) -> None:
        """Save what a fit has finished, at once or if the last save was some time ago."""
        if not (now or time.monotonic() - self._saved >= _EVERY_S):
            return
        snapshot = step.snapshot() if step.snapshot else None
        about = {"key": self._key, "descriptions": [one["description"] for one in self._finished]}
        arrays = _named("snapshot", snapshot or {})
        for number, one in enumerate(self._finished):
            arrays |= _named(str(number), one["state"])
        text = json.dumps({**about, "snapshot": snapshot is not None})
        self._path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_bytes(self._path, packed({_ABOUT: np.frombuffer(text.encode(), dtype=np.uint8), **arrays}))
        self._saved = time.monotonic()


def read(workspace: Workspace, name: str, key: str) -> ResumeState:
    """What a training of the same rows and settings had done; nothing where there is none, or it is damaged."""
    try:
        with atomic.open_plain(_path(workspace, name)) as file:
            arrays = unpacked(file)
        about = json.loads(arrays.pop(_ABOUT).tobytes())
    except Exception:  # noqa: BLE001 (readers raise almost anything on damaged bytes)
        return ResumeState()  # half written or foreign: training begins anew, and says so by its epochs
    match about:
        case {"key": own, "descriptions": list(descriptions), "snapshot": bool(begun)} if own == key:
            if all(isinstance(description, dict) for description in descriptions):
                states = [_part(str(number), arrays) for number in range(len(descriptions))]
                pairs = zip(states, descriptions, strict=True)
                finished = [{"state": state, "description": description} for state, description in pairs]
                return ResumeState(finished, _part("snapshot", arrays) if begun else None)
    return ResumeState()


def forget(workspace: Workspace, name: str) -> None:
    """The training is finished."""
    _path(workspace, name).unlink(missing_ok=True)


def _named(part: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{part}/{name}": values for name, values in arrays.items()}


def _part(part: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name.partition("/")[2]: values for name, values in arrays.items() if name.partition("/")[0] == part}


def _path(workspace: Workspace, name: str) -> Path:
    return workspace.models / f"{name}_resume.npz"
