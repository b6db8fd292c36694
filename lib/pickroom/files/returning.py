"""Return unexplained images to where they belong, and make duplicate names unique.

Nothing is deleted and nothing overwritten; the moves are one batch of the journal, so that `undo --batch` takes them
back.
"""

import contextlib
import json
import re
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice
from pathlib import Path

from pickroom import integrity
from pickroom.core import naming
from pickroom.core.companions import renamed
from pickroom.core.naming import filename_of, folder_of, join, marked_name, sidecar_name, source_folder, split, stem_of
from pickroom.core.records import FileOp
from pickroom.files.batch import Batch, run_batch
from pickroom.files.journal import RENAME, Outcome
from pickroom.files.preflight import DiskSnapshot, ImageFolder, held_reason
from pickroom.images.scan import walk
from pickroom.integrity.whereabouts import Whereabouts
from pickroom.storage import atomic
from pickroom.store import images, operations
from pickroom.store.operations import RETURN
from pickroom.store.workspace import Project

_MOST_WAYS = 1000  # to look for a free name
_MOST_BYTES = 1 << 20  # of a sidecar: it holds one line
_SET_ASIDE = re.compile(r"\.(undone|recovered)-\d+(-\d+)?$")  # the stem of a crop that was taken back
RECOVERED = "recovered"  # a folder of sources, for images of which nothing says where they came from

Place = tuple[str, str | None]  # (path, sha256)
_WORDS = {
    "journal": "to where the journal has them",
    "scan": "to the folder they were scanned in",
    "copy": f"set aside in {naming.STAGING}/: crops whose original goes back, and second copies",
    "unknown": f"to {RECOVERED}/: no table knows where they came from",
}


@dataclass(frozen=True, slots=True)
class Return:
    """One image that nothing explains: the steps that take it back, or why it stays."""

    path: str
    ops: tuple[FileOp, ...] = ()
    why: str = ""  # a key of `_WORDS`; "" when it stays
    held: str = ""  # why it stays

    @property
    def line(self) -> str:
        """One line: from where to where, or why not."""
        return f"{self.path}: stays: {self.held}" if self.held else f"{self.path} -> {self.ops[0].destination}"


def summary(returns: Sequence[Return]) -> list[str]:
    """How many go where, in words."""
    counts = Counter(one.why for one in returns if not one.held)
    lines = [f"{counts[why]} {words}" for why, words in _WORDS.items() if counts[why]]
    held = sum(bool(one.held) for one in returns)
    return [*lines, *([f"{held} stay where they are"] if held else [])]


def plan(project: Project, connection: sqlite3.Connection) -> list[Return]:
    """Where each image that nothing explains would go. Changes nothing; a dry run and the real one both look by this.

    Raises StoreError and FileOperationError as `integrity.whereabouts`.
    """
    found = integrity.whereabouts(project)
    if not found.unexplained:
        return []
    return _Planner(project, connection, found).plan()


def execute(project: Project, connection: sqlite3.Connection) -> tuple[int, list[Return], Outcome]:
    """Return every image that nothing explains; (the batch's number, what was planned, what came of it).

    Raises LockedError, ProjectError and StoreError as `run_batch`; FileOperationError where a folder cannot be listed.
    """
    with run_batch(project, connection, "returning images") as batch:
        returns = plan(project, connection)
        batch.plan(op for one in returns for op in one.ops)
        return batch.number, returns, batch.run()


