"""Plan what can be deleted, and why other files stay: reads every archive and candidate completely, changes nothing."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from pickroom import integrity
from pickroom.analysis.reports import archive
from pickroom.core.companions import Companions
from pickroom.core.errors import FileOperationError, PickroomError
from pickroom.core.naming import CROP_ORIGINALS, STAGING, is_image_name
from pickroom.core.quantities import format_bytes
from pickroom.core.records import FileOp
from pickroom.storage import atomic
from pickroom.store import images, operations
from pickroom.store.connect import open_read_only
from pickroom.store.workspace import Project, Workspace

Kind = Literal["staged", "originals", "vectors"]
Stamps = frozenset[tuple[str, int, int, int]]  # path, bytes, ns since the epoch, inode
_WORDS = {
    "staged": "staged images of a finished project",
    "originals": "originals of crops",
    "vectors": "vectors of another encoder than the project's own",
}
_FOLDERS: dict[Kind, str] = {"staged": STAGING, "originals": CROP_ORIGINALS}


@dataclass(frozen=True, slots=True)
class ReclaimItem:
    """One file, or one folder of vectors.

    Attributes:
        size: in bytes; sha256: None for a folder.
        reason: why it stays, "" when it can be deleted.
    """

    kind: Kind
    project_id: str
    path: Path
    size: int
    sha256: str | None = None
    reason: str = ""

    def to_dict(self) -> dict[str, object]:
        """As `pickroom reclaim --json` prints it."""
        values = {"kind": self.kind, "project_id": self.project_id, "path": str(self.path), "bytes": self.size}
        return {**values, "reason": self.reason} if self.reason else values


@dataclass(frozen=True, slots=True)
class Share:
    """Items of one kind and project: those that can be deleted, or that stay for one reason; size in bytes."""

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
    """What can be deleted, and what stays with its reason."""

    items: tuple[ReclaimItem, ...]
    kept: tuple[ReclaimItem, ...]
    # project id -> the files that the plan relies on, as they were before reading
    stood_on: Mapping[str, Stamps] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes that are freed."""
        return sum(item.size for item in self.items)

    @property
    def shares(self) -> list[Share]:
        """By project, kind and reason; what can be deleted first, in either part the largest first."""
        sums: dict[tuple[str, Kind, str], list[int]] = defaultdict(list)
        for one in (*self.items, *self.kept):
            sums[one.project_id, one.kind, one.reason].append(one.size)
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
        items, kept = ([one.to_dict() for one in some] for some in (self.items, self.kept))
        return {"bytes": self.size, "items": items, "kept": kept}


def plan(workspace: Workspace, project_ids: Sequence[str] = ()) -> ReclaimPlan:
    """Find what can be deleted; reads every archive and every candidate completely. Changes nothing.

    Args:
        project_ids: only these; none means every project.

    Raises:
        ProjectError: no such project.
    """
    found: list[ReclaimItem] = []
    stood_on = {}
    for project in [workspace.project(project_id) for project_id in project_ids or workspace.project_ids()]:
        stood_on[project.id] = _stamps(project)
        found += _files(project)
        found += _vectors(project)
    items, kept = (tuple(one for one in found if bool(one.reason) == stays) for stays in (False, True))
    return ReclaimPlan(items, kept, stood_on)


def require_unchanged(project: Project, before: Stamps) -> None:
    """Raise FileOperationError when a file that the plan relies on has changed.

    Hours may pass between plan and execution in a notebook; reading an archive again would double the wait.
    """
    changed = before ^ _stamps(project)
    if changed:
        what, paths = "what proved it needless has changed since it was looked at", [Path(min(changed)[0])]
        raise FileOperationError(what, "reclaiming disk space", paths, "nothing has gone; look again")


def _stamps(project: Project) -> Stamps:
    """The project's manifest, its archive, and the vectors of its own encoder, as they are now."""
    folders = [archive.archive_folder(project)]
    if project.manifest.encoder is not None:
        folders.append(project.workspace.embeddings / project.manifest.encoder / project.id)
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    found = set()
    for path in (project.manifest_file, *files):
        try:
            info = path.stat()
            found.add((str(path), info.st_size, info.st_mtime_ns, info.st_ino))
        except OSError:
            found.add((str(path), -1, -1, -1))
    return frozenset(found)


