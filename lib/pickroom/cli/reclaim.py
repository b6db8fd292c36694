"""The command that frees the disk, and the one that says what of the token budget is spent."""

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
    permanent: Annotated[
        bool, typer.Option("--permanent", help="With --execute: delete for good; asks first.")
    ] = False,
    home: Home = None,
    json_output: Json = False,
) -> None:
    """Free the disk of what is proved to be needless: archived or staged images, vectors of dropped encoders."""
    from pickroom.core.quantities import format_bytes
    from pickroom.maintenance.reclaim import delete
    from pickroom.maintenance.reclaim.planning import plan

    if permanent and not execute:
        raise UsageError("--permanent does nothing by itself", doing="reclaiming disk space", hint="add --execute")
    workspace = Workspace.find(home)
    planned = plan(workspace, projects or [])
    if execute and not planned.items:
        delete.execute(planned, workspace)  # nothing is deleted, but what a kill left half recorded is completed
    if not execute or not planned.items:
        hint = ["Nothing has been done. Move it into the trash: add --execute"] if planned.items else []
        show({**planned.to_dict(), "reclaimed_bytes": 0}, json_output, [*planned.lines, *hint])
        return
    if permanent:
        for line in planned.lines:
            say(line)
        typed = typer.prompt(f"{len(planned.items)} items will be gone for good. Type {_WORD!r} to go on", err=True)
        if typed != _WORD:
            raise UsageError("that was not the word", doing="reclaiming disk space", hint="nothing was deleted")
    with progress_bar("Reclaiming") as progress:
        gone = delete.execute(planned, workspace, hard=permanent, progress=progress)
    where = "Deleted" if permanent else "Moved into the trash, whose room comes back when it is emptied"
    words = [*planned.lines, f"{where}: {len(planned.items)} items, {format_bytes(gone)}"]
    show({**planned.to_dict(), "reclaimed_bytes": gone}, json_output, words)


@app.command()
def tokens(
    limit: Annotated[int | None, typer.Option(min=0, help="The day's limit, where yours is another one.")] = None,
    home: Home = None,
    json_output: Json = False,
) -> None:
    """Tokens that a language model you plugged in has spent today, and what is left of the limit."""
    from pickroom.maintenance.token_budget import DAILY_LIMIT, TokenLedger

    ledger = TokenLedger(Workspace.find(home), DAILY_LIMIT if limit is None else limit)
    values = {"spent": ledger.spent(), "daily_limit": ledger.daily_limit, "file": str(ledger.path)}
    show(values, json_output, [ledger.line])
