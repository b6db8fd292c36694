"""Hostile folders: odd names, links, pipes, devices, bombs. Each image is grouped or listed with its reason, the whole
way from the scan to the crop and back keeps every file, and nothing waits for ever.
"""

from __future__ import annotations

import os
import random
import struct
import zlib
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from conftest import SCANNED_AT, read_tree, stage_name, write_image
from hostile.guard import limit_memory, survive
from pickroom.core.errors import ImageError
from pickroom.core.naming import stem_of
from pickroom.core.records import CropBox
from pickroom.features import reading
from pickroom.files import cropping
from pickroom.files.batch import undo_batch
from pickroom.images import decode, generators, metadata, thumbnails
from pickroom.indexing import projects
from pickroom.sessions.crop.session import CropSession
from pickroom.storage import atomic
from pickroom.store.connect import connect
from pickroom.store.workspace import Project, Workspace
from support.damaged import png_of_no_pixels, write_truncated
from support.reviewing import FINALISE, in_child, queue, review

# before the time in a name; the stage's word fills a name up to what the system takes
PREFIXES = (
    "-rf",
    "--help",
    "line\nbreak",
    "tab\tand\rreturn",
    "'; DROP TABLE images; --",
    '"quoted"',
    "back\\slash",
    "é",
    "e\u0301",
    "\u202egnp",
    "\U0001f98a",
    " leading space",
    "$(touch x)",
    "%s%n{0}",
    "<img src=x onerror=alert(1)>",
    "=cmd|'",
    "con",
    "x..",
    "a" * (255 - len(stage_name(SCANNED_AT, 1.0)) - 1),
    "\u0410" * 90,
    "\x1b[31m",
    "\x7f",
)


def hostile_series(folder: Path) -> list[tuple[str, str]]:
    """A group of two for each prefix, with a companion each, an hour apart."""
    made = []
    for number, prefix in enumerate(PREFIXES):
        start = datetime(2025, 8, 3) + timedelta(hours=number)
        names = tuple(f"{prefix}_{start + timedelta(minutes=s):%Y%m%d_%H%M%S}_stage{s}_x.png" for s in (1, 2))
        for place, name in enumerate(names):
            short = name if len(name.encode()) <= 250 else name[-200:]
            write_image(folder / short, seed=number * 2 + place)
            (folder / f"{stem_of(short)}.txt").write_text(prefix)
        made.append(tuple(n if len(n.encode()) <= 250 else n[-200:] for n in names))
    return made


def contents(root: Path) -> list[str]:
    return sorted(sha for path, sha in read_tree(root).items() if not path.endswith(".decision"))


