"""Tables `automation_review`, `automation_log`, `automation_cursor`: the automation's review, every key saved at once.

The same words as `review_state`, so that one session can speak to either; the tables are apart so that a choice made
about the automation is never finalised by the ordinary deck.
"""

from __future__ import annotations

import sqlite3

from pickroom.store.choices import ReviewTables, SavedChoice
from pickroom.store.rows import column

_TABLES = ReviewTables(choices="automation_review", log="automation_log", place="automation_cursor")
load, save_choice = _TABLES.load, _TABLES.save_choice
log_step, mark_undone, mark_redone = _TABLES.log_step, _TABLES.mark_undone, _TABLES.mark_redone
steps, clear_log = _TABLES.steps, _TABLES.clear_log
cursor, set_cursor = _TABLES.cursor, _TABLES.set_cursor


def blind_looks(connection: sqlite3.Connection) -> list[tuple[str, SavedChoice]]:
    """(group id, what was chosen) of every group decided here without sight of the recommendation, oldest first."""
    query = """SELECT group_id FROM automation_review
        WHERE input = 'blind' AND action IN ('approve', 'crop', 'reject', 'keep') ORDER BY updated_at, group_id"""
    return list(load(connection, column(connection, query)).items())
