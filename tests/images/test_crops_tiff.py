"""TIFF crops: every pixel, and every tag that is still true."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage
from PIL import TiffImagePlugin

from images.pictures import (
    BOX,
    ICC,
    MAKER_NOTE,
    SIZE,
    XMP,
    cropped,
    exif_block,
    exif_fields,
    expected,
    photograph,
    pixels,
)
from pickroom.core.errors import ImageError
from pickroom.core.geometry import to_pixels
from pickroom.images import crops
from pickroom.images.crops import exif

COMPRESSIONS = ["raw", "packbits", "tiff_lzw", "tiff_adobe_deflate"]


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"])
def test_modes_keep_every_pixel_and_their_compression(mode: str, compression: str, tmp_path: Path) -> None:
    source = tmp_path / "a.tif"
    photograph(mode).save(source, compression=compression)
    crop = cropped(source)
    assert crop.mode == mode and np.array_equal(pixels(crop), expected(source))
    assert crop.info["compression"] == compression
    assert crop.tag_v2.get(258) == PillowImage.open(source).tag_v2.get(258)


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "I", "F"])
def test_turned_files_of_any_mode(mode: str, orientation: int, tmp_path: Path) -> None:
    source = tmp_path / "a.tif"
    photograph(mode).save(source, tiffinfo={274: orientation})
    assert np.array_equal(pixels(cropped(source)), expected(source))
    with PillowImage.open(io.BytesIO(crops.render(source, BOX))) as crop:
        assert crop.tag_v2[274] == orientation


@pytest.mark.parametrize(("order", "big"), [("<", False), (">", False), ("<", True)])
@pytest.mark.parametrize("kind", ["u1", "u2", "f4", "i4"])
def test_files_of_another_writer(kind: str, order: str, big: bool, tmp_path: Path) -> None:
    """Both byte orders, tiles, BigTIFF: read by tifffile, which shares no code with us."""
    source = tmp_path / "a.tif"
    values = (np.random.default_rng(0).random(SIZE[::-1]) * 200).astype(kind)
    tifffile.imwrite(source, values, byteorder=order, tile=(32, 32), bigtiff=big, description="hello", metadata=None)
    x1, y1, x2, y2 = to_pixels(BOX, *SIZE)
    with tifffile.TiffFile(io.BytesIO(crops.render(source, BOX))) as crop:
        assert np.array_equal(crop.asarray(), values[y1:y2, x1:x2])
        assert crop.pages[0].description == "hello" and not crop.pages[0].is_tiled


@pytest.mark.parametrize("order", ["<", ">"])
def test_tags_survive(order: str, tmp_path: Path) -> None:
    source = tmp_path / "a.tif"
    tags = TiffImagePlugin.ImageFileDirectory_v2(prefix=b"II" if order == "<" else b"MM")
    tags[270], tags[315], tags[282], tags[283], tags[296] = "a déjà vu", "Anna", 300.5, 299.25, 2
    tags[34377] = b"8BIM\x04\x0c\0\0\0\0\0\x05whole\0" + b"8BIM\x04\x04\0\0\0\0\0\x04iptc"
    tags[700], tags[33432], tags[65000] = XMP, "(c) Anna", (1, 2, 3)
    tags.tagtype |= {700: 1, 34377: 1, 65000: 3}
    photograph().save(source, tiffinfo=tags, icc_profile=ICC, compression="tiff_lzw")
    before, after = PillowImage.open(source).tag_v2, cropped(source).tag_v2
    layout = {256, 257, 273, 278, 279, 34377}
    assert {t: v for t, v in before.items() if t not in layout} == {t: v for t, v in after.items() if t not in layout}
    assert after[34377] == b"8BIM\x04\x04\0\0\0\0\0\x04iptc"
    assert {65000, 270, 315, 700, 34675} <= set(after)


def test_exif_and_gps_survive(tmp_path: Path) -> None:
    source = tmp_path / "a.tif"
    photograph().save(source, exif=exif_block())
    before, crop = exif_fields(PillowImage.open(source)), cropped(source)
    after = exif_fields(crop)
    assert after["main"][0x010F] == before["main"][0x010F] == "Pickroom Cameras"
    assert after["gps"] == before["gps"] != {}
    assert after["exif"] == before["exif"] | {0xA002: crop.width, 0xA003: crop.height}
    assert after["exif"][0x927C] == MAKER_NOTE


def test_a_palette_keeps_its_16_bit_colours(tmp_path: Path) -> None:
    source = tmp_path / "a.tif"
    colours = np.random.default_rng(0).integers(0, 65536, (3, 256), dtype=np.uint16)
    tifffile.imwrite(source, np.asarray(photograph("L")), photometric="palette", colormap=colours)
    with tifffile.TiffFile(io.BytesIO(crops.render(source, BOX))) as crop:
        assert np.array_equal(crop.pages[0].colormap, colours)
    assert np.array_equal(pixels(cropped(source)), expected(source))


@pytest.mark.parametrize("kind", ["u1", "u2"])
def test_white_is_zero(kind: str, tmp_path: Path) -> None:
    source = tmp_path / "a.tif"
    tifffile.imwrite(source, np.asarray(photograph("L")).astype(kind), photometric="miniswhite")
    assert np.array_equal(pixels(cropped(source)), expected(source))


def test_a_lossy_compression_becomes_a_lossless_one(tmp_path: Path) -> None:
    source = tmp_path / "a.tif"
    photograph().save(source, compression="jpeg")
    crop = cropped(source)
    assert crop.info["compression"] == "tiff_adobe_deflate"
    assert np.array_equal(pixels(crop), expected(source))


@pytest.mark.parametrize("compression", ["group3", "group4"])
def test_fax_compressions_of_bilevel_pictures(compression: str, tmp_path: Path) -> None:
    photograph("1").save(tmp_path / "a.tif", compression=compression)
    assert cropped(tmp_path / "a.tif").info["compression"] == compression
    assert np.array_equal(pixels(cropped(tmp_path / "a.tif")), expected(tmp_path / "a.tif"))


def test_the_predictor_is_kept(tmp_path: Path) -> None:
    photograph().save(tmp_path / "a.tif", compression="tiff_lzw", tiffinfo={317: 2})
    assert cropped(tmp_path / "a.tif").tag_v2[317] == 2
    assert np.array_equal(pixels(cropped(tmp_path / "a.tif")), expected(tmp_path / "a.tif"))


@pytest.mark.parametrize(
    ("shape", "kind", "options", "said"),
    [
        ((40, 30, 3), "u2", {"photometric": "rgb"}, "16 + 16 + 16 bits"),
        ((40, 30), "i2", {}, "16 bits"),
        ((40, 30), "u4", {}, "32 bits"),
        ((40, 30), "i1", {}, "8 bits"),
        ((40, 30, 4), "u1", {"photometric": "rgb", "extrasamples": ["assocalpha"]}, "premultiplied"),
        ((40, 30, 4), "u1", {"photometric": "rgb", "extrasamples": ["unspecified"]}, "8 + 8 + 8 + 8 bits"),
        ((40, 30, 3), "u1", {"photometric": "cielab"}, "LAB"),
    ],
)
def test_what_pillow_would_change_is_refused(
    shape: tuple[int, ...], kind: str, options: dict[str, object], said: str, tmp_path: Path
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros(shape, kind), **options)
    with pytest.raises(ImageError) as refused:
        crops.check_croppable(tmp_path / "a.tif")
    assert refused.value.reason.startswith("cannot be cropped: TIFF") and said in refused.value.reason


def test_layers_and_previews_of_the_whole_picture_go(tmp_path: Path) -> None:
    source = tmp_path / "a.tif"
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[37724] = b"Adobe Photoshop Document Data Block\0" + b"layers of the whole picture"
    tags.tagtype[37724] = 7
    photograph().save(source, tiffinfo=tags)
    assert b"layers of the whole" in source.read_bytes()
    assert crops.check_croppable(source) == "layers (Photoshop), which are not cropped"
    assert b"layers of the whole" not in crops.render(source, BOX)


def tiff(order: str, big: bool, tags: dict[int, tuple[int, bytes]], pixels: bytes, *, pixels_first: bool) -> bytes:
    """A grey TIFF of 64 x 48 written byte by byte: its tags as (type, value), the pixels before or behind them.

    A value that is a dict is a directory of its own, and one that is called with its place in the file gives its bytes.
    """
    word, room = ("Q", 8) if big else ("I", 4)
    head = 16 if big else 8
    data = bytearray(head)
    pixels_at = head
    if pixels_first:
        data += pixels

    def directory(rows: dict[int, tuple[int, object]]) -> int:
        body = b""
        for tag, (kind, value) in sorted(rows.items()):
            if isinstance(value, dict):
                value = struct.pack(order + ("Q" if kind == 18 else "I"), directory(value))
            content = value(len(data)) if callable(value) else value
            count = len(content) // {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 13: 4, 18: 8}[kind]
            if len(content) > room:
                data.extend(content + bytes(len(content) % 2))
                content = struct.pack(order + word, len(data) - len(content) - len(content) % 2)
            body += struct.pack(order + "HH" + word, tag, kind, count) + content.ljust(room, b"\0")
        data.extend(struct.pack(order + ("Q" if big else "H"), len(rows)) + body + bytes(room))
        return len(data) - len(body) - room - (8 if big else 2)

    def numbers(kind: int, *values: int) -> tuple[int, bytes]:
        return kind, struct.pack(order + str(len(values)) + ("H" if kind == 3 else "I"), *values)

    layout = {
        256: numbers(3, 64),
        257: numbers(3, 48),
        258: numbers(3, 8 * len(pixels) // (64 * 48)),
        259: numbers(3, 1),
    }
    layout |= {262: numbers(3, 1), 277: numbers(3, 1), 278: numbers(3, 48), 279: numbers(4, len(pixels))}
    if not pixels_first:  # behind everything: where that is shows in a first try
        end = len(tiff(order, big, tags, pixels, pixels_first=True))
        pixels_at = end - len(pixels)
    at = directory(layout | {273: numbers(4, pixels_at)} | tags)
    magic = struct.pack(order + "HHHQ", 43, 8, 0, at) if big else struct.pack(order + "HI", 42, at)
    data[:head] = (b"II" if order == "<" else b"MM") + magic
    return bytes(data) if pixels_first else bytes(data) + pixels


LAYOUTS = [("<", False), (">", False), ("<", True)]  # Pillow reads no big-endian BigTIFF
IPTC = b"\x1c\2\0\0\2\0\2" + b"\x1c\2\x78\0\x0dBoats at noon" + b"\x1c\2\x19\0\7harbour" + bytes(3)
NOISE = np.random.default_rng(4).integers(0, 256, (48, 64), dtype=np.uint8)


def values_of(data: bytes) -> dict[int, bytes]:
    """Each tag's bytes as they lie in the file, those of EXIF included."""
    main = exif.read_first(data)
    found = dict(main.entries)
    if 0x8769 in found:
        found |= exif.read(data, main.integers(0x8769)[0], main.layout).entries
    return {tag: data[entry.start : entry.start + entry.size] for tag, entry in found.items()}


