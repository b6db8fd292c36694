"""PNG crops: every pixel and every chunk that is still true."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import PngImagePlugin

from images.pictures import BOX, ICC, SIZE, XMP, cropped, exif_block, exif_fields, expected, photograph, pixels
from pickroom.core.errors import ImageError
from pickroom.images import crops

PARAMETERS = "a portrait, détaillé\nNegative prompt: blur\nSteps: 20, Sampler: Euler a, Seed: 1"


def chunks_of(data: bytes) -> list[tuple[bytes, bytes]]:
    """(type, data) of every chunk; the CRCs must hold."""
    found, at = [], 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", data, at + 8 + length)[0] == zlib.crc32(kind + body)
        found.append((kind, body))
        at += 12 + length
    return found


def png_of(*chunks: tuple[bytes, bytes]) -> bytes:
    """The file that these chunks make."""
    parts = [struct.pack(">I", len(b)) + kind + b + struct.pack(">I", zlib.crc32(kind + b)) for kind, b in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def with_chunks(
    data: bytes, before: list[tuple[bytes, bytes]], after: list[tuple[bytes, bytes]] = (), at: bytes = b"IDAT"
) -> bytes:
    """A PNG with more chunks: `before` its pixels (or its first chunk of another kind, `at`), and `after` them."""
    found = chunks_of(data)
    place = [kind for kind, _ in found].index(at)
    return png_of(*found[:place], *before, *found[place:-1], *after, found[-1])


def without(kind: bytes, found: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [chunk for chunk in found if chunk[0] != kind]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "I;16", "P", "RGB", "RGBA"])
def test_modes_keep_every_pixel_and_their_depth(mode: str, tmp_path: Path) -> None:
    source = tmp_path / "a.png"
    photograph(mode).save(source)
    crop = cropped(source)
    assert crop.mode == mode and np.array_equal(pixels(crop), expected(source))
    assert chunks_of(crops.render(source, BOX))[0][1][8:10] == chunks_of(source.read_bytes())[0][1][8:10]


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("kind", ["grey", "palette"])
def test_small_depths_stay_small(kind: str, bits: int, tmp_path: Path) -> None:
    source = tmp_path / "a.png"
    image = photograph("L") if kind == "grey" else photograph().quantize(1 << bits)
    image.save(source, bits=bits)
    crop = cropped(source)
    assert np.array_equal(pixels(crop), expected(source))
    assert chunks_of(crops.render(source, BOX))[0][1][8] == bits
    if kind == "palette":
        assert crop.getpalette() == PillowImage.open(source).getpalette()


def test_a_short_palette_stays_short(tmp_path: Path) -> None:
    source = tmp_path / "a.png"
    photograph().quantize(200).save(source)
    before, after = (dict(chunks_of(data)) for data in (source.read_bytes(), crops.render(source, BOX)))
    assert before[b"PLTE"] == after[b"PLTE"] and len(after[b"PLTE"]) == 600


@pytest.mark.parametrize(
    ("mode", "transparency"), [("P", bytes(range(256))), ("P", 3), ("L", 90), ("RGB", (10, 20, 30)), ("I;16", 777)]
)
def test_transparency_without_an_alpha_channel(mode: str, transparency: object, tmp_path: Path) -> None:
    source = tmp_path / "a.png"
    photograph(mode).save(source, transparency=transparency)
    with PillowImage.open(source) as image:
        assert cropped(source).info["transparency"] == image.info["transparency"]
    assert np.array_equal(pixels(cropped(source)), expected(source))


def test_text_survives_byte_for_byte(tmp_path: Path) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("parameters", PARAMETERS)
    text.add_text("Comment", "one")
    text.add_text("Comment", "two")
    text.add_text("long", "prompt " * 500, zip=True)
    text.add_itxt("Title", "Bildnis", lang="de", tkey="Titel")
    text.add_itxt("XML:com.adobe.xmp", XMP.decode(), zip=True)
    photograph().save(tmp_path / "a.png", pnginfo=text)
    before = [c for c in chunks_of((tmp_path / "a.png").read_bytes()) if c[0] in (b"tEXt", b"zTXt", b"iTXt")]
    after = [c for c in chunks_of(crops.render(tmp_path / "a.png", BOX)) if c[0] in (b"tEXt", b"zTXt", b"iTXt")]
    assert before == after and len(after) == 6
    crop = cropped(tmp_path / "a.png")
    assert crop.text["parameters"] == PARAMETERS and crop.text["Title"].lang == "de"


def test_profile_resolution_and_colour_chunks_survive(tmp_path: Path) -> None:
    source = tmp_path / "a.png"
    photograph("P").save(source, icc_profile=ICC, dpi=(300, 200))
    colour = [(b"gAMA", struct.pack(">I", 45455)), (b"cHRM", bytes(32)), (b"tIME", bytes(7))]
    suggested = [(b"bKGD", b"\x01"), (b"hIST", bytes(512))]
    data = with_chunks(source.read_bytes(), suggested, [(b"tEXt", b"Late\0after the pixels")])
    source.write_bytes(with_chunks(data, colour, at=b"PLTE"))
    before, after = chunks_of(source.read_bytes()), chunks_of(crops.render(source, BOX))
    # how often the source has each colour is not true of the crop
    assert without(b"hIST", without(b"IDAT", before))[1:] == without(b"IDAT", after)[1:]
    assert cropped(source).info["icc_profile"] == ICC
    assert cropped(source).info["dpi"] == PillowImage.open(source).info["dpi"]


@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_survives_but_for_what_is_untrue(order: str, tmp_path: Path) -> None:
    source = tmp_path / "a.png"
    photograph().save(source, exif=exif_block(3, order))
    before, crop = exif_fields(PillowImage.open(source)), cropped(source)
    after = exif_fields(crop)
    sizes = {0x0100: crop.width, 0x0101: crop.height}
    assert after["main"] == before["main"] | sizes
    assert after["exif"] == before["exif"] | {0xA002: crop.width, 0xA003: crop.height}
    assert after["gps"] == before["gps"] and before["thumbnail"] and not after["thumbnail"]


def test_exif_behind_the_pixels_turns_the_crop_too(tmp_path: Path) -> None:
    source = tmp_path / "a.png"
    photograph().save(source)
    source.write_bytes(with_chunks(source.read_bytes(), [], [(b"eXIf", exif_block(6)[6:])]))
    assert np.array_equal(pixels(cropped(source)), expected(source))
    assert cropped(source).getexif()[0x0112] == 6


def test_safe_chunks_stay_and_untrue_ones_go(tmp_path: Path) -> None:
    source = tmp_path / "a.png"
    photograph().save(source)
    extra = [(b"saFe", b"to copy"), (b"iDOT", bytes(28)), (b"oFFs", bytes(9)), (b"caBX", b"signature")]
    extra += [(b"acTL", struct.pack(">II", 1, 0)), (b"fcTL", struct.pack(">5IHHBB", 0, *SIZE, 0, 0, 1, 10, 0, 0))]
    source.write_bytes(with_chunks(source.read_bytes(), extra))
    assert [kind for kind, _ in without(b"IDAT", chunks_of(crops.render(source, BOX)))] == [b"IHDR", b"saFe", b"IEND"]


@pytest.mark.parametrize("kind", [b"mkBT", b"sTER", b"msOG"])
def test_chunks_bound_to_the_pixels_are_refused(kind: bytes, tmp_path: Path) -> None:
    """Layers of Fireworks, a picture for each eye, Office's GIF of the same picture."""
    source = tmp_path / "a.png"
    photograph().save(source)
    source.write_bytes(with_chunks(source.read_bytes(), [(kind, b"content")]))
    with pytest.raises(ImageError) as refused:
        crops.check_croppable(source)
    said = f"holds a chunk bound to its pixels ({kind.decode()}), which would be lost"
    assert refused.value.reason == f"cannot be cropped: {said}"


