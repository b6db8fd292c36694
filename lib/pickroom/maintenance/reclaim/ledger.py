"""What went, file by file: `data/ai_data/logs/reclaimed.jsonl`, written before and after each one.

A line `planned` is on the disk before anything goes, so that a process killed in the middle leaves nothing that is gone
and unrecorded; the next one looks how the last line ended.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pickroom.core.errors import StoreError
from pickroom.maintenance.reclaim.planning import Item
from pickroom.storage import append_log
from pickroom.store.workspace import Project, Workspace, utc_now

_DOING = "recording what was reclaimed"


def path_of(workspace: Workspace) -> Path:
    return workspace.logs / "reclaimed.jsonl"


def place_of(project: Project, item: Item) -> str:
    """The item's path as the ledger has it: relative to the images' folder, for vectors to the workspace."""
    base = project.workspace.root if item.kind == "vectors" else project.root
    return item.path.relative_to(base).as_posix()


def note(project: Project, item: Item, how: str, state: str, reason: str = "") -> None:
    """Add one line, durably.

    Args:
        how: "trash" or "deleted".
        state: "planned" before it goes, then "done", or "failed" with its reason.
    """
    row: dict[str, Any] = {"kind": item.kind, "project_id": item.project_id, "path": place_of(project, item)}
    row |= {"bytes": item.size, "sha256": item.sha256, "how": how}
    _append(project.workspace, _ended(row, state, reason))


def settle(projects: Iterable[Project]) -> int:
    """Say of every line that was planned, and no more, how it ended; how many there were.

    The caller holds the locks of these projects: nobody is at it any more.
    """
    count = 0
    for project in projects:
        for row in unsettled(project.workspace, project.id):
            base = project.workspace.root if row["kind"] == "vectors" else project.root
            there = os.path.lexists(base / row["path"])
            ended = _ended(row, "failed", "interrupted before it was gone") if there else _ended(row, "done")
            _append(project.workspace, ended)
            count += 1
    return count


def unsettled(workspace: Workspace, project_id: str) -> list[dict[str, Any]]:
    """The lines of a project that were planned and have no end."""
    latest: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows(workspace):
        latest[row["project_id"], row["path"]] = row
    return [row for (owner, _), row in latest.items() if owner == project_id and row["state"] == "planned"]


def rows(workspace: Workspace) -> Iterator[dict[str, Any]]:
    """Every line, oldest first; one torn by a crash is passed over.

    Raises:
        StoreError: the file cannot be read.
    """
    try:
        found = list(append_log.read(path_of(workspace)))
    except OSError as error:
        raise _refused(workspace, error) from error
    for row in found:
        if all(isinstance(row.get(name), str) for name in ("project_id", "path", "kind", "state")):
            yield row


def _ended(row: Mapping[str, Any], state: str, reason: str = "") -> dict[str, Any]:
    why = {"reason": reason} if reason else {}
    return {**row, "timestamp": utc_now(), "state": state, **why}


def _append(workspace: Workspace, row: Mapping[str, Any]) -> None:
    try:
        append_log.append(path_of(workspace), [row], durable=True)
    except OSError as error:
        raise _refused(workspace, error) from error


def _refused(workspace: Workspace, error: OSError) -> StoreError:
    hint = "what was not reached is whole; make room or open the folder to writing"
    return StoreError(error.strerror or str(error), doing=_DOING, subject=path_of(workspace), hint=hint)
