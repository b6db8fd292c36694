"""Risk control: from which confidence on a group may be approved unseen, so that two limits hold. Pure.

Learn then test (Angelopoulos, Bates, Candès, Jordan, Lei: "Learn then Test: Calibrating Predictive Algorithms to
Achieve Risk Control", 2021): each candidate threshold is a hypothesis "the risk from here on exceeds its limit",
rejected when the exact upper bound on that risk (Clopper and Pearson, 1934) keeps it. Thresholds are tried from the
highest down, and the first that cannot be rejected ends it (fixed-sequence testing), so that no confidence is lost
to having tried many. The candidates are fixed beforehand, never taken from the data.

The limits hold for groups like those decided blind: these must be a random sample of the groups to come, and none of
them may have trained the models calibrated. They may fail on new groups: other subjects, another image generator. So of
the groups approved 3 %, drawn at random, are decided blind, and too many overrides of these end approval (`watch`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import betainc, betaincinv, betaln, expit

from pickroom.core.naming import sampling_key
from pickroom.core.records import Recommendation

# Evenly spaced in log-odds from .9998 down to .5, since calibrated confidences are dense near 1. Below .5 a pick is
# more likely wrong than right.
CANDIDATES = np.round(expit(np.linspace(8.5, 0.0, 171)), 6)
# LESSONS.md, Picking: 24 of 1,000 groups; only to say how many decisions are needed before any anomaly was met
ANOMALY_RATE = 0.024
_SWITCHED_OFF: tuple[str, int | None] = "anomalies approved wrongly: no limit (switched off)", 0
_MOST_DECISIONS = 10**6  # beyond this, more decisions do not help


@dataclass(frozen=True, slots=True)
class RiskTarget:
    """The limits guaranteed for the groups approved unseen.

    Attributes:
        override: at most this share of them would have been overridden, in (0, 1).
        anomaly: at most this share of all true anomalies is approved wrongly, in (0, 1); None: no such limit.
        confidence: of each limit, in (0, 1); both together then hold with at least 2 * confidence - 1.
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
                raise ValueError(f"risk target: {name} {value!r} does not lie between 0 and 1")
        if not 0 <= self.start <= 1:
            raise ValueError(f"risk target: start {self.start!r} does not lie in [0, 1]")


RISK_TARGET = RiskTarget()  # 5 %, 10 %, 95 % each


@dataclass(frozen=True, slots=True)
class BlindDecision:
    """One blind decision of the user, compared with what would have been approved.

    Attributes:
        confidence: as `approval_confidence` gives it, in [0, 1]; None: never approved unseen, whatever the threshold.
        overridden: the user decided otherwise.
        anomaly: a lower stage chosen though a higher one was there; None when a stage is unknown.
    """

    confidence: float | None
    overridden: bool
    anomaly: bool | None


@dataclass(frozen=True, slots=True)
class Guarantee:
    """What may be approved unseen, and the counts it rests on.

    Attributes:
        threshold: approve from this confidence on; None: nothing is approved unseen.
        overrides_ok, anomalies_ok: each limit by itself can be kept at some threshold (False when it is switched off).
        n: blind decisions; approved: of these, how many at or above the threshold; overridden: how many of those the
            user overrode; anomalies, approved_wrongly: true anomalies, and how many of them were approved wrongly.
            Counted at the threshold; where nothing is approved, at the first threshold tried.
        needed: at least so many more blind decisions, if they go on as before; 0 with a threshold; None when more
            decisions alone do not help.
        first_alone: the threshold for overrides alone, without the limit on anomalies; None if there is none either.
        explanation: all this for the user, a line each.
    """

    threshold: float | None
    overrides_ok: bool
    anomalies_ok: bool
    n: int
    approved: int
    overridden: int
    anomalies: int
    approved_wrongly: int
    needed: int | None
    first_alone: float | None
    explanation: tuple[str, ...]

    @property
    def coverage(self) -> float:
        """The share of the blind decisions that would have been approved unseen, in [0, 1]."""
        return self.approved / self.n if self.threshold is not None else 0.0


def approval_confidence(recommendation: Recommendation) -> float | None:
    """The confidence that is calibrated and compared with the threshold; None: the group is always reviewed.

    None without a pick or a confidence, with an anomaly flag, or without a model.
    """
    known = recommendation.source != "baseline" and recommendation.selected_index is not None
    return recommendation.confidence if known and not recommendation.anomaly_flags else None


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
    """How many must be counted, `bad` of them wrong, for the bound to reach `limit`: 59 for 5 %, 29 for 10 %."""
    low, high = bad, bad + 1
    while upper_bound(bad, high, confidence) > limit:
        low, high = high, high * 2
    return _bisect(low, high, lambda count: bool(upper_bound(bad, count, confidence) <= limit))


