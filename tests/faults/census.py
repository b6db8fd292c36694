"""What lies on disk and stands in the database, looked at from outside, and what of it should not be.

Nothing here asks `pickroom`: hashes are made of the bytes, rows are read with plain SQL, and where every file must lie
is worked out from the journal.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pickroom.core.naming import is_image_name
from pickroom.storage.atomic import PARTIAL_SUFFIX
from pickroom.store.workspace import Project
from support.reviewing import rows, snapshot, whole_tree

Tree = dict[str, str]  # path relative to the root -> sha256


@dataclass
class Census:
    """What is wrong, by kind; each a line that names the file."""

    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    half_moved: list[str] = field(default_factory=list)
    astray: list[str] = field(default_factory=list)
    database: list[str] = field(default_factory=list)
    disagreeing: list[str] = field(default_factory=list)

    @property
    def lines(self) -> list[str]:
        """All of it."""
        return [f"{kind}: {line}" for kind, found in vars(self).items() for line in found]


def tree_of(project: Project) -> Tree:
    """The user's files and Pickroom's next to them; without what the automation keeps in a sandbox."""
    return {
        path: sha256
        for path, sha256 in whole_tree(project.root).items()
        if not path.startswith((".pickroom/", "automation_", "approved_"))
    }


def theirs(before: Tree) -> Tree:
    """The images and companions, of all files: sidecars and partial files are Pickroom's to write, change and remove.

    What sidecars must hold, byte for byte, the journal tells (`_journal_told`).
    """
    return {path: sha256 for path, sha256 in before.items() if not path.endswith((".decision", ".xmp", PARTIAL_SUFFIX))}


def missing(before: Tree, project: Project) -> list[str]:
    """Files of the user whose content is nowhere: there must be none at any moment, recovered or not."""
    now = Counter(tree_of(project).values())
    return [path for path, sha256 in theirs(before).items() if not now[sha256]]


def census(before: Tree, steps_before: int, project: Project) -> Census:
    """Hold a recovered project against the tree that it had, and against its own rows.

    Args:
        steps_before: the journal's rows that had been taken when the tree was read.
    """
    found, now = Census(), tree_of(project)
    copies, expected = Counter(now.values()), Counter(theirs(before).values())
    for path, sha256 in theirs(before).items():
        if not copies[sha256]:
            found.lost.append(path)
        elif copies[sha256] > expected[sha256]:
            found.duplicated.append(path)
    _companions_together(before, now, found)
    with closing(sqlite3.connect(f"{project.database.as_uri()}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        _sound(connection, found)
        journal = connection.execute("SELECT * FROM file_operations ORDER BY id").fetchall()
        _journal_told(before, now, journal[steps_before:], found)
        in_place = project.manifest.in_place is not None
        _decisions_agree(connection, now, found, in_place)
        _marks_agree(connection, now, found, in_place)
    return found


def _companions_together(before: Tree, now: Tree, found: Census) -> None:
    place = {(Path(path).name, sha256): Path(path).parent for path, sha256 in now.items()}
    images = [path for path in before if is_image_name(path)]
    for path, sha256 in theirs(before).items():
        image = next((image for image in images if path.startswith(f"{image.rpartition('.')[0]}.")), path)
        if place.get((Path(path).name, sha256)) != place.get((Path(image).name, before[image])):
            found.half_moved.append(f"{path} lies apart from its image")


def _sound(connection: sqlite3.Connection, found: Census) -> None:
    found.database += [line for (line,) in connection.execute("PRAGMA integrity_check") if line != "ok"]
    found.database += [
        f"a row of {row[0]} belongs to nothing" for row in connection.execute("PRAGMA foreign_key_check")
    ]


def _journal_told(before: Tree, now: Tree, journal: list[sqlite3.Row], found: Census) -> None:
    """Where every file lies is where the steps that were taken lead, one after the other."""
    expected = {path: sha256 for path, sha256 in before.items() if not path.endswith(PARTIAL_SUFFIX)}
    states: dict[tuple[int, str, bool], set[str]] = {}
    for step in journal:
        states.setdefault((step["batch"], step["unit"], step["undoes"] is not None), set()).add(step["state"])
        if step["state"] == "planned":
            found.database.append(f"still planned: {step['source']} -> {step['destination']}")
        if step["state"] not in ("done", "undone"):
            continue
        if step["op"] == "remove" or step["op"] == "move":
            expected.pop(step["source"], None)
        if step["op"] != "remove":
            expected[step["destination"]] = step["sha256"]
    found.half_moved += [f"{unit}: {sorted(kinds)}" for (_, unit, _), kinds in states.items() if len(kinds) > 1]
    for path in sorted(expected.keys() | now.keys()):
        if expected.get(path) != now.get(path):
            what = "is not there" if path not in now else "nobody planned" if path not in expected else "holds another"
            found.astray.append(f"{path} {what}")


def _decisions_agree(connection: sqlite3.Connection, now: Tree, found: Census, in_place: bool) -> None:
    def lies(name: str, directory: str) -> set[str]:
        """The folders of Pickroom's that hold an image, flat or with its own folder below them."""
        below = (f"{directory}/{name}", name)
        return {top for path in now for top, _, rest in [path.partition("/")] if rest in below or path in below}

    dropped = {row[0] for row in connection.execute("SELECT group_id FROM decision_context WHERE dropped_at NOT NULL")}
    elsewhere = {row[0] for row in connection.execute("SELECT filename FROM image_marks WHERE batch NOT NULL")}
    for row in connection.execute("SELECT * FROM ai_decisions"):
        names = json.loads(row["images"])
        picked = names[row["user_selected_index"]]
        if row["user_action"] == "reject" or row["group_id"] in dropped:
            wanted = {"delete_staging"}
        elif row["final_crop_coords"] is not None:
            wanted = {"crop_cropped", "crop_originals"}
        elif row["user_action"] == "crop":
            wanted = {"crop"}
        else:
            wanted = {"crop_auto"} if row["ai_crop_accepted"] else {"selected"}
        for name in names:
            due = wanted if name == picked else {"delete_staging"}
            there = lies(name, row["directory"])
            due = {row["directory"]} if in_place else due
            if there != due and name not in elsewhere:  # a later room has sent it on
                found.disagreeing.append(f"{name} of {row['group_id']} lies in {there}, its row says {sorted(due)}")
    contexts = {row[0] for row in connection.execute("SELECT group_id FROM decision_context")}
    for row in connection.execute("SELECT * FROM group_members"):
        there = f"{row['directory']}/{row['filename']}" if row["directory"] else row["filename"]
        if row["group_id"] not in contexts and there not in now:
            found.disagreeing.append(f"{there} waits, and has gone")


