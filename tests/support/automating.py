"""What the tests of the automation share: a copy in the sandbox, lines of its two files, and its tree read back."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from conftest import read_tree
from pickroom.automation import sandbox
from pickroom.automation.decisions_file import (
    Approval,
    ApprovedDecision,
    AutomationDecision,
    read_approval,
    read_decisions,
    write_lines,
)
from pickroom.automation.generate import generate
from pickroom.automation.sandbox import AutomationTarget
from pickroom.core.records import Group
from pickroom.sessions.review.auto_session import AutoSession
from pickroom.store import groups
from pickroom.store.connect import connect
from pickroom.store.workspace import Project
from support.reviewing import queue, recommend

BOX = (0.1, 0.05, 0.9, 0.85)
WRITE = ("Shift+Enter", "Shift+Enter")
NOW = "2026-01-02T03:04:05.000000Z"


def proposed(project: Project, **fields: Any) -> AutomationTarget:
    """A copy with decisions: every group's last image recommended, with a crop for every second group."""
    for place, group in enumerate(queue(project)):
        crop = BOX if place % 2 else None
        recommend(project, group, len(group.images) - 1, crop, crop_needed=bool(place % 2), **fields)
    place = sandbox.prepare(project)
    generate(place)
    return place


def review(place: AutomationTarget, *keys: str, only: str | None = None, **options: Any) -> AutoSession:
    """Press keys in a session of its own, in one filter; returned closed, its last state still there to read."""
    session = AutoSession(place, **{"order": "folder", **options})
    try:
        if only is not None:
            session.show_only(only)
        for key in keys:
            session.press(key)
    finally:
        session.close()
    return session


def approve_all(place: AutomationTarget) -> None:
    """The user approves everything that waits, as proposed."""
    review(place, *["a"] * len(read_decisions(place.decisions)), *WRITE)


def cover(place: AutomationTarget, threshold: float, *, drawn: bool | None = None) -> Approval:
    """As if enough blind decisions had set this threshold: the files as a generate would have written them.

    Args:
        drawn: True to draw every group for a look, False to draw none, None for the true draw.
    """
    proposals = read_decisions(place.decisions)
    versions = next(iter(proposals.values())).models
    seed = read_approval(place.guarantee).seed  # type: ignore[union-attr]
    ids = list(proposals)
    if drawn is not None:
        made = (Approval(threshold, versions, f"{n}", ("for a test",)) for n in range(100_000))
        approval = next(a for a in made if all(a.drawn(g) is drawn for g in ids))
    else:
        approval = Approval(threshold, versions, seed, ("for a test",))
    place.guarantee.write_text(approval.to_json())
    write_lines(
        place.decisions,
        [replace(p, auto_approve=approval.approves(p.recommendation(p.images))) for p in proposals.values()],
    )
    return approval


def person(group_id: str, action: str, choice: str | None = None, **fields: Any) -> ApprovedDecision:
    """A line by the user."""
    values = {"needs_crop": False, "crop": None, "by": "person", "timestamp": NOW, **fields}
    return ApprovedDecision(group_id, action, choice, **values)  # type: ignore[arg-type]


def groups_of(place: AutomationTarget) -> list[Group]:
    """Every group of the place's project, decided or not, in queue order."""
    with closing(connect(place.project.database)) as connection:
        return groups.every(connection, place.project.id)


def images_tree(root: Path) -> dict[str, str]:
    """The images and companions under a root, without the sandbox's own files: relative path -> sha256."""
    return {
        path: sha256
        for path, sha256 in read_tree(root).items()
        if not path.startswith(".pickroom/") and not path.endswith(".jsonl") and not path.startswith("automation_")
    }


def change_line(path: Path, number: int, change: Callable[[dict[str, Any]], Any]) -> None:
    """Write one line of a file of JSON lines otherwise: `change` works on the object, or returns another."""
    lines = path.read_text().splitlines()
    values = json.loads(lines[number])
    changed = change(values)
    lines[number] = json.dumps(values if changed is None else changed)
    path.write_text("\n".join(lines) + "\n")


def proposals_of(place: AutomationTarget) -> Sequence[AutomationDecision]:
    return list(read_decisions(place.decisions).values())
