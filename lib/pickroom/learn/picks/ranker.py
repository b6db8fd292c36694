"""The ranker: which of a group's 2-4 candidates a person picks.

A conditional logit (McFadden 1974): a softmax over the group's scores, and the cross-entropy of the person's pick. A
score is a sum of terms that can be told apart: the stage (its own explicit term, so that "highest stage" cannot hide
in the features), sibling consistency, and the embeddings. Each is linear in what is learned, so that the fit is convex;
consistency also goes through a hidden layer of random weights that are not trained (Rahimi and Recht 2008). A small
ensemble: members differ by how they weigh the groups (Bayesian bootstrap, Rubin 1981), and their disagreement is the
spread.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.linalg import eigh
from scipy.optimize import minimize
from scipy.special import erf, softmax

from pickroom.core.errors import StoreError, UsageError
from pickroom.features.pick_features import PickFeatures
from pickroom.learn.examples import Pick, Progress, TrainingStep

_VERSIONS = (1, 2)  # version 1 trained the hidden layers of its two last terms, and still loads
TERMS = ("stage", "consistency", "embeddings")
CORRECTED_WEIGHT = 2.0  # of a group where the AI was wrong
_CLIP = 6.0  # standard deviations: a longer tail than any seen must not decide alone
_LEAST_SCALE = 1e-3  # a value that hardly varied must not blow up later
_SAMPLE = 8192  # candidates from which the directions of an embedding block are found
_CHUNK = 2048  # groups at a time when ranking


@dataclass(frozen=True, slots=True)
class RankerConfig:
    """How a ranker is trained.

    Attributes:
        members: of the ensemble.
        components: directions kept of each embedding block, those in which siblings differ most.
        hidden: units of the hidden layer; spread: standard deviation of what comes into one, of scaled values.
        stage_ridge, consistency_ridge, hidden_ridge, embeddings_ridge: how strongly weights are held near 0: half of it
            times their squares is added to the mean loss of a group.
        steps: iterations of the optimiser, at most.
        seed: of the hidden layer, the bootstrap, and the sample that directions are found from.
    """

    members: int = 5
    components: int = 32
    hidden: int = 512
    spread: float = 1.5
    stage_ridge: float = 3e-4
    consistency_ridge: float = 0.035
    hidden_ridge: float = 0.1
    embeddings_ridge: float = 0.1
    steps: int = 100
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Explanation:
    """What spoke for and against each of a group's n candidates.

    Attributes:
        terms: (n, len(TERMS)) float32: each term's share of the score, minus the mean over the candidates.
        departure: (n,) float32 in [0, 1]: how probably a candidate would be passed over for what was seen in it,
            were all of one stage (the softmax without the stage term, turned round).
        peaks: (n, 4) float32: the box where each departs most from its siblings, fractions.
    """

    terms: np.ndarray
    departure: np.ndarray
    peaks: np.ndarray


def pick_weights(picks: Sequence[Pick], anomaly_weight: float) -> np.ndarray:
    """(N,) float32: `anomaly_weight` where a lower stage was picked, and twice as much where the AI was wrong."""
    anomaly = [anomaly_weight if pick.anomaly else 1.0 for pick in picks]
    corrected = [CORRECTED_WEIGHT if pick.corrected else 1.0 for pick in picks]
    return (np.asarray(anomaly) * np.asarray(corrected)).astype(np.float32)


class Ranker:
    """A trained ensemble. Everything it needs is in `state()` and `describe()`."""

    def __init__(
        self, state: Mapping[str, np.ndarray], description: Mapping[str, Any], blocks: Mapping[str, tuple[int, int]]
    ) -> None:
        self._state, self._description, self.blocks = dict(state), dict(description), dict(blocks)

    def probabilities(self, features: PickFeatures) -> np.ndarray:
        """(N, 4) float32: the chance of each candidate, summing to 1 over the mask; 0 in rows without features."""
        return self._chances(features).mean(axis=0).astype(np.float32)

    @property
    def prior(self) -> float:
        """The share of lower picks among what it learned from, as it was weighed; NaN where that is not known."""
        return float(self._state.get("prior", np.nan))

    def spread(self, features: PickFeatures) -> np.ndarray:
        """(N,) float32 in [0, 0.5]: the members' standard deviation of the chance of the candidate picked."""
        chances = self._chances(features)
        best = chances.mean(axis=0).argmax(axis=1)
        return chances[:, np.arange(len(best)), best].std(axis=0).astype(np.float32)

    def explain(self, features: PickFeatures, row: int) -> Explanation:
        """Why, for one group; empty arrays where it has no features."""
        one = features.take([row])
        here = one.mask[0]
        terms = self._terms(one).mean(axis=1)[:, 0, here].T  # (n, terms)
        if not here.any():
            return Explanation(terms, np.zeros(0, np.float32), np.zeros((0, 4), np.float32))
        share = softmax(-terms[:, 1:].sum(axis=1)) if len(terms) > 1 else np.zeros(1)
        return Explanation(terms - terms.mean(axis=0), share.astype(np.float32), one.peaks[0][here])

    def state(self) -> dict[str, np.ndarray]:
        """Its weights, scales and directions, by name."""
        return dict(self._state)

    def describe(self) -> dict[str, Any]:
        """What `from_state` needs beside the arrays, as JSON."""
        return dict(self._description)

    @classmethod
    def from_state(cls, state: Mapping[str, np.ndarray], description: Mapping[str, Any]) -> Ranker:
        """A ranker as it was saved, by this version of the program or an earlier one.

        Raises:
            StoreError: another version of this code made it, or a part is missing.
        """
        try:
            if description["version"] not in _VERSIONS:
                raise ValueError(f"version {description['version']}, not {_VERSIONS[-1]}")
            blocks = {name: (int(start), int(stop)) for name, (start, stop) in description["blocks"].items()}
            embedded = [f"directions_{name}" for name in _embedding_blocks(blocks)]
            needed = {"stage", "consistency_mean", "consistency_scale", "consistency_straight", *embedded}
            arrays = {name: np.asarray(values) for name, values in state.items()}
            if not embedded:  # version 1 has no weights of no inputs
                arrays.setdefault("embeddings_straight", np.zeros((1, 0, 1), dtype=np.float32))
            if missing := (needed | {"embeddings_straight"}) - set(arrays):
                raise ValueError(f"without {', '.join(sorted(missing))}")
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise StoreError(
                f"the ranker's file does not fit this version ({error})",
                doing="loading a ranker",
                hint="train again: pickroom train ranker PROJECT",
            ) from error
        return cls(arrays, description, blocks)

    def _terms(self, features: PickFeatures) -> np.ndarray:
        """(terms, members, N, 4) float32."""
        if features.blocks != self.blocks:
            raise UsageError("the features are laid out otherwise than those it was trained on", doing="ranking")
        found = []
        for start in range(0, max(1, len(features)), _CHUNK):
            some = features.take(np.arange(start, min(len(features), start + _CHUNK)))
            stage, consistency, embedded = _inputs(self._state, some)
            both = np.concatenate([embedded, consistency], axis=2)
            stage_term = np.einsum("ngs,ms->mng", stage, self._state["stage"])
            seen = [
                _term(self._state, name, values) for name, values in zip(TERMS[1:], (consistency, both), strict=True)
            ]
            found.append(np.stack([stage_term, *seen]))
        return np.concatenate(found, axis=2)

    def _chances(self, features: PickFeatures) -> np.ndarray:
        """(members, N, 4) float64."""
        total = self._terms(features).sum(axis=0, dtype=np.float64)
        there = features.mask.any(axis=1, keepdims=True)
        chances: np.ndarray = softmax(np.where(features.mask | ~there, total, -np.inf), axis=-1)
        return np.where(there, chances, 0.0)


