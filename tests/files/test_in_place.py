"""Rating in place: decisions, crops and singles go into XMP sidecars, no image moves, and undo restores every byte."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as PillowImage

from conftest import SCANNED_AT, read_tree, write_image, write_series
from pickroom import integrity
from pickroom.analysis.connection import connect as analyse
from pickroom.analysis.reports import archive, finish
from pickroom.automation import apply, sandbox
from pickroom.automation.generate import generate
from pickroom.core.errors import ConflictError, UsageError
from pickroom.core.naming import join
from pickroom.core.records import CropBox, FileOp
from pickroom.files import moves, rating, sidecars, xmp
from pickroom.files.batch import recover, undo_batch, undo_in_words
from pickroom.files.cropping import CropResult, Order
from pickroom.files.preflight import DiskSnapshot
from pickroom.files.rating import Naming
from pickroom.indexing import opening, projects
from pickroom.maintenance.reclaim import planning
from pickroom.sessions.crop.session import CropSession
from pickroom.sessions.duplicates.session import DuplicatesSession
from pickroom.sessions.marking.session import BrowseSession
from pickroom.sessions.sorting.session import SortSession
from pickroom.store.connect import connect
from pickroom.store.workspace import Project, Workspace
from support.automating import approve_all, proposed
from support.commands import run_command
from support.exporting import export
from support.reviewing import FINALISE, decisions, in_child, obey_permissions, queue, recommend, review, rows

XMP = Path(__file__).parents[1] / "fixtures" / "xmp"
PROGRAMS = ("lightroom_classic", "darktable", "digikam")
BOX = CropBox(0.125, 0.25, 0.75, 0.875)
READ = {
    "Rating": (xmp.XMP, "Rating"),
    "Label": (xmp.XMP, "Label"),
    "pick": (xmp.XMP_DM, "pick"),
    "PickLabel": (xmp.DIGIKAM, "PickLabel"),
    "HasCrop": (xmp.CRS, "HasCrop"),
    "CropTop": (xmp.CRS, "CropTop"),
}
PICKED = {"Rating": "5", "Label": "Green", "pick": "1", "PickLabel": "3"}
KEPT = {"Rating": "3", "Label": "Yellow", "pick": "1", "PickLabel": "3"}
REJECTED = {"Rating": "-1", "Label": "Red", "pick": "-1", "PickLabel": "1"}

Start = Callable[..., Project]


@pytest.fixture
def start(workspace: Workspace, images_folder: Path) -> Start:
    """A project rated in place: `start([(1, 2), (1, 1.5, 2)])`; the last group of several lies in folder `b`."""

    def begin(groups: list[tuple[float, ...]], naming: Naming | None = "stem") -> Project:
        made = write_series(images_folder / "a", groups)
        (images_folder / "b").mkdir()
        for name in made[-1] if len(made) > 1 else ():
            for path in (images_folder / "a").glob(f"{Path(name).stem}.*"):
                path.rename(images_folder / "b" / path.name)
        return projects.start(workspace, "p", images_folder, at=SCANNED_AT, in_place=naming)[0]

    return begin


def said(path: Path) -> dict[str, str]:
    """What a sidecar says of the properties that Pickroom writes."""
    found = xmp.properties(path.read_bytes(), dict.fromkeys(READ.values(), ""))
    return {name: found[key] for name, key in READ.items() if key in found}


def sidecar_of(project: Project, group: Any, place: int, naming: str = "stem") -> Path:
    name = group.filenames[place]
    return project.root / group.directory / (f"{name}.xmp" if naming == "full" else f"{Path(name).stem}.xmp")


def crop(project: Project, box: CropBox | None = BOX) -> CropResult:
    with closing(CropSession(project)) as session:
        return session.submit([Order(card.directory, card.filename, box) for card in session.waiting])


def undo(project: Project, batch: int) -> None:
    with closing(connect(project.database)) as connection:
        outcome = undo_batch(project, connection, batch)
    assert (outcome.failed, outcome.stuck) == ({}, {})


def typed(workspace: Workspace, *arguments: str) -> tuple[int, str, str]:
    """A command's exit code, and what it wrote on stdout and stderr."""
    done = run_command(*arguments, "--home", str(workspace.root))
    return done.returncode, done.stdout, " ".join(done.stderr.split())


