"""Confidence as a probability: how often a crop box of this confidence is the user's. Pure.

Platt's scaling (Platt 1999) with priors that keep it at "as it is" until there is evidence: a logistic of the raw
confidence's logit. It never changes the box. Fitted on rows that were not trained on. Confidences of picks need none.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

_CLIP = 1e-4  # a raw confidence of 0 or 1 has no logit
_BIAS_SD, _SLOPE_SD = 1.0, 0.5  # of the priors, about 0 and 1, in logits
_LEAST_SLOPE = 0.05  # more confident must never mean less probable
LEAST_ROWS = 10  # fewer say nothing: the raw confidence stays


@dataclass(frozen=True, slots=True)
class Calibration:
    """logit(p) = bias + slope x logit(raw); the default changes nothing."""

    bias: float = 0.0
    slope: float = 1.0
    lower: float = 0.0  # 0; other versions of Pickroom added it where a lower stage was picked
    rows: int = 0  # it was fitted on

    def __call__(self, raw: np.ndarray) -> np.ndarray:
        """(N,) calibrated probabilities of (N,) raw confidences in [0, 1]."""
        return 1 / (1 + np.exp(-(self.bias + self.slope * _logit(raw))))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def fit_calibration(raw: np.ndarray, right: np.ndarray) -> Calibration:
    """The most probable scaling given some rows.

    Args:
        raw: (N,) confidences in [0, 1].
        right: (N,) bool: whether the user agreed.
    """
    if len(raw) < LEAST_ROWS:
        return Calibration(rows=len(raw))
    from scipy.optimize import minimize

    target = np.asarray(right, dtype=np.float64)
    inputs = np.stack([np.ones(len(raw)), _logit(raw)], axis=1)
    centre, scale = np.array([0.0, 1.0]), np.array([_BIAS_SD, _SLOPE_SD])

    def cost(weights: np.ndarray) -> tuple[float, np.ndarray]:
        score = inputs @ weights
        pull = (weights - centre) / scale
        loss = np.logaddexp(0, score).sum() - (target * score).sum() + 0.5 * (pull**2).sum()
        return float(loss), inputs.T @ (1 / (1 + np.exp(-score)) - target) + pull / scale

    found = minimize(cost, centre, jac=True, method="L-BFGS-B", bounds=[(None, None), (_LEAST_SLOPE, None)])
    bias, slope = (round(float(value), 6) for value in found.x)
    return Calibration(bias, slope, rows=len(raw))


def _logit(values: np.ndarray) -> np.ndarray:
    clipped = np.clip(np.asarray(values, dtype=np.float64), _CLIP, 1 - _CLIP)
    return np.log(clipped / (1 - clipped))
