"""Commands that only look, and the last one of a project: sql, check, report, finish."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pickroom.cli.console import (
    Home,
    Json,
    ProjectName,
    app,
    fail_if,
    listing_items,
    name_unsound,
    progress_bar,
    project_of,
    say,
    show,
    table,
)
from pickroom.store.workspace import Project, Workspace

if TYPE_CHECKING:
    from pickroom.files.sidecars import Fault

_SHOWN = 200  # rows of an answer in words
_LONGEST = 16  # values of a list that are shown in one


@app.command()
def sql(
    query: Annotated[str, typer.Argument(metavar="QUERY", help="One SELECT, or EXPLAIN of one.")],
    home: Home = None,
    json_output: Json = False,
) -> None:
    """Ask every project at once in SQL: decisions crops groups images recommendations operations models."""
    from pickroom.analysis import safe_sql

    result = safe_sql.run(Workspace.find(home), query)
    for problem in result.problems:
        say(f"pickroom: {problem.line}")
    if result.columns == ("explain_key", "explain_value"):  # a plan, as DuckDB draws it
        lines = [line.rstrip() for row in result.rows for line in str(row[1]).splitlines()]
    else:
        rows = [tuple(_shown(value) for value in row) for row in result.rows[:_SHOWN]]
        lines = table(result.columns, rows)
        if rows != list(result.rows[:_SHOWN]):
            lines.append(f"(lists of more than {_LONGEST} values are shown by their length; --json has them whole)")
    if len(result.rows) > _SHOWN:
        lines.append(f"... and {len(result.rows) - _SHOWN} rows more (--json has them all)")
    show(result.to_dict(), json_output, lines)
    fail_if(sum(problem.unsound + problem.left_out for problem in result.problems))


def _shown(value: Any) -> Any:
    """A value of a table without the vectors in it."""
    if isinstance(value, dict):
        return {key: _shown(one) for key, one in value.items()}
    if isinstance(value, list):
        return f"[{len(value):,} values]" if len(value) > _LONGEST else [_shown(one) for one in value]
    return value


@app.command()
def check(
    project: ProjectName,
    repair: Annotated[
        bool, typer.Option("--repair", help="Write lost sidecars again, and close rows cropped without one.")
    ] = False,
    home: Home = None,
    json_output: Json = False,
) -> None:
    """Whether decisions are fit to train on and to finish, and images where they say; writes the inspection report."""
    from pickroom import integrity
    from pickroom.features import blocks
    from pickroom.integrity.whereabouts import in_words
    from pickroom.learn.reading import inspect_all

    opened = project_of(home, project)
    repaired = _repair_crops(opened) if repair else []
    found, *imports = inspect_all(opened)
    faults = [] if found.errors else _crop_faults(opened)  # rows that are not sound cannot be held against files
    finishing = integrity.inspect(opened, purpose="finishing")
    lies = integrity.whereabouts(opened)
    path = integrity.save_report(opened.workspace, [found, *imports])
    ok = not any(one.errors for one in (found, *imports)) and not faults and lies.is_sound
    values = {**found.to_dict(), **lies.to_dict(), "ok": ok, "finishing_ok": not finishing.errors}
    values |= {
        "imported": imports[0].to_dict() if imports else None,
        "repaired": repaired,
        "crops": [fault.to_dict() for fault in faults],
        "report": str(path),
    }
    lines = [f"{opened.id}: {found.rows} decisions, {len(found.excluded_ids)} of them left out of training"]
    lines += found.lines
    for one in imports:
        left_out = len(one.excluded_ids | one.error_ids)
        lines.append(f"  imported: {one.rows} rows, {left_out} of them left out of training")
        lines += one.lines
    lines += [f"  repaired: {line}" for line in repaired]
    lines += [f"  waiting crop: {fault.line}" for fault in faults]
    if any(fault.repairable for fault in faults):
        lines.append(f"  put right what the database knows: pickroom check {opened.id} --repair")
    lines += [f"  {line}" for line in in_words(lies.to_dict(), opened.id)]
    if not any(one.findings for one in (found, *imports)) and not faults and lies.is_sound:
        lines.append("  every check passes")
    if finishing.errors and not found.errors:
        names = ", ".join(f"{finding.check} ({finding.count})" for finding in finishing.errors)
        lines.append(f"  before it can be finished: {names}")
    stored = blocks.counts(opened)
    values["stored"] = stored
    lines.append(f"  stored for learning: {', '.join(f'{name} of {count}' for name, count in stored.items())} images")
    show(values, json_output, [*lines, f"  the whole report: {path}"])
    fail_if(not ok)


def _repair_crops(project: Project) -> list[str]:
    from pickroom.files import sidecars
    from pickroom.store.connect import connect

    with closing(connect(project.database)) as connection:
        return sidecars.repair(project, connection)


def _crop_faults(project: Project) -> list[Fault]:
    """What is wrong with crops that wait; nothing is said while files are on their way, or the folder is not there."""
    from pickroom.files import sidecars
    from pickroom.store import operations
    from pickroom.store.connect import open_read_only

    if not project.root.is_dir():
        return []
    with open_read_only(project.database) as connection:
        return [] if operations.count_planned(connection) else sidecars.look(project, connection)


@app.command()
def report(project: ProjectName, home: Home = None) -> None:
    """Run the report notebooks for a project; finishing does that too."""
    from pickroom.analysis.reports import render

    opened = project_of(home, project)
    with listing_items(prefix=""):
        pages = render.run(opened)
    unsound = name_unsound(opened)
    show({}, False, [str(page) for page in pages])
    fail_if(unsound)


@app.command()
def finish(
    project: ProjectName,
    execute: Annotated[bool, typer.Option("--execute", help="Do it; else only say what would happen.")] = False,
    originals: Annotated[bool, typer.Option("--originals", help="Also archive what the crops were made from.")] = False,
    home: Home = None,
) -> None:
    """Report on a project, archive it and mark it as finished; refuses while anything is half done."""
    from pickroom.analysis.reports import finish as finishing

    opened = project_of(home, project)
    if not execute:
        plan = finishing.plan(opened, originals=originals)
        hint = [] if plan.blockers else [f"Nothing has been done. Do it: pickroom finish {opened.id} --execute"]
        show({}, False, [*plan.lines, *hint])
        fail_if(name_unsound(opened) + len(plan.blockers))
        return
    with listing_items(prefix=""), progress_bar("Packing pictures") as progress:
        done = finishing.execute(opened, progress, originals=originals)
    show({}, False, done.lines)
    fail_if(name_unsound(opened))