def fit_ranker(
    features: PickFeatures,
    chosen: np.ndarray,
    groups_weight: np.ndarray,
    config: RankerConfig,
    progress: Progress | None = None,
) -> Ranker:
    """Train a ranker. The same features and configuration give the same ranker.

    Args:
        chosen: (N,) int64, index of the person's pick.
        groups_weight: (N,) float32 > 0, see `pick_weights`; nothing is weighed or repeated beside it.
        progress: called after each iteration; what it raises stops the training and comes out of this call.

    Raises:
        UsageError: no group has features, or a choice points to no candidate.
    """
    rows = np.flatnonzero(features.mask.any(axis=1))
    chosen, weights = np.asarray(chosen, dtype=np.int64)[rows], np.asarray(groups_weight, dtype=np.float64)[rows]
    if not len(rows):
        raise UsageError("no group has features", doing="training a ranker", hint="see: pickroom check PROJECT")
    there = (chosen >= 0) & (chosen < features.mask.shape[1])
    if not there.all() or not features.mask[rows, chosen].all():
        raise UsageError("a choice points to a candidate that is not there", doing="training a ranker")
    started = time.monotonic()
    some = features if len(rows) == len(features) else features.take(rows)
    random = np.random.RandomState(config.seed)  # whose stream NumPy has frozen (NEP 19)
    state = _scales(some, config, random)
    lower = some.stage[np.arange(len(rows)), chosen, 0] == 0
    state["prior"] = np.asarray((weights * lower).sum() / weights.sum(), dtype=np.float32)
    # each member weighs the groups by its own draws
    drawn = weights * random.exponential(size=(config.members, len(rows)))
    drawn /= drawn.mean(axis=1, keepdims=True)
    stage, consistency, embedded = _inputs(state, some)
    terms = {
        "stage": (stage, config.stage_ridge),
        "consistency_straight": (consistency, config.consistency_ridge),
        "consistency_out": (_hidden(state, "consistency", consistency)[0], config.hidden_ridge),
        "embeddings_straight": (embedded, config.embeddings_ridge),
    }
    ridge = np.concatenate([np.full(values.shape[2], strength * len(rows)) for values, strength in terms.values()])
    inputs = np.concatenate([values for values, _ in terms.values()], axis=2).reshape(-1, len(ridge))

    losses, count = [0.0], 0
    objective = _Objective(inputs, some.mask, chosen, drawn, ridge, losses)

    def tell(_: np.ndarray) -> None:
        nonlocal count
        count += 1
        if progress:
            progress(TrainingStep(count, config.steps, losses[0] / len(rows), None, time.monotonic() - started))

    options = {"maxiter": config.steps, "ftol": 1e-7}
    nothing = np.zeros(config.members * len(ridge))
    found = minimize(objective, nothing, jac=True, method="L-BFGS-B", callback=tell, options=options)
    learned = found.x.reshape(config.members, -1).astype(np.float32)
    for name, (values, _) in terms.items():
        state[name], learned = learned[:, : values.shape[2], None], learned[:, values.shape[2] :]
    state["stage"] = state["stage"][..., 0]
    blocks = {name: list(ends) for name, ends in features.blocks.items()}
    description = {"version": _VERSIONS[-1], "config": asdict(config), "blocks": blocks}
    return Ranker(state, description, features.blocks)


