"""Inspect a project's decisions: every check on every row, and the inspection report. Read-only.

Malformed rows are found by table, so that every reader leaves them out.
"""

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pickroom.core.errors import ConflictError, StoreError
from pickroom.core.records import MAX_GROUP, MIN_GROUP
from pickroom.integrity import checks
from pickroom.storage import atomic
from pickroom.store.connect import open_read_only, transaction
from pickroom.store.rows import read_any_text
from pickroom.store.workspace import Project, Workspace


@dataclass(frozen=True, slots=True)
class Unsound:
    """The unsound rows of one database: table -> rowid -> what is wrong with it."""

    rows: Mapping[str, Mapping[int, checks.Fault]]

    @property
    def decisions(self) -> Mapping[int, checks.Fault]:
        """Those of `ai_decisions`."""
        return self.rows.get("ai_decisions", {})

    @property
    def count(self) -> int:
        return sum(map(len, self.rows.values()))

    @property
    def by_reason(self) -> Counter[str]:
        """The reason as left-out rows are counted by, "unsound row: sizes" -> rows."""
        return Counter(fault.reason for fault in self._faults())

    @property
    def lines(self) -> list[str]:
        """One line per unsound row, "sizes: <group>: size 0 x 64"."""
        return [f"{fault.check}: {fault.of}: {fault.what}" for fault in self._faults()]

    def _faults(self) -> Iterator[checks.Fault]:
        return (fault for found in self.rows.values() for fault in found.values())


def find_unsound(connection: sqlite3.Connection) -> Unsound:
    """Check every row of the tables in `FAULTS`, and of a database of imports its own tables."""
    read_any_text(connection)
    found = {}
    present = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    imports = {table: check for table, check in checks.IMPORT_FAULTS.items() if table in present}
    for table, fault_of in {**checks.FAULTS, **imports}.items():
        rows = connection.execute(f"SELECT rowid AS row_number, * FROM {table}")
        faults = ((row["row_number"], fault_of(row)) for row in rows)
        found[table] = {number: fault for number, fault in faults if fault is not None}
    return Unsound(found)


def unsound_rows(database: Path) -> Unsound:
    """The unsound rows of a project's database, or of its imports; raises StoreError where it cannot be read."""
    with open_read_only(database) as connection, transaction(connection, writing=False):
        return find_unsound(connection)


ROWS_SHOWN = 50  # of the inspection report, as they stand in the table
_EXAMPLES = 20  # of each finding; the count says how many there are


@dataclass(frozen=True, slots=True)
class Finding:
    """One check that did not pass."""

    check: str  # its name, as in `CHECKS`
    level: checks.Level  # an error is a fault; excluded rows are sound, and are left out of training
    count: int
    group_ids: frozenset[str]  # the rows concerned; empty for a finding about the file as a whole
    examples: tuple[str, ...]  # what is wrong, row by row, a few of them
    # True: nothing may be done with the project; False: the rows are left out one by one
    refuses: bool = False

    def to_dict(self) -> dict[str, Any]:
        return {"check": self.check, "level": self.level, "count": self.count, "examples": list(self.examples)}


