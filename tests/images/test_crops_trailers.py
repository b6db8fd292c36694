"""What lies behind the end of a picture: kept where it is true of a crop, refused with the reason where it is not."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import struct
import subprocess
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image as PillowImage

from images.pictures import BOX, MAKER_NOTE, SIZE, THUMBNAIL, cropped, exif_block, photograph
from pickroom.core.errors import ImageError
from pickroom.images import crops
from pickroom.images.crops import trailers
from pickroom.images.crops.regions import CropError

FORMATS = ["jpg", "png", "webp", "tif", "bmp", "heic", "avif"]
PREVIEW = b"\xff\xd8\xff\xdb the whole picture, small \xff\xd9"


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


VIDEO = (
    box(b"ftyp", b"mp42\0\0\0\0mp42isom") + box(b"mdat", b"frames" * 50) + box(b"moov", b"stco, from the video's start")
)
MOTION_PHOTO = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:GCamera="http://ns.google.com/photos/1.0/camera/" GCamera:MotionPhoto="1" '
    b'GCamera:MicroVideo="1" GCamera:MicroVideoOffset="%d"/></rdf:RDF></x:xmpmeta>'
)


def made(path: Path, trailer: bytes, **options: object) -> Path:
    photograph().save(path, **options)
    with path.open("ab") as file:
        file.write(trailer)
    return path


def tags_of(path: Path, *names: str) -> dict[str, object]:
    """What exiftool reads of a file, by "group:name"."""
    if shutil.which("exiftool") is None:
        pytest.skip("exiftool is not installed")
    arguments = ["exiftool", "-j", "-G0", *(f"-{name}" for name in names), str(path)]
    (tags,) = json.loads(subprocess.run(arguments, capture_output=True, check=True).stdout)
    return {name: value for name, value in tags.items() if name != "SourceFile"}


def crop_of(source: Path) -> Path:
    target = source.with_name(f"crop{source.suffix}")
    target.write_bytes(crops.render(source, BOX))
    assert PillowImage.open(target).size == (165, 102)
    return target


def refused(source: Path) -> str:
    with pytest.raises(ImageError) as checked:
        crops.check_croppable(source)
    with pytest.raises(ImageError) as rendered:
        crops.render(source, BOX)
    assert checked.value.reason == rendered.value.reason
    return checked.value.reason


def samsung(*blocks: tuple[int, bytes, bytes]) -> bytes:
    """A SEF trailer of (kind, name, content): its directory counts backwards from itself."""
    body, entries = b"", []
    for kind, name, content in blocks:
        data = struct.pack("<HHI", 0, kind, len(name)) + name + content
        entries.append((kind, len(body), len(data)))
        body += data
    rows = b"".join(struct.pack("<HHII", 0, kind, len(body) - at, size) for kind, at, size in entries)
    head = b"SEFH" + struct.pack("<II", 101, len(entries)) + rows
    return body + head + struct.pack("<I", len(head)) + b"SEFT"


def afcp(at: int, *entries: tuple[bytes, bytes]) -> bytes:
    """An AFCP trailer for this place in the file: its offsets count from the file's beginning."""
    rows, values, value_at = b"", b"", at + 12 + 12 * len(entries)
    for tag, value in entries:
        rows += tag + struct.pack(">II", len(value), value_at + len(values))
        values += value
    head = b"AXS!" + struct.pack(">HHI", 0, len(entries), 0)
    return head + rows + values + b"AXS!" + struct.pack(">II", at, 0)


def fotostation(*records: tuple[int, bytes]) -> bytes:
    return b"".join(value + struct.pack(">HII", tag, len(value) + 10, 0xA1B2C3D4) for tag, value in records)


def photo_mechanic(**values: int) -> bytes:
    numbers = {"colour_class": 222, "rating": 223, "crop_left": 217, "raw_crop_right": 211}
    sets = b"".join(struct.pack(">HBHi", 0x1C02, numbers[name], 4, value) for name, value in values.items())
    return sets + struct.pack(">I", len(sets)) + b"cbipcbbl"


MARKS = [b"", b"SEFT", b"QDIOBS", b"AXS!\0\0\0\1\0\0\0\0", b"\0\0\0\6cbipcbbl", b"PK\5\6" + bytes(18)]
MARKS += [b"\0\2\0\0\0\x14\xa1\xb2\xc3\xd4"]
CAPTION = b"\x1c\x02\x78\0\x0dBoats at noon"