@dataclass(frozen=True, slots=True)
class _Objective:
    """The loss of all members together, and its gradient.

    Attributes:
        inputs: (N x 4, D) float32; mask: (N, 4) bool; chosen: (N,) int64; weights: (members, N); ridge: (D,).
        losses: its one entry is set to the mean member's loss without the ridge.
    """

    inputs: np.ndarray
    mask: np.ndarray
    chosen: np.ndarray
    weights: np.ndarray
    ridge: np.ndarray
    losses: list[float]

    def __call__(self, flat: np.ndarray) -> tuple[float, np.ndarray]:
        learned = flat.reshape(len(self.weights), -1)
        scores = (self.inputs @ learned.T.astype(np.float32)).reshape(*self.mask.shape, -1).astype(np.float64)
        scores = np.where(self.mask[..., None], scores - scores.max(axis=1, keepdims=True), -np.inf)
        rows, chances = np.arange(len(self.chosen)), np.exp(scores)
        total = chances.sum(axis=1, keepdims=True)
        loss = float((self.weights.T * (np.log(total[:, 0]) - scores[rows, self.chosen])).sum())
        self.losses[0] = loss / len(self.weights)
        wrong = chances / total
        wrong[rows, self.chosen] -= 1
        wrong *= self.weights.T[:, None]
        slope = wrong.reshape(len(self.inputs), -1).T.astype(np.float32) @ self.inputs + self.ridge * learned
        return loss + 0.5 * float((self.ridge * learned**2).sum()), slope.ravel()


