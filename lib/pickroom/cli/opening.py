"""The commands open, index (which open runs in the background) and demo."""

import shlex
import signal
from pathlib import Path
from typing import Annotated

import typer

from pickroom.cli import console
from pickroom.cli.console import option
from pickroom.cli.project import next_line
from pickroom.core import quiet
from pickroom.core.quantities import plural

with console.lazily():
    from pickroom.app.server import app_server
    from pickroom.demo import plan, simulated_user
    from pickroom.demo import project as demo_project
    from pickroom.indexing import opening
    from pickroom.learn import progress as background


@console.command("open")
def open_folder(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder of images.")],
    port: int = option(8866, "The port to listen on; if taken, the next free one."),
    browser: bool = option(True, "Open a browser window.", "--browser/--no-browser"),
    in_place: bool = option(False, "Write decisions into XMP sidecars; no image moves.", "--in-place"),
    naming: console.SidecarNaming = "stem",
) -> None:
    """Review a folder of images in the browser: make or find its project, and read the images meanwhile."""
    workspace, sidecars = console.workspace_here(), console.naming_of(in_place, naming)
    with console.progress_bar("Reading the first images") as progress:
        project = opening.open_folder(workspace, folder, progress, sidecars)
    background.start_command(workspace, opening.job_name(project.id), ["index", project.id])
    app_server.run(workspace, project.id, port=port, browser=browser)


@console.command(has_json=True)
def index(project: console.ProjectName) -> None:
    """Read a project's new images, make their vectors and group them. It can be interrupted and run again."""
    quiet.arrow_without_pandas()
    opened = console.project_of(project)
    name = opening.job_name(opened.id)
    with (
        console.messages.status("") as line,
        background.reported(opened.workspace, name, [opened.id], lambda status: line.update(status.line)) as reporter,
    ):
        signal.signal(signal.SIGTERM, reporter.ask_to_stop)
        report = opening.index(opened, reporter)
        reporter.result = f"{plural(report.images, 'image')}, {plural(len(report.groups), 'group')} waiting"
    words = f"Project {opened.id}: {reporter.result}, {len(report.ungrouped)} in no group\n{next_line(opened.id)}"
    console.show(words, report.to_dict())


@console.command()
def demo(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="The demo's folder (default: pickroom-demo).")
    ] = None,
    groups: int = option(160, "The number of groups to make.", min=1),
    decided: int = option(120, "The number of groups that a simulated user decides, to train on.", min=0),
    long_side: int = option(432, "Length of the first stage in pixels; more takes longer."),
    seed: int = option(1, "The same seed makes the same files."),
    review: bool = option(True, "Open the review, or only make the demo.", "--review/--no-review"),
    port: int = option(8866, "The port to listen on; if taken, the next free one."),
    browser: bool = option(True, "Open a browser window.", "--browser/--no-browser"),
) -> None:
    """Make a demo of photographs damaged on purpose, train on simulated decisions, and open the review."""
    workspace = console.workspace_here(folder, default=Path("pickroom-demo"))
    if demo_project.PROJECT_ID in workspace.project_ids():
        project = workspace.project(demo_project.PROJECT_ID)
        simulated_user.require_learned(project)
    else:
        with console.progress_bar("Making images") as progress:
            config = plan.DemoConfig(groups=groups, seed=seed, long_side=long_side)
            project, report = demo_project.start_demo(workspace, config, decided=decided, progress=progress)
        found = f"{plural(report.images, 'image')} in {plural(len(report.groups), 'group')}"
        console.show(f"Project {project.id}: {found} in {project.root}; nearly half are damaged on purpose")
        if decided:
            with console.progress_bar("Comparing images") as progress:
                console.show(simulated_user.learn(project, progress))
    console.show(f"The demo is all in {workspace.root}: delete this folder to remove it.")
    if review:
        app_server.run(workspace, project.id, port=port, browser=browser)
    else:
        console.show(f"Review it: pickroom app {project.id} --home {shlex.quote(str(workspace.root))}")
