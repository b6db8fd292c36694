"""Table `recommendations`: what a model, a baseline or a simulation says of each group now."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from pickroom.records import CropBox, Recommendation
from pickroom.workspace import utc_now


@dataclass(frozen=True, slots=True)
class Waiting:
    """What the order of review goes by, of one group that waits for a decision.

    Attributes:
        deferrals: how often a batch ended with it skipped.
        confidence, crop_confidence: of the recommendation, in [0, 1]; None when not known.
        conflict: stage and defect disagree: a pick below the highest stage, or an anomaly flag.
    """

    group_id: str
    deferrals: int
    confidence: float | None
    crop_confidence: float | None
    conflict: bool


def upsert(connection: sqlite3.Connection, recommendations: Iterable[Recommendation]) -> None:
    """Store the current recommendation of each group, in place of an earlier one."""
    now = utc_now()
    connection.executemany(
        """INSERT INTO recommendations (group_id, source, selected_index, crop_coords, crop_needed, confidence,
            crop_confidence, reasons, anomaly_flags, versions, made_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (group_id) DO UPDATE SET source = excluded.source, selected_index = excluded.selected_index,
            crop_coords = excluded.crop_coords, crop_needed = excluded.crop_needed,
            confidence = excluded.confidence, crop_confidence = excluded.crop_confidence,
            reasons = excluded.reasons, anomaly_flags = excluded.anomaly_flags, versions = excluded.versions,
            made_at = excluded.made_at""",
        (
            (
                r.group_id,
                r.source,
                r.selected_index,
                r.crop.to_json() if r.crop else None,
                r.crop_needed,
                r.confidence,
                r.crop_confidence,
                json.dumps(r.reasons),
                json.dumps(r.anomaly_flags),
                json.dumps(r.versions, sort_keys=True),
                now,
            )
            for r in recommendations
        ),
    )


def of_groups(connection: sqlite3.Connection, group_ids: Iterable[str]) -> dict[str, Recommendation]:
    """Group id -> its recommendation, for those that have one."""
    found = {}
    for group_id in group_ids:
        row = connection.execute("SELECT * FROM recommendations WHERE group_id = ?", (group_id,)).fetchone()
        if row is not None:
            found[group_id] = _from_row(row)
    return found


def waiting(connection: sqlite3.Connection) -> list[Waiting]:
    """Every group that waits for a decision, in folder order."""
    rows = connection.execute(
        """SELECT g.group_id, g.deferrals, r.confidence, r.crop_confidence,
            coalesce(r.anomaly_flags <> '[]', 0) OR coalesce(
                max(i.stage) > max(CASE WHEN m.position = r.selected_index THEN i.stage END), 0) AS conflict
        FROM groups AS g
        CROSS JOIN group_members AS m ON m.group_id = g.group_id
        CROSS JOIN images AS i ON i.directory = m.directory AND i.filename = m.filename
        LEFT JOIN recommendations AS r ON r.group_id = g.group_id
        WHERE NOT EXISTS (SELECT 1 FROM decision_context AS c WHERE c.group_id = g.group_id)
        GROUP BY g.sequence
        ORDER BY g.sequence"""
    )
    return [
        Waiting(row["group_id"], row["deferrals"], row["confidence"], row["crop_confidence"], bool(row["conflict"]))
        for row in rows
    ]


def _from_row(row: sqlite3.Row) -> Recommendation:
    return Recommendation(
        group_id=row["group_id"],
        source=row["source"],
        selected_index=row["selected_index"],
        crop=CropBox.from_json(row["crop_coords"]),
        crop_needed=None if row["crop_needed"] is None else bool(row["crop_needed"]),
        confidence=row["confidence"],
        crop_confidence=row["crop_confidence"],
        reasons=tuple(json.loads(row["reasons"])),
        anomaly_flags=tuple(json.loads(row["anomaly_flags"])),
        versions=json.loads(row["versions"]),
    )
