"""Hostile SQLite files: a project's database that is damaged, foreign, or written by an enemy is one line, whatever
command meets it; no image moves because of it, and nothing outside of the project is touched.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from conftest import read_tree
from hostile.guard import survive
from hostile.mutations import TEXTS, damaged, json_bytes, value
from pickroom import cli
from pickroom.core.errors import StoreError
from pickroom.store.connect import connect, open_read_only
from pickroom.store.legacy import legacy_path
from pickroom.store.workspace import Project
from support.reviewing import FINALISE, review

CASES = 25  # of each kind, in every run of the tests
# commands that read a project's database; each line of a key file is one key
COMMANDS = (
    ("status", "p"),
    ("status", "p", "--json"),
    ("groups", "p"),
    ("check", "p"),
    ("recover", "p"),
    ("anomalies", "p"),
    ("review", "p", "--keys", "{keys}"),
    ("crop", "p", "--apply-ai"),
    ("undo", "p", "--batch", "1"),
    ("auto", "generate", "p"),
)


@pytest.fixture
def project(make_project: Callable[..., Project], tmp_path: Path) -> Project:
    """Groups decided, one waiting for its crop, one chosen and not finalised, two untouched."""
    project = make_project([(1, 2), (1, 1.5, 2), (1, 2), (1, 2), (1, 2)])
    review(project, "1", "q", *FINALISE, "2")
    (tmp_path / "keys").write_text("1\n")
    with closing(connect(project.database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return project


def run(*arguments: str) -> int:
    """`pickroom ...` in this process: its exit code; whatever it does not expect is raised."""
    sys.argv = ["pickroom", *arguments]
    try:
        cli.main()
    except SystemExit as done:
        return int(done.code or 0)
    return 0


class Kept:
    """A project's folders as they were, put back before each case: only then can it be had again by its number."""

    def __init__(self, project: Project, folder: Path) -> None:
        self.project, self.folder = project, folder
        self.home, self.root = project.workspace.root, project.root
        shutil.copytree(self.home, folder / "home", symlinks=True)
        shutil.copytree(self.root, folder / "images", symlinks=True)
        self.names = self._names()

    def _names(self) -> dict[str, int]:
        return {path: len(content) for path, content in read_tree(self.root).items()}

    def rollback(self) -> None:
        for kept, place in ((self.folder / "home", self.home), (self.folder / "images", self.root)):
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(kept, place, symlinks=True)

    def contents(self) -> list[str]:
        """The hash of every image and companion, wherever it lies: none may be lost or doubled."""
        tree = read_tree(self.root)
        return sorted(sha for path, sha in tree.items() if not path.endswith(".decision"))


def commands(kept: Kept, hurt: Callable[[random.Random], None]) -> Callable[[random.Random], str]:
    whole = kept.contents()
    tmp_path = kept.folder.parent
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.png").write_bytes(b"secret")

    def case(rng: random.Random) -> str:
        kept.rollback()
        hurt(rng)
        words = [word.format(keys=tmp_path / "keys") for word in rng.choice(COMMANDS)]
        code = run(*words, "--home", str(kept.home))
        assert code in (0, 1, 2)
        assert kept.contents() == whole, words
        assert read_tree(outside) == {"secret.png": read_tree(outside)["secret.png"]}
        assert (outside / "secret.png").read_bytes() == b"secret"
        return f"{words[0]} {code}"

    return case


def test_damaged_bytes_of_a_database(project: Project, tmp_path: Path) -> None:
    sound = project.database.read_bytes()

    def hurt(rng: random.Random) -> None:
        kind = rng.randrange(5)
        if kind == 0:
            project.database.write_bytes(rng.randbytes(rng.randrange(5000)))
        elif kind == 1:
            project.database.write_bytes(sound[: rng.randrange(len(sound))])
        elif kind == 2:  # the pages beyond the first: SQLite meets the damage late
            at = rng.randrange(4096, len(sound))
            project.database.write_bytes(sound[:at] + damaged(rng, sound[at : at + 4096]) + sound[at + 4096 :])
        elif kind == 3:
            project.database.write_bytes(sound)
            for suffix in ("-wal", "-shm", "-journal"):
                Path(f"{project.database}{suffix}").write_bytes(rng.randbytes(rng.randrange(1, 4000)))
        else:
            project.database.write_bytes(damaged(rng, sound))

    survive("databases/bytes", CASES, commands(Kept(project, tmp_path / "kept"), hurt))


def test_hostile_values_in_a_database(project: Project, tmp_path: Path) -> None:
    """Cells that no program of ours writes, as far as SQLite's own types let them in."""

    def hurt(rng: random.Random) -> None:
        with closing(sqlite3.connect(project.database, isolation_level=None)) as connection:
            connection.execute("PRAGMA foreign_keys = OFF")
            connection.execute("PRAGMA ignore_check_constraints = ON")
            for _ in range(rng.randint(1, 3)):
                table = rng.choice([name for (name,) in connection.execute(_TABLES)])
                column = rng.choice([row[1] for row in connection.execute(f"PRAGMA table_info({table})")])
                with suppress(sqlite3.IntegrityError):  # its type is kept even so
                    connection.execute(f'UPDATE {table} SET "{column}" = ?', (cell(rng),))

    survive("databases/values", CASES, commands(Kept(project, tmp_path / "kept"), hurt))


