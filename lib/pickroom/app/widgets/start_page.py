"""The start page of the notebooks: it makes a project of a folder, and lists the projects there are."""

from pathlib import Path
from typing import Literal, get_args

import ipywidgets

from pickroom.app.widgets.desk import Home
from pickroom.app.widgets.page import listed
from pickroom.core.errors import PickroomError, UsageError
from pickroom.core.quantities import plural
from pickroom.groups.strategies import Similarity
from pickroom.indexing import projects
from pickroom.indexing.regrouping import ScanReport, similarity_hint, status_line
from pickroom.integrity.whereabouts import in_words
from pickroom.store.workspace import Workspace, already_started

REASONS_SHOWN = 20  # images left out that are listed by name

By = Literal["stage", "similarity"]


def open_start(project_id: str, images: Home = None, home: Home = None, by: By = "stage") -> ipywidgets.HTML:
    """Start `project_id` with the images of a folder, or with None only show the projects there are.

    A project of that name is left as it is, but that "similarity" groups what its names left out by how images look.
    """
    workspace = Workspace.find(home)
    words = listed([*_start(workspace, project_id, images, by), *_projects(workspace)])
    return ipywidgets.HTML(f'<div class="jp-RenderedHTMLCommon">{words}</div>')


def _start(workspace: Workspace, project_id: str, images: Home, by: By) -> list[str]:
    if by not in get_args(By):
        raise UsageError(f"groups cannot be made by {by!r}", doing="grouping", hint="stage or similarity")
    if by == "similarity" and project_id in workspace.project_ids():
        project = workspace.project(project_id)
        if project.manifest.encoder is None:
            return [f"{project_id} has no vectors yet: 10_embed.ipynb makes them; then run this again"]
        return _report(project_id, projects.rescan(project, by=Similarity()))
    if images is None:
        return []
    if project_id in workspace.project_ids() and (known := workspace.project(project_id)).manifest.root:
        return [already_started(known).line]
    started, report = projects.start(workspace, project_id, Path(images))
    return _report(started.id, report)


def _report(project_id: str, report: ScanReport) -> list[str]:
    grouped = report.images - len(report.ungrouped)
    line = (
        f"{project_id}: {plural(report.images, 'image')} = {grouped} in {plural(len(report.groups), 'group')}"
        f" + {len(report.ungrouped)} ungrouped. "
        + ("Review them: 20_review.ipynb" if report.groups else "No group waits.")
    )
    left = [f"left out: {one.directory or '.'}/{one.filename}: {one.reason}" for one in report.ungrouped]
    more = [f"… and {len(left) - REASONS_SHOWN} more: pickroom groups {project_id} --json"]
    return [line, *left[:REASONS_SHOWN], *(more if len(left) > REASONS_SHOWN else [])]


def _projects(workspace: Workspace) -> list[str]:
    lines = []
    for project_id in workspace.project_ids():
        try:
            entry = projects.status(workspace.project(project_id))
        except PickroomError as error:
            lines.append(f"{project_id}: {error.line}")
            continue
        gone = entry["root"] and not entry["root_exists"]
        where = f"{entry['root'] or 'no images'}{' (not there: pickroom relocate)' if gone else ''}"
        lines.append(f"{status_line(entry)}; {where}")
        lines += [f"{project_id}: {line}" for line in in_words(entry, project_id)]
        if entry["ungrouped"] and not entry["groups"]:
            lines.append(f"To have groups in {project_id}: {similarity_hint(project_id)}.")
    return lines or ["No project yet: give a folder of images in the cell above, or try pickroom demo"]