class _Planner:
    """What is known of the names concerned, and what this plan has used already."""

    def __init__(self, project: Project, connection: sqlite3.Connection, found: Whereabouts) -> None:
        self._root, self._connection, self._found = project.root, connection, found
        self._batch, self._disk = operations.next_batch(connection), DiskSnapshot(project.root)
        self._strange = Counter(filename_of(path) for path in found.unexplained)
        # name -> (path, sha256) where the journal has it, or the scan met it; None: it could not be read
        self._placed: dict[str, list[Place]] = defaultdict(list)
        self._scanned: dict[str, list[Place]] = defaultdict(list)
        for path, step in found.placed.items():
            if filename_of(path) in self._strange:
                self._placed[filename_of(path)].append((path, operations.of_id(connection, step).sha256))
        for image in images.readable(connection):
            if image.filename in self._strange:
                self._scanned[image.filename].append((join(image.directory, image.filename), image.sha256))
        for item in images.left_out(connection):
            path = join(item.directory, item.filename)
            if item.filename in self._strange and path not in dict(self._scanned[item.filename]):
                self._scanned[item.filename].append((path, None))
        self._returned: set[tuple[str, str]] = set()  # (name, sha256)
        self._moved: set[str | None] = set()

    def plan(self) -> list[Return]:
        """One entry per image; those whose content is known choose first where they go."""
        held, contents = [], {}
        for path in self._found.unexplained:
            try:
                contents[path] = atomic.sha256_of(self._root / path)
            except OSError as error:
                held.append(Return(path, held=f"it cannot be read: {error.strerror}"))
        known = sorted(contents, key=lambda path: (contents[path] not in self._known(filename_of(path)), path))
        return sorted([*held, *(self._return(path, contents[path]) for path in known)], key=lambda one: one.path)

    def _of(self, places: Sequence[Place], path: str, sha256: str) -> list[Place]:
        """Those of the places of a name that may be a file's: its folder says it below those of a mirrored project."""
        below = source_folder(folder_of(path))
        own = [one for one in places if one[1] == sha256 or source_folder(folder_of(one[0])) in (below, "")]
        return own if below and own else list(places)

    def _known(self, name: str) -> set[str | None]:
        return {content for _, content in (*self._placed[name], *self._scanned[name])}

    def _return(self, path: str, sha256: str) -> Return:
        try:
            for destination, why in islice(self._ways(path, sha256), _MOST_WAYS):
                ops = self._steps(path, sha256, destination)
                if self._disk.reserve(ops) is None:
                    self._moved |= {op.source for op in ops}
                    self._returned.add((filename_of(path), sha256))
                    return Return(path, ops, why)
        except OSError as error:
            return Return(path, held=held_reason(error))
        return Return(path, held="every place it could go to is taken")

    def _ways(self, path: str, sha256: str) -> Iterator[tuple[str, str]]:
        """(destination, why), the best first; the last never end."""
        name, top = filename_of(path), path.partition("/")[0]
        placed, scanned = self._of(self._placed[name], path, sha256), self._of(self._scanned[name], path, sha256)
        for there, content in placed:
            if content == sha256 and there not in self._found.here:
                yield there, "journal"
        standing = [content for there, content in placed if there in self._found.here]
        at_source = [there for there, _ in scanned if (self._root / there).is_file()]
        second = sha256 in standing or (name, sha256) in self._returned
        second = second or any(atomic.sha256_of(self._root / there) == sha256 for there in at_source)
        if not second and not standing:
            yield from ((there, "scan") for there, content in scanned if content in (None, sha256))
        other = bool(standing or at_source) or self._strange[name] > 1
        known = self._known(name)
        # a crop, or one that was cropped again: the image that it was made from is there, and is another
        made = sha256 not in known and (top == naming.CROPPED or (top == naming.STAGING and bool(known)))
        if second or (other and made) or _SET_ASIDE.search(stem_of(name)):
            yield from ((there, "copy") for there in self._numbered(naming.STAGING, path))
        if not other and len(scanned) == 1:  # it has changed since it was scanned
            yield from ((there, "scan") for there, _ in scanned)
        yield join(RECOVERED, name), "unknown"
        yield from ((there, "unknown") for there in self._numbered(RECOVERED, path))

    def _numbered(self, folder: str, path: str) -> Iterator[str]:
        here, name = split(path)
        limit = self._disk.name_limit(folder, name, self._disk.companions_of(here, name))
        for number in count(1):
            mark = f"recovered-{self._batch}" + f"-{number}" * (number > 1)
            yield join(folder, marked_name(name, mark, limit))

    def _steps(self, path: str, sha256: str, destination: str) -> tuple[FileOp, ...]:
        """The image, then its companions; a sidecar that waits for a crop goes where no crop is waited for any more."""
        (here, name), (folder, new_name) = split(path), split(destination)
        waits = folder in (naming.CROP, naming.CROP_AUTO)
        first = FileOp(self._batch, RETURN, path, "move", path, destination, sha256)
        ops = [first]
        for file, content in self._disk.companions_of(here, name):
            source = join(here, file)
            if source in self._moved:
                continue
            there = join(folder, renamed(file, name, new_name))
            text = self._sidecar(source) if file == sidecar_name(name) and not waits else None
            if text is None:
                ops.append(replace(first, source=source, destination=there, sha256=content))
            else:
                ops.append(replace(first, op="remove", source=source, destination=None, sha256=content, content=text))
        sidecar = join(folder, sidecar_name(new_name))
        lacking = waits and sidecar not in {op.destination for op in ops} and not (self._root / sidecar).exists()
        written = operations.standing_write(self._connection, sidecar) if lacking else None
        if written is not None:
            ops.append(replace(written, batch=self._batch, kind=RETURN, unit=path, id=None, state="planned"))
        return tuple(ops)

    def _sidecar(self, path: str) -> str | None:
        """The text of a sidecar that Pickroom wrote, None for any other file of that name."""
        with contextlib.suppress(OSError, ValueError, RecursionError):
            text = atomic.read_small(self._root / path, _MOST_BYTES).decode()
            values = json.loads(text)
            return text if isinstance(values, dict) and "group_id" in values else None
        return None


