"""The picking app: deck and crop desk without a notebook."""

from __future__ import annotations

from typing import Annotated

import typer

from pickroom.cli.console import Home, app
from pickroom.store.workspace import Workspace


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
