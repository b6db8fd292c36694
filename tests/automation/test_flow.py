"""A whole run on the demo: generate, the hidden reviewer's verdicts, apply, undo; every file the same at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from conftest import read_tree
from pickroom.automation import apply, sandbox
from pickroom.automation.decisions_file import read_approved, read_decisions
from pickroom.automation.generate import generate
from pickroom.automation.planning import line_of
from pickroom.automation.sandbox import AutomationTarget
from pickroom.demo.plan import DemoConfig, Truth
from pickroom.sessions.review.auto_session import AutoSession
from pickroom.store import operations
from pickroom.store.connect import connect
from pickroom.store.workspace import Workspace
from support.automating import cover, images_tree
from support.reviewing import rows
from support.simulated import read_truth, start_simulated


def keys_of(place: AutomationTarget, truths: list[Truth], session: AutoSession) -> Iterator[str]:
    """What the hidden reviewer presses, group by group."""
    proposals = read_decisions(place.decisions)
    by_names = {frozenset(truth.images): truth for truth in truths}
    for card, group in zip(session.state.cards, session.groups, strict=True):
        truth, proposal = by_names[frozenset(group.filenames)], proposals[card.group_id]
        wanted = group.filenames.index(truth.images[truth.pick])
        if truth.action == "reject":
            yield "r"
        elif truth.action == "crop":
            seen = proposal.crop is not None and card.recommended.selected_index == wanted and proposal.needs_crop
            yield "a" if seen else f"Shift+{wanted + 1}"
        else:
            if proposal.crop is not None and proposal.needs_crop:
                yield "c"
            yield str(wanted + 1)


@pytest.mark.parametrize(
    "groups", [30, pytest.param(250, marks=[pytest.mark.ci, pytest.mark.timeout(1200)])], ids=["30", "250"]
)
def test_a_run_over_the_demo_leaves_every_file_as_it_was(tmp_path: Path, groups: int) -> None:
    project = start_simulated(Workspace(tmp_path), DemoConfig(groups=groups, seed=5, long_side=96, anomaly_rate=0.2))
    own = read_tree(project.root)
    place = sandbox.prepare(project)
    assert len(generate(place).proposals) == groups
    cover(place, 0.9, drawn=False)  # as if blind decisions had covered the surest ones
    before = images_tree(place.folder)
    assert before == own

    session = AutoSession(place, order="folder")
    for key in [*keys_of(place, read_truth(tmp_path / "demo_truth.jsonl"), session), "Shift+Enter", "Shift+Enter"]:
        session.press(key)
    session.close()
    plan = apply.dry_run(place)
    done = apply.apply(place, plan)

    by = Counter(item.by for item in done.plan.items)
    said = Counter(line.action for line in read_approved(place.approved).values() if line.by == "person")
    assert by["auto"] > 0.2 * groups and said["approved"] and said["overridden"]
    assert len(plan.items) + said["rejected"] == groups
    with closing(connect(place.project.database)) as connection:
        steps = operations.of_batch(connection, plan.batch)
    assert [line_of(op) for op in steps if op.undoes is None] == plan.lines()
    # every file and companion is there to the byte, wherever it went; ours are the crops and the sidecars
    after = images_tree(place.folder)
    ours = {op.destination for op in steps if op.op == "write" or (op.source or "").startswith("crop_cropped/.")}
    assert len(ours) > 0.02 * groups
    assert sorted(v for path, v in after.items() if path not in ours) == sorted(before.values())
    assert len(rows(place.project, "SELECT * FROM decision_context WHERE input = 'auto'")) == by["auto"]

    apply.undo_last(place)
    back = images_tree(place.folder)
    assert {path: sha256 for path, sha256 in back.items() if ".undone-" not in path} == before
    assert read_tree(project.root) == own
    assert rows(place.project, "SELECT * FROM decision_context") == []
