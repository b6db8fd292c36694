"""The ranker's network: its settings, its tensors, and how features become a score that is a sum of terms.

Every member of the ensemble has its own weights, which lie side by side in one tensor: all are computed at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pickroom.features.pick_features import STAGE_NAMES, PickFeatures

_CLIP = 6.0  # standard deviations: a longer tail than any seen must not decide alone
_SPARE, _ROUNDS = 8, 8  # more directions than are kept, and rounds, of the iteration that finds them
_SAMPLE = 8192  # candidates from which the directions of an embedding block are found


@dataclass(frozen=True, slots=True)
class RankerConfig:
    """How a ranker is trained.

    Attributes:
        members: networks of the ensemble.
        components: directions kept of each embedding block, those in which siblings differ most.
        hidden: units of a term's hidden layer.
        steps, batch: steps of the optimiser, groups a step; at least `least_epochs` passes over the groups.
        learning_rate, weight_decay: of AdamW; the rate falls to 0 along a half cosine. stage_rate: of the stage term,
            which is settled first; straight_rate: of the straight lines beside the networks.
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
    stage_rate: float = 1e-1
    straight_rate: float = 2e-2
    weight_decay: float = 1.0
    dropout: float = 0.3
    embedding_dropout: float = 0.6
    seed: int = 1


def settings_of(name: str, tensor: Tensor, config: RankerConfig) -> dict[str, Any]:
    """Of the optimiser: the terms that are simple are settled sooner than the networks beside them."""
    decay = 0.0 if name == "stage" or name.endswith("_bias") else config.weight_decay
    rates = {"stage": config.stage_rate}
    rate = rates.get(name, config.straight_rate if name.endswith("_straight") else config.learning_rate)
    return {"params": [tensor], "lr": rate, "weight_decay": decay}


def _embedding_blocks(blocks: Mapping[str, tuple[int, int]]) -> list[str]:
    return [name for name in blocks if name != "consistency"]


def _width(config: RankerConfig, blocks: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
    """Inputs of the consistency term, and of the embeddings term."""
    start, stop = blocks["consistency"]
    kept = sum(min(config.components, blocks[name][1] - blocks[name][0]) for name in _embedding_blocks(blocks))
    return 2 * (stop - start), kept


def shapes_of(config: RankerConfig, blocks: Mapping[str, tuple[int, int]]) -> dict[str, tuple[int, ...]]:
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


def start(features: PickFeatures, config: RankerConfig, generator: torch.Generator) -> dict[str, Tensor]:
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
        square = sample.T @ sample / len(sample)
        values, vectors = _directions(square, min(config.components, stop - start), generator)
        mean = (square.trace() / len(square)).clamp_min(1e-12)
        state[f"directions_{name}"] = vectors / (values.clamp_min(0) + mean).sqrt()
    for name, shape in shapes_of(config, features.blocks).items():
        if name.endswith("_in"):
            state[name] = torch.randn(shape, generator=generator) / shape[1] ** 0.5
        elif name.endswith("_out"):
            state[name] = torch.randn(shape, generator=generator) * 0.1 / shape[1] ** 0.5
        else:
            state[name] = torch.zeros(shape)
    return state


def _directions(square: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The largest eigenvalues of a symmetric (D, D) matrix, (count,), and their vectors, (D, count).

    By subspace iteration (Halko, Martinsson and Tropp 2011, algorithm 4.4): of 1,280 directions a few are wanted, and a
    whole decomposition took longer than the training that follows it.
    """
    found = torch.randn(len(square), min(len(square), count + _SPARE), generator=generator)
    for _ in range(_ROUNDS):
        found, _ = torch.linalg.qr(square @ found)
    values, turned = torch.linalg.eigh(found.T @ square @ found)
    return values.flip(0)[:count], (found @ turned.flip(1))[:, :count]


def _relative(values: Tensor, mask: Tensor) -> Tensor:
    """Each candidate's values minus the mean of its siblings': (N, 4, F)."""
    here = mask.unsqueeze(-1).to(values.dtype)
    count = here.sum(dim=1, keepdim=True)
    mean = (values * here).sum(dim=1, keepdim=True) / count.clamp_min(1)
    return (values - mean) * here * (count / (count - 1).clamp_min(1))


def inputs_of(
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


def dropout_masks(
    config: RankerConfig, blocks: Mapping[str, tuple[int, int]], count: int, generator: torch.Generator, device: str
) -> tuple[Tensor, Tensor, Tensor]:
    """What is kept of hidden units, each member's own, and of embedding directions, the same for all members.

    One draw a group, so that its candidates are compared fairly.
    """

    def kept(shape: tuple[int, ...], share: float) -> Tensor:
        draws = torch.rand(shape, generator=generator)
        return ((draws >= share).float() / (1 - share)).to(device)

    hidden = (config.members, count, 1, config.hidden)
    return (
        kept(hidden, config.dropout),
        kept(hidden, config.dropout),
        kept((count, 1, _width(config, blocks)[1]), config.embedding_dropout),
    )


def score(
    state: Mapping[str, Tensor],
    stage: Tensor,
    consistency: Tensor,
    embedded: Tensor,
    masks: tuple[Tensor, Tensor, Tensor] | None = None,
) -> list[Tensor]:
    """The terms, each (members, N, 4)."""
    groups, size = stage.shape[:2]
    members = len(state["stage"])

    def network(name: str, values: Tensor, mask: Tensor | None) -> Tensor:
        flat = values.flatten(0, 1)
        # all members in one product: (groups x candidates, inputs) by (inputs, members x units)
        weights = state[f"{name}_in"].transpose(0, 1).flatten(1)
        hidden = (flat @ weights).unflatten(1, (members, -1)).transpose(0, 1)
        hidden = functional.gelu(hidden + state[f"{name}_bias"])
        if mask is not None:
            hidden = (hidden.unflatten(1, (groups, size)) * mask).flatten(1, 2)
        # a straight line beside the network: with few groups it is what can be learned
        straight = (flat @ state[f"{name}_straight"].squeeze(-1).T).T
        both = (hidden @ state[f"{name}_out"]).squeeze(-1) + straight
        return both.unflatten(1, (groups, size))

    terms = [torch.einsum("ngs,ms->mng", stage, state["stage"])]
    terms.append(network("consistency", consistency, masks[0] if masks else None))
    if "embeddings_in" in state:
        seen = embedded * masks[2] if masks else embedded
        terms.append(network("embeddings", torch.cat([seen, consistency], dim=-1), masks[1] if masks else None))
    else:
        terms.append(torch.zeros_like(terms[0]))
    return terms
