"""Learning picks, in seconds: a fit of 200 groups, and an update after a finalise of 100 with 21,250 decided ones.

The features are random ones of the real size and layout, with a taste hidden in them that has to be found. The
alternative of an update is a fit of everything. No file is read: what reading the decisions and vectors takes is in
benchmarks/scale.py.

    python benchmarks/training.py [--quick]
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from _measure import finish, table
from pickroom.features.blocks import BLOCKS
from pickroom.features.consistency import NAMES
from pickroom.features.pick_features import PickFeatures, stage_values
from pickroom.learn.picks.columns import ColumnsConfig
from pickroom.learn.picks.model import fit_model

FEW, FEW_SECONDS, GROUPS, UPDATE, UPDATE_SECONDS = 200, 2.0, 21_250, 100, 5.0
LEAST_TOP1 = 0.95
SIZES = {"vector": 1280, "consistency": len(NAMES), **{spec.name: len(spec.columns) for spec in BLOCKS}}


def ready_features(groups: int, seed: int) -> tuple[PickFeatures, np.ndarray]:
    """Random groups of three stages; a fifth has something wrong in the highest one, and so the one below is picked."""
    rng = np.random.default_rng(seed)
    mask = np.ones((groups, 4), dtype=bool)
    mask[:, 3] = False
    blocks = {name: rng.standard_normal((groups, 4, size), dtype=np.float32) for name, size in SIZES.items()}
    stages = np.zeros((4, 4), dtype=np.float32)
    stages[:3] = stage_values([1.0, 1.5, 2.0])
    blocks["stage"] = np.tile(stages, (groups, 1, 1))
    wrong = rng.random(groups) < 0.2
    blocks["consistency"][wrong, 2, :8] += 2.5
    names = np.array([f"{seed} {row}" for row in range(groups)])[:, None]
    images = np.where(mask, np.char.add(names, [[" a", " b", " c", " d"]]), "").astype(object)
    projects = np.array([f"p{row % 4}" for row in range(groups)], dtype=object)
    present = {name: mask.copy() for name in blocks}
    peaks = np.zeros((groups, 4, 4), dtype=np.float32)
    return PickFeatures(blocks, present, mask, {}, projects, images, peaks, "random"), np.where(wrong, 1, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the decided groups")
    groups = GROUPS // 10 if parser.parse_args().quick else GROUPS
    features, chosen = ready_features(groups, 1)
    held_out, truth = ready_features(1000, 2)
    started = time.perf_counter()
    fit_model(features.take(np.arange(FEW)), chosen[:FEW], ColumnsConfig())
    few = time.perf_counter() - started
    started = time.perf_counter()
    model = fit_model(features, chosen, ColumnsConfig())
    whole = time.perf_counter() - started
    some, theirs = ready_features(UPDATE, 3)
    started = time.perf_counter()
    model.chances(some)
    model = model.learn(some, theirs)
    update = time.perf_counter() - started
    top1, highest = float((model.chances(held_out).argmax(axis=1) == truth).mean()), float((truth == 2).mean())
    table(
        f"{groups:,} groups of 3, {model.columns.size:,} columns",
        [
            ("", "ours", "alternative"),
            (f"s, a fit of {FEW}, next to the target", f"{few:.2f}", f"{FEW_SECONDS:g}"),
            (f"s, an update after {UPDATE}, next to a fit of all", f"{update:.2f}", f"{whole:.1f}"),
            ("s, an update, next to the target", f"{update:.2f}", f"{UPDATE_SECONDS:g}"),
            ("top-1 on 1,000 others, next to the highest stage", f"{top1:.3f}", f"{highest:.3f}"),
        ],
    )
    missed = [
        words
        for words, met in (
            (f"a fit takes {few:.2f} s, not {FEW_SECONDS:g}", few < FEW_SECONDS),
            (f"an update takes {update:.2f} s, not {UPDATE_SECONDS:g}", update < UPDATE_SECONDS),
            (f"top-1 {top1:.3f}, not {LEAST_TOP1:g}: it did not learn", top1 >= LEAST_TOP1),
        )
        if not met
    ]
    figures = {"fit_200_s": few, "update_s": update, "fit_all_s": whole, "top1": top1, "highest_stage": highest}
    finish(figures | {"groups": float(groups)}, missed)


if __name__ == "__main__":
    main()
