"""Commands that open something to work in, and the one that looks whether it can: demo, lab, app, doctor."""

from pathlib import Path
from typing import Annotated

import typer

from pickroom.cli.console import Home, Json, app, fail_if, progress_bar, say, show
from pickroom.core.quantities import plural
from pickroom.store.workspace import Workspace


@app.command()
def demo(
    folder: Annotated[Path | None, typer.Argument(metavar="[DIR]", help="The demo's home; else the workspace.")] = None,
    groups: Annotated[int, typer.Option(min=1, help="How many groups to make.")] = 60,
    long_side: Annotated[int, typer.Option(help="Pixels; smaller for thousands of groups.")] = 1024,
    seed: Annotated[int, typer.Option(help="The same seed makes the same files.")] = 1,
    model_like: Annotated[
        bool, typer.Option("--model-like", help="Simulated recommendations with crops and confidences.")
    ] = False,
    decided: Annotated[int, typer.Option(min=0, help="Groups that a simulated person has decided already.")] = 0,
    home: Home = None,
) -> None:
    """Make a project `demo` of real photographs, as stage series with defects in some."""
    from pickroom.demo.config import DemoConfig
    from pickroom.demo.project import start_demo

    workspace = Workspace.find(folder or home)
    with progress_bar("Making images") as progress:
        config = DemoConfig(groups=groups, seed=seed, long_side=long_side)
        made, report = start_demo(workspace, config, model_like=model_like, decided=decided, progress=progress)
    where = "" if folder is None else f" --home {workspace.root}"
    found = f"{plural(report.images, 'image')} in {plural(len(report.groups), 'group')}"
    text = f"Project {made.id}: {found} under {made.root}"
    show({}, False, f"{text}\nReview it: pickroom lab{where}")


@app.command()
def lab(
    home: Home = None,
    port: Annotated[int, typer.Option(help="Where to listen; the next free one if it is taken.")] = 8888,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser window.")] = True,
) -> None:
    """Open JupyterLab on your copies of the notebooks: on this machine only, behind a token."""
    from pickroom.app import lab as jupyter

    workspace = Workspace.find(home)
    outdated = jupyter.copy_notebooks(workspace)
    if outdated:
        say(
            f"You changed {', '.join(outdated)} in {workspace.notebooks}, and this version of Pickroom has newer ones. "
            "Yours stay as they are. To get the newer ones, rename yours and start the lab again."
        )
    jupyter.run(workspace, port=port, browser=browser)


@app.command(name="app")
def picking_app(
    project: Annotated[str, typer.Argument(metavar="[PROJECT]", help="Open this one; else choose on the page.")] = "",
    home: Home = None,
    port: Annotated[int, typer.Option(help="Where to listen; the next free one if it is taken.")] = 8866,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser window.")] = True,
) -> None:
    """Pick and crop in the browser without a notebook: on this machine only, behind a token."""
    from pickroom.app.server import app_server

    app_server.run(Workspace.find(home), project, port=port, browser=browser)


@app.command()
def doctor(home: Home = None, json_output: Json = False) -> None:
    """Check this machine and the workspace: each line ok, warn or fail, what it means, and what to do.

    Changes nothing, fetches nothing; what a disk can do is tried in a hidden folder, which is removed.
    Exits 1 if anything failed.
    """
    from pickroom.cli.doctor import machine, workspaces

    findings = [*machine.look(), *workspaces.look(Workspace.find(home))]
    values = workspaces.to_dict(findings)
    show(values, json_output, [finding.line for finding in findings])
    fail_if(not values["ok"])
