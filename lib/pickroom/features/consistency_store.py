"""Sibling consistency kept: each group is read and compared once, and found again by its members.

Part files under `data/ai_data/cache/consistency/<config hash>/<project>/`, one row a member, keyed by the hash of the
group's members and the file name: other members or other settings, other rows. A cache: deleted, it is made again.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image as PillowImage

from pickroom.core.errors import ImageError
from pickroom.features.candidates import Candidates
from pickroom.features.consistency import NAMES, Consistency, ConsistencyConfig, compare, shape_for
from pickroom.features.device import usable_cores
from pickroom.features.parts import Parts, floats_type
from pickroom.features.sources import FeatureSources
from pickroom.images import decode
from pickroom.storage import atomic
from pickroom.store.workspace import Workspace

Progress = Callable[[int, int], None]  # (groups done, of)
_GROUPS_A_PART = 64  # a kill, or a pause, costs at most so many groups' work: some 10 s
_HASH_DIGITS = 16
_KEY = ("members_hash", "filename", "error")
_SCHEMA = pa.schema(
    [
        pa.field("members_hash", pa.string(), nullable=False),
        pa.field("filename", pa.string(), nullable=False),
        ("values", floats_type("float32", len(NAMES))),
        ("peak", floats_type("float32", 4)),
        ("error", pa.string()),
    ]
)
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
        items: groups of one project.
        progress: called after each group that had to be read.
        stored_only: read no files; other groups have no comparison.

    Raises:
        ProjectError: a project's image folder is not there and something has to be read.
        OSError: the disk is full; what was published before is kept.
    """
    found = FoundConsistency()
    if not items:
        return found
    project_id = items[0].project_id
    cache = _Cache(sources.project(project_id).workspace, project_id, config)
    waiting = cache.missing(items, found)
    if stored_only or not waiting:
        return found
    sources.path(project_id, items[waiting[0]].filenames[0])  # one walk, not one a thread
    # threads: Pillow, NumPy's loops and SciPy's filters free the interpreter lock while they work
    with ThreadPoolExecutor(usable_cores()) as pool:
        for start in range(0, len(waiting), _GROUPS_A_PART):
            some, made = waiting[start : start + _GROUPS_A_PART], []
            for result in pool.map(lambda row: compare_files(items[row], sources, config), some):
                made.append(result)
                if progress:
                    progress(start + len(made), len(waiting))
            cache.keep(items, list(zip(some, made, strict=True)), found)
    return found


class _Cache:
    """The part files of one project and configuration."""

    def __init__(self, workspace: Workspace, project_id: str, config: ConsistencyConfig) -> None:
        labels = {"project_id": project_id, "config": config.hash}
        self.parts = Parts(cache_folder(workspace, config, project_id), "consistency", _SCHEMA, labels, _KEY)

    def missing(self, items: Sequence[Candidates], found: FoundConsistency) -> list[int]:
        """Give what is known of the items; returns the rows of the others."""
        self.parts.set_damaged_aside()
        table, (values, peaks), _ = self.parts.gather(_KEY, {"values": np.float32, "peak": np.float32})
        keys = zip(table["members_hash"].to_pylist(), table["filename"].to_pylist(), strict=True)
        at, errors, unknown = {key: place for place, key in enumerate(keys)}, table["error"].to_pylist(), []
        for row, item in enumerate(items):
            key = members_key(item)
            places = [at[key, name] for name in item.filenames if (key, name) in at]
            error = next((errors[place] for place in places if errors[place]), None)
            if len(places) < len(item.filenames):
                unknown.append(row)
            elif error:
                found.reasons[row] = error
            else:
                found.consistency[row] = Consistency(values[places], peaks[places])
        return unknown

    def keep(
        self, items: Sequence[Candidates], made: Sequence[tuple[int, Consistency | str]], found: FoundConsistency
    ) -> None:
        """Publish what was made as one part, and give it."""
        rows: list[dict[str, Any]] = []
        for row, result in made:
            own = None if isinstance(result, str) else result
            if own is None:
                found.reasons[row] = str(result)
            else:
                found.consistency[row] = own
            key = members_key(items[row])
            if key is None or (own is None and result != DIFFERENT_SHAPES):
                continue
            for place, name in enumerate(items[row].filenames):
                numbers = (own.values[place], own.peaks[place], None) if own else (None, None, result)
                rows.append(dict(zip(_SCHEMA.names, (key, name, *numbers), strict=True)))
        if rows:
            self.parts.publish(pa.Table.from_pylist(rows, schema=_SCHEMA))


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
        sizes = []
        for path in paths:
            with decode.open_image(path) as image:
                sizes.append(decode.upright_size(image))
        shape = shape_for(sizes, config)
        if shape is None:
            return DIFFERENT_SHAPES
        return compare([_levels(path, shape) for path in paths], config)
    except ImageError as error:
        return f"{error.path.name} cannot be read: {error.reason}"


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