def test_hostile_names_go_all_the_way_and_back(workspace: Workspace, images_folder: Path) -> None:
    made = hostile_series(images_folder)
    before = read_tree(images_folder)
    project, report = projects.start(workspace, "p", images_folder, at=SCANNED_AT)
    assert report.images == 2 * len(PREFIXES)
    assert {tuple(group.filenames) for group in report.groups} == set(made)
    done = review(project, *["1", "q"] * (len(made) // 2), *FINALISE)
    assert done.last_result is not None and not done.last_result.held and not done.last_result.stuck
    assert contents(images_folder) == sorted(before.values())
    session = CropSession(project)
    waiting = list(session.waiting)
    try:
        result = session.submit([cropping.Order("crop", c.filename, CropBox(0.1, 0.1, 0.9, 0.9)) for c in waiting])
    finally:
        session.close()
    assert len(result.done) == len(waiting) == len(made) // 2 and not result.refused
    with closing(connect(project.database)) as connection:
        undo_batch(project, connection, result.batch or 0)
        undo_batch(project, connection, 1)
    # a crop that is taken back is set aside, never deleted
    after = {k: v for k, v in read_tree(images_folder).items() if not k.startswith("delete_staging/")}
    assert after == before


def test_what_is_no_image_is_listed_and_never_waited_for(workspace: Workspace, images_folder: Path) -> None:
    reasons = lay_out(images_folder)
    found = in_child(_started, workspace, images_folder)
    assert {name: reason.split(":")[0] for name, reason in found.items()} == reasons
    assert _started.__name__  # the child came back: no pipe, no device, no link was waited for


def lay_out(folder: Path) -> dict[str, str]:
    """One of everything; shown name -> how its reason begins."""
    write_image(folder / "sound.png")
    write_image(folder.parent / "outside.png")
    (folder / "zero.png").touch()
    write_truncated(folder / "cut.png")
    (folder / "mislabelled.png").write_bytes(b"GIF89a\1\0\1\0\0\0\0,\0\0\0\0\1\0\1\0\0\2\2D\1\0;")
    (folder / "text.png").write_text("<svg onload=alert(1)>")
    (folder / "bomb.png").write_bytes(png_of_no_pixels(60_000, 60_000))
    (folder / "out.png").symlink_to(folder.parent / "outside.png")
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "dangling.png").symlink_to("nowhere.png")
    (folder / "device.png").symlink_to("/dev/zero")
    (folder / "round").symlink_to(folder)
    os.mkfifo(folder / "pipe.png")
    (folder / "folder.png").mkdir()
    odd = os.fsencode(folder) + b"/odd\xff.png"
    Path(os.fsdecode(odd)).write_bytes((folder / "sound.png").read_bytes())
    deep = folder
    try:
        for _ in range(40):
            deep = deep / ("d" * 200)
            os.mkdir(deep)
    except OSError:
        pass  # as deep as the system goes by one path
    return {
        "zero.png": "zero bytes",
        "cut.png": "truncated",
        "mislabelled.png": "mislabelled",
        "text.png": "unreadable",
        "bomb.png": "huge",
        "out.png": "symbolic link",
        "loop.png": "symbolic link",
        "dangling.png": "symbolic link",
        "device.png": "symbolic link",
        "pipe.png": "not a plain file",
        "odd\\xff.png": "name is not valid UTF-8",
        "sound.png": "no stage in its name",
    }


def _started(workspace: Workspace, folder: Path) -> dict[str, str]:
    limit_memory(1500)
    project, _ = projects.start(workspace, "p", folder, at=SCANNED_AT)
    report = projects.rescan(project)
    shown = (u.filename.encode(errors="surrogateescape").decode(errors="backslashreplace") for u in report.ungrouped)
    return dict(zip(shown, (u.reason for u in report.ungrouped), strict=True))


@pytest.mark.parametrize("suffix", [".yaml", ".caption", ".txt", ".decision"])
def test_a_pipe_or_a_device_for_a_companion_holds_the_group_back(
    make_project: Callable[..., Project], suffix: str
) -> None:
    project = make_project([(1, 2)])
    (name, _) = queue(project)[0].filenames
    path = project.root / f"{stem_of(name)}{suffix}"
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    held, said = in_child(_finalised, project, name)
    assert list(held) == ["not a plain file"] and (suffix != ".yaml" or said[path.name] == "cannot be read")
    path.unlink()
    path.symlink_to("/dev/zero")
    held, said = in_child(_finalised, project, name, "2")
    assert list(held) == ["not a plain file"]


def _finalised(project: Project, name: str, key: str = "1") -> tuple[list[str], dict[str, str]]:
    before = read_tree(project.root)
    said = metadata.read(project.root / name)
    done = review(project, key, *FINALISE)
    assert read_tree(project.root) == before
    assert done.last_result is not None, done.state.message
    return [reason.rpartition(": ")[2] for reason in done.last_result.held.values()], said


def test_a_pipe_for_a_sidecar_is_reported_at_the_crop_desk(make_project: Callable[..., Project]) -> None:
    project = make_project([(1, 2)])
    review(project, "q", *FINALISE)
    sidecar = next((project.root / "crop").glob("*.decision"))
    sidecar.unlink()
    os.mkfifo(sidecar)
    assert "not a plain file" in in_child(_problem_of, project)


def _problem_of(project: Project) -> str:
    session = CropSession(project)
    try:
        return " ".join([*session.problems.values(), *(str(w) for w in session.waiting)])
    finally:
        session.close()


def test_a_pipe_or_a_device_is_never_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), Path("/dev/null"), tmp_path):
        with pytest.raises(OSError):
            in_child_hash(path)
    (tmp_path / "large").write_bytes(b"x" * 11)
    assert atomic.read_small(tmp_path / "large", 11) == b"x" * 11
    with pytest.raises(OSError, match="larger than 10 bytes"):
        atomic.read_small(tmp_path / "large", 10)


