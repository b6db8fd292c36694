"""`recover --unexplained`: images of a lost log go back, nothing is lost or overwritten, and undo reverses it."""

from __future__ import annotations

import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from conftest import read_tree, write_image
from faults.launcher import Plan, run
from integrity.test_whereabouts import crop_all, in_folders, losing_the_log
from pickroom import cli, integrity
from pickroom.files import returning
from pickroom.files.batch import recover, undo_batch
from pickroom.files.returning import Return
from pickroom.indexing import projects
from pickroom.store.connect import connect
from pickroom.store.workspace import Project
from support.automating import BOX
from support.boards import sort, with_results
from support.reviewing import FINALISE, places, queue, recommend, review, rows

Make = Callable[..., Project]
KEYS = ("1", "w", "x", "k", "a")


@pytest.fixture
def project(make_project: Make) -> Project:
    made = make_project([(1, 2), (1, 1.5, 2), (1, 2), (1, 2), (1, 2), (1, 2)], folder="anna/sub")
    recommend(made, queue(made)[4], 0, BOX, crop_needed=True)
    return made


def planned(project: Project) -> list[Return]:
    with closing(connect(project.database)) as connection:
        return returning.plan(project, connection)


def give_back(project: Project) -> tuple[int, list[Return]]:
    """Return everything; (batch, what was planned). All of it must have worked."""
    with closing(connect(project.database)) as connection:
        batch, returns, outcome = returning.execute(project, connection)
    assert (outcome.failed, outcome.stuck) == ({}, {}) and sorted(outcome.done) == [one.path for one in returns]
    assert integrity.whereabouts(project).is_sound
    return batch, returns


def undo(project: Project, batch: int) -> None:
    with closing(connect(project.database)) as connection:
        assert undo_batch(project, connection, batch).failed == {}


def without_sidecars(tree: dict[str, str]) -> dict[str, str]:
    return {path: sha256 for path, sha256 in tree.items() if not path.endswith(".decision")}


# ------------------------------------------------------------------------------------------------ where they go


def test_a_lost_finalise_goes_back_with_its_companions(project: Project, tmp_path: Path) -> None:
    before = read_tree(project.root)
    with losing_the_log(project, tmp_path):
        review(project, *KEYS, *FINALISE)
    lost = read_tree(project.root)
    assert {one.why for one in planned(project)} == {"scan"}
    assert read_tree(project.root) == lost  # a plan changes nothing
    batch, returns = give_back(project)
    assert len(returns) == 11 and read_tree(project.root) == before
    assert len(queue(project)) == 6
    review(project, *KEYS, *FINALISE)  # offered again, and done again, sidecars too
    assert read_tree(project.root) == lost and integrity.whereabouts(project).is_sound
    assert batch == 1


def test_undo_takes_the_return_back(project: Project, tmp_path: Path) -> None:
    with losing_the_log(project, tmp_path):
        review(project, *KEYS, *FINALISE)
        crop_all(project)
    lost, strange = read_tree(project.root), integrity.whereabouts(project).unexplained
    batch, _ = give_back(project)
    undo(project, batch)
    assert read_tree(project.root) == lost and integrity.whereabouts(project).unexplained == strange
    give_back(project)


def test_originals_of_lost_crops_go_back_and_crops_aside(project: Project, tmp_path: Path) -> None:
    before = read_tree(project.root)
    with losing_the_log(project, tmp_path):
        review(project, *KEYS, *FINALISE)
        crop_all(project)
    made = {
        p.name: read_tree(project.root)[f"crop_cropped/{p.name}"] for p in (project.root / "crop_cropped").iterdir()
    }
    batch, _ = give_back(project)
    after = read_tree(project.root)
    aside = {path: sha256 for path, sha256 in after.items() if path not in before}
    assert {path: sha256 for path, sha256 in after.items() if path in before} == before
    assert aside == {
        f"delete_staging/{name.removesuffix('.png')}.recovered-{batch}.png": sha256 for name, sha256 in made.items()
    }


