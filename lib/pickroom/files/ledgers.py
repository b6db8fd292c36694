"""Who answers for which kind of journalled step. A new kind of file plan adds its line here."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from pickroom.files import renames, routing
from pickroom.files.journal import Ledger
from pickroom.store import decisions, review_state


class ReviewLedger:
    """A finalised group: its decision exists exactly as long as its files lie where it says."""

    def failed(self, connection: sqlite3.Connection, unit: str, reason: str) -> None:
        decisions.delete(connection, [unit])
        review_state.hold(connection, unit, reason)

    def undone(self, connection: sqlite3.Connection, unit: str) -> None:
        decisions.delete(connection, [unit])


LEDGERS: Mapping[str, Ledger] = {routing.KIND: ReviewLedger(), renames.KIND: renames.RenameLedger()}
