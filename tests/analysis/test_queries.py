"""The named queries: each says what a row is, runs on nothing at all, and counts as plain Python does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

import pytest

from pickroom.analysis import queries
from pickroom.analysis.connection import Analysis, connect
from pickroom.core.errors import UsageError
from pickroom.store.connect import connect as open_store
from pickroom.store.connect import open_read_only
from pickroom.store.decisions import incomplete_crops, performance
from pickroom.store.review_state import MAX_DWELL_S
from pickroom.store.workspace import Project, Workspace
from support.analysing import MEANT, crop, fill
from support.recounting import numbers, same
from support.reviewing import FINALISE, decisions, queue, recommend, review

# queries of one row a project, or of one a key: their columns are held against the recount by these names
ONE_ROW = ("input_output", "shares", "pace", "time_saved", "anomaly_rates")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Project, Analysis]]:
    """A project of 400 groups decided at random, and one next to it that must change nothing."""
    workspace = Workspace(tmp_path_factory.mktemp("home"))
    for project_id, count, seed in (("p", 400, 1), ("q", 30, 2)):
        project = workspace.planned(project_id, workspace.root / project_id)
        project.root.mkdir()
        workspace.save_new(project)
        fill(project, count, seed)
    with connect(workspace) as analysis:
        yield workspace.project("p"), analysis


@pytest.fixture(scope="module")
def recounted(filled: tuple[Project, Analysis]) -> dict[str, Any]:
    return numbers(filled[0])


def differences(recounted: dict[str, Any], name: str, row: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Column -> (recount, ours) wherever they differ; every recounted name must be a column."""
    wanted = {key.removeprefix(f"{name}."): value for key, value in recounted.items() if key.startswith(f"{name}.")}
    assert wanted and set(wanted) <= set(row), set(wanted) - set(row)
    return {key: (value, row[key]) for key, value in wanted.items() if not same(row[key], value)}


@pytest.mark.parametrize("name", queries.names())
def test_query_says_what_a_row_is_and_ends_in_final(name: str) -> None:
    assert queries.says(name).startswith("One row is ")
    assert "final AS (" in queries.text(name) and "FROM final" in queries.text(name)


@pytest.mark.parametrize("name", queries.names())
def test_query_of_nothing_is_empty(name: str, analysis: Analysis) -> None:
    assert analysis.query(name).empty


