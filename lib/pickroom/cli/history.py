"""Commands over the past: import-csv, history, anomalies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pickroom.cli.console import Home, Json, app, printable, progress_bar, say, show
from pickroom.workspace import Workspace

if TYPE_CHECKING:
    from pickroom.history.report import ImportReport

Execute = Annotated[bool, typer.Option("--execute", help="Write; without it, only say what would be written.")]
_DRY = "Nothing was written: add --execute"


@app.command("import-csv")
def import_csv(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Old logs, see docs/legacy-schemas.md.")],
    project: Annotated[
        str | None, typer.Option("--project", metavar="P", help="For rows that name no project themselves.")
    ] = None,
    execute: Execute = False,
    home: Home = None,
    json_output: Json = False,
) -> None:
    """Import old CSV logs of picks and crops into a new database beside each project's own."""
    from pickroom.history.importing import read_logs

    bar, progress = progress_bar("Reading rows")
    with bar:
        found = read_logs(Workspace.find(home), files, project, progress)
    with found:
        _show_report(found.report.lines(), execute, json_output)
        written = [path.name for path in found.write()] if execute else []
        _show_end({**found.report.to_dict(), "written": written}, execute, json_output)
        _end(found.report)


def _show_report(lines: list[str], execute: bool, json_output: bool) -> None:
    """What was found, before anything is written: on stdout, or on stderr where stdout is kept for JSON."""
    text = printable(lines)
    if json_output:
        say(text)
    else:
        show({}, False, text)


def _end(report: ImportReport) -> None:
    """Skipped rows with their reasons are a result; a file of which nothing could be used is none."""
    if any(file.is_useless for file in report.files):
        raise typer.Exit(1)


def _show_end(values: dict[str, Any], execute: bool, json_output: bool) -> None:
    written = ", ".join(values["written"])
    text = f"Written: {written}" if written else "Nothing new to write" if execute else _DRY
    show(values, json_output, text)


@app.command()
def history(
    original: Annotated[Path, typer.Argument(help="The images there were: a folder or a zip.")],
    final: Annotated[Path, typer.Argument(help="The images that were kept: a folder or a zip.")],
    project: Annotated[str, typer.Option("--project", metavar="P", help="Whose images these are.")],
    execute: Execute = False,
    home: Home = None,
    json_output: Json = False,
) -> None:
    """Read picks and crops off two folders: what there was, and what was kept of it."""
    from pickroom.history.extraction import read_pair

    bar, progress = progress_bar("Comparing images")
    with bar:
        found = read_pair(Workspace.find(home), original, final, project, progress)
    with found:
        _show_report(found.lines(), execute, json_output)
        written = [path.name for path in found.write()] if execute else []
        _show_end({**found.to_dict(), "written": written}, execute, json_output)
        _end(found.report)


@app.command()
def anomalies(
    projects: Annotated[list[str] | None, typer.Argument(metavar="[P]...", help="Else every project.")] = None,
    home: Home = None,
    json_output: Json = False,
) -> None:
    """Where a lower stage was chosen over a higher one, by project; leaves the cases in data/training/."""
    from pickroom.history import anomalies as looking

    workspace = Workspace.find(home)
    summary, cases = looking.find(workspace, projects or ())
    written = looking.write(workspace, summary, cases)
    lines = summary.lines() or ["No project yet: pickroom start NAME --images FOLDER"]
    lines += [f"Written: {path}" for path in written]
    show({**summary.to_dict(), "written": [str(path) for path in written]}, json_output, printable(lines))
