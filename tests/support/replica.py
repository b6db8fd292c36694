"""A small replica of the earlier system's tree: fifteen projects, logs with their traps, vectors, hardly any images.

Names and formats are those of `tests/fixtures/history`. Every count that a test needs is a constant or a method here.
"""

from __future__ import annotations

import csv
import hashlib
import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from conftest import stage_name
from history.logs import CROP_LOG, CROP_TRAINING, DECISIONS, SELECT_CROP, SELECTION, decision
from support.encoding import photograph

ROOT = "/Users/somebody/projects/App"  # where the tree lay on another machine
PAST = (*(f"110{n}" for n in range(8)), "agent-1", "agent-2", "agent-3", "mixed-0919", "mojo1", "mojo2")
NEW = "mojo3"  # the only one that has images
WITH_FILE = ("agent-1", "agent-2", "agent-3", "mixed-0919", "mojo1", "mojo2", NEW)  # have a <project>.project.json
PICKS = 4  # groups of each past project that were decided
STAGES = (1.0, 1.5, 2.0)
CROPPED = PAST[:6]  # whose picks were all cropped, on one day
ALIAS = "Agent One raw"  # agent-1's old folder
EARLIER = """CREATE TABLE ai_decisions (group_id TEXT PRIMARY KEY, timestamp TEXT NOT NULL, project_id TEXT NOT NULL,
directory TEXT, batch_number INTEGER, images TEXT NOT NULL, ai_selected_index INTEGER, ai_crop_coords TEXT,
ai_confidence REAL, user_selected_index INTEGER NOT NULL, user_action TEXT NOT NULL, final_crop_coords TEXT,
crop_timestamp TEXT, image_width INTEGER NOT NULL, image_height INTEGER NOT NULL, selection_match BOOLEAN,
crop_match BOOLEAN)"""


@dataclass(frozen=True)
class Replica:
    """The tree, laid out under `home`; `training` is the folder of its logs."""

    home: Path

    @property
    def training(self) -> Path:
        return self.home / "data" / "training"

    @property
    def cache(self) -> Path:
        return self.home / "data" / "ai_data" / "cache" / "processed_images.jsonl"

    @property
    def images(self) -> Path:
        return self.home / NEW


def names(project: str, group: int) -> list[str]:
    """The three images of a group; no two groups share a name."""
    start = datetime(2025, 6, 1) + timedelta(days=(*PAST, NEW).index(project), minutes=15 * group)
    return [stage_name(start + timedelta(seconds=40 * place), stage) for place, stage in enumerate(STAGES)]


def picked(group: int) -> int:
    """Which of a group the user picked: mostly the highest stage."""
    return 1 if group % 4 == 3 else 2


def lay_out(home: Path, new_groups: int) -> Replica:
    """Make the tree; `new_groups` groups of images for the new project."""
    made = Replica(home)
    made.training.mkdir(parents=True)
    _write_projects(home / "data" / "projects")
    _write_models(home / "data" / "ai_data" / "models")
    _write_logs(made.training)
    _write_database(made.training / "ai_training_decisions" / "agent-3.db")
    _write_cache(made)
    made.images.mkdir()
    for group in range(new_groups):
        for place, name in enumerate(names(NEW, group)):
            photograph(3 * group + place, (96, 128)).save(made.images / name)
    return made


def _write_projects(folder: Path) -> None:
    folder.mkdir(parents=True)
    for number, project in enumerate(WITH_FILE):
        begun = datetime(2025, 10, 1) + timedelta(days=11 * (number - WITH_FILE.index("mojo1")))
        values = {
            "schemaVersion": 1,
            "projectId": project,
            "title": project.title(),
            "status": "active" if project == NEW else "finished",
            "startedAt": f"{begun:%Y-%m-%dT%H:%M:%SZ}",
            "finishedAt": None if project == NEW else f"{begun + timedelta(days=10):%Y-%m-%dT17:29:49Z}",
            "paths": {"root": f"../../{project}"},
            "steps": [],
        }
        (folder / f"{project}.project.json").write_text(json.dumps(values))
    (folder / "global_bans.json").write_text('{"bannedExtensions": ["exe"]}')
    (folder / "mojo1_allowed_ext.json").write_text('{"projectId": "mojo1", "allowedExtensions": ["png", "yaml"]}')


