"""The models that may recommend for a project now, or why there are none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pickroom.core.errors import ConflictError, StoreError
from pickroom.learn import checkpoints
from pickroom.learn.tasks import model_of, recipe_of
from pickroom.learn.training_sets import Kind
from pickroom.store.workspace import Project


@dataclass(frozen=True, slots=True)
class Loaded:
    """One model, or why it says nothing.

    Attributes:
        model: a picking.Picker or a boxing.Boxer; None with a reason.
        version: as recommendations name it, "v3"; None without a model.
        damaged: the reason is a fault, not that no version has earned it yet.
    """

    kind: Kind
    model: Any = None
    version: str | None = None
    reason: str = ""
    damaged: bool = False


def load(project: Project, kind: Kind) -> Loaded:
    """The current version of a model, if its features are made just as this program makes them for this project."""
    try:
        checkpoint = checkpoints.load_current(project.workspace, kind)
        if checkpoint is None:
            return Loaded(kind, reason=f"no {kind} has been trained that beats its baselines")
        if project.manifest.encoder is None:
            return Loaded(kind, reason=f"there are no vectors yet: pickroom embed {project.id}")
        checkpoint.require_features(recipe_of(kind).feature_hash, project.manifest.encoder)
        return Loaded(kind, model_of(checkpoint), checkpoint.label)
    except (ConflictError, StoreError) as error:
        return Loaded(kind, reason=error.what, damaged=True)
