"""Duplicate names made unique by their folder (`start --rename-duplicates`), journalled like every move."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from pathlib import Path

from pickroom.core.naming import join
from pickroom.core.records import FileOp
from pickroom.files.batch import Batch
from pickroom.files.folder import ImageFolder
from pickroom.files.handlers import RENAME
from pickroom.files.preflight import DiskSnapshot
from pickroom.images.scan import walk
from pickroom.storage import atomic
from pickroom.store.workspace import Project


def prefix_duplicates(
    project: Project, folder: ImageFolder, connection: sqlite3.Connection, avoid: frozenset[Path] = frozenset()
) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """Put its folder's name in front of every image, in a sub-folder, whose name another folder has too.

    `b/x.png` and `a/x.png` become `b/b_x.png` and `a/a_x.png`, companions with them. Names that would grow
    too long or are taken, and files that cannot be read, stay as they are; the scan lists them.

    Args:
        folder: the project's, held open.
        avoid: absolute paths of folders that hold no sources.

    Returns:
        (old path, new path) of each image renamed, relative to the root; and a line on those that were not, if any.
    """
    entries, _ = walk(project.root, project.manifest.allowed_extensions, avoid)
    by_name = defaultdict(list)
    for entry in entries:
        by_name[entry.filename].append(entry)
    disk, batch = DiskSnapshot(project.root), Batch(connection, folder)
    ops: list[FileOp] = []
    held: list[str] = []
    for entry in (e for same in by_name.values() if len(same) > 1 for e in same if e.directory):
        here, unit = entry.directory, join(entry.directory, entry.filename)
        prefix = here.replace("/", "_") + "_"
        try:
            files = [(entry.filename, atomic.sha256_of(project.root / unit))]
            files += disk.companions_of(here, entry.filename)
        except OSError as error:
            held.append(f"{error.filename} cannot be read: {error.strerror}")
            continue
        steps = [
            FileOp(batch.number, RENAME, unit, "move", join(here, name), join(here, prefix + name), sha256)
            for name, sha256 in files
        ]
        reason = disk.reserve(steps)
        if reason is None:
            ops += steps
        else:
            held.append(f"{unit}: {reason}")
    batch.plan(ops)
    outcome = batch.run()
    done = set(outcome.done)
    held += [f"{unit}: {reason}" for unit, reason in (outcome.failed | outcome.stuck).items()]
    count = "1 image was" if len(held) == 1 else f"{len(held)} images were"
    words = (f"{count} not renamed (the first: {min(held)})",) if held else ()
    images = [op for op in ops if op.unit == op.source and op.unit in done]
    return tuple((op.source, op.destination) for op in images if op.source and op.destination), words
