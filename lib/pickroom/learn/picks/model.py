"""A ranker in use: features in, picks and calibrated confidences out; and how one is fitted, scored and judged.

Training and recommending meet here (DESIGN.md, invariant 5): both go through `PickTask.features`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from pickroom.features.candidates import Candidates
from pickroom.features.pick_features import PickFeatureConfig, PickFeatures, pick_features
from pickroom.features.sources import FeatureSources
from pickroom.learn import metrics
from pickroom.learn.calibration import Calibration, fit_calibration
from pickroom.learn.examples import Pick, Progress
from pickroom.learn.picks.prior_shift import adapted
from pickroom.learn.picks.ranker import Ranker, RankerConfig, fit_ranker, pick_weights
from pickroom.learn.tasks import Baselines, Evidence
from pickroom.learn.training_sets import Kind

NAME: Kind = "ranker"


@dataclass(frozen=True, slots=True)
class PickPrediction:
    """What a ranker says of N groups; rows without features have index -1 and NaN.

    Attributes:
        index: (N,) int64: the likeliest candidate.
        confidence: (N,) float64 in [0, 1]: the calibrated probability that a person picks it.
        probabilities: (N, 4) float64: before calibration, NaN where there is no candidate.
        lower: (N,) bool: a lower stage than the highest was picked.
        spread: (N,) float64: disagreement of the ensemble.
    """

    index: np.ndarray
    confidence: np.ndarray
    probabilities: np.ndarray
    lower: np.ndarray
    spread: np.ndarray


@dataclass(frozen=True, slots=True)
class PickModel:
    """A trained ranker with its calibration."""

    ranker: Ranker
    calibration: Calibration = field(default_factory=Calibration)

    def pick(self, items: Sequence[Candidates], features: PickFeatures) -> PickPrediction:
        """Pick from each group; `items` are those the features were made of.

        How often a project's highest stages are passed over is read off all its groups that are asked about.
        """
        raw = self.ranker.probabilities(features)
        probabilities = adapted(raw, features.stage, [item.project_id for item in items], self.ranker.prior)
        known = features.mask.any(axis=1)
        probabilities[~features.mask] = np.nan
        index = np.where(known, np.nan_to_num(probabilities, nan=-1.0).argmax(axis=1), -1)
        lower = np.array([_is_lower(item, i) for item, i in zip(items, index.tolist(), strict=True)], dtype=bool)
        best = np.where(known, np.nan_to_num(probabilities, nan=0.0).max(axis=1), np.nan)
        spread = np.where(known, self.ranker.spread(features).astype(np.float64), np.nan)
        return PickPrediction(index, self.calibration(best, lower), probabilities, lower, spread)

    def state(self) -> dict[str, np.ndarray]:
        return self.ranker.state()

    def describe(self) -> dict[str, Any]:
        """What `rebuild` needs besides the arrays, as JSON."""
        return {"model": self.ranker.describe(), "calibration": self.calibration.to_dict()}


@dataclass(frozen=True, slots=True)
class PickTask:
    """How a ranker is made of picks, and held against its baselines.

    Attributes:
        anomaly_weights: of a group where a lower stage was picked, >= 1; of several, the best one on the rows that
            calibrate is kept, and all are reported.
    """

    features_config: PickFeatureConfig = field(default_factory=PickFeatureConfig)
    config: RankerConfig = field(default_factory=RankerConfig)
    anomaly_weights: tuple[float, ...] = (1.0,)  # measured: docs/LOG.md, Picks

    name = NAME
    unit = "groups"

    @property
    def settings(self) -> tuple[float, ...]:
        """What is tried, one fit each."""
        return self.anomaly_weights

    @property
    def feature_hash(self) -> str:
        return self.features_config.hash

    def to_dict(self) -> dict[str, Any]:
        return {"ranker": asdict(self.config), "anomaly_weights": list(self.anomaly_weights)}

    @property
    def seed(self) -> int:
        return self.config.seed

    def features(
        self, examples: Sequence[Pick], sources: FeatureSources, progress: Callable[[int, int], None] | None = None
    ) -> PickFeatures:
        return pick_features([e.candidates for e in examples], sources, self.features_config, progress)

    def fit(
        self,
        examples: Sequence[Pick],
        features: PickFeatures,
        setting: float,
        progress: Progress,
        resume: Mapping[str, np.ndarray] | None,
        device: str,
    ) -> PickModel:
        """Train on these rows, in seconds: there is nothing to resume, and only the CPU."""
        chosen = np.array([example.chosen for example in examples], dtype=np.int64)
        weights = pick_weights(examples, setting)
        return PickModel(fit_ranker(features, chosen, weights, self.config, progress))

    def rebuild(self, state: Mapping[str, np.ndarray], description: Mapping[str, Any]) -> PickModel:
        """A model of its state and description; raises StoreError when this program cannot use it."""
        ranker = Ranker.from_state(state, description.get("model", {}))
        return PickModel(ranker, Calibration(**description.get("calibration", {})))

    def judged(self, examples: Sequence[Pick]) -> np.ndarray:
        """Every group."""
        return np.arange(len(examples))

    def evidence(self, model: PickModel, examples: Sequence[Pick], features: PickFeatures) -> Evidence:
        """How the raw picks do; judged by top-1, and between equals by the log loss."""
        picked = PickModel(model.ranker).pick([e.candidates for e in examples], features)
        right = metrics.chosen_right(examples, picked.probabilities)
        losses = metrics.log_losses(examples, picked.probabilities)
        return Evidence(picked.confidence, right, picked.lower, right, losses)

    def calibrated(self, model: PickModel, evidence: Evidence) -> PickModel:
        """The same picks, with confidences fitted on evidence."""
        return PickModel(model.ranker, fit_calibration(evidence.raw, evidence.right, evidence.lower))

    def baselines(
        self, train: Sequence[Pick], train_features: PickFeatures, examples: Sequence[Pick], features: PickFeatures
    ) -> Baselines:
        """Judged by top-1; nothing is learned from `train`."""
        found = {"highest stage": metrics.highest_stage_right(examples), "chance": metrics.chance_right(examples)}
        scored = {name: metrics.score_picks(examples, right).to_dict() for name, right in found.items()}
        return Baselines(found, scored)

    def score(self, model: PickModel, examples: Sequence[Pick], features: PickFeatures) -> dict[str, Any]:
        """Every metric on these rows, as JSON."""
        picked = model.pick([e.candidates for e in examples], features)
        right = metrics.chosen_right(examples, picked.probabilities)
        losses = metrics.log_losses(examples, picked.probabilities)
        return {
            **metrics.score_picks(examples, right).to_dict(),
            "log_loss": float(losses.mean()) if len(losses) else None,
            "calibration_error": metrics.calibration_error(picked.confidence, right),
            "calibration": metrics.calibration_rows(picked.confidence, right),
            "rolling_100": metrics.rolling_in_time(examples, right)[-1] if len(right) else None,
        }

    def plain(self, scored: Mapping[str, Any], baselines: Mapping[str, Mapping[str, Any]]) -> str:
        """How good it is, in one plain sentence, beside "highest stage"; both as `score` and `baselines` say."""
        own, highest = scored["overall"], baselines["highest stage"]["overall"]
        return (
            f"right in {own['right']:.0f} of {own['of']} groups it had not seen; "
            f"highest stage: {highest['right']:.3g} of {highest['of']}"
        )

    def words(self, scored: Mapping[str, Any]) -> str:
        """One line of a score, as `score` or a baseline gives it."""
        parts = [f"{name} {_rate_words(scored[name])}" for name in ("overall", "normal", "anomaly")]
        if scored.get("calibration_error") is not None:
            parts.append(f"calibration error {scored['calibration_error']:.3f}")
        return "; ".join(parts)


def _rate_words(rate: Mapping[str, Any]) -> str:
    return metrics.Rate(rate["right"], rate["of"]).words


def _is_lower(item: Candidates, index: int) -> bool:
    known = [stage for stage in item.stages if stage is not None]
    if index < 0 or len(known) < len(item.stages):
        return False
    return known[index] < max(known)
