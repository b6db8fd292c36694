"""Model versions on disk: `<name>_v<N>.pt` with its `<name>_v<N>_metadata.json`, and which version is current.

This module alone writes there. The weights are published first, the metadata last: a version is there when both are,
and then it never changes. `<name>_current.json` names the version that recommends.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from pickroom.core.errors import ConflictError, StoreError
from pickroom.storage import atomic, json_records
from pickroom.store.workspace import Workspace, utc_now

_WEIGHTS = re.compile(r"(?P<name>[a-z_]+)_v(?P<version>\d+)\.pt")
_TRAIN_AGAIN = "train again: pickroom train"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One version, read back.

    Attributes:
        state: {"model": tensors, "seen": (n,) int64 prints of the files it was fitted on, ...}.
        metadata: what its JSON file holds.
    """

    name: str
    version: int
    state: dict[str, Any]
    metadata: dict[str, Any]

    @property
    def label(self) -> str:
        """As recommendations and decisions name it."""
        return f"v{self.version}"

    def require_features(self, config_hash: str, encoder: str | None) -> None:
        """Raise ConflictError unless it was trained on features made just so (DESIGN.md, invariant 5).

        Args:
            config_hash: of the feature configuration that this program uses.
            encoder: id of the encoder whose vectors are to be used.
        """
        trained = self.metadata.get("features")
        if not isinstance(trained, dict):
            raise _mismatch(self, "nothing is said of its features")
        if trained.get("hash") != config_hash:
            raise _mismatch(self, "the features are made otherwise than when it was trained")
        if encoder is not None and trained.get("encoder") != encoder:
            raise _mismatch(self, f"it was trained on vectors of {trained.get('encoder')}, not of {encoder}")


class _Current(msgspec.Struct):
    version: int


def versions(workspace: Workspace, name: str) -> list[int]:
    """The versions that are there, weights and metadata both, oldest first."""
    found = []
    for path in workspace.models.glob(f"{name}_v*.pt"):
        match = _WEIGHTS.fullmatch(path.name)
        if match and match["name"] == name and _metadata_path(workspace, name, int(match["version"])).is_file():
            found.append(int(match["version"]))
    return sorted(found)


def save(workspace: Workspace, name: str, state: Mapping[str, Any], metadata: Mapping[str, Any]) -> int:
    """Publish a new version; returns its number. Nothing that was there is ever replaced.

    Args:
        state: tensors, and lists, dicts, numbers and texts of them: what `torch.load(weights_only=True)` reads.
    """
    import torch

    workspace.models.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    data = buffer.getvalue()
    while True:
        version = max([0, *_numbers(workspace, name)]) + 1
        try:
            atomic.create_bytes(_weights_path(workspace, name, version), data)
            break
        except FileExistsError:  # another training has just published that number
            continue
    values = {"name": name, "version": version, **metadata}
    atomic.write_text(_metadata_path(workspace, name, version), json.dumps(values, indent=1, allow_nan=False) + "\n")
    return version


def load(workspace: Workspace, name: str, version: int) -> Checkpoint:
    """Read a version, onto the CPU, by `weights_only=True`: a file that holds code is refused, not run.

    Raises:
        StoreError: it is missing, or damaged.
    """
    import torch

    path = _weights_path(workspace, name, version)
    try:
        metadata = read_metadata(workspace, name, version)
        with atomic.open_plain(path) as file:
            state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 (unpickling raises almost anything on damaged bytes)
        what = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StoreError(
            f"it cannot be read ({what})", doing="loading a model", subject=path, hint=_TRAIN_AGAIN
        ) from None
    if not isinstance(state, dict) or "model" not in state:
        raise StoreError("it holds no model", doing="loading a model", subject=path, hint=_TRAIN_AGAIN)
    return Checkpoint(name, version, state, metadata)


def read_metadata(workspace: Workspace, name: str, version: int) -> dict[str, Any]:
    """What a version's JSON file holds; raises OSError or ValueError."""
    return json_records.from_json(dict[str, Any], _metadata_path(workspace, name, version).read_bytes())


def current(workspace: Workspace, name: str) -> int | None:
    """The version that recommends; None when no version has earned it yet.

    Raises:
        StoreError: the file that says so is damaged, or names a version that is gone.
    """
    path, doing = _current_path(workspace, name), "looking for a model"
    found = json_records.read(_Current, path, doing=doing, hint="delete it: the next training decides anew")
    if found is not None and found.version not in versions(workspace, name):
        what = f"version {found.version} of {name} is named as current, and is not there"
        raise StoreError(what, doing=doing, subject=path, hint="restore its files, or delete this one")
    return None if found is None else found.version


def load_current(workspace: Workspace, name: str) -> Checkpoint | None:
    """The version that recommends, read; None when there is none yet. Raises StoreError as `load` and `current` do."""
    version = current(workspace, name)
    return None if version is None else load(workspace, name, version)


def make_current(workspace: Workspace, name: str, version: int, reason: str) -> None:
    """Let a version recommend from now on; raises StoreError when it is not there."""
    if version not in versions(workspace, name):
        raise StoreError(f"there is no version {version} of {name}", doing="choosing a model", subject=workspace.models)
    values = {"version": version, "since": utc_now(), "reason": reason}
    atomic.write_text(_current_path(workspace, name), json.dumps(values) + "\n")


def _numbers(workspace: Workspace, name: str) -> list[int]:
    """Every number taken, also by weights whose metadata a crash never wrote."""
    # a number that only metadata has is taken too: the file may be another program's
    names = (path.name.replace("_metadata.json", ".pt") for path in workspace.models.glob(f"{name}_v*"))
    matches = (_WEIGHTS.fullmatch(found) for found in names)
    return [int(match["version"]) for match in matches if match and match["name"] == name]


def _weights_path(workspace: Workspace, name: str, version: int) -> Path:
    return workspace.models / f"{name}_v{version}.pt"


def _metadata_path(workspace: Workspace, name: str, version: int) -> Path:
    return workspace.models / f"{name}_v{version}_metadata.json"


def _current_path(workspace: Workspace, name: str) -> Path:
    return workspace.models / f"{name}_current.json"


def _mismatch(checkpoint: Checkpoint, what: str) -> ConflictError:
    return ConflictError(
        f"{checkpoint.name} {checkpoint.label} does not fit: {what}",
        doing="using a model",
        hint=f"{_TRAIN_AGAIN} {checkpoint.name} PROJECT",
    )
