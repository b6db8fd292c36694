"""RAW files from the scan to the archive: grouped, picked, cropped in their sidecars, undone byte for byte."""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from PIL import Image as PillowImage

from conftest import SCANNED_AT, read_tree
from pickroom.automation import apply, sandbox
from pickroom.automation.generate import generate
from pickroom.core.errors import ConflictError, ImageError
from pickroom.core.records import CropBox
from pickroom.demo.photographs import PHOTOGRAPHS, load
from pickroom.exports import sidecars as xmp_export
from pickroom.files import xmp
from pickroom.files.batch import undo_batch
from pickroom.files.cropping import Order
from pickroom.indexing import projects
from pickroom.indexing.pipeline import embed
from pickroom.integrity import whereabouts
from pickroom.sessions.crop.session import CropSession
from pickroom.sessions.duplicates.finding import find
from pickroom.sessions.duplicates.gathering import gather
from pickroom.sessions.marking.images import look
from pickroom.sessions.marking.session import BrowseSession
from pickroom.store.connect import connect
from pickroom.store.workspace import Project, Workspace
from support.automating import approve_all, images_tree
from support.boards import APPLY
from support.commands import run_command
from support.exporting import export_coco, export_imagefolder, export_pairs
from support.photographs import take
from support.raw_files import write_dng
from support.reviewing import FINALISE, copy_of, decisions, queue, recommend, review, rows

BOX = CropBox(0.125, 0.25, 0.75, 0.875)
EDGES = ("CropTop", "CropLeft", "CropBottom", "CropRight", "HasCrop")
# as Lightroom Classic 13 writes it, shortened; the user has turned the picture there
LIGHTROOM = """<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Adobe XMP Core 7.0-c000">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:tiff="http://ns.adobe.com/tiff/1.0/"
    xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"
    xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/"
   tiff:Orientation="8"
   photoshop:SidecarForExtension="DNG"
   crs:RawFileName="IMG_0.dng"
   crs:Exposure2012="+0.35"
   crs:HasCrop="False"/>
 </rdf:RDF>
</x:xmpmeta>
"""


def shoot(folder: Path, names: dict[str, float], photograph: int = 0, orientation: int = 1) -> None:
    """DNG files of one photograph, 96 x 64, taken so many seconds after noon."""
    folder.mkdir(exist_ok=True)
    picture = load(PHOTOGRAPHS[photograph]).convert("RGB").resize((96, 64))
    for number, (name, seconds) in enumerate(names.items()):
        at = datetime(2024, 5, 6, 12) + timedelta(seconds=seconds)
        taken = {"taken": f"{at:%Y:%m:%d %H:%M:%S}", "subsec": f"{at:%f}"[:2], "serial": "60"}
        picture.putpixel((0, 0), (number, photograph, 0))  # every file has its own content
        write_dng(folder / name, picture, orientation=orientation, **taken)


