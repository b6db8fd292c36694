"""What is to be done, every image file of a project against what the store has; and the work itself, on one batch.

Nothing is written here. A batch is read once, measured, and goes through the network once: every engine calls
`index_images`.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from pickroom.core.errors import ImageError
from pickroom.core.naming import source_folder
from pickroom.core.records import Image, Ungrouped
from pickroom.features import blocks
from pickroom.features.blocks import BlockRow
from pickroom.features.encoder import Encoder, Pixels
from pickroom.features.reading import EmbedItem, ImageSource
from pickroom.features.store import Key, KnownRow, VectorRow
from pickroom.images import decode, raw
from pickroom.images.scan import ListedImage, list_images
from pickroom.store.workspace import Project

NOT_FINITE = "the vector is not finite"


@dataclass(frozen=True, slots=True)
class IndexTask:
    """What one image lacks: its vector, and blocks by name."""

    item: EmbedItem
    vector: bool = True
    blocks: tuple[str, ...] = ()


@dataclass(slots=True)
class IndexedRows:
    """What a batch came to; `done` counts its images that were read, or cannot be."""

    vectors: list[VectorRow] = field(default_factory=list)
    blocks: list[tuple[str, BlockRow]] = field(default_factory=list)
    done: int = 0


def index_images(encoder: Encoder, source: ImageSource, tasks: Sequence[IndexTask]) -> IndexedRows:
    """The rows that some images lack, or the reason why they cannot be made.

    An image that was moved or changed since the work was planned has no row: the next plan finds it anew. A block whose
    packages this process lacks has none either.
    """
    made = IndexedRows()
    ready: list[tuple[EmbedItem, tuple[int, int], Pixels]] = []
    here, own = blocks.available(), encoder.spec.preprocessing
    assert own is not None
    for task in tasks:
        item = task.item
        try:
            if not source.unchanged(item):
                continue
            least_side = max(own.least_side * task.vector, blocks.LEAST_SIDE * bool(task.blocks))
            rgb, size = source.read(item, least_side)
            pixels = encoder.prepare(rgb) if task.vector else None
            measured = [(name, blocks.measure(name, rgb)) for name in task.blocks if name in here]
            if not source.unchanged(item):  # what was read is what the hash stands for
                continue
            made.blocks += [(name, BlockRow(item.filename, item.content_hash, values)) for name, values in measured]
            if pixels is not None:
                ready.append((item, size, pixels))
        except ImageError as error:
            if not source.unchanged(item):
                continue
            # what the disk did, or an extra that is not installed, does not belong to the content: it is tried again
            if task.vector:
                row = _row(item, (item.width, item.height), None, None, error.reason)
                made.vectors.append(row if error.by_content else replace(row, content_hash=None))
            if error.by_content:
                row_of = BlockRow(item.filename, item.content_hash, None, error.reason)
                made.blocks += [(name, row_of) for name in task.blocks]
        made.done += 1
    if ready:
        features = encoder.encode([pixels for *_, pixels in ready])
        grids = features.patches if features.patches is not None else [None] * len(ready)
        for (item, size, _), vector, grid in zip(ready, features.vectors, grids, strict=True):
            fine = bool(np.isfinite(vector).all())
            values = (vector, grid, None) if fine else (None, None, NOT_FINITE)
            made.vectors.append(_row(item, size, *values))
    return made


def _row(
    item: EmbedItem,
    size: tuple[int | None, int | None],
    vector: np.ndarray | None,
    patches: np.ndarray | None,
    error: str | None,
) -> VectorRow:
    stat, folder = (item.file_size, item.mtime_ns), source_folder(item.directory)
    return VectorRow(item.filename, item.content_hash, *size, *stat, vector, patches, error, folder)


Progress = Callable[[int, int], None]  # (done, of)

_Stat = tuple[str, int, int]  # (filename, file size, mtime in ns): an unmoved or moved file that was not changed


@dataclass(frozen=True, slots=True)
class EmbedPlan:
    """The work, and what needs none. Each image on disk is in exactly one of the five lists."""

    todo: list[EmbedItem] = field(default_factory=list)  # to be embedded, by folder and name
    renamed: list[EmbedItem] = field(default_factory=list)  # known content under a new name: its row is copied
    unchanged: list[EmbedItem] = field(default_factory=list)  # has a row with a vector
    # has a row that says why it has no vector, and is still the same file
    failed: list[EmbedItem] = field(default_factory=list)
    unreadable: list[VectorRow] = field(default_factory=list)  # rows for files whose bytes nobody can read
    # never opened (links, names that are not UTF-8, closed folders), with the reason
    left_out: list[Ungrouped] = field(default_factory=list)
    # what a file's size and time say of its content from now on (it was read to find out)
    learned: list[EmbedItem] = field(default_factory=list)
    places: dict[Key, EmbedItem] = field(default_factory=dict)  # identity -> where the image lies now
    # what images lack, vectors first; the content of several images is read once
    tasks: list[IndexTask] = field(default_factory=list)


def make_plan(
    project: Project,
    known: Mapping[Key, KnownRow],
    scanned: Iterable[Image],
    remembered: Mapping[_Stat, str],
    measured: Mapping[str, Set[str]] | None = None,
    progress: Progress | None = None,
) -> EmbedPlan:
    """Sort every image of a project by what it needs.

    A file keeps its content as long as its size and time stay, wherever it lies; any other file is read and hashed.

    Args:
        known: what the store has.
        scanned: the last scan's images: their hashes and sizes in pixels.
        remembered: (filename, size, time) -> content hash, of files that were read before.
        measured: block -> the content hashes that have it, of each block that can be made here.
        progress: called after each file hashed.

    Raises:
        ProjectError: the image folder is not there.
    """
    entries, left_out = list_images(project)
    plan = EmbedPlan(left_out=left_out)
    pixels: dict[str, tuple[int | None, int | None]] = {i.sha256: (i.width, i.height) for i in scanned}
    hashes: dict[_Stat, str] = dict(remembered)
    hashes |= {(i.filename, i.file_size, i.mtime_ns): i.sha256 for i in scanned}
    for (filename, content), seen in known.items():
        if content and seen.file_size is not None and seen.mtime_ns is not None:
            hashes[filename, seen.file_size, seen.mtime_ns] = content

    without = {entry for entry in entries if not raw.can_read(entry.filename) and _stat(entry) not in hashes}
    left_out += [Ungrouped(entry.directory, entry.filename, raw.NOT_READ) for entry in without]
    entries = [entry for entry in entries if entry not in without]
    # two files of one name, size and time may still differ: those are read
    met = Counter(_stat(entry) for entry in entries)
    unread = [entry for entry in entries if _stat(entry) not in hashes or met[_stat(entry)] > 1]
    found = dict(zip(unread, _hash_all(project.root, unread, progress), strict=True))
    vectors = {digest for (_, digest), row in known.items() if digest and row.error is None and row.whole}
    for entry in entries:
        digest = found[entry] if entry in found else hashes[_stat(entry)]
        if isinstance(digest, ImageError):
            why = digest.reason
            stat, folder = (entry.file_size, entry.mtime_ns), source_folder(entry.directory)
            row = VectorRow(entry.filename, None, None, None, *stat, None, None, why, folder)
            plan.unreadable.append(row)
            continue
        item = EmbedItem(
            entry.directory, entry.filename, digest, entry.file_size, entry.mtime_ns, *pixels.get(digest, (None, None))
        )
        key = (item.filename, digest)
        if key in plan.places:
            continue  # a copy of the same name and content: one image
        plan.places[key] = item
        if entry in found:
            plan.learned.append(item)
        row_known = known.get(key)
        if row_known is not None and row_known.whole:
            (plan.failed if row_known.error else plan.unchanged).append(item)
        elif digest in vectors:
            plan.renamed.append(item)
        else:
            plan.todo.append(item)
            vectors.add(digest)  # the same content under another name is copied, once this one is done
    plan.tasks.extend(_tasks(plan, measured or {}))
    return plan


def _tasks(plan: EmbedPlan, measured: Mapping[str, Set[str]]) -> Iterator[IndexTask]:
    met: set[str] = set()
    unembedded = {(item.filename, item.content_hash) for item in plan.todo}
    others = (item for key, item in plan.places.items() if key not in unembedded)
    for items, vector in ((plan.todo, True), (others, False)):
        for item in items:
            digest = item.content_hash
            blocks = tuple(name for name, known in measured.items() if digest not in known and digest not in met)
            met.add(digest)
            if vector or blocks:
                yield IndexTask(item, vector, blocks)


def stale_rows(
    plan: EmbedPlan, known: Mapping[Key, KnownRow], decided: Mapping[str, set[str]]
) -> Callable[[Key], bool]:
    """Whether a row's image is gone: its name holds other content now, or it can be read again.

    A row stays when no file of its name is left (a reclaimed image was still decided on), and when it is of the
    content that a decision was made on.

    Args:
        known: what the store has.
        decided: file name -> content hashes that decided groups were made of.
    """
    current: dict[str, set[str | None]] = defaultdict(set)
    for filename, digest in plan.places:
        current[filename].add(digest)
    for row in plan.unreadable:
        current[row.filename].add(None)

    def stale(key: Key) -> bool:
        filename, digest = key
        there = current.get(filename)
        if there is None or digest in there:
            return False
        if digest is None:
            return any((filename, other) in known for other in there)
        return digest not in decided.get(filename, ())

    return stale


def _hash_all(root: Path, entries: Sequence[ListedImage], progress: Progress | None) -> list[str | ImageError]:
    def read(entry: ListedImage) -> str | ImageError:
        path = root / entry.directory / entry.filename
        try:
            return decode.content_hash(path)
        except ImageError as error:
            return error
        except OSError as error:
            return ImageError(path, f"unreadable: {error.strerror or error}", by_content=False)

    found: list[str | ImageError] = []
    with ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        for result in pool.map(read, entries):
            found.append(result)
            if progress:
                progress(len(found), len(entries))
    return found


def _stat(entry: ListedImage) -> _Stat:
    return entry.filename, entry.file_size, entry.mtime_ns