def _files(project: Project) -> Iterator[ReclaimItem]:
    """Staged images and archived originals, with their companions; only files that the journal put there."""
    present: list[tuple[Kind, Path, int]] = [
        (kind, path, path.lstat().st_size)
        for kind, folder in _FOLDERS.items()
        for path in sorted((project.root / folder).rglob("*"))
        if path.is_symlink() or not path.is_dir()
    ]
    if not present:
        return
    try:
        bundles = archive.verified(project)
        with open_read_only(project.database) as connection:
            placed = {op.destination: op for op in operations.standing_moves(connection)}
    except PickroomError as error:
        at_work = project.manifest.status == "active"
        reason = error.what if at_work else f"its archive proves nothing: {error.what}"
        yield from (ReclaimItem(kind, project.id, path, size, reason=reason) for kind, path, size in present)
        return
    archived, needed_for_learning = bundles.get(archive.ORIGINALS, frozenset()), _needed_for_learning(project)
    items = []
    by_folder: dict[Path, list[str]] = defaultdict(list)
    for _, path, _ in present:
        by_folder[path.parent].append(path.name)
    companions = {folder: Companions(names) for folder, names in by_folder.items()}
    for kind, path, size in present:
        step = placed.get(path.relative_to(project.root).as_posix())
        reason, sha256 = _why_not(kind, path, project, step, archived)
        if not reason and path.name in companions[path.parent].images:
            reason = needed_for_learning(sha256)
        items.append(ReclaimItem(kind, project.id, path, size, sha256, reason))
    # companions of an image that stays, stay with it
    staying = {
        item.path.parent / name: item.reason
        for item in items
        if item.reason
        for name in companions[item.path.parent].of(item.path.name)
    }
    yield from (item if item.reason else replace(item, reason=staying.get(item.path, "")) for item in items)


def _needed_for_learning(project: Project) -> Callable[[str], str]:
    """A function of an image's content hash: why learning still needs its file, "" where vectors and features exist."""
    import pyarrow.parquet

    stored: dict[str, set[str | None]] = {}  # what -> content hashes
    problem = "" if project.manifest.encoder is not None else "the project has no vectors yet"
    try:
        if project.manifest.encoder is not None:
            held = integrity.vectors_on_disk(project, project.manifest.encoder)
            stored["vectors"] = set[str | None]().union(*held.values())
        blocks = project.workspace.blocks
        for name in sorted({path.name.rpartition("-v")[0] for path in blocks.glob("*/*-v*.parquet")}):
            hashes = stored[f"features ({name})"] = set()
            for path in (blocks / project.id).glob(f"{name}-v*.parquet"):
                hashes |= set(pyarrow.parquet.read_table(path, columns=["content_hash"])[0].to_pylist())
    except (PickroomError, OSError, ValueError) as error:
        problem = f"its vectors and features cannot be verified: {str(error).splitlines()[0]}"

    def why(sha256: str) -> str:
        lacking = [what for what, hashes in stored.items() if sha256 not in hashes]
        what = problem or (f"its {' and '.join(lacking)} are not stored" if lacking else "")
        return f"learning needs it, {what}: pickroom embed {project.id}" if what else ""

    return why


def _why_not(
    kind: Kind, path: Path, project: Project, step: FileOp | None, archived: frozenset[str]
) -> tuple[str, str]:
    """Why a file stays, "" when it can be deleted; and its hash.

    Args:
        step: the journal's last step that led to its place.
    """
    if step is None or path.is_symlink() or not path.is_file():
        return "Pickroom did not put it there", ""
    sha256 = atomic.sha256_of(path)
    if sha256 != step.sha256:
        return "it has changed since Pickroom put it there", sha256
    if kind == "originals" and sha256 not in archived and not is_image_name(path.name):
        return "what is written next to them: an archive holds pictures only", sha256
    if kind == "originals" and sha256 not in archived:
        return f"it is in no archive: pickroom finish {project.id} --originals --execute", sha256
    return "", sha256


def _vectors(project: Project) -> Iterator[ReclaimItem]:
    """Folders of vectors by encoders that the project no longer uses."""
    for folder in sorted(project.workspace.embeddings.glob(f"*/{project.id}")):
        if folder.parent.name != project.manifest.encoder:
            size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            yield ReclaimItem("vectors", project.id, folder, size, reason=_without_own_vectors(project))


def _without_own_vectors(project: Project) -> str:
    """Why vectors of other encoders stay: the project's own are incomplete; "" when every readable image has one."""
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
