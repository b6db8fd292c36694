"""Learning picks, in seconds: a fit of 200 groups, and an update after a finalise of 100 with 21,250 decided ones.

The features are random ones of the real size and layout, with a taste hidden in them that has to be found. The
alternative of an update is a fit of everything. The update is measured twice: the learning alone, and everything that
follows a finalise but the recommendations, from the database, the vectors, the blocks and the comparisons on disk.
Targets are of the processor's seconds, which other programs on the machine do not stretch.

    python benchmarks/training.py [--quick]
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import tempfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from _measure import finish, table
from _photographs import photographs
from _scale_files import names
from _scale_steps import Took, seconds
from pickroom.features import bundled
from pickroom.features.blocks import BLOCKS, BlockRow, BlockStore
from pickroom.features.candidates import Candidates
from pickroom.features.choice import bind_spec
from pickroom.features.consistency import NAMES, Consistency, ConsistencyConfig
from pickroom.features.consistency_store import FoundConsistency, _Cache
from pickroom.features.pick_features import PickFeatures, stage_values
from pickroom.features.store import VectorRow, VectorStore, save_spec
from pickroom.indexing import projects
from pickroom.learn import training_sets
from pickroom.learn.picks import current
from pickroom.learn.picks.columns import ColumnsConfig
from pickroom.learn.picks.learner import Learner, decision_prints
from pickroom.learn.picks.model import PickModel, fit_model
from pickroom.learn.picks.task import PickTask
from pickroom.store.workspace import Project, Workspace

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


class Decided:
    """A project whose groups are decided one after the other, with everything that learning reads of them."""

    def __init__(self, home: Path) -> None:
        (home / "images").mkdir()
        for name, image in zip(names(0), photographs(None, 96).values(), strict=False):
            image.save(home / "images" / name)
        started, _ = projects.start(Workspace(home), "p", home / "images", at=datetime(2025, 9, 1, tzinfo=UTC))
        tower = bundled.load()
        self.spec = tower.spec()
        save_spec(started.workspace, self.spec, {})
        self.project: Project = bind_spec(started, self.spec)
        self.done = 1  # group 0 is the one that the project was started with

    def decide(self, count: int, seed: int) -> None:
        """Decide so many groups more, the pick as `ready_features` has it."""
        features, chosen = ready_features(count, seed)
        items = []
        with closing(sqlite3.connect(self.project.database)) as connection, connection:
            for number in range(self.done, self.done + count):
                items.append(self._insert(connection, number, int(chosen[number - self.done])))
        self.done += count
        places = [(row, place) for row in range(count) for place in range(3)]
        vectors = VectorStore(self.project.workspace, self.spec, "p")
        patches = np.zeros((self.spec.patch_rows, self.spec.patch_cols, self.spec.patch_dim), np.float16)
        for start in range(0, len(places), 3000):
            some = [(items[row].filenames[place], items[row].hashes[place]) for row, place in places[start:][:3000]]
            own = [features.blocks["vector"][row, place] for row, place in places[start:][:3000]]
            vectors.append(
                [VectorRow(*at, 96, 96, 1, 1, one, patches, None) for at, one in zip(some, own, strict=True)]
            )
        for spec in BLOCKS:
            values = features.blocks[spec.name]
            rows = [
                BlockRow(items[row].filenames[place], str(items[row].hashes[place]), values[row, place])
                for row, place in places
            ]
            BlockStore(self.project).append({spec.name: rows})
        compared = [
            Consistency(features.blocks["consistency"][row, :3], features.peaks[row, :3]) for row in range(count)
        ]
        cache = _Cache(self.project.workspace, "p", ConsistencyConfig())
        cache.keep(items, list(enumerate(compared)), FoundConsistency())

    def _insert(self, connection: sqlite3.Connection, number: int, pick: int) -> Candidates:
        group_id, files = f"p_group_{number:06d}", names(number)
        hashes = tuple(f"{number:060x}{place:04x}" for place in range(3))
        moment = f"2026-01-01T{number // 3600:02d}:{number // 60 % 60:02d}:{number % 60:02d}.000000Z"
        stages = (1.0, 1.5, 2.0)
        connection.executemany(
            "INSERT INTO images VALUES ('', ?, 96, 96, ?, NULL, ?, 1, 1, NULL)", zip(files, stages, hashes, strict=True)
        )
        connection.execute(
            "INSERT INTO groups (group_id, sequence, directory, batch_number, method) VALUES (?, ?, '', 1, 'stage')",
            (group_id, number + 1),
        )
        connection.executemany(
            "INSERT INTO group_members VALUES (?, ?, '', ?)", [(group_id, i, name) for i, name in enumerate(files)]
        )
        said = (2, None, 0.9, pick, "approve", None, None, None, 96, 96, int(pick == 2), None)
        connection.execute(
            f"INSERT INTO ai_decisions VALUES ({', '.join('?' * 18)})",
            (group_id, moment, "p", "", 1, json.dumps(files), *said),
        )
        connection.execute(
            """INSERT INTO decision_context
            (group_id, batch, input, outcome, source, versions, milliseconds, decided_at)
            VALUES (?, ?, 'review', 'approve', 'model', '{}', 3000, ?)""",
            (group_id, number // UPDATE, moment),
        )
        return Candidates("p", group_id, files, hashes, stages)


def whole_update(home: Path, groups: int, model: PickModel) -> Took:
    """Of `current.update` after UPDATE groups, with so many decided ones before, that a model has learned."""
    decided, task = Decided(home), PickTask()
    workspace = decided.project.workspace
    decided.decide(groups, 1)
    picks = current.in_time(training_sets.collect(workspace, "ranker", ["p"]).examples)  # type: ignore[arg-type]
    said = np.full((len(picks), 4), 0.25, dtype=np.float32)
    learner = Learner(model, decision_prints(picks), said, said[:, 0], fitted=len(picks))
    current.write_state(workspace, current.State(learner, 0, task.feature_hash, decided.spec.encoder_id))
    decided.decide(UPDATE, 3)

    def run() -> None:
        state, lines = current.update(workspace, ["p"], task)
        assert len(state.learner.learned) == groups + UPDATE, lines

    return seconds(run)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the decided groups")
    groups = GROUPS // 10 if parser.parse_args().quick else GROUPS
    features, chosen = ready_features(groups, 1)
    held_out, truth = ready_features(1000, 2)
    few = seconds(lambda: fit_model(features.take(np.arange(FEW)), chosen[:FEW], ColumnsConfig()))
    models = []
    whole = seconds(lambda: models.append(fit_model(features, chosen, ColumnsConfig())))
    some, theirs = ready_features(UPDATE, 3)
    update = seconds(lambda: models.append(models[0].learn(some, theirs)))
    with tempfile.TemporaryDirectory(prefix="pickroom-training-") as folder:
        everything = whole_update(Path(folder), groups, models[0])
    model = models[1]
    top1, highest = float((model.chances(held_out).argmax(axis=1) == truth).mean()), float((truth == 2).mean())

    def words(taken: Took) -> str:
        return f"{taken[0]:.2f} ({taken[1]:.2f})"

    table(
        f"{groups:,} groups of 3, {model.columns.size:,} columns; seconds by the clock, and of the processor",
        [
            ("", "ours", "alternative"),
            (f"a fit of {FEW}, next to the target", words(few), f"{FEW_SECONDS:g}"),
            (f"learning {UPDATE} more, next to a fit of all", words(update), words(whole)),
            ("an update with all that is read, next to the target", words(everything), f"{UPDATE_SECONDS:g}"),
            ("top-1 on 1,000 others, next to the highest stage", f"{top1:.3f}", f"{highest:.3f}"),
        ],
    )
    missed = [
        words
        for words, met in (
            (f"a fit takes {few[1]:.2f} s of the processor, not {FEW_SECONDS:g}", few[1] < FEW_SECONDS),
            (f"an update takes {everything[1]:.2f} s, not {UPDATE_SECONDS:g}", everything[1] < UPDATE_SECONDS),
            (f"top-1 {top1:.3f}, not {LEAST_TOP1:g}: it did not learn", top1 >= LEAST_TOP1),
        )
        if not met
    ]
    figures = {"fit_200_s": few[1], "learn_s": update[1], "update_s": everything[1], "fit_all_s": whole[1]}
    finish(figures | {"top1": top1, "highest_stage": highest, "groups": float(groups)}, missed)


if __name__ == "__main__":
    main()