# --- what becomes of each decision -----------------------------------------------------------------------------------


@pytest.mark.parametrize("naming", ["stem", "full"])
def test_decisions_go_into_sidecars_and_no_image_moves(start: Start, naming: Naming) -> None:
    project = start([(1, 2), (1, 1.5, 2), (1, 2), (1, 2), (1, 2)], naming)
    before, (first, second, third, fourth, _) = read_tree(project.root), queue(project)
    session = review(project, "1", "2", "x", "k", *FINALISE)
    assert session.last_result.counts == {"approve": 2, "reject": 1, "keep": 1}
    found = [
        [said(sidecar_of(project, g, p, naming)) for p in range(len(g.images))] for g in (first, second, third, fourth)
    ]
    assert found == [[PICKED, {"Rating": "1"}], [{"Rating": "1"}, PICKED, {"Rating": "1"}], [REJECTED] * 2, [KEPT] * 2]
    after = read_tree(project.root)
    assert {path: sha for path, sha in after.items() if not path.endswith(".xmp")} == before
    assert len(after) - len(before) == 9
    assert [path.name for path in project.root.iterdir() if path.is_dir()] in (["a", "b"], ["b", "a"])
    undo(project, 1)
    assert read_tree(project.root) == before
    assert len(queue(project)) == 5


def test_stars_and_images_kept_in_addition_are_written(start: Start) -> None:
    project = start([(1, 1.5, 2)])
    (group,) = queue(project)
    review(project, "3", "5", "Shift+5", "Shift+5", *["Shift+7"] * 4, "Shift+6", *FINALISE)
    found = [said(sidecar_of(project, group, place)) for place in range(3)]
    assert found == [{**KEPT, "Rating": "2"}, {"Rating": "1"}, {**PICKED, "Rating": "4"}]


def test_undo_restores_the_sidecars_of_other_programs(start: Start) -> None:
    project = start([(1, 2), (1, 1.5, 2)])
    first, second = queue(project)
    kinds = {sidecar_of(project, first, 0): "lightroom_classic", sidecar_of(project, first, 1, "full"): "darktable"}
    kinds[sidecar_of(project, second, 0, "full")] = "digikam"
    for path, program in kinds.items():
        shutil.copy(XMP / f"{program}.xmp", path)
    before = read_tree(project.root)
    review(project, "q", "1", *FINALISE)
    crop(project)
    assert said(sidecar_of(project, first, 0)) == {**PICKED, "HasCrop": "True", "CropTop": "0.25"}
    assert said(sidecar_of(project, first, 1, "full"))["Rating"] == "1"
    assert not sidecar_of(project, first, 1).exists()  # the sidecar that is there is taken, whatever its name
    undo(project, 2)
    assert said(sidecar_of(project, first, 0))["HasCrop"] == "False"
    undo(project, 1)
    assert read_tree(project.root) == before


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_another_program_wrote_stays_and_ours_is_readable(start: Start, program: str) -> None:
    if shutil.which("exiftool") is None or shutil.which("exiv2") is None:
        pytest.skip("exiftool and exiv2 are not installed")
    project = start([(1, 2)])
    (group,) = queue(project)
    path = sidecar_of(project, group, 0)
    shutil.copy(XMP / f"{program}.xmp", path)
    before = fields(path)
    review(project, "q", *FINALISE)
    assert crop(project).refused == {}
    after = fields(path)
    ours = {"xmp:Rating": 5, "xmp:Label": "Green", "xmpDM:Pick": 1, "xmpDM:Good": True}
    ours |= {"digiKam:PickLabel": 3, "digiKam:ColorLabel": 4}
    ours |= {"crs:HasCrop": True, "crs:CropTop": 0.25, "crs:CropLeft": 0.125, "crs:CropBottom": 0.875}
    ours |= {"crs:CropRight": 0.75, "crs:CropAngle": 0, "tiff:ImageWidth": 48, "tiff:ImageHeight": 64}
    ours["tiff:Orientation"] = 1
    assert {name: after[f"XMP-{name}"] for name in ours} == ours
    ours_there = {f"XMP-{name}" for name in ours}
    assert {n: v for n, v in after.items() if n not in ours_there} == {
        n: v for n, v in before.items() if n not in ours_there
    }
    told = subprocess.run(["exiv2", "-PXkt", str(path)], capture_output=True, text=True, check=False).stdout
    assert "Xmp.xmp.Rating" in told and "Xmp.crs.CropTop" in told and "Xmp.digiKam.PickLabel" in told