@pytest.mark.parametrize(
    "trailer",
    [b"TRAILER of 24 bytes data", VIDEO, photo_mechanic(colour_class=2, rating=4), fotostation((1, CAPTION)), bytes(5)],
    ids=["text", "video", "photo mechanic", "fotostation", "zeros"],
)
@pytest.mark.parametrize("extension", FORMATS)
def test_trailers_stay_in_every_format(extension: str, trailer: bytes, tmp_path: Path) -> None:
    if extension == "heic" and trailer == VIDEO:
        trailer = box(b"mpvd", VIDEO)  # libheif reads no file with a second one joined to it
    source = made(tmp_path / f"a.{extension}", trailer)
    crops.check_croppable(source)
    data = crop_of(source).read_bytes()
    if trailer.strip(b"\0"):
        assert data.endswith(trailer) and data.count(trailer) == 1
    PillowImage.open(io.BytesIO(data)).load()


@pytest.mark.parametrize(
    "options", [{"progressive": True}, {"quality": 95, "subsampling": 0}, {"restart_marker_rows": 1}]
)
def test_the_end_of_a_jpeg_is_found_behind_its_scans(options: dict[str, object], tmp_path: Path) -> None:
    source = made(tmp_path / "a.jpg", VIDEO, exif=exif_block(), **options)
    data = crops.render(source, BOX)
    assert data.endswith(b"\xff\xd9" + VIDEO) and len(data) < source.stat().st_size


def test_a_comment_behind_the_scans_of_a_jpeg_stays(tmp_path: Path) -> None:
    source = made(tmp_path / "a.jpg", b"")
    comment = b"\xff\xfe\0\x0ca comment!"
    source.write_bytes(source.read_bytes()[:-2] + comment + b"\xff\xd9behind")
    data = crops.render(source, BOX)
    assert data.count(comment) == 1 and data.endswith(b"\xff\xd9behind")


def test_a_motion_photo_keeps_its_video_where_xmp_says(tmp_path: Path) -> None:
    source = made(tmp_path / "a.jpg", VIDEO, xmp=MOTION_PHOTO % len(VIDEO))
    data = crops.render(source, BOX)
    assert data[-len(VIDEO) :] == VIDEO and b'MicroVideoOffset="%d"' % len(VIDEO) in data


@pytest.mark.parametrize(
    "extra",
    [
        b"",
        box(b"skip", b""),
        struct.pack(">I4sQ", 1, b"sefd", 20) + b"data",
        box(b"sefd", samsung((0x0A01, b"Image_UTC_Data", b"1700000000000"))),
        b"text",
    ],
)
def test_a_heic_keeps_the_boxes_of_other_programs(extra: bytes, tmp_path: Path) -> None:
    source = made(tmp_path / "a.heic", box(b"mpvd", VIDEO) + extra)
    kept = b"" if b"skip" in extra else extra
    assert crop_of(source).read_bytes().endswith(box(b"mpvd", VIDEO) + kept)


@pytest.mark.parametrize(("kind", "content_type", "said"), [("note", "", ""), ("mime", "text/x-game", "text/x-game")])
def test_items_of_a_heic_stay_or_are_refused(kind: str, content_type: str, said: str, tmp_path: Path) -> None:
    """libheif carries items of kinds it does not know, but takes any "mime" item for XMP."""
    source = tmp_path / "a.heic"
    item = {"type": kind, "content_type": content_type, "data": b"written by another program"}
    photograph().save(source, xmp=b"<x/>", metadata=[item])
    if said:
        assert said in refused(source)
    else:
        assert item["data"] in crop_of(source).read_bytes()


def test_a_heic_with_a_sequence_is_refused(tmp_path: Path) -> None:
    assert "image sequence or a video" in refused(made(tmp_path / "b.heic", box(b"moov", b"samples at 4711")))


def test_a_samsung_trailer_is_read_as_before(tmp_path: Path) -> None:
    blocks = [(0x0A01, b"Image_UTC_Data", b"1700000000000"), (0x0A30, b"MotionPhoto_Data", VIDEO)]
    source = made(tmp_path / "a.jpg", samsung(*blocks))
    assert crop_of(source).read_bytes().endswith(samsung(*blocks))
    names = ["TimeStamp", "EmbeddedVideoType", "EmbeddedVideoFile", "Warning"]
    assert tags_of(tmp_path / "crop.jpg", *names) == tags_of(source, *names) != {}


