"""Where automation may act: the project's copy under `sandbox/`, or with `--production` the project itself.

The copy is a whole project: images and companions under the same relative paths, and in `.pickroom/` (which no scan
enters) a workspace with manifest and database. Review, files and crops use the same code on both.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from pickroom.automation.copying import Progress, copy_project
from pickroom.automation.decisions_file import APPROVED, DECISIONS
from pickroom.core.errors import ProjectError, UsageError
from pickroom.core.naming import filename_of, folder_of
from pickroom.core.records import FileOp
from pickroom.files import recovery
from pickroom.store.connect import require_database
from pickroom.store.workspace import INNER, Project

GUARANTEE = "automation_guarantee.json"
_DOING = "opening the sandbox"


@dataclass(frozen=True, slots=True)
class AutomationTarget:
    """The project that automation acts on, and where its files are.

    Attributes:
        project: the copy, or the user's own project where that lies in the sandbox or `production` is set.
        origin: the user's own project, which has the previews, the vectors and the decisions to calibrate on.
        folder: `sandbox/<project>/`: the files of decisions.
        production: the user's own files are moved; asked for explicitly.
        confirm: the project's name must be typed before files move: in production, and where the user named a folder
            of their own images as the sandbox.
    """

    project: Project
    origin: Project
    folder: Path
    production: bool = False
    confirm: bool = False

    @property
    def decisions(self) -> Path:
        return self.folder / DECISIONS

    @property
    def approved(self) -> Path:
        return self.folder / APPROVED

    @property
    def guarantee(self) -> Path:
        """What was approved unseen in the decisions, and why."""
        return self.folder / GUARANTEE

    @property
    def is_copy(self) -> bool:
        return self.project.workspace != self.origin.workspace

    def require_inside(self, ops: Iterable[FileOp]) -> None:
        """Raise UsageError for the first path that leads out of the project's folder: by `..`, a link, or absolute.

        In production a folder may be a link to another disk, as in a review by hand.
        """
        root = self.project.root.resolve()
        folders: dict[str, bool] = {}
        for op in ops:
            for path in (op.source, op.destination):
                if path is None:
                    continue
                folder = folder_of(path)
                if folder not in folders:
                    folders[folder] = self._holds(root, folder)
                if not folders[folder] or Path(path).is_absolute() or filename_of(path) in ("", ".", ".."):
                    raise _outside(self.project.root / path)
            # a file that is not there is the planner's concern
            if op.op == "move" and op.source is not None and os.path.islink(self.project.root / op.source):
                raise _outside(self.project.root / op.source, "this is a link, not a file of the sandbox")

    def _holds(self, root: Path, folder: str) -> bool:
        if ".." in folder.split("/") or Path(folder).is_absolute():
            return False
        return self.production or (root / folder).resolve().is_relative_to(root)


def locate(project: Project, sandbox: Path | None = None, *, production: bool = False) -> AutomationTarget:
    """Where automation acts on a project whose copy has been made, or needs none.

    Args:
        sandbox: the folder of all sandboxes, None for the workspace's own.

    Raises:
        NoDatabaseError: the copy has lost its database.
        ProjectError: there is no copy yet, or it or the list of sandboxes is damaged.
        FileOperationError: a sandbox elsewhere cannot be added to that list.
        UsageError: the sandbox lies where it cannot be one, or leads elsewhere by a link.
    """
    target = _planned(project, sandbox, production)
    if not target.is_copy:
        return target
    if not target.project.manifest_file.is_file():
        what, hint = "there is no copy of the project", f"make it: pickroom auto generate {project.id}"
        raise ProjectError(what, doing=_DOING, subject=target.folder, hint=hint)
    recovery.remember(project, target.folder.parent)
    # wherever the sandbox was moved with its workspace: the copy's root is this folder, whatever its manifest says
    copy = target.project.workspace.project(project.id)
    require_database(copy.database, _DOING)
    return replace(target, project=replace(copy, manifest=replace(copy.manifest, root=str(target.folder))))


def prepare(
    project: Project, sandbox: Path | None = None, *, production: bool = False, progress: Progress | None = None
) -> AutomationTarget:
    """`locate`, making the copy first where there is none; one that was interrupted is completed.

    Raises:
        FileOperationError: the disk is full, or a file cannot be read or copied.
        ConflictError: the project has unfinished file operations, or the folder holds other files.
    """
    target = _planned(project, sandbox, production)
    if target.is_copy and not target.project.manifest_file.is_file():
        copy_project(project, target.project, target.folder, progress)
    return locate(project, sandbox, production=production)


def _planned(project: Project, sandbox: Path | None, production: bool) -> AutomationTarget:
    base = (sandbox.expanduser() if sandbox is not None else project.workspace.sandbox).resolve()
    folder = base / project.id
    root = project.require_root()
    if sandbox is not None and project.workspace.root.is_relative_to(base):
        raise _no_sandbox("a sandbox cannot hold the workspace itself", base)
    for path in (folder, folder / INNER, folder / DECISIONS, folder / APPROVED):
        if path.is_symlink():
            raise _outside(path)
    if production:
        return AutomationTarget(project, project, folder, production=True, confirm=True)
    if base in root.resolve().parents:
        return AutomationTarget(project, project, folder, confirm=base != project.workspace.sandbox.resolve())
    own = project.workspace.own_folders
    if base.is_relative_to(root.resolve()) and not any(base.is_relative_to(path.resolve()) for path in own):
        raise _no_sandbox("a sandbox cannot lie among the project's own images", base)
    return AutomationTarget(recovery.copy_in(project, base), project, folder)


def _no_sandbox(what: str, folder: Path) -> UsageError:
    return UsageError(what, doing=_DOING, subject=folder, hint="give a folder of its own")


def _outside(path: Path, what: str = "this leads out of the sandbox") -> UsageError:
    return UsageError(what, doing="checking the sandbox", subject=path, hint="nothing was touched")
