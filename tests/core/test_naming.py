"""The file-name grammar: what a name says, which files belong to an image, what a project may be called."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import FIXTURES
from pickroom.core.naming import (
    IMAGE_EXTENSIONS,
    extension_of,
    group_id,
    is_image_name,
    is_project_id,
    marked_name,
    parse_name,
    second_after,
    sidecar_name,
    stage_of,
    stem_of,
)

MOMENT = datetime(2025, 7, 28, 4, 6, 6)
# few letters, so that names really meet
NAMES = st.text("ab.", min_size=1, max_size=8).map(lambda text: text + ".png") | st.text("ab.py", min_size=1)


@pytest.mark.parametrize(
    ("name", "taken_at", "stage"),
    [
        ("20250728_040606_stage1_generated.png", MOMENT, 1.0),
        ("20250728_040606_stage1.5_face_swapped.png", MOMENT, 1.5),
        ("20250728_040606_stage2_upscaled.jpg", MOMENT, 2.0),
        ("20250728_040606_stage3_enhanced.HEIC", MOMENT, 3.0),
        ("20250728_040606_stage2.png", MOMENT, 2.0),
        ("20250728_040606_stage1.5.png", MOMENT, 1.5),
        ("20250728_040606_stage1.5_v1.2_final.png", MOMENT, 1.5),
        ("anna_20250728_040606_stage2_upscaled.png", MOMENT, 2.0),
        ("20240101_000000_20250728_040606_stage2_x.png", MOMENT, 2.0),
        ("20250728_040606.png", MOMENT, None),
        ("20250728_040606_holiday.png", MOMENT, None),
        ("20250728_040606_stage4_x.png", MOMENT, None),
        ("20250728_040606_stage10_x.png", MOMENT, None),
        ("20250728_040606_stage1.55_x.png", MOMENT, None),
        ("20250728_040606_stage0_x.png", MOMENT, None),
        ("20250728_040606_stage_x.png", MOMENT, None),
        ("20250728_040606_Stage2_x.png", MOMENT, None),
        ("20251399_040606_stage2_x.png", None, 2.0),
        ("20250728_250000_stage2_x.png", None, 2.0),
        ("20250230_040606.png", None, None),
        ("IMG_1234.jpg", None, None),
        ("stage2_upscaled.png", None, None),
        ("holiday_stage2.png", None, None),
        ("120250728_040606_stage2_x.png", None, None),
        ("20250728040606_stage2_x.png", None, None),
        (".png", None, None),
        ("", None, None),
    ],
)
def test_name_says_its_time_and_stage_or_nothing(name: str, taken_at: datetime | None, stage: float | None) -> None:
    parsed = parse_name(name)
    assert (parsed.taken_at, parsed.stage) == (taken_at, stage)


def test_every_real_name_has_a_time_and_a_stage() -> None:
    names = (FIXTURES / "stage_names.txt").read_text(encoding="utf-8").split()
    assert len(names) == 362
    silent = [name for name in names if None in (parse_name(name).taken_at, parse_name(name).stage)]
    assert silent == []


@given(st.text())
def test_any_text_may_be_a_name_and_its_stage_is_never_zero(text: str) -> None:
    assert parse_name(text).stage in (None, 1.0, 1.5, 2.0, 3.0)


@given(st.one_of(st.text(), st.from_regex(r"\A.*_?\d{8}_\d{6}(_stage(1|1\.5|2|3|4))?(_.*)?(\.png)?\Z")))
def test_the_short_way_to_the_stage_is_the_long_one(text: str) -> None:
    assert stage_of(text) == parse_name(text).stage


@pytest.mark.parametrize(
    ("name", "stem", "extension"),
    [
        ("a.png", "a", "png"),
        ("a.PNG", "a", "png"),
        ("20250728_040606_stage1.5_x.png", "20250728_040606_stage1.5_x", "png"),
        ("a.hands.json", "a.hands", "json"),
        ("a", "a", ""),
        (".hidden", ".hidden", ""),
        ("a.", "a", ""),
    ],
)
def test_only_the_last_dot_ends_the_stem(name: str, stem: str, extension: str) -> None:
    assert (stem_of(name), extension_of(name)) == (stem, extension)


IMAGES = ("png", "jpg", "jpeg", "jpe", "jfif", "webp", "tif", "tiff", "bmp", "heic", "heif", "hif", "avif")


@pytest.mark.parametrize("extension", IMAGES)
def test_image_extensions_count_in_any_case(extension: str) -> None:
    assert is_image_name(f"a.{extension}")
    assert is_image_name(f"a.{extension.upper()}")


def test_nothing_else_is_an_image() -> None:
    assert len(IMAGE_EXTENSIONS) == 13
    assert [name for name in ("a.gif", "a.yaml", "a.png.txt", "png", ".png", "a.decision") if is_image_name(name)] == []


def test_sidecar_replaces_only_the_last_extension() -> None:
    assert sidecar_name("20250728_040606_stage1.5_x.png") == "20250728_040606_stage1.5_x.decision"


@pytest.mark.parametrize(
    ("place", "ending", "batch"),
    [
        (0, "batch001_img001", 1),
        (99, "batch001_img100", 1),
        (100, "batch002_img001", 2),
        (99_950, "batch1000_img051", 1000),
    ],
)
def test_group_id_holds_second_block_of_100_and_place(place: int, ending: str, batch: int) -> None:
    assert group_id("mojo1", datetime(2025, 8, 3, 6, 54, 6), place) == (f"mojo1_group_20250803T065406Z_{ending}", batch)


def test_second_after_one_that_an_id_holds() -> None:
    assert second_after("20251231T235959Z") == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("text", ["p", "mojo1", "A-b_c", "9", "x" * 64, "legacy", "p_legacy_2"])
def test_project_id_may_be(text: str) -> None:
    assert is_project_id(text)


@pytest.mark.parametrize(
    "text", ["", "_p", "-p", "x" * 65, "p_legacy", "a b", "a/b", "..", "a.b", "é", "p\n", "p\0", "٣"]
)
def test_project_id_may_not_be(text: str) -> None:
    assert not is_project_id(text)


@given(stem=st.text("a字", min_size=1, max_size=300), limit=st.integers(60, 255))
def test_a_marked_name_fits_and_is_still_an_image(stem: str, limit: int) -> None:
    name = marked_name(f"{stem}.png", "undone-2", limit)
    assert len(name.encode()) <= limit and name.endswith(".undone-2.png")
    assert name == f"{stem}.undone-2.png" or marked_name(f"{stem}x.png", "undone-2", limit) != name
