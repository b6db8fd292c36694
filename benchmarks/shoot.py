"""Groups of a day's shoot against the truth, pair by pair: ours next to time alone and looks alone.

Real photographs, at most 640 px, become what a camera with two cards and a phone leave: bursts of 2 to 30, exposure
brackets, HEIC, Live Photos, images in no group; names and times are made up, a third of the scenes follows the one
before within 8 s, and both cameras are pressed at the same time. A sub-folder is one thing, thus one scene: its frames
show the thing from several sides. `pickroom start` and `embed` make the groups, as for a user.

Time alone: one folder and camera, cut at the pause named, for each of several pauses. Looks alone: the vectors of a
folder, by single linkage, for each of several cosines. Of both every row is printed, so that the best is known.

    python benchmarks/shoot.py [--quick] [--files FOLDER]... [--one FOLDER]... [--seed N]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage
from scipy.sparse.csgraph import connected_components

from _measure import finish
from _photographs import photographs
from pickroom.core.naming import join
from pickroom.core.records import Capture, Image
from pickroom.features.store import load_vectors
from pickroom.groups.similar import Agreement, compare
from pickroom.indexing import projects
from pickroom.indexing.pipeline import embed
from pickroom.store import captures, groups, images
from pickroom.store.connect import open_read_only
from pickroom.store.workspace import Project, Workspace

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from support import shoot

LEAST_PRECISION, LEAST_RECALL = 0.95, 0.90
PAUSES_S = (1, 2, 5, 10, 30)
COSINES = (0.6, 0.7, 0.8, 0.9)
SIZES = (2, 1, 5, -3, 3, 1, 10, 4, 1, 30, 2, -5, 7, 1)


def things(folders: Sequence[Path], whole: Sequence[Path]) -> dict[str, list[PillowImage.Image]]:
    """Thing -> its photographs: a sub-folder of `folders`, a photograph right in them, a folder of `whole`."""
    found: dict[str, list[PillowImage.Image]] = {}
    for folder in folders:
        for inside in sorted(place for place in folder.iterdir() if place.is_dir()):
            found[f"{folder.name}/{inside.name}"] = list(photographs(inside, shoot.SIDE).values())
        right_in = {name: picture for name, picture in photographs(folder, shoot.SIDE).items()}
        found |= {name: [picture] for name, picture in right_in.items() if name.startswith(f"{folder.name}-")}
    return found | {folder.name: list(photographs(folder, shoot.SIDE).values()) for folder in whole}


def builtin() -> dict[str, list[PillowImage.Image]]:
    return {name: [picture] for name, picture in photographs(None, shoot.SIDE).items()}


def by_time(taken: Iterable[Image], said: Mapping[str, Capture], pause_s: float) -> list[list[str]]:
    made = []
    cameras = defaultdict(list)
    for image in taken:
        capture = said[image.sha256]
        cameras[image.directory, capture.camera, capture.serial].append((capture.captured_at, image))
    for shots in cameras.values():
        shots.sort(key=lambda shot: (shot[0], shot[1].filename))
        chains = [[shots[0][1]]]
        for before, after in pairwise(shots):
            if (after[0] - before[0]).total_seconds() > pause_s:
                chains.append([])
            chains[-1].append(after[1])
        made += [[join(i.directory, i.filename) for i in chain] for chain in chains]
    return made


def by_looks(taken: Iterable[Image], vector: Mapping[str, np.ndarray], cosine: float) -> list[list[str]]:
    folders = defaultdict(list)
    for image in taken:
        folders[image.directory].append(image)
    made = []
    for inside in folders.values():
        unit = np.stack([vector[image.sha256] for image in inside])
        unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
        _, labels = connected_components(unit @ unit.T >= cosine, directed=False)
        chains = defaultdict(list)
        for image, label in zip(inside, labels, strict=True):
            chains[label].append(join(image.directory, image.filename))
        made += chains.values()
    return made


def ours(project: Project) -> tuple[list[list[str]], list[Image], dict[str, Capture]]:
    with open_read_only(project.database) as connection:
        made = [[join(i.directory, i.filename) for i in g.images] for g in groups.every(connection, project.id)]
        return made, images.readable(connection), captures.of(connection)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument(
        "--files", type=Path, action="append", default=[], help="photographs; a sub-folder is one thing"
    )
    parser.add_argument("--one", type=Path, action="append", default=[], help="a folder of photographs of one thing")
    parser.add_argument("--quick", action="store_true", help="the built-in photographs alone")
    parser.add_argument("--seed", type=int, default=20261130)
    given = parser.parse_args()
    seen = list((({} if given.quick else things(given.files, given.one)) or builtin()).items())
    np.random.default_rng(given.seed).shuffle(seen)
    half = 2 * len(seen) // 3
    with tempfile.TemporaryDirectory(prefix="pickroom-shoot-") as place:
        card = Path(place, "card")
        truth = shoot.write(
            card,
            shoot.scenes(dict(seen[:half]), SIZES, given.seed),
            shoot.scenes(dict(seen[half:]), SIZES, given.seed + 1),
            given.seed,
        )
        project, _ = projects.start(Workspace(Path(place, "home")), "shoot", card)
        without, taken, said = ours(project)
        embed(project)
        project = project.workspace.project(project.id)
        projects.rescan(project)
        found, taken, said = ours(project)
        vectors = load_vectors(project)
        vector = {i.sha256: vectors.matrix[vectors.place(i.filename, i.sha256)] for i in taken}
    rows: dict[str, Agreement] = {
        "ours: time, then looks": compare(found, truth.bursts),
        "  before vectors are made": compare(without, truth.bursts),
    }
    rows |= {f"time alone, {p:g} s": compare(by_time(taken, said, p), truth.bursts) for p in PAUSES_S}
    rows |= {f"looks alone, cosine {c:g}": compare(by_looks(taken, vector, c), truth.bursts) for c in COSINES}
    print(
        f"{len(taken)} images of {len(seen)} scenes, {len(truth.bursts)} bursts of "
        f"{min(map(len, truth.bursts))}-{max(map(len, truth.bursts))}, {len(truth.singles)} singles"
    )
    print(f"  {'':<30}{'precision':>10}{'recall':>8}{'F1':>8}")
    for name, row in rows.items():
        print(f"  {name:<30}{row.precision or 0:>10.3f}{row.recall or 0:>8.3f}{row.f1 or 0:>8.3f}")
    best = rows["ours: time, then looks"]
    whole = sum(sorted(burst) in map(sorted, found) for burst in truth.bursts)
    print(f"  bursts found whole and alone: {whole} of {len(truth.bursts)}")
    precision, recall = best.precision or 0.0, best.recall or 0.0
    missed = [f"precision {precision:.3f}, {LEAST_PRECISION} at least"] if precision < LEAST_PRECISION else []
    missed += [f"recall {recall:.3f}, {LEAST_RECALL} at least"] if recall < LEAST_RECALL else []
    finish({"precision": precision, "recall": recall, "whole": whole / len(truth.bursts)}, missed)


if __name__ == "__main__":
    main()
