"""From plans to projects by the product's own path: images written, project started, images and regions embedded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from _taste.people import Plan, Truth, make
from pickroom import projects
from pickroom.embeddings.choice import EncoderConfig
from pickroom.embeddings.engines import EmbedConfig
from pickroom.embeddings.pipeline import embed
from pickroom.learn.examples import Candidates, Pick
from pickroom.records import Group
from pickroom.workspace import Project, Workspace


@dataclass(frozen=True, slots=True)
class Simulated:
    """Every group of every project: row i of each part belongs to one group.

    Attributes:
        picks: what the person decided, as training sees it.
        truths: what the simulation knows of it.
        projects: project id of each, as an array.
    """

    picks: list[Pick]
    truths: list[Truth]

    @property
    def projects(self) -> np.ndarray:
        return np.array([truth.project_id for truth in self.truths])

    @property
    def chosen(self) -> np.ndarray:
        return np.array([pick.chosen for pick in self.picks], dtype=np.int64)

    @property
    def anomaly(self) -> np.ndarray:
        return np.array([truth.anomaly for truth in self.truths])

    @property
    def edited(self) -> np.ndarray:
        return np.array([truth.edit is not None for truth in self.truths])


def build(
    workspace: Workspace, plans: Sequence[Plan], images: Path, seed: int, say: Callable[[str], None]
) -> tuple[list[Project], Simulated]:
    """Make every project; returns them, and their groups.

    Raises:
        RuntimeError: the scan grouped the images otherwise than they were made.
    """
    opened, picks, truths = [], [], []
    for plan in plans:
        say(f"{plan.project_id}: {plan.groups} groups of {len(plan.bases)} photographs")
        made = make(plan, images / plan.project_id, seed)
        project, scan = projects.start(workspace, plan.project_id, images / plan.project_id)
        embed(project, EmbedConfig(encoder=EncoderConfig(kind="bundled", dtype="float32")))
        opened.append(workspace.project(project.id))
        groups = {frozenset(group.filenames): group for group in scan.groups}
        for truth in made:
            group = groups.get(frozenset(truth.filenames))
            if group is None:
                raise RuntimeError(f"{truth.filenames} is no group of project {project.id}")
            picks.append(_pick(group, truth))
            truths.append(truth)
    return opened, Simulated(picks, truths)


def _pick(group: Group, truth: Truth) -> Pick:
    candidates = Candidates(
        project_id=truth.project_id,
        group_id=group.group_id,
        filenames=group.filenames,
        hashes=tuple(image.sha256 for image in group.images),
        stages=tuple(image.stage for image in group.images),
    )
    # what was recommended: the baseline, so that its mistakes count twice, as in a first training
    return Pick(candidates, truth.picked, len(group.images) - 1, False, "2026-03-02T00:00:00Z")
