"""Any number of real image files, each of its own content, for `scale.py`; and a project most of which is decided."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from itertools import cycle, groupby
from pathlib import Path

from _photographs import photographs
from pickroom.store.workspace import Project

STAGES = ("stage1_generated", "stage1.5_face_swapped", "stage2_upscaled")
BEGUN = datetime(2001, 1, 1)
APART = timedelta(minutes=10)  # from one group to the next: more than a group's gap
SIDE = 96  # pixels: what a scan costs for each of larger images is known; this is about their number
A_FOLDER = 9_999  # images in one folder, 3,333 whole groups
_BATCH = 100  # groups of one finalise


def names(number: int) -> tuple[str, ...]:
    """The file names of one group of three stages."""
    moments = (BEGUN + APART * number + timedelta(minutes=place) for place in range(len(STAGES)))
    return tuple(f"{moment:%Y%m%d_%H%M%S}_{stage}.jpg" for moment, stage in zip(moments, STAGES, strict=True))


def make_images(root: Path, count: int) -> None:
    """`count` JPEG files in folders of 9,999: a few photographs, each copy with a chunk of its own at its end."""
    folder = root / ".jpeg"
    folder.mkdir(parents=True)
    base = []
    for name, image in photographs(None, SIDE).items():
        image.save(folder / f"{name}.jpg", quality=80)
        base.append((folder / f"{name}.jpg").read_bytes())
        (folder / f"{name}.jpg").unlink()
    folder.rmdir()
    contents = cycle(base)
    for number, name in enumerate(_names(count)):
        if number % A_FOLDER == 0:
            folder = root / f"part{number // A_FOLDER:03d}"
            folder.mkdir()
        (folder / name).write_bytes(next(contents) + b"%012d" % number)  # decoders stop before it, hashes do not


def _names(count: int) -> Iterator[str]:
    for number in range(count):
        yield names(number // len(STAGES))[number % len(STAGES)]


def give_confidence(project: Project) -> None:
    """Turn the baseline's recommendations into a model's, each with a confidence of its own."""
    with closing(sqlite3.connect(project.database)) as connection, connection:
        connection.execute(
            """UPDATE recommendations SET source = 'model', versions = '{"ranker": "v3"}',
            confidence = 0.5 + (rowid * 7919 % 1000) / 2000.0,
            anomaly_flags = iif(rowid % 20 = 0, '["smeared"]', '[]')"""
        )


def decide(project: Project, leave: int) -> int:
    """Decide every waiting group but `leave` of them, as a long review would leave it; how many.

    Files are moved, and each row is there that a finalise writes; the journal's own care is not what is measured here.
    """
    for name in ("selected", "delete_staging"):
        (project.root / name).mkdir(exist_ok=True)
    with closing(sqlite3.connect(project.database)) as connection, connection:
        connection.execute("PRAGMA synchronous = OFF")
        waiting = connection.execute(
            """SELECT g.group_id, g.directory, g.batch_number, m.filename, i.sha256, i.width, i.height
            FROM groups AS g CROSS JOIN group_members AS m USING (group_id)
            JOIN images AS i ON i.directory = m.directory AND i.filename = m.filename
            WHERE g.group_id NOT IN (SELECT group_id FROM decision_context) ORDER BY g.sequence, m.position"""
        )
        every = [list(rows) for _, rows in groupby(waiting.fetchall(), key=lambda row: row[0])]
        batch = 1 + connection.execute("SELECT coalesce(max(batch), 0) FROM file_operations").fetchone()[0]
        going = every[: max(0, len(every) - leave)]
        for number, rows in enumerate(going):
            _decide_one(project, connection, number, batch + number // _BATCH, rows)
    return len(going)


def _decide_one(project: Project, connection: sqlite3.Connection, number: int, batch: int, rows: list[tuple]) -> None:
    group_id, directory, block, _, _, width, height = rows[0]
    moment = f"{BEGUN + timedelta(seconds=4 * number):%Y-%m-%dT%H:%M:%S}.000000Z"
    last = len(rows) - 1
    pick = last if number % 20 else 0
    ai_side = (last, None, 0.9)  # index, box, confidence
    person_side = (pick, "approve", None, None, None, width, height, int(pick == last), None)
    listed = json.dumps([row[3] for row in rows])
    connection.execute(
        f"INSERT INTO ai_decisions VALUES ({', '.join('?' * 18)})",
        (group_id, moment, project.id, directory, block, listed, *ai_side, *person_side),
    )
    connection.execute(
        """INSERT INTO decision_context (group_id, batch, input, outcome, source, versions, milliseconds, decided_at)
        VALUES (?, ?, 'review', 'approve', 'model', '{"ranker": "v3"}', 3000, ?)""",
        (group_id, batch, moment),
    )
    connection.execute(
        """INSERT INTO review_state (group_id, action, selected_index, overlay, updated_at)
        VALUES (?, 'approve', ?, 0, ?) ON CONFLICT (group_id) DO UPDATE SET action = 'approve'""",
        (group_id, pick, moment),
    )
    for place, (_, _, _, name, sha256, _, _) in enumerate(rows):
        target = f"{'selected' if place == pick else 'delete_staging'}/{name}"
        os.rename(project.root / directory / name, project.root / target)
        connection.execute(
            """INSERT INTO file_operations (batch, kind, unit, op, source, destination, sha256, state, planned_at,
            finished_at) VALUES (?, 'review', ?, 'move', ?, ?, ?, 'done', ?, ?)""",
            (batch, group_id, f"{directory}/{name}", target, sha256, moment, moment),
        )
