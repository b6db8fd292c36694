"""Every row of a log gets the project that its path names, or is left out: projects never mix."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickroom.core.errors import ProjectError, UsageError
from pickroom.history import skip_reasons
from pickroom.history.assignment import (
    COLUMN,
    DATES,
    FILE_NAMES,
    FOLDER,
    GIVEN,
    KNOWN,
    MAPPED,
    NOTHING,
    Assignment,
    Clues,
)
from pickroom.history.importing import read_logs
from pickroom.history.logged_paths import ProjectNames, split_path
from pickroom.history.skip_reasons import Skip
from pickroom.store import legacy
from pickroom.store.connect import create
from pickroom.store.workspace import Workspace

from .logs import SAMPLES, SELECT_CROP, SELECTION, pair_crop, rows_of, run_import, selection, single_crop, write_log

THIRTEEN = [f"set_{n}" for n in range(12)] + ["mojo1"]
PLACES = ("", "/faces", "/hands", "/crop", "/selected/character_a")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """518 rows of 13 projects, in their folders and in folders of tools below these."""
    rows = []
    for number in range(518):
        project, place = THIRTEEN[number % 13], PLACES[number % len(PLACES)]
        folder = f"/Users/x/Documents/training data/{project}{place}"
        rows.append(selection(f"{folder}/a{number}.png", [f"{folder}/b{number}.png"]))
    return write_log(tmp_path / "log.csv", SELECTION, rows)


def small_log(tmp_path: Path, *paths: str) -> Path:
    """One row for each path of a chosen image, its other image next to it."""
    rows = []
    for number, path in enumerate(paths):
        folder = path.rpartition("/")[0]
        rows.append(selection(path, [f"{folder}/other{number}.png" if folder else f"other{number}.png"]))
    return write_log(tmp_path / "small.csv", SELECTION, rows)


def proposed(workspace: Workspace, *files: Path, project: str | None = None) -> set[tuple[str, int, str | None, str]]:
    report = run_import(workspace, *files, project=project, write=False)
    return {(row.folder, row.rows, row.project, row.evidence) for row in report.assignment.folders}


def test_a_project_is_refused_while_rows_name_others(workspace: Workspace, log: Path) -> None:
    with read_logs(workspace, [log], "mojo1") as found:
        assert found.report.imported == sum(1 for n in range(518) if n % 13 == 12)
        with pytest.raises(UsageError, match=r"479 rows name other projects .* and 9 more .*--by-folder"):
            found.write()
    assert not workspace.root.exists()


def test_the_report_lists_folders_rows_and_projects(workspace: Workspace, log: Path) -> None:
    with read_logs(workspace, [log]) as found:
        report = found.report
    assert dict(report.skipped) == {skip_reasons.FOLDER_ONLY: 518}
    told = report.to_dict()
    assert {(row["project"], row["evidence"]) for row in told["folders"]} == {(name, FOLDER) for name in THIRTEEN}
    assert sum(row["rows"] for row in told["folders"]) == 518
    assert told["common"] == ["/Users/x/Documents"]
    (line,) = [line for line in report.lines() if line.startswith("  /Users/x/Documents/training data/mojo1 ")]
    assert line.split()[-3:] == ["39", "mojo1", "folder"]


def test_by_folder_makes_one_database_per_project(workspace: Workspace, log: Path) -> None:
    report = run_import(workspace, log, project=None, by_folder=True)
    assert report.imported == 518
    assert legacy.legacy_project_ids(workspace) == sorted(THIRTEEN)
    for number, project in enumerate(THIRTEEN):
        chosen = [row["chosen"] for row in rows_of(workspace, "legacy_selections", project)]
        assert chosen == [f"a{n}.png" for n in range(518) if n % 13 == number]


def test_a_mapped_folder_goes_where_it_is_told(workspace: Workspace, tmp_path: Path) -> None:
    log = small_log(tmp_path, "anna/a.png", "bella/faces/b.png", "crop/anna/c.png")
    report = run_import(workspace, log, project=None, folders={"anna": "p", "bella/faces": "q"})
    assert report.projects == {"p": {"selections": 2}, "q": {"selections": 1}}
    assert {row.evidence for row in report.assignment.folders} == {MAPPED}
    # a mapped folder counts as agreed where a project is given
    assert run_import(workspace, log, project="q", folders={"anna": "p", "bella": "q"}, write=False).imported == 0


def test_a_map_without_rows_or_with_a_bad_project(workspace: Workspace, tmp_path: Path) -> None:
    log = small_log(tmp_path, "anna/a.png")
    with pytest.raises(UsageError, match=r"no row has this folder .*: ana "):
        run_import(workspace, log, folders={"ana": "p"})
    with pytest.raises(ProjectError, match="is not a name"):
        run_import(workspace, log, folders={"anna": "a/b"})


def test_the_longest_mapped_folder_counts(workspace: Workspace, tmp_path: Path) -> None:
    log = small_log(tmp_path, "old/anna/a.png", "old/anna/new/b.png")
    report = run_import(workspace, log, project=None, folders={"anna": "p", "anna/new": "q"})
    assert report.projects == {"p": {"selections": 1}, "q": {"selections": 1}}


@pytest.mark.parametrize("folder", ["anna", "anna/faces", "/Users/x/anna", "Mojo One", r"C:\pics\anna"])
def test_a_single_folder_of_another_name_is_refused(workspace: Workspace, tmp_path: Path, folder: str) -> None:
    log = write_log(tmp_path / "log.csv", SELECTION, [selection(f"{folder}/a.png", [f"{folder}/b.png"])])
    with pytest.raises(UsageError, match=r"1 row names another project .* --map"):
        run_import(workspace, log, project="mojo1")


def test_rows_without_a_folder_take_the_given_project(workspace: Workspace, tmp_path: Path) -> None:
    log = small_log(tmp_path, "a.png", "crop/b.png", "mojo1/faces/c.png")
    assert run_import(workspace, log, project="mojo1").projects == {"mojo1": {"selections": 3}}
    assert proposed(workspace, log, project="mojo1") == {
        ("", 1, "mojo1", GIVEN),
        ("crop", 1, "mojo1", GIVEN),
        ("mojo1", 1, "mojo1", KNOWN),
    }


def test_a_known_project_decides_under_any_prefix(workspace: Workspace, tmp_path: Path) -> None:
    started = workspace.planned("mojo1", tmp_path / "images of it")
    workspace.save_new(started)
    started.with_manifest(aliases=("old/first",))
    create(started.database).close()
    paths = ["/a/mojo1/x.png", "/b/old/MOJO1/crop/y.png", r"D:\old\first\z.png", "mojo1 /v.png"]
    log = small_log(tmp_path, *paths[:2], paths[3], f"{tmp_path}/images of it/faces/w.png")
    assert run_import(workspace, log, project=None).projects == {"mojo1": {"selections": 4}}
    windows = write_log(tmp_path / "log.csv", SELECTION, [selection(paths[2], [r"D:\old\first\u.png"])])
    assert run_import(workspace, windows, project=None).projects == {"mojo1": {"selections": 1}}


def test_one_row_never_pairs_two_folders(workspace: Workspace, tmp_path: Path) -> None:
    rows = [selection("anna/a.png", ["bella/b.png"]), selection("anna/c.png", ["anna/d.png"])]
    log = write_log(tmp_path / "log.csv", SELECTION, rows)
    report = run_import(workspace, log, project=None, by_folder=True)
    assert (report.projects, dict(report.skipped)) == ({"anna": {"selections": 1}}, {skip_reasons.CONFLICT: 1})


def test_a_folder_that_is_no_project_id_has_to_be_mapped(workspace: Workspace, tmp_path: Path) -> None:
    log = small_log(tmp_path, "Mojo One/a.png", "Mojo Two/b.png")
    report = run_import(workspace, log, project=None, by_folder=True, write=False)
    assert dict(report.skipped) == {skip_reasons.BAD_FOLDER: 2}
    mapped = {"Mojo One": "mojo1", "Mojo Two": "mojo2"}
    assert run_import(workspace, log, project=None, folders=mapped).imported == 2


def test_the_samples_in_a_fresh_workspace(workspace: Workspace) -> None:
    files = sorted(SAMPLES.glob("*.csv"))
    assert proposed(workspace, *files) == {
        ("PROJECT_ROOT/training data/mojo1", 23, "mojo1", FOLDER),
        ("PROJECT_ROOT/training data/mojo1_final", 10, "mojo1", FOLDER),
        ("crop", 30, None, NOTHING),
        ("crop/character_a", 13, None, NOTHING),
        ("mojo1", 1, "mojo1", FOLDER),
        ("mojo1", 5, "mojo1", COLUMN),
        ("mojo2", 6, "mojo2", COLUMN),
        ("1100", 4, "1100", COLUMN),
    }


def test_each_single_project_sample_takes_its_project(workspace: Workspace) -> None:
    for name in ("select_crop_log.csv", "selection_only_log.csv", "historical_crop_log.csv"):
        assert set(run_import(workspace, SAMPLES / name, project="mojo1").projects) == {"mojo1"}
    with pytest.raises(UsageError, match="10 rows name other projects"):
        run_import(workspace, SAMPLES / "anomaly_cases.csv", project="mojo1")


def test_folders_of_other_projects_are_not_compared() -> None:
    names = ProjectNames({"mojo1": ()})
    rows = Counter([Clues().key(("mojo1/faces",)), Clues().key(("mojo2/faces",)), Clues().key(("mojo2/hands",))])
    told = Assignment(names, rows, given="mojo1", only_siblings=True)
    with pytest.raises(UsageError, match=r"2 rows name other projects .*: mojo2 .*one at a time"):
        told.require_agreement("one at a time")
    apart = Counter([Clues().key(("faces",)), Clues().key(("hands",))])
    Assignment(names, apart, given="mojo1", only_siblings=True).require_agreement()


PATHS = st.builds(
    str.__add__,
    st.sampled_from(
        ["", "mojo1/", "/a/mojo1/", "/a/anna/", "anna/faces/", "crop/", "crop/bella/", "C:\\x\\anna\\", "é/"]
    ),
    st.sampled_from(["a.png", "b.png"]),
)
KEYS = st.builds(
    lambda paths, column: Clues().key([split_path(path)[0] for path in paths], column),
    st.lists(PATHS, min_size=1, max_size=3),
    st.sampled_from(["", "", "", "mojo1", "None", "a/b"]),
)


@given(
    st.dictionaries(KEYS, st.integers(1, 9), max_size=10),
    st.sampled_from([None, "mojo1", "new"]),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_every_row_has_one_project_or_one_reason(
    rows: dict, given_project: str | None, by_folder: bool, chance: random.Random
) -> None:
    names = ProjectNames({"mojo1": ()})

    def decide(counted: dict) -> dict:
        assignment = Assignment(names, Counter(counted), given=given_project, by_folder=by_folder)
        assert sum(row.rows for row in assignment.folders) == sum(counted.values())
        found = {}
        for key in counted:
            try:
                found[key] = assignment(key)
            except Skip as skip:
                found[key] = f"skipped: {skip.reason}"
        return found

    shuffled = list(rows.items())
    chance.shuffle(shuffled)
    decided = decide(rows)
    assert decide(dict(shuffled)) == decided
    if given_project and not by_folder:  # nothing of another project comes in
        assert {text for text in decided.values() if not text.startswith("skipped")} <= {given_project}
    assert json.dumps(list(decided.values()))


# --- rows that name no project ---------------------------------------------------------------------------------------

DAYS = ("2025-10-01", "2025-10-11", "2025-10-12", "2025-10-20", "2025-11-03")


@pytest.fixture
def unnamed(tmp_path: Path) -> Path:
    """Two crops a day on five days, in folders of tools, and one in the folder of a project that is not registered."""
    rows = []
    for number, day in enumerate(DAYS):
        rows += [single_crop(f"a{number}{place}.png", time=f"{day}T23:59:59.5Z") for place in "xy"]
    there = ["crop/character_a/a.png" if cell == "crop/a0y.png" else cell for cell in rows[1]]
    other = ["mojo9/b.png" if str(cell).endswith("/a1x.png") else cell for cell in rows[2]]
    return write_log(tmp_path / "crops.csv", SELECT_CROP, [rows[0], there, other, *rows[3:]])


def test_dates_divide_rows_that_name_no_project(workspace: Workspace, unnamed: Path) -> None:
    report = run_import(
        workspace, unnamed, project=None, dates=["mojo1=..2025-10-11", "mojo2=2025-10-12..2025-10-20"], write=False
    )
    assert report.projects == {"mojo1": {"crops": 3}, "mojo2": {"crops": 4}}
    assert dict(report.skipped) == {skip_reasons.FOLDER_ONLY: 1, skip_reasons.NO_PROJECT: 2}  # mojo9 is no mojo1
    assert report.assignment.days == [{"first": "2025-11-03", "last": "2025-11-03", "rows": 2}]
    assert {row.evidence for row in report.assignment.folders if row.project in ("mojo1", "mojo2")} == {DATES}
    assert not workspace.root.exists()
    rest = run_import(workspace, unnamed, project="mojo3", dates=["mojo1=..2025-10-11"], folders={"mojo9": "mojo9"})
    assert rest.projects == {"mojo1": {"crops": 3}, "mojo3": {"crops": 6}, "mojo9": {"crops": 1}}
    assert workspace.project_ids() == ["mojo1", "mojo3", "mojo9"]


def test_days_of_the_rows_are_shown_to_be_divided(workspace: Workspace, unnamed: Path) -> None:
    report = run_import(workspace, unnamed, project=None, write=False)
    assert [tuple(days.values()) for days in report.assignment.days] == [
        ("2025-10-01", "2025-10-01", 2),
        ("2025-10-11", "2025-10-12", 3),  # mojo9's row is not among them
        ("2025-10-20", "2025-10-20", 2),
        ("2025-11-03", "2025-11-03", 2),
    ]
    assert "  2025-10-11..2025-10-12  3 rows" in report.lines()


def test_dates_of_a_project_come_from_its_file(workspace: Workspace, unnamed: Path) -> None:
    workspace.manifests.mkdir(parents=True)
    dates = {"projectId": "mojo1", "startedAt": "2025-10-01T08:00:00Z", "finishedAt": "2025-10-11T17:29:49Z"}
    (workspace.manifests / "mojo1.project.json").write_text(json.dumps(dates))
    assert run_import(workspace, unnamed, project=None, dates=["mojo1"]).projects == {"mojo1": {"crops": 3}}
    assert workspace.project("mojo1").manifest.finished_at == "2025-10-11T17:29:49Z"
    assert run_import(workspace, unnamed, project=None, dates=["mojo1"]).imported == 0


@pytest.mark.parametrize(
    "dates",
    [
        ["mojo1=2025-10-01..2025-10-11", "mojo2=2025-10-11..2025-10-20"],
        ["mojo1=..", "mojo2=2025-10-11.."],
        ["mojo1=2025-10-11..2025-10-01"],
        ["mojo1=yesterday..2025-10-01"],
        ["mojo1=2025-10-01"],
        ["mojo1"],
        ["a/b=2025-10-01..2025-10-02"],
    ],
)
def test_dates_that_cannot_be_used_are_refused(workspace: Workspace, unnamed: Path, dates: list[str]) -> None:
    with pytest.raises((UsageError, ProjectError)):
        read_logs(workspace, [unnamed], dates=dates)
    assert not workspace.root.exists()


def test_file_names_of_known_projects_divide_rows(workspace: Workspace, tmp_path: Path) -> None:
    picks = [selection(f"mojo{n}/a{n}.png", [f"mojo{n}/b{n}.png", f"mojo{n}/both.png"]) for n in (1, 2)]
    run_import(workspace, write_log(tmp_path / "picks.csv", SELECTION, picks), project=None, by_folder=True)
    names = ["a1.png", "b2.png", "both.png", "unknown.png", "faces/a2.png"]
    rows = [[str(cell).replace(f"crop/{name}", name) for cell in single_crop(name)] for name in names]
    log = write_log(tmp_path / "crops.csv", SELECT_CROP, [*rows, pair_crop(names=("a1.png", "b2.png"))])
    report = run_import(workspace, log, project=None, by_name=True, folders={"mojo1": "mojo1"})
    # the last row is mojo1's by its path
    assert report.projects == {"mojo1": {"decisions": 1, "crops": 1}, "mojo2": {"crops": 2}}
    assert dict(report.skipped) == {skip_reasons.CONFLICT: 1, skip_reasons.NO_PROJECT: 1}
    assert [row["filename"] for row in rows_of(workspace, "legacy_crops", "mojo2")] == ["b2.png", "a2.png"]
    assert FILE_NAMES in {row.evidence for row in report.assignment.folders}
    dated = run_import(workspace, log, project=None, by_name=True, dates=["mojo2=2025-10-05..2025-10-05"])
    assert dated.projects == {"mojo2": {"crops": 2}}  # both.png, and the one that nobody knows


def test_file_names_against_dates_are_a_conflict(workspace: Workspace, tmp_path: Path) -> None:
    run_import(workspace, write_log(tmp_path / "picks.csv", SELECTION, [selection()]), project=None, by_folder=True)
    log = write_log(tmp_path / "crops.csv", SELECT_CROP, [single_crop("a.png"), single_crop("c.png")])
    report = run_import(workspace, log, project=None, by_name=True, dates=["mojo2=2025-10-05..2025-10-05"])
    assert (report.projects, dict(report.skipped)) == ({"mojo2": {"crops": 1}}, {skip_reasons.CONFLICT: 1})


def test_projects_of_a_log_are_registered_with_its_rows(workspace: Workspace, log: Path) -> None:
    report = run_import(workspace, log, project=None, by_folder=True)
    assert report.unregistered == tuple(sorted(THIRTEEN))
    assert workspace.project_ids() == sorted(THIRTEEN)
    assert {project.manifest.status for project in workspace.projects()} == {"finished"}
    (workspace.manifests / "mojo1.json").unlink()  # as if killed before
    assert run_import(workspace, log, project=None, by_folder=True).unregistered == ("mojo1",)
    assert workspace.project("mojo1").manifest.root == ""


def test_file_of_the_earlier_system_makes_its_project_known(workspace: Workspace, tmp_path: Path) -> None:
    workspace.manifests.mkdir(parents=True)
    (workspace.manifests / "mojo1.project.json").write_text('{"projectId": "mojo1"}')
    report = run_import(workspace, small_log(tmp_path, "old/mojo1/a.png", "old/x/b.png"), project=None)
    assert (report.projects, dict(report.skipped)) == ({"mojo1": {"selections": 1}}, {skip_reasons.FOLDER_ONLY: 1})


@pytest.mark.parametrize("folder", ["__crop", "character_group_1", "__character_group_2"])
def test_working_folders_of_the_earlier_system_name_no_project(
    workspace: Workspace, tmp_path: Path, folder: str
) -> None:
    assert proposed(workspace, small_log(tmp_path, f"{folder}/a.png", "x/b.png")) == {
        (folder, 1, None, NOTHING),
        ("x", 1, "x", FOLDER),
    }