@pytest.mark.parametrize(("order", "big"), LAYOUTS)
@pytest.mark.parametrize("kind", [1, 4, 7])
def test_iptc_of_any_type_keeps_its_bytes(kind: int, order: str, big: bool, tmp_path: Path) -> None:
    """Photoshop writes bytes as LONG: in another byte order they would be turned, four by four."""
    source = tmp_path / "a.tif"
    tags = {
        33723: (kind, IPTC),
        34377: (1, b"8BIM\x04\x04\0\0\0\0\0\x04iptc"),
        282: (5, struct.pack(order + "II", 300, 1)),
    }
    source.write_bytes(tiff(order, big, tags, NOISE.tobytes(), pixels_first=False))
    data = crops.render(source, BOX)
    assert data[:4] == source.read_bytes()[:4]
    before, after = values_of(source.read_bytes()), values_of(data)
    assert {tag: after[tag] for tag in tags} == {tag: before[tag] for tag in tags}
    assert np.array_equal(pixels(cropped(source)), expected(source))
    for reader, options in (
        ("exiftool", ["-s3", "-Caption-Abstract"]),
        ("exiv2", ["-Pt", "-K", "Iptc.Application2.Caption"]),
    ):
        if shutil.which(reader) and not (big and reader == "exiv2"):
            source.with_name("crop.tif").write_bytes(data)
            said = subprocess.run([reader, *options, source.with_name("crop.tif")], capture_output=True, text=True)
            assert said.stdout.strip() == "Boats at noon" and not said.stderr


