"""Commands of a project's life: start, groups, status, relocate."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from pickroom.cli.console import Home, Json, ProjectName, app, fail_if, progress_bar, project_of, say, show, some
from pickroom.core.errors import PickroomError, UsageError
from pickroom.core.quantities import percent, plural
from pickroom.store.workspace import Workspace

_LONGEST_GAP = 365 * 24 * 60  # minutes
_SHOWN = 20  # images that are listed by name


@app.command()
def start(
    project: ProjectName,
    images: Annotated[Path | None, typer.Option("--images", help="The folder of images.")] = None,
    finished: Annotated[
        bool, typer.Option("--finished", help="A project of the past, without images: for imported decisions.")
    ] = False,
    aliases: Annotated[
        list[str] | None, typer.Option("--alias", metavar="NAME", help="Another name for it in old logs.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="A name to show.")] = None,
    rename_duplicates: Annotated[bool, typer.Option(help="Put the folder's name in front of names met twice.")] = False,
    home: Home = None,
    json_output: Json = False,
) -> None:
    """Make a project of a folder of images: scan, group, recommend the baseline."""
    from pickroom.history.logged_paths import new_aliases
    from pickroom.indexing import projects
    from pickroom.indexing.regrouping import similarity_hint

    if (images is None) is not finished or (finished and rename_duplicates):
        hint = f"pickroom start {project} --images FOLDER; see: pickroom start --help"
        raise UsageError("give either --images or --finished", doing="starting a project", hint=hint)
    workspace = Workspace.find(home)
    names = new_aliases(workspace, project, aliases or ())
    if images is None:
        registered = projects.register(workspace, project, title=title, aliases=names)
        next_line = f"Import its decisions: pickroom import-csv FILE --project {registered.id}"
        show({"project_id": registered.id}, json_output, [f"Project {registered.id}: finished, no images", next_line])
        return
    with progress_bar("Reading images") as progress:
        made, report = projects.start(
            *(workspace, project, images),
            title=title,
            aliases=names,
            rename_duplicates=rename_duplicates,
            progress=progress,
        )
    first, *lines = scan_lines(report)
    if report.groups:
        lines.append("Review it: pickroom lab, then notebooks/20_review.ipynb")
    else:
        lines.append(f"Nothing could be grouped by the stages in the names: {similarity_hint(made.id)}")
    show({"project_id": made.id, **report.to_dict()}, json_output, [f"Project {made.id}: {first}", *lines])
    fail_if(rename_duplicates and any(u.reason.startswith("duplicate name") for u in report.ungrouped))


def scan_lines(report: Any) -> list[str]:
    """What a scan found, in words; the reasons of what was left out, each with its count."""
    grouped = report.images - len(report.ungrouped)
    made = plural(len(report.groups), "group")
    lines = [f"{plural(report.images, 'image')} = {grouped} in {made} + {len(report.ungrouped)} ungrouped"]
    lines += [f"  renamed {old} -> {new}" for old, new in report.renamed]
    ungrouped = [f"  {u.directory or '.'}/{u.filename}: {u.reason}" for u in report.ungrouped]
    lines += some(ungrouped, _SHOWN)
    lines += [f"  {item.line}" for item in report.skipped]
    lines += [f"  missing since the last scan: {path}" for path in report.missing[:_SHOWN]]
    lines += [f"  {note}" for note in report.notes]
    lines += [f"  stays in its group: {u.directory or '.'}/{u.filename}: {u.reason}" for u in report.doubtful[:_SHOWN]]
    return lines


@app.command()
def groups(
    project: ProjectName,
    by: Annotated[
        str, typer.Option(help="stage: by the stages in the names; similarity: by how images look.")
    ] = "stage",
    gap: Annotated[
        float | None, typer.Option(help="Minutes from one stage to the next, at most: 5. By similarity: no limit.")
    ] = None,
    cosine: Annotated[float | None, typer.Option(help="By similarity: least cosine of two images' vectors.")] = None,
    hash_distance: Annotated[
        int | None, typer.Option("--hash-distance", metavar="BITS", help="By similarity: most bits of 64 that differ.")
    ] = None,
    tune: Annotated[bool, typer.Option("--tune", help="By similarity: as your own decisions suggest.")] = False,
    home: Home = None,
    json_output: Json = False,
) -> None:
    """Scan the project's folder again and group what is new. By similarity groups what the stages left out."""
    from pickroom.groups.stages import DEFAULT_GAP
    from pickroom.groups.strategies import Similarity
    from pickroom.indexing import projects
    from pickroom.indexing.regrouping import similarity_hint

    if by not in ("stage", "similarity"):
        raise UsageError(f"groups cannot be made by {by!r}", doing="grouping", hint="use --by stage or similarity")
    if by == "stage" and (tune or cosine is not None or hash_distance is not None):
        raise UsageError("this is for groups by similarity", doing="grouping", hint="add --by similarity")
    if gap is not None and not 0 < gap <= _LONGEST_GAP:
        raise UsageError(f"a gap of {gap:g} minutes groups nothing well", doing="grouping", hint="use --gap 5")
    limit = None if gap is None else timedelta(minutes=gap)
    opened = project_of(home, project)
    with progress_bar("Reading images") as progress:
        report = projects.rescan(
            opened,
            gap=limit or DEFAULT_GAP,
            by=Similarity(cosine, hash_distance, limit, tune) if by == "similarity" else None,
            progress=progress,
        )
    lines = scan_lines(report)
    if by == "stage" and report.ungrouped and not projects.status(opened, files=False)["groups"]:
        lines.append(f"Nothing could be grouped by the stages in the names: {similarity_hint(project)}")
    show(report.to_dict(), json_output, lines)


