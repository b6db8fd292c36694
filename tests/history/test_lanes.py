"""Rows taken by the column become exactly the facts that they become one by one."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pickroom.geometry import from_pixels
from pickroom.history import importing
from pickroom.history.columns import SHORTEST, box_texts
from pickroom.history.facts import Facts
from pickroom.history.formats import format_of
from pickroom.history.lanes import lane_for
from pickroom.history.tables import read_header
from pickroom.logged_paths import ProjectNames

from .logs import CROP_TRAINING, SAMPLES, SELECT_CROP, SELECTION, TIME, single_crop, write_log

NAMES = ProjectNames({"mojo1": ("training data/mojo1_final",), "mojo2": ()})


def facts_of(path: Path, given: str | None, *, by_column: bool) -> tuple[list, list, list, dict, dict, set, int]:
    """Everything one file becomes, sorted, and how many rows went by the column."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importing, "COLUMNS_FROM", 0 if by_column else 10**9)
        table = read_header(path, lambda header: format_of(header) is not None)
        facts = Facts(NAMES, given, 1)
        reader = importing._Reader(table, facts)
        taken = 0
        for batch in table.batches():
            reader.take(batch)
            if by_column and batch.plain:
                lane = lane_for(format_of(table.header), table.header, Facts(NAMES, given, 1), table.delimiter)
                taken += len(batch.texts) - len(lane(batch)) if lane else 0
        order = lambda row: repr(row)  # noqa: E731
        kept = sorted(facts.selections, key=order), sorted(facts.crops, key=order), sorted(facts.decisions, key=order)
        return (*kept, dict(facts.notes), dict(reader.report.skipped), facts.projects, taken)


def assert_same(path: Path, given: str | None = "mojo1") -> int:
    *ours, taken = facts_of(path, given, by_column=True)
    *plain, _ = facts_of(path, given, by_column=False)
    assert ours == plain
    return taken


@pytest.mark.parametrize(("name", "taken"), [("selection_only_log.csv", 23), ("select_crop_log.csv", 43)])
def test_samples(name: str, taken: int) -> None:
    assert assert_same(SAMPLES / name) == taken
    assert assert_same(SAMPLES / name, None) >= 0


FOLDERS = st.sampled_from(
    ["", "mojo1/", "P/training data/mojo1_final/", "mojo2/", "mojo1/mojo2/", "crop/", " x/", "C:\\mojo2\\"]
)
FILES = st.sampled_from(
    [
        "a.png",
        "20250101_000000_x.png",
        "20250101_000000_stage4_x.png",
        "b.png",
        "20250101_000000_stage1.5_x.png",
        "20259999_000000_stage2_y.jpg",
        "é.png",
        "a",
        ".png",
        "a b.PNG",
        'q".png',
    ]
)
PATHS = st.builds(str.__add__, FOLDERS, FILES)
TIMES = st.sampled_from(
    [TIME, "20250727_224840", "20250231_000000", "", "2025-02-30T00:00:00Z", "2024-02-29T00:00:00Z", "x"]
)
LISTS = st.lists(PATHS, max_size=3).flatmap(
    lambda paths: st.sampled_from([json.dumps(paths), repr(paths), "[" + "".join(paths)])
)
BOXES = st.sampled_from(
    [
        ("10", "20", "110", "220"),
        ("0.0", "0", "200", "400"),
        ("0", "0", "100.5", "400.0"),
        ("0.01", "5", "7", "9"),
        ("0", "0", "1", "1"),
    ]
)
NUMBERS = st.sampled_from(
    ["0", "0.0", "1", "1.0", "12", "99.5", "100", "100.4", "0.25", "7", "-1", "1e2", "", "x", "0.001"]
)


# rows that a well-behaved program wrote: most of these go by the column
SOUND_FOLDERS = st.sampled_from(["mojo1/", "P/training data/mojo1_final/x/", "mojo2/", "crop/"])
SOUND_NAMES = ["20250101_000000_stage1.5_x.png", "20250101_000100_stage2_y.jpg", "20250101_000000_stage3_x.png"]
SOUND_TIMES = st.sampled_from([TIME, "20250727_224840", "2024-02-29T00:00:00Z"])


@st.composite
def sound_selection(draw: st.DrawFn) -> tuple[str, str, str]:
    """One of a group chosen, the others in stage order, all in one folder."""
    folder = draw(SOUND_FOLDERS)
    names = sorted(draw(st.lists(st.sampled_from([*SOUND_NAMES, "a.png"]), min_size=2, max_size=4, unique=True)))
    chosen = names.pop(draw(st.integers(0, len(names) - 1)))
    return folder + chosen, json.dumps([folder + name for name in names]), draw(SOUND_TIMES)