@pytest.mark.parametrize("pixels_first", [True, False])
@pytest.mark.parametrize(("order", "big"), LAYOUTS)
def test_gps_and_interoperability_survive(order: str, big: bool, pixels_first: bool, tmp_path: Path) -> None:
    source = tmp_path / "a.tif"
    place = struct.pack(order + "6I", 52, 1, 31, 1, 1234, 100)
    interop = {1: (2, b"R98\0"), 0x1001: (3, struct.pack(order + "H", 64)), 0x1002: (3, struct.pack(order + "H", 48))}
    photo = {
        0x9003: (2, b"2025:08:03 06:00:00\0"),
        0xA005: (4, interop),
        0x829A: (5, struct.pack(order + "2I", 1, 250)),
    }
    tags = {
        0x8769: (4, photo),
        0x8825: (13, {1: (2, b"N\0"), 2: (5, place)}),
        34377: (1, b"8BIM\x04\x04\0\0\0\0\0\2ip"),
    }
    source.write_bytes(tiff(order, big, tags, NOISE.tobytes(), pixels_first=pixels_first))
    before, crop = exif_fields(PillowImage.open(source)), cropped(source)
    after = exif_fields(crop)
    assert after["gps"] == before["gps"] and len(after["gps"]) == 2 and after["exif"][0x829A] == 1 / 250
    found = crop.getexif().get_ifd(0xA005)
    assert (found[1], found[0x1001], found[0x1002]) == ("R98", crop.width, crop.height)
    assert values_of(crops.render(source, BOX))[34377] == tags[34377][1]


