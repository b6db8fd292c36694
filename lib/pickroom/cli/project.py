"""The commands start, groups, status, alias, relocate, lab, app and doctor."""

from collections import defaultdict
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from pickroom.cli import console
from pickroom.cli.console import option
from pickroom.core.errors import PickroomError, UsageError
from pickroom.core.quantities import percent, plural

with console.lazily():
    from pickroom import integrity
    from pickroom.app import lab as jupyter
    from pickroom.app.server import app_server
    from pickroom.cli.doctor import machine, workspaces
    from pickroom.groups import stages, strategies
    from pickroom.history import logged_paths
    from pickroom.indexing import projects, regrouping


_LONGEST_GAP = 365 * 24 * 60  # minutes
_SHOWN = 20  # images that are listed by name
_NAMED = 3  # images named per reason; more are only counted, and --json lists them


@console.command(has_json=True)
def start(
    project: console.ProjectName,
    images: Path | None = option(None, "The folder of images.", "--images"),
    finished: bool = option(False, "Register a finished project without images, for imported decisions.", "--finished"),
    aliases: list[str] | None = option(None, "Its name in old logs; repeatable.", "--alias", metavar="NAME"),
    title: str | None = option(None, "The title that is shown."),
    rename_duplicates: bool = option(False, "Put the folder before duplicate names."),
    mirror: bool = option(False, "Keep sub-folders in selected/ and the others, as for duplicate names.", "--mirror"),
    in_place: bool | None = option(
        None, "Write decisions into XMP sidecars; no image moves.", "--in-place/--no-in-place"
    ),
    naming: console.SidecarNaming = "stem",
) -> None:
    """Make a project of a folder of images: scan and group them, recommend the baseline."""
    sidecars = console.naming_of(in_place, naming)
    if in_place is not None and images is None and not finished:
        projects.set_in_place(console.project_of(project), sidecars)
        console.show(f"Project {project}: {in_place_words(sidecars)}", {"project_id": project, "in_place": sidecars})
        return
    others = {"--finished": finished, "--rename-duplicates": rename_duplicates, "--mirror": mirror}
    if in_place and any(others.values()):
        other = next(option for option, given in others.items() if given)
        what = f"--in-place and {other} exclude each other"
        raise UsageError(what, doing="starting a project", hint="give one of them")
    if (images is None) is not finished or (finished and (rename_duplicates or mirror)):
        hint = f"of the folder you are in: pickroom start {project} --images .; see: pickroom start --help"
        raise UsageError("give either --images or --finished", doing="starting a project", hint=hint)
    workspace = console.workspace_here()
    names = logged_paths.new_aliases(workspace, project, aliases or ())
    if images is None:
        registered = projects.register(workspace, project, title=title, aliases=names)
        then = f"Import its decisions, as in: pickroom import-csv decisions.csv --project {registered.id}"
        console.show([f"Project {registered.id}: finished, no images", then], {"project_id": registered.id})
        return
    with console.progress_bar("Reading images") as progress:
        made, report = projects.start(
            *(workspace, project, images),
            title=title,
            aliases=names,
            rename_duplicates=rename_duplicates,
            mirror=mirror,
            in_place=sidecars,
            progress=progress,
        )
    first, *lines = scan_lines(report)
    lines += [in_place_words(sidecars)] if sidecars else []
    lines.append(next_line(made.id))
    console.show([f"Project {made.id}: {first}", *lines], {"project_id": made.id, **report.to_dict()})
    console.fail_if(rename_duplicates and not mirror and report.layout == "mirror")  # a name is still met twice


def in_place_words(naming: str | None) -> str:
    """What a project does with decisions, by its manifest's `in_place`."""
    if naming is None:
        return "decisions move images"
    name = "name.xmp" if naming == "stem" else "name.ext.xmp"
    return f"decisions are written into XMP sidecars (new ones: {name}), and no image moves"


def next_line(project_id: str) -> str:
    """The next command for a project, by what waits there."""
    project = console.project_of(project_id)
    seen = projects.status(project, files=False)
    if seen["status"] != "active":
        return f"See what it can free of the disk: pickroom reclaim {project_id}"
    if seen["waiting"]:
        return f"Review it: pickroom app {project_id}"
    if seen["incomplete_crops"]:
        return f"Draw the crops that wait: pickroom app {project_id}"
    if seen["groups"]:
        return f"Every group is decided. See what finishing it does: pickroom finish {project_id}"
    if not seen["ungrouped"]:
        return f"No image was found. When there are some in {project.root}: pickroom groups {project_id}"
    by_looks = f"index {project_id}" if project.manifest.encoder is None else f"groups {project_id} --by similarity"
    return f"Group the images by how they look: pickroom {by_looks}"


