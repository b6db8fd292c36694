"""One connection over every project: typed, fresh, and never in the way of who writes; exceptions are named."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from conftest import FIXTURES, read_tree, write_series
from pickroom.analysis.connection import Analysis, connect
from pickroom.analysis.server import Session
from pickroom.core import naming
from pickroom.core.errors import UsageError
from pickroom.indexing import projects
from pickroom.maintenance.backup.restoring import restore_copy
from pickroom.store import copies, legacy
from pickroom.store.connect import connect as open_store
from pickroom.store.connect import transaction
from pickroom.store.workspace import Project, Workspace
from support.analysing import change, earlier_row, write_earlier, write_model, write_vectors
from support.reviewing import FINALISE, child, exit_code_of, hear, in_child, is_locked, queue, review, rows

Make = Callable[..., Project]
VIEWS = "decisions crops groups images recommendations operations models".split()  # noqa: SIM905 (as FORMATS.md lists them)


def count(analysis: Analysis, view: str = "decisions") -> int:
    return analysis.execute(f"SELECT count(*) FROM {view}").fetchall()[0][0]


def types(analysis: Analysis, view: str) -> dict[str, str]:
    return {name: kind for name, kind, *_ in analysis.execute(f"DESCRIBE {view}").fetchall()}


def add_project(workspace: Workspace, folder: Path, project_id: str) -> Project:
    write_series(folder / project_id, [(1, 2), (1, 2)])
    project = projects.start(workspace, project_id, folder / project_id)[0]
    review(project, "1", "2", *FINALISE)
    return project


# ------------------------------------------------------------------------------------------------ views and types


def test_views_are_there_and_typed_before_the_first_project(analysis: Analysis) -> None:
    assert [count(analysis, view) for view in VIEWS] == [0] * len(VIEWS)
    decisions = types(analysis, "decisions")
    assert decisions["timestamp"] == decisions["crop_timestamp"] == "TIMESTAMP"
    assert decisions["images"] == "VARCHAR[]"
    assert decisions["ai_crop_coords"] == decisions["final_crop_coords"] == "DOUBLE[4]"
    assert {decisions[name] for name in ("ai_crop_accepted", "selection_match", "crop_match")} == {"BOOLEAN"}
    assert types(analysis, "crops")["box"] == "DOUBLE[4]"
    assert types(analysis, "recommendations")["reasons"] == "VARCHAR[]"
    assert types(analysis, "operations")["planned_at"] == "TIMESTAMP"


def test_decisions_hold_what_the_table_holds(storage: str, reviewed: Project, analysis: Analysis) -> None:
    plain = rows(reviewed, "SELECT * FROM ai_decisions ORDER BY group_id")
    typed = analysis.execute("SELECT * FROM decisions ORDER BY group_id").df().to_dict("records")
    assert len(plain) == len(typed) == 5
    for ours, theirs in zip(typed, plain, strict=True):
        assert ours["timestamp"].isoformat() + "Z" == theirs["timestamp"]
        assert list(ours["images"]) == json.loads(theirs["images"])
        for name in ("ai_crop_coords", "final_crop_coords"):
            given = ours[name]
            assert (None if given is None else list(given)) == (json.loads(theirs[name]) if theirs[name] else None)
        for name in ("group_id", "project_id", "directory", "user_action", "user_selected_index", "image_width"):
            assert ours[name] == theirs[name]
        for name in ("selection_match", "ai_crop_accepted", "crop_match"):
            assert (None if ours[name] is None else int(ours[name])) == theirs[name]


def test_what_follows_from_names_and_context(reviewed: Project, analysis: Analysis) -> None:
    found = analysis.execute(
        """SELECT picked_stage, ai_stage, highest_stage_index, anomaly, by_person, input, versions['ranker']
        FROM decisions ORDER BY group_id"""
    ).fetchall()
    assert found == [
        (2.0, 2.0, 1, False, True, "review", "v1"),
        (2.0, 2.0, 2, False, True, "review", "v1"),
        (1.0, 3.0, 2, True, True, "review", "v2"),
        (3.0, 3.0, 1, False, True, "review", "v1"),
        (None, 1.0, 1, None, True, "review", "v1"),
    ]
    assert count(analysis, "outcomes") == 6  # the group kept whole has no row in ai_decisions
    assert analysis.execute("SELECT outcome, images FROM outcomes WHERE outcome = 'keep'").fetchall() == [("keep", 2)]


def test_crops_carry_the_ais_box_and_how_far_it_was(reviewed: Project, analysis: Analysis) -> None:
    (made,) = analysis.execute("SELECT * FROM crops").df().to_dict("records")
    assert made["input"] == "desk"
    assert list(made["box"]) == [0.1, 0.05, 0.9, 0.8]
    assert list(made["ai_box"]) == [0.1, 0.0, 0.9, 0.8]
    assert made["iou"] == pytest.approx(0.75 / 0.8)
    assert made["corner_error"] == pytest.approx(0.05)
    assert made["within_5"] and made["counts"]
    assert (made["stage"], made["orientation"], made["width"]) == (3.0, "portrait", 48)


def test_images_say_where_they_are_now(reviewed: Project, analysis: Analysis) -> None:
    found = analysis.execute("SELECT path, sha256 FROM images").fetchall()
    on_disk = read_tree(reviewed.root)
    assert len(found) == 16
    assert {path: sha256 for path, sha256 in found} == {path: on_disk[path] for path, _ in found}


def test_groups_recommendations_and_operations(reviewed: Project, analysis: Analysis) -> None:
    waiting = analysis.execute("SELECT group_id, images, stages FROM groups WHERE outcome IS NULL").fetchall()
    assert [(group_id, tuple(names)) for group_id, names, _ in waiting] == [
        (group.group_id, group.filenames) for group in queue(reviewed)
    ]
    assert waiting[0][2] == [1.0, 2.0]
    assert count(analysis, "recommendations") == 7
    (done,) = analysis.execute("SELECT count(*) FROM operations WHERE state = 'done'").fetchall()
    assert done[0] == rows(reviewed, "SELECT count(*) AS n FROM file_operations")[0]["n"] > 0


def test_vectors_stand_next_to_the_images_they_are_made_of(reviewed: Project, analysis: Analysis) -> None:
    images = rows(reviewed, "SELECT filename, sha256 FROM images ORDER BY directory, filename LIMIT 4")
    (one, a), (two, b), (three, _), (four, d) = [(image["filename"], image["sha256"]) for image in images]
    values = [0.5, 1.0, -2.0]
    write_vectors(reviewed, "small", [(one, a, values), (two, b, None), (three, "another content", values)], 3)
    write_vectors(reviewed, "small", [(one, a, values), (four, d, [0.0, 0.0, 1.0])], 3)  # met again in a later file
    write_vectors(reviewed, "wide", [(two, b, [1.0, 2.0, 3.0, 4.0])], 4)
    regions = write_vectors(reviewed, "small", [], 3)
    regions.rename(regions.with_name("regions-1.parquet"))

    kinds = types(analysis, "images")
    assert (kinds["vector_small"], kinds["vector_wide"], kinds["vector"]) == ("FLOAT[3]", "FLOAT[4]", "FLOAT[3]")
    assert count(analysis, "images") == 16
    found = analysis.execute("SELECT filename, encoder_id, vector FROM images WHERE vector IS NOT NULL").fetchall()
    assert found == [(one, "small", [0.5, 1.0, -2.0]), (four, "small", [0.0, 0.0, 1.0])]
    wide = analysis.execute("SELECT filename, vector_wide FROM images WHERE vector_wide IS NOT NULL").fetchall()
    assert wide == [(two, [1.0, 2.0, 3.0, 4.0])]
    assert analysis.execute("SELECT array_cosine_similarity(vector, vector) FROM images WHERE vector IS NOT NULL")


def test_models_come_from_their_metadata(workspace: Workspace, analysis: Analysis) -> None:
    write_model(workspace, "ranker_v2", {"metrics": {"normal_top1": 0.97}})
    write_model(workspace, "crop_proposer_v10", {})
    write_model(workspace, "no_version", {})
    (workspace.models / "ranker_v2.pt").write_bytes(b"weights")
    found = analysis.execute(
        "SELECT model, name, version, has_weights, (metadata->>'$.metrics.normal_top1')::DOUBLE FROM models"
    ).fetchall()
    assert found == [
        ("crop_proposer_v10", "crop_proposer", 10, False, None),
        ("no_version", "no_version", None, False, None),  # another program's
        ("ranker_v2", "ranker", 2, True, 0.97),
    ]
    assert analysis.problems == ()


def test_imported_history_is_there_and_told_apart(
    storage: str, workspace: Workspace, reviewed: Project, analysis: Analysis
) -> None:
    names = (FIXTURES / "stage_names.txt").read_text().split()
    names += ["holiday.png", "20250803_060000_stage4_x.png", "a_20250803_060000_stage1.5.png", "x\ny_stage2_z.png"]
    for project_id in (reviewed.id, "elsewhere"):
        with closing(legacy.connect_legacy(legacy.legacy_path(workspace, project_id))) as connection, connection:
            connection.executemany(
                "INSERT INTO legacy_selections VALUES (?, ?, '[\"b.png\"]', NULL, 'log.csv', 1)",
                [(project_id, name) for name in names],
            )
            connection.execute(
                """INSERT INTO legacy_crops VALUES (?, 'c_20250803_060000_stage2_x.png', '[0.1, 0, 0.9, 0.8]', 200, 100,
                2, '2025-08-03T06:00:00Z', 'log.csv', 2)""",
                (project_id,),
            )
    # one parser of stages for all (LESSONS.md: two gave two answers)
    found = dict(analysis.execute("SELECT chosen, chosen_stage FROM legacy_selections").fetchall())
    assert found == {name: naming.parse_name(name).stage for name in names}
    crops = analysis.execute(
        "SELECT project_id, orientation, iou FROM crops WHERE origin = 'legacy' ORDER BY 1"
    ).fetchall()
    assert crops == [("elsewhere", "landscape", None), (reviewed.id, "landscape", None)]
    assert count(analysis) == 5


# ------------------------------------------------------------------------------------------------ always fresh


def test_what_comes_later_is_seen(
    storage: str, reviewed: Project, workspace: Workspace, tmp_path: Path, analysis: Analysis
) -> None:
    assert count(analysis) == 5
    review(reviewed, "1", *FINALISE)
    assert count(analysis) == 6
    added = add_project(workspace, tmp_path, "later")
    assert count(analysis) == 8
    change(added, "DELETE FROM ai_decisions")
    assert count(analysis) == 6
    added.manifest_file.unlink()
    assert analysis.execute("SELECT DISTINCT project_id FROM decisions").fetchall() == [("p",)]


def test_projects_of_one_schema_are_not_taken_for_one_another(
    storage: str, reviewed: Project, workspace: Workspace, tmp_path: Path, analysis: Analysis
) -> None:
    """DuckDB 1.5's common_subplan does that to tables of the same columns; it is switched off."""
    add_project(workspace, tmp_path, "other")
    by_project = "SELECT count(*) FROM decisions WHERE project_id = '{}'"
    assert analysis.execute(
        " UNION ALL ".join(by_project.format(name) for name in ("p", "other", "p", "none"))
    ).fetchall() == [(5,), (2,), (5,), (0,)]
    assert analysis.execute("SELECT current_setting('disabled_optimizers')").fetchall() == [("common_subplan",)]


