"""The command that hands a person's choices to other programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pickroom.cli.console import Home, Json, app, printable, progress_bar, say, show
from pickroom.cli.unsound import fail_if, name_unsound
from pickroom.core.errors import UsageError
from pickroom.store.workspace import Project, Workspace

if TYPE_CHECKING:
    from pickroom.exports.sidecars import Sidecar

_SHOWN = 20  # sidecars held back, or images not found, that are listed by name
_FORMATS = "--parquet DIR, --coco DIR, --hf DIR, --pairs DIR or --xmp"

Folder = Path | None
# as exports.sidecars and exports.imagefolder have them, which load too much to be imported for a page of help
Naming = Literal["stem", "full"]
MetadataKind = Literal["jsonl", "csv", "parquet"]


@app.command()
def export(
    projects: Annotated[list[str] | None, typer.Argument(metavar="[PROJECT]...", help="Else every project.")] = None,
    parquet: Annotated[
        Folder,
        typer.Option("--parquet", metavar="DIR", help="Parquet of everything, vectors too; only what has changed."),
    ] = None,
    coco: Annotated[Folder, typer.Option("--coco", metavar="DIR", help="COCO: picks, your crops as boxes.")] = None,
    hf: Annotated[Folder, typer.Option("--hf", metavar="DIR", help="Hugging Face imagefolder with metadata.")] = None,
    pairs: Annotated[
        Folder, typer.Option("--pairs", metavar="DIR", help="Preference pairs as Pick-a-Pic and HPD v2 have them.")
    ] = None,
    xmp: Annotated[bool, typer.Option("--xmp", help="Ratings and crops into XMP sidecars; a dry run first.")] = False,
    execute: Annotated[bool, typer.Option("--execute", help="With --xmp: write them; else only say what.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="With --xmp: take the latest write back.")] = False,
    naming: Annotated[
        Naming, typer.Option(help="Of sidecars. stem: name.xmp (Lightroom, darktable); full: name.ext.xmp (digiKam).")
    ] = "stem",
    metadata: Annotated[MetadataKind, typer.Option(help="With --hf.")] = "jsonl",
    copy: Annotated[bool, typer.Option("--copy", help="Copy the pictures into DIR; else link to them.")] = False,
    embed: Annotated[bool, typer.Option("--embed", help="With --pairs: the pictures in the Parquet file too.")] = False,
    home: Home = None,
    json_output: Json = False,
) -> None:
    """Give your picks and crops to other programs: data sets, or ratings beside the images."""
    chosen = {"--parquet": parquet, "--coco": coco, "--hf": hf, "--pairs": pairs, "--xmp": xmp or None}
    wanted = [name for name, value in chosen.items() if value is not None]
    if len(wanted) != 1:
        what = "say what to export" if not wanted else f"{' and '.join(wanted)} exclude each other"
        raise UsageError(what, doing="exporting", hint=f"give one of {_FORMATS}")
    _check_options(wanted[0], execute, undo, naming, metadata, copy, embed)
    workspace = Workspace.find(home)
    opened = [workspace.project(name) for name in projects or workspace.project_ids()]
    if xmp:
        _xmp(opened, execute, undo, naming, json_output)
        return
    folder = next(value for value in (parquet, coco, hf, pairs) if value is not None).expanduser().resolve()
    if parquet is not None:
        _parquet(workspace, folder, opened, projects or [], json_output)
        return
    from pickroom.exports import datasets

    bar, progress = progress_bar("Placing pictures")
    with bar:
        if coco is not None:
            done = datasets.export_coco(opened, folder, copy=copy, progress=progress)
        elif hf is not None:
            done = datasets.export_imagefolder(opened, folder, kind=metadata, copy=copy, progress=progress)
        else:
            done = datasets.export_pairs(opened, folder, copy=copy, embed=embed, progress=progress)
    words = ", ".join(f"{count} {what}" for what, count in done.counts.items())
    left_out = [f"  left out: {count} {reason}" for reason, count in done.left_out.items()]
    unsound = sum(map(name_unsound, opened))
    show(done.to_dict() | {"unsound_rows": unsound}, json_output, printable([f"{words} in {folder}", *left_out]))
    fail_if(unsound + _name_lost(done.lost))


def _name_lost(names: Sequence[str]) -> int:
    """Name images that could not be exported; how many there are."""
    for name in names[:_SHOWN]:
        say(f"not exported: {name} is not where it was decided on, or has changed since")
    if len(names) > _SHOWN:
        say(f"and {len(names) - _SHOWN} more that were not exported")
    return len(names)


def _check_options(wanted: str, execute: bool, undo: bool, naming: str, metadata: str, copy: bool, embed: bool) -> None:
    """Refuse an option that would do nothing."""
    serves = {
        "--execute": (execute, ("--xmp",)),
        "--undo": (undo, ("--xmp",)),
        "--naming": (naming != "stem", ("--xmp",)),
        "--metadata": (metadata != "jsonl", ("--hf",)),
        "--copy": (copy, ("--coco", "--hf", "--pairs")),
        "--embed": (embed, ("--pairs",)),
    }
    for option, (given, formats) in serves.items():
        if given and wanted not in formats:
            hint = f"it belongs to {' or '.join(formats)}"
            raise UsageError(f"{option} does nothing with {wanted}", doing="exporting", hint=hint)
    if execute and undo:
        raise UsageError("--execute and --undo exclude each other", doing="exporting", hint="give one of them")


def _parquet(
    workspace: Workspace, folder: Path, opened: Sequence[Project], names: Sequence[str], as_json: bool
) -> None:
    from pickroom.analysis.export import export as write
    from pickroom.exports.folder import check_outside
    from pickroom.learn.reading import databases

    check_outside(folder, opened)
    done = write(workspace, folder, names)
    lines = [
        f"{project_id}: " + ", ".join(f"{count} {table}" for table, count in rows.items())
        for project_id, rows in done.written.items()
    ]
    if done.unchanged:
        lines.append(f"unchanged: {', '.join(done.unchanged)}")
    unsound = sum(name_unsound(project, databases(project)) for project in opened)
    values = {"folder": str(folder), "written": done.written, "unchanged": list(done.unchanged)}
    show(values | {"unsound_rows": unsound}, as_json, "\n".join(lines) or "No project yet")
    fail_if(unsound)


def _xmp(opened: Sequence[Project], execute: bool, undo: bool, naming: Naming, as_json: bool) -> None:
    from pickroom.exports import choices, sidecars

    if undo and len(opened) > 1:  # of all projects, those that have something to undo
        opened = [project for project in opened if sidecars.standing(project)] or opened[:1]
    values: dict[str, Any] = {}
    lines: list[str] = []
    held = 0
    for project in opened:
        if undo:
            undone = sidecars.undo(project)
            values[project.id] = {"restored": undone.restored, "held": undone.held}
            lines.append(f"{project.id}: {undone.restored} sidecars as they were, {len(undone.held)} held back")
            lines += [f"  {path}: {reason}" for path, reason in list(undone.held.items())[:_SHOWN]]
            held += len(undone.held)
            continue
        if execute:
            bar, progress = progress_bar(f"Writing sidecars of {project.id}")
            with bar:
                planned, found, record = sidecars.write(project, naming, progress)
        else:
            found, record = choices.read(project), None
            planned = sidecars.plan(found, naming)
        values[project.id] = _counts(planned) | {"left_out": dict(found.left_out)}
        values[project.id] |= {"record": str(record) if record else None}
        lines += _xmp_words(project, planned, execute)
        lines += [f"  left out: {count} {reason}" for reason, count in found.left_out.items()]
        held += sum(item.held is not None for item in planned) + _name_lost(found.lost)
        values[project.id]["unsound_rows"] = name_unsound(project)
    unsound = sum(counts.get("unsound_rows", 0) for counts in values.values())
    if not undo and not execute and any(counts["new"] + counts["merged"] for counts in values.values()):
        lines.append("Nothing has been done. Do it: add --execute")
    show({"projects": values, "executed": execute or undo}, as_json, printable(lines) or "No project yet")
    fail_if(unsound or (held if execute or undo else 0))


def _counts(planned: Sequence[Sidecar]) -> dict[str, Any]:
    going = [item for item in planned if item.held is None]
    return {
        "new": sum(item.before is None for item in going),
        "merged": sum(item.before is not None and not item.there for item in going),
        "already": sum(item.there for item in going),
        "replaced": {item.path: list(item.changes) for item in going if item.changes},
        "held": {item.path: item.held for item in planned if item.held is not None},
    }


def _xmp_words(project: Project, planned: Sequence[Sidecar], execute: bool) -> list[str]:
    counts = _counts(planned)
    done = "written" if execute else "would be written"
    lines = [
        f"{project.id}: {counts['new']} sidecars {done}, {counts['merged']} merged into, "
        f"{counts['already']} say it already, {len(counts['held'])} held back"
    ]
    for word, listed in (("replaces", counts["replaced"]), ("held back", counts["held"])):
        for path, what in list(listed.items())[:_SHOWN]:
            lines.append(f"  {word}: {path}: {what if isinstance(what, str) else ', '.join(what)}")
        if len(listed) > _SHOWN:
            lines.append(f"  and {len(listed) - _SHOWN} more; --json lists them all")
    return lines