def _marks_agree(connection: sqlite3.Connection, now: Tree, found: Census, in_place: bool) -> None:
    for row in connection.execute("SELECT * FROM image_marks"):
        here = f"{row['directory']}/{row['filename']}" if row["directory"] else row["filename"]
        there = f"{row['folder']}/{row['filename']}"
        if in_place:  # its rating says it
            there = here.replace(".png", ".xmp")
            agrees = here in now and (row["batch"] is None) != (there in now)
        else:
            agrees = (row["batch"] is None) == (here in now) and (row["batch"] is None) != (there in now)
        if not agrees:
            found.disagreeing.append(f"the mark of {here} says batch {row['batch']}, the disk another thing")


def state_of(project: Project) -> dict[str, Any]:
    """Everything that a command may change, but for times: what a finished one leaves, and one that never began."""
    found = snapshot(project)
    for row in found["decisions"]:
        row["crop_timestamp"] = row["crop_timestamp"] is not None
    for row in found["context"]:
        row["dropped_at"] = row["dropped_at"] is not None
    crops = rows(project, "SELECT * FROM crops ORDER BY batch, directory, filename")
    crops = [{name: value for name, value in row.items() if name != "made_at"} for row in crops]
    marks = rows(
        project, "SELECT room, directory, filename, folder, batch, held_reason FROM image_marks ORDER BY 1, 2, 3"
    )
    return {**found, "tree": tree_of(project), "crops": crops, "marks": marks}
