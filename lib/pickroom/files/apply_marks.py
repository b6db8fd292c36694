"""Move marked images to their folders as one journalled batch, for sorter, folder viewer and duplicates.

The marks are read from the store, never from a screen. An image that cannot go is held back with its reason, with its
companions; the others go on.
"""

import sqlite3
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from pickroom.core import naming
from pickroom.core.naming import join, mirrored, source_folder, stem_of
from pickroom.core.records import FileOp
from pickroom.files import rating
from pickroom.files.batch import run_batch
from pickroom.files.journal import BROWSE, SORT
from pickroom.files.preflight import DiskSnapshot, HeldError, held_reason, left_in_words
from pickroom.files.routing import RATED, Verdict
from pickroom.storage import atomic
from pickroom.store import groups, images, marks, operations
from pickroom.store.marks import BoardKind, Mark
from pickroom.store.workspace import Project

IN_A_GROUP = "waiting for review in a group"
DECIDED, LOOKED_AT = "it was decided in its group", "it was kept or set aside: undo the batch that did it"
# of an image whose mark leads there
_VERDICTS: dict[str, Verdict] = {naming.SELECTED: "kept", naming.STAGING: "rejected"}
# folders whose images wait for something else, and the reason that is shown
_TAKEN = {
    naming.CROP: "it waits for its crop: the crop desk has it",
    naming.CROP_AUTO: "it waits for its crop: the crop desk has it",
    naming.CROP_ORIGINALS: "it is the original of a crop",
    naming.STAGING: "it was set aside: undo the batch that did it",
}


@dataclass(frozen=True, slots=True)
class Placement:
    """One marked image: the steps that take it to its folder, or why it is held back."""

    mark: Mark
    ops: tuple[FileOp, ...] = ()
    held: str | None = None
    staying: tuple[str, ...] = ()  # see `PlaceResult`


@dataclass(frozen=True, slots=True)
class PlaceResult:
    """What an apply did."""

    batch: int | None  # its number, for `undo --batch`; None when nothing was done
    # destination folder -> images that went there, or were rated so
    counts: dict[str, int] = field(default_factory=dict)
    # path -> reason, for images that stay where they are; stuck: those that `pickroom recover` must finish
    held: dict[str, str] = field(default_factory=dict)
    stuck: dict[str, str] = field(default_factory=dict)
    project_id: str = ""  # whose batch it is
    staying: tuple[str, ...] = ()  # files whose names begin as a moved image's, and that belong to none: they stayed
    in_place: bool = False  # whether images were rated and stayed

    @property
    def line(self) -> str:
        """One line for the user."""
        going = [f"{count} → {destination_words(to, self.in_place)}" for to, count in sorted(self.counts.items())]
        parts = [", ".join(going) or "no image"]
        if self.held:
            path, reason = next(iter(self.held.items()))
            parts.append(f"{len(self.held)} held back (the first: {path}: {reason})")
        if self.stuck:
            parts.append(f"{len(self.stuck)} unfinished: run `pickroom recover {self.project_id}`")
        parts += left_in_words(self.staying)
        return f"Batch {self.batch}: {'; '.join(parts)}" if self.batch else f"Nothing moved: {'; '.join(parts)}"


def unavailable_images(project: Project, connection: sqlite3.Connection, paths: Collection[str]) -> dict[str, str]:
    """Path -> why no board (sorter, folder viewer, duplicates) may move the image, for those it may not."""
    found = {path: _TAKEN[top] for path in paths if (top := path.partition("/")[0]) in _TAKEN and "/" in path}
    waiting = {join(i.directory, i.filename) for group in groups.queue(connection, project.id) for i in group.images}
    if project.manifest.in_place is not None:  # else these have moved, and other files may lie there now
        settled = {join(*one): DECIDED for one in groups.decided_images(connection)}
        settled |= {join(*one): LOOKED_AT for one in marks.taken(connection, BROWSE)}
        found |= {path: settled[path] for path in paths if path in settled}
    return found | {path: IN_A_GROUP for path in paths if path in waiting}


def destination_words(folder: str, in_place: bool) -> str:
    """Where a mark leads, in words: a folder, or what the image is rated where it stays."""
    return RATED[_VERDICTS[folder]] if in_place and folder in _VERDICTS else f"{folder}/"


