"""What the two models have in common: how one is made and judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np

from pickroom.features.sources import FeatureSources
from pickroom.learn.examples import Progress
from pickroom.learn.training_sets import Kind


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a model says of N rows that it was not fitted on, compared with the person's own choice.

    The rows are those of `TrainingTask.judged`, in its order: not every row that is asked about can be judged.

    Attributes:
        raw: (N,) confidences before calibration; right: (N,) whether the person agreed.
        figures: (N,) what a version is judged by; losses: (N,) what decides between equals, the lower the better.
    """

    raw: np.ndarray
    right: np.ndarray
    figures: np.ndarray
    losses: np.ndarray

    @classmethod
    def joined(cls, pieces: Sequence[Evidence]) -> Evidence:
        """Several as one; nothing of none."""
        names = [field.name for field in fields(cls)]
        return cls(*(np.concatenate([np.zeros(0), *(getattr(p, name) for p in pieces)]) for name in names))

    @property
    def figure(self) -> float:
        return float(self.figures.mean()) if len(self.figures) else 0.0

    @property
    def tie_break(self) -> float:
        return -float(self.losses.mean()) if len(self.losses) else 0.0


@dataclass(frozen=True, slots=True)
class Baselines:
    """What a version has to beat, learned from the same rows as it and asked about the same others."""

    judged: dict[str, np.ndarray]  # name -> (N,) figures, row by row as those of `Evidence`
    scored: dict[str, Any]  # name -> every metric, as JSON


class Task(Protocol):
    """How a model of one kind is held against its baselines and reported; `PickTask` says more."""

    @property
    def name(self) -> Kind: ...

    @property
    def unit(self) -> str: ...

    @property
    def feature_hash(self) -> str: ...

    @property
    def seed(self) -> int: ...

    def to_dict(self) -> dict[str, Any]: ...

    def features(
        self, examples: Sequence[Any], sources: FeatureSources, progress: Callable[[int, int], None] | None = None
    ) -> Any: ...

    def rebuild(self, state: Mapping[str, np.ndarray], description: Mapping[str, Any]) -> Any: ...

    def plain(self, scored: Mapping[str, Any], baselines: Mapping[str, Mapping[str, Any]]) -> str: ...

    def words(self, scored: Mapping[str, Any]) -> str: ...


class TrainingTask(Task, Protocol):
    """How a model is fitted on one part of the examples and evaluated on the rest: the crop model."""

    def fit(self, examples: Sequence[Any], features: Any, progress: Progress) -> Any: ...

    def evidence(self, model: Any, examples: Sequence[Any], features: Any) -> Evidence: ...

    def baselines(
        self, train: Sequence[Any], train_features: Any, examples: Sequence[Any], features: Any
    ) -> Baselines: ...

    def score(self, model: Any, examples: Sequence[Any], features: Any) -> dict[str, Any]: ...

    def judged(self, examples: Sequence[Any]) -> np.ndarray:
        """(n,) int64: the examples that `evidence` and `baselines` have figures of, in their order."""
        ...

    def calibrated(self, model: Any, evidence: Evidence) -> Any: ...
