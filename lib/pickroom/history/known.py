"""What is known of a project already, by content: so that folders do not say again what a log said."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pickroom.history import skip_reasons
from pickroom.store import legacy
from pickroom.store.connect import open_read_only
from pickroom.store.workspace import Workspace


@dataclass(slots=True)
class Known:
    """A project's picks and crops, from imports and from Pickroom itself.

    Attributes:
        picks: (chosen, the others) -> where it is known from, as a reason to skip it.
        boxed: names of files whose crop has coordinates.
    """

    picks: dict[tuple[str, frozenset[str]], str] = field(default_factory=dict)
    boxed: set[str] = field(default_factory=set)

    def reason(self, images: Sequence[str], index: int) -> str | None:
        """Why the pick of one image from a group says nothing new; None when it does."""
        chosen = images[index]
        return self.picks.get((chosen, frozenset(images) - {chosen}))

    def _add(self, chosen: str, others: Iterable[str], reason: str) -> None:
        self.picks[chosen, frozenset(others)] = reason


def known_of(workspace: Workspace, project_id: str) -> Known:
    """Everything known of a project, whenever it was decided; a rejected group is no pick.

    Raises:
        StoreError: one of its databases cannot be read.
    """
    known = Known()
    for database in reversed(legacy.databases(workspace, project_id)):
        with open_read_only(database) as connection:
            if database == legacy.legacy_path(workspace, project_id):
                _add_decisions(known, connection, skip_reasons.IMPORTED)
                for selection in legacy.selections(connection):
                    known._add(selection.chosen, selection.others, skip_reasons.IMPORTED)
                known.boxed |= {crop.filename for crop in legacy.crops(connection) if crop.box is not None}
            else:
                _add_decisions(known, connection, skip_reasons.DECIDED)
                known.boxed |= {row[0] for row in connection.execute("SELECT filename FROM crops")}
    return known


def _add_decisions(known: Known, connection: sqlite3.Connection, reason: str) -> None:
    rows = connection.execute(
        """SELECT images, user_selected_index, final_crop_coords IS NOT NULL FROM ai_decisions
        WHERE user_action <> 'reject' AND json_valid(images)"""
    )
    for images, index, cropped in rows:
        names = json.loads(images)
        if not isinstance(names, list) or not isinstance(index, int) or not 0 <= index < len(names):
            continue  # a row damaged long ago
        known._add(names[index], [name for name in names if name != names[index]], reason)
        if cropped:
            known.boxed.add(names[index])
