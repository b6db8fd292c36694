"""Metrics: picks by group, crops by overlap, confidence by calibration. Pure.

Scores are of rows that nothing was fitted on, always next to their baselines (DESIGN.md, invariant 8).
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pickroom.core.geometry import CORNER_TOLERANCE
from pickroom.learn.examples import CropExample, Pick

Z95 = 1.959964  # two-sided 95 % of the normal distribution
GOOD_IOU = 0.85
WINDOW = 100  # decisions of the rolling accuracy (LESSONS.md, Using it)
BANDS = 10  # of the calibration error


Rate = dict[str, Any]  # as JSON: a share, its 95 % Wilson interval (Wilson 1927), and the two numbers it is of


def rate(right: float, of: int) -> Rate:
    """A share: `value` in [0, 1] is None of nothing; `right` need not be whole where a baseline guesses."""
    low, high = wilson(right, of)
    return {"value": right / of if of else None, "low": low, "high": high, "right": right, "of": of}


def rate_words(found: Rate) -> str:
    """`0.953 (0.921-0.973, n 211)`."""
    if not found["of"]:
        return "none"
    return f"{found['value']:.3f} ({found['low']:.3f}-{found['high']:.3f}, n {found['of']})"


def wilson(right: float, of: int, z: float = Z95) -> tuple[float, float]:
    """The Wilson interval of a share: (low, high) in [0, 1]; (0, 1) without rows."""
    if not of:
        return 0.0, 1.0
    share = right / of
    middle = share + z * z / (2 * of)
    half = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    scale = 1 + z * z / of
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


# ---------------------------------------------------------------------------------------------------------- picks


def score_picks(picks: Sequence[Pick], right: np.ndarray) -> dict[str, Any]:
    """Top-1 per group of a model or baseline, as JSON: rates of all groups, by kind, and by project.

    `normal` are groups whose highest stage was picked, `anomaly` those where a lower one was, `unknown` those where a
    stage is unknown.

    Args:
        right: (N,) in [0, 1]: 1 where the pick was the user's; a guess among several counts as its probability.
    """
    right = np.asarray(right, dtype=np.float64)
    kinds = np.array(
        [{None: "unknown", True: "anomaly", False: "normal"}[pick.anomaly] for pick in picks], dtype=object
    )
    projects = np.array([pick.candidates.project_id for pick in picks], dtype=object)

    def of(rows: np.ndarray) -> Rate:
        return rate(float(right[rows].sum()), int(rows.sum()))

    return {
        "overall": of(np.ones(len(picks), dtype=bool)),
        **{kind: of(kinds == kind) for kind in ("normal", "anomaly", "unknown")},
        "by_project": {name: of(projects == name) for name in sorted(set(projects.tolist()))},
    }


def highest_stage_right(picks: Sequence[Pick]) -> np.ndarray:
    """(N,): "highest stage" on each group; a guess, where stages are unknown or tied, counts as its probability."""
    found = []
    for pick in picks:
        stages = pick.candidates.stages
        known = [stage for stage in stages if stage is not None]
        among = [i for i, stage in enumerate(stages) if len(known) < len(stages) or stage == max(known)]
        found.append(1 / len(among) if pick.chosen in among else 0.0)
    return np.array(found, dtype=np.float64)


def chance_right(picks: Sequence[Pick]) -> np.ndarray:
    """(N,): one guess among the candidates."""
    return np.array([1 / len(pick.candidates.filenames) for pick in picks], dtype=np.float64)


def log_losses(picks: Sequence[Pick], probabilities: np.ndarray) -> np.ndarray:
    """(N,) float64: -ln of the probability given to the user's pick, in nats."""
    chosen = np.array([pick.chosen for pick in picks], dtype=np.int64)
    result: np.ndarray = -np.log(np.clip(probabilities[np.arange(len(chosen)), chosen], 1e-9, 1.0))
    return result


def rolling_in_time(picks: Sequence[Pick], right: np.ndarray) -> list[float]:
    """`rolling` of decisions in the order in which they were made."""
    order = np.argsort([pick.decided_at for pick in picks], kind="stable")
    found: list[float] = rolling(right[order]).tolist()
    return found


