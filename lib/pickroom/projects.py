"""A project's life around the review: start it, scan it again, look at it, follow its folder when it moves."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pickroom import naming
from pickroom.errors import ConflictError, ProjectError, UsageError
from pickroom.files import journal, renames
from pickroom.files.ledgers import LEDGERS
from pickroom.files.lock import project_lock
from pickroom.groups.making import Grouping, Similarity, by_similarity, by_stage
from pickroom.groups.stages import DEFAULT_GAP
from pickroom.images.scan import Progress, ScanResult, scan, walk
from pickroom.recommend import baseline
from pickroom.records import Group, Image, Ungrouped
from pickroom.store import decisions, groups, images, operations, recommendations, review_state
from pickroom.store.connect import connect, open_read_only, transaction
from pickroom.workspace import Project, Workspace, already_started, bad_project_id


@dataclass(frozen=True, slots=True)
class ScanReport:
    """What a scan found: `images == sum of the groups' images + len(ungrouped)`, the missing ones apart.

    Attributes:
        images: image files met under the root.
        groups: the groups that wait for a decision.
        missing: members of waiting groups that are no longer on disk, as relative paths.
        doubtful: members of groups that keep their choice although the image could not be grouped now, and why.
        renamed: journalled renames of duplicate names, (from, to).
        notes: what else the person should know of how the groups were made.
    """

    images: int
    groups: tuple[Group, ...]
    ungrouped: tuple[Ungrouped, ...]
    missing: tuple[str, ...] = ()
    doubtful: tuple[Ungrouped, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The JSON of `pickroom groups --json` (FORMATS.md)."""
        return {
            "images": self.images,
            "groups": [{"group_id": g.group_id, "images": list(g.filenames)} for g in self.groups],
            "ungrouped": [_listed(item) for item in self.ungrouped],
            "missing": list(self.missing),
            "doubtful": [_listed(item) for item in self.doubtful],
            "notes": list(self.notes),
        }


def _listed(item: Ungrouped) -> dict[str, str]:
    return {"filename": item.filename, "directory": item.directory, "reason": item.reason}


def start(
    workspace: Workspace,
    project_id: str,
    folder: Path,
    *,
    title: str | None = None,
    rename_duplicates: bool = False,
    progress: Progress | None = None,
    at: datetime | None = None,
) -> tuple[Project, ScanReport]:
    """Make a project of a folder of images: scan it, group it, recommend the baseline. The manifest comes last.

    A database that lies at the project's place without a manifest is taken over with all its rows: it is what
    an interrupted start, or an earlier installation, left.

    Args:
        at: the UTC second that group ids carry, now by default. Sides of a split and random looks are drawn from
            ids: with a second of its own a simulation is the same every time.

    Raises:
        ProjectError: a bad id, a project of this name, a folder that is missing, empty, or another project's.
        UsageError: `folder` is not a folder. Nothing is written in either case.
    """
    if not naming.is_project_id(project_id):
        raise bad_project_id(project_id)
    root = folder.expanduser().resolve()
    project = workspace.create(project_id, root, title)
    if project.manifest_file.exists():
        raise already_started(project)
    _check_folder(workspace, root)
    report = rescan(project, rename_duplicates=rename_duplicates, progress=progress, at=at)
    manifest = replace(project.manifest, image_count=report.images, group_count=len(report.groups))
    project = replace(project, manifest=manifest)
    workspace.save_new(project)
    return project, report


def _check_folder(workspace: Workspace, root: Path) -> None:
    doing = "starting a project"
    _require_own_folder(workspace.projects(), root, doing)
    entries, left_out = walk(root, naming.IMAGE_EXTENSIONS, _own_folders(workspace))
    if not entries and not left_out:
        raise ProjectError(
            "the folder holds no images",
            doing=doing,
            subject=root,
            hint="images end in " + ", ".join(naming.IMAGE_EXTENSIONS),
        )


def _require_own_folder(others: Iterable[Project], root: Path, doing: str) -> None:
    if not root.exists():
        raise ProjectError("the folder does not exist", doing=doing, subject=root, hint="check its spelling")
    if not root.is_dir():
        raise UsageError("this is a file, not a folder", doing=doing, subject=root)
    for other in others:
        if root == other.root or root in other.root.parents or other.root in root.parents:
            raise ProjectError(
                f"project {other.id!r} has this folder, or one in it or above it",
                doing=doing,
                subject=root,
                hint="one folder, one project",
            )


