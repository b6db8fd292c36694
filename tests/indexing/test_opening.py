"""A folder opened with one command: its project, its first images, and the background that reads the others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickroom.core.errors import ProjectError
from pickroom.core.naming import is_project_id
from pickroom.demo.photographs import PHOTOGRAPHS, load
from pickroom.features.candidates import Candidates
from pickroom.features.pick_features import pick_features
from pickroom.features.sources import FeatureSources
from pickroom.indexing import opening, projects
from pickroom.learn import progress
from pickroom.learn.progress import ProgressReporter, TrainingStopped
from pickroom.store import captures
from pickroom.store.connect import open_read_only
from pickroom.store.workspace import Workspace
from support.learning import write_groups
from support.photographs import take
from support.reviewing import in_child, obey_permissions, queue


def write_images(folder: Path, count: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        small = load(PHOTOGRAPHS[number % 3]).convert("RGB").resize((48, 36))
        small.crop((number % 3, 0, 40, 36)).save(folder / f"IMG_{number:03d}.png")
    return folder


@given(st.text(), st.lists(st.text("abc-2", max_size=4), max_size=5))
def test_any_folder_name_gives_an_id_of_its_own(name: str, taken: list[str]) -> None:
    made = opening.new_id(name, taken)
    assert is_project_id(made) and made not in taken


def test_a_folder_is_opened_and_found_again(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "home")
    first = opening.open_folder(workspace, write_images(tmp_path / "a" / "Été 2024", 3))
    assert first.id == "ete-2024" and first.manifest.title == "Été 2024"
    assert opening.open_folder(workspace, tmp_path / "a" / "Été 2024") == workspace.project("ete-2024")
    assert opening.open_folder(workspace, write_images(tmp_path / "b" / "Été 2024", 3)).id == "ete-2024-2"
    with pytest.raises(ProjectError, match="holds no images"):
        (tmp_path / "empty").mkdir()
        opening.open_folder(workspace, tmp_path / "empty")
    assert workspace.project_ids() == ["ete-2024", "ete-2024-2"]


def test_only_the_first_images_are_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "FIRST", 4)
    project = opening.open_folder(Workspace(tmp_path / "home"), write_images(tmp_path / "card", 11))
    report = projects.rescan(project, at_most=0)
    assert (report.images, report.pending, len(report.ungrouped) + len(report.groups)) == (11, 7, 4)
    reporter = ProgressReporter(project.workspace, opening.job_name(project.id), [project.id])
    done = opening.index(project, reporter)
    assert (done.images, done.pending) == (11, 0)
    with open_read_only(project.database) as connection:
        assert len(captures.of(connection)) == len({path.read_bytes() for path in (tmp_path / "card").iterdir()})


def test_grouping_the_rest_by_looks_keeps_the_bursts(tmp_path: Path) -> None:
    shots = ((0, 0), (0, 1), (0, 2), (1, 900), (1, 901), (2, 9000))  # two bursts, and one photograph that is in none
    for number, (photograph, seconds) in enumerate(shots):
        take(tmp_path / "card" / f"{number}.jpg", photograph, seconds)
    project = opening.open_folder(Workspace(tmp_path / "home"), tmp_path / "card")
    before = projects.rescan(project)
    done = opening.index(project, ProgressReporter(project.workspace, opening.job_name(project.id), [project.id]))
    assert [len(group.images) for group in done.groups] == [len(group.images) for group in before.groups] == [3, 2]
    assert [one.filename for one in done.ungrouped] == ["5.jpg"] and set(done.kinds.values()) == {"burst"}


def test_a_pause_keeps_what_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "FIRST", 2)
    project = opening.open_folder(Workspace(tmp_path / "home"), write_images(tmp_path / "card", 9))
    reporter = ProgressReporter(project.workspace, opening.job_name(project.id), [project.id])
    monkeypatch.setattr(reporter, "count", lambda done, of: reporter.ask_to_stop() if done >= 5 else None)
    with pytest.raises(TrainingStopped, match="paused"):
        opening.index(project, reporter)
    assert projects.rescan(project, at_most=0).pending == 5
    again = ProgressReporter(project.workspace, opening.job_name(project.id), [project.id])
    assert opening.index(project, again).pending == 0


def test_after_indexing_training_compares_no_siblings(tmp_path: Path) -> None:
    write_groups(tmp_path / "card", 3)
    project = opening.open_folder(Workspace(tmp_path / "home"), tmp_path / "card")
    opening.index(project, ProgressReporter(project.workspace, opening.job_name(project.id), [project.id]))
    project = project.workspace.project(project.id)
    read: list[int] = []
    items = [Candidates.of(group) for group in queue(project)]
    features = pick_features(items, FeatureSources([project]), lambda done, _: read.append(done))
    assert len(items) >= 3 and not read and not features.missing
    assert features.present["consistency"].sum() == features.mask.sum()


def test_files_that_may_not_be_read_do_not_hold_it_up(tmp_path: Path) -> None:
    project = opening.open_folder(Workspace(tmp_path / "home"), write_images(tmp_path / "card", 3))
    write_images(tmp_path / "card", 5)
    for name in ("IMG_003.png", "IMG_004.png"):
        (tmp_path / "card" / name).chmod(0)

    def reasons() -> dict[str, str]:
        obey_permissions()
        reporter = ProgressReporter(project.workspace, opening.job_name(project.id), [project.id])
        report = opening.index(project, reporter)
        return {one.filename: one.reason for one in report.ungrouped}

    denied = "unreadable: Permission denied"
    found = in_child(reasons)
    assert (found["IMG_003.png"], found["IMG_004.png"]) == (denied, denied)


def test_the_command_tells_how_it_ended(tmp_path: Path) -> None:
    project = opening.open_folder(Workspace(tmp_path / "home"), write_images(tmp_path / "card", 3))
    command = [sys.executable, "-m", "pickroom.cli", "index", project.id, "--home", str(project.workspace.root)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Project card: 3 images, 0 groups waiting, 3 in no group")
    status = progress.read_status(project.workspace, opening.job_name(project.id))
    assert status is not None and (status.state, status.message) == ("done", "3 images, 0 groups waiting")
