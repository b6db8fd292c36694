"""The workspace and its projects: room on the disk, manifests, databases, image folders, what a crash left."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from pickroom.cli.doctor import disks
from pickroom.cli.doctor.findings import Finding
from pickroom.core.errors import PickroomError
from pickroom.core.quantities import plural
from pickroom.files import recovery
from pickroom.integrity import whereabouts
from pickroom.learn import checkpoints
from pickroom.storage.locking import is_held
from pickroom.store import copies, decisions, groups
from pickroom.store.connect import open_read_only, restore_hint, schema_of
from pickroom.store.workspace import Project, Workspace

TIGHT, FULL = 5 << 30, 1 << 29  # bytes: room for previews, vectors and crops; less, and commits start to fail


def look(workspace: Workspace) -> Iterator[Finding]:
    """Every check of a workspace, then two findings a project: itself, and the disk of its images."""
    yield folder(workspace.root)
    yield disk(workspace.root)
    yield disks.look("file system", workspace.root, workspace=True)
    yield from other_files(workspace)
    for project_id in workspace.project_ids():
        yield project(workspace, project_id)
        with contextlib.suppress(PickroomError):  # said in the line before
            yield disks.look(f"images of {project_id}", workspace.project(project_id).require_root())


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


def other_files(workspace: Workspace) -> Iterator[Finding]:
    """What lies among the manifests, and the models, and is no file of Pickroom's: left as it is."""
    if others := workspace.other_files():
        found = f"{plural(len(others), 'JSON file')} of other programs in data/projects/, ignored: {_some(others)}"
        yield Finding("other files", "ok", found, items=tuple(others))
    if models := checkpoints.other_models(workspace):
        found = f"{plural(len(models), 'model')} of other programs, not used: {_some(models)}"
        yield Finding("other models", "ok", found, items=tuple(models))
    waiting = sorted(workspace.earlier_projects().keys() - set(workspace.project_ids()))
    if waiting:
        found = f"{plural(len(waiting), 'project')} of an earlier system, not registered: {_some(waiting)}"
        yield Finding("earlier projects", "warn", found, f"pickroom start {waiting[0]} --finished", tuple(waiting))


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def project(workspace: Workspace, project_id: str) -> Finding:
    """The worst thing that is wrong with one project."""
    name = f"project {project_id}"
    try:
        opened = workspace.project(project_id)
    except PickroomError as error:
        return Finding(name, "fail", error.what, error.hint)
    try:
        return _schema(opened, name) or _database(opened, name)
    except PickroomError as error:
        return Finding(name, "fail", error.what, error.hint)
    except (sqlite3.Error, OSError) as error:
        return Finding(name, "fail", f"its database cannot be read: {error}", restore_hint(opened.database))


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
        decided = bool(decisions.outcome_counts(connection))
        emptied = not groups.count(connection) and opened.manifest.group_count
    if damage != "ok" and not damage.startswith("CHECK constraint failed"):  # rows that an earlier schema allowed
        return Finding(name, "fail", f"its database is damaged: {damage}", "restore it: pickroom restore FILE")
    if emptied:
        what = f"its database has no groups, and its manifest counts {opened.manifest.group_count}"
        return Finding(name, "fail", what, f"see its copies: pickroom restore --project {opened.id}")
    if opened.manifest.root and not opened.root.is_dir():
        what = f"its image folder is not there: {opened.root}"
        return Finding(name, "fail", what, f"plug its disk in, or: pickroom relocate {opened.id} NEW_FOLDER")
    if is_held(opened.lock_file):
        holder = opened.lock_file.read_text(encoding="utf-8", errors="replace").strip() or "another process"
        return Finding(name, "warn", f"{holder} is at work on its files", "wait until it has finished")
    lies = whereabouts(opened)
    if not lies.is_sound:
        counts = {"without a journal step or a row": len(lies.unexplained), "misplaced": len(lies.misplaced)}
        what = ", ".join(f"{count} {words}" for words, count in counts.items() if count)
        todo = f"pickroom recover {opened.id} --unexplained" if lies.unexplained else f"pickroom status {opened.id}"
        elsewhere = (f"{expected} (found: {found})" for expected, found in lies.misplaced)
        return Finding(name, "fail", f"images in Pickroom's folders: {what}", todo, (*lies.unexplained, *elsewhere))
    for one in recovery.unfinished(opened):
        where = "" if one.project is opened else f" in {one.project.root}"
        what = one.problem or f"{plural(one.count, 'file operation')} {'was' if one.count == 1 else 'were'} interrupted"
        return Finding(name, "warn", f"{what}{where}", f"pickroom recover {opened.id}")
    images = f"images in {opened.root}" if opened.manifest.root else "registered without images"
    found = f"{opened.manifest.status}, {images}"
    newest = copies.newest(opened.database)[:1]
    if newest:
        return Finding(name, "ok", f"{found}, copy of its database of {copies.made_at(newest[0]):%Y-%m-%d %H:%M}Z")
    if decided:
        todo = "the next finalise makes one; or: pickroom backup FILE"
        return Finding(name, "warn", f"{found}, no copy of its database", todo)
    return Finding(name, "ok", found)
