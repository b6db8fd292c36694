"""A process is killed before every single thing it does to a file or to the database, one after the other.

Whatever the moment: no image is ever lost, and after the next process has recovered, files and rows are those of a
finalise (or an undo) that ran to its end, or of none. Every other command, and every other way that files get around,
is killed in tests/faults.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image as PillowImage

from conftest import write_series
from pickroom.core.records import CropBox
from pickroom.files import cropping, xmp
from pickroom.files.batch import recover, undo_batch
from pickroom.files.cropping import Order
from pickroom.indexing import projects
from pickroom.sessions.crop.session import CropSession
from pickroom.sessions.review.session import ReviewSession
from pickroom.store.connect import connect
from pickroom.store.workspace import Project, Workspace
from support.crashing import Way, run
from support.photographs import shoot
from support.raw_files import write_dng
from support.reviewing import (
    FINALISE,
    copy_of,
    exit_code_of,
    in_child,
    queue,
    recommend,
    review,
    rows,
    snapshot,
    whole_tree,
)

# pick, crop by hand, the AI's crop: every folder, both sidecars; then one group that stays
KEYS = ("1", "w", "a")
GROUPS = [(1, 2)] * 4
SIDECARS = (".decision", ".xmp")
FIXTURES = Path(__file__).parents[1] / "fixtures"


def finalise(project: Project) -> None:
    review(project, *FINALISE)


def undo(project: Project) -> None:
    with closing(connect(project.database)) as connection:
        undo_batch(project, connection, 1)


def recover_it(project: Project) -> None:
    with closing(connect(project.database)) as connection:
        recover(project, connection)


def open_it(project: Project) -> None:
    ReviewSession(project).close()


@pytest.fixture(scope="module")
def reviewed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with every kind of choice made, and nothing moved yet."""
    folder = tmp_path_factory.mktemp("reviewed")
    write_series(folder / "images" / "anna", GROUPS)
    project = projects.start(Workspace(folder / "home"), "p", folder / "images")[0]
    recommend(project, queue(project)[2], 0, (0.1, 0.05, 0.9, 0.85), crop_needed=True)
    review(project, *KEYS)
    return project


@pytest.fixture(scope="module")
def finalised(reviewed: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The same project after its finalise."""
    project = copy_of(reviewed, tmp_path_factory.mktemp("finalised") / "copy")
    review(project, *FINALISE)
    return project


@pytest.fixture(scope="module")
def burst(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A burst of thirteen decided in four rounds, one image kept in addition."""
    folder = tmp_path_factory.mktemp("burst")
    shoot(folder / "images", bursts=1, shots=13)
    project = projects.start(Workspace(folder / "home"), "p", folder / "images")[0]
    review(project, "1", "6", "Shift+6", "3", "1", "2")
    return project


@pytest.fixture(scope="module")
def finalised_burst(burst: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = copy_of(burst, tmp_path_factory.mktemp("finalised") / "copy")
    review(project, *FINALISE)
    return project


@pytest.fixture(scope="module")
def in_place(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Three groups decided, to be rated in place: sidecars of other programs are there, and others are new."""
    folder = tmp_path_factory.mktemp("in_place")
    write_series(folder / "images" / "anna", [(1, 1.5, 2), *[(1, 2)] * 3])
    project = projects.start(Workspace(folder / "home"), "p", folder / "images", in_place="stem")[0]
    for group, program in zip(queue(project), ("lightroom_classic", "digikam", "darktable"), strict=False):
        name = Path(group.filenames[0]).with_suffix(".xmp")
        shutil.copy(FIXTURES / "xmp" / f"{program}.xmp", project.root / "anna" / name)
    review(project, "1", "x", "k")
    return project


@pytest.fixture(scope="module")
def finalised_in_place(in_place: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = copy_of(in_place, tmp_path_factory.mktemp("finalised") / "copy")
    review(project, *FINALISE)
    return project


@pytest.fixture(scope="module")
def negative(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A RAW file that waits for its crop, with a sidecar and other companions."""
    folder = tmp_path_factory.mktemp("negative")
    (folder / "images").mkdir()
    for number in range(2):
        picture = PillowImage.new("RGB", (48, 32), (90 * number, 80, 40))
        write_dng(folder / "images" / f"IMG_{number}.dng", picture, subsec=f"{number}0")
    (folder / "images" / "IMG_0.xmp").write_bytes(xmp.merge(None, xmp.rating(2, None)))
    for suffix in ("dng.xmp", "txt", "wav", "dng.pp3", "dng.dop"):
        (folder / "images" / f"IMG_0.{suffix}").write_text(f"of IMG_0: {suffix}\n")
    project = projects.start(Workspace(folder / "home"), "p", folder / "images")[0]
    review(project, "q", *FINALISE)
    return project


@pytest.fixture(scope="module")
def cropped_negative(negative: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = copy_of(negative, tmp_path_factory.mktemp("cropped") / "copy")
    crop(project)
    return project


def crop(project: Project) -> None:
    with closing(CropSession(project)) as session, pytest.MonkeyPatch.context() as patch:
        patch.setattr(cropping, "utc_now", lambda: "2026-01-02T03:04:05.000000Z")  # the row is compared
        session.submit([Order("crop", "IMG_0.dng", CropBox(0.1, 0.1, 0.9, 0.9))])


def undo_crop(project: Project) -> None:
    with closing(connect(project.database)) as connection:
        undo_batch(project, connection, 2)


CRASHES = {
    # what is killed: (the project before, the act)
    "a finalise": ("reviewed", finalise),
    "an undo": ("finalised", undo),
    "a finalise of a burst": ("burst", finalise),
    "an undo of a burst": ("finalised_burst", undo),
    "a finalise in place": ("in_place", finalise),
    "an undo in place": ("finalised_in_place", undo),
    "a crop of a RAW file": ("negative", crop),
    "an undo of a RAW file's crop": ("cropped_negative", undo_crop),
}


@pytest.mark.slow
@pytest.mark.parametrize(("before", "act"), CRASHES.values(), ids=CRASHES)
def test_kill_at_any_step_recovers_to_all_or_nothing(
    request: pytest.FixtureRequest, tmp_path: Path, before: str, act: Callable[[Project], None]
) -> None:
    template: Project = request.getfixturevalue(before)
    place = tmp_path / "run"  # always the same, since reasons name it
    # sidecars are written, removed or changed: they must be as before or as after; every other file is the user's
    kept = {path: sha256 for path, sha256 in whole_tree(template.root).items() if not path.endswith(SIDECARS)}
    contents = set(kept.values())
    project = copy_of(template, place)
    nothing = snapshot(project)
    count = in_child(run, Way(), act, project)
    everything = snapshot(project)
    assert nothing["journal"] != everything["journal"]
    assert count > 25
    outcomes = set()
    for kill_at in range(1, count + 1):
        shutil.rmtree(place)
        project = copy_of(template, place)
        assert exit_code_of(run, Way(), act, project, kill_at) == -signal.SIGKILL
        # nothing is lost at any moment; what is written down decides which way recovery goes
        assert contents <= set(whole_tree(project.root).values()), f"lost at step {kill_at}"
        planned = len(rows(project, "SELECT * FROM file_operations")) == len(everything["journal"])
        in_child(run, Way(), recover_it if kill_at % 2 else open_it, project)
        assert snapshot(project) == (everything if planned else nothing), f"killed at step {kill_at} of {count}"
        outcomes.add(planned)
    assert outcomes == {True, False}