def _bisect(low: int, high: int, enough: Callable[[int], bool]) -> int:
    """The least number above `low` that is enough, as `high` is."""
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def calibrate(blind: Sequence[BlindDecision], risk: RiskTarget = RISK_TARGET) -> Guarantee:
    """The lowest threshold at which the limits hold, and why not a lower one, or none.

    Raises:
        ValueError: a confidence outside [0, 1].
    """
    confidence = np.array([-1.0 if b.confidence is None else b.confidence for b in blind])
    known = np.array([b.confidence is not None for b in blind], bool)
    if not ((confidence[known] >= 0) & (confidence[known] <= 1)).all():
        raise ValueError("a confidence of a blind decision lies outside [0, 1]")
    overridden = np.array([b.overridden for b in blind], bool)
    anomaly = np.array([b.anomaly is True for b in blind], bool)

    def at_or_above(which: np.ndarray) -> np.ndarray:
        ordered = np.sort(confidence[which])
        return np.asarray(len(ordered) - np.searchsorted(ordered, CANDIDATES, side="left"))

    approved, bad, wrongly = map(at_or_above, (known, overridden, overridden & anomaly))
    anomalies = int(anomaly.sum())
    # the start depends on the confidences alone, never on the decisions: else the bounds would not hold
    least = max(risk.start * len(blind), least_number(risk.override, risk.confidence))
    start = int(next(iter(np.flatnonzero(approved >= least)), len(CANDIDATES) - 1))
    keeps_first = upper_bound(bad, approved, risk.confidence) <= risk.override
    keeps_second = np.ones_like(keeps_first)
    if risk.anomaly is not None:
        keeps_second = upper_bound(wrongly, anomalies, risk.confidence) <= risk.anomaly
    alone, last = _last_kept(keeps_first, start), _last_kept(keeps_first & keeps_second, start)
    at = start if last is None else last
    found = Guarantee(
        threshold=None if last is None else float(CANDIDATES[last]),
        overrides_ok=alone is not None,
        anomalies_ok=risk.anomaly is not None and _last_kept(keeps_second, start) is not None,
        n=len(blind),
        approved=int(approved[at]),
        overridden=int(bad[at]),
        anomalies=anomalies,
        approved_wrongly=int(wrongly[at]),
        needed=0,
        first_alone=None if alone is None else float(CANDIDATES[alone]),
        explanation=(),
    )
    return _explained(found, risk)


def _last_kept(keeps: np.ndarray, start: int) -> int | None:
    """The last place of the run of kept limits that begins at `start`; None when no run exists."""
    broken = np.flatnonzero(~keeps[start:])
    end = start + int(broken[0]) if len(broken) else len(keeps)
    return end - 1 if end > start else None


def _explained(found: Guarantee, risk: RiskTarget) -> Guarantee:
    """The same guarantee with its explanation, and with how many more decisions it takes."""
    none = "none of those decided blind counts" if found.n else "nothing was decided blind yet"
    counts = (found.overridden, found.approved, found.n)
    first, more_first = _limit("of them overridden", risk.override, counts, 1.0, found.overrides_ok, none, risk)
    second, more_second = _SWITCHED_OFF
    if risk.anomaly is not None:
        what, counts = "of anomalies approved wrongly", (found.approved_wrongly, found.anomalies, found.n)
        holds, none = found.anomalies_ok, "none was met yet"
        second, more_second = _limit(what, risk.anomaly, counts, ANOMALY_RATE, holds, none, risk)
    if found.threshold is not None:
        share = percent(round(found.coverage, 3))
        head = f"approved unseen from confidence {found.threshold:.3f} on: {share} of {found.n:,} blind decisions"
        return replace(found, explanation=(head, first, second))
    needed = None if more_first is None or more_second is None else max(more_first, more_second)
    if found.n and not found.approved:
        why = "no group that you decided blind had a model's confidence without a warning"
    elif needed is None:
        why = "more decisions alone do not help, the models are not good enough yet"
    else:
        why = f"about {needed:,} more blind decisions are needed"
    lines = [f"nothing is approved unseen: {why}", first, second]
    if found.first_alone is not None:
        lines.append(
            f"the limit on overrides alone would hold from confidence {found.first_alone:.3f} on: "
            "it can be switched on without the limit on anomalies"
        )
    return replace(found, needed=needed, explanation=tuple(lines))


