"""Train a crop proposer: member by member, in small batches, in seconds on the CPU."""

import math
from collections.abc import Iterator
from dataclasses import asdict

import numpy as np
from scipy.optimize import Bounds, minimize
from scipy.special import expit

from pickroom.core.errors import UsageError
from pickroom.features.encoder import reduce_channels
from pickroom.learn.blas import one_blas_thread
from pickroom.learn.crops.features import CropFeatures
from pickroom.learn.crops.network import (
    Inputs,
    Weights,
    box_loss,
    forward,
    gradient,
    mirror_boxes,
    need_inputs,
    new_weights,
)
from pickroom.learn.crops.proposer import (
    VERSION,
    CropConfig,
    CropProposer,
    extra,
    fit_grid_scales,
    fit_scales,
    is_crop,
    keeps_aspect,
    scaled,
)
from pickroom.learn.examples import Progress

_DECAYED = ("enter", "kernel", "move")  # the weights that are drawn towards 0
_NEED_RIDGE = 10.0  # of the regression of need, on scaled values
_WARM_UP = 0.1  # share of the steps in which the learning rate rises
_ALWAYS = 4.0  # a logit: a chance of .98
_MOMENTS = (0.9, 0.999)  # of Adam


@one_blas_thread
def fit_crops(
    features: CropFeatures, boxes: np.ndarray, config: CropConfig | None = None, progress: Progress | None = None
) -> CropProposer:
    """Train a proposer. The same features and configuration give the same proposer.

    Args:
        boxes: (N, 4) float32, the user's crops as fractions; NaN rows: approved as it is, no crop needed.
        progress: called after each epoch; what it raises stops the training and comes out of this call.

    Raises:
        UsageError: no image has both features and a crop.
    """
    config = config or CropConfig()
    boxes = np.asarray(boxes, dtype=np.float32)
    rows = np.flatnonzero(features.mask)
    cropped = is_crop(boxes[rows])
    if not cropped.any():
        what = "no image has both features and a crop"
        raise UsageError(what, doing="training a crop proposer", hint="crop some images, and embed them")
    some, boxes = features.take(rows), boxes[rows]
    keep = keeps_aspect(boxes) if config.keep_aspect is None else config.keep_aspect
    arrays = fit_scales(some, config.components)
    whole = some.grid
    # projects of version 0.1 have reduced grids: one proposer answers for them and for whole ones
    grids = [None] if whole is None else [whole] if whole is (few := reduce_channels(whole)) else [whole, few]
    seen, mean_box = extra(some, arrays), boxes[cropped].mean(axis=0)
    epochs = max(config.least_epochs, round(config.steps / -(-int(cropped.sum()) // config.batch)))
    done = 0
    for grid in grids:
        arrays |= fit_grid_scales(grid) if grid is not None else {}
        inputs = Inputs(scaled(grid, arrays), some.cover, seen)
        shape = None if grid is None else grid.shape[1:]
        channels = shape[2] if shape else 0
        for member in range(config.members):
            rng = np.random.default_rng((config.seed, channels, member))
            flat, weights = new_weights(shape, config.hidden, seen.shape[1], mean_box, rng)
            for loss in _epochs(inputs.take(cropped), boxes[cropped], keep, flat, weights, config, epochs, rng):
                done += 1
                if progress:
                    progress(done, epochs * config.members * len(grids), loss)
            weights |= _fit_need(need_inputs(inputs, forward(weights, inputs)), cropped)
            arrays |= {f"{channels}.{member}.{name}": values for name, values in weights.items()}
    described = {"version": VERSION, "config": asdict(config), "sizes": some.sizes, "keep_aspect": keep}
    return CropProposer(arrays, described)


def _epochs(
    inputs: Inputs,
    boxes: np.ndarray,
    keep_aspect: bool,
    flat: np.ndarray,
    weights: Weights,
    config: CropConfig,
    epochs: int,
    rng: np.random.Generator,
) -> Iterator[float]:
    """Train weights in place with AdamW (Loshchilov & Hutter 2019) on crops that were drawn; each epoch's mean loss."""
    total, step = epochs * -(-len(boxes) // config.batch), 0
    first, second = np.zeros_like(flat), np.zeros_like(flat)
    decayed = np.concatenate([np.full(w.size, name in _DECAYED) for name, w in weights.items()])
    for _ in range(epochs):
        order, losses = rng.permutation(len(boxes)), 0.0
        for start in range(0, len(boxes), config.batch):
            rows = order[start : start + config.batch]
            some, meant = _augmented(inputs.take(rows), boxes[rows], config.dropout, rng)
            found = forward(weights, some)
            each, slopes = box_loss(found.edges, meant, config.l1, keep_aspect)
            slope = np.concatenate([s.ravel() for s in gradient(weights, some, found, slopes / len(rows)).values()])
            step += 1
            rate = config.learning_rate * _rate(step, total)
            first += (1 - _MOMENTS[0]) * (slope - first)
            second += (1 - _MOMENTS[1]) * (slope**2 - second)
            spread = np.sqrt(second / (1 - _MOMENTS[1] ** step)) + 1e-8
            flat *= 1 - rate * config.weight_decay * decayed
            flat -= rate / (1 - _MOMENTS[0] ** step) * first / spread
            losses += float(each.sum())
        yield losses / len(boxes)


def _augmented(
    inputs: Inputs, boxes: np.ndarray, dropout: float, rng: np.random.Generator
) -> tuple[Inputs, np.ndarray]:
    """Mirror half of the images, and leave out channels at random; changes the grid in place."""
    grid = inputs.grid
    if grid is None:  # a vector alone does not tell what its image looks like in a mirror
        return inputs, boxes
    mirrored = rng.random(len(boxes)) < 0.5
    grid[mirrored] = grid[mirrored, :, ::-1]
    kept = rng.random((len(boxes), 1, 1, grid.shape[3]), dtype=np.float32) >= dropout
    grid *= kept / np.float32(1 - dropout)
    return inputs, np.where(mirrored[:, None], mirror_boxes(boxes), boxes)


def _fit_need(seen: np.ndarray, cropped: np.ndarray) -> Weights:
    """Whether a crop is needed, from (N, D) `need_inputs`."""
    mean, spread = seen.mean(axis=0), seen.std(axis=0).clip(min=1e-3)
    found = np.zeros(1 + seen.shape[1])
    if cropped.all():  # there is no image that the user left as it is
        found[0] = _ALWAYS
    else:
        inputs = np.column_stack([np.ones(len(seen)), (seen - mean) / spread])
        found = fit_logistic(inputs, cropped, found, np.array([0.0, *[_NEED_RIDGE] * seen.shape[1]]))
    need = found[1:] / spread
    return {"need": need.astype(np.float32), "always": np.array([found[0] - mean @ need], dtype=np.float32)}


def fit_logistic(
    inputs: np.ndarray, right: np.ndarray, centre: np.ndarray, ridge: np.ndarray, least: np.ndarray | None = None
) -> np.ndarray:
    """(D,) weights, `least` or more, of a logistic regression of (N,) on (N, D), drawn to `centre` by a ridge (D,)."""
    target = np.asarray(right, dtype=np.float64)

    def cost(weights: np.ndarray) -> tuple[float, np.ndarray]:
        score, pull = inputs @ weights, weights - centre
        loss = (np.logaddexp(0, score) - target * score).sum() + (ridge * pull**2).sum() / 2
        return float(loss), inputs.T @ (expit(score) - target) + ridge * pull

    bounds = Bounds(-np.inf if least is None else least)
    return minimize(cost, centre, jac=True, method="L-BFGS-B", bounds=bounds).x


def _rate(step: int, total: int) -> float:
    """Share of the learning rate at a step from 1 on."""
    warm = max(1, round(_WARM_UP * total))
    return step / warm if step <= warm else 0.5 * (1 + math.cos(math.pi * (step - 1 - warm) / max(1, total - warm)))
