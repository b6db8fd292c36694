"""Rows that no program of ours has written: one line that names the table, wherever they are met."""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Callable
from typing import TypeVar

from pickroom.core.errors import StoreError

Record = TypeVar("Record")
_SIGNS = (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError, OverflowError)


def read_any_text(connection: sqlite3.Connection) -> None:
    """Let a connection read texts that are not UTF-8: one of them would end the reading of every row after it.

    Odd bytes become surrogates, as in Python's file names, so that `naming.is_text` knows them.
    """
    connection.text_factory = lambda text: text.decode(errors="surrogateescape")


def wrap_row_errors(table: str) -> Callable[[Callable[..., Record]], Callable[..., Record]]:
    """Let a function that makes a record of a row of this table raise StoreError where the row makes none."""

    def wrap(read: Callable[..., Record]) -> Callable[..., Record]:
        @functools.wraps(read)
        def reading(*arguments: object) -> Record:
            try:
                return read(*arguments)
            except _SIGNS as error:
                what = f"a row of {table} is damaged ({(str(error) or type(error).__name__).splitlines()[0][:120]})"
                hint = "restore the database from a backup: pickroom restore FILE"
                raise StoreError(what, doing="reading the project", hint=hint) from error

        return reading

    return wrap
