"""Sibling consistency kept: each group is read and compared once, and found again by its members.

Part files under `data/ai_data/cache/consistency/<config hash>/<project>/`, one row a member, keyed by the hash of the
group's members and the file name: other members or other settings, other rows. A cache: deleted, it is made again.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image as PillowImage

from pickroom.core.errors import ImageError
from pickroom.features.candidates import Candidates
from pickroom.features.consistency import NAMES, Consistency, ConsistencyConfig, compare, shape_for
from pickroom.features.device import usable_cores
from pickroom.features.parts import Parts, rows_of
from pickroom.features.sources import FeatureSources
from pickroom.images import decode
from pickroom.storage import atomic
from pickroom.store.workspace import Workspace

Progress = Callable[[int, int], None]  # (groups done, of)
_GROUPS_A_PART = 64  # a kill, or a pause, costs at most so many groups' work: some 10 s
_HASH_DIGITS = 16
_KEY = ("members_hash", "filename", "error")
DIFFERENT_SHAPES = "the group's images differ in shape"


@dataclass(slots=True)
class FoundConsistency:
    """What is known of some groups."""

    # row of the items asked for -> its comparison, members in the item's order
    consistency: dict[int, Consistency] = field(default_factory=dict)
    reasons: dict[int, str] = field(default_factory=dict)  # row -> why there is none


def cache_folder(workspace: Workspace, config: ConsistencyConfig, project_id: str) -> Path:
    """Where the comparisons of one project by one configuration lie."""
    cache = workspace.root / "data" / "ai_data" / "cache"
    return cache / "consistency" / config.hash[:_HASH_DIGITS] / project_id


def members_key(item: Candidates) -> str | None:
    """The hash of a group's members; None when a content hash is unknown."""
    if None in item.hashes:
        return None
    return hashlib.sha256(json.dumps(sorted(zip(item.filenames, item.hashes, strict=True))).encode()).hexdigest()


def consistency_of(
    items: Sequence[Candidates],
    sources: FeatureSources,
    config: ConsistencyConfig,
    progress: Progress | None = None,
    *,
    stored_only: bool = False,
) -> FoundConsistency:
    """The comparison of each group: from the cache, else made now from the files and kept.

    A group is compared only if its files are those that its hashes name; what cannot be read or found just now is
    given as a reason and tried again next time, members of different shapes are remembered as such.

    Args:
        items: groups of one project or several.
        progress: called after each group that had to be read.
        stored_only: read no files; other groups have no comparison.

    Raises:
        ProjectError: a project's image folder is not there and something has to be read.
        OSError: the disk is full; what was published before is kept.
    """
    found = FoundConsistency()
    by_project: dict[str, list[int]] = {}
    for row, item in enumerate(items):
        by_project.setdefault(item.project_id, []).append(row)
    waiting: dict[str, list[int]] = {}
    for project_id, rows in by_project.items():
        known = _Cache(sources.project(project_id).workspace, project_id, config)
        waiting[project_id] = [row for row in rows if not known.give(row, items[row], found)]
    if stored_only:
        return found
    total, done = sum(map(len, waiting.values())), 0
    for project_id, rows in waiting.items():
        cache = _Cache(sources.project(project_id).workspace, project_id, config, read=False)
        todo = iter(rows)
        while some := list(islice(todo, _GROUPS_A_PART)):
            made: list[tuple[int, Consistency | str]] = []
            for row, result in zip(some, _in_parallel([items[row] for row in some], sources, config), strict=True):
                made.append((row, result))
                done += 1
                if progress:
                    progress(done, total)
            cache.keep(items, made, found)
    return found


