"""The commands that keep what cannot be made again: backup, restore."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pickroom.cli.console import Home, Json, app, printable, progress_bar, say, show
from pickroom.errors import ConflictError, UsageError
from pickroom.quantities import in_bytes
from pickroom.workspace import Workspace

if TYPE_CHECKING:
    from pickroom.backup.restoring import Plan

_SHOWN = 20


@app.command("backup")
def backup_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file; or a folder: then named by the time.")],
    home: Home = None,
    json_output: Json = False,
) -> None:
    """Save decisions, manifests, models and logs of every project in one verified file; never images."""
    from pickroom.backup import writing

    bar, progress = progress_bar("Backing up")
    with bar:
        made = writing.write(Workspace.find(home), file, progress)
    files = made.listing.files
    lines = [f"{len(files)} files, {in_bytes(made.listing.size)}, saved and read back: {made.file}"]
    lines += [f"  not in it: {one.name}: {one.reason}" for one in made.left_out]
    lines += ["  not in it: images: they stay where they are"]
    for name, wrong in made.damaged.items():
        say(f"left out, since it is damaged: {name}: {wrong} (bring it back from an earlier backup)")
    values = {
        "file": str(made.file),
        "files": len(files),
        "bytes": made.listing.size,
        "left_out": [{"name": one.name, "reason": one.reason} for one in made.left_out],
        "damaged": made.damaged,
    }
    show(values, json_output, printable(lines))
    if made.damaged:
        raise typer.Exit(1)


@app.command("restore")
def restore_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that `pickroom backup` made.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Set aside what is here and is not the backup's; first only say what.")
    ] = False,
    execute: Annotated[bool, typer.Option("--execute", help="With --replace: do it.")] = False,
    home: Home = None,
    json_output: Json = False,
) -> None:
    """Bring a backup back into a workspace that holds no project; or, with --replace, in place of what it holds."""
    from pickroom.backup import restoring

    if execute and not replace:
        raise UsageError(
            "--execute does nothing by itself", doing="restoring a backup", hint="an empty workspace needs no option"
        )
    workspace = Workspace.find(home)
    bar, progress = progress_bar("Restoring")
    with bar:
        if replace and not execute:
            found, aside, done = restoring.plan(workspace, file, progress), None, False
        else:
            try:
                restored = restoring.restore(workspace, file, replace=replace, progress=progress)
            except ConflictError as error:
                for item in error.items:
                    say(f"  in the way: {item}")
                raise
            found, aside, done = restored.plan, restored.aside, True
    values = {
        "made_at": found.listing.made_at,
        "projects": [{"project_id": p.project_id, "root": p.root, "root_exists": p.has_images} for p in found.projects],
        "files": len(found.listing.files),
        "restored": len(found.coming) if done else 0,
        "in_the_way": list(found.in_the_way),
        "aside": str(aside) if aside else None,
        "done": done,
    }
    words = _words(found, done)
    words += [f"What was here lies in {aside}: remove it when you are sure"] if aside else []
    words += [] if done else ["Nothing has been done. Do it: add --execute"]
    show(values, json_output, printable(words))


def _words(found: Plan, done: bool) -> list[str]:
    files, size = len(found.listing.files), in_bytes(found.listing.size)
    lines = [f"Backup of {found.listing.made_at}: {files} files, {size}, every one as it was saved"]
    verb = "restored" if done else "to restore"
    lines.append(f"  {len(found.coming)} {verb}, {files - len(found.coming)} are here already")
    moved = found.in_the_way
    lines += [f"  {'set aside' if done else 'would be set aside'}: {name}" for name in moved[:_SHOWN]]
    lines += [f"  ... and {len(moved) - _SHOWN} more (--json)"] if len(moved) > _SHOWN else []
    for project in found.projects:
        lines.append(
            f"  project {project.project_id}: images in {project.root or 'a folder its manifest does not say'}"
        )
        if not project.has_images:
            lines.append(f"    NOT THERE: pickroom relocate {project.project_id} FOLDER")
    lines += ["  vectors are made again by: pickroom embed PROJECT"] if found.projects else []
    return lines
