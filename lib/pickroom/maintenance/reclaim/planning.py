"""What can go, and what stays with its reason: reads every archive and every candidate whole, and changes nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pickroom import integrity
from pickroom.analysis.reports import archive
from pickroom.core.errors import PickroomError
from pickroom.core.naming import CROP_ORIGINALS, STAGING, is_image_name
from pickroom.core.quantities import format_bytes
from pickroom.core.records import FileOp
from pickroom.maintenance.reclaim import proofs
from pickroom.maintenance.reclaim.proofs import Stamps
from pickroom.storage import atomic
from pickroom.store import images, operations
from pickroom.store.connect import open_read_only
from pickroom.store.workspace import Project, Workspace

Kind = Literal["staged", "originals", "vectors"]
_WORDS = {
    "staged": "staged images of a finished project",
    "originals": "originals of crops",
    "vectors": "vectors of another encoder than the project's own",
}
_FOLDERS: dict[Kind, str] = {"staged": STAGING, "originals": CROP_ORIGINALS}


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
class Share:
    """What a project has of one kind: what goes, or what stays for one reason ("" when it goes); size in bytes."""

    project_id: str
    kind: Kind
    count: int
    size: int
    reason: str = ""

    @property
    def words(self) -> str:
        """What it is."""
        archived = ", archived" if self.kind == "originals" and not self.reason else ""
        return f"{_WORDS[self.kind]}{archived}"


@dataclass(frozen=True, slots=True)
class ReclaimPlan:
    """What can go, and what stays with its reason.

    Attributes:
        stood_on: project id -> the files that proved it, as they were before they were read.
    """

    items: tuple[Item, ...]
    kept: tuple[Kept, ...]
    stood_on: Mapping[str, Stamps] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes that come back."""
        return sum(item.size for item in self.items)

    @property
    def shares(self) -> list[Share]:
        """By project, kind and reason; what goes first, in either part the largest first."""
        sums: dict[tuple[str, Kind, str], list[int]] = defaultdict(list)
        every: tuple[Item | Kept, ...] = (*self.items, *self.kept)
        for one in every:
            sums[one.project_id, one.kind, one.reason if isinstance(one, Kept) else ""].append(one.size)
        found = [Share(owner, kind, len(sizes), sum(sizes), why) for (owner, kind, why), sizes in sums.items()]
        return sorted(found, key=lambda share: (bool(share.reason), -share.size, share.project_id, share.kind))

    @property
    def lines(self) -> list[str]:
        """The plan in words, the largest share first."""
        lines = [f"{format_bytes(self.size)} can come back"]
        for share in self.shares:
            what = f"{share.project_id}: {share.words} ({share.count})"
            size = format_bytes(share.size)
            lines.append(f"  stays: {what}: {share.reason}" if share.reason else f"  {size:>10}  {what}")
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
    stood_on = {}
    for project in [workspace.project(project_id) for project_id in project_ids or workspace.project_ids()]:
        stood_on[project.id] = proofs.stamps(project)
        found += _files(project)
        found += _vectors(project)
    items = tuple(one for one in found if isinstance(one, Item))
    return ReclaimPlan(items, tuple(one for one in found if isinstance(one, Kept)), stood_on)


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
        at_work = project.manifest.status == "active"
        reason = error.what if at_work else f"its archive proves nothing: {error.what}"
        yield from (Kept(kind, project.id, path, size, reason) for kind, path, size in present)
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
    if kind == "originals" and sha256 not in archived and not is_image_name(path.name):
        return "what is written beside them: an archive holds pictures only", sha256
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
