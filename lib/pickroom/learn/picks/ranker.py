"""The ranker: which of a group's 2-4 candidates a person picks.

Listwise: a softmax over the group's scores and the cross-entropy of the person's pick (Cao et al. 2007, ListNet with
one relevant item). A score is a sum of terms that can be told apart: the stage (its own explicit term, so that
"highest stage" cannot hide in the features), sibling consistency, and the embeddings. A small ensemble: members
differ by their weights at the start and by the groups they weigh (Bayesian bootstrap, Rubin 1981), and their
disagreement is the spread.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pickroom.core.errors import StoreError, UsageError
from pickroom.features.pick_features import PickFeatures
from pickroom.features.threads import limit_torch_threads
from pickroom.learn.examples import Pick, Progress, Step
from pickroom.learn.picks.network import RankerConfig, dropout_masks, inputs_of, score, settings_of, shapes_of, start

_VERSION = 1
TERMS = ("stage", "consistency", "embeddings")
CORRECTED_WEIGHT = 2.0  # of a group where the AI was wrong


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
    """A trained ensemble. Everything it needs is in `state()` and `config`; nothing in it is pickled."""

    def __init__(
        self, state: Mapping[str, Tensor], config: RankerConfig, blocks: Mapping[str, tuple[int, int]]
    ) -> None:
        self._state = {name: tensor.detach().cpu() for name, tensor in state.items()}
        self.config, self.blocks = config, dict(blocks)

    def probabilities(self, features: PickFeatures) -> np.ndarray:
        """(N, 4) float32: the chance of each candidate, summing to 1 over the mask; 0 in rows without features."""
        return self._chances(features).mean(axis=0).astype(np.float32)

    @property
    def prior(self) -> float:
        """The share of lower picks among what it learned from, as it was weighed; NaN where that is not known."""
        return float(self._state["prior"]) if "prior" in self._state else float("nan")

    def spread(self, features: PickFeatures) -> np.ndarray:
        """(N,) float32 in [0, 0.5]: the members' standard deviation of the chance of the candidate picked."""
        chances = self._chances(features)
        best = chances.mean(axis=0).argmax(axis=1)
        return chances[:, np.arange(len(best)), best].std(axis=0).astype(np.float32)

    def explain(self, features: PickFeatures, row: int) -> Explanation:
        """Why, for one group; empty arrays where it has no features."""
        one = features.take([row])
        here = one.mask[0]
        terms = torch.stack(self._terms(one)).mean(dim=1)[:, 0, here].numpy().T  # (n, terms)
        if not here.any():
            return Explanation(terms, np.zeros(0, np.float32), np.zeros((0, 4), np.float32))
        seen = terms[:, 1:].sum(axis=1)
        against = np.exp(-seen + seen.min())
        share = against / against.sum() if len(seen) > 1 else np.zeros(len(seen))
        return Explanation(terms - terms.mean(axis=0), share.astype(np.float32), one.peaks[0][here])

    def state(self) -> dict[str, Tensor]:
        """Tensors only: fit for `torch.load(weights_only=True)`."""
        return dict(self._state)

    def describe(self) -> dict[str, Any]:
        """What `from_state` needs beside the tensors, as JSON."""
        return {
            "version": _VERSION,
            "config": asdict(self.config),
            "blocks": {k: list(v) for k, v in self.blocks.items()},
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor], description: Mapping[str, Any]) -> Ranker:
        """A ranker as it was saved.

        Raises:
            StoreError: another version of this code made it, or a part is missing.
        """
        try:
            if description["version"] != _VERSION:
                raise ValueError(f"version {description['version']}, not {_VERSION}")
            blocks = {name: (int(start), int(stop)) for name, (start, stop) in description["blocks"].items()}
            ranker = cls(state, RankerConfig(**description["config"]), blocks)
            missing = set(shapes_of(ranker.config, blocks)) - set(state)
            if missing:
                raise ValueError(f"without {', '.join(sorted(missing))}")
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(
                f"the ranker's file does not fit this version ({error})",
                doing="loading a ranker",
                hint="train again: pickroom train ranker PROJECT",
            ) from error
        return ranker

    def _terms(self, features: PickFeatures) -> list[Tensor]:
        if features.blocks != self.blocks:
            raise UsageError("the features are laid out otherwise than those it was trained on", doing="ranking")
        found = []
        with torch.inference_mode():
            for start in range(0, max(1, len(features)), 2048):
                some = features.take(np.arange(start, min(len(features), start + 2048)))
                inputs = inputs_of(self._state, some, self.blocks)
                found.append(torch.stack(score(self._state, *inputs)))
        return list(torch.cat(found, dim=2))

    def _chances(self, features: PickFeatures) -> np.ndarray:
        """(members, N, 4) float64."""
        mask = torch.from_numpy(features.mask)
        total = torch.stack(self._terms(features)).sum(dim=0)
        total = total.masked_fill(~mask, float("-inf"))
        chances = torch.softmax(total.double(), dim=-1)
        return torch.nan_to_num(chances).numpy()