def fields(path: Path) -> dict[str, Any]:
    """Every XMP property of a sidecar, by group and name, as exiftool reads it."""
    command = ["exiftool", "-j", "-G1", "-n", "-struct", "-XMP:all", str(path)]
    (found,) = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return {name.replace("XMP-crd:", "XMP-crs:"): value for name, value in found.items() if name != "SourceFile"}


@pytest.mark.parametrize(("naming", "orientation"), [("stem", 1), ("stem", 6), ("full", 1)])
def test_darktable_reads_our_sidecars_back(
    workspace: Workspace, images_folder: Path, tmp_path: Path, naming: Naming, orientation: int
) -> None:
    if shutil.which("darktable-cli") is None:
        pytest.skip("darktable-cli is not installed")
    project = photographs(workspace, images_folder, naming, orientation, (480, 640))
    (group,) = queue(project)
    review(project, "q", *FINALISE)
    assert crop(project).refused == {}
    image, out = project.root / group.directory / group.filenames[0], tmp_path / "out.jpg"
    named = [str(sidecar_of(project, group, 0, "full"))] if naming == "full" else []
    command = ["darktable-cli", str(image), *named, str(out), "--core", "--configdir", str(tmp_path / "config")]
    subprocess.run(command, capture_output=True, check=True)
    found = fields(out)
    assert (found["XMP-xmp:Rating"], found["XMP-darktable:Colorlabels"]) == (5, [2])  # 2: green
    with PillowImage.open(out) as exported:  # of its own form, name.ext.xmp, it reads no crops
        upright = (640, 480) if orientation == 6 else (480, 640)
        wide, tall = (BOX.x2 - BOX.x1, BOX.y2 - BOX.y1) if naming == "stem" else (1, 1)
        assert exported.size == (upright[0] * wide, upright[1] * tall)


def photographs(
    workspace: Workspace, folder: Path, naming: Naming, orientation: int, stored: tuple[int, int]
) -> Project:
    """One group of two JPEGs, turned by their EXIF orientation, rated in place; `stored` is (width, height)."""
    exif = PillowImage.Exif()
    exif[0x112] = orientation
    for stage in (1, 2):
        image = PillowImage.effect_noise(stored, 40 + stage).convert("RGB")
        image.save(folder / f"20250803_06000{stage}_stage{stage}_a.jpg", exif=exif)
    return projects.start(workspace, "p", folder, in_place=naming)[0]


def test_a_sidecar_that_cannot_be_read_holds_its_group_back(start: Start) -> None:
    project = start([(1, 2), (1, 1.5, 2)])
    first, second = queue(project)
    sidecar_of(project, first, 1).write_bytes("<x/>".encode("utf-16"))
    before = read_tree(project.root)
    session = review(project, "1", "1", *FINALISE)
    assert list(session.last_result.held) == [first.group_id]
    assert "not in UTF-8" in session.last_result.held[first.group_id]
    assert not sidecar_of(project, first, 0).exists() and said(sidecar_of(project, second, 0)) == PICKED
    undo(project, 1)
    assert read_tree(project.root) == before


def test_a_folder_that_may_not_be_written_holds_its_group_back(start: Start) -> None:
    project = start([(1, 2), (1, 1.5, 2)])
    first, second = queue(project)
    shutil.copy(XMP / "darktable.xmp", sidecar_of(project, second, 2))
    before = read_tree(project.root)

    def attempt() -> dict[str, str]:
        obey_permissions()
        result = review(project, "1", "1", *FINALISE).last_result
        assert result is not None and result.counts == {"approve": 1}
        return result.held

    (project.root / "b").chmod(0o500)
    held = in_child(attempt)
    (project.root / "b").chmod(0o700)
    assert list(held) == [second.group_id] and "Permission denied" in held[second.group_id]
    assert said(sidecar_of(project, first, 0)) == PICKED
    undo(project, 1)
    assert read_tree(project.root) == before and len(queue(project)) == 2


