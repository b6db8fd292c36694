"""Delete planned items one by one; write the log before and after each.

The log is `data/ai_data/logs/reclaimed.jsonl`. A line `planned` is on the disk before a deletion, so that after a kill
no deletion is unrecorded; the next run completes the log.
"""

import errno
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pickroom.core.errors import FileOperationError, StoreError
from pickroom.files.preflight import project_lock
from pickroom.maintenance.reclaim.planning import ReclaimItem, ReclaimPlan, require_unchanged
from pickroom.storage import append_log, atomic
from pickroom.store.workspace import Project, Workspace, utc_now

Progress = Callable[[int, int], None]  # items deleted, of all


def execute(planned: ReclaimPlan, workspace: Workspace, *, hard: bool = False, progress: Progress | None = None) -> int:
    """Delete what was planned, each item checked once more; returns the bytes that were deleted.

    When stopped at any point, all deletions are in the log, all other files are complete, and a new plan can continue.

    Args:
        hard: delete for good; else move to the system's trash, which frees the space when it is emptied.

    Raises:
        LockedError: files of one of the projects are being moved.
        FileOperationError: an item or its proof has changed since, or the system refused it; the rest stays. For items
            with names too long for the trash it names the first; the others are deleted.
        StoreError: the log cannot be written; the rest stays.
    """
    busy = {item.project_id for item in planned.items}
    busy |= {name for name in planned.stood_on if _unsettled(workspace, name)}
    projects = {name: workspace.project(name) for name in sorted(busy)}
    how, gone, refused = "deleted" if hard else "trash", 0, None
    with ExitStack() as locks:
        for project in projects.values():
            locks.enter_context(project_lock(project, "reclaiming disk space"))
        settle(projects.values())
        for project in projects.values():
            require_unchanged(project, planned.stood_on[project.id])
        for number, item in enumerate(planned.items, start=1):
            project = projects[item.project_id]
            path = item.path.relative_to(_base_of(project, item.kind)).as_posix()
            row = {"kind": item.kind, "project_id": item.project_id, "path": path, "bytes": item.size}
            row |= {"sha256": item.sha256, "how": how}
            _append(workspace, row, "planned")
            try:
                _delete(item, hard)
            except FileOperationError as error:
                _append(workspace, row, "failed", error.what)
                if getattr(error.__cause__, "errno", None) != errno.ENAMETOOLONG:
                    raise
                refused = refused or error  # the trash adds to a name: a failure of this item alone
                continue
            try:
                atomic.sync_folders([item.path.parent])
            except OSError as error:  # the item is deleted nevertheless
                hint = "the item is gone, what was not reached is whole; look again"
                unsafe = FileOperationError.of(error, "making it durable that an item went", item.path, hint)
                _append(workspace, row, "done", unsafe.what)
                raise unsafe from error
            _append(workspace, row, "done")
            gone += item.size
            if progress is not None:
                progress(number, len(planned.items))
    if refused is not None:
        raise refused
    return gone


def _delete(item: ReclaimItem, hard: bool) -> None:
    from send2trash import send2trash

    doing = "deleting for good" if hard else "moving into the trash"
    try:
        if item.sha256 is not None and atomic.sha256_of(item.path) != item.sha256:
            raise FileOperationError("the file has changed since it was looked at", doing, [item.path], "look again")
        if not hard:
            send2trash(item.path)
        elif item.path.is_dir():
            shutil.rmtree(item.path)
        else:
            item.path.unlink()
    except OSError as error:
        hint = "what was not reached is whole; where the trash does not take it: --permanent deletes for good"
        raise FileOperationError(error.strerror or str(error), doing, [item.path], hint) from error


def log_path(workspace: Workspace) -> Path:
    return workspace.logs / "reclaimed.jsonl"


def settle(projects: Iterable[Project]) -> int:
    """Complete the log for items that were planned and have no outcome; returns how many there were.

    The caller holds the locks of these projects, so that nobody is deleting now.
    """
    count = 0
    for project in projects:
        for row in _unsettled(project.workspace, project.id):
            there = os.path.lexists(_base_of(project, row["kind"]) / row["path"])
            ended = ("failed", "interrupted before it was gone") if there else ("done",)
            _append(project.workspace, row, *ended)
            count += 1
    return count


def logged(workspace: Workspace) -> Iterator[dict[str, Any]]:
    """Every line of the log, oldest first; a line left incomplete by a crash is skipped.

    Raises:
        StoreError: the file cannot be read.
    """
    try:
        found = list(append_log.read(log_path(workspace)))
    except OSError as error:
        raise _refused(workspace, error) from error
    for row in found:
        if all(isinstance(row.get(name), str) for name in ("project_id", "path", "kind", "state")):
            yield row


def _unsettled(workspace: Workspace, project_id: str) -> list[dict[str, Any]]:
    latest = {(row["project_id"], row["path"]): row for row in logged(workspace)}
    return [row for row in latest.values() if row["project_id"] == project_id and row["state"] == "planned"]


def _base_of(project: Project, kind: str) -> Path:
    """The folder that the log's paths are relative to."""
    return project.workspace.root if kind == "vectors" else project.root


def _append(workspace: Workspace, row: Mapping[str, Any], state: str, reason: str = "") -> None:
    line = {**row, "timestamp": utc_now(), "state": state} | ({"reason": reason} if reason else {})
    try:
        append_log.append(log_path(workspace), [line], durable=True)
    except OSError as error:
        raise _refused(workspace, error) from error


def _refused(workspace: Workspace, error: OSError) -> StoreError:
    hint = "what was not reached is whole; make room or open the folder to writing"
    what, path = error.strerror or str(error), log_path(workspace)
    return StoreError(what, doing="recording what was reclaimed", subject=path, hint=hint)
