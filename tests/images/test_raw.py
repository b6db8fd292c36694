"""RAW files as images: which are, what is shown of them, how they are turned, and what they say of themselves."""

from __future__ import annotations

import struct
import sys
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import ImageOps
from PIL.ExifTags import Base

from pickroom.core.companions import Companions
from pickroom.core.errors import ImageError
from pickroom.core.naming import ALL_EXTENSIONS
from pickroom.images import capture, decode
from pickroom.images.raw import read_exif
from pickroom.images.scan import ScanResult, count_skipped, scan, walk
from support.raw_files import canon_boxes, stored, write_dng

# red and green above blue and grey
QUARTERS = np.zeros((64, 96, 3), np.uint8)
QUARTERS[:32, :48], QUARTERS[:32, 48:], QUARTERS[32:, :48], QUARTERS[32:, 48:] = (
    (220, 30, 30),
    (30, 200, 30),
    (30, 30, 220),
    (190, 190, 190),
)
PICTURE = PillowImage.fromarray(QUARTERS)
NEEDED = "pip install 'pickroom[raw]'"


def quarters(rgb: PillowImage.Image) -> str:
    """The colour of each quarter, row by row: r, g, b, or w for grey."""
    found = ""
    for x, y in ((0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)):
        pixel = np.asarray(rgb)[int(y * rgb.height), int(x * rgb.width)].astype(int)
        found += "w" if pixel.min() > 120 else "rgb"[int(pixel.argmax())]
    return found


def scanned(folder: Path, cache: Path, known: ScanResult | None = None) -> ScanResult:
    before = {(image.directory, image.filename): image for image in known.images} if known else {}
    return scan(folder, cache, before, ALL_EXTENSIONS)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("preview", [True, False])
def test_a_raw_file_is_shown_upright(tmp_path: Path, orientation: int, preview: bool) -> None:
    path = write_dng(tmp_path / "a.dng", PICTURE, orientation=orientation, preview=preview)
    with decode.open_image(path) as image:
        assert (image.format, image.size, decode.orientation(image)) == ("RAW", (96, 64), orientation)
        assert decode.upright_size(image) == (96, 64)
    rgb = decode.read_rgb(path)
    assert (rgb.size, quarters(rgb)) == ((96, 64) if preview else (48, 32), "rgbw")


@pytest.mark.parametrize("orientation", (1, 3, 6, 8))
def test_a_preview_that_was_turned_already_stays(tmp_path: Path, orientation: int) -> None:
    said = PillowImage.Exif()
    said[Base.Orientation] = 1
    path = write_dng(tmp_path / "a.dng", PICTURE, orientation=orientation, preview=PICTURE, preview_exif=said)
    assert quarters(decode.read_rgb(path)) == "rgbw"
    if orientation != 3:  # nothing but the EXIF says that a picture of this shape was turned by half
        path = write_dng(tmp_path / "b.dng", PICTURE, orientation=orientation, preview=PICTURE)
        assert quarters(decode.read_rgb(path)) == "rgbw"


def test_a_preview_of_another_frame_is_not_shown(tmp_path: Path) -> None:
    letterboxed = PillowImage.new("RGB", (96, 72))
    path = write_dng(tmp_path / "a.dng", PICTURE, preview=letterboxed)
    assert quarters(decode.read_rgb(path)) == "rgbw"
    path = write_dng(tmp_path / "small.dng", PICTURE, preview=PillowImage.new("RGB", (30, 20)))
    assert decode.read_rgb(path).size == (48, 32)


def test_a_large_preview_is_decoded_at_a_smaller_scale(tmp_path: Path) -> None:
    path = write_dng(tmp_path / "a.dng", PICTURE.resize((768, 512)), orientation=6)
    assert decode.read_rgb(path, draft=100).size == (192, 128)