@dataclass(frozen=True, slots=True)
class Inspection:
    """The result of one inspection of a project's decisions."""

    project_id: str
    purpose: checks.Purpose
    rows: int  # rows of `ai_decisions`, and in a database of imports of picks and crops that say less
    # by_action, by_project: value -> rows, whatever the value
    by_action: dict[str, int]
    by_project: dict[str, int]
    findings: tuple[Finding, ...]  # the checks that did not pass, in the order of `CHECKS`
    unsound: Unsound  # the rows that are left out of everything
    first_rows: tuple[dict[str, str], ...] = ()  # the first 50 rows, each value as `repr()`
    invalid_rows: tuple[dict[str, str], ...] = ()  # the rows that an error concerns, as `repr()`, a few of them

    @property
    def errors(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.level == "error")

    @property
    def excluded(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.level == "excluded")

    @property
    def excluded_ids(self) -> frozenset[str]:
        """The groups that a training set, of picks or of crops, leaves out."""
        return frozenset().union(*(finding.group_ids for finding in self.excluded))

    @property
    def error_ids(self) -> frozenset[str]:
        """The rows that an error concerns."""
        return frozenset().union(*(finding.group_ids for finding in self.errors))

    @property
    def lines(self) -> list[str]:
        """The findings in words, with a few examples each."""
        found = []
        for finding in self.findings:
            found.append(f"  {finding.level}: {finding.check} ({finding.count})")
            found += [f"    {example}" for example in finding.examples[:5]]
        return found

    def excluded_by(self, what: Literal["picks", "crops"]) -> dict[str, str]:
        """Group id -> the first check that leaves it out of this kind of training set."""
        found: dict[str, str] = {}
        for finding in self.excluded:
            if what == "crops" or finding.check not in checks.CROPS_ONLY:
                found |= {group_id: finding.check for group_id in finding.group_ids if group_id not in found}
        return found

    def require_sound(self, doing: str) -> None:
        """Raise ConflictError where a finding refuses; the caller leaves out single unsound rows."""
        refusals = [finding for finding in self.errors if finding.refuses]
        if not refusals:
            return
        items = [f"{finding.check}: {example}" for finding in refusals for example in finding.examples]
        words = ", ".join(f"{finding.check} ({finding.count})" for finding in refusals)
        hint = f"see them: pickroom check {self.project_id}"
        raise ConflictError(f"the decisions are not sound: {words}", items=items, doing=doing, hint=hint)

    def to_dict(self) -> dict[str, Any]:
        """The inspection report, and what `pickroom check --json` prints."""
        return {
            "project_id": self.project_id,
            "purpose": self.purpose,
            "ok": not self.errors,
            "rows": self.rows,
            "excluded_rows": len(self.excluded_ids),
            "unsound_rows": self.unsound.count,
            "by_action": self.by_action,
            "by_project": self.by_project,
            "checks": [name for name, _ in checks.CHECKS],
            "findings": [finding.to_dict() for finding in self.findings],
            "first_rows": list(self.first_rows),
            "invalid_rows": list(self.invalid_rows),
        }


def inspect(
    project: Project,
    *,
    purpose: checks.Purpose = "training",
    database: Path | None = None,
) -> Inspection:
    """Run the checks on every decision of a project.

    Args:
        database: the project's imports, `<project>_legacy.db`; None is its own database.
        purpose: a waiting crop is `excluded` from training and an `error` for finishing; missing vectors and what the
            machine decided are `excluded` from training and nothing to finishing. Vectors are the manifest's encoder's,
            else any encoder's.

    Raises:
        StoreError: the database is missing, damaged beyond reading, or newer than this program.
    """
    with open_read_only(database or project.database) as connection, transaction(connection, writing=False):
        # rows that an earlier schema allowed are reported by the checks below, in words
        lines = [row[0] for row in connection.execute(f"PRAGMA quick_check({_EXAMPLES})")]
        damage = [line for line in lines if line != "ok" and not line.startswith("CHECK constraint failed")]
        orphans = Counter(row["table"] for row in connection.execute("PRAGMA foreign_key_check"))
        unsound = find_unsound(connection)
        rows: list[checks.Row] = [dict(row) for row in connection.execute("SELECT * FROM ai_decisions ORDER BY rowid")]
        facts = _facts(project, connection, purpose)
        imported = _check_imports(connection, unsound, facts)
    if damage or orphans:
        belonging = [f"{count} rows of {table} belong to nothing" for table, count in orphans.items()]
        facts.hits["database"] = [("", line) for line in (*damage, *belonging)]
    for table in unsound.rows.keys() - {"ai_decisions"}:
        for fault in unsound.rows[table].values():
            facts.hits.setdefault(fault.check, []).append((fault.of, fault.what))
    for row in rows:
        for name, check in checks.CHECKS:
            wrong = check(row, facts) if check is not None else None
            if wrong is not None:
                facts.hits.setdefault(name, []).append((str(row["group_id"]), wrong))
    refusing = checks.REFUSING if damage else checks.REFUSING - {"database"}
    findings = []
    for name, hits in ((name, facts.hits[name]) for name, _ in checks.CHECKS if name in facts.hits):
        is_sound = name in checks.TRAINING_ONLY
        level: checks.Level = "excluded" if is_sound and purpose == "training" else "error"
        if not is_sound or purpose == "training" or name == "waiting crops":
            examples = tuple(f"{group_id}: {wrong}" if group_id else wrong for group_id, wrong in hits[:_EXAMPLES])
            concerned = frozenset(group_id for group_id, _ in hits if group_id)
            findings.append(Finding(name, level, len(hits), concerned, examples, name in refusing))
    bad = frozenset().union(*(f.group_ids for f in findings if f.level == "error"))
    return Inspection(
        project_id=project.id,
        purpose=purpose,
        rows=len(rows) + imported,
        by_action=dict(Counter(str(row["user_action"]) for row in rows)),
        by_project=dict(Counter(str(row["project_id"]) for row in rows)),
        findings=tuple(findings),
        unsound=unsound,
        first_rows=tuple(_shown(row) for row in rows[:ROWS_SHOWN]),
        invalid_rows=tuple(_shown(row) for row in rows if str(row["group_id"]) in bad)[:ROWS_SHOWN],
    )


