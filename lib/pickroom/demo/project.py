"""The demo as a project of the workspace: images, groups, and if wanted recommendations and decisions."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime

import numpy as np

from pickroom.core.errors import ConflictError, UsageError
from pickroom.core.records import Group
from pickroom.demo.config import DemoConfig, stream
from pickroom.demo.make import Progress, make_images
from pickroom.demo.simulate import simulated_recommendations
from pickroom.demo.truth import Truth
from pickroom.files import cropping
from pickroom.indexing import projects
from pickroom.indexing.regrouping import ScanReport
from pickroom.sessions.review.session import ReviewSession
from pickroom.store import groups, recommendations
from pickroom.store.connect import connect, transaction
from pickroom.store.workspace import Project, Workspace, already_started

PROJECT_ID = "demo"
BATCH = 50  # groups to a finalise
_SECONDS = (1.0, 0.5)  # mean and spread of the logarithm of the seconds a look takes: about 3, a few of them 8
_PAST = 0x9A57  # a stream of its own: a demo with decisions has the pictures of one without
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


def decide(project: Project, truths: Sequence[Truth], count: int, seed: int, progress: Progress | None = None) -> None:
    """Decide the first `count` groups of the queue as the hidden reviewer would, blind, and make the crops.

    Raises:
        ConflictError: a batch was held back, a crop not made, or a group not there or not known to the reviewer; what
            was decided before stays.
    """
    by_names = {frozenset(known.images): known for known in truths}
    pace = _Pace(stream(seed, _PAST))
    done = 0
    while done < count:
        with closing(ReviewSession(project, batch_size=min(BATCH, count - done), blind=True, clock=pace)) as session:
            shown = list(session.groups)
            _require(bool(shown), project, f"group {done + 1} was not made whole")
            orders = []
            for group in shown:
                pace.look()
                known = by_names.get(frozenset(group.filenames))
                _require(known is not None, project, f"the hidden reviewer knows nothing of group {group.group_id}")
                assert known is not None
                session.press(_key(group, known))
                if known.box is not None:
                    orders.append(cropping.Order("crop", known.images[known.pick], known.box))
            for key in ("Shift+Enter", "Shift+Enter"):
                session.press(key)
            finalised = session.last_result is not None and not session.last_result.held
            _require(finalised, project, "a batch was not made whole")
        if orders:
            with closing(connect(project.database)) as connection:
                made = cropping.submit(project, connection, orders)
            _require(len(made.done) == len(orders), project, "a crop was not made whole")
        done += len(shown)
        if progress is not None:
            progress(done, count)


class _Pace:
    """A clock that goes on by the time that a user would have looked at a group."""

    def __init__(self, random: np.random.Generator) -> None:
        self._random, self._now = random, 0.0

    def look(self) -> None:
        self._now += float(self._random.lognormal(*_SECONDS))

    def __call__(self) -> float:
        return self._now


def _key(group: Group, known: Truth) -> str:
    if known.action == "reject":
        return "x"
    index = group.filenames.index(known.images[known.pick])
    return ("1234" if known.action == "approve" else "qwer")[index]


def _require(holds: bool, project: Project, what: str) -> None:
    if not holds:
        hint = "see what waits: pickroom status demo; or make the demo again in an empty folder"
        raise ConflictError(what, doing="deciding groups of the demo", subject=project.root, hint=hint)
