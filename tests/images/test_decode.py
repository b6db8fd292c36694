"""One image file becomes upright RGB, or a few words why it cannot: every format, mode and kind of damage."""

from __future__ import annotations

import os
import struct
import tempfile
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from conftest import write_image
from hostile.guard import limit_memory
from pickroom.core.errors import ImageError
from pickroom.images import decode, metadata
from support.damaged import png_of_no_pixels, write_truncated
from support.reviewing import in_child

RED, GREEN, BLUE, YELLOW, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 255, 255)
FORMATS = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP", "tif": "TIFF", "bmp": "BMP", "heic": "HEIF"}
Turn = Pillow.Transpose
# how an upright picture is stored so that the orientation shows it upright again (Exif 2.32, table 4)
STORED = {
    1: None,
    2: Turn.FLIP_LEFT_RIGHT,
    3: Turn.ROTATE_180,
    4: Turn.FLIP_TOP_BOTTOM,
    5: Turn.TRANSPOSE,
    6: Turn.ROTATE_90,
    7: Turn.TRANSVERSE,
    8: Turn.ROTATE_270,
}


def quarters(size: tuple[int, int] = (48, 32)) -> Pillow.Image:
    """Red and green above blue and yellow: an image that shows how it is turned."""
    image = Pillow.new("RGB", size)
    wide, high = size[0] // 2, size[1] // 2
    for place, colour in (((0, 0), RED), ((wide, 0), GREEN), ((0, high), BLUE), ((wide, high), YELLOW)):
        image.paste(colour, (*place, place[0] + wide, place[1] + high))
    return image


