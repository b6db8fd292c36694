"""What the tests of analysis, reports and integrity share: a project with every kind of decision, vectors, models."""

from __future__ import annotations

import json
import random
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from pickroom.core import naming
from pickroom.core.records import BoxSource, CropBox
from pickroom.files.cropping import Order, submit
from pickroom.store.connect import connect, create, transaction
from pickroom.store.workspace import Project, Workspace
from support.reviewing import FINALISE, queue, recommend, review

SERIES = [(1, 2), (1, 1.5, 2), (1, 2, 3), (2, 3), (1, 2), (1, 1.5), (1, 2)]
MEANT = (0.1, 0.0, 0.9, 0.8)  # the AI's crop
DRAWN = (0.1, 0.05, 0.9, 0.8)  # the user's: its top edge .05 lower

# FORMATS.md, ai_decisions, as the earlier system wrote it: no ai_crop_accepted, no checks, user_version 0
EARLIER = """CREATE TABLE ai_decisions (group_id TEXT PRIMARY KEY, timestamp TEXT, project_id TEXT, directory TEXT,
    batch_number INTEGER, images TEXT, ai_selected_index INTEGER, ai_crop_coords TEXT, ai_confidence REAL,
    user_selected_index INTEGER, user_action TEXT, final_crop_coords TEXT, crop_timestamp TEXT, image_width INTEGER,
    image_height INTEGER, selection_match BOOLEAN, crop_match BOOLEAN)"""


def decide(project: Project) -> None:
    """Finalise six of the seven groups of SERIES: the AI's pick with its crop, without it, another image, cropped by
    hand, rejected, kept whole. The crop by hand is made, the AI's crop waits.
    """
    first, second, third, fourth, fifth, *_ = queue(project)
    recommend(project, first, 1, MEANT, crop_needed=True, confidence=0.95)
    recommend(project, second, 2, MEANT, crop_needed=False, confidence=0.75)
    recommend(project, third, 2, confidence=0.625, versions={"ranker": "v2"})
    recommend(project, fourth, 1, MEANT, confidence=0.95)
    recommend(project, fifth, 0, confidence=0.3)
    review(project, "a", "a", "1", "w", "x", "k", *FINALISE)
    crop(project, "crop", fourth.filenames[1], DRAWN)


def crop(
    project: Project, folder: str, filename: str, box: tuple[float, float, float, float], **options: BoxSource
) -> None:
    """Make one crop that waits in a folder."""
    with closing(connect(project.database)) as connection:
        done = submit(project, connection, [Order(folder, filename, CropBox(*box), **options)])
    assert done.done == [filename], done


