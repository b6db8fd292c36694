"""Table `recommendations`: what a model, a baseline or a simulation says of each group now."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable

from pickroom.records import CropBox, Recommendation
from pickroom.workspace import utc_now


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
