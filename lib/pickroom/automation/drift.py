"""The audit: of the approved groups 3 %, drawn at random, are decided blind; too many overrides end approval. Pure.

The guarantee may fail on new groups: other subjects, another image generator. The overrides of the drawn groups are
counted one by one. A bet against "at most 5 % are overridden" is kept on them: its wealth, which cannot grow on
average while that is true, passes 20 with a chance of at most 5 % however often it is looked at (Ville, 1939;
Waudby-Smith and Ramdas: "Estimating means of bounded random variables by betting", 2024). So it can be looked at after
every decision, and once it has passed, it stays so.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import betainc, betaln

from pickroom.automation.guarantee import RISK_TARGET, RiskTarget, percent

SHARE = 0.03  # of the groups approved unseen
_WORST = 0.5  # the bet is spread evenly over override rates from the limit up to this one


def drawn(group_id: str, seed: str, share: float = SHARE) -> bool:
    """Whether an approved group is in the audit sample: the same answer at every run, at random over groups.

    Args:
        seed: any text that stays the same for a project, so that a second run draws the same sample.
        share: of all groups, in [0, 1].
    """
    digest = hashlib.sha256(f"{seed}\n{group_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


@dataclass(frozen=True, slots=True)
class Drift:
    """What the drawn groups say of the guarantee."""

    on: bool  # groups may still be approved unseen
    # looked, overridden: drawn groups decided so far, and how many of them otherwise than recommended
    looked: int
    overridden: int
    evidence: float  # the most that the bet was ever worth, >= 1; at 1 / (1 - confidence) it is over
    explanation: str  # one line for the user


def watch(overridden: Sequence[bool], risk: RiskTarget = RISK_TARGET) -> Drift:
    """Judge the drawn groups decided so far under the versions in use.

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
    """The worth of a bet of 1 against "the rate is at most `limit`", after each decision.

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
