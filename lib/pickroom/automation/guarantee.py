"""Risk control: from which confidence on a group may be approved unseen, so that two promises hold. Pure.

Learn then test (Angelopoulos, Bates, Candès, Jordan, Lei: "Learn then Test: Calibrating Predictive Algorithms to
Achieve Risk Control", 2021): each candidate threshold is a hypothesis "the risk from here on breaks the promise",
rejected when the exact upper bound on that risk (Clopper and Pearson, 1934) keeps it. Thresholds are tried from the
highest down, and the first that cannot be rejected ends it (fixed-sequence testing), so that no confidence is lost
to having tried many. The candidates are fixed beforehand, never taken from the data.

The promises hold for groups like those decided blind. So these must be a random sample of the groups to come, decided
without sight of the recommendation, and none of them may have trained the models calibrated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import betaincinv, expit

from pickroom.core.records import Recommendation

# Evenly spaced in log-odds from .9998 down to .5, since calibrated confidences crowd near 1. Below .5 a pick is more
# likely wrong than right.
CANDIDATES = np.round(expit(np.linspace(8.5, 0.0, 171)), 6)
# LESSONS.md, Picking: 24 of 1,000 groups; only to say how many decisions are needed before any anomaly was met
ANOMALY_RATE = 0.024
_MOST_DECISIONS = 10**6  # beyond this, more decisions are no answer


@dataclass(frozen=True, slots=True)
class RiskTarget:
    """What is promised of the groups approved unseen.

    Attributes:
        override: at most this share of them would have been overridden, in (0, 1).
        anomaly: at most this share of all true anomalies is approved wrongly, in (0, 1); None: not promised.
        confidence: of each promise, in (0, 1); both together then hold with at least 2 * confidence - 1.
        start: the first threshold tried lies where at least this share of the blind decisions would be approved, in
            [0, 1]: with too few of them one bad decision among the surest ends the sequence at once.

    Raises:
        ValueError: a number out of its range.
    """

    override: float = 0.05
    anomaly: float | None = 0.10
    confidence: float = 0.95
    start: float = 0.25

    def __post_init__(self) -> None:
        for name in ("override", "anomaly", "confidence"):
            value = getattr(self, name)
            if value is not None and not 0 < value < 1:
                raise ValueError(f"promise: {name} {value!r} does not lie between 0 and 1")
        if not 0 <= self.start <= 1:
            raise ValueError(f"promise: start {self.start!r} does not lie in [0, 1]")


RISK_TARGET = RiskTarget()  # issue 6: 5 %, 10 %, 95 % each


@dataclass(frozen=True, slots=True)
class BlindDecision:
    """One blind decision of the person, set against what would have been approved.

    Attributes:
        confidence: as `approval_confidence` gives it, in [0, 1]; None: never approved unseen, whatever the threshold.
        overridden: the person decided otherwise.
        anomaly: a lower stage chosen though a higher one was there; None when a stage is unknown.
    """

    confidence: float | None
    overridden: bool
    anomaly: bool | None


@dataclass(frozen=True, slots=True)
class Guarantee:
    """What may be approved unseen, and what was counted to say so.

    Attributes:
        threshold: approve from this confidence on; None: nothing is approved unseen.
        overrides_ok, anomalies_ok: each promise by itself can be kept at some threshold (the second is False when
            it is switched off).
        n: blind decisions; approved, overridden: of these, how many at or above the threshold, and how many of them
            the person overrode; anomalies, approved_wrongly: true anomalies, and how many of them were approved
            wrongly. Counted at the threshold, or where nothing is approved at the first threshold tried.
        override_bound, anomaly_bound: upper confidence bounds on the two risks there; None without any to count.
        needed: at least so many more blind decisions, if they go on as before; 0 with a threshold; None when more
            decisions alone do not help.
        first_alone: the threshold that the first promise would have without the second; None if it has none either.
        words: all this for the person, a line each.
    """

    threshold: float | None
    overrides_ok: bool
    anomalies_ok: bool
    n: int
    approved: int
    overridden: int
    anomalies: int
    approved_wrongly: int
    override_bound: float | None
    anomaly_bound: float | None
    needed: int | None
    first_alone: float | None
    words: tuple[str, ...]

    @property
    def coverage(self) -> float:
        """The share of the blind decisions that would have been approved unseen, in [0, 1]."""
        return self.approved / self.n if self.threshold is not None else 0.0

    def approves(self, confidence: float | None) -> bool:
        """Whether a group of this `approval_confidence` may be approved unseen."""
        return self.threshold is not None and confidence is not None and confidence >= self.threshold


def approval_confidence(recommendation: Recommendation) -> float | None:
    """The number that is calibrated and that decides, from one place for both; None: the person always looks.

    A group is always looked at without a pick or a confidence, with an anomaly flag, or when no model spoke.
    """
    spoke = recommendation.source != "baseline" and recommendation.selected_index is not None
    return recommendation.confidence if spoke and not recommendation.anomaly_flags else None


def upper_bound(bad: float | np.ndarray, of: float | np.ndarray, confidence: float) -> np.ndarray:
    """The exact one-sided upper confidence bound on a rate (Clopper and Pearson, 1934), in [0, 1].

    Args:
        bad, of: counts, `0 <= bad <= of`, of any shape; 1 where nothing was counted.
    """
    bad, of = np.broadcast_arrays(np.asarray(bad, float), np.asarray(of, float))
    bound = np.ones(bad.shape)
    some = bad < of
    bound[some] = betaincinv(bad[some] + 1, of[some] - bad[some], confidence)
    return bound


def least_number(limit: float, confidence: float, bad: int = 0) -> int:
    """How many must be counted, `bad` of them bad, for the bound to reach `limit`: 59 for 5 %, 29 for 10 %."""
    low, high = bad, bad + 1
    while upper_bound(bad, high, confidence) > limit:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if upper_bound(bad, middle, confidence) > limit else (low, middle)
    return high


def calibrate(blind: Sequence[BlindDecision], promise: RiskTarget = RISK_TARGET) -> Guarantee:
    """The lowest threshold at which the promises hold, and why not a lower one, or none.

    Raises:
        ValueError: a confidence outside [0, 1].
    """
    counts = _count(blind, promise)
    level = promise.confidence
    override_bounds = upper_bound(counts.overridden, counts.approved, level)
    anomaly_bounds = upper_bound(counts.wrongly, counts.anomalies, level)
    keeps_first = override_bounds <= promise.override
    keeps_second = anomaly_bounds <= promise.anomaly if promise.anomaly is not None else np.ones_like(keeps_first)
    alone = _last_kept(keeps_first, counts.start)
    last = _last_kept(keeps_first & keeps_second, counts.start)
    at = counts.start if last is None else last
    found = Guarantee(
        threshold=None if last is None else float(CANDIDATES[last]),
        overrides_ok=alone is not None,
        anomalies_ok=promise.anomaly is not None and _last_kept(keeps_second, counts.start) is not None,
        n=len(blind),
        approved=int(counts.approved[at]),
        overridden=int(counts.overridden[at]),
        anomalies=counts.anomalies,
        approved_wrongly=int(counts.wrongly[at]),
        override_bound=float(override_bounds[at]) if counts.approved[at] else None,
        anomaly_bound=float(anomaly_bounds[at]) if counts.anomalies else None,
        needed=0,
        first_alone=None if alone is None else float(CANDIDATES[alone]),
        words=(),
    )
    return _worded(found, promise)


@dataclass(frozen=True, slots=True)
class _Counts:
    """Blind decisions counted at or above each candidate, highest first; `start`: where the sequence begins."""

    approved: np.ndarray
    overridden: np.ndarray
    wrongly: np.ndarray
    anomalies: int
    start: int


def _count(blind: Sequence[BlindDecision], promise: RiskTarget) -> _Counts:
    confidence = np.array([-1.0 if b.confidence is None else b.confidence for b in blind])
    known = np.array([b.confidence is not None for b in blind], bool)
    if not ((confidence[known] >= 0) & (confidence[known] <= 1)).all():
        raise ValueError("a confidence of a blind decision lies outside [0, 1]")
    overridden = np.array([b.overridden for b in blind], bool)
    anomaly = np.array([b.anomaly is True for b in blind], bool)

    def at_or_above(which: np.ndarray) -> np.ndarray:
        ordered = np.sort(confidence[which])
        return len(ordered) - np.searchsorted(ordered, CANDIDATES, side="left")

    approved = at_or_above(known)
    # chosen by the confidences alone, never by how the decisions came out: else the bounds would not hold
    least = max(promise.start * len(blind), least_number(promise.override, promise.confidence))
    enough = np.flatnonzero(approved >= least)
    return _Counts(
        approved=approved,
        overridden=at_or_above(overridden),
        wrongly=at_or_above(overridden & anomaly),
        anomalies=int(anomaly.sum()),
        start=int(enough[0]) if len(enough) else len(CANDIDATES) - 1,
    )


def _last_kept(keeps: np.ndarray, start: int) -> int | None:
    """The last place of the run of kept promises that begins at `start`; None when there is no run."""
    broken = np.flatnonzero(~keeps[start:].astype(bool))
    end = start + int(broken[0]) if len(broken) else len(keeps)
    return end - 1 if end > start else None


# ------------------------------------------------------------------------------------------------ words


def _worded(found: Guarantee, promise: RiskTarget) -> Guarantee:
    """The same guarantee with its words, and with how many more decisions it takes."""
    first, more_first = _first_words(found, promise)
    second, more_second = _second_words(found, promise)
    if found.threshold is not None:
        share = percent(round(found.coverage, 3))
        head = f"approved unseen from confidence {found.threshold:.3f} on: {share} of {found.n:,} blind decisions"
        return replace(found, words=(head, first, second))
    needed = None if more_first is None or more_second is None else max(more_first, more_second)
    if found.n and not found.approved:
        head = "nothing is approved unseen: no group that you decided blind had a model's confidence without a warning"
    elif needed is None:
        head = "nothing is approved unseen: more decisions alone do not help, the models are not good enough yet"
    else:
        head = f"nothing is approved unseen: about {needed:,} more blind decisions are needed"
    words = [head, first, second]
    if found.first_alone is not None:
        words.append(
            f"the first promise alone would hold from confidence {found.first_alone:.3f} on: "
            "it can be switched on without the second"
        )
    return replace(found, needed=needed, words=tuple(words))


def _first_words(found: Guarantee, promise: RiskTarget) -> tuple[str, int | None]:
    """What is known of overrides, and how many more blind decisions that takes."""
    text = f"at most {percent(promise.override)} of them overridden, with {percent(promise.confidence)} confidence"
    if found.overrides_ok:
        return f"{text}: holds ({found.overridden} of {found.approved:,} were)", 0
    more = _more(found.overridden, found.approved, found.n, promise.override, promise.confidence, 1.0)
    none = "none of those decided blind counts" if found.n else "nothing was decided blind yet"
    counted = f"{found.overridden} of the {found.approved:,} surest were" if found.approved else none
    return _not_shown(text, counted, more), more


def _second_words(found: Guarantee, promise: RiskTarget) -> tuple[str, int | None]:
    """What is known of anomalies, and how many more blind decisions that takes."""
    if promise.anomaly is None:
        return "anomalies approved wrongly: nothing is promised (switched off)", 0
    share, level = percent(promise.anomaly), percent(promise.confidence)
    text = f"at most {share} of anomalies approved wrongly, with {level} confidence"
    counted = f"{found.approved_wrongly} of {found.anomalies:,} were" if found.anomalies else "none was met yet"
    if found.anomalies_ok:
        return f"{text}: holds ({counted})", 0
    more = _more(found.approved_wrongly, found.anomalies, found.n, promise.anomaly, promise.confidence, ANOMALY_RATE)
    return _not_shown(text, counted, more), more


def _not_shown(text: str, counted: str, more: int | None) -> str:
    if more is None:
        return f"{text}: does not hold ({counted})"
    return f"{text}: not shown yet ({counted}; about {more:,} more blind decisions)"


def percent(share: float) -> str:
    """A share of 0.05 as "5 %"."""
    return f"{100 * share:g} %"


def _more(bad: int, of: int, n: int, limit: float, confidence: float, rate: float) -> int | None:
    """How many more decisions it takes if they go on as before; None when that would never do.

    Args:
        bad, of: counted among `n` decisions so far. rate: the expected of / n before any was counted.
    """
    share = of / n if of else rate
    if bad == 0:
        counted = least_number(limit, confidence)
    else:
        high = of
        while upper_bound(bad / of * high, high, confidence) > limit:
            high *= 2
            if high > _MOST_DECISIONS:
                return None
        low = high // 2
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if upper_bound(bad / of * middle, middle, confidence) > limit else (low, middle)
        counted = high
    return max(0, int(np.ceil((counted - of) / share)))
