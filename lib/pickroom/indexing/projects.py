"""A project's life around the review: start it, scan it again, look at it, follow its folder when it moves."""

import contextlib
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from pathlib import Path
from sqlite3 import Connection
from typing import Any

from pickroom import integrity
from pickroom.core import naming
from pickroom.core.errors import ConflictError, ProjectError, UsageError
from pickroom.core.records import Image
from pickroom.files import returning
from pickroom.files.journal import RENAME
from pickroom.files.preflight import moving_files, project_lock, require_images
from pickroom.files.rating import Naming
from pickroom.files.recovery import finish_interrupted, unfinished
from pickroom.groups.stages import DEFAULT_GAP
from pickroom.groups.strategies import Similarity, by_capture, by_similarity, by_stage
from pickroom.images import raw
from pickroom.images.scan import Progress, ScanResult, Skipped, count_skipped, read_captures, repeated, scan, walk
from pickroom.indexing import regrouping
from pickroom.indexing.regrouping import ScanReport
from pickroom.integrity import whereabouts
from pickroom.integrity.whereabouts import Whereabouts, in_words
from pickroom.storage import atomic
from pickroom.store import captures, decisions, groups, images, operations, review_state
from pickroom.store.connect import connect, create, open_read_only, transaction
from pickroom.store.connections import exclusive_access
from pickroom.store.workspace import Project, Workspace, already_started, bad_project_id


def start(
    workspace: Workspace,
    project_id: str,
    folder: Path,
    *,
    title: str | None = None,
    aliases: Sequence[str] = (),
    rename_duplicates: bool = False,
    mirror: bool = False,
    in_place: Naming | None = None,
    progress: Progress | None = None,
    at: datetime | None = None,
    at_most: int | None = None,
) -> tuple[Project, ScanReport]:
    """Make a project of a folder of images: scan it, group it, recommend the baseline. The manifest comes last.

    A database that lies at the project's place without a manifest is taken over with all its rows: it is what
    an interrupted start, or an earlier installation, left. A project that was registered without images gets them.

    Args:
        aliases: further names that old logs have for it, checked by `history.logged_paths.new_aliases`.
        mirror: let Pickroom's folders mirror the sub-folders although no name is met twice.
        in_place: write decisions into XMP sidecars, of which new ones are named so, and move nothing.
        at: the UTC second that group ids carry, now by default. Sides of a split and random looks are drawn from
            ids: with a second of its own a simulation is the same every time.
        at_most: how many images are read now, None: all; `rescan` reads the others.

    Raises:
        ProjectError: a bad id, a project of this name, a folder that is missing, empty, or another project's.
        UsageError: `folder` is not a folder. Nothing is written in either case.
        LockedError: a database that lies there already belongs to files that are being moved.
        StoreError: that database cannot be used.
    """
    root = folder.expanduser().resolve()
    project = _new(workspace, project_id, root, title, aliases)
    registered = False
    with contextlib.suppress(ProjectError):  # there is none, or a damaged one
        registered = not workspace.project(project_id).manifest.root
    if project.manifest_file.exists() and not registered:
        raise already_started(project)
    doing = "starting a project"
    _require_own_folder(workspace.projects(), root, doing)
    entries, left_out = walk(root, naming.ALL_EXTENSIONS, workspace.own_folders)
    if not any(raw.can_read(entry.filename) for entry in entries) and not left_out:
        skipped = count_skipped(root, naming.ALL_EXTENSIONS, workspace.own_folders)
        holding = "".join(f", and {item.files} {item.extension}: {item.reason}" for item in skipped)
        what = f"the folder holds no images{holding}"
        hint = "images end in " + ", ".join(naming.IMAGE_EXTENSIONS)
        raise ProjectError(what, doing=doing, subject=root, hint=hint)
    layout = "mirror" if mirror else project.manifest.layout
    project = replace(project, manifest=replace(project.manifest, in_place=in_place, layout=layout))
    create(project.database).close()
    report = rescan(project, rename_duplicates=rename_duplicates, progress=progress, at=at, at_most=at_most)
    if registered:
        known = workspace.project(project_id).manifest
        names = tuple(dict.fromkeys((*known.aliases, *aliases)))
        changes = {"root": str(root), "title": title or known.title, "aliases": names, "status": "active"}
        return project.with_manifest(**changes, in_place=in_place, layout=report.layout, **_counts(project)), report
    project = replace(project, manifest=replace(project.manifest, layout=report.layout, **_counts(project)))
    workspace.save_new(project)
    return project, report


