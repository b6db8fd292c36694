"""Workspace, images and backups on a disk as cameras and shared drives have it: exFAT, with real commands."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conftest import write_image
from faults.census import Tree, tree_of
from faults.launcher import Plan, run
from faults.scenarios import Stage
from pickroom.automation import sandbox
from support.reviewing import exfat_disk

SEED = 20250803


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with exfat_disk(tmp_path_factory.mktemp("near")) as folder:
        yield folder


@pytest.mark.parametrize("name", ["review", "crop", "undo review", "sort"])
def test_a_command_there_ends_as_anywhere_killed_or_not(
    staged: Callable[..., Stage], ends_as: Callable[[str], Tree], disk: Path, name: str
) -> None:
    wanted = ends_as(name)
    made = staged(name, folder=disk / "run")
    whole = made.run()
    assert whole.code == 0, whole.said
    assert tree_of(made.project) == wanted
    assert made.census().lines == []
    # before the last of its steps that names a file, and at one more of any kind
    named = [number for number, step in enumerate(whole.steps, start=1) if step.endswith(": rename")]
    for step in (named[-1], random.Random(f"{SEED} {name}").randint(1, whole.count)):
        made = staged(name, folder=disk / "run")
        assert made.run(plan=Plan(kill_at=step)).killed
        assert made.missing() == []
        assert made.recover().code == 0
        assert made.census().lines == [] and made.planned() == 0


def test_a_workspace_there_is_made_backed_up_and_restored(disk: Path, tmp_path: Path) -> None:
    home, said = disk / "home", tmp_path / "said"

    def pickroom(*words: str, home: Path = home) -> str:
        done = run([*words, "--home", str(home)], said)
        assert done.code == 0, done.said
        return done.said

    pickroom("demo", "--groups", "3", "--decided", "0", "--no-review", "--seed", "1", "--long-side", "96")
    (home / "keys").write_text("1\n1\nShift+Enter\nShift+Enter\n")
    assert "Batch 1" in pickroom("review", "demo", "--keys", str(home / "keys"))
    pickroom("undo", "demo", "--batch", "1")
    pickroom("review", "demo", "--keys", str(home / "keys"))
    pickroom("backup", str(disk / "saved.zip"))
    pickroom("restore", str(disk / "saved.zip"), home=disk / "restored")
    assert "(active): 1 of 3 groups" in pickroom("status", "demo", home=disk / "restored")
    assert sorted(path.name for path in (home / "data" / "projects").glob("*.json")) == ["demo.json"]


def test_a_name_that_the_disk_does_not_take_is_said_so(disk: Path, tmp_path: Path) -> None:
    (tmp_path / "a?.png").write_bytes(b"image")
    with pytest.raises(OSError, match="the disk takes no such name"):
        sandbox.copy_file(tmp_path / "a?.png", disk / "a?.png")
    assert not [path for path in disk.iterdir() if path.name.startswith(".")]


def test_a_name_counts_in_letters_there(disk: Path, tmp_path: Path) -> None:
    home, said, images = disk / "letters", tmp_path / "said", disk / "images"
    for number, length in enumerate((90, 252), start=1):  # with .decision the second has too many letters, too
        for stage in (1, 2):
            name = f"2025010{number}_10000{stage}_stage{stage}_{'画' * (length - 26)}.png"
            write_image(images / name, seed=10 * number + stage)
    (home / "data").mkdir(parents=True)
    (home / "keys").write_text("q\nq\nShift+Enter\nShift+Enter\n")
    assert run(["start", "p", "--images", str(images), "--home", str(home)], said).code == 0
    done = run(["review", "p", "--keys", str(home / "keys"), "--home", str(home)], said)
    assert done.code == 1 and "1 to crop; 1 held back" in done.said
    assert "letters, and names in crop/ may have 255" in done.said
    assert len(list((images / "crop").glob("*.decision"))) == 1