def test_a_raw_file_says_when_and_with_what_it_was_taken(tmp_path: Path) -> None:
    with decode.open_image(write_dng(tmp_path / "a.dng", PICTURE)) as image:
        said = capture.read(image)
    assert said.captured_at == datetime(2024, 5, 6, 7, 8, 9, 250_000)
    assert (said.captured_by, said.utc_offset, said.camera, said.serial) == ("exif", 120, "NIKON Z 6", "6012345")
    with decode.open_image(write_dng(tmp_path / "b.dng", PICTURE, taken="0000:00:00 00:00:00")) as image:
        assert capture.read(image).captured_at is None


def test_the_metadata_of_canons_boxes_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.cr3"
    path.write_bytes(canon_boxes({272: ("s", "Canon EOS R5")}, {36867: ("s", "2024:05:06 07:08:09")}))
    with path.open("rb") as file:
        exif = read_exif(file, None)
    assert exif[Base.Model] == "Canon EOS R5"
    assert exif.get_ifd(0x8769)[Base.DateTimeOriginal] == "2024:05:06 07:08:09"


@pytest.mark.parametrize("mark", (b"IIRO", b"IIU\0"))
def test_tiff_structures_with_other_marks_are_read(tmp_path: Path, mark: bytes) -> None:
    path = write_dng(tmp_path / "a.orf", PICTURE)
    path.write_bytes(mark + path.read_bytes()[4:])
    with path.open("rb") as file:
        assert read_exif(file, None)[Base.Model] == "NIKON Z 6"