def _limit(
    what: str, limit: float, counts: tuple[int, int, int], rate: float, holds: bool, none: str, risk: RiskTarget
) -> tuple[str, int | None]:
    """A limit in words, and how many more blind decisions it takes if the rates stay the same; None: more do not help.

    Args:
        counts: how many were bad, of how many counted, among how many decisions. rate: the expected share of those
            that count, before any did. none: the words where none did.
    """
    bad, of, n = counts
    said = f"at most {percent(limit)} {what}, with {percent(risk.confidence)} confidence"
    counted = f"{bad} of {of:,} were" if of else none
    if holds:
        return f"{said}: holds ({counted})", 0

    def enough(count: int) -> bool:
        return bool(upper_bound(bad / of * count, count, risk.confidence) <= limit)

    if bad == 0:
        needed = least_number(limit, risk.confidence)
    else:
        high = of
        while not enough(high):
            high *= 2
            if high > _MOST_DECISIONS:
                return f"{said}: does not hold ({counted})", None
        needed = _bisect(high // 2, high, enough)
    more = max(0, int(np.ceil((needed - of) / (of / n if of else rate))))
    return f"{said}: not shown yet ({counted}; about {more:,} more blind decisions)", more


def percent(share: float) -> str:
    """A share of 0.05 as "5 %"."""
    return f"{100 * share:g} %"


SHARE = 0.03  # of the groups approved unseen
_WORST = 0.5  # the bet is spread evenly over override rates from the limit up to this one


def drawn(group_id: str, seed: str) -> bool:
    """Whether an approved group is in the audit sample: random over groups, and the same at every run.

    Args:
        seed: any text that stays the same for a project, so that a second run draws the same sample.
    """
    return int.from_bytes(sampling_key(group_id, seed)[:8], "big") < SHARE * 2**64


@dataclass(frozen=True, slots=True)
class Drift:
    """The state of the guarantee by the drawn groups."""

    on: bool  # groups may still be approved unseen
    # looked, overridden: drawn groups decided so far, and how many of them otherwise than recommended
    looked: int
    overridden: int
    evidence: float  # the highest value of the bet, >= 1; at 1 / (1 - confidence) the guarantee ends
    explanation: str  # one line for the user


def watch(overridden: Sequence[bool], risk: RiskTarget = RISK_TARGET) -> Drift:
    """Test the guarantee on the drawn groups decided under the versions in use.

    A bet against "at most 5 % are overridden" is kept on them: its wealth, which cannot grow on average while that is
    true, passes 20 with a probability of at most 5 %, however often it is checked (Ville, 1939; Waudby-Smith and
    Ramdas: "Estimating means of bounded random variables by betting", 2024). Once it has passed, it stays so.

    Args:
        overridden: whether the user decided otherwise, in the order decided; that order may not depend on how sure the
            model was (`automation.order.shuffled`).
    """
    evidence = float(wealth(np.asarray(overridden, bool), risk.override).max(initial=1.0))
    looked, bad, limit = len(overridden), int(np.sum(overridden)), percent(risk.override)
    counted = f"{bad} of {looked} groups drawn at random from the approved ones were overridden"
    if not looked:
        counted = "no group drawn at random from the approved ones has been looked at yet"
    if evidence < 1 / (1 - risk.confidence):
        return Drift(True, looked, bad, evidence, f"{counted}; the limit is {limit}")
    advice = "decide more groups blind, or train on what has changed"
    return Drift(False, looked, bad, evidence, f"switched off: {counted}, above the limit of {limit}; {advice}")


def wealth(overridden: np.ndarray, limit: float) -> np.ndarray:
    """The value of a bet of 1 against "the rate is at most `limit`", after each decision.

    The likelihood of what was seen, averaged over rates between `limit` and one half, by its likelihood at `limit`: an
    e-process, since under any smaller rate the ratio shrinks further.

    Args:
        overridden: (N,) bool. limit: in (0, 0.5).

    Returns:
        (N,) float, >= 0.
    """
    n = np.arange(1, len(overridden) + 1)
    bad = np.cumsum(overridden)
    a, b = bad + 1.0, n - bad + 1.0
    between = np.maximum(betainc(a, b, _WORST) - betainc(a, b, limit), 1e-300)
    log_average = betaln(a, b) + np.log(between) - np.log(_WORST - limit)
    return np.asarray(np.exp(log_average - bad * np.log(limit) - (n - bad) * np.log1p(-limit)))
