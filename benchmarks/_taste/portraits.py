"""Real people's picks of portraits, and simulated people's picks of poses: learned from 50, 100 and 200 of them.

A third of the images is held out, at random or as a block of consecutive shots; groups of three are drawn from the
others to learn from, and from those held out to be asked about. The splits are those that version 0.1 was asked about
(benchmarks/version-0.1), so that its answers can be compared group by group.
"""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.special import softmax

from _taste.evaluate import paired_gain
from pickroom.features import bundled, faces, technical
from pickroom.features.pick_features import PickFeatures, stage_values
from pickroom.images.decode import read_rgb
from pickroom.learn.checkpoints import packed
from pickroom.learn.metrics import calibration_error
from pickroom.learn.picks.columns import ColumnsConfig
from pickroom.learn.picks.model import fit_model
from pickroom.storage import atomic

PICKS, ASKED, TEST_SHARE = (50, 100, 200), 60, 1 / 3
PEOPLE = "ABCD"
CHANCE = "chance"
LEAST_GAIN, MOST_CALIBRATION, LEAST_PREDICTIONS = 0.03, 0.10, 2000
Blocks = dict[str, np.ndarray]  # name -> (images, d) float32
Recorded = dict[tuple[str, int], dict[tuple[int, str], float]]  # (kind, picks) -> (split, person) -> top-1


@dataclass
class Answers:
    """What one way to pick said in one kind of split, after so many picks: a row per group asked about.

    Attributes:
        runs: top-1 of each person and split; right, sure, losses: (groups,) of all of them.
    """

    runs: dict[tuple[int, str], float] = field(default_factory=dict)
    right: list[float] = field(default_factory=list)
    sure: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)

    def add(self, run: tuple[int, str], said: np.ndarray, chosen: np.ndarray) -> None:
        right = (said.argmax(axis=1) == chosen).astype(float)
        self.runs[run] = float(right.mean())
        self.right += right.tolist()
        self.sure += said.max(axis=1).tolist()
        self.losses += (-np.log(np.maximum(said[np.arange(len(chosen)), chosen], 1e-9))).tolist()


def read(folder: Path, cache: Path) -> tuple[list[str], np.ndarray, Blocks]:
    """Names, (images, people) ranks, 1 the best, and the blocks of the images, measured once."""
    with (folder / "ranks.csv").open(encoding="utf-8") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["filename"])
    names = [row["filename"] for row in rows]
    ranks = np.array([[int(row[person]) for person in PEOPLE] for row in rows])
    return names, ranks, measured([folder / name for name in names], cache)


def measured(paths: Sequence[Path], cache: Path) -> Blocks:
    """The blocks of some images, as indexing makes them; faces where their packages are installed."""
    key = f"{'faces' if faces.installed() else 'plain'}-{len(paths)}.npz"
    if not (cache / key).exists():
        tower = bundled.load()
        encoder = tower.encoder(tower.spec(), "cpu")
        found: dict[str, list[np.ndarray]] = defaultdict(list)
        for path in paths:
            image = read_rgb(path)
            vector = encoder.encode([tower.prepare(image)]).vectors[0]
            found["vector"].append(vector / np.linalg.norm(vector))
            found["technical"].append(technical.measure(image))
            if faces.installed():
                found["faces"].append(faces.measure(image))
        cache.mkdir(parents=True, exist_ok=True)
        atomic.write_bytes(cache / key, packed({name: np.stack(values) for name, values in found.items()}))
    with np.load(cache / key) as stored:
        return {name: stored[name].astype(np.float32) for name in stored.files}


def groups_of(blocks: Blocks, triples: np.ndarray) -> PickFeatures:
    """The features of groups without stages, of (N, n) places of images."""
    count, size = triples.shape
    places = np.concatenate([triples, np.repeat(triples[:, :1], 4 - size, axis=1)], axis=1)
    mask = np.zeros((count, 4), dtype=bool)
    mask[:, :size] = True
    own = {name: values[places] for name, values in blocks.items()}
    own["stage"] = np.tile(stage_values([None] * 4), (count, 1, 1))
    images = np.where(mask, places.astype(str).astype(object), "")
    projects = np.full(count, "portraits", dtype=object)
    boxes = np.zeros((count, 4, 4), dtype=np.float32)
    return PickFeatures(own, {name: mask.copy() for name in own}, mask, {}, projects, images, boxes, "bundled")


