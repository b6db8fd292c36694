"""Recommendations as a trained model might give them, so that every route can be tried without training one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from pickroom.core.records import CropBox, Group, Image, Recommendation
from pickroom.demo.plan import DemoConfig, Truth, square_box, stream
from pickroom.demo.project import start_demo
from pickroom.store import groups, recommendations
from pickroom.store.connect import connect, transaction
from pickroom.store.workspace import Project, Workspace

VERSIONS = {"ranker": "simulated", "crop_proposer": "simulated"}

_RIGHT_PICK = 0.9  # share of groups whose pick is the reviewer's
_FINDS_CROP = 0.88  # share of the reviewer's crops that are proposed
_NEEDLESS_CROP = 0.08  # share of the other groups where a crop is proposed all the same
_UNSURE_OF_CROP = 0.06  # share of groups where nothing is known of a crop
_FALSE_ALARM = 0.06  # share of sound groups with an anomaly flag
# Beta parameters of the confidences (means .89, .61 and .47): right and wrong overlap, as real ones do
_RIGHT, _WRONG, _REJECT = (16, 2), (8, 5), (7, 8)
_BOX_SD = 0.016  # fraction of the image: most corners stay within crop_match's 0.05


def read_truth(path: Path) -> list[Truth]:
    """The hidden reviewer's choices in group order."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    boxes = [None if line["box"] is None else CropBox.of(line["box"]) for line in lines]
    pairs = zip(lines, boxes, strict=True)
    return [Truth(tuple(line["images"]), line["pick"], line["action"], box) for line, box in pairs]


def start_simulated(workspace: Workspace, config: DemoConfig) -> Project:
    """The demo's project with a simulated recommendation for each group."""
    project, _ = start_demo(workspace, config)
    truth = read_truth(workspace.root / "demo_truth.jsonl")
    with closing(connect(project.database)) as connection, transaction(connection):
        made = groups.every(connection, project.id)
        recommendations.upsert(connection, simulated_recommendations(made, truth, config.seed))
    return project


def simulated_recommendations(groups: Sequence[Group], truth: Sequence[Truth], seed: int) -> list[Recommendation]:
    """One recommendation for each group that the truth knows by its file names, in the order of `groups`.

    The same groups, truth and seed give the same recommendations; each depends on its own group only.
    """
    by_names = {frozenset(known.images): known for known in truth}
    matched = ((group, by_names.get(frozenset(group.filenames))) for group in groups)
    return [_recommend(group, known, seed) for group, known in matched if known is not None]


def _recommend(group: Group, truth: Truth, seed: int) -> Recommendation:
    key = hashlib.sha256(min(truth.images).encode()).digest()[:8]
    rng = stream(seed, int.from_bytes(key, "big"))
    best = group.filenames.index(truth.images[truth.pick])
    right = bool(rng.random() < _RIGHT_PICK)
    last = len(group.images) - 1
    if truth.action == "reject":
        chosen, certainty = last, _REJECT
    elif right:
        chosen, certainty = best, _RIGHT
    else:
        # the mistake that models make: the last stage, in spite of its defect; else one stage too low
        chosen, certainty = (last if best != last else last - 1), _WRONG
    alarm = bool(rng.random() < _FALSE_ALARM)
    flags: tuple[str, ...] = (f"{_name(group.images[-1])} may have a defect",) if alarm else ()
    if truth.action == "reject":
        flags = ("every image may have a defect",)
    elif best < last and right:
        flags = (f"{_name(group.images[best + 1])} may have a defect",)
    confidence = round(float(rng.beta(*certainty)), 3)
    needed, box, crop_confidence, crop_reason = _crop(truth, rng)
    sound = "sharpest image, nothing wrong seen"
    reason = sound if chosen == last else f"{_name(group.images[chosen + 1])} looks damaged"
    return Recommendation(
        group_id=group.group_id,
        source="simulated",
        selected_index=chosen,
        crop=box,
        crop_needed=needed,
        confidence=confidence,
        crop_confidence=crop_confidence,
        reasons=("simulated for the demo", reason, crop_reason),
        anomaly_flags=flags,
        versions=dict(VERSIONS),
    )


def _name(image: Image) -> str:
    return image.filename if image.stage is None else f"stage {image.stage:g}"


def _crop(truth: Truth, rng: np.random.Generator) -> tuple[bool | None, CropBox | None, float | None, str]:
    """Whether a crop is needed, its box, the confidence in that, and why in words."""
    unsure, hit, needless = rng.random(3)
    shift_x, shift_y, grow = rng.normal(0, _BOX_SD, size=3)
    found, missed = round(float(rng.beta(12, 3)), 3), round(float(rng.beta(6, 4)), 3)
    x, y, scale = rng.uniform(0.05, 0.25), 0.0, rng.uniform(0.68, 0.8)
    if unsure < _UNSURE_OF_CROP:
        return None, None, None, "no prediction whether to crop"
    if truth.box is not None and hit < _FINDS_CROP:
        wanted = truth.box
        box = square_box(wanted.x1 + shift_x, max(0.0, wanted.y1 + shift_y), wanted.x2 - wanted.x1 + grow)
        return True, box, found, "loosely framed"
    if truth.box is None and needless < _NEEDLESS_CROP:
        return True, square_box(x, y, scale), missed, "room at the edges"
    return False, None, missed if truth.box else found, "well framed as it is"