def prefix_duplicates(
    project: Project, folder: ImageFolder, connection: sqlite3.Connection, avoid: frozenset[Path] = frozenset()
) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """Put its folder's name in front of every image, in a sub-folder, whose name another folder has too.

    `b/x.png` and `a/x.png` become `b/b_x.png` and `a/a_x.png`, companions with them. Names that would grow
    too long or are taken, and files that cannot be read, stay as they are; the scan lists them.

    Args:
        folder: the project's, held open.
        avoid: absolute paths of folders that hold no sources.

    Returns:
        (old path, new path) of each image renamed, relative to the root; and a line on those that were not, if any.
    """
    entries, _ = walk(project.root, project.manifest.allowed_extensions, avoid)
    by_name = defaultdict(list)
    for entry in entries:
        by_name[entry.filename].append(entry)
    disk, batch = DiskSnapshot(project.root), Batch(connection, folder)
    ops: list[FileOp] = []
    held: list[str] = []
    for entry in (e for same in by_name.values() if len(same) > 1 for e in same if e.directory):
        here, unit = entry.directory, join(entry.directory, entry.filename)
        names = entry.filename, f"{here.replace('/', '_')}_{entry.filename}"
        try:
            files = [(entry.filename, atomic.sha256_of(project.root / unit))]
            files += disk.companions_of(here, entry.filename)
        except OSError as error:
            held.append(held_reason(error))
            continue
        steps = [
            FileOp(batch.number, RENAME, unit, "move", join(here, name), join(here, renamed(name, *names)), sha256)
            for name, sha256 in files
        ]
        reason = disk.reserve(steps)
        if reason is None:
            ops += steps
        else:
            held.append(f"{unit}: {reason}")
    batch.plan(ops)
    outcome = batch.run()
    done = set(outcome.done)
    held += [f"{unit}: {reason}" for unit, reason in (outcome.failed | outcome.stuck).items()]
    count = "1 image was" if len(held) == 1 else f"{len(held)} images were"
    words = (f"{count} not renamed (the first: {min(held)})",) if held else ()
    images = [op for op in ops if op.unit == op.source and op.unit in done]
    return tuple((op.source, op.destination) for op in images if op.source and op.destination), words