def test_looking_where_nothing_is_leaves_nothing_there(tmp_path: Path) -> None:
    with connect(Workspace(tmp_path / "nowhere")) as analysis:
        assert count(analysis) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_closed_disk_only_costs_the_copies(reviewed: Project, workspace: Workspace) -> None:
    (workspace.root / "data" / "ai_data" / "cache" / "analysis").write_text("no folder can be made here")
    with connect(workspace) as analysis:
        assert count(analysis) == 5


# ------------------------------------------------------------------------------------------------ while others write


def test_query_keeps_the_write_lock_of_this_process(storage: str, reviewed: Project, workspace: Workspace) -> None:
    with closing(open_store(reviewed.database)) as connection:
        with transaction(connection):
            connection.execute("UPDATE groups SET deferrals = 7")
            assert in_child(is_locked, reviewed.database)
            with connect(workspace) as analysis:
                assert analysis.execute("SELECT max(deferrals) FROM groups").fetchall() == [(0,)]
            assert in_child(is_locked, reviewed.database)
        with connect(workspace) as analysis:
            assert analysis.execute("SELECT max(deferrals) FROM groups").fetchall() == [(7,)]
    assert not in_child(is_locked, reviewed.database)


def test_an_open_analysis_holds_no_database(storage: str, reviewed: Project, workspace: Workspace) -> None:
    with connect(workspace) as analysis:
        assert count(analysis) == 5
        if Path("/proc/self/fd").is_dir():
            held = [os.readlink(link.path) for link in os.scandir("/proc/self/fd") if os.path.exists(link.path)]
            assert [path for path in held if path.startswith(str(reviewed.database))] == []
        review(reviewed, "1", *FINALISE)  # the store opens it, which it would not while it is lent
        assert count(analysis) == 6


