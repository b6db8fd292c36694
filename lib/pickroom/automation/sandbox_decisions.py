"""What the user decided in the sandbox, as decisions of the project: it trains and counts, and no file moves for it.

Machine decisions stay in the copy (DESIGN.md, invariant 11). A box that the user did not draw is not taken over, and a
group whose crop still has to be drawn follows when it is.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace

from pickroom.automation.sandbox import AutomationTarget
from pickroom.core.records import Decision
from pickroom.files.handlers import AUTOMATION
from pickroom.store import decisions
from pickroom.store.connect import connect, transaction


def publish(target: AutomationTarget, copy: sqlite3.Connection) -> None:
    """Make the project's sandbox decisions those of its copy, after an apply or an undo; does nothing in production.

    Raises:
        StoreError: the project's database cannot be written; the next command on the copy does it again.
    """
    if not target.is_copy:
        return
    applied = decisions.applied_by_person(copy, AUTOMATION)
    taught = [(row, context) for one, context, own_box in applied if (row := _taught(one, own_box)) is not None]
    with closing(connect(target.origin.database)) as connection, transaction(connection):
        decisions.replace_sandbox(connection, taught)


def _taught(row: Decision, own_box: bool) -> Decision | None:
    """The decision as the project takes it; None while its crop waits."""
    if row.final_crop_coords is not None and not own_box:
        return replace(row, final_crop_coords=None, crop_timestamp=None, crop_match=None, ai_crop_accepted=None)
    waits = row.final_crop_coords is None and (row.user_action == "crop" or row.ai_crop_accepted)
    return None if waits else row
