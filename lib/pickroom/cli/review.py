"""Commands of the review: by keys, recover, undo."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pickroom.cli.console import Home, ProjectName, app, project_of, read_text, say, show
from pickroom.errors import ConflictError, UsageError

if TYPE_CHECKING:
    from pickroom.files.journal import Outcome


@app.command()
def review(
    project: ProjectName,
    keys: Annotated[Path | None, typer.Option(help="A file of keys, one a line; - reads stdin.")] = None,
    blind: Annotated[bool, typer.Option(help="Hide each recommendation until you have chosen.")] = False,
    unaided: Annotated[bool, typer.Option(help="No recommendation at all, shown or recorded.")] = False,
    order: Annotated[
        Literal["folder", "worth"], typer.Option(help="worth: what a look most likely corrects first.")
    ] = "folder",
    home: Home = None,
) -> None:
    """Review by keys without a browser; the deck itself is notebooks/20_review.ipynb."""
    from pickroom.review.keys import read_keys
    from pickroom.review.session import ReviewSession
    from pickroom.review.unaided import UnaidedSession

    if unaided and (blind or order != "folder"):
        what = "--unaided has no recommendation to hide or to order by"
        raise UsageError(what, doing="opening a review", hint="leave --blind and --order out")
    pressed = read_keys(read_text(keys, "reading keys")) if keys else []
    opened = project_of(home, project)
    session = UnaidedSession(opened) if unaided else ReviewSession(opened, blind=blind, order=order)
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
    if undone:
        raise typer.Exit(1)


@app.command()
def recover(
    project: ProjectName,
    give_up: Annotated[
        bool, typer.Option("--give-up", help="Close units whose files are gone for good: a dry run first.")
    ] = False,
    execute: Annotated[bool, typer.Option("--execute", help="With --give-up: do it.")] = False,
    home: Home = None,
) -> None:
    """Finish, forward, what a crash interrupted."""
    from pickroom.files import undo
    from pickroom.store.connect import connect

    if execute and not give_up:
        raise UsageError("--execute does nothing by itself", doing="recovering", hint="add --give-up")
    opened = project_of(home, project)
    connection = connect(opened.database)
    try:
        if give_up:
            missing, outcome = undo.close_lost(opened, connection, execute=execute)
            _report_closed(opened.id, missing, outcome, execute)
            return
        outcome = undo.recover(opened, connection)
    finally:
        connection.close()
    _report(outcome, f"Recovered {opened.id}: {len(outcome.done)} units finished, {len(outcome.failed)} put back")


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
    connection = connect(opened.database)
    try:
        kinds = {op.unit: op.kind for op in operations.of_batch(connection, batch) if op.undoes is None}
        groups = len(decisions.batch_group_ids(connection, batch))
        outcome = undo.undo_batch(opened, connection, batch)
    except ConflictError as error:
        for item in error.items:
            say(f"  {item}")
        raise
    finally:
        connection.close()
    _report(outcome, f"Batch {batch} of {opened.id} {_taken_back(opened.id, outcome, kinds, groups)}")


def _taken_back(project_id: str, outcome: Outcome, kinds: Mapping[str, str], groups: int) -> str:
    """How far a batch is undone, what stands in its way first.

    Args:
        kinds: unit -> whose steps they are; groups: how many the batch had decided.
    """
    from pickroom.files.ledgers import AUTOMATION, TAKEN_BACK

    counts = Counter(kinds[unit] for unit in set(outcome.done) if unit in kinds)
    if AUTOMATION in counts:
        counts[AUTOMATION] = groups  # its one unit is the whole apply
    parts = [f"{len(outcome.failed)} could not be taken back"] if outcome.failed else []
    if outcome.stuck:
        parts.append(f"{len(outcome.stuck)} unfinished: run `pickroom recover {project_id}`")
    how = "is undone" if not parts else "is undone in part" if counts else "is not undone"
    parts += [f"{counts[kind]} {words[counts[kind] != 1]}" for kind, words in TAKEN_BACK.items() if kind in counts]
    return f"{how}: {'; '.join(parts)}"


def _report_closed(project_id: str, missing: Mapping[str, Sequence[str]], outcome: Outcome, execute: bool) -> None:
    for unit, paths in missing.items():
        say(f"{unit}: {', '.join(paths)} is in neither place")
    for unit, reason in outcome.stuck.items():
        say(f"{unit}: {reason}")
    words = "closed: what was there of them is back in its place" if execute else "would be closed"
    lines = [f"{len(missing)} of {project_id} {words}"]
    if missing and not execute:
        lines.append("Nothing has been done. Bring their disk or folder back if you can; else do it: add --execute")
    show({}, False, "\n".join(lines))
    if outcome.stuck:
        raise typer.Exit(1)


def _report(outcome: Outcome, text: str) -> None:
    for unit, reason in {**outcome.failed, **outcome.stuck}.items():
        say(f"{unit}: {reason}")
    show({}, False, text)
    if outcome.failed or outcome.stuck:
        raise typer.Exit(1)
