"""Any folder, any keys, in any order: no file is ever lost or doubled, and the rows say where each one is."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from conftest import read_tree, write_image
from pickroom.core.companions import Companions
from pickroom.core.errors import ConflictError
from pickroom.core.naming import OWNED_FOLDERS, stem_of
from pickroom.core.records import Group
from pickroom.files.batch import recover, undo_batch
from pickroom.indexing import projects
from pickroom.sessions.keys import REVIEW
from pickroom.sessions.review.session import ReviewSession
from pickroom.store import groups as groups_table
from pickroom.store.connect import connect
from pickroom.store.workspace import Workspace
from support.reviewing import FINALISE, decisions, queue, recommend, rows

STAGES = ("1", "1.5", "2", "3")
COMPANIONS = (".yaml", ".caption", ".hands.json", ".decision", ".xmp")

# one series: its stages ("" for none), each image a minute after the one before, and the companions of the first
SERIES = st.tuples(
    st.one_of(
        st.sampled_from((("1", "2"), ("1", "1.5", "2"), ("1", "1.5", "2", "3"), ("2", "3"))),
        st.lists(st.sampled_from((*STAGES, "")), min_size=1, max_size=4).map(tuple),
    ),
    st.sets(st.sampled_from(COMPANIONS), max_size=2),
)
FOLDERS = st.dictionaries(
    st.sampled_from(("", "anna", "anna/more", "bert")), st.lists(SERIES, min_size=1, max_size=4), min_size=1, max_size=3
)
DECIDING = ("1", "2", "3", "q", "w", "a", "c", "x", "k", "s")
OTHERS = sorted(set(REVIEW.commands) - {"Shift+Enter", *DECIDING})
KEYS = st.lists(st.one_of(st.sampled_from(DECIDING), st.sampled_from(OTHERS)), min_size=1, max_size=6)


class Review(RuleBasedStateMachine):
    """One project, up to two windows on it, and a person who presses anything."""

    @initialize(folders=FOLDERS, data=st.data())
    def start(self, folders: dict[str, list[tuple[tuple[str, ...], set[str]]]], data: st.DataObject) -> None:
        self.sessions: list[ReviewSession] = []
        self.folder = tempfile.TemporaryDirectory()
        root = Path(self.folder.name, "images")
        lay(root, folders)
        self.project = projects.start(Workspace(Path(self.folder.name, "home")), "p", root)[0]
        self.groups = queue(self.project)
        for group in self.groups:
            index = data.draw(st.sampled_from((None, *range(len(group.images)))))
            if data.draw(st.booleans()):
                crop = (0.1, 0.0, 0.9, 0.8) if data.draw(st.booleans()) else None
                recommend(self.project, group, index, crop, crop_needed=data.draw(st.sampled_from((None, True, False))))
        if self.groups and data.draw(st.booleans()):  # something lies where an image may have to go
            name = data.draw(st.sampled_from(self.groups[0].filenames))
            (root / "selected").mkdir()
            (root / "selected" / name).write_text("in the way")
        self.contents = read_tree(root)
        self.open_window()

    def teardown(self) -> None:
        for session in getattr(self, "sessions", ()):
            session.close()
        if hasattr(self, "folder"):
            self.folder.cleanup()

    def window(self, number: int) -> ReviewSession:
        return self.sessions[number % len(self.sessions)]

    # --- what a person does --------------------------------------------------------------------------------------

    @rule(number=st.integers(0, 1), keys=KEYS)
    def press(self, number: int, keys: list[str]) -> None:
        for key in keys:
            self.window(number).press(key)

    @rule(number=st.integers(0, 1), keys=KEYS)
    def finalise(self, number: int, keys: list[str]) -> None:
        session = self.window(number)
        for key in ("Escape", *keys, *FINALISE):
            session.press(key)

    @precondition(lambda self: self.batches())
    @rule(data=st.data())
    def undo_a_batch(self, data: st.DataObject) -> None:
        batch = data.draw(st.sampled_from(self.batches()))
        with closing(connect(self.project.database)) as connection, contextlib.suppress(ConflictError):
            outcome = undo_batch(self.project, connection, batch)
            assert (outcome.failed, outcome.stuck) == ({}, {})

    def batches(self) -> list[int]:
        """The batches that can be undone."""
        return [batch["batch"] for batch in projects.status(self.project)["batches"] if batch["done"]]

    @rule()
    def scan_again(self) -> None:
        report = projects.rescan(self.project)
        assert report.images == sum(len(g.images) for g in report.groups) + len(report.ungrouped)
        assert report.missing == ()

    @rule()
    def recover(self) -> None:
        with closing(connect(self.project.database)) as connection:
            assert recover(self.project, connection).done == []

    @precondition(lambda self: len(self.sessions) < 2)
    @rule(blind=st.booleans(), batch_size=st.sampled_from((1, 3, 100)))
    def open_window(self, blind: bool = False, batch_size: int = 100) -> None:
        self.sessions.append(ReviewSession(self.project, blind=blind, batch_size=batch_size))

    @rule(number=st.integers(0, 1))
    def reopen(self, number: int) -> None:
        session = self.window(number)
        session.refresh()
        session.close()
        again = ReviewSession(self.project, blind=session.blind, batch_size=session.batch_size)
        self.sessions[number % len(self.sessions)] = again
        assert {k: c for k, c in again.state.choices.items() if c.decided} == {
            k: c for k, c in session.state.choices.items() if c.decided
        }

    # --- what holds whatever they do -----------------------------------------------------------------------------

    @invariant()
    def every_file_exists_exactly_once_with_its_content(self) -> None:
        tree = self.tree
        ours = {row["destination"] for row in self.standing("write")}
        files = {path: sha256 for path, sha256 in tree.items() if path not in ours}
        assert Counter(files.values()) == Counter(self.contents.values())
        assert Counter(Path(path).name for path in files) == Counter(Path(path).name for path in self.contents)
        assert ours <= set(tree)

    @invariant()
    def every_group_either_waits_where_it_was_or_lies_where_its_row_says(self) -> None:
        waiting = {group.group_id for group in queue(self.project)}
        outcomes = {r["group_id"]: r["outcome"] for r in rows(self.project, "SELECT * FROM decision_context")}
        stored = decisions(self.project)
        with closing(connect(self.project.database)) as connection:
            every = groups_table.every(connection, "p")
        assert not waiting & set(outcomes)
        assert waiting | set(outcomes) == {group.group_id for group in every}
        assert set(stored) == {group_id for group_id, outcome in outcomes.items() if outcome != "keep"}
        sidecars, tree = set(), self.tree
        marked = rows(self.project, "SELECT group_id, filename FROM kept_images WHERE kept = 1")
        for group in every:
            kept = {row["filename"] for row in marked if row["group_id"] == group.group_id}
            folders, sidecar = where(group, outcomes.get(group.group_id), stored.get(group.group_id), kept)
            for filename, folder in zip(group.filenames, folders, strict=True):
                assert f"{folder}/{filename}".lstrip("/") in tree
            sidecars |= {sidecar} if sidecar else set()
        assert {row["destination"] for row in self.standing("write")} == sidecars

    @invariant()
    def every_companion_lies_beside_its_image(self) -> None:
        before, after = owners(self.contents), owners(self.tree)
        assert {name: after.get(name) for name in before} == before

    @invariant()
    def nothing_is_left_half_done(self) -> None:
        assert rows(self.project, "SELECT * FROM file_operations WHERE state = 'planned'") == []
        assert [path for path in self.tree if path.endswith("partial")] == []

    @property
    def tree(self) -> dict[str, str]:
        return read_tree(self.project.root)

    def standing(self, op: str) -> list[dict[str, Any]]:
        return rows(
            self.project,
            "SELECT * FROM file_operations WHERE op = ? AND state = 'done' AND undoes IS NULL",
            op,
        )


def lay(root: Path, folders: dict[str, list[tuple[tuple[str, ...], set[str]]]]) -> None:
    """Every file has content of its own; the series of a folder are an hour apart."""
    seed = 0
    for place, (folder, series) in enumerate(folders.items()):
        for number, (stages, companions) in enumerate(series):
            for minute, stage in enumerate(stages):
                seed += 1
                stem = f"20250803_{place * 4 + number:02d}{minute:02d}00" + (f"_stage{stage}_w" if stage else "_w")
                path = root / folder / f"{stem}.{'webp' if number == 1 else 'png'}"
                write_image(path, seed, (8, 8))
                for suffix in companions if minute == 0 else ():
                    path.with_name(stem_of(path.name) + suffix).write_text(f"{suffix} of {seed}")


def where(
    group: Group, outcome: str | None, row: dict[str, Any] | None, kept: set[str]
) -> tuple[list[str], str | None]:
    """REVIEW.md, Routes, read back from a row: the folder of each image, and the sidecar's path.

    Args:
        kept: file names of the images kept in addition to the pick.
    """
    if outcome is None:
        return [group.directory] * len(group.images), None
    if row is None:
        return ["selected"] * len(group.images), None
    if row["user_action"] == "reject":
        return ["delete_staging"] * len(group.images), None
    folders = ["selected" if name in kept else "delete_staging" for name in group.filenames]
    assert json.loads(row["images"]) == list(group.filenames)
    picked = row["user_selected_index"]
    crop = "crop" if row["user_action"] == "crop" else "crop_auto" if row["ai_crop_accepted"] else None
    folders[picked] = crop or "selected"
    return folders, f"{crop}/{stem_of(group.filenames[picked])}.decision" if crop else None


def owners(tree: dict[str, str]) -> dict[str, str]:
    """sha256 of a companion -> sha256 of its image, wherever the two are."""
    by_folder: dict[str, dict[str, str]] = {}
    for path, sha256 in tree.items():
        by_folder.setdefault(str(Path(path).parent), {})[Path(path).name] = sha256
    found = {}
    for names in by_folder.values():
        companions = Companions(names)
        for name in names:
            for companion in companions.of(name) if name.endswith(("png", "webp")) else ():
                found[names[companion]] = names[name]
    return found


TestReview = pytest.mark.slow(pytest.mark.timeout(120)(Review.TestCase))
TestReview.settings = settings(
    max_examples=20,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,  # the same run for everyone; a longer hunt: --hypothesis-seed with this line taken out
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def test_the_folders_of_this_test_are_those_pickroom_owns() -> None:
    """`where` names them by hand; a route that comes later must be added there."""
    assert set(OWNED_FOLDERS) == {"selected", "crop", "crop_auto", "crop_cropped", "crop_originals", "delete_staging"}