def rolling(right: np.ndarray, window: int = WINDOW) -> np.ndarray:
    """(N,) float64: the share right among the last `window` decisions up to each, fewer at the beginning."""
    total = np.concatenate([[0.0], np.cumsum(right)])
    ends = np.arange(1, len(right) + 1)
    starts = np.maximum(0, ends - window)
    result: np.ndarray = (total[ends] - total[starts]) / (ends - starts)
    return result


# ---------------------------------------------------------------------------------------------------------- calibration


def calibration_rows(confidence: np.ndarray, right: np.ndarray, bands: int = BANDS) -> list[dict[str, float]]:
    """Bands of confidence, each a row as figures.calibration draws it; empty bands are left out."""
    place = np.minimum((np.asarray(confidence) * bands + 1e-9).astype(int), bands - 1)
    rows = []
    for band in range(bands):
        here = place == band
        if not here.any():
            continue
        found = rate(float(right[here].sum()), int(here.sum()))
        rows.append(
            {
                "band_from": band / bands,
                "selections": found["of"],
                "mean_confidence": float(confidence[here].mean()),
                "selection_accuracy": found["value"],
                "selection_low": found["low"],
                "selection_high": found["high"],
            }
        )
    return rows


def calibration_error(confidence: np.ndarray, right: np.ndarray, bands: int = BANDS) -> float | None:
    """Expected calibration error (Naeini et al. 2015), in [0, 1]: how far confidence lies from accuracy, by band."""
    rows = calibration_rows(confidence, right, bands)
    if not rows:
        return None
    gaps = [row["selections"] * abs(row["mean_confidence"] - row["selection_accuracy"]) for row in rows]
    return sum(gaps) / len(confidence)


# ---------------------------------------------------------------------------------------------------------- crops


def boxes_of(examples: Sequence[CropExample]) -> np.ndarray:
    """(N, 4) float32, [x1, y1, x2, y2] as fractions; the full frame where no crop was needed."""
    whole = [0.0, 0.0, 1.0, 1.0]
    rows = [example.box.to_list() if example.box is not None else whole for example in examples]
    return np.array(rows, dtype=np.float32).reshape(-1, 4)


def ious(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N,) float64 in [0, 1]: intersection over union of each row of (N, 4) boxes."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    wide = np.clip(np.minimum(a[:, 2], b[:, 2]) - np.maximum(a[:, 0], b[:, 0]), 0, None)
    tall = np.clip(np.minimum(a[:, 3], b[:, 3]) - np.maximum(a[:, 1], b[:, 1]), 0, None)
    overlap = wide * tall
    area = (a[:, 2:] - a[:, :2]).prod(axis=1) + (b[:, 2:] - b[:, :2]).prod(axis=1) - overlap
    result: np.ndarray = np.divide(overlap, area, out=np.zeros_like(overlap), where=area > 0)
    return result


def within_corners(a: np.ndarray, b: np.ndarray, tolerance: float = CORNER_TOLERANCE) -> np.ndarray:
    """(N,) bool: every corner within the tolerance (FORMATS.md, crop_match)."""
    apart = np.abs(np.asarray(a, np.float64) - np.asarray(b, np.float64))
    result: np.ndarray = np.all(apart <= tolerance + 1e-6, axis=1)
    return result


def score_crops(predicted: np.ndarray, meant: np.ndarray) -> dict[str, Any]:
    """Compare (N, 4) boxes with the user's, as JSON.

    Returns:
        mean and median IoU (None of nothing), the rate of IoU 0.85 or more, the rate within 5 % at every corner, and
        the mean distance of the centres in fractions of the image.
    """
    count = len(meant)
    overlap = ious(predicted, meant)
    centres = np.asarray(predicted, np.float64).reshape(-1, 2, 2).mean(axis=1)
    centres = centres - np.asarray(meant, np.float64).reshape(-1, 2, 2).mean(axis=1)
    return {
        "count": count,
        "mean_iou": float(overlap.mean()) if count else None,
        "median_iou": float(np.median(overlap)) if count else None,
        "iou_85": rate(float((overlap >= GOOD_IOU).sum()), count),
        "within_5": rate(float(within_corners(predicted, meant).sum()), count),
        "centre_distance": float(np.hypot(*centres.T).mean()) if count else None,
    }


def score_crops_by(predicted: np.ndarray, meant: np.ndarray, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """`score_crops` of each name's rows: of a project, or of a stage."""
    labels = np.array(names, dtype=object)
    return {name: score_crops(predicted[labels == name], meant[labels == name]) for name in sorted(set(names))}
