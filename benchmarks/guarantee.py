"""Does the guarantee hold? A simulated model (accuracy .90, AUROC .85) calibrated on many draws of blind decisions.

Each draw of 1,000 blind decisions gives a threshold; the risk beyond that threshold is then read off a large pool of
fresh groups. Beside it, on the same draws: the lowest threshold whose plain error rate is within the promise, and
MAPIE's learn-then-test with Hoeffding-Bentkus p-values. The second promise (anomalies) is simulated with anomalies at
2.4 %, half of which the model gets wrong. The watch for drift is measured on groups drawn after the threshold was set.

    python benchmarks/guarantee.py [--quick]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from mapie.risk_control import FWERFixedSequenceTesting
from mapie.risk_control.methods import compute_hoeffding_bentkus_p_value
from scipy.special import expit
from scipy.stats import norm

from _measure import finish
from pickroom.automation.guarantee import (
    CANDIDATES,
    RISK_TARGET,
    BlindDecision,
    RiskTarget,
    calibrate,
    least_number,
    watch,
)

ACCURACY, AUROC = 0.90, 0.85
ANOMALIES, WRONG_AT_ANOMALIES = 0.024, 0.5
DECISIONS = 1000
AT_MOST_BROKEN, AT_LEAST_COVERED = 0.12, 0.60
# two normal curves this far apart have this area under the curve
APART = np.sqrt(2) * norm.ppf(AUROC)


@dataclass(frozen=True)
class Groups:
    """Simulated groups: parts of shape (N,)."""

    confidence: np.ndarray
    wrong: np.ndarray
    anomaly: np.ndarray

    def blind(self) -> list[BlindDecision]:
        rows = zip(self.confidence, self.wrong, self.anomaly, strict=True)
        return [BlindDecision(float(c), bool(w), bool(a)) for c, w, a in rows]


def draw(rng: np.random.Generator, count: int) -> Groups:
    """Groups whose confidence is calibrated: among those of confidence c, a share c is right."""
    anomaly = rng.random(count) < ANOMALIES
    usual = (1 - ACCURACY - ANOMALIES * WRONG_AT_ANOMALIES) / (1 - ANOMALIES)
    wrong = rng.random(count) < np.where(anomaly, WRONG_AT_ANOMALIES, usual)
    score = rng.normal(size=count) + np.where(wrong, 0.0, APART)
    log_odds = APART * score - APART**2 / 2 + np.log(ACCURACY / (1 - ACCURACY))
    return Groups(expit(log_odds), wrong, anomaly)


class Pool:
    """Fresh groups, to read true risks from: of each threshold, what it approves of them."""

    def __init__(self, groups: Groups) -> None:
        order = np.argsort(groups.confidence)
        self._confidence, wrong = groups.confidence[order], groups.wrong[order]
        self._wrong = np.cumsum(wrong[::-1])[::-1]
        self._wrongly = np.cumsum((wrong & groups.anomaly[order])[::-1])[::-1]
        self._anomalies = groups.anomaly.sum()

    def at(self, threshold: float) -> tuple[float, float, float]:
        """(coverage, risk of an override, share of the anomalies approved wrongly) from a threshold on."""
        count = len(self._confidence)
        first = int(np.searchsorted(self._confidence, threshold))
        if first == count:
            return 0.0, 0.0, 0.0
        approved = count - first
        return approved / count, self._wrong[first] / approved, self._wrongly[first] / self._anomalies


def auroc(groups: Groups) -> float:
    ranks = np.argsort(np.argsort(groups.confidence)) + 1
    right = ~groups.wrong
    rights, wrongs = right.sum(), groups.wrong.sum()
    return (ranks[right].sum() - rights * (rights + 1) / 2) / (rights * wrongs)


def counted(groups: Groups, promise: RiskTarget) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Candidates that approve enough to be tried, and (approved, wrong) of each, highest first."""
    above = groups.confidence[:, None] >= CANDIDATES[None, :]
    approved, wrong = above.sum(0), (above & groups.wrong[:, None]).sum(0)
    enough = approved >= max(promise.start * len(groups.wrong), least_number(promise.override, promise.confidence))
    return CANDIDATES[enough], approved[enough], wrong[enough]


def ours(groups: Groups, promise: RiskTarget) -> float | None:
    return calibrate(groups.blind(), promise).threshold


def plain(groups: Groups, promise: RiskTarget) -> float | None:
    """The lowest candidate whose error rate in the sample is within the promise: no word on chance."""
    thresholds, approved, wrong = counted(groups, promise)
    kept = np.flatnonzero(wrong / approved <= promise.override)
    return float(thresholds[kept[-1]]) if len(kept) else None


