"""Sidecars on disk: dry first, merged, taken back, and nothing else in the project's folder touched."""

from __future__ import annotations

import json
from contextlib import closing

import pytest

from conftest import read_tree
from exports.conftest import crop_waiting
from pickroom.core.errors import ConflictError, FileOperationError, LockedError, UsageError
from pickroom.exports import choices, sidecars
from pickroom.files import batch as batches
from pickroom.files import xmp
from pickroom.files.preflight import project_lock
from pickroom.store.connect import connect
from pickroom.store.workspace import Project
from support.reviewing import in_child, obey_permissions

OTHER = (
    f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{xmp.RDF}"><rdf:Description rdf:about=""'
    f' xmlns:xmp="{xmp.XMP}" xmp:Rating="2" xmlns:dc="urn:dc" dc:source="mine"/></rdf:RDF></x:xmpmeta>'
)


def of(project: Project, verdict: str) -> str:
    """The path of the first image of a verdict, without a crop."""
    return next(i.path for i in choices.read(project).images if i.verdict == verdict and i.box is None)


def read(project: Project, image: str) -> dict[str, str]:
    packet = (project.root / image.replace(".png", ".xmp")).read_bytes()
    wanted = dict.fromkeys([(xmp.XMP, "Rating"), (xmp.XMP, "Label"), (xmp.CRS, "HasCrop"), (xmp.CRS, "CropTop")], "")
    return {name: value for (_, name), value in xmp.properties(packet, wanted).items()}


def test_verdicts_set_stars_and_only_originals_get_crop_fields(judged: Project) -> None:
    before = read_tree(judged.root)
    planned, _, record = sidecars.write(judged)
    assert record is not None and record.is_relative_to(judged.workspace.logs)
    assert [item.held for item in planned if item.held] == []
    assert read(judged, of(judged, "picked")) == {"Rating": "5", "Label": "Green"}
    assert read(judged, of(judged, "passed over")) == {"Rating": "1"}
    assert read(judged, of(judged, "rejected")) == {"Rating": "-1", "Label": "Red"}
    assert read(judged, of(judged, "kept")) == {"Rating": "3", "Label": "Yellow"}
    cut = next(image for image in choices.read(judged).images if image.box)
    assert read(judged, cut.path) == {"Rating": "5", "Label": "Green", "HasCrop": "True", "CropTop": "0.25"}
    assert read(judged, str(cut.cropped)) == {"Rating": "5", "Label": "Green"}
    after = read_tree(judged.root)
    assert {path: sha for path, sha in after.items() if not path.endswith(".xmp")} == before
    assert len(after) - len(before) == len(planned)


def test_dry_run_matches_real_run_and_second_run_writes_nothing(judged: Project) -> None:
    before = read_tree(judged.root)
    dry = sidecars.plan(choices.read(judged))
    assert read_tree(judged.root) == before
    done, _, _ = sidecars.write(judged)
    assert [(d.path, d.after) for d in dry] == [(d.path, d.after) for d in done]
    again, _, record = sidecars.write(judged)
    assert record is None and all(item.there for item in again)


def test_existing_sidecar_is_merged_then_undone_to_the_byte(judged: Project) -> None:
    image = of(judged, "picked")
    path = judged.root / image.replace(".png", ".xmp")
    path.write_text(OTHER)
    before = read_tree(judged.root)
    planned, _, _ = sidecars.write(judged)
    (merged,) = [item for item in planned if item.before is not None]
    assert merged.changes == ("Rating 2 -> 5",)
    assert 'dc:source="mine"' in path.read_text()
    assert sidecars.undo(judged) == sidecars.Undone(len(planned), {})
    assert read_tree(judged.root) == before
    with pytest.raises(UsageError, match="all are undone"):
        sidecars.undo(judged)


def test_an_earlier_crop_of_the_default_box_is_unset(judged: Project) -> None:
    sidecars.write(judged)
    cut = next(image for image in choices.read(judged).images if image.box)
    with closing(connect(judged.database)) as connection:
        connection.execute("UPDATE crops SET box_source = 'default'")
    planned, _, _ = sidecars.write(judged)
    assert [item.changes for item in planned if not item.there] == [("HasCrop True -> False",)]
    assert read(judged, cut.path)["HasCrop"] == "False"
    path = judged.root / cut.path.replace(".png", ".xmp")
    own = path.read_text().replace('HasCrop="False"', 'HasCrop="True"').replace('CropTop="0.25"', 'CropTop="0.3"')
    path.write_text(own)  # a crop of the user's own, made elsewhere
    assert all(item.there for item in sidecars.plan(choices.read(judged)))


@pytest.mark.parametrize("raw", ["a file beside", "only named"])
def test_sidecar_of_a_raw_file_keeps_its_own_crop_and_size(judged: Project, raw: str) -> None:
    cut = next(image for image in choices.read(judged).images if image.box)
    path = judged.root / cut.path.replace(".png", ".xmp")
    own = (
        f'xmlns:crs="{xmp.CRS}" crs:HasCrop="True" crs:CropTop="0.2" crs:CropAngle="1.5" xmlns:tiff="{xmp.TIFF}" '
        'tiff:Orientation="8" tiff:ImageWidth="6000"'
    )
    if raw == "a file beside":
        path.with_suffix(".CR3").write_bytes(b"raw")
    else:
        own += f' xmlns:photoshop="{xmp.PHOTOSHOP}" photoshop:SidecarForExtension="NEF"'
    path.write_text(OTHER.replace("dc:source", f"{own} dc:source"))
    before = read_tree(judged.root)
    planned, _, _ = sidecars.write(judged)
    assert [item.path for item in planned if item.rating_only] == [path.relative_to(judged.root).as_posix()]
    assert read(judged, cut.path) == {"Rating": "5", "Label": "Green", "HasCrop": "True", "CropTop": "0.2"}
    assert path.read_text().count('Orientation="8"') == path.read_text().count('ImageWidth="6000"') == 1
    assert sidecars.undo(judged).held == {}
    assert read_tree(judged.root) == before


