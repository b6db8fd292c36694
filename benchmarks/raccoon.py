"""Subjects found: the crop proposer on hand-drawn subject boxes, 5-fold by photograph, beside its baselines.

The box is the subject itself, of any aspect ratio: how well the proposer sees what a picture is of. Nothing is
simulated. `--photos` holds the photographs and `boxes.jsonl`, one `{"file", "subject_box"}` a line.

    python benchmarks/raccoon.py --photos FOLDER
    python benchmarks/raccoon.py --quick         (a few built-in photographs, no target)
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from _measure import finish, seconds, table
from _taste.crops import FOLDS, Outcome, built_in, cross_validate, folds_of, read_subjects
from pickroom.learn import metrics

TARGET = 0.76  # mean IoU on the 184 photographs of the raccoon data set, where the mean box has .581


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, help="a folder of photographs with boxes.jsonl")
    parser.add_argument("--quick", action="store_true", help="few steps, one member, no target")
    given = parser.parse_args()
    if given.photos is None and not given.quick:
        parser.error("name the photographs with --photos, or take --quick")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        photos, subjects = read_subjects(given.photos) if given.photos else built_in(home)
        boxes = np.array([box.to_list() for box in subjects], dtype=np.float32)
        outcomes: list[Outcome] = []
        fold, plain = folds_of(photos, FOLDS), np.ones(len(photos), dtype=bool)
        took = seconds(lambda: outcomes.append(cross_validate(photos, boxes, fold, plain, home, quick=given.quick)))
    found = {"proposer": outcomes[0].boxes, **outcomes[0].baselines}
    scores = {name: metrics.score_crops(some, boxes) for name, some in found.items()}
    rows = [("", "IoU, mean and median", "0.85 or more, within 5 %, centre off by")]
    for name, score in scores.items():
        rows.append(
            (
                name,
                f"{score.mean_iou:.3f}  {score.median_iou:.3f}",
                f"{score.good.value:.3f}  {score.within.value:.3f}  {score.centre:.3f}",
            )
        )
    table(f"{len(photos)} subjects, {FOLDS}-fold ({took:.0f} s with embedding)", rows)
    ours = scores["proposer"].mean_iou or 0.0
    figures = {f"{name}_iou": score.mean_iou or 0.0 for name, score in scores.items()}
    figures |= {"proposer_within5": scores["proposer"].within.value or 0.0, "seconds": took}
    missed = [] if given.quick or ours >= TARGET else [f"mean IoU {ours:.3f}, less than {TARGET}"]
    finish(figures, missed)


if __name__ == "__main__":
    main()
