"""The large logs by the column: selections, and single images cropped. See columns.py for what that means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pickroom.history import columns
from pickroom.history.arrays import text, to_arrow, to_numpy
from pickroom.history.columns import Columns, Projects, box_texts, iso_times, last_part, matches
from pickroom.history.facts import BOXED, FULL_FRAME, Facts
from pickroom.history.formats.crop_training import CROP_TRAINING
from pickroom.history.formats.protocol import BOX_COLUMNS, Format, places
from pickroom.history.formats.select_crop import SELECT_CROP
from pickroom.history.formats.selections import ANOMALY_CASES, SELECTION_ONLY
from pickroom.history.tables import Batch
from pickroom.history.values import FULL_FRAME_TOLERANCE
from pickroom.naming import stage_of

# Takes the clean rows of a plain batch; returns the places of those that it did not.
Lane = Callable[[Batch], Sequence[int]]

_NUMBER = r"^\d{1,7}(?:\.\d{1,12})?$"
_SIDE = r"^[1-9]\d{0,5}$"
_STAMPED = r"^\d{8}_\d{6}_"
_STAMP_LENGTH = len("20250728_040606")


def lane_for(known: Format, header: Sequence[str], facts: Facts, delimiter: str) -> Lane | None:
    """The fast way for a file, None where there is none."""
    if "project" in header:
        return None
    if known in (SELECTION_ONLY, ANOMALY_CASES) and "timestamp" in header:
        return _selection_lane(header, facts, delimiter)
    if known is SELECT_CROP:
        return _crop_lane(header, facts, delimiter)
    if known is CROP_TRAINING:
        return _training_lane(header, facts, delimiter)
    return None


def _selection_lane(header: Sequence[str], facts: Facts, delimiter: str) -> Lane:
    rejected = "neg_paths" if "neg_paths" in header else "rejected_paths"
    wanted = [header.index(name) for name in ("chosen_path", rejected, "timestamp")]
    projects = Projects(facts)

    def take(batch: Batch) -> Sequence[int]:
        found = columns.split(batch, len(header), wanted, delimiter)
        if found is None:
            return range(len(batch.texts))
        chosen_at, rejected_at, time_at = wanted
        times = found[time_at]
        found = found.where(
            matches(found[chosen_at], columns.PATH)
            & matches(found[rejected_at], columns.PATH_LIST)
            & (matches(times, columns.TIME) | matches(times, columns.STAMP))
        )
        if not len(found.places):
            return range(len(batch.texts))
        folders, chosen = last_part(found[chosen_at])
        lists = pc.split_pattern(pc.utf8_slice_codeunits(found[rejected_at], 2, -2), '", "')
        offsets = to_numpy(lists.offsets)
        starts = offsets[:-1]
        row = np.repeat(np.arange(len(lists)), np.diff(offsets))
        other_folders, others = last_part(lists.flatten())

        own = projects.of_folders(folders)
        theirs = projects.of_folders(other_folders)
        most = np.maximum.reduceat(theirs, starts)
        least = np.minimum.reduceat(np.where(theirs == Projects.NONE, most[row], theirs), starts)
        agreed = np.where(most == least, projects.agreed(own, most), Projects.SEVERAL)

        bad = ~matches(others, columns.FILE_NAME)
        bad |= to_numpy(pc.equal(others, chosen.take(to_arrow(row))))
        # rising names are distinct, and in the order that pick_key sorts them into
        rising = to_numpy(pc.less(others.slice(0, len(others) - 1), others.slice(1)))
        bad[1:] |= ~rising & (row[1:] == row[:-1])
        keep = (agreed >= 0) & matches(chosen, columns.FILE_NAME) & ~np.logical_or.reduceat(bad, starts)

        names = pa.ListArray.from_arrays(lists.offsets, others)
        joined = pc.binary_join_element_wise(text('["'), pc.binary_join(names, text('", "')), text('"]'), text(""))
        mask, taken = to_arrow(keep), found.places[keep]
        rows = zip(
            projects.texts(agreed[keep]),
            *(column.filter(mask).to_pylist() for column in (chosen, joined, iso_times(found[time_at]))),
            np.asarray(batch.lines)[taken].tolist(),
            strict=True,
        )
        file = facts.file
        facts.selections += [(hash((p, c, t, o)), p, c, o, t, file, line) for p, c, o, t, line in rows]
        return _rest(batch, taken)

    return take


@dataclass(frozen=True, slots=True)
class _CropColumns:
    """Where the columns lie that say a crop: `evidence` reads projects off the one at `project`."""

    name: int
    time: int
    edges: Sequence[int]
    sides: Sequence[int]
    project: int
    evidence: Callable[[pa.Array], np.ndarray]

    def places(self) -> list[int]:
        return [self.name, self.time, *self.edges, *self.sides, self.project]


def _crop_lane(header: Sequence[str], facts: Facts, delimiter: str) -> Lane | None:
    names = ("image_count", "chosen_index", "image_0_path", "image_1_path", "directory", "chosen_path", "timestamp")
    *single_at, folder_at, chosen_at, time_at = places(header, *names)
    projects = Projects(facts)
    edges_at, sides_at = places(header, *BOX_COLUMNS), places(header, "width_0", "height_0")
    at = _CropColumns(chosen_at, time_at, edges_at, sides_at, folder_at, projects.of_folders)
    wanted = [*single_at, *at.places()]
    if min(wanted) < 0:
        return None
    count_at, index_at, first_at, second_at = single_at

    def take(batch: Batch) -> Sequence[int]:
        found = columns.split(batch, len(header), wanted, delimiter)
        if found is None:
            return range(len(batch.texts))
        single = to_numpy(pc.equal(found[chosen_at], found[first_at]))
        for place, wanted_text in ((count_at, "1"), (index_at, "0"), (second_at, "")):
            single &= to_numpy(pc.equal(found[place], text(wanted_text)))
        return _take_crops(batch, found.where(single), at, projects, facts)

    return take


def _training_lane(header: Sequence[str], facts: Facts, delimiter: str) -> Lane | None:
    name_at, time_at, project_at = places(header, "filename", "timestamp", "project_id")
    projects = Projects(facts)
    edges_at, sides_at = places(header, *BOX_COLUMNS), places(header, "width", "height")
    at = _CropColumns(name_at, time_at, edges_at, sides_at, project_at, projects.of_column)
    if min(at.places()) < 0:
        return None

    def take(batch: Batch) -> Sequence[int]:
        found = columns.split(batch, len(header), at.places(), delimiter)
        return range(len(batch.texts)) if found is None else _take_crops(batch, found, at, projects, facts)

    return take


def _take_crops(batch: Batch, found: Columns, at: _CropColumns, projects: Projects, facts: Facts) -> Sequence[int]:
    """Take the clean crops in pixels among some rows of a batch; returns the places of all its other rows."""
    clean = matches(found[at.name], columns.PATH)
    clean &= matches(found[at.time], columns.TIME) | matches(found[at.time], columns.STAMP)
    for place, pattern in (*((place, _NUMBER) for place in at.edges), *((place, _SIDE) for place in at.sides)):
        clean &= matches(found[place], pattern)
    found = found.where(clean)
    if not len(found.places):
        return range(len(batch.texts))

    folders, filenames = last_part(found[at.name])
    agreed = projects.agreed(at.evidence(found[at.project]), projects.of_folders(folders))
    sides = np.stack([to_numpy(pc.cast(found[place], pa.int64())) for place in at.sides], axis=1)
    edges = np.stack([to_numpy(pc.cast(found[place], pa.float64())) for place in at.edges], axis=1)
    size = np.tile(sides, 2)
    # fractions, and edges that only rounding would bring inside, are left to values.box_of
    keep = (agreed >= 0) & (edges.max(axis=1) > 1) & (edges <= size).all(axis=1)
    keep &= (edges[:, :2] < edges[:, 2:]).all(axis=1)
    boxes = edges / size
    smallest, _ = columns.SHORTEST
    keep &= ((boxes == 0) | (boxes >= smallest)).all(axis=1)
    stages = _stages(filenames)
    keep &= matches(filenames, columns.FILE_NAME) & matches(filenames, _STAMPED) & ~np.isnan(stages)
    mask, taken = to_arrow(keep), found.places[keep]
    boxes, sides = boxes[keep], sides[keep]
    low, high = FULL_FRAME_TOLERANCE, 1 - FULL_FRAME_TOLERANCE
    full = (boxes[:, :2] <= low).all(axis=1) & (boxes[:, 2:] >= high).all(axis=1)
    rows = zip(
        np.where(full, FULL_FRAME, BOXED).tolist(),
        projects.texts(agreed[keep]),
        filenames.filter(mask).to_pylist(),
        box_texts(boxes).to_pylist(),
        *sides.T.tolist(),
        stages[keep].tolist(),
        iso_times(found[at.time]).filter(mask).to_pylist(),
        np.asarray(batch.lines)[taken].tolist(),
        strict=True,
    )
    file = facts.file
    facts.crops += [
        (hash((p, f)), rank, True, p, f, box, w, h, stage, moment, file, line)
        for rank, p, f, box, w, h, stage, moment, line in rows
    ]
    return _rest(batch, taken)


def _stages(filenames: pa.Array) -> np.ndarray:
    """The stages (N,) of names that begin with a time, NaN for none: what follows it repeats, so few are parsed."""
    tails = pc.dictionary_encode(pc.utf8_slice_codeunits(filenames, _STAMP_LENGTH))
    found = [stage_of("20250101_000000" + tail) for tail in tails.dictionary.to_pylist()]
    return np.array(found, dtype=float)[to_numpy(tails.indices)]


def _rest(batch: Batch, taken: np.ndarray) -> Sequence[int]:
    """The places of a batch that were not taken."""
    left = np.ones(len(batch.texts), dtype=bool)
    left[taken] = False
    return np.flatnonzero(left).tolist()
