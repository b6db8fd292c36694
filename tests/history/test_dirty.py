"""Generated dirty logs: an import never fails, always adds up, stores nothing that its line does not say, and twice is
once."""

from __future__ import annotations

import csv
import io
import json
import re
import sqlite3
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pickroom.core.errors import UsageError
from pickroom.history.importing import read_logs
from pickroom.store.legacy import legacy_path
from pickroom.store.workspace import Workspace

from .logs import CROP_TRAINING, DECISIONS, SELECT_CROP, SELECTION, content, rows_of, run_import

ANOMALIES = ("session_id", "set_id", "project", "chosen_stage", "max_rejected_stage", "chosen_path", "rejected_paths")
ANOMALIES += ("timestamp",)
HISTORICAL = ("session_id", "set_id", "directory", "chosen_path", "chosen_stage", "timestamp", "final_mtime")
FORMATS = (SELECTION, SELECT_CROP, DECISIONS, CROP_TRAINING, ANOMALIES, HISTORICAL)

NAMES = st.sampled_from(
    [
        "a.png",
        "b.png",
        "20250728_040606_stage1.5_x.png",
        "20250728_040700_stage2_y.jpg",
        "c d.webp",
        "é.png",
        "it's.png",
    ]
)
PATHS = st.builds(
    str.__add__, st.sampled_from(["", "mojo1/", "P/mojo1/faces/", "mojo2/", "C:\\x\\mojo1\\", "/abs/mojo1/"]), NAMES
)
NUMBERS = st.one_of(
    st.sampled_from(["", "0", "0.0", "1", "1.0", "None", "nan", "x", "-4", "1e9", "99999999999999999999999"]),
    st.integers(0, 3000).map(str),
    st.floats(0, 1, width=32).map(repr),
    st.floats(0, 3000, width=32).map(repr),
)
TIMES = st.one_of(
    st.sampled_from(["", "never", "20250728_040606", "2025-07-28T04:06:06+00:00", "2025-13-01T00:00:00Z"]),
    st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
)
PROJECTS = st.sampled_from(["mojo1", "mojo1", "mojo2", "", "../x", "a b"])


TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
GARBAGE = st.one_of(TEXT, st.sampled_from(["", "\n", '"', "[", "'", ",", "😀", "\x00"]))


def lists(paths: list[str]) -> st.SearchStrategy[str]:
    return st.sampled_from([json.dumps(paths), repr(paths)])


