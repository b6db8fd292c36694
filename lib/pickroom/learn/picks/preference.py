"""A Bayesian model of utilities that predicts which of a group's candidates the user picks. Pure: arrays only.

The utility of a candidate is linear in its columns, and the pick is the softmax of the group's utilities
(Plackett-Luce, first choice). Weights are normal around 0, with one variance for each block of columns. Variances
maximise the evidence (MacKay 1992) of the Laplace approximation, so that a block that does not help gets no weight.
Chances are averaged over the posterior.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy import linalg
from scipy.special import ndtri, softmax

from pickroom.core.records import MAX_GROUP

Blocks = Mapping[str, tuple[int, int]]  # name -> (first column, one after the last)
_ROUNDS, _WARM_ROUNDS = 18, 8  # of the evidence, each with one Newton step
_NEWTON = 12  # steps at most, with the variances fixed
_EVIDENCE_GROUPS = 1500  # groups that the variances are found from, at most: more hardly change them
# prior of a block's variance: median and deviation in logs of a log-normal. It bounds the variance where there are few
# groups, or where the same images occur again and again, so that picks can be memorised
_PRIOR_VARIANCE, _PRIOR_SPREAD = 0.3, 2.0
_LEAST_VARIANCE, _MOST_VARIANCE = 1e-6, 1e3
_CHUNK = 1024  # groups at a time
_DRAWS = 128  # of the quadrature over the posterior


@dataclass(frozen=True, slots=True)
class Preference:
    """A posterior over D weights.

    Attributes:
        mean: (D,) float64; precision: (D, D) float64, the inverse covariance.
        variances: block -> prior variance of each of its weights.
        blocks: block -> its columns.
    """

    mean: np.ndarray
    precision: np.ndarray
    variances: dict[str, float]
    blocks: dict[str, tuple[int, int]]

    def chances(self, columns: np.ndarray, mask: np.ndarray, doubt: np.ndarray | None = None) -> np.ndarray:
        """The chance that each candidate is picked, averaged over the posterior by a fixed quadrature.

        Args:
            columns: (N, 4, D); mask: (N, 4) bool, the candidates there are.
            doubt: (N, 4) variance of each utility due to blocks without values.

        Returns:
            (N, 4) float64, 0 where masked; rows sum to 1 where there is a candidate.
        """
        from scipy.stats.qmc import Sobol  # imports for half a second

        factor = linalg.cholesky(self.precision, lower=True)
        # the same points every time, spread evenly over the normal distribution (Sobol 1967)
        draws = ndtri(Sobol(MAX_GROUP, scramble=True, seed=7).random(_DRAWS))
        found = np.zeros(mask.shape)
        for rows in _chunks(len(mask)):
            some, here = np.asarray(columns[rows], dtype=np.float64), mask[rows]
            flat = some.reshape(-1, len(self.mean))
            half = linalg.solve_triangular(factor, flat.T, lower=True).T.reshape(*some.shape[:2], -1)
            covariance = half @ half.transpose(0, 2, 1)
            if doubt is not None:
                covariance += doubt[rows][:, :, None] * np.eye(MAX_GROUP)
            # lifted, so that each has a square root
            lift = 1e-9 + 1e-9 * np.trace(covariance, axis1=1, axis2=2)
            spread = np.linalg.cholesky(covariance + lift[:, None, None] * np.eye(MAX_GROUP))
            utilities = (some @ self.mean)[:, None] + np.einsum("nij,sj->nsi", spread, draws)
            there = np.asarray(here.any(axis=1, keepdims=True))
            utilities = np.where((here | ~there)[:, None], utilities, -np.inf)
            found[rows] = np.where(there, softmax(utilities, axis=2).mean(axis=1), 0.0)
        return found

    def learn(self, columns: np.ndarray, mask: np.ndarray, chosen: np.ndarray) -> Preference:
        """The posterior after more picks, with this one as the prior; the variances stay."""
        if not len(chosen):
            return self
        mean, precision = _newton(columns, mask, chosen, self.mean, self.precision, self.mean)
        return replace(self, mean=mean, precision=precision)


def fit_preference(
    columns: np.ndarray,
    mask: np.ndarray,
    chosen: np.ndarray,
    blocks: Blocks,
    start: Mapping[str, float] | None = None,
    weights: np.ndarray | None = None,
) -> Preference:
    """The posterior given picks, with the variances that maximise the evidence.

    Args:
        columns: (N, 4, D), scaled so that a block's columns together vary by about 1 within a group.
        mask: (N, 4) bool; chosen: (N,) int64, the index picked.
        start: variances of an earlier fit to begin from, so that fewer rounds are enough.
        weights: (N,) of the groups, for comparisons only: with weights the evidence is not valid.
    """
    size = columns.shape[2]
    warm = start is not None and set(start) == set(blocks)
    variances = np.array([(start or {}).get(name, _PRIOR_VARIANCE) for name in blocks])
    places = list(blocks.values())
    widths = np.array([stop - first for first, stop in places])
    mean: np.ndarray = np.zeros(size)
    rows = np.arange(len(chosen))
    some = rows if len(rows) <= _EVIDENCE_GROUPS else rows[np.linspace(0, len(rows) - 1, _EVIDENCE_GROUPS).astype(int)]
    inputs, here, picked = np.asarray(columns[some], np.float64), mask[some], chosen[some]
    weighed = None if weights is None else weights[some]
    for _ in range(_WARM_ROUNDS if warm else _ROUNDS):
        prior: np.ndarray = np.repeat(1 / variances, widths)
        slope, curvature = _derivatives(inputs, here, picked, mean, weighed)
        curvature[np.diag_indices(size)] += prior
        factor = linalg.cholesky(curvature, lower=True, overwrite_a=True, check_finite=False)
        mean = mean - linalg.cho_solve((factor, True), slope + prior * mean, check_finite=False)
        inverse, _ = linalg.lapack.dpotri(factor, lower=1, overwrite_c=1)
        doubtful = np.diagonal(inverse) * prior
        for number, (first, stop) in enumerate(places):
            determined = max(0.0, widths[number] - float(doubtful[first:stop].sum()))
            fitted = float((mean[first:stop] ** 2).sum()) / variances[number]
            pull = np.log(variances[number] / _PRIOR_VARIANCE) / _PRIOR_SPREAD**2
            step = (0.5 * (fitted - determined) - pull) / (0.5 * max(fitted, determined) + 1 / _PRIOR_SPREAD**2)
            variances[number] *= np.exp(np.clip(step, -1.5, 1.5))
        variances = np.clip(variances, _LEAST_VARIANCE, _MOST_VARIANCE)
    precise = np.diag(np.repeat(1 / variances, widths))
    mean, precision = _newton(columns, mask, chosen, np.zeros(size), precise, mean, weights)
    named = dict(zip(blocks, variances.tolist(), strict=True))
    return Preference(mean, precision, named, dict(blocks))


def _newton(
    columns: np.ndarray,
    mask: np.ndarray,
    chosen: np.ndarray,
    centre: np.ndarray,
    prior: np.ndarray,
    start: np.ndarray,
    weights: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The most probable weights under a normal prior (its centre and precision), and the precision there."""
    mean = start
    for _ in range(_NEWTON):
        slope, curvature = _derivatives(columns, mask, chosen, mean, weights)
        curvature += prior
        step = linalg.solve(curvature, slope + prior @ (mean - centre), assume_a="pos", check_finite=False)
        mean = mean - step
        if float(np.abs(columns[:64] @ step).max()) < 1e-3:  # in utilities: changes in chances are smaller
            break
    return mean, curvature


def _derivatives(
    columns: np.ndarray, mask: np.ndarray, chosen: np.ndarray, mean: np.ndarray, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Slope (D,) and curvature (D, D) of the negative log likelihood."""
    slope, curvature = np.zeros(len(mean)), np.zeros((len(mean), len(mean)))
    for rows in _chunks(len(chosen)):
        some = np.asarray(columns[rows], dtype=np.float64)
        chances = softmax(np.where(mask[rows], some @ mean, -np.inf), axis=1)
        weight = np.ones(len(some)) if weights is None else weights[rows]
        expected = np.einsum("ni,nid->nd", chances, some)
        picked = some[np.arange(len(some)), chosen[rows]]
        slope += weight @ (expected - picked)
        apart = (some - expected[:, None]) * np.sqrt(chances * weight[:, None])[..., None]
        flat = apart.reshape(-1, len(mean))
        curvature += flat.T @ flat
    return slope, curvature


def _chunks(count: int) -> Iterator[slice]:
    return (slice(start, start + _CHUNK) for start in range(0, count, _CHUNK))
