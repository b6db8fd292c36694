"""Find malformed rows, by table, so that every reader leaves them out."""

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pickroom.integrity.checks import FAULTS, IMPORT_FAULTS, Fault
from pickroom.store.connect import open_read_only, transaction
from pickroom.store.rows import read_any_text


@dataclass(frozen=True, slots=True)
class Unsound:
    """The unsound rows of one database: table -> rowid -> what is wrong with it."""

    rows: Mapping[str, Mapping[int, Fault]]

    @property
    def decisions(self) -> Mapping[int, Fault]:
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
        """Every row in words, "sizes: <group>: size 0 x 64"."""
        return [f"{fault.check}: {fault.of}: {fault.what}" for fault in self._faults()]

    def _faults(self) -> Iterator[Fault]:
        return (fault for found in self.rows.values() for fault in found.values())


def find_unsound(connection: sqlite3.Connection) -> Unsound:
    """Hold every row of every table of `FAULTS` against its checks; of a database of imports, its own tables too."""
    read_any_text(connection)
    found = {}
    present = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    for table, fault_of in {**FAULTS, **{t: check for t, check in IMPORT_FAULTS.items() if t in present}}.items():
        rows = connection.execute(f"SELECT rowid AS row_number, * FROM {table}")
        faults = ((row["row_number"], fault_of(row)) for row in rows)
        found[table] = {number: fault for number, fault in faults if fault is not None}
    return Unsound(found)


def unsound_rows(database: Path) -> Unsound:
    """The unsound rows of a project's database, or of its imports; raises StoreError where it cannot be read."""
    with open_read_only(database) as connection, transaction(connection, writing=False):
        return find_unsound(connection)
