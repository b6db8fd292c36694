"""Corrections found per 100 looks: the order by worth beside folder order and random order.

A simulated model (accuracy .90, AUROC .85 of its confidence) recommends picks for 2,000 groups. Anomalies are 2.4 %
of them, the model is wrong at half of these, and flags three in five of those it gets right (it then picks below the
highest stage), and 4 % of all others. A correction is a pick that the user would change. Mistakes come in runs, as
they do in folders of one subject, so that folder order is not random order in disguise.

    python benchmarks/order.py [--quick]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from scipy.special import expit
from scipy.stats import norm

from _measure import finish, seconds
from pickroom.automation.order import by_worth, next_groups
from pickroom.store.recommendations import Waiting

ACCURACY, AUROC, ANOMALIES = 0.90, 0.85, 0.024
GROUPS, LOOKS = 2000, (100, 300, 500)
FLAGGED_ANOMALY, FLAGGED_OTHER = 0.6, 0.04
FOLDERS = 40  # a group's folder multiplies its chance of a mistake by a factor of 0.4 to 1.6
AT_LEAST_TIMES = 2.0  # the corrections of folder and of random order in the first 100 looks
MOST_SECONDS = 0.5  # for 20,000 waiting groups: a deck opens in less than a second (REVIEW.md)
Ranking = Callable[[list[Waiting], str], list[str]]


def draw(rng: np.random.Generator) -> tuple[list[Waiting], np.ndarray]:
    """Waiting groups in folder order, and which picks are wrong."""
    factor = np.repeat(rng.uniform(0.4, 1.6, FOLDERS), GROUPS // FOLDERS)
    anomaly = rng.random(GROUPS) < ANOMALIES
    usual = (1 - ACCURACY - ANOMALIES * 0.5) / (1 - ANOMALIES)
    wrong = rng.random(GROUPS) < np.where(anomaly, 0.5, usual * factor)
    apart = np.sqrt(2) * norm.ppf(AUROC)
    score = rng.normal(size=GROUPS) + np.where(wrong, 0.0, apart)
    confidence = expit(apart * score - apart**2 / 2 + np.log(ACCURACY / (1 - ACCURACY)))
    flagged = rng.random(GROUPS) < np.where(anomaly & ~wrong, FLAGGED_ANOMALY, FLAGGED_OTHER)
    rows = zip(confidence, flagged, strict=True)
    return [Waiting(f"p_group_{n:05d}", 0, float(c), None, bool(f)) for n, (c, f) in enumerate(rows)], wrong


def folder(waiting: list[Waiting], seed: str) -> list[str]:
    return next_groups(waiting, (), len(waiting), order="folder")


def at_random(waiting: list[Waiting], seed: str) -> list[str]:
    return next_groups(waiting, (), len(waiting), blind=True, seed=seed)


def confidence_alone(waiting: list[Waiting], seed: str) -> list[str]:
    return [group.group_id for group in sorted(waiting, key=lambda group: group.confidence or 0.0)]


WAYS: dict[str, Ranking] = {
    "worth": by_worth,
    "folder": folder,
    "random": at_random,
    "confidence": confidence_alone,  # without conflicts and random slice: what these cost
}


def found(way: Ranking, draws: int) -> dict[int, float]:
    """Looks -> corrections per 100 of them, averaged over draws."""
    totals = dict.fromkeys(LOOKS, 0.0)
    for number in range(draws):
        waiting, wrong = draw(np.random.default_rng(number))
        places = {group.group_id: place for place, group in enumerate(waiting)}
        hits = np.array([wrong[places[group_id]] for group_id in way(waiting, str(number))])
        for looks in LOOKS:
            totals[looks] += hits[:looks].mean() * 100 / draws
    return totals


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="10 draws")
    draws = 10 if parser.parse_args().quick else 100
    rates = {name: found(way, draws) for name, way in WAYS.items()}
    print(f"Corrections found per 100 looks, of {GROUPS:,} groups waiting ({draws} draws)")
    print(f"  {'first looks':<12}" + "".join(f"{name:>12}" for name in rates))
    for looks in LOOKS:
        print(f"  {looks:<12}" + "".join(f"{rate[looks]:>12.1f}" for rate in rates.values()))

    many = [Waiting(f"p_group_{n:05d}", 0, (n * 7919 % 20_000) / 20_000, None, n % 20 == 0) for n in range(20_000)]
    took = min(seconds(lambda: by_worth(many, "p")) for _ in range(3))
    print(f"  ranking 20,000 waiting groups takes {took * 1000:.0f} ms")

    figures = {f"{name}_{looks}": rate[looks] for name, rate in rates.items() for looks in LOOKS}
    missed = []
    for other in ("folder", "random"):
        times = rates["worth"][100] / rates[other][100]
        figures[f"times_{other}"] = times
        if times < AT_LEAST_TIMES:
            missed.append(f"{times:.1f} times the corrections of {other} order in 100 looks < {AT_LEAST_TIMES}")
    if took > MOST_SECONDS:
        missed.append(f"ranking took {took:.2f} s > {MOST_SECONDS} s")
    finish({**figures, "rank_20000_s": took}, missed)


if __name__ == "__main__":
    main()
