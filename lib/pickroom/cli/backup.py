"""The commands backup, restore, reclaim and tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pickroom.cli import console
from pickroom.cli.console import option
from pickroom.core.errors import UsageError
from pickroom.core.quantities import format_bytes
from pickroom.store.workspace import Workspace

with console.lazily():
    from pickroom.maintenance import token_budget
    from pickroom.maintenance.backup import restoring, writing
    from pickroom.maintenance.reclaim import delete, planning
    from pickroom.store import copies


_SHOWN = 20


@console.command("backup", has_json=True)
def backup_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file; in a folder it is named by the time.")],
    no_vectors: bool = option(False, "Leave out vectors and features, and show their size.", "--no-vectors"),
) -> None:
    """Save decisions, models, vectors and logs of every project in one verified file."""
    with console.progress_bar("Backing up") as progress:
        made = writing.write(console.workspace_here(), file, progress, vectors=not no_vectors)
    files = made.listing.files
    lines = [f"{len(files)} files, {format_bytes(made.listing.size)}, saved and read back: {made.file}"]
    lines += [f"  not in it: {name}: {reason}" for name, reason in made.left_out.items()]
    lines += ["  not in it: images: they stay where they are"]
    for name, wrong in made.damaged.items():
        console.say(f"left out, since it is damaged: {name}: {wrong} (bring it back from an earlier backup)")
    values = {
        "file": str(made.file),
        "files": len(files),
        "bytes": made.listing.size,
        "left_out": [{"name": name, "reason": reason} for name, reason in made.left_out.items()],
        "damaged": made.damaged,
    }
    console.show(lines, values)
    console.fail_if(made.damaged)


@console.command("restore", has_json=True)
def restore_command(
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="A file that `pickroom backup` made.")] = None,
    replace: bool = option(False, "Set aside other files that are here (default: only name them).", "--replace"),
    project: str | None = option(None, "Instead of FILE: list the project's copies.", "--project", metavar="P"),
    copy: str | None = option(None, "With --project: the copy to restore.", "--copy", metavar="NAME"),
    execute: bool = option(False, "With --replace or --copy: do it.", "--execute"),
) -> None:
    """Restore a backup, or an automatic copy of a project's database."""
    if (file is None) == (project is None):
        what = "give a backup, or a project with --project" if file is None else "FILE and --project exclude each other"
        raise UsageError(what, doing="restoring", hint="as in: pickroom restore ~/pickroom-backup.zip")
    if file is not None and copy is not None:
        hint = "see the copies of a project, as in: pickroom restore --project holiday"
        raise UsageError("--copy belongs to --project", doing="restoring", hint=hint)
    if file is None and replace:
        raise UsageError("--replace belongs to FILE", doing="restoring", hint="with --copy, --execute is enough")
    if execute and not replace and copy is None:
        hint = "an empty workspace needs no option"
        raise UsageError("--execute does nothing by itself", doing="restoring a backup", hint=hint)
    workspace = console.workspace_here()
    if project is not None:
        if copy is None:
            _list_copies(workspace, project)
        else:
            _restore_copy(workspace, project, copy, execute)
    elif file is not None:
        _restore_file(workspace, file, replace, execute)


def _list_copies(workspace: Workspace, project_id: str) -> None:
    found = restoring.listed(workspace, project_id)
    lines = [f"Copies of the database of {project_id}, the newest first:" if found else f"{project_id} has no copy yet"]
    lines += [f"  {_copy_words(copy)}" for copy in found]
    lines += [f"Restore one: pickroom restore --project {project_id} --copy {found[0].path.name}"] if found else []
    values = {"project_id": project_id, "copies": [_copy_values(copy) for copy in found]}
    console.show(lines, values)


def _copy_words(copy: copies.Copy) -> str:
    counted = {"groups": copy.groups, "decisions": copy.decisions}
    rows = ", ".join(f"{count:,} {what}" for what, count in counted.items() if count is not None) or "no rows counted"
    sound = "sound" if copy.problem is None else f"NOT SOUND: {copy.problem}"
    return f"{copy.path.name}: {copy.made_at:%Y-%m-%d %H:%M}Z, {rows}, {format_bytes(copy.size)}, {sound}"


def _copy_values(copy: copies.Copy) -> dict[str, Any]:
    return {
        "name": copy.path.name,
        "made_at": f"{copy.made_at:%Y-%m-%dT%H:%M:%S.%fZ}",
        "groups": copy.groups,
        "decisions": copy.decisions,
        "bytes": copy.size,
        "sound": copy.problem is None,
        "problem": copy.problem,
    }


