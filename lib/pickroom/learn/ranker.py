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

from pickroom.errors import StoreError, UsageError
from pickroom.learn.examples import Pick, Progress, Step
from pickroom.learn.pick_features import STAGE_NAMES, PickFeatures

_VERSION = 1
TERMS = ("stage", "consistency", "embeddings")
CORRECTED_WEIGHT = 2.0  # of a group where the AI was wrong
_CLIP = 6.0  # standard deviations: a longer tail than any seen must not decide alone
_SAMPLE = 8192  # candidates from which the directions of an embedding block are found


@dataclass(frozen=True, slots=True)
class RankerConfig:
    """How a ranker is trained.

    Attributes:
        members: networks of the ensemble.
        components: directions kept of each embedding block, those in which siblings differ most.
        hidden: units of a term's hidden layer.
        steps, batch: steps of the optimiser, groups a step; at least `least_epochs` passes over the groups.
        learning_rate, weight_decay: of AdamW; the rate falls to 0 along a half cosine. straight_rate: of the stage
            term and of the straight lines beside the networks.
        dropout: share of hidden units left out at random; embedding_dropout: of embedding directions.
        seed: of the weights, the bootstrap, the order of groups.
    """

    members: int = 5
    components: int = 32
    hidden: int = 32
    steps: int = 400
    batch: int = 256
    least_epochs: int = 4
    learning_rate: float = 3e-3
    straight_rate: float = 2e-2
    weight_decay: float = 1.0
    dropout: float = 0.3
    embedding_dropout: float = 0.6
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
    """A trained ensemble. Everything it needs is in `state()` and `config`; nothing in it is pickled."""

    def __init__(
        self, state: Mapping[str, Tensor], config: RankerConfig, blocks: Mapping[str, tuple[int, int]]
    ) -> None:
        self._state = {name: tensor.detach().cpu() for name, tensor in state.items()}
        self.config, self.blocks = config, dict(blocks)

    def probabilities(self, features: PickFeatures) -> np.ndarray:
        """(N, 4) float32: the chance of each candidate, summing to 1 over the mask; 0 in rows without features."""
        return self._chances(features).mean(axis=0).astype(np.float32)

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
            missing = set(_shapes(ranker.config, blocks)) - set(state)
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
                inputs = _inputs(self._state, some, self.blocks)
                found.append(torch.stack(_score(self._state, *inputs)))
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
    rows = np.flatnonzero(features.mask.any(axis=1))
    chosen = np.asarray(chosen, dtype=np.int64)
    if not len(rows):
        raise UsageError("no group has features", doing="training a ranker", hint="see: pickroom check PROJECT")
    if not features.mask[rows, chosen[rows]].all():
        raise UsageError("a choice points to a candidate that is not there", doing="training a ranker")
    started = time.monotonic()
    generator = torch.Generator().manual_seed(config.seed)
    some = features if len(rows) == len(features) else features.take(rows)
    state = _start(some, config, generator) if resume is None else dict(resume["weights"])
    inputs = [tensor.to(device) for tensor in _inputs(state, some, features.blocks)]
    mask = torch.from_numpy(some.mask).to(device)
    target = torch.from_numpy(chosen[rows]).to(device)
    weights = torch.from_numpy(np.asarray(groups_weight, dtype=np.float32)[rows])
    # each member weighs the groups by its own draws; from a stream of their own, so that a resumed fit has the same
    draws = torch.empty(config.members, len(rows)).exponential_(generator=torch.Generator().manual_seed(config.seed))
    weights = (weights * draws / (weights * draws).mean(dim=1, keepdim=True)).to(device)

    learned = {name: state[name].to(device).clone().requires_grad_() for name in _shapes(config, features.blocks)}
    fixed = {name: tensor.to(device) for name, tensor in state.items() if name not in learned}
    optimiser = torch.optim.AdamW([_settings(name, tensor, config) for name, tensor in learned.items()])
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
            masks = _dropout_masks(config, features.blocks, len(batch), generator, device)
            terms = _score({**fixed, **learned}, *(tensor[batch] for tensor in inputs), masks)
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


def _settings(name: str, tensor: Tensor, config: RankerConfig) -> dict[str, Any]:
    """Of the optimiser: the terms that are straight lines are settled sooner than the networks beside them."""
    fast = name == "stage" or name.endswith("_straight")
    decay = 0.0 if name == "stage" or name.endswith("_bias") else config.weight_decay
    rate = config.straight_rate if fast else config.learning_rate
    return {"params": [tensor], "lr": rate, "weight_decay": decay}


def _embedding_blocks(blocks: Mapping[str, tuple[int, int]]) -> list[str]:
    return [name for name in blocks if name != "consistency"]


