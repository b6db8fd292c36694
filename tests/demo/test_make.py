"""The demo's files: the same bytes every time, whole or not at all, and what a scan makes of them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from PIL import Image as PillowImage

from conftest import read_tree
from demo.conftest import SMALL, Demo
from pickroom.core.companions import Companions
from pickroom.core.errors import FileOperationError, UsageError
from pickroom.core.naming import is_image_name, parse_name, stem_of
from pickroom.demo import project
from pickroom.demo.photographs import PHOTOGRAPHS, Photograph, load
from pickroom.demo.plan import DemoConfig
from pickroom.demo.project import make_images
from pickroom.indexing import projects
from pickroom.store.workspace import Workspace
from support.simulated import read_truth


def test_same_settings_give_same_bytes_on_any_core_count(
    demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    make_images(tmp_path, SMALL)
    assert read_tree(tmp_path) == read_tree(demo.home)


def test_a_truth_file_of_the_user_is_kept(demo: Demo, tmp_path: Path) -> None:
    truth = tmp_path / "demo_truth.jsonl"
    truth.write_text("mine")
    with pytest.raises(UsageError, match="a file of this name is there already"):
        make_images(tmp_path, SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["demo_truth.jsonl"]
    truth.write_bytes((demo.home / truth.name).read_bytes())  # as a run that was cut off leaves it
    assert make_images(tmp_path, SMALL) == demo.truths


def test_another_seed_gives_other_pictures(demo: Demo, tmp_path: Path) -> None:
    make_images(tmp_path, replace(SMALL, groups=4, seed=8))
    pictures = {digest for name, digest in read_tree(tmp_path).items() if is_image_name(name)}
    assert pictures.isdisjoint(read_tree(demo.home).values())


def test_a_smaller_demo_is_the_start_of_a_larger_one(demo: Demo, tmp_path: Path) -> None:
    assert make_images(tmp_path, replace(SMALL, groups=3)) == demo.truths[:3]
    assert read_tree(tmp_path / "demo_images").items() <= read_tree(demo.images).items()


def test_a_scan_finds_exactly_the_groups_of_the_truth(demo: Demo, tmp_path: Path) -> None:
    _, report = projects.start(Workspace(tmp_path / "home"), "demo", demo.images)
    found = {group.filenames for group in report.groups}
    assert found == {truth.images for truth in demo.truths}
    assert not report.ungrouped
    assert {len(names) for names in found} == {2, 3, 4}


def test_every_image_decodes_and_later_stages_are_larger(demo: Demo) -> None:
    for truth in demo.truths:
        sizes = {}
        for name in truth.images:
            with PillowImage.open(demo.path_of(name)) as image:
                image.load()
                assert image.mode == "RGB"
                sizes[parse_name(name).stage] = image.size
        assert max(sizes[1.0]) == SMALL.long_side
        for stage, (width, height) in sizes.items():
            factor = 1.25 if stage and stage >= 2 else 1
            assert (width, height) == (sizes[1.0][0] * factor, sizes[1.0][1] * factor)


def test_every_image_has_its_yaml_and_carries_its_parameters(demo: Demo) -> None:
    captions = 0
    for truth in demo.truths:
        for name in truth.images:
            path = demo.path_of(name)
            companions = Companions(p.name for p in path.parent.iterdir()).of(name)
            assert f"{stem_of(name)}.yaml" in companions
            captions += f"{stem_of(name)}.caption" in companions
            document = yaml.safe_load((path.parent / f"{stem_of(name)}.yaml").read_text())
            assert document["stage"] == parse_name(name).stage
            with PillowImage.open(path) as image:
                if image.format == "PNG":
                    parameters = image.info["parameters"]
                else:
                    comment = image.getexif().get_ifd(0x8769)[0x9286]
                    parameters = comment.removeprefix(b"UNICODE\0").decode("utf-16-be")
                assert f"Size: {image.width}x{image.height}" in parameters
            assert parameters.startswith(document["prompt"])
            assert f"Seed: {document['seed']}" in parameters
    assert captions


def test_both_formats_and_all_three_folders_are_there(demo: Demo) -> None:
    assert {p.suffix for p in demo.images.rglob("*stage*")} == {".png", ".jpg", ".yaml", ".caption"}
    assert {p.name for p in demo.images.iterdir()} == {"people", "places", "things"}
    assert {p.name for p in demo.home.iterdir()} == {"demo_images", "demo_truth.jsonl"}


def test_progress_counts_to_the_end(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    make_images(tmp_path, replace(SMALL, groups=3), lambda done, of: calls.append((done, of)))
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_refuses_a_folder_that_holds_something(tmp_path: Path) -> None:
    (tmp_path / "demo_images").mkdir()
    (tmp_path / "demo_images" / "mine.txt").write_text("mine")
    before = read_tree(tmp_path)
    with pytest.raises(UsageError, match="is there already") as caught:
        make_images(tmp_path, replace(SMALL, groups=1))
    assert "\n" not in caught.value.line and "demo_images" in caught.value.line
    assert read_tree(tmp_path) == before


def test_takes_an_empty_folder_and_a_home_not_yet_made(tmp_path: Path) -> None:
    (tmp_path / "demo_images").mkdir()
    make_images(tmp_path, replace(SMALL, groups=1))
    make_images(tmp_path / "new" / "home", replace(SMALL, groups=1))
    assert read_truth(tmp_path / "demo_truth.jsonl") == read_truth(tmp_path / "new" / "home" / "demo_truth.jsonl")


def test_a_folder_filled_meanwhile_is_not_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(*_: object) -> None:
        (tmp_path / "demo_images").mkdir(exist_ok=True)
        (tmp_path / "demo_images" / "mine.txt").write_text("mine")

    with pytest.raises(UsageError, match="is there already"):
        make_images(tmp_path, replace(SMALL, groups=1), fill)
    assert [p.name for p in (tmp_path / "demo_images").iterdir()] == ["mine.txt"]


def test_an_interruption_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_images(tmp_path, replace(SMALL, groups=5), interrupt)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(project, "_make_group", full)
    with pytest.raises(FileOperationError, match="No space left on device while making the demo"):
        make_images(tmp_path, replace(SMALL, groups=2))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("photograph", PHOTOGRAPHS, ids=lambda photograph: photograph.name)
def test_a_photograph_has_the_size_that_is_planned_with(photograph: Photograph) -> None:
    assert load(photograph).size == photograph.size


@pytest.mark.parametrize(
    "wrong",
    [{"groups": 0}, {"seed": -1}, {"long_side": 8}, {"crop_rate": 1.5}, {"defect_kinds": ("moth",)}],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        DemoConfig(**wrong)  # type: ignore[arg-type]