def mapie(groups: Groups, promise: RiskTarget) -> float | None:
    thresholds, approved, wrong = counted(groups, promise)
    p = compute_hoeffding_bentkus_p_value(wrong / approved, approved, promise.override, binary=True).ravel()
    rejected = FWERFixedSequenceTesting().run(p, 1 - promise.confidence)
    return float(thresholds[rejected[-1]]) if len(rejected) else None


@dataclass(frozen=True)
class Outcome:
    """Of many calibration draws: shares of draws that broke a promise, the average coverage, and how often none."""

    broken: float
    broken_anomaly: float
    broken_either: float
    coverage: float
    nothing: float


def repeat(
    way: Callable[[Groups, RiskTarget], float | None], promise: RiskTarget, pool: Pool, draws: int, decisions: int
) -> Outcome:
    rng = np.random.default_rng(20250803)  # every way meets the same draws
    risks = []
    for _ in range(draws):
        threshold = way(draw(rng, decisions), promise)
        risks.append((0.0, 0.0, 0.0) if threshold is None else pool.at(threshold))
    coverage, override, anomaly = np.array(risks).T
    first, second = override > promise.override, anomaly > RISK_TARGET.anomaly
    return Outcome(first.mean(), second.mean(), (first | second).mean(), coverage.mean(), (coverage == 0).mean())


def drift(rate: float, runs: int, looks: int) -> tuple[float, float]:
    """(share of runs in which approval is switched off, the median number of looks it took, NaN if never)."""
    rng = np.random.default_rng(7)
    ends = []
    for _ in range(runs):
        seen = rng.random(looks) < rate
        if not watch(seen.tolist()).on:
            low, high = 0, looks  # once off, always off: so the first look that did it can be halved for
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if watch(seen[:middle].tolist()).on else (low, middle)
            ends.append(high)
    return len(ends) / runs, float(np.median(ends)) if ends else float("nan")


def show(name: str, found: Outcome) -> None:
    print(
        f"  {name:<44}{found.broken:>10.3f}{found.broken_anomaly:>11.3f}{found.broken_either:>9.3f}"
        f"{found.coverage:>10.3f}{found.nothing:>10.3f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="200 calibration draws")
    quick = parser.parse_args().quick
    draws, fresh = (200, 200_000) if quick else (1000, 1_000_000)
    simulated = draw(np.random.default_rng(1), fresh)
    pool = Pool(simulated)
    print(f"Fresh groups {fresh:,}: accuracy {1 - simulated.wrong.mean():.3f}, AUROC {auroc(simulated):.3f}")

    first, both = RiskTarget(anomaly=None), RISK_TARGET
    ways = {"exact": ours, "plain": plain, "mapie": mapie}
    one = {name: repeat(way, first, pool, draws, DECISIONS) for name, way in ways.items()}
    more = {n: repeat(ours, both, pool, draws, n) for n in ((1000, 2000) if quick else (1000, 2000, 4000))}
    print(
        f"{draws:,} calibration draws: share of draws that broke a promise, average coverage, share approving nothing"
    )
    print(f"  {'':<44}{'override':>10}{'anomalies':>11}{'either':>9}{'coverage':>10}{'nothing':>10}")
    show("first promise, n = 1,000: exact (ours)", one["exact"])
    show("  plain error rate in the sample", one["plain"])
    show("  MAPIE, Hoeffding-Bentkus", one["mapie"])
    for n, found in more.items():
        show(f"both promises, n = {n:,}", found)

    runs, looks = (200, 300) if quick else (1000, 500)
    print(f"Drift: {looks} groups drawn from the approved ones; share of runs switched off, median looks until then")
    shown = {rate: drift(rate, runs, looks) for rate in (0.03, 0.05, 0.10, 0.15, 0.25)}
    for rate, (off, after) in shown.items():
        print(f"  {rate:.0%} overridden: {off:.3f} after {after:.0f}")

    figures = {f"{name}_{key}": getattr(o, key) for name, o in one.items() for key in ("broken", "coverage", "nothing")}
    for n, found in more.items():
        figures |= {f"both_{n}_{key}": getattr(found, key) for key in ("broken_either", "coverage", "nothing")}
    figures |= {"drift_false_alarms": shown[0.05][0], "drift_found_at_15_percent": shown[0.15][0]}
    figures |= {"drift_looks_at_15_percent": shown[0.15][1]}
    missed = []
    if one["exact"].broken > AT_MOST_BROKEN:
        missed.append(f"override promise broken in {one['exact'].broken:.1%} of draws > {AT_MOST_BROKEN:.0%}")
    if one["exact"].coverage < AT_LEAST_COVERED:
        missed.append(f"coverage {one['exact'].coverage:.2f} < {AT_LEAST_COVERED}")
    if shown[0.05][0] > 1 - first.confidence + 0.02:  # two standard errors of 1,000 runs
        missed.append(f"false alarms in {shown[0.05][0]:.1%} of runs > {1 - first.confidence:.0%}")
    finish(figures, missed)


if __name__ == "__main__":
    main()
