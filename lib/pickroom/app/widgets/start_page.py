"""The start page of the notebooks: it makes a project of a folder, and lists the projects there are."""

from html import escape
from pathlib import Path
from typing import Any, Literal, get_args

from pickroom.app.widgets import desk_html
from pickroom.app.widgets.desk import Home, shown
from pickroom.app.widgets.page import table
from pickroom.core.errors import PickroomError, UsageError
from pickroom.core.quantities import plural
from pickroom.groups.strategies import Similarity
from pickroom.indexing import projects
from pickroom.indexing.regrouping import ScanReport, similarity_hint
from pickroom.integrity.whereabouts import in_words
from pickroom.store.workspace import Workspace, already_started

REASONS_SHOWN = 20  # images left out that are listed by name

By = Literal["stage", "similarity"]


@shown
def open_start(project_id: str, images: Home = None, home: Home = None, by: By = "stage") -> str:
    """Start `project_id` with the images of a folder, or with None only show the projects there are.

    A project of that name that is there already is left as it is, and a line says so.

    Args:
        by: "similarity" groups, in a project that is there, what its names left out, by how the images look.
    """
    workspace = Workspace.find(home)
    return _start(workspace, project_id, images, by) + _projects(workspace)


def _start(workspace: Workspace, project_id: str, images: Home, by: By) -> str:
    if by not in get_args(By):
        raise UsageError(f"groups cannot be made by {by!r}", doing="grouping", hint="stage or similarity")
    if by == "similarity" and project_id in workspace.project_ids():
        project = workspace.project(project_id)
        if project.manifest.encoder is None:
            what = f"{project_id} has no vectors yet: 10_embed.ipynb makes them; then run this again"
            return desk_html.notice(what)
        return _report(project_id, projects.rescan(project, by=Similarity()))
    if images is None:
        return ""
    if project_id in workspace.project_ids() and (known := workspace.project(project_id)).manifest.root:
        return desk_html.notice(already_started(known).line)
    started, report = projects.start(workspace, project_id, Path(images))
    return _report(started.id, report)


def _report(project_id: str, report: ScanReport) -> str:
    grouped = report.images - len(report.ungrouped)
    line = (
        f"{project_id}: {plural(report.images, 'image')} = {grouped} in {plural(len(report.groups), 'group')}"
        f" + {len(report.ungrouped)} ungrouped. "
        + ("Review them: 20_review.ipynb" if report.groups else "No group waits.")
    )
    rows = [(f"{one.directory or '.'}/{one.filename}", one.reason) for one in report.ungrouped[:REASONS_SHOWN]]
    if len(report.ungrouped) > len(rows):
        rows.append(("…", f"and {len(report.ungrouped) - len(rows)} more: pickroom groups {project_id} --json"))
    return f"<p><b>{escape(line)}</b></p>" + table(("left out", "why"), rows)


def _projects(workspace: Workspace) -> str:
    rows, without = [], ""
    for project_id in workspace.project_ids():
        try:
            entry = projects.status(workspace.project(project_id))
            rows.append(_status(entry))
            without += "".join(f"<p>{escape(project_id)}: {escape(line)}</p>" for line in in_words(entry, project_id))
            if entry["ungrouped"] and not entry["groups"]:
                without += f"<p>To have groups in {escape(project_id)}: {escape(similarity_hint(project_id))}.</p>"
        except PickroomError as error:
            rows.append((project_id, error.line, "", "", ""))
    if not rows:
        return "<p>No project yet: give a folder of images in the cell above, or try <code>pickroom demo</code>.</p>"
    return table(("project", "state", "groups waiting", "decided", "images in"), rows) + without


def _status(entry: dict[str, Any]) -> tuple[str, ...]:
    decided = ", ".join(f"{count} {outcome}" for outcome, count in entry["decided"].items())
    gone = entry["root"] and not entry["root_exists"]
    root = f"{entry['root']} (not there: pickroom relocate)" if gone else entry["root"] or "registered without images"
    return (
        entry["project_id"],
        entry["status"],
        f"{entry['waiting']} of {entry['groups']}" if entry["groups"] else "no group",
        decided or "none",
        root,
    )