def _rounded(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows without the last digits of their means, which depend on the order in which DuckDB's threads add."""
    return [{n: round(value, 9) if isinstance(value, float) else value for n, value in row.items()} for row in rows]


@pytest.mark.parametrize("name", queries.names())
def test_query_of_one_project_is_its_part_of_the_whole(name: str, filled: tuple[Project, Analysis]) -> None:
    _, analysis = filled
    whole = [row for row in analysis.rows(name) if row["project_id"] == "p"]
    assert _rounded(whole) == _rounded(analysis.rows(name, "p")) != []
    assert analysis.rows(name, "q")


def test_unknown_query_and_unknown_project_are_one_clear_line(analysis: Analysis) -> None:
    with pytest.raises(UsageError, match=r"no query is named 'pacee'.*there are: anomaly_rates, "):
        analysis.query("pacee")
    with pytest.raises(UsageError, match="no project is named 'nope'"):
        analysis.query("pace", "nope")


@pytest.mark.parametrize("name", ONE_ROW)
def test_query_of_one_row_counts_right(name: str, filled: tuple[Project, Analysis], recounted: dict[str, Any]) -> None:
    (row,) = filled[1].rows(name, "p")
    assert differences(recounted, name, row) == {}


def test_queries_of_several_rows_count_right(filled: tuple[Project, Analysis], recounted: dict[str, Any]) -> None:
    _, analysis = filled
    keyed = {
        "sessions": lambda row, place: row["session"],
        "performance_by_model": lambda row, place: place,
        "performance_by_confidence": lambda row, place: round(row["band_from"] * 10),
        "crop_error": lambda row, place: place,
    }
    for name, key in keyed.items():
        rows = analysis.rows(name, "p")
        assert len(rows) > 1
        named = {f"{name}.{key(row, place)}": row for place, row in enumerate(rows)}
        wrong = {prefix: differences(recounted, prefix, row) for prefix, row in named.items()}
        assert {prefix: columns for prefix, columns in wrong.items() if columns} == {}
        assert {n.rpartition(".")[0] for n in recounted if n.startswith(f"{name}.")} == set(named)
    assert len(analysis.rows("mistakes", "p")) == recounted["mistakes.total"]
    assert len(analysis.rows("unfinished_crops", "p")) == recounted["unfinished_crops.total"]


def test_performance_is_the_databases_own(filled: tuple[Project, Analysis]) -> None:
    project, analysis = filled
    (row,) = analysis.rows("performance_by_project", "p")
    with open_read_only(project.database) as connection:
        plain = performance(connection)
        waiting = incomplete_crops(connection)
    assert plain["total_decisions"] > 100
    assert {name: value for name, value in plain.items() if not same(row[name], value)} == {}
    assert sorted(r["picked"] for r in analysis.rows("unfinished_crops", "p")) == waiting


def test_rolling_100_looks_back_over_a_hundred_decisions(filled: tuple[Project, Analysis]) -> None:
    rows = filled[1].rows("rolling_100", "p")
    flags = [row["selection_match"] for row in rows]
    assert len(flags) > 120
    assert [row["place"] for row in rows] == list(range(1, len(rows) + 1))
    assert [row["decided_at"] for row in rows] == sorted(row["decided_at"] for row in rows)
    for end, row in enumerate(rows, start=1):
        window = flags[max(0, end - 100) : end]
        assert row["window_size"] == len(window)
        assert row["selection_accuracy"] == pytest.approx(sum(window) / len(window))


def test_a_pause_is_as_long_as_the_deck_says() -> None:
    assert all("look_s(" in queries.text(name) for name in ("sessions", "time_saved"))
    assert f"gap < INTERVAL {MAX_DWELL_S / 60:.0f} MINUTE" in queries.text("sessions")


def test_stages_and_days_add_up(filled: tuple[Project, Analysis]) -> None:
    _, analysis = filled
    (whole,) = analysis.rows("performance_by_project", "p")
    for name in ("performance_by_stage", "trend_by_project", "performance_by_model"):
        rows = analysis.rows(name, "p")
        assert sum(row["selections"] for row in rows) == whole["selections"]
        assert sum(row["correct_selections"] for row in rows) == whole["correct_selections"]


def test_mistakes_begin_with_the_surest(filled: tuple[Project, Analysis]) -> None:
    sure = [row["ai_confidence"] for row in filled[1].rows("mistakes", "p")]
    assert sure == sorted(sure, reverse=True) and len(set(sure)) > 2


def test_what_the_machine_decided_is_no_accuracy(reviewed: Project, analysis: Analysis) -> None:
    before = analysis.rows("performance_by_project")
    with closing(open_store(reviewed.database)) as connection:
        connection.execute("UPDATE decision_context SET input = 'auto' WHERE outcome = 'approve'")
    (after,) = analysis.rows("performance_by_project")
    assert (before[0]["total_decisions"], after["total_decisions"]) == (5, 2)
    assert analysis.rows("shares")[0]["by_machine"] == 3
    assert {row["picked"] for row in analysis.rows("mistakes")} == set()


def test_a_crop_the_machine_applied_is_no_accuracy(reviewed: Project, analysis: Analysis) -> None:
    (waiting,) = analysis.rows("unfinished_crops")
    assert waiting["folder"] == "crop_auto"
    crop(reviewed, "crop_auto", waiting["picked"], MEANT, box_source="ai_all")
    assert analysis.rows("unfinished_crops") == []
    (row,) = analysis.rows("performance_by_project")
    assert (row["crops"], row["correct_crops"]) == (1, 1)
    assert [row["crops"] for row in analysis.rows("crop_error")] == [1]


@pytest.mark.parametrize(("source", "counted"), [("drawn", 1), ("ai", 1), ("ai_all", 0), ("default", 0)])
def test_only_the_users_boxes_are_an_accuracy(reviewed: Project, analysis: Analysis, source: str, counted: int) -> None:
    with closing(open_store(reviewed.database)) as connection:
        connection.execute("UPDATE crops SET box_source = ?", (source,))
    (row,) = analysis.rows("performance_by_project")
    assert (row["crops"], row["correct_crops"]) == (counted, counted)
    assert [row["crops"] for row in analysis.rows("crop_error")] == [1] * counted
    assert analysis.execute("SELECT box_source, own_box FROM crops").fetchall() == [(source, bool(counted))]
    found = analysis.execute("SELECT box_source, crop_by_person FROM decisions WHERE final_crop_coords IS NOT NULL")
    assert found.fetchall() == [(source, bool(counted))]
    assert analysis.rows("time_saved")[0]["crops_taken"] == (source == "ai_all")
    assert analysis.rows("input_output")[0]["crops_made"] == 1


def test_a_crop_of_another_image_than_the_ais_is_no_accuracy(reviewed: Project, analysis: Analysis) -> None:
    (before,) = analysis.rows("performance_by_project")
    group = queue(reviewed)[0]
    recommend(reviewed, group, 1, MEANT)
    review(reviewed, "q", *FINALISE)
    crop(reviewed, "crop", group.filenames[0], (0.3, 0.0, 0.7, 0.6))
    row = decisions(reviewed)[group.group_id]
    assert (row["selection_match"], row["crop_match"]) == (0, 0)
    (after,) = analysis.rows("performance_by_project")
    names = ("crops", "correct_crops", "crop_accuracy")
    assert [after[name] for name in names] == [before[name] for name in names] == [1, 1, 1.0]
    with closing(open_store(reviewed.database)) as connection:
        assert performance(connection)["crop_accuracy"] == 1.0
    assert sum(row["proposed"] for row in analysis.rows("crop_error")) == 1
    assert analysis.execute(
        "SELECT crop_match FROM decisions WHERE NOT selection_match AND crop_match IS NOT NULL"
    ).fetchall() == [(False,)]


def test_data_health_names_what_is_planted(reviewed: Project, analysis: Analysis) -> None:
    sound = {row["what"]: row["times"] for row in analysis.rows("data_health")}
    assert sound == {"image without a vector": 16}
    root = reviewed.root
    waiting = next((root / "crop_auto").glob("*.png"))
    (waiting.with_suffix(".decision")).rename(root / "selected" / "left_behind.decision")
    (root / "selected" / "stranger.png").write_bytes(b"x")
    (root / queue(reviewed)[0].filenames[0]).unlink()
    found = {row["what"]: (row["times"], row["example"]) for row in analysis.rows("data_health", "p")}
    del found["image without a vector"]
    assert found == {
        "image without its sidecar": (1, f"crop_auto/{waiting.name}"),
        "sidecar without its image": (1, "selected/left_behind.decision"),
        "image that no scan has met": (1, "selected/stranger.png"),
        "image that is nowhere": (1, queue(reviewed)[0].filenames[0]),
    }
    root.rename(root.with_name("unplugged"))  # nothing is missing then: nothing could be listed
    assert {row["what"] for row in analysis.rows("data_health")} == {"image without a vector"}
