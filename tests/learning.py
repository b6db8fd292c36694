"""What the tests of learning share: a project decided by the demo's hidden reviewer, vectors without an encoder."""

from __future__ import annotations

from contextlib import closing

from pickroom.demo.truth import Truth, read_truth
from pickroom.files.cropping import Order, submit
from pickroom.store.connect import connect
from pickroom.workspace import Project
from reviewing import FINALISE, queue, review


def truth_of(project: Project) -> dict[frozenset[str], Truth]:
    """The hidden reviewer's choices by the group's file names."""
    truths = read_truth(project.workspace.root / "demo_truth.jsonl")
    return {frozenset(truth.images): truth for truth in truths}


def decide_by_truth(project: Project, count: int | None = None, *, crop: bool = True, blind: bool = False) -> int:
    """Review the first groups of the queue as the hidden reviewer would, finalise, and make the crops by hand."""
    known = truth_of(project)
    keys, orders = [], []
    for group in queue(project)[:count]:
        truth = known[frozenset(group.filenames)]
        index = group.filenames.index(truth.images[truth.pick])
        keys.append({"approve": str(index + 1), "crop": "qwer"[index], "reject": "x"}[truth.action])
        if truth.box is not None:
            orders.append(Order("crop", group.filenames[index], truth.box))
    review(project, *keys, *FINALISE, batch_size=len(keys), blind=blind)
    if crop and orders:
        with closing(connect(project.database)) as connection:
            done = submit(project, connection, orders)
            assert len(done.done) == len(orders), done
    return len(keys)
