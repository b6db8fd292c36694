"""What staging kept becomes rows of `<project>_legacy.db`: a new file appears whole, an older one grows in one
transaction."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from pickroom import atomic
from pickroom.errors import ConflictError, StoreError
from pickroom.files.lock import project_lock
from pickroom.history.staging import Staging
from pickroom.store import legacy
from pickroom.store.legacy import Match, connect_legacy, legacy_path
from pickroom.workspace import Workspace


def publish(
    workspace: Workspace, staging: Staging, projects: Iterable[str], matches: Iterable[Match] = ()
) -> list[Path]:
    """Write each project's new rows; returns the databases written.

    Stopped midway, some projects have all their rows and the others none; importing again adds the rest.

    Raises:
        LockedError: another process is at work on one of the projects.
        ConflictError: another import wrote since these rows were compared with what there is.
        StoreError: a database, or its disk, refuses.
    """
    projects, matches = sorted(projects), list(matches)
    written = []
    with ExitStack() as locks:
        for project_id in projects:
            locks.enter_context(project_lock(workspace.planned(project_id, workspace.root), "importing history"))
        staging.require_unchanged()
        for project_id in projects:
            own = [match for match in matches if match.project_id == project_id]
            path = legacy_path(workspace, project_id)
            try:
                _write(staging, project_id, path, own)
            except (sqlite3.Error, OSError) as error:
                raise StoreError(
                    str(error), doing="writing imported rows", subject=path, hint="make room, then import again"
                ) from error
            written.append(path)
    return written


def _write(staging: Staging, project_id: str, path: Path, matches: list[Match]) -> None:
    if os.path.lexists(path):
        _copy(staging, project_id, path, matches)
        return
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)  # what a killed import left: only the lock's holder gets here
    try:
        _copy(staging, project_id, partial, matches, fresh=True)
        descriptor = os.open(partial, os.O_RDONLY)
        try:
            atomic.sync(descriptor)
        finally:
            os.close(descriptor)
        atomic.publish(partial, path)
    except FileExistsError:
        raise ConflictError(
            "another import has just written this file", doing="importing", subject=path, hint="import again"
        ) from None
    finally:
        partial.unlink(missing_ok=True)
    atomic.sync_folders([path.parent])


def _copy(staging: Staging, project_id: str, path: Path, matches: list[Match], *, fresh: bool = False) -> None:
    connection = connect_legacy(path)
    try:
        if fresh:  # nobody sees this file before it is whole and synced
            connection.execute("PRAGMA journal_mode = MEMORY")
            connection.execute("PRAGMA synchronous = OFF")
        legacy.take_staged(connection, staging.path, project_id, matches)
    finally:
        connection.close()
