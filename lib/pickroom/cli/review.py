"""The commands review, crop, recover and undo."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import typer

from pickroom.cli import console
from pickroom.cli.console import option
from pickroom.cli.project import next_line
from pickroom.core.errors import UsageError
from pickroom.core.naming import filename_of, folder_of, join, source_folder, split
from pickroom.core.quantities import plural
from pickroom.core.records import CropBox
from pickroom.storage.json_records import from_json, parse_lines
from pickroom.store.workspace import Project

with console.lazily():
    from pickroom.automation import apply
    from pickroom.files import batch as batches
    from pickroom.files import cropping, journal, recovery, returning
    from pickroom.sessions import keys as key_table
    from pickroom.sessions.crop import session as crop_session
    from pickroom.sessions.review import session as sessions
    from pickroom.store import connect


@console.command()
def review(
    project: console.ProjectName,
    keys: Path | None = option(None, "A file of keys, one per line; - reads stdin."),
    blind: bool = option(False, "Hide each recommendation until you have chosen."),
    no_ai: bool = option(False, "Neither show nor record recommendations.", "--no-ai"),
    order: Literal["folder", "worth"] = option("folder", "worth: groups most likely to be overridden first."),
) -> None:
    """Review by a file of keys, without a browser; the deck is in 20_review.ipynb."""
    if no_ai and (blind or order != "folder"):
        what = "--no-ai has no recommendation to hide or to order by"
        raise UsageError(what, doing="opening a review", hint="leave --blind and --order out")
    pressed = key_table.read_keys(console.read_text(keys, "reading keys")) if keys else []
    opened = console.project_of(project)
    undone = False
    made = sessions.ManualSession(opened) if no_ai else sessions.ReviewSession(opened, blind=blind, order=order)
    with closing(made) as session:
        for key in pressed:
            session.press(key)
            if session.last_result is not None and session.state.message == session.last_result.line:
                left = {**session.last_result.held, **session.last_result.stuck}
                undone |= bool(left)
                for group_id, reason in left.items():
                    console.say(f"{group_id}: {reason}")
                console.say(session.last_result.line)
        shown = session.view()
        hint = "" if keys else "\nReview it in the browser: pickroom lab, then notebooks/20_review.ipynb"
        console.show(shown.header + hint)
    console.fail_if(undone)


@console.command()
def recover(
    project: console.ProjectName,
    unexplained: bool = option(False, "Return images in Pickroom's folders that no record explains.", "--unexplained"),
    give_up: bool = option(False, "Close operations on files that are gone for good.", "--give-up"),
    execute: bool = option(False, "With --unexplained or --give-up: do it (default: only show it).", "--execute"),
) -> None:
    """Finish file operations that a crash interrupted."""
    opened = console.project_of(project)
    if unexplained and give_up:
        raise UsageError("--unexplained and --give-up exclude each other", doing="recovering", hint="give one of them")
    if unexplained:
        return _return(opened, execute)
    if give_up:
        return _close(opened, execute)
    if execute:
        hint = f"leave it out, or: pickroom recover {project} --unexplained --execute"
        raise UsageError("--execute belongs to --unexplained and --give-up", doing="recovering", hint=hint)
    with closing(connect.connect(opened.database)) as connection:
        outcome = batches.recover(opened, connection)
    apply.complete_logs(opened)
    finished = plural(len(outcome.done), "unit")
    _report(outcome, f"Recovered {opened.id}: {finished} finished, {len(outcome.failed)} put back")


def _return(opened: Project, execute: bool) -> None:
    """Return unexplained images, or show where they would go."""
    with closing(connect.connect(opened.database)) as connection:
        if execute:
            batch, returns, outcome = returning.execute(opened, connection)
        else:
            batch, returns, outcome = 0, returning.plan(opened, connection), journal.Outcome()
    lines = [*(one.line for one in returns), *returning.summary(returns)]
    if not returns:
        lines = [f"Every image in the folders of {opened.id} is explained by the journal or a row"]
    elif not execute:
        console.say("Nothing was moved: this is what --execute would do")
    else:
        console.say(
            f"Batch {batch}: {len(outcome.done)} of {len(returns)} images returned; groups whose images are back wait"
        )
        console.say(f"Read the folders again: pickroom groups {opened.id}")
        console.say(f"Take it back: pickroom undo {opened.id} --batch {batch}")
    if execute and any(one.held for one in returns):
        outcome.stuck |= {one.path: one.held for one in returns if one.held}
    _report(outcome, lines)


@console.command("undo")
def undo_command(
    project: console.ProjectName, batch: Annotated[int, typer.Option(help="The number that finalise and status print.")]
) -> None:
    """Put a finalised batch back: files, choices and rows."""
    opened = console.project_of(project)
    with console.listing_items(), closing(connect.connect(opened.database)) as connection:
        outcome, words = batches.undo_in_words(opened, connection, batch)
    _report(outcome, words)


def _close(opened: Project, execute: bool) -> None:
    """Close the units whose files are gone, or show which those are."""
    missing, outcome = recovery.close_lost(opened, execute=execute)
    if execute:
        apply.complete_logs(opened)
    for unit, paths in missing.items():
        console.say(f"{unit}: {', '.join(paths)} is in neither place")
    for unit, reason in outcome.stuck.items():
        console.say(f"{unit}: {reason}")
    words = "closed: what was there of them is back in its place" if execute else "would be closed"
    lines = [f"{len(missing)} of {opened.id} {words}"]
    if missing and not execute:
        lines.append("Nothing has been done. Bring their disk or folder back if you can; else do it: add --execute")
    console.show(lines)
    console.fail_if(outcome.stuck)


def _report(outcome: journal.Outcome, text: str | Sequence[str]) -> None:
    for unit, reason in {**outcome.failed, **outcome.stuck}.items():
        console.say(f"{unit}: {reason}")
    console.show(text)
    console.fail_if(outcome.failed or outcome.stuck)


@console.command()
def crop(
    project: console.ProjectName,
    boxes: Path | None = option(
        None, 'JSON lines {"filename", "box"} or {"filename", "action": "delete"}; - is stdin.'
    ),
    apply_ai: bool = option(False, "Crop all of crop_auto/ as the AI proposed.", "--apply-ai"),
) -> None:
    """Crop the images that wait, by a file of boxes; the desk is in 30_crop.ipynb."""
    if boxes is not None and apply_ai:
        raise UsageError("--boxes and --apply-ai exclude each other", doing="cropping", hint="give one of them")
    wanted = read_boxes(console.read_text(boxes, "reading boxes")) if boxes is not None else []
    with closing(crop_session.CropSession(console.project_of(project))) as session:
        if session.state.message:  # what was recovered or rebuilt at the start
            console.say(session.state.message)
        if not apply_ai and boxes is None:
            shown = session.view()
            problems = "".join(f"\n  {line}" for line in shown.problems)
            console.show(f"{shown.header}{problems}\n{next_line(project)}")
            return
        if apply_ai:
            result = session.apply_ai()
        else:
            waiting = [join(card.directory, card.filename) for card in session.waiting]
            result = session.submit([_order(line, [*waiting, *session.problems]) for line in wanted])
    for name, reason in {**result.warnings, **result.refused, **result.stuck}.items():
        console.say(f"{name}: {reason}")
    number = f"Batch {result.batch}: " if result.batch else ""
    stuck = f", {len(result.stuck)} unfinished: run `pickroom recover {project}`" if result.stuck else ""
    then = "" if result.stuck else f"\n{next_line(project)}"
    console.show(f"{number}{len(result.done)} done, {len(result.refused)} refused{stuck}{then}")
    console.fail_if(result.refused or result.stuck)


BoxLine = tuple[str, str | None, CropBox | None]  # (file name, folder where it says one, box or None for delete)


def read_boxes(text: str) -> list[BoxLine]:
    """The lines of a file of boxes; raises UsageError naming the first invalid line."""
    try:
        wanted = [order for _, order in parse_lines(_read_order, text)]
    except ValueError as error:
        hint = 'nothing was cropped; write {"filename": "a.png", "box": [x1, y1, x2, y2]}'
        raise UsageError(str(error), doing="reading boxes", hint=hint) from None
    for (name, _), count in Counter(line[:2] for line in wanted).items():
        if count > 1:
            raise UsageError(f"{name!r} is named twice", doing="reading boxes", hint="nothing was cropped")
    return wanted


class _Order(msgspec.Struct):
    filename: str
    action: Literal["crop", "delete"] = "crop"
    box: Any = msgspec.UNSET
    directory: str | None = None  # among the sources, or the folder that the image waits in


def _read_order(line: str) -> BoxLine:
    order = from_json(_Order, line)
    if (order.box is msgspec.UNSET) != (order.action == "delete"):
        raise ValueError('it needs either a "box" or "action": "delete"')
    return order.filename, order.directory, None if order.action == "delete" else CropBox.of(order.box)


def _order(line: BoxLine, waiting: Sequence[str]) -> cropping.Order:
    """The order for the waiting image that a line names; raises UsageError where it may be one of several paths."""
    name, directory, box = line
    found = [path for path in dict.fromkeys(waiting) if filename_of(path) == name]
    if directory is not None:
        wanted = directory.strip("/")
        found = [path for path in found if wanted in (folder_of(path), source_folder(folder_of(path)))]
    if len(found) > 1:
        hint = 'nothing was cropped; say in which "directory"'
        raise UsageError(f"{name!r} is {' and '.join(found)}", doing="reading boxes", hint=hint)
    return cropping.Order(*(split(found[0]) if found else (directory or "crop", name)), box)