@pytest.mark.parametrize("colour", [2, 4, 6])
def test_16_bit_colour_is_refused(colour: int, tmp_path: Path) -> None:
    channels = {2: 3, 4: 2, 6: 4}[colour]
    head = struct.pack(">IIBBBBB", 4, 4, 16, colour, 0, 0, 0)
    rows = zlib.compress((b"\0" + bytes(4 * channels * 2)) * 4)
    data = png_of((b"IHDR", head), (b"IDAT", rows), (b"IEND", b""))
    (tmp_path / "a.png").write_bytes(data)
    PillowImage.open(io.BytesIO(data)).load()  # a valid file
    with pytest.raises(ImageError) as refused:
        crops.check_croppable(tmp_path / "a.png")
    assert refused.value.reason == "cannot be cropped: 16-bit colour PNG, which would be cut to 8 bits"


def test_an_interlaced_source(tmp_path: Path) -> None:
    """PNG, section 8.1: seven passes, each a smaller picture; Pillow writes none, so that they are laid out here."""
    values = np.asarray(photograph("L"))
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    rows = [row for x, y, dx, dy in passes for row in values[y::dy, x::dx]]
    head = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 8, 0, 0, 0, 1)
    pixels_of_it = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    (tmp_path / "a.png").write_bytes(png_of((b"IHDR", head), (b"IDAT", pixels_of_it), (b"IEND", b"")))
    assert PillowImage.open(tmp_path / "a.png").info["interlace"] == 1
    assert np.array_equal(pixels(cropped(tmp_path / "a.png")), expected(tmp_path / "a.png"))
