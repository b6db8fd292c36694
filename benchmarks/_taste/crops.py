"""Simulated crops: a person who crops to a subject, and how well the proposer learns that, next to its baselines.

What is simulated: several framings of each photograph (windows that hold the subject, some in a mirror), as a project
has several images of one thing, of which only the photographs as they are count; and the crop of each: the smallest box
of the image's own aspect ratio that holds the subject with some air, moved inside the frame, plus the user's jitter.
Where that is nearly the whole frame the user approves the image as it is. The subjects are hand-drawn boxes. No
photograph is on both sides of a split, in whatever framing. Everything goes the product's own way: a project, its
vectors, `crop_features`.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import imagehash
import numpy as np
from PIL import ImageOps

from _taste.build import ENCODER
from pickroom.core.records import CropBox
from pickroom.demo.photographs import PHOTOGRAPHS, load
from pickroom.features.sources import FeatureSources
from pickroom.images.decode import read_rgb
from pickroom.indexing import projects
from pickroom.indexing.engines import EmbedConfig
from pickroom.indexing.pipeline import embed
from pickroom.learn import metrics
from pickroom.learn.crops.features import CropFeatures, crop_features
from pickroom.learn.crops.fitting import fit_crops
from pickroom.learn.crops.model import CropTask, baseline_boxes
from pickroom.learn.crops.proposer import FULL_FRAME, CropConfig, is_crop
from pickroom.learn.examples import UncroppedImage
from pickroom.storage import atomic
from pickroom.store.workspace import Workspace

FOLDS = 5
FRAMINGS = 4  # of each photograph, it itself among them
MOST_CUT = 0.6  # of the room between the subject and the frame that a framing may take away, on each side
AIR = 0.04  # of the subject's longer side (in fractions of the image), on each side
_SCALE_JITTER, _PLACE_JITTER = 0.03, 0.012  # standard deviations: of ln(scale), and of the middle in fractions
_RIDGE = 1000.0  # the best of 100 to 100 000 on the photographs of raccoons, so it favours the ridge
_SAME = 10  # of 64 bits of the perceptual hash: photographs this close are taken for one
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was proposed for N images by models that saw neither them nor another take of the same photograph.

    Attributes:
        boxes, needed: of the proposer, see `CropProposer.predict`.
        baselines: name -> (N, 4) boxes.
        seconds: of the processor, for training and proposing.
    """

    boxes: np.ndarray
    needed: np.ndarray
    baselines: dict[str, np.ndarray]
    seconds: float

    @property
    def offered(self) -> np.ndarray:
        """(N, 4): the boxes, and the full frame where no crop is thought to be needed."""
        return np.where(self.needed[:, None] < 0.5, np.float32(FULL_FRAME), self.boxes)


def measure(
    photos: Sequence[Path], boxes: Sequence[CropBox], quick: bool, folder: Path, seed: int, say: Say = print
) -> dict[str, float]:
    """How well a simulated person's crops are learned, 5-fold by photograph.

    A box is scored as the place of the crop, given that there is one; whether one is needed is scored apart, and what
    comes of both together is the line "as offered": the full frame where none is thought to be needed.

    Args:
        photos: photographs with one subject each; `boxes`: the subjects, as fractions.
        quick: fewer framings, one member and few steps; the figures then claim nothing.
        folder: where the framings and their project lie; what is there already is taken up.
        seed: of the framings and of the user.

    Returns:
        crop_iou, crop_within5, constant_iou, constant_within5 and a few more, of images that the user cropped.
    """
    count = 2 if quick else FRAMINGS
    takes, subjects = framings(photos, boxes, folder / "framings", count, seed)
    fold = np.repeat(folds_of(photos, FOLDS), count)
    meant = person_crops(subjects, seed)
    cropped = is_crop(meant)
    # a framing cuts away surroundings, so its crops are easier: learned from, not counted
    counted = np.arange(len(takes)) % count == 0
    drawn = np.where(cropped[:, None], meant, np.nan)
    outcome = cross_validate(takes, drawn, fold, counted, folder, quick=quick)
    rows = np.flatnonzero(counted & cropped)
    say(f"  {len(photos)} photographs, {len(rows)} of them cropped, in {len(takes)} framings; {FOLDS}-fold")
    scored = {name: metrics.score_crops(found[rows], meant[rows]) for name, found in outcome.baselines.items()}
    scored["proposer"] = metrics.score_crops(outcome.boxes[rows], meant[rows])
    scored["as offered"] = metrics.score_crops(outcome.offered[rows], meant[rows])
    scored["person again"] = metrics.score_crops(person_crops(subjects, seed + 1)[rows], meant[rows])
    for name, score in scored.items():
        say(f"  {name.ljust(12)}  {CropTask().words(score)}")
    right = ((outcome.needed >= 0.5) == cropped)[counted]
    always = max(float(cropped[counted].mean()), 1 - float(cropped[counted].mean()))
    say(f"  crop or none: {right.mean():.3f} right, {always:.3f} without looking")
    return {
        "crop_iou": scored["proposer"]["mean_iou"] or 0.0,
        "crop_within5": scored["proposer"]["within_5"]["value"] or 0.0,
        "constant_iou": scored["constant"]["mean_iou"] or 0.0,
        "constant_within5": scored["constant"]["within_5"]["value"] or 0.0,
        "crop_need": float(right.mean()),
        "crop_need_without_looking": always,
    }


