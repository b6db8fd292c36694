"""The image folder while files are moved: whether it is still the one that it was, and nothing made where it is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from conftest import read_tree
from pickroom.core.errors import FileOperationError
from pickroom.core.records import FileOp
from pickroom.files.preflight import ImageFolder

MOVE = FileOp(1, "review", "g", "move", "anna/a.png", "crop/a.png", "aa", id=1)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "images" / "anna").mkdir(parents=True)
    (tmp_path / "images" / "crop").mkdir()
    return tmp_path / "images"


def test_a_folder_that_stays_is_no_reason_to_stop(root: Path) -> None:
    with ImageFolder(root, "p") as folder:
        folder.require([MOVE])
        (root / "anna" / "a.png").touch()
        folder.make("selected/anna")
        folder.require([MOVE])
    assert (root / "selected" / "anna").is_dir()


@pytest.mark.parametrize("name", ["", "anna", "crop"])
def test_a_folder_that_goes_away_is_named_with_a_way_out(root: Path, name: str) -> None:
    with ImageFolder(root, "p") as folder:
        folder.require([MOVE])
        (root / name).rename(root.parent / "away")
        with pytest.raises(FileOperationError, match="the folder is gone") as gone:
            folder.require([MOVE])
        assert str(root / name) in gone.value.line and "pickroom recover p" in gone.value.line
        (root / name).mkdir()
        with pytest.raises(FileOperationError, match="an empty folder is in its place"):
            folder.require([MOVE])
        (root / name / "anna").mkdir()
        with pytest.raises(FileOperationError, match="another folder is in its place"):
            folder.require([MOVE])
        (root / name / "anna").rmdir()
        (root / name).rmdir()
        (root.parent / "away").rename(root / name)
        folder.require([MOVE])


def test_folders_are_made_in_the_folder_that_was_opened(root: Path) -> None:
    with ImageFolder(root) as folder:
        root.rename(root.parent / "away")
        root.mkdir()
        folder.make("delete_staging")
    assert list(root.iterdir()) == []
    assert (root.parent / "away" / "delete_staging").is_dir()


def test_a_missing_image_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(FileOperationError, match="while opening the image folder"):
        ImageFolder(tmp_path / "none")
    assert read_tree(tmp_path) == {}
