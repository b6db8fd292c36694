"""What is written about an image (key I): generators' settings, EXIF, companions; hostile texts stay texts."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import pytest
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
    "model": "a, b",
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
def test_generator_text_in_jpeg_comment_reads_in_any_byte_order(
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
def test_comment_without_ascii_letters_uses_file_byte_order(tmp_path: Path, big_endian: bool) -> None:
    text = "猫犬鳥"
    comment = b"UNICODE\0" + text.encode("utf-16-be" if big_endian else "utf-16-le")
    assert metadata.read(jpeg_with_comment(tmp_path / "a.jpg", comment, big_endian=big_endian)) == {"comment": text}


def test_exif_description_and_software_are_shown(tmp_path: Path) -> None:
    exif = Pillow.Exif()
    exif[0x010E], exif[0x0131] = "a cat", "Some Program 2"
    Pillow.new("RGB", (4, 4)).save(tmp_path / "a.jpg", exif=exif)
    assert metadata.read(tmp_path / "a.jpg") == {"description": "a cat", "software": "Some Program 2"}


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
        ("a.txt", b"caf\xe9", {"txt": "café"}),
        ("a.txt", b"caf\x81", {"txt": "caf\ufffd"}),
        ("a.yaml", "prompt: a café\n".encode("utf-16"), {"prompt": "a café"}),
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


def add_chunks(path: Path, *chunks: bytes, before: bytes = b"IEND", crc: int | None = None) -> Path:
    """Put PNG chunks (kind and data) in front of another one."""
    data = path.read_bytes()
    at = data.index(before) - 4
    made = b"".join(
        struct.pack(">I", len(one) - 4) + one + struct.pack(">I", zlib.crc32(one) if crc is None else crc)
        for one in chunks
    )
    path.write_bytes(data[:at] + made + data[at:])
    return path


TEXTS = {
    "tEXt": b"tEXtparameters\0" + PARAMETERS.encode(),
    "zTXt": b"zTXtparameters\0\0" + zlib.compress(PARAMETERS.encode()),
    "iTXt": b"iTXtparameters\0\0\0\0\0" + PARAMETERS.encode(),
    "compressed iTXt": b"iTXtparameters\0\1\0en\0words\0" + zlib.compress(PARAMETERS.encode()),
}


@pytest.mark.parametrize("before", [b"IDAT", b"IEND"])
@pytest.mark.parametrize("chunk", TEXTS.values(), ids=TEXTS)
def test_png_text_is_read_before_and_behind_the_pixels(tmp_path: Path, chunk: bytes, before: bytes) -> None:
    path = add_chunks(write_image(tmp_path / "a.png"), chunk, before=before)
    assert metadata.read(path) == FIELDS
    assert metadata.caption(path) == (FIELDS["prompt"], "")


def test_png_text_in_utf8_is_read_as_that(tmp_path: Path) -> None:
    chunks = (b"tEXtprompt\0" + "a café".encode(), b"tEXtAuthor\0" + "Zoë".encode("latin-1"))
    assert metadata.read(add_chunks(write_image(tmp_path / "a.png"), *chunks)) == {"prompt": "a café", "Author": "Zoë"}


def test_png_text_whose_checksum_is_wrong_is_read_as_by_others(tmp_path: Path) -> None:
    path = add_chunks(write_image(tmp_path / "a.png"), b"tEXtprompt\0a boat", crc=1)
    assert metadata.read(add_chunks(path, b"tEXtAuthor\0Anna")) == {"prompt": "a boat", "Author": "Anna"}


def test_png_texts_in_front_of_a_damaged_one_are_read(tmp_path: Path) -> None:
    chunks = (b"tEXtprompt\0a boat", b"zTXtworkflow\0\0no zlib", b"tEXtAuthor\0Anna")
    assert metadata.read(add_chunks(write_image(tmp_path / "a.png"), *chunks))["prompt"] == "a boat"


@pytest.mark.parametrize("before", [b"IDAT", b"IEND"])
def test_a_very_large_png_text_is_read(tmp_path: Path, before: bytes) -> None:
    text = "a red boat, " * 300_000
    path = add_chunks(
        write_image(tmp_path / "a.png"), b"zTXtworkflow\0\0" + zlib.compress(text.encode()), before=before
    )
    path = add_chunks(path, b"tEXtprompt\0a boat", before=before)
    assert metadata.caption(path) == ("a boat", "")
    assert metadata.read(path)["workflow"] == text[:4000]


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_a_graph_in_exif_gives_its_prompt(tmp_path: Path, suffix: str) -> None:
    exif = Pillow.Exif()
    sampler = {"class_type": "KSampler", "inputs": {"positive": ["2", 0]}}
    nodes = {"1": sampler, "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "a red boat"}}}
    exif[0x010F], exif[0x0110] = "workflow:" + json.dumps({"nodes": []}), "prompt:" + json.dumps(nodes)
    Pillow.new("RGB", (4, 4)).save(tmp_path / f"a{suffix}", exif=exif)
    assert metadata.caption(tmp_path / f"a{suffix}") == ("a red boat", "")


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_an_xmp_packet_gives_its_prompt_and_is_not_shown(tmp_path: Path, suffix: str) -> None:
    comment = '<exif:UserComment><rdf:li>{"c": "a red boat", "seed": 7}</rdf:li></exif:UserComment>'
    for name, text in (
        ("a", comment.replace('"', "&quot;")),
        ("b", "<exif:UserComment><rdf:li>none</rdf:li></exif:UserComment>"),
    ):
        Pillow.new("RGB", (4, 4)).save(tmp_path / f"{name}{suffix}", xmp=text.encode())
    assert metadata.read(tmp_path / f"a{suffix}") == {"prompt": "a red boat", "seed": "7"}
    assert metadata.read(tmp_path / f"b{suffix}") == {}


@pytest.mark.parametrize(
    ("name", "content", "caption", "reason"),
    [
        ("a.txt", "a café".encode("utf-16"), "a café", ""),
        ("a.caption", "x" * 5000, "x" * 5000, ""),
        ("a.txt", b"", "from the image", ""),
        ("a.txt", b"caf\x81", None, "its txt is not text in a known encoding"),
        ("a.caption", bytes(range(128, 256)), None, "its caption is not text in a known encoding"),
    ],
)
def test_caption_is_whole_or_unknown(
    tmp_path: Path, name: str, content: str | bytes, caption: str | None, reason: str
) -> None:
    path = png_with(tmp_path / "a.png", prompt="from the image")
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    assert metadata.caption(path) == (caption, reason)


def test_a_graph_without_a_prompt_gives_no_caption(tmp_path: Path) -> None:
    path = png_with(tmp_path / "a.png", prompt='{"1": {"class_type": "KSampler", "inputs": {}}}')
    assert metadata.caption(path) == (None, "its prompt is a graph of 1 node whose prompt cannot be told")


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


@pytest.mark.parametrize(
    ("companion", "line"),
    [
        ("model: a/b/dream_xl.safetensors\nseed: 7\nsampler: euler\n", "dream_xl · seed 7 · euler"),
        ("settings:\n  sampler_name: heun\n  upscaler model: x4\n  model: base\n", "base · heun"),
        ("prompt: a boat\n", ""),
    ],
)
def test_a_line_says_how_an_image_was_made(tmp_path: Path, companion: str, line: str):
    path = write_image(tmp_path / "a.png")
    path.with_suffix(".yaml").write_text(companion)
    assert metadata.made_with(path) == line