def fit_ranker(
    features: PickFeatures,
    chosen: np.ndarray,
    groups_weight: np.ndarray,
    config: RankerConfig,
    progress: Progress | None = None,
    *,
    resume: Mapping[str, Any] | None = None,
    device: str = "cpu",
) -> Ranker:
    """Train a ranker. The same features, configuration and device give the same ranker.

    Args:
        chosen: (N,) int64, index of the person's pick.
        groups_weight: (N,) float32 > 0, see `pick_weights`; nothing is weighed or repeated beside it.
        progress: called after each epoch; KeyboardInterrupt from it stops there and comes out of this call.
        resume: a `Step.snapshot()` of the same features and configuration: training goes on after it.

    Raises:
        UsageError: no group has features, or a choice points to no candidate.
    """
    # products this small gain nothing from a second thread, and lose much to it where other programs run
    with limit_torch_threads(0):
        return _fit(features, chosen, groups_weight, config, progress, resume, device)


def _fit(
    features: PickFeatures,
    chosen: np.ndarray,
    groups_weight: np.ndarray,
    config: RankerConfig,
    progress: Progress | None,
    resume: Mapping[str, Any] | None,
    device: str,
) -> Ranker:
    rows = np.flatnonzero(features.mask.any(axis=1))
    chosen = np.asarray(chosen, dtype=np.int64)
    if not len(rows):
        raise UsageError("no group has features", doing="training a ranker", hint="see: pickroom check PROJECT")
    there = (chosen[rows] >= 0) & (chosen[rows] < features.mask.shape[1])
    if not there.all() or not features.mask[rows, chosen[rows]].all():
        raise UsageError("a choice points to a candidate that is not there", doing="training a ranker")
    started = time.monotonic()
    generator = torch.Generator().manual_seed(config.seed)
    some = features if len(rows) == len(features) else features.take(rows)
    state = start(some, config, generator) if resume is None else dict(resume["weights"])
    stage, consistency, embedded = (tensor.to(device) for tensor in inputs_of(state, some, features.blocks))
    mask = torch.from_numpy(some.mask).to(device)
    target = torch.from_numpy(chosen[rows]).to(device)
    weights = torch.from_numpy(np.asarray(groups_weight, dtype=np.float32)[rows])
    lower = torch.from_numpy(some.stage[np.arange(len(rows)), chosen[rows], 0] == 0)
    state["prior"] = (weights * lower).sum() / weights.sum()
    # each member weighs the groups by its own draws; from a stream of their own, so that a resumed fit has the same
    draws = torch.empty(config.members, len(rows)).exponential_(generator=torch.Generator().manual_seed(config.seed))
    weights = (weights * draws / (weights * draws).mean(dim=1, keepdim=True)).to(device)

    learned = {name: state[name].to(device).clone().requires_grad_() for name in shapes_of(config, features.blocks)}
    fixed = {name: tensor.to(device) for name, tensor in state.items() if name not in learned}
    optimiser = torch.optim.AdamW([settings_of(name, tensor, config) for name, tensor in learned.items()])
    per_epoch = -(-len(rows) // config.batch)
    epochs = max(config.least_epochs, -(-config.steps // per_epoch))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs * per_epoch)
    first = 1
    if resume is not None:
        optimiser.load_state_dict(resume["optimiser"])
        schedule.load_state_dict(resume["schedule"])
        generator.set_state(resume["generator"])
        first = int(resume["epoch"]) + 1

    for epoch in range(first, epochs + 1):
        order = torch.randperm(len(rows), generator=generator).to(device)
        total = 0.0
        for batch in order.split(config.batch):
            masks = dropout_masks(config, features.blocks, len(batch), generator, device)
            terms = score({**fixed, **learned}, stage[batch], consistency[batch], embedded[batch], masks)
            scores = torch.stack(terms).sum(dim=0).masked_fill(~mask[batch], float("-inf"))
            losses = functional.cross_entropy(
                scores.flatten(0, 1), target[batch].repeat(config.members), reduction="none"
            )
            loss = (losses.view(config.members, -1) * weights[:, batch]).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += float(loss.detach()) * len(batch)
        if progress:

            def snapshot(at: int = epoch) -> dict[str, Any]:
                now = {name: tensor.detach().cpu().clone() for name, tensor in {**fixed, **learned}.items()}
                return {
                    "weights": now,
                    "optimiser": optimiser.state_dict(),
                    "schedule": {k: v for k, v in schedule.state_dict().items() if not k.startswith("_get")},
                    "generator": generator.get_state(),
                    "epoch": at,
                }

            progress(Step(epoch, epochs, total / len(rows), None, time.monotonic() - started, snapshot))
    return Ranker({**fixed, **learned}, config, features.blocks)
