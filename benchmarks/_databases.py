"""Project databases of any size without images: decisions, their contexts and groups, as a review would leave them."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pickroom.core.naming import group_id
from pickroom.store.connect import create
from pickroom.store.workspace import Workspace

STAGES = ("stage1_generated", "stage1.5_face_swapped", "stage2_upscaled", "stage3_enhanced")
BEGUN = datetime(2025, 8, 3, 6, 54, 6, tzinfo=UTC)


def make_project(workspace: Workspace, project_id: str, decisions: int, seed: int) -> Path:
    """A started project whose database holds that many decisions; the same seed makes the same rows."""
    rng = random.Random(seed)
    project = workspace.planned(project_id, workspace.root / "images" / project_id)
    connection = create(project.database)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("BEGIN")
    rows = [_rows(rng, project_id, number) for number in range(decisions)]
    connection.executemany(
        "INSERT INTO groups (group_id, sequence, directory, batch_number, method) VALUES (?, ?, ?, ?, 'stage')",
        (group for group, _, _ in rows),
    )
    connection.executemany(f"INSERT INTO ai_decisions VALUES ({', '.join('?' * 18)})", (row for _, row, _ in rows))
    connection.executemany(
        f"INSERT INTO decision_context VALUES ({', '.join('?' * 10)})", (context for _, _, context in rows)
    )
    connection.execute("COMMIT")
    connection.close()
    workspace.save_new(project)
    return project.database


def _rows(rng: random.Random, project_id: str, number: int) -> tuple[tuple, tuple, tuple]:
    """One group with its decision and its context: 95 % agreement, every third one cropped, a few automatic."""
    own_id, batch = group_id(project_id, BEGUN, number)
    moment = BEGUN + timedelta(seconds=4 * number)
    now = moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    count = rng.choice((2, 3, 3, 4))
    names = [f"{moment:%Y%m%d_%H%M%S}_{word}.png" for word in STAGES[:count]]
    pick = count - 1 if rng.random() < 0.95 else 0
    action = rng.choices(("approve", "crop", "reject"), (6, 3, 1))[0]
    match = None if action == "reject" else int(pick == count - 1)
    ai_box = "[0.1, 0.0, 0.9, 0.8]" if rng.random() < 0.4 else None
    box = "[0.11, 0.0, 0.9, 0.79]" if action == "crop" else None
    crop_match = int(rng.random() < 0.4) if box and ai_box else None
    row = (own_id, now, project_id, "a", batch, json.dumps(names), count - 1, ai_box, round(rng.random(), 3), pick)
    row += (action, None, box, now if box else None, 1024, 1536, match, crop_match)
    maker = rng.choices(("review", "blind", "auto"), (90, 5, 5))[0]
    crop_input = rng.choices(("desk", "apply_ai"), (9, 1))[0] if box else None
    context = (
        own_id,
        batch,
        maker,
        action,
        "model",
        '{"ranker": "v3"}',
        rng.randrange(500, 9000),
        crop_input,
        None,
        now,
    )
    return (own_id, number + 1, "a", batch), row, context