def register(
    workspace: Workspace, project_id: str, *, title: str | None = None, aliases: Sequence[str] = ()
) -> Project:
    """Make a finished project without images: its decisions were imported, or are in a database of an earlier system.

    Title and dates come from the earlier system's `<project>.project.json` where there is one. A database at the
    project's place is taken over, as by `start`.

    Raises:
        ProjectError: a bad id, or a project of this name.
        StoreError: the database that lies there already cannot be used.
    """
    project = _new(workspace, project_id, None, title, aliases)
    if project.manifest_file.exists():
        raise already_started(project)
    earlier = workspace.earlier_projects().get(project_id)
    said: dict[str, Any] = {}
    if earlier is not None:
        begun = earlier.started_at or earlier.created_at
        dates = {"title": title or earlier.title, "created_at": begun, "finished_at": earlier.finished_at}
        said = {name: value for name, value in dates.items() if value}
    create(project.database).close()
    project = replace(project, manifest=replace(project.manifest, status="finished", **said, **_counts(project)))
    workspace.save_new(project)
    return project


def _new(
    workspace: Workspace, project_id: str, root: Path | None, title: str | None, aliases: Sequence[str]
) -> Project:
    if not naming.is_project_id(project_id):
        raise bad_project_id(project_id)
    project = workspace.planned(project_id, root, title)
    atomic.drop_claim(project.manifest_file)  # of a start that was killed
    return replace(project, manifest=replace(project.manifest, aliases=tuple(aliases)))


def _require_own_folder(others: Iterable[Project], root: Path, doing: str) -> None:
    if not root.exists():
        raise ProjectError("the folder does not exist", doing=doing, subject=root, hint="check its spelling")
    if not root.is_dir():
        raise UsageError("this is a file, not a folder", doing=doing, subject=root)
    for other in others:
        if other.manifest.root and (root == other.root or root in other.root.parents or other.root in root.parents):
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
    read: ScanResult | None = None,
    at_most: int | None = None,
) -> ScanReport:
    """Scan the folder again and group what is new; decided groups, and those with a choice, stay as they are.

    By stages first; of what these leave out, photographs that say when they were taken by capture time.
    Other waiting groups are made anew by the same rule: those that come out the same keep their id. Groups made by
    the other rule stay as long as all their images do; so similarity is for what the stages left out.
    The counts in the manifest follow. A project in which two folders hold a name is mirrored from then on.

    Args:
        gap: from one stage to the next, at most.
        by: group by similarity instead of by stages.
        at: see `start`.
        read: what was read of the folder a moment ago, see `read_some`; what is in it is not read again.
        at_most: how many images are read at the most, None: all. The others are pending.

    Raises:
        LockedError: files of this project are being moved.
        ProjectError, StoreError: the folder, the database or the vectors cannot be used.
    """
    project.require_root()
    own = project.workspace.own_folders
    connection = connect(project.database)
    try:
        with moving_files(project, "scanning") as folder:
            finish_interrupted(project, connection, folder)
            renamed, held = (
                returning.prefix_duplicates(project, folder, connection, own) if rename_duplicates else ((), ())
            )
            lies = whereabouts(project)  # the tables must not forget where an image came from that is to go back
            astray = {naming.filename_of(path) for path in lies.unexplained}
            known = _known(connection)
            found = _scan(project, connection, known, progress, read, at_most)
            folder.require()  # else every image would count as missing
            mirrored = _mirrored_now(project, found, lies)  # before a group can hold a name that another one has
            unread = captures.unknown(connection, (i.sha256 for i in found.images)) - found.captures.keys()
            earlier = read_captures(project.root, [i for i in found.images if i.sha256 in unread])
            grouping = by_stage(gap) if by is None else by_similarity(project, connection, found.images, by, progress)
            with transaction(connection):
                for read_now in (earlier, found.captures):
                    captures.add(connection, read_now)
                found = replace(found, captures={})  # of a million images they are 200 MB
                # before any group goes: no id may come again
                made_at = regrouping.second_of_scan(project, connection, at)
                report = regrouping.store(project, connection, found, known, grouping, renamed, made_at, astray)
                # bursts that wait may go on in what is new, or in one that an earlier version cut off
                waiting = by is None and any(report.kinds[group.group_id] == "burst" for group in report.groups)
                said = captures.of(connection) if by is None and (report.ungrouped or waiting) else {}
                dated = {sha256 for sha256, capture in said.items() if capture.captured_at is not None}
                timed = {image.filename for image in found.images if image.sha256 in dated}
                if waiting or any(one.filename in timed for one in report.ungrouped):
                    bursts = by_capture(project, said, report.ungrouped)
                    made_at = regrouping.second_of_scan(project, connection, at)
                    report = regrouping.store(project, connection, found, known, bursts, renamed, made_at, astray)
            if project.manifest_file.exists():  # else it is just being started
                project.with_manifest(**_counts(project))
            words = in_words({**lies.to_dict(), "misplaced": [], "missing": []}, project.id)
            layout = "mirror" if mirrored else project.manifest.layout
            return replace(report, notes=(*report.notes, *held, *mirrored, *words), layout=layout)
    finally:
        connection.close()


