"""The commands open, index (which open runs in the background) and demo."""

import shlex
import signal
from pathlib import Path
from typing import Annotated

import typer

from pickroom.cli import console
from pickroom.cli.project import next_line
from pickroom.core import quiet
from pickroom.core.quantities import plural


@console.command("open")
def open_folder(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder of images.")],
    port: Annotated[int, typer.Option(help="The port to listen on; if taken, the next free one.")] = 8866,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser window.")] = True,
    in_place: Annotated[
        bool, typer.Option("--in-place", help="Write decisions into XMP sidecars; no image moves.")
    ] = False,
    naming: console.SidecarNaming = "stem",
) -> None:
    """Review a folder of images in the browser: make or find its project, and read the images meanwhile."""
    from pickroom.indexing import opening
    from pickroom.learn.progress import start_command

    workspace, sidecars = console.workspace_here(), console.naming_of(in_place, naming)
    with console.progress_bar("Reading the first images") as progress:
        project = opening.open_folder(workspace, folder, progress, sidecars)
    start_command(workspace, opening.job_name(project.id), ["index", project.id])
    from pickroom.app.server import app_server  # takes seconds to import, while the background is already running

    app_server.run(workspace, project.id, port=port, browser=browser)


@console.command(has_json=True)
def index(project: console.ProjectName) -> None:
    """Read a project's new images, make their vectors and group them. It can be interrupted and run again."""
    from pickroom.indexing import opening
    from pickroom.learn.progress import reported

    quiet.arrow_without_pandas()
    opened = console.project_of(project)
    name = opening.job_name(opened.id)
    with (
        console.messages.status("") as line,
        reported(opened.workspace, name, [opened.id], lambda status: line.update(status.line)) as reporter,
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
    groups: Annotated[int, typer.Option(min=1, help="The number of groups to make.")] = 160,
    decided: Annotated[
        int, typer.Option(min=0, help="The number of groups that a simulated user decides, to train on.")
    ] = 120,
    long_side: Annotated[int, typer.Option(help="Length of the first stage in pixels; more takes longer.")] = 432,
    seed: Annotated[int, typer.Option(help="The same seed makes the same files.")] = 1,
    review: Annotated[
        bool, typer.Option("--review/--no-review", help="Open the review, or only make the demo.")
    ] = True,
    port: Annotated[int, typer.Option(help="The port to listen on; if taken, the next free one.")] = 8866,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser window.")] = True,
) -> None:
    """Make a demo of photographs damaged on purpose, train on simulated decisions, and open the review."""
    from pickroom.demo.plan import DemoConfig
    from pickroom.demo.project import PROJECT_ID, start_demo
    from pickroom.demo.simulated_user import learn, require_learned

    workspace = console.workspace_here(folder, default=Path("pickroom-demo"))
    if PROJECT_ID in workspace.project_ids():
        project = workspace.project(PROJECT_ID)
        require_learned(project)
    else:
        with console.progress_bar("Making images") as progress:
            config = DemoConfig(groups=groups, seed=seed, long_side=long_side)
            project, report = start_demo(workspace, config, decided=decided, progress=progress)
        found = f"{plural(report.images, 'image')} in {plural(len(report.groups), 'group')}"
        console.show(f"Project {project.id}: {found} in {project.root}; nearly half are damaged on purpose")
        if decided:
            with console.progress_bar("Comparing images") as progress:
                console.show(learn(project, progress))
    console.show(f"The demo is all in {workspace.root}: delete this folder to remove it.")
    if review:
        from pickroom.app.server import app_server

        app_server.run(workspace, project.id, port=port, browser=browser)
    else:
        console.show(f"Review it: pickroom app {project.id} --home {shlex.quote(str(workspace.root))}")
