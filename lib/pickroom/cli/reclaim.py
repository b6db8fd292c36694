"""The command that frees the disk."""

from __future__ import annotations

from typing import Annotated

import typer

from pickroom.cli.console import Home, Json, app, progress_bar, say, show
from pickroom.core.errors import UsageError
from pickroom.store.workspace import Workspace

_WORD = "delete"


@app.command()
def reclaim(
    projects: Annotated[list[str] | None, typer.Argument(metavar="[PROJECT]...", help="Else every project.")] = None,
    execute: Annotated[bool, typer.Option("--execute", help="Move it into the trash; else only say what.")] = False,
    hard: Annotated[bool, typer.Option("--hard", help="With --execute: delete for good, after a typed word.")] = False,
    home: Home = None,
    json_output: Json = False,
) -> None:
    """Free the disk of what is proved to be needless: archived or staged images, vectors of dropped encoders."""
    from pickroom.core.quantities import format_bytes
    from pickroom.maintenance.reclaim.delete import execute as let_go
    from pickroom.maintenance.reclaim.planning import plan

    if hard and not execute:
        raise UsageError("--hard does nothing by itself", doing="reclaiming disk space", hint="add --execute")
    workspace = Workspace.find(home)
    planned = plan(workspace, projects or [])
    if execute and not planned.items:
        let_go(planned, workspace)  # nothing goes, but what a kill left half recorded is settled
    if not execute or not planned.items:
        hint = ["Nothing has been done. Move it into the trash: add --execute"] if planned.items else []
        show({**planned.to_dict(), "reclaimed_bytes": 0}, json_output, [*planned.lines, *hint])
        return
    if hard:
        for line in planned.lines:
            say(line)
        typed = typer.prompt(f"{len(planned.items)} items will be gone for good. Type {_WORD!r} to go on", err=True)
        if typed != _WORD:
            raise UsageError("that was not the word", doing="reclaiming disk space", hint="nothing was deleted")
    with progress_bar("Reclaiming") as progress:
        gone = let_go(planned, workspace, hard=hard, progress=progress)
    where = "Deleted" if hard else "Moved into the trash, whose room comes back when it is emptied"
    words = [*planned.lines, f"{where}: {len(planned.items)} items, {format_bytes(gone)}"]
    show({**planned.to_dict(), "reclaimed_bytes": gone}, json_output, words)
