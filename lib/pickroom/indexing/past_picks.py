"""Groups whose picks were imported, found by file names and contents, so that nobody is asked about them again."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing

from pickroom.core.records import Group
from pickroom.integrity import vectors_on_disk
from pickroom.integrity.inspection import find_unsound
from pickroom.store import groups, legacy, review_state
from pickroom.store.connect import connect, open_read_only, transaction
from pickroom.store.workspace import Project

_Past = tuple[frozenset[str], str | None]  # names of the group, the picked one; None where all were rejected


def refresh(project: Project) -> int:
    """Find the waiting groups that imported rows decide, after an import; how many there are."""
    with closing(connect(project.database)) as connection, transaction(connection):
        groups.replace_imported(connection, {})
        return mark(project, connection, groups.queue(connection, project.id))


def mark(project: Project, connection: sqlite3.Connection, waiting: Iterable[Group]) -> int:
    """Take the groups that imported rows decide out of the queue, in the caller's transaction; how many there are.

    A group is decided by a row that has all its images, and picked one of them. Where the content of an imported image
    is known, from the folders that were compared or from a vector, the image must have it, whatever its name; else the
    name decides. Groups with a choice stay.
    """
    waiting = list(waiting)
    past = _read(project) if waiting else {}
    if not past:
        return 0
    touched = review_state.touched_ids(connection)
    contents = _contents(project, {name for rows in past.values() for names, _ in rows for name in names})
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
        if rows:
            chosen = rows[-1][1]
            found[group.group_id] = None if chosen is None else now[chosen]
    groups.replace_imported(connection, found)
    return len(found)


def _read(project: Project) -> dict[str, list[_Past]]:
    """Imported picks by the name of the picked image; a rejected group by each of its names."""
    path = legacy.legacy_path(project.workspace, project.id)
    past: dict[str, list[_Past]] = defaultdict(list)
    if path.is_file():
        with open_read_only(path) as connection:
            for names, chosen in _rows(connection):
                for name in names if chosen is None else (chosen,):
                    past[name].append((names, chosen))
    return past


def _rows(connection: sqlite3.Connection) -> Iterator[_Past]:
    unsound = find_unsound(connection)
    for selection in legacy.selections(connection, unsound.rows.get("legacy_selections", {})):
        yield frozenset((selection.chosen, *selection.others)), selection.chosen
    query = "SELECT rowid AS row_number, images, user_selected_index, user_action FROM ai_decisions ORDER BY timestamp"
    for row in connection.execute(query):
        if row["row_number"] not in unsound.decisions:
            names = json.loads(row["images"])
            rejected = row["user_action"] == "reject"
            yield frozenset(names), None if rejected else names[row["user_selected_index"]]


def _contents(project: Project, names: set[str]) -> dict[str, set[str | None]]:
    """Imported name -> the contents that it is known to have had; empty for an unknown one."""
    on_disk = vectors_on_disk(project)
    found = {name: set(on_disk.get(name, ())) for name in names}
    with open_read_only(legacy.legacy_path(project.workspace, project.id)) as connection:
        for filename, sha256 in legacy.contents(connection):
            if filename in found:
                found[filename] = {sha256}
    return found
