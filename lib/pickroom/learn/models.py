"""The default task of each kind of model, and the models that recommend for a project now.

The modules that make models are imported only where there is a model: a baseline needs none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pickroom.core.errors import ConflictError, StoreError
from pickroom.learn import checkpoints
from pickroom.learn.checkpoints import Checkpoint
from pickroom.learn.training_sets import Kind, require_kind
from pickroom.store.workspace import Project

if TYPE_CHECKING:
    from pickroom.learn.crops.model import CropTask
    from pickroom.learn.picks.task import PickTask


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


def load(project: Project, kind: Kind) -> Loaded:
    """The current version of a model, if its features are made as this program makes them for this project."""
    try:
        checkpoint = checkpoints.load_current(project.workspace, kind)
        if checkpoint is None:
            return Loaded(kind, reason=f"no {kind} has been trained that beats its baselines")
        if project.manifest.encoder is None:
            return Loaded(kind, reason=f"there are no vectors yet: pickroom embed {project.id}")
        from pickroom.learn.picks import current

        model = model_of(checkpoint)
        checkpoint.require_features(default_task(kind).feature_hash, project.manifest.encoder)
        if kind == "ranker" and (state := current.read_state(project.workspace)) is not None:
            trained = checkpoint.metadata["features"]
            if (state.version, state.features, state.encoder) == (checkpoint.version, *trained.values()):
                model = state.learner.model or model  # it has learned on since the version was written
        return Loaded(kind, model, checkpoint.label)
    except (ConflictError, StoreError) as error:
        return Loaded(kind, reason=error.what, damaged=True)