def change(project: Project, script: str, *values: object) -> None:
    """Run SQL on a project's database as another program might; checks of the tables do not hold it."""
    with closing(sqlite3.connect(project.database, isolation_level=None)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        if values:
            connection.execute(script, values)
        else:
            connection.executescript(script)


def write_earlier(path: Path, values: list[tuple]) -> None:
    """A database of the earlier system."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(EARLIER)
        connection.executemany(f"INSERT INTO ai_decisions VALUES ({', '.join('?' * 17)})", values)


def earlier_row(group_id: str, project_id: str, **changes: object) -> tuple:
    row: dict[str, object] = {
        "group_id": group_id,
        "timestamp": "2025-08-03T06:54:06Z",
        "project_id": project_id,
        "directory": "a",
        "batch_number": 1,
        "images": '["20250803_060000_stage1_x.png", "20250803_060100_stage2_x.png"]',
        "ai_selected_index": 1,
        "ai_crop_coords": None,
        "ai_confidence": 0.5,
        "user_selected_index": 1,
        "user_action": "approve",
        "final_crop_coords": None,
        "crop_timestamp": None,
        "image_width": 100,
        "image_height": 200,
        "selection_match": 1,
        "crop_match": None,
    }
    return tuple((row | changes).values())


def write_vectors(
    project: Project, encoder_id: str, rows: list[tuple[str, str, list[float] | None]], size: int
) -> Path:
    """A file of vectors as FORMATS.md describes it; rows of (file name, content hash, vector or None)."""
    vectors = [None if vector is None else np.asarray(vector, np.float16) for _, _, vector in rows]
    errors = [None if vector is not None else "truncated" for vector in vectors]
    table = pa.table(
        {
            "filename": [name for name, _, _ in rows],
            "content_hash": [sha256 for _, sha256, _ in rows],
            "vector": pa.array(vectors, pa.list_(pa.float16(), size)),
            "error": pa.array(errors, pa.string()),
        }
    )
    folder = project.workspace.embeddings / encoder_id / project.id
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"part-{len(list(folder.iterdir()))}.parquet"
    pa.parquet.write_table(table, path)
    return path


def write_model(workspace: Workspace, model: str, metadata: object) -> None:
    workspace.models.mkdir(parents=True, exist_ok=True)
    (workspace.models / f"{model}_metadata.json").write_text(json.dumps(metadata))


def fill(project: Project, count: int, seed: int) -> None:
    """Groups, images and decisions of every kind in a project's database; no file is made."""
    rng = random.Random(seed)
    with closing(create(project.database)) as connection, transaction(connection):
        for number in range(count):
            _fill_one(connection, rng, project.id, number)


def _fill_one(connection: sqlite3.Connection, rng: random.Random, project_id: str, number: int) -> None:
    at = datetime(2025, 8, 3, tzinfo=UTC) + timedelta(seconds=rng.choice((3, 40, 200)) + 290 * number)
    group_id, batch = naming.group_id(project_id, datetime(2025, 8, 2), number)
    stages = rng.choice(((1, 2), (1, 1.5, 2), (1, 2, 3), (1, 1.5, 2, 3), (2, 2), (1, None)))
    names = [
        f"{at:%Y%m%d_%H%M%S}_{'' if stage is None else f'stage{stage:g}_'}{place}.png"
        for place, stage in enumerate(stages)
    ]
    connection.execute(
        "INSERT INTO groups (group_id, sequence, directory, batch_number, method) VALUES (?, ?, 'a', ?, 'stage')",
        (group_id, number + 1, batch),
    )
    for place, (name, stage) in enumerate(zip(names, stages, strict=True)):
        connection.execute(
            "INSERT INTO images VALUES ('a', ?, 600, 400, ?, NULL, ?, 1, 1, NULL)", (name, stage, f"{number}-{place}")
        )
        connection.execute("INSERT INTO group_members VALUES (?, ?, 'a', ?)", (group_id, place, name))
    outcome = rng.choice(("approve", "approve", "approve", "crop", "crop", "reject", "keep", "waits"))
    if outcome == "waits":
        return
    stamp = at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    finalised = (at + timedelta(minutes=rng.choice((0, 7)))).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if rng.random() < 0.8:
        connection.execute(
            "INSERT INTO review_state (group_id, action, overlay, updated_at) VALUES (?, 'skip', 0, ?)",
            (group_id, stamp),
        )
    ai = rng.choice((None, *range(len(names))))
    pick = ai if ai is not None and rng.random() < 0.7 else rng.randrange(len(names))
    source = rng.choice(("model", "model", "baseline", None))
    versions = json.dumps({"ranker": rng.choice(("v1", "v2"))} if source else {})
    proposed = ai is not None and rng.random() < 0.6
    drawn = outcome == "crop" and rng.random() < 0.8
    maker = rng.choice(("review", "review", "blind", "auto"))
    box_source = rng.choice(("drawn", "drawn", "ai", "ai_all", "default")) if drawn else None
    crop_input = None if box_source is None else "apply_ai" if box_source == "ai_all" else "desk"
    dropped = stamp if outcome == "crop" and not drawn and rng.random() < 0.3 else None
    look = rng.choice((None, 0, 900, 4000, 400_000))
    context = (group_id, 1, maker, outcome, source, versions, look, crop_input, dropped, finalised)
    connection.execute(f"INSERT INTO decision_context VALUES ({', '.join('?' * 10)})", context)
    if outcome == "keep":
        return
    box = json.dumps([round(rng.uniform(0, 0.2), 2), 0.0, 0.9, round(rng.uniform(0.7, 1), 2)])
    if drawn:
        connection.execute(
            "INSERT INTO crops VALUES (2, ?, ?, ?, ?, ?, ?, ?, '')",
            (names[pick], group_id, box, crop_input, group_id, stamp, box_source),
        )
    row = (group_id, finalised, project_id, "a", batch, json.dumps(names), ai)
    row += ("[0.1, 0.0, 0.9, 0.8]" if proposed else None, None if ai is None else rng.choice((0.3, 0.7, 0.95, 1.0)))
    row += (pick, outcome, rng.choice((0, 1)) if outcome == "approve" and proposed else None, box if drawn else None)
    row += (stamp if drawn else None, 600, 400, None if ai is None or outcome == "reject" else int(ai == pick), None)
    connection.execute(f"INSERT INTO ai_decisions VALUES ({', '.join('?' * 18)})", row)
