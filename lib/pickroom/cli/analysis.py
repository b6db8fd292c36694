"""The commands sql, check, report, export and finish.

The options of `export` come from `exports/formats.py`.
"""

from __future__ import annotations

import inspect
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from pickroom.cli import console
from pickroom.cli.console import added, option
from pickroom.cli.project import next_line
from pickroom.core.errors import UsageError
from pickroom.exports.formats import FORMATS, ExportRequest
from pickroom.store.workspace import Project

with console.lazily():
    from pickroom import integrity
    from pickroom.analysis import safe_sql
    from pickroom.analysis.reports import finish as finishing
    from pickroom.analysis.reports import render
    from pickroom.features import blocks
    from pickroom.files import sidecars
    from pickroom.learn import reading
    from pickroom.store import connect, operations


_SHOWN = 200  # rows of an answer in words
_LONGEST = 16  # values of a list that are shown in one


@console.command(has_json=True)
def sql(query: Annotated[str, typer.Argument(metavar="QUERY", help="One SELECT, or EXPLAIN of one.")]) -> None:
    """Query all projects with SQL. Some views: decisions, crops, groups, images, recommendations, models."""
    result = safe_sql.run(console.workspace_here(), query)
    for problem in result.problems:
        console.say(f"pickroom: {problem.line}")
    if result.columns == ("explain_key", "explain_value"):  # a plan, as DuckDB draws it
        lines = [line.rstrip() for row in result.rows for line in str(row[1]).splitlines()]
    else:
        rows = [tuple(_shown(value) for value in row) for row in result.rows[:_SHOWN]]
        lines = console.table(result.columns, rows)
        if rows != list(result.rows[:_SHOWN]):
            lines.append(f"(lists of more than {_LONGEST} values are shown by their length; --json has them whole)")
    if len(result.rows) > _SHOWN:
        lines.append(f"... and {len(result.rows) - _SHOWN} rows more (--json has them all)")
    console.show(lines, result.to_dict())
    console.fail_if(sum(problem.unsound + problem.left_out for problem in result.problems))


def _shown(value: Any) -> Any:
    """A value of a table without the vectors in it."""
    if isinstance(value, dict):
        return {key: _shown(one) for key, one in value.items()}
    if isinstance(value, list):
        return f"[{len(value):,} values]" if len(value) > _LONGEST else [_shown(one) for one in value]
    return value


@console.command(has_json=True)
def check(
    project: console.ProjectName,
    repair: bool = option(False, "Write lost sidecars again, complete rows cropped without one.", "--repair"),
) -> None:
    """Check decisions, crops and the places of images, and write the inspection report."""
    opened = console.project_of(project)
    repaired: list[str] = []
    if repair:
        with closing(connect.connect(opened.database)) as connection:
            repaired = sidecars.repair(opened, connection)
    found, *imports = reading.inspect_all(opened)
    faults = [] if found.errors else _crop_faults(opened)  # unsound rows cannot be compared with files
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
        lines.append(f"  repair what the database knows: pickroom check {opened.id} --repair")
    lines += [f"  {line}" for line in integrity.in_words(lies.to_dict(), opened.id)]
    if not any(one.findings for one in (found, *imports)) and not faults and lies.is_sound:
        lines.append("  every check passes")
    if finishing.errors and not found.errors:
        names = ", ".join(f"{finding.check} ({finding.count})" for finding in finishing.errors)
        lines.append(f"  before it can be finished: {names}")
    stored = blocks.counts(opened)
    values["stored"] = stored
    lines.append(f"  stored for learning: {', '.join(f'{name} of {count}' for name, count in stored.items())} images")
    console.show([*lines, f"  the whole report: {path}"], values)
    console.fail_if(not ok)


def _crop_faults(project: Project) -> list[sidecars.Fault]:
    """Problems of waiting crops; none while file operations are unfinished, or the image folder is missing."""
    if not project.root.is_dir():
        return []
    with connect.open_read_only(project.database) as connection:
        return [] if operations.count_planned(connection) else sidecars.look(project, connection)


