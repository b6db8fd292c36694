"""Disk space that can safely come back: what it is, how large, and why; to the system's trash, or gone for good.

Safe means that it was proved now, not remembered: an archive is read back whole before the images that it makes
needless may go, and vectors only go when those of the project's own encoder are all there. Whatever cannot be proved
stays, with the reason. Dry run first: both look by `plan`.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pickroom import atomic, integrity
from pickroom.errors import FileOperationError, PickroomError
from pickroom.files.lock import project_lock
from pickroom.records import FileOp
from pickroom.reporting import archive
from pickroom.store import images, operations
from pickroom.store.connect import open_read_only
from pickroom.workspace import Project, Workspace, utc_now

Kind = Literal["staged", "originals", "vectors"]
_WORDS = {
    "staged": "staged images of a finished project",
    "originals": "originals of crops, archived",
    "vectors": "vectors of another encoder than the project's own",
}
_FOLDERS: dict[Kind, str] = {"staged": "delete_staging", "originals": "crop_originals"}

Progress = Callable[[int, int], None]  # items gone, of all


@dataclass(frozen=True, slots=True)
class Item:
    """One file, or one folder of vectors, that can go; size in bytes. `sha256` is None for a folder."""

    kind: Kind
    project_id: str
    path: Path
    size: int
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """What stays although it was asked about, and why; size in bytes."""

    kind: Kind
    project_id: str
    path: Path
    size: int
    reason: str


@dataclass(frozen=True, slots=True)
class ReclaimPlan:
    """What can go, and what stays with its reason."""

    items: tuple[Item, ...]
    kept: tuple[Kept, ...]

    @property
    def size(self) -> int:
        """Bytes that come back."""
        return sum(item.size for item in self.items)

    @property
    def lines(self) -> list[str]:
        """The plan in words, the largest share first."""
        sizes: Counter[tuple[str, str]] = Counter()
        files: Counter[tuple[str, str]] = Counter()
        for item in self.items:
            sizes[item.project_id, item.kind] += item.size
            files[item.project_id, item.kind] += 1
        lines = [f"{_size(self.size)} can come back"]
        for (project_id, kind), size in sizes.most_common():
            lines.append(f"  {_size(size):>10}  {project_id}: {_WORDS[kind]} ({files[project_id, kind]})")
        reasons = Counter((kept.project_id, kept.kind, kept.reason) for kept in self.kept)
        for (project_id, kind, reason), count in reasons.most_common():
            lines.append(f"  stays: {project_id}: {_WORDS[kind]} ({count}): {reason}")
        return lines

    def to_dict(self) -> dict[str, object]:
        """What `pickroom reclaim --json` prints."""
        return {
            "bytes": self.size,
            "items": [
                {"kind": i.kind, "project_id": i.project_id, "path": str(i.path), "bytes": i.size} for i in self.items
            ],
            "kept": [
                {"kind": k.kind, "project_id": k.project_id, "path": str(k.path), "bytes": k.size, "reason": k.reason}
                for k in self.kept
            ],
        }


def plan(workspace: Workspace, project_ids: Sequence[str] = ()) -> ReclaimPlan:
    """Look what can go; reads every archive and every candidate whole. Changes nothing.

    Args:
        project_ids: only these; none means every project.

    Raises:
        ProjectError: there is no such project.
    """
    found: list[Item | Kept] = []
    for project in [workspace.project(project_id) for project_id in project_ids or workspace.project_ids()]:
        found += _files(project)
        found += _vectors(project)
    items = tuple(one for one in found if isinstance(one, Item))
    return ReclaimPlan(items, tuple(one for one in found if isinstance(one, Kept)))


def execute(planned: ReclaimPlan, workspace: Workspace, *, hard: bool = False, progress: Progress | None = None) -> int:
    """Let go of what was planned, each item looked at once more; bytes that came back.

    Each one gone is a line of `data/ai_data/logs/reclaimed.jsonl`. Stopped at any point, what was not reached is whole.

    Args:
        hard: delete for good; else into the system's trash.

    Raises:
        LockedError: files of one of the projects are being moved.
        FileOperationError: an item has changed since, or the system refused it; the rest stays.
    """
    gone = 0
    with ExitStack() as locks:
        for project_id in sorted({item.project_id for item in planned.items}):
            locks.enter_context(project_lock(workspace.project(project_id), "reclaiming disk space"))
        for number, item in enumerate(planned.items, start=1):
            _let_go(item, hard)
            gone += item.size
            _note(workspace, item, hard)
            if progress is not None:
                progress(number, len(planned.items))
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
        atomic.sync_folders([item.path.parent])
    except OSError as error:
        hint = "what was not reached is whole; without a trash on this disk: --hard deletes for good"
        raise FileOperationError(error.strerror or str(error), doing, [item.path], hint) from error


def _note(workspace: Workspace, item: Item, hard: bool) -> None:
    row = {"timestamp": utc_now(), "kind": item.kind, "project_id": item.project_id, "name": item.path.name}
    row |= {"bytes": item.size, "sha256": item.sha256, "how": "deleted" if hard else "trash"}
    path = workspace.logs / "reclaimed.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _files(project: Project) -> Iterator[Item | Kept]:
    """Staged images and archived originals, with their companions; only files that the journal put there."""
    present: list[tuple[Kind, Path, int]] = [
        (kind, path, path.lstat().st_size)
        for kind, folder in _FOLDERS.items()
        for path in sorted((project.root / folder).glob("*"))
    ]
    if not present:
        return
    try:
        bundles = archive.verified(project)
        placed = _placed(project)
    except PickroomError as error:
        yield from (Kept(kind, project.id, path, size, error.what) for kind, path, size in present)
        return
    archived = bundles.get(archive.ORIGINALS, frozenset())
    for kind, path, size in present:
        reason, sha256 = _why_not(kind, path, project, placed, archived)
        yield Kept(kind, project.id, path, size, reason) if reason else Item(kind, project.id, path, size, sha256)


def _why_not(
    kind: Kind, path: Path, project: Project, placed: dict[str, FileOp], archived: frozenset[str]
) -> tuple[str, str]:
    """Why a file stays, "" when it can go; and its hash."""
    step = placed.get(path.relative_to(project.root).as_posix())
    if step is None or path.is_symlink() or not path.is_file():
        return "Pickroom did not put it there", ""
    sha256 = atomic.sha256_of(path)
    if sha256 != step.sha256:
        return "it has changed since Pickroom put it there", sha256
    if kind == "originals" and sha256 not in archived:
        return f"it is in no archive: pickroom finish {project.id} --originals --execute", sha256
    return "", sha256


def _placed(project: Project) -> dict[str, FileOp]:
    """Path relative to the root -> the last journalled step that put a file there."""
    with open_read_only(project.database) as connection:
        return {op.destination: op for op in operations.standing_moves(connection) if op.destination}


def _vectors(project: Project) -> Iterator[Item | Kept]:
    """Folders of vectors by encoders that the project no longer uses."""
    own = project.manifest.encoder
    for folder in sorted(project.workspace.embeddings.glob(f"*/{project.id}")):
        if folder.parent.name == own:
            continue
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        reason = _without_own_vectors(project)
        yield Kept("vectors", project.id, folder, size, reason) if reason else Item("vectors", project.id, folder, size)


def _without_own_vectors(project: Project) -> str:
    """Why the vectors of the project's own encoder are no proof, "" when every readable image has one."""
    if project.manifest.encoder is None:
        return "the project has no encoder of its own"
    try:
        held = integrity.vectors_on_disk(project, project.manifest.encoder)
        with open_read_only(project.database) as connection:
            known = images.readable(connection)
    except PickroomError as error:
        return error.what
    lacking = [image.filename for image in known if image.sha256 not in held.get(image.filename, set())]
    return f"{len(lacking)} images have no vector by its own encoder: pickroom embed {project.id}" if lacking else ""


def _size(size: int) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"
