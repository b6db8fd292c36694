"""Commands over the past: import-csv, import-folders, backfill, anomalies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pickroom.cli import console
from pickroom.core.errors import UsageError

if TYPE_CHECKING:
    from pickroom.history.staging import StagedImport

Execute = Annotated[bool, typer.Option("--execute", help="Write; without it, only say what would be written.")]
_DRY = "Nothing was written: add --execute"


@console.command("import-csv", has_json=True)
def import_csv(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Old logs, see docs/legacy-schemas.md.")],
    project: Annotated[
        str | None, typer.Option("--project", metavar="P", help="For rows whose paths and columns name no project.")
    ] = None,
    by_folder: Annotated[
        bool, typer.Option("--by-folder", help="Take the projects that the folders of the rows name.")
    ] = False,
    mapped: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="FOLDER=PROJECT", help="Whose rows these are; may be given several times."),
    ] = None,
    by_name: Annotated[
        bool, typer.Option("--by-name", help="Take the projects that know the file names of the rows.")
    ] = False,
    dates: Annotated[
        list[str] | None,
        typer.Option(metavar="P=FIRST..LAST", help="Whose rows without a project are of these days; may be repeated."),
    ] = None,
    execute: Execute = False,
) -> None:
    """Import old CSV logs of picks and crops into a new database next to each project's own."""
    from pickroom.history.importing import read_logs

    with console.progress_bar("Reading rows") as progress:
        found = read_logs(
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


def _import(found: StagedImport, execute: bool) -> None:
    """Show what was found before anything is written, on stderr where stdout is kept for JSON; write it if asked."""
    from pickroom.indexing.regrouping import unclear_line

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
        unclear = [f"{name}: {unclear_line(count)}" for name, count in found.unclear.items()]
        console.show([text, *unclear], {**found.to_dict(), "written": written, "unclear": found.unclear})
        # skipped rows with their reasons are a result; a file of which nothing could be used is none
        console.fail_if(any(file.is_useless for file in found.report.files))


@console.command("import-folders", has_json=True)
def import_folders(
    original: Annotated[Path, typer.Argument(help="The images there were: a folder or a zip.")],
    final: Annotated[Path, typer.Argument(help="The images that were kept: a folder or a zip.")],
    project: Annotated[str, typer.Option("--project", metavar="P", help="Whose images these are.")],
    execute: Execute = False,
) -> None:
    """Read picks and crops off two folders: what there was, and what was kept of it."""
    from pickroom.history.extraction import read_pair

    with console.progress_bar("Comparing images") as progress:
        found = read_pair(console.workspace_here(), original, final, project, progress)
    _import(found, execute)


@console.command(has_json=True)
def backfill(project: console.ProjectName, execute: Execute = False) -> None:
    """Say of older rows whether the AI's crop was accepted, by where their images lie; a dry run first."""
    from pickroom.history import backfill as filling

    opened = console.project_of(project)
    planned = filling.plan(opened)
    copy = filling.apply(opened, planned) if execute else None
    end = f"Written, after a copy of the database: {copy.name}" if copy else "Nothing to write" if execute else _DRY
    values = {"accepted": planned.accepted, "left": dict(planned.left), "copy": copy and copy.name}
    console.show([*planned.lines(), end], values)


@console.command(has_json=True)
def anomalies(
    projects: Annotated[list[str] | None, typer.Argument(metavar="[P]...", help="Else every project.")] = None,
    execute: Execute = False,
) -> None:
    """Count by project where a lower stage was chosen; --execute writes the cases to data/training/."""
    from pickroom.history import anomalies as looking
    from pickroom.store import legacy

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
