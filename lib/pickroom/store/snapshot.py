"""What DuckDB may attach of a project's database: never the file that this process's own store has open.

DuckDB carries its own SQLite; DESIGN.md, invariant 10, says what two of them on one file do to each other's locks.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pickroom.errors import StoreError
from pickroom.store.connect import backup, lend, open_read_only


@contextmanager
def attachable(path: Path) -> Iterator[Path]:
    """A path to attach, read-only, until the end of the block: the database itself, or a copy of what is committed.

    While the file itself is given, this process cannot open it through the store: keep the block short, and
    detach within it.

    Raises:
        StoreError: there is no database, or it cannot be read.
    """
    if not path.is_file():
        raise StoreError("there is no database", doing="reading the project", subject=path)
    with lend(path) as free:
        if free:
            yield path
            return
    with tempfile.TemporaryDirectory(prefix="pickroom-snapshot-") as folder:
        copy = Path(folder, path.name)
        with open_read_only(path) as connection:
            backup(connection, copy)
        yield copy
