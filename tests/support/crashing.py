"""Kill a function of this package before each step it takes: what it does to files, and its SQL."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sqlite3
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pickroom.storage import atomic


class Steps:
    """Counts what this process, a child, is about to do to a file or to the database; kills it at a given count."""

    def __init__(self, kill_at: int | None) -> None:
        self.count, self._kill_at = 0, kill_at
        self._seen: set[str] = set()
        for owner, name in (
            (atomic, "_kernel_rename"),
            (os, "link"),
            (os, "unlink"),
            (os, "replace"),
            (os, "mkdir"),
            (os, "fsync"),
            (os, "ftruncate"),
            (tempfile, "mkstemp"),
        ):
            setattr(owner, name, self._counted(getattr(owner, name)))
        shutil.copyfileobj = self._copy_in_halves
        opening = sqlite3.connect

        def connect_and_watch(*arguments: Any, **options: Any) -> sqlite3.Connection:
            connection = opening(*arguments, **options)
            connection.set_trace_callback(self._statement)
            return connection

        sqlite3.connect = connect_and_watch  # type: ignore[assignment]

    def next(self) -> None:
        self.count += 1
        if self.count == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def _counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            self.next()
            return function(*arguments, **options)

        return counted

    def _copy_in_halves(self, reader: Any, writer: Any, length: int = 0) -> None:
        content = reader.read()
        writer.write(content[: len(content) // 2])
        writer.flush()
        self.next()
        writer.write(content[len(content) // 2 :])

    def _statement(self, sql: str) -> None:
        """Each BEGIN and COMMIT, and the first write of each kind in between."""
        words = sql.split()
        kind = " ".join(words[:3]) if words[0] in ("INSERT", "UPDATE", "DELETE") else words[0]
        if kind in ("BEGIN", "COMMIT", "ROLLBACK"):
            self._seen.clear()
        elif kind in self._seen or words[0] not in ("INSERT", "UPDATE", "DELETE"):
            return
        self._seen.add(kind)
        self.next()


@dataclass(frozen=True)
class Way:
    """How files get from one folder to another."""

    link: bool = False  # no rename without replacing: link and unlink

    def enter(self) -> None:
        """In the child: see the file system this way."""
        if self.link:
            atomic._kernel_rename = lambda source, destination: errno.ENOSYS  # type: ignore[assignment]


def run(way: Way, act: Callable[[Any], None], place: Any, kill_at: int | None = None) -> int:
    way.enter()
    steps = Steps(kill_at)
    act(place)
    steps.next()  # killed after everything, before the process could end by itself
    return steps.count
