"""The workspace and its projects: room on the disk, manifests, databases, image folders, what a crash left."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from pickroom.doctor.findings import Finding
from pickroom.errors import PickroomError
from pickroom.locking import is_held
from pickroom.quantities import plural
from pickroom.store import operations
from pickroom.store.connect import open_read_only, schema_of
from pickroom.workspace import Project, Workspace

TIGHT, FULL = 5 << 30, 1 << 29  # bytes: room for previews, vectors and crops; less, and commits start to fail


def look(workspace: Workspace) -> Iterator[Finding]:
    """Every check of a workspace, then one finding a project."""
    yield folder(workspace.root)
    yield disk(workspace.root)
    for project_id in workspace.project_ids():
        yield project(workspace, project_id)


def folder(root: Path) -> Finding:
    """Whether the workspace is there, and can be written to."""
    if not root.is_dir():
        what = f"{root} is not there: it is made with the first project"
        return Finding("workspace", "warn", what, "pickroom start NAME --images FOLDER, or give --home")
    if not os.access(root, os.W_OK | os.X_OK):
        return Finding("workspace", "fail", f"{root} cannot be written to", "check the folder's permissions")
    return Finding("workspace", "ok", str(root))


def disk(root: Path) -> Finding:
    """Room on the workspace's disk."""
    there = next(path for path in (root, *root.parents) if path.exists())
    free = shutil.disk_usage(there).free
    words = f"{free / 1e9:.1f} GB free"
    if free < FULL:
        return Finding("disk", "fail", f"only {words}: the next decision may not fit", "make room: pickroom reclaim")
    if free < TIGHT:
        return Finding("disk", "warn", f"only {words}", "see what can go: pickroom reclaim")
    return Finding("disk", "ok", words)


def project(workspace: Workspace, project_id: str) -> Finding:
    """The worst thing that is wrong with one project."""
    name = f"project {project_id}"
    try:
        opened = workspace.project(project_id)
        return _schema(opened, name) or _database(opened, name)
    except PickroomError as error:
        return Finding(name, "fail", error.what, error.hint)
    except (sqlite3.Error, OSError) as error:
        hint = "restore it from a backup: pickroom restore FILE"
        return Finding(name, "fail", f"its database cannot be read: {error}", hint)


def _schema(opened: Project, name: str) -> Finding | None:
    """What the database's schema says; None where it is this program's, so that opening it changes nothing."""
    own, known = schema_of(opened.database)
    if own > known:
        return Finding(name, "fail", f"its database is of a newer Pickroom (schema {own})", "update pickroom")
    if own < known:
        what = f"its database is of an earlier Pickroom (schema {own})"
        return Finding(name, "warn", what, "the next command brings it up to date, after a backup copy")
    return None


def _database(opened: Project, name: str) -> Finding:
    with open_read_only(opened.database) as connection:
        damage = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        planned = operations.count_planned(connection)
    if damage != "ok" and not damage.startswith("CHECK constraint failed"):  # rows that an earlier schema allowed
        return Finding(name, "fail", f"its database is damaged: {damage}", "restore it: pickroom restore FILE")
    if not opened.root.is_dir():
        what = f"its image folder is not there: {opened.root}"
        return Finding(name, "fail", what, f"plug its disk in, or: pickroom relocate {opened.id} NEW_FOLDER")
    if is_held(opened.lock_file):
        holder = opened.lock_file.read_text(encoding="utf-8", errors="replace").strip() or "another process"
        return Finding(name, "warn", f"{holder} is at work on its files", "wait until it has finished")
    if planned:
        what = f"{plural(planned, 'file operation')} {'was' if planned == 1 else 'were'} interrupted"
        return Finding(name, "warn", what, f"pickroom recover {opened.id}")
    return Finding(name, "ok", f"{opened.manifest.status}, images in {opened.root}")