def scan_lines(report: Any) -> list[str]:
    """The result of a scan in lines: counts, and the reasons of ungrouped and skipped files."""
    grouped = report.images - len(report.ungrouped)
    made = plural(len(report.groups), "group")
    lines = [f"{plural(report.images, 'image')} = {grouped} in {made} + {len(report.ungrouped)} ungrouped"]
    lines += [f"  renamed {old} -> {new}" for old, new in report.renamed]
    by_reason: dict[str, list[Any]] = defaultdict(list)
    for one in report.ungrouped:
        by_reason[one.reason.partition(":")[0]].append(one)
    for reason, found in sorted(by_reason.items(), key=lambda item: -len(item[1])):
        if len(found) > _NAMED:
            lines.append(f"  {len(found)} in no group: {reason}")
        else:
            lines += [f"  {one.directory or '.'}/{one.filename}: {one.reason}" for one in found]
    lines += [f"  {item.line}" for item in report.skipped]
    lines += [f"  missing since the last scan: {path}" for path in report.missing[:_SHOWN]]
    lines += [f"  {note}" for note in report.notes]
    lines += [f"  stays in its group: {u.directory or '.'}/{u.filename}: {u.reason}" for u in report.doubtful[:_SHOWN]]
    return lines


@console.command(has_json=True)
def groups(
    project: console.ProjectName,
    by: str = option("stage", "stage: by the stages in file names; similarity: by how images look."),
    gap: float | None = option(None, "Most minutes from one stage to the next (default: 5; by similarity no limit)."),
    cosine: float | None = option(None, "By similarity: lowest cosine of two images' vectors."),
    hash_distance: int | None = option(
        None, "By similarity: most differing bits of 64.", "--hash-distance", metavar="BITS"
    ),
    tune: bool = option(False, "By similarity: fit to your decisions.", "--tune"),
) -> None:
    """Scan the project's folder again and group new images; by similarity, those that are in no group."""
    if by not in ("stage", "similarity"):
        raise UsageError(f"groups cannot be made by {by!r}", doing="grouping", hint="use --by stage or similarity")
    if by == "stage" and (tune or cosine is not None or hash_distance is not None):
        raise UsageError("these options are for groups by similarity", doing="grouping", hint="add --by similarity")
    if gap is not None and not 0 < gap <= _LONGEST_GAP:
        raise UsageError(f"a gap of {gap:g} minutes is not possible", doing="grouping", hint="use --gap 5")
    limit = None if gap is None else timedelta(minutes=gap)
    opened = console.project_of(project)
    with console.progress_bar("Reading images") as progress:
        report = projects.rescan(
            opened,
            gap=limit or stages.DEFAULT_GAP,
            by=strategies.Similarity(cosine, hash_distance, limit, tune) if by == "similarity" else None,
            progress=progress,
        )
    console.show([*scan_lines(report), next_line(project)], report.to_dict())


@console.command(has_json=True)
def status(project: Annotated[str | None, typer.Argument(metavar="[PROJECT]", help="Default: all.")] = None) -> None:
    """Show what waits, what is decided and what is unfinished, in one project or in all.

    Exits 1 if Pickroom's folders hold images that no record explains, or a project cannot be read.
    """
    workspace = console.workspace_here()
    found = []
    for project_id in [project] if project else workspace.project_ids():
        try:
            found.append(projects.status(workspace.project(project_id)))
        except PickroomError as error:
            if project:
                raise
            console.say(f"pickroom: {error.line}")
            found.append({"project_id": project_id, "error": error.line})
    text = "\n".join(status_words(entry) for entry in found) or console.NO_PROJECT
    console.show(text, found[0] if project else {"projects": found})
    console.fail_if(any(entry.get("unexplained") or entry.get("misplaced") or "error" in entry for entry in found))


