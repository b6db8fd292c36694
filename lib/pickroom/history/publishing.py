"""What staging kept becomes rows of each project's `<project>_legacy.db`: for all projects, or for none.

New files are built next to their place, and rows for older files wait in open transactions. Only when all of them are
ready do the files get their names and are the transactions committed.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pickroom.core.errors import ConflictError, StoreError
from pickroom.files.preflight import project_lock
from pickroom.history.staging import Staging
from pickroom.storage import atomic
from pickroom.store import legacy
from pickroom.store.legacy import Match, connect_legacy, legacy_path
from pickroom.store.workspace import Workspace


def publish(
    workspace: Workspace, staging: Staging, projects: Iterable[str], matches: Iterable[Match] = ()
) -> list[Path]:
    """Write each project's new rows, or none if one of the databases refuses; returns the databases written.

    Killed while the last step takes place, some projects have all their rows and the others none; importing again
    adds the rest.

    Raises:
        LockedError: another process is at work on one of the projects.
        ConflictError: another import wrote since these rows were compared with what there is.
        StoreError: a database, or its disk, refuses.
    """
    projects, matches = sorted(projects), list(matches)
    paths = {project_id: legacy_path(workspace, project_id) for project_id in projects}
    named: list[Path] = []
    path = workspace.decisions
    workspace.decisions.mkdir(parents=True, exist_ok=True)  # a project need not be started, nor the workspace be there
    with ExitStack() as locks:
        for project_id in projects:
            locks.enter_context(project_lock(workspace.planned(project_id, workspace.root), "importing history"))
        staging.require_unchanged()
        try:
            with ExitStack() as waiting:
                finished: list[tuple[Path, Path]] = []
                for project_id, path in paths.items():
                    own = [match for match in matches if match.project_id == project_id]
                    if path.exists():
                        waiting.enter_context(_rows(staging, project_id, path, own))
                        continue
                    partial = path.with_name(f".{path.name}.partial")
                    partial.unlink(missing_ok=True)  # what a killed import left: only the lock's holder gets here
                    waiting.callback(partial.unlink, missing_ok=True)
                    with _rows(staging, project_id, partial, own, fresh=True):
                        pass
                    finished.append((partial, path))
                for partial, path in finished:
                    atomic.publish(partial, path)
                    named.append(path)
                atomic.sync_folders(path.parent for path in named)
        except BaseException as error:
            for made in named:
                made.unlink(missing_ok=True)
            if isinstance(error, FileExistsError):
                raise ConflictError(
                    "another import has just written this file", doing="importing", subject=path, hint="import again"
                ) from None
            if isinstance(error, sqlite3.Error | OSError):
                raise StoreError(
                    str(error), doing="writing imported rows", subject=path, hint="make room, then import again"
                ) from error
            raise
    return list(paths.values())


@contextmanager
def _rows(
    staging: Staging, project_id: str, path: Path, matches: list[Match], *, fresh: bool = False
) -> Iterator[None]:
    """A project's new rows in a transaction that is committed at the end of the context."""
    connection = connect_legacy(path)
    try:
        if fresh:  # nobody sees this file before it is whole and synced
            connection.execute("PRAGMA journal_mode = MEMORY")
            connection.execute("PRAGMA synchronous = OFF")
        with legacy.take_staged(connection, staging.path, project_id, matches):
            yield
    finally:
        connection.close()
    if fresh:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            atomic.sync(descriptor)
        finally:
            os.close(descriptor)
