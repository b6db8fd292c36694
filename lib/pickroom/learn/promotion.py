"""Whether a new version may recommend: only if it beats the current one and the baselines on the same held-out rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pickroom.core.quantities import plural

LEAST_ROWS = 8  # of a comparison; fewer decide nothing


@dataclass(frozen=True, slots=True)
class Rival:
    """The current version on the new one's held-out rows, in the order of the new one's figures.

    Attributes:
        figures: (N,) its figure of each row; tie_break: as the new version's.
        unseen: (N,) bool: rows of which it was trained on no file; only these are compared.
    """

    label: str
    figures: np.ndarray
    tie_break: float
    unseen: np.ndarray


@dataclass(frozen=True, slots=True)
class Verdict:
    """Attributes: reason: in words, for the person; compared: the figures it rests on."""

    promoted: bool
    reason: str
    compared: dict[str, Any]


def evaluate_crop_gate(scored: Mapping[str, Any]) -> dict[str, Any] | None:
    """Whether what a crop proposer predicts of "a crop or none" counts: only if the same answer for all is no better.

    Never wrong counts too, where every held-out image was cropped, or none.

    Args:
        scored: the version's metrics on its held-out rows.

    Returns:
        {"counts": bool, "new": its share of right answers, "majority": that of the same answer for all}; None of a
        model that says nothing of crops.
    """
    if "need" not in scored:
        return None
    new, majority = scored["need"]["right"], scored["need_without_asking"]["right"]
    counts = new > majority or new == scored["need"]["of"] > 0
    return {"counts": counts, "new": scored["need"]["value"], "majority": scored["need_without_asking"]["value"]}


def judge(
    figures: np.ndarray,
    tie_break: float,
    baselines: Mapping[str, np.ndarray],
    rival: Rival | None,
    note: str = "",
) -> Verdict:
    """Hold a new version's figures of (N,) held-out rows against the baselines' and the current version's.

    Args:
        tie_break: on the rows that are compared with the rival's; the higher the better.
        note: why the current version takes no part, "" where there is none or it does.
    """
    count = len(figures)
    if count < LEAST_ROWS:
        return Verdict(False, f"only {plural(count, 'held-out row')}: too few to tell", {"rows": count})
    own = float(figures.mean())
    compared: dict[str, Any] = {"rows": count, "new": own}
    compared["baselines"] = {name: float(values.mean()) for name, values in baselines.items()}
    name, best = max(compared["baselines"].items(), key=lambda pair: pair[1])
    beaten = f'the baseline "{name}" ({own:.3f} to {best:.3f} on {count} rows)'
    if own <= best:
        return Verdict(False, f"it does not beat {beaten}", compared)
    if rival is None:
        return Verdict(True, "; ".join(part for part in (f"it beats {beaten}", note) if part), compared)
    rows = int(rival.unseen.sum())
    compared["previous"] = {"version": rival.label, "rows": rows}
    if rows < LEAST_ROWS:
        those = f"all but {rows} of" if rows else "all of"
        what = f"{rival.label} was trained on {those} the held-out rows: it cannot be compared fairly"
        return Verdict(False, f"it beats {beaten}, but {what}", compared)
    new, old = float(figures[rival.unseen].mean()), float(rival.figures[rival.unseen].mean())
    compared["previous"] |= {"new": new, "previous": old}
    words = f"{rival.label} ({new:.3f} to {old:.3f} on {rows} rows that neither was trained on)"
    if new > old or (new == old and tie_break > rival.tie_break):
        how = "" if new > old else ", by the smaller loss"
        return Verdict(True, f"it beats {words}{how}, and {beaten}", compared)
    return Verdict(False, f"it does not beat {words}", compared)