def test_an_absent_disk_leaves_the_steps_planned(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    project = start([(1, 2)])
    (group,) = queue(project)
    shutil.copy(XMP / "digikam.xmp", sidecar_of(project, group, 0))
    before, away = read_tree(project.root), project.root.with_name("away")
    execute, taken = moves.execute, []

    def unplugged(root: Path, op: FileOp, *, verify: bool = False) -> None:
        if taken:
            root.rename(away)
        taken.append(op)
        execute(root, op, verify=verify)

    with monkeypatch.context() as patch:
        patch.setattr(moves, "execute", unplugged)
        result = review(project, "1", *FINALISE).last_result
    assert result is not None and list(result.stuck) == [group.group_id]
    away.rename(project.root)
    with closing(connect(project.database)) as connection:
        assert recover(project, connection).done == [group.group_id]
    assert said(sidecar_of(project, group, 0)) == PICKED and said(sidecar_of(project, group, 1)) == {"Rating": "1"}
    undo(project, 1)
    assert read_tree(project.root) == before


def test_sidecar_of_a_raw_file_keeps_its_crop(start: Start) -> None:
    project = start([(1, 2)])
    (group,) = queue(project)
    sidecar_of(project, group, 0).with_suffix(".CR3").write_bytes(b"raw")
    shutil.copy(XMP / "lightroom_classic.xmp", sidecar_of(project, group, 0))
    review(project, "q", *FINALISE)
    result = crop(project)
    assert list(result.warnings.values()) == [
        f"a/{sidecar_of(project, group, 0).name} is of a RAW file: the crop is in the database only"
    ]
    assert said(sidecar_of(project, group, 0)) == {**PICKED, "HasCrop": "False", "CropTop": "0"}


@pytest.mark.parametrize(
    ("naming", "there", "changed"),
    [
        ("stem", ("stem",), "stem"),
        ("stem", ("full",), "full"),
        ("full", ("stem",), "stem"),
        ("stem", ("stem", "full"), "stem"),
        ("full", ("stem", "full"), "full"),
        ("stem", (), "stem"),
        ("full", (), "full"),
        ("full", ("raw",), "full"),  # name.xmp is that of the RAW file
        ("stem", ("raw", "full"), "full"),
    ],
)
def test_the_sidecar_that_is_there_is_taken(start: Start, naming: Naming, there: tuple[str, ...], changed: str) -> None:
    project = start([(1, 2)], naming)
    (group,) = queue(project)
    for kind in there:
        shutil.copy(XMP / "digikam.xmp", sidecar_of(project, group, 0, kind))
        if kind == "raw":
            sidecar_of(project, group, 0).with_suffix(".NEF").write_bytes(b"raw")
    before = {path for path in read_tree(project.root).items() if path[0].endswith(".xmp")}
    review(project, "1", *FINALISE)
    new = {path for path in read_tree(project.root).items() if path[0].endswith(".xmp")} - before
    path = sidecar_of(project, group, 0, changed)
    assert said(path) == PICKED
    assert sorted(Path(name).name for name, _ in new if group.filenames[0].split(".png")[0] in name) == [path.name]


def test_line_ends_byte_order_mark_and_permissions_stay(start: Start) -> None:
    project = start([(1, 2)])
    (group,) = queue(project)
    path = sidecar_of(project, group, 0)
    theirs = b"\xef\xbb\xbf" + (XMP / "darktable.xmp").read_bytes().replace(b"\n", b"\r\n")
    path.write_bytes(theirs)
    path.chmod(0o660)
    review(project, "1", *FINALISE)
    ours = path.read_bytes()
    assert ours.startswith(b"\xef\xbb\xbf<?xml") and b"\n" not in ours.replace(b"\r\n", b"")
    assert said(path)["Rating"] == "5" and b'operation="exposure"' in ours
    undo(project, 1)
    assert path.read_bytes() == theirs and path.stat().st_mode & 0o777 == 0o660


def test_the_sidecar_of_a_raw_image_keeps_its_frame(tmp_path: Path) -> None:
    packet = (XMP / "lightroom_classic.xmp").read_text().replace('tiff:Orientation="1"', 'tiff:Orientation="8"')
    (tmp_path / "IMG_1.xmp").write_text(packet)
    wanted = {**rating.rated("picked"), **xmp.crop(BOX, xmp.StoredFrame(48, 64))}
    planned = rating.plan(DiskSnapshot(tmp_path), "IMG_1.CR3", wanted, "stem")
    assert planned.held is None and not planned.rating_only
    found = xmp.properties((planned.after or "").encode(), wanted)
    assert found == {**wanted, (xmp.TIFF, "Orientation"): "8"}


def test_undo_refuses_where_another_program_changed_a_sidecar(start: Start) -> None:
    project = start([(1, 2)])
    (group,) = queue(project)
    path = sidecar_of(project, group, 0)
    shutil.copy(XMP / "digikam.xmp", path)
    before = read_tree(project.root)
    review(project, "1", *FINALISE)
    theirs = path.read_bytes().replace(b'Label="Green"', b'Label="Purple"')
    path.write_bytes(theirs)
    decided = read_tree(project.root)
    with closing(connect(project.database)) as connection, pytest.raises(ConflictError) as refused:
        undo_batch(project, connection, 1)
    assert f"a/{path.name} has been changed since" in refused.value.line
    assert "move a changed sidecar elsewhere, then undo again" in refused.value.line
    assert read_tree(project.root) == decided and decisions(project)
    path.rename(project.root.parent / "theirs.xmp")
    with closing(connect(project.database)) as connection:
        _, words = undo_in_words(project, connection, 1)
    assert words == "Batch 1 of p is undone: 1 group waits again"
    assert read_tree(project.root) == before


def test_the_deck_says_what_is_written(start: Start) -> None:
    project = start([(1, 1.5, 2)])
    session = review(project, "1", "6")
    shown = session.view().group
    assert shown is not None
    assert shown.route == "1 → rated 5 (green)   ·   2 → rated 3 (yellow)   ·   3 → rated 1"
    assert session.summary() == (
        "1 group: the picked image rated 5 (green), the others rated 1",
        "1 image: kept in addition to a pick → rated 3 (yellow)",
        "Images: 1 rated 1, 1 rated 3 (yellow), 1 rated 5 (green), in XMP sidecars; none moves",
    )
    assert review(project, "x").view().group.route == "Reject: every image → rated -1 (red)"


# --- crops -----------------------------------------------------------------------------------------------------------


def test_a_crop_is_written_and_nothing_is_rendered(start: Start) -> None:
    project = start([(1, 2), (1, 1.5, 2)])
    first, second = queue(project)
    recommend(project, second, 1, (0.1, 0.05, 0.9, 0.85), crop_needed=True)
    review(project, "q", "a", *FINALISE)
    images = {path: sha for path, sha in read_tree(project.root).items() if not path.endswith(".xmp")}
    finalised = read_tree(project.root)
    with closing(CropSession(project)) as session:
        assert sorted((card.directory, card.filename) for card in session.waiting) == [
            (first.directory, first.filenames[0]),
            (second.directory, second.filenames[1]),
        ]
        assert session.view().ai_crops == 1
        assert session.apply_ai().done == [join(second.directory, second.filenames[1])]
        (card,) = session.waiting
        assert session.submit([Order(card.directory, card.filename, BOX)]).done == [
            join(first.directory, first.filenames[0])
        ]
        assert session.view().header.startswith("No image waits") or not session.waiting
        session.press("b")
        assert [card.filename for card in session.waiting] == [first.filenames[0]]
    assert said(sidecar_of(project, second, 1))["CropTop"] == "0.05"
    assert crop(project).done == [join(first.directory, first.filenames[0])]
    now = read_tree(project.root)
    assert {path: sha for path, sha in now.items() if not path.endswith(".xmp")} == images
    assert json.loads(decisions(project)[first.group_id]["final_crop_coords"]) == BOX.to_list()
    assert [row["box_source"] for row in rows(project, "SELECT box_source FROM crops ORDER BY batch")] == [
        "ai_all",
        "drawn",
    ]
    undo(project, 4)
    undo(project, 2)
    assert read_tree(project.root) == finalised


def test_a_crop_refers_to_the_stored_frame(workspace: Workspace, images_folder: Path) -> None:
    project = photographs(workspace, images_folder, "stem", 6, (64, 48))
    (group,) = queue(project)
    review(project, "q", *FINALISE)
    crop(project, CropBox(0, 0, 0.5, 1))
    packet = sidecar_of(project, group, 0).read_bytes()
    wanted = xmp.crop(CropBox(0, 0, 0.5, 1), xmp.StoredFrame(48, 64, 6))
    assert xmp.properties(packet, wanted) == wanted
    assert wanted[xmp.TIFF, "Orientation"] == "6" and wanted[xmp.TIFF, "ImageWidth"] == "64"


def test_an_image_that_got_metadata_is_still_cropped(start: Start) -> None:
    project = start([(1, 2)])
    (group,) = queue(project)
    review(project, "q", *FINALISE)
    path = project.root / group.directory / group.filenames[0]
    with PillowImage.open(path) as image:
        image.load()
    exif = PillowImage.Exif()
    exif[0x010E] = "a caption from another program"
    image.save(path, exif=exif)
    assert crop(project).done == [join(group.directory, group.filenames[0])]
    assert said(sidecar_of(project, group, 0))["CropTop"] == "0.25"
    path.unlink()
    assert crop(project).done == []


def test_a_drop_at_the_crop_desk_rejects_the_pick(start: Start) -> None:
    project = start([(1, 2)])
    (group,) = queue(project)
    review(project, "q", *FINALISE)
    finalised = read_tree(project.root)
    assert crop(project, None).done == [join(group.directory, group.filenames[0])]
    assert said(sidecar_of(project, group, 0)) == REJECTED
    with closing(connect(project.database)) as connection:
        assert sidecars.look(project, connection) == []
    undo(project, 2)
    assert read_tree(project.root) == finalised


def test_an_image_that_waits_for_no_crop_is_refused(start: Start) -> None:
    project = start([(1, 2)])
    (group,) = queue(project)
    review(project, "1", *FINALISE)
    before = read_tree(project.root)
    with closing(CropSession(project)) as session:
        result = session.submit([Order(group.directory, group.filenames[0], BOX)])
    assert list(result.refused.values()) == ["no decision waits for a crop of this image"]
    assert read_tree(project.root) == before


# --- the other tools -------------------------------------------------------------------------------------------------


def test_a_single_is_kept_or_set_aside_by_its_rating(start: Start) -> None:
    project = start([(1, 2)])
    for number, name in enumerate(("alone.png", "other.png", "third.png")):
        write_image(project.root / "c" / name, seed=70 + 7 * number)
    projects.rescan(project)
    before = read_tree(project.root)
    with closing(BrowseSession(project, [""])) as session:
        session.set_marks({"c/alone.png": "selected", "c/other.png": "delete_staging", "c/third.png": "crop"})
        assert ("→ rated 3 (yellow)", "1 image") in session.summary()
        result = session.apply()
    assert result.line.startswith("Batch 1: 1 → rated -1 (red), 1 → rated 3 (yellow); 1 held back")
    assert said(project.root / "c" / "alone.xmp") == KEPT and said(project.root / "c" / "other.xmp") == REJECTED
    with closing(BrowseSession(project, [""])) as session:
        assert "kept or set aside" in session.board.blocked["c/alone.png"]
    assert projects.status(project)["unseen_singles"] == 1
    report = projects.rescan(project)
    assert projects.status(project)["unseen_singles"] == 1
    assert [u.filename for u in report.ungrouped] == ["alone.png", "other.png", "third.png"]
    with analyse(project.workspace) as analysis:
        (row,) = analysis.rows("input_output", "p")
    assert (row["singles_kept"], row["singles_set_aside"], row["unseen_singles"]) == (1, 1, 1)
    undo(project, 1)
    assert read_tree(project.root) == before
    assert projects.status(project)["unseen_singles"] == 3


def test_a_rescan_asks_for_no_decided_image_again(start: Start) -> None:
    project = start([(1, 2), (1, 1.5, 2), (1, 2)])
    review(project, "1", "x", *FINALISE)
    report = projects.rescan(project)
    assert (report.images, len(report.groups), report.ungrouped) == (2, 1, ())
    found = projects.status(project)
    assert (found["groups"], found["waiting"], found["ungrouped"], found["in_place"]) == (3, 1, 0, "stem")
    first = rows(project, "SELECT directory, filename FROM images LIMIT 1")[0]
    path = project.root / first["directory"] / first["filename"]
    write_image(path, seed=99)  # as a program that writes metadata into it
    assert projects.rescan(project).ungrouped == ()


def test_tools_that_move_images_are_refused(start: Start) -> None:
    project = start([(1, 2)])
    for session in (SortSession, DuplicatesSession):
        with pytest.raises(UsageError, match=r"is rated in place, and the (sorter|duplicates desk) moves images"):
            session(project)
    with pytest.raises(UsageError, match="the automation moves images"):
        sandbox.locate(project, production=True)


def test_the_automations_copy_moves_its_own_files(start: Start) -> None:
    project = start([(1, 2)])
    before = read_tree(project.root)
    place = sandbox.prepare(project)
    generate(place)
    approve_all(proposed(project))
    assert place.project.manifest.in_place is None
    apply.apply(place)
    assert list(place.project.root.glob("selected/*.png"))
    assert read_tree(project.root) == before


def test_export_leaves_the_sidecars_to_finalise(start: Start) -> None:
    project = start([(1, 2)])
    review(project, "1", *FINALISE)
    before = read_tree(project.root)
    done = export("xmp", [project], None, execute=True)
    assert done.lines == ["p: rated in place: finalise writes its sidecars"]
    assert read_tree(project.root) == before


def test_a_folder_without_the_images_is_noticed(start: Start, tmp_path: Path) -> None:
    project = start([(1, 2)])
    review(project, "1", *FINALISE)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConflictError, match="none of the project's images are in this folder"):
        projects.relocate(project.workspace, "p", tmp_path / "empty")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--naming", "full"), "--naming needs --in-place"),
        (("--in-place", "--naming", "both"), "'both' is not one of 'stem', 'full'"),
        (("--in-place", "--rename-duplicates"), "--in-place and --rename-duplicates exclude each other"),
    ],
)
def test_wrong_options_of_start_are_refused(
    workspace: Workspace, images_folder: Path, options: tuple[str, ...], told: str
) -> None:
    write_series(images_folder, [(1, 2)])
    code, _, errors = typed(workspace, "start", "p", "--images", str(images_folder), *options)
    assert code == 2 and told in errors
    assert workspace.project_ids() == []


