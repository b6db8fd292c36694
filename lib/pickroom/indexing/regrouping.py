"""A scan brought into the tables: which waiting groups stay, which are made anew, and what is left out and why."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

from pickroom.core import naming
from pickroom.core.quantities import plural
from pickroom.core.records import Group, Image, Ungrouped
from pickroom.files.apply_marks import LOOKED_AT
from pickroom.files.journal import BROWSE
from pickroom.groups import baseline
from pickroom.groups.strategies import Grouping
from pickroom.images.scan import ScanResult, Skipped
from pickroom.integrity import vectors_on_disk
from pickroom.integrity.inspection import find_unsound
from pickroom.store import captures, groups, images, legacy, marks, recommendations, review_state
from pickroom.store.connect import connect, open_read_only, transaction
from pickroom.store.workspace import Project

_NAMED = 5  # images that are named in a note
_AT_ONCE = 5_000  # groups recommended at a time: what their images say of themselves is in memory


@dataclass(frozen=True, slots=True)
class ScanReport:
    """What a scan found: `images == sum of the groups' images + len(ungrouped) + pending`, the missing ones apart."""

    images: int  # image files met under the root
    groups: tuple[Group, ...]  # the groups that wait for a decision
    ungrouped: tuple[Ungrouped, ...]
    missing: tuple[str, ...] = ()  # members of waiting groups that are no longer on disk, as relative paths
    # members of groups that keep their choice although the image could not be grouped now, and why
    doubtful: tuple[Ungrouped, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()  # journalled renames of duplicate names, (from, to)
    notes: tuple[str, ...] = ()  # what else the user should know of how the groups were made
    skipped: tuple[Skipped, ...] = ()  # pictures and videos that are not read, and belong to no image
    pending: int = 0  # images that were not read yet
    kinds: Mapping[str, str] = field(default_factory=dict)  # group id -> "stage", "burst" or "similar"
    layout: Literal["flat", "mirror"] = "flat"  # of Pickroom's folders (FORMATS.md, Folders)

    def to_dict(self) -> dict[str, Any]:
        """The JSON of `pickroom groups --json` (FORMATS.md)."""
        return {
            "images": self.images,
            "groups": [
                {
                    "group_id": g.group_id,
                    "kind": (kind := self.kinds.get(g.group_id)),
                    "burst_id": g.group_id if kind == "burst" else None,
                    "directory": g.directory,
                    "images": list(g.filenames),
                }
                for g in self.groups
            ],
            "ungrouped": [asdict(item) for item in self.ungrouped],
            "missing": list(self.missing),
            "doubtful": [asdict(item) for item in self.doubtful],
            "notes": list(self.notes),
            "skipped": [asdict(item) for item in self.skipped],
            "layout": self.layout,
        }


def similarity_hint(project_id: str) -> str:
    """What to do where the names hold no stages, in words."""
    return f"group the images by how they look: pickroom index {project_id}"


def status_line(entry: Mapping[str, Any]) -> str:
    """What waits and what is decided in a project, by the values of `projects.status`."""
    decided = ", ".join(f"{count} {outcome}" for outcome, count in entry["decided"].items()) or "none"
    verb = "were left undecided" if entry["status"] == "finished" else "wait"
    waiting = f"{entry['waiting']} of {entry['groups']} groups {verb}" if entry["groups"] else "no group yet"
    return f"{entry['project_id']} ({entry['status']}): {waiting}; decided: {decided}"


def store(
    project: Project,
    connection: sqlite3.Connection,
    found: ScanResult,
    known: groups.Known,
    grouping: Grouping,
    renamed: Sequence[tuple[str, str]],
    made_at: datetime,
    astray: Set[str] = frozenset(),
) -> ScanReport:
    """Bring a scan into the tables, in the caller's transaction: decided groups and those with a choice stay.

    Args:
        known: the images of the scan before.
        renamed: what was renamed before this scan, (from, to), for the report.
        made_at: see `second_of_scan`; read before, since the groups that go leave no trace of theirs.
        astray: file names of images that lie where nothing explains them: their groups stay until they are back.
    """
    groups.replace_imported(connection, {})  # found anew below
    looked_at = set[tuple[str, str]]()
    if project.manifest.in_place is not None:  # decided images have not moved
        settled, looked_at = groups.decided_images(connection), marks.taken(connection, BROWSE)
        found = replace(found, images=tuple(i for i in found.images if (i.directory, i.filename) not in settled))
    waiting = groups.load(connection, project.id, groups.queue_ids(connection), known)
    touched = review_state.touched_ids(connection)
    kinds = groups.kinds(connection)
    otherwise = {group_id for group_id, kind in kinds.items() if kind != grouping.kind}
    here = {(i.directory, i.filename) for i in found.images} if otherwise else set()
    staying = touched | {
        g.group_id
        for g in waiting
        if (g.group_id in otherwise and here.issuperset((g.directory, n) for n in g.filenames))
        or not astray.isdisjoint(g.filenames)
    }
    pinned = [group for group in waiting if group.group_id in staying]
    loose = {(g.directory, g.filenames): g for g in waiting if g.group_id not in staying}
    decided = groups.decided_images(connection)
    kept = {(image.directory, image.filename) for group in pinned for image in group.images}
    repeated = [
        Ungrouped(i.directory, i.filename, "duplicate name: an image of this name is in a decided group")
        for i in found.images
        if (i.directory, i.filename) in decided
    ]
    seen = [i for i in found.images if (i.directory, i.filename) in looked_at - decided - kept]
    repeated += [Ungrouped(i.directory, i.filename, LOOKED_AT) for i in seen]
    held = decided | kept | looked_at
    proposed, alone = grouping.make([i for i in found.images if (i.directory, i.filename) not in held])
    left_out = sorted((*found.left_out, *repeated, *alone), key=lambda u: (u.directory, u.filename))
    # a choice is never taken apart by a scan: finalise looks at each of its files again
    doubtful = tuple(u for u in left_out if (u.directory, u.filename) in kept)
    ungrouped = tuple(u for u in left_out if (u.directory, u.filename) not in kept)

    same = loose.keys() & (map(_key, proposed) if loose else ())
    groups.remove(connection, [group.group_id for key, group in loose.items() if key not in same])
    alone_now = {(u.directory, u.filename) for u in ungrouped}
    stats = {
        (e.directory, e.filename): (e.file_size, e.mtime_ns)
        for e in (found.entries if alone_now else ())
        if (e.directory, e.filename) in alone_now
    }
    images.replace_scan(connection, found.images, ungrouped, stats)
    marks.forget_taken(connection, alone_now - looked_at)
    images.replace_unreadable(connection, found.unreadable)
    new = [members for members in proposed if not same or _key(members) not in same]
    fresh = []
    for place, own in enumerate(new):
        group_id, batch_number = naming.group_id(project.id, made_at, place)
        fresh.append(Group(group_id, project.id, own[0].directory, batch_number, own))
    groups.insert(connection, fresh, grouping.kind)
    groups.assign_sampling_keys(connection, project.id)
    for start in range(0, len(fresh), _AT_ONCE):
        part = fresh[start : start + _AT_ONCE]
        taken = captures.of(connection, [image.sha256 for group in part for image in group.images])
        recommendations.upsert(connection, [baseline.recommend(group, captures=taken) for group in part])

    gone = kept - {(u.directory, u.filename) for u in left_out}
    gone.difference_update((i.directory, i.filename) for i in found.images)
    missing = sorted(f"{directory or '.'}/{name}" for directory, name in gone)
    imported, unclear = mark_imported(project, connection, _queue(connection, waiting, fresh, found, known))
    queue = _queue(connection, waiting, fresh, found, known)
    notes = grouping.notes
    if imported:
        notes = (*notes, f"{plural(imported, 'group')} of which the pick was imported: not asked again")
    if unclear:
        notes = (*notes, unclear_line(unclear))
    if found.misnamed:
        some = ", ".join(found.misnamed[:_NAMED]) + (", ..." if len(found.misnamed) > _NAMED else "")
        what = f"{plural(len(found.misnamed), 'image')} of which the extension is another format's, read by content"
        notes = (*notes, f"{what}: {some}")
    left = found.skipped, found.pending
    kinds = groups.kinds(connection)
    return ScanReport(found.count, queue, ungrouped, tuple(missing), doubtful, tuple(renamed), notes, *left, kinds)


def _key(members: Sequence[Image]) -> tuple[str, tuple[str, ...]]:
    return members[0].directory, tuple(image.filename for image in members)


def _queue(
    connection: sqlite3.Connection,
    waiting: Sequence[Group],
    fresh: Sequence[Group],
    found: ScanResult,
    known: groups.Known,
) -> tuple[Group, ...]:
    """The queue as the tables have it now, from what is in memory: a million images are not held twice."""
    new = (i for i in found.images if known.get((i.directory, i.filename)) is not i) if waiting else ()
    if read := {(i.directory, i.filename): i for i in new}:
        waiting = [replace(g, images=tuple(read.get((i.directory, i.filename), i) for i in g.images)) for g in waiting]
    by_id = {group.group_id: group for group in (*waiting, *fresh)}
    return tuple(by_id[group_id] for group_id in groups.queue_ids(connection))


def second_of_scan(project: Project, connection: sqlite3.Connection, at: datetime | None) -> datetime:
    """`at`, or now, to the second; or the second after the last scan's, so that no id is given twice."""
    now = (at or datetime.now(UTC)).replace(microsecond=0)
    last = groups.last_second(connection, project.id)
    return now if last is None else max(now, naming.second_after(last))