def plan(
    project: Project, connection: sqlite3.Connection, board: BoardKind, wanted: Sequence[Mark], batch: int
) -> list[Placement]:
    """What applying these marks would do. Changes nothing; a dry run and the real one both look by this.

    `board` is the kind of the journal's steps, `batch` the number to plan for.
    """
    disk, in_place = DiskSnapshot(project.root), project.manifest.in_place
    known = images.known_hashes(connection)
    refused = unavailable_images(project, connection, [mark.path for mark in wanted])
    sorted_into = marks.folders(connection) if board == SORT else []
    placements = []
    for mark in wanted:
        directory, name, path = mark.directory, mark.filename, project.path(mark.directory, mark.filename)
        try:
            if mark.path in refused:
                raise HeldError(refused[mark.path])
            if path.is_symlink() or not path.is_file():
                raise HeldError("it has vanished since it was marked")
            info = path.stat()
            if info.st_size != mark.file_size or not _is_same_time(info.st_mtime_ns, mark.mtime_ns):
                raise HeldError("it has changed since it was marked: look at it and mark it again")
            if disk.companions_in(directory).shares_stem(name):
                raise HeldError(f"ambiguous stem: another image is named {stem_of(name)} too")
            if in_place is not None:
                if mark.folder not in _VERDICTS:
                    raise HeldError("a project that is rated in place keeps images, or sets them aside: clear its mark")
                begun = FileOp(batch, board, mark.path, "write", None, None, "")
                rated = rating.rated(_VERDICTS[mark.folder])
                ops, staying = [rating.step(disk, directory, name, rated, in_place, begun)], tuple[str, ...]()
            else:
                folder = mark.folder
                if project.is_mirrored:
                    # below it, the image's sub-folder, without the sorter's folder that it lies in so far
                    below = source_folder(directory)
                    first, _, rest = below.partition("/")
                    folder = mirrored(folder, rest if first in sorted_into else below)
                sha256 = known.get((name, info.st_size, info.st_mtime_ns)) or atomic.sha256_of(path)
                files = [(name, sha256), *disk.companions_of(directory, name)]
                ends = [(join(directory, file), join(folder, file), content) for file, content in files]
                ops = [FileOp(batch, board, mark.path, "move", *places) for places in ends]
                staying = disk.left_beside(directory, [name])
            disk.require_free(ops)
            placements.append(Placement(mark, tuple(ops), staying=staying))
        except (HeldError, OSError) as error:
            placements.append(Placement(mark, held=held_reason(error)))
    return placements


def _is_same_time(now: int, then: int) -> bool:
    """Whether a file's time is the one it had, in ns; also where it was rounded on its way: FAT and exFAT keep two
    seconds, or hundredths of one."""
    rounded = now % 10_000_000 == 0 or then % 10_000_000 == 0
    return now == then or (rounded and abs(now - then) <= 2_000_000_000)


def place(project: Project, connection: sqlite3.Connection, board: BoardKind, paths: Collection[str]) -> PlaceResult:
    """Apply the marks of these images as one batch; marks are read from the store.

    Raises LockedError, ProjectError, FileOperationError and StoreError as `run_batch`.
    """
    with run_batch(project, connection, "moving marked images") as batch:
        wanted = [mark for mark in marks.waiting(connection, board) if mark.path in paths]
        planned = plan(project, connection, board, wanted, batch.number)
        ops = [op for item in planned for op in item.ops]
        placements = batch.commit(ops, lambda: _write(connection, board, planned, batch.number))
        outcome = batch.run()
    done = set(outcome.done)
    going = [p for p in placements if p.held is None]
    counts = Counter(p.mark.folder for p in going if p.mark.path in done)
    held = {p.mark.path: p.held for p in placements if p.held is not None} | outcome.failed
    staying = tuple(dict.fromkeys(path for p in going if p.mark.path in done for path in p.staying))
    number, in_place = batch.number if going else None, project.manifest.in_place is not None
    return PlaceResult(number, dict(counts), held, outcome.stuck, project.id, staying, in_place)


def _write(
    connection: sqlite3.Connection, board: BoardKind, placements: Sequence[Placement], batch: int
) -> list[Placement]:
    """Write marks and steps; returns the plan as it went in."""
    stored = {mark.path: mark for mark in marks.waiting(connection, board)}
    settled = []
    for item in placements:
        now = stored.get(item.mark.path)
        if item.held is None and (now is None or replace(now, held_reason=item.mark.held_reason) != item.mark):
            item = Placement(item.mark, held="another window marked it anew while this was being applied")
        settled.append(item)
        if item.held is not None:
            marks.hold(connection, board, item.mark.path, item.held)
        else:
            operations.plan(connection, item.ops)
            marks.take(connection, board, item.mark.path, batch)
    if any(item.held is None for item in settled):
        marks.log_of(board).clear(connection)
    return settled