def test_start_and_status_say_that_no_image_moves(workspace: Workspace, images_folder: Path) -> None:
    write_series(images_folder, [(1, 2)])
    code, out, _ = typed(workspace, "start", "p", "--images", str(images_folder), "--in-place", "--naming", "full")
    assert code == 0 and "decisions are written into XMP sidecars (new ones: name.ext.xmp), and no image moves" in out
    assert "no image moves" in typed(workspace, "status", "p")[1]
    code, out, _ = typed(workspace, "start", "p", "--no-in-place")
    assert (code, out) == (0, "Project p: decisions move images\n")
    assert workspace.project("p").manifest.in_place is None
    review(workspace.project("p"), "1", *FINALISE)
    code, _, errors = typed(workspace, "start", "p", "--in-place")
    assert code == 1 and "something is finalised in this project" in errors
    assert opening.open_folder(workspace, images_folder).id == "p"
    with pytest.raises(ConflictError):
        opening.open_folder(workspace, images_folder, in_place="stem")


def test_finish_packs_what_was_kept_and_reclaim_takes_nothing(start: Start) -> None:
    project = start([(1, 2), (1, 1.5, 2)])
    first, second = queue(project)
    review(project, "1", "k", *FINALISE)
    plan = finish.plan(project)
    assert plan.blockers == () and "4 pictures, " in plan.rest[-1]
    kept = [f"{first.directory}/{first.filenames[0]}", *(f"{second.directory}/{n}" for n in second.filenames)]
    assert sorted(archive.contents(project)[0]) == sorted(kept)
    project = project.with_manifest(status="finished")
    assert planning.plan(project.workspace).items == ()
    assert integrity.whereabouts(project).is_sound


def test_the_way_is_switched_only_while_nothing_is_finalised(start: Start) -> None:
    project = start([(1, 2)], None)
    project = projects.set_in_place(project, "full")
    assert project.workspace.project("p").manifest.in_place == "full"
    review(project, "1", *FINALISE)
    with pytest.raises(ConflictError, match="something is finalised in this project"):
        projects.set_in_place(project, None)
    undo(project, 1)
    assert projects.set_in_place(project, None).manifest.in_place is None


def test_the_images_view_has_them_where_they_are(start: Start) -> None:
    project = start([(1, 2)])
    (group,) = queue(project)
    review(project, "1", *FINALISE)
    with analyse(project.workspace) as analysis:
        found = set(analysis.execute("SELECT path FROM images").fetchall())
    assert found == {(f"{group.directory}/{name}",) for name in group.filenames}
