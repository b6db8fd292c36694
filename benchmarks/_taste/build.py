"""From plans to projects by the product's own path: images written, project started, images and regions embedded.

Each step of each project is done once and found again: a run that was stopped goes on where it was.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from _taste.people import Plan, Truth, make
from pickroom.core.errors import UsageError
from pickroom.core.records import Group
from pickroom.features.candidates import Candidates
from pickroom.features.choice import EncoderConfig
from pickroom.indexing import projects
from pickroom.indexing.engines import EmbedConfig
from pickroom.indexing.pipeline import embed
from pickroom.learn.examples import Pick
from pickroom.storage import atomic
from pickroom.store import groups as store_groups
from pickroom.store.connect import open_read_only, transaction
from pickroom.store.workspace import Project, Workspace

ENCODER = EncoderConfig(kind="bundled")
SCANNED_AT = datetime(2025, 9, 1, tzinfo=UTC)  # sides are drawn from group ids: the same in every run


@dataclass(frozen=True, slots=True)
class Simulated:
    """Every group of every project: row i of each part belongs to one group.

    Attributes:
        picks: what the user decided, as training sees it.
        truths: what the simulation knows of it.
    """

    picks: list[Pick]
    truths: list[Truth]

    @property
    def edited(self) -> np.ndarray:
        """(N,) bool: groups whose highest stage was edited on purpose."""
        return np.array([truth.edit is not None for truth in self.truths])


def build(
    workspace: Workspace, plans: Sequence[Plan], images: Path, seed: int, say: Callable[[str], None]
) -> tuple[list[Project], Simulated]:
    """Make what is not there yet of every project; returns them, and their groups.

    Raises:
        RuntimeError: the scan grouped the images otherwise than they were made.
    """
    opened, picks, truths = [], [], []
    for number, plan in enumerate(plans, start=1):
        began = time.monotonic()
        of = f"  {plan.project_id} ({number} of {len(plans)})"
        known = images / f"{plan.project_id}.json"
        if not known.exists():
            say(f"{of}: drawing {plan.groups} groups of {len(plan.bases)} photographs")
            made = make(plan, images / plan.project_id, seed)
            atomic.write_text(known, json.dumps([asdict(truth) for truth in made]))
        embedded = images / f"{plan.project_id}.embedded"
        if not embedded.exists():
            say(f"{of}: embedding")
            if plan.project_id not in workspace.project_ids():
                projects.start(workspace, plan.project_id, images / plan.project_id, at=SCANNED_AT)
            embed(workspace.project(plan.project_id), EmbedConfig(encoder=ENCODER))
            embedded.touch()
            say(f"{of}: {time.monotonic() - began:.0f} s")
        project = workspace.project(plan.project_id)
        opened.append(project)
        with open_read_only(project.database) as connection, transaction(connection, writing=False):
            groups = {frozenset(group.filenames): group for group in store_groups.every(connection, project.id)}
        for values in json.loads(known.read_text(encoding="utf-8")):
            truth = Truth(**{**values, "filenames": tuple(values["filenames"])})
            group = groups.get(frozenset(truth.filenames))
            if group is None:
                raise RuntimeError(f"{truth.filenames} is not a group of project {project.id}")
            picks.append(_pick(group, truth))
            truths.append(truth)
    return opened, Simulated(picks, truths)


def same_run(home: Path, settings: dict[str, object]) -> None:
    """Take up a folder again, or begin one.

    Raises:
        UsageError: what lies there was made with other settings.
    """
    known = home / "run.json"
    if known.exists() and json.loads(known.read_text(encoding="utf-8")) != settings:
        raise UsageError(
            "it holds a run with other settings", doing="taking up a run", subject=home, hint="give another --home"
        )
    home.mkdir(parents=True, exist_ok=True)
    atomic.write_text(known, json.dumps(settings))


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