# names of the group, the picked one (None where all were rejected), and the row's own folder
_Past = tuple[frozenset[str], str | None, str | None]


def refresh_imported(project: Project) -> int:
    """Find the waiting groups that imported rows decide, after an import; how many of them are not clear."""
    with closing(connect(project.database)) as connection, transaction(connection):
        groups.replace_imported(connection, {})
        return mark_imported(project, connection, groups.queue(connection, project.id))[1]


def unclear_line(count: int) -> str:
    """What to know of groups that imported rows may mean."""
    what = "several folders hold its names, and no imported row says which it means"
    return f"{plural(count, 'group')} may have been decided in an import: {what}"


def mark_imported(project: Project, connection: sqlite3.Connection, waiting: Iterable[Group]) -> tuple[int, int]:
    """Take the groups that imported rows decide out of the queue, in the caller's transaction.

    A group is decided by a row that has all its images, and picked one of them. Where the content of an imported image
    is known, from the folders that were compared or from a vector, the image must have it, whatever its name; else the
    name decides. Of a name in several folders the row's own folder decides, or a content from compared folders, and
    never a guess. Groups with a choice stay.

    Returns:
        How many were taken out, and how many stay because it is not clear which folder a row means.
    """
    waiting = list(waiting)
    past = _read(project) if waiting else {}
    if not past:
        return 0, 0
    touched, folders = review_state.touched_ids(connection), images.shared_names(connection)
    names = {name for rows in past.values() for row in rows for name in row[0]}
    contents, compared = _contents(project, names)
    unclear = 0
    by_content = {sha256: name for name, known in contents.items() for sha256 in known if sha256 is not None}
    found: dict[str, str | None] = {}
    for group in waiting:
        if group.group_id in touched:
            continue
        # name of the imported image -> name of the image now
        now: dict[str, str] = {}
        for image in group.images:
            known = contents.get(image.filename)
            same = known is not None and (not known or None in known or image.sha256 in known)
            name = image.filename if same else by_content.get(image.sha256 or "")
            if name is not None:
                now[name] = image.filename
        if len(now) < len(group.images):
            continue
        rows = [row for name in now for row in past.get(name, ()) if now.keys() <= row[0]]
        shared = [folders[name] for name in group.filenames if name in folders]
        proven = all(compared.get(name) == image.sha256 for name, image in zip(now, group.images, strict=True))
        if rows and shared and not proven:
            here = [row for row in rows if all(naming.folder_meant(row[2], o) == group.directory for o in shared)]
            unclear += not here
            rows = here
        if rows:
            chosen = rows[-1][1]
            found[group.group_id] = None if chosen is None else now[chosen]
    groups.replace_imported(connection, found)
    return len(found), unclear


