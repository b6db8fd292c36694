"""Old databases and sidecars: what the files' places say of crops that older rows do not speak of."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from conftest import read_tree, write_image
from pickroom.core.errors import ProjectError
from pickroom.files import sidecars
from pickroom.files.preflight import HeldError
from pickroom.history import anomalies, backfill
from pickroom.integrity import inspect
from pickroom.store import copies
from pickroom.store.connect import connect, open_read_only
from pickroom.store.workspace import Project, Workspace
from support.commands import run_command

# the earlier system's table: user_version 0, no ai_crop_accepted
EARLIER = """CREATE TABLE ai_decisions (group_id TEXT PRIMARY KEY, timestamp TEXT NOT NULL, project_id TEXT NOT NULL,
directory TEXT, batch_number INTEGER, images TEXT NOT NULL, ai_selected_index INTEGER, ai_crop_coords TEXT,
ai_confidence REAL, user_selected_index INTEGER NOT NULL, user_action TEXT NOT NULL, final_crop_coords TEXT,
crop_timestamp TEXT, image_width INTEGER NOT NULL, image_height INTEGER NOT NULL, selection_match BOOLEAN,
crop_match BOOLEAN)"""
BOX = "[0.1, 0.1, 0.9, 0.9]"


@pytest.fixture
def old(workspace: Workspace, images_folder: Path) -> Callable[..., Project]:
    """A project with an earlier database: `old({"g1": {"pick": 1, ...}})`; each group is a{n}.png and b{n}.png."""

    def make(groups: dict[str, dict[str, object]]) -> Project:
        project = workspace.planned("p", images_folder)
        workspace.save_new(project)
        workspace.decisions.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(project.database)) as connection, connection:
            connection.execute(EARLIER)
            for group_id, changes in groups.items():
                row = {"ai": 1, "box": BOX, "pick": 1, "action": "approve", "images": names(group_id)} | changes
                connection.execute(
                    "INSERT INTO ai_decisions VALUES (?, '2025-08-03T06:54:06Z', 'p', '', 1, ?, ?, ?, 0.9, ?, ?, NULL,"
                    " NULL, 48, 64, 1, NULL)",
                    (group_id, json.dumps(row["images"]), row["ai"], row["box"], row["pick"], row["action"]),
                )
        return project

    return make


def names(group_id: str) -> list[str]:
    return [f"20250803_065406_stage1_{group_id}.png", f"20250803_065506_stage2_{group_id}.png"]


def lay(project: Project, folder: str, name: str, sidecar: dict[str, object] | str | None = None) -> None:
    write_image(project.root / folder / name)
    if sidecar is not None:
        text = sidecar if isinstance(sidecar, str) else json.dumps(sidecar)
        (project.root / folder / name).with_suffix(".decision").write_text(text)


def minimal(group_id: str) -> dict[str, object]:
    return {"group_id": group_id, "project_id": "p", "needs_crop": True}


def accepted(project: Project) -> dict[str, int | None]:
    with open_read_only(project.database) as connection:
        return dict(connection.execute("SELECT group_id, ai_crop_accepted FROM ai_decisions").fetchall())


def test_the_three_rules(old: Callable[..., Project]) -> None:
    groups: dict[str, dict[str, object]] = {name: {} for name in ("yes", "no", "bare", "left", "gone", "both", "bad")}
    groups |= {
        "other": {"pick": 0},
        "cropped": {"action": "crop"},
        "nocrop": {"box": None},
        "rejected": {"action": "reject"},
    }
    project = old(groups)
    pick = {group: names(group)[1] for group in groups}
    full = {**minimal("yes"), "ai_route": "suggestion", "ai_crop_coords": json.loads(BOX), "filename": pick["yes"]}
    lay(project, "crop_auto", pick["yes"], full)
    lay(project, "selected", pick["no"])
    lay(project, "crop_auto", pick["bare"])
    lay(project, "selected", pick["left"], minimal("left"))
    lay(project, "crop_auto", pick["both"], minimal("both"))
    lay(project, "selected", pick["both"])
    lay(project, "crop_auto", pick["bad"], {**minimal("bad"), "filename": "another.png"})
    for group in ("other", "cropped", "nocrop", "rejected"):
        lay(project, "selected", names(group)[1 if group != "other" else 0])
    planned = backfill.plan(project)
    assert planned.accepted == {"yes": True, "no": False}
    reasons = dict(planned.left)
    assert reasons.pop(backfill.NOT_ASKED) == 4
    (named,) = [reason for reason in reasons if "names another file" in reason]
    assert reasons.pop(named) == 1
    assert reasons == dict.fromkeys((backfill.NO_SIDECAR, backfill.LEFT_SIDECAR, backfill.NO_FILE, backfill.BOTH), 1)
    assert any("1 crops accepted, 1 not; 9 rows stay" in line for line in planned.lines())


def test_dry_run_first_backup_always_and_twice_is_once(old: Callable[..., Project]) -> None:
    project = old({"yes": {}, "no": {}})
    lay(project, "crop_auto", names("yes")[1], minimal("yes"))
    lay(project, "selected", names("no")[1])
    planned = backfill.plan(project)
    assert accepted(project) == {"yes": None, "no": None}
    files = read_tree(project.root)
    copy = backfill.apply(project, planned)
    assert copy is not None
    assert accepted(project) == {"yes": 1, "no": 0}
    assert read_tree(project.root) == files
    with closing(sqlite3.connect(copy)) as before:
        assert before.execute("SELECT count(*) FROM ai_decisions WHERE ai_crop_accepted IS NULL").fetchone()[0] == 2
    again = backfill.plan(project)
    assert (again.accepted, dict(again.left)) == ({}, {backfill.KNOWN: 2})
    assert backfill.apply(project, again) is None
    # a plan made before someone decided otherwise does not overrule it
    connection = connect(project.database)
    connection.execute("UPDATE ai_decisions SET ai_crop_accepted = 0 WHERE group_id = 'yes'")
    connection.close()
    backfill.apply(project, planned)
    assert accepted(project) == {"yes": 0, "no": 0}


def test_old_database_is_copied_then_migrated_with_its_rows(old: Callable[..., Project]) -> None:
    project = old({"g": {}, "odd": {"pick": 3, "images": ["a.png", "b.png"]}, "none": {"images": "a.png"}})
    assert backfill.plan(project).left.total() == 3
    assert len(copies.newest(project.database)) == 1
    with open_read_only(project.database) as connection:
        assert (
            connection.execute("SELECT user_selected_index FROM ai_decisions WHERE group_id = 'odd'").fetchone()[0] == 3
        )
    # rows damaged long ago stop nothing else
    summary, cases = anomalies.find(project.workspace)
    assert (summary.projects["p"].decisions, cases) == (1, [])
    assert inspect(project).rows == 3


@pytest.mark.parametrize(
    ("more", "box"),
    [
        ({}, None),  # the minimal old form
        ({"ai_route": "manual", "ai_crop_coords": None, "filename": names("g")[1]}, None),
        (
            {"ai_route": "suggestion", "ai_crop_coords": [0.1, 0.1, 0.9, 0.9], "filename": names("g")[1]},
            [0.1, 0.1, 0.9, 0.9],
        ),
        ({"ai_crop_coords": [0.2, 0, 1, 0.8]}, [0.2, 0, 1, 0.8]),
    ],
)
def test_sidecars_of_every_form_are_read(old: Callable[..., Project], more: dict, box: list | None) -> None:
    project = old({"g": {}})
    lay(project, "crop_auto", names("g")[1], {**minimal("g"), **more})
    with open_read_only(project.database) as connection:
        found = sidecars.read(project, connection, "crop_auto", names("g")[1])
    assert found is not None
    assert (found.box.to_list() if found.box else None) == box
    assert backfill.plan(project).accepted == {"g": True}


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        {"group_id": "unknown", "project_id": "p"},
        {"group_id": "g", "project_id": "q"},
        {**minimal("g"), "ai_crop_coords": [1]},
    ],
)
def test_invalid_sidecar_is_listed_and_not_used(old: Callable[..., Project], content: dict | str) -> None:
    project = old({"g": {}})
    lay(project, "crop_auto", names("g")[1], content)
    with open_read_only(project.database) as connection, pytest.raises(HeldError):
        sidecars.read(project, connection, "crop_auto", names("g")[1])
    planned = backfill.plan(project)
    assert planned.accepted == {}
    ((reason, count),) = planned.left.items()
    assert (count, planned.examples[reason]) == (1, ["'g'"])


def test_without_the_image_folder_nothing_is_said(old: Callable[..., Project]) -> None:
    project = old({"g": {}})
    project.root.rename(project.root.with_name("elsewhere"))
    with pytest.raises(ProjectError, match="not there"):
        backfill.plan(project)


def test_backfill_command_is_a_dry_run_first(old: Callable[..., Project]) -> None:
    project = old({"yes": {}, "no": {}})
    lay(project, "crop_auto", names("yes")[1], minimal("yes"))
    lay(project, "selected", names("no")[1])

    def command(*options: str) -> dict[str, object]:
        done = run_command("backfill", "p", *options, "--json", "--home", str(project.workspace.root))
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    assert command() == {"accepted": {"no": False, "yes": True}, "left": {}, "copy": None}
    assert accepted(project) == {"yes": None, "no": None}
    assert (project.workspace.root / "data" / "backups" / "p" / str(command("--execute")["copy"])).is_file()
    assert accepted(project) == {"yes": 1, "no": 0}
    assert command("--execute")["left"] == {backfill.KNOWN: 2}
