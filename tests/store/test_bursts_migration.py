"""A database of before bursts of any size keeps its rows; bursts that a scan had split are joined by the next one."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pickroom.core.records import Choice, Image
from pickroom.groups.bursts import group_by_capture
from pickroom.indexing import projects
from pickroom.store import groups, recommendations, review_state
from pickroom.store.connect import connect
from pickroom.store.rows import migrations
from pickroom.store.workspace import Workspace
from support.photographs import shoot
from support.reviewing import FINALISE, queue, review, rows


def test_rows_of_the_schema_before_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    with closing(sqlite3.connect(path)) as old, old:
        for script in migrations()[:20]:
            old.executescript(script)
        old.execute("PRAGMA user_version = 20")
        old.execute("INSERT INTO groups VALUES ('p_group_1', 1, '', 1, 'similarity', 0, NULL, 'burst')")
        for place, name in enumerate("abc"):
            old.execute("INSERT INTO images VALUES ('', ?, 4, 4, NULL, NULL, ?, 1, 1, NULL)", (name, name))
            old.execute("INSERT INTO group_members VALUES ('p_group_1', ?, '', ?)", (place, name))
        old.execute(
            """INSERT INTO recommendations (group_id, source, selected_index, confidence, made_at, conflict)
            VALUES ('p_group_1', 'model', 2, .5, '', 1)"""
        )
        old.execute(
            """INSERT INTO review_state (group_id, action, selected_index, overlay, milliseconds, updated_at)
            VALUES ('p_group_1', 'approve', 1, 0, 700, '')"""
        )
    with closing(connect(path)) as connection:
        (group,) = groups.queue(connection, "p")
        assert group.filenames == ("a", "b", "c")
        made = recommendations.of_groups(connection, [group.group_id])[group.group_id]
        assert (made.selected_index, made.confidence, made.ranking, made.keep_all) == (2, 0.5, (), False)
        assert recommendations.waiting(connection)[0].conflict
        saved = review_state.REVIEW.load(connection, [group.group_id])[group.group_id]
        assert (saved.choice, saved.milliseconds) == (Choice("approve", 1), 700)
        assert [tuple(row) for row in connection.execute("SELECT burst_id FROM groups")] == [("p_group_1",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def split(burst: tuple[Image, ...]) -> list[tuple[Image, ...]]:
    return [burst[start : start + 3] for start in range(0, len(burst), 3)]


def test_split_bursts_are_joined_where_nothing_is_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shoot(tmp_path / "card", bursts=3, shots=9)

    def as_before(*arguments):
        made, left_out = group_by_capture(*arguments)
        return [part for burst in made for part in split(burst)], left_out

    with monkeypatch.context() as patch:
        patch.setattr("pickroom.groups.bursts.group_by_capture", as_before)
        project = projects.start(Workspace(tmp_path / "home"), "p", tmp_path / "card")[0]
    assert [len(group.images) for group in queue(project)] == [3] * 9
    review(project, "1", *FINALISE)  # of the first burst; a choice that is not finalised in the second
    review(project, "End", *5 * ["ArrowUp"], "k")
    before = {group.group_id for group in queue(project)}
    chosen = rows(project, "SELECT group_id FROM review_state WHERE action = 'keep'")[0]["group_id"]
    projects.rescan(project)
    after = {group.group_id: [int(name[4:8]) for name in group.filenames] for group in queue(project)}
    assert sorted(after.values()) == [[3, 4, 5, 6, 7, 8], [9, 10, 11], [12, 13, 14, 15, 16, 17], list(range(18, 27))]
    assert set(after) & before == {chosen}
