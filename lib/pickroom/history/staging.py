"""Everything an import read, in a temporary database, until it is known what is new: memory stays bounded.

Nothing here touches the workspace but to read what is imported or decided already.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from itertools import chain
from pathlib import Path

import numpy as np

from pickroom.core.errors import ConflictError, StoreError, UsageError
from pickroom.core.records import CropBox
from pickroom.history import skip_reasons
from pickroom.history.parsed_rows import crop_key, crop_rank, pick_key
from pickroom.storage import leftovers
from pickroom.store.connect import open_read_only
from pickroom.store.legacy import databases, legacy_path
from pickroom.store.workspace import Workspace

MAX_PROJECTS = 1000  # in one import: a column with more names than that is no project column
EXAMPLES = 3  # rows shown for each reason

# resolve.sql's verdicts, in the words of a report
VERDICTS = {
    "repeated": skip_reasons.REPEATED,
    "imported": skip_reasons.IMPORTED,
    "decided": skip_reasons.DECIDED,
    "same id": skip_reasons.SAME_ID,
    "reopened": skip_reasons.REOPENED,
    "full frame": skip_reasons.FULL_FRAME,
    "no coordinates": skip_reasons.NO_COORDINATES,
}
_IMPORTED, _DECIDED = 1, 2

_ROWS_AT_ONCE = 500  # in one INSERT: SQLite takes up to 32,766 values
# One byte for the keys that share its place, so that memory does not grow with the rows. Three keys in a hundred of a
# million share one by chance, and are looked at for nothing.
_SLOTS = 1 << 25

# what is stored already may be met by what was read
_SUSPECT_STORED = """
INSERT OR IGNORE INTO suspects SELECT key FROM selections WHERE existing > 0;
INSERT OR IGNORE INTO suspects SELECT key FROM crops WHERE existing > 0;
INSERT OR IGNORE INTO suspects SELECT key FROM decisions WHERE existing > 0;
INSERT OR IGNORE INTO suspects SELECT crop_key FROM decisions WHERE existing > 0 AND crop_key IS NOT NULL;
"""

# the rows of one file that were staged and left out, decisions whose pick lives on apart
_LEFT_OUT = """
SELECT verdict, line, chosen AS name, timestamp FROM decisions
WHERE file = :file AND verdict IS NOT NULL AND verdict <> 'pick only'
UNION ALL
SELECT verdict, line, chosen, timestamp FROM selections WHERE file = :file AND verdict IS NOT NULL
    AND (file, line) NOT IN (SELECT file, line FROM crops WHERE main = 0 AND file = :file AND verdict IS NULL)