def _write_models(folder: Path) -> None:
    folder.mkdir(parents=True)
    for name in ("ranker_v3_w10", "crop_proposer_v2"):
        (folder / f"{name}.pt").write_bytes(b"weights of another program")
        (folder / f"{name}_metadata.json").write_text(json.dumps({"model": name, "epochs": 30}))


def _write_logs(folder: Path) -> None:
    # one row is one pick; 56 of past projects, 2 of the new one, and traps
    picks: list[Sequence[Any]] = []
    for project in PAST[: -len(("agent-2", "agent-3", "mixed-0919", "mojo1", "mojo2"))]:
        picks += [_pick(project, group) for group in range(PICKS)]
    picks += [_pick(project, group) for project in ("mixed-0919", "mojo1", "mojo2") for group in range(PICKS)]
    picks += [_pick(NEW, group, folder=NEW) for group in range(2)]
    picks[5] = [str(cell).replace(ROOT + "/", "C:\\App\\").replace("/", "\\") for cell in picks[5][:3]] + [
        json.dumps([path.replace(ROOT + "/", "C:\\App\\").replace("/", "\\") for path in json.loads(picks[5][3])]),
        picks[5][4],
    ]
    picks[6] = picks[6][:4]  # without its time
    two = ("s", "g", f"{ROOT}/training data/1100/a.png", json.dumps([f"{ROOT}/training data/1101/b.png"]), "")
    _write(folder / "selection_only_log.csv", SELECTION, [*picks, SELECTION, two, picks[0], [""] * 5])

    cases = [
        ("s", "g", "1101", "1", "2", f"PROJECT_ROOT/1101/{names('1101', 9)[0]}", f"['1101/{names('1101', 9)[2]}']", ""),
        ("s", "g", "mojo2", "1", "2", f"PROJECT_ROOT/mojo2/{names('mojo2', 9)[0]}", f"['{names('mojo2', 9)[2]}']", ""),
    ]
    header = ("session_id", "set_id", "project", "chosen_stage", "max_rejected_stage", "chosen_path", "rejected_paths")
    _write(folder / "anomaly_cases.csv", (*header, "timestamp"), cases)

    crops = [_crop(names("mojo1", group)[picked(group)], f"2025-10-0{group + 1}T10:00:00Z") for group in range(PICKS)]
    crops += [_crop(names("mojo1", 20 + n)[2], f"2025-10-11T23:0{n}:00Z") for n in range(3)]  # nobody knows their names
    crops += [_crop(names("mojo2", 20 + n)[2], f"2025-10-12T00:0{n}:00Z", folder="crop/character_a") for n in range(5)]
    for project in CROPPED:
        crops += [_crop(names(project, group)[picked(group)], "2025-11-20T10:00:00Z") for group in range(PICKS)]
    crops += [
        _crop(names("mojo1", 0)[picked(0)], "2025-10-09T10:00:00Z", size=(700, 700)),  # opened again after its crop
        _crop(names("mojo1", 30)[2], "2025-10-02T10:00:00Z", box=(0, 0, 1, 1)),  # a placeholder
        _crop(names("mojo2", 31)[2], "2025-10-13T10:00:00Z", size=(0, 0)),
        _crop(names("1107", 32)[2], "2025-11-25T10:00:00Z"),  # no one's
        ("2025-10-20T10:00:00Z", "mojo2", names("mojo2", 33)[2], 0.1, 0.1, 0.9, 0.9, 2048, 2048),  # another tool's
        _crop(names("mojo1", 34)[2], "2025-10-04T10:00:00Z")[:15],
    ]
    _write(folder / "select_crop_log.csv", SELECT_CROP, crops)

    note = "Crop coordinates not available (image already cropped)"
    done = [names("mojo1", group)[picked(group)] for group in range(2)] + [names("mojo1", 40)[2]]
    path = f"{ROOT}/training data/mojo1_final/character_a"
    rows = [("s", "g", "mojo1", f"{path}/{name}", "2", name[:15], note, "2025-10-08T19:58:04+00:00") for name in done]
    _write(folder / "mojo1_crop_log.csv", CROP_LOG, rows)

    training = [("2025-10-21T10:00:00Z", NEW, names(NEW, 0)[2], 0.1, 0.0, 0.9, 0.8, 96, 128)]
    _write(folder / "crop_training_data.csv", CROP_TRAINING, training)

    mine = [
        decision(
            **{"project_id": "agent-2", "group_id": f"agent-2_group_20250803T06540{group}Z_batch001_img001"},
            **{"image_1_filename": names("agent-2", group)[0], "image_2_filename": names("agent-2", group)[2]},
        )
        for group in range(PICKS)
    ]
    _write(folder / "agent-2_decisions.csv", DECISIONS, mine)


