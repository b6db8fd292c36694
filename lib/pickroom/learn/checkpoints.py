"""Model versions on disk: `<name>_v<N>.npz` with its `<name>_v<N>_metadata.json`, and which version is current.

A version is arrays and JSON, no code. The weights are published first, the metadata last: a version exists when both
files do, and then it never changes. Only this module writes there. `<name>_current.json` names the version that
recommends. Version 0.1 wrote PyTorch files, `<name>_v<N>.pt`: they are read without it. The modules that make models
are imported only where there is a model: a baseline needs none.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec
import numpy as np

from pickroom.core.errors import ConflictError, StoreError
from pickroom.features.torch_file import read_tensors
from pickroom.learn.training_sets import Kind, require_kind
from pickroom.storage import atomic, json_records
from pickroom.store.workspace import Project, Workspace, utc_now

if TYPE_CHECKING:
    from pickroom.learn.crops.model import CropTask
    from pickroom.learn.picks.task import PickTask

_FILE = re.compile(r"(?P<name>[a-z_]+)_v(?P<version>\d+)(\.npz|\.pt|_metadata\.json)")
_MODEL, _SEEN = "model.", "seen"  # names of arrays in the file: of the model's own, each with its name, and the prints


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One version, read back."""

    name: str
    version: int
    model: dict[str, np.ndarray]  # arrays by name, see `CropTask.rebuild`
    seen: np.ndarray  # (n,) int64: prints of the files it was fitted on, see `splits.prints`
    metadata: dict[str, Any]  # what its JSON file holds

    @property
    def label(self) -> str:
        """As recommendations and decisions name it."""
        return f"v{self.version}"

    def require_features(self, config_hash: str, encoder: str | None) -> None:
        """Raise ConflictError unless it was trained on features with the same configuration (DESIGN.md, invariant 5).

        Args:
            config_hash: of the feature configuration that this program uses.
            encoder: id of the encoder whose vectors are to be used.
        """
        trained = self.metadata.get("features")
        if not isinstance(trained, dict):
            what = "nothing is said of its features"
        elif trained.get("hash") != config_hash:
            what = "the features are made otherwise than when it was trained"
        elif encoder is not None and trained.get("encoder") != encoder:
            what = f"it was trained on vectors of {trained.get('encoder')}, not of {encoder}"
        else:
            return
        hint = f"train again: pickroom train {self.name}"
        raise ConflictError(f"{self.name} {self.label} does not fit: {what}", doing="using a model", hint=hint)


class _Current(msgspec.Struct):
    version: int


def versions(workspace: Workspace, name: str) -> list[int]:
    """Every version with both weights and metadata, oldest first, without models of other programs."""
    files = list(_files(workspace, name))
    described = {version for version, suffix in files if suffix == "_metadata.json"}
    found = sorted({version for version, suffix in files if suffix != "_metadata.json"} & described)
    return [version for version in found if not _is_foreign(_metadata_path(workspace, name, version))]


def other_models(workspace: Workspace) -> list[str]:
    """The models in the folder that no version of Pickroom wrote, such as the earlier system's, by name, sorted."""
    paths = sorted(workspace.models.glob("[!.]*_metadata.json"))
    return [path.name.removesuffix("_metadata.json") for path in paths if _is_foreign(path)]


def _is_foreign(metadata: Path) -> bool:
    """Whether metadata was written by another program; a damaged file of Pickroom's was not."""
    match = _FILE.fullmatch(metadata.name)
    try:
        values = json_records.from_json(dict[str, Any], atomic.read_small(metadata, 1 << 24))
    except (OSError, ValueError):
        return match is None
    return match is None or (values.get("name"), values.get("version")) != (match["name"], int(match["version"]))


def save(
    workspace: Workspace,
    name: str,
    model: Mapping[str, np.ndarray],
    metadata: Mapping[str, Any],
    seen: np.ndarray | None = None,
) -> int:
    """Publish a new version; returns its number. No existing file is replaced.

    Args:
        model, seen: see `Checkpoint`.
    """
    workspace.models.mkdir(parents=True, exist_ok=True)
    prints = np.zeros(0, dtype=np.int64) if seen is None else seen
    data = packed({_SEEN: prints, **{f"{_MODEL}{part}": values for part, values in model.items()}})
    while True:
        # a number with metadata only is taken, too: by a crash between the two files, or by another program
        version = max((taken for taken, _ in _files(workspace, name)), default=0) + 1
        try:
            atomic.create_bytes(workspace.models / f"{name}_v{version}.npz", data)
            break
        except FileExistsError:  # another training has just published that number
            continue
    values = {"name": name, "version": version, **metadata}
    atomic.write_text(_metadata_path(workspace, name, version), json.dumps(values, indent=1, allow_nan=False) + "\n")
    return version