SELECTIONS = st.one_of(sound_selection(), st.tuples(PATHS, LISTS, TIMES))
CROPS = st.one_of(
    st.tuples(
        st.builds(str.__add__, SOUND_FOLDERS, st.sampled_from(SOUND_NAMES)),
        BOXES,
        st.just(("200", "400")),
        SOUND_TIMES,
        st.sampled_from(["", "crop"]),
    ),
    st.tuples(PATHS, st.tuples(*[NUMBERS] * 4), st.tuples(NUMBERS, NUMBERS), TIMES, FOLDERS),
)
GIVEN = st.sampled_from([None, "mojo1", "new"])


def test_selections() -> None:
    counts: Counter[str] = Counter()

    @settings(max_examples=120, deadline=None)
    @given(st.lists(SELECTIONS, min_size=1, max_size=12), GIVEN)
    def check(rows: list[tuple[str, str, str]], project: str | None) -> None:
        with tempfile.TemporaryDirectory() as folder:
            log = write_log(Path(folder) / "log.csv", SELECTION, [("s", 'g"', *row) for row in rows])
            counts.update(rows=len(rows), taken=assert_same(log, project))

    check()
    assert counts["taken"] > counts["rows"] / 10


def test_crops() -> None:
    counts: Counter[str] = Counter()

    @settings(max_examples=120, deadline=None)
    @given(st.lists(CROPS, min_size=1, max_size=12), GIVEN)
    def check(rows: list[tuple], project: str | None) -> None:
        made = []
        for path, box, size, time, folder in rows:
            row = list(single_crop(box=box, size=size, time=time))
            row[2], row[5], row[11] = folder, path, path
            made.append(row)
        with tempfile.TemporaryDirectory() as folder:
            log = write_log(Path(folder) / "log.csv", SELECT_CROP, made)
            counts.update(rows=len(rows), taken=assert_same(log, project))

    check()
    assert counts["taken"] > counts["rows"] / 10


CELLS = ["mojo1", "mojo2", "new", " mojo1", "training data/mojo1_final", "", "None", "NaN", "a/b"]


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("project", [None, "mojo1", "new"])
def test_the_project_column_of_training_rows(tmp_path: Path, cell: str, project: str | None) -> None:
    paths = [f"{folder}{SOUND_NAMES[0]}" for folder in ("", "crop/", "mojo1/", "mojo2/")]
    rows = [(TIME, cell, path, 10, 20, 110, 220, 200, 400) for path in paths]
    assert_same(write_log(tmp_path / "log.csv", CROP_TRAINING, rows), project)


@st.composite
def sound_training(draw: st.DrawFn) -> tuple[str, ...]:
    """A crop whose path names its column's project, or none."""
    cell = draw(st.sampled_from(["mojo1", "mojo2"]))
    path = draw(st.sampled_from(["", "crop/", f"{cell}/"])) + draw(st.sampled_from(SOUND_NAMES))
    return (draw(SOUND_TIMES), cell, path, *draw(BOXES), "200", "400")


TRAINING = st.one_of(
    sound_training(),
    st.builds(lambda crop, cell: (crop[3], cell, crop[0], *crop[1], *crop[2]), CROPS, st.sampled_from(CELLS)),
)


def test_training_rows() -> None:
    counts: Counter[str] = Counter()

    @settings(max_examples=120, deadline=None)
    @given(st.lists(TRAINING, min_size=1, max_size=12), GIVEN)
    def check(rows: list[tuple], project: str | None) -> None:
        with tempfile.TemporaryDirectory() as folder:
            log = write_log(Path(folder) / "log.csv", CROP_TRAINING, rows)
            counts.update(rows=len(rows), taken=assert_same(log, project))

    check()
    assert counts["taken"] > counts["rows"] / 10


@settings(max_examples=100, deadline=None)
@given(st.text(st.sampled_from('a1,"\n [].pngé'), max_size=120))
def test_any_text_between_good_rows(text: str) -> None:
    good = io.StringIO()
    csv.writer(good).writerow(("s", "g", "mojo1/a.png", '["mojo1/b.png"]', TIME))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.csv"
        path.write_text(
            f"{','.join(SELECTION)}\n{good.getvalue()}{text}\n{good.getvalue()}", encoding="utf-8", newline=""
        )
        assert_same(path)


@settings(max_examples=200)
@given(st.integers(1, 9999), st.integers(1, 9999), st.data())
def test_boxes_are_written_as_a_box_writes_itself(width: int, height: int, data: st.DataObject) -> None:
    import numpy as np

    x1, y1 = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    x2, y2 = data.draw(st.integers(x1 + 1, width)), data.draw(st.integers(y1 + 1, height))
    box = from_pixels((x1, y1, x2, y2), width, height)
    edges = np.array([box.to_list()], dtype=float)
    if all(edge == 0 or edge >= SHORTEST[0] for edge in box.to_list()):
        assert box_texts(edges).to_pylist() == [box.to_json()]
