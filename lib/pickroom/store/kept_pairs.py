"""Table `kept_pairs`: duplicates of which the user said that both stay."""

from __future__ import annotations

import sqlite3

from pickroom.store.workspace import utc_now

Side = tuple[str, str]  # an image: its file name and the SHA-256 of its content
KeptPair = tuple[Side, Side]  # in either order; `every` gives the smaller side first


def every(connection: sqlite3.Connection) -> frozenset[KeptPair]:
    """All of them."""
    rows = connection.execute("SELECT name_a, sha256_a, name_b, sha256_b FROM kept_pairs")
    return frozenset(((row["name_a"], row["sha256_a"]), (row["name_b"], row["sha256_b"])) for row in rows)


def keep(connection: sqlite3.Connection, pair: KeptPair) -> None:
    """Both stay, from now on; the time of the first such word counts."""
    first, second = sorted(pair)
    connection.execute(
        """INSERT INTO kept_pairs (name_a, sha256_a, name_b, sha256_b, kept_at) VALUES (?, ?, ?, ?, ?)
        ON CONFLICT (name_a, sha256_a, name_b, sha256_b) DO NOTHING""",
        (*first, *second, utc_now()),
    )


def forget(connection: sqlite3.Connection, pair: KeptPair) -> None:
    """The pair is open again."""
    first, second = sorted(pair)
    connection.execute(
        "DELETE FROM kept_pairs WHERE name_a = ? AND sha256_a = ? AND name_b = ? AND sha256_b = ?", (*first, *second)
    )