def rescan(
    project: Project,
    *,
    gap: timedelta = DEFAULT_GAP,
    by: Similarity | None = None,
    rename_duplicates: bool = False,
    progress: Progress | None = None,
    at: datetime | None = None,
) -> ScanReport:
    """Scan the folder again and group what is new; decided groups, and those with a choice, stay as they are.

    Other waiting groups are made anew by the same rule: those that come out the same keep their id. Groups made by
    the other rule stay as long as all their images do; so similarity is for what the stages left out.

    Args:
        gap: from one stage to the next, at most.
        by: group by similarity instead of by stages.
        at: see `start`.

    Raises:
        LockedError: files of this project are being moved.
        ProjectError, StoreError: the folder, the database or the vectors cannot be used.
    """
    project.require_root()
    own = _own_folders(project.workspace)
    connection = connect(project.database)
    try:
        with project_lock(project, "scanning"):
            journal.run_planned(project.root, connection, LEDGERS, verify=True)
            renamed = renames.prefix_duplicates(project, connection, own) if rename_duplicates else ()
            known = {(image.directory, image.filename): image for image in images.readable(connection)}
            found = scan(
                project.root,
                project.workspace.thumbnails,
                known,
                project.manifest.allowed_extensions,
                progress,
                avoid=own,
            )
            grouping = by_stage(gap) if by is None else by_similarity(project, connection, found.images, by, progress)
            with transaction(connection):
                made_at = _second_of_scan(project, connection, at)  # before any group goes: no id may come again
                return _store(project, connection, found, known, grouping, renamed, made_at)
    finally:
        connection.close()


def _own_folders(workspace: Workspace) -> frozenset[Path]:
    """The workspace's folders: not sources, even where the images lie beside them."""
    return frozenset(workspace.root / name for name in ("data", "sandbox", "reports", "archives"))


def _store(
    project: Project,
    connection: sqlite3.Connection,
    found: ScanResult,
    known: groups.Known,
    grouping: Grouping,
    renamed: Sequence[tuple[str, str]],
    made_at: datetime,
) -> ScanReport:
    waiting = groups.queue(connection, project.id, known=known)
    touched = review_state.touched_ids(connection)
    otherwise = groups.not_made_by(connection, grouping.method)
    here = {(i.directory, i.filename) for i in found.images} if otherwise else set()
    staying = touched | {
        g.group_id
        for g in waiting
        if g.group_id in otherwise and here.issuperset((g.directory, n) for n in g.filenames)
    }
    pinned = [group for group in waiting if group.group_id in staying]
    loose = {(g.directory, g.filenames): g for g in waiting if g.group_id not in staying}
    decided = groups.decided_names(connection)
    kept = {(image.directory, image.filename) for group in pinned for image in group.images}
    holders = {filename: "a waiting group" for _, filename in kept}
    holders |= {name: "a group with a choice" for g in pinned if g.group_id in touched for name in g.filenames}
    holders |= dict.fromkeys(decided, "a decided group")

    repeated = [
        Ungrouped(i.directory, i.filename, f"duplicate name: an image of this name is in {holders[i.filename]}")
        for i in found.images
        if i.filename in holders and (i.directory, i.filename) not in kept
    ]
    proposed, alone = grouping.make([i for i in found.images if i.filename not in holders])
    left_out = sorted((*found.left_out, *repeated, *alone), key=lambda u: (u.directory, u.filename))
    # a choice is never taken apart by a scan: finalise looks at each of its files again
    doubtful = tuple(u for u in left_out if (u.directory, u.filename) in kept)
    ungrouped = tuple(u for u in left_out if (u.directory, u.filename) not in kept)

    same = {(members[0].directory, tuple(i.filename for i in members)) for members in proposed} & set(loose)
    groups.remove(connection, [group.group_id for key, group in loose.items() if key not in same])
    alone_now = {(u.directory, u.filename) for u in ungrouped}
    stats = {
        (e.directory, e.filename): (e.file_size, e.mtime_ns)
        for e in (found.entries if alone_now else ())
        if (e.directory, e.filename) in alone_now
    }
    images.replace_scan(connection, found.images, ungrouped, stats)
    new = [m for m in proposed if (m[0].directory, tuple(i.filename for i in m)) not in same]
    fresh = _new_groups(project, new, made_at)
    groups.insert(connection, fresh, grouping.method)
    groups.draw_lots(connection, project.id)
    recommendations.upsert(connection, [baseline.recommend(group) for group in fresh])

    gone = kept - {(u.directory, u.filename) for u in left_out}
    gone.difference_update((i.directory, i.filename) for i in found.images)
    missing = sorted(f"{directory or '.'}/{name}" for directory, name in gone)
    queue = _queue(connection, waiting, fresh, found, known)
    return ScanReport(found.count, queue, ungrouped, tuple(missing), doubtful, tuple(renamed), grouping.notes)