def test_photo_mechanic_and_fotostation_are_read_as_before(tmp_path: Path) -> None:
    soft_edit = struct.pack(">12i", *SIZE, 3, 72000, 9000, 0x11222211, 0, 0, 100_000, 100_000, 0, 0)
    trailer = fotostation((1, CAPTION), (4, PREVIEW), (2, soft_edit), (3, PREVIEW)) + photo_mechanic(colour_class=2)
    crop = crop_of(made(tmp_path / "a.jpg", trailer))
    assert PREVIEW not in crop.read_bytes()
    tags = tags_of(crop, "FotoStation:all", "PhotoMechanic:all", "IPTC:all", "Warning")
    assert (tags["FotoStation:OriginalImageWidth"], tags["FotoStation:OriginalImageHeight"]) == (165, 102)
    assert tags["FotoStation:Rotation"] == 270 and "Warning" not in str(tags)
    assert tags["PhotoMechanic:ColorClass"] == "2 (Winner alt)" and tags["IPTC:Caption-Abstract"] == "Boats at noon"


@pytest.mark.parametrize("extension", ["jpg", "tif"])
def test_afcp_keeps_its_place_in_the_file(extension: str, tmp_path: Path) -> None:
    source = made(tmp_path / f"a.{extension}", b"")
    trailer = afcp(source.stat().st_size, (b"IPTC", CAPTION), (b"TEXT", b"taken at noon")) + photo_mechanic(rating=3)
    source.write_bytes(source.read_bytes() + trailer)
    crop = crop_of(source)
    assert crop.stat().st_size == source.stat().st_size and crop.read_bytes().endswith(trailer)
    names = ["IPTC:Caption-Abstract", "AFCP:all", "PhotoMechanic:all", "Warning"]
    assert tags_of(crop, *names) == tags_of(source, *names)
    assert tags_of(crop, *names)["IPTC:Caption-Abstract"] == "Boats at noon"


@pytest.mark.parametrize("extension", FORMATS)
@pytest.mark.parametrize("joined", [True, False])
def test_archives_are_read_as_before(extension: str, joined: bool, tmp_path: Path) -> None:
    """An archive counts from the file's beginning, or from its own where it was written apart and then joined."""
    source = made(tmp_path / f"a.{extension}", b"", quality=98)
    archive = io.BytesIO(b"" if joined else source.read_bytes())
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("notes.txt", "behind the picture")
        file.writestr("more.txt", "and more")
    source.write_bytes(source.read_bytes() + archive.getvalue() if joined else archive.getvalue())
    crop = crop_of(source)
    with zipfile.ZipFile(crop) as kept:
        assert kept.testzip() is None and kept.read("notes.txt") == b"behind the picture"
    assert (crop.stat().st_size < source.stat().st_size) == joined
    if shutil.which("unzip"):
        subprocess.run(["unzip", "-tqq", crop], check=joined is False, capture_output=True)


def test_a_crop_that_takes_the_place_is_refused(tmp_path: Path) -> None:
    assert trailers.after_crop(afcp(100, (b"TEXT", b"x")), 100, 90, (1, 1)).startswith(bytes(10) + b"AXS!")
    assert trailers.after_crop(b"sound at 4711 QDIOBS", 100, 90, (1, 1)) == bytes(10) + b"sound at 4711 QDIOBS"
    with pytest.raises(CropError, match="must keep its place"):
        trailers.after_crop(afcp(100, (b"TEXT", b"x")), 100, 101, (1, 1))
    with pytest.raises(CropError):  # without its previews, what is behind them would move
        trailers.after_crop(fotostation((4, PREVIEW)) + afcp(100, (b"TEXT", b"x")), 100, 90, (1, 1))


