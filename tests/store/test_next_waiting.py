"""The next groups of a review, found by index, are those that reading every group finds."""

from __future__ import annotations

import json
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pickroom.automation.order import next_groups
from pickroom.core.naming import sampling_key
from pickroom.core.records import Recommendation
from pickroom.store import groups, recommendations
from pickroom.store.connect import connect, create, migrations, transaction

CONFIDENCES = {"some": (None, 0.2, 0.2, 0.7, 0.9), "none": (None,), "all": (0.1, 0.5, 0.5, 0.99)}


def fill(connection: sqlite3.Connection, rng: random.Random, known: str) -> None:
    """Up to 60 groups: skipped or not, with or without confidence, conflict and lot; some of them decided."""
    for table in ("decision_context", "recommendations", "groups"):
        connection.execute(f"DELETE FROM {table}")
    for number in range(rng.randint(0, 60)):
        own_id = f"g{number:02d}"
        skipped = rng.choice((0, 0, 0, 1, 2))
        connection.execute(
            "INSERT INTO groups VALUES (?, ?, '', 1, 'stage', ?, NULL, 'stage')", (own_id, number + 1, skipped)
        )
        if rng.random() < 0.9:
            row = (own_id, rng.choice(CONFIDENCES[known]), rng.choice((None, 0.3, 0.8)), int(rng.random() < 0.2))
            connection.execute(
                """INSERT INTO recommendations (group_id, source, confidence, crop_confidence, conflict, made_at)
                VALUES (?, 'model', ?, ?, ?, '')""",
                row,
            )
        if rng.random() < 0.3:
            connection.execute(
                """INSERT INTO decision_context (group_id, batch, input, outcome, decided_at)
                VALUES (?, 1, 'review', 'keep', '')""",
                (own_id,),
            )
    if rng.random() < 0.8:
        groups.assign_sampling_keys(connection, "p")
        connection.execute("UPDATE groups SET lot = NULL WHERE sequence % 7 = ?", (rng.randrange(14),))


@pytest.mark.parametrize("known", CONFIDENCES)
def test_next_groups_found_by_index_are_those_of_reading_all(tmp_path: Path, known: str) -> None:
    with closing(create(tmp_path / "p.db")) as connection:
        for seed in range(150):
            rng = random.Random(seed)
            with transaction(connection):
                fill(connection, rng, known)
            every = recommendations.waiting(connection)
            ids = [row["group_id"] for row in connection.execute("SELECT group_id FROM groups")]
            touched = {one for one in ids if rng.random() < 0.1}
            count = rng.choice((1, 3, 10, 100))
            found = recommendations.next_waiting(connection, "p", count, touched, few=rng.choice((0, 0, 20)))
            assert set(found) <= set(every)
            for blind in (False, True):  # in folder order it is `groups.queue`
                expected = next_groups(every, touched, count, blind=blind, seed="p")
                assert next_groups(found, touched, count, blind=blind, seed="p") == expected


def test_next_groups_are_few_however_many_wait(tmp_path: Path) -> None:
    with closing(create(tmp_path / "p.db")) as connection, transaction(connection):
        for number in range(3000):
            connection.execute(
                "INSERT INTO groups VALUES (?, ?, '', 1, 'stage', 0, NULL, 'stage')", (f"g{number:04d}", number + 1)
            )
        groups.assign_sampling_keys(connection, "p")
        assert len(recommendations.next_waiting(connection, "p", 10)) <= 40


def test_migration_fills_conflicts_and_lots_like_new_rows(tmp_path: Path) -> None:
    """Two images a group, stages 1 and 2: the pick, the flags, and whether they disagree."""
    cases = [(0, "[]", True), (1, "[]", False), (None, "[]", False), (1, '["smeared"]', True)]
    path = tmp_path / "p.db"
    with closing(sqlite3.connect(path)) as old, old:
        for script in migrations()[:13]:
            old.executescript(script)
        old.execute("PRAGMA user_version = 13")
        for place, (pick, flags, _) in enumerate(cases):
            own_id = f"g{place}"
            old.execute("INSERT INTO groups VALUES (?, ?, '', 1, 'stage', 0)", (own_id, place + 1))
            for position in range(2):
                name = f"{place}_{position}.png"
                old.execute(
                    "INSERT INTO images VALUES ('', ?, 4, 4, ?, NULL, ?, 1, 1, NULL)", (name, position + 1.0, name)
                )
                old.execute("INSERT INTO group_members VALUES (?, ?, '', ?)", (own_id, position, name))
            old.execute(
                """INSERT INTO recommendations (group_id, source, selected_index, anomaly_flags, made_at)
                VALUES (?, 'model', ?, ?, '')""",
                (own_id, pick, flags),
            )
    with closing(connect(path)) as connection:
        expected = [conflict for _, _, conflict in cases]
        assert [one.conflict for one in recommendations.waiting(connection)] == expected
        made = [
            Recommendation(f"g{place}", "model", pick, anomaly_flags=tuple(json.loads(flags)))
            for place, (pick, flags, _) in enumerate(cases)
        ]
        recommendations.upsert(connection, made)
        assert [one.conflict for one in recommendations.waiting(connection)] == expected
        groups.assign_sampling_keys(connection, "p")
        lots = [row["lot"] for row in connection.execute("SELECT lot FROM groups ORDER BY sequence")]
        assert lots == [sampling_key(f"g{place}", "p") for place in range(len(cases))]
