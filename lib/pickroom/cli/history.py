"""The commands import-csv, import-folders, backfill and anomalies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from pickroom.cli import console
from pickroom.cli.console import option
from pickroom.core.errors import UsageError

with console.lazily():
    from pickroom.history import anomalies as looking
    from pickroom.history import backfill as filling
    from pickroom.history import extraction, importing, staging
    from pickroom.indexing import regrouping
    from pickroom.store import legacy


Execute = Annotated[bool, typer.Option("--execute", help="Write (default: only show what would be written).")]
_DRY = "Nothing was written: add --execute"


@console.command("import-csv", has_json=True)
def import_csv(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Old logs (docs/legacy-schemas.md).")],
    project: str | None = option(None, "The project of rows that name none.", "--project", metavar="P"),
    by_folder: bool = option(False, "Take the project of a row from its folder.", "--by-folder"),
    mapped: list[str] | None = option(
        None, "The project of the rows of a folder; repeatable.", "--map", metavar="FOLDER=PROJECT"
    ),
    by_name: bool = option(False, "Take the project of a row from its file names.", "--by-name"),
    dates: list[str] | None = option(
        None, "The project of rows of these days that name none; repeatable.", metavar="P=FIRST..LAST"
    ),
    execute: Execute = False,
) -> None:
    """Import old CSV logs of picks and crops into a new database next to each project's own."""
    with console.progress_bar("Reading rows") as progress:
        found = importing.read_logs(
            *(console.workspace_here(), files, project, progress),
            by_folder=by_folder,
            by_name=by_name,
            folders=_folders_of(mapped or ()),
            dates=dates or (),
        )
    _import(found, execute)


def _folders_of(mapped: Sequence[str]) -> dict[str, str]:
    """Folder -> project of every FOLDER=PROJECT; a folder may hold a `=`, a project's id does not."""
    folders: dict[str, str] = {}
    for text in mapped:
        folder, _, project = text.rpartition("=")
        if not folder.strip() or not project or folders.get(folder, project) != project:
            why = "this folder has two projects" if folder in folders else "this is not FOLDER=PROJECT"
            raise UsageError(why, doing="reading --map", subject=text, hint="as in: --map old/mojo1=mojo1")
        folders[folder] = project
    return folders


def _import(found: staging.StagedImport, execute: bool) -> None:
    """Show what was found before anything is written, on stderr where stdout is kept for JSON; write it if asked."""
    with found:
        if console.as_json():
            console.say(console.printable(found.lines()))
        else:
            console.show(found.lines())
        found.require_agreement()
        written = [path.name for path in found.write()] if execute else []
        names, registered = ", ".join(written), ", ".join(found.report.unregistered)
        text = f"Written: {names}" + (f"; registered: {registered}" if registered else "")
        text = (text if written or registered else "Nothing new to write") if execute else _DRY
        unclear = [f"{name}: {regrouping.unclear_line(count)}" for name, count in found.unclear.items()]
        console.show([text, *unclear], {**found.to_dict(), "written": written, "unclear": found.unclear})
        # skipped rows with reasons are a result; a file without a usable row is a failure
        console.fail_if(any(file.is_useless for file in found.report.files))


@console.command("import-folders", has_json=True)
def import_folders(
    original: Annotated[Path, typer.Argument(help="The original images: a folder or a zip.")],
    final: Annotated[Path, typer.Argument(help="The images that were kept: a folder or a zip.")],
    project: Annotated[str, typer.Option("--project", metavar="P", help="The project of these images.")],
    execute: Execute = False,
) -> None:
    """Import picks and crops from two folders: the original images and those that were kept."""
    with console.progress_bar("Comparing images") as progress:
        found = extraction.read_pair(console.workspace_here(), original, final, project, progress)
    _import(found, execute)


@console.command(has_json=True)
def backfill(project: console.ProjectName, execute: Execute = False) -> None:
    """Fill in whether older rows accepted the AI's crop, by the folders of their images."""
    opened = console.project_of(project)
    planned = filling.plan(opened)
    copy = filling.apply(opened, planned) if execute else None
    end = f"Written, after a copy of the database: {copy.name}" if copy else "Nothing to write" if execute else _DRY
    values = {"accepted": planned.accepted, "left": dict(planned.left), "copy": copy and copy.name}
    console.show([*planned.lines(), end], values)


@console.command(has_json=True)
def anomalies(
    projects: Annotated[list[str] | None, typer.Argument(metavar="[P]...", help="Default: all.")] = None,
    execute: Execute = False,
) -> None:
    """Count, by project, picks of a lower stage; --execute writes the cases to data/training/."""
    workspace = console.workspace_here()
    summary, cases = looking.find(workspace, projects or ())
    started = [one for one in workspace.project_ids() if one in summary.projects]
    unsound = sum(console.name_unsound(workspace.project(one), legacy.databases(workspace, one)) for one in started)
    written = looking.write(workspace, summary, cases) if execute else []
    lines = summary.lines() or [console.NO_PROJECT]
    lines += [f"Written: {path}" for path in written] or [_DRY]
    found = {**summary.to_dict(), "written": [str(path) for path in written], "unsound_rows": unsound}
    console.show(lines, found)
    console.fail_if(unsound)