def canon(order: str, start: int) -> bytes:
    """A maker note as Canon's cameras write it: a directory whose offsets count from the beginning of the file."""
    owner, model = b"Anna\0".ljust(32, b"\0"), b"Firmware Version 1.0\0".ljust(24, b"\0")
    at = start + 2 + 2 * 12 + 4
    rows = struct.pack(order + "HHII", 7, 2, len(model), at) + struct.pack(order + "HHII", 9, 2, len(owner), at + 24)
    return struct.pack(order + "H", 2) + rows + bytes(4) + model + owner


def olympus(order: str, start: int) -> bytes:
    """A maker note with a header of its own (Olympus, Nikon): its offsets count from itself."""
    body = struct.pack(order + "HHHII", 1, 0x0207, 2, 16, 12 + 2 + 12 + 4) + bytes(4) + b"SX123 \0".ljust(16, b"\0")
    return b"OLYMPUS\0" + (b"II" if order == "<" else b"MM") + struct.pack(order + "H", 3) + body


def sony(order: str, start: int) -> bytes:
    """A maker note that points behind itself, at bytes counted from the beginning of the file."""
    text = b"DSC-TEST\0\0\0\0\0\0\0\0"
    body = struct.pack(order + "HHHII", 1, 0xB020, 2, 16, start + 12 + 2 + 12 + 4) + bytes(4) + text
    return b"SONY DSC \0\0\0" + body


@pytest.mark.parametrize("pixels_first", [True, False])
@pytest.mark.parametrize(("order", "big"), LAYOUTS)
@pytest.mark.parametrize(("maker", "note"), [("Canon", canon), ("OLYMPUS", olympus), ("SONY", sony)])
def test_maker_notes_keep_their_place(
    maker: str, note: Any, order: str, big: bool, pixels_first: bool, tmp_path: Path
) -> None:
    source = tmp_path / "a.tif"
    taken = b"2025:08:03 06:00:00\0"
    photo = {0x9003: (2, taken), 0x927C: (7, lambda at: note(order, at)), 0xA002: (3, struct.pack(order + "H", 64))}
    tags = {0x010F: (2, maker.encode() + b"\0"), 0x8769: (18 if big else 4, photo)}
    source.write_bytes(tiff(order, big, tags, NOISE.tobytes(), pixels_first=pixels_first))
    data = crops.render(source, BOX)
    before, after = values_of(source.read_bytes()), values_of(data)
    assert after[0x927C] == before[0x927C] and after[0x9003] == taken
    assert data.index(before[0x927C]) == source.read_bytes().index(before[0x927C])
    assert after[0xA002] == struct.pack(order + "H", cropped(source).width)
    assert np.array_equal(pixels(cropped(source)), expected(source))
    assert len(data) <= source.stat().st_size + 64  # what lay before the note may lie behind it


@pytest.mark.parametrize("size", [3, 6, 12])
@pytest.mark.parametrize("pixels_first", [True, False])
def test_maker_notes_of_any_length_and_place(pixels_first: bool, size: int, tmp_path: Path) -> None:
    """One of a few bytes lies in the entry itself; some programs write one into the first directory."""
    source, notes = tmp_path / "a.tif", [bytes(range(1, size + 1)), bytes(range(101, size + 101))]
    tags = {0x927C: (7, notes[0]), 0x8769: (4, {0x927C: (7, notes[1]), 0x9003: (2, b"2025:08:03 06:00:00\0")})}
    source.write_bytes(tiff(">", False, tags, NOISE.tobytes(), pixels_first=pixels_first))
    data = crops.render(source, BOX)
    main = exif.read_first(data).entries[0x927C]
    assert data[main.start : main.start + size] == notes[0] and values_of(data)[0x927C] == notes[1]
    if size > 4:
        assert [data.index(note) for note in notes] == [source.read_bytes().index(note) for note in notes]