def _queue(
    connection: sqlite3.Connection,
    waiting: Sequence[Group],
    fresh: Sequence[Group],
    found: ScanResult,
    known: groups.Known,
) -> tuple[Group, ...]:
    """The queue as the tables have it now, from what is in memory: a million images are not held twice."""
    read = {(i.directory, i.filename): i for i in found.images if known.get((i.directory, i.filename)) is not i}
    if waiting and read:
        waiting = [replace(g, images=tuple(read.get((i.directory, i.filename), i) for i in g.images)) for g in waiting]
    by_id = {group.group_id: group for group in (*waiting, *fresh)}
    return tuple(by_id[group_id] for group_id in groups.queue_ids(connection))


def _second_of_scan(project: Project, connection: sqlite3.Connection, at: datetime | None) -> datetime:
    """`at`, or now, to the second; or the second after the last scan's, so that no id is given twice."""
    now = (at or datetime.now(UTC)).replace(microsecond=0)
    last = groups.last_second(connection, project.id)
    return now if last is None else max(now, naming.second_after(last))


def _new_groups(project: Project, members: Sequence[tuple[Image, ...]], made_at: datetime) -> list[Group]:
    made = []
    for place, own in enumerate(members):
        group_id, batch_number = naming.group_id(project.id, made_at, place)
        made.append(Group(group_id, project.id, own[0].directory, batch_number, own))
    return made


def relocate(workspace: Workspace, project_id: str, folder: Path) -> Project:
    """Point a project at the folder its images were moved to.

    Raises:
        ProjectError: there is no such folder, or it is another project's.
        UsageError: `folder` is not a folder.
        ConflictError: none of the project's files are in it; nothing is changed.
    """
    project = workspace.project(project_id)
    root = folder.expanduser().resolve()
    others = (other for other in workspace.projects() if other.id != project_id)
    _require_own_folder(others, root, f"relocating {project_id}")
    moved = replace(project, manifest=replace(project.manifest, root=str(root)))
    with open_read_only(project.database) as connection:
        expected = [op.destination for op in operations.recent_moves(connection, 200) if op.destination]
        expected += [f"{i.directory}/{i.filename}" for g in groups.queue(connection, project.id, 100) for i in g.images]
    if expected and not any((root / path.lstrip("/")).is_file() for path in expected):
        raise ConflictError(
            "none of the project's images are in this folder",
            doing=f"relocating {project_id}",
            subject=root,
            hint=f"choose the folder that was {project.root}",
        )
    with project_lock(moved, "relocating"):
        return project.with_manifest(root=str(root))


def status(project: Project) -> dict[str, Any]:
    """A project at a glance, as `pickroom status P --json` prints it."""
    with open_read_only(project.database) as connection, transaction(connection, writing=False):
        left_out = images.left_out(connection)
        return {
            "project_id": project.id,
            "title": project.manifest.title,
            "status": project.manifest.status,
            "root": str(project.root),
            "root_exists": project.root.is_dir(),
            "groups": groups.count(connection),
            "waiting": groups.count_waiting(connection),
            "decided": decisions.outcome_counts(connection),
            "ungrouped": len(left_out),
            "incomplete_crops": decisions.incomplete_crops(connection),
            "planned_operations": operations.count_planned(connection),
            "batches": operations.batches(connection),
            "held": review_state.held(connection),
            "performance": decisions.performance(connection),
        }