@pytest.fixture(scope="session")
def _made_once(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A burst of three RAW files, the first with Lightroom's sidecar; two pairs of RAW and JPEG; a single."""
    folder = tmp_path_factory.mktemp("raw")
    images = folder / "images"
    shoot(images, {"IMG_0.dng": 0, "IMG_1.dng": 0.3, "IMG_2.dng": 0.7}, orientation=6)
    (images / "IMG_0.xmp").write_text(LIGHTROOM)
    (images / "IMG_1.dng.xmp").write_text(LIGHTROOM.replace("IMG_0", "IMG_1"))
    shoot(images, {"IMG_3.dng": 600, "IMG_4.dng": 600.4}, photograph=1)
    take(images / "IMG_3.jpg", 1, 600)
    take(images / "IMG_4.jpg", 1, 600.4)
    shoot(images, {"IMG_5.dng": 5000}, photograph=2)
    return projects.start(Workspace(folder / "home"), "p", images, at=SCANNED_AT)[0]


@pytest.fixture
def project(_made_once: Project, tmp_path: Path) -> Project:
    return copy_of(_made_once, tmp_path / "project")


def burst(project: Project) -> tuple[str, ...]:
    return next(group.filenames for group in queue(project) if "IMG_0.dng" in group.filenames)


def said(path: Path) -> dict[str, str]:
    """What a sidecar says of its crop."""
    return {name: xmp.properties(path.read_bytes(), {(xmp.CRS, name): ""})[xmp.CRS, name] for name in EDGES}


def to_crop(project: Project, key: str) -> None:
    """Send an image of the burst to the crop desk: the other groups stay undecided."""
    review(project, key, *FINALISE)


def crop(project: Project, box: CropBox = BOX) -> int:
    with closing(CropSession(project)) as session:
        (card,) = session.waiting
        result = session.submit([Order(card.directory, card.filename, box)])
        assert (result.refused, result.done) == ({}, [card.filename])
        assert result.batch is not None
        return result.batch


def undo(project: Project, batch: int) -> None:
    with closing(connect(project.database)) as connection:
        undo_batch(project, connection, batch)


def test_raw_files_alone_are_grouped_and_pairs_are_one_image(project: Project) -> None:
    scanned = rows(project, "SELECT filename, width, height FROM images ORDER BY filename")
    assert [tuple(row.values()) for row in scanned] == [
        *((f"IMG_{number}.dng", 96, 64) for number in range(3)),
        *((f"IMG_{number}.jpg", 64, 48) for number in (3, 4)),
        ("IMG_5.dng", 96, 64),
    ]
    assert burst(project) == ("IMG_0.dng", "IMG_1.dng", "IMG_2.dng")
    assert {row["camera"] for row in rows(project, "SELECT camera FROM captures")} >= {"NIKON Z 6"}


def test_a_picked_raw_file_moves_with_its_sidecars(project: Project) -> None:
    before = read_tree(project.root)
    review(project, "2", *FINALISE)
    there = read_tree(project.root)
    assert {"selected/IMG_1.dng", "selected/IMG_1.dng.xmp", "delete_staging/IMG_0.xmp"} <= there.keys()
    assert whereabouts(project).is_sound
    undo(project, 1)
    assert read_tree(project.root) == before


def test_a_raw_files_crop_is_written_into_its_sidecar(project: Project) -> None:
    to_crop(project, "q")
    waiting = read_tree(project.root)
    batch = crop(project)
    there = read_tree(project.root)
    assert there["crop_cropped/IMG_0.dng"] == waiting["crop/IMG_0.dng"]
    assert not {name for name in there if name.startswith(("crop/", "crop_originals/"))}
    sidecar = project.root / "crop_cropped/IMG_0.xmp"
    # the box of the upright picture, in the frame of a sensor that was turned by a quarter
    assert said(sidecar) == dict(zip(EDGES, ("0.25", "0.25", "0.875", "0.875", "True"), strict=True))
    text = sidecar.read_text()
    assert 'crs:Exposure2012="+0.35"' in text
    assert 'tiff:Orientation="8"' in text
    (row,) = decisions(project).values()
    assert json.loads(row["final_crop_coords"]) == BOX.to_list()
    assert whereabouts(project).is_sound
    undo(project, batch)
    assert read_tree(project.root) == waiting


def test_a_raw_file_without_a_sidecar_gets_one(project: Project) -> None:
    to_crop(project, "e")
    waiting = read_tree(project.root)
    batch = crop(project)
    assert said(project.root / "crop_cropped/IMG_2.xmp")["HasCrop"] == "True"
    undo(project, batch)
    assert read_tree(project.root) == waiting


def test_darktables_sidecar_takes_the_crop_where_it_is_alone(project: Project) -> None:
    to_crop(project, "w")
    crop(project)
    assert said(project.root / "crop_cropped/IMG_1.dng.xmp")["HasCrop"] == "True"
    assert not (project.root / "crop_cropped/IMG_1.xmp").exists()


def test_a_sidecar_that_is_not_xmp_holds_the_crop_back(project: Project) -> None:
    (project.root / "IMG_2.xmp").write_text("<not xmp")
    to_crop(project, "e")
    waiting = read_tree(project.root)
    with closing(CropSession(project)) as session:
        (card,) = session.waiting
        result = session.submit([Order(card.directory, card.filename, BOX)])
    assert result.refused["IMG_2.dng"].startswith("its crop cannot be written into IMG_2.xmp")
    assert read_tree(project.root) == waiting


def test_an_edited_sidecar_refuses_the_undo_and_is_kept(project: Project) -> None:
    to_crop(project, "q")
    batch = crop(project)
    sidecar = project.root / "crop_cropped/IMG_0.xmp"
    sidecar.write_text(sidecar.read_text().replace("+0.35", "+0.50"))
    edited = read_tree(project.root)
    with pytest.raises(ConflictError, match="changed since"):
        undo(project, batch)
    assert read_tree(project.root) == edited


def test_a_raw_file_is_cropped_again_in_its_whole_frame(project: Project) -> None:
    to_crop(project, "e")
    crop(project)
    for name in ("IMG_2.dng", "IMG_2.xmp"):
        (project.root / "crop_cropped" / name).rename(project.root / "crop" / name)
    crop(project, CropBox(0, 0, 0.5, 0.5))
    (row,) = decisions(project).values()
    assert json.loads(row["final_crop_coords"]) == [0, 0, 0.5, 0.5]


def test_a_companion_raw_file_goes_to_the_originals(project: Project) -> None:
    review(project, "s", "q", *FINALISE)
    crop(project)
    there = read_tree(project.root)
    assert {"crop_originals/IMG_3.dng", "crop_originals/IMG_3.jpg", "crop_cropped/IMG_3.jpg"} <= there.keys()


def test_ratings_and_crops_of_raw_files_are_one_sidecar(project: Project) -> None:
    to_crop(project, "q")
    crop(project)
    before = read_tree(project.root)
    planned, _, _ = xmp_export.write(project)
    assert {item.path: item.held for item in planned} == {
        "crop_cropped/IMG_0.xmp": None,
        "delete_staging/IMG_1.xmp": None,
        "delete_staging/IMG_2.xmp": None,
    }
    sidecar, picked = project.root / "crop_cropped/IMG_0.xmp", xmp.rating(5, "Green", picked=True)
    assert xmp.properties(sidecar.read_bytes(), picked) == picked
    assert said(sidecar)["CropTop"] == "0.25"
    assert 'tiff:Orientation="8"' in sidecar.read_text()
    xmp_export.undo(project)
    assert read_tree(project.root) == before


@pytest.mark.parametrize("how", ("--boxes", "--apply-ai"))
def test_commands_crop_raw_files_in_their_sidecars(project: Project, how: str) -> None:
    (group,) = [group for group in queue(project) if burst(project) == group.filenames]
    recommend(project, group, 0, BOX.to_list(), crop_needed=True)
    review(project, "a" if how == "--apply-ai" else "q", *FINALISE)
    waiting = read_tree(project.root)
    given = ("-",) if how == "--boxes" else ()
    line = json.dumps({"filename": "IMG_0.dng", "box": BOX.to_list()})
    ran = run_command("crop", "p", how, *given, "--home", str(project.workspace.root), stdin=line)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert said(project.root / "crop_cropped/IMG_0.xmp")["CropTop"] == "0.25"
    undo(project, 2)
    assert read_tree(project.root) == waiting


def test_the_automation_crops_raw_files_in_their_sidecars(project: Project) -> None:
    for group in queue(project):
        recommend(project, group, 0, BOX.to_list(), crop_needed=True)
    place = sandbox.prepare(project)
    generate(place)
    approve_all(place)
    before = images_tree(place.project.root)
    done = apply.apply(place)
    assert len(done.plan.items) == 2
    there = images_tree(place.project.root)
    assert there["crop_cropped/IMG_0.dng"] == before["IMG_0.dng"]
    assert said(place.project.root / "crop_cropped/IMG_0.xmp")["CropTop"] == "0.25"
    assert "crop_originals/IMG_3.dng" in there
    sha256 = rows(place.project, "SELECT sha256 FROM crops WHERE filename = 'IMG_0.dng'")
    assert sha256 == [{"sha256": before["IMG_0.dng"]}]
    apply.undo_last(place)
    after = images_tree(place.project.root)
    assert after.pop("delete_staging/IMG_3.undone-1.jpg") == there["crop_cropped/IMG_3.jpg"]
    assert after == before


def test_copies_of_a_raw_file_are_found_by_their_content(project: Project) -> None:
    (project.root / "IMG_5.dng").with_name("copy.dng").write_bytes((project.root / "IMG_5.dng").read_bytes())
    projects.rescan(project)
    (pair,) = [pair for pair in find(gather([project]).copies).pairs if pair.kind == "exact"]
    assert {pair.a.path, pair.b.path} == {"IMG_5.dng", "copy.dng"}


def test_a_single_raw_file_is_kept_in_the_folder_viewer(project: Project) -> None:
    before = read_tree(project.root)
    with closing(BrowseSession(project)) as session:
        session.press("n")
        assert session.board.layout.order == ("IMG_5.dng",)
        assert session.images.thumbnail(session._items["IMG_5.dng"])[:2] == b"\xff\xd8"
        for key in ("k", *APPLY):
            session.press(key)
    assert read_tree(project.root)["selected/IMG_5.dng"] == before["IMG_5.dng"]
    undo(project, 1)
    assert read_tree(project.root) == before


def test_exports_of_pictures_leave_raw_files_out(project: Project, tmp_path: Path) -> None:
    review(project, "1", "1", *FINALISE)
    for number, export in enumerate((export_coco, export_imagefolder, export_pairs)):
        folder = tmp_path / f"set{number}"
        done = export([project], folder)
        assert [path.name for path in folder.rglob("*.dng")] == []
        assert done.values["left_out"] == {"RAW file, which is not a picture yet: develop it, or use --xmp": 3}
    assert sorted(path.name for path in (tmp_path / "set1").rglob("*.jpg")) == ["IMG_3.jpg", "IMG_4.jpg"]


def test_raw_files_get_vectors_also_once_they_are_cropped(project: Project) -> None:
    to_crop(project, "q")
    crop(project)
    report = embed(project)
    assert sorted(item.filename for item in look(project, ("crop_cropped",)).items) == ["IMG_0.dng"]
    assert report.embedded == 6


def test_raw_files_are_archived_with_their_sidecars(project: Project) -> None:
    from pickroom.analysis.reports import archive

    review(project, "q", "1", *FINALISE)
    crop(project)
    wanted, left = archive.contents(project)
    assert sorted(wanted) == ["crop_cropped/IMG_0.dng", "crop_cropped/IMG_0.xmp", "selected/IMG_3.jpg"]
    assert left == ["selected/IMG_3.dng"]
    folder = archive.write(project, {})
    with zipfile.ZipFile(folder / f"{archive.DELIVERABLES}.zip") as packed:
        assert sorted(packed.namelist()) == sorted(wanted)


def test_decided_raw_files_stay_when_the_extra_goes(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    review(project, "1", *FINALISE)
    before, waiting = read_tree(project.root), len(queue(project))
    monkeypatch.setitem(sys.modules, "rawpy", None)
    report = projects.rescan(project)
    assert [one.filename for one in report.ungrouped] == ["IMG_5.dng"]
    assert projects.status(project)["skipped"] == []
    assert len(queue(project)) == waiting
    assert whereabouts(project).is_sound
    assert {item.path for item in xmp_export.plan(xmp_export.choices.read(project))} >= {"selected/IMG_0.xmp"}
    undo(project, 1)
    assert len(queue(project)) == waiting + 1
    assert {name.split("/")[-1] for name in before} == {name.split("/")[-1] for name in read_tree(project.root)}


def test_a_crop_without_the_extra_says_what_to_install(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    to_crop(project, "q")
    monkeypatch.setitem(sys.modules, "rawpy", None)
    with closing(CropSession(project)) as session:
        assert "pip install 'pickroom[raw]'" in session.view().problems[0]


def test_a_raw_file_and_an_image_of_its_stem_never_meet(project: Project) -> None:
    shoot(project.root / "selected", {"IMG_3.nef": 0}, photograph=3)
    session = review(project, "s", "1", *FINALISE)
    assert "another image with the stem IMG_3 is in selected/ already" in str(session.last_result)


def test_a_picture_made_of_a_picked_raw_file_may_lie_next_to_it(project: Project) -> None:
    before = read_tree(project.root)
    review(project, "1", *FINALISE)
    PillowImage.new("RGB", (96, 64)).save(project.root / "selected/IMG_0.jpg")
    found = xmp_export.choices.read(project)
    assert (found.lost, found.groups[0].images[0].path) == ([], "selected/IMG_0.dng")
    undo(project, 1)
    assert read_tree(project.root).items() >= before.items()


def test_a_raw_file_that_became_a_companion_is_held_back(project: Project) -> None:
    PillowImage.new("RGB", (96, 64)).save(project.root / "IMG_0.jpg")
    before = read_tree(project.root)
    session = review(project, "1", *FINALISE)
    assert "IMG_0.dng belongs to another image by now" in str(session.last_result)
    assert read_tree(project.root) == before


def test_the_full_size_of_a_raw_file_is_shown_as_jpeg(project: Project) -> None:
    from pickroom.sessions.session import read_picture

    mime, data = read_picture(project, "IMG_5.dng", "x", "full", project.workspace.thumbnails)
    assert (mime, data[:2]) == ("image/jpeg", b"\xff\xd8")
    (project.root / "IMG_5.dng").write_bytes(b"gone bad")
    with pytest.raises(ImageError):
        read_picture(project, "IMG_5.dng", "x", "full", project.workspace.thumbnails)


def test_a_folder_of_raw_files_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shoot(tmp_path / "card", {"a.dng": 0})
    monkeypatch.setitem(sys.modules, "rawpy", None)
    start: Callable[..., object] = projects.start
    with pytest.raises(Exception, match=r"1 \.dng: .*pip install 'pickroom\[raw\]'"):
        start(Workspace(tmp_path / "home"), "p", tmp_path / "card")