@pytest.mark.parametrize(
    ("trailer", "said"),
    [
        (PREVIEW, "another picture"),
        (bytes(16) + PREVIEW + VIDEO, "another picture"),
        (samsung((0x0AB1, b"DualShot_DepthMap_1", b"depths")), "depth map"),
        (samsung((0x0001, b"DualShot_1", PREVIEW), (0x0A01, b"Image_UTC_Data", b"17")), "second picture"),
        (b"CANON OPTIONAL DATA\0\0\1\0\0" + b"\xff\xff\x00\xf4recipe" + b"CANON OPTIONAL DATA\0", "editing recipe"),
        (afcp(0, (b"Nail", PREVIEW)), "preview of the uncropped picture"),
        (fotostation((2, struct.pack(">12i", *SIZE, 3, 1, 0, 0, 5_000, 0, 90_000, 100_000, 0, 0))), "soft crop (Foto"),
        (photo_mechanic(crop_left=120, colour_class=1), "soft crop (Photo Mechanic)"),
        (photo_mechanic(raw_crop_right=30_000), "soft crop (Photo Mechanic)"),
    ],
)
def test_what_a_crop_makes_untrue_is_refused(trailer: bytes, said: str, tmp_path: Path) -> None:
    reason = refused(made(tmp_path / "a.jpg", trailer))
    assert reason.startswith("cannot be cropped: holds ") and said in reason


@pytest.mark.parametrize("noted", [False, True])
def test_previews_go_and_what_lies_behind_them_stays(noted: bool, tmp_path: Path) -> None:
    """A camera's larger preview is in the index of pictures (CIPA DC-007); Samsung's trailer follows.

    Some cameras tell the preview's length in their maker note, too, without the zeros that the index counts.
    """
    source, trailer = tmp_path / "a.jpg", samsung((0x0A01, b"Image_UTC_Data", b"1700000000000"))
    exif = exif_block().replace(bytes(range(30, 34)), b"SIZE")
    options = {"save_all": True, "append_images": [photograph().resize((80, 60))], "quality": 90, "exif": exif}
    photograph().save(source, "MPO", **options)
    data = source.read_bytes()
    preview = data[data.rindex(b"\xff\xd8\xff") :]
    data = data.replace(b"SIZE", struct.pack("<I", len(preview)) if noted else b"size") + bytes(9)
    sizes = data.index(struct.pack("<I", len(preview)), data.index(b"MPF\0"))
    data = data[:sizes] + struct.pack("<I", len(preview) + 9) + data[sizes + 4 :]
    at = data.index(struct.pack("<I", 0x030000), data.index(b"0100"))
    source.write_bytes(data[: at + 16] + struct.pack("<I", 0x010001) + data[at + 20 :] + trailer)
    crop = crops.render(source, BOX)
    assert crop.count(b"\xff\xd8\xff") == 1 and crop.endswith(b"\xff\xd9" + trailer)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("told", ["place", "length", "both"])
def test_a_preview_that_a_maker_note_tells_goes(told: str, order: str, tmp_path: Path) -> None:
    """Cameras of before MPF put a larger preview behind the picture; the note's numbers of it become 0."""
    small = io.BytesIO()
    photograph().resize((80, 60)).save(small, "JPEG")
    preview, source = small.getvalue(), tmp_path / "a.jpg"
    marks = (b"PLACE4!!", b"LENGTH!!")
    exif = exif_block(1, order).replace(bytes(range(30, 46)), b"".join(marks))
    photograph().save(source, exif=exif)
    data = source.read_bytes() + bytes(7)
    numbers = (len(data) - data.index(b"Exif\0\0") - 6, len(preview))
    for mark, number, kind in zip(marks, numbers, ("place", "length"), strict=True):
        known = told in (kind, "both")
        data = data.replace(mark, struct.pack(order + "II", number, 1) if known else bytes(8))
    source.write_bytes(data + preview + VIDEO)
    crop = crops.render(source, BOX)
    assert preview not in crop and crop.endswith(VIDEO) and crop.count(b"\xff\xd8\xff") == 1
    lost = [struct.pack(order + "II", number, 1) for number in numbers]
    assert not any(number in crop for number in lost)
    zeros = {"place": 1, "length": 1, "both": 2}[told]
    assert crop.count(struct.pack(order + "II", 0, 1)) - data.count(struct.pack(order + "II", 0, 1)) == zeros


