"""One cell becomes a value, nothing, or a reason; nothing is guessed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickroom.history import skip_reasons, values
from pickroom.history.skip_reasons import Skip


@pytest.mark.parametrize("text", ["", " ", "None", "null", "NaN", "N/A", "nan "])
def test_what_earlier_programs_wrote_for_nothing(text: str) -> None:
    assert values.number(text) is values.whole(text) is values.side(text) is values.timestamp(text) is None


@pytest.mark.parametrize("text", ["abc", "1_000", "inf", "-Infinity", "1e999", "0x10", "٣", "1,5", "12 34"])
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(Skip, match=skip_reasons.NOT_A_NUMBER):
        values.number(text)


def test_sizes() -> None:
    assert values.side("2048") == values.side("2048.0") == 2048
    assert values.side("0") is values.side("0.0") is None
    for text in ("-3", "2048.5", "99999999999999999999"):
        with pytest.raises(Skip):
            values.side(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025-10-05T03:25:40.984589Z", "2025-10-05T03:25:40.984589Z"),
        ("2025-10-05T03:25:40Z", "2025-10-05T03:25:40Z"),
        ("2025-07-28T04:06:06+00:00", "2025-07-28T04:06:06Z"),
        ("2025-07-28T04:06:06+02:00", "2025-07-28T02:06:06Z"),
        ("2025-10-04 21:23:51", "2025-10-04T21:23:51Z"),
        ("20250727_224840", "2025-07-27T22:48:40Z"),
        ("20250231_224840", None),
        ("2025-02-31T00:00:00Z", None),
        ("2025-10-05", None),  # midnight would be invented
        ("yesterday", None),
        ("0001-01-01T00:00:00+14:00", None),  # before the first year there is
        ("1696468800", None),
    ],
)
def test_times(text: str, expected: str | None) -> None:
    assert values.timestamp(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('["a/b.png"]', ["a/b.png"]),
        ('["a.png", "b.png"]', ["a.png", "b.png"]),
        ('["a.png","b.png"]', ["a.png", "b.png"]),
        ("['a.png', 'b.png']", ["a.png", "b.png"]),
        ("('a.png',)", ["a.png"]),
        ('["it\'s.png"]', ["it's.png"]),
        (r'["C:\\x\\a.png"]', [r"C:\x\a.png"]),
        (r"['C:\x\a.png']", None),  # \x is half an escape
        ("[]", []),
        ('["\\u00e9.png"]', ["é.png"]),
        ('["a", 1]', None),
        ("a.png", None),
        ('["a.png"', None),
        ("[" * 5000, None),
        ('["a"] + ["b"]', None),
        ("__import__('os').getcwd()", None),
        ("", None),
    ],
)
def test_lists_as_json_and_as_python_wrote_them(text: str, expected: list[str] | None) -> None:
    if expected is None:
        with pytest.raises(Skip, match=skip_reasons.NOT_A_LIST):
            values.path_list(text)
    else:
        assert values.path_list(text) == expected


@given(st.lists(st.text()))
def test_names_come_back_from_their_json(names: list[str]) -> None:
    text = values.names_json(names)
    assert json.loads(text) == names
    assert text == json.dumps(names, ensure_ascii=False)
    assert values.path_list(text) == names


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a.txt", skip_reasons.NOT_AN_IMAGE),
        ("a", skip_reasons.NOT_AN_IMAGE),
        (".png", skip_reasons.NOT_AN_IMAGE),
        ("", skip_reasons.NO_FILE_NAME),
        ("\ud800.png", skip_reasons.NOT_TEXT),
        ("a\0.png", skip_reasons.NOT_TEXT),
    ],
)
def test_what_is_no_image_name(name: str, reason: str) -> None:
    with pytest.raises(Skip, match=reason):
        values.image_name(name)


def test_unusual_names_are_names() -> None:
    for name in ("ä b.PNG", "a'b.jpeg", "a\nb.png", "日本.webp"):
        assert values.image_name(name) == name


@pytest.mark.parametrize(
    ("edges", "size", "expected"),
    [
        ((0.1, 0.2, 0.3, 0.4), (None, None), [0.1, 0.2, 0.3, 0.4]),
        ((0, 0, 1, 1), (100, 100), [0, 0, 1, 1]),
        ((0, 66, 1787, 1853), (3072, 3072), [0, 66 / 3072, 1787 / 3072, 1853 / 3072]),
        ((0, 0, 100.4, 200), (100, 200), [0, 0, 1, 1]),  # rounding may lie half a pixel outside
        ((-0.0, 0, 50, 50), (100, 100), [0, 0, 0.5, 0.5]),
    ],
)
def test_pixels_and_fractions_mixed(edges: tuple, size: tuple, expected: list[float]) -> None:
    box = values.box_of(edges, *size)
    assert box is not None
    assert box.to_list() == expected
    assert math.copysign(1, box.x1) == 1


def test_pixels_without_a_size_are_unknown() -> None:
    assert values.box_of((0, 66, 1787, 1853), None, 3072) is None


@pytest.mark.parametrize(
    ("edges", "reason"),
    [
        ((0, 0, 3073, 100), skip_reasons.OUTSIDE),
        ((-5, 0, 100, 100), skip_reasons.OUTSIDE),
        ((-0.1, 0, 0.5, 0.5), skip_reasons.OUTSIDE),
        ((100, 0, 50, 100), skip_reasons.REVERSED),
        ((0.5, 0.5, 0.5, 0.9), skip_reasons.REVERSED),
        ((0, 0, 0, 0), skip_reasons.REVERSED),
    ],
)
def test_boxes_that_are_none(edges: tuple, reason: str) -> None:
    with pytest.raises(Skip, match=reason):
        values.box_of(edges, 3072, 3072)


def test_stage_by_the_one_parser_then_by_the_column() -> None:
    assert values.stage("20250728_040606_stage1.5_face_swapped.png", "2") == 1.5
    assert values.stage("holiday.png", "stage3_enhanced") == 3.0
    assert values.stage("holiday.png", "1.5") == 1.5
    assert values.stage("holiday.png", "0") is values.stage("holiday.png") is None


@given(st.text(), st.sampled_from([values.number, values.whole, values.side, values.timestamp, values.path_list]))
def test_any_cell_gives_a_value_or_a_reason(text: str, read: Callable[[str], object]) -> None:
    try:
        read(text)
    except Skip as skip:
        assert skip.reason