def _mirrored_now(project: Project, found: ScanResult, lies: Whereabouts) -> tuple[str, ...]:
    """Let a project be mirrored where a name lies in two folders; a line that says so, none where it is as it was."""
    if project.manifest.layout == "mirror":
        return ()
    names = {entry.filename for entry in found.entries}
    moved = {naming.filename_of(path): naming.folder_of(path) for path in lies.placed}
    if twice := repeated(found.entries, lambda entry: entry.filename):
        name, (one, other) = twice[0][0].filename, sorted(entry.directory for entry in twice[0])[:2]
    elif met := names & moved.keys():
        name = min(met)
        one, other = moved[name], next(entry.directory for entry in found.entries if entry.filename == name)
    else:
        return ()
    if project.manifest_file.exists():  # else `start` saves it
        project.with_manifest(layout="mirror")
    where = f"{name} lies in {one or '.'}/ and in {other or '.'}/"
    return (f"{where}: {naming.SELECTED}/ and the others hold the sub-folders of the images from now on",)


def read_some(project: Project, at_most: int, progress: Progress | None = None) -> ScanResult:
    """Read that many images that are new or changed, without holding up who moves files meanwhile; see `rescan`."""
    with open_read_only(project.database) as connection:
        return _scan(project, connection, _known(connection), progress, None, at_most)


def _known(connection: Connection) -> dict[tuple[str, str], Image]:
    return {(image.directory, image.filename): image for image in images.readable(connection)}


def _scan(
    project: Project,
    connection: Connection,
    known: Mapping[tuple[str, str], Image],
    progress: Progress | None,
    read: ScanResult | None,
    at_most: int | None,
) -> ScanResult:
    unreadable = images.unreadable(connection)
    if read is not None:
        known = {**known, **{(image.directory, image.filename): image for image in read.images}}
        unreadable = {**unreadable, **read.unreadable}
    found = scan(
        project.root,
        project.workspace.thumbnails,
        known,
        project.manifest.allowed_extensions,
        progress,
        avoid=project.workspace.own_folders,
        unreadable=unreadable,
        at_most=at_most,
    )
    if read is None:
        return found
    captured = {**read.captures, **found.captures}
    return replace(found, captures=captured, misnamed=(*read.misnamed, *found.misnamed))


