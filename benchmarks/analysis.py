"""How often the AI was right, over many databases: ours beside pandas over `read_sql`, and next to a loop of sqlite3.

Ours is the named query `performance_by_project` on the live databases; each timed run looks at every database's time
stamps first, and checks the rows of one that has changed. The three ways must give the same numbers. Times are CPU
seconds, of this process and of its helper; the clock's are in the JSON.

    python benchmarks/analysis.py [--quick]

Version 0.1 has its own: git worktree add ../version-0.1 6f83437, then python benchmarks/analysis.py there.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pandas
import psutil

from _databases import make_project
from _measure import finish, median, seconds, table
from pickroom.analysis.connection import Analysis, connect
from pickroom.store.workspace import Workspace

MOST_AFTER_DECISION_S = 0.3  # with 15 databases of 5,000 decisions
MOST_TIMES_LOOP = 3.0  # with 15 databases of 70,000
MOST_FIRST_S = 5.0  # with 500 databases of 20
RUNS = 5
COLUMNS = """SELECT d.project_id, d.selection_match, d.crop_match, c.input, c.crop_input
    FROM ai_decisions AS d LEFT JOIN decision_context AS c USING (group_id)"""

Performance = dict[str, tuple[int, int, int]]  # project -> decisions, correct selections, correct crops


def ours(analysis: Analysis) -> Performance:
    rows = analysis.rows("performance_by_project")
    return {
        row["project_id"]: (row["total_decisions"], row["correct_selections"], row["correct_crops"]) for row in rows
    }


def by_loop(databases: list[Path]) -> Performance:
    found = {}
    for path in databases:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            for row in connection.execute("SELECT * FROM ai_performance"):
                found[row[0]] = tuple(row[1:4])
    return found


def by_pandas(databases: list[Path]) -> Performance:
    frames = []
    for path in databases:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            frames.append(pandas.read_sql(COLUMNS, connection))
    frame = pandas.concat(frames)
    frame = frame[frame["input"] != "auto"]
    own = (frame["selection_match"] == 1) & (frame["crop_input"] != "apply_ai")
    frame["crop_match"] = frame["crop_match"].where(own)
    grouped = frame.groupby("project_id").agg(
        total=("project_id", "size"), selections=("selection_match", "sum"), crops=("crop_match", "sum")
    )
    return {str(row.Index): (int(row.total), int(row.selections), int(row.crops)) for row in grouped.itertuples()}


def cpu() -> float:
    """CPU seconds of this process and of the helpers that run."""
    own = psutil.Process()
    times = [process.cpu_times() for process in (own, *own.children())]
    return sum(one.user + one.system for one in times)


def cost(run: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    before = cpu()
    run()
    return cpu() - before


def touch(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE groups SET deferrals = deferrals + 1 WHERE sequence = 1")


def measure(home: Path, projects: int, decisions: int, runs: int) -> dict[str, float]:
    """Seconds of everything, over `projects` databases of `decisions` rows each."""
    workspace = Workspace(home)
    making = seconds(
        lambda: [make_project(workspace, f"p{n:04d}", decisions, seed=n) for n in range(projects)],
    )
    print(f"made {projects} databases of {decisions} decisions in {making:.0f} s", flush=True)
    databases = [workspace.project(project_id).database for project_id in workspace.project_ids()]
    connect(Workspace(home / "nowhere")).close()  # starting the helper is not the databases' doing
    found = {"first": cost(lambda: ours(opened := connect(workspace)) and opened.close())}
    found["again"] = cost(lambda: connect(workspace).close())
    with connect(workspace) as analysis:
        assert not analysis.problems, analysis.problems
        assert ours(analysis) == by_loop(databases) == by_pandas(databases), "the three ways disagree"
        # in turns, so that all meet the same weather
        ways = [lambda: ours(analysis), lambda: by_loop(databases), lambda: by_pandas(databases)]
        turns = [[cost(way) for way in ways] for _ in range(runs)]
        changed = []
        for _ in range(runs):
            touch(databases[0])
            changed.append(cost(lambda: ours(analysis)))
        found["changed"] = median(changed)
        touch(databases[0])
        found["changed_clock"] = seconds(lambda: ours(analysis))
    for place, name in enumerate(("ours", "loop", "pandas")):
        found[name] = median([turn[place] for turn in turns])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="3 databases of 20,000 decisions, and 50 small ones")
    quick = parser.parse_args().quick
    large, middle, small = ((3, 20_000), (3, 5000), (50, 20)) if quick else ((15, 70_000), (15, 5000), (500, 20))
    with tempfile.TemporaryDirectory() as folder:
        big = measure(Path(folder, "large"), *large, RUNS)
        usual = measure(Path(folder, "middle"), *middle, RUNS)
        many = measure(Path(folder, "small"), *small, 3)
    for (projects, decisions), found in ((large, big), (middle, usual), (small, many)):
        rows = [
            ("", "Pickroom", "plain alternative"),
            ("performance query", f"{found['ours']:.3f} s", f"loop of sqlite3 {found['loop']:.3f} s"),
            ("  times the loop", f"{found['ours'] / found['loop']:.2f}", ""),
            ("", "", f"pandas over read_sql {found['pandas']:.3f} s"),
            ("after one project changed", f"{found['changed']:.3f} s", ""),
            ("  times the loop", f"{found['changed'] / found['loop']:.2f}", ""),
            ("first connection and its query: every row checked", f"{found['first']:.1f} s", ""),
            ("a later connection", f"{found['again']:.2f} s", ""),
        ]
        table(f"{projects} projects of {decisions:,} decisions, CPU seconds", rows)
    missed = []
    if usual["changed"] > MOST_AFTER_DECISION_S:
        missed.append(f"after one decision {usual['changed']:.2f} s > {MOST_AFTER_DECISION_S} s")
    # of three databases the one that changed is a third of the rows
    if not quick and big["changed"] > MOST_TIMES_LOOP * big["loop"]:
        missed.append(f"after one change {big['changed']:.2f} s > {MOST_TIMES_LOOP} x {big['loop']:.2f} s of a loop")
    if not quick and many["first"] > MOST_FIRST_S:
        missed.append(f"first query of many {many['first']:.1f} s > {MOST_FIRST_S:g} s")
    figures = {f"{name}_s": value for name, value in big.items()} | {f"many_{name}_s": v for name, v in many.items()}
    figures |= {f"usual_{name}_s": value for name, value in usual.items()}
    figures["times_faster_than_pandas"] = big["pandas"] / big["ours"]
    figures["times_faster_than_loop"] = big["loop"] / big["ours"]
    finish({**figures, "projects": large[0], "decisions": large[1], "many_projects": small[0]}, missed)


if __name__ == "__main__":
    main()