@console.command()
def report(project: console.ProjectName) -> None:
    """Run a project's report notebooks; `finish` does this, too."""
    opened = console.project_of(project)
    with console.listing_items(prefix=""):
        pages = render.run(opened)
    unsound = console.name_unsound(opened)
    console.show([str(page) for page in pages])
    console.fail_if(unsound)


@console.command()
def finish(
    project: console.ProjectName,
    execute: bool = option(False, "Do it (default: only show what would happen).", "--execute"),
    originals: bool = option(False, "Also archive the originals of crops.", "--originals"),
) -> None:
    """Report on a project, archive it and mark it as finished; refuses while work is unfinished."""
    opened = console.project_of(project)
    if not execute:
        plan = finishing.plan(opened, originals=originals)
        hint = [] if plan.blockers else [f"Nothing has been done. Do it: pickroom finish {opened.id} --execute"]
        console.show([*plan.lines, *hint])
        console.fail_if(console.name_unsound(opened) + len(plan.blockers))
        return
    with console.listing_items(prefix=""), console.progress_bar("Packing pictures") as progress:
        done = finishing.execute(opened, progress, originals=originals)
    console.show([*done.lines, next_line(opened.id)])
    console.fail_if(console.name_unsound(opened))


_LOST_SHOWN = 20  # images not found that are listed by name
_OPTIONS = {option.name: option for known in FORMATS for option in known.options}


def export(
    projects: Annotated[list[str] | None, typer.Argument(metavar="[PROJECT]...", help="Default: all.")] = None,
    **given: Any,
) -> None:
    """Export picks and crops for other programs: as data sets, or as ratings next to the images."""
    wanted = [known for known in FORMATS if given[known.name]]
    if len(wanted) != 1:
        names = " and ".join(f"--{known.name}" for known in wanted)
        *others, last = (f"--{known.name}{' DIR' * known.has_folder}" for known in FORMATS)
        what = f"{names} exclude each other" if wanted else "say what to export"
        raise UsageError(what, doing="exporting", hint=f"give one of {', '.join(others)} or {last}")
    (chosen,) = wanted
    for one in _OPTIONS.values():  # an option that would do nothing
        if given[one.name] != one.default and one not in chosen.options:
            formats = [f"--{known.name}" for known in FORMATS if one in known.options]
            what = f"--{one.name} does nothing with --{chosen.name}"
            raise UsageError(what, doing="exporting", hint=f"it belongs to {' or '.join(formats)}")
    workspace = console.workspace_here()
    opened = [workspace.project(name) for name in projects or workspace.project_ids()]
    if not projects and chosen.name != "parquet":  # which has rows only
        opened = [project for project in opened if project.manifest.root]
    folder = given[chosen.name].expanduser().resolve() if chosen.has_folder else Path()
    options = {option.name: given[option.name] for option in chosen.options}
    done = chosen.export(ExportRequest(workspace, opened, projects or [], folder, options, console.progress_bar))
    unsound = sum(console.name_unsound(project, databases) for project, databases in done.databases.items())
    lost = [f"not exported: {name} is not where it was decided on, or has changed since" for name in done.lost]
    for line in console.some(lost, _LOST_SHOWN, "more that were not exported"):
        console.say(line.strip())
    console.show(done.lines or ["No project yet"], done.values | {"unsound_rows": unsound})
    console.fail_if(unsound + done.held)


def _parameters() -> list[inspect.Parameter]:
    """The command's parameters: those of `export`, with an option for each format and each option of one."""
    made = [inspect.signature(export, eval_str=True).parameters["projects"]]
    for known in FORMATS:
        kind: Any = Path | None if known.has_folder else bool
        default, metavar = (None, "DIR") if known.has_folder else (False, None)
        made.append(added(known.name, kind, option(default, known.help, f"--{known.name}", metavar=metavar)))
    for one in _OPTIONS.values():
        kind = Literal[one.choices] if one.choices else bool
        made.append(added(one.name, kind, option(one.default, one.help, f"--{one.name}")))
    return made


export.__signature__ = inspect.Signature(_parameters())  # type: ignore[attr-defined]  # PEP 362 lets a function have one
console.command(has_json=True)(export)
