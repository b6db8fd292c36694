"""`processed_images.jsonl`: an append log, one line an image done. It helps to remember; the store alone decides.

A line says which content a file of this name, size and time had, so that a file that was only touched is not read
again. It is never taken as a sign that a vector exists (an earlier system's cache lines had no files behind them).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from pickroom.workspace import utc_now

Outcome = Literal["embedded", "recognised", "error", "imported"]


@dataclass(frozen=True, slots=True)
class Line:
    """One image done: by which encoder, and how it ended."""

    project_id: str
    encoder_id: str
    filename: str
    content_hash: str | None
    file_size: int | None
    mtime_ns: int | None
    outcome: Outcome
    error: str | None = None


class ProcessedLog:
    """The log of a workspace; several processes may append at the same time."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, lines: Iterable[Line]) -> None:
        """Write lines in one go. A torn last line of an earlier, killed process is closed first."""
        text = "".join(json.dumps({**asdict(line), "timestamp": utc_now()}) + "\n" for line in lines)
        if not text:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            size = os.fstat(descriptor).st_size
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            data = (("\n" if torn else "") + text).encode()
            while data:  # one call, unless the disk is full: then OSError
                data = data[os.write(descriptor, data) :]
        finally:
            os.close(descriptor)

    def read(self, project_id: str) -> Iterator[Line]:
        """The lines of one project, oldest first; lines that are torn or foreign are passed over."""
        try:
            file = self.path.open(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return
        with file:
            for text in file:
                if project_id not in text:  # cheaper than parsing every other project's lines
                    continue
                try:
                    values = json.loads(text)
                    values.pop("timestamp", None)
                    line = Line(**values)
                    hash(line)  # a list where a text should be would come up later
                except (ValueError, TypeError, AttributeError, RecursionError):
                    continue
                if line.project_id == project_id:
                    yield line
