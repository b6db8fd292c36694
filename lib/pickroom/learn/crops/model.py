"""The crop model: predict boxes and calibrated confidences from features; fit, score and compare models.

Training and recommending both use `crop_features` (DESIGN.md, invariant 5).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logit

from pickroom.core.geometry import CONSTANT_CROP
from pickroom.features.sources import FeatureSources
from pickroom.learn import metrics
from pickroom.learn.crops.features import FEATURE_HASH, CropFeatures, crop_features
from pickroom.learn.crops.fitting import fit_crops, fit_logistic
from pickroom.learn.crops.proposer import FULL_FRAME, CropConfig, CropProposer, is_crop, unit
from pickroom.learn.examples import CropExample, Progress
from pickroom.learn.metrics import ious, rate, rate_words
from pickroom.learn.training_sets import Kind

_CLIP = 1e-4  # a raw confidence of 0 or 1 has no logit
_RIDGE = np.array([1.0, 4.0])  # priors of bias and slope, about 0 and 1: 1 / variance, in logits
_LEAST_SLOPE = 0.05  # a higher confidence must never mean a lower probability
LEAST_ROWS = 10  # with fewer the raw confidence is kept


@dataclass(frozen=True, slots=True)
class Calibration:
    """Confidence as the probability that a box is the user's: logit(p) = bias + slope x logit(raw).

    Platt scaling (Platt 1999), with priors that keep the raw confidence until there is evidence. It never changes a
    box.
    """

    bias: float = 0.0
    slope: float = 1.0
    lower: float = 0.0  # 0; earlier versions of Pickroom added it where a lower stage was picked
    rows: int = 0  # it was fitted on

    def __call__(self, raw: np.ndarray) -> np.ndarray:
        """(N,) calibrated probabilities of (N,) raw confidences in [0, 1]."""
        return expit(self.bias + self.slope * _logit(raw))


def fit_calibration(raw: np.ndarray, right: np.ndarray) -> Calibration:
    """The most probable scaling given some rows.

    Args:
        raw: (N,) confidences in [0, 1].
        right: (N,) bool: whether the user agreed.
    """
    if len(raw) < LEAST_ROWS:
        return Calibration(rows=len(raw))
    inputs = np.stack([np.ones(len(raw)), _logit(raw)], axis=1)
    found = fit_logistic(inputs, right, np.array([0.0, 1.0]), _RIDGE, np.array([-np.inf, _LEAST_SLOPE]))
    bias, slope = (round(float(value), 6) for value in found)
    return Calibration(bias, slope, rows=len(raw))


def _logit(values: np.ndarray) -> np.ndarray:
    return logit(np.clip(np.asarray(values, dtype=np.float64), _CLIP, 1 - _CLIP))


_SAMPLE = 2000  # crops to search the best constant box on: more would hardly move the mean
_CHUNK = 1024  # rows of the similarity matrix at a time


def baseline_boxes(train: CropFeatures, boxes: np.ndarray, features: CropFeatures) -> dict[str, np.ndarray]:
    """Name -> (N, 4) float32 boxes of each baseline for N images.

    Args:
        train: features of M images, and their crops (M, 4) float32 as fractions, none NaN.
    """
    return {
        "constant": np.repeat(best_constant(boxes)[None], len(features), axis=0),
        "full_frame": np.tile(np.array([0, 0, 1, 1], dtype=np.float32), (len(features), 1)),
        "nearest": nearest_past(train, boxes, features),
    }


def best_constant(boxes: np.ndarray) -> np.ndarray:
    """(4,) float32: the one box with the highest mean IoU to (M, 4) boxes; LESSONS.md's where there are none.

    By the simplex method (Nelder & Mead 1965), since the mean IoU has hardly any gradient at its maximum.
    """
    if not len(boxes):
        return np.array(CONSTANT_CROP.to_list(), dtype=np.float32)
    known = np.asarray(boxes, dtype=np.float64)
    if len(known) > _SAMPLE:
        known = known[np.random.RandomState(0).permutation(len(known))[:_SAMPLE]]

    def cost(box: np.ndarray) -> float:
        return 0.0 if (box[:2] >= box[2:]).any() else -float(ious(np.broadcast_to(box, known.shape), known).mean())

    options = {"xatol": 1e-4, "fatol": 1e-6}  # of the image, and of the mean IoU
    found = minimize(cost, np.median(known, axis=0), method="Nelder-Mead", bounds=[(0, 1)] * 4, options=options)
    return found.x.astype(np.float32)


def nearest_past(train: CropFeatures, boxes: np.ndarray, features: CropFeatures) -> np.ndarray:
    """(N, 4) float32: the crop of the image whose vector is most similar (cosine, the mean vector taken out)."""
    if not len(train):
        return np.tile(best_constant(boxes), (len(features), 1))
    mean = train.vector.mean(axis=0)
    past, here = (unit(vectors - mean) for vectors in (train.vector, features.vector))
    starts = range(0, len(here), _CHUNK)
    nearest = [(here[start : start + _CHUNK] @ past.T).argmax(axis=1) for start in starts]
    return np.asarray(boxes, np.float32)[np.concatenate([np.zeros(0, dtype=np.int64), *nearest])]


NAME: Kind = "crop_proposer"
MARK = 0.7  # the mean IoU that counts as success


@dataclass(frozen=True, slots=True)
class Evidence:
    """A model's predictions for N rows that it was not fitted on, compared with the user's choices.

    The rows are those of `CropTask.judged`, in its order: not every predicted row can be judged.

    Attributes:
        raw: (N,) confidences before calibration; right: (N,) whether the user agreed.
        figures: (N,) the score that a version is judged by; losses: (N,) the tie-break, lower is better.
    """

    raw: np.ndarray
    right: np.ndarray
    figures: np.ndarray
    losses: np.ndarray


@dataclass(frozen=True, slots=True)
class CropPrediction:
    """A crop proposer's predictions for N images; NaN in rows without features."""

    boxes: np.ndarray  # (N, 4) float32, [x1, y1, x2, y2] as fractions: where the crop lies if one is made
    needed: np.ndarray  # (N,) float32: the chance that the user crops at all
    confidence: np.ndarray  # (N,) float64 in [0, 1]: the calibrated probability that every corner is within 5 %

    @property
    def offered(self) -> np.ndarray:
        """(N, 4) float32: the boxes that the user is offered: the full frame where no crop is predicted."""
        return np.where(self.needed[:, None] < 0.5, np.asarray(FULL_FRAME, np.float32), self.boxes)


