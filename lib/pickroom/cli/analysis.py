"""The commands sql, check, report, export and finish."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pickroom.cli import console
from pickroom.cli.project import next_line
from pickroom.core.errors import UsageError
from pickroom.exports.formats import DEFAULTS, FORMATS, ExportRequest
from pickroom.exports.formats import export as write_format
from pickroom.store.workspace import Project

if TYPE_CHECKING:
    from pickroom.files.sidecars import Fault

_SHOWN = 200  # rows of an answer in words
_LONGEST = 16  # values of a list that are shown in one


@console.command(has_json=True)
def sql(query: Annotated[str, typer.Argument(metavar="QUERY", help="One SELECT, or EXPLAIN of one.")]) -> None:
    """Query all projects with SQL. Some views: decisions, crops, groups, images, recommendations, models."""
    from pickroom.analysis import safe_sql

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
    repair: Annotated[
        bool, typer.Option("--repair", help="Write lost sidecars again, complete rows cropped without one.")
    ] = False,
) -> None:
    """Check decisions, crops and the places of images, and write the inspection report."""
    from pickroom import integrity
    from pickroom.features import blocks
    from pickroom.integrity.whereabouts import in_words
    from pickroom.learn.reading import inspect_all

    opened = console.project_of(project)
    repaired = _repair_crops(opened) if repair else []
    found, *imports = inspect_all(opened)
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
    lines += [f"  {line}" for line in in_words(lies.to_dict(), opened.id)]
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


def _repair_crops(project: Project) -> list[str]:
    from pickroom.files import sidecars
    from pickroom.store.connect import connect

    with closing(connect(project.database)) as connection:
        return sidecars.repair(project, connection)


def _crop_faults(project: Project) -> list[Fault]:
    """Problems of waiting crops; none while file operations are unfinished, or the image folder is missing."""
    from pickroom.files import sidecars
    from pickroom.store import operations
    from pickroom.store.connect import open_read_only

    if not project.root.is_dir():
        return []
    with open_read_only(project.database) as connection:
        return [] if operations.count_planned(connection) else sidecars.look(project, connection)


@console.command()
def report(project: console.ProjectName) -> None:
    """Run a project's report notebooks; `finish` does this, too."""
    from pickroom.analysis.reports import render

    opened = console.project_of(project)
    with console.listing_items(prefix=""):
        pages = render.run(opened)
    unsound = console.name_unsound(opened)
    console.show([str(page) for page in pages])
    console.fail_if(unsound)


@console.command()
def finish(
    project: console.ProjectName,
    execute: Annotated[bool, typer.Option("--execute", help="Do it (default: only show what would happen).")] = False,
    originals: Annotated[bool, typer.Option("--originals", help="Also archive the originals of crops.")] = False,
) -> None:
    """Report on a project, archive it and mark it as finished; refuses while work is unfinished."""
    from pickroom.analysis.reports import finish as finishing

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


@console.command(has_json=True)
def export(
    projects: Annotated[list[str] | None, typer.Argument(metavar="[PROJECT]...", help="Default: all.")] = None,
    parquet: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Parquet files of all views, with vectors; updates what has changed."),
    ] = None,
    coco: Annotated[
        Path | None, typer.Option(metavar="DIR", help="COCO data set: picks, and your crops as boxes.")
    ] = None,
    hf: Annotated[Path | None, typer.Option(metavar="DIR", help="Hugging Face imagefolder with metadata.")] = None,
    pairs: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Preference pairs in the formats of Pick-a-Pic and HPD v2.")
    ] = None,
    xmp: Annotated[bool, typer.Option("--xmp", help="Ratings and crops in XMP sidecars (add --execute).")] = False,
    copy: Annotated[bool, typer.Option("--copy", help="Copy the pictures into DIR (default: link to them).")] = False,
    metadata: Annotated[
        Literal["jsonl", "csv", "parquet"], typer.Option(help="With --hf: the format of the metadata.")
    ] = "jsonl",
    embed: Annotated[
        bool, typer.Option("--embed", help="With --pairs: store the pictures in the Parquet file, too.")
    ] = False,
    execute: Annotated[
        bool, typer.Option("--execute", help="With --xmp: write the sidecars (default: only show them).")
    ] = False,
    undo: Annotated[bool, typer.Option("--undo", help="With --xmp: undo the latest write.")] = False,
    naming: Annotated[
        console.Naming,
        typer.Option(help="With --xmp. stem: name.xmp (Lightroom, darktable); full: name.ext.xmp (digiKam)."),
    ] = "stem",
) -> None:
    """Export picks and crops for other programs: as data sets, or as ratings next to the images."""
    asked = {"parquet": parquet, "coco": coco, "hf": hf, "pairs": pairs, "xmp": xmp}
    wanted = [name for name in FORMATS if asked[name]]
    if len(wanted) != 1:
        what = f"{' and '.join(f'--{name}' for name in wanted)} exclude each other" if wanted else "say what to export"
        hint = "give one of --parquet DIR, --coco DIR, --hf DIR, --pairs DIR or --xmp"
        raise UsageError(what, doing="exporting", hint=hint)
    (chosen,) = wanted
    options = {"copy": copy, "metadata": metadata, "embed": embed, "execute": execute, "undo": undo, "naming": naming}
    for name, value in options.items():  # one that would do nothing
        if value != DEFAULTS[name] and name not in FORMATS[chosen][1]:
            formats = " or ".join(f"--{known}" for known, (_, taken) in FORMATS.items() if name in taken)
            what = f"--{name} does nothing with --{chosen}"
            raise UsageError(what, doing="exporting", hint=f"it belongs to {formats}")
    workspace = console.workspace_here()
    opened = [workspace.project(name) for name in projects or workspace.project_ids()]
    if not projects and chosen != "parquet":  # which has rows only
        opened = [project for project in opened if project.manifest.root]
    place = asked[chosen]
    folder = place.expanduser().resolve() if isinstance(place, Path) else Path()
    request = ExportRequest(workspace, opened, projects or [], folder, options, console.progress_bar)
    done = write_format(chosen, request)
    unsound = sum(console.name_unsound(project, databases) for project, databases in done.databases.items())
    lost = [f"not exported: {name} is not where it was decided on, or has changed since" for name in done.lost]
    for line in console.some(lost, _LOST_SHOWN, "more that were not exported"):
        console.say(line.strip())
    console.show(done.lines or ["No project yet"], done.values | {"unsound_rows": unsound})
    console.fail_if(unsound + done.held)
