"""Confidence as a probability: how often a pick, or a box, of this confidence is the person's. Pure.

Platt's scaling (Platt 1999) with priors that keep it at "as it is" until there is evidence: a logistic of the raw
confidence's logit, and of whether a lower stage was picked, since a ranker that weighs anomalies more is too sure of
just those. It never changes what is picked. Fitted on rows that were not trained on.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

_CLIP = 1e-4  # a raw confidence of 0 or 1 has no logit
_BIAS_SD, _SLOPE_SD, _LOWER_SD = 1.0, 0.5, 1.0  # of the priors, about 0, 1 and 0, in logits
_LEAST_SLOPE = 0.05  # more confident must never mean less probable
LEAST_ROWS = 10  # fewer say nothing: the raw confidence stays


@dataclass(frozen=True, slots=True)
class Calibration:
    """logit(p) = bias + slope x logit(raw) + lower x [a lower stage was picked]; the default changes nothing.

    Attributes:
        rows: it was fitted on.
    """

    bias: float = 0.0
    slope: float = 1.0
    lower: float = 0.0
    rows: int = 0

    def __call__(self, raw: np.ndarray, lower: np.ndarray | None = None) -> np.ndarray:
        """(N,) calibrated probabilities of (N,) raw confidences in [0, 1]."""
        logits = self.bias + self.slope * _logit(raw)
        if lower is not None:
            logits = logits + self.lower * np.asarray(lower, dtype=np.float64)
        return 1 / (1 + np.exp(-logits))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def fit_calibration(raw: np.ndarray, right: np.ndarray, lower: np.ndarray | None = None) -> Calibration:
    """The most probable scaling given some rows.

    Args:
        raw: (N,) confidences in [0, 1].
        right: (N,) bool: whether the person agreed.
        lower: (N,) bool: whether a lower stage was picked; None where that has no meaning.
    """
    if len(raw) < LEAST_ROWS:
        return Calibration(rows=len(raw))
    from scipy.optimize import minimize

    logits, target = _logit(raw), np.asarray(right, dtype=np.float64)
    below = np.zeros(len(raw)) if lower is None else np.asarray(lower, dtype=np.float64)
    inputs = np.stack([np.ones(len(raw)), logits, below], axis=1)
    centre, scale = np.array([0.0, 1.0, 0.0]), np.array([_BIAS_SD, _SLOPE_SD, _LOWER_SD])

    def cost(weights: np.ndarray) -> tuple[float, np.ndarray]:
        score = inputs @ weights
        pull = (weights - centre) / scale
        loss = np.logaddexp(0, score).sum() - (target * score).sum() + 0.5 * (pull**2).sum()
        return float(loss), inputs.T @ (1 / (1 + np.exp(-score)) - target) + pull / scale

    bounds = [(None, None), (_LEAST_SLOPE, None), (None, None) if lower is not None else (0.0, 0.0)]
    found = minimize(cost, centre, jac=True, method="L-BFGS-B", bounds=bounds)
    bias, slope, low = (round(float(value), 6) for value in found.x)
    return Calibration(bias, slope, low, len(raw))


def _logit(values: np.ndarray) -> np.ndarray:
    clipped = np.clip(np.asarray(values, dtype=np.float64), _CLIP, 1 - _CLIP)
    return np.log(clipped / (1 - clipped))
