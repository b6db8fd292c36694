"""Subjects found: the crop proposer on hand-drawn subject boxes, 5-fold by photograph, compared with version 0.1.

The box is the subject itself, of any aspect ratio: how well the proposer sees what a picture is of. Nothing is
simulated. `--photos` holds the photographs and `boxes.jsonl`, one `{"file", "subject_box"}` a line. The boxes of
version 0.1 for the same folds are in `version-0.1/raccoon.jsonl`; another set of photographs is only measured.

    python benchmarks/raccoon.py --photos FOLDER
    python benchmarks/raccoon.py --quick         (a few built-in photographs, no target)
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

from _measure import finish, table
from _taste.crops import FOLDS, built_in, cross_validate, folds_of, read_subjects
from pickroom.learn import metrics

OLD = Path(__file__).parent / "version-0.1" / "raccoon.jsonl"
GAIN = 0.05  # of the share within 5 % over version 0.1
SHARE = 0.1  # of version 0.1's processor time


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
        fold = folds_of(photos, FOLDS)
        outcome = cross_validate(photos, boxes, fold, np.ones(len(photos), dtype=bool), home, quick=given.quick)
    old = version_0_1([path.name for path in photos], fold)
    found = {"proposer": outcome.boxes, **outcome.baselines, **({} if old is None else {"version 0.1": old})}
    scores = {name: metrics.score_crops(some, boxes) for name, some in found.items()}
    rows = [("", "IoU, mean and median", "0.85 or more, within 5 %, centre off by")]
    for name, score in scores.items():
        means = f"{score['mean_iou']:.3f}  {score['median_iou']:.3f}"
        good, close = (score[which]["value"] for which in ("iou_85", "within_5"))
        rows.append((name, means, f"{good:.3f}  {close:.3f}  {score['centre_distance']:.3f}"))
    table(f"{len(photos)} subjects, {FOLDS}-fold ({outcome.seconds:.0f} s of the processor)", rows)
    figures = {f"{name.replace(' ', '_')}_iou": score["mean_iou"] or 0.0 for name, score in scores.items()}
    within = {name: score["within_5"]["value"] or 0.0 for name, score in scores.items()}
    figures |= {f"{name.replace(' ', '_')}_within5": value for name, value in within.items()}
    figures["seconds"] = outcome.seconds
    missed = []
    ours = scores["proposer"]
    if not given.quick:
        missed += [
            f"mean IoU not above {name}"
            for name, score in scores.items()
            if score["mean_iou"] >= ours["mean_iou"] and name != "proposer"
        ]
    if old is not None and not given.quick:
        least = within["version 0.1"] + GAIN
        missed += [f"within 5 % below {least:.3f}"] if within["proposer"] < least else []
    finish(figures, missed)


def version_0_1(names: list[str], fold: np.ndarray) -> np.ndarray | None:
    """(N, 4) the boxes of version 0.1; None where it was asked about other photographs or in other folds."""
    lines = [json.loads(line) for line in OLD.read_text(encoding="utf-8").splitlines()]
    known = {line["file"]: line for line in lines}
    if any(name not in known or known[name]["fold"] != own for name, own in zip(names, fold.tolist(), strict=True)):
        return None
    return np.array([known[name]["box"] for name in names], dtype=np.float32)


if __name__ == "__main__":
    main()