@app.command()
def status(
    project: Annotated[str | None, typer.Argument(metavar="[PROJECT]")] = None,
    home: Home = None,
    json_output: Json = False,
) -> None:
    """What is waiting, decided, unfinished: of one project, or of all.

    Exits 1 if images lie where neither the journal nor a row says, or a project cannot be read.
    """
    from pickroom.indexing import projects

    workspace = Workspace.find(home)
    found = []
    for project_id in [project] if project else workspace.project_ids():
        try:
            found.append(projects.status(workspace.project(project_id)))
        except PickroomError as error:
            if project:
                raise
            say(f"pickroom: {error.line}")
            found.append({"project_id": project_id, "error": error.line})
    text = "\n".join(status_words(entry) for entry in found) or "No project yet: pickroom start NAME --images FOLDER"
    show(found[0] if project else {"projects": found}, json_output, text)
    fail_if(any(entry.get("unexplained") or entry.get("misplaced") or "error" in entry for entry in found))


def status_words(entry: dict[str, Any]) -> str:
    from pickroom.indexing.regrouping import similarity_hint
    from pickroom.integrity.whereabouts import in_words

    if "error" in entry:
        return f"{entry['project_id']}: {entry['error']}"
    name = entry["project_id"]
    decided = ", ".join(f"{count} {outcome}" for outcome, count in entry["decided"].items()) or "none"
    waiting = f"{entry['waiting']} of {entry['groups']} groups wait" if entry["groups"] else "no group yet"
    if entry["status"] == "finished" and entry["groups"]:
        waiting = f"{entry['waiting']} of {entry['groups']} groups were left undecided"
    there = f"images in {entry['root']}" + ("" if entry["root_exists"] else "  (NOT THERE: pickroom relocate)")
    lines = [
        f"{name} ({entry['status']}): {waiting}; decided: {decided}",
        f"  {there if entry['root'] else 'registered without images'}",
    ]
    if entry["imported"]:
        lines.append(f"  not asked again: {plural(entry['imported'], 'group')} of which the pick was imported")
    if entry["chosen"]:
        lines.append(f"  chosen, and not finalised: {plural(entry['chosen'], 'group')} (Shift+Enter in the deck)")
    if entry["ungrouped"]:
        lines.append(f"  in no group: {plural(entry['ungrouped'], 'image')} (why: pickroom groups {name})")
    lines += [f"  skipped: {item['files']} {item['extension']} ({item['reason']})" for item in entry["skipped"]]
    if entry["ungrouped"] and not entry["groups"]:
        lines.append(f"  next: {similarity_hint(name)}")
    if entry["incomplete_crops"]:
        crops = entry["incomplete_crops"]
        wait = f"{plural(len(crops), 'crop')} wait{'s' * (len(crops) == 1)}"
        lines.append(f"  {wait}: {', '.join(crops[:5])}{', ...' if len(crops) > 5 else ''}")
    if entry["planned_operations"]:
        lines.append(f"  unfinished: {plural(entry['planned_operations'], 'file operation')}: pickroom recover {name}")
    lines += [f"    in {one['root']}: {one['problem'] or one['planned_operations']}" for one in entry["unfinished"]]
    if "unsound_rows" in entry:
        rows = plural(entry["unsound_rows"], "unsound row")
        lines.append(f"  {rows} left out everywhere (see: pickroom check {name})")
    for batch in entry["batches"]:
        gone = "undone" if batch["undone"] and not batch["done"] else f"{batch['done']} of {batch['operations']} files"
        lines.append(f"  batch {batch['batch']} ({batch['planned_at'][:16]}Z): {gone}")
    lines += [f"  {line}" for line in in_words(entry, name)]
    lines += [f"  held back: {group_id}: {reason}" for group_id, reason in entry["held"].items()]
    accuracy = entry["performance"].get("selection_accuracy")
    if accuracy is not None:
        lines.append(f"  recommended images that were picked, where any was: {percent(accuracy)}")
    return "\n".join(lines)


@app.command()
def alias(
    project: ProjectName,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Further names; none lists them.")
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take these names away.")] = False,
    home: Home = None,
    json_output: Json = False,
) -> None:
    """List, add or remove the names that old logs and caches have for a project, such as "training data/anna_final"."""
    from pickroom.history.logged_paths import new_aliases

    workspace = Workspace.find(home)
    opened = workspace.project(project)
    if names:
        given = names if remove else new_aliases(workspace, project, names)
        kept = [name for name in opened.manifest.aliases if name not in given]
        if remove and len(kept) + len(set(given)) != len(opened.manifest.aliases):
            what = f"not all of these are aliases of {opened.id}"
            raise UsageError(what, doing="removing aliases", hint=f"list them: pickroom alias {opened.id}")
        opened = opened.with_manifest(aliases=tuple(kept if remove else (*kept, *given)))
    found = list(opened.manifest.aliases)
    show({"project_id": opened.id, "aliases": found}, json_output, [f"{opened.id}: {', '.join(found) or 'no aliases'}"])


@app.command()
def relocate(project: ProjectName, folder: Annotated[Path, typer.Argument()], home: Home = None) -> None:
    """Tell a project that its image folder has moved."""
    from pickroom.indexing import projects

    moved = projects.relocate(Workspace.find(home), project, folder)
    show({}, False, f"Project {moved.id} now has its images in {moved.root}")
