"""`processed_images.jsonl`: an append log, one line an image done. It helps to remember; the store alone decides.

A line says which content a file of this name, size and time had, so that a file that was only touched is not read
again. It is never taken as a sign that a vector exists (an earlier system's cache lines had no files behind them).
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from pickroom.storage import append_log
from pickroom.store.workspace import utc_now

Outcome = Literal["embedded", "recognised", "error", "imported"]


@dataclass(frozen=True, slots=True)
class ProcessedLine:
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

    def append(self, lines: Iterable[ProcessedLine]) -> None:
        """Write lines in one go."""
        append_log.append(self.path, ({**asdict(line), "timestamp": utc_now()} for line in lines))

    def read(self, project_id: str) -> Iterator[ProcessedLine]:
        """The lines of one project, oldest first; lines that are torn or foreign are passed over."""
        for values in append_log.read(self.path, holding=project_id):
            values.pop("timestamp", None)
            try:
                line = ProcessedLine(**values)
                hash(line)  # a list where a text should be would come up later
            except TypeError:
                continue
            if line.project_id == project_id:
                yield line
