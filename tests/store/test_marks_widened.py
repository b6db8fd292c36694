"""Migration 012: the marks and the log of databases made before it are all still there, in their order."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from pickroom.store import marks
from pickroom.store.connect import connect, migrations


def test_marks_and_log_of_an_older_database_stay(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path)) as old:
        for script in migrations()[:11]:
            old.executescript(script)
        old.execute("PRAGMA user_version = 11")
        row = ("browse", "selected", "a.png", "crop", 5, 6, None, "vanished", "2025-08-03T06:00:00.000000Z")
        old.execute("INSERT INTO image_marks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        for key in "cx":
            old.execute("INSERT INTO mark_log (room, key, changes) VALUES ('browse', ?, '[]')", (key,))
        old.commit()
    with closing(connect(path)) as connection:
        assert marks.waiting(connection, "browse") == [marks.Mark("selected", "a.png", "crop", 5, 6, "vanished")]
        assert [step.key for step in marks.steps(connection, "browse")[0]] == ["c", "x"]
        marks.save(connection, "duplicates", [marks.Mark("", "b.png", "delete_staging", 1, 2)])
        marks.log(connection, "browse", marks.MarkStep("k", ()))
        assert [step.key for step in marks.steps(connection, "browse")[0]] == ["c", "x", "k"]
        assert [mark.path for mark in marks.waiting(connection, "duplicates")] == ["b.png"]
