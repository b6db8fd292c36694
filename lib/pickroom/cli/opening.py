"""Commands that begin with a folder: open, and index, which is what open leaves to the background."""

import signal
from pathlib import Path
from typing import Annotated

import typer

from pickroom.cli import console
from pickroom.core.quantities import plural


@console.command("open")
def open_folder(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder of images.")],
    port: Annotated[int, typer.Option(help="Where to listen; the next free one if it is taken.")] = 8866,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser window.")] = True,
) -> None:
    """Pick from a folder in the browser, at once: its project is made, or found again; the rest is read meanwhile."""
    from pickroom.indexing import opening
    from pickroom.learn.progress import start_command

    workspace = console.workspace_here()
    with console.progress_bar("Reading the first images") as progress:
        project = opening.open_folder(workspace, folder, progress)
    start_command(workspace, opening.job_name(project.id), ["index", project.id])
    from pickroom.app.server import app_server  # seconds of imports, while the background has begun

    app_server.run(workspace, project.id, port=port, browser=browser)


@console.command(has_json=True)
def index(project: console.ProjectName) -> None:
    """Read a project's new images, make their vectors, group them. Stop it at any time: run again, it goes on."""
    from pickroom.indexing import opening
    from pickroom.learn.progress import ProgressReporter, training_lock

    opened = console.project_of(project)
    name = opening.job_name(opened.id)
    with console.messages.status("") as line, training_lock(opened.workspace, name):
        reporter = ProgressReporter(opened.workspace, name, [opened.id], lambda status: line.update(status.line))
        signal.signal(signal.SIGTERM, reporter.ask_to_stop)
        with reporter.ending():
            report = opening.index(opened, reporter)
        grouped = f"{plural(report.images, 'image')}, {plural(len(report.groups), 'group')} waiting"
        reporter.end("done", grouped)
    console.show(f"Project {opened.id}: {grouped}, {len(report.ungrouped)} in no group", report.to_dict())