def test_truncated_and_mislabelled_raw_files_give_a_reason(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    whole = write_dng(tmp_path / "a.dng", PICTURE).read_bytes()
    reasons = set()
    for number, size in enumerate((9, 300, 700, 3000, len(whole) - 1)):
        path = tmp_path / f"cut{number}.dng"
        path.write_bytes(whole[:size])
        with pytest.raises(ImageError) as refused:
            decode.read_rgb(path)
        reasons.add(refused.value.reason)
    assert reasons == {"truncated"}
    for name, content in (("text.nef", b"not a RAW file\n" * 50), ("fuji.raf", b"FUJIFILMCCD-RAW 0201" + bytes(300))):
        (tmp_path / name).write_bytes(content)
    boxes = struct.pack(">I4s4sI", 16, b"ftyp", b"crx ", 1) + struct.pack(">I4s", 4000, b"mdat") + bytes(99)
    (tmp_path / "cut.cr3").write_bytes(boxes)
    (tmp_path / "empty.arw").touch()
    found = scanned(tmp_path, tmp_path.parent / "cache")
    assert {one.filename: one.reason for one in found.left_out if not one.filename.startswith("cut")} == {
        "empty.arw": "zero bytes",
        "fuji.raf": "unreadable: not an image",
        "text.nef": "unreadable: not an image",
    }
    assert [image.filename for image in found.images] == ["a.dng"]
    assert {one.reason for one in found.left_out if one.filename.startswith("cut")} == {"truncated"}
    assert capfd.readouterr() == ("", "")  # LibRaw writes to the terminal where nobody asks it first


def test_wrong_directories_do_not_make_a_whole_file_truncated(tmp_path: Path) -> None:
    whole = write_dng(tmp_path / "a.nef", PICTURE).read_bytes()
    count = struct.pack("<HHII", 279, 4, 1, 80 * 112 * 2)  # bytes of the mosaic's strip
    wrong = whole.replace(count, count[:8] + struct.pack("<I", 1 << 20))
    assert wrong != whole
    (tmp_path / "a.nef").write_bytes(wrong)
    assert quarters(decode.read_rgb(tmp_path / "a.nef")) == "rgbw"
    (tmp_path / "a.nef").write_bytes(whole[:-5000])
    with pytest.raises(ImageError) as refused:
        decode.open_image(tmp_path / "a.nef")
    assert refused.value.reason == "truncated"


def test_an_image_with_a_raw_files_extension_is_read(tmp_path: Path) -> None:
    PICTURE.save(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").rename(tmp_path / "a.dng")
    assert scanned(tmp_path, tmp_path.parent / "cache").misnamed == ("a.dng (JPEG)",)


def test_a_raw_file_is_an_image_where_it_belongs_to_none() -> None:
    names = ["a.dng", "a.jpg", "a.xmp", "b.NEF", "b.xmp", "b.NEF.xmp", "c.HEIC", "c.CR3", "d.tif", "d.raf", "e.dng.xmp"]
    found = Companions(names)
    assert found.images == {"a.jpg", "b.NEF", "c.HEIC", "d.tif"}
    assert found.of("a.jpg") == ("a.dng", "a.xmp")
    assert found.of("b.NEF") == ("b.NEF.xmp", "b.xmp")
    assert found.of("c.HEIC") == ("c.CR3",)


def test_raw_files_of_other_rules_are_companions() -> None:
    pixel = ["PXL.RAW-01.COVER.jpg", "PXL.RAW-02.ORIGINAL.dng", "IMG_E0001.HEIC", "IMG_0001.DNG", "IMG_0002.DNG"]
    found = Companions(pixel)
    assert found.images == {"PXL.RAW-01.COVER.jpg", "IMG_E0001.HEIC", "IMG_0002.DNG"}
    assert found.of("IMG_E0001.HEIC") == ("IMG_0001.DNG",)


def test_two_raw_files_of_one_stem_are_ambiguous(tmp_path: Path) -> None:
    write_dng(tmp_path / "a.dng", PICTURE)
    write_dng(tmp_path / "a.nef", PICTURE, serial="2")
    reasons = {one.filename: one.reason for one in scanned(tmp_path, tmp_path.parent / "cache").left_out}
    assert reasons == {"a.dng": "ambiguous stem: also a.nef", "a.nef": "ambiguous stem: also a.dng"}


def test_without_the_extra_raw_files_are_counted_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_dng(tmp_path / "a.dng", PICTURE)
    write_dng(tmp_path / "b.dng", PICTURE)
    PICTURE.save(tmp_path / "b.jpg")
    monkeypatch.setitem(sys.modules, "rawpy", None)
    found = scanned(tmp_path, tmp_path.parent / "cache")
    assert [image.filename for image in found.images] == ["b.jpg"]
    assert found.count == 1
    (skipped,) = found.skipped
    assert skipped.line == f"skipped: 1 .dng (a RAW file that belongs to no image is not read without rawpy: {NEEDED})"
    with pytest.raises(ImageError, match="without rawpy"):
        decode.open_image(tmp_path / "a.dng")


def test_images_stay_when_the_extra_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, cache = tmp_path / "images", tmp_path / "cache"
    folder.mkdir()
    for name in ("a", "b"):
        write_dng(folder / f"{name}.dng", PICTURE, serial=name)
    before = scanned(folder, cache)
    write_dng(folder / "b.dng", PICTURE, serial="changed")
    write_dng(folder / "c.dng", PICTURE, serial="new")
    monkeypatch.setitem(sys.modules, "rawpy", None)
    found = scanned(folder, cache, before)
    assert [image.filename for image in found.images] == ["a.dng"]
    assert [one.filename for one in found.left_out] == ["b.dng"]
    assert NEEDED in found.left_out[0].reason
    assert [one.files for one in found.skipped] == [1]
    monkeypatch.undo()
    again = scanned(folder, cache, found)
    assert [image.filename for image in again.images] == ["a.dng", "b.dng", "c.dng"]
    assert again.skipped == ()


def test_raw_files_left_out_of_the_manifest_are_counted(tmp_path: Path) -> None:
    write_dng(tmp_path / "a.dng", PICTURE)
    assert walk(tmp_path, ("png",)) == ([], [])
    (skipped,) = count_skipped(tmp_path, ("png",))
    assert skipped.reason == "left out by allowed_extensions in the project's manifest"


def test_the_support_module_turns_pictures_as_cameras_do() -> None:
    exif = PillowImage.Exif()
    for orientation in range(1, 9):
        exif[Base.Orientation] = orientation
        turned = stored(PICTURE, orientation)
        turned.info["exif"] = exif.tobytes()
        assert quarters(ImageOps.exif_transpose(turned)) == "rgbw"