@st.composite
def sound_row(draw: st.DrawFn, header: Sequence[str]) -> list[str]:
    """A row as a well-behaved program writes it."""
    names = draw(st.lists(PATHS, min_size=4, max_size=4, unique_by=lambda path: path.rsplit("/")[-1]))
    time = draw(st.datetimes()).isoformat() + "Z"
    width, height = draw(st.sampled_from([(832, 1216), (2048, 2048), (3072, 3072)]))
    x, y = draw(st.integers(0, width // 2)), draw(st.integers(0, height // 2))
    box = [x, y, x + draw(st.integers(1, width // 2)), y + draw(st.integers(1, height // 2))]
    if draw(st.booleans()):
        box = [box[0] / width, box[1] / height, box[2] / width, box[3] / height]
    if header == SELECTION:
        return ["s", "g", names[0], draw(lists(names[1 : draw(st.integers(2, 4))])), time]
    if header == ANOMALIES:
        return ["s", "g", draw(PROJECTS), "1", "2", names[0], draw(lists(names[1:3])), time]
    if header == HISTORICAL:
        return ["s", "g", "mojo1", names[0], "1.5", time, time]
    if header == CROP_TRAINING:
        return list(map(str, [time, draw(PROJECTS), names[0], *box, width, height]))
    if header == SELECT_CROP:
        second = [names[1], "", width, height] if draw(st.booleans()) else [""] * 4
        count = 2 if second[0] else 1
        return list(map(str, ["s", "g", "crop", count, 0, names[0], *box, time, names[0], "", width, height, *second]))
    group = [f"g{draw(st.integers(0, 99))}", time, "mojo1", draw(st.sampled_from(["", "faces"])), 1]
    images = [*names[:3], ""]
    ai = [draw(st.sampled_from(["", 0, 1])), *([""] * 4), draw(st.sampled_from(["", 0.5]))]
    action = draw(st.sampled_from(["approve", "crop", "reject"]))
    mine = [draw(st.integers(0, 2)), action, *(box if action == "crop" else [""] * 4), time if action == "crop" else ""]
    return list(map(str, [*group, *images, *ai, *mine, width, height, "True", "False"]))


@st.composite
def dirty_row(draw: st.DrawFn, header: Sequence[str]) -> list[str]:
    """A sound row with up to three cells replaced: by other plausible values, by nothing, or by anything."""
    row = draw(sound_row(header))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 1, 2, 3]))):
        place = draw(st.integers(0, len(row) - 1))
        row[place] = draw(st.one_of(NUMBERS, TIMES, PATHS, st.just(""), GARBAGE))
    return row


@st.composite
def logs(draw: st.DrawFn) -> bytes:
    """The bytes of a log: one format, some dialect, rows that may be shifted, repeated or broken."""
    header = draw(st.sampled_from(FORMATS))
    rows: list[Sequence[Any]] = []
    for _ in range(draw(st.integers(0, 8))):
        row = draw(dirty_row(header))
        damage = draw(st.integers(0, 14))
        if damage == 0:
            row = row[: draw(st.integers(0, len(row)))]
        elif damage == 1:
            row.insert(draw(st.integers(0, len(row))), draw(GARBAGE))
        elif damage == 2:
            row = draw(dirty_row(CROP_TRAINING))
        elif damage == 3 and rows:
            row = list(draw(st.sampled_from(rows)))
        rows.append(row)
    text = io.StringIO()
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    writer = csv.writer(text, delimiter=draw(st.sampled_from([",", ";", "\t"])), lineterminator=end)
    writer.writerow(header)
    for row in rows:
        if draw(st.integers(0, 19)) == 0:
            text.write(draw(TEXT) + end)
        try:
            writer.writerow(row)
        except csv.Error:  # a lone empty cell and the like
            continue
    data = text.getvalue().encode()
    if draw(st.integers(0, 9)) == 0:
        place = draw(st.integers(0, len(data)))
        data = data[:place] + draw(st.binary(max_size=4)) + data[place:]
    return draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + data


def lines_of(data: bytes) -> list[str]:
    """The lines as an editor counts them, bytes that are no text marked."""
    text = data.decode("utf-8-sig", "replace")
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def digits(text: str) -> str:
    return re.sub(r"\D", "", text)


def check_nothing_is_invented(workspace: Workspace, data: bytes) -> None:
    """Every stored value stands in the line it says it came from, or in the next ones of its record."""
    lines = lines_of(data)
    for project in ("mojo1", "mojo2"):
        for row in rows_of(workspace, "legacy_selections", project):
            said = "\n".join(lines[row["source_line"] - 1 :][:50])
            for name in (row["chosen"], *json.loads(row["others"])):
                assert name in said or json.dumps(name)[1:-1] in said
            check_time(row["timestamp"], said)
        for row in rows_of(workspace, "legacy_crops", project):
            said = "\n".join(lines[row["source_line"] - 1 :][:50])
            assert row["filename"] in said
            check_time(row["timestamp"], said)
            check_numbers(row["box"], row["width"], row["height"], said)
        for row in rows_of(workspace, "ai_decisions", project):
            said = "\n".join(lines)
            assert all(name in said for name in json.loads(row["images"]))
            check_time(row["timestamp"], said)
            check_numbers(row["final_crop_coords"], row["image_width"], row["image_height"], said)


def check_time(stored: str | None, said: str) -> None:
    assert stored is None or digits(stored)[:14] in digits(said)


def check_numbers(box: str | None, width: int | None, height: int | None, said: str) -> None:
    numbers = [float(text) for text in re.findall(r"[-+]?\d+\.?\d*(?:[eE][-+]?\d+)?", said)]
    for size in (width, height):
        assert size is None or (size > 0 and size in numbers)
    if box is not None:
        edges = json.loads(box)
        assert edges[0] < edges[2] <= 1 and edges[1] < edges[3] <= 1 and min(edges) >= 0
        for edge, size in zip(edges, (width, height) * 2, strict=True):
            in_pixels = size is not None and any(abs(edge * size - n) <= 0.5001 for n in numbers)
            assert edge in numbers or in_pixels


@settings(max_examples=70, deadline=None, suppress_health_check=list(HealthCheck))
@given(logs())
def test_dirty_logs(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        workspace, log = Workspace(Path(folder) / "home"), Path(folder) / "log.csv"
        log.write_bytes(data)
        try:
            report = run_import(workspace, log, by_folder=True)
        except UsageError as error:  # the damage met the header
            assert "known header" in error.line or "empty" in error.line
            return
        check_nothing_is_invented(workspace, data)
        before = [content(workspace, p) for p in report.projects]
        assert run_import(workspace, log, by_folder=True).imported == 0
        assert [content(workspace, p) for p in report.projects] == before
        for project in report.projects:
            with closing(sqlite3.connect(legacy_path(workspace, project))) as connection:
                assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_imported_or_refused_in_one_line(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.csv"
        for start in (b"", ",".join(SELECTION).encode() + b"\n"):
            log.write_bytes(start + data)
            try:
                with read_logs(Workspace(Path(folder) / "home"), [log], "mojo1") as found:
                    report = found.report
                    assert report.rows == report.imported + report.skipped.total()
            except UsageError as error:
                assert "\n" not in error.line
