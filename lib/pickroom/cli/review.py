"""Commands of the review: by keys, recover, undo."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pickroom.cli.console import Home, ProjectName, app, fail_if, listing_items, project_of, read_text, say, show
from pickroom.core.errors import UsageError
from pickroom.core.quantities import plural

if TYPE_CHECKING:
    from pickroom.files.journal import Outcome
    from pickroom.store.workspace import Project


@app.command()
def review(
    project: ProjectName,
    keys: Annotated[Path | None, typer.Option(help="A file of keys, one a line; - reads stdin.")] = None,
    blind: Annotated[bool, typer.Option(help="Hide each recommendation until you have chosen.")] = False,
    no_ai: Annotated[bool, typer.Option("--no-ai", help="No recommendation at all, shown or recorded.")] = False,
    order: Annotated[
        Literal["folder", "worth"], typer.Option(help="worth: what a look most likely corrects first.")
    ] = "folder",
    home: Home = None,
) -> None:
    """Review by keys without a browser; the deck itself is notebooks/20_review.ipynb."""
    from pickroom.sessions.keys import read_keys
    from pickroom.sessions.review.session import ManualSession, ReviewSession

    if no_ai and (blind or order != "folder"):
        what = "--no-ai has no recommendation to hide or to order by"
        raise UsageError(what, doing="opening a review", hint="leave --blind and --order out")
    pressed = read_keys(read_text(keys, "reading keys")) if keys else []
    opened = project_of(home, project)
    session = ManualSession(opened) if no_ai else ReviewSession(opened, blind=blind, order=order)
    undone = False
    try:
        for key in pressed:
            session.press(key)
            if session.last_result is not None and session.state.message == session.last_result.line:
                left = {**session.last_result.held, **session.last_result.stuck}
                undone |= bool(left)
                for group_id, reason in left.items():
                    say(f"{group_id}: {reason}")
                say(session.last_result.line)
        shown = session.view()
        hint = "" if keys else "\nReview it in the browser: pickroom lab, then notebooks/20_review.ipynb"
        show({}, False, shown.header + hint)
    finally:
        session.close()
    fail_if(undone)


@app.command()
def recover(
    project: ProjectName,
    unexplained: Annotated[
        bool, typer.Option("--unexplained", help="Return images in Pickroom's folders that nothing explains.")
    ] = False,
    give_up: Annotated[
        bool, typer.Option("--give-up", help="Close what waits for files that are gone for good.")
    ] = False,
    execute: Annotated[
        bool, typer.Option("--execute", help="With --unexplained, --give-up: do it; else only show it.")
    ] = False,
    home: Home = None,
) -> None:
    """Finish, forward, what a crash interrupted."""
    from pickroom.automation import interrupted
    from pickroom.files import undo
    from pickroom.store.connect import connect

    opened = project_of(home, project)
    if unexplained and give_up:
        raise UsageError("--unexplained and --give-up exclude each other", doing="recovering", hint="give one of them")
    if unexplained:
        return _return(opened, execute)
    if give_up:
        return _close(opened, execute)
    if execute:
        hint = f"leave it out, or: pickroom recover {project} --unexplained --execute"
        raise UsageError("--execute belongs to --unexplained and --give-up", doing="recovering", hint=hint)
    with closing(connect(opened.database)) as connection:
        outcome = undo.recover(opened, connection)
    interrupted.complete_logs(opened)
    finished = plural(len(outcome.done), "unit")
    _report(outcome, f"Recovered {opened.id}: {finished} finished, {len(outcome.failed)} put back")


def _return(opened: Project, execute: bool) -> None:
    """Return the images that nothing explains, or show where they would go."""
    from pickroom.files import returning
    from pickroom.files.journal import Outcome
    from pickroom.store.connect import connect

    with closing(connect(opened.database)) as connection:
        if execute:
            batch, returns, outcome = returning.execute(opened, connection)
        else:
            batch, returns, outcome = 0, returning.plan(opened, connection), Outcome()
    lines = [*(one.line for one in returns), *returning.summary(returns)]
    if not returns:
        lines = [f"Every image in the folders of {opened.id} is explained by the journal or a row"]
    elif not execute:
        say("Nothing was moved: this is what --execute would do")
    else:
        say(f"Batch {batch}: {len(outcome.done)} of {len(returns)} images returned; groups whose images are back wait")
        say(f"Read the folders again: pickroom groups {opened.id}")
        say(f"Take it back: pickroom undo {opened.id} --batch {batch}")
    if execute and any(one.held for one in returns):
        outcome.stuck |= {one.path: one.held for one in returns if one.held}
    _report(outcome, lines)


@app.command("undo")
def undo_command(
    project: ProjectName,
    batch: Annotated[int, typer.Option(help="The number that finalise and status print.")],
    home: Home = None,
) -> None:
    """Put a finalised batch back: files, choices, rows."""
    from pickroom.files import undo
    from pickroom.store import decisions, operations
    from pickroom.store.connect import connect

    opened = project_of(home, project)
    with listing_items(), closing(connect(opened.database)) as connection:
        kinds = {op.unit: op.kind for op in operations.of_batch(connection, batch) if op.undoes is None}
        groups = len(decisions.batch_group_ids(connection, batch))
        outcome = undo.undo_batch(opened, connection, batch)
    _report(outcome, f"Batch {batch} of {opened.id} {_taken_back(opened.id, outcome, kinds, groups)}")


def _taken_back(project_id: str, outcome: Outcome, kinds: Mapping[str, str], groups: int) -> str:
    """How far a batch is undone, what stands in its way first.

    Args:
        kinds: unit -> whose steps they are; groups: how many the batch had decided.
    """
    from pickroom.files.handlers import AUTOMATION, HANDLERS

    counts = Counter(kinds[unit] for unit in set(outcome.done) if unit in kinds)
    if AUTOMATION in counts:
        counts[AUTOMATION] = groups  # its one unit is the whole apply
    parts = [f"{len(outcome.failed)} could not be taken back"] if outcome.failed else []
    if outcome.stuck:
        parts.append(f"{len(outcome.stuck)} unfinished: run `pickroom recover {project_id}`")
    how = "is undone" if not parts else "is undone in part" if counts else "is not undone"
    of_kind = [(counts[kind], handler.taken_back) for kind, handler in HANDLERS.items() if kind in counts]
    parts += [f"{count} {words[count != 1]}" for count, words in of_kind]
    return f"{how}: {'; '.join(parts)}"


def _close(opened: Project, execute: bool) -> None:
    """Close the units whose files are gone, or show which those are."""
    from pickroom.automation import interrupted
    from pickroom.files import recovery

    missing, outcome = recovery.close_lost(opened, execute=execute)
    if execute:
        interrupted.complete_logs(opened)
    for unit, paths in missing.items():
        say(f"{unit}: {', '.join(paths)} is in neither place")
    for unit, reason in outcome.stuck.items():
        say(f"{unit}: {reason}")
    words = "closed: what was there of them is back in its place" if execute else "would be closed"
    lines = [f"{len(missing)} of {opened.id} {words}"]
    if missing and not execute:
        lines.append("Nothing has been done. Bring their disk or folder back if you can; else do it: add --execute")
    show({}, False, lines)
    fail_if(outcome.stuck)


def _report(outcome: Outcome, text: str | Sequence[str]) -> None:
    for unit, reason in {**outcome.failed, **outcome.stuck}.items():
        say(f"{unit}: {reason}")
    show({}, False, text)
    fail_if(outcome.failed or outcome.stuck)