def person_crops(subjects: np.ndarray, seed: int) -> np.ndarray:
    """(N, 4) float32 crops of (N, 4) subject boxes, both as fractions; each of the image's own aspect ratio."""
    rng = np.random.default_rng(seed)
    size, middle = subjects[:, 2:] - subjects[:, :2], (subjects[:, 2:] + subjects[:, :2]) / 2
    # in fractions of the image a box of the image's own aspect ratio is as wide as it is tall
    side = size.max(axis=1) * (1 + 2 * AIR) * np.exp(rng.normal(0, _SCALE_JITTER, len(subjects)))
    side = np.minimum(side, 1)[:, None]
    start = np.clip(middle + rng.normal(0, _PLACE_JITTER, middle.shape) - side / 2, 0, 1 - side)
    return np.concatenate([start, start + side], axis=1).astype(np.float32)


def framings(
    photos: Sequence[Path], boxes: Sequence[CropBox], folder: Path, count: int, seed: int
) -> tuple[list[Path], np.ndarray]:
    """Each photograph as it is and in `count` - 1 windows that hold its subject, half of them in a mirror.

    Returns:
        The files, those of one photograph side by side, and (N, 4) float32 the subject in each.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng((seed, 3))
    files, subjects = [], []
    for number, (path, box) in enumerate(zip(photos, boxes, strict=True)):
        files.append(path)
        subjects.append(box.to_list())
        image, subject = read_rgb(path), np.array(box.to_list())
        for take in range(1, count):
            cut = rng.uniform(0, MOST_CUT, 4) * [*subject[:2], *(1 - subject[2:])]
            window = np.round(np.array([*cut[:2], *(1 - cut[2:])]) * np.tile(image.size, 2)).astype(int)
            size = (window[2:] - window[:2]).astype(float)
            inside = (subject * np.tile(image.size, 2) - np.tile(window[:2], 2)) / np.tile(size, 2)
            framed = image.crop([int(edge) for edge in window])
            if rng.random() < 0.5:
                framed, inside = ImageOps.mirror(framed), np.array([1 - inside[2], inside[1], 1 - inside[0], inside[3]])
            files.append(folder / f"{number:04d}_{take}.png")
            if not files[-1].exists():
                buffer = io.BytesIO()
                framed.save(buffer, "PNG")
                atomic.write_bytes(files[-1], buffer.getvalue())
            subjects.append(np.clip(inside, 0, 1).tolist())
    return files, np.array(subjects, dtype=np.float32)


def cross_validate(
    photos: Sequence[Path], boxes: np.ndarray, fold: np.ndarray, plain: np.ndarray, folder: Path, *, quick: bool
) -> Outcome:
    """Propose a crop for each photograph by models trained on the other folds.

    Args:
        boxes: (N, 4) the user's crops, NaN rows where none was needed.
        fold: (N,) 0 .. FOLDS - 1.
        plain: (N,) bool: photographs as they are, no framings.
        folder: see `embedded`.
    """
    features = embedded(photos, folder)
    config = CropConfig(members=1, steps=120) if quick else CropConfig()
    found, needed = np.full((len(photos), 4), np.nan, np.float32), np.full(len(photos), np.nan, np.float32)
    baselines: dict[str, np.ndarray] = {}
    took = 0.0
    for number in range(FOLDS):
        train, test = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        began = time.process_time()
        proposer = fit_crops(features.take(train), boxes[train], config)
        found[test], needed[test], _ = proposer.predict(features.take(test))
        took += time.process_time() - began
        # the baselines learn from photographs as they are, like those they are asked about: the stronger for it
        drawn = train[is_crop(boxes[train]) & plain[train]]
        own = baseline_boxes(features.take(drawn), boxes[drawn], features.take(test))
        own |= {"mean": np.tile(boxes[drawn].mean(axis=0), (len(test), 1))}
        own |= {"ridge": _ridge(features.take(drawn), boxes[drawn], features.take(test))}
        for name, some in own.items():
            baselines.setdefault(name, np.full((len(photos), 4), np.nan, np.float32))[test] = some
    return Outcome(found, needed, baselines, took)


def _ridge(train: CropFeatures, boxes: np.ndarray, asked: CropFeatures) -> np.ndarray:
    """(N, 4) boxes by ridge regression from the whole patch grid, its channels scaled; in the dual form."""
    assert train.grid is not None and asked.grid is not None
    mean, spread = (part(train.grid.astype(np.float32), axis=(0, 1, 2), keepdims=True) for part in (np.mean, np.std))
    known, others = (np.clip((some.grid - mean) / spread, -6, 6).reshape(len(some), -1) for some in (train, asked))
    middle, centre = known.mean(axis=0), boxes.mean(axis=0)
    known, others = known - middle, others - middle
    weights = np.linalg.solve(known @ known.T + _RIDGE * np.eye(len(known)), boxes - centre)
    found: np.ndarray = np.clip(centre + others @ (known.T @ weights), 0, 1).astype(np.float32)
    return found


def embedded(photos: Sequence[Path], folder: Path) -> CropFeatures:
    """The features of some photographs, by way of a project of their own in a folder; what is there is taken up."""
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    names = [f"{place:04d}{path.suffix.lower()}" for place, path in enumerate(photos)]
    for name, path in zip(names, photos, strict=True):
        if not (images / name).exists():
            atomic.write_bytes(images / name, path.read_bytes())
    workspace = Workspace(folder / "home")
    if "crops" not in workspace.project_ids():
        projects.start(workspace, "crops", images)
    embed(workspace.project("crops"), EmbedConfig(encoder=ENCODER))
    sources = FeatureSources([workspace.project("crops")])
    known = sources.vectors("crops")
    hashes = dict(zip(known.filenames, known.content_hashes, strict=True))
    sizes = {name: read_rgb(images / name).size for name in names}
    frames = [UncroppedImage("crops", name, hashes.get(name), *sizes[name], stage=None) for name in names]
    features = crop_features(frames, sources)
    if features.missing:
        raise RuntimeError(f"photographs without features: {features.missing}")
    return features


def folds_of(photos: Sequence[Path], folds: int) -> np.ndarray:
    """(N,) the fold of each photograph; takes of one photograph, or scaled copies, share theirs."""
    hashes = np.array([imagehash.phash(read_rgb(path)).hash.ravel() for path in photos])
    near = (hashes[:, None, :] != hashes[None, :, :]).sum(axis=2) <= _SAME
    family = np.arange(len(photos))
    for a, b in zip(*np.nonzero(np.triu(near, 1)), strict=True):
        family[family == family[b]] = family[a]
    names = np.unique(family)
    order = np.random.default_rng(0).permutation(len(names))
    fold = {name: place % folds for name, place in zip(names[order], range(len(names)), strict=True)}
    return np.array([fold[name] for name in family])


def read_subjects(folder: Path) -> tuple[list[Path], list[CropBox]]:
    """The photographs of a folder that have a line `{"file", "subject_box"}` in its `boxes.jsonl`."""
    lines = [json.loads(line) for line in (folder / "boxes.jsonl").read_text(encoding="utf-8").splitlines() if line]
    return [folder / line["file"] for line in lines], [CropBox.of(line["subject_box"]) for line in lines]


def built_in(folder: Path, takes: int = 3) -> tuple[list[Path], list[CropBox]]:
    """Windows of the photographs that installed packages ship, with their subjects: enough to try, too few to claim."""
    rng = np.random.default_rng(0)
    photos, boxes = [], []
    for photograph in PHOTOGRAPHS:
        image = load(photograph)
        subject = np.array(photograph.subjects[0].to_list()) * np.array([*image.size, *image.size])
        for take in range(takes):
            edges = [subject[0] * rng.random(), subject[1] * rng.random()]
            edges += [image.width - (image.width - subject[2]) * rng.random()]
            edges += [image.height - (image.height - subject[3]) * rng.random()]
            left, top, right, lower = (round(edge) for edge in edges)
            photos.append(folder / f"{photograph.name}_{take}.png")
            image.crop((left, top, right, lower)).save(photos[-1])
            inside = (subject - [left, top, left, top]) / np.tile([right - left, lower - top], 2)
            boxes.append(CropBox.of([float(value) for value in np.clip(inside, 0, 1)]))
    return photos, boxes
