"""The commands of `auto`: generate, review, apply, undo; in the sandbox, or with `--production` outside."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from pickroom.cli import console
from pickroom.cli.console import option
from pickroom.cli.page import example_line
from pickroom.core.quantities import plural

with console.lazily():
    from pickroom.automation import apply as executor
    from pickroom.automation import evidence, guarantee
    from pickroom.automation import generate as generating
    from pickroom.automation import metrics as measuring
    from pickroom.automation import sandbox as places
    from pickroom.sessions import keys as key_table
    from pickroom.sessions.review import auto_session


auto = typer.Typer(
    name="auto",
    help="Decide, review and apply by the recommendations, on a copy of the project in sandbox/.",
    no_args_is_help=True,
    epilog=example_line("auto"),
)
console.app.add_typer(auto)

Sandbox = Annotated[Path | None, typer.Option("--sandbox", help="The folder of sandboxes (default: sandbox/).")]
Production = Annotated[
    bool, typer.Option("--production", help="Use the project's own files, not the copy; asks for the project's name.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]


@console.command(of=auto)
def generate(
    project: console.ProjectName,
    overrides_only: bool = option(
        False, "Guarantee the limit on overrides only, not that on anomalies.", "--overrides-only"
    ),
    confidence: float | None = option(None, "Approve unseen from this confidence on; not guaranteed.", min=0, max=1),
    most_cut: float | None = option(None, "Approve no crop unseen that removes more than this share.", min=0, max=1),
    sandbox: Sandbox = None,
    production: Production = False,
) -> None:
    """Copy the project to the sandbox and propose a pick and crop for each undecided group. Moves no file."""
    opened = console.project_of(project)
    with console.progress_bar("Reading groups") as progress:
        notes = generating.recommend_first(opened, progress)
    with console.progress_bar("Copying to the sandbox") as progress:
        place = places.prepare(opened, sandbox, production=production, progress=progress)
    risk = replace(guarantee.RISK_TARGET, anomaly=None) if overrides_only else guarantee.RISK_TARGET
    made = generating.generate(place, risk, confidence=confidence, most_cut=most_cut)
    if not place.is_copy:
        console.say(f"pickroom: no copy is made: these are the project's own files in {place.project.root}")
    for note in (*notes, *made.notes):
        console.say(f"pickroom: {note}")
    lines = [
        f"{plural(len(made.proposals), 'group')} in {place.decisions}",
        made.line,
        *made.approval.explanation,
        f"Look at them: notebooks/50_automate.ipynb, or pickroom auto review {project}",
    ]
    console.show(lines)


@console.command(of=auto)
def review(
    project: console.ProjectName,
    keys: Path | None = option(None, "A file of keys, one per line; - reads stdin."),
    order: Literal["worth", "folder"] = option("worth", "worth: groups most likely to be overridden first."),
    sandbox: Sandbox = None,
    production: Production = False,
) -> None:
    """Review the proposals by a file of keys; the deck is in 50_automate.ipynb. Moves no file."""
    pressed = key_table.read_keys(console.read_text(keys, "reading keys")) if keys else []
    place = places.locate(console.project_of(project), sandbox, production=production)
    session = auto_session.AutoSession(place, order=order)
    try:
        for key in pressed:
            session.press(key)
        hint = [] if keys else ["Review them in the browser: pickroom lab, then notebooks/50_automate.ipynb"]
        console.show([session.view().header, *filter(None, [session.last_written]), *hint])
    finally:
        session.close()


@console.command(of=auto)
def apply(
    project: console.ProjectName,
    execute: bool = option(False, "Do it (default: only show it).", "--execute"),
    yes: Yes = False,
    sandbox: Sandbox = None,
    production: Production = False,
) -> None:
    """Show every step of what was approved; with --execute do all steps, or none if one fails."""
    place = _place(project, sandbox, production)
    note = executor.finish_first(place) if execute else executor.unfinished_note(place)
    if note:
        console.say(f"pickroom: {note}")
    with console.listing_items(skip=1):
        plan = executor.dry_run(place)
        console.show([*plan.lines(), *plan.summary()])
        if not execute:
            console.say("Nothing was moved: this is what --execute would do")
            return
        if not plan.items:
            return
        _confirm(place, f"Do these {len(plan.ops)} steps in {place.project.root}?", yes)
        applied = executor.apply(place, plan)
    console.say(applied.line)
    console.fail_if(applied.stuck)
    console.say(f"Put it back: pickroom auto undo {project}" + (" --production" if production else ""))


@console.command(of=auto)
def undo(
    project: console.ProjectName,
    execute: bool = option(False, "No effect: an undo is always done.", "--execute"),
    yes: Yes = False,
    sandbox: Sandbox = None,
    production: Production = False,
) -> None:
    """Undo the latest apply: files, rows and crops."""
    place = _place(project, sandbox, production)
    if place.confirm:
        _confirm(place, "", yes)
    with console.listing_items(skip=1):
        batch, count = executor.undo_last(place)
    console.show(f"Batch {batch} of {project} is undone: {plural(count, 'group')} wait{'s' * (count == 1)} again")


@console.command(has_json=True, of=auto)
def metrics(project: console.ProjectName, sandbox: Sandbox = None, production: Production = False) -> None:
    """Show approvals, overrides, accepted crops and time saved, and write automation_metrics.json."""
    place = _place(project, sandbox, production)
    found = measuring.metrics_of(place)
    path = measuring.write(place, found)
    console.show([*found.lines(), f"Written to {path}"], {**found.to_dict(), "file": str(path)})


@console.command(has_json=True, of=auto)
def thresholds(
    project: console.ProjectName,
    confidence: list[float] | None = option(None, "A further threshold; repeatable.", min=0, max=1),
) -> None:
    """Show what each threshold would have approved and got wrong, on blind decisions and past picks."""
    with console.progress_bar("Reading past picks") as progress:
        found = evidence.report(console.project_of(project), confidence or (), progress)
    console.show(found.lines(), found.to_dict())


def _place(project: str, sandbox: Path | None, production: bool) -> places.AutomationTarget:
    return places.locate(console.project_of(project), sandbox, production=production)


def _confirm(place: places.AutomationTarget, question: str, yes: bool) -> None:
    """Ask; outside the sandbox the project's name must be typed, whatever --yes says."""
    if place.confirm:
        moved = f"This moves the project's own files in {place.project.root}"
        place.require_name(typer.prompt(f"{moved}. Its name", err=True))
    elif not yes and not typer.confirm(question, err=True):
        raise typer.Abort