def test_chunks_of_a_webp_stay_in_their_order(tmp_path: Path) -> None:
    source = tmp_path / "a.webp"
    photograph("RGBA").save(source, xmp=b"<x/>", exif=exif_block(3))
    data = source.read_bytes()
    body = data[12:] + b"note\5\0\0\0hello\0" + b"C2PA\4\0\0\0sign"
    source.write_bytes(b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body + b"behind")
    kinds = [kind for kind, _ in crops.chunks._webp_chunks(crops.render(source, BOX))]
    assert kinds == [b"VP8X", b"ALPH", b"VP8 ", b"EXIF", b"XMP ", b"note"]
    assert crops.render(source, BOX).endswith(b"behind") and cropped(source).mode == "RGBA"


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_webp_of_one_chunk_gets_a_header_with_another(mode: str, lossless: bool, tmp_path: Path) -> None:
    source = tmp_path / "a.webp"
    photograph(mode).save(source, lossless=lossless)
    data = source.read_bytes()
    body = data[12:] + b"note\4\0\0\0four"
    source.write_bytes(b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body)
    crop = cropped(source)
    crop.load()
    assert crop.mode == mode and b"note\4\0\0\0four" in crops.render(source, BOX)


def signed(extension: str) -> bytes:
    """A picture with content credentials, as C2PA places them in each format."""
    buffer = io.BytesIO()
    options = {"tiffinfo": {52545: b"jumb manifest"}} if extension == "tif" else {}
    photograph().save(
        buffer, {"jpg": "JPEG", "tif": "TIFF", "heic": "HEIF"}.get(extension, extension.upper()), **options
    )
    data = buffer.getvalue()
    if extension == "jpg":
        segment = b"JP\0\1\0\0\0\1" + box(b"jumb", b"manifest")
        return data[:2] + struct.pack(">HH", 0xFFEB, len(segment) + 2) + segment + data[2:]
    if extension == "png":
        return data[:33] + struct.pack(">I12sI", 8, b"caBXmanifest", zlib.crc32(b"caBXmanifest")) + data[33:]
    if extension == "webp":
        body = data[12:] + b"C2PA" + struct.pack("<I", 8) + b"manifest"
        return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body
    if extension == "heic":
        return data + box(b"uuid", bytes.fromhex("d8fec3d61b0e483c92975828877ec481") + b"manifest")
    return data


@pytest.mark.parametrize("extension", ["jpg", "png", "webp", "tif", "heic"])
def test_signatures_are_left_out_and_named(extension: str, tmp_path: Path) -> None:
    source = tmp_path / f"a.{extension}"
    source.write_bytes(signed(extension))
    assert b"manifest" in source.read_bytes() and b"manifest" not in crops.render(source, BOX)
    assert crops.check_croppable(source) == "content credentials (C2PA), which vouch for the uncropped file alone"
    photograph().save(source)
    assert crops.check_croppable(source) == ""


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("extension", ["jpg", "png", "webp", "heic"])
def test_an_exif_block_is_changed_in_place(extension: str, order: str, tmp_path: Path) -> None:
    """Every byte but the sizes and the preview is where it was in the block: maker notes with offsets stay true."""
    source = tmp_path / f"a.{extension}"
    block = exif_block(1, order)[6:]
    photograph().save(source, exif=b"Exif\0\0" + block)
    data = crops.render(source, BOX)
    start, length = data.index(block[:8]), len(block) - len(THUMBNAIL)
    changed = [at for at in range(length) if data[start + at] != block[at]]
    assert block in source.read_bytes() and THUMBNAIL not in data
    assert data.index(MAKER_NOTE) - start == block.index(MAKER_NOTE) and 0 < len(changed) <= 16


@given(st.binary(max_size=80), st.sampled_from(MARKS), st.integers(0, 200), st.integers(0, 200))
@example(b"", struct.pack(">HII", 2, 10, 0xA1B2C3D4), 0, 0)
@example(b"", fotostation((2, b"short")), 0, 0)
@example(b"PK\x06\x07", b"PK\x05\x06", 0, 0)
def test_damage_behind_a_picture_raises_nothing_else(noise: bytes, mark: bytes, at: int, new_at: int) -> None:
    trailer = noise + mark
    trailers.refusal(trailer)
    with contextlib.suppress(CropError):
        kept = trailers.after_crop(trailer, at, new_at, (10, 20))
        assert len(kept) <= len(trailer) + max(at - new_at, 0)