def test_a_database_whose_types_are_not_kept_is_not_opened(project: Project) -> None:
    with closing(sqlite3.connect(project.database, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_master SET sql = replace(sql, ') STRICT', ')') WHERE type = 'table'")
        (version,) = connection.execute("PRAGMA schema_version").fetchone()
        connection.execute(f"PRAGMA schema_version = {version + 1}")
    with pytest.raises(StoreError, match="takes values of any type"):
        connect(project.database)


def cell(rng: random.Random) -> Any:
    """A value as SQLite takes it."""
    made = rng.choice((value(rng), rng.choice(TEXTS), json_bytes(rng, {"action": "approve", "index": 1}), 3.5, 10**15))
    if isinstance(made, bool) or (isinstance(made, int) and abs(made) > 2**62):
        return int(made > 0)
    if isinstance(made, list | dict):
        return json_bytes(rng, made).decode(errors="replace")
    if isinstance(made, str):
        return made.encode("utf-8", "replace").decode()
    return made


_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY 1"
OBJECTS = {
    "trigger": "CREATE TRIGGER t AFTER INSERT ON ai_decisions BEGIN DELETE FROM groups; DELETE FROM images; END",
    "trigger on a table that is read": "CREATE TRIGGER t AFTER UPDATE ON review_state BEGIN DELETE FROM groups; END",
    "view for a table": (
        "DROP TABLE image_marks; CREATE VIEW image_marks AS "
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT * FROM n"
    ),
    "endless view": (
        "DROP VIEW ai_performance; CREATE VIEW ai_performance AS "
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS project_id FROM n"
    ),
    "virtual table": "DROP TABLE image_marks; CREATE VIRTUAL TABLE image_marks USING fts5(a)",
}


@pytest.mark.parametrize("name", OBJECTS)
def test_a_database_with_code_of_its_own_is_not_opened(project: Project, name: str) -> None:
    with closing(sqlite3.connect(project.database)) as connection:
        connection.executescript(f"PRAGMA foreign_keys = OFF; {OBJECTS[name]};")
    before = project.database.read_bytes()
    for opening in (lambda: connect(project.database).close(), lambda: open_read_only(project.database).__enter__()):
        with pytest.raises(StoreError, match="Pickroom") as refused:
            opening()
        assert "\n" not in refused.value.line
    assert project.database.read_bytes() == before
    assert run("status", "p", "--home", str(project.workspace.root)) == 1


def test_legacy_database_keeps_its_rows_but_no_triggers(project: Project) -> None:
    """The earlier system's table (user_version 0) comes with whatever hangs on it: none of it may run."""
    path = legacy_path(project.workspace, "old")
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            """CREATE TABLE ai_decisions (group_id TEXT PRIMARY KEY, timestamp TEXT, project_id TEXT, directory TEXT,
                batch_number INTEGER, images TEXT, ai_selected_index INTEGER, ai_crop_coords TEXT, ai_confidence REAL,
                user_selected_index INTEGER, user_action TEXT, final_crop_coords TEXT, crop_timestamp TEXT,
                image_width INTEGER, image_height INTEGER, selection_match BOOLEAN, crop_match BOOLEAN);
            INSERT INTO ai_decisions VALUES ('g', '2025-08-03T06:00:00Z', 'old', '../../etc', 1, '["a.png", "b.png"]',
                0, NULL, NULL, 1, 'approve', NULL, NULL, 8, 8, 0, NULL);
            CREATE TRIGGER "a""; DROP TABLE ai_decisions; --" AFTER INSERT ON ai_decisions
                BEGIN DELETE FROM ai_decisions; END;
            CREATE TRIGGER u AFTER UPDATE ON ai_decisions BEGIN DELETE FROM ai_decisions; END;
            CREATE VIEW "v'; --" AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT * FROM n;
            CREATE INDEX "i]" ON ai_decisions (timestamp);"""
        )
    with closing(connect(path)) as connection:
        assert [tuple(row) for row in connection.execute("SELECT group_id, images FROM ai_decisions")] == [
            ("g", '["a.png", "b.png"]')
        ]
        left = connection.execute("SELECT count(*) FROM sqlite_master WHERE type = 'trigger'").fetchone()[0]
        assert left == 0


def test_a_newer_schema_is_left_alone(project: Project) -> None:
    with closing(sqlite3.connect(project.database, isolation_level=None)) as connection:
        connection.execute("PRAGMA user_version = 999")
    before = read_tree(project.workspace.root)
    with pytest.raises(StoreError, match="this program knows up to"):
        connect(project.database)
    after = read_tree(project.workspace.root)
    assert {k: v for k, v in after.items() if not k.endswith(("-shm", "-wal"))} == before
    assert run("groups", "p", "--home", str(project.workspace.root)) == 1


@pytest.fixture(autouse=True)
def arguments() -> Iterator[None]:
    kept = sys.argv
    yield
    sys.argv = kept
