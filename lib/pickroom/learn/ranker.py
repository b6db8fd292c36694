"""The ranker: which of a group's 2-4 candidates a person picks.

Listwise: a softmax over the group's scores and the cross-entropy of the person's pick (Cao et al. 2007, ListNet with
one relevant item). A score is a sum of terms that can be told apart: the stage (its own explicit term, so that
"highest stage" cannot hide in the features), sibling consistency, and the embeddings. A small ensemble: members
differ by their seed and by the groups they saw (Bayesian bootstrap), and their disagreement is the spread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pickroom.errors import StoreError, UsageError
from pickroom.learn.examples import Step
from pickroom.learn.pick_features import STAGE_NAMES, PickFeatures

_VERSION = 1
TERMS = ("stage", "consistency", "embeddings")
Progress = Callable[[Step], None]


@dataclass(frozen=True, slots=True)
class RankerConfig:
    """How a ranker is trained.

    Attributes:
        members: networks of the ensemble.
        components: directions kept of each embedding block, those in which siblings differ most.
        hidden: units of a term's hidden layer.
        epochs, batch: passes over the groups, groups a step.
        learning_rate, weight_decay: of AdamW.
        dropout: share of hidden units, and of embedding directions, left out at random.
        anomaly_weight: of a group whose pick is below its highest stage, over one whose pick is the highest.
        stage_steps: how much larger the learning rate of the stage term is, so that it is settled first.
        seed: of the weights, the bootstrap, the order of groups.
    """

    members: int = 5
    components: int = 32
    hidden: int = 32
    epochs: int = 40
    batch: int = 256
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    dropout: float = 0.3
    anomaly_weight: float = 1.0
    seed: int = 1
