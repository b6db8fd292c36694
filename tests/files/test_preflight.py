"""What the disk says before anything is planned."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import write_image
from pickroom.core.errors import ConflictError
from pickroom.core.naming import parse_name
from pickroom.core.records import FileOp, Group, Image
from pickroom.files.preflight import DiskSnapshot, require_images
from pickroom.storage import atomic
from pickroom.store.connect import open_read_only
from pickroom.store.workspace import Project
from support.reviewing import exfat_disk, in_child, obey_permissions

A, B = "20250803_060000_stage1_generated", "20250803_060100_stage2_upscaled"


def scanned(root: Path, filename: str, directory: str = "anna") -> Image:
    path = root / directory / filename
    info, name = path.stat(), parse_name(filename)
    sha256 = atomic.sha256_of(path)
    return Image(filename, directory, 48, 64, name.stage, name.taken_at, sha256, info.st_size, info.st_mtime_ns)


@pytest.fixture
def group(tmp_path: Path) -> Group:
    for seed, stem in enumerate((A, B)):
        write_image(tmp_path / "anna" / f"{stem}.png", seed)
    return Group("g", "p", "anna", 1, (scanned(tmp_path, f"{A}.png"), scanned(tmp_path, f"{B}.png")))


def move(destination: str, source: str = "anna/x") -> FileOp:
    return FileOp(1, "review", "g", "move", source, destination, "aa")


# --- is each image still the one scanned ------------------------------------------------------------------------


def test_images_as_scanned_are_no_problem(tmp_path: Path, group: Group) -> None:
    assert DiskSnapshot(tmp_path).problem_with(group.images) is None


def test_an_image_that_was_only_touched_is_no_problem(tmp_path: Path, group: Group) -> None:
    os.utime(tmp_path / "anna" / f"{A}.png", ns=(0, 0))
    assert DiskSnapshot(tmp_path).problem_with(group.images) is None


def vanish(path: Path) -> None:
    path.unlink()


def rewrite(path: Path) -> None:
    write_image(path, seed=99)


def same_size(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(0, 0))


def become_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (vanish, f"{B}.png has vanished since the scan"),
        (rewrite, f"{B}.png has changed since the scan"),
        (same_size, f"{B}.png has changed since the scan"),
        (become_a_folder, f"{B}.png cannot be read"),
    ],
)
def test_an_image_that_is_no_longer_the_one_scanned_is_a_reason(
    tmp_path: Path, group: Group, change: Callable[[Path], None], reason: str
) -> None:
    change(tmp_path / "anna" / f"{B}.png")
    problem = DiskSnapshot(tmp_path).problem_with(group.images)
    assert problem is not None
    assert problem.startswith(reason)


def test_an_image_that_may_not_be_read_is_a_reason(tmp_path: Path, group: Group) -> None:
    path = tmp_path / "anna" / f"{B}.png"
    os.utime(path, ns=(0, 0))
    path.chmod(0)

    def problem() -> str | None:
        obey_permissions()
        return DiskSnapshot(tmp_path).problem_with(group.images)

    assert in_child(problem) == f"{B}.png cannot be read: Permission denied"


# --- companions -------------------------------------------------------------------------------------------------


def test_companions_are_every_file_of_the_stem_with_its_hash_now(tmp_path: Path, group: Group) -> None:
    for name in (f"{A}.yaml", f"{A}.hands.json", f"{A}.decision", f"{B}.txt", "other.yaml", f"{A}x.txt"):
        (tmp_path / "anna" / name).write_text(name)
    found = DiskSnapshot(tmp_path).companions(group)
    assert {image: [name for name, _ in files] for image, files in found.items()} == {
        f"{A}.png": [f"{A}.decision", f"{A}.hands.json", f"{A}.yaml"],
        f"{B}.png": [f"{B}.txt"],
    }
    assert dict(found[f"{B}.png"])[f"{B}.txt"] == atomic.sha256_of(tmp_path / "anna" / f"{B}.txt")


def test_a_folder_named_like_a_companion_is_none(tmp_path: Path, group: Group) -> None:
    (tmp_path / "anna" / f"{A}.frames").mkdir()
    assert DiskSnapshot(tmp_path).companions(group) == {f"{A}.png": [], f"{B}.png": []}


@pytest.mark.parametrize("kind", ["link", "broken link", "pipe"])
def test_non_regular_companion_is_refused_without_opening_it(tmp_path: Path, group: Group, kind: str) -> None:
    path = tmp_path / "anna" / f"{A}.yaml"
    if kind == "pipe":
        os.mkfifo(path)  # opening it would wait for ever
    else:
        path.symlink_to("real.txt")
        if kind == "link":
            (tmp_path / "anna" / "real.txt").write_text("kept elsewhere")
    with pytest.raises(OSError, match=r"not a plain file.*\.yaml"):
        DiskSnapshot(tmp_path).companions(group)


def test_a_companion_that_may_not_be_read_is_refused(tmp_path: Path, group: Group) -> None:
    path = tmp_path / "anna" / f"{A}.yaml"
    path.write_text("x")
    path.chmod(0)

    def reason() -> str:
        obey_permissions()
        with pytest.raises(PermissionError) as refused:
            DiskSnapshot(tmp_path).companions(group)
        return str(refused.value.filename)

    assert in_child(reason) == str(path)


# --- is each place free -----------------------------------------------------------------------------------------


def test_free_places_are_promised_once(tmp_path: Path) -> None:
    disk = DiskSnapshot(tmp_path)
    assert disk.reserve([move(f"selected/{A}.png"), move(f"delete_staging/{B}.png")]) is None
    assert disk.reserve([move(f"selected/{A}.png")]) == f"selected/{A}.png exists already"
    assert disk.reserve([move(f"selected/{B}.png")]) is None


@pytest.mark.parametrize(
    ("there", "wanted", "reason"),
    [
        (f"selected/{A}.png", f"selected/{A}.png", f"selected/{A}.png exists already"),
        (f"selected/{A}.yaml", f"selected/{A}.yaml", f"selected/{A}.yaml exists already"),
        # companions of a.jpg and of a.png in one folder could not be told apart
        (f"selected/{A}.jpg", f"selected/{A}.png", f"another image with the stem {A} is in selected/ already"),
    ],
)
def test_a_place_that_is_taken_is_a_reason(tmp_path: Path, there: str, wanted: str, reason: str) -> None:
    (tmp_path / there).parent.mkdir()
    (tmp_path / there).write_text("x")
    assert DiskSnapshot(tmp_path).reserve([move("selected/other.png"), move(wanted)]) == reason


def test_two_steps_of_one_plan_cannot_have_the_same_place(tmp_path: Path) -> None:
    steps = [move(f"crop/{A}.decision"), FileOp(1, "review", "g", "write", None, f"crop/{A}.decision", "bb", "{}")]
    assert DiskSnapshot(tmp_path).reserve(steps) == f"crop/{A}.decision exists already"


def test_a_refused_plan_reserves_nothing(tmp_path: Path) -> None:
    (tmp_path / "selected").mkdir()
    (tmp_path / "selected" / f"{B}.png").write_text("x")
    disk = DiskSnapshot(tmp_path)
    assert disk.reserve([move(f"selected/{A}.png"), move(f"selected/{B}.png")]) is not None
    assert disk.reserve([move(f"selected/{A}.png")]) is None


def test_stems_of_a_folder_are_known_after_a_promise_too(tmp_path: Path) -> None:
    # the folder's own images must count even when the first promise came before anyone asked for them
    (tmp_path / "selected").mkdir()
    (tmp_path / "selected" / f"{B}.jpg").write_text("x")
    disk = DiskSnapshot(tmp_path)
    assert disk.reserve([move(f"selected/{A}.png")]) is None
    assert disk.reserve([move(f"selected/{B}.png")]) == f"another image with the stem {B} is in selected/ already"


def test_a_destination_that_is_a_file_is_a_reason(tmp_path: Path) -> None:
    (tmp_path / "selected").write_text("not a folder")
    assert DiskSnapshot(tmp_path).reserve([move(f"selected/{A}.png")]) == "selected/ cannot be listed: Not a directory"


def test_a_destination_that_may_not_be_listed_is_a_reason(tmp_path: Path) -> None:
    (tmp_path / "selected").mkdir()
    (tmp_path / "selected").chmod(0o300)

    def reason() -> str | None:
        obey_permissions()
        return DiskSnapshot(tmp_path).reserve([move(f"selected/{A}.png")])

    assert in_child(reason) == "selected/ cannot be listed: Permission denied"


# --- names that a disk does not take ------------------------------------------------------------------------------


def test_a_name_longer_than_the_disk_takes_is_a_reason(tmp_path: Path) -> None:
    limit = os.pathconf(tmp_path, "PC_NAME_MAX")
    letters = "字" * (limit // 3)  # three bytes each
    assert DiskSnapshot(tmp_path).reserve([move(f"crop/{letters}")]) is None
    reason = DiskSnapshot(tmp_path).reserve([move(f"crop/{letters}.decision")])
    assert reason is not None and f"may have {limit}" in reason and "shorter name" in reason


def test_the_limit_is_that_of_the_folder_it_goes_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # stands for an encrypted folder (eCryptfs), whose names may have 143 bytes
    (tmp_path / "crop").mkdir()
    ask = os.pathconf
    shorter = {(tmp_path / "crop", "PC_NAME_MAX"): 143}
    monkeypatch.setattr(os, "pathconf", lambda path, name: shorter.get((path, name)) or ask(path, name))
    disk = DiskSnapshot(tmp_path)
    assert disk.reserve([move("selected/" + "a" * 200)]) is None
    assert "may have 143" in str(disk.reserve([move("crop/" + "a" * 200)]))
    limits = [disk.name_limit(folder, "a", []) for folder in ("crop", "selected")]
    assert limits == [143, ask(tmp_path, "PC_NAME_MAX")]


def test_a_path_longer_than_the_system_takes_is_a_reason(tmp_path: Path) -> None:
    deep = "/".join(["d" * 200] * 20)
    reason = DiskSnapshot(tmp_path).reserve([move(f"{deep}/a.png")])
    assert reason is not None and ("too long" in reason)


# --- whether it is the project's folder at all --------------------------------------------------------------------


def test_a_folder_without_any_of_the_images_is_refused(make_project: Callable[..., Project], tmp_path: Path) -> None:
    project = make_project([(1, 2)], folder="anna")
    with open_read_only(project.database) as connection:
        require_images(project, connection, "looking", "plug it in")
        project.root.rename(tmp_path / "away")
        project.root.mkdir()
        with pytest.raises(ConflictError, match="none of the project's images are in this folder while looking"):
            require_images(project, connection, "looking", "plug it in")


def test_a_place_that_is_taken_by_another_spelling_is_no_place(tmp_path: Path) -> None:
    with exfat_disk(tmp_path) as root:
        (root / "selected").mkdir()
        (root / "selected" / "A.png").write_bytes(b"another")
        step = FileOp(1, "sort", "g", "move", "anna/a.png", "selected/a.png", "0" * 64)
        assert DiskSnapshot(root).reserve([step]) == "selected/a.png exists already"