def test_a_lost_crop_alone_waits_again_with_its_sidecar(project: Project, tmp_path: Path) -> None:
    review(project, *KEYS, *FINALISE)
    waiting = read_tree(project.root)
    with losing_the_log(project, tmp_path):
        crop_all(project)
    _, returns = give_back(project)
    assert Counter(one.why for one in returns) == {"journal": 2, "copy": 2}
    after = read_tree(project.root)
    assert {path: sha256 for path, sha256 in after.items() if ".recovered-" not in path} == waiting
    crop_all(project)
    assert len(rows(project, "SELECT * FROM crops WHERE group_id IS NOT NULL")) == 2


def test_a_lost_crop_of_a_crop_goes_back_to_the_first(project: Project, tmp_path: Path) -> None:
    review(project, "w", *FINALISE)
    crop_all(project)
    (crop,) = (project.root / "crop_cropped").iterdir()
    with losing_the_log(project, tmp_path):
        crop.rename(project.root / "crop" / crop.name)
        crop_all(project)
    _, returns = give_back(project)
    assert {one.why for one in returns} <= {"journal", "copy"}
    assert len(list((project.root / "crop_originals").glob("*.png"))) == 1


def test_a_lost_sort_goes_back_to_where_the_journal_has_it(tmp_path: Path) -> None:
    project = with_results(tmp_path, 2)
    before = read_tree(project.root)
    with losing_the_log(project, tmp_path):
        sort(project, "1", "1", "Shift+Enter", "Shift+Enter", names=("bo",), folders=["selected"])
    _, returns = give_back(project)
    assert {one.why for one in returns} == {"journal"} and read_tree(project.root) == before


def test_a_crop_that_was_undone_stays_set_aside(project: Project, tmp_path: Path) -> None:
    before = read_tree(project.root)
    with losing_the_log(project, tmp_path):
        review(project, "w", *FINALISE)
        crop_all(project)
        undo(project, 2)
        undo(project, 1)
    (shelved,) = integrity.whereabouts(project).unexplained
    assert shelved.endswith(".undone-2.png")
    give_back(project)
    (aside,) = read_tree(project.root).keys() - before.keys()
    assert aside == shelved.replace(".png", ".recovered-1.png")


def test_what_no_table_knows_goes_to_a_folder_of_its_own(project: Project) -> None:
    for name in ("selected/theirs.png", "crop_originals/old.png", "crop_cropped/old.png"):
        write_image(project.root / name, seed=len(name))
    (project.root / "selected" / "theirs.yaml").write_text("of theirs")
    before = read_tree(project.root)
    batch, _ = give_back(project)
    after = read_tree(project.root)
    assert after["recovered/theirs.png"] == before["selected/theirs.png"] and "recovered/theirs.yaml" in after
    assert after["recovered/old.png"] == before["crop_originals/old.png"]
    assert after[f"delete_staging/old.recovered-{batch}.png"] == before["crop_cropped/old.png"]
    assert "recovered" in {i.directory for i in projects.rescan(project).ungrouped}


def test_nothing_is_overwritten(project: Project, tmp_path: Path) -> None:
    with losing_the_log(project, tmp_path):
        review(project, "1", *FINALISE)
    first, second, *_ = in_folders(project)
    name, other = Path(first).name, Path(second).name
    write_image(project.root / "anna" / "sub" / name, seed=999)  # another image has its place
    shutil.copy(project.root / second, project.root / "anna" / "sub" / other)  # the very same
    write_image(project.root / "recovered" / name, seed=998)
    before = Counter(read_tree(project.root).values())
    batch, _ = give_back(project)
    after = read_tree(project.root)
    assert Counter(after.values()) == before
    stem = name.removesuffix(".png")
    assert f"recovered/{stem}.recovered-{batch}.png" in after and f"recovered/{stem}.recovered-{batch}.yaml" in after
    assert f"delete_staging/{other.removesuffix('.png')}.recovered-{batch}.png" in after


