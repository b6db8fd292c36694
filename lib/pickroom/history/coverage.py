"""Which images of a project have a row, a file and a vector: by file name, checked by hash where there is one.

An earlier system lost weeks to this: absolute, relative and prefixed paths for one image, "No training data loaded".
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from pickroom.core.errors import StoreError
from pickroom.history.sources import FolderSource
from pickroom.store import legacy
from pickroom.store.connect import open_read_only
from pickroom.store.workspace import Workspace

EXAMPLES = 3  # names shown for each reason

NO_FOLDER = "the project's image folder is not there (not started, moved, or unplugged)"
NO_FILE = "in a row, but no file of this name under the project's folder"
TWICE = "files of one name in several folders"
NO_VECTOR = "in a row, but without a vector"
FAILED = "in a row, but its vector failed"
OTHER_CONTENT = "its vector is of other content than the scan met"
ORPHAN = "a vector, but neither a row nor a file of this name"
OTHER_PROJECT = "a row that names another project"
DAMAGED = "a row whose names cannot be read"


@dataclass(slots=True)
class CoverageReport:
    """How many images in rows have a file and a vector, and what is missing.

    Attributes:
        names: distinct file names in the project's rows, imported ones too.
        with_file, with_vector: how many of these have one.
        missing: reason -> how many; `examples`: reason -> the first of them.
    """

    project_id: str
    names: int = 0
    with_file: int = 0
    with_vector: int = 0
    missing: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """The report in words."""
        lines = [
            f"{self.project_id}: {self.names:,} images in rows, {self.with_file:,} with a file, "
            f"{self.with_vector:,} with a vector"
        ]
        for reason, count in self.missing.most_common():
            lines.append(f"  {count:,}: {reason}")
            lines += [f"    {example}" for example in self.examples[reason]]
        return lines

    def _note(self, reason: str, what: str) -> None:
        self.missing[reason] += 1
        shown = self.examples.setdefault(reason, [])
        if len(shown) < EXAMPLES:
            shown.append(repr(what))


def check_coverage(workspace: Workspace, project_id: str) -> CoverageReport:
    """Compare a project's rows, files and vectors; reads only.

    Raises:
        ProjectError: the project's manifest is damaged.
        StoreError: a database or a vector file cannot be read.
    """
    found = CoverageReport(project_id)
    names, hashes = _rows(workspace, project_id, found)
    files = _files(workspace, project_id, found)
    vectors = _vectors(workspace, project_id)
    found.names = len(names)
    for name in sorted(names):
        folders = None if files is None else files.get(name)
        if folders:
            found.with_file += 1
            if len(folders) > 1:
                found._note(TWICE, f"{name} in {', '.join(folder or '.' for folder in sorted(folders))}")
        elif files is not None:
            found._note(NO_FILE, name)
        _check_vector(found, name, vectors.get(name), hashes.get(name))
    for name in sorted(vectors.keys() - names - (files or {}).keys()):
        found._note(ORPHAN, name)
    return found


def _check_vector(
    found: CoverageReport, name: str, vectors: list[tuple[str | None, str | None]] | None, sha256: str | None
) -> None:
    """`vectors` are (content hash, error) of every vector of this name."""
    if not vectors:
        found._note(NO_VECTOR, name)
        return
    whole = [content for content, error in vectors if error is None]
    if not whole:
        found._note(FAILED, f"{name}: {vectors[0][1]}")
    elif sha256 is not None and None not in whole and sha256 not in whole:
        found._note(OTHER_CONTENT, name)
    else:
        found.with_vector += 1


def _rows(workspace: Workspace, project_id: str, found: CoverageReport) -> tuple[set[str], dict[str, str]]:
    """Every name in a row, and the hash that the last scan met for each it knows."""
    names: set[str] = set()
    hashes: dict[str, str] = {}
    imported = legacy.legacy_path(workspace, project_id)
    for database in legacy.databases(workspace, project_id):
        with open_read_only(database) as connection:
            for owner, images in _named(connection, imported=database == imported):
                if owner != project_id:
                    found._note(OTHER_PROJECT, owner)
                try:
                    listed = json.loads(images)
                except (ValueError, TypeError):
                    listed = None
                if isinstance(listed, list) and all(isinstance(name, str) for name in listed):
                    names.update(listed)
                else:
                    found._note(DAMAGED, images)
            hashes |= dict(
                connection.execute("SELECT filename, sha256 FROM images WHERE sha256 IS NOT NULL").fetchall()
            )
    return names, hashes


def _named(connection: sqlite3.Connection, *, imported: bool) -> Iterator[tuple[str, str]]:
    """(project, JSON array of names) of every row."""
    yield from connection.execute("SELECT project_id, images FROM ai_decisions")
    if imported:
        yield from connection.execute("SELECT project_id, json_array(chosen) FROM legacy_selections")
        yield from connection.execute("SELECT project_id, others FROM legacy_selections")
        yield from connection.execute("SELECT project_id, json_array(filename) FROM legacy_crops")


def _files(workspace: Workspace, project_id: str, found: CoverageReport) -> dict[str, set[str]] | None:
    """File name -> the folders it lies in; None when there is no folder to look into."""
    root = workspace.project(project_id).root if project_id in workspace.project_ids() else None
    if root is None or not root.is_dir():
        found._note(NO_FOLDER, project_id)
        return None
    folders: dict[str, set[str]] = defaultdict(set)
    for item in FolderSource(root, frozenset()).items:
        folders[item.filename].add(item.directory)
    return folders


def _vectors(workspace: Workspace, project_id: str) -> dict[str, list[tuple[str | None, str | None]]]:
    """File name -> (content hash, error) of each of its vectors, of every encoder (FORMATS.md, Vectors)."""
    import pyarrow
    import pyarrow.parquet

    found: dict[str, list[tuple[str | None, str | None]]] = defaultdict(list)
    for path in sorted(workspace.embeddings.glob(f"*/{project_id}/*.parquet")):
        if path.name.startswith("regions-"):
            continue
        try:
            table = pyarrow.parquet.read_table(path, columns=["filename", "content_hash", "error"])
            columns = [table.column(name).to_pylist() for name in table.column_names]
        except (pyarrow.ArrowException, OSError, UnicodeError) as error:
            what, hint = str(error).splitlines()[0], "embed the project again"
            raise StoreError(what, doing="reading vectors", subject=path, hint=hint) from None
        for name, content, error_text in zip(*columns, strict=True):
            found[name].append((content, error_text))
    return found
