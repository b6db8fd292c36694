"""A day's shoot goes through: every image is offered once, one winner a burst, and undo brings back every byte."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from conftest import read_tree
from pickroom.core.naming import join
from pickroom.demo.photographs import PHOTOGRAPHS, load
from pickroom.files.batch import undo_batch
from pickroom.indexing import projects
from pickroom.indexing.pipeline import embed
from pickroom.sessions.marking.session import BrowseSession
from pickroom.store import images
from pickroom.store.connect import connect, open_read_only
from pickroom.store.workspace import Project, Workspace
from support import shoot
from support.reviewing import FINALISE, queue, review, rows

SIZES = (3, 1, 30, -3, 2, 1, 5, 1, 2, 6)


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shoot")


@pytest.fixture(scope="module")
def taken(card: Path) -> shoot.Shoot:
    """Two cards and a phone; the second card's names are the first one's."""
    pytest.importorskip("rawpy", reason="RAW files need the extra raw")
    pictures = {one.name: [load(one).convert("RGB").resize((192, 144))] for one in PHOTOGRAPHS}
    camera, phone = (shoot.scenes(pictures, sizes, seed) for sizes, seed in ((SIZES, 1), (SIZES[4:], 2)))
    return shoot.write(card, camera, phone, 3, raw=True)


@pytest.fixture(scope="module", params=[None, "stem"], ids=["moved", "rated in place"])
def project(
    request: pytest.FixtureRequest, card: Path, taken: shoot.Shoot, tmp_path_factory: pytest.TempPathFactory
) -> Project:
    home = tmp_path_factory.mktemp("home")
    project, _ = projects.start(Workspace(home), "shoot", card, in_place=request.param)
    if request.param is None:  # else time and hashes group them
        embed(project)
        project = project.workspace.project(project.id)
        projects.rescan(project)
    return project


def offered(project: Project) -> tuple[list[list[str]], list[str]]:
    """The groups that wait, by path, and the images in no group."""
    with open_read_only(project.database) as connection:
        singles = images.unseen_singles(connection)
    return [[join(i.directory, i.filename) for i in group.images] for group in queue(project)], sorted(singles)


def decide_all(project: Project) -> None:
    """The first image wins every round; images in no group are kept and set aside in turn."""
    rounds = [max(1, -(-(len(group.images) - 1) // 3)) for group in queue(project)]
    review(project, *"1" * sum(rounds), *FINALISE)
    with closing(BrowseSession(project)) as session:
        session.show_singles(only=True)
        folders = ("selected", "delete_staging")
        session.set_marks({path: folders[place % 2] for place, path in enumerate(session.board.layout.order)})
        session.apply()


def test_every_image_of_a_shoot_is_offered_once(project: Project, taken: shoot.Shoot) -> None:
    groups, singles = offered(project)
    counted = Counter(path for group in groups for path in group) + Counter(singles)
    assert counted == Counter(taken.images)
    assert {path.rpartition(".")[2] for path in counted} == {"JPG", "DNG", "HEIC"}
    if project.manifest.encoder is not None:
        assert sorted(map(sorted, groups)) == sorted(map(sorted, taken.bursts))
        assert singles == sorted(taken.singles)
    kept = [r["group_id"] for r in rows(project, "SELECT group_id FROM recommendations WHERE keep_all = 1")]
    assert len(kept) == len(taken.brackets)


def test_a_shoot_is_decided_and_taken_back_byte_for_byte(project: Project, taken: shoot.Shoot) -> None:
    before = read_tree(project.root)
    count = len(queue(project))
    decide_all(project)
    assert offered(project) == ([], [])
    decided = rows(project, "SELECT * FROM ai_decisions")
    assert len(decided) == count
    after = read_tree(project.root)
    if project.manifest.in_place is None:
        assert Counter(after.values()) == Counter(before.values())
        kept = [path.removeprefix("selected/") for path in after if path.startswith("selected/")]
        assert all(sum(path in burst for path in kept) == 1 for burst in taken.bursts)
    else:
        assert {path: after.get(path) for path in before} == before
    with closing(connect(project.database)) as connection:
        for batch in (2, 1):
            undo_batch(project, connection, batch)
    assert read_tree(project.root) == before
    assert offered(project)[0] != []
