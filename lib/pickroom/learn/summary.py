"""How the model that learns on does, in short, for the deck's header: `data/ai_data/models/ranker_state.json`."""

import json
from pathlib import Path

import msgspec

from pickroom.core.quantities import plural
from pickroom.learn.metrics import wilson
from pickroom.storage import atomic, json_records
from pickroom.store.workspace import Workspace


class Summary(msgspec.Struct):
    """How the state does.

    Attributes:
        decisions: it has learned.
        last, right: of the last 100 of them, how many there are and how many it was right about before it learned them.
        version: that recommends with it; 0 before any.
    """

    decisions: int
    last: int
    right: float
    version: int

    @property
    def words(self) -> str:
        """`model right in 84 % of the last 100 (76-90 %), 240 decisions learned`."""
        learned = f"{plural(self.decisions, 'decision')} learned"
        if not self.last:
            return learned
        low, high = (100 * edge for edge in wilson(self.right, self.last))
        share = 100 * self.right / self.last
        return f"model right in {share:.0f} % of the last {self.last} ({low:.0f}-{high:.0f} %), {learned}"


def read(workspace: Workspace) -> Summary | None:
    """How the state does; None where nothing was learned yet. Raises StoreError where the file is damaged."""
    return json_records.read(Summary, _path(workspace), doing="looking for what was learned", hint="delete it")


def write(workspace: Workspace, summary: Summary) -> None:
    """Replace the file."""
    atomic.write_text(_path(workspace), json.dumps(msgspec.to_builtins(summary)) + "\n")


def _path(workspace: Workspace) -> Path:
    return workspace.models / "ranker_state.json"