def corners(image: Pillow.Image) -> list[tuple[int, ...]]:
    """The colours of the four quarters, rounded, so that a lossy format passes."""
    wide, high = image.size
    points = [(x, y) for y in (high // 4, high * 3 // 4) for x in (wide // 4, wide * 3 // 4)]
    return [tuple(255 * round(value / 255) for value in image.getpixel(point)) for point in points]  # type: ignore[union-attr]


# ------------------------------------------------------------------------------------------------ what is read


@pytest.mark.parametrize("extension", ["png", "jpg", "jpeg", "webp", "tif", "tiff", "bmp", "heic", "heif"])
def test_every_format_is_read_as_8_bit_rgb(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"a.{extension}"
    quarters().save(path)
    rgb = decode.read_rgb(path)
    assert (rgb.mode, rgb.size) == ("RGB", (48, 32))
    assert corners(rgb) == [RED, GREEN, BLUE, YELLOW]


@pytest.mark.parametrize("name", ["a.PNG", "a.b.png", "ä b.png", "20250728_040606_stage1.5_x.png"])
def test_extension_counts_in_any_case_and_after_the_last_dot(tmp_path: Path, name: str) -> None:
    quarters().save(tmp_path / name, "PNG")
    assert decode.read_rgb(tmp_path / name).size == (48, 32)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("extension", ["jpg", "png", "webp", "tif", "heic"])
def test_turned_picture_is_read_upright_and_measured_upright(tmp_path: Path, extension: str, orientation: int) -> None:
    turn = STORED[orientation]
    stored = quarters() if turn is None else quarters().transpose(turn)
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{extension}"
    stored.save(path, exif=exif.tobytes())
    assert corners(decode.read_rgb(path)) == [RED, GREEN, BLUE, YELLOW]
    with decode.open_image(path) as image:
        assert decode.upright_size(image) == (48, 32)
        image.load()
        assert decode.upright_size(image) == (48, 32)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_orientation_that_means_nothing_turns_nothing(tmp_path: Path, orientation: int) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    quarters().save(tmp_path / "a.jpg", exif=exif)
    assert corners(decode.read_rgb(tmp_path / "a.jpg")) == [RED, GREEN, BLUE, YELLOW]
    with decode.open_image(tmp_path / "a.jpg") as image:
        assert decode.upright_size(image) == (48, 32)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("exif", [b"garbage", b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM"])
@pytest.mark.parametrize("extension", ["jpg", "png", "webp"])
def test_damaged_exif_costs_the_orientation_not_the_picture(tmp_path: Path, extension: str, exif: bytes) -> None:
    path = tmp_path / f"a.{extension}"
    quarters().save(path, exif=exif)
    assert corners(decode.read_rgb(path)) == [RED, GREEN, BLUE, YELLOW]
    with decode.open_image(path) as image:
        assert (decode.orientation(image), decode.upright_size(image)) == (1, (48, 32))


def grey16(values: Any) -> Pillow.Image:
    return Pillow.fromarray(np.asarray(values, dtype=np.uint16))


def palette_with_a_hole() -> Pillow.Image:
    image = quarters().quantize(4)
    image.info["transparency"] = image.getpixel((0, 0))
    return image


def half_clear(mode: str) -> Pillow.Image:
    image = Pillow.new(mode, (8, 8), 0)
    image.paste(Pillow.new(mode, (4, 8), (0, 0, 0, 255)[-len(image.getbands()) :]), (0, 0))
    return image


@pytest.mark.parametrize(
    ("name", "picture", "left", "right"),
    [
        pytest.param("a.png", half_clear("RGBA"), (0, 0, 0), WHITE, id="alpha lies on white"),
        pytest.param("a.png", half_clear("LA"), (0, 0, 0), WHITE, id="grey with alpha"),
        pytest.param("a.webp", half_clear("RGBA"), (0, 0, 0), WHITE, id="webp with alpha"),
        pytest.param("a.png", quarters((8, 8)).quantize(4), RED, GREEN, id="palette"),
        pytest.param("a.png", Pillow.new("1", (8, 8), 1), WHITE, WHITE, id="one bit"),
        pytest.param("a.png", Pillow.new("L", (8, 8), 255), WHITE, WHITE, id="grey"),
        pytest.param("a.jpg", Pillow.new("L", (8, 8), 255), WHITE, WHITE, id="grey jpeg"),
        pytest.param("a.jpg", Pillow.new("CMYK", (8, 8), (0, 0, 0, 0)), WHITE, WHITE, id="cmyk"),
        pytest.param("a.tif", Pillow.new("CMYK", (8, 8), (0, 255, 255, 0)), RED, RED, id="cmyk tiff"),
        pytest.param("a.tif", Pillow.new("YCbCr", (8, 8), (255, 128, 128)), WHITE, WHITE, id="ycbcr tiff"),
        pytest.param("a.tif", Pillow.new("LAB", (8, 8), (255, 0, 0)), None, None, id="lab tiff"),
        pytest.param("a.png", grey16([[0] * 4 + [65535] * 4] * 8), (0, 0, 0), WHITE, id="16 bit grey png"),
        pytest.param("a.tif", grey16([[0] * 4 + [65535] * 4] * 8), (0, 0, 0), WHITE, id="16 bit grey tiff"),
        pytest.param(
            "a.tif",
            Pillow.fromarray(np.array([[0] * 4 + [1 << 20] * 4] * 8, dtype=np.int32)),
            (0, 0, 0),
            WHITE,
            id="32 bit integers",
        ),
        pytest.param(
            "a.tif",
            Pillow.fromarray(np.array([[0] * 4 + [1] * 4] * 8, dtype=np.float32)),
            (0, 0, 0),
            WHITE,
            id="fractions",
        ),
    ],
)
def test_every_mode_becomes_8_bit_rgb(
    tmp_path: Path, name: str, picture: Pillow.Image, left: tuple[int, ...] | None, right: tuple[int, ...] | None
) -> None:
    picture.save(tmp_path / name)
    rgb = decode.read_rgb(tmp_path / name)
    assert (rgb.mode, rgb.size) == ("RGB", (8, 8))
    if left is not None:
        assert [corners(rgb)[0], corners(rgb)[1]] == [left, right]


def test_16_bit_grey_keeps_its_middle(tmp_path: Path) -> None:
    grey16([[32768] * 8] * 8).save(tmp_path / "a.png")
    assert decode.read_rgb(tmp_path / "a.png").getpixel((4, 4)) == (127, 127, 127)


def test_missing_numbers_in_a_picture_of_fractions_are_black(tmp_path: Path) -> None:
    values = np.array([[np.nan] * 4 + [0.5] * 4] * 8, dtype=np.float32)
    Pillow.fromarray(values).save(tmp_path / "a.tif")
    rgb = decode.read_rgb(tmp_path / "a.tif")
    assert [rgb.getpixel((0, 0)), rgb.getpixel((7, 0))] == [(0, 0, 0), (127, 127, 127)]


def on_nothing(*colours: str | tuple[int, ...], mode: str = "RGBA") -> Pillow.Image:
    """Squares of these colours, one next to the other, with as much room that is transparent."""
    image = Pillow.new("RGBA", (16 * len(colours), 32))
    for place, colour in enumerate(colours):
        image.paste(colour, (16 * place, 8, 16 * place + 16, 24))
    return image.convert(mode)


@pytest.mark.parametrize(
    ("image", "ground"),
    [
        pytest.param(on_nothing("white"), 0, id="white"),
        pytest.param(on_nothing("white", mode="LA"), 0, id="white in grey"),
        pytest.param(on_nothing("#f0f0e8", "white"), 0, id="nearly white"),
        pytest.param(on_nothing((255, 255, 255, 90)), 0, id="white mist"),
        pytest.param(on_nothing("black"), 255, id="black"),
        pytest.param(on_nothing("yellow"), 255, id="yellow"),
        pytest.param(on_nothing("red", "blue", "green", "white"), 255, id="many colours"),
        pytest.param(on_nothing("black", "white"), 128, id="black and white"),
        pytest.param(Pillow.new("RGBA", (8, 8), (0, 0, 0, 0)), 255, id="nothing at all"),
    ],
)
def test_transparency_lies_on_what_the_drawing_differs_from(image: Pillow.Image, ground: int) -> None:
    assert decode.flatten(image).getpixel((0, 0)) == (ground, ground, ground)


def test_an_opaque_picture_with_alpha_is_as_without() -> None:
    white = Pillow.new("RGBA", (32, 32), "white")
    white.putpixel((0, 0), (255, 255, 255, 0))  # a corner
    assert decode.flatten(white).getcolors() == [(1024, WHITE)]


@pytest.mark.parametrize("mode", ["I;16", "I", "L", "1", "RGB", "P", "LA", "PA"])
def test_a_clear_colour_in_any_mode_is_no_error(mode: str) -> None:
    image = Pillow.new(mode, (32, 32))
    image.info["transparency"] = (0, 0, 0) if mode == "RGB" else 0
    assert decode.flatten(image).mode == "RGB"


def test_a_palette_with_a_clear_colour_has_a_ground() -> None:
    image = Pillow.new("P", (32, 32), 0)
    image.putpalette([0, 0, 0, 255, 255, 255])
    image.paste(1, (8, 8, 24, 24))
    image.info["transparency"] = 0
    assert decode.flatten(image).getpixel((0, 0)) == (0, 0, 0) and decode.flatten(image).getpixel((9, 9)) == WHITE


@pytest.mark.parametrize(
    ("picture", "transparency"), [(quarters(), RED), (palette_with_a_hole(), 0)], ids=["rgb", "palette"]
)
def test_colour_named_as_clear_lies_on_white(
    tmp_path: Path, picture: Pillow.Image, transparency: int | tuple[int, ...]
) -> None:
    clear = picture.info.get("transparency", transparency)
    picture.save(tmp_path / "a.png", transparency=clear)
    assert corners(decode.read_rgb(tmp_path / "a.png")) == [WHITE, GREEN, BLUE, YELLOW]


@pytest.mark.parametrize("extension", ["png", "webp", "tif"])
def test_first_of_several_frames_is_read(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"a.{extension}"
    frames = [Pillow.new("RGB", (8, 8), colour) for colour in (GREEN, BLUE)]
    quarters((8, 8)).save(path, save_all=True, append_images=frames, lossless=True)
    with decode.open_image(path) as image:
        assert image.n_frames == 3  # type: ignore[attr-defined]
    assert corners(decode.read_rgb(path)) == [RED, GREEN, BLUE, YELLOW]


def test_phone_jpeg_with_second_picture_is_accepted(tmp_path: Path) -> None:
    quarters().save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[Pillow.new("RGB", (8, 8))])
    assert decode.read_rgb(tmp_path / "a.jpg").size == (48, 32)


def test_draft_reads_a_jpeg_smaller_but_not_below_what_is_asked(tmp_path: Path) -> None:
    write_image(tmp_path / "a.jpg", size=(800, 400))
    drafted = decode.read_rgb(tmp_path / "a.jpg", draft=100)
    assert drafted.size == (200, 100)
    assert decode.read_rgb(tmp_path / "a.jpg").size == (800, 400)


def test_reading_changes_nothing_on_disk(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.png")
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    decode.read_rgb(path)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert os.listdir(tmp_path) == ["a.png"]


def test_picture_shown_as_png_keeps_every_pixel() -> None:
    assert corners(Pillow.open(BytesIO(decode.encode_png(quarters())))) == [RED, GREEN, BLUE, YELLOW]


# ------------------------------------------------------------------------------------------------ what cannot be


def reason_of(path: Path, **options: Any) -> str:
    with pytest.raises(ImageError) as caught:
        decode.read_rgb(path, **options)
    assert caught.value.path == path
    return caught.value.reason


def test_empty_file_has_zero_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    assert reason_of(tmp_path / "a.png") == "zero bytes"


@pytest.mark.parametrize(
    "content", [b"x", b"hello, I am text\n" * 9, b"\0" * 500, b"\x89PNG\r\n\x1a\n", b"GIF89a", b"<svg/>"]
)
def test_file_that_is_no_image_says_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    assert reason_of(tmp_path / "a.png").startswith("unreadable")


@pytest.mark.parametrize("extension", sorted(FORMATS))
@pytest.mark.parametrize("kept", [0.4, 0.8])
def test_file_cut_short_is_never_read(tmp_path: Path, extension: str, kept: float) -> None:
    data = write_image(tmp_path / f"whole.{extension}", size=(96, 128)).read_bytes()
    path = tmp_path / f"a.{extension}"
    path.write_bytes(data[: int(len(data) * kept)])
    assert reason_of(path).split(":")[0] in ("truncated", "unreadable")


@pytest.mark.parametrize("extension", ["png", "jpg"])
def test_truncated_png_and_jpeg_are_called_truncated(tmp_path: Path, extension: str) -> None:
    assert reason_of(write_truncated(tmp_path / f"a.{extension}")) == "truncated"


@pytest.mark.parametrize(
    ("held", "name"),
    [("JPEG", "a.png"), ("PNG", "a.jpg"), ("WEBP", "a.jpeg"), ("PNG", "a.heic"), ("BMP", "a.tif"), ("JPEG", "a.heic")],
)
def test_content_decides_whatever_the_extension(tmp_path: Path, held: str, name: str) -> None:
    quarters().save(tmp_path / name, held)
    with decode.open_image(tmp_path / name) as image:
        assert image.format == held and decode.says_otherwise(tmp_path / name, image)
    assert decode.read_rgb(tmp_path / name).size == quarters().size


@pytest.mark.parametrize("name", ["a.jfif", "a.jpe", "a.JPG", "a.avif", "a.hif"])
def test_every_extension_of_a_format_is_read(tmp_path: Path, name: str) -> None:
    held = {"avif": "AVIF", "hif": "HEIF"}.get(name[2:], "JPEG")
    quarters().save(tmp_path / name, held)
    with decode.open_image(tmp_path / name) as image:
        assert image.format == held and not decode.says_otherwise(tmp_path / name, image)
    assert decode.read_rgb(tmp_path / name).size == quarters().size


@pytest.mark.parametrize(("held", "name"), [("GIF", "a.png"), ("PPM", "a.jpg"), ("ICO", "a.heic")])
def test_file_of_a_format_that_is_not_read_is_mislabelled(tmp_path: Path, held: str, name: str) -> None:
    quarters().save(tmp_path / name, held)
    assert reason_of(tmp_path / name) == f"mislabelled: .{name[2:]} holds {held}"


@pytest.mark.parametrize("size", [(20_000, 20_000), (1_000_000, 1_000), (2_147_483_647, 2_147_483_647)])
def test_huge_claim_is_refused_from_the_header_alone(tmp_path: Path, size: tuple[int, int]) -> None:
    (tmp_path / "a.png").write_bytes(png_of_no_pixels(*size))
    assert reason_of(tmp_path / "a.png").startswith("huge: ")


def test_limit_of_pixels_is_a_parameter(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.png", size=(20, 10))
    assert reason_of(path, max_pixels=199) == "huge: 20 x 10 is more than 199 pixels"
    assert decode.read_rgb(path, max_pixels=200).size == (20, 10)


def test_file_that_is_gone_or_a_folder_says_so(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    assert reason_of(tmp_path / "gone.png").startswith("unreadable: ")
    assert reason_of(tmp_path / "folder.png").startswith("unreadable: ")


@pytest.mark.parametrize("make", [lambda: b"", lambda: b"text", lambda: png_of_no_pixels(30_000, 30_000)])
def test_refused_file_is_not_kept_open(tmp_path: Path, make: Callable[[], bytes]) -> None:
    (tmp_path / "a.png").write_bytes(make())
    before = len(os.listdir("/dev/fd"))
    for _ in range(5):
        reason_of(tmp_path / "a.png")
    assert len(os.listdir("/dev/fd")) == before


def encoded(extension: str) -> bytes:
    buffer = BytesIO()
    exif = Pillow.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a description"
    options = {} if extension == "bmp" else {"exif": exif.tobytes()}
    quarters((24, 16)).save(buffer, FORMATS[extension], **options)
    return buffer.getvalue()


WHOLE = {extension: encoded(extension) for extension in FORMATS}


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(sorted(WHOLE)), st.data())
@pytest.mark.filterwarnings("ignore")
def test_damaged_file_is_read_or_refused_and_nothing_else(extension: str, data: st.DataObject) -> None:
    damaged = bytearray(WHOLE[extension])
    for _ in range(data.draw(st.integers(0, 8), label="bytes changed")):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(1, len(damaged)), label="bytes kept")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a.{extension}"
        path.write_bytes(damaged[:cut])
        try:
            rgb = decode.read_rgb(path, max_pixels=1 << 22)
        except ImageError as error:
            assert error.reason
        else:
            assert rgb.mode == "RGB"


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "I;16"])
@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_plain_tiff_that_pillow_would_map_is_read_upright(tmp_path: Path, mode: str, orientation: int) -> None:
    path = tmp_path / "turned.tif"
    Pillow.new(mode, (48, 32)).save(path, tiffinfo={0x0112: orientation})
    assert decode.read_rgb(path).size == (32, 48)
    with decode.open_image(path) as image:
        assert decode.upright_size(image) == (32, 48)


# ------------------------------------------------------------------------------------------------ the size


def png_with(before: list[bytes], after: list[bytes], size: tuple[int, int] = (48, 32)) -> bytes:
    """A PNG with chunks in front of its pixels and behind them."""
    buffer = BytesIO()
    Pillow.effect_noise(size, 40).convert("RGB").save(buffer, "PNG")
    data = buffer.getvalue()
    pixels = data.index(b"IDAT") - 4
    return data[:pixels] + b"".join(before) + data[pixels:-12] + b"".join(after) + data[-12:]


def turned(kind: str) -> bytes:
    """A chunk that says orientation 6."""
    exif = Pillow.Exif()
    exif[0x0112] = 6
    raw = exif.tobytes()
    if kind == "eXIf":
        return decode.png_chunk(b"eXIf", raw.removeprefix(b"Exif\0\0"))
    if kind == "zTXt":
        profile = f"\nexif\n{len(raw)}\n{raw.hex()}".encode()
        return decode.png_chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(profile))
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    return decode.png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)


@pytest.mark.parametrize("kind", ["eXIf", "zTXt", "iTXt"])
@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("damaged", [False, True])
def test_png_size_agrees_with_its_upright_pixels(tmp_path: Path, kind: str, behind: bool, damaged: bool) -> None:
    chunk = turned(kind)
    if damaged:
        chunk = chunk[:-1] + bytes([chunk[-1] ^ 1])  # its checksum
    path = tmp_path / "a.png"
    path.write_bytes(png_with([] if behind else [chunk], [chunk] if behind else []))
    try:
        pixels = decode.read_rgb(path).size
    except ImageError:
        pixels = None
    try:
        with decode.open_image(path) as image:
            size = decode.upright_size(image)
            assert image._im is None  # nothing was decoded
            assert decode.load_rgb(image, path).size == size  # and it still can be
    except ImageError:
        size = None
    assert size == pixels
    assert damaged or size == (32, 48)


@pytest.mark.parametrize("extension", ["png", "jpg", "webp", "tif", "bmp", "heic"])
@pytest.mark.parametrize("ask", [decode.upright_size, decode.orientation, decode.exif_of])
def test_no_pixel_is_decoded_for_size_or_exif(tmp_path: Path, extension: str, ask: Callable[[Any], object]) -> None:
    path = write_image(tmp_path / f"a.{extension}")
    with decode.open_image(path) as image:
        ask(image)
        assert image._im is None


def test_size_of_a_huge_png_takes_little_memory(tmp_path: Path) -> None:
    side = 13_000
    path = tmp_path / "a.png"
    packer = zlib.compressobj(1)
    data = b"".join(packer.compress(bytes(1 + side // 8)) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    path.write_bytes(decode._PNG + b"".join(decode.png_chunk(*chunk) for chunk in chunks))
    assert in_child(_size_and_info, path, 50) == ((side, side), {})  # its pixels take 169 MB


def _size_and_info(path: Path, megabytes: int) -> tuple[tuple[int, int], dict[str, str]]:
    limit_memory(megabytes)
    with decode.open_image(path) as image:
        size = decode.upright_size(image)
    return size, metadata.read(path)


@pytest.mark.parametrize(
    ("name", "head"), [("a.webp", b"RIFF\xff\xff\xff\x7fWEBPVP8 "), ("a.heic", b"\0\0\0\x18ftypheic")]
)
def test_huge_file_of_a_format_read_whole_is_refused(tmp_path: Path, name: str, head: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(head)
    os.truncate(path, 8 << 30)
    with pytest.raises(ImageError, match="huge: 8,589,934,592 bytes"):
        decode.open_image(path)


def test_reason_says_whether_it_lies_in_the_bytes(tmp_path: Path) -> None:
    for path, by_content in ((write_truncated(tmp_path / "a.png"), True), (tmp_path / "none.png", False)):
        with pytest.raises(ImageError) as refused:
            decode.read_rgb(path)
        assert refused.value.by_content is by_content


@pytest.mark.parametrize("filling", [b"", b"\0\0\0\0teXT\0\0\0\0" * 10])
def test_size_of_a_png_that_goes_on_in_a_hole(tmp_path: Path, filling: bytes) -> None:
    path = write_image(tmp_path / "a.png")
    with path.open("r+b") as file:
        file.truncate(33)  # the signature and the header
        file.seek(33)
        file.write(filling)
    os.truncate(path, 1 << 40)
    with open(path, "rb") as file:
        assert len(decode._one_pixel(file)) < 1000