UNION ALL
SELECT verdict, line, filename, timestamp FROM crops WHERE file = :file AND main = 1 AND verdict IS NOT NULL
"""

# decisions that became selections: their crop is known better from another row
_PICKS_ONLY = "SELECT project_id, count(*) FROM decisions WHERE verdict = 'pick only' GROUP BY project_id"


class Staging:
    """A temporary database of facts; `close` removes it."""

    def __init__(self) -> None:
        self._folder = leftovers.Folder("pickroom-import-")
        self.path = self._folder.path / "staging.db"
        self.connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        # a lost temporary file is simply read again, so nothing is spent on keeping it safe
        self.connection.executescript(
            "PRAGMA page_size = 65536; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + _sql("staging.sql")
        )
        self._staged: dict[str, Counter[str]] = {"decisions": Counter(), "selections": Counter(), "crops": Counter()}
        self._met = np.zeros(_SLOTS, dtype=bool)
        self._compared: dict[Path, tuple[int, ...] | None] = {}

    def close(self) -> None:
        """Remove it; closing twice is fine."""
        self.connection.close()
        self._folder.close()

    def add_file(self, name: str, *, numbered: bool = True) -> int:
        """Note a source by name (no path is ever stored); returns its number.

        Args:
            numbered: its rows have lines; else their numbers only tell them apart.
        """
        insert = "INSERT INTO files (name, numbered) VALUES (?, ?) RETURNING file"
        return self.connection.execute(insert, (name, numbered)).fetchone()[0]

    def store(self, decisions: Sequence[tuple], selections: Sequence[tuple], crops: Sequence[tuple]) -> None:
        """Take in rows as `ParsedRows.drain` gives them; from any thread, but one at a time.

        Raises:
            StoreError: the temporary folder is full.
        """
        with self._speaking("gathering rows"):
            self.connection.execute("BEGIN")
            self._insert("decisions", 24, 6, decisions)
            self._insert("selections", 7, 1, selections)
            self._insert("crops", 12, 3, crops)
            self.connection.execute("COMMIT")

    @contextmanager
    def _speaking(self, doing: str) -> Iterator[None]:
        """Turn what the temporary folder refuses into one clear line."""
        try:
            yield
        except sqlite3.OperationalError as error:
            hint = "make room there, or set TMPDIR to a larger folder"
            raise StoreError(str(error), doing=doing, subject=self.path, hint=hint) from error

    def _insert(self, table: str, columns: int, project_at: int, rows: Sequence[tuple]) -> None:
        """Store rows, in the order of the table's first columns, and count them by project."""
        if not rows:
            return
        self._staged[table].update(row[project_at] for row in rows)
        self._suspect(row[0] for row in rows)
        if table == "decisions":
            self._suspect(row[1] for row in rows if row[1] is not None)
        names = [row[1] for row in self.connection.execute(f"PRAGMA table_info({table})")][:columns]
        marks = f"({', '.join('?' * columns)})"
        insert = f"INSERT INTO {table} ({', '.join(names)}) VALUES "
        # many rows in one statement: a third less time than one by one
        many = insert + ", ".join([marks] * _ROWS_AT_ONCE)
        whole = len(rows) - len(rows) % _ROWS_AT_ONCE
        for start in range(0, whole, _ROWS_AT_ONCE):
            self.connection.execute(many, list(chain.from_iterable(rows[start : start + _ROWS_AT_ONCE])))
        self.connection.executemany(insert + marks, rows[whole:])

    def _suspect(self, keys: Iterable[int]) -> None:
        """Note the keys that may have come before: resolve.sql only looks at rows that have one of them."""
        values = np.fromiter(keys, dtype=np.int64)
        slots = values & (_SLOTS - 1)
        met = self._met[slots]
        self._met[slots] = True
        _, first = np.unique(slots, return_index=True)
        met |= ~np.isin(np.arange(len(slots)), first)  # more than once in this batch
        self.connection.executemany(
            "INSERT OR IGNORE INTO suspects VALUES (?)", ((key,) for key in values[met].tolist())
        )

    def resolve(self, workspace: Workspace, projects: Iterable[str]) -> None:
        """Find out which rows are new, beside each other and beside what the projects have already.

        Raises:
            StoreError: a project's database cannot be read.
            UsageError: more projects than a workspace can sensibly have.
        """
        projects = sorted(projects)
        if len(projects) > MAX_PROJECTS:
            raise UsageError(
                f"these files name {len(projects):,} projects",
                doing="importing",
                hint="is that column the project's? import such files one by one",
            )
        with self._speaking("comparing rows"):
            for project_id in projects:
                self._seed_project(workspace, project_id)
            self.connection.executescript(_SUSPECT_STORED)
            self.connection.executescript(_sql("resolve.sql"))

    def _seed_project(self, workspace: Workspace, project_id: str) -> None:
        imported = legacy_path(workspace, project_id)
        self._compared[imported] = _watermark(imported)
        for database in reversed(databases(workspace, project_id)):
            self._seed(database, _IMPORTED if database == imported else _DECIDED)

    def _seed(self, database: Path, existing: int) -> None:
        """Take in what a database holds, so that nothing is imported twice."""
        with open_read_only(database) as source:
            picks = source.execute(
                """SELECT group_id, timestamp, project_id, images, user_selected_index, user_action, final_crop_coords
                FROM ai_decisions"""
            )
            self.connection.executemany(
                """INSERT INTO decisions (key, crop_key, rank, chosen, group_id, timestamp, project_id,
                final_crop_coords, existing) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)""",
                _known_decisions(picks, existing),
            )
            if existing == _DECIDED:
                boxes = source.execute("SELECT ?, filename, box, made_at FROM crops", (database.stem,))
            else:
                chosen = source.execute("SELECT project_id, chosen, others, timestamp FROM legacy_selections")
                picked = ((pick_key(p, c, json.loads(o), t), p, c, t, existing) for p, c, o, t in chosen)
                self.connection.executemany(
                    "INSERT INTO selections (key, project_id, chosen, timestamp, existing) VALUES (?, ?, ?, ?, ?)",
                    (row for row in picked if self._may_match(row)),
                )
                boxes = source.execute("SELECT project_id, filename, box, timestamp FROM legacy_crops")
            rows = ((crop_key(p, f), crop_rank(CropBox.from_json(b)), p, f, b, t, existing) for p, f, b, t in boxes)
            self.connection.executemany(
                """INSERT INTO crops (key, rank, main, project_id, filename, box, timestamp, existing)
                VALUES (?, ?, 1, ?, ?, ?, ?, ?)""",
                (row for row in rows if self._may_match(row)),
            )

    def _may_match(self, row: tuple) -> bool:
        """Whether a stored row's key (its first value) may be one of those just read."""
        return bool(self._met[row[0] & (_SLOTS - 1)])

    def require_unchanged(self) -> None:
        """Raises ConflictError when another import has written since `resolve` compared."""
        for path, seen in self._compared.items():
            if _watermark(path) != seen:
                raise ConflictError(
                    "another import has written here meanwhile", doing="importing", subject=path, hint="import again"
                )

    def left_out(self, file: int) -> tuple[Counter[str], dict[str, list[tuple[int, str]]]]:
        """Staged rows of a file that are not imported: reason -> how many, reason -> the first (line, what)."""
        counts: Counter[str] = Counter()
        examples: dict[str, list[tuple[int, str]]] = {}
        query = f"SELECT verdict, count(*) FROM ({_LEFT_OUT}) GROUP BY verdict ORDER BY 2 DESC, 1"
        for verdict, count in self.connection.execute(query, {"file": file}).fetchall():
            rows = self.connection.execute(
                f"SELECT line, name, timestamp FROM ({_LEFT_OUT}) WHERE verdict = :verdict ORDER BY line LIMIT :some",
                {"file": file, "verdict": verdict, "some": EXAMPLES},
            )
            counts[VERDICTS[verdict]] = count
            examples[VERDICTS[verdict]] = [(line, repr((name, moment))) for line, name, moment in rows]
        return counts, examples

    def kept(self) -> dict[str, dict[str, int]]:
        """Project -> table -> rows that are new."""
        found: dict[str, dict[str, int]] = {}
        for table, staged in self._staged.items():
            counts = staged.copy()
            gone = self.connection.execute(
                f"""SELECT project_id, count(*) FROM {table} WHERE verdict IS NOT NULL AND existing = 0
                GROUP BY project_id"""
            )
            counts.subtract(dict(gone.fetchall()))
            if table == "selections":
                counts.update(dict(self.connection.execute(_PICKS_ONLY).fetchall()))
            for project_id, count in sorted(counts.items()):
                if count:
                    found.setdefault(project_id, {})[table] = count
        return dict(sorted(found.items()))