def _width(config: RankerConfig, blocks: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
    """Inputs of the consistency term, and of the embeddings term."""
    start, stop = blocks["consistency"]
    kept = sum(min(config.components, blocks[name][1] - blocks[name][0]) for name in _embedding_blocks(blocks))
    return 2 * (stop - start), kept


def _shapes(config: RankerConfig, blocks: Mapping[str, tuple[int, int]]) -> dict[str, tuple[int, ...]]:
    """The learned tensors: every member's own, side by side."""
    plain, kept = _width(config, blocks)
    members, hidden = config.members, config.hidden
    shapes: dict[str, tuple[int, ...]] = {
        "stage": (members, len(STAGE_NAMES)),
        "consistency_in": (members, plain, hidden),
        "consistency_bias": (members, 1, hidden),
        "consistency_out": (members, hidden, 1),
        "consistency_straight": (members, plain, 1),
    }
    if kept:
        shapes |= {
            "embeddings_in": (members, kept + plain, hidden),
            "embeddings_bias": (members, 1, hidden),
            "embeddings_out": (members, hidden, 1),
            "embeddings_straight": (members, kept + plain, 1),
        }
    return shapes


def _start(features: PickFeatures, config: RankerConfig, generator: torch.Generator) -> dict[str, Tensor]:
    """Scales and directions from the features, and random weights."""
    mask = torch.from_numpy(features.mask)
    start, stop = features.blocks["consistency"]
    plain = torch.from_numpy(features.values[:, :, start:stop])
    both = torch.cat([plain, _relative(plain, mask)], dim=-1)[mask]
    state = {"consistency_mean": both.mean(dim=0), "consistency_scale": both.std(dim=0).clamp_min(1e-3)}
    state["consistency_mean"][stop - start :] = 0  # differences have no side to lean to
    places = mask.nonzero()
    if len(places) > _SAMPLE:
        places = places[torch.randperm(len(places), generator=generator)[:_SAMPLE]]
    rows, members = places.T
    for name in _embedding_blocks(features.blocks):
        start, stop = features.blocks[name]
        sample = torch.from_numpy(features.values[rows.numpy(), members.numpy(), start:stop])
        values, vectors = torch.linalg.eigh(sample.T @ sample / len(sample))
        kept = min(config.components, stop - start)
        values, vectors = values[-kept:].flip(0), vectors[:, -kept:].flip(1)
        state[f"directions_{name}"] = vectors / (values.clamp_min(0) + values.mean().clamp_min(1e-12)).sqrt()
    for name, shape in _shapes(config, features.blocks).items():
        if name.endswith("_in"):
            state[name] = torch.randn(shape, generator=generator) / shape[1] ** 0.5
        elif name.endswith("_out"):
            state[name] = torch.randn(shape, generator=generator) * 0.1 / shape[1] ** 0.5
        else:
            state[name] = torch.zeros(shape)
    return state


def _relative(values: Tensor, mask: Tensor) -> Tensor:
    """Each candidate's values minus the mean of its siblings': (N, 4, F)."""
    here = mask.unsqueeze(-1).to(values.dtype)
    count = here.sum(dim=1, keepdim=True)
    mean = (values * here).sum(dim=1, keepdim=True) / count.clamp_min(1)
    return (values - mean) * here * (count / (count - 1).clamp_min(1))


def _inputs(
    state: Mapping[str, Tensor], features: PickFeatures, blocks: Mapping[str, tuple[int, int]]
) -> tuple[Tensor, Tensor, Tensor]:
    """Stage (N, 4, S), consistency (N, 4, 2C) and embedding directions (N, 4, K), scaled as the networks take them."""
    start, stop = blocks["consistency"]
    plain = torch.from_numpy(np.ascontiguousarray(features.values[:, :, start:stop]))
    both = torch.cat([plain, _relative(plain, torch.from_numpy(features.mask))], dim=-1)
    scaled = ((both - state["consistency_mean"].cpu()) / state["consistency_scale"].cpu()).clamp(-_CLIP, _CLIP)
    kept = []
    for name in _embedding_blocks(blocks):
        start, stop = blocks[name]
        values = torch.from_numpy(features.values[:, :, start:stop])
        kept.append((values @ state[f"directions_{name}"].cpu()).clamp(-_CLIP, _CLIP))
    embedded = torch.cat(kept, dim=-1) if kept else plain.new_zeros((*plain.shape[:2], 0))
    return torch.from_numpy(features.stage), scaled, embedded


def _dropout_masks(
    config: RankerConfig, blocks: Mapping[str, tuple[int, int]], count: int, generator: torch.Generator, device: str
) -> tuple[Tensor, Tensor, Tensor]:
    """What is kept of hidden units and embedding directions, one draw a group: its candidates are compared fairly."""

    def kept(size: int, share: float) -> Tensor:
        draws = torch.rand(config.members, count, 1, size, generator=generator)
        return ((draws >= share).float() / (1 - share)).to(device)

    _, width = _width(config, blocks)
    return (
        kept(config.hidden, config.dropout),
        kept(config.hidden, config.dropout),
        kept(width, config.embedding_dropout),
    )


def _score(
    state: Mapping[str, Tensor],
    stage: Tensor,
    consistency: Tensor,
    embedded: Tensor,
    masks: tuple[Tensor, Tensor, Tensor] | None = None,
) -> list[Tensor]:
    """The terms, each (members, N, 4)."""
    groups, size = stage.shape[:2]

    def network(name: str, values: Tensor, mask: Tensor | None) -> Tensor:
        flat = values.flatten(-3, -2) if values.dim() == 4 else values.flatten(0, 1).expand(len(state["stage"]), -1, -1)
        hidden = functional.gelu(flat @ state[f"{name}_in"] + state[f"{name}_bias"])
        if mask is not None:
            hidden = (hidden.unflatten(1, (groups, size)) * mask).flatten(1, 2)
        # a straight line beside the network: with few groups it is what can be learned
        both = hidden @ state[f"{name}_out"] + flat @ state[f"{name}_straight"]
        return both.squeeze(-1).unflatten(1, (groups, size))

    terms = [torch.einsum("ngs,ms->mng", stage, state["stage"])]
    terms.append(network("consistency", consistency, masks[0] if masks else None))
    if "embeddings_in" in state:
        members = len(state["stage"])
        seen = embedded.expand(members, -1, -1, -1) * (masks[2] if masks else 1.0)
        joined = torch.cat([seen, consistency.expand(members, -1, -1, -1)], dim=-1)
        terms.append(network("embeddings", joined, masks[1] if masks else None))
    else:
        terms.append(torch.zeros_like(terms[0]))
    return terms
