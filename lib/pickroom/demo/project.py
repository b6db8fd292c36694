"""The demo as a project of the workspace: images made, scanned and grouped, recommendations if wanted."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime

from pickroom.core.errors import UsageError
from pickroom.demo.config import DemoConfig
from pickroom.demo.make import Progress, make_images
from pickroom.demo.past import decide
from pickroom.demo.simulate import simulated_recommendations
from pickroom.indexing import projects
from pickroom.indexing.regrouping import ScanReport
from pickroom.store import groups, recommendations
from pickroom.store.connect import connect, transaction
from pickroom.store.workspace import Project, Workspace, already_started

PROJECT_ID = "demo"
SCANNED_AT = datetime(2025, 9, 1, tzinfo=UTC)  # what is drawn from group ids is the same in every demo


def start_demo(
    workspace: Workspace,
    config: DemoConfig,
    *,
    model_like: bool = False,
    decided: int = 0,
    progress: Progress | None = None,
) -> tuple[Project, ScanReport]:
    """Make project `demo`: images in `demo_images/`, the hidden reviewer's choices in `demo_truth.jsonl`.

    Args:
        model_like: also store simulated recommendations, so that every route can be tried before training exists.
        decided: groups that the hidden reviewer has decided already: enough of them, and models can be trained.

    Raises:
        ProjectError: there is a project `demo` already.
        UsageError: the images' folder is taken, or `decided` is more than there are groups.
    """
    if decided > config.groups:
        what = f"{decided} decided of {config.groups} groups"
        raise UsageError(what, doing="making the demo", hint="ask for more groups: --groups")
    planned = workspace.planned(PROJECT_ID, workspace.root)
    if planned.manifest_file.exists():
        raise already_started(planned)
    truth = make_images(workspace.root, config, progress)
    project, report = projects.start(
        workspace, PROJECT_ID, workspace.root / "demo_images", title="Demo", progress=progress, at=SCANNED_AT
    )
    if model_like:
        with closing(connect(project.database)) as connection, transaction(connection):
            made = groups.every(connection, project.id)
            recommendations.upsert(connection, simulated_recommendations(made, truth, config.seed))
    if decided:
        decide(project, truth, decided, config.seed, progress)
    return project, report
