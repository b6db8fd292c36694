"""What was planned goes, one item after the other, each recorded before and after."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from contextlib import ExitStack

from pickroom.core.errors import FileOperationError
from pickroom.files.lock import project_lock
from pickroom.maintenance.reclaim import ledger, proofs
from pickroom.maintenance.reclaim.planning import Item, ReclaimPlan
from pickroom.storage import atomic
from pickroom.store.workspace import Workspace

Progress = Callable[[int, int], None]  # items gone, of all


def execute(planned: ReclaimPlan, workspace: Workspace, *, hard: bool = False, progress: Progress | None = None) -> int:
    """Let go of what was planned, each item looked at once more; bytes that went.

    Stopped at any point, what is gone is in the ledger, what was not reached is whole, and a new plan goes on.

    Args:
        hard: delete for good; else into the system's trash, whose room comes back when the trash is emptied.

    Raises:
        LockedError: files of one of the projects are being moved.
        FileOperationError: an item or its proof has changed since, or the system refused it; the rest stays. Of items
            whose names are too long for the trash, the first; the rest has gone.
        StoreError: the ledger cannot be written; the rest stays.
    """
    busy = {item.project_id for item in planned.items}
    busy |= {name for name in planned.stood_on if ledger.unsettled(workspace, name)}
    projects = {name: workspace.project(name) for name in sorted(busy)}
    how, gone, refused = "deleted" if hard else "trash", 0, None
    with ExitStack() as locks:
        for project in projects.values():
            locks.enter_context(project_lock(project, "reclaiming disk space"))
        ledger.settle(projects.values())
        for project in projects.values():
            proofs.require_unchanged(project, planned.stood_on[project.id])
        for number, item in enumerate(planned.items, start=1):
            project = projects[item.project_id]
            ledger.note(project, item, how, "planned")
            try:
                _let_go(item, hard)
            except FileOperationError as error:
                ledger.note(project, item, how, "failed", error.what)
                if getattr(error.__cause__, "errno", None) != errno.ENAMETOOLONG:
                    raise
                refused = refused or error  # the trash adds to a name: the matter of this item alone
                continue
            unsafe = _sync(item)
            ledger.note(project, item, how, "done", unsafe.what if unsafe else "")
            if unsafe is not None:
                raise unsafe
            gone += item.size
            if progress is not None:
                progress(number, len(planned.items))
    if refused is not None:
        raise refused
    return gone


def _let_go(item: Item, hard: bool) -> None:
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


def _sync(item: Item) -> FileOperationError | None:
    """Make it durable that the item is gone; why not, when the system refuses: it is gone all the same."""
    try:
        atomic.sync_folders([item.path.parent])
    except OSError as error:
        what, hint = error.strerror or str(error), "the item is gone, what was not reached is whole; look again"
        return FileOperationError(what, "making it durable that an item went", [item.path], hint)
    return None