def _pick(project: str, group: int, folder: str | None = None) -> list[Any]:
    own, place = names(project, group), picked(group)
    kept = folder or f"{ROOT}/training data/{ALIAS if project == 'agent-1' else f'{project}_final'}/character_a"
    raw = folder or f"{ROOT}/training data/{ALIAS if project == 'agent-1' else project}"
    others = [f"{raw}/{name}" for name in own if name != own[place]]
    return ["s", own[0][:15], f"{kept}/{own[place]}", json.dumps(others), own[0][:15]]


def _crop(
    name: str,
    time: str,
    box: tuple[float, ...] = (100, 50, 1900, 1500),
    size: tuple[int, int] = (2048, 2048),
    folder: str = "crop",
) -> tuple[Any, ...]:
    box = box if size != (700, 700) else (0, 0, 700, 700)
    path = f"{folder}/{name}"
    return ("s", "g", folder, 1, 0, path, *box, time, path, "stage2_upscaled", *size, "", "", "", "")


def _write(path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def _write_database(path: Path) -> None:
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(EARLIER)
        for group in range(PICKS):
            own = json.dumps(names("agent-3", group))
            connection.execute(
                "INSERT INTO ai_decisions VALUES (?, '2025-08-03T06:54:06Z', 'agent-3', '', 1, ?, 2, NULL, 0.9, ?,"
                " 'approve', NULL, NULL, 2048, 2048, 1, NULL)",
                (f"agent-3_group_20250803T065406Z_batch001_img00{group}", own, picked(group)),
            )


def _write_cache(made: Replica) -> None:
    """A vector of each image, in one of two folders; and lines whose file is gone."""
    lines = []
    for number, project in enumerate((*PAST, NEW)):
        folder = made.home / "data" / "ai_data" / ("cache/embeddings" if number % 2 else "embeddings")
        folder.mkdir(parents=True, exist_ok=True)
        for group in range(PICKS):
            for place, name in enumerate(names(project, group)):
                digest = hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()
                vector = np.random.default_rng([number, group]).standard_normal(512) + (place == picked(group))
                np.save(folder / f"{digest}.npy", vector.astype(np.float32))
                where = f"{ROOT}/{folder.relative_to(made.home).as_posix()}/{digest}.npy"
                image = f"{ROOT}/training data/{ALIAS if project == 'agent-1' else project}/{name}"
                lines.append({"image_path": image, "embedding_file": where, "hash": digest})
        lines.append({"image_path": f"{project}/gone.png", "embedding_file": "embeddings/gone.npy", "hash": "0"})
    made.cache.parent.mkdir(parents=True, exist_ok=True)
    made.cache.write_text("".join(json.dumps(line) + "\n" for line in lines))