def test_new_sidecar_next_to_a_raw_file_has_no_crop(judged: Project) -> None:
    cut = next(image for image in choices.read(judged).images if image.box)
    (judged.root / cut.path.replace(".png", ".dng")).write_bytes(b"raw")
    sidecars.write(judged)
    assert read(judged, cut.path) == {"Rating": "5", "Label": "Green"}
    sidecars.write(judged, "full")  # NAME.png.xmp is of the image whatever lies there
    assert b"HasCrop" in (judged.root / f"{cut.path}.xmp").read_bytes()


def test_sidecar_edited_since_stays_and_can_be_undone_later(judged: Project) -> None:
    before = read_tree(judged.root)
    sidecars.write(judged)
    path = judged.root / of(judged, "picked").replace(".png", ".xmp")
    ours = path.read_bytes()
    path.write_bytes(ours.replace(b'"5"', b'"4"'))
    undone = sidecars.undo(judged)
    assert list(undone.held.values()) == ["changed since"]
    path.write_bytes(ours)
    assert sidecars.undo(judged).held == {}
    assert read_tree(judged.root) == before


def test_an_edited_sidecar_does_not_keep_the_writes_before_it(judged: Project) -> None:
    before = read_tree(judged.root)
    sidecars.write(judged)
    sidecars.write(judged, "full")
    path = judged.root / f"{of(judged, 'picked')}.xmp"
    path.write_text(OTHER)  # of the second write
    second = sidecars.undo(judged)
    assert second.restored > 0 and list(second.held.values()) == ["changed since"]
    first = sidecars.undo(judged)
    assert first.restored > 0 and list(first.held.values()) == ["changed since"]
    assert read_tree(judged.root).keys() - before.keys() == {path.relative_to(judged.root).as_posix()}


def test_sidecars_travel_with_their_images_and_are_still_undone(judged: Project) -> None:
    sidecars.write(judged)
    with closing(connect(judged.database)) as connection:
        assert not batches.undo_batch(judged, connection, 2).failed  # the crop: its original goes back to crop/
        crop_waiting(judged)
    assert sidecars.undo(judged).held == {}
    assert list(judged.root.rglob("*.xmp")) == []


def test_write_cut_off_midway_is_taken_back(judged: Project) -> None:
    """As after a kill between two sidecars: the record is whole, half of the sidecars are not there."""
    before = read_tree(judged.root)
    planned, _, _ = sidecars.write(judged)
    for item in planned[len(planned) // 2 :]:
        (judged.root / item.path).unlink()
    assert sidecars.undo(judged).held == {}
    assert read_tree(judged.root) == before


def test_full_names_are_as_darktable_and_digikam_write_them(judged: Project) -> None:
    sidecars.write(judged, "full")
    assert (judged.root / f"{of(judged, 'picked')}.xmp").is_file()


def test_what_cannot_be_merged_is_held_back_with_its_reason(judged: Project) -> None:
    broken = judged.root / of(judged, "picked").replace(".png", ".xmp")
    broken.write_bytes(b"<not xmp")
    link = judged.root / of(judged, "rejected").replace(".png", ".xmp")
    link.symlink_to(broken)
    huge = judged.root / of(judged, "kept").replace(".png", ".xmp")
    with huge.open("wb") as file:
        file.truncate(1 << 30)  # a hole: no byte of it is on the disk
    planned, _, _ = sidecars.write(judged)
    held = {item.path: item.held for item in planned if item.held}
    assert held.pop(huge.relative_to(judged.root).as_posix()) == "it has more than 16 MiB"
    assert held[link.relative_to(judged.root).as_posix()] == "it is a link or a folder"
    assert "not XML" in held[broken.relative_to(judged.root).as_posix()]
    assert (broken.read_bytes(), len(held)) == (b"<not xmp", 2)


def test_project_at_work_elsewhere_is_left_alone(judged: Project) -> None:
    before = read_tree(judged.root)
    with project_lock(judged, "moving"), pytest.raises(LockedError):
        sidecars.write(judged)
    assert read_tree(judged.root) == before


def test_write_error_names_the_command_that_removes_sidecars(judged: Project) -> None:
    def attempt() -> str:
        obey_permissions()
        with pytest.raises(FileOperationError) as refused:
            sidecars.write(judged)
        return refused.value.line

    folder = judged.root / "selected"
    folder.chmod(0o500)
    assert in_child(attempt).endswith("(take back what was written so far: pickroom export --xmp --undo)")
    folder.chmod(0o700)
    (record,) = sidecars.standing(judged)
    assert all(set(json.loads(line)) == {"path", "before", "after_sha256"} for line in record.read_text().splitlines())
    assert sidecars.undo(judged).held == {}
    assert list(judged.root.rglob("*.xmp")) == []


def test_an_undo_without_the_images_keeps_its_record(judged: Project) -> None:
    sidecars.write(judged)
    judged.root.rename(judged.root.with_name("away"))
    judged.root.mkdir()  # a mount point without its disk
    with pytest.raises(ConflictError, match="none of the project's images are in this folder"):
        sidecars.undo(judged)
    judged.root.rmdir()
    judged.root.with_name("away").rename(judged.root)
    assert sidecars.undo(judged).restored
    assert not list(judged.root.rglob("*.xmp"))
