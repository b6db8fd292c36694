"""Logs of JSON lines that only grow: whole lines in one write, and a line that a crash has torn costs only itself."""

import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pickroom.storage import atomic


def append(path: Path, rows: Iterable[Mapping[str, Any]], *, durable: bool = False) -> None:
    """Add one line a row, all in one write; several processes may append at the same time.

    The torn last line of a killed process is ended first, so that it stays alone on its line.

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
    """Every line's values, oldest first, none where no file exists; what is not a JSON object is passed over.

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