@pytest.mark.parametrize("kind", ["u2", "i4", "f4"])
@pytest.mark.parametrize("options", [{}, {"compression": "deflate"}, {"compression": "deflate", "predictor": 2}])
def test_big_endian_samples_stay_big_endian(kind: str, options: dict[str, Any], tmp_path: Path) -> None:
    source = tmp_path / "a.tif"
    values = (np.random.default_rng(0).random(SIZE[::-1]) * 60_000).astype(kind)
    if kind == "f4":
        options = {name: value for name, value in options.items() if name != "predictor"}
    tifffile.imwrite(source, values, byteorder=">", **options)
    if options and kind != "u2":
        with pytest.raises(ImageError, match="which Pillow misreads"):
            crops.check_croppable(source)
        return
    x1, y1, x2, y2 = to_pixels(BOX, *SIZE)
    with tifffile.TiffFile(io.BytesIO(crops.render(source, BOX))) as crop:
        assert crop.byteorder == ">" and np.array_equal(crop.asarray(), values[y1:y2, x1:x2])
        assert (crop.pages[0].compression == 1) == (not options)


@pytest.mark.parametrize(("subfile", "said"), [(1, ""), (0, "further pictures"), (None, "further pictures"), (5, "")])
def test_previews_of_a_tiff_go_and_pictures_are_refused(subfile: int | None, said: str, tmp_path: Path) -> None:
    source = tmp_path / "a.tif"
    small = {256: (3, b"\1\0"), 257: (3, b"\1\0")} | ({} if subfile is None else {254: (4, struct.pack("<I", subfile))})
    source.write_bytes(tiff("<", False, {330: (4, small)}, NOISE.tobytes(), pixels_first=False))
    if said:
        with pytest.raises(ImageError, match=said):
            crops.check_croppable(source)
    else:
        assert 330 not in values_of(crops.render(source, BOX))


@pytest.mark.parametrize("kinds", [(0, 1), (0, 1, 1), (1, 0), (0, 0), (0, 1, 0)])
def test_pages_that_are_previews_go(kinds: tuple[int, ...], tmp_path: Path) -> None:
    """Cameras and scanners write a reduced picture as the second page (TIFF 6.0, NewSubfileType)."""
    source = tmp_path / "a.tif"
    with tifffile.TiffWriter(source) as file:
        for number, kind in enumerate(kinds):
            file.write(NOISE if number == 0 else NOISE[::2, ::2], subfiletype=kind, metadata=None)
    source.write_bytes(source.read_bytes() + b"behind all pages")
    if 0 in kinds[1:]:
        with pytest.raises(ImageError, match=f"TIFF of {len(kinds)} pages"):
            crops.check_croppable(source)
        return
    data = crops.render(source, BOX)
    assert np.array_equal(pixels(cropped(source)), expected(source)) and data.endswith(b"behind all pages")
    assert data.count(NOISE[::2, ::2].tobytes()[:64]) == 0
    with tifffile.TiffFile(io.BytesIO(data)) as crop:
        assert len(crop.pages) == 1


@pytest.mark.parametrize("told", [None, 0, 100])
def test_pixels_of_unknown_length_are_not_carried(told: int | None, tmp_path: Path) -> None:
    """Readers do without StripByteCounts: the rest of the file may be the picture, which must not follow its crop."""
    source = tmp_path / "a.tif"
    data = bytearray(tiff("<", False, {}, NOISE.tobytes(), pixels_first=False))
    entry = exif.read_first(data).entries[279]
    if told is None:  # a private tag in its place
        struct.pack_into("<H", data, entry.start - 8, 65002)
    else:
        struct.pack_into("<I", data, entry.start, told)
    source.write_bytes(data)
    crop = crops.render(source, BOX)
    assert NOISE[-1].tobytes() not in crop and np.array_equal(pixels(cropped(source)), expected(source))


def test_directories_of_other_programs_are_carried(tmp_path: Path) -> None:
    source = tmp_path / "a.tif"
    inner = {1: (2, b"a text of another program\0"), 2: (3, struct.pack(">H", 7))}
    source.write_bytes(tiff(">", False, {65001: (13, inner)}, NOISE.tobytes(), pixels_first=True))
    data = crops.render(source, BOX)
    main = exif.read_first(data)
    (at,) = main.integers(65001)
    kept = exif.read(data, at, main.layout).entries
    assert data[kept[1].start : kept[1].start + kept[1].size] == inner[1][1] and kept.keys() == inner.keys()