def _restore_copy(workspace: Workspace, project_id: str, name: str, execute: bool) -> None:
    if execute:
        found, aside = restoring.restore_copy(workspace, project_id, name)
    else:
        found, aside = restoring.plan_copy(workspace, project_id, name), None
    lines = [f"{'Restored' if execute else 'To restore'}: {found.database.name} from {_copy_words(found.copy)}"]
    lines += [f"  would be set aside: {path.name}" for path in found.in_the_way if not execute]
    lines += [f"What was here lies in {aside}: remove it when you are sure"] if aside else []
    if execute:
        lines.append("Files that were moved after this copy was made lie where they were moved to")
        lines.append(f"Next: `pickroom recover {project_id}`, then `pickroom check {project_id}`")
    else:
        lines.append("Nothing has been done. Do it: add --execute")
    values = {
        "project_id": project_id,
        "copy": _copy_values(found.copy),
        "in_the_way": [path.relative_to(workspace.root).as_posix() for path in found.in_the_way],
        "aside": str(aside) if aside else None,
        "done": execute,
    }
    console.show(lines, values)


def _restore_file(workspace: Workspace, file: Path, replace: bool, execute: bool) -> None:
    with console.progress_bar("Restoring") as progress:
        if replace and not execute:
            found, done = restoring.plan(workspace, file, progress), False
        else:
            with console.listing_items("  in the way: "):
                found, done = restoring.restore(workspace, file, replace=replace, progress=progress), True
    values = {
        "made_at": found.listing.made_at,
        "projects": [
            {"project_id": name, "root": root, "root_exists": _is_there(root)} for name, root in found.projects.items()
        ],
        "files": len(found.listing.files),
        "restored": len(found.coming) if done else 0,
        "in_the_way": list(found.in_the_way),
        "aside": str(found.aside) if found.aside else None,
        "done": done,
    }
    words = _words(found, done)
    words += [f"What was here lies in {found.aside}: remove it when you are sure"] if found.aside else []
    words += [] if done else ["Nothing has been done. Do it: add --execute"]
    console.show(words, values)


def _is_there(root: str | None) -> bool:
    return root is not None and Path(root).is_dir()


def _words(found: restoring.RestorePlan, done: bool) -> list[str]:
    files, size = len(found.listing.files), format_bytes(found.listing.size)
    lines = [f"Backup of {found.listing.made_at}: {files} files, {size}, every one as it was saved"]
    verb = "restored" if done else "to restore"
    lines.append(f"  {len(found.coming)} {verb}, {files - len(found.coming)} are here already")
    moved = found.in_the_way
    lines += console.some([f"  {'set aside' if done else 'would be set aside'}: {name}" for name in moved], _SHOWN)
    for name, root in found.projects.items():
        lines.append(f"  project {name}: images in {root or 'a folder its manifest does not say'}")
        if not _is_there(root):
            lines.append(f"    NOT THERE; from where they are now: pickroom relocate {name} .")
    lines += [f"  vectors are made again by: pickroom embed {name}" for name in found.projects]
    return lines


_WORD = "delete"


@console.command(has_json=True)
def reclaim(
    projects: Annotated[list[str] | None, typer.Argument(metavar="[PROJECT]...", help="Default: all.")] = None,
    execute: bool = option(False, "Move to the trash (default: only list).", "--execute"),
    permanent: bool = option(False, "With --execute: delete for good; asks first.", "--permanent"),
) -> None:
    """Free disk space: archived images, images that were set aside, and vectors of unused encoders."""
    if permanent and not execute:
        raise UsageError("--permanent does nothing by itself", doing="reclaiming disk space", hint="add --execute")
    workspace = console.workspace_here()
    planned = planning.plan(workspace, projects or [])
    if execute and not planned.items:
        delete.execute(planned, workspace)  # deletes nothing, but completes the log after a kill
    if not execute or not planned.items:
        hint = ["Nothing has been done. Move it into the trash: add --execute"] if planned.items else []
        console.show([*planned.lines, *hint], {**planned.to_dict(), "reclaimed_bytes": 0})
        return
    if permanent:
        for line in planned.lines:
            console.say(line)
        typed = typer.prompt(f"{len(planned.items)} items will be gone for good. Type {_WORD!r} to go on", err=True)
        if typed != _WORD:
            raise UsageError("that was not the word", doing="reclaiming disk space", hint="nothing was deleted")
    with console.progress_bar("Reclaiming") as progress:
        gone = delete.execute(planned, workspace, hard=permanent, progress=progress)
    where = "Deleted" if permanent else "Moved into the trash, whose room comes back when it is emptied"
    words = [*planned.lines, f"{where}: {len(planned.items)} items, {format_bytes(gone)}"]
    console.show(words, {**planned.to_dict(), "reclaimed_bytes": gone})


@console.command(has_json=True)
def tokens(limit: int | None = option(None, "The limit per day, if you set another one.", min=0)) -> None:
    """Show the tokens that your own language model has spent today, and how many are left."""
    ledger = token_budget.TokenLedger(console.workspace_here(), token_budget.DAILY_LIMIT if limit is None else limit)
    values = {"spent": ledger.spent(), "daily_limit": ledger.daily_limit, "file": str(ledger.path)}
    console.show([ledger.line], values)