def split(images: int, number: int, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """The groups to learn from and those asked about, (200, 3) and (60, 3); as record.py draws them."""
    rng = np.random.default_rng((number, kind == "blocks"))
    count = round(images * TEST_SHARE)
    if kind == "random":
        test = sorted(rng.permutation(images)[:count].tolist())
    else:  # a block of consecutive shots
        start = int(rng.integers(images))
        test = sorted((start + place) % images for place in range(count))
    train = [place for place in range(images) if place not in test]
    drawn = [
        [[pool[place] for place in rng.choice(len(pool), 3, replace=False)] for _ in range(wanted)]
        for pool, wanted in ((train, PICKS[-1]), (test, ASKED))
    ]
    return np.array(drawn[0]), np.array(drawn[1])


def ours(blocks: Blocks, learned: np.ndarray, chosen: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """(N, 3) chances by Pickroom's model."""
    model = fit_model(groups_of(blocks, learned), chosen, ColumnsConfig())
    return model.chances(groups_of(blocks, asked))[:, :3]


def bradley_terry(vectors: np.ndarray, learned: np.ndarray, chosen: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """(N, 3) by a linear Bradley-Terry model of the vector alone, with a fixed ridge, in its dual form."""
    centred = vectors - vectors.mean(axis=0)
    kernel = (centred @ centred.T / (centred**2).sum(axis=1).mean()).astype(np.float64)
    utility, rows = np.zeros(len(kernel)), np.arange(len(learned))
    for _ in range(30):
        chances = softmax(utility[learned], axis=1)
        slope, curvature = np.zeros(len(kernel)), np.zeros_like(kernel)
        np.add.at(slope, learned[rows, chosen], 1)
        np.add.at(slope, learned, -chances)
        within = chances[:, :, None] * np.eye(learned.shape[1]) - chances[:, :, None] * chances[:, None, :]
        np.add.at(curvature, (learned[:, :, None], learned[:, None, :]), within)
        utility = np.linalg.solve(np.eye(len(kernel)) + kernel @ curvature, kernel @ (curvature @ utility + slope))
    found: np.ndarray = softmax(utility[asked], axis=1)
    return found


def nearest(vectors: np.ndarray, learned: np.ndarray, chosen: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """(N, 3) by the ten nearest images: how often they were picked, sharpened."""
    met = np.bincount(learned.ravel(), minlength=len(vectors))
    won = np.bincount(learned[np.arange(len(learned)), chosen], minlength=len(vectors))
    known = np.flatnonzero(met)
    near = known[np.argsort(-(vectors @ vectors[known].T), axis=1)[:, :10]]
    utility = (won[near] / met[near]).mean(axis=1)
    found: np.ndarray = softmax(8 * utility[asked], axis=1)
    return found


def even(learned: np.ndarray, chosen: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """(N, 3): a guess."""
    return np.full(asked.shape, 1 / asked.shape[1])


def measure(
    utilities: dict[str, np.ndarray], blocks: Blocks, numbers: int, record: Path | None, say: Callable[[str], None]
) -> tuple[dict[str, float], list[str]]:
    """Ask every way to pick about every person and split; print a table, return figures and the targets missed.

    Args:
        utilities: person -> (images,), the higher the better.
        record: what version 0.1 answered, where it was asked.
    """
    ways: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
        CHANCE: even,
        "nearest images": lambda *rows: nearest(blocks["vector"], *rows),
        "linear Bradley-Terry": lambda *rows: bradley_terry(blocks["vector"], *rows),
        "ours": lambda *rows: ours(blocks, *rows),
    }
    found: dict[tuple[str, str, int], Answers] = defaultdict(Answers)
    for number in range(numbers):
        for kind in ("random", "blocks"):
            learned, asked = split(len(blocks["vector"]), number, kind)
            for person, utility in utilities.items():
                chosen, meant = utility[learned].argmax(axis=1), utility[asked].argmax(axis=1)
                for picks in PICKS:
                    for name, way in ways.items():
                        said = way(learned[:picks], chosen[:picks], asked)
                        found[name, kind, picks].add((number, person), said, meant)
    old = recorded(record) if record else {}
    figures, missed = {}, []
    for kind in ("random", "blocks"):
        say(f"{kind} splits: top-1, log loss, calibration error, after so many picks")
        for name in ways:
            cells = []
            for picks in PICKS:
                one = found[name, kind, picks]
                error = calibration_error(np.array(one.sure), np.array(one.right)) or 0.0
                cells.append(f"{picks}: {np.mean(one.right):.3f} {np.mean(one.losses):.3f} {error:.3f}")
                if name == "ours":
                    figures[f"{kind}_{picks}"] = float(np.mean(one.right))
            say(f"  {name.ljust(22)} {'   '.join(cells)}")
        cells = [f"{picks}: {of_version_0_1(old, found['ours', kind, picks].runs, kind, picks)}" for picks in PICKS]
        if old:
            say(f"  version 0.1, where it was asked (its top-1, and ours there): {'   '.join(cells)}")
        for picks in PICKS:
            own = found["ours", kind, picks].runs
            for name in ("linear Bradley-Terry", "nearest images", "version 0.1"):
                theirs = old.get((kind, picks), {}) if name == "version 0.1" else found[name, kind, picks].runs
                both = sorted(own.keys() & theirs.keys())
                if not both:
                    continue
                gain, low, high = paired_gain(
                    *(np.array([one[run] for run in both]) for one in (own, theirs)), level=0.9
                )
                say(
                    f"    ours - {name}, {picks} picks: {gain:+.3f} (90 %: {low:+.3f} to {high:+.3f}, {len(both)} runs)"
                )
                least = LEAST_GAIN if name == "linear Bradley-Terry" else 0.0
                if gain < least or (least and low <= 0):
                    missed.append(f"{kind} splits, {picks} picks: {gain:+.3f} (from {low:+.3f}) against {name}")
            losses = {name: float(np.mean(found[name, kind, picks].losses)) for name in ("ours", CHANCE)}
            if losses["ours"] >= losses[CHANCE]:
                missed.append(
                    f"{kind} splits, {picks} picks: log loss {losses['ours']:.3f}, chance {losses[CHANCE]:.3f}"
                )
    every = [one for (name, _, _), one in found.items() if name == "ours"]
    sure, right = (np.concatenate([getattr(one, part) for one in every]) for part in ("sure", "right"))
    figures["calibration_error"] = calibration_error(sure, right) or 0.0
    say(f"calibration error of all {len(sure)} predictions together: {figures['calibration_error']:.3f}")
    if figures["calibration_error"] > MOST_CALIBRATION or len(sure) < LEAST_PREDICTIONS:
        missed.append(f"calibration error {figures['calibration_error']:.3f} of {len(sure)} predictions")
    return figures, missed


def of_version_0_1(old: Recorded, ours: dict[tuple[int, str], float], kind: str, picks: int) -> str:
    """Top-1 of version 0.1 and ours on the runs that both were asked about, and how many splits these are."""
    theirs = old.get((kind, picks), {})
    both = sorted(ours.keys() & theirs.keys())
    if not both:
        return "none"
    means = (np.mean([one[run] for run in both]) for one in (theirs, ours))
    return f"{' '.join(f'{mean:.3f}' for mean in means)} in {len({number for number, _ in both})} splits"


def recorded(path: Path) -> Recorded:
    """What version 0.1 was asked and answered."""
    found: Recorded = defaultdict(dict)
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        values = json.loads(line)
        found[values["split"], values["picks"]][values["number"], values["person"]] = values["right"]
    return found


def simulated_people(blocks: Blocks, count: int, seed: int) -> dict[str, np.ndarray]:
    """Utilities of people whose taste is made of the model's own numbers, with a third of noise."""
    rng = np.random.default_rng(seed)
    found = {}
    for number in range(count):
        total = np.zeros(len(blocks["vector"]))
        for values in blocks.values():
            known = np.nan_to_num(values.astype(np.float64))
            scaled = (known - known.mean(axis=0)) / np.maximum(known.std(axis=0), 1e-6)
            part = scaled @ rng.standard_normal(scaled.shape[1])
            total += part / part.std()
        found[f"simulated {number}"] = total / total.std() + rng.standard_normal(len(total)) / 3
    return found
