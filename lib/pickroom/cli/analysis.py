"""Commands that only look, and the last one of a project: sql, check, report, finish."""

from __future__ import annotations

from typing import Annotated

import typer

from pickroom.cli.console import Home, Json, ProjectName, app, printable, progress_bar, project_of, say, show
from pickroom.errors import ConflictError
from pickroom.workspace import Workspace


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
    show(result.to_dict(), json_output, safe_sql.as_text(result))


@app.command()
def check(project: ProjectName, home: Home = None, json_output: Json = False) -> None:
    """Whether decisions are fit to train on and to finish, and images where they say; writes the inspection report."""
    from pickroom import integrity
    from pickroom.integrity.whereabouts import in_words

    opened = project_of(home, project)
    found = integrity.inspect(opened)
    finishing = integrity.inspect(opened, purpose="finishing")
    lies = integrity.whereabouts(opened)
    path = integrity.save_report(opened.workspace, [found])
    values = {**found.to_dict(), "finishing_ok": not finishing.errors, "report": str(path), **lies.to_dict()}
    values["ok"] = not found.errors and lies.is_sound
    lines = [f"{opened.id}: {found.rows} decisions, {len(found.excluded_ids)} of them left out of training"]
    for finding in found.findings:
        lines.append(f"  {finding.level}: {finding.check} ({finding.count})")
        lines += [f"    {example}" for example in finding.examples[:5]]
    lines += [f"  {line}" for line in in_words(lies.to_dict(), opened.id)]
    if not found.findings and lies.is_sound:
        lines.append("  every check passes")
    if finishing.errors and not found.errors:
        names = ", ".join(f"{finding.check} ({finding.count})" for finding in finishing.errors)
        lines.append(f"  before it can be finished: {names}")
    show(values, json_output, printable([*lines, f"  the whole report: {path}"]))
    if not values["ok"]:
        raise typer.Exit(1)


@app.command()
def report(project: ProjectName, home: Home = None) -> None:
    """Run the report notebooks for a project; finishing does that too."""
    from pickroom.reporting import render

    try:
        pages = render.run(project_of(home, project))
    except ConflictError as error:
        _list_items(error)
        raise
    show({}, False, "\n".join(str(page) for page in pages))


@app.command()
def finish(
    project: ProjectName,
    execute: Annotated[bool, typer.Option("--execute", help="Do it; else only say what would happen.")] = False,
    originals: Annotated[bool, typer.Option("--originals", help="Also archive what the crops were made from.")] = False,
    home: Home = None,
) -> None:
    """Report on a project, archive it and mark it as finished; refuses while anything is half done."""
    from pickroom.reporting import finish as finishing

    opened = project_of(home, project)
    if not execute:
        plan = finishing.plan(opened, originals=originals)
        hint = "" if plan.blockers else f"\nNothing has been done. Do it: pickroom finish {opened.id} --execute"
        show({}, False, printable(plan.lines) + hint)
        if plan.blockers:
            raise typer.Exit(1)
        return
    bar, progress = progress_bar("Packing pictures")
    try:
        with bar:
            done = finishing.execute(opened, progress, originals=originals)
    except ConflictError as error:
        _list_items(error)
        raise
    show({}, False, "\n".join(done.lines))


def _list_items(error: ConflictError) -> None:
    for item in error.items:
        say(printable([item]))