@pytest.mark.parametrize("folder", ["crop_cropped", "selected"])
def test_a_long_name_is_cut_to_be_told_apart(project: Project, folder: str) -> None:
    name = "p" * 246 + ".png"
    for k, place in enumerate((folder, "crop")):
        write_image(project.root / place / name, seed=90 + k)
        (project.root / place / (name.removesuffix("png") + "caption")).write_text("theirs")
    batch, returns = give_back(project)
    assert [one.held for one in returns] == ["", ""]
    after = read_tree(project.root)
    assert sum(f".recovered-{batch}." in path for path in after) == 2  # the image and its caption
    undo(project, batch)
    assert (project.root / folder / name).is_file()


def test_an_image_changed_since_its_scan_goes_back_all_the_same(project: Project, tmp_path: Path) -> None:
    group = queue(project)[0]
    with losing_the_log(project, tmp_path):
        review(project, "1", *FINALISE)
    (project.root / "selected" / group.filenames[0]).write_bytes(b"edited meanwhile")
    give_back(project)
    assert places(project, group) == ("anna/sub", "anna/sub")


def test_a_scan_in_between_forgets_no_origin(project: Project, tmp_path: Path) -> None:
    before = read_tree(project.root)
    ids = [group.group_id for group in queue(project)]
    with losing_the_log(project, tmp_path):
        review(project, *KEYS, *FINALISE)
    report = projects.rescan(project)
    assert any("pickroom recover p --unexplained" in note for note in report.notes)
    give_back(project)
    assert read_tree(project.root) == before
    assert [group.group_id for group in queue(project)] == ids
    assert projects.rescan(project).notes == ()


# ------------------------------------------------------------------------------------------------ kills, the command


@pytest.mark.parametrize("at", [(1, "image moved"), (4, "image moved"), (1, "done: COMMIT")])
def test_a_kill_in_between_loses_nothing(project: Project, tmp_path: Path, at: tuple[int, str]) -> None:
    before = read_tree(project.root)
    with losing_the_log(project, tmp_path):
        review(project, *KEYS, *FINALISE)
    command = ["recover", "p", "--unexplained", "--execute", "--home", str(project.workspace.root)]
    killed = run(command, tmp_path / "said", Plan(kill_at=at[0], only=at[1]))
    assert killed.code == -signal.SIGKILL
    now = without_sidecars(read_tree(project.root))
    assert set(now.values()) == set(before.values())
    with closing(connect(project.database)) as connection:
        assert recover(project, connection).stuck == {}
    assert read_tree(project.root) == before and integrity.whereabouts(project).is_sound


def test_the_command_shows_first_and_does_it_with_execute(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def pickroom(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pickroom", *arguments, "--home", str(project.workspace.root)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err  # type: ignore[arg-type]

    before = read_tree(project.root)
    with losing_the_log(project, tmp_path):
        review(project, *KEYS, *FINALISE)
    lost = read_tree(project.root)
    code, out, err = pickroom("recover", "p", "--unexplained")
    assert code == 0 and "Nothing was moved" in err and read_tree(project.root) == lost
    assert len([line for line in out.splitlines() if " -> anna/sub/" in line]) == 11
    assert "11 to the folder they were scanned in" in out
    code, done, err = pickroom("recover", "p", "--unexplained", "--execute")
    assert (code, done) == (0, out) and "Batch 1: 11 of 11 images returned" in err
    assert read_tree(project.root) == before
    assert pickroom("status", "p")[0] == 0
    assert "is explained" in pickroom("recover", "p", "--unexplained", "--execute")[1]
    code, _, err = pickroom("recover", "p", "--execute")
    assert code == 2 and "--execute belongs to --unexplained" in err
    assert "11 images are where nothing explained them" in pickroom("undo", "p", "--batch", "1")[1]
    assert read_tree(project.root) == lost
