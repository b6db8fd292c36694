"""Record what version 0.1 answers, group by group, so that later models can be compared with it on the same groups.

Run it with the Python of a checkout of version 0.1 (README.md in this folder says how to make one):

    .venv/bin/python .../record.py series --photos DIR [--photos DIR] --seed N --home DIR --out FILE
    .venv/bin/python .../record.py portraits --photos DIR --splits N --home DIR --out FILE

`series` runs that checkout's `benchmarks/taste.py` and writes the answers that it only counts: each group's pick, each
photograph's crop. `portraits` asks the ranker about real people's picks. Both append to FILE, one JSON object per line,
and go on where a run was stopped. This file uses version 0.1's modules and is not kept up with later ones.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

import pickroom

CHECKOUT = Path(pickroom.__file__).parents[2]
sys.path.insert(0, str(CHECKOUT / "benchmarks"))
SCANNED_AT = datetime(2025, 9, 1, tzinfo=UTC)
_BLOCKS = 5  # of all features: consistency, global, region0, region1, patch
PICKS, ASKED, TEST_SHARE = (50, 100, 200), 60, 1 / 3


def append(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def rounded(values: np.ndarray) -> list[float]:
    return [round(float(value), 4) for value in values]


def series(given: argparse.Namespace) -> None:
    """Run taste.py once, and keep what its ranker and its crop proposer answered."""
    import taste
    from _taste import crops

    ask, cross_validate = taste.ask, crops.cross_validate

    def asked(features: Any, picks: Any, rows: np.ndarray, *rest: Any) -> tuple[np.ndarray, np.ndarray]:
        picked, chances = ask(features, picks, rows, *rest)
        if len(features.blocks) == _BLOCKS:  # not one of the parts that taste.py tries alone
            part = "every" if len(rows) == len(picks) else "without_edits"
            append(given.out, (answer(part, picks[row], picked[row], chances[row]) for row in rows))
        return picked, chances

    def answer(part: str, pick: Any, picked: int, chances: np.ndarray) -> dict[str, Any]:
        shown = pick.candidates
        return {
            "kind": "pick",
            "seed": given.seed,
            "groups": part,
            "project": shown.project_id,
            "images": list(shown.filenames),
            "chosen": int(pick.chosen),
            "picked": int(picked),
            "chances": rounded(chances[: len(shown.filenames)]),
        }

    def validated(photos: Any, boxes: Any, fold: Any, plain: Any, folder: Path, **rest: Any) -> Any:
        outcome = cross_validate(photos, boxes, fold, plain, folder, **rest)
        append(
            given.out,
            (
                {
                    "kind": "crop",
                    "seed": given.seed,
                    "file": photos[row].name,
                    "fold": int(fold[row]),
                    "meant": None if np.isnan(boxes[row]).any() else rounded(boxes[row]),
                    "box": rounded(outcome.boxes[row]),
                    "needed": round(float(outcome.needed[row]), 4),
                    "baselines": {name: rounded(found[row]) for name, found in outcome.baselines.items()},
                }
                for row in np.flatnonzero(plain)
            ),
        )
        return outcome

    taste.ask, crops.cross_validate = asked, validated
    photos = [word for folder in given.photos for word in ("--photos", str(folder))]
    size = ["--groups", str(given.groups)] if given.groups else []
    sys.argv = ["taste.py", *photos, "--seed", str(given.seed), "--home", str(given.home), *size]
    taste.main()


def portraits(given: argparse.Namespace) -> None:
    """The ranker on groups of three portraits: what each person would pick, after 50, 100 and 200 of their picks."""
    folder = given.photos[0]
    with (folder / "ranks.csv").open(encoding="utf-8") as file:
        ranks = {row["filename"]: {name: int(row[name]) for name in "ABCD"} for row in csv.DictReader(file)}
    done = set()
    if given.out.exists():
        done = {(row["split"], row["number"]) for row in map(json.loads, given.out.read_text().splitlines())}
    for number in range(given.splits):
        for split in ("random", "blocks"):
            if (split, number) not in done:
                append(given.out, one_split(folder, ranks, split, number, given.home))
                print(f"{split} {number} done", flush=True)


def one_split(
    folder: Path, ranks: dict[str, dict[str, int]], split: str, number: int, home: Path
) -> list[dict[str, Any]]:
    """The answers of one split: a line per person and number of picks, and its groups on the first line."""
    from pickroom.embeddings.engines import EmbedConfig
    from pickroom.embeddings.pipeline import embed
    from pickroom.learn.pick_features import PickFeatureConfig, pick_features
    from pickroom.learn.ranker import RankerConfig, fit_ranker
    from pickroom.learn.sources import Sources
    from pickroom.workspace import Workspace

    from _taste.build import ENCODER
    from pickroom import projects, regrouping
    from pickroom.learn.examples import Candidates
    from pickroom.store import groups as store_groups
    from pickroom.store import images as store_images
    from pickroom.store.connect import connect, transaction

    names = sorted(ranks)
    rng = np.random.default_rng((number, split == "blocks"))
    count = round(len(names) * TEST_SHARE)
    if split == "random":
        test = sorted(rng.permutation(len(names))[:count].tolist())
    else:  # a block of consecutive shots
        start = int(rng.integers(len(names)))
        test = sorted((start + place) % len(names) for place in range(count))
    train = [place for place in range(len(names)) if place not in test]
    triples = [
        [names[pool[place]] for place in rng.choice(len(pool), 3, replace=False)]
        for pool, wanted in ((train, PICKS[-1]), (test, ASKED))
        for _ in range(wanted)
    ]
    # an image is in one group of a project, so every group has copies of its own
    project_id, images = f"portraits-{split}-{number}", home / f"{split}-{number}"
    links = [[f"{row:03d}_{name}" for name in triple] for row, triple in enumerate(triples)]
    images.mkdir(parents=True, exist_ok=True)
    for triple, own in zip(triples, links, strict=True):
        for name, link in zip(triple, own, strict=True):
            if not (images / link).exists():
                (images / link).write_bytes((folder / name).read_bytes())
    workspace = Workspace(home / "home")
    if project_id not in workspace.project_ids():
        projects.start(workspace, project_id, images, at=SCANNED_AT)
        project = workspace.project(project_id)
        connection = connect(project.database)
        known = {image.filename: image for image in store_images.readable(connection)}
        with transaction(connection):
            made = regrouping._new_groups(project, [tuple(known[link] for link in own) for own in links], SCANNED_AT)
            store_groups.insert(connection, made, "stage")
        connection.close()
    project = workspace.project(project_id)
    embed(project, EmbedConfig(encoder=ENCODER))
    project = workspace.project(project_id)  # bound to its encoder now
    connection = connect(project.database)
    hashes = {image.filename: image.sha256 for image in store_images.readable(connection)}
    connection.close()
    items = [
        Candidates(project_id, f"g{row}", tuple(own), tuple(hashes[link] for link in own), (None,) * 3)
        for row, own in enumerate(links)
    ]
    features = pick_features(items, Sources([project]), PickFeatureConfig())
    assert not features.missing, features.missing
    asked = features.take(np.arange(PICKS[-1], len(items)))
    rows: list[dict[str, Any]] = []
    for person in "ABCD":
        chosen = np.array([int(np.argmin([ranks[name][person] for name in triple])) for triple in triples])
        for picks in PICKS:
            weights = np.ones(picks, np.float32)
            ranker = fit_ranker(features.take(np.arange(picks)), chosen[:picks], weights, RankerConfig())
            chances = ranker.probabilities(asked)[:, :3]
            rows.append(
                {
                    "kind": "portraits",
                    "split": split,
                    "number": number,
                    "person": person,
                    "picks": picks,
                    "right": round(float((chances.argmax(axis=1) == chosen[PICKS[-1] :]).mean()), 4),
                    "chances": [rounded(row) for row in chances],
                }
            )
    rows[0]["learned_from"] = triples[: PICKS[-1]]
    rows[0]["asked"] = triples[PICKS[-1] :]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("series", "portraits"))
    parser.add_argument("--photos", type=Path, action="append", required=True, metavar="DIR")
    parser.add_argument("--home", type=Path, required=True, help="where the projects are made and found again")
    parser.add_argument("--out", type=Path, required=True, help="the file of answers, appended to")
    parser.add_argument("--seed", type=int, default=23)
    parser.add_argument("--groups", type=int, help="groups a project of the series; by default, as taste.py has it")
    parser.add_argument("--splits", type=int, default=20)
    given = parser.parse_args()
    torch.set_num_threads(1)
    {"series": series, "portraits": portraits}[given.what](given)


if __name__ == "__main__":
    main()
