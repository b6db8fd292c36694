"""A lower stage chosen over a higher one: found, counted by project, written, read back, drawn."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pickroom.core.errors import ProjectError, StoreError
from pickroom.history import anomalies
from pickroom.history.anomalies import Pick, compare
from pickroom.store.connect import connect
from pickroom.store.workspace import Project, Workspace

from .logs import SAMPLES, SELECTION, TIME, run_import, selection, write_log


def named(*stages: float | None) -> tuple[str, ...]:
    return tuple(
        f"20250803_0654{n:02d}" + ("" if s is None else f"_stage{s:g}_x") + ".png" for n, s in enumerate(stages)
    )


@pytest.mark.parametrize(
    ("chosen", "others", "expected"),
    [
        (1, (2,), (1.0, 2.0)),
        (2, (1,), (2.0, 1.0)),
        (1, (1.5,), (1.0, 1.5)),  # 1.5 is a stage of its own
        (1.5, (1, 2), (1.5, 2.0)),
        (2, (2,), (2.0, 2.0)),
        (None, (2,), None),
        (1, (None,), None),
        (1, (None, 2), (1.0, 2.0)),  # one is higher, whatever the other is
        (2, (None, 1), None),  # the other may be higher
    ],
)
def test_comparing_stages(chosen: float | None, others: tuple, expected: tuple | None) -> None:
    picked, *rest = named(chosen, *others)
    assert compare(Pick("p", "g", picked, tuple(rest), None, "x")) == expected


def test_the_samples(workspace: Workspace) -> None:
    run_import(workspace, *sorted(SAMPLES.glob("*.csv")), by_folder=True)
    summary, cases = anomalies.find(workspace)
    print("\n".join(summary.lines()))
    counts = {name: (r.decisions, r.with_stages, r.anomalies) for name, r in summary.projects.items()}
    assert counts == {"1100": (4, 4, 4), "mojo1": (29, 29, 19), "mojo2": (6, 6, 6)}
    assert summary.projects["mojo1"].pairs == {"1<1.5": 14, "1<2": 5}
    assert (summary.total.anomalies, summary.total.rate) == (29, 29 / 39)
    assert len(cases) == 29


def test_what_is_written_can_be_read_and_brings_nothing_new(workspace: Workspace) -> None:
    run_import(workspace, *sorted(SAMPLES.glob("*.csv")), by_folder=True)
    summary, cases = anomalies.find(workspace)
    cases_file, summary_file = anomalies.write(workspace, summary, cases)
    assert cases_file == workspace.root / "data" / "training" / "pickroom_anomaly_cases.csv"
    assert len(cases_file.read_text().splitlines()) == 1 + len(cases)
    stored = json.loads(summary_file.read_text())
    assert stored.pop("generated_at").endswith("Z")
    assert stored == summary.to_dict()
    report = run_import(workspace, cases_file, project=None)
    assert (report.rows, report.imported) == (29, 0)


def test_files_of_the_user_are_kept(workspace: Workspace) -> None:
    run_import(workspace, *sorted(SAMPLES.glob("*.csv")), by_folder=True)
    folder = workspace.root / "data" / "training"
    theirs = ("anomaly_cases.csv", "anomaly_summary.json", "pickroom_anomaly_cases.csv")
    for name in theirs:
        (folder / name).write_text("mine")
    found = anomalies.find(workspace)
    names = ["pickroom_anomaly_cases-2.csv", "pickroom_anomaly_summary.json"]
    for _ in range(2):
        assert [path.name for path in anomalies.write(workspace, *found)] == names
    assert {(folder / name).read_text() for name in theirs} == {"mine"}


def test_a_folder_that_refuses_is_named(workspace: Workspace) -> None:
    workspace.decisions.parent.parent.mkdir(parents=True)
    workspace.decisions.parent.write_text("in the way")
    with pytest.raises(StoreError, match="writing anomalies"):
        anomalies.write(workspace, anomalies.Summary({}), [])


def test_only_what_the_person_picked_counts(make_project: Callable[..., Project]) -> None:
    project = make_project([(1, 2)] * 4)
    with connect(project.database) as connection:
        ids = [row[0] for row in connection.execute("SELECT group_id FROM groups ORDER BY sequence")]
        for group_id, action, source in zip(
            ids, ("approve", "reject", "approve", "crop"), ("review", "review", "auto", "blind"), strict=True
        ):
            connection.execute(
                """INSERT INTO ai_decisions (group_id, timestamp, project_id, images, user_selected_index, user_action,
                image_width, image_height) VALUES (?, ?, 'p', ?, 0, ?, 9, 9)""",
                (group_id, TIME, json.dumps(named(1, 2)), action),
            )
            connection.execute(
                "INSERT INTO decision_context (group_id, batch, input, outcome, decided_at) VALUES (?, 1, ?, ?, ?)",
                (group_id, source, action, TIME),
            )
    connection.close()
    summary, cases = anomalies.find(project.workspace, ["p"])
    assert (summary.projects["p"].decisions, len(cases)) == (2, 2)


def test_projects_without_picks_and_unknown_ones(workspace: Workspace, make_project: Callable[..., Project]) -> None:
    make_project([(1, 2)])
    summary, cases = anomalies.find(workspace)
    assert (summary.projects["p"].rate, cases) == (None, [])
    assert summary.lines() == ["p: 0 picks, none with stages to compare"]
    with pytest.raises(ProjectError, match="no project is named 'nope'"):
        anomalies.find(workspace, ["nope"])


def test_the_chart(workspace: Workspace, tmp_path: Path) -> None:
    rows = [selection(f"mojo1/{named(1)[0]}", [f"mojo1/{named(1, 2)[1]}"])]
    run_import(workspace, write_log(tmp_path / "log.csv", SELECTION, rows))
    summary, _ = anomalies.find(workspace)
    drawn = anomalies.figure(summary)
    (axes,) = drawn.axes
    assert [text.get_text() for text in axes.texts] == ["100.0 %  (1 of 1)"]
    drawn.savefig(tmp_path / "chart.png")
    empty = anomalies.figure(anomalies.Summary({}))
    assert empty.axes[0].get_title(loc="left") == "No picks with stages yet"
