"""Fill in `ai_crop_accepted` of older rows from the folders of their files. Dry run first, backup always.

The three rules: the picked image in crop_auto/ with its sidecar: accepted; in selected/
without one: not; anything else is unknown. They apply only to rows with the AI's own image, approved, and a proposed
crop (FORMATS.md).
"""

import os
import sqlite3
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from pickroom.core.naming import CROP_AUTO, SELECTED, sidecar_name
from pickroom.files import sidecars
from pickroom.files.preflight import HeldError, project_lock
from pickroom.store import copies, decisions
from pickroom.store.connect import backup, connect, open_read_only, transaction
from pickroom.store.workspace import Project

KNOWN = "already filled in"
NOT_ASKED = "not the AI's image approved, or no crop proposed"
NO_FILE = "its picked image lies in neither crop_auto/ nor selected/"
BOTH = "an image of its name lies in crop_auto/ and in selected/"
NO_SIDECAR = "in crop_auto/, but without a sidecar"
LEFT_SIDECAR = "in selected/, but with a sidecar"


@dataclass(frozen=True, slots=True)
class Backfill:
    """What a backfill would write; every row is in one of the two fields."""

    accepted: dict[str, bool]  # group id -> the value for `ai_crop_accepted`
    left: Counter[str]  # reason -> how many rows stay as they are; `examples`: reason -> the first of them
    examples: dict[str, list[str]]

    def lines(self) -> list[str]:
        """The plan in words."""
        yes = sum(self.accepted.values())
        lines = [
            f"{yes:,} crops accepted, {len(self.accepted) - yes:,} not; {self.left.total():,} rows stay as they are"
        ]
        for reason, count in self.left.most_common():
            lines.append(f"  {count:,}: {reason}")
            lines += [f"    {example}" for example in self.examples.get(reason, ())]
        return lines


def plan(project: Project) -> Backfill:
    """Plan the values from every row and the place of its image; writes nothing.

    Raises:
        ProjectError: the image folder is not there.
        StoreError: the database cannot be read.
    """
    project.require_root()
    found = Backfill({}, Counter(), {})
    with open_read_only(project.database) as connection:
        for (group_id,) in connection.execute("SELECT group_id FROM ai_decisions ORDER BY group_id").fetchall():
            accepted = _accepted(project, connection, group_id)
            if isinstance(accepted, bool):
                found.accepted[group_id] = accepted
                continue
            found.left[accepted] += 1
            shown = found.examples.setdefault(accepted, [])
            if accepted not in (KNOWN, NOT_ASKED) and len(shown) < 3:
                shown.append(repr(group_id))
    return found


def apply(project: Project, planned: Backfill) -> Path | None:
    """Write a plan after a backup copy of the database; returns the copy, None when there is nothing to write.

    A row that was filled in meanwhile keeps its value.

    Raises:
        LockedError: files of this project are being moved.
        StoreError: the backup cannot be made, or the database refuses; nothing is changed.
    """
    if not planned.accepted:
        return None
    with project_lock(project, "filling in accepted crops"):
        connection = connect(project.database)
        try:
            copy = copies.publish(project.database, lambda to: backup(connection, to))
            with transaction(connection):
                for group_id, accepted in planned.accepted.items():
                    decisions.set_crop_accepted(connection, group_id, accepted)
        finally:
            connection.close()
    return copy


def _accepted(project: Project, connection: sqlite3.Connection, group_id: str) -> bool | str:
    """The value that follows from the place of the picked image, or the reason why none does."""
    try:
        row = decisions.get(connection, group_id)
        assert row is not None
        name = row.images[row.user_selected_index]
    except (ValueError, TypeError, IndexError) as error:
        return f"the row is damaged: {type(error).__name__}"
    if row.ai_crop_accepted is not None:
        return KNOWN
    asked = row.user_action == "approve" and row.ai_crop_coords is not None
    if not asked or row.ai_selected_index != row.user_selected_index:
        return NOT_ASKED
    cropped, selected = (project.path(folder, name).is_file() for folder in (CROP_AUTO, SELECTED))
    if cropped and selected:
        return BOTH
    if selected:
        return LEFT_SIDECAR if os.path.exists(project.path(SELECTED, sidecar_name(name))) else False
    if not cropped:
        return NO_FILE
    try:
        sidecar = sidecars.read(project, connection, CROP_AUTO, name)
    except HeldError as error:
        return str(error)
    return True if sidecar is not None else NO_SIDECAR
