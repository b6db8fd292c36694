"""Every crop: its exact size, turned as its source, refused beforehand where it would lose something."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PillowImage
from PIL import ImageOps, PngImagePlugin

from conftest import read_tree
from images.pictures import BOX, SIZE, cropped, difference, exif_block, expected, photograph, pixels
from pickroom.core.errors import ImageError
from pickroom.core.geometry import from_pixels, to_pixels
from pickroom.core.records import CropBox
from pickroom.images import crops, decode

LOSSLESS = {"png": {}, "webp": {"lossless": True}, "tif": {"compression": "tiff_lzw"}}
LOSSY = {"jpg": {"quality": 92}, "heic": {"quality": 90}}


def save_turned(path: Path, orientation: int, options: dict[str, object]) -> Path:
    """A photograph stored turned, with the Orientation that sets it upright."""
    if path.suffix == ".tif":
        photograph().save(path, tiffinfo={0x0112: orientation}, **options)
    else:
        photograph().save(path, exif=exif_block(orientation), **options)
    return path


def reason_of(source: Path, box: CropBox = BOX) -> str:
    """Why a crop is refused; the check and the rendering must agree, and neither may touch the file."""
    before = read_tree(source.parent)
    with pytest.raises(ImageError) as checked:
        crops.check_croppable(source)
    with pytest.raises(ImageError) as rendered:
        crops.render(source, box)
    assert checked.value.reason == rendered.value.reason
    assert read_tree(source.parent) == before
    return checked.value.reason


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("extension", [*LOSSLESS, *LOSSY])
def test_upright_crop_is_the_crop_of_the_upright_image(extension: str, orientation: int, tmp_path: Path) -> None:
    source = save_turned(tmp_path / f"a.{extension}", orientation, {**LOSSLESS, **LOSSY}[extension])
    crop = cropped(source)
    kept = crop.getexif().get(0x0112)  # before its pixels: Pillow turns a TIFF as it loads them
    if extension in LOSSLESS:
        assert np.array_equal(pixels(crop), expected(source))
    else:
        assert difference(pixels(crop), expected(source)) < 3
    if extension != "heic":  # there libheif has turned the pixels
        assert kept == orientation


@pytest.mark.parametrize("extension", ["png", "webp", "jpg", "tif"])
def test_orientation_survives(extension: str, tmp_path: Path) -> None:
    source = save_turned(tmp_path / f"a.{extension}", 6, {})
    with PillowImage.open(io.BytesIO(crops.render(source, BOX))) as crop:
        assert crop.getexif()[0x0112] == 6


@pytest.mark.parametrize("extension", ["png", "webp", "jpg"])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF")  # Pillow says what this is about
def test_damaged_exif_is_no_hindrance_and_survives(extension: str, tmp_path: Path) -> None:
    source, damaged = tmp_path / f"a.{extension}", b"Exif\0\0II*\0\xff\xff\xff\xff"
    photograph().save(source, exif=damaged)
    data = crops.render(source, BOX)
    assert PillowImage.open(io.BytesIO(data)).size == (165, 102) and damaged[6:] in data


@pytest.fixture(scope="module")
def small_pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    folder = tmp_path_factory.mktemp("small")
    made = {}
    for orientation in range(1, 9):
        made[orientation] = folder / f"{orientation}.png"
        image = PillowImage.fromarray(np.arange(37 * 23 * 3, dtype=np.uint8).reshape(23, 37, 3))
        image.save(made[orientation], exif=exif_block(orientation))
    return made


edges = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted).filter(lambda pair: pair[0] < pair[1])


@given(x=edges, y=edges, orientation=st.integers(1, 8))
def test_any_box_gives_its_rounded_size(
    x: list[float], y: list[float], orientation: int, small_pictures: dict[int, Path]
) -> None:
    source, box = small_pictures[orientation], CropBox(x[0], y[0], x[1], y[1])
    size = (23, 37) if orientation > 4 else (37, 23)
    x1, y1, x2, y2 = to_pixels(box, *size)
    if x1 == x2 or y1 == y2:
        with pytest.raises(ImageError, match="no pixels"):
            crops.render(source, box)
    else:
        crop = ImageOps.exif_transpose(cropped(source, box))
        assert crop.size == (x2 - x1, y2 - y1)
        assert np.array_equal(np.asarray(crop), expected(source, box))


@pytest.mark.parametrize("extension", ["png", "jpg", "webp", "tif", "bmp", "heic"])
@pytest.mark.parametrize("corner", [(0, 0, 1, 1), (SIZE[0] - 1, SIZE[1] - 1, *SIZE), (0, 7, SIZE[0], 8)])
def test_slivers(extension: str, corner: tuple[int, int, int, int], tmp_path: Path) -> None:
    source = tmp_path / f"a.{extension}"
    photograph().save(source)
    assert cropped(source, from_pixels(corner, *SIZE)).size == (corner[2] - corner[0], corner[3] - corner[1])


@pytest.mark.parametrize("extension", ["png", "jpg", "webp", "tif", "bmp", "heic"])
def test_whole_image_is_the_file_itself(extension: str, tmp_path: Path) -> None:
    source = tmp_path / f"a.{extension}"
    photograph().save(source)
    assert crops.render(source, CropBox(0, 0, 1, 0.9999)) == source.read_bytes()


def test_nothing_is_written(tmp_path: Path) -> None:
    photograph().save(tmp_path / "a.png")
    before = read_tree(tmp_path)
    crops.check_croppable(tmp_path / "a.png")
    crops.render(tmp_path / "a.png", BOX)
    assert read_tree(tmp_path) == before


@pytest.mark.parametrize(
    ("extension", "said"), [("png", "PNG"), ("webp", "WebP"), ("tif", "3 pages"), ("heic", "3 pi")]
)
def test_several_pictures_are_refused(extension: str, said: str, tmp_path: Path) -> None:
    frames = [photograph().rotate(angle) for angle in (0, 90, 180)]
    frames[0].save(tmp_path / f"a.{extension}", save_all=True, append_images=frames[1:])
    assert said in reason_of(tmp_path / f"a.{extension}")


def test_a_series_in_a_jpeg_is_refused(tmp_path: Path) -> None:
    photograph().save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[photograph().rotate(90)])
    assert (
        reason_of(tmp_path / "a.jpg") == "cannot be cropped: holds 2 pictures (MPO), of which only one would be cropped"
    )


def test_unreadable_files_say_why(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "b.png").write_bytes(b"not an image")
    photograph().save(tmp_path / "c.png", "GIF")
    reasons = [reason_of(tmp_path / name) for name in ("a.png", "b.png", "c.png")]
    assert reasons == ["zero bytes", "unreadable: not an image", "mislabelled: .png holds GIF"]


@pytest.mark.parametrize(
    ("name", "held"), [("a.heic", "JPEG"), ("a.png", "WEBP"), ("a.jpg", "PNG"), ("a.webp", "TIFF")]
)
def test_crop_of_a_misnamed_file_has_its_format(name: str, held: str, tmp_path: Path) -> None:
    photograph().save(tmp_path / name, held)
    crop = cropped(tmp_path / name)
    assert crop.format == held and crop.size == expected(tmp_path / name).shape[1::-1]


@pytest.mark.parametrize("extension", ["png", "jpg", "webp", "tif", "bmp"])
@pytest.mark.parametrize("box", [BOX, CropBox(0, 0, 1, 1)])
def test_truncated_pixels_are_no_crop(extension: str, box: CropBox, tmp_path: Path) -> None:
    source = tmp_path / f"a.{extension}"
    photograph().save(source)
    source.write_bytes(source.read_bytes()[: source.stat().st_size * 2 // 3])
    with pytest.raises(ImageError):
        crops.render(source, box)


def test_a_bomb_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photograph().save(tmp_path / "a.png")
    monkeypatch.setattr(PillowImage, "MAX_IMAGE_PIXELS", 100)
    monkeypatch.setattr(decode, "MAX_PIXELS", 200)
    assert "huge" in reason_of(tmp_path / "a.png")


def test_an_encoders_failure_is_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photograph().save(tmp_path / "a.png")

    def fail(*args: object, **options: object) -> None:
        raise OSError("encoder error -2")

    monkeypatch.setitem(PillowImage.SAVE, "PNG", fail)
    with pytest.raises(ImageError, match="encoder error -2"):
        crops.render(tmp_path / "a.png", BOX)


def test_a_crop_of_the_wrong_size_is_not_handed_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photograph().save(tmp_path / "a.png")
    real = PngImagePlugin._save

    def one_row_more(image: PillowImage.Image, *args: object) -> None:
        larger = image.resize((image.width, image.height + 1))
        larger.encoderinfo, larger.encoderconfig = image.encoderinfo, image.encoderconfig
        real(larger, *args)

    monkeypatch.setitem(PillowImage.SAVE, "PNG", one_row_more)
    with pytest.raises(ImageError, match="crop came out as PNG of 165 x 103"):
        crops.render(tmp_path / "a.png", BOX)
