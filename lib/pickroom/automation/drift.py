"""The random 3 % of approved groups that a person still decides, blind; and when what they find ends it all. Pure.

A promise kept on yesterday's groups may break on tomorrow's: new subjects, a new image generator. The groups drawn
are decided without sight of the recommendation, and counted one by one. A bet against "at most 5 % are overridden" is
kept on them: its wealth, which cannot grow on average while the promise holds, passes 20 with a chance of at most 5 %
however often one looks (Ville, 1939; Waudby-Smith and Ramdas: "Estimating means of bounded random variables by
betting", 2024). So nothing is lost by looking after every decision, and once it has passed, it stays so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import betainc, betaln

from pickroom.automation.guarantee import RISK_TARGET, RiskTarget, percent

SHARE = 0.03  # of the groups approved unseen; issue 6
_WORST = 0.5  # the bet is spread evenly over override rates from the promise up to this one


def drawn(group_id: str, seed: str, share: float = SHARE) -> bool:
    """Whether an approved group still goes to the person: the same answer at every run, at random over groups.

    Args:
        seed: any text that stays the same for a project, so that a second run draws no second sample.
        share: of all groups, in [0, 1].
    """
    digest = hashlib.sha256(f"{seed}\n{group_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


@dataclass(frozen=True, slots=True)
class Drift:
    """What the drawn groups say of the promise.

    Attributes:
        on: groups may still be approved unseen.
        looked, overridden: drawn groups decided so far, and how many of them otherwise than recommended.
        evidence: the most that the bet was ever worth, >= 1; at 1 / (1 - confidence) it is over.
        words: one line for the person.
    """

    on: bool
    looked: int
    overridden: int
    evidence: float
    words: str


def watch(overridden: Sequence[bool], promise: RiskTarget = RISK_TARGET) -> Drift:
    """Judge the drawn groups decided so far under the versions in use.

    Args:
        overridden: whether the person decided otherwise, one by one in the order decided; that order may not
            go by how sure the model was (`automation.order.shuffled`).
    """
    limit = 1 / (1 - promise.confidence)
    worth = wealth(np.asarray(overridden, bool), promise.override)
    evidence = float(worth.max(initial=1.0))
    looked, bad = len(overridden), int(np.sum(overridden))
    counted = f"{bad} of {looked} groups drawn at random from the approved ones were overridden"
    if not looked:
        counted = "no group drawn at random from the approved ones has been looked at yet"
    if evidence >= limit:
        text = f"switched off: {counted}, beyond the {percent(promise.override)} promised; decide more groups blind"
        return Drift(False, looked, bad, evidence, text + ", or train on what has changed")
    return Drift(True, looked, bad, evidence, f"{counted}; {percent(promise.override)} is promised")


def wealth(overridden: np.ndarray, promised: float) -> np.ndarray:
    """The worth of a bet of 1 against "the rate is at most `promised`", after each decision.

    The likelihood of what was seen, averaged over rates between `promised` and one half, by its likelihood at
    `promised`: an e-process, since under any smaller rate the ratio shrinks further.

    Args:
        overridden: (N,) bool. promised: in (0, 0.5).

    Returns:
        (N,) float, >= 0.
    """
    n = np.arange(1, len(overridden) + 1)
    bad = np.cumsum(overridden)
    a, b = bad + 1.0, n - bad + 1.0
    between = np.maximum(betainc(a, b, _WORST) - betainc(a, b, promised), 1e-300)
    log_average = betaln(a, b) + np.log(between) - np.log(_WORST - promised)
    return np.exp(log_average - bad * np.log(promised) - (n - bad) * np.log1p(-promised))
