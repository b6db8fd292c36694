"""Photographs that say when they were taken are grouped by every scan, without a word from the user."""

from __future__ import annotations

import os
import shutil
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

from pickroom.analysis.connection import connect as analyse
from pickroom.indexing import projects
from pickroom.indexing.pipeline import embed
from pickroom.store import captures, groups, recommendations
from pickroom.store.connect import connect, open_read_only, transaction
from pickroom.store.workspace import Project, Workspace
from support.photographs import take
from support.reviewing import FINALISE, review


@pytest.fixture
def project(tmp_path: Path) -> Project:
    folder = tmp_path / "card"
    for number, seconds in enumerate((0, 0.3, 0.7, 600, 700, 700.2, None)):
        take(folder / f"IMG_{number}.jpg", number % 3, seconds)
    return projects.start(Workspace(tmp_path / "home"), "p", folder)[0]


def queue(project: Project) -> list[tuple[str, tuple[str, ...]]]:
    with open_read_only(project.database) as connection:
        kinds = groups.kinds(connection)
        return [(kinds[g.group_id], g.filenames) for g in groups.queue(connection, project.id)]


def test_a_folder_of_photographs_starts_with_its_bursts(project: Project) -> None:
    bursts = [("burst", ("IMG_0.jpg", "IMG_1.jpg", "IMG_2.jpg")), ("burst", ("IMG_4.jpg", "IMG_5.jpg"))]
    assert queue(project) == bursts
    report = projects.rescan(project)
    assert {one.filename: one.reason for one in report.ungrouped} == {
        "IMG_3.jpg": "no similar image within 5 minutes",
        "IMG_6.jpg": "no stage in its name",
    }
    assert [one["kind"] for one in report.to_dict()["groups"]] == ["burst", "burst"]


def test_a_new_image_joins_its_burst_and_others_keep_their_id(project: Project) -> None:
    before = {group.group_id: group.filenames for group in projects.rescan(project).groups}
    take(project.root / "IMG_7.jpg", 1, 700.4)
    after = {group.filenames: group.group_id for group in projects.rescan(project).groups}
    assert ("IMG_4.jpg", "IMG_5.jpg", "IMG_7.jpg") in after
    assert after["IMG_0.jpg", "IMG_1.jpg", "IMG_2.jpg"] in before


def test_a_scan_goes_on_when_the_vectors_are_gone(project: Project) -> None:
    embed(project)
    project = project.workspace.project(project.id)
    shutil.rmtree(project.workspace.embeddings)
    take(project.root / "IMG_7.jpg", 1, 700.4)
    projects.rescan(project)
    assert ("burst", ("IMG_4.jpg", "IMG_5.jpg", "IMG_7.jpg")) in queue(project)


def test_stages_come_first_and_keep_their_groups(project: Project) -> None:
    for stage, name in ((1, "generated"), (2, "upscaled")):
        take(project.root / f"20240506_120000_stage{stage}_{name}.jpg", stage, stage / 10)
    projects.rescan(project)
    assert [kind for kind, _ in queue(project)] == ["burst", "burst", "stage"]
    assert projects.rescan(project).to_dict()["groups"] == projects.rescan(project).to_dict()["groups"]


def test_images_of_an_earlier_version_are_read_once_more(project: Project) -> None:
    with closing(connect(project.database)) as connection, transaction(connection):
        known = captures.of(connection)
        connection.execute("DELETE FROM captures")
    projects.rescan(project)
    with open_read_only(project.database) as connection:
        assert captures.of(connection) == known
    assert len(known) == 7


def test_an_exposure_bracket_is_recommended_to_be_kept_whole(tmp_path: Path) -> None:
    folder = tmp_path / "card"
    for number, exposure in enumerate((0.004, 0.016, 0.066, 0.25, 1.0)):
        take(folder / f"IMG_{number}.jpg", 0, number / 2, bracket=exposure)
    for number in range(5, 8):  # of one exposure: a burst
        take(folder / f"IMG_{number}.jpg", 1, 600 + number / 2, bracket=0.004)
    project = projects.start(Workspace(tmp_path / "home"), "p", folder)[0]
    bracket, burst = (group.group_id for group in projects.rescan(project).groups)
    with open_read_only(project.database) as connection:
        made = recommendations.of_groups(connection, [bracket, burst])
    assert (made[bracket].keep_all, made[burst].keep_all) == (True, False)
    assert made[bracket].reasons == ("exposure bracket (1/250 s, 1/62 s, 1/15 s, 1/4 s, 1 s): keep all",)
    result = review(project, "a", *FINALISE).last_result
    assert result is not None and result.counts == {"keep": 1}
    assert sorted(path.name for path in (project.root / "selected").iterdir()) == [f"IMG_{n}.jpg" for n in range(5)]


def test_each_burst_has_one_burst_id(project: Project) -> None:
    listed = projects.rescan(project).to_dict()["groups"]
    assert [one["burst_id"] for one in listed] == [one["group_id"] for one in listed]


def test_a_file_that_says_no_time_shows_its_own_marked(project: Project) -> None:
    os.utime(project.root / "IMG_6.jpg", (1e9, 1e9))
    projects.rescan(project)
    with closing(analyse(project.workspace)) as analysis:
        query = (
            "SELECT captured_at, captured_by FROM images WHERE filename IN ('IMG_3.jpg', 'IMG_6.jpg') ORDER BY filename"
        )
        own, file = analysis.execute(query).fetchall()
    assert own == (datetime(2024, 5, 6, 12, 10), "exif")
    assert file == (datetime(2001, 9, 9, 1, 46, 40), "file")