def packed(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Arrays as an .npz file, to be read by `unpacked`."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]  # an array's name is never that of an option
    return buffer.getvalue()


def unpacked(file: BinaryIO) -> dict[str, np.ndarray]:
    """The arrays of an .npz file; objects in it, which could hold code, are refused. Raises almost anything."""
    with np.load(file, allow_pickle=False) as arrays:
        return dict(arrays)


def load(workspace: Workspace, name: str, version: int) -> Checkpoint:
    """Read a version; no code in it is run.

    Raises:
        StoreError: it is missing, or damaged.
    """
    path = workspace.models / f"{name}_v{version}.npz"
    again = f"train again: pickroom train {name}"
    if not path.exists() and path.with_suffix(".pt").exists():
        path = path.with_suffix(".pt")
    try:
        metadata = read_metadata(workspace, name, version)
        with atomic.open_plain(path) as file:
            arrays = unpacked(file) if path.suffix == ".npz" else _flat(read_tensors(file))
    except Exception as error:  # noqa: BLE001 (readers raise almost anything on damaged bytes)
        what = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StoreError(f"it cannot be read ({what})", doing="loading a model", subject=path, hint=again) from None
    model = {part.removeprefix(_MODEL): values for part, values in arrays.items() if part.startswith(_MODEL)}
    if not model:
        raise StoreError("it holds no model", doing="loading a model", subject=path, hint=again)
    return Checkpoint(name, version, model, arrays.get(_SEEN, np.zeros(0, dtype=np.int64)), metadata)


def read_metadata(workspace: Workspace, name: str, version: int) -> dict[str, Any]:
    """What a version's JSON file holds; raises OSError or ValueError."""
    return json_records.from_json(dict[str, Any], _metadata_path(workspace, name, version).read_bytes())


def current(workspace: Workspace, name: str) -> int | None:
    """The version that recommends; None when no version has been promoted yet.

    Raises:
        StoreError: the file that names it is damaged, or names a version that is gone.
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
        raise StoreError(f"{name} has no version {version}", doing="choosing a model", subject=workspace.models)
    values = {"version": version, "since": utc_now(), "reason": reason}
    atomic.write_text(_current_path(workspace, name), json.dumps(values) + "\n")


def _files(workspace: Workspace, name: str) -> Iterator[tuple[int, str]]:
    """(version, end of its name) of every file of a model."""
    for path in workspace.models.glob(f"{name}_v*"):
        match = _FILE.fullmatch(path.name)
        if match and match["name"] == name:
            yield int(match["version"]), match[3]


def _flat(values: Any) -> dict[str, np.ndarray]:
    """The arrays of a PyTorch file of version 0.1, named as in an .npz file."""
    match values:
        case {"model": dict(model), **rest}:
            arrays = {f"{_MODEL}{part}": np.asarray(tensor) for part, tensor in model.items()}
            return arrays | {_SEEN: np.asarray(rest.get("seen", []), dtype=np.int64)}
    return {}


def _metadata_path(workspace: Workspace, name: str, version: int) -> Path:
    return workspace.models / f"{name}_v{version}_metadata.json"


def _current_path(workspace: Workspace, name: str) -> Path:
    return workspace.models / f"{name}_current.json"


def default_task(kind: str) -> PickTask | CropTask:
    """How a model of this kind is made by default; raises UsageError when the kind does not exist."""
    if require_kind(kind) == "ranker":
        from pickroom.learn.picks.task import PickTask

        return PickTask()
    from pickroom.learn.crops.model import CropTask

    return CropTask()


def model_of(checkpoint: Checkpoint) -> Any:
    """A version's model; raises StoreError when this program cannot use it."""
    try:
        return default_task(checkpoint.name).rebuild(checkpoint.model, checkpoint.metadata)
    except (AttributeError, TypeError) as error:  # its metadata holds settings that this program does not write
        raise StoreError(
            f"{checkpoint.name} {checkpoint.label} does not fit this version ({error})",
            doing="loading a model",
            hint=f"train again: pickroom train {checkpoint.name}",
        ) from error


@dataclass(frozen=True, slots=True)
class Loaded:
    """One model, or the reason why none recommends."""

    kind: Kind
    model: Any = None  # a `PickModel`, with what was learned since its version, or a `CropModel`; None with a reason
    version: str | None = None  # as recommendations name it, "v3"; None without a model
    reason: str = ""
    damaged: bool = False  # True: the reason is a fault; False: no version has been promoted yet


def load_model(project: Project, kind: Kind) -> Loaded:
    """The current version of a model, if its features are made as this program makes them for this project."""
    try:
        checkpoint = load_current(project.workspace, kind)
        if checkpoint is None:
            return Loaded(kind, reason=f"no {kind} has been trained that beats its baselines")
        if project.manifest.encoder is None:
            return Loaded(kind, reason=f"there are no vectors yet: pickroom embed {project.id}")
        from pickroom.learn.picks import current as learning

        model = model_of(checkpoint)
        checkpoint.require_features(default_task(kind).feature_hash, project.manifest.encoder)
        if kind == "ranker" and (state := learning.read_state(project.workspace)) is not None:
            trained = checkpoint.metadata["features"]
            if (state.version, state.features, state.encoder) == (checkpoint.version, *trained.values()):
                model = state.learner.model or model  # it has learned on since the version was written
        return Loaded(kind, model, checkpoint.label)
    except (ConflictError, StoreError) as error:
        return Loaded(kind, reason=error.what, damaged=True)