def _counts(project: Project) -> dict[str, Any]:
    """The manifest's counts: all that the tables know of, decided groups and their images too."""
    with open_read_only(project.database) as connection:
        return {"image_count": images.count(connection), "group_count": groups.count(connection)}


def relocate(workspace: Workspace, project_id: str, folder: Path) -> Project:
    """Point a project at the folder its images were moved to.

    Raises:
        ProjectError: no such folder, it is another project's, or the project was registered without images.
        UsageError: `folder` is not a folder.
        ConflictError: none of the project's files are in it; nothing is changed.
        LockedError: files are being moved, or a window has the project open: it would go on in the old folder.
    """
    project = workspace.project(project_id)
    if not project.manifest.root:
        project.require_root()
    root = folder.expanduser().resolve()
    others = (other for other in workspace.projects() if other.id != project_id)
    _require_own_folder(others, root, f"relocating {project_id}")
    moved = replace(project, manifest=replace(project.manifest, root=str(root)))
    with open_read_only(project.database) as connection:
        require_images(moved, connection, f"relocating {project_id}", f"choose the folder that was {project.root}")
    with project_lock(moved, "relocating"), exclusive_access(project.database, "relocating"):
        return project.with_manifest(root=str(root))


def set_in_place(project: Project, naming: Naming | None) -> Project:
    """Let decisions be written into XMP sidecars from now on, or let images move (None).

    Raises:
        ConflictError: something is finalised; nothing is changed.
        LockedError: files are being moved, or a window has the project open: it would go on the other way.
    """
    if naming == project.manifest.in_place:
        return project
    doing = f"changing how {project.id} keeps its decisions"
    with project_lock(project, doing):
        with open_read_only(project.database) as connection:
            kinds = {kind for own, _ in operations.contents(connection).values() for kind in own}
            begun = decisions.any_made(connection) or operations.count_planned(connection) or kinds - {RENAME}
        if begun:
            hint = f"undo its batches first, the latest first: pickroom status {project.id}"
            raise ConflictError("something is finalised in this project", doing=doing, hint=hint)
        with exclusive_access(project.database, doing):
            return project.with_manifest(in_place=naming)


def status(project: Project, *, files: bool = True) -> dict[str, Any]:
    """A project at a glance, as `pickroom status P --json` prints it.

    Args:
        files: also look whether images lie where the journal says, which takes a second or two for 100,000 of them.
    """
    interrupted = unfinished(project)
    lies = whereabouts(project) if files else Whereabouts()
    skipped: tuple[Skipped, ...] = ()
    if files and project.root.is_dir():
        extensions, own = project.manifest.allowed_extensions, project.workspace.own_folders
        known: Container[tuple[str, str]] = ()
        if not raw.can_read("any.dng"):
            with open_read_only(project.database) as connection:
                known = _known(connection)
        skipped = count_skipped(project.root, extensions, own, known)
    with open_read_only(project.database) as connection, transaction(connection, writing=False):
        unsound = integrity.find_unsound(connection)  # first: from here on any text can be read
        left_out = images.left_out(connection)
        return {
            "project_id": project.id,
            "title": project.manifest.title,
            "status": project.manifest.status,
            "root": project.manifest.root,
            "root_exists": project.root.is_dir(),
            "in_place": project.manifest.in_place,
            "groups": groups.count(connection),
            "waiting": groups.count_waiting(connection),
            "imported": groups.count_imported(connection),
            "chosen": len(review_state.touched_ids(connection)),  # of those that wait: saved, and not finalised
            "decided": decisions.outcome_counts(connection),
            "ungrouped": len(left_out),
            "unseen_singles": images.count_unseen_singles(connection),
            "skipped": [asdict(item) for item in skipped],
            "incomplete_crops": decisions.incomplete_crops(connection),
            "planned_operations": sum(one.count for one in interrupted),
            "unfinished": [one.to_dict() for one in interrupted],
            "batches": operations.batches(connection),
            "held": review_state.held(connection),
            **({"unsound_rows": unsound.count} if unsound.count else {}),
            "performance": decisions.performance(connection),
            **lies.to_dict(),
        }
