"""benchmarks/crop_files.py: it crops what it is given, and finds what a crop should not have done."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image as PillowImage

from images.pictures import exif_block, photograph
from images.test_crops_untrue import WHOLE, XMP_FILES, jpeg, segment

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def benchmark_module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("crop_files")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Six files to crop, one to refuse, and two that cannot be read or are no images."""
    folder = tmp_path / "files" / "below"
    folder.mkdir(parents=True)
    for kind in ("jpeg", "png itxt", "webp", "tiff", "heic"):
        extension, make = XMP_FILES[kind]
        (folder / f"{kind}.{extension}").write_bytes(make(WHOLE))
    (folder / "turned.jpg").write_bytes(jpeg(segment(0xE1, exif_block(6))))
    photograph().save(folder / "animated.png", save_all=True, append_images=[photograph("L").convert("RGB")])
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "notes.txt").write_text("not an image")
    return folder.parent


def test_it_crops_every_file_and_counts_what_it_saw(benchmark_module: ModuleType, files: Path, tmp_path: Path) -> None:
    report = benchmark_module.crop_files(benchmark_module.find([files]), tmp_path / "home")
    assert report.problems == []
    assert (report.files, report.cropped) == (8, 6)
    assert dict(report.refused) == {"cannot be cropped: animated PNG": 1}
    assert sum(report.unreadable.values()) == 1 and report.share_refused == pytest.approx(1 / 7)
    if shutil.which("exiftool"):
        assert report.changed["XMP-crs:HasCrop"] == 5


def test_a_crop_of_another_place_or_size_is_found(benchmark_module: ModuleType, tmp_path: Path) -> None:
    source, crop, shifted = (tmp_path / name for name in ("a.png", "crop.png", "shifted.jpg"))
    photograph().save(source)
    wide, high = photograph().size
    box = benchmark_module.to_pixels(benchmark_module.BOX, wide, high)
    right = photograph().crop(box)
    right.save(crop)
    assert list(benchmark_module.compare_pixels(source, crop)) == []
    photograph().crop((box[0] + 1, box[1], box[2] + 1, box[3])).save(crop)
    assert ["not the source's" in line for line in benchmark_module.compare_pixels(source, crop)] == [True]
    right.resize((9, 9)).save(crop)
    assert ["the crop has (9, 9)" in line for line in benchmark_module.compare_pixels(source, crop)] == [True]
    photograph().save(shifted.with_stem("b"), quality=95)
    photograph().crop((box[0] + 1, box[1], box[2] + 1, box[3])).save(shifted, quality=95)
    assert any("shifted" in line for line in benchmark_module.compare_pixels(shifted.with_stem("b"), shifted))


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
def test_a_tag_that_should_not_have_changed_is_found(benchmark_module: ModuleType, tmp_path: Path) -> None:
    for place, title, wide in (("crop_originals", "before", 80), ("crop_cropped", "after", 80)):
        (tmp_path / place).mkdir()
        xmp = WHOLE.replace(b">kept<", f">{title}<".encode())
        PillowImage.new("RGB", (wide, 60)).save(tmp_path / place / "a.jpg", xmp=xmp)
    problems = [problem for _, _, problem in benchmark_module.compare_tags(tmp_path, ["a.jpg"]) if problem]
    assert "XMP-dc:Title was before, is after" in problems
    assert any(problem.startswith("XMP-tiff:ImageWidth says 214, not 80") for problem in problems)


def test_a_missing_folder_is_one_line(benchmark_module: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"no folder .*; give --files a folder of images"):
        benchmark_module.main(["--files", str(tmp_path / "none")])
