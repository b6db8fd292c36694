"""Append-only logs of JSON lines: each write has whole lines, and an incomplete line after a crash loses only
itself."""

import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pickroom.storage import atomic


def append(path: Path, rows: Iterable[Mapping[str, Any]], *, durable: bool = False) -> None:
    """Append one line per row, all in one write; several processes may append at the same time.

    An incomplete last line of a killed process is ended first, so that it does not run into the new lines.

    Args:
        durable: whether the lines are on the disk when this returns, and not only handed to the system.
    """
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    if not data:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            data = b"\n" + data
        while data:  # one call, unless the disk is full: then OSError
            data = data[os.write(descriptor, data) :]
        if durable:
            atomic.sync(descriptor)
            if not size:  # a new name, too
                atomic.sync_folders([path.parent])
    finally:
        os.close(descriptor)


def read(path: Path, holding: str = "") -> Iterator[dict[str, Any]]:
    """The values of every line, oldest first; empty where no file exists. Lines that are not JSON objects are skipped.

    Args:
        holding: only lines with this text in them, which is cheaper than parsing every other one.
    """
    try:
        file = io.TextIOWrapper(atomic.open_plain(path), encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return
    with file:
        for line in file:
            if holding not in line:
                continue
            try:
                values = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(values, dict):
                yield values