class _Cache:
    """The part files of one project and configuration."""

    def __init__(self, workspace: Workspace, project_id: str, config: ConsistencyConfig, *, read: bool = True) -> None:
        self.config = config
        schema = pa.schema(
            [
                pa.field("members_hash", pa.string(), nullable=False),
                pa.field("filename", pa.string(), nullable=False),
                ("values", _floats(len(NAMES))),
                ("peak", _floats(4)),
                ("error", pa.string()),
            ]
        )
        labels = {"project_id": project_id, "config": config.hash}
        self.parts = Parts(cache_folder(workspace, config, project_id), "consistency", schema, labels, _KEY)
        self.rows: dict[tuple[str, str], int] = {}
        if read:
            self._read()

    def _read(self) -> None:
        self.parts.set_damaged_aside()
        table = self.parts.table(self.parts.schema.names)
        self.errors = table["error"].to_pylist()
        self.columns = {}
        for name in ("values", "peak"):
            out = np.zeros((table.num_rows, self.parts.schema.field(name).type.list_size), dtype=np.float32)
            rows_of(table[name], out)
            self.columns[name] = out
        keys = zip(table["members_hash"].to_pylist(), table["filename"].to_pylist(), strict=True)
        self.rows = {key: row for row, key in enumerate(keys)}

    def give(self, row: int, item: Candidates, found: FoundConsistency) -> bool:
        """Whether the group is known; what is known goes to `found`."""
        key = members_key(item)
        if key is None:
            return False
        places = [place for name in item.filenames if (place := self.rows.get((key, name))) is not None]
        if len(places) < len(item.filenames):
            return False
        error = next((self.errors[place] for place in places if self.errors[place]), None)
        if error:
            found.reasons[row] = error
        else:
            found.consistency[row] = Consistency(self.columns["values"][places], self.columns["peak"][places])
        return True

    def keep(
        self, items: Sequence[Candidates], made: Sequence[tuple[int, Consistency | str]], found: FoundConsistency
    ) -> None:
        """Publish what was made as one part, and give it."""
        columns: dict[str, list[Any]] = {name: [] for name in self.parts.schema.names}
        for row, result in made:
            if isinstance(result, Consistency):
                found.consistency[row] = result
            else:
                found.reasons[row] = result
            key = members_key(items[row])
            lasting = isinstance(result, Consistency) or result == DIFFERENT_SHAPES
            if key is None or not lasting:
                continue
            for place, name in enumerate(items[row].filenames):
                columns["members_hash"].append(key)
                columns["filename"].append(name)
                known = result if isinstance(result, Consistency) else None
                columns["values"].append(known.values[place] if known else None)
                columns["peak"].append(known.peaks[place] if known else None)
                columns["error"].append(None if known else result)
        if columns["filename"]:
            self.parts.publish(pa.table(columns, schema=self.parts.schema))


def _floats(length: int) -> pa.DataType:
    return pa.list_(pa.field("element", pa.float32(), nullable=False), length)


def _in_parallel(
    items: Sequence[Candidates], sources: FeatureSources, config: ConsistencyConfig
) -> Iterator[Consistency | str]:
    # threads: Pillow, NumPy's loops and SciPy's filters free the interpreter lock while they work
    for item in items[:1]:
        sources.path(item.project_id, item.filenames[0])  # one walk, not one a thread
    with ThreadPoolExecutor(usable_cores()) as pool:
        yield from pool.map(lambda item: compare_files(item, sources, config), items)


def compare_files(item: Candidates, sources: FeatureSources, config: ConsistencyConfig) -> Consistency | str:
    """Read a group's files and compare them, or why they cannot be."""
    paths = []
    for name, digest in zip(item.filenames, item.hashes, strict=True):
        path = sources.path(item.project_id, name, digest)
        if path is None:
            return f"{name} is not on disk"
        try:
            if digest is not None and atomic.sha256_of(path) != digest:
                return f"{name} has other content than it had when the group was made"
        except OSError as error:
            return f"{name} cannot be read: {error.strerror or error}"
        paths.append(path)
    try:
        sizes = [_size(path) for path in paths]
        shape = shape_for(sizes, config)
        if shape is None:
            return DIFFERENT_SHAPES
        return compare([_levels(path, shape) for path in paths], config)
    except ImageError as error:
        return f"{error.path.name} cannot be read: {error.reason}"


def _size(path: Path) -> tuple[int, int]:
    with decode.open_image(path) as image:
        return decode.upright_size(image)


def _levels(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """A member at the shape of the comparison, (height, width, 3) uint8 YCbCr.

    A JPEG is decoded at the smallest of its scales that is not smaller: a reduced decode is a box filter over the
    coefficients, and the resize to the shape follows it either way.
    """
    height, width = shape
    rgb = decode.read_rgb(path, draft=min(height, width))
    if rgb.size != (width, height):
        rgb = rgb.resize((width, height), PillowImage.Resampling.BICUBIC)
    return np.asarray(rgb.convert("YCbCr"))