def save_report(workspace: Workspace, inspections: Iterable[Inspection]) -> Path:
    """Write the inspection report, `ai_training_inspection_<time>.json`, and return where it lies."""
    now = datetime.now(UTC)
    report = {"made_at": now.isoformat().replace("+00:00", "Z"), "projects": [i.to_dict() for i in inspections]}
    path = workspace.summaries / f"ai_training_inspection_{now:%Y%m%dT%H%M%S%fZ}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.create_bytes(path, (json.dumps(report, indent=1, ensure_ascii=True) + "\n").encode())
    return path


def _facts(project: Project, connection: sqlite3.Connection, purpose: checks.Purpose) -> checks.ParsedRows:
    contents: dict[str, dict[str, str | None]] = defaultdict(dict)
    for row in connection.execute("SELECT filename, directory, sha256 FROM images"):
        contents[row["filename"]][row["directory"]] = row["sha256"]
    return checks.ParsedRows(
        names=frozenset((project.id, *project.manifest.aliases)),
        sha256=contents,
        vectors=vectors_on_disk(project, project.manifest.encoder) if purpose == "training" else {},
        groups={
            check: frozenset(str(row["group_id"]) for row in connection.execute(query))
            for check, query in checks.GROUPS.items()
        },
    )


def _check_imports(connection: sqlite3.Connection, unsound: Unsound, facts: checks.ParsedRows) -> int:
    """Check imported picks and crops that are not decisions; returns their number."""
    count = 0
    for table, name in (("legacy_selections", "chosen"), ("legacy_crops", "filename")):
        if table not in unsound.rows:
            continue
        for row in connection.execute(f"SELECT rowid AS row_number, * FROM {table} ORDER BY rowid"):
            count += 1
            if row["row_number"] in unsound.rows[table]:
                continue
            names, wrong = [row[name]], {}
            if row["project_id"] not in facts.names:
                wrong["project"] = f"a row of project {row['project_id']!r}"
            if name == "chosen":
                names += json.loads(row["others"])
                if len(names) > MAX_GROUP:
                    what = f"{len(names)} images, and a group has {MIN_GROUP} to {MAX_GROUP}"
                    wrong["picks to learn from"] = what
            elif row["box"] is None or row["width"] is None or row["height"] is None:
                wrong["crops to learn from"] = "no box" if row["box"] is None else "no size"
            if without := [one for one in names if not checks.has_vector(one, facts)]:
                wrong["vectors"] = f"no vector of {', '.join(without)}"
            for check, what in wrong.items():
                facts.hits.setdefault(check, []).append((checks.place_of(row, name), what))
    return count


def vectors_on_disk(project: Project, encoder_id: str | None = None) -> dict[str, set[str | None]]:
    """File name -> the content hashes it has a vector of, read from the files themselves (FORMATS.md, Vectors).

    A line in a cache log is no proof: 3,206 crops in a log once had 5 vectors on disk.

    Args:
        encoder_id: only this encoder's; None takes any.

    Raises:
        StoreError: a file of vectors cannot be read.
    """
    import pyarrow
    import pyarrow.parquet

    found: dict[str, set[str | None]] = {}
    for path in sorted(project.workspace.embeddings.glob(f"{encoder_id or '*'}/{project.id}/*.parquet")):
        if path.name.startswith(("regions-", ".")):
            continue
        try:
            table = pyarrow.parquet.read_table(path, columns=["filename", "content_hash", "error"])
            columns = [column.to_pylist() for column in table.columns]
        except (OSError, UnicodeError, pyarrow.ArrowException) as error:
            what, hint = str(error).splitlines()[0], f"make them again: pickroom embed {project.id} --verify"
            raise StoreError(what, doing="reading vectors", subject=path, hint=hint) from error
        for name, sha256, failed in zip(*columns, strict=True):
            if failed is None:
                found.setdefault(name, set()).add(sha256)
    return found


def _shown(row: checks.Row) -> dict[str, str]:
    return {name: repr(value) for name, value in row.items()}
