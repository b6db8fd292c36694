"""What is written about an image (key I): generators' settings, EXIF, companions; hostile texts stay texts."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL.ExifTags import IFD
from PIL.PngImagePlugin import PngInfo

from conftest import write_image
from pickroom.images import metadata

PARAMETERS = (
    "a cat, <b>bold</b>\nsecond line\nNegative prompt: dogs, rain\n"
    'Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 123, Size: 512x768, Model: "a, b", Version: v1.2'
)
FIELDS = {
    "prompt": "a cat, <b>bold</b>\nsecond line",
    "negative prompt": "dogs, rain",
    "steps": "20",
    "sampler": "Euler a",
    "cfg scale": "7",
    "seed": "123",
    "size": "512x768",
    "model": '"a, b"',
    "version": "v1.2",
}
COMMENT = 0x9286


def png_with(path: Path, **texts: str) -> Path:
    info = PngInfo()
    for key, text in texts.items():
        info.add_text(key, text)
    Pillow.new("RGB", (4, 4)).save(path, pnginfo=info)
    return path


def jpeg_with_comment(path: Path, comment: bytes, *, big_endian: bool = False) -> Path:
    exif = Pillow.Exif()
    exif.endian = ">" if big_endian else "<"
    exif.get_ifd(IFD.Exif)[COMMENT] = comment
    Pillow.new("RGB", (4, 4)).save(path, exif=exif)
    return path


def test_generators_text_in_a_png_becomes_fields(tmp_path: Path) -> None:
    assert metadata.read(png_with(tmp_path / "a.png", parameters=PARAMETERS)) == FIELDS


def test_what_the_image_and_its_yaml_both_say_is_one_row(tmp_path: Path) -> None:
    paths = [png_with(tmp_path / f"{name}.png", parameters=PARAMETERS) for name in "ab"]
    for path, scale in zip(paths, (7, 8), strict=True):
        settings = f"negative_prompt: dogs, rain\nsettings: {{cfg_scale: {scale}, sampler: Euler a, seeds: 123}}\n"
        path.with_suffix(".yaml").write_text(settings)
    rows = {row.field: row.values for row in metadata.compare(paths)}
    assert set(rows) == {*FIELDS, "settings cfg_scale", "settings seeds"}  # another value, another name: both stay
    assert rows["cfg scale"] == ("7", "7") and rows["settings cfg_scale"] == ("7", "8")


def test_other_png_texts_keep_their_key(tmp_path: Path) -> None:
    fields = metadata.read(png_with(tmp_path / "a.png", Author="Anna", workflow='{"nodes": []}'))
    assert fields == {"Author": "Anna", "workflow": '{"nodes": []}'}


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("encoding", ["utf-16-be", "utf-16-le"])
def test_generators_text_in_a_jpeg_comment_becomes_fields_in_either_byte_order(
    tmp_path: Path, encoding: str, big_endian: bool
) -> None:
    comment = b"UNICODE\0" + PARAMETERS.encode(encoding)
    assert metadata.read(jpeg_with_comment(tmp_path / "a.jpg", comment, big_endian=big_endian)) == FIELDS


@pytest.mark.parametrize(
    ("comment", "text"),
    [
        (b"ASCII\0\0\0plain", "plain"),
        (b"\0\0\0\0\0\0\0\0unknown", "unknown"),
        (b"UNICODE\0" + "\ufeffmarked ä".encode("utf-16-le"), "marked ä"),
        (b"no code in front", "no code in front"),
        (b"ASCII\0\0\0\xff\xfe", "\ufffd\ufffd"),
    ],
)
def test_comment_is_read_whatever_its_code(tmp_path: Path, comment: bytes, text: str) -> None:
    assert metadata.read(jpeg_with_comment(tmp_path / "a.jpg", comment)) == {"comment": text}


@pytest.mark.parametrize("big_endian", [False, True])
def test_comment_without_a_plain_letter_follows_the_files_byte_order(tmp_path: Path, big_endian: bool) -> None:
    text = "猫犬鳥"
    comment = b"UNICODE\0" + text.encode("utf-16-be" if big_endian else "utf-16-le")
    assert metadata.read(jpeg_with_comment(tmp_path / "a.jpg", comment, big_endian=big_endian)) == {"comment": text}


def test_exif_description_and_software_are_shown(tmp_path: Path) -> None:
    exif = Pillow.Exif()
    exif[0x010E], exif[0x0131] = "a cat", "Some Program 2"
    Pillow.new("RGB", (4, 4)).save(tmp_path / "a.jpg", exif=exif)
    assert metadata.read(tmp_path / "a.jpg") == {"description": "a cat", "software": "Some Program 2"}


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        pytest.param("just words", {"parameters": "just words"}, id="no settings"),
        pytest.param("", {"parameters": ""}, id="nothing"),
        pytest.param("a\nSteps: 5", {"prompt": "a", "steps": "5"}, id="no negative prompt"),
        pytest.param("\nSteps: 5, Seed: -1", {"prompt": "", "steps": "5", "seed": "-1"}, id="no prompt"),
        pytest.param(
            "Steps: up\nthe hill\nSteps: 5", {"prompt": "Steps: up\nthe hill", "steps": "5"}, id="the last Steps counts"
        ),
        pytest.param(
            'a\nSteps: 5, Lora hashes: "x: 1, y: 2", Seed: 3',
            {"prompt": "a", "steps": "5", "lora hashes": '"x: 1, y: 2"', "seed": "3"},
            id="quoted commas",
        ),
    ],
)
def test_parameters_are_taken_apart(text: str, fields: dict[str, str]) -> None:
    assert metadata.parameters(text) == fields


@given(st.text())
def test_any_text_can_be_taken_apart(text: str) -> None:
    assert all(isinstance(value, str) for value in metadata.parameters(text + "\nSteps:" + text).values())


@pytest.mark.parametrize(
    ("name", "content", "fields"),
    [
        ("a.yaml", "prompt: a cat\nseed: 0123\nflag: yes\n", {"prompt": "a cat", "seed": "0123", "flag": "yes"}),
        ("a.yaml", "day: 2025-99-99\nempty:\n", {"day": "2025-99-99", "empty": ""}),
        ("a.yaml", "just a line\n", {"a.yaml": "just a line"}),
        ("a.yaml", "- x\n- y\n", {"a.yaml": "- x\n- y"}),
        ("a.yaml", "a: [1\n", {"a.yaml": "is not plain YAML"}),
        ("a.yaml", "a: &a [1]\nb: *a\n", {"a.yaml": "is not plain YAML"}),
        ("a.yaml", "!!int ''", {"a.yaml": "!!int ''"}),
        ("a.yaml", "[" * 3000, {"a.yaml": "is not plain YAML"}),
        ("a.yml", "x: !!python/object/apply:os.system [false]", {"x": "false"}),
        (
            "a.yaml",
            "settings:\n  steps: 24\n  size: [768, 1024]\n",
            {"settings steps": "24", "settings size": "768, 1024"},
        ),
        ("a.caption", " a cat on a mat \n", {"caption": "a cat on a mat"}),
        ("a.txt", b"caf\xe9", {"txt": "caf\ufffd"}),
        ("a.png.caption", "a cat", {"caption": "a cat"}),
        ("a.json", '{"seed": 1}', {}),
        ("b.yaml", "prompt: of another image", {}),
        ("a.yaml/", "", {"a.yaml": "cannot be read"}),
    ],
)
def test_companions_are_shown_as_written(
    tmp_path: Path, name: str, content: str | bytes, fields: dict[str, str]
) -> None:
    image = write_image(tmp_path / "a.png")
    if name.endswith("/"):
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    assert metadata.read(image) == fields


def test_companion_speaks_louder_than_the_image(tmp_path: Path) -> None:
    path = png_with(tmp_path / "a.png", seed="1", model="m")
    (tmp_path / "a.yaml").write_text("seed: 2\n")
    assert metadata.read(path) == {"seed": "2", "model": "m"}


def test_long_text_is_cut(tmp_path: Path) -> None:
    path = png_with(tmp_path / "a.png", story="x" * 10_000)
    assert metadata.read(path) == {"story": "x" * 4000}


@pytest.mark.parametrize("content", [b"", b"no image"])
def test_unreadable_image_says_so_and_its_companions_are_shown(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    (tmp_path / "a.caption").write_text("a cat")
    assert metadata.read(tmp_path / "a.png") == {"image": "cannot be read", "caption": "a cat"}


def test_damaged_exif_says_so_and_the_other_texts_are_shown(tmp_path: Path) -> None:
    info = PngInfo()
    info.add_text("Author", "Anna")
    Pillow.new("RGB", (4, 4)).save(tmp_path / "a.png", pnginfo=info, exif=b"garbage")
    found = metadata.read(tmp_path / "a.png")
    assert (found["Author"], found["exif"]) == ("Anna", "cannot be read")


def test_image_that_is_gone_says_so(tmp_path: Path) -> None:
    assert metadata.read(tmp_path / "no folder" / "a.png") == {"image": "cannot be read"}


def test_comparison_marks_what_differs_and_puts_it_first(tmp_path: Path) -> None:
    a = png_with(tmp_path / "a.png", model="m", seed="1")
    b = png_with(tmp_path / "b.png", model="m", seed="2", extra="only here")
    rows = metadata.compare([a, b])
    assert [(row.field, row.values, row.differs) for row in rows] == [
        ("seed", ("1", "2"), True),
        ("extra", ("", "only here"), True),
        ("model", ("m", "m"), False),
    ]


def test_comparison_of_nothing_is_empty() -> None:
    assert metadata.compare([]) == []
