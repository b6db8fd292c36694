"""The move from the earlier system, on a small replica of its tree, by public commands only (docs/migration.md)."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from conftest import read_tree
from docs.commands import lines_of
from docs.pages import ROOT, Page
from pickroom.history import skip_reasons
from pickroom.learn import checkpoints
from pickroom.store.workspace import Workspace
from support.commands import run_command
from support.replica import ALIAS, CROPPED, NEW, PAST, PICKS, WITH_FILE, Replica, lay_out, names, picked
from support.reviewing import queue, rows

from .logs import rows_of

pytestmark = pytest.mark.ci
PATIENCE_S = 300  # with a command: training waits for the other processes of a machine
GROUPS = PICKS  # of the new project
WITHOUT_VECTOR = {"1101": 1, "mojo1": 5, "mojo2": 8}  # rows


def shape(words: Sequence[str | Path]) -> tuple[str, ...]:
    """A command and its options: what is compared of a command of the page and one that was run."""
    name, *rest = map(str, words)
    return (name, *sorted(word for word in rest if word.startswith("--") and word not in ("--json", "--home")))


class Move:
    """The commands of the move, in a workspace that is the old tree itself."""

    def __init__(self, replica: Replica) -> None:
        self.replica, self.workspace = replica, Workspace(replica.home)
        self.ran: set[tuple[str, ...]] = set()

    def __call__(self, *words: str | Path, stdin: str = "", code: int = 0) -> str:
        self.ran.add(shape(words))
        done = run_command(*map(str, words), "--home", str(self.replica.home), stdin=stdin, patience_s=PATIENCE_S)
        assert done.returncode == code, done.stderr + done.stdout
        return done.stdout

    def json(self, *words: str | Path, code: int = 0) -> dict[str, Any]:
        return json.loads(self(*words, "--json", code=code))

    def tree(self) -> dict[str, str]:
        """Every file but what SQLite lays next to a database while it is read."""
        everything = read_tree(self.replica.home)
        return {path: sha for path, sha in everything.items() if not path.endswith((".db-wal", ".db-shm"))}

    def train(self, model: str, *projects: str) -> tuple[dict[str, int], int]:
        """Train a new version of a model: the examples of each project, and how many in all had features."""
        self("train", model, *projects)
        version = checkpoints.versions(self.workspace, model)[-1]
        made = checkpoints.read_metadata(self.workspace, model, version)
        assert made["projects"] == sorted(projects)
        assert (
            sum(made["data"]["used"].values()) + sum(made["data"]["without_features"].values())
            == (made["data"]["examples"])
        )
        examples = {name: one["examples"] for name, one in made["data"]["projects"].items() if one["examples"]}
        return examples, sum(made["data"]["used"].values())

    def load(self, log: str, *options: str) -> dict[str, Any]:
        """Import a log: a dry run that writes nothing, then the same for good."""
        before = self.tree()
        dry = self.json("import-csv", self.replica.training / log, *options)
        assert self.tree() == before
        found = self.json("import-csv", self.replica.training / log, *options, "--execute")
        assert {**found, "written": []} == {**dry, "written": []}
        assert found["rows"] == found["imported"] + sum(found["skipped"].values())
        return found


def test_move_from_the_earlier_system(tmp_path: Path) -> None:
    move = Move(lay_out(tmp_path / "App", GROUPS))
    logs = read_tree(move.replica.training)

    # what is there
    checks = {one["check"]: one for one in move.json("doctor")["checks"]}
    assert checks["other files"]["items"] == ["global_bans.json", "mojo1_allowed_ext.json"]
    assert checks["earlier projects"]["items"] == sorted(WITH_FILE)
    assert checks["other models"]["items"] == ["crop_proposer_v2", "ranker_v3_w10"]

    # a project that old logs call by another name, and one whose decisions are in a database
    move("start", "agent-1", "--finished", "--alias", ALIAS)
    move("start", "agent-3", "--finished")
    assert move("alias", "agent-1") == f"agent-1: {ALIAS}\n"
    assert len(rows(move.workspace.project("agent-3"), "SELECT * FROM ai_decisions")) == PICKS

    # the log of many projects
    found = move.load("selection_only_log.csv", "--by-folder")
    logged = [project for project in PAST if project not in ("agent-2", "agent-3")]
    assert found["projects"] == {project: {"selections": PICKS} for project in logged} | {NEW: {"selections": 2}}
    assert found["skipped"] == {
        skip_reasons.HEADER_AGAIN: 1,
        skip_reasons.CONFLICT: 1,
        skip_reasons.REPEATED: 1,
        skip_reasons.EMPTY: 1,
    }
    for project in logged:
        chosen = [row["chosen"] for row in rows_of(move.workspace, "legacy_selections", project)]
        assert chosen == [names(project, group)[picked(group)] for group in range(PICKS)]
    assert move.load("anomaly_cases.csv")["projects"] == {"1101": {"selections": 1}, "mojo2": {"selections": 1}}
    assert move.load("agent-2_decisions.csv")["projects"] == {"agent-2": {"decisions": PICKS}}
    assert move.load("crop_training_data.csv")["projects"] == {NEW: {"crops": 1}}
    assert move.workspace.project_ids() == sorted((*PAST, NEW))

    # the crop log: all but one row name no project
    alone = move.json("import-csv", move.replica.training / "select_crop_log.csv")
    assert (alone["rows"], alone["imported"], alone["skipped"][skip_reasons.NO_PROJECT]) == (42, 1, 41)
    assert [(run["first"], run["last"], run["rows"]) for run in alone["days"]] == [
        ("2025-10-01", "2025-10-04", 6),
        ("2025-10-09", "2025-10-13", 10),
        ("2025-11-20", "2025-11-20", PICKS * len(CROPPED)),
        ("2025-11-25", "2025-11-25", 1),
    ]
    found = move.load("select_crop_log.csv", "--by-name", "--dates", "mojo1", "--dates", "mojo2")
    assert found["projects"] == {
        **{project: {"crops": PICKS} for project in CROPPED},
        "mojo1": {"crops": 8},
        "mojo2": {"crops": 7},
    }
    assert found["skipped"] == {skip_reasons.REOPENED: 1, skip_reasons.PLACEHOLDER: 1, skip_reasons.NO_PROJECT: 1}
    found = move.load("mojo1_crop_log.csv")
    assert (found["projects"], found["skipped"]) == ({"mojo1": {"crops": 1}}, {skip_reasons.NO_COORDINATES: 2})
    for log in ("selection_only_log.csv", "select_crop_log.csv"):  # again: nothing comes in twice
        options = ("--by-folder", "--by-name", "--dates", "mojo1", "--dates", "mojo2")
        assert move.json("import-csv", move.replica.training / log, *options, "--execute")["written"] == []

    # nothing is in a wrong project
    for project in (*PAST, NEW):
        own = {name for group in range(50) for name in names(project, group)}
        for table, columns in (("legacy_selections", ("chosen", "others")), ("legacy_crops", ("filename",))):
            for row in rows_of(move.workspace, table, project):
                listed = [row[columns[0]], *(json.loads(row["others"]) if "others" in row else ())]
                assert set(listed) <= own, (project, row)
        checked = move.json("check", project)
        assert checked["ok"], checked
        imported = checked["imported"]["rows"] if checked["imported"] else 0
        assert checked["rows"] + imported >= (2 if project == NEW else PICKS)

    # the new project: what was decided before is not asked again
    move("start", NEW, "--images", move.replica.images)
    status = move.json("status", NEW)
    assert (status["groups"], status["waiting"], status["imported"]) == (GROUPS, GROUPS - 2, 2)
    # the vectors of each project, from both folders; the new one's images have theirs there, too
    for project in (*PAST, NEW):
        report = move.json("embed", project, "--import-legacy", move.replica.cache)
        assert (report["imported"], report["bound"]) == (PICKS * len(names(project, 0)), True), (project, report)
        assert report["matched"] == (report["imported"] if project == NEW else 0)
        checked = move.json("check", project)
        vectors = {f["check"]: f for f in (checked["imported"] or checked)["findings"]}.get("vectors")
        # what was cropped or compared, and is in no line of the cache
        assert (vectors["count"] if vectors else 0) == WITHOUT_VECTOR.get(project, 0), project
    assert len({project.manifest.encoder for project in move.workspace.projects()}) == 1

    # both models, on old and new rows together; two picks and ten crops are of images without a vector, and two
    # crops are no examples: one without a box, one of an image without a size
    crops = {**dict.fromkeys(CROPPED, PICKS), "mojo1": 8, "mojo2": 6, "agent-2": PICKS, "agent-3": PICKS, NEW: 1}
    picks = {**dict.fromkeys(PAST, PICKS), "1101": PICKS + 1, "mojo2": PICKS + 1, NEW: 2}
    assert move.train("ranker", *PAST, NEW) == (picks, sum(picks.values()) - 2)
    assert move.train("crop_proposer", *PAST, NEW) == (crops, sum(crops.values()) - 10)

    # a recommendation for each group that waits: a model's with its version, or a baseline's with the reason
    told = move.json("recommend", NEW)
    assert (told["groups"], told["by_model"] + sum(told["baselines"].values())) == (GROUPS - 2, GROUPS - 2)
    waiting = {group.group_id for group in queue(move.workspace.project(NEW))}
    found = rows(move.workspace.project(NEW), "SELECT * FROM recommendations")
    for one in (one for one in found if one["group_id"] in waiting):
        why = json.loads(one["reasons"])[-1].partition("a baseline: ")[2]
        assert one["source"] == "model" or why in told["baselines"], one
        assert (one["source"] == "model") == ("ranker" in json.loads(one["versions"])), one
    keys = move.replica.home / "new.keys"
    keys.write_text("3\ne\nShift+Enter\nShift+Enter\n")
    move("review", NEW, "--keys", keys)
    status = move.json("status", NEW)
    (waits,) = status["incomplete_crops"]
    boxes = move.replica.home / "boxes.jsonl"
    boxes.write_text(json.dumps({"filename": waits, "box": [0.1, 0.0, 0.9, 0.8]}) + "\n")
    move("crop", NEW, "--boxes", boxes)
    move("finish", NEW)
    move("finish", NEW, "--execute")
    assert move.workspace.project(NEW).manifest.status == "finished"
    move("backfill", NEW)
    move("backfill", NEW, "--execute")
    assert status["waiting"] == 0 and sum(status["decided"].values()) == GROUPS - 2
    assert {path: sha for path, sha in read_tree(move.replica.training).items() if path in logs} == {
        **logs,
        "ai_training_decisions/agent-3.db": read_tree(move.replica.training)["ai_training_decisions/agent-3.db"],
    }

    # both learned again, with what was just decided
    picks[NEW] += GROUPS - 2
    crops[NEW] += GROUPS - 2  # one is cropped, one approved as it is
    assert move.train("ranker", *PAST, NEW) == (picks, sum(picks.values()) - 2)
    assert move.train("crop_proposer", *PAST, NEW) == (crops, sum(crops.values()) - 10)

    # every command of the page was run
    page = Page("docs/migration.md", (ROOT / "docs" / "migration.md").read_text(encoding="utf-8"))
    described = [shlex.split(line) for block in page.blocks("sh") for line in lines_of(block)]
    described = [words[1:] for words in described if words[0] == "pickroom"]
    assert len(described) > 15
    assert [words for words in described if shape(words) not in move.ran] == []