def test_a_query_goes_on_while_another_process_reviews(storage: str, reviewed: Project, workspace: Workspace) -> None:
    def write(pipe: Connection) -> None:
        with closing(open_store(reviewed.database)) as connection, transaction(connection):
            connection.execute("UPDATE groups SET deferrals = 7")
            pipe.send("writing")
            hear(pipe)

    with connect(workspace) as analysis:
        with child(write) as pipe:
            hear(pipe)
            assert analysis.execute("SELECT max(deferrals) FROM groups").fetchall() == [(0,)]
            pipe.send("end")
        assert analysis.execute("SELECT max(deferrals) FROM groups").fetchall() == [(7,)]
        assert exit_code_of(review, reviewed, "1", *FINALISE) == 0
        assert count(analysis) == 6


# ------------------------------------------------------------------------------------------------ exceptions, named


def lock_for_good(pipe: Connection, path: Path) -> None:
    """Keep everybody out, readers too, as Pickroom never does."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("BEGIN EXCLUSIVE")
        pipe.send("locked")
        hear(pipe)
        connection.execute("COMMIT")


@pytest.fixture
def neighbour(reviewed: Project, workspace: Workspace, tmp_path: Path) -> Project:
    """Another project, which each test spoils; `reviewed` has to go on working."""
    return add_project(workspace, tmp_path, "spoilt")


def left_out(analysis: Analysis) -> str:
    """Why the spoilt project is left out, while the other one is all there."""
    assert count(analysis) == 5
    assert analysis.execute("SELECT DISTINCT project_id FROM decisions").fetchall() == [("p",)]
    (problem,) = analysis.problems
    assert (problem.project_id, problem.left_out) == ("spoilt", True)
    return problem.what


def test_a_locked_database_is_named_until_it_is_free(
    storage: str, neighbour: Project, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pickroom.analysis.tables.BUSY_MS", 100)
    monkeypatch.setattr("pickroom.analysis.sources._PATIENCE_S", 0)
    asked = "SELECT count(*) FROM decisions"
    with child(lock_for_good, neighbour.database) as pipe:
        hear(pipe)
        with closing(Session(workspace)) as session:
            assert session.run(asked).to_pylist() == [{"count_star()": 5}]
            (problem,) = session.problems
            assert (problem.project_id, problem.left_out) == ("spoilt", True) and "locked" in problem.what
            pipe.send("end")
            pipe.poll(10)
            assert session.run(asked).to_pylist() == [{"count_star()": 7}]
            assert session.problems == []


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda path: path.write_bytes(b"SQLite format 3\0" + bytes(2000)), "not a database"),
        (lambda path: path.write_bytes(path.read_bytes()[: 4096 * 3]), "malformed"),
        (lambda path: path.write_bytes(b""), "the database is empty (0 bytes)"),
        (lambda path: path.unlink(), "the database does not exist"),
    ],
    ids=["nonsense", "cut off", "empty", "gone"],
)
def test_a_damaged_database_is_named(
    storage: str, neighbour: Project, workspace: Workspace, spoil: Callable[[Path], object], reason: str
) -> None:
    spoil(neighbour.database)
    with connect(workspace) as analysis:
        told = left_out(analysis)
    assert reason in told and str(neighbour.database) in told and "\n" not in told


def test_a_newer_database_is_named(storage: str, neighbour: Project, workspace: Workspace) -> None:
    change(neighbour, "PRAGMA user_version = 99")
    with connect(workspace) as analysis:
        assert "the database has schema 99, this program knows up to" in left_out(analysis)


def test_a_restored_database_is_read(storage: str, reviewed: Project, workspace: Workspace) -> None:
    copies.publish(reviewed.database, lambda path: shutil.copyfile(reviewed.database, path))
    (copy,) = copies.newest(reviewed.database)
    change(reviewed, "DELETE FROM ai_decisions")
    with connect(workspace) as analysis:
        assert count(analysis) == 0
        restore_copy(workspace, reviewed.id, copy.name)
        assert count(analysis) == 5
        reviewed.database.rename(aside := reviewed.database.with_name("aside"))  # in the middle of a restore
        analysis.refresh()
        (problem,) = analysis.problems
        assert problem.left_out and "the database does not exist" in problem.what
        aside.rename(reviewed.database)
        assert count(analysis) == 5 and analysis.problems == ()


def test_a_query_sees_each_database_at_one_moment(storage: str, reviewed: Project, workspace: Workspace) -> None:
    asked = """SELECT (SELECT min(deferrals) FROM groups), (SELECT max(deferrals) FROM groups),
        (SELECT min(milliseconds) FROM decisions), (SELECT max(milliseconds) FROM decisions)"""

    def write(pipe: Connection) -> None:
        with closing(open_store(reviewed.database)) as connection:
            number = 0
            while not pipe.poll(0.01):
                number += 1
                with transaction(connection):
                    connection.execute("UPDATE groups SET deferrals = ?", (number,))
                    connection.execute("UPDATE decision_context SET milliseconds = ?", (number,))
                if number == 1:
                    pipe.send("writing")

    with connect(workspace) as analysis, child(write) as pipe:
        hear(pipe)
        seen = [analysis.execute(asked).fetchone() for _ in range(8)]
        pipe.send("end")
    assert [row for row in seen if len(set(row or ())) != 1] == [] and len(set(seen)) > 1


def test_a_damaged_manifest_is_named_and_its_rows_are_there(neighbour: Project, workspace: Workspace) -> None:
    neighbour.manifest_file.write_text("{")
    with connect(workspace) as analysis:
        assert count(analysis) == 7
        assert [(problem.project_id, problem.left_out) for problem in analysis.problems] == [("spoilt", False)]
        assert count(analysis, "projects") == 1


def test_a_database_of_the_earlier_schema_is_read_as_it_is(
    storage: str, neighbour: Project, workspace: Workspace
) -> None:
    neighbour.database.unlink()
    write_earlier(
        neighbour.database, [earlier_row(f"g{n}", "spoilt", final_crop_coords="[0, 0, 1, 1]") for n in range(3)]
    )
    before = neighbour.database.read_bytes()
    with connect(workspace) as analysis:
        found = analysis.execute(
            "SELECT ai_crop_accepted, stages, picked_stage, input FROM decisions WHERE project_id = 'spoilt'"
        ).fetchall()
        assert found == [(None, [1.0, 2.0], 2.0, None)] * 3
        assert count(analysis, "crops") == 4
        (problem,) = analysis.problems
    assert not problem.left_out and "earlier schema" in problem.what and "ai_crop_accepted" in problem.what
    assert neighbour.database.read_bytes() == before


def test_a_text_in_a_column_of_numbers_costs_its_own_row(
    storage: str, neighbour: Project, workspace: Workspace
) -> None:
    change(neighbour, "UPDATE ai_decisions SET image_width = 'wide' WHERE user_selected_index = 0")
    with connect(workspace) as analysis:
        widths = analysis.execute("SELECT image_width FROM decisions WHERE project_id = 'spoilt' ORDER BY 1").fetchall()
        assert widths == [(48,)]
        assert [p.line for p in analysis.problems] == ["spoilt: 1 unsound row left out: see the view unsound_rows"]
        assert [p.unsound for p in analysis.problems] == [1]
        whats = analysis.execute(
            "SELECT project_id, origin, table_name, failed_check, what FROM unsound_rows"
        ).fetchall()
        assert whats == [("spoilt", "project", "ai_decisions", "sizes", "size 'wide' x 64")]
        assert count(analysis) == 6


def test_odd_texts_are_read(storage: str, neighbour: Project, workspace: Workspace) -> None:
    change(neighbour, "UPDATE decision_context SET versions = CAST(X'7bff7d' AS TEXT)")
    change(neighbour, "UPDATE ai_decisions SET timestamp = '2025-08-03T08:00:00+02:00' WHERE user_selected_index = 0")
    change(neighbour, "UPDATE ai_decisions SET timestamp = 'yesterday' WHERE user_selected_index = 1")
    with connect(workspace) as analysis:
        found = analysis.execute(
            """SELECT versions, timestamp FROM decisions WHERE project_id = 'spoilt'
            ORDER BY user_selected_index"""
        ).fetchall()
    assert found == [(None, datetime(2025, 8, 3, 6)), (None, None)]


def test_without_the_sqlite_extension_everything_is_the_same(
    reviewed: Project, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries = [f"SELECT * EXCLUDE (mtime_ns) FROM {view} ORDER BY ALL" for view in VIEWS if view == "images"]
    queries += [f"SELECT * FROM {view} ORDER BY ALL" for view in (*VIEWS, "outcomes", "sessions") if view != "images"]
    with closing(Session(workspace)) as session:
        assert session.sources.attach
        attached = [session.run(query) for query in queries]
    monkeypatch.setattr("pickroom.analysis.tables.sqlite_extension", lambda: None)
    with closing(Session(workspace)) as session:
        assert not session.sources.attach
        assert [session.run(query) for query in queries] == attached
        assert session.problems == []
        review(reviewed, "1", *FINALISE)
        assert session.run("SELECT count(*) AS n FROM decisions").to_pylist() == [{"n": 6}]


def test_connection_fetches_nothing_and_leaves_home_untouched(
    reviewed: Project, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    with connect(workspace) as analysis:
        count(analysis)
        with pytest.raises(UsageError, match="iceberg"):
            analysis.execute("SELECT * FROM iceberg_scan('x')")
    assert not (tmp_path / "user").exists()