def _known_decisions(rows: Iterable[sqlite3.Row], existing: int) -> Iterator[tuple]:
    """Stored decisions as far as they tell a repeat; a row damaged long ago tells nothing and is passed over."""
    for row in rows:
        try:
            names, index = json.loads(row["images"]), row["user_selected_index"]
            chosen = names.pop(index) if row["user_action"] != "reject" else None
            box = CropBox.from_json(row["final_crop_coords"])
            project, timestamp = row["project_id"], row["timestamp"]
            key = pick_key(project, chosen, names, timestamp)
        except (ValueError, TypeError, IndexError, AttributeError):
            continue
        cropped = crop_key(project, chosen) if box is not None and chosen is not None else None
        yield (
            *(key, cropped, crop_rank(box), chosen, row["group_id"], timestamp, project),
            *(row["final_crop_coords"], existing),
        )


def _watermark(database: Path) -> tuple[int, ...] | None:
    """What an import cannot leave as it was; None for no database."""
    if not os.path.lexists(database):
        return None
    with open_read_only(database) as connection:
        tables = ("ai_decisions", "legacy_selections", "legacy_crops")
        return tuple(connection.execute(f"SELECT coalesce(max(rowid), 0) FROM {t}").fetchone()[0] for t in tables)


def _sql(name: str) -> str:
    return (resources.files("pickroom.history") / name).read_text(encoding="utf-8")