def status_words(entry: dict[str, Any]) -> str:
    if "error" in entry:
        return f"{entry['project_id']}: {entry['error']}"
    name = entry["project_id"]
    there = f"images in {entry['root']}" + ("" if entry["root_exists"] else "  (NOT THERE: pickroom relocate)")
    lines = [regrouping.status_line(entry), f"  {there if entry['root'] else 'registered without images'}"]
    lines += [f"  {in_place_words(entry['in_place'])}"] if entry["in_place"] else []
    if entry["imported"]:
        lines.append(f"  not asked again: {plural(entry['imported'], 'group')} of which the pick was imported")
    if entry["chosen"]:
        lines.append(f"  chosen, and not finalised: {plural(entry['chosen'], 'group')} (Shift+Enter in the deck)")
    if entry["ungrouped"]:
        unseen = f", {entry['unseen_singles']} not looked at: pickroom browse {name}" if entry["unseen_singles"] else ""
        lines.append(f"  in no group: {plural(entry['ungrouped'], 'image')} (why: pickroom groups {name}){unseen}")
    lines += [f"  skipped: {item['files']} {item['extension']} ({item['reason']})" for item in entry["skipped"]]
    if entry["ungrouped"] and not entry["groups"]:
        lines.append(f"  next: {regrouping.similarity_hint(name)}")
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
    lines += [f"  {line}" for line in integrity.in_words(entry, name)]
    lines += [f"  held back: {group_id}: {reason}" for group_id, reason in entry["held"].items()]
    accuracy = entry["performance"].get("selection_accuracy")
    if accuracy is not None:
        lines.append(f"  recommended images that were picked: {percent(accuracy)}")
    return "\n".join(lines)


@console.command(has_json=True)
def alias(
    project: console.ProjectName,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Names to add (none: list them).")
    ] = None,
    remove: bool = option(False, "Remove these names.", "--remove"),
) -> None:
    """List, add or remove the names that old logs and caches have for a project, such as "training data/anna_final"."""
    workspace = console.workspace_here()
    opened = workspace.project(project)
    if names:
        given = names if remove else logged_paths.new_aliases(workspace, project, names)
        kept = [name for name in opened.manifest.aliases if name not in given]
        if remove and len(kept) + len(set(given)) != len(opened.manifest.aliases):
            what = f"not all of these are aliases of {opened.id}"
            raise UsageError(what, doing="removing aliases", hint=f"list them: pickroom alias {opened.id}")
        opened = opened.with_manifest(aliases=tuple(kept if remove else (*kept, *given)))
    found = list(opened.manifest.aliases)
    console.show([f"{opened.id}: {', '.join(found) or 'no aliases'}"], {"project_id": opened.id, "aliases": found})


@console.command()
def relocate(project: console.ProjectName, folder: Annotated[Path, typer.Argument(help="The new folder.")]) -> None:
    """Tell a project that its image folder has moved."""
    moved = projects.relocate(console.workspace_here(), project, folder)
    console.show(f"Project {moved.id} now has its images in {moved.root}")


@console.command()
def lab(
    port: int = option(8888, "The port to listen on; if taken, the next free one."),
    browser: bool = option(True, "Open a browser window.", "--browser/--no-browser"),
) -> None:
    """Open JupyterLab with your copies of the notebooks: on this machine only, with a token."""
    workspace = console.workspace_here()
    outdated = jupyter.copy_notebooks(workspace)
    if outdated:
        console.say(
            f"You changed {', '.join(outdated)} in {workspace.notebooks}, and this version of Pickroom has newer ones. "
            "Yours stay as they are. To get the newer ones, rename yours and start the lab again."
        )
    jupyter.run(workspace, port=port, browser=browser)


@console.command("app")
def picking_app(
    project: Annotated[str, typer.Argument(metavar="[PROJECT]", help="Default: choose on the page.")] = "",
    port: int = option(8866, "The port to listen on; if taken, the next free one."),
    browser: bool = option(True, "Open a browser window.", "--browser/--no-browser"),
) -> None:
    """Review and crop in the browser without notebooks: on this machine only, with a token."""
    app_server.run(console.workspace_here(), project, port=port, browser=browser)


@console.command(has_json=True)
def doctor() -> None:
    """Check this machine and the workspace. Each line has ok, warn or fail, the reason, and what to do.

    Changes nothing and downloads nothing. The functions of a disk are tried in a hidden folder, which is
    removed. Exits 1 if a check failed.
    """
    findings = [*machine.look(), *workspaces.look(console.workspace_here())]
    values = workspaces.to_dict(findings)
    console.show([finding.line for finding in findings], values)
    console.fail_if(not values["ok"])