def _read(project: Project) -> dict[str, list[_Past]]:
    """Imported picks by the name of the picked image; a rejected group by each of its names."""
    path = legacy.legacy_path(project.workspace, project.id)
    past: dict[str, list[_Past]] = defaultdict(list)
    if not path.is_file():
        return past
    with open_read_only(path) as connection:
        unsound = find_unsound(connection)
        for selection in legacy.selections(connection, unsound.rows.get("legacy_selections", {})):
            past[selection.chosen].append((frozenset((selection.chosen, *selection.others)), selection.chosen, None))
        columns = "rowid AS row_number, images, user_selected_index, user_action, directory"
        for row in connection.execute(f"SELECT {columns} FROM ai_decisions ORDER BY timestamp"):
            if row["row_number"] not in unsound.decisions:
                names = json.loads(row["images"])
                chosen = None if row["user_action"] == "reject" else names[row["user_selected_index"]]
                for name in names if chosen is None else (chosen,):
                    past[name].append((frozenset(names), chosen, row["directory"]))
    return past


def _contents(project: Project, names: set[str]) -> tuple[dict[str, set[str | None]], dict[str, str]]:
    """Imported name -> the contents that it is known to have had, empty for an unknown one; and of compared folders."""
    on_disk = vectors_on_disk(project)
    found = {name: set(on_disk.get(name, ())) for name in names}
    with open_read_only(legacy.legacy_path(project.workspace, project.id)) as connection:
        compared = dict(legacy.contents(connection))
    return found | {name: {sha256} for name, sha256 in compared.items() if name in found}, compared