@dataclass(frozen=True, slots=True)
class CropModel:
    """A trained crop proposer with its calibration."""

    proposer: CropProposer
    calibration: Calibration = field(default_factory=Calibration)
    # whether its answer "a crop or none" is used (`training.evaluate_crop_gate`), or only its boxes
    gate_enabled: bool = True

    def box(self, features: CropFeatures) -> CropPrediction:
        """A box for each image."""
        boxes, needed, raw = self.proposer.predict(features)
        return CropPrediction(boxes, needed, self.calibration(raw))


@dataclass(frozen=True, slots=True)
class CropTask:
    """How a crop proposer is made from the user's crops, and compared with its baselines."""

    config: CropConfig = field(default_factory=CropConfig)

    name = NAME
    unit = "images"
    feature_hash = FEATURE_HASH

    def features(
        self,
        examples: Sequence[CropExample],
        sources: FeatureSources,
        progress: Callable[[int, int], None] | None = None,
    ) -> CropFeatures:
        return crop_features(examples, sources)

    def fit(self, examples: Sequence[CropExample], features: CropFeatures, progress: Progress) -> CropModel:
        """Train on these rows, in seconds, on the CPU."""
        return CropModel(fit_crops(features, drawn_boxes(examples), self.config, progress))

    def rebuild(self, state: Mapping[str, np.ndarray], description: Mapping[str, Any]) -> CropModel:
        """A model of its state and description; raises StoreError when this program cannot use it."""
        proposer = CropProposer.from_state(state, description.get("model", {}))
        judged = description.get("verdict", {}).get("crop_or_none", {})  # absent in versions made before it was judged
        return CropModel(proposer, Calibration(**description.get("calibration", {})), judged.get("counts", True))

    def judged(self, examples: Sequence[CropExample]) -> np.ndarray:
        """Images that the user cropped: the others have no box to compare with."""
        return np.flatnonzero(is_crop(drawn_boxes(examples)))

    def evidence(self, model: CropModel, examples: Sequence[CropExample], features: CropFeatures) -> Evidence:
        """Scores of the raw boxes on images that the user cropped: by IoU, then by the distance of the corners."""
        rows = self.judged(examples)
        boxed = CropModel(model.proposer).box(features.take(rows))
        meant = metrics.boxes_of([examples[row] for row in rows.tolist()])
        right = metrics.within_corners(boxed.boxes, meant).astype(np.float64)
        distance = np.abs(boxed.boxes - meant).max(axis=1) if len(rows) else np.zeros(0)
        return Evidence(boxed.confidence, right, metrics.ious(boxed.boxes, meant), distance)

    def baselines(
        self,
        train: Sequence[CropExample],
        train_features: CropFeatures,
        examples: Sequence[CropExample],
        features: CropFeatures,
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Name -> (N,) figures of the rows of `evidence`, judged by IoU; and name -> every metric of them, as JSON."""
        rows = self.judged(examples)
        own = [examples[row] for row in rows.tolist()]
        meant = metrics.boxes_of(own)
        boxes = drawn_boxes(train)
        cropped = np.flatnonzero(is_crop(boxes))
        found = baseline_boxes(train_features.take(cropped), boxes[cropped], features.take(rows))
        judged = {name: metrics.ious(some, meant) for name, some in found.items()}
        return judged, {name: self._scored(some, meant, own) for name, some in found.items()}

    def score(self, model: CropModel, examples: Sequence[CropExample], features: CropFeatures) -> dict[str, Any]:
        """Every metric on these rows, as JSON: of the boxes, on images that were cropped; of the need, on all."""
        drawn = drawn_boxes(examples)
        boxed = model.box(features)
        cropped = is_crop(drawn)
        boxes, meant = boxed.boxes[cropped], metrics.boxes_of(examples)[cropped]
        agreed = (boxed.needed >= 0.5) == cropped
        confidence, right = boxed.confidence[cropped], metrics.within_corners(boxes, meant)
        scored = self._scored(boxes, meant, [e for e, c in zip(examples, cropped, strict=True) if c])
        return {
            **scored,
            "mark": {"mean_iou": MARK, "reached": scored["mean_iou"] is not None and scored["mean_iou"] >= MARK},
            "need": rate(float(agreed.sum()), len(agreed)),
            "need_without_asking": rate(float(max(cropped.sum(), (~cropped).sum())), len(agreed)),
            "no_crop_found": rate(float((agreed & ~cropped).sum()), int((~cropped).sum())),
            "calibration_error": metrics.calibration_error(confidence, right),
            "calibration": metrics.calibration_rows(confidence, right),
        }

    def plain(self, scored: Mapping[str, Any], baselines: Mapping[str, Mapping[str, Any]]) -> str:
        """How good it is, in one plain sentence, next to the best constant box; both as `score` and `baselines` say."""
        if not scored["count"]:
            return "no crop to compare with among what it had not seen"
        own, same = scored["within_5"], baselines["constant"]["within_5"]
        return (
            f"its box fits {own['right']:.0f} of {own['of']} crops it had not seen "
            f"(every corner within 5 %), the same box for all {same['right']:.0f}"
        )

    def words(self, scored: Mapping[str, Any]) -> str:
        """One line of a score, as `score` or a baseline gives it."""
        if not scored["count"]:
            return "no crop to compare with"
        parts = [
            f"IoU {scored['mean_iou']:.3f} (median {scored['median_iou']:.3f})",
            f"0.85 or more {scored['iou_85']['value']:.3f}",
            f"within 5 % {rate_words(scored['within_5'])}",
            f"centre off by {scored['centre_distance']:.3f}",
        ]
        if "need" in scored:
            same = scored["need_without_asking"]["value"]
            parts.append(f"crop or none {scored['need']['value']:.3f} (the same answer for all: {same:.3f})")
        stages = scored.get("by_stage", {})
        if "need" in scored and len(stages) > 1:
            parts += [f"stage {name} IoU {one['mean_iou']:.3f} (n {one['count']})" for name, one in stages.items()]
        if "mark" in scored:
            reached = "reached" if scored["mark"]["reached"] else "not reached"
            parts.append(f"the success mark, a mean IoU of {scored['mark']['mean_iou']:g}, is {reached}")
        return ", ".join(parts)

    def _scored(self, boxes: np.ndarray, meant: np.ndarray, examples: Sequence[CropExample]) -> dict[str, Any]:
        stages = ["unknown" if e.stage is None else f"{e.stage:g}" for e in examples]
        projects = [e.project_id for e in examples]
        return {
            **metrics.score_crops(boxes, meant),
            "by_stage": metrics.score_crops_by(boxes, meant, stages),
            "by_project": metrics.score_crops_by(boxes, meant, projects),
        }


def drawn_boxes(examples: Sequence[CropExample]) -> np.ndarray:
    """(N, 4) float32: the user's boxes; NaN rows where the image was approved as it is."""
    nothing = [np.nan] * 4
    rows = [e.box.to_list() if e.box is not None else nothing for e in examples]
    return np.array(rows, dtype=np.float32).reshape(-1, 4)
