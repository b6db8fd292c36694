"""A crop proposer in use: features in, boxes and calibrated confidences out; and how one is fitted, scored and judged.

Training and recommending meet here (DESIGN.md, invariant 5): both go through `crop_features`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from pickroom.features.sources import FeatureSources
from pickroom.learn import metrics
from pickroom.learn.calibration import Calibration, fit_calibration
from pickroom.learn.crops import baselines
from pickroom.learn.crops.features import FEATURE_HASH, CropFeatures, crop_features
from pickroom.learn.crops.fitting import fit_crops
from pickroom.learn.crops.proposer import FULL_FRAME, CropConfig, CropProposer, is_crop
from pickroom.learn.examples import CropExample, Progress
from pickroom.learn.metrics import Rate
from pickroom.learn.tasks import Baselines, Evidence
from pickroom.learn.training_sets import Kind

NAME: Kind = "crop_proposer"
MARK = 0.7  # the mean IoU that counts as success


@dataclass(frozen=True, slots=True)
class CropPrediction:
    """What a crop proposer says of N images; NaN in rows without features."""

    boxes: np.ndarray  # (N, 4) float32, [x1, y1, x2, y2] as fractions: where the crop lies if one is made
    needed: np.ndarray  # (N,) float32: the chance that the person crops at all
    confidence: np.ndarray  # (N,) float64 in [0, 1]: the calibrated probability that every corner is within 5 %

    @property
    def offered(self) -> np.ndarray:
        """(N, 4) float32: what the person is offered: the full frame where no crop is thought to be needed."""
        return np.where(self.needed[:, None] < 0.5, np.asarray(FULL_FRAME, np.float32), self.boxes)


@dataclass(frozen=True, slots=True)
class CropModel:
    """A trained crop proposer with its calibration."""

    proposer: CropProposer
    calibration: Calibration = field(default_factory=Calibration)
    # whether its "a crop or none" counts (`promotion.evaluate_crop_gate`); else only its boxes do
    gate_enabled: bool = True

    def box(self, features: CropFeatures) -> CropPrediction:
        """A box for each image."""
        boxes, needed, raw = self.proposer.predict(features)
        return CropPrediction(boxes, needed, self.calibration(raw))

    def state(self) -> dict[str, np.ndarray]:
        return dict(self.proposer.arrays)

    def describe(self) -> dict[str, Any]:
        """What `rebuild` needs besides the arrays, as JSON."""
        return {"model": self.proposer.describe(), "calibration": self.calibration.to_dict()}


@dataclass(frozen=True, slots=True)
class CropTask:
    """How a crop proposer is made of a person's crops, and held against its baselines."""

    config: CropConfig = field(default_factory=CropConfig)

    name = NAME
    unit = "images"
    feature_hash = FEATURE_HASH

    def to_dict(self) -> dict[str, Any]:
        return {"cropper": asdict(self.config)}

    @property
    def seed(self) -> int:
        return self.config.seed

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
        """Images that the person cropped: of others there is no box to compare with."""
        return np.flatnonzero(is_crop(drawn_boxes(examples)))

    def evidence(self, model: CropModel, examples: Sequence[CropExample], features: CropFeatures) -> Evidence:
        """How the raw boxes do on images that the person cropped; judged by IoU, then by the corners' distance."""
        rows = self.judged(examples)
        boxed = CropModel(model.proposer).box(features.take(rows))
        meant = metrics.boxes_of([examples[row] for row in rows.tolist()])
        right = metrics.within_corners(boxed.boxes, meant).astype(np.float64)
        distance = np.abs(boxed.boxes - meant).max(axis=1) if len(rows) else np.zeros(0)
        return Evidence(boxed.confidence, right, metrics.ious(boxed.boxes, meant), distance)

    def calibrated(self, model: CropModel, evidence: Evidence) -> CropModel:
        """The same boxes, with confidences fitted on evidence."""
        return CropModel(model.proposer, fit_calibration(evidence.raw, evidence.right))

    def baselines(
        self,
        train: Sequence[CropExample],
        train_features: CropFeatures,
        examples: Sequence[CropExample],
        features: CropFeatures,
    ) -> Baselines:
        """Of the images that the person cropped, as `evidence` has them: judged by IoU."""
        rows = self.judged(examples)
        own = [examples[row] for row in rows.tolist()]
        meant = metrics.boxes_of(own)
        boxes = drawn_boxes(train)
        cropped = np.flatnonzero(is_crop(boxes))
        found = baselines.every(train_features.take(cropped), boxes[cropped], features.take(rows))
        return Baselines(
            {name: metrics.ious(some, meant) for name, some in found.items()},
            {name: self._scored(some, meant, own) for name, some in found.items()},
        )

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
            "need": Rate(float(agreed.sum()), len(agreed)).to_dict(),
            "need_without_asking": Rate(float(max(cropped.sum(), (~cropped).sum())), len(agreed)).to_dict(),
            "no_crop_found": Rate(float((agreed & ~cropped).sum()), int((~cropped).sum())).to_dict(),
            "calibration_error": metrics.calibration_error(confidence, right),
            "calibration": metrics.calibration_rows(confidence, right),
        }

    def plain(self, scored: Mapping[str, Any], baselines: Mapping[str, Mapping[str, Any]]) -> str:
        """How good it is, in one plain sentence, beside the best constant box; both as `score` and `baselines` say."""
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
            f"within 5 % {Rate(scored['within_5']['right'], scored['within_5']['of']).words}",
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
            **metrics.score_crops(boxes, meant).to_dict(),
            "by_stage": {n: s.to_dict() for n, s in metrics.score_crops_by(boxes, meant, stages).items()},
            "by_project": {n: s.to_dict() for n, s in metrics.score_crops_by(boxes, meant, projects).items()},
        }


def drawn_boxes(examples: Sequence[CropExample]) -> np.ndarray:
    """(N, 4) float32: the person's boxes; NaN rows where the image was approved as it is."""
    nothing = [np.nan] * 4
    rows = [e.box.to_list() if e.box is not None else nothing for e in examples]
    return np.array(rows, dtype=np.float32).reshape(-1, 4)
