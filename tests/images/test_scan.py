"""Every image in the folder is either ready to be grouped or listed with its reason, and is read only once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from conftest import read_tree, write_image
from pickroom.core.errors import ImageError
from pickroom.core.naming import IMAGE_EXTENSIONS, OWNED_FOLDERS
from pickroom.core.records import Image, Ungrouped
from pickroom.images import scan as scan_module
from pickroom.images.scan import ListedImage, ScanResult, count_skipped, scan, walk
from support.damaged import png_of_no_pixels, write_truncated
from support.reviewing import in_child, obey_permissions

NAME = "20250803_060000_stage1.5_face_swapped.png"


@pytest.fixture
def look(tmp_path: Path, images_folder: Path) -> Callable[..., ScanResult]:
    """Scan the images folder: `look()`, or `look(last)` after an earlier scan."""

    def run(last: ScanResult | None = None, **options: object) -> ScanResult:
        known = {(image.directory, image.filename): image for image in last.images} if last else {}
        return scan(images_folder, tmp_path / "cache", known, IMAGE_EXTENSIONS, **options)  # type: ignore[arg-type]

    return run


def reasons(result: ScanResult) -> dict[str, str]:
    return {f"{item.directory}/{item.filename}".lstrip("/"): item.reason for item in result.left_out}


def names(result: ScanResult) -> list[str]:
    return [f"{image.directory}/{image.filename}".lstrip("/") for image in result.images]


# ------------------------------------------------------------------------------------------------ what is read


def test_image_is_known_by_everything_the_records_hold(look: Callable[..., ScanResult], images_folder: Path) -> None:
    path = write_image(images_folder / "anna" / NAME, size=(48, 64))
    info = path.stat()
    assert look().images == (
        Image(
            filename=NAME,
            directory="anna",
            width=48,
            height=64,
            stage=1.5,
            taken_at=datetime(2025, 8, 3, 6),
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            file_size=info.st_size,
            mtime_ns=info.st_mtime_ns,
        ),
    )


def test_other_names_are_welcome_and_their_stage_is_unknown(
    look: Callable[..., ScanResult], images_folder: Path
) -> None:
    write_image(images_folder / "IMG_1.jpg")
    (image,) = look().images
    assert (image.stage, image.taken_at) == (None, None)


def test_images_of_every_folder_come_by_folder_and_name(look: Callable[..., ScanResult], images_folder: Path) -> None:
    for path in ("b/z.png", "a/deep/er/y.png", "x.png", "a/w.png"):
        write_image(images_folder / path)
    assert names(look()) == ["x.png", "a/w.png", "a/deep/er/y.png", "b/z.png"]


@pytest.mark.parametrize(
    ("name", "picture"),
    [
        ("a.heic", Pillow.new("RGB", (8, 6))),
        ("a.tiff", Pillow.new("RGB", (8, 6))),
        ("a.webp", Pillow.new("RGB", (8, 6))),
        ("a.bmp", Pillow.new("RGB", (8, 6))),
        ("a.JPEG", Pillow.new("RGB", (8, 6))),
        ("a.png", Pillow.fromarray(np.full((6, 8), 40_000, dtype=np.uint16))),
        ("a.jpg", Pillow.new("CMYK", (8, 6))),
        ("a.png", Pillow.new("P", (8, 6))),
        ("a.png", Pillow.new("RGBA", (8, 6))),
        ("a.png", Pillow.new("1", (8, 6))),
    ],
    ids=lambda value: value if isinstance(value, str) else value.mode,
)
def test_every_kind_of_image_is_read(
    look: Callable[..., ScanResult], images_folder: Path, name: str, picture: Pillow.Image
) -> None:
    picture.save(images_folder / name)
    (image,) = look().images
    assert (image.width, image.height) == (8, 6)


@pytest.mark.parametrize("extension", ["png", "webp"])
def test_animated_image_is_read_as_one(look: Callable[..., ScanResult], images_folder: Path, extension: str) -> None:
    frames = [Pillow.new("RGB", (8, 6), (n, n, n)) for n in (90, 180)]
    Pillow.new("RGB", (8, 6)).save(images_folder / f"a.{extension}", save_all=True, append_images=frames)
    assert names(look()) == [f"a.{extension}"]


def test_turned_image_is_measured_upright(look: Callable[..., ScanResult], images_folder: Path) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = 6
    for name in ("a.jpg", "b.tif"):
        Pillow.new("RGB", (60, 40)).save(images_folder / name, exif=exif.tobytes())
    assert [(image.width, image.height) for image in look().images] == [(40, 60), (40, 60)]


def test_image_with_damaged_exif_is_read_and_stops_nothing(
    look: Callable[..., ScanResult], images_folder: Path
) -> None:
    Pillow.new("RGB", (8, 6)).save(images_folder / "a.png", exif=b"garbage")
    write_image(images_folder / "b.png")
    assert names(look()) == ["a.png", "b.png"]


def test_two_files_of_one_content_are_two_images(look: Callable[..., ScanResult], images_folder: Path) -> None:
    for name in ("a.png", "b.png"):
        write_image(images_folder / name, seed=1)
    first, second = look().images
    assert first.sha256 == second.sha256


# ------------------------------------------------------------------------------------------------ what is left out


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "zero bytes"),
        (b"just some text, and no image", "unreadable: not an image"),
        (png_of_no_pixels(30_000, 30_000), "huge: "),
        (png_of_no_pixels(8, 8), "truncated"),
        (b"\xff\xd8\xff\xe0", "unreadable: "),
    ],
    ids=["zero bytes", "text", "huge", "no pixels", "a jpeg's first bytes"],
)
def test_file_that_cannot_be_read_is_listed_with_its_reason(
    look: Callable[..., ScanResult], images_folder: Path, content: bytes, reason: str
) -> None:
    (images_folder / "bad.png").write_bytes(content)
    write_image(images_folder / "good.png")
    result = look()
    assert names(result) == ["good.png"]
    assert reasons(result)["bad.png"].startswith(reason)
    assert result.count == 2


@pytest.mark.parametrize("extension", ["png", "jpg"])
def test_truncated_image_is_listed(look: Callable[..., ScanResult], images_folder: Path, extension: str) -> None:
    write_truncated(images_folder / f"a.{extension}")
    assert reasons(look()) == {f"a.{extension}": "truncated"}


def test_image_with_another_formats_name_is_read_and_noted(
    look: Callable[..., ScanResult], images_folder: Path
) -> None:
    write_image(images_folder / "a.jpg").rename(images_folder / "a.heic")
    Pillow.new("RGB", (8, 8)).save(images_folder / "b.png", "GIF")
    result = look()
    assert names(result) == ["a.heic"] and result.misnamed == ("a.heic (JPEG)",)
    assert reasons(result) == {"b.png": "mislabelled: .png holds GIF"}


def test_files_that_are_not_read_are_counted_by_extension(look: Callable[..., ScanResult], images_folder: Path) -> None:
    write_image(images_folder / "a.jpg")
    beside = ["a.CR2", "a.mov", "a.jpg.psd", "a.txt"]  # companions
    alone = ["b.CR2", "c.cr2", "d.gif", "sub/e.GIF", "f.MOV", "g.svg", "h.jxl", "i.txt", ".j.gif", "crop/k.gif"]
    for name in (*beside, *alone):
        (images_folder / name).parent.mkdir(exist_ok=True)
        (images_folder / name).write_bytes(b"x")
    result = look()
    assert names(result) == ["a.jpg"] and result.left_out == ()
    assert {item.extension: item.files for item in result.skipped} == {
        **{".cr2": 2, ".gif": 2, ".jxl": 1, ".mov": 1, ".svg": 1},
    }
    assert all(item.reason for item in result.skipped)


def test_folder_that_cannot_be_listed_holds_nothing_skipped(images_folder: Path) -> None:
    assert count_skipped(images_folder / "gone", IMAGE_EXTENSIONS) == ()


def test_images_left_out_by_the_manifest_are_counted(images_folder: Path) -> None:
    write_image(images_folder / "a.jpg")
    write_image(images_folder / "b.webp")
    (skipped,) = count_skipped(images_folder, ["jpg"])
    assert skipped.line == "skipped: 1 .webp (left out by allowed_extensions in the project's manifest)"


def test_links_and_pipes_are_listed_and_never_opened(look: Callable[..., ScanResult], images_folder: Path) -> None:
    target = write_image(images_folder.parent / "elsewhere.png")
    (images_folder / "link.png").symlink_to(target)
    (images_folder / "dangling.png").symlink_to(images_folder / "nowhere")
    os.mkfifo(images_folder / "pipe.png")  # opening it would wait for ever
    link = "symbolic link: not followed"
    assert reasons(look()) == {"dangling.png": link, "link.png": link, "pipe.png": "not a plain file"}


def test_folder_that_is_a_link_is_not_followed(look: Callable[..., ScanResult], images_folder: Path) -> None:
    write_image(images_folder / "real" / "a.png")
    (images_folder / "again").symlink_to(images_folder / "real")
    (images_folder / "round").symlink_to(images_folder)
    result = look()
    assert (names(result), result.count) == (["real/a.png"], 1)


def test_name_that_is_not_utf_8_is_listed(look: Callable[..., ScanResult], images_folder: Path) -> None:
    path = os.fsencode(images_folder) + b"/bad\xff.png"
    with open(path, "wb") as file:
        file.write(write_image(images_folder / "good.png").read_bytes())
    result = look()
    assert names(result) == ["good.png"]
    assert reasons(result) == {"bad\udcff.png": "name is not valid UTF-8: rename it"}


def test_images_in_a_folder_whose_name_is_not_utf_8_are_listed(
    look: Callable[..., ScanResult], images_folder: Path
) -> None:
    os.mkdir(os.fsencode(images_folder) + b"/odd\xfe")
    write_image(images_folder / "odd\udcfe" / "a.png")
    assert reasons(look()) == {"odd\udcfe/a.png": "name is not valid UTF-8: rename it"}


def test_name_met_in_several_folders_is_an_image_in_each(look: Callable[..., ScanResult], images_folder: Path) -> None:
    for folder in ("", "anna", "bob"):
        write_image(images_folder / folder / "x.png")
    result = look()
    assert (names(result), reasons(result)) == (["x.png", "anna/x.png", "bob/x.png"], {})


def test_two_images_of_one_stem_in_one_folder_are_ambiguous(
    look: Callable[..., ScanResult], images_folder: Path
) -> None:
    for name in ("a.png", "a.jpg", "b.png"):
        write_image(images_folder / name)
    write_image(images_folder / "other" / "b.jpg")  # another folder, no companions to quarrel over
    result = look()
    assert names(result) == ["b.png", "other/b.jpg"]
    assert reasons(result) == {"a.png": "ambiguous stem: also a.jpg", "a.jpg": "ambiguous stem: also a.png"}


def test_names_that_differ_in_case_alone_are_two_names(look: Callable[..., ScanResult], images_folder: Path) -> None:
    for name in ("a.png", "A.png"):
        write_image(images_folder / name)
    assert names(look()) == ["A.png", "a.png"]


@pytest.mark.parametrize("folder", OWNED_FOLDERS)
def test_folder_that_pickroom_owns_is_no_source(
    look: Callable[..., ScanResult], images_folder: Path, folder: str
) -> None:
    write_image(images_folder / folder / "a.png")
    write_image(images_folder / folder / "deeper" / "b.png")
    write_image(images_folder / "anna" / folder / "c.png")  # only the root's own ones are Pickroom's
    result = look()
    assert (names(result), result.left_out) == ([f"anna/{folder}/c.png"], ())


def test_hidden_files_and_folders_are_passed_over(look: Callable[..., ScanResult], images_folder: Path) -> None:
    for path in (".a.png", ".git/b.png", "anna/.trash/c.png", "._d.png"):
        write_image(images_folder / path)
    assert look().count == 0


def test_other_files_are_passed_over(look: Callable[..., ScanResult], images_folder: Path) -> None:
    for name in ("a.yaml", "a.gif", "png", "notes.txt", "a.png.bak"):
        (images_folder / name).write_text("x")
    assert look().count == 0


def test_folder_named_like_an_image_is_a_folder(look: Callable[..., ScanResult], images_folder: Path) -> None:
    write_image(images_folder / "album.png" / "a.png")
    assert names(look()) == ["album.png/a.png"]


def test_folders_to_avoid_are_not_entered(look: Callable[..., ScanResult], images_folder: Path) -> None:
    write_image(images_folder / "data" / "a.png")
    write_image(images_folder / "anna" / "data" / "b.png")
    assert names(look(avoid=frozenset({images_folder / "data"}))) == ["anna/data/b.png"]


def test_only_the_extensions_asked_for_are_images(images_folder: Path) -> None:
    for name in ("a.png", "b.jpg"):
        write_image(images_folder / name)
    entries, left_out = walk(images_folder, ("jpg",))
    assert ([entry.filename for entry in entries], left_out) == (["b.jpg"], [])


def test_reserved_folder_names_count_only_directly_below_root(images_folder: Path) -> None:
    for folder in ("selected", "selected/crop", "holiday", "holiday/selected", "holiday/crop"):
        write_image(images_folder / folder / "a.png")

    def found(base: str) -> list[str]:
        return sorted(entry.directory for entry in walk(images_folder, IMAGE_EXTENSIONS, base=base)[0])

    assert found("") == found("holiday") == ["holiday", "holiday/crop", "holiday/selected"]
    assert found("selected") == ["selected", "selected/crop"]
    (images_folder / "selected" / "link.png").symlink_to("nowhere")
    assert [u.directory for u in walk(images_folder, IMAGE_EXTENSIONS, base="selected")[1]] == ["selected"]
    with pytest.raises(FileNotFoundError):
        walk(images_folder, IMAGE_EXTENSIONS, base="gone")


def test_root_that_is_gone_is_an_error_not_an_empty_project(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        walk(tmp_path / "gone", IMAGE_EXTENSIONS)


def without_permission(closed: Path, root: Path) -> list[Ungrouped]:
    """What a walk lists, or raises, for someone who may not look into one folder."""
    obey_permissions()
    closed.chmod(0)
    try:
        return walk(root, IMAGE_EXTENSIONS)[1]
    finally:
        closed.chmod(0o755)


def test_unreadable_folder_is_listed_and_others_are_walked(images_folder: Path) -> None:
    write_image(images_folder / "anna" / "private" / "a.png")
    (images_folder / "anna" / "link.png").symlink_to("nowhere")
    assert in_child(without_permission, images_folder / "anna" / "private", images_folder) == [
        Ungrouped("anna", "link.png", "symbolic link: not followed"),
        Ungrouped("anna", "private/", "folder cannot be opened: permission denied"),
    ]


def test_root_that_may_not_be_opened_is_an_error(images_folder: Path) -> None:
    with pytest.raises(AssertionError, match="PermissionError"):
        in_child(without_permission, images_folder, images_folder)


def test_scan_changes_nothing_in_the_folder(look: Callable[..., ScanResult], images_folder: Path) -> None:
    write_image(images_folder / "a.png")
    write_image(images_folder / "anna" / "b.jpg")
    (images_folder / "bad.png").write_bytes(b"bad")
    before = read_tree(images_folder)
    look()
    assert read_tree(images_folder) == before


# ------------------------------------------------------------------------------------------------ reading once


def test_unchanged_files_are_not_read_again(
    look: Callable[..., ScanResult], images_folder: Path, tmp_path: Path
) -> None:
    for name in ("a.png", "b.png"):
        write_image(images_folder / name)
    first = look()
    for preview in (tmp_path / "cache").rglob("*.jpg"):
        preview.unlink()
    read: list[tuple[int, int]] = []
    again = look(first, progress=lambda done, of: read.append((done, of)))
    assert again.images == first.images
    assert read == []
    assert list((tmp_path / "cache").rglob("*.jpg")) == []  # reading would have made them anew


def test_changed_file_is_read_again_and_no_other(look: Callable[..., ScanResult], images_folder: Path) -> None:
    for name in ("a.png", "b.png"):
        write_image(images_folder / name, seed=1)
    first = look()
    write_image(images_folder / "a.png", seed=2, size=(10, 20))
    read: list[tuple[int, int]] = []
    second = look(first, progress=lambda done, of: read.append((done, of)))
    assert read == [(1, 1)]
    assert (second.images[0].width, second.images[0].height) == (10, 20)
    assert second.images[0].sha256 != first.images[0].sha256
    assert second.images[1] == first.images[1]


def test_touched_but_unchanged_file_is_read_again_as_the_same(
    look: Callable[..., ScanResult], images_folder: Path
) -> None:
    path = write_image(images_folder / "a.png")
    first = look()
    os.utime(path, ns=(1, 1))
    (again,) = look(first).images
    assert (again.sha256, again.mtime_ns) == (first.images[0].sha256, 1)


def test_file_that_went_bad_is_listed(look: Callable[..., ScanResult], images_folder: Path) -> None:
    write_image(images_folder / "a.png")
    first = look()
    write_truncated(images_folder / "a.png")
    second = look(first)
    assert (names(second), reasons(second)) == ([], {"a.png": "truncated"})


def test_file_that_was_mended_is_read(look: Callable[..., ScanResult], images_folder: Path) -> None:
    (images_folder / "a.png").write_bytes(b"bad")
    first = look()
    write_image(images_folder / "a.png")
    assert names(look(first)) == ["a.png"]


def test_progress_counts_every_file_read(look: Callable[..., ScanResult], images_folder: Path) -> None:
    for number in range(5):
        write_image(images_folder / f"{number}.png", seed=number)
    read: list[tuple[int, int]] = []
    look(progress=lambda done, of: read.append((done, of)))
    assert read == [(n, 5) for n in range(1, 6)]


def test_scan_keeps_a_preview_of_every_content(
    look: Callable[..., ScanResult], images_folder: Path, tmp_path: Path
) -> None:
    for name, seed in (("a.png", 1), ("b.png", 1), ("c.png", 2)):
        write_image(images_folder / name, seed=seed)
    result = look()
    kept = {path.stem for path in (tmp_path / "cache").rglob("*.jpg")}
    assert kept == {image.sha256 for image in result.images}
    assert len(kept) == 2


# ------------------------------------------------------------------------------------------------ unreadable files


def test_huge_file_that_is_no_image_is_not_read_through(look: Callable[..., ScanResult], images_folder: Path) -> None:
    path = images_folder / "x.png"
    path.touch()
    os.truncate(path, 1 << 43)  # bytes of a hole: hashing them would take hours
    assert reasons(look()) == {"x.png": "unreadable: not an image"}


def test_unreadable_file_is_not_opened_again(
    look: Callable[..., ScanResult], images_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_truncated(images_folder / "a.png")
    (images_folder / "b.png").write_bytes(b"")
    (images_folder / "c.png").write_bytes(b"no image")
    first = look()
    monkeypatch.setattr(scan_module, "_examine", _opened)
    again = look(unreadable=first.unreadable)
    assert reasons(again) == reasons(first) == {"a.png": "truncated", "b.png": "zero bytes", "c.png": _NO_IMAGE}
    assert again.unreadable == first.unreadable
    os.utime(images_folder / "c.png", ns=(1, 1))
    with pytest.raises(AssertionError, match=r"c\.png was opened"):
        look(unreadable=first.unreadable)


def test_file_that_an_earlier_version_called_mislabelled_is_read(
    look: Callable[..., ScanResult], images_folder: Path
) -> None:
    path = write_image(images_folder / "a.jpg").rename(images_folder / "a.heic")
    info = path.stat()
    before = {("", "a.heic"): (info.st_size, info.st_mtime_ns, "mislabelled: .heic holds JPEG")}
    assert names(look(unreadable=before)) == ["a.heic"]


_NO_IMAGE = "unreadable: not an image"


def _opened(root: Path, folder: Path, entry: ListedImage) -> Image | ImageError:
    raise AssertionError(f"{entry.filename} was opened")


def test_file_that_could_not_be_opened_is_tried_again(images_folder: Path, tmp_path: Path) -> None:
    path = write_image(images_folder / "a.png")
    path.chmod(0)
    assert in_child(_unreadable_as_a_user, images_folder, tmp_path / "cache") == ({"a.png": _DENIED}, {})


_DENIED = "unreadable: Permission denied"


def _unreadable_as_a_user(folder: Path, cache: Path) -> tuple[dict[str, str], dict[tuple[str, str], object]]:
    obey_permissions()
    found = scan(folder, cache, {}, IMAGE_EXTENSIONS)
    return reasons(found), dict(found.unreadable)
