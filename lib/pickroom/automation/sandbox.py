"""Where automation may act: the project's copy under `sandbox/`, and nowhere else unless the person says so.

The copy is a whole project of its own: images and companions under the same relative paths, and in `.pickroom/` (which
no scan enters) a workspace with manifest and database. Review, files and crops work on it by the very same code.
"""

from __future__ import annotations

import os
import stat
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
from pickroom.store.manifest import INNER
from pickroom.store.workspace import Project

GUARANTEE = "automation_guarantee.json"


@dataclass(frozen=True, slots=True)
class Place:
    """What automation acts on, and where its files lie.

    Attributes:
        project: the copy, or the person's own project where that lies in the sandbox or `production` is set.
        origin: the person's own project, which has the previews, the vectors and the decisions to calibrate on.
        folder: `sandbox/<project>/`: the two files of decisions.
        production: the person's own files are moved; asked for explicitly.
        confirm: the project's name must be typed before files move: in production, and where the person has called a
            folder of their own images a sandbox.
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
        """Refuse a plan that would reach out of the project's folder: through `..`, a link, or an absolute path.

        In production a folder may be a link to another disk, as in a review by hand; `..` may not.

        Raises:
            UsageError: one path does; it is named.
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
                    raise outside(self.project.root / path)
            if op.op == "move" and op.source is not None and _is_link(self.project.root / op.source):
                raise outside(self.project.root / op.source, "this is a link, not a file of the sandbox")

    def _holds(self, root: Path, folder: str) -> bool:
        if ".." in folder.split("/") or Path(folder).is_absolute():
            return False
        return self.production or (root / folder).resolve().is_relative_to(root)


def locate(project: Project, sandbox: Path | None = None, *, production: bool = False) -> Place:
    """Where automation acts on a project whose copy has been made, or needs none.

    Args:
        sandbox: the folder of all sandboxes, None for the workspace's own.

    Raises:
        NoDatabaseError: the copy has lost its database.
        ProjectError: there is no copy yet, or it or the list of sandboxes is damaged.
        FileOperationError: a sandbox elsewhere cannot be added to that list.
        UsageError: the sandbox lies where it cannot be one, or leads elsewhere by a link.
    """
    place = _planned(project, sandbox, production)
    if not place.is_copy:
        return place
    manifest = place.project.manifest_file
    if not manifest.is_file():
        hint = f"make it: pickroom auto generate {project.id}"
        raise ProjectError(
            "there is no copy of the project", doing="opening the sandbox", subject=place.folder, hint=hint
        )
    recovery.remember(project, place.folder.parent)
    # wherever the sandbox was moved with its workspace: the copy's root is this folder, whatever its manifest says
    copy = place.project.workspace.project(project.id)
    require_database(copy.database, "opening the sandbox")
    return replace(place, project=replace(copy, manifest=replace(copy.manifest, root=str(place.folder))))


def prepare(
    project: Project, sandbox: Path | None = None, *, production: bool = False, progress: Progress | None = None
) -> Place:
    """`locate`, making the copy first where there is none; one that was interrupted is completed.

    Raises:
        FileOperationError: the disk is full, or a file cannot be read or copied.
        ConflictError: the project has unfinished file operations, or the folder holds other files.
    """
    place = _planned(project, sandbox, production)
    if place.is_copy and not place.project.manifest_file.is_file():
        copy_project(project, place.project, place.folder, progress)
    return locate(project, sandbox, production=production)


def _planned(project: Project, sandbox: Path | None, production: bool) -> Place:
    base = (sandbox.expanduser() if sandbox is not None else project.workspace.sandbox).resolve()
    folder = base / project.id
    root = project.require_root()
    if sandbox is not None and project.workspace.root.is_relative_to(base):
        raise UsageError(
            "a sandbox cannot hold the workspace itself",
            doing="opening the sandbox",
            subject=base,
            hint="give a folder of its own",
        )
    for path in (folder, folder / INNER, folder / DECISIONS, folder / APPROVED):
        if path.is_symlink():
            raise outside(path)
    if production:
        return Place(project, project, folder, production=True, confirm=True)
    if base in root.resolve().parents:
        return Place(project, project, folder, confirm=base != project.workspace.sandbox.resolve())
    own = project.workspace.own_folders
    if base.is_relative_to(root.resolve()) and not any(base.is_relative_to(path.resolve()) for path in own):
        raise UsageError(
            "a sandbox cannot lie among the project's own images",
            doing="opening the sandbox",
            subject=base,
            hint="give a folder of its own",
        )
    return Place(recovery.copy_in(project, base), project, folder)


def outside(path: Path, what: str = "this leads out of the sandbox") -> UsageError:
    """The refusal of a path that automation may not touch."""
    return UsageError(what, doing="checking the sandbox", subject=path, hint="nothing was touched")


def _is_link(path: Path) -> bool:
    try:
        return stat.S_ISLNK(os.lstat(path).st_mode)
    except OSError:
        return False  # a file that is not there is the planner's business