def _embedding_blocks(blocks: Mapping[str, tuple[int, int]]) -> list[str]:
    return [name for name in blocks if name != "consistency"]


def _scales(features: PickFeatures, config: RankerConfig, random: np.random.RandomState) -> dict[str, np.ndarray]:
    """How inputs are scaled, and the directions that are kept of each embedding block."""
    mask, (start, stop) = features.mask, features.blocks["consistency"]
    both = _with_relative(features.values[:, :, start:stop], mask)[mask]
    mean = both.mean(axis=0)
    mean[stop - start :] = 0  # differences have no side to lean to
    scale = np.maximum(both.std(axis=0), _LEAST_SCALE)
    units = random.standard_normal((1, both.shape[1], config.hidden)) * config.spread / both.shape[1] ** 0.5
    state = {
        "consistency_mean": mean,
        "consistency_scale": scale,
        "consistency_in": units,
        "consistency_bias": random.uniform(-1, 1, (1, 1, config.hidden)),
    }
    places = np.argwhere(mask)
    rows, members = random.permutation(places)[:_SAMPLE].T
    for name in _embedding_blocks(features.blocks):
        start, stop = features.blocks[name]
        sample = features.values[rows, members, start:stop]
        square = sample.T @ sample / len(sample)
        kept = (max(0, len(square) - config.components), len(square) - 1)
        spreads, directions = eigh(square, subset_by_index=kept)
        mean_spread = max(float(np.trace(square)) / len(square), 1e-12)
        state[f"directions_{name}"] = directions / np.sqrt(np.maximum(spreads, 0) + mean_spread)
    return {name: np.asarray(values, dtype=np.float32) for name, values in state.items()}


def _with_relative(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(N, 4, 2F): each candidate's values, and the same minus the mean of its siblings'."""
    here = mask[..., None].astype(values.dtype)
    count = here.sum(axis=1, keepdims=True)
    mean = (values * here).sum(axis=1, keepdims=True) / np.maximum(count, 1)
    return np.concatenate([values, (values - mean) * here * (count / np.maximum(count - 1, 1))], axis=2)


def _inputs(state: Mapping[str, np.ndarray], features: PickFeatures) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Stage (N, 4, S), consistency (N, 4, 2C) and embedding directions (N, 4, K), float32, scaled for the weights."""
    start, stop = features.blocks["consistency"]
    both = _with_relative(features.values[:, :, start:stop], features.mask)
    scaled = np.clip((both - state["consistency_mean"]) / state["consistency_scale"], -_CLIP, _CLIP)
    kept = [np.zeros((*scaled.shape[:2], 0), dtype=np.float32)]
    for name in _embedding_blocks(features.blocks):
        start, stop = features.blocks[name]
        kept.append(np.clip(features.values[:, :, start:stop] @ state[f"directions_{name}"], -_CLIP, _CLIP))
    return features.stage, scaled, np.concatenate(kept, axis=2)


def _term(state: Mapping[str, np.ndarray], name: str, inputs: np.ndarray) -> np.ndarray:
    """(members, N, 4): one of the last two terms of inputs (N, 4, D), of which a model may weigh only the first."""
    weights = state[f"{name}_straight"][..., 0]
    found = np.tensordot(weights, inputs[..., : weights.shape[1]], axes=([1], [2]))
    if f"{name}_in" not in state:
        return found
    return found + (_hidden(state, name, inputs) @ state[f"{name}_out"][:, None])[..., 0]


def _hidden(state: Mapping[str, np.ndarray], name: str, inputs: np.ndarray) -> np.ndarray:
    """(members, N, 4, H): a term's hidden layer; (1, N, 4, H) where all members share it."""
    into = inputs @ state[f"{name}_in"][:, None] + state[f"{name}_bias"][:, None]
    found: np.ndarray = into * (1 + erf(into * np.float32(0.5**0.5))) / 2  # GELU
    return found