def in_child_hash(path: Path) -> str:
    try:
        return in_child(atomic.sha256_of, path)
    except AssertionError as error:
        raise OSError(str(error)) from None


SIDE = 4000  # pixels; a file of a few dozen kB
BOMBS = {"16-bit grey": (16, 0, 2), "colour with alpha": (8, 6, 4)}  # the two kinds that once took most


@pytest.mark.parametrize("kind", BOMBS)
def test_preview_of_blank_picture_takes_at_most_twice_its_memory(kind: str, tmp_path: Path) -> None:
    """Pillow holds a picture in colour as four bytes a pixel: one for the file's own, one for the upright RGB."""
    depth, colour, size = BOMBS[kind]
    path = tmp_path / "bomb.png"
    path.write_bytes(nothing(SIDE, SIDE, depth, colour, size))
    megabytes = SIDE * SIDE * 8 // (1 << 20) + 150  # and a strip, and Pillow's own buffers
    assert in_child(_previewed, path, tmp_path / "previews", megabytes) == (SIDE, SIDE)


def _previewed(path: Path, previews: Path, megabytes: int) -> tuple[int, int]:
    limit_memory(megabytes)
    return thumbnails.make(previews, "0" * 64, path)


def nothing(width: int, height: int, depth: int, colour: int, size: int) -> bytes:
    """A PNG all of zeros: its bytes say a thousandth of what its pixels take."""
    packer = zlib.compressobj(1)
    row = b"\0" * (1 + width * size)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)), (b"IDAT", data), (b"IEND", b"")]
    packed = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def test_huge_pictures_flattened_by_strips_give_same_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np
    from PIL import Image as PillowImage

    rng = np.random.default_rng(4)
    made = [
        PillowImage.fromarray(rng.integers(0, 256, (37, 23, 4), dtype=np.uint8), "RGBA"),
        PillowImage.fromarray(rng.integers(0, 65536, (37, 23), dtype=np.uint16)),
        PillowImage.fromarray(rng.integers(-5, 2**20, (37, 23), dtype=np.int32), "I"),
        PillowImage.fromarray(rng.random((37, 23), dtype=np.float32) * 3),
        PillowImage.fromarray(rng.integers(0, 256, (37, 23, 4), dtype=np.uint8), "CMYK"),
    ]
    whole = [decode.flatten(image).tobytes() for image in made]
    monkeypatch.setattr(decode, "_STRIP_PIXELS", 100)
    assert [decode.flatten(image).tobytes() for image in made] == whole


def test_hostile_text_in_an_image_is_read_at_once(tmp_path: Path) -> None:
    """Spaces without end once took a quarter of an hour of looking for the next setting."""

    def case(rng: random.Random) -> str:
        filler = rng.choice((" ", "A", 'A:"', "A: \\", ",", "\n", "A: ", '"', "Steps:"))
        text = "x\nSteps: 1," + filler * (200_000 // len(filler)) + rng.choice(("", "x", '"'))
        assert generators.parameters(text)["prompt"]
        return "read"

    survive("folders/parameters", 12, case)


def test_pipe_in_place_of_an_image_is_an_error_of_that_image(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    item = reading.EmbedItem("", "a.png", None, 0, 0)
    with pytest.raises(ImageError, match="zero bytes"):
        reading.ImageSource(tmp_path, None).read(item, 64)
